//! Carries out a schedule on a GPU.
//!
//! All memory is one allocation. The first run queues the commands one by one, the second captures them
//! as a graph, and later ones launch that: parameters go up, value and gradient come down, and nothing
//! else crosses the bus.

use super::library::{Library, Plan, find, kind};
use super::memory::{Area, Content, Place, shortage, size_of_real};
use super::schedule::{Command, Schedule};
use super::source::{Argument, BLOCK};
use crate::device::{Executable, Precision, Program};
use crate::error::{Error, Result};
use cudarc::cufft::{self, sys::cufftType};
use cudarc::driver::sys::{CUdeviceptr, CUgraphInstantiate_flags, CUresult, CUstreamCaptureMode};
use cudarc::driver::{
    CudaContext, CudaFunction, CudaGraph, CudaStream, DriverError, LaunchConfig, PushKernelArg,
    result,
};
use std::borrow::Cow;
use std::ffi::c_void;
use std::panic::resume_unwind;
use std::sync::Arc;

/// A loaded program.
pub struct Cuda {
    library: &'static Library,
    schedule: Schedule,
    state: State,
    functions: Vec<CudaFunction>,
    plans: Vec<Plan>,
    memory: Allocation,
    /// Parameters, then outputs.
    staging: Pinned,
    stream: Arc<CudaStream>,
}

// SAFETY: a graph must not be used by two threads at the same time; whoever runs it has `&mut Cuda`. The
// pinned memory and the handles belong to no thread: every use binds the context first.
unsafe impl Send for Cuda {}

/// How far the commands have come.
enum State {
    New,
    Ran,
    Captured(CudaGraph),
    /// This driver captures no graph.
    Plain,
}

/// Bytes of device memory.
struct Allocation {
    base: CUdeviceptr,
    /// Where the scratch area and the transforms' work area start.
    scratch: CUdeviceptr,
    work: CUdeviceptr,
    context: Arc<CudaContext>,
}

impl Drop for Allocation {
    fn drop(&mut self) {
        // A context that is gone has given the memory back already.
        if self.context.bind_to_thread().is_ok() {
            // SAFETY: allocated by `malloc_sync`, freed once; freeing waits for what runs.
            let _ = unsafe { result::free_sync(self.base) };
        }
    }
}

/// `f64` numbers of the host that the device copies by itself.
struct Pinned {
    start: *mut f64,
    len: usize,
    context: Arc<CudaContext>,
}

impl Pinned {
    fn numbers(&mut self) -> &mut [f64] {
        // SAFETY: allocated with this length and zeroed; the device copies only during a run, and
        // `&mut Cuda` is what runs it.
        unsafe { std::slice::from_raw_parts_mut(self.start, self.len) }
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        if self.context.bind_to_thread().is_ok() {
            // SAFETY: allocated by `malloc_host`, freed once.
            let _ = unsafe { result::free_host(self.start.cast()) };
        }
    }
}

impl Cuda {
    /// Compiles a program, takes its memory, and puts its data there.
    ///
    /// # Errors
    /// No GPU, too little memory on it, or a program that is too large.
    pub fn new(program: &Program, precision: Precision) -> Result<Self> {
        let library = find().map_err(|absence| Error::usage(&absence.reason))?;
        let schedule = Schedule::new(program, precision).map_err(Error::failed)?;
        let context = &library.context;
        let said = |what: String| Error::failed(format!("{}: {what}", library.name));
        context.bind_to_thread().map_err(library.broken("no context"))?;
        let mut functions = Vec::new();
        for (text, name) in &schedule.kernels {
            let module = library.module(&schedule.sources[*text]).map_err(said)?;
            functions.push(module.load_function(name).map_err(library.broken("finding a kernel"))?);
        }
        let plans = {
            let mut all = library.plans();
            let plans = schedule.plans.iter().map(|&plan| all.get(plan, precision));
            plans.collect::<std::result::Result<Vec<_>, _>>().map_err(said)?
        };
        let work = plans.iter().map(|plan| plan.work).max().unwrap_or(0);
        let memory = Allocation::new(library, &schedule, work)?;
        let count = schedule.parameters.count + schedule.outputs.count;
        // SAFETY: what is allocated here is zeroed before it is read.
        let staging = unsafe {
            let start =
                result::malloc_host(8 * count.max(1), 0).map_err(library.broken("host memory"))?;
            std::ptr::write_bytes(start.cast::<f64>(), 0, count);
            Pinned { start: start.cast(), len: count, context: context.clone() }
        };
        let stream = context.new_stream().map_err(library.broken("no stream"))?;
        let cuda = Cuda {
            library,
            schedule,
            state: State::New,
            functions,
            plans,
            memory,
            staging,
            stream,
        };
        for (place, content) in &cuda.schedule.memory.contents {
            cuda.upload(*place, content).map_err(library.broken("copying data"))?;
        }
        cuda.arrange()?;
        Ok(cuda)
    }

