//! What a run does, in order: launches of kernels, Fourier transforms, zeros. Whoever carries it out
//! needs to know nothing of programs; there are two who do: `driver`, and the tests'
//! host.

use super::memory::{Content, Memory, Place};
use super::order::{Layout, Orders};
use super::source::{self, Argument, BLOCK, Combined, Wiring};
use super::transform::Transform;
use crate::device::program::{
    Array, Code, Operand, Program, Projection, Region, ScalarCode, ScalarId, Step,
};
use crate::device::{Basis, Fourier, Precision};
use std::collections::HashMap;
use std::sync::Arc;

/// Transforms of `batch` lines of complex numbers where they lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FftPlan {
    pub points: usize,
    /// From number to number in a line, and from line to line, in numbers.
    pub stride: usize,
    pub distance: usize,
    pub batch: usize,
}

#[derive(Debug, Clone)]
pub enum Command {
    /// A kernel on so many blocks of [`BLOCK`] threads.
    Launch {
        kernel: usize,
        blocks: usize,
        arguments: Vec<Argument>,
    },
    /// The plan of this number, without normalisation; `inverse` has the conjugate kernel.
    Fft {
        plan: usize,
        at: Place,
        inverse: bool,
    },
    Zero {
        at: Place,
        bytes: usize,
    },
}

/// So many numbers of a kind.
#[derive(Debug, Clone, Copy)]
pub struct Numbers {
    pub at: Place,
    pub count: usize,
}

/// A program as a list of commands.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// Texts to be compiled.
    pub sources: [String; 2],
    /// The kernels in use: which text has them, and their names.
    pub kernels: Vec<(usize, String)>,
    pub plans: Vec<FftPlan>,
    pub commands: Vec<Command>,
    pub memory: Memory,
    /// Where a run's parameters go, and where its outputs are, `f64`.
    pub parameters: Numbers,
    pub outputs: Numbers,
    /// What is put into another order after it was written, before the first run: where it is written, what,
    /// and the command that does it.
    pub arranged: Vec<(Place, Content, Command)>,
    /// In the precision of arrays; with the command that has to run before they are read.
    pub array_outputs: Vec<(Numbers, Option<Command>)>,
}

/// The most elements that a region or a plane may have: their indices are 32-bit integers.
const LARGEST: usize = 1 << 30;
/// Blocks of a region beyond which threads take more elements each instead, and the most they take.
const MANY_BLOCKS: usize = 2048;
const MOST_EACH: usize = 16;

impl Schedule {
    /// Schedules a program.
    ///
    /// # Errors
    /// One line on a program that is too large.
    ///
    /// # Panics
    /// When a region streams transforms of different shapes: planning makes no such program.
    pub fn new(program: &Program, precision: Precision) -> Result<Self, String> {
        let largest = program.steps.iter().filter_map(|step| match step {
            Step::Region(region) => Some(region.len),
            Step::Scalars(_) => None,
        });
        let largest = largest.chain(program.fields.iter().copied()).max().unwrap_or(0);
        if largest > LARGEST {
            return Err(format!(
                "{largest} samples are too many for the CUDA backend, which takes up to {LARGEST}; use --backend cpu"
            ));
        }
        let mut memory = Memory::new(precision);
        let scalars = memory.content(Content::Doubles(program.scalars.clone()));
        let outputs = program.outputs.iter().map(|&id| id as i32).collect();
        let which = memory.content(Content::Integers(outputs));
        let count = program.outputs.len();
        let outputs = Numbers { at: memory.fixed(8 * count), count };
        let fields = program.fields.iter().map(|&len| memory.fixed(memory.reals(2 * len)));
        let fields = fields.collect();
        let mut scheduler = Scheduler {
            schedule: Schedule {
                sources: Default::default(),
                kernels: Vec::new(),
                plans: Vec::new(),
                commands: Vec::new(),
                memory,
                parameters: Numbers { at: scalars, count: program.parameters },
                outputs,
                arranged: Vec::new(),
                array_outputs: Vec::new(),
            },
            scalars,
            arrays: Vec::new(),
            fields,
            transforms: Vec::new(),
            bases: Vec::new(),
            layouts: Vec::new(),
            regions: Vec::new(),
        };
        let orders = Orders::of(program);
        scheduler.arrays(program, &orders);
        for (number, step) in program.steps.iter().enumerate() {
            scheduler.schedule.memory.next_step();
            match step {
                Step::Scalars(code) => scheduler.scalar_step(code),
                Step::Region(region) => scheduler.region(region, orders.of_region(number)),
            }
        }
        let Scheduler { mut schedule, regions, .. } = scheduler;
        schedule.sources = source::texts(precision, &regions);
        if count > 0 {
            let arguments = vec![
                Argument::At(outputs.at),
                Argument::At(scalars),
                Argument::At(which),
                Argument::Integer(count as i32),
            ];
            schedule.launch("collect", count.div_ceil(BLOCK), arguments);
        }
        Ok(schedule)
    }

