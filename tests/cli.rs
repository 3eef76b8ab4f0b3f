//! The programs as users type them.

mod programs;

use oof::cli::example;
use programs::{
    assert_refused, assert_silent_success, blobs, fits, lines, program, run, shell, text,
};
use std::path::Path;

const TOOLS: [&str; 3] = ["oof-simulate", "oof-fit", "oof-grad"];

/// Maps that a fit of order 2 explains, in `maps.fits`.
fn simulate_into(folder: &Path, options: &str) {
    let line = format!(
        "oof-simulate --telescope nikolic2018 --grid 32 --order 2 --noise additive=0.005 --seed 1 {options}"
    );
    assert_silent_success(&shell(&line, folder), &line);
}

fn json(bytes: &[u8]) -> serde_json::Value {
    serde_json::from_slice(bytes).unwrap()
}

#[test]
fn help_and_version_go_to_standard_output() {
    for name in TOOLS {
        let help = run(name, &["--help"], b"", Path::new("."));
        assert_silent_success(&help, name);
        let help = text(&help.stdout);
        for heading in ["Usage:", "Telescope:", "Output:", "Machine:", "Examples:"] {
            assert!(help.contains(heading), "{name}: no {heading}");
        }
        let last = example::of(name).last().unwrap().command;
        assert!(help.trim_end().ends_with(last), "{name} --help ends otherwise");
        let version = run(name, &["--version"], b"", Path::new("."));
        let expected = format!("{name} {}\n", env!("CARGO_PKG_VERSION"));
        assert_eq!(text(&version.stdout), expected);
    }
}

#[test]
fn options_of_one_name_mean_the_same_everywhere() {
    // The sentence that --help has for an option.
    let about = |name: &str, option: &str| {
        let help = text(&run(name, &["-h"], b"", Path::new(".")).stdout);
        let (_, rest) = help.split_once(&format!("--{option} ")).unwrap();
        rest.lines().next().unwrap().split_once("  ").map(|s| s.1.trim().to_string())
    };
    for option in ["precision", "backend", "threads", "frequency", "wavelength"] {
        let first = about(TOOLS[0], option);
        assert!(TOOLS.iter().all(|name| about(name, option) == first), "{option}");
    }
}

#[test]
fn the_number_of_threads_comes_from_slurm_and_the_command_line_wins() {
    let folder = tempfile::tempdir().unwrap();
    let threads = |environment: &str, options: &[&str]| {
        let mut command = program("oof-fit", folder.path());
        command.env("SLURM_CPUS_PER_TASK", environment).args(options);
        command.output().unwrap()
    };
    let output = threads("none", &["--telescope", "nowhere"]);
    let said = "SLURM_CPUS_PER_TASK is 'none'";
    assert_refused(&output, 2, "oof-fit", said, "a number of threads that is none");
    let output = threads("", &["--telescope", "nowhere"]);
    assert_refused(&output, 2, "oof-fit", "nowhere", "nothing is no number");
    let output = threads("none", &["--threads", "1", "--telescope", "nowhere"]);
    assert_refused(&output, 2, "oof-fit", "nowhere", "--threads goes before");
}

#[test]
fn the_examples_of_help_and_man_pages_run() {
    let folder = tempfile::tempdir().unwrap();
    let line = "oof-simulate --telescope srt --frequency 22.23GHz --defocus=-27mm,0mm,27mm --order 3 \
                --rms 0.3rad --noise additive=0.002 -o srt.fits";
    assert_silent_success(&shell(line, folder.path()), line);
    let file = std::fs::read(folder.path().join("srt.fits")).unwrap();
    let maps = oof::io::fits::read_maps(&file, "srt.fits").unwrap();
    for (map, name) in maps.maps.iter().zip(["OUT1", "IN", "OUT2"]) {
        std::fs::write(folder.path().join(format!("{name}.txt")), lines(map)).unwrap();
    }
    for example in example::ALL {
        assert!(example.command.contains(example.tool), "{}", example.command);
        let output = shell(&format!("set -o pipefail; {}", example.command), folder.path());
        let said = text(&output.stderr);
        assert!(output.status.success(), "{}: {said}", example.command);
        assert!(!said.contains("panicked"), "{said}");
    }
}

