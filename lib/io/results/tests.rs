//! A small result and its maps, for tests.

use crate::fit::chains::distribution;
use crate::fit::result::{
    Evaluations, FitResult, Images, LikelihoodSummary, MapSummary, ParameterSummary, SurfaceSummary,
};
use crate::fit::sampling::{Posterior, Quantity};
use crate::fit::surface::Surface;
use crate::optics::beam_map::{BeamMap, MapSet, Sampling, Sigma};
use ndarray::{Array2, array};

pub fn maps() -> MapSet {
    let map = |name: &str, defocus: f64| BeamMap {
        name: name.into(),
        defocus,
        sampling: Sampling::Raster { u: vec![-1e-4, 0.0, 1e-4], v: vec![0.0, 2e-4] },
        power: vec![0.1, 0.2, 0.3, f64::NAN, 0.5, 1.0],
        sigma: Sigma::Unknown,
    };
    MapSet { maps: vec![map("MAP0", 0.0), map("MAP1", -0.05)], ..MapSet::default() }
}

/// Two chains of two draws.
pub fn posterior() -> Posterior {
    let quantity = |name: &str, unit: &str| Quantity {
        name: name.into(),
        unit: unit.into(),
        distribution: distribution(array![[1.0, 2.0], [3.0, 4.0]].view()),
    };
    Posterior {
        draws: 4,
        chains: 2,
        warm_up: 10,
        seed: 7,
        sampler: "nuts".into(),
        power: 1.0,
        evaluations: 50,
        acceptance: 0.75,
        divergences: 0,
        parameters: vec![quantity("z3", "rad"), quantity("gain[0]", "map")],
        derived: vec![quantity("surface_rms_m", "m")],
        values: array![[0.25, 1.0, 2e-5], [0.5, 2.0, 3e-5], [0.75, 3.0, 4e-5], [1.0, 4.0, 5e-5]],
    }
}

pub fn result() -> FitResult {
    let parameter = |name: &str, value: f64, sigma: Option<f64>, unit: &str| ParameterSummary {
        name: name.into(),
        n: (name == "z3").then_some(2),
        l: (name == "z3").then_some(-2),
        value,
        sigma,
        unit: unit.into(),
        free: sigma.is_some(),
        at_bound: false,
    };
    let summary = |name: &str, defocus_m: f64| MapSummary {
        name: name.into(),
        defocus_m,
        shift_m: None,
        samples: 5,
        blanks: 1,
        peak: 1.0,
        residual_rms: 0.01,
        residual_rms_over_peak: 0.01,
        scale: 0.04,
    };
    FitResult {
        tool: "oof-fit".into(),
        version: "0.1.0".into(),
        telescope: "nikolic2018".into(),
        wavelength_m: 1.1e-3,
        source_radius_rad: 2e-4,
        bandwidth_hz: 1.5e9,
        order: 2,
        backend: "cpu".into(),
        precision: "f64".into(),
        threads: 2,
        illumination: "gaussian".into(),
        likelihood: LikelihoodSummary { kind: "cauchy".into(), scale: 0.01, fitted: false },
        status: "converged".into(),
        message: "a message that is longer than one card of a FITS header holds, which is 68"
            .into(),
        negative_log_likelihood: -12.5,
        evaluations: Evaluations { coarse: 10, full: 6 },
        parameters: vec![
            parameter("z3", 1.0 / 3.0, Some(0.01), "rad"),
            parameter("gain[0]", 1.01, Some(0.02), ""),
            parameter("sigma", 0.72, None, "R"),
        ],
        maps: vec![summary("MAP0", 0.0), summary("MAP1", -0.05)],
        surface: SurfaceSummary {
            phase_rms_rad: 0.3,
            surface_rms_m: 2e-5,
            surface_rms_sigma_m: Some(1e-6),
            surface_rms_of_errors_m: Some(2e-6),
            ruze_efficiency: 0.9,
            ..SurfaceSummary::default()
        },
        covariance: Some(array![[1.0, 0.5], [0.5, 2.0]]),
        images: Images {
            amplitude: Array2::from_shape_fn((3, 4), |(y, x)| (4 * y + x) as f64),
            phase: Array2::from_elem((3, 4), f64::NAN),
            surface: Array2::from_elem((3, 4), 2.5e-5),
            surface_sigma: Array2::from_elem((3, 4), 5e-7),
            shape: Surface::default(),
            aperture_half_width_m: 1.4,
            model: vec![vec![0.125; 6]; 2],
        },
        ..FitResult::default()
    }
}
