//! How sure the parameters are: the sandwich estimate of their covariance.

use super::level;
use super::options::LikelihoodKind;
use super::problem::Problem;
use crate::error::Result;
use nalgebra::DMatrix;
use ndarray::Array2;
use rayon::prelude::*;

/// The curvature `sum psi'(r) J J'` and the scatter of the scores `sum psi(r)^2 J J'`, in the
/// parameters' lengths, where `psi` is the derivative of a sample's negative log-likelihood by its
/// scaled residual `r` and `J` that of the model.
struct Information {
    curvature: DMatrix<f64>,
    scatter: DMatrix<f64>,
}

/// Samples whose products are formed together.
const CHUNK: usize = 4096;

/// Derivatives of this many parameters and samples are held at a time, or those of one map.
const HELD: usize = 4_000_000;

/// The information in the samples of a problem.
fn information(problem: &Problem, which: &[usize], at: &[f64]) -> Information {
    let n = which.len();
    let mut sum = Information { curvature: DMatrix::zeros(n, n), scatter: DMatrix::zeros(n, n) };
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
            let (square, slope) = derivatives(problem, first + i, model);
            // Products of chunks, added in their order.
            let products: Vec<(DMatrix<f64>, DMatrix<f64>)> = (0..slope.len().div_ceil(CHUNK))
                .into_par_iter()
                .map(|chunk| {
                    let range = chunk * CHUNK..((chunk + 1) * CHUNK).min(slope.len());
                    let of = |j: usize| &columns[j][i][range.clone()];
                    let rows = DMatrix::from_fn(n, range.len(), |j, i| of(j)[i]);
                    let weighed = |weights: &[f64]| {
                        let weights = &weights[range.clone()];
                        &rows * DMatrix::from_fn(range.len(), n, |i, j| of(j)[i] * weights[i])
                    };
                    (weighed(&slope), weighed(&square))
                })
                .collect();
            for (curvature, scatter) in products {
                sum.curvature += curvature;
                sum.scatter += scatter;
            }
        }
    }
    sum
}

/// For every sample of a map `psi^2` and `psi'`, over the square of its scale.
fn derivatives(problem: &Problem, map: usize, model: &[f64]) -> (Vec<f64>, Vec<f64>) {
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
        (psi * psi / (scale * scale), slope / (scale * scale))
    };
    data.iter().zip(model).enumerate().map(one).unzip()
}

/// The inverse of the curvature, row-major, in the parameters' lengths; `None` where it has none.
pub fn inverse_curvature(problem: &Problem, which: &[usize], at: &[f64]) -> Option<Vec<f64>> {
    let curvature = information(problem, which, at).curvature;
    // Symmetric, so rows are columns.
    Some(curvature.cholesky()?.inverse().as_slice().to_vec())
}

/// The covariance of the parameters `which` at `at`: `H^-1 G H^-1` with the curvature `H` and the
/// scatter of the scores `G`. It holds whatever the noise of the samples, provided that they are
/// independent (Huber 1967). `None` when a direction of the parameters changes nothing, or the curvature
/// is not positive.
///
/// # Errors
/// Maps that the model cannot describe.
pub fn covariance(problem: &Problem, which: &[usize], at: &[f64]) -> Result<Option<Array2<f64>>> {
    let n = which.len();
    // Large maps: all samples where the beam is, and a part of those around it for the rest.
    let parts = level::parts(problem, which.len());
    let mut sum = match parts.is_empty() {
        true => information(problem, which, at),
        false => Information { curvature: DMatrix::zeros(n, n), scatter: DMatrix::zeros(n, n) },
    };
    for part in &parts {
        let some = information(&problem.with_maps(&part.maps, &part.options)?, which, at);
        sum.curvature += some.curvature / part.share;
        sum.scatter += some.scatter / part.share;
    }
    let Some(cholesky) = sum.curvature.cholesky() else {
        return Ok(None);
    };
    let inverse = cholesky.inverse();
    let sandwich = &inverse * sum.scatter * &inverse;
    Ok(Some(Array2::from_shape_fn((n, n), |(a, b)| {
        sandwich[(a, b)] * problem.lengths[which[a]] * problem.lengths[which[b]]
    })))
}
