//! Runs programs on the cores of this machine.
//!
//! Work is cut into tiles of a fixed size, which threads share; sums are kept a tile and added in
//! order at the end, so a result is the same to the last bit whatever the number of threads. Buffers
//! are allocated when a program is loaded, not when it runs.
//!
//! In order of reading:
//!
//! * `prepared`, `layout`, `round`: regions prepared for running, how they are cut, which run together;
//! * `tile`, the interpreter, with `elementwise`, `elementary`, `reduction` and its `register`s;
//! * `chain`: several instructions in one pass over a tile;
//! * `fourier`, with `line` (one axis), `fft` and its `pass`, `narrow` and `butterfly`, `matrix`, and `transpose`;
//! * `scattered`, the transform to samples anywhere, with `folding` and `product`;
//! * `team`, `shared`: threads, and the buffers that they fill together;
//! * `isa`, `vector`, `real`: instruction sets, vectors and types of numbers.
//!
//! What is worked on together, from large to small: a *round* of regions that do not wait for each other; of a region
//! the *tiles*, or where it streams transforms a *block*, as many columns as there are numbers in 64 bytes; of a block
//! the *slab*, one or a few *parts*, which are what the second step of a transform makes at a time (`fft`); of a slab
//! the tiles; of a tile a few *lines* of 64 bytes (`chain`); of a line the *pieces* that fit a register (`vector`).

mod butterfly;
mod chain;
mod elementary;
mod elementwise;
mod fft;
mod folding;
mod fourier;
mod isa;
mod layout;
mod line;
mod matrix;
mod narrow;
mod pass;
mod prepared;
mod product;
mod real;
mod reduction;
mod register;
mod round;
mod scattered;
mod shared;
mod team;
mod tile;
mod transpose;
mod vector;

pub use elementwise::sines_and_cosines;
pub use real::Real;
pub use team::Team;

use super::program::{Array, Program, Region, Step, Stream};
use super::{Executable, Values};
use fourier::{Transform, Transforms};
use prepared::Prepared;
use round::rounds;
use rustfft::num_complex::Complex;
use scattered::NonUniforms;
use shared::Shared;
use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;
use team::Crew;
use tile::{Sources, Tile, Workspace, Workspaces};
use vector::Batch;

/// The number of elements that are worked on together: a few registers of them fit the first cache.
pub const TILE: usize = 512;

/// Elements for each thread of a team: fewer are done sooner than another thread is told of them.
const PER_THREAD: usize = 1024;

/// Regions whose spectra take more bytes than this are not worked on together.
const SPECTRA_BYTES: usize = 4 << 20;

/// A real array as it is held.
enum Held<T> {
    Data(Arc<Vec<T>>),
    Work(Shared<T>),
}

impl<T: Copy> Held<T> {
    /// The whole array.
    ///
    /// # Safety
    /// As [`Shared::read`].
    unsafe fn read(&self) -> &[T] {
        match self {
            Held::Data(values) => values,
            // SAFETY: by the caller's promise.
            Held::Work(values) => unsafe { values.read() },
        }
    }
}

/// A loaded program.
pub struct Cpu<T: Real> {
    program: Arc<Program>,
    scalars: Vec<f64>,
    arrays: Vec<Held<T>>,
    fields: Vec<Shared<Complex<T>>>,
    /// The regions, in the order of the steps.
    prepared: Vec<Prepared>,
    transforms: Transforms<T>,
    /// The regions that are worked on together, as ranges of their numbers.
    rounds: Vec<Range<usize>>,
    /// A spectrum for every stream of the round that has most.
    spectra: Vec<Shared<Batch<T>>>,
    /// One row of sums a tile.
    partials: Shared<f64>,
    totals: Vec<f64>,
    workspaces: Workspaces<T>,
    /// For runs by themselves; within [`with_team`](crate::device::with_team) that one serves.
    team: Team,
    non_uniforms: NonUniforms<T>,
}

