//! How the receiver lights the dish: the amplitude over the aperture, with its parameters.

use serde::{Deserialize, Serialize};

/// The shape of the illumination. `x, y, x0, y0, sigma` are in dish radii.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Illumination {
    /// `amp exp(-(dx^2 + dy^2 + rho dx dy + diff (dx^2 - dy^2)) / (2 sigma^2))`, `dx = x - x0`.
    Gaussian,
    /// `amp (C + (1 - C)(1 - r^2)^q)`, `C = 10^(taper/20)`, `r` from `(x0, y0)`; `1 - r^2` is not
    /// let below 0.
    Pedestal,
    /// `amp` everywhere.
    TopHat,
    /// `amp sqrt(1 - (1 - g)^2)`, `g = exp(-r^2/sigma^2)`, `r` from `(x0, y0)` (ALMA's).
    Squashed,
}

/// One parameter of an illumination.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct IlluminationParameter {
    pub name: &'static str,
    /// `R` (dish radii), `dB` or empty for a number.
    pub unit: &'static str,
    pub default: f64,
    pub doc: &'static str,
}

const fn parameter(
    name: &'static str,
    unit: &'static str,
    default: f64,
    doc: &'static str,
) -> IlluminationParameter {
    IlluminationParameter { name, unit, default, doc }
}

const AMP: IlluminationParameter =
    parameter("amp", "", 1.0, "amplitude where the illumination peaks");
const X0: IlluminationParameter =
    parameter("x0", "R", 0.0, "where the illumination peaks, along x");
const Y0: IlluminationParameter =
    parameter("y0", "R", 0.0, "where the illumination peaks, along y");

const GAUSSIAN: &[IlluminationParameter] = &[
    AMP,
    // An edge taper of -12 dB: 20 log10(exp(-1/(2 sigma^2))).
    parameter("sigma", "R", 0.6, "width: the amplitude is exp(-1/2) at this radius"),
    X0,
    Y0,
    parameter("rho", "", 0.0, "skewness: elongation along the diagonals"),
    parameter("diff", "", 0.0, "elongation along the axes: positive is narrower along x"),
];
const PEDESTAL: &[IlluminationParameter] = &[
    AMP,
    parameter("taper", "dB", -12.0, "power at the rim relative to the peak"),
    parameter("q", "", 2.0, "exponent of the parabola on the pedestal"),
    X0,
    Y0,
];
const TOP_HAT: &[IlluminationParameter] = &[AMP];
const SQUASHED: &[IlluminationParameter] = &[
    AMP,
    // An edge taper of -12 dB: 1 - (1 - g)^2 = 10^-1.2.
    parameter("sigma", "R", 0.539, "width: g is exp(-1) at this radius"),
    X0,
    Y0,
];

impl Illumination {
    /// Every kind.
    pub const ALL: [Illumination; 4] = [
        Illumination::Gaussian,
        Illumination::Pedestal,
        Illumination::TopHat,
        Illumination::Squashed,
    ];

