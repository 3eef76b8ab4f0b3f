//! A fit's Zernike coefficients as a table in another convention, and back.
//!
//! GBT: `k,n,l,surface_um,sigma_um`, micrometres of surface (half path) in Schwab's order. pyoof:
//! `i,n,l,k_waves,sigma_waves`. A reader takes the first and the fourth column by name and leaves the
//! others; lines that begin with `#` are comments.

use super::json::check_finite;
use crate::error::{Error, Result};
use crate::fit::result::FitResult;
use crate::optics::convention::Convention;
use crate::optics::model::mode_of;
use crate::optics::zernike::Mode;

/// The names of the columns.
fn columns(convention: Convention) -> [&'static str; 5] {
    match convention {
        Convention::Gbt => ["k", "n", "l", "surface_um", "sigma_um"],
        Convention::Pyoof => ["i", "n", "l", "k_waves", "sigma_waves"],
    }
}

/// No index of a polynomial that anybody fits is higher.
const HIGHEST: usize = 10_000;

/// The coefficients of a result, in the order of `convention`; a sigma that there is not is left empty.
///
/// # Errors
/// A number that is not finite, by its key.
pub fn write_zernikes(result: &FitResult, convention: Convention) -> Result<Vec<u8>> {
    check_finite(result)?;
    let of = |p: &crate::fit::result::ParameterSummary| {
        let mode = mode_of(&p.name)?;
        let unit = convention.of_radian(mode, result.wavelength_m);
        Some((convention.index(mode), mode, p.value * unit, p.sigma.map(|s| s * unit.abs())))
    };
    let mut rows: Vec<_> = result.parameters.iter().filter_map(of).collect();
    rows.sort_unstable_by_key(|row| row.0);
    let mut text = columns(convention).join(",") + "\n";
    for (index, Mode { n, l }, value, sigma) in rows {
        let sigma = sigma.map_or(String::new(), |s| s.to_string());
        // -0 would look like an error of the sign.
        text += &format!("{index},{n},{l},{},{sigma}\n", value + 0.0);
    }
    Ok(text.into_bytes())
}

/// The coefficients in a table, as names and radians at `wavelength` metres; `None` where the first line
/// has the columns of neither convention.
///
/// # Errors
/// Rows that are no index and number, by their number from 1.
pub fn read_zernikes(
    bytes: &[u8],
    place: &str,
    wavelength: f64,
) -> Result<Option<Vec<(String, f64)>>> {
    let mut reader =
        ::csv::ReaderBuilder::new().trim(::csv::Trim::All).comment(Some(b'#')).from_reader(bytes);
    let Ok(header) = reader.headers().cloned() else { return Ok(None) };
    let column = |name: &str| header.iter().position(|h| h == name);
    let found = [Convention::Gbt, Convention::Pyoof].into_iter().find_map(|convention| {
        let [index, .., value, _] = columns(convention);
        Some((convention, column(index)?, column(value)?))
    });
    let Some((convention, index, value)) = found else { return Ok(None) };
    let mut all = Vec::new();
    for (i, row) in reader.records().enumerate() {
        let wrong = |what: &str| Error::input(format!("{place}, row {}", i + 1), what);
        let row = row.map_err(|_| wrong("has another number of columns than the first line"))?;
        let index = row.get(index).and_then(|text| text.parse().ok()).filter(|i| *i <= HIGHEST);
        let mode = index.and_then(|index| convention.mode(index));
        let mode =
            mode.ok_or_else(|| wrong("the index is no whole number that a polynomial has"))?;
        let value: Option<f64> = row.get(value).and_then(|text| text.parse().ok());
        let value = value.filter(|v| v.is_finite());
        let value = value.ok_or_else(|| wrong("the coefficient is no finite number"))?;
        all.push((format!("z{}", mode.index()), value / convention.of_radian(mode, wavelength)));
    }
    Ok(Some(all))
}

#[cfg(test)]
mod tests {
    use super::super::tests;
    use super::*;
    use std::f64::consts::{PI, TAU};

    #[test]
    fn tables_are_written_in_their_order_and_unit() {
        let mut result = tests::result();
        result.wavelength_m = 4.0 * PI * 1e-3;
        let mut coma = result.parameters[0].clone();
        (coma.name, coma.n, coma.l, coma.value, coma.sigma) =
            ("z5".into(), Some(2), Some(2), 0.25, None);
        result.parameters.push(coma);
        let text = |c| String::from_utf8(write_zernikes(&result, c).unwrap()).unwrap();
        let gbt = text(Convention::Gbt);
        let rows: Vec<&str> = gbt.lines().collect();
        assert_eq!(rows[0], "k,n,l,surface_um,sigma_um");
        assert!(rows[1].starts_with("4,2,2,25") && rows[1].ends_with(','), "{gbt}");
        assert!(rows[2].starts_with("6,2,-2,-333.3"), "{gbt}");
        let pyoof = text(Convention::Pyoof);
        assert!(pyoof.contains(&format!("\n3,2,-2,{},", 1.0 / 3.0 * (1.0 / TAU))), "{pyoof}");
    }

    #[test]
    fn tables_come_back_to_a_few_rounding_errors() {
        let result = tests::result();
        for convention in [Convention::Gbt, Convention::Pyoof] {
            let bytes = write_zernikes(&result, convention).unwrap();
            let back = read_zernikes(&bytes, "x", result.wavelength_m).unwrap().unwrap();
            assert_eq!(back.len(), 1);
            assert_eq!(back[0].0, "z3");
            assert!((back[0].1 - 1.0 / 3.0).abs() < 4.0 * f64::EPSILON, "{}", back[0].1);
        }
        // A surface is the same at any wavelength, so the phase goes as its inverse.
        let bytes = write_zernikes(&result, Convention::Gbt).unwrap();
        let back = read_zernikes(&bytes, "x", 0.5 * result.wavelength_m).unwrap().unwrap();
        assert!((back[0].1 - 2.0 / 3.0).abs() < 4.0 * f64::EPSILON);
    }

    #[test]
    fn other_tables_are_left_to_others_and_wrong_rows_are_named() {
        assert_eq!(read_zernikes(b"name,value\nz3,1\n", "x", 1.0).unwrap(), None);
        for row in ["0,1", "1.5,1", "3,x", "3,inf", "99999999,1", "3"] {
            let text = format!("k,surface_um\n{row}\n");
            let message = read_zernikes(text.as_bytes(), "a.csv", 1.0).unwrap_err().to_string();
            assert!(message.starts_with("a.csv, row 1: "), "{message}");
        }
    }
}
