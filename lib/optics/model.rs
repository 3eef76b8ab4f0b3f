//! The recorded model: from parameters to beam maps.
//!
//! It reads like its NumPy version: amplitude times `exp(i phase)`, one Fourier transform a map, the
//! squared modulus. Only the dish's own pixels are computed.

use super::aperture::{Aperture, ApertureGrid};
use super::arrangement::Arrangement;
use super::beam_map::{BeamMap, Sampling};
use super::illumination::Illumination;
use super::telescope::Telescope;
use super::zernike::{self, Mode};
use crate::autodiff::{Complex, Space, Tape, Transform, Var};
use crate::device::basis::Run;
use crate::device::fourier::Axis;
use crate::device::scattered::TOLERANCE;
use crate::device::{Basis, Fourier, Scattered};
use crate::error::Result;
use ndarray::Array2;
use num_complex::Complex64;
use std::f64::consts::TAU;
use std::sync::Arc;

/// One parameter of the model.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// `z5`, `sigma`, `gain[0]`.
    pub name: String,
    /// `rad`, `R` (dish radii), `m`, `dB`, `map` (the map's own power unit) or empty.
    pub unit: &'static str,
    pub default: f64,
}

/// The parameters that every map has for itself, in this order after the common ones.
/// `ddz` is the error of the map's `dz`.
pub const OF_EVERY_MAP: [(&str, &str, f64); 5] = [
    ("dx", "rad", 0.0),
    ("dy", "rad", 0.0),
    ("gain", "map", 1.0),
    ("background", "map", 0.0),
    ("ddz", "m", 0.0),
];

/// The places of the gain and the background among them.
pub const GAIN: usize = 2;
pub const BACKGROUND: usize = 3;

/// What maps of two beams have besides, after all others: the offset of the second beam in `u`, the same
/// for all, and for every map its strength as a part of the first one's.
pub const CHOP: &str = "chop";
pub const RATIO: &str = "ratio";

/// A telescope, its aperture and the maps' samplings, ready to be recorded.
pub struct Model {
    pub aperture: Aperture,
    pub order: u32,
    pub parameters: Vec<Parameter>,
    telescope: Telescope,
    wavelength: f64,
    defocus: Vec<f64>,
    skies: Vec<Sky>,
    /// The index into `skies` of every map.
    sky_of_map: Vec<usize>,
    basis: Arc<Basis>,
    path_per_metre: Vec<f64>,
    chopped: bool,
}

/// One sampling of the sky.
struct Sky {
    sampling: Sampling,
    transform: Transform,
    arrangement: Arrangement,
}

impl Model {
    /// Prepares the model of `maps` up to Zernike `order`.
    ///
    /// # Errors
    /// Grids that do not suit the dish.
    pub fn new(
        telescope: &Telescope,
        wavelength: f64,
        order: u32,
        maps: &[BeamMap],
        grid: ApertureGrid,
    ) -> Result<Model> {
        let aperture = Aperture::new(telescope, grid)?;
        let mut skies: Vec<Sky> = Vec::new();
        let mut sky_of_map = Vec::new();
        for map in maps {
            let known = skies.iter().position(|s| s.sampling == map.sampling);
            let index = match known {
                Some(index) => index,
                None => {
                    skies.push(Sky::new(map, &aperture, wavelength));
                    skies.len() - 1
                }
            };
            sky_of_map.push(index);
        }
        let path_per_metre = aperture.path_per_metre(telescope);
        Ok(Model {
            basis: Arc::new(zernike_basis(&aperture, order)),
            parameters: parameters(telescope, order, maps.len()),
            telescope: telescope.clone(),
            wavelength,
            order,
            defocus: maps.iter().map(|m| m.defocus).collect(),
            skies,
            sky_of_map,
            path_per_metre,
            aperture,
            chopped: false,
        })
    }

    /// The same for maps of two beams, `chop` radians apart (see
    /// [`MapSet::chop`](super::beam_map::MapSet::chop)); `None` for one beam.
    pub fn chopped(mut self, chop: Option<f64>) -> Model {
        self.chopped = chop.is_some();
        self.parameters.extend(chop.into_iter().flat_map(|chop| {
            let throw = Parameter { name: CHOP.into(), unit: "rad", default: chop };
            let ratio = |map| Parameter { name: format!("{RATIO}[{map}]"), unit: "", default: 1.0 };
            std::iter::once(throw).chain((0..self.defocus.len()).map(ratio))
        }));
        self
    }

