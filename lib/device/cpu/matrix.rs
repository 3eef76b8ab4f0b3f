//! Products of one small complex matrix with many columns of numbers, a column a lane.

use super::Real;
use super::isa::{Machine, vectorised};
use super::vector::{Batch, Complexes, Vector};
use ndarray::ArrayView2;
use num_complex::Complex64;

/// Outputs that are computed together: what is loaded of the columns serves them all.
const OUTPUTS: usize = 4;

/// A complex matrix.
pub struct Matrix<T> {
    inputs: usize,
    /// `[output / OUTPUTS][input][output % OUTPUTS]`, padded with zeros.
    values: Vec<(T, T)>,
}

impl<T: Real> Matrix<T> {
    /// The matrix `values[output, input]`.
    pub fn new(values: ArrayView2<Complex64>) -> Self {
        let (outputs, inputs) = values.dim();
        let mut packed = vec![(T::zero(), T::zero()); outputs.next_multiple_of(OUTPUTS) * inputs];
        for ((o, i), z) in values.indexed_iter() {
            let at = (o / OUTPUTS * inputs + i) * OUTPUTS + o % OUTPUTS;
            packed[at] = (T::of(z.re), T::of(z.im));
        }
        Matrix { inputs, values: packed }
    }
}

vectorised!(
    /// Rows `first..` of `matrix input`, as many as there is room for; `first` is a multiple of
    /// [`OUTPUTS`].
    pub fn times(matrix: &Matrix<T>, first: usize, input: &[Batch<T>], out: &mut [Batch<T>]) = times_inline
);
vectorised!(
    /// Adds the product with inputs `first..`, the others zero.
    pub fn add_times(matrix: &Matrix<T>, first: usize, input: &[Batch<T>], out: &mut [Batch<T>]) =
        add_times_inline
);

#[inline(always)]
fn times_inline<T: Real, M: Machine>(
    matrix: &Matrix<T>,
    first: usize,
    input: &[Batch<T>],
    out: &mut [Batch<T>],
) {
    let rows = matrix.values.chunks_exact(matrix.inputs * OUTPUTS).skip(first / OUTPUTS);
    for (out, rows) in out.chunks_mut(OUTPUTS).zip(rows) {
        for piece in 0..T::Vector::<M>::PIECES {
            let sums = [Complexes::<T::Vector<M>>::zero(); OUTPUTS];
            product::<T, M>(rows, input, piece, sums, out);
        }
    }
}

#[inline(always)]
fn add_times_inline<T: Real, M: Machine>(
    matrix: &Matrix<T>,
    first: usize,
    input: &[Batch<T>],
    out: &mut [Batch<T>],
) {
    let rows = matrix.values.chunks_exact(matrix.inputs * OUTPUTS);
    for (out, rows) in out.chunks_mut(OUTPUTS).zip(rows) {
        for piece in 0..T::Vector::<M>::PIECES {
            let mut sums = [Complexes::<T::Vector<M>>::zero(); OUTPUTS];
            for (sum, out) in sums.iter_mut().zip(&*out) {
                *sum = Complexes::load(out, piece);
            }
            product::<T, M>(&rows[first * OUTPUTS..], input, piece, sums, out);
        }
    }
}

/// A piece of a few rows times the input, added to `sums`.
#[inline(always)]
fn product<T: Real, M: Machine>(
    rows: &[(T, T)],
    input: &[Batch<T>],
    piece: usize,
    mut sums: [Complexes<T::Vector<M>>; OUTPUTS],
    out: &mut [Batch<T>],
) {
    for (value, w) in input.iter().zip(rows.chunks_exact(OUTPUTS)) {
        let value = Complexes::load(value, piece);
        for (sum, &w) in sums.iter_mut().zip(w) {
            *sum = sum.add_times(value, w);
        }
    }
    for (out, sum) in out.iter_mut().zip(sums) {
        sum.store(out, piece);
    }
}
