//! What a user can choose about a fit.

use super::prior::{PowerLaw, Prior};
use crate::device::{Backend, Precision, scattered};
use crate::error::{Error, Result};
use crate::optics::aperture::ApertureGrid;
use crate::optics::model::mode_of;
use std::str::FromStr;

/// How residuals are weighed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LikelihoodKind {
    /// `sum r^2 / 2`
    Gaussian,
    /// `sum ln(1 + r^2)`: outliers and model errors count little.
    #[default]
    Cauchy,
}

impl LikelihoodKind {
    pub fn name(self) -> &'static str {
        match self {
            LikelihoodKind::Gaussian => "gaussian",
            LikelihoodKind::Cauchy => "cauchy",
        }
    }
}

/// Which parameters every map has for itself. With any of them the common ones that do the same
/// (tilt `z1, z2` for the offset, `amp` for the gain) are fixed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nuisance {
    pub offset: bool,
    pub gain: bool,
    pub background: bool,
}

impl Nuisance {
    pub const ALL: Nuisance = Nuisance { offset: true, gain: true, background: true };
    pub const NONE: Nuisance = Nuisance { offset: false, gain: false, background: false };
}

impl Default for Nuisance {
    fn default() -> Self {
        Nuisance::ALL
    }
}

impl FromStr for Nuisance {
    type Err = Error;

    /// `all`, `none`, or a list of `offset`, `gain`, `background`.
    fn from_str(text: &str) -> Result<Self> {
        match text {
            "all" => return Ok(Nuisance::ALL),
            "none" => return Ok(Nuisance::NONE),
            _ => {}
        }
        let mut nuisance = Nuisance::NONE;
        for word in text.split(',') {
            match word.trim() {
                "offset" => nuisance.offset = true,
                "gain" => nuisance.gain = true,
                "background" => nuisance.background = true,
                other => {
                    return Err(Error::usage(format!(
                        "unknown nuisance '{other}': expected all, none, or a list of offset, gain, background"
                    )));
                }
            }
        }
        Ok(nuisance)
    }
}

/// Changes to the parameters, by name. A name is one parameter (`z5`, `sigma`, `gain[1]`), or one
/// kind of every map (`gain` is all of `gain[0]`, `gain[1]`, ...).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ParameterEdits {
    pub free: Vec<String>,
    pub fix: Vec<String>,
    /// Name and value, SI.
    pub start: Vec<(String, f64)>,
    /// Name, lowest and highest value, SI.
    pub bound: Vec<(String, f64, f64)>,
}

impl ParameterEdits {
    /// Drops Zernike coefficients above `order`.
    pub fn drop_above(&mut self, order: u32) {
        let there = |name: &str| mode_of(name).is_none_or(|mode| mode.n <= order);
        self.free.retain(|name| there(name));
        self.fix.retain(|name| there(name));
        self.start.retain(|(name, _)| there(name));
        self.bound.retain(|(name, _, _)| there(name));
    }
}

/// Draws from the posterior: how many, and the seed that they depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drawing {
    pub draws: usize,
    pub seed: u64,
}

/// What to fit and how.
#[derive(Debug, Clone)]
pub struct FitOptions {
    /// Highest radial order of the Zernike polynomials.
    pub order: u32,
    /// Highest radial order of the polynomials of the amplitude; 0 for none. They are free, and the
    /// illumination's own parameters that would do the same are not.
    pub amplitude_order: u32,
    /// Take the best order up to `order` (see [`super::order`]).
    pub choose_order: bool,
    pub likelihood: LikelihoodKind,
    /// The likelihood's scale as a fraction of each map's peak; `None` to derive it from the noise.
    pub scale: Option<f64>,
    /// Fit the scale with the rest: one factor for the scales of all maps.
    pub fit_scale: bool,
    pub nuisance: Nuisance,
    pub edits: ParameterEdits,
    /// The start values are those of an earlier fit, and may be near the optimum.
    pub from_earlier_fit: bool,
    /// What is known before the maps; of two on one parameter the last counts.
    pub priors: Vec<Prior>,
    pub power_law: Option<PowerLaw>,
    /// The aperture grid; `None` for one that suits the maps.
    pub aperture: Option<ApertureGrid>,
    /// The error of a far field at scattered samples, as a part of the largest there can be.
    pub tolerance: f64,
    pub precision: Precision,
    pub backend: Backend,
    /// Compute errors and covariance.
    pub errors: bool,
    /// Keep the maps' models in the result, which takes the memory of the maps once more.
    pub keep_models: bool,
    /// Draw from the posterior, which takes the errors.
    pub sampling: Option<Drawing>,
    /// The most starts that a search for the optimum is given.
    pub starts: u64,
}

/// The error of a far field at scattered samples that does not matter on the way to an optimum: a hundred times
/// below the noise of good maps, and twice as quick as the default.
const ROUGH_TOLERANCE: f64 = 1e-5;

impl FitOptions {
    /// The same for what need not be exact.
    pub fn roughly(&self) -> FitOptions {
        FitOptions { tolerance: self.tolerance.max(ROUGH_TOLERANCE), ..self.clone() }
    }

    /// Whether a parameter of this very name was freed, by an edit or a prior.
    pub fn frees(&self, name: &str) -> bool {
        let named = |other: &String| other == name;
        self.edits.free.iter().any(named) || self.priors.iter().any(|prior| prior.name == name)
    }

    /// The names by which parameters are asked for.
    pub fn named(&self) -> impl Iterator<Item = &str> {
        let ParameterEdits { free, fix, start, bound } = &self.edits;
        let listed = free.iter().chain(fix).chain(self.priors.iter().map(|p| &p.name));
        let valued = start.iter().map(|s| &s.0).chain(bound.iter().map(|b| &b.0));
        listed.chain(valued).map(String::as_str)
    }

    /// Whether a parameter is asked for by one of these names.
    pub fn mentions(&self, names: &[&str]) -> bool {
        self.named().any(|name| names.contains(&name))
    }
}

impl Default for FitOptions {
    fn default() -> Self {
        FitOptions {
            order: 5,
            amplitude_order: 0,
            choose_order: false,
            likelihood: LikelihoodKind::default(),
            scale: None,
            fit_scale: false,
            nuisance: Nuisance::default(),
            edits: ParameterEdits::default(),
            from_earlier_fit: false,
            priors: Vec::new(),
            power_law: None,
            aperture: None,
            tolerance: scattered::TOLERANCE,
            precision: Precision::default(),
            backend: Backend::default(),
            errors: true,
            keep_models: true,
            sampling: None,
            starts: 60,
        }
    }
}
