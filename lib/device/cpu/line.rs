//! One axis of a Fourier transform, a line a lane: a fast transform, a matrix, or any length.
//!
//! The outputs come in *slabs*, small enough to stay in the first cache, and the adjoint takes them back
//! in the same slabs: `begin`, then `forward` and `adjoint` of every slab, then `end`. What is kept in
//! between is the *state*. Adjoint numbers have their real and imaginary parts exchanged.

use super::Real;
use super::fft::FastTransform;
use super::matrix::{self, Matrix};
use super::vector::Batch;
use crate::device::fourier::{Axis, PART, order, split};
use rustfft::num_complex::Complex;
use rustfft::{Fft, FftPlanner};
use std::ops::Range;
use std::sync::Arc;

/// One axis, for inputs in `used` only.
pub struct Line<T: Real> {
    pub used: Range<usize>,
    pub outputs: usize,
    /// Outputs of every slab but the last, which may have fewer: [`PART`] at most, unless one part has more.
    pub slab: usize,
    kernel: Kernel<T>,
}

enum Kernel<T: Real> {
    Fast {
        transform: FastTransform<T>,
        inner: usize,
    },
    Matrix {
        forward: Matrix<T>,
        adjoint: Matrix<T>,
    },
    /// Lengths with a large prime factor, a lane at a time.
    Other {
        fft: Arc<dyn Fft<T>>,
        /// The frequencies in the order of the outputs.
        order: Vec<usize>,
    },
}

impl<T: Real> Line<T> {
    pub fn new(axis: &Axis, used: Range<usize>) -> Self {
        let outputs = axis.outputs();
        let (kernel, slab) = match axis {
            Axis::Fft { points } => {
                let (_, inner) = split(*points);
                let kernel = FastTransform::new(*points, used.clone()).map_or_else(
                    || Kernel::Other {
                        fft: FftPlanner::new().plan_fft_forward(*points),
                        order: order(*points),
                    },
                    |transform| Kernel::Fast { transform, inner },
                );
                (kernel, (PART / inner).max(1) * inner)
            }
            Axis::Matrix(values) => {
                let values = values.slice(ndarray::s![.., used.clone()]);
                let kernel = Kernel::Matrix {
                    forward: Matrix::new(values),
                    // Exchanging the parts of what goes in and comes out takes the conjugate.
                    adjoint: Matrix::new(values.reversed_axes()),
                };
                (kernel, PART)
            }
        };
        Line { outputs, used, slab: slab.min(outputs).max(1), kernel }
    }

    /// The number of slabs.
    pub fn slabs(&self) -> usize {
        self.outputs.div_ceil(self.slab)
    }

    /// The outputs of a slab.
    pub fn range(&self, slab: usize) -> Range<usize> {
        slab * self.slab..((slab + 1) * self.slab).min(self.outputs)
    }

    /// What two lines need to have in common for the one's state and slabs to serve the other.
    pub fn shape(&self) -> (usize, usize, u8) {
        let kind = match &self.kernel {
            Kernel::Fast { .. } => 0,
            Kernel::Matrix { .. } => 1,
            Kernel::Other { .. } => 2,
        };
        (self.outputs, self.slab, kind)
    }

    pub fn state_len(&self) -> usize {
        match &self.kernel {
            Kernel::Fast { transform, .. } => transform.state_len(),
            Kernel::Matrix { .. } => 2 * self.used.len(),
            Kernel::Other { .. } => self.outputs,
        }
    }

    /// The room that a step needs for itself, in batches and in single numbers.
    pub fn scratch_len(&self) -> (usize, usize) {
        match &self.kernel {
            Kernel::Fast { transform, .. } => (transform.scratch_len(), 0),
            Kernel::Matrix { .. } => (0, 0),
            Kernel::Other { fft, .. } => (0, self.outputs + fft.get_inplace_scratch_len()),
        }
    }

    /// Takes the used `input` of every lane.
    pub fn begin(&self, input: &[Batch<T>], state: &mut [Batch<T>], scratch: &mut Scratch<T>) {
        match &self.kernel {
            Kernel::Fast { transform, .. } => {
                transform.begin(input, state, &mut scratch.batches);
            }
            Kernel::Matrix { .. } => {
                state[..input.len()].copy_from_slice(input);
                self.begin_adjoint(state);
            }
            Kernel::Other { fft, .. } => {
                self.each_lane(&**fft, input, self.used.clone(), state, 0..self.outputs, scratch);
            }
        }
    }

