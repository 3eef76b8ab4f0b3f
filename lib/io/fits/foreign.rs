//! Beam maps as other packages read them: the layouts of pyoof and of OOF, which the GBT's are (see
//! [`crate::io::fits`]).
//!
//! Refused is what they have no place for and a fit would need: blanks, a sub-reflector moved sideways, a band; by
//! pyoof also a second beam, a source that is a disc, and other than three rasters. Left out is what made a
//! simulation: truth, noise but for OOF's `UFNU`, illumination and aperture; pyoof's has no noise at all.

use super::memory::{Values, Writer};
use super::output::{check_map, write_provenance};
use crate::error::{Error, Result};
use crate::io::power;
use crate::optics::beam_map::{BeamMap, MapSet, Sigma};
use crate::units::{ARC_SECOND, SPEED_OF_LIGHT};

/// Whose layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    Pyoof,
    Gbt,
}

/// Whether a layout has room for maps, whose samples need not be there yet.
///
/// # Errors
/// What it has no room for.
pub fn check_layout(maps: &MapSet, layout: Layout) -> Result<()> {
    let pyoof = layout == Layout::Pyoof;
    let lost = [
        (!maps.shift.is_empty(), "a sub-reflector that is moved sideways"),
        (maps.blur().bandwidth > 0.0, "a bandwidth"),
        (maps.maps.iter().any(|m| m.known() < m.power.len()), "blanks"),
        (pyoof && maps.chop.is_some(), "a second beam"),
        (pyoof && maps.blur().radius > 0.0, "a source that is a disc"),
    ];
    if let Some((_, what)) = lost.iter().find(|(lost, _)| *lost) {
        let name = if pyoof { "pyoof" } else { "gbt" };
        return Err(Error::usage(format!("--format {name} has no place for {what}")));
    }
    let rasters = maps.maps.iter().all(|map| map.sampling.is_raster());
    let names: Vec<&str> = maps.maps.iter().map(name_of).collect();
    let all = ["MINUS OOF", "ZERO OOF", "PLUS OOF"].iter().all(|name| names.contains(name));
    if pyoof && !(names.len() == 3 && all && rasters) {
        return Err(Error::usage(
            "--format pyoof holds three rasters, with the sub-reflector below, at and above focus; give \
             --defocus, as in --defocus=-25mm,0mm,25mm",
        ));
    }
    Ok(())
}

/// The maps in another package's layout. `provenance` becomes HISTORY cards.
///
/// # Errors
/// Maps that the layout has no room for, and those that [`super::read_maps`] would refuse.
pub fn write_foreign(maps: &MapSet, provenance: &[String], layout: Layout) -> Result<Vec<u8>> {
    if maps.maps.is_empty() {
        return Err(Error::failed("there are no maps to write"));
    }
    check_layout(maps, layout)?;
    let mut writer = Writer::new()?;
    write_primary(&mut writer, maps, layout)?;
    write_provenance(&mut writer, provenance)?;
    for (i, map) in maps.maps.iter().enumerate() {
        let name = format!("MAP{i}");
        check_map(map, &name, false)?;
        power::check(&map.power, map.sampling.len(), &name)?;
        match layout {
            Layout::Pyoof => write_pyoof(&mut writer, map)?,
            Layout::Gbt => write_gbt(&mut writer, map, &name)?,
        }
        writer.number("DZ", map.defocus, "[m] sub-reflector displacement")?;
    }
    writer.finish()
}

fn write_primary(writer: &mut Writer, maps: &MapSet, layout: Layout) -> Result<()> {
    let wavelength = maps.wavelength.ok_or_else(|| Error::failed("maps without a wavelength"))?;
    let telescope = maps.telescope.as_deref().unwrap_or_default();
    writer.number("FREQ", SPEED_OF_LIGHT / wavelength, "[Hz]")?;
    // pyoof wants them all. (The date depends on no clock.)
    let wanted = layout == Layout::Pyoof;
    match &maps.object {
        None if wanted => writer.text("OBJECT", "", "not known")?,
        None => {}
        Some(object) => writer.text("OBJECT", object, "source")?,
    }
    match maps.elevation {
        None if wanted => writer.number("MEANEL", 0.0, "[deg] not known")?,
        None => {}
        Some(elevation) => writer.number("MEANEL", elevation.to_degrees(), "[deg]")?,
    }
    match layout {
        Layout::Pyoof => {
            writer.text("TELESCOP", telescope, "")?;
            writer.number("WAVEL", wavelength, "[m]")?;
            writer.text("DATE_OBS", "", "not known")
        }
        Layout::Gbt => {
            writer.text("TELESC", telescope, "")?;
            if let Some(chop) = maps.chop {
                let comment = "[arcsec] second, negative beam at u + CHOPTHR";
                writer.number("CHOPTHR", chop * (1.0 / ARC_SECOND), comment)?;
            }
            writer.number("OBJRADS", maps.blur().radius, "[rad] radius of the source")
        }
    }
}

/// The name of a table, by which pyoof finds its three.
fn name_of(map: &BeamMap) -> &'static str {
    match map.defocus {
        dz if dz < 0.0 => "MINUS OOF",
        dz if dz > 0.0 => "PLUS OOF",
        _ => "ZERO OOF",
    }
}

fn write_pyoof(writer: &mut Writer, map: &BeamMap) -> Result<()> {
    let (u, v) = map.sampling.points();
    let columns = [
        ("U", "rad", Values::Numbers(u.into())),
        ("V", "rad", Values::Numbers(v.into())),
        ("BEAM", "", Values::Numbers((&map.power).into())),
    ];
    writer.table(name_of(map), &columns)
}

/// OOF's positions are the pointing minus the source.
fn write_gbt(writer: &mut Writer, map: &BeamMap, name: &str) -> Result<()> {
    let (mut u, mut v) = map.sampling.points();
    u.iter_mut().chain(&mut v).for_each(|x| *x = -*x);
    let sigma = match &map.sigma {
        Sigma::Unknown => None,
        Sigma::Constant(sigma) => Some(vec![*sigma; u.len()]),
        Sigma::PerSample(each) => Some(each.clone()),
    };
    let mut columns = vec![
        ("DX", "rad", Values::Numbers(u.into())),
        ("DY", "rad", Values::Numbers(v.into())),
        ("FNU", "", Values::Numbers((&map.power).into())),
    ];
    columns.extend(sigma.map(|each| ("UFNU", "", Values::Numbers(each.into()))));
    // When they were taken is not known.
    columns.push(("TIME", "d", Values::Numbers(vec![0.0; map.power.len()].into())));
    writer.table(name, &columns)
}
