//! An optimum of the whole maps: where it lies, how sharp it is, what it leaves.

use super::likelihood::Likelihood;
use super::minimise::Minimum;
use super::problem::Problem;
use super::quality::{Misfit, Trust};
use crate::optics::zernike;

/// Optima that differ by less in log-likelihood are one.
pub const CLEARLY: f64 = 0.1;

/// Errors of coefficients, rms in radians, from which on other optima may be nearly as likely.
const WEAK: f64 = 0.06;

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
    /// scales compare in it.
    pub fn negative_log_density(&self) -> f64 {
        let maps = self.misfits.iter().zip(&self.likelihood.scales);
        self.minimum.value + maps.map(|(left, scale)| left.samples as f64 * scale.ln()).sum::<f64>()
    }

    /// Whether it is clearly better than another: see [`CLEARLY`].
    pub fn is_better(&self, than: &Optimum) -> bool {
        self.negative_log_density() < than.negative_log_density() - CLEARLY
    }

    /// Whether other optima may be nearly as likely, since the maps tell the coefficients, which are among the free
    /// parameters `which`, no better than that.
    pub fn is_weak(&self, problem: &Problem, which: &[usize]) -> bool {
        let coefficients = zernike::count(problem.options.order);
        let (n, inverse) = (which.len(), &self.minimum.inverse);
        let variance = |k: usize| inverse[k * n + k] * problem.lengths[which[k]].powi(2);
        let told = (0..n).filter(|&k| which[k] < coefficients).map(variance);
        let (sum, count) = told.fold((0.0, 0), |(sum, count), v| (sum + v, count + 1));
        // What is left, in units of what the likelihood takes for the noise.
        let factor = problem.scale_factor(which, &self.at);
        let scales = self.likelihood.scales.iter().map(|scale| factor * scale);
        let left: f64 =
            self.misfits.iter().zip(scales).map(|(left, s)| left.square / (s * s)).sum();
        let samples: usize = self.misfits.iter().map(|left| left.samples).sum();
        let noise = self.likelihood.kind.curvature() * left / samples.max(1) as f64;
        noise * sum > f64::from(count) * WEAK * WEAK
    }
}
