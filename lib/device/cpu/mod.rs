//! Runs programs on the cores of this machine.
//!
//! Work is cut into tiles of a fixed size, which threads share; sums are kept a tile and added in
//! order at the end, so a result is the same to the last bit whatever the number of threads. Buffers
//! are allocated when a program is loaded, not when it runs.

mod disjoint;
mod fourier;
mod tile;

use super::program::{Array, Operand, Program, Region, Step};
use super::{Executable, Fourier};
use disjoint::Disjoint;
use fourier::{BLOCK, Transform};
use rayon::prelude::*;
use rustfft::FftNum;
use rustfft::num_complex::Complex;
use rustfft::num_traits::Float;
use std::sync::{Arc, Mutex};
use tile::{Sources, Tile, Workspace};

/// The number of elements that are worked on together: a few registers of them fit the first cache.
pub const TILE: usize = 512;

/// A floating-point type that arrays can be made of.
pub trait Real: FftNum + Float + Default {
    fn of(value: f64) -> Self;
    fn wide(self) -> f64;
    /// Data in this type; shared where it is that already.
    fn adopt(values: &Arc<[f64]>) -> Arc<[Self]>;
}

impl Real for f64 {
    fn of(value: f64) -> Self {
        value
    }
    fn wide(self) -> f64 {
        self
    }
    fn adopt(values: &Arc<[f64]>) -> Arc<[Self]> {
        values.clone()
    }
}

impl Real for f32 {
    fn of(value: f64) -> Self {
        value as f32
    }
    fn wide(self) -> f64 {
        self.into()
    }
    fn adopt(values: &Arc<[f64]>) -> Arc<[Self]> {
        values.iter().map(|&v| v as f32).collect()
    }
}

/// A real array as it is held.
enum Held<T> {
    Data(Arc<[T]>),
    Work(Vec<T>),
}

impl<T> Held<T> {
    fn slice(&self) -> &[T] {
        match self {
            Held::Data(values) => values,
            Held::Work(values) => values,
        }
    }
}

/// A loaded program.
pub struct Cpu<T: Real> {
    program: Program,
    scalars: Vec<f64>,
    arrays: Vec<Held<T>>,
    fields: Vec<Vec<Complex<T>>>,
    /// Prepared transforms, found by the address of what they were made from.
    transforms: Vec<(Arc<Fourier>, Transform<T>)>,
    /// Row spectra, two for every stream of the region that has most.
    spectra: Vec<Vec<Complex<T>>>,
    /// One row of sums a tile.
    partials: Vec<f64>,
    workspaces: Vec<Mutex<Workspace<T>>>,
}

impl<T: Real> Cpu<T> {
    /// Loads a program: prepares its transforms and allocates all that it needs.
    pub fn new(program: Program) -> Self {
        let regions = || {
            program.steps.iter().filter_map(|step| match step {
                Step::Region(region) => Some(region),
                Step::Scalars(_) => None,
            })
        };
        let mut transforms: Vec<(Arc<Fourier>, Transform<T>)> = Vec::new();
        for stream in regions().flat_map(|r| r.forward.iter().chain(&r.adjoint)) {
            if !transforms
                .iter()
                .any(|t| Arc::ptr_eq(&t.0, &stream.transform))
            {
                let prepared = Transform::new(&stream.transform);
                transforms.push((stream.transform.clone(), prepared));
            }
        }
        let spectrum = transforms
            .iter()
            .map(|t| t.1.spectrum_len())
            .max()
            .unwrap_or(0);
        let streams = regions().map(|r| r.forward.len() + r.adjoint.len()).max();
        let partials = regions()
            .map(|r| tiles(r, &transforms).count * r.sum_count())
            .max();
        let slots = regions().map(|r| r.slots).max().unwrap_or(0);
        let columns = transforms
            .iter()
            .map(|t| t.1.column_len())
            .max()
            .unwrap_or(0);
        let scratch = transforms
            .iter()
            .map(|t| t.1.scratch_len())
            .max()
            .unwrap_or(0);
        let blocks = streams.unwrap_or(0);
        let arrays = program
            .arrays
            .iter()
            .map(|array| match array {
                Array::Data(values) => Held::Data(T::adopt(values)),
                Array::Work(len) => Held::Work(vec![T::zero(); *len]),
            })
            .collect();
        Cpu {
            scalars: program.scalars.clone(),
            arrays,
            fields: program
                .fields
                .iter()
                .map(|&n| vec![Complex::default(); n])
                .collect(),
            spectra: (0..blocks)
                .map(|_| vec![Complex::default(); spectrum])
                .collect(),
            partials: vec![0.0; partials.unwrap_or(0)],
            workspaces: (0..rayon::current_num_threads())
                .map(|_| Mutex::new(Workspace::new(slots, blocks, columns * BLOCK, scratch)))
                .collect(),
            transforms,
            program,
        }
    }

