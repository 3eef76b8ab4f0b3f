//! The Fourier transform in three passes: rows that hold pixels, then blocks of columns (between
//! which a region may run), and rows again for the adjoint.
//!
//! ```text
//! field        the pixels, one after the other
//!   | rows_forward: a *group* of `LANES` rows at a time, a row a lane
//! spectrum     [block][row], each entry a `Batch`: the same row of `LANES` neighbouring columns
//!   | columns_begin: the first step of the transform of one *block*, a column a lane
//! state        [k1][n2]: what the first step makes of the block
//!   | columns_forward: the second step, for one *slab* (one or more *parts*, at most some 64 rows)
//! slab         [row], rows in the order in which the parts have them
//!   | the region's code, a *tile* of the slab at a time; cotangents take the numbers' place
//! slab -> columns_adjoint -> state -> columns_end -> spectrum -> rows_adjoint -> field
//! ```
//!
//! What the steps and parts of a line are is told in [`super::fft`]; [`super::line`] hides whether a line has
//! them. A block's spectrum is read before the adjoint's is written, so one buffer serves both. Adjoint
//! numbers, and those of a slab, have their real and imaginary parts exchanged (see [`super::fft`]).

use super::Real;
use super::line::Line;
use super::shared::Shared;
use super::tile::Workspace;
use super::transpose::transpose;
use super::vector::Batch;
use crate::device::fourier::Fourier;
use crate::device::program::{Program, Region, Stream};
use rustfft::num_complex::Complex;
use std::ops::Range;
use std::sync::Arc;

/// The transforms of a program, found by the address of what they were made from.
pub struct Transforms<T: Real>(Vec<(Arc<Fourier>, Transform<T>)>);

impl<T: Real> Transforms<T> {
    pub fn new(program: &Program) -> Self {
        let mut all = Transforms(Vec::new());
        for stream in program.regions().flat_map(Region::streams) {
            if all.find(&stream.transform).is_none() {
                all.0.push((stream.transform.clone(), Transform::new(&stream.transform)));
            }
        }
        all
    }

    fn find(&self, wanted: &Arc<Fourier>) -> Option<&Transform<T>> {
        self.0.iter().find(|t| Arc::ptr_eq(&t.0, wanted)).map(|t| &t.1)
    }

    pub fn of(&self, stream: &Stream) -> &Transform<T> {
        self.find(&stream.transform).expect("every transform was prepared at loading")
    }

    /// That of a region's first stream; all of them have the same shape.
    pub fn of_region(&self, region: &Region) -> Option<&Transform<T>> {
        region.streams().next().map(|stream| self.of(stream))
    }

