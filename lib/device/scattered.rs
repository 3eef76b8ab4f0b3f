//! Two-dimensional Fourier sums from listed pixels to samples anywhere, and back.
//!
//! `S[i] = sum_p exp(-2 pi i (s_i (x_p - x0) + t_i (y_p - y0))) E[p]`, where the pixels `p` lie on a grid,
//! `(x0, y0)` is any point of it, and `s_i, t_i` are turns a pixel. No normalisation. The adjoint is the
//! conjugate transpose.
//!
//! A device computes it as a non-uniform FFT of type 2: the pixels divided by a window's transform, their
//! transform on a grid of frequencies that is finer than theirs, and for each sample
//! the window's weights times its neighbours on that grid (A. Dutt and V. Rokhlin 1993, SIAM J. Sci.
//! Comput. 14, 1368). Outputs are in the order of that grid, so that neighbours are worked on together:
//! see [`Scattered::order`].
//!
//! What samples need of the grid is often a small part, and the dish is some hundred pixels across: so
//! the grid is made by two products with real matrices, as quick as an FFT there and of any length.
//! Pixels are *folded* for them along an axis: with `a` the sum and `b` the difference of the pixels `k`
//! above and below the middle, `exp(-i k t)` over both is `a cos(k t) - i b sin(k t)`.

use super::window::Window;
use rayon::prelude::*;
use std::f64::consts::TAU;
use std::sync::Arc;

/// The error of a transform unless told otherwise.
pub const TOLERANCE: f64 = 1e-9;
/// How much finer than the pixels' own the grid of frequencies is.
const OVERSAMPLING: usize = 2;
/// Weights along x come in groups of this many, zeros at the end; the grid has room for windows of the
/// widest vector.
pub const PAD: usize = 8;
const WIDEST: usize = 16;
/// What the rows of matrices are made of comes in groups of this many.
pub const ROW_MULTIPLE: usize = 16;

/// A transform from listed pixels to scattered samples.
#[derive(Debug, Clone)]
pub struct Scattered {
    /// The pixels as (row y, column x), in row-major order.
    pixels: Vec<(u32, u32)>,
    /// `(x0, y0)`, pixels.
    centre: (f64, f64),
    /// `(s, t)` of every output, turns a pixel.
    samples: Vec<(f64, f64)>,
    order: Vec<u32>,
    pub x: Side,
    pub y: Side,
    /// One over the window's transform at every pixel.
    pub scale: Arc<Vec<f64>>,
    /// The middle of the pixels is not their centre: a phase for every output, cosines and sines.
    pub phases: [Arc<Vec<f64>>; 2],
    /// Row and column of the first point of every output's window on the grid; rows rise.
    pub starts: Vec<(u32, u32)>,
    /// The window's width in points.
    pub width: usize,
    /// The weights of every output: `width` along y, and along x that rounded up to [`PAD`], zeros at
    /// the end.
    pub along_y: Arc<Vec<f64>>,
    pub along_x: Arc<Vec<f64>>,
}

/// One axis of the pixels and of the grid of frequencies.
#[derive(Debug, Clone)]
pub struct Side {
    /// The first pixel, and how many there are from it to the last.
    pub low: u32,
    pub used: usize,
    /// The frequency of the grid's first point, in turns over `OVERSAMPLING * used` pixels, and how many
    /// points there are, filled up to whole groups.
    first: i64,
    pub len: usize,
}

impl Side {
    fn new(pixels: &[(u32, u32)], place: impl Fn(&(u32, u32)) -> u32) -> Side {
        let (low, high) =
            pixels.iter().map(place).fold((u32::MAX, 0), |(l, h), v| (l.min(v), h.max(v)));
        Side { low, used: (high - low) as usize + 1, first: 0, len: 0 }
    }

    /// Points of the grid in a turn a pixel.
    fn points(&self) -> usize {
        OVERSAMPLING * self.used
    }

    /// The middle of the pixels.
    fn middle(&self) -> f64 {
        f64::from(self.low) + (self.used as f64 - 1.0) / 2.0
    }

    /// Pairs of pixels at equal distance from the middle, filled up so that twice as many are whole
    /// groups. Pair `j` are the pixels `j` from the first and from the last; the middle one may be alone.
    pub fn pairs(&self) -> usize {
        self.used.div_ceil(2).next_multiple_of(ROW_MULTIPLE / 2)
    }

    /// The kernel of folded pixels: for every point of the grid the cosines of all pairs and their sines;
    /// zeros where there is no pair.
    pub fn kernel(&self) -> Vec<f64> {
        let (pairs, middle) = (self.pairs(), (self.used as f64 - 1.0) / 2.0);
        let mut kernel = vec![0.0; self.len * 2 * pairs];
        for (l, line) in kernel.chunks_exact_mut(2 * pairs).enumerate() {
            let (cosines, sines) = line.split_at_mut(pairs);
            for j in 0..self.used.div_ceil(2) {
                let turns = (self.first + l as i64) as f64 / self.points() as f64;
                let (sin, cos) = (TAU * (turns * (middle - j as f64)).fract()).sin_cos();
                (cosines[j], sines[j]) = (cos, sin);
            }
        }
        kernel
    }

