//! Why a fit should not be believed.

use super::degenerate::{self, Direction};
use super::flags::ALIKE;
use super::prior;
use super::quality::{self, Trust};
use super::search::Found;
use crate::optics::model::{GAIN, mode_of};
use ndarray::Array2;

/// Why an optimum should not be trusted, if there is a reason.
pub fn doubt(
    found: &Found,
    covariance: Option<&Array2<f64>>,
    flat: &[Direction],
    alike: Option<f64>,
) -> Option<String> {
    let untold = || {
        let Some(covariance) = covariance else { return Some(without_errors(found, flat)) };
        told_together(found, covariance).or_else(|| loose(found, covariance))
    };
    let unexplained = || {
        (found.optimum.trust == Trust::None).then(|| {
            match quality::chi2_over_samples(&found.optimum.misfits).is_some_and(|chi2| chi2 < 0.9) {
                true => "what the optimum leaves is less than the noise, but alike from sample to sample where the beams are: the noise is overstated, or the optimum a wrong one; give the right --noise, or none",
                false => "the optimum found does not explain the maps: check telescope, wavelength, the sign of the defocus, the noise, and start values",
            }
            .to_string()
        })
    };
    least_gain(found)
        .or_else(|| least_scale(found))
        .or_else(|| if found.problem.options.errors { untold() } else { None })
        .or_else(unexplained)
        .or_else(|| crowded(found, alike))
        .or_else(|| hidden(found))
}

/// A wrong optimum leaves residuals that are alike, and so does a right one of an imperfect model; the sky beside the beam
/// tells one from the other.
fn crowded(found: &Found, alike: Option<f64>) -> Option<String> {
    let maps = found.problem.maps.maps.iter().zip(&found.optimum.misfits);
    let (map, _) = maps.into_iter().find(|(_, misfit)| misfit.crowded)?;
    alike.filter(|times| *times > ALIKE).map(|_| {
        format!("what is left is alike from sample to sample, and {} hardly reaches beyond its beam, so that a wrong optimum would not show: take larger maps, or give their --noise", map.name)
    })
}

/// A beam whose signal is less than this tells one optimum from another as often as not. (Of 40 fits each at 8, 16 and 24
/// 35, 5 and none were more than five standard deviations off.)
const HIDDEN: f64 = 20.0;

fn hidden(found: &Found) -> Option<String> {
    let maps = found.problem.maps.maps.iter().zip(&found.optimum.misfits);
    let maps = maps.map(|(map, misfit)| (&map.name, misfit.pattern.signal()));
    let faintest = maps.min_by(|a, b| a.1.total_cmp(&b.1));
    faintest.filter(|(_, signal)| *signal < HIDDEN).map(|(name, signal)| {
        format!("the beam of {name} hardly shows: {signal:.1} standard deviations of the noise in all, of which it takes {HIDDEN} to tell one optimum from another; observe longer, or nearer the focus")
    })
}

fn least_gain(found: &Found) -> Option<String> {
    let (problem, at) = (&found.problem, &found.optimum.at);
    let mut gains = (0..problem.maps.maps.len()).map(|k| problem.model.place_in_map(GAIN, k));
    let least = |&i: &usize| found.which.contains(&i) && at[i] <= problem.bounds[i].0 * 1.0001;
    gains.find(least).map(|gain| {
        let name = &problem.parameters[gain].name;
        format!("{name} is at its lower bound: the fit explains a map away; check that map")
    })
}

fn least_scale(found: &Found) -> Option<String> {
    let (problem, at) = (&found.problem, &found.optimum.at);
    let i = found.which[problem.scale_among(&found.which)?];
    let own = problem.options.edits.bound.iter().any(|b| b.0 == problem.parameters[i].name);
    (at[i] <= problem.bounds[i].0 && !own)
        .then(|| "the maps leave no residuals to tell the scale by; give --scale".into())
}

/// Why there are no errors: the directions that change nothing, if there are any.
fn without_errors(found: &Found, flat: &[Direction]) -> String {
    let direction = |taking: &Direction| {
        let names: Vec<&str> = taking.iter().take(5).map(|&k| name(found, k)).collect();
        names.join(" with ") + if taking.len() > 5 { " and others" } else { "" }
    };
    if flat.is_empty() {
        return "the likelihood is not curved upwards at the optimum, so there are no errors: take a larger --scale, or --likelihood gaussian".into();
    }
    let named: Vec<String> = flat.iter().take(3).map(direction).collect();
    format!(
        "the maps do not tell {}, so there are no errors: free fewer parameters (--fix), lower --order, give a --prior, or maps that differ more in focus",
        named.join("; ")
    )
}

fn told_together(found: &Found, covariance: &Array2<f64>) -> Option<String> {
    // A prior may tell what the maps do not.
    let prior = prior::known(&found.problem);
    let alone = |&k: &usize| prior.iter().all(|p| p.0 != found.which[k]);
    let coefficient = |&k: &usize| mode_of(name(found, k)).is_some();
    let groups = degenerate::together(covariance.view());
    let group = groups.iter().find(|g| g.iter().all(alone) && g.iter().any(coefficient))?;
    let names: Vec<&str> = group.iter().map(|&k| name(found, k)).collect();
    Some(format!(
        "the maps hardly tell {} apart, so the error of each is that of the others: fix some (--fix), or give a --prior",
        names.join(", ")
    ))
}

/// A coefficient whose error is no less than a radian.
fn loose(found: &Found, covariance: &Array2<f64>) -> Option<String> {
    let loose = |&k: &usize| mode_of(name(found, k)).is_some() && covariance[(k, k)] > 1.0;
    (0..found.which.len()).find(loose).map(|k| {
        format!(
            "the maps hardly tell {}: its error is {:.2} rad; lower --order, or check wavelength and defocus",
            name(found, k),
            covariance[(k, k)].sqrt()
        )
    })
}

/// The name of a free parameter.
fn name<'f>(found: &'f Found, k: usize) -> &'f str {
    &found.problem.parameters[found.which[k]].name
}
