//! The Fourier transform in three passes: rows that hold pixels, then blocks of columns (between
//! which a region may run), and rows again for the adjoint.

use super::Real;
use super::disjoint::Disjoint;
use super::tile::{Workspace, lock};
use crate::device::fourier::{Axis, Fourier};
use rayon::prelude::*;
use rustfft::num_complex::Complex;
use rustfft::{Fft, FftPlanner};
use std::sync::{Arc, Mutex};

/// Columns that are transformed together: their part of a row is a cache line or two.
pub const BLOCK: usize = 8;

/// One axis, prepared.
enum Kernel<T> {
    Fft {
        forward: Arc<dyn Fft<T>>,
        inverse: Arc<dyn Fft<T>>,
        points: usize,
    },
    /// `[pixel][frequency]`
    Matrix {
        values: Vec<Complex<T>>,
        outputs: usize,
    },
}

impl<T: Real> Kernel<T> {
    fn new(axis: &Axis) -> Self {
        match axis {
            Axis::Fft { points } => {
                let mut planner = FftPlanner::new();
                Kernel::Fft {
                    forward: planner.plan_fft_forward(*points),
                    inverse: planner.plan_fft_inverse(*points),
                    points: *points,
                }
            }
            Axis::Matrix(kernel) => Kernel::Matrix {
                values: kernel
                    .t()
                    .iter()
                    .map(|z| Complex::new(T::of(z.re), T::of(z.im)))
                    .collect(),
                outputs: kernel.nrows(),
            },
        }
    }

    fn scratch(&self) -> usize {
        match self {
            Kernel::Fft {
                forward,
                inverse,
                points,
            } => {
                let scratch = forward
                    .get_inplace_scratch_len()
                    .max(inverse.get_inplace_scratch_len());
                scratch.max(*points)
            }
            Kernel::Matrix { .. } => 0,
        }
    }

    /// `out[f] = sum kernel[f, pixel] value`
    fn forward(
        &self,
        input: impl Iterator<Item = (usize, Complex<T>)>,
        out: &mut [Complex<T>],
        scratch: &mut [Complex<T>],
    ) {
        out.fill(Complex::default());
        match self {
            Kernel::Fft { forward, .. } => {
                input.for_each(|(pixel, value)| out[pixel] = value);
                let need = forward.get_inplace_scratch_len();
                forward.process_with_scratch(out, &mut scratch[..need]);
            }
            Kernel::Matrix { values, outputs } => {
                for (pixel, value) in input {
                    let kernel = &values[pixel * outputs..(pixel + 1) * outputs];
                    for (out, k) in out.iter_mut().zip(kernel) {
                        *out = Complex::new(
                            out.re + (k.re * value.re - k.im * value.im),
                            out.im + (k.re * value.im + k.im * value.re),
                        );
                    }
                }
            }
        }
    }

    /// `out(pixel) = sum conj(kernel[f, pixel]) input[f]`; `input` may be overwritten.
    fn adjoint(
        &self,
        input: &mut [Complex<T>],
        pixels: impl Iterator<Item = usize>,
        scratch: &mut [Complex<T>],
        mut out: impl FnMut(Complex<T>),
    ) {
        match self {
            Kernel::Fft { inverse, .. } => {
                let need = inverse.get_inplace_scratch_len();
                inverse.process_with_scratch(input, &mut scratch[..need]);
                pixels.for_each(|pixel| out(input[pixel]));
            }
            Kernel::Matrix { values, outputs } => {
                for pixel in pixels {
                    let kernel = &values[pixel * outputs..(pixel + 1) * outputs];
                    // Four lanes, always the same ones.
                    let mut lanes = [Complex::<T>::default(); 4];
                    for (k, z) in kernel.chunks(4).zip(input.chunks(4)) {
                        for ((lane, k), z) in lanes.iter_mut().zip(k).zip(z) {
                            *lane = Complex::new(
                                lane.re + (k.re * z.re + k.im * z.im),
                                lane.im + (k.re * z.im - k.im * z.re),
                            );
                        }
                    }
                    out((lanes[0] + lanes[1]) + (lanes[2] + lanes[3]));
                }
            }
        }
    }
}

/// A transform, prepared for one precision.
pub struct Transform<T: Real> {
    x: Kernel<T>,
    y: Kernel<T>,
    nx: usize,
    ny: usize,
    /// The grid row of every row that holds pixels, and where its pixels start; one more start.
    rows: Vec<u32>,
    starts: Vec<usize>,
    columns: Vec<u32>,
}

impl<T: Real> Transform<T> {
    pub fn new(fourier: &Fourier) -> Self {
        let (mut rows, mut starts) = (Vec::new(), Vec::new());
        for (i, &(row, _)) in fourier.pixels().iter().enumerate() {
            if rows.last() != Some(&row) {
                rows.push(row);
                starts.push(i);
            }
        }
        starts.push(fourier.pixels().len());
        Transform {
            x: Kernel::new(&fourier.x),
            y: Kernel::new(&fourier.y),
            nx: fourier.x.outputs(),
            ny: fourier.y.outputs(),
            rows,
            starts,
            columns: fourier.pixels().iter().map(|p| p.1).collect(),
        }
    }

