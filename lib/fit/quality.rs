//! Whether an optimum explains the maps.

use super::pattern::{self, Pattern, Seen};
use super::problem::Problem;
use super::residual::{BLOCK, CLIP, Sum, clipped_mean, left_beside, median_left, sky, variance};
use crate::device::Precision;
use crate::optics::beam_map::{BeamMap, MapSet, Noise};
use crate::optics::neighbours::Neighbours;
use rayon::prelude::*;

/// Noise alone reaches the root of this hardly ever, in standard deviations.
const CERTAIN: f64 = 25.0;
/// How often it does, where the sky is empty: the tail of the normal distribution beyond five.
const BY_CHANCE: f64 = 2.87e-7;
/// Noise that leaves less than this part of its variance is overstated.
const OVERSTATED: f64 = 0.7;
/// Neighbours have no more than this of their variance in common where nothing but noise is left.
const IN_COMMON: f64 = 0.3;
/// The [`pattern::strength`] of what is left from which on an optimum is not trusted, and from which on it is doubtful.
const PATTERN: f64 = 4.5;
const DOUBTFUL: f64 = 1.5;
/// The same without the room for imperfections that measured maps have.
const ROOMY: f64 = 3.0;
/// How far the clipped mean of a map may lie above 1 for imperfections of the model, besides five standard
/// deviations; that of all maps half as far, and that of the beam alone, where a model's imperfections are,
/// five times as far.
const ALLOWANCE: f64 = 0.1;
/// The same for the whole maps of a simulation whose aperture may be another, or is summed in single precision. (With
/// its own, the noise is all there is.)
const SIMULATED: f64 = 0.02;

/// How far a model on the aperture of few samples is off, rms, as a part of a map's peak: up to half of this for the
/// telescopes that are built in.
const COARSE: f64 = 0.01;

/// What a model leaves of a map.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Misfit {
    /// Samples that are not blank, and the sum of the squares of what is left there.
    pub samples: usize,
    pub square: f64,
    /// The same over the variances; `None` where the noise is not known.
    pub chi2: Option<f64>,
    /// Sums of the same with a clip, and how many samples, of all and of those where the beam stands above
    /// the noise: an empty sky around it, which any model explains, must not hide what is left there.
    whole: Sum,
    bright: Sum,
    /// What is left of the beam.
    pub pattern: Pattern,
    /// How many samples are bright for certain, and how many of those the model misses.
    certain: f64,
    missed: f64,
    /// Where chi-square is not known, or not the last word: see [`is_even`].
    even: bool,
    /// Whether the noise had to be told from what is left beside the beam, and whether there is hardly anything beside it.
    seen: bool,
    pub crowded: bool,
}

impl Misfit {
    /// Of no samples.
    fn nothing() -> Misfit {
        Misfit { chi2: Some(0.0), ..Misfit::default() }
    }

    /// Chi-square; where a part of the samples are known to be `outliers`, no sample counts for more than [`CLIP`], and
    /// all are compared with what such samples give.
    pub fn chi2_beside(&self, outliers: f64) -> Option<f64> {
        match outliers > 0.0 {
            true => self.chi2.map(|_| self.whole.total / clipped_mean(outliers)),
            false => self.chi2,
        }
    }

    /// Whether the noise had to be told from what is left, and that has a pattern: of a model's imperfections, or of a wrong
    /// optimum.
    fn is_alike(&self) -> bool {
        self.seen && self.pattern.likeness() > IN_COMMON
    }

    /// Of a map with this `model`, in a set with this `noise`.
    pub fn of(map: &BeamMap, noise: Option<Noise>, model: &[f64]) -> Self {
        // Blocks, added in their order.
        let blocks = model.par_chunks(BLOCK).enumerate();
        let fractions = noise.unwrap_or_default();
        let blocks = blocks.map(|(k, model)| Misfit::of_block(map, fractions, k * BLOCK, model));
        let sum = blocks.collect::<Vec<_>>().into_iter().fold(Misfit::nothing(), Misfit::and);
        // Where the noise is all there is, nobody asks.
        if noise.is_some() && sum.chi2.is_some() {
            return Misfit {
                even: true,
                pattern: Pattern::of(map, noise, Seen::default(), model),
                ..sum
            };
        }
        let peak = model.iter().copied().fold(0.0, f64::max);
        let beside = left_beside(map, model);
        let seen = Seen { noise: beside * beside, imperfect: (IMPERFECT * peak).powi(2) };
        let pattern = Pattern::of(map, None, seen, model);
        let (even, crowded) = (is_even(map, model, peak, beside), sky(map) < SKY);
        Misfit { even, seen: true, crowded, pattern, ..sum }
    }

