//! Whether an optimum explains the maps.

use super::problem::Problem;
use crate::optics::beam_map::{BeamMap, Noise, Sigma};

/// What a squared residual counts for at most, in variances: a few glitches must not condemn a fit.
pub const CLIP: f64 = 9.0;
/// The mean of `min(r^2, CLIP)` for a standard normal `r`: `1 - 2 (3 phi(3) - 8 Q(3))` with the normal
/// density `phi` and its tail `Q`.
const CLIPPED_MEAN: f64 = 0.995_007;
/// How far the clipped mean of a map may lie above 1 for imperfections of the model, besides five standard
/// deviations; that of all maps half as far.
const ALLOWANCE: f64 = 0.1;

/// The variance of the noise of sample `i` of a map where the model has `power`; `None` where it is not
/// known.
pub fn variance(map: &BeamMap, noise: Noise, i: usize, power: f64) -> Option<f64> {
    let sigma = match &map.sigma {
        Sigma::Constant(sigma) => *sigma,
        Sigma::PerSample(sigma) => sigma[i],
        Sigma::Unknown => return None,
    };
    let variance = sigma * sigma + (noise.multiplicative * power).powi(2);
    (variance > 0.0).then_some(variance)
}

/// Whether the model at `at` leaves of every map what its noise leaves; `None` where the noise is not
/// known.
pub fn explains(problem: &Problem, at: &[f64]) -> Option<bool> {
    explains_with(problem, &problem.model_maps(at))
}

/// The same for models that are at hand.
fn explains_with(problem: &Problem, models: &[Vec<f64>]) -> Option<bool> {
    let noise = problem.maps.noise.unwrap_or_default();
    // Outliers that are known of count for the clip each.
    let expected = CLIPPED_MEAN + CLIP * noise.outliers;
    let limit =
        |allowance: f64, count: f64| (expected + allowance) * count + 5.0 * f64::sqrt(2.0 * count);
    let (mut all, mut total, mut known) = (true, 0.0, 0.0);
    for (map, model) in problem.maps.maps.iter().zip(models) {
        let (mut sum, mut count) = (0.0, 0.0);
        for (i, (p, m)) in map.power.iter().zip(model).enumerate() {
            if !p.is_nan() {
                sum += ((p - m).powi(2) / variance(map, noise, i, *m)?).min(CLIP);
                count += 1.0;
            }
        }
        all &= sum <= limit(ALLOWANCE, count);
        (total, known) = (total + sum, known + count);
    }
    all &= total <= limit(0.5 * ALLOWANCE, known);
    Some(all)
}

/// Whether the models can be trusted. The noise of a simulation is all there is; what a telescope's file
/// has for sigma is its receiver's alone, and leaves room for errors of pointing and gain.
pub fn trusts(problem: &Problem, models: &[Vec<f64>]) -> bool {
    match explains_with(problem, models) {
        Some(explained) if explained || problem.maps.noise.is_some() => explained,
        _ => problem.maps.maps.iter().zip(models).all(|(map, model)| is_even(map, model)),
    }
}

/// The sigma of normal residuals, glitches among them or not, from the median of their sizes; `None` where
/// there are none.
pub fn robust_sigma(residuals: impl Iterator<Item = f64>) -> Option<f64> {
    let mut sizes: Vec<f64> = residuals.map(f64::abs).collect();
    let middle = sizes.len() / 2;
    // Half of a standard normal distribution lies within this.
    let median =
        (!sizes.is_empty()).then(|| *sizes.select_nth_unstable_by(middle, f64::total_cmp).1);
    median.map(|median| median / 0.6745)
}

/// For maps of unknown noise: whether the residuals where the beam is bright stay near those where it is
/// faint, which are the noise, or at least within some per cent of the peak, which are the model's
/// imperfections.
fn is_even(map: &BeamMap, model: &[f64]) -> bool {
    let peak = model.iter().copied().fold(0.0, f64::max);
    if peak <= 0.0 {
        return false;
    }
    // Half of the residuals are below the median, whatever the glitches.
    let median = |bright: bool| {
        let pairs = map.power.iter().zip(model);
        let chosen = pairs.filter(|(p, m)| !p.is_nan() && (m.abs() > 0.1 * peak) == bright);
        robust_sigma(chosen.map(|(p, m)| p - m)).unwrap_or(0.0)
    };
    median(true) <= 2.0 * median(false) + 0.08 * peak
}
