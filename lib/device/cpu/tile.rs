//! The interpreter: a region's code on one tile, an instruction at a time over the whole tile.

use super::chain::{self, Instruction, Own};
use super::elementwise::{Argument, from_slab, join, map, parts, to_slab};
use super::fourier::{Transform, Transforms};
use super::line::Scratch;
use super::reduction::{add_up, add_up_ln_1p, combine, project};
use super::register::Register;
use super::shared::Shared;
use super::vector::Batch;
use super::{Held, Prepared, Real};
use crate::device::Basis;
use crate::device::fourier::GROUP;
use crate::device::program::{Code, Operand, Program, Region, Summand};
use rustfft::num_complex::Complex;
use std::sync::{Mutex, MutexGuard};

/// What a thread needs for itself.
pub struct Workspace<T: Real> {
    /// The tile registers.
    slots: Vec<Register<T>>,
    saved: Register<T>,
    /// The state of a block of columns for every stream: forward transform `i` and adjoint `i` share one.
    pub states: Vec<Vec<Batch<T>>>,
    /// A slab of every stream, whose numbers make way for their cotangents.
    pub slabs: Vec<Vec<Batch<T>>>,
    /// The same for rows, and the inputs of rows.
    pub row_state: Vec<Batch<T>>,
    pub row_slab: Vec<Batch<T>>,
    pub inputs: Vec<Batch<T>>,
    pub scratch: Scratch<T>,
    coefficients: Vec<f64>,
    chebyshev: Vec<T>,
}

impl<T: Real> Workspace<T> {
    /// One that is large enough for every region of a program.
    fn new(program: &Program, transforms: &Transforms<T>) -> Self {
        let most = |of: fn(&Region) -> usize| program.regions().map(of).max().unwrap_or(0);
        let most_of_basis = |of: fn(&Basis) -> usize| {
            let bases = program.regions().flat_map(|r| &r.code).filter_map(|code| match code {
                Code::Combine { basis, .. } => Some(of(basis)),
                _ => None,
            });
            bases.max().unwrap_or(0)
        };
        let zeros = |of: fn(&Transform<T>) -> usize| vec![Batch::default(); transforms.largest(of)];
        let of_streams = |of| (0..most(Region::spectra)).map(|_| zeros(of)).collect();
        Workspace {
            slots: (0..most(|r| r.slots)).map(|_| Register::new()).collect(),
            saved: chain::saved(),
            states: of_streams(Transform::state_len),
            slabs: of_streams(Transform::slab_len),
            row_state: zeros(Transform::state_len),
            row_slab: zeros(Transform::slab_len),
            inputs: zeros(Transform::inputs_len),
            scratch: Scratch {
                batches: zeros(|t| t.scratch_len().0),
                numbers: vec![Complex::default(); transforms.largest(|t| t.scratch_len().1)],
            },
            coefficients: Vec::with_capacity(most_of_basis(Basis::count)),
            chebyshev: Vec::with_capacity(most_of_basis(Basis::terms)),
        }
    }
}

/// A workspace for every member of a crew.
pub struct Workspaces<T: Real>(Vec<Mutex<Workspace<T>>>);

impl<T: Real> Workspaces<T> {
    pub fn new(count: usize, program: &Program, transforms: &Transforms<T>) -> Self {
        let one = |_| Mutex::new(Workspace::new(program, transforms));
        Workspaces((0..count.max(1)).map(one).collect())
    }

    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// That of a member of the crew. (One that is late from a job with more members shares another's.) After a
    /// panic in it a register may be missing; using it panics again.
    pub fn of(&self, member: usize) -> MutexGuard<'_, Workspace<T>> {
        self.0[member % self.0.len()].lock().unwrap_or_else(|e| e.into_inner())
    }
}

/// Elements `offset..offset + len` of a region.
#[derive(Clone, Copy)]
pub struct Tile {
    pub offset: usize,
    pub len: usize,
    /// In a slab of columns: the first row and lane, and how many lanes there are.
    pub row: usize,
    pub lane: usize,
    pub width: usize,
}

/// Everything that a region reads.
pub struct Sources<'a, T> {
    pub scalars: &'a [f64],
    pub arrays: &'a [Held<T>],
    pub fields: &'a [Shared<Complex<T>>],
}

impl<'a, T: Real> Sources<'a, T> {
    #[inline(always)]
    pub fn array(&self, index: usize, tile: Tile) -> &'a [T] {
        // SAFETY: a region reads no array that it writes (asserted on loading), nor one that another region of
        // its round writes (see `rounds`).
        let values = unsafe { self.arrays[index].read() };
        &values[tile.offset..tile.offset + tile.len]
    }

    fn field(&self, index: usize, tile: Tile) -> &'a [Complex<T>] {
        // SAFETY: as for arrays.
        let values = unsafe { self.fields[index].read() };
        &values[tile.offset..tile.offset + tile.len]
    }

    /// An operand's values on a tile.
    fn argument(&self, operand: Operand, tile: Tile, slots: &'a [Register<T>]) -> Argument<'a, T> {
        match operand {
            Operand::Slot(slot) => Argument::Many(&slots[slot][..tile.len]),
            Operand::Array(array) => Argument::Many(self.array(array, tile)),
            Operand::Scalar(scalar) => Argument::One(T::of(self.scalars[scalar])),
        }
    }
}

