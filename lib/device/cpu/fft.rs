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
use crate::device::fourier::{radices, split};
use std::f64::consts::{FRAC_1_SQRT_2, TAU};
use std::ops::Range;

/// A transform of `outer * inner` points.
pub struct Lanes<T> {
    outer: Steps<T>,
    inner: Steps<T>,
    /// `w^(n2 k1)` in the order of the state's rows.
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
        let mut lanes = Lanes {
            outer: Steps::new(outer)?,
            inner: Steps::new(inner)?,
            twiddles: vec![(T::one(), T::zero()); points],
        };
        for (k1, n2) in (0..outer).flat_map(|k1| (0..inner).map(move |n2| (k1, n2))) {
            let place = k1 * inner + lanes.places().of(n2);
            lanes.twiddles[place] = root(n2 * k1, points);
        }
        Some(lanes)
    }

    /// From one row of the state to the next. Rows a power of two apart would share the same few places
    /// of the first cache.
    fn pitch(&self) -> usize {
        self.inner.points + 1
    }

    /// Where the numbers of a row stand: what a butterfly of the second step's first pass reads is together.
    fn places(&self) -> Places {
        let together = self.inner.forward.first().map_or(1, |pass| pass.radix);
        Places { together, apart: self.inner.points / together }
    }

    fn part_of(&self, first: usize, n2s: Range<usize>) -> Part {
        Part { first, stride: self.inner.points, n2s, places: self.places() }
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
        let Some((start, rest)) = self.outer.forward.split_first() else {
            state[..inner].fill(Batch::default());
            for (n2, value) in (first..).zip(input) {
                state[self.places().of(n2)] = *value;
            }
            return;
        };
        if rest.is_empty() {
            return from_part(start, input, &self.part_of(first, 0..inner), pitch, state);
        }
        for n2 in 0..inner {
            let (mut from, mut to) = scratch.split_at_mut(self.outer.points);
            from_part(start, input, &self.part_of(first, n2..n2 + 1), 1, from);
            let place = self.places().of(n2);
            for (i, pass) in rest.iter().enumerate() {
                if i + 1 == rest.len() {
                    across(pass, from, 1, &mut state[place..], pitch);
                } else {
                    across(pass, from, 1, to, 1);
                    (from, to) = (to, from);
                }
            }
        }
    }

    /// The second step: the outputs of `k1` in the order of [`order`](crate::device::fourier::order).
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
        let Some((end, rest)) = rest.split_last() else {
            return open(start, row, Some(twiddles), out);
        };
        let (mut from, mut to) = scratch.split_at_mut(self.inner.points);
        open(start, row, Some(twiddles), from);
        for pass in rest {
            across(pass, from, 1, to, 1);
            (from, to) = (to, from);
        }
        close(end, from, None, out);
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
        let Some((start, rest)) = rest.split_first() else {
            return close(end, data, Some(twiddles), row);
        };
        let (mut from, mut to) = scratch.split_at_mut(self.inner.points);
        open(start, data, None, from);
        for pass in rest {
            across(pass, from, 1, to, 1);
            (from, to) = (to, from);
        }
        close(end, from, Some(twiddles), row);
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
        let Some((end, rest)) = self.outer.adjoint.split_last() else {
            for (n2, out) in (first..).zip(out) {
                *out = state[self.places().of(n2)];
            }
            return;
        };
        if rest.is_empty() {
            return to_part(end, state, pitch, &self.part_of(first, 0..inner), out);
        }
        for n2 in 0..inner {
            let place = self.places().of(n2);
            let (mut from, mut to) = scratch.split_at_mut(self.outer.points);
            for (i, pass) in rest.iter().enumerate() {
                match i {
                    0 => across(pass, &state[place..], pitch, to, 1),
                    _ => across(pass, from, 1, to, 1),
                }
                (from, to) = (to, from);
            }
            to_part(end, from, 1, &self.part_of(first, n2..n2 + 1), out);
        }
    }

    /// Where row `k1` stands in the state, and its twiddle factors.
    fn row(&self, k1: usize) -> (Range<usize>, &[(T, T)]) {
        let inner = self.inner.points;
        let start = k1 * self.pitch();
        (start..start + inner, &self.twiddles[k1 * inner..(k1 + 1) * inner])
    }
}

/// How the numbers of a row stand: `together` of them that lie `apart` from each other.
#[derive(Clone, Copy)]
struct Places {
    together: usize,
    apart: usize,
}

impl Places {
    #[inline(always)]
    fn of(self, n2: usize) -> usize {
        n2 % self.apart * self.together + n2 / self.apart
    }
}

