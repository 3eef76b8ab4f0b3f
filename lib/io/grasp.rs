//! TICRA GRASP grids (`.grd`): the complex far field on a regular grid, as text.
//!
//! After a header that ends with `++++`: `KTYPE` (1); `NSET ICOMP NCOMP IGRID`; for every set `IX IY`,
//! its centre; then for every set `XS YS XE YE`, `NX NY KLIMIT` and the samples, `x` fastest, one a
//! line as `Re Im` of every component. With `KLIMIT` 1 every row begins with `IS IN`, its first sample
//! (from 1) and their number; samples outside are blank. The coordinates are `u = sin theta cos phi`, `v =
//! sin theta sin phi` (`IGRID` 1); on the few degrees of a beam map these are ours.
//!
//! The power is that of the first set: the sum of the squared components, of which the first two (co and
//! cross) are transverse. Fortran writes an exponent of three digits without its letter (`0.1-100`).

use super::power;
use crate::error::{Error, Result};
use crate::optics::beam_map::{BeamMap, Sampling, Sigma};
use std::iter::Enumerate;

/// The line that ends the header.
pub const MARK: &str = "++++";

/// Whether `bytes` look like a GRASP grid: text with a line `++++` near the beginning.
pub fn is_grasp(bytes: &[u8]) -> bool {
    let begin = &bytes[..bytes.len().min(1 << 14)];
    begin.split(|&b| b == b'\n').any(|line| line.trim_ascii() == MARK.as_bytes())
}

type Split<'a> = std::slice::Split<'a, u8, fn(&u8) -> bool>;

/// The lines after the header, with their numbers from 1.
struct Lines<'a> {
    lines: Enumerate<Split<'a>>,
    place: &'a str,
}

impl Lines<'_> {
    /// The numbers of the next line that is not empty; `what` is said to be expected, at least `count`.
    fn numbers(&mut self, count: usize, what: &str) -> Result<(String, Vec<f64>)> {
        let line = self.lines.find(|(_, line)| !line.trim_ascii().is_empty());
        let Some((i, line)) = line else {
            return Err(Error::input(self.place, format!("ends where '{what}' is expected")));
        };
        let place = format!("{}, line {}", self.place, i + 1);
        let text = str::from_utf8(line).map_err(|_| Error::input(&place, "is not text"))?;
        let numbers: Option<Vec<f64>> = text.split_whitespace().map(number).collect();
        match numbers.filter(|n| n.len() >= count) {
            Some(numbers) => Ok((place, numbers)),
            None => {
                let what = format!("expected {count} numbers, '{what}'");
                Err(Error::input(place, what))
            }
        }
    }

    /// The same as integers, not negative.
    fn integers<const N: usize>(&mut self, what: &str) -> Result<(String, [usize; N])> {
        let (place, numbers) = self.numbers(N, what)?;
        let mut integers = [0; N];
        for (integer, number) in integers.iter_mut().zip(numbers) {
            if !(0.0..=1e9).contains(&number) || number.fract() != 0.0 {
                return Err(Error::input(place, format!("{number} in '{what}', expected a count")));
            }
            *integer = number as usize;
        }
        Ok((place, integers))
    }
}

/// A raster that leaves out its blank samples may have so many times as many as are there.
const BLANK: usize = 16;

/// A number as Fortran writes it.
fn number(text: &str) -> Option<f64> {
    text.parse().ok().or_else(|| {
        let text = text.replace(['D', 'd'], "E");
        if let Ok(number) = text.parse() {
            return Some(number);
        }
        let sign = text.rfind(['+', '-']).filter(|&i| i > 0)?;
        format!("{}E{}", &text[..sign], &text[sign..]).parse().ok()
    })
}

