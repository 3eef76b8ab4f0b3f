//! What a model leaves of a sample, in the noise's standard deviations, and what noise alone would.

use crate::optics::beam_map::{BeamMap, Noise, Sigma, range};

/// What a squared residual counts for at most, in variances: a few glitches must not condemn a fit.
pub const CLIP: f64 = 9.0;
/// The mean of `min(r^2, CLIP)` for a standard normal `r`: `1 - 2 (3 phi(3) - 8 Q(3))` with the normal
/// density `phi` and its tail `Q`.
const CLIPPED_MEAN: f64 = 0.995_007;
/// The variance of the same: `E r^4` inside the clip and its square outside, less the square of the mean.
pub const CLIPPED_VARIANCE: f64 = 1.901_5;
/// Samples that one thread looks at together.
pub const BLOCK: usize = 1 << 16;

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

/// The mean of squared residuals with the clip, in variances, where a part of the samples are `outliers`, which count for
/// the clip each.
pub fn clipped_mean(outliers: f64) -> f64 {
    CLIPPED_MEAN * (1.0 - outliers) + CLIP * outliers
}

/// A sum, and of how many.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Sum {
    pub total: f64,
    pub count: f64,
}

impl Sum {
    /// Adds a value once or not at all: `times` is 1 or 0.
    pub fn add(&mut self, times: f64, value: f64) {
        self.total += times * value;
        self.count += times;
    }

    pub fn and(self, other: Sum) -> Sum {
        Sum { total: self.total + other.total, count: self.count + other.count }
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

/// What is typically left of the samples whose model is `chosen`, as the sigma of a normal distribution: half of them
/// are below the median, whatever the glitches.
pub fn median_left(map: &BeamMap, model: &[f64], chosen: impl Fn(f64) -> bool) -> f64 {
    let pairs = map.power.iter().zip(model).filter(|(p, m)| !p.is_nan() && chosen(**m));
    robust_sigma(pairs.map(|(p, m)| p - m)).unwrap_or(0.0)
}

/// What is typically left beside the beam: the noise.
pub fn left_beside(map: &BeamMap, model: &[f64]) -> f64 {
    let peak = model.iter().copied().fold(0.0, f64::max);
    median_left(map, model, |m| m.abs() <= 0.1 * peak)
}

/// The part of a map's known samples that lies beside the beam, whatever its level.
pub fn sky(map: &BeamMap) -> f64 {
    let (low, high) = range(&map.power);
    let beside = |power: &&f64| **power - low <= 0.1 * (high - low);
    map.power.iter().filter(beside).count() as f64 / map.known().max(1) as f64
}