    /// The number of outputs along y: a column.
    pub fn column_len(&self) -> usize {
        self.ny
    }

    pub fn scratch_len(&self) -> usize {
        self.x
            .scratch()
            .max(self.y.scratch())
            .max(self.nx)
            .max(self.ny)
    }

    /// The length of a row spectrum, whichever way it is laid out.
    pub fn spectrum_len(&self) -> usize {
        self.rows.len() * self.nx.div_ceil(BLOCK) * BLOCK
    }

    /// First pass: the spectrum `[row][x frequency]` of every row that holds pixels.
    pub fn rows(
        &self,
        field: &[Complex<T>],
        spectrum: &mut [Complex<T>],
        workspaces: &[Mutex<Workspace<T>>],
    ) {
        let one = |(row, out): (usize, &mut [Complex<T>])| {
            let index = rayon::current_thread_index().unwrap_or(0) % workspaces.len();
            let mut workspace = lock(&workspaces[index]);
            let range = self.starts[row]..self.starts[row + 1];
            let pixels = self.columns[range.clone()].iter().map(|&c| c as usize);
            let input = pixels.zip(field[range].iter().copied());
            self.x.forward(input, out, &mut workspace.scratch);
        };
        let rows = &mut spectrum[..self.rows.len() * self.nx];
        if self.nx * self.rows.len() < 2048 {
            rows.chunks_mut(self.nx).enumerate().for_each(one);
        } else {
            rows.par_chunks_mut(self.nx).enumerate().for_each(one);
        }
    }

    /// The columns of a block.
    fn block_columns(&self, block: usize) -> std::ops::Range<usize> {
        block * BLOCK..((block + 1) * BLOCK).min(self.nx)
    }

    /// Second pass: one block of columns, into the workspace's block `stream`.
    pub fn columns(
        &self,
        spectrum: &[Complex<T>],
        block: usize,
        workspace: &mut Workspace<T>,
        stream: usize,
    ) {
        let Workspace {
            blocks, scratch, ..
        } = workspace;
        for (k, column) in self.block_columns(block).enumerate() {
            let out = &mut blocks[stream][k * self.ny..(k + 1) * self.ny];
            let values = self.rows.iter().enumerate();
            let input = values.map(|(i, &row)| (row as usize, spectrum[i * self.nx + column]));
            self.y.forward(input, out, scratch);
        }
    }

    /// The part of an adjoint spectrum, `[block][column][row]`, that one block writes.
    ///
    /// # Safety
    /// Each block may be asked for once at a time.
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn block_of<'s>(
        &self,
        spectrum: &'s Disjoint<Complex<T>>,
        block: usize,
    ) -> &'s mut [Complex<T>] {
        let size = self.rows.len() * BLOCK;
        // SAFETY: blocks do not overlap, and the caller asks for each once.
        unsafe { spectrum.slice(block * size, size) }
    }

    /// The adjoint of the second pass: from the workspace's block `stream` to the spectrum.
    pub fn columns_adjoint(
        &self,
        out: &mut [Complex<T>],
        block: usize,
        workspace: &mut Workspace<T>,
        stream: usize,
    ) {
        let Workspace {
            blocks, scratch, ..
        } = workspace;
        for (k, _) in self.block_columns(block).enumerate() {
            let input = &mut blocks[stream][k * self.ny..(k + 1) * self.ny];
            let mut out = out[k * self.rows.len()..(k + 1) * self.rows.len()].iter_mut();
            let rows = self.rows.iter().map(|&row| row as usize);
            self.y.adjoint(input, rows, scratch, |value| {
                if let Some(out) = out.next() {
                    *out = value;
                }
            });
        }
    }

    /// The adjoint of the first pass: from the spectrum to the field.
    pub fn rows_adjoint(
        &self,
        spectrum: &[Complex<T>],
        field: &mut [Complex<T>],
        workspaces: &[Mutex<Workspace<T>>],
    ) {
        let field = Disjoint::new(field);
        let one = |row: usize| {
            let index = rayon::current_thread_index().unwrap_or(0) % workspaces.len();
            let mut workspace = lock(&workspaces[index]);
            let Workspace {
                column, scratch, ..
            } = &mut *workspace;
            let size = self.rows.len() * BLOCK;
            for (u, value) in column[..self.nx].iter_mut().enumerate() {
                *value = spectrum[u / BLOCK * size + u % BLOCK * self.rows.len() + row];
            }
            let (start, end) = (self.starts[row], self.starts[row + 1]);
            // SAFETY: the pixels of different rows do not overlap.
            let mut out = unsafe { field.slice(start, end - start) }.iter_mut();
            let pixels = self.columns[start..end].iter().map(|&c| c as usize);
            self.x
                .adjoint(&mut column[..self.nx], pixels, scratch, |value| {
                    if let Some(out) = out.next() {
                        *out = value;
                    }
                });
        };
        if self.nx * self.rows.len() < 2048 {
            (0..self.rows.len()).for_each(one);
        } else {
            (0..self.rows.len()).into_par_iter().for_each(one);
        }
    }
}
