//! Value and gradient of the likelihood at given parameters.

use oof::cli::{grad, main_with};
use std::process::ExitCode;

#[global_allocator]
static MEMORY: oof::device::allocator::HugePages = oof::device::allocator::HugePages;

fn main() -> ExitCode {
    main_with(grad::run)
}
