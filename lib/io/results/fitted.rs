//! A fit's FITS file read back: all that its picture needs.

use crate::error::{Error, Result};
use crate::fit::flags::Flag;
use crate::fit::result::{
    FitResult, Images, LikelihoodSummary, MapSummary, ParameterSummary, SurfaceSummary,
};
use crate::io::fits::memory::Reader;
use crate::io::fits::{Content, Unit, read_map, read_wavelength};
use crate::optics::beam_map::{BeamMap, MapSet};
use ndarray::Array2;

/// The fit in `bytes` and the maps it is of; `None` where they hold something else. `place` is the file's
/// name. Errors and what else no picture shows stay away.
///
/// # Errors
/// Damaged files, and fits that lack a table or an image that [`super::write_fits`] writes.
pub fn read_fit(bytes: &[u8], place: &str) -> Result<Option<(FitResult, MapSet)>> {
    if !bytes.starts_with(b"SIMPLE") {
        return Ok(None);
    }
    let mut reader = Reader::open(bytes, place)?;
    if reader.text(0, "OOFTYPE")?.as_deref() != Some("FIT") {
        return Ok(None);
    }
    let units = reader.units();
    let (amplitude, half_width) = on_dish(&mut reader, &units, "AMPLITUDE", place)?;
    let (phase, _) = on_dish(&mut reader, &units, "PHASE", place)?;
    let wavelength = read_wavelength(&mut reader)?;
    let mut set = MapSet {
        object: reader.text(0, "OBJECT")?,
        elevation: reader.number(0, "MEANEL")?.map(f64::to_radians),
        ..MapSet::default()
    };
    let mut images =
        Images { amplitude, phase, aperture_half_width_m: half_width, ..Images::default() };
    let maps = summaries(&mut reader, &units, place)?;
    for (i, summary) in maps.iter().enumerate() {
        let mut one = |name: String| -> Result<BeamMap> {
            let unit = unit(&units, &name, place)?;
            read_map(&mut reader, unit)
        };
        let (model, residual) = (one(format!("MODEL{i}"))?, one(format!("RESIDUAL{i}"))?);
        if model.sampling != residual.sampling {
            let what = format!("MODEL{i} and RESIDUAL{i} have different samples");
            return Err(Error::input(place, what));
        }
        let power = model.power.iter().zip(&residual.power).map(|(model, left)| model + left);
        set.maps.push(BeamMap { name: summary.name.clone(), power: power.collect(), ..residual });
        images.model.push(model.power);
    }
    let parameters = parameters(&mut reader, &units, place)?;
    let mut text = |key: &str| -> Result<String> {
        let missing = || Error::input(place, format!("the primary header has no {key}"));
        reader.text(0, key)?.ok_or_else(missing)
    };
    let (telescope, illumination) = (text("TELESCOP")?, text("ILLUM")?);
    let (status, kind) = (text("STATUS")?, text("LIKELIHD")?);
    let message = reader.text(0, "MESSAGE")?.unwrap_or_default();
    let mut flags = Vec::new();
    while let Some(flag) = reader.text(0, &format!("FLAG{}", flags.len() + 1))? {
        let (name, reason) = flag.split_once(": ").unwrap_or((&flag, ""));
        flags.push(Flag { name: name.into(), reason: reason.into() });
    }
    let mut number = |key: &str| reader.number(0, key);
    let mut known = |key: &str| Ok::<f64, Error>(number(key)?.unwrap_or(f64::NAN));
    let result = FitResult {
        telescope,
        wavelength_m: wavelength.unwrap_or(f64::NAN),
        // A number that is none of an order is shown as 0.
        order: known("ORDER")? as u32,
        illumination,
        likelihood: LikelihoodSummary { kind, scale: known("LIKESCAL")?, fitted: false },
        status,
        message,
        flags,
        negative_log_likelihood: known("NEGLOGL")?,
        parameters,
        maps,
        surface: SurfaceSummary {
            phase_rms_rad: known("PHASERMS")?,
            surface_rms_m: known("SURFRMS")?,
            ruze_efficiency: known("RUZE")?,
            surface_rms_sigma_m: number("SURFSIG")?,
            surface_rms_of_errors_m: number("SURFERR")?,
            ..SurfaceSummary::default()
        },
        reduced_chi2: number("REDCHI2")?,
        images,
        ..FitResult::default()
    };
    Ok(Some((result, set)))
}

fn unit<'a>(units: &'a [Unit], name: &str, place: &str) -> Result<&'a Unit> {
    let found = units.iter().find(|unit| unit.name == name);
    found.ok_or_else(|| Error::input(place, format!("a fit's result without {name}")))
}

/// An image across the dish `(y, x)`, and half its width in metres.
fn on_dish(
    reader: &mut Reader,
    units: &[Unit],
    name: &str,
    place: &str,
) -> Result<(Array2<f64>, f64)> {
    let unit = unit(units, name, place)?;
    let at = reader.place(unit.number);
    let Content::Image { axes, .. } = &unit.content else {
        return Err(Error::input(at, format!("found {}, expected an image", unit.describe())));
    };
    let [columns, rows] = axes[..] else {
        return Err(Error::input(at, format!("an image of {} axes, expected 2", axes.len())));
    };
    let image = Array2::from_shape_vec((rows, columns), reader.image(unit.number)?);
    let image = image.map_err(|e| Error::input(&at, e))?;
    let step = reader.number(unit.number, "CDELT1")?;
    let step = step.ok_or_else(|| Error::input(at, "no key CDELT1"))?;
    Ok((image, 0.5 * step * columns as f64))
}

