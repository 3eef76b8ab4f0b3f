//! The posterior of a fit, by drawing from it: what the free parameters and the surface may be.
//!
//! **Which density.** Draws are from `exp(-L)`, with the negative log-likelihood `L` that the fit minimised,
//! priors and all, within the bounds. Where the likelihood is the density of the noise this is the posterior:
//! gaussian with a known noise (or with the one that the residuals show, taken as known), or any whose scale
//! is fitted with the rest. Cauchy at a given scale is no noise's density: it is a way to weigh residuals, at
//! four sigma a ninth as steep as the noise's own, and the draws would be some three times too wide. They are
//! from `exp(-power L)` then, a generalised posterior (Bissiri et al. 2016), whose `power` makes it as wide as
//! the errors of the parameters, which hold whatever the noise: the mean curvature over the directions that
//! the covariance whitens is 1. What the sampler is given is whitened by the curvature, or by the covariance
//! where the likelihood is not curved upwards everywhere.

use super::chains::{self, Distribution};
use super::covariance;
use super::flags::Flag;
use super::options::{Drawing, FitOptions, LikelihoodKind};
use super::posterior::{self, CHAINS, Drawn, Draws, Settings, WARM_UP};
use super::problem::Problem;
use super::result::FitResult;
use super::setup::Setup;
use super::surface::{Weighed, ruze};
use super::{Progress, Report};
use crate::error::Result;
use crate::optics::zernike;
use ndarray::{Array2, ArrayView2, s};
use serde::Serialize;
use std::f64::consts::PI;

/// Chains that have mixed agree to within this.
const MIXED: f64 = 1.05;
/// Quantiles of fewer independent draws are no more than a hint.
const FEWEST: f64 = 100.0;
/// The part of trajectories that may break off.
const BROKEN: f64 = 0.01;
/// Widths that differ by more than this factor from the errors of the parameters are said.
const ASTRAY: f64 = 1.5;

/// What was drawn. Serialised as it stands, but for the draws.
#[derive(Debug, Clone, Serialize)]
pub struct Posterior {
    pub draws: usize,
    pub chains: usize,
    /// Draws of each chain before these, which only set the sampler's steps.
    pub warm_up: usize,
    pub seed: u64,
    pub sampler: String,
    /// What the log-likelihood is multiplied by: 1 where it is that of the noise.
    pub power: f64,
    pub evaluations: usize,
    pub acceptance: f64,
    pub divergences: usize,
    /// Free parameters, in their order.
    pub parameters: Vec<Quantity>,
    /// The rms of the surface and the efficiency, weighted by the illumination of the optimum.
    pub derived: Vec<Quantity>,
    /// A row a draw, chain after chain; a column each of `parameters` and then of `derived`.
    #[serde(skip)]
    pub values: Array2<f64>,
}

/// A parameter, or what follows from some.
#[derive(Debug, Clone, Serialize)]
pub struct Quantity {
    pub name: String,
    pub unit: String,
    #[serde(flatten)]
    pub distribution: Distribution,
}

impl Posterior {
    /// The names of the columns of `values`.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.parameters.iter().chain(&self.derived).map(|q| q.name.as_str())
    }

    /// The chain that a row is of.
    pub fn chain_of(&self, row: usize) -> usize {
        row * self.chains / self.draws.max(1)
    }
}

/// Adds the posterior to the `result` of a fit, and flags where it is not to be
/// trusted. A fit that has no errors has no posterior, and its message says so.
///
/// # Errors
/// What `report` returns, and densities that cannot be drawn from.
pub fn add_posterior(
    setup: Setup,
    sampling: Drawing,
    result: &mut FitResult,
    report: &mut Report,
) -> Result<()> {
    let covariance = result.covariance.as_ref().filter(|_| result.status != "not converged");
    let Some(covariance) = covariance else {
        result.message += "; nothing is drawn from a posterior without errors";
        return Ok(());
    };
    let (order, choose_order) = (result.order, false);
    let mut options = FitOptions { order, choose_order, ..setup.options.clone() };
    options.edits.drop_above(result.order);
    options.priors.retain(|prior| prior.is_up_to(result.order));
    let mut problem = Problem::new(setup.with(setup.maps, &options))?;
    problem.likelihood.scales.clone_from(&result.scales);
    let at: Vec<f64> = result.parameters.iter().map(|p| p.value).collect();
    let which: Vec<usize> = (0..at.len()).filter(|&i| result.parameters[i].free).collect();
    let drawn = draw(&problem, &which, &at, covariance.view(), sampling, report)?;
    let Some((power, draws)) = drawn else {
        result.message += "; nothing is drawn from a likelihood that is not curved upwards";
        return Ok(());
    };
    let posterior = describe(&problem, &which, &at, result, sampling, power, &draws);
    result.flags.extend(doubts(&posterior, result));
    result.posterior = Some(posterior);
    Ok(())
}