    /// The position of the second beam's offset, which those of its strength in every map follow.
    pub fn of_chop(&self) -> Option<usize> {
        self.chopped.then(|| self.parameters.len() - 1 - self.defocus.len())
    }

    /// The position of a parameter.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.parameters.iter().position(|p| p.name == name)
    }

    /// The number of parameters before those of the first map.
    fn common(&self) -> usize {
        zernike::count(self.order) + self.telescope.illumination.parameters().len()
    }

    /// Position of parameter `which` (of [`OF_EVERY_MAP`]) of `map`.
    pub fn of_map(&self, which: usize, map: usize) -> usize {
        self.common() + map * OF_EVERY_MAP.len() + which
    }

    /// The kind of a parameter that only one map depends on (a place in [`OF_EVERY_MAP`], or the number of
    /// these for the strength of its second beam), and the map; `None` for those of all maps.
    pub fn map_of(&self, parameter: usize) -> Option<(usize, usize)> {
        let (kinds, maps) = (OF_EVERY_MAP.len(), self.defocus.len());
        let own = parameter.checked_sub(self.common())?;
        match own.checked_sub(kinds * maps) {
            None => Some((own % kinds, own / kinds)),
            Some(beyond) => (1..=maps).contains(&beyond).then(|| (kinds, beyond - 1)),
        }
    }

    /// A map's samples in the order of the transform's outputs.
    pub fn arrange(&self, map: usize, values: &[f64]) -> Vec<f64> {
        self.skies[self.sky_of_map[map]].arrangement.arrange(values)
    }

    /// The inverse of [`arrange`](Model::arrange).
    pub fn restore(&self, map: usize, values: &[f64]) -> Vec<f64> {
        self.skies[self.sky_of_map[map]].arrangement.restore(values)
    }

    /// A space for every map's samples.
    pub fn spaces(&self, tape: &Tape) -> Vec<Space> {
        let len = |&sky: &usize| tape.space(self.skies[sky].arrangement.count());
        self.sky_of_map.iter().map(len).collect()
    }

    /// Records the model maps for all `parameters`, each over its space.
    pub fn record<'t>(
        &self,
        tape: &'t Tape,
        parameters: &[Var<'t>],
        spaces: &[Space],
    ) -> Vec<Var<'t>> {
        let aperture = &self.aperture;
        let (zernikes, rest) = parameters.split_at(zernike::count(self.order));
        let second = if self.chopped { 1 + spaces.len() } else { 0 };
        let (rest, second) = rest.split_at(rest.len() - second);
        let (illumination, of_maps) = rest.split_at(rest.len() - spaces.len() * OF_EVERY_MAP.len());

        let dish = tape.space(aperture.len());
        let amplitude = self.amplitude(tape, dish, illumination);
        let phase = tape.combine(&self.basis, dish, zernikes);
        let field = amplitude * Complex::cis(phase);

        let turns = |lengths: &[f64]| -> Vec<f64> {
            lengths.iter().map(|m| TAU / self.wavelength * m).collect()
        };
        let x = tape.data_in(dish, turns(&aperture.x));
        let y = tape.data_in(dish, turns(&aperture.y));
        let throw = second.first().map(|&chop| Complex::cis(chop * x));
        let path_per_metre = tape.data_in(dish, turns(&self.path_per_metre));
        let of_maps = of_maps.chunks(OF_EVERY_MAP.len());
        let maps = spaces.iter().zip(&self.defocus).zip(&self.sky_of_map).zip(of_maps);
        maps.enumerate()
            .map(|(map, (((&sky, &dz), &which), own))| {
                let &[dx, dy, gain, background, ddz] = own else {
                    unreachable!("chunks of five");
                };
                let path: Vec<f64> =
                    self.path_per_metre.iter().map(|p| TAU / self.wavelength * p * dz).collect();
                let defocus = Complex {
                    re: tape.data_in(dish, path.iter().map(|p| p.cos()).collect::<Vec<_>>()),
                    im: tape.data_in(dish, path.iter().map(|p| p.sin()).collect::<Vec<_>>()),
                };
                let pointing = Complex::cis(dx * x + dy * y + ddz * path_per_metre);
                let pointed = field * defocus * pointing;
                let transform = &self.skies[which].transform;
                let mut power = tape.transform(transform, pointed, sky).norm2();
                if let Some(throw) = throw {
                    // The receiver measures its two beams' difference. OOF's DX is the pointing minus the
                    // source, so a source in the second beam, which looks CHOPTHR to the -x side of where the
                    // telescope points, has u = -DX = +CHOPTHR. In the GBT's maps the negative beam does lie
                    // there: its DX is 58 arcsec less than the positive one's.
                    let other = tape.transform(transform, pointed * throw, sky).norm2();
                    power = power - second[1 + map] * other;
                }
                gain * power + background
            })
            .collect()
    }

    /// The illumination on the dish's pixels, times their open area over the dish's.
    fn amplitude<'t>(&self, tape: &'t Tape, dish: Space, parameters: &[Var<'t>]) -> Var<'t> {
        let aperture = &self.aperture;
        let in_radii =
            |metres: &[f64]| -> Vec<f64> { metres.iter().map(|m| m / aperture.radius).collect() };
        let weight: Vec<f64> = aperture.weight.iter().map(|w| w * aperture.area_factor()).collect();
        let (x, y) =
            (tape.data_in(dish, in_radii(&aperture.x)), tape.data_in(dish, in_radii(&aperture.y)));
        let open = tape.data_in(dish, weight);
        let named = |name: &str| {
            let all = self.telescope.illumination.parameters();
            let at = all.iter().position(|p| p.name == name);
            parameters[at.expect("the parameters of each illumination are fixed")]
        };
        let shape = match self.telescope.illumination {
            Illumination::Gaussian => {
                let (dx, dy) = (x - named("x0"), y - named("y0"));
                let r2 = dx.square() + dy.square();
                let skew = named("rho") * (dx * dy) + named("diff") * (dx.square() - dy.square());
                (-(r2 + skew) / (2.0 * named("sigma").square())).exp()
            }
            Illumination::Pedestal => {
                let (dx, dy) = (x - named("x0"), y - named("y0"));
                let inside = 1.0 - (dx.square() + dy.square());
                // Never below zero, and just above it so that the power has a derivative.
                let inside = (inside + inside.abs()) * 0.5 + 1e-300;
                let edge = (named("taper") * (std::f64::consts::LN_10 / 20.0)).exp();
                edge + (1.0 - edge) * (named("q") * inside.ln()).exp()
            }
            Illumination::TopHat => tape.constant(1.0).expand(dish),
            Illumination::Squashed => {
                let (dx, dy) = (x - named("x0"), y - named("y0"));
                let g = (-(dx.square() + dy.square()) / named("sigma").square()).exp();
                // sqrt(1 - (1-g)^2), which would lose the digits of a small g
                (g * (2.0 - g)).sqrt()
            }
        };
        named("amp") * (open * shape)
    }
}

