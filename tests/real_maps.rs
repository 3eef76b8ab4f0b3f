//! Fits of published maps, which do not belong to this project: the tests look for them in
//! `../shared/data`, or where `OOF_SHARED_DATA` says, and skip aloud where they are absent.

mod programs;

use oof::optics::beam_map::Sampling;
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
    // Flags are another matter.
    let output = shell(&format!("{line} --quiet"), at);
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

/// Which order the maps tell, at most 8, and that a higher one never leaves more.
#[test]
fn the_order_of_the_maps_of_srt_is_chosen_from_a_table() {
    let Some(folder) = data("srt") else { return };
    let result = fit(&format!("{SRT} --order auto --likelihood gaussian"), &folder);
    let orders = result["orders"].as_array().unwrap();
    assert_eq!(orders.len(), 8);
    let number = |i: usize, key: &str| orders[i][key].as_f64().unwrap();
    for i in 1..8 {
        assert!(number(i, "chi2") <= number(i - 1, "chi2"), "{orders:#?}");
    }
    let chosen = result["order"].as_u64().unwrap() as usize - 1;
    let converged = (0..8).filter(|&i| orders[i]["status"] == "converged");
    assert!(converged.clone().count() > 2);
    for i in converged {
        assert!(number(i, "bic") >= number(chosen, "bic"), "{orders:#?}");
    }
    let flags = result["flags"].as_array().unwrap();
    assert!(flags.iter().any(|f| f["name"] == "large-rms"), "{flags:?}");
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

/// The residual rms over peak of every map.
fn left(result: &Value) -> Vec<f64> {
    let maps = result["maps"].as_array().unwrap();
    maps.iter().map(|map| map["residual_rms_over_peak"].as_f64().unwrap()).collect()
}

/// The Green Bank Telescope at 43 GHz: scattered samples of two beams, and all that is known of them from
/// their file.
#[test]
fn the_maps_of_the_gbt_are_explained_from_a_cold_start_and_no_mirror_image_of_them_is() {
    let Some(folder) = data("gbt-t3.fits") else { return };
    let result = fit("oof-fit gbt-t3.fits --order 5", &folder);
    let good = left(&result);
    for (left, most) in good.iter().zip([0.023, 0.07, 0.07]) {
        assert!(*left <= most, "{left}, expected at most {most}");
    }
    for map in 0..3 {
        let parameters = result["parameters"].as_array().unwrap();
        let ratio = parameters.iter().find(|p| p["name"] == format!("ratio[{map}]")).unwrap();
        let ratio = ratio["value"].as_f64().unwrap();
        assert!((0.8..1.2).contains(&ratio), "the second beam is {ratio} of the first");
    }
    // The sense of the defocus; that of y, which the tilted sub-reflector tells from the other; and the
    // side of the second beam.
    let scratch = tempfile::tempdir().unwrap();
    let bytes = std::fs::read(folder.join("gbt-t3.fits")).unwrap();
    let mut maps = oof::io::fits::read_maps(&bytes, "maps").unwrap();
    for map in &mut maps.maps {
        let Sampling::Scattered { v, .. } = &mut map.sampling else { panic!("not scattered") };
        v.iter_mut().for_each(|v| *v = -*v);
    }
    std::fs::write(scratch.path().join("mirrored.fits"), programs::fits(&maps)).unwrap();
    std::fs::write(scratch.path().join("maps.fits"), bytes).unwrap();
    for line in [
        "oof-fit maps.fits --order 5 --defocus 0mm,-35mm,35mm",
        "oof-fit mirrored.fits --order 5",
        "oof-fit maps.fits --order 5 --chop=-57.8arcsec",
    ] {
        let output = shell(line, scratch.path());
        let result: Value = serde_json::from_str(&text(&output.stdout)).unwrap();
        let bad = left(&result);
        let squares = |left: &[f64]| left.iter().map(|x| x * x).sum::<f64>();
        println!("{line}: {} {bad:?}, right way {good:?}", result["status"]);
        assert!(squares(&bad) > 3.0 * squares(&good), "{line}: {bad:?}, right way {good:?}");
    }
}
