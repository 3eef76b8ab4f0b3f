//! The way from nothing to the optimum: through the orders on few samples, then on more and more.

use super::covariance;
use super::level::Level;
use super::minimise::{Minimum, Settings, Start, minimise};
use super::options::{FitOptions, LikelihoodKind};
use super::problem::{Problem, first_scale};
use super::quality;
use super::result::Evaluations;
use crate::autodiff::Function;
use crate::error::Result;
use crate::optics::beam_map::{MapSet, Sigma};
use crate::optics::telescope::Telescope;
use crate::optics::zernike;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

/// How far a fit has come.
#[derive(Debug, Clone)]
pub struct Progress {
    /// `order 3 of 5`, `all parameters`.
    pub stage: String,
    /// Of this stage.
    pub evaluations: usize,
    pub negative_log_likelihood: f64,
    /// Whether the likelihood is that of the result: all samples, all parameters, its own kind.
    pub full: bool,
}

/// What a search ends with.
pub struct Found<'a> {
    pub problem: Problem<'a>,
    /// The free parameters.
    pub which: Vec<usize>,
    /// All parameters at the optimum.
    pub at: Vec<f64>,
    pub minimum: Minimum,
    /// The maps' models there.
    pub models: Vec<Vec<f64>>,
    /// Whether they can be trusted.
    pub trusted: bool,
    pub evaluations: Evaluations,
}

/// Least squares through the orders has a twentieth of each map's peak for its scale: strong enough to
/// pull, and far above the noise.
const ROUGH: f64 = 0.05;
/// How near an optimum, in log-likelihood, is near enough to start the next stage from.
const NEAR: f64 = 0.01;
/// How near, as a part of what is left, is near enough to let the next order in.
const ON_THE_WAY: f64 = 1e-2;
/// How near the last one is.
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
    progress: &mut dyn FnMut(&Progress) -> Result<()>,
) -> Result<Found<'a>> {
    let mut evaluations = Evaluations::default();
    // What noise leaves is known for certain in simulations only; elsewhere the model is as likely to be at
    // fault as the search.
    let starts = if maps.noise.is_some() { options.starts } else { options.starts.min(REAL) };
    let mut way = Way { starts: starts.max(1), ..Way::default() };
    let mut best: Option<Found> = None;
    loop {
        let mut problem = match levels.first() {
            Some(level) => Problem::new(telescope, wavelength, &level.maps, &level.options)?,
            None => Problem::new(telescope, wavelength, maps, options)?,
        };
        // The likelihood's scales are those of the whole maps at every level.
        problem.scales = maps.maps.iter().map(|m| first_scale(m, options)).collect();
        let mut count = |minimum: &Minimum| match levels.first() {
            Some(_) => evaluations.coarse += minimum.evaluations,
            None => evaluations.full += minimum.evaluations,
        };
        let rough: Vec<f64> = maps.maps.iter().map(|m| ROUGH * m.robust_peak()).collect();
        let better = explore(&problem, &rough, &mut way, &mut count, progress)?;
        match best {
            Some(mut found) if !better => {
                found.evaluations = evaluations;
                return Ok(found);
            }
            _ => {}
        }
        let at = way.best.as_ref().map_or_else(|| problem.start.clone(), |(_, at)| at.clone());
        let found = settle(problem, at, maps, options, levels, &mut evaluations, progress)?;
        let done = found.minimum.converged && found.trusted;
        let ahead = |other: &Found| other.minimum.value < found.minimum.value;
        if !best.as_ref().is_some_and(ahead) {
            best = Some(found);
        }
        if done || way.next >= way.starts {
            let mut found = best.expect("an optimum");
            found.evaluations = evaluations;
            return Ok(found);
        }
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
    progress: &mut dyn FnMut(&Progress) -> Result<()>,
) -> Result<Found<'a>> {
    let which = problem.free_up_to(options.order);
    adapt_scales(&mut problem, &at);
    // Gauss and Newton's curvature, which each level hands to the next with what it learned. (What the
    // minimiser learned on the way through the orders is no substitute: it takes many more evaluations.)
    let mut inverse = match levels {
        // The scale is told far better than anything else.
        [] if !options.fit_scale => None,
        _ => covariance::inverse_curvature(&problem, &which, &at),
    };
    for (i, level) in levels.iter().enumerate() {
        let stage = Stage {
            which: &which,
            tolerance: NEAR,
            inverse: inverse.as_deref(),
            name: &format!("all parameters, level {} of {}", i + 1, levels.len() + 1),
            full: false,
        };
        let mut likelihood =
            Likelihood::new(&problem, &which, &at, options.likelihood, &problem.scales);
        let minimum = stage.descend(&mut likelihood, &mut at, progress)?;
        evaluations.coarse += minimum.evaluations;
        // More samples have so much more curvature.
        let next = levels.get(i + 1);
        let share = level.share / next.map_or(1.0, |next| next.share);
        inverse = Some(minimum.inverse.iter().map(|v| v * share).collect());
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
    let mut likelihood =
        Likelihood::new(&problem, &which, &at, options.likelihood, &problem.scales);
    let mut descend = |inverse: Option<&[f64]>, name| {
        let stage = Stage { which: &which, tolerance: SETTLED, inverse, name, full: true };
        let minimum = stage.descend(&mut likelihood, &mut at, progress)?;
        evaluations.full += minimum.evaluations;
        Ok(minimum)
    };
    let mut minimum = descend(inverse.as_deref(), "all parameters")?;
    if !minimum.converged {
        minimum = descend(None, "all parameters again")?;
    }
    drop(likelihood);
    let models = problem.model_maps(&at);
    let trusted = quality::trusts(&problem, &models);
    Ok(Found { problem, which, at, minimum, models, trusted, evaluations: *evaluations })
}

