//! Corrections for the actuators of an active surface: positions in, the same table with the
//! corrections out.
//!
//! The table is CSV with the columns `x` and `y`, metres on the dish, and any others, which are kept. It
//! gets three more: `correction_um`, minus the surface error (see [`crate::fit::surface`]), half path in
//! micrometres; `sigma_um`, its standard deviation, empty where there are no errors; and `clipped`, 1
//! where the correction was held at the limit.

use crate::error::{Error, Result};
use crate::fit::surface::Surface;

/// Actuators farther out than this, in dish radii, are no part of the dish: polynomials grow fast there.
const REACH: f64 = 1.05;

/// The columns of what comes out.
const RESULTS: [&str; 3] = ["correction_um", "sigma_um", "clipped"];

/// A table of corrections.
#[derive(Debug, Clone, PartialEq)]
pub struct Corrections {
    pub csv: Vec<u8>,
    pub actuators: usize,
    pub clipped: usize,
}

/// Positions that were read and found to be on the dish.
#[derive(Debug, Clone)]
pub struct Actuators {
    header: ::csv::StringRecord,
    rows: Vec<::csv::StringRecord>,
    /// Metres.
    points: Vec<(f64, f64)>,
}

impl Actuators {
    /// The table in `bytes`, of actuators on a dish of `radius` metres.
    ///
    /// # Errors
    /// A table without the columns, or without rows; positions that are no numbers or off the dish, by
    /// their row from 1.
    pub fn read(bytes: &[u8], place: &str, radius: f64) -> Result<Actuators> {
        let mut reader = ::csv::ReaderBuilder::new()
            .trim(::csv::Trim::All)
            .comment(Some(b'#'))
            .from_reader(bytes);
        let header = reader.headers().cloned().unwrap_or_default();
        let column = |name: &str| {
            let mut places = header.iter().enumerate().filter(|(_, h)| *h == name).map(|(i, _)| i);
            let at = places.next();
            if places.next().is_some() {
                return Err(Error::input(place, format!("has two columns {name}")));
            }
            at.ok_or_else(|| {
                let what = format!("has no column {name}; expected CSV whose first line names x and y, metres on the dish");
                Error::input(place, what)
            })
        };
        let (x, y) = (column("x")?, column("y")?);
        if let Some(own) = RESULTS.iter().find(|own| header.iter().any(|h| h == **own)) {
            let what = format!("has a column {own}, which is a result; take it out");
            return Err(Error::input(place, what));
        }
        let (mut rows, mut points) = (Vec::new(), Vec::new());
        for (i, row) in reader.records().enumerate() {
            let wrong = |what: String| Error::input(format!("{place}, row {}", i + 1), what);
            let row =
                row.map_err(|_| wrong("is no text, or has another number of columns".into()))?;
            let number = |at: usize| row.get(at).and_then(|t| t.parse::<f64>().ok());
            let (Some(a), Some(b)) = (number(x), number(y)) else {
                return Err(wrong("x and y are not both numbers".into()));
            };
            let r = a.hypot(b);
            if r.is_nan() || r > REACH * radius {
                let what = format!(
                    "the position lies {r} m from the middle of the dish, whose radius is {radius} m; expected metres"
                );
                return Err(wrong(what));
            }
            points.push((a, b));
            rows.push(row);
        }
        match rows.is_empty() {
            true => Err(Error::input(place, "has no actuators")),
            false => Ok(Actuators { header, rows, points }),
        }
    }

