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
//! The passes that each step is made of are in [`super::pass`].
//!
//! Only a range of the inputs of a line need be other than zero, and that range is all that an adjoint
//! returns: what is not needed of the first step is left out.
//!
//! An adjoint is the same transform of swapped numbers: with real and imaginary part exchanged before
//! and after, `exp(-2 pi i ...)` becomes `exp(+2 pi i ...)`.

use super::Real;
use super::butterfly::root;
use super::narrow::{self, Narrow};
use super::pass::{
    Places, Steps, Sublines, across, first_adjoint_of_two, first_forward, gather_first,
    last_adjoint, last_adjoint_of_two, last_forward, scatter_last,
};
use super::vector::Batch;
use crate::device::fourier::split;
use std::ops::Range;

/// A transform of `outer * inner` points.
pub struct FastTransform<T> {
    outer: Steps<T>,
    inner: Steps<T>,
    /// `w^(n2 k1)` in the order of the state's rows, with what a narrow first step leaves to them.
    twiddles: Vec<(T, T)>,
    used: Range<usize>,
    /// The first step in one go, where little of a line is used.
    narrow: Option<Narrow<T>>,
}

impl<T: Real> FastTransform<T> {
    /// Prepares a transform of lines that are zero but in `used`; `None` for lengths with a prime factor
    /// above 13.
    pub fn new(points: usize, used: Range<usize>) -> Option<Self> {
        let (outer, inner) = split(points);
        let mut transform = FastTransform {
            narrow: Narrow::new(outer, inner, used.clone()),
            used,
            outer: Steps::new(outer)?,
            inner: Steps::new(inner)?,
            twiddles: vec![(T::one(), T::zero()); points],
        };
        // Lines of one part take 2 to 3 % longer with it (32 and 64 points).
        if outer > 1 {
            transform.inner.share_twiddles();
        }
        for (k1, n2) in (0..outer).flat_map(|k1| (0..inner).map(move |n2| (k1, n2))) {
            let place = k1 * inner + transform.places().of(n2);
            let of_narrow = |narrow: &Narrow<T>| transform.used.start + narrow.place(n2);
            let n = transform.narrow.as_ref().map_or(n2, of_narrow);
            transform.twiddles[place] = root(n * k1, points);
        }
        Some(transform)
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

    fn sublines(&self, n2s: Range<usize>) -> Sublines {
        Sublines { first: self.used.start, stride: self.inner.points, n2s, places: self.places() }
    }

    /// How much is kept between the two steps.
    pub fn state_len(&self) -> usize {
        self.outer.points * self.pitch()
    }

    /// How much the passes of a step need beside that.
    pub fn scratch_len(&self) -> usize {
        2 * self.outer.points.max(self.inner.points)
    }

    /// The first step, from the used `input`.
    pub fn begin(&self, input: &[Batch<T>], state: &mut [Batch<T>], scratch: &mut [Batch<T>]) {
        let (inner, pitch) = (self.inner.points, self.pitch());
        if let Some(narrow) = &self.narrow {
            return narrow::forward(narrow, input, self.places(), pitch, state);
        }
        let Some((start, rest)) = self.outer.forward.split_first() else {
            state[..inner].fill(Batch::default());
            for (n2, value) in self.used.clone().zip(input) {
                state[self.places().of(n2)] = *value;
            }
            return;
        };
        if rest.is_empty() {
            return gather_first(start, input, &self.sublines(0..inner), pitch, state);
        }
        for n2 in 0..inner {
            let (mut from, mut to) = scratch.split_at_mut(self.outer.points);
            gather_first(start, input, &self.sublines(n2..n2 + 1), 1, from);
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

    /// The second step: the outputs of `k1`, with real and imaginary parts exchanged.
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
            out[0] = Batch { re: row[0].im, im: row[0].re };
            return;
        };
        let Some((end, rest)) = rest.split_last() else {
            first_forward(start, row, twiddles, out);
            out.iter_mut().for_each(Batch::exchange);
            return;
        };
        let (mut from, mut to) = (out, &mut scratch[..self.inner.points]);
        first_forward(start, row, twiddles, from);
        for pass in rest {
            across(pass, from, 1, to, 1);
            (from, to) = (to, from);
        }
        if rest.len() % 2 == 1 {
            to.copy_from_slice(from);
            from = to;
        }
        last_forward(end, from);
    }

    /// The adjoint of the second step, from `data` as [`part`](FastTransform::part) leaves them, which it makes use of.
    pub fn part_adjoint(
        &self,
        k1: usize,
        data: &mut [Batch<T>],
        state: &mut [Batch<T>],
        scratch: &mut [Batch<T>],
    ) {
        let (row, twiddles) = self.row(k1);
        let row = &mut state[row];
        let Some((end, rest)) = self.inner.adjoint.split_last() else {
            return row.copy_from_slice(&data[..1]);
        };
        let Some((start, rest)) = rest.split_first() else {
            return last_adjoint(end, data, twiddles, row);
        };
        if rest.is_empty() {
            first_adjoint_of_two(start, data);
            return last_adjoint_of_two(end, data, twiddles, row);
        }
        let (mut from, mut to) = scratch.split_at_mut(self.inner.points);
        across(start, data, 1, from, 1);
        for pass in rest {
            across(pass, from, 1, to, 1);
            (from, to) = (to, from);
        }
        last_adjoint(end, from, twiddles, row);
    }

    /// The adjoint of the first step, to the used inputs.
    pub fn end(&self, state: &[Batch<T>], out: &mut [Batch<T>], scratch: &mut [Batch<T>]) {
        let (inner, pitch) = (self.inner.points, self.pitch());
        if let Some(narrow) = &self.narrow {
            return narrow::adjoint(narrow, state, self.places(), pitch, out);
        }
        let Some((end, rest)) = self.outer.adjoint.split_last() else {
            for (n2, out) in self.used.clone().zip(out) {
                *out = state[self.places().of(n2)];
            }
            return;
        };
        if rest.is_empty() {
            return scatter_last(end, state, pitch, &self.sublines(0..inner), out);
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
            scatter_last(end, from, 1, &self.sublines(n2..n2 + 1), out);
        }
    }

    /// Where row `k1` stands in the state, and its twiddle factors.
    fn row(&self, k1: usize) -> (Range<usize>, &[(T, T)]) {
        let inner = self.inner.points;
        let start = k1 * self.pitch();
        (start..start + inner, &self.twiddles[k1 * inner..(k1 + 1) * inner])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::fourier::{order, radices};
    use std::f64::consts::TAU;

    /// Both directions of one length against the plain sum, with dirty buffers.
    fn check<T: Real>(points: usize, used: Range<usize>) {
        let transform = FastTransform::<T>::new(points, used.clone()).unwrap();
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
        let tolerance = 10.0 * T::epsilon().in_f64() * points as f64;
        let close = |got: T, wanted: f64| (got.in_f64() - wanted).abs() < tolerance;
        let input: Vec<_> = used.clone().map(batch).collect();
        let mut state = vec![batch(12345); transform.state_len()];
        let mut scratch = vec![batch(777); transform.scratch_len()];
        let ((outer, inner), order) = (split(points), order(points));
        transform.begin(&input, &mut state, &mut scratch);
        let mut out = vec![batch(4321); inner];
        for k1 in 0..outer {
            transform.part(k1, &state, &mut out, &mut scratch);
            for (got, &k) in out.iter().zip(&order[k1 * inner..]) {
                let (re, im) = direct(used.clone(), k, -1.0);
                assert!(close(got.im.as_ref()[5], re), "{points} {used:?} {k}");
                assert!(close(got.re.as_ref()[5], im), "{points} {used:?} {k}");
            }
        }
        // Swapped in, swapped out.
        let swap = |b: Batch<T>| Batch { re: b.im, im: b.re };
        state.fill(batch(12345));
        for k1 in 0..outer {
            let order = order[k1 * inner..].iter().take(inner);
            let mut data: Vec<_> = order.map(|&k| swap(batch(k))).collect();
            transform.part_adjoint(k1, &mut data, &mut state, &mut scratch);
        }
        let mut got = vec![batch(777); used.len()];
        transform.end(&state, &mut got, &mut scratch);
        for (k, got) in used.clone().zip(&got) {
            let (re, im) = direct(0..points, k, 1.0);
            assert!(close(got.im.as_ref()[5], re), "{points} {used:?} {k}");
            assert!(close(got.re.as_ref()[5], im), "{points} {used:?} {k}");
        }
    }

    #[test]
    fn lines_of_every_kind_of_length_have_the_transform_of_the_plain_sum() {
        let lengths = (1..=40).chain([45, 64, 75, 77, 96, 128, 169, 250, 256, 512, 576, 640, 1024]);
        for points in lengths.filter(|&n| radices(n).is_some()) {
            for used in [
                0..points,
                points / 3..points - points / 3,
                points / 2..points / 2 + 1,
                points * 3 / 8..points * 5 / 8,
                0..points.div_ceil(4),
            ] {
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
