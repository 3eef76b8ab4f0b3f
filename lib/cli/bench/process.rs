//! A measurement's own process.

use crate::cli::signal::Stop;
use crate::error::{Error, Result};
use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

/// Between two looks for a signal.
const PAUSE: Duration = Duration::from_millis(50);

/// Runs `command` and returns what it wrote to standard output. A signal to us ends it.
///
/// # Errors
/// [`Error::Signal`]; a failure with the last line that it said where its exit status is not 0.
pub fn output(command: &mut Command, stop: &Stop) -> Result<Vec<u8>> {
    let name = command.get_program().to_string_lossy().into_owned();
    let broken = |e: std::io::Error| Error::failed(format!("cannot run {name}: {e}"));
    command.stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(broken)?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let (done, wait) = channel();
    let reader = thread::spawn(move || {
        let bytes = read_all(out);
        let _ = done.send(());
        bytes
    });
    let said = thread::spawn(move || read_all(err));
    while let Err(RecvTimeoutError::Timeout) = wait.recv_timeout(PAUSE) {
        if let Err(signal) = stop.check() {
            // It may have ended just now.
            let _ = child.kill();
            let _ = child.wait();
            return Err(signal);
        }
    }
    let status = child.wait().map_err(broken)?;
    // A terminal's interrupt goes to the child as well.
    stop.check()?;
    let (bytes, said) = (reader.join(), said.join());
    if status.success() {
        return Ok(bytes.unwrap_or_default());
    }
    let said = String::from_utf8_lossy(&said.unwrap_or_default()).into_owned();
    let last = said.lines().rev().find(|line| !line.trim().is_empty());
    let last = last.map_or_else(|| format!("{name}: {status}"), str::to_string);
    Err(Error::failed(last))
}

fn read_all(from: Option<impl Read>) -> Vec<u8> {
    let mut bytes = Vec::new();
    // What breaks off is not the JSON that is expected.
    let _ = from.map(|mut from| from.read_to_end(&mut bytes));
    bytes
}