/// The power of the first set of a grid. `place` is the file's name, `defocus` the sub-reflector's `dz` in
/// metres.
///
/// # Errors
/// A file that ends early, lines without the numbers that are expected, by their number; other grids than
/// of `u` and `v`; near fields; offsets that are no angles; samples that are not finite.
pub fn read_map(bytes: &[u8], place: &str, defocus: f64) -> Result<BeamMap> {
    let end: fn(&u8) -> bool = |&b| b == b'\n';
    let mut lines = Lines { lines: bytes.split(end).enumerate(), place };
    if !lines.lines.any(|(_, line)| line.trim_ascii() == MARK.as_bytes()) {
        return Err(Error::input(place, format!("has no line '{MARK}', so is no GRASP grid")));
    }
    let (sets, components) = kind_of(&mut lines)?;
    let (_, centre) = lines.numbers(2, "IX IY")?;
    for _ in 1..sets {
        lines.numbers(2, "IX IY")?;
    }
    let (at, corners) = lines.numbers(4, "XS YS XE YE")?;
    let (sized, [columns, rows, limited]) = lines.integers("NX NY KLIMIT")?;
    // A sample takes four characters at the least; a raster that leaves out what is blank may be mostly that.
    let room = bytes.len() / 4 * if limited == 1 { BLANK } else { 1 };
    if !columns.checked_mul(rows).is_some_and(|n| n > 0 && n <= room) {
        let what = format!("{columns} x {rows} samples, but the file has no room for them");
        return Err(Error::input(sized, what));
    }
    let axis = |first: f64, last: f64, shift: f64, n: usize| -> Vec<f64> {
        let step = if n > 1 { (last - first) / (n as f64 - 1.0) } else { 0.0 };
        (0..n).map(|i| first + step * (i as f64 + shift)).collect()
    };
    let u = axis(corners[0], corners[2], centre[0], columns);
    let v = axis(corners[1], corners[3], centre[1], rows);
    let angles = u.iter().chain(&v).all(|x| x.abs() < 1.0);
    let rising =
        (columns == 1 || corners[0] != corners[2]) && (rows == 1 || corners[1] != corners[3]);
    if !angles || !rising {
        let what = "XS YS XE YE give no range of u and v within -1 to 1";
        return Err(Error::input(at, what));
    }
    let power = read_power(&mut lines, [columns, rows], limited == 1, components)?;
    power::check(&power, columns, place)?;
    let sampling = Sampling::Raster { u, v };
    Ok(BeamMap { name: place.to_string(), defocus, sampling, power, sigma: Sigma::Unknown })
}

/// How many sets of how many components a file has, if they are what is read.
fn kind_of(lines: &mut Lines) -> Result<(usize, usize)> {
    let (at, [kind]) = lines.integers("KTYPE")?;
    if kind != 1 {
        return Err(Error::input(at, format!("KTYPE {kind}, expected 1")));
    }
    let (at, [sets, _, components, grid]) = lines.integers("NSET ICOMP NCOMP IGRID")?;
    if sets == 0 || !(2..=3).contains(&components) {
        let what = format!("{sets} sets of {components} components, expected at least 1 of 2 or 3");
        return Err(Error::input(at, what));
    }
    if grid != 1 {
        let what = format!("IGRID {grid}, expected 1, a grid of u and v");
        return Err(Error::input(at, what));
    }
    Ok((sets, components))
}

