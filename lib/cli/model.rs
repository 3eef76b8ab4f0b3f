//! What to fit: order, likelihood, parameters.

use super::coefficients;
use super::config::Config;
use super::parameter::{assignment, bound, check_in_fit, known, power_law, prior, split};
use crate::error::{Error, Result};
use crate::fit::options::{FitOptions, LikelihoodKind, Nuisance, ParameterEdits};
use crate::fit::prior::{PowerLaw, Prior};
use crate::fit::problem::LN_SCALE;
use crate::optics::beam_map::MapSet;
use crate::optics::illumination::Illumination;
use crate::optics::model::{LATERAL, RATIO};
use crate::optics::zernike::HIGHEST_ORDER;
use crate::units::Quantity;
use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

impl ValueEnum for LikelihoodKind {
    fn value_variants<'a>() -> &'a [Self] {
        &[LikelihoodKind::Gaussian, LikelihoodKind::Cauchy]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(self.name().into())
    }
}

/// Options of the model.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Model")]
pub struct ModelArgs {
    /// Highest radial order of the Zernike polynomials, 1 to 20; auto, or auto:N, of oof-fit alone,
    /// tries all up to 8, or N, and takes the one that the maps tell best [default: 5]
    #[arg(long, value_name = "N|auto", value_parser = wanted)]
    pub order: Option<Order>,
    /// Highest radial order of the amplitude, 0 to 20: the illumination's times exp(a1 Z1 + a2 Z2 + ...)
    /// with the coefficients a1, a2, ... free, and its own parameters of that order fixed, x0 and y0 from
    /// 1, the others from 2 [default: 0, the illumination alone]
    #[arg(long, value_name = "N", value_parser = amplitude_order)]
    pub amplitude_order: Option<u32>,
    /// How residuals are weighed; outliers count little in cauchy [default: cauchy]
    #[arg(long, value_name = "KIND", value_enum)]
    pub likelihood: Option<LikelihoodKind>,
    /// Scale of the residuals as a fraction of each map's peak; or fit, to fit a factor of the default one
    /// with the rest, as the parameter ln_scale [default: from the noise]
    #[arg(long, value_name = "FRACTION|fit", value_parser = scale)]
    pub scale: Option<Scale>,
    /// What every map has for itself: all, none, or a list of offset, gain, background [default: all]
    #[arg(long, value_name = "LIST", value_parser = str::parse::<Nuisance>)]
    pub nuisance: Option<Nuisance>,
    /// Parameters to fit that are fixed otherwise: z0, z1, ..., amp, sigma, taper, ..., gain[0], ..., or sx
    /// and sy, the sub-reflector's displacement sideways in all maps, which does nearly what coma does: fix
    /// z7 and z8, or give a --prior
    #[arg(long, value_name = "NAME,...", value_delimiter = ',', value_parser = known)]
    pub free: Vec<String>,
    /// Parameters not to fit
    #[arg(long, value_name = "NAME,...", value_delimiter = ',', value_parser = known)]
    pub fix: Vec<String>,
    /// Values to start from, such as z3=0.2rad,sigma=0.7: z, dx, dy and chop take an angle, sx, sy and ddz a
    /// length, others a number; or the file of an earlier fit (JSON, FITS, CSV), for the surface, the
    /// illumination and, from JSON or FITS, what the same maps had
    #[arg(long, value_name = "NAME=VALUE|FILE,...", value_delimiter = ',', value_parser = started)]
    pub start: Vec<Start>,
    /// Lowest and highest value of a parameter, such as taper=-25..-1
    #[arg(long, value_name = "NAME=LOW..HIGH,...", value_delimiter = ',', value_parser = bound)]
    pub bound: Vec<(String, f64, f64)>,
    /// Gaussian priors, which free a parameter and pull it towards a mean: z4=0rad:0.1rad, ddz=0mm:2mm
    /// (ddz is the error of each map's dz)
    #[arg(long, value_name = "NAME=MEAN:SIGMA,...", value_delimiter = ',', value_parser = prior)]
    pub prior: Vec<Prior>,
    /// Prior on all coefficients of order n from 2 up: zero, with sigma SIGMA (n/2)^-POWER, such as
    /// 0.5rad:1.5
    #[arg(long, value_name = "SIGMA:POWER", value_parser = power_law)]
    pub power_law: Option<PowerLaw>,
    /// The same from a TOML file: tables [fit], [start], [bound] and [prior], with lines such as order = 7,
    /// z4 = "0.1rad" and, of the last two, z4 = ["0rad", "0.1rad"]; the command line wins
    #[arg(long, value_name = "FILE.toml")]
    pub config: Option<PathBuf>,
}

