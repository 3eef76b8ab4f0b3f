//! Lengths, angles and frequencies in a TOML file: strings with a unit, SI once read.

use crate::units::Quantity;
use serde::de::{self, Deserialize, Deserializer, Visitor};
use std::fmt;

/// A quantity in SI from a string with a unit. A bare number is refused by the same message as on
/// the command line.
fn quantity<'de, D: Deserializer<'de>>(d: D, kind: Quantity) -> std::result::Result<f64, D::Error> {
    struct WithUnit(Quantity);
    impl WithUnit {
        fn parse<E: de::Error>(self, text: &str) -> std::result::Result<f64, E> {
            self.0.parse(text).map_err(E::custom)
        }
    }
    impl Visitor<'_> for WithUnit {
        type Value = f64;

        fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
            write!(f, "a string with a number and a unit")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> std::result::Result<f64, E> {
            self.parse(text)
        }

        fn visit_f64<E: de::Error>(self, number: f64) -> std::result::Result<f64, E> {
            self.parse(&number.to_string())
        }

        fn visit_i64<E: de::Error>(self, number: i64) -> std::result::Result<f64, E> {
            self.parse(&number.to_string())
        }
    }
    d.deserialize_any(WithUnit(kind))
}

/// Metres.
#[derive(Clone, Copy)]
pub(super) struct Length(pub f64);

/// Radians.
#[derive(Clone, Copy)]
pub(super) struct Angle(pub f64);

/// Hertz.
#[derive(Clone, Copy)]
pub(super) struct Frequency(pub f64);

impl<'de> Deserialize<'de> for Length {
    fn deserialize<D: Deserializer<'de>>(d: D) -> std::result::Result<Self, D::Error> {
        quantity(d, Quantity::Length).map(Length)
    }
}

impl<'de> Deserialize<'de> for Angle {
    fn deserialize<D: Deserializer<'de>>(d: D) -> std::result::Result<Self, D::Error> {
        quantity(d, Quantity::Angle).map(Angle)
    }
}

impl<'de> Deserialize<'de> for Frequency {
    fn deserialize<D: Deserializer<'de>>(d: D) -> std::result::Result<Self, D::Error> {
        quantity(d, Quantity::Frequency).map(Frequency)
    }
}
