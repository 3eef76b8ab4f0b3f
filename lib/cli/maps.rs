//! The maps that a user names: one file or standard input, or text files with their `dz`.

use super::observation::length;
use super::program::or_dash;
use crate::error::{Error, Result};
use crate::io::{Format, fits, grasp, npy, source, text};
use crate::optics::aperture::ApertureGrid;
use crate::optics::beam_map::{BeamMap, MapSet, Sampling, Sigma};
use crate::units::show_length;
use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};
use ndarray::Array3;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

impl ValueEnum for Format {
    fn value_variants<'a>() -> &'a [Self] {
        &[Format::Fits, Format::Npy, Format::Text, Format::Grasp]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(format!("{self:?}").to_lowercase().into())
    }
}

/// `DZ:FILE`
#[derive(Debug, Clone)]
pub struct MapOfDefocus {
    /// Metres.
    pub defocus: f64,
    pub path: PathBuf,
}

/// Options of the input.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Input")]
pub struct MapsArgs {
    /// Beam maps: FITS (ours, pyoof's or OOF's) or a .npy cube (maps, v, u) [default: standard input]
    #[arg(value_name = "MAPS", conflicts_with = "map")]
    pub maps: Option<PathBuf>,
    /// A map as text, `u v power` a line in radians, a raster or scattered, or as a TICRA GRASP grid
    /// (.grd), with its sub-reflector displacement, such as
    /// --map=-27mm:OUT1.txt; once for each map
    #[arg(long, value_name = "DZ:FILE", allow_hyphen_values = true, value_parser = map_of_defocus)]
    pub map: Vec<MapOfDefocus>,
    /// Format of the maps, where the content does not tell
    #[arg(long, value_name = "FORMAT", value_enum)]
    pub format: Option<Format>,
}

/// What was read: maps with all that their file says, or samples and nothing else.
pub enum Content {
    Maps(Box<MapSet>),
    Cube(Array3<f64>),
}

impl MapsArgs {
    /// What to call the input in messages.
    pub fn place(&self) -> String {
        match &self.map[..] {
            [] => source::name(&or_dash(&self.maps)),
            [map] => source::name(&map.path),
            // Every map has the name of its file.
            _ => "--map".into(),
        }
    }

    /// The files that are named.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.maps.iter().chain(self.map.iter().map(|map| &map.path)).map(PathBuf::as_path)
    }

    /// Reads the maps.
    pub fn read(&self) -> Result<Content> {
        if !self.map.is_empty() {
            for (i, map) in self.map.iter().enumerate() {
                if let Some(other) = self.map[..i].iter().find(|other| other.path == map.path) {
                    let dz = [other, map].map(|map| show_length(map.defocus)).join(" and at ");
                    let what = format!("is given at dz = {dz}; give every map once");
                    return Err(Error::input(source::name(&map.path), what));
                }
            }
            let maps = self.map.iter().map(|map| self.read_text(map));
            let maps = maps.collect::<Result<_>>()?;
            return Ok(Content::Maps(Box::new(MapSet { maps, ..MapSet::default() })));
        }
        self.content(&self.bytes()?, &self.place())
    }

    /// The bytes of the one file, or of standard input.
    pub fn bytes(&self) -> Result<Vec<u8>> {
        if self.maps.is_none() && io::stdin().is_terminal() {
            return Err(Error::usage(
                "no maps: name a file, pipe maps in, or give --map DZ:FILE; see --help",
            ));
        }
        source::read(&or_dash(&self.maps))
    }

    /// The maps in the bytes of one file.
    pub fn content(&self, bytes: &[u8], place: &str) -> Result<Content> {
        match self.format(bytes, place)? {
            Format::Fits => Ok(Content::Maps(Box::new(fits::read_maps(bytes, place)?))),
            Format::Npy => Ok(Content::Cube(npy::read_cube(bytes, place)?)),
            Format::Grasp => Err(Error::input(
                place,
                "is a GRASP grid, without its dz; give each as --map DZ:FILE, such as --map=-27mm:FILE.grd",
            )),
            // What is no text at all is told so before it is taken for a map.
            Format::Text => Err(match text::read_map(bytes, place, 0.0) {
                Ok(_) => Error::input(
                    place,
                    "is one map as text, without its dz; give each map as --map DZ:FILE, such as --map=-27mm:FILE",
                ),
                Err(_) => Error::input(
                    place,
                    "is neither FITS nor .npy; text maps are given as --map DZ:FILE",
                ),
            }),
        }
    }

    fn read_text(&self, map: &MapOfDefocus) -> Result<BeamMap> {
        let place = source::name(&map.path);
        let bytes = source::read(&map.path)?;
        match self.format(&bytes, &place)? {
            Format::Text => text::read_map(&bytes, &place, map.defocus),
            Format::Grasp => grasp::read_map(&bytes, &place, map.defocus),
            _ => Err(Error::input(
                place,
                "is no text; --map takes text maps and GRASP grids, other files are given without it",
            )),
        }
    }

    fn format(&self, bytes: &[u8], place: &str) -> Result<Format> {
        self.format.map_or_else(|| Format::of(bytes, place), Ok)
    }
}

