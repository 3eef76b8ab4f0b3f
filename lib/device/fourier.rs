//! Two-dimensional Fourier sums from listed pixels to a full rectangle of frequencies, and back.
//!
//! `S[a, b] = sum_p kernel_x[a, x_p] kernel_y[b, y_p] E[p]`, where the pixels `p` lie on a grid but
//! need not fill it. Along each axis the kernel is either that of an FFT of `points` samples,
//! `exp(-2 pi i a x / points)` with `a` in FFT order (0, 1, ..., -1) and `x` the pixel's index, or any
//! matrix. Outputs are ordered as they are worked on: along each axis a fast transform makes its
//! frequencies in parts (see [`split`]), and then groups of [`GROUP`] along x have row after row; see
//! [`Fourier::place`].
//!
//! No normalisation. The adjoint is the conjugate transpose:
//! `E'[p] = sum_ab conj(kernel_x[a, x_p] kernel_y[b, y_p]) S'[a, b]`.

use ndarray::Array2;
use num_complex::Complex64;
use std::ops::Range;

/// Frequencies along x that lie next to each other in the outputs.
pub const GROUP: usize = 8;

/// The most frequencies of a part, and of a slab (see [`super::cpu`]): 64 rows of 128 bytes are 8 KiB, which fit
/// the first cache with what they are made from.
pub const PART: usize = 64;
/// A transform of at least this many parts leaves out most of what is zero in a line that is a quarter full.
const PARTS: usize = 4;

/// How a fast transform of `points` points is taken in two steps: `(outer, inner)`, whose product it is.
/// Part `k1 < outer` has the frequencies `k1 + outer k2` for `k2 < inner`.
pub fn split(points: usize) -> (usize, usize) {
    let fits = |inner: &usize| points.is_multiple_of(*inner) && points / inner >= PARTS;
    let inner = match points {
        0..=PART => points,
        _ => (2..=PART).rev().find(fits).unwrap_or(points),
    };
    (points / inner.max(1), inner)
}

/// The largest prime that a fast transform takes by its plain sum.
const LARGEST: usize = 13;

/// The radices of the passes of a fast transform; `None` when the length has too large a prime factor.
pub fn radices(points: usize) -> Option<Vec<usize>> {
    let mut rest = points;
    let twos = points.trailing_zeros() as usize;
    rest >>= twos;
    // As few passes as possible, with a 4 among them where there is a choice: it comes first, where part of
    // the line is left out.
    let (eights, fours, two) = match (twos / 3, twos % 3) {
        (_, 0) => (twos / 3, 0, 0),
        (0, 1) => (0, 0, 1),
        (e, 1) => (e - 1, 2, 0),
        (e, _) => (e, 1, 0),
    };
    let mut radices = vec![4; fours.min(1)];
    radices.extend(vec![8; eights]);
    for prime in [5, 3, 7, 11, LARGEST] {
        while rest.is_multiple_of(prime) {
            radices.push(prime);
            rest /= prime;
        }
    }
    radices.extend(vec![4; fours.saturating_sub(1)]);
    radices.extend(vec![2; two]);
    (rest == 1).then_some(radices)
}

/// The frequencies of a fast transform in the order in which it makes them: part after part.
pub fn order(points: usize) -> Vec<usize> {
    let (outer, inner) = split(points);
    (0..outer).flat_map(|k1| (0..inner).map(move |k2| k1 + outer * k2)).collect()
}

/// The kernel along one axis.
#[derive(Debug, Clone)]
pub enum Axis {
    /// A discrete Fourier transform of this many points, outputs in FFT order.
    Fft { points: usize },
    /// `kernel[frequency, pixel]`, pixels counted along the axis from 0.
    Matrix(Array2<Complex64>),
}

impl Axis {
    /// The number of frequencies.
    pub fn outputs(&self) -> usize {
        match self {
            Axis::Fft { points } => *points,
            Axis::Matrix(kernel) => kernel.nrows(),
        }
    }

    /// The number of pixels along the axis.
    pub fn inputs(&self) -> usize {
        match self {
            Axis::Fft { points } => *points,
            Axis::Matrix(kernel) => kernel.ncols(),
        }
    }

    /// The frequencies in the order of the outputs.
    pub fn order(&self) -> Vec<usize> {
        match self {
            Axis::Fft { points } => order(*points),
            Axis::Matrix(kernel) => (0..kernel.nrows()).collect(),
        }
    }
}

