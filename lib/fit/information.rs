//! What the samples of maps tell of parameters: the curvature of the likelihood, and the scatter of the scores.
//!
//! A fitted scale is a parameter that the models do not depend on: with the residual `r` over the scale `s`,
//! whose logarithm is the parameter, a sample's score is `1 - psi(r) r`, and its second derivatives are
//! `psi'(r) r^2 + psi(r) r` and, with another parameter, `-(psi'(r) r + psi(r)) J / s`.

use super::likelihood::Likelihood;
use super::options::LikelihoodKind;
use super::predictions::SAMPLES_KEPT;
use super::problem::Problem;
use crate::device::Precision;
use crate::optics::beam_map::range;
use ndarray::linalg::general_mat_mul;
use ndarray::{Array1, Array2, ArrayView2, Axis, s};
use rayon::prelude::*;
use std::borrow::Cow;
use std::ops::Range;

/// What samples tell of parameters, in the parameters' lengths: `psi` is the derivative of a sample's negative
/// log-likelihood by its scaled residual `r`, and `J` that of the model over the scale.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Matrix {
    /// `sum psi'(r) J J'`
    Curvature,
    /// A bound of the curvature that is never negative: `sum psi(r) / r J J'`.
    Majorant,
    /// Of the scores: `sum psi(r)^2 J J'`.
    Scatter,
    /// The same of scores that are added first in each square of a beam's width, where what is left may be alike.
    Alike,
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

/// What the samples of a problem tell, as a likelihood weighs them.
pub(super) fn information<const N: usize>(
    problem: &Problem,
    likelihood: &Likelihood,
    which: &[usize],
    at: &[f64],
    matrices: [Matrix; N],
) -> [Array2<f64>; N] {
    let n = which.len();
    let mut sums = matrices.map(|_| Array2::zeros((n, n)));
    let count = problem.maps.maps.len();
    let together = if is_held(problem, n) { count } else { 1 };
    let (groups, factor) = (groups(problem, which), problem.scale_factor(which, at));
    // The curvature of least squares does not depend on what is left.
    let blind = likelihood.kind == LikelihoodKind::Gaussian
        && problem.scale_among(which).is_none()
        && !matrices.iter().any(|matrix| matches!(matrix, Matrix::Scatter | Matrix::Alike));
    for first in (0..count).step_by(together.max(1)) {
        let (models, tangents) =
            models_and_tangents(problem, which, &groups, at, first..first + together, blind);
        let maps = models.par_iter().zip(&tangents).enumerate();
        let one = |(i, (model, derivatives)): (usize, (&Vec<f64>, &Array2<f64>))| {
            let map = first + i;
            // Where a parameter's derivatives are among those of this map.
            let place = |j: usize| {
                let others = problem.model.owner(which[j]).is_some_and(|own| own.1 != map);
                groups.iter().position(|group| group.contains(&j)).filter(|_| !others)
            };
            let places: Vec<Option<usize>> = (0..n).map(place).collect();
            let samples = samples(problem, likelihood, map, model, factor);
            let product = |matrix| match matrix {
                Matrix::Alike => of_squares(problem, map, derivatives.view(), &samples),
                _ => {
                    let own = samples.iter().map(|s| s.map_or(0.0, |s| s.parts(matrix).own));
                    weighed(derivatives.view(), &own.collect::<Vec<f64>>())
                }
            };
            matrices.map(|matrix| {
                let product = product(matrix);
                of_map(problem, matrix, which, derivatives.view(), product, &places, &samples)
            })
        };
        // Added in their order.
        for parts in maps.map(one).collect::<Vec<_>>() {
            sums.iter_mut().zip(&parts).for_each(|(sum, part)| *sum += part);
        }
    }
    sums.iter_mut().for_each(|sum| forget_rounding(sum, problem.scale_among(which)));
    sums
}

/// Forgets what is said of parameters that change nothing but the last digits of derivatives in single precision.
/// (That of the `scale`, a place, is no derivative of the model.)
fn forget_rounding(matrix: &mut Array2<f64>, scale: Option<usize>) {
    let sizes = matrix.diag().mapv(|square| square.abs().sqrt());
    let of_model = || (0..sizes.len()).filter(|&i| Some(i) != scale);
    let largest = of_model().map(|i| sizes[i]).fold(0.0, f64::max);
    for i in of_model().filter(|&i| sizes[i] <= NOTHING * largest) {
        matrix.row_mut(i).fill(0.0);
        matrix.column_mut(i).fill(0.0);
    }
}

