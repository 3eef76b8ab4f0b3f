//! The same fit by other packages: `run.py` in a folder of baselines, one process for each case.

use super::measurement::{Measurement, Solution};
use super::process;
use super::table::Key;
use crate::cli::signal::Stop;
use crate::error::{Error, Result};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Value and gradient have to agree with ours to this, relative to the value and to the largest
/// element of the gradient.
const AGREEMENT: f64 = 1e-8;
/// What forward differences can do.
const AGREEMENT_OF_DIFFERENCES: f64 = 1e-4;

/// Names the Python that runs the baselines, where it is not their own.
const PYTHON: &str = "OOF_BASELINES_PYTHON";

/// The packages. `dish` computes on the pixels of the dish only, as ours does, and not on the whole grid.
pub const NAMES: [&str; 6] = ["numpy", "numpy-dish", "torch", "torch-dish", "jax", "jax-dish"];

/// What runs the baselines.
pub struct Baselines {
    python: PathBuf,
    script: PathBuf,
}

/// What `run.py` prints.
#[derive(Debug, Deserialize)]
pub struct Report {
    version: String,
    value: f64,
    gradient: Vec<f64>,
    seconds_forward: Vec<f64>,
    seconds_gradient: Vec<f64>,
    #[serde(default)]
    fits: Vec<Fit>,
    /// That a fit would take, where it was not done.
    evaluations: Option<u64>,
    /// `forward` or `gradient`.
    evaluation_kind: Option<String>,
    seconds_solution_extrapolated: Option<f64>,
    peak_rss_bytes: Option<u64>,
    note: Option<String>,
}

/// One fit of several, which are repeats.
#[derive(Debug, Clone, Deserialize)]
struct Fit {
    trace: Vec<(f64, f64)>,
    evaluations: u64,
    negative_log_likelihood: f64,
}

impl Baselines {
    /// The baselines in `folder`.
    ///
    /// # Errors
    /// A usage error where the script or its Python is not there.
    pub fn find(folder: &Path) -> Result<Self> {
        let script = folder.join("run.py");
        if !script.is_file() {
            return Err(Error::usage(format!(
                "{}: no such file; give the folder of the baselines with --baselines",
                script.display()
            )));
        }
        let python = match std::env::var_os(PYTHON) {
            Some(python) => PathBuf::from(python),
            None => folder.join(".venv/bin/python"),
        };
        // A bare name is looked up in PATH.
        if python.components().count() > 1 && !python.exists() {
            return Err(Error::usage(format!(
                "{}: no such file; run {} once, or set {PYTHON}",
                python.display(),
                folder.join("setup").display()
            )));
        }
        Ok(Baselines { python, script })
    }

    /// Runs the implementation and the threads of `key` on the case in a folder, and solves it where
    /// there is a `limit`, in seconds. `small` is the same case on a small grid, to count evaluations
    /// on where a fit would take longer.
    pub fn run(
        &self,
        key: &Key,
        case: &Path,
        small: Option<&Path>,
        repeats: u16,
        limit: Option<f64>,
        stop: &Stop,
    ) -> Result<Report> {
        let (name, threads) = (&key.implementation, key.threads.to_string());
        let mut command = Command::new(&self.python);
        command.arg(&self.script).arg(case);
        command.args(["--implementation", name, "--threads", &threads]);
        command.args(["--repeat", &repeats.to_string()]);
        if let Some(limit) = limit {
            command.args(["--solve", "--time-limit", &limit.to_string()]);
            if let Some(small) = small {
                command.arg("--evaluations-from").arg(small);
            }
        }
        // Read when the libraries are loaded, before the script can say anything.
        for library in ["OMP", "OPENBLAS", "MKL"] {
            command.env(format!("{library}_NUM_THREADS"), &threads);
        }
        let bytes = process::output(&mut command, stop)?;
        serde_json::from_slice(&bytes)
            .map_err(|e| Error::failed(format!("its output is not the JSON expected: {e}")))
    }
}

