//! Draws from a density that is known but for its norm, by its gradient: the no-U-turn sampler (Hoffman and
//! Gelman 2014) of the crate nuts-rs.
//!
//! The sampler sees whitened variables `u`, with `x = centre + root u`, where `root root'` is about the
//! covariance of the density: so it has no scales to learn, and warms up in a few draws. **Bounds are
//! mirrors**: beyond a bound the density is its own mirror image, which has a gradient everywhere and, folded
//! back, is the density within the bounds; nothing is rejected near one. Beyond the image it is zero.
//!
//! Chains are drawn one after the other, each from a stream of random numbers of its own and from a start of
//! its own, drawn from the normal density that the whitening implies. So draws depend on the seed alone.

use crate::error::{Error, Result};
use ndarray::{Array2, Array3, ArrayView2, s};
use nuts_rs::{Chain, CpuLogpFunc, CpuMath, CpuMathError, DiagNutsSettings, HasDims, LogpError};
use nuts_rs::{Settings as _, rand};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use std::cell::RefCell;
use std::collections::HashMap;

/// Several, so that they can be compared.
pub const CHAINS: usize = 4;
/// Draws of every chain that only set the sampler's steps.
pub const WARM_UP: usize = 150;
/// A trajectory has at most two to the power of this many steps. On whitened variables it has some eight.
const DEPTH: u64 = 8;

/// What to draw.
pub struct Settings<'a> {
    /// In every chain.
    pub draws: usize,
    pub seed: u64,
    pub centre: &'a [f64],
    /// A square root of the covariance, `(x, u)`.
    pub root: &'a Array2<f64>,
    /// Lowest and highest value of each variable.
    pub bounds: &'a [(f64, f64)],
}

/// What was drawn.
#[derive(Debug, Clone)]
pub struct Draws {
    /// `(chain, draw, variable)`.
    pub values: Array3<f64>,
    /// The mean probability, over the points of trajectories, of accepting one.
    pub acceptance: f64,
    /// Trajectories that broke off since the sampler could not follow the density.
    pub divergences: usize,
    /// Values and gradients, those of the warm-up included.
    pub evaluations: usize,
}

/// How far the drawing is.
#[derive(Debug, Clone, Copy)]
pub struct Drawn {
    /// Draws that are done, of all chains and with the warm-up, and that are wanted.
    pub done: usize,
    pub wanted: usize,
    pub evaluations: usize,
    /// Minus the logarithm of the density, where it was evaluated last.
    pub value: f64,
}

/// Draws from the density whose negative logarithm is `f`, which writes its gradient. `report` is called
/// before every evaluation.
///
/// # Errors
/// What `report` returns: a wish to stop; and densities that the sampler cannot start from.
pub fn sample(
    mut f: impl FnMut(&[f64], &mut [f64]) -> f64,
    settings: &Settings,
    mut report: impl FnMut(Drawn) -> Result<()>,
) -> Result<Draws> {
    let n = settings.centre.len();
    let mut draws = Draws {
        values: Array3::zeros((CHAINS, settings.draws, n)),
        acceptance: 0.0,
        divergences: 0,
        evaluations: 0,
    };
    let sampler =
        DiagNutsSettings { num_tune: WARM_UP as u64, maxdepth: DEPTH, ..Default::default() };
    let each = WARM_UP + settings.draws;
    let drawn = RefCell::new(Drawn { done: 0, wanted: CHAINS * each, evaluations: 0, value: 0.0 });
    let stopped = RefCell::new(None);
    // What the caller's wish to stop has become on its way through the sampler is of no interest.
    let failed = |error: &dyn std::fmt::Display| {
        let wish: Option<Error> = stopped.borrow_mut().take();
        wish.unwrap_or_else(|| Error::failed(format!("cannot draw the posterior: {error}")))
    };
    for chain in 0..CHAINS {
        let mut random = ChaCha8Rng::seed_from_u64(settings.seed);
        random.set_stream(chain as u64);
        let mut whitened = Whitened {
            f: &mut f,
            report: &mut report,
            settings,
            drawn: &drawn,
            stopped: &stopped,
            x: vec![0.0; n],
            slope: vec![0.0; n],
        };
        let start = whitened.start(&mut random);
        let math = CpuMath::new(whitened);
        let drawing = sampler.new_chain(chain as u64, math, &mut random);
        let mut drawing = drawing.map_err(|e| failed(&e))?;
        drawing.set_position(&start).map_err(|e| failed(&e))?;
        for draw in 0..each {
            let (u, _, about, progress) = drawing.expanded_draw().map_err(|e| failed(&e))?;
            drawn.borrow_mut().done += 1;
            if draw >= WARM_UP {
                let mut to = draws.values.slice_mut(s![chain, draw - WARM_UP, ..]);
                let x = settings.folded(&u).map(|(x, _)| x);
                // The sampler never stays where the density is zero.
                to.iter_mut().zip(x.unwrap_or_default()).for_each(|(to, x)| *to = x);
                draws.divergences += usize::from(progress.diverging);
                draws.acceptance += about.adapt.step_size.mean_tree_accept;
            }
        }
    }
    draws.acceptance /= (CHAINS * settings.draws).max(1) as f64;
    draws.evaluations = drawn.borrow().evaluations;
    Ok(draws)
}

