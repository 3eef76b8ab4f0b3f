//! A recorded function, ready to be called.

use super::dot;
use super::graph::{Graph, Id};
use super::plan::plan;
use super::var::{Tape, Var};
use crate::device::{Backend, Executable, Precision};

/// As many directions are taken at once: each needs memory of its own, and the gain falls off.
const TOGETHER: usize = 4;

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
    value_run: Option<Box<dyn Executable>>,
    gradient_run: Option<Box<dyn Executable>>,
    curvature_run: Option<Box<dyn Executable>>,
    /// With the number of directions that it takes.
    tangent_run: Option<(usize, Box<dyn Executable>)>,
    arrays_run: Option<Box<dyn Executable>>,
    outputs: Vec<f64>,
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
            value_run: None,
            gradient_run: None,
            curvature_run: None,
            tangent_run: None,
            arrays_run: None,
            outputs: vec![0.0; count + 1],
        }
    }

    /// The same function in another precision.
    pub fn precision(mut self, precision: Precision) -> Self {
        self.precision = precision;
        self
    }

    /// The same function on another device. Where that fails, now or later, the call that finds out
    /// unwinds with the [`Error`](crate::Error).
    pub fn backend(mut self, backend: Backend) -> Self {
        self.backend = backend;
        self
    }

    /// The number of parameters.
    pub fn parameters(&self) -> usize {
        self.count
    }

    /// A program of `parameters` parameters.
    fn plan(&self, parameters: usize, outputs: &[Id], arrays: &[Id]) -> Box<dyn Executable> {
        let program = plan(&self.graph, parameters, outputs, arrays);
        // Values are asked for deep inside minimisers, which have no way out for a broken device. No bug,
        // so the panic hook has nothing to say.
        let loaded = self.backend.load(program, self.precision);
        loaded.unwrap_or_else(|error| std::panic::resume_unwind(Box::new(error)))
    }

    /// The value at `x`.
    pub fn value(&mut self, x: &[f64]) -> f64 {
        let mut run =
            self.value_run.take().unwrap_or_else(|| self.plan(self.count, &[self.value], &[]));
        let mut value = [0.0];
        run.run(x, &mut value);
        self.value_run = Some(run);
        value[0]
    }

    /// The value at `x`, and the gradient written to `gradient`. Allocates nothing after the first
    /// call.
    ///
    /// # Panics
    /// When the lengths are not the number of parameters.
    pub fn value_and_gradient_into(&mut self, x: &[f64], gradient: &mut [f64]) -> f64 {
        let mut run = match self.gradient_run.take() {
            Some(run) => run,
            None => {
                let outputs = self.differentiate();
                self.plan(self.count, &outputs, &[])
            }
        };
        run.run(x, &mut self.outputs);
        self.gradient_run = Some(run);
        gradient.copy_from_slice(&self.outputs[1..]);
        self.outputs[0]
    }

    /// The value and the gradient at `x`.
    pub fn value_and_gradient(&mut self, x: &[f64]) -> (f64, Vec<f64>) {
        let mut gradient = vec![0.0; self.count];
        let value = self.value_and_gradient_into(x, &mut gradient);
        (value, gradient)
    }

    /// The nodes of the value and of every derivative.
    fn differentiate(&mut self) -> Vec<Id> {
        let x: Vec<_> = (0..self.count).map(|i| self.graph.parameter(i)).collect();
        let gradient = self.graph.gradient(self.value, &x);
        std::iter::once(self.value).chain(gradient).collect()
    }

    /// The second derivatives at `x` in the direction `v`: the gradient graph, differentiated again.
    pub fn hessian_times(&mut self, x: &[f64], v: &[f64]) -> Vec<f64> {
        let n = self.count;
        let mut run = self.curvature_run.take().unwrap_or_else(|| {
            let gradient = self.differentiate().split_off(1);
            let x: Vec<_> = (0..n).map(|i| self.graph.parameter(i)).collect();
            let seeds: Vec<_> = gradient
                .into_iter()
                .enumerate()
                .map(|(i, g)| (g, self.graph.parameter(n + i)))
                .collect();
            let products = self.graph.pull_back(&seeds, &x);
            self.plan(2 * n, &products, &[])
        });
        let mut product = vec![0.0; n];
        run.run(&[x, v].concat(), &mut product);
        self.curvature_run = Some(run);
        product
    }

    /// The arrays at `x`, one after the other.
    pub fn arrays(&mut self, x: &[f64]) -> Vec<Vec<f64>> {
        let mut run =
            self.arrays_run.take().unwrap_or_else(|| self.plan(self.count, &[], &self.arrays));
        run.run(x, &mut []);
        let arrays = (0..self.arrays.len()).map(|i| run.array(i)).collect();
        self.arrays_run = Some(run);
        arrays
    }

    /// The derivative of the arrays at `x` in the direction `v`, one after the other.
    pub fn arrays_times(&mut self, x: &[f64], v: &[f64]) -> Vec<Vec<f64>> {
        self.arrays_times_each(x, &[v.to_vec()]).remove(0)
    }

    /// The derivatives of the arrays at `x` in several directions, `(direction, array, value)`: forward
    /// mode, as the adjoint of the adjoint, which is linear in the cotangents that it was given. Some
    /// directions are taken at once, and share what does not depend on them.
    pub fn arrays_times_each(&mut self, x: &[f64], directions: &[Vec<f64>]) -> Vec<Vec<Vec<f64>>> {
        // As even as can be, so that few directions are computed for nothing.
        let runs = directions.len().div_ceil(TOGETHER);
        let together = directions.len().div_ceil(runs.max(1)).max(1);
        let known = self.tangent_run.take().filter(|(count, _)| *count == together);
        let (_, mut run) = known.unwrap_or_else(|| (together, self.plan_tangents(together)));
        let mut products = Vec::new();
        for some in directions.chunks(together) {
            let mut parameters = x.to_vec();
            some.iter().for_each(|v| parameters.extend(v));
            parameters.resize(self.count * (1 + together), 0.0);
            run.run(&parameters, &mut []);
            let count = self.arrays.len();
            let arrays = |d: usize| (d * count..(d + 1) * count).map(|i| run.array(i)).collect();
            products.extend((0..some.len()).map(arrays));
        }
        self.tangent_run = Some((together, run));
        products
    }

    /// A program of `x` and then `together` directions.
    fn plan_tangents(&mut self, together: usize) -> Box<dyn Executable> {
        let n = self.count;
        let x: Vec<_> = (0..n).map(|i| self.graph.parameter(i)).collect();
        let cotangents: Vec<_> = self.arrays.iter().map(|&a| self.graph.placeholder(a)).collect();
        let seeds: Vec<_> = self.arrays.iter().copied().zip(cotangents.iter().copied()).collect();
        let gradient = self.graph.pull_back(&seeds, &x);
        let mut tangents = Vec::new();
        for direction in 1..=together {
            let of = |(i, &g)| (g, self.graph.parameter(direction * n + i));
            let seeds: Vec<_> = gradient.iter().enumerate().map(of).collect();
            tangents.extend(self.graph.pull_back(&seeds, &cotangents));
        }
        self.plan((1 + together) * n, &[], &tangents)
    }

    /// The graph of the value in Graphviz's language.
    pub fn graphviz(&self) -> String {
        dot::graphviz(&self.graph, &[self.value])
    }
}
