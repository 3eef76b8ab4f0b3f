//! The table to measure: every combination of what was asked for, grouped by the case.

use super::case::telescope;
use super::shard::Shard;
use crate::cli::check;
use crate::cli::machine::{Backend, resolve};
use crate::cli::model::order;
use crate::device::{self, Precision};
use crate::error::Result;
use crate::optics::zernike;
use crate::units::Quantity;
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

/// Where a fit starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CaseKind {
    /// At the truth, as in arXiv:1805.07439.
    Paper,
    /// At zero.
    Cold,
}

/// What tells one measurement from the others; `--resume` goes by it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Key {
    /// `oof`, or the name of a baseline.
    pub implementation: String,
    pub backend: String,
    pub precision: String,
    pub threads: usize,
    pub case: CaseKind,
    pub grid: usize,
    pub order: u32,
    /// How many are free.
    pub parameters: usize,
    /// From 1.
    pub repeat: usize,
}

impl Key {
    pub fn is_baseline(&self) -> bool {
        self.implementation != "oof"
    }

    /// Whether it is of the same maps and the same start.
    pub fn has_case_of(&self, other: &Key) -> bool {
        (self.case, self.grid, self.order) == (other.case, other.grid, other.order)
    }
}

/// What is to be measured.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Table")]
pub struct TableArgs {
    /// Pixels a side of a map, and points of the aperture grid
    #[arg(long, alias = "grids", value_name = "N,...", value_delimiter = ',',
          default_values_t = [32, 64, 128, 256, 512, 1024, 2048])]
    pub grid: Vec<usize>,
    /// Highest radial order of the aberrations, 1 to 20
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_value = "7", value_parser = order)]
    pub order: Vec<u32>,
    /// Where fits start: at the truth, or at zero
    #[arg(long, value_name = "CASE,...", value_delimiter = ',', value_enum, default_values_t = [CaseKind::Cold])]
    pub case: Vec<CaseKind>,
    /// Floating-point types of arrays; sums are always f64
    #[arg(long, value_name = "TYPE,...", value_delimiter = ',', value_enum, default_values_t = [Precision::F64])]
    pub precision: Vec<Precision>,
    /// What computes; auto takes a GPU where there is one [default: auto]
    #[arg(long, value_name = "NAME,...", value_delimiter = ',', value_enum)]
    pub backend: Vec<Backend>,
    /// Numbers of threads [default: SLURM_CPUS_PER_TASK, else all cores]
    #[arg(short = 'j', long, value_name = "N,...", value_delimiter = ',',
          value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub threads: Vec<u16>,
    /// How often each is measured
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub repeat: u16,
    /// Seed of the aberrations and the noise
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Only the value and the gradient, no fits
    #[arg(long)]
    pub no_solve: bool,
    /// A fit is given up after so long; a baseline that would take longer is extrapolated
    #[arg(long, value_name = "TIME", default_value = "10min", value_parser = time_limit)]
    pub time_limit: f64,
    /// Part i of n of the table [default: of a Slurm job array its task's part, else all]
    #[arg(long, value_name = "I/N")]
    pub shard: Option<Shard>,
}

impl TableArgs {
    /// Seconds that a fit may take; `None` where there are to be no fits.
    pub fn limit(&self) -> Option<f64> {
        (!self.no_solve).then_some(self.time_limit)
    }

    /// What is to compute, each once.
    ///
    /// # Errors
    /// A usage error for a backend that is not there.
    pub fn backends(&self) -> Result<Vec<device::Backend>> {
        if self.backend.is_empty() {
            return Ok(vec![resolve(None, "oof-bench", false)?]);
        }
        let mut all = Vec::new();
        for &chosen in &self.backend {
            let backend = resolve(Some(chosen), "oof-bench", false)?;
            if !all.contains(&backend) {
                all.push(backend);
            }
        }
        Ok(all)
    }

    /// What this shard measures, a list for each case: the measurements of one are judged by the best
    /// of them, so they stay together. `baselines` are measured too.
    ///
    /// # Errors
    /// A usage error for grids that do not carry the dish, and for a Slurm array with gaps.
    pub fn groups(&self, baselines: &[String]) -> Result<Vec<Vec<Key>>> {
        let shard = match self.shard {
            Some(shard) => shard,
            None => Shard::of_slurm(|name| std::env::var(name).ok())?,
        };
        let backends = self.backends()?;
        let mut groups = Vec::new();
        for &grid in &self.grid {
            let telescope = telescope(grid)?;
            // The paper's table has grids too coarse for their order. What is compared there is the
            // likelihood, which has a minimum all the same.
            check::grid(telescope.aperture, &telescope, 1, "--grid")?;
            for &order in &self.order {
                let cases = self.case.iter();
                groups
                    .extend(cases.map(|&case| self.keys(case, grid, order, &backends, baselines)));
            }
        }
        let mut place = 0..;
        groups.retain(|_| place.next().is_some_and(|place| shard.has(place)));
        Ok(groups)
    }

