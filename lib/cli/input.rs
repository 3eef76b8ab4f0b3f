//! What `oof-fit` and `oof-grad` share: maps, telescope and model.

use super::aperture::ApertureArgs;
use super::check;
use super::machine::MachineArgs;
use super::maps::{Content, MapsArgs, maps_of_cube, set_defocus};
use super::model::ModelArgs;
use super::noise;
use super::observation::{
    ObservationArgs, check_shift, illumination, named_in_a_file, open_telescope, same_name,
};
use super::parameter::check_in_fit;
use super::program::say;
use crate::error::{Error, Result};
use crate::fit::problem::LN_SCALE;
use crate::fit::{FitOptions, Setup};
use crate::io::results::FitFile;
use crate::optics::beam_map::{BeamMap, MapSet, Noise, Sigma};
use crate::optics::model::amplitude_order;
use crate::optics::telescope::Telescope;
use crate::units::{SPEED_OF_LIGHT, show_length};
use clap::Args;
use std::path::Path;

/// Options of the input and the model.
#[derive(Debug, Clone, Args)]
pub struct InputArgs {
    #[command(flatten)]
    pub maps: MapsArgs,
    /// A telescope's name, or the file of your own
    #[arg(long, value_name = "NAME|FILE.toml", help_heading = "Telescope",
          help = telescope_help("[default: what the file says]"))]
    pub telescope: Option<String>,
    #[command(flatten)]
    pub observation: ObservationArgs,
    #[command(flatten)]
    pub aperture: ApertureArgs,
    #[command(flatten)]
    pub model: ModelArgs,
    /// Noise of the maps, fractions of the brightest map's peak and of each sample, such as
    /// additive=0.01,multiplicative=0.005, or none [default: what the file says; for .npy the
    /// telescope's; else it is estimated from the residuals]
    #[arg(long, value_name = "LIST", value_parser = noise::parse, help_heading = "Model")]
    pub noise: Option<Noise>,
    #[command(flatten)]
    pub machine: MachineArgs,
}

/// All that a fit is asked for.
pub struct Input {
    pub telescope: Telescope,
    /// Metres.
    pub wavelength: f64,
    pub maps: MapSet,
    pub options: FitOptions,
}

impl Input {
    pub fn setup(&self) -> Setup<'_> {
        let Input { telescope, wavelength, maps, options } = self;
        Setup { telescope, wavelength: *wavelength, maps, options }
    }
}

/// The help of `--telescope`.
pub fn telescope_help(end: &str) -> String {
    format!("A telescope's name ({}), or the file of your own {end}", Telescope::names().join(", "))
}