impl<T: Real> Cpu<T> {
    /// Loads a program: prepares its transforms and allocates all that it needs.
    ///
    /// # Panics
    /// When a region reads an array or a field that it writes, writes one twice, or streams transforms of
    /// different shapes: planning makes no such program.
    pub fn new(program: Program) -> Self {
        let transforms = Transforms::new(&program);
        check(&program, &transforms);
        let arrays = program.arrays.iter().map(|array| match array {
            Array::Data(Values::Double(values)) => Held::Data(T::adopt(values)),
            Array::Data(Values::Single(values)) => Held::Data(T::adopt_single(values)),
            Array::Work(len) => Held::Work(Shared::zeros(*len)),
        });
        let mut prepared: Vec<Prepared> =
            program.regions().map(|r| Prepared::new(r, &program, &transforms)).collect();
        let (rounds, spectra, partials) = share_buffers(&program, &transforms, &mut prepared);
        // The samples of scattered far fields are in regions too.
        let elements: usize = program.regions().map(|r| r.len).sum();
        let threads = rayon::current_num_threads().min(elements / PER_THREAD).max(1);
        Cpu {
            scalars: program.scalars.clone(),
            arrays: arrays.collect(),
            fields: program.fields.iter().map(|&n| Shared::zeros(n)).collect(),
            spectra: spectra.into_iter().map(Shared::zeros).collect(),
            partials: Shared::zeros(partials),
            rounds,
            totals: vec![0.0; program.regions().map(Region::sum_count).max().unwrap_or(0)],
            workspaces: Workspaces::new(threads, &program, &transforms),
            team: Team::new(threads),
            prepared,
            transforms,
            non_uniforms: NonUniforms::new(&program.steps),
            program: Arc::new(program),
        }
    }

    fn run_steps(&mut self, crew: &Crew) {
        let program = Arc::clone(&self.program);
        let (mut round, mut regions) = (0, 0..0);
        for (i, step) in program.steps.iter().enumerate() {
            match step {
                Step::Scalars(code) => {
                    for c in code {
                        self.scalars[c.out] = c.op.apply(self.scalars[c.a], self.scalars[c.b]);
                    }
                }
                Step::Region(_) => {
                    // The first region of a round does the others' work too.
                    if regions.is_empty() {
                        regions = self.rounds[round].clone();
                        round += 1;
                        let steps = &program.steps[i..i + regions.len()];
                        self.run_round(steps, regions.clone(), crew);
                    }
                    regions.next();
                }
                Step::Scattered(some) => self.non_uniforms.run(some, &self.fields, crew),
            }
        }
    }

    /// Works on regions that do not wait for each other.
    fn run_round(&mut self, steps: &[Step], numbers: Range<usize>, crew: &Crew) {
        let this = &*self;
        let round = || steps.iter().filter_map(Step::region).zip(&this.prepared[numbers.clone()]);
        let streams = |of: fn(&Region) -> &[Stream]| {
            let streams = round().flat_map(move |(region, prepared)| {
                of(region).iter().zip(&this.spectra[prepared.spectra..])
            });
            streams.map(|(stream, spectrum)| (this.transforms.of(stream), stream, spectrum))
        };
        // First pass of every forward transform: the rows.
        let forward = || streams(|region| &region.forward);
        each(
            crew,
            forward().map(|(transform, ..)| transform.groups()),
            |member, (which, group)| {
                let (transform, stream, spectrum) = forward().nth(which).expect("a stream");
                // SAFETY: nobody writes a field, and each group of rows is worked on once.
                unsafe {
                    let field = this.fields[stream.field].read();
                    transform.rows_forward(group, field, spectrum, &mut this.workspaces.of(member));
                }
            },
        );
        each(
            crew,
            round().map(|(_, prepared)| prepared.layout.blocks),
            |member, (which, block)| {
                let (region, prepared) = round().nth(which).expect("a region");
                this.run_block(region, prepared, block, &mut this.workspaces.of(member));
            },
        );
        // Last pass of every adjoint: the rows.
        let adjoint = || streams(|region| &region.adjoint);
        each(
            crew,
            adjoint().map(|(transform, ..)| transform.groups()),
            |member, (which, group)| {
                let (transform, stream, spectrum) = adjoint().nth(which).expect("a stream");
                let field = &this.fields[stream.field];
                // SAFETY: each group of rows is worked on once, and nobody else writes the field: no other
                // stream of its region (asserted on loading), and no other region of the round (see `rounds`).
                unsafe {
                    transform.rows_adjoint(group, spectrum, field, &mut this.workspaces.of(member));
                }
            },
        );
        for (step, number) in steps.iter().zip(numbers) {
            if let Step::Region(region) = step {
                self.add_partials(region, number);
            }
        }
    }