/// Makes ready what [`information`] about the free parameters asks a problem for.
pub(super) fn prepare(problem: &Problem) {
    let which = problem.free_places();
    let kept = problem.maps.samples() <= SAMPLES_KEPT;
    if kept && is_held(problem, which.len()) && !which.is_empty() {
        let directions = groups(problem, &which).len();
        problem.with_kept_function(FINE, &problem.start, |models, _| models.prepare_arrays());
        problem.with_kept_function(COARSE, &problem.start, |models, _| {
            models.prepare_tangents(directions)
        });
    }
}

/// What the samples of one map tell; a parameter's derivatives are the row at its place, and so in their `product`.
fn of_map(
    problem: &Problem,
    matrix: Matrix,
    which: &[usize],
    derivatives: ArrayView2<f64>,
    product: Array2<f64>,
    places: &[Option<usize>],
    samples: &[Option<Sample>],
) -> Array2<f64> {
    let parts = || samples.iter().map(|sample| sample.map_or(Parts::NONE, |s| s.parts(matrix)));
    let mut sum = Array2::from_shape_fn((which.len(), which.len()), |(j, k)| {
        places[j].zip(places[k]).map_or(0.0, |place| product[place])
    });
    if let Some(k) = problem.scale_among(which) {
        let length = problem.lengths[which[k]];
        let cross: Array1<f64> = parts().map(|part| part.cross).collect();
        for (j, place) in places.iter().enumerate() {
            let dot = length * place.map_or(0.0, |place| derivatives.row(place).dot(&cross));
            (sum[(k, j)], sum[(j, k)]) = (dot, dot);
        }
        sum[(k, k)] = length * length * parts().map(|part| part.scale).sum::<f64>();
    }
    sum
}

/// Whether the derivatives of all maps by `n` parameters are held together.
fn is_held(problem: &Problem, n: usize) -> bool {
    n * problem.maps.samples() <= DERIVATIVES_HELD
}

/// The models of some `maps`, empty where nobody will look at them, and for each the derivatives `(group, sample)` by
/// groups of parameters, in the parameters' lengths.
fn models_and_tangents(
    problem: &Problem,
    which: &[usize],
    groups: &[Vec<usize>],
    at: &[f64],
    maps: Range<usize>,
    blind: bool,
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
    let all = maps.len() == problem.maps.maps.len();
    let tangents = if all {
        let directions = directions(&problem.free_places());
        problem.with_kept_function(COARSE, at, |models, x| models.tangents(x, &directions))
    } else {
        let mut function = problem.prediction_function(which, at, maps.clone()).precision(COARSE);
        let x: Vec<f64> = which.iter().map(|&i| at[i]).collect();
        function.tangents(&x, &directions(which))
    };
    let models = match (blind, all) {
        (true, _) => vec![Vec::new(); maps.len()],
        (_, true) => problem.with_kept_function(FINE, at, |models, x| owned(models.arrays(x))),
        (_, false) => owned(problem.prediction_function(&[], at, maps).arrays(&[])),
    };
    (models, tangents)
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

/// `A S S' A'` of the derivatives `A` of a map and its samples' scores, where `S` adds those of every square of a beam's
/// width.
fn of_squares(
    problem: &Problem,
    map: usize,
    derivatives: ArrayView2<f64>,
    samples: &[Option<Sample>],
) -> Array2<f64> {
    let beam = problem.setup().beam();
    let (u, v) = problem.maps.maps[map].sampling.points();
    let [(west, east), (south, _)] = [range(&u), range(&v)];
    let square = |x: f64, first: f64| ((x - first) / beam).floor();
    let columns = square(east, west) + 1.0;
    let squares = u.iter().zip(&v).map(|(&u, &v)| square(v, south) * columns + square(u, west));
    let squares: Vec<f64> = squares.collect();
    let squares: Vec<u32> = problem.model.arrange(map, &squares, |square| square as u32);
    let count = squares.iter().max().map_or(0, |last| *last as usize + 1);
    let scores: Vec<f64> = samples.iter().map(|sample| sample.map_or(0.0, Sample::score)).collect();
    let mut sums = Array2::zeros((derivatives.nrows(), count));
    for (mut sums, row) in sums.rows_mut().into_iter().zip(derivatives.rows()) {
        let sums = sums.as_slice_mut().expect("rows are whole");
        let row = row.as_slice().expect("rows are whole");
        for ((score, square), derivative) in scores.iter().zip(&squares).zip(row) {
            sums[*square as usize] += score * derivative;
        }
    }
    sums.dot(&sums.t())
}

/// Places in `which` of parameters whose derivatives can be taken at once: of each map only one of a group
/// changes anything.
fn groups(problem: &Problem, which: &[usize]) -> Vec<Vec<usize>> {
    let kind = |j: usize| problem.model.owner(which[j]).map(|own| own.0);
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for j in (0..which.len()).filter(|&j| Some(which[j]) != problem.scale_place()) {
        let own = kind(j).and_then(|own| groups.iter_mut().find(|g| kind(g[0]) == Some(own)));
        match own {
            Some(group) => group.push(j),
            None => groups.push(vec![j]),
        }
    }
    groups
}

/// A sample that is known: what its residual is multiplied by, the product `r`, `psi / r` and `psi'` there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    weight: f64,
    r: f64,
    steepness: f64,
    slope: f64,
}

