//! One fit as a function of its free parameters: start values, scales, bounds, likelihood.
//!
//! The scale of the residuals is given, or fitted with the rest: then its logarithm is the last parameter,
//! and the likelihood is the proper density of the residuals, whose norm depends on the scale.

use super::likelihood::{Likelihood, typical};
use super::options::{FitOptions, LikelihoodKind, Nuisance};
use super::predictions::Kept;
use super::setup::Setup;
use crate::autodiff::{Function, Tape, Var};
use crate::device::{Precision, Values};
use crate::error::{Error, Result};
use crate::optics::beam_map::{BeamMap, MapSet, Sampling, Sigma, range};
use crate::optics::model::{LATERAL, Model, Parameter};
use crate::optics::telescope::Telescope;
use crate::optics::zernike;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The lowest gain of a map, as a part of that which gives an unaberrated beam the map's peak: a map must
/// not be explained away.
const LEAST_GAIN: f64 = 0.2;
/// The peak of an unaberrated beam is for that at least this part of the highest one among the maps:
/// aberrations may well bring a map into focus.
const REFOCUSED: f64 = 0.4;

/// The largest coefficient of an amplitude's logarithm: a factor of 20 at the rim.
const MOST_AMPLITUDE: f64 = 3.0;

/// The parameter of a fitted scale: the natural logarithm of what multiplies the scales of all maps.
pub const LN_SCALE: &str = "ln_scale";

/// A fitted scale is at most this many e-foldings off: residuals that are all 0 have none.
const SCALE_RANGE: f64 = 12.0;

/// Everything about a fit but the minimisation.
#[derive(Clone)]
pub struct Problem<'a> {
    pub telescope: &'a Telescope,
    pub wavelength: f64,
    pub maps: &'a MapSet,
    pub options: &'a FitOptions,
    pub model: Arc<Model>,
    /// The model's, and after them the likelihood's own.
    pub parameters: Vec<Parameter>,
    /// Start values of all parameters.
    pub start: Vec<f64>,
    /// Each parameter's natural length: the minimiser's unit, about as far as it may have to go.
    pub lengths: Vec<f64>,
    pub bounds: Vec<(f64, f64)>,
    pub free: Vec<bool>,
    pub likelihood: Likelihood,
    /// Predictions of all maps that were asked for and may be again.
    pub(super) kept: Arc<Kept>,
}

impl<'a> Problem<'a> {
    /// With start values from the maps themselves.
    ///
    /// # Errors
    /// Maps that the model cannot describe, and unknown parameters.
    pub fn new(setup: Setup<'a>) -> Result<Self> {
        Problem::of(setup, setup.model()?)
    }

    /// The same with a model that is there already, [`Setup::model`] of the same.
    ///
    /// # Errors
    /// Unknown parameters.
    pub fn of(setup: Setup<'a>, model: Arc<Model>) -> Result<Self> {
        let Setup { telescope, wavelength, maps, options } = setup;
        let mut parameters = model.parameters.clone();
        let scale = || Parameter { name: LN_SCALE.into(), unit: "", default: 0.0 };
        parameters.extend(options.fit_scale.then(scale));
        let start: Vec<f64> = parameters.iter().map(|p| p.default).collect();
        let mut problem = Problem {
            lengths: vec![0.3; start.len()],
            bounds: vec![(f64::NEG_INFINITY, f64::INFINITY); start.len()],
            free: vec![false; start.len()],
            likelihood: Likelihood::of(maps, options),
            kept: Arc::default(),
            telescope,
            wavelength,
            maps,
            options,
            model,
            parameters,
            start,
        };
        problem.free_by_default();
        problem.guess();
        problem.edit()?;
        Ok(problem)
    }

