//! The recorded graph: nodes, their shapes, and the simplifications made as they are added.

use super::transform::Transform;
use crate::device::{Basis, Op, Scattered, Values};
use rustc_hash::FxHashMap as HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

/// Index of a node; inputs always come before the nodes that use them.
pub type Id = usize;
/// Index of an array's space.
pub type SpaceId = usize;

/// One operation of the graph.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Node {
    /// A number, as its bits so that equal constants are one node.
    Constant(u64),
    Parameter(usize),
    /// An array that never changes: index into [`Graph::data`].
    Data(usize),
    /// An element-wise operation; unary ones repeat their operand.
    Map(Op, Id, Id),
    /// A scalar spread over a space.
    Expand(Id, SpaceId),
    /// The sum over an array.
    Sum(Id),
    /// Scalars gathered in a vector, and one of them taken out.
    Stack(Vec<Id>),
    Index(Id, usize),
    /// A vector of coefficients spread by a basis, and the adjoint of that.
    Combine(usize, Id),
    Project(usize, Id),
    /// A complex field from its parts, and the parts of a field.
    Complex(Id, Id),
    Re(Id),
    Im(Id),
    /// A Fourier transform of a field, and its adjoint.
    Transform(usize, Id),
    Adjoint(usize, Id),
}

/// What a node holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    Scalar,
    Vector(usize),
    Array(SpaceId),
    Field(SpaceId),
}

/// A basis and the space that its points are.
#[derive(Debug, Clone)]
pub struct BasisEntry {
    pub basis: Arc<Basis>,
    pub space: SpaceId,
}

/// A transform, from the space of its pixels to that of its outputs.
#[derive(Debug, Clone)]
pub struct TransformEntry {
    pub transform: Transform,
    pub input: SpaceId,
    pub output: SpaceId,
}

/// Everything recorded so far.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    nodes: Vec<Node>,
    shapes: Vec<Shape>,
    known: HashMap<Node, Id>,
    /// The length of every space.
    pub spaces: Vec<usize>,
    pub data: Vec<Values>,
    pub bases: Vec<BasisEntry>,
    pub transforms: Vec<TransformEntry>,
}

impl Graph {
    pub fn count(&self) -> usize {
        self.nodes.len()
    }

    pub fn node(&self, id: Id) -> &Node {
        &self.nodes[id]
    }

    pub fn shape(&self, id: Id) -> Shape {
        self.shapes[id]
    }

