//! Beam maps made from known parameters, with noise.

use super::aperture::ApertureGrid;
use super::beam_map::{BeamMap, Blur, MapSet, Noise, Sampling, Sigma};
use super::model::{LATERAL, Model, amplitude_order};
use super::telescope::Telescope;
use super::zernike;
use crate::autodiff::Function;
use crate::device::scattered::TOLERANCE;
use crate::device::{Backend, Precision};
use crate::error::{Error, Result};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

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
    /// Lateral displacements of the sub-reflector (see [`MapSet::shift`]).
    pub shift: Vec<[f64; 2]>,
    /// For maps of two beams (see [`MapSet::chop`]).
    pub chop: Option<f64>,
    pub blur: Blur,
    /// Where the samples of each map are; none for the pixels of `grid`'s discrete far field.
    pub samplings: Vec<Sampling>,
    pub backend: Backend,
}

impl SimulateOptions {
    /// Maps of a perfect `telescope` as it is used: its wavelength, focus settings, grid and noise, one beam of a point.
    pub fn of(telescope: &Telescope) -> Self {
        SimulateOptions {
            wavelength: telescope.wavelength,
            defocus: telescope.defocus.clone(),
            grid: telescope.aperture,
            order: 5,
            parameters: Vec::new(),
            rms: None,
            seed: 0,
            noise: telescope.noise,
            precision: Precision::F64,
            shift: Vec::new(),
            chop: None,
            blur: Blur::default(),
            samplings: Vec::new(),
            backend: Backend::default(),
        }
    }
}

/// The maps of a simulation before it has been run: all that is known of them but their samples.
pub fn without_samples(telescope: &Telescope, options: &SimulateOptions) -> MapSet {
    let axis = options.grid.sky_axis(telescope.radius, options.wavelength);
    let pixels = Sampling::Raster { u: axis.clone(), v: axis };
    let map = |(i, &defocus)| BeamMap {
        name: format!("MAP{i}"),
        defocus,
        sampling: options.samplings.get(i).unwrap_or(&pixels).clone(),
        power: Vec::new(),
        sigma: Sigma::Unknown,
    };
    let said = |value: f64| (value > 0.0).then_some(value);
    MapSet {
        maps: options.defocus.iter().enumerate().map(map).collect(),
        wavelength: Some(options.wavelength),
        telescope: Some(telescope.name.clone()),
        aperture: options.samplings.is_empty().then_some(options.grid),
        illumination: Some(telescope.illumination.name().to_string()),
        noise: Some(options.noise),
        seed: Some(options.seed),
        chop: options.chop,
        shift: options.shift.clone(),
        source_radius: said(options.blur.radius),
        bandwidth: said(options.blur.bandwidth),
        ..MapSet::default()
    }
}

/// Simulates maps; they carry the truth and the noise.
///
/// # Errors
/// Unknown parameters, and grids that do not suit the dish.
pub fn simulate(telescope: &Telescope, options: &SimulateOptions) -> Result<MapSet> {
    let mut set = without_samples(telescope, options);
    let highest = |name: &str| super::model::mode_of(name).map(|m| m.n);
    let asked = options.parameters.iter().filter_map(|(name, _)| highest(name)).max();
    let order = options.order.max(asked.unwrap_or(0));
    let model = Model::of(telescope, options.wavelength, order, &set, options.grid, TOLERANCE)?;
    let names = || options.parameters.iter().map(|(name, _)| name.as_str());
    let model = model.weighted(amplitude_order(names()));
    let model = model.shifted(&options.shift, names().any(|name| LATERAL.contains(&name)))?;

    let mut x: Vec<f64> = model.parameters.iter().map(|p| p.default).collect();
    if let Some(rms) = options.rms {
        random_aberrations(options, rms, &mut x);
    }
    for (name, value) in &options.parameters {
        let at = model.position(name).ok_or_else(|| {
            let names: Vec<_> = telescope.illumination.parameters().iter().map(|p| p.name).collect();
            Error::usage(format!(
                "unknown parameter '{name}': expected z0, z1, ..., {}, a1, a2, ..., {}, or dx, dy, gain, background with a map's number, such as gain[0]",
                names.join(", "),
                LATERAL.join(", ")
            ))
        })?;
        x[at] = *value;
    }

    let mut function = Function::with_arrays(x.len(), |tape, p| {
        let maps = model.record(tape, p, &model.spaces(tape));
        (tape.constant(0.0), maps)
    })
    .precision(options.precision)
    .backend(options.backend);
    for (i, (map, power)) in set.maps.iter_mut().zip(function.arrays(&x)).enumerate() {
        map.power = model.restore(i, &power);
    }
    add_noise(&mut set.maps, options);
    let changed = |(p, &value): (&super::model::Parameter, &f64)| {
        (!p.name.contains('[') || value != p.default).then(|| (p.name.clone(), value))
    };
    set.truth = model.parameters.iter().zip(&x).filter_map(changed).collect();
    Ok(set)
}

/// Gaussian coefficients of orders 2 and up, scaled so that the phase has the wanted rms.
fn random_aberrations(options: &SimulateOptions, rms: f64, x: &mut [f64]) {
    let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
    // Streams 1, 2, ... are the maps' noise.
    rng.set_stream(0);
    let first = zernike::count(1);
    let last = zernike::count(options.order).max(first);
    for value in &mut x[first..last] {
        *value = rng.sample(StandardNormal);
    }
    // Over the dish, unweighted: <Z^2> = 1/(n+1) for l = 0, else 1/(2(n+1)).
    let variance: f64 = (first..last)
        .map(|j| {
            let mode = zernike::Mode::of(j);
            let share = if mode.l == 0 { 1.0 } else { 0.5 };
            x[j] * x[j] * share / (mode.n as f64 + 1.0)
        })
        .sum();
    if variance > 0.0 {
        x[first..last].iter_mut().for_each(|z| *z *= rms / variance.sqrt());
    }
}

/// Adds the noise, each map from its own stream of random numbers.
fn add_noise(maps: &mut [BeamMap], options: &SimulateOptions) {
    let noise = options.noise;
    let peak = maps.iter().map(BeamMap::peak).fold(0.0, f64::max);
    for (i, map) in maps.iter_mut().enumerate() {
        let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
        rng.set_stream(1 + i as u64);
        for power in &mut map.power {
            let (a, b): (f64, f64) = (rng.sample(StandardNormal), rng.sample(StandardNormal));
            let glitch: (f64, f64) = (rng.random(), rng.random());
            *power += noise.additive * peak * a + noise.multiplicative * *power * b;
            if glitch.0 < noise.outliers {
                *power = 10.0 * peak * glitch.1;
            }
        }
        if noise.additive > 0.0 {
            map.sigma = Sigma::Constant(noise.additive * peak);
        }
    }
}
