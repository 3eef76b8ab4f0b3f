//! What a fit is for: corrections, tables for other programs, and fields from GRASP.

mod programs;

use num_complex::Complex64;
use programs::{assert_refused, assert_silent_success, shell, text};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use serde_json::Value;
use std::f64::consts::{PI, TAU};
use std::path::Path;

const MAPS: &str = "oof-simulate --telescope nikolic2018 --grid 64 --order 3 --rms 0.3rad --seed 2 --noise additive=0.002 -o maps.fits";

fn simulated(line: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    assert_silent_success(&shell(line, folder.path()), line);
    folder
}

fn json(line: &str, at: &Path) -> Value {
    let output = shell(line, at);
    assert_silent_success(&output, line);
    serde_json::from_slice(&output.stdout).unwrap()
}

fn value(result: &Value, name: &str, key: &str) -> f64 {
    let all = result["parameters"].as_array().unwrap();
    all.iter().find(|p| p["name"] == name).unwrap()[key].as_f64().unwrap()
}

#[test]
fn actuators_get_minus_the_surface_and_the_clip_is_told() {
    let folder = simulated(MAPS);
    let at = folder.path();
    std::fs::write(at.join("act.csv"), "name,x,y\nA,0.5,1\nB,-2,0.3\n").unwrap();
    let line = "oof-fit maps.fits --order 3 --actuators act.csv";
    let result = json(line, at);
    let table = std::fs::read_to_string(at.join("act.corrections.csv")).unwrap();
    let rows: Vec<Vec<&str>> = table.lines().map(|l| l.split(',').collect()).collect();
    let correction = |i: usize| rows[i][3].parse::<f64>().unwrap();
    // Without the piston, which is the same for both: Born & Wolf written out.
    let phase = |x: f64, y: f64| {
        let (x, y) = (x / 2.8, y / 2.8);
        let r2 = x * x + y * y;
        let shapes = [
            2.0 * x * y,
            2.0 * r2 - 1.0,
            x * x - y * y,
            3.0 * x * x * y - y * y * y,
            (3.0 * r2 - 2.0) * y,
            (3.0 * r2 - 2.0) * x,
            x * x * x - 3.0 * x * y * y,
        ];
        (3..).zip(shapes).map(|(j, z)| value(&result, &format!("z{j}"), "value") * z).sum::<f64>()
    };
    let known = -(phase(0.5, 1.0) - phase(-2.0, 0.3)) * 1.1e-3 / (4.0 * PI) * 1e6;
    assert!((correction(1) - correction(2) - known).abs() < 1e-9, "{table}");
    assert!(rows[1][4].parse::<f64>().unwrap() > 0.0);
    // It is there now.
    assert_refused(&shell(line, at), 2, "oof-fit", "act.corrections.csv", line);
    let line = "oof-fit maps.fits --order 3 --actuators act.csv --corrections c.csv --clip 0.1um";
    let output = shell(line, at);
    assert_eq!(text(&output.stderr), "oof-fit: 2 of 2 corrections are clipped\n");
    let clipped = std::fs::read_to_string(at.join("c.csv")).unwrap();
    assert!(clipped.lines().skip(1).all(|l| l.ends_with(",1")), "{clipped}");
    std::fs::write(at.join("far.csv"), "x,y\n500,0\n").unwrap();
    let line = "oof-fit maps.fits --order 3 --actuators far.csv";
    assert_refused(&shell(line, at), 2, "oof-fit", "far.csv, row 1", line);
}

#[test]
fn tables_of_a_fit_that_is_not_to_be_trusted_say_so() {
    let folder = simulated(MAPS);
    let at = folder.path();
    std::fs::write(at.join("act.csv"), "x,y\n0.5,1\n").unwrap();
    // Not enough polynomials for these maps.
    let line = "oof-fit maps.fits --order 1 --actuators act.csv -o bad.gbt.csv";
    assert_eq!(shell(line, at).status.code(), Some(1), "{line}");
    for (file, header) in [("act.corrections.csv", "x,y,"), ("bad.gbt.csv", "k,n,l,")] {
        let table = std::fs::read_to_string(at.join(file)).unwrap();
        let lines: Vec<&str> = table.lines().collect();
        assert!(lines[0].starts_with("# suspect: "), "{table}");
        assert!(lines[1].starts_with(header), "{table}");
    }
    let again = json("oof-fit maps.fits --order 3 --start bad.gbt.csv", at);
    assert_eq!(again["status"], "converged");
}

