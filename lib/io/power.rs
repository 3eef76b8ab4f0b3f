//! The check that every map's samples pass, whatever file they came from.

use crate::error::{Error, Result};

/// Refuses samples that no fit can use.
///
/// # Errors
/// An infinite sample (named, counted from 0 along `row` samples a row), no sample at all, only
/// blanks, or only zeros and blanks.
pub fn check(power: &[f64], row: usize, place: &str) -> Result<()> {
    if let Some(i) = power.iter().position(|p| p.is_infinite()) {
        let row = row.max(1);
        let what = format!(
            "sample {i} (column {}, row {}, from 0) is {}; write blanks as NaN",
            i % row,
            i / row,
            power[i]
        );
        return Err(Error::input(place, what));
    }
    let what = if power.is_empty() {
        "the map has no samples"
    } else if power.iter().all(|p| p.is_nan()) {
        "the map is all blank"
    } else if power.iter().all(|p| p.is_nan() || *p == 0.0) {
        "the map is all zero"
    } else {
        return Ok(());
    };
    Err(Error::input(place, what))
}

/// Refuses samples that single precision cannot hold.
pub fn check_single(power: &[f64], place: &str) -> Result<()> {
    match power.iter().find(|p| p.abs() > f64::from(f32::MAX)) {
        Some(p) => Err(Error::failed(format!(
            "{place}: power {p} is too large for single precision; write f64"
        ))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_that_say_nothing_are_refused() {
        let message = |power: &[f64]| check(power, 2, "x").unwrap_err().to_string();
        assert_eq!(
            message(&[1.0, 2.0, 3.0, f64::NEG_INFINITY]),
            "x: sample 3 (column 1, row 1, from 0) is -inf; write blanks as NaN"
        );
        assert_eq!(message(&[]), "x: the map has no samples");
        assert_eq!(message(&[f64::NAN]), "x: the map is all blank");
        assert_eq!(message(&[0.0, f64::NAN]), "x: the map is all zero");
        assert!(check(&[0.0, f64::NAN, -1e-3], 2, "x").is_ok());
    }
}
