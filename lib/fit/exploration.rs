//! The way to the optimum's neighbourhood: through the orders on few samples, from one start or several.
//!
//! Each order starts from near the optimum of the last, by least squares: strong aberrations have local minima,
//! and a robust likelihood is blind far from the optimum. Where the way from the given start does not end at
//! an optimum that explains the maps, it is gone again from others, until one does, or until the best is
//! reached twice.

use super::covariance;
use super::likelihood::Likelihood;
use super::options::FitOptions;
use super::problem::Problem;
use super::quality::{self, Trust};
use super::stage::{Objective, Progress, Report, Stage};
use crate::device::{Backend, Precision};
use crate::error::{Error, Result};
use crate::optics::beam_map::{MapSet, Sigma};
use crate::optics::zernike;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use rayon::prelude::*;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// How near an optimum, in log-likelihood, is near enough to start the next stage from.
const STAGE_TOLERANCE: f64 = 0.01;
/// How near, as a part of what is left, is near enough to let the next orders in, in a hurry and otherwise.
const QUICKLY: f64 = 0.3;
const CAREFULLY: f64 = 0.01;
/// How near, as a part of what is left, is near enough to see whether the noise is all that is left.
const IN_SIGHT: f64 = 1e-3;

/// The rms of what a start after the first adds to each coefficient of orders 2 and 3, radians; they take
/// turns, as what helps one surface does not help another.
const NUDGES: [f64; 3] = [0.4, 0.7, 1.2];

/// The most starts for maps whose noise is not known for certain, as it is of simulations and by `--noise`: what a fit
/// leaves of them is as likely the model's fault as the search's.
const REAL: u64 = 20;

/// As many starts more are given to an optimum that may well be the best.
const FEW_MORE: u64 = 10;

/// The first starts go the way that the curvature knows, in single precision. Where that is a wrong one, others feel
/// theirs step by step, which takes some times as long and ends elsewhere.
const QUICK: u64 = 4;

/// Ways of more samples than this are gone one at a time: each has work for all threads.
const LARGE: usize = 50_000;

/// No start.
const NONE: u64 = u64::MAX;

/// Where a way ended.
struct End {
    /// Of the rough likelihood.
    value: f64,
    /// All parameters.
    at: Vec<f64>,
    evaluations: usize,
    /// Whether the noise is known and no more than that is left.
    explains: bool,
}

/// How far an exploration has come.
pub struct Exploration {
    /// The next start's number, how many there may be, and which is the first that is not to be gone from.
    next: u64,
    starts: u64,
    end: u64,
    /// The least value reached, and the parameters there.
    best: Option<End>,
    /// Of the ways that counted.
    pub evaluations: usize,
}

impl Exploration {
    /// The beginning of one.
    pub fn new(maps: &MapSet, options: &FitOptions) -> Self {
        let starts = if maps.noise.is_some() { options.starts } else { options.starts.min(REAL) };
        let starts = starts.max(1);
        Exploration { next: 0, starts, end: starts, best: None, evaluations: 0 }
    }

    /// One that has found `at`, which nobody should be content with.
    #[cfg(test)]
    pub fn astray(maps: &MapSet, options: &FitOptions, at: Vec<f64>) -> Self {
        let end = End { value: f64::MAX, at, evaluations: 0, explains: false };
        Exploration { best: Some(end), ..Exploration::new(maps, options) }
    }

    /// The best place so far; where the problem starts if there is none.
    pub fn place(&self, problem: &Problem) -> Vec<f64> {
        self.best.as_ref().map_or(&problem.start, |best| &best.at).clone()
    }

    /// Whether the best place explains the first level's maps, as far as that is known.
    pub fn explains(&self) -> bool {
        self.best.as_ref().is_some_and(|best| best.explains)
    }

    /// Leaves no more than a few starts where the best optimum so far is good enough unless there is a better one,
    /// else all.
    pub fn end_soon(&mut self, good_enough: bool) {
        let few = if good_enough { self.next + FEW_MORE } else { self.starts };
        self.end = self.starts.min(few);
    }

    /// Whether there are starts left.
    pub fn goes_on(&self) -> bool {
        self.next < self.end
    }

    /// Goes from one start after the other until there is an optimum to go on from. When it is called again,
    /// because that was not good enough, it ends with a clearly better one. Returns whether there is one.
    ///
    /// # Errors
    /// What `report` returns.
    pub fn run(
        &mut self,
        problem: &Problem,
        rough: &Likelihood,
        report: &mut Report,
    ) -> Result<bool> {
        if problem.options.from_earlier_fit && self.best.is_none() {
            let (end, trusted) = refit(problem, rough, report)?;
            self.evaluations += end.evaluations;
            if trusted {
                self.best = Some(end);
                return Ok(true);
            }
        }
        // What was found before and is not good enough.
        let refused = self.best.as_ref().map(|best| best.value);
        while self.goes_on() {
            let last = self.end.min(self.next + self.at_once(problem));
            let starts: Vec<u64> = (self.next..last).collect();
            let shared = Mutex::new(&mut *report);
            // The first start whose end is good enough: those after it need not go on.
            let enough = AtomicU64::new(NONE);
            let tally = Tally { exploration: self, refused, enough: &enough, early: Vec::new() };
            let tally = Mutex::new(tally);
            let way = |&start: &u64| {
                let mut report = |progress: &Progress| match start <= enough.load(Ordering::Relaxed)
                {
                    true => (shared.lock().expect("no report panics"))(progress),
                    false => Err(Error::failed("another way has ended well")),
                };
                let end = go(problem, rough, start, &mut report)?;
                tally.lock().expect("no tally panics").count(start, end);
                Ok(())
            };
            let ways: Vec<Result<()>> = starts.par_iter().map(way).collect();
            if enough.into_inner() != NONE {
                // What stopped the others is of no interest.
                return Ok(true);
            }
            ways.into_iter().collect::<Result<()>>()?;
        }
        Ok(refused.is_none())
    }

