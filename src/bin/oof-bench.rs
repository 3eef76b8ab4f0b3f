//! Times gradients and fits, ours and those of other packages.

use oof::cli::{bench, main_with};
use std::process::ExitCode;

fn main() -> ExitCode {
    main_with(bench::run)
}