/// The rms of what a start after the first adds to each coefficient of orders 2 and 3, radians; they take
/// turns, as what helps one surface does not help another.
const NUDGES: [f64; 3] = [0.4, 0.7, 1.2];

/// The most starts for maps that are not a simulation's.
const REAL: u64 = 20;

/// How far an exploration has come.
#[derive(Default)]
struct Way {
    /// The next start's number, and how many there may be.
    next: u64,
    starts: u64,
    /// The least value reached, and the parameters there.
    best: Option<(f64, Vec<f64>)>,
}

/// Goes through the orders, each from the last and by least squares: strong aberrations have local
/// minima, and a robust likelihood is blind far from the optimum. Where the way from the given start does
/// not end at an optimum that explains the maps, it is gone again from others, until one does, or until
/// the best is reached twice. When an exploration goes on, because the best was not good enough, it ends
/// with a clearly better one. Returns whether the best is a new one.
fn explore(
    problem: &Problem,
    rough: &[f64],
    way: &mut Way,
    count: &mut dyn FnMut(&Minimum),
    progress: &mut dyn FnMut(&Progress) -> Result<()>,
) -> Result<bool> {
    let order = problem.options.order;
    let all = free_up_to(problem, order);
    // One function serves all orders: those that are not in yet stand still.
    let mut likelihood =
        Likelihood::new(problem, &all, &problem.start, LikelihoodKind::Gaussian, rough);
    if problem.options.near
        && way.best.is_none()
        && let Some(found) = refit(problem, &mut likelihood, count, progress)?
    {
        way.best = Some(found);
        return Ok(true);
    }
    // Both stopped within a small part of the way to the same optimum.
    let alike = |value: f64, least: f64| (value - least).abs() < 10.0 * NEAR + 1e-3 * least.abs();
    // What was found before and is not good enough.
    let known = way.best.as_ref().map(|(least, _)| *least);
    while way.next < way.starts {
        let start = way.next;
        way.next += 1;
        let mut at = nudged(problem, start);
        let value = descend_orders(&mut likelihood, start, &mut at, count, progress)?;
        let again = way.best.as_ref().is_some_and(|(least, _)| alike(value, *least));
        let mut explained = false;
        if way.best.as_ref().is_none_or(|(least, _)| value < *least) {
            explained = quality::explains(problem, &at) == Some(true);
            way.best = Some((value, at));
        }
        match known {
            None if again || explained => return Ok(true),
            Some(least) if value < least && !alike(value, least) => return Ok(true),
            _ => {}
        }
    }
    Ok(known.is_none())
}

/// The free parameters but the likelihood's scale, which least squares at a scale of their own do not tell.
fn free_up_to(problem: &Problem, order: u32) -> Vec<usize> {
    let mut free = problem.free_up_to(order);
    free.retain(|&i| Some(i) != problem.of_scale());
    free
}

