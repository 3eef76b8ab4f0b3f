//! Products of one small complex matrix with many vectors.

use super::Real;
use super::isa::{Multiply, vectorised};
use ndarray::ArrayView2;
use num_complex::Complex64;
use rustfft::num_complex::Complex;

/// Outputs that are computed together.
const LANES: usize = 8;
/// Vectors that are multiplied together: what is loaded of the matrix serves them all.
const VECTORS: usize = 4;

/// A complex matrix, `out = matrix in`.
pub struct Matrix<T> {
    inputs: usize,
    outputs: usize,
    /// `[input][output]`, outputs padded with zeros to whole lanes.
    re: Vec<T>,
    im: Vec<T>,
}

impl<T: Real> Matrix<T> {
    /// The matrix `values[output, input]`, or with `adjoint` its conjugate transpose.
    pub fn new(values: ArrayView2<Complex64>, adjoint: bool) -> Self {
        let view = if adjoint {
            values.reversed_axes()
        } else {
            values
        };
        let (outputs, inputs) = view.dim();
        let padded = outputs.next_multiple_of(LANES);
        let (mut re, mut im) = (
            vec![T::zero(); inputs * padded],
            vec![T::zero(); inputs * padded],
        );
        for ((o, i), z) in view.indexed_iter() {
            re[i * padded + o] = T::of(z.re);
            im[i * padded + o] = T::of(if adjoint { -z.im } else { z.im });
        }
        Matrix {
            inputs,
            outputs,
            re,
            im,
        }
    }

    /// Multiplies as many vectors as `input` holds, one after the other.
    pub fn times(&self, input: &[Complex<T>], output: &mut [Complex<T>]) {
        let inputs = input.chunks(VECTORS * self.inputs);
        let outputs = output.chunks_mut(VECTORS * self.outputs);
        for (input, output) in inputs.zip(outputs) {
            if input.len() == VECTORS * self.inputs {
                four(self, input, output);
            } else {
                let single = input
                    .chunks(self.inputs)
                    .zip(output.chunks_mut(self.outputs));
                single.for_each(|(input, output)| one(self, input, output));
            }
        }
    }
}

vectorised!(pub fn four(m: &Matrix<T>, input: &[Complex<T>], output: &mut [Complex<T>]) = four_inline);
vectorised!(pub fn one(m: &Matrix<T>, input: &[Complex<T>], output: &mut [Complex<T>]) = one_inline);

#[inline(always)]
fn four_inline<T: Real, M: Multiply>(
    m: &Matrix<T>,
    input: &[Complex<T>],
    output: &mut [Complex<T>],
) {
    product::<T, M, VECTORS>(m, input, output);
}

#[inline(always)]
fn one_inline<T: Real, M: Multiply>(
    m: &Matrix<T>,
    input: &[Complex<T>],
    output: &mut [Complex<T>],
) {
    product::<T, M, 1>(m, input, output);
}

#[inline(always)]
fn product<T: Real, M: Multiply, const N: usize>(
    m: &Matrix<T>,
    input: &[Complex<T>],
    output: &mut [Complex<T>],
) {
    let padded = m.outputs.next_multiple_of(LANES);
    let input = &input[..N * m.inputs];
    for first in (0..m.outputs).step_by(LANES) {
        let mut re = [[T::zero(); LANES]; N];
        let mut im = [[T::zero(); LANES]; N];
        for i in 0..m.inputs {
            let at = i * padded + first;
            let (kr, ki) = (&m.re[at..at + LANES], &m.im[at..at + LANES]);
            for n in 0..N {
                let z = input[n * m.inputs + i];
                for l in 0..LANES {
                    re[n][l] = M::add(kr[l], z.re, M::add(-ki[l], z.im, re[n][l]));
                    im[n][l] = M::add(kr[l], z.im, M::add(ki[l], z.re, im[n][l]));
                }
            }
        }
        let count = LANES.min(m.outputs - first);
        for n in 0..N {
            let at = n * m.outputs + first;
            for (l, out) in output[at..at + count].iter_mut().enumerate() {
                *out = Complex::new(re[n][l], im[n][l]);
            }
        }
    }
}
