//! Carries out a schedule on the host, for tests: the generated source is compiled by the C++ compiler
//! behind `shim.h` and run in this process, and RustFFT stands in for cuFFT.

use super::compiler;
use super::memory::{Area, Place};
use super::schedule::{Command, FftPlan, Schedule};
use super::source::Argument;
use crate::device::{Backend, Executable, Precision, Program};
use num_complex::Complex;
use rustfft::{FftNum, FftPlanner};
use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashMap};
use std::ffi::{CStr, CString, c_int, c_void};
use std::process::Command as Process;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

const SHIM: &str = include_str!("shim.h");

/// A kernel on this many blocks, with the addresses of its arguments.
type Kernel = unsafe extern "C" fn(c_int, *const *const c_void);

/// A loaded library.
struct Library {
    kernels: HashMap<String, Kernel>,
    /// Whether threads and blocks run from the last to the first.
    backwards: *mut c_int,
}

// SAFETY: the variable lives as long as the process, and is used by whoever holds the lock of all libraries.
unsafe impl Send for Library {}

/// The number of a block is a static variable, so one kernel runs at a time.
fn libraries() -> MutexGuard<'static, HashMap<String, Library>> {
    static LIBRARIES: OnceLock<Mutex<HashMap<String, Library>>> = OnceLock::new();
    let all = LIBRARIES.get_or_init(Mutex::default);
    all.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether there is a C++ compiler; says so where there is none.
pub fn has_compiler() -> bool {
    let there =
        Process::new(compiler()).arg("--version").output().is_ok_and(|o| o.status.success());
    if !there {
        eprintln!("skipped: no C++ compiler ({})", compiler());
    }
    there
}

/// What tests compare with the CPU: the host and, where there is one, a GPU, which says so where there
/// is none. `OOF_REQUIRE_CUDA=1` makes that a failure.
pub fn devices() -> Vec<Backend> {
    let mut all = Vec::new();
    if has_compiler() {
        all.push(Backend::Host);
    }
    match super::find() {
        Ok(_) => all.push(Backend::Cuda),
        Err(absence) => {
            let required = std::env::var("OOF_REQUIRE_CUDA").is_ok_and(|v| v == "1");
            assert!(!required, "OOF_REQUIRE_CUDA=1 and {}", absence.reason);
            eprintln!("skipped: {}", absence.reason);
        }
    }
    all
}

/// How far gradients may be from those of the CPU, where values may be off by `most`.
pub fn of_gradients(most: f64, backend: Backend, precision: Precision) -> f64 {
    match (backend, precision) {
        // Sums and transforms in an order that we do not know.
        (Backend::Cuda, Precision::F64) => 100.0 * most,
        _ => most,
    }
}

thread_local! {
    static SOURCES: RefCell<BTreeSet<String>> = const { RefCell::new(BTreeSet::new()) };
}

/// The sources of all programs that `work` loads on this thread.
pub fn sources_of(work: impl FnOnce()) -> BTreeSet<String> {
    SOURCES.take();
    work();
    SOURCES.take()
}

/// Whether there is NVRTC; says so where there is none, which `OOF_REQUIRE_NVRTC=1` makes a failure.
pub fn has_nvrtc() -> bool {
    let there = compiler::is_present();
    if !there {
        let required = std::env::var("OOF_REQUIRE_NVRTC").is_ok_and(|v| v == "1");
        assert!(!required, "OOF_REQUIRE_NVRTC=1 and no NVRTC (libnvrtc.so) in LD_LIBRARY_PATH");
        eprintln!("skipped: no NVRTC (libnvrtc.so) in LD_LIBRARY_PATH");
    }
    there
}

/// Compiles sources as for GPUs of compute capability 8.0 and 9.0, and finds all their kernels.
pub fn compile_to_ptx(sources: &BTreeSet<String>) {
    for source in sources {
        for capability in [80, 90] {
            let ptx = compiler::compile(source, &compiler::architecture(capability));
            let ptx = ptx.unwrap_or_else(|e| panic!("{e}\n{source}"));
            assert!(ptx.contains(&format!(".target sm_{capability}")), "{ptx}");
            for name in kernels(source) {
                assert!(ptx.contains(&format!(".entry {name}(")), "{name}\n{ptx}");
            }
        }
    }
}

/// The names of all kernels of a source.
fn kernels(source: &str) -> Vec<String> {
    let rest = source.split("\nKERNEL ").skip(1);
    rest.filter_map(|rest| rest.split_once('(')).map(|(name, _)| name.to_string()).collect()
}

