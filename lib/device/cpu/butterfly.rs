//! Butterflies, the small transforms that passes are made of: `y[j] = sum_k w_r^(j k) x[k]` of `r` numbers a lane.

use super::Real;
use super::vector::{Complexes, Vector};
use std::f64::consts::{FRAC_1_SQRT_2, TAU};

/// `exp(-2 pi i turns / of)`
pub fn root<T: Real>(turns: usize, of: usize) -> (T, T) {
    let angle = -TAU * (turns % of) as f64 / of as f64;
    (T::of(angle.cos()), T::of(angle.sin()))
}

/// Calls a macro with a radix and its butterfly.
macro_rules! butterflies_of {
    ($radix:expr, $go:ident) => {
        match $radix {
            8 => $go!(8, eight),
            4 => $go!(4, four),
            2 => $go!(2, two),
            3 => $go!(3, any),
            5 => $go!(5, any),
            7 => $go!(7, any),
            11 => $go!(11, any),
            _ => $go!(13, any),
        }
    };
}
pub(super) use butterflies_of;

#[inline(always)]
pub fn two<T: Real, V: Vector<Number = T>>(
    x: [Complexes<V>; 2],
    _: &[(T, T)],
) -> [Complexes<V>; 2] {
    [x[0].add(x[1]), x[0].sub(x[1])]
}

#[inline(always)]
pub fn four<T: Real, V: Vector<Number = T>>(
    x: [Complexes<V>; 4],
    _: &[(T, T)],
) -> [Complexes<V>; 4] {
    let (a, b) = (x[0].add(x[2]), x[0].sub(x[2]));
    let (c, d) = (x[1].add(x[3]), x[1].sub(x[3]));
    [a.add(c), b.sub_i(d), a.sub(c), b.add_i(d)]
}

#[inline(always)]
pub fn eight<T: Real, V: Vector<Number = T>>(
    x: [Complexes<V>; 8],
    none: &[(T, T)],
) -> [Complexes<V>; 8] {
    let e = four([x[0], x[2], x[4], x[6]], none);
    let o = four([x[1], x[3], x[5], x[7]], none);
    // The odd part turns by k eighths: (1 - i) / sqrt 2 and (-1 - i) / sqrt 2 for k = 1 and 3.
    let half = V::splat(T::of(FRAC_1_SQRT_2));
    let (one, three) = (
        Complexes { re: o[1].re.add(o[1].im), im: o[1].im.sub(o[1].re) },
        Complexes { re: o[3].im.sub(o[3].re), im: o[3].re.add(o[3].im) },
    );
    [
        e[0].add(o[0]),
        Complexes { re: one.re.mul_add(half, e[1].re), im: one.im.mul_add(half, e[1].im) },
        e[2].sub_i(o[2]),
        Complexes { re: three.re.mul_add(half, e[3].re), im: three.im.sub_mul(half, e[3].im) },
        e[0].sub(o[0]),
        Complexes { re: one.re.sub_mul(half, e[1].re), im: one.im.sub_mul(half, e[1].im) },
        e[2].add_i(o[2]),
        Complexes { re: three.re.sub_mul(half, e[3].re), im: three.im.mul_add(half, e[3].im) },
    ]
}

/// The plain sum, for odd primes.
#[inline(always)]
pub fn any<T: Real, V: Vector<Number = T>, const R: usize>(
    x: [Complexes<V>; R],
    roots: &[(T, T)],
) -> [Complexes<V>; R] {
    let mut y = [x[0]; R];
    for (j, y) in y.iter_mut().enumerate() {
        for k in 1..R {
            *y = y.add_times(x[k], roots[j * k % R]);
        }
    }
    y
}