    /// Makes a state ready to take slabs back, where no forward transform began it.
    pub fn begin_adjoint(&self, state: &mut [Batch<T>]) {
        if let Kernel::Matrix { .. } = &self.kernel {
            state[self.used.len()..2 * self.used.len()].fill(Batch::default());
        }
    }

    /// The outputs of one slab, with real and imaginary parts exchanged as adjoints have them: so the
    /// cotangent of a number finds its place where that was.
    pub fn forward(
        &self,
        slab: usize,
        state: &[Batch<T>],
        out: &mut [Batch<T>],
        scratch: &mut Scratch<T>,
    ) {
        let range = self.range(slab);
        match &self.kernel {
            Kernel::Fast { transform, inner } => {
                for (k, out) in out[..range.len()].chunks_exact_mut(*inner).enumerate() {
                    transform.part(range.start / inner + k, state, out, &mut scratch.batches);
                }
            }
            Kernel::Matrix { forward, .. } => {
                let input = &state[..self.used.len()];
                let out = &mut out[..range.len()];
                matrix::times(forward, range.start, input, out);
                out.iter_mut().for_each(Batch::exchange);
            }
            Kernel::Other { order, .. } => {
                for (out, &k) in out.iter_mut().zip(&order[range]) {
                    *out = state[k];
                    out.exchange();
                }
            }
        }
    }

    /// Takes `data` of all outputs of one slab back; what is left of them is of no use.
    pub fn adjoint(
        &self,
        slab: usize,
        data: &mut [Batch<T>],
        state: &mut [Batch<T>],
        scratch: &mut Scratch<T>,
    ) {
        let range = self.range(slab);
        match &self.kernel {
            Kernel::Fast { transform, inner } => {
                for (k, data) in data[..range.len()].chunks_exact_mut(*inner).enumerate() {
                    let k1 = range.start / inner + k;
                    transform.part_adjoint(k1, data, state, &mut scratch.batches);
                }
            }
            Kernel::Matrix { adjoint, .. } => {
                let sums = &mut state[self.used.len()..2 * self.used.len()];
                matrix::add_times(adjoint, range.start, &data[..range.len()], sums);
            }
            Kernel::Other { order, .. } => {
                for (data, &k) in data.iter().zip(&order[range]) {
                    state[k] = *data;
                }
            }
        }
    }

    /// Gives the used inputs of the adjoint.
    pub fn end(&self, state: &[Batch<T>], out: &mut [Batch<T>], scratch: &mut Scratch<T>) {
        match &self.kernel {
            Kernel::Fast { transform, .. } => {
                transform.end(state, out, &mut scratch.batches);
            }
            Kernel::Matrix { .. } => {
                out.copy_from_slice(&state[self.used.len()..2 * self.used.len()]);
            }
            Kernel::Other { fft, .. } => {
                self.each_lane(&**fft, state, 0..self.outputs, out, self.used.clone(), scratch);
            }
        }
    }

    /// Transforms every lane: `input` is the part `from` of a line that is zero elsewhere, and `to` the part put out.
    fn each_lane(
        &self,
        fft: &dyn Fft<T>,
        input: &[Batch<T>],
        from: Range<usize>,
        out: &mut [Batch<T>],
        to: Range<usize>,
        scratch: &mut Scratch<T>,
    ) {
        let (line, rest) = scratch.numbers.split_at_mut(self.outputs);
        for lane in 0..T::LANES {
            line.fill(Complex::default());
            for (z, batch) in line[from.clone()].iter_mut().zip(input) {
                *z = batch.get(lane);
            }
            fft.process_with_scratch(line, rest);
            for (batch, z) in out.iter_mut().zip(&line[to.clone()]) {
                batch.set(lane, *z);
            }
        }
    }
}

/// Room for the steps of a line.
pub struct Scratch<T: Real> {
    pub batches: Vec<Batch<T>>,
    pub numbers: Vec<Complex<T>>,
}
