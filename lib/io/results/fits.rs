//! Everything that a fit found, as FITS.

use super::json::check_finite;
use crate::device::Precision;
use crate::error::{Error, Result};
use crate::fit::result::{FitResult, MapSummary, OrderSummary, ParameterSummary};
use crate::fit::sampling::Posterior;
use crate::io::fits::memory::{Values, Writer};
use crate::io::fits::{write_blur, write_map, write_observation, write_provenance};
use crate::optics::beam_map::{BeamMap, Blur, MapSet, Sigma};
use ndarray::Array2;

/// The result as a FITS file (layout: [`crate::io::results`]). `maps` are the data that were fitted, as
/// many as the result has models; `provenance` becomes HISTORY cards.
///
/// # Errors
/// Numbers that are not finite, by their key; models that do not match the maps.
pub fn write_fits(result: &FitResult, maps: &MapSet, provenance: &[String]) -> Result<Vec<u8>> {
    check_finite(result)?;
    let models = &result.images.model;
    if models.len() != maps.maps.len() {
        return Err(Error::failed(format!("{} models of {} maps", models.len(), maps.maps.len())));
    }
    let mut writer = Writer::new()?;
    write_primary(&mut writer, result, maps)?;
    write_provenance(&mut writer, provenance)?;
    write_parameters(&mut writer, &result.parameters)?;
    write_summaries(&mut writer, &result.maps)?;
    write_orders(&mut writer, &result.orders)?;
    if let Some(posterior) = &result.posterior {
        write_posterior(&mut writer, posterior)?;
    }
    if let Some(covariance) = result.covariance.as_ref().filter(|c| !c.is_empty()) {
        write_image(&mut writer, "COVARIANCE", covariance)?;
        let free = result.parameters.iter().filter(|p| p.free);
        for (i, parameter) in free.enumerate() {
            writer.text(&format!("PAR{}", i + 1), &parameter.name, "")?;
        }
    }
    let images = &result.images;
    for (name, image, in_unit, unit) in [
        ("AMPLITUDE", &images.amplitude, 1.0, ""),
        ("PHASE", &images.phase, 1.0, "rad"),
        ("SURFACE", &images.surface, 1e6, "um"),
        ("SURFSIG", &images.surface_sigma, 1e6, "um"),
    ] {
        if image.is_empty() {
            continue;
        }
        write_image(&mut writer, name, &(image * in_unit))?;
        write_dish_axes(&mut writer, image.dim(), images.aperture_half_width_m)?;
        if !unit.is_empty() {
            writer.text("BUNIT", unit, "")?;
        }
        if unit == "um" {
            write_sense(&mut writer)?;
        }
    }
    for (i, (map, model)) in maps.maps.iter().zip(models).enumerate() {
        write_fitted(&mut writer, i, map, model)?;
    }
    writer.finish()
}

