//! The main job: what was simulated comes back, whatever the seed, the format and the nuisances.

mod programs;

use oof::optics::beam_map::{BeamMap, MapSet, Sampling, Sigma};
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
    let output = shell(&format!("{line} --quiet"), at);
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
    let (mut pulls, mut long) = ((0.0, 0), Vec::new());
    for seed in 1..=20 {
        let line = format!("{SIMULATE} --seed {seed} -o maps.fits --force");
        assert_silent_success(&shell(&line, folder.path()), &line);
        let maps = std::fs::read(folder.path().join("maps.fits")).unwrap();
        for nuisance in ["all", "none"] {
            let line = format!("oof-fit maps.fits --order 5 --nuisance {nuisance}");
            let result = fit(&line, folder.path());
            // The way is gone on few samples; the whole maps only settle it. (Where what is left has a pattern, by
            // chance here, there may be a better optimum, and the search goes on for a while.)
            let evaluations = |kind: &str| result["evaluations"][kind].as_u64().unwrap();
            assert!(evaluations("coarse") > 0 && evaluations("full") <= 75, "seed {seed}");
            long.extend((evaluations("full") > 25).then_some((seed, nuisance)));
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
    assert!(long.len() <= 3, "{long:?}");
    // The errors are of the right size: chi-squared of 720 numbers over 720 is within five of its standard
    // deviations, sqrt(2 / 720), of 1, with as much again for coefficients that are not independent.
    let mean = pulls.0 / f64::from(pulls.1);
    assert!((mean - 1.0).abs() < 0.5, "the errors are wrong by the square root of {mean}");
}

/// Makes `maps.fits` by the line `simulate` and fits it by another: every free Zernike coefficient must be within five sigma
/// of the truth. Returns how many there were.
fn judge_within_five_sigma(simulate: &str, line: &str) -> usize {
    let folder = tempfile::tempdir().unwrap();
    assert_silent_success(&shell(simulate, folder.path()), simulate);
    let maps = std::fs::read(folder.path().join("maps.fits")).unwrap();
    let mut judged = 0;
    for (name, value, sigma) in parameters(&fit(line, folder.path())) {
        if name.starts_with('z') && !["z0", "z1", "z2"].contains(&name.as_str()) {
            let off = (value - truth(&maps, &name)) / sigma;
            assert!(off.abs() < 5.0, "{simulate}: {name} is {off:.1} sigma off");
            judged += 1;
        }
    }
    judged
}

/// Strong aberrations, signal-to-noise 200. With these seeds the way from nothing ends in a local minimum, or
/// (the last one) a map out of focus is brought into focus; `cargo bench --bench surfaces` counts hundreds.
#[test]
fn surfaces_of_one_and_a_half_radians_are_found_from_a_cold_start() {
    for (telescope, seeds) in
        [("nikolic2018", &[6, 29, 38, 76, 91][..]), ("srt", &[12, 76]), ("effelsberg", &[48])]
    {
        for seed in seeds {
            let line = format!(
                "oof-simulate --telescope {telescope} --grid 64 --order 5 --rms 1.5rad --noise additive=0.005 \
                 --seed {seed} -o maps.fits --quiet"
            );
            let judged = judge_within_five_sigma(&line, "oof-fit maps.fits --order 5");
            assert_eq!(judged, 18);
        }
    }
}

/// Noise of 1/33 of the highest sample at order 7, which leaves optima that differ by a turn of phase at the rim nearly as
/// likely. With these seeds a search on few samples ends at a wrong one.
#[test]
fn weak_maps_are_not_left_a_turn_of_phase_away() {
    for (telescope, seeds) in [("nikolic2018", [49, 51, 61]), ("gbt", [7, 55, 58])] {
        for seed in seeds {
            let line = format!(
                "oof-simulate --telescope {telescope} --grid 64 --order 7 --rms 1rad --noise additive=0.03 \
                 --seed {seed} -o maps.fits --quiet"
            );
            let judged = judge_within_five_sigma(&line, "oof-fit maps.fits --order 7");
            assert_eq!(judged, 33);
        }
    }
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

/// A planet of one beam's radius, and a receiver of a wide band: the file says what blurred the maps, and a
/// fit that is told otherwise is wrong by many of its own sigmas.
#[test]
fn what_blurs_the_maps_is_taken_into_account_and_matters() {
    let folder = tempfile::tempdir().unwrap();
    // wavelength / diameter = 1.1 mm / 5.6 m = 40.5 arcsec.
    for (blur, sharp, key) in [
        ("--source-radius 40.5arcsec", "--source-radius 0", "source_radius_rad"),
        ("--bandwidth 60GHz --noise additive=0.0005", "--bandwidth 0", "bandwidth_hz"),
    ] {
        for seed in 1..=3 {
            let line = format!("{SIMULATE} --seed {seed} {blur} -o maps.fits --force");
            assert_silent_success(&shell(&line, folder.path()), &line);
            let maps = std::fs::read(folder.path().join("maps.fits")).unwrap();
            let pulls = |result: &Value| -> Vec<f64> {
                let all = parameters(result).into_iter().skip(3);
                let zernikes = all.filter(|p| p.0.starts_with('z'));
                zernikes.map(|(name, value, sigma)| (value - truth(&maps, &name)) / sigma).collect()
            };
            let told = fit("oof-fit maps.fits --order 5", folder.path());
            assert!(told[key].as_f64().unwrap() > 0.0);
            let right = pulls(&told);
            assert_eq!(right.len(), 18);
            assert!(right.iter().all(|pull| pull.abs() < 4.0), "{blur}, seed {seed}: {right:.1?}");
            // Exit status and flags are another matter.
            let output = shell(&format!("oof-fit maps.fits --order 5 {sharp}"), folder.path());
            let untold: Value = serde_json::from_slice(&output.stdout).unwrap();
            assert_eq!(untold[key], 0.0);
            let wrong = pulls(&untold);
            let mean = |pulls: &[f64]| pulls.iter().map(|p| p * p).sum::<f64>() / 18.0;
            println!("{blur}, seed {seed}: {:.2} told, {:.1} not", mean(&right), mean(&wrong));
            // The mean of 18 squares scatters by 1/3 about 1.
            assert!(mean(&wrong) > 4.0, "{sharp}, seed {seed}: {wrong:.1?}");
            let chi2 = |result: &Value| result["reduced_chi2"].as_f64().unwrap();
            assert!((chi2(&told) - 1.0).abs() < 0.03, "{}", chi2(&told));
            assert!(chi2(&untold) > chi2(&told) + 0.05, "{} {}", chi2(&untold), chi2(&told));
        }
    }
}

/// A scan in loops about both beams of a dual-beam receiver; what it saw comes back from FITS and, of the
/// same samples, from text.
#[test]
fn scattered_maps_of_two_beams_give_the_truth_within_four_sigma() {
    let folder = tempfile::tempdir().unwrap();
    // wavelength / diameter = 7e-5 rad; loops of up to 10 and 7 of them.
    let loops = |i: u32| {
        let t = 0.217 * f64::from(i);
        (7e-4 * (1.37 * t).sin() + 1.4e-4, 5e-4 * (2.11 * t).cos())
    };
    let map = |(i, dz): (usize, f64)| {
        let (u, v): (Vec<f64>, Vec<f64>) = (0..8000 + i as u32).map(loops).unzip();
        BeamMap {
            name: format!("MAP{i}"),
            defocus: dz,
            power: vec![1.0; u.len()],
            sampling: Sampling::Scattered { u, v },
            sigma: Sigma::Unknown,
        }
    };
    let like = MapSet {
        maps: [0.0, 0.035, -0.035].into_iter().enumerate().map(map).collect(),
        wavelength: Some(7e-3),
        telescope: Some("gbt".into()),
        chop: Some(2.8e-4),
        ..MapSet::default()
    };
    std::fs::write(folder.path().join("like.fits"), programs::fits(&like)).unwrap();
    let (mut squares, mut judged) = (0.0, 0);
    for seed in 1..=3 {
        // The last is a planet, nearly as wide as a beam.
        let source = if seed == 3 { "--source-radius 7arcsec" } else { "" };
        let line = format!(
            "oof-simulate --like like.fits --order 5 --rms 0.7rad --seed {seed} --noise additive=0.005 \
             --set ratio[0]=0.95,ratio[1]=0.9,ratio[2]=1.05 --quiet -o maps.fits --force {source}"
        );
        assert_silent_success(&shell(&line, folder.path()), &line);
        let bytes = std::fs::read(folder.path().join("maps.fits")).unwrap();
        let maps = oof::io::fits::read_maps(&bytes, "maps").unwrap();
        assert_eq!(maps.maps[1].sampling, like.maps[1].sampling);
        let peak = maps.maps[0].peak();
        assert!(maps.maps[0].power.iter().any(|p| *p < -0.5 * peak));
        for (i, map) in maps.maps.iter().enumerate() {
            std::fs::write(folder.path().join(format!("{i}.txt")), programs::lines(map)).unwrap();
        }
        let of_text = format!(
            "oof-fit --telescope gbt --wavelength 7mm --chop 2.8e-4rad --noise additive=0.005 --order 5 \
             --map 0mm:0.txt --map 35mm:1.txt --map=-35mm:2.txt {source}"
        );
        for line in ["oof-fit maps.fits --order 5", &of_text] {
            for (name, value, sigma) in parameters(&fit(line, folder.path())) {
                let known = ["z0", "z1", "z2"].contains(&name.as_str());
                if known || !(name.starts_with('z') || name.starts_with("ratio")) {
                    continue;
                }
                let off = (value - truth(&bytes, &name)) / sigma;
                assert!(off.abs() < 4.0, "seed {seed}, {line}: {name} is {off:.1} sigma off");
                squares += off * off;
                judged += 1;
            }
        }
    }
    assert_eq!(judged, 2 * 3 * 21);
    // The errors are the scatter: the mean square of 126 pulls, each of them there twice.
    let mean = squares / f64::from(judged);
    assert!((0.6..1.6).contains(&mean), "mean square of the pulls {mean}");
}
