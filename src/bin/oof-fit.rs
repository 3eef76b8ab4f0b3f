//! Measures a telescope's surface from its beam maps.

use oof::cli::{fit, main_with};
use std::process::ExitCode;

#[global_allocator]
static MEMORY: oof::device::allocator::HugePages = oof::device::allocator::HugePages;

fn main() -> ExitCode {
    main_with(fit::run)
}
