//! The model, from parameters to beam maps: amplitude times `exp(i phase)`, one Fourier transform a map, the
//! squared modulus. Only the dish's own pixels are computed.
//!
//! Here is what goes into it and the list of its parameters; `recording` is the arithmetic. A third of this file is
//! tests, of both; what is left is one list of parameters, in which all that a model can have besides meets.

mod recording;

use super::aperture::{Aperture, ApertureGrid};
use super::band::{self, Node};
use super::beam_map::{BeamMap, MapSet, range};
use super::lags::Lags;
use super::lateral::Lateral;
use super::sky::{Pixels, Sky};
use super::telescope::Telescope;
use super::zernike::{self, Mode};
use crate::device::Basis;
use crate::device::basis::Run;
use crate::error::Result;
use crate::units::SPEED_OF_LIGHT;
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

/// The lateral displacement of the sub-reflector, the same in all maps, along x and y; in models that are
/// to have it, after the illumination (see [`Model::shifted`]).
pub const LATERAL: [&str; 2] = ["sx", "sy"];

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
    /// The polynomials of the amplitude, and their number.
    amplitude_basis: Option<Arc<Basis>>,
    amplitudes: usize,
    /// Path per metre of lateral displacement along x and y, where there is any.
    lateral_per_metre: Option<[Vec<f64>; 2]>,
    /// Whether the displacement has parameters, and what is known of it for each map (or none).
    lateral: bool,
    shift: Vec<[f64; 2]>,
    chopped: bool,
    /// The frequencies that stand for the band.
    band: Vec<Node>,
    /// What makes a disc of the source.
    disc: Option<Disc>,
}

/// A source that is a disc.
struct Disc {
    lags: Lags,
    /// The lags along x in radians of phase per radian on the sky.
    x: Arc<Vec<f64>>,
    /// For every frequency what each lag counts.
    weights: Vec<Arc<Vec<f64>>>,
}

impl Model {
    /// Prepares the model of an observation up to Zernike `order`: the source, the band and the beams are those of
    /// `set`. The far field at scattered samples has errors below `tolerance` times the largest there can be.
    ///
    /// # Errors
    /// Grids that do not suit the dish, or that are too coarse for the samples.
    pub fn of(
        telescope: &Telescope,
        wavelength: f64,
        order: u32,
        set: &MapSet,
        grid: ApertureGrid,
        tolerance: f64,
    ) -> Result<Model> {
        let (maps, blur, apart) = (&set.maps[..], set.blur(), set.chop.unwrap_or(0.0).abs());
        let aperture = Aperture::new(telescope, grid)?;
        let path_per_metre = aperture.path_per_metre(telescope);
        let fraction = blur.bandwidth * wavelength / SPEED_OF_LIGHT;
        let turns = match fraction > 0.0 {
            true => turns(maps, &aperture, &path_per_metre, wavelength, apart),
            false => 0.0,
        };
        let band = band::nodes(fraction, turns);
        let disc = (blur.radius > 0.0).then(|| {
            let lags = Lags::new(&aperture);
            let weights = |node: &Node| lags.weights(blur.radius, wavelength / node.ratio);
            let weights = band.iter().map(weights).collect();
            let x = Arc::new(lags.x().map(|x| TAU / wavelength * x).collect());
            Disc { lags, x, weights }
        });
        let pixels = match &disc {
            Some(disc) => Pixels::of_lags(&disc.lags, &aperture),
            None => Pixels::of_dish(&aperture),
        };
        let mut skies: Vec<Sky> = Vec::new();
        let mut sky_of_map = Vec::new();
        for map in maps {
            let known = skies.iter().position(|s| s.sampling == map.sampling);
            let index = match known {
                Some(index) => index,
                None => {
                    skies.push(Sky::new(map, &aperture, &pixels, wavelength, &band, tolerance)?);
                    skies.len() - 1
                }
            };
            sky_of_map.push(index);
        }
        let model = Model {
            basis: Arc::new(zernike_basis(&aperture, 0, order)),
            parameters: parameters(telescope, order, maps.len()),
            telescope: telescope.clone(),
            wavelength,
            order,
            defocus: maps.iter().map(|m| m.defocus).collect(),
            skies,
            sky_of_map,
            path_per_metre,
            aperture,
            amplitude_basis: None,
            amplitudes: 0,
            lateral_per_metre: None,
            lateral: false,
            shift: Vec::new(),
            chopped: false,
            band,
            disc,
        };
        Ok(model.chopped(set.chop))
    }

