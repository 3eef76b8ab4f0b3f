//! The wall around CFITSIO: it works on bytes in memory only, one file at a time, and every status
//! is looked at.
//!
//! CFITSIO never opens a file: a name is an expression to it (`x.fits[1]`, `http://...`, a missing
//! `x.fits` answered by `x.fits.gz`), and a full disk goes unnoticed. Its memory driver is not safe
//! among threads (heasarc/cfitsio issue 100), so one lock holds all of it: a thread that has a
//! `Reader` or a `Writer` must not open a second one. A `FitsFile`'s `Drop`
//! hides the status of closing, so files are closed here by hand.

use super::guard::{self, Unit};
use super::header::{Content, printable};
use crate::error::{Error, Result};
use fitsio::images::{ImageDescription, ImageType};
use fitsio::tables::{ColumnDataType, ColumnDescription};
use fitsio::{FileOpenMode, FitsFile, sys};
use std::ffi::{CString, c_char, c_int, c_void};
use std::marker::PhantomData;
use std::ptr::null_mut;
use std::sync::{Mutex, MutexGuard, PoisonError};

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn lock() -> MutexGuard<'static, ()> {
    // A panic elsewhere leaves nothing of CFITSIO's behind: each file has its own state.
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

/// CFITSIO's statuses that mean "there is no such key" and "the key has no value".
const NO_SUCH_KEY: c_int = 202;
const NO_VALUE: c_int = 204;

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

/// A FITS file in memory, opened for reading after its headers were checked.
pub struct Reader<'a> {
    file: *mut sys::fitsfile,
    units: Vec<Unit>,
    place: String,
    /// What CFITSIO's pointers point to; never moved while the file is open.
    _buffer: Box<Buffer>,
    _bytes: PhantomData<&'a [u8]>,
    _lock: MutexGuard<'static, ()>,
}

impl<'a> Reader<'a> {
    /// Checks every header of `bytes`, then opens it. `place` is the file's name for messages.
    pub fn open(bytes: &'a [u8], place: &str) -> Result<Self> {
        let (units, length) = guard::scan(bytes, place)?;
        let lock = lock();
        let mut buffer = Box::new(Buffer {
            start: bytes.as_ptr().cast_mut().cast(),
            length,
        });
        let (mut file, mut status) = (null_mut(), 0);
        // SAFETY: the buffer outlives the file, and its address stays (boxed). Mode 0 is read-only
        // and there is no function to reallocate with, so CFITSIO neither writes to `bytes` nor
        // frees them. The name is a plain word, so that no expression is parsed from it.
        unsafe {
            sys::ffomem(
                &mut file,
                c"maps".as_ptr(),
                0,
                &mut buffer.start,
                &mut buffer.length,
                0,
                None,
                &mut status,
            );
        }
        if status != 0 || file.is_null() {
            return Err(Error::input(
                place,
                format!("no FITS file: {}", words(status)),
            ));
        }
        Ok(Reader {
            file,
            units,
            place: place.to_string(),
            _buffer: buffer,
            _bytes: PhantomData,
            _lock: lock,
        })
    }

    /// The header-data units, the primary one first.
    pub fn units(&self) -> Vec<Unit> {
        self.units.clone()
    }

    /// The file, and the HDU, for messages.
    pub fn place(&self, unit: usize) -> String {
        match self.units.get(unit) {
            Some(unit) => unit.place(&self.place),
            None => self.place.clone(),
        }
    }

    /// Makes a unit the current one.
    fn go_to(&mut self, unit: usize) -> Result<()> {
        let (mut status, mut start) = (0, 0);
        // SAFETY: the file is open, and null pointers are allowed for what is not wanted.
        unsafe {
            sys::ffmahd(self.file, unit as c_int + 1, null_mut(), &mut status);
            sys::ffghadll(self.file, &mut start, null_mut(), null_mut(), &mut status);
        }
        self.check(status, unit, "the header cannot be read")?;
        if self.units.get(unit).map(|u| u.start as i64) != Some(start) {
            return Err(Error::input(
                self.place(unit),
                "the headers before it are ambiguous",
            ));
        }
        Ok(())
    }

