//! The way from nothing to the optimum: an exploration on few samples, then more and more of them.

use super::covariance;
use super::exploration::{Exploration, NEAR};
use super::level::Level;
use super::likelihood::Likelihood;
use super::minimise::Minimum;
use super::options::{FitOptions, LikelihoodKind};
use super::problem::Problem;
use super::quality::{self, Misfit};
use super::result::Evaluations;
use super::stage::{Objective, Report, Stage};
use crate::device::Precision;
use crate::error::Result;
use crate::optics::beam_map::{BeamMap, MapSet, Sigma};
use crate::optics::telescope::Telescope;

/// What a search ends with.
pub struct Found<'a> {
    pub problem: Problem<'a>,
    /// The free parameters.
    pub which: Vec<usize>,
    /// All parameters at the optimum.
    pub at: Vec<f64>,
    pub minimum: Minimum,
    /// What the model leaves of every map there.
    pub misfits: Vec<Misfit>,
    /// The models of the maps, where these are asked for.
    pub models: Vec<Vec<f64>>,
    /// Whether the optimum can be trusted.
    pub trusted: bool,
    pub evaluations: Evaluations,
}

/// How near the optimum of the whole maps is near enough, in log-likelihood.
const SETTLED: f64 = 1e-4;

/// Searches for the optimum of `maps`, by way of `levels`. An optimum of the whole maps that should not be
/// trusted sends it out again, as long as there are starts left and one of them leads to a better place.
///
/// # Errors
/// Maps that the model cannot describe, and what `progress` returns.
pub fn search<'a>(
    telescope: &'a Telescope,
    wavelength: f64,
    maps: &'a MapSet,
    options: &'a FitOptions,
    levels: &'a [Level],
    report: &mut Report,
) -> Result<Found<'a>> {
    let mut evaluations = Evaluations::default();
    let mut exploration = Exploration::new(maps, options);
    let rough = Likelihood::rough(maps);
    let mut best: Option<Found> = None;
    loop {
        let mut problem = match levels.first() {
            Some(level) => Problem::new(telescope, wavelength, &level.maps, &level.options)?,
            None => Problem::new(telescope, wavelength, maps, options)?,
        };
        // The likelihood's scales are those of the whole maps at every level.
        problem.likelihood = Likelihood::of(maps, options);
        let better = exploration.run(&problem, &rough, report)?;
        if better || best.is_none() {
            let at = exploration.best.as_ref().map_or(&problem.start, |best| &best.at).clone();
            let found = settle(problem, at, maps, options, levels, &mut evaluations, report)?;
            let ahead = |other: &Found| other.minimum.value < found.minimum.value;
            let done = found.minimum.converged && found.trusted;
            if !best.as_ref().is_some_and(ahead) {
                best = Some(found);
            }
            if !done && exploration.goes_on() {
                continue;
            }
        }
        match levels {
            [] => evaluations.full += exploration.evaluations,
            _ => evaluations.coarse += exploration.evaluations,
        }
        return Ok(Found { evaluations, ..best.expect("an optimum") });
    }
}