/// Every `stride`-th number of a line from each of `n2s` on, where a buffer holds the numbers from `first`
/// on as far as it goes; the others are zero, or nobody asks for them.
pub struct Part {
    first: usize,
    stride: usize,
    n2s: Range<usize>,
    places: Places,
}

impl Part {
    /// Where number `i` from `n2` on stands in the buffer; beyond its end where it holds none.
    #[inline(always)]
    fn place(&self, n2: usize, i: usize) -> usize {
        (i * self.stride + n2).wrapping_sub(self.first)
    }

    /// The column of `n2`, which is the first where there is one only.
    #[inline(always)]
    fn column(&self, n2: usize) -> usize {
        if self.n2s.len() == 1 { 0 } else { self.places.of(n2) }
    }
}

vectorised!(
    /// The first pass of a part, to columns of `out` with this pitch.
    pub fn from_part(
        pass: &Pass<T>, input: &[Batch<T>], part: &Part, pitch: usize, out: &mut [Batch<T>],
    ) = from_part_inline
);
vectorised!(
    /// The last pass, from columns of `input` with this pitch to a part.
    pub fn to_part(
        pass: &Pass<T>, input: &[Batch<T>], pitch: usize, part: &Part, out: &mut [Batch<T>],
    ) = to_part_inline
);
vectorised!(
    /// A pass from a column with the pitch `from` to one with the pitch `to`.
    pub fn across(
        pass: &Pass<T>, input: &[Batch<T>], from: usize, out: &mut [Batch<T>], to: usize,
    ) = across_inline
);
vectorised!(
    /// The first pass over numbers that lie in the order of its butterflies, each multiplied by a factor.
    pub fn open(
        pass: &Pass<T>, input: &[Batch<T>], factors: Option<&[(T, T)]>, out: &mut [Batch<T>],
    ) = open_inline
);
vectorised!(
    /// The last pass, to numbers in the order of its butterflies, each multiplied by a factor.
    pub fn close(
        pass: &Pass<T>, input: &[Batch<T>], factors: Option<&[(T, T)]>, out: &mut [Batch<T>],
    ) = close_inline
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

/// Runs all butterflies of a pass, from every `$from`-th to every `$to`-th number. (A macro, because
/// closures are compiled for the instruction set of where they are written.)
macro_rules! butterflies {
    ($pass:expr, $radix:literal, $butterfly:ident, $input:expr, $from:expr, $out:expr, $to:expr) => {{
        let (s, m) = ($pass.s, $pass.n / $radix);
        let (skip, span) = (s * m * $from, s * $to);
        for (p, w) in $pass.twiddles.chunks_exact($radix - 1).enumerate() {
            for q in 0..s {
                let mut x = [Complexes::<T::Vector<M>>::zero(); $radix];
                let input = &$input[(q + s * p) * $from..];
                for k in 0..$radix {
                    x[k] = Complexes::load(&input[skip * k]);
                }
                let y = $butterfly(x, &$pass.roots);
                let out = &mut $out[(q + s * $radix * p) * $to..];
                y[0].store(&mut out[0]);
                for j in 1..$radix {
                    y[j].times(w[j - 1]).store(&mut out[span * j]);
                }
            }
        }
    }};
}

/// The butterflies of the last pass, which has no twiddle factors.
macro_rules! last {
    ($pass:expr, $radix:literal, $butterfly:ident, $input:expr, $from:expr, $out:expr, $to:expr) => {{
        let s = $pass.s;
        for q in 0..s {
            let mut x = [Complexes::<T::Vector<M>>::zero(); $radix];
            let input = &$input[q * $from..];
            for k in 0..$radix {
                x[k] = Complexes::load(&input[s * $from * k]);
            }
            let y = $butterfly(x, &$pass.roots);
            let out = &mut $out[q * $to..];
            for j in 0..$radix {
                y[j].store(&mut out[s * $to * j]);
            }
        }
    }};
}

#[inline(always)]
fn across_inline<T: Real, M: Machine>(
    pass: &Pass<T>,
    input: &[Batch<T>],
    from: usize,
    out: &mut [Batch<T>],
    to: usize,
) {
    macro_rules! go {
        ($radix:literal, $butterfly:ident) => {
            if pass.n == $radix {
                last!(pass, $radix, $butterfly, input, from, out, to)
            } else {
                butterflies!(pass, $radix, $butterfly, input, from, out, to)
            }
        };
    }
    by_radix!(pass, go)
}

#[inline(always)]
fn open_inline<T: Real, M: Machine>(
    pass: &Pass<T>,
    input: &[Batch<T>],
    factors: Option<&[(T, T)]>,
    out: &mut [Batch<T>],
) {
    macro_rules! go {
        ($radix:literal, $butterfly:ident) => {{
            let chunks = input.chunks_exact($radix).zip(out.chunks_exact_mut($radix));
            let chunks = chunks.zip(pass.twiddles.chunks_exact($radix - 1));
            macro_rules! finish {
                ($x:expr, $out:expr, $w:expr) => {
                    let y = $butterfly($x, &pass.roots);
                    y[0].store(&mut $out[0]);
                    for j in 1..$radix {
                        y[j].times($w[j - 1]).store(&mut $out[j]);
                    }
                };
            }
            match factors {
                Some(factors) => {
                    for (((input, out), w), factors) in chunks.zip(factors.chunks_exact($radix)) {
                        let mut x = [Complexes::<T::Vector<M>>::zero(); $radix];
                        for k in 0..$radix {
                            x[k] = Complexes::load(&input[k]).times(factors[k]);
                        }
                        finish!(x, out, w);
                    }
                }
                None => {
                    for ((input, out), w) in chunks {
                        let mut x = [Complexes::<T::Vector<M>>::zero(); $radix];
                        for k in 0..$radix {
                            x[k] = Complexes::load(&input[k]);
                        }
                        finish!(x, out, w);
                    }
                }
            }
        }};
    }
    by_radix!(pass, go)
}

#[inline(always)]
fn close_inline<T: Real, M: Machine>(
    pass: &Pass<T>,
    input: &[Batch<T>],
    factors: Option<&[(T, T)]>,
    out: &mut [Batch<T>],
) {
    let s = pass.s;
    macro_rules! go {
        ($radix:literal, $butterfly:ident) => {{
            // Of one length, which spares a comparison for each.
            let mut inputs = [&input[..s]; $radix];
            for k in 1..$radix {
                inputs[k] = &input[s * k..][..s];
            }
            let mut outs = out.chunks_exact_mut($radix);
            match factors {
                Some(factors) => {
                    for (q, (out, factors)) in (0..s).zip(outs.zip(factors.chunks_exact($radix))) {
                        let mut x = [Complexes::<T::Vector<M>>::zero(); $radix];
                        for k in 0..$radix {
                            x[k] = Complexes::load(&inputs[k][q]);
                        }
                        let y = $butterfly(x, &pass.roots);
                        for j in 0..$radix {
                            y[j].times(factors[j]).store(&mut out[j]);
                        }
                    }
                }
                None => {
                    for (q, out) in (0..s).zip(&mut outs) {
                        let mut x = [Complexes::<T::Vector<M>>::zero(); $radix];
                        for k in 0..$radix {
                            x[k] = Complexes::load(&inputs[k][q]);
                        }
                        let y = $butterfly(x, &pass.roots);
                        for j in 0..$radix {
                            y[j].store(&mut out[j]);
                        }
                    }
                }
            }
        }};
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
            for n2 in part.n2s.clone() {
                let out = &mut out[part.column(n2)..];
                for (p, w) in pass.twiddles.chunks_exact($radix - 1).enumerate() {
                    let out = &mut out[$radix * p * pitch..];
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
                            value.times(w[j]).store(&mut out[j * pitch]);
                        }
                        continue;
                    }
                    let y = $butterfly(x, &pass.roots);
                    y[0].store(&mut out[0]);
                    for j in 1..$radix {
                        y[j].times(w[j - 1]).store(&mut out[j * pitch]);
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
            for n2 in part.n2s.clone() {
                let input = &input[part.column(n2)..];
                for q in 0..s {
                    let (mut some, mut last) = (0, 0);
                    for j in 0..$radix {
                        if part.place(n2, q + s * j) < out.len() {
                            (some, last) = (some + 1, j);
                        }
                    }
                    if some == 0 {
                        continue;
                    }
                    let mut x = [Complexes::<T::Vector<M>>::zero(); $radix];
                    for k in 0..$radix {
                        x[k] = Complexes::load(&input[(q + s * k) * pitch]);
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
    use crate::device::fourier::order;

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
        let ((outer, inner), order) = (split(points), order(points));
        lanes.begin(&input, used.start, &mut state, &mut scratch);
        let mut out = vec![batch(4321); inner];
        for k1 in 0..outer {
            lanes.part(k1, &state, &mut out, &mut scratch);
            for (got, &k) in out.iter().zip(&order[k1 * inner..]) {
                let (re, im) = direct(used.clone(), k, -1.0);
                assert!(close(got.re.as_ref()[5], re), "{points} {used:?} {k}");
                assert!(close(got.im.as_ref()[5], im), "{points} {used:?} {k}");
            }
        }
        // Swapped in, swapped out.
        let swap = |b: Batch<T>| Batch { re: b.im, im: b.re };
        state.fill(batch(12345));
        for k1 in 0..outer {
            let order = order[k1 * inner..].iter().take(inner);
            let data: Vec<_> = order.map(|&k| swap(batch(k))).collect();
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
