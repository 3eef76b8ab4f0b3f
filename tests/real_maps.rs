//! Fits of published maps, which do not belong to this project: the tests look for them in
//! `../shared/data`, or where `OOF_SHARED_DATA` says, and skip aloud where they are absent.

mod programs;

use programs::{assert_silent_success, shell, text};
use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The folder of the data; `None` where it is absent.
fn data(file: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("OOF_SHARED_DATA").map(PathBuf::from);
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let folder = folder.unwrap_or_else(beside);
    if folder.join(file).exists() {
        return Some(folder);
    }
    // Past the test harness, which would swallow it.
    let _ = writeln!(std::io::stderr(), "SKIPPED: {file} is not in {}", folder.display());
    None
}

fn fit(line: &str, at: &Path) -> Value {
    let output = shell(line, at);
    assert_silent_success(&output, line);
    let result: Value = serde_json::from_str(&text(&output.stdout)).unwrap();
    assert_eq!(result["status"], "converged", "{line}");
    result
}

const SRT: &str = "oof-fit --telescope srt --frequency 22.23GHz \
    --map=-27mm:srt/20190426-110938-S0000-MAPPA_OUT1.txt \
    --map=0mm:srt/20190426-101052-S0000-MAPPA_IN.txt \
    --map=27mm:srt/20190426-112403-S0000-MAPPA_OUT2.txt";

/// The Sardinia Radio Telescope at 22 GHz, against what an independent least-squares fit left.
#[test]
fn the_maps_of_srt_are_explained_from_a_cold_start() {
    let Some(folder) = data("srt") else { return };
    let result = fit(&format!("{SRT} --order 5 --likelihood gaussian"), &folder);
    for (map, most) in result["maps"].as_array().unwrap().iter().zip([0.017, 0.0108, 0.026]) {
        let left = map["residual_rms_over_peak"].as_f64().unwrap();
        assert!(left <= most, "{}: {left}, expected at most {most}", map["name"]);
        assert_eq!(map["samples"], 10000);
    }
}

/// pyoof's own simulation: every coefficient of orders 1 to 5 is 0.1 waves.
#[test]
fn pyoofs_truth_comes_back_and_exactly_on_its_own_aperture() {
    let Some(folder) = data("pyoof-simulated.fits") else {
        return;
    };
    let line =
        "oof-fit pyoof-simulated.fits --telescope effelsberg --illumination pedestal --order 5";
    for (aperture, most) in [("", 0.04), (" --aperture pyoof", 1e-4)] {
        let result = fit(&format!("{line}{aperture}"), &folder);
        let mut judged = 0;
        for parameter in result["parameters"].as_array().unwrap() {
            if parameter["n"].as_u64().is_none_or(|n| n < 2) {
                continue;
            }
            let waves = parameter["value"].as_f64().unwrap() / std::f64::consts::TAU;
            assert!((waves - 0.1).abs() < most, "{aperture} {}: {waves}", parameter["name"]);
            judged += 1;
        }
        assert_eq!(judged, 18);
    }
}