/// What a sample adds to a matrix: what `J J'` of the model is multiplied by, what `J` is in the row of a fitted scale,
/// and what there is of the scale alone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parts {
    pub own: f64,
    pub cross: f64,
    pub scale: f64,
}

impl Parts {
    pub const NONE: Parts = Parts { own: 0.0, cross: 0.0, scale: 0.0 };

    /// Those of both.
    pub fn and(self, more: Parts) -> Parts {
        Parts {
            own: self.own + more.own,
            cross: self.cross + more.cross,
            scale: self.scale + more.scale,
        }
    }
}

impl Sample {
    #[inline(always)]
    pub fn new(kind: LikelihoodKind, residual: f64, weight: f64) -> Self {
        let r = residual * weight;
        let (steepness, slope) = match kind {
            LikelihoodKind::Gaussian => (1.0, 1.0),
            LikelihoodKind::Cauchy => {
                let over = 1.0 / (1.0 + r * r);
                (2.0 * over, 2.0 * (1.0 - r * r) * over * over)
            }
        };
        Sample { weight, r, steepness, slope }
    }

    /// The derivative of its negative log-likelihood by what the model has for it.
    fn score(self) -> f64 {
        self.steepness * self.r * self.weight
    }

    #[inline(always)]
    pub fn parts(self, matrix: Matrix) -> Parts {
        let Sample { weight, r, steepness, slope } = self;
        let psi = steepness * r;
        let (mixed, by_scale) = (slope * r + psi, 1.0 - psi * r);
        let (own, cross, scale) = match matrix {
            Matrix::Curvature => (slope, -mixed, r * mixed),
            // For both kinds that of the scale is never negative.
            Matrix::Majorant => (steepness, 0.0, r * mixed),
            Matrix::Scatter | Matrix::Alike => (psi * psi, psi * by_scale, by_scale * by_scale),
        };
        Parts { own: own * weight * weight, cross: cross * weight, scale }
    }
}

/// The samples of a map, `None` for blanks, with nothing left of them where there is no model; `factor` multiplies the
/// map's scale.
fn samples(
    problem: &Problem,
    likelihood: &Likelihood,
    map: usize,
    model: &[f64],
    factor: f64,
) -> Vec<Option<Sample>> {
    let data = problem.model.arrange(map, &problem.maps.maps[map].power, |p| p);
    let weights = problem.weights(map).map(|w| problem.model.arrange(map, &w, |w| w));
    let common = 1.0 / (factor * likelihood.scales[map]);
    let one = |(i, d): (usize, &f64)| {
        let m = model.get(i).unwrap_or(d);
        let weight = weights.as_ref().map_or(common, |weights| common * weights[i]);
        (!d.is_nan()).then(|| Sample::new(likelihood.kind, m - d, weight))
    };
    data.iter().enumerate().map(one).collect()
}
