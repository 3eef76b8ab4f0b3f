//! The CSV file: a row a measurement, appended, so that a job that ends early has lost little.

use super::measurement::Measurement;
use super::processor;
use super::table::Key;
use crate::error::{Error, Result};
use crate::io::sink::Destination;
use crate::io::source;
use crate::io::trouble::plain;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// The first line.
pub const HEADER: &str = "implementation,backend,precision,threads,case,grid,order,parameters,repeat,seconds_forward,seconds_gradient,seconds_solution,evaluations,evaluations_coarse,negative_log_likelihood,best_negative_log_likelihood,peak_rss_bytes,note,seed,machine,version,commit\n";

/// A measurement with all that it is a measurement of. What was not measured is empty.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    key: Key,
    seconds_forward: Option<f64>,
    seconds_gradient: Option<f64>,
    seconds_solution: Option<f64>,
    evaluations: Option<u64>,
    evaluations_coarse: Option<u64>,
    negative_log_likelihood: Option<f64>,
    /// Of all implementations on the same case.
    best_negative_log_likelihood: Option<f64>,
    peak_rss_bytes: Option<u64>,
    note: String,
    seed: u64,
    machine: String,
    version: String,
    commit: String,
}

impl Row {
    /// A row, judged by the `best` likelihood.
    pub fn new(key: &Key, seed: u64, found: Measurement, best: Option<f64>) -> Self {
        let solution = found.solution.as_ref();
        let seconds = solution.and_then(|s| s.seconds_to(best.unwrap_or(f64::NEG_INFINITY)));
        let missed = (solution.is_some() && seconds.is_none()).then_some("not reached");
        let notes = missed.into_iter().chain([&*found.note]);
        let notes: Vec<&str> = notes.filter(|note| !note.is_empty()).collect();
        Row {
            key: key.clone(),
            note: notes.join("; "),
            seconds_forward: found.seconds_forward,
            seconds_gradient: found.seconds_gradient,
            seconds_solution: seconds,
            evaluations: solution.and_then(|s| s.evaluations),
            evaluations_coarse: solution.and_then(|s| s.evaluations_coarse),
            negative_log_likelihood: solution.and_then(|s| s.reached()),
            best_negative_log_likelihood: best,
            peak_rss_bytes: found.peak_rss_bytes,
            seed,
            machine: processor::name(),
            version: found.version,
            // Given when the program is built.
            commit: option_env!("OOF_COMMIT").unwrap_or_default().into(),
        }
    }
}

/// The file: the rows that it had, and where others go.
#[derive(Debug)]
pub struct Sheet {
    rows: Vec<Row>,
    path: PathBuf,
    /// Nothing for standard output.
    file: Option<File>,
}

impl Sheet {
    /// Reads `path`; `-`, and a file that is not there or empty, has no rows.
    ///
    /// # Errors
    /// A file with other columns, or with a row that is not whole.
    pub fn read(path: &Path) -> Result<Self> {
        let mut sheet = Sheet { rows: Vec::new(), path: path.to_path_buf(), file: None };
        let there = std::fs::metadata(path).is_ok_and(|about| about.is_file() && about.len() > 0);
        if !there {
            return Ok(sheet);
        }
        let (bytes, place) = (source::read(path)?, source::name(path));
        if !bytes.starts_with(HEADER.as_bytes()) {
            let what = "its first line is not that of oof-bench; give another file";
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
        let new = file.metadata().is_ok_and(|about| about.len() == 0);
        self.file = Some(file);
        match new {
            true => self.write(HEADER.as_bytes()),
            false => Ok(()),
        }
    }

    /// Appends a row, at once and whole.
    pub fn append(&mut self, row: &Row) -> Result<()> {
        self.write(&table([row], false)?)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let Some(file) = &mut self.file else {
            return Destination::Stdout.write(bytes);
        };
        let broken = |e| Error::transfer(source::name(&self.path), plain(e));
        file.write_all(bytes).map_err(broken)
    }

    /// Whether the measurement is there. Another seed makes other maps.
    pub fn has(&self, key: &Key, seed: u64) -> bool {
        self.rows.iter().any(|row| row.seed == seed && row.key == *key)
    }

    /// The best likelihood that is known for the case of `key`.
    pub fn best(&self, key: &Key, seed: u64) -> Option<f64> {
        let same = |row: &&Row| row.seed == seed && row.key.has_case_of(key);
        let rows = self.rows.iter().filter(same);
        let known = rows.flat_map(|r| [r.negative_log_likelihood, r.best_negative_log_likelihood]);
        known.flatten().reduce(f64::min)
    }
}

/// `rows` as CSV.
pub fn table<R: Serialize>(rows: impl IntoIterator<Item = R>, header: bool) -> Result<Vec<u8>> {
    let failed = |e: String| Error::failed(format!("cannot build the CSV output: {e}"));
    let mut writer = csv::WriterBuilder::new().has_headers(header).from_writer(Vec::new());
    for row in rows {
        writer.serialize(row).map_err(|e| failed(e.to_string()))?;
    }
    writer.into_inner().map_err(|e| failed(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::super::measurement::Solution;
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

    fn row(repeat: usize, reached: f64, best: f64) -> Row {
        let found = Measurement {
            version: "1".into(),
            seconds_forward: Some(0.5),
            solution: Some(Solution {
                trace: vec![(1.0, reached)],
                negative_log_likelihood: Some(reached),
                ..Solution::default()
            }),
            ..Measurement::default()
        };
        Row::new(&key(repeat), 7, found, Some(best))
    }

    #[test]
    fn rows_are_appended_under_one_header_and_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        let rows = [row(1, 10.0, 10.0), row(2, 11.0, 10.0)];
        for row in &rows {
            let mut sheet = Sheet::read(&path).unwrap();
            sheet.begin().unwrap();
            sheet.append(row).unwrap();
        }
        let sheet = Sheet::read(&path).unwrap();
        assert_eq!(sheet.rows, rows);
        assert!(sheet.has(&key(2), 7) && !sheet.has(&key(3), 7) && !sheet.has(&key(2), 8));
        let best = |case| sheet.best(&Key { case, ..key(9) }, 7);
        assert_eq!((best(CaseKind::Cold), best(CaseKind::Paper)), (Some(10.0), None));
        assert_eq!((rows[0].seconds_solution, rows[0].note.as_str()), (Some(1.0), ""));
        assert_eq!((rows[1].seconds_solution, rows[1].note.as_str()), (None, "not reached"));
    }

    #[test]
    fn an_extrapolated_time_needs_no_best_likelihood() {
        let found = Measurement {
            solution: Some(Solution { extrapolated: Some(900.0), ..Solution::default() }),
            ..Measurement::default()
        };
        let row = Row::new(&key(1), 7, found, None);
        assert_eq!((row.seconds_solution, row.note.as_str()), (Some(900.0), ""));
    }

    #[test]
    fn the_header_names_the_columns_in_their_order() {
        let row = serde_json::to_string(&row(1, 1.0, 1.0)).unwrap();
        let names = HEADER.trim_end().split(',');
        let places = names.map(|name| row.find(&format!("\"{name}\":")).expect(name));
        assert!(places.collect::<Vec<_>>().is_sorted(), "{row}");
        let columns = HEADER.split(',').count();
        assert_eq!(row.matches("\":").count(), columns + 1, "the key has a name too");
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
}
