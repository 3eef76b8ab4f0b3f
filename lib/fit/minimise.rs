//! The minimiser: BFGS with bounds, value and gradient in one call, a given starting curvature.
//! (J. Nocedal, S. J. Wright, "Numerical Optimization", 2006, chapter 6.)
//!
//! Variables are expected to be scaled to O(1) and the function to be a negative log-likelihood, so
//! that convergence can be judged in its own unit: 0.5 is one standard deviation.

use crate::error::Result;

/// How near the optimum is near enough, by what is still to be gained: the larger of the two.
#[derive(Debug, Clone, Copy)]
pub struct Near {
    /// In log-likelihood.
    pub absolute: f64,
    /// As a part of the value.
    pub relative: f64,
}

impl Near {
    /// So much in log-likelihood.
    pub fn within(absolute: f64) -> Near {
        Near { absolute, relative: 0.0 }
    }
}

/// When to stop.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Stop when a step is predicted to gain less than this, or three have.
    pub near: Near,
    /// After this many, in any case.
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

/// Before the inverse Hessian has a size, no variable goes farther in a step.
const FIRST_STEP: f64 = 0.2;
/// How often a line search shortens a step, and the part of the slope's promise that it wants (Armijo's rule).
const BACKTRACKS: usize = 25;
const ENOUGH: f64 = 1e-4;
/// A value is known to this part of it.
const ROUNDING: f64 = 1e-9;
/// How often the inverse Hessian may have been taken back, for whatever reason, to be taken back once more where it
/// points uphill, and where no step along it falls.
const UPHILL: usize = 6;
const STUCK: usize = 3;

/// Minimises `f`, which writes its gradient, from `x`, with the `inverse` Hessian there, row-major, if it is known.
/// `report` is called once an iteration.
///
/// # Errors
/// What `report` returns: a wish to stop.
pub fn minimise(
    f: impl FnMut(&[f64], &mut [f64]) -> f64,
    x: &[f64],
    inverse: Option<&[f64]>,
    settings: &Settings,
    mut report: impl FnMut(usize, f64) -> Result<()>,
) -> Result<Minimum> {
    let mut descent = Descent::new(f, x, inverse, settings);
    let (mut converged, mut small) = (x.is_empty(), 0);
    while !converged && descent.evaluations < settings.evaluations && descent.is_defined() {
        report(descent.evaluations, descent.value)?;
        let enough = settings.near.absolute.max(settings.near.relative * descent.value);
        let (step, slope) = descent.direction();
        if !slope.is_finite() || slope > 0.0 {
            if descent.restarts >= UPHILL {
                break;
            }
            descent.restart();
            continue;
        }
        if -0.5 * slope < enough && descent.sized {
            converged = true;
            break;
        }
        if let Some(gain) = descent.advance(step, slope) {
            small = if gain < enough { small + 1 } else { 0 };
        } else {
            // No descent left at the precision of the value, or a bad curvature: try once more.
            let size = descent.value.abs();
            if descent.restarts >= STUCK || -slope < ROUNDING * size.max(1.0) {
                converged = -slope < 10.0 * enough.max(ROUNDING * size);
                break;
            }
            descent.restart();
        }
        converged = small >= 3;
    }
    let Descent { x, value, evaluations, inverse, .. } = descent;
    Ok(Minimum { x, value, converged, evaluations, inverse })
}

/// A minimisation under way.
struct Descent<'s, F> {
    f: F,
    settings: &'s Settings,
    /// The inverse Hessian that it began with.
    first: Option<&'s [f64]>,
    inverse: Vec<f64>,
    /// Whether that has a size, and not only a shape.
    sized: bool,
    restarts: usize,
    x: Vec<f64>,
    value: f64,
    gradient: Vec<f64>,
    evaluations: usize,
    trial: Vec<f64>,
    trial_gradient: Vec<f64>,
}

impl<'s, F: FnMut(&[f64], &mut [f64]) -> f64> Descent<'s, F> {
    fn new(mut f: F, x: &[f64], first: Option<&'s [f64]>, settings: &'s Settings) -> Self {
        let mut x = x.to_vec();
        clamp(&mut x, &settings.bounds);
        let mut gradient = vec![0.0; x.len()];
        let value = f(&x, &mut gradient);
        let mut descent = Descent {
            trial: x.clone(),
            trial_gradient: gradient.clone(),
            inverse: Vec::new(),
            sized: false,
            restarts: 0,
            evaluations: 1,
            f,
            settings,
            first,
            x,
            value,
            gradient,
        };
        descent.forget();
        descent.sized = first.is_some();
        descent
    }

    /// Whether there is a way from here.
    fn is_defined(&self) -> bool {
        self.value.is_finite() && !self.gradient.iter().any(|slope| slope.is_nan())
    }

