//! `oof-simulate`: aberrations in, maps out.

use super::check;
use super::coefficients;
use super::example;
use super::input::telescope_help;
use super::machine::MachineArgs;
use super::model::{order, twice};
use super::noise;
use super::observation::{
    ObservationArgs, check_shift, illumination, named_in_a_file, open_telescope, size,
};
use super::parameter::{self, assignment, check_in_model, split};
use super::program::{extension, or_dash, say, unknown_extension};
use super::signal::Stop;
use crate::device::Backend;
use crate::error::{Error, Result};
use crate::fit::problem::LN_SCALE;
use crate::io::fits::Layout;
use crate::io::results::FitFile;
use crate::io::sink::{self, Content, Destination};
use crate::io::{fits, npy, source, text};
use crate::optics::aperture::ApertureGrid;
use crate::optics::beam_map::{BeamMap, Noise, Sampling};
use crate::optics::model::{CHOP, RATIO, amplitude_mode_of, mode_of};
use crate::optics::simulate::{SimulateOptions, simulate, without_samples};
use crate::optics::telescope::Telescope;
use clap::{Parser, ValueEnum};
use std::path::{Path, PathBuf};

/// Make beam maps of a telescope with known aberrations
///
/// Computes the power pattern at each focus setting, adds noise, and writes the maps with all that
/// made them: the header has the telescope, the true parameters, the noise and the options.
#[derive(Debug, Clone, Parser)]
#[command(name = "oof-simulate", version, after_help = example::help("oof-simulate"))]
pub struct SimulateArgs {
    #[arg(long, value_name = "NAME|FILE.toml", help_heading = "Telescope",
          required_unless_present_any = ["parameters", "like"],
          help = telescope_help("[default: that of --parameters, else of --like]"))]
    pub telescope: Option<String>,
    #[command(flatten)]
    pub observation: ObservationArgs,
    /// Pixels a side of a map, and points of the aperture grid; more widen the field and leave the
    /// pixel alone [default: the telescope's]
    #[arg(long, value_name = "N", help_heading = "Telescope")]
    pub grid: Option<usize>,
    /// Sample the sky where these maps did, scattered or not: a FITS file, whose telescope, focus
    /// settings, wavelength and second beam are taken too unless other options say otherwise
    #[arg(long, value_name = "FILE", conflicts_with = "grid", help_heading = "Telescope")]
    pub like: Option<PathBuf>,
    /// Highest radial order of --rms, 1 to 20
    #[arg(long, value_name = "N", default_value = "5", value_parser = order, help_heading = "Aberrations")]
    pub order: u32,
    /// Zernike coefficients, such as z3=0.2rad,z5=-0.1rad
    #[arg(long, value_name = "ZJ=ANGLE,...", value_delimiter = ',', value_parser = coefficient,
          help_heading = "Aberrations")]
    pub zernike: Vec<(String, f64)>,
    /// Zernike coefficients from a CSV file with the columns name and value, from a table in GBT's or
    /// pyoof's order, or from a fit's JSON or FITS; --zernike overrides them
    #[arg(long, value_name = "FILE", help_heading = "Aberrations")]
    pub zernikes: Option<PathBuf>,
    /// Add random aberrations of orders 2 to --order with this rms over the dish, such as 0.5rad
    #[arg(long, value_name = "ANGLE", value_parser = size, help_heading = "Aberrations")]
    pub rms: Option<f64>,
    /// Other parameters, such as sigma=0.7,x0=0.02,amp=0.9; a3=0.05 for an amplitude times
    /// exp(0.05 Z3), sx=2mm for a sub-reflector displaced sideways in all maps
    #[arg(long, value_name = "NAME=VALUE,...", value_delimiter = ',', value_parser = assignment,
          help_heading = "Aberrations")]
    pub set: Vec<(String, f64)>,
    /// Everything from an earlier fit (JSON or FITS), its maps' focus settings too; other options go before it
    #[arg(long, value_name = "FILE", help_heading = "Aberrations")]
    pub parameters: Option<PathBuf>,
    /// Noise as fractions of the peak, and of each sample: additive=0.005,multiplicative=0.01,
    /// outliers=0.001, or none [default: the telescope's]
    #[arg(long, value_name = "LIST", value_parser = noise::parse, help_heading = "Noise")]
    pub noise: Option<Noise>,
    /// Seed of the aberrations and the noise: the same seed gives the same maps
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Noise")]
    pub seed: u64,
    /// Where the maps go: .fits, .npy or .txt [default: FITS on standard output]
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    pub output: Option<PathBuf>,
    /// Format of the maps; only fits has truth, noise and aperture, and a fit takes the others' for measured maps
    /// [default: by the file's name]
    #[arg(long, value_name = "FORMAT", value_enum, help_heading = "Output")]
    pub format: Option<MapFormat>,
    /// Replace a file that exists
    #[arg(long, help_heading = "Output")]
    pub force: bool,
    #[command(flatten)]
    pub machine: MachineArgs,
}

