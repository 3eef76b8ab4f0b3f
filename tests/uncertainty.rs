//! Whether the errors are true, outliers are harmless where they should be, and priors count as what
//! they say.

use oof::fit::options::{LikelihoodKind, Nuisance};
use oof::fit::prior::{PowerLaw, Prior};
use oof::fit::result::ParameterSummary;
use oof::fit::{FitOptions, FitResult, Setup, fit};
use oof::optics::beam_map::{MapSet, Noise};
use oof::optics::simulate::{SimulateOptions, simulate};
use oof::optics::telescope::Telescope;
use rayon::prelude::*;

struct Case {
    telescope: Telescope,
    options: SimulateOptions,
}

impl Case {
    fn new(name: &str, points: usize, order: u32, rms: f64, additive: f64) -> Case {
        let telescope = Telescope::named(name).unwrap();
        let mut grid = telescope.aperture;
        grid.points = points;
        let options = SimulateOptions {
            grid,
            order,
            rms: Some(rms),
            seed: 1,
            noise: Noise { additive, ..Noise::default() },
            ..SimulateOptions::of(&telescope)
        };
        Case { telescope, options }
    }

    fn maps(&self) -> MapSet {
        simulate(&self.telescope, &self.options).unwrap()
    }

    fn fit(&self, maps: &MapSet, options: &FitOptions) -> FitResult {
        let options =
            FitOptions { order: self.options.order, aperture: maps.aperture, ..options.clone() };
        fit(Setup::new(&self.telescope, maps, &options), &mut |_| Ok(())).unwrap()
    }
}

fn named<'a>(result: &'a FitResult, name: &str) -> &'a ParameterSummary {
    result.parameters.iter().find(|p| p.name == name).unwrap()
}

fn gaussian() -> FitOptions {
    FitOptions { likelihood: LikelihoodKind::Gaussian, ..FitOptions::default() }
}

/// 200 fits of 7 coefficients: 1400 intervals, of which a share of 0.683 +- 0.013 holds the truth. The
/// surface at some points has fewer that are independent, so its share is less certain.
#[test]
fn the_68_per_cent_intervals_hold_the_truth_as_often_as_they_say() {
    for likelihood in [LikelihoodKind::Gaussian, LikelihoodKind::Cauchy] {
        let counts = (1..=200u64).into_par_iter().map(|seed| {
            let mut case = Case::new("nikolic2018", 32, 3, 0.4, 0.01);
            case.options.seed = seed;
            let maps = case.maps();
            let result = case.fit(&maps, &FitOptions { likelihood, ..FitOptions::default() });
            let doubt =
                (result.status != "converged").then(|| format!("{seed}: {}", result.message));
            let (mut held, mut all) = (0, 0);
            let mut truth = result.images.shape.clone();
            for (name, value) in maps.truth.iter().filter(|t| t.0.starts_with('z')) {
                let j: usize = name[1..].parse().unwrap();
                if j < 3 {
                    continue;
                }
                truth.coefficients[j] = *value;
                let found = named(&result, name);
                held += u32::from((found.value - value).abs() < found.sigma.unwrap());
                all += 1;
            }
            // The error at some points of the dish, against the sigma map's formula.
            let points =
                [(1.0, 0.5), (-0.3, -2.0), (-1.8, 0.2), (0.4, 2.5), (2.0, 1.4), (1.5, -1.5)];
            let (true_values, _) = truth.at(&points);
            let (values, sigmas) = result.images.shape.at(&points);
            let inside = |i: usize| u32::from((values[i] - true_values[i]).abs() < sigmas[i]);
            let inside: u32 = (0..points.len()).map(inside).sum();
            (held, all, inside, doubt)
        });
        let counts: Vec<(u32, u32, u32, Option<String>)> = counts.collect();
        let doubts: Vec<&String> = counts.iter().filter_map(|c| c.3.as_ref()).collect();
        assert!(doubts.len() <= 2, "{doubts:?}");
        let share = |held: u32, all: u32| f64::from(held) / f64::from(all);
        let held: u32 = counts.iter().map(|c| c.0).sum();
        let all: u32 = counts.iter().map(|c| c.1).sum();
        let inside: u32 = counts.iter().map(|c| c.2).sum();
        assert_eq!(all, 1400);
        for (what, share) in [("coefficients", share(held, all)), ("surface", share(inside, 1200))]
        {
            println!("{likelihood:?} {what}: {share}");
            assert!((0.60..0.76).contains(&share), "{likelihood:?} {what}: {share}");
        }
    }
}

/// Maps like those of the Sardinia Radio Telescope, one sample of a hundred ten times the peak.
#[test]
fn glitches_hardly_move_the_surface_of_cauchy_and_ruin_that_of_gaussian() {
    let case = Case::new("srt", 96, 4, 0.5, 0.004);
    let clean = case.maps();
    let mut glitched = clean.clone();
    for (k, map) in glitched.maps.iter_mut().enumerate() {
        let peak = map.peak();
        map.power.iter_mut().skip(13 * k).step_by(101).for_each(|p| *p = 10.0 * peak);
    }
    let moved = |likelihood| {
        let options = FitOptions { likelihood, ..FitOptions::default() };
        let (before, after) = (case.fit(&clean, &options), case.fit(&glitched, &options));
        let (a, b) = (&before.images.surface, &after.images.surface);
        let sigma = &before.images.surface_sigma;
        let pulls = a.iter().zip(b).zip(sigma).filter(|((a, _), _)| !a.is_nan());
        let pulls: Vec<f64> = pulls.map(|((a, b), s)| ((a - b) / s).powi(2)).collect();
        (pulls.iter().sum::<f64>() / pulls.len() as f64).sqrt()
    };
    let (cauchy, gaussian) = (moved(LikelihoodKind::Cauchy), moved(LikelihoodKind::Gaussian));
    println!("rms over the dish, in sigma: cauchy {cauchy}, gaussian {gaussian}");
    assert!(cauchy < 0.3, "{cauchy}");
    assert!(gaussian > 10.0, "{gaussian}");
}