/// The power of the samples, row by row; blank what a `limited` file leaves out.
fn read_power(
    lines: &mut Lines,
    [columns, rows]: [usize; 2],
    limited: bool,
    components: usize,
) -> Result<Vec<f64>> {
    let mut power = vec![f64::NAN; columns * rows];
    for row in 0..rows {
        let (mut first, mut count) = (1, columns);
        if limited {
            let (at, [from, known]) = lines.integers("IS IN")?;
            (first, count) = (if known == 0 { 1 } else { from }, known);
            if first == 0 || first - 1 + count > columns {
                let what = format!("IS {first} and IN {count} in a row of {columns}");
                return Err(Error::input(at, what));
            }
        }
        for sample in &mut power[row * columns + first - 1..][..count] {
            let (at, parts) = lines.numbers(2 * components, "Re Im of every component")?;
            *sample = parts[..4].iter().map(|x| x * x).sum();
            if !sample.is_finite() {
                return Err(Error::input(at, "the field is not finite"));
            }
        }
    }
    Ok(power)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> std::result::Result<BeamMap, String> {
        read_map(text.as_bytes(), "a.grd", 0.01).map_err(|e| e.to_string())
    }

    const HEAD: &str = "VERSION: TICRA-EM-FIELD-V0.1\nFREQUENCY\n++++\n 1\n 1 3 2 1\n 0 0\n";

    #[test]
    fn a_grid_written_by_hand_is_read() {
        let text = format!(
            "{HEAD} -1e-3 -2e-3 1E-3 2e-3\n 3 2 0\n 3 4 0 0\n 1 0 0 2\n 0 0 0.1D1 0\n 1 1 0 0\n 0.5-100 0 0 0\n -2 0 0 0\n"
        );
        let map = read(&text).unwrap();
        let Sampling::Raster { u, v } = &map.sampling else { panic!("no raster") };
        assert_eq!((u.as_slice(), v.as_slice()), (&[-1e-3, 0.0, 1e-3][..], &[-2e-3, 2e-3][..]));
        assert_eq!(map.power, [25.0, 5.0, 1.0, 2.0, 0.25e-200, 4.0]);
        assert!(is_grasp(text.as_bytes()) && !is_grasp(b"# u v power\n1 2 3\n"));
    }

    #[test]
    fn rows_may_be_limited_and_the_centre_moved() {
        let text = format!(
            "{}-1e-3 0 1e-3 1e-3\n3 2 1\n2 1\n1 0 0 0\n0 0\n",
            HEAD.replace(" 0 0\n", "1 -2\n")
        );
        let map = read(&text).unwrap();
        assert!(
            map.power[0].is_nan()
                && map.power[2].is_nan()
                && map.power[3..].iter().all(|p| p.is_nan())
        );
        assert_eq!(map.power[1], 1.0);
        let Sampling::Raster { u, v } = &map.sampling else { panic!("no raster") };
        assert_eq!((u[0], v[0]), (0.0, -2e-3));
    }

    #[test]
    fn damaged_grids_are_refused_with_the_line() {
        let grid = |rest: &str| format!("{HEAD}{rest}");
        for (text, said) in [
            ("no mark\n".to_string(), "++++"),
            ("++++\n2\n".into(), "line 2: KTYPE 2"),
            ("++++\n1\n1 3 2 7\n".into(), "IGRID 7"),
            ("++++\n1\n1 3 9 1\n".into(), "9 components"),
            ("++++\n1\n".into(), "ends where 'NSET"),
            (grid("0 0 1e-3\n"), "line 7: expected 4 numbers"),
            (grid("0 0 1e-3 1e-3\n99999999 99999999 0\n"), "no room"),
            (grid("0 0 1e-3 1e-3\n99999999 99999999 1\n"), "no room"),
            (grid("0 0 1e-3 0\n268435456 1 1\n1 1\n1 0 0 0\n"), "no room"),
            (grid("0 0 1e-3 1e-3\n2 x 0\n"), "line 8"),
            (grid("0 0 0 1e-3\n1 -1 0\n"), "line 8"),
            (grid("0 0 5 1e-3\n2 1 0\n1 0 0 0\n1 0 0 0\n"), "within -1 to 1"),
            (grid("0 0 1e-3 1e-3\n2 1 0\n1 0 0 0\n"), "ends where"),
            (grid("0 0 1e-3 1e-3\n2 1 0\n1 0 0 0\n1 0\n"), "line 10"),
            (grid("0 0 1e-3 1e-3\n2 1 0\n1 0 0 0\ninf 0 0 0\n"), "line 10"),
            (grid("0 0 1e-3 1e-3\n2 1 1\n2 2\n"), "IS 2 and IN 2"),
            (grid("0 0 1e-3 1e-3\n2 1 0\n0 0 0 0\n0 0 0 0\n"), "all zero"),
        ] {
            let message = read(&text).unwrap_err();
            assert!(message.starts_with("a.grd") && message.contains(said), "{text}: {message}");
            assert!(!message.contains('\n'));
        }
    }
}