/// Goes from the optimum `at` of the first level through the others to the whole maps.
fn settle<'a>(
    mut problem: Problem<'a>,
    mut at: Vec<f64>,
    maps: &'a MapSet,
    options: &'a FitOptions,
    levels: &'a [Level],
    evaluations: &mut Evaluations,
    report: &mut Report,
) -> Result<Found<'a>> {
    let which = problem.free_up_to(options.order);
    adapt_scales(&mut problem, &at);
    // Gauss and Newton's curvature, which each level hands to the next with what it learned. (What the
    // minimiser learned on the way through the orders is no substitute: it takes many more evaluations.)
    let mut inverse = match levels {
        // The scale is told far better than anything else.
        [] if !options.fit_scale => None,
        _ => covariance::inverse_curvature(&problem, &problem.likelihood, &which, &at),
    };
    for (i, level) in levels.iter().enumerate() {
        let stage = Stage {
            which: &which,
            tolerance: NEAR,
            inverse: inverse.as_deref(),
            name: &format!("all parameters, level {} of {}", i + 1, levels.len() + 1),
            full: false,
        };
        let mut objective = Objective::new(&problem, &problem.likelihood, &which, &at);
        let minimum = stage.descend(&mut objective, &mut at, report)?;
        evaluations.coarse += minimum.evaluations;
        let next = levels.get(i + 1);
        let ahead = next.map_or(maps, |next| &next.maps).samples();
        // The curvature taken afresh is better than what the minimiser learned. It costs about half an
        // evaluation of this level for each parameter, and spares some of the next level's, the more the more
        // this one needed.
        let worth = minimum.evaluations * ahead > 2 * which.len() * level.maps.samples();
        let fresh = worth
            .then(|| covariance::inverse_curvature(&problem, &problem.likelihood, &which, &at));
        let curved = fresh.flatten().unwrap_or(minimum.inverse);
        // More samples have so much more curvature.
        let share = level.share / next.map_or(1.0, |next| next.share);
        inverse = Some(curved.iter().map(|v| v * share).collect());
        problem = match next {
            Some(next) => problem.with_maps(&next.maps, &next.options)?,
            None => problem.with_maps(maps, options)?,
        };
        // A fitted scale is relative to these.
        if !options.fit_scale {
            adapt_scales(&mut problem, &at);
        }
    }
    // A second start, with fresh curvature, where the first did not settle.
    let mut objective = Objective::new(&problem, &problem.likelihood, &which, &at);
    let mut descend = |inverse: Option<&[f64]>, name| {
        let stage = Stage { which: &which, tolerance: SETTLED, inverse, name, full: true };
        let minimum = stage.descend(&mut objective, &mut at, report)?;
        evaluations.full += minimum.evaluations;
        Ok(minimum)
    };
    let mut minimum = descend(inverse.as_deref(), "all parameters")?;
    if !minimum.converged {
        minimum = descend(None, "all parameters again")?;
    }
    drop(objective);
    let (misfits, models) = quality::misfits(&problem, &at, options.models);
    let trusted = quality::trusts(maps, &misfits);
    let evaluations = *evaluations;
    Ok(Found { problem, which, at, minimum, misfits, models, trusted, evaluations })
}

/// Where the noise is not known, the scale comes from what the least-squares fit left: the same
/// fraction of the peak for every map.
fn adapt_scales(problem: &mut Problem, at: &[f64]) {
    let unknown = problem.maps.maps.iter().any(|m| matches!(m.sigma, Sigma::Unknown));
    if problem.options.scale.is_some() || !unknown {
        return;
    }
    let maps = &problem.maps.maps;
    let peaks: Vec<f64> = maps.iter().map(BeamMap::robust_peak).collect();
    let residuals = problem.models(at, |k, model| {
        let pairs = maps[k].power.iter().zip(model).filter(|(p, _)| !p.is_nan());
        pairs.map(|(p, m)| (p - m).abs() / peaks[k]).collect::<Vec<f64>>()
    });
    let residuals = residuals.concat();
    let fraction = match problem.likelihood.kind {
        LikelihoodKind::Gaussian => {
            (residuals.iter().map(|r| r * r).sum::<f64>() / residuals.len().max(1) as f64).sqrt()
        }
        LikelihoodKind::Cauchy => {
            // As for known noise.
            4.0 * quality::robust_sigma(residuals.into_iter()).unwrap_or(0.0)
        }
    };
    // Maps without noise have no scale but that of the arithmetic, a sum over thousands of pixels.
    let least = match problem.options.precision {
        Precision::F64 => 1e-9,
        Precision::F32 => 1e-5,
    };
    let fraction = fraction.max(least);
    for (scale, peak) in problem.likelihood.scales.iter_mut().zip(peaks) {
        *scale = fraction * peak;
    }
}
