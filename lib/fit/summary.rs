//! What a finished fit says: status, parameters with their errors, residuals, surface.

use super::covariance;
use super::degenerate;
use super::prior;
use super::problem::Problem;
use super::quality::Misfit;
use super::result::{FitResult, LikelihoodSummary, MapSummary, ParameterSummary};
use super::search::{Found, Optimum};
use super::surface;
use crate::error::Result;
use crate::optics::beam_map::BeamMap;
use crate::optics::model;
use ndarray::Array2;

/// Describes the optimum that a search has found.
///
/// # Errors
/// Maps that the model cannot describe.
pub fn summarise(mut found: Found) -> Result<FitResult> {
    let models = std::mem::take(&mut found.optimum.models);
    let Found { problem, which, optimum, evaluations } = &found;
    let Optimum { at, minimum, misfits, .. } = optimum;
    let (options, maps) = (problem.options, &problem.maps.maps);
    let (covariance, flat) = match options.errors {
        true => covariance::covariance(problem, which, at)?,
        false => (None, Vec::new()),
    };
    let each = |(k, (map, left)): (usize, (&BeamMap, &Misfit))| {
        let (rms, peak) = ((left.square / left.samples.max(1) as f64).sqrt(), map.peak());
        MapSummary {
            name: map.name.clone(),
            defocus_m: map.defocus,
            shift_m: problem.maps.shift.get(k).copied(),
            samples: left.samples,
            blanks: map.power.len() - left.samples,
            peak,
            residual_rms: rms,
            residual_rms_over_peak: rms / peak,
        }
    };
    let summaries = maps.iter().zip(misfits).enumerate().map(each).collect();
    let samples = misfits.iter().map(|left| left.samples).sum::<usize>();
    let chi2 = misfits.iter().map(|left| left.chi2).sum::<Option<f64>>();
    let degrees = samples.saturating_sub(which.len()).max(1) as f64;
    let reduced_chi2 = chi2.map(|chi2| chi2 / degrees).filter(|c| c.is_finite());
    let doubt = doubt(&found, covariance.as_ref(), &flat);
    let (status, message) = if !minimum.converged {
        ("not converged", "the minimiser stopped before the likelihood settled".to_string())
    } else if let Some(doubt) = doubt {
        ("suspect", doubt)
    } else {
        ("converged", "the likelihood has settled".to_string())
    };
    let sigma_of = |i: usize| {
        let k = which.iter().position(|&w| w == i)?;
        covariance.as_ref().map(|c| c[(k, k)].max(0.0).sqrt()).filter(|s| s.is_finite())
    };
    let parameters = problem
        .parameters
        .iter()
        .enumerate()
        .map(|(i, p)| {
            let mode = model::mode_of(&p.name).or(model::amplitude_mode_of(&p.name));
            ParameterSummary {
                name: p.name.clone(),
                n: mode.map(|m| m.n),
                l: mode.map(|m| m.l),
                value: at[i],
                sigma: sigma_of(i),
                unit: p.unit.to_string(),
                free: which.contains(&i),
                at_bound: which.contains(&i) && at_bound(problem, at, i),
            }
        })
        .collect();
    let (surface, mut images) = surface::measure(problem, which, at, covariance.as_ref());
    images.model = models;
    Ok(FitResult {
        tool: "oof-fit".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        telescope: problem.telescope.name.clone(),
        wavelength_m: problem.wavelength,
        source_radius_rad: problem.maps.blur().radius,
        bandwidth_hz: problem.maps.blur().bandwidth,
        order: options.order,
        backend: options.backend.name().into(),
        precision: options.precision.name().into(),
        threads: rayon::current_num_threads(),
        illumination: problem.telescope.illumination.name().into(),
        likelihood: LikelihoodSummary {
            kind: options.likelihood.name().into(),
            scale: problem.likelihood.scales[0] * problem.scale_factor(which, at)
                / maps[0].robust_peak(),
            fitted: problem.scale_among(which).is_some(),
        },
        status: status.into(),
        message,
        negative_log_likelihood: minimum.value,
        reduced_chi2,
        evaluations: *evaluations,
        seconds: None,
        parameters,
        maps: summaries,
        surface,
        flags: Vec::new(),
        orders: Vec::new(),
        covariance,
        scales: problem.likelihood.scales.clone(),
        posterior: None,
        images,
    })
}

