//! How sure the parameters are: the sandwich estimate of their covariance.
//!
//! A fitted scale is a parameter that the models do not depend on: with the residual `r` over the scale `s`,
//! whose logarithm is the parameter, a sample's score is `1 - psi(r) r`, and its second derivatives are
//! `psi'(r) r^2 + psi(r) r` and, with another parameter, `-(psi'(r) r + psi(r)) J / s`.

use super::degenerate::{self, Direction};
use super::level;
use super::likelihood::Likelihood;
use super::options::LikelihoodKind;
use super::problem::Problem;
use crate::device::Precision;
use crate::error::Result;
use crate::optics::beam_map::MapSet;
use crate::optics::model::BACKGROUND;
use nalgebra::DMatrix;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};
use rayon::prelude::*;

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

    fn both(&mut self) -> [&mut Array2<f64>; 2] {
        [&mut self.curvature, &mut self.second]
    }
}

/// A parameter does nothing when its derivative, for its length, is less than this part of the largest of any.
const NOTHING: f64 = 1e-6;

/// Samples whose products are formed together: their derivatives fit the second cache.
const CHUNK: usize = 1024;

/// Derivatives of this many parameters and samples are held at a time, or those of one map.
const DERIVATIVES_HELD: usize = 4_000_000;

/// What is wanted besides the curvature.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Second {
    Nothing,
    /// Of the scores: `sum psi(r)^2 J J'`.
    Scatter,
    /// A bound of the curvature that is never negative: `sum psi(r) / r J J'`.
    Majorant,
}

