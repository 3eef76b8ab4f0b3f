//! The minimum of Rosenbrock's banana-shaped valley. In NumPy the function would be
//!
//! ```python
//! def rosenbrock(x):
//!     return (1 - x[0])**2 + 100 * (x[1] - x[0]**2)**2
//! ```
//!
//! and somebody would have to write its gradient. Here it is recorded once and differentiated:
//!
//!     cargo run --release --example rosenbrock

mod bfgs;

use oof::autodiff::Function;

pub fn main() {
    let mut rosenbrock =
        Function::new(2, |_, x| (1.0 - x[0]).powi(2) + 100.0 * (x[1] - x[0].powi(2)).powi(2));

    let start = [-1.2, 1.0];
    let (value, gradient) = rosenbrock.value_and_gradient(&start);
    println!("at {start:?}: value {value}, gradient {gradient:?}");

    let x = bfgs::minimise(|x| rosenbrock.value_and_gradient(x), start.to_vec());
    println!("minimum at {x:.6?}");
    assert!(x.iter().all(|x| (x - 1.0).abs() < 1e-6), "the minimum is at [1, 1]");
}
