//! How far the work has come: one line on standard error, rewritten, where that is a terminal.

use crate::fit::Progress;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// Between two rewritings.
const PAUSE: Duration = Duration::from_millis(100);

/// The line. It is wiped when this is dropped.
pub struct ProgressLine {
    name: &'static str,
    wanted: bool,
    last: Option<Instant>,
}

impl ProgressLine {
    /// The line of the program `name`; `quiet` for none.
    pub fn new(name: &'static str, quiet: bool) -> Self {
        ProgressLine { name, wanted: !quiet && io::stderr().is_terminal(), last: None }
    }

    /// Shows where the fit is.
    pub fn show(&mut self, at: &Progress) {
        if !self.wanted || self.last.is_some_and(|t| t.elapsed() < PAUSE) {
            return;
        }
        self.last = Some(Instant::now());
        let _ = write!(
            io::stderr(),
            "\r\x1b[K{}: {}, {} evaluations, -ln L = {:.6}",
            self.name,
            at.stage,
            at.evaluations,
            at.negative_log_likelihood
        );
    }
}

impl Drop for ProgressLine {
    fn drop(&mut self) {
        if self.last.is_some() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