/// A format of maps to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum MapFormat {
    /// Our own FITS, which has all of it
    Fits,
    /// FITS as pyoof reads it: three rasters
    Pyoof,
    /// FITS with tables like those of the GBT and of OOF
    Gbt,
    /// The samples only, as an array (map, v, u)
    Npy,
    /// Lines of u, v and power: one map
    Text,
}

/// A beam with this part of its peak at the edge of its map, besides the noise, is larger than that.
const AT_EDGE: f64 = 0.3;

fn coefficient(text: &str) -> Result<(String, f64)> {
    let (name, value) = assignment(text)?;
    match parameter::zernike(&name) {
        Some(_) => Ok((name, value)),
        None => Err(Error::usage(format!("{name} is no Zernike coefficient; give it with --set"))),
    }
}

/// Runs `oof-simulate`. `history` is what the command line said, for the header.
///
/// # Errors
/// Options that make no sense, and output that cannot be written.
pub fn run(args: SimulateArgs, history: &[String]) -> Result<()> {
    let path = or_dash(&args.output);
    let format = args.format_of(&path)?;
    let telescope = args.telescope.as_deref().map(Path::new);
    let inputs = [&args.like, &args.parameters, &args.zernikes].map(Option::as_deref);
    let inputs = inputs.into_iter().chain([telescope]);
    sink::spare(inputs.flatten(), std::iter::once(path.as_path()))?;
    let content = if format == MapFormat::Text { Content::Text } else { Content::Binary };
    let to = Destination::prepare(&path, content, args.force)?;
    let backend = args.machine.backend("oof-simulate")?;
    let pool = args.machine.pool()?;
    let (telescope, mut options) = args.plan()?;
    options.backend = backend;
    // Maps of the CPU are the same whether it was asked for or not, and so are their headers.
    let ran_on = (backend != Backend::Cpu).then(|| format!("ran on {}", backend.name()));
    let history = &[history, ran_on.as_slice()].concat();
    let maps = pool.install(|| simulate(&telescope, &options))?;
    if !args.machine.quiet && options.samplings.is_empty() && options.noise.outliers == 0.0 {
        let peak = maps.maps.iter().map(BeamMap::peak).fold(0.0, f64::max);
        let noise = 6.0 * options.noise.additive * peak;
        let reaches = |map: &&BeamMap| map.edge() > AT_EDGE * map.peak() + noise;
        if let Some(map) = maps.maps.iter().find(reaches) {
            let (name, part) = (&map.name, 100.0 * map.edge() / map.peak());
            let text = format!(
                "{name}: {part:.0} % of the peak at the map's edge, beyond which the beam comes in again from the other side; give a larger --grid"
            );
            say("oof-simulate", &text);
        }
    }
    let precision = args.machine.precision;
    let bytes = match format {
        MapFormat::Fits => fits::write_maps(&maps, history, precision),
        MapFormat::Pyoof => fits::write_foreign(&maps, history, Layout::Pyoof),
        MapFormat::Gbt => fits::write_foreign(&maps, history, Layout::Gbt),
        MapFormat::Npy => npy::write_cube(&maps, precision),
        MapFormat::Text => text::write_map(&maps, history),
    }?;
    // From here on a signal must not leave half a file behind.
    let _stop = Stop::listen()?;
    to.write(&bytes)
}