/// The information in the samples of a problem, as a likelihood weighs them.
fn information(
    problem: &Problem,
    likelihood: &Likelihood,
    which: &[usize],
    at: &[f64],
    second: Second,
) -> Information {
    let n = which.len();
    let mut sum = Information::none(n);
    let maps = &problem.maps.maps;
    let count = problem.maps.samples();
    let together = if n * count <= DERIVATIVES_HELD { maps.len() } else { 1 };
    let (groups, factor) = (groups(problem, which), problem.scale_factor(which, at));
    for first in (0..maps.len()).step_by(together.max(1)) {
        let mut model = problem.modelled(&[], at, first..first + together);
        let models = model.arrays(&[]);
        drop(model);
        let mut model = problem.modelled(which, at, first..first + together);
        // A direction that changes nothing keeps the square of what rounding leaves for a curvature: see
        // `degenerate`. The residuals are another matter: of maps without noise they are nothing but rounding.
        model = model.precision(Precision::F32);
        let x = vec![0.0; n];
        let direction = |group: &Vec<usize>| {
            let mut v = vec![0.0; n];
            group.iter().for_each(|&j| v[j] = 1.0);
            v
        };
        let directions: Vec<Vec<f64>> = groups.iter().map(direction).collect();
        let columns = model.tangents(&x, &directions);
        for (i, model) in models.iter().enumerate() {
            let column = |j: usize| {
                let group = groups.iter().position(|group| group.contains(&j));
                let others = problem.model.map_of(which[j]).is_some_and(|own| own.1 != first + i);
                group.filter(|_| !others).map(|group| &columns[group][i])
            };
            let samples = samples(problem, likelihood, first + i, model, factor);
            let (other, slope) = derivatives(likelihood.kind, &samples, second);
            let product = |chunk: usize| {
                let range = chunk * CHUNK..((chunk + 1) * CHUNK).min(slope.len());
                let mut rows = Array2::zeros((n, range.len()));
                for (j, mut row) in rows.outer_iter_mut().enumerate() {
                    if let Some(column) = column(j) {
                        row.assign(&ArrayView1::from(&column[range.clone()]));
                    }
                }
                let weighed = |weights: &[f64]| {
                    (&rows * &ArrayView1::from(&weights[range.clone()])).dot(&rows.t())
                };
                let second = match second {
                    Second::Nothing => Array2::zeros((n, n)),
                    Second::Scatter | Second::Majorant => weighed(&other),
                };
                [weighed(&slope), second]
            };
            // Products of chunks, added in their order.
            let chunks = (0..slope.len().div_ceil(CHUNK)).into_par_iter();
            let products: Vec<[Array2<f64>; 2]> = chunks.map(product).collect();
            for product in &products {
                sum.both().into_iter().zip(product).for_each(|(sum, product)| *sum += product);
            }
            if let Some(k) = problem.scale_among(which) {
                let length = problem.lengths[which[k]];
                let of_scale = of_scale(&samples, second);
                for (sum, [cross, own]) in sum.both().into_iter().zip(&of_scale) {
                    for j in (0..n).filter(|&j| j != k) {
                        let dot = |c: &Vec<f64>| c.iter().zip(cross).map(|(a, b)| a * b).sum();
                        let sum_of: f64 = column(j).map_or(0.0, dot);
                        sum[(k, j)] += length * sum_of;
                        sum[(j, k)] += length * sum_of;
                    }
                    sum[(k, k)] += length * length * own.iter().sum::<f64>();
                }
            }
        }
    }
    sum.forget_rounding(problem.scale_among(which));
    sum
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

/// The inverse of a symmetric matrix; `None` where it is not positive definite.
pub(super) fn inverse(matrix: ArrayView2<f64>) -> Option<Array2<f64>> {
    let n = matrix.nrows();
    let cholesky = DMatrix::from_fn(n, n, |a, b| matrix[(a, b)]).cholesky()?;
    let inverse = cholesky.inverse();
    Some(Array2::from_shape_fn((n, n), |(a, b)| inverse[(a, b)]))
}

/// A sample that is known: its scale, its residual over that, `psi` and `psi'` there.
#[derive(Debug, Clone, Copy)]
struct Sample {
    scale: f64,
    r: f64,
    psi: f64,
    slope: f64,
}

/// The samples of a map, `None` for blanks; `factor` multiplies its scale.
fn samples(
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

/// For every sample what `second` weighs with and `psi'`, over the square of its scale.
fn derivatives(
    kind: LikelihoodKind,
    samples: &[Option<Sample>],
    second: Second,
) -> (Vec<f64>, Vec<f64>) {
    let one = |sample: &Option<Sample>| {
        let Some(Sample { scale, r, psi, slope }) = *sample else { return (0.0, 0.0) };
        let other = match (second, kind) {
            (Second::Nothing, _) => 0.0,
            (Second::Scatter, _) => psi * psi,
            (Second::Majorant, LikelihoodKind::Gaussian) => 1.0,
            (Second::Majorant, LikelihoodKind::Cauchy) => 2.0 / (1.0 + r * r),
        };
        (other / (scale * scale), slope / (scale * scale))
    };
    samples.iter().map(one).unzip()
}

/// What a fitted scale adds to the curvature, and then to the second block: what `J` is weighed with, and
/// its own.
fn of_scale(samples: &[Option<Sample>], second: Second) -> [[Vec<f64>; 2]; 2] {
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

/// The inverse of the curvature, row-major, in the parameters' lengths, to start a minimiser with; `None`
/// where it has none. Where many residuals are larger than a robust likelihood's scale, its curvature is
/// not positive, and a bound of it is taken.
pub fn inverse_curvature(
    problem: &Problem,
    likelihood: &Likelihood,
    which: &[usize],
    at: &[f64],
) -> Option<Vec<f64>> {
    let information = |second| {
        let mut both = information(problem, likelihood, which, at, second);
        problem.add_priors(likelihood, which, &mut both, false);
        both
    };
    let curved = inverse(information(Second::Nothing).curvature.view());
    let bound = || inverse(information(Second::Majorant).second.view());
    Some(curved.or_else(bound)?.into_raw_vec_and_offset().0)
}

/// The covariance of the parameters `which` at `at`: `H^-1 G H^-1` with the curvature `H` and the
/// scatter of the scores `G`. It holds whatever the noise of the samples, provided that they are
/// independent (Huber 1967). `None` when a direction of the parameters changes nothing, or the curvature
/// is not positive; with it the parameters (places in `which`) of the directions that change nothing.
///
/// # Errors
/// Maps that the model cannot describe.
pub fn covariance(
    problem: &Problem,
    which: &[usize],
    at: &[f64],
) -> Result<(Option<Array2<f64>>, Vec<Direction>)> {
    let (n, likelihood) = (which.len(), &problem.likelihood);
    let mut sum = match level::middle(problem, n) {
        None => information(problem, likelihood, which, at, Second::Scatter),
        Some(middle) => {
            let some = problem.with_maps(&middle.maps, &middle.options)?;
            let mut sum = information(&some, likelihood, which, at, Second::Scatter);
            add_backgrounds(&mut sum, problem, which, at, &middle.maps);
            sum
        }
    };
    problem.add_priors(likelihood, which, &mut sum, true);
    let Information { curvature, second: scatter } = sum;
    let lengths: Array1<f64> = which.iter().map(|&i| problem.lengths[i]).collect();
    let flat = degenerate::directions(curvature.view());
    let inverse = if flat.is_empty() { inverse(curvature.view()) } else { None };
    let covariance = inverse.map(|inverse| {
        let sandwich = inverse.dot(&scatter).dot(&inverse);
        sandwich * &lengths * &lengths.insert_axis(Axis(1))
    });
    Ok((covariance, flat))
}

/// Adds what the samples around the `middle` of large maps tell: the maps' backgrounds, and the scale.
fn add_backgrounds(
    sum: &mut Information,
    problem: &Problem,
    which: &[usize],
    at: &[f64],
    middle: &MapSet,
) {
    let factor = problem.scale_factor(which, at);
    for (k, (map, middle)) in problem.maps.maps.iter().zip(&middle.maps).enumerate() {
        let background = problem.model.of_map(BACKGROUND, k);
        let place = which.iter().position(|&i| i == background);
        let model = vec![at[background]; map.sampling.len()];
        let samples = samples(problem, &problem.likelihood, k, &model, factor);
        let add = |sum: &mut Array2<f64>, row: usize, column: usize, values: &[f64]| {
            let values = problem.model.restore(k, values);
            let around = values.iter().zip(level::inside(&map.sampling, &middle.sampling));
            let total: f64 = around.filter(|(_, inside)| !inside).map(|(value, _)| value).sum();
            let lengths = problem.lengths[which[row]] * problem.lengths[which[column]];
            sum[(row, column)] += total * lengths;
        };
        if let Some(j) = place {
            let (square, slope) = derivatives(problem.likelihood.kind, &samples, Second::Scatter);
            add(&mut sum.curvature, j, j, &slope);
            add(&mut sum.second, j, j, &square);
        }
        if let Some(scale) = problem.scale_among(which) {
            let of_scale = of_scale(&samples, Second::Scatter);
            for (sum, [cross, own]) in sum.both().into_iter().zip(&of_scale) {
                add(sum, scale, scale, own);
                if let Some(j) = place {
                    add(sum, scale, j, cross);
                    add(sum, j, scale, cross);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::{Backend, Precision};
    use crate::fit::options::FitOptions;
    use crate::optics::aperture::ApertureGrid;
    use crate::optics::beam_map::Noise;
    use crate::optics::model::Parameter;
    use crate::optics::simulate::{SimulateOptions, simulate};
    use crate::optics::telescope::Telescope;

    /// Maps of order 3 with some noise, on a grid of so many points.
    fn simulated(points: usize) -> (Telescope, MapSet, ApertureGrid) {
        let telescope = Telescope::named("nikolic2018").unwrap();
        let mut grid = telescope.aperture;
        grid.points = points;
        let simulated = SimulateOptions {
            wavelength: telescope.wavelength,
            defocus: telescope.defocus.clone(),
            grid,
            order: 3,
            parameters: Vec::new(),
            rms: Some(0.4),
            seed: 3,
            noise: Noise { additive: 0.02, ..Noise::default() },
            precision: Precision::F64,
            backend: Backend::Cpu,
            chop: None,
            blur: Default::default(),
            samplings: Vec::new(),
            shift: Vec::new(),
        };
        let maps = simulate(&telescope, &simulated).unwrap();
        (telescope, maps, grid)
    }

    /// The model does not depend on the scale, so that nothing is left out of these second derivatives.
    #[test]
    fn the_curvature_by_the_scale_is_that_of_the_function() {
        let (telescope, maps, grid) = simulated(48);
        for likelihood in [LikelihoodKind::Gaussian, LikelihoodKind::Cauchy] {
            let (aperture, fit_scale) = (Some(grid), true);
            let options =
                FitOptions { order: 2, aperture, likelihood, fit_scale, ..FitOptions::default() };
            let problem = Problem::new(&telescope, telescope.wavelength, &maps, &options).unwrap();
            let which = problem.free_up_to(2);
            let scale = problem.scale_among(&which).unwrap();
            let mut at = problem.start.clone();
            at[which[scale]] = 0.3;
            let found = information(&problem, &problem.likelihood, &which, &at, Second::Scatter);
            let mut function = problem.function(&which, &at);
            let mut v = vec![0.0; which.len()];
            v[scale] = 1.0;
            let known = function.hessian_times(&vec![0.0; which.len()], &v);
            let size = known.iter().fold(0.0f64, |a, h| a.max(h.abs()));
            // Some ten roundings in single precision.
            let most = 10.0 * f64::from(f32::EPSILON) * size;
            for (k, known) in known.iter().enumerate() {
                let found = &found.curvature;
                let [row, column] = [found[(scale, k)], found[(k, scale)]];
                assert!((row - known).abs() < most && row == column, "{k}: {row} {known}");
            }
        }
    }

    /// To 5 %, which is nothing to an error: the middle has an aperture grid of its own, coarser than that of
    /// the whole. Without what the rest tells of the backgrounds, their errors would be twice too large.
    #[test]
    fn the_errors_of_large_maps_are_those_of_all_their_samples() {
        let (telescope, maps, grid) = simulated(256);
        let truth = |name: &str| maps.truth.iter().find(|p| p.0 == name).map(|p| p.1);
        for fit_scale in [false, true] {
            let aperture = Some(grid);
            let options = FitOptions { order: 3, aperture, fit_scale, ..FitOptions::default() };
            let problem = Problem::new(&telescope, telescope.wavelength, &maps, &options).unwrap();
            let which = problem.free_up_to(3);
            assert!(level::middle(&problem, which.len()).is_some(), "these maps must be large");
            let value = |p: &Parameter| truth(&p.name).unwrap_or(p.default);
            let mut at: Vec<f64> = problem.parameters.iter().map(value).collect();
            // At a scale below the noise second derivatives change their sign from sample to sample, and
            // sums of them scatter more.
            let most = if fit_scale { 0.1 } else { 0.05 };
            // The likeliest scale of normal noise, from four sigma.
            problem.of_scale().into_iter().for_each(|i| at[i] = f64::ln(0.612 / 4.0));
            let some = covariance(&problem, &which, &at).unwrap().0.unwrap();
            let both = information(&problem, &problem.likelihood, &which, &at, Second::Scatter);
            let inverse = inverse(both.curvature.view()).unwrap();
            let all = inverse.dot(&both.second).dot(&inverse);
            for (k, &i) in which.iter().enumerate() {
                let ratio = (some[(k, k)] / all[(k, k)]).sqrt() / problem.lengths[i];
                assert!((ratio - 1.0).abs() < most, "{}: {ratio}", problem.parameters[i].name);
            }
        }
    }
}
