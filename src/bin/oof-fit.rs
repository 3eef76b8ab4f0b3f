//! Measures a telescope's surface from its beam maps.

use oof::cli::{fit, main_with};
use std::process::ExitCode;

fn main() -> ExitCode {
    main_with(fit::run)
}
