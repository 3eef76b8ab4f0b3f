//! One minimisation of many: some of the parameters, from where the last one left them.

use super::likelihood::Likelihood;
use super::minimise::{Minimum, Near, Settings, minimise};
use super::problem::Problem;
use crate::autodiff::Function;
use crate::device::Precision;
use crate::error::Result;

/// How far a fit has come.
#[derive(Debug, Clone)]
pub struct Progress {
    /// `order 3 of 5`, `all parameters`.
    pub stage: String,
    /// Of this stage.
    pub evaluations: usize,
    pub negative_log_likelihood: f64,
    /// Whether the likelihood is that of the result: all samples, all parameters, its own kind.
    pub full: bool,
}

/// Is told of progress once an iteration, by one thread at a time, and may stop a fit with an error: with one every time
/// from then on, as that of a way that is not needed any more is not passed on.
pub type Report<'r> = dyn FnMut(&Progress) -> Result<()> + Send + 'r;

/// The negative log-likelihood of some parameters, in units of their lengths from the problem's start.
pub struct Objective<'p> {
    pub problem: &'p Problem<'p>,
    /// Places among the problem's.
    pub parameters: Vec<usize>,
    pub function: Function,
}

impl<'p> Objective<'p> {
    pub fn new(problem: &'p Problem<'p>, likelihood: &Likelihood, parameters: Vec<usize>) -> Self {
        let function = problem.function_of(likelihood, &parameters, &problem.start);
        Objective::with(problem, parameters, function)
    }

    /// Of a `function` of the parameters that is there already.
    pub fn with(problem: &'p Problem<'p>, parameters: Vec<usize>, function: Function) -> Self {
        Objective { problem, parameters, function }
    }

    /// The same in another precision.
    pub fn precision(self, precision: Precision) -> Self {
        Objective { function: self.function.precision(precision), ..self }
    }
}

/// After this many evaluations a stage gives up.
const MOST: usize = 1500;

/// What to minimise, and how.
pub struct Stage<'s> {
    /// Some or all of the objective's parameters; the others stay where they are.
    pub which: &'s [usize],
    pub near: Near,
    /// The inverse Hessian to start with, in the parameters' lengths, where it is known.
    pub inverse: Option<&'s [f64]>,
    /// As in [`Progress`].
    pub name: &'s str,
    pub full: bool,
}

impl Stage<'_> {
    /// Minimises from, and to, `at`.
    ///
    /// # Errors
    /// What `report` returns.
    pub fn descend(
        &self,
        objective: &mut Objective,
        at: &mut [f64],
        report: &mut Report,
    ) -> Result<Minimum> {
        let Objective { problem, parameters, function } = objective;
        let origin = &problem.start;
        let scaled = |i: usize, value: f64| (value - origin[i]) / problem.lengths[i];
        let bounds = self.which.iter().map(|&i| {
            let (low, high) = problem.bounds[i];
            (scaled(i, low), scaled(i, high))
        });
        let settings = Settings { near: self.near, evaluations: MOST, bounds: bounds.collect() };
        let start: Vec<f64> = self.which.iter().map(|&i| scaled(i, at[i])).collect();
        // Where the parameters of this stage stand among those of the objective.
        let places = self.which.iter().map(|i| parameters.iter().position(|p| p == i));
        let places: Vec<usize> =
            places.map(|place| place.expect("a parameter of the objective")).collect();
        let mut all: Vec<f64> = parameters.iter().map(|&i| scaled(i, at[i])).collect();
        let mut gradient = vec![0.0; all.len()];
        let minimum = function.with_team(|function| {
            minimise(
                |x, g| {
                    places.iter().zip(x).for_each(|(&place, &x)| all[place] = x);
                    let value = function.value_and_gradient_into(&all, &mut gradient);
                    places.iter().zip(g).for_each(|(&place, g)| *g = gradient[place]);
                    value
                },
                &start,
                self.inverse,
                &settings,
                |evaluations, value| {
                    report(&Progress {
                        stage: self.name.to_string(),
                        evaluations,
                        negative_log_likelihood: value,
                        full: self.full,
                    })
                },
            )
        })?;
        for (&i, x) in self.which.iter().zip(&minimum.x) {
            at[i] = origin[i] + problem.lengths[i] * x;
        }
        Ok(minimum)
    }
}
