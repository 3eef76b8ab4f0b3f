//! Regions that do not wait for each other are worked on together: threads that shared the regions of small
//! maps one after the other would wait for each other longer than they work.

use crate::device::program::{ArrayId, Code, FieldId, Operand, Program, Region, ScalarId, Step};
use rustc_hash::FxHashSet as HashSet;
use std::ops::Range;

/// What a region reads or writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Place {
    Scalar(ScalarId),
    Array(ArrayId),
    Field(FieldId),
}

/// The rounds of a program, as ranges of its regions' numbers: regions that follow each other, each of which
/// reads and writes nothing that another one writes. `fits` says whether a range is not too much at once.
pub fn rounds(program: &Program, fits: impl Fn(Range<usize>) -> bool) -> Vec<Range<usize>> {
    let mut rounds: Vec<Range<usize>> = Vec::new();
    // What the regions of the last round read and write.
    let (mut all_read, mut all_written) = (HashSet::default(), HashSet::default());
    let (mut number, mut open) = (0, false);
    for step in &program.steps {
        let Step::Region(region) = step else {
            open = false;
            continue;
        };
        let (read, written) = (read(region), written(region));
        let apart = written.is_disjoint(&all_written)
            && written.is_disjoint(&all_read)
            && read.is_disjoint(&all_written);
        match rounds.last_mut() {
            Some(round) if open && apart && fits(round.start..number + 1) => {
                round.end = number + 1;
                all_read.extend(read);
                all_written.extend(written);
            }
            _ => {
                rounds.push(number..number + 1);
                (all_read, all_written) = (read, written);
            }
        }
        (number, open) = (number + 1, true);
    }
    rounds
}

fn read(region: &Region) -> HashSet<Place> {
    let place = |operand: Operand| match operand {
        Operand::Slot(_) => None,
        Operand::Array(id) => Some(Place::Array(id)),
        Operand::Scalar(id) => Some(Place::Scalar(id)),
    };
    let of_code = region.code.iter().flat_map(|code| match code {
        Code::LoadField { field, .. } => vec![Place::Field(*field)],
        Code::Map { .. } | Code::LoadStream { .. } => Vec::new(),
        Code::Combine { coefficients, .. } => {
            coefficients.iter().map(|&id| Place::Scalar(id)).collect()
        }
    });
    let fields = region.forward.iter().map(|stream| Place::Field(stream.field));
    of_code.chain(fields).chain(region.operands().filter_map(place)).collect()
}

fn written(region: &Region) -> HashSet<Place> {
    let arrays = region.stores.iter().map(|s| Place::Array(s.1));
    let fields =
        region.field_stores.iter().map(|s| s.2).chain(region.adjoint.iter().map(|s| s.field));
    let scalars = region.sums.iter().map(|s| s.scalar);
    let scalars = scalars.chain(region.projections.iter().flat_map(|p| p.sums.iter().copied()));
    arrays.chain(fields.map(Place::Field)).chain(scalars.map(Place::Scalar)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Op;
    use crate::device::program::{Sum, Summand};

    /// Reads an array and a scalar, sums to a scalar and stores to an array.
    fn region(array: usize, scalar: usize, sum: usize, store: usize) -> Step {
        let code =
            Code::Map { op: Op::Mul, a: Operand::Array(array), b: Operand::Scalar(scalar), out: 0 };
        let source = Operand::Slot(0);
        Step::Region(Region {
            code: vec![code],
            sums: vec![Sum { source, summand: Summand::Itself, scalar: sum }],
            stores: vec![(source, store)],
            ..Region::default()
        })
    }

    #[test]
    fn regions_share_a_round_unless_one_waits_for_another() {
        let of = |steps: Vec<Step>, most: usize| {
            let program = Program { steps, ..Program::default() };
            let rounds = rounds(&program, |range| range.len() <= most);
            rounds.into_iter().map(|r| (r.start, r.end)).collect::<Vec<_>>()
        };
        let three = || vec![region(0, 0, 1, 1), region(0, 0, 2, 2), region(0, 0, 3, 3)];
        assert_eq!(of(three(), 9), [(0, 3)]);
        assert_eq!(of(three(), 2), [(0, 2), (2, 3)]);
        let mut parted = three();
        parted.insert(1, Step::Scalars(Vec::new()));
        assert_eq!(of(parted, 9), [(0, 1), (1, 3)]);
        // Reads the first's store, reads its sum, writes what it reads, writes what it writes.
        for second in
            [region(1, 0, 2, 2), region(0, 1, 2, 2), region(5, 0, 2, 0), region(0, 0, 2, 1)]
        {
            assert_eq!(of(vec![region(0, 0, 1, 1), second], 9), [(0, 1), (1, 2)]);
        }
    }
}