/// Whether a parameter lies where it could go no farther.
fn at_bound(problem: &Problem, at: &[f64], i: usize) -> bool {
    let ((low, high), little) = (problem.bounds[i], 1e-6 * problem.lengths[i]);
    at[i] <= low + little || at[i] >= high - little
}

/// Why an optimum should not be trusted, if there is a reason.
fn doubt(found: &Found, covariance: Option<&Array2<f64>>, flat: &[Vec<usize>]) -> Option<String> {
    let (problem, which, at) = (&found.problem, &found.which, &found.optimum.at);
    let name = |i: usize| problem.parameters[i].name.as_str();
    let gains = (0..problem.maps.maps.len()).map(|k| problem.model.place_in_map(model::GAIN, k));
    for gain in gains.filter(|gain| which.contains(gain)) {
        if at[gain] <= problem.bounds[gain].0 * 1.0001 {
            return Some(format!(
                "{} is at its lower bound: the fit explains a map away; check that map",
                name(gain)
            ));
        }
    }
    let own = |i: usize| problem.options.edits.bound.iter().any(|b| b.0 == name(i));
    if let Some(k) = problem.scale_among(which)
        && at[which[k]] <= problem.bounds[which[k]].0
        && !own(which[k])
    {
        return Some("the maps leave no residuals to tell the scale by; give --scale".into());
    }
    if problem.options.errors {
        let Some(covariance) = covariance else {
            let direction = |taking: &Vec<usize>| {
                let names: Vec<&str> = taking.iter().take(5).map(|&k| name(which[k])).collect();
                names.join(" with ") + if taking.len() > 5 { " and others" } else { "" }
            };
            let named: Vec<String> = flat.iter().take(3).map(direction).collect();
            if named.is_empty() {
                return Some("the likelihood is not curved upwards at the optimum, so there are no errors: take a larger --scale, or --likelihood gaussian".into());
            }
            let named = named.join("; ");
            return Some(format!(
                "the maps do not tell {named}, so there are no errors: free fewer parameters (--fix), lower --order, give a --prior, or maps that differ more in focus"
            ));
        };
        // A prior may tell what the maps do not.
        let prior = prior::known(problem);
        let alone = |&k: &usize| prior.iter().all(|p| p.0 != which[k]);
        let coefficient = |&k: &usize| model::mode_of(name(which[k])).is_some();
        let groups = degenerate::together(covariance.view());
        if let Some(group) =
            groups.iter().find(|g| g.iter().all(alone) && g.iter().any(coefficient))
        {
            let names: Vec<&str> = group.iter().map(|&k| name(which[k])).collect();
            return Some(format!(
                "the maps hardly tell {} apart, so the error of each is that of the others: fix some (--fix), or give a --prior",
                names.join(", ")
            ));
        }
        let loose = which.iter().enumerate().find(|&(k, &i)| {
            problem.parameters[i].unit == "rad"
                && model::mode_of(name(i)).is_some()
                && covariance[(k, k)] > 1.0
        });
        if let Some((k, &i)) = loose {
            return Some(format!(
                "the maps hardly tell {}: its error is {:.2} rad; lower --order, or check wavelength and defocus",
                name(i),
                covariance[(k, k)].sqrt()
            ));
        }
    }
    (!found.optimum.trusted).then(|| {
        "the optimum found does not explain the maps: check telescope, wavelength, the sign of the defocus, the noise, and start values".to_string()
    })
}
