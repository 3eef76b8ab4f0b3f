//! The recording of a model, which reads like its NumPy version: the dish once, then one map after the other.

use super::{Disc, Model, OF_EVERY_MAP};
use crate::autodiff::{Complex, Space, Tape, Transform, Var};
use crate::device::cpu::sines_and_cosines;
use crate::optics::band::Node;
use crate::optics::illumination::Illumination;
use crate::optics::zernike;
use std::f64::consts::TAU;
use std::ops::Range;

/// The dish of one recording.
struct Dish<'t> {
    space: Space,
    /// The field on its pixels in focus, for every frequency.
    fields: Vec<Complex<'t>>,
    /// Of its pixels, radians of phase per radian on the sky.
    x: Var<'t>,
    y: Var<'t>,
    /// Radians of phase per metre of defocus.
    path_per_metre: Var<'t>,
}

/// What one map has for itself.
struct Own<'m, 't> {
    map: usize,
    /// [`OF_EVERY_MAP`].
    parameters: &'m [Var<'t>],
    sky: Space,
    /// For every frequency.
    transforms: &'m [Transform],
    /// Offset and strength of the second of two beams.
    second: Option<(Var<'t>, Var<'t>)>,
    /// The spaces of lags and of the plane on the way to them.
    of_disc: Option<(Space, Space)>,
}

impl Disc {
    /// Spaces for the lags of a map, and for the plane on the way to them.
    fn spaces(&self, tape: &Tape) -> (Space, Space) {
        (tape.space(self.lags.count()), tape.space(self.lags.points() * self.lags.points()))
    }
}

impl Model {
    /// A space for every map's samples.
    pub fn spaces(&self, tape: &Tape) -> Vec<Space> {
        let len = |&sky: &usize| tape.space(self.skies[sky].arrangement.count());
        self.sky_of_map.iter().map(len).collect()
    }

