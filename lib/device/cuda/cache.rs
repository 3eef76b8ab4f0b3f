//! Compiled programs from run to run: a folder of PTX files in the user's cache.
//!
//! A file is found by a hash of its key and begins with the whole key, so that neither two keys of one
//! hash nor an older format can hand out the wrong kernels. Files appear whole or not at all. A cache
//! that cannot be used costs time, never a run.

use std::io::Write;
use std::path::{Path, PathBuf};

/// Between key and content, and after it.
const MARK: &str = "\n// end of key\n";
const END: &str = "\n// end of file\n";

/// The folder: `$XDG_CACHE_HOME/oof`, else `~/.cache/oof`.
pub fn folder() -> Option<PathBuf> {
    let absolute = |name: &str| {
        let path = std::env::var_os(name).map(PathBuf::from);
        path.filter(|path| path.is_absolute())
    };
    let base = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
    Some(base.join("oof"))
}

/// The content for `key`: from `folder`, else made and kept there.
///
/// # Errors
/// What `make` returns.
pub fn get<E>(
    folder: Option<&Path>,
    key: &str,
    make: impl FnOnce() -> Result<String, E>,
) -> Result<String, E> {
    let path = folder.map(|folder| folder.join(format!("{:016x}.ptx", hash(key))));
    if let Some(content) = path.as_deref().and_then(|path| read(path, key)) {
        return Ok(content);
    }
    let content = make()?;
    if let Some(path) = path {
        // A full disk or a read-only home is no reason to stop.
        let _ = write(&path, key, &content);
    }
    Ok(content)
}

fn read(path: &Path, key: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let content = text.strip_prefix(key)?.strip_prefix(MARK)?.strip_suffix(END)?;
    Some(content.to_string())
}

fn write(path: &Path, key: &str, content: &str) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    for part in [key, MARK, content, END] {
        file.write_all(part.as_bytes())?;
    }
    file.persist(path)?;
    Ok(())
}

/// FNV-1a, 64 bits.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    #[test]
    fn what_was_made_once_is_found_again_and_only_under_its_own_key() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("deep/er");
        let made = std::cell::Cell::new(0);
        let ask = |key: &str| {
            let make = || -> Result<_, Infallible> {
                made.set(made.get() + 1);
                Ok(format!("ptx of {key}"))
            };
            get(Some(&folder), key, make).unwrap()
        };
        assert_eq!((ask("a"), ask("a"), made.get()), ("ptx of a".into(), "ptx of a".into(), 1));
        assert_eq!((ask("b").as_str(), made.get()), ("ptx of b", 2));
        // A file under the right name with another key, as a collision would leave it, and half a file.
        let path = folder.join(format!("{:016x}.ptx", hash("a")));
        for text in [format!("c{MARK}ptx of c{END}"), format!("a{MARK}ptx o")] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(ask("a"), "ptx of a");
        }
        assert_eq!(made.get(), 4);
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 2);
    }

    #[test]
    fn a_cache_that_cannot_be_written_is_no_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let make = || -> Result<_, Infallible> { Ok("ptx".into()) };
        assert_eq!(get(Some(file.path()), "a", make).unwrap(), "ptx");
        assert_eq!(get(None, "a", make).unwrap(), "ptx");
    }
}
