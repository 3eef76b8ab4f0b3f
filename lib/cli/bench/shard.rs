//! One part of the table: `--shard 2/8`, or what Slurm says of a task of a job array.

use crate::error::{Error, Result};
use std::str::FromStr;

/// Part `index` (from 0) of `count` parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    pub index: usize,
    pub count: usize,
}

impl FromStr for Shard {
    type Err = Error;

    /// `i/n` with `i` from 1 to `n`.
    fn from_str(text: &str) -> Result<Self> {
        let number = |part: &str| part.trim().parse::<usize>().ok();
        let parts = text.split_once('/');
        let parts = parts.and_then(|(i, n)| Some((number(i)?, number(n)?)));
        match parts {
            Some((i, count)) if (1..=count).contains(&i) => Ok(Shard { index: i - 1, count }),
            _ => Err(Error::usage(format!(
                "shard '{text}', expected i/n with i from 1 to n, such as 2/8"
            ))),
        }
    }
}

impl Shard {
    /// The part of this task of a Slurm job array; the whole table outside one. `variable` looks up
    /// the environment.
    ///
    /// # Errors
    /// A usage error where the array has gaps, as one that repeats failed tasks has.
    pub fn of_slurm(variable: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let Some(task) = variable("SLURM_ARRAY_TASK_ID") else {
            return Ok(Shard { index: 0, count: 1 });
        };
        let number = |name: &str| variable(name).and_then(|v| v.parse::<usize>().ok());
        let first = number("SLURM_ARRAY_TASK_MIN").unwrap_or(1);
        let step = number("SLURM_ARRAY_TASK_STEP").unwrap_or(1).max(1);
        let count = number("SLURM_ARRAY_TASK_COUNT").unwrap_or(0);
        let place = task.parse::<usize>().ok();
        let place = place.and_then(|task| task.checked_sub(first));
        match place.filter(|place| place % step == 0 && place / step < count) {
            Some(place) => Ok(Shard { index: place / step, count }),
            None => Err(Error::usage(format!(
                "SLURM_ARRAY_TASK_ID is {task}, which is none of SLURM_ARRAY_TASK_COUNT tasks in a row; give --shard i/n"
            ))),
        }
    }

    /// Whether the `place`-th thing belongs to this part.
    pub fn has(self, place: usize) -> bool {
        place % self.count == self.index
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_counts_from_one() {
        let shard: Shard = "2/8".parse().unwrap();
        assert_eq!(shard, Shard { index: 1, count: 8 });
        for text in ["", "3", "0/4", "5/4", "1/0", "-1/4", "1/x"] {
            assert!(text.parse::<Shard>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_tasks_of_an_array_share_the_table_whatever_their_numbers() {
        let of = |id: &str, first: &str, step: &str, count: &str| {
            let all = [
                ("SLURM_ARRAY_TASK_ID", id.to_string()),
                ("SLURM_ARRAY_TASK_MIN", first.to_string()),
                ("SLURM_ARRAY_TASK_STEP", step.to_string()),
                ("SLURM_ARRAY_TASK_COUNT", count.to_string()),
            ];
            Shard::of_slurm(|name| all.iter().find(|v| v.0 == name).map(|v| v.1.clone()))
                .map(|s| (s.index, s.count))
        };
        assert_eq!(of("1", "1", "1", "4").unwrap(), (0, 4));
        assert_eq!(of("0", "0", "1", "4").unwrap(), (0, 4));
        assert_eq!(of("6", "0", "2", "4").unwrap(), (3, 4));
        // sbatch --array=3,7
        assert!(of("7", "3", "1", "2").is_err());
        assert_eq!(Shard::of_slurm(|_| None).unwrap(), Shard { index: 0, count: 1 });
    }
}
