//! Beam maps to FITS, in our own layout (see [`crate::io::fits`]).

use super::axis::LinearAxis;
use super::memory::{Values, Writer};
use crate::device::Precision;
use crate::error::{Error, Result};
use crate::io::power;
use crate::optics::aperture::ApertureKind;
use crate::optics::beam_map::{BeamMap, Blur, MapSet, Sampling, Sigma};
use crate::units::SPEED_OF_LIGHT;

/// The conventions that every file of ours repeats.
const CONVENTIONS: [&str; 9] = [
    "u, v: offsets on the sky from the pointing centre, radians: U0 and V0 at",
    "pixel CRPIX, steps DU and DV; the WCS says the same in degrees.",
    "Far field: sum of E(x,y) exp(-2 pi i (u x + v y)/lambda) dx dy/(pi R^2);",
    "a map is its squared modulus.",
    "Defocus by DZ: E = B A exp(i (phase + 2 pi path(x,y;DZ)/lambda)).",
    "Zernike zj: OSA/ANSI j = (n(n+2)+l)/2 from 0, 1 on the rim, l < 0 sine;",
    "radians of aperture phase. Surface (half path) = phase lambda/(4 pi).",
    "Table TRUTH, where there is one, has the parameters that made simulated",
    "maps; cards with the comment 'true ...' repeat them.",
];

/// Keys of a primary header that no parameter's card may repeat.
const TAKEN: [&str; 24] = [
    "SIMPLE", "BITPIX", "NAXIS", "EXTEND", "END", "OOFTYPE", "TELESCOP", "WAVELEN", "FREQ",
    "ORIGIN", "CREATOR", "OBJECT", "MEANEL", "ILLUM", "NOISEADD", "NOISEMUL", "NOISEOUT", "SEED",
    "APERTURE", "APPOINTS", "APEXTENT", "CHOP", "SRCRAD", "BANDWID",
];

/// Parameters of one map, `name[i]`, and their keys in the map's header.
const OF_A_MAP: [(&str, &str, &str); 4] = [
    ("gain", "GAIN", "true gain"),
    ("dx", "OFFX", "[rad] true pointing offset in u"),
    ("dy", "OFFY", "[rad] true pointing offset in v"),
    ("background", "BACKGND", "true background"),
];

/// The maps as a FITS file. `provenance` (the options of the command line, a text each) becomes
/// HISTORY cards; `precision` is that of the samples.
///
/// # Errors
/// Maps that [`super::read_maps`] would refuse, and numbers that a header cannot hold.
pub fn write_maps(maps: &MapSet, provenance: &[String], precision: Precision) -> Result<Vec<u8>> {
    if maps.maps.is_empty() {
        return Err(Error::failed("there are no maps to write"));
    }
    let mut writer = Writer::new()?;
    write_primary(&mut writer, maps)?;
    write_provenance(&mut writer, provenance)?;
    for (i, map) in maps.maps.iter().enumerate() {
        let name = format!("MAP{i}");
        let (Sampling::Raster { u, .. } | Sampling::Scattered { u, .. }) = &map.sampling;
        power::check(&map.power, u.len(), &name)?;
        write_map(&mut writer, map, &name, precision)?;
        for (key, value) in ["SHIFTX", "SHIFTY"].iter().zip(maps.shift.get(i).into_iter().flatten())
        {
            writer.number(key, *value, "[m] sub-reflector displaced sideways")?;
        }
        for (name, key, comment) in OF_A_MAP {
            let name = format!("{name}[{i}]");
            if let Some((_, value)) = maps.truth.iter().find(|t| t.0 == name) {
                writer.number(key, *value, comment)?;
            }
        }
    }
    if !maps.truth.is_empty() {
        let (names, values): (Vec<String>, Vec<f64>) = maps.truth.iter().cloned().unzip();
        let columns =
            [("NAME", "", Values::Texts(names)), ("VALUE", "", Values::Numbers(values.into()))];
        writer.table("TRUTH", &columns)?;
    }
    writer.finish()
}