    /// Of the samples from `first` on. Free of branches on noisy comparisons, which a processor cannot predict over
    /// millions of samples.
    fn of_block(map: &BeamMap, noise: Noise, first: usize, model: &[f64]) -> Self {
        let one_if = |yes: bool| f64::from(u8::from(yes));
        let mut sum = Misfit::nothing();
        let (mut chi2, mut known) = (0.0, true);
        for (i, (&p, &m)) in map.power[first..].iter().zip(model).enumerate() {
            if p.is_nan() {
                continue;
            }
            sum.samples += 1;
            let square = (p - m) * (p - m);
            sum.square += square;
            let Some(variance) = variance(map, noise, first + i, m) else {
                known = false;
                continue;
            };
            let over = square / variance;
            chi2 += over;
            let clipped = over.min(CLIP);
            sum.whole.add(1.0, clipped);
            sum.bright.add(one_if(m * m > CLIP * variance), clipped);
            let certain = one_if((p > 0.0) & (p * p > CERTAIN * variance));
            sum.certain += certain;
            // (One that noise lifts above five sigma is above a model that is not 0 there by less.)
            sum.missed += certain * one_if(over > CERTAIN);
        }
        Misfit { chi2: known.then_some(chi2), ..sum }
    }

    /// Those of more samples of the same map.
    fn and(self, more: Misfit) -> Misfit {
        Misfit {
            samples: self.samples + more.samples,
            square: self.square + more.square,
            chi2: self.chi2.zip(more.chi2).map(|(a, b)| a + b),
            whole: self.whole.and(more.whole),
            bright: self.bright.and(more.bright),
            pattern: self.pattern,
            certain: self.certain + more.certain,
            missed: self.missed + more.missed,
            even: self.even,
            seen: self.seen,
            crowded: self.crowded,
        }
    }
}

/// What the model at `at` leaves of every map; with the models, where they are to be kept.
pub fn misfits(problem: &Problem, at: &[f64], keep: bool) -> (Vec<Misfit>, Vec<Vec<f64>>) {
    let MapSet { maps, noise, .. } = problem.maps;
    let both = problem.predictions(at, |k, model| {
        let misfit = Misfit::of(&maps[k], *noise, &model);
        (misfit, if keep { model } else { Vec::new() })
    });
    let (misfits, models) = both.into_iter().unzip();
    (misfits, if keep { models } else { Vec::new() })
}

/// Whether the noise is known and the model at `at` leaves no more of any map. Few samples on a coarse aperture
/// need the larger room, so this is milder on simulations than [`trust`], which judges the whole maps.
pub fn explains(problem: &Problem, at: &[f64]) -> bool {
    is_explained(problem, &misfits(problem, at, false).0)
}

/// The same, or whether it may be the coarse aperture's fault that it leaves more.
pub fn nearly_explains(problem: &Problem, at: &[f64]) -> bool {
    let misfits = misfits(problem, at, false).0;
    is_explained(problem, &misfits) || is_near(problem, &misfits)
}

fn is_explained(problem: &Problem, misfits: &[Misfit]) -> bool {
    explained(misfits, problem.maps.noise, ALLOWANCE) == Some(true)
        && strength(problem, misfits, ALLOWANCE) <= PATTERN
}

fn is_near(problem: &Problem, misfits: &[Misfit]) -> bool {
    misfits.iter().zip(&problem.maps.maps).all(|(misfit, map)| {
        let (samples, chi2) = (misfit.samples as f64, misfit.chi2.unwrap_or(f64::INFINITY));
        let beyond_noise = misfit.square * (1.0 - samples / chi2).max(0.0);
        beyond_noise <= samples * (COARSE * map.peak()).powi(2)
    })
}

