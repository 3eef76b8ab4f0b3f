//! Standard input and output: full disks, readers that have gone, signals.

mod programs;

use programs::{assert_refused, assert_silent_success, files, program, shell, text};
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::Duration;

const MAPS: &str = "oof-simulate --telescope nikolic2018 --grid 32 --order 2 --rms 0.3rad --noise additive=0.005 --seed 1";

const BENCH: &str = "oof-bench --grid 32 --order 2 --repeat 1";

#[test]
fn a_full_disk_is_one_line_and_exit_status_1() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["oof-fit", "oof-plot", "oof-grad", "oof-simulate", "oof-bench"] {
        for line in [format!("{name} --help > /dev/full"), format!("{name} --version > /dev/full")]
        {
            let output = shell(&line, folder.path());
            assert_refused(&output, 1, name, "no space left on device", &line);
        }
    }
}

#[test]
fn a_full_disk_under_maps_and_results_is_one_line_and_exit_status_1() {
    let folder = tempfile::tempdir().unwrap();
    let said = "no space left on device";
    for (line, name) in [
        (format!("{MAPS} > /dev/full"), "oof-simulate"),
        (format!("{MAPS} -o /dev/full"), "oof-simulate"),
        (format!("{MAPS} | oof-fit --order 2 > /dev/full"), "oof-fit"),
        (format!("{MAPS} | oof-fit --order 2 -o /dev/full"), "oof-fit"),
        (format!("{MAPS} | oof-fit --order 2 --plot /dev/full"), "oof-fit"),
        (format!("{MAPS} | oof-plot > /dev/full"), "oof-plot"),
        (format!("{MAPS} | oof-plot -o /dev/full"), "oof-plot"),
        (format!("{MAPS} | oof-grad --order 2 > /dev/full"), "oof-grad"),
        (format!("{BENCH} > /dev/full"), "oof-bench"),
        (format!("{BENCH} -o /dev/full"), "oof-bench"),
        (format!("{BENCH} --dry-run > /dev/full"), "oof-bench"),
    ] {
        let output = shell(&line, folder.path());
        assert_refused(&output, 1, name, said, &line);
        assert!(output.stdout.is_empty(), "{line}");
        assert!(files(folder.path()).is_empty(), "{line}");
    }
}

#[test]
fn standard_output_may_be_named_where_it_is_a_pipe() {
    let folder = tempfile::tempdir().unwrap();
    let line = format!(
        "set -o pipefail; {MAPS} -o /dev/stdout | oof-fit --order 2 --quiet -o /dev/stdout | cat"
    );
    let output = shell(&line, folder.path());
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(output.stdout.starts_with(b"{") && output.stdout.ends_with(b"}\n"));
    assert!(files(folder.path()).is_empty());
}

#[test]
fn a_reader_that_has_gone_is_no_error() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["oof-fit", "oof-plot", "oof-grad", "oof-simulate", "oof-bench"] {
        for option in ["--help", "--version"] {
            let line = format!("set -o pipefail; (sleep 0.2; {name} {option}) | true");
            assert_silent_success(&shell(&line, folder.path()), &line);
        }
    }
}

#[test]
fn a_reader_that_has_enough_of_the_maps_is_no_error() {
    let folder = tempfile::tempdir().unwrap();
    let maps = MAPS.replace("--grid 32", "--grid 128");
    for line in [
        format!("set -o pipefail; {maps} | head -c 100"),
        format!("set -o pipefail; {MAPS} | oof-fit --order 2 | true"),
        format!("set -o pipefail; {MAPS} | oof-grad --order 2 | true"),
        format!("set -o pipefail; {BENCH} --quiet | true"),
    ] {
        assert_silent_success(&shell(&line, folder.path()), &line);
        assert!(files(folder.path()).is_empty(), "{line}");
    }
}

#[test]
fn a_program_whose_errors_nobody_reads_still_has_its_exit_status() {
    let folder = tempfile::tempdir().unwrap();
    let line = "oof-fit --telescope nowhere 2>&-; exit $?";
    assert_eq!(shell(line, folder.path()).status.code(), Some(2));
    let line = "oof-fit --telescope nowhere 2>/dev/full";
    assert_eq!(shell(line, folder.path()).status.code(), Some(2));
}

