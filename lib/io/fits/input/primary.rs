//! The primary header: what all maps have in common.

use super::super::card::printable;
use super::super::memory::Reader;
use crate::error::{Error, Result};
use crate::optics::aperture::{ApertureGrid, ApertureKind};
use crate::optics::beam_map::{MapSet, Noise};
use crate::units::{ARC_SECOND, SPEED_OF_LIGHT};

/// How far wavelength and frequency may disagree: files hold rounded ones.
const ROUNDED: f64 = 1e-4;

/// All of a set but its maps and their true parameters.
pub fn read(reader: &mut Reader) -> Result<MapSet> {
    let mut texts = [None, None, None, None, None, None];
    let keys = ["TELESCOP", "TELESC", "OBJECT", "ILLUM", "APERTURE", "SEED"];
    for (text, key) in texts.iter_mut().zip(keys) {
        *text = reader.text(0, key)?;
    }
    let [telescop, telesc, object, illumination, aperture, seed] = texts;
    let wrong = |what: String| Err(Error::input(reader.place(0), what));
    let seed = match seed.map(|s| (s.parse().ok(), s)) {
        Some((None, text)) => return wrong(format!("SEED is '{}'", printable(&text))),
        Some((seed, _)) => seed,
        None => None,
    };
    let kind = match aperture.as_deref() {
        None => None,
        Some("smooth") => Some(ApertureKind::Smooth),
        Some("hard") => Some(ApertureKind::Hard),
        Some(other) => {
            let other = printable(other);
            return wrong(format!("APERTURE is '{other}', expected smooth or hard"));
        }
    };
    let aperture = match kind {
        Some(kind) => Some(read_aperture(reader, kind)?),
        None => None,
    };
    let noise = match reader.number(0, "NOISEADD")? {
        Some(additive) => Some(Noise {
            additive,
            multiplicative: reader.number(0, "NOISEMUL")?.unwrap_or(0.0),
            outliers: reader.number(0, "NOISEOUT")?.unwrap_or(0.0),
        }),
        None => None,
    };
    Ok(MapSet {
        wavelength: read_wavelength(reader)?,
        telescope: telescop.or(telesc),
        object,
        // Other people's elevation may be any text; nothing depends on it.
        // (0 says in a layout that has to have one that it is not known.)
        elevation: reader
            .number(0, "MEANEL")
            .ok()
            .flatten()
            .filter(|degrees| *degrees != 0.0)
            .map(f64::to_radians),
        chop: read_chop(reader)?,
        source_radius: read_radius(reader)?,
        bandwidth: read_positive(reader, "BANDWID")?,
        aperture,
        illumination,
        noise,
        seed,
        ..MapSet::default()
    })
}

/// The offset of the second beam: ours in radians, OOF's in arcseconds. Without one it is 0 there.
fn read_chop(reader: &mut Reader) -> Result<Option<f64>> {
    for (key, size) in [("CHOP", 1.0), ("CHOPTHR", ARC_SECOND)] {
        let Some(value) = reader.number(0, key)?.filter(|v| *v != 0.0) else {
            continue;
        };
        let chop = value * size;
        if chop.abs() < std::f64::consts::FRAC_PI_2 {
            return Ok(Some(chop));
        }
        let what = format!("{key} is {value}, expected the beams' distance on the sky");
        return Err(Error::input(reader.place(0), what));
    }
    Ok(None)
}

/// The radius of the source: ours, or OOF's, which is no more than 0 where there is none.
pub(in crate::io) fn read_radius(reader: &mut Reader) -> Result<Option<f64>> {
    let of_oof = reader.number(0, "OBJRADS")?.filter(|radius| *radius > 0.0);
    Ok(read_positive(reader, "SRCRAD")?.or(of_oof))
}

/// A number that is not below 0.
pub(in crate::io) fn read_positive(reader: &mut Reader, key: &str) -> Result<Option<f64>> {
    match reader.number(0, key)? {
        Some(value) if !(value >= 0.0 && value.is_finite()) => {
            let what = format!("{key} is {value}, expected 0 or more");
            Err(Error::input(reader.place(0), what))
        }
        value => Ok(value),
    }
}

fn read_aperture(reader: &mut Reader, kind: ApertureKind) -> Result<ApertureGrid> {
    let points = reader.number(0, "APPOINTS")?;
    let extent = reader.number(0, "APEXTENT")?;
    match (points, extent) {
        (Some(points), Some(extent)) if points.fract() == 0.0 && points >= 0.0 => {
            let grid = ApertureGrid { kind, points: points as usize, extent };
            grid.check().map_err(|e| Error::input(reader.place(0), e.to_string()))?;
            Ok(grid)
        }
        (points, extent) => Err(Error::input(
            reader.place(0),
            format!(
                "APERTURE needs APPOINTS (a whole number) and APEXTENT, found {} and {}",
                shown(points),
                shown(extent)
            ),
        )),
    }
}

fn shown(value: Option<f64>) -> String {
    value.map_or("none".into(), |v| v.to_string())
}

/// Metres, from whichever key the file has; two that disagree are an error.
pub(in crate::io) fn read_wavelength(reader: &mut Reader) -> Result<Option<f64>> {
    let mut found: Option<(&str, f64)> = None;
    for key in ["WAVELEN", "WAVEL", "FREQ"] {
        let Some(value) = reader.number(0, key)? else {
            continue;
        };
        let wavelength = if key == "FREQ" { SPEED_OF_LIGHT / value } else { value };
        if !(wavelength > 0.0 && wavelength.is_finite()) {
            let what = format!("{key} is {value}, expected more than 0");
            return Err(Error::input(reader.place(0), what));
        }
        match found {
            None => found = Some((key, wavelength)),
            Some((other, first)) if (wavelength - first).abs() > ROUNDED * first => {
                let what = format!(
                    "{other} and {key} disagree: wavelengths of {first} m and {wavelength} m"
                );
                return Err(Error::input(reader.place(0), what));
            }
            Some(_) => {}
        }
    }
    Ok(found.map(|f| f.1))
}
