//! Draws beam maps, and the results of fits.

use oof::cli::{main_with, plot};
use std::process::ExitCode;

#[global_allocator]
static MEMORY: oof::device::allocator::HugePages = oof::device::allocator::HugePages;

fn main() -> ExitCode {
    main_with(plot::run)
}
