//! The wall around CFITSIO: it works on bytes in memory only, one file at a time, and every status
//! is looked at.
//!
//! CFITSIO never opens a file: a name is an expression to it (`x.fits[1]`, `http://...`, a missing
//! `x.fits` answered by `x.fits.gz`), and a full disk goes unnoticed. Its memory driver is not safe
//! among threads (heasarc/cfitsio issue 100), so one lock holds all of it: a thread that has a
//! `Reader` or a `Writer` must not open a second one. A `FitsFile`'s `Drop`
//! hides the status of closing, so files are closed here by hand.

mod reader;
mod writer;

pub use reader::Reader;
pub use writer::{Values, Writer};

use fitsio::sys;
use std::ffi::{CString, c_char, c_int, c_void};
use std::sync::{Mutex, MutexGuard, PoisonError};

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn lock() -> MutexGuard<'static, ()> {
    // A panic elsewhere leaves nothing of CFITSIO's behind: each file has its own state.
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

/// CFITSIO's words for a status, in lower case.
fn words(status: c_int) -> String {
    let mut text = [0 as c_char; 31];
    // SAFETY: ffgerr writes at most 30 characters and a terminating zero.
    unsafe { sys::ffgerr(status, text.as_mut_ptr()) };
    clear_messages();
    let text = text.iter().take_while(|&&c| c != 0);
    let text: String = text.map(|&c| char::from(c as u8)).collect();
    format!("{} (cfitsio status {status})", text.to_lowercase())
}

/// Empties CFITSIO's stack of messages: what it says there is said better here.
fn clear_messages() {
    // SAFETY: takes nothing; the caller holds the lock, having a file open or trying to.
    unsafe { sys::ffcmsg() };
}

/// A keyword or text as CFITSIO takes it.
fn c_text(text: &str) -> CString {
    // Without zero bytes there is nothing that `CString` refuses.
    CString::new(text.replace('\0', " ")).unwrap_or_default()
}

/// A buffer whose address and length CFITSIO keeps pointers to, hence boxed by its owners.
struct Buffer {
    start: *mut c_void,
    length: usize,
}

/// Text as FITS headers hold it; what they cannot hold is written as Rust would escape it.
pub fn ascii(text: &str) -> String {
    let plain = |c: char| (' '..='~').contains(&c);
    let escape = |c: char| match plain(c) {
        true => c.to_string(),
        false => c.escape_default().to_string(),
    };
    text.chars().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::super::header::Content;
    use super::*;

    #[test]
    fn numbers_and_texts_come_back_to_the_last_bit() {
        let numbers = [1.0 / 3.0, 0.1 + 0.2, 1e-300, -1.1e-3, 90e9, 0.0, f64::MAX];
        let long = "it's 100 % 'quoted' ".repeat(12);
        let mut writer = Writer::new().unwrap();
        for (i, &x) in numbers.iter().enumerate() {
            writer.number(&format!("X{i}"), x, "a number").unwrap();
        }
        writer.text("LONG", &long, "").unwrap();
        writer.text("MICRO", "5 µm", "").unwrap();
        assert!(writer.number("BAD", f64::NAN, "").is_err());
        let bytes = writer.finish().unwrap();
        assert_eq!(bytes.len() % 2880, 0);
        let mut reader = Reader::open(&bytes, "x").unwrap();
        for (i, &x) in numbers.iter().enumerate() {
            let read = reader.number(0, &format!("X{i}")).unwrap().unwrap();
            assert_eq!(read.to_bits(), x.to_bits());
        }
        assert_eq!(reader.text(0, "LONG").unwrap().unwrap(), long.trim_end());
        assert_eq!(reader.text(0, "MICRO").unwrap().unwrap(), "5 \\u{b5}m");
        assert_eq!(reader.number(0, "NONE").unwrap(), None);
        assert_eq!(reader.text(0, "NONE").unwrap(), None);
    }

    #[test]
    fn pixels_and_columns_come_back_with_their_blanks() {
        let pixels = [1.0, f64::NAN, -3.5, 1.0 / 3.0, f64::INFINITY, 6.0];
        let mut writer = Writer::new().unwrap();
        writer.image("A", [3, 2], &pixels, false).unwrap();
        writer.image("B", [2, 3], &pixels, true).unwrap();
        let names = ["z5".to_string(), "gain[0]".to_string()];
        let columns = [
            ("NAME", "", Values::Texts(names.to_vec())),
            ("VALUE", "rad", Values::Numbers((&[0.1, f64::NAN]).into())),
            ("N", "", Values::Integers(vec![-1, 7])),
        ];
        writer.table("T", &columns).unwrap();
        assert!(writer.image("C", [2, 2], &[1.0, 2.0], false).is_err());
        let bytes = writer.finish().unwrap();
        let mut reader = Reader::open(&bytes, "x").unwrap();
        let same = |a: f64, b: f64| a == b || (a.is_nan() && b.is_nan());
        let a = reader.image(1).unwrap();
        assert!(a.iter().zip(&pixels).all(|(&a, &b)| same(a, b)), "{a:?}");
        let b = reader.image(2).unwrap();
        assert_eq!(b[3], f64::from((1.0f64 / 3.0) as f32));
        let axes = |unit: usize| reader.units()[unit].content.clone();
        let expected = Content::Image { axes: vec![3, 2], floating: true };
        assert_eq!(axes(1), expected);
        assert_eq!(reader.text_column(3, 0).unwrap(), names);
        let values = reader.column(3, 1).unwrap();
        assert!(values[0] == 0.1 && values[1].is_nan());
        assert_eq!(reader.column(3, 2).unwrap(), [-1.0, 7.0]);
        assert_eq!(reader.find_column(3, &["value"]), Some(1));
        assert!(reader.column(3, 0).is_err());
        assert!(reader.text_column(3, 1).is_err());
        assert!(reader.image(3).is_err());
    }

    #[test]
    fn blank_integers_are_blanks() {
        let mut bytes = Vec::new();
        let cards = [
            "SIMPLE  =                    T",
            "BITPIX  =                   16",
            "NAXIS   =                    2",
            "NAXIS1  =                    2",
            "NAXIS2  =                    2",
            "BSCALE  =                  0.5",
            "BZERO   =                 10.0",
            "BLANK   =                    7",
            "END",
        ];
        for card in cards {
            bytes.extend(format!("{card:<80}").bytes());
        }
        bytes.resize(2880, b' ');
        for value in [1i16, 7, -3, 0] {
            bytes.extend(value.to_be_bytes());
        }
        bytes.resize(5760, 0);
        let pixels = Reader::open(&bytes, "x").unwrap().image(0).unwrap();
        let scale = bytes.windows(6).position(|key| key == b"BSCALE").unwrap();
        bytes[scale + 29] = b'x';
        let message = Reader::open(&bytes, "x").unwrap().image(0).unwrap_err().to_string();
        assert!(message.contains("BSCALE is not a number"), "{message}");
        assert!(pixels[1].is_nan(), "{pixels:?}");
        assert_eq!([pixels[0], pixels[2], pixels[3]], [10.5, 8.5, 10.0]);
    }

    #[test]
    fn an_unfinished_file_is_thrown_away() {
        let mut writer = Writer::new().unwrap();
        writer.image("A", [1, 1], &[1.0], false).unwrap();
        drop(writer);
        assert!(Writer::new().unwrap().finish().is_ok());
    }
}
