//! From maps to a surface: parameters, likelihood, minimisation, errors.
//!
//! Order of reading: [`options`] (what can be asked for), [`problem`] (the function to minimise),
//! [`mod@minimise`] (how), [`mod@covariance`] (how sure), [`result`] (what comes out).

pub mod covariance;
pub mod gradient;
pub mod minimise;
pub mod options;
pub mod problem;
pub mod result;

pub use options::FitOptions;
pub use result::FitResult;

use crate::error::Result;
use crate::optics::beam_map::{MapSet, Sigma};
use crate::optics::model;
use crate::optics::telescope::Telescope;
use crate::optics::zernike;
use minimise::{Minimum, Settings, Start, minimise};
use ndarray::Array2;
use options::LikelihoodKind;
use problem::Problem;
use result::{
    Evaluations, Images, LikelihoodSummary, MapSummary, ParameterSummary, SurfaceSummary,
};

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

/// Fits `maps`. `progress` is called once an iteration and may stop the fit with an error.
///
/// # Errors
/// Maps that cannot be fitted, and what `progress` returns.
pub fn fit(
    telescope: &Telescope,
    wavelength: f64,
    maps: &MapSet,
    options: &FitOptions,
    progress: &mut dyn FnMut(&Progress) -> Result<()>,
) -> Result<FitResult> {
    let mut problem = Problem::new(telescope, wavelength, maps, options)?;
    let mut at = problem.start.clone();
    let mut evaluations = Evaluations::default();
    // Least squares through the orders, each from the last: strong aberrations have local minima, and
    // a robust likelihood is blind far from the optimum.
    let rough: Vec<f64> = maps.maps.iter().map(|m| 0.05 * m.peak()).collect();
    for order in 1..=options.order {
        let which = problem.free_up_to(order);
        let stage = format!("order {order} of {}", options.order);
        // Only the start of the next order: a tenth of a sigma is near enough.
        let tolerance = 0.01;
        let minimum = descend(
            &problem,
            &which,
            &mut at,
            LikelihoodKind::Gaussian,
            &rough,
            tolerance,
            &stage,
            progress,
        )?;
        evaluations.full += minimum.evaluations;
    }
    adapt_scales(&mut problem, &at);
    let which = problem.free_up_to(options.order);
    let scales = problem.scales.clone();
    // A second start, with fresh curvature, where the first did not settle.
    let mut minimum = None;
    for stage in ["all parameters", "all parameters again"] {
        let (kind, tolerance) = (options.likelihood, 1e-4);
        let found = descend(
            &problem, &which, &mut at, kind, &scales, tolerance, stage, progress,
        )?;
        evaluations.full += found.evaluations;
        let settled = found.converged;
        minimum = Some(found);
        if settled {
            break;
        }
    }
    let Some(minimum) = minimum else {
        unreachable!("the loop runs at least once");
    };
    summarise(&problem, &which, &at, &minimum, evaluations)
}

/// Minimises over `which`, from and to `at`.
#[allow(clippy::too_many_arguments)]
fn descend(
    problem: &Problem,
    which: &[usize],
    at: &mut [f64],
    kind: LikelihoodKind,
    scales: &[f64],
    tolerance: f64,
    stage: &str,
    progress: &mut dyn FnMut(&Progress) -> Result<()>,
) -> Result<Minimum> {
    let mut function = problem.function(which, at, kind, scales);
    let bounds = which
        .iter()
        .map(|&i| {
            let (low, high) = problem.bounds[i];
            (
                (low - at[i]) / problem.lengths[i],
                (high - at[i]) / problem.lengths[i],
            )
        })
        .collect();
    let settings = Settings {
        tolerance,
        evaluations: 1500,
        bounds,
    };
    let minimum = minimise(
        |x, g| function.value_and_gradient_into(x, g),
        &vec![0.0; which.len()],
        Start::Lengths(&vec![1.0; which.len()]),
        &settings,
        |evaluations, value| {
            progress(&Progress {
                stage: stage.to_string(),
                evaluations,
                negative_log_likelihood: value,
                full: stage.starts_with("all"),
            })
        },
    )?;
    for (&i, x) in which.iter().zip(&minimum.x) {
        at[i] += problem.lengths[i] * x;
    }
    Ok(minimum)
}

/// Where the noise is not known, the scale comes from what the least-squares fit left: the same
/// fraction of the peak for every map.
fn adapt_scales(problem: &mut Problem, at: &[f64]) {
    let unknown = problem
        .maps
        .maps
        .iter()
        .any(|m| !matches!(m.sigma, Sigma::Constant(_)));
    if problem.options.scale.is_some() || !unknown {
        return;
    }
    let models = problem.model_maps(at);
    let mut residuals: Vec<f64> = Vec::new();
    for (map, model) in problem.maps.maps.iter().zip(&models) {
        let pairs = map.power.iter().zip(model).filter(|(p, _)| !p.is_nan());
        residuals.extend(pairs.map(|(p, m)| (p - m).abs() / map.peak()));
    }
    let fraction = match problem.options.likelihood {
        LikelihoodKind::Gaussian => {
            (residuals.iter().map(|r| r * r).sum::<f64>() / residuals.len().max(1) as f64).sqrt()
        }
        LikelihoodKind::Cauchy => {
            residuals.sort_unstable_by(f64::total_cmp);
            // The median of |r| is 0.6745 sigma; four sigma as for known noise.
            4.0 * residuals.get(residuals.len() / 2).copied().unwrap_or(0.0) / 0.6745
        }
    };
    let fraction = fraction.max(1e-9);
    for (scale, map) in problem.scales.iter_mut().zip(&problem.maps.maps) {
        *scale = fraction * map.peak();
    }
}

fn summarise(
    problem: &Problem,
    which: &[usize],
    at: &[f64],
    minimum: &Minimum,
    evaluations: Evaluations,
) -> Result<FitResult> {
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
        evaluations,
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
