//! `oof-bench` as users type it.

mod programs;

use programs::{assert_refused, assert_silent_success, files, program, run, shell, text};
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::process::{Command, Output};

const TINY: &str = "oof-bench --grid 32 --order 2 -j 1 --quiet";

type Row = HashMap<String, String>;

/// The rows of a CSV file, by the names of their columns.
fn rows(file: &[u8]) -> Vec<Row> {
    let reader = csv::Reader::from_reader(file);
    reader.into_deserialize().map(Result::unwrap).collect()
}

fn number(row: &Row, column: &str) -> f64 {
    row[column].parse().unwrap_or_else(|_| panic!("{column}: {:?}", row[column]))
}

#[test]
fn help_ends_with_examples_and_does_not_show_what_is_internal() {
    let help = text(&run("oof-bench", &["--help"], b"", Path::new(".")).stdout);
    for heading in ["Usage:", "Table:", "Comparison:", "Output:", "Examples:"] {
        assert!(help.contains(heading), "no {heading}");
    }
    assert!(!help.contains("--measure"), "{help}");
}

#[test]
fn every_row_has_its_times_and_the_solution_is_judged_by_the_best() {
    let folder = tempfile::tempdir().unwrap();
    let line = format!("{TINY} --case paper,cold --precision f64,f32 --repeat 2 --seed 3 -o a.csv");
    assert_silent_success(&shell(&line, folder.path()), &line);
    let found = rows(&std::fs::read(folder.path().join("a.csv")).unwrap());
    assert_eq!(found.len(), 2 * 2 * 2);
    for row in &found {
        let same = found.iter().filter(|r| r["case"] == row["case"]);
        let reached = same.map(|r| number(r, "negative_log_likelihood"));
        let best = reached.fold(f64::INFINITY, f64::min);
        for column in
            ["seconds_forward", "seconds_gradient", "seconds_solution", "seconds_first_solution"]
        {
            let seconds = number(row, column);
            assert!(seconds > 0.0 && seconds < 60.0, "{column}: {seconds}");
        }
        assert!(number(row, "evaluations") >= 2.0);
        let reached = number(row, "negative_log_likelihood");
        assert!(reached >= best && reached <= best + 0.01, "{reached} {best}");
        assert_eq!(number(row, "best_negative_log_likelihood"), best);
        // Zernikes 1 to 5, x0, y0, amp
        assert_eq!((row["parameters"].as_str(), row["seed"].as_str()), ("8", "3"));
        assert_eq!(row["version"], env!("CARGO_PKG_VERSION"));
        // Ends with the best of its own.
        assert!(row["approach"].ends_with(&format!(":{}", row["negative_log_likelihood"])));
        assert!(number(row, "peak_rss_bytes") > 1e6 && !row["machine"].is_empty());
        assert_eq!(row["note"], "");
    }
}

#[test]
fn resuming_adds_only_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let read = || std::fs::read(folder.path().join("a.csv")).unwrap();
    let measure = |options: &str| {
        let line = format!("{TINY} --no-solve {options} -o a.csv");
        assert_silent_success(&shell(&line, folder.path()), &line);
    };
    measure("--repeat 1");
    let first = read();
    measure("--repeat 1 --resume");
    assert!(read() == first, "a row was added");
    measure("--resume --repeat 2 --precision f32,f64");
    let all = read();
    assert!(all.starts_with(&first));
    let keys = rows(&all).into_iter();
    let keys: Vec<_> = keys.map(|r| (r["precision"].clone(), r["repeat"].clone())).collect();
    assert_eq!(keys.len(), 4);
    assert_eq!(keys.iter().collect::<HashSet<_>>().len(), 4);
    // Other maps are another measurement, and without --resume all is measured again.
    measure("--repeat 1 --resume --seed 1");
    measure("--repeat 1");
    assert_eq!(rows(&read()).len(), 6);
}

#[test]
fn the_shards_of_a_job_array_partition_the_table() {
    let table = "--grid 32,64,128 --order 2,3 --precision f64,f32 --dry-run";
    let list = |options: &str, variables: &[(&str, &str)]| {
        let mut command = program("oof-bench", Path::new("."));
        command.args(table.split(' ').chain(options.split_whitespace()));
        let output = command.envs(variables.iter().copied()).output().unwrap();
        assert_silent_success(&output, options);
        let lines = text(&output.stdout);
        let lines: Vec<String> = lines.lines().skip(1).map(str::to_string).collect();
        lines
    };
    let mut all = list("", &[]);
    assert_eq!(all.len(), 3 * 2 * 2 * 5);
    all.sort();
    let shards = ["1/4", "2/4", "3/4", "4/4"];
    let given = shards.map(|s| list(&format!("--shard {s}"), &[]));
    let tasks = ["5", "6", "7", "8"].map(|id| {
        let task = [
            ("SLURM_ARRAY_TASK_ID", id),
            ("SLURM_ARRAY_TASK_MIN", "5"),
            ("SLURM_ARRAY_TASK_COUNT", "4"),
        ];
        list("", &task)
    });
    assert_eq!(given, tasks);
    let mut parts = given.concat();
    parts.sort();
    assert_eq!(parts, all);
}

