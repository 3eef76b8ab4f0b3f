//! The main job: what was simulated comes back, whatever the seed, the format and the nuisances.

mod programs;

use programs::{assert_silent_success, shell};
use serde_json::Value;
use std::path::Path;

/// Name, value and sigma of every parameter of a result.
fn parameters(result: &Value) -> Vec<(String, f64, f64)> {
    let one = |p: &Value| {
        let number = |key: &str| p[key].as_f64().unwrap_or(f64::NAN);
        (p["name"].as_str().unwrap().to_string(), number("value"), number("sigma"))
    };
    result["parameters"].as_array().unwrap().iter().map(one).collect()
}

fn fit(line: &str, at: &Path) -> Value {
    let output = shell(line, at);
    assert_silent_success(&output, line);
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(result["status"], "converged", "{line}");
    result
}

/// The true value of a Zernike coefficient, from the header of simulated maps.
fn truth(fits: &[u8], name: &str) -> f64 {
    let maps = oof::io::fits::read_maps(fits, "maps").unwrap();
    maps.truth.iter().find(|t| t.0 == name).unwrap().1
}

const SIMULATE: &str =
    "oof-simulate --telescope nikolic2018 --grid 128 --order 5 --rms 0.5rad --quiet";

/// Four sigma is one in 16 000; 720 coefficients are judged.
#[test]
fn every_zernike_comes_back_within_four_sigma_for_twenty_seeds() {
    let folder = tempfile::tempdir().unwrap();
    let mut pulls = (0.0, 0);
    for seed in 1..=20 {
        let line = format!("{SIMULATE} --seed {seed} -o maps.fits --force");
        assert_silent_success(&shell(&line, folder.path()), &line);
        let maps = std::fs::read(folder.path().join("maps.fits")).unwrap();
        for nuisance in ["all", "none"] {
            let line = format!("oof-fit maps.fits --order 5 --nuisance {nuisance}");
            let result = fit(&line, folder.path());
            // The way is gone on few samples; the whole maps only settle it.
            let evaluations = |kind: &str| result["evaluations"][kind].as_u64().unwrap();
            assert!(evaluations("coarse") > 0 && evaluations("full") <= 25, "seed {seed}");
            let (mut judged, mut squares) = (0, 0.0);
            for (name, value, sigma) in parameters(&result) {
                if !name.starts_with('z') || ["z0", "z1", "z2"].contains(&name.as_str()) {
                    continue;
                }
                let off = (value - truth(&maps, &name)) / sigma;
                assert!(off.abs() < 4.0, "seed {seed}, {nuisance}: {name} is {off:.1} sigma off");
                judged += 1;
                squares += off * off;
            }
            assert_eq!(judged, 18);
            pulls.0 += squares;
            pulls.1 += judged;
        }
    }
    // The errors are of the right size: chi-squared of 720 numbers over 720 is within five of its standard
    // deviations, sqrt(2 / 720), of 1, with as much again for coefficients that are not independent.
    let mean = pulls.0 / f64::from(pulls.1);
    assert!((mean - 1.0).abs() < 0.5, "the errors are wrong by the square root of {mean}");
}

/// A .npy says nothing of the noise, so it is the telescope's share of the highest sample instead of
/// the highest true power: a per cent off in the scale of the likelihood.
#[test]
fn npy_gives_the_answer_of_fits() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["maps.npy", "maps.fits"] {
        let line = format!("{SIMULATE} --seed 3 -o {name}");
        assert_silent_success(&shell(&line, folder.path()), &line);
    }
    let npy = fit("oof-fit maps.npy --telescope nikolic2018", folder.path());
    let fits = fit("oof-fit maps.fits", folder.path());
    for (a, b) in parameters(&npy).iter().zip(parameters(&fits)) {
        assert_eq!(a.0, b.0);
        let same = (a.1 - b.1).abs() <= 0.05 * b.2 || (a.1 == b.1 && b.2.is_nan());
        assert!(same, "{}: {} from .npy, {} from FITS, sigma {}", a.0, a.1, b.1, b.2);
    }
}

/// Rounding in `f32` is far below the noise.
#[test]
fn single_precision_gives_the_answer_of_double() {
    let folder = tempfile::tempdir().unwrap();
    let line = format!("{SIMULATE} --seed 5 -o maps.fits");
    assert_silent_success(&shell(&line, folder.path()), &line);
    let double = fit("oof-fit maps.fits", folder.path());
    let single = fit("oof-fit maps.fits --precision f32", folder.path());
    assert_eq!(single["precision"], "f32");
    for (a, b) in parameters(&single).iter().zip(parameters(&double)) {
        let same = (a.1 - b.1).abs() <= 0.05 * b.2 || (a.1 == b.1 && b.2.is_nan());
        assert!(same, "{}: {} in f32, {} in f64, sigma {}", a.0, a.1, b.1, b.2);
    }
    let likelihood = |result: &Value| result["negative_log_likelihood"].as_f64().unwrap();
    let (single, double) = (likelihood(&single), likelihood(&double));
    assert!((single - double).abs() < 0.1, "{single} {double}");
}
