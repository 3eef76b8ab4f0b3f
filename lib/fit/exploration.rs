//! The ways to the optimum's neighbourhood, on few samples. Where that from the given start does not end at an optimum
//! that explains the maps, others are gone, past the turns of the best place and from other starts, until one does, or until
//! the best is reached twice.

use super::covariance;
use super::likelihood::Likelihood;
use super::minimise::{Minimum, Near};
use super::options::FitOptions;
use super::problem::Problem;
use super::quality;
use super::stage::{Progress, Report};
use super::turn::{self, Around};
use super::way::{self, End, Functions, IN_SIGHT, STAGE_TOLERANCE};
use crate::device::{Backend, Precision};
use crate::error::{Error, Result};
use crate::optics::beam_map::MapSet;
use rayon::prelude::*;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// The most starts for maps whose noise is not known for certain, as it is of simulations and by `--noise`: what a fit
/// leaves of them is as likely the model's fault as the search's.
const REAL: u64 = 20;

/// As many starts more are given to an optimum that may well be the best. (Once its turns are gone past, ten find hardly more:
/// of 200 weak maps 2 were wrong with ten and 3 with four, of 360 whose noise was overstated none with either.)
const FEW_MORE: u64 = 4;

/// Ways of more samples than this are gone one at a time: each has work for all threads.
const LARGE: usize = 50_000;

/// A best optimum that was reached so often is what the maps have, whatever it leaves.
const OFTEN: u64 = 12;

/// No way.
const NONE: u64 = u64::MAX;

/// How far an exploration has come.
pub struct Exploration {
    /// The next start's number, how many there may be, and which is the first that is not to be gone from.
    next: u64,
    starts: u64,
    end: u64,
    /// The least value reached, and the parameters there.
    best: Option<End>,
    /// How often it was reached.
    reached: u64,
    /// The value of the best whose turns were gone past.
    turned: Option<f64>,
    /// Of the one problem and rough likelihood that it is run with.
    functions: Arc<Functions>,
    /// Of the ways that counted.
    pub evaluations: usize,
}

