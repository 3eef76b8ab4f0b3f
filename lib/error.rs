//! What can go wrong, and the exit status that each kind of trouble ends in.
//!
//! A message is one line and says what was found, what was expected and what to do. `place` is a
//! file, with the HDU or the line where that is known.

use std::fmt::Display;
use std::io;

/// The result of everything that can fail.
pub type Result<T> = std::result::Result<T, Error>;

/// One kind of trouble, with its message.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command line, or an argument of a library call, makes no sense.
    #[error("{0}")]
    Usage(String),
    /// A file's content is not what it has to be.
    #[error("{place}: {what}")]
    Input { place: String, what: String },
    /// The work was begun and could not be finished.
    #[error("{0}")]
    Failed(String),
    /// A file could not be opened or created: the name on the command line is wrong.
    #[error("{place}: {source}")]
    Open { place: String, source: io::Error },
    /// A file could not be read or written to the end.
    #[error("{place}: {source}")]
    Transfer { place: String, source: io::Error },
    /// The reader of our output has gone. Nothing to say.
    #[error("output closed")]
    ClosedPipe,
    /// A signal asked us to stop.
    #[error("interrupted by signal {0}")]
    Signal(i32),
}

impl Error {
    /// A wrong argument.
    pub fn usage(what: impl Display) -> Self {
        Error::Usage(what.to_string())
    }

    /// Something wrong with what `place` (a file, HDU or line) holds.
    pub fn input(place: impl Display, what: impl Display) -> Self {
        Error::Input { place: place.to_string(), what: what.to_string() }
    }

    /// TOML that `place` holds and cannot be read, with the line where that is known.
    pub fn toml(place: &str, text: &str, error: &toml::de::Error) -> Self {
        let what = error.message().lines().collect::<Vec<_>>().join(", ");
        match error.span() {
            None => Error::input(place, what),
            Some(span) => {
                let before = text.bytes().take(span.start);
                let line = before.filter(|byte| *byte == b'\n').count() + 1;
                Error::input(format!("{place}, line {line}"), what)
            }
        }
    }

    /// Work that could not be finished.
    pub fn failed(what: impl Display) -> Self {
        Error::Failed(what.to_string())
    }

    /// Output that cannot be put together.
    pub fn unbuilt(why: impl Display) -> Self {
        Error::Failed(format!("cannot build the output: {why}"))
    }

    /// A file that cannot be opened or created.
    pub fn open(place: impl Display, source: io::Error) -> Self {
        Error::Open { place: place.to_string(), source }
    }

    /// A read or a write that broke off; a closed pipe is told apart.
    pub fn transfer(place: impl Display, source: io::Error) -> Self {
        if source.kind() == io::ErrorKind::BrokenPipe {
            return Error::ClosedPipe;
        }
        Error::Transfer { place: place.to_string(), source }
    }

    /// The exit status: 0 done (a closed pipe), 1 the work failed, 2 the input or the command line
    /// is wrong, 128 + n on signal n.
    pub fn exit_status(&self) -> u8 {
        match self {
            Error::ClosedPipe => 0,
            Error::Failed(_) | Error::Transfer { .. } => 1,
            Error::Usage(_) | Error::Input { .. } | Error::Open { .. } => 2,
            Error::Signal(n) => 128u8.wrapping_add(*n as u8),
        }
    }
}
