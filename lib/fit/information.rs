//! What the samples of maps tell of parameters: the curvature of the likelihood, and the scatter of the scores.
//!
//! A fitted scale is a parameter that the models do not depend on: with the residual `r` over the scale `s`,
//! whose logarithm is the parameter, a sample's score is `1 - psi(r) r`, and its second derivatives are
//! `psi'(r) r^2 + psi(r) r` and, with another parameter, `-(psi'(r) r + psi(r)) J / s`.

use super::likelihood::Likelihood;
use super::options::LikelihoodKind;
use super::problem::Problem;
use crate::device::Precision;
use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayView1, ArrayView2, Axis, s};
use rayon::prelude::*;
use std::borrow::Cow;
use std::ops::Range;

/// What samples tell of parameters, in the parameters' lengths: `psi` is the derivative of a sample's negative
/// log-likelihood by its scaled residual `r`, and `J` that of the model.
pub(super) struct Information {
    /// `sum psi'(r) J J'`
    pub curvature: Array2<f64>,
    /// One of [`Second`].
    pub second: Array2<f64>,
}

impl Information {
    /// Of nothing about `n` parameters.
    fn none(n: usize) -> Self {
        Information { curvature: Array2::zeros((n, n)), second: Array2::zeros((n, n)) }
    }

    /// Forgets what is said of parameters that change nothing but the last digits of derivatives in single
    /// precision. (That of the `scale`, a place, is no derivative of the model.)
    fn forget_rounding(&mut self, scale: Option<usize>) {
        let sizes = self.curvature.diag().mapv(|curvature| curvature.abs().sqrt());
        let of_model = || (0..sizes.len()).filter(|&i| Some(i) != scale);
        let largest = of_model().map(|i| sizes[i]).fold(0.0, f64::max);
        for i in of_model().filter(|&i| sizes[i] <= NOTHING * largest) {
            for matrix in self.both() {
                matrix.row_mut(i).fill(0.0);
                matrix.column_mut(i).fill(0.0);
            }
        }
    }

    pub fn both(&mut self) -> [&mut Array2<f64>; 2] {
        [&mut self.curvature, &mut self.second]
    }
}

/// A parameter does nothing when its derivative, for its length, is less than this part of the largest of any.
const NOTHING: f64 = 1e-6;

/// Samples whose products are formed together: their derivatives fit the second cache.
const CHUNK: usize = 256;

/// Samples whose products one thread forms.
const BLOCK: usize = 2048;

/// Derivatives of this many parameters and samples are held at a time, or those of one map; more are not formed for
/// the errors.
pub(super) const DERIVATIVES_HELD: usize = 4_000_000;

/// The precision of derivatives: a direction that changes nothing keeps the square of what rounding leaves for a
/// curvature; see [`degenerate`](super::degenerate).
const COARSE: Precision = Precision::F32;
/// That of residuals: of maps without noise they are nothing but rounding.
const FINE: Precision = Precision::F64;

/// What is wanted besides the curvature.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Second {
    Nothing,
    /// Of the scores: `sum psi(r)^2 J J'`.
    Scatter,
    /// A bound of the curvature that is never negative: `sum psi(r) / r J J'`.
    Majorant,
}

/// The information in the samples of a problem, as a likelihood weighs them.
pub(super) fn information(
    problem: &Problem,
    likelihood: &Likelihood,
    which: &[usize],
    at: &[f64],
    second: Second,
) -> Information {
    let n = which.len();
    let mut sum = Information::none(n);
    let count = problem.maps.maps.len();
    let together = if is_held(problem, n) { count } else { 1 };
    let (groups, factor) = (groups(problem, which), problem.scale_factor(which, at));
    for first in (0..count).step_by(together.max(1)) {
        let (models, tangents) = models(problem, which, &groups, at, first..first + together);
        let maps = models.par_iter().zip(&tangents).enumerate();
        let one = |(i, (model, derivatives)): (usize, (&Vec<f64>, &Array2<f64>))| {
            let map = first + i;
            // Where a parameter's derivatives are among those of this map.
            let place = |j: usize| {
                let others = problem.model.map_of(which[j]).is_some_and(|own| own.1 != map);
                groups.iter().position(|group| group.contains(&j)).filter(|_| !others)
            };
            let places: Vec<Option<usize>> = (0..n).map(place).collect();
            let samples = samples(problem, likelihood, map, model, factor);
            of_map(problem, likelihood.kind, which, derivatives.view(), &places, &samples, second)
        };
        // Added in their order.
        for mut part in maps.map(one).collect::<Vec<Information>>() {
            sum.both().into_iter().zip(part.both()).for_each(|(sum, part)| *sum += &*part);
        }
    }
    sum.forget_rounding(problem.scale_among(which));
    sum
}

