//! A way through the orders on few samples, from one start: each order starts from near the optimum of the last, by
//! least squares, as strong aberrations have local minima, and a robust likelihood is blind far from the optimum.

use super::covariance;
use super::likelihood::Likelihood;
use super::minimise::Near;
use super::predictions::{Kept, SAMPLES_KEPT};
use super::problem::Problem;
use super::quality::{self, Trust};
use super::stage::{Objective, Report, Stage};
use crate::device::Precision;
use crate::error::Result;
use crate::optics::zernike;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

/// How near an optimum, in log-likelihood, is near enough to start the next stage from.
pub const STAGE_TOLERANCE: f64 = 0.01;
/// How near, as a part of what is left, is near enough to let the next orders in, in a hurry and otherwise.
const QUICKLY: f64 = 0.3;
const CAREFULLY: f64 = 0.01;
/// How near, as a part of what is left, is near enough to see whether the noise is all that is left.
pub const IN_SIGHT: f64 = 1e-3;

/// The rms of what a start after the first adds to each coefficient of orders 2 and 3, radians; they take
/// turns, as what helps one surface does not help another.
const NUDGES: [f64; 3] = [0.4, 0.7, 1.2];

/// The first starts go the way that the curvature knows, in single precision. Where that is a wrong one, others feel
/// theirs step by step, which takes some times as long and ends elsewhere.
const QUICK: u64 = 4;

/// The rough likelihood of one problem and the parameters of all orders, recorded, in each precision as often as ways were gone
/// at the same time: recording it and planning its gradient take as long as some ten evaluations of few samples.
#[derive(Default)]
pub struct Functions(Kept<Precision>);

impl Functions {
    /// What to minimise on a way: as an earlier one left it, if one did.
    pub fn objective<'p>(
        &self,
        problem: &'p Problem<'p>,
        rough: &Likelihood,
        precision: Precision,
    ) -> Objective<'p> {
        let all = of_model_up_to(problem, problem.options.order);
        match self.0.take(&precision) {
            Some(function) => {
                debug_assert_eq!(function.parameters(), all.len(), "of another problem");
                Objective::with(problem, all, function)
            }
            None => Objective::new(problem, rough, all).precision(precision),
        }
    }

    /// Makes one ready that is not needed yet.
    pub fn prepare(&self, problem: &Problem, rough: &Likelihood, precision: Precision) {
        let mut objective = self.objective(problem, rough, precision);
        objective.function.prepare();
        self.leave(objective, precision);
    }

    /// Leaves it for the next way, unless it is one of many samples.
    pub fn leave(&self, objective: Objective, precision: Precision) {
        if objective.problem.maps.samples() <= SAMPLES_KEPT {
            self.0.put(precision, objective.function, |_, _| false);
        }
    }
}

/// Where a way ended.
pub struct End {
    /// Of the rough likelihood.
    pub value: f64,
    /// All parameters.
    pub at: Vec<f64>,
    pub evaluations: usize,
    /// Whether the noise is known and no more than that is left.
    pub explains: bool,
}

/// In which precision ways go from a `start`.
pub fn precision(problem: &Problem, start: u64) -> Precision {
    if start < QUICK { Precision::F32 } else { problem.options.precision }
}

