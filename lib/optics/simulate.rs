//! Beam maps made from known parameters, with noise.

use super::aperture::ApertureGrid;
use super::beam_map::{MapSet, Noise};
use super::telescope::Telescope;
use crate::device::Precision;
use crate::error::{Error, Result};

/// What to simulate.
#[derive(Debug, Clone)]
pub struct SimulateOptions {
    /// Metres.
    pub wavelength: f64,
    /// Sub-reflector displacement of each map, metres.
    pub defocus: Vec<f64>,
    /// The maps' pixels are those of this grid's discrete far field.
    pub grid: ApertureGrid,
    /// Highest radial order of the random aberrations.
    pub order: u32,
    /// Parameters by name (`z5`, `sigma`, `gain[0]`) and value, SI.
    pub parameters: Vec<(String, f64)>,
    /// Add random aberrations of orders 2 to `order`: rms of the phase over the dish, radians.
    pub rms: Option<f64>,
    pub seed: u64,
    pub noise: Noise,
    pub precision: Precision,
}

/// Simulates maps; they carry the truth and the noise.
pub fn simulate(_telescope: &Telescope, _options: &SimulateOptions) -> Result<MapSet> {
    Err(Error::failed("unwritten"))
}