    /// Repeats of ours first to last, and the baselines, whose repeats are of one process, evenly between them: a slow
    /// minute of the machine is not to hit all of one kind.
    fn keys(
        &self,
        case: CaseKind,
        grid: usize,
        order: u32,
        backends: &[device::Backend],
        baselines: &[String],
    ) -> Vec<Key> {
        let mut threads: Vec<usize> = self.threads.iter().map(|&n| n.into()).collect();
        if threads.is_empty() {
            threads.push(std::thread::available_parallelism().map_or(1, usize::from));
        }
        let on = |&backend: &device::Backend| {
            let precisions = self.precision.iter();
            precisions.map(move |&p| ("oof", backend.name(), p.name()))
        };
        let ours: Vec<_> = backends.iter().flat_map(on).collect();
        let repeats = usize::from(self.repeat);
        let mut keys = Vec::new();
        let mut add = |(implementation, backend, precision): (&str, &str, &str), repeat: usize| {
            keys.extend(threads.iter().map(|&threads| Key {
                implementation: implementation.into(),
                backend: backend.into(),
                precision: precision.into(),
                threads,
                case,
                grid,
                order,
                // Without piston, and with x0, y0 and amp.
                parameters: zernike::count(order) - 1 + 3,
                repeat,
            }));
        };
        for turn in 1..=repeats {
            ours.iter().for_each(|&kind| add(kind, turn));
            let turns = (1..).map(|i| (i * (repeats - 1)).div_ceil(baselines.len() + 1).max(1));
            for (name, _) in baselines.iter().zip(turns).filter(|(_, theirs)| *theirs == turn) {
                (1..=repeats).for_each(|repeat| add((name, "cpu", "f64"), repeat));
            }
        }
        keys
    }
}

fn time_limit(text: &str) -> Result<f64> {
    Quantity::Time.above_zero(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use std::collections::HashSet;

    /// The keys of a shard, in groups.
    fn table(shard: &str) -> Vec<Vec<Key>> {
        let options = format!(
            "x --grid 32,64,128 --order 3,5 --case paper,cold --precision f64,f32 -j 1,2 --repeat 3 --shard {shard}"
        );
        let args = crate::cli::bench::BenchArgs::try_parse_from(options.split(' ')).unwrap();
        args.table.groups(&["torch".into()]).unwrap()
    }

    fn keys(groups: Vec<Vec<Key>>) -> HashSet<Key> {
        groups.into_iter().flatten().collect()
    }

    #[test]
    fn the_table_has_every_combination_once() {
        let groups = table("1/1");
        let count: usize = groups.iter().map(Vec::len).sum();
        // 3 grids, 2 orders, 2 cases, 2 threads, 3 repeats; two precisions of ours, one of torch.
        assert_eq!(count, 3 * 2 * 2 * 2 * 3 * (2 + 1));
        assert_eq!(keys(groups).len(), count);
    }

    #[test]
    fn baselines_lie_between_repeats_of_ours() {
        let options = "x --grid 32 --order 3 -j 1 --repeat 5";
        let args = crate::cli::bench::BenchArgs::try_parse_from(options.split(' ')).unwrap();
        let order = |baselines: &[&str]| -> Vec<String> {
            let baselines: Vec<String> = baselines.iter().map(|name| name.to_string()).collect();
            let groups = args.table.groups(&baselines).unwrap();
            let mut names: Vec<String> =
                groups[0].iter().map(|key| key.implementation.clone()).collect();
            names.dedup();
            assert_eq!(groups[0].len(), 5 * (1 + baselines.len()));
            names
        };
        assert_eq!(order(&[]), ["oof"]);
        assert_eq!(order(&["torch", "jax"]), ["oof", "torch", "oof", "jax", "oof"]);
        let all = ["numpy", "numpy-dish", "torch", "jax", "jax-dish", "more"];
        let between = order(&all);
        // Six in four places: some are next to each other.
        assert_eq!(between.iter().filter(|name| *name == "oof").count(), 5);
        assert!(between[0] == "oof" && between[10] == "oof", "{between:?}");
    }

    #[test]
    fn shards_partition_the_table() {
        let all = keys(table("1/1"));
        for count in 1..15 {
            let parts = (1..=count).map(|i| keys(table(&format!("{i}/{count}"))));
            let parts: Vec<_> = parts.collect();
            assert_eq!(parts.iter().map(HashSet::len).sum::<usize>(), all.len());
            assert!(parts.into_iter().flatten().collect::<HashSet<_>>() == all);
        }
    }
}
