//! Where output goes: a file that appears whole or not at all, or standard output.

use super::trouble;
use crate::error::{Error, Result};
use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// What is to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// May go to a terminal.
    Text,
    /// Must not.
    Binary,
}

/// Refuses results that would replace what they come from.
///
/// # Errors
/// A usage error that names the file.
pub fn spare<'a>(
    inputs: impl IntoIterator<Item = &'a Path>,
    outputs: impl Iterator<Item = &'a Path> + Clone,
) -> Result<()> {
    let is_stream = |path: &Path| path.as_os_str() == "-";
    let is_one_file = |a: &Path, b: &Path| match (a.canonicalize(), b.canonicalize()) {
        (Ok(a), Ok(b)) => a == b && a.is_file(),
        _ => false,
    };
    for input in inputs.into_iter().filter(|input| !is_stream(input)) {
        if outputs.clone().any(|output| !is_stream(output) && is_one_file(input, output)) {
            return Err(Error::usage(format!(
                "{}: given for an input and for a result, which would replace it",
                input.display()
            )));
        }
    }
    Ok(())
}

/// A place for output that was found to be good before the work began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    Stdout,
    /// A regular file, which need not exist yet. It is replaced only where `replace` is set.
    File {
        path: PathBuf,
        replace: bool,
    },
    /// Something that exists and is no regular file: a device or a fifo. It is written as it is.
    Special(PathBuf),
}

impl Destination {
    /// Checks `path` (`-` is standard output) before the work begins.
    ///
    /// # Errors
    /// A usage error where binary output would go to a terminal, or where a file exists and `force`
    /// is not set; [`Error::Open`] where the folder does not exist or cannot be written to;
    /// [`Error::Input`] for a folder.
    pub fn prepare(path: &Path, content: Content, force: bool) -> Result<Self> {
        if path.as_os_str() == "-" {
            if content == Content::Binary && io::stdout().is_terminal() {
                return Err(Error::usage(
                    "refusing to write binary data to a terminal; give a file with -o, or pipe it on",
                ));
            }
            return Ok(Destination::Stdout);
        }
        let place = path.display();
        let open = |e: io::Error| Error::open(place.to_string(), trouble::plain(e));
        let about = fs::metadata(path);
        let path = match fs::symlink_metadata(path) {
            // A link to a pipe, as of standard output, leads nowhere that has a name.
            Ok(link) if link.is_symlink() && about.as_ref().is_ok_and(|about| !about.is_file()) => {
                path.to_path_buf()
            }
            // A link stays a link: what it points to is replaced.
            Ok(link) if link.is_symlink() => fs::canonicalize(path).map_err(open)?,
            _ => path.to_path_buf(),
        };
        match about {
            Ok(about) if about.is_dir() => {
                return Err(Error::input(place, "is a folder, expected a file's name"));
            }
            Ok(about) if !about.is_file() => return Ok(Destination::Special(path)),
            Ok(_) if !force => {
                return Err(Error::usage(format!(
                    "{place}: exists already; give --force to replace it"
                )));
            }
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(open(e)),
        }
        if path.file_name().is_none() {
            return Err(Error::input(place, "expected a file's name"));
        }
        // The only sure way to know that a file can be made there is to make one.
        temporary(&path).map_err(|e| {
            let why = trouble::plain(e);
            let folder = folder_of(&path).display().to_string();
            let what = io::Error::new(why.kind(), format!("cannot write in {folder}: {why}"));
            Error::open(place, what)
        })?;
        Ok(Destination::File { path, replace: force })
    }

    /// The destination's name for messages.
    pub fn name(&self) -> String {
        match self {
            Destination::Stdout => "standard output".into(),
            Destination::File { path, .. } | Destination::Special(path) => {
                path.display().to_string()
            }
        }
    }

    /// Writes all of it, and makes sure that it got there.
    ///
    /// # Errors
    /// [`Error::ClosedPipe`] where the reader has gone, [`Error::Transfer`] where the disk is full or
    /// the write breaks off otherwise, a usage error where a file has come to be in the meantime.
    pub fn write(&self, bytes: &[u8]) -> Result<()> {
        let broken = |e: io::Error| Error::transfer(self.name(), trouble::plain(e));
        match self {
            Destination::Stdout => {
                // Past the standard library's line buffer, which searches the data for line ends.
                io::stdout().flush().map_err(broken)?;
                let stdout = io::stdout().as_fd().try_clone_to_owned().map_err(broken)?;
                write_fully(&mut File::from(stdout), bytes).map_err(broken)
            }
            Destination::Special(path) => {
                let open = |e| Error::open(self.name(), trouble::plain(e));
                let mut file = OpenOptions::new().write(true).open(path).map_err(open)?;
                write_fully(&mut file, bytes).map_err(broken)
            }
            Destination::File { path, replace } => {
                let mut file = temporary(path).map_err(broken)?;
                if let (true, Ok(about)) = (*replace, fs::metadata(path)) {
                    file.as_file().set_permissions(about.permissions()).map_err(broken)?;
                }
                write_fully(file.as_file_mut(), bytes).map_err(broken)?;
                file.as_file().sync_all().map_err(broken)?;
                let kept = match replace {
                    true => file.persist(path),
                    false => file.persist_noclobber(path),
                };
                match kept {
                    Ok(_) => Ok(()),
                    Err(e) if e.error.kind() == io::ErrorKind::AlreadyExists => {
                        Err(Error::usage(format!(
                            "{}: has come to exist in the meantime; give --force to replace it",
                            self.name()
                        )))
                    }
                    Err(e) => Err(broken(e.error)),
                }
            }
        }
    }
}

