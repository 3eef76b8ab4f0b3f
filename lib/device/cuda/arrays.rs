//! Where the arrays of a program lie, and how those over the sky come into the order of their plane.

use super::memory::{Content, Place};
use super::order::{Layout, Orders};
use super::schedule::{Command, Numbers};
use super::scheduler::Scheduler;
use super::source::{Argument, BLOCK};
use crate::device::program::{Array, Program};
use std::collections::HashMap;
use std::sync::Arc;

impl Scheduler {
    /// Gives every array its place.
    pub fn arrays(&mut self, program: &Program, orders: &Orders) {
        let mut known: HashMap<(usize, Option<Layout>), Place> = HashMap::new();
        for (id, array) in program.arrays.iter().enumerate() {
            let layout = orders.of_array(id);
            let place = match array {
                Array::Work(len) => self.schedule.memory.fixed(self.schedule.memory.reals(*len)),
                Array::Data(values) => {
                    let key = (values.address(), layout.clone());
                    match known.get(&key) {
                        Some(place) => *place,
                        None => *known.entry(key).or_insert(self.data(&values.in_f64(), layout)),
                    }
                }
            };
            self.arrays.push(place);
        }
        for &id in &program.array_outputs {
            let count = match &program.arrays[id] {
                Array::Data(values) => values.count(),
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
    fn data(&mut self, values: &Arc<Vec<f64>>, layout: Option<Layout>) -> Place {
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

    /// The tables of an order, as the kernels take them.
    pub fn layout(&mut self, layout: &Layout) -> [Argument; 4] {
        if let Some(known) = self.layouts.iter().find(|known| known.0 == *layout) {
            return known.1;
        }
        let arguments = layout.arguments(&mut self.schedule.memory);
        self.layouts.push((layout.clone(), arguments));
        arguments
    }
}
