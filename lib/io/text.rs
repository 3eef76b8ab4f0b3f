//! Beam maps from and to text: `u v power` a line.
//!
//! `u, v` in radians, separated by blanks or commas; lines that are empty or begin with `#` are passed
//! over, and so is what follows a `#`. Lines that make up a full raster, in any order, become one.

use super::fits::printable;
use super::{power, raster};
use crate::error::{Error, Result};
use crate::optics::beam_map::{BeamMap, MapSet, Sampling, Sigma};

/// The map in `bytes`. `place` is the file's name, `defocus` the sub-reflector's `dz` in metres.
///
/// # Errors
/// A line without exactly three numbers, or with a position that is not finite, by its number (from
/// 1); infinite power; a map that is all blank (`nan`) or all zero.
pub fn read_map(bytes: &[u8], place: &str, defocus: f64) -> Result<BeamMap> {
    let (mut u, mut v, mut power) = (Vec::new(), Vec::new(), Vec::new());
    for (i, line) in bytes.split(|&b| b == b'\n').enumerate() {
        let wrong = |what: String| Error::input(format!("{place}, line {}", i + 1), what);
        let Ok(line) = str::from_utf8(line) else {
            return Err(wrong("is not text; expected 'u v power'".into()));
        };
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let [a, b, c] = numbers(line).map_err(wrong)?;
        if !(a.abs() < std::f64::consts::FRAC_PI_2 && b.abs() < std::f64::consts::FRAC_PI_2) {
            return Err(wrong(format!(
                "position {a} {b}, expected offsets in radians from the pointing centre"
            )));
        }
        if c.is_infinite() {
            return Err(wrong(format!("power {c}; write blanks as nan")));
        }
        u.push(a);
        v.push(b);
        power.push(c);
    }
    power::check(&power, power.len(), place)?;
    let sampling = match raster::find(&u, &v) {
        Some(found) => {
            power = found.arrange(&power);
            found.sampling
        }
        None => Sampling::Scattered { u, v },
    };
    Ok(BeamMap { name: place.to_string(), defocus, sampling, power, sigma: Sigma::Unknown })
}

/// One map, `provenance` and what is known of it in lines with a `#`.
///
/// # Errors
/// Another number of maps than one, and a map that [`read_map`] would refuse.
pub fn write_map(maps: &MapSet, provenance: &[String]) -> Result<Vec<u8>> {
    let [map] = &maps.maps[..] else {
        return Err(one_map(maps.maps.len()));
    };
    power::check(&map.power, map.sampling.len(), &map.name)?;
    let shift = maps.shift.first().copied();
    let known = [
        ("wavelength_m", maps.wavelength),
        ("defocus_m", Some(map.defocus)),
        ("shift_x_m", shift.map(|shift| shift[0])),
        ("shift_y_m", shift.map(|shift| shift[1])),
        ("chop_rad", maps.chop),
        ("source_radius_rad", maps.source_radius),
        ("bandwidth_hz", maps.bandwidth),
    ];
    let known = known.iter().filter_map(|(name, value)| Some(format!("{name} {:?}", (*value)?)));
    let header = provenance.iter().cloned().chain(known).chain(["u v power".to_string()]);
    let mut text: String =
        header.map(|line| format!("# {}\n", line.replace(['\n', '\r'], " "))).collect();
    let (u, v) = map.sampling.points();
    for ((u, v), power) in u.iter().zip(&v).zip(&map.power) {
        text += &format!("{u:?} {v:?} {power:?}\n");
    }
    Ok(text.into_bytes())
}

/// The error for any number of maps but one.
pub fn one_map(count: usize) -> Error {
    let what =
        format!("text holds one map, but there are {count}; give one --defocus, or write FITS");
    Error::usage(what)
}

