//! From maps to a surface: parameters, likelihood, minimisation, errors.

pub mod gradient;
pub mod options;
pub mod result;

pub use options::FitOptions;
pub use result::FitResult;

use crate::error::{Error, Result};
use crate::optics::beam_map::MapSet;
use crate::optics::telescope::Telescope;

/// How far a fit has come.
#[derive(Debug, Clone)]
pub struct Progress {
    /// `order 3 of 5`, `all samples`, `errors`.
    pub stage: String,
    pub evaluations: usize,
    pub negative_log_likelihood: f64,
}

/// Fits `maps`. `progress` is called once an iteration and may stop the fit with an error.
pub fn fit(
    _telescope: &Telescope,
    _wavelength: f64,
    _maps: &MapSet,
    _options: &FitOptions,
    _progress: &mut dyn FnMut(&Progress) -> Result<()>,
) -> Result<FitResult> {
    Err(Error::failed("unwritten"))
}
