//! Reverse mode: the adjoint of every primitive in one table, and the sweep that chains them.

use super::graph::{Graph, Id, Node, Shape};
use crate::device::Op;

impl Graph {
    /// The derivatives of the scalar `output` with respect to each of `targets` (scalars or arrays),
    /// as new nodes of the same graph. A target that `output` does not depend on gets a zero.
    pub fn gradient(&mut self, output: Id, targets: &[Id]) -> Vec<Id> {
        let one = self.constant(1.0);
        self.pull_back(&[(output, one)], targets)
    }

    /// Sends the cotangents of some `seeds` (node, cotangent) back to the `targets`.
    pub fn pull_back(&mut self, seeds: &[(Id, Id)], targets: &[Id]) -> Vec<Id> {
        let last = seeds.iter().map(|s| s.0).max().unwrap_or(0);
        let mut cotangents: Vec<Option<Id>> = vec![None; last.max(self.largest(targets)) + 1];
        let needed = self.depends_on(targets, last);
        for &(node, cotangent) in seeds {
            cotangents[node] = Some(self.accumulate(cotangents[node], cotangent));
        }
        for id in (0..=last).rev() {
            let Some(g) = cotangents[id] else { continue };
            if !needed[id] {
                continue;
            }
            for (input, contribution) in self.adjoints(id, g) {
                if needed[input] {
                    cotangents[input] = Some(self.accumulate(cotangents[input], contribution));
                }
            }
        }
        let zero = self.constant(0.0);
        targets
            .iter()
            .map(|&target| match (cotangents[target], self.shape(target)) {
                (Some(cotangent), _) => cotangent,
                (None, Shape::Array(space)) => self.expand(zero, space),
                (None, _) => zero,
            })
            .collect()
    }

    fn largest(&self, ids: &[Id]) -> Id {
        ids.iter().copied().max().unwrap_or(0)
    }

    /// For every node up to `last`: does it lead to one of the targets?
    fn depends_on(&self, targets: &[Id], last: Id) -> Vec<bool> {
        let mut depends = vec![false; last.max(self.largest(targets)) + 1];
        targets.iter().for_each(|&target| depends[target] = true);
        for id in 0..=last {
            depends[id] |= self.inputs(id).any(|i| depends[i]);
        }
        depends
    }

    /// The sum of two cotangents of one node.
    fn accumulate(&mut self, old: Option<Id>, new: Id) -> Id {
        let Some(old) = old else { return new };
        match self.shape(new) {
            Shape::Scalar | Shape::Array(_) => self.map(Op::Add, old, new),
            Shape::Vector(n) => {
                let sum = |i| {
                    let (a, b) = (self.index(old, i), self.index(new, i));
                    self.map(Op::Add, a, b)
                };
                let sums = (0..n).map(sum).collect();
                self.stack(sums)
            }
            Shape::Field(_) => {
                let (re, im) = (self.re(old), self.im(old));
                let (new_re, new_im) = (self.re(new), self.im(new));
                let (re, im) = (self.map(Op::Add, re, new_re), self.map(Op::Add, im, new_im));
                self.complex(re, im)
            }
        }
    }

    /// A cotangent for an input that was a scalar where the result was an array: the sum.
    fn fit_to(&mut self, cotangent: Id, input: Id) -> Id {
        match (self.shape(cotangent), self.shape(input)) {
            (Shape::Array(_), Shape::Scalar) => self.sum(cotangent),
            (Shape::Scalar, Shape::Array(space)) => self.expand(cotangent, space),
            _ => cotangent,
        }
    }

    /// **The table**: what the cotangent `g` of node `id` sends to each of its inputs.
    fn adjoints(&mut self, id: Id, g: Id) -> Vec<(Id, Id)> {
        match self.node(id).clone() {
            Node::Constant(_) | Node::Parameter(_) | Node::Data(_) => vec![],
            Node::Map(op, a, b) => {
                let (to_a, to_b) = self.map_adjoints(op, a, b, id, g);
                let to_a = self.fit_to(to_a, a);
                let to_b = to_b.map(|to_b| (b, self.fit_to(to_b, b)));
                std::iter::once((a, to_a)).chain(to_b).collect()
            }
            Node::Expand(a, _) => vec![(a, self.sum(g))],
            Node::Sum(a) => vec![(a, self.fit_to(g, a))],
            Node::Stack(inputs) => {
                let one = |(i, input)| (input, self.index(g, i));
                inputs.into_iter().enumerate().map(one).collect()
            }
            Node::Index(a, i) => vec![(a, self.one_hot(g, i, a))],
            Node::Combine(basis, a) => vec![(a, self.project(basis, g))],
            Node::Project(basis, a) => vec![(a, self.combine(basis, g))],
            Node::Complex(re, im) => vec![(re, self.re(g)), (im, self.im(g))],
            Node::Re(a) => {
                let zero = self.zero_like(g);
                vec![(a, self.complex(g, zero))]
            }
            Node::Im(a) => {
                let zero = self.zero_like(g);
                vec![(a, self.complex(zero, g))]
            }
            Node::Transform(transform, a) => vec![(a, self.adjoint(transform, g))],
            Node::Adjoint(transform, a) => vec![(a, self.transform(transform, g))],
        }
    }

