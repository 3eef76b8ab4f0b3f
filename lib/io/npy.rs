//! Beam maps as NumPy arrays: a cube `(maps, v, u)`, or one map `(v, u)`, of `f8` or `f4`.
//!
//! An `.npy` file has samples and nothing else: positions, defocus and wavelength come from elsewhere.
//! ndarray-npy allocates whatever a header claims, so the claim is compared with the bytes in hand
//! first, and the header it gets is written anew.

use super::power;
use crate::device::Precision;
use crate::error::{Error, Result};
use crate::optics::beam_map::{MapSet, Sampling};
use ndarray::{Array3, ArrayD, Ix3};
use ndarray_npy::{ReadNpyExt, WriteNpyExt};
use std::io::Read;

/// What every `.npy` file begins with.
pub const MAGIC: &[u8] = b"\x93NUMPY";
/// No header of an array of numbers is longer, bytes.
const LONGEST_HEADER: usize = 64 << 10;

/// The cube in `bytes`, `(maps, v, u)`; a two-dimensional array is one map. `place` is the file's name.
///
/// # Errors
/// A damaged header, another type than `f4` or `f8` (either byte order), another shape, data that are
/// too short or too long, infinite samples, maps that are all blank (NaN) or all zero.
pub fn read_cube(bytes: &[u8], place: &str) -> Result<Array3<f64>> {
    let wrong = |what: String| Error::input(place, what);
    let (header, data) = Header::parse(bytes).map_err(wrong)?;
    let text = header.written_anew();
    let reader = || text.chain(data);
    let array = match header.size {
        4 => ArrayD::<f32>::read_npy(reader()).map(|a| a.mapv(f64::from)),
        _ => ArrayD::<f64>::read_npy(reader()),
    };
    let array =
        array.map_err(|e| wrong(format!("cannot be read: {}", one_line(&e.to_string()))))?;
    let mut shape = header.shape;
    if shape.len() == 2 {
        shape.insert(0, 1);
    }
    let array = match array.is_standard_layout() {
        true => array,
        false => array.as_standard_layout().into_owned(),
    };
    let cube = array.into_shape_with_order(Ix3(shape[0], shape[1], shape[2]));
    let cube = cube.map_err(|e| wrong(e.to_string()))?;
    for (i, map) in cube.outer_iter().enumerate() {
        let samples = map.as_slice().expect("a map in standard layout");
        power::check(samples, shape[2], &format!("{place}, map {i}"))?;
    }
    Ok(cube)
}

/// The samples of maps on rasters of one shape, as an array `(maps, v, u)`.
///
/// # Errors
/// Scattered maps, or rasters of several shapes: these need FITS.
pub fn write_cube(maps: &MapSet, precision: Precision) -> Result<Vec<u8>> {
    let mut shape = None;
    let mut samples = Vec::new();
    for map in &maps.maps {
        let Sampling::Raster { u, v } = &map.sampling else {
            return Err(Error::usage(format!(
                "{}: .npy holds rasters only, and this map is scattered; write FITS",
                map.name
            )));
        };
        let this = (v.len(), u.len());
        let (rows, columns) = *shape.get_or_insert(this);
        if (rows, columns) != this {
            return Err(Error::usage(format!(
                "{}: {} x {} samples, but the first map has {rows} x {columns}; write FITS",
                map.name, this.0, this.1
            )));
        }
        power::check(&map.power, this.1, &map.name)?;
        if precision == Precision::F32 {
            power::check_single(&map.power, &map.name)?;
        }
        samples.extend_from_slice(&map.power);
    }
    let Some((rows, columns)) = shape else {
        return Err(Error::failed("there are no maps to write"));
    };
    let cube = Array3::from_shape_vec(Ix3(maps.maps.len(), rows, columns), samples)
        .map_err(Error::unbuilt)?;
    let mut bytes = Vec::new();
    match precision {
        Precision::F64 => cube.write_npy(&mut bytes),
        Precision::F32 => cube.mapv(|x| x as f32).write_npy(&mut bytes),
    }
    .map_err(Error::unbuilt)?;
    Ok(bytes)
}

/// What a header says, once it is found to be true of the data.
#[derive(Debug, Clone, PartialEq)]
struct Header {
    /// `<f8`, `>f8`, `<f4` or `>f4`.
    descr: String,
    /// Bytes of a value.
    size: usize,
    fortran_order: bool,
    /// Two or three lengths, none of them 0.
    shape: Vec<usize>,
}

