//! A basis: a few functions sampled at many points, combined by coefficients.

use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayViewMut2};
use rayon::prelude::*;

/// The smallest batch of runs for one thread.
const RUNS_AT_ONCE: usize = 64;

/// What there is of one run.
struct Part<'a> {
    positions: &'a [f64],
    abscissa: &'a mut [f64],
    chebyshev: &'a mut [f64],
}

/// `count` functions sampled at `len` points. Coefficients are spread over the points,
/// `sum_j coefficients[j] basis[j, i]`; the sums of values times each function are the adjoint.
#[derive(Debug, Clone)]
pub struct Basis {
    count: usize,
    len: usize,
    /// Runs of consecutive points; they cover `0..len` in order.
    runs: Vec<Run>,
    /// The abscissa of every point in its run, -1 to 1.
    abscissa: Vec<f64>,
    /// The number of Chebyshev terms a run.
    terms: usize,
    /// `(runs, terms, count)`: Chebyshev coefficients of every function on every run.
    chebyshev: Vec<f64>,
}

/// Consecutive points `start..start + len`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    pub start: usize,
    pub len: usize,
}

impl Basis {
    /// A basis whose functions are polynomials of at most `degree` along each of `runs` (the rows of
    /// a dish, say): far less to store and to compute than the values themselves, and as exact.
    ///
    /// `position` holds the coordinate of every point along its run. `values(run, positions)` returns
    /// the functions at the given coordinates of that run, shape `(count, positions)`; it is asked at
    /// `degree + 1` Chebyshev nodes that span the run, where interpolation is well conditioned.
    ///
    /// # Panics
    /// When the runs do not cover the positions in order.
    pub fn polynomial_runs(
        count: usize,
        degree: usize,
        runs: Vec<Run>,
        position: &[f64],
        values: impl Fn(usize, &[f64]) -> Array2<f64> + Sync,
    ) -> Self {
        let terms = degree + 1;
        let angle = |i: usize| std::f64::consts::PI * (i as f64 + 0.5) / terms as f64;
        // Term k at node i is cos(k angle(i)); its coefficient is twice the mean over the nodes, that of term 0 the mean.
        let weights = Array2::from_shape_fn((terms, terms), |(k, i)| {
            let scale = if k == 0 { 1.0 } else { 2.0 } / terms as f64;
            scale * (k as f64 * angle(i)).cos()
        });
        let mut abscissa = vec![0.0; position.len()];
        let mut chebyshev = vec![0.0; runs.len() * terms * count];
        let covered =
            runs.iter().try_fold(0, |next, run| (run.start == next).then_some(next + run.len));
        assert_eq!(covered, Some(position.len()), "runs must cover the points in order");
        let mut rest = (position, &mut abscissa[..]);
        let own = chebyshev.chunks_exact_mut((terms * count).max(1));
        let part = |(run, chebyshev): (&Run, _)| {
            let (positions, after) = rest.0.split_at(run.len);
            let (abscissa, abscissa_after) = std::mem::take(&mut rest.1).split_at_mut(run.len);
            rest = (after, abscissa_after);
            Part { positions, abscissa, chebyshev }
        };
        let parts: Vec<Part> = runs.iter().zip(own).map(part).collect();
        let one = |(index, part): (usize, Part)| {
            let Part { positions: points, abscissa, chebyshev } = part;
            let low = points.iter().copied().fold(f64::INFINITY, f64::min);
            let high = points.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let (centre, half) = (0.5 * (low + high), (0.5 * (high - low)).max(f64::MIN_POSITIVE));
            for (s, p) in abscissa.iter_mut().zip(points) {
                *s = (p - centre) / half;
            }
            // A run of one point has no width: any will do, so long as it is finite.
            let half = if high > low { half } else { 0.0 };
            let nodes: Vec<f64> = (0..terms).map(|i| centre + half * angle(i).cos()).collect();
            let at_nodes = values(index, &nodes);
            let mut chebyshev = ArrayViewMut2::from_shape((terms, count), chebyshev)
                .expect("`terms * count` coefficients a run");
            general_mat_mul(1.0, &weights, &at_nodes.t(), 0.0, &mut chebyshev);
        };
        parts.into_par_iter().enumerate().with_min_len(RUNS_AT_ONCE).for_each(one);
        Basis { count, len: position.len(), runs, abscissa, terms, chebyshev }
    }

    /// The number of functions.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The number of points.
    pub fn points(&self) -> usize {
        self.len
    }

    /// The runs of consecutive points on which the functions are polynomials.
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// The abscissa of every point in its run.
    pub fn abscissa(&self) -> &[f64] {
        &self.abscissa
    }

    /// The number of Chebyshev terms a run.
    pub fn terms(&self) -> usize {
        self.terms
    }

    /// The coefficients `(terms, count)` of one run.
    pub fn chebyshev(&self, run: usize) -> &[f64] {
        let size = self.terms * self.count;
        &self.chebyshev[run * size..(run + 1) * size]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Basis {
        /// Function `j` at point `i`.
        pub fn at(&self, j: usize, i: usize) -> f64 {
            let run = self.runs.partition_point(|r| r.start + r.len <= i);
            let (coefficients, s) = (self.chebyshev(run), self.abscissa[i]);
            let (mut t, mut next, mut sum) = (1.0, s, 0.0);
            for k in 0..self.terms {
                sum += coefficients[k * self.count + j] * t;
                (t, next) = (next, 2.0 * s * next - t);
            }
            sum
        }
    }

    #[test]
    fn polynomial_runs_hold_the_same_functions_as_their_values() {
        // x^p y^q up to degree 5 on three rows.
        let powers: Vec<(i32, i32)> =
            (0..=5).flat_map(|n| (0..=n).map(move |q| (n - q, q))).collect();
        let rows = [(-0.5, 7), (0.1, 12), (0.8, 1)];
        let (mut runs, mut x, mut y) = (Vec::new(), Vec::new(), Vec::new());
        for (row, n) in rows {
            runs.push(Run { start: x.len(), len: n });
            x.extend((0..n).map(|i| -0.8 + 1.6 * i as f64 / n as f64));
            y.extend((0..n).map(|_| row));
        }
        let function = |j: usize, x: f64, y: f64| x.powi(powers[j].0) * y.powi(powers[j].1);
        let basis = Basis::polynomial_runs(powers.len(), 5, runs, &x, |run, nodes| {
            Array2::from_shape_fn((powers.len(), nodes.len()), |(j, i)| {
                function(j, nodes[i], rows[run].0)
            })
        });
        for i in 0..x.len() {
            for j in 0..powers.len() {
                let error = basis.at(j, i) - function(j, x[i], y[i]);
                assert!(error.abs() < 50.0 * f64::EPSILON, "{j} {i} {error:e}");
            }
        }
    }
}
