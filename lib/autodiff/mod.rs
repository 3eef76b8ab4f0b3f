//! Reverse-mode automatic differentiation: record once, differentiate once, run many times.
//!
//! A function is written as plain arithmetic on [`Var`]s, which records a graph of some twenty
//! primitives. Differentiating the graph gives more of the same graph, so value and gradient share
//! every intermediate, and a gradient can be differentiated again. A plan of the whole is then run by
//! a [device](crate::device) as often as wanted, for new parameters, without allocating.
//!
//! ```
//! use oof::autodiff::Function;
//!
//! let mut rosenbrock = Function::new(2, |_, x| {
//!     (1.0 - x[0]).powi(2) + 100.0 * (x[1] - x[0].powi(2)).powi(2)
//! });
//! let (value, gradient) = rosenbrock.value_and_gradient(&[-1.0, 1.0]);
//! assert_eq!(value, 4.0);
//! assert_eq!(gradient, [-4.0, 0.0]);
//! ```
//!
//! How to read this folder, in order: [`var`] (what a user writes), [`graph`] and `transform` (what is
//! recorded), `adjoint` (one line an operation), `plan` (levels and places), `region` (instructions and
//! registers), [`function`] (the whole, ready to call), [`dot`] (a picture of it).
//!
//! **Conventions.** Arrays live in *spaces*; two arrays combine element by element when their space is
//! the same, and scalars broadcast. The cotangent of a complex `z = x + i y` is `dL/dx + i dL/dy`; so
//! the adjoint of a linear map is its conjugate transpose, and `|z|^2` sends back `2 z g`.

mod adjoint;
pub mod dot;
pub mod function;
pub mod graph;
mod plan;
mod region;
mod transform;
pub mod var;

pub use crate::device::Backend;
pub use function::Function;
pub use transform::Transform;
pub use var::{Complex, Space, Tape, Var};

#[cfg(test)]
mod tests;