    /// The corrections of `surface`, none larger than `clip` metres.
    pub fn correct(&self, surface: &Surface, clip: Option<f64>) -> Result<Corrections> {
        let (errors, sigmas) = surface.at(&self.points);
        let mut writer = ::csv::Writer::from_writer(Vec::new());
        let mut write = |row: &::csv::StringRecord, more: [&str; 3]| {
            writer.write_record(row.iter().chain(more)).map_err(Error::unbuilt)
        };
        write(&self.header, RESULTS)?;
        let limit = clip.unwrap_or(f64::INFINITY);
        let mut clipped = 0;
        for (i, (row, error)) in self.rows.iter().zip(&errors).enumerate() {
            let over = error.abs() > limit;
            clipped += usize::from(over);
            // -0 would look like an error of the sign.
            let correction = (1e6 * (-error).clamp(-limit, limit) + 0.0).to_string();
            let sigma = sigmas.get(i).map_or(String::new(), |s| (1e6 * s).to_string());
            write(row, [&correction, &sigma, if over { "1" } else { "0" }])?;
        }
        let csv = writer.into_inner().map_err(Error::unbuilt)?;
        Ok(Corrections { csv, actuators: self.rows.len(), clipped })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;
    use std::f64::consts::PI;

    /// 100 um of `2 x y` and 50 um of coma along x, on a dish of 10 m.
    fn surface() -> Surface {
        let mut coefficients = vec![0.0; 10];
        (coefficients[3], coefficients[8]) = (0.1, 0.05);
        let mut covariance = Array2::zeros((10, 10));
        covariance[(3, 3)] = 1e-4;
        Surface {
            radius: 10.0,
            wavelength: 4.0 * PI * 1e-3,
            order: 3,
            means: vec![0.0; 10],
            coefficients,
            covariance: Some(covariance),
        }
    }

    fn correct(text: &str, clip: Option<f64>) -> (Vec<Vec<String>>, Corrections) {
        let actuators = Actuators::read(text.as_bytes(), "a.csv", 10.0).unwrap();
        let corrections = actuators.correct(&surface(), clip).unwrap();
        let csv = String::from_utf8(corrections.csv.clone()).unwrap();
        let rows = csv.lines().map(|line| line.split(',').map(String::from).collect());
        (rows.collect(), corrections)
    }

    #[test]
    fn a_correction_is_minus_the_error_and_other_columns_stay() {
        let (rows, all) = correct("id,y,x\nA1, 6.0, 6\nB,-6,6\n", None);
        assert_eq!(rows[0].join(","), "id,y,x,correction_um,sigma_um,clipped");
        // 2 x y = 0.72; (3 r^2 - 2) x = 0.096 with r^2 = 0.72, x = 0.6.
        let known = [-72.0 - 4.8, 72.0 - 4.8];
        for (row, known) in rows[1..].iter().zip(known) {
            let number = |i: usize| row[i].parse::<f64>().unwrap();
            assert!((number(3) - known).abs() < 1e-9, "{row:?}");
            assert!((number(4) - 7.2).abs() < 1e-9, "{row:?}");
        }
        assert_eq!((rows[1][0].as_str(), rows[1][5].as_str()), ("A1", "0"));
        assert_eq!((all.actuators, all.clipped), (2, 0));
    }

    #[test]
    fn corrections_are_held_at_the_limit_and_said_to_be() {
        let (rows, all) = correct("x,y\n6,6\n6,-6\n0,0\n", Some(70e-6));
        assert_eq!((rows[1][2].as_str(), rows[1][4].as_str()), ("-70", "1"));
        assert_eq!((rows[2][4].as_str(), rows[3][4].as_str()), ("0", "0"));
        assert_eq!(all.clipped, 1);
    }

    #[test]
    fn what_is_no_table_of_positions_on_the_dish_is_refused() {
        for (text, said) in [
            ("", "no column x"),
            ("x,z\n1,2\n", "no column y"),
            ("x,y\n", "no actuators"),
            ("x,y\n1,2\n1\n", "row 2"),
            ("x,y\n1,b\n", "row 1"),
            ("x,y\n6000,0\n", "6000 m from the middle"),
            ("x,y\nnan,0\n", "row 1"),
        ] {
            let message = Actuators::read(text.as_bytes(), "a.csv", 10.0).unwrap_err().to_string();
            assert!(message.starts_with("a.csv") && message.contains(said), "{text:?}: {message}");
        }
    }
}