fn map_of_defocus(text: &str) -> Result<MapOfDefocus> {
    match text.split_once(':') {
        Some((dz, file)) if !file.is_empty() => {
            Ok(MapOfDefocus { defocus: length(dz)?, path: PathBuf::from(Path::new(file)) })
        }
        _ => Err(Error::usage(format!("'{text}' is not DZ:FILE, such as -27mm:OUT1.txt"))),
    }
}

/// Gives each map the defocus that `--defocus` has for it. `place` is what holds the maps.
///
/// # Errors
/// Another number of values than of maps.
pub fn set_defocus(set: &mut MapSet, defocus: &[f64], place: &str) -> Result<()> {
    if defocus.len() != set.maps.len() {
        return Err(Error::usage(format!(
            "--defocus has {} values, but there are {} maps in {place}",
            defocus.len(),
            set.maps.len()
        )));
    }
    set.maps.iter_mut().zip(defocus).for_each(|(map, dz)| map.defocus = *dz);
    Ok(())
}

/// The maps of a cube `(maps, v, u)` whose pixels are those of `grid`'s discrete far field on a dish
/// of `radius` metres: pixel `j` of `n` at `(j - n/2) wavelength / (n step)`.
///
/// # Errors
/// Maps that are not square, and another number of `defocus` values than of maps.
pub fn maps_of_cube(
    cube: &Array3<f64>,
    place: &str,
    mut grid: ApertureGrid,
    radius: f64,
    wavelength: f64,
    defocus: &[f64],
) -> Result<MapSet> {
    let (count, rows, n) = cube.dim();
    if rows != n {
        return Err(Error::input(
            place,
            format!("maps of {rows} x {n} samples; those of a .npy cube have to be square"),
        ));
    }
    if defocus.len() != count {
        return Err(Error::input(
            place,
            format!(
                "{count} maps, but {} values of dz; give one a map with --defocus",
                defocus.len()
            ),
        ));
    }
    grid.points = n;
    grid.check().map_err(|e| Error::input(place, e))?;
    let axis = grid.sky_axis(radius, wavelength);
    let maps = cube.outer_iter().zip(defocus).enumerate();
    let maps = maps.map(|(i, (power, &defocus))| BeamMap {
        name: format!("map {i}"),
        defocus,
        sampling: Sampling::Raster { u: axis.clone(), v: axis.clone() },
        power: power.iter().copied().collect(),
        sigma: Sigma::Unknown,
    });
    Ok(MapSet {
        maps: maps.collect(),
        wavelength: Some(wavelength),
        aperture: Some(grid),
        ..MapSet::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optics::aperture::ApertureKind;

    #[test]
    fn a_map_comes_with_its_defocus() {
        let map = map_of_defocus("-27mm:a:b.txt").unwrap();
        assert_eq!((map.defocus, map.path), (-27e-3, PathBuf::from("a:b.txt")));
        for text in ["a.txt", "-27:a.txt", "-27mm:", ":a.txt"] {
            assert!(map_of_defocus(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_pixels_of_a_cube_are_those_of_the_grid() {
        let grid = ApertureGrid { kind: ApertureKind::Hard, points: 9, extent: 4.0 };
        let cube = Array3::from_shape_fn((2, 5, 5), |(m, y, x)| (m * 100 + y * 10 + x) as f64);
        let set = maps_of_cube(&cube, "x", grid, 1.0, 0.002, &[0.0, 0.01]).unwrap();
        let Sampling::Raster { u, v } = &set.maps[1].sampling else { panic!("not a raster") };
        // Five points over 8 m are 2 m apart: a pixel is 0.002 / (5 x 2).
        assert!(u.iter().zip([-4e-4, -2e-4, 0.0, 2e-4, 4e-4]).all(|(a, b)| (a - b).abs() < 1e-18));
        assert_eq!((u, set.maps[1].power[7]), (v, 112.0));
        assert_eq!(set.aperture.unwrap().points, 5);
        let wrong = maps_of_cube(&cube, "x", grid, 1.0, 0.002, &[0.0]).unwrap_err();
        assert!(wrong.to_string().contains("2 maps, but 1 values"), "{wrong}");
        let flat = Array3::zeros((2, 4, 5));
        assert!(maps_of_cube(&flat, "x", grid, 1.0, 0.002, &[0.0, 1.0]).is_err());
    }
}
