//! One fused region: its instructions, and the tile registers that they work in.

use super::graph::{Id, Node, SpaceId};
use super::plan::Planner;
use super::transform::Transform;
use crate::device::program::{Code, FieldId, Operand, Projection, Region, Stream, Sum, Summand};
use rustc_hash::FxHashMap as HashMap;

/// The region that computes `nodes`, of one home and level, over `space`.
pub fn region(planner: &Planner, space: SpaceId, nodes: &[Id], arrays: &[Id]) -> Region {
    let logs: Vec<Id> = nodes
        .iter()
        .filter(|&&id| planner.summed_log(id).is_some())
        .flat_map(|&id| planner.graph.inputs(id))
        .collect();
    let mut writer = RegionWriter {
        planner,
        last_use: last_uses(planner, nodes, arrays),
        region: Region { len: planner.graph.spaces[space], ..Region::default() },
        slots: Vec::new(),
        free: Vec::new(),
    };
    for (position, &id) in nodes.iter().enumerate() {
        if !logs.contains(&id) {
            writer.write(id);
        }
        writer.release(position);
    }
    writer.finish(nodes, arrays)
}

/// For every value that a region computes, the position of the last instruction that reads it; none
/// for those that are read when the region ends.
fn last_uses(planner: &Planner, nodes: &[Id], arrays: &[Id]) -> HashMap<Id, Option<usize>> {
    let mut last = HashMap::default();
    for (position, &id) in nodes.iter().enumerate() {
        if let Some(x) = planner.summed_log(id) {
            last.insert(x, None);
            continue;
        }
        let at_end = matches!(
            planner.graph.node(id),
            Node::Sum(_) | Node::Project(..) | Node::Complex(..) | Node::Adjoint(..)
        );
        for input in planner.graph.inputs(id) {
            let entry = last.entry(input).or_insert(Some(position));
            *entry = if at_end || entry.is_none() { None } else { Some(position) };
        }
        // A result that nobody here reads, or that is kept, lives to the end.
        last.entry(id).or_insert(Some(position));
        if planner.stored[id].is_some() || arrays.contains(&id) {
            last.insert(id, None);
        }
    }
    last
}

/// Writes one region's code, giving out tile registers.
struct RegionWriter<'p, 'g> {
    planner: &'p Planner<'g>,
    last_use: HashMap<Id, Option<usize>>,
    region: Region,
    /// The values that are in registers, few at a time.
    slots: Vec<(Id, usize)>,
    free: Vec<usize>,
}

impl RegionWriter<'_, '_> {
    fn operand(&self, id: Id) -> Operand {
        if let Some(&(_, slot)) = self.slots.iter().find(|slot| slot.0 == id) {
            Operand::Slot(slot)
        } else if let Some(scalar) = self.planner.scalars[id] {
            Operand::Scalar(scalar)
        } else {
            Operand::Array(self.planner.array(id))
        }
    }

