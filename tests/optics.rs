//! What a telescope's optics do besides the plain model: an amplitude of any shape, a sub-reflector that is
//! moved sideways, mirrors that are shaped.

mod programs;

use programs::{assert_refused, assert_silent_success, shell};
use serde_json::Value;
use std::path::Path;

fn run(line: &str, at: &Path) -> Vec<u8> {
    let line = format!("{line} --quiet");
    let output = shell(&line, at);
    assert_silent_success(&output, &line);
    output.stdout
}

fn json(line: &str, at: &Path) -> Value {
    serde_json::from_slice(&run(line, at)).unwrap()
}

/// The result of a fit that cannot be good, and knows it.
fn suspect(line: &str, at: &Path) -> Value {
    let line = format!("{line} --quiet");
    let output = shell(&line, at);
    assert_refused(&output, 1, "oof-fit", "suspect: the optimum found does not explain", &line);
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What a fit has of one parameter; NaN for `null`.
fn number(result: &Value, name: &str, key: &str) -> f64 {
    let all = result["parameters"].as_array().unwrap();
    let found = all.iter().find(|p| p["name"] == name).unwrap_or_else(|| panic!("no {name}"));
    found[key].as_f64().unwrap_or(f64::NAN)
}

/// The true parameters in the header of simulated maps.
fn truth(at: &Path) -> Vec<(String, f64)> {
    let bytes = std::fs::read(at.join("maps.fits")).unwrap();
    oof::io::fits::read_maps(&bytes, "maps").unwrap().truth
}

/// Checks that a fit has the truth within four sigma, for all free parameters whose names begin so; returns
/// the mean square of what is off, in sigma.
fn assert_true(result: &Value, at: &Path, beginnings: &[&str]) -> f64 {
    assert_eq!(result["status"], "converged", "{}", result["message"]);
    let (mut squares, mut judged) = (0.0, 0.0);
    for (name, value) in truth(at) {
        let sigma = number(result, &name, "sigma");
        if sigma.is_nan() || !beginnings.iter().any(|beginning| name.starts_with(beginning)) {
            continue;
        }
        let off = (number(result, &name, "value") - value) / sigma;
        assert!(off.abs() < 4.0, "{name} is {off:.1} sigma off");
        squares += off * off;
        judged += 1.0;
    }
    assert!(judged >= 2.0);
    squares / judged
}

/// 4 x (5 + 12) coefficients are judged; the mean of so many squares is within 0.7 of 1.
#[test]
fn an_amplitudes_polynomials_come_back_within_four_sigma_with_those_of_the_phase() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let mut pulls = 0.0;
    for seed in 1..=4 {
        run(
            &format!(
                "oof-simulate --telescope alma --grid 96 --order 4 --rms 0.5rad --seed {seed} --noise \
                 additive=0.003 --set a1=0.1,a2=-0.08,a3=0.15,a4=-0.2,a5=0.1 -o maps.fits --force"
            ),
            at,
        );
        let result = json("oof-fit maps.fits --order 4 --amplitude-order 2", at);
        pulls += assert_true(&result, at, &["z", "a"]) / 4.0;
        // What does the same is fixed.
        assert!(["x0", "y0", "sigma"].iter().all(|name| number(&result, name, "sigma").is_nan()));
        let a3 =
            &result["parameters"].as_array().unwrap().iter().find(|p| p["name"] == "a3").unwrap();
        assert_eq!((&a3["n"], &a3["l"], &a3["unit"]), (&2.into(), &(-2).into(), &"".into()));
    }
    assert!((0.4..1.9).contains(&pulls), "mean square of the pulls {pulls}");
}

#[test]
fn the_amplitude_in_the_result_has_its_polynomials_and_tables_of_the_surface_have_not() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    run(
        "oof-simulate --telescope generic --grid 64 --order 2 --rms 0.3rad --noise additive=0.002 \
         --set a1=0.3,a4=-0.4 -o maps.fits",
        at,
    );
    let result = json("oof-fit maps.fits --order 2 --amplitude-order 2", at);
    run("oof-fit maps.fits --order 2 --amplitude-order 2 -o fit.fits", at);
    run("oof-fit maps.fits --order 2 --amplitude-order 2 -o fit.gbt.csv", at);
    let table = std::fs::read_to_string(at.join("fit.gbt.csv")).unwrap();
    assert_eq!(table.lines().count(), 1 + 6, "{table}");
    // The amplitude picture against the formula, with the values of the JSON: gaussian, times the exponential.
    let bytes = std::fs::read(at.join("fit.fits")).unwrap();
    let (side, half_width, pixels) = picture(&bytes, "AMPLITUDE");
    let a = |j: usize| number(&result, &format!("a{j}"), "value");
    let mut compared = 0;
    for (i, &pixel) in pixels.iter().enumerate().filter(|(_, p)| !p.is_nan()) {
        let place =
            |k: usize| (2.0 * k as f64 + 1.0 - side as f64) / side as f64 * half_width / 6.0;
        let (x, y) = (place(i % side), place(i / side));
        let r2 = x * x + y * y;
        if r2 > 0.8 {
            continue; // the rim's pixels are partly off the dish
        }
        let logarithm = a(1) * y
            + a(2) * x
            + a(3) * 2.0 * x * y
            + a(4) * (2.0 * r2 - 1.0)
            + a(5) * (x * x - y * y);
        let expected = (logarithm - r2 / (2.0 * 0.36)).exp();
        assert!((pixel - expected).abs() < 1e-12, "{x} {y}: {pixel} {expected}");
        compared += 1;
    }
    assert!(compared > 100, "{compared}");
}