/// Goes through the orders from a `start`, of which 0 is the given one and the others lie somewhere about it.
///
/// # Errors
/// What `report` returns.
pub fn through_orders(
    problem: &Problem,
    rough: &Likelihood,
    functions: &Functions,
    start: u64,
    report: &mut Report,
) -> Result<End> {
    let order = problem.options.order;
    let mut at = nudged(problem, start);
    let (quick, precision) = (start < QUICK, precision(problem, start));
    // One function serves all orders: those that are not in yet stand still.
    let mut objective = functions.objective(problem, rough, precision);
    let (mut value, mut evaluations) = (0.0, 0);
    let mut known: Option<(Vec<usize>, Vec<f64>)> = None;
    // The orders, and which part of what is left is near enough: on the way to the next orders nobody needs the optimum
    // of these. The last goes to its end, unless the noise is known: then it can be judged before that whether the
    // way has arrived, and the levels go on from there.
    let judged = problem.maps.knows_sigmas();
    // Where the noise is not known for certain, a wrong end may not be seen.
    let hurries = quick && problem.maps.noise.is_some();
    let (stride, part) = if hurries { (2, QUICKLY) } else { (1, CAREFULLY) };
    let below = (stride..order).filter(|upto| (order - upto).is_multiple_of(stride));
    let mut stages: Vec<(u32, f64)> = below.map(|upto| (upto, part)).collect();
    stages.extend(judged.then_some((order, IN_SIGHT)));
    stages.push((order, 0.0));
    let mut explains = false;
    for (upto, part) in stages {
        let which = of_model_up_to(problem, upto);
        let inverse = match known {
            None if quick => covariance::inverse_curvature(problem, rough, &which, &at),
            None => None,
            Some((from, inverse)) => Some(widened(&inverse, &from, &which)),
        };
        let stage = Stage {
            which: &which,
            near: Near { absolute: STAGE_TOLERANCE, relative: part },
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
    functions.leave(objective, precision);
    Ok(End { value, at, evaluations, explains })
}

/// From the optimum of an earlier fit: what it did not know first, which is what new maps have for
/// themselves, then everything if that does not explain the maps. With whether the end can be trusted.
///
/// # Errors
/// What `report` returns.
pub fn from_earlier_fit(
    problem: &Problem,
    rough: &Likelihood,
    functions: &Functions,
    report: &mut Report,
) -> Result<(End, bool)> {
    let given = &problem.options.edits.start;
    let is_new = |&i: &usize| {
        let own = problem.model.owner(i);
        own.is_some() && !given.iter().any(|start| start.0 == problem.parameters[i].name)
    };
    let all = of_model_up_to(problem, problem.options.order);
    let precision = problem.options.precision;
    let mut objective = functions.objective(problem, rough, precision);
    let new: Vec<usize> = all.iter().copied().filter(is_new).collect();
    let (value, at) = (f64::INFINITY, problem.start.clone());
    let mut end = End { value, at, evaluations: 0, explains: false };
    let (near, mut trusted) = (Near::within(STAGE_TOLERANCE), false);
    for (which, name) in [(new, "new maps"), (all, "all orders at once")] {
        if !which.is_empty() {
            let inverse = covariance::inverse_curvature(problem, rough, &which, &end.at);
            let inverse = inverse.as_deref();
            let stage = Stage { which: &which, near, inverse, name, full: false };
            let minimum = stage.descend(&mut objective, &mut end.at, report)?;
            end.evaluations += minimum.evaluations;
            end.value = minimum.value;
        } else {
            end.value = problem.function_of(rough, &[], &end.at).value(&[]);
        }
        trusted =
            quality::trust(problem, &quality::misfits(problem, &end.at, false).0) > Trust::None;
        if trusted {
            break;
        }
    }
    functions.leave(objective, precision);
    Ok((end, trusted))
}

/// The free parameters but the likelihood's scale, which least squares at a scale of their own do not tell.
pub fn of_model_up_to(problem: &Problem, order: u32) -> Vec<usize> {
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
    use crate::fit::options::FitOptions;
    use crate::fit::setup::Setup;
    use crate::fit::tests::simulated;
    use crate::optics::beam_map::Sigma;

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
            let functions = Functions::default();
            let end = through_orders(&problem, &rough, &functions, 0, &mut |_| Ok(())).unwrap();
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
    fn a_way_with_what_another_left_is_the_same_way() {
        let (telescope, maps, grid) = simulated(48);
        let options = FitOptions { order: 3, aperture: Some(grid), ..FitOptions::default() };
        let rough = Likelihood::rough(&maps);
        let problem = Problem::new(Setup::new(&telescope, &maps, &options)).unwrap();
        let go = |functions: &Functions, start: u64| {
            through_orders(&problem, &rough, functions, start, &mut |_| Ok(())).unwrap()
        };
        let functions = Functions::default();
        // A quick one, a careful one in the other precision, and both again.
        for (start, left) in [(0, 1), (QUICK, 2), (0, 2), (QUICK, 2)] {
            let (end, fresh) = (go(&functions, start), go(&Functions::default(), start));
            assert_eq!((end.value, end.evaluations), (fresh.value, fresh.evaluations));
            assert_eq!(end.at, fresh.at);
            assert_eq!(functions.0.0.lock().unwrap().len(), left);
        }
    }
}