impl Header {
    /// The header at the start of `bytes` and the data after it (NumPy's NEP 1: magic, version,
    /// length, and a Python dictionary).
    fn parse(bytes: &[u8]) -> std::result::Result<(Self, &[u8]), String> {
        let short = || "truncated: the file ends inside its header".to_string();
        let rest = bytes.strip_prefix(MAGIC).ok_or("does not begin as an .npy file does")?;
        let (length, rest) = match rest {
            [1, _, a, b, rest @ ..] => (u16::from_le_bytes([*a, *b]) as usize, rest),
            [2 | 3, _, a, b, c, d, rest @ ..] => {
                (u32::from_le_bytes([*a, *b, *c, *d]) as usize, rest)
            }
            [version, ..] if !(1..=3).contains(version) => {
                return Err(format!(".npy version {version}, expected 1 to 3"));
            }
            _ => return Err(short()),
        };
        if length > LONGEST_HEADER {
            return Err(format!("a header of {length} bytes, expected at most {LONGEST_HEADER}"));
        }
        let (text, data) = rest.split_at_checked(length).ok_or_else(short)?;
        let text = str::from_utf8(text).map_err(|_| "the header is not text")?;
        let descr = quoted(value(text, "descr")?)?;
        let size = match descr.as_str() {
            "<f8" | ">f8" => 8,
            "<f4" | ">f4" => 4,
            other => {
                return Err(format!("values of type '{other}', expected '<f8' or '<f4'"));
            }
        };
        let fortran_order = match value(text, "fortran_order")? {
            v if v.starts_with("True") => true,
            v if v.starts_with("False") => false,
            _ => return Err("fortran_order is neither True nor False".into()),
        };
        let shape = shape(value(text, "shape")?)?;
        if !(2..=3).contains(&shape.len()) {
            return Err(format!("{} axes, expected 3 (maps, v, u) or 2 (v, u)", shape.len()));
        }
        if shape.contains(&0) {
            return Err(format!("shape {shape:?}: an axis is 0 long"));
        }
        let length = shape.iter().try_fold(size, |n: usize, &axis| n.checked_mul(axis));
        if length != Some(data.len()) {
            return Err(format!(
                "shape {shape:?} of '{descr}' needs {} bytes and {} are there",
                length.map_or("too many".into(), |n| n.to_string()),
                data.len()
            ));
        }
        let header = Header { descr, size, fortran_order, shape };
        Ok((header, data))
    }

    /// The same header, version 1, as NumPy writes it.
    fn written_anew(&self) -> std::io::Cursor<Vec<u8>> {
        let order = if self.fortran_order { "True" } else { "False" };
        let shape: Vec<String> = self.shape.iter().map(usize::to_string).collect();
        let text = format!(
            "{{'descr': '{}', 'fortran_order': {order}, 'shape': ({}), }}",
            self.descr,
            shape.join(", ")
        );
        // Padded so that the data begin at a multiple of 64; a line end is the last byte.
        let length = (10 + text.len() + 1).div_ceil(64) * 64 - 10;
        let mut bytes = MAGIC.to_vec();
        bytes.extend([1, 0]);
        // At most three lengths of 20 digits and 60 characters around them: far less than 65536.
        bytes.extend((length as u16).to_le_bytes());
        bytes.extend(format!("{text:<width$}\n", width = length - 1).bytes());
        std::io::Cursor::new(bytes)
    }
}

/// What follows a key, which has to be there once.
fn value<'a>(text: &'a str, key: &str) -> std::result::Result<&'a str, String> {
    let mut found = [format!("'{key}'"), format!("\"{key}\"")].into_iter().flat_map(|key| {
        let ends = text.match_indices(&key).map(|(i, k)| i + k.len());
        ends.collect::<Vec<_>>()
    });
    let (Some(at), None) = (found.next(), found.next()) else {
        return Err(format!("the header does not say '{key}' once"));
    };
    let after = text[at..].trim_start().strip_prefix(':');
    let after = after.ok_or_else(|| format!("the header gives '{key}' no value"))?;
    Ok(after.trim_start())
}

/// A quoted text at the start of `value`.
fn quoted(value: &str) -> std::result::Result<String, String> {
    let structured = "values of a structured type, expected '<f8' or '<f4'";
    let quote = value.chars().next().filter(|c| "'\"".contains(*c));
    let mut parts = value.split(quote.ok_or(structured)?);
    let text = parts.nth(1).unwrap_or_default();
    Ok(super::fits::printable(text))
}