    /// The name on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            Illumination::Gaussian => "gaussian",
            Illumination::Pedestal => "pedestal",
            Illumination::TopHat => "tophat",
            Illumination::Squashed => "squashed",
        }
    }

    /// The kind of this name.
    pub fn named(name: &str) -> Option<Illumination> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The parameters, in the order in which [`amplitude`](Self::amplitude) takes them.
    pub fn parameters(self) -> &'static [IlluminationParameter] {
        match self {
            Illumination::Gaussian => GAUSSIAN,
            Illumination::Pedestal => PEDESTAL,
            Illumination::TopHat => TOP_HAT,
            Illumination::Squashed => SQUASHED,
        }
    }

    /// The parameters' default values, in their order.
    pub fn defaults(self) -> Vec<f64> {
        self.parameters().iter().map(|p| p.default).collect()
    }

    /// What a fit of a real telescope leaves free unless told otherwise (`amp` is the fit's own).
    pub fn free_by_default(self) -> &'static [&'static str] {
        match self {
            Illumination::Gaussian | Illumination::Squashed => &["x0", "y0", "sigma"],
            Illumination::Pedestal => &["x0", "y0", "taper"],
            Illumination::TopHat => &[],
        }
    }

    /// Amplitude at `(x, y)` in dish radii; `values` in the order of
    /// [`parameters`](Self::parameters), those that are missing at their defaults. Plain arithmetic:
    /// the recorded model is checked against this.
    pub fn amplitude(self, values: &[f64], x: f64, y: f64) -> f64 {
        let value = |i: usize| {
            let given = values.get(i).copied();
            given.unwrap_or_else(|| self.parameters()[i].default)
        };
        let amp = value(0);
        match self {
            Illumination::Gaussian => {
                let [sigma, x0, y0, rho, diff] = [1, 2, 3, 4, 5].map(value);
                let (dx, dy) = (x - x0, y - y0);
                let (dx2, dy2) = (dx * dx, dy * dy);
                let r2 = dx2 + dy2 + rho * dx * dy + diff * (dx2 - dy2);
                amp * (-r2 / (2.0 * sigma * sigma)).exp()
            }
            Illumination::Pedestal => {
                let [taper, q, x0, y0] = [1, 2, 3, 4].map(value);
                let c = 10f64.powf(taper / 20.0);
                let (dx, dy) = (x - x0, y - y0);
                let inside = (1.0 - dx * dx - dy * dy).max(0.0);
                amp * (c + (1.0 - c) * inside.powf(q))
            }
            Illumination::TopHat => amp,
            Illumination::Squashed => {
                let [sigma, x0, y0] = [1, 2, 3].map(value);
                let (dx, dy) = (x - x0, y - y0);
                let g = (-(dx * dx + dy * dy) / (sigma * sigma)).exp();
                // 1 - (1 - g)^2, written so that small g keeps its digits.
                amp * (g * (2.0 - g)).sqrt()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optics::golden;

    #[test]
    fn every_kind_is_found_by_its_name() {
        for kind in Illumination::ALL {
            assert_eq!(Illumination::named(kind.name()), Some(kind));
            let json = serde_json::to_string(&kind).unwrap();
            assert_eq!(json, format!("\"{}\"", kind.name()));
        }
        assert_eq!(Illumination::named("Gaussian"), None);
    }

    #[test]
    fn free_parameters_exist() {
        for kind in Illumination::ALL {
            for name in kind.free_by_default() {
                assert!(kind.parameters().iter().any(|p| p.name == *name), "{name}");
            }
        }
    }

    #[test]
    fn default_tapers_are_12_db() {
        for kind in [Illumination::Gaussian, Illumination::Pedestal, Illumination::Squashed] {
            let edge = kind.amplitude(&kind.defaults(), 1.0, 0.0) / kind.amplitude(&[], 0.0, 0.0);
            let taper = 20.0 * edge.log10();
            assert!((taper + 12.0).abs() < 0.1, "{kind:?} {taper}");
        }
    }

    #[test]
    fn gaussian_has_its_stated_width_and_elongation() {
        let gaussian = Illumination::Gaussian;
        let at = |values: &[f64], x, y| gaussian.amplitude(values, x, y);
        let plain = [2.0, 0.5, 0.1, -0.2, 0.0, 0.0];
        assert_eq!(at(&plain, 0.1, -0.2), 2.0);
        assert!((at(&plain, 0.6, -0.2) - 2.0 * (-0.5f64).exp()).abs() < 1e-15);
        let long = [1.0, 0.5, 0.0, 0.0, 0.0, 0.3];
        assert!(at(&long, 0.5, 0.0) < at(&long, 0.0, 0.5));
        let skew = [1.0, 0.5, 0.0, 0.0, 0.3, 0.0];
        assert!(at(&skew, 0.3, 0.3) < at(&skew, 0.3, -0.3));
    }

    #[test]
    fn pedestal_is_flat_beyond_its_own_rim() {
        let values = [1.0, -20.0, 2.0, 0.3, 0.0];
        assert!((Illumination::Pedestal.amplitude(&values, -0.9, 0.0) - 0.1).abs() < 1e-15);
        assert_eq!(Illumination::Pedestal.amplitude(&values, 0.3, 0.0), 1.0);
    }

    #[test]
    fn amplitudes_agree_with_numpy() {
        let golden = golden::read("illumination.json");
        let cases = golden["cases"].as_array().unwrap();
        assert_eq!(cases.len(), 4);
        for case in cases {
            let kind = Illumination::named(case["kind"].as_str().unwrap()).unwrap();
            let values: Vec<f64> = kind
                .parameters()
                .iter()
                .map(|p| case["parameters"][p.name].as_f64().unwrap())
                .collect();
            for sample in case["samples"].as_array().unwrap() {
                let [x, y, known] = golden::triple(sample);
                let mine = kind.amplitude(&values, x, y);
                // The squashed form in NumPy is the plain one, which cancels for small g.
                assert!((mine - known).abs() < 1e-14, "{kind:?} {x} {y}: {mine} {known}");
            }
        }
    }
}
