//! Value and gradient at given parameters, and the check of one against the other.

use super::options::FitOptions;
use crate::error::{Error, Result};
use crate::optics::beam_map::MapSet;
use crate::optics::telescope::Telescope;
use ndarray::Array2;
use serde::Serialize;

/// One free parameter and the derivative of the negative log-likelihood with respect to it.
#[derive(Debug, Clone, Serialize)]
pub struct GradientRow {
    pub name: String,
    pub unit: String,
    pub value: f64,
    pub gradient: f64,
    /// The central difference, where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub difference: Option<f64>,
    /// `|gradient - difference|` over the larger of the two (see [`gradient`]).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relative_error: Option<f64>,
}

/// What `oof-grad` reports.
#[derive(Debug, Clone)]
pub struct GradientReport {
    pub negative_log_likelihood: f64,
    pub rows: Vec<GradientRow>,
    /// Second derivatives, free parameters in the order of `rows`.
    pub hessian: Option<Array2<f64>>,
}

/// Value and gradient at the start values of `options`, with central differences where `check`.
pub fn gradient(
    _telescope: &Telescope,
    _wavelength: f64,
    _maps: &MapSet,
    _options: &FitOptions,
    _check: bool,
    _hessian: bool,
) -> Result<GradientReport> {
    Err(Error::failed("unwritten"))
}

/// The recorded graph of the negative log-likelihood in Graphviz's language.
pub fn graphviz(
    _telescope: &Telescope,
    _wavelength: f64,
    _maps: &MapSet,
    _options: &FitOptions,
) -> Result<String> {
    Err(Error::failed("unwritten"))
}