/// Makes ready what [`information`] about the free parameters asks a problem for.
pub(super) fn prepare(problem: &Problem) {
    let which = problem.free_up_to(problem.options.order);
    if is_held(problem, which.len()) && !which.is_empty() {
        let directions = groups(problem, &which).len();
        problem.with_models(FINE, &problem.start, |models, _| models.prepare_arrays());
        problem
            .with_models(COARSE, &problem.start, |models, _| models.prepare_tangents(directions));
    }
}

/// The information in the samples of one map; a parameter's derivatives are the row at its place.
fn of_map(
    problem: &Problem,
    kind: LikelihoodKind,
    which: &[usize],
    derivatives: ArrayView2<f64>,
    places: &[Option<usize>],
    samples: &[Option<Sample>],
    second: Second,
) -> Information {
    let mut sum = Information::none(which.len());
    let (other, slope) = weights(kind, samples, second);
    for (sum, weights) in sum.both().into_iter().zip([slope, other]) {
        if weights.is_empty() {
            continue;
        }
        let product = weighed(derivatives, &weights);
        for ((j, k), sum) in sum.indexed_iter_mut() {
            if let (Some(j), Some(k)) = (places[j], places[k]) {
                *sum = product[(j, k)];
            }
        }
    }
    if let Some(k) = problem.scale_among(which) {
        let length = problem.lengths[which[k]];
        let of_scale = of_scale(samples, second);
        for (sum, [cross, own]) in sum.both().into_iter().zip(&of_scale) {
            for j in (0..which.len()).filter(|&j| j != k && !cross.is_empty()) {
                let dot = |place| derivatives.row(place).dot(&ArrayView1::from(&cross[..]));
                let sum_of = places[j].map_or(0.0, dot);
                sum[(k, j)] = length * sum_of;
                sum[(j, k)] = length * sum_of;
            }
            sum[(k, k)] = length * length * own.iter().sum::<f64>();
        }
    }
    sum
}

/// Whether the derivatives of all maps by `n` parameters are held together.
fn is_held(problem: &Problem, n: usize) -> bool {
    n * problem.maps.samples() <= DERIVATIVES_HELD
}

/// The models of some `maps`, and for each the derivatives `(group, sample)` by groups of parameters, in the
/// parameters' lengths.
fn models(
    problem: &Problem,
    which: &[usize],
    groups: &[Vec<usize>],
    at: &[f64],
    maps: Range<usize>,
) -> (Vec<Vec<f64>>, Vec<Array2<f64>>) {
    let directions = |of: &[usize]| -> Vec<Vec<f64>> {
        let place = |j: usize| of.iter().position(|&i| i == which[j]).expect("a free parameter");
        let one = |group: &Vec<usize>| {
            let mut v = vec![0.0; of.len()];
            group.iter().for_each(|&j| v[place(j)] = problem.lengths[which[j]]);
            v
        };
        groups.iter().map(one).collect()
    };
    if maps.len() == problem.maps.maps.len() {
        let free = problem.free_up_to(problem.options.order);
        let models = problem.with_models(FINE, at, |models, x| owned(models.arrays(x)));
        let directions = directions(&free);
        let tangents = problem.with_models(COARSE, at, |models, x| models.tangents(x, &directions));
        return (models, tangents);
    }
    let models = owned(problem.modelled(&[], at, maps.clone()).arrays(&[]));
    let mut function = problem.modelled(which, at, maps).precision(COARSE);
    let x: Vec<f64> = which.iter().map(|&i| at[i]).collect();
    (models, function.tangents(&x, &directions(which)))
}

fn owned(arrays: Vec<Cow<[f64]>>) -> Vec<Vec<f64>> {
    arrays.into_iter().map(Cow::into_owned).collect()
}

