//! What one process measures: the value, the value with its gradient, and a whole fit.

use super::case::Loaded;
use super::processor;
use crate::device::{Backend, Precision, with_team};
use crate::error::{Error, Result};
use crate::fit::problem::Problem;
use crate::fit::{FitOptions, FitResult, Progress, fit};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::time::Instant;

/// A solution is found when the log-likelihood is this near to the best one.
pub const NEAR: f64 = 0.01;
/// At least so many calls are timed, and at least for so long.
const CALLS: usize = 5;
const SECONDS: f64 = 0.2;
/// A fit that took as many seconds, or half of what it may, is not done again.
const LONG: f64 = 10.0;

/// Times, as one process found them. They travel from it as JSON.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Measurement {
    pub version: String,
    pub seconds_forward: Option<f64>,
    pub seconds_gradient: Option<f64>,
    pub solution: Option<Solution>,
    /// The same of the first fit of the process, until it was near its own end, where it came to one.
    pub seconds_first_solution: Option<f64>,
    pub peak_rss_bytes: Option<u64>,
    pub note: String,
}

/// A fit.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Solution {
    /// Seconds since the maps were in memory, and the negative log-likelihood by then, full maps only.
    pub trace: Vec<(f64, f64)>,
    /// Until the fit returned.
    pub seconds: Option<f64>,
    /// On full maps, and on coarse ones.
    pub evaluations: Option<u64>,
    pub evaluations_coarse: Option<u64>,
    pub negative_log_likelihood: Option<f64>,
    /// The time that the whole would take, where it was not done.
    pub extrapolated: Option<f64>,
}

/// Points that improve by less are not kept.
const STEP: f64 = 1e-3 * NEAR;

impl Solution {
    /// The points of the trace by which a row can be judged, whatever the best likelihood turns out to be:
    /// those that are [`NEAR`] the fit's own best, each better than the last.
    pub fn approach(&self) -> Vec<(f64, f64)> {
        let end = self.seconds.zip(self.negative_log_likelihood);
        let points = || self.trace.iter().copied().chain(end);
        let own = points().map(|point| point.1).fold(f64::INFINITY, f64::min);
        let mut kept: Vec<(f64, f64)> = Vec::new();
        for point in points().filter(|point| point.1 <= own + NEAR) {
            let gain = kept.last().map_or(f64::INFINITY, |last| last.1 - point.1);
            if gain >= STEP || (gain > 0.0 && point.1 == own) {
                kept.push(point);
            }
        }
        kept
    }

    /// The likelihood that was reached, where it was.
    pub fn reached(&self) -> Option<f64> {
        self.negative_log_likelihood.filter(|v| self.extrapolated.is_none() && v.is_finite())
    }
}

/// Measures the case in `folder`; a fit only where it has a `limit`, in seconds.
pub fn measure(
    folder: &Path,
    precision: Precision,
    backend: Backend,
    limit: Option<f64>,
) -> Result<Measurement> {
    let loaded = Loaded::read(folder)?;
    let options = FitOptions { backend, ..loaded.options(precision) };
    processor::forget_peak_memory();
    let mut measurement =
        Measurement { version: env!("CARGO_PKG_VERSION").into(), ..Measurement::default() };
    // First, as baselines do, who have their values checked before they begin: a process's first evaluation also
    // pays for bringing its code and its memory in.
    let (forward, gradient) = time_function(&loaded, &options)?;
    (measurement.seconds_forward, measurement.seconds_gradient) = (Some(forward), Some(gradient));
    let mut result = None;
    if let Some(limit) = limit {
        // The first fit of a process also pays for bringing in its code and its memory. Baselines do all their repeats
        // in one process, so that most of theirs are later ones; so is the one that counts here.
        let (mut solution, mut fitted) = solve(&loaded, &options, limit)?;
        let near = solution.approach().first().map(|point| point.0);
        measurement.seconds_first_solution = near.filter(|_| solution.seconds.is_some());
        if solution.seconds.is_some_and(|seconds| seconds < LONG.min(0.5 * limit)) {
            drop(fitted);
            (solution, fitted) = solve(&loaded, &options, limit)?;
        }
        measurement.note = match &fitted {
            None => "time limit".into(),
            Some(fitted) if fitted.status != "converged" => fitted.status.clone(),
            Some(_) => String::new(),
        };
        measurement.solution = Some(solution);
        result = fitted;
    }
    measurement.peak_rss_bytes = processor::peak_memory();
    // Everyone is judged in the same precision.
    let solution = measurement.solution.as_mut().zip(result);
    if let (Some((solution, result)), Precision::F32) = (solution, precision) {
        let named = |name: &String| result.parameters.iter().find(|p| p.name == *name);
        let at = loaded.case.parameters.iter().filter_map(named);
        let at: Vec<f64> = at.map(|p| p.value).collect();
        let (judged, _) = loaded.value_and_gradient(&at)?;
        let off = judged - result.negative_log_likelihood;
        solution.trace.iter_mut().for_each(|point| point.1 += off);
        solution.negative_log_likelihood = Some(judged);
    }
    Ok(measurement)
}

