//! A result is not said to be better than it is, and nothing that was there is replaced by accident.

mod programs;

use programs::{assert_refused, assert_silent_success, shell, text};
use serde_json::Value;

const SIMULATE: &str = "oof-simulate --telescope nikolic2018 --grid 128 --order 3 --rms 0.3rad --seed 1 --quiet -o maps.fits";

/// The bright part of the maps is a hundredth of them: the sky around it, which any model explains, must not
/// hide what the fit leaves there.
#[test]
fn a_fit_with_the_wrong_focus_settings_is_suspect() {
    let folder = tempfile::tempdir().unwrap();
    assert_silent_success(&shell(SIMULATE, folder.path()), SIMULATE);
    let fit = "oof-fit maps.fits --order 3 --quiet";
    assert_silent_success(&shell(fit, folder.path()), fit);
    let wrong = format!("{fit} --defocus=0mm,-20mm,20mm");
    let output = shell(&wrong, folder.path());
    assert_refused(&output, 1, "oof-fit", "suspect: the optimum found does not explain", &wrong);
}

#[test]
fn a_parameter_that_a_bound_stopped_is_flagged() {
    let folder = tempfile::tempdir().unwrap();
    assert_silent_success(&shell(SIMULATE, folder.path()), SIMULATE);
    let fit = |options: &str| {
        let output =
            shell(&format!("oof-fit maps.fits --order 3 --quiet {options}"), folder.path());
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let free = fit("");
    let z4 = free["parameters"].as_array().unwrap().iter().find(|p| p["name"] == "z4").unwrap();
    let (value, sigma) = (z4["value"].as_f64().unwrap(), z4["sigma"].as_f64().unwrap());
    assert_eq!(z4["at_bound"], Value::Null);
    let bound = fit(&format!("--bound z4=-3rad..{}rad", value - 2.0 * sigma));
    let flags = bound["flags"].as_array().unwrap();
    let flag = flags.iter().find(|flag| flag["name"] == "at-bound").expect("a flag");
    assert!(flag["reason"].as_str().unwrap().starts_with("z4 is at its bound"), "{flag}");
    let z4 = bound["parameters"].as_array().unwrap().iter().find(|p| p["name"] == "z4").unwrap();
    assert_eq!(z4["at_bound"], true);
}

/// Where differences of the value are hard to take: far from gaussian, at an optimum, and in single precision.
#[test]
fn right_gradients_pass_their_check() {
    let folder = tempfile::tempdir().unwrap();
    let line = "oof-simulate --telescope gbt --grid 48 --order 3 --rms 0.3rad --noise none --quiet -o maps.fits && \
                oof-fit maps.fits --order 3 --likelihood gaussian --quiet -o fit.json && \
                oof-grad maps.fits --parameters fit.json --likelihood gaussian --check --quiet -o at.json && \
                oof-grad maps.fits --order 3 --scale 0.001 --check --quiet -o narrow.json && \
                oof-grad maps.fits --order 3 --likelihood gaussian --precision f32 --check --quiet -o single.json";
    assert_silent_success(&shell(line, folder.path()), line);
    for name in ["at.json", "narrow.json", "single.json"] {
        let bytes = std::fs::read(folder.path().join(name)).unwrap();
        let report: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(report["check"]["passed"], true, "{name}: {}", report["check"]);
    }
}

#[test]
fn no_program_replaces_what_it_reads() {
    let folder = tempfile::tempdir().unwrap();
    let line = format!("{SIMULATE} && oof-fit maps.fits --order 3 --quiet -o fit.json");
    assert_silent_success(&shell(&line, folder.path()), &line);
    for (name, options) in [
        ("oof-simulate", "--like maps.fits -o maps.fits"),
        ("oof-simulate", "--parameters fit.json --format fits -o ./fit.json"),
        ("oof-grad", "maps.fits --parameters fit.json -o fit.json"),
        ("oof-fit", "maps.fits -o maps.fits"),
        ("oof-fit", "maps.fits --start fit.json -o fit.json"),
    ] {
        let line = format!("{name} {options} --force --quiet");
        assert_refused(&shell(&line, folder.path()), 2, name, "which would replace it", &line);
    }
    let line = "cp maps.fits maps && oof-plot maps -o maps --force";
    assert_refused(&shell(line, folder.path()), 2, "oof-plot", "which would replace it", line);
    // A stream is no file, whatever files there are.
    let line = "cp maps.fits ./- && cat maps.fits | oof-fit - --order 3 --quiet > fit2.json";
    assert_silent_success(&shell(line, folder.path()), line);
}

#[test]
fn what_no_fit_can_be_made_of_is_refused_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let line = format!("{SIMULATE} && oof-fit maps.fits --order 3 --quiet -o fit.json");
    assert_silent_success(&shell(&line, folder.path()), &line);
    let json = std::fs::read(folder.path().join("fit.json")).unwrap();
    std::fs::write(folder.path().join("typo.json"), text(&json).replace("\"z4\"", "\"zz\""))
        .unwrap();
    let high = text(&json).replace("\"order\": 3", "\"order\": 4294967295");
    std::fs::write(folder.path().join("high.json"), high).unwrap();
    std::fs::write(folder.path().join("twice.csv"), "x,y,x\n0,0,1\n").unwrap();
    std::fs::write(folder.path().join("done.csv"), "x,y,correction_um\n0,0,1\n").unwrap();
    for (options, said) in [
        ("maps.fits --start sigma=-1", "sigma starts at -1, outside its bounds 0.1 and 5"),
        ("maps.fits --start typo.json", "typo.json: there is no parameter 'zz'"),
        ("maps.fits --start high.json", "a fit of order 4294967295, expected at most 20"),
        ("maps.fits --actuators twice.csv", "has two columns x"),
        ("maps.fits --actuators done.csv", "has a column correction_um, which is a result"),
        ("maps.fits --actuators -", "give --corrections FILE.csv too"),
    ] {
        let line = format!("oof-fit {options} --order 3 --quiet -o out.fits");
        assert_refused(&shell(&line, folder.path()), 2, "oof-fit", said, &line);
    }
    let line = "oof-simulate --telescope srt --grid 32 --noise none --set amp=1e100 --quiet | oof-fit --order 3 --quiet";
    assert_refused(&shell(line, folder.path()), 2, "oof-fit", "whose square is no number", line);
    // Advice that can be followed.
    let line = "oof-fit maps.fits --order 3 --aperture-points 64 --quiet -o out.json";
    assert_silent_success(&shell(line, folder.path()), line);
}

#[test]
fn what_does_not_fit_into_memory_is_said_before_the_work() {
    let folder = tempfile::tempdir().unwrap();
    let line = "ulimit -v 3000000; oof-simulate --telescope srt --grid 10000 --quiet -o maps.fits";
    assert_refused(&shell(line, folder.path()), 1, "oof-simulate", "GB of memory", line);
    let line = format!(
        "{SIMULATE} && ulimit -v 3000000 && oof-fit maps.fits --aperture-points 32768 --quiet"
    );
    assert_refused(&shell(&line, folder.path()), 1, "oof-fit", "GB of memory", &line);
}