impl Exploration {
    /// The beginning of one.
    pub fn new(maps: &MapSet, options: &FitOptions) -> Self {
        let starts = if maps.noise.is_some() { options.starts } else { options.starts.min(REAL) };
        let starts = starts.max(1);
        Exploration {
            next: 0,
            starts,
            end: starts,
            best: None,
            reached: 0,
            turned: None,
            functions: Arc::default(),
            evaluations: 0,
        }
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

    /// Makes ready what the first way needs.
    pub fn prepare(&self, problem: &Problem, rough: &Likelihood) {
        let precision = match problem.options.from_earlier_fit {
            true => problem.options.precision,
            false => way::precision(problem, 0),
        };
        self.functions.prepare(problem, rough, precision);
    }

    /// Whether there are starts left.
    pub fn goes_on(&self) -> bool {
        self.next < self.end && self.reached < OFTEN
    }

    /// Goes from one start after the other until there is an optimum to go on from. When it is called again,
    /// because that was not good enough, it goes past the turns of the best first, and ends with a clearly better one.
    /// Returns whether there is one.
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
            let functions = &self.functions;
            let (end, trusted) = way::from_earlier_fit(problem, rough, functions, report)?;
            self.evaluations += end.evaluations;
            if trusted {
                self.best = Some(end);
                return Ok(true);
            }
        }
        // What was found before and is not good enough.
        let refused = self.best.as_ref().map(|best| best.value);
        if refused != self.turned && self.past_turns(problem, rough, report)? {
            return Ok(true);
        }
        let will_do = |end: &End, least: Option<f64>| {
            let better = least.is_none_or(|least| end.value < least);
            is_enough(end.value, least, refused, better && end.explains)
        };
        while self.goes_on() {
            let first = self.next;
            let count = (self.end - first).min(self.ways_together(problem));
            let ways = Ways { count, together: count, again: true, will_do: &will_do };
            let functions = self.functions.clone();
            let (ended, gone) = self.go(&ways, report, |i, report| {
                way::through_orders(problem, rough, &functions, first + i, report)
            })?;
            self.next += gone;
            if ended {
                return Ok(true);
            }
        }
        Ok(refused.is_none())
    }

    /// Goes past every turn of the best place; where that does not explain the maps, to the first that does. Returns
    /// whether there is a clearly better one.
    fn past_turns(
        &mut self,
        problem: &Problem,
        rough: &Likelihood,
        report: &mut Report,
    ) -> Result<bool> {
        let turns = turn::turns(&turn::modes(problem));
        let Some(best) = self.best.as_ref().filter(|_| !turns.is_empty()) else {
            return Ok(false);
        };
        let (refused, explained) = (best.value, best.explains);
        let (which, at) = (way::of_model_up_to(problem, problem.options.order), best.at.clone());
        let inverse = covariance::inverse_curvature(problem, rough, &which, &at);
        let around = Around { at, which, inverse };
        let will_do = |end: &End, least: Option<f64>| {
            !explained && end.explains && least.is_some_and(|least| end.value < least)
        };
        let count = turns.len() as u64;
        let ways = Ways { count, together: lanes(problem), again: false, will_do: &will_do };
        let judged = problem.maps.knows_sigmas();
        let relative = if judged { IN_SIGHT } else { 0.0 };
        let near = Near { absolute: STAGE_TOLERANCE, relative };
        let functions = self.functions.clone();
        let (ended, _) = self.go(&ways, report, |i, report| {
            let turn = turns[i as usize];
            let mut objective = functions.objective(problem, rough, Precision::F32);
            let (at, minimum) = around.past(turn, near, false, &mut objective, report)?;
            functions.leave(objective, Precision::F32);
            let Minimum { value, evaluations, .. } = minimum;
            Ok(End { value, evaluations, explains: judged && quality::explains(problem, &at), at })
        })?;
        let value = self.best.as_ref().map_or(refused, |best| best.value);
        let better = ended || is_better(value, refused);
        // One that is hardly better has the same turns.
        self.turned = Some(if better { refused } else { value });
        Ok(better)
    }

    /// Goes `ways`, some at the same time; returns whether one of them will do, and how many counted.
    fn go(
        &mut self,
        ways: &Ways,
        report: &mut Report,
        way: impl Fn(u64, &mut Report) -> Result<End> + Sync,
    ) -> Result<(bool, u64)> {
        let shared = Mutex::new(report);
        // The first way whose end is good enough: those after it need not go on.
        let enough = AtomicU64::new(NONE);
        let tally = Tally { exploration: self, ways, next: 0, enough: &enough, early: Vec::new() };
        let tally = Mutex::new(tally);
        let one = |i: u64| {
            let mut report = |progress: &Progress| match i <= enough.load(Ordering::Relaxed) {
                true => (shared.lock().expect("no report panics"))(progress),
                false => Err(Error::failed("another way has ended well")),
            };
            let end = way(i, &mut report)?;
            tally.lock().expect("no tally panics").count(i, end);
            Ok(())
        };
        let next = AtomicU64::new(0);
        let lane = |_| {
            loop {
                match next.fetch_add(1, Ordering::Relaxed) {
                    i if i < ways.count => one(i)?,
                    _ => return Ok(()),
                }
            }
        };
        let lanes = ways.together.min(ways.count);
        let gone: Vec<Result<()>> = (0..lanes).into_par_iter().map(lane).collect();
        let counted = tally.into_inner().expect("no tally panics").next;
        let ended = enough.into_inner() != NONE;
        // What stopped the others is of no interest then.
        if !ended {
            gone.into_iter().collect::<Result<()>>()?;
        }
        Ok((ended, counted))
    }

    /// How many ways to go at the same time. The first one's end may do, but it hardly ever explains maps
    /// whose noise is not known: a second must agree with it then.
    fn ways_together(&self, problem: &Problem) -> u64 {
        match (self.next, problem.maps.noise) {
            (0, Some(_)) => 1,
            (0, None) => lanes(problem).min(2),
            _ => lanes(problem),
        }
    }
}

/// How many ways can be gone at the same time.
fn lanes(problem: &Problem) -> u64 {
    match problem.maps.samples() > LARGE || problem.options.backend != Backend::Cpu {
        true => 1,
        false => rayon::current_num_threads() as u64,
    }
}

/// Ways to go.
struct Ways<'w> {
    count: u64,
    /// How many at the same time.
    together: u64,
    /// Whether an end at the best's value counts as reaching it again: not where ways began there.
    again: bool,
    /// Whether an end will do, beside the least value of those before it.
    will_do: &'w (dyn Fn(&End, Option<f64>) -> bool + Sync),
}

/// Counts the ends of ways that are gone at the same time in their order, as if each had been gone
/// when the one before it was known not to do.
struct Tally<'e, 'w> {
    exploration: &'e mut Exploration,
    ways: &'w Ways<'w>,
    /// The first way that is not counted yet.
    next: u64,
    /// The first way whose end is good enough, or [`NONE`].
    enough: &'e AtomicU64,
    /// Ends that came before that of an earlier way.
    early: Vec<(u64, End)>,
}

impl Tally<'_, '_> {
    /// Counts an end when all before it are counted, and those that wait for it, up to the first that is
    /// good enough.
    fn count(&mut self, way: u64, end: End) {
        let Tally { exploration, ways, next, enough, early } = self;
        early.push((way, end));
        while enough.load(Ordering::Relaxed) == NONE
            && exploration.reached < OFTEN
            && let Some(i) = early.iter().position(|end| end.0 == *next)
        {
            let (way, end) = early.swap_remove(i);
            *next += 1;
            exploration.evaluations += end.evaluations;
            let (value, least) = (end.value, exploration.best.as_ref().map(|best| best.value));
            if (ways.will_do)(&end, least) {
                enough.store(way, Ordering::Relaxed);
            }
            let better = least.is_none_or(|least| value < least);
            let again = least.is_some_and(|least| alike(value, least, 3.0 * IN_SIGHT));
            exploration.reached = match (again, better) {
                (true, _) => exploration.reached + u64::from(ways.again),
                (false, true) => 1,
                (false, false) => exploration.reached,
            };
            if better {
                exploration.best = Some(end);
            }
        }
    }
}

