//! Beam maps as other packages read them: the layouts of pyoof and of OOF (see [`crate::io::fits`]).
//!
//! Neither has a place for blanks, for a sub-reflector moved sideways, for a band, nor for what made a
//! simulation.

use super::memory::{Values, Writer};
use super::output::{check_map, points, write_provenance};
use crate::error::{Error, Result};
use crate::io::power;
use crate::optics::beam_map::{BeamMap, MapSet, Sampling, Sigma};
use crate::units::SPEED_OF_LIGHT;

/// Arc seconds in a radian.
const ARCSECONDS: f64 = 3600.0 * 180.0 / std::f64::consts::PI;

/// Whose layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    Pyoof,
    Oof,
}

/// The maps in another package's layout. `provenance` becomes HISTORY cards.
///
/// # Errors
/// Maps that the layout has no room for, and those that [`super::read_maps`] would refuse.
pub fn write_foreign(maps: &MapSet, provenance: &[String], layout: Layout) -> Result<Vec<u8>> {
    let lost = [
        (maps.maps.is_empty(), "there are no maps to write"),
        (!maps.shift.is_empty(), "it has no place for a sub-reflector that is moved sideways"),
        (maps.blur().bandwidth > 0.0, "it has no place for a bandwidth"),
        (maps.wavelength.is_none(), "it needs a wavelength"),
        (maps.maps.iter().any(|m| m.blanks() > 0), "it has no place for blanks"),
        (
            layout == Layout::Pyoof && (maps.chop.is_some() || maps.blur().radius > 0.0),
            "it has no place for a second beam or an extended source",
        ),
    ];
    if let Some((_, what)) = lost.iter().find(|(lost, _)| *lost) {
        let name = match layout {
            Layout::Pyoof => "pyoof's",
            Layout::Oof => "OOF's",
        };
        return Err(Error::usage(format!("cannot write these maps in {name} layout: {what}")));
    }
    let mut writer = Writer::new()?;
    write_primary(&mut writer, maps, layout)?;
    write_provenance(&mut writer, provenance)?;
    for (map, name) in maps.maps.iter().zip(names(&maps.maps, layout)?) {
        check_map(map, &name, false)?;
        power::check(&map.power, map.sampling.len(), &name)?;
        match layout {
            Layout::Pyoof => write_pyoof(&mut writer, map, &name)?,
            Layout::Oof => write_oof(&mut writer, map, &name)?,
        }
        writer.number("DZ", map.defocus, "[m] sub-reflector displacement")?;
    }
    writer.finish()
}

fn write_primary(writer: &mut Writer, maps: &MapSet, layout: Layout) -> Result<()> {
    let wavelength = maps.wavelength.unwrap_or_default();
    let telescope = maps.telescope.as_deref().unwrap_or_default();
    writer.number("FREQ", SPEED_OF_LIGHT / wavelength, "[Hz]")?;
    writer.text("OBJECT", maps.object.as_deref().unwrap_or("simulated"), "source")?;
    writer.number("MEANEL", maps.elevation.unwrap_or(0.0).to_degrees(), "[deg]")?;
    match layout {
        Layout::Pyoof => {
            writer.text("TELESCOP", telescope, "")?;
            writer.number("WAVEL", wavelength, "[m]")?;
            // pyoof wants one; output depends on no clock.
            writer.text("DATE_OBS", "", "not known")
        }
        Layout::Oof => {
            writer.text("TELESC", telescope, "")?;
            let chop = maps.chop.unwrap_or(0.0) * ARCSECONDS;
            writer.number("CHOPTHR", chop, "[arcsec] second, negative beam at u + CHOPTHR")?;
            writer.number("OBJRADS", maps.blur().radius, "[rad] radius of the source")
        }
    }
}

/// Names of the tables. pyoof finds its three by theirs.
fn names(maps: &[BeamMap], layout: Layout) -> Result<Vec<String>> {
    if layout == Layout::Oof {
        return Ok((0..maps.len()).map(|i| format!("MAP{i}")).collect());
    }
    let rasters = maps.iter().all(|m| matches!(m.sampling, Sampling::Raster { .. }));
    let name = |map: &BeamMap| match map.defocus.total_cmp(&0.0) {
        _ if map.defocus == 0.0 => "ZERO OOF",
        std::cmp::Ordering::Less => "MINUS OOF",
        _ => "PLUS OOF",
    };
    let names: Vec<String> = maps.iter().map(|map| name(map).to_string()).collect();
    let all = ["MINUS OOF", "ZERO OOF", "PLUS OOF"].iter().all(|n| names.iter().any(|m| m == n));
    if names.len() != 3 || !all || !rasters {
        return Err(Error::usage(
            "pyoof reads three rasters, with the sub-reflector below, at and above focus; give --defocus, \
             as in --defocus=-25mm,0mm,25mm",
        ));
    }
    Ok(names)
}

fn write_pyoof(writer: &mut Writer, map: &BeamMap, name: &str) -> Result<()> {
    let (u, v) = points(&map.sampling);
    let columns = [
        ("U", "rad", Values::Numbers(&u)),
        ("V", "rad", Values::Numbers(&v)),
        ("BEAM", "", Values::Numbers(&map.power)),
    ];
    writer.table(name, &columns)
}

/// OOF's positions are the pointing minus the source.
fn write_oof(writer: &mut Writer, map: &BeamMap, name: &str) -> Result<()> {
    let (mut u, mut v) = points(&map.sampling);
    u.iter_mut().chain(&mut v).for_each(|x| *x = -*x);
    let sigma = match &map.sigma {
        Sigma::Unknown => None,
        Sigma::Constant(sigma) => Some(vec![*sigma; u.len()]),
        Sigma::PerSample(each) => Some(each.clone()),
    };
    let mut columns = vec![
        ("DX", "rad", Values::Numbers(&u)),
        ("DY", "rad", Values::Numbers(&v)),
        ("FNU", "", Values::Numbers(&map.power)),
    ];
    columns.extend(sigma.as_deref().map(|each| ("UFNU", "", Values::Numbers(each))));
    // When they were taken is not known.
    let zeros = vec![0.0; u.len()];
    columns.push(("TIME", "d", Values::Numbers(&zeros)));
    writer.table(name, &columns)
}
