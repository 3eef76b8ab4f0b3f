//! What to fit: order, likelihood, parameters.

use super::config::Config;
use super::parameter::{assignment, bound, known, split};
use crate::error::{Error, Result};
use crate::fit::options::{FitOptions, LikelihoodKind, Nuisance, ParameterEdits};
use crate::units::Quantity;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// More coefficients than this order has are never told from maps of this kind.
const HIGHEST_ORDER: u32 = 20;

/// A likelihood on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LikelihoodName {
    Gaussian,
    Cauchy,
}

/// Options of the model.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Model")]
pub struct ModelArgs {
    /// Highest radial order of the Zernike polynomials, 1 to 20 [default: 5]
    #[arg(long, value_name = "N", value_parser = order)]
    pub order: Option<u32>,
    /// How residuals are weighed; outliers count little in cauchy [default: cauchy]
    #[arg(long, value_name = "KIND", value_enum)]
    pub likelihood: Option<LikelihoodName>,
    /// Scale of the residuals as a fraction of each map's peak [default: from the noise]
    #[arg(long, value_name = "FRACTION", value_parser = scale)]
    pub scale: Option<f64>,
    /// What every map has for itself: all, none, or a list of offset, gain, background [default: all]
    #[arg(long, value_name = "LIST", value_parser = str::parse::<Nuisance>)]
    pub nuisance: Option<Nuisance>,
    /// Parameters to fit that are fixed otherwise: z0, z1, ..., amp, sigma, taper, ..., gain[0], ...
    #[arg(long, value_name = "NAME,...", value_delimiter = ',', value_parser = known)]
    pub free: Vec<String>,
    /// Parameters not to fit
    #[arg(long, value_name = "NAME,...", value_delimiter = ',', value_parser = known)]
    pub fix: Vec<String>,
    /// Values to start from, such as z3=0.2rad,sigma=0.7: z and dx, dy take an angle, others a number
    #[arg(long, value_name = "NAME=VALUE,...", value_delimiter = ',', value_parser = assignment)]
    pub start: Vec<(String, f64)>,
    /// Lowest and highest value of a parameter, such as taper=-25..-1
    #[arg(long, value_name = "NAME=LOW..HIGH,...", value_delimiter = ',', value_parser = bound)]
    pub bound: Vec<(String, f64, f64)>,
    /// The same from a TOML file: tables [fit], [start] and [bound]; the command line wins
    #[arg(long, value_name = "FILE.toml")]
    pub config: Option<PathBuf>,
}

/// An order on the command line.
pub fn order(text: &str) -> Result<u32> {
    let order = text.parse().ok();
    order.filter(|n| (1..=HIGHEST_ORDER).contains(n)).ok_or_else(|| {
        Error::usage(format!("order {text}, expected a whole number from 1 to {HIGHEST_ORDER}"))
    })
}

/// A likelihood's scale.
pub fn scale(text: &str) -> Result<f64> {
    match Quantity::Number.parse(text)? {
        scale if scale > 0.0 => Ok(scale),
        _ => Err(Error::usage(format!("a scale of {text}, expected more than 0"))),
    }
}

impl ModelArgs {
    /// Command line and file together. What neither says is at its default; `order` is the order
    /// where neither has one.
    pub fn options(&self, default_order: Option<u32>) -> Result<FitOptions> {
        let config = match &self.config {
            Some(path) => Config::open(path)?,
            None => Config::default(),
        };
        self.merge(config, default_order)
    }

    fn merge(&self, config: Config, default_order: Option<u32>) -> Result<FitOptions> {
        if let Some(name) = self.free.iter().find(|name| self.fix.contains(name)) {
            return Err(Error::usage(format!("{name} is in --free and in --fix; give it once")));
        }
        twice("--start", self.start.iter().map(|s| &s.0))?;
        twice("--bound", self.bound.iter().map(|b| &b.0))?;
        let defaults = FitOptions::default();
        let likelihood = self.likelihood.or(config.likelihood);
        let order = self.order.or(config.order).or(default_order);
        Ok(FitOptions {
            order: order.unwrap_or(defaults.order),
            likelihood: likelihood.map_or(defaults.likelihood, |name| match name {
                LikelihoodName::Gaussian => LikelihoodKind::Gaussian,
                LikelihoodName::Cauchy => LikelihoodKind::Cauchy,
            }),
            scale: self.scale.or(config.scale),
            nuisance: self.nuisance.or(config.nuisance).unwrap_or_default(),
            edits: self.edits(config.edits),
            ..defaults
        })
    }

    /// The file's edits with those of the command line after them; what these say again is dropped.
    fn edits(&self, mut edits: ParameterEdits) -> ParameterEdits {
        let said = |mine: &[String], name: &str| {
            let named = |m: &String| m == name || m == split(name).0;
            mine.iter().any(named)
        };
        edits.free.retain(|name| !said(&self.fix, name));
        edits.fix.retain(|name| !said(&self.free, name));
        let names = |list: &[(String, f64)]| list.iter().map(|s| s.0.clone()).collect::<Vec<_>>();
        let started = names(&self.start);
        edits.start.retain(|(name, _)| !said(&started, name));
        let bounded: Vec<String> = self.bound.iter().map(|b| b.0.clone()).collect();
        edits.bound.retain(|(name, _, _)| !said(&bounded, name));
        edits.free.extend(self.free.iter().cloned());
        edits.fix.extend(self.fix.iter().cloned());
        edits.start.extend(self.start.iter().cloned());
        edits.bound.extend(self.bound.iter().cloned());
        edits
    }
}

/// Refuses a name that is given twice with `option`.
pub fn twice<'a>(option: &str, names: impl Iterator<Item = &'a String>) -> Result<()> {
    let mut names: Vec<&String> = names.collect();
    names.sort_unstable();
    match names.windows(2).find(|w| w[0] == w[1]) {
        Some(w) => Err(Error::usage(format!("{} is given twice with {option}", w[0]))),
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
            order: Some(3),
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
        let options = parse(line).merge(config.clone(), None).unwrap();
        assert_eq!(options.order, 7);
        assert_eq!(options.nuisance, Nuisance::NONE);
        assert_eq!(options.edits.free, ["gain"]);
        assert_eq!(options.edits.fix, ["z1", "sigma"]);
        assert_eq!(options.edits.start, [("z4".into(), 2.0), ("z3".into(), 0.5)]);
        assert_eq!(options.edits.bound, [("taper".into(), -8.0, -2.0)]);
        assert_eq!(parse("").merge(config, Some(4)).unwrap().order, 3);
        let plain = parse("").merge(Config::default(), None).unwrap();
        assert_eq!((plain.order, plain.nuisance), (5, Nuisance::ALL));
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        for line in
            ["--free z3 --fix z3", "--start z3=1rad,z3=2rad", "--bound q=1..2 --bound q=1..3"]
        {
            assert!(parse(line).merge(Config::default(), None).is_err(), "{line}");
        }
    }
}
