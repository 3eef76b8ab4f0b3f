//! The parameters of an earlier fit, read back from its JSON or FITS.

use crate::error::{Error, Result};
use crate::io::fits::memory::Reader;
use crate::io::fits::{Content, read_named_values, read_positive, read_radius, read_wavelength};
use crate::io::source;
use crate::optics::beam_map::{BeamMap, Blur};
use crate::optics::zernike::HIGHEST_ORDER;
use serde::Deserialize;
use std::collections::HashSet;
use std::path::Path;

/// What another program needs of a fit: its parameters and what they belong to.
#[derive(Debug, Clone, PartialEq)]
pub struct FitFile {
    pub telescope: String,
    /// Metres.
    pub wavelength: f64,
    /// What its maps were blurred by.
    pub blur: Blur,
    /// The kind of illumination.
    pub illumination: String,
    /// The highest radial order of the Zernike polynomials.
    pub order: u32,
    /// Name and value, SI, free and fixed ones.
    pub parameters: Vec<(String, f64)>,
    /// The maps that were fitted, in their order.
    pub maps: Vec<FittedMap>,
}

/// What tells a map from others.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct FittedMap {
    pub name: String,
    /// Metres.
    pub defocus_m: f64,
    /// Metres, where any map was made with the sub-reflector displaced sideways.
    pub shift_m: Option<[f64; 2]>,
    /// Known ones.
    pub samples: usize,
    /// In the map's own unit.
    pub peak: f64,
}

impl FittedMap {
    /// Whether this is `map`, or its twin.
    pub fn is(&self, map: &BeamMap) -> bool {
        self.name == map.name
            && self.defocus_m == map.defocus
            && self.samples == map.known()
            && self.peak == map.peak_of_beam()
    }
}

/// What is read of the JSON; other keys may be there.
#[derive(Deserialize)]
struct Json {
    telescope: String,
    wavelength_m: f64,
    #[serde(default)]
    source_radius_rad: f64,
    #[serde(default)]
    bandwidth_hz: f64,
    illumination: String,
    order: u32,
    parameters: Vec<JsonParameter>,
    #[serde(default)]
    maps: Vec<FittedMap>,
}

#[derive(Deserialize)]
struct JsonParameter {
    name: String,
    value: f64,
}

impl FitFile {
    /// Reads the file at `path`, as [`read_parameters`].
    pub fn open(path: &Path) -> Result<Self> {
        read_parameters(&source::read(path)?, &source::name(path))
    }
}

/// The parameters in `bytes`, a fit's result as JSON or FITS. `place` is the file's name.
///
/// # Errors
/// Files that are neither, that hold no fit's result, or that hold numbers which are not finite.
pub fn read_parameters(bytes: &[u8], place: &str) -> Result<FitFile> {
    let file = match bytes.starts_with(b"SIMPLE") {
        true => read_fits(bytes, place)?,
        false => read_json(bytes, place)?,
    };
    if file.order > HIGHEST_ORDER {
        let what = format!("a fit of order {}, expected at most {HIGHEST_ORDER}", file.order);
        return Err(Error::input(place, what));
    }
    let mut seen = HashSet::new();
    if let Some((name, _)) = file.parameters.iter().find(|p| !seen.insert(&p.0)) {
        let what = format!("the parameter '{}' is there twice", name.escape_debug());
        return Err(Error::input(place, what));
    }
    if !(file.wavelength > 0.0 && file.wavelength.is_finite()) {
        let what = format!("the wavelength is {} m", file.wavelength);
        return Err(Error::input(place, what));
    }
    for (name, value) in
        [("source_radius_rad", file.blur.radius), ("bandwidth_hz", file.blur.bandwidth)]
    {
        if !(value >= 0.0 && value.is_finite()) {
            return Err(Error::input(place, format!("{name} is {value}, expected 0 or more")));
        }
    }
    let placed = |map: &&FittedMap| {
        map.defocus_m.is_finite() && map.shift_m.iter().flatten().all(|s| s.is_finite())
    };
    if let Some(map) = file.maps.iter().find(|map| !placed(map)) {
        let what = format!("the defocus or shift of {} is no number", map.name.escape_debug());
        return Err(Error::input(place, what));
    }
    match file.parameters.iter().find(|p| !p.1.is_finite()) {
        Some((name, value)) => {
            let what = format!("the parameter '{}' is {value}", name.escape_debug());
            Err(Error::input(place, what))
        }
        None => Ok(file),
    }
}

fn read_json(bytes: &[u8], place: &str) -> Result<FitFile> {
    let json: Json = serde_json::from_slice(bytes).map_err(|e| {
        let place = match e.line() {
            0 => place.to_string(),
            line => format!("{place}, line {line}"),
        };
        let why = e.to_string();
        // Its own ` at line 1 column 2` is in the place already.
        let why = why.split(" at line ").next().unwrap_or_default();
        let why: String = why.chars().take(120).flat_map(char::escape_debug).collect();
        Error::input(place, format!("no result of oof-fit (JSON or FITS): {why}"))
    })?;
    let parameters = json.parameters.into_iter().map(|p| (p.name, p.value));
    Ok(FitFile {
        telescope: json.telescope,
        wavelength: json.wavelength_m,
        blur: Blur { radius: json.source_radius_rad, bandwidth: json.bandwidth_hz },
        illumination: json.illumination,
        order: json.order,
        parameters: parameters.collect(),
        maps: json.maps,
    })
}