    /// Adds a launch of a common kernel.
    pub fn launch(&mut self, kernel: &str, blocks: usize, arguments: Vec<Argument>) {
        let launch = self.prepare((0, kernel), blocks, arguments);
        self.commands.push(launch);
    }

    /// A launch of a kernel of a text, for whoever wants it at another time.
    fn prepare(
        &mut self,
        (text, name): (usize, &str),
        blocks: usize,
        arguments: Vec<Argument>,
    ) -> Command {
        let known = self.kernels.iter().position(|kernel| kernel.0 == text && kernel.1 == name);
        let kernel = known.unwrap_or_else(|| {
            self.kernels.push((text, name.into()));
            self.kernels.len() - 1
        });
        Command::Launch { kernel, blocks: blocks.max(1), arguments }
    }

    /// The number of a plan.
    pub fn plan(&mut self, plan: FftPlan) -> usize {
        let known = self.plans.iter().position(|p| *p == plan);
        known.unwrap_or_else(|| {
            self.plans.push(plan);
            self.plans.len() - 1
        })
    }
}

/// A basis in memory.
#[derive(Clone, Copy)]
enum Loaded {
    Runs {
        /// `[function][run and term]`
        chebyshev: Place,
        /// Where every run starts; one more start.
        starts: Place,
        run_of: Place,
        abscissa: Place,
    },
    Dense {
        values: Place,
    },
}

struct Scheduler {
    schedule: Schedule,
    scalars: Place,
    arrays: Vec<Place>,
    fields: Vec<Place>,
    /// What is prepared, found by the address of what it was made from.
    transforms: Vec<(Arc<Fourier>, Transform)>,
    bases: Vec<(Arc<Basis>, Loaded)>,
    layouts: Vec<(Layout, [Argument; 4])>,
    /// The kernels of regions; equal ones once.
    regions: Vec<String>,
}

impl Scheduler {
    fn integers(&mut self, values: Vec<i32>) -> Argument {
        Argument::At(self.schedule.memory.content(Content::Integers(values)))
    }

    /// The numbers of scalars.
    fn table(&mut self, scalars: impl Iterator<Item = ScalarId>) -> Argument {
        self.integers(scalars.map(|id| id as i32).collect())
    }