    /// Records the model maps for all `parameters` (SI, in the order of [`parameters`](Model::parameters)): power in
    /// the maps' own unit, an array a map over its space, in the order of [`arrange`](Model::arrange).
    pub fn record<'t>(
        &self,
        tape: &'t Tape,
        parameters: &[Var<'t>],
        spaces: &[Space],
    ) -> Vec<Var<'t>> {
        self.record_some(tape, parameters, spaces, 0..spaces.len())
    }

    /// The same for some of the maps.
    pub fn record_some<'t>(
        &self,
        tape: &'t Tape,
        parameters: &[Var<'t>],
        spaces: &[Space],
        maps: Range<usize>,
    ) -> Vec<Var<'t>> {
        let of_beams = if self.chopped { 1 + spaces.len() } else { 0 };
        let (rest, beams) = parameters.split_at(parameters.len() - of_beams);
        let (common, of_maps) = rest.split_at(self.common());
        let dish = self.dish(tape, common);
        let of_maps: Vec<&[Var]> = of_maps.chunks(OF_EVERY_MAP.len()).collect();
        let one = |map: usize| {
            let own = Own {
                map,
                parameters: of_maps[map],
                sky: spaces[map],
                transforms: &self.skies[self.sky_of_map[map]].transforms,
                second: beams.first().map(|&chop| (chop, beams[1 + map])),
                of_disc: self.disc.as_ref().map(|disc| disc.spaces(tape)),
            };
            self.map(tape, &dish, &own)
        };
        maps.map(one).collect()
    }

    /// What all maps have in common, of the parameters that they have in common.
    fn dish<'t>(&self, tape: &'t Tape, parameters: &[Var<'t>]) -> Dish<'t> {
        let aperture = &self.aperture;
        let space = tape.space(aperture.len());
        let (zernikes, rest) = parameters.split_at(zernike::count(self.order));
        let illumination = self.telescope.illumination.parameters().len();
        let (illumination, rest) = rest.split_at(illumination);
        let (weights, displacement) = rest.split_at(self.amplitudes);
        let mut amplitude = self.amplitude(tape, space, illumination);
        if let Some(basis) = &self.amplitude_basis {
            amplitude = amplitude * tape.combine(basis, space, weights).exp();
        }
        let mut phase = tape.combine(&self.basis, space, zernikes);
        let turns = |lengths: &[f64]| {
            let turns = lengths.iter().map(|m| TAU / self.wavelength * m);
            tape.data_in(space, turns.collect::<Vec<f64>>())
        };
        for (&moved, path) in displacement.iter().zip(self.lateral_per_metre.iter().flatten()) {
            phase = phase + moved * turns(path);
        }
        // Paths are the same at all frequencies, and phases go with them.
        let field = |node: &Node| amplitude * Complex::cis(node.ratio * phase);
        Dish {
            space,
            fields: self.band.iter().map(field).collect(),
            x: turns(&aperture.x),
            y: turns(&aperture.y),
            path_per_metre: turns(&self.path_per_metre),
        }
    }

    /// One map.
    fn map<'t>(&self, tape: &'t Tape, dish: &Dish<'t>, own: &Own<'_, 't>) -> Var<'t> {
        let &[dx, dy, gain, background, ddz] = own.parameters else {
            unreachable!("as many as every map has");
        };
        let moved = dx * dish.x + dy * dish.y + ddz * dish.path_per_metre;
        let dz = self.defocus[own.map];
        let mut path: Vec<f64> = self.path_per_metre.iter().map(|p| p * dz).collect();
        let shift = self.shift.get(own.map).unwrap_or(&[0.0; 2]);
        for (moved, sideways) in shift.iter().zip(self.lateral_per_metre.iter().flatten()) {
            path.iter_mut().zip(sideways).for_each(|(path, p)| *path += p * moved);
        }
        let powers = self.band.iter().zip(&dish.fields).enumerate().map(|(k, (node, &field))| {
            let turns = TAU / self.wavelength * node.ratio;
            let phases: Vec<f64> = path.iter().map(|path| turns * path).collect();
            let (im, re) = sines_and_cosines(&phases);
            let defocus =
                Complex { re: tape.data_in(dish.space, re), im: tape.data_in(dish.space, im) };
            let pointed = field * defocus * Complex::cis(node.ratio * moved);
            node.weight * self.power(tape, k, pointed, dish, own)
        });
        let mut power: Var = powers.sum();
        if let Some(sign) = &self.skies[self.sky_of_map[own.map]].sign {
            power = tape.data_in(own.sky, sign.clone()) * power;
        }
        gain * power + background
    }

    /// The power at frequency `k` of a field on the dish's pixels, as one map has it.
    fn power<'t>(
        &self,
        tape: &'t Tape,
        k: usize,
        field: Complex<'t>,
        dish: &Dish<'t>,
        own: &Own<'_, 't>,
    ) -> Var<'t> {
        let ratio = self.band[k].ratio;
        let far = |field: Complex<'t>| tape.transform(own.transforms[k].clone(), field, own.sky);
        // The receiver measures its two beams' difference. OOF's DX is the pointing minus the source, so a
        // source in the second beam, which looks CHOPTHR to the -x side of where the telescope points, has
        // u = -DX = +CHOPTHR. In the GBT's maps the negative beam does lie there: its DX is 58 arcsec less
        // than the positive one's.
        let throw = |chop: Var<'t>, x: Var<'t>| Complex::cis(ratio * (chop * x));
        if let (Some(disc), Some((lags, plane))) = (&self.disc, own.of_disc) {
            let correlation = disc.lags.record(tape, field, lags, plane);
            let mut sum = tape.data_in(lags, disc.weights[k].clone()) * correlation;
            if let Some((chop, strength)) = own.second {
                let x = tape.data_in(lags, disc.x.clone());
                sum = sum - strength * (sum * throw(chop, x));
            }
            return far(sum).re;
        }
        let power = far(field).norm2();
        match own.second {
            Some((chop, strength)) => power - strength * far(field * throw(chop, dish.x)).norm2(),
            None => power,
        }
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
                // Never below zero, and just above it, in single precision too, so that the power has a
                // derivative.
                let inside = (inside + inside.abs()) * 0.5 + 1e-30;
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
