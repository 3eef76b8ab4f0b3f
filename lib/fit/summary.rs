//! What a finished fit says: status, parameters with their errors, residuals, surface.

use super::covariance::{self, Errors};
use super::degenerate::Direction;
use super::doubt::doubt;
use super::optimum::Optimum;
use super::problem::Problem;
use super::quality::Misfit;
use super::result::{FitResult, LikelihoodSummary, MapSummary, ParameterSummary};
use super::search::Found;
use super::surface;
use crate::error::Result;
use crate::optics::beam_map::BeamMap;
use crate::optics::model::{self, Parameter};
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
    let Errors { covariance, flat, alike } = match options.errors {
        true => covariance::covariance(problem, which, at)?,
        false => Errors::default(),
    };
    let samples = misfits.iter().map(|left| left.samples).sum::<usize>();
    let outliers = problem.maps.noise.unwrap_or_default().outliers;
    let chi2 = misfits.iter().map(|left| left.chi2_beside(outliers)).sum::<Option<f64>>();
    let degrees = samples.saturating_sub(which.len()).max(1) as f64;
    let reduced_chi2 = chi2.map(|chi2| chi2 / degrees).filter(|c| c.is_finite());
    let factor = problem.scale_factor(which, at);
    let (status, message) = status(&found, covariance.as_ref(), &flat, alike);
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
            scale: factor * problem.likelihood.scales[0] / maps[0].robust_peak(),
            fitted: problem.scale_among(which).is_some(),
        },
        status: status.into(),
        message,
        negative_log_likelihood: minimum.value,
        reduced_chi2,
        evaluations: *evaluations,
        seconds: None,
        parameters: parameters(problem, which, at, covariance.as_ref()),
        maps: map_summaries(problem, misfits, factor),
        surface,
        errors_if_alike: alike,
        flags: Vec::new(),
        orders: Vec::new(),
        covariance,
        scales: problem.likelihood.scales.clone(),
        posterior: None,
        images,
    })
}

/// What is left of every map.
fn map_summaries(problem: &Problem, misfits: &[Misfit], factor: f64) -> Vec<MapSummary> {
    let one = |(k, (map, left)): (usize, (&BeamMap, &Misfit))| {
        let scale = problem.likelihood.scales[k] * factor;
        let (rms, peak) = ((left.square / left.samples.max(1) as f64).sqrt(), map.peak_of_beam());
        MapSummary {
            name: map.name.clone(),
            defocus_m: map.defocus,
            shift_m: problem.maps.shift.get(k).copied(),
            samples: left.samples,
            blanks: map.power.len() - left.samples,
            peak,
            residual_rms: rms,
            residual_rms_over_peak: rms / peak,
            scale,
        }
    };
    problem.maps.maps.iter().zip(misfits).enumerate().map(one).collect()
}

/// All parameters, with the errors of the free ones.
fn parameters(
    problem: &Problem,
    which: &[usize],
    at: &[f64],
    covariance: Option<&Array2<f64>>,
) -> Vec<ParameterSummary> {
    let one = |(i, p): (usize, &Parameter)| {
        let mode = model::mode_of(&p.name).or(model::amplitude_mode_of(&p.name));
        let place = which.iter().position(|&w| w == i);
        let variance = place.zip(covariance).map(|(k, covariance)| covariance[(k, k)]);
        ParameterSummary {
            name: p.name.clone(),
            n: mode.map(|m| m.n),
            l: mode.map(|m| m.l),
            value: at[i],
            sigma: variance.map(|v| v.max(0.0).sqrt()).filter(|s| s.is_finite()),
            unit: p.unit.to_string(),
            free: place.is_some(),
            at_bound: place.is_some() && at_bound(problem, at, i),
        }
    };
    problem.parameters.iter().enumerate().map(one).collect()
}

/// Whether a parameter lies where it could go no farther.
fn at_bound(problem: &Problem, at: &[f64], i: usize) -> bool {
    let ((low, high), little) = (problem.bounds[i], 1e-6 * problem.lengths[i]);
    at[i] <= low + little || at[i] >= high - little
}

/// The status of a fit, and why.
fn status(
    found: &Found,
    covariance: Option<&Array2<f64>>,
    flat: &[Direction],
    alike: Option<f64>,
) -> (&'static str, String) {
    if !found.optimum.minimum.converged {
        return ("not converged", "the minimiser stopped before the likelihood settled".into());
    }
    match doubt(found, covariance, flat, alike) {
        Some(doubt) => ("suspect", doubt),
        None => ("converged", "the likelihood has settled".into()),
    }
}
