//! Whole fits as CUDA source, run on the host, against the CPU device; and maps for the tests of this layer.

use super::options::{FitOptions, LikelihoodKind, Nuisance};
use super::prior::Prior;
use super::problem::Problem;
use super::{Progress, Setup, fit};
use crate::device::cuda::host::{
    compile_to_ptx, devices, has_compiler, has_nvrtc, of_gradients, sources_of,
};
use crate::device::{Backend, Precision};
use crate::error::Error;
use crate::optics::aperture::{ApertureGrid, ApertureKind};
use crate::optics::beam_map::{MapSet, Noise, Sampling, Sigma};
use crate::optics::simulate::{SimulateOptions, simulate};
use crate::optics::telescope::Telescope;

/// Maps of order 3 with some noise, on a grid of this size.
pub(super) fn simulated(points: usize) -> (Telescope, MapSet, ApertureGrid) {
    noisy(points, 0.02)
}

/// The same with another noise, as a part of the highest sample.
pub(super) fn noisy(points: usize, noise: f64) -> (Telescope, MapSet, ApertureGrid) {
    let telescope = Telescope::named("nikolic2018").unwrap();
    let mut grid = telescope.aperture;
    grid.points = points;
    let noise = Noise { additive: noise, ..Noise::default() };
    let options = SimulateOptions { order: 3, seed: 3, noise, ..options(&telescope, grid) };
    let maps = simulate(&telescope, &options).unwrap();
    (telescope, maps, grid)
}

/// A simulation of order 5.
fn options(telescope: &Telescope, grid: ApertureGrid) -> SimulateOptions {
    SimulateOptions {
        grid,
        rms: Some(0.4),
        seed: 1,
        noise: Noise { additive: 0.02, multiplicative: 0.01, ..Noise::default() },
        ..SimulateOptions::of(telescope)
    }
}

fn maps(telescope: &Telescope, points: usize, backend: Backend) -> MapSet {
    let mut grid = telescope.aperture;
    grid.points = points;
    simulate(telescope, &SimulateOptions { backend, ..options(telescope, grid) }).unwrap()
}

/// Value and gradient of one fit on both devices, to a part `most` of the largest.
fn compare(telescope: &Telescope, maps: &MapSet, options: &FitOptions, most: f64, device: Backend) {
    let found = [Backend::Cpu, device].map(|backend| {
        let options = FitOptions { backend, ..options.clone() };
        let problem = Problem::new(Setup::new(telescope, maps, &options)).unwrap();
        let which = problem.free_places();
        let mut function = problem.function(&which, &problem.start);
        function.value_and_gradient(&vec![0.01; which.len()])
    });
    let [(value, gradient), (on_host, gradient_on_host)] = found;
    assert!((value - on_host).abs() <= most * value.abs(), "{value} {on_host}");
    let most = of_gradients(most, device, options.precision);
    let size = gradient.iter().fold(0.0f64, |size, g| size.max(g.abs()));
    for (i, (a, b)) in gradient.iter().zip(&gradient_on_host).enumerate() {
        assert!((a - b).abs() <= most * size, "{i}: {a} {b} of {size}");
    }
}

const TOLERANCES: [(Precision, f64); 2] = [(Precision::F64, 1e-12), (Precision::F32, 1e-5)];

#[test]
fn the_benchmark_is_the_same_on_cuda() {
    let telescope = Telescope::named("nikolic2018").unwrap();
    for points in [32, 33, 37, 64] {
        let maps = maps(&telescope, points, Backend::Cpu);
        let all = || devices().into_iter().flat_map(|d| TOLERANCES.map(|(p, most)| (d, p, most)));
        for (device, precision, most) in all() {
            for likelihood in [LikelihoodKind::Gaussian, LikelihoodKind::Cauchy] {
                for nuisance in [Nuisance::NONE, Nuisance::ALL] {
                    let options = FitOptions {
                        order: 7,
                        likelihood,
                        nuisance,
                        precision,
                        aperture: maps.aperture,
                        ..FitOptions::default()
                    };
                    compare(&telescope, &maps, &options, most, device);
                }
            }
        }
    }
}

