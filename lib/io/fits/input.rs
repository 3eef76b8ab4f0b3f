//! Beam maps from FITS: our own layout, pyoof's and OOF's (see [`crate::io::fits`]).

use super::axis::LinearAxis;
use super::guard::Unit;
use super::header::{Content, printable};
use super::memory::Reader;
use crate::error::{Error, Result};
use crate::io::{power, raster};
use crate::optics::aperture::{ApertureGrid, ApertureKind};
use crate::optics::beam_map::{BeamMap, MapSet, Noise, Sampling, Sigma};
use crate::units::{Quantity, SPEED_OF_LIGHT};

/// The layouts of a table: the columns of position, power and its standard deviation, and the sign
/// that turns the positions into `u, v`. OOF's `DX, DY` are the pointing minus the source.
const TABLES: [(&str, &str, &[&str], &str, f64); 2] = [
    ("U", "V", &["POWER", "BEAM"], "SIGMA", 1.0),
    ("DX", "DY", &["FNU"], "UFNU", -1.0),
];

/// How far wavelength and frequency may disagree: files hold rounded ones.
const ROUNDED: f64 = 1e-4;

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
        return Err(Error::input(
            place,
            "holds the result of a fit, expected beam maps",
        ));
    }
    let mut set = read_primary(&mut reader)?;
    let units = reader.units();
    for unit in &units {
        match &unit.content {
            Content::Image { axes, .. } => {
                let map = read_image(&mut reader, unit, axes)?;
                set.maps.push(map);
            }
            Content::Table { .. } if unit.name == "TRUTH" => {
                set.truth = read_named_values(&mut reader, unit.number)?;
            }
            Content::Table { .. } if unit.has_defocus || layout(&reader, unit).is_some() => {
                let map = read_table(&mut reader, unit)?;
                set.maps.push(map);
            }
            _ => {}
        }
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

fn read_primary(reader: &mut Reader) -> Result<MapSet> {
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
        maps: Vec::new(),
        wavelength: read_wavelength(reader)?,
        telescope: telescop.or(telesc),
        object,
        // Other people's elevation may be any text; nothing depends on it.
        elevation: reader
            .number(0, "MEANEL")
            .ok()
            .flatten()
            .map(f64::to_radians),
        aperture,
        illumination,
        noise,
        seed,
        truth: Vec::new(),
    })
}

