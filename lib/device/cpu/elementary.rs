//! `exp`, `ln`, `sin` and `cos` without branches or calls, so that a loop over them is vectorised.
//!
//! Each reduces its argument to where a Taylor series of fixed length is exact to rounding, which is
//! the textbook way (J.-M. Muller, "Elementary Functions", chapters 3 and 11). Results are within 2
//! units in the last place of the true value, but for `sin` and `cos` near a zero other than 0, where
//! the error is that small against 1.

use super::isa::Machine;

/// The elementary functions of a floating-point type.
pub trait Elementary: Copy {
    /// `exp(x)`; 0 where the result would be denormal, or nearly.
    fn exp_inline<M: Machine>(self) -> Self;
    /// `ln(x)`; NaN below 0.
    fn ln_inline<M: Machine>(self) -> Self;
    /// `ln(1 + x)`, accurate near 0.
    fn ln_1p_inline<M: Machine>(self) -> Self;
    /// `sin(x)` for `|x|` up to [`LARGEST_ANGLE`](Elementary::LARGEST_ANGLE).
    fn sin_inline<M: Machine>(self) -> Self;
    /// `cos(x)` for `|x|` up to [`LARGEST_ANGLE`](Elementary::LARGEST_ANGLE).
    fn cos_inline<M: Machine>(self) -> Self;
    /// The largest argument of `sin` and `cos`.
    const LARGEST_ANGLE: Self;
}

/// The constants and series of one type.
macro_rules! elementary {
    (
        $type:ident, $bits:ident,
        mantissa $mantissa:literal, bias $bias:literal,
        round $round:literal, ln2 $ln2_high:literal + $ln2_low:literal,
        half_pi $($half_pi:literal)+, largest_angle $largest_angle:literal,
        least_exp $least:literal, most_exp $most:literal,
        exp [$($exp:expr),+], ln [$($ln:expr),+], sin [$($sin:expr),+], cos [$($cos:expr),+]
    ) => {
        impl Elementary for $type {
            const LARGEST_ANGLE: Self = $largest_angle;

            #[inline(always)]
            fn exp_inline<M: Machine>(self) -> Self {
                // x = k ln 2 + r; adding a large number rounds to the whole number k, which is then in
                // the low bits.
                let x = self.clamp($least, $most);
                let shifted = M::mul_add(x, std::$type::consts::LOG2_E, $round);
                let k = shifted - $round;
                let r = M::mul_add(-k, $ln2_low, M::mul_add(-k, $ln2_high, x));
                // 2 exp(r) 2^(k - 1): the largest k has no power of two of its own.
                let power = (shifted.to_bits() << $mantissa).wrapping_add((0.5 as $type).to_bits());
                let value = series::<$type, M>(r, &[$(2.0 * $exp),+]) * $type::from_bits(power);
                let value = if self > $most { $type::INFINITY } else { value };
                if self < $least { 0.0 } else { value }
            }

            #[inline(always)]
            fn ln_inline<M: Machine>(self) -> Self {
                // Denormals are made normal first.
                let small = self < $type::MIN_POSITIVE;
                let lift = (1u64 << ($mantissa + 1)) as $type;
                let x = if small { self * lift } else { self };
                // x = 2^k m with m from sqrt(1/2) to sqrt(2).
                const ONE: $bits = (1.0 as $type).to_bits();
                const ROOT: $bits = std::$type::consts::FRAC_1_SQRT_2.to_bits();
                let moved = x.to_bits().wrapping_add(ONE - ROOT);
                let m = $type::from_bits((moved & ((1 << $mantissa) - 1)).wrapping_add(ROOT));
                // The exponent as a number: the low bits of a large one.
                const LARGE: $type = (1u64 << $mantissa) as $type;
                let exponent = $type::from_bits((moved >> $mantissa) | LARGE.to_bits());
                let k = exponent - (LARGE + $bias);
                let k = if small { k - ($mantissa + 1) as $type } else { k };
                // ln m = 2 artanh s with s = f / (2 + f), arranged so that f is never rounded away.
                let f = m - 1.0;
                let s = f / (2.0 + f);
                let z = s * s;
                let rest = z * series::<$type, M>(z, &[$($ln),+]);
                let half_square = 0.5 * f * f;
                let low = M::mul_add(s, half_square + rest, k * $ln2_low);
                let value = M::mul_add(k, $ln2_high, f - (half_square - low));
                let value = if self == 0.0 { $type::NEG_INFINITY } else { value };
                let value = if self == $type::INFINITY { self } else { value };
                if self >= 0.0 { value } else { $type::NAN }
            }

            #[inline(always)]
            fn ln_1p_inline<M: Machine>(self) -> Self {
                let u = 1.0 + self;
                // What the sum lost.
                let lost = if self.abs() < 1.0 { self - (u - 1.0) } else { 1.0 - (u - self) };
                let value = u.ln_inline::<M>() + lost / u;
                if u > 0.0 && u < $type::INFINITY { value } else { u.ln_inline::<M>() }
            }

            #[inline(always)]
            fn sin_inline<M: Machine>(self) -> Self {
                let (s, c, quadrant) = reduced!($type, M, self, $round, [$($half_pi)+], [$($sin),+], [$($cos),+]);
                let value = if quadrant & 1 == 1 { c } else { s };
                if quadrant & 2 == 2 { -value } else { value }
            }

            #[inline(always)]
            fn cos_inline<M: Machine>(self) -> Self {
                let (s, c, quadrant) = reduced!($type, M, self, $round, [$($half_pi)+], [$($sin),+], [$($cos),+]);
                let value = if quadrant & 1 == 1 { s } else { c };
                if (quadrant + 1) & 2 == 2 { -value } else { value }
            }
        }
    };
}