fn strength(problem: &Problem, misfits: &[Misfit], imperfect: f64) -> f64 {
    let parameters = problem.free_places().len();
    let patterns: Vec<Pattern> = misfits.iter().map(|misfit| misfit.pattern).collect();
    pattern::strength(problem.maps, parameters, &patterns, imperfect)
}

/// Whether no more than the noise is left; `None` where that is not known.
fn explained(maps: &[Misfit], noise: Option<Noise>, imperfect: f64) -> Option<bool> {
    let outliers = noise.unwrap_or_default().outliers;
    let expected = clipped_mean(outliers);
    let limit =
        |allowance: f64, count: f64| (expected + allowance) * count + 5.0 * f64::sqrt(2.0 * count);
    let (mut all, mut known) = (true, Sum::default());
    for map in maps {
        map.chi2?;
        let Misfit { whole, bright, certain, missed, .. } = map;
        // (Of sixteen million samples of an empty sky five are "certain".)
        let glitches = (outliers + BY_CHANCE) * whole.count;
        all &= *missed <= glitches + 5.0 * f64::sqrt(glitches) + 0.1 * certain + 3.0;
        all &= whole.total <= limit(imperfect, whole.count);
        all &= bright.total <= limit(5.0 * imperfect, bright.count);
        known = known.and(*whole);
    }
    all &= known.total <= limit(0.5 * imperfect, known.count);
    Some(all)
}

/// How far an optimum can be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trust {
    None,
    /// No more than the noise is left, but in a pattern that noise seldom has, or of a beam that hardly stands above it, or
    /// of maps that are weak ([`is_weak`](super::optimum::Optimum::is_weak)): there may be a better one.
    Doubtful,
    Full,
}

/// Whether an optimum that leaves this can be trusted. The noise of a simulation is all there is; what a
/// telescope's file has for sigma is its receiver's alone, and leaves room for errors of pointing and gain.
pub fn trust(problem: &Problem, misfits: &[Misfit]) -> Trust {
    let (maps, options) = (problem.maps, problem.options);
    let exact = options.aperture == maps.aperture && options.precision == Precision::F64;
    let imperfect = match (maps.is_simulated(), exact) {
        (true, true) => 0.0,
        (true, false) => SIMULATED,
        (false, _) => ALLOWANCE,
    };
    // What is explained only by the room for imperfections may be a wrong optimum's; so may what is left of less than the
    // noise is said to be.
    let known = maps.noise.is_some() && !maps.is_simulated();
    let roomy =
        known && (!is_trusted(maps, misfits, 0.0) || strength(problem, misfits, 0.0) > ROOMY);
    let overstated = known && chi2_over_samples(misfits).is_some_and(|chi2| chi2 < OVERSTATED);
    match strength(problem, misfits, imperfect) {
        _ if !is_trusted(maps, misfits, imperfect) => Trust::None,
        strength if strength > PATTERN => Trust::None,
        strength if strength > DOUBTFUL => Trust::Doubtful,
        _ if roomy || overstated => Trust::Doubtful,
        _ if misfits.iter().any(|misfit| misfit.pattern.is_faint() || misfit.is_alike()) => {
            Trust::Doubtful
        }
        _ => Trust::Full,
    }
}

/// Chi-square over the number of samples; `None` where the noise is not known.
pub fn chi2_over_samples(misfits: &[Misfit]) -> Option<f64> {
    let chi2 = misfits.iter().map(|map| map.chi2).sum::<Option<f64>>()?;
    Some(chi2 / misfits.iter().map(|map| map.samples as f64).sum::<f64>())
}

/// Whether the sizes of what an `imperfect` model leaves allow trust.
fn is_trusted(maps: &MapSet, misfits: &[Misfit], imperfect: f64) -> bool {
    match explained(misfits, maps.noise, imperfect) {
        Some(explained) if explained || maps.noise.is_some() => explained,
        _ => misfits.iter().all(|map| map.even),
    }
}

