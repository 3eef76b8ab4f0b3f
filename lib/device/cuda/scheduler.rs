//! Steps of a program as commands.

use super::bases::Loaded;
use super::memory::{Content, Place};
use super::order::Layout;
use super::schedule::Schedule;
use super::source::{self, Argument, BLOCK, Combined, Kernel, Wiring};
use super::transform::Transform;
use crate::device::program::{Code, Operand, Region, ScalarCode, ScalarId, ScatteredTransform};
use crate::device::{Basis, Fourier, Scattered};
use std::collections::HashMap;
use std::sync::Arc;

/// Blocks of a region beyond which threads take more elements each instead, and the most they take.
const MANY_BLOCKS: usize = 2048;
const MOST_EACH: usize = 16;

/// What a program is scheduled with.
pub struct Scheduler {
    pub schedule: Schedule,
    pub scalars: Place,
    pub arrays: Vec<Place>,
    pub fields: Vec<Place>,
    /// What is prepared, found by the address of what it was made from.
    pub transforms: Vec<(Arc<Fourier>, Transform)>,
    pub bases: Vec<(Arc<Basis>, Loaded)>,
    /// The places of pixels and of samples.
    pub scattered: Vec<(Arc<Scattered>, [Place; 2])>,
    pub layouts: Vec<(Layout, [Argument; 4])>,
    /// The kernels of regions; equal ones once.
    pub regions: Vec<String>,
}

impl Scheduler {
    pub fn integers(&mut self, values: Vec<i32>) -> Argument {
        Argument::At(self.schedule.memory.content(Content::Integers(values)))
    }

    /// The numbers of scalars.
    pub fn table(&mut self, scalars: impl Iterator<Item = ScalarId>) -> Argument {
        self.integers(scalars.map(|id| id as i32).collect())
    }

    /// Scalar instructions, in levels that need only earlier ones.
    pub fn scalar_step(&mut self, code: &[ScalarCode]) {
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

    /// A transform to scattered samples, or its adjoint: the plain sum, which a GPU has the power for.
    pub fn scatter(&mut self, scatter: &ScatteredTransform) {
        let known = self.scattered.iter().find(|s| Arc::ptr_eq(&s.0, &scatter.transform));
        let [pixels, samples] = match known {
            Some(known) => known.1,
            None => {
                let (x0, y0) = scatter.transform.centre();
                let pixels = scatter.transform.pixels().iter();
                let pixels = pixels.flat_map(|p| [f64::from(p.1) - x0, f64::from(p.0) - y0]);
                let samples = scatter.transform.samples().iter().flat_map(|s| [s.0, s.1]);
                let memory = &mut self.schedule.memory;
                let tables = [pixels.collect(), samples.collect()]
                    .map(|table| memory.content(Content::Doubles(table)));
                self.scattered.push((scatter.transform.clone(), tables));
                tables
            }
        };
        let (there, here) = (scatter.transform.outputs(), scatter.transform.pixels().len());
        let (targets, sources, blocks, count, sign) = match scatter.adjoint {
            false => (samples, pixels, there, here, -1),
            true => (pixels, samples, here, there, 1),
        };
        let fields = [self.fields[scatter.to], self.fields[scatter.from]];
        let mut arguments: Vec<_> = fields.into_iter().map(Argument::At).collect();
        arguments.extend([Argument::At(targets), Argument::At(sources)]);
        arguments.extend([Argument::Integer(count as i32), Argument::Integer(sign)]);
        self.schedule.launch("scattered", blocks, arguments);
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

    /// A region: what it reads, itself, and what becomes of its results.
    pub fn region(&mut self, region: &Region, order: Option<Layout>) {
        let combined = region.code.iter().filter_map(|code| match code {
            Code::Combine { basis, coefficients, .. } => Some(self.combine(basis, coefficients)),
            _ => None,
        });
        let combined: Vec<Combined> = combined.collect();
        let [forward, adjoint] = [&region.forward, &region.adjoint].map(|streams| {
            streams.iter().map(|s| self.transform(&s.transform)).collect::<Vec<_>>()
        });
        let (layout, planes) = self.planes(&forward, &adjoint);
        let layout = layout.filter(|_| order.is_none()).map(|layout| self.layout(&layout));
        for ((stream, &transform), &plane) in region.forward.iter().zip(&forward).zip(&planes) {
            let field = self.fields[stream.field];
            self.transforms[transform].1.forward(field, plane, &mut self.schedule);
        }
        let (sources, kept) = self.projected(region);
        let each = region.len.div_ceil(BLOCK * MANY_BLOCKS).clamp(1, MOST_EACH);
        let blocks = region.len.div_ceil(BLOCK * each).max(1);
        let partials = self.schedule.memory.scratch(8 * blocks * region.sums.len());
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
        self.launch(kernel, blocks);
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

    /// How the outputs of a region's transforms lie, and a plane for every stream.
    fn planes(&mut self, forward: &[usize], adjoint: &[usize]) -> (Option<Layout>, Vec<Place>) {
        let mut layouts = forward.iter().chain(adjoint).map(|&t| self.transforms[t].1.layout());
        let layout = layouts.next();
        assert!(
            layouts.all(|l| Some(l) == layout),
            "the transforms of a region must have the same outputs"
        );
        let longer = if forward.len() > adjoint.len() { forward } else { adjoint };
        let memory = &mut self.schedule.memory;
        let planes = longer.iter().map(|&t| self.transforms[t].1.plane(memory));
        (layout.cloned(), planes.collect())
    }

    /// Where what a region projects lies, and which of it has to be put there.
    fn projected(&mut self, region: &Region) -> (Vec<Place>, Vec<(Operand, Place)>) {
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
        (sources.collect(), kept)
    }

    /// Launches the kernel of a region, which equal ones share.
    fn launch(&mut self, kernel: Kernel, blocks: usize) {
        let known = self.regions.iter().position(|text| *text == kernel.text);
        let number = known.unwrap_or_else(|| {
            self.regions.push(kernel.text);
            self.regions.len() - 1
        });
        let name = source::region_name(number);
        let launch = self.schedule.prepare((1, &name), blocks, kernel.arguments);
        self.schedule.commands.push(launch);
    }
}