/// The power of the likelihood and the draws, in the parameters' lengths from `at`; `None` where there is
/// nothing to whiten with.
fn draw(
    problem: &Problem,
    which: &[usize],
    at: &[f64],
    covariance: ArrayView2<f64>,
    sampling: Drawing,
    report: &mut Report,
) -> Result<Option<(f64, Draws)>> {
    let n = which.len();
    let length = |k: usize| problem.lengths[which[k]];
    let scaled =
        Array2::from_shape_fn((n, n), |(a, b)| covariance[(a, b)] / (length(a) * length(b)));
    let mut function = problem.function(which, at);
    let curvature = function.hessian(&vec![0.0; n]);
    let of_noise =
        problem.likelihood.kind == LikelihoodKind::Gaussian || problem.scale_among(which).is_some();
    let power = if of_noise { 1.0 } else { n as f64 / (&curvature * &scaled).sum() };
    if !(power.is_finite() && power > 0.0) {
        return Ok(None);
    }
    // The density's own width, which a model that leaves more than the noise makes another than the errors.
    let own = covariance::inverse(curvature.view()).map(|inverse| inverse / power);
    let root = own.and_then(|own| posterior::root(own.view()));
    let Some(root) = root.or_else(|| posterior::root(scaled.view())) else { return Ok(None) };
    let bounds = which.iter().map(|&i| {
        let (low, high) = problem.bounds[i];
        ((low - at[i]) / problem.lengths[i], (high - at[i]) / problem.lengths[i])
    });
    let settings = Settings {
        draws: sampling.draws.div_ceil(CHAINS),
        seed: sampling.seed,
        centre: &vec![0.0; n],
        root: &root,
        bounds: &bounds.collect::<Vec<_>>(),
    };
    let density = |x: &[f64], gradient: &mut [f64]| {
        let value = function.value_and_gradient_into(x, gradient);
        gradient.iter_mut().for_each(|g| *g *= power);
        power * value
    };
    let report = |drawn: Drawn| {
        report(&Progress {
            stage: format!("draw {} of {}", drawn.done, drawn.wanted),
            evaluations: drawn.evaluations,
            negative_log_likelihood: drawn.value / power,
            full: true,
        })
    };
    posterior::sample(density, &settings, report).map(|draws| Some((power, draws)))
}

/// The draws in SI, what follows from them, and their distributions.
fn describe(
    problem: &Problem,
    which: &[usize],
    at: &[f64],
    result: &FitResult,
    sampling: Drawing,
    power: f64,
    draws: &Draws,
) -> Posterior {
    let (chains, each, n) = draws.values.dim();
    let weighed = Weighed::new(problem, at);
    let half_path = problem.wavelength / (4.0 * PI);
    let derived = [
        ("surface_rms_m", "m"),
        ("ruze_efficiency", ""),
        ("surface_rms_without_focus_m", "m"),
        ("ruze_efficiency_without_focus", ""),
    ];
    let mut values = Array2::zeros((chains * each, n + derived.len()));
    let mut all = at.to_vec();
    for (i, mut row) in values.outer_iter_mut().enumerate() {
        for (k, &p) in which.iter().enumerate() {
            all[p] = at[p] + problem.lengths[p] * draws.values[(i / each, i % each, k)];
            row[k] = all[p];
        }
        let zernikes = &all[..zernike::count(problem.options.order)];
        let (rms, without) = (weighed.rms(zernikes), weighed.rms_without_focus(zernikes));
        let found = [half_path * rms, ruze(rms), half_path * without, ruze(without)];
        row.iter_mut().skip(n).zip(found).for_each(|(to, value)| *to = value);
    }
    let own = which.iter().map(|&i| (&*result.parameters[i].name, &*result.parameters[i].unit));
    let quantities = own.chain(derived).enumerate().map(|(k, (name, unit))| {
        let column = values.slice(s![.., k]).to_owned();
        let column = column.into_shape_with_order((chains, each)).expect("a draw for each row");
        let distribution = chains::distribution(column.view());
        Quantity { name: name.into(), unit: unit.into(), distribution }
    });
    let mut parameters: Vec<Quantity> = quantities.collect();
    Posterior {
        draws: chains * each,
        chains,
        warm_up: WARM_UP,
        seed: sampling.seed,
        sampler: "nuts".into(),
        power,
        evaluations: draws.evaluations,
        acceptance: draws.acceptance,
        divergences: draws.divergences,
        derived: parameters.split_off(n),
        parameters,
        values,
    }
}

/// Why the draws should not be trusted, or what they say otherwise than the errors.
fn doubts(posterior: &Posterior, result: &FitResult) -> Vec<Flag> {
    let all = || posterior.parameters.iter().chain(&posterior.derived);
    let mut found = Vec::new();
    let worst = all().max_by(|a, b| a.distribution.rhat.total_cmp(&b.distribution.rhat));
    let fewest = all().min_by(|a, b| a.distribution.ess.total_cmp(&b.distribution.ess));
    if let Some(worst) = worst.filter(|q| q.distribution.rhat > MIXED) {
        let (name, rhat) = (&worst.name, worst.distribution.rhat);
        let most = format!("the chains of {name} do not agree: R is {rhat:.2}; draw more");
        found.push(("chains-apart", most));
    } else if let Some(fewest) = fewest.filter(|q| q.distribution.ess < FEWEST) {
        let (name, ess) = (&fewest.name, fewest.distribution.ess);
        found.push(("few-draws", format!("{ess:.0} independent draws tell {name}; draw more")));
    }
    if posterior.divergences as f64 > BROKEN * posterior.draws as f64 {
        let what = format!(
            "{} of {} trajectories broke off: the posterior has corners that the draws miss",
            posterior.divergences, posterior.draws
        );
        found.push(("divergences", what));
    }
    let ratios = posterior.parameters.iter().filter_map(|q| {
        let own = result.parameters.iter().find(|p| p.name == q.name)?.sigma?;
        Some((q.distribution.sd / own, &q.name))
    });
    let far = ratios.max_by(|a, b| a.0.ln().abs().total_cmp(&b.0.ln().abs()));
    if let Some((ratio, name)) = far.filter(|r| r.0.ln().abs() > ASTRAY.ln()) {
        let what = format!(
            "the draws of {name} spread {ratio:.2} times its sigma: the posterior is not gaussian, or the noise is not what the likelihood takes it for"
        );
        found.push(("posterior-width", what));
    }
    let flag = |(name, reason): (&str, String)| Flag { name: name.into(), reason };
    found.into_iter().map(flag).collect()
}
