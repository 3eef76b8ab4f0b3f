//! A program's frame: parse, run, report.

use crate::device::allocator;
use crate::error::{Error, Result};
use crate::io::sink::Destination;
use clap::parser::ValueSource;
use clap::{ArgMatches, Command, Parser};
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Options that do not change what is computed: they stay out of an output's header, so that equal
/// inputs give equal bytes.
const OF_NO_INFLUENCE: [&str; 12] = [
    "actuators",
    "corrections",
    "clip",
    "output",
    "plot",
    "force",
    "quiet",
    "threads",
    "timings",
    "help",
    "version",
    "trace",
];

/// Parses the command line, runs the program, and reports what went wrong in one line
/// `oof-fit: message` on standard error. `run` is given the options, and the same as text, a line an
/// option, for the header of the output.
pub fn main_with<A: Parser>(run: fn(A, &[String]) -> Result<()>) -> ExitCode {
    allocator::settle();
    let mut command = A::command();
    let name = command.get_name().to_string();
    let parsed = command.try_get_matches_from_mut(std::env::args_os()).and_then(|matches| {
        let history = history(&command, &matches);
        let options = A::from_arg_matches(&matches).map_err(|e| e.format(&mut command))?;
        Ok((options, history))
    });
    let done = match parsed {
        Ok((options, history)) => unwound(|| run(options, &history)),
        // `--help` and `--version`.
        Err(error) if !error.use_stderr() => {
            Destination::Stdout.write(error.render().to_string().as_bytes())
        }
        Err(error) => Err(Error::usage(one_line(&error.render().to_string()))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if !matches!(error, Error::ClosedPipe) {
                say(&name, &error.to_string());
            }
            ExitCode::from(error.exit_status())
        }
    }
}

/// Runs `work`; a device that failed in the middle of it unwinds with its error.
fn unwound(work: impl FnOnce() -> Result<()>) -> Result<()> {
    // Nothing that was used is used again.
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| match panic.downcast::<Error>() {
        Ok(error) => Err(*error),
        Err(bug) => resume_unwind(bug),
    })
}

/// Says `name: message` in one line on standard error. Where nobody listens there is nobody to tell.
pub fn say(name: &str, message: &str) {
    let message: String = message.chars().flat_map(visible).collect();
    let _ = writeln!(io::stderr(), "{name}: {message}");
}

/// A file's extension, which tells its format, in lower case; empty where there is none.
pub fn extension(path: &Path) -> String {
    path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase()
}

/// That a file's extension is none of those `expected`.
pub fn unknown_extension(path: &Path, expected: &str) -> Error {
    let (name, extension) = (path.display(), extension(path));
    Error::usage(format!("{name}: unknown extension '{extension}', expected {expected}"))
}

/// A file's name may hold a line end, or what moves a terminal's cursor.
fn visible(c: char) -> Vec<char> {
    match c.is_control() {
        true => c.escape_default().collect(),
        false => vec![c],
    }
}

/// The parser's message without its heading and the usage that follows.
fn one_line(rendered: &str) -> String {
    let mut line = String::new();
    for part in rendered.lines().map(str::trim) {
        if part.starts_with("Usage:") || part.starts_with("For more information") {
            break;
        }
        if part.is_empty() {
            continue;
        }
        if !line.is_empty() {
            line.push_str(if line.ends_with(':') { " " } else { "; " });
        }
        line.push_str(part.strip_prefix("error: ").unwrap_or(part));
    }
    line + "; see --help"
}

/// The program, its version, and every option in use with its value.
fn history(command: &Command, matches: &ArgMatches) -> Vec<String> {
    let name = command.get_name();
    let mut lines = vec![format!("{name} {}", env!("CARGO_PKG_VERSION"))];
    for arg in command.get_arguments() {
        let id = arg.get_id().as_str();
        if OF_NO_INFLUENCE.contains(&id) || !matches.try_contains_id(id).unwrap_or(false) {
            continue;
        }
        let switch = !arg.get_action().takes_values();
        if switch && matches.value_source(id) == Some(ValueSource::DefaultValue) {
            continue;
        }
        let option = arg.get_long().map(|long| format!("--{long}"));
        if switch {
            lines.extend(option);
            continue;
        }
        for value in matches.get_raw(id).into_iter().flatten() {
            let value = value.to_string_lossy();
            lines.push(match &option {
                Some(option) => format!("{option}={value}"),
                None => value.into_owned(),
            });
        }
    }
    lines
}

/// The file that a user named, or standard input or output.
pub fn or_dash(path: &Option<PathBuf>) -> PathBuf {
    path.clone().unwrap_or_else(|| PathBuf::from("-"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::simulate::SimulateArgs;
    use clap::CommandFactory;

    #[test]
    fn the_parsers_messages_become_one_line() {
        let refuse = |options: &[&str]| {
            let all = std::iter::once("oof-simulate").chain(options.iter().copied());
            let error = SimulateArgs::try_parse_from(all).unwrap_err();
            one_line(&error.render().to_string())
        };
        let line = refuse(&["--telescope", "srt", "--wavelength", "5"]);
        assert!(line.contains("'5'") && line.contains("add a unit"), "{line}");
        assert!(!line.contains('\n') && line.ends_with("see --help"), "{line}");
        let line = refuse(&["--telescop", "srt"]);
        assert!(line.contains("--telescope"), "{line}");
    }

    #[test]
    fn the_history_has_defaults_and_no_output_name() {
        let mut command = SimulateArgs::command();
        let options = "oof-simulate --telescope srt -o x.fits --threads 3 --rms 0.1rad";
        let matches = command.try_get_matches_from_mut(options.split(' ')).unwrap();
        let lines = history(&command, &matches);
        assert!(lines.contains(&"--telescope=srt".to_string()), "{lines:?}");
        assert!(lines.contains(&"--rms=0.1rad".to_string()), "{lines:?}");
        assert!(lines.contains(&"--order=5".to_string()), "{lines:?}");
        assert!(!lines.iter().any(|l| l.contains("x.fits") || l.contains("threads")));
    }

    #[test]
    fn an_error_that_unwinds_out_of_a_pool_is_an_error_and_a_bug_stays_one() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
        let fail = || -> Result<()> {
            pool.install(|| resume_unwind(Box::new(Error::failed("not enough memory"))))
        };
        assert_eq!(unwound(fail).unwrap_err().to_string(), "not enough memory");
        assert!(catch_unwind(|| unwound(|| resume_unwind(Box::new("bug")))).is_err());
    }

    #[test]
    fn a_message_stays_on_its_line() {
        let shown: String = "a\nb\u{1b}[2J".chars().flat_map(visible).collect();
        assert_eq!(shown, "a\\nb\\u{1b}[2J");
    }
}
