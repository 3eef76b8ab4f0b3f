//! Zernike coefficients, and start values, from a file: CSV `name,value` as `oof-fit` writes it, a table
//! in GBT's or pyoof's order, or a fit's JSON or FITS.

use super::parameter::{OF_A_MAP, known, split, zernike};
use crate::error::{Error, Result};
use crate::io::results::{self, FitFile, FittedMap};
use crate::io::source;
use crate::optics::beam_map::BeamMap;
use serde::Deserialize;
use std::collections::HashSet;
use std::path::Path;

/// The columns that are read of a CSV file; it may have others.
#[derive(Deserialize)]
struct Row {
    name: String,
    value: f64,
    unit: Option<String>,
}

/// The coefficients in a file, radians at `wavelength` metres; other parameters are left out. Where the file
/// says its own wavelength (JSON, FITS) or has micrometres (GBT's table), they are the phase of the same
/// surface.
///
/// # Errors
/// A file without coefficients, rows that are no name and number, names that are there twice.
pub fn open(path: &Path, wavelength: f64) -> Result<Vec<(String, f64)>> {
    let mut found = read(path, wavelength)?.0;
    found.retain(|(name, _)| zernike(name).is_some());
    match found.is_empty() {
        true => Err(Error::input(source::name(path), EXPECTED)),
        false => Ok(found),
    }
}

/// Start values in a file: coefficients as [`open`] has them, and the illumination. What every map has for
/// itself is there for those of `maps` that the file is a fit of, whatever their number and order; of other
/// maps these say it better themselves.
///
/// # Errors
/// As [`open`].
pub fn start_values(path: &Path, wavelength: f64, maps: &[BeamMap]) -> Result<Vec<(String, f64)>> {
    let (all, fitted) = read(path, wavelength)?;
    let mut found = of_maps(all, &fitted, maps);
    found.retain(|(name, _)| known(name).is_ok() && !OF_A_MAP.contains(&name.as_str()));
    match found.is_empty() {
        true => Err(Error::input(source::name(path), EXPECTED)),
        false => Ok(found),
    }
}

/// The same values, those of the `fitted` maps for whichever of `maps` these are.
pub fn of_maps(all: Named, fitted: &[FittedMap], maps: &[BeamMap]) -> Named {
    let of = |(name, value): (String, f64)| match split(&name) {
        (stem, Some(i)) if OF_A_MAP.contains(&stem) => {
            let same = |k: &usize| fitted.get(i).is_some_and(|fitted| fitted.is(&maps[*k]));
            let own = (0..maps.len()).filter(same);
            own.map(|k| (format!("{stem}[{k}]"), value)).collect()
        }
        _ => vec![(name, value)],
    };
    all.into_iter().flat_map(of).collect()
}

const EXPECTED: &str = "no Zernike coefficients: expected CSV with the columns name and value and names such as z3, a table in GBT's or pyoof's order, or the JSON of oof-fit";

pub type Named = Vec<(String, f64)>;

/// The parameters of a fit, with the phase of the same surface at `wavelength` metres.
pub fn at_wavelength(fit: &FitFile, wavelength: f64) -> Named {
    let factor = |name: &str| zernike(name).map_or(1.0, |_| fit.wavelength / wavelength);
    fit.parameters.iter().map(|(name, value)| (name.clone(), factor(name) * value)).collect()
}

/// Names and values, coefficients at `wavelength` where the file tells its own; and the maps that they were
/// fitted to, where it tells them.
fn read(path: &Path, wavelength: f64) -> Result<(Named, Vec<FittedMap>)> {
    let place = source::name(path);
    let bytes = source::read(path)?;
    let start = bytes.iter().find(|b| !b.is_ascii_whitespace());
    let mut maps = Vec::new();
    let found = if start == Some(&b'{') || bytes.starts_with(b"SIMPLE") {
        let file = results::read_parameters(&bytes, &place)?;
        // A name that no model has is a mistake; one that this model has not is none.
        if let Some((name, _)) = file.parameters.iter().find(|p| known(&p.0).is_err()) {
            let what = format!("there is no parameter '{}'", name.escape_debug());
            return Err(Error::input(place, what));
        }
        let found = at_wavelength(&file, wavelength);
        maps = file.maps;
        found
    } else {
        match results::read_zernikes(&bytes, &place, wavelength)? {
            Some(found) => found,
            None => read_csv(&bytes, &place)?,
        }
    };
    let mut seen = HashSet::new();
    match found.iter().find(|parameter| !seen.insert(&parameter.0)) {
        Some((name, _)) => Err(Error::input(place, format!("{name} is there twice"))),
        None => Ok((found, maps)),
    }
}

fn read_csv(bytes: &[u8], place: &str) -> Result<Vec<(String, f64)>> {
    let mut reader =
        csv::ReaderBuilder::new().trim(csv::Trim::All).comment(Some(b'#')).from_reader(bytes);
    let mut found = Vec::new();
    for (i, row) in reader.deserialize::<Row>().enumerate() {
        let wrong = |what: String| Error::input(format!("{place}, row {}", i + 1), what);
        let row = row.map_err(|_| wrong("expected CSV with the columns name and value".into()))?;
        if !row.value.is_finite() {
            return Err(wrong(format!("the value is {}", row.value)));
        }
        match row.unit.as_deref() {
            Some(unit) if zernike(&row.name).is_some() && !["", "rad"].contains(&unit) => {
                return Err(wrong(format!(
                    "{} is in '{}', expected rad",
                    row.name,
                    unit.escape_debug()
                )));
            }
            _ => found.push((row.name, row.value)),
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_of_names_and_values_is_read() {
        let read = |text: &str| read_csv(text.as_bytes(), "x").map_err(|e| e.to_string());
        let rows =
            read("name,n,l,value,sigma,unit,free\nz3,2,-2,0.5,,rad,true\nsigma,,,0.7,,R,false\n");
        assert_eq!(rows.unwrap(), [("z3".into(), 0.5), ("sigma".into(), 0.7)]);
        assert!(read("z3,0.5\nz4,0.1\n").unwrap_err().contains("row 1"));
        assert!(read("name,value\nz3,inf\n").unwrap_err().contains("inf"));
        assert!(read("name,value\nz3,x\n").is_err());
        assert!(
            read("name,value,unit\nz3,10,deg\n").unwrap_err().contains("in 'deg', expected rad")
        );
    }
}
