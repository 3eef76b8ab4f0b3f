//! Reading: values, pixels and columns out of a checked file.

use super::super::card::printable;
use super::super::guard::{self, Unit};
use super::super::header::{Column, Content};
use super::{Buffer, c_text, clear_messages, lock, words};
use crate::error::{Error, Result};
use fitsio::sys;
use std::ffi::{c_char, c_int};
use std::marker::PhantomData;
use std::ptr::null_mut;
use std::sync::MutexGuard;

/// CFITSIO's statuses that mean "there is no such key" and "the key has no value".
const NO_SUCH_KEY: c_int = 202;
const NO_VALUE: c_int = 204;

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
        let mut buffer = Box::new(Buffer { start: bytes.as_ptr().cast_mut().cast(), length });
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
            return Err(Error::input(place, format!("no FITS file: {}", words(status))));
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
            return Err(Error::input(self.place(unit), "the headers before it are ambiguous"));
        }
        Ok(())
    }

    fn check(&self, status: c_int, unit: usize, what: &str) -> Result<()> {
        match status {
            0 => Ok(()),
            _ => Err(Error::input(self.place(unit), format!("{what}: {}", words(status)))),
        }
    }

    /// A number from a unit's header; `None` where the key is not there.
    pub fn number(&mut self, unit: usize, key: &str) -> Result<Option<f64>> {
        self.go_to(unit)?;
        let (name, mut value, mut status) = (c_text(key), 0.0, 0);
        let mut card = [0; sys::FLEN_VALUE as usize];
        // SAFETY: the file is open; the name is terminated; a value has room; no comment is asked for.
        unsafe {
            sys::ffgkey(self.file, name.as_ptr(), card.as_mut_ptr(), null_mut(), &mut status);
            sys::ffgkyd(self.file, name.as_ptr(), &mut value, null_mut(), &mut status);
        }
        if matches!(status, NO_SUCH_KEY | NO_VALUE) {
            clear_messages();
            return Ok(None);
        }
        // Of these a number is made too, whatever unit they say.
        if b"'TF".contains(&(card[0] as u8)) {
            let card = card.iter().take_while(|c| **c != 0).map(|c| *c as u8 as char);
            let card = printable(card.collect::<String>().trim_matches(['\'', ' ']));
            let what = format!("{key} is not a number: '{card}'");
            return Err(Error::input(self.place(unit), what));
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
            sys::ffgkls(self.file, name.as_ptr(), &mut value, null_mut(), &mut status);
            let text = match status == 0 && !value.is_null() {
                true => std::ffi::CStr::from_ptr(value).to_string_lossy().into_owned(),
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
        self.scaling(unit, ["BSCALE".into(), "BZERO".into()])?;
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

    /// Goes to a unit whose keys of scaling are numbers; one that is none CFITSIO would leave out.
    fn scaling(&mut self, unit: usize, keys: [String; 2]) -> Result<()> {
        keys.iter().try_for_each(|key| self.number(unit, key).map(|_| ()))
    }

    /// The number of the column called one of `names` (in capitals; case does not matter).
    pub fn find_column(&self, unit: usize, names: &[&str]) -> Option<usize> {
        match &self.units.get(unit)?.content {
            Content::Table { columns, .. } => names.iter().find_map(|name| {
                let same = |c: &Column| c.name.trim().eq_ignore_ascii_case(name);
                columns.iter().position(same)
            }),
            _ => None,
        }
    }

    /// The number of the column called `name`, which has to be there.
    fn named(&self, unit: usize, name: &str) -> Result<usize> {
        let missing = || Error::input(self.place(unit), format!("there is no column {name}"));
        self.find_column(unit, &[name]).ok_or_else(missing)
    }

    /// The values of the column of numbers called `name`.
    pub fn numbers(&mut self, unit: usize, name: &str) -> Result<Vec<f64>> {
        self.column(unit, self.named(unit, name)?)
    }

    /// The values of the column of texts called `name`.
    pub fn texts(&mut self, unit: usize, name: &str) -> Result<Vec<String>> {
        self.text_column(unit, self.named(unit, name)?)
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
        self.scaling(unit, ["TSCAL", "TZERO"].map(|key| format!("{key}{}", column + 1)))?;
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

    fn column_of(&self, unit: usize, column: usize) -> Result<(usize, Column)> {
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
        return Err(Error::failed(format!("{place}: no memory for {length} values")));
    }
    values.resize(length, f64::NAN);
    Ok(values)
}