fn write_primary(writer: &mut Writer, maps: &MapSet) -> Result<()> {
    writer.text("OOFTYPE", "MAPS", "what this file holds")?;
    write_observation(writer, maps, maps.telescope.as_deref(), maps.wavelength)?;
    if let Some(chop) = maps.chop {
        writer.number("CHOP", chop, "[rad] second, negative beam at u + CHOP")?;
    }
    write_blur(writer, maps.blur())?;
    if let Some(kind) = &maps.illumination {
        writer.text("ILLUM", kind, "kind of illumination")?;
    }
    if let Some(noise) = maps.noise {
        let keys = [
            ("NOISEADD", noise.additive, "noise as a fraction of the peak"),
            ("NOISEMUL", noise.multiplicative, "noise as a fraction of the power"),
            ("NOISEOUT", noise.outliers, "fraction of glitches"),
        ];
        for (key, value, comment) in keys {
            writer.number(key, value, comment)?;
        }
    }
    if let Some(seed) = maps.seed {
        match i64::try_from(seed) {
            Ok(seed) => writer.integer("SEED", seed, "of the noise")?,
            Err(_) => writer.text("SEED", &seed.to_string(), "of the noise")?,
        }
    }
    if let Some(grid) = maps.aperture {
        let kind = match grid.kind {
            ApertureKind::Smooth => "smooth",
            ApertureKind::Hard => "hard",
        };
        writer.text("APERTURE", kind, "how the dish was sampled")?;
        let points = i64::try_from(grid.points).map_err(Error::failed)?;
        writer.integer("APPOINTS", points, "aperture samples a side")?;
        writer.number("APEXTENT", grid.extent, "[dish radii] half its width")?;
    }
    for (name, value) in &maps.truth {
        if let Some(key) = card_of(name) {
            writer.number(&key, *value, "true value")?;
        }
    }
    for line in CONVENTIONS {
        writer.comment(line)?;
    }
    Ok(())
}

/// The cards that maps and results have in common.
pub(in crate::io) fn write_observation(
    writer: &mut Writer,
    maps: &MapSet,
    telescope: Option<&str>,
    wavelength: Option<f64>,
) -> Result<()> {
    writer.text("ORIGIN", "oof", "")?;
    writer.text("CREATOR", concat!("oof ", env!("CARGO_PKG_VERSION")), "")?;
    if let Some(telescope) = telescope {
        writer.text("TELESCOP", telescope, "")?;
    }
    if let Some(wavelength) = wavelength {
        writer.number("WAVELEN", wavelength, "[m]")?;
        writer.number("FREQ", SPEED_OF_LIGHT / wavelength, "[Hz]")?;
    }
    if let Some(object) = &maps.object {
        writer.text("OBJECT", object, "source")?;
    }
    if let Some(elevation) = maps.elevation {
        writer.number("MEANEL", elevation.to_degrees(), "[deg] mean elevation")?;
    }
    Ok(())
}

/// What blurs the maps, where anything does.
pub(in crate::io) fn write_blur(writer: &mut Writer, blur: Blur) -> Result<()> {
    let keys = [
        ("SRCRAD", blur.radius, "[rad] radius of the source, a uniform disc"),
        ("BANDWID", blur.bandwidth, "[Hz] full width of the band about FREQ"),
    ];
    let above = keys.into_iter().filter(|(_, value, _)| *value > 0.0);
    for (key, value, comment) in above {
        writer.number(key, value, comment)?;
    }
    Ok(())
}

/// How the file came to be, an option a card.
pub(in crate::io) fn write_provenance(writer: &mut Writer, provenance: &[String]) -> Result<()> {
    provenance.iter().try_for_each(|line| writer.history(line))
}

/// The key under which people find a parameter in the primary header, where one fits.
fn card_of(name: &str) -> Option<String> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    let key = name.to_ascii_uppercase();
    let fits = (1..=8).contains(&name.len()) && name.bytes().all(plain);
    (fits && !TAKEN.contains(&key.as_str())).then_some(key)
}

