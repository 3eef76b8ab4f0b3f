//! The paper's case (arXiv:1805.07439), which the benches measure on: three maps, random aberrations.

#![allow(dead_code, reason = "no bench uses all of it")]

use oof::device::Precision;
use oof::fit::Setup;
use oof::fit::options::{FitOptions, Nuisance};
use oof::fit::problem::Problem;
use oof::optics::beam_map::{MapSet, Noise};
use oof::optics::simulate::{SimulateOptions, simulate};
use oof::optics::telescope::Telescope;
use oof::optics::zernike;

/// The maps with all that a fit of them needs.
pub struct Paper {
    pub telescope: Telescope,
    pub maps: MapSet,
    pub options: FitOptions,
}

impl Paper {
    /// Maps of `points` a side, to be fitted up to `order` with the paper's parameters, cold.
    pub fn new(points: usize, order: u32, precision: Precision) -> Self {
        let noise = Noise { additive: 0.024, multiplicative: 0.01, outliers: 0.0 };
        Paper::noisy(points, order, precision, noise)
    }

    /// The same with another noise.
    pub fn noisy(points: usize, order: u32, precision: Precision, noise: Noise) -> Self {
        let telescope = Telescope::named("nikolic2018").expect("a telescope of our own");
        let mut grid = telescope.aperture;
        grid.points = points;
        let coefficients = zernike::count(order) - 1;
        let simulated = SimulateOptions {
            grid,
            order,
            // About what 0.3 rad in each coefficient gives.
            rms: Some(0.13 * (coefficients as f64).sqrt()),
            seed: 1,
            noise,
            ..SimulateOptions::of(&telescope)
        };
        let maps = simulate(&telescope, &simulated).expect("a simulation of the paper's case");
        let options = FitOptions {
            order,
            nuisance: Nuisance::NONE,
            aperture: Some(grid),
            precision,
            ..FitOptions::default()
        };
        Paper { telescope, maps, options }
    }

    /// What is minimised.
    pub fn problem(&self) -> Problem<'_> {
        let Paper { telescope, maps, options } = self;
        let problem = Problem::new(Setup::new(telescope, maps, options));
        problem.expect("a problem of the paper's case")
    }
}