/// A separable transform from listed pixels to a rectangle of frequencies.
#[derive(Debug, Clone)]
pub struct Fourier {
    pub x: Axis,
    pub y: Axis,
    /// The pixels as (row y, column x), in row-major order.
    pixels: Vec<(u32, u32)>,
    /// Where every frequency stands along x and y.
    places: (Vec<usize>, Vec<usize>),
}

impl Fourier {
    /// A transform from `pixels`, each (row, column).
    ///
    /// # Panics
    /// When the pixels are not strictly in row-major order or lie outside the axes.
    pub fn new(x: Axis, y: Axis, pixels: Vec<(u32, u32)>) -> Self {
        assert!(pixels.is_sorted_by(|a, b| a < b), "pixels must be in order");
        let inside = |&(row, column): &(u32, u32)| {
            (row as usize) < y.inputs() && (column as usize) < x.inputs()
        };
        assert!(pixels.iter().all(inside), "a pixel lies outside the grid");
        let places = |axis: &Axis| {
            let mut places = vec![0; axis.outputs()];
            axis.order().into_iter().enumerate().for_each(|(place, k)| places[k] = place);
            places
        };
        let places = (places(&x), places(&y));
        Fourier { x, y, pixels, places }
    }

    /// The pixels as (row y, column x).
    pub fn pixels(&self) -> &[(u32, u32)] {
        &self.pixels
    }

    /// The rows and the columns from the first to the last that hold a pixel.
    pub fn used(&self) -> (Range<usize>, Range<usize>) {
        let range = |values: &mut dyn Iterator<Item = u32>| {
            let (low, high) = values.fold((u32::MAX, 0), |(l, h), v| (l.min(v), h.max(v)));
            low.min(high) as usize..high as usize + 1
        };
        (range(&mut self.pixels.iter().map(|p| p.0)), range(&mut self.pixels.iter().map(|p| p.1)))
    }

    /// The number of outputs.
    pub fn outputs(&self) -> usize {
        self.x.outputs() * self.y.outputs()
    }

    /// Whether the outputs of both can be worked on together: as many rows of pixels, and outputs that come
    /// in the same order.
    pub fn matches(&self, other: &Fourier) -> bool {
        let kind = |axis: &Axis| (matches!(axis, Axis::Fft { .. }), axis.outputs());
        let shape = |f: &Fourier| (f.used().0.len(), kind(&f.x), kind(&f.y));
        shape(self) == shape(other)
    }

    /// The index among the outputs of frequency `a` along x and `b` along y.
    pub fn place(&self, a: usize, b: usize) -> usize {
        let (a, b) = (self.places.0[a], self.places.1[b]);
        let group = a / GROUP;
        // The last group may be short.
        let width = GROUP.min(self.x.outputs() - group * GROUP);
        group * GROUP * self.y.outputs() + b * width + a % GROUP
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Axis {
        /// The kernel at one frequency and pixel.
        pub fn kernel(&self, frequency: usize, pixel: usize) -> Complex64 {
            match self {
                Axis::Fft { points } => {
                    // Reduced modulo `points` first, so that large indices lose no digits.
                    let turns = (frequency * pixel % points) as f64 / *points as f64;
                    Complex64::cis(-2.0 * std::f64::consts::PI * turns)
                }
                Axis::Matrix(kernel) => kernel[(frequency, pixel)],
            }
        }
    }

    impl Fourier {
        /// The plain sum: the oracle that every fast path is checked against.
        pub fn direct(&self, field: &[Complex64]) -> Vec<Complex64> {
            let ny = self.y.outputs();
            let mut out = vec![Complex64::default(); self.outputs()];
            for (&(row, column), &value) in self.pixels.iter().zip(field) {
                for a in 0..self.x.outputs() {
                    let along_x = self.x.kernel(a, column as usize) * value;
                    for b in 0..ny {
                        out[self.place(a, b)] += along_x * self.y.kernel(b, row as usize);
                    }
                }
            }
            out
        }

        /// The plain sum of the adjoint.
        pub fn direct_adjoint(&self, cotangent: &[Complex64]) -> Vec<Complex64> {
            let ny = self.y.outputs();
            let one = |&(row, column): &(u32, u32)| {
                let mut sum = Complex64::default();
                for a in 0..self.x.outputs() {
                    for b in 0..ny {
                        let kernel =
                            self.x.kernel(a, column as usize) * self.y.kernel(b, row as usize);
                        sum += kernel.conj() * cotangent[self.place(a, b)];
                    }
                }
                sum
            };
            self.pixels.iter().map(one).collect()
        }
    }
}
