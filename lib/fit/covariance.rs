//! How sure the parameters are: the sandwich estimate of their covariance.

use super::options::LikelihoodKind;
use super::problem::Problem;
use nalgebra::DMatrix;
use ndarray::Array2;

/// The covariance of the parameters `which` at `at`: `H^-1 G H^-1`, with the curvature
/// `H = sum psi'(r) J J'` and the scatter of the scores `G = sum psi(r)^2 J J'`, where `psi` is the
/// derivative of a sample's negative log-likelihood and `J` that of the model. It holds whatever the
/// noise of the samples, provided that they are independent (Huber 1967). `None` when a direction of
/// the parameters changes nothing.
pub fn covariance(problem: &Problem, which: &[usize], at: &[f64]) -> Option<Array2<f64>> {
    let n = which.len();
    let kind = problem.options.likelihood;
    let mut function = problem.function(which, at, kind, &problem.scales);
    let x = vec![0.0; n];
    let models = function.arrays(&x);
    let columns: Vec<Vec<Vec<f64>>> = (0..n)
        .map(|j| {
            let mut v = vec![0.0; n];
            v[j] = 1.0;
            function.arrays_times(&x, &v)
        })
        .collect();
    let mut curvature = DMatrix::<f64>::zeros(n, n);
    let mut scatter = DMatrix::<f64>::zeros(n, n);
    for (k, map) in problem.maps.maps.iter().enumerate() {
        let scale = problem.scales[k];
        let data = problem.model.arrange(k, &map.power);
        let mut row = vec![0.0; n];
        for (i, d) in data.iter().enumerate() {
            if d.is_nan() {
                continue;
            }
            let r = (models[k][i] - d) / scale;
            let (psi, slope) = match kind {
                LikelihoodKind::Gaussian => (r, 1.0),
                LikelihoodKind::Cauchy => {
                    let q = 1.0 + r * r;
                    (2.0 * r / q, 2.0 * (1.0 - r * r) / (q * q))
                }
            };
            for (value, column) in row.iter_mut().zip(&columns) {
                *value = column[k][i] / scale;
            }
            for a in 0..n {
                for b in 0..=a {
                    let product = row[a] * row[b];
                    curvature[(a, b)] += slope * product;
                    scatter[(a, b)] += psi * psi * product;
                }
            }
        }
    }
    for a in 0..n {
        for b in 0..a {
            curvature[(b, a)] = curvature[(a, b)];
            scatter[(b, a)] = scatter[(a, b)];
        }
    }
    let inverse = curvature.cholesky()?.inverse();
    let sandwich = &inverse * scatter * &inverse;
    Some(Array2::from_shape_fn((n, n), |(a, b)| {
        sandwich[(a, b)] * problem.lengths[which[a]] * problem.lengths[which[b]]
    }))
}