impl Settings<'_> {
    /// Where `u` is, folded into the bounds, and for every variable 1, or -1 where it is mirrored. `None`
    /// beyond the mirror image.
    fn folded(&self, u: &[f64]) -> Option<(Vec<f64>, Vec<f64>)> {
        let place = |((row, centre), &(low, high)): ((ndarray::ArrayView1<f64>, &f64), _)| {
            let x: f64 = centre + row.iter().zip(u).map(|(root, u)| root * u).sum::<f64>();
            let (inside, sign) = match x {
                x if x < low => (2.0 * low - x, -1.0),
                x if x > high => (2.0 * high - x, -1.0),
                x => (x, 1.0),
            };
            (low..=high).contains(&inside).then_some((inside, sign))
        };
        self.root.outer_iter().zip(self.centre).zip(self.bounds).map(place).collect()
    }
}

/// The density of the whitened variables.
struct Whitened<'a, F, R> {
    f: &'a mut F,
    report: &'a mut R,
    settings: &'a Settings<'a>,
    drawn: &'a RefCell<Drawn>,
    stopped: &'a RefCell<Option<Error>>,
    x: Vec<f64>,
    slope: Vec<f64>,
}

/// Why there is no density.
#[derive(Debug, thiserror::Error)]
enum Nothing {
    #[error("the density is zero or not a number")]
    Here,
    #[error("stopped")]
    Stopped,
}

impl LogpError for Nothing {
    fn is_recoverable(&self) -> bool {
        matches!(self, Nothing::Here)
    }
}

impl<F, R> Whitened<'_, F, R>
where
    F: FnMut(&[f64], &mut [f64]) -> f64,
    R: FnMut(Drawn) -> Result<()>,
{
    /// A point of the standard normal density, moved towards the centre until there is a density.
    fn start(&mut self, random: &mut ChaCha8Rng) -> Vec<f64> {
        let n = self.x.len();
        let mut u: Vec<f64> = (0..n).map(|_| StandardNormal.sample(random)).collect();
        let mut gradient = vec![0.0; n];
        for _ in 0..20 {
            if !matches!(self.logp(&u, &mut gradient), Err(Nothing::Here)) {
                return u;
            }
            u.iter_mut().for_each(|u| *u *= 0.5);
        }
        vec![0.0; n]
    }
}

impl<F, R> HasDims for Whitened<'_, F, R> {
    fn dim_sizes(&self) -> HashMap<String, u64> {
        HashMap::from([("unconstrained_parameter".to_string(), self.x.len() as u64)])
    }
}

impl<F, R> CpuLogpFunc for Whitened<'_, F, R>
where
    F: FnMut(&[f64], &mut [f64]) -> f64,
    R: FnMut(Drawn) -> Result<()>,
{
    type LogpError = Nothing;
    type FlowParameters = ();
    type ExpandedVector = ();

    fn dim(&self) -> usize {
        self.x.len()
    }

    fn logp(&mut self, u: &[f64], gradient: &mut [f64]) -> std::result::Result<f64, Nothing> {
        let mut drawn = self.drawn.borrow_mut();
        if let Err(wish) = (self.report)(*drawn) {
            *self.stopped.borrow_mut() = Some(wish);
            return Err(Nothing::Stopped);
        }
        let (x, signs) = self.settings.folded(u).ok_or(Nothing::Here)?;
        self.x = x;
        drawn.evaluations += 1;
        drawn.value = (self.f)(&self.x, &mut self.slope);
        self.slope.iter_mut().zip(signs).for_each(|(slope, sign)| *slope *= -sign);
        let known = drawn.value.is_finite() && self.slope.iter().all(|s| s.is_finite());
        let slope = ndarray::ArrayView1::from(&self.slope);
        gradient.copy_from_slice(&self.settings.root.t().dot(&slope).to_vec());
        if known { Ok(-drawn.value) } else { Err(Nothing::Here) }
    }

    fn expand_vector<G>(&mut self, _: &mut G, _: &[f64]) -> std::result::Result<(), CpuMathError>
    where
        G: rand::Rng + ?Sized,
    {
        Ok(())
    }
}

