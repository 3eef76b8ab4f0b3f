//! Beam maps: measured or simulated power on the sky, one map a focus setting.

use super::aperture::ApertureGrid;

/// Where the samples of a map lie on the sky: offsets `u, v` from the pointing centre, radians.
#[derive(Debug, Clone, PartialEq)]
pub enum Sampling {
    /// Every combination of `u` and `v`; samples run over `u` fastest: `(v, u)` row-major. Both axes
    /// are strictly monotonic; their steps need not be equal.
    Raster { u: Vec<f64>, v: Vec<f64> },
    /// One `(u, v)` a sample, anywhere.
    Scattered { u: Vec<f64>, v: Vec<f64> },
}

impl Sampling {
    /// The number of samples.
    pub fn len(&self) -> usize {
        match self {
            Sampling::Raster { u, v } => u.len() * v.len(),
            Sampling::Scattered { u, .. } => u.len(),
        }
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The noise of a map's samples: one standard deviation, in the map's own power unit.
#[derive(Debug, Clone, PartialEq)]
pub enum Sigma {
    Unknown,
    Constant(f64),
    PerSample(Vec<f64>),
}

/// One beam map.
#[derive(Debug, Clone, PartialEq)]
pub struct BeamMap {
    /// What to call it in messages: an HDU's or a file's name.
    pub name: String,
    /// Sub-reflector displacement `dz`, metres.
    pub defocus: f64,
    pub sampling: Sampling,
    /// Power, any linear unit, in the order of `sampling`. NaN is a blank: it is left out of the fit.
    pub power: Vec<f64>,
    pub sigma: Sigma,
}

impl BeamMap {
    /// The largest power that is not blank; NaN when all are.
    pub fn peak(&self) -> f64 {
        self.power.iter().copied().fold(f64::NAN, f64::max)
    }

    /// The number of blanks.
    pub fn blanks(&self) -> usize {
        self.power.iter().filter(|p| p.is_nan()).count()
    }
}

/// Noise as a simulation made it, fractions: of the brightest map's peak, and of each sample.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Noise {
    /// Gaussian, the same for every sample: a fraction of the peak of the brightest map.
    pub additive: f64,
    /// Gaussian, a fraction of each sample's own power.
    pub multiplicative: f64,
    /// The fraction of the samples that were replaced by glitches of up to 10 times the peak.
    pub outliers: f64,
}

/// The maps of one observation, with what their file says of them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MapSet {
    pub maps: Vec<BeamMap>,
    /// Metres, where the file says.
    pub wavelength: Option<f64>,
    /// The telescope's name, where the file says.
    pub telescope: Option<String>,
    /// The source observed, where the file says.
    pub object: Option<String>,
    /// Mean elevation, radians, where the file says.
    pub elevation: Option<f64>,
    /// The aperture grid whose discrete far field the maps' pixels are, for simulated maps.
    pub aperture: Option<ApertureGrid>,
    /// The illumination's kind (`gaussian`, `pedestal`, ...), for simulated maps.
    pub illumination: Option<String>,
    /// For simulated maps.
    pub noise: Option<Noise>,
    pub seed: Option<u64>,
    /// The parameters that a simulation used: name (`z5`, `sigma`, `gain[0]`) and value, SI.
    pub truth: Vec<(String, f64)>,
}