/// The order that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    Fixed(u32),
    /// The best up to a limit.
    Auto(u32),
}

impl Order {
    /// The highest that may come out.
    pub fn highest(self) -> u32 {
        match self {
            Order::Fixed(order) | Order::Auto(order) => order,
        }
    }
}

/// `--order auto` goes up to this.
const AUTO_LIMIT: u32 = 8;

/// `5`, `auto` or `auto:6`.
pub fn wanted(text: &str) -> Result<Order> {
    match text.strip_prefix("auto") {
        Some("") => Ok(Order::Auto(AUTO_LIMIT)),
        Some(limit) if limit.starts_with(':') => order(&limit[1..]).map(Order::Auto),
        _ => order(text).map(Order::Fixed),
    }
}

/// A value, or a file of values, to start from.
#[derive(Debug, Clone, PartialEq)]
pub enum Start {
    Value(String, f64),
    File(PathBuf),
}

fn started(text: &str) -> Result<Start> {
    let path = PathBuf::from(text);
    match text.contains('=') || path.extension().is_none() {
        true => assignment(text).map(|(name, value)| Start::Value(name, value)),
        false => Ok(Start::File(path)),
    }
}

/// An order on the command line.
pub fn order(text: &str) -> Result<u32> {
    let order = text.parse().ok();
    order.filter(|n| (1..=HIGHEST_ORDER).contains(n)).ok_or_else(|| {
        Error::usage(format!("order {text}, expected a whole number from 1 to {HIGHEST_ORDER}"))
    })
}

/// An order of the amplitude.
pub fn amplitude_order(text: &str) -> Result<u32> {
    text.parse().ok().filter(|n| *n <= HIGHEST_ORDER).ok_or_else(|| {
        Error::usage(format!(
            "amplitude order {text}, expected a whole number from 0 to {HIGHEST_ORDER}"
        ))
    })
}

/// A likelihood's scale.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scale {
    /// Of each map's peak.
    Fraction(f64),
    Fitted,
}

/// `0.01` or `fit`.
pub fn scale(text: &str) -> Result<Scale> {
    if text == "fit" {
        return Ok(Scale::Fitted);
    }
    let wrong = || Error::usage(format!("a scale of {text}, expected more than 0, or fit"));
    let scale = Quantity::Number.parse(text).map_err(|_| wrong())?;
    (scale > 0.0).then_some(Scale::Fraction(scale)).ok_or_else(wrong)
}

impl ModelArgs {
    /// Command line and file together. What neither says is at its default; `default_order` and
    /// `default_amplitude` are the orders where neither has one.
    pub fn options(
        &self,
        default_order: Option<u32>,
        default_amplitude: u32,
    ) -> Result<FitOptions> {
        let config = match &self.config {
            Some(path) => Config::open(path)?,
            None => Config::default(),
        };
        self.merge(config, default_order, default_amplitude)
    }

