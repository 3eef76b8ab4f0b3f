//! The check that a whole file passes before CFITSIO sees it: every header makes sense, and every
//! data unit that a header promises is there.

use super::card::{CARD, printable};
use super::header::{BLOCK, Content, Header};
use crate::error::{Error, Result};

/// One header-data unit of a checked file.
#[derive(Debug, Clone, PartialEq)]
pub struct Unit {
    /// 0 for the primary one.
    pub number: usize,
    pub name: String,
    pub content: Content,
    /// The key `DZ` is there.
    pub has_defocus: bool,
    /// Where its header begins, bytes from the start.
    pub start: usize,
}

impl Unit {
    /// The file and the HDU, for messages.
    pub fn place(&self, file: &str) -> String {
        unit_place(file, self.number, &self.name)
    }

    /// What it is, in a few words.
    pub fn describe(&self) -> String {
        match &self.content {
            Content::Empty => "no data".into(),
            Content::Image { axes, .. } => {
                let axes: Vec<String> = axes.iter().map(usize::to_string).collect();
                format!("an image of {}", axes.join(" x "))
            }
            Content::Table { columns, .. } => {
                let names: Vec<String> = columns.iter().map(|c| printable(&c.name)).collect();
                format!("a table of {}", names.join(", "))
            }
            Content::AsciiTable => "an ASCII table".into(),
        }
    }
}

fn unit_place(file: &str, number: usize, name: &str) -> String {
    match name {
        "" => format!("{file}, HDU {number}"),
        name => format!("{file}, HDU {number} ({})", printable(name)),
    }
}

/// The units of a FITS file, and the length of the file up to the end of the last, bytes.
///
/// # Errors
/// The first unit that breaks the rules, or whose data are not all there.
pub fn scan(bytes: &[u8], place: &str) -> Result<(Vec<Unit>, usize)> {
    let mut units = Vec::new();
    let mut start = 0;
    while start < bytes.len() {
        let number = units.len();
        let rest = &bytes[start..];
        if number > 0 && rest.iter().all(|&b| b == 0 || b == b' ') {
            break; // padding, as tapes had it
        }
        let here = unit_place(place, number, "");
        if number > 0 && !rest.starts_with(b"XTENSION") {
            return Err(Error::input(
                here,
                format!(
                    "{} bytes follow the last extension and begin with no XTENSION card",
                    rest.len()
                ),
            ));
        }
        if rest.len() < CARD {
            return Err(Error::input(here, "the file ends inside a header"));
        }
        let header = Header::parse(rest, number == 0, &here)?;
        let here = unit_place(place, number, &header.name);
        let data_at = padded(header.length);
        // Cannot overflow: both are lengths of what is in memory, or are compared first.
        let left = rest.len().saturating_sub(data_at);
        if rest.len() < data_at || left < header.data_length {
            return Err(Error::input(
                here,
                format!(
                    "truncated: its header promises {} bytes of data and {left} are there",
                    header.data_length
                ),
            ));
        }
        let length = data_at + padded(header.data_length);
        if rest.len() < length {
            return Err(Error::input(
                here,
                "truncated: the file ends inside the last block of 2880 bytes",
            ));
        }
        units.push(Unit {
            number,
            name: header.name,
            content: header.content,
            has_defocus: header.has_defocus,
            start,
        });
        start += length;
    }
    if units.is_empty() {
        return Err(Error::input(place, "empty, expected a FITS file"));
    }
    Ok((units, start))
}

/// Rounded up to whole blocks. The caller has compared large lengths with what is in memory.
fn padded(length: usize) -> usize {
    length.div_ceil(BLOCK).saturating_mul(BLOCK)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(cards: &[&str], data: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        for card in cards.iter().chain(&["END"]) {
            bytes.extend(format!("{card:<80}").bytes());
        }
        bytes.resize(bytes.len().div_ceil(BLOCK) * BLOCK, b' ');
        bytes.resize(bytes.len() + data.div_ceil(BLOCK) * BLOCK, 0);
        bytes
    }

    #[test]
    fn data_that_are_not_there_are_missed() {
        let mut bytes = unit(&["SIMPLE  = T", "BITPIX  = 8", "NAXIS   = 0"], 0);
        let image = [
            "XTENSION= 'IMAGE'",
            "BITPIX  = 16",
            "NAXIS   = 2",
            "NAXIS1  = 50",
            "NAXIS2  = 50",
            "PCOUNT  = 0",
            "GCOUNT  = 1",
            "EXTNAME = 'MAP0'",
        ];
        bytes.extend(unit(&image, 5000));
        let (units, length) = scan(&bytes, "a.fits").unwrap();
        assert_eq!(length, 4 * BLOCK);
        assert_eq!(units[1].describe(), "an image of 50 x 50");
        assert_eq!(units[1].start, BLOCK);
        for cut in [1, 2880, 2881, 5760, 5761] {
            let error = scan(&bytes[..bytes.len() - cut], "a.fits").unwrap_err();
            assert!(error.to_string().contains("HDU 1"), "{cut}: {error}");
        }
        let (units, length) = scan(&[&bytes[..], &[0; 5760]].concat(), "a.fits").unwrap();
        assert_eq!((units.len(), length), (2, 4 * BLOCK));
        let junk = [&bytes[..], &[7; 2880]].concat();
        assert!(scan(&junk, "a.fits").is_err());
    }
}
