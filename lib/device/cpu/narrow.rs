//! The first step of lines of which a short piece only is not zero.
//!
//! With `outer = apart * radix` and `k1 = b + apart a`, where for a given `n2` the `radix` inputs from `n1 =
//! low` on are all that count,
//!
//! `sum_n1 w_outer^(n1 k1) x[n1] = w_radix^(low a) sum_i w_radix^(i a) w_outer^((low + i) b) x[low + i]`,
//!
//! one butterfly for every `b`, whose inputs come straight from the line and whose outputs are the step's.
//! The factor in front is left to the factors between the steps, which has it at no cost.

use super::Real;
use super::butterfly::{any, butterflies_of, eight, four, root, two};
use super::isa::{Machine, vectorised};
use super::pass::Places;
use super::vector::{Batch, Complexes};
use std::ops::Range;

/// The first step for inputs in `used`.
pub struct Narrow<T> {
    radix: usize,
    apart: usize,
    inner: usize,
    used: Range<usize>,
    /// `w_outer^(n1 b)` as `[n1][b]`.
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
        let of_n1 = |n1: usize| (0..apart).map(move |b| root(n1 * b, outer));
        Some(Narrow {
            radix,
            apart,
            inner,
            used,
            twiddles: (0..outer).flat_map(of_n1).collect(),
            roots: (0..radix).map(|k| root(k, radix)).collect(),
        })
    }

    /// The first `n1` that counts for `n2`.
    #[inline(always)]
    fn low(&self, n2: usize) -> usize {
        self.used.start.saturating_sub(n2).div_ceil(self.inner)
    }

    /// What is left over of output `k1` of `n2`: the exponent of `w_outer`.
    pub fn left(&self, n2: usize, k1: usize) -> usize {
        self.low(n2) * (k1 / self.apart) * self.apart
    }
}

vectorised!(
    /// From the used `input` of a line to the state, whose rows are `pitch` apart.
    pub fn forward(
        narrow: &Narrow<T>, input: &[Batch<T>], places: Places, pitch: usize, state: &mut [Batch<T>],
    ) = forward_inline
);
vectorised!(
    /// The adjoint, to as many of the used inputs as `out` has room for.
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
        ($radix:literal, $butterfly:ident) => {
            for n2 in 0..inner {
                let low = narrow.low(n2);
                let first = (low * inner + n2).wrapping_sub(narrow.used.start);
                let place = places.of(n2);
                // What the butterflies of all `b` have in common.
                let mut values = [Complexes::<T::Vector<M>>::zero(); $radix];
                let mut twiddles = [&narrow.twiddles[..apart]; $radix];
                for i in 0..$radix {
                    if let Some(value) = input.get(first + i * inner) {
                        values[i] = Complexes::load(value);
                        twiddles[i] = &narrow.twiddles[(low + i) * apart..][..apart];
                    }
                }
                let mut rows = state.chunks_exact_mut(apart * pitch);
                let rows: [_; $radix] =
                    std::array::from_fn(|_| rows.next().expect("a row for every output"));
                for b in 0..apart {
                    let mut x = values;
                    if b > 0 {
                        for i in 0..$radix {
                            x[i] = x[i].times(twiddles[i][b]);
                        }
                    }
                    let y = $butterfly(x, &narrow.roots);
                    for a in 0..$radix {
                        y[a].store(&mut rows[a][b * pitch + place]);
                    }
                }
            }
        };
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
        ($radix:literal, $butterfly:ident) => {
            for n2 in 0..inner {
                let low = narrow.low(n2);
                let first = (low * inner + n2).wrapping_sub(narrow.used.start);
                let state = &state[places.of(n2)..];
                let mut sums = [Complexes::<T::Vector<M>>::zero(); $radix];
                for b in 0..apart {
                    let mut x = [Complexes::<T::Vector<M>>::zero(); $radix];
                    for a in 0..$radix {
                        x[a] = Complexes::load(&state[(b + apart * a) * pitch]);
                    }
                    let y = $butterfly(x, &narrow.roots);
                    for i in 0..$radix {
                        if first + i * inner < out.len() {
                            let twiddle = narrow.twiddles[(low + i) * apart + b];
                            sums[i] = if b == 0 { y[i] } else { sums[i].add_times(y[i], twiddle) };
                        }
                    }
                }
                for i in 0..$radix {
                    if let Some(out) = out.get_mut(first + i * inner) {
                        sums[i].store(out);
                    }
                }
            }
        };
    }
    butterflies_of!(narrow.radix, go)
}