/// Adds one map under the name `name`: an image where its samples are a raster of equal steps with
/// one noise for all, else a table.
pub(in crate::io) fn write_map(
    writer: &mut Writer,
    map: &BeamMap,
    name: &str,
    precision: Precision,
) -> Result<()> {
    let single = precision == Precision::F32;
    check_map(map, name, single)?;
    let axes = match (&map.sampling, &map.sigma) {
        (_, Sigma::PerSample(_)) | (Sampling::Scattered { .. }, _) => None,
        (Sampling::Raster { u, v }, _) => LinearAxis::of(u).zip(LinearAxis::of(v)),
    };
    match (&map.sampling, axes) {
        (Sampling::Raster { u, v }, Some((u_axis, v_axis))) => {
            writer.image(name, [u.len(), v.len()], &map.power, single)?;
            write_axis(writer, 1, "U", u_axis)?;
            write_axis(writer, 2, "V", v_axis)?;
            writer.text("WCSNAME", "OFFSET", "offsets from the pointing centre")?;
        }
        (sampling, _) => {
            let (u, v) = sampling.points();
            let power = match single {
                true => Values::Singles((&map.power).into()),
                false => Values::Numbers((&map.power).into()),
            };
            let mut columns = vec![
                ("U", "rad", Values::Numbers(u.into())),
                ("V", "rad", Values::Numbers(v.into())),
                ("POWER", "", power),
            ];
            if let Sigma::PerSample(sigma) = &map.sigma {
                columns.push(("SIGMA", "", Values::Numbers(sigma.into())));
            }
            writer.table(name, &columns)?;
        }
    }
    writer.number("DZ", map.defocus, "[m] sub-reflector displacement")?;
    if let Sigma::Constant(sigma) = map.sigma {
        writer.number("SIGMA", sigma, "one standard deviation of the noise")?;
    }
    Ok(())
}

/// Axis 1 or 2 in radians to the last bit, and in degrees for viewers.
fn write_axis(writer: &mut Writer, axis: u8, name: &str, linear: LinearAxis) -> Result<()> {
    let key = |stem: &str| format!("{stem}{axis}");
    writer.text(&key("CTYPE"), name, "linear offset")?;
    writer.text(&key("CUNIT"), "deg", "")?;
    writer.number(&key("CRPIX"), linear.reference + 1.0, "reference pixel, from 1")?;
    writer.number(&key("CRVAL"), linear.start.to_degrees(), "[deg]")?;
    writer.number(&key("CDELT"), linear.step.to_degrees(), "[deg]")?;
    writer.number(&format!("{name}0"), linear.start, "[rad] at CRPIX")?;
    writer.number(&format!("D{name}"), linear.step, "[rad] step")
}

/// Refuses a map whose parts do not belong together.
pub(super) fn check_map(map: &BeamMap, name: &str, single: bool) -> Result<()> {
    let samples = map.sampling.len();
    let wrong = |what: String| Err(Error::failed(format!("{name}: {what}")));
    if let Sampling::Scattered { u, v } = &map.sampling
        && u.len() != v.len()
    {
        return wrong(format!("{} values of u, but {} of v", u.len(), v.len()));
    }
    if map.power.len() != samples {
        return wrong(format!("{} samples, but {samples} positions", map.power.len()));
    }
    match &map.sigma {
        Sigma::PerSample(sigma) if sigma.len() != samples => {
            return wrong(format!("{} sigmas for {samples} samples", sigma.len()));
        }
        _ => {}
    }
    match single {
        true => power::check_single(&map.power, name),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_conventions_fits_on_a_card() {
        for line in CONVENTIONS {
            assert!(line.is_ascii() && line.len() <= 72, "{line}");
        }
    }

    #[test]
    fn only_names_that_fit_become_cards() {
        assert_eq!(card_of("z5").as_deref(), Some("Z5"));
        assert_eq!(card_of("taper").as_deref(), Some("TAPER"));
        for name in ["gain[0]", "freq", "a longer name", "", "ninechars"] {
            assert_eq!(card_of(name), None, "{name}");
        }
    }
}
