//! The CSV file: a row a measurement, appended at once, so that a job that ends early has lost little.

use super::row::{HEADER, Row};
use super::table::Key;
use crate::error::{Error, Result};
use crate::io::sink::{Content, Destination};
use crate::io::source;
use crate::io::trouble::plain;
use serde::Serialize;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// The file: the rows that it has, and where others go.
#[derive(Debug)]
pub struct Sheet {
    rows: Vec<Row>,
    path: PathBuf,
    /// Bytes that the file has, as far as we know.
    length: u64,
    /// Nothing for standard output.
    file: Option<File>,
    /// Rows that are not written yet: what cannot be written anew, such as a pipe, gets the rows of a case
    /// when they are judged.
    held: usize,
}

impl Sheet {
    /// Reads `path`; `-`, and a file that is not there or empty, has no rows.
    ///
    /// # Errors
    /// A file with other columns, or with a row that is not whole.
    pub fn read(path: &Path) -> Result<Self> {
        let mut sheet =
            Sheet { rows: Vec::new(), path: path.to_path_buf(), length: 0, file: None, held: 0 };
        let there = std::fs::metadata(path).is_ok_and(|about| about.is_file() && about.len() > 0);
        if !there {
            return Ok(sheet);
        }
        let (bytes, place) = (source::read(path)?, source::name(path));
        if !bytes.starts_with(HEADER.as_bytes()) {
            let what = "its first line is not that of this oof-bench; give another file";
            return Err(Error::input(place, what));
        }
        if !bytes.ends_with(b"\n") {
            let what = "its last row is not whole: remove it, then --resume";
            return Err(Error::input(place, what));
        }
        let records = csv::Reader::from_reader(&bytes[..]).into_records();
        for (i, record) in records.enumerate() {
            // By place: the names are known to be right.
            let row = record.and_then(|record| record.deserialize(None));
            let row = row.map_err(|e| Error::input(format!("{place}, row {}", i + 1), e))?;
            sheet.rows.push(row);
        }
        sheet.length = bytes.len() as u64;
        Ok(sheet)
    }

    /// Opens the file to append to, and begins it with the header where it is new.
    pub fn begin(&mut self) -> Result<()> {
        let place = source::name(&self.path);
        if self.path.as_os_str() == "-" {
            return self.write(HEADER.as_bytes());
        }
        let file = OpenOptions::new().append(true).create(true).open(&self.path);
        let file = file.map_err(|e| match e.kind() {
            ErrorKind::IsADirectory => Error::input(&place, "is a folder, expected a file"),
            _ => Error::open(&place, plain(e)),
        })?;
        // Another's rows would be lost when the file is written anew. Where there are no locks, we trust.
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            let what = "another oof-bench is writing it; give each a file of its own";
            return Err(Error::usage(format!("{place}: {what}")));
        }
        let about = file.metadata().map_err(|e| Error::transfer(&place, plain(e)))?;
        if about.is_file() && about.len() != self.length {
            return Err(Error::usage(format!("{place}: has changed since it was read; try again")));
        }
        self.file = Some(file);
        match about.len() {
            0 => self.write(HEADER.as_bytes()),
            _ => Ok(()),
        }
    }

    /// Appends a row, at once and whole.
    pub fn append(&mut self, mut row: Row) -> Result<()> {
        let known = self.best(&row.key, row.seed).into_iter().chain(row.negative_log_likelihood);
        row.judge(known.reduce(f64::min));
        if self.is_file() {
            self.write(&table([&row], false)?)?;
        } else {
            self.held += 1;
        }
        self.rows.push(row);
        Ok(())
    }

    /// Judges all rows of a case by the best of them.
    pub fn settle(&mut self, key: &Key, seed: u64) -> Result<()> {
        let best = self.best(key, seed);
        let mut changed = false;
        for row in self.rows.iter_mut().filter(|row| row.has_case_of(key, seed)) {
            let before = row.clone();
            row.judge(best);
            changed |= *row != before;
        }
        if !self.is_file() {
            let first = self.rows.len() - std::mem::take(&mut self.held);
            return self.write(&table(&self.rows[first..], false)?);
        }
        if changed {
            let all = [HEADER.as_bytes(), &table(&self.rows, false)?].concat();
            Destination::prepare(&self.path, Content::Text, true)?.write(&all)?;
            self.length = all.len() as u64;
            self.begin()?;
        }
        Ok(())
    }

    /// Whether rows can be written anew.
    fn is_file(&self) -> bool {
        let about = self.file.as_ref().and_then(|file| file.metadata().ok());
        about.is_some_and(|about| about.is_file())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let Some(file) = &mut self.file else {
            return Destination::Stdout.write(bytes);
        };
        let broken = |e| Error::transfer(source::name(&self.path), plain(e));
        file.write_all(bytes).map_err(broken)?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Whether the measurement is there, with a solution where one is wanted. Another seed makes other maps.
    pub fn has(&self, key: &Key, seed: u64, solved: bool) -> bool {
        let is = |row: &Row| row.evaluations.is_some() || !solved;
        self.rows.iter().any(|row| row.seed == seed && row.key == *key && is(row))
    }

    /// The best likelihood that is known for the case of `key`.
    pub fn best(&self, key: &Key, seed: u64) -> Option<f64> {
        let rows = self.rows.iter().filter(|row| row.has_case_of(key, seed));
        let known = rows.flat_map(|r| [r.negative_log_likelihood, r.best_negative_log_likelihood]);
        known.flatten().reduce(f64::min)
    }
}

