//! From a graph to a program: which nodes are computed together, and where results are kept.
//!
//! Every node that computes something has a *home*, the space it runs over (or the scalars), and a
//! *level*. Element-wise nodes of one home that feed each other share a level; a value that crosses
//! homes, or comes out of a sum, is ready one level later. All nodes of one home and level make one
//! fused region, so its array results need storing only where a later level reads them.

use super::graph::{Graph, Id, Node, Shape, SpaceId};
use super::region::region;
use crate::device::Op;
use crate::device::program::{
    Array, ArrayId, FieldId, Program, ScalarCode, ScalarId, ScatteredTransform, Step,
};
use rustc_hash::FxHashMap as HashMap;
use std::collections::BTreeMap;

/// Where a node is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Home {
    Scalars,
    Space(SpaceId),
    /// Transforms to scattered samples: no loop over a space, but a step of its own.
    Scattered,
}

/// Plans the computation of some scalar and array nodes from `parameters` parameters.
pub fn plan(graph: &Graph, parameters: usize, outputs: &[Id], arrays: &[Id]) -> Program {
    let mut planner = Planner::new(graph, outputs, arrays);
    planner.program.parameters = parameters;
    planner.program.scalars = vec![0.0; parameters];
    planner.sink();
    planner.allocate(arrays);
    planner.emit(outputs, arrays)
}

pub(super) struct Planner<'g> {
    pub graph: &'g Graph,
    live: Vec<bool>,
    readers: Readers,
    level: Vec<usize>,
    program: Program,
    /// For every node where it is, if it is a scalar or an array that is kept.
    pub scalars: Vec<Option<ScalarId>>,
    pub stored: Vec<Option<ArrayId>>,
    /// Where every vector and every stored field is.
    pub vectors: HashMap<Id, Vec<ScalarId>>,
    pub fields: HashMap<Id, FieldId>,
}

/// The live nodes that read each node.
struct Readers {
    /// Those of node `i` are `all[ends[i - 1]..ends[i]]`.
    ends: Vec<usize>,
    all: Vec<Id>,
}

impl Readers {
    /// Those among `nodes`, in their order.
    fn of(graph: &Graph, nodes: &[Id]) -> Self {
        let mut ends = vec![0; graph.count()];
        let inputs = || nodes.iter().flat_map(|&id| graph.inputs(id).map(move |input| (input, id)));
        inputs().for_each(|(input, _)| ends[input] += 1);
        // From how many each has to where they begin, and by writing them to where they end.
        let mut begun = 0;
        for end in &mut ends {
            begun += std::mem::replace(end, begun);
        }
        let mut all = vec![0; begun];
        for (input, id) in inputs() {
            all[ends[input]] = id;
            ends[input] += 1;
        }
        Readers { ends, all }
    }

    fn of_node(&self, id: Id) -> &[Id] {
        let first = if id == 0 { 0 } else { self.ends[id - 1] };
        &self.all[first..self.ends[id]]
    }
}

impl<'g> Planner<'g> {
    fn new(graph: &'g Graph, outputs: &[Id], arrays: &[Id]) -> Self {
        let mut planner = Planner {
            graph,
            live: graph.live(outputs.iter().chain(arrays).copied()),
            readers: Readers { ends: Vec::new(), all: Vec::new() },
            level: vec![0; graph.count()],
            program: Program::default(),
            scalars: vec![None; graph.count()],
            stored: vec![None; graph.count()],
            vectors: HashMap::default(),
            fields: HashMap::default(),
        };
        let computed = planner.computed();
        for &id in &computed {
            planner.level[id] = planner.earliest(id);
        }
        planner.readers = Readers::of(graph, &computed);
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
        matches!(self.graph.node(id), Node::Constant(_) | Node::Parameter(_) | Node::Data(_))
    }

    /// Whether a node's result is ready only after the region that makes it.
    fn is_barrier(&self, id: Id) -> bool {
        matches!(self.graph.node(id), Node::Sum(_) | Node::Project(..) | Node::Adjoint(..))
            || self.graph.scattered(id).is_some()
    }

    fn home(&self, id: Id) -> Home {
        if self.graph.scattered(id).is_some() {
            return Home::Scattered;
        }
        match self.graph.node(id) {
            // Reductions belong to the region that they end.
            Node::Sum(a) | Node::Project(_, a) | Node::Adjoint(_, a) => self.home(*a),
            _ => match self.graph.shape(id) {
                Shape::Scalar | Shape::Vector(_) => Home::Scalars,
                Shape::Array(space) | Shape::Field(space) => Home::Space(space),
            },
        }
    }

    /// For a sum of `ln(1 + x)` that nothing else reads: `x`, which the region sums instead.
    pub fn summed_log(&self, sum: Id) -> Option<Id> {
        let Node::Sum(log) = *self.graph.node(sum) else {
            return None;
        };
        let Node::Map(Op::Ln1p, x, _) = *self.graph.node(log) else {
            return None;
        };
        let alone = self.readers.of_node(log).len() == 1 && self.stored[log].is_none();
        let array = matches!(self.graph.shape(x), Shape::Array(_));
        (alone && array && self.level[log] == self.level[sum]).then_some(x)
    }

