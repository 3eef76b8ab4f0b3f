//! What `scripts/instructions` counts the instructions of: `cargo bench --bench instructions` names the
//! paths, and with a name that path runs once. Only what `oof_counted` calls is counted, on one thread;
//! what has to be there before is made before, and a function is called once before it is counted.

mod paper;

use oof::autodiff::Function;
use oof::device::Precision;
use oof::fit::{Setup, fit};
use oof::optics::beam_map::Noise;
use paper::Paper;

const PATHS: [&str; 9] = [
    "gradient 32 f64",
    "gradient 32 f32",
    "gradient 256 f64",
    "gradient 256 f32",
    "gradient raster f64",
    "plan value",
    "plan gradient",
    "fit 64",
    "fit 64 clear",
];

/// Callgrind counts from when this is entered until it returns. Its name must stay as it is, and it must
/// not be inlined.
#[unsafe(no_mangle)]
#[inline(never)]
fn oof_counted(work: &mut dyn FnMut()) {
    work();
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|w| w != "--bench").collect();
    if words.is_empty() {
        return PATHS.iter().for_each(|path| println!("{path}"));
    }
    let name = words.join(" ");
    assert!(PATHS.contains(&&*name), "no path '{name}', expected one of {PATHS:?}");
    println!("{}", instruction_set());
    // No other thread, so that nothing waits and counts.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build();
    pool.expect("a pool of one thread").install(|| run(&name));
}

/// What the loops are compiled for that are run here: valgrind's processor has AVX2 at the most.
fn instruction_set() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512f") {
        return "avx512";
    } else if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        return "avx2";
    }
    "plain"
}

fn run(name: &str) {
    let words: Vec<&str> = name.split(' ').collect();
    let precision = match words[words.len() - 1] {
        "f32" => Precision::F32,
        _ => Precision::F64,
    };
    match words[..] {
        // With the paper's noise the maps are weak, so that most of the work is in going past turns of the rim's phase.
        ["fit", points, ref clear @ ..] => {
            let points = points.parse().expect("a grid");
            let paper = match clear {
                [] => Paper::new(points, 7, precision),
                _ => Paper::noisy(
                    points,
                    7,
                    precision,
                    Noise { additive: 0.005, ..Noise::default() },
                ),
            };
            let Paper { telescope, maps, options } = &paper;
            counted(|| {
                let found = fit(Setup::new(telescope, maps, options), &mut |_| Ok(()));
                let found = found.expect("a fit of the paper's case");
                assert_eq!(found.status, "converged");
            });
        }
        ["plan", what] => {
            let paper = Paper::new(32, 7, precision);
            counted(|| {
                let mut function = function(&paper);
                let x = vec![0.01; function.parameters()];
                // The first call plans; one evaluation at 32 is little beside it.
                match what {
                    "value" => function.value(&x),
                    _ => function.value_and_gradient(&x).0,
                };
            });
        }
        [_, points, _] => {
            let mut paper = Paper::new(points.parse().unwrap_or(64), 7, precision);
            if points == "raster" {
                // A grid of its own for the aperture: far fields by products of matrices.
                paper.options.aperture = None;
            }
            let mut function = function(&paper);
            let x = vec![0.01; function.parameters()];
            let mut gradient = vec![0.0; x.len()];
            function.value_and_gradient_into(&x, &mut gradient);
            counted(|| {
                function.value_and_gradient_into(&x, &mut gradient);
            });
        }
        _ => unreachable!("every path is one of these"),
    }
}

fn counted(mut work: impl FnMut()) {
    oof_counted(&mut work);
}

/// Records the negative log-likelihood.
fn function(paper: &Paper) -> Function {
    let problem = paper.problem();
    let which = problem.free_up_to(7);
    problem.function(&which, &problem.start)
}
