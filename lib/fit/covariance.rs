//! How sure the parameters are: the sandwich estimate of their covariance.

use super::options::LikelihoodKind;
use super::problem::Problem;
use nalgebra::DMatrix;
use ndarray::Array2;

/// The curvature `sum psi'(r) J J'` and the scatter of the scores `sum psi(r)^2 J J'`, in the
/// parameters' lengths, where `psi` is the derivative of a sample's negative log-likelihood by its
/// scaled residual `r` and `J` that of the model.
fn information(problem: &Problem, which: &[usize], at: &[f64]) -> (DMatrix<f64>, DMatrix<f64>) {
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
        // For every sample psi^2 and psi', each over the square of the scale.
        let (mut square, mut slope) = (Vec::new(), Vec::new());
        for (d, m) in data.iter().zip(&models[k]) {
            let r = (m - d) / scale;
            let (psi, derivative) = match kind {
                _ if d.is_nan() => (0.0, 0.0),
                LikelihoodKind::Gaussian => (r, 1.0),
                LikelihoodKind::Cauchy => {
                    let q = 1.0 + r * r;
                    (2.0 * r / q, 2.0 * (1.0 - r * r) / (q * q))
                }
            };
            square.push(psi * psi / (scale * scale));
            slope.push(derivative / (scale * scale));
        }
        for a in 0..n {
            for b in 0..=a {
                let (mut c, mut s) = (0.0, 0.0);
                let pairs = columns[a][k].iter().zip(&columns[b][k]);
                for ((x, y), (slope, square)) in pairs.zip(slope.iter().zip(&square)) {
                    c += slope * (x * y);
                    s += square * (x * y);
                }
                curvature[(a, b)] += c;
                scatter[(a, b)] += s;
            }
        }
    }
    for a in 0..n {
        for b in 0..a {
            curvature[(b, a)] = curvature[(a, b)];
            scatter[(b, a)] = scatter[(a, b)];
        }
    }
    (curvature, scatter)
}

/// The inverse of the curvature, row-major, in the parameters' lengths; `None` where it has none.
pub fn inverse_curvature(problem: &Problem, which: &[usize], at: &[f64]) -> Option<Vec<f64>> {
    let (curvature, _) = information(problem, which, at);
    // Symmetric, so rows are columns.
    Some(curvature.cholesky()?.inverse().as_slice().to_vec())
}

/// The covariance of the parameters `which` at `at`: `H^-1 G H^-1` with the curvature `H` and the
/// scatter of the scores `G`. It holds whatever the noise of the samples, provided that they are
/// independent (Huber 1967). `None` when a direction of the parameters changes nothing.
pub fn covariance(problem: &Problem, which: &[usize], at: &[f64]) -> Option<Array2<f64>> {
    let n = which.len();
    let (curvature, scatter) = information(problem, which, at);
    let inverse = curvature.cholesky()?.inverse();
    let sandwich = &inverse * scatter * &inverse;
    Some(Array2::from_shape_fn((n, n), |(a, b)| {
        sandwich[(a, b)] * problem.lengths[which[a]] * problem.lengths[which[b]]
    }))
}
