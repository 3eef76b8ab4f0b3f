//! The way from nothing to the optimum: an exploration on few samples, then more and more of them.

use super::course::{self, Leg};
use super::covariance;
use super::exploration::Exploration;
use super::information;
use super::level::Level;
use super::likelihood::{CAUCHY_SIGMAS, Likelihood};
use super::minimise::{Minimum, Near};
use super::optimum::{CLEARLY, Optimum};
use super::options::{FitOptions, LikelihoodKind};
use super::problem::Problem;
use super::quality::{self, Trust};
use super::residual;
use super::result::Evaluations;
use super::setup::Setup;
use super::stage::{Report, Stage};
use super::turn::{self, Around};
use crate::device::{Backend, Precision};
use crate::error::{Error, Result};
use crate::optics::beam_map::{BeamMap, MapSet};
use crate::optics::model::Model;
use std::sync::Arc;

/// What a search ends with.
pub struct Found<'a> {
    pub problem: Problem<'a>,
    /// The free parameters.
    pub which: Vec<usize>,
    pub optimum: Optimum,
    pub evaluations: Evaluations,
}

/// How near the optimum of the whole maps is near enough, in log-likelihood.
const SETTLED: f64 = 1e-4;
/// The same of maps of few samples, which gain more than they lose: where many parameters are told by few samples,
/// steps are predicted to gain less than they do.
const SETTLED_FEW: f64 = 1e-6;
const FEW: usize = 5_000;

/// Maps of more samples do not go past turns with all of them, which takes hundreds of evaluations; and no others more often
/// than so many rounds.
const FEW_ENOUGH: usize = 50_000;
const ROUNDS: usize = 8;

/// What a level needs where the curvature that it starts with is good.
const EASY: usize = 8;

/// Searches for the optimum of the maps, whose `model` is there already, by way of `levels`. An optimum of the whole
/// maps that should not be trusted sends it out again, as long as there are starts left and one of them leads to a
/// better place; and goes past turns with all samples at last, where only those tell.
///
/// # Errors
/// Maps that the model cannot describe, fewer samples than parameters, and what `report` returns.
pub fn search<'a>(
    setup: Setup<'a>,
    levels: &'a [Level],
    model: Arc<Model>,
    report: &mut Report,
) -> Result<Found<'a>> {
    let Setup { maps, options, .. } = setup;
    let mut first = match levels.first() {
        Some(level) => Problem::new(level.setup(setup)),
        None => Problem::of(setup, model.clone()),
    }?;
    // The likelihood's scales are those of the whole maps at every level. The rough ones are of peaks, which the
    // largest level has too unless it is thinned.
    first.likelihood = Likelihood::of(maps, options);
    let largest = levels.last().filter(|level| level.share == 1.0);
    let rough = Likelihood::rough(largest.map_or(maps, |level| &level.maps));
    let mut exploration = Exploration::new(maps, options);
    let which = first.free_places();
    let known = || maps.maps.iter().flat_map(|map| &map.power).filter(|power| !power.is_nan());
    let parameters = which.len();
    let too_few = known().take(parameters).count() < parameters;
    if too_few && options.priors.is_empty() && options.power_law.is_none() {
        return Err(Error::usage(format!(
            "{} samples cannot tell {parameters} parameters; lower --order, or give larger maps",
            known().count()
        )));
    }
    let mut route =
        Route { levels, maps, options, which, evaluations: Evaluations::default(), report };
    // What is needed first is made ready first: what the first way needs; then, by a thread that has nothing else to do while that
    // explores, the first leg and, as they take longest, the whole maps; the other legs by the one that has explored.
    if options.backend == Backend::Cpu {
        let derivatives = || information::prepare(&first);
        rayon::join(|| exploration.prepare(&first, &rough), derivatives);
    }
    let mut whole = None;
    let coarse = rayon::scope(|scope| {
        let explore = || exploration.run(&first, &rough, route.report);
        let make = || {
            let leg = course::first_leg(&first, levels);
            scope.spawn(|_| whole = Some(Leg::of(&first, maps, options, model)));
            leg
        };
        let (explored, leg) = rayon::join(explore, make);
        explored?;
        let mut legs: Vec<Leg> = leg.into_iter().collect();
        legs.extend(course::other_legs(&first, levels)?);
        // Whatever the largest level says of it: one whose aperture is coarse may refuse the right one.
        let near = route.descend(&mut legs, exploration.place(&first))?;
        Ok((legs, near))
    });
    let (mut legs, mut near) = coarse?;
    let mut whole = whole.expect("made by the end of its scope");
    let mut best: Option<Optimum> = None;
    // Where the best was before the whole maps, and the largest level's value there.
    let mut came_from = (Vec::new(), f64::INFINITY);
    loop {
        let place = (near.at.clone(), near.value);
        let found = route.settle(&mut whole, near)?;
        let gain = found.gain(best.as_ref());
        let done = found.minimum.converged && found.trust == Trust::Full;
        // The same optimum once more is no reason for more starts.
        if gain > CLEARLY {
            exploration.end_soon(found.minimum.converged && found.trust == Trust::Doubtful);
        }
        if gain >= 0.0 {
            (best, came_from) = (Some(found), place);
        }
        if done || !exploration.goes_on() || !exploration.run(&first, &rough, route.report)? {
            break;
        }
        // Where the whole maps refuse what the level explains, the level cannot tell.
        let believed =
            best.as_ref().is_some_and(|best| best.minimum.converged && best.trust > Trust::None);
        let (at, value) = &came_from;
        let bar = if believed { route.bar(legs.last(), at, *value) } else { None };
        match route.approach(&mut legs, &mut exploration, &first, &rough, bar)? {
            Some(better) => near = better,
            None => break,
        }
    }
    let mut optimum = best.expect("an optimum");
    // Few samples do not tell optima apart that are nearly as likely, or where imperfections tell.
    let close = maps.noise.is_none() || optimum.is_weak(&whole.problem, &route.which);
    if optimum.trust == Trust::Doubtful && close && maps.samples() <= FEW_ENOUGH {
        optimum = route.past_turns(&mut whole, optimum)?;
    }
    let Route { which, mut evaluations, .. } = route;
    match levels {
        [] => evaluations.full += exploration.evaluations,
        _ => evaluations.coarse += exploration.evaluations,
    }
    let mut problem = whole.problem;
    problem.likelihood = optimum.likelihood.clone();
    Ok(Found { problem, which, optimum, evaluations })
}

