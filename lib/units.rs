//! Quantities with units, as people write them: `1.1mm`, `86GHz`, `-35 mm`, `0.3rad`, `12arcsec`.
//!
//! A bare number where a unit is needed is refused, with the units that exist in the message. Inside
//! the program everything is SI in plain `f64`.

use crate::error::{Error, Result};

/// Speed of light in vacuum, m/s.
pub const SPEED_OF_LIGHT: f64 = 299_792_458.0;

/// An arc second, radians.
pub const ARC_SECOND: f64 = std::f64::consts::PI / 648_000.0;

/// What a number measures, with the units that people may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantity {
    /// Metres.
    Length,
    /// Hertz.
    Frequency,
    /// Radians.
    Angle,
    /// Seconds.
    Time,
    /// A plain number.
    Number,
}

impl Quantity {
    /// The accepted units, each with its size in SI.
    fn units(self) -> &'static [(&'static str, f64)] {
        const DEGREE: f64 = std::f64::consts::PI / 180.0;
        match self {
            Quantity::Length => &[
                ("nm", 1e-9),
                ("um", 1e-6),
                ("µm", 1e-6),
                ("μm", 1e-6),
                ("mm", 1e-3),
                ("cm", 1e-2),
                ("m", 1.0),
                ("km", 1e3),
            ],
            Quantity::Frequency => {
                &[("Hz", 1.0), ("kHz", 1e3), ("MHz", 1e6), ("GHz", 1e9), ("THz", 1e12)]
            }
            Quantity::Angle => &[
                ("deg", DEGREE),
                ("arcmin", DEGREE / 60.0),
                ("arcsec", ARC_SECOND),
                ("mas", DEGREE / 3.6e6),
                ("mrad", 1e-3),
                ("rad", 1.0),
            ],
            Quantity::Time => &[("ms", 1e-3), ("s", 1.0), ("min", 60.0), ("h", 3600.0)],
            Quantity::Number => &[("", 1.0)],
        }
    }

    /// What to call it, with an example.
    fn example(self) -> &'static str {
        match self {
            Quantity::Length => "a length such as 1.1mm",
            Quantity::Frequency => "a frequency such as 86GHz",
            Quantity::Angle => "an angle such as 0.3rad",
            Quantity::Time => "a time such as 10min",
            Quantity::Number => "a number such as 0.5",
        }
    }

    /// Reads `text` as this quantity, in SI.
    ///
    /// # Errors
    /// A usage error that names the text, the units that exist and an example.
    pub fn parse(self, text: &str) -> Result<f64> {
        let text = text.trim();
        let unit_at = text
            .char_indices()
            .find(|&(i, c)| c.is_alphabetic() && !is_exponent(text, i))
            .map_or(text.len(), |(i, _)| i);
        let (number, unit) = (text[..unit_at].trim(), text[unit_at..].trim());
        let wrong =
            |why: String| Error::usage(format!("'{text}' is not {}: {why}", self.example()));
        let names = || {
            let names = self.units().iter().map(|u| u.0).filter(|n| n.is_ascii());
            names.collect::<Vec<_>>().join(", ")
        };
        let infinite = || wrong("there is no finite number in it".into());
        let finite = |v: &f64| v.is_finite();
        let value: f64 = number.parse().ok().filter(finite).ok_or_else(infinite)?;
        match self.units().iter().find(|(name, _)| *name == unit) {
            Some((_, size)) => Some(value * size).filter(finite).ok_or_else(infinite),
            None if unit.is_empty() => Err(wrong(format!("add a unit, one of {}", names()))),
            None if self == Quantity::Number => {
                Err(wrong(format!("it takes no unit, and '{unit}' was found")))
            }
            None => Err(wrong(format!("unknown unit '{unit}', expected one of {}", names()))),
        }
    }

    /// The same, of what is more than 0, and by so much that what it divides stays finite.
    ///
    /// # Errors
    /// As [`parse`](Quantity::parse), and what is not.
    pub fn above_zero(self, text: &str) -> Result<f64> {
        match self.parse(text)? {
            value if value > 1e-200 => Ok(value),
            _ => Err(Error::usage(format!("'{text}' is not more than 0"))),
        }
    }

    /// The same, of what is not less than 0, which needs no unit.
    ///
    /// # Errors
    /// As [`parse`](Quantity::parse), and what is less.
    pub fn from_zero(self, text: &str) -> Result<f64> {
        match text.trim() {
            "0" => Ok(0.0),
            _ => match self.parse(text)? {
                value if value >= 0.0 => Ok(value),
                _ => Err(Error::usage(format!("'{text}' is less than 0"))),
            },
        }
    }
}

/// Whether the letter at `i` is the `e` of a number such as `1e-3`.
fn is_exponent(text: &str, i: usize) -> bool {
    let rest = text[i..].strip_prefix(['e', 'E']);
    rest.is_some_and(|rest| {
        rest.trim_start_matches(['+', '-']).starts_with(|c: char| c.is_ascii_digit())
    })
}

/// A length in metres, written as people read it: `-27 mm`, `123.4 um`.
pub fn show_length(metres: f64) -> String {
    let (size, unit) = match metres.abs() {
        0.0 => return "0 mm".into(),
        m if m < 1e-3 => (1e6, "um"),
        m if m < 1.0 => (1e3, "mm"),
        _ => (1.0, "m"),
    };
    let text = format!("{:.4}", metres * size);
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{text} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quantities_are_read_with_their_units() {
        let close = |a: f64, b: f64| assert!((a - b).abs() <= 1e-15 * b.abs(), "{a} {b}");
        close(Quantity::Length.parse("1.1mm").unwrap(), 1.1e-3);
        close(Quantity::Length.parse("-35 mm").unwrap(), -35e-3);
        close(Quantity::Length.parse("1e-3m").unwrap(), 1e-3);
        close(Quantity::Frequency.parse("86GHz").unwrap(), 86e9);
        close(Quantity::Angle.parse("180deg").unwrap(), std::f64::consts::PI);
        close(Quantity::Time.parse("10min").unwrap(), 600.0);
        close(Quantity::Number.parse("-0.5").unwrap(), -0.5);
    }

    #[test]
    fn a_bare_number_is_refused_with_the_units_that_exist() {
        let message = Quantity::Length.parse("5").unwrap_err().to_string();
        assert!(message.contains("add a unit") && message.contains("mm"), "{message}");
        let message = Quantity::Angle.parse("5mm").unwrap_err().to_string();
        assert!(message.contains("unknown unit 'mm'") && message.contains("arcsec"), "{message}");
        assert!(Quantity::Length.parse("inf m").is_err());
        assert!(Quantity::Length.parse("nanm").is_err());
        assert!(Quantity::Length.parse("1e306km").is_err());
        assert!(Quantity::Number.parse("5mm").is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC*") {
            for q in [Quantity::Length, Quantity::Frequency, Quantity::Angle, Quantity::Time, Quantity::Number] {
                prop_assert!(q.parse(&text).is_ok_and(f64::is_finite) || q.parse(&text).is_err());
            }
        }

        #[test]
        fn a_length_that_is_shown_can_be_read(mm in -999i32..999) {
            let metres = mm as f64 * 1e-3;
            let read = Quantity::Length.parse(&show_length(metres)).unwrap();
            prop_assert!((read - metres).abs() < 1e-12);
        }
    }
}
