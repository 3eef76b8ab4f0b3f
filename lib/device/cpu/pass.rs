//! The passes of a Fourier transform of many lines, a line a lane.
//!
//! A step of a transform (see [`super::fft`]) is Stockham's form of the mixed-radix transform (decimation in
//! frequency): every pass reads one buffer and writes another in the right order, so there is no bit
//! reversal. With `n` the length still to be transformed, `s` the product of the radices done, `m = n / r`:
//!
//! `out[q + s (r p + j)] = w_n^(j p) sum_k w_r^(j k) in[q + s (p + m k)]` for `p < m` and `q < s`.
//! (C. Van Loan, "Computational Frameworks for the Fast Fourier Transform", 1992.)
//!
//! Passes differ in where they read and write and, in a step of two, in which one applies the twiddle factors
//! `w_n^(j p)`. The very first skips inputs known to be zero, the very last adjoint skips outputs nobody needs.

use super::Real;
use super::butterfly::{any, butterflies_of, eight, four, root, two};
use super::isa::{Machine, vectorised};
use super::vector::{Batch, Complexes, Vector};
use crate::device::fourier::radices;
use std::ops::Range;

/// The passes of one step, for a forward transform in this order and for an adjoint in the other.
pub struct Steps<T> {
    pub points: usize,
    pub forward: Vec<Pass<T>>,
    pub adjoint: Vec<Pass<T>>,
}

/// One pass.
pub struct Pass<T> {
    pub radix: usize,
    /// The length still to be transformed, and the product of the radices done.
    n: usize,
    s: usize,
    /// `w_n^(j p)` as `[p][j]` for `p < m`, `0 < j < radix`; none where the next pass has them.
    twiddles: Vec<(T, T)>,
    /// Those of the pass before where it left them to this one, the last, as `[q][k]` for `q < s`, `0 < k < radix`.
    before: Vec<(T, T)>,
    /// `w_r^k`
    roots: Vec<(T, T)>,
}