/// Whether to go on from a way that ended at `value`, where the `least` of those before is the best: the
/// first time if it explains the maps or agrees with the best, later if it is clearly better than what was
/// `refused`.
fn is_enough(value: f64, least: Option<f64>, refused: Option<f64>, explains: bool) -> bool {
    match refused {
        None => explains || least.is_some_and(|least| alike(value, least, 1e-3)),
        Some(refused) => is_better(value, refused),
    }
}

/// Whether an end is clearly better than what was refused.
fn is_better(value: f64, refused: f64) -> bool {
    value < refused && !alike(value, refused, 3.0 * IN_SIGHT)
}

/// Whether ways that ended at these values are at the same optimum: both stopped within a small `part` of the way to it,
/// or, where they were judged before their ends, a few times farther from it.
fn alike(value: f64, other: f64, part: f64) -> bool {
    (value - other).abs() < 10.0 * STAGE_TOLERANCE + part * other.abs()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fit::options::Nuisance;
    use crate::fit::setup::Setup;
    use crate::fit::stage::Objective;
    use crate::fit::tests::simulated;

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
    fn an_optimum_that_is_reached_again_and_again_is_what_the_maps_have() {
        let (_, maps, _) = simulated(32);
        let mut exploration = Exploration::new(&maps, &FitOptions::default());
        let end = |value| End { value, at: Vec::new(), evaluations: 1, explains: false };
        // Counts ends of ways; returns how many counted.
        let count = |exploration: &mut Exploration, again: bool, values: &[f64]| {
            let ways = Ways { count: 0, together: 1, again, will_do: &|_, _| false };
            let enough = AtomicU64::new(NONE);
            let mut tally =
                Tally { exploration, ways: &ways, next: 0, enough: &enough, early: Vec::new() };
            (0..).zip(values).for_each(|(way, &value)| tally.count(way, end(value)));
            tally.next
        };
        let values: Vec<f64> = [900.0, 500.0].into_iter().chain([500.3; 28]).collect();
        // One that was worse, and the best with those like it; what came after them at the same time does not count.
        assert_eq!(count(&mut exploration, true, &values), 1 + OFTEN);
        assert_eq!(exploration.evaluations as u64, 1 + OFTEN);
        assert!(!exploration.goes_on());
        // Those that have come from it are no reason to stop.
        exploration.reached = OFTEN - 1;
        assert_eq!(count(&mut exploration, false, &values), 30);
        assert!(exploration.goes_on());
        // A clearly better one begins anew.
        assert_eq!(count(&mut exploration, true, &[450.0]), 1);
        assert_eq!(exploration.reached, 1);
    }

    /// A wrong optimum a turn away from the truth explains nothing, and the way past that turn leads back.
    #[test]
    fn a_wrong_optimum_a_turn_away_is_left_past_the_turn() {
        let (telescope, maps, grid) = simulated(64);
        let options = FitOptions {
            order: 5,
            aperture: Some(grid),
            nuisance: Nuisance::NONE,
            ..FitOptions::default()
        };
        let problem = Problem::new(Setup::new(&telescope, &maps, &options)).unwrap();
        let rough = Likelihood::rough(&maps);
        let mut report = |_: &Progress| Ok(());
        let truth = |name: &str| maps.truth.iter().find(|p| p.0 == name).map(|p| p.1);
        let value = |i: usize| truth(&problem.parameters[i].name).unwrap_or(problem.start[i]);
        let at: Vec<f64> = (0..problem.start.len()).map(value).collect();
        assert!(quality::explains(&problem, &at));
        let which = way::of_model_up_to(&problem, 5);
        let around = Around { at, which: which.clone(), inverse: None };
        let mut objective = Objective::new(&problem, &rough, which);
        let astray = turn::turns(&turn::modes(&problem)).into_iter().find_map(|turn| {
            let near = Near::within(STAGE_TOLERANCE);
            let (at, _) = around.past(turn, near, false, &mut objective, &mut report).unwrap();
            (!quality::explains(&problem, &at)).then_some(at)
        });
        let mut exploration =
            Exploration::astray(&maps, &options, astray.expect("a wrong optimum"));
        assert!(exploration.run(&problem, &rough, &mut report).unwrap());
        assert!(exploration.explains());
        // No start was gone from.
        assert_eq!(exploration.next, 0);
        // At the right optimum a round finds nothing better, and is not gone again.
        let evaluations = exploration.evaluations;
        assert!(!exploration.past_turns(&problem, &rough, &mut report).unwrap());
        assert!(exploration.evaluations > evaluations);
        assert_eq!(exploration.turned, exploration.best.as_ref().map(|best| best.value));
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
