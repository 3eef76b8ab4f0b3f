//! The discrete Fourier transform of many lines at once, a line a lane.
//!
//! Stockham's form of the mixed-radix transform (decimation in frequency): every pass reads one buffer
//! and writes another in the right order, so there is no bit reversal. With `n` the length still to be
//! transformed, `s` the product of the radices done, `m = n / r`:
//!
//! `out[q + s (r p + j)] = w_n^(j p) sum_k w_r^(j k) in[q + s (p + m k)]`, `w_n = exp(-2 pi i / n)`,
//!
//! for `p < m` and `q < s`. Only a range of the inputs of a line need be other than zero, and that
//! range is all that an adjoint returns: the first pass of the one and the last of the other leave out
//! what is not needed. (C. Van Loan, "Computational Frameworks for the Fast Fourier Transform", 1992.)
//!
//! An adjoint is the same transform of swapped numbers: with real and imaginary part exchanged before
//! and after, `exp(-2 pi i ...)` becomes `exp(+2 pi i ...)`.

use super::Real;
use super::isa::{Machine, vectorised};
use super::vector::{Batch, Complexes, Vector};
use std::f64::consts::{FRAC_1_SQRT_2, TAU};

/// The largest prime that is transformed by its plain sum.
const LARGEST: usize = 13;

/// A transform of `points` points.
pub struct Lanes<T> {
    points: usize,
    /// The radices, for a forward transform in this order.
    forward: Vec<Pass<T>>,
    /// The same backwards.
    adjoint: Vec<Pass<T>>,
}

/// One pass.
pub struct Pass<T> {
    radix: usize,
    /// The length still to be transformed, and the product of the radices done.
    n: usize,
    s: usize,
    /// `w_n^(j p)` for `p < m`, `0 < j < radix`.
    twiddles: Vec<(T, T)>,
    /// `w_r^k`, for the radices that have no formula of their own.
    roots: Vec<(T, T)>,
}

/// `exp(-2 pi i turns / of)`
fn root<T: Real>(turns: usize, of: usize) -> (T, T) {
    let angle = -TAU * (turns % of) as f64 / of as f64;
    (T::of(angle.cos()), T::of(angle.sin()))
}