    /// A window's transform at every pixel from the first in use.
    fn transforms(&self, window: &Window) -> Vec<f64> {
        let middle = (self.used as f64 - 1.0) / 2.0;
        let one = |at: usize| window.transform(at as f64 - middle, self.points());
        (0..self.used).map(one).collect()
    }

    /// Where samples lie on the grid of frequencies, in points, and how many whole turns a pixel were taken
    /// from each: the grid has no more of them than it needs.
    fn positions(
        &self,
        samples: &[(f64, f64)],
        turns: impl Fn(&(f64, f64)) -> f64,
    ) -> (Vec<f64>, Vec<f64>) {
        let (low, high) = samples
            .iter()
            .map(&turns)
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), x| (l.min(x), h.max(x)));
        let rounds = |x: f64| match high - low < 1.0 {
            // Left where they are to each other, so that they need no more than their extent.
            true => (0.5 * (low + high)).round(),
            false => x.round(),
        };
        let one = |sample| {
            let rounds = rounds(turns(sample));
            ((turns(sample) - rounds) * self.points() as f64, rounds)
        };
        samples.iter().map(one).unzip()
    }

    /// Makes room for windows that start at these points and cover this many each.
    fn cover(&mut self, firsts: &[i64], covered: usize, group: usize) {
        let low = firsts.iter().copied().min().unwrap_or(0);
        let high = firsts.iter().copied().max().unwrap_or(0);
        self.first = low;
        self.len = ((high - low) as usize + covered).next_multiple_of(group);
    }
}

impl Scattered {
    /// A transform from `pixels`, each (row, column), about `centre` `(x0, y0)`, to `samples` `(s, t)` in
    /// turns a pixel, with errors of an output below `tolerance` times the sum of the pixels' moduli.
    ///
    /// # Panics
    /// When the pixels are not strictly in row-major order, or there is none; when a sample is not finite;
    /// and for a tolerance that is not above 0.
    pub fn new(
        pixels: Vec<(u32, u32)>,
        centre: (f64, f64),
        samples: &[(f64, f64)],
        tolerance: f64,
    ) -> Self {
        Scattered::build(pixels, centre, samples, tolerance, true)
    }

    /// The same with outputs in the order of the samples, which several transforms then can share; `None`
    /// where that does not rise along y on the grid of frequencies.
    ///
    /// # Panics
    /// As [`new`](Scattered::new).
    pub fn in_order(
        pixels: Vec<(u32, u32)>,
        centre: (f64, f64),
        samples: &[(f64, f64)],
        tolerance: f64,
    ) -> Option<Self> {
        let plan = Scattered::build(pixels, centre, samples, tolerance, false);
        plan.starts.is_sorted_by_key(|start| start.0).then_some(plan)
    }

    fn build(
        pixels: Vec<(u32, u32)>,
        centre: (f64, f64),
        samples: &[(f64, f64)],
        tolerance: f64,
        sort: bool,
    ) -> Self {
        assert!(pixels.is_sorted_by(|a, b| a < b), "pixels must be in order");
        assert!(!pixels.is_empty(), "a transform of no pixels");
        assert!(samples.iter().all(|(s, t)| s.is_finite() && t.is_finite()), "samples are finite");
        assert!(tolerance > 0.0, "a tolerance of {tolerance}");
        let (mut x, mut y) = (Side::new(&pixels, |p| p.1), Side::new(&pixels, |p| p.0));
        let window = Window::new(tolerance, OVERSAMPLING as f64);
        let width = window.width;

        let (at_x, rounds_x) = x.positions(samples, |s| s.0);
        let (at_y, rounds_y) = y.positions(samples, |s| s.1);
        let mut order: Vec<u32> = (0..samples.len() as u32).collect();
        if sort {
            // Stable, so that the order depends on nothing but the samples.
            order.sort_by_key(|&i| {
                (at_y[i as usize].floor() as i64, at_x[i as usize].floor() as i64)
            });
        }
        let sorted = |values: &[f64]| order.iter().map(|&i| values[i as usize]).collect::<Vec<_>>();

        let padded = width.next_multiple_of(PAD);
        let (first_x, along_x) = weights(&window, &sorted(&at_x), padded);
        let (first_y, along_y) = weights(&window, &sorted(&at_y), width);
        x.cover(&first_x, width.next_multiple_of(WIDEST), ROW_MULTIPLE);
        y.cover(&first_y, width, 1);
        let starts = first_y.iter().zip(&first_x);
        let starts = starts.map(|(b, a)| ((b - y.first) as u32, (a - x.first) as u32));

        let (by_x, by_y) = (x.transforms(&window), y.transforms(&window));
        let scale = |&(row, column): &(u32, u32)| {
            1.0 / (by_y[(row - y.low) as usize] * by_x[(column - x.low) as usize])
        };
        let phase = |i: &u32| {
            let i = *i as usize;
            // From the middle to the centre; and where r turns a pixel were taken from a sample, those of the
            // middle, which may lie between two pixels.
            let along = |side: &Side, centre: f64, turns: f64, rounds: f64| {
                (turns * (side.middle() - centre)).fract() - (rounds * side.middle()).fract()
            };
            let turns = along(&x, centre.0, samples[i].0, rounds_x[i])
                + along(&y, centre.1, samples[i].1, rounds_y[i]);
            let (sin, cos) = (-TAU * turns).sin_cos();
            (cos, sin)
        };
        let (cos, sin): (Vec<f64>, Vec<f64>) = order.iter().map(phase).unzip();
        Scattered {
            scale: Arc::new(pixels.iter().map(scale).collect()),
            phases: [cos.into(), sin.into()],
            starts: starts.collect(),
            width,
            along_y: along_y.into(),
            along_x: along_x.into(),
            samples: order.iter().map(|&i| samples[i as usize]).collect(),
            order,
            x,
            y,
            pixels,
            centre,
        }
    }

