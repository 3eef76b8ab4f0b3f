//! CUDA C to PTX, by NVRTC, which needs no GPU.

use cudarc::nvrtc::{self, CompileError, CompileOptions};

/// PTX for this compute capability runs on all later GPUs too, and every NVRTC of today knows it.
const NEWEST: u32 = 90;

/// Whether NVRTC can be loaded.
pub fn is_present() -> bool {
    // SAFETY: loading a library of that name runs its initialisers only.
    unsafe { nvrtc::sys::is_culib_present() }
}

/// The architecture that a GPU of this compute capability (90 for 9.0) is compiled for.
pub fn architecture(capability: u32) -> String {
    format!("compute_{}", capability.min(NEWEST))
}

/// Compiles `source`.
///
/// # Errors
/// One line: what NVRTC says first.
pub fn compile(source: &str, architecture: &str) -> Result<String, String> {
    let options = CompileOptions {
        options: vec![format!("--gpu-architecture={architecture}")],
        ..CompileOptions::default()
    };
    match nvrtc::compile_ptx_with_opts(source, options) {
        Ok(ptx) => Ok(ptx.to_src()),
        Err(CompileError::CompileError { nvrtc, log, .. }) => {
            let log = log.to_string_lossy();
            let first = log.lines().find(|line| line.contains("error")).unwrap_or_default();
            Err(format!("NVRTC for {architecture}: {nvrtc} {first}"))
        }
        Err(other) => Err(format!("NVRTC for {architecture}: {other}")),
    }
}

/// The compiler's version: a user may have changed it for one that suits the driver.
pub fn version() -> String {
    let (mut major, mut minor) = (0, 0);
    // SAFETY: the library is there, or nothing was compiled; the numbers are ours.
    let known =
        unsafe { nvrtc::sys::nvrtcVersion(&raw mut major, &raw mut minor) }.result().is_ok();
    if known { format!("NVRTC {major}.{minor}") } else { "NVRTC".into() }
}