    /// The same with the illumination's amplitude times `exp(a1 Z1 + a2 Z2 + ...)` up to radial order
    /// `order`, so that it stays positive; with 0 there is nothing to it. `a0` would do what `amp` does.
    ///
    /// # Panics
    /// After [`shifted`](Model::shifted), whose parameters are behind these.
    pub fn weighted(mut self, order: u32) -> Model {
        assert!(self.amplitudes == 0 && !self.lateral, "amplitudes come before displacements");
        if order > 0 {
            self.amplitude_basis = Some(Arc::new(zernike_basis(&self.aperture, 1, order)));
            let count = zernike::count(order);
            let named = |j| Parameter { name: format!("a{j}"), unit: "", default: 0.0 };
            self.add_common((1..count).map(named).collect());
            self.amplitudes = count - 1;
        }
        self
    }

    /// The same with the sub-reflector displaced sideways: by what is known, `shift`, metres along x and y
    /// for each map, or none; and by the parameters [`LATERAL`] where there are to be any.
    ///
    /// # Errors
    /// A telescope whose path of such a displacement is not known.
    pub fn shifted(mut self, shift: &[[f64; 2]], parameters: bool) -> Result<Model> {
        if !parameters && shift.iter().flatten().all(|s| *s == 0.0) {
            return Ok(self);
        }
        let lateral = Lateral::of(&self.telescope)?;
        let places = self.aperture.x.iter().zip(&self.aperture.y);
        let paths = places.map(|(&x, &y)| lateral.per_metre(x, y).into());
        self.lateral_per_metre = Some(paths.unzip::<f64, f64, Vec<_>, Vec<_>>().into());
        self.shift = shift.to_vec();
        if parameters {
            let named = |name: &str| Parameter { name: name.into(), unit: "m", default: 0.0 };
            self.add_common(LATERAL.map(named).to_vec());
            self.lateral = true;
        }
        Ok(self)
    }

    /// Adds to the parameters that all maps have in common.
    fn add_common(&mut self, parameters: Vec<Parameter>) {
        let at = self.common();
        self.parameters.splice(at..at, parameters);
    }

    /// The same for maps of two beams, `chop` radians apart (see
    /// [`MapSet::chop`](super::beam_map::MapSet::chop)); `None` for one beam.
    fn chopped(mut self, chop: Option<f64>) -> Model {
        self.chopped = chop.is_some();
        self.parameters.extend(chop.into_iter().flat_map(|chop| {
            let throw = Parameter { name: CHOP.into(), unit: "rad", default: chop };
            let ratio = |map| Parameter { name: format!("{RATIO}[{map}]"), unit: "", default: 1.0 };
            std::iter::once(throw).chain((0..self.defocus.len()).map(ratio))
        }));
        self
    }

    /// The position of the second beam's offset, which those of its strength in every map follow.
    pub fn chop_place(&self) -> Option<usize> {
        self.chopped.then(|| self.parameters.len() - 1 - self.defocus.len())
    }