/// Runs the region's code on one tile; results are left in the registers, and cotangents in their slabs
/// where [`is_direct`]. Meanwhile asks for the data that the code will read on a `later` tile.
pub fn run<T: Real>(
    prepared: &Prepared,
    sources: &Sources<T>,
    tile: Tile,
    later: Option<Tile>,
    workspace: &mut Workspace<T>,
) {
    let direct = is_direct::<T>(prepared, tile);
    let mut soon = later.map(|tile| (&*prepared.reads, tile));
    for instruction in &prepared.chains.instructions {
        let code = match instruction {
            Instruction::Single(code) => code,
            Instruction::Chain(links) => {
                let Workspace { slots, saved, slabs, .. } = workspace;
                let own = Own { slots, saved, slabs };
                chain::run(links, direct, sources, tile, soon.take(), own);
                continue;
            }
        };
        match code {
            Code::Map { op, a, b, out } => {
                // Taken out so that the operands can be borrowed; they are other registers.
                let mut result = std::mem::take(&mut workspace.slots[*out]);
                let a = sources.argument(*a, tile, &workspace.slots);
                let b = sources.argument(*b, tile, &workspace.slots);
                map(*op, a, b, &mut result[..tile.len]);
                workspace.slots[*out] = result;
            }
            Code::LoadField { field, re, im } => {
                split(sources.field(*field, tile), *re, *im, &mut workspace.slots);
            }
            Code::LoadStream { .. } if direct => {}
            Code::LoadStream { stream, re, im } => {
                let slots = &mut workspace.slots;
                let mut real = std::mem::take(&mut slots[*re]);
                from_slab(&workspace.slabs[*stream], tile, &mut real, &mut slots[*im]);
                slots[*re] = real;
            }
            Code::Combine { basis, coefficients, out } => {
                let mut result = std::mem::take(&mut workspace.slots[*out]);
                let out_part = &mut result[..tile.len];
                combine(
                    basis,
                    coefficients,
                    sources.scalars,
                    tile,
                    (&mut workspace.coefficients, &mut workspace.chebyshev),
                    out_part,
                );
                workspace.slots[*out] = result;
            }
        }
    }
}

/// Whether the code reads and writes slabs where they lie: 64 bytes are a row of the tile, or two.
pub fn is_direct<T: Real>(prepared: &Prepared, tile: Tile) -> bool {
    let whole = tile.width == GROUP && tile.len.is_multiple_of(T::LANES);
    prepared.chains.direct && whole && (T::LANES == GROUP || T::LANES == 2 * GROUP)
}

fn split<T: Real>(values: &[Complex<T>], re: usize, im: usize, slots: &mut [Register<T>]) {
    let mut real = std::mem::take(&mut slots[re]);
    let imaginary = &mut slots[im][..values.len()];
    parts(values, &mut real[..values.len()], imaginary);
    slots[re] = real;
}

/// Copies a real result out of its register.
pub fn copy_real<T: Real>(
    source: Operand,
    sources: &Sources<T>,
    tile: Tile,
    workspace: &Workspace<T>,
    out: &mut [T],
) {
    match sources.argument(source, tile, &workspace.slots) {
        Argument::One(value) => out.fill(value),
        Argument::Many(values) => out.copy_from_slice(values),
    }
}

/// Copies a complex result out of two registers.
pub fn copy_complex<T: Real>(
    re: Operand,
    im: Operand,
    sources: &Sources<T>,
    tile: Tile,
    workspace: &Workspace<T>,
    out: &mut [Complex<T>],
) {
    let re = sources.argument(re, tile, &workspace.slots);
    join(re, sources.argument(im, tile, &workspace.slots), out);
}

/// Hands the cotangents of a tile to the slab of `stream`.
pub fn copy_to_slab<T: Real>(
    re: Operand,
    im: Operand,
    sources: &Sources<T>,
    tile: Tile,
    workspace: &mut Workspace<T>,
    stream: usize,
) {
    let Workspace { slots, slabs, .. } = workspace;
    let (re, im) = (sources.argument(re, tile, slots), sources.argument(im, tile, slots));
    to_slab(re, im, tile, &mut slabs[stream]);
}

/// The sums of a tile, in `f64`: those of single results first, then the projections.
pub fn sums<T: Real>(
    region: &Region,
    sources: &Sources<T>,
    tile: Tile,
    workspace: &Workspace<T>,
    out: &mut [f64],
) {
    let (single, mut rest) = out.split_at_mut(region.sums.len());
    for (total, sum) in single.iter_mut().zip(&region.sums) {
        let values = sources.argument(sum.source, tile, &workspace.slots);
        match (values, sum.summand) {
            (Argument::One(value), Summand::Itself) => *total = value.in_f64() * tile.len as f64,
            (Argument::One(x), Summand::Ln1p) => *total = x.in_f64().ln_1p() * tile.len as f64,
            (Argument::Many(values), Summand::Itself) => add_up(values, total),
            (Argument::Many(values), Summand::Ln1p) => add_up_ln_1p(values, total),
        }
    }
    for projection in &region.projections {
        let (these, others) = rest.split_at_mut(projection.sums.len());
        let values = sources.argument(projection.source, tile, &workspace.slots);
        project(&projection.basis, values, tile, these);
        rest = others;
    }
}
