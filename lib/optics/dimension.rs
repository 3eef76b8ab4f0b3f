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

/// A quantity in SI.
macro_rules! dimension {
    ($(#[doc = $unit:literal] $name:ident),*) => {$(
        #[doc = $unit]
        #[derive(Clone, Copy)]
        pub(super) struct $name(pub f64);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> std::result::Result<Self, D::Error> {
                quantity(d, Quantity::$name).map($name)
            }
        }
    )*};
}

dimension!(
    /// Metres.
    Length,
    /// Radians.
    Angle,
    /// Hertz.
    Frequency
);
