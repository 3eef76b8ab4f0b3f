//! How the telescope observed: wavelength, focus settings, illumination.

use crate::error::{Error, Result};
use crate::io::source;
use crate::optics::beam_map::{Blur, MapSet};
use crate::optics::illumination::Illumination;
use crate::optics::telescope::Telescope;
use crate::units::{Quantity, SPEED_OF_LIGHT};
use clap::Args;
use std::path::Path;

/// Options of the observation.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Telescope")]
pub struct ObservationArgs {
    /// Frequency with its unit, such as 86GHz [default: what the file says, else the telescope's]
    #[arg(long, value_name = "FREQUENCY", value_parser = frequency, conflicts_with = "wavelength")]
    pub frequency: Option<f64>,
    /// Wavelength with its unit, such as 1.1mm; instead of --frequency
    #[arg(long, value_name = "LENGTH", value_parser = positive_length)]
    pub wavelength: Option<f64>,
    /// Displacement dz of the sub-reflector in each map, with units, such as -50mm,0mm,50mm; its sign
    /// matters: the opposite sign gives another surface [default: what the file says, else the
    /// telescope's]
    #[arg(long, value_name = "DZ,...", value_delimiter = ',', allow_hyphen_values = true,
          value_parser = length)]
    pub defocus: Option<Vec<f64>>,
    /// Displacement of the sub-reflector sideways in each map, along x and y with units, such as
    /// 0mm:0mm,5mm:0mm; its effect on the pointing is left to each map's own offset [default: what the
    /// file says, else none]
    #[arg(long, value_name = "X:Y,...", value_delimiter = ',', allow_hyphen_values = true,
          value_parser = shift)]
    pub shift: Option<Vec<[f64; 2]>>,
    /// Shape of the illumination: gaussian, pedestal, tophat or squashed [default: what the file says,
    /// else the telescope's]
    #[arg(long, value_name = "KIND", value_parser = illumination)]
    pub illumination: Option<Illumination>,
    /// For a dual-beam receiver, whose maps are the difference of two beams: how far to the +u side of
    /// the first the second, negative beam lies, such as 57.8arcsec, or none [default: what the file
    /// says, else none]
    #[arg(long, value_name = "ANGLE", allow_hyphen_values = true, value_parser = chop)]
    pub chop: Option<Chop>,
    /// Radius of the source, a uniform disc, such as 12arcsec, or 0 for a point. It matters where the disc
    /// is wider than about a third of a beam, wavelength / dish diameter; gains are then of the disc's whole
    /// flux [default: what the file says, else 0]
    #[arg(long, value_name = "ANGLE", allow_hyphen_values = true, value_parser = size)]
    pub source_radius: Option<f64>,
    /// Full width of the receiver's band about the frequency, all of it equally sensitive, such as 2GHz,
    /// or 0 for one wavelength. It matters where this part of the frequency, times how many beams far the
    /// maps reach, is more than about a third [default: what the file says, else 0]
    #[arg(long, value_name = "FREQUENCY", allow_hyphen_values = true, value_parser = bandwidth)]
    pub bandwidth: Option<f64>,
}

/// The second beam's offset in radians, or that there is none.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Chop(pub Option<f64>);

fn chop(text: &str) -> Result<Chop> {
    if text.trim() == "none" {
        return Ok(Chop(None));
    }
    match Quantity::Angle.parse(text)? {
        chop if chop != 0.0 && chop.abs() < std::f64::consts::FRAC_PI_2 => Ok(Chop(Some(chop))),
        _ => Err(Error::usage(format!(
            "'{text}' is no distance of two beams; give an angle or none"
        ))),
    }
}

/// `5mm:-2mm`
fn shift(text: &str) -> Result<[f64; 2]> {
    let (x, y) = text
        .split_once(':')
        .ok_or_else(|| Error::usage(format!("'{text}' is not X:Y, two lengths such as 5mm:0mm")))?;
    Ok([length(x)?, length(y)?])
}