    /// The largest of some length of each.
    pub fn largest(&self, of: impl Fn(&Transform<T>) -> usize) -> usize {
        self.0.iter().map(|t| of(&t.1)).max().unwrap_or(0)
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
        let (rows, columns) = fourier.used();
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

    /// Outputs along x and y.
    pub fn outputs(&self) -> (usize, usize) {
        (self.x.outputs, self.y.outputs)
    }

    /// The number of blocks of columns.
    pub fn blocks(&self) -> usize {
        self.x.outputs.div_ceil(T::LANES)
    }

    /// The rows of every column, in the slabs in which they are made.
    pub fn slabs(&self) -> impl Iterator<Item = Range<usize>> {
        (0..self.y.slabs()).map(|slab| self.y.range(slab))
    }

    /// What two transforms need to have in common to share a spectrum and a state.
    pub fn shape(&self) -> (usize, usize, (usize, usize, u8)) {
        (self.rows(), self.x.outputs, self.y.shape())
    }

    pub fn state_len(&self) -> usize {
        self.x.state_len().max(self.y.state_len())
    }

    /// The largest slab. That of a row has what was left over of the one before.
    pub fn slab_len(&self) -> usize {
        (self.x.slab + T::LANES).next_multiple_of(T::LANES).max(self.y.slab)
    }

    pub fn inputs_len(&self) -> usize {
        self.x.used.len()
    }

    pub fn scratch_len(&self) -> (usize, usize) {
        let (x, y) = (self.x.scratch_len(), self.y.scratch_len());
        (x.0.max(y.0), x.1.max(y.1))
    }

    /// The length of a spectrum.
    pub fn spectrum_len(&self) -> usize {
        self.rows() * self.blocks()
    }

    fn rows(&self) -> usize {
        self.starts.len() - 1
    }

    /// The number of groups of rows, a row a lane.
    pub fn groups(&self) -> usize {
        self.rows().div_ceil(T::LANES)
    }

    fn rows_of(&self, group: usize) -> Range<usize> {
        group * T::LANES..((group + 1) * T::LANES).min(self.rows())
    }

    /// Calls `one` with the start of every block of the spectrum that begins in a range of outputs.
    fn each_block(&self, outputs: &Range<usize>, one: impl Fn(usize)) {
        let blocks = outputs.start.div_ceil(T::LANES)..outputs.end.div_ceil(T::LANES);
        blocks.for_each(|block| one(block * self.rows()));
    }

    /// First pass: the spectrum of every row of a group.
    ///
    /// # Safety
    /// Nobody else may use these rows of the spectrum.
    pub unsafe fn rows_forward(
        &self,
        group: usize,
        field: &[Complex<T>],
        spectrum: &Shared<Batch<T>>,
        workspace: &mut Workspace<T>,
    ) {
        let rows = self.rows_of(group);
        let Workspace { row_state: state, row_slab: line, inputs, scratch, .. } = workspace;
        let inputs = &mut inputs[..self.x.used.len()];
        inputs.fill(Batch::default());
        for (lane, row) in rows.clone().enumerate() {
            let range = self.starts[row]..self.starts[row + 1];
            for (&column, &value) in self.columns[range.clone()].iter().zip(&field[range]) {
                inputs[column as usize].set(lane, value);
            }
        }
        self.x.begin(inputs, state, scratch);
        // The line holds outputs from `transposed` on, which is the start of a block.
        let mut transposed = 0;
        for slab in 0..self.x.slabs() {
            let range = self.x.range(slab);
            self.each_block(&range, |at| spectrum.prefetch(at + rows.start, rows.len()));
            self.x.forward(slab, state, &mut line[range.start - transposed..], scratch);
            let ready = match range.end == self.x.outputs {
                true => range.end,
                false => range.end / T::LANES * T::LANES,
            };
            let done = ready - transposed;
            for lines in line[..done].chunks(T::LANES) {
                let at = transposed / T::LANES * self.rows() + rows.start;
                // SAFETY: the rows are ours by the caller's promise.
                transpose(lines, true, unsafe { spectrum.part(at, rows.len()) });
                transposed += lines.len();
            }
            line.copy_within(done..done + range.end - ready, 0);
        }
    }

    /// Second pass, first step: takes one block of columns of a spectrum.
    ///
    /// # Safety
    /// Nobody else may use this block of the spectrum.
    pub unsafe fn columns_begin(
        &self,
        spectrum: &Shared<Batch<T>>,
        block: usize,
        workspace: &mut Workspace<T>,
        stream: usize,
    ) {
        let Workspace { states, scratch, .. } = workspace;
        // SAFETY: the block is ours by the caller's promise.
        let input = unsafe { spectrum.part(block * self.rows(), self.rows()) };
        self.y.begin(input, &mut states[stream], scratch);
    }

    /// Where there is no forward transform to begin with.
    pub fn columns_begin_adjoint(&self, workspace: &mut Workspace<T>, stream: usize) {
        self.y.begin_adjoint(&mut workspace.states[stream]);
    }

    /// Second step: one slab, of rows of the block.
    pub fn columns_forward(&self, slab: usize, workspace: &mut Workspace<T>, stream: usize) {
        let Workspace { states, slabs, scratch, .. } = workspace;
        self.y.forward(slab, &states[stream], &mut slabs[stream], scratch);
    }

    /// The adjoint of the second step.
    pub fn columns_adjoint(&self, slab: usize, workspace: &mut Workspace<T>, stream: usize) {
        let Workspace { states, slabs, scratch, .. } = workspace;
        self.y.adjoint(slab, &mut slabs[stream], &mut states[stream], scratch);
    }

    /// The adjoint of the first step: gives the block of a spectrum.
    ///
    /// # Safety
    /// Nobody else may use this block of the spectrum.
    pub unsafe fn columns_end(
        &self,
        spectrum: &Shared<Batch<T>>,
        block: usize,
        workspace: &mut Workspace<T>,
        stream: usize,
    ) {
        let Workspace { states, scratch, .. } = workspace;
        // SAFETY: the block is ours by the caller's promise.
        let out = unsafe { spectrum.part(block * self.rows(), self.rows()) };
        self.y.end(&states[stream], out, scratch);
    }

    /// The adjoint of the first pass for a group of rows: from the spectrum to the field.
    ///
    /// # Safety
    /// Nobody else may use these rows of the spectrum and their pixels of the field.
    pub unsafe fn rows_adjoint(
        &self,
        group: usize,
        spectrum: &Shared<Batch<T>>,
        field: &Shared<Complex<T>>,
        workspace: &mut Workspace<T>,
    ) {
        let rows = self.rows_of(group);
        let Workspace { row_state: state, row_slab: line, inputs, scratch, .. } = workspace;
        self.x.begin_adjoint(state);
        // The line holds outputs from the start of the slab to `transposed`.
        let mut transposed = 0;
        for slab in 0..self.x.slabs() {
            let range = self.x.range(slab);
            while transposed < range.end {
                let at = transposed / T::LANES * self.rows() + rows.start;
                let to = transposed - range.start;
                let lanes = T::LANES.min(self.x.outputs - transposed);
                // SAFETY: the rows are ours by the caller's promise.
                let from = unsafe { spectrum.part(at, rows.len()) };
                transpose(from, false, &mut line[to..to + lanes]);
                transposed += lanes;
            }
            if slab + 1 < self.x.slabs() {
                let next = self.x.range(slab + 1);
                self.each_block(&next, |at| spectrum.prefetch(at + rows.start, rows.len()));
            }
            self.x.adjoint(slab, line, state, scratch);
            line.copy_within(range.len()..transposed - range.start, 0);
        }
        let results = &mut inputs[..self.x.used.len()];
        self.x.end(state, results, scratch);
        for (lane, row) in rows.enumerate() {
            let (start, end) = (self.starts[row], self.starts[row + 1]);
            // SAFETY: the pixels of these rows are ours by the caller's promise.
            let out = unsafe { field.part(start, end - start) };
            for (out, &column) in out.iter_mut().zip(&self.columns[start..end]) {
                let z = results[column as usize].get(lane);
                *out = Complex::new(z.im, z.re);
            }
        }
    }
}
