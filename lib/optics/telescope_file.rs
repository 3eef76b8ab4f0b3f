//! The TOML form of a telescope. Everything with a dimension is a string with its unit.
//!
//! It is long because every key has its check and its message; a third are tests.

use super::aperture::{ApertureGrid, ApertureKind};
use super::beam_map::Noise;
use super::blockage::{Blockage, Leg};
use super::dimension::{Angle, Frequency, Length};
use super::illumination::Illumination;
use super::path::{Path, SubReflector};
use super::telescope::Telescope;
use crate::error::{Error, Result};
use crate::units::SPEED_OF_LIGHT;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Reads and checks a telescope's file.
pub(super) fn read(text: &str, place: &str) -> Result<Telescope> {
    let file: File = toml::from_str(text).map_err(|error| Error::toml(place, text, &error))?;
    file.telescope().map_err(|what| Error::input(place, what))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    description: String,
    radius: Length,
    path: PathForm,
    #[serde(default)]
    blockage: BlockageForm,
    illumination: IlluminationForm,
    observation: ObservationForm,
    aperture: ApertureForm,
    #[serde(default)]
    noise: NoiseForm,
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
enum PathForm {
    PrimeFocus {
        focal_length: Length,
    },
    TwoMirror {
        primary_focal_length: Length,
        effective_focal_length: Length,
        sub_reflector: Option<SubReflector>,
    },
    // With braces: a unit variant would let unknown keys pass.
    Gbt {},
    Zernike {
        coefficients: Vec<f64>,
        lateral_x: Option<Vec<f64>>,
        lateral_y: Option<Vec<f64>>,
        reference_radius: Length,
    },
    Radial {
        coefficients: Vec<f64>,
        lateral: Option<Vec<f64>>,
        reference_radius: Length,
    },
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct BlockageForm {
    central_radius: Option<Length>,
    #[serde(default)]
    legs: Vec<LegForm>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LegForm {
    angles: Vec<Angle>,
    half_width: Length,
    start: Option<Length>,
    end: Option<Length>,
    flare_from: Option<Length>,
    flare: Option<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IlluminationForm {
    kind: Illumination,
    free: Option<Vec<String>>,
    #[serde(default)]
    parameters: BTreeMap<String, f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ObservationForm {
    wavelength: Option<Length>,
    frequency: Option<Frequency>,
    defocus: Vec<Length>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ApertureForm {
    kind: ApertureKind,
    points: usize,
    extent: f64,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct NoiseForm {
    additive: f64,
    multiplicative: f64,
    outliers: f64,
}

type Checked<T> = std::result::Result<T, String>;

impl File {
    fn telescope(self) -> Checked<Telescope> {
        if self.name.trim().is_empty() {
            return Err("name is empty, expected what to call the telescope".into());
        }
        // It goes into FITS headers, which have room for this.
        if self.name.len() > 60 || !self.name.bytes().all(|b| (b' '..=b'~').contains(&b)) {
            return Err(format!(
                "name is {:?}, expected at most 60 plain ASCII characters",
                self.name
            ));
        }
        let radius = positive("radius", self.radius.0)?;
        let (illumination, illumination_values, free_illumination) = self.illumination.checked()?;
        let (wavelength, defocus) = self.observation.checked()?;
        let aperture = ApertureGrid {
            kind: self.aperture.kind,
            points: self.aperture.points,
            extent: self.aperture.extent,
        };
        aperture.check().map_err(|error| format!("aperture: {error}"))?;
        Ok(Telescope {
            name: self.name,
            description: self.description,
            radius,
            path: self.path.checked(radius)?,
            blockage: self.blockage.checked(radius)?,
            illumination,
            illumination_values,
            free_illumination,
            aperture,
            wavelength,
            defocus,
            noise: self.noise.checked()?,
        })
    }
}

impl PathForm {
    fn checked(self, radius: f64) -> Checked<Path> {
        Ok(match self {
            PathForm::PrimeFocus { focal_length } => {
                Path::PrimeFocus { focal_length: positive("path: focal_length", focal_length.0)? }
            }
            PathForm::TwoMirror {
                primary_focal_length: primary,
                effective_focal_length: effective,
                sub_reflector,
            } => Path::TwoMirror {
                primary_focal_length: positive("path: primary_focal_length", primary.0)?,
                effective_focal_length: positive("path: effective_focal_length", effective.0)?,
                sub_reflector,
            },
            PathForm::Gbt {} => Path::Gbt,
            PathForm::Zernike { coefficients, lateral_x, lateral_y, reference_radius } => {
                let reference_radius = positive("path: reference_radius", reference_radius.0)?;
                if reference_radius < radius {
                    return Err(format!(
                        "path: reference_radius is {reference_radius} m, where the polynomials end, but the dish's radius is {radius} m: give coefficients on a disc that holds the dish"
                    ));
                }
                let lateral = match (lateral_x, lateral_y) {
                    (None, None) => None,
                    (Some(x), Some(y)) => {
                        Some([series("lateral_x", x, 3)?, series("lateral_y", y, 3)?])
                    }
                    _ => return Err("path: lateral_x and lateral_y go together".into()),
                };
                let coefficients = series("coefficients", coefficients, 3)?;
                Path::Zernike { coefficients, lateral, reference_radius }
            }
            PathForm::Radial { coefficients, lateral, reference_radius } => Path::Radial {
                coefficients: series("coefficients", coefficients, 1)?,
                lateral: lateral.map(|c| series("lateral", c, 1)).transpose()?,
                reference_radius: positive("path: reference_radius", reference_radius.0)?,
            },
        })
    }
}

/// The coefficients of a path that is not the same all over the dish: those before the one numbered `first`
/// make piston and tilt only, by which maps in and out of focus do not differ.
fn series(name: &str, coefficients: Vec<f64>, first: usize) -> Checked<Vec<f64>> {
    if let Some((i, c)) = coefficients.iter().enumerate().find(|(_, c)| !c.is_finite()) {
        return Err(format!(
            "path: number {i} of {name}, from 0, is {c}, expected a finite number"
        ));
    }
    match coefficients.iter().skip(first).any(|c| *c != 0.0) {
        true => Ok(coefficients),
        false => Err(format!(
            "path: {name} has nothing but 0 from number {first} on, so a displacement would change no map; expected the path per unit of displacement, such as from a least-squares fit to traced rays"
        )),
    }
}

impl BlockageForm {
    fn checked(self, radius: f64) -> Checked<Blockage> {
        let central_radius = self.central_radius.map_or(0.0, |length| length.0);
        if !(0.0..radius).contains(&central_radius) {
            return Err(format!(
                "blockage: central_radius is {central_radius} m, expected 0 m to less than the \
                 dish's {radius} m"
            ));
        }
        let mut legs = Vec::new();
        for form in self.legs {
            let metres = |length: Option<Length>, missing| length.map_or(missing, |l| l.0);
            let leg = Leg {
                angle: 0.0,
                half_width: positive("blockage: half_width", form.half_width.0)?,
                start: metres(form.start, 0.0),
                end: metres(form.end, f64::INFINITY),
                flare_from: metres(form.flare_from, f64::INFINITY),
                flare: form.flare.unwrap_or(0.0),
            };
            if form.flare.is_some() != form.flare_from.is_some() {
                return Err("blockage: a leg's flare and flare_from go together".into());
            }
            if !(leg.start >= 0.0 && leg.start < leg.end) {
                return Err("blockage: a leg needs 0 <= start < end".into());
            }
            if !(leg.flare >= 0.0 && leg.flare.is_finite() && leg.flare_from >= 0.0) {
                return Err("blockage: a leg's flare and flare_from must not be negative".into());
            }
            if form.angles.is_empty() {
                return Err("blockage: a leg needs one or more angles".into());
            }
            legs.extend(form.angles.iter().map(|angle| Leg { angle: angle.0, ..leg }));
        }
        Ok(Blockage { central_radius, legs })
    }
}

impl IlluminationForm {
    fn checked(self) -> Checked<(Illumination, Vec<f64>, Vec<String>)> {
        let kind = self.kind;
        let place = |name: &str| kind.parameters().iter().position(|p| p.name == name);
        let unknown = |name: &str| {
            let names: Vec<_> = kind.parameters().iter().map(|p| p.name).collect();
            format!(
                "illumination: {} has no parameter '{name}', expected {}",
                kind.name(),
                names.join(", ")
            )
        };
        let mut values = kind.defaults();
        for (name, value) in &self.parameters {
            let i = place(name).ok_or_else(|| unknown(name))?;
            if !value.is_finite() {
                return Err(format!("illumination: {name} is {value}, expected a finite number"));
            }
            if matches!(name.as_str(), "sigma" | "amp" | "q") {
                positive(&format!("illumination: {name}"), *value)?;
            }
            values[i] = *value;
        }
        let free = self.free.unwrap_or_else(|| {
            let names = kind.free_by_default().iter();
            names.map(|name| (*name).to_owned()).collect()
        });
        match free.iter().find(|name| place(name).is_none()) {
            Some(name) => Err(unknown(name)),
            None => Ok((kind, values, free)),
        }
    }
}

impl ObservationForm {
    fn checked(self) -> Checked<(f64, Vec<f64>)> {
        let wavelength = match (self.wavelength, self.frequency) {
            (Some(wavelength), None) => positive("observation: wavelength", wavelength.0)?,
            (None, Some(f)) => SPEED_OF_LIGHT / positive("observation: frequency", f.0)?,
            _ => return Err("observation: give either wavelength or frequency".into()),
        };
        if self.defocus.is_empty() {
            return Err("observation: defocus is empty, expected one dz a map".into());
        }
        Ok((wavelength, self.defocus.iter().map(|dz| dz.0).collect()))
    }
}

impl NoiseForm {
    fn checked(self) -> Checked<Noise> {
        for (name, value) in [
            ("additive", self.additive),
            ("multiplicative", self.multiplicative),
            ("outliers", self.outliers),
        ] {
            if !(0.0..=1.0).contains(&value) {
                return Err(format!("noise: {name} is {value}, expected a fraction from 0 to 1"));
            }
        }
        Ok(Noise {
            additive: self.additive,
            multiplicative: self.multiplicative,
            outliers: self.outliers,
        })
    }
}

/// A number that has to be positive and finite.
fn positive(name: &str, value: f64) -> Checked<f64> {
    if value > 0.0 && value.is_finite() {
        return Ok(value);
    }
    Err(format!("{name} is {value}, expected a positive number"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn generic() -> &'static str {
        include_str!("telescopes/generic.toml")
    }

    /// The message for the generic telescope's file with `from` replaced by `to`.
    fn complaint(from: &str, to: &str) -> String {
        assert!(generic().contains(from), "{from}");
        let text = generic().replacen(from, to, 1);
        let error = read(&text, "mine.toml").unwrap_err();
        assert_eq!(error.exit_status(), 2);
        let message = error.to_string();
        assert!(message.starts_with("mine.toml") && !message.contains('\n'), "{message}");
        message
    }

    #[test]
    fn a_bare_number_is_refused_with_its_line_and_the_units() {
        let line = generic().lines().position(|l| l.starts_with("radius")).unwrap() + 1;
        let message = complaint("radius = \"6m\"", "radius = 6");
        assert!(message.contains(&format!("line {line}")), "{message}");
        assert!(message.contains("add a unit"), "{message}");
    }

    #[test]
    fn unknown_keys_are_errors_everywhere() {
        for (from, to) in [
            ("radius =", "raduis = \"1m\"\nradius ="),
            ("[path]", "[path]\ncolour = 1"),
            ("[illumination]", "[illumination]\ncolour = 1"),
            ("[observation]", "[observation]\ncolour = 1"),
            ("[aperture]", "[aperture]\ncolour = 1"),
            ("[path]", "[blockage]\ncolour = 1\n[path]"),
            (
                "[path]",
                "[[blockage.legs]]\nangles = [\"0deg\"]\nhalf_width = \"1m\"\ncolour = 1\n[path]",
            ),
            ("[path]", "[noise]\ncolour = 1\n[path]"),
        ] {
            let message = complaint(from, to);
            assert!(message.contains("unknown field"), "{to}: {message}");
        }
        let gbt = include_str!("telescopes/gbt.toml").replace("[path]", "[path]\ncolour = 1");
        assert!(read(&gbt, "gbt").unwrap_err().to_string().contains("unknown field"));
    }

    #[test]
    fn impossible_values_are_refused_with_what_was_expected() {
        for (from, to, expected) in [
            ("radius = \"6m\"", "radius = \"-6m\"", "radius is -6"),
            ("points = 128", "points = 1", "aperture"),
            ("extent = 4.0", "extent = nan", "aperture"),
            ("extent = 4.0", "extent = 0.5", "aperture"),
            ("sigma = 0.6", "sigma = 0.0", "sigma is 0"),
            ("sigma = 0.6", "taper = -12.0", "no parameter 'taper'"),
            ("free = [\"x0\"", "free = [\"z0\"", "no parameter 'z0'"),
            ("frequency =", "wavelength = \"1mm\"\nfrequency =", "either wavelength or frequency"),
            ("\"gaussian\"", "\"lambertian\"", "unknown variant"),
            ("[path]", "[blockage]\ncentral_radius = \"7m\"\n[path]", "central_radius is 7"),
            ("[path]", "[noise]\nadditive = 1.5\n[path]", "additive is 1.5"),
            ("name = \"generic\"", "name = \"\"", "name is empty"),
        ] {
            let message = complaint(from, to);
            assert!(message.contains(expected), "{to}: {message}");
        }
    }

    #[test]
    fn legs_are_read_with_their_flare() {
        let legs = "[[blockage.legs]]\nangles = [\"45deg\", \"90deg\"]\nhalf_width = \"25cm\"\n\
                    end = \"5m\"\nflare_from = \"4m\"\nflare = 0.3\n[path]";
        let telescope = read(&generic().replace("[path]", legs), "mine").unwrap();
        let leg = telescope.blockage.legs[1];
        assert_eq!(telescope.blockage.legs.len(), 2);
        assert!((leg.angle - std::f64::consts::FRAC_PI_2).abs() < 1e-15);
        assert_eq!((leg.half_width, leg.start, leg.end), (0.25, 0.0, 5.0));
        assert_eq!((leg.flare_from, leg.flare), (4.0, 0.3));
        let half = legs.replace("flare = 0.3\n", "");
        let error = read(&generic().replace("[path]", &half), "mine").unwrap_err();
        assert!(error.to_string().contains("go together"));
    }

    #[test]
    fn shaped_optics_are_read() {
        let old = "kind = \"prime-focus\"\nfocal_length = \"4.8m\"";
        assert!(generic().contains(old));
        for kind in ["zernike", "radial"] {
            let new = format!(
                "kind = \"{kind}\"\ncoefficients = [2.0, 0.0, -0.5, 0.0, 0.1]\nreference_radius = \"6m\""
            );
            let telescope = read(&generic().replace(old, &new), "mine").unwrap();
            let known = if kind == "radial" { 1.88125 } else { 1.7 };
            assert!((telescope.path.per_metre(3.0, 0.0) - known).abs() < 1e-15);
        }
    }

    /// Least squares of `values` by `columns`, and the largest residual.
    fn fitted(columns: &[Vec<f64>], values: &[f64]) -> (Vec<f64>, f64) {
        let matrix = nalgebra::DMatrix::from_fn(values.len(), columns.len(), |i, j| columns[j][i]);
        let known = nalgebra::DVector::from_column_slice(values);
        let found = matrix.clone().svd(true, true).solve(&known, 1e-13).unwrap();
        let worst = (matrix * &found - known).amax();
        (found.iter().copied().collect(), worst)
    }

    #[test]
    fn two_mirrors_as_shaped_optics_have_the_same_path_as_near_as_the_expansion_is() {
        let srt = Telescope::named("srt").unwrap();
        let old = "kind = \"two-mirror\"\nprimary_focal_length = \"21.0236m\"\n\
                   effective_focal_length = \"149.76m\"\nsub_reflector = \"gregorian\"";
        let text = include_str!("telescopes/srt.toml");
        assert!(text.contains(old));
        let shaped = |path: String| {
            let path = format!("{path}\nreference_radius = \"32.004m\"");
            read(&text.replace(old, &path), "shaped").unwrap().path
        };
        // Sunflower seeds fill the dish evenly; others, between them, judge.
        let seeds = |count: i32, shift: f64| -> Vec<(f64, f64)> {
            let place = |i: i32| {
                let (r, t) = (f64::from(2 * i + 1) / f64::from(2 * count), 2.399963 * f64::from(i));
                let (sin, cos) = (t + shift).sin_cos();
                (srt.radius * r.sqrt() * cos, srt.radius * r.sqrt() * sin)
            };
            (0..count).map(place).collect()
        };
        let points = seeds(1500, 0.0);
        let along: Vec<f64> = points.iter().map(|&(x, y)| srt.path.per_metre(x, y)).collect();
        let sideways = |i: usize| -> Vec<f64> {
            points.iter().map(|&(x, y)| srt.path.lateral_per_metre(x, y).unwrap()[i]).collect()
        };
        let inside: Vec<(f64, f64)> =
            points.iter().map(|(x, y)| (x / srt.radius, y / srt.radius)).collect();
        let even = |factor: fn((f64, f64)) -> f64| -> Vec<Vec<f64>> {
            let column =
                |k: i32| inside.iter().map(|&p| factor(p) * p.0.hypot(p.1).powi(2 * k)).collect();
            (0..6).map(column).collect()
        };
        let spread = |c: &[f64]| c.iter().flat_map(|c| [*c, 0.0]).collect::<Vec<f64>>();
        let (path, worst) = fitted(&even(|_| 1.0), &along);
        let (lateral, worst_sideways) = fitted(&even(|p| p.0), &sideways(0));
        let (path, lateral) = (spread(&path), spread(&lateral));
        let radial =
            shaped(format!("kind = \"radial\"\ncoefficients = {path:?}\nlateral = {lateral:?}"));
        let table = crate::optics::zernike::table(9, &inside);
        let columns: Vec<Vec<f64>> = table.outer_iter().map(|row| row.to_vec()).collect();
        let [z, x, y] = [along, sideways(0), sideways(1)].map(|values| fitted(&columns, &values));
        let zernike = shaped(format!(
            "kind = \"zernike\"\ncoefficients = {:?}\nlateral_x = {:?}\nlateral_y = {:?}",
            z.0, x.0, y.0
        ));
        for (shaped, worst, sideways) in
            [(radial, worst, worst_sideways), (zernike, z.1, x.1.max(y.1))]
        {
            // Of paths of about 1 the expansions leave some 1e-6 and 1e-4.
            assert!(worst < 2e-4 && sideways < 2e-4, "{worst} {sideways}");
            for (px, py) in seeds(300, 1.0) {
                let off = (shaped.per_metre(px, py) - srt.path.per_metre(px, py)).abs();
                assert!(off < 1.5 * worst, "{px} {py}: {off}, {worst} at most");
                let (a, b) = (shaped.lateral_per_metre(px, py), srt.path.lateral_per_metre(px, py));
                for (a, b) in a.unwrap().iter().zip(b.unwrap()) {
                    assert!((a - b).abs() < 1.5 * sideways, "{px} {py}: {a} {b}");
                }
            }
        }
    }

    #[test]
    fn shaped_optics_that_would_change_no_map_are_refused() {
        let old = "kind = \"prime-focus\"\nfocal_length = \"4.8m\"";
        for (path, expected) in [
            ("kind = \"radial\"\ncoefficients = [2.0]", "nothing but 0 from number 1"),
            ("kind = \"radial\"\ncoefficients = []", "traced rays"),
            ("kind = \"radial\"\ncoefficients = [1.0, nan]", "number 1 of coefficients"),
            ("kind = \"radial\"\ncoefficients = [0, 1]\nlateral = [1.0]", "lateral has nothing"),
            ("kind = \"zernike\"\ncoefficients = [2.0, 1.0, 1.0]", "from number 3"),
            ("kind = \"zernike\"\ncoefficients = [0, 0, 0, 1]\nlateral_x = [1.0]", "go together"),
        ] {
            let message = complaint(old, &format!("{path}\nreference_radius = \"6m\""));
            assert!(message.contains(expected), "{path}: {message}");
        }
        let small = "kind = \"zernike\"\ncoefficients = [0, 0, 0, 0, 1]\nreference_radius = \"5m\"";
        assert!(complaint(old, small).contains("the dish's radius is 6 m"));
        let srt = include_str!("telescopes/srt.toml").replace("\"gregorian\"", "\"newton\"");
        assert!(read(&srt, "srt").unwrap_err().to_string().contains("unknown variant"));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "[\\[\\]a-z_=\"0-9. \n]*") {
            let _ = read(&text, "mine");
        }
    }
}
