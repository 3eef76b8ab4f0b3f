//! Time of one value and gradient of the paper's case, for each grid: `cargo bench --bench gradient`.
//! Arguments: grids, then `f32` for single precision.

use oof::device::Precision;
use oof::fit::options::{FitOptions, Nuisance};
use oof::fit::problem::Problem;
use oof::optics::beam_map::Noise;
use oof::optics::simulate::{SimulateOptions, simulate};
use oof::optics::telescope::Telescope;
use std::time::Instant;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let precision = match words.iter().any(|w| w == "f32") {
        true => Precision::F32,
        false => Precision::F64,
    };
    let asked: Vec<usize> = words.iter().filter_map(|w| w.parse().ok()).collect();
    let grids = if asked.is_empty() { vec![32, 64, 128, 256, 512] } else { asked };
    println!("grid, forward ms, value and gradient ms ({})", precision.name());
    for points in grids {
        let telescope = Telescope::named("nikolic2018").expect("a telescope of our own");
        let mut grid = telescope.aperture;
        grid.points = points;
        let maps = simulate(
            &telescope,
            &SimulateOptions {
                wavelength: telescope.wavelength,
                defocus: telescope.defocus.clone(),
                grid,
                order: 7,
                parameters: Vec::new(),
                rms: Some(0.5),
                seed: 1,
                noise: Noise { additive: 0.024, multiplicative: 0.01, outliers: 0.0 },
                precision: Precision::F64,
            },
        )
        .expect("a simulation of the paper's case");
        let options = FitOptions {
            order: 7,
            nuisance: Nuisance::NONE,
            aperture: Some(grid),
            precision,
            ..FitOptions::default()
        };
        let problem = Problem::new(&telescope, telescope.wavelength, &maps, &options)
            .expect("a problem of the paper's case");
        let which = problem.free_up_to(7);
        let mut function =
            problem.function(&which, &problem.start, options.likelihood, &problem.scales);
        let x = vec![0.01; which.len()];
        let mut gradient = vec![0.0; which.len()];
        let forward = median(|| {
            function.value(&x);
        });
        let both = median(|| {
            function.value_and_gradient_into(&x, &mut gradient);
        });
        println!("{points}, {:.4}, {:.4}", forward * 1e3, both * 1e3);
    }
}

/// The median time of a call, seconds, over half a second and at least five.
fn median(mut call: impl FnMut()) -> f64 {
    call();
    let begun = Instant::now();
    let mut times = Vec::new();
    while times.len() < 5 || begun.elapsed().as_secs_f64() < 0.5 {
        let start = Instant::now();
        call();
        times.push(start.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
