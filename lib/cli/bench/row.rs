//! A row of the CSV file.
//!
//! It is judged by the best likelihood that is known when it is written, and says by when its fit was how
//! good, so that it can be judged anew when a later one of its case ends better.

use super::measurement::{Measurement, NEAR};
use super::processor;
use super::table::Key;
use serde::{Deserialize, Serialize};

/// The first line.
pub const HEADER: &str = "implementation,backend,precision,threads,case,grid,order,parameters,repeat,seconds_forward,seconds_gradient,seconds_solution,seconds_first_solution,evaluations,evaluations_coarse,negative_log_likelihood,best_negative_log_likelihood,approach,peak_rss_bytes,note,seed,machine,version,commit\n";

/// A measurement with all that it is a measurement of. What was not measured is empty.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    pub key: Key,
    pub seconds_forward: Option<f64>,
    pub seconds_gradient: Option<f64>,
    pub seconds_solution: Option<f64>,
    /// Of oof only: that of its process's first fit, judged by its own end.
    pub seconds_first_solution: Option<f64>,
    pub evaluations: Option<u64>,
    pub evaluations_coarse: Option<u64>,
    pub negative_log_likelihood: Option<f64>,
    /// Of all implementations on the same case.
    pub best_negative_log_likelihood: Option<f64>,
    /// The end of the fit, `seconds:negative log-likelihood` and so on, better and better.
    #[serde(with = "approach")]
    pub approach: Vec<(f64, f64)>,
    pub peak_rss_bytes: Option<u64>,
    pub note: String,
    pub seed: u64,
    pub machine: String,
    pub version: String,
    pub commit: String,
}

/// In a row judged by likelihoods that it did not come near.
const NOT_REACHED: &str = "not reached";

impl Row {
    /// A row that is not judged yet. `commit` is the program's.
    pub fn new(key: &Key, seed: u64, found: Measurement, commit: &str) -> Self {
        let solution = found.solution.as_ref();
        Row {
            key: key.clone(),
            note: found.note,
            seconds_forward: found.seconds_forward,
            seconds_gradient: found.seconds_gradient,
            seconds_solution: solution.and_then(|s| s.extrapolated),
            seconds_first_solution: found.seconds_first_solution,
            evaluations: solution.and_then(|s| s.evaluations),
            evaluations_coarse: solution.and_then(|s| s.evaluations_coarse),
            negative_log_likelihood: solution.and_then(|s| s.reached()),
            best_negative_log_likelihood: None,
            approach: match solution {
                Some(solution) if solution.extrapolated.is_none() => solution.approach(),
                _ => Vec::new(),
            },
            peak_rss_bytes: found.peak_rss_bytes,
            seed,
            machine: processor::name(),
            version: found.version,
            commit: commit.into(),
        }
    }

    /// Whether it is of the same maps and the same start.
    pub fn has_case_of(&self, key: &Key, seed: u64) -> bool {
        self.seed == seed && self.key.has_case_of(key)
    }

    /// Says when the fit was near the `best` likelihood of its case.
    pub fn judge(&mut self, best: Option<f64>) {
        self.best_negative_log_likelihood = best;
        let Some(best) = best.filter(|_| !self.approach.is_empty()) else {
            return;
        };
        let near = self.approach.iter().find(|point| point.1 <= best + NEAR);
        self.seconds_solution = near.map(|point| point.0);
        let notes = self.note.split("; ").filter(|note| ![NOT_REACHED, ""].contains(note));
        let missed = near.is_none().then_some(NOT_REACHED);
        self.seconds_first_solution = self.seconds_first_solution.filter(|_| near.is_some());
        self.note = missed.into_iter().chain(notes).collect::<Vec<_>>().join("; ");
    }
}

/// Points as text: `0.25:101.5 0.5:101.25`.
mod approach {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(points: &[(f64, f64)], to: S) -> Result<S::Ok, S::Error> {
        let words = points.iter().map(|(seconds, value)| format!("{seconds}:{value}"));
        to.serialize_str(&words.collect::<Vec<_>>().join(" "))
    }

    pub fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<Vec<(f64, f64)>, D::Error> {
        let text = String::deserialize(from)?;
        let point = |word: &str| {
            let (seconds, value) = word.split_once(':')?;
            Some((seconds.parse().ok()?, value.parse().ok()?))
        };
        let points: Option<Vec<_>> = text.split_whitespace().map(point).collect();
        let wrong = || D::Error::custom(format!("'{text}', expected seconds:likelihood ..."));
        points.ok_or_else(wrong)
    }
}