    /// Gives every array its place.
    fn arrays(&mut self, program: &Program, orders: &Orders) {
        let mut known: HashMap<(*const f64, bool), Place> = HashMap::new();
        for (id, array) in program.arrays.iter().enumerate() {
            let layout = orders.of_array(id);
            let place = match array {
                Array::Work(len) => self.schedule.memory.fixed(self.schedule.memory.reals(*len)),
                Array::Data(values) => {
                    let key = (values.as_ptr(), layout.is_some());
                    match known.get(&key) {
                        Some(place) => *place,
                        None => *known.entry(key).or_insert(self.data(values, layout)),
                    }
                }
            };
            self.arrays.push(place);
        }
        for &id in &program.array_outputs {
            let count = match &program.arrays[id] {
                Array::Data(values) => values.len(),
                Array::Work(len) => *len,
            };
            let at = self.arrays[id];
            let output = match orders.of_array(id) {
                None => (Numbers { at, count }, None),
                Some(layout) => {
                    let (there, command) = self.arrange("from_plane", at, count, &layout);
                    (Numbers { at: there, count }, Some(command))
                }
            };
            self.schedule.array_outputs.push(output);
        }
    }

    /// Data that never change, in an order if not their own.
    fn data(&mut self, values: &Arc<[f64]>, layout: Option<Layout>) -> Place {
        let memory = &mut self.schedule.memory;
        let content = Content::Reals(values.clone());
        let Some(layout) = layout else {
            return memory.content(content);
        };
        let place = memory.fixed(memory.reals(values.len()));
        let (there, command) = self.arrange("to_plane", place, values.len(), &layout);
        self.schedule.arranged.push((there, content, command));
        place
    }

    /// A launch that takes an array to the order of its plane, or back, and the scratch buffer that has
    /// the array in the order of outputs.
    fn arrange(
        &mut self,
        kernel: &str,
        at: Place,
        count: usize,
        layout: &Layout,
    ) -> (Place, Command) {
        let memory = &mut self.schedule.memory;
        memory.next_step();
        let there = memory.scratch(memory.reals(count));
        let (to, from) = if kernel == "to_plane" { (at, there) } else { (there, at) };
        let mut arguments = vec![Argument::At(to), Argument::At(from)];
        arguments.push(Argument::Integer(count as i32));
        arguments.extend(self.layout(layout));
        (there, self.schedule.prepare((0, kernel), count.div_ceil(BLOCK), arguments))
    }

    /// Scalar instructions, in levels that need only earlier ones.
    fn scalar_step(&mut self, code: &[ScalarCode]) {
        let mut level_of: HashMap<ScalarId, usize> = HashMap::new();
        let mut levels: Vec<Vec<i32>> = Vec::new();
        for c in code {
            let level = |id: &ScalarId| level_of.get(id).copied().unwrap_or(0);
            let this = level(&c.a).max(level(&c.b));
            level_of.insert(c.out, this + 1);
            if levels.len() == this {
                levels.push(Vec::new());
            }
            let (kind, exponent) = source::operation(c.op);
            let op = kind as i32 | exponent << 8;
            levels[this].extend([op, c.a as i32, c.b as i32, c.out as i32]);
        }
        let mut starts = vec![0];
        for level in &levels {
            starts.push(starts[starts.len() - 1] + level.len() as i32 / 4);
        }
        let code = self.integers(levels.concat());
        let starts = self.integers(starts);
        let arguments =
            vec![Argument::At(self.scalars), code, starts, Argument::Integer(levels.len() as i32)];
        self.schedule.launch("scalars", 1, arguments);
    }

    /// The tables of an order, as the kernels take them.
    fn layout(&mut self, layout: &Layout) -> [Argument; 4] {
        if let Some(known) = self.layouts.iter().find(|known| known.0 == *layout) {
            return known.1;
        }
        let arguments = layout.arguments(&mut self.schedule.memory);
        self.layouts.push((layout.clone(), arguments));
        arguments
    }

    /// The number of a prepared transform.
    fn transform(&mut self, fourier: &Arc<Fourier>) -> usize {
        let known = self.transforms.iter().position(|t| Arc::ptr_eq(&t.0, fourier));
        known.unwrap_or_else(|| {
            let transform = Transform::new(fourier, &mut self.schedule);
            self.transforms.push((fourier.clone(), transform));
            self.transforms.len() - 1
        })
    }