/// Minimises from `at` with one order after the other; returns the last one's value.
fn descend_orders(
    likelihood: &mut Likelihood,
    start: u64,
    at: &mut [f64],
    count: &mut dyn FnMut(&Minimum),
    progress: &mut dyn FnMut(&Progress) -> Result<()>,
) -> Result<f64> {
    let problem = likelihood.problem;
    let order = problem.options.order;
    let mut value = 0.0;
    let mut known: Option<(Vec<usize>, Vec<f64>)> = None;
    for upto in 1..=order {
        let which = free_up_to(problem, upto);
        let inverse = known.map(|(from, inverse)| widened(&inverse, &from, &which));
        let stage = Stage {
            which: &which,
            // On the way to the next order nobody needs the optimum of this one.
            tolerance: if upto < order { f64::max(NEAR, ON_THE_WAY * value) } else { NEAR },
            inverse: inverse.as_deref(),
            name: &match start {
                0 => format!("order {upto} of {order}"),
                _ => format!("order {upto} of {order}, start {}", start + 1),
            },
            full: false,
        };
        let minimum = stage.descend(likelihood, at, progress)?;
        count(&minimum);
        value = minimum.value;
        known = Some((which, minimum.inverse));
    }
    Ok(value)
}

/// From the optimum of an earlier fit: what it did not know first, which is what new maps have for
/// themselves, then everything if that does not explain the maps. `None` where neither does.
fn refit(
    problem: &Problem,
    likelihood: &mut Likelihood,
    count: &mut dyn FnMut(&Minimum),
    progress: &mut dyn FnMut(&Progress) -> Result<()>,
) -> Result<Option<(f64, Vec<f64>)>> {
    let given = &problem.options.edits.start;
    let is_new = |&i: &usize| {
        let own = problem.model.map_of(i);
        own.is_some() && !given.iter().any(|start| start.0 == problem.parameters[i].name)
    };
    let all = likelihood.parameters.clone();
    let new: Vec<usize> = all.iter().copied().filter(is_new).collect();
    let (mut at, mut value) = (problem.start.clone(), f64::INFINITY);
    for (which, name) in [(new, "new maps"), (all, "all orders at once")] {
        let stage = Stage { which: &which, tolerance: NEAR, inverse: None, name, full: false };
        if !which.is_empty() {
            let minimum = stage.descend(likelihood, &mut at, progress)?;
            count(&minimum);
            value = minimum.value;
        }
        if quality::trusts(problem, &problem.model_maps(&at)) {
            return Ok(Some((value, at)));
        }
    }
    Ok(None)
}

/// The inverse Hessian of more parameters: those that are new are taken to be as uncertain as the others
/// typically are.
fn widened(inverse: &[f64], from: &[usize], to: &[usize]) -> Vec<f64> {
    let mut variances: Vec<f64> = (0..from.len()).map(|i| inverse[i * from.len() + i]).collect();
    variances.sort_unstable_by(f64::total_cmp);
    let typical = variances.get(variances.len() / 2).copied().unwrap_or(1.0);
    let mut wide = vec![0.0; to.len() * to.len()];
    let places: Vec<Option<usize>> =
        to.iter().map(|i| from.iter().position(|known| known == i)).collect();
    for (a, row) in wide.chunks_exact_mut(to.len().max(1)).enumerate() {
        for (b, value) in row.iter_mut().enumerate() {
            *value = match (places[a], places[b]) {
                (Some(a), Some(b)) => inverse[a * from.len() + b],
                _ if a == b => typical,
                _ => 0.0,
            };
        }
    }
    wide
}

/// The start values; for every start after the first with some more aberration.
fn nudged(problem: &Problem, start: u64) -> Vec<f64> {
    let mut at = problem.start.clone();
    if start > 0 {
        let mut random = ChaCha8Rng::seed_from_u64(start);
        let size = NUDGES[start as usize % NUDGES.len()];
        let last = zernike::count(3.min(problem.options.order));
        for (j, value) in at.iter_mut().enumerate().take(last).skip(zernike::count(1)) {
            let nudge: f64 = random.sample(StandardNormal);
            if problem.free[j] {
                let (low, high) = problem.bounds[j];
                *value = (*value + size * nudge).clamp(low, high);
            }
        }
    }
    at
}

