//! Operations on the elements of a tile, compiled for every instruction set.

use super::isa::{Machine, vectorised};
use super::tile::Tile;
use super::vector::Batch;
use super::{Real, TILE};
use crate::device::Op;
use crate::device::fourier::GROUP;
use rustfft::num_complex::Complex;

/// An operand's values on a tile.
#[derive(Clone, Copy)]
pub enum Argument<'a, T> {
    One(T),
    Many(&'a [T]),
}

impl<T: Real> Argument<'_, T> {
    #[inline(always)]
    pub fn at(&self, i: usize) -> T {
        match self {
            Argument::One(value) => *value,
            Argument::Many(values) => values[i],
        }
    }
}

vectorised!(pub fn parts(values: &[Complex<T>], re: &mut [T], im: &mut [T]) = parts_inline);
vectorised!(
    /// One operation over a tile.
    pub fn map(op: Op, a: Argument<T>, b: Argument<T>, out: &mut [T]) = map_inline
);
vectorised!(
    /// A tile of a slab, whose parts are exchanged.
    pub fn from_slab(slab: &[Batch<T>], tile: Tile, re: &mut [T], im: &mut [T]) = from_slab_inline
);
vectorised!(
    /// The other way.
    pub fn to_slab(re: Argument<T>, im: Argument<T>, tile: Tile, slab: &mut [Batch<T>]) = to_slab_inline
);
vectorised!(
    /// Joins two real results to a complex one.
    pub fn join(re: Argument<T>, im: Argument<T>, out: &mut [Complex<T>]) = join_inline
);

/// The sines and the cosines of many angles, in radians: as exact as the library's to two units in the last place (but
/// near a zero other than 0, see `elementary`), and several times as fast.
pub fn sines_and_cosines(angles: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let of = |op| {
        let mut out = vec![0.0; angles.len()];
        // Tile by tile, because one far angle makes all of its tile take the library's functions.
        for (out, angles) in out.chunks_mut(TILE).zip(angles.chunks(TILE)) {
            map(op, Argument::Many(angles), Argument::One(0.0), out);
        }
        out
    };
    (of(Op::Sin), of(Op::Cos))
}

#[inline(always)]
fn parts_inline<T: Real, M: Machine>(values: &[Complex<T>], re: &mut [T], im: &mut [T]) {
    for ((z, re), im) in values.iter().zip(re).zip(im) {
        (*re, *im) = (z.re, z.im);
    }
}

/// Fills `out` with an expression in one operand. A macro, because a closure is compiled for the
/// instruction set of where it is written, unless it happens to be inlined.
macro_rules! unary {
    ($a:expr, $out:expr, |$x:ident| $value:expr) => {
        match $a {
            Argument::One($x) => $out.fill($value),
            Argument::Many(values) => {
                for (out, &$x) in $out.iter_mut().zip(values) {
                    *out = $value;
                }
            }
        }
    };
}

/// The same in two operands.
macro_rules! binary {
    ($a:expr, $b:expr, $out:expr, |$x:ident, $y:ident| $value:expr) => {
        match ($a, $b) {
            (Argument::One($x), Argument::One($y)) => $out.fill($value),
            (Argument::One($x), many) => unary!(many, $out, |$y| $value),
            (many, Argument::One($y)) => unary!(many, $out, |$x| $value),
            (Argument::Many(a), Argument::Many(b)) => {
                for ((out, &$x), &$y) in $out.iter_mut().zip(a).zip(b) {
                    *out = $value;
                }
            }
        }
    };
}

#[inline(always)]
fn from_slab_inline<T: Real, M: Machine>(
    slab: &[Batch<T>],
    tile: Tile,
    re: &mut [T],
    im: &mut [T],
) {
    let Tile { row, lane, width, .. } = tile;
    let (re, im) = (&mut re[..tile.len], &mut im[..tile.len]);
    if width == GROUP {
        let parts = re.chunks_exact_mut(GROUP).zip(im.chunks_exact_mut(GROUP));
        for ((re, im), batch) in parts.zip(&slab[row..]) {
            re.copy_from_slice(&batch.im.as_ref()[lane..lane + GROUP]);
            im.copy_from_slice(&batch.re.as_ref()[lane..lane + GROUP]);
        }
        return;
    }
    let parts = re.chunks_exact_mut(width).zip(im.chunks_exact_mut(width));
    for ((re, im), batch) in parts.zip(&slab[row..]) {
        re.copy_from_slice(&batch.im.as_ref()[lane..lane + width]);
        im.copy_from_slice(&batch.re.as_ref()[lane..lane + width]);
    }
}

