//! Folding of pixels about the middle of their box: sums and differences of mirrored ones.
//!
//! A kernel `exp(i k x)` on a box that is symmetric about 0 is a cosine for the sum of two mirrored pixels
//! and a sine for their difference, so a transform of folded pixels takes real numbers only, half as many.

use super::Real;
use super::isa::{Machine, vectorised};

vectorised!(
    /// Folds a box of pixels, `used` along x, to `pairs_x` pairs along x and `pairs_y` along y.
    pub fn fold(pixels: &[T], used: usize, folded: &mut [T], pairs_x: usize, pairs_y: usize) = fold_inline
);
vectorised!(
    /// The adjoint of folding.
    pub fn unfold(folded: &mut [T], pairs_x: usize, pairs_y: usize, pixels: &mut [T], used: usize) = unfold_inline
);

/// A line of folded pixels in its four parts.
fn quarters<T>(line: &mut [T]) -> [&mut [T]; 4] {
    let (left, right) = line.split_at_mut(line.len() / 2);
    let (a, b) = left.split_at_mut(left.len() / 2);
    let (c, d) = right.split_at_mut(right.len() / 2);
    [a, b, c, d]
}

#[inline(always)]
fn fold_inline<T: Real, M: Machine>(
    pixels: &[T],
    used: usize,
    folded: &mut [T],
    pairs_x: usize,
    pairs_y: usize,
) {
    let (row, rows) = (2 * used, pixels.len() / (2 * used));
    folded.fill(T::zero());
    let (cosines, sines) = folded.split_at_mut(pairs_y * 4 * pairs_x);
    let lines = cosines.chunks_exact_mut(4 * pairs_x).zip(sines.chunks_exact_mut(4 * pairs_x));
    for (j, (cosines, sines)) in lines.take(rows.div_ceil(2)).enumerate() {
        let (low, high) = (&pixels[j * row..][..row], &pixels[(rows - 1 - j) * row..][..row]);
        if 2 * j + 1 == rows {
            fold_line(|i| (low[i], low[used + i]), used, cosines);
            continue;
        }
        fold_line(|i| (high[i] + low[i], high[used + i] + low[used + i]), used, cosines);
        // The difference times -i.
        fold_line(|i| (high[used + i] - low[used + i], low[i] - high[i]), used, sines);
    }
}

/// Folds a line of complex numbers.
#[inline(always)]
fn fold_line<T: Real>(z: impl Fn(usize) -> (T, T), used: usize, out: &mut [T]) {
    let [a_re, b_im, a_im, minus_b_re] = quarters(out);
    for i in 0..used / 2 {
        let (low, high) = (z(i), z(used - 1 - i));
        (a_re[i], a_im[i]) = (high.0 + low.0, high.1 + low.1);
        (minus_b_re[i], b_im[i]) = (low.0 - high.0, high.1 - low.1);
    }
    if !used.is_multiple_of(2) {
        (a_re[used / 2], a_im[used / 2]) = z(used / 2);
    }
}

#[inline(always)]
fn unfold_inline<T: Real, M: Machine>(
    folded: &mut [T],
    pairs_x: usize,
    pairs_y: usize,
    pixels: &mut [T],
    used: usize,
) {
    let (row, rows) = (2 * used, pixels.len() / (2 * used));
    let (cosines, sines) = folded.split_at_mut(pairs_y * 4 * pairs_x);
    let lines = cosines.chunks_exact_mut(4 * pairs_x).zip(sines.chunks_exact_mut(4 * pairs_x));
    for (j, (cosines, sines)) in lines.take(rows.div_ceil(2)).enumerate() {
        let mirrored = rows - 1 - j;
        unfold_line(cosines, used, |i, z| {
            (pixels[j * row + i], pixels[j * row + used + i]) = z;
            (pixels[mirrored * row + i], pixels[mirrored * row + used + i]) = z;
        });
        if mirrored == j {
            continue;
        }
        unfold_line(sines, used, |i, (re, im)| {
            let (low, high) = (j * row + i, mirrored * row + i);
            (pixels[low], pixels[low + used]) = (pixels[low] + im, pixels[low + used] - re);
            (pixels[high], pixels[high + used]) = (pixels[high] - im, pixels[high + used] + re);
        });
    }
}

/// The adjoint of folding a line.
#[inline(always)]
fn unfold_line<T: Real>(line: &mut [T], used: usize, mut z: impl FnMut(usize, (T, T))) {
    let [a_re, b_im, a_im, minus_b_re] = quarters(line);
    for i in 0..used / 2 {
        z(i, (a_re[i] + minus_b_re[i], a_im[i] - b_im[i]));
        z(used - 1 - i, (a_re[i] - minus_b_re[i], a_im[i] + b_im[i]));
    }
    if !used.is_multiple_of(2) {
        z(used / 2, (a_re[used / 2], a_im[used / 2]));
    }
}