/// The negative log-likelihood of some parameters, in units of their lengths from an origin.
struct Likelihood<'p> {
    problem: &'p Problem<'p>,
    parameters: Vec<usize>,
    origin: Vec<f64>,
    function: Function,
}

impl<'p> Likelihood<'p> {
    fn new(
        problem: &'p Problem,
        parameters: &[usize],
        origin: &[f64],
        kind: LikelihoodKind,
        scales: &[f64],
    ) -> Self {
        Likelihood {
            problem,
            parameters: parameters.to_vec(),
            origin: origin.to_vec(),
            function: problem.function(parameters, origin, kind, scales),
        }
    }
}

/// One minimisation.
struct Stage<'s> {
    /// Some or all of the likelihood's parameters; the others stay where they are.
    which: &'s [usize],
    tolerance: f64,
    /// The inverse Hessian to start with, in the parameters' lengths, where it is known.
    inverse: Option<&'s [f64]>,
    name: &'s str,
    full: bool,
}

impl Stage<'_> {
    /// Minimises from, and to, `at`.
    fn descend(
        &self,
        likelihood: &mut Likelihood,
        at: &mut [f64],
        progress: &mut dyn FnMut(&Progress) -> Result<()>,
    ) -> Result<Minimum> {
        let Likelihood { problem, parameters, origin, function } = likelihood;
        let scaled = |i: usize, value: f64| (value - origin[i]) / problem.lengths[i];
        let bounds = self.which.iter().map(|&i| {
            let (low, high) = problem.bounds[i];
            (scaled(i, low), scaled(i, high))
        });
        let settings =
            Settings { tolerance: self.tolerance, evaluations: 1500, bounds: bounds.collect() };
        let start: Vec<f64> = self.which.iter().map(|&i| scaled(i, at[i])).collect();
        // Where the parameters of this stage stand among those of the likelihood.
        let places = self.which.iter().map(|i| parameters.iter().position(|p| p == i));
        let places: Vec<usize> =
            places.map(|place| place.expect("a parameter of the likelihood")).collect();
        let mut all: Vec<f64> = parameters.iter().map(|&i| scaled(i, at[i])).collect();
        let mut gradient = vec![0.0; all.len()];
        let ones = vec![1.0; self.which.len()];
        let minimum = minimise(
            |x, g| {
                places.iter().zip(x).for_each(|(&place, &x)| all[place] = x);
                let value = function.value_and_gradient_into(&all, &mut gradient);
                places.iter().zip(g).for_each(|(&place, g)| *g = gradient[place]);
                value
            },
            &start,
            self.inverse.map_or(Start::Lengths(&ones), Start::Inverse),
            &settings,
            |evaluations, value| {
                progress(&Progress {
                    stage: self.name.to_string(),
                    evaluations,
                    negative_log_likelihood: value,
                    full: self.full,
                })
            },
        )?;
        for (&i, x) in self.which.iter().zip(&minimum.x) {
            at[i] = origin[i] + problem.lengths[i] * x;
        }
        Ok(minimum)
    }
}

/// Where the noise is not known, the scale comes from what the least-squares fit left: the same
/// fraction of the peak for every map.
fn adapt_scales(problem: &mut Problem, at: &[f64]) {
    let unknown = problem.maps.maps.iter().any(|m| matches!(m.sigma, Sigma::Unknown));
    if problem.options.scale.is_some() || !unknown {
        return;
    }
    let models = problem.model_maps(at);
    let mut residuals: Vec<f64> = Vec::new();
    for (map, model) in problem.maps.maps.iter().zip(&models) {
        let peak = map.robust_peak();
        let pairs = map.power.iter().zip(model).filter(|(p, _)| !p.is_nan());
        residuals.extend(pairs.map(|(p, m)| (p - m).abs() / peak));
    }
    let fraction = match problem.options.likelihood {
        LikelihoodKind::Gaussian => {
            (residuals.iter().map(|r| r * r).sum::<f64>() / residuals.len().max(1) as f64).sqrt()
        }
        LikelihoodKind::Cauchy => {
            // As for known noise.
            4.0 * quality::robust_sigma(residuals.into_iter()).unwrap_or(0.0)
        }
    };
    let fraction = fraction.max(1e-9);
    for (scale, map) in problem.scales.iter_mut().zip(&problem.maps.maps) {
        *scale = fraction * map.robust_peak();
    }
}
