//! A telescope as data: its geometry, and the settings that its observers start from.
//!
//! The telescopes that ship are the TOML files of `lib/optics/telescopes`, compiled in; users bring
//! their own as a file of the same form.

use super::aperture::ApertureGrid;
use super::beam_map::Noise;
use super::blockage::Blockage;
use super::illumination::Illumination;
use super::path::Path;
use super::telescope_file;
use crate::error::{Error, Result};

/// One telescope. Lengths in metres, angles in radians.
#[derive(Debug, Clone, PartialEq)]
pub struct Telescope {
    pub name: String,
    pub description: String,
    /// Of the dish.
    pub radius: f64,
    pub path: Path,
    pub blockage: Blockage,
    pub illumination: Illumination,
    /// In the order of `illumination.parameters()`.
    pub illumination_values: Vec<f64>,
    /// Names of the illumination's parameters that a fit leaves free unless told otherwise.
    pub free_illumination: Vec<String>,
    /// The aperture grid to simulate on unless told otherwise.
    pub aperture: ApertureGrid,
    /// To observe at unless told otherwise.
    pub wavelength: f64,
    /// Sub-reflector displacements `dz`, one a map.
    pub defocus: Vec<f64>,
    /// To simulate unless told otherwise.
    pub noise: Noise,
}

/// Name and file of every telescope that ships.
const SHIPPED: &[(&str, &str)] = &[
    ("alma", include_str!("telescopes/alma.toml")),
    ("effelsberg", include_str!("telescopes/effelsberg.toml")),
    ("gbt", include_str!("telescopes/gbt.toml")),
    ("generic", include_str!("telescopes/generic.toml")),
    ("jcmt", include_str!("telescopes/jcmt.toml")),
    ("lmt", include_str!("telescopes/lmt.toml")),
    ("nikolic2018", include_str!("telescopes/nikolic2018.toml")),
    ("srt", include_str!("telescopes/srt.toml")),
];

impl Telescope {
    /// The shipped telescope of this name.
    ///
    /// # Errors
    /// A usage error that lists the names when there is none.
    pub fn named(name: &str) -> Result<Telescope> {
        match SHIPPED.iter().find(|(known, _)| *known == name) {
            Some((name, text)) => Telescope::from_toml(text, &format!("{name}.toml")),
            None => Err(Error::usage(format!(
                "unknown telescope '{name}', expected one of {}, or a file of your own, FILE.toml",
                Telescope::names().join(", ")
            ))),
        }
    }

    /// The names of the shipped telescopes.
    pub fn names() -> Vec<&'static str> {
        SHIPPED.iter().map(|(name, _)| *name).collect()
    }

    /// Reads a telescope's TOML text; `place` is what messages call it.
    ///
    /// # Errors
    /// An input error with the line, for anything that is missing, unknown, without its unit or not
    /// possible.
    pub fn from_toml(text: &str, place: &str) -> Result<Telescope> {
        telescope_file::read(text, place)
    }

    /// The same telescope under another illumination, at that one's defaults.
    pub fn with_illumination(mut self, illumination: Illumination) -> Telescope {
        if illumination != self.illumination {
            self.illumination = illumination;
            self.illumination_values = illumination.defaults();
            let free = illumination.free_by_default().iter();
            self.free_illumination = free.map(|name| (*name).to_owned()).collect();
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::super::aperture::ApertureKind;
    use super::*;

    #[test]
    fn every_shipped_telescope_is_read_under_its_own_name() {
        for name in Telescope::names() {
            let telescope = Telescope::named(name).unwrap();
            assert_eq!(telescope.name, name);
            assert!(!telescope.description.is_empty());
            assert!(telescope.defocus.contains(&0.0), "{name} has a map in focus");
        }
    }

    #[test]
    fn the_papers_case_is_as_published() {
        let t = Telescope::named("nikolic2018").unwrap();
        assert_eq!((t.radius, t.wavelength), (2.8, 1.1e-3));
        assert_eq!(t.path, Path::PrimeFocus { focal_length: 14.4 });
        assert_eq!(t.defocus, [0.0, -0.05, 0.05]);
        assert_eq!(t.blockage, Blockage::default());
        assert_eq!(t.illumination, Illumination::Gaussian);
        assert_eq!(t.illumination_values, [1.0, 0.72, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(t.free_illumination, ["x0", "y0"]);
        assert_eq!(t.aperture.kind, ApertureKind::Hard);
        assert_eq!((t.aperture.points, t.aperture.extent), (128, 4.0));
        assert_eq!((t.noise.additive, t.noise.multiplicative), (0.024, 0.01));
    }

    #[test]
    fn an_unknown_telescope_is_answered_with_the_names() {
        let error = Telescope::named("glt").unwrap_err();
        assert_eq!(error.exit_status(), 2);
        let message = error.to_string();
        assert!(message.contains("nikolic2018") && message.contains("FILE.toml"), "{message}");
        assert!(!message.contains('\n'));
    }

    #[test]
    fn another_illumination_comes_with_its_own_defaults() {
        let gbt = Telescope::named("gbt").unwrap();
        let kept = gbt.clone().with_illumination(gbt.illumination);
        assert_eq!(kept, gbt);
        let pedestal = gbt.with_illumination(Illumination::Pedestal);
        assert_eq!(pedestal.illumination_values, Illumination::Pedestal.defaults());
        assert_eq!(pedestal.free_illumination, ["x0", "y0", "taper"]);
    }
}
