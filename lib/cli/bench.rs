//! `oof-bench`: the benchmark of arXiv:1805.07439, ours and other packages', as a table.
//!
//! * `table`, `shard`: what is to be measured, and which part of it here;
//! * `case`: the maps, as files that every implementation reads;
//! * `measurement`: what one process of ours measures; `baseline`: what other packages do;
//! * `work`: measuring a group; `process`: running either; `processor`: what they ran on;
//! * `commit`: what the program was built from;
//! * `row`, `sheet`: the CSV file.

mod baseline;
mod case;
mod commit;
mod measurement;
mod process;
mod processor;
mod row;
mod shard;
mod sheet;
mod table;
mod work;

use super::example;
use super::machine::threads_of_job;
use super::program::or_dash;
use crate::error::{Error, Result};
use crate::io::sink::Destination;
use clap::Parser;
use measurement::measure;
use sheet::Sheet;
use std::path::{Path, PathBuf};
use table::TableArgs;
use work::Work;

/// Time gradients and fits, ours and other packages'
///
/// Measures the case of arXiv:1805.07439 for every combination of the lists: seconds for the value,
/// for value and gradient, and from maps in memory to the solution; evaluations, likelihood and peak
/// memory. All coefficients are random, 0.3 rad each. A solution is found when the log-likelihood is
/// within 0.01 of the best that any implementation found for the same case. Each measurement has its
/// own process, in which evaluations are timed first, then a fit, and then, unless that took ten
/// seconds, the one that counts: other packages repeat theirs in one process. Writes CSV, a row a
/// measurement, each appended when it is there; the rows of one case, grid and order are judged once more
/// when all of them are there.
#[derive(Debug, Clone, Parser)]
#[command(name = "oof-bench", version, after_help = example::help("oof-bench"))]
pub struct BenchArgs {
    #[command(flatten)]
    pub table: TableArgs,
    /// Other packages to measure too, where value and gradient agree with ours: numpy by finite
    /// differences, torch and jax by automatic differentiation, on the whole grid or the dish only
    #[arg(long, value_name = "NAME,...", value_delimiter = ',', value_parser = baseline::NAMES,
          help_heading = "Comparison")]
    pub compare: Vec<String>,
    /// The folder with their run.py; OOF_BASELINES_PYTHON is another Python than its own
    #[arg(long, value_name = "FOLDER", default_value = "scripts/baselines", value_parser = clap::value_parser!(PathBuf),
          help_heading = "Comparison")]
    pub baselines: PathBuf,
    /// The CSV file to append to [default: standard output]
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    pub output: Option<PathBuf>,
    /// Skip the measurements that the file has
    #[arg(long, requires = "output", help_heading = "Output")]
    pub resume: bool,
    /// Print what would be measured, and measure nothing
    #[arg(long, help_heading = "Output")]
    pub dry_run: bool,
    /// No progress on standard error; errors are still reported
    #[arg(short, long, help_heading = "Output")]
    pub quiet: bool,
    /// Measure the case in this folder and print JSON: what the program runs for each row
    #[arg(long, value_name = "FOLDER", hide = true)]
    pub measure: Option<PathBuf>,
}

/// Runs `oof-bench`.
///
/// # Errors
/// Options that make no sense, before anything is measured; output that cannot be written; and, after
/// everything else is measured, measurements that failed.
pub fn run(mut args: BenchArgs, _history: &[String]) -> Result<()> {
    if let Some(folder) = &args.measure {
        return measure_here(&args.table, folder);
    }
    if args.table.threads.is_empty() {
        args.table.threads.extend(threads_of_job()?);
    }
    let path = or_dash(&args.output);
    if args.resume && path.as_os_str() == "-" {
        return Err(Error::usage("--resume needs a file; give it with -o"));
    }
    let mut sheet = Sheet::read(&path)?;
    let mut groups = args.table.groups(&args.compare)?;
    // Where there is nothing left to measure, rows may still have to be judged.
    let cases: Vec<_> = groups.iter().map(|group| group[0].clone()).collect();
    for group in &mut groups {
        group.retain(|key| !(args.resume && sheet.has(key, args.table.seed, !args.table.no_solve)));
    }
    if args.dry_run {
        return Destination::Stdout.write(&sheet::table(groups.iter().flatten(), true)?);
    }
    let total = groups.iter().map(Vec::len).sum();
    let mut work = Work::new(&args, total)?;
    sheet.begin()?;
    for (group, case) in groups.iter().zip(&cases) {
        if !group.is_empty() {
            work.measure(group, |row| sheet.append(row))?;
        }
        sheet.settle(case, args.table.seed)?;
    }
    work.verdict()
}

/// The process of one measurement.
fn measure_here(table: &TableArgs, folder: &Path) -> Result<()> {
    let threads = table.threads.first().map_or(0, |&n| n.into());
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    let pool = pool.map_err(|e| Error::failed(format!("cannot start threads: {e}")))?;
    let precision = table.precision[0];
    let backend = table.backends()?[0];
    let found = pool.install(|| measure(folder, precision, backend, table.limit()))?;
    let json = serde_json::to_vec(&found);
    let json = json.map_err(|e| Error::failed(format!("cannot build the JSON: {e}")))?;
    Destination::Stdout.write(&json)
}
