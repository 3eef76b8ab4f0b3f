//! How sure the parameters are: the sandwich estimate of their covariance.

use super::degenerate::{self, Direction};
use super::information::{Matrix, Parts, Sample, information};
use super::level;
use super::likelihood::Likelihood;
use super::problem::Problem;
use crate::error::Result;
use crate::optics::beam_map::MapSet;
use crate::optics::model::{BACKGROUND, mode_of};
use nalgebra::DMatrix;
use ndarray::{Array1, Array2, ArrayView2, Axis};
use rayon::prelude::*;
use std::ops::Range;

/// The inverse of a symmetric matrix; `None` where it is not positive definite.
pub(super) fn inverse(matrix: ArrayView2<f64>) -> Option<Array2<f64>> {
    let n = matrix.nrows();
    let cholesky = DMatrix::from_fn(n, n, |a, b| matrix[(a, b)]).cholesky()?;
    let inverse = cholesky.inverse();
    Some(Array2::from_shape_fn((n, n), |(a, b)| inverse[(a, b)]))
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
    let inverted = |matrix| {
        let [mut sum] = information(problem, likelihood, which, at, [matrix]);
        problem.add_priors(likelihood, which, matrix, &mut sum);
        inverse(sum.view())
    };
    let found = inverted(Matrix::Curvature).or_else(|| inverted(Matrix::Majorant));
    Some(found?.into_raw_vec_and_offset().0)
}

/// How sure parameters are.
#[derive(Debug, Clone, Default)]
pub struct Errors {
    /// In the parameters' units. `None` when a direction of the parameters changes nothing, or the curvature is not
    /// positive.
    pub covariance: Option<Array2<f64>>,
    /// The parameters (places among those asked for) of the directions that change nothing.
    pub flat: Vec<Direction>,
    /// By how many times the errors of the Zernike coefficients, typically, would be larger if what is left within a
    /// beam's width were one and the same.
    pub alike: Option<f64>,
}

/// The errors of the parameters `which` at `at`. Their covariance is `H^-1 G H^-1` with the curvature `H` and the
/// scatter of the scores `G`. It holds whatever the noise of the samples, provided that they are
/// independent (Huber 1967).
///
/// # Errors
/// Maps that the model cannot describe.
pub fn covariance(problem: &Problem, which: &[usize], at: &[f64]) -> Result<Errors> {
    let likelihood = &problem.likelihood;
    let matrices = [Matrix::Curvature, Matrix::Scatter, Matrix::Alike];
    let mut sums = match level::middle(problem, which.len()) {
        None => information(problem, likelihood, which, at, matrices),
        Some(middle) => {
            let some = problem.resampled(&middle.maps, &middle.options)?;
            let mut sums = information(&some, likelihood, which, at, matrices);
            add_backgrounds(&mut sums, problem, which, at, matrices, &middle.maps);
            sums
        }
    };
    let priors = matrices.into_iter().zip(&mut sums);
    priors.for_each(|(matrix, sum)| problem.add_priors(likelihood, which, matrix, sum));
    let [curvature, scatter, alike] = sums;
    let lengths: Array1<f64> = which.iter().map(|&i| problem.lengths[i]).collect();
    let flat = degenerate::directions(curvature.view());
    let inverse = if flat.is_empty() { inverse(curvature.view()) } else { None };
    let Some(inverse) = inverse else { return Ok(Errors { flat, ..Errors::default() }) };
    let sandwich = |scatter: &Array2<f64>| inverse.dot(scatter).dot(&inverse);
    let covariance = sandwich(&scatter);
    let ratios = (&sandwich(&alike).diag() / &covariance.diag()).mapv(f64::sqrt);
    let coefficient = |k: &usize| mode_of(&problem.parameters[which[*k]].name).is_some();
    let mut ratios: Vec<f64> =
        (0..which.len()).filter(coefficient).map(|k| ratios[k]).filter(|r| !r.is_nan()).collect();
    let middle = ratios.len() / 2;
    let alike =
        (!ratios.is_empty()).then(|| *ratios.select_nth_unstable_by(middle, f64::total_cmp).1);
    let covariance = covariance * &lengths * &lengths.insert_axis(Axis(1));
    Ok(Errors { covariance: Some(covariance), flat, alike })
}