    fn run_region(&mut self, region: &Region) {
        let layout = tiles(region, &self.transforms);
        let find = |wanted: &Arc<Fourier>| {
            let found = self.transforms.iter().find(|t| Arc::ptr_eq(&t.0, wanted));
            &found.expect("every transform was prepared at loading").1
        };
        // First pass of every forward transform: the rows.
        let (forward_spectra, adjoint_spectra) = self.spectra.split_at_mut(region.forward.len());
        for (stream, spectrum) in region.forward.iter().zip(forward_spectra.iter_mut()) {
            let field = &self.fields[stream.field];
            find(&stream.transform).rows(field, spectrum, &self.workspaces);
        }
        let sums = region.sum_count();
        let mut stores: Vec<Vec<T>> = Vec::new();
        // Taken out while the region runs: a region never reads what it stores.
        for &(_, array) in &region.stores {
            if let Held::Work(values) = &mut self.arrays[array] {
                stores.push(std::mem::take(values));
            }
        }
        let mut field_stores: Vec<Vec<Complex<T>>> = region
            .field_stores
            .iter()
            .map(|&(.., field)| std::mem::take(&mut self.fields[field]))
            .collect();
        {
            let sources = Sources {
                scalars: &self.scalars,
                arrays: &self.arrays,
                fields: &self.fields,
            };
            let stores: Vec<_> = stores.iter_mut().map(|s| Disjoint::new(s)).collect();
            let field_stores: Vec<_> = field_stores.iter_mut().map(|s| Disjoint::new(s)).collect();
            let partials = Disjoint::new(&mut self.partials);
            let forward: Vec<_> = region.forward.iter().map(|s| find(&s.transform)).collect();
            let adjoint: Vec<_> = region.adjoint.iter().map(|s| find(&s.transform)).collect();
            let forward_spectra: Vec<_> = forward_spectra.iter().map(|s| s.as_slice()).collect();
            let adjoint_spectra: Vec<_> = adjoint_spectra
                .iter_mut()
                .map(|s| Disjoint::new(s))
                .collect();
            let one_block = |block: usize| {
                let index = rayon::current_thread_index().unwrap_or(0) % self.workspaces.len();
                let mut workspace = tile::lock(&self.workspaces[index]);
                let workspace = &mut *workspace;
                let start = block * layout.block;
                let end = (start + layout.block).min(region.len);
                for (i, transform) in forward.iter().enumerate() {
                    transform.columns(forward_spectra[i], block, workspace, i);
                }
                let streams = forward.len();
                for (k, offset) in (start..end).step_by(TILE).enumerate() {
                    let len = TILE.min(end - offset);
                    let tile = Tile {
                        offset,
                        len,
                        in_block: offset - start,
                    };
                    tile::run(region, &sources, tile, workspace);
                    let row = block * layout.per_block + k;
                    // SAFETY: tiles and blocks are numbered without overlap, each is worked on once,
                    // and nobody reads these buffers before all are done.
                    unsafe {
                        for (&(source, _), store) in region.stores.iter().zip(&stores) {
                            let out = store.slice(offset, len);
                            tile::copy_real(source, &sources, tile, workspace, out);
                        }
                        for (&(re, im, _), store) in region.field_stores.iter().zip(&field_stores) {
                            let out = store.slice(offset, len);
                            tile::copy_complex(re, im, &sources, tile, workspace, out);
                        }
                        tile::sums(
                            region,
                            &sources,
                            tile,
                            workspace,
                            partials.slice(row * sums, sums),
                        );
                    }
                    for (i, &(re, im)) in region.cotangents.iter().enumerate() {
                        let mut out = std::mem::take(&mut workspace.blocks[streams + i]);
                        let part = &mut out[tile.in_block..tile.in_block + len];
                        tile::copy_complex(re, im, &sources, tile, workspace, part);
                        workspace.blocks[streams + i] = out;
                    }
                }
                for (i, transform) in adjoint.iter().enumerate() {
                    // SAFETY: as above, one block of the spectrum for each block of the region.
                    let out = unsafe { transform.block_of(&adjoint_spectra[i], block) };
                    transform.columns_adjoint(out, block, workspace, streams + i);
                }
            };
            let blocks = region.len.div_ceil(layout.block);
            if region.len <= 2 * TILE {
                (0..blocks).for_each(one_block);
            } else {
                (0..blocks).into_par_iter().for_each(one_block);
            }
        }
        let mut stores = stores.into_iter();
        for &(_, array) in &region.stores {
            if let Held::Work(values) = &mut self.arrays[array] {
                *values = stores.next().unwrap_or_default();
            }
        }
        for (&(.., field), values) in region.field_stores.iter().zip(field_stores) {
            self.fields[field] = values;
        }
        // Last pass of every adjoint: the rows.
        for (i, stream) in region.adjoint.iter().enumerate() {
            let found = self
                .transforms
                .iter()
                .find(|t| Arc::ptr_eq(&t.0, &stream.transform));
            let transform = &found.expect("every transform was prepared at loading").1;
            let spectrum = &mut self.spectra[region.forward.len() + i];
            transform.rows_adjoint(spectrum, &mut self.fields[stream.field], &self.workspaces);
        }
        // Sums over the tiles, in their order.
        let mut total = vec![0.0; sums];
        for row in self.partials.chunks_exact(sums.max(1)).take(layout.count) {
            for (sum, part) in total.iter_mut().zip(row) {
                *sum += part;
            }
        }
        let targets = region.sums.iter().map(|s| &s.1);
        let targets = targets.chain(region.projections.iter().flat_map(|p| &p.sums));
        for (&target, sum) in targets.zip(total) {
            self.scalars[target] = sum;
        }
    }
}

