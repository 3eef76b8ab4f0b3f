//! Whether an optimum explains the maps.

use super::problem::Problem;
use crate::optics::beam_map::{BeamMap, Noise, Sigma};

/// What a squared residual counts for at most, in variances: a few glitches must not condemn a fit.
pub const CLIP: f64 = 9.0;
/// Noise alone reaches the root of this hardly ever, in standard deviations.
const CERTAIN: f64 = 25.0;
/// The mean of `min(r^2, CLIP)` for a standard normal `r`: `1 - 2 (3 phi(3) - 8 Q(3))` with the normal
/// density `phi` and its tail `Q`.
const CLIPPED_MEAN: f64 = 0.995_007;
/// How far the clipped mean of a map may lie above 1 for imperfections of the model, besides five standard
/// deviations; that of all maps half as far, and that of the beam alone, where a model's imperfections are,
/// five times as far.
const ALLOWANCE: f64 = 0.1;
/// The same for all samples of a simulation, whose noise is all there is: its aperture may be another.
const SIMULATED: f64 = 0.02;

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
    explains_with(problem, &problem.model_maps(at), ALLOWANCE)
}

/// The same for models that are at hand.
fn explains_with(problem: &Problem, models: &[Vec<f64>], imperfect: f64) -> Option<bool> {
    let noise = problem.maps.noise.unwrap_or_default();
    // Outliers that are known of count for the clip each.
    let expected = CLIPPED_MEAN + CLIP * noise.outliers;
    let limit =
        |allowance: f64, count: f64| (expected + allowance) * count + 5.0 * f64::sqrt(2.0 * count);
    let (mut all, mut total, mut known) = (true, 0.0, 0.0);
    for (map, model) in problem.maps.maps.iter().zip(models) {
        // Of all samples, and of those where the beam stands above the noise: an empty sky around it, which
        // any model explains, must not hide what is left there. And how many of those that are bright for
        // certain the model misses.
        let [mut whole, mut bright] = [(0.0, 0.0); 2];
        let (mut certain, mut missed) = (0.0, 0.0);
        for (i, (p, m)) in map.power.iter().zip(model).enumerate() {
            if p.is_nan() {
                continue;
            }
            let variance = variance(map, noise, i, *m)?;
            let square = ((p - m).powi(2) / variance).min(CLIP);
            whole = (whole.0 + square, whole.1 + 1.0);
            if m * m > CLIP * variance {
                bright = (bright.0 + square, bright.1 + 1.0);
            }
            if *p > 0.0 && p * p > CERTAIN * variance {
                certain += 1.0;
                missed += if square == CLIP { 1.0 } else { 0.0 };
            }
        }
        let glitches = noise.outliers * whole.1;
        all &= missed <= glitches + 5.0 * f64::sqrt(glitches) + 0.1 * certain + 3.0;
        all &= whole.0 <= limit(imperfect, whole.1);
        all &= bright.0 <= limit(5.0 * imperfect, bright.1);
        (total, known) = (total + whole.0, known + whole.1);
    }
    all &= total <= limit(0.5 * imperfect, known);
    Some(all)
}

/// Whether the models can be trusted. The noise of a simulation is all there is; what a telescope's file
/// has for sigma is its receiver's alone, and leaves room for errors of pointing and gain.
pub fn trusts(problem: &Problem, models: &[Vec<f64>]) -> bool {
    let simulated = problem.maps.noise.is_some();
    match explains_with(problem, models, if simulated { SIMULATED } else { ALLOWANCE }) {
        Some(explained) if explained || simulated => explained,
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