/// A square root of a covariance: the lower triangle of Cholesky. `None` where it is not positive definite.
pub fn root(covariance: ArrayView2<f64>) -> Option<Array2<f64>> {
    let n = covariance.nrows();
    let lower = nalgebra::DMatrix::from_fn(n, n, |a, b| covariance[(a, b)]).cholesky()?.unpack();
    Some(Array2::from_shape_fn((n, n), |(a, b)| lower[(a, b)]))
}

#[cfg(test)]
mod tests {
    use super::super::chains::distribution;
    use super::*;
    use crate::autodiff::Function;

    const OPEN: (f64, f64) = (f64::NEG_INFINITY, f64::INFINITY);

    fn drawn(
        f: &mut Function,
        draws: usize,
        sd: &[f64],
        bounds: &[(f64, f64)],
        seed: u64,
    ) -> Draws {
        let n = sd.len();
        let root = Array2::from_diag(&ndarray::ArrayView1::from(sd));
        let centre = vec![0.0; n];
        let settings = Settings { draws, seed, centre: &centre, root: &root, bounds };
        let density = |x: &[f64], g: &mut [f64]| f.value_and_gradient_into(x, g);
        sample(density, &settings, |_| Ok(())).unwrap()
    }

    /// The share of draws of a variable below `limit` is `share`, to five standard errors of as many draws
    /// as are independent.
    fn assert_share(draws: &Draws, variable: usize, limit: f64, share: f64) {
        let column = draws.values.slice(s![.., .., variable]);
        let below = column.mapv(|x| f64::from(u8::from(x < limit)));
        let found = distribution(below.view());
        let error = (share * (1.0 - share) / found.ess.min(below.len() as f64)).sqrt();
        assert!(found.ess > 300.0, "only {} independent draws", found.ess);
        let off = (found.mean - share) / error;
        assert!(off.abs() < 5.0, "{variable} below {limit}: {} of {share}, {off}", found.mean);
    }

    /// Quantiles, `(share, limit)`, of a density over an interval, by the midpoint rule.
    fn quantiles(density: impl Fn(f64) -> f64, low: f64, high: f64) -> Vec<(f64, f64)> {
        let n = 20_000;
        let at = |i: usize| low + (high - low) * (i as f64 + 0.5) / n as f64;
        let total: f64 = (0..n).map(|i| density(at(i))).sum();
        let mut wanted = [0.05, 0.16, 0.5, 0.84, 0.95].into_iter().peekable();
        let (mut sum, mut found) = (0.0, Vec::new());
        for i in 0..n {
            sum += density(at(i)) / total;
            if wanted.next_if(|share| sum >= *share).is_some() {
                found.push((sum, at(i) + 0.5 * (high - low) / n as f64));
            }
        }
        assert_eq!(found.len(), 5);
        found
    }

    #[test]
    fn the_location_of_cauchy_samples_is_drawn_as_quadrature_has_it() {
        // Two heaps, so two humps.
        let samples = [-2.0, -1.6, -1.8, 1.5, 1.9, 2.4];
        let mut f = Function::new(1, |_, x| {
            samples.iter().map(|&d| ((x[0] - d) / 0.8).square().ln_1p()).sum()
        });
        let draws = drawn(&mut f, 3000, &[1.5], &[OPEN], 1);
        let density =
            |x: f64| samples.iter().map(|d| 1.0 / (1.0 + ((x - d) / 0.8f64).powi(2))).product();
        for (share, limit) in quantiles(density, -30.0, 30.0) {
            assert_share(&draws, 0, limit, share);
        }
    }