#[test]
fn a_signal_ends_a_program_that_waits_for_input() {
    let folder = tempfile::tempdir().unwrap();
    for signal in [libc::SIGINT, libc::SIGTERM] {
        let mut command = program("oof-fit", folder.path());
        command.args(["--telescope", "srt", "-o", "out.json"]);
        let pipes = command.stdin(Stdio::piped()).stderr(Stdio::piped());
        let mut child = pipes.spawn().unwrap();
        std::thread::sleep(Duration::from_millis(300));
        // SAFETY: a signal to a child that is not waited for yet, so its number is still its own.
        assert_eq!(unsafe { libc::kill(child.id() as i32, signal) }, 0);
        let status = child.wait().unwrap();
        let code = status.code().or(status.signal().map(|s| 128 + s));
        assert_eq!(code, Some(128 + signal));
        assert!(files(folder.path()).is_empty());
    }
}

#[test]
fn a_signal_stops_a_fit_without_leaving_anything() {
    let folder = tempfile::tempdir().unwrap();
    let maps = "oof-simulate --telescope nikolic2018 --grid 512 --rms 0.5rad --seed 1 --quiet -o maps.fits";
    assert_silent_success(&shell(maps, folder.path()), maps);
    let mut command = program("oof-fit", folder.path());
    // Seconds of work, even where it is fast.
    command.args(["maps.fits", "--order", "20", "-o", "out.json"]);
    let child = command.stderr(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(300));
    // SAFETY: as above.
    assert_eq!(unsafe { libc::kill(child.id() as i32, libc::SIGTERM) }, 0);
    let output = child.wait_with_output().unwrap();
    assert_refused(&output, 143, "oof-fit", "signal 15", "SIGTERM");
    assert_eq!(files(folder.path()), ["maps.fits"]);
}

#[test]
fn data_go_to_standard_output_and_words_to_standard_error() {
    let folder = tempfile::tempdir().unwrap();
    let line = "oof-simulate --telescope nikolic2018 --grid 32 --order 2 | head -c 6";
    let output = shell(line, folder.path());
    assert_eq!(text(&output.stdout), "SIMPLE");
    let said = text(&output.stderr);
    assert!(said.starts_with("oof-simulate: noise of nikolic2018: additive=0.024"), "{said}");
    assert_eq!(said.lines().count(), 1);
    let quiet = shell(
        &format!("{line} --quiet").replace("| head -c 6 --quiet", "--quiet | head -c 6"),
        folder.path(),
    );
    assert_silent_success(&quiet, "--quiet");
}

/// The flags of the mappings of a process's heap.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn heap(process: u32) -> Vec<String> {
    let maps = std::fs::read_to_string(format!("/proc/{process}/smaps")).unwrap_or_default();
    let (mut inside, mut flags) = (false, Vec::new());
    for line in maps.lines() {
        match line.strip_prefix("VmFlags:") {
            Some(of) if inside => flags.push(of.to_string()),
            Some(_) => {}
            // A mapping begins with its addresses, `from-to`.
            None if line.split(' ').next().is_some_and(|first| first.contains('-')) => {
                inside = line.ends_with("[heap]");
            }
            None => {}
        }
    }
    flags
}

#[test]
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn a_program_begins_with_a_heap_on_huge_pages() {
    if !std::path::Path::new("/sys/kernel/mm/transparent_hugepage").exists() {
        eprintln!("skipped: this kernel has no huge pages");
        return;
    }
    // It waits for its maps.
    let mut waiting = std::process::Command::new(env!("CARGO_BIN_EXE_oof-fit"))
        .args(["--order", "2"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let advised = || heap(waiting.id()).iter().any(|f| f.split_whitespace().any(|f| f == "hg"));
    let found = (0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(20));
        advised()
    });
    waiting.kill().unwrap();
    waiting.wait().unwrap();
    assert!(found, "no part of the heap is on huge pages");
}
