//! Times gradients and fits, ours and those of other packages.

use oof::cli::{bench, main_with};
use std::process::ExitCode;

#[global_allocator]
static MEMORY: oof::device::allocator::HugePages = oof::device::allocator::HugePages;

fn main() -> ExitCode {
    main_with(bench::run)
}