#[test]
fn what_makes_no_sense_is_refused_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("other.csv"), "name,value\n").unwrap();
    std::fs::create_dir(folder.path().join("empty")).unwrap();
    std::fs::create_dir(folder.path().join("bare")).unwrap();
    std::fs::write(folder.path().join("bare/run.py"), "").unwrap();
    let before = files(folder.path());
    for (options, said) in [
        ("--backend cuda", "no CUDA d"),
        ("--backend gpu", "possible values"),
        ("--grid 32,x", "'x'"),
        ("--grid 8", "--grid"),
        ("--grid 1000000", "aperture grid of 1000000"),
        ("--order 0", "expected a whole number from 1"),
        ("--case warm", "possible values"),
        ("--repeat 0", "'0'"),
        ("--threads 0", "'0'"),
        ("--shard 3/2", "expected i/n"),
        ("--time-limit 10", "add a unit"),
        ("--compare tensorflow", "possible values"),
        ("--compare torch --baselines empty", "empty/run.py"),
        ("--compare torch --baselines bare", "bare/setup"),
        ("--resume", "--output"),
        ("--resume -o -", "needs a file"),
        ("-o other.csv", "first line"),
        ("-o no/a.csv", "no such file or directory"),
        ("-o empty", "is a folder"),
    ] {
        // The last of an option counts only where it may be there twice.
        let line = match options.starts_with("--grid") || options.starts_with("--order") {
            true => format!("oof-bench {options}"),
            false => format!("oof-bench --grid 32 {options}"),
        };
        assert_refused(&shell(&line, folder.path()), 2, "oof-bench", said, &line);
    }
    assert_eq!(files(folder.path()), before);
    let other = std::fs::read(folder.path().join("other.csv")).unwrap();
    assert_eq!(other, b"name,value\n");
}

#[test]
fn a_signal_ends_the_measurement_and_the_rows_so_far_are_there() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = program("oof-bench", folder.path());
    command.args(["--grid", "64", "--order", "2", "--repeat", "100", "-j", "1"]);
    command.args(["-o", "a.csv", "--quiet"]).stderr(std::process::Stdio::piped());
    let child = command.spawn().unwrap();
    let begun = std::time::Instant::now();
    let read = || std::fs::read(folder.path().join("a.csv")).unwrap_or_default();
    while read().iter().filter(|&&byte| byte == b'\n').count() < 3 {
        assert!(begun.elapsed().as_secs() < 60, "no rows");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    // SAFETY: a signal to a child that is not waited for yet, so its number is still its own.
    assert_eq!(unsafe { libc::kill(child.id() as i32, libc::SIGTERM) }, 0);
    let output = child.wait_with_output().unwrap();
    assert_refused(&output, 143, "oof-bench", "signal 15", "SIGTERM");
    let found = rows(&read());
    assert!(found.len() >= 2 && found.len() < 100, "{} rows", found.len());
    assert!(found.iter().all(|row| number(row, "seconds_solution") > 0.0));
    let (measured, line) =
        (found.len(), "oof-bench --grid 64 --order 2 --repeat 100 -j 1 -o a.csv");
    let left = shell(&format!("{line} --resume --dry-run"), folder.path());
    assert_eq!(text(&left.stdout).lines().count() - 1, 100 - measured);
}

/// Compares with the baseline of the tests; `None` where there is no Python.
fn compare(folder: &Path, names: &str, wrong: &str) -> Option<Output> {
    let python = Command::new("python3").arg("--version").output();
    if !python.is_ok_and(|o| o.status.success()) {
        eprintln!("skipped: there is no python3");
        return None;
    }
    let baselines = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/baseline");
    let mut command = program("oof-bench", folder);
    command.args(["--grid", "32", "--order", "2", "-j", "1", "--repeat", "2"]);
    command.args(["--quiet", "-o", "a.csv", "--compare", names, "--baselines"]);
    command.arg(baselines).env("OOF_BASELINES_PYTHON", "python3");
    command.env("OOF_TEST_WRONG", wrong);
    Some(command.output().unwrap())
}

#[test]
fn a_baseline_that_agrees_has_its_rows() {
    let folder = tempfile::tempdir().unwrap();
    let Some(output) = compare(folder.path(), "torch", "0") else {
        return;
    };
    assert_silent_success(&output, "--compare torch");
    let found = rows(&std::fs::read(folder.path().join("a.csv")).unwrap());
    let of = |name: &str| found.iter().filter(|r| r["implementation"] == name).count();
    assert_eq!((of("oof"), of("torch"), found.len()), (2, 2, 4));
    for row in found.iter().filter(|r| r["implementation"] == "torch") {
        assert_eq!(number(row, "seconds_forward"), 0.25);
        assert_eq!(number(row, "seconds_gradient"), 0.5);
        assert_eq!(number(row, "evaluations"), 99.0);
        assert_eq!((row["version"].as_str(), row["repeat"].len()), ("0 of torch", 1));
        // It stopped far from the optimum, which ours found.
        assert_eq!((row["seconds_solution"].as_str(), row["note"].as_str()), ("", "not reached"));
        assert!(
            number(row, "best_negative_log_likelihood") < number(row, "negative_log_likelihood")
        );
    }
}

#[test]
fn a_baseline_that_computes_something_else_has_no_rows() {
    let folder = tempfile::tempdir().unwrap();
    // jax fails in the script itself.
    let Some(output) = compare(folder.path(), "torch,jax", "1e-7") else {
        return;
    };
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("its value differs from ours by 1.0e-7"), "{said}");
    assert!(said.contains("no such package"), "{said}");
    assert!(said.ends_with("oof-bench: 4 of 6 measurements failed\n"), "{said}");
    let found = rows(&std::fs::read(folder.path().join("a.csv")).unwrap());
    assert_eq!(found.len(), 2);
    assert!(found.iter().all(|r| r["implementation"] == "oof"));
}