/// All parameters of a model, in their order.
pub fn parameters(telescope: &Telescope, order: u32, maps: usize) -> Vec<Parameter> {
    let mut all: Vec<Parameter> = (0..zernike::count(order))
        .map(|j| Parameter { name: format!("z{j}"), unit: "rad", default: 0.0 })
        .collect();
    let own = telescope.illumination.parameters().iter().enumerate();
    all.extend(own.map(|(i, p)| Parameter {
        name: p.name.to_string(),
        unit: p.unit,
        default: telescope.illumination_values.get(i).copied().unwrap_or(p.default),
    }));
    for map in 0..maps {
        all.extend(OF_EVERY_MAP.map(|(name, unit, default)| Parameter {
            name: format!("{name}[{map}]"),
            unit,
            default,
        }));
    }
    all
}

/// The Zernike polynomials on the dish's pixels, as polynomials along its rows.
fn zernike_basis(aperture: &Aperture, order: u32) -> Basis {
    let mut runs: Vec<Run> = Vec::new();
    for (i, pixel) in aperture.pixels.iter().enumerate() {
        match runs.last_mut() {
            Some(run) if aperture.pixels[run.start].0 == pixel.0 => run.len += 1,
            _ => runs.push(Run { start: i, len: 1 }),
        }
    }
    let x: Vec<f64> = aperture.x.iter().map(|x| x / aperture.radius).collect();
    let starts: Vec<usize> = runs.iter().map(|r| r.start).collect();
    Basis::polynomial_runs(zernike::count(order), order as usize, runs, &x, |run, nodes| {
        let y = aperture.y[starts[run]] / aperture.radius;
        let points: Vec<(f64, f64)> = nodes.iter().map(|&x| (x, y)).collect();
        zernike::table(order, &points)
    })
}