impl<T: Real> Steps<T> {
    /// `None` for lengths with a prime factor above 13.
    pub fn new(points: usize) -> Option<Self> {
        let radices = radices(points)?;
        let passes = |radices: &mut dyn Iterator<Item = usize>| -> Vec<Pass<T>> {
            let (mut n, mut s) = (points, 1);
            let pass = |radix: usize| {
                let m = n / radix;
                let twiddle = |p: usize| (1..radix).map(move |j| root(j * p, m * radix));
                let pass = Pass {
                    radix,
                    n,
                    s,
                    twiddles: (0..m).flat_map(twiddle).collect(),
                    before: Vec::new(),
                    roots: (0..radix).map(|k| root(k, radix)).collect(),
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

    /// Has the second of two passes multiply by the factors between them, where the first multiplies its inputs by
    /// others already: so each has about as many multiplications as additions, which are done at the same time.
    pub fn share_twiddles(&mut self) {
        if let [first, last] = &mut self.forward[..] {
            let (radix, points) = (last.radix, first.n);
            let of_q = |q: usize| (1..radix).map(move |k| root(q * k, points));
            last.before = (0..last.s).flat_map(of_q).collect();
            first.twiddles.clear();
        }
    }
}

/// How the numbers of a row stand: `together` of them that lie `apart` from each other.
#[derive(Clone, Copy)]
pub struct Places {
    pub together: usize,
    pub apart: usize,
}

impl Places {
    #[inline(always)]
    pub fn of(self, n2: usize) -> usize {
        n2 % self.apart * self.together + n2 / self.apart
    }

    /// All numbers of a row, and where they stand.
    #[inline(always)]
    pub fn all(self) -> impl Iterator<Item = (usize, usize)> {
        let of = move |near: usize| {
            (0..self.apart).map(move |far| (near * self.apart + far, far * self.together + near))
        };
        (0..self.together).flat_map(of)
    }
}

/// The sub-lines `n2, n2 + stride, ...` for each `n2` in `n2s`. The buffer holds the stretch of the line that begins
/// at `first`; inputs outside it are zero, outputs outside it are dropped.
pub struct Sublines {
    pub first: usize,
    pub stride: usize,
    pub n2s: Range<usize>,
    pub places: Places,
}

impl Sublines {
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
    /// The first pass of sub-lines, to columns of `out` with this pitch.
    pub fn gather_first(
        pass: &Pass<T>, input: &[Batch<T>], lines: &Sublines, pitch: usize, out: &mut [Batch<T>],
    ) = gather_first_inline
);
vectorised!(
    /// The last pass, from columns of `input` with this pitch to sub-lines.
    pub fn scatter_last(
        pass: &Pass<T>, input: &[Batch<T>], pitch: usize, lines: &Sublines, out: &mut [Batch<T>],
    ) = scatter_last_inline
);
vectorised!(
    /// A pass from a column with the pitch `from` to one with the pitch `to`.
    pub fn across(
        pass: &Pass<T>, input: &[Batch<T>], from: usize, out: &mut [Batch<T>], to: usize,
    ) = across_inline
);
vectorised!(
    /// The first pass over numbers that lie in the order of its butterflies, each multiplied by a factor.
    pub fn first_forward(
        pass: &Pass<T>, input: &[Batch<T>], factors: &[(T, T)], out: &mut [Batch<T>],
    ) = first_forward_inline
);
vectorised!(
    /// The last pass, to numbers in the order of its butterflies, each multiplied by a factor.
    pub fn last_adjoint(
        pass: &Pass<T>, input: &[Batch<T>], factors: &[(T, T)], out: &mut [Batch<T>],
    ) = last_adjoint_inline
);
vectorised!(
    /// The first of two passes, in place: each output takes the place of the input of its number.
    pub fn first_adjoint_of_two(pass: &Pass<T>, data: &mut [Batch<T>]) = first_adjoint_of_two_inline
);
vectorised!(
    /// The second of them, as [`last_adjoint`].
    pub fn last_adjoint_of_two(
        pass: &Pass<T>, input: &[Batch<T>], factors: &[(T, T)], out: &mut [Batch<T>],
    ) = last_adjoint_of_two_inline
);
vectorised!(
    /// The last pass, in place, with real and imaginary parts exchanged.
    pub fn last_forward(pass: &Pass<T>, data: &mut [Batch<T>]) = last_forward_inline
);

/// One butterfly, a piece of the numbers after the other: what each input is, and what is done with each output. (Macros,
/// because closures are compiled for the instruction set of where they are written.)
macro_rules! butterfly {
    (
        $pass:expr, $radix:literal, $butterfly:ident, $piece:ident,
        $k:ident => $input:expr, ($j:ident, $y:ident) => $output:expr
    ) => {
        for $piece in 0..T::Vector::<M>::PIECES {
            let mut x = [Complexes::<T::Vector<M>>::zero(); $radix];
            for $k in 0..$radix {
                x[$k] = $input;
            }
            let y = $butterfly(x, &$pass.roots);
            for $j in 0..$radix {
                let $y = y[$j];
                $output;
            }
        }
    };
}

/// Number `j` with its twiddle factor, of which the first has none.
macro_rules! twiddled {
    ($y:expr, $w:ident, $j:ident) => {
        if $j == 0 { $y } else { $y.times($w[$j - 1]) }
    };
}

#[inline(always)]
fn across_inline<T: Real, M: Machine>(
    pass: &Pass<T>,
    input: &[Batch<T>],
    from: usize,
    out: &mut [Batch<T>],
    to: usize,
) {
    let (s, m) = (pass.s, pass.n / pass.radix);
    let (skip, span) = (s * m * from, s * to);
    macro_rules! go {
        ($radix:literal, $butterfly:ident) => {
            for (p, w) in pass.twiddles.chunks_exact($radix - 1).enumerate() {
                for q in 0..s {
                    let input = &input[(q + s * p) * from..];
                    let out = &mut out[(q + s * $radix * p) * to..];
                    if m == 1 {
                        // The last pass has no twiddle factors of its own.
                        butterfly!(pass, $radix, $butterfly, piece, k => Complexes::load(&input[skip * k], piece),
                            (j, y) => y.store(&mut out[span * j], piece));
                    } else {
                        butterfly!(pass, $radix, $butterfly, piece, k => Complexes::load(&input[skip * k], piece),
                            (j, y) => twiddled!(y, w, j).store(&mut out[span * j], piece));
                    }
                }
            }
        };
    }
    butterflies_of!(pass.radix, go)
}

#[inline(always)]
fn first_forward_inline<T: Real, M: Machine>(
    pass: &Pass<T>,
    input: &[Batch<T>],
    factors: &[(T, T)],
    out: &mut [Batch<T>],
) {
    macro_rules! go {
        ($radix:literal, $butterfly:ident) => {{
            let chunks = input.chunks_exact($radix).zip(factors.chunks_exact($radix));
            let chunks = chunks.zip(out.chunks_exact_mut($radix));
            if pass.twiddles.is_empty() {
                for ((input, factors), out) in chunks {
                    butterfly!(pass, $radix, $butterfly, piece, k => Complexes::load(&input[k], piece).times(factors[k]),
                        (j, y) => y.store(&mut out[j], piece));
                }
                return;
            }
            for (((input, factors), out), w) in chunks.zip(pass.twiddles.chunks_exact($radix - 1)) {
                butterfly!(pass, $radix, $butterfly, piece, k => Complexes::load(&input[k], piece).times(factors[k]),
                    (j, y) => twiddled!(y, w, j).store(&mut out[j], piece));
            }
        }};
    }
    butterflies_of!(pass.radix, go)
}

#[inline(always)]
fn last_adjoint_inline<T: Real, M: Machine>(
    pass: &Pass<T>,
    input: &[Batch<T>],
    factors: &[(T, T)],
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
            let outs = (0..s).zip(out.chunks_exact_mut($radix));
            for ((q, out), factors) in outs.zip(factors.chunks_exact($radix)) {
                butterfly!(pass, $radix, $butterfly, piece, k => Complexes::load(&inputs[k][q], piece),
                    (j, y) => y.times(factors[j]).store(&mut out[j], piece));
            }
        }};
    }
    butterflies_of!(pass.radix, go)
}

#[inline(always)]
fn first_adjoint_of_two_inline<T: Real, M: Machine>(pass: &Pass<T>, data: &mut [Batch<T>]) {
    let m = pass.n / pass.radix;
    macro_rules! go {
        ($radix:literal, $butterfly:ident) => {{
            let mut rows = data.chunks_exact_mut(m);
            let rows: [_; $radix] =
                std::array::from_fn(|_| rows.next().expect("a row for every input"));
            for (p, w) in (0..m).zip(pass.twiddles.chunks_exact($radix - 1)) {
                butterfly!(pass, $radix, $butterfly, piece, k => Complexes::load(&rows[k][p], piece),
                    (j, y) => twiddled!(y, w, j).store(&mut rows[j][p], piece));
            }
        }};
    }
    butterflies_of!(pass.radix, go)
}

#[inline(always)]
fn last_adjoint_of_two_inline<T: Real, M: Machine>(
    pass: &Pass<T>,
    input: &[Batch<T>],
    factors: &[(T, T)],
    out: &mut [Batch<T>],
) {
    macro_rules! go {
        ($radix:literal, $butterfly:ident) => {{
            // Output `j` of the first pass's butterfly `p` stands at `p + m j`, where `m` is this pass's radix: what a
            // butterfly reads is together.
            let chunks = input.chunks_exact($radix).zip(out.chunks_exact_mut($radix));
            for ((input, out), factors) in chunks.zip(factors.chunks_exact($radix)) {
                butterfly!(pass, $radix, $butterfly, piece, k => Complexes::load(&input[k], piece),
                    (j, y) => y.times(factors[j]).store(&mut out[j], piece));
            }
        }};
    }
    butterflies_of!(pass.radix, go)
}

#[inline(always)]
fn last_forward_inline<T: Real, M: Machine>(pass: &Pass<T>, data: &mut [Batch<T>]) {
    let s = pass.s;
    macro_rules! go {
        ($radix:literal, $butterfly:ident) => {{
            let mut rows = data.chunks_exact_mut(s);
            let rows: [_; $radix] =
                std::array::from_fn(|_| rows.next().expect("a row for every input"));
            if pass.before.is_empty() {
                for q in 0..s {
                    butterfly!(pass, $radix, $butterfly, piece, k => Complexes::load(&rows[k][q], piece),
                        (j, y) => Complexes { re: y.im, im: y.re }.store(&mut rows[j][q], piece));
                }
                return;
            }
            for (q, w) in (0..s).zip(pass.before.chunks_exact($radix - 1)) {
                butterfly!(pass, $radix, $butterfly, piece,
                    k => twiddled!(Complexes::load(&rows[k][q], piece), w, k),
                    (j, y) => Complexes { re: y.im, im: y.re }.store(&mut rows[j][q], piece));
            }
        }};
    }
    butterflies_of!(pass.radix, go)
}

#[inline(always)]
fn gather_first_inline<T: Real, M: Machine>(
    pass: &Pass<T>,
    input: &[Batch<T>],
    lines: &Sublines,
    pitch: usize,
    out: &mut [Batch<T>],
) {
    macro_rules! go {
        ($radix:literal, $butterfly:ident) => {{
            let m = pass.n / $radix;
            for n2 in lines.n2s.clone() {
                let out = &mut out[lines.column(n2)..];
                for (p, w) in pass.twiddles.chunks_exact($radix - 1).enumerate() {
                    let out = &mut out[$radix * p * pitch..];
                    butterfly!(pass, $radix, $butterfly, piece,
                        k => match input.get(lines.place(n2, p + m * k)) {
                            Some(value) => Complexes::load(value, piece),
                            None => Complexes::zero(),
                        },
                        (j, y) => twiddled!(y, w, j).store(&mut out[j * pitch], piece));
                }
            }
        }};
    }
    butterflies_of!(pass.radix, go)
}

#[inline(always)]
fn scatter_last_inline<T: Real, M: Machine>(
    pass: &Pass<T>,
    input: &[Batch<T>],
    pitch: usize,
    lines: &Sublines,
    out: &mut [Batch<T>],
) {
    macro_rules! go {
        ($radix:literal, $butterfly:ident) => {{
            let s = pass.s;
            for n2 in lines.n2s.clone() {
                let input = &input[lines.column(n2)..];
                for q in 0..s {
                    if !(0..$radix).any(|j| lines.place(n2, q + s * j) < out.len()) {
                        continue;
                    }
                    butterfly!(pass, $radix, $butterfly, piece,
                        k => Complexes::load(&input[(q + s * k) * pitch], piece),
                        (j, y) => if let Some(out) = out.get_mut(lines.place(n2, q + s * j)) {
                            y.store(out, piece);
                        });
                }
            }
        }};
    }
    butterflies_of!(pass.radix, go)
}
