//! What a user writes: arithmetic on [`Var`]s, recorded on a [`Tape`].

use super::graph::{BasisEntry, Graph, Id, SpaceId};
use super::transform::Transform;
use crate::device::{Basis, Op, Values};
use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::{Add, Div, Mul, Neg, Sub};
use std::sync::Arc;

/// Records what is computed with its [`Var`]s.
#[derive(Debug, Default)]
pub struct Tape {
    graph: RefCell<Graph>,
    /// The space that plain data of a given length belong to.
    default_spaces: RefCell<HashMap<usize, SpaceId>>,
}

/// A number or an array whose history is recorded.
#[derive(Debug, Clone, Copy)]
pub struct Var<'t> {
    tape: &'t Tape,
    pub(super) id: Id,
}

/// An index space: arrays combine element by element when their space is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space(SpaceId);

impl Tape {
    pub(super) fn into_graph(self) -> Graph {
        self.graph.into_inner()
    }

    fn var(&self, id: Id) -> Var<'_> {
        Var { tape: self, id }
    }

    /// A number.
    pub fn constant(&self, value: f64) -> Var<'_> {
        self.var(self.graph.borrow_mut().constant(value))
    }

    pub(super) fn parameter(&self, index: usize) -> Var<'_> {
        self.var(self.graph.borrow_mut().parameter(index))
    }

    /// A new index space of `len` elements. Give each map its own even when their lengths agree: what
    /// is computed over one space is fused.
    pub fn space(&self, len: usize) -> Space {
        Space(self.graph.borrow_mut().space(len))
    }

    /// An array that never changes, in the space shared by all plain data of this length.
    pub fn data(&self, values: &[f64]) -> Var<'_> {
        let mut spaces = self.default_spaces.borrow_mut();
        let space = *spaces
            .entry(values.len())
            .or_insert_with(|| self.graph.borrow_mut().space(values.len()));
        self.data_in(Space(space), values)
    }

    /// An array that never changes, in the given space. An `Arc` is shared, not copied.
    ///
    /// # Panics
    /// When there are not as many values as the space has elements.
    pub fn data_in(&self, space: Space, values: impl Into<Values>) -> Var<'_> {
        self.var(self.graph.borrow_mut().data(values.into(), space.0))
    }

    /// `sum_j coefficients[j] * basis[j, i]`: an array over the basis's points, which are `space`.
    ///
    /// # Panics
    /// When the coefficients are not one a function, or not scalars.
    pub fn combine<'t>(
        &'t self,
        basis: &Arc<Basis>,
        space: Space,
        coefficients: &[Var<'t>],
    ) -> Var<'t> {
        assert_eq!(coefficients.len(), basis.count(), "one coefficient a function");
        let mut graph = self.graph.borrow_mut();
        assert_eq!(basis.points(), graph.spaces[space.0], "one element a point");
        let is = |b: &BasisEntry| b.space == space.0 && Arc::ptr_eq(&b.basis, basis);
        let known = graph.bases.iter().position(is);
        let index = known.unwrap_or_else(|| {
            graph.bases.push(BasisEntry { basis: basis.clone(), space: space.0 });
            graph.bases.len() - 1
        });
        let stack = graph.stack(coefficients.iter().map(|c| c.id).collect());
        let id = graph.combine(index, stack);
        drop(graph);
        self.var(id)
    }

    /// The Fourier transform of `field` into `output`, which must have the transform's number of
    /// outputs. Other transforms into it must [match](crate::device::Fourier::matches), or be of the same
    /// samples in the same order.
    ///
    /// # Panics
    /// When the lengths disagree, or the transforms do not match.
    pub fn transform<'t>(
        &'t self,
        transform: impl Into<Transform>,
        field: Complex<'t>,
        output: Space,
    ) -> Complex<'t> {
        let mut graph = self.graph.borrow_mut();
        let input = graph.space_of(field.re.id);
        let index = graph.add_transform(transform.into(), input, output.0);
        let field = graph.complex(field.re.id, field.im.id);
        let result = graph.transform(index, field);
        drop(graph);
        self.parts(result)
    }

    /// The adjoint of [`transform`](Tape::transform): from its outputs, the space of `field`, to its pixels,
    /// which are `pixels`.
    ///
    /// # Panics
    /// When the lengths disagree, or the transforms of the outputs' space do not match.
    pub fn adjoint<'t>(
        &'t self,
        transform: impl Into<Transform>,
        field: Complex<'t>,
        pixels: Space,
    ) -> Complex<'t> {
        let mut graph = self.graph.borrow_mut();
        let output = graph.space_of(field.re.id);
        let index = graph.add_transform(transform.into(), pixels.0, output);
        let field = graph.complex(field.re.id, field.im.id);
        let result = graph.adjoint(index, field);
        drop(graph);
        self.parts(result)
    }

    fn parts(&self, field: Id) -> Complex<'_> {
        let mut graph = self.graph.borrow_mut();
        let (re, im) = (graph.re(field), graph.im(field));
        drop(graph);
        Complex { re: self.var(re), im: self.var(im) }
    }
}