/// `A W A'` of a matrix `(parameter, sample)` and the samples' weights.
fn weighed(matrix: ArrayView2<f64>, weights: &[f64]) -> Array2<f64> {
    let n = matrix.nrows();
    // Blocks, added in their order; of each, chunks that fit the second cache.
    let block = |(matrix, weights): (ArrayView2<f64>, &[f64])| {
        let mut sum = Array2::zeros((n, n));
        let mut scaled = Array2::zeros((n, CHUNK));
        for (matrix, weights) in matrix.axis_chunks_iter(Axis(1), CHUNK).zip(weights.chunks(CHUNK))
        {
            let mut scaled = scaled.slice_mut(s![.., ..weights.len()]);
            for (mut scaled, row) in scaled.rows_mut().into_iter().zip(matrix.rows()) {
                let row = row.as_slice().expect("rows are whole").iter();
                let scaled = scaled.as_slice_mut().expect("rows are whole").iter_mut();
                scaled
                    .zip(row.zip(weights))
                    .for_each(|(scaled, (value, weight))| *scaled = value * weight);
            }
            general_mat_mul(1.0, &scaled, &matrix.t(), 1.0, &mut sum);
        }
        sum
    };
    let blocks = matrix.axis_chunks_iter(Axis(1), BLOCK).zip(weights.chunks(BLOCK));
    let sums: Vec<Array2<f64>> = blocks.collect::<Vec<_>>().into_par_iter().map(block).collect();
    sums.into_iter().fold(Array2::zeros((n, n)), |sum, block| sum + block)
}

/// Places in `which` of parameters whose derivatives can be taken at once: of each map only one of a group
/// changes anything.
fn groups(problem: &Problem, which: &[usize]) -> Vec<Vec<usize>> {
    let kind = |j: usize| problem.model.map_of(which[j]).map(|own| own.0);
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for j in (0..which.len()).filter(|&j| Some(which[j]) != problem.of_scale()) {
        let own = kind(j).and_then(|own| groups.iter_mut().find(|g| kind(g[0]) == Some(own)));
        match own {
            Some(group) => group.push(j),
            None => groups.push(vec![j]),
        }
    }
    groups
}

/// A sample that is known: its scale, its residual over that, `psi` and `psi'` there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    scale: f64,
    r: f64,
    psi: f64,
    slope: f64,
}

/// The samples of a map, `None` for blanks; `factor` multiplies its scale.
pub(super) fn samples(
    problem: &Problem,
    likelihood: &Likelihood,
    map: usize,
    model: &[f64],
    factor: f64,
) -> Vec<Option<Sample>> {
    let data = problem.model.arrange(map, &problem.maps.maps[map].power, |p| p);
    let weights = problem.weights(map).map(|w| problem.model.arrange(map, &w, |w| w));
    let one = |(i, (d, m)): (usize, (&f64, &f64))| {
        let scale = factor * likelihood.scales[map] / weights.as_ref().map_or(1.0, |w| w[i]);
        let r = (m - d) / scale;
        let (psi, slope) = match likelihood.kind {
            _ if d.is_nan() => return None,
            LikelihoodKind::Gaussian => (r, 1.0),
            LikelihoodKind::Cauchy => {
                let q = 1.0 + r * r;
                (2.0 * r / q, 2.0 * (1.0 - r * r) / (q * q))
            }
        };
        Some(Sample { scale, r, psi, slope })
    };
    data.iter().zip(model).enumerate().map(one).collect()
}

/// For every sample what `second` weighs with, if anything, and `psi'`, over the square of its scale.
pub(super) fn weights(
    kind: LikelihoodKind,
    samples: &[Option<Sample>],
    second: Second,
) -> (Vec<f64>, Vec<f64>) {
    let of = |f: &dyn Fn(Sample) -> f64| -> Vec<f64> {
        let over = |s: Sample| f(s) / (s.scale * s.scale);
        samples.iter().map(|sample| sample.map_or(0.0, over)).collect()
    };
    let other = match (second, kind) {
        (Second::Nothing, _) => Vec::new(),
        (Second::Scatter, _) => of(&|s| s.psi * s.psi),
        (Second::Majorant, LikelihoodKind::Gaussian) => of(&|_| 1.0),
        (Second::Majorant, LikelihoodKind::Cauchy) => of(&|s| 2.0 / (1.0 + s.r * s.r)),
    };
    (other, of(&|s| s.slope))
}

/// What a fitted scale adds to the curvature, and then to the second block: what `J` is weighed with, and
/// its own.
pub(super) fn of_scale(samples: &[Option<Sample>], second: Second) -> [[Vec<f64>; 2]; 2] {
    let of = |f: fn(Sample) -> f64| -> Vec<f64> {
        samples.iter().map(|sample| sample.map_or(0.0, f)).collect()
    };
    let own = of(|s| s.r * (s.slope * s.r + s.psi));
    let cross = of(|s| -(s.slope * s.r + s.psi) / s.scale);
    let other = match second {
        Second::Nothing => Default::default(),
        Second::Scatter => {
            [of(|s| s.psi * (1.0 - s.psi * s.r) / s.scale), of(|s| (1.0 - s.psi * s.r).powi(2))]
        }
        // For both kinds its own is never negative.
        Second::Majorant => [Vec::new(), own.clone()],
    };
    [[cross, own], other]
}