    /// Goes back to the first inverse Hessian, or to the unit matrix.
    fn forget(&mut self) {
        let n = self.x.len();
        let unit = || (0..n * n).map(|i| if i % (n + 1) == 0 { 1.0 } else { 0.0 }).collect();
        self.inverse = self.first.map_or_else(unit, <[f64]>::to_vec);
        self.sized = false;
    }

    fn restart(&mut self) {
        self.restarts += 1;
        self.forget();
    }

    /// The step to try, and the slope along it. Variables held at a bound that the gradient pushes against take no
    /// part.
    fn direction(&self) -> (Vec<f64>, f64) {
        let moves = |((x, slope), &(low, high)): ((&f64, &f64), &(f64, f64))| {
            let held = (*x <= low && *slope > 0.0) || (*x >= high && *slope < 0.0);
            if held { 0.0 } else { 1.0 }
        };
        let here = self.x.iter().zip(&self.gradient).zip(&self.settings.bounds);
        let moves: Vec<f64> = here.map(moves).collect();
        let downhill: Vec<f64> = moves.iter().zip(&self.gradient).map(|(m, g)| -m * g).collect();
        let mut step = product(&self.inverse, &downhill);
        step.iter_mut().zip(&moves).for_each(|(step, moves)| *step *= moves);
        let slope = dot(&step, &self.gradient);
        (step, slope)
    }

    /// Goes along a step, shorter by the minimum of a parabola until the value falls enough, and learns from it. The
    /// gain; `None` where the value does not fall.
    fn advance(&mut self, mut step: Vec<f64>, mut slope: f64) -> Option<f64> {
        if !self.sized {
            let longest = step.iter().map(|s| s.abs()).fold(0.0, f64::max);
            let shrink = (FIRST_STEP / longest.max(1e-300)).min(1.0);
            step.iter_mut().for_each(|s| *s *= shrink);
            slope *= shrink;
        }
        let mut length = 1.0;
        for _ in 0..BACKTRACKS {
            for ((trial, x), step) in self.trial.iter_mut().zip(&self.x).zip(&step) {
                *trial = x + length * step;
            }
            clamp(&mut self.trial, &self.settings.bounds);
            let new = (self.f)(&self.trial, &mut self.trial_gradient);
            self.evaluations += 1;
            if new.is_finite() && new <= self.value + ENOUGH * length * slope {
                let gain = self.value - new;
                self.learn();
                std::mem::swap(&mut self.x, &mut self.trial);
                std::mem::swap(&mut self.gradient, &mut self.trial_gradient);
                self.value = new;
                return Some(gain);
            }
            let shorter = match new.is_finite() {
                true => -0.5 * slope * length * length / (new - self.value - slope * length),
                false => 0.1 * length,
            };
            length = shorter.clamp(0.1 * length, 0.5 * length);
        }
        None
    }

    /// The BFGS update of the inverse Hessian by the step to the trial; the first also sets its size.
    fn learn(&mut self) {
        let minus = |(a, b): (&f64, &f64)| a - b;
        let s: Vec<f64> = self.trial.iter().zip(&self.x).map(minus).collect();
        let y: Vec<f64> = self.trial_gradient.iter().zip(&self.gradient).map(minus).collect();
        let sy = dot(&s, &y);
        let mut hy = product(&self.inverse, &y);
        let mut yhy = dot(&y, &hy);
        if sy <= 1e-10 * (dot(&s, &s) * dot(&y, &y)).sqrt() || yhy <= 0.0 {
            return;
        }
        if !self.sized {
            let factor = sy / yhy;
            self.inverse.iter_mut().for_each(|v| *v *= factor);
            hy.iter_mut().for_each(|v| *v *= factor);
            yhy *= factor;
            self.sized = true;
        }
        let a = (1.0 + yhy / sy) / sy;
        for (row, (si, hyi)) in self.inverse.chunks_exact_mut(s.len()).zip(s.iter().zip(&hy)) {
            for (value, (sk, hyk)) in row.iter_mut().zip(s.iter().zip(&hy)) {
                *value += a * si * sk - (hyi * sk + si * hyk) / sy;
            }
        }
    }
}

fn clamp(x: &mut [f64], bounds: &[(f64, f64)]) {
    for (x, &(low, high)) in x.iter_mut().zip(bounds) {
        *x = x.clamp(low, high);
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autodiff::Function;

    fn settings(bounds: Vec<(f64, f64)>) -> Settings {
        Settings { near: Near::within(1e-12), evaluations: 500, bounds }
    }

    #[test]
    fn rosenbrock_is_minimised_and_bounds_hold() {
        let mut f =
            Function::new(2, |_, x| (1.0 - x[0]).powi(2) + 100.0 * (x[1] - x[0].powi(2)).powi(2));
        let open = vec![(f64::NEG_INFINITY, f64::INFINITY); 2];
        let run = |f: &mut Function, bounds| {
            let call = |x: &[f64], g: &mut [f64]| f.value_and_gradient_into(x, g);
            minimise(call, &[-1.2, 1.0], None, &settings(bounds), |_, _| Ok(())).unwrap()
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
