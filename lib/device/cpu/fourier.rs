//! The Fourier transform in three passes: rows that hold pixels, then blocks of columns (between
//! which a region may run), and rows again for the adjoint.
//!
//! Between the passes a spectrum lies as `[block][row]`, each entry a [`Batch`] of neighbouring
//! columns, so that a block of columns is transformed where it lies. A block's spectrum is read before
//! the adjoint's is written, so one buffer serves both. Adjoint numbers have their real and imaginary
//! parts exchanged throughout (see [`super::fft`]).

use super::Real;
use super::fft::Lanes;
use super::matrix::{self, Matrix};
use super::shared::Shared;
use super::tile::{Workspace, Workspaces};
use super::vector::Batch;
use crate::device::fourier::{Axis, Fourier};
use rayon::prelude::*;
use rustfft::num_complex::Complex;
use rustfft::{Fft, FftPlanner};
use std::ops::Range;
use std::sync::Arc;

/// Transforms with fewer numbers in their spectrum are not worth sharing between threads.
const SHARED_FROM: usize = 4096;

/// One axis, for inputs in `used` only.
struct Line<T: Real> {
    used: Range<usize>,
    outputs: usize,
    kernel: Kernel<T>,
}

enum Kernel<T: Real> {
    Lanes(Lanes<T>),
    Matrix {
        forward: Matrix<T>,
        adjoint: Matrix<T>,
    },
    /// Lengths with a large prime factor, a lane at a time.
    Other(Arc<dyn Fft<T>>),
}

impl<T: Real> Line<T> {
    fn new(axis: &Axis, used: Range<usize>) -> Self {
        let kernel = match axis {
            Axis::Fft { points } => Lanes::new(*points).map_or_else(
                || Kernel::Other(FftPlanner::new().plan_fft_forward(*points)),
                Kernel::Lanes,
            ),
            Axis::Matrix(values) => {
                let values = values.slice(ndarray::s![.., used.clone()]);
                Kernel::Matrix {
                    forward: Matrix::new(values),
                    // Exchanging the parts of what goes in and comes out takes the conjugate.
                    adjoint: Matrix::new(values.reversed_axes()),
                }
            }
        };
        Line { outputs: axis.outputs(), used, kernel }
    }

    fn scratch_len(&self) -> usize {
        match &self.kernel {
            Kernel::Other(fft) => self.outputs + fft.get_inplace_scratch_len(),
            Kernel::Lanes(_) | Kernel::Matrix { .. } => 0,
        }
    }

    /// Transforms the used `input` of every lane into `out`.
    fn forward(
        &self,
        input: &[Batch<T>],
        out: &mut Vec<Batch<T>>,
        spare: &mut Vec<Batch<T>>,
        scratch: &mut [Complex<T>],
    ) {
        match &self.kernel {
            Kernel::Lanes(lanes) => lanes.forward(input, self.used.start, out, spare),
            Kernel::Matrix { forward, .. } => {
                matrix::times(forward, input, &mut out[..self.outputs]);
            }
            Kernel::Other(fft) => {
                let (line, scratch) = scratch.split_at_mut(self.outputs);
                for lane in 0..T::LANES {
                    line.fill(Complex::default());
                    for (z, batch) in line[self.used.clone()].iter_mut().zip(input) {
                        *z = get(batch, lane);
                    }
                    fft.process_with_scratch(line, scratch);
                    for (batch, z) in out.iter_mut().zip(&*line) {
                        set(batch, lane, *z);
                    }
                }
            }
        }
    }

