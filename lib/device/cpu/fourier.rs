//! The Fourier transform in three passes: rows that hold pixels, then blocks of columns (between
//! which a region may run), and rows again for the adjoint.
//!
//! Between the passes a spectrum lies as `[block][row][column in block]`, so that a block of columns
//! is read and written in one piece. A block's spectrum is read before the adjoint's is written, so one
//! buffer serves both.

use super::Real;
use super::matrix::Matrix;
use super::shared::Shared;
use super::tile::{Workspace, Workspaces};
use crate::device::fourier::{Axis, Fourier};
use rayon::prelude::*;
use rustfft::num_complex::Complex;
use rustfft::{Fft, FftPlanner};
use std::ops::Range;
use std::sync::Arc;

/// Columns that are transformed together: their part of a row is a cache line or two.
pub const BLOCK: usize = 8;
/// Rows that are transformed together, for the same reason.
const ROWS: usize = 4;
/// Transforms with fewer numbers in their spectrum are not worth sharing between threads.
const SHARED_FROM: usize = 4096;

/// One axis, for inputs in `used` only.
struct Line<T> {
    used: Range<usize>,
    outputs: usize,
    kernel: Kernel<T>,
}

enum Kernel<T> {
    /// In place, on lines of `outputs`.
    Fft {
        forward: Arc<dyn Fft<T>>,
        inverse: Arc<dyn Fft<T>>,
    },
    /// Between lines of `used.len()` and lines of `outputs`.
    Matrix {
        forward: Matrix<T>,
        adjoint: Matrix<T>,
    },
}

impl<T: Real> Line<T> {
    fn new(axis: &Axis, used: Range<usize>) -> Self {
        let kernel = match axis {
            Axis::Fft { points } => {
                let mut planner = FftPlanner::new();
                Kernel::Fft {
                    forward: planner.plan_fft_forward(*points),
                    inverse: planner.plan_fft_inverse(*points),
                }
            }
            Axis::Matrix(values) => {
                let values = values.slice(ndarray::s![.., used.clone()]);
                Kernel::Matrix {
                    forward: Matrix::new(values, false),
                    adjoint: Matrix::new(values, true),
                }
            }
        };
        Line {
            outputs: axis.outputs(),
            used,
            kernel,
        }
    }

    fn scratch_len(&self) -> usize {
        match &self.kernel {
            Kernel::Fft { forward, inverse } => forward
                .get_inplace_scratch_len()
                .max(inverse.get_inplace_scratch_len()),
            Kernel::Matrix { .. } => 0,
        }
    }

    /// The length of a line among the inputs of `count` lines, and where in it the first used input is.
    fn input_layout(&self) -> (usize, usize) {
        match &self.kernel {
            Kernel::Fft { .. } => (self.outputs, self.used.start),
            Kernel::Matrix { .. } => (self.used.len(), 0),
        }
    }

    /// Where the inputs of lines belong, which is where an adjoint leaves its results: `outputs` when
    /// the transform works in place, else `inputs`. Before a forward transform inputs are zeroed.
    fn inputs<'b>(
        &self,
        outputs: &'b mut [Complex<T>],
        inputs: &'b mut [Complex<T>],
    ) -> &'b mut [Complex<T>] {
        match &self.kernel {
            Kernel::Fft { .. } => outputs,
            Kernel::Matrix { .. } => inputs,
        }
    }

    /// Transforms `lines` lines into `outputs`.
    fn forward(
        &self,
        lines: usize,
        outputs: &mut [Complex<T>],
        inputs: &[Complex<T>],
        scratch: &mut [Complex<T>],
    ) {
        let outputs = &mut outputs[..lines * self.outputs];
        match &self.kernel {
            Kernel::Fft { forward, .. } => forward.process_with_scratch(outputs, scratch),
            Kernel::Matrix { forward, .. } => {
                forward.times(&inputs[..lines * self.used.len()], outputs);
            }
        }
    }

    /// The adjoint of `lines` lines of `outputs`, which may be overwritten.
    fn adjoint(
        &self,
        lines: usize,
        outputs: &mut [Complex<T>],
        inputs: &mut [Complex<T>],
        scratch: &mut [Complex<T>],
    ) {
        let outputs = &mut outputs[..lines * self.outputs];
        match &self.kernel {
            Kernel::Fft { inverse, .. } => inverse.process_with_scratch(outputs, scratch),
            Kernel::Matrix { adjoint, .. } => {
                adjoint.times(outputs, &mut inputs[..lines * self.used.len()]);
            }
        }
    }
}

/// A transform, prepared for one precision.
pub struct Transform<T: Real> {
    x: Line<T>,
    y: Line<T>,
    /// Where the pixels of every row in use start; one more start.
    starts: Vec<usize>,
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

    /// The number of outputs along y: a column.
    pub fn column_len(&self) -> usize {
        self.y.outputs
    }

    /// The length of a block of columns.
    pub fn block_len(&self) -> usize {
        BLOCK * self.y.outputs
    }

    /// What a workspace needs: the longest lines of either pass, as inputs and as outputs.
    pub fn lines_len(&self) -> usize {
        let rows = ROWS * self.x.outputs.max(self.x.used.len());
        rows.max(BLOCK * self.y.outputs.max(self.y.used.len()))
    }

    pub fn scratch_len(&self) -> usize {
        self.x.scratch_len().max(self.y.scratch_len())
    }

    /// The length of a spectrum.
    pub fn spectrum_len(&self) -> usize {
        self.rows() * self.x.outputs.next_multiple_of(BLOCK)
    }

    fn rows(&self) -> usize {
        self.starts.len() - 1
    }

    /// Columns `first..end` of a block.
    fn block_columns(&self, block: usize) -> usize {
        BLOCK.min(self.x.outputs - block * BLOCK)
    }

