//! How often a fit from nothing finds the optimum: random surfaces of known rms, signal-to-noise 200, each
//! fitted from a cold start and from the truth. Found is found where the first ends within 0.5 of the second
//! in log-likelihood; one that is not must not say `converged`.
//!
//! `cargo bench --bench surfaces`, with words: a telescope's name, `scattered`, `rms=1.5`, `order=5`,
//! `seeds=100`, `first=1`, `grid=64`, `starts=40`, `noise=0.01`, `multiplicative=0.005` (fractions). Prints a line for every fit that missed and one in Markdown for each
//! case; without words, the cases of docs/robustness.md. Exit status 1 where a target is missed.

mod stopwatch;

use oof::fit::{FitResult, Setup, fit, options::FitOptions};
use oof::optics::aperture::ApertureGrid;
use oof::optics::beam_map::{MapSet, Noise, Sampling};
use oof::optics::simulate::{SimulateOptions, simulate};
use oof::optics::telescope::Telescope;
use std::process::ExitCode;
use std::time::Instant;

/// What is near enough in log-likelihood: a standard deviation of one parameter.
const NEAR: f64 = 0.5;
/// The noise as a part of the highest sample.
const NOISE: f64 = 1.0 / 200.0;
/// The surfaces' rms in radians of phase, and how many of a hundred must be found.
const TARGETS: [(f64, f64); 2] = [(1.0, 0.99), (1.5, 0.95)];

struct Case {
    telescope: Telescope,
    scattered: bool,
    /// Radians of phase.
    rms: f64,
    order: u32,
    grid: usize,
    /// The most that a search is given.
    starts: u64,
    noise: Noise,
}

/// How the fits of a case went.
#[derive(Default)]
struct Tally {
    surfaces: u64,
    found: u64,
    /// Found, and `converged`.
    trusted: u64,
    /// Neither found nor `suspect` nor `not converged`.
    silent: u64,
    seconds: Vec<f64>,
}

