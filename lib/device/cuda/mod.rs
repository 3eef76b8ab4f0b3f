//! Runs programs on an NVIDIA GPU.
//!
//! In order of reading: [`source`] (regions as CUDA C; what all kernels share is in `prelude.cu` and
//! `kernels.cu`), [`schedule`] (what a run does, in order), `scheduler` with `arrays`, `bases`, `transform`
//! and `order` (how a program becomes that), [`memory`] (what it needs), `compiler` and `cache` (from source
//! to PTX), `library` (the GPU, and what all programs share on it), `driver` (carries a schedule out).
//! Nothing of CUDA is needed to build, and the driver and NVIDIA's libraries are looked for when a GPU is
//! asked for.

mod arrays;
mod bases;
mod cache;
mod compiler;
mod driver;
mod library;
pub mod memory;
mod order;
pub mod schedule;
mod scheduler;
pub mod source;
mod transform;

pub use driver::Cuda;
pub use library::{Absence, find};

#[cfg(test)]
pub mod host;
