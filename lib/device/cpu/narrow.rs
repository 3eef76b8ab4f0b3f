//! The first step of lines of which a short piece only is not zero.
//!
//! With `outer = apart * radix` and `k1 = b + apart a`, where for a given `n2` the `radix` inputs from `n1 =
//! low` on are all that count,
//!
//! `sum_n1 w_outer^(n1 k1) x[n1] = w_outer^(low k1) sum_i w_radix^(i a) w_outer^(i b) x[low + i]`,
//!
//! one butterfly for every `b`, whose inputs come straight from the line and whose outputs are the step's.
//! The factor in front is left to the factors between the steps, which have it at no cost.

use super::Real;
use super::butterfly::{any, butterflies_of, eight, four, root, two};
use super::isa::{Machine, vectorised};
use super::pass::Places;
use super::vector::{Batch, Complexes, Vector};
use std::ops::Range;

/// The first step for inputs in `used`.
pub struct Narrow<T> {
    radix: usize,
    apart: usize,
    inner: usize,
    /// The `n2` of the first input in use.
    start: usize,
    /// `w_outer^(i b)` as `[b][i]` for `0 < i < radix`.
    twiddles: Vec<(T, T)>,
    /// `w_radix^k`
    roots: Vec<(T, T)>,
}

impl<T: Real> Narrow<T> {
    /// Prepares it; `None` where more of a line is used than a butterfly can take.
    pub fn new(outer: usize, inner: usize, used: Range<usize>) -> Option<Self> {
        let count = used.len().div_ceil(inner);
        let fits =
            |radix: &usize| *radix >= count && outer.is_multiple_of(*radix) && *radix < outer;
        let radix = [2, 3, 4, 5, 7, 8].into_iter().find(fits)?;
        let apart = outer / radix;
        let of_b = |b: usize| (1..radix).map(move |i| root(i * b, outer));
        Some(Narrow {
            radix,
            apart,
            inner,
            start: used.start % inner,
            twiddles: (0..apart).flat_map(of_b).collect(),
            roots: (0..radix).map(|k| root(k, radix)).collect(),
        })
    }

    /// Where the first input of `n2` stands among those in use.
    #[inline(always)]
    pub fn place(&self, n2: usize) -> usize {
        usize::from(n2 < self.start) * self.inner + n2 - self.start
    }
}

vectorised!(
    /// From the used `input` of a line to the state, whose rows are `pitch` apart.
    pub fn forward(
        narrow: &Narrow<T>, input: &[Batch<T>], places: Places, pitch: usize, state: &mut [Batch<T>],
    ) = forward_inline
);
vectorised!(
    /// The adjoint, to the used inputs.
    pub fn adjoint(
        narrow: &Narrow<T>, state: &[Batch<T>], places: Places, pitch: usize, out: &mut [Batch<T>],
    ) = adjoint_inline
);

#[inline(always)]
fn forward_inline<T: Real, M: Machine>(
    narrow: &Narrow<T>,
    input: &[Batch<T>],
    places: Places,
    pitch: usize,
    state: &mut [Batch<T>],
) {
    let (inner, apart) = (narrow.inner, narrow.apart);
    macro_rules! go {
        ($radix:literal, $butterfly:ident) => {{
            let mut rows = state.chunks_exact_mut(apart * pitch);
            let rows: [_; $radix] =
                std::array::from_fn(|_| rows.next().expect("a row for every output"));
            for (n2, column) in places.all() {
                for piece in 0..T::Vector::<M>::PIECES {
                    let first = narrow.place(n2);
                    // What the butterflies of all `b` have in common.
                    let mut values = [Complexes::<T::Vector<M>>::zero(); $radix];
                    for i in 0..$radix {
                        if let Some(value) = input.get(first + i * inner) {
                            values[i] = Complexes::load(value, piece);
                        }
                    }
                    for (b, twiddles) in narrow.twiddles.chunks_exact($radix - 1).enumerate() {
                        let mut x = values;
                        if b > 0 {
                            for i in 1..$radix {
                                x[i] = x[i].times(twiddles[i - 1]);
                            }
                        }
                        let y = $butterfly(x, &narrow.roots);
                        for a in 0..$radix {
                            y[a].store(&mut rows[a][b * pitch + column], piece);
                        }
                    }
                }
            }
        }};
    }
    butterflies_of!(narrow.radix, go)
}

#[inline(always)]
fn adjoint_inline<T: Real, M: Machine>(
    narrow: &Narrow<T>,
    state: &[Batch<T>],
    places: Places,
    pitch: usize,
    out: &mut [Batch<T>],
) {
    let (inner, apart) = (narrow.inner, narrow.apart);
    macro_rules! go {
        ($radix:literal, $butterfly:ident) => {{
            let mut rows = state.chunks_exact(apart * pitch);
            let rows: [_; $radix] =
                std::array::from_fn(|_| rows.next().expect("a row for every input"));
            for (n2, column) in places.all() {
                for piece in 0..T::Vector::<M>::PIECES {
                    let mut sums = [Complexes::<T::Vector<M>>::zero(); $radix];
                    for (b, twiddles) in narrow.twiddles.chunks_exact($radix - 1).enumerate() {
                        let mut x = [Complexes::<T::Vector<M>>::zero(); $radix];
                        for a in 0..$radix {
                            x[a] = Complexes::load(&rows[a][b * pitch + column], piece);
                        }
                        let y = $butterfly(x, &narrow.roots);
                        if b == 0 {
                            sums = y;
                            continue;
                        }
                        sums[0] = sums[0].add(y[0]);
                        for i in 1..$radix {
                            sums[i] = sums[i].add_times(y[i], twiddles[i - 1]);
                        }
                    }
                    let first = narrow.place(n2);
                    for i in 0..$radix {
                        if let Some(out) = out.get_mut(first + i * inner) {
                            sums[i].store(out, piece);
                        }
                    }
                }
            }
        }};
    }
    butterflies_of!(narrow.radix, go)
}
