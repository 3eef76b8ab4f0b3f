//! Measuring: the maps of a group, a process for each of its rows, and their judgement.

use super::BenchArgs;
use super::baseline::{Baselines, Report};
use super::case::Loaded;
use super::commit;
use super::measurement::Measurement;
use super::process;
use super::row::Row;
use super::table::Key;
use crate::cli::program::say;
use crate::cli::signal::Stop;
use crate::error::{Error, Result};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Above this, a baseline that would take too long counts its evaluations on a grid of this size.
const SMALL: usize = 128;

/// The folder of a case.
const CASE: &str = "case";

/// The work, as far as it has come.
pub struct Work<'a> {
    args: &'a BenchArgs,
    program: PathBuf,
    baselines: Option<Baselines>,
    stop: Stop,
    commit: String,
    total: usize,
    done: usize,
    failures: usize,
}

impl<'a> Work<'a> {
    /// Work of `total` measurements.
    ///
    /// # Errors
    /// A usage error where baselines are asked for and are not there.
    pub fn new(args: &'a BenchArgs, total: usize) -> Result<Self> {
        let baselines = match args.compare.is_empty() {
            true => None,
            false => Some(Baselines::find(&args.baselines)?),
        };
        let program = std::env::current_exe();
        Ok(Work {
            args,
            program: program.map_err(|e| Error::failed(format!("cannot find myself: {e}")))?,
            baselines,
            stop: Stop::listen()?,
            commit: commit::of_program(),
            total,
            done: 0,
            failures: 0,
        })
    }

    /// Measures `keys`, which are of one case, and hands over each row as it is found.
    pub fn measure(
        &mut self,
        keys: &[Key],
        mut append: impl FnMut(Row) -> Result<()>,
    ) -> Result<()> {
        let (case, grid, order) = (keys[0].case, keys[0].grid, keys[0].order);
        let seed = self.args.table.seed;
        let folder = tempfile::tempdir()
            .map_err(|e| Error::failed(format!("cannot make a temporary folder: {e}")))?;
        let folder = folder.path();
        let compared = keys.iter().any(Key::is_baseline);
        let made = Loaded::simulate(case, grid, order, seed)?;
        made.write(&folder.join(CASE))?;
        let reference = compared.then(|| made.value_and_gradient(&made.case.at));
        let reference = reference.transpose()?;
        // Hundreds of megabytes that the measurements may need.
        drop(made);
        if compared && grid > SMALL && self.args.table.limit().is_some() {
            let small = Loaded::simulate(case, SMALL, order, seed)?;
            small.write(&folder.join("small"))?;
        }
        let mut reports: HashMap<(&str, usize), Option<Report>> = HashMap::new();
        for key in keys {
            self.done += 1;
            let measured = if let (Some(reference), true) = (&reference, key.is_baseline()) {
                let report = match reports.entry((&key.implementation, key.threads)) {
                    Entry::Occupied(there) => there.into_mut(),
                    Entry::Vacant(free) => {
                        let report = self.baseline(key, folder, reference);
                        free.insert(self.forgive(key, report)?)
                    }
                };
                report.as_ref().map(|r| r.measurement(key.repeat))
            } else {
                self.forgive(key, self.ours(key, folder))?
            };
            match measured {
                Some(measured) => {
                    self.tell(key, &measured);
                    append(Row::new(key, seed, measured, &self.commit))?;
                }
                None => self.failures += 1,
            }
        }
        Ok(())
    }

    /// An error where something failed.
    pub fn verdict(&self) -> Result<()> {
        let what = format!("{} of {} measurements failed", self.failures, self.total);
        match self.failures {
            0 => Ok(()),
            _ => Err(Error::failed(what)),
        }
    }

    /// Measures ours in a process of its own.
    fn ours(&self, key: &Key, folder: &Path) -> Result<Measurement> {
        let mut command = Command::new(&self.program);
        command.arg("--measure").arg(folder.join(CASE));
        command.args(["--precision", &key.precision, "--backend", &key.backend]);
        command.args(["--threads", &key.threads.to_string()]);
        match self.args.table.limit() {
            Some(limit) => command.args(["--time-limit", &format!("{limit}s")]),
            None => command.arg("--no-solve"),
        };
        let bytes = process::output(&mut command, &self.stop)?;
        serde_json::from_slice(&bytes).map_err(|e| Error::failed(format!("no measurement: {e}")))
    }

    /// Runs a baseline, and refuses it where it computes something else.
    fn baseline(&self, key: &Key, folder: &Path, reference: &(f64, Vec<f64>)) -> Result<Report> {
        let Some(baselines) = &self.baselines else {
            return Err(Error::failed("there are no baselines"));
        };
        let table = &self.args.table;
        let small = folder.join("small");
        let small = small.exists().then_some(&*small);
        let (case, repeats) = (folder.join(CASE), table.repeat);
        let report = baselines.run(key, &case, small, repeats, table.limit(), &self.stop)?;
        report.check(reference)?;
        Ok(report)
    }

    /// One failure must not cost the rest of the table: it is reported, and counted by the caller.
    fn forgive<T>(&self, key: &Key, result: Result<T>) -> Result<Option<T>> {
        match result {
            Ok(done) => Ok(Some(done)),
            Err(Error::Failed(why)) => {
                say("oof-bench", &format!("{}: {why}", self.place(key)));
                Ok(None)
            }
            Err(other) => Err(other),
        }
    }

    fn place(&self, key: &Key) -> String {
        let (done, total, name) = (self.done, self.total, &key.implementation);
        let (backend, precision) = (&key.backend, &key.precision);
        let (threads, case) = (key.threads, key.case);
        let (grid, order, repeat) = (key.grid, key.order, key.repeat);
        format!(
            "[{done}/{total}] {name} {backend} {precision}, threads {threads}, {case:?}, grid {grid}, order {order}, repeat {repeat}"
        )
    }

    fn tell(&self, key: &Key, measured: &Measurement) {
        let solution = measured.solution.as_ref();
        let fit = solution.and_then(|s| s.extrapolated.or(s.seconds));
        let mut line = self.place(key);
        for (what, seconds) in [("gradient", measured.seconds_gradient), ("fit", fit)] {
            let seconds = seconds.map(|s| format!(", {what} {:.3} ms", 1e3 * s));
            line += &seconds.unwrap_or_default();
        }
        if !self.args.quiet {
            say("oof-bench", &line);
        }
    }
}