fn compiler() -> String {
    std::env::var("CXX").unwrap_or_else(|_| "c++".into())
}

/// The text of a library: the shim, the source, and a wrapper around every kernel.
fn library_text(source: &str) -> (String, Vec<String>) {
    let names = kernels(source);
    let mut text = format!("{SHIM}\n{source}\n");
    for name in &names {
        text += &format!(
            "extern \"C\" void on_host_{name}(int blocks, void **arguments) {{ call({name}, blocks, arguments); }}\n"
        );
    }
    (text, names)
}

/// Compiles and loads a source.
fn load(source: &str) -> Library {
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("kernels.cpp"), folder.path().join("kernels.so"));
    let (text, names) = library_text(source);
    std::fs::write(&input, text).unwrap();
    let options = ["-std=c++17", "-O1", "-shared", "-fPIC", "-ffp-contract=off", "-o"];
    let mut process = Process::new(compiler());
    let done =
        process.args(garbage()).args(options).arg(&output).arg(&input).arg("-lm").output().unwrap();
    assert!(done.status.success(), "{}\n{source}", String::from_utf8_lossy(&done.stderr));
    let path = CString::new(output.to_str().unwrap()).unwrap();
    // SAFETY: the library has no code that runs on loading; it is never closed.
    let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW) };
    // SAFETY: what dlerror returns is a string until the next call.
    assert!(!handle.is_null(), "{:?}", unsafe { CStr::from_ptr(libc::dlerror()) });
    let symbol = |name: &str| {
        let wrapper = CString::new(name).unwrap();
        // SAFETY: the handle is open.
        let address = unsafe { libc::dlsym(handle, wrapper.as_ptr()) };
        assert!(!address.is_null(), "{name}");
        address
    };
    let kernel = |name: String| {
        let address = symbol(&format!("on_host_{name}"));
        // SAFETY: the wrapper was written with this signature.
        (name, unsafe { std::mem::transmute::<*mut c_void, Kernel>(address) })
    };
    let kernels = names.into_iter().map(kernel).collect();
    Library { kernels, backwards: symbol("backwards").cast() }
}

/// Has the compiler fill variables with garbage, as shared memory is on a GPU: where it can.
fn garbage() -> Option<&'static str> {
    const GARBAGE: &str = "-ftrivial-auto-var-init=pattern";
    static THERE: OnceLock<bool> = OnceLock::new();
    let can = || {
        let options = [GARBAGE, "-fsyntax-only", "-x", "c++", "/dev/null"];
        Process::new(compiler()).args(options).output().is_ok_and(|done| done.status.success())
    };
    THERE.get_or_init(can).then_some(GARBAGE)
}

/// A schedule and its memory.
pub struct Host {
    schedule: Schedule,
    /// In units of 16 bytes, so that all that lies in them is aligned; kernels write to them.
    fixed: Vec<Cell<u128>>,
    scratch: Vec<Cell<u128>>,
}

impl Host {
    pub fn new(program: &Program, precision: Precision) -> Self {
        let schedule = Schedule::new(program, precision).unwrap();
        SOURCES.with_borrow_mut(|all| all.extend(schedule.sources.clone()));
        let memory = &schedule.memory;
        // Garbage, as on a GPU: nothing may rely on zeros that it did not write.
        let garbage = |bytes: usize| vec![Cell::new(u128::MAX); bytes.div_ceil(16)];
        let (fixed, scratch) = (garbage(memory.fixed), garbage(memory.scratch));
        let contents = memory.contents.clone();
        let host = Host { schedule, fixed, scratch };
        for (place, content) in contents {
            host.write(place, &content.bytes(precision));
        }
        for (place, content, command) in &host.schedule.arranged {
            host.write(*place, &content.bytes(precision));
            host.carry_out(command);
        }
        host
    }

    /// The address of `bytes` bytes.
    fn address(&self, place: Place, bytes: usize) -> *mut u8 {
        let area = match place.area {
            Area::Fixed => &self.fixed,
            Area::Scratch => &self.scratch,
        };
        assert!(place.offset + bytes <= 16 * area.len(), "{place:?} {bytes}");
        area.as_ptr().cast::<u8>().cast_mut().wrapping_add(place.offset)
    }

    fn write(&self, place: Place, bytes: &[u8]) {
        let to = self.address(place, bytes.len());
        // SAFETY: inside the area, whose cells may be written; nobody else has a reference.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
    }