impl InputArgs {
    /// The files that are read, but a telescope's.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.maps.files().chain(self.model.files())
    }

    /// Reads and checks everything, for the program `name`. What neither the command line nor the maps say is taken from
    /// `earlier`, an earlier fit, and then from the telescope.
    ///
    /// # Errors
    /// Whatever makes no sense, before any work is done.
    pub fn read(&self, name: &str, earlier: Option<&FitFile>) -> Result<Input> {
        let given = self.telescope.as_deref().map(open_telescope).transpose()?;
        let names = earlier.iter().flat_map(|e| e.parameters.iter().map(|p| p.0.as_str()));
        let mut options = self.model.options(earlier.map(|e| e.order), amplitude_order(names))?;
        options.precision = self.machine.precision;
        let place = self.maps.place();
        let content = self.maps.read()?;
        let (said, of_file) = match &content {
            Content::Maps(set) => (set.telescope.clone(), set.wavelength),
            Content::Cube(_) => (None, None),
        };
        let telescope = match given {
            Some(telescope) => telescope,
            None => {
                let name = said.as_deref().or(earlier.map(|e| e.telescope.as_str()));
                named_in_a_file(name, &place)?
            }
        };
        let other = said.filter(|name| !same_name(name, &telescope.name));
        let same = other.is_none();
        let wavelength = self.observation.wavelength().or(of_file);
        let wavelength = wavelength.or(earlier.map(|e| e.wavelength));
        let wavelength = wavelength.unwrap_or(telescope.wavelength);
        let bare = matches!(content, Content::Cube(_)).then_some(telescope.noise);
        let mut maps = self.maps_of(content, &place, &telescope, wavelength)?;
        if let Some(chop) = self.observation.chop {
            maps.chop = chop.0;
        }
        let mut notes = check::repeated(&maps.maps);
        if let Some(name) = &other {
            let name = name.escape_debug();
            notes.push(format!(
                "{place} is of the telescope '{name}', and taken as of '{}'",
                telescope.name
            ));
        }
        notes.extend(take_off_levels(&mut maps, &options));
        if bare.is_some()
            && (self.observation.defocus.is_none() || self.observation.wavelength().is_none())
        {
            notes.push(assumed(&maps, &place, &telescope, wavelength));
        }
        if let Some(Noise { additive: 0.0, multiplicative, outliers }) = self.noise
            && multiplicative + outliers > 0.0
        {
            let what = "--noise without additive leaves samples of an empty sky none; give it too";
            return Err(Error::usage(what));
        }
        if let Some(noise) = self.noise.or(bare) {
            set_noise(&mut maps, noise);
        }
        let unknown = maps.maps.iter().filter(|map| map.sigma == Sigma::Unknown).count();
        if unknown > 0 && unknown < maps.maps.len() {
            notes.push(format!(
                "{unknown} of {} maps have no noise of their own, so that of all is estimated from what is left",
                maps.maps.len()
            ));
        }
        if let Some(shift) = &self.observation.shift {
            maps.shift = shift.clone();
        }
        check_shift(&maps.shift, maps.maps.len())?;
        let blur = self.observation.blur(&maps, earlier.map(|e| e.blur));
        (maps.source_radius, maps.bandwidth) = (Some(blur.radius), Some(blur.bandwidth));
        let telescope = self.lit(telescope, &maps, earlier, same, &place)?;
        check::maps(&maps, &place, &telescope, wavelength)?;
        check::blur(blur, maps.maps.iter().map(|map| &map.sampling), wavelength)?;
        self.model.start_from_files(&mut options, telescope.illumination, wavelength, &maps)?;
        options.aperture = match self.aperture.is_given() {
            true => self.aperture.grid(&maps)?,
            false => maps.aperture.filter(|_| same),
        };
        check_aperture(&options, maps.maps.len(), &telescope)?;
        for name in options.named().filter(|name| !(options.fit_scale && *name == LN_SCALE)) {
            check_in_fit(name, &options, &maps, telescope.illumination)?;
        }
        if !self.machine.quiet {
            notes.iter().for_each(|note| say(name, note));
        }
        Ok(Input { telescope, wavelength, maps, options })
    }

    /// The maps, with the defocus that was given.
    fn maps_of(
        &self,
        content: Content,
        place: &str,
        telescope: &Telescope,
        wavelength: f64,
    ) -> Result<MapSet> {
        let given = self.observation.defocus.as_deref();
        match content {
            Content::Cube(cube) => {
                let defocus = given.unwrap_or(&telescope.defocus);
                let (grid, radius) = (telescope.aperture, telescope.radius);
                maps_of_cube(&cube, place, grid, radius, wavelength, defocus)
            }
            Content::Maps(mut set) => {
                if given.is_some() && !self.maps.map.is_empty() {
                    return Err(Error::usage(
                        "give dz with --map DZ:FILE or with --defocus, not both",
                    ));
                }
                if let Some(defocus) = given {
                    set_defocus(&mut set, defocus, place)?;
                }
                Ok(*set)
            }
        }
    }

    /// The telescope under the illumination that was asked for, that the maps were simulated with, or
    /// that an earlier fit had. `same` where the maps are of this telescope.
    fn lit(
        &self,
        telescope: Telescope,
        maps: &MapSet,
        earlier: Option<&FitFile>,
        same: bool,
        place: &str,
    ) -> Result<Telescope> {
        let of_file = maps.illumination.as_deref().filter(|_| same);
        let kind = match (self.observation.illumination, earlier, of_file) {
            (Some(kind), _, _) => Some(kind),
            (None, Some(earlier), _) => Some(illumination(&earlier.illumination)?),
            (None, None, Some(name)) => {
                Some(illumination(name).map_err(|e| Error::input(place, e))?)
            }
            (None, None, None) => None,
        };
        Ok(match kind {
            Some(kind) => telescope.with_illumination(kind),
            None => telescope,
        })
    }
}

/// Takes the levels off maps of total power, where the fit has a background of each map for the rest; says of
/// which.
fn take_off_levels(maps: &mut MapSet, options: &FitOptions) -> Vec<String> {
    // As much of the sky is below the background of two beams as above it.
    let share = if maps.chop.is_some() { 2 } else { 4 };
    let own = |k: usize| options.mentions(&["background", &format!("background[{k}]")]);
    let take = |(k, map): (usize, &mut BeamMap)| {
        let wanted = options.nuisance.background && !own(k);
        let level = wanted.then(|| map.take_off_level(share)).flatten()?;
        let name = &map.name;
        Some(format!(
            "{name}: a level of {level:.6} is taken off, to which its background is added"
        ))
    };
    maps.maps.iter_mut().enumerate().filter_map(take).collect()
}

/// What is taken of the telescope where samples come with nothing else.
fn assumed(maps: &MapSet, place: &str, telescope: &Telescope, wavelength: f64) -> String {
    let defocus: Vec<String> = maps.maps.iter().map(|map| show_length(map.defocus)).collect();
    format!(
        "{place} says nothing of dz, frequency and pixel: {}, {:.2} GHz, and the pixel of {}'s grid",
        defocus.join(", "),
        1e-9 * SPEED_OF_LIGHT / wavelength,
        telescope.name
    )
}

/// Refuses a grid that is too large for the memory, or too coarse for the orders.
fn check_aperture(options: &FitOptions, maps: usize, telescope: &Telescope) -> Result<()> {
    let Some(grid) = options.aperture else { return Ok(()) };
    // What a model has on each pixel of the dish, for each map.
    let (n, across) = (grid.points, grid.points as f64 / grid.extent);
    let bytes = 100.0 * maps as f64 * across.powi(2);
    check::memory(bytes, &format!("{n} x {n} aperture points"))?;
    let order = options.order.max(options.amplitude_order);
    check::grid(grid, telescope, order, "--aperture-points")
}

/// Gives maps the noise that a simulation with these fractions would have had.
fn set_noise(maps: &mut MapSet, noise: Noise) {
    let peak = maps.maps.iter().map(BeamMap::peak_of_beam).fold(0.0, f64::max);
    for map in &mut maps.maps {
        map.sigma = match noise.additive * peak {
            sigma if sigma > 0.0 => Sigma::Constant(sigma),
            _ => Sigma::Unknown,
        };
    }
    maps.noise = Some(noise);
}