    /// Copies to the device, and waits until that is done.
    fn upload(&self, place: Place, content: &Content) -> std::result::Result<(), DriverError> {
        let (to, stream) = (self.address(place), self.stream.cu_stream());
        let precision = self.schedule.memory.precision;
        let bytes;
        // SAFETY: the plan has room for the content there, and the copy has ended before what is copied
        // is dropped.
        unsafe {
            match (content, precision) {
                // As it is in memory already.
                (Content::Reals(values), Precision::F64) => {
                    result::memcpy_htod_async(to, values, stream)
                }
                _ => {
                    bytes = content.bytes(precision);
                    result::memcpy_htod_async(to, &bytes, stream)
                }
            }
        }?;
        self.stream.synchronize()
    }

    /// Data that have to be put into another order.
    fn arrange(&self) -> Result<()> {
        let broken = self.library.broken("copying data");
        for (place, content, command) in &self.schedule.arranged {
            self.upload(*place, content).map_err(&broken)?;
            self.command(command)?;
        }
        self.stream.synchronize().map_err(&broken)
    }

    fn address(&self, place: Place) -> CUdeviceptr {
        let area = match place.area {
            Area::Fixed => self.memory.base,
            Area::Scratch => self.memory.scratch,
        };
        area + place.offset as u64
    }

    /// Queues a whole run.
    fn queue(&mut self) -> Result<()> {
        let library = self.library;
        let parameters = self.schedule.parameters;
        let to = self.address(parameters.at);
        let outputs = self.address(self.schedule.outputs.at);
        let stream = self.stream.cu_stream();
        if parameters.count > 0 {
            let from = &self.staging.numbers()[..parameters.count];
            // SAFETY: pinned memory that lives as long as the stream's work, and scalars that begin with
            // the parameters.
            unsafe { result::memcpy_htod_async(to, from, stream) }
                .map_err(library.broken("parameters"))?;
        }
        {
            // Kept until all transforms are queued.
            let _plans = library.plans();
            for command in &self.schedule.commands {
                self.command(command)?;
            }
        }
        if self.schedule.outputs.count > 0 {
            let to = &mut self.staging.numbers()[parameters.count..];
            // SAFETY: as for the parameters.
            unsafe { result::memcpy_dtoh_async(to, outputs, stream) }
                .map_err(library.broken("results"))?;
        }
        Ok(())
    }

    fn command(&self, command: &Command) -> Result<()> {
        let library = self.library;
        match command {
            Command::Launch { kernel, blocks, arguments } => {
                let values: Vec<u64> = arguments
                    .iter()
                    .map(|argument| match argument {
                        Argument::At(place) => self.address(*place),
                        Argument::Integer(value) => u64::from(value.cast_unsigned()),
                    })
                    .collect();
                let mut launch = self.stream.launch_builder(&self.functions[*kernel]);
                for value in &values {
                    // An address, or an integer in the low half.
                    launch.arg(value);
                }
                let config = LaunchConfig {
                    grid_dim: (*blocks as u32, 1, 1),
                    block_dim: (BLOCK as u32, 1, 1),
                    shared_mem_bytes: 0,
                };
                // SAFETY: kernel and arguments were written together, and the host's tests run the same
                // list with checked addresses.
                unsafe { launch.launch(config) }.map_err(library.broken("launching a kernel"))?;
            }
            Command::Zero { at, bytes } => {
                // Buffers hold real numbers, so their sizes are multiples of four.
                // SAFETY: the plan has that many bytes there.
                let done = unsafe {
                    cudarc::driver::sys::cuMemsetD32Async(
                        self.address(*at),
                        0,
                        bytes / 4,
                        self.stream.cu_stream(),
                    )
                };
                done.result().map_err(library.broken("zeros"))?;
            }
            Command::Fft { plan, at, inverse } => {
                self.transform(self.plans[*plan], self.address(*at), *inverse)
                    .map_err(|e| Error::failed(format!("{}: cuFFT: {:?}", library.name, e.0)))?;
            }
        }
        Ok(())
    }