    fn check(&self, status: c_int, unit: usize, what: &str) -> Result<()> {
        match status {
            0 => Ok(()),
            _ => Err(Error::input(
                self.place(unit),
                format!("{what}: {}", words(status)),
            )),
        }
    }

    /// A number from a unit's header; `None` where the key is not there.
    pub fn number(&mut self, unit: usize, key: &str) -> Result<Option<f64>> {
        self.go_to(unit)?;
        let (name, mut value, mut status) = (c_text(key), 0.0, 0);
        // SAFETY: the file is open; the name is terminated; no comment is asked for.
        unsafe {
            sys::ffgkyd(
                self.file,
                name.as_ptr(),
                &mut value,
                null_mut(),
                &mut status,
            )
        };
        if matches!(status, NO_SUCH_KEY | NO_VALUE) {
            clear_messages();
            return Ok(None);
        }
        self.check(status, unit, &format!("{key} is not a number"))?;
        if !value.is_finite() {
            return Err(Error::input(
                self.place(unit),
                format!("{key} is {value}, expected a finite number"),
            ));
        }
        Ok(Some(value))
    }

    /// A text from a unit's header, without blanks at its end; `None` where the key is not there or
    /// is empty.
    pub fn text(&mut self, unit: usize, key: &str) -> Result<Option<String>> {
        self.go_to(unit)?;
        let (name, mut value, mut status) = (c_text(key), null_mut(), 0);
        // SAFETY: the file is open. ffgkls allocates the string, which is copied and freed once.
        let text = unsafe {
            sys::ffgkls(
                self.file,
                name.as_ptr(),
                &mut value,
                null_mut(),
                &mut status,
            );
            let text = match status == 0 && !value.is_null() {
                true => std::ffi::CStr::from_ptr(value)
                    .to_string_lossy()
                    .into_owned(),
                false => String::new(),
            };
            if !value.is_null() {
                sys::fffree(value.cast(), &mut 0);
            }
            text
        };
        if matches!(status, NO_SUCH_KEY | NO_VALUE) {
            clear_messages();
            return Ok(None);
        }
        self.check(status, unit, &format!("{key} is not a text"))?;
        Ok(Some(text.trim_end().to_string()).filter(|t| !t.is_empty()))
    }

    /// The pixels of a unit's image, `NAXIS1` fastest, scaled; blanks are NaN.
    pub fn image(&mut self, unit: usize) -> Result<Vec<f64>> {
        let content = self.units.get(unit).map(|u| u.content.clone());
        let Some(Content::Image { axes, floating }) = content else {
            return Err(Error::input(self.place(unit), "expected an image"));
        };
        self.go_to(unit)?;
        // The guard has found the product to fit in memory, with at least a byte a pixel.
        let mut pixels = blank(axes.iter().product(), &self.place(unit))?;
        let mut status = 0;
        // SAFETY: the array has as many elements as are asked for.
        unsafe {
            sys::ffgpvd(
                self.file,
                1,
                1,
                pixels.len() as sys::LONGLONG,
                null_value(floating),
                pixels.as_mut_ptr(),
                &mut 0,
                &mut status,
            );
        }
        self.check(status, unit, "the pixels cannot be read")?;
        Ok(pixels)
    }

    /// The number of the column called one of `names` (in capitals; case does not matter).
    pub fn find_column(&self, unit: usize, names: &[&str]) -> Option<usize> {
        match &self.units.get(unit)?.content {
            Content::Table { columns, .. } => names.iter().find_map(|name| {
                let same = |c: &super::header::Column| c.name.trim().eq_ignore_ascii_case(name);
                columns.iter().position(same)
            }),
            _ => None,
        }
    }

    /// The values of a column of numbers, one a row; blanks are NaN.
    pub fn column(&mut self, unit: usize, column: usize) -> Result<Vec<f64>> {
        let (rows, found) = self.column_of(unit, column)?;
        if found.repeat != 1 || !"BIJKED".contains(found.letter) {
            return Err(Error::input(
                self.place(unit),
                format!(
                    "column {} has the format {}{}, expected one number a row",
                    printable(&found.name),
                    found.repeat,
                    found.letter
                ),
            ));
        }
        self.go_to(unit)?;
        let mut values = blank(rows, &self.place(unit))?;
        let mut status = 0;
        if rows > 0 {
            // SAFETY: one number a row, as many as the array has elements.
            unsafe {
                sys::ffgcvd(
                    self.file,
                    column as c_int + 1,
                    1,
                    1,
                    rows as sys::LONGLONG,
                    null_value("ED".contains(found.letter)),
                    values.as_mut_ptr(),
                    &mut 0,
                    &mut status,
                );
            }
        }
        self.check(status, unit, "a column cannot be read")?;
        Ok(values)
    }