fn write_primary(writer: &mut Writer, result: &FitResult, maps: &MapSet) -> Result<()> {
    writer.text("OOFTYPE", "FIT", "what this file holds")?;
    write_observation(writer, maps, Some(&result.telescope), Some(result.wavelength_m))?;
    write_blur(writer, Blur { radius: result.source_radius_rad, bandwidth: result.bandwidth_hz })?;
    writer.text("TOOL", &result.tool, "")?;
    writer.text("VERSION", &result.version, "of the tool")?;
    writer.text("ILLUM", &result.illumination, "kind of illumination")?;
    writer.integer("ORDER", result.order.into(), "highest radial order")?;
    writer.text("BACKEND", &result.backend, "")?;
    writer.text("PRECIS", &result.precision, "of the computation")?;
    writer.integer("THREADS", count(result.threads), "")?;
    writer.text("LIKELIHD", &result.likelihood.kind, "kind of likelihood")?;
    let scale = result.likelihood.scale;
    writer.number("LIKESCAL", scale, "scale of residuals, map 0, over its peak")?;
    writer.text("STATUS", &result.status, "")?;
    writer.text("MESSAGE", &result.message, "")?;
    let surface = &result.surface;
    let numbers = [
        ("NEGLOGL", Some(result.negative_log_likelihood), "-ln likelihood"),
        ("REDCHI2", result.reduced_chi2, "reduced chi-square"),
        ("PHASERMS", Some(surface.phase_rms_rad), "[rad] weighted rms"),
        ("SURFRMS", Some(surface.surface_rms_m), "[m] half path"),
        ("SURFSIG", surface.surface_rms_sigma_m, "[m] sigma of SURFRMS"),
        ("SURFERR", surface.surface_rms_of_errors_m, "[m] rms that errors alone would make"),
        ("WAVERMS", Some(surface.wavefront_rms_m), "[m] whole path"),
        ("RUZE", Some(surface.ruze_efficiency), "Ruze efficiency"),
        ("RUZESIG", surface.ruze_efficiency_sigma, "sigma of RUZE"),
        ("SURFRMSN", Some(surface.surface_rms_without_focus_m), "[m] half path, without z4"),
        ("RUZENOF", Some(surface.ruze_efficiency_without_focus), "without z4"),
        ("TREAD", result.seconds.map(|s| s.read), "[s]"),
        ("TSETUP", result.seconds.map(|s| s.setup), "[s]"),
        ("TMINIM", result.seconds.map(|s| s.minimise), "[s]"),
        ("TTOTAL", result.seconds.map(|s| s.total), "[s]"),
    ];
    for (key, value, comment) in numbers {
        if let Some(value) = value {
            writer.number(key, value, comment)?;
        }
    }
    for (i, flag) in result.flags.iter().enumerate() {
        writer.text(&format!("FLAG{}", i + 1), &format!("{}: {}", flag.name, flag.reason), "")?;
    }
    let evaluations = result.evaluations;
    writer.integer("EVCOARSE", count(evaluations.coarse), "coarse evaluations")?;
    writer.integer("EVFULL", count(evaluations.full), "evaluations on all data")?;
    for line in [
        "Zernike zj: OSA/ANSI j = (n(n+2)+l)/2 from 0, 1 on the rim, l < 0 sine;",
        "radians of aperture phase. Surface (half path) = phase lambda/(4 pi).",
        "RESIDUALi is map i minus MODELi. Units are SI, but for SURFACE and",
        "SURFSIG [um] and MEANEL [deg].",
    ] {
        writer.comment(line)?;
    }
    Ok(())
}

/// A count for a header; none comes near the limit.
fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// The same for a column.
fn short<N>(n: N) -> i32
where
    i32: TryFrom<N>,
{
    i32::try_from(n).unwrap_or(i32::MAX)
}

fn write_parameters(writer: &mut Writer, parameters: &[ParameterSummary]) -> Result<()> {
    let all = || parameters.iter();
    let order = |p: &ParameterSummary| p.n.map_or(-1, short);
    let columns = [
        ("NAME", "", Values::Texts(all().map(|p| p.name.clone()).collect())),
        ("N", "", Values::Integers(all().map(order).collect())),
        ("L", "", Values::Integers(all().map(|p| p.l.unwrap_or(0)).collect())),
        ("VALUE", "", Values::Numbers(all().map(|p| p.value).collect())),
        ("SIGMA", "", Values::Numbers(all().map(|p| p.sigma.unwrap_or(f64::NAN)).collect())),
        ("UNIT", "", Values::Texts(all().map(|p| p.unit.clone()).collect())),
        ("FREE", "", Values::Integers(all().map(|p| p.free.into()).collect())),
    ];
    writer.table("PARAMETERS", &columns)
}

fn write_summaries(writer: &mut Writer, maps: &[MapSummary]) -> Result<()> {
    let numbers = |of: fn(&MapSummary) -> f64| Values::Numbers(maps.iter().map(of).collect());
    let counts =
        |of: fn(&MapSummary) -> usize| Values::Integers(maps.iter().map(of).map(short).collect());
    let mut columns = vec![
        ("NAME", "", Values::Texts(maps.iter().map(|m| m.name.clone()).collect())),
        ("DEFOCUS", "m", numbers(|m| m.defocus_m)),
        ("SAMPLES", "", counts(|m| m.samples)),
        ("BLANKS", "", counts(|m| m.blanks)),
        ("PEAK", "", numbers(|m| m.peak)),
        ("RESRMS", "", numbers(|m| m.residual_rms)),
        ("RESRMSPK", "", numbers(|m| m.residual_rms_over_peak)),
        ("SCALE", "", numbers(|m| m.scale)),
    ];
    if maps.iter().any(|m| m.shift_m.is_some()) {
        columns.push(("SHIFTX", "m", numbers(|m| m.shift_m.map_or(0.0, |shift| shift[0]))));
        columns.push(("SHIFTY", "m", numbers(|m| m.shift_m.map_or(0.0, |shift| shift[1]))));
    }
    writer.table("MAPS", &columns)
}

