//! Bases: sums of their functions for a region, and its results projected on them.

use super::memory::{Content, Place};
use super::scheduler::{MANY_BLOCKS, MOST_EACH, Scheduler};
use super::source::{Argument, BLOCK, Combined};
use crate::device::Basis;
use crate::device::program::{Projection, ScalarId};
use std::sync::Arc;

/// A basis in memory.
#[derive(Clone, Copy)]
pub enum Loaded {
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

impl Scheduler {
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
                    abscissa: memory.content(Content::Reals(Arc::new(basis.abscissa().to_vec()))),
                }
            }
        };
        self.bases.push((basis.clone(), loaded));
        loaded
    }

    /// Prepares a sum of a basis's functions for a region.
    pub fn combine(&mut self, basis: &Arc<Basis>, coefficients: &[ScalarId]) -> Combined {
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
    pub fn finish(&mut self, partials: Place, blocks: usize, targets: &[ScalarId]) {
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

    pub fn project(&mut self, projection: &Projection, source: Place) {
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
