//! What a fit found, as it is written to JSON, CSV and FITS. Keys are stable; all values are SI.

use super::flags::Flag;
use super::sampling::Posterior;
use super::surface::Surface;
use ndarray::Array2;
use serde::Serialize;

/// The result of one fit. Serialised as it stands, but for the arrays.
#[derive(Debug, Clone, Default, Serialize)]
pub struct FitResult {
    pub tool: String,
    pub version: String,
    pub telescope: String,
    pub wavelength_m: f64,
    /// Of the source, a uniform disc; 0 for a point.
    pub source_radius_rad: f64,
    /// Full width of the band; 0 for one wavelength.
    pub bandwidth_hz: f64,
    pub order: u32,
    pub backend: String,
    pub precision: String,
    pub threads: usize,
    pub illumination: String,
    pub likelihood: LikelihoodSummary,
    /// `converged`, `suspect` (an optimum that does not explain the maps) or `not converged`.
    pub status: String,
    pub message: String,
    pub negative_log_likelihood: f64,
    /// `None` where the noise of the maps is not known.
    pub reduced_chi2: Option<f64>,
    pub evaluations: Evaluations,
    /// Wall-clock times, only where asked for: equal inputs give equal bytes.
    pub seconds: Option<Seconds>,
    pub parameters: Vec<ParameterSummary>,
    pub maps: Vec<MapSummary>,
    pub surface: SurfaceSummary,
    /// By how many times the errors of the Zernike coefficients, typically, would be larger if what is left within a beam's
    /// width were one and the same: about 1 of noise. `None` without errors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors_if_alike: Option<f64>,
    /// What an observer should look at before trusting the surface.
    pub flags: Vec<Flag>,
    /// The orders that were compared, where the order was to be chosen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub orders: Vec<OrderSummary>,
    /// The covariance of the free parameters in their units, `(parameter, parameter)`, in their order.
    #[serde(skip)]
    pub covariance: Option<Array2<f64>>,
    /// The likelihood's scale for each map, in its power unit.
    #[serde(skip)]
    pub scales: Vec<f64>,
    /// What was drawn, where that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub posterior: Option<Posterior>,
    #[serde(skip)]
    pub images: Images,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct LikelihoodSummary {
    /// `gaussian` or `cauchy`.
    pub kind: String,
    /// The scale of the residuals of the first map as a fraction of its peak, glitches aside. With `--scale` all maps
    /// have this fraction, otherwise each has a scale of its own (see [`MapSummary::scale`]).
    pub scale: f64,
    /// Whether it was fitted with the parameters, as `ln_scale`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fitted: bool,
}

/// How often value and gradient were computed.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Evaluations {
    /// On thinned or cropped maps.
    pub coarse: usize,
    /// On all the data.
    pub full: usize,
}

/// Wall-clock times, seconds.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Seconds {
    pub read: f64,
    pub setup: f64,
    pub minimise: f64,
    pub total: f64,
}

#[derive(Debug, Clone, Serialize)]
pub struct ParameterSummary {
    pub name: String,
    /// Radial order and angular frequency of a Zernike coefficient, of the phase or the amplitude.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub l: Option<i32>,
    pub value: f64,
    /// One standard deviation; `None` for a fixed parameter.
    pub sigma: Option<f64>,
    /// `rad`, `R` (dish radii), `dB`, `m`, `map` (the map's own power unit) or empty for a number.
    pub unit: String,
    pub free: bool,
    /// Whether it was stopped by its bound, where its `sigma` says nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub at_bound: bool,
}

#[derive(Debug, Clone, Serialize)]
pub struct MapSummary {
    pub name: String,
    pub defocus_m: f64,
    /// The sub-reflector's known displacement sideways, along x and y, where there is any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shift_m: Option<[f64; 2]>,
    /// Samples that were fitted, and blanks that were left out.
    pub samples: usize,
    pub blanks: usize,
    pub peak: f64,
    pub residual_rms: f64,
    pub residual_rms_over_peak: f64,
    /// What the likelihood divided residuals by; in the map's own unit as the peak and the rms are.
    pub scale: f64,
}

/// The surface, with piston, tilt taken out; weighted by the illumination. A `sigma` is one standard
/// deviation, `None` where there are no errors.
#[derive(Debug, Clone, Default, Serialize)]
pub struct SurfaceSummary {
    pub phase_rms_rad: f64,
    /// Half path: `phase * wavelength / 4 pi`.
    pub surface_rms_m: f64,
    pub surface_rms_sigma_m: Option<f64>,
    /// What the errors of the coefficients alone would make of a perfect surface: it is in `surface_rms_m`, squared.
    pub surface_rms_of_errors_m: Option<f64>,
    /// The whole path, twice the half.
    pub wavefront_rms_m: f64,
    /// `exp(-phase_rms^2)` (Ruze 1966).
    pub ruze_efficiency: f64,
    pub ruze_efficiency_sigma: Option<f64>,
    /// The same without `z4`, which the focus of the sub-reflector takes away.
    pub surface_rms_without_focus_m: f64,
    pub ruze_efficiency_without_focus: f64,
}

/// The pictures of a fit, for FITS and PNG.
#[derive(Debug, Clone, Default)]
pub struct Images {
    /// Dish pixels `(y, x)`; NaN off the dish. Side `2 aperture_half_width_m` metres.
    pub amplitude: Array2<f64>,
    /// Radians, same grid.
    pub phase: Array2<f64>,
    /// The surface error as half path, metres, same grid, without piston and tilt.
    pub surface: Array2<f64>,
    /// Its standard deviation; empty where there are no errors.
    pub surface_sigma: Array2<f64>,
    /// The same everywhere on the dish.
    pub shape: Surface,
    /// Half the width of the aperture images, metres.
    pub aperture_half_width_m: f64,
    /// One a map: fitted power in the order of the map's samples, in the map's own unit.
    pub model: Vec<Vec<f64>>,
}

/// One order of a comparison.
#[derive(Debug, Clone, Default, Serialize)]
pub struct OrderSummary {
    pub order: u32,
    /// Free parameters.
    pub parameters: usize,
    pub status: String,
    /// Squared residuals over the variance, a few outliers clipped, a sample that is like its
    /// neighbours counted in part.
    pub chi2: f64,
    /// Bayesian information criterion: `chi2` and a penalty for every parameter. The least is chosen.
    pub bic: f64,
    pub surface_rms_m: f64,
    /// Focus and coma, to see them jump.
    pub z4_rad: Option<f64>,
    pub z4_sigma_rad: Option<f64>,
    pub z7_rad: Option<f64>,
    pub z7_sigma_rad: Option<f64>,
    pub z8_rad: Option<f64>,
    pub z8_sigma_rad: Option<f64>,
}
