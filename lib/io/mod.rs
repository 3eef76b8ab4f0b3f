//! Files in and out: beam maps, and the results of a fit.
//!
//! | format | what it holds | where |
//! |---|---|---|
//! | FITS | maps with all that is known of them; ours, pyoof's and OOF's layouts | [`fits`] |
//! | `.npy` | a cube `(maps, v, u)` of samples and nothing else | [`npy`] |
//! | GRASP `.grd` | the far field of one map | [`grasp`] |
//! | text | one map, `u v power` a line, radians | [`text`] |
//! | CSV | positions of actuators, and their corrections | [`actuators`] |
//! | JSON, CSV, FITS | the result of a fit | [`results`] |
//!
//! Input is read whole into memory ([`source`]), its format known by its first bytes ([`Format::of`]),
//! and every header is checked before a library sees it: a damaged file is an error of one line, never
//! an abort. Output is built whole in memory and then written at once ([`sink`]), so that a file
//! appears complete or not at all. The same input gives the same bytes: no clock, no host name.

pub mod actuators;
pub mod fits;
pub mod grasp;
pub mod npy;
mod power;
pub mod raster;
pub mod results;
pub mod sink;
pub mod source;
pub mod text;
pub(crate) mod trouble;

use crate::error::{Error, Result};

/// A format of beam maps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Fits,
    Npy,
    Text,
    Grasp,
}

impl Format {
    /// The format of `bytes`, known by how they begin. `place` is the file's name.
    ///
    /// # Errors
    /// Compressed files and archives, and bytes that are no text.
    pub fn of(bytes: &[u8], place: &str) -> Result<Self> {
        let wrong = |what: &str| Err(Error::input(place, what));
        if bytes.starts_with(b"SIMPLE") {
            Ok(Format::Fits)
        } else if bytes.starts_with(npy::MAGIC) {
            Ok(Format::Npy)
        } else if bytes.starts_with(&[0x1f, 0x8b]) {
            wrong("is compressed by gzip; run gunzip on it first")
        } else if bytes.starts_with(b"PK\x03\x04") {
            wrong("is an archive (.npz or zip), expected FITS, .npy or text")
        } else if bytes.iter().take(4096).any(|&b| b == 0) {
            wrong("is neither FITS nor .npy nor text")
        } else if grasp::is_grasp(bytes) {
            Ok(Format::Grasp)
        } else {
            Ok(Format::Text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_known_by_its_first_bytes() {
        let of = |bytes: &[u8]| Format::of(bytes, "x");
        assert_eq!(of(b"SIMPLE  =   T").unwrap(), Format::Fits);
        assert_eq!(of(b"\x93NUMPY\x01\x00").unwrap(), Format::Npy);
        assert_eq!(of(b"# u v power\n0 0 1").unwrap(), Format::Text);
        assert_eq!(of(b"TICRA\n ++++\n1\n").unwrap(), Format::Grasp);
        assert!(of(b"\x1f\x8b\x08").unwrap_err().to_string().contains("gunzip"));
        assert!(of(b"PK\x03\x04").unwrap_err().to_string().contains("npz"));
        assert!(of(b"\x7fELF\x00").is_err());
    }
}