/// What a surface map's numbers mean.
fn write_sense(writer: &mut Writer) -> Result<()> {
    writer.text("PATH", "half", "surface; the wavefront is twice that")?;
    writer.text("WEIGHTS", "illumination", "of the mean that is taken out")?;
    for line in [
        "Surface error, half path = phase lambda/(4 pi), micrometres; piston (the mean",
        "weighted by the illumination) and tilt taken out, focus not. Positive: the",
        "way of the light is too long, the surface lies too far from the focus. A",
        "correction is minus this. SURFSIG is one standard deviation of SURFACE.",
    ] {
        writer.comment(line)?;
    }
    Ok(())
}

/// The draws, a row each.
fn write_posterior(writer: &mut Writer, posterior: &Posterior) -> Result<()> {
    let chains = (0..posterior.values.nrows()).map(|row| short(posterior.chain_of(row)));
    // A column's name has letters, digits and underscores.
    let name = |name: &str| name.replace('[', "_").replace(']', "");
    let names: Vec<String> = posterior.names().map(name).collect();
    let units = posterior.parameters.iter().chain(&posterior.derived).map(|q| q.unit.as_str());
    let values = posterior.values.columns().into_iter().map(|column| column.to_vec());
    let mut columns = vec![("CHAIN", "", Values::Integers(chains.collect()))];
    let rest = names.iter().zip(units).zip(values);
    columns.extend(rest.map(|((name, unit), values)| {
        // What is no unit of the standard is left out: a map's own, dish radii.
        let unit = if ["rad", "m"].contains(&unit) { unit } else { "" };
        (name.as_str(), unit, Values::Numbers(values.into()))
    }));
    writer.table("POSTERIOR", &columns)?;
    writer.number("POWER", posterior.power, "of the likelihood")?;
    writer.text("SEED", &posterior.seed.to_string(), "of the draws")?;
    writer.number("ACCEPT", posterior.acceptance, "mean acceptance of the sampler")?;
    writer.integer("DIVERGE", count(posterior.divergences), "trajectories that broke off")?;
    writer.integer("EVALS", count(posterior.evaluations), "values and gradients")
}

/// The orders that were compared.
fn write_orders(writer: &mut Writer, orders: &[OrderSummary]) -> Result<()> {
    if orders.is_empty() {
        return Ok(());
    }
    let numbers = |of: fn(&OrderSummary) -> f64| Values::Numbers(orders.iter().map(of).collect());
    let columns = [
        ("ORDER", "", Values::Integers(orders.iter().map(|o| short(o.order)).collect())),
        ("FREE", "", Values::Integers(orders.iter().map(|o| short(o.parameters)).collect())),
        ("STATUS", "", Values::Texts(orders.iter().map(|o| o.status.clone()).collect())),
        ("CHI2", "", numbers(|o| o.chi2)),
        ("BIC", "", numbers(|o| o.bic)),
        ("SURFRMS", "m", numbers(|o| o.surface_rms_m)),
    ];
    writer.table("ORDERS", &columns)
}

fn write_image(writer: &mut Writer, name: &str, image: &Array2<f64>) -> Result<()> {
    let (rows, columns) = image.dim();
    let pixels: Vec<f64> = image.iter().copied().collect();
    writer.image(name, [columns, rows], &pixels, false)
}

/// The coordinates of an image across the dish, metres: its pixels cover `2 half_width` a side.
fn write_dish_axes(writer: &mut Writer, size: (usize, usize), half_width: f64) -> Result<()> {
    for (axis, name, pixels) in [(1, "X", size.1), (2, "Y", size.0)] {
        let key = |stem: &str| format!("{stem}{axis}");
        let middle = (pixels as f64 + 1.0) / 2.0;
        writer.text(&key("CTYPE"), name, "across the dish")?;
        writer.text(&key("CUNIT"), "m", "")?;
        writer.number(&key("CRPIX"), middle, "the middle, from 1")?;
        writer.number(&key("CRVAL"), 0.0, "[m]")?;
        writer.number(&key("CDELT"), 2.0 * half_width / pixels as f64, "[m]")?;
    }
    Ok(())
}