/// What a model of a measured map may leave of its beam, as a part of the peak.
const IMPERFECT: f64 = 0.08;

/// A map of which less than this part lies beside the beam does not show its noise. (Of 20 simulations each like maps of the
/// SRT, cut to 0.02, 0.12 and 0.21 beside the beam, 4, 3 and 1 ended wrong and looked right; of 40 at 0.4 none.)
const SKY: f64 = 1.0 / 3.0;

/// A sample that is higher than this part of the model's peak, either way, belongs to a beam.
const HIGH: f64 = 0.25;

/// Where chi-square does not tell: whether the residuals where the beam is bright stay near those where it is
/// faint, which are the noise, or at least within some per cent of the peak, which are the model's
/// imperfections; and whether the model has the beams that the map has.
fn is_even(map: &BeamMap, model: &[f64], peak: f64, noise: f64) -> bool {
    if peak <= 0.0 {
        return false;
    }
    // What the model has not got at all is faint there: a second beam, or a beam elsewhere. (A glitch is alone.)
    let (mut high, mut missed) = (0.0, 0.0);
    let (limit, neighbours) = (f64::max(HIGH * peak, 6.0 * noise), Neighbours::of(map));
    for (i, (p, m)) in map.power.iter().zip(model).enumerate() {
        if p.abs() > limit && neighbours.median(i).abs() > 0.5 * limit {
            high += 1.0;
            missed += if (p - m).abs() > 0.5 * p.abs() { 1.0 } else { 0.0 };
        }
    }
    median_left(map, model, |m| m.abs() > 0.1 * peak) <= 2.0 * noise + IMPERFECT * peak
        && missed <= 0.1 * high + 3.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optics::beam_map::{Sampling, Sigma};
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use rand_distr::StandardNormal;

    /// Beams of 41 by 41 samples: the map, and a model `times` as high.
    fn beam(times: f64, sigma: Sigma) -> (BeamMap, Vec<f64>) {
        let axis: Vec<f64> = (0..41).map(|i| f64::from(i) - 20.0).collect();
        let at = |i: usize| (-(axis[i % 41].powi(2) + axis[i / 41].powi(2)) / 50.0).exp();
        // Noise without a pattern, of a standard deviation of 0.01.
        let noise = |i: usize| 0.0141 * (1.7 * (i * i % 1009) as f64).sin();
        let power: Vec<f64> = (0..41 * 41).map(|i| at(i) + noise(i)).collect();
        let model = (0..power.len()).map(|i| times * at(i)).collect();
        let sampling = Sampling::Raster { u: axis.clone(), v: axis };
        (BeamMap { name: "beam".into(), defocus: 0.0, sampling, power, sigma }, model)
    }

    #[test]
    fn a_wrong_model_is_not_trusted_whether_the_noise_is_known_or_not() {
        let known = Noise { additive: 0.01, ..Noise::default() };
        for (noise, sigma) in [
            (None, Sigma::Unknown),
            (None, Sigma::Constant(0.01)),
            (Some(known), Sigma::Constant(0.01)),
            // As a simulation without noise has it.
            (Some(Noise::default()), Sigma::Unknown),
        ] {
            for (times, right) in [(1.0, true), (0.5, false)] {
                let (map, model) = beam(times, sigma.clone());
                let misfit = Misfit::of(&map, noise, &model);
                let maps = MapSet { maps: vec![map], noise, seed: Some(1), ..MapSet::default() };
                assert_eq!(
                    is_trusted(&maps, &[misfit], ALLOWANCE),
                    right,
                    "{noise:?} {sigma:?} {times}"
                );
            }
        }
    }

    #[test]
    fn a_model_without_the_second_beam_is_not_even() {
        let (mut map, model) = beam(1.0, Sigma::Unknown);
        assert!(Misfit::of(&map, None, &model).even);
        // Glitches are none, one in a hundred samples here.
        (0..17).for_each(|k| map.power[7 + 99 * k] = 20.0);
        assert!(Misfit::of(&map, None, &model).even);
        for i in 12..model.len() {
            map.power[i] -= 0.9 * model[i - 12];
        }
        let two: Vec<f64> = (0..model.len())
            .map(|i| model[i] - if i < 12 { 0.0 } else { 0.9 * model[i - 12] })
            .collect();
        assert!(Misfit::of(&map, None, &two).even && !Misfit::of(&map, None, &model).even);
    }

    #[test]
    fn the_misfit_of_a_large_map_is_that_of_all_its_blocks() {
        let noise = Noise { additive: 0.1, multiplicative: 0.2, ..Noise::default() };
        let count = 2 * BLOCK + 77;
        let wave = |i: usize| (0.37 * i as f64).sin();
        let mut power: Vec<f64> = (0..count).map(|i| 2.0 * wave(i)).collect();
        power[BLOCK] = f64::NAN;
        let model: Vec<f64> = (0..count).map(|i| wave(i) + 0.1 * wave(3 * i)).collect();
        let sampling = Sampling::Scattered { u: vec![0.0; count], v: vec![0.0; count] };
        let (name, sigma) = ("all".to_string(), Sigma::Constant(0.1));
        let map = BeamMap { name, defocus: 0.0, sampling, power, sigma };
        let (sum, known) =
            (Misfit::of(&map, Some(noise), &model), Misfit::of_block(&map, noise, 0, &model));
        assert_eq!((sum.samples, sum.bright.count), (count - 1, known.bright.count));
        assert_eq!((sum.certain, sum.missed), (known.certain, known.missed));
        // Two orders of a sum of `count` squares.
        let most = count as f64 * f64::EPSILON;
        let pairs = [
            (sum.square, known.square),
            (sum.chi2.unwrap(), known.chi2.unwrap()),
            (sum.whole.total, known.whole.total),
            (sum.bright.total, known.bright.total),
        ];
        assert!(pairs.iter().all(|(a, b)| (a - b).abs() < most * b && *b > 1.0), "{pairs:?}");
    }

    #[test]
    fn what_a_smooth_model_leaves_that_is_wrong_has_a_pattern_that_noise_has_not() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let noise = Some(Noise { additive: 0.01, ..Noise::default() });
        // The second adds to the sum of the squares `(0.012 / 0.01)^2 pi 25 = 113`, two of its standard deviations.
        for (times, wrong) in [(1.0, false), (1.012, true)] {
            for scattered in [false, true] {
                let (mut map, model) = beam(times, Sigma::Constant(0.01));
                let (_, exact) = beam(1.0, Sigma::Constant(0.01));
                let normal = |m: &f64| m + 0.01 * random.sample::<f64, _>(StandardNormal);
                map.power = exact.iter().map(normal).collect();
                if scattered {
                    let (u, v) = map.sampling.points();
                    map.sampling = Sampling::Scattered { u, v };
                }
                let misfit = Misfit::of(&map, noise, &model);
                let maps = MapSet { maps: vec![map], noise, seed: Some(1), ..MapSet::default() };
                let found = pattern::strength(&maps, 0, &[misfit.pattern], 0.0);
                assert_eq!(found > PATTERN, wrong, "{times} {scattered}: {found}");
                assert!(wrong || found < DOUBTFUL, "{found}");
                assert!(is_trusted(&maps, &[misfit], SIMULATED), "chi-square does not tell");
            }
        }
    }

    #[test]
    fn noise_that_is_far_off_by_chance_is_allowed_to_as_many_samples_as_there_are() {
        let explained = |count: f64, missed: f64| {
            let whole = Sum { total: clipped_mean(0.0) * count, count };
            let misfit = Misfit { whole, certain: 30.0, missed, ..Misfit::nothing() };
            explained(&[misfit], Some(Noise::default()), SIMULATED)
        };
        // 4096 a side: 4.8 are expected, and eight were found.
        assert_eq!(explained(4096.0 * 4096.0, 8.0), Some(true));
        assert_eq!(explained(4096.0 * 4096.0, 25.0), Some(false));
        assert_eq!(explained(64.0 * 64.0, 8.0), Some(false));
        assert_eq!(explained(64.0 * 64.0, 6.0), Some(true));
    }

    #[test]
    fn each_sample_counts_by_its_own_sigma_and_blanks_do_not() {
        let noise = Noise { multiplicative: 0.1, ..Noise::default() };
        let mut sigma: Vec<f64> = (0..41 * 41).map(|i| 0.01 + 1e-5 * i as f64).collect();
        let (mut map, model) = beam(1.02, Sigma::PerSample(sigma.clone()));
        (map.power[7], map.power[800]) = (f64::NAN, f64::NAN);
        let found = Misfit::of(&map, Some(noise), &model);
        let known: Vec<usize> = (0..41 * 41).filter(|i| ![7, 800].contains(i)).collect();
        let over = |i: &usize| {
            (map.power[*i] - model[*i]).powi(2) / variance(&map, noise, *i, model[*i]).unwrap()
        };
        let chi2: f64 = known.iter().map(over).sum();
        let clipped: f64 = known.iter().map(|i| over(i).min(CLIP)).sum();
        let most = 2.0 * 41.0 * 41.0 * f64::EPSILON * chi2;
        assert_eq!((found.samples, found.whole.count), (known.len(), known.len() as f64));
        assert!((found.chi2.unwrap() - chi2).abs() < most);
        assert!((found.whole.total - clipped).abs() < most);
        // A sample of which nothing is known leaves chi-square unknown, and the squares.
        sigma[900] = 0.0;
        map.sigma = Sigma::PerSample(sigma);
        let exact = Misfit::of(&map, Some(Noise::default()), &model);
        assert_eq!((exact.chi2, exact.samples, exact.square), (None, known.len(), found.square));
    }

    #[test]
    fn what_is_alike_where_the_noise_is_not_known_is_doubtful() {
        let (map, exact) = beam(1.0, Sigma::Unknown);
        assert!(!Misfit::of(&map, None, &exact).is_alike());
        // As right as a map's beam needs to be, and still not its noise.
        let (_, wrong) = beam(1.06, Sigma::Unknown);
        let misfit = Misfit::of(&map, None, &wrong);
        assert!(misfit.is_alike() && misfit.even);
        // Where the noise is known, chi-square and the pattern tell.
        let known = Some(Noise { additive: 0.01, ..Noise::default() });
        let (map, _) = beam(1.0, Sigma::Constant(0.01));
        assert!(!Misfit::of(&map, known, &wrong).is_alike());
    }

    #[test]
    fn a_map_that_ends_within_its_beam_is_crowded() {
        let (map, model) = beam(1.0, Sigma::Unknown);
        assert!(!Misfit::of(&map, None, &model).crowded);
        // Blanks are no beam: four rows of five.
        let mut rows = map.clone();
        (0..41 * 41).filter(|i| i / 41 % 5 > 0).for_each(|i| rows.power[i] = f64::NAN);
        assert!(!Misfit::of(&rows, None, &model).crowded);
        // The middle 13 by 13 samples, of a beam whose width is 12.
        let inside = |i: &usize| (14..27).contains(&(i % 41)) && (14..27).contains(&(i / 41));
        let part = |all: &[f64]| (0..all.len()).filter(inside).map(|i| all[i]).collect::<Vec<_>>();
        let axis: Vec<f64> = (14..27).map(|i| f64::from(i) - 20.0).collect();
        let sampling = Sampling::Raster { u: axis.clone(), v: axis };
        let cut = BeamMap { power: part(&map.power), sampling, ..map };
        assert!(Misfit::of(&cut, None, &part(&model)).crowded);
    }

    #[test]
    fn a_map_may_be_a_little_wrong_but_not_a_simulation() {
        let noise = Some(Noise { additive: 0.01, ..Noise::default() });
        // What 1.8 % of this beam adds to the sum of the squares is 17 % of what the noise leaves: of so few
        // samples five standard deviations are 17 % too, and the noise drawn is 2 % above its mean.
        let (map, model) = beam(1.018, Sigma::Constant(0.01));
        let misfit = Misfit::of(&map, noise, &model);
        let maps = MapSet { maps: vec![map], noise, ..MapSet::default() };
        assert!(is_trusted(&maps, &[misfit], ALLOWANCE));
        assert!(!is_trusted(&maps, &[misfit], SIMULATED));
    }
}