    /// The values of a column of texts, one a row.
    pub fn text_column(&mut self, unit: usize, column: usize) -> Result<Vec<String>> {
        let (rows, found) = self.column_of(unit, column)?;
        if found.letter != 'A' {
            let what = format!("column {} holds no text", printable(&found.name));
            return Err(Error::input(self.place(unit), what));
        }
        self.go_to(unit)?;
        let mut values = Vec::new();
        let mut cell = vec![0u8; found.repeat.saturating_add(1)];
        for row in 0..rows {
            cell.fill(0);
            let (mut at, mut status) = (cell.as_mut_ptr().cast::<c_char>(), 0);
            // SAFETY: a cell is `repeat` characters and a terminating zero, which is its length.
            unsafe {
                sys::ffgcvs(
                    self.file,
                    column as c_int + 1,
                    row as sys::LONGLONG + 1,
                    1,
                    1,
                    null_mut(),
                    &mut at,
                    &mut 0,
                    &mut status,
                );
            }
            self.check(status, unit, "a column cannot be read")?;
            let text: Vec<u8> = cell.iter().copied().take_while(|&b| b != 0).collect();
            values.push(String::from_utf8_lossy(&text).trim_end().to_string());
        }
        Ok(values)
    }

    fn column_of(&self, unit: usize, column: usize) -> Result<(usize, super::header::Column)> {
        match self.units.get(unit).map(|u| &u.content) {
            Some(Content::Table { rows, columns }) if column < columns.len() => {
                Ok((*rows, columns[column].clone()))
            }
            _ => Err(Error::input(self.place(unit), "expected a table")),
        }
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        // SAFETY: opened once, closed once. Nothing was written, so nothing can be lost.
        unsafe { sys::ffclos(self.file, &mut 0) };
    }
}

/// What CFITSIO is to put in the place of blanks; 0 means that it shall not look for any.
///
/// Without looking, it reads a blank integer (`BLANK`, `TNULL`) as the number that stands for it. When
/// it looks among floating-point numbers, it takes infinity for a blank as well as NaN.
fn null_value(floating: bool) -> f64 {
    if floating { 0.0 } else { f64::NAN }
}

/// As many NaN; an error, not an abort, where there is no memory for them.
fn blank(length: usize, place: &str) -> Result<Vec<f64>> {
    let mut values = Vec::new();
    if values.try_reserve_exact(length).is_err() {
        return Err(Error::failed(format!(
            "{place}: no memory for {length} values"
        )));
    }
    values.resize(length, f64::NAN);
    Ok(values)
}

