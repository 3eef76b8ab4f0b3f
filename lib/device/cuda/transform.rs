//! A Fourier transform as commands: pixels are scattered to their rows, rows transformed, then columns;
//! the adjoint goes the other way.
//!
//! All of it happens in one *plane* `[frequency along y][frequency along x]`, of which only the rows that
//! hold pixels are transformed along x. Where an axis is a matrix, what lies before it has a buffer of its
//! own.

use super::memory::{Content, Memory, Place};
use super::order::Layout;
use super::schedule::{Command, FftPlan, Schedule};
use super::source::{Argument, BLOCK};
use crate::device::fourier::{Axis, Fourier};
use num_complex::Complex64;
use std::ops::Range;

/// Numbers a side of what a block of the product of matrices computes, as in `kernels.cu`.
const TILE: usize = 32;

/// One axis.
enum Line {
    /// The number of a plan.
    Fft(usize),
    /// `kernel[output][used input]`
    Matrix(Place),
}

/// A transform, prepared.
pub struct Transform {
    x: Line,
    y: Line,
    /// Rows in use, and columns.
    rows: Range<usize>,
    columns: Range<usize>,
    nx: usize,
    ny: usize,
    /// Of every pixel in the rows before the transform along x.
    places: Place,
    pixels: usize,
    layout: Layout,
}

impl Transform {
    /// Prepares `fourier`, writing what it needs into `schedule`.
    pub fn new(fourier: &Fourier, schedule: &mut Schedule) -> Self {
        let pixels = fourier.pixels();
        let (rows, columns) = fourier.used();
        let (nx, ny) = (fourier.x.outputs(), fourier.y.outputs());
        let (width, first) = match fourier.x {
            Axis::Fft { points } => (points, 0),
            Axis::Matrix(_) => (columns.len(), columns.start),
        };
        let place = |&(row, column): &(u32, u32)| {
            ((row as usize - rows.start) * width + column as usize - first) as i32
        };
        let places = Content::Integers(pixels.iter().map(place).collect());
        let places = schedule.memory.content(places);
        let mut line = |axis: &Axis, used: &Range<usize>, plan: FftPlan| match axis {
            Axis::Fft { .. } => Line::Fft(schedule.plan(plan)),
            Axis::Matrix(kernel) => {
                let used = kernel.slice(ndarray::s![.., used.clone()]);
                let values: Vec<Complex64> = used.iter().copied().collect();
                Line::Matrix(schedule.memory.content(Content::Complexes(values)))
            }
        };
        let along_x = FftPlan { points: nx, stride: 1, distance: nx, batch: rows.len() };
        let along_y = FftPlan { points: ny, stride: nx, distance: 1, batch: nx };
        Transform {
            x: line(&fourier.x, &columns, along_x),
            y: line(&fourier.y, &rows, along_y),
            rows,
            columns,
            nx,
            ny,
            places,
            pixels: pixels.len(),
            layout: Layout::of(fourier),
        }
    }

    /// The order of the outputs.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// A plane for this step.
    pub fn plane(&self, memory: &mut Memory) -> Place {
        memory.scratch(memory.reals(2 * self.nx * self.ny))
    }

    /// Where the rows lie, before and after the transform along x.
    fn buffers(&self, plane: Place, memory: &mut Memory) -> (Place, Place) {
        let rows = self.rows.len();
        let middle = match self.y {
            Line::Fft(_) => plane.after(memory.reals(2 * self.rows.start * self.nx)),
            Line::Matrix(_) => memory.scratch(memory.reals(2 * rows * self.nx)),
        };
        let lines = match self.x {
            Line::Fft(_) => middle,
            Line::Matrix(_) => memory.scratch(memory.reals(2 * rows * self.columns.len())),
        };
        (lines, middle)
    }

