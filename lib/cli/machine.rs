//! What runs the work: options that mean the same in every program.

use super::program::say;
use crate::device::{self, Precision, cuda};
use crate::error::{Error, Result};
use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};

impl ValueEnum for Precision {
    fn value_variants<'a>() -> &'a [Self] {
        &[Precision::F64, Precision::F32]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(self.name().into())
    }
}

/// The device on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Backend {
    Auto,
    Cpu,
    Cuda,
}

/// What a choice comes to here: see [`MachineArgs::backend`].
pub fn resolve(chosen: Option<Backend>, name: &str, quiet: bool) -> Result<device::Backend> {
    match chosen {
        Some(Backend::Cpu) => Ok(device::Backend::Cpu),
        Some(Backend::Cuda) => match cuda::find() {
            Ok(_) => Ok(device::Backend::Cuda),
            Err(absence) => Err(Error::usage(format!("{}; use --backend cpu", absence.reason))),
        },
        None | Some(Backend::Auto) => match cuda::find() {
            Ok(_) => Ok(device::Backend::Cuda),
            Err(absence) => {
                if !quiet && (chosen.is_some() || absence.has_device) {
                    say(name, &format!("{}; running on the CPU", absence.reason));
                }
                Ok(device::Backend::Cpu)
            }
        },
    }
}

/// Options of the machine.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Machine")]
pub struct MachineArgs {
    /// Floating-point type of arrays; sums are always f64
    #[arg(long, value_name = "TYPE", value_enum, default_value = "f64")]
    pub precision: Precision,
    /// What computes; auto takes a GPU where there is one [default: auto]
    #[arg(long, value_name = "NAME", value_enum)]
    pub backend: Option<Backend>,
    /// Number of threads; it never changes a result [default: SLURM_CPUS_PER_TASK, else all cores]
    #[arg(short = 'j', long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub threads: Option<u16>,
    /// No progress and no notes on standard error; errors are still reported
    #[arg(short, long)]
    pub quiet: bool,
}

/// The threads that a Slurm job has, where it has a number of them.
///
/// # Errors
/// A usage error for what is no number of threads.
pub fn threads_of_job() -> Result<Option<u16>> {
    let name = "SLURM_CPUS_PER_TASK";
    let said = std::env::var_os(name).unwrap_or_default().to_string_lossy().trim().to_string();
    match said.parse() {
        _ if said.is_empty() => Ok(None),
        Ok(threads @ 1..=4096) => Ok(Some(threads)),
        _ => Err(Error::usage(format!(
            "{name} is '{said}', expected a number of threads from 1 to 4096; see -j"
        ))),
    }
}

impl MachineArgs {
    /// What computes. Says so, as program `name`, where `auto` found no GPU: if it was asked for, or if
    /// there is one and something else is missing.
    ///
    /// # Errors
    /// A usage error for a backend that is not there.
    pub fn backend(&self, name: &str) -> Result<device::Backend> {
        resolve(self.backend, name, self.quiet)
    }

    /// The threads to run on.
    ///
    /// # Errors
    /// Threads that cannot be started, and a Slurm job's number that is none.
    pub fn pool(&self) -> Result<rayon::ThreadPool> {
        let mut builder = rayon::ThreadPoolBuilder::new();
        if let Some(threads) =
            self.threads.map_or_else(threads_of_job, |threads| Ok(Some(threads)))?
        {
            builder = builder.num_threads(usize::from(threads));
        }
        let pool = builder.build();
        pool.map_err(|e| Error::failed(format!("cannot start threads: {e}")))
    }
}