/// The posterior of a linear model: the mean of both, weighted by their inverse variances.
#[test]
fn a_prior_counts_as_a_measurement_under_either_likelihood() {
    let case = Case::new("nikolic2018", 64, 3, 0.3, 0.01);
    let maps = case.maps();
    for likelihood in [LikelihoodKind::Gaussian, LikelihoodKind::Cauchy] {
        let without = case.fit(&maps, &FitOptions { likelihood, ..FitOptions::default() });
        let free = named(&without, "z5");
        let sigma = free.sigma.unwrap();
        let prior = Prior { name: "z5".into(), mean: free.value + 3.0 * sigma, sigma };
        let options = FitOptions { likelihood, priors: vec![prior], ..FitOptions::default() };
        let with = case.fit(&maps, &options);
        let pulled = (named(&with, "z5").value - free.value) / sigma;
        // Cauchy's own steepness is known to some 10 per cent only.
        assert!((pulled - 1.5).abs() < 0.2, "{likelihood:?}: {pulled}");
        let narrower = named(&with, "z5").sigma.unwrap() / sigma;
        assert!((narrower - 0.5f64.sqrt()).abs() < 0.1, "{likelihood:?}: {narrower}");
    }
}

#[test]
fn a_power_law_holds_high_orders_down_more_than_low_ones() {
    let case = Case::new("nikolic2018", 64, 5, 0.5, 0.02);
    let maps = case.maps();
    let law = Some(PowerLaw { sigma: 0.2, power: 4.0 });
    let with = case.fit(&maps, &FitOptions { power_law: law, ..gaussian() });
    let without = case.fit(&maps, &gaussian());
    let size = |result: &FitResult, n: u32| {
        let squares = result.parameters.iter().filter(|p| p.n == Some(n)).map(|p| p.value.powi(2));
        squares.sum::<f64>().sqrt()
    };
    let kept = |n: u32| size(&with, n) / size(&without, n);
    assert!(kept(5) < kept(2) && kept(5) < 0.99 && kept(2) > 0.9, "{} {}", kept(2), kept(5));
}

/// Only the differences of the maps' focus are told from the surface's own.
#[test]
fn a_wrong_defocus_comes_out_when_it_is_let_free_with_a_prior() {
    let mut case = Case::new("nikolic2018", 64, 3, 0.3, 0.005);
    case.options.parameters = vec![("ddz[2]".into(), 4e-3)];
    let maps = case.maps();
    let prior = Prior { name: "ddz".into(), mean: 0.0, sigma: 5e-3 };
    let result = case.fit(&maps, &FitOptions { priors: vec![prior], ..gaussian() });
    assert_eq!(result.status, "converged", "{}", result.message);
    let free: Vec<&str> =
        result.parameters.iter().filter(|p| p.free).map(|p| p.name.as_str()).collect();
    let at = |name: &str| free.iter().position(|f| *f == name).unwrap();
    let (a, b) = (at("ddz[2]"), at("ddz[1]"));
    let c = result.covariance.as_ref().unwrap();
    let sigma = (c[(a, a)] + c[(b, b)] - 2.0 * c[(a, b)]).sqrt();
    let difference = named(&result, "ddz[2]").value - named(&result, "ddz[1]").value;
    println!("{difference} +- {sigma}");
    assert!((difference - 4e-3).abs() < 4.0 * sigma && sigma < 1e-3, "{difference} +- {sigma}");
    let fixed = case.fit(&maps, &gaussian());
    assert!(!named(&fixed, "ddz[2]").free, "fixed unless there is a prior");
}

#[test]
fn a_direction_that_changes_nothing_is_named() {
    let case = Case::new("nikolic2018", 32, 2, 0.3, 0.01);
    let maps = case.maps();
    for (free, nuisance, said) in
        [("z0", Nuisance::ALL, "do not tell z0,"), ("amp", Nuisance::ALL, "amp")]
    {
        let mut options = FitOptions { nuisance, ..gaussian() };
        options.edits.free.push(free.into());
        let result = case.fit(&maps, &options);
        assert_eq!(result.status, "suspect");
        assert!(result.message.contains(said), "{free}: {}", result.message);
        assert!(result.parameters.iter().all(|p| p.sigma.is_none()));
    }
}

/// What is fitted to a perfect surface is its errors and nothing else.
#[test]
fn the_errors_alone_make_the_rms_of_a_perfect_surface() {
    const FITS: u64 = 100;
    let ratios: Vec<f64> = (1..=FITS)
        .into_par_iter()
        .map(|seed| {
            let mut case = Case::new("nikolic2018", 32, 3, 0.0, 0.01);
            (case.options.rms, case.options.seed) = (None, seed);
            let surface = case.fit(&case.maps(), &gaussian()).surface;
            (surface.surface_rms_m / surface.surface_rms_of_errors_m.unwrap()).powi(2)
        })
        .collect();
    let mean = ratios.iter().sum::<f64>() / FITS as f64;
    // Of seven coefficients, of which few make most of it: a square of the mean scatters by less than its root 2.
    let most = 4.0 * f64::sqrt(2.0 / FITS as f64);
    assert!((mean - 1.0).abs() < most, "{mean}");
}