/// Sine and cosine of `x` less a number of quarter turns, and that number. The parts of pi/2 are so
/// short that their products with the number are exact.
macro_rules! reduced {
    ($type:ident, $m:ident, $x:expr, $round:literal, [$($half_pi:literal)+], [$($sin:expr),+], [$($cos:expr),+]) => {{
        let x = $x;
        let shifted = $m::mul_add(x, std::$type::consts::FRAC_2_PI, $round);
        let k = shifted - $round;
        let mut r = x;
        $( r = $m::mul_add(-k, $half_pi, r); )+
        let z = r * r;
        let s = $m::mul_add(r * z, series::<$type, $m>(z, &[$($sin),+]), r);
        let c = series::<$type, $m>(z, &[1.0, $($cos),+]);
        (s, c, shifted.to_bits())
    }};
}

/// `sum c[i] x^i`
#[inline(always)]
fn series<T: super::Real, M: Machine>(x: T, c: &[f64]) -> T {
    let mut sum = T::of(c[c.len() - 1]);
    for &c in c[..c.len() - 1].iter().rev() {
        sum = M::mul_add(sum, x, T::of(c));
    }
    sum
}

/// `1 / n!`
const fn over_factorial(n: u32) -> f64 {
    let (mut product, mut k) = (1.0, 2);
    while k <= n {
        product *= k as f64;
        k += 1;
    }
    1.0 / product
}

elementary!(
    f64, u64,
    mantissa 52, bias 1023.0,
    // 1.5 x 2^52
    round 6755399441055744.0,
    ln2 6.931_471_803_691_238e-1 + 1.908_214_929_270_587_7e-10,
    // 33, 33 and 53 bits.
    half_pi 1.570_796_326_734_125_6 6.077_100_506_303_966e-11 2.022_266_248_795_950_6e-21,
    largest_angle 1e6, least_exp -708.0, most_exp 709.782_712_893_384,
    exp [
        1.0, 1.0, over_factorial(2), over_factorial(3), over_factorial(4), over_factorial(5),
        over_factorial(6), over_factorial(7), over_factorial(8), over_factorial(9),
        over_factorial(10), over_factorial(11), over_factorial(12), over_factorial(13)
    ],
    ln [
        2.0 / 3.0, 2.0 / 5.0, 2.0 / 7.0, 2.0 / 9.0, 2.0 / 11.0, 2.0 / 13.0, 2.0 / 15.0, 2.0 / 17.0,
        2.0 / 19.0, 2.0 / 21.0
    ],
    sin [
        -over_factorial(3), over_factorial(5), -over_factorial(7), over_factorial(9),
        -over_factorial(11), over_factorial(13), -over_factorial(15), over_factorial(17)
    ],
    cos [
        -over_factorial(2), over_factorial(4), -over_factorial(6), over_factorial(8),
        -over_factorial(10), over_factorial(12), -over_factorial(14), over_factorial(16)
    ]
);

elementary!(
    f32, u32,
    mantissa 23, bias 127.0,
    // 1.5 x 2^23
    round 12582912.0,
    ln2 6.931_457_5e-1 + 1.428_606_8e-6,
    // 8, 11 and 24 bits.
    half_pi 1.570_312_5 4.837_513e-4 7.549_79e-8,
    largest_angle 3000.0, least_exp -86.9, most_exp 88.722_83,
    exp [
        1.0, 1.0, over_factorial(2), over_factorial(3), over_factorial(4), over_factorial(5),
        over_factorial(6), over_factorial(7)
    ],
    ln [2.0 / 3.0, 2.0 / 5.0, 2.0 / 7.0, 2.0 / 9.0],
    sin [-over_factorial(3), over_factorial(5), -over_factorial(7), over_factorial(9)],
    cos [-over_factorial(2), over_factorial(4), -over_factorial(6), over_factorial(8)]
);