    fn basis(&mut self, basis: &Arc<Basis>) -> Loaded {
        if let Some(known) = self.bases.iter().find(|b| Arc::ptr_eq(&b.0, basis)) {
            return known.1;
        }
        let memory = &mut self.schedule.memory;
        let loaded = match basis.terms() {
            0 => Loaded::Dense { values: memory.content(Content::Doubles(basis.values().into())) },
            terms => {
                let runs = basis.runs();
                let count = basis.count();
                let mut chebyshev = vec![0.0; runs.len() * terms * count];
                for run in 0..runs.len() {
                    for (place, value) in basis.chebyshev(run).iter().enumerate() {
                        let (term, function) = (place / count, place % count);
                        chebyshev[(function * runs.len() + run) * terms + term] = *value;
                    }
                }
                let starts = runs.iter().map(|r| r.start).chain([basis.len()]);
                let starts = starts.map(|start| start as i32).collect();
                let run_of = runs.iter().enumerate();
                let run_of = run_of.flat_map(|(i, run)| std::iter::repeat_n(i as i32, run.len));
                let run_of = run_of.collect();
                Loaded::Runs {
                    chebyshev: memory.content(Content::Doubles(chebyshev)),
                    starts: memory.content(Content::Integers(starts)),
                    run_of: memory.content(Content::Integers(run_of)),
                    abscissa: memory.content(Content::Reals(basis.abscissa().into())),
                }
            }
        };
        self.bases.push((basis.clone(), loaded));
        loaded
    }

    /// A region: what it reads, itself, and what becomes of its results.
    fn region(&mut self, region: &Region, order: Option<Layout>) {
        let combined: Vec<Combined> = region
            .code
            .iter()
            .filter_map(|code| match code {
                Code::Combine { basis, coefficients, .. } => Some((basis, coefficients)),
                _ => None,
            })
            .map(|(basis, coefficients)| self.combine(basis, coefficients))
            .collect();
        let forward: Vec<usize> =
            region.forward.iter().map(|s| self.transform(&s.transform)).collect();
        let adjoint: Vec<usize> =
            region.adjoint.iter().map(|s| self.transform(&s.transform)).collect();
        let all = || forward.iter().chain(&adjoint).map(|&t| self.transforms[t].1.layout());
        let layout = all().next();
        assert!(
            all().all(|l| Some(l) == layout),
            "the transforms of a region must have the same outputs"
        );
        let layout = layout.cloned().filter(|_| order.is_none());
        let layout = layout.map(|layout| self.layout(&layout));
        let longer = if forward.len() > adjoint.len() { &forward } else { &adjoint };
        let memory = &mut self.schedule.memory;
        let planes: Vec<Place> =
            longer.iter().map(|&t| self.transforms[t].1.plane(memory)).collect();
        for ((stream, &transform), &plane) in region.forward.iter().zip(&forward).zip(&planes) {
            let field = self.fields[stream.field];
            self.transforms[transform].1.forward(field, plane, &mut self.schedule);
        }
        // What is projected has to lie in memory.
        let memory = &mut self.schedule.memory;
        let mut kept = Vec::new();
        let sources = region.projections.iter().map(|projection| match projection.source {
            Operand::Array(array) => self.arrays[array],
            other => {
                let place = memory.scratch(memory.reals(region.len));
                kept.push((other, place));
                place
            }
        });
        let sources: Vec<Place> = sources.collect();
        let each = region.len.div_ceil(BLOCK * MANY_BLOCKS).clamp(1, MOST_EACH);
        let blocks = region.len.div_ceil(BLOCK * each).max(1);
        let partials = memory.scratch(8 * blocks * region.sums.len());
        let wiring = Wiring {
            scalars: self.scalars,
            arrays: &self.arrays,
            fields: &self.fields,
            planes: &planes,
            layout,
            combined: &combined,
            kept: &kept,
            partials,
            blocks,
            each,
        };
        let kernel = source::region(region, &wiring, &self.schedule.memory);
        let known = self.regions.iter().position(|text| *text == kernel.text);
        let number = known.unwrap_or_else(|| {
            self.regions.push(kernel.text);
            self.regions.len() - 1
        });
        let name = source::region_name(number);
        let launch = self.schedule.prepare((1, &name), blocks, kernel.arguments);
        self.schedule.commands.push(launch);
        let targets = region.sums.iter().map(|sum| sum.scalar).collect::<Vec<_>>();
        self.finish(partials, blocks, &targets);
        for (projection, source) in region.projections.iter().zip(sources) {
            self.project(projection, source);
        }
        for ((stream, &transform), &plane) in region.adjoint.iter().zip(&adjoint).zip(&planes) {
            let field = self.fields[stream.field];
            self.transforms[transform].1.adjoint(plane, field, &mut self.schedule);
        }
    }

