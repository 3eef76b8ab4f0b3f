//! A straight line through points of which a few are far off, by the Cauchy likelihood, which hardly
//! listens to outliers. In NumPy the function would be
//!
//! ```python
//! def misfit(p):
//!     r = (y - p[0] - p[1] * x) / 0.1
//!     return np.log1p(r**2).sum()
//! ```
//!
//! Run it with
//!
//!     cargo run --release --example robust_line

mod bfgs;

use oof::autodiff::Function;

pub fn main() {
    // y = 1 + 2 x with a wobble of 0.1; every tenth point is 5 too high.
    let x: Vec<f64> = (0..100).map(|i| i as f64 / 100.0).collect();
    let y: Vec<f64> = (0..100)
        .map(|i| {
            let outlier = if i % 10 == 0 { 5.0 } else { 0.0 };
            1.0 + 2.0 * x[i] + 0.1 * (7.0 * i as f64).sin() + outlier
        })
        .collect();

    let mut robust = Function::new(2, |tape, p| {
        let (x, y) = (tape.data(&x), tape.data(&y));
        let r = (y - p[0] - p[1] * x) / 0.1;
        r.square().ln_1p().sum()
    });
    let mut least_squares = Function::new(2, |tape, p| {
        let (x, y) = (tape.data(&x), tape.data(&y));
        let r = (y - p[0] - p[1] * x) / 0.1;
        r.square().sum() / 2.0
    });

    // The Cauchy misfit has flat ends: start it where least squares ends.
    let straight = bfgs::minimise(|p| least_squares.value_and_gradient(p), vec![0.0, 0.0]);
    let line = bfgs::minimise(|p| robust.value_and_gradient(p), straight.clone());
    println!("truth          1.000 + 2.000 x");
    println!("least squares  {:.3} + {:.3} x", straight[0], straight[1]);
    println!("cauchy         {:.3} + {:.3} x", line[0], line[1]);
    assert!((straight[0] - 1.0).abs() > 0.3, "outliers pull least squares away");
    assert!(
        (line[0] - 1.0).abs() < 0.05 && (line[1] - 2.0).abs() < 0.1,
        "and leave the Cauchy line where it is"
    );
}