    fn merge(
        &self,
        config: Config,
        default_order: Option<u32>,
        default_amplitude: u32,
    ) -> Result<FitOptions> {
        twice("--start", self.started().iter().map(|s| &s.0))?;
        twice("--prior", self.prior.iter().map(|p| &p.name))?;
        twice("--bound", self.bound.iter().map(|b| &b.0))?;
        let defaults = FitOptions::default();
        let scale = self.scale.or(config.scale);
        let fixed = self.fix.iter().chain(&config.edits.fix).any(|name| name == LN_SCALE);
        if fixed && scale == Some(Scale::Fitted) {
            return Err(Error::usage(format!("{LN_SCALE} is fixed, and --scale fit fits it")));
        }
        let order = self.order.or(config.order).or(default_order.map(Order::Fixed));
        let edits = self.edits(config.edits);
        // Of two on one parameter the last counts.
        let mut priors = config.priors;
        priors.retain(|prior| !self.fix.contains(&prior.name));
        priors.extend(self.prior.iter().cloned());
        let mut freed = edits.free.iter().chain(priors.iter().map(|prior| &prior.name));
        if let Some(name) = freed.find(|name| edits.fix.contains(name)) {
            return Err(Error::usage(format!(
                "{name} is in --fix, and in --free or --prior, which free it; give it once"
            )));
        }
        Ok(FitOptions {
            order: order.map_or(defaults.order, Order::highest),
            amplitude_order: self
                .amplitude_order
                .or(config.amplitude_order)
                .unwrap_or(default_amplitude),
            choose_order: matches!(order, Some(Order::Auto(_))),
            likelihood: self.likelihood.or(config.likelihood).unwrap_or(defaults.likelihood),
            scale: match scale {
                Some(Scale::Fraction(fraction)) => Some(fraction),
                Some(Scale::Fitted) | None => None,
            },
            fit_scale: scale == Some(Scale::Fitted),
            nuisance: self.nuisance.or(config.nuisance).unwrap_or_default(),
            edits,
            priors,
            power_law: self.power_law.or(config.power_law),
            ..defaults
        })
    }

    /// The files that are read.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let started = self.start.iter().filter_map(|start| match start {
            Start::Value(..) => None,
            Start::File(path) => Some(path),
        });
        started.chain(&self.config).map(PathBuf::as_path)
    }

    /// The start values that are given by name.
    fn started(&self) -> Vec<(String, f64)> {
        let value = |start: &Start| match start {
            Start::Value(name, value) => Some((name.clone(), *value)),
            Start::File(_) => None,
        };
        self.start.iter().filter_map(value).collect()
    }

    /// Puts the start values of files before those of `options`, which win; coefficients above its orders,
    /// parameters of another illumination, a lateral displacement that is not asked for, and what is not
    /// fitted for every map now are left out.
    ///
    /// # Errors
    /// Files that hold no start values.
    pub fn start_from_files(
        &self,
        options: &mut FitOptions,
        illumination: Illumination,
        wavelength: f64,
        maps: &MapSet,
    ) -> Result<()> {
        let mut start = Vec::new();
        for file in &self.start {
            if let Start::File(path) = file {
                start.extend(coefficients::start_values(path, wavelength, &maps.maps)?);
                options.from_earlier_fit = true;
            }
        }
        let two = maps.chop.is_some();
        let lateral = options.mentions(&LATERAL);
        start.retain(|(name, _)| match split(name) {
            (LN_SCALE, _) => options.fit_scale,
            ("dx" | "dy", Some(_)) => options.nuisance.offset,
            ("gain" | RATIO, Some(_)) => options.nuisance.gain && (two || !name.starts_with(RATIO)),
            ("background", Some(_)) => options.nuisance.background,
            (stem, Some(_)) => options.frees(stem) || options.frees(name),
            (stem, None) if LATERAL.contains(&stem) => lateral,
            _ => check_in_fit(name, options, maps, illumination).is_ok(),
        });
        start.append(&mut options.edits.start);
        options.edits.start = start;
        Ok(())
    }

    /// The file's edits with those of the command line after them; what these say again is dropped.
    fn edits(&self, mut edits: ParameterEdits) -> ParameterEdits {
        let said = |mine: &[String], name: &str| {
            let named = |m: &String| m == name || m == split(name).0;
            mine.iter().any(named)
        };
        edits.free.retain(|name| !said(&self.fix, name));
        let priors: Vec<String> = self.prior.iter().map(|prior| prior.name.clone()).collect();
        edits.fix.retain(|name| !said(&self.free, name) && !said(&priors, name));
        let own = self.started();
        let started: Vec<String> = own.iter().map(|s| s.0.clone()).collect();
        edits.start.retain(|(name, _)| !said(&started, name));
        let bounded: Vec<String> = self.bound.iter().map(|b| b.0.clone()).collect();
        edits.bound.retain(|(name, _, _)| !said(&bounded, name));
        edits.free.extend(self.free.iter().cloned());
        edits.fix.extend(self.fix.iter().cloned());
        edits.start.extend(own);
        edits.bound.extend(self.bound.iter().cloned());
        edits
    }
}

