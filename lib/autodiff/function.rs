//! A recorded function, ready to be called.

use super::dot;
use super::graph::{Graph, Id};
use super::plan::plan;
use super::var::{Tape, Var};
use crate::device::{Backend, Executable, Precision, with_team};
use ndarray::{Array1, Array2};
use std::borrow::Cow;

/// As many directions are taken at once: each needs memory of its own, and the gain falls off.
const DIRECTIONS: usize = 4;

/// A real function of some parameters, with arrays that it computes on the way.
///
/// What it can be asked for is planned at the first asking and kept.
pub struct Function {
    graph: Graph,
    value: Id,
    arrays: Vec<Id>,
    count: usize,
    backend: Backend,
    precision: Precision,
    runs: Vec<(What, Box<dyn Executable>)>,
    outputs: Vec<f64>,
}

/// What a function is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Value,
    /// The value, and the gradient.
    Gradient,
    /// Second derivatives in a direction, which are parameters after the function's own.
    Curvature,
    Arrays,
    /// The arrays' derivatives in this many directions, parameters as above.
    Tangents(usize),
}

impl Function {
    /// Records `model`, a function of `count` parameters.
    pub fn new(count: usize, model: impl for<'t> FnOnce(&'t Tape, &[Var<'t>]) -> Var<'t>) -> Self {
        Function::with_arrays(count, |tape, x| (model(tape, x), Vec::new()))
    }

    /// Records `model`, which also returns arrays to be read after a run (the model maps, say).
    ///
    /// # Panics
    /// When the model's value is an array, or one of the arrays is a number.
    pub fn with_arrays(
        count: usize,
        model: impl for<'t> FnOnce(&'t Tape, &[Var<'t>]) -> (Var<'t>, Vec<Var<'t>>),
    ) -> Self {
        let tape = Tape::default();
        let (value, arrays) = {
            let x: Vec<_> = (0..count).map(|i| tape.parameter(i)).collect();
            let (value, arrays) = model(&tape, &x);
            (value.id, arrays.iter().map(|a| a.id).collect())
        };
        Function {
            graph: tape.into_graph(),
            value,
            arrays,
            count,
            backend: Backend::default(),
            precision: Precision::default(),
            runs: Vec::new(),
            outputs: vec![0.0; count + 1],
        }
    }

    /// The same function in another precision.
    pub fn precision(self, precision: Precision) -> Self {
        Function { precision, runs: Vec::new(), ..self }
    }

    /// The same function on another device. Where that fails, now or later, the call that finds out
    /// unwinds with the [`Error`](crate::Error).
    pub fn backend(self, backend: Backend) -> Self {
        Function { backend, runs: Vec::new(), ..self }
    }

    /// The number of parameters.
    pub fn parameters(&self) -> usize {
        self.count
    }

    /// The program for `what`, planned at the first asking.
    fn run_of(&mut self, what: What) -> &mut dyn Executable {
        let known = self.runs.iter().position(|run| run.0 == what);
        let at = known.unwrap_or_else(|| {
            let (directions, outputs, arrays) = self.nodes(what);
            let parameters = (1 + directions) * self.count;
            let program = plan(&self.graph, parameters, &outputs, &arrays);
            // Values are asked for deep inside minimisers, which have no way out for a broken device. No bug,
            // so the panic hook has nothing to say.
            let loaded = self.backend.load(program, self.precision);
            let run = loaded.unwrap_or_else(|error| std::panic::resume_unwind(Box::new(error)));
            self.runs.push((what, run));
            self.runs.len() - 1
        });
        &mut *self.runs[at].1
    }

    /// The number of directions among the parameters, and the nodes that are computed: numbers and arrays.
    fn nodes(&mut self, what: What) -> (usize, Vec<Id>, Vec<Id>) {
        let n = self.count;
        let x: Vec<_> = (0..n).map(|i| self.graph.parameter(i)).collect();
        match what {
            What::Value => (0, vec![self.value], Vec::new()),
            What::Arrays => (0, Vec::new(), self.arrays.clone()),
            What::Gradient => {
                let gradient = self.graph.gradient(self.value, &x);
                (0, std::iter::once(self.value).chain(gradient).collect(), Vec::new())
            }
            What::Curvature => {
                // The gradient's graph, differentiated again.
                let gradient = self.graph.gradient(self.value, &x);
                let seeds = self.seeds(&gradient, 1);
                (1, self.graph.pull_back(&seeds, &x), Vec::new())
            }
            What::Tangents(directions) => {
                // Forward mode, as the adjoint of the adjoint, which is linear in the cotangents that it was
                // given.
                let cotangents: Vec<_> =
                    self.arrays.iter().map(|&a| self.graph.placeholder(a)).collect();
                let seeds: Vec<_> =
                    self.arrays.iter().copied().zip(cotangents.iter().copied()).collect();
                let gradient = self.graph.pull_back(&seeds, &x);
                let mut arrays = Vec::new();
                for direction in 1..=directions {
                    let seeds = self.seeds(&gradient, direction);
                    arrays.extend(self.graph.pull_back(&seeds, &cotangents));
                }
                (directions, Vec::new(), arrays)
            }
        }
    }

    /// A gradient's components with those of a direction.
    fn seeds(&mut self, gradient: &[Id], direction: usize) -> Vec<(Id, Id)> {
        let first = direction * self.count;
        let pair = |(i, &g)| (g, self.graph.parameter(first + i));
        gradient.iter().enumerate().map(pair).collect()
    }

    /// The value at `x`.
    pub fn value(&mut self, x: &[f64]) -> f64 {
        let mut value = [0.0];
        self.run_of(What::Value).run(x, &mut value);
        value[0]
    }

    /// The value at `x`, and the gradient written to `gradient`. Allocates nothing after the first
    /// call.
    ///
    /// # Panics
    /// When the lengths are not the number of parameters.
    pub fn value_and_gradient_into(&mut self, x: &[f64], gradient: &mut [f64]) -> f64 {
        let mut outputs = std::mem::take(&mut self.outputs);
        self.run_of(What::Gradient).run(x, &mut outputs);
        gradient.copy_from_slice(&outputs[1..]);
        self.outputs = outputs;
        self.outputs[0]
    }

    /// Makes the value and the gradient ready to be asked for.
    pub fn prepare(&mut self) {
        self.run_of(What::Gradient);
    }

    /// Makes the arrays ready to be asked for.
    pub fn prepare_arrays(&mut self) {
        self.run_of(What::Arrays);
    }

    /// Makes the arrays' derivatives in this many directions ready to be asked for.
    pub fn prepare_tangents(&mut self, directions: usize) {
        self.run_of(What::Tangents(at_once(directions)));
    }

    /// Calls `work`, which asks for many values and gradients one after the other, and meanwhile keeps threads
    /// at hand for them.
    pub fn with_team<R: Send>(&mut self, work: impl FnOnce(&mut Function) -> R + Send) -> R {
        let threads = self.run_of(What::Gradient).threads();
        with_team(threads, || work(self))
    }

    /// The value and the gradient at `x`.
    pub fn value_and_gradient(&mut self, x: &[f64]) -> (f64, Vec<f64>) {
        let mut gradient = vec![0.0; self.count];
        let value = self.value_and_gradient_into(x, &mut gradient);
        (value, gradient)
    }

    /// The second derivatives at `x` in the direction `v`.
    ///
    /// # Panics
    /// When the lengths are not the number of parameters.
    pub fn hessian_times(&mut self, x: &[f64], v: &[f64]) -> Vec<f64> {
        assert_eq!((x.len(), v.len()), (self.count, self.count), "a number a parameter");
        let mut product = vec![0.0; self.count];
        self.run_of(What::Curvature).run(&[x, v].concat(), &mut product);
        product
    }

    /// All second derivatives at `x`.
    ///
    /// # Panics
    /// When the length is not the number of parameters.
    pub fn hessian(&mut self, x: &[f64]) -> Array2<f64> {
        let mut rows = Array2::eye(self.count);
        for mut row in rows.rows_mut() {
            let product = self.hessian_times(x, &row.to_vec());
            row.assign(&Array1::from(product));
        }
        rows
    }

    /// The arrays at `x`, one after the other: where they lie, or copies.
    pub fn arrays(&mut self, x: &[f64]) -> Vec<Cow<'_, [f64]>> {
        let count = self.arrays.len();
        let run = self.run_of(What::Arrays);
        run.run(x, &mut []);
        (0..count).map(|i| run.array(i)).collect()
    }

    /// The derivatives of the arrays at `x` in several directions: for each array `(direction, value)`. Some
    /// directions are taken at once, and share what does not depend on them.
    ///
    /// # Panics
    /// When the lengths of `x` and of the directions are not the number of parameters.
    pub fn tangents(&mut self, x: &[f64], directions: &[Vec<f64>]) -> Vec<Array2<f64>> {
        let all_lengths = || directions.iter().map(Vec::len).chain([x.len()]);
        assert!(all_lengths().all(|len| len == self.count), "a number a parameter");
        let lengths = self.arrays.iter().map(|&a| self.graph.spaces[self.graph.space_of(a)]);
        let mut products: Vec<_> = lengths.map(|n| Array2::zeros((directions.len(), n))).collect();
        if directions.is_empty() {
            return products;
        }
        let at_once = at_once(directions.len());
        let (count, parameters) = (self.arrays.len(), self.count * (1 + at_once));
        let run = self.run_of(What::Tangents(at_once));
        with_team(run.threads(), || {
            for (first, some) in (0..).step_by(at_once).zip(directions.chunks(at_once)) {
                let mut at = x.to_vec();
                some.iter().for_each(|v| at.extend(v));
                at.resize(parameters, 0.0);
                run.run(&at, &mut []);
                for d in 0..some.len() {
                    for (i, products) in products.iter_mut().enumerate() {
                        let mut row = products.row_mut(first + d);
                        let row = row.as_slice_mut().expect("rows are whole");
                        run.array_into(d * count + i, row);
                    }
                }
            }
        });
        products
    }

    /// The graph of the value in Graphviz's language.
    pub fn graphviz(&self) -> String {
        dot::graphviz(&self.graph, &[self.value])
    }
}

/// How many directions are taken at once: as even as can be, so that few are computed for nothing.
fn at_once(directions: usize) -> usize {
    directions.div_ceil(directions.div_ceil(DIRECTIONS).max(1))
}