    /// The pixels as (row y, column x).
    pub fn pixels(&self) -> &[(u32, u32)] {
        &self.pixels
    }

    /// `(x0, y0)`, pixels.
    pub fn centre(&self) -> (f64, f64) {
        self.centre
    }

    /// `(s, t)` of every output, turns a pixel.
    pub fn samples(&self) -> &[(f64, f64)] {
        &self.samples
    }

    /// For every output the sample that it is, counted as they were given.
    pub fn order(&self) -> &[u32] {
        &self.order
    }

    /// The number of outputs.
    pub fn outputs(&self) -> usize {
        self.samples.len()
    }
}

/// The first point of every window, and the weights of all, `len` a sample.
fn weights(window: &Window, positions: &[f64], len: usize) -> (Vec<i64>, Vec<f64>) {
    let mut all = vec![0.0; positions.len() * len];
    let firsts = all.par_chunks_exact_mut(len).zip(positions).map(|(out, &position)| {
        let (first, weights) = window.weights(position);
        out.iter_mut().zip(weights).for_each(|(out, weight)| *out = weight);
        first
    });
    (firsts.collect(), all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use num_complex::Complex64;

    impl Scattered {
        fn kernel(&self, sample: (f64, f64), pixel: (u32, u32)) -> Complex64 {
            let (x, y) = (f64::from(pixel.1) - self.centre.0, f64::from(pixel.0) - self.centre.1);
            // Each reduced to one turn first, so that far samples lose no digits.
            Complex64::cis(-TAU * ((sample.0 * x).fract() + (sample.1 * y).fract()))
        }

        /// The plain sum: the oracle that every fast path is checked against.
        pub fn direct(&self, field: &[Complex64]) -> Vec<Complex64> {
            let pixels = || self.pixels.iter().zip(field);
            let one = |&sample| pixels().map(|(&pixel, z)| self.kernel(sample, pixel) * z).sum();
            self.samples.iter().map(one).collect()
        }

        /// The plain sum of the adjoint.
        pub fn direct_adjoint(&self, cotangent: &[Complex64]) -> Vec<Complex64> {
            let samples = || self.samples.iter().zip(cotangent);
            let one =
                |&pixel| samples().map(|(&sample, z)| self.kernel(sample, pixel).conj() * z).sum();
            self.pixels.iter().map(one).collect()
        }
    }

    #[test]
    fn outputs_are_in_the_order_of_the_grid_of_frequencies() {
        let pixels = vec![(3, 4), (3, 5), (18, 4)];
        let samples = [(0.3, 0.2), (-0.1, -0.2), (0.1, -0.2), (0.3, 0.2), (0.3, -7.0)];
        let transform = Scattered::new(pixels, (4.0, 10.0), &samples, TOLERANCE);
        // The last goes round more than once: -7.0 is where 0 is.
        assert_eq!(transform.order(), [1, 2, 4, 0, 3]);
        assert_eq!(transform.samples()[0], samples[1]);
        assert!(transform.starts.is_sorted());
        // The window's width more than 0.4 turns of 2 * 16 points; along x of 2 * 2, and a whole group.
        assert_eq!((transform.width, transform.x.len, transform.y.len), (12, 32, 25));
    }

    #[test]
    fn the_plain_sum_is_what_it_says() {
        // One pixel two columns from the centre, a quarter turn a pixel: half a turn.
        let transform = Scattered::new(vec![(5, 8)], (6.0, 5.0), &[(0.25, 0.3)], TOLERANCE);
        let out = transform.direct(&[Complex64::new(2.0, 1.0)]);
        assert!((out[0] - Complex64::new(-2.0, -1.0)).norm() < 1e-15);
    }
}