impl SimulateArgs {
    fn format_of(&self, path: &Path) -> Result<MapFormat> {
        match (self.format, &*extension(path)) {
            (Some(format), _) => Ok(format),
            (None, "" | "fits" | "fit") => Ok(MapFormat::Fits),
            (None, "npy") => Ok(MapFormat::Npy),
            (None, "txt" | "dat") => Ok(MapFormat::Text),
            (None, _) => Err(unknown_extension(path, ".fits, .npy or .txt, or --format")),
        }
    }

    /// Whether the format has room for the maps.
    fn check_format(&self, telescope: &Telescope, options: &SimulateOptions) -> Result<()> {
        let layout = match self.format_of(&or_dash(&self.output))? {
            MapFormat::Text if options.defocus.len() != 1 => {
                return Err(text::one_map(options.defocus.len()));
            }
            MapFormat::Pyoof => Layout::Pyoof,
            MapFormat::Gbt => Layout::Gbt,
            MapFormat::Fits | MapFormat::Npy | MapFormat::Text => return Ok(()),
        };
        fits::check_layout(&without_samples(telescope, options), layout)
    }

    /// What to simulate.
    fn plan(&self) -> Result<(Telescope, SimulateOptions)> {
        let earlier = self.parameters.as_deref().map(FitFile::open).transpose()?;
        let open = |path| fits::read_maps(&source::read(path)?, &source::name(path));
        let like = self.like.as_deref().map(open).transpose()?.unwrap_or_default();
        let telescope = self.telescope_of(earlier.as_ref(), like.telescope.as_deref())?;
        let wavelength = self.observation.wavelength();
        let wavelength = wavelength.or(earlier.as_ref().map(|e| e.wavelength)).or(like.wavelength);
        let wavelength = wavelength.unwrap_or(telescope.wavelength);
        let samplings: Vec<_> = like.maps.iter().map(|map| map.sampling.clone()).collect();
        let fitted = earlier.as_ref().map_or(&[][..], |earlier| &earlier.maps);
        let of_fit: Vec<f64> = fitted.iter().map(|map| map.defocus_m).collect();
        let of_like: Vec<f64> = like.maps.iter().map(|map| map.defocus).collect();
        let settings = [of_like, of_fit.clone()].into_iter().find(|s| !s.is_empty());
        let defocus = self.observation.defocus.clone().or(settings);
        let defocus = defocus.unwrap_or_else(|| telescope.defocus.clone());
        let shift = match like.shift.is_empty() && defocus == of_fit {
            true => fitted.iter().filter_map(|map| map.shift_m).collect(),
            false => like.shift.clone(),
        };
        let mut grid = telescope.aperture;
        grid.points = self.grid.unwrap_or(grid.points);
        if !samplings.is_empty() {
            grid = ApertureGrid::suitable(telescope.radius, wavelength, samplings.iter());
        }
        let blur = self.observation.blur(&like, earlier.as_ref().map(|e| e.blur));
        let of_fit = |name: &str| {
            let found = earlier.as_ref()?.parameters.iter().find(|p| p.0 == name);
            found.map(|p| p.1)
        };
        let chop = like.chop.or_else(|| of_fit(CHOP));
        let chop = self.observation.chop.map_or(chop, |chop| chop.0);
        let (left_out, parameters) = self.values(earlier, wavelength, &defocus, chop.is_some())?;
        let options = SimulateOptions {
            wavelength,
            defocus,
            grid,
            order: self.order,
            parameters,
            rms: self.rms,
            seed: self.seed,
            noise: self.noise.unwrap_or(telescope.noise),
            precision: self.machine.precision,
            chop,
            shift: self.observation.shift.clone().unwrap_or(shift),
            blur,
            samplings,
            backend: Backend::default(),
        };
        self.check(&telescope, &options)?;
        if left_out && !self.machine.quiet {
            let text = "what each map of the fit has for itself, as its gain, is left out: those are at other focus settings";
            say("oof-simulate", text);
        }
        if self.noise.is_none() && !self.machine.quiet {
            let (name, noise) = (&telescope.name, noise::show(&telescope.noise));
            say("oof-simulate", &format!("noise of {name}: {noise}; --noise changes it"));
        }
        Ok((telescope, options))
    }