fn read_aperture(reader: &mut Reader, kind: ApertureKind) -> Result<ApertureGrid> {
    let points = reader.number(0, "APPOINTS")?;
    let extent = reader.number(0, "APEXTENT")?;
    match (points, extent) {
        (Some(points), Some(extent))
            if points.fract() == 0.0 && (2.0..=65536.0).contains(&points) && extent > 0.0 =>
        {
            Ok(ApertureGrid {
                kind,
                points: points as usize,
                extent,
            })
        }
        (points, extent) => Err(Error::input(
            reader.place(0),
            format!(
                "APERTURE needs APPOINTS (2 to 65536) and APEXTENT (> 0), found {} and {}",
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
        let wavelength = if key == "FREQ" {
            SPEED_OF_LIGHT / value
        } else {
            value
        };
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

/// A table's columns NAME and VALUE.
pub(in crate::io) fn read_named_values(
    reader: &mut Reader,
    unit: usize,
) -> Result<Vec<(String, f64)>> {
    let columns = reader
        .find_column(unit, &["NAME"])
        .zip(reader.find_column(unit, &["VALUE"]));
    let Some((name, value)) = columns else {
        return Err(Error::input(
            reader.place(unit),
            "expected the columns NAME and VALUE",
        ));
    };
    let names = reader.text_column(unit, name)?;
    let values = reader.column(unit, value)?;
    Ok(names.into_iter().zip(values).collect())
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

fn read_image(reader: &mut Reader, unit: &Unit, axes: &[usize]) -> Result<BeamMap> {
    let place = reader.place(unit.number);
    if axes.len() < 2 || axes[2..].iter().any(|&n| n != 1) {
        let what = format!("found {}, expected one of two axes", unit.describe());
        return Err(Error::input(place, what));
    }
    let (name, defocus, sigma) = read_common(reader, unit)?;
    let u = read_axis(reader, unit.number, 1, "U", axes[0])?;
    let v = read_axis(reader, unit.number, 2, "V", axes[1])?;
    let power = reader.image(unit.number)?;
    power::check(&power, axes[0], &place)?;
    Ok(BeamMap {
        name,
        defocus,
        sampling: Sampling::Raster { u, v },
        power,
        sigma,
    })
}

/// The positions along an axis, radians: from `DU, U0` where they are there, else from the WCS.
fn read_axis(
    reader: &mut Reader,
    unit: usize,
    axis: u8,
    name: &str,
    length: usize,
) -> Result<Vec<f64>> {
    let place = reader.place(unit);
    let wrong = |what: String| Err(Error::input(&place, what));
    let key = |stem: &str| format!("{stem}{axis}");
    let reference = reader.number(unit, &key("CRPIX"))?.unwrap_or(1.0) - 1.0;
    let linear = match reader.number(unit, &format!("D{name}"))? {
        Some(step) => LinearAxis {
            reference,
            start: reader.number(unit, &format!("{name}0"))?.unwrap_or(0.0),
            step,
        },
        None => {
            let Some(step) = reader.number(unit, &key("CDELT"))? else {
                let wcs = key("CDELT");
                return wrong(format!(
                    "no position: neither D{name} [rad] nor {wcs} is there"
                ));
            };
            let kind = reader.text(unit, &key("CTYPE"))?.unwrap_or_default();
            if kind.contains('-') {
                return wrong(format!(
                    "{} is '{}': expected linear offsets from the pointing centre",
                    key("CTYPE"),
                    printable(&kind)
                ));
            }
            let size = angle_unit(&reader.text(unit, &key("CUNIT"))?.unwrap_or("deg".into()));
            let Some(size) = size else {
                return wrong(format!("{} is no unit of angle", key("CUNIT")));
            };
            LinearAxis {
                reference,
                start: reader.number(unit, &key("CRVAL"))?.unwrap_or(0.0) * size,
                step: step * size,
            }
        }
    };
    let values = linear.values(length);
    let rising = values.windows(2).all(|w| w[0] < w[1]);
    let falling = values.windows(2).all(|w| w[0] > w[1]);
    if !(rising || falling) {
        return wrong(format!("the step of {name} is {}", linear.step));
    }
    check_positions(&values, &place)?;
    Ok(values)
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

/// A table's layout and the numbers of its columns of position and power.
fn layout(reader: &Reader, unit: &Unit) -> Option<(usize, [usize; 3])> {
    TABLES.iter().enumerate().find_map(|(i, table)| {
        let find = |names: &[&str]| reader.find_column(unit.number, names);
        Some((i, [find(&[table.0])?, find(&[table.1])?, find(table.2)?]))
    })
}

fn read_table(reader: &mut Reader, unit: &Unit) -> Result<BeamMap> {
    let place = reader.place(unit.number);
    let Some((kind, [u, v, power])) = layout(reader, unit) else {
        return Err(Error::input(
            place,
            format!(
                "found {}; expected the columns U, V, POWER (or BEAM), or DX, DY, FNU",
                unit.describe()
            ),
        ));
    };
    let (_, _, _, sigma_name, sign) = TABLES[kind];
    let (name, defocus, mut sigma) = read_common(reader, unit)?;
    let u = read_positions(reader, unit, u, sign)?;
    let v = read_positions(reader, unit, v, sign)?;
    let mut power = reader.column(unit.number, power)?;
    power::check(&power, power.len(), &place)?;
    if let Some(column) = reader.find_column(unit.number, &[sigma_name]) {
        let values = reader.column(unit.number, column)?;
        let bad = |i: &usize| !power[*i].is_nan() && !(values[*i] > 0.0 && values[*i].is_finite());
        if let Some(i) = (0..values.len()).find(bad) {
            let what = format!(
                "row {} of {sigma_name} is {}, expected more than 0",
                i + 1,
                values[i]
            );
            return Err(Error::input(place, what));
        }
        sigma = Sigma::PerSample(values);
    }
    let sampling = match raster::find(&u, &v) {
        Some(found) => {
            power = found.arrange(&power);
            if let Sigma::PerSample(values) = &mut sigma {
                *values = found.arrange(values);
            }
            found.sampling
        }
        None => Sampling::Scattered { u, v },
    };
    Ok(BeamMap {
        name,
        defocus,
        sampling,
        power,
        sigma,
    })
}

/// A column of positions in radians.
fn read_positions(reader: &mut Reader, unit: &Unit, column: usize, sign: f64) -> Result<Vec<f64>> {
    let place = reader.place(unit.number);
    let mut size = sign;
    if let Content::Table { columns, .. } = &unit.content
        && let text = columns[column].unit.as_str()
        && !text.is_empty()
    {
        let Some(angle) = angle_unit(text) else {
            let what = format!(
                "the unit of a position is '{}', expected rad",
                printable(text)
            );
            return Err(Error::input(place, what));
        };
        size *= angle;
    }
    let mut values = reader.column(unit.number, column)?;
    values.iter_mut().for_each(|x| *x *= size);
    check_positions(&values, &place)?;
    Ok(values)
}