/// An image of a FITS file of ours by its name: pixels a side, half the width in metres, and the pixels.
fn picture(bytes: &[u8], name: &str) -> (usize, f64, Vec<f64>) {
    let cards: Vec<String> =
        bytes.chunks(80).map(|card| String::from_utf8_lossy(card).into_owned()).collect();
    let first = cards.iter().position(|c| c.starts_with(&format!("EXTNAME = '{name}"))).unwrap();
    let end = first + cards[first..].iter().position(|c| c.trim() == "END").unwrap();
    // Keys before the name are this unit's too.
    let begin = cards[..first].iter().rposition(|c| c.starts_with("XTENSION")).unwrap();
    let key = |key: &str| -> f64 {
        let card = cards[begin..end].iter().find(|c| c[..8].trim() == key).unwrap();
        card[10..].split('/').next().unwrap().trim().parse().unwrap()
    };
    let side = key("NAXIS1") as usize;
    let start = (80 * (end + 1)).next_multiple_of(2880);
    let number = |b: &[u8]| f64::from_be_bytes(b.try_into().unwrap());
    let pixels = bytes[start..start + 8 * side * side].chunks(8).map(number).collect();
    (side, 0.5 * key("CDELT1") * side as f64, pixels)
}

const SHIFTED: &str = "oof-simulate --telescope srt --grid 96 -o maps.fits --force";

#[test]
fn a_lateral_displacement_comes_back_where_coma_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    for seed in 1..=3 {
        run(
            &format!(
                "{SHIFTED} --noise additive=0.003 --seed {seed} --order 4 --set sx=3mm,sy=-2mm,sigma=0.62 --zernike z3=0.3rad,z5=-0.2rad,z12=0.2rad"
            ),
            at,
        );
        let result = json("oof-fit maps.fits --order 4 --free sx,sy --fix z7,z8", at);
        assert_true(&result, at, &["z", "s"]);
        let sx =
            &result["parameters"].as_array().unwrap().iter().find(|p| p["name"] == "sx").unwrap();
        assert_eq!((&sx["unit"], &sx["free"]), (&"m".into(), &true.into()));
        // It is told to a small part of itself.
        assert!(number(&result, "sx", "sigma") < 3e-4, "{sx}");
    }
}

#[test]
fn known_displacements_of_each_map_are_read_from_its_header_or_from_the_option() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let shift = "--shift 0mm:0mm,5mm:0mm,0mm:-6mm";
    run(&format!("{SHIFTED} --noise additive=0.003 --order 4 --rms 0.4rad {shift}"), at);
    let result = json("oof-fit maps.fits --order 4", at);
    let pulls = assert_true(&result, at, &["z"]);
    assert!(pulls < 2.5, "{pulls}");
    assert_eq!(result, json(&format!("oof-fit maps.fits --order 4 {shift}"), at));
    assert_eq!(result["maps"][2]["shift_m"][1], -6e-3);
    // Without it coma is what it is not.
    let without = suspect("oof-fit maps.fits --order 4 --shift 0mm:0mm,0mm:0mm,0mm:0mm", at);
    for (name, value) in truth(at).iter().filter(|t| ["z7", "z8"].contains(&t.0.as_str())) {
        let off = (number(&without, name, "value") - value) / number(&without, name, "sigma");
        assert!(off.abs() > 8.0, "{name} is only {off:.1} sigma off");
    }
}