/// Checks that there is a displacement for every one of `maps`, or none.
///
/// # Errors
/// A usage error with both numbers.
pub fn check_shift(shift: &[[f64; 2]], maps: usize) -> Result<()> {
    match shift.len() {
        0 => Ok(()),
        given if given == maps => Ok(()),
        given => Err(Error::usage(format!(
            "--shift has {given} displacements, but there are {maps} maps"
        ))),
    }
}

fn bandwidth(text: &str) -> Result<f64> {
    Quantity::Frequency.from_zero(text)
}

impl ObservationArgs {
    /// What blurs the maps: what was asked for, else what `maps` say, else what an `earlier` fit had.
    pub fn blur(&self, maps: &MapSet, earlier: Option<Blur>) -> Blur {
        let earlier = earlier.unwrap_or_default();
        Blur {
            radius: self.source_radius.or(maps.source_radius).unwrap_or(earlier.radius),
            bandwidth: self.bandwidth.or(maps.bandwidth).unwrap_or(earlier.bandwidth),
        }
    }

    /// The wavelength that was asked for, metres.
    pub fn wavelength(&self) -> Option<f64> {
        wavelength(self.wavelength, self.frequency)
    }
}

/// The telescope that `--telescope` means: a name, or the file of a user's own.
pub fn open_telescope(name: &str) -> Result<Telescope> {
    if !(name.ends_with(".toml") || name.contains('/')) {
        return Telescope::named(name);
    }
    let bytes = source::read(Path::new(name))?;
    let text = str::from_utf8(&bytes)
        .map_err(|_| Error::input(name, "is not text; expected a telescope's TOML file"))?;
    let telescope = Telescope::from_toml(text, name)?;
    // Its maps would be taken for those of the other.
    let own = &telescope.name;
    if built_in(own).is_some_and(|other| other != telescope) {
        let what = format!("is another {own} than the one that is built in; give it another name");
        return Err(Error::input(name, what));
    }
    Ok(telescope)
}

/// Other people write names in capitals.
pub fn same_name(a: &str, b: &str) -> bool {
    a.trim().eq_ignore_ascii_case(b)
}

/// The telescope that the file `place` says it is of, which is built in: a file names no files.
pub fn named_in_a_file(name: Option<&str>, place: &str) -> Result<Telescope> {
    let names = Telescope::names();
    let Some(name) = name else {
        return Err(Error::usage(format!(
            "{place} does not say which telescope it is of; give --telescope, one of {}, or a file of your own, FILE.toml",
            names.join(", ")
        )));
    };
    built_in(name).ok_or_else(|| {
        let (name, names) = (name.escape_debug(), names.join(", "));
        let what = "give --telescope NAME or FILE.toml";
        Error::input(
            place,
            format!("is of the telescope '{name}', which is none of {names}; {what}"),
        )
    })
}

fn built_in(name: &str) -> Option<Telescope> {
    let known = Telescope::names().into_iter().find(|known| same_name(name, known))?;
    Telescope::named(known).ok()
}

pub fn length(text: &str) -> Result<f64> {
    Quantity::Length.parse(text)
}

pub fn positive_length(text: &str) -> Result<f64> {
    Quantity::Length.above_zero(text)
}

pub fn frequency(text: &str) -> Result<f64> {
    Quantity::Frequency.above_zero(text)
}

/// The wavelength, given as that or as a frequency.
pub fn wavelength(wavelength: Option<f64>, frequency: Option<f64>) -> Option<f64> {
    wavelength.or(frequency.map(|frequency| SPEED_OF_LIGHT / frequency))
}

/// An angle that is not negative, radians.
pub fn size(text: &str) -> Result<f64> {
    Quantity::Angle.from_zero(text)
}

pub fn illumination(text: &str) -> Result<Illumination> {
    Illumination::named(text).ok_or_else(|| {
        let names = Illumination::ALL.map(Illumination::name).join(", ");
        Error::usage(format!("unknown illumination '{text}', expected one of {names}"))
    })
}