/// `rows` as CSV.
pub fn table<R: Serialize>(rows: impl IntoIterator<Item = R>, header: bool) -> Result<Vec<u8>> {
    let mut writer = csv::WriterBuilder::new().has_headers(header).from_writer(Vec::new());
    for row in rows {
        writer.serialize(row).map_err(Error::unbuilt)?;
    }
    writer.into_inner().map_err(Error::unbuilt)
}

#[cfg(test)]
mod tests {
    use super::super::measurement::{Measurement, Solution};
    use super::super::table::CaseKind;
    use super::*;

    fn key(repeat: usize) -> Key {
        Key {
            implementation: "oof".into(),
            backend: "cpu".into(),
            precision: "f64".into(),
            threads: 2,
            case: CaseKind::Cold,
            grid: 64,
            order: 3,
            parameters: 12,
            repeat,
        }
    }

    /// A row of a fit that came within 0.005 after a second, and ended after two.
    fn row(repeat: usize, reached: f64) -> Row {
        let found = Measurement {
            version: "1".into(),
            seconds_forward: Some(0.5),
            solution: Some(Solution {
                trace: vec![(1.0, reached + 0.005), (2.0, reached)],
                negative_log_likelihood: Some(reached),
                evaluations: Some(2),
                ..Solution::default()
            }),
            note: "suspect".into(),
            ..Measurement::default()
        };
        Row::new(&key(repeat), 7, found, "abc")
    }

    /// Time to solution and note of every row.
    fn judged(sheet: &Sheet) -> Vec<(Option<f64>, &str)> {
        sheet.rows.iter().map(|row| (row.seconds_solution, &*row.note)).collect()
    }

    #[test]
    fn rows_are_there_at_once_and_judged_anew_when_the_case_is_settled() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        let mut sheet = Sheet::read(&path).unwrap();
        sheet.begin().unwrap();
        for (repeat, reached) in [(1, 10.007), (2, 11.0), (3, 10.0)] {
            sheet.append(row(repeat, reached)).unwrap();
            assert_eq!(Sheet::read(&path).unwrap().rows, sheet.rows);
        }
        let first =
            [(Some(1.0), "suspect"), (None, "not reached; suspect"), (Some(1.0), "suspect")];
        assert_eq!(judged(&sheet), first);
        sheet.settle(&key(9), 7).unwrap();
        let settled = [(Some(2.0), "suspect"), first[1], first[2]];
        assert_eq!(judged(&sheet), settled);
        assert!(sheet.rows.iter().all(|row| row.best_negative_log_likelihood == Some(10.0)));
        // The file is the same, and still appended to.
        sheet.append(row(4, 10.001)).unwrap();
        drop(sheet);
        let sheet = Sheet::read(&path).unwrap();
        assert_eq!(judged(&sheet)[..3], settled);
        let has = |repeat, seed| sheet.has(&key(repeat), seed, true);
        assert!(has(4, 7) && !has(5, 7) && !has(2, 8));
        // One that was measured without a fit does where none is wanted.
        let mut sheet = sheet;
        sheet.rows.push(Row::new(&key(5), 7, Measurement::default(), "abc"));
        assert!(sheet.has(&key(5), 7, false) && !sheet.has(&key(5), 7, true));
        let best = |case| sheet.best(&Key { case, ..key(9) }, 7);
        assert_eq!((best(CaseKind::Cold), best(CaseKind::Paper)), (Some(10.0), None));
    }

    #[test]
    fn another_program_cannot_write_the_same_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        let mut first = Sheet::read(&path).unwrap();
        first.begin().unwrap();
        // Settling makes a new file, which is held as well.
        (1..3).for_each(|i| first.append(row(i, 10.0 - 0.007 * i as f64)).unwrap());
        first.settle(&key(1), 7).unwrap();
        let refused = Sheet::read(&path).unwrap().begin().unwrap_err().to_string();
        assert!(refused.contains("a.csv: another oof-bench"), "{refused}");
        drop(first);
        Sheet::read(&path).unwrap().begin().unwrap();
    }

    #[test]
    fn a_file_of_something_else_or_with_half_a_row_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        let said = |text: &str| {
            std::fs::write(&path, text).unwrap();
            Sheet::read(&path).map(|s| s.rows.len()).map_err(|e| e.to_string())
        };
        assert!(said("name,value\n").unwrap_err().contains("first line"));
        assert!(said(&format!("{HEADER}oof,cpu,f6")).unwrap_err().contains("not whole"));
        assert!(said(&format!("{HEADER}oof,cpu\n")).unwrap_err().contains("row 1"));
        assert_eq!(said(HEADER), Ok(0));
        assert_eq!(said(""), Ok(0));
    }

    #[test]
    fn an_extrapolated_time_needs_no_best_likelihood() {
        let found = Measurement {
            solution: Some(Solution { extrapolated: Some(900.0), ..Solution::default() }),
            ..Measurement::default()
        };
        let mut row = Row::new(&key(1), 7, found, "");
        for best in [None, Some(1.0)] {
            row.judge(best);
            assert_eq!((row.seconds_solution, row.note.as_str()), (Some(900.0), ""));
        }
    }

    #[test]
    fn the_header_names_the_columns_in_their_order() {
        let row = serde_json::to_string(&row(1, 1.0)).unwrap();
        let names = HEADER.trim_end().split(',');
        let places = names.map(|name| row.find(&format!("\"{name}\":")).expect(name));
        assert!(places.collect::<Vec<_>>().is_sorted(), "{row}");
        let columns = HEADER.split(',').count();
        assert_eq!(row.matches("\":").count(), columns + 1, "the key has a name too");
    }
}
