//! An optimum of the whole maps: where it lies, how sharp it is, what it leaves.

use super::likelihood::Likelihood;
use super::minimise::Minimum;
use super::problem::Problem;
use super::quality::{Misfit, Trust};
use crate::optics::zernike;

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

    /// How well the maps tell the coefficients, of which some are among the free parameters `which`: the rms of their
    /// errors, radians, as the curvature has them and what is left.
    pub fn told(&self, problem: &Problem, which: &[usize]) -> f64 {
        let coefficients = zernike::count(problem.options.order);
        let variances = self.place().variances(problem, which);
        let variances = which.iter().zip(variances).filter(|(i, _)| **i < coefficients);
        let (sum, count) = variances.fold((0.0, 0), |(sum, count), (_, v)| (sum + v, count + 1));
        // What is left, in units of what the likelihood takes for the noise.
        let factor = problem.scale_factor(which, &self.at);
        let scales = self.likelihood.scales.iter().map(|scale| factor * scale);
        let left: f64 =
            self.misfits.iter().zip(scales).map(|(left, s)| left.square / (s * s)).sum();
        let samples: usize = self.misfits.iter().map(|left| left.samples).sum();
        let noise = self.likelihood.kind.curvature() * left / samples.max(1) as f64;
        (noise * sum / f64::from(count.max(1))).sqrt()
    }

    pub fn place(&self) -> Place {
        Place { at: self.at.clone(), inverse: self.minimum.inverse.clone() }
    }
}

/// Where an optimum lies, and how sharp it is.
pub struct Place {
    at: Vec<f64>,
    /// The inverse curvature of the free parameters, in their lengths, row-major.
    inverse: Vec<f64>,
}

impl Place {
    /// The largest difference of a parameter from that of another place, in units of what the curvature allows it.
    pub fn distance(&self, problem: &Problem, which: &[usize], at: &[f64]) -> f64 {
        let variances = self.variances(problem, which);
        let one =
            |(&i, v): (&usize, f64)| (at[i] - self.at[i]).abs() / v.max(f64::MIN_POSITIVE).sqrt();
        which.iter().zip(variances).map(one).fold(0.0, f64::max)
    }

    /// What the curvature allows the free parameters, in their units, squared.
    fn variances(&self, problem: &Problem, which: &[usize]) -> Vec<f64> {
        let n = which.len();
        let one = |(k, &i): (usize, &usize)| self.inverse[k * n + k] * problem.lengths[i].powi(2);
        which.iter().enumerate().map(one).collect()
    }
}
