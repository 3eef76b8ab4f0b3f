//! A map in an image.

use super::super::axis::LinearAxis;
use super::super::card::printable;
use super::super::guard::Unit;
use super::super::memory::Reader;
use super::{angle_unit, check_positions, read_common};
use crate::error::{Error, Result};
use crate::io::power;
use crate::optics::beam_map::{BeamMap, Sampling};

/// The map in an image with these axes, `u` first.
pub fn read(reader: &mut Reader, unit: &Unit, axes: &[usize]) -> Result<BeamMap> {
    let place = reader.place(unit.number);
    if axes.len() < 2 || axes[2..].iter().any(|&n| n != 1) {
        let what = format!("found {}, expected one of two axes", unit.describe());
        return Err(Error::input(place, what));
    }
    let (name, defocus, sigma) = read_common(reader, unit)?;
    check_axes(reader, unit.number)?;
    let u = read_axis(reader, unit.number, 1, "U", axes[0])?;
    let v = read_axis(reader, unit.number, 2, "V", axes[1])?;
    let power = reader.image(unit.number)?;
    power::check(&power, axes[0], &place)?;
    Ok(BeamMap { name, defocus, sampling: Sampling::Raster { u, v }, power, sigma })
}

/// Refuses an image whose header says that its axes are not `u` and `v`, in this order and along these.
fn check_axes(reader: &mut Reader, unit: usize) -> Result<()> {
    let place = reader.place(unit);
    for (key, others) in
        [("CTYPE1", ["V", "Y", "EL", "ALT", "DEC"]), ("CTYPE2", ["U", "X", "AZ", "XEL", "RA"])]
    {
        let kind = reader.text(unit, key)?.unwrap_or_default();
        if others.iter().any(|other| kind.trim().eq_ignore_ascii_case(other)) {
            let what = format!(
                "{key} is '{kind}': expected u along the first axis and v along the second"
            );
            return Err(Error::input(place, what));
        }
    }
    for key in ["CROTA1", "CROTA2", "PC1_2", "PC2_1", "CD1_2", "CD2_1"] {
        if reader.number(unit, key)?.is_some_and(|angle| angle != 0.0) {
            let what = format!("{key} is not 0: the axes are rotated, expected those of u and v");
            return Err(Error::input(place, what));
        }
    }
    for (key, step) in
        [("PC1_1", None), ("PC2_2", None), ("CD1_1", Some("CDELT1")), ("CD2_2", Some("CDELT2"))]
    {
        let expected = step.map_or(Ok(Some(1.0)), |step| reader.number(unit, step))?;
        let same = |found: &f64| expected.is_some_and(|e| (found - e).abs() <= 1e-6 * e.abs());
        if let Some(found) = reader.number(unit, key)?.filter(|found| !same(found)) {
            let instead = match step {
                Some(step) => format!("give {step} instead"),
                None => format!("multiply CDELT{} by it and take it out", &key[2..3]),
            };
            let what =
                format!("{key} is {found}: steps are read from CDELT1 and CDELT2 alone; {instead}");
            return Err(Error::input(place, what));
        }
    }
    Ok(())
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
                return wrong(format!("no position: neither D{name} [rad] nor {wcs} is there"));
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
