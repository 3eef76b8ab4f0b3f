//! The discrete Fourier transform of many lines at once, a line a lane, in two steps.
//!
//! With `points = outer * inner`, `n = inner n1 + n2` and `k = k1 + outer k2`,
//!
//! `X[k1 + outer k2] = sum_n2 w_inner^(n2 k2) w^(n2 k1) sum_n1 w_outer^(n1 k1) x[inner n1 + n2]`,
//!
//! where `w_N = exp(-2 pi i / N)` and `w` is that of all points. The first step, the inner sum, goes once
//! through all that a line holds; the second makes a *part* at a time, the outputs of one `k1`, which stay
//! in the first cache while something is done with them, and while the adjoint takes them back. So a
//! transform and its adjoint pass the second cache twice, whatever the length.
//! (D. H. Bailey, "FFTs in external or hierarchical memory", J. Supercomputing 4, 1990.)
//!
//! Each step is Stockham's form of the mixed-radix transform (decimation in frequency): every pass reads
//! one buffer and writes another in the right order, so there is no bit reversal. With `n` the length still
//! to be transformed, `s` the product of the radices done, `m = n / r`:
//!
//! `out[q + s (r p + j)] = w_n^(j p) sum_k w_r^(j k) in[q + s (p + m k)]` for `p < m` and `q < s`.
//! (C. Van Loan, "Computational Frameworks for the Fast Fourier Transform", 1992.)
//!
//! Only a range of the inputs of a line need be other than zero, and that range is all that an adjoint
//! returns: what is not needed of the first step is left out.
//!
//! An adjoint is the same transform of swapped numbers: with real and imaginary part exchanged before
//! and after, `exp(-2 pi i ...)` becomes `exp(+2 pi i ...)`.

use super::Real;
use super::isa::{Machine, vectorised};
use super::vector::{Batch, Complexes, Vector};
use crate::device::fourier::split;
use std::f64::consts::{FRAC_1_SQRT_2, TAU};
use std::ops::Range;

/// The largest prime that is transformed by its plain sum.
const LARGEST: usize = 13;

/// A transform of `outer * inner` points.
pub struct Lanes<T> {
    outer: Steps<T>,
    inner: Steps<T>,
    /// `w^(n2 k1)` as `[k1][n2]`.
    twiddles: Vec<(T, T)>,
}

/// The passes of one step, for a forward transform in this order and for an adjoint in the other.
pub struct Steps<T> {
    points: usize,
    forward: Vec<Pass<T>>,
    adjoint: Vec<Pass<T>>,
}

/// One pass.
pub struct Pass<T> {
    radix: usize,
    /// The length still to be transformed, and the product of the radices done.
    n: usize,
    s: usize,
    /// `w_n^(j p)` as `[p][j]` for `p < m`, `0 < j < radix`.
    twiddles: Vec<(T, T)>,
    /// `w_r^k`
    roots: Vec<(T, T)>,
    /// What input `k` alone is multiplied by for output `j`, as `[p][k][j]`; of the pass that comes first.
    singles: Vec<(T, T)>,
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

impl<T: Real> Steps<T> {
    fn new(points: usize) -> Option<Self> {
        let radices = radices(points)?;
        let passes = |radices: &mut dyn Iterator<Item = usize>| -> Vec<Pass<T>> {
            let (mut n, mut s) = (points, 1);
            let pass = |radix: usize| {
                let m = n / radix;
                let twiddle = |p: usize| (1..radix).map(move |j| root(j * p, m * radix));
                let single =
                    |p: usize, k: usize| (0..radix).map(move |j| root(j * (m * k + p), m * radix));
                let singles = (0..m).flat_map(|p| (0..radix).flat_map(move |k| single(p, k)));
                let pass = Pass {
                    radix,
                    n,
                    s,
                    twiddles: (0..m).flat_map(twiddle).collect(),
                    roots: (0..radix).map(|k| root(k, radix)).collect(),
                    singles: if s == 1 { singles.collect() } else { Vec::new() },
                };
                n = m;
                s *= radix;
                pass
            };
            radices.map(pass).collect()
        };
        Some(Steps {
            points,
            forward: passes(&mut radices.iter().copied()),
            adjoint: passes(&mut radices.iter().rev().copied()),
        })
    }
}

impl<T: Real> Lanes<T> {
    /// Prepares a transform; `None` for lengths with a prime factor above 13.
    pub fn new(points: usize) -> Option<Self> {
        let (outer, inner) = split(points);
        let twiddle = |k1: usize| (0..inner).map(move |n2| root(n2 * k1, points));
        Some(Lanes {
            outer: Steps::new(outer)?,
            inner: Steps::new(inner)?,
            twiddles: (0..outer).flat_map(twiddle).collect(),
        })
    }