/// A tuple of lengths at the start of `value`.
fn shape(value: &str) -> std::result::Result<Vec<usize>, String> {
    let inner = value.strip_prefix('(').and_then(|v| v.split_once(')'));
    let (inner, _) = inner.ok_or("the header's shape is no tuple")?;
    let inner = inner.trim_end().strip_suffix(',').unwrap_or(inner);
    if inner.trim().is_empty() {
        return Ok(Vec::new());
    }
    let lengths = inner.split(',').take(33).map(|n| n.trim().parse());
    lengths
        .collect::<std::result::Result<_, _>>()
        .map_err(|_| format!("shape ({}), expected lengths", super::fits::printable(inner)))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optics::beam_map::{BeamMap, Sigma};
    use proptest::prelude::*;

    /// An `.npy` file, version 1.
    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend([1, 0]);
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.bytes());
        bytes.extend(data);
        bytes
    }

    fn header(descr: &str, fortran: &str, shape: &str) -> String {
        format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}\n")
    }

    fn set() -> MapSet {
        let map = |k: u32| BeamMap {
            name: format!("map {k}"),
            defocus: 0.0,
            sampling: Sampling::Raster { u: vec![0.0, 1.0, 2.0], v: vec![0.0, 1.0] },
            power: (0..6).map(|i| f64::from(i + 6 * k) / 3.0).collect(),
            sigma: Sigma::Unknown,
        };
        MapSet { maps: vec![map(0), map(1)], ..MapSet::default() }
    }

    #[test]
    fn a_cube_comes_back_to_the_last_bit() {
        let bytes = write_cube(&set(), Precision::F64).unwrap();
        let cube = read_cube(&bytes, "x").unwrap();
        assert_eq!(cube.dim(), (2, 2, 3));
        for (i, x) in cube.iter().enumerate() {
            assert_eq!(*x, i as f64 / 3.0);
        }
        let bytes = write_cube(&set(), Precision::F32).unwrap();
        let cube = read_cube(&bytes, "x").unwrap();
        assert_eq!(cube[(1, 0, 1)], f64::from((7.0f64 / 3.0) as f32));
    }

    #[test]
    fn either_byte_order_and_either_layout_are_read() {
        let values = [1.0f64, 2.0, 3.0, 4.0, 5.0, 6.0];
        let little: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        let big: Vec<u8> = values.iter().flat_map(|x| (*x as f32).to_be_bytes()).collect();
        let rows = read_cube(&file(&header("<f8", "False", "(2, 3)"), &little), "x").unwrap();
        assert_eq!(rows.dim(), (1, 2, 3));
        assert_eq!(rows[(0, 0, 1)], 2.0);
        let columns = read_cube(&file(&header(">f4", "True", "(1, 2, 3)"), &big), "x").unwrap();
        assert_eq!((columns[(0, 1, 0)], columns[(0, 0, 1)]), (2.0, 3.0));
        let flat = read_cube(&file(&header("<f8", "True", "(2, 3)"), &little), "x").unwrap();
        assert_eq!((flat[(0, 1, 0)], flat[(0, 0, 1)]), (2.0, 3.0));
        assert_eq!(flat.as_slice().unwrap(), [1.0, 3.0, 5.0, 2.0, 4.0, 6.0]);
    }

    #[test]
    fn headers_that_lie_are_refused() {
        let data = [0u8; 48];
        for (descr, shape, said) in [
            ("<f8", "(1000000000000,)", "1 axes"),
            ("<f8", "(1000000000000, 1000000000000)", "too many"),
            ("<f8", "(0, 4294967296, 4294967296)", "0 long"),
            ("<f8", "(0, 4294967296, 4294967296, 4294967296)", "4 axes"),
            ("<f8", "(2, 4)", "needs 64 bytes and 48 are there"),
            ("<f8", "(2, 2)", "needs 32 bytes and 48 are there"),
            ("<f8", "(-2, 3)", "expected lengths"),
            ("<f8", "()", "0 axes"),
            ("<f8", "((2, 3)", "expected lengths"),
            ("<f8", "2", "no tuple"),
            ("<i8", "(2, 3)", "type '<i8'"),
            ("<f8", "(2, 3)", "all zero"),
        ] {
            let bytes = file(&header(descr, "False", shape), &data);
            let message = read_cube(&bytes, "a.npy").unwrap_err().to_string();
            assert!(message.starts_with("a.npy") && message.contains(said), "{shape}: {message}");
        }
        let deep = format!("{}{}", "{'shape': (".repeat(3000), "x".repeat(100));
        assert!(read_cube(&file(&deep, &data), "x").is_err());
        assert!(read_cube(&file("", &data), "x").is_err());
        assert!(read_cube(b"\x93NUMPY", "x").is_err());
        assert!(read_cube(b"\x93NUMPY\x09\x00", "x").is_err());
        assert!(read_cube(b"\x93NUMPY\x02\x00\xff\xff\xff\xff{", "x").is_err());
        let mut infinite = data;
        infinite[40..].copy_from_slice(&f64::INFINITY.to_le_bytes());
        let bytes = file(&header("<f8", "False", "(2, 3)"), &infinite);
        let message = read_cube(&bytes, "x").unwrap_err().to_string();
        assert!(message.contains("map 0: sample 5 (column 2, row 1"), "{message}");
    }

    #[test]
    fn maps_that_do_not_fit_into_a_cube_are_refused() {
        let mut uneven = set();
        uneven.maps[1].sampling = Sampling::Raster { u: vec![0.0, 1.0], v: vec![0.0, 1.0, 2.0] };
        let message = write_cube(&uneven, Precision::F64).unwrap_err().to_string();
        assert!(message.contains("3 x 2") && message.contains("write FITS"), "{message}");
        uneven.maps[1].sampling = Sampling::Scattered { u: vec![0.0; 6], v: vec![0.0; 6] };
        assert!(write_cube(&uneven, Precision::F64).is_err());
        uneven.maps.clear();
        assert!(write_cube(&uneven, Precision::F64).is_err());
    }

    proptest! {
        #[test]
        fn no_damage_makes_the_reader_panic(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
            cut in prop::option::of(any::<prop::sample::Index>()),
        ) {
            let mut bytes = write_cube(&set(), Precision::F64).unwrap();
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if let Some(cut) = cut {
                bytes.truncate(cut.index(bytes.len()));
            }
            let _ = read_cube(&bytes, "x");
        }
    }
}