/// The route from where an exploration ended to the optimum of the whole maps.
struct Route<'w, 'r> {
    levels: &'w [Level],
    /// The whole maps.
    maps: &'w MapSet,
    options: &'w FitOptions,
    /// The free parameters.
    which: Vec<usize>,
    /// Of the legs so far.
    evaluations: Evaluations,
    report: &'w mut Report<'r>,
}

/// Where a leg begins.
struct Waypoint {
    /// All parameters.
    at: Vec<f64>,
    /// Of the largest level, where there is one.
    value: f64,
    /// The inverse curvature there, if it is known.
    inverse: Option<Vec<f64>>,
    likelihood: Likelihood,
}

impl Route<'_, '_> {
    /// Goes from where an exploration ended to the neighbourhood of the optimum of the whole maps, and sends it out
    /// again, as long as there are starts left and one of them leads to a better place, where the largest level tells
    /// already that this is no optimum to trust, or that it is not below the `bar`: the level has fewer samples than the whole
    /// maps. `None` where none was below it.
    fn approach(
        &mut self,
        legs: &mut [Leg],
        exploration: &mut Exploration,
        first: &Problem,
        rough: &Likelihood,
        bar: Option<f64>,
    ) -> Result<Option<Waypoint>> {
        let mut best: Option<Waypoint> = None;
        loop {
            let near = self.descend(legs, exploration.place(first))?;
            if bar.is_none_or(|bar| near.value < bar) {
                let refused = |leg: &Leg| !quality::nearly_explains(&leg.problem, &near.at);
                let hopeless = self.maps.noise.is_some()
                    && !exploration.explains()
                    && legs.last().is_some_and(refused);
                if !hopeless {
                    return Ok(Some(near));
                }
                if best.as_ref().is_none_or(|best| near.value < best.value) {
                    best = Some(near);
                }
            }
            if !exploration.goes_on() || !exploration.run(first, rough, self.report)? {
                return Ok(best);
            }
        }
    }

    /// What the largest level's value at an optimum must be below for that to be better than the one that has `value` there, at
    /// `at`, and not the same once more: most of what tells optima apart lies in its window. `None` where it cannot tell: if it
    /// is thinned, if its values may be of several likelihoods, or if it does not explain the maps at `at`.
    fn bar(&self, largest: Option<&Leg>, at: &[f64], value: f64) -> Option<f64> {
        let (level, leg) = self.levels.last().zip(largest)?;
        let one = self.maps.knows_sigmas() && !self.options.fit_scale;
        let tells = level.share == 1.0 && one && quality::explains(&leg.problem, at);
        // Either may have stopped so far above its optimum.
        tells.then_some(value - 2.0 * level.tolerance)
    }