/// Refuses a name that is given twice with `option`.
pub fn twice<'a>(option: &str, names: impl Iterator<Item = &'a String>) -> Result<()> {
    let mut seen = HashSet::new();
    match names.filter(|name| !seen.insert(*name)).min() {
        Some(name) => Err(Error::usage(format!("{name} is given twice with {option}"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::FromArgMatches;

    fn parse(options: &str) -> ModelArgs {
        let command = ModelArgs::augment_args(clap::Command::new("x"));
        let words = std::iter::once("x").chain(options.split(' ').filter(|w| !w.is_empty()));
        ModelArgs::from_arg_matches(&command.try_get_matches_from(words).unwrap()).unwrap()
    }

    #[test]
    fn the_command_line_wins_over_the_file() {
        let config = Config {
            order: Some(Order::Fixed(3)),
            nuisance: Some(Nuisance::NONE),
            edits: ParameterEdits {
                free: vec!["sigma".into()],
                fix: vec!["z1".into(), "gain[0]".into()],
                start: vec![("z3".into(), 1.0), ("z4".into(), 2.0)],
                bound: vec![("taper".into(), -9.0, -1.0)],
            },
            ..Config::default()
        };
        let line = "--order 7 --free gain --fix sigma --start z3=0.5rad --bound taper=-8..-2";
        let options = parse(line).merge(config.clone(), None, 0).unwrap();
        assert_eq!(options.order, 7);
        assert_eq!(options.nuisance, Nuisance::NONE);
        assert_eq!(options.edits.free, ["gain"]);
        assert_eq!(options.edits.fix, ["z1", "sigma"]);
        assert_eq!(options.edits.start, [("z4".into(), 2.0), ("z3".into(), 0.5)]);
        assert_eq!(options.edits.bound, [("taper".into(), -8.0, -2.0)]);
        assert_eq!(parse("").merge(config, Some(4), 0).unwrap().order, 3);
        let plain = parse("").merge(Config::default(), None, 0).unwrap();
        assert_eq!((plain.order, plain.nuisance), (5, Nuisance::ALL));
        let amplitude = |line: &str, file, earlier| {
            let config = Config { amplitude_order: file, ..Config::default() };
            parse(line).merge(config, None, earlier).unwrap().amplitude_order
        };
        assert_eq!(amplitude("--amplitude-order 3", Some(2), 1), 3);
        assert_eq!((amplitude("", Some(0), 1), amplitude("", None, 1)), (0, 1));
    }

    #[test]
    fn an_order_is_a_number_or_left_to_the_maps() {
        assert_eq!(wanted("7").unwrap(), Order::Fixed(7));
        assert_eq!(wanted("auto").unwrap(), Order::Auto(8));
        assert_eq!(wanted("auto:4").unwrap(), Order::Auto(4));
        for text in ["", "0", "auto:0", "auto:", "auto4", "automatic", "21", "auto:21"] {
            assert!(wanted(text).is_err(), "{text}");
        }
        let options = parse("--order auto:6").merge(Config::default(), None, 0).unwrap();
        assert!(options.choose_order && options.order == 6);
    }

    #[test]
    fn a_start_is_a_value_or_a_file() {
        assert_eq!(started("z3=0.5rad").unwrap(), Start::Value("z3".into(), 0.5));
        assert_eq!(started("fit.gbt.csv").unwrap(), Start::File("fit.gbt.csv".into()));
        assert!(started("z3").unwrap_err().to_string().contains("NAME=VALUE"));
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        for line in
            ["--free z3 --fix z3", "--start z3=1rad,z3=2rad", "--bound q=1..2 --bound q=1..3"]
        {
            assert!(parse(line).merge(Config::default(), None, 0).is_err(), "{line}");
        }
    }
}
