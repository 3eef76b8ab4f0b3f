//! Value and gradient of the likelihood at given parameters.

use oof::cli::{grad, main_with};
use std::process::ExitCode;

fn main() -> ExitCode {
    main_with(grad::run)
}
