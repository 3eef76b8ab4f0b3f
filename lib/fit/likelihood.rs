//! How residuals are weighed: a kind of likelihood and its scale for each map.

use super::options::{FitOptions, LikelihoodKind};
use crate::optics::beam_map::{BeamMap, MapSet, Sigma};

/// Least squares from far away has this part of each map's peak for its scale: strong enough to pull, and
/// far above the noise.
const ROUGH: f64 = 0.05;

/// The scale of a robust likelihood in sigmas, which keeps 99 % of the efficiency for gaussian noise; the paper's case
/// has the same.
pub(super) const CAUCHY_SIGMAS: f64 = 4.0;

/// How residuals are weighed.
#[derive(Debug, Clone)]
pub struct Likelihood {
    pub kind: LikelihoodKind,
    /// What the residuals of each map are divided by, in its power unit.
    pub scales: Vec<f64>,
}

impl Likelihood {
    /// What a fit of `maps` starts with.
    pub fn of(maps: &MapSet, options: &FitOptions) -> Self {
        let scales = maps.maps.iter().map(|m| first_scale(m, options)).collect();
        Likelihood { kind: options.likelihood, scales }
    }

    /// Least squares that see an optimum from far away.
    pub fn rough(maps: &MapSet) -> Self {
        let scales = maps.maps.iter().map(|m| ROUGH * m.robust_peak()).collect();
        Likelihood { kind: LikelihoodKind::Gaussian, scales }
    }
}

/// The median of the sigmas of samples that are not blank.
pub(super) fn typical(power: &[f64], sigma: &[f64]) -> f64 {
    let known = power.iter().zip(sigma).filter(|(power, _)| !power.is_nan());
    let mut known: Vec<f64> = known.map(|(_, sigma)| *sigma).collect();
    let middle = known.len() / 2;
    if known.is_empty() { 1.0 } else { *known.select_nth_unstable_by(middle, f64::total_cmp).1 }
}

fn of_sigma(sigma: f64, kind: LikelihoodKind) -> f64 {
    match kind {
        LikelihoodKind::Gaussian => sigma,
        LikelihoodKind::Cauchy => CAUCHY_SIGMAS * sigma,
    }
}

/// The scale that the likelihood starts with: what was asked for, else a sigma of the noise (four for a robust
/// likelihood), else a twentieth of the peak (to be replaced by what the residuals show).
fn first_scale(map: &BeamMap, options: &FitOptions) -> f64 {
    match (options.scale, &map.sigma, options.likelihood) {
        (Some(fraction), ..) => fraction * map.robust_peak(),
        (None, Sigma::Constant(sigma), kind) => of_sigma(*sigma, kind),
        (None, Sigma::PerSample(sigma), kind) => of_sigma(typical(&map.power, sigma), kind),
        (None, Sigma::Unknown, _) => ROUGH * map.robust_peak(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_say_nothing_of_the_noise() {
        let power = [1.0, f64::NAN, f64::NAN, 2.0, f64::NAN];
        assert_eq!(typical(&power, &[0.1, f64::NAN, 0.0, 0.3, f64::NAN]), 0.3);
    }
}
