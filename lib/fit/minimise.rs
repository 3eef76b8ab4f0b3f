//! The minimiser: BFGS with bounds, value and gradient in one call, a given starting curvature.
//!
//! Variables are expected to be scaled to O(1) and the function to be a negative log-likelihood, so
//! that convergence can be judged in its own unit: 0.5 is one standard deviation.

use crate::error::Result;

/// When to stop.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Stop when a step is predicted to gain less than this in log-likelihood, or three have.
    pub tolerance: f64,
    pub evaluations: usize,
    /// Lowest and highest value of each variable.
    pub bounds: Vec<(f64, f64)>,
}

/// Where a minimisation ended.
#[derive(Debug, Clone)]
pub struct Minimum {
    pub x: Vec<f64>,
    pub value: f64,
    pub converged: bool,
    pub evaluations: usize,
    /// The approximate inverse Hessian, row-major.
    pub inverse: Vec<f64>,
}

/// The first guess of the inverse Hessian.
pub enum Start<'a> {
    /// One length a variable: how far it may well have to go.
    Lengths(&'a [f64]),
    /// A whole matrix, row-major.
    Inverse(&'a [f64]),
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The product of a symmetric matrix and a vector, row by row: in a dot of a row every addition waits for the last.
fn product(matrix: &[f64], v: &[f64]) -> Vec<f64> {
    let mut product = vec![0.0; v.len()];
    for (row, v) in matrix.chunks_exact(v.len().max(1)).zip(v) {
        product.iter_mut().zip(row).for_each(|(sum, value)| *sum += value * v);
    }
    product
}

/// Minimises `f`, which writes its gradient, from `x`. `report` is called once an iteration.
///
/// # Errors
/// What `report` returns: a wish to stop.
pub fn minimise(
    mut f: impl FnMut(&[f64], &mut [f64]) -> f64,
    x: &[f64],
    start: Start,
    settings: &Settings,
    mut report: impl FnMut(usize, f64) -> Result<()>,
) -> Result<Minimum> {
    let n = x.len();
    let mut x = x.to_vec();
    clamp(&mut x, &settings.bounds);
    let mut gradient = vec![0.0; n];
    let mut value = f(&x, &mut gradient);
    let mut evaluations = 1;
    let mut scaled = matches!(start, Start::Inverse(_));
    let first = |start: &Start| match start {
        Start::Inverse(inverse) => inverse.to_vec(),
        Start::Lengths(lengths) => {
            let mut inverse = vec![0.0; n * n];
            lengths.iter().enumerate().for_each(|(i, l)| inverse[i * n + i] = l * l);
            inverse
        }
    };
    let mut inverse = first(&start);
    let (mut small, mut resets) = (0, 0);
    let (mut trial, mut trial_gradient) = (x.clone(), gradient.clone());
    let mut converged = n == 0;
    while !converged && evaluations < settings.evaluations && value.is_finite() {
        if gradient.iter().any(|slope| slope.is_nan()) {
            // There is no way from here.
            break;
        }
        report(evaluations, value)?;
        // Variables held at a bound that the gradient pushes against take no part.
        let held: Vec<bool> = (0..n)
            .map(|i| {
                let (low, high) = settings.bounds[i];
                (x[i] <= low && gradient[i] > 0.0) || (x[i] >= high && gradient[i] < 0.0)
            })
            .collect();
        let free = |i: usize| if held[i] { 0.0 } else { 1.0 };
        let downhill: Vec<f64> = (0..n).map(|i| -free(i) * gradient[i]).collect();
        let mut step = product(&inverse, &downhill);
        (0..n).for_each(|i| step[i] *= free(i));
        let mut slope = dot(&step, &gradient);
        if !slope.is_finite() || slope > 0.0 {
            if resets > 5 {
                break;
            }
            resets += 1;
            inverse = first(&start);
            scaled = false;
            continue;
        }
        if -0.5 * slope < settings.tolerance && scaled {
            converged = true;
            break;
        }
        if !scaled {
            // The lengths say how far a variable may go; the first step goes no farther than a part.
            let longest = match &start {
                Start::Lengths(lengths) => {
                    step.iter().zip(*lengths).map(|(s, l)| (s / l).abs()).fold(0.0, f64::max)
                }
                Start::Inverse(_) => step.iter().map(|s| s.abs()).fold(0.0, f64::max),
            };
            let shrink = (0.2 / longest.max(1e-300)).min(1.0);
            step.iter_mut().for_each(|s| *s *= shrink);
            slope *= shrink;
        }
        // Backtracking with a parabola, until the value falls enough.
        let mut length = 1.0;
        let mut found = false;
        for _ in 0..25 {
            for i in 0..n {
                trial[i] = x[i] + length * step[i];
            }
            clamp(&mut trial, &settings.bounds);
            let new = f(&trial, &mut trial_gradient);
            evaluations += 1;
            if new.is_finite() && new <= value + 1e-4 * length * slope {
                found = true;
                let gain = value - new;
                update(&mut inverse, &x, &trial, &gradient, &trial_gradient, &mut scaled);
                std::mem::swap(&mut x, &mut trial);
                std::mem::swap(&mut gradient, &mut trial_gradient);
                value = new;
                small = if gain < settings.tolerance { small + 1 } else { 0 };
                break;
            }
            let shorter = if new.is_finite() {
                -0.5 * slope * length * length / (new - value - slope * length)
            } else {
                0.1 * length
            };
            length = shorter.clamp(0.1 * length, 0.5 * length);
        }
        if !found {
            // No descent left at the precision of the value, or a bad curvature: try once more.
            if resets > 2 || -slope < 1e-9 * value.abs().max(1.0) {
                converged = -slope < 10.0 * settings.tolerance.max(1e-9 * value.abs());
                break;
            }
            resets += 1;
            inverse = first(&start);
            scaled = false;
        }
        if small >= 3 {
            converged = true;
        }
    }
    Ok(Minimum { x, value, converged, evaluations, inverse })
}

fn clamp(x: &mut [f64], bounds: &[(f64, f64)]) {
    for (x, &(low, high)) in x.iter_mut().zip(bounds) {
        *x = x.clamp(low, high);
    }
}

/// The BFGS update of the inverse Hessian; the first also sets its size.
fn update(
    inverse: &mut [f64],
    x: &[f64],
    new_x: &[f64],
    g: &[f64],
    new_g: &[f64],
    scaled: &mut bool,
) {
    let n = x.len();
    let s: Vec<f64> = new_x.iter().zip(x).map(|(a, b)| a - b).collect();
    let y: Vec<f64> = new_g.iter().zip(g).map(|(a, b)| a - b).collect();
    let sy = dot(&s, &y);
    let mut hy = product(inverse, &y);
    let mut yhy = dot(&y, &hy);
    if sy <= 1e-10 * (dot(&s, &s) * dot(&y, &y)).sqrt() || yhy <= 0.0 {
        return;
    }
    if !*scaled {
        let factor = sy / yhy;
        inverse.iter_mut().for_each(|v| *v *= factor);
        hy.iter_mut().for_each(|v| *v *= factor);
        yhy *= factor;
        *scaled = true;
    }
    let a = (1.0 + yhy / sy) / sy;
    for (row, (si, hyi)) in inverse.chunks_exact_mut(n).zip(s.iter().zip(&hy)) {
        for (value, (sk, hyk)) in row.iter_mut().zip(s.iter().zip(&hy)) {
            *value += a * si * sk - (hyi * sk + si * hyk) / sy;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autodiff::Function;

    fn settings(bounds: Vec<(f64, f64)>) -> Settings {
        Settings { tolerance: 1e-12, evaluations: 500, bounds }
    }

    #[test]
    fn rosenbrock_is_minimised_and_bounds_hold() {
        let mut f =
            Function::new(2, |_, x| (1.0 - x[0]).powi(2) + 100.0 * (x[1] - x[0].powi(2)).powi(2));
        let open = vec![(f64::NEG_INFINITY, f64::INFINITY); 2];
        let run = |f: &mut Function, bounds| {
            let call = |x: &[f64], g: &mut [f64]| f.value_and_gradient_into(x, g);
            minimise(call, &[-1.2, 1.0], Start::Lengths(&[1.0, 1.0]), &settings(bounds), |_, _| {
                Ok(())
            })
            .unwrap()
        };
        let minimum = run(&mut f, open);
        assert!(minimum.converged);
        assert!(minimum.x.iter().all(|x| (x - 1.0).abs() < 1e-5), "{:?}", minimum.x);
        // With x <= 0.5 the best is on the bound, with y = x^2.
        let minimum = run(&mut f, vec![(-2.0, 0.5), (-2.0, 2.0)]);
        assert!(
            (minimum.x[0] - 0.5).abs() < 1e-12 && (minimum.x[1] - 0.25).abs() < 1e-5,
            "{:?}",
            minimum.x
        );
    }
}
