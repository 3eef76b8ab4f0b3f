//! Value and gradient at given parameters, and the check of one against the other.

use super::problem::Problem;
use super::setup::Setup;
use crate::device::Precision;
use crate::error::Result;
use ndarray::{Array1, Array2, Axis};
use serde::Serialize;

/// One free parameter and the derivative of the negative log-likelihood with respect to it.
#[derive(Debug, Clone, Serialize)]
pub struct GradientRow {
    pub name: String,
    pub unit: String,
    /// In the unit; the derivatives are by it.
    pub value: f64,
    pub gradient: f64,
    /// The central difference, where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub difference: Option<f64>,
    /// `|gradient - difference|` over the larger of the two (see [`gradient`]).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relative_error: Option<f64>,
}

/// What `oof-grad` reports.
#[derive(Debug, Clone)]
pub struct GradientReport {
    pub negative_log_likelihood: f64,
    pub rows: Vec<GradientRow>,
    /// Second derivatives by the parameters in their units, `(row, row)` in the order of `rows`.
    pub hessian: Option<Array2<f64>>,
}

/// The largest step of the central differences, in units of a parameter's natural length, and how many there
/// are, each half the one before.
const STEP: f64 = 4e-3;
const STEPS: usize = 6;

/// A derivative from central differences, and the steepest slope that they saw. Steps are extrapolated to
/// zero, to as high a power as pays: of all such values the one that differs least from those it was made
/// from (C. J. F. Ridders 1982, Adv. Eng. Software 4, 75).
fn difference(mut value: impl FnMut(f64) -> f64, here: f64) -> (f64, f64) {
    let (mut steepest, mut best, mut error) = (0.0f64, f64::NAN, f64::INFINITY);
    let mut row: Vec<f64> = Vec::new();
    for i in 0..STEPS {
        let step = STEP / f64::from(1 << i);
        let (above, below) = (value(step), value(-step));
        steepest = steepest.max((above - here).abs().max((here - below).abs()) / step);
        let mut next = vec![(above - below) / (2.0 * step)];
        for (j, before) in row.iter().enumerate() {
            let power = f64::from(1 << (2 * (j + 1)));
            let better = (power * next[j] - before) / (power - 1.0);
            let apart = (better - next[j]).abs().max((better - before).abs());
            if apart <= error {
                (best, error) = (better, apart);
            }
            next.push(better);
        }
        row = next;
    }
    (best, steepest)
}

/// Value and gradient at the start values, with central differences where `check`, which are
/// taken in double precision. The relative error is the difference of the two over the largest of the
/// parameter's own derivative, the slopes about it (at an optimum there is no other measure), and a
/// thousandth of the largest derivative, all in natural lengths.
///
/// # Errors
/// Maps that the model cannot describe, and unknown parameters.
pub fn gradient(setup: Setup, check: bool, hessian: bool) -> Result<GradientReport> {
    let problem = Problem::new(setup)?;
    let which = problem.free_places();
    let mut function = problem.function(&which, &problem.start);
    let x = vec![0.0; which.len()];
    let (value, gradient) = function.value_and_gradient(&x);
    let largest = gradient.iter().fold(0.0f64, |a, g| a.max(g.abs()));
    let exact = || problem.function(&which, &problem.start).precision(Precision::F64);
    let mut exact = check.then(exact);
    let here = exact.as_mut().map(|exact| exact.value(&x));
    let mut rows = Vec::new();
    for (k, &i) in which.iter().enumerate() {
        let length = problem.lengths[i];
        let checked = exact.as_mut().zip(here).map(|(exact, here)| {
            let mut x = x.clone();
            difference(
                |step| {
                    x[k] = step;
                    exact.value(&x)
                },
                here,
            )
        });
        let (difference, steepest) = checked.unzip();
        let scale = gradient[k].abs().max(steepest.unwrap_or(0.0)).max(1e-3 * largest);
        rows.push(GradientRow {
            name: problem.parameters[i].name.clone(),
            unit: problem.parameters[i].unit.to_string(),
            value: problem.start[i],
            gradient: gradient[k] / length,
            difference: difference.map(|d| d / length),
            relative_error: difference
                .map(|d| if d == gradient[k] { 0.0 } else { (d - gradient[k]).abs() / scale }),
        });
    }
    let hessian = hessian.then(|| {
        let lengths: Array1<f64> = which.iter().map(|&i| problem.lengths[i]).collect();
        let column = lengths.view().insert_axis(Axis(1));
        function.hessian(&x) / (&column * &lengths)
    });
    Ok(GradientReport { negative_log_likelihood: value, rows, hessian })
}

/// The recorded graph of the negative log-likelihood in Graphviz's language.
///
/// # Errors
/// As [`gradient`].
pub fn graphviz(setup: Setup) -> Result<String> {
    let problem = Problem::new(setup)?;
    let which = problem.free_places();
    Ok(problem.function(&which, &problem.start).graphviz())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_extrapolated_to_the_derivative() {
        // ln(1 + x) at 0, whose slope falls from 1/(1 - h) to 1/(1 + h) about it.
        let (slope, steepest) = difference(|step| step.ln_1p(), 0.0);
        assert!((slope - 1.0).abs() < 1e-11, "{slope}");
        assert!(steepest > 1.0 && steepest < 1.0 / (1.0 - STEP), "{steepest}");
        // At an optimum nothing is left but what is seen about it.
        let (slope, steepest) = difference(|step| step * step, 0.0);
        assert!(slope.abs() < 1e-12 && (steepest - STEP).abs() < 1e-12, "{slope} {steepest}");
        // A value that is no number is no derivative.
        assert!(difference(|_| f64::NAN, 0.0).0.is_nan());
    }
}