impl Sky {
    /// The form of the far field follows from the samples: an FFT where they are the grid's own discrete
    /// far field, a matrix for any other raster, else a non-uniform FFT.
    fn new(map: &BeamMap, aperture: &Aperture, wavelength: f64) -> Sky {
        let (grid, pixels) = (aperture.grid, aperture.pixels.clone());
        let sampling = map.sampling.clone();
        let (u, v) = match &map.sampling {
            Sampling::Raster { u, v } => (u, v),
            Sampling::Scattered { u, v } => {
                let turns = aperture.step / wavelength;
                let positions: Vec<_> =
                    u.iter().zip(v).map(|(u, v)| (u * turns, v * turns)).collect();
                let middle = (grid.points as f64 - 1.0) / 2.0;
                let transform = Scattered::new(pixels, (middle, middle), &positions, TOLERANCE);
                let arrangement = Arrangement::Listed(transform.order().to_vec());
                return Sky { sampling, transform: (&Arc::new(transform)).into(), arrangement };
            }
        };
        let n = grid.points;
        let fft = grid.is_sky_of(u, v, aperture.radius, wavelength);
        let coordinates = grid.coordinates(aperture.radius);
        let axis = |sky: &[f64]| match fft {
            true => Axis::Fft { points: n },
            false => Axis::Matrix(Array2::from_shape_fn((sky.len(), n), |(i, p)| {
                Complex64::cis(-TAU * (sky[i] * coordinates[p] / wavelength))
            })),
        };
        // FFT order starts at the origin, which is pixel n/2 of a map.
        let place = |i: usize| if fft { (i + n / 2) % n } else { i };
        let transform = Fourier::new(axis(u), axis(v), pixels);
        let arrangement = Arrangement::raster(&transform, place);
        Sky { sampling, transform: (&Arc::new(transform)).into(), arrangement }
    }
}

/// The order and angular frequency of parameter `z<j>`.
pub fn mode_of(name: &str) -> Option<Mode> {
    name.strip_prefix('z')?.parse().ok().map(Mode::of)
}

#[cfg(test)]
mod tests {
    use super::super::golden;
    use super::*;
    use crate::autodiff::Function;
    use crate::optics::aperture::ApertureKind;
    use crate::optics::beam_map::Sigma;

    /// Value and gradient of both likelihoods, and the maps, against NumPy.
    #[test]
    fn maps_likelihoods_and_gradients_are_those_of_the_numpy_model() {
        // Of a raster as a raster, to rounding; of the same points one by one, to the non-uniform FFT's
        // tolerance.
        for (name, scattered) in ["paper", "effelsberg", "alma", "tophat"]
            .into_iter()
            .flat_map(|name| [(name, false), (name, true)])
        {
            let golden = golden::Model::read(name);
            let loose = if scattered { 1e3 } else { 1.0 };
            let (u, v) = (golden.u.clone(), golden.v.clone());
            let maps: Vec<BeamMap> = golden
                .defocus
                .iter()
                .zip(&golden.data)
                .map(|(&defocus, data)| BeamMap {
                    name: name.into(),
                    defocus,
                    sampling: if scattered {
                        let points = v.iter().flat_map(|v| u.iter().map(move |u| (*u, *v)));
                        let (u, v) = points.unzip();
                        Sampling::Scattered { u, v }
                    } else {
                        Sampling::Raster { u: u.clone(), v: v.clone() }
                    },
                    power: data.clone(),
                    sigma: Sigma::Unknown,
                })
                .collect();
            let model =
                Model::new(&golden.telescope, golden.wavelength, golden.order, &maps, golden.grid)
                    .unwrap();
            let at: Vec<usize> = golden
                .names
                .iter()
                .map(|n| model.position(n).unwrap_or_else(|| panic!("{n}")))
                .collect();
            let mut x: Vec<f64> = model.parameters.iter().map(|p| p.default).collect();
            at.iter().zip(&golden.values).for_each(|(&i, &value)| x[i] = value);
            let peak = golden.maps.iter().flatten().fold(0.0f64, |a, &b| a.max(b));
            for (cauchy, expected) in [(false, &golden.gaussian), (true, &golden.cauchy)] {
                let mut f = Function::with_arrays(x.len(), |tape, p| {
                    let spaces = model.spaces(tape);
                    let modelled = model.record(tape, p, &spaces);
                    let terms = modelled.iter().enumerate().map(|(i, &m)| {
                        let data = tape.data_in(spaces[i], model.arrange(i, &maps[i].power));
                        let r = (m - data) / expected.scale;
                        if cauchy { r.square().ln_1p().sum() } else { 0.5 * r.square().sum() }
                    });
                    (terms.sum(), modelled)
                });
                for (i, map) in f.arrays(&x).iter().enumerate() {
                    for (got, want) in model.restore(i, map).iter().zip(&golden.maps[i]) {
                        assert!((got - want).abs() < 1e-11 * loose * peak, "{name}: {got} {want}");
                    }
                }
                let (value, gradient) = f.value_and_gradient(&x);
                let off = (value - expected.value).abs();
                assert!(off < 1e-11 * loose * expected.value, "{name}: {value}");
                let size = expected.gradient.iter().fold(0.0f64, |a, g| a.max(g.abs()));
                for ((&i, want), name) in at.iter().zip(&expected.gradient).zip(&golden.names) {
                    // z0 has no effect; dx, dy have huge derivatives in radians.
                    let scale = want.abs().max(1e-4 * size.min(1e6));
                    assert!(
                        (gradient[i] - want).abs() < 1e-8 * loose * scale,
                        "{name}: {} {want}",
                        gradient[i]
                    );
                }
            }
        }
    }