    fn read(&self, place: Place, bytes: usize) -> Vec<u8> {
        // SAFETY: inside the area; nobody writes meanwhile.
        unsafe { std::slice::from_raw_parts(self.address(place, bytes), bytes) }.to_vec()
    }

    fn carry_out(&self, command: &Command) {
        self.carry_out_in_order(command, false);
    }

    /// Carries out all commands with threads and blocks in one order and in the other, which may change no bit of what
    /// there is then.
    fn carry_out_all(&self, commands: &[Command]) {
        let in_order = |backwards| {
            commands.iter().for_each(|command| self.carry_out_in_order(command, backwards));
            [&self.fixed, &self.scratch].map(|area| area.iter().map(Cell::get).collect::<Vec<_>>())
        };
        assert!(in_order(true) == in_order(false), "threads or blocks wait for each other");
    }

    fn carry_out_in_order(&self, command: &Command, backwards: bool) {
        match command {
            Command::Launch { kernel, blocks, arguments } => {
                let values: Vec<u64> = arguments
                    .iter()
                    .map(|argument| match argument {
                        Argument::At(place) => self.address(*place, 1) as u64,
                        Argument::Integer(value) => u64::from(value.cast_unsigned()),
                    })
                    .collect();
                let addresses: Vec<_> =
                    values.iter().map(|v| std::ptr::from_ref(v).cast::<c_void>()).collect();
                let mut libraries = libraries();
                let (text, name) = &self.schedule.kernels[*kernel];
                let source = &self.schedule.sources[*text];
                let library = libraries.entry(source.clone()).or_insert_with(|| load(source));
                let kernel = library.kernels[name];
                // SAFETY: the arguments are those of the kernel, and their buffers are ours; an
                // integer is the low half of a number (so hosts are little-endian). The variable is the library's,
                // and we hold the lock.
                unsafe {
                    *library.backwards = backwards.into();
                    kernel(*blocks as c_int, addresses.as_ptr());
                }
            }
            Command::Fft { plan, at, inverse } => {
                let plan = self.schedule.plans[*plan];
                match self.schedule.memory.precision {
                    Precision::F64 => self.transform::<f64>(plan, *at, *inverse),
                    Precision::F32 => self.transform::<f32>(plan, *at, *inverse),
                }
            }
            Command::Zero { at, bytes } => self.write(*at, &vec![0; *bytes]),
        }
    }

    fn transform<T: FftNum>(&self, plan: FftPlan, at: Place, inverse: bool) {
        let FftPlan { points, stride, distance, batch } = plan;
        let fft = match inverse {
            false => FftPlanner::<T>::new().plan_fft_forward(points),
            true => FftPlanner::<T>::new().plan_fft_inverse(points),
        };
        let last = (points - 1) * stride + (batch - 1) * distance;
        let bytes = (last + 1) * size_of::<Complex<T>>();
        let numbers = self.address(at, bytes).cast::<Complex<T>>();
        let mut line = vec![Complex::new(T::zero(), T::zero()); points];
        for lane in 0..batch {
            let place = |i: usize| numbers.wrapping_add(i * stride + lane * distance);
            // SAFETY: the last number of the last line is inside by the check above.
            line.iter_mut().enumerate().for_each(|(i, z)| *z = unsafe { place(i).read() });
            fft.process(&mut line);
            // SAFETY: as above.
            line.iter().enumerate().for_each(|(i, z)| unsafe { place(i).write(*z) });
        }
    }
}

impl Executable for Host {
    fn run(&mut self, parameters: &[f64], outputs: &mut [f64]) {
        let bytes: Vec<u8> = parameters.iter().flat_map(|v| v.to_ne_bytes()).collect();
        assert_eq!(parameters.len(), self.schedule.parameters.count);
        self.write(self.schedule.parameters.at, &bytes);
        self.carry_out_all(&self.schedule.commands);
        let bytes = self.read(self.schedule.outputs.at, 8 * outputs.len());
        for (output, bytes) in outputs.iter_mut().zip(bytes.chunks_exact(8)) {
            *output = f64::from_ne_bytes(bytes.try_into().unwrap());
        }
    }

    fn array(&self, index: usize) -> Cow<'_, [f64]> {
        let (numbers, command) = &self.schedule.array_outputs[index];
        command.iter().for_each(|command| self.carry_out(command));
        let size = self.schedule.memory.reals(1);
        let bytes = self.read(numbers.at, size * numbers.count);
        super::memory::numbers(&bytes, self.schedule.memory.precision).into()
    }
}