    /// The adjoint: from `data` of every output, which may be overwritten, to the used inputs. Parts are
    /// exchanged.
    fn adjoint(
        &self,
        data: &mut Vec<Batch<T>>,
        spare: &mut Vec<Batch<T>>,
        scratch: &mut [Complex<T>],
        out: &mut [Batch<T>],
    ) {
        match &self.kernel {
            Kernel::Lanes(lanes) => lanes.adjoint(data, spare, self.used.start, out),
            Kernel::Matrix { adjoint, .. } => {
                matrix::times(adjoint, &data[..self.outputs], out);
            }
            Kernel::Other(fft) => {
                let (line, scratch) = scratch.split_at_mut(self.outputs);
                for lane in 0..T::LANES {
                    for (z, batch) in line.iter_mut().zip(&*data) {
                        *z = get(batch, lane);
                    }
                    fft.process_with_scratch(line, scratch);
                    for (batch, z) in out.iter_mut().zip(&line[self.used.clone()]) {
                        set(batch, lane, *z);
                    }
                }
            }
        }
    }
}

fn get<T: Real>(batch: &Batch<T>, lane: usize) -> Complex<T> {
    Complex::new(batch.re.as_ref()[lane], batch.im.as_ref()[lane])
}

fn set<T: Real>(batch: &mut Batch<T>, lane: usize, z: Complex<T>) {
    batch.re.as_mut()[lane] = z.re;
    batch.im.as_mut()[lane] = z.im;
}

/// Exchanges rows and lanes: lane `l` of `to[k]` is lane `k` of `from[l]`.
fn turn<T: Real>(from: &[Batch<T>], to: &mut [Batch<T>]) {
    for (k, to) in to.iter_mut().enumerate() {
        let (re, im) = (to.re.as_mut(), to.im.as_mut());
        for (l, from) in from.iter().enumerate() {
            re[l] = from.re.as_ref()[k];
            im[l] = from.im.as_ref()[k];
        }
    }
}

/// A transform, prepared for one precision.
pub struct Transform<T: Real> {
    x: Line<T>,
    y: Line<T>,
    /// Where the pixels of every row in use start; one more start.
    starts: Vec<usize>,
    /// The column of every pixel, counted from the first in use.
    columns: Vec<u32>,
}

impl<T: Real> Transform<T> {
    pub fn new(fourier: &Fourier) -> Self {
        let pixels = fourier.pixels();
        let range = |values: &mut dyn Iterator<Item = u32>| {
            let (low, high) = values.fold((u32::MAX, 0), |(l, h), v| (l.min(v), h.max(v)));
            low.min(high) as usize..high as usize + 1
        };
        let rows = range(&mut pixels.iter().map(|p| p.0));
        let columns = range(&mut pixels.iter().map(|p| p.1));
        let starts = rows
            .clone()
            .chain([rows.end])
            .map(|row| pixels.partition_point(|p| (p.0 as usize) < row))
            .collect();
        Transform {
            starts,
            columns: pixels.iter().map(|p| p.1 - columns.start as u32).collect(),
            x: Line::new(&fourier.x, columns),
            y: Line::new(&fourier.y, rows),
        }
    }

    /// The number of outputs in a whole block of columns.
    pub fn block_len(&self) -> usize {
        T::LANES * self.y.outputs
    }

    /// The number of outputs along y: a column.
    pub fn column_len(&self) -> usize {
        self.y.outputs
    }

    /// Rows in use, and outputs along x and y: what two transforms need to have in common to share a
    /// spectrum.
    pub fn shape(&self) -> (usize, usize, usize) {
        (self.rows(), self.x.outputs, self.y.outputs)
    }

    /// How long a workspace's lines have to be.
    pub fn lines_len(&self) -> usize {
        // The row pass turns whole blocks, so its lines are padded to that.
        let x = self.x.outputs.max(self.x.used.len()).next_multiple_of(T::LANES);
        x.max(self.y.outputs.max(self.y.used.len()))
    }

    pub fn scratch_len(&self) -> usize {
        self.x.scratch_len().max(self.y.scratch_len())
    }

    /// The length of a spectrum.
    pub fn spectrum_len(&self) -> usize {
        self.rows() * self.x.outputs.div_ceil(T::LANES)
    }

    fn rows(&self) -> usize {
        self.starts.len() - 1
    }

