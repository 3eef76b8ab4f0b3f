//! The GPU of this process and what is kept on it for all programs: modules and plans of transforms.

use super::cache;
use super::compiler;
use super::schedule::FftPlan;
use crate::device::Precision;
use crate::error::Error;
use cudarc::cufft::{self, sys::cufftHandle, sys::cufftType};
use cudarc::driver::{CudaContext, CudaModule, DriverError, sys};
use cudarc::nvrtc::Ptx;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// The first GPU that CUDA shows (`CUDA_VISIBLE_DEVICES` chooses).
pub struct Library {
    pub context: Arc<CudaContext>,
    pub name: String,
    /// What modules are compiled for, and the driver's version.
    architecture: String,
    driver: i32,
    modules: Mutex<HashMap<String, Arc<CudaModule>>>,
    plans: Mutex<Plans>,
}

/// Why no GPU can be used.
#[derive(Debug, Clone)]
pub struct Absence {
    /// Whether there is a GPU, and something else is missing.
    pub has_device: bool,
    /// One line.
    pub reason: String,
}

/// The GPU, or why there is none. Looked for once.
///
/// # Errors
/// The driver, one of the libraries, or a device is not there.
pub fn find() -> Result<&'static Library, &'static Absence> {
    static FOUND: OnceLock<Result<Library, Absence>> = OnceLock::new();
    FOUND.get_or_init(open).as_ref()
}

fn open() -> Result<Library, Absence> {
    let absence = |has_device: bool, reason: String| Absence { has_device, reason };
    // SAFETY: loading libraries of these names runs their initialisers only.
    let (driver, transforms) = unsafe { (sys::is_culib_present(), cufft::sys::is_culib_present()) };
    if !driver {
        return Err(absence(false, "no CUDA driver (libcuda.so.1) on this machine".into()));
    }
    let broken = |e: DriverError| absence(false, format!("no CUDA device: {:?}", e.0));
    let context = CudaContext::new(0).map_err(broken)?;
    for (there, what) in [
        (compiler::is_present(), "no NVRTC (libnvrtc.so, of CUDA 12)"),
        (transforms, "no cuFFT (libcufft.so, of CUDA 12 or 13)"),
    ] {
        if !there {
            return Err(absence(true, format!("{what} on this machine; set LD_LIBRARY_PATH")));
        }
    }
    let (major, minor) = context.compute_capability().map_err(broken)?;
    let name = context.name().map_err(broken)?;
    let mut driver = 0;
    // SAFETY: the number is ours.
    unsafe { sys::cuDriverGetVersion(&raw mut driver) }.result().map_err(broken)?;
    Ok(Library {
        context,
        name,
        architecture: compiler::architecture((10 * major + minor) as u32),
        driver,
        modules: Mutex::default(),
        plans: Mutex::default(),
    })
}

impl Library {
    /// The module of a source: loaded before, else compiled or found in the user's cache.
    ///
    /// # Errors
    /// One line of what the compiler or the driver says.
    pub fn module(&self, source: &str) -> Result<Arc<CudaModule>, String> {
        let mut modules = self.modules.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(module) = modules.get(source) {
            return Ok(module.clone());
        }
        let (version, driver) = (env!("CARGO_PKG_VERSION"), self.driver);
        let compiler = compiler::version();
        let key = format!(
            "// oof {version}, {}, driver {driver}, {compiler}\n{source}",
            self.architecture
        );
        let compile = || compiler::compile(source, &self.architecture);
        let ptx = cache::get(cache::folder().as_deref(), &key, compile)?;
        let module = self.context.load_module(Ptx::from_src(ptx));
        let module = module.map_err(|e| match e.0 {
            sys::CUresult::CUDA_ERROR_UNSUPPORTED_PTX_VERSION => {
                "NVRTC is newer than the driver: use the NVRTC of the driver's CUDA version".into()
            }
            other => format!("loading kernels: {other:?}"),
        })?;
        modules.insert(source.into(), module.clone());
        Ok(module)
    }

    /// The error of what failed on this GPU.
    pub fn broken(&self, what: &'static str) -> impl Fn(DriverError) -> Error + '_ {
        move |error| Error::failed(format!("{}: {what}: {:?}", self.name, error.0))
    }

    /// All plans. They share their streams and work areas with everybody, so whoever runs one keeps
    /// this until that is queued or captured.
    pub fn plans(&self) -> MutexGuard<'_, Plans> {
        self.plans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Plans of transforms; they are never given back.
#[derive(Default)]
pub struct Plans(HashMap<(FftPlan, cufftType), Plan>);

#[derive(Clone, Copy)]
pub struct Plan {
    pub handle: cufftHandle,
    /// Bytes of its work area.
    pub work: usize,
}

/// The kind of cuFFT's complex-to-complex transform.
pub fn kind(precision: Precision) -> cufftType {
    match precision {
        Precision::F64 => cufftType::CUFFT_Z2Z,
        Precision::F32 => cufftType::CUFFT_C2C,
    }
}

impl Plans {
    /// The plan; made where there is none yet. The context must be that of this thread.
    ///
    /// # Errors
    /// What cuFFT says.
    pub fn get(&mut self, plan: FftPlan, precision: Precision) -> Result<Plan, String> {
        let made = match self.0.entry((plan, kind(precision))) {
            Entry::Occupied(there) => return Ok(*there.get()),
            Entry::Vacant(free) => free.insert(make(plan, kind(precision)).map_err(|e| {
                format!("cuFFT, {} transforms of {}: {:?}", plan.batch, plan.points, e.0)
            })?),
        };
        Ok(*made)
    }
}

fn make(plan: FftPlan, kind: cufftType) -> Result<Plan, cufft::result::CufftError> {
    let FftPlan { points, stride, distance, batch } = plan;
    let mut length = points as i32;
    // For one dimension only their presence counts: without them strides are ignored.
    let (mut input, mut output) = (length, length);
    let (stride, distance) = (stride as i32, distance as i32);
    let handle = cufft::result::create()?;
    // SAFETY: the handle is new, and the numbers live until the calls return.
    let work = unsafe {
        cufft::result::set_auto_allocation(handle, false)?;
        cufft::result::make_plan_many(
            handle,
            1,
            &raw mut length,
            &raw mut input,
            stride,
            distance,
            &raw mut output,
            stride,
            distance,
            kind,
            batch as i32,
        )?
    };
    Ok(Plan { handle, work })
}