    /// Refuses what cannot be simulated or written.
    fn check(&self, telescope: &Telescope, options: &SimulateOptions) -> Result<()> {
        let SimulateOptions { grid, blur, wavelength, .. } = *options;
        if self.rms.is_some() && self.order < 2 {
            return Err(Error::usage(
                "--rms is of orders 2 to --order, which is 1; give a higher one",
            ));
        }
        // Coefficients of any order can be set.
        let modes = options.parameters.iter();
        let modes = modes.filter_map(|(name, _)| mode_of(name).or(amplitude_mode_of(name)));
        let highest = modes.fold(self.order, |highest, mode| highest.max(mode.n));
        check::grid(grid, telescope, highest, "--grid")?;
        let (given, maps) = (options.defocus.len(), options.samplings.len());
        if maps == 0 {
            let axis = grid.sky_axis(telescope.radius, wavelength);
            let raster = Sampling::Raster { u: axis.clone(), v: axis };
            check::blur(blur, [&raster], wavelength)?;
            // A sample, its model, and their copies in the file; tables have positions too.
            let n = grid.points;
            let each = match self.format_of(&or_dash(&self.output))? {
                MapFormat::Fits | MapFormat::Npy => 30.0,
                MapFormat::Pyoof | MapFormat::Gbt | MapFormat::Text => 100.0,
            };
            let bytes = each * given as f64 * (n as f64).powi(2);
            check::memory(bytes, &format!("{given} maps of {n} x {n} samples"))?;
        } else {
            check::blur(blur, &options.samplings, wavelength)?;
            if given != maps {
                return Err(Error::usage(format!(
                    "--defocus has {given} values, but there are {maps} maps in the file of --like"
                )));
            }
        }
        check_shift(&options.shift, given)?;
        self.check_format(telescope, options)?;
        // Coefficients of any order can be set.
        let others = options.parameters.iter().map(|(name, _)| name);
        for name in others.filter(|name| parameter::zernike(name).is_none()) {
            let two = options.chop.is_some();
            check_in_model(name, self.order, given, two, telescope.illumination)?;
        }
        Ok(())
    }

    fn telescope_of(&self, earlier: Option<&FitFile>, like: Option<&str>) -> Result<Telescope> {
        let telescope = match &self.telescope {
            Some(name) => open_telescope(name)?,
            None => {
                let place = self.parameters.as_deref().or(self.like.as_deref());
                let place = place.map(source::name).unwrap_or_default();
                named_in_a_file(earlier.map(|e| e.telescope.as_str()).or(like), &place)?
            }
        };
        let kind = match (self.observation.illumination, earlier) {
            (Some(kind), _) => kind,
            (None, Some(earlier)) => illumination(&earlier.illumination)?,
            (None, None) => telescope.illumination,
        };
        Ok(telescope.with_illumination(kind))
    }