    /// Calls `one` for every group of rows, sharing them between threads where it is worth it.
    fn for_groups(&self, one: impl Fn(Range<usize>) + Sync + Send) {
        let groups = self.rows().div_ceil(ROWS);
        let range = |group: usize| group * ROWS..((group + 1) * ROWS).min(self.rows());
        if self.spectrum_len() < SHARED_FROM {
            (0..groups).for_each(|group| one(range(group)));
        } else {
            (0..groups)
                .into_par_iter()
                .for_each(|group| one(range(group)));
        }
    }

    /// First pass: the spectrum of every row.
    pub fn rows_forward(
        &self,
        field: &[Complex<T>],
        spectrum: &Shared<Complex<T>>,
        workspaces: &Workspaces<T>,
    ) {
        self.for_groups(|rows| {
            let mut workspace = workspaces.mine();
            let Workspace {
                lines,
                inputs,
                scratch,
                ..
            } = &mut *workspace;
            let (stride, first) = self.x.input_layout();
            let staged = self.x.inputs(lines, inputs);
            staged[..rows.len() * stride].fill(Complex::default());
            for (line, row) in staged.chunks_exact_mut(stride).zip(rows.clone()) {
                let range = self.starts[row]..self.starts[row + 1];
                for (&column, &value) in self.columns[range.clone()].iter().zip(&field[range]) {
                    line[first + column as usize] = value;
                }
            }
            self.x.forward(rows.len(), lines, inputs, scratch);
            let n = self.x.outputs;
            for (block, start) in (0..n).step_by(BLOCK).enumerate() {
                let count = self.block_columns(block);
                let at = (block * self.rows() + rows.start) * BLOCK;
                // SAFETY: each group has its own rows of every block, and nobody reads yet.
                let out = unsafe { spectrum.part(at, rows.len() * BLOCK) };
                for (k, out) in out.chunks_exact_mut(BLOCK).enumerate() {
                    let from = k * n + start;
                    out[..count].copy_from_slice(&lines[from..from + count]);
                }
            }
        });
    }

    /// Second pass: one block of columns of a spectrum, into the workspace's block `stream`.
    ///
    /// # Safety
    /// Nobody else may use this block of the spectrum.
    pub unsafe fn columns_forward(
        &self,
        spectrum: &Shared<Complex<T>>,
        block: usize,
        workspace: &mut Workspace<T>,
        stream: usize,
    ) {
        let Workspace {
            blocks,
            inputs,
            scratch,
            ..
        } = workspace;
        let count = self.block_columns(block);
        let (stride, first) = self.y.input_layout();
        let staged = self.y.inputs(&mut blocks[stream], inputs);
        staged[..count * stride].fill(Complex::default());
        let size = self.rows() * BLOCK;
        // SAFETY: the block is ours by the caller's promise.
        let spectrum = unsafe { spectrum.part(block * size, size) };
        for (row, values) in spectrum.chunks_exact(BLOCK).enumerate() {
            for (k, value) in values[..count].iter().enumerate() {
                staged[k * stride + first + row] = *value;
            }
        }
        self.y.forward(count, &mut blocks[stream], inputs, scratch);
    }

    /// The adjoint of the second pass: from the workspace's block `stream` to the spectrum.
    ///
    /// # Safety
    /// Nobody else may use this block of the spectrum.
    pub unsafe fn columns_adjoint(
        &self,
        spectrum: &Shared<Complex<T>>,
        block: usize,
        workspace: &mut Workspace<T>,
        stream: usize,
    ) {
        let Workspace {
            blocks,
            inputs,
            scratch,
            ..
        } = workspace;
        let count = self.block_columns(block);
        self.y.adjoint(count, &mut blocks[stream], inputs, scratch);
        let (stride, first) = self.y.input_layout();
        let results = self.y.inputs(&mut blocks[stream], inputs);
        let size = self.rows() * BLOCK;
        // SAFETY: the block is ours by the caller's promise.
        let spectrum = unsafe { spectrum.part(block * size, size) };
        for (row, values) in spectrum.chunks_exact_mut(BLOCK).enumerate() {
            for (k, value) in values[..count].iter_mut().enumerate() {
                *value = results[k * stride + first + row];
            }
        }
    }

    /// The adjoint of the first pass: from the spectrum to the field.
    pub fn rows_adjoint(
        &self,
        spectrum: &Shared<Complex<T>>,
        field: &Shared<Complex<T>>,
        workspaces: &Workspaces<T>,
    ) {
        self.for_groups(|rows| {
            let mut workspace = workspaces.mine();
            let Workspace {
                lines,
                inputs,
                scratch,
                ..
            } = &mut *workspace;
            let n = self.x.outputs;
            for (block, start) in (0..n).step_by(BLOCK).enumerate() {
                let count = self.block_columns(block);
                let at = (block * self.rows() + rows.start) * BLOCK;
                // SAFETY: each group has its own rows of every block.
                let from = unsafe { spectrum.part(at, rows.len() * BLOCK) };
                for (k, from) in from.chunks_exact(BLOCK).enumerate() {
                    let to = k * n + start;
                    lines[to..to + count].copy_from_slice(&from[..count]);
                }
            }
            self.x.adjoint(rows.len(), lines, inputs, scratch);
            let (stride, first) = self.x.input_layout();
            let results = self.x.inputs(lines, inputs);
            for (line, row) in results.chunks_exact(stride).zip(rows) {
                let (start, end) = (self.starts[row], self.starts[row + 1]);
                // SAFETY: the pixels of different rows do not overlap.
                let out = unsafe { field.part(start, end - start) };
                for (out, &column) in out.iter_mut().zip(&self.columns[start..end]) {
                    *out = line[first + column as usize];
                }
            }
        });
    }
}