/// A raster that is no grid's discrete far field, with blanks; and other illuminations and paths, an
/// amplitude's polynomials and a sub-reflector moved sideways among them.
#[test]
fn rasters_blanks_and_other_telescopes_are_the_same_on_cuda() {
    for name in ["srt", "alma", "gbt"] {
        let telescope = Telescope::named(name).unwrap();
        let mut maps = maps(&telescope, 48, Backend::Cpu);
        maps.aperture = None;
        for map in &mut maps.maps {
            let Sampling::Raster { u, v } = &mut map.sampling else { unreachable!() };
            u.iter_mut().for_each(|u| *u *= 0.9);
            v.iter_mut().for_each(|v| *v *= 0.8);
            map.power.iter_mut().step_by(17).for_each(|p| *p = f64::NAN);
        }
        let aperture = ApertureGrid { kind: ApertureKind::Smooth, points: 50, extent: 1.02 };
        let all = || devices().into_iter().flat_map(|d| TOLERANCES.map(|(p, most)| (d, p, most)));
        for (device, precision, most) in all() {
            let moved = Prior { name: "sx".into(), mean: 0.0, sigma: 1e-3 };
            let options = FitOptions {
                order: 5,
                amplitude_order: if name == "alma" { 2 } else { 0 },
                priors: if name == "srt" { Vec::new() } else { vec![moved] },
                precision,
                aperture: Some(aperture),
                ..FitOptions::default()
            };
            compare(&telescope, &maps, &options, most, device);
        }
    }
}

/// To some hundred roundings of the largest slope: phases are of ten radians, and what goes into a slope has
/// cancelled.
#[test]
fn slopes_in_single_precision_are_those_in_double() {
    for name in Telescope::names() {
        let telescope = Telescope::named(name).unwrap();
        let maps = maps(&telescope, 48, Backend::Cpu);
        let slopes = |precision| {
            let aperture = maps.aperture;
            let options = FitOptions { precision, aperture, ..FitOptions::default() };
            let problem = Problem::new(Setup::new(&telescope, &maps, &options)).unwrap();
            let which = problem.free_places();
            problem.function(&which, &problem.start).value_and_gradient(&vec![0.01; which.len()]).1
        };
        let (single, double) = (slopes(Precision::F32), slopes(Precision::F64));
        let size = double.iter().fold(0.0f64, |size, g| size.max(g.abs()));
        for (i, (a, b)) in single.iter().zip(&double).enumerate() {
            let most = 500.0 * f64::from(f32::EPSILON) * size;
            assert!((a - b).abs() < most, "{name} {i}: {a} {b} of {size}");
        }
    }
}

/// A source that is a disc, and a band: samples of the grid and of no grid, one beam and two.
#[test]
fn blurred_maps_are_the_same_on_cuda() {
    let telescope = Telescope::named("nikolic2018").unwrap();
    let aperture = ApertureGrid { kind: ApertureKind::Smooth, points: 32, extent: 2.2 };
    for (radius, bandwidth, chop) in
        [(1e-4, 0.0, None), (0.0, 2e10, None), (1e-4, 2e10, Some(3e-4))]
    {
        let mut maps = maps(&telescope, 32, Backend::Cpu);
        let axis = aperture.sky_axis(telescope.radius, telescope.wavelength);
        for map in &mut maps.maps {
            map.sampling = Sampling::Raster { u: axis.clone(), v: axis.clone() };
        }
        (maps.source_radius, maps.bandwidth, maps.chop) = (Some(radius), Some(bandwidth), chop);
        let all = || devices().into_iter().flat_map(|d| TOLERANCES.map(|(p, most)| (d, p, most)));
        for (device, precision, most) in all() {
            let aperture = Some(aperture);
            let options = FitOptions { order: 3, precision, aperture, ..FitOptions::default() };
            // Sums over lags have cancelled more than a field has.
            compare(&telescope, &maps, &options, 10.0 * most, device);
        }
    }
}