/// A prior is as good as a measurement: the coefficients of coma are as uncertain as it leaves them, and true.
#[test]
fn a_prior_parts_a_lateral_displacement_from_coma() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    run(
        &format!(
            "{SHIFTED} --noise additive=0.003 --order 5 --rms 0.4rad --seed 3 --set sx=0.7mm,sy=-0.5mm"
        ),
        at,
    );
    let prior = "oof-fit maps.fits --order 5 --prior sx=0mm:1mm,sy=0mm:1mm";
    let result = json(prior, at);
    assert_true(&result, at, &["z", "s"]);
    let wider = |name| {
        let alone = json("oof-fit maps.fits --order 5 --start sx=0.7mm,sy=-0.5mm", at);
        number(&result, name, "sigma") / number(&alone, name, "sigma")
    };
    assert!(wider("z8") > 5.0 && wider("z7") > 5.0 && wider("z3") < 1.1);
    let sigma = number(&result, "sx", "sigma");
    assert!((sigma - 1e-3).abs() < 2e-4, "as the prior has it: {sigma}");
    let flags = result["flags"].as_array().unwrap();
    assert!(flags.iter().all(|f| f["name"] != "known-together"), "the prior tells them apart");
    // Where the maps are so good that all of coma's error is the prior's, that is a flag, no reason to doubt.
    let good = "--noise additive=0.0003 --order 5 --rms 0.4rad --seed 3 --set sx=0.7mm";
    run(&format!("{SHIFTED} {good}"), at);
    let result = json(prior, at);
    assert_true(&result, at, &["z", "s"]);
    let flags = result["flags"].as_array().unwrap();
    let flag = flags.iter().find(|f| f["name"] == "known-together").unwrap();
    let reason = flag["reason"].as_str().unwrap();
    assert!(reason.contains("z8") && reason.contains("sx"), "{reason}");
}

/// Without a prior nothing parts them, and that is said.
#[test]
fn what_the_maps_do_not_tell_apart_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let said = |line: &str| {
        let output = shell(&format!("{line} --quiet"), at);
        let result: Value = serde_json::from_slice(&output.stdout).unwrap();
        format!("{}: {} {}", result["status"], result["message"], result["flags"])
    };
    run(&format!("{SHIFTED} --noise additive=0.003 --order 5 --rms 0.4rad"), at);
    let words = said("oof-fit maps.fits --order 5 --free sx");
    assert!(words.starts_with("\"suspect\"") && words.contains("apart"), "{words}");
    assert!(words.contains("z8") && words.contains("sx"), "{words}");
    // The gaussian's own place is a slope of its logarithm, to the last digit.
    run(
        "oof-simulate --telescope nikolic2018 --grid 64 --order 3 --rms 0.3rad -o maps.fits --force",
        at,
    );
    let words = said("oof-fit maps.fits --order 3 --amplitude-order 1 --free x0");
    assert!(words.starts_with("\"suspect\"") && words.contains("do not tell"), "{words}");
    assert!(words.contains("a2") && words.contains("x0"), "{words}");
    // A dish as flat as this one's has the path of coma, to the last digits.
    let words = said("oof-fit maps.fits --order 7 --free sx");
    assert!(words.starts_with("\"suspect\""), "{words}");
    assert!(words.contains("z8") && words.contains("sx"), "{words}");
}

#[test]
fn gradients_of_all_that_can_be_free_are_those_of_differences() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    for telescope in ["gbt", "lmt", "nikolic2018"] {
        let line = format!(
            "oof-simulate --telescope {telescope} --grid 64 --order 3 --rms 0.3rad --set sx=1mm,a4=0.2 \
             --shift 0mm:0mm,1mm:0mm,0mm:1mm -o maps.fits --force"
        );
        run(&line, at);
        let line = "oof-grad maps.fits --order 3 --amplitude-order 3 --free sx,sy,x0,y0,sigma --check \
                    --start sx=0.6mm,sy=-0.3mm,a1=0.1,a4=0.1,a8=-0.05,z3=0.2rad";
        let result = json(line, at);
        let rows = result["parameters"].as_array().unwrap();
        for name in ["sx", "sy", "a1", "a9"] {
            let row = rows.iter().find(|row| row["name"] == name).unwrap();
            assert!(row["gradient"].as_f64().unwrap() != 0.0, "{row}");
        }
    }
}

