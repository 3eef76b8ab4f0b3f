//! Directions of the parameters that change nothing in the maps, or hardly anything, by their names.

use nalgebra::{DMatrix, SymmetricEigen};
use ndarray::ArrayView2;

/// A direction is told by the maps when its curvature, in a scale where every parameter alone has one of
/// 1, is above this: the derivatives' rounding, in single precision, leaves 1e-14 and less (4e-15 of `amp` where
/// every map has a gain); the least of real maps is above 1e-2.
const LEAST: f64 = 1e-11;
/// Parameters with a smaller part in a direction are not named.
const PART: f64 = 0.1;

/// Errors that correlate by more than this go together: each is 22 times what it would be without the other.
const CORRELATED: f64 = 0.999;

/// The parameters that take part in a direction, the largest part first.
pub type Direction = Vec<usize>;

/// For every direction of the `curvature` that is flat, the parameters that take part in it, the
/// largest part first.
pub fn directions(curvature: ArrayView2<f64>) -> Vec<Direction> {
    let n = curvature.nrows();
    let size = |i: usize| curvature[(i, i)].abs().sqrt();
    let largest = (0..n).map(size).fold(0.0, f64::max);
    // A parameter alone may do nothing.
    let scale = |i: usize| size(i).max(1e-9 * largest).max(f64::MIN_POSITIVE);
    let scaled = DMatrix::from_fn(n, n, |a, b| curvature[(a, b)] / (scale(a) * scale(b)));
    if scaled.iter().any(|v| !v.is_finite()) {
        return Vec::new();
    }
    let eigen = SymmetricEigen::new(scaled);
    let flat = (0..n).filter(|&k| eigen.eigenvalues[k].abs() < LEAST);
    let named = flat.map(|k| {
        let part = |i: &usize| eigen.eigenvectors[(*i, k)].abs();
        let mut taking: Vec<usize> = (0..n).filter(|i| part(i) > PART).collect();
        taking.sort_by(|a, b| part(b).total_cmp(&part(a)).then(a.cmp(b)));
        taking
    });
    named.collect()
}

/// The groups of parameters whose errors go together by their `covariance`, each in their order: what is
/// known of one of them is known of all.
pub fn together(covariance: ArrayView2<f64>) -> Vec<Vec<usize>> {
    let n = covariance.nrows();
    let mut groups: Vec<usize> = (0..n).collect();
    for (a, b) in (0..n).flat_map(|a| (0..a).map(move |b| (a, b))) {
        let alone = (covariance[(a, a)] * covariance[(b, b)]).sqrt();
        if covariance[(a, b)].abs() > CORRELATED * alone {
            let (from, to) = (groups[a], groups[b]);
            groups.iter_mut().filter(|group| **group == from).for_each(|group| *group = to);
        }
    }
    let members = |g: usize| (0..n).filter(|&i| groups[i] == g).collect::<Vec<_>>();
    (0..n).map(members).filter(|group| group.len() > 1).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, array};

    /// Curvatures `J'J` of derivatives that are written out.
    fn of(derivatives: Array2<f64>) -> Vec<Vec<usize>> {
        directions(derivatives.t().dot(&derivatives).view())
    }

    #[test]
    fn a_parameter_that_does_nothing_and_two_that_do_the_same_are_named() {
        // Columns are parameters, far apart in size.
        assert!(of(array![[1.0, 2e3, 1e-6], [0.0, 1e3, 1e-6], [1.0, -3e3, 2e-6]]).is_empty());
        assert_eq!(of(array![[1.0, 0.0, 3.0], [2.0, 0.0, 1.0], [1.0, 0.0, 1.0]]), [[1]]);
        // The first is 1000 times the third.
        let same = of(array![[1e3, 1.0, 1.0], [2e3, -1.0, 2.0], [0.0, 5.0, 0.0]]);
        assert_eq!(same.len(), 1);
        assert!(same[0].len() == 2 && same[0].contains(&0) && same[0].contains(&2), "{same:?}");
    }

    #[test]
    fn errors_that_go_together_are_grouped() {
        // What five parameters have of two independent errors.
        let of = array![[1.0, 0.0], [0.0, 1e-3], [1.0, 1e-6], [1.0, 0.1], [0.0, 5e-3]];
        let covariance = of.dot(&of.t());
        assert_eq!(together(covariance.view()), [vec![0, 2], vec![1, 4]]);
        assert!(together(Array2::eye(3).view()).is_empty());
        assert!(together(Array2::zeros((2, 2)).view()).is_empty());
    }
}