impl<'t> Var<'t> {
    fn map(self, op: Op, other: Var<'t>) -> Var<'t> {
        let id = self.tape.graph.borrow_mut().map(op, self.id, other.id);
        self.tape.var(id)
    }

    fn unary(self, op: Op) -> Var<'t> {
        self.map(op, self)
    }

    /// e to the power of each element.
    pub fn exp(self) -> Self {
        self.unary(Op::Exp)
    }
    /// The natural logarithm.
    pub fn ln(self) -> Self {
        self.unary(Op::Ln)
    }
    /// `ln(1 + x)`, accurate near zero.
    pub fn ln_1p(self) -> Self {
        self.unary(Op::Ln1p)
    }
    /// The sine of an angle in radians.
    pub fn sin(self) -> Self {
        self.unary(Op::Sin)
    }
    /// The cosine of an angle in radians.
    pub fn cos(self) -> Self {
        self.unary(Op::Cos)
    }
    /// The square root; its derivative at 0 is infinite, and NaN where it meets a 0.
    pub fn sqrt(self) -> Self {
        self.unary(Op::Sqrt)
    }
    /// `x^2`
    pub fn square(self) -> Self {
        self.unary(Op::Square)
    }
    /// The absolute value; its derivative at 0 is 0.
    pub fn abs(self) -> Self {
        self.unary(Op::Abs)
    }
    /// An integer power.
    pub fn powi(self, n: i32) -> Self {
        match n {
            0 => self * 0.0 + 1.0,
            n => self.unary(Op::Powi(n)),
        }
    }
    /// `sqrt(x^2 + y^2)`, which has no derivative at `(0, 0)`: NaN.
    pub fn hypot(self, other: Var<'t>) -> Self {
        self.map(Op::Norm2, other).sqrt()
    }
    /// The sum over an array; a scalar is its own sum.
    pub fn sum(self) -> Self {
        let id = self.tape.graph.borrow_mut().sum(self.id);
        self.tape.var(id)
    }
    /// A scalar spread over `space`: an array with this value everywhere.
    pub fn expand(self, space: Space) -> Self {
        let id = self.tape.graph.borrow_mut().expand(self.id, space.0);
        self.tape.var(id)
    }
}

/// Records one operator for every pairing of a `Var` and a number.
macro_rules! operator {
    ($name:ident, $method:ident) => {
        impl<'t> $name for Var<'t> {
            type Output = Var<'t>;
            fn $method(self, other: Var<'t>) -> Var<'t> {
                self.map(Op::$name, other)
            }
        }
        impl<'t> $name<f64> for Var<'t> {
            type Output = Var<'t>;
            fn $method(self, other: f64) -> Var<'t> {
                self.map(Op::$name, self.tape.constant(other))
            }
        }
        impl<'t> $name<Var<'t>> for f64 {
            type Output = Var<'t>;
            fn $method(self, other: Var<'t>) -> Var<'t> {
                other.tape.constant(self).map(Op::$name, other)
            }
        }
    };
}
operator!(Add, add);
operator!(Sub, sub);
operator!(Mul, mul);
operator!(Div, div);

impl<'t> Neg for Var<'t> {
    type Output = Var<'t>;
    fn neg(self) -> Var<'t> {
        self.unary(Op::Neg)
    }
}

impl<'t> std::iter::Sum for Var<'t> {
    /// # Panics
    /// On an empty iterator: there is no tape to record a zero on.
    fn sum<I: Iterator<Item = Var<'t>>>(iter: I) -> Self {
        iter.reduce(|a, b| a + b).expect("a sum of at least one term")
    }
}

/// A complex number or array: its real and imaginary part.
#[derive(Debug, Clone, Copy)]
pub struct Complex<'t> {
    pub re: Var<'t>,
    pub im: Var<'t>,
}

impl<'t> Complex<'t> {
    /// `exp(i phase)`
    pub fn cis(phase: Var<'t>) -> Self {
        Complex { re: phase.cos(), im: phase.sin() }
    }

    /// `|z|^2`
    pub fn norm2(self) -> Var<'t> {
        self.re.map(Op::Norm2, self.im)
    }
}

impl<'t> Mul for Complex<'t> {
    type Output = Complex<'t>;
    fn mul(self, other: Complex<'t>) -> Complex<'t> {
        Complex {
            re: self.re * other.re - self.im * other.im,
            im: self.re * other.im + self.im * other.re,
        }
    }
}

impl<'t> Sub for Complex<'t> {
    type Output = Complex<'t>;
    fn sub(self, other: Complex<'t>) -> Complex<'t> {
        Complex { re: self.re - other.re, im: self.im - other.im }
    }
}

impl<'t> Mul<Complex<'t>> for Var<'t> {
    type Output = Complex<'t>;
    fn mul(self, other: Complex<'t>) -> Complex<'t> {
        Complex { re: self * other.re, im: self * other.im }
    }
}