#[test]
fn a_whole_fit_finds_the_same_on_cuda() {
    let telescope = Telescope::named("nikolic2018").unwrap();
    let fitted = |backend| {
        let maps = maps(&telescope, 32, backend);
        let options =
            FitOptions { order: 3, aperture: maps.aperture, backend, ..FitOptions::default() };
        fit(Setup::new(&telescope, &maps, &options), &mut |_| Ok(())).unwrap()
    };
    let here = fitted(Backend::Cpu);
    for device in devices() {
        let there = fitted(device);
        assert_eq!((here.backend.as_str(), there.backend.as_str()), ("cpu", device.name()));
        assert_eq!(here.status, there.status);
        // Both stop within 1e-4 in log-likelihood of the optimum: sqrt(2e-4) of a sigma.
        for (a, b) in here.parameters.iter().zip(&there.parameters).filter(|(a, _)| a.free) {
            let (sigma, other) = (a.sigma.unwrap(), b.sigma.unwrap());
            let (x, y) = (a.value, b.value);
            assert!((x - y).abs() < 0.03 * sigma, "{}: {x} {y}", a.name);
            assert!((sigma - other).abs() < 0.03 * sigma, "{}: {sigma} {other}", a.name);
        }
    }
}

#[test]
fn nvrtc_compiles_the_kernels_of_fits_to_ptx() {
    if !has_nvrtc() || !has_compiler() {
        return;
    }
    let telescope = Telescope::named("nikolic2018").unwrap();
    let maps = maps(&telescope, 32, Backend::Cpu);
    let sources = sources_of(|| {
        for (precision, most) in TOLERANCES {
            for likelihood in [LikelihoodKind::Gaussian, LikelihoodKind::Cauchy] {
                let aperture = maps.aperture;
                let options = FitOptions {
                    order: 7,
                    likelihood,
                    precision,
                    aperture,
                    ..FitOptions::default()
                };
                compare(&telescope, &maps, &options, most, Backend::Host);
            }
        }
    });
    assert!(sources.len() >= 4, "{}", sources.len());
    compile_to_ptx(&sources);
}

#[test]
fn what_a_report_says_of_an_error_ends_a_fit_wherever_it_is() {
    let (telescope, maps, grid) = simulated(128);
    let options = FitOptions { order: 3, aperture: Some(grid), ..FitOptions::default() };
    // With the number of reports that were taken.
    let stopped_after = |most: usize| {
        let mut reports = 0;
        let mut report = |_: &Progress| {
            reports += 1;
            if reports > most { Err(Error::failed("enough")) } else { Ok(()) }
        };
        let result = fit(Setup::new(&telescope, &maps, &options), &mut report);
        (result, reports)
    };
    let (finished, reports) = stopped_after(usize::MAX);
    assert_eq!(finished.unwrap().status, "converged");
    // While the levels are explored and gone through, and at the end of the whole maps.
    for most in (0..reports).step_by(reports / 10 + 1).chain([reports - 1]) {
        let (result, _) = stopped_after(most);
        assert_eq!(result.err().unwrap().to_string(), "enough", "{most} of {reports}");
    }
}

#[test]
fn blanks_are_no_samples() {
    let (telescope, mut maps, _) = simulated(32);
    let known = 10;
    for map in &mut maps.maps {
        map.power[known..].fill(f64::NAN);
        map.power[0] = 1.0;
    }
    let options = FitOptions::default();
    let error = fit(Setup::new(&telescope, &maps, &options), &mut |_: &Progress| Ok(())).err();
    let message = error.expect("too few samples").to_string();
    assert!(message.starts_with("30 samples cannot tell "), "{message}");
}

