//! A fit's result as JSON.

use crate::error::{Error, Result};
use crate::fit::result::FitResult;
use serde::Serialize;
use toml::Value;

/// The result as one JSON object, indented, with a line end.
///
/// # Errors
/// A number that is not finite, by its key: JSON would make it `null`, which means "not known".
pub fn write_json(result: &FitResult) -> Result<Vec<u8>> {
    check_finite(result)?;
    pretty(result)
}

/// A value as JSON, indented, with a line end.
///
/// # Errors
/// A value that JSON has no form for.
pub fn pretty(value: &impl Serialize) -> Result<Vec<u8>> {
    let mut json = serde_json::to_vec_pretty(value).map_err(Error::unbuilt)?;
    json.push(b'\n');
    Ok(json)
}

/// Refuses a number that is not finite, by its key.
pub(super) fn check_finite(result: &FitResult) -> Result<()> {
    // As TOML, which knows the numbers that are not finite.
    let all = Value::try_from(result).map_err(Error::unbuilt)?;
    match senseless(&all, "") {
        Some((key, value)) => {
            Err(Error::failed(format!("the fit's result is senseless: {key} is {value}")))
        }
        None => Ok(()),
    }
}

/// The first number that is not finite, with its key after `before`; of a list the place is the name, or else the
/// number from 0.
fn senseless(value: &Value, before: &str) -> Option<(String, f64)> {
    let within = |key: &str, value| {
        let dot = if before.is_empty() { "" } else { "." };
        senseless(value, &format!("{before}{dot}{key}"))
    };
    match value {
        Value::Float(number) => (!number.is_finite()).then(|| (before.into(), *number)),
        Value::Table(table) => table.iter().find_map(|(key, value)| within(key, value)),
        Value::Array(list) => list.iter().enumerate().find_map(|(i, value)| {
            let name = value.get("name").and_then(Value::as_str);
            within(name.unwrap_or(&i.to_string()), value)
        }),
        _ => None,
    }
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
        assert!(message.contains("parameters.z3.sigma is NaN"), "{message}");
        let message = change(|r| r.reduced_chi2 = Some(f64::INFINITY));
        assert!(message.contains("reduced_chi2 is inf"), "{message}");
        let message = change(|r| r.maps[1].peak = f64::NAN);
        assert!(message.contains("maps.MAP1.peak is NaN"), "{message}");
        change(|r| r.surface.surface_rms_sigma_m = Some(f64::NAN));
    }
}