    /// From `field` to `plane`.
    pub fn forward(&self, field: Place, plane: Place, schedule: &mut Schedule) {
        let (lines, middle) = self.buffers(plane, &mut schedule.memory);
        let size = |count: usize| schedule.memory.reals(2 * count);
        let (rows, columns) = (self.rows.len(), self.columns.len());
        let whole = size(self.nx * self.ny);
        let (fft_x, fft_y) = (matches!(self.x, Line::Fft(_)), matches!(self.y, Line::Fft(_)));
        let of_lines = size(rows * if fft_x { self.nx } else { columns });
        let mut zero = |at, bytes| schedule.commands.push(Command::Zero { at, bytes });
        if fft_y {
            zero(plane, whole);
        }
        // (The lines of two Fourier transforms lie in the plane.)
        if !(fft_x && fft_y) {
            zero(lines, of_lines);
        }
        self.move_pixels("scatter", lines, field, schedule);
        match self.x {
            Line::Fft(plan) => {
                schedule.commands.push(Command::Fft { plan, at: middle, inverse: false });
            }
            // middle[row][a] = sum lines[row][column] kernel[a][column]
            Line::Matrix(kernel) => schedule.product(
                middle,
                Factor { at: lines, strides: (columns, 1), conjugate: false },
                Factor { at: kernel, strides: (1, columns), conjugate: false },
                (rows, self.nx, columns),
            ),
        }
        match self.y {
            Line::Fft(plan) => {
                schedule.commands.push(Command::Fft { plan, at: plane, inverse: false });
            }
            // plane[b][a] = sum kernel[b][row] middle[row][a]
            Line::Matrix(kernel) => schedule.product(
                plane,
                Factor { at: kernel, strides: (rows, 1), conjugate: false },
                Factor { at: middle, strides: (self.nx, 1), conjugate: false },
                (self.ny, self.nx, rows),
            ),
        }
    }

    /// From `plane` to `field`.
    pub fn adjoint(&self, plane: Place, field: Place, schedule: &mut Schedule) {
        let (lines, middle) = self.buffers(plane, &mut schedule.memory);
        let (rows, columns) = (self.rows.len(), self.columns.len());
        match self.y {
            Line::Fft(plan) => {
                schedule.commands.push(Command::Fft { plan, at: plane, inverse: true });
            }
            // middle[row][a] = sum conj(kernel[b][row]) plane[b][a]
            Line::Matrix(kernel) => schedule.product(
                middle,
                Factor { at: kernel, strides: (1, rows), conjugate: true },
                Factor { at: plane, strides: (self.nx, 1), conjugate: false },
                (rows, self.nx, self.ny),
            ),
        }
        match self.x {
            Line::Fft(plan) => {
                schedule.commands.push(Command::Fft { plan, at: middle, inverse: true });
            }
            // lines[row][column] = sum middle[row][a] conj(kernel[a][column])
            Line::Matrix(kernel) => schedule.product(
                lines,
                Factor { at: middle, strides: (self.nx, 1), conjugate: false },
                Factor { at: kernel, strides: (columns, 1), conjugate: true },
                (rows, columns, self.nx),
            ),
        }
        self.move_pixels("gather", field, lines, schedule);
    }

    fn move_pixels(&self, kernel: &'static str, to: Place, from: Place, schedule: &mut Schedule) {
        schedule.launch(
            kernel,
            self.pixels.div_ceil(BLOCK),
            vec![
                Argument::At(to),
                Argument::At(from),
                Argument::At(self.places),
                Argument::Integer(self.pixels as i32),
            ],
        );
    }
}

/// A factor of a product of matrices.
#[derive(Clone, Copy)]
struct Factor {
    at: Place,
    /// From row to row, and from column to column.
    strides: (usize, usize),
    conjugate: bool,
}

impl Schedule {
    /// `c = a b`; its `size` is its rows, its columns, and the numbers summed over.
    fn product(&mut self, c: Place, a: Factor, b: Factor, size: (usize, usize, usize)) {
        let mut arguments = vec![Argument::At(c)];
        for factor in [a, b] {
            arguments.push(Argument::At(factor.at));
            let (rows, columns) = factor.strides;
            let numbers = [rows, columns, factor.conjugate.into()];
            arguments.extend(numbers.map(|n| Argument::Integer(n as i32)));
        }
        let (rows, columns, inner) = size;
        arguments.extend([rows, columns, inner].map(|n| Argument::Integer(n as i32)));
        self.launch("matmul", rows.div_ceil(TILE) * columns.div_ceil(TILE), arguments);
    }
}
