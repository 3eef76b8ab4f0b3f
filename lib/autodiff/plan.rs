//! From a graph to a program: which nodes are computed together, and where results are kept.
//!
//! Every node that computes something has a *home*, the space it runs over (or the scalars), and a
//! *level*. Element-wise nodes of one home that feed each other share a level; a value that crosses
//! homes, or comes out of a sum, is ready one level later. All nodes of one home and level make one
//! fused region, so its array results need storing only where a later level reads them.

use super::graph::{Graph, Id, Node, Shape, SpaceId};
use crate::device::program::{
    Array, ArrayId, Code, FieldId, Operand, Program, Projection, Region, ScalarCode, ScalarId,
    Step, Stream,
};
use std::collections::{BTreeMap, HashMap};

/// Where a node is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Home {
    Scalars,
    Space(SpaceId),
}

/// Plans the computation of some scalar and array nodes.
pub fn plan(graph: &Graph, outputs: &[Id], arrays: &[Id]) -> Program {
    let mut planner = Planner::new(graph, outputs, arrays);
    planner.sink();
    planner.allocate(arrays);
    planner.emit(outputs, arrays)
}

struct Planner<'g> {
    graph: &'g Graph,
    live: Vec<bool>,
    /// The live nodes that read each node.
    readers: Vec<Vec<Id>>,
    level: Vec<usize>,
    program: Program,
    scalars: HashMap<Id, ScalarId>,
    vectors: HashMap<Id, Vec<ScalarId>>,
    stored: HashMap<Id, ArrayId>,
    fields: HashMap<Id, FieldId>,
}

impl<'g> Planner<'g> {
    fn new(graph: &'g Graph, outputs: &[Id], arrays: &[Id]) -> Self {
        let mut live = vec![false; graph.len()];
        let mut stack: Vec<Id> = outputs.iter().chain(arrays).copied().collect();
        while let Some(id) = stack.pop() {
            if !std::mem::replace(&mut live[id], true) {
                stack.extend(graph.inputs(id));
            }
        }
        let mut planner = Planner {
            graph,
            live,
            readers: vec![Vec::new(); graph.len()],
            level: vec![0; graph.len()],
            program: Program::default(),
            scalars: HashMap::new(),
            vectors: HashMap::new(),
            stored: HashMap::new(),
            fields: HashMap::new(),
        };
        for id in planner.computed() {
            for input in graph.inputs(id) {
                planner.readers[input].push(id);
            }
            planner.level[id] = planner.earliest(id);
        }
        planner
    }

    /// The live nodes, inputs first.
    fn live_nodes(&self) -> impl Iterator<Item = Id> + use<> {
        let live = self.live.clone();
        (0..live.len()).filter(move |&id| live[id])
    }

    /// The live nodes that compute something, inputs first.
    fn computed(&self) -> Vec<Id> {
        self.live_nodes().filter(|&id| !self.is_leaf(id)).collect()
    }

    fn is_leaf(&self, id: Id) -> bool {
        matches!(
            self.graph.node(id),
            Node::Constant(_) | Node::Parameter(_) | Node::Data(_)
        )
    }

    /// Whether a node's result is ready only after the region that makes it.
    fn is_barrier(&self, id: Id) -> bool {
        matches!(
            self.graph.node(id),
            Node::Sum(_) | Node::Project(..) | Node::Adjoint(..)
        )
    }

    fn home(&self, id: Id) -> Home {
        match self.graph.node(id) {
            // Reductions belong to the region that they end.
            Node::Sum(a) | Node::Project(_, a) | Node::Adjoint(_, a) => self.home(*a),
            _ => match self.graph.shape(id) {
                Shape::Scalar | Shape::Vector(_) => Home::Scalars,
                Shape::Array(space) | Shape::Field(space) => Home::Space(space),
            },
        }
    }

    fn earliest(&self, id: Id) -> usize {
        let home = self.home(id);
        let ready = |&input: &Id| {
            if self.is_leaf(input) {
                0
            } else if self.is_barrier(input) || self.home(input) != home {
                self.level[input] + 1
            } else {
                self.level[input]
            }
        };
        self.graph.inputs(id).iter().map(ready).max().unwrap_or(0)
    }

    /// Moves work to the level of its first reader where that stores no more than before: constants
    /// spread or scaled ahead of time would cost a pass over memory each.
    fn sink(&mut self) {
        for id in self.computed().into_iter().rev() {
            let movable = match self.graph.node(id) {
                Node::Map(..) | Node::Expand(..) | Node::Combine(..) => {
                    matches!(self.graph.shape(id), Shape::Array(_))
                }
                Node::Re(field) | Node::Im(field) => {
                    matches!(self.graph.node(*field), Node::Adjoint(..))
                }
                _ => false,
            };
            let home = self.home(id);
            let Some(first) = self.readers[id].iter().map(|&r| self.level[r]).min() else {
                continue;
            };
            let inputs_to_store = self
                .graph
                .inputs(id)
                .iter()
                .filter(|&&i| {
                    !self.is_leaf(i)
                        && !self.is_barrier(i)
                        && self.home(i) == home
                        && self.level[i] < first
                })
                .count();
            if movable && first > self.level[id] && inputs_to_store <= 1 {
                self.level[id] = first;
            }
        }
    }