    fn transform(
        &self,
        plan: Plan,
        at: CUdeviceptr,
        inverse: bool,
    ) -> std::result::Result<(), cufft::result::CufftError> {
        let direction = match inverse {
            false => cufft::FftDirection::Forward as i32,
            true => cufft::FftDirection::Inverse as i32,
        };
        let work = self.memory.work as *mut c_void;
        // SAFETY: the plan is alive and nobody else's meanwhile (we hold all plans), its work area and
        // the numbers are inside our memory.
        unsafe {
            cufft::result::set_stream(plan.handle, self.stream.cu_stream().cast())?;
            cufft::result::set_work_area(plan.handle, work)?;
            match kind(self.schedule.memory.precision) {
                cufftType::CUFFT_Z2Z => {
                    let data = at as *mut cufft::sys::cufftDoubleComplex;
                    cufft::result::exec_z2z(plan.handle, data, data, direction)
                }
                _ => {
                    let data = at as *mut cufft::sys::cufftComplex;
                    cufft::result::exec_c2c(plan.handle, data, data, direction)
                }
            }
        }
    }

    /// One run, from and to the staging numbers.
    fn execute(&mut self) -> Result<()> {
        let library = self.library;
        library.context.bind_to_thread().map_err(library.broken("no context"))?;
        if let State::Ran = self.state {
            // What was loaded lazily by the first run can be captured now.
            self.state = match self.capture() {
                Some(graph) => State::Captured(graph),
                None => State::Plain,
            };
        }
        match &self.state {
            State::Captured(graph) => {
                graph.launch().map_err(library.broken("launching the graph"))?
            }
            State::New => {
                self.queue()?;
                self.state = State::Ran;
            }
            State::Ran | State::Plain => self.queue()?,
        }
        self.stream.synchronize().map_err(library.broken("running"))
    }

    fn download(&self, index: usize) -> Result<Vec<f64>> {
        let broken = self.library.broken("copying an array");
        let (numbers, command) = &self.schedule.array_outputs[index];
        let precision = self.schedule.memory.precision;
        let mut bytes = vec![0; numbers.count * size_of_real(precision)];
        self.library.context.bind_to_thread().map_err(&broken)?;
        if let Some(command) = command {
            self.command(command)?;
        }
        self.stream.synchronize().map_err(&broken)?;
        // SAFETY: the array has that many bytes; nothing runs.
        unsafe { result::memcpy_dtoh_sync(&mut bytes, self.address(numbers.at)) }
            .map_err(&broken)?;
        Ok(super::memory::numbers(&bytes, precision))
    }

    /// The commands as a graph, where they can be captured.
    fn capture(&mut self) -> Option<CudaGraph> {
        let mode = CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        self.stream.begin_capture(mode).ok()?;
        let queued = self.queue();
        // Ended in any case: the stream is of no use else.
        let graph = self.stream.end_capture(CUgraphInstantiate_flags(0));
        queued.ok()?;
        let graph = graph.ok()??;
        graph.upload().ok()?;
        Some(graph)
    }
}

impl Allocation {
    /// Takes what a schedule needs, and `work` bytes for transforms.
    fn new(library: &'static Library, schedule: &Schedule, work: usize) -> Result<Self> {
        let (fixed, scratch) = (schedule.memory.fixed, schedule.memory.scratch);
        let needed = fixed + scratch + work;
        let context = library.context.clone();
        let broken = library.broken("taking memory");
        let (free, _) = context.mem_get_info().map_err(&broken)?;
        let short = || Error::failed(shortage(needed, free, &library.name));
        if needed > free {
            return Err(short());
        }
        // SAFETY: the context is that of this thread.
        let base = unsafe { result::malloc_sync(needed.max(1)) }.map_err(|e| match e.0 {
            CUresult::CUDA_ERROR_OUT_OF_MEMORY => short(),
            _ => broken(e),
        })?;
        let scratch = base + fixed as u64;
        let work = scratch + schedule.memory.scratch as u64;
        Ok(Allocation { base, scratch, work, context })
    }
}

impl Executable for Cuda {
    fn run(&mut self, parameters: &[f64], outputs: &mut [f64]) {
        let count = self.schedule.parameters.count;
        assert_eq!(parameters.len(), count, "parameters");
        assert_eq!(outputs.len(), self.schedule.outputs.count, "outputs");
        self.staging.numbers()[..count].copy_from_slice(parameters);
        self.execute().unwrap_or_else(|error| resume_unwind(Box::new(error)));
        outputs.copy_from_slice(&self.staging.numbers()[count..]);
    }

    fn array(&self, index: usize) -> Cow<'_, [f64]> {
        self.download(index).unwrap_or_else(|error| resume_unwind(Box::new(error))).into()
    }
}
