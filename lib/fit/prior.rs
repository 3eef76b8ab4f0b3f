//! What is known of parameters before the maps: gaussian priors, which make a fit one of maximum a
//! posteriori.
//!
//! A prior adds `((x - mean)/sigma)^2 / 2` to the negative log-likelihood. A robust likelihood is less
//! steep than the noise's own: at its scale of four sigma cauchy is a ninth as steep, and least squares
//! on the way to the optimum are at a scale of their own. The prior is made so much less steep as the
//! likelihood is, so that their proportion is that of the maps' noise. A likelihood whose scale is fitted is
//! the noise's own, and so is the steepness of its priors.

use super::information::Matrix;
use super::likelihood::{CAUCHY_SIGMAS, Likelihood};
use super::options::{FitOptions, LikelihoodKind};
use super::problem::Problem;
use crate::autodiff::Var;
use crate::optics::model::{mode_of, stem};
use ndarray::Array2;

/// A gaussian prior on a parameter, or on one of every map; SI. The parameter becomes free.
#[derive(Debug, Clone, PartialEq)]
pub struct Prior {
    pub name: String,
    pub mean: f64,
    pub sigma: f64,
}

impl Prior {
    /// Whether it is on no coefficient above `order`.
    pub fn is_up_to(&self, order: u32) -> bool {
        mode_of(&self.name).is_none_or(|mode| mode.n <= order)
    }
}

/// A prior on all Zernike coefficients of radial order 2 and more: zero, with a standard deviation of
/// `sigma (n/2)^-power` radians at order `n`, as of a surface whose errors grow with their size.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PowerLaw {
    /// Radians.
    pub sigma: f64,
    pub power: f64,
}

/// Position, mean and standard deviation of every parameter that has a prior; a prior by name goes before
/// the power law.
pub(super) fn known(problem: &Problem) -> Vec<(usize, f64, f64)> {
    let FitOptions { priors, power_law, .. } = problem.options;
    let names = problem.parameters.iter().map(|p| p.name.as_str()).enumerate();
    let one = |(i, name): (usize, &str)| {
        let own = priors.iter().rfind(|p| p.name == name || p.name == stem(name));
        let law = || {
            let n = mode_of(name).map(|mode| mode.n).filter(|n| *n >= 2)?;
            let PowerLaw { sigma, power } = (*power_law)?;
            Some((i, 0.0, sigma * (0.5 * f64::from(n)).powf(-power)))
        };
        own.map(|p| (i, p.mean, p.sigma)).or_else(law)
    };
    names.filter_map(one).collect()
}

/// The mean of the second derivative of `ln(1 + (r / c)^2)` times `c^2` over normal noise of a sigma of `c` over
/// [`CAUCHY_SIGMAS`].
const CAUCHY_CURVATURE: f64 = 1.708_5;

/// How steep a likelihood is at an optimum, in the noise's own steepness: variances are so many times what its curvature
/// alone makes of them.
pub(super) fn steepness(problem: &Problem, which: &[usize], likelihood: &Likelihood) -> f64 {
    if problem.scale_among(which).is_some() {
        return 1.0;
    }
    let own = &problem.likelihood;
    let sigma = match own.kind {
        LikelihoodKind::Gaussian => 1.0,
        LikelihoodKind::Cauchy => 1.0 / CAUCHY_SIGMAS,
    };
    let slope = match likelihood.kind {
        LikelihoodKind::Gaussian => 1.0,
        LikelihoodKind::Cauchy => CAUCHY_CURVATURE,
    };
    let pairs = own.scales.iter().zip(&likelihood.scales);
    let ratios = pairs.map(|(own, scale)| (sigma * own / scale).powi(2));
    slope * ratios.sum::<f64>() / own.scales.len().max(1) as f64
}

impl Problem<'_> {
    /// What the priors add to the negative log-likelihood of `all` parameters; `None` without priors.
    pub(super) fn prior<'t>(
        &self,
        all: &[Var<'t>],
        which: &[usize],
        likelihood: &Likelihood,
    ) -> Option<Var<'t>> {
        let steepness = steepness(self, which, likelihood);
        let terms = known(self).into_iter();
        let terms =
            terms.map(|(i, mean, sigma)| 0.5 * steepness * ((all[i] - mean) / sigma).square());
        terms.reduce(|a, b| a + b)
    }

    /// Adds the priors to a matrix of what the maps tell of the parameters `which`, as `likelihood` weighs them. A
    /// prior is as good as a measurement.
    pub(super) fn add_priors(
        &self,
        likelihood: &Likelihood,
        which: &[usize],
        matrix: Matrix,
        sum: &mut Array2<f64>,
    ) {
        let steepness = steepness(self, which, likelihood);
        for (i, _, sigma) in known(self) {
            if let Some(k) = which.iter().position(|&w| w == i) {
                let known = steepness * (self.lengths[i] / sigma).powi(2);
                sum[(k, k)] += match matrix {
                    Matrix::Curvature | Matrix::Majorant => known,
                    Matrix::Scatter | Matrix::Alike => steepness * known,
                };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_curvature_of_cauchy_is_its_mean_over_normal_noise() {
        // The trapezoidal rule, whose error is far below rounding for a function that ends as smoothly.
        let step = 0.01;
        let term = |i: i32| {
            let r = step * f64::from(i);
            let t = (r / CAUCHY_SIGMAS).powi(2);
            (-0.5 * r * r).exp() * 2.0 * (1.0 - t) / (1.0 + t).powi(2)
        };
        let mean = step * (-1000..=1000).map(term).sum::<f64>() / std::f64::consts::TAU.sqrt();
        assert!((mean - CAUCHY_CURVATURE).abs() < 1e-4, "{mean}");
    }
}