    /// Goes from `at` by way of all levels.
    fn descend(&mut self, legs: &mut [Leg], mut at: Vec<f64>) -> Result<Waypoint> {
        let (mut inverse, mut value, which) = (None, f64::INFINITY, &self.which);
        let mut likelihood = Likelihood::of(self.maps, self.options);
        let count = legs.len();
        for (i, leg) in legs.iter_mut().enumerate() {
            leg.problem.likelihood = likelihood;
            // A fitted scale is relative to the first ones.
            if i == 0 || !self.options.fit_scale {
                adapt_scales(&mut leg.problem, &at);
            }
            if i == 0 {
                // Gauss and Newton's curvature, which each level hands to the next with what it learned. (What the
                // minimiser learned on the way through the orders is no substitute: it takes many more evaluations.)
                let problem = &leg.problem;
                inverse = covariance::inverse_curvature(problem, &problem.likelihood, which, &at);
            }
            let next = self.levels.get(i + 1);
            let stage = Stage {
                which,
                near: Near::within(self.levels[i].tolerance),
                inverse: inverse.as_deref(),
                name: &format!("all parameters, level {} of {}", i + 1, count + 1),
                full: false,
            };
            let minimum = stage.descend(&mut leg.objective(), &mut at, self.report)?;
            self.evaluations.coarse += minimum.evaluations;
            value = minimum.value;
            // Work ahead: as many evaluations of the next level or, after a hard one, a quarter (found by trial) of its
            // evaluations beyond `EASY`, of the whole maps.
            let ahead = next.map_or(self.maps, |next| &next.maps).samples() * minimum.evaluations;
            let hard = self.maps.samples() * minimum.evaluations.saturating_sub(EASY) / 4;
            let ahead = ahead.max(hard);
            let fresh = fresh_curvature(&leg.problem, &self.levels[i], ahead, which, &at)?;
            // More samples have so much more curvature.
            let share = self.levels[i].share / next.map_or(1.0, |next| next.share);
            let curved = fresh.unwrap_or(minimum.inverse);
            inverse = Some(curved.iter().map(|v| v * share).collect());
            likelihood = leg.problem.likelihood.clone();
        }
        Ok(Waypoint { at, value, inverse, likelihood })
    }

    /// Goes to the optimum of the `whole` maps.
    fn settle(&mut self, whole: &mut Leg, from: Waypoint) -> Result<Optimum> {
        let Waypoint { mut at, mut inverse, likelihood, .. } = from;
        let which = &self.which;
        whole.problem.likelihood = likelihood;
        if self.levels.is_empty() || !self.options.fit_scale {
            adapt_scales(&mut whole.problem, &at);
        }
        if self.levels.is_empty() && self.options.fit_scale {
            // The scale is told far better than anything else.
            let problem = &whole.problem;
            inverse = covariance::inverse_curvature(problem, &problem.likelihood, which, &at);
        }
        let settled = if self.maps.samples() <= FEW { SETTLED_FEW } else { SETTLED };
        let near = Near::within(settled);
        let mut objective = whole.objective();
        // Where the first did not settle, another without its curvature, which may be at fault.
        let mut descend = |inverse: Option<&[f64]>, name| {
            let stage = Stage { which, near, inverse, name, full: true };
            let minimum = stage.descend(&mut objective, &mut at, self.report)?;
            self.evaluations.full += minimum.evaluations;
            Ok(minimum)
        };
        let mut minimum = descend(inverse.as_deref(), "all parameters")?;
        if !minimum.converged {
            minimum = descend(None, "all parameters again")?;
        }
        let function = objective.function;
        whole.keep(function);
        let problem = &whole.problem;
        let (misfits, models) = quality::misfits(problem, &at, problem.options.keep_models);
        let trust = quality::trust(problem, &misfits);
        let likelihood = problem.likelihood.clone();
        let mut found = Optimum { at, minimum, misfits, models, trust, likelihood };
        if trust == Trust::Full && found.is_weak(problem, which) {
            found.trust = Trust::Doubtful;
        }
        Ok(found)
    }