impl Report {
    /// Compares value and gradient with ours.
    ///
    /// # Errors
    /// A failure that says by how much they differ.
    pub fn check(&self, (value, gradient): &(f64, Vec<f64>)) -> Result<()> {
        let wrong = |what: String| Err(Error::failed(format!("not measured: {what}")));
        if self.gradient.len() != gradient.len() {
            let (n, expected) = (self.gradient.len(), gradient.len());
            return wrong(format!("a gradient of {n} elements, expected {expected}"));
        }
        let of_gradient = match self.evaluation_kind.as_deref() {
            Some("forward") => AGREEMENT_OF_DIFFERENCES,
            _ => AGREEMENT,
        };
        let largest = gradient.iter().fold(0.0, |a: f64, b| a.max(b.abs()));
        let values = [("value", self.value, value, value.abs(), AGREEMENT)].into_iter();
        let slopes = self.gradient.iter().zip(gradient);
        let slopes = slopes.map(|(&a, b)| ("gradient", a, b, largest, of_gradient));
        for (what, theirs, ours, size, tolerance) in values.chain(slopes) {
            let difference = (theirs - ours).abs() / size;
            if difference.is_nan() || difference > tolerance {
                return wrong(format!(
                    "its {what} differs from ours by {difference:.1e}, more than {tolerance:e}"
                ));
            }
        }
        Ok(())
    }

    /// Repeat `repeat`, from 1. What was not repeated so often is empty.
    pub fn measurement(&self, repeat: usize) -> Measurement {
        let extrapolated = self.seconds_solution_extrapolated;
        let fit = self.fits.get(repeat - 1);
        let reckoned = extrapolated.map(|seconds| Solution {
            evaluations: self.evaluations,
            extrapolated: Some(seconds),
            ..Solution::default()
        });
        let own = self.note.clone().unwrap_or_default();
        let note = match extrapolated {
            Some(_) if !own.contains("extrapolated") => format!("extrapolated; {own}"),
            _ => own,
        };
        let fitted = fit.map(|fit| Solution {
            seconds: fit.trace.last().map(|point| point.0),
            trace: fit.trace.clone(),
            evaluations: Some(fit.evaluations),
            negative_log_likelihood: Some(fit.negative_log_likelihood),
            ..Solution::default()
        });
        Measurement {
            version: self.version.clone(),
            seconds_forward: self.seconds_forward.get(repeat - 1).copied(),
            seconds_gradient: self.seconds_gradient.get(repeat - 1).copied(),
            solution: reckoned.or(fitted),
            seconds_first_solution: None,
            peak_rss_bytes: self.peak_rss_bytes,
            note: note.trim_end_matches("; ").to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(value: f64, gradient: &[f64], kind: &str) -> Report {
        serde_json::from_value(serde_json::json!({
            "version": "2", "threads": 1, "value": value,
            "gradient": gradient, "seconds_forward": [1.0, 2.0], "seconds_gradient": [3.0],
            "evaluations": 40, "evaluation_kind": kind, "seconds_solution_extrapolated": 900.0,
            "peak_rss_bytes": 1, "note": "slow"
        }))
        .unwrap()
    }

    #[test]
    fn value_and_gradient_have_to_agree() {
        let ours = (1e3, vec![100.0, 1e-9]);
        let said = |value, gradient: &[f64], kind| {
            let mut report = report(1.0, &[], kind);
            (report.value, report.gradient) = (value, gradient.to_vec());
            report.check(&ours).map_err(|e| e.to_string()).err().unwrap_or_default()
        };
        assert_eq!(said(1e3 + 5e-6, &[100.0, 5e-7], "gradient"), "");
        assert!(said(1e3 + 2e-5, &[100.0, 0.0], "gradient").contains("its value differs"));
        assert!(said(1e3, &[100.0, 2e-6], "gradient").contains("its gradient differs"));
        assert_eq!(said(1e3, &[100.005, 0.0], "forward"), "");
        assert!(said(1e3, &[100.02, 0.0], "forward").contains("its gradient differs"));
        assert!(said(1e3, &[100.0], "gradient").contains("1 elements, expected 2"));
        assert!(said(f64::NAN, &[100.0, 0.0], "gradient").contains("value differs"));
    }

    #[test]
    fn a_fit_that_was_not_done_says_so_and_missing_repeats_stay_empty() {
        let mut report = report(1.0, &[1.0], "gradient");
        let second = report.measurement(2);
        assert_eq!(second.note, "extrapolated; slow");
        assert_eq!((second.seconds_forward, second.seconds_gradient), (Some(2.0), None));
        let solution = second.solution.unwrap();
        assert_eq!((solution.extrapolated, solution.evaluations), (Some(900.0), Some(40)));
        report.seconds_solution_extrapolated = None;
        let trace = vec![(1.0, 5.0), (2.0, 4.0)];
        report.fits = vec![Fit { trace, evaluations: 3, negative_log_likelihood: 4.0 }];
        let [first, second] = [1, 2].map(|repeat| report.measurement(repeat).solution);
        assert_eq!((first.unwrap().seconds, second.is_none()), (Some(2.0), true));
    }
}
