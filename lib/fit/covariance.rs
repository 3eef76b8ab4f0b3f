//! How sure the parameters are: the sandwich estimate of their covariance.

use super::degenerate::{self, Direction};
use super::level;
use super::options::LikelihoodKind;
use super::problem::Problem;
use crate::error::Result;
use crate::optics::beam_map::MapSet;
use crate::optics::model::BACKGROUND;
use nalgebra::DMatrix;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};
use rayon::prelude::*;

/// The curvature `sum psi'(r) J J'`, and below it one of [`Second`], in the parameters' lengths: `psi` is
/// the derivative of a sample's negative log-likelihood by its scaled residual `r`, and `J` that of the
/// model.
type Information = Array2<f64>;

/// Samples whose products are formed together: their derivatives fit the second cache.
const CHUNK: usize = 1024;

/// Derivatives of this many parameters and samples are held at a time, or those of one map.
const HELD: usize = 4_000_000;

/// What is wanted besides the curvature.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Second {
    /// Of the scores: `sum psi(r)^2 J J'`.
    Scatter,
    /// A bound of the curvature that is never negative: `sum psi(r) / r J J'`.
    Majorant,
}

/// The information in the samples of a problem.
fn information(problem: &Problem, which: &[usize], at: &[f64], second: Second) -> Information {
    let n = which.len();
    let height = 2 * n;
    let mut sum = Array2::zeros((height, n));
    let maps = &problem.maps.maps;
    let samples: usize = maps.iter().map(|m| m.sampling.len()).sum();
    let together = if n * samples <= HELD { maps.len() } else { 1 };
    for first in (0..maps.len()).step_by(together.max(1)) {
        let mut model = problem.modelled(which, at, first..first + together);
        let x = vec![0.0; n];
        let models = model.arrays(&x);
        let derivative = |j: usize| {
            let mut v = vec![0.0; n];
            v[j] = 1.0;
            model.arrays_times(&x, &v)
        };
        let columns: Vec<Vec<Vec<f64>>> = (0..n).map(derivative).collect();
        for (i, model) in models.iter().enumerate() {
            let (other, slope) = derivatives(problem, first + i, model, second);
            let product = |chunk: usize| {
                let range = chunk * CHUNK..((chunk + 1) * CHUNK).min(slope.len());
                let mut rows = Array2::zeros((n, range.len()));
                let mut weighed = Array2::zeros((height, range.len()));
                for (j, mut row) in rows.outer_iter_mut().enumerate() {
                    row.assign(&ArrayView1::from(&columns[j][i][range.clone()]));
                }
                for (j, mut row) in weighed.outer_iter_mut().enumerate() {
                    let weights = if j < n { &slope } else { &other };
                    row.assign(&rows.row(j % n));
                    row *= &ArrayView1::from(&weights[range.clone()]);
                }
                weighed.dot(&rows.t())
            };
            // Products of chunks, added in their order.
            let chunks = (0..slope.len().div_ceil(CHUNK)).into_par_iter();
            let products: Vec<Array2<f64>> = chunks.map(product).collect();
            products.iter().for_each(|product| sum += product);
        }
    }
    sum
}

/// The inverse of a symmetric matrix; `None` where it is not positive definite.
fn inverse(matrix: ArrayView2<f64>) -> Option<Array2<f64>> {
    let n = matrix.nrows();
    let cholesky = DMatrix::from_fn(n, n, |a, b| matrix[(a, b)]).cholesky()?;
    let inverse = cholesky.inverse();
    Some(Array2::from_shape_fn((n, n), |(a, b)| inverse[(a, b)]))
}

/// For every sample of a map what `second` weighs with and `psi'`, over the square of its scale.
fn derivatives(
    problem: &Problem,
    map: usize,
    model: &[f64],
    second: Second,
) -> (Vec<f64>, Vec<f64>) {
    let data = problem.model.arrange(map, &problem.maps.maps[map].power);
    let weights = problem.weights(map);
    let one = |(i, (d, m)): (usize, (&f64, &f64))| {
        let scale = problem.scales[map] / weights.as_ref().map_or(1.0, |w| w[i]);
        let r = (m - d) / scale;
        let (psi, slope) = match problem.options.likelihood {
            _ if d.is_nan() => return (0.0, 0.0),
            LikelihoodKind::Gaussian => (r, 1.0),
            LikelihoodKind::Cauchy => {
                let q = 1.0 + r * r;
                (2.0 * r / q, 2.0 * (1.0 - r * r) / (q * q))
            }
        };
        let other = match (second, problem.options.likelihood) {
            (Second::Scatter, _) => psi * psi,
            (Second::Majorant, LikelihoodKind::Gaussian) => 1.0,
            (Second::Majorant, LikelihoodKind::Cauchy) => 2.0 / (1.0 + r * r),
        };
        (other / (scale * scale), slope / (scale * scale))
    };
    data.iter().zip(model).enumerate().map(one).unzip()
}