#[cfg(test)]
mod tests {
    use super::super::isa::Plain;
    use super::*;

    /// Fused arithmetic, by the library where the machine has none.
    struct Fma;

    impl Machine for Fma {
        type F64 = <Plain as Machine>::F64;
        type F32 = <Plain as Machine>::F32;
        fn mul_add<T: super::super::Real>(a: T, b: T, c: T) -> T {
            a.mul_add(b, c)
        }
    }

    /// The largest error in units in the last place of `scale(theirs(x))`, against the standard library.
    fn worst(
        from: f64,
        to: f64,
        ours: impl Fn(f64) -> f64,
        theirs: impl Fn(f64) -> f64,
        epsilon: f64,
        scale: impl Fn(f64) -> f64,
    ) -> f64 {
        let count = 200_001;
        let mut worst = 0.0f64;
        for i in 0..=count {
            let x = from + (to - from) * i as f64 / count as f64;
            let x = if epsilon > 1e-10 { x as f32 as f64 } else { x };
            let error = (ours(x) - theirs(x)).abs() / (epsilon * scale(theirs(x)));
            worst = worst.max(error);
        }
        worst
    }

    #[test]
    fn they_are_within_two_units_in_the_last_place() {
        let own = |y: f64| y.abs();
        let one = |_: f64| 1.0;
        let e = f64::EPSILON;
        for (name, error) in [
            ("exp", worst(-708.0, 709.78, |x| x.exp_inline::<Fma>(), f64::exp, e, own)),
            ("exp near 0", worst(-1.0, 1.0, |x| x.exp_inline::<Plain>(), f64::exp, e, own)),
            ("ln", worst(1e-3, 50.0, |x| x.ln_inline::<Fma>(), f64::ln, e, own)),
            ("ln, separate", worst(1e-3, 2.0, |x| x.ln_inline::<Plain>(), f64::ln, e, own)),
            ("ln_1p", worst(1e-9, 9.0, |x| x.ln_1p_inline::<Fma>(), f64::ln_1p, e, own)),
            ("ln_1p near 0", worst(-0.4, 1e-6, |x| x.ln_1p_inline::<Plain>(), f64::ln_1p, e, own)),
            ("sin", worst(-1000.0, 1000.0, |x| x.sin_inline::<Fma>(), f64::sin, e, one)),
            ("cos", worst(-1000.0, 1000.0, |x| x.cos_inline::<Plain>(), f64::cos, e, one)),
            ("sin far", worst(9e5, 1e6, |x| x.sin_inline::<Plain>(), f64::sin, e, one)),
            ("cos near 0", worst(-0.7, 0.7, |x| x.cos_inline::<Fma>(), f64::cos, e, own)),
        ] {
            assert!(error < 2.0, "{name}: {error}");
        }
        let narrow = |f: fn(f32) -> f32| move |x: f64| f(x as f32) as f64;
        let e = f32::EPSILON as f64;
        for (name, error) in [
            ("exp", worst(-86.9, 88.72, narrow(f32::exp_inline::<Fma>), f64::exp, e, own)),
            ("ln", worst(1e-3, 50.0, narrow(f32::ln_inline::<Plain>), f64::ln, e, own)),
            ("ln_1p", worst(1e-5, 9.0, narrow(f32::ln_1p_inline::<Fma>), f64::ln_1p, e, own)),
            ("sin", worst(-300.0, 300.0, narrow(f32::sin_inline::<Fma>), f64::sin, e, one)),
            ("cos", worst(-2900.0, 2900.0, narrow(f32::cos_inline::<Plain>), f64::cos, e, one)),
        ] {
            assert!(error < 2.0, "{name} in f32: {error}");
        }
    }

    #[test]
    fn special_values_are_those_of_the_standard_library() {
        for x in
            [0.0, -0.0, 1.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, -1.0, -2.0, 1e-320, 1e300]
        {
            let same = |a: f64, b: f64| {
                a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() < 1e-13 * b.abs()
            };
            assert!(same(x.exp_inline::<Fma>(), x.exp()), "exp {x}");
            assert!(same(x.ln_inline::<Fma>(), x.ln()), "ln {x}: {}", x.ln_inline::<Fma>());
            assert!(same(x.ln_1p_inline::<Fma>(), x.ln_1p()), "ln_1p {x}");
        }
        assert_eq!((-800.0f64).exp_inline::<Fma>(), 0.0);
        assert_eq!(800.0f64.exp_inline::<Plain>(), f64::INFINITY);
    }
}
