//! What a finished fit says: status, parameters with their errors, residuals, surface.

use super::covariance;
use super::options::LikelihoodKind;
use super::problem::Problem;
use super::result::{
    FitResult, Images, LikelihoodSummary, MapSummary, ParameterSummary, SurfaceSummary,
};
use super::search::Found;
use crate::error::Result;
use crate::optics::beam_map::Sigma;
use crate::optics::model;
use crate::optics::zernike;
use ndarray::Array2;

/// Describes the optimum `at` of the parameters `which`.
///
/// # Errors
/// None today: what cannot be computed is left out.
pub fn summarise(found: &Found) -> Result<FitResult> {
    let Found {
        problem,
        which,
        at,
        minimum,
        evaluations,
    } = found;
    let (options, maps) = (problem.options, &problem.maps.maps);
    let covariance = if options.errors {
        covariance::covariance(problem, which, at)
    } else {
        None
    };
    let models = problem.model_maps(at);
    let noise = problem.maps.noise.unwrap_or_default();
    let (mut chi2, mut samples, mut known) = (0.0, 0usize, true);
    let mut summaries = Vec::new();
    for (map, model) in maps.iter().zip(&models) {
        let (mut square, mut count) = (0.0, 0usize);
        for (i, (p, m)) in map.power.iter().zip(model).enumerate() {
            if p.is_nan() {
                continue;
            }
            square += (p - m) * (p - m);
            count += 1;
            let sigma = match &map.sigma {
                Sigma::Constant(s) => *s,
                Sigma::PerSample(s) => s[i],
                Sigma::Unknown => f64::NAN,
            };
            known &= sigma > 0.0;
            chi2 += (p - m) * (p - m) / (sigma * sigma + (noise.multiplicative * m).powi(2));
        }
        samples += count;
        let rms = (square / count.max(1) as f64).sqrt();
        summaries.push(MapSummary {
            name: map.name.clone(),
            defocus_m: map.defocus,
            samples: count,
            blanks: map.blanks(),
            peak: map.peak(),
            residual_rms: rms,
            residual_rms_over_peak: rms / map.peak(),
        });
    }
    let degrees = samples.saturating_sub(which.len()).max(1) as f64;
    let reduced_chi2 = known.then_some(chi2 / degrees).filter(|c| c.is_finite());
    let worst = summaries
        .iter()
        .map(|m| m.residual_rms_over_peak)
        .fold(0.0, f64::max);
    // A wrong minimum shows: it leaves far more than the noise, or a good part of a map.
    let outliers = noise.outliers > 0.0 || options.likelihood == LikelihoodKind::Cauchy;
    let suspect = match reduced_chi2 {
        Some(chi2) if !outliers => chi2 > 3.0,
        _ => worst > 0.15 && reduced_chi2.is_none_or(|c| c > 3.0),
    };
    let (status, message) = if !minimum.converged {
        (
            "not converged",
            "the minimiser stopped before the likelihood settled".to_string(),
        )
    } else if suspect {
        (
            "suspect",
            "the optimum found does not explain the maps: check telescope, wavelength, the sign of the defocus, and start values".to_string(),
        )
    } else {
        (
            "converged",
            "the last steps changed the log-likelihood by less than 1e-4".to_string(),
        )
    };
    let sigma_of = |i: usize| {
        let k = which.iter().position(|&w| w == i)?;
        covariance
            .as_ref()
            .map(|c| c[(k, k)].max(0.0).sqrt())
            .filter(|s| s.is_finite())
    };
    let parameters = problem
        .model
        .parameters
        .iter()
        .enumerate()
        .map(|(i, p)| {
            let mode = model::mode_of(&p.name);
            ParameterSummary {
                name: p.name.clone(),
                n: mode.map(|m| m.n),
                l: mode.map(|m| m.l),
                value: at[i],
                sigma: sigma_of(i),
                unit: p.unit.to_string(),
                free: which.contains(&i),
            }
        })
        .collect();
    let (surface, mut images) = surface(problem, which, at, covariance.as_ref());
    images.model = models;
    Ok(FitResult {
        tool: "oof-fit".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        telescope: problem.telescope.name.clone(),
        wavelength_m: problem.wavelength,
        order: options.order,
        backend: "cpu".into(),
        precision: options.precision.name().into(),
        threads: rayon::current_num_threads(),
        illumination: problem.telescope.illumination.name().into(),
        likelihood: LikelihoodSummary {
            kind: options.likelihood.name().into(),
            scale: problem.scales[0] / maps[0].peak(),
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
        covariance,
        images,
    })
}

/// The aperture's phase without piston and tilt, its illumination-weighted rms, and the pictures.
fn surface(
    problem: &Problem,
    which: &[usize],
    at: &[f64],
    covariance: Option<&Array2<f64>>,
) -> (SurfaceSummary, Images) {
    let aperture = &problem.model.aperture;
    let count = zernike::count(problem.options.order);
    let first = zernike::count(1);
    let table = zernike::table(problem.options.order, &aperture.points());
    let own = problem.telescope.illumination.parameters().len();
    let illumination = &at[count..count + own];
    let (mut amplitude, mut phase) = (Vec::new(), Vec::new());
    for (p, (x, y)) in aperture.points().into_iter().enumerate() {
        amplitude.push(
            aperture.weight[p] * problem.telescope.illumination.amplitude(illumination, x, y),
        );
        phase.push((first..count).map(|j| at[j] * table[(j, p)]).sum::<f64>());
    }
    let total: f64 = amplitude.iter().sum();
    let mean = |f: &dyn Fn(usize) -> f64| {
        (0..phase.len()).map(|p| amplitude[p] * f(p)).sum::<f64>() / total
    };
    let centre = mean(&|p| phase[p]);
    let rms = mean(&|p| (phase[p] - centre).powi(2)).sqrt();
    let to_surface = problem.wavelength / (4.0 * std::f64::consts::PI);
    // d rms / d z_j = <(phase - mean) Z_j> / rms
    let slope: Vec<f64> = which
        .iter()
        .map(|&i| {
            if (first..count).contains(&i) && rms > 0.0 {
                mean(&|p| (phase[p] - centre) * table[(i, p)]) / rms
            } else {
                0.0
            }
        })
        .collect();
    let sigma = covariance.map(|c| {
        let n = slope.len();
        let variance: f64 = (0..n)
            .flat_map(|i| (0..n).map(move |k| (i, k)))
            .map(|(i, k)| slope[i] * c[(i, k)] * slope[k])
            .sum();
        variance.max(0.0).sqrt() * to_surface
    });
    let n = aperture.grid.points;
    // Only the dish's own part of the grid is drawn.
    let half = ((1.0 / aperture.grid.extent) * n as f64 / 2.0).ceil() as usize + 1;
    let (low, high) = ((n / 2).saturating_sub(half), (n / 2 + half).min(n));
    let mut images = Images {
        amplitude: Array2::from_elem((high - low, high - low), f64::NAN),
        phase: Array2::from_elem((high - low, high - low), f64::NAN),
        aperture_half_width_m: 0.5 * (high - low) as f64 * aperture.step,
        model: Vec::new(),
    };
    for (p, &(iy, ix)) in aperture.pixels.iter().enumerate() {
        let (iy, ix) = (iy as usize, ix as usize);
        if (low..high).contains(&iy) && (low..high).contains(&ix) {
            images.amplitude[(iy - low, ix - low)] = amplitude[p];
            images.phase[(iy - low, ix - low)] = phase[p];
        }
    }
    let summary = SurfaceSummary {
        phase_rms_rad: rms,
        surface_rms_m: rms * to_surface,
        surface_rms_sigma_m: sigma.filter(|s| s.is_finite()),
        ruze_efficiency: (-rms * rms).exp(),
    };
    (summary, images)
}