    /// How many ways to go at the same time. The first one's end may do, but it hardly ever explains maps
    /// whose noise is not known: a second must agree with it then.
    fn at_once(&self, problem: &Problem) -> u64 {
        let threads = rayon::current_num_threads() as u64;
        match (self.next, problem.maps.noise) {
            _ if problem.maps.samples() > LARGE || problem.options.backend != Backend::Cpu => 1,
            (0, Some(_)) => 1,
            (0, None) => threads.min(2),
            _ => threads,
        }
    }
}

/// Counts the ends of ways that are gone at the same time in the order of their starts, as if each had been gone
/// when the one before it was known not to do.
struct Tally<'e> {
    exploration: &'e mut Exploration,
    /// The value that was found before and is not good enough.
    refused: Option<f64>,
    /// The first start whose end is good enough, or [`NONE`].
    enough: &'e AtomicU64,
    /// Ends that came before that of an earlier start.
    early: Vec<(u64, End)>,
}

impl Tally<'_> {
    /// Counts an end when all before it are counted, and those that wait for it, up to the first that is
    /// good enough.
    fn count(&mut self, start: u64, end: End) {
        let Tally { exploration, refused, enough, early } = self;
        early.push((start, end));
        while enough.load(Ordering::Relaxed) == NONE
            && let Some(i) = early.iter().position(|end| end.0 == exploration.next)
        {
            let (start, end) = early.swap_remove(i);
            exploration.next += 1;
            exploration.evaluations += end.evaluations;
            let explains = end.explains;
            let (value, least) = (end.value, exploration.best.as_ref().map(|best| best.value));
            let better = least.is_none_or(|least| value < least);
            if better {
                exploration.best = Some(end);
            }
            if is_enough(value, least, *refused, better && explains) {
                enough.store(start, Ordering::Relaxed);
            }
        }
    }
}

/// Whether to go on from a way that ended at `value`, where the `least` of those before is the best: the
/// first time if it explains the maps or agrees with the best, later if it is clearly better than what was
/// `refused`.
fn is_enough(value: f64, least: Option<f64>, refused: Option<f64>, explains: bool) -> bool {
    // Both stopped within a small part of the way to the same optimum, or, where they were judged before their ends,
    // a few times farther from it.
    let alike =
        |other: f64, part: f64| (value - other).abs() < 10.0 * STAGE_TOLERANCE + part * other.abs();
    match refused {
        None => explains || least.is_some_and(|least| alike(least, 1e-3)),
        Some(refused) => value < refused && !alike(refused, 3.0 * IN_SIGHT),
    }
}

/// Minimises with one order after the other.
fn go(problem: &Problem, rough: &Likelihood, start: u64, report: &mut Report) -> Result<End> {
    let order = problem.options.order;
    let mut at = nudged(problem, start);
    // One function serves all orders: those that are not in yet stand still.
    let all = free_up_to(problem, order);
    let mut objective = Objective::new(problem, rough, all);
    let quick = start < QUICK;
    if quick {
        objective = objective.precision(Precision::F32);
    }
    let (mut value, mut evaluations) = (0.0, 0);
    let mut known: Option<(Vec<usize>, Vec<f64>)> = None;
    // The orders, and which part of what is left is near enough: on the way to the next orders nobody needs the optimum
    // of these. The last goes to its end, unless the noise is known: then it can be judged before that whether the
    // way has arrived, and the levels go on from there.
    let judged = problem.maps.maps.iter().all(|map| !matches!(map.sigma, Sigma::Unknown));
    // Where the noise is not known for certain, a wrong end may not be seen.
    let hurries = quick && problem.maps.noise.is_some();
    let (at_once, part) = if hurries { (2, QUICKLY) } else { (1, CAREFULLY) };
    let below = (at_once..order).filter(|upto| (order - upto).is_multiple_of(at_once));
    let mut stages: Vec<(u32, f64)> = below.map(|upto| (upto, part)).collect();
    stages.extend(judged.then_some((order, IN_SIGHT)));
    stages.push((order, 0.0));
    let mut explains = false;
    for (upto, part) in stages {
        let which = free_up_to(problem, upto);
        let inverse = match known {
            None if quick => covariance::inverse_curvature(problem, rough, &which, &at),
            None => None,
            Some((from, inverse)) => Some(widened(&inverse, &from, &which)),
        };
        let stage = Stage {
            which: &which,
            tolerance: STAGE_TOLERANCE,
            part,
            inverse: inverse.as_deref(),
            name: &match start {
                0 => format!("order {upto} of {order}"),
                _ => format!("order {upto} of {order}, start {}", start + 1),
            },
            full: false,
        };
        let minimum = stage.descend(&mut objective, &mut at, report)?;
        evaluations += minimum.evaluations;
        value = minimum.value;
        known = Some((which, minimum.inverse));
        explains = judged && upto == order && quality::explains(problem, &at);
        if explains {
            break;
        }
    }
    Ok(End { value, at, evaluations, explains })
}