#[test]
fn what_is_fixed_is_what_it_is_by_default_and_not_what_the_maps_suggest() {
    let (telescope, maps, _) = simulated(32);
    let mut options = FitOptions::default();
    options.edits.fix = ["gain", "background", "dx"].map(String::from).to_vec();
    options.edits.start = vec![("dx[1]".into(), 1e-5)];
    let problem = Problem::new(Setup::new(&telescope, &maps, &options)).unwrap();
    for (parameter, start) in problem.parameters.iter().zip(&problem.start) {
        match &*parameter.name {
            "dx[1]" => assert_eq!(*start, 1e-5),
            name if options.edits.fix.iter().any(|fixed| name.starts_with(fixed)) => {
                assert_eq!(*start, parameter.default, "{name}");
            }
            _ => {}
        }
    }
}

#[test]
fn a_beam_is_looked_for_where_its_map_is() {
    let (telescope, maps, _) = simulated(32);
    let options = FitOptions::default();
    let problem = Problem::new(Setup::new(&telescope, &maps, &options)).unwrap();
    let Sampling::Raster { u, .. } = &maps.maps[1].sampling else { unreachable!() };
    let (low, high) = problem.bounds[problem.model.place_in_map(0, 1)];
    // The next beam of the discrete far field is a map's width away.
    assert!(low < u[0] && high > u[31] && high - low < 2.0 * (u[31] - u[0]), "{low} {high}");
}

/// Where nobody says the noise, each map shows its own.
#[test]
fn beams_that_hardly_show_are_suspect() {
    for (additive, doubted) in [(0.02, false), (0.15, true)] {
        for known in [true, false] {
            let telescope = Telescope::named("nikolic2018").unwrap();
            let mut grid = telescope.aperture;
            grid.points = 64;
            let noise = Noise { additive, ..Noise::default() };
            let options = SimulateOptions { order: 3, noise, ..options(&telescope, grid) };
            let mut maps = simulate(&telescope, &options).unwrap();
            let fitted = FitOptions { order: 3, aperture: maps.aperture, ..FitOptions::default() };
            if !known {
                maps.noise = None;
                maps.maps.iter_mut().for_each(|map| map.sigma = Sigma::Unknown);
            }
            let result = fit(Setup::new(&telescope, &maps, &fitted), &mut |_| Ok(())).unwrap();
            let said = result.message.contains("hardly shows");
            assert_eq!(said, doubted, "{additive} {known}: {}", result.message);
            let sigma = additive * maps.maps.iter().map(|map| map.peak()).fold(0.0, f64::max);
            for map in &result.maps {
                // Cauchy's scale is four sigma, and the peak has some noise.
                assert!((map.scale / (4.0 * sigma) - 1.0).abs() < 0.3, "{known}: {}", map.scale);
            }
        }
    }
}

/// On the coarse apertures of its levels no optimum explains maps with so little noise.
#[test]
fn strong_signals_do_not_cost_all_starts() {
    let telescope = Telescope::named("nikolic2018").unwrap();
    let mut grid = telescope.aperture;
    grid.points = 64;
    let noise = Noise { additive: 1e-3, ..Noise::default() };
    let options = SimulateOptions { noise, ..options(&telescope, grid) };
    let maps = simulate(&telescope, &options).unwrap();
    let fitted = FitOptions { order: 5, aperture: maps.aperture, ..FitOptions::default() };
    let result = fit(Setup::new(&telescope, &maps, &fitted), &mut |_| Ok(())).unwrap();
    assert_eq!(result.status, "converged", "{}", result.message);
    assert!(result.evaluations.coarse < 1000, "{}", result.evaluations.coarse);
}

/// A level has a part of the maps only.
#[test]
fn an_offset_that_is_asked_for_may_be_beyond_a_part_of_its_map() {
    let (telescope, maps, _) = simulated(32);
    let mut options = FitOptions::default();
    options.edits.start = vec![("dx[1]".into(), 1.0)];
    let problem = Problem::new(Setup::new(&telescope, &maps, &options)).unwrap();
    let i = problem.model.place_in_map(0, 1);
    assert_eq!((problem.start[i], problem.bounds[i].1), (1.0, 1.0));
}
