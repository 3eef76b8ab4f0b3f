//! What a problem's model predicts of its maps, and functions of that which are kept for the next time.

use super::problem::Problem;
use crate::autodiff::{Function, Var};
use crate::device::Precision;
use rayon::prelude::*;
use std::borrow::Cow;
use std::ops::Range;
use std::sync::Mutex;

/// Predictions of more samples than this are not held together but map by map.
const SAMPLES_HELD: usize = 1_000_000;

/// Functions of more samples than this are not kept: they have large arrays.
pub(super) const SAMPLES_KEPT: usize = 100_000;

/// What tells functions of a problem apart: the precision, which parameters they have, and the values
/// of the others.
pub(super) type Known = (Precision, Vec<usize>, Vec<f64>);

/// Functions that may be asked for again, by what tells them apart, each of which one thread may have at a time.
#[derive(Default)]
pub(super) struct Kept<K>(pub Mutex<Vec<(K, Function)>>);

impl<K: PartialEq> Kept<K> {
    pub fn take(&self, known: &K) -> Option<Function> {
        let mut kept = self.0.lock().expect("no thread panics here");
        let at = kept.iter().position(|kept| kept.0 == *known)?;
        Some(kept.swap_remove(at).1)
    }

    /// Keeps a function in the place of those that are `stale`.
    pub fn put(&self, known: K, function: Function, stale: impl Fn(&K, &K) -> bool) {
        let mut kept = self.0.lock().expect("no thread panics here");
        kept.retain(|(other, _)| !stale(other, &known));
        kept.push((known, function));
    }
}

impl Problem<'_> {
    /// What is predicted of some maps, as arrays of a function of the parameters `which`, in their own units; the
    /// other parameters stay at `origin`.
    pub fn prediction_function(
        &self,
        which: &[usize],
        origin: &[f64],
        maps: Range<usize>,
    ) -> Function {
        Function::with_arrays(which.len(), |tape, x| {
            let mut all: Vec<Var> = origin.iter().map(|&v| tape.constant(v)).collect();
            which.iter().zip(x).for_each(|(&i, &x)| all[i] = x);
            let all = &all[..self.model.parameters.len()];
            let spaces = self.model.spaces(tape);
            (tape.constant(0.0), self.model.record_some(tape, all, &spaces, maps))
        })
        .backend(self.options.backend)
    }

    /// Calls `ask` with what is predicted of all maps as a function of the free parameters, and with the values of
    /// those among `all`. Functions of small maps are kept for the next time.
    pub fn with_kept_function<R>(
        &self,
        precision: Precision,
        all: &[f64],
        ask: impl FnOnce(&mut Function, &[f64]) -> R,
    ) -> R {
        let which = self.free_places();
        let mut fixed = all.to_vec();
        which.iter().for_each(|&i| fixed[i] = 0.0);
        let known = (precision, which, fixed);
        let mut function = self.kept.take(&known).unwrap_or_else(|| {
            self.prediction_function(&known.1, &known.2, 0..self.maps.maps.len())
                .precision(precision)
        });
        let x: Vec<f64> = known.1.iter().map(|&i| all[i]).collect();
        let answer = ask(&mut function, &x);
        if self.maps.samples() <= SAMPLES_KEPT {
            // Those of other parameters in the same precision go.
            let stale = |other: &Known, known: &Known| other.0 == known.0 && other != known;
            self.kept.put(known, function, stale);
        }
        answer
    }

    /// What `each` makes of every map's number and what is predicted of it at some values of all parameters, samples
    /// in the order of the map's.
    pub fn predictions<R: Send>(
        &self,
        all: &[f64],
        each: impl Fn(usize, Vec<f64>) -> R + Sync,
    ) -> Vec<R> {
        let count = self.maps.maps.len();
        // Large maps one by one, which takes a third of the memory.
        let together = if self.maps.samples() <= SAMPLES_HELD { count.max(1) } else { 1 };
        let mut results = Vec::new();
        for first in (0..count).step_by(together) {
            let maps = first..(first + together).min(count);
            let of = |function: &mut Function, x: &[f64]| -> Vec<R> {
                let arrays: Vec<(usize, Cow<[f64]>)> =
                    maps.clone().zip(function.arrays(x)).collect();
                let one = |(k, array): (usize, Cow<[f64]>)| {
                    let model = self.model.restore(k, &array);
                    // A copy, where it is one, takes as much memory as the model.
                    drop(array);
                    each(k, model)
                };
                arrays.into_par_iter().map(one).collect()
            };
            let precision = self.options.precision;
            results.extend(match together == count {
                true => self.with_kept_function(precision, all, of),
                false => of(
                    &mut self.prediction_function(&[], all, maps.clone()).precision(precision),
                    &[],
                ),
            });
        }
        results
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fit::options::FitOptions;
    use crate::fit::setup::Setup;
    use crate::fit::tests::simulated;

    #[test]
    fn a_function_that_was_kept_gives_the_models_that_a_new_one_gives() {
        let (telescope, maps, grid) = simulated(48);
        let options = FitOptions { order: 3, aperture: Some(grid), ..FitOptions::default() };
        let problem = Problem::new(Setup::new(&telescope, &maps, &options)).unwrap();
        let fixed = (0..problem.free.len()).find(|&i| !problem.free[i] && i > 0).unwrap();
        let mut at = problem.start.clone();
        for step in 0..3 {
            // Free parameters, and then one that the kept function has as a constant.
            match step {
                0 => {}
                1 => problem.free_up_to(3).iter().for_each(|&i| at[i] += 0.1 * problem.lengths[i]),
                _ => at[fixed] += 0.05,
            }
            let kept = problem.predictions(&at, |_, model| model);
            for (k, kept) in kept.iter().enumerate() {
                let mut new = problem.prediction_function(&[], &at, k..k + 1);
                let new = problem.model.restore(k, &new.arrays(&[])[0]);
                let peak = new.iter().copied().fold(0.0, f64::max);
                let most = kept.iter().zip(&new).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                assert!(most < 1e-12 * peak, "step {step}, map {k}: {most} of {peak}");
            }
        }
        assert_eq!(
            problem.kept.0.lock().unwrap().len(),
            1,
            "that of the last value of the constant"
        );
    }
}
