//! `oof-plot`: files in, pictures out.

use super::example;
use super::input::telescope_help;
use super::maps::{Content, MapsArgs, maps_of_cube, set_defocus};
use super::observation::{frequency, length, open_telescope, positive_length, wavelength};
use super::program::{extension, or_dash};
use crate::error::{Error, Result};
use crate::io::results::read_fit;
use crate::io::sink::{self, Content as Bytes, Destination};
use crate::optics::beam_map::MapSet;
use crate::plot::{fit_page, maps_page};
use clap::Parser;
use std::path::{Path, PathBuf};

/// Draw beam maps, or what a fit found, as PNG
///
/// Maps are drawn three a row, each scaled to its peak. Of the FITS file of a fit it makes the picture
/// that oof-fit --plot makes: observed, model and residual of each map, phase and amplitude on the dish,
/// and the numbers.
#[derive(Debug, Clone, Parser)]
#[command(name = "oof-plot", version, after_help = example::help("oof-plot"))]
pub struct PlotArgs {
    #[command(flatten)]
    pub maps: MapsArgs,
    #[arg(long, value_name = "NAME|FILE.toml", help_heading = "Telescope",
          help = telescope_help("[default: what the file says; a .npy cube needs one]"))]
    pub telescope: Option<String>,
    /// Wavelength with its unit, such as 1.1mm [default: what the file says, else the telescope's]
    #[arg(long, value_name = "LENGTH", value_parser = positive_length, help_heading = "Telescope")]
    pub wavelength: Option<f64>,
    /// Frequency instead of the wavelength, such as 86GHz
    #[arg(long, value_name = "FREQUENCY", value_parser = frequency, conflicts_with = "wavelength",
          help_heading = "Telescope")]
    pub frequency: Option<f64>,
    /// Displacement dz of the sub-reflector in each map, with units, such as -50mm,0mm,50mm [default: what
    /// the file says, else the telescope's]
    #[arg(long, value_name = "DZ,...", value_delimiter = ',', allow_hyphen_values = true,
          value_parser = length, help_heading = "Telescope")]
    pub defocus: Option<Vec<f64>>,
    /// Where the picture goes [default: PNG on standard output]
    #[arg(short, long, value_name = "FILE.png", help_heading = "Output")]
    pub output: Option<PathBuf>,
    /// Replace a file that exists
    #[arg(long, help_heading = "Output")]
    pub force: bool,
}

/// Refuses a name that no picture has.
pub fn check_picture(path: &Path) -> Result<()> {
    match &*extension(path) {
        "" | "png" => Ok(()),
        _ => Err(Error::usage(format!("{}: pictures are PNG; name it .png", path.display()))),
    }
}

/// Runs `oof-plot`.
///
/// # Errors
/// Files that hold neither maps nor a fit, and output that cannot be written.
pub fn run(args: PlotArgs, _history: &[String]) -> Result<()> {
    let path = or_dash(&args.output);
    check_picture(&path)?;
    sink::spare(args.maps.files(), std::iter::once(path.as_path()))?;
    let to = Destination::prepare(&path, Bytes::Binary, args.force)?;
    to.write(&args.picture()?)
}

impl PlotArgs {
    fn picture(&self) -> Result<Vec<u8>> {
        let place = self.maps.place();
        // Standard input can be read once only.
        let bytes = match self.maps.map.is_empty() {
            true => Some(self.maps.bytes()?),
            false => None,
        };
        if let Some(bytes) = &bytes {
            if let Some((result, maps)) = read_fit(bytes, &place)? {
                let said = self.telescope.is_some() || self.wavelength().is_some();
                if said || self.defocus.is_some() {
                    let what =
                        "--telescope, --wavelength, --frequency and --defocus say what maps are of";
                    return Err(Error::usage(format!("{what}, but {place} holds a fit")));
                }
                return Ok(fit_page(&result, &maps));
            }
            if bytes.trim_ascii_start().starts_with(b"{") {
                let what =
                    "is JSON: a fit's maps and aperture are in its FITS file, oof-fit -o FILE.fits";
                return Err(Error::input(place, what));
            }
        }
        let content = match &bytes {
            Some(bytes) => self.maps.content(bytes, &place)?,
            None => self.maps.read()?,
        };
        Ok(maps_page(&self.maps_of(content, &place)?))
    }

    fn wavelength(&self) -> Option<f64> {
        wavelength(self.wavelength, self.frequency)
    }

    /// The maps with what the command line says of them.
    fn maps_of(&self, content: Content, place: &str) -> Result<MapSet> {
        let telescope = self.telescope.as_deref().map(open_telescope).transpose()?;
        let mut set = match content {
            Content::Maps(set) => *set,
            Content::Cube(cube) => {
                let telescope = telescope.as_ref().ok_or_else(|| {
                    Error::usage(format!(
                        "{place} holds samples only; give the --telescope that it is of"
                    ))
                })?;
                let wavelength = self.wavelength().unwrap_or(telescope.wavelength);
                let defocus = self.defocus.as_deref().unwrap_or(&telescope.defocus);
                let (grid, radius) = (telescope.aperture, telescope.radius);
                maps_of_cube(&cube, place, grid, radius, wavelength, defocus)?
            }
        };
        if let Some(defocus) = &self.defocus {
            set_defocus(&mut set, defocus, place)?;
        }
        set.wavelength = self.wavelength().or(set.wavelength);
        set.telescope = telescope.map(|telescope| telescope.name).or(set.telescope);
        Ok(set)
    }
}