/// From the optimum of an earlier fit: what it did not know first, which is what new maps have for
/// themselves, then everything if that does not explain the maps. With whether the end can be trusted.
fn refit(problem: &Problem, rough: &Likelihood, report: &mut Report) -> Result<(End, bool)> {
    let given = &problem.options.edits.start;
    let is_new = |&i: &usize| {
        let own = problem.model.owner(i);
        own.is_some() && !given.iter().any(|start| start.0 == problem.parameters[i].name)
    };
    let all = free_up_to(problem, problem.options.order);
    let mut objective = Objective::new(problem, rough, all.clone());
    let new: Vec<usize> = all.iter().copied().filter(is_new).collect();
    let (value, at) = (f64::INFINITY, problem.start.clone());
    let mut end = End { value, at, evaluations: 0, explains: false };
    let tolerance = STAGE_TOLERANCE;
    for (which, name) in [(new, "new maps"), (all, "all orders at once")] {
        if !which.is_empty() {
            let inverse = covariance::inverse_curvature(problem, rough, &which, &end.at);
            let inverse = inverse.as_deref();
            let stage = Stage { which: &which, tolerance, part: 0.0, inverse, name, full: false };
            let minimum = stage.descend(&mut objective, &mut end.at, report)?;
            end.evaluations += minimum.evaluations;
            end.value = minimum.value;
        } else {
            end.value = problem.function_of(rough, &[], &end.at).value(&[]);
        }
        if quality::trust(problem, &quality::misfits(problem, &end.at, false).0) > Trust::None {
            return Ok((end, true));
        }
    }
    Ok((end, false))
}

/// The free parameters but the likelihood's scale, which least squares at a scale of their own do not tell.
fn free_up_to(problem: &Problem, order: u32) -> Vec<usize> {
    let mut free = problem.free_up_to(order);
    free.retain(|&i| Some(i) != problem.scale_place());
    free
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fit::setup::Setup;
    use crate::fit::tests::simulated;

    #[test]
    fn a_way_ends_sooner_where_the_noise_tells_that_it_has_arrived() {
        let (telescope, mut maps, grid) = simulated(64);
        let options = FitOptions { order: 3, aperture: Some(grid), ..FitOptions::default() };
        let rough = Likelihood::rough(&maps);
        let mut ends = Vec::new();
        for known in [true, false] {
            if !known {
                maps.maps.iter_mut().for_each(|map| map.sigma = Sigma::Unknown);
            }
            let problem = Problem::new(Setup::new(&telescope, &maps, &options)).unwrap();
            let end = go(&problem, &rough, 0, &mut |_| Ok(())).unwrap();
            assert_eq!(end.explains, known);
            ends.push(end);
        }
        let [judged, optimum] = &ends[..] else { unreachable!("two ways") };
        assert!(judged.evaluations < optimum.evaluations);
        // Not an optimum, but in sight of one.
        assert!(judged.value > optimum.value);
        assert!(judged.value < (1.0 + 10.0 * IN_SIGHT) * optimum.value);
    }

    #[test]
    fn an_optimum_that_may_do_leaves_a_few_starts_and_one_that_does_not_leaves_all() {
        let (_, maps, _) = simulated(32);
        let options = FitOptions::default();
        let mut exploration = Exploration { next: 3, ..Exploration::new(&maps, &options) };
        let all = exploration.end;
        exploration.end_soon(true);
        assert_eq!((exploration.end, all > 3 + FEW_MORE), (3 + FEW_MORE, true));
        exploration.end_soon(false);
        assert_eq!(exploration.end, all);
        exploration.next = all - 1;
        exploration.end_soon(true);
        assert_eq!(exploration.end, all);
    }

    #[test]
    fn an_exploration_ends_with_what_explains_the_maps_or_is_reached_twice() {
        assert!(!is_enough(500.0, None, None, false));
        assert!(is_enough(500.0, None, None, true));
        // To a thousandth; a better one and a worse one are no second of the best.
        assert!(is_enough(500.4, Some(500.0), None, false));
        assert!(!is_enough(400.0, Some(500.0), None, false));
        assert!(!is_enough(600.0, Some(500.0), None, false));
        // Once refused, an optimum is not taken again, whether it explains the maps or not; a better one is.
        assert!(!is_enough(500.1, Some(500.0), Some(500.0), true));
        assert!(!is_enough(600.0, Some(500.0), Some(500.0), false));
        assert!(is_enough(400.0, Some(500.0), Some(500.0), false));
    }
}