fn read_fits(bytes: &[u8], place: &str) -> Result<FitFile> {
    let mut reader = Reader::open(bytes, place)?;
    if reader.text(0, "OOFTYPE")?.as_deref() != Some("FIT") {
        let what = "holds no result of oof-fit: OOFTYPE is not 'FIT'";
        return Err(Error::input(place, what));
    }
    let missing = |key: &str| Error::input(place, format!("the primary header has no {key}"));
    let telescope = reader.text(0, "TELESCOP")?;
    let illumination = reader.text(0, "ILLUM")?;
    let order = reader.number(0, "ORDER")?;
    let order = order.ok_or_else(|| missing("ORDER"))?;
    if order.fract() != 0.0 || !(0.0..=1e9).contains(&order) {
        return Err(Error::input(place, format!("ORDER is {order}, expected a whole number")));
    }
    let units = reader.units();
    let table =
        units.iter().find(|u| matches!(u.content, Content::Table { .. }) && u.name == "PARAMETERS");
    let Some(table) = table else {
        return Err(Error::input(place, "there is no table PARAMETERS"));
    };
    Ok(FitFile {
        telescope: telescope.ok_or_else(|| missing("TELESCOP"))?,
        wavelength: read_wavelength(&mut reader)?.ok_or_else(|| missing("WAVELEN"))?,
        blur: Blur {
            radius: read_radius(&mut reader)?.unwrap_or(0.0),
            bandwidth: read_positive(&mut reader, "BANDWID")?.unwrap_or(0.0),
        },
        illumination: illumination.ok_or_else(|| missing("ILLUM"))?,
        order: order as u32,
        parameters: read_named_values(&mut reader, table.number)?,
        maps: read_fitted_maps(&mut reader)?,
    })
}

/// The maps in the table of a fit's FITS.
fn read_fitted_maps(reader: &mut Reader) -> Result<Vec<FittedMap>> {
    let units = reader.units();
    let Some(table) = units.iter().find(|unit| unit.name == "MAPS").map(|unit| unit.number) else {
        return Ok(Vec::new());
    };
    let shifted = reader.find_column(table, &["SHIFTX"]).is_some();
    let mut column = |name: &str| reader.numbers(table, name);
    let (defocus, samples, peaks) = (column("DEFOCUS")?, column("SAMPLES")?, column("PEAK")?);
    let shift = match shifted {
        true => Some((column("SHIFTX")?, column("SHIFTY")?)),
        false => None,
    };
    let names = reader.texts(table, "NAME")?.into_iter().enumerate();
    let one = |(i, name)| FittedMap {
        name,
        defocus_m: defocus[i],
        shift_m: shift.as_ref().map(|(x, y)| [x[i], y[i]]),
        samples: samples[i] as usize,
        peak: peaks[i],
    };
    Ok(names.map(one).collect())
}

#[cfg(test)]
mod tests {
    use super::super::{tests, write_fits, write_json};
    use super::*;

    #[test]
    fn parameters_come_back_from_json_and_fits_to_the_last_bit() {
        let result = tests::result();
        let expected = FitFile {
            telescope: "nikolic2018".into(),
            wavelength: 1.1e-3,
            blur: Blur { radius: 2e-4, bandwidth: 1.5e9 },
            illumination: "gaussian".into(),
            order: 2,
            parameters: vec![
                ("z3".into(), 1.0 / 3.0),
                ("gain[0]".into(), 1.01),
                ("sigma".into(), 0.72),
            ],
            maps: Vec::new(),
        };
        let json = write_json(&result).unwrap();
        let read = read_parameters(&json, "x").unwrap();
        let map = &read.maps[1];
        assert_eq!((read.maps.len(), &*map.name, map.defocus_m), (2, "MAP1", -0.05));
        let fits = write_fits(&result, &tests::maps(), &[]).unwrap();
        assert_eq!(read_parameters(&fits, "x").unwrap(), read);
        assert_eq!(FitFile { maps: Vec::new(), ..read }, expected);
    }

    #[test]
    fn other_files_are_refused_in_one_line() {
        let mut json = write_json(&tests::result()).unwrap();
        json.truncate(json.len() / 2);
        let deep = format!("{{\"x\": {}", "[".repeat(100_000));
        let double = r#"{"telescope":"a","wavelength_m":1,"illumination":"b","order":1,
            "parameters":[{"name":"z1","value":1},{"name":"z1","value":2}]}"#;
        let negative = r#"{"telescope":"a","wavelength_m":1,"source_radius_rad":-1,"illumination":"b",
            "order":1,"parameters":[]}"#;
        let high = double.replace("\"order\":1", "\"order\":4294967295");
        let maps = crate::io::fits::write_maps(&tests::maps(), &[], crate::device::Precision::F64);
        for (bytes, said) in [
            (&json[..], "no result of oof-fit"),
            (b"\xff\xfe", "no result"),
            (b"", "no result"),
            (b"{\n\"telescope\": 1}", "a.json, line 2"),
            (deep.as_bytes(), "no result"),
            (double.as_bytes(), "'z1' is there twice"),
            (negative.as_bytes(), "source_radius_rad is -1"),
            (high.as_bytes(), "a fit of order 4294967295, expected at most 20"),
            (&maps.unwrap(), "OOFTYPE"),
            (b"SIMPLE", "header"),
        ] {
            let message = read_parameters(bytes, "a.json").unwrap_err().to_string();
            assert!(message.starts_with("a.json") && message.contains(said), "{message}");
            assert!(!message.contains('\n'), "{message}");
        }
    }
}
