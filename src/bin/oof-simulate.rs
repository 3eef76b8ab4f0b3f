//! Makes beam maps of a telescope with known aberrations.

use oof::cli::{main_with, simulate};
use std::process::ExitCode;

fn main() -> ExitCode {
    main_with(simulate::run)
}