/// Adds what the samples around the `middle` of large maps tell: the maps' backgrounds, and the scale.
fn add_backgrounds<const N: usize>(
    sums: &mut [Array2<f64>; N],
    problem: &Problem,
    which: &[usize],
    at: &[f64],
    matrices: [Matrix; N],
    middle: &MapSet,
) {
    let (likelihood, factor) = (&problem.likelihood, problem.scale_factor(which, at));
    let scale = problem.scale_among(which);
    for (k, (map, middle)) in problem.maps.maps.iter().zip(&middle.maps).enumerate() {
        let background = problem.model.place_in_map(BACKGROUND, k);
        let place = which.iter().position(|&i| i == background);
        let (weights, common) = (problem.weights(k), 1.0 / (factor * likelihood.scales[k]));
        let around = level::around(&map.sampling, &middle.sampling);
        let sample = |i: usize| {
            let weight = weights.as_ref().map_or(common, |weights| common * weights[i]);
            Sample::new(likelihood.kind, at[background] - map.power[i], weight)
        };
        let run = |run: &Range<usize>| {
            let known = run.clone().filter(|&i| !map.power[i].is_nan());
            let parts = |matrix| known.clone().map(move |i| sample(i).parts(matrix));
            matrices.map(|matrix| parts(matrix).fold(Parts::NONE, Parts::and))
        };
        // Added in their order.
        for parts in around.par_iter().map(run).collect::<Vec<_>>() {
            for (sum, parts) in sums.iter_mut().zip(parts) {
                let mut add = |row: usize, column: usize, total: f64| {
                    let lengths = problem.lengths[which[row]] * problem.lengths[which[column]];
                    sum[(row, column)] += total * lengths;
                };
                place.iter().for_each(|&j| add(j, j, parts.own));
                scale.iter().for_each(|&s| add(s, s, parts.scale));
                if let (Some(j), Some(s)) = (place, scale) {
                    add(s, j, parts.cross);
                    add(j, s, parts.cross);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fit::options::{FitOptions, LikelihoodKind};
    use crate::fit::setup::Setup;
    use crate::fit::tests::simulated;
    use crate::optics::model::Parameter;

    /// The model does not depend on the scale, so that nothing is left out of these second derivatives.
    #[test]
    fn the_curvature_by_the_scale_is_that_of_the_function() {
        let (telescope, maps, grid) = simulated(48);
        for likelihood in [LikelihoodKind::Gaussian, LikelihoodKind::Cauchy] {
            let (aperture, fit_scale) = (Some(grid), true);
            let options =
                FitOptions { order: 2, aperture, likelihood, fit_scale, ..FitOptions::default() };
            let problem = Problem::new(Setup::new(&telescope, &maps, &options)).unwrap();
            let which = problem.free_up_to(2);
            let scale = problem.scale_among(&which).unwrap();
            let mut at = problem.start.clone();
            at[which[scale]] = 0.3;
            let [found] =
                information(&problem, &problem.likelihood, &which, &at, [Matrix::Curvature]);
            let mut function = problem.function(&which, &at);
            let mut v = vec![0.0; which.len()];
            v[scale] = 1.0;
            let known = function.hessian_times(&vec![0.0; which.len()], &v);
            let size = known.iter().fold(0.0f64, |a, h| a.max(h.abs()));
            // Some ten roundings in single precision.
            let most = 10.0 * f64::from(f32::EPSILON) * size;
            for (k, known) in known.iter().enumerate() {
                let [row, column] = [found[(scale, k)], found[(k, scale)]];
                assert!((row - known).abs() < most && row == column, "{k}: {row} {known}");
            }
        }
    }

    /// Noise has no more in common within a beam's width than far apart; what a model leaves that is wrong has.
    #[test]
    fn errors_would_be_larger_if_what_is_left_is_alike_but_not_of_noise() {
        let (telescope, mut maps, grid) = simulated(64);
        let options = FitOptions { order: 3, aperture: Some(grid), ..FitOptions::default() };
        let times = |maps: &MapSet| {
            let problem = Problem::new(Setup::new(&telescope, maps, &options)).unwrap();
            let truth = |name: &str| maps.truth.iter().find(|p| p.0 == name).map(|p| p.1);
            let value = |p: &Parameter| truth(&p.name).unwrap_or(p.default);
            let at: Vec<f64> = problem.parameters.iter().map(value).collect();
            let errors = covariance(&problem, &problem.free_places(), &at).unwrap();
            errors.alike.expect("errors")
        };
        let of_noise = times(&maps);
        assert!((0.7..1.4).contains(&of_noise), "{of_noise}");
        // As much again that is one and the same in four by four samples, which are a beam's width here.
        let peak = maps.maps.iter().map(|map| map.peak()).fold(0.0, f64::max);
        for map in &mut maps.maps {
            for (i, power) in map.power.iter_mut().enumerate() {
                let square = i / 64 / 4 * 16 + i % 64 / 4;
                *power += 0.028 * peak * (1.7 * (square * square % 1009) as f64).sin();
            }
        }
        // Half of the variance is sixteenfold: up to three times the errors, less where derivatives change within a square.
        let of_squares = times(&maps);
        assert!((1.6..3.0).contains(&(of_squares / of_noise)), "{of_squares} {of_noise}");
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
            let problem = Problem::new(Setup::new(&telescope, &maps, &options)).unwrap();
            let which = problem.free_up_to(3);
            assert!(level::middle(&problem, which.len()).is_some(), "these maps must be large");
            let value = |p: &Parameter| truth(&p.name).unwrap_or(p.default);
            let mut at: Vec<f64> = problem.parameters.iter().map(value).collect();
            // At a scale below the noise second derivatives change their sign from sample to sample, and
            // sums of them scatter more.
            let most = if fit_scale { 0.1 } else { 0.05 };
            // The likeliest scale of normal noise, from four sigma.
            problem.scale_place().into_iter().for_each(|i| at[i] = f64::ln(0.612 / 4.0));
            let some = covariance(&problem, &which, &at).unwrap().covariance.unwrap();
            let matrices = [Matrix::Curvature, Matrix::Scatter];
            let [curvature, scatter] =
                information(&problem, &problem.likelihood, &which, &at, matrices);
            let inverse = inverse(curvature.view()).unwrap();
            let all = inverse.dot(&scatter).dot(&inverse);
            for (k, &i) in which.iter().enumerate() {
                let ratio = (some[(k, k)] / all[(k, k)]).sqrt() / problem.lengths[i];
                assert!((ratio - 1.0).abs() < most, "{}: {ratio}", problem.parameters[i].name);
            }
        }
    }
}