/// The fitted map and the residual, in the layout of the map itself.
fn write_fitted(writer: &mut Writer, i: usize, map: &BeamMap, model: &[f64]) -> Result<()> {
    if model.len() != map.power.len() {
        return Err(Error::failed(format!(
            "the model of map {i} has {} samples, the map {}",
            model.len(),
            map.power.len()
        )));
    }
    let mut picture = BeamMap { power: model.to_vec(), sigma: Sigma::Unknown, ..map.clone() };
    let precision = Precision::F64;
    write_map(writer, &picture, &format!("MODEL{i}"), precision)?;
    picture.power = map.power.iter().zip(model).map(|(d, m)| d - m).collect();
    write_map(writer, &picture, &format!("RESIDUAL{i}"), precision)
}

#[cfg(test)]
mod tests {
    use super::super::tests;
    use super::*;
    use crate::io::fits::memory::Reader;
    use crate::io::fits::{Content, read_maps};

    #[test]
    fn everything_is_in_the_file() {
        let (result, maps) = (tests::result(), tests::maps());
        let provenance = ["--order 2".to_string()];
        let bytes = write_fits(&result, &maps, &provenance).unwrap();
        assert_eq!(bytes, write_fits(&result, &maps, &provenance).unwrap());
        let mut reader = Reader::open(&bytes, "x").unwrap();
        let names: Vec<String> = reader.units().into_iter().map(|u| u.name).collect();
        let expected = [
            "",
            "PARAMETERS",
            "MAPS",
            "COVARIANCE",
            "AMPLITUDE",
            "PHASE",
            "SURFACE",
            "SURFSIG",
            "MODEL0",
            "RESIDUAL0",
            "MODEL1",
            "RESIDUAL1",
        ];
        assert_eq!(names, expected);
        assert_eq!(reader.text(0, "STATUS").unwrap().unwrap(), "converged");
        assert_eq!(reader.number(0, "RUZE").unwrap(), Some(0.9));
        assert_eq!(reader.number(0, "REDCHI2").unwrap(), None);
        assert_eq!(reader.image(3).unwrap(), [1.0, 0.5, 0.5, 2.0]);
        assert_eq!(reader.text(3, "PAR2").unwrap().unwrap(), "gain[0]");
        // 4 pixels of 0.7 m across a dish of 1.4 m half width; the middle is between pixels 2 and 3.
        assert!((reader.number(4, "CDELT1").unwrap().unwrap() - 0.7).abs() < 1e-15);
        assert_eq!(reader.number(4, "CRPIX1").unwrap(), Some(2.5));
        let axes = vec![4, 3];
        let size = Content::Image { axes, floating: true };
        assert_eq!(reader.units()[4].content, size);
        // (y, x): the second pixel of the file is x = 1, y = 0.
        assert_eq!(reader.image(4).unwrap()[1], result.images.amplitude[(0, 1)]);
        assert!((reader.image(6).unwrap()[0] - 25.0).abs() < 1e-12, "micrometres");
        assert_eq!(reader.text(7, "BUNIT").unwrap().unwrap(), "um");
        let residual = reader.image(9).unwrap();
        let by_hand = maps.maps[0].power[2] - result.images.model[0][2];
        assert_eq!(residual[2], by_hand);
        assert_eq!(reader.number(10, "DZ").unwrap(), Some(-0.05));
    }

    #[test]
    fn a_perfect_fit_can_be_written() {
        let (mut result, maps) = (tests::result(), tests::maps());
        result.images.model = maps.maps.iter().map(|m| m.power.clone()).collect();
        assert!(write_fits(&result, &maps, &[]).is_ok());
    }

    #[test]
    fn results_are_no_maps_and_models_have_to_match() {
        let (mut result, maps) = (tests::result(), tests::maps());
        let bytes = write_fits(&result, &maps, &[]).unwrap();
        let message = read_maps(&bytes, "x").unwrap_err().to_string();
        assert!(message.contains("result of a fit"), "{message}");
        result.images.model[1].pop();
        assert!(write_fits(&result, &maps, &[]).is_err());
        result.images.model.pop();
        assert!(write_fits(&result, &maps, &[]).is_err());
    }
}
