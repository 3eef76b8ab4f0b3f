//! Beam maps from FITS: our own layout, pyoof's and OOF's (see [`crate::io::fits`]).

mod image;
mod primary;
mod table;

pub(in crate::io) use primary::{read_positive, read_radius, read_wavelength};

use super::guard::Unit;
use super::header::Content;
use super::memory::Reader;
use crate::error::{Error, Result};
use crate::optics::beam_map::{BeamMap, MapSet, Sigma};
use crate::units::Quantity;

/// The maps in a FITS file. `place` is the file's name for messages.
///
/// Every image, and every table with a key `DZ` or with a map's columns, is a map. Positions come out
/// in radians; tables whose points are a full raster come out as one.
///
/// # Errors
/// What is wrong, with the file and the HDU (counted from 0): a damaged file, a map without `DZ`,
/// missing columns, infinite samples, a map that is all blank or all zero, no map at all.
pub fn read_maps(bytes: &[u8], place: &str) -> Result<MapSet> {
    let mut reader = Reader::open(bytes, place)?;
    if reader.text(0, "OOFTYPE")?.as_deref() == Some("FIT") {
        return Err(Error::input(place, "holds the result of a fit, expected beam maps"));
    }
    let mut set = primary::read(&mut reader)?;
    let units = reader.units();
    let mut shift = Vec::new();
    for unit in &units {
        match &unit.content {
            Content::Image { .. } => {
                set.maps.push(read_map(&mut reader, unit)?);
                shift.push(read_shift(&mut reader, unit.number)?);
            }
            Content::Table { .. } if unit.name == "TRUTH" => {
                set.truth = read_named_values(&mut reader, unit.number)?;
            }
            Content::Table { .. } if unit.has_defocus || table::is_map(&reader, unit) => {
                set.maps.push(read_map(&mut reader, unit)?);
                shift.push(read_shift(&mut reader, unit.number)?);
            }
            _ => {}
        }
    }
    if shift.iter().flatten().any(|s| *s != 0.0) {
        set.shift = shift;
    }
    if set.maps.is_empty() {
        let found: Vec<String> = units.iter().take(8).map(Unit::describe).collect();
        return Err(Error::input(
            place,
            format!(
                "no maps: found {}; expected images, or tables with columns U, V, BEAM or DX, DY, FNU",
                found.join("; ")
            ),
        ));
    }
    Ok(set)
}

/// The sub-reflector's displacement sideways, metres; 0 where a map does not say.
fn read_shift(reader: &mut Reader, unit: usize) -> Result<[f64; 2]> {
    let mut read = |key| Ok(reader.number(unit, key)?.unwrap_or(0.0));
    Ok([read("SHIFTX")?, read("SHIFTY")?])
}

/// The map in one image or table.
pub(in crate::io) fn read_map(reader: &mut Reader, unit: &Unit) -> Result<BeamMap> {
    match &unit.content {
        Content::Image { axes, .. } => image::read(reader, unit, axes),
        _ => table::read(reader, unit),
    }
}

/// A table's columns NAME and VALUE.
pub(in crate::io) fn read_named_values(
    reader: &mut Reader,
    unit: usize,
) -> Result<Vec<(String, f64)>> {
    let names = reader.texts(unit, "NAME")?;
    Ok(names.into_iter().zip(reader.numbers(unit, "VALUE")?).collect())
}

/// What images and tables have in common: name, defocus and one noise for all samples.
fn read_common(reader: &mut Reader, unit: &Unit) -> Result<(String, f64, Sigma)> {
    let place = reader.place(unit.number);
    let Some(defocus) = reader.number(unit.number, "DZ")? else {
        return Err(Error::input(
            place,
            "no key DZ, expected the sub-reflector's displacement in metres",
        ));
    };
    let sigma = match reader.number(unit.number, "SIGMA")? {
        Some(sigma) if sigma > 0.0 => Sigma::Constant(sigma),
        Some(sigma) => {
            let what = format!("SIGMA is {sigma}, expected more than 0");
            return Err(Error::input(place, what));
        }
        None => Sigma::Unknown,
    };
    let name = match unit.name.as_str() {
        "" => format!("HDU {}", unit.number),
        name => name.to_string(),
    };
    Ok((name, defocus, sigma))
}

/// A unit of angle in radians; `None` where it is none.
fn angle_unit(unit: &str) -> Option<f64> {
    let letters = unit.trim().bytes().all(|b| b.is_ascii_alphabetic());
    let size = Quantity::Angle.parse(&format!("1{}", unit.trim()));
    size.ok().filter(|_| letters)
}

/// Positions have to be on the sky, in front of the dish.
fn check_positions(values: &[f64], place: &str) -> Result<()> {
    let on_the_sky = |x: &&f64| x.abs() < std::f64::consts::FRAC_PI_2;
    match values.iter().find(|x| !on_the_sky(x)) {
        Some(x) => Err(Error::input(
            place,
            format!("a position is {x} rad, expected an offset from the pointing centre"),
        )),
        None => Ok(()),
    }
}
