//! Which order the maps tell: fits of order 1 to a limit, compared by the Bayesian information
//! criterion.
//!
//! `BIC = sum min(r^2, 9) / c + k ln(N / c)` for `k` free parameters and `N` samples, `r` being residuals
//! over their noise (Schwarz 1978). Where the noise is not known, it is what the highest order leaves.
//! Residuals of real maps are alike from sample to sample, and then `N` samples say no more than `N / c`
//! independent ones: `c = (1 + a)/(1 - a)` for either axis of a raster, `a` being the correlation of
//! neighbours in what the highest order leaves.

use super::options::FitOptions;
use super::residual::{CLIP, robust_sigma, variance};
use super::result::{FitResult, OrderSummary};
use super::setup::Setup;
use super::{Report, fit};
use crate::error::{Error, Result};
use crate::optics::beam_map::{BeamMap, MapSet, Sampling};
use crate::optics::model::mode_of;

/// Fits the maps at every order up to that of the options and returns the best that explains them, with the
/// comparison.
///
/// # Errors
/// As [`fit`].
pub fn choose(setup: Setup, report: &mut Report) -> Result<FitResult> {
    let Setup { maps, options, .. } = setup;
    let mut results: Vec<FitResult> = Vec::new();
    for order in 1..=options.order {
        let mut options = FitOptions {
            order,
            choose_order: false,
            // Too low an order explains the maps from nowhere.
            starts: if order < options.order { options.starts.min(10) } else { options.starts },
            edits: from(options, order, results.last()),
            // The comparison needs them, of all orders.
            keep_models: true,
            ..options.clone()
        };
        options.priors.retain(|prior| prior.is_up_to(order));
        results.push(fit(setup.with(maps, &options), report)?);
    }
    let Some(highest) = results.last() else {
        return Err(Error::usage("order 0, expected 1 or more"));
    };
    let scale = Scale::of(maps, highest);
    let orders: Vec<OrderSummary> = results.iter().map(|r| scale.judge(maps, r)).collect();
    // An order that does not explain the maps is taken only where none does.
    let rank = |i: usize| (orders[i].status != "converged", orders[i].bic);
    let best = (0..orders.len()).min_by(|&a, &b| {
        let (a, b) = (rank(a), rank(b));
        a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
    });
    let mut result = results.swap_remove(best.unwrap_or(0));
    result.orders = orders;
    result.flags = super::flags::flags(&result);
    if !options.keep_models {
        result.images.model = Vec::new();
    }
    Ok(result)
}

/// Start values from the order below, so that a higher order never leaves more; what the user said goes
/// before them.
fn from(
    options: &FitOptions,
    order: u32,
    below: Option<&FitResult>,
) -> super::options::ParameterEdits {
    let mut edits = options.edits.clone();
    edits.drop_above(order);
    let known = |p: &&super::result::ParameterSummary| mode_of(&p.name).is_some() && p.free;
    let values = below.into_iter().flat_map(|b| b.parameters.iter().filter(known));
    let mut start: Vec<(String, f64)> = values.map(|p| (p.name.clone(), p.value)).collect();
    start.append(&mut edits.start);
    edits.start = start;
    edits
}

/// What residuals are measured by.
struct Scale {
    /// A variance for every map whose noise is not known.
    variances: Vec<f64>,
    /// How many samples say as much as one independent sample.
    correlated: f64,
}

impl Scale {
    fn of(maps: &MapSet, highest: &FitResult) -> Scale {
        let pairs = || maps.maps.iter().zip(&highest.images.model);
        let variances = pairs().map(|(map, model)| {
            let known = residuals(map, model).filter(|r| !r.is_nan());
            let sigma = robust_sigma(known).unwrap_or(1.0);
            sigma.max(1e-9 * map.peak().abs()).powi(2)
        });
        let factors = pairs().map(|(map, model)| likeness(map, model));
        Scale {
            variances: variances.collect(),
            correlated: factors.sum::<f64>() / maps.maps.len().max(1) as f64,
        }
    }

    fn judge(&self, maps: &MapSet, result: &FitResult) -> OrderSummary {
        let noise = maps.noise.unwrap_or_default();
        let (mut chi2, mut samples) = (0.0, 0usize);
        for ((map, model), own) in maps.maps.iter().zip(&result.images.model).zip(&self.variances) {
            for (i, r) in residuals(map, model).enumerate().filter(|(_, r)| !r.is_nan()) {
                chi2 += (r * r / variance(map, noise, i, model[i]).unwrap_or(*own)).min(CLIP);
                samples += 1;
            }
        }
        let parameters = result.parameters.iter().filter(|p| p.free).count();
        let chi2 = chi2 / self.correlated;
        let penalty = (samples as f64 / self.correlated).ln();
        let named = |name: &str| result.parameters.iter().find(|p| p.name == name);
        let (value, sigma) =
            (|n: &str| named(n).map(|p| p.value), |n: &str| named(n).and_then(|p| p.sigma));
        OrderSummary {
            order: result.order,
            parameters,
            status: result.status.clone(),
            chi2,
            bic: chi2 + parameters as f64 * penalty,
            surface_rms_m: result.surface.surface_rms_m,
            z4_rad: value("z4"),
            z4_sigma_rad: sigma("z4"),
            z7_rad: value("z7"),
            z7_sigma_rad: sigma("z7"),
            z8_rad: value("z8"),
            z8_sigma_rad: sigma("z8"),
        }
    }
}

