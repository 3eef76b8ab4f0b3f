//! The command lines of the programs: options in, errors and exit statuses out.
//!
//! Only this layer knows of flags, of standard error and of exit statuses. Each program is a module
//! with its options and a function `run`; [`main_with`] is all that a binary calls. Parser, `--help`,
//! man page and the history in an output's header come from the same definitions.
//!
//! * [`fit`], [`grad`], [`simulate`], [`plot`], [`mod@bench`]: the programs;
//! * [`input`]: what `fit` and `grad` share: maps, telescope, and what to fit;
//! * [`example`]: the examples of help and man pages, which a test runs.

mod aperture;
pub mod bench;
mod check;
mod coefficients;
mod config;
pub mod example;
pub mod fit;
pub mod grad;
pub mod input;
mod machine;
mod maps;
mod model;
mod noise;
mod observation;
mod parameter;
pub mod plot;
mod program;
mod progress;
mod signal;
pub mod simulate;

pub use program::main_with;