    /// The element-wise part of the table: `y = op(a, b)`.
    fn map_adjoints(&mut self, op: Op, a: Id, b: Id, y: Id, g: Id) -> (Id, Option<Id>) {
        let mut of = Expressions(self);
        match op {
            Op::Copy => (g, None),
            Op::Neg => (of.neg(g), None),
            Op::Square => (of.twice(g, a), None),
            Op::Sqrt => (of.half(g, y), None),
            Op::Exp => (of.mul(g, y), None),
            Op::Ln => (of.div(g, a), None),
            Op::Ln1p => (of.over_one_plus(g, a), None),
            Op::Sin => (of.times(Op::Cos, a, g), None),
            Op::Cos => (of.minus_times(Op::Sin, a, g), None),
            Op::Abs => (of.times(Op::Sign, a, g), None),
            Op::Sign => (of.zero(), None),
            Op::Powi(n) => (of.powi(g, a, n), None),
            Op::Add => (g, Some(g)),
            Op::Sub => (g, Some(of.neg(g))),
            Op::Mul => (of.mul(g, b), Some(of.mul(g, a))),
            Op::Div => (of.div(g, b), Some(of.minus_ratio(g, y, b))),
            Op::Norm2 => (of.twice(g, a), Some(of.twice(g, b))),
        }
    }

    /// A vector of the length of `like`, zero but for `value` at `i`.
    fn one_hot(&mut self, value: Id, i: usize, like: Id) -> Id {
        let Shape::Vector(n) = self.shape(like) else {
            unreachable!("only vectors are indexed");
        };
        let zero = self.constant(0.0);
        self.stack((0..n).map(|k| if k == i { value } else { zero }).collect())
    }

    fn zero_like(&mut self, array: Id) -> Id {
        let zero = self.constant(0.0);
        self.fit_to(zero, array)
    }
}

/// Short names for the expressions of the table.
struct Expressions<'g>(&'g mut Graph);

impl Expressions<'_> {
    fn zero(&mut self) -> Id {
        self.0.constant(0.0)
    }
    fn neg(&mut self, a: Id) -> Id {
        self.0.map(Op::Neg, a, a)
    }
    fn mul(&mut self, a: Id, b: Id) -> Id {
        self.0.map(Op::Mul, a, b)
    }
    fn div(&mut self, a: Id, b: Id) -> Id {
        self.0.map(Op::Div, a, b)
    }
    /// `2 g a`
    fn twice(&mut self, g: Id, a: Id) -> Id {
        let two = self.0.constant(2.0);
        let g = self.mul(two, g);
        self.mul(g, a)
    }
    /// `g / (2 y)`
    fn half(&mut self, g: Id, y: Id) -> Id {
        let half = self.0.constant(0.5);
        let g = self.mul(half, g);
        self.div(g, y)
    }
    /// `g / (1 + a)`
    fn over_one_plus(&mut self, g: Id, a: Id) -> Id {
        let one = self.0.constant(1.0);
        let sum = self.0.map(Op::Add, one, a);
        self.div(g, sum)
    }
    /// `g op(a)`
    fn times(&mut self, op: Op, a: Id, g: Id) -> Id {
        let factor = self.0.map(op, a, a);
        self.mul(g, factor)
    }
    /// `-g op(a)`
    fn minus_times(&mut self, op: Op, a: Id, g: Id) -> Id {
        let product = self.times(op, a, g);
        self.neg(product)
    }
    /// `n g a^(n-1)`
    fn powi(&mut self, g: Id, a: Id, n: i32) -> Id {
        let count = self.0.constant(n.into());
        let g = self.mul(count, g);
        let power = match n {
            0 | 1 => self.0.constant(1.0),
            _ => self.0.map(Op::Powi(n - 1), a, a),
        };
        self.mul(g, power)
    }
    /// `-g y / b`
    fn minus_ratio(&mut self, g: Id, y: Id, b: Id) -> Id {
        let product = self.mul(g, y);
        let ratio = self.div(product, b);
        self.neg(ratio)
    }
}