/// Data minus model, NaN for blanks.
fn residuals<'a>(map: &'a BeamMap, model: &'a [f64]) -> impl Iterator<Item = f64> + 'a {
    map.power.iter().zip(model).map(|(p, m)| p - m)
}

/// How many samples of a raster say as much as an independent one, by how alike neighbours are.
fn likeness(map: &BeamMap, model: &[f64]) -> f64 {
    let Sampling::Raster { u, .. } = &map.sampling else {
        return 1.0;
    };
    let all: Vec<f64> = residuals(map, model).collect();
    // A glitch must not hide how alike the others are.
    let known = all.iter().copied().filter(|r| !r.is_nan());
    let most = 3.0 * robust_sigma(known).unwrap_or(0.0);
    let clipped: Vec<f64> = all.iter().map(|r| r.clamp(-most, most)).collect();
    let along = |step: usize| {
        let (mut product, mut square) = (0.0, 0.0);
        for (i, a) in clipped.iter().enumerate() {
            let whole = step > 1 || (i + 1) % u.len() != 0;
            if let Some(b) = clipped.get(i + step).filter(|b| whole && !(*b * a).is_nan()) {
                product += a * b;
                square += 0.5 * (a * a + b * b);
            }
        }
        let a = if square > 0.0 { (product / square).clamp(0.0, 0.99) } else { 0.0 };
        (1.0 + a) / (1.0 - a)
    };
    along(1) * if u.len() > 1 { along(u.len()) } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optics::beam_map::Noise;
    use crate::optics::simulate::{SimulateOptions, simulate};
    use crate::optics::telescope::Telescope;

    fn maps(order: u32, additive: f64) -> (Telescope, MapSet) {
        let telescope = Telescope::named("nikolic2018").unwrap();
        let mut grid = telescope.aperture;
        grid.points = 64;
        let options = SimulateOptions {
            grid,
            order,
            rms: Some(0.6),
            seed: 4,
            noise: Noise { additive, ..Noise::default() },
            ..SimulateOptions::of(&telescope)
        };
        let maps = simulate(&telescope, &options).unwrap();
        (telescope, maps)
    }

    #[test]
    fn the_order_of_the_simulation_is_chosen_and_residuals_never_grow() {
        let (telescope, mut maps) = maps(3, 0.005);
        for known in [true, false] {
            if !known {
                maps.maps
                    .iter_mut()
                    .for_each(|m| m.sigma = crate::optics::beam_map::Sigma::Unknown);
            }
            let options = FitOptions {
                order: 5,
                aperture: maps.aperture,
                errors: false,
                ..FitOptions::default()
            };
            let result = choose(Setup::new(&telescope, &maps, &options), &mut |_| Ok(())).unwrap();
            assert_eq!((result.order, result.orders.len()), (3, 5), "{:?}", result.orders);
            let chi2: Vec<f64> = result.orders.iter().map(|o| o.chi2).collect();
            // Cauchy's optimum is not that of the squares, by a small part of what one parameter gains.
            assert!(chi2.windows(2).all(|w| w[1] <= w[0] + 0.3), "{chi2:?}");
            assert!(!result.flags.iter().any(|f| f.name == "order-limit"));
        }
    }

    #[test]
    fn residuals_that_are_alike_count_in_part() {
        let axis: Vec<f64> = (0..64).map(f64::from).collect();
        let mut map = BeamMap {
            name: "x".into(),
            defocus: 0.0,
            sampling: Sampling::Raster { u: axis.clone(), v: axis },
            power: (0..64 * 64)
                .map(|i| f64::from((i * 7919 + i * i * 31) % 1009) - 504.0)
                .collect(),
            sigma: crate::optics::beam_map::Sigma::Unknown,
        };
        let model = vec![0.0; 64 * 64];
        assert!(likeness(&map, &model) < 1.3, "{}", likeness(&map, &model));
        // Blocks of 4 by 4: neighbours are the same three times of four.
        let noise = map.power.clone();
        map.power = (0..64 * 64).map(|i| noise[i % 64 / 4 + 64 * (i / 64 / 4)]).collect();
        let known = (1.75f64 / 0.25).powi(2);
        let found = likeness(&map, &model);
        assert!(found > 0.5 * known && found < 2.0 * known, "{found}");
    }
}