    pub fn setup(&self) -> Setup<'a> {
        let &Problem { telescope, wavelength, maps, options, .. } = self;
        Setup { telescope, wavelength, maps, options }
    }

    /// The same parameters and scales with other samples, on the aperture of `options`.
    ///
    /// # Errors
    /// Maps that the model cannot describe.
    pub fn resampled<'b>(&self, maps: &'b MapSet, options: &'b FitOptions) -> Result<Problem<'b>>
    where
        'a: 'b,
    {
        let model = self.setup().with(maps, options).model()?;
        Ok(self.resampled_with(maps, options, model))
    }

    /// The same with a model that is there already; with this problem's own, it shares what is kept.
    pub fn resampled_with<'b>(
        &self,
        maps: &'b MapSet,
        options: &'b FitOptions,
        model: Arc<Model>,
    ) -> Problem<'b>
    where
        'a: 'b,
    {
        let same: Problem<'b> = self.clone();
        let kept = match Arc::ptr_eq(&model, &self.model) {
            true => self.kept.clone(),
            false => Arc::default(),
        };
        Problem { maps, options, model, kept, ..same }
    }

    /// Whether the likelihood's scales come from what is left of the maps on the way: they are not given, and
    /// the noise is not known.
    pub fn adapts(&self) -> bool {
        let unknown = |map: &BeamMap| matches!(map.sigma, Sigma::Unknown);
        self.options.scale.is_none() && self.maps.maps.iter().any(unknown)
    }

    /// The position of the logarithm of the fitted scale, where that is fitted.
    pub fn scale_place(&self) -> Option<usize> {
        self.options.fit_scale.then(|| self.parameters.len() - 1)
    }

    /// The place of the logarithm of the scale among the parameters `which`.
    pub fn scale_among(&self, which: &[usize]) -> Option<usize> {
        self.scale_place().and_then(|scale| which.iter().position(|&i| i == scale))
    }

    /// What the maps' scales are multiplied by at the values `at` of all parameters, if the scale is
    /// among `which`.
    pub fn scale_factor(&self, which: &[usize], at: &[f64]) -> f64 {
        self.scale_among(which).map_or(1.0, |k| at[which[k]].exp())
    }

    fn free_by_default(&mut self) {
        let Nuisance { offset, gain, background } = self.options.nuisance;
        // Piston has no effect; tilt is every map's offset where those are free.
        let first = if offset { zernike::count(1) } else { 1 };
        (first..zernike::count(self.options.order)).for_each(|j| self.free[j] = true);
        if let Some(scale) = self.scale_place() {
            self.free[scale] = true;
            self.bounds[scale] = (-SCALE_RANGE, SCALE_RANGE);
        }
        let mut names = self.telescope.free_illumination.clone();
        // An amplitude's polynomials do what the illumination's own parameters of their order do.
        let order = |name: &str| if ["x0", "y0"].contains(&name) { 1 } else { 2 };
        names.retain(|name| order(name) > self.options.amplitude_order);
        self.free[self.model.amplitude_places()].fill(true);
        if !gain {
            names.push("amp".into());
        }
        for name in names {
            if let Some(i) = self.model.position(&name) {
                self.free[i] = !(gain && name == "amp");
            }
        }
        for map in 0..self.maps.maps.len() {
            for (which, free) in [offset, offset, gain, background].into_iter().enumerate() {
                let i = self.model.place_in_map(which, map);
                self.free[i] = free;
            }
            // The two receivers of a chopped map are not equally sensitive; how far apart they look is
            // known from their mechanics.
            if let Some(chop) = self.model.chop_place() {
                self.free[chop + 1 + map] = gain;
            }
        }
    }

    /// Start values, lengths and bounds from the maps themselves.
    fn guess(&mut self) {
        let dish = self.wavelength / (2.0 * self.telescope.radius);
        for (name, length, low, high) in [
            ("amp", 0.3, 0.0, f64::INFINITY),
            ("sigma", 0.1, 0.1, 5.0),
            ("x0", 0.05, -0.7, 0.7),
            ("y0", 0.05, -0.7, 0.7),
            ("taper", 3.0, -40.0, 3.0),
            ("q", 0.5, 0.2, 10.0),
            ("rho", 0.1, -1.5, 1.5),
            ("diff", 0.1, -0.9, 0.9),
        ] {
            if let Some(i) = self.model.position(name) {
                self.lengths[i] = length;
                self.bounds[i] = (low, high);
            }
        }
        self.lengths[self.model.amplitude_places()].fill(0.1);
        self.bounds[self.model.amplitude_places()].fill((-MOST_AMPLITUDE, MOST_AMPLITUDE));
        for name in LATERAL {
            if let Some(i) = self.model.position(name) {
                self.lengths[i] = self.wavelength;
            }
        }
        if let Some(chop) = self.model.chop_place() {
            let ratios = chop + 1..=chop + self.maps.maps.len();
            self.lengths[chop] = 0.1 * dish;
            self.lengths[ratios.clone()].fill(0.1);
            self.bounds[ratios].fill((0.0, 3.0));
        }
        let peaks = self.predictions(&self.start, |_, model| model.into_iter().fold(0.0, f64::max));
        let highest = peaks.iter().copied().fold(0.0, f64::max);
        for (k, map) in self.maps.maps.iter().enumerate() {
            let model_peak = peaks[k].max(f64::MIN_POSITIVE);
            let peak = map.robust_peak();
            let (mut low, sum_u, sum_v) = centroid(map);
            if self.model.chop_place().is_some() {
                // As much of the sky is below the background of two beams as above it.
                low = map.quantile(2, usize::MAX);
            }
            let ratio = (peak - low).max(0.0) / model_peak;
            let indices: [usize; 5] = std::array::from_fn(|w| self.model.place_in_map(w, k));
            let focus = 0.5 * self.wavelength;
            let lengths = [0.3 * dish, 0.3 * dish, 0.3 * ratio, 0.05 * peak.abs(), focus];
            for (&i, length) in indices.iter().zip(lengths) {
                self.lengths[i] = length.max(f64::MIN_POSITIVE);
            }
            let (Sampling::Raster { u, v } | Sampling::Scattered { u, v }) = &map.sampling;
            for (&i, axis) in indices.iter().zip([u, v]) {
                // A discrete far field has the same beam again and again.
                let (low, high) = range(axis);
                self.bounds[i] = (low - dish, high + dish);
            }
            if self.options.nuisance.offset {
                (self.start[indices[0]], self.start[indices[1]]) = (sum_u, sum_v);
            }
            if self.options.nuisance.gain {
                self.start[indices[2]] = ratio;
                // Other aberrations lower the model's peak, so that the gain ends above its start.
                let refocused = model_peak / model_peak.max(REFOCUSED * highest);
                self.bounds[indices[2]] = (LEAST_GAIN * ratio * refocused, f64::INFINITY);
            }
            if self.options.nuisance.background {
                self.start[indices[3]] = low;
            }
        }
    }

    /// What the user asked for by name.
    fn edit(&mut self) -> Result<()> {
        let edits = &self.options.edits;
        for prior in &self.options.priors {
            for i in self.named(&prior.name)? {
                self.free[i] = true;
                self.begin(i, prior.mean);
            }
        }
        for name in &edits.free {
            self.named(name)?.into_iter().for_each(|i| self.free[i] = true);
        }
        for name in &edits.fix {
            for i in self.named(name)? {
                // What was guessed of the maps is where a search begins, not what anybody knows.
                (self.free[i], self.start[i]) = (false, self.parameters[i].default);
            }
        }
        for (name, value) in &edits.start {
            self.named(name)?.into_iter().for_each(|i| self.begin(i, *value));
        }
        for (name, low, high) in &edits.bound {
            let mut named = self.named(name)?;
            named.retain(|&i| self.free[i]);
            if named.is_empty() {
                let what = "is fixed, so a --bound says nothing of it; give --free too";
                return Err(Error::usage(format!("{name} {what}")));
            }
            named.into_iter().for_each(|i| self.bounds[i] = (*low, *high));
        }
        // What was asked for is not moved into them.
        let means = self.options.priors.iter().map(|prior| &prior.name);
        for name in edits.start.iter().map(|start| &start.0).chain(means) {
            for i in self.named(name)? {
                let ((low, high), start) = (self.bounds[i], self.start[i]);
                if start < low || start > high {
                    return Err(Error::usage(format!(
                        "{} starts at {start}, outside its bounds {low} and {high}; see --start, --prior and --bound",
                        self.parameters[i].name
                    )));
                }
            }
        }
        for (name, low, high) in &edits.bound {
            for i in self.named(name)? {
                if self.free[i] {
                    self.start[i] = self.start[i].clamp(*low, *high);
                }
            }
        }
        Ok(())
    }

    /// Has parameter `i` start at a value that was asked for. A pointing offset may be beyond the map, of which this may
    /// be a part.
    fn begin(&mut self, i: usize, value: f64) {
        self.start[i] = value;
        if matches!(self.parameters[i].name.split('[').next(), Some("dx" | "dy")) {
            let (low, high) = self.bounds[i];
            self.bounds[i] = (low.min(value), high.max(value));
        }
    }

    /// The parameters of this name: one, or one of every map.
    fn named(&self, name: &str) -> Result<Vec<usize>> {
        let of_map = |p: &Parameter| p.name.split('[').next() == Some(name);
        let found: Vec<usize> = (0..self.parameters.len())
            .filter(|&i| self.parameters[i].name == name || of_map(&self.parameters[i]))
            .collect();
        if found.is_empty() {
            return Err(Error::usage(format!("unknown parameter '{name}' for this model")));
        }
        Ok(found)
    }

    /// Records the parameters: `which` in units of their lengths from `origin`, the others constant.
    fn variables<'t>(
        &self,
        tape: &'t Tape,
        which: &[usize],
        origin: &[f64],
        x: &[Var<'t>],
    ) -> Vec<Var<'t>> {
        let mut all: Vec<_> = origin.iter().map(|&v| tape.constant(v)).collect();
        for (&i, &x) in which.iter().zip(x) {
            all[i] = origin[i] + self.lengths[i] * x;
        }
        all
    }

    /// The negative log-likelihood as a function of the parameters `which`, in units of their
    /// lengths from `origin`; the other parameters stay at `origin`. Where the scale is among `which`, it
    /// multiplies the likelihood's own, and the likelihood has its norm.
    pub fn function(&self, which: &[usize], origin: &[f64]) -> Function {
        self.function_of(&self.likelihood, which, origin)
    }

    /// The same of another likelihood.
    pub fn function_of(
        &self,
        likelihood: &Likelihood,
        which: &[usize],
        origin: &[f64],
    ) -> Function {
        Function::new(which.len(), |tape, x| {
            let all = self.variables(tape, which, origin, x);
            let spaces = self.model.spaces(tape);
            let maps = self.model.record(tape, &all[..self.model.parameters.len()], &spaces);
            let scale = self.scale_among(which).map(|k| all[which[k]]);
            let inverse = scale.map(|scale| (-scale).exp());
            let terms = maps.iter().enumerate().map(|(k, &modelled)| {
                // Blanks have no weight. (To look for them before would take as long as a look at all samples.)
                let blanks = AtomicBool::new(false);
                let data = self.arrange(k, &self.maps.maps[k].power, |p| {
                    if p.is_nan() {
                        blanks.store(true, Ordering::Relaxed);
                        return 0.0;
                    }
                    p
                });
                let mut residual =
                    (modelled - tape.data_in(spaces[k], data)) / likelihood.scales[k];
                if let Some(weights) = self.weights_given(k, blanks.into_inner()) {
                    residual = residual * tape.data_in(spaces[k], self.arrange(k, &weights, |w| w));
                }
                if let Some(inverse) = inverse {
                    residual = residual * inverse;
                }
                match likelihood.kind {
                    LikelihoodKind::Gaussian => 0.5 * residual.square().sum(),
                    LikelihoodKind::Cauchy => residual.square().ln_1p().sum(),
                }
            });
            let mut value: Var = terms.sum();
            if let Some(scale) = scale {
                let known: usize = self.maps.maps.iter().map(BeamMap::known).sum();
                value = value + known as f64 * scale;
            }
            match self.prior(&all, which, likelihood) {
                Some(prior) => value + prior,
                None => value,
            }
        })
        .precision(self.options.precision)
        .backend(self.options.backend)
    }

    /// What `each` makes of a map's samples, in the order of the model's, and at once in the precision of the
    /// fit: a copy of a large map in another is memory for nothing.
    fn arrange(&self, map: usize, values: &[f64], each: impl Fn(f64) -> f64 + Sync) -> Values {
        match self.options.precision {
            Precision::F64 => self.model.arrange(map, values, each).into(),
            Precision::F32 => self.model.arrange(map, values, |value| each(value) as f32).into(),
        }
    }

    /// What the residuals of a map are multiplied by, in the order of the map's samples: 0 for blanks, and
    /// the typical sigma over a sample's own. `None` where that is 1 for all.
    pub fn weights(&self, map: usize) -> Option<Vec<f64>> {
        self.weights_given(map, self.maps.maps[map].power.iter().any(|p| p.is_nan()))
    }

    /// The same where it is known whether the map has `blanks`.
    fn weights_given(&self, map: usize, blanks: bool) -> Option<Vec<f64>> {
        let BeamMap { power, sigma, .. } = &self.maps.maps[map];
        let middle = match sigma {
            Sigma::PerSample(each) => typical(power, each),
            Sigma::Constant(_) | Sigma::Unknown => 1.0,
        };
        let known = |(i, p): (usize, &f64)| match sigma {
            _ if p.is_nan() => 0.0,
            Sigma::PerSample(each) => middle / each[i],
            Sigma::Constant(_) | Sigma::Unknown => 1.0,
        };
        let uniform = !matches!(sigma, Sigma::PerSample(_));
        if uniform && !blanks {
            return None;
        }
        Some(power.iter().enumerate().map(known).collect())
    }

    /// The free parameters with radial order at most `order`.
    pub fn free_up_to(&self, order: u32) -> Vec<usize> {
        let limit = zernike::count(order);
        let zernikes = zernike::count(self.options.order);
        (0..self.free.len()).filter(|&i| self.free[i] && (i < limit || i >= zernikes)).collect()
    }
}

/// The low level of a map, and the centroid `(u, v)` of what stands well above it.
pub fn centroid(map: &BeamMap) -> (f64, f64, f64) {
    let low = map.quantile(4, usize::MAX);
    let place = |i: usize| match &map.sampling {
        Sampling::Raster { u, v } => (u[i % u.len()], v[i / u.len()]),
        Sampling::Scattered { u, v } => (u[i], v[i]),
    };
    let peak = map.robust_peak();
    let threshold = low + 0.3 * (peak - low);
    let (mut weight, mut sum_u, mut sum_v) = (0.0, 0.0, 0.0);
    for (i, &p) in map.power.iter().enumerate() {
        if p > threshold {
            // No sample counts for more than the peak: a glitch is one of many.
            let above = p.min(peak) - threshold;
            weight += above;
            sum_u += above * place(i).0;
            sum_v += above * place(i).1;
        }
    }
    if weight > 0.0 { (low, sum_u / weight, sum_v / weight) } else { (low, 0.0, 0.0) }
}