fn main() -> ExitCode {
    let pool = rayon::ThreadPoolBuilder::new().build().expect("threads");
    match pool.install(run) {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

fn run() -> bool {
    let words = stopwatch::words();
    let named = |name: &str| words.iter().find_map(|w| w.strip_prefix(name)?.strip_prefix('='));
    let number = |name: &str, otherwise: f64| {
        named(name).map_or(otherwise, |text| text.parse().expect("a number after ="))
    };
    let plain: Vec<&str> = words.iter().map(String::as_str).filter(|w| !w.contains('=')).collect();
    let scattered = plain.contains(&"scattered");
    let mut names: Vec<&str> = plain.into_iter().filter(|w| *w != "scattered").collect();
    let mut cases: Vec<(&str, bool)> = names.drain(..).map(|name| (name, scattered)).collect();
    if cases.is_empty() {
        cases = match scattered {
            true => vec![("nikolic2018", true)],
            false => vec![
                ("nikolic2018", false),
                ("srt", false),
                ("effelsberg", false),
                ("gbt", false),
                ("nikolic2018", true),
            ],
        };
    }
    let (seeds, first) = (number("seeds", 100.0) as u64, number("first", 1.0) as u64);
    let rms: Vec<f64> =
        named("rms").map_or(TARGETS.map(|t| t.0).to_vec(), |_| vec![number("rms", 0.0)]);
    println!(
        "| telescope | samples | rms, rad | found | of them converged | missed, said converged | median s |"
    );
    println!("|---|---|---|---|---|---|---|");
    let mut good = true;
    for (name, scattered) in cases {
        for &rms in &rms {
            let telescope = Telescope::named(name).expect("a telescope");
            let order = number("order", 5.0) as u32;
            let starts = number("starts", FitOptions::default().starts as f64) as u64;
            let grid = number("grid", 64.0) as usize;
            let noise = Noise {
                additive: number("noise", NOISE),
                multiplicative: number("multiplicative", 0.0),
                outliers: 0.0,
            };
            let case = Case { telescope, scattered, rms, order, grid, starts, noise };
            let tally = case.tally(first..first + seeds);
            good &= tally.reaches(rms);
            println!("{}", tally.row(&case));
        }
    }
    good
}

impl Case {
    fn tally(&self, seeds: std::ops::Range<u64>) -> Tally {
        let mut tally = Tally::default();
        for seed in seeds {
            let maps = self.maps(seed);
            let begun = Instant::now();
            let cold = self.fit(&maps, Vec::new());
            tally.seconds.push(begun.elapsed().as_secs_f64());
            let best = self.fit(&maps, self.truth(&maps));
            let behind = cold.negative_log_likelihood - best.negative_log_likelihood;
            let (found, trusted) = (behind < NEAR, cold.status == "converged");
            tally.surfaces += 1;
            tally.found += u64::from(found);
            tally.trusted += u64::from(found && trusted);
            tally.silent += u64::from(!found && trusted);
            if !found || !trusted || best.status != "converged" || behind < -NEAR {
                println!(
                    "<!-- {} {} rad, seed {seed}: {behind:.2} behind, {}: {}; from the truth {}, chi2 {:?} and {:?} -->",
                    self.telescope.name,
                    self.rms,
                    cold.status,
                    cold.message,
                    best.status,
                    cold.reduced_chi2,
                    best.reduced_chi2
                );
            }
        }
        tally
    }

    fn maps(&self, seed: u64) -> MapSet {
        let telescope = &self.telescope;
        let beam = telescope.wavelength / (2.0 * telescope.radius);
        let defocus = telescope.defocus.clone();
        let samplings = match self.scattered {
            true => (0..defocus.len()).map(|map| loops(beam, map)).collect(),
            false => Vec::new(),
        };
        let mut grid = telescope.aperture;
        grid.points = self.grid;
        if self.scattered {
            // The one that the fit takes: what is measured is the search, not the aperture.
            grid = ApertureGrid::suitable(telescope.radius, telescope.wavelength, samplings.iter());
        }
        let options = SimulateOptions {
            defocus,
            grid,
            order: self.order,
            rms: Some(self.rms),
            seed,
            noise: self.noise,
            samplings,
            ..SimulateOptions::of(telescope)
        };
        simulate(telescope, &options).expect("a simulation")
    }

    /// What the maps were made from, with the values of those parameters that maps have for themselves.
    fn truth(&self, maps: &MapSet) -> Vec<(String, f64)> {
        let own = [("dx", 0.0), ("dy", 0.0), ("gain", 1.0), ("background", 0.0)];
        let own = own.map(|(name, value)| (name.to_string(), value));
        own.into_iter().chain(maps.truth.iter().cloned()).collect()
    }

    fn fit(&self, maps: &MapSet, start: Vec<(String, f64)>) -> FitResult {
        let mut options = FitOptions {
            order: self.order,
            aperture: maps.aperture,
            starts: self.starts,
            ..FitOptions::default()
        };
        options.edits.start = start;
        let telescope = &self.telescope;
        fit(Setup::new(telescope, maps, &options), &mut |_| Ok(())).expect("a fit")
    }
}

/// A scan in loops over ten beam widths to either side, a little different for each map: 4000 samples.
fn loops(beam: f64, map: usize) -> Sampling {
    let place = |i: u32| {
        let t = 0.217 * f64::from(i) + map as f64;
        (10.0 * beam * (1.37 * t).sin(), 10.0 * beam * (2.11 * t).cos())
    };
    let (u, v) = (0..4000).map(place).unzip();
    Sampling::Scattered { u, v }
}

impl Tally {
    fn reaches(&self, rms: f64) -> bool {
        let target = TARGETS.iter().find(|(of, _)| *of == rms).map_or(0.0, |(_, part)| *part);
        self.found as f64 >= target * self.surfaces as f64 && self.silent == 0
    }

    fn row(&self, case: &Case) -> String {
        let mut seconds = self.seconds.clone();
        seconds.sort_unstable_by(f64::total_cmp);
        let samples = match case.scattered {
            true => "4000 scattered".to_string(),
            false => format!("{0} x {0}", case.grid),
        };
        format!(
            "| {} | {samples} | {} | {} of {} | {} | {} | {:.2} |",
            case.telescope.name,
            case.rms,
            self.found,
            self.surfaces,
            self.trusted,
            self.silent,
            seconds[seconds.len() / 2]
        )
    }
}