    /// The nodes that `id` reads.
    pub fn inputs(&self, id: Id) -> impl Iterator<Item = Id> + '_ {
        let (first, second, stacked): (_, _, &[Id]) = match &self.nodes[id] {
            Node::Constant(_) | Node::Parameter(_) | Node::Data(_) => (None, None, &[]),
            Node::Map(op, a, _) if op.arity() == 1 => (Some(*a), None, &[]),
            Node::Map(_, a, b) | Node::Complex(a, b) => (Some(*a), Some(*b), &[]),
            Node::Stack(inputs) => (None, None, inputs),
            Node::Expand(a, _)
            | Node::Sum(a)
            | Node::Index(a, _)
            | Node::Combine(_, a)
            | Node::Project(_, a)
            | Node::Re(a)
            | Node::Im(a)
            | Node::Transform(_, a)
            | Node::Adjoint(_, a) => (Some(*a), None, &[]),
        };
        first.into_iter().chain(second).chain(stacked.iter().copied())
    }

    /// Of every node, whether any of these depends on it.
    pub fn live(&self, outputs: impl Iterator<Item = Id>) -> Vec<bool> {
        let mut live = vec![false; self.count()];
        let mut stack: Vec<Id> = outputs.collect();
        while let Some(id) = stack.pop() {
            if !std::mem::replace(&mut live[id], true) {
                stack.extend(self.inputs(id));
            }
        }
        live
    }

    /// Adds a node, or finds the equal one that is already there.
    fn push(&mut self, node: Node, shape: Shape) -> Id {
        let id = self.nodes.len();
        match self.known.entry(node) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => {
                self.nodes.push(new.key().clone());
                self.shapes.push(shape);
                *new.insert(id)
            }
        }
    }

    pub fn constant(&mut self, value: f64) -> Id {
        self.push(Node::Constant(value.to_bits()), Shape::Scalar)
    }

    pub fn parameter(&mut self, index: usize) -> Id {
        self.push(Node::Parameter(index), Shape::Scalar)
    }

    /// The space of an array.
    ///
    /// # Panics
    /// For anything else.
    pub fn space_of(&self, array: Id) -> SpaceId {
        match self.shape(array) {
            Shape::Array(space) => space,
            shape => panic!("an array is needed, not {shape:?}"),
        }
    }

    pub fn space(&mut self, len: usize) -> SpaceId {
        self.spaces.push(len);
        self.spaces.len() - 1
    }

    pub fn data(&mut self, values: Values, space: SpaceId) -> Id {
        assert_eq!(values.count(), self.spaces[space], "data must fill its space");
        self.data.push(values);
        self.push(Node::Data(self.data.len() - 1), Shape::Array(space))
    }

    /// Adds a transform between the arrays of two spaces.
    ///
    /// # Panics
    /// When the lengths disagree, or `output` has the outputs of a transform that does not match.
    pub fn add_transform(
        &mut self,
        transform: Transform,
        input: SpaceId,
        output: SpaceId,
    ) -> usize {
        assert_eq!(self.spaces[input], transform.inputs(), "one element a pixel");
        assert_eq!(self.spaces[output], transform.outputs(), "one element an output");
        // A region streams its transforms block by block, so it has to have one shape of blocks.
        let others = self.transforms.iter().filter(|t| t.output == output);
        let alike = others.map(|t| &t.transform).all(|other| other.matches(&transform));
        assert!(alike, "the transforms of a space must match");
        self.transforms.push(TransformEntry { transform, input, output });
        self.transforms.len() - 1
    }

    /// An array of zeros over the space of `like`, equal to no other: a cotangent that is symbolic.
    pub fn placeholder(&mut self, like: Id) -> Id {
        let space = self.space_of(like);
        self.data(vec![0.0; self.spaces[space]].into(), space)
    }

    pub fn sum(&mut self, a: Id) -> Id {
        let Shape::Array(space) = self.shape(a) else {
            return a;
        };
        // Factors that are the same everywhere come out of the sum.
        match self.nodes[a] {
            Node::Expand(scalar, _) => {
                let count = self.constant(self.spaces[space] as f64);
                self.map(Op::Mul, scalar, count)
            }
            Node::Map(Op::Neg, x, _) => {
                let sum = self.sum(x);
                self.map(Op::Neg, sum, sum)
            }
            Node::Map(Op::Mul, x, y) if self.shape(x) == Shape::Scalar => {
                let sum = self.sum(y);
                self.map(Op::Mul, x, sum)
            }
            Node::Map(Op::Mul, x, y) if self.shape(y) == Shape::Scalar => {
                let sum = self.sum(x);
                self.map(Op::Mul, sum, y)
            }
            _ => self.push(Node::Sum(a), Shape::Scalar),
        }
    }

    pub fn expand(&mut self, scalar: Id, space: SpaceId) -> Id {
        self.push(Node::Expand(scalar, space), Shape::Array(space))
    }

    pub fn stack(&mut self, scalars: Vec<Id>) -> Id {
        let shape = Shape::Vector(scalars.len());
        self.push(Node::Stack(scalars), shape)
    }

    pub fn index(&mut self, vector: Id, i: usize) -> Id {
        match &self.nodes[vector] {
            Node::Stack(scalars) => scalars[i],
            _ => self.push(Node::Index(vector, i), Shape::Scalar),
        }
    }

    pub fn combine(&mut self, basis: usize, vector: Id) -> Id {
        let space = self.bases[basis].space;
        self.push(Node::Combine(basis, vector), Shape::Array(space))
    }

    pub fn project(&mut self, basis: usize, array: Id) -> Id {
        let count = self.bases[basis].basis.count();
        self.push(Node::Project(basis, array), Shape::Vector(count))
    }

    pub fn complex(&mut self, re: Id, im: Id) -> Id {
        let (Shape::Array(space), Shape::Array(other)) = (self.shape(re), self.shape(im)) else {
            panic!("a complex field takes two arrays");
        };
        assert_eq!(space, other, "both parts of a field must be of one space");
        self.push(Node::Complex(re, im), Shape::Field(space))
    }

    pub fn re(&mut self, field: Id) -> Id {
        let Shape::Field(space) = self.shape(field) else {
            panic!("only a complex field has a real part");
        };
        match self.nodes[field] {
            Node::Complex(re, _) => re,
            _ => self.push(Node::Re(field), Shape::Array(space)),
        }
    }

    pub fn im(&mut self, field: Id) -> Id {
        let Shape::Field(space) = self.shape(field) else {
            panic!("only a complex field has an imaginary part");
        };
        match self.nodes[field] {
            Node::Complex(_, im) => im,
            _ => self.push(Node::Im(field), Shape::Array(space)),
        }
    }

    pub fn transform(&mut self, transform: usize, field: Id) -> Id {
        let entry = &self.transforms[transform];
        assert_eq!(self.shapes[field], Shape::Field(entry.input), "wrong space");
        let shape = Shape::Field(entry.output);
        self.push(Node::Transform(transform, field), shape)
    }

    pub fn adjoint(&mut self, transform: usize, field: Id) -> Id {
        let entry = &self.transforms[transform];
        assert_eq!(self.shapes[field], Shape::Field(entry.output), "wrong space");
        let shape = Shape::Field(entry.input);
        self.push(Node::Adjoint(transform, field), shape)
    }

    /// The transform to scattered samples of a transform's node, or of its adjoint's.
    pub fn scattered(&self, id: Id) -> Option<&Arc<Scattered>> {
        let (Node::Transform(transform, _) | Node::Adjoint(transform, _)) = self.nodes[id] else {
            return None;
        };
        match &self.transforms[transform].transform {
            Transform::Scattered(scattered) => Some(scattered),
            Transform::Grid(_) => None,
        }
    }

    /// The value of a scalar constant.
    fn constant_value(&self, id: Id) -> Option<f64> {
        match self.nodes[id] {
            Node::Constant(bits) => Some(f64::from_bits(bits)),
            Node::Expand(scalar, _) => self.constant_value(scalar),
            _ => None,
        }
    }

    /// Adds `op(a, b)`; a unary operation ignores `b`. Broadcasts, folds constants and applies the
    /// identities that differentiation leaves many of.
    ///
    /// # Panics
    /// When `a` and `b` are arrays of two spaces, or no numbers at all.
    pub fn map(&mut self, op: Op, a: Id, b: Id) -> Id {
        let b = if op.arity() == 1 { a } else { b };
        let shape = match (self.shape(a), self.shape(b)) {
            (Shape::Scalar, Shape::Scalar) => Shape::Scalar,
            (Shape::Array(s), Shape::Scalar) | (Shape::Scalar, Shape::Array(s)) => Shape::Array(s),
            (Shape::Array(s), Shape::Array(t)) if s == t => Shape::Array(s),
            (Shape::Array(s), Shape::Array(t)) => panic!(
                "arrays of two spaces cannot be combined (lengths {} and {})",
                self.spaces[s], self.spaces[t]
            ),
            _ => panic!("vectors and fields have no element-wise operations"),
        };
        if let Shape::Array(space) = shape {
            // Work on the scalar under an expansion instead of on the array.
            let under = |graph: &Graph, id: Id| match graph.nodes[id] {
                Node::Expand(scalar, _) => scalar,
                _ => id,
            };
            let (scalar_a, scalar_b) = (under(self, a), under(self, b));
            if self.shape(scalar_a) == Shape::Scalar && self.shape(scalar_b) == Shape::Scalar {
                let scalar = self.map(op, scalar_a, scalar_b);
                return self.expand(scalar, space);
            }
            if (scalar_a, scalar_b) != (a, b) {
                return self.map(op, scalar_a, scalar_b);
            }
        }
        if let Some(id) = self.simplify(op, a, b, shape) {
            return id;
        }
        let commutes = matches!(op, Op::Add | Op::Mul | Op::Norm2);
        let (a, b) = if commutes && b < a { (b, a) } else { (a, b) };
        self.push(Node::Map(op, a, b), shape)
    }

    /// A simpler node equal to `op(a, b)`, if there is one.
    fn simplify(&mut self, op: Op, a: Id, b: Id, shape: Shape) -> Option<Id> {
        let (ca, cb) = (self.constant_value(a), self.constant_value(b));
        if let (Some(x), Some(y), Shape::Scalar) = (ca, cb, shape) {
            return Some(self.constant(op.apply(x, y)));
        }
        let is_scalar = |graph: &Graph, id: Id| graph.shape(id) == Shape::Scalar;
        match (op, ca, cb) {
            (Op::Powi(2), ..) => Some(self.map(Op::Square, a, a)),
            (Op::Powi(1), ..) => Some(a),
            (Op::Add | Op::Sub, _, Some(0.0)) | (Op::Mul | Op::Div, _, Some(1.0)) => Some(a),
            (Op::Add, Some(0.0), _) | (Op::Mul, Some(1.0), _) => Some(b),
            (Op::Sub, Some(0.0), _) | (Op::Mul, Some(-1.0), _) => Some(self.map(Op::Neg, b, b)),
            (Op::Mul | Op::Div, _, Some(-1.0)) => Some(self.map(Op::Neg, a, a)),
            (Op::Mul, Some(0.0), _) | (Op::Mul, _, Some(0.0)) => {
                let zero = self.constant(0.0);
                Some(match shape {
                    Shape::Array(space) => self.expand(zero, space),
                    _ => zero,
                })
            }
            (Op::Mul, ..) if a == b => Some(self.map(Op::Square, a, a)),
            // One reciprocal instead of a division an element.
            (Op::Div, ..) if !is_scalar(self, a) && is_scalar(self, b) => {
                let one = self.constant(1.0);
                let reciprocal = self.map(Op::Div, one, b);
                Some(self.map(Op::Mul, a, reciprocal))
            }
            (Op::Neg, ..) => match self.nodes[a] {
                Node::Map(Op::Neg, x, _) => Some(x),
                _ => None,
            },
            (Op::Sub, ..) => match self.nodes[b] {
                Node::Map(Op::Neg, y, _) => Some(self.map(Op::Add, a, y)),
                _ => None,
            },
            (Op::Add | Op::Mul, ..) => self.absorb(op, a, b).or_else(|| self.absorb(op, b, a)),
            _ => None,
        }
    }

    /// A simpler node for a sum or a product, by what `other` is made of.
    fn absorb(&mut self, op: Op, a: Id, other: Id) -> Option<Id> {
        let is_scalar = |graph: &Graph, id: Id| graph.shape(id) == Shape::Scalar;
        let Node::Map(inner, x, y) = self.nodes[other] else { return None };
        match (op, inner) {
            (Op::Add, Op::Neg) => Some(self.map(Op::Sub, a, x)),
            (Op::Add, Op::Square) => match self.nodes[a] {
                Node::Map(Op::Square, z, _) => Some(self.map(Op::Norm2, z, x)),
                _ => None,
            },
            (Op::Mul, Op::Neg) => {
                let product = self.map(Op::Mul, a, x);
                Some(self.map(Op::Neg, product, product))
            }
            (Op::Mul, Op::Div) if self.constant_value(x) == Some(1.0) && !is_scalar(self, y) => {
                Some(self.map(Op::Div, a, y))
            }
            // (array * scalar) * scalar: multiply the scalars once.
            (Op::Mul, Op::Mul)
                if is_scalar(self, a) && is_scalar(self, x) != is_scalar(self, y) =>
            {
                let (scalar, array) = if is_scalar(self, x) { (x, y) } else { (y, x) };
                let factor = self.map(Op::Mul, scalar, a);
                Some(self.map(Op::Mul, factor, array))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_expressions_are_one_node_and_identities_vanish() {
        let mut g = Graph::default();
        let (x, y) = (g.parameter(0), g.parameter(1));
        let (zero, one) = (g.constant(0.0), g.constant(1.0));
        assert_eq!(g.map(Op::Add, x, y), g.map(Op::Add, y, x));
        assert_eq!(g.map(Op::Add, x, zero), x);
        assert_eq!(g.map(Op::Mul, one, x), x);
        assert_eq!(g.map(Op::Mul, x, zero), zero);
        let product = g.map(Op::Mul, x, x);
        assert_eq!(*g.node(product), Node::Map(Op::Square, x, x));
        let negated = g.map(Op::Neg, x, x);
        assert_eq!(g.map(Op::Neg, negated, negated), x);
        assert_eq!(g.map(Op::Sub, y, negated), g.map(Op::Add, x, y));
    }

    #[test]
    fn a_factor_that_is_the_same_everywhere_leaves_the_sum() {
        let mut g = Graph::default();
        let space = g.space(3);
        let data = g.data(vec![1.0, 2.0, 3.0].into(), space);
        let x = g.parameter(0);
        let scaled = g.map(Op::Mul, x, data);
        let sum = g.sum(scaled);
        assert!(matches!(g.node(sum), Node::Map(Op::Mul, ..)));
        let spread = g.expand(x, space);
        let sum = g.sum(spread);
        let three = g.constant(3.0);
        assert_eq!(sum, g.map(Op::Mul, x, three));
    }
}
