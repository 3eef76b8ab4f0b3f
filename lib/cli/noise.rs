//! Noise on the command line: `additive=0.005,multiplicative=0.01,outliers=0.001`, or `none`.

use crate::error::{Error, Result};
use crate::optics::beam_map::Noise;
use crate::units::Quantity;

/// Reads the noise; what is not named is 0.
///
/// # Errors
/// Unknown kinds, kinds named twice, and fractions that are none.
pub fn parse(text: &str) -> Result<Noise> {
    let mut noise = Noise::default();
    if text == "none" {
        return Ok(noise);
    }
    let mut seen = Vec::new();
    for part in text.split(',') {
        let wrong = |why: &str| {
            Error::usage(format!(
                "'{part}' {why}; expected none, or a list such as additive=0.005,multiplicative=0.01,outliers=0.001"
            ))
        };
        let (kind, value) = part.split_once('=').ok_or_else(|| wrong("has no '='"))?;
        let place = match kind.trim() {
            "additive" => &mut noise.additive,
            "multiplicative" => &mut noise.multiplicative,
            "outliers" => &mut noise.outliers,
            _ => return Err(wrong("is no kind of noise")),
        };
        if seen.contains(&kind.trim()) {
            return Err(wrong("is there twice"));
        }
        seen.push(kind.trim());
        *place = Quantity::Number.parse(value)?;
        if !(0.0..=1.0).contains(place) {
            return Err(wrong("is no fraction"));
        }
    }
    Ok(noise)
}

/// The same as text.
pub fn show(noise: &Noise) -> String {
    format!(
        "additive={},multiplicative={},outliers={}",
        noise.additive, noise.multiplicative, noise.outliers
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_read_and_shown() {
        let noise = parse("additive=0.005,outliers=0.001").unwrap();
        assert_eq!((noise.additive, noise.multiplicative, noise.outliers), (0.005, 0.0, 0.001));
        assert_eq!(parse(&show(&noise)).unwrap(), noise);
        assert_eq!(parse("none").unwrap(), Noise::default());
        for text in [
            "",
            "0.1",
            "gaussian=1",
            "additive=-1",
            "additive=1.5",
            "outliers=2",
            "additive=1,additive=2",
            "additive=nan",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
