//! Signals that ask a program to stop.

use crate::error::{Error, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::flag;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// From when it is made on, `SIGINT`, `SIGTERM` and `SIGHUP` are remembered; a second one ends the program
/// where it stands. Before, they end it at once, as it is while input is awaited.
pub struct Stop(Arc<AtomicUsize>);

impl Stop {
    /// Begins to listen.
    pub fn listen() -> Result<Self> {
        let (seen, again) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        // A file that grows beyond a limit is an error of its write.
        flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)))
            .map_err(|e| Error::failed(format!("cannot listen for signals: {e}")))?;
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            // The first registered runs first: it finds `again` set only by an earlier signal.
            flag::register_conditional_shutdown(signal, 128 + signal, again.clone())
                .and_then(|_| flag::register(signal, again.clone()))
                .and_then(|_| flag::register_usize(signal, seen.clone(), signal as usize))
                .map_err(|e| Error::failed(format!("cannot listen for signals: {e}")))?;
        }
        Ok(Stop(seen))
    }

    /// An error once a signal has come.
    pub fn check(&self) -> Result<()> {
        match self.0.load(Ordering::Relaxed) {
            0 => Ok(()),
            signal => Err(Error::Signal(signal as i32)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_remembered() {
        let stop = Stop::listen().unwrap();
        assert!(stop.check().is_ok());
        signal_hook::low_level::raise(SIGTERM).unwrap();
        assert_eq!(stop.check().unwrap_err().exit_status(), 143);
    }
}