    #[test]
    fn a_banana_is_drawn_as_quadrature_has_it() {
        let mut f = Function::new(2, |_, x| {
            0.5 * x[0].square() + 0.5 * ((x[1] - x[0].square()) / 0.5).square()
        });
        let draws = drawn(&mut f, 12_000, &[1.0, 1.5], &[OPEN; 2], 2);
        let density = |y: f64| {
            let over = |i: i32| {
                let x = 0.01 * f64::from(i);
                (-0.5 * (x * x + ((y - x * x) / 0.5).powi(2))).exp()
            };
            (-600..600).map(over).sum()
        };
        for (share, limit) in quantiles(density, -3.0, 36.0) {
            assert_share(&draws, 1, limit, share);
        }
        for (share, limit) in quantiles(|x| (-0.5 * x * x).exp(), -9.0, 9.0) {
            assert_share(&draws, 0, limit, share);
        }
    }

    #[test]
    fn bounds_cut_the_density_and_nothing_else() {
        // Two normal variables with a correlation of 0.8, one of them above -0.3 and the other within 1.
        let mut f = Function::new(2, |_, x| {
            (x[0].square() - 1.6 * (x[0] * x[1]) + x[1].square()) / (2.0 * 0.36)
        });
        let bounds = [(-0.3, f64::INFINITY), (-1.0, 1.0)];
        let draws = drawn(&mut f, 3000, &[1.0, 1.0], &bounds, 3);
        let inside = |k: usize| {
            let (low, high) = bounds[k];
            draws.values.slice(s![.., .., k]).iter().all(|x| (low..=high).contains(x))
        };
        assert!(inside(0) && inside(1));
        let marginal = |x: f64| {
            let over = |i: i32| {
                let y = 0.01 * (f64::from(i) + 0.5);
                (-(x * x - 1.6 * x * y + y * y) / 0.72).exp()
            };
            (-100..100).map(over).sum()
        };
        for (share, limit) in quantiles(marginal, -0.3, 9.0) {
            assert_share(&draws, 0, limit, share);
        }
    }

    #[test]
    fn whitening_finds_a_long_valley_at_once() {
        // Standard deviations of 1e-3 and 1e3, and a correlation of 0.999.
        let (a, b, c) = (1e-3, 1e3, 0.999);
        let covariance = ndarray::array![[a * a, a * b * c], [a * b * c, b * b]];
        let root = root(covariance.view()).unwrap();
        let mut f = Function::new(2, |_, x| {
            let (x, y) = (x[0] * 1e3, x[1] * 1e-3);
            (x.square() - 2.0 * c * (x * y) + y.square()) / (2.0 * (1.0 - c * c))
        });
        let bounds = [OPEN; 2];
        let settings =
            Settings { draws: 500, seed: 0, centre: &[0.0, 0.0], root: &root, bounds: &bounds };
        let density = |x: &[f64], g: &mut [f64]| f.value_and_gradient_into(x, g);
        let draws = sample(density, &settings, |_| Ok(())).unwrap();
        assert_eq!(draws.divergences, 0);
        assert!(draws.evaluations < 15 * CHAINS * (WARM_UP + 500), "{}", draws.evaluations);
        for (k, known) in [a, b].into_iter().enumerate() {
            let found = distribution(draws.values.slice(s![.., .., k]));
            assert!(found.ess > 500.0 && found.rhat < 1.02, "{found:?}");
            assert!((found.sd / known - 1.0).abs() < 5.0 / (2.0 * found.ess).sqrt(), "{found:?}");
        }
    }

    #[test]
    fn draws_depend_on_the_seed_alone_and_a_wish_to_stop_stops() {
        let mut f = Function::new(1, |_, x| 0.5 * x[0].square());
        let mut run = |seed| drawn(&mut f, 100, &[1.0], &[OPEN], seed).values;
        let first = run(4);
        assert!(first == run(4) && first != run(5));
        // Chains are not the same.
        assert_ne!(first.slice(s![0, .., ..]), first.slice(s![1, .., ..]));
        let settings = Settings {
            draws: 100,
            seed: 0,
            centre: &[0.0],
            root: &ndarray::array![[1.0]],
            bounds: &[OPEN],
        };
        let density = |x: &[f64], g: &mut [f64]| f.value_and_gradient_into(x, g);
        let wish = |drawn: Drawn| match drawn.done {
            7 => Err(Error::Signal(2)),
            _ => Ok(()),
        };
        assert_eq!(sample(density, &settings, wish).unwrap_err().exit_status(), 130);
        let nowhere = |_: &[f64], _: &mut [f64]| f64::NAN;
        let message = sample(nowhere, &settings, |_| Ok(())).unwrap_err().to_string();
        assert!(message.contains("posterior"), "{message}");
    }
}