/// How a region is cut: elements a block, tiles a block, tiles in all.
struct Layout {
    block: usize,
    per_block: usize,
    count: usize,
}

fn tiles<T: Real>(region: &Region, transforms: &[(Arc<Fourier>, Transform<T>)]) -> Layout {
    let stream = region.forward.iter().chain(&region.adjoint).next();
    let block = stream.map_or(TILE, |s| {
        let found = transforms.iter().find(|t| Arc::ptr_eq(&t.0, &s.transform));
        found
            .expect("every transform was prepared at loading")
            .1
            .column_len()
            * BLOCK
    });
    let per_block = block.div_ceil(TILE);
    Layout {
        block,
        per_block,
        count: region.len.div_ceil(block) * per_block,
    }
}

impl Region {
    /// The number of sums that the region makes.
    fn sum_count(&self) -> usize {
        self.sums.len() + self.projections.iter().map(|p| p.sums.len()).sum::<usize>()
    }
}

impl<T: Real> Executable for Cpu<T> {
    fn run(&mut self, parameters: &[f64], outputs: &mut [f64]) {
        assert!(
            parameters.len() <= self.program.parameters,
            "too many parameters"
        );
        self.scalars[..parameters.len()].copy_from_slice(parameters);
        let steps = std::mem::take(&mut self.program.steps);
        for step in &steps {
            match step {
                Step::Scalars(code) => {
                    for c in code {
                        self.scalars[c.out] = c.op.apply(self.scalars[c.a], self.scalars[c.b]);
                    }
                }
                Step::Region(region) => {
                    // Tiles that do not exist in a short last block leave zeros.
                    self.partials.fill(0.0);
                    self.run_region(region);
                }
            }
        }
        self.program.steps = steps;
        for (output, &scalar) in outputs.iter_mut().zip(&self.program.outputs) {
            *output = self.scalars[scalar];
        }
    }

    fn array(&self, index: usize) -> Vec<f64> {
        let array = self.program.array_outputs[index];
        self.arrays[array]
            .slice()
            .iter()
            .map(|v| v.wide())
            .collect()
    }
}

/// The value of an operand that is not in a register.
fn outside<'a, T: Real>(
    operand: Operand,
    sources: &Sources<'a, T>,
    tile: Tile,
) -> tile::Argument<'a, T> {
    match operand {
        Operand::Slot(_) => unreachable!("registers are looked up in the workspace"),
        Operand::Array(array) => {
            let values = sources.arrays[array].slice();
            tile::Argument::Many(&values[tile.offset..tile.offset + tile.len])
        }
        Operand::Scalar(scalar) => tile::Argument::One(T::of(sources.scalars[scalar])),
    }
}
