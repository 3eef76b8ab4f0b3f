//! The pattern of what a model leaves where the beams are: larger than noise, and alike from sample to sample.
//!
//! Chi-square hardly sees a wrong optimum in weak signals: what that leaves is a small part of the noise of all samples.
//! But it lies where a beam is, of the model or of the map, and neighbours are alike in it.

use super::quality::{CLIP, CLIPPED_MEAN, CLIPPED_VARIANCE, variance};
use crate::optics::beam_map::{BeamMap, MapSet, Noise, Sampling, Sigma};
use rayon::prelude::*;

/// A parameter takes as much as this off the products of what is left of neighbours, in variances, for what it takes off
/// the squares: a smooth function's products at two neighbours.
const TAKEN: f64 = 1.5;
/// Parameters do so for one in this many bright samples at most.
const FEWEST: f64 = 8.0;
/// A beam that no sample of a model stands above the noise by so many standard deviations is faint.
const FAINT: f64 = 8.0;
/// In a map of a faint beam the beam is also where the mean of the sixteen samples around stands above the noise by so
/// many of its standard deviations, which noise hardly ever does.
const SHINES: f64 = 4.0;
/// Samples that one thread looks at together.
const BLOCK: usize = 1 << 16;

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

/// What is left of a map's beam.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Pattern {
    /// The squares of what is left of bright samples, in variances, with a clip.
    larger: Sum,
    /// The products of what is left of bright neighbours, along a row or the track, and from row to row.
    alike: Sum,
    /// Whether the model's beam hardly stands above the noise: there may be others as good.
    pub faint: bool,
}

impl Pattern {
    /// Of a map with this `model`, in a set with this `noise`. Where that is not known it is `seen`, the variance of what
    /// is left beside the beam with room for imperfections.
    pub fn of(map: &BeamMap, noise: Option<Noise>, seen: f64, model: &[f64]) -> Self {
        let known = noise.filter(|_| map.sigma != Sigma::Unknown);
        let variance = |i: usize, model: f64| match known {
            Some(noise) => variance(map, noise, i, model),
            None => (seen > 0.0).then_some(seen),
        };
        let over = |(i, &m): (usize, &f64)| variance(i, m).map_or(0.0, |v| m * m / v);
        let highest = model.par_iter().enumerate().map(over).reduce(|| 0.0, f64::max);
        let faint = highest < FAINT * FAINT;
        let width = match &map.sampling {
            Sampling::Raster { u, .. } => u.len(),
            Sampling::Scattered { .. } => usize::MAX,
        };
        // The sixteen samples two away from `i` tell nothing of the noise at `i` and beside it.
        let shines = |i: usize, variance: f64| {
            let inside = |step: usize| i % width >= 2 && i % width + 2 < width && i >= step;
            if !faint || width > map.power.len() || !inside(2 * width) {
                return false;
            }
            let row = |row: usize, step: usize| {
                let samples = map.power.get(row - 2..=row + 2).unwrap_or_default();
                samples.iter().step_by(step).sum::<f64>()
            };
            let sides = (i - width..=i + width).step_by(width).map(|row_of| row(row_of, 4));
            let ends = [i - 2 * width, i + 2 * width].map(|row_of| row(row_of, 1));
            let sum = sides.sum::<f64>() + ends.iter().sum::<f64>();
            sum > 4.0 * SHINES * variance.sqrt()
        };
        let left = |i: usize| {
            let (&model, power) = (model.get(i)?, map.power[i]);
            let variance = variance(i, model)?;
            let bright = model * model > CLIP * variance || shines(i, variance);
            let most = f64::sqrt(CLIP);
            (bright && !power.is_nan())
                .then(|| ((power - model) / variance.sqrt()).clamp(-most, most))
        };
        let block = |first: usize| {
            let mut pattern = Pattern { faint, ..Pattern::default() };
            for i in first..model.len().min(first + BLOCK) {
                let Some(here) = left(i) else { continue };
                pattern.larger.add(1.0, here * here);
                let beside = ((i + 1) % width != 0).then_some(i + 1);
                let neighbours = [beside, i.checked_add(width)].into_iter().flatten();
                neighbours.filter_map(left).for_each(|there| pattern.alike.add(1.0, here * there));
            }
            pattern
        };
        // Blocks, added in their order.
        let blocks = (0..model.len()).into_par_iter().step_by(BLOCK).map(block);
        blocks.collect::<Vec<_>>().into_iter().fold(Pattern::default(), Pattern::and)
    }

    fn and(self, other: Pattern) -> Pattern {
        Pattern {
            larger: self.larger.and(other.larger),
            alike: self.alike.and(other.alike),
            faint: self.faint || other.faint,
        }
    }
}

/// By how many standard deviations the `patterns` of all maps are those of a wrong model: smooth models that are wrong
/// leave both, noise neither. An `imperfect` model may leave so much more of the mean square, times five.
pub fn strength(maps: &MapSet, parameters: usize, patterns: &[Pattern], imperfect: f64) -> f64 {
    let noise = maps.noise.unwrap_or_default();
    let Pattern { larger, alike, .. } =
        patterns.iter().copied().fold(Pattern::default(), Pattern::and);
    let taken = (parameters as f64).min(larger.count / FEWEST);
    // Samples anywhere that follow each other need not be near.
    let raster = |map: &BeamMap| matches!(map.sampling, Sampling::Raster { .. });
    let of_products = if maps.maps.iter().all(raster) { TAKEN * taken } else { 0.0 };
    let above = |sum: Sum, mean: f64, taken: f64, variance: f64| {
        let excess = sum.total + taken - (mean + 5.0 * imperfect) * sum.count;
        if sum.count > 0.0 { excess / (variance * sum.count).sqrt() } else { 0.0 }
    };
    // Outliers that are known of count for the clip each.
    let clipped = CLIP * noise.outliers;
    let larger = above(larger, CLIPPED_MEAN + clipped, taken, CLIPPED_VARIANCE + CLIP * clipped);
    let mean = CLIP * noise.outliers.powi(2);
    let alike = above(alike, mean, of_products, (1.0 + clipped).powi(2));
    (larger + alike) / f64::sqrt(2.0)
}
