//! Going on from an earlier fit, with other maps than it had.

mod programs;

use oof::device::Precision;
use oof::io::fits::{read_maps, write_maps};
use oof::optics::beam_map::MapSet;
use programs::{assert_silent_success, shell, text};
use serde_json::Value;
use std::path::Path;

/// Simulated maps, and some of them in another order.
fn simulated(options: &str, name: &str, chosen: &[usize], at: &Path) {
    let line =
        format!("oof-simulate --telescope nikolic2018 --grid 64 {options} -o all.fits --force");
    assert_silent_success(&shell(&line, at), &line);
    let set = read_maps(&std::fs::read(at.join("all.fits")).unwrap(), "all.fits").unwrap();
    let maps = chosen.iter().map(|&i| set.maps[i].clone()).collect();
    let some = write_maps(&MapSet { maps, truth: Vec::new(), ..set }, &[], Precision::F64);
    std::fs::write(at.join(name), some.unwrap()).unwrap();
}

fn fit(line: &str, at: &Path) -> Value {
    let output = shell(&format!("oof-fit {line} --quiet"), at);
    assert!(output.status.success(), "{line}: {}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Fits and keeps the result.
fn keep(line: &str, name: &str, at: &Path) {
    let output = shell(&format!("oof-fit {line} -o {name} --quiet"), at);
    assert_silent_success(&output, line);
}

fn evaluations(result: &Value) -> u64 {
    result["evaluations"]["coarse"].as_u64().unwrap()
        + result["evaluations"]["full"].as_u64().unwrap()
}

/// A fit stops within 1e-4 of the optimum in log-likelihood, which is within 0.02 sigma.
fn assert_same(a: &Value, b: &Value) {
    for (a, b) in
        a["parameters"].as_array().unwrap().iter().zip(b["parameters"].as_array().unwrap())
    {
        let Some(sigma) = a["sigma"].as_f64() else { continue };
        let off = (a["value"].as_f64().unwrap() - b["value"].as_f64().unwrap()) / sigma;
        assert!(off.abs() < 0.1, "{}: {off} sigma apart", a["name"]);
    }
}

const BENT: &str = "--order 4 --rms 0.7rad --seed 5 --noise additive=0.005";

#[test]
fn one_more_map_and_another_order_of_maps_are_fitted_from_the_last_fit_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    simulated(BENT, "two.fits", &[0, 1], at);
    simulated(BENT, "three.fits", &[2, 1, 0], at);
    keep("two.fits --order 4", "two.json", at);
    let (cold, warm) =
        (fit("three.fits --order 4", at), fit("three.fits --order 4 --start two.json", at));
    assert_same(&cold, &warm);
    let (long, short) = (evaluations(&cold), evaluations(&warm));
    // It was to take less than half of more than 42, before a fit from nothing took half of that.
    assert!(short < long && short < 21, "{short} evaluations, {long} from nothing");
    // The other way: fewer maps than the start has, with no gain of their own now.
    keep("three.fits --order 4", "three.json", at);
    let line = "two.fits --order 4 --nuisance offset,background";
    assert_same(&fit(line, at), &fit(&format!("{line} --start three.json"), at));
}

#[test]
fn a_start_of_another_order_or_surface_ends_at_the_same_optimum() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    simulated(BENT, "maps.fits", &[0, 1, 2], at);
    let cold = fit("maps.fits --order 4", at);
    for order in [2, 6] {
        let start = format!("start{order}.json");
        // An order too low does not explain the maps, and says so.
        let _ = shell(&format!("oof-fit maps.fits --order {order} -o {start} --quiet"), at);
        assert_same(&cold, &fit(&format!("maps.fits --order 4 --start {start}"), at));
    }
    simulated(
        "--order 4 --rms 0.9rad --seed 8 --noise additive=0.005",
        "other.fits",
        &[0, 1, 2],
        at,
    );
    keep("other.fits --order 4", "other.json", at);
    assert_same(&cold, &fit("maps.fits --order 4 --start other.json", at));
}

#[test]
fn the_maps_of_a_fit_are_simulated_again_at_its_own_focus_settings_and_at_others_without_their_gains()
 {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let settings = "--defocus=-30mm,0mm,40mm --shift 1mm:0mm,0mm:0mm,0mm:2mm --chop 30arcmin";
    let gains = "--set gain[0]=0.5,gain[1]=0.8 --noise additive=0.002 --order 3 --rms 0.4rad";
    simulated(&format!("{settings} {gains}"), "maps.fits", &[0, 1, 2], at);
    let maps = |line: &str| -> MapSet {
        let line =
            format!("oof-simulate --grid 64 --noise none {line} -o again.fits --force --quiet");
        assert_silent_success(&shell(&line, at), &line);
        read_maps(&std::fs::read(at.join("again.fits")).unwrap(), "again.fits").unwrap()
    };
    let known = read_maps(&std::fs::read(at.join("maps.fits")).unwrap(), "maps.fits").unwrap();
    let dz = |set: &MapSet| set.maps.iter().map(|map| map.defocus).collect::<Vec<_>>();
    for name in ["fit.json", "fit.fits"] {
        keep("maps.fits --order 3", name, at);
        let again = maps(&format!("--parameters {name}"));
        assert_eq!(
            (dz(&again), &again.shift, again.chop.is_some()),
            (dz(&known), &known.shift, true)
        );
        for (again, known) in again.maps.iter().zip(&known.maps) {
            let off = again.power.iter().zip(&known.power).map(|(a, b)| (a - b).abs());
            // Six of the noise's standard deviations, which are parts of the highest peak.
            assert!(off.fold(0.0, f64::max) < 0.012, "{name} {}", known.name);
        }
        let two = maps(&format!("--parameters {name} --defocus=-30mm,0mm --chop none"));
        assert_eq!((dz(&two), two.chop), (vec![-0.03, 0.0], None));
        let wider = maps(&format!("--parameters {name} --chop 40arcmin"));
        let chop = wider.truth.iter().find(|p| p.0 == "chop").unwrap().1;
        assert_eq!(Some(chop), wider.chop);
        assert!(two.truth.iter().all(|(name, value)| !name.starts_with("gain") || *value == 1.0));
    }
}
