//! Extended sources and bands against what they are: many shifted beams, and many wavelengths.

use super::aperture::{ApertureGrid, ApertureKind};
use super::band::gauss_legendre;
use super::beam_map::{BeamMap, MapSet, Sampling, Sigma};
use super::model::Model;
use super::telescope::Telescope;
use crate::autodiff::Function;
use crate::device::scattered::TOLERANCE;
use crate::units::SPEED_OF_LIGHT;
use std::f64::consts::TAU;

const WAVELENGTH: f64 = 7e-3;

fn telescope() -> Telescope {
    Telescope::named("gbt").unwrap()
}

/// wavelength / diameter
fn beam() -> f64 {
    WAVELENGTH / (2.0 * telescope().radius)
}

fn set(samplings: &[Sampling], chop: Option<f64>) -> MapSet {
    let map = |(i, sampling): (usize, &Sampling)| BeamMap {
        name: "x".into(),
        defocus: 0.03 * i as f64,
        power: vec![0.0; sampling.len()],
        sampling: sampling.clone(),
        sigma: Sigma::Unknown,
    };
    MapSet { maps: samplings.iter().enumerate().map(map).collect(), chop, ..MapSet::default() }
}

/// A grid's own far field, a raster that is none, and scattered samples, up to `beams` from the centre.
fn samplings(grid: ApertureGrid, beams: f64) -> [Sampling; 3] {
    let axis = grid.sky_axis(telescope().radius, WAVELENGTH);
    let line = |n: i32, shift: f64| -> Vec<f64> {
        (0..n).map(|i| beam() * beams * (2.0 * f64::from(i) / f64::from(n) - 1.0 + shift)).collect()
    };
    let spiral = |i: i32, k: f64| beam() * beams * (k * f64::from(i)).sin();
    [
        Sampling::Raster { u: axis.clone(), v: axis },
        Sampling::Raster { u: line(13, 0.01), v: line(10, 0.03) },
        Sampling::Scattered {
            u: (0..150).map(|i| spiral(i, 1.3)).collect(),
            v: (0..150).map(|i| spiral(i, 0.7)).collect(),
        },
    ]
}

/// Names and values of some aberrations, offsets and the like.
const TRUTH: [(&str, f64); 8] = [
    ("z3", 0.3),
    ("z7", -0.4),
    ("z4", 0.2),
    ("y0", 0.05),
    ("dx[0]", 2e-5),
    ("ddz[0]", 1e-3),
    ("ratio[0]", 0.9),
    ("amp", 0.8),
];

fn values(model: &Model) -> Vec<f64> {
    let mut x: Vec<f64> = model.parameters.iter().map(|p| p.default).collect();
    for (name, value) in TRUTH {
        if let Some(i) = model.position(name) {
            x[i] = value;
        }
    }
    x
}

/// The model maps as a function of all parameters.
fn arrays(model: &Model) -> Function {
    Function::with_arrays(model.parameters.len(), |tape, p| {
        (tape.constant(0.0), model.record(tape, p, &model.spaces(tape)))
    })
}

fn maps(model: &Model, x: &[f64]) -> Vec<f64> {
    let mut function = arrays(model);
    let arrays = function.arrays(x);
    arrays.iter().enumerate().flat_map(|(i, map)| model.restore(i, map)).collect()
}

