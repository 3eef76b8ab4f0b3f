//! The order that samples have on the device.
//!
//! A program has the outputs of a transform in the order that suits the CPU (see
//! [`Fourier::place`](crate::device::Fourier::place)). In memory that would be one number here and one
//! there of the plane that is transformed. So arrays over the sky are put into the plane's order, row
//! after row, when they are uploaded, and back when they are read; in between an element's number is its
//! place in the plane. That cannot be where a region also combines or projects, or where one of its
//! fields is transformed again: there each element computes its place.

use super::memory::{Content, Memory};
use super::source::Argument;
use crate::device::Fourier;
use crate::device::fourier::Axis;
use crate::device::program::{Code, Operand, Program, Region, Step};
use std::sync::Arc;

/// The order of the outputs of a transform: the frequencies in it, along x and along y.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Layout {
    x: Arc<[i32]>,
    y: Arc<[i32]>,
}

impl Layout {
    pub fn of(fourier: &Fourier) -> Self {
        let table = |axis: &Axis| axis.order().into_iter().map(|k| k as i32).collect();
        Layout { x: table(&fourier.x), y: table(&fourier.y) }
    }

    /// Puts the tables into memory; as the kernels take them.
    pub fn arguments(&self, memory: &mut Memory) -> [Argument; 4] {
        let mut table = |axis: &[i32]| memory.content(Content::Integers(axis.to_vec()));
        let (x, y) = (table(&self.x), table(&self.y));
        let (nx, ny) = (self.x.len() as i32, self.y.len() as i32);
        [Argument::Integer(nx), Argument::Integer(ny), Argument::At(x), Argument::At(y)]
    }
}

/// Which regions, by their step, and which arrays are in the order of a plane.
pub struct Orders {
    regions: Vec<Option<Layout>>,
    arrays: Vec<Option<Layout>>,
}

impl Orders {
    pub fn of(program: &Program) -> Self {
        let steps = program.steps.len();
        let mut sets = Sets::new(steps + program.arrays.len() + program.fields.len());
        let array = |id: usize| steps + id;
        let field = |id: usize| steps + program.arrays.len() + id;
        for (step, region) in regions(program) {
            let (arrays, fields) = used(region);
            arrays.into_iter().for_each(|id| sets.join(step, array(id)));
            fields.into_iter().for_each(|id| sets.join(step, field(id)));
        }
        // What a set's transforms have in common, and whether anything stands against it.
        let mut layout: Vec<Option<Layout>> = vec![None; sets.len()];
        let mut against = vec![false; sets.len()];
        for (step, region) in regions(program) {
            let set = sets.find(step);
            let combines = region.code.iter().any(|code| matches!(code, Code::Combine { .. }));
            against[set] |= combines || !region.projections.is_empty();
            for stream in region.streams() {
                let this = Layout::of(&stream.transform);
                against[set] |= layout[set].as_ref().is_some_and(|other| *other != this);
                layout[set] = Some(this);
                // Pixels have the order in which they are listed.
                let pixels = sets.find(field(stream.field));
                against[pixels] = true;
            }
        }
        for step in &program.steps {
            let Step::Scattered(scatters) = step else { continue };
            for id in scatters.iter().flat_map(|scatter| [scatter.from, scatter.to]) {
                against[sets.find(field(id))] = true;
            }
        }
        let mut of = |member: usize| {
            let set = sets.find(member);
            layout[set].clone().filter(|_| !against[set])
        };
        Orders {
            regions: (0..steps).map(&mut of).collect(),
            arrays: (0..program.arrays.len()).map(|id| of(array(id))).collect(),
        }
    }

    pub fn of_region(&self, step: usize) -> Option<Layout> {
        self.regions[step].clone()
    }

    pub fn of_array(&self, array: usize) -> Option<Layout> {
        self.arrays[array].clone()
    }
}

fn regions(program: &Program) -> impl Iterator<Item = (usize, &Region)> {
    program.steps.iter().enumerate().filter_map(|(at, step)| Some((at, step.region()?)))
}

/// The arrays and fields that a region has an element of for each of its own.
fn used(region: &Region) -> (Vec<usize>, Vec<usize>) {
    let loaded = region.code.iter().filter_map(|code| match code {
        Code::LoadField { field, .. } => Some(*field),
        Code::Map { .. } | Code::LoadStream { .. } | Code::Combine { .. } => None,
    });
    let fields = region.field_stores.iter().map(|store| store.2).chain(loaded).collect();
    let read = region.operands().filter_map(|operand| match operand {
        Operand::Array(array) => Some(array),
        Operand::Slot(_) | Operand::Scalar(_) => None,
    });
    (read.chain(region.stores.iter().map(|store| store.1)).collect(), fields)
}

/// Sets of numbers that were joined.
struct Sets(Vec<usize>);

impl Sets {
    fn new(len: usize) -> Self {
        Sets((0..len).collect())
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn find(&mut self, mut member: usize) -> usize {
        while self.0[member] != member {
            self.0[member] = self.0[self.0[member]];
            member = self.0[member];
        }
        member
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.find(a), self.find(b));
        self.0[a] = b;
    }
}
