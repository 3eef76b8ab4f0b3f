//! Turns of phase at the rim, by which a wrong optimum often differs from the right one.
//!
//! Where a patch of the rim is a whole turn of phase off, the field changes only where the patch joins the rest, and at
//! the rim the dish is lit least. So the likelihood has optima with and without such turns, and one that was found has the
//! right one, or one nearer to it, in its neighbourhood: a turn away, at some azimuth.

use super::minimise::{Minimum, Near};
use super::problem::Problem;
use super::stage::{Objective, Report, Stage};
use crate::error::Result;
use crate::optics::zernike::{self, Mode};
use std::f64::consts::TAU;

/// The height of a turn at its highest place, on the rim, in radians: where it falls to half of that the patch is a turn
/// off. (Of 15 refused optima of nikolic2018, 3 of the gbt and 5 of the srt, at order 7, 1.5 rad and 1/200 of noise, a round of
/// turns led on from 5 with 5 rad, 16 with 8, 17 with 10 and 19 with 12; higher ones were not tried.)
const HEIGHT: f64 = 12.0;

/// A patch of the rim whose phase is moved, by as small a change elsewhere as the free polynomials allow.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Turn {
    /// Of its highest place, radians from the x axis towards the y axis.
    pub azimuth: f64,
    /// 1 or -1: which way.
    pub sign: f64,
}

/// The turns that may be made of the polynomials in `modes`: at as many azimuths as the fastest wave round the rim has zeros,
/// both ways.
pub fn turns(modes: &[usize]) -> Vec<Turn> {
    let waves = modes.iter().map(|&j| 2 * Mode::of(j).l.unsigned_abs());
    let Some(count) = waves.max().map(|count| count.max(1)) else { return Vec::new() };
    let azimuths = (0..count).map(|k| TAU * f64::from(k) / f64::from(count));
    azimuths.flat_map(|azimuth| [1.0, -1.0].map(|sign| Turn { azimuth, sign })).collect()
}

/// The free polynomials that turns are made of: not those that a pointing offset makes.
pub fn modes(problem: &Problem) -> Vec<usize> {
    let all = zernike::count(1)..zernike::count(problem.options.order);
    all.filter(|&j| problem.free[j]).collect()
}

impl Turn {
    /// What it adds to the coefficients of the polynomials in `which` (OSA/ANSI indices from 0), radians: of all their sums
    /// that reach its height there, the one of least rms over the dish. (By Cauchy and Schwarz each has its value
    /// there over its mean square, which is `1 / (n + 1)`, and half of that where it goes round.)
    pub fn coefficients(self, which: &[usize]) -> Vec<f64> {
        let (y, x) = self.azimuth.sin_cos();
        let one = |&j: &usize| {
            let mode = Mode::of(j);
            let waves = if mode.l == 0 { 1.0 } else { 2.0 };
            (mode.value(x, y), f64::from(mode.n + 1) * waves)
        };
        let modes: Vec<(f64, f64)> = which.iter().map(one).collect();
        let height: f64 = modes.iter().map(|(value, weight)| weight * value * value).sum();
        let times = if height > 0.0 { self.sign * HEIGHT / height } else { 0.0 };
        modes.iter().map(|(value, weight)| times * weight * value).collect()
    }
}

/// A place whose turns are gone past.
pub struct Around {
    /// All parameters.
    pub at: Vec<f64>,
    /// Those that are free to go on.
    pub which: Vec<usize>,
    /// The inverse curvature of those, in their lengths, row-major, if it is known.
    pub inverse: Option<Vec<f64>>,
}

impl Around {
    /// Goes down from a `turn` away, to `near` an optimum; with the parameters there. `full`: see
    /// [`Progress`](super::stage::Progress).
    ///
    /// # Errors
    /// What `report` returns.
    pub fn past(
        &self,
        turn: Turn,
        near: Near,
        full: bool,
        objective: &mut Objective,
        report: &mut Report,
    ) -> Result<(Vec<f64>, Minimum)> {
        let problem = objective.problem;
        let mut at = self.at.clone();
        let modes = modes(problem);
        for (&j, by) in modes.iter().zip(turn.coefficients(&modes)) {
            let (low, high) = problem.bounds[j];
            at[j] = (at[j] + by).clamp(low, high);
        }
        let stage = Stage {
            which: &self.which,
            near,
            inverse: self.inverse.as_deref(),
            name: &format!("past a turn at the rim, {:.0} deg", turn.azimuth.to_degrees()),
            full,
        };
        let minimum = stage.descend(objective, &mut at, report)?;
        Ok((at, minimum))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `(value at the turn's place, rms over the dish)` of a sum of polynomials.
    fn height_and_rms(turn: Turn, which: &[usize], coefficients: &[f64]) -> (f64, f64) {
        let at = |x: f64, y: f64| -> f64 {
            which.iter().zip(coefficients).map(|(&j, z)| z * Mode::of(j).value(x, y)).sum()
        };
        let (y, x) = turn.azimuth.sin_cos();
        let axis = || (-100..=100).map(|i| f64::from(i) / 100.0);
        let dish = || {
            axis().flat_map(|y| axis().map(move |x| (x, y))).filter(|(x, y)| x * x + y * y <= 1.0)
        };
        let square: f64 = dish().map(|(x, y)| at(x, y).powi(2)).sum();
        (at(x, y), (square / dish().count() as f64).sqrt())
    }

    #[test]
    fn a_turn_is_as_high_as_it_should_be_and_as_small_as_it_can_be() {
        let which: Vec<usize> = (3..zernike::count(5)).filter(|&j| j != 7).collect();
        assert_eq!(turns(&which).len(), 20);
        for turn in turns(&which) {
            let coefficients = turn.coefficients(&which);
            let (height, rms) = height_and_rms(turn, &which, &coefficients);
            assert!((height - turn.sign * HEIGHT).abs() < 1e-12 * HEIGHT);
            // Others of the same height: the same with some more of one polynomial, and all scaled to that height.
            for k in 0..which.len() {
                for more in [0.5, -0.5] {
                    let mut other = coefficients.clone();
                    other[k] += more;
                    let (high, large) = height_and_rms(turn, &which, &other);
                    assert!((large / high).abs() > (rms / height).abs(), "{turn:?} {k}");
                }
            }
        }
    }

    #[test]
    fn there_are_no_turns_of_nothing() {
        assert!(turns(&[]).is_empty());
        // Focus alone goes up or down, whatever the azimuth.
        assert_eq!(turns(&[4]).len(), 2);
        assert!(turns(&[4])[0].coefficients(&[]).is_empty());
        // A wave that is zero where the turn would be.
        assert_eq!(turns(&[3])[0].coefficients(&[3]), [0.0]);
    }
}