    /// One block of columns through the forward transforms, the code, and the adjoint transforms, slab by
    /// slab; for a region without transforms, one tile.
    fn run_block(
        &self,
        region: &Region,
        prepared: &Prepared,
        block: usize,
        workspace: &mut Workspace<T>,
    ) {
        let layout = &prepared.layout;
        let first = block * layout.per_block;
        let Some(columns) = &layout.columns else {
            let offset = block * TILE;
            let len = TILE.min(region.len - offset);
            let tile = Tile { offset, len, row: 0, lane: 0, width: 1 };
            self.run_tile(region, prepared, (tile, None), first, workspace);
            return;
        };
        for (i, stream) in region.forward.iter().enumerate() {
            let transform = self.transforms.of(stream);
            // SAFETY: each block is worked on once, and is the same part of every spectrum (asserted when
            // the program was loaded), so nobody else uses it.
            let spectrum = &self.spectra[prepared.spectra + i];
            unsafe { transform.columns_begin(spectrum, block, workspace, i) };
        }
        for (i, stream) in region.adjoint.iter().enumerate().skip(region.forward.len()) {
            self.transforms.of(stream).columns_begin_adjoint(workspace, i);
        }
        let mut number = first;
        for slab in 0..columns.slabs.len() {
            for (i, stream) in region.forward.iter().enumerate() {
                self.transforms.of(stream).columns_forward(slab, workspace, i);
            }
            let next =
                (slab + 1 < columns.slabs.len()).then(|| columns.tiles::<T>(block, slab + 1));
            let mut later = next.into_iter().flatten();
            for tile in columns.tiles::<T>(block, slab) {
                self.run_tile(region, prepared, (tile, later.next()), number, workspace);
                number += 1;
            }
            for (i, stream) in region.adjoint.iter().enumerate() {
                self.transforms.of(stream).columns_adjoint(slab, workspace, i);
            }
        }
        for (i, stream) in region.adjoint.iter().enumerate() {
            let transform = self.transforms.of(stream);
            // SAFETY: as for the forward transforms, which have read this block.
            let spectrum = &self.spectra[prepared.spectra + i];
            unsafe { transform.columns_end(spectrum, block, workspace, i) };
        }
    }

    /// The code on one tile, and what becomes of its results; `later` is a tile that will come soon.
    fn run_tile(
        &self,
        region: &Region,
        prepared: &Prepared,
        (tile, later): (Tile, Option<Tile>),
        number: usize,
        workspace: &mut Workspace<T>,
    ) {
        let sources =
            Sources { scalars: &self.scalars, arrays: &self.arrays, fields: &self.fields };
        let sums = region.sum_count();
        tile::run(prepared, &sources, tile, later, workspace);
        // SAFETY: tiles are numbered without overlap and each is worked on once. No region of the round reads
        // or writes what this one stores (asserted on loading, and see `rounds`); partial sums are read when
        // the round has ended.
        unsafe {
            for &(source, array) in &region.stores {
                if let Held::Work(values) = &self.arrays[array] {
                    let out = values.part(tile.offset, tile.len);
                    tile::copy_real(source, &sources, tile, workspace, out);
                }
            }
            for &(re, im, field) in &region.field_stores {
                let out = self.fields[field].part(tile.offset, tile.len);
                tile::copy_complex(re, im, &sources, tile, workspace, out);
            }
            let out = self.partials.part(prepared.partials + number * sums, sums);
            tile::sums(region, &sources, tile, workspace, out);
        }
        if tile::is_direct::<T>(prepared, tile) {
            return;
        }
        for (i, &(re, im)) in region.cotangents.iter().enumerate() {
            tile::copy_to_slab(re, im, &sources, tile, workspace, i);
        }
    }

    /// What the last run left of an array.
    fn output(&self, index: usize) -> &[T] {
        // SAFETY: nothing runs.
        unsafe { self.arrays[self.program.array_outputs[index]].read() }
    }