    /// All parameters, the most particular last, each once; and whether those of a fit that every map has for itself
    /// are left out, as its maps have not these focus settings. Of one beam there are no parameters of the second.
    fn values(
        &self,
        earlier: Option<FitFile>,
        wavelength: f64,
        defocus: &[f64],
        chopped: bool,
    ) -> Result<(bool, Vec<(String, f64)>)> {
        let other = |fit: &FitFile| {
            !fit.maps.is_empty() && !fit.maps.iter().map(|map| &map.defocus_m).eq(defocus)
        };
        let left_out = earlier.as_ref().is_some_and(other);
        let given = self.zernike.iter().chain(&self.set);
        twice("--zernike or --set", given.clone().map(|p| &p.0))?;
        let from_file = self.zernikes.as_deref().map(|path| coefficients::open(path, wavelength));
        let mut values: Vec<(String, f64)> = Vec::new();
        let mut earlier =
            earlier.map_or(Vec::new(), |e| coefficients::at_wavelength(&e, wavelength));
        // The first is the likelihood's, and the second among the options.
        earlier.retain(|(name, _)| match split(name) {
            (LN_SCALE | CHOP, _) => false,
            (RATIO, _) if !chopped => false,
            (_, Some(_)) => !left_out,
            _ => true,
        });
        let from_file = from_file.transpose()?.unwrap_or_default();
        for (name, value) in earlier.iter().chain(&from_file).chain(given) {
            match values.iter_mut().find(|v| v.0 == *name) {
                Some(known) => known.1 = *value,
                None => values.push((name.clone(), *value)),
            }
        }
        Ok((left_out, values))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(line: &str) -> Result<SimulateOptions> {
        let words = std::iter::once("oof-simulate").chain(line.split(' '));
        let args = SimulateArgs::try_parse_from(words).map_err(Error::usage)?;
        Ok(args.plan()?.1)
    }

    #[test]
    fn a_telescope_brings_its_settings_and_options_go_before_them() {
        let options = plan("--telescope nikolic2018 --quiet").unwrap();
        assert_eq!((options.wavelength, options.grid.points), (1.1e-3, 128));
        assert_eq!(options.defocus, [0.0, -0.05, 0.05]);
        assert_eq!((options.noise.additive, options.rms), (0.024, None));
        let line = "--telescope nikolic2018 --grid 64 --frequency 300GHz --defocus -1mm,0mm \
                    --zernike z3=0.2rad,z5=-0.1rad --set sigma=0.7 --noise none --rms 0.5rad --seed 7";
        let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
        let options = plan(&line).unwrap();
        assert_eq!(options.defocus, [-1e-3, 0.0]);
        assert!((options.wavelength - 299_792_458.0 / 300e9).abs() < 1e-18);
        let expected = [("z3", 0.2), ("z5", -0.1), ("sigma", 0.7)];
        assert_eq!(options.parameters, expected.map(|(n, v)| (n.to_string(), v)));
        assert_eq!((options.grid.points, options.seed, options.rms), (64, 7, Some(0.5)));
        assert_eq!(options.noise, Noise::default());
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for line in [
            "--grid 64",
            "--telescope nowhere",
            "--telescope srt --order 0",
            "--telescope srt --order 60",
            "--telescope nikolic2018 --grid 8",
            "--telescope srt --grid 0",
            "--telescope srt --zernike z3=0.2",
            "--telescope srt --zernike sigma=0.2",
            "--telescope srt --set gain[7]=1",
            "--telescope srt --set z3=1rad,z3=2rad",
            "--telescope srt --wavelength 1mm --frequency 3GHz",
            "--telescope srt --wavelength -1mm",
            "--telescope srt --rms -1rad",
            "--telescope srt --source-radius -1arcsec",
            "--telescope srt --source-radius 1",
            "--telescope srt --source-radius 2deg",
            "--telescope srt --bandwidth -1GHz",
            "--telescope srt --frequency 22GHz --bandwidth 22GHz",
        ] {
            assert!(plan(&format!("{line} --quiet")).is_err(), "{line}");
        }
    }

    #[test]
    fn what_blurs_the_maps_is_that_of_an_earlier_fit_unless_options_say_otherwise() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fit.json");
        let fit = r#"{"telescope": "srt", "wavelength_m": 0.0135, "source_radius_rad": 1e-4,
            "bandwidth_hz": 2e9, "illumination": "pedestal", "order": 1, "parameters": []}"#;
        std::fs::write(&path, fit).unwrap();
        let blur = |line: &str| {
            let line = format!("--parameters {} --quiet{line}", path.display());
            plan(&line).map(|options| (options.blur.radius, options.blur.bandwidth))
        };
        assert_eq!(blur("").unwrap(), (1e-4, 2e9));
        let (radius, bandwidth) = blur(" --source-radius 36arcsec --bandwidth 0").unwrap();
        assert!((radius - 0.01f64.to_radians()).abs() < 1e-18);
        assert_eq!(bandwidth, 0.0);
        assert_eq!(plan("--telescope srt --quiet").unwrap().blur, Default::default());
    }

    #[test]
    fn coefficients_of_a_file_give_way_to_those_of_the_command_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("z.csv");
        std::fs::write(&path, "name,value\nz3,1\nz4,2\nsigma,9\n").unwrap();
        let line =
            format!("--telescope srt --quiet --zernike z3=0.5rad --zernikes {}", path.display());
        let expected = [("z3", 0.5), ("z4", 2.0)];
        assert_eq!(plan(&line).unwrap().parameters, expected.map(|(n, v)| (n.to_string(), v)));
    }
}