    /// From one row of the state to the next. Rows a power of two apart would share the same few places
    /// of the first cache.
    fn pitch(&self) -> usize {
        self.inner.points + 1
    }

    /// How much is kept between the two steps.
    pub fn state_len(&self) -> usize {
        self.outer.points * self.pitch()
    }

    /// How much the passes of a step need beside that.
    pub fn scratch_len(&self) -> usize {
        2 * self.outer.points.max(self.inner.points)
    }

    /// The first step, from `input`, which stands at `first..` in lines that are zero elsewhere.
    pub fn begin(
        &self,
        input: &[Batch<T>],
        first: usize,
        state: &mut [Batch<T>],
        scratch: &mut [Batch<T>],
    ) {
        let (inner, pitch) = (self.inner.points, self.pitch());
        let part = |n2s: Range<usize>| Part { first, stride: inner, n2s };
        let Some((start, rest)) = self.outer.forward.split_first() else {
            state[..inner].fill(Batch::default());
            state[first..first + input.len()].copy_from_slice(input);
            return;
        };
        if rest.is_empty() {
            return from_part(start, input, &part(0..inner), pitch, state);
        }
        for n2 in 0..inner {
            let (mut from, mut to) = scratch.split_at_mut(self.outer.points);
            from_part(start, input, &part(n2..n2 + 1), 1, from);
            for (i, pass) in rest.iter().enumerate() {
                if i + 1 == rest.len() {
                    whole(pass, from, pitch, &mut state[n2..]);
                } else {
                    whole(pass, from, 1, to);
                    (from, to) = (to, from);
                }
            }
        }
    }

    /// The second step: the outputs of `k1`, `k2` after `k2`.
    pub fn part(
        &self,
        k1: usize,
        state: &[Batch<T>],
        out: &mut [Batch<T>],
        scratch: &mut [Batch<T>],
    ) {
        let (row, twiddles) = self.row(k1);
        let row = &state[row];
        let Some((start, rest)) = self.inner.forward.split_first() else {
            return out[..1].copy_from_slice(row);
        };
        if rest.is_empty() {
            return turned(start, row, twiddles, out);
        }
        let (mut from, mut to) = scratch.split_at_mut(self.inner.points);
        turned(start, row, twiddles, from);
        for (i, pass) in rest.iter().enumerate() {
            if i + 1 == rest.len() {
                whole(pass, from, 1, out);
            } else {
                whole(pass, from, 1, to);
                (from, to) = (to, from);
            }
        }
    }

    /// The adjoint of the second step, from `data` in the order of [`part`](Lanes::part).
    pub fn part_adjoint(
        &self,
        k1: usize,
        data: &[Batch<T>],
        state: &mut [Batch<T>],
        scratch: &mut [Batch<T>],
    ) {
        let (row, twiddles) = self.row(k1);
        let row = &mut state[row];
        let Some((end, rest)) = self.inner.adjoint.split_last() else {
            return row.copy_from_slice(&data[..1]);
        };
        let (mut from, mut to) = scratch.split_at_mut(self.inner.points);
        for (i, pass) in rest.iter().enumerate() {
            whole(pass, if i == 0 { data } else { from }, 1, to);
            (from, to) = (to, from);
        }
        turned_out(end, if rest.is_empty() { data } else { from }, twiddles, row);
    }

