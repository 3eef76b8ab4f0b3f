//! One fit as a function of its free parameters: its likelihood, recorded.
//!
//! The scale of the residuals is given, or fitted with the rest: then its logarithm is the last parameter,
//! and the likelihood is the proper density of the residuals, whose norm depends on the scale.

use super::likelihood::{Likelihood, typical};
use super::options::{FitOptions, LikelihoodKind};
use super::predictions::{Kept, Known};
use super::setup::Setup;
use crate::autodiff::{Function, Tape, Var};
use crate::device::{Precision, Values};
use crate::error::Result;
use crate::optics::beam_map::{BeamMap, MapSet, Sigma};
use crate::optics::model::{Model, Parameter};
use crate::optics::telescope::Telescope;
use crate::optics::zernike;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The parameter of a fitted scale: the natural logarithm of what multiplies the scales of all maps.
pub const LN_SCALE: &str = "ln_scale";

/// Everything about a fit but the minimisation.
#[derive(Clone)]
pub struct Problem<'a> {
    pub telescope: &'a Telescope,
    /// Metres.
    pub wavelength: f64,
    pub maps: &'a MapSet,
    pub options: &'a FitOptions,
    pub model: Arc<Model>,
    /// The model's, and after them the likelihood's own.
    pub parameters: Vec<Parameter>,
    /// Start values of all parameters, SI.
    pub start: Vec<f64>,
    /// Each parameter's natural length, SI: the minimiser's unit, about as far as it may have to go.
    pub lengths: Vec<f64>,
    /// Lowest and highest values, SI.
    pub bounds: Vec<(f64, f64)>,
    /// Which parameters are fitted.
    pub free: Vec<bool>,
    pub likelihood: Likelihood,
    /// Predictions of all maps that were asked for and may be again.
    pub(super) kept: Arc<Kept<Known>>,
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
        self.options.scale.is_none() && !self.maps.knows_sigmas()
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

    /// The free parameters.
    pub fn free_places(&self) -> Vec<usize> {
        self.free_up_to(self.options.order)
    }

    /// Those of them with radial order at most `order`.
    pub fn free_up_to(&self, order: u32) -> Vec<usize> {
        let limit = zernike::count(order);
        let zernikes = zernike::count(self.options.order);
        (0..self.free.len()).filter(|&i| self.free[i] && (i < limit || i >= zernikes)).collect()
    }
}