    fn new_slot(&mut self, id: Id) -> usize {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.region.slots += 1;
            self.region.slots - 1
        });
        self.slots.push((id, slot));
        slot
    }

    /// Frees the registers of values that nothing after `position` reads.
    fn release(&mut self, position: usize) {
        let last_use = &self.last_use;
        let free = &mut self.free;
        self.slots.retain(|(id, slot)| {
            let keep = last_use[id].is_none_or(|last| last > position);
            if !keep {
                free.push(*slot);
            }
            keep
        });
        self.free.sort_unstable_by(|a, b| b.cmp(a));
    }

    fn write(&mut self, id: Id) {
        let planner = self.planner;
        match planner.graph.node(id) {
            Node::Map(op, a, b) => {
                let (a, b) = (self.operand(*a), self.operand(*b));
                let out = self.new_slot(id);
                self.region.code.push(Code::Map { op: *op, a, b, out });
            }
            Node::Expand(a, _) => {
                let a = self.operand(*a);
                let out = self.new_slot(id);
                let op = crate::device::Op::Copy;
                self.region.code.push(Code::Map { op, a, b: a, out });
            }
            Node::Combine(basis, vector) => {
                let out = self.new_slot(id);
                self.region.code.push(Code::Combine {
                    basis: planner.graph.bases[*basis].basis.clone(),
                    coefficients: planner.vectors[vector].clone(),
                    out,
                });
            }
            Node::Transform(transform, field) => {
                let stream = self.stream(*transform, planner.fields[field]);
                self.region.forward.push(stream);
            }
            Node::Re(field) | Node::Im(field) => {
                let is_re = matches!(planner.graph.node(id), Node::Re(_));
                let kept = self.new_slot(id);
                let other = self.spare_slot();
                let (re, im) = if is_re { (kept, other) } else { (other, kept) };
                let code = match planner.graph.node(*field) {
                    Node::Transform(transform, input)
                        if planner.graph.scattered(*field).is_none() =>
                    {
                        let wanted = self.stream(*transform, planner.fields[input]);
                        let stream = self.region.forward.iter().position(|s| {
                            s.field == wanted.field
                                && std::sync::Arc::ptr_eq(&s.transform, &wanted.transform)
                        });
                        Code::LoadStream {
                            stream: stream.expect("a transform precedes its parts"),
                            re,
                            im,
                        }
                    }
                    _ => Code::LoadField { field: planner.fields[field], re, im },
                };
                self.merge_load(code, is_re);
            }
            _ => {}
        }
    }

    /// A transform that passes by while the region runs.
    fn stream(&self, transform: usize, field: FieldId) -> Stream {
        match &self.planner.graph.transforms[transform].transform {
            Transform::Grid(transform) => Stream { transform: transform.clone(), field },
            Transform::Scattered(_) => unreachable!("scattered samples are a step of their own"),
        }
    }

    /// A register whose content nobody will read.
    fn spare_slot(&mut self) -> usize {
        match self.free.last() {
            Some(&slot) => slot,
            None => {
                self.region.slots += 1;
                self.free.push(self.region.slots - 1);
                self.region.slots - 1
            }
        }
    }

    /// Adds a load of one part of a field; the two parts in a row become one load.
    fn merge_load(&mut self, code: Code, is_re: bool) {
        if !is_re && let Some(previous) = self.region.code.last_mut() {
            match (previous, &code) {
                (
                    Code::LoadStream { stream, im, .. },
                    Code::LoadStream { stream: s, im: i, .. },
                ) if stream == s => {
                    *im = *i;
                    return;
                }
                (Code::LoadField { field, im, .. }, Code::LoadField { field: f, im: i, .. })
                    if field == f =>
                {
                    *im = *i;
                    return;
                }
                _ => {}
            }
        }
        self.region.code.push(code);
    }

    fn finish(mut self, nodes: &[Id], arrays: &[Id]) -> Region {
        let planner = self.planner;
        for &id in nodes {
            if let Some(array) = planner.stored[id] {
                debug_assert!(self.slots.iter().any(|s| s.0 == id) || arrays.contains(&id));
                self.region.stores.push((self.operand(id), array));
            }
            match planner.graph.node(id) {
                Node::Sum(a) => {
                    let (x, summand) = match planner.summed_log(id) {
                        Some(x) => (x, Summand::Ln1p),
                        None => (*a, Summand::Itself),
                    };
                    self.region.sums.push(Sum {
                        source: self.operand(x),
                        summand,
                        scalar: planner.scalar(id),
                    });
                }
                Node::Project(basis, a) => {
                    let source = self.operand(*a);
                    self.region.projections.push(Projection {
                        basis: planner.graph.bases[*basis].basis.clone(),
                        source,
                        sums: planner.vectors[&id].clone(),
                    });
                }
                Node::Complex(re, im) => {
                    if let Some(&field) = planner.fields.get(&id) {
                        let (re, im) = (self.operand(*re), self.operand(*im));
                        self.region.field_stores.push((re, im, field));
                    }
                }
                Node::Adjoint(transform, cotangent) => {
                    let Node::Complex(re, im) = planner.graph.node(*cotangent) else {
                        unreachable!("cotangents of a transform are made of two parts");
                    };
                    let parts = (self.operand(*re), self.operand(*im));
                    self.region.cotangents.push(parts);
                    let stream = self.stream(*transform, planner.fields[&id]);
                    self.region.adjoint.push(stream);
                }
                _ => {}
            }
        }
        self.region
    }
}
