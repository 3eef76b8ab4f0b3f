//! Bases: sums of their functions for a region, and its results projected on them.

use super::memory::{Content, Place};
use super::scheduler::Scheduler;
use super::source::{Argument, BLOCK, Combined};
use crate::device::Basis;
use crate::device::program::{Projection, ScalarId};
use std::sync::Arc;

/// A basis in memory.
#[derive(Clone, Copy)]
pub struct Loaded {
    /// `[function][run and term]`
    chebyshev: Place,
    /// Where every run starts; one more start.
    starts: Place,
    run_of: Place,
    abscissa: Place,
}

impl Scheduler {
    fn basis(&mut self, basis: &Arc<Basis>) -> Loaded {
        if let Some(known) = self.bases.iter().find(|b| Arc::ptr_eq(&b.0, basis)) {
            return known.1;
        }
        let memory = &mut self.schedule.memory;
        let (runs, terms, count) = (basis.runs(), basis.terms(), basis.count());
        let mut chebyshev = vec![0.0; runs.len() * terms * count];
        for run in 0..runs.len() {
            for (place, value) in basis.chebyshev(run).iter().enumerate() {
                let (term, function) = (place / count, place % count);
                chebyshev[(function * runs.len() + run) * terms + term] = *value;
            }
        }
        let starts = runs.iter().map(|r| r.start).chain([basis.points()]);
        let starts = starts.map(|start| start as i32).collect();
        let run_of = runs.iter().enumerate();
        let run_of = run_of.flat_map(|(i, run)| std::iter::repeat_n(i as i32, run.len)).collect();
        let loaded = Loaded {
            chebyshev: memory.content(Content::Doubles(chebyshev)),
            starts: memory.content(Content::Integers(starts)),
            run_of: memory.content(Content::Integers(run_of)),
            abscissa: memory.content(Content::Reals(Arc::new(basis.abscissa().to_vec()))),
        };
        self.bases.push((basis.clone(), loaded));
        loaded
    }

    /// Prepares a sum of a basis's functions for a region.
    pub fn combine(&mut self, basis: &Arc<Basis>, coefficients: &[ScalarId]) -> Combined {
        let which = self.table(coefficients.iter().copied());
        let Loaded { chebyshev, run_of, abscissa, .. } = self.basis(basis);
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
            Argument::Integer(basis.count() as i32),
        ];
        self.schedule.launch("along", places.div_ceil(BLOCK), arguments);
        Combined { coefficients, run_of, abscissa, terms }
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
        let Loaded { chebyshev, starts, abscissa, .. } = self.basis(basis);
        let (runs, terms) = (basis.runs().len(), basis.terms());
        let moments = self.schedule.memory.scratch(8 * runs * terms);
        let arguments = vec![
            Argument::At(moments),
            Argument::At(source),
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
