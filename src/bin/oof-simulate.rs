//! Makes beam maps of a telescope with known aberrations.

use oof::cli::{main_with, simulate};
use std::process::ExitCode;

#[global_allocator]
static MEMORY: oof::device::allocator::HugePages = oof::device::allocator::HugePages;

fn main() -> ExitCode {
    main_with(simulate::run)
}
