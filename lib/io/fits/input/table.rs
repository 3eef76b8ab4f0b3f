//! A map in a table.

use super::super::card::printable;
use super::super::guard::Unit;
use super::super::header::Content;
use super::super::memory::Reader;
use super::{angle_unit, check_positions, read_common};
use crate::error::{Error, Result};
use crate::io::{power, raster};
use crate::optics::beam_map::{BeamMap, Sampling, Sigma};

/// The layouts of a table: the columns of position, power and its standard deviation, and the sign
/// that turns the positions into `u, v`. OOF's `DX, DY` are the pointing minus the source.
const TABLES: [(&str, &str, &[&str], &str, f64); 2] =
    [("U", "V", &["POWER", "BEAM"], "SIGMA", 1.0), ("DX", "DY", &["FNU"], "UFNU", -1.0)];

/// Whether a table has a map's columns.
pub fn is_map(reader: &Reader, unit: &Unit) -> bool {
    layout(reader, unit).is_some()
}

/// A table's layout and the numbers of its columns of position and power.
fn layout(reader: &Reader, unit: &Unit) -> Option<(usize, [usize; 3])> {
    TABLES.iter().enumerate().find_map(|(i, table)| {
        let find = |names: &[&str]| reader.find_column(unit.number, names);
        Some((i, [find(&[table.0])?, find(&[table.1])?, find(table.2)?]))
    })
}

/// The map in a table in any of the known layouts.
pub fn read(reader: &mut Reader, unit: &Unit) -> Result<BeamMap> {
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
        let bad = |i: &usize| {
            let good = values[*i] > 0.0 && values[*i].is_finite();
            !(good || power[*i].is_nan())
        };
        if let Some(i) = (0..values.len()).find(bad) {
            let what =
                format!("row {} of {sigma_name} is {}, expected more than 0", i + 1, values[i]);
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
    Ok(BeamMap { name, defocus, sampling, power, sigma })
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
            let what = format!("the unit of a position is '{}', expected rad", printable(text));
            return Err(Error::input(place, what));
        };
        size *= angle;
    }
    let mut values = reader.column(unit.number, column)?;
    values.iter_mut().for_each(|x| *x *= size);
    check_positions(&values, &place)?;
    Ok(values)
}