    /// Gives every scalar, every array that crosses levels and every stored field its place.
    fn allocate(&mut self, array_outputs: &[Id]) {
        self.program.parameters = self.graph.parameters;
        self.program.scalars = vec![0.0; self.graph.parameters];
        for id in self.live_nodes() {
            let home = self.home(id);
            match self.graph.node(id) {
                Node::Parameter(i) => {
                    self.scalars.insert(id, *i);
                }
                Node::Constant(bits) => {
                    let scalar = self.new_scalar(f64::from_bits(*bits));
                    self.scalars.insert(id, scalar);
                }
                Node::Data(i) => {
                    let array = Array::Data(self.graph.data[*i].0.clone());
                    self.program.arrays.push(array);
                    self.stored.insert(id, self.program.arrays.len() - 1);
                }
                Node::Stack(inputs) => {
                    let scalars = inputs.iter().map(|i| self.scalars[i]).collect();
                    self.vectors.insert(id, scalars);
                }
                Node::Index(vector, i) => {
                    let scalar = self.vectors[vector][*i];
                    self.scalars.insert(id, scalar);
                }
                Node::Project(basis, _) => {
                    let count = self.graph.bases[*basis].basis.count();
                    let scalars = (0..count).map(|_| self.new_scalar(0.0)).collect();
                    self.vectors.insert(id, scalars);
                }
                Node::Adjoint(..) => self.new_field(id),
                Node::Complex(..) => {
                    let is_transform = |&r: &Id| matches!(self.graph.node(r), Node::Transform(..));
                    if self.readers[id].iter().any(is_transform) {
                        self.new_field(id);
                    }
                }
                _ if self.graph.shape(id) == Shape::Scalar => {
                    let scalar = self.new_scalar(0.0);
                    self.scalars.insert(id, scalar);
                }
                _ => {
                    let later = |&r: &Id| self.home(r) == home && self.level[r] > self.level[id];
                    let is_array = matches!(self.graph.shape(id), Shape::Array(_));
                    if is_array
                        && (array_outputs.contains(&id) || self.readers[id].iter().any(later))
                    {
                        let Shape::Array(space) = self.graph.shape(id) else {
                            continue;
                        };
                        let work = Array::Work(self.graph.spaces[space]);
                        self.program.arrays.push(work);
                        self.stored.insert(id, self.program.arrays.len() - 1);
                    }
                }
            }
        }
    }

    fn new_scalar(&mut self, value: f64) -> ScalarId {
        self.program.scalars.push(value);
        self.program.scalars.len() - 1
    }

    fn new_field(&mut self, id: Id) {
        let Shape::Field(space) = self.graph.shape(id) else {
            unreachable!("only fields are stored as fields");
        };
        self.program.fields.push(self.graph.spaces[space]);
        self.fields.insert(id, self.program.fields.len() - 1);
    }

    /// Writes the steps, level by level.
    fn emit(mut self, outputs: &[Id], arrays: &[Id]) -> Program {
        let mut groups: BTreeMap<(usize, Home), Vec<Id>> = BTreeMap::new();
        for id in self.computed() {
            groups
                .entry((self.level[id], self.home(id)))
                .or_default()
                .push(id);
        }
        for ((_, home), nodes) in groups {
            let step = match home {
                Home::Scalars => self.scalar_step(&nodes),
                Home::Space(space) => Some(Step::Region(self.region(space, &nodes, arrays))),
            };
            self.program.steps.extend(step);
        }
        self.program.outputs = outputs.iter().map(|id| self.scalars[id]).collect();
        self.program.array_outputs = arrays.iter().map(|id| self.stored[id]).collect();
        self.program
    }

    fn scalar_step(&self, nodes: &[Id]) -> Option<Step> {
        let code: Vec<_> = nodes
            .iter()
            .filter_map(|id| match self.graph.node(*id) {
                Node::Map(op, a, b) => Some(ScalarCode {
                    op: *op,
                    a: self.scalars[a],
                    b: self.scalars[b],
                    out: self.scalars[id],
                }),
                _ => None,
            })
            .collect();
        (!code.is_empty()).then_some(Step::Scalars(code))
    }