fn worst(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

/// With room for the lags on the FFT of the grid and without, smooth and hard, even and odd.
const GRIDS: [(ApertureKind, usize, f64); 4] = [
    (ApertureKind::Smooth, 40, 2.1),
    (ApertureKind::Hard, 48, 4.0),
    (ApertureKind::Smooth, 24, 1.02),
    (ApertureKind::Smooth, 33, 2.2),
];

/// Points of the disc of radius 1 and their parts of its area, many more than a beam needs to be as smooth
/// as it is: Gauss and Legendre's in the square of the distance, equal steps round.
fn disc() -> Vec<(f64, f64, f64)> {
    let (nodes, weights) = gauss_legendre(16);
    let round = 40;
    let point = |(s, w): (&f64, &f64), k: usize| {
        let (radius, angle) = ((0.5 * (s + 1.0)).sqrt(), TAU * k as f64 / round as f64);
        (radius * angle.cos(), radius * angle.sin(), 0.5 * w / round as f64)
    };
    let rings = nodes.iter().zip(&weights);
    rings.flat_map(|ring| (0..round).map(move |k| point(ring, k))).collect()
}

/// A map of a disc is the mean of the maps of its points, each with the pointing off by where it is.
#[test]
fn a_map_of_a_disc_is_the_mean_of_those_of_its_points() {
    for (kind, points, extent) in GRIDS {
        let grid = ApertureGrid { kind, points, extent };
        for (form, sampling) in samplings(grid, 6.0).into_iter().enumerate() {
            for (beams, chop) in [(0.1, None), (1.0, None), (1.4, Some(4.0 * beam()))] {
                let radius = beams * beam();
                let mut set = set(std::slice::from_ref(&sampling), chop);
                let point = Model::of(&telescope(), WAVELENGTH, 3, &set, grid, TOLERANCE).unwrap();
                set.source_radius = Some(radius);
                let model = Model::of(&telescope(), WAVELENGTH, 3, &set, grid, TOLERANCE).unwrap();
                let x = values(&model);
                let (mut f, mut mean) = (arrays(&point), vec![0.0; sampling.len()]);
                for (u, v, weight) in disc() {
                    let mut x = x.clone();
                    for (which, shift) in [u, v].into_iter().enumerate() {
                        x[point.place_in_map(which, 0)] += radius * shift;
                    }
                    let map = point.restore(0, &f.arrays(&x)[0]);
                    mean.iter_mut().zip(map).for_each(|(mean, p)| *mean += weight * p);
                }
                let peak = mean.iter().fold(0.0f64, |a, p| a.max(*p));
                // Of what one point sees the disc makes less; scattered samples are those of the
                // non-uniform FFT.
                let most = if form == 2 { 1e-8 } else { 1e-12 };
                let off = worst(&maps(&model, &x), &mean);
                assert!(off < most, "{points} {form} {beams} {chop:?}: {off:e} of {peak}");
                let sharp = worst(&maps(&point, &x), &mean) / peak;
                assert!(
                    sharp > 0.02 * beams,
                    "{points} {form} {beams}: a point differs by {sharp}"
                );
            }
        }
    }
}

/// A map over a band is the mean of those of its wavelengths, here of 401 by Simpson's rule; the surface and
/// all paths are the same at each.
#[test]
fn a_map_over_a_band_is_the_mean_of_those_of_its_wavelengths() {
    let (kind, points, extent) = GRIDS[0];
    let grid = ApertureGrid { kind, points, extent };
    for (form, sampling) in samplings(grid, 9.0).into_iter().enumerate() {
        for (radius, chop) in [(0.0, None), (0.8, None), (0.0, Some(4.0)), (0.8, Some(4.0))] {
            let fraction = 0.12;
            let mut set = set(std::slice::from_ref(&sampling), chop.map(|chop| chop * beam()));
            set.maps[0].defocus = 0.02;
            set.source_radius = Some(radius * beam());
            let centre = Model::of(&telescope(), WAVELENGTH, 3, &set, grid, TOLERANCE).unwrap();
            set.bandwidth = Some(fraction * SPEED_OF_LIGHT / WAVELENGTH);
            let model = Model::of(&telescope(), WAVELENGTH, 3, &set, grid, TOLERANCE).unwrap();
            set.bandwidth = None;
            let x = values(&model);
            let steps = 400;
            let mut mean = vec![0.0; sampling.len()];
            for i in 0..=steps {
                let ratio = 1.0 + fraction * (i as f64 / steps as f64 - 0.5);
                let weight = match i {
                    0 => 1.0,
                    _ if i == steps => 1.0,
                    _ => 2.0 + 2.0 * (i % 2) as f64,
                } / (3.0 * steps as f64);
                let one =
                    Model::of(&telescope(), WAVELENGTH / ratio, 3, &set, grid, TOLERANCE).unwrap();
                let mut x = x.clone();
                x[..10].iter_mut().for_each(|z| *z *= ratio);
                let map = maps(&one, &x);
                mean.iter_mut().zip(map).for_each(|(mean, p)| *mean += weight * p);
            }
            let peak = mean.iter().fold(0.0f64, |a, p| a.max(*p));
            let off = worst(&maps(&model, &x), &mean) / peak;
            assert!(off < super::band::TOLERANCE, "{form} {radius} {chop:?}: {off:e}");
            let sharp = worst(&maps(&centre, &x), &mean) / peak;
            assert!(sharp > 2e-4, "{form} {radius}: one wavelength differs by {sharp:e}");
        }
    }
}

/// Differences of fourth order, as for every primitive.
#[test]
fn the_gradient_of_blurred_maps_is_that_of_differences() {
    for (form, chop) in [(0, None), (1, Some(3.0)), (2, Some(3.0)), (2, None)] {
        for (radius, bandwidth) in [(0.7, 0.0), (0.0, 3e9), (0.7, 3e9)] {
            let (kind, points, extent) = GRIDS[0];
            let grid = ApertureGrid { kind, points, extent };
            let samplings = vec![samplings(grid, 5.0)[form].clone(); 2];
            let mut set = set(&samplings, chop.map(|chop| chop * beam()));
            (set.source_radius, set.bandwidth) = (Some(radius * beam()), Some(bandwidth));
            let model = Model::of(&telescope(), WAVELENGTH, 2, &set, grid, TOLERANCE).unwrap();
            let x = values(&model);
            let mut f = Function::new(x.len(), |tape, p| {
                let spaces = model.spaces(tape);
                let terms = model.record(tape, p, &spaces).into_iter().zip(&spaces);
                let terms = terms.map(|(map, &space)| {
                    let data = vec![0.1; map_len(&set)];
                    (10.0 * (map - tape.data_in(space, data))).square().ln_1p().sum()
                });
                terms.sum()
            });
            let (_, gradient) = f.value_and_gradient(&x);
            for (i, p) in model.parameters.iter().enumerate() {
                // An angle on the sky counts in beams, a length in wavelengths.
                let unit = match p.name.split('[').next() {
                    Some("dx" | "dy" | "chop") => beam(),
                    Some("ddz") => WAVELENGTH,
                    _ => 1.0,
                };
                let mut slope = |step: f64| {
                    let mut at = |step: f64| {
                        let mut x = x.clone();
                        x[i] += step * unit;
                        f.value(&x)
                    };
                    (at(step) - at(-step)) / (2.0 * step)
                };
                let difference = (4.0 * slope(5e-4) - slope(1e-3)) / 3.0;
                let error = (difference - unit * gradient[i]).abs();
                let size = gradient[model.place_in_map(3, 0)].abs();
                assert!(error < 1e-8 * size, "{form} {radius} {bandwidth}: {}: {error:e}", p.name);
            }
        }
    }
}

fn map_len(set: &MapSet) -> usize {
    set.maps[0].sampling.len()
}

#[test]
fn an_aperture_too_coarse_for_a_band_over_scattered_samples_is_refused() {
    let grid = ApertureGrid { kind: ApertureKind::Smooth, points: 10, extent: 1.02 };
    let mut set = set(&samplings(grid, 9.0)[2..], None);
    assert!(Model::of(&telescope(), WAVELENGTH, 2, &set, grid, TOLERANCE).is_ok());
    set.bandwidth = Some(3e9);
    let error =
        Model::of(&telescope(), WAVELENGTH, 2, &set, grid, TOLERANCE).err().expect("a refusal");
    assert_eq!(error.exit_status(), 2);
    assert!(error.to_string().contains("more points"), "{error}");
}
