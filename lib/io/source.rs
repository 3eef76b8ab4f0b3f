//! Where input comes from: a file or standard input, read whole, under a limit.

use super::trouble;
use crate::error::{Error, Result};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// More than any beam map; what is larger is a mistake, and must not fill the memory.
const LIMIT: u64 = 8 << 30;

/// A file's name for messages; `-` is standard input.
pub fn name(path: &Path) -> String {
    match path.as_os_str() == "-" {
        true => "standard input".into(),
        false => path.display().to_string(),
    }
}

/// All bytes of a file, or of standard input where `path` is `-`.
///
/// # Errors
/// [`Error::Open`] for a file that is not there or may not be read, [`Error::Input`] for a folder,
/// for no bytes at all and for more than 8 GiB, [`Error::Transfer`] where reading breaks off.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    let place = name(path);
    if path.as_os_str() == "-" {
        return read_all(io::stdin().lock(), 0, LIMIT, &place);
    }
    let open = |e| Error::open(&place, trouble::plain(e));
    let file = File::open(path).map_err(open)?;
    let about = file.metadata().map_err(open)?;
    if about.is_dir() {
        return Err(Error::input(place, "is a folder, expected a file"));
    }
    read_all(file, about.len(), LIMIT, &place)
}

/// All bytes of `from`, which are probably `expected` and must not be more than `limit`.
fn read_all(from: impl Read, expected: u64, limit: u64, place: &str) -> Result<Vec<u8>> {
    let too_large = || {
        let gib = limit >> 30;
        Err(Error::input(place, format!("larger than the limit of {gib} GiB")))
    };
    if expected > limit {
        return too_large();
    }
    let mut bytes = Vec::new();
    if bytes.try_reserve_exact(expected as usize).is_err() {
        return Err(Error::failed(format!("{place}: no memory for its {expected} bytes")));
    }
    let read = from.take(limit + 1).read_to_end(&mut bytes);
    read.map_err(|e| match e.kind() {
        io::ErrorKind::IsADirectory => Error::input(place, "is a folder, expected a file"),
        _ => Error::transfer(place, trouble::plain(e)),
    })?;
    match bytes.len() as u64 {
        0 => Err(Error::input(place, "empty")),
        n if n > limit => too_large(),
        _ => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, [1, 2, 3]).unwrap();
        assert_eq!(read(&path).unwrap(), [1, 2, 3]);
    }

    #[test]
    fn what_cannot_be_read_is_said_in_one_lower_case_line() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing");
        let error = read(&missing).unwrap_err();
        assert!(matches!(error, Error::Open { .. }));
        let expected = format!("{}: no such file or directory", missing.display());
        assert_eq!(error.to_string(), expected);
        let error = read(folder.path()).unwrap_err().to_string();
        assert!(error.ends_with("is a folder, expected a file"), "{error}");
        let empty = folder.path().join("empty");
        std::fs::write(&empty, []).unwrap();
        assert!(read(&empty).unwrap_err().to_string().ends_with(": empty"));
    }

    #[test]
    fn more_than_the_limit_is_refused() {
        assert_eq!(read_all(&[1u8; 5][..], 0, 5, "x").unwrap().len(), 5);
        let endless = io::repeat(1);
        let error = read_all(endless, 0, 5, "x").unwrap_err();
        assert!(error.to_string().contains("limit"), "{error}");
        assert!(read_all(&[1u8; 5][..], 6, 5, "x").is_err());
    }
}