#[test]
fn results_with_such_parameters_can_be_gone_on_from() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    run(
        "oof-simulate --telescope alma --grid 64 --order 3 --rms 0.3rad --noise additive=0.002 \
         --set a3=0.1,sx=0.3mm -o maps.fits",
        at,
    );
    let options = "--order 3 --amplitude-order 2 --prior sx=0mm:1mm";
    run(&format!("oof-fit maps.fits {options} -o fit.json"), at);
    let fit: Value = serde_json::from_slice(&std::fs::read(at.join("fit.json")).unwrap()).unwrap();
    // All of them are in a gradient and in a simulation at the fit's parameters.
    let grad = json("oof-grad maps.fits --parameters fit.json --free sx,a3", at);
    let rows = grad["parameters"].as_array().unwrap();
    for name in ["sx", "a3"] {
        let row = rows.iter().find(|row| row["name"] == name).unwrap();
        assert_eq!(row["value"], number(&fit, name, "value"));
    }
    run("oof-simulate --parameters fit.json --noise none -o model.fits", at);
    let bytes = std::fs::read(at.join("model.fits")).unwrap();
    let truth = oof::io::fits::read_maps(&bytes, "maps").unwrap().truth;
    for name in ["sx", "sy", "a3", "z5"] {
        let known = truth.iter().find(|t| t.0 == name).unwrap();
        assert_eq!(known.1, number(&fit, name, "value"));
    }
    // A fit that has no such parameters starts from the rest of it, and does not explain the maps.
    let plain = suspect("oof-fit maps.fits --order 3 --start fit.json", at);
    assert!(plain["parameters"].as_array().unwrap().iter().all(|p| p["name"] != "a3"));
    let again = json(&format!("oof-fit maps.fits {options} --start fit.json"), at);
    let off = (number(&again, "a3", "value") - number(&fit, "a3", "value")).abs();
    assert!(off < 0.1 * number(&fit, "a3", "sigma"), "{off}");
}

/// The two-mirror path as a radial polynomial: `(1-a^2)/(1+a^2) = 1 - 2 a^2 + 2 a^4 - ...` of a dish so flat
/// that three terms have it to 1e-7.
#[test]
fn a_shaped_dish_of_the_users_own_fits_as_the_mirrors_that_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let dish = |path: &str| {
        let text = include_str!("../lib/optics/telescopes/generic.toml");
        let old = "kind = \"prime-focus\"\nfocal_length = \"4.8m\"";
        assert!(text.contains(old));
        text.replace(old, path).replace("\"generic\"", "\"mine\"")
    };
    // a = r/2F: at the rim 0.1 and 0.01.
    let two =
        "kind = \"two-mirror\"\nprimary_focal_length = \"30m\"\neffective_focal_length = \"300m\"";
    let radial = format!(
        "kind = \"radial\"\nreference_radius = \"6m\"\ncoefficients = [2, 0, {}, 0, {}, 0, {}]",
        -2.0 * (1e-2 + 1e-4),
        2.0 * (1e-4 + 1e-8),
        -2.0 * (1e-6 + 1e-12)
    );
    std::fs::write(at.join("two.toml"), dish(two)).unwrap();
    std::fs::write(at.join("radial.toml"), dish(&radial)).unwrap();
    run(
        "oof-simulate --telescope two.toml --grid 64 --order 3 --rms 0.3rad --noise additive=0.003 \
         --defocus -200mm,0mm,200mm -o maps.fits",
        at,
    );
    let fit =
        |name: &str| json(&format!("oof-fit maps.fits --order 3 --telescope {name}.toml"), at);
    let (two, radial) = (fit("two"), fit("radial"));
    for name in ["z3", "z4", "z5", "z7", "z8"] {
        let sigma = number(&two, name, "sigma");
        let off = number(&two, name, "value") - number(&radial, name, "value");
        assert!(off.abs() < 0.01 * sigma, "{name}: {off}, sigma {sigma}");
    }
    // What such a file does not say is asked for when it is needed.
    for (name, needed) in [("two", "gregorian"), ("radial", "lateral")] {
        let line = format!("oof-fit maps.fits --order 3 --telescope {name}.toml --free sx");
        assert_refused(&shell(&line, at), 2, "oof-fit", needed, &line);
    }
}

#[test]
fn what_makes_no_sense_is_refused_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    run("oof-simulate --telescope alma --grid 64 --order 2 --rms 0.3rad -o maps.fits", at);
    for (line, said) in [
        ("oof-fit maps.fits --order 2 --free a3", "--amplitude-order 2"),
        ("oof-fit maps.fits --order 2 --amplitude-order 21", "0 to 20"),
        ("oof-fit maps.fits --order 2 --shift 1mm:0mm", "3 maps"),
        ("oof-fit maps.fits --order 2 --shift 1mm,1mm,1mm", "X:Y"),
        ("oof-fit maps.fits --order 2 --shift 1:0,1:0,1:0", "unit"),
        ("oof-simulate --telescope alma --shift 1mm:0mm", "3 maps"),
        ("oof-fit maps.fits --order 2 --prior sx=0:1", "sx"),
        ("oof-simulate --telescope alma --set a0=0.1", "unknown parameter 'a0'"),
    ] {
        let name = line.split(' ').next().unwrap();
        assert_refused(&shell(&format!("{line} --quiet"), at), 2, name, said, line);
    }
}