#[inline(always)]
fn to_slab_inline<T: Real, M: Machine>(
    re: Argument<T>,
    im: Argument<T>,
    tile: Tile,
    slab: &mut [Batch<T>],
) {
    let Tile { row, lane, width, .. } = tile;
    match (re, im) {
        (Argument::Many(re), Argument::Many(im)) if width == GROUP => {
            let parts = re.chunks_exact(GROUP).zip(im.chunks_exact(GROUP));
            for ((re, im), batch) in parts.zip(&mut slab[row..]) {
                batch.im.as_mut()[lane..lane + GROUP].copy_from_slice(re);
                batch.re.as_mut()[lane..lane + GROUP].copy_from_slice(im);
            }
        }
        _ => {
            for i in 0..tile.len {
                let (row, lane) = (row + i / width, lane + i % width);
                slab[row].im.as_mut()[lane] = re.at(i);
                slab[row].re.as_mut()[lane] = im.at(i);
            }
        }
    }
}

#[inline(always)]
fn map_inline<T: Real, M: Machine>(op: Op, a: Argument<T>, b: Argument<T>, out: &mut [T]) {
    match op {
        Op::Copy => unary!(a, out, |a| a),
        Op::Neg => unary!(a, out, |a| -a),
        Op::Square => unary!(a, out, |a| a * a),
        Op::Sqrt => unary!(a, out, |a| a.sqrt()),
        Op::Exp => unary!(a, out, |a| a.exp_inline::<M>()),
        Op::Ln => unary!(a, out, |a| a.ln_inline::<M>()),
        Op::Ln1p => unary!(a, out, |a| a.ln_1p_inline::<M>()),
        Op::Sin if is_beyond_fast_range(a) => unary!(a, out, |a| a.sin()),
        Op::Sin => unary!(a, out, |a| a.sin_inline::<M>()),
        Op::Cos if is_beyond_fast_range(a) => unary!(a, out, |a| a.cos()),
        Op::Cos => unary!(a, out, |a| a.cos_inline::<M>()),
        Op::Abs => unary!(a, out, |a| a.abs()),
        Op::Sign => unary!(a, out, |a| if a == T::zero() { a } else { a.signum() }),
        Op::Powi(n) => unary!(a, out, |a| a.powi(n)),
        Op::Add => binary!(a, b, out, |a, b| a + b),
        Op::Sub => binary!(a, b, out, |a, b| a - b),
        Op::Mul => binary!(a, b, out, |a, b| a * b),
        Op::Div => binary!(a, b, out, |a, b| a / b),
        Op::Norm2 => binary!(a, b, out, |a, b| M::mul_add(a, a, b * b)),
    }
}

/// Whether an angle is too large, or no number, for the fast sine and cosine.
#[inline(always)]
fn is_beyond_fast_range<T: Real>(a: Argument<T>) -> bool {
    let far = |a: T| if a.abs() <= T::LARGEST_ANGLE { 0 } else { 1u32 };
    match a {
        Argument::One(a) => far(a) > 0,
        Argument::Many(a) => a.iter().fold(0, |count, &a| count | far(a)) > 0,
    }
}

#[inline(always)]
fn join_inline<T: Real, M: Machine>(re: Argument<T>, im: Argument<T>, out: &mut [Complex<T>]) {
    match (re, im) {
        (Argument::Many(re), Argument::Many(im)) => {
            for ((out, &re), &im) in out.iter_mut().zip(re).zip(im) {
                *out = Complex::new(re, im);
            }
        }
        _ => {
            for (i, out) in out.iter_mut().enumerate() {
                *out = Complex::new(re.at(i), im.at(i));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_sines_and_cosines_are_those_of_each() {
        let mut angles: Vec<f64> = (0..3 * TILE + 17).map(|i| 0.37 * i as f64 - 300.0).collect();
        // Too far for the fast functions.
        angles[TILE + 5] = 1e12;
        let (sines, cosines) = sines_and_cosines(&angles);
        for (i, angle) in angles.iter().enumerate() {
            let off = (sines[i] - angle.sin()).abs().max((cosines[i] - angle.cos()).abs());
            assert!(off < 4.0 * f64::EPSILON, "{angle}: {off}");
        }
    }

    /// Every operation on tiles against its meaning for one number.
    #[test]
    fn every_operation_on_a_tile_is_that_on_a_number() {
        fn check<T: Real>(len: usize) {
            let a: Vec<T> = (0..len).map(|i| T::of(0.3 + 0.01 * i as f64)).collect();
            let b: Vec<T> = (0..len).map(|i| T::of(1.7 - 0.001 * i as f64)).collect();
            let mut out = vec![T::zero(); len];
            for op in Op::ALL {
                let many = (Argument::Many(&a), Argument::Many(&b));
                let one = (Argument::One(a[0]), Argument::One(b[0]));
                for (x, y) in [many, (many.0, one.1), (one.0, many.1), one] {
                    map(op, x, y, &mut out);
                    for (i, out) in out.iter().enumerate() {
                        let expected = op.apply(x.at(i).in_f64(), y.at(i).in_f64());
                        let error = (out.in_f64() - expected).abs();
                        let most = 4.0 * T::epsilon().in_f64() * expected.abs().max(1.0);
                        assert!(error <= most, "{op:?} {i}: {} {expected}", out.in_f64());
                    }
                }
            }
        }
        for len in [1, 7, 512] {
            check::<f64>(len);
            check::<f32>(len);
        }
    }
}