fn parameters(reader: &mut Reader, units: &[Unit], place: &str) -> Result<Vec<ParameterSummary>> {
    let table = unit(units, "PARAMETERS", place)?.number;
    let mut column = |name| reader.numbers(table, name);
    let (n, l, value) = (column("N")?, column("L")?, column("VALUE")?);
    let (sigma, free) = (column("SIGMA")?, column("FREE")?);
    let (names, unit) = (reader.texts(table, "NAME")?, reader.texts(table, "UNIT")?);
    let one = |(i, name): (usize, String)| ParameterSummary {
        name,
        // -1 is no Zernike coefficient.
        n: (n[i] >= 0.0).then_some(n[i] as u32),
        l: (n[i] >= 0.0).then_some(l[i] as i32),
        value: value[i],
        sigma: Some(sigma[i]).filter(|sigma| sigma.is_finite()),
        unit: unit[i].clone(),
        free: free[i] != 0.0,
        at_bound: false,
    };
    Ok(names.into_iter().enumerate().map(one).collect())
}

fn summaries(reader: &mut Reader, units: &[Unit], place: &str) -> Result<Vec<MapSummary>> {
    let table = unit(units, "MAPS", place)?.number;
    let mut column = |name| reader.numbers(table, name);
    let (defocus, samples, blanks) = (column("DEFOCUS")?, column("SAMPLES")?, column("BLANKS")?);
    let (peak, rms, over_peak) = (column("PEAK")?, column("RESRMS")?, column("RESRMSPK")?);
    // Older files have none.
    let scale = match reader.find_column(table, &["SCALE"]) {
        Some(column) => reader.column(table, column)?,
        None => vec![f64::NAN; peak.len()],
    };
    let names = reader.texts(table, "NAME")?;
    let one = |(i, name): (usize, String)| MapSummary {
        name,
        defocus_m: defocus[i],
        shift_m: None,
        samples: samples[i] as usize,
        blanks: blanks[i] as usize,
        peak: peak[i],
        residual_rms: rms[i],
        residual_rms_over_peak: over_peak[i],
        scale: scale[i],
    };
    Ok(names.into_iter().enumerate().map(one).collect())
}

#[cfg(test)]
mod tests {
    use super::super::{tests, write_fits};
    use super::*;

    #[test]
    fn what_a_picture_needs_comes_back() {
        let (written, mut maps) = (tests::result(), tests::maps());
        maps.object = Some("3C84".into());
        maps.elevation = Some(0.7);
        let bytes = write_fits(&written, &maps, &[]).unwrap();
        let (result, set) = read_fit(&bytes, "x").unwrap().unwrap();
        let json = |of: &dyn Fn(&FitResult) -> serde_json::Value| (of(&result), of(&written));
        for (read, written) in [
            json(&|r| serde_json::to_value(&r.parameters).unwrap()),
            json(&|r| serde_json::to_value(&r.maps).unwrap()),
            json(&|r| serde_json::to_value(&r.surface).unwrap()),
            json(&|r| serde_json::to_value(&r.likelihood).unwrap()),
            json(&|r| (r.telescope.clone() + &r.illumination + &r.status).into()),
            json(&|r| serde_json::to_value((r.order, r.wavelength_m, r.reduced_chi2)).unwrap()),
        ] {
            assert_eq!(read, written);
        }
        assert_eq!(result.images.amplitude, written.images.amplitude);
        assert!(result.images.phase.iter().all(|p| p.is_nan()));
        assert!((result.images.aperture_half_width_m - 1.4).abs() < 1e-12);
        assert_eq!(result.images.model, written.images.model);
        assert_eq!(set.object, maps.object);
        assert!((set.elevation.unwrap() - 0.7).abs() < 1e-15);
        for (read, map) in set.maps.iter().zip(&maps.maps) {
            assert_eq!((&read.name, read.defocus), (&map.name, map.defocus));
            assert_eq!(read.sampling, map.sampling);
            for (a, b) in read.power.iter().zip(&map.power) {
                // Taken apart and added again.
                assert!((a - b).abs() <= 2.0 * f64::EPSILON || (a.is_nan() && b.is_nan()));
            }
        }
    }

    #[test]
    fn maps_are_no_fit_and_a_damaged_fit_is_told() {
        let maps = crate::io::fits::write_maps(&tests::maps(), &[], crate::device::Precision::F64);
        assert!(read_fit(&maps.unwrap(), "x").unwrap().is_none());
        assert!(read_fit(b"0 0 1\n", "x").unwrap().is_none());
        let bytes = write_fits(&tests::result(), &tests::maps(), &[]).unwrap();
        for (from, to) in [(&b"PHASE   "[..], &b"PHOSE   "[..]), (b"RESIDUAL1", b"RESIDUAL7")] {
            let mut broken = bytes.clone();
            let at = broken.windows(from.len()).position(|w| w == from).unwrap();
            broken[at..at + to.len()].copy_from_slice(to);
            let error = read_fit(&broken, "a.fits").unwrap_err().to_string();
            assert!(error.starts_with("a.fits") && error.contains("without"), "{error}");
        }
    }
}