    fn region(&self, space: SpaceId, nodes: &[Id], arrays: &[Id]) -> Region {
        let mut writer = RegionWriter {
            planner: self,
            last_use: last_uses(self, nodes, arrays),
            region: Region {
                len: self.graph.spaces[space],
                ..Region::default()
            },
            slots: HashMap::new(),
            free: Vec::new(),
        };
        for (position, &id) in nodes.iter().enumerate() {
            writer.write(id);
            writer.release(position);
        }
        writer.finish(nodes, arrays)
    }
}

/// For every value that a region computes, the position of the last instruction that reads it; none
/// for those that are read when the region ends.
fn last_uses(planner: &Planner, nodes: &[Id], arrays: &[Id]) -> HashMap<Id, Option<usize>> {
    let mut last = HashMap::new();
    for (position, &id) in nodes.iter().enumerate() {
        let at_end = matches!(
            planner.graph.node(id),
            Node::Sum(_) | Node::Project(..) | Node::Complex(..) | Node::Adjoint(..)
        );
        for input in planner.graph.inputs(id) {
            let entry = last.entry(input).or_insert(Some(position));
            *entry = if at_end || entry.is_none() {
                None
            } else {
                Some(position)
            };
        }
        // A result that nobody here reads, or that is kept, lives to the end.
        last.entry(id).or_insert(Some(position));
        if planner.stored.contains_key(&id) || arrays.contains(&id) {
            last.insert(id, None);
        }
    }
    for (&id, _) in planner.stored.iter() {
        if let Some(entry) = last.get_mut(&id)
            && nodes.contains(&id)
        {
            *entry = None;
        }
    }
    last
}

/// Writes one region's code, giving out tile registers.
struct RegionWriter<'p, 'g> {
    planner: &'p Planner<'g>,
    last_use: HashMap<Id, Option<usize>>,
    region: Region,
    slots: HashMap<Id, usize>,
    free: Vec<usize>,
}

impl RegionWriter<'_, '_> {
    fn operand(&self, id: Id) -> Operand {
        if let Some(&slot) = self.slots.get(&id) {
            Operand::Slot(slot)
        } else if let Some(&scalar) = self.planner.scalars.get(&id) {
            Operand::Scalar(scalar)
        } else {
            Operand::Array(self.planner.stored[&id])
        }
    }

    fn new_slot(&mut self, id: Id) -> usize {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.region.slots += 1;
            self.region.slots - 1
        });
        self.slots.insert(id, slot);
        slot
    }

    /// Frees the registers of values that nothing after `position` reads.
    fn release(&mut self, position: usize) {
        let last_use = &self.last_use;
        let free = &mut self.free;
        self.slots.retain(|id, slot| {
            let keep = last_use[id].is_none_or(|last| last > position);
            if !keep {
                free.push(*slot);
            }
            keep
        });
        // The map's order is random; programs must not be.
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
            Node::Transform(transform, field) => self.region.forward.push(Stream {
                transform: planner.graph.transforms[*transform].transform.clone(),
                field: planner.fields[field],
            }),
            Node::Re(field) | Node::Im(field) => {
                let is_re = matches!(planner.graph.node(id), Node::Re(_));
                let kept = self.new_slot(id);
                let other = self.spare_slot();
                let (re, im) = if is_re { (kept, other) } else { (other, kept) };
                let code = match planner.graph.node(*field) {
                    Node::Transform(transform, input) => {
                        let wanted = &planner.graph.transforms[*transform].transform;
                        let field = planner.fields[input];
                        let stream = self.region.forward.iter().position(|s| {
                            s.field == field && std::sync::Arc::ptr_eq(&s.transform, wanted)
                        });
                        Code::LoadStream {
                            stream: stream.expect("a transform precedes its parts"),
                            re,
                            im,
                        }
                    }
                    _ => Code::LoadField {
                        field: planner.fields[field],
                        re,
                        im,
                    },
                };
                self.merge_load(code, is_re);
            }
            _ => {}
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
                    Code::LoadStream {
                        stream: s, im: i, ..
                    },
                ) if stream == s => {
                    *im = *i;
                    return;
                }
                (
                    Code::LoadField { field, im, .. },
                    Code::LoadField {
                        field: f, im: i, ..
                    },
                ) if field == f => {
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
            if let Some(&array) = planner.stored.get(&id) {
                debug_assert!(self.slots.contains_key(&id) || arrays.contains(&id));
                self.region
                    .stores
                    .push((self.operand_in_register(id), array));
            }
            match planner.graph.node(id) {
                Node::Sum(a) => {
                    let source = self.operand(*a);
                    self.region.sums.push((source, planner.scalars[&id]));
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
                    self.region.adjoint.push(Stream {
                        transform: planner.graph.transforms[*transform].transform.clone(),
                        field: planner.fields[&id],
                    });
                }
                _ => {}
            }
        }
        self.region
    }

    fn operand_in_register(&self, id: Id) -> Operand {
        self.slots
            .get(&id)
            .map_or_else(|| self.operand(id), |&slot| Operand::Slot(slot))
    }
}
