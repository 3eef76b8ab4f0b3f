//! The pattern of what a model leaves where the beams are: larger than noise, and alike from sample to sample.
//!
//! Chi-square hardly sees a wrong optimum in weak signals: what that leaves is a small part of the noise of all samples.
//! But it lies where a beam is, of the model or of the map, and neighbours are alike in it.

use super::residual::{BLOCK, CLIP, CLIPPED_VARIANCE, Sum, clipped_mean, variance};
use crate::optics::beam_map::{BeamMap, MapSet, Noise, Sampling, Sigma};
use rayon::prelude::*;
use std::ops::Range;

/// A parameter takes as much as this off the products of what is left of neighbours, in variances, for what it takes off
/// the squares: a smooth function's products at two neighbours.
const TAKEN: f64 = 1.5;
/// Parameters do so for one in this many bright samples at most.
const FEWEST: f64 = 8.0;
/// The [`signal`](Pattern::signal) of a faint beam is less. (Of 500 fits each at 24 to 40 some went astray, at 80 none.)
const FAINT: f64 = 50.0;
/// In a map of a faint beam the beam is also where the mean of the sixteen samples around stands above the noise by so
/// many of its standard deviations, which noise hardly ever does.
const SHINES: f64 = 4.0;

/// What is left of a map's beam.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Pattern {
    /// The squares of what is left of bright samples, in variances, with a clip.
    larger: Sum,
    /// The products of what is left of bright neighbours, along a row or the track, and from row to row.
    alike: Sum,
    /// The squares of the model over the variance of the noise.
    energy: f64,
}

/// The noise of a map where it is not known, variances.
#[derive(Debug, Clone, Copy, Default)]
pub struct Seen {
    /// What is left beside the beam.
    pub noise: f64,
    /// What imperfections of a model may leave of the beam.
    pub imperfect: f64,
}

impl Pattern {
    /// Of a map with this `model`, in a set with this `noise`; where that is not known it is `seen`.
    pub fn of(map: &BeamMap, noise: Option<Noise>, seen: Seen, model: &[f64]) -> Self {
        let known = noise.filter(|_| map.sigma != Sigma::Unknown);
        let variance = |i: usize, model: f64, more: f64| match known {
            Some(noise) => variance(map, noise, i, model),
            None => Some(seen.noise + more).filter(|variance| *variance > 0.0),
        };
        // Blocks, added in their order.
        let sum = |of: &(dyn Fn(Range<usize>) -> Pattern + Sync)| {
            let blocks = (0..model.len()).into_par_iter().step_by(BLOCK);
            let blocks = blocks.map(|first| of(first..model.len().min(first + BLOCK)));
            blocks.collect::<Vec<_>>().into_iter().fold(Pattern::default(), Pattern::and)
        };
        // (A beam above no noise is as bright as can be.)
        let energy = |i: usize| match variance(i, model[i], 0.0) {
            _ if map.power[i].is_nan() => 0.0,
            Some(variance) => model[i] * model[i] / variance,
            None => f64::INFINITY,
        };
        let energy =
            sum(&|block| Pattern { energy: block.map(energy).sum(), ..Pattern::default() });
        let width = match &map.sampling {
            Sampling::Raster { u, .. } => u.len(),
            Sampling::Scattered { .. } => usize::MAX,
        };
        let around = energy.is_faint() && width <= model.len();
        let left = |i: usize| {
            let (&model, power) = (model.get(i)?, map.power[i]);
            let variance = variance(i, model, seen.imperfect)?;
            let limit = SHINES * variance.sqrt();
            let bright = model * model > CLIP * variance
                || (around && ring(&map.power, width, i).is_some_and(|sum| sum > 4.0 * limit));
            let most = f64::sqrt(CLIP);
            (bright && !power.is_nan())
                .then(|| ((power - model) / variance.sqrt()).clamp(-most, most))
        };
        let rest = sum(&|block| {
            let mut pattern = Pattern::default();
            for i in block {
                let Some(here) = left(i) else { continue };
                pattern.larger.add(1.0, here * here);
                let beside = ((i + 1) % width != 0).then_some(i + 1);
                let neighbours = [beside, i.checked_add(width)].into_iter().flatten();
                neighbours.filter_map(left).for_each(|there| pattern.alike.add(1.0, here * there));
            }
            pattern
        });
        energy.and(rest)
    }

    /// By how many standard deviations the whole beam stands above the noise.
    pub fn signal(&self) -> f64 {
        self.energy.sqrt()
    }

    /// Which part of their variance bright neighbours have in common; 0 where there are none.
    pub fn likeness(&self) -> f64 {
        let mean = |sum: Sum| sum.total / sum.count.max(1.0);
        if mean(self.larger) > 0.0 { mean(self.alike) / mean(self.larger) } else { 0.0 }
    }

    /// Whether there may be other optima that are as good or better.
    pub fn is_faint(&self) -> bool {
        self.signal() < FAINT
    }

    fn and(self, other: Pattern) -> Pattern {
        Pattern {
            larger: self.larger.and(other.larger),
            alike: self.alike.and(other.alike),
            energy: self.energy + other.energy,
        }
    }
}