    /// Goes past the turns of an optimum with all samples, until none leads to a better one.
    fn past_turns(&mut self, whole: &mut Leg, mut best: Optimum) -> Result<Optimum> {
        let turns = turn::turns(&turn::modes(&whole.problem));
        if turns.is_empty() {
            return Ok(best);
        }
        let near = Near::within(0.5 * CLEARLY);
        let which = self.which.clone();
        whole.problem.likelihood = best.likelihood.clone();
        // With Gauss and Newton's curvature: what the minimiser learned depends on where it came from.
        let around = |problem: &Problem, best: &Optimum| {
            let inverse =
                covariance::inverse_curvature(problem, &best.likelihood, &which, &best.at);
            let inverse = inverse.or_else(|| Some(best.minimum.inverse.clone()));
            Around { at: best.at.clone(), which: which.clone(), inverse }
        };
        let mut from = around(&whole.problem, &best);
        // Round and round, until all have led nowhere since the last that did.
        let mut left = turns.len();
        for &turn in turns.iter().cycle().take(ROUNDS * turns.len()) {
            if left == 0 {
                break;
            }
            left -= 1;
            whole.problem.likelihood = best.likelihood.clone();
            let mut objective = whole.objective();
            let (at, minimum) = from.past(turn, near, true, &mut objective, self.report)?;
            let function = objective.function;
            whole.keep(function);
            self.evaluations.full += minimum.evaluations;
            if minimum.value < best.minimum.value - CLEARLY {
                let Minimum { value, inverse, .. } = minimum;
                let likelihood = best.likelihood.clone();
                let found =
                    self.settle(whole, Waypoint { at, value, inverse: Some(inverse), likelihood })?;
                if found.minimum.converged && found.gain(Some(&best)) > CLEARLY {
                    (best, left) = (found, turns.len());
                    from = around(&whole.problem, &best);
                }
            }
        }
        Ok(best)
    }
}

/// The inverse curvature of a level taken afresh, which is better than what the minimiser learned; `None` where it
/// is not worth its time. It costs half an evaluation of the level for each parameter, or less where fewer samples do,
/// and a recording; it spares a part of what is `ahead`, the evaluations of samples to come.
fn fresh_curvature(
    problem: &Problem,
    level: &Level,
    ahead: usize,
    which: &[usize],
    at: &[f64],
) -> Result<Option<Vec<f64>>> {
    if ahead / 3 <= which.len() * level.maps.samples() {
        return Ok(None);
    }
    let of =
        |problem: &Problem| covariance::inverse_curvature(problem, &problem.likelihood, which, at);
    // (A prior counts for less beside fewer of them, which does not matter here.)
    let Some(sparse) = level.sparse(problem.setup()) else {
        return Ok(of(problem));
    };
    let inverse = of(&problem.resampled(&sparse.maps, &sparse.options)?);
    let share = sparse.share / level.share;
    Ok(inverse.map(|inverse| inverse.iter().map(|v| v * share).collect()))
}

/// Where the noise is not known, the scales come from what the least-squares fit left: the noise of each map, as it is
/// beside the beam, and imperfections of the model, the same part of the peak for every map.
fn adapt_scales(problem: &mut Problem, at: &[f64]) {
    if !problem.adapts() {
        return;
    }
    // Maps without noise have no scale but that of the arithmetic, a sum over thousands of pixels.
    let least: f64 = match problem.options.precision {
        Precision::F64 => 1e-9,
        Precision::F32 => 1e-5,
    };
    let (maps, kind) = (&problem.maps.maps, problem.likelihood.kind);
    // Variances: of the noise, and of all that is left.
    let left = problem.predictions(at, |k, model| {
        let map = &maps[k];
        let residuals = map.power.iter().zip(&model).map(|(p, m)| p - m).filter(|r| !r.is_nan());
        let all = match kind {
            LikelihoodKind::Gaussian => {
                residuals.map(|r| r * r).sum::<f64>() / map.known().max(1) as f64
            }
            LikelihoodKind::Cauchy => residual::robust_sigma(residuals).unwrap_or(0.0).powi(2),
        };
        (all.min(residual::left_beside(map, &model).powi(2)), all)
    });
    let peaks: Vec<f64> = maps.iter().map(BeamMap::robust_peak).collect();
    let part =
        |((noise, all), peak): (&(f64, f64), &f64)| (all - CHANCE * noise).max(0.0) / peak.powi(2);
    let imperfect = left.iter().zip(&peaks).map(part).sum::<f64>() / maps.len() as f64;
    let sigmas = match kind {
        LikelihoodKind::Gaussian => 1.0,
        LikelihoodKind::Cauchy => CAUCHY_SIGMAS,
    };
    let scale = |((noise, _), peak): (&(f64, f64), &f64)| {
        sigmas * (noise + imperfect * peak.powi(2)).sqrt().max(least * peak)
    };
    problem.likelihood.scales = left.iter().zip(&peaks).map(scale).collect();
}

