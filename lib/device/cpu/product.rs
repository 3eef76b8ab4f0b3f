//! Products of real matrices, without a copy of either: those here are small.

use super::Real;
use super::isa::{Machine, vectorised};
use crate::device::scattered::ROW_MULTIPLE;

/// Rows that are worked on together: what is loaded of the second matrix serves them all.
const BLOCK: usize = 4;

vectorised!(
    /// `out = a b`: `a` has rows of `inner` numbers, `b` and `out` of `columns`, whole groups.
    pub fn product(a: &[T], b: &[T], inner: usize, columns: usize, out: &mut [T]) = product_inline
);

#[inline(always)]
fn product_inline<T: Real, M: Machine>(
    a: &[T],
    b: &[T],
    inner: usize,
    columns: usize,
    out: &mut [T],
) {
    // The group of columns outside, so that it stays in the first cache.
    for column in (0..columns).step_by(ROW_MULTIPLE) {
        let blocks = a.chunks(BLOCK * inner).zip(out.chunks_mut(BLOCK * columns));
        for (a, out) in blocks {
            match a.len() / inner {
                BLOCK => block::<T, M, BLOCK>(a, b, inner, columns, column, out),
                _ => {
                    for (a, out) in a.chunks(inner).zip(out.chunks_mut(columns)) {
                        block::<T, M, 1>(a, b, inner, columns, column, out);
                    }
                }
            }
        }
    }
}

/// One group of columns of `ROWS` rows.
#[inline(always)]
fn block<T: Real, M: Machine, const ROWS: usize>(
    a: &[T],
    b: &[T],
    inner: usize,
    columns: usize,
    column: usize,
    out: &mut [T],
) {
    let mut sums = [[T::zero(); ROW_MULTIPLE]; ROWS];
    for (k, line) in b.chunks_exact(columns).take(inner).enumerate() {
        let line = &line[column..column + ROW_MULTIPLE];
        for (row, sums) in sums.iter_mut().enumerate() {
            let factor = a[row * inner + k];
            for (sum, &value) in sums.iter_mut().zip(line) {
                *sum = M::mul_add(factor, value, *sum);
            }
        }
    }
    for (sums, out) in sums.iter().zip(out.chunks_mut(columns)) {
        out[column..column + ROW_MULTIPLE].copy_from_slice(sums);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_is_the_plain_sum() {
        let wave = |i: usize, k: f64| (k * i as f64).sin();
        for (rows, inner, columns) in [(1, 1, 16), (4, 7, 32), (11, 30, 48)] {
            let a: Vec<f64> = (0..rows * inner).map(|i| wave(i, 1.3)).collect();
            let b: Vec<f64> = (0..inner * columns).map(|i| wave(i, 0.7)).collect();
            let mut out = vec![f64::NAN; rows * columns];
            product(&a, &b, inner, columns, &mut out);
            for (i, got) in out.iter().enumerate() {
                let term = |k| a[i / columns * inner + k] * b[k * columns + i % columns];
                let known: f64 = (0..inner).map(term).sum();
                assert!((got - known).abs() < 1e-14, "{rows} {inner} {columns} {i}");
            }
        }
    }
}
