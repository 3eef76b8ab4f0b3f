//! Runs programs on an NVIDIA GPU.
//!
//! In order of reading: [`source`] (regions as CUDA C; the common kernels are in `kernels.cu`),
//! [`transform`] (the far field), [`schedule`] (what a run does, in order), [`memory`] (what it needs).

pub mod memory;
pub mod schedule;
pub mod source;
mod transform;

#[cfg(test)]
pub mod host;
#[cfg(test)]
mod tests;

pub struct Cuda {}
impl Cuda {
    pub fn new(_: &crate::device::Program, _: crate::device::Precision) -> crate::Result<Self> { todo!() }
}
impl crate::device::Executable for Cuda {
    fn run(&mut self, _: &[f64], _: &mut [f64]) { todo!() }
    fn array(&self, _: usize) -> Vec<f64> { todo!() }
}