/// As many times the noise's variance may be what is left of a map of some thousand samples by chance.
const CHANCE: f64 = 1.1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fit::level::levels;
    use crate::fit::tests::simulated;

    /// To what a quarter of the samples' noise makes of the second derivatives of a robust likelihood.
    #[test]
    fn a_fresh_curvature_of_fewer_samples_is_that_of_all() {
        let (telescope, maps, _) = simulated(128);
        let options = FitOptions { order: 3, ..FitOptions::default() };
        let setup = Setup::new(&telescope, &maps, &options);
        let levels = levels(setup);
        let level = levels.last().unwrap();
        let mut problem = Problem::new(level.setup(setup)).unwrap();
        problem.likelihood = Likelihood::of(&maps, &options);
        let which = problem.free_up_to(3);
        let truth = |name: &str| maps.truth.iter().find(|p| p.0 == name).map(|p| p.1);
        let value = |i: usize| truth(&problem.parameters[i].name).unwrap_or(problem.start[i]);
        let at: Vec<f64> = (0..problem.start.len()).map(value).collect();
        assert!(fresh_curvature(&problem, level, 0, &which, &at).unwrap().is_none());
        let sparse = level.sparse(setup).expect("fewer samples");
        assert!(4 * sparse.maps.samples() <= level.maps.samples());
        let fresh = fresh_curvature(&problem, level, usize::MAX, &which, &at).unwrap().unwrap();
        let all = covariance::inverse_curvature(&problem, &problem.likelihood, &which, &at);
        let (all, n) = (all.unwrap(), which.len());
        for j in 0..n {
            let ratio = fresh[j * n + j] / all[j * n + j];
            let name = &problem.parameters[which[j]].name;
            assert!((ratio - 1.0).abs() < 0.2, "{name}: {ratio}");
        }
    }

    #[test]
    fn an_optimum_that_a_level_refuses_or_tells_to_be_no_better_does_not_go_on_to_the_whole_maps() {
        let (telescope, maps, _) = simulated(128);
        let options = FitOptions { order: 3, ..FitOptions::default() };
        let setup = Setup::new(&telescope, &maps, &options);
        let levels = levels(setup);
        let mut first = Problem::new(levels[0].setup(setup)).unwrap();
        first.likelihood = Likelihood::of(&maps, &options);
        let rough = Likelihood::rough(&maps);
        let mut legs: Vec<Leg> = course::first_leg(&first, &levels).into_iter().collect();
        legs.extend(course::other_legs(&first, &levels).unwrap());
        let mut report = |_: &super::super::stage::Progress| Ok(());
        let mut route = Route {
            levels: &levels,
            maps: &maps,
            options: &options,
            which: first.free_places(),
            evaluations: Evaluations::default(),
            report: &mut report,
        };
        // The beams lie elsewhere, and nothing there says where.
        let mut astray = first.start.clone();
        (0..maps.maps.len()).for_each(|k| astray[first.model.place_in_map(0, k)] = 1.0);
        let descended = route.descend(&mut legs, astray.clone()).unwrap();
        let last = levels.len() - 1;
        assert!(!quality::explains(&legs[last].problem, &descended.at));
        let approach = |route: &mut Route, legs: &mut [Leg], bar| {
            let mut exploration = Exploration::astray(&maps, &options, astray.clone());
            let near = route.approach(legs, &mut exploration, &first, &rough, bar).unwrap();
            (exploration.explains(), near)
        };
        let (explains, near) = approach(&mut route, &mut legs, None);
        let near = near.expect("a place");
        assert!(explains && quality::explains(&legs[last].problem, &near.at));
        // Neither does that optimum once more, which is not below its own bar; it does where the best lies higher.
        let bar = route.bar(legs.last(), &near.at, near.value).expect("a level that can tell");
        assert!(bar < near.value && bar > near.value - CLEARLY);
        assert!(approach(&mut route, &mut legs, Some(bar)).1.is_none());
        assert!(approach(&mut route, &mut legs, Some(near.value + 0.1)).1.is_some());
        // The level cannot tell beside one that it refuses, nor where the likelihood's scale is fitted or it is thinned.
        let bar = |route: &Route, at: &[f64]| route.bar(legs.last(), at, near.value);
        assert!(bar(&route, &near.at).is_some() && bar(&route, &descended.at).is_none());
        let fitted = FitOptions { fit_scale: true, ..options.clone() };
        route.options = &fitted;
        assert!(bar(&route, &near.at).is_none());
        (route.options, route.levels) = (&options, &levels[..1]);
        assert!(levels[0].share < 1.0 && bar(&route, &near.at).is_none());
    }
}
