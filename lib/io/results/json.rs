//! A fit's result as JSON.

use crate::error::{Error, Result};
use crate::fit::chains::Distribution;
use crate::fit::result::{
    Evaluations, FitResult, LikelihoodSummary, MapSummary, OrderSummary, ParameterSummary, Seconds,
    SurfaceSummary,
};
use crate::fit::sampling::Quantity;

/// The result as one JSON object, indented, with a line end.
///
/// # Errors
/// A number that is not finite, by its key: JSON would make it `null`, which means "not known".
pub fn write_json(result: &FitResult) -> Result<Vec<u8>> {
    check_finite(result)?;
    let json = serde_json::to_vec_pretty(result);
    let mut json = json.map_err(|e| Error::failed(format!("cannot build the JSON output: {e}")))?;
    json.push(b'\n');
    Ok(json)
}

/// Refuses a number that is not finite, by its key.
pub(super) fn check_finite(result: &FitResult) -> Result<()> {
    if let Some((key, value)) = numbers(result).iter().find(|n| !n.1.is_finite()) {
        return Err(Error::failed(format!("the fit's result is senseless: {key} is {value}")));
    }
    Ok(())
}

/// Every number of a result with its key. The patterns name every field, so that the compiler asks for
/// a new one.
fn numbers(result: &FitResult) -> Vec<(String, f64)> {
    let FitResult {
        tool: _,
        version: _,
        telescope: _,
        wavelength_m,
        source_radius_rad,
        bandwidth_hz,
        order: _,
        backend: _,
        precision: _,
        threads: _,
        illumination: _,
        likelihood: LikelihoodSummary { kind: _, scale, fitted: _ },
        status: _,
        message: _,
        negative_log_likelihood,
        reduced_chi2,
        evaluations: Evaluations { coarse: _, full: _ },
        seconds,
        parameters,
        maps,
        surface,
        flags: _,
        orders,
        covariance: _,
        scales: _,
        posterior,
        images: _,
    } = result;
    let SurfaceSummary {
        phase_rms_rad,
        surface_rms_m,
        surface_rms_sigma_m,
        wavefront_rms_m,
        ruze_efficiency,
        ruze_efficiency_sigma,
        surface_rms_without_focus_m,
        ruze_efficiency_without_focus,
    } = surface;
    let mut all = Vec::new();
    let mut push = |key: &str, value: Option<f64>| all.extend(value.map(|v| (key.to_string(), v)));
    push("wavelength_m", Some(*wavelength_m));
    push("source_radius_rad", Some(*source_radius_rad));
    push("bandwidth_hz", Some(*bandwidth_hz));
    push("likelihood.scale", Some(*scale));
    push("negative_log_likelihood", Some(*negative_log_likelihood));
    push("reduced_chi2", *reduced_chi2);
    if let Some(Seconds { read, setup, minimise, total }) = seconds {
        push("seconds.read", Some(*read));
        push("seconds.setup", Some(*setup));
        push("seconds.minimise", Some(*minimise));
        push("seconds.total", Some(*total));
    }
    for parameter in parameters {
        let ParameterSummary { name, n: _, l: _, value, sigma, unit: _, free: _, at_bound: _ } =
            parameter;
        push(&format!("the value of {name}"), Some(*value));
        push(&format!("the sigma of {name}"), *sigma);
    }
    for map in maps {
        let MapSummary {
            name,
            defocus_m,
            shift_m,
            samples: _,
            blanks: _,
            peak,
            residual_rms,
            residual_rms_over_peak,
        } = map;
        for (key, value) in [
            ("defocus_m", defocus_m),
            ("peak", peak),
            ("residual_rms", residual_rms),
            ("residual_rms_over_peak", residual_rms_over_peak),
        ]
        .into_iter()
        .chain(shift_m.iter().flatten().map(|shift| ("shift_m", shift)))
        {
            push(&format!("{key} of {name}"), Some(*value));
        }
    }
    push("surface.phase_rms_rad", Some(*phase_rms_rad));
    push("surface.surface_rms_m", Some(*surface_rms_m));
    push("surface.surface_rms_sigma_m", *surface_rms_sigma_m);
    push("surface.wavefront_rms_m", Some(*wavefront_rms_m));
    push("surface.ruze_efficiency", Some(*ruze_efficiency));
    push("surface.ruze_efficiency_sigma", *ruze_efficiency_sigma);
    push("surface.surface_rms_without_focus_m", Some(*surface_rms_without_focus_m));
    push("surface.ruze_efficiency_without_focus", Some(*ruze_efficiency_without_focus));
    let quantities = posterior.iter().flat_map(|p| p.parameters.iter().chain(&p.derived));
    for Quantity { name, unit: _, distribution } in quantities {
        let Distribution { mean, sd, q16, q50, q84, ess, rhat } = distribution;
        let all = [mean, sd, q16, q50, q84, ess, rhat];
        let keys = ["mean", "sd", "q16", "q50", "q84", "ess", "rhat"];
        for (key, value) in keys.iter().zip(all) {
            push(&format!("the posterior's {key} of {name}"), Some(*value));
        }
    }
    push("posterior.acceptance", posterior.as_ref().map(|p| p.acceptance));
    push("posterior.power", posterior.as_ref().map(|p| p.power));
    for row in orders {
        let OrderSummary {
            order,
            parameters: _,
            status: _,
            chi2,
            bic,
            surface_rms_m,
            z4_rad: _,
            z4_sigma_rad: _,
            z7_rad: _,
            z7_sigma_rad: _,
            z8_rad: _,
            z8_sigma_rad: _,
        } = row;
        for (key, value) in [("chi2", chi2), ("bic", bic), ("surface_rms_m", surface_rms_m)] {
            push(&format!("{key} of order {order}"), Some(*value));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::super::tests;
    use super::*;

    #[test]
    fn the_keys_are_those_that_are_promised() {
        let json = write_json(&tests::result()).unwrap();
        assert!(json.ends_with(b"}\n"));
        let value: serde_json::Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(value["tool"], "oof-fit");
        assert_eq!(value["wavelength_m"], 1.1e-3);
        assert_eq!(
            (&value["source_radius_rad"], &value["bandwidth_hz"]),
            (&2e-4.into(), &1.5e9.into())
        );
        assert_eq!(value["likelihood"]["kind"], "cauchy");
        assert_eq!(value["parameters"][0]["name"], "z3");
        assert_eq!(value["parameters"][0]["l"], -2);
        assert_eq!(value["parameters"][0]["value"], 1.0 / 3.0);
        assert!(value["parameters"][2].get("n").is_none());
        assert!(value["parameters"][2]["sigma"].is_null());
        assert_eq!(value["maps"][1]["defocus_m"], -0.05);
        assert_eq!(value["surface"]["ruze_efficiency"], 0.9);
        assert!(value["reduced_chi2"].is_null());
        assert!(value.get("covariance").is_none());
    }

    #[test]
    fn numbers_that_are_not_finite_are_errors_that_name_the_key() {
        let change = |f: fn(&mut FitResult)| {
            let mut result = tests::result();
            f(&mut result);
            write_json(&result).unwrap_err().to_string()
        };
        let message = change(|r| r.parameters[0].sigma = Some(f64::NAN));
        assert!(message.contains("the sigma of z3 is NaN"), "{message}");
        let message = change(|r| r.reduced_chi2 = Some(f64::INFINITY));
        assert!(message.contains("reduced_chi2 is inf"), "{message}");
        change(|r| r.maps[1].peak = f64::NAN);
        change(|r| r.surface.surface_rms_sigma_m = Some(f64::NAN));
    }
}