    /// Two beams are two maps of one beam, the second of samples that are `chop` less in u.
    #[test]
    fn a_map_of_two_beams_is_the_difference_of_two_maps() {
        let telescope = Telescope::named("gbt").unwrap();
        let (wavelength, chop) = (7e-3, 2.8e-4);
        let places = |shift: f64| {
            let u = (0..300).map(|i| 6e-4 * (1.3 * f64::from(i)).sin() - shift).collect();
            let v = (0..300).map(|i| 3e-4 * (0.7 * f64::from(i)).cos()).collect();
            Sampling::Scattered { u, v }
        };
        let raster = |shift: f64| Sampling::Raster {
            u: (0..30).map(|i| 5e-5 * f64::from(i) - 6e-4 - shift).collect(),
            v: (0..20).map(|i| 5e-5 * f64::from(i) - 5e-4).collect(),
        };
        let grid = ApertureGrid { kind: ApertureKind::Smooth, points: 64, extent: 1.02 };
        for form in [&places as &dyn Fn(f64) -> Sampling, &raster] {
            let maps = |sampling: Sampling, chop: Option<f64>, ratio: f64| {
                let map = BeamMap {
                    name: "x".into(),
                    defocus: 0.02,
                    power: vec![0.0; sampling.len()],
                    sampling,
                    sigma: Sigma::Unknown,
                };
                let model = Model::new(&telescope, wavelength, 3, &[map], grid).unwrap();
                let model = model.chopped(chop);
                let mut x: Vec<f64> = model.parameters.iter().map(|p| p.default).collect();
                for (name, value) in [("z6", 0.3), ("dx[0]", 1e-5), ("background[0]", 0.25)] {
                    x[model.position(name).unwrap()] = value;
                }
                if let Some(chop) = model.of_chop() {
                    assert_eq!(model.parameters[chop + 1].name, "ratio[0]");
                    x[chop + 1] = ratio;
                }
                let mut f = Function::with_arrays(x.len(), |tape, p| {
                    (tape.constant(0.0), model.record(tape, p, &model.spaces(tape)))
                });
                model.restore(0, &f.arrays(&x)[0])
            };
            let (both, ratio) = (maps(form(0.0), Some(chop), 0.9), 0.9);
            let (first, second) = (maps(form(0.0), None, 0.0), maps(form(chop), None, 0.0));
            // The second beam is there to be seen, below the background.
            let beam = first.iter().fold(0.0f64, |a, p| a.max(p - 0.25));
            assert!(beam > 1e-3 && both.iter().any(|p| 0.25 - p > 0.3 * beam));
            for ((both, first), second) in both.iter().zip(&first).zip(&second) {
                let expected = first - 0.25 - ratio * (second - 0.25) + 0.25;
                // Twice the transform's tolerance of the largest power there can be, which is below 1.
                assert!((both - expected).abs() < 4e-9, "{both} {expected}");
            }
        }
    }
}