    /// The position of a parameter.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.parameters.iter().position(|p| p.name == name)
    }

    /// The number of parameters before those of the first map.
    fn common(&self) -> usize {
        let lateral = if self.lateral { LATERAL.len() } else { 0 };
        let illumination = self.telescope.illumination.parameters().len();
        zernike::count(self.order) + illumination + self.amplitudes + lateral
    }

    /// The positions of the coefficients of the amplitude.
    pub fn amplitude_places(&self) -> std::ops::Range<usize> {
        let first = zernike::count(self.order) + self.telescope.illumination.parameters().len();
        first..first + self.amplitudes
    }

    /// Position of parameter `which` (of [`OF_EVERY_MAP`]) of `map`.
    pub fn place_in_map(&self, which: usize, map: usize) -> usize {
        self.common() + map * OF_EVERY_MAP.len() + which
    }

    /// The kind of a parameter that only one map depends on (a place in [`OF_EVERY_MAP`], or the number of
    /// these for the strength of its second beam), and the map; `None` for those of all maps.
    pub fn owner(&self, parameter: usize) -> Option<(usize, usize)> {
        let (kinds, maps) = (OF_EVERY_MAP.len(), self.defocus.len());
        let own = parameter.checked_sub(self.common())?;
        match own.checked_sub(kinds * maps) {
            None => Some((own % kinds, own / kinds)),
            Some(beyond) => (1..=maps).contains(&beyond).then(|| (kinds, beyond - 1)),
        }
    }

    /// What `each` makes of a map's samples, in the order of the transform's outputs.
    pub fn arrange<T: Copy + Default + Send>(
        &self,
        map: usize,
        values: &[f64],
        each: impl Fn(f64) -> T + Sync,
    ) -> Vec<T> {
        self.skies[self.sky_of_map[map]].arrangement.arrange(values, each)
    }

    /// The inverse of [`arrange`](Model::arrange).
    pub fn restore(&self, map: usize, values: &[f64]) -> Vec<f64> {
        self.skies[self.sky_of_map[map]].arrangement.restore(values)
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

/// The Zernike polynomials from `first` on on the dish's pixels, as polynomials along its rows.
fn zernike_basis(aperture: &Aperture, first: usize, order: u32) -> Basis {
    let mut runs: Vec<Run> = Vec::new();
    for (i, pixel) in aperture.pixels.iter().enumerate() {
        match runs.last_mut() {
            Some(run) if aperture.pixels[run.start].0 == pixel.0 => run.len += 1,
            _ => runs.push(Run { start: i, len: 1 }),
        }
    }
    let x: Vec<f64> = aperture.x.iter().map(|x| x / aperture.radius).collect();
    let starts: Vec<usize> = runs.iter().map(|r| r.start).collect();
    let count = zernike::count(order) - first;
    Basis::polynomial_runs(count, order as usize, runs, &x, |run, nodes| {
        let y = aperture.y[starts[run]] / aperture.radius;
        let points: Vec<(f64, f64)> = nodes.iter().map(|&x| (x, y)).collect();
        let mut table = zernike::table(order, &points);
        table.slice_collapse(ndarray::s![first.., ..]);
        table
    })
}

/// By how many turns the paths of two rays differ at most that a band has to be fine enough for, with two
/// to spare for aberrations. Beams lie at the origin and up to `apart` off it; so far off that there is no
/// power left nothing matters.
fn turns(
    maps: &[BeamMap],
    aperture: &Aperture,
    path_per_metre: &[f64],
    wavelength: f64,
    apart: f64,
) -> f64 {
    let farthest = maps.iter().map(|map| map.sampling.reach()).fold(0.0, f64::max) + apart;
    let beams = farthest * 2.0 * aperture.radius / wavelength;
    let (low, high) = range(path_per_metre);
    let defocus = maps.iter().fold(0.0f64, |a, m| a.max(m.defocus.abs()));
    beams.min(band::FAR) + defocus * (high - low) / wavelength + 2.0
}

/// The number `j` of a parameter named `<letter><j>`, written plainly and of 32 bits.
pub fn numbered(letter: char, name: &str) -> Option<usize> {
    let digits = name.strip_prefix(letter)?;
    let j: u32 = digits.parse().ok()?;
    (digits == j.to_string()).then_some(j as usize)
}

/// The order and angular frequency of parameter `z<j>`.
pub fn mode_of(name: &str) -> Option<Mode> {
    numbered('z', name).map(Mode::of)
}

/// What a parameter is called without the number of its map: `gain` of `gain[1]`.
pub fn stem(name: &str) -> &str {
    name.split('[').next().unwrap_or(name)
}

/// The order and angular frequency of parameter `a<j>`, a coefficient of the amplitude.
pub fn amplitude_mode_of(name: &str) -> Option<Mode> {
    numbered('a', name).map(Mode::of)
}

/// The radial order of the amplitude that parameters of these names need; 0 where none is one.
pub fn amplitude_order<'n>(names: impl Iterator<Item = &'n str>) -> u32 {
    names.filter_map(amplitude_mode_of).map(|mode| mode.n).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::super::golden;
    use super::*;
    use crate::autodiff::Function;
    use crate::device::scattered::TOLERANCE;
    use crate::optics::aperture::ApertureKind;
    use crate::optics::beam_map::{Sampling, Sigma};
    use num_complex::Complex64;

    /// Of a point source at one wavelength, in one beam.
    fn plain(
        telescope: &Telescope,
        wavelength: f64,
        order: u32,
        maps: &[BeamMap],
        grid: ApertureGrid,
    ) -> Model {
        let set = MapSet { maps: maps.to_vec(), ..MapSet::default() };
        Model::of(telescope, wavelength, order, &set, grid, TOLERANCE).unwrap()
    }

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
            let (telescope, wavelength) = (&golden.telescope, golden.wavelength);
            let model = plain(telescope, wavelength, golden.order, &maps, golden.grid);
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
                        let data = tape.data_in(spaces[i], model.arrange(i, &maps[i].power, |p| p));
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

    #[test]
    fn amplitude_and_lateral_displacement_are_those_of_the_plain_sum() {
        let telescope = Telescope::named("srt").unwrap();
        let wavelength = telescope.wavelength;
        let grid = ApertureGrid { kind: ApertureKind::Smooth, points: 24, extent: 1.02 };
        let (u, v) = ([-4e-4, -1e-4, 2e-4, 5e-4], [-3e-4, 0.0, 1e-4]);
        let map = |defocus| BeamMap {
            name: "x".into(),
            defocus,
            sampling: Sampling::Raster { u: u.to_vec(), v: v.to_vec() },
            power: vec![0.0; 12],
            sigma: Sigma::Unknown,
        };
        let (defocus, shift) = ([0.01, -0.02], [[2e-3, -1e-3], [0.0, 5e-3]]);
        let model = plain(&telescope, wavelength, 3, &defocus.map(map), grid);
        let model = model.weighted(2).shifted(&shift, true).unwrap();
        let values =
            [("z5", 0.4), ("a1", 0.1), ("a4", -0.2), ("a5", 0.3), ("sx", 3e-3), ("sy", 4e-3)];
        let mut x: Vec<f64> = model.parameters.iter().map(|p| p.default).collect();
        values.iter().for_each(|&(name, value)| x[model.position(name).unwrap()] = value);
        assert_eq!(model.parameters[model.place_in_map(0, 0)].name, "dx[0]");
        let mut f = Function::with_arrays(x.len(), |tape, p| {
            (tape.constant(0.0), model.record(tape, p, &model.spaces(tape)))
        });
        let maps = f.arrays(&x);
        let aperture = &model.aperture;
        let lateral = Lateral::of(&telescope).unwrap();
        let lit = &telescope.illumination_values;
        for (k, dz) in defocus.into_iter().enumerate() {
            let field = |i: usize| {
                let (x, y) = (aperture.x[i], aperture.y[i]);
                let (rx, ry) = (x / aperture.radius, y / aperture.radius);
                let z = |j: usize| Mode::of(j).value(rx, ry);
                let logarithm = 0.1 * z(1) - 0.2 * z(4) + 0.3 * z(5);
                let amplitude = telescope.illumination.amplitude(lit, rx, ry) * logarithm.exp();
                let [px, py] = lateral.per_metre(x, y);
                let path = dz * telescope.path.per_metre(x, y)
                    + (3e-3 + shift[k][0]) * px
                    + (4e-3 + shift[k][1]) * py;
                let phase = 0.4 * z(5) + TAU / wavelength * path;
                Complex64::from_polar(
                    aperture.weight[i] * aperture.area_factor() * amplitude,
                    phase,
                )
            };
            let expected = v.iter().flat_map(|v| u.iter().map(move |u| (u, v))).map(|(u, v)| {
                let turns = |i: usize| (u * aperture.x[i] + v * aperture.y[i]) / wavelength;
                let term = |i: usize| field(i) * Complex64::cis(-TAU * turns(i));
                (0..aperture.len()).map(term).sum::<Complex64>().norm_sqr()
            });
            for (got, want) in model.restore(k, &maps[k]).iter().zip(expected) {
                assert!((got - want).abs() < 1e-12, "{got} {want}");
                assert!(want > 1e-7, "there is something to compare");
            }
        }
    }

    #[test]
    fn what_is_not_asked_for_is_not_in_the_model() {
        let telescope = Telescope::named("nikolic2018").unwrap();
        let model = || plain(&telescope, 1.1e-3, 2, &[], telescope.aperture);
        let plain = model().parameters.len();
        let same = model().weighted(0).shifted(&[[0.0; 2]; 3], false).unwrap();
        assert_eq!(same.parameters.len(), plain);
        assert!(same.amplitude_basis.is_none() && same.lateral_per_metre.is_none());
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
                let set = MapSet { maps: vec![map], chop, ..MapSet::default() };
                let model = Model::of(&telescope, wavelength, 3, &set, grid, TOLERANCE).unwrap();
                let mut x: Vec<f64> = model.parameters.iter().map(|p| p.default).collect();
                for (name, value) in [("z6", 0.3), ("dx[0]", 1e-5), ("background[0]", 0.25)] {
                    x[model.position(name).unwrap()] = value;
                }
                if let Some(chop) = model.chop_place() {
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
