//! The programs with `--backend cuda` on a driver that pretends (`fake_cuda/driver.cpp`): everything but
//! a GPU takes part, from the search for libraries to the launch of captured graphs. And what is said
//! where there is no driver.

mod programs;

use programs::*;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use tempfile::TempDir;

/// The folder with the driver, NVRTC and cuFFT; `None`, said aloud, where there is no C++ compiler.
fn driver() -> Option<&'static Path> {
    static BUILT: OnceLock<Option<TempDir>> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".into());
        if Command::new(&compiler).arg("--version").output().is_err() {
            eprintln!("skipped: no C++ compiler ({compiler})");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let library = folder.path().join("libcuda.so");
        let mut command = Command::new(compiler);
        command.args(["-std=c++17", "-O1", "-shared", "-fPIC", "-o"]).arg(&library);
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fake_cuda/driver.cpp"));
        let output = command.arg("-ldl").output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        for name in ["libnvrtc.so", "libcufft.so"] {
            // One file, so that the three know of each other.
            std::os::unix::fs::symlink(&library, folder.path().join(name)).unwrap();
        }
        Some(folder)
    });
    built.as_ref().map(TempDir::path)
}

/// A folder with small maps, and programs that see the driver.
struct Place {
    folder: TempDir,
    libraries: PathBuf,
}

impl Place {
    fn new(libraries: &Path) -> Self {
        let place = Place { folder: tempfile::tempdir().unwrap(), libraries: libraries.into() };
        let simulate =
            "--telescope nikolic2018 --grid 32 --order 3 --rms 0.3rad --quiet -o maps.fits";
        let output = run("oof-simulate", &words(simulate), b"", place.folder.path());
        assert_silent_success(&output, simulate);
        place
    }

    fn command(&self, name: &str, options: &str) -> Command {
        let folder = self.folder.path();
        let mut command = program(name, folder);
        command.args(words(options));
        command.env("LD_LIBRARY_PATH", &self.libraries);
        command.env("XDG_CACHE_HOME", folder.join("cache"));
        command.env("OOF_FAKE_LOG", folder.join("log"));
        command.env("OOF_SHIM", concat!(env!("CARGO_MANIFEST_DIR"), "/lib/device/cuda/shim.h"));
        command
    }

    fn run(&self, name: &str, options: &str) -> Output {
        self.command(name, options).output().unwrap()
    }

    /// How often the driver has said this.
    fn log(&self, word: &str) -> usize {
        let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        log.lines().filter(|line| *line == word).count()
    }
}

fn words(options: &str) -> Vec<&str> {
    options.split_whitespace().collect()
}

fn json(output: &Output, what: &str) -> serde_json::Value {
    assert_silent_success(output, what);
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The numbers of one key of all parameters.
fn numbers(value: &serde_json::Value, key: &str) -> Vec<f64> {
    let rows = value["parameters"].as_array().unwrap();
    rows.iter().filter_map(|row| row[key].as_f64()).collect()
}

#[test]
fn value_and_gradient_are_those_of_the_cpu() {
    let Some(driver) = driver() else { return };
    let place = Place::new(driver);
    for (options, most) in [
        ("maps.fits --order 3", 1e-12),
        ("maps.fits --order 3 --likelihood gaussian --nuisance none", 1e-12),
        ("maps.fits --order 3 --precision f32", 1e-5),
        ("maps.fits --order 3 --aperture smooth --aperture-points 40", 1e-12),
    ] {
        let here = json(&place.run("oof-grad", &format!("{options} --backend cpu")), options);
        let there = json(&place.run("oof-grad", &format!("{options} --backend cuda")), options);
        assert_eq!((&here["backend"], &there["backend"]), (&"cpu".into(), &"cuda".into()));
        let key = "negative_log_likelihood";
        let (a, b) = (here[key].as_f64().unwrap(), there[key].as_f64().unwrap());
        assert!((a - b).abs() <= most * a.abs(), "{options}: {a} {b}");
        let (a, b) = (numbers(&here, "gradient"), numbers(&there, "gradient"));
        let size = a.iter().fold(0.0f64, |size, g| size.max(g.abs()));
        assert_eq!(a.len(), b.len());
        // The offsets' derivatives, a radian, are by far the largest; the others have their own size.
        for (a, b) in a.iter().zip(&b) {
            assert!((a - b).abs() <= most * (1e3 * a.abs()).min(size), "{options}: {a} {b}");
        }
    }
}

#[test]
fn a_program_is_compiled_once_for_all_processes_and_its_graph_captured_once() {
    let Some(driver) = driver() else { return };
    let place = Place::new(driver);
    let options = "maps.fits --order 3 --check --backend cuda";
    let first = place.run("oof-grad", options);
    assert_silent_success(&first, options);
    let compiled = place.log("compiled");
    assert!(compiled > 0 && compiled == place.log("module"), "{compiled}");
    let (captured, launched) = (place.log("captured"), place.log("graph"));
    // The central differences need the value again and again.
    assert!(captured == 1 && launched > 50, "{captured} {launched}");
    let second = place.run("oof-grad", options);
    assert_eq!(second.stdout, first.stdout);
    assert_eq!((place.log("compiled"), place.log("module")), (compiled, 2 * compiled));
}

#[test]
fn a_fit_ends_where_it_does_on_the_cpu() {
    let Some(driver) = driver() else { return };
    let place = Place::new(driver);
    let options = "maps.fits --order 3";
    let here = json(&place.run("oof-fit", &format!("{options} --backend cpu")), options);
    // With a driver, `auto` needs no option.
    let there = json(&place.run("oof-fit", options), options);
    assert_eq!((&here["backend"], &there["backend"]), (&"cpu".into(), &"cuda".into()));
    let sigma = numbers(&here, "sigma");
    let free = |value: &serde_json::Value| {
        let rows = value["parameters"].as_array().unwrap().iter();
        let free = rows.filter(|row| row["free"] == true);
        free.map(|row| row["value"].as_f64().unwrap()).collect::<Vec<_>>()
    };
    for ((a, b), sigma) in free(&here).iter().zip(free(&there)).zip(sigma) {
        // Both stop within 1e-4 in log-likelihood of the optimum.
        assert!((a - b).abs() < 0.03 * sigma, "{a} {b} {sigma}");
    }
}

#[test]
fn simulated_maps_are_those_of_the_cpu() {
    let Some(driver) = driver() else { return };
    let place = Place::new(driver);
    let options = "--telescope nikolic2018 --grid 33 --order 3 --rms 0.3rad --quiet -o";
    for backend in ["cpu", "cuda"] {
        let options = format!("{options} {backend}.npy --backend {backend}");
        assert_silent_success(&place.run("oof-simulate", &options), &options);
    }
    let [a, b] = ["cpu.npy", "cuda.npy"].map(|name| {
        let bytes = std::fs::read(place.folder.path().join(name)).unwrap();
        let numbers = bytes[128..].as_chunks().0.iter().map(|&n| f64::from_le_bytes(n));
        numbers.collect::<Vec<_>>()
    });
    assert_eq!((a.len(), b.len()), (3 * 33 * 33, 3 * 33 * 33));
    assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-12));
}