#[test]
fn tables_of_the_gbt_and_pyoof_are_written_and_start_a_fit() {
    let folder = simulated(MAPS);
    let at = folder.path();
    let result = json("oof-fit maps.fits --order 3", at);
    for (name, index, unit) in
        [("t.gbt.csv", "6,2,-2,", -1.1e3 / (4.0 * PI)), ("t.pyoof.csv", "3,2,-2,", 1.0 / TAU)]
    {
        let line = format!("oof-fit maps.fits --order 3 -o {name}");
        assert_silent_success(&shell(&line, at), &line);
        let table = std::fs::read_to_string(at.join(name)).unwrap();
        let row = table.lines().find(|l| l.starts_with(index)).unwrap();
        let found: f64 = row.split(',').nth(3).unwrap().parse().unwrap();
        let known = value(&result, "z3", "value") * unit;
        assert!((found - known).abs() < 1e-12 * known.abs(), "{name}: {found} {known}");
        // Nothing is fitted but one coefficient: the others stay where the table has them.
        let fixed: Vec<String> = (4..10).map(|j| format!("z{j}")).collect();
        let again = json(
            &format!("oof-fit maps.fits --order 3 --start {name} --fix {}", fixed.join(",")),
            at,
        );
        for z in &fixed {
            let (old, new) = (value(&result, z, "value"), value(&again, z, "value"));
            assert!((old - new).abs() < 1e-12, "{name} {z}: {old} {new}");
        }
        let line = format!(
            "oof-simulate --telescope nikolic2018 --grid 64 --noise none --zernikes {name} -o back-{name}.fits"
        );
        assert_silent_success(&shell(&line, at), &line);
        let maps = std::fs::read(at.join(format!("back-{name}.fits"))).unwrap();
        let maps = oof::io::fits::read_maps(&maps, "maps").unwrap();
        let z3 = maps.truth.iter().find(|t| t.0 == "z3").unwrap().1;
        assert!((z3 - value(&result, "z3", "value")).abs() < 1e-12);
    }
}

#[test]
fn the_order_is_chosen_and_the_table_is_in_the_result() {
    let folder = simulated(MAPS);
    let result = json("oof-fit maps.fits --order auto:5", folder.path());
    assert_eq!(result["order"], 3, "{}", result["orders"]);
    assert_eq!(result["orders"].as_array().unwrap().len(), 5);
    assert_eq!(result["flags"].as_array().unwrap().len(), 0, "{}", result["flags"]);
    let surface = &result["surface"];
    let (half, whole) = (&surface["surface_rms_m"], &surface["wavefront_rms_m"]);
    assert_eq!(2.0 * half.as_f64().unwrap(), whole.as_f64().unwrap());
}

#[test]
fn doubts_are_flagged_in_the_result_and_said() {
    // 400 um at 7 mm are 63 um at 1.1 mm, an rms of 0.72 rad.
    let folder = simulated(
        "oof-simulate --telescope nikolic2018 --grid 64 --zernike z4=1.4rad --order 2 --noise additive=0.002 -o maps.fits",
    );
    let line = "oof-fit maps.fits --order 2";
    let output = shell(line, folder.path());
    assert!(text(&output.stderr).starts_with("oof-fit: large-rms: "), "{}", text(&output.stderr));
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(result["flags"][0]["name"], "large-rms");
    assert_silent_success(&shell(&format!("{line} --quiet"), folder.path()), line);
    let surface = &result["surface"];
    let rms = |key: &str| surface[key].as_f64().unwrap();
    assert!(rms("surface_rms_without_focus_m") < 0.05 * rms("surface_rms_m"), "{surface}");
    assert!(rms("ruze_efficiency_without_focus") > 0.99 && rms("ruze_efficiency") < 0.6);
}