/// A column of a table to write.
pub enum Values<'a> {
    Numbers(&'a [f64]),
    Singles(&'a [f64]),
    Integers(&'a [i32]),
    Texts(&'a [String]),
}

impl Values<'_> {
    fn len(&self) -> usize {
        match self {
            Values::Numbers(v) | Values::Singles(v) => v.len(),
            Values::Integers(v) => v.len(),
            Values::Texts(v) => v.len(),
        }
    }
}

/// A FITS file being built in memory.
pub struct Writer {
    /// `None` only after it was closed.
    file: Option<FitsFile>,
    /// Declared after the file, so freed after it is closed.
    buffer: Box<Buffer>,
    _lock: MutexGuard<'static, ()>,
}

/// By how many bytes CFITSIO enlarges the buffer.
const GROWTH: usize = 1 << 22;

impl Writer {
    /// An empty file with a primary header that has no data. It becomes the current unit.
    pub fn new() -> Result<Self> {
        let lock = lock();
        let mut buffer = Box::new(Buffer {
            start: null_mut(),
            length: 0,
        });
        let (mut file, mut status) = (null_mut(), 0);
        // SAFETY: the buffer's address stays (boxed) and it outlives the file; its bytes belong to
        // malloc's family, which `libc::realloc` and `libc::free` are of.
        unsafe {
            sys::ffimem(
                &mut file,
                &mut buffer.start,
                &mut buffer.length,
                GROWTH,
                Some(libc::realloc),
                &mut status,
            );
        }
        check_write(status)?;
        // SAFETY: CFITSIO has just made this file.
        let file = unsafe { FitsFile::from_raw(file, FileOpenMode::READWRITE) }.map_err(refused)?;
        let mut writer = Writer {
            file: Some(file),
            buffer,
            _lock: lock,
        };
        // SAFETY: no axes are announced, so none are read from the null pointer.
        writer.call(|file, status| unsafe { sys::ffcrim(file, 8, 0, null_mut(), status) })?;
        Ok(writer)
    }

    /// Adds an image, rows of `NAXIS1 = axes[0]` pixels, and makes it the current unit.
    pub fn image(&mut self, name: &str, axes: [usize; 2], pixels: &[f64], f32: bool) -> Result<()> {
        if axes[0].checked_mul(axes[1]) != Some(pixels.len()) || pixels.is_empty() {
            let message = format!("image {name}: {axes:?} pixels, but {}", pixels.len());
            return Err(Error::failed(message));
        }
        let description = ImageDescription {
            data_type: if f32 {
                ImageType::Float
            } else {
                ImageType::Double
            },
            dimensions: &[axes[1], axes[0]],
        };
        let file = self.file()?;
        let hdu = file.create_image(name, &description).map_err(refused)?;
        match f32 {
            true => {
                let pixels: Vec<f32> = pixels.iter().map(|&p| p as f32).collect();
                hdu.write_image(file, &pixels).map_err(refused)
            }
            false => hdu.write_image(file, pixels).map_err(refused),
        }
    }

    /// Adds a table of `(name, unit, values)`, and makes it the current unit.
    pub fn table(&mut self, name: &str, columns: &[(&str, &str, Values)]) -> Result<()> {
        let rows = columns.first().map_or(0, |c| c.2.len());
        if let Some(odd) = columns.iter().find(|c| c.2.len() != rows) {
            let found = odd.2.len();
            let message = format!("table {name}: {rows} rows, but {} has {found}", odd.0);
            return Err(Error::failed(message));
        }
        let descriptions: fitsio::errors::Result<Vec<_>> = columns
            .iter()
            .map(|(name, _, values)| {
                let mut column = ColumnDescription::new(*name);
                match values {
                    Values::Numbers(_) => column.with_type(ColumnDataType::Double),
                    Values::Singles(_) => column.with_type(ColumnDataType::Float),
                    Values::Integers(_) => column.with_type(ColumnDataType::Int),
                    Values::Texts(texts) => {
                        let longest = texts.iter().map(|t| ascii(t).len()).max();
                        let column = column.with_type(ColumnDataType::String);
                        column.that_repeats(longest.unwrap_or(0).max(1))
                    }
                }
                .create()
            })
            .collect();
        let file = self.file()?;
        let hdu = file.create_table(name, &descriptions.map_err(refused)?);
        let hdu = hdu.map_err(refused)?;
        for (name, _, values) in columns.iter().filter(|c| c.2.len() > 0) {
            match values {
                Values::Numbers(values) => hdu.write_col(file, *name, values),
                Values::Singles(values) => {
                    let values: Vec<f32> = values.iter().map(|&v| v as f32).collect();
                    hdu.write_col(file, *name, &values)
                }
                Values::Integers(values) => hdu.write_col(file, *name, values),
                Values::Texts(texts) => {
                    let texts: Vec<String> = texts.iter().map(|t| ascii(t)).collect();
                    hdu.write_col(file, *name, &texts)
                }
            }
            .map_err(refused)?;
        }
        for (i, column) in columns.iter().enumerate().filter(|c| !c.1.1.is_empty()) {
            self.text(&format!("TUNIT{}", i + 1), column.1, "")?;
        }
        Ok(())
    }

    /// Puts a number into the current header, with the 17 digits that give the same bits back.
    pub fn number(&mut self, key: &str, value: f64, comment: &str) -> Result<()> {
        if !value.is_finite() {
            let message = format!("{key} is {value}; a FITS header holds finite numbers only");
            return Err(Error::failed(message));
        }
        let (key, comment) = (c_text(key), c_text(&ascii(comment)));
        // SAFETY: both texts are terminated. A negative number of digits asks for the %G format.
        self.call(|file, status| unsafe {
            sys::ffpkyd(file, key.as_ptr(), value, -17, comment.as_ptr(), status)
        })
    }

    /// Puts an integer into the current header.
    pub fn integer(&mut self, key: &str, value: i64, comment: &str) -> Result<()> {
        let (key, comment) = (c_text(key), c_text(&ascii(comment)));
        // SAFETY: both texts are terminated.
        self.call(|file, status| unsafe {
            sys::ffpkyj(file, key.as_ptr(), value, comment.as_ptr(), status)
        })
    }

    /// Puts a text of any length into the current header; what is not ASCII is escaped.
    pub fn text(&mut self, key: &str, value: &str, comment: &str) -> Result<()> {
        let value = ascii(value);
        let long = value.len() + value.matches('\'').count() > 68;
        let (key, value, comment) = (c_text(key), c_text(&value), c_text(&ascii(comment)));
        self.call(|file, status| {
            // SAFETY: all texts are terminated. ffplsw announces the convention for long ones, once.
            unsafe {
                if long {
                    sys::ffplsw(file, status);
                }
                sys::ffpkls(file, key.as_ptr(), value.as_ptr(), comment.as_ptr(), status)
            }
        })
    }

    /// Adds a COMMENT card, or several.
    pub fn comment(&mut self, text: &str) -> Result<()> {
        let text = c_text(&ascii(text));
        // SAFETY: the text is terminated.
        self.call(|file, status| unsafe { sys::ffpcom(file, text.as_ptr(), status) })
    }

    /// Adds a HISTORY card, or several.
    pub fn history(&mut self, text: &str) -> Result<()> {
        let text = c_text(&ascii(text));
        // SAFETY: the text is terminated.
        self.call(|file, status| unsafe { sys::ffphis(file, text.as_ptr(), status) })
    }

    /// Closes the file and hands over its bytes, after reading its headers once more.
    pub fn finish(mut self) -> Result<Vec<u8>> {
        let mut status = 0;
        if let Some(mut file) = self.file.take() {
            // SAFETY: the raw file is closed here and nowhere else, for its owner is forgotten.
            unsafe {
                let raw = file.as_raw();
                std::mem::forget(file);
                sys::ffclos(raw, &mut status);
            }
        }
        check_write(status)?;
        if self.buffer.start.is_null() {
            return Err(Error::failed("the FITS output is empty"));
        }
        // SAFETY: CFITSIO is done with the buffer, and has set its length.
        let bytes =
            unsafe { std::slice::from_raw_parts(self.buffer.start.cast(), self.buffer.length) };
        // CFITSIO's length is the buffer's, which is longer than the file.
        let (_, length) = guard::scan(bytes, "the FITS output")?;
        Ok(bytes[..length].to_vec())
    }

    fn file(&mut self) -> Result<&mut FitsFile> {
        let closed = || Error::failed("the FITS output is closed");
        self.file.as_mut().ok_or_else(closed)
    }

    fn call(&mut self, f: impl FnOnce(*mut sys::fitsfile, &mut c_int) -> c_int) -> Result<()> {
        let mut status = 0;
        // SAFETY: the pointer is used during the call only, while the file is open.
        let raw = unsafe { self.file()?.as_raw() };
        f(raw, &mut status);
        check_write(status)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.file = None; // closes it, where `finish` was not reached
        // SAFETY: the bytes are malloc's (or null), and CFITSIO is done with them.
        unsafe { libc::free(self.buffer.start) };
    }
}

fn check_write(status: c_int) -> Result<()> {
    match status {
        0 => Ok(()),
        _ => Err(Error::failed(format!(
            "cannot build the FITS output: {}",
            words(status)
        ))),
    }
}

fn refused(error: fitsio::errors::Error) -> Error {
    Error::failed(format!("cannot build the FITS output: {error}"))
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
            ("NAME", "", Values::Texts(&names)),
            ("VALUE", "rad", Values::Numbers(&[0.1, f64::NAN])),
            ("N", "", Values::Integers(&[-1, 7])),
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
        let expected = Content::Image {
            axes: vec![3, 2],
            floating: true,
        };
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
