//! Writing: headers, images and tables into a buffer that grows.

use super::super::guard;
use super::{Buffer, ascii, c_text, lock, words};
use crate::error::{Error, Result};
use fitsio::images::{ImageDescription, ImageType};
use fitsio::tables::{ColumnDataType, ColumnDescription};
use fitsio::{FileOpenMode, FitsFile, sys};
use std::borrow::Cow;
use std::ffi::c_int;
use std::ptr::null_mut;
use std::sync::MutexGuard;

/// A column of a table to write.
pub enum Values<'a> {
    Numbers(Cow<'a, [f64]>),
    /// Numbers that are written in single precision.
    Singles(Cow<'a, [f64]>),
    Integers(Vec<i32>),
    Texts(Vec<String>),
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
        let mut buffer = Box::new(Buffer { start: null_mut(), length: 0 });
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
        let mut writer = Writer { file: Some(file), buffer, _lock: lock };
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
            data_type: if f32 { ImageType::Float } else { ImageType::Double },
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
        _ => Err(Error::failed(format!("cannot build the FITS output: {}", words(status)))),
    }
}

fn refused(error: fitsio::errors::Error) -> Error {
    Error::failed(format!("cannot build the FITS output: {error}"))
}
