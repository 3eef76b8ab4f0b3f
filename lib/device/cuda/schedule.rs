//! What a run does, in order: launches of kernels, Fourier transforms, zeros. Whoever carries it out
//! needs to know nothing of programs; there are two who do: `driver`, and the tests'
//! host.

use super::memory::{Content, Memory, Place};
use super::order::Orders;
use super::scheduler::Scheduler;
use super::source::{self, Argument, BLOCK};
use crate::device::Precision;
use crate::device::program::{Program, Step};

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
    /// A kernel on this many blocks of [`BLOCK`] threads.
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

/// Numbers of a kind next to each other.
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
impl Schedule {
    /// Schedules a program.
    ///
    /// # Errors
    /// One line on a program that is too large.
    ///
    /// # Panics
    /// When a region streams transforms of different shapes: planning makes no such program.
    pub fn new(program: &Program, precision: Precision) -> Result<Self, String> {
        let largest = program.regions().map(|region| region.len);
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
            scattered: Vec::new(),
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
                Step::Scattered(scatters) => scatters.iter().for_each(|s| scheduler.scatter(s)),
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
    pub fn prepare(
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