/// A far field as a GRASP grid: `field` on `axis` both ways, `u` fastest, as the co-polar component.
fn grasp(axis: &[f64], field: &[Complex64]) -> String {
    let (first, last, n) = (axis[0], axis[axis.len() - 1], axis.len());
    let head = format!(
        "far field\n++++\n1\n1 3 2 1\n0 0\n{first:.15e} {first:.15e} {last:.15e} {last:.15e}\n{n} {n} 0\n"
    );
    field.iter().fold(head, |text, s| text + &format!("{:.15e} {:.15e} 0 0\n", s.re, s.im))
}

/// The far field of the paper's dish by the sum that defines it, with its own Zernikes and illumination.
#[test]
fn a_grasp_field_is_read_and_its_surface_found() {
    let (radius, focal, wavelength, sigma) = (2.8, 14.4, 1.1e-3, 0.72);
    let truth = [("z3", 0.4), ("z4", -0.3), ("z5", 0.25), ("z8", 0.2)];
    let phase = |x: f64, y: f64| {
        let r2 = x * x + y * y;
        let shapes = [2.0 * x * y, 2.0 * r2 - 1.0, x * x - y * y, (3.0 * r2 - 2.0) * x];
        truth.iter().zip(shapes).map(|((_, c), z)| c * z).sum::<f64>()
    };
    let step = 1.0 / 24.0;
    let coordinates = || (-24..24).map(|i| (f64::from(i) + 0.5) * step);
    let dish: Vec<(f64, f64)> = coordinates()
        .flat_map(|y| coordinates().map(move |x| (x, y)))
        .filter(|(x, y)| x * x + y * y < 1.0)
        .collect();
    // Samples every third of a beam width, out to 8 of them.
    let beam = wavelength / (2.0 * radius);
    let axis: Vec<f64> = (-24..=24).map(|i| f64::from(i) * beam / 3.0).collect();
    let folder = tempfile::tempdir().unwrap();
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let names = ["m.grd", "z.grd", "p.grd"];
    for (name, dz) in names.into_iter().zip([-0.05, 0.0, 0.05]) {
        let aperture: Vec<Complex64> = dish
            .iter()
            .map(|(x, y)| {
                let r2 = x * x + y * y;
                let a2 = r2 * (radius / (2.0 * focal)).powi(2);
                let path = dz * ((1.0 - a2) / (1.0 + a2) - 1.0);
                let amplitude = (-r2 / (2.0 * sigma * sigma)).exp() * step * step / PI;
                Complex64::from_polar(amplitude, phase(*x, *y) + TAU * path / wavelength)
            })
            .collect();
        let mut field = Vec::new();
        for v in &axis {
            for u in &axis {
                let turn = |x: f64, y: f64| -TAU * radius * (u * x + v * y) / wavelength;
                let pairs = dish.iter().zip(&aperture);
                let s: Complex64 = pairs.map(|(&(x, y), e)| e * Complex64::cis(turn(x, y))).sum();
                // A level of spill-over above the noise keeps the power positive.
                let noise: f64 = random.sample(StandardNormal);
                let power = s.norm_sqr() + 0.01 + 1e-3 * noise;
                field.push(Complex64::from_polar(power.sqrt(), s.arg()));
            }
        }
        std::fs::write(folder.path().join(name), grasp(&axis, &field)).unwrap();
    }
    let line = "oof-fit --telescope nikolic2018 --map=-50mm:m.grd --map=0mm:z.grd --map=50mm:p.grd --order 3";
    let result = json(line, folder.path());
    assert_eq!(result["status"], "converged", "{}", result["message"]);
    for j in 3..10 {
        let name = format!("z{j}");
        let known = truth.iter().find(|t| t.0 == name).map_or(0.0, |t| t.1);
        let (found, sigma) = (value(&result, &name, "value"), value(&result, &name, "sigma"));
        // The grids' rims are unlike by a part of a pixel; it shows in the fourth digit.
        assert!((found - known).abs() < 4.0 * sigma, "{name}: {found} +- {sigma}, truth {known}");
        assert!(sigma < 0.05, "{name}: {sigma}");
    }
    assert_refused(
        &shell("oof-fit m.grd --telescope srt", folder.path()),
        2,
        "oof-fit",
        "--map DZ:FILE",
        "",
    );
}