    /// The adjoint of the first step: the inputs from `first` on, as far as there is room in `out`.
    pub fn end(
        &self,
        state: &[Batch<T>],
        first: usize,
        out: &mut [Batch<T>],
        scratch: &mut [Batch<T>],
    ) {
        let (inner, pitch) = (self.inner.points, self.pitch());
        let part = |n2s: Range<usize>| Part { first, stride: inner, n2s };
        let Some((end, rest)) = self.outer.adjoint.split_last() else {
            return out.copy_from_slice(&state[first..first + out.len()]);
        };
        if rest.is_empty() {
            return to_part(end, state, pitch, &part(0..inner), out);
        }
        for n2 in 0..inner {
            let (mut from, mut to) = scratch.split_at_mut(self.outer.points);
            for (i, pass) in rest.iter().enumerate() {
                if i == 0 {
                    column(pass, &state[n2..], pitch, to);
                } else {
                    whole(pass, from, 1, to);
                }
                (from, to) = (to, from);
            }
            to_part(end, from, 1, &part(n2..n2 + 1), out);
        }
    }

    /// Where row `k1` stands in the state, and its twiddle factors.
    fn row(&self, k1: usize) -> (Range<usize>, &[(T, T)]) {
        let inner = self.inner.points;
        let start = k1 * self.pitch();
        (start..start + inner, &self.twiddles[k1 * inner..(k1 + 1) * inner])
    }
}

/// Every `stride`-th number of a line, from each of `n2s` on, where a buffer holds the numbers from `first`
/// on as far as it goes; the others are zero, or nobody asks for them.
pub struct Part {
    first: usize,
    stride: usize,
    n2s: Range<usize>,
}

impl Part {
    /// Where number `i` of `n2` stands in the buffer; beyond its end where it holds none.
    #[inline(always)]
    fn place(&self, n2: usize, i: usize) -> usize {
        (i * self.stride + n2).wrapping_sub(self.first)
    }
}

vectorised!(
    /// The first pass over parts, each to a column of `out` with this pitch.
    pub fn from_part(
        pass: &Pass<T>, input: &[Batch<T>], part: &Part, pitch: usize, out: &mut [Batch<T>],
    ) = from_part_inline
);
vectorised!(
    /// The last pass from columns of `input` with this pitch to parts.
    pub fn to_part(
        pass: &Pass<T>, input: &[Batch<T>], pitch: usize, part: &Part, out: &mut [Batch<T>],
    ) = to_part_inline
);
vectorised!(
    /// A pass from a whole buffer to a column with this pitch.
    pub fn whole(pass: &Pass<T>, input: &[Batch<T>], pitch: usize, out: &mut [Batch<T>]) = whole_inline
);
vectorised!(
    /// A pass from a column with this pitch to a whole buffer.
    pub fn column(pass: &Pass<T>, input: &[Batch<T>], pitch: usize, out: &mut [Batch<T>]) = column_inline
);
vectorised!(
    /// The first pass over a row that is multiplied by twiddle factors.
    pub fn turned(pass: &Pass<T>, row: &[Batch<T>], factors: &[(T, T)], out: &mut [Batch<T>]) = turned_inline
);
vectorised!(
    /// The last pass to a row that is multiplied by twiddle factors.
    pub fn turned_out(pass: &Pass<T>, input: &[Batch<T>], factors: &[(T, T)], row: &mut [Batch<T>]) =
        turned_out_inline
);

/// Calls a macro with the radix of a pass and its butterfly.
macro_rules! by_radix {
    ($pass:expr, $go:ident) => {
        match $pass.radix {
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

/// Runs all butterflies of a pass: `load!(i)` is input `i`, `store!(i, value)` takes output `i`.
/// These are macros, because closures are compiled for the instruction set of where they are written.
macro_rules! butterflies {
    ($pass:expr, $radix:literal, $butterfly:ident, $load:ident, $store:ident) => {{
        let (s, m) = ($pass.s, $pass.n / $radix);
        for p in 0..m {
            for q in 0..s {
                let (from, to) = (q + s * p, q + s * $radix * p);
                let mut x = [Complexes::<T::Vector<M>>::zero(); $radix];
                for k in 0..$radix {
                    x[k] = $load!(from + s * m * k);
                }
                let y = $butterfly(x, &$pass.roots);
                $store!(to, y[0]);
                if m == 1 {
                    for j in 1..$radix {
                        $store!(to + s * j, y[j]);
                    }
                } else {
                    let w = &$pass.twiddles[p * ($radix - 1)..(p + 1) * ($radix - 1)];
                    for j in 1..$radix {
                        $store!(to + s * j, y[j].times(w[j - 1]));
                    }
                }
            }
        }
    }};
}

#[inline(always)]
fn whole_inline<T: Real, M: Machine>(
    pass: &Pass<T>,
    input: &[Batch<T>],
    pitch: usize,
    out: &mut [Batch<T>],
) {
    let input = &input[..pass.s * pass.n];
    macro_rules! load {
        ($i:expr) => {
            Complexes::load(&input[$i])
        };
    }
    macro_rules! store {
        ($i:expr, $value:expr) => {
            $value.store(&mut out[($i) * pitch])
        };
    }
    macro_rules! go {
        ($radix:literal, $butterfly:ident) => {
            butterflies!(pass, $radix, $butterfly, load, store)
        };
    }
    by_radix!(pass, go)
}

#[inline(always)]
fn column_inline<T: Real, M: Machine>(
    pass: &Pass<T>,
    input: &[Batch<T>],
    pitch: usize,
    out: &mut [Batch<T>],
) {
    macro_rules! load {
        ($i:expr) => {
            Complexes::load(&input[($i) * pitch])
        };
    }
    macro_rules! store {
        ($i:expr, $value:expr) => {
            $value.store(&mut out[$i])
        };
    }
    macro_rules! go {
        ($radix:literal, $butterfly:ident) => {
            butterflies!(pass, $radix, $butterfly, load, store)
        };
    }
    by_radix!(pass, go)
}

#[inline(always)]
fn turned_inline<T: Real, M: Machine>(
    pass: &Pass<T>,
    row: &[Batch<T>],
    factors: &[(T, T)],
    out: &mut [Batch<T>],
) {
    let (row, factors, out) = (&row[..pass.n], &factors[..pass.n], &mut out[..pass.n]);
    macro_rules! load {
        ($i:expr) => {
            Complexes::load(&row[$i]).times(factors[$i])
        };
    }
    macro_rules! store {
        ($i:expr, $value:expr) => {
            $value.store(&mut out[$i])
        };
    }
    macro_rules! go {
        ($radix:literal, $butterfly:ident) => {
            butterflies!(pass, $radix, $butterfly, load, store)
        };
    }
    by_radix!(pass, go)
}

#[inline(always)]
fn turned_out_inline<T: Real, M: Machine>(
    pass: &Pass<T>,
    input: &[Batch<T>],
    factors: &[(T, T)],
    row: &mut [Batch<T>],
) {
    let points = pass.s * pass.n;
    let (input, factors, row) = (&input[..points], &factors[..points], &mut row[..points]);
    macro_rules! load {
        ($i:expr) => {
            Complexes::load(&input[$i])
        };
    }
    macro_rules! store {
        ($i:expr, $value:expr) => {
            $value.times(factors[$i]).store(&mut row[$i])
        };
    }
    macro_rules! go {
        ($radix:literal, $butterfly:ident) => {
            butterflies!(pass, $radix, $butterfly, load, store)
        };
    }
    by_radix!(pass, go)
}

#[inline(always)]
fn from_part_inline<T: Real, M: Machine>(
    pass: &Pass<T>,
    input: &[Batch<T>],
    part: &Part,
    pitch: usize,
    out: &mut [Batch<T>],
) {
    macro_rules! go {
        ($radix:literal, $butterfly:ident) => {{
            let m = pass.n / $radix;
            for (column, n2) in part.n2s.clone().enumerate() {
                for p in 0..m {
                    let to = $radix * p;
                    let (mut x, mut some, mut last) =
                        ([Complexes::<T::Vector<M>>::zero(); $radix], 0, 0);
                    for k in 0..$radix {
                        if let Some(value) = input.get(part.place(n2, p + m * k)) {
                            x[k] = Complexes::load(value);
                            (some, last) = (some + 1, k);
                        }
                    }
                    if some == 1 {
                        // One input alone goes to all outputs, each with its own factor.
                        let value =
                            Complexes::<T::Vector<M>>::load(&input[part.place(n2, p + m * last)]);
                        let w = &pass.singles[(p * $radix + last) * $radix..][..$radix];
                        for j in 0..$radix {
                            value.times(w[j]).store(&mut out[(to + j) * pitch + column]);
                        }
                        continue;
                    }
                    let y = $butterfly(x, &pass.roots);
                    y[0].store(&mut out[to * pitch + column]);
                    let w = &pass.twiddles[p * ($radix - 1)..(p + 1) * ($radix - 1)];
                    for j in 1..$radix {
                        y[j].times(w[j - 1]).store(&mut out[(to + j) * pitch + column]);
                    }
                }
            }
        }};
    }
    by_radix!(pass, go)
}

#[inline(always)]
fn to_part_inline<T: Real, M: Machine>(
    pass: &Pass<T>,
    input: &[Batch<T>],
    pitch: usize,
    part: &Part,
    out: &mut [Batch<T>],
) {
    macro_rules! go {
        ($radix:literal, $butterfly:ident) => {{
            let s = pass.s;
            for (column, n2) in part.n2s.clone().enumerate() {
                for q in 0..s {
                    let mut x = [Complexes::<T::Vector<M>>::zero(); $radix];
                    let (mut some, mut last) = (0, 0);
                    for j in 0..$radix {
                        if part.place(n2, q + s * j) < out.len() {
                            (some, last) = (some + 1, j);
                        }
                    }
                    if some == 0 {
                        continue;
                    }
                    for k in 0..$radix {
                        x[k] = Complexes::load(&input[(q + s * k) * pitch + column]);
                    }
                    if some == 1 {
                        // One output alone is a plain sum.
                        let mut y = x[0];
                        for k in 1..$radix {
                            y = y.add_times(x[k], pass.roots[last * k % $radix]);
                        }
                        y.store(&mut out[part.place(n2, q + s * last)]);
                        continue;
                    }
                    let y = $butterfly(x, &pass.roots);
                    for j in 0..$radix {
                        if let Some(out) = out.get_mut(part.place(n2, q + s * j)) {
                            y[j].store(out);
                        }
                    }
                }
            }
        }};
    }
    by_radix!(pass, go)
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
    let mut y = [x[0]; R];
    for (j, y) in y.iter_mut().enumerate() {
        for k in 1..R {
            *y = y.add_times(x[k], roots[j * k % R]);
        }
    }
    y
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let mut state = vec![batch(12345); lanes.state_len()];
        let mut scratch = vec![batch(777); lanes.scratch_len()];
        let (outer, inner) = split(points);
        lanes.begin(&input, used.start, &mut state, &mut scratch);
        let mut out = vec![batch(4321); inner];
        for k1 in 0..outer {
            lanes.part(k1, &state, &mut out, &mut scratch);
            for (k2, got) in out.iter().enumerate() {
                let k = k1 + outer * k2;
                let (re, im) = direct(used.clone(), k, -1.0);
                assert!(close(got.re.as_ref()[5], re), "{points} {used:?} {k}");
                assert!(close(got.im.as_ref()[5], im), "{points} {used:?} {k}");
            }
        }
        // Swapped in, swapped out.
        let swap = |b: Batch<T>| Batch { re: b.im, im: b.re };
        state.fill(batch(12345));
        for k1 in 0..outer {
            let data: Vec<_> = (0..inner).map(|k2| swap(batch(k1 + outer * k2))).collect();
            lanes.part_adjoint(k1, &data, &mut state, &mut scratch);
        }
        let mut got = vec![batch(777); used.len()];
        lanes.end(&state, used.start, &mut got, &mut scratch);
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
