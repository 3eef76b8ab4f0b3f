//! The second and later evaluations of a function take no memory from the heap.

use oof::autodiff::Function;
use oof::device::Precision;
use oof::fit::Setup;
use oof::fit::options::{FitOptions, Nuisance};
use oof::fit::problem::Problem;
use oof::optics::beam_map::{Noise, Sampling};
use oof::optics::simulate::{SimulateOptions, simulate};
use oof::optics::telescope::Telescope;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The system's allocator, which counts what it is asked for.
struct Counting;

static COUNT: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promises are those that `System` asks for.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The allocations of ten evaluations after the first two: the least of a few tries, for a thread takes
/// memory once when it begins and when it first takes work from another, which may be late on a busy
/// machine. What evaluations take they take in every try.
fn allocations(function: &mut Function) -> usize {
    let x = vec![0.01; function.parameters()];
    let mut gradient = vec![0.0; x.len()];
    let mut evaluate = |times: usize| {
        let before = COUNT.load(Ordering::Relaxed);
        for _ in 0..times {
            function.value_and_gradient_into(&x, &mut gradient);
        }
        COUNT.load(Ordering::Relaxed) - before
    };
    evaluate(2);
    (0..5).map(|_| evaluate(10)).min().unwrap_or(usize::MAX)
}

/// One test, so that nothing else allocates meanwhile.
#[test]
fn later_evaluations_do_not_allocate() {
    let telescope = Telescope::named("nikolic2018").unwrap();
    let place = |i: u32| (3e-3 * (1.3 * f64::from(i)).sin(), 3e-3 * (0.7 * f64::from(i)).cos());
    let (u, v) = (0..3000).map(place).unzip();
    let scattered = Sampling::Scattered { u, v };
    // An even size, an odd one, and one with a large prime factor; and samples anywhere.
    for (points, sampling) in [(128, None), (81, None), (94, None), (128, Some(scattered))] {
        let mut grid = telescope.aperture;
        grid.points = points;
        let maps = simulate(
            &telescope,
            &SimulateOptions {
                grid,
                rms: Some(0.5),
                seed: 1,
                noise: Noise { additive: 0.01, ..Noise::default() },
                samplings: sampling.map_or(Vec::new(), |sampling| vec![sampling; 3]),
                ..SimulateOptions::of(&telescope)
            },
        )
        .unwrap();
        for (precision, nuisance) in
            [(Precision::F64, Nuisance::NONE), (Precision::F32, Nuisance::ALL)]
        {
            let options =
                FitOptions { nuisance, precision, aperture: Some(grid), ..FitOptions::default() };
            let problem = Problem::new(Setup::new(&telescope, &maps, &options)).unwrap();
            let which = problem.free_up_to(5);
            let mut function = problem.function(&which, &problem.start);
            // Inside the pool, as in a fit: handing work to it from outside takes memory now and then.
            let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
            let count = pool.install(|| allocations(&mut function));
            assert_eq!(count, 0, "{points} points, {precision:?}");
        }
    }
}