    /// Prepares a sum of a basis's functions for a region.
    fn combine(&mut self, basis: &Arc<Basis>, coefficients: &[ScalarId]) -> Combined {
        let which = self.table(coefficients.iter().copied());
        let Argument::At(at) = which else { unreachable!("tables have a place") };
        let count = basis.count();
        match self.basis(basis) {
            Loaded::Dense { values } => Combined::Dense { values, which: at, count },
            Loaded::Runs { chebyshev, run_of, abscissa, .. } => {
                let terms = basis.terms();
                let places = basis.runs().len() * terms;
                let memory = &mut self.schedule.memory;
                let coefficients = memory.scratch(memory.reals(places));
                let arguments = vec![
                    Argument::At(coefficients),
                    Argument::At(chebyshev),
                    Argument::Integer(places as i32),
                    Argument::At(self.scalars),
                    which,
                    Argument::Integer(count as i32),
                ];
                self.schedule.launch("along", places.div_ceil(BLOCK), arguments);
                Combined::Runs { coefficients, run_of, abscissa, terms }
            }
        }
    }

    /// The second stage of some sums.
    fn finish(&mut self, partials: Place, blocks: usize, targets: &[ScalarId]) {
        if targets.is_empty() {
            return;
        }
        let table = self.table(targets.iter().copied());
        let arguments = vec![
            Argument::At(self.scalars),
            Argument::At(partials),
            Argument::Integer(blocks as i32),
            table,
        ];
        self.schedule.launch("finish", targets.len(), arguments);
    }

    fn project(&mut self, projection: &Projection, source: Place) {
        let (basis, targets) = (&projection.basis, &projection.sums);
        let source = Argument::At(source);
        match self.basis(basis) {
            Loaded::Dense { values } => {
                let chunks = basis.len().div_ceil(BLOCK * MOST_EACH).clamp(1, MANY_BLOCKS);
                let partials = self.schedule.memory.scratch(8 * chunks * basis.count());
                let arguments = vec![
                    Argument::At(partials),
                    Argument::At(values),
                    source,
                    Argument::Integer(basis.len() as i32),
                    Argument::Integer(chunks as i32),
                ];
                self.schedule.launch("dense", chunks * basis.count(), arguments);
                self.finish(partials, chunks, targets);
            }
            Loaded::Runs { chebyshev, starts, abscissa, .. } => {
                let (runs, terms) = (basis.runs().len(), basis.terms());
                let moments = self.schedule.memory.scratch(8 * runs * terms);
                let arguments = vec![
                    Argument::At(moments),
                    source,
                    Argument::At(abscissa),
                    Argument::At(starts),
                    Argument::Integer(terms as i32),
                ];
                self.schedule.launch("moments", runs, arguments);
                let table = self.table(targets.iter().copied());
                let arguments = vec![
                    Argument::At(self.scalars),
                    Argument::At(chebyshev),
                    Argument::At(moments),
                    Argument::Integer((runs * terms) as i32),
                    table,
                ];
                self.schedule.launch("project", basis.count(), arguments);
            }
        }
    }
}
