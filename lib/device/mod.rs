//! What runs a planned computation: programs, and the devices that execute them.
//!
//! A [`Program`] is the machine-independent result of planning: scalars, arrays, and a list of
//! steps. A device turns it into something that can be run again and again for new parameter values
//! without allocating. Nothing here knows of derivatives or of telescopes.
//!
//! * [`op`]: the element-wise operations, each with its scalar meaning;
//! * [`program`]: the format: regions of fused element-wise work, and the transforms they stream;
//! * [`basis`]: a few coefficients spread over many samples, and back (Zernike sums);
//! * [`fourier`]: two-dimensional Fourier sums from listed pixels to a full rectangle, and back;
//! * [`scattered`]: the same from listed pixels to samples anywhere, by way of a [`window`];
//! * [`values`]: numbers that are given once;
//! * [`allocator`]: huge pages, for programs that want them;
//! * [`cpu`]: runs programs on the cores of this machine;
//! * [`cuda`]: runs programs on an NVIDIA GPU.

pub mod allocator;
pub mod basis;
pub mod cpu;
pub mod cuda;
pub mod fourier;
pub mod op;
pub mod program;
pub mod scattered;
pub mod values;
pub mod window;

pub use basis::Basis;
pub use fourier::Fourier;
pub use op::Op;
pub use program::Program;
pub use scattered::Scattered;
pub use values::Values;

use crate::error::Result;
use std::borrow::Cow;

/// The floating-point type that arrays are computed in. Scalars and sums are always `f64`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    F32,
    #[default]
    F64,
}

impl Precision {
    /// `f32` or `f64`.
    pub fn name(self) -> &'static str {
        match self {
            Precision::F32 => "f32",
            Precision::F64 => "f64",
        }
    }
}

/// Which device runs a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Backend {
    #[default]
    Cpu,
    /// An NVIDIA GPU. Where there is none, loading a program fails; [`cuda::find`] tells.
    Cuda,
    /// What the GPU would be given, compiled for this machine.
    #[cfg(test)]
    Host,
}

impl Backend {
    /// `cpu` or `cuda`.
    pub fn name(self) -> &'static str {
        match self {
            Backend::Cpu => "cpu",
            Backend::Cuda => "cuda",
            #[cfg(test)]
            Backend::Host => "host",
        }
    }

    /// Makes a program ready to run.
    ///
    /// # Errors
    /// A device that is not there or has not enough memory.
    pub fn load(self, program: Program, precision: Precision) -> Result<Box<dyn Executable>> {
        Ok(match (self, precision) {
            (Backend::Cpu, Precision::F64) => Box::new(cpu::Cpu::<f64>::new(program)),
            (Backend::Cpu, Precision::F32) => Box::new(cpu::Cpu::<f32>::new(program)),
            (Backend::Cuda, _) => Box::new(cuda::Cuda::new(&program, precision)?),
            #[cfg(test)]
            (Backend::Host, _) => Box::new(cuda::host::Host::new(&program, precision)),
        })
    }
}

/// Calls `work`, and meanwhile keeps this many threads of the pool at hand, of those that have nothing else to do
/// when it begins: small programs that `work` runs one after the other need not wait until they wake up.
pub fn with_team<R: Send>(threads: usize, work: impl FnOnce() -> R + Send) -> R {
    cpu::Team::new(threads).lead(work)
}

/// A program that is ready to run.
pub trait Executable: Send {
    /// Runs the program for `parameters` and writes its scalar outputs to `outputs`.
    ///
    /// # Panics
    /// When the lengths are not the program's. A device that fails unwinds with its
    /// [`Error`](crate::Error), which is what the payload of the panic is.
    fn run(&mut self, parameters: &[f64], outputs: &mut [f64]);

    /// How many threads of this machine it has work for.
    fn threads(&self) -> usize {
        1
    }

    /// Array output `index` as the last run left it: where it lies, or a copy.
    fn array(&self, index: usize) -> Cow<'_, [f64]>;

    /// The same, written to `out`.
    ///
    /// # Panics
    /// When the lengths differ.
    fn array_into(&self, index: usize, out: &mut [f64]) {
        out.copy_from_slice(&self.array(index));
    }
}