/// The three numbers of a line.
fn numbers(line: &str) -> std::result::Result<[f64; 3], String> {
    let mut values = [0.0; 3];
    let mut count = 0;
    // A comma, with or without blanks around it, separates; two commas have an empty field between.
    for field in line.split(',').flat_map(|part| {
        let blank = part.trim().is_empty().then_some("");
        blank.into_iter().chain(part.split_whitespace())
    }) {
        let value: f64 = field.parse().map_err(|_| {
            let field = printable(field);
            format!("'{field}' is not a number; expected 'u v power'")
        })?;
        if let Some(place) = values.get_mut(count) {
            *place = value;
        }
        count += 1;
    }
    match count {
        3 => Ok(values),
        n => Err(format!("{n} columns, expected 3: 'u v power'")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<BeamMap> {
        read_map(text.as_bytes(), "a.txt", -0.027)
    }

    #[test]
    fn a_raster_is_read_in_any_order_and_with_any_separator() {
        let text = "# u v power\n\n-0.001 0.0 1\r\n-0.001,0.002, 3 # last\n0.001\t0.0 2\n0.001 , 0.002 nan";
        let map = read(text).unwrap();
        let expected = Sampling::Raster { u: vec![-0.001, 0.001], v: vec![0.0, 0.002] };
        assert_eq!(map.sampling, expected);
        assert_eq!(map.power[..3], [1.0, 2.0, 3.0]);
        assert!(map.power[3].is_nan());
        assert_eq!((map.name.as_str(), map.defocus), ("a.txt", -0.027));
    }

    #[test]
    fn other_points_are_scattered() {
        let map = read("0 0 1\n0.1 0 2\n0.2 0.1 3").unwrap();
        assert!(matches!(map.sampling, Sampling::Scattered { .. }));
        assert_eq!(map.power, [1.0, 2.0, 3.0]);
    }

    #[test]
    fn a_map_comes_back_to_the_last_bit() {
        let (u, v) = (vec![-1.0 / 3e4, 0.0, 1.0 / 3e4], vec![1e-5, 3e-5]);
        let scattered = Sampling::Scattered { u: vec![1e-5, 7e-5], v: vec![-2e-5, 1.0 / 7e4] };
        for (sampling, power) in [
            (Sampling::Raster { u, v }, vec![0.1, f64::NAN, 1.0 / 3.0, -1e-17, 5.0, 6.0]),
            (scattered, vec![2.0 / 3.0, 1.0]),
        ] {
            let (name, sigma) = ("x".to_string(), Sigma::Unknown);
            let map = BeamMap { name, defocus: -0.02, sampling, power, sigma };
            let mut set = MapSet { maps: vec![map], chop: Some(1e-4), ..MapSet::default() };
            let bytes = write_map(&set, &["--like=a\nb".to_string()]).unwrap();
            let back = read_map(&bytes, "x", -0.02).unwrap();
            assert_eq!(format!("{back:?}"), format!("{:?}", set.maps[0]));
            set.maps.push(set.maps[0].clone());
            assert!(write_map(&set, &[]).unwrap_err().to_string().contains("one map"));
        }
    }

    #[test]
    fn a_bad_line_is_named_by_its_number() {
        for (text, said) in [
            ("0 0 1\n\n0 1", "a.txt, line 3: 2 columns, expected 3"),
            ("0 0 1 4", "line 1: 4 columns"),
            ("0 0 x", "line 1: 'x' is not a number"),
            ("0,,1", "line 1: '' is not a number"),
            ("0 0 1,", "line 1: '' is not a number"),
            ("0 nan 1", "line 1: position 0 NaN"),
            ("0 7 1", "line 1: position 0 7"),
            ("0 0 inf", "line 1: power inf"),
            ("", "no samples"),
            ("0 0 nan", "all blank"),
            ("0 0 0\n0 1 0", "all zero"),
        ] {
            let message = read(text).unwrap_err().to_string();
            assert!(message.contains(said), "{text:?}: {message}");
        }
        assert!(read_map(&[0xff, 0xfe], "x", 0.0).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read_map(&bytes, "x", 0.0);
        }
    }

    #[test]
    fn maps_of_the_sardinia_radio_telescope_are_rasters() {
        let folder = std::env::var("OOF_SHARED_DATA")
            .unwrap_or(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data").into());
        let path = format!("{folder}/srt/20190426-101052-S0000-MAPPA_IN.txt");
        let Ok(bytes) = std::fs::read(&path) else {
            println!("skipped: {path} is not there");
            return;
        };
        let map = read_map(&bytes, "srt", 0.0).unwrap();
        let Sampling::Raster { u, v } = &map.sampling else { panic!("not a raster") };
        // The axes as written: the second line of the file is u = -0.001620, v = -0.001587.
        assert_eq!((u.len(), v.len()), (100, 100));
        assert_eq!((u[0], v[1], v[99]), (-0.00162, -0.001587, 0.00162));
        assert_eq!(map.power[0], 47.962648);
        assert_eq!(map.power[100], 49.127317);
    }
}