fn write_fully(to: &mut File, bytes: &[u8]) -> io::Result<()> {
    to.write_all(bytes)?;
    to.flush()
}

/// The folder that a file is, or will be, in.
fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// A new file beside `path`, as readable for others as the user's umask allows; it goes away unless
/// it is kept.
fn temporary(path: &Path) -> io::Result<NamedTempFile> {
    tempfile::Builder::new()
        .prefix(".oof-")
        .permissions(fs::Permissions::from_mode(0o666))
        .tempfile_in(folder_of(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(folder: &Path) -> usize {
        fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn a_file_appears_whole_and_is_replaced_only_by_force() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let there = Destination::prepare(&path, Content::Binary, false).unwrap();
        assert_eq!(files(folder.path()), 0, "the check left something behind");
        there.write(b"one").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"one");
        let error = Destination::prepare(&path, Content::Binary, false).unwrap_err();
        assert!(error.to_string().contains("--force"), "{error}");
        assert_eq!(error.exit_status(), 2);
        assert!(there.write(b"two").unwrap_err().to_string().contains("--force"));
        assert_eq!(fs::read(&path).unwrap(), b"one");
        let forced = Destination::prepare(&path, Content::Binary, true).unwrap();
        forced.write(b"three").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"three");
        assert_eq!(files(folder.path()), 1);
    }

    #[test]
    fn a_new_file_has_the_permissions_that_the_umask_leaves() {
        let folder = tempfile::tempdir().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let plain = folder.path().join("plain");
        fs::write(&plain, "").unwrap();
        let path = folder.path().join("out");
        let there = Destination::prepare(&path, Content::Text, false).unwrap();
        there.write(b"x").unwrap();
        assert_eq!(mode(&path), mode(&plain));
    }

    #[test]
    fn a_place_that_cannot_be_written_is_found_before_the_work() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("no/out");
        let error = Destination::prepare(&missing, Content::Text, true).unwrap_err();
        assert!(matches!(error, Error::Open { .. }), "{error:?}");
        assert!(error.to_string().contains("no such file or directory"));
        assert_eq!(error.exit_status(), 2);
        let error = Destination::prepare(folder.path(), Content::Text, true).unwrap_err();
        assert!(error.to_string().contains("is a folder"), "{error}");
        assert!(Destination::prepare(Path::new(""), Content::Text, true).is_err());
    }

    #[test]
    fn a_link_stays_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, "old").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert!(Destination::prepare(&link, Content::Text, false).is_err());
        let there = Destination::prepare(&link, Content::Text, true).unwrap();
        there.write(b"new").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&file).unwrap(), b"new");
    }

    #[test]
    fn devices_are_written_as_they_are_and_a_full_one_is_noticed() {
        let null = Destination::prepare(Path::new("/dev/null"), Content::Binary, false).unwrap();
        assert_eq!(null, Destination::Special("/dev/null".into()));
        null.write(b"x").unwrap();
        let full = Destination::prepare(Path::new("/dev/full"), Content::Binary, false).unwrap();
        let error = full.write(b"x").unwrap_err();
        assert!(matches!(error, Error::Transfer { .. }), "{error:?}");
        assert_eq!(error.to_string(), "/dev/full: no space left on device");
        assert_eq!(error.exit_status(), 1);
    }

    #[test]
    fn a_reader_that_has_gone_is_no_trouble() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fifo");
        let name = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
        // SAFETY: the name is terminated.
        assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
        let fifo = Destination::prepare(&path, Content::Binary, false).unwrap();
        let reader = std::thread::spawn(move || drop(File::open(path)));
        // More than a pipe holds, so that the write is still going on when the reader goes.
        let error = fifo.write(&vec![0; 1 << 20]).unwrap_err();
        assert!(matches!(error, Error::ClosedPipe), "{error:?}");
        reader.join().unwrap();
    }
}
