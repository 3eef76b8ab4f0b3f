//! An optimum of the whole maps: where it lies, how sharp it is, what it leaves.

use super::likelihood::Likelihood;
use super::minimise::Minimum;
use super::prior;
use super::problem::Problem;
use super::quality::{Misfit, Trust};
use crate::optics::zernike;

/// Optima that differ by less in log-likelihood are one.
pub const CLEARLY: f64 = 0.1;

/// Errors of coefficients, the root of the sum of their squares in radians, from which on other optima may be nearly as
/// likely. (Of 620 simulations, cauchy, order 7, 1/33 to 1/67 of noise, that were fitted without a look for those 29 were wrong,
/// all but one with errors of 0.34 and more, as most of the right ones had.)
const WEAK: f64 = 1.0 / 3.0;

/// An optimum of the whole maps.
pub struct Optimum {
    /// All parameters.
    pub at: Vec<f64>,
    pub minimum: Minimum,
    /// What the model leaves of every map there.
    pub misfits: Vec<Misfit>,
    /// The models of the maps, where these are asked for.
    pub models: Vec<Vec<f64>>,
    pub trust: Trust,
    /// What was minimised, with the scales that were right there.
    pub likelihood: Likelihood,
}

impl Optimum {
    /// The negative logarithm of the density of the residuals, but for a constant: minima of likelihoods with other
    /// scales compare in it. Infinite where it is not a number.
    pub fn negative_log_density(&self) -> f64 {
        let maps = self.misfits.iter().zip(&self.likelihood.scales);
        let density: f64 = maps.map(|(left, scale)| left.samples as f64 * scale.ln()).sum();
        let density = self.minimum.value + density;
        if density.is_nan() { f64::INFINITY } else { density }
    }

    /// How much likelier it is than another, in the logarithm; infinite without another.
    pub fn gain(&self, over: Option<&Optimum>) -> f64 {
        over.map_or(f64::INFINITY, |over| over.negative_log_density() - self.negative_log_density())
    }

    /// Whether the maps are weak: whether they tell the coefficients, which are among the free parameters `which`, with
    /// errors of more than a third of a radian together. Not where the likelihood's scale was given, which says nothing of the noise.
    pub fn is_weak(&self, problem: &Problem, which: &[usize]) -> bool {
        let coefficients = zernike::count(problem.options.order);
        let (n, inverse) = (which.len(), &self.minimum.inverse);
        let variance = |k: usize| inverse[k * n + k] * problem.lengths[which[k]].powi(2);
        let told = (0..n).filter(|&k| which[k] < coefficients).map(variance);
        let noise = prior::steepness(problem, which, &self.likelihood);
        problem.options.scale.is_none() && noise * told.sum::<f64>() > WEAK * WEAK
    }
}

#[cfg(test)]
mod tests {
    use crate::fit::level::levels;
    use crate::fit::options::{FitOptions, LikelihoodKind};
    use crate::fit::search::search;
    use crate::fit::setup::Setup;
    use crate::fit::tests::noisy;

    /// Errors go with the noise, whichever the likelihood: 0.2 rad here with 1/50 of it, 0.9 with 1/12.
    #[test]
    fn an_optimum_is_weak_where_the_noise_leaves_large_errors() {
        for likelihood in [LikelihoodKind::Gaussian, LikelihoodKind::Cauchy] {
            let weak = [0.02, 0.08].map(|noise| {
                let (telescope, maps, grid) = noisy(64, noise);
                let options = FitOptions {
                    order: 5,
                    aperture: Some(grid),
                    likelihood,
                    ..FitOptions::default()
                };
                let setup = Setup::new(&telescope, &maps, &options);
                let levels = levels(setup);
                let model = setup.model().unwrap();
                let found = search(setup, &levels, model, &mut |_| Ok(())).unwrap();
                found.optimum.is_weak(&found.problem, &found.which)
            });
            assert_eq!(weak, [false, true], "{likelihood:?}");
        }
    }
}