/// The inverse of the curvature, row-major, in the parameters' lengths, to start a minimiser with; `None`
/// where it has none. Where many residuals are larger than a robust likelihood's scale, its curvature is
/// not positive, and a bound of it is taken.
pub fn inverse_curvature(problem: &Problem, which: &[usize], at: &[f64]) -> Option<Vec<f64>> {
    let mut both = information(problem, which, at, Second::Majorant);
    problem.add_priors(which, &mut both, false);
    let (curvature, majorant) = both.view().split_at(Axis(0), which.len());
    Some(inverse(curvature).or_else(|| inverse(majorant))?.into_raw_vec_and_offset().0)
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
    let n = which.len();
    let mut sum = match level::middle(problem, n) {
        None => information(problem, which, at, Second::Scatter),
        Some(middle) => {
            let some = problem.with_maps(&middle.maps, &middle.options)?;
            let mut sum = information(&some, which, at, Second::Scatter);
            add_backgrounds(&mut sum, problem, which, at, &middle.maps);
            sum
        }
    };
    problem.add_priors(which, &mut sum, true);
    let (curvature, scatter) = sum.view().split_at(Axis(0), n);
    let lengths: Array1<f64> = which.iter().map(|&i| problem.lengths[i]).collect();
    let flat = degenerate::directions(curvature);
    let inverse = if flat.is_empty() { inverse(curvature) } else { None };
    let covariance = inverse.map(|inverse| {
        let sandwich = inverse.dot(&scatter).dot(&inverse);
        sandwich * &lengths * &lengths.insert_axis(Axis(1))
    });
    Ok((covariance, flat))
}

/// Adds what the samples around the `middle` of large maps tell: the maps' backgrounds.
fn add_backgrounds(
    sum: &mut Information,
    problem: &Problem,
    which: &[usize],
    at: &[f64],
    middle: &MapSet,
) {
    for (k, (map, middle)) in problem.maps.maps.iter().zip(&middle.maps).enumerate() {
        let background = problem.model.of_map(BACKGROUND, k);
        let Some(j) = which.iter().position(|&i| i == background) else { continue };
        let model = vec![at[background]; map.sampling.len()];
        let (square, slope) = derivatives(problem, k, &model, Second::Scatter);
        for (row, values) in [(j, slope), (which.len() + j, square)] {
            let values = problem.model.restore(k, &values);
            let around = values.iter().zip(level::inside(&map.sampling, &middle.sampling));
            let total: f64 = around.filter(|(_, inside)| !inside).map(|(value, _)| value).sum();
            sum[(row, j)] += total * problem.lengths[background].powi(2);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::{Backend, Precision};
    use crate::fit::options::FitOptions;
    use crate::optics::beam_map::Noise;
    use crate::optics::simulate::{SimulateOptions, simulate};
    use crate::optics::telescope::Telescope;

    /// To 5 %, which is nothing to an error: the middle has an aperture grid of its own, coarser than that of
    /// the whole. Without what the rest tells of the backgrounds, their errors would be twice too large.
    #[test]
    fn the_errors_of_large_maps_are_those_of_all_their_samples() {
        let telescope = Telescope::named("nikolic2018").unwrap();
        let mut grid = telescope.aperture;
        grid.points = 256;
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
        let truth = |name: &str| maps.truth.iter().find(|p| p.0 == name).map(|p| p.1);
        let options = FitOptions { order: 3, aperture: Some(grid), ..FitOptions::default() };
        let problem = Problem::new(&telescope, telescope.wavelength, &maps, &options).unwrap();
        let which = problem.free_up_to(3);
        assert!(level::middle(&problem, which.len()).is_some(), "these maps must be large");
        let names: Vec<&str> = problem.model.parameters.iter().map(|p| &*p.name).collect();
        let at: Vec<f64> = names
            .iter()
            .zip(&problem.model.parameters)
            .map(|(name, p)| truth(name).unwrap_or(p.default))
            .collect();
        let some = covariance(&problem, &which, &at).unwrap().0.unwrap();
        let both = information(&problem, &which, &at, Second::Scatter);
        let (curvature, scatter) = both.view().split_at(Axis(0), which.len());
        let inverse = inverse(curvature).unwrap();
        let all = inverse.dot(&scatter).dot(&inverse);
        for (k, &i) in which.iter().enumerate() {
            let ratio = (some[(k, k)] / all[(k, k)]).sqrt() / problem.lengths[i];
            assert!((ratio - 1.0).abs() < 0.05, "{}: {ratio}", names[i]);
        }
    }
}