/// The radices of a length; `None` when it has too large a prime factor.
fn radices(points: usize) -> Option<Vec<usize>> {
    let mut rest = points;
    let twos = points.trailing_zeros() as usize;
    rest >>= twos;
    // As few passes as possible, with a 4 among them where there is a choice: it comes first and last,
    // where part of the line is left out.
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

impl<T: Real> Lanes<T> {
    /// Prepares a transform; `None` for lengths with a prime factor above 13.
    pub fn new(points: usize) -> Option<Self> {
        let radices = radices(points)?;
        let passes = |radices: &mut dyn Iterator<Item = usize>| {
            let (mut n, mut s) = (points, 1);
            let pass = |radix: usize| {
                let m = n / radix;
                let twiddle = |p: usize| (1..radix).map(move |j| root(j * p, m * radix));
                let pass = Pass {
                    radix,
                    n,
                    s,
                    twiddles: (0..m).flat_map(twiddle).collect(),
                    roots: (0..radix).map(|k| root(k, radix)).collect(),
                };
                n = m;
                s *= radix;
                pass
            };
            radices.map(pass).collect()
        };
        Some(Lanes {
            points,
            forward: passes(&mut radices.iter().copied()),
            adjoint: passes(&mut radices.iter().rev().copied()),
        })
    }

    /// Transforms `input`, which stands at `first..` in lines that are zero elsewhere, into `out`.
    /// `spare` is scratch space; both are as long as a line.
    pub fn forward(
        &self,
        input: &[Batch<T>],
        first: usize,
        out: &mut Vec<Batch<T>>,
        spare: &mut Vec<Batch<T>>,
    ) {
        let Some((start, rest)) = self.forward.split_first() else {
            out[0] = input.first().copied().unwrap_or_default();
            return;
        };
        first_pass(start, input, first, out);
        for pass in rest {
            middle_pass(pass, &out[..self.points], &mut spare[..self.points]);
            std::mem::swap(out, spare);
        }
    }

    /// Transforms the lines `data`, which are overwritten, and returns the outputs from `first` on as far
    /// as there is room in `out`.
    pub fn adjoint(
        &self,
        data: &mut Vec<Batch<T>>,
        spare: &mut Vec<Batch<T>>,
        first: usize,
        out: &mut [Batch<T>],
    ) {
        let Some((end, rest)) = self.adjoint.split_last() else {
            out.copy_from_slice(&data[first..first + out.len()]);
            return;
        };
        for pass in rest {
            middle_pass(pass, &data[..self.points], &mut spare[..self.points]);
            std::mem::swap(data, spare);
        }
        last_pass(end, &data[..self.points], first, out);
    }
}

vectorised!(pub fn first_pass(pass: &Pass<T>, input: &[Batch<T>], first: usize, out: &mut [Batch<T>]) = first_inline);
vectorised!(pub fn middle_pass(pass: &Pass<T>, input: &[Batch<T>], out: &mut [Batch<T>]) = middle_inline);
vectorised!(pub fn last_pass(pass: &Pass<T>, input: &[Batch<T>], first: usize, out: &mut [Batch<T>]) = last_inline);

/// Calls a pass with the butterfly of its radix.
macro_rules! by_radix {
    ($pass:expr, $function:ident($($argument:expr),*)) => {
        match $pass.radix {
            8 => $function!(8, eight, $($argument),*),
            4 => $function!(4, four, $($argument),*),
            2 => $function!(2, two, $($argument),*),
            3 => $function!(3, any, $($argument),*),
            5 => $function!(5, any, $($argument),*),
            7 => $function!(7, any, $($argument),*),
            11 => $function!(11, any, $($argument),*),
            _ => $function!(13, any, $($argument),*),
        }
    };
}

/// Multiplies by the twiddle factors and stores.
macro_rules! store_twiddled {
    ($radix:literal, $y:expr, $pass:expr, $p:expr, $out:expr, $at:expr) => {{
        let (y, s) = ($y, $pass.s);
        y[0].store(&mut $out[$at]);
        if $pass.n == $radix {
            for j in 1..$radix {
                y[j].store(&mut $out[$at + s * j]);
            }
        } else {
            let w = &$pass.twiddles[$p * ($radix - 1)..($p + 1) * ($radix - 1)];
            for j in 1..$radix {
                y[j].times(w[j - 1]).store(&mut $out[$at + s * j]);
            }
        }
    }};
}

#[inline(always)]
fn first_inline<T: Real, M: Machine>(
    pass: &Pass<T>,
    input: &[Batch<T>],
    first: usize,
    out: &mut [Batch<T>],
) {
    let used = first..first + input.len();
    macro_rules! go {
        ($radix:literal, $butterfly:ident,) => {{
            let m = pass.n / $radix;
            let out = &mut out[..pass.n];
            for p in 0..m {
                let x: [Complexes<T::Vector<M>>; $radix] = std::array::from_fn(|k| {
                    match input.get((p + m * k).wrapping_sub(used.start)) {
                        Some(value) => Complexes::load(value),
                        None => Complexes::zero(),
                    }
                });
                let y = $butterfly(x, &pass.roots);
                store_twiddled!($radix, y, pass, p, out, $radix * p);
            }
        }};
    }
    by_radix!(pass, go())
}

#[inline(always)]
fn middle_inline<T: Real, M: Machine>(pass: &Pass<T>, input: &[Batch<T>], out: &mut [Batch<T>]) {
    macro_rules! go {
        ($radix:literal, $butterfly:ident,) => {{
            let (s, m) = (pass.s, pass.n / $radix);
            let (input, out) = (&input[..s * pass.n], &mut out[..s * pass.n]);
            for p in 0..m {
                for q in 0..s {
                    let x: [Complexes<T::Vector<M>>; $radix] =
                        std::array::from_fn(|k| Complexes::load(&input[q + s * (p + m * k)]));
                    let y = $butterfly(x, &pass.roots);
                    store_twiddled!($radix, y, pass, p, out, q + s * $radix * p);
                }
            }
        }};
    }
    by_radix!(pass, go())
}

#[inline(always)]
fn last_inline<T: Real, M: Machine>(
    pass: &Pass<T>,
    input: &[Batch<T>],
    first: usize,
    out: &mut [Batch<T>],
) {
    let used = first..first + out.len();
    macro_rules! go {
        ($radix:literal, $butterfly:ident,) => {{
            let s = pass.s;
            let input = &input[..s * $radix];
            for q in 0..s {
                let wanted = |j: usize| used.contains(&(q + s * j));
                if !(0..$radix).any(wanted) {
                    continue;
                }
                let x: [Complexes<T::Vector<M>>; $radix] =
                    std::array::from_fn(|k| Complexes::load(&input[q + s * k]));
                let y = $butterfly(x, &pass.roots);
                for j in 0..$radix {
                    if wanted(j) {
                        y[j].store(&mut out[q + s * j - used.start]);
                    }
                }
            }
        }};
    }
    by_radix!(pass, go())
}

#[inline(always)]
fn two<T: Real, V: Vector<T>>(x: [Complexes<V>; 2], _: &[(T, T)]) -> [Complexes<V>; 2] {
    [x[0].add(x[1]), x[0].sub(x[1])]
}

#[inline(always)]
fn four<T: Real, V: Vector<T>>(x: [Complexes<V>; 4], _: &[(T, T)]) -> [Complexes<V>; 4] {
    let (a, b) = (x[0].add(x[2]), x[0].sub(x[2]));
    let (c, d) = (x[1].add(x[3]), x[1].sub(x[3]));
    [a.add(c), b.sub_i(d), a.sub(c), b.add_i(d)]
}

#[inline(always)]
fn eight<T: Real, V: Vector<T>>(x: [Complexes<V>; 8], none: &[(T, T)]) -> [Complexes<V>; 8] {
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
fn any<T: Real, V: Vector<T>, const R: usize>(
    x: [Complexes<V>; R],
    roots: &[(T, T)],
) -> [Complexes<V>; R] {
    std::array::from_fn(|j| {
        let mut sum = x[0];
        for k in 1..R {
            sum = sum.add_times(x[k], roots[j * k % R]);
        }
        sum
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ops::Range;

    /// Both directions of one length against the plain sum, with dirty buffers.
    fn check<T: Real>(points: usize, used: Range<usize>) {
        let lanes = Lanes::<T>::new(points).unwrap();
        let wave = |i: usize, lane: usize| ((i * (lane + 3)) as f64 * 0.7).sin();
        let batch = |i: usize| {
            let mut batch = Batch::<T>::default();
            for lane in 0..T::LANES {
                batch.re.as_mut()[lane] = T::of(wave(i, lane));
                batch.im.as_mut()[lane] = T::of(wave(i, lane + 40));
            }
            batch
        };
        let dirty = vec![batch(12345); points];
        // sum_n x[n] exp(sign 2 pi i k n / N) over lane 5.
        let direct = |inputs: Range<usize>, k: usize, sign: f64| {
            inputs.fold((0.0, 0.0), |(re, im), n| {
                let angle = sign * TAU * (k * n % points) as f64 / points as f64;
                let (c, s) = (angle.cos(), angle.sin());
                let (a, b) = (wave(n, 5), wave(n, 45));
                (re + a * c - b * s, im + a * s + b * c)
            })
        };
        // Errors grow with the logarithm of the length; the sums here are below its root.
        let tolerance = 10.0 * T::epsilon().wide() * points as f64;
        let close = |got: T, wanted: f64| (got.wide() - wanted).abs() < tolerance;
        let input: Vec<_> = used.clone().map(batch).collect();
        let (mut out, mut spare) = (dirty.clone(), dirty.clone());
        lanes.forward(&input, used.start, &mut out, &mut spare);
        for (k, got) in out[..points].iter().enumerate() {
            let (re, im) = direct(used.clone(), k, -1.0);
            assert!(close(got.re.as_ref()[5], re), "{points} {used:?} {k}");
            assert!(close(got.im.as_ref()[5], im), "{points} {used:?} {k}");
        }
        // Swapped in, swapped out.
        let swap = |b: Batch<T>| Batch { re: b.im, im: b.re };
        let mut data: Vec<_> = (0..points).map(batch).map(swap).collect();
        let mut got = vec![batch(777); used.len()];
        lanes.adjoint(&mut data, &mut spare, used.start, &mut got);
        for (k, got) in used.clone().zip(&got) {
            let (re, im) = direct(0..points, k, 1.0);
            assert!(close(got.im.as_ref()[5], re), "{points} {used:?} {k}");
            assert!(close(got.re.as_ref()[5], im), "{points} {used:?} {k}");
        }
    }

    #[test]
    fn lines_of_every_kind_of_length_have_the_transform_of_the_plain_sum() {
        let lengths = (1..=40).chain([45, 64, 77, 96, 128, 169, 250, 256, 512]);
        for points in lengths.filter(|&n| radices(n).is_some()) {
            for used in [0..points, points / 3..points - points / 3, points / 2..points / 2 + 1] {
                check::<f64>(points, used.clone());
                check::<f32>(points, used);
            }
        }
        assert!(radices(17).is_none() && radices(2 * 19).is_none());
    }

    #[test]
    fn radices_multiply_to_the_length() {
        for points in 1..3000 {
            if let Some(radices) = radices(points) {
                assert_eq!(radices.iter().product::<usize>(), points);
            }
        }
    }
}