    /// Adds the sums of the tiles, in their order.
    fn add_partials(&mut self, region: &Region, number: usize) {
        let (prepared, sums) = (&self.prepared[number], region.sum_count());
        let (first, tiles) = (prepared.partials, prepared.layout.tiles());
        let totals = &mut self.totals[..sums];
        totals.fill(0.0);
        // SAFETY: the region has ended, nobody writes.
        let partials = unsafe { self.partials.read() };
        for row in partials[first..first + tiles * sums].chunks_exact(sums.max(1)) {
            for (total, part) in totals.iter_mut().zip(row) {
                *total += part;
            }
        }
        let targets = region.sums.iter().map(|s| &s.scalar);
        let targets = targets.chain(region.projections.iter().flat_map(|p| &p.sums));
        for (&target, &total) in targets.zip(&self.totals) {
            self.scalars[target] = total;
        }
    }
}

/// Sees to it that regions can be run as they are by several threads.
fn check<T: Real>(program: &Program, transforms: &Transforms<T>) {
    assert!(
        program.regions().all(|r| !r.reads_what_it_writes() && r.writes_once()),
        "a region must not read what it writes, nor write it twice"
    );
    // A block of the region is one block of each of its transforms, and forward transform i and adjoint
    // i share a spectrum and a state: that is safe only when the blocks are the same numbers of both.
    let same_shapes = |r: &Region| {
        let mut shapes = r.streams().map(|s| transforms.of(s).shape());
        let first = shapes.next();
        shapes.all(|s| Some(s) == first)
    };
    assert!(
        program.regions().all(same_shapes),
        "the transforms of a region must have the same rows and outputs"
    );
}

/// The rounds of a program, in whose buffers every region is given its place; the longest spectrum in every
/// place, and the most sums of a round.
fn share_buffers<T: Real>(
    program: &Program,
    transforms: &Transforms<T>,
    prepared: &mut [Prepared],
) -> (Vec<Range<usize>>, Vec<usize>, usize) {
    let spectrum = |r: &Region| transforms.of_region(r).map_or(0, Transform::spectrum_len);
    let bytes = |r: &Region| r.spectra() * spectrum(r) * size_of::<Batch<T>>();
    let of = |round: &Range<usize>| program.regions().skip(round.start).take(round.len());
    let rounds = rounds(program, |round| of(&round).map(bytes).sum::<usize>() <= SPECTRA_BYTES);
    let (mut spectra, mut partials) = (Vec::new(), 0);
    for round in &rounds {
        let (mut place, mut sums) = (0, 0);
        for (prepared, region) in prepared[round.clone()].iter_mut().zip(of(round)) {
            (prepared.spectra, prepared.partials) = (place, sums);
            place += region.spectra();
            sums += prepared.layout.tiles() * region.sum_count();
            spectra.resize(spectra.len().max(place), 0);
            let own = &mut spectra[prepared.spectra..place];
            own.iter_mut().for_each(|len| *len = spectrum(region).max(*len));
        }
        partials = partials.max(sums);
    }
    (rounds, spectra, partials)
}

/// Calls `one(member, (which, part))` for every part of every thing; `parts` tells how many each has.
fn each(
    crew: &Crew,
    parts: impl Iterator<Item = usize> + Clone + Sync,
    one: impl Fn(usize, (usize, usize)) + Sync,
) {
    let total: usize = parts.clone().sum();
    crew.each(total, |member, mut i| {
        for (which, parts) in parts.clone().enumerate() {
            if i < parts {
                return one(member, (which, i));
            }
            i -= parts;
        }
    });
}

impl<T: Real> Executable for Cpu<T> {
    fn run(&mut self, parameters: &[f64], outputs: &mut [f64]) {
        assert_eq!(parameters.len(), self.program.parameters, "parameters");
        assert_eq!(outputs.len(), self.program.outputs.len(), "outputs");
        self.scalars[..parameters.len()].copy_from_slice(parameters);
        let (mut team, members) = (std::mem::take(&mut self.team), self.workspaces.count());
        team.lead(|| Crew::with(members, |crew| self.run_steps(crew)));
        self.team = team;
        for (output, &scalar) in outputs.iter_mut().zip(&self.program.outputs) {
            *output = self.scalars[scalar];
        }
    }

    fn threads(&self) -> usize {
        self.workspaces.count()
    }

    fn array(&self, index: usize) -> Cow<'_, [f64]> {
        T::all_in_f64(self.output(index))
    }

    fn array_into(&self, index: usize, out: &mut [f64]) {
        let values = self.output(index);
        assert_eq!(out.len(), values.len(), "the array's length");
        out.iter_mut().zip(values).for_each(|(out, value)| *out = value.in_f64());
    }
}