#[test]
fn the_result_is_written_although_the_fit_did_not_converge() {
    // No telescope makes a chessboard of the sky.
    let mut maps = blobs(&[0.0, -0.05, 0.05]);
    for map in &mut maps.maps {
        for (i, power) in map.power.iter_mut().enumerate() {
            *power = ((i / 16 + i) % 2) as f64 + 1e-6 * i as f64;
        }
    }
    let output = run("oof-fit", &["--order", "2"], &fits(&maps), Path::new("."));
    assert_refused(&output, 1, "oof-fit", ": ", "blobs");
    assert_ne!(json(&output.stdout)["status"], "converged");
}

#[test]
fn equal_input_gives_equal_bytes_whatever_the_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    for threads in ["1", "2", "3"] {
        let options = format!("--rms 0.3rad -j {threads} -o maps{threads}.fits");
        simulate_into(folder.path(), &options);
        let line = format!("oof-fit maps1.fits --order 2 -j {threads} -o fit{threads}.csv");
        assert_silent_success(&shell(&line, folder.path()), &line);
    }
    let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    for threads in ["2", "3"] {
        assert!(read("maps1.fits") == read(&format!("maps{threads}.fits")));
        assert!(read("fit1.csv") == read(&format!("fit{threads}.csv")));
    }
}

#[test]
fn the_header_of_simulated_maps_says_how_they_were_made() {
    let folder = tempfile::tempdir().unwrap();
    simulate_into(folder.path(), "--zernike z3=0.25rad --set sigma=0.7 -j 1 -o maps.fits");
    let file = std::fs::read(folder.path().join("maps.fits")).unwrap();
    let header = String::from_utf8_lossy(&file[..2880 * 4]).into_owned();
    for line in [
        concat!("HISTORY oof-simulate ", env!("CARGO_PKG_VERSION")),
        "HISTORY --telescope=nikolic2018",
        "HISTORY --zernike=z3=0.25rad",
        "HISTORY --seed=1",
    ] {
        assert!(header.contains(line), "no {line}");
    }
    assert!(!header.contains("maps.fits") && !header.contains("--threads"));
    let maps = oof::io::fits::read_maps(&file, "maps.fits").unwrap();
    assert!(maps.truth.contains(&("z3".into(), 0.25)), "{:?}", maps.truth);
    assert!(maps.truth.contains(&("sigma".into(), 0.7)), "{:?}", maps.truth);
    assert_eq!(maps.noise.unwrap().additive, 0.005);
}

#[test]
fn a_cube_is_fitted_as_the_fits_file_of_the_same_maps() {
    let folder = tempfile::tempdir().unwrap();
    simulate_into(folder.path(), "--rms 0.3rad -o maps.fits");
    simulate_into(folder.path(), "--rms 0.3rad -o maps.npy");
    let fit = |file: &str| {
        // A cube has no noise: the same scale for both.
        let line = format!("oof-fit {file} --telescope nikolic2018 --order 2 --scale 0.1 --quiet");
        let output = shell(&line, folder.path());
        assert_silent_success(&output, &line);
        let parameters = json(&output.stdout)["parameters"].clone();
        let rows = parameters.as_array().unwrap().iter();
        let number = |value: &serde_json::Value| value.as_f64().unwrap_or(0.0);
        let rows = rows.map(|p| (number(&p["value"]), number(&p["sigma"])));
        rows.collect::<Vec<(f64, f64)>>()
    };
    let (whole, cube) = (fit("maps.fits"), fit("maps.npy"));
    assert_eq!(whole.len(), cube.len());
    for ((a, sigma), (b, _)) in whole.iter().zip(&cube) {
        // Positions differ in the last bit, so the last steps of the minimiser may.
        assert!((a - b).abs() <= 0.01 * sigma + 1e-9, "{a} {b} {sigma}");
    }
}