    fn earliest(&self, id: Id) -> usize {
        let home = self.home(id);
        let ready = |input: Id| {
            if self.is_leaf(input) {
                0
            } else if self.is_barrier(input) || self.home(input) != home {
                self.level[input] + 1
            } else {
                self.level[input]
            }
        };
        self.graph.inputs(id).map(ready).max().unwrap_or(0)
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
            let Some(first) = self.readers.of_node(id).iter().map(|&r| self.level[r]).min() else {
                continue;
            };
            let inputs_to_store = self
                .graph
                .inputs(id)
                .filter(|&i| {
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
        for id in self.live_nodes() {
            let home = self.home(id);
            match self.graph.node(id) {
                Node::Parameter(i) => {
                    self.scalars[id] = Some(*i);
                }
                Node::Constant(bits) => {
                    let scalar = self.new_scalar(f64::from_bits(*bits));
                    self.scalars[id] = Some(scalar);
                }
                Node::Data(i) => {
                    let array = Array::Data(self.graph.data[*i].clone());
                    self.program.arrays.push(array);
                    self.stored[id] = Some(self.program.arrays.len() - 1);
                }
                Node::Stack(inputs) => {
                    let scalars = inputs.iter().map(|&i| self.scalar(i)).collect();
                    self.vectors.insert(id, scalars);
                }
                Node::Index(vector, i) => {
                    let scalar = self.vectors[vector][*i];
                    self.scalars[id] = Some(scalar);
                }
                Node::Project(basis, _) => {
                    let count = self.graph.bases[*basis].basis.count();
                    let scalars = (0..count).map(|_| self.new_scalar(0.0)).collect();
                    self.vectors.insert(id, scalars);
                }
                Node::Adjoint(..) => self.new_field(id),
                Node::Transform(..) if home == Home::Scattered => self.new_field(id),
                Node::Complex(..) => {
                    let reads_stored = |&r: &Id| {
                        matches!(self.graph.node(r), Node::Transform(..))
                            || self.graph.scattered(r).is_some()
                    };
                    if self.readers.of_node(id).iter().any(reads_stored) {
                        self.new_field(id);
                    }
                }
                _ if self.graph.shape(id) == Shape::Scalar => {
                    let scalar = self.new_scalar(0.0);
                    self.scalars[id] = Some(scalar);
                }
                _ => {
                    let later = |&r: &Id| self.home(r) == home && self.level[r] > self.level[id];
                    if let Shape::Array(space) = self.graph.shape(id)
                        && (array_outputs.contains(&id)
                            || self.readers.of_node(id).iter().any(later))
                    {
                        let work = Array::Work(self.graph.spaces[space]);
                        self.program.arrays.push(work);
                        self.stored[id] = Some(self.program.arrays.len() - 1);
                    }
                }
            }
        }
    }

    /// Where a node is that is known to be a scalar.
    pub fn scalar(&self, id: Id) -> ScalarId {
        self.scalars[id].expect("every scalar has a place")
    }

    /// Where a node is that is known to be kept.
    pub fn array(&self, id: Id) -> ArrayId {
        self.stored[id].expect("a kept array has a place")
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
            groups.entry((self.level[id], self.home(id))).or_default().push(id);
        }
        for ((_, home), nodes) in groups {
            let step = match home {
                Home::Scalars => self.scalar_step(&nodes),
                Home::Space(space) => Some(Step::Region(region(&self, space, &nodes, arrays))),
                Home::Scattered => Some(self.scattered_step(&nodes)),
            };
            self.program.steps.extend(step);
        }
        self.program.outputs = outputs.iter().map(|&id| self.scalar(id)).collect();
        self.program.array_outputs = arrays.iter().map(|&id| self.array(id)).collect();
        self.program
    }

    fn scattered_step(&self, nodes: &[Id]) -> Step {
        let one = |id: &Id| match (self.graph.node(*id), self.graph.scattered(*id)) {
            (node @ (Node::Transform(_, from) | Node::Adjoint(_, from)), Some(transform)) => {
                ScatteredTransform {
                    transform: transform.clone(),
                    adjoint: matches!(node, Node::Adjoint(..)),
                    from: self.fields[from],
                    to: self.fields[id],
                }
            }
            _ => unreachable!("only transforms are at home here"),
        };
        Step::Scattered(nodes.iter().map(one).collect())
    }

    fn scalar_step(&self, nodes: &[Id]) -> Option<Step> {
        let code: Vec<_> = nodes
            .iter()
            .filter_map(|id| match self.graph.node(*id) {
                Node::Map(op, a, b) => Some(ScalarCode {
                    op: *op,
                    a: self.scalar(*a),
                    b: self.scalar(*b),
                    out: self.scalar(*id),
                }),
                _ => None,
            })
            .collect();
        (!code.is_empty()).then_some(Step::Scalars(code))
    }
}
