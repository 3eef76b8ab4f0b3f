//! Running the programs, and small beam maps to give them.

#![allow(dead_code)] // Every test file uses its own part.

use oof::device::Precision;
use oof::optics::beam_map::{BeamMap, MapSet, Sampling, Sigma};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// The folder that the programs lie in.
pub fn folder() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_oof-fit")).parent().unwrap()
}

/// A program, in the folder `at`, that knows nothing of the machine that runs the tests.
pub fn program(name: &str, at: &Path) -> Command {
    let mut command = Command::new(folder().join(name));
    command.current_dir(at);
    without_machine(&mut command);
    command
}

/// A line of shell with the programs in its path.
pub fn shell(line: &str, at: &Path) -> Output {
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new("bash");
    command
        .args(["-c", line])
        .current_dir(at)
        .env("PATH", format!("{}:{path}", folder().display()));
    without_machine(&mut command);
    command.output().unwrap()
}

fn without_machine(command: &mut Command) {
    // No GPU, even where there is one.
    command.env("CUDA_VISIBLE_DEVICES", "");
    command.env_remove("SLURM_CPUS_PER_TASK");
    command.env_remove("SLURM_ARRAY_TASK_ID");
}

/// Runs a program with `input` on its standard input.
pub fn run(name: &str, arguments: &[&str], input: &[u8], at: &Path) -> Output {
    let mut command = program(name, at);
    command.args(arguments);
    let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = pipes.stderr(Stdio::piped()).spawn().unwrap();
    let mut to = child.stdin.take().unwrap();
    let input = input.to_vec();
    // A program that refuses its options does not read.
    let writer = std::thread::spawn(move || drop(to.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Asserts that a program did what it was asked for and said nothing.
pub fn assert_silent_success(output: &Output, what: &str) {
    let said = text(&output.stderr);
    assert!(output.status.success(), "{what}: {:?}: {said}", output.status);
    assert_eq!(said, "", "{what}");
}

/// Asserts the exit status, and one line `name: message` that contains `said`.
pub fn assert_refused(output: &Output, status: i32, name: &str, said: &str, what: &str) {
    let line = text(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{what}: {line}");
    assert_eq!(line.lines().count(), 1, "{what}: {line}");
    assert!(line.starts_with(&format!("{name}: ")), "{what}: {line}");
    assert!(!line.contains("panicked"), "{what}: {line}");
    assert!(line.contains(said), "{what}: {line:?} does not say {said:?}");
}

/// The files in a folder, hidden ones included.
pub fn files(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let names = entries.map(|e| e.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

/// A sample that `patch` finds again.
pub const MARK: f64 = 0.123456789;

/// Maps of the telescope `nikolic2018`, 16 x 16 pixels of half a beam: blobs that are wide out of
/// focus. The first sample of the first map is [`MARK`].
pub fn blobs(defocus: &[f64]) -> MapSet {
    let pixel = 0.5 * 1.1e-3 / 5.6;
    let axis: Vec<f64> = (0..16).map(|j| (f64::from(j) - 8.0) * pixel).collect();
    let maps = defocus.iter().enumerate().map(|(i, &dz)| {
        let width = pixel * (2.0 + 40.0 * dz.abs());
        let blob = |v: f64, u: f64| (-(u * u + v * v) / (2.0 * width * width)).exp();
        let power = axis.iter().flat_map(|&v| axis.iter().map(move |&u| blob(v, u)));
        let mut power: Vec<f64> = power.collect();
        if i == 0 {
            power[0] = MARK;
        }
        BeamMap {
            name: format!("MAP{i}"),
            defocus: dz,
            sampling: Sampling::Raster { u: axis.clone(), v: axis.clone() },
            power,
            sigma: Sigma::Constant(0.01),
        }
    });
    MapSet {
        maps: maps.collect(),
        wavelength: Some(1.1e-3),
        telescope: Some("nikolic2018".into()),
        ..MapSet::default()
    }
}

/// Maps as a FITS file.
pub fn fits(maps: &MapSet) -> Vec<u8> {
    oof::io::fits::write_maps(maps, &[], Precision::F64).unwrap()
}

/// The same file with another number where [`MARK`] was.
pub fn patch(mut file: Vec<u8>, value: f64) -> Vec<u8> {
    let mark = MARK.to_be_bytes();
    let at = file.windows(8).position(|w| w == mark).unwrap();
    file[at..at + 8].copy_from_slice(&value.to_be_bytes());
    file
}

/// A map as text.
pub fn lines(map: &BeamMap) -> String {
    let points: Vec<(f64, f64)> = match &map.sampling {
        Sampling::Raster { u, v } => {
            v.iter().flat_map(|v| u.iter().map(move |u| (*u, *v))).collect()
        }
        Sampling::Scattered { u, v } => u.iter().copied().zip(v.iter().copied()).collect(),
    };
    let lines = points.into_iter().zip(&map.power);
    lines.map(|((u, v), p)| format!("{u} {v} {p}\n")).collect()
}
