//! Draws from the posterior, and the scale of the residuals as a parameter.

mod programs;

use programs::{assert_refused, assert_silent_success, shell, text};
use serde_json::Value;
use std::path::Path;

/// Noise of 1 % of the peak, known from the header.
const MAPS: &str = "oof-simulate --telescope nikolic2018 --grid 48 --order 3 --rms 0.3rad --seed 2 --noise additive=0.01 -o maps.fits";

fn simulated() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    assert_silent_success(&shell(MAPS, folder.path()), MAPS);
    folder
}

fn json(line: &str, at: &Path) -> Value {
    let output = shell(line, at);
    assert!(output.status.success(), "{line}: {}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn named<'a>(list: &'a Value, name: &str) -> &'a Value {
    list.as_array().unwrap().iter().find(|p| p["name"] == name).unwrap()
}

fn number(value: &Value, key: &str) -> f64 {
    value[key].as_f64().unwrap()
}

/// At this noise the likelihood is gaussian in the parameters. The sandwich scatters about the inverse
/// curvature by `1 / sqrt(2 N)` with the number of samples that tell a parameter, some 60 of a beam's place;
/// the draws by what their number allows.
fn assert_like_the_errors(result: &Value, leeway: f64) {
    let posterior = &result["posterior"];
    let free = result["parameters"].as_array().unwrap().iter().filter(|p| p["free"] == true);
    let mut compared = 0;
    for parameter in free {
        let name = parameter["name"].as_str().unwrap();
        let drawn = named(&posterior["parameters"], name);
        let (sd, ess, sigma) =
            (number(drawn, "sd"), number(drawn, "ess"), number(parameter, "sigma"));
        assert!(number(drawn, "rhat") < 1.03 && ess > 400.0, "{drawn}");
        let most = leeway + 5.0 / (2.0 * ess).sqrt();
        assert!((sd / sigma - 1.0).abs() < most, "{name}: {sd} of {sigma}, leeway {most}");
        let off = (number(drawn, "mean") - number(parameter, "value")) / sd;
        assert!(off.abs() < 0.1 + 5.0 / ess.sqrt(), "{name}: {off} sd off");
        compared += 1;
    }
    assert!(compared > 15, "{compared}");
    let rms = named(&posterior["derived"], "surface_rms_m");
    let sigma = number(&result["surface"], "surface_rms_sigma_m");
    let most = leeway + 5.0 / (2.0 * number(rms, "ess")).sqrt();
    assert!((number(rms, "sd") / sigma - 1.0).abs() < most, "{rms} {sigma}");
    let ruze = named(&posterior["derived"], "ruze_efficiency");
    let off = number(ruze, "q50") - number(&result["surface"], "ruze_efficiency");
    assert!(off.abs() < 0.5 * number(ruze, "sd"), "{ruze}");
}

#[test]
fn the_posterior_of_gaussian_noise_is_as_wide_as_the_errors() {
    let folder = simulated();
    let line = "oof-fit maps.fits --order 3 --likelihood gaussian --sample 2000 --seed 1";
    let result = json(line, folder.path());
    assert_eq!(result["posterior"]["power"], 1.0);
    assert_eq!(result["posterior"]["draws"], 2000);
    assert_eq!(result["posterior"]["divergences"], 0);
    assert_like_the_errors(&result, 0.15);
}

#[test]
fn that_of_cauchy_at_four_sigma_is_made_as_wide_and_says_so() {
    let folder = simulated();
    let output = shell("oof-fit maps.fits --order 3 --sample 1000", folder.path());
    assert!(text(&output.stderr).contains("to the power of"), "{}", text(&output.stderr));
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    // For normal residuals z: <psi'> / <psi^2> of r = z/4, by the midpoint rule.
    let mean = |f: fn(f64) -> f64| -> f64 {
        let at = |i: i32| 0.001 * (f64::from(i) + 0.5);
        let density = |z: f64| (-0.5 * z * z).exp() / std::f64::consts::TAU.sqrt();
        (-8000..8000).map(|i| 0.001 * f(at(i) / 4.0) * density(at(i))).sum()
    };
    let slope = mean(|r| 2.0 * (1.0 - r * r) / (1.0 + r * r).powi(2));
    let square = mean(|r| (2.0 * r / (1.0 + r * r)).powi(2));
    let power = number(&result["posterior"], "power");
    assert!((power / (slope / square) - 1.0).abs() < 0.05, "{power}, {}", slope / square);
    assert_like_the_errors(&result, 0.15);
}

#[test]
fn draws_are_the_same_for_any_number_of_threads() {
    let folder = simulated();
    let at = folder.path();
    let run = |threads: u32, seed: u32| {
        let line = format!(
            "oof-fit maps.fits --order 3 --likelihood gaussian --sample 100 --quiet -j {threads} \
             --seed {seed} --samples d{threads}-{seed}.csv"
        );
        let mut result = json(&line, at);
        result["threads"] = Value::Null;
        let draws = std::fs::read_to_string(at.join(format!("d{threads}-{seed}.csv"))).unwrap();
        (result, draws)
    };
    let one = run(1, 0);
    assert_eq!(one, run(3, 0));
    assert_ne!(one.1, run(1, 7).1);
    let rows: Vec<Vec<&str>> = one.1.lines().map(|l| l.split(',').collect()).collect();
    assert_eq!(rows.len(), 101);
    assert_eq!((rows[0][0], rows[1][0], rows[100][0]), ("chain", "0", "3"));
    // The summary is that of the table.
    let column = rows[0].iter().position(|name| *name == "z3").unwrap();
    let sum: f64 = rows[1..].iter().map(|row| row[column].parse::<f64>().unwrap()).sum();
    let mean = number(named(&one.0["posterior"]["parameters"], "z3"), "mean");
    assert!((sum / 100.0 - mean).abs() < 1e-12, "{sum} {mean}");
}

#[test]
fn the_draws_in_fits_and_npy_are_the_same() {
    let folder = simulated();
    let at = folder.path();
    let fit = "oof-fit maps.fits --likelihood gaussian --sample 100 --quiet";
    let result = json(&format!("{fit} --order 3 --samples d.npy"), at);
    let count = |key: &str| result["posterior"][key].as_array().unwrap().len();
    let columns = count("parameters") + count("derived");
    let npy = std::fs::read(at.join("d.npy")).unwrap();
    let header = text(&npy[10..npy.len() - 800 * columns]);
    assert!(header.contains(&format!("(100, {columns})")), "{header}");
    let numbers = npy[npy.len() - 800 * columns..].as_chunks::<8>().0;
    let line = format!("{fit} --order 3 -o fit.fits");
    assert_silent_success(&shell(&line, at), &line);
    // The same numbers the other way round, after the number of the chain.
    let bytes = std::fs::read(at.join("fit.fits")).unwrap();
    let data = data_of(&bytes, "POSTERIOR");
    for (i, row) in numbers.chunks(columns).enumerate() {
        let there = &bytes[data + i * (4 + 8 * columns)..][..4 + 8 * columns];
        assert_eq!(there[..4], (i as i32 / 25).to_be_bytes());
        let values = there[4..].as_chunks::<8>().0;
        let same = |(a, b): (&[u8; 8], &[u8; 8])| f64::from_le_bytes(*a) == f64::from_be_bytes(*b);
        assert!(row.iter().zip(values).all(same), "row {i}");
    }
    let header = String::from_utf8_lossy(&bytes[..data]);
    assert!(header.contains("'gain_0  '") && header.contains("'surface_rms_m'"));
    // An order that is chosen has its posterior too.
    let result = json(&format!("{fit} --order auto:4"), at);
    let free = result["parameters"].as_array().unwrap().iter().filter(|p| p["free"] == true);
    assert_eq!(result["posterior"]["parameters"].as_array().unwrap().len(), free.count());
}

#[test]
fn what_cannot_be_drawn_is_refused_before_the_work() {
    let folder = simulated();
    for (options, said) in [
        ("--sample 10", "10"),
        ("--sample 1000 --no-errors", "--no-errors"),
        ("--samples d.csv", "--sample"),
        ("--seed 3", "--sample"),
        ("--sample 100 --samples d.txt", "expected .csv or .npy"),
        ("--sample 100 --samples maps.fits", "given for an input"),
        ("--sample 100 --samples x.csv -o x.csv", "the draws"),
        ("--scale fit --fix ln_scale", "ln_scale"),
        ("--scale 0", "or fit"),
        ("--free ln_scale", "--scale fit"),
    ] {
        let output = shell(&format!("oof-fit maps.fits {options}"), folder.path());
        assert_refused(&output, 2, "oof-fit", said, options);
    }
    // Two gains that do the same: no errors, so nothing to draw from.
    let line = "oof-fit maps.fits --order 2 --free amp --sample 100 --samples d.csv";
    let output = shell(line, folder.path());
    assert_refused(&output, 1, "oof-fit", "nothing is drawn", line);
    assert!(!folder.path().join("d.csv").exists());
}

/// Where the data of an extension begin in a FITS file.
fn data_of(bytes: &[u8], name: &str) -> usize {
    let card = format!("EXTNAME = '{name}");
    let place = bytes.windows(card.len()).position(|w| w == card.as_bytes()).unwrap();
    // The header ends with END and blanks, in blocks of 2880 bytes from the start of the file.
    let end = place + bytes[place..].windows(8).position(|w| w == b"END     ").unwrap();
    end.div_ceil(2880) * 2880
}

/// What every sample of the fit's maps leaves.
fn residuals(folder: &Path, line: &str) -> Vec<f64> {
    let output = shell(&format!("{line} -o fit.fits --force"), folder);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let bytes = std::fs::read(folder.join("fit.fits")).unwrap();
    let mut found = Vec::new();
    for name in ["RESIDUAL0", "RESIDUAL1", "RESIDUAL2"] {
        let data = data_of(&bytes, name);
        let values = bytes[data..data + 48 * 48 * 8].as_chunks::<8>().0;
        found.extend(values.iter().map(|v| f64::from_be_bytes(*v)));
    }
    found
}

/// The scale of the first map's residuals, in its unit: a part of its peak, glitches aside.
fn scale(result: &Value, folder: &Path) -> f64 {
    let bytes = std::fs::read(folder.join("maps.fits")).unwrap();
    let maps = oof::io::fits::read_maps(&bytes, "maps").unwrap();
    number(&result["likelihood"], "scale") * maps.maps[0].robust_peak()
}

#[test]
fn a_fitted_gaussian_scale_is_the_rms_of_what_is_left() {
    let folder = simulated();
    let line = "oof-fit maps.fits --order 3 --likelihood gaussian --scale fit --quiet";
    let result = json(line, folder.path());
    let left = residuals(folder.path(), line);
    let count = left.len() as f64;
    assert_eq!(count, 3.0 * 48.0 * 48.0);
    let rms = (left.iter().map(|r| r * r).sum::<f64>() / count).sqrt();
    let scale = scale(&result, folder.path());
    assert!((scale / rms - 1.0).abs() < 1e-5, "{scale} {rms}");
    assert_eq!(result["likelihood"]["fitted"], true);
    // The rms of N normal residuals is known to 1 in sqrt(2N), and that of the maps is their noise.
    let ln_scale = named(&result["parameters"], "ln_scale");
    let sigma = number(ln_scale, "sigma");
    assert!((sigma * (2.0 * count).sqrt() - 1.0).abs() < 0.05, "{sigma}");
    assert!(number(ln_scale, "value").abs() < 5.0 * sigma, "{ln_scale}");
}

#[test]
fn a_fitted_cauchy_scale_is_the_likeliest_and_its_posterior_needs_no_power() {
    let folder = simulated();
    let line = "oof-fit maps.fits --order 3 --scale fit --quiet";
    let result = json(&format!("{line} --sample 1000"), folder.path());
    let left = residuals(folder.path(), line);
    // d/ds of sum ln(1 + (r/s)^2) + N ln s is 0 where the mean of 2 q/(1 + q) is 1, q = (r/s)^2: by halving.
    let (mut low, mut high) = (1e-9, 1e9);
    for _ in 0..200 {
        let s: f64 = f64::sqrt(low * high);
        let q = left.iter().map(|r| (r / s).powi(2));
        let mean = q.map(|q| 2.0 * q / (1.0 + q)).sum::<f64>() / left.len() as f64;
        if mean > 1.0 { low = s } else { high = s }
    }
    let scale = scale(&result, folder.path());
    assert!((scale / low - 1.0).abs() < 1e-3, "{scale} {low}");
    // Of normal noise it is 0.612 sigma: E[1/(1 + (z/s)^2)] = 1/2.
    assert!((scale / 0.01 / number(&result["maps"][0], "peak") - 0.612).abs() < 0.02, "{scale}");
    assert_eq!(result["posterior"]["power"], 1.0);
    let drawn = named(&result["posterior"]["parameters"], "ln_scale");
    let own = named(&result["parameters"], "ln_scale");
    let off = (number(drawn, "mean") - number(own, "value")) / number(drawn, "sd");
    assert!(off.abs() < 0.1 + 5.0 / number(drawn, "ess").sqrt(), "{drawn} {own}");
}

#[test]
fn the_gradient_by_the_scale_is_that_of_differences() {
    let folder = simulated();
    for kind in ["gaussian", "cauchy"] {
        let line = format!(
            "oof-grad maps.fits --order 2 --likelihood {kind} --scale fit --start ln_scale=-0.4 --check"
        );
        let output = shell(&line, folder.path());
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert!(text(&output.stdout).contains("ln_scale"), "{}", text(&output.stdout));
    }
}