/// There is no result where the time was up.
type Solved = (Solution, Option<FitResult>);

/// Fits, for `limit` seconds.
fn solve(loaded: &Loaded, options: &FitOptions, limit: f64) -> Result<Solved> {
    let (mut solution, mut late) = (Solution::default(), false);
    let begun = Instant::now();
    let mut progress = |at: &Progress| {
        let seconds = begun.elapsed().as_secs_f64();
        if at.full {
            solution.trace.push((seconds, at.negative_log_likelihood));
        }
        late = seconds > limit;
        match late {
            true => Err(Error::failed("time limit")),
            false => Ok(()),
        }
    };
    let result = fit(loaded.setup(options), &mut progress);
    let seconds = begun.elapsed().as_secs_f64();
    let result = match result {
        Err(_) if late => {
            solution.negative_log_likelihood = solution.trace.last().map(|point| point.1);
            return Ok((solution, None));
        }
        result => result?,
    };
    solution.seconds = Some(seconds);
    solution.evaluations = Some(result.evaluations.full as u64);
    solution.evaluations_coarse = Some(result.evaluations.coarse as u64);
    solution.negative_log_likelihood = Some(result.negative_log_likelihood);
    Ok((solution, Some(result)))
}

/// Seconds for the value, and for value and gradient. Each has its own recording, so that not both
/// are in memory at once.
fn time_function(loaded: &Loaded, options: &FitOptions) -> Result<(f64, f64)> {
    let problem = Problem::new(loaded.setup(options))?;
    let which = loaded.positions(&problem)?;
    let x = vec![0.0; which.len()];
    let record = || problem.function(&which, &problem.start);
    let mut function = record();
    // With threads at hand, as a minimiser has them.
    let threads = rayon::current_num_threads();
    let forward = with_team(threads, || median_seconds(|| function.value(&x)));
    drop(function);
    function = record();
    let mut gradient = x.clone();
    let both = function.with_team(|function| {
        median_seconds(|| function.value_and_gradient_into(&x, &mut gradient))
    });
    Ok((forward, both))
}

/// The median time of a call, after a first one that plans and allocates.
fn median_seconds(mut call: impl FnMut() -> f64) -> f64 {
    std::hint::black_box(call());
    let (mut times, begun) = (Vec::new(), Instant::now());
    while times.len() < CALLS || begun.elapsed().as_secs_f64() < SECONDS {
        let before = Instant::now();
        std::hint::black_box(call());
        times.push(before.elapsed().as_secs_f64());
    }
    times.sort_unstable_by(f64::total_cmp);
    times[times.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::super::table::CaseKind;
    use super::*;

    #[test]
    fn what_a_row_is_judged_by_is_the_end_of_the_trace() {
        let mut solution = Solution {
            trace: vec![(1.0, 20.0), (2.0, 10.02), (3.0, 10.005), (4.0, 10.0)],
            seconds: Some(5.0),
            negative_log_likelihood: Some(9.99),
            ..Solution::default()
        };
        // What is within 0.01 of 9.99, and each better than the last.
        assert_eq!(solution.approach(), [(4.0, 10.0), (5.0, 9.99)]);
        solution.trace.push((4.5, 9.9955));
        solution.trace.push((4.6, 9.9954999));
        solution.trace.push((4.7, 9.9961));
        assert_eq!(solution.approach(), [(4.0, 10.0), (4.5, 9.9955), (5.0, 9.99)]);
        // No end where the time was up.
        solution.seconds = None;
        assert_eq!(solution.approach().last(), Some(&(4.6, 9.9954999)));
        assert_eq!(solution.reached(), Some(9.99));
        solution.extrapolated = Some(77.0);
        assert_eq!(solution.reached(), None);
    }

    #[test]
    fn a_fit_in_f32_is_judged_in_f64_and_a_late_one_has_no_end() {
        let folder = tempfile::tempdir().unwrap();
        let case = folder.path().join("case");
        let made = Loaded::simulate(CaseKind::Cold, 32, 2, 1).unwrap();
        made.write(&case).unwrap();
        let reached = |precision| {
            let found = measure(&case, precision, Backend::Cpu, Some(600.0)).unwrap();
            assert!(found.seconds_forward > Some(0.0) && found.seconds_gradient > Some(0.0));
            assert!(found.seconds_first_solution > Some(0.0));
            found.solution.unwrap()
        };
        let (double, single) = (reached(Precision::F64), reached(Precision::F32));
        let best = double.reached().unwrap();
        // Both end within a tenth of the tolerance of the minimiser's own stop at 1e-4.
        assert!((single.reached().unwrap() - best).abs() < 0.01);
        assert!(single.approach().iter().any(|point| point.1 <= best + NEAR));
        let late = measure(&case, Precision::F64, Backend::Cpu, Some(0.0)).unwrap();
        assert_eq!(late.note, "time limit");
        assert!(late.solution.unwrap().seconds.is_none());
    }
}
