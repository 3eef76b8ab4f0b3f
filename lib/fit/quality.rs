//! Whether an optimum explains the maps.

use super::problem::Problem;
use crate::optics::beam_map::{BeamMap, MapSet, Noise, Sigma};

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

/// What a model leaves of a map.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Residuals {
    /// Samples that are not blank, and the sum of the squares of what is left there.
    pub samples: usize,
    pub square: f64,
    /// The same over the variances; `None` where the noise is not known.
    pub chi2: Option<f64>,
    /// Sums of the same with a clip, and how many samples, of all and of those where the beam stands above
    /// the noise: an empty sky around it, which any model explains, must not hide what is left there.
    whole: (f64, f64),
    bright: (f64, f64),
    /// How many samples are bright for certain, and how many of those the model misses.
    certain: f64,
    missed: f64,
    /// For maps that are not a simulation's: see [`is_even`].
    even: bool,
}

impl Residuals {
    /// Of a map with this `model`, in a set with this `noise`.
    pub fn of(map: &BeamMap, noise: Option<Noise>, model: &[f64]) -> Self {
        let even = noise.is_some() || is_even(map, model);
        let noise = noise.unwrap_or_default();
        let (mut samples, mut square, mut chi2) = (0, 0.0, 0.0);
        let [mut whole, mut bright] = [(0.0, 0.0); 2];
        let (mut certain, mut missed, mut known) = (0.0, 0.0, true);
        for (i, (p, m)) in map.power.iter().zip(model).enumerate() {
            if p.is_nan() {
                continue;
            }
            samples += 1;
            let residual = (p - m) * (p - m);
            square += residual;
            let Some(variance) = variance(map, noise, i, *m) else {
                known = false;
                continue;
            };
            chi2 += residual / variance;
            let clipped = (residual / variance).min(CLIP);
            whole = (whole.0 + clipped, whole.1 + 1.0);
            if m * m > CLIP * variance {
                bright = (bright.0 + clipped, bright.1 + 1.0);
            }
            if *p > 0.0 && p * p > CERTAIN * variance {
                certain += 1.0;
                missed += if clipped == CLIP { 1.0 } else { 0.0 };
            }
        }
        let chi2 = known.then_some(chi2);
        Residuals { samples, square, chi2, whole, bright, certain, missed, even }
    }
}

/// What the model at `at` leaves of every map; with the models, where they are to be kept.
pub fn residuals(problem: &Problem, at: &[f64], keep: bool) -> (Vec<Residuals>, Vec<Vec<f64>>) {
    let MapSet { maps, noise, .. } = problem.maps;
    let both = problem.models(at, |k, model| {
        let residuals = Residuals::of(&maps[k], *noise, &model);
        (residuals, if keep { model } else { Vec::new() })
    });
    let (residuals, models) = both.into_iter().unzip();
    (residuals, if keep { models } else { Vec::new() })
}

/// Whether the model at `at` leaves of every map what its noise leaves; `None` where the noise is not
/// known.
pub fn explains(problem: &Problem, at: &[f64]) -> Option<bool> {
    explained(&residuals(problem, at, false).0, problem.maps.noise, ALLOWANCE)
}

/// The same from what is left.
fn explained(maps: &[Residuals], noise: Option<Noise>, imperfect: f64) -> Option<bool> {
    let outliers = noise.unwrap_or_default().outliers;
    // Outliers that are known of count for the clip each.
    let expected = CLIPPED_MEAN + CLIP * outliers;
    let limit =
        |allowance: f64, count: f64| (expected + allowance) * count + 5.0 * f64::sqrt(2.0 * count);
    let (mut all, mut total, mut known) = (true, 0.0, 0.0);
    for map in maps {
        map.chi2?;
        let Residuals { whole, bright, certain, missed, .. } = map;
        let glitches = outliers * whole.1;
        all &= *missed <= glitches + 5.0 * f64::sqrt(glitches) + 0.1 * certain + 3.0;
        all &= whole.0 <= limit(imperfect, whole.1);
        all &= bright.0 <= limit(5.0 * imperfect, bright.1);
        (total, known) = (total + whole.0, known + whole.1);
    }
    all &= total <= limit(0.5 * imperfect, known);
    Some(all)
}

/// Whether models that leave this can be trusted. The noise of a simulation is all there is; what a
/// telescope's file has for sigma is its receiver's alone, and leaves room for errors of pointing and gain.
pub fn trusts(maps: &[Residuals], noise: Option<Noise>) -> bool {
    let simulated = noise.is_some();
    match explained(maps, noise, if simulated { SIMULATED } else { ALLOWANCE }) {
        Some(explained) if explained || simulated => explained,
        _ => maps.iter().all(|map| map.even),
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