/// The sum of the sixteen samples of a raster that lie two away from sample `i`, which tell nothing of the noise there and
/// next to it; `None` at an edge.
fn ring(power: &[f64], width: usize, i: usize) -> Option<f64> {
    if i < 2 * width || i % width < 2 || i % width + 2 >= width {
        return None;
    }
    let row = |at: usize, step: usize| -> Option<f64> {
        Some(power.get(at - 2..=at + 2)?.iter().step_by(step).sum())
    };
    let ends = row(i - 2 * width, 1)? + row(i + 2 * width, 1)?;
    Some(ends + row(i - width, 4)? + row(i, 4)? + row(i + width, 4)?)
}

/// By how many standard deviations the `patterns` of all maps are those of a wrong model: smooth models that are wrong
/// leave both, noise neither. An `imperfect` model may leave so much more of the mean square, times five.
pub fn strength(maps: &MapSet, parameters: usize, patterns: &[Pattern], imperfect: f64) -> f64 {
    let noise = maps.noise.unwrap_or_default();
    let Pattern { larger, alike, .. } =
        patterns.iter().copied().fold(Pattern::default(), Pattern::and);
    let taken = (parameters as f64).min(larger.count / FEWEST);
    // Samples anywhere that follow each other need not be near.
    let rasters = maps.maps.iter().all(|map| map.sampling.is_raster());
    let of_products = if rasters { TAKEN * taken } else { 0.0 };
    let above = |sum: Sum, mean: f64, taken: f64, variance: f64| {
        let excess = sum.total + taken - (mean + 5.0 * imperfect) * sum.count;
        if sum.count > 0.0 { excess / (variance * sum.count).sqrt() } else { 0.0 }
    };
    let clipped = CLIP * noise.outliers;
    let mean = clipped_mean(noise.outliers);
    let larger = above(larger, mean, taken, CLIPPED_VARIANCE + CLIP * clipped);
    let mean = CLIP * noise.outliers.powi(2);
    let alike = above(alike, mean, of_products, (1.0 + clipped).powi(2));
    (larger + alike) / f64::sqrt(2.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use rand_distr::StandardNormal;

    /// A wide beam `high` above a noise of 1, and its model, on a raster 64 samples wide and `rows` high.
    fn beam(high: f64, rows: usize) -> (BeamMap, Vec<f64>) {
        let mut random = ChaCha8Rng::seed_from_u64(2);
        let axis = |n: usize| (0..n).map(|i| i as f64 - 0.5 * n as f64).collect::<Vec<f64>>();
        let (u, v) = (axis(64), axis(rows));
        let at = |u: f64, v: f64| high * (-(u * u + v * v) / 100.0).exp();
        let model: Vec<f64> = v.iter().flat_map(|&v| u.iter().map(move |&u| at(u, v))).collect();
        let noise = |m: &f64| m + random.sample::<f64, _>(StandardNormal);
        let power = model.iter().map(noise).collect();
        let (name, sigma) = ("beam".to_string(), Sigma::Constant(1.0));
        let sampling = Sampling::Raster { u, v };
        (BeamMap { name, defocus: 0.0, sampling, power, sigma }, model)
    }

    #[test]
    fn a_faint_beam_that_a_model_has_not_is_seen_in_the_map() {
        let noise = Some(Noise::default());
        let (map, model) = beam(2.5, 64);
        let maps = MapSet { maps: vec![map.clone()], noise, ..MapSet::default() };
        let found = |model: &[f64]| {
            let pattern = Pattern::of(&map, noise, Seen::default(), model);
            (strength(&maps, 0, &[pattern], 0.0), pattern.signal())
        };
        // No sample of either is three standard deviations high; the squares' sum is 2.5^2 pi 50.
        let (right, signal) = found(&model);
        assert!(right < 1.5 && (signal - 31.3).abs() < 0.1, "{right} {signal}");
        let (wrong, signal) = found(&vec![0.0; model.len()]);
        assert!(wrong > 10.0 && signal == 0.0, "{wrong} {signal}");
    }

    /// Blanks are no part of a beam, and no model above no noise is faint.
    #[test]
    fn a_signal_is_of_what_was_observed() {
        let (mut map, model) = beam(2.5, 64);
        let signal = |map: &BeamMap, noise, seen| Pattern::of(map, noise, seen, &model).signal();
        let whole = signal(&map, Some(Noise::default()), Seen::default());
        map.power[..32 * 64].fill(f64::NAN);
        let half = signal(&map, Some(Noise::default()), Seen::default());
        assert!((half * half / whole / whole - 0.5).abs() < 0.1, "{half} {whole}");
        let seen = Seen { noise: 4.0, imperfect: 1.0 };
        assert!((signal(&map, None, seen) / half - 0.5).abs() < 1e-12);
        assert_eq!(signal(&map, None, Seen::default()), f64::INFINITY);
    }

    #[test]
    fn the_last_sample_of_a_row_is_no_neighbour_of_the_next_rows_first() {
        // One bright column at each edge, of opposite signs: only samples above each other are alike.
        let (mut map, mut model) = beam(0.0, 8);
        for row in 0..8 {
            for (column, left) in [(0, 1.0), (63, -1.0)] {
                model[64 * row + column] = 20.0;
                map.power[64 * row + column] = 20.0 + left;
            }
        }
        let pattern = Pattern::of(&map, Some(Noise::default()), Seen::default(), &model);
        // Seven pairs in each of two columns.
        assert_eq!((pattern.alike.total, pattern.alike.count), (14.0, 14.0));
    }
}