#[test]
fn the_benchmark_has_rows_of_both() {
    let Some(driver) = driver() else { return };
    let place = Place::new(driver);
    let options = "--grid 32 --order 3 --repeat 1 --no-solve --quiet --backend cpu,cuda,auto";
    let output = place.run("oof-bench", options);
    assert_silent_success(&output, options);
    let table = text(&output.stdout);
    let backends: Vec<_> = table.lines().skip(1).filter_map(|row| row.split(',').nth(1)).collect();
    assert_eq!(backends, ["cpu", "cuda"], "{table}");
}

#[test]
fn too_little_memory_and_a_broken_device_are_one_line() {
    let Some(driver) = driver() else { return };
    let place = Place::new(driver);
    let options = "maps.fits --order 3 --backend cuda";
    for (variable, value, said) in [
        ("OOF_FAKE_FREE", "20000", "MiB are needed and 0.02 MiB are free"),
        (
            "OOF_FAKE_FAIL",
            "cuStreamSynchronize",
            "Fake GPU: copying data: CUDA_ERROR_LAUNCH_FAILED",
        ),
    ] {
        let output = place.command("oof-fit", options).env(variable, value).output().unwrap();
        assert_refused(&output, 1, "oof-fit", said, value);
    }
    // Without graphs all is as before.
    let mut command = place.command("oof-grad", "maps.fits --order 3 --check --backend cuda");
    let output = command.env("OOF_FAKE_FAIL", "cuStreamBeginCapture").output().unwrap();
    assert_silent_success(&output, "no graphs");
    assert_eq!(place.log("graph"), 0);
}

#[test]
fn without_a_driver_cuda_is_refused_and_auto_falls_back() {
    let nowhere = tempfile::tempdir().unwrap();
    let place = Place::new(nowhere.path());
    for (name, options) in [
        ("oof-fit", "maps.fits"),
        ("oof-grad", "maps.fits"),
        ("oof-simulate", "--telescope srt"),
        ("oof-bench", "--grid 32 --no-solve"),
    ] {
        let output = place.run(name, &format!("{options} --backend cuda"));
        // Without a driver, or with one whose devices are hidden.
        assert_refused(&output, 2, name, "no CUDA d", options);
    }
    let output = place.run("oof-grad", "maps.fits --order 3 --backend auto");
    assert!(output.status.success());
    let said = text(&output.stderr);
    assert!(
        said.starts_with("oof-grad: no CUDA d") && said.ends_with("running on the CPU\n"),
        "{said}"
    );
    let here = place.run("oof-grad", "maps.fits --order 3");
    assert_silent_success(&here, "no --backend");
    assert_eq!(here.stdout, output.stdout);
}

/// With a driver and without the rest, the rest is asked for by name.
#[test]
fn a_missing_library_is_named() {
    let Some(driver) = driver() else { return };
    for (missing, other) in [("libnvrtc.so", "libcufft.so"), ("libcufft.so", "libnvrtc.so")] {
        let everywhere = Command::new("ldconfig").arg("-p").output();
        if everywhere.is_ok_and(|output| text(&output.stdout).contains(missing)) {
            eprintln!("skipped: {missing} is installed");
            continue;
        }
        let some = tempfile::tempdir().unwrap();
        let real = driver.join("libcuda.so");
        for name in ["libcuda.so", other] {
            std::os::unix::fs::symlink(&real, some.path().join(name)).unwrap();
        }
        let place = Place::new(some.path());
        let output = place.run("oof-fit", "maps.fits --backend cuda");
        assert_refused(&output, 2, "oof-fit", missing, missing);
    }
}
