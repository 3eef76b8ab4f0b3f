//! The sums over windows, forward and back: where a transform to scattered samples spends its time.

use super::NonUniform;
use crate::device::cpu::Real;
use crate::device::cpu::isa::{Machine, vectorised};
use crate::device::cpu::vector::Vector;
use rustfft::num_complex::Complex;
use std::ops::Range;

impl<T: Real> NonUniform<T> {
    /// The weights of a sample: those along x in vectors, those along y.
    #[inline(always)]
    fn weights<M: Machine, const N: usize>(&self, i: usize) -> ([T::Vector<M>; N], &[T]) {
        let lanes = T::Vector::<M>::LANES;
        let along_x = &self.along_x[i * N * lanes..][..N * lanes];
        let mut vectors = [T::Vector::<M>::splat(T::zero()); N];
        for (n, vector) in vectors.iter_mut().enumerate() {
            // SAFETY: `N` vectors fill the slice.
            *vector = unsafe { T::Vector::<M>::read(along_x.as_ptr().add(n * lanes)) };
        }
        (vectors, &self.along_y[i * self.plan.width..][..self.plan.width])
    }
}

vectorised!(
    /// The window sums of the samples from `first` on.
    pub fn gather(transform: &NonUniform<T>, grid: &[T], first: usize, out: &mut [Complex<T>]) = gather_inline
);
vectorised!(
    /// Adds `samples` to a band of the grid.
    pub fn spread(transform: &NonUniform<T>, cotangent: &[Complex<T>], samples: Range<usize>, rows: Range<usize>, grid: &mut [T]) = spread_inline
);

/// Calls a function for windows of 64 bytes along x, or of twice as many, in vectors.
macro_rules! of_width {
    ($transform:ident, $function:ident, $($argument:expr),*) => {
        match ($transform.plan.width <= T::LANES, T::Vector::<M>::PIECES) {
            (true, 1) => $function::<T, M, 1>($transform, $($argument),*),
            (true, _) | (false, 1) => $function::<T, M, 2>($transform, $($argument),*),
            (false, _) => $function::<T, M, 4>($transform, $($argument),*),
        }
    };
}

#[inline(always)]
fn gather_inline<T: Real, M: Machine>(
    transform: &NonUniform<T>,
    grid: &[T],
    first: usize,
    out: &mut [Complex<T>],
) {
    of_width!(transform, gather_of, grid, first, out);
}

#[inline(always)]
fn gather_of<T: Real, M: Machine, const N: usize>(
    transform: &NonUniform<T>,
    grid: &[T],
    first: usize,
    out: &mut [Complex<T>],
) {
    let (stride, half) = (transform.stride(), transform.stride() / 2);
    let lanes = T::Vector::<M>::LANES;
    let zero = T::Vector::<M>::splat(T::zero());
    for (i, out) in (first..).zip(out) {
        let (row, column) = transform.plan.starts[i];
        let (along_x, along_y) = transform.weights::<M, N>(i);
        let (mut re, mut im) = ([zero; N], [zero; N]);
        let at = row as usize * stride + column as usize;
        let lines = &grid[at..][..(along_y.len() - 1) * stride + half + N * lanes];
        for (k, &weight) in along_y.iter().enumerate() {
            let weight = T::Vector::<M>::splat(weight);
            for n in 0..N {
                let at = k * stride + n * lanes;
                // SAFETY: the vectors of line `k`, of both parts, end at most where `lines` does.
                let (line_re, line_im) = unsafe {
                    let line = lines.as_ptr().add(at);
                    (T::Vector::<M>::read(line), T::Vector::<M>::read(line.add(half)))
                };
                re[n] = line_re.mul_add(weight, re[n]);
                im[n] = line_im.mul_add(weight, im[n]);
            }
        }
        let (mut sum_re, mut sum_im) = (zero, zero);
        for n in 0..N {
            sum_re = re[n].mul_add(along_x[n], sum_re);
            sum_im = im[n].mul_add(along_x[n], sum_im);
        }
        let (re, im) = (total::<T, M>(sum_re), total::<T, M>(sum_im));
        let (cos, sin) = (transform.phases[0][i], transform.phases[1][i]);
        *out = Complex::new(re * cos - im * sin, re * sin + im * cos);
    }
}

/// The sum of a vector's numbers, by halves.
#[inline(always)]
fn total<T: Real, M: Machine>(vector: T::Vector<M>) -> T {
    let mut lanes = T::Lanes::default();
    vector.store(&mut lanes, 0);
    let lanes = lanes.as_mut();
    let mut len = T::Vector::<M>::LANES;
    while len > 1 {
        len /= 2;
        for j in 0..len {
            lanes[j] = lanes[j] + lanes[j + len];
        }
    }
    lanes[0]
}

#[inline(always)]
fn spread_inline<T: Real, M: Machine>(
    transform: &NonUniform<T>,
    cotangent: &[Complex<T>],
    samples: Range<usize>,
    rows: Range<usize>,
    grid: &mut [T],
) {
    of_width!(transform, spread_of, cotangent, samples, rows, grid);
}

#[inline(always)]
fn spread_of<T: Real, M: Machine, const N: usize>(
    transform: &NonUniform<T>,
    cotangent: &[Complex<T>],
    samples: Range<usize>,
    rows: Range<usize>,
    grid: &mut [T],
) {
    let (stride, half) = (transform.stride(), transform.stride() / 2);
    let lanes = T::Vector::<M>::LANES;
    for i in samples {
        let (row, column) = transform.plan.starts[i];
        let z = cotangent[i];
        let (cos, sin) = (transform.phases[0][i], transform.phases[1][i]);
        // Times the conjugate of the phase.
        let (z_re, z_im) = (z.re * cos + z.im * sin, z.im * cos - z.re * sin);
        let (along_x, along_y) = transform.weights::<M, N>(i);
        // (Closures are not always compiled for the instruction set, so there are none here.)
        let (mut re, mut im) = (along_x, along_x);
        for n in 0..N {
            re[n] = along_x[n].mul(T::Vector::<M>::splat(z_re));
            im[n] = along_x[n].mul(T::Vector::<M>::splat(z_im));
        }
        // The part of the window that lies in the band.
        let start = row as usize;
        let (from, to) = (start.max(rows.start), (start + along_y.len()).min(rows.end));
        if from >= to {
            continue;
        }
        let at = (from - rows.start) * stride + column as usize;
        let lines = &mut grid[at..][..(to - from - 1) * stride + half + N * lanes];
        for (k, &weight) in along_y[from - start..to - start].iter().enumerate() {
            let weight = T::Vector::<M>::splat(weight);
            for n in 0..N {
                let at = k * stride + n * lanes;
                // SAFETY: the vectors of line `k`, of both parts, end at most where `lines` does.
                unsafe {
                    let (to_re, to_im) =
                        (lines.as_mut_ptr().add(at), lines.as_mut_ptr().add(at + half));
                    re[n].mul_add(weight, T::Vector::<M>::read(to_re)).write(to_re);
                    im[n].mul_add(weight, T::Vector::<M>::read(to_im)).write(to_im);
                }
            }
        }
    }
}