#[test]
fn a_level_under_all_maps_is_no_part_of_their_beams() {
    let folder = tempfile::tempdir().unwrap();
    simulate_into(folder.path(), "--rms 0.3rad -o maps.npy");
    let cube: ndarray::Array3<f64> = ndarray_npy::read_npy(folder.path().join("maps.npy")).unwrap();
    let fit = |level: f64| {
        ndarray_npy::write_npy(folder.path().join("level.npy"), &(&cube + level)).unwrap();
        let options =
            "--telescope nikolic2018 --defocus 0mm,-50mm,50mm --wavelength 1.1mm --order 2";
        let output = shell(&format!("oof-fit level.npy {options}"), folder.path());
        let said = text(&output.stderr);
        assert_eq!(said.contains("map 2: a level of"), level != 0.0, "{said}");
        let surface = json(&output.stdout)["surface"]["surface_rms_m"].clone();
        (output.status.code(), surface.as_f64().unwrap())
    };
    let (status, plain) = fit(0.0);
    assert_eq!(status, Some(0));
    for level in [1e3, -3.0] {
        // The scales are parts of what rises above the level, and that is not quite known.
        let (status, surface) = fit(level);
        assert_eq!(status, Some(0));
        assert!((surface / plain - 1.0).abs() < 0.01, "{level}: {surface} {plain}");
    }
}

#[test]
fn times_are_there_only_where_they_are_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    simulate_into(folder.path(), "--rms 0.3rad -o maps.fits");
    let plain = shell("oof-fit maps.fits --order 2", folder.path());
    assert_silent_success(&plain, "oof-fit");
    assert!(json(&plain.stdout)["seconds"].is_null());
    let timed = json(&shell("oof-fit maps.fits --order 2 --timings", folder.path()).stdout);
    let seconds = |key: &str| timed["seconds"][key].as_f64().unwrap();
    let sum = seconds("read") + seconds("setup") + seconds("minimise");
    assert!(seconds("total") > 0.0 && (sum - seconds("total")).abs() < 1e-9);
}

#[test]
fn the_gradient_is_checked_and_a_tolerance_that_cannot_hold_fails() {
    let folder = tempfile::tempdir().unwrap();
    simulate_into(folder.path(), "--rms 0.3rad -o maps.fits");
    for likelihood in ["gaussian", "cauchy"] {
        let line = format!("oof-grad maps.fits --order 2 --check --likelihood {likelihood}");
        let output = shell(&line, folder.path());
        assert_silent_success(&output, &line);
        let report = json(&output.stdout);
        assert_eq!(report["check"]["passed"], true);
        assert!(report.get("hessian").is_none());
    }
    let line = "oof-grad maps.fits --order 2 --check --tolerance 1e-30 -o rows.csv";
    let output = shell(line, folder.path());
    assert_refused(&output, 1, "oof-grad", "tolerance of 1e-30", line);
    let rows = std::fs::read_to_string(folder.path().join("rows.csv")).unwrap();
    assert!(rows.starts_with("name,unit,value,gradient,difference,relative_error\nz"), "{rows}");
}

#[test]
fn start_values_come_from_an_earlier_fit_and_the_command_line_wins() {
    let folder = tempfile::tempdir().unwrap();
    simulate_into(folder.path(), "--rms 0.3rad -o maps.fits");
    assert_silent_success(&shell("oof-fit maps.fits --order 2 -o fit.json", folder.path()), "fit");
    let fit = json(&std::fs::read(folder.path().join("fit.json")).unwrap());
    let line = "oof-grad maps.fits --parameters fit.json --start z3=0.125rad";
    let output = shell(line, folder.path());
    assert_silent_success(&output, line);
    let report = json(&output.stdout);
    let value = |object: &serde_json::Value, name: &str| {
        let rows = object["parameters"].as_array().unwrap();
        rows.iter().find(|p| p["name"] == name).unwrap()["value"].as_f64().unwrap()
    };
    assert_eq!(value(&report, "z3"), 0.125);
    for name in ["z4", "z5", "gain[0]", "dx[1]"] {
        assert_eq!(value(&report, name), value(&fit, name), "{name}");
    }
}

#[test]
fn a_graph_is_printed_for_graphviz() {
    let folder = tempfile::tempdir().unwrap();
    simulate_into(folder.path(), "--rms 0.3rad -o maps.fits");
    let output = shell("oof-grad maps.fits --order 2 --trace dot", folder.path());
    assert_silent_success(&output, "--trace dot");
    assert!(text(&output.stdout).starts_with("digraph"));
}