    /// Calls `one` for every group of rows, sharing them between threads where it is worth it.
    fn for_groups(&self, one: impl Fn(Range<usize>) + Sync + Send) {
        let groups = self.rows().div_ceil(T::LANES);
        let range = |group: usize| group * T::LANES..((group + 1) * T::LANES).min(self.rows());
        if self.spectrum_len() * T::LANES < SHARED_FROM {
            (0..groups).for_each(|group| one(range(group)));
        } else {
            let groups = (0..groups).into_par_iter();
            groups.for_each(|group| one(range(group)));
        }
    }

    /// First pass: the spectrum of every row.
    pub fn rows_forward(
        &self,
        field: &[Complex<T>],
        spectrum: &Shared<Batch<T>>,
        workspaces: &Workspaces<T>,
    ) {
        self.for_groups(|rows| {
            let mut workspace = workspaces.mine();
            let Workspace { lines: [out, spare], inputs, scratch, .. } = &mut *workspace;
            let inputs = &mut inputs[..self.x.used.len()];
            inputs.fill(Batch::default());
            for (lane, row) in rows.clone().enumerate() {
                let range = self.starts[row]..self.starts[row + 1];
                for (&column, &value) in self.columns[range.clone()].iter().zip(&field[range]) {
                    set(&mut inputs[column as usize], lane, value);
                }
            }
            self.x.forward(inputs, out, spare, scratch);
            for (block, lines) in out[..self.x.outputs].chunks(T::LANES).enumerate() {
                let at = block * self.rows() + rows.start;
                // SAFETY: each group has its own rows of every block, and nobody reads yet.
                turn(lines, unsafe { spectrum.part(at, rows.len()) });
            }
        });
    }

    /// Second pass: one block of columns of a spectrum, into the workspace's block `stream`.
    ///
    /// # Safety
    /// Nobody else may use this block of the spectrum.
    pub unsafe fn columns_forward(
        &self,
        spectrum: &Shared<Batch<T>>,
        block: usize,
        workspace: &mut Workspace<T>,
        stream: usize,
    ) {
        let Workspace { blocks, lines: [_, spare], scratch, .. } = workspace;
        // SAFETY: the block is ours by the caller's promise.
        let input = unsafe { spectrum.part(block * self.rows(), self.rows()) };
        self.y.forward(input, &mut blocks[stream], spare, scratch);
    }

    /// The adjoint of the second pass: from the workspace's block `stream` to the spectrum.
    ///
    /// # Safety
    /// Nobody else may use this block of the spectrum.
    pub unsafe fn columns_adjoint(
        &self,
        spectrum: &Shared<Batch<T>>,
        block: usize,
        workspace: &mut Workspace<T>,
        stream: usize,
    ) {
        let Workspace { blocks, lines: [_, spare], scratch, .. } = workspace;
        // SAFETY: the block is ours by the caller's promise.
        let out = unsafe { spectrum.part(block * self.rows(), self.rows()) };
        self.y.adjoint(&mut blocks[stream], spare, scratch, out);
    }

    /// The adjoint of the first pass: from the spectrum to the field.
    pub fn rows_adjoint(
        &self,
        spectrum: &Shared<Batch<T>>,
        field: &Shared<Complex<T>>,
        workspaces: &Workspaces<T>,
    ) {
        self.for_groups(|rows| {
            let mut workspace = workspaces.mine();
            let Workspace { lines: [data, spare], inputs, scratch, .. } = &mut *workspace;
            for (block, lines) in data[..self.x.outputs].chunks_mut(T::LANES).enumerate() {
                let at = block * self.rows() + rows.start;
                // SAFETY: each group has its own rows of every block.
                turn(unsafe { spectrum.part(at, rows.len()) }, lines);
            }
            let results = &mut inputs[..self.x.used.len()];
            self.x.adjoint(data, spare, scratch, results);
            for (lane, row) in rows.enumerate() {
                let (start, end) = (self.starts[row], self.starts[row + 1]);
                // SAFETY: the pixels of different rows do not overlap.
                let out = unsafe { field.part(start, end - start) };
                for (out, &column) in out.iter_mut().zip(&self.columns[start..end]) {
                    let z = get(&results[column as usize], lane);
                    *out = Complex::new(z.im, z.re);
                }
            }
        });
    }
}
