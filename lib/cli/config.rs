//! What to fit, from a TOML file: the same as on the command line, which wins.
//!
//! ```toml
//! [fit]
//! order = 7 # or "auto"
//! amplitude_order = 2
//! likelihood = "gaussian"
//! nuisance = "offset,gain"
//! free = ["sigma"]
//! fix = ["z1", "z2"]
//!
//! [start]
//! z3 = "0.2rad"
//!
//! [bound]
//! taper = [-25, -1]
//!
//! [prior]
//! ddz = ["0mm", "2mm"]
//! ```

use super::model::{Order, Scale, amplitude_order, scale, wanted};
use super::parameter::{bounds_of, known, power_law, prior_of, value_of};
use crate::error::{Error, Result};
use crate::fit::options::{LikelihoodKind, Nuisance, ParameterEdits};
use crate::fit::prior::{PowerLaw, Prior};
use crate::io::source;
use clap::ValueEnum;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    fit: FitTable,
    start: BTreeMap<String, Quantity>,
    bound: BTreeMap<String, [Quantity; 2]>,
    prior: BTreeMap<String, [Quantity; 2]>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FitTable {
    order: Option<Quantity>,
    amplitude_order: Option<u32>,
    likelihood: Option<String>,
    scale: Option<Quantity>,
    power_law: Option<String>,
    nuisance: Option<String>,
    free: Vec<String>,
    fix: Vec<String>,
}

/// A number, or a text with a unit.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Quantity {
    Number(f64),
    Text(String),
}

impl Quantity {
    fn text(&self) -> String {
        match self {
            Quantity::Number(number) => number.to_string(),
            Quantity::Text(text) => text.clone(),
        }
    }
}

/// What the file says; what it does not say is `None` or empty.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Config {
    pub order: Option<Order>,
    pub amplitude_order: Option<u32>,
    pub likelihood: Option<LikelihoodKind>,
    pub scale: Option<Scale>,
    pub nuisance: Option<Nuisance>,
    pub edits: ParameterEdits,
    pub priors: Vec<Prior>,
    pub power_law: Option<PowerLaw>,
}

impl Config {
    /// Reads the file.
    pub fn open(path: &Path) -> Result<Self> {
        let place = source::name(path);
        let bytes = source::read(path)?;
        let text = str::from_utf8(&bytes).map_err(|_| Error::input(&place, "is not text"))?;
        Self::parse(text, &place)
    }

    fn parse(text: &str, place: &str) -> Result<Self> {
        let file: File = toml::from_str(text).map_err(|error| Error::toml(place, text, &error))?;
        file.config().map_err(|e| Error::input(place, e))
    }
}

impl File {
    fn config(self) -> Result<Config> {
        let names = |list: &[String]| list.iter().map(|name| known(name)).collect::<Result<_>>();
        let start = self.start.iter();
        let bound = self.bound.iter();
        let priors = self.prior.iter();
        let amplitude = self.fit.amplitude_order;
        let likelihood = self.fit.likelihood.as_deref().map(|name| {
            LikelihoodKind::from_str(name, false).map_err(|_| {
                Error::usage(format!("unknown likelihood '{name}', expected gaussian or cauchy"))
            })
        });
        Ok(Config {
            order: self.fit.order.map(|n| wanted(&n.text())).transpose()?,
            amplitude_order: amplitude.map(|n| amplitude_order(&n.to_string())).transpose()?,
            likelihood: likelihood.transpose()?,
            scale: self.fit.scale.map(|f| scale(&f.text())).transpose()?,
            nuisance: self.fit.nuisance.map(|text| text.parse()).transpose()?,
            power_law: self.fit.power_law.map(|text| power_law(&text)).transpose()?,
            priors: priors
                .map(|(name, [mean, sigma])| prior_of(name, &mean.text(), &sigma.text()))
                .collect::<Result<_>>()?,
            edits: ParameterEdits {
                free: names(&self.fit.free)?,
                fix: names(&self.fit.fix)?,
                start: start
                    .map(|(name, value)| value_of(name, &value.text()))
                    .collect::<Result<_>>()?,
                bound: bound
                    .map(|(name, [low, high])| bounds_of(name, &low.text(), &high.text()))
                    .collect::<Result<_>>()?,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_says_what_the_command_line_can() {
        let text = "[fit]\norder = 7\nlikelihood = \"gaussian\"\nnuisance = \"offset,gain\"\n\
            free = [\"sigma\"]\nfix = [\"z1\", \"z2\"]\n[start]\nz3 = \"0.2rad\"\nsigma = 1\n[bound]\ntaper = [-25, -1]\n[prior]\nddz = [\"0mm\", \"2mm\"]\n";
        let prior = Prior { name: "ddz".into(), mean: 0.0, sigma: 2e-3 };
        let config = Config::parse(text, "x").unwrap();
        assert_eq!(config.order, Some(Order::Fixed(7)));
        let auto = Config::parse("[fit]\norder = \"auto:6\"", "x").unwrap();
        assert_eq!(auto.order, Some(Order::Auto(6)));
        assert_eq!(config.likelihood, Some(LikelihoodKind::Gaussian));
        assert!(!config.nuisance.unwrap().background);
        assert_eq!(config.edits.fix, ["z1", "z2"]);
        assert_eq!(config.edits.start, [("sigma".into(), 1.0), ("z3".into(), 0.2)]);
        assert_eq!(config.edits.bound, [("taper".into(), -25.0, -1.0)]);
        assert_eq!(config.priors, [prior]);
        assert_eq!(Config::parse("", "x").unwrap(), Config::default());
    }

    #[test]
    fn mistakes_are_told_in_one_line_with_the_file() {
        for (text, said) in [
            ("[fit]\norders = 5", "line 2"),
            ("[start]\nz3 = 0.2", "add a unit"),
            ("[bound]\ntaper = [-1, -25]", "empty"),
            ("[fit]\norder = 60", "1 to 20"),
            ("[fit]\nlikelihood = \"x\"", "cauchy"),
            ("[fit]\nfree = [\"nonsense\"]", "unknown parameter"),
            ("[", "line 1"),
        ] {
            let message = Config::parse(text, "a.toml").unwrap_err().to_string();
            assert!(message.starts_with("a.toml") && message.contains(said), "{message}");
            assert!(!message.contains('\n'), "{message}");
        }
    }
}
