//! Smaller versions of the maps with nearly the same optimum, to come close to it at little cost.
//!
//! Two facts make them: most of a beam's power lies within a few widths of its centre, and a beam map
//! is band-limited, so samples closer than `lambda / 2D` say little that is new but for their noise.
//!
//! A third of this file is tests; what is left is one question, which samples, for rasters and for samples anywhere.

use super::information::DERIVATIVES_HELD;
use super::options::FitOptions;
use super::problem::Problem;
use super::setup::Setup;
use super::start::centroid;
use crate::optics::aperture::{ApertureGrid, ApertureKind};
use crate::optics::beam_map::{BeamMap, MapSet, Sampling, Sigma, range};
use crate::optics::lateral::Lateral;
use crate::optics::telescope::Telescope;
use rayon::prelude::*;
use std::ops::Range;

/// One smaller version.
pub struct Level {
    pub maps: MapSet,
    /// As for the whole fit, but for the aperture grid.
    pub options: FitOptions,
    /// Which part of the samples of its window a level has: 1 for all, 1/4 for every second either way.
    pub share: f64,
    /// How near its optimum is near enough, in log-likelihood, for what follows.
    pub tolerance: f64,
}

/// What half the smallest window has beyond the spread of the defocus, in beam widths `lambda / D`.
const MARGIN: f64 = 4.0;
/// Half the smallest window is at least this, in beam widths.
const LEAST: f64 = 8.0;
/// How much smaller a level has to be than the next, in samples.
const RATIO: f64 = 2.0;
/// How much smaller than the whole maps the largest level has to be, which is 64 beams wide, for it to spare them
/// more than it takes: its optimum was found to lie within 0.003 of theirs in log-likelihood (half as wide, 0.03).
const RATIO_OF_LARGEST: f64 = 16.0;

/// The tolerance of the largest level where it has all samples of its window: the whole maps are to begin where they might
/// end, and what it says of one optimum is compared with what it says of another.
const LAST_TOLERANCE: f64 = 1e-3;
/// That of the others, whose optima lie farther from each other.
const LEVEL_TOLERANCE: f64 = 1e-2;

/// This many samples of a map that are not blank are taken to tell its beam, even where most are blank.
const ENOUGH: usize = 400;

/// The levels below the whole maps, smallest first; none where the maps are small already.
pub fn levels(setup: Setup) -> Vec<Level> {
    let maps = setup.maps;
    let Window { beam, half, centre } = window(setup);
    let thin = Thin::of(maps, beam);
    let mut levels: Vec<Level> = Vec::new();
    // From the largest down, so that each can be judged by the one above it.
    for (half, thin, ratio) in [
        (4.0 * half, Thin::NONE, RATIO_OF_LARGEST),
        (2.0 * half, Thin::NONE, RATIO),
        (half, Thin::NONE, RATIO),
        (half, thin, RATIO),
    ] {
        let above = levels.last().map_or(maps, |level| &level.maps);
        let count: usize = maps.maps.iter().map(|map| samples(map, centre, half, thin)).sum();
        if count as f64 * ratio > above.samples() as f64 {
            continue;
        }
        let one = |map| {
            let mut cut = part(map, centre, half, thin)?;
            if is_fine(&cut, beam) {
                cut.blank_spikes();
            }
            Some(cut)
        };
        let cut: Option<Vec<BeamMap>> = maps.maps.par_iter().map(one).collect();
        let Some(cut) = cut else { continue };
        levels.push(Level::new(cut, thin.share(), setup));
    }
    if let Some(largest) = levels.first_mut().filter(|level| level.share == 1.0) {
        largest.tolerance = LAST_TOLERANCE;
    }
    levels.reverse();
    levels
}

/// The samples of large maps that tell the errors of `count` parameters but for the backgrounds: those where
/// the beam is. (What a coefficient changes falls off with the third power of the distance, and what it
/// tells with the sixth.) None where the maps are not large.
pub fn middle(problem: &Problem, count: usize) -> Option<Level> {
    let (setup, maps) = (problem.setup(), problem.maps);
    if maps.samples() * count <= DERIVATIVES_HELD
        || !maps.maps.iter().all(|map| map.sampling.is_raster())
    {
        return None;
    }
    let Window { half, centre, .. } = window(setup);
    let cut = maps.maps.iter().map(|map| part(map, centre, 2.0 * half, Thin::NONE));
    let cut = cut.collect::<Option<Vec<BeamMap>>>()?;
    Some(Level::new(cut, 1.0, setup))
}

/// The samples of a raster that lie outside the rectangle of another, in runs of a row at most.
pub fn around(of: &Sampling, other: &Sampling) -> Vec<Range<usize>> {
    let (Sampling::Raster { u, v }, Sampling::Raster { u: of_u, v: of_v }) = (of, other) else {
        return Vec::new();
    };
    let inside = |axis: &[f64], x: &f64| {
        let (a, b) = (axis[0], axis[axis.len() - 1]);
        *x >= a.min(b) && *x <= a.max(b)
    };
    let first = u.iter().position(|u| inside(of_u, u)).unwrap_or(u.len());
    let count = u[first..].iter().take_while(|u| inside(of_u, u)).count();
    let row = |(i, v): (usize, &f64)| {
        let (start, end) = (i * u.len(), (i + 1) * u.len());
        match inside(of_v, v) {
            true => [start..start + first, start + first + count..end],
            false => [start..end, end..end],
        }
    };
    v.iter().enumerate().flat_map(row).filter(|run| !run.is_empty()).collect()
}

impl Level {
    /// As many of a level's samples as tell all that the noise lets through, where that is fewer.
    pub fn sparse(&self, setup: Setup) -> Option<Level> {
        let thin = Thin::of(&self.maps, setup.beam());
        let maps = &self.maps.maps;
        let raster = |map: &BeamMap| map.sampling.is_raster();
        if maps.iter().any(raster) && !maps.iter().all(raster) {
            // They are not thinned alike.
            return None;
        }
        let cut = |map: &BeamMap| part(map, (0.0, 0.0), f64::INFINITY, thin);
        let cut: Vec<BeamMap> = maps.iter().map(cut).collect::<Option<_>>()?;
        let sparse = Level::new(cut, self.share * thin.share(), self.setup(setup));
        (2 * sparse.maps.samples() <= self.maps.samples()).then_some(sparse)
    }

    /// A fit of it, of the same telescope as `setup`.
    pub fn setup<'a>(&'a self, setup: Setup<'a>) -> Setup<'a> {
        setup.with(&self.maps, &self.options)
    }

    /// A `share` of the samples of some part of the whole.
    fn new(maps: Vec<BeamMap>, share: f64, of: Setup) -> Level {
        let whole = of.maps;
        Level {
            options: FitOptions { aperture: matching_grid(&maps, of), ..of.options.roughly() },
            share,
            tolerance: LEVEL_TOLERANCE,
            maps: MapSet {
                maps,
                noise: whole.noise,
                chop: whole.chop,
                shift: whole.shift.clone(),
                source_radius: whole.source_radius,
                bandwidth: whole.bandwidth,
                ..MapSet::default()
            },
        }
    }
}

/// How samples are thinned: every `stride`-th of a raster either way, every `one_in`-th of scattered ones.
#[derive(Debug, Clone, Copy)]
struct Thin {
    stride: usize,
    one_in: usize,
}

impl Thin {
    const NONE: Thin = Thin { stride: 1, one_in: 1 };

    /// To what beams of this width need.
    fn of(maps: &MapSet, beam: f64) -> Thin {
        Thin { stride: nyquist(maps, beam), one_in: spare(maps, beam) }
    }

    /// The part of the samples that is left; maps of both kinds together are not worth more thought.
    fn share(self) -> f64 {
        1.0 / (self.stride * self.stride).max(self.one_in) as f64
    }
}

/// Where the smallest window lies.
struct Window {
    /// The beam width `lambda / D`, radians.
    beam: f64,
    /// Half the window's width, radians.
    half: f64,
    /// `(u, v)`, radians.
    centre: (f64, f64),
}

fn window(setup: Setup) -> Window {
    let (maps, beam) = (setup.maps, setup.beam());
    let centre = centre(maps, beam);
    let spread = spread(setup.telescope, maps) + maps.blur().radius;
    // Both of two beams are in it.
    let aside = 0.5 * maps.chop.unwrap_or(0.0);
    Window {
        beam,
        half: (LEAST * beam).max(MARGIN * beam + spread) + aside.abs(),
        centre: (centre.0 + aside, centre.1),
    }
}

/// Where the beams are: the origin, unless they lie farther than four beam widths off it. (Samples about the
/// origin are the far field of a small aperture grid, by a Fourier transform; others are not.)
fn centre(maps: &MapSet, beam: f64) -> (f64, f64) {
    let (count, near) = (maps.maps.len() as f64, 0.5 * LEAST * beam);
    // A rough picture will do: of a fine map samples half a beam apart, of a large one few.
    let fine = nyquist(maps, beam);
    let rough = |map: &BeamMap| {
        let stride = ((map.sampling.len() as f64 / 16384.0).sqrt().ceil() as usize).max(1);
        let thin = Thin { stride: stride.max(fine), one_in: stride * stride };
        part(map, (0.0, 0.0), f64::INFINITY, thin)
    };
    let places = maps.maps.par_iter().filter_map(rough).map(|map| centroid(&map));
    // Added in their order.
    let places: Vec<(f64, f64, f64)> = places.collect();
    let (u, v) =
        places.iter().fold((0.0, 0.0), |sum, (_, u, v)| (sum.0 + u / count, sum.1 + v / count));
    if u.hypot(v) > near { (u, v) } else { (0.0, 0.0) }
}

/// How far the defocus, and a displacement sideways, spread a beam, radians: the steepest slopes of their
/// paths on the dish, for the maps that are farthest off.
fn spread(telescope: &Telescope, maps: &MapSet) -> f64 {
    let farthest = maps.maps.iter().fold(0.0f64, |a, m| a.max(m.defocus.abs()));
    let along = steepest(telescope.radius, |x, y| telescope.path.per_metre(x, y));
    let sideways = |i: usize| {
        let farthest = maps.shift.iter().fold(0.0f64, |a, shift| a.max(shift[i].abs()));
        // Where the telescope's file does not tell, the model says so.
        let lateral = (farthest > 0.0).then(|| Lateral::of(telescope).ok()).flatten();
        lateral.map_or(0.0, |path| {
            farthest * steepest(telescope.radius, |x, y| path.per_metre(x, y)[i])
        })
    };
    farthest * along + sideways(0) + sideways(1)
}

/// The steepest slope of a path along the axes of a dish.
fn steepest(radius: f64, path: impl Fn(f64, f64) -> f64) -> f64 {
    let count = 64;
    let path = |i: usize, along_x: bool| {
        let r = radius * (2.0 * i as f64 / count as f64 - 1.0);
        let (x, y) = if along_x { (r, 0.0) } else { (0.0, r) };
        path(x, y)
    };
    let mut steepest = 0.0f64;
    for along_x in [true, false] {
        // The mean slope only moves the beam.
        let mean = (path(count, along_x) - path(0, along_x)) / (2.0 * radius);
        for i in 0..count {
            let rise = path(i + 1, along_x) - path(i, along_x);
            let slope = rise / (2.0 * radius / count as f64) - mean;
            steepest = steepest.max(slope.abs());
        }
    }
    steepest
}

/// The largest stride that leaves a sample every half beam width, which is all that a band-limited map
/// needs; at least 1.
fn nyquist(maps: &MapSet, beam: f64) -> usize {
    let steps = maps.maps.iter().map(|m| step(&m.sampling));
    let coarsest = steps.fold(0.0, f64::max);
    ((0.5 * beam * (1.0 + 1e-9) / coarsest) as usize).max(1)
}

/// How many scattered samples there are for every one that is needed in the sparsest of the maps: twice
/// the four of a square beam width that a raster would need, and some.
fn spare(maps: &MapSet, beam: f64) -> usize {
    const NEEDED: f64 = 9.0;
    let sparsest = maps.maps.iter().map(|map| density(map, beam)).fold(f64::INFINITY, f64::min);
    if sparsest.is_finite() { ((sparsest / NEEDED) as usize).max(1) } else { 1 }
}

/// Whether samples are half a beam width apart or as many as if they were; where they are fewer, a beam may be
/// one of them.
fn is_fine(map: &BeamMap, beam: f64) -> bool {
    match map.sampling {
        Sampling::Raster { .. } => step(&map.sampling) <= 0.5 * beam * (1.0 + 1e-9),
        Sampling::Scattered { .. } => density(map, beam) >= 4.0,
    }
}

/// How many scattered samples a square beam width has; infinite of rasters.
fn density(map: &BeamMap, beam: f64) -> f64 {
    let Sampling::Scattered { u, v } = &map.sampling else { return f64::INFINITY };
    let ((west, east), (south, north)) = (range(u), range(v));
    u.len() as f64 * beam * beam / ((east - west) * (north - south))
}

/// The larger of the two typical steps of a raster; infinite where there is none.
fn step(sampling: &Sampling) -> f64 {
    let Sampling::Raster { u, v } = sampling else {
        return f64::INFINITY;
    };
    let of = |axis: &[f64]| match axis {
        [first, .., last] => (last - first).abs() / (axis.len() - 1) as f64,
        _ => f64::INFINITY,
    };
    of(u).max(of(v))
}

/// How many samples [`part`] takes.
fn samples(map: &BeamMap, centre: (f64, f64), half: f64, thin: Thin) -> usize {
    match &map.sampling {
        Sampling::Raster { u, v } => {
            chosen(u, centre.0, half, thin.stride).len()
                * chosen(v, centre.1, half, thin.stride).len()
        }
        Sampling::Scattered { u, v } => near((u, v), centre, half).step_by(thin.one_in).count(),
    }
}

/// The samples within `half` radians of `centre` either way, thinned. `None` where too many of them are blank.
fn part(map: &BeamMap, centre: (f64, f64), half: f64, thin: Thin) -> Option<BeamMap> {
    let of = |axis: &[f64], places: &[usize]| places.iter().map(|&i| axis[i]).collect();
    let (sampling, places) = match &map.sampling {
        Sampling::Raster { u, v } => {
            let columns = chosen(u, centre.0, half, thin.stride);
            let rows = chosen(v, centre.1, half, thin.stride);
            let row = |&row: &usize| columns.iter().map(move |column| row * u.len() + column);
            let places: Vec<usize> = rows.iter().flat_map(row).collect();
            (Sampling::Raster { u: of(u, &columns), v: of(v, &rows) }, places)
        }
        Sampling::Scattered { u, v } => {
            let places: Vec<usize> = near((u, v), centre, half).step_by(thin.one_in).collect();
            (Sampling::Scattered { u: of(u, &places), v: of(v, &places) }, places)
        }
    };
    let part = BeamMap {
        name: map.name.clone(),
        defocus: map.defocus,
        sampling,
        power: of(&map.power, &places),
        sigma: match &map.sigma {
            Sigma::PerSample(sigma) => Sigma::PerSample(of(sigma, &places)),
            other => other.clone(),
        },
    };
    is_known(&part).then_some(part)
}

/// Whether enough of a part's samples are known for it to stand for the map.
fn is_known(part: &BeamMap) -> bool {
    let known = part.known();
    (2 * known >= part.power.len() || known >= ENOUGH) && part.peak() > 0.0
}

/// Which of samples that lie anywhere are within `half` radians of `centre` either way.
fn near<'s>(
    (u, v): (&'s [f64], &'s [f64]),
    centre: (f64, f64),
    half: f64,
) -> impl Iterator<Item = usize> + 's {
    let inside =
        move |&i: &usize| (u[i] - centre.0).abs() <= half && (v[i] - centre.1).abs() <= half;
    (0..u.len()).filter(inside)
}

/// Which samples of an axis to take: an even number about that nearest to `centre`, which is taken too.
fn chosen(axis: &[f64], centre: f64, half: f64, stride: usize) -> Vec<usize> {
    let far = |i: &usize| (axis[*i] - centre).abs();
    let middle = (0..axis.len()).min_by(|a, b| far(a).total_cmp(&far(b)));
    let middle = middle.unwrap_or(0);
    let step = (axis[axis.len() - 1] - axis[0]).abs() / (axis.len() - 1).max(1) as f64;
    let wanted = (half / (step * stride as f64) + 0.25).floor() as usize;
    let below = wanted.min(middle / stride);
    let above = wanted.min((axis.len() - middle).div_ceil(stride));
    (0..below + above).map(|i| middle + i * stride - below * stride).collect()
}

/// The grid whose discrete far field has these samples, where there is one that holds the dish: smooth, unless it has
/// the pixels of a hard one that the whole maps are `of`.
fn matching_grid(maps: &[BeamMap], of: Setup) -> Option<ApertureGrid> {
    let Sampling::Raster { u, v } = &maps[0].sampling else {
        return None;
    };
    let (radius, points) = (of.telescope.radius, u.len());
    let extent = of.wavelength / (2.0 * radius * step(&maps[0].sampling));
    let smooth = ApertureGrid { kind: ApertureKind::Smooth, points, extent };
    let extent = extent * (1.0 - 1.0 / points as f64);
    let hard = ApertureGrid { kind: ApertureKind::Hard, extent, ..smooth };
    let is_part = |whole: ApertureGrid| {
        let apart = whole.step(radius) / hard.step(radius) - 1.0;
        whole.kind == hard.kind && whole.points % 2 == points % 2 && apart.abs() < 1e-6
    };
    let grid = if of.options.aperture.is_some_and(is_part) { hard } else { smooth };
    let same = maps.iter().all(|m| m.sampling == maps[0].sampling);
    let holds = grid.extent >= 1.0 + 1.0 / grid.points as f64;
    let fits = same && holds && grid.is_sky_of(u, v, radius, of.wavelength);
    fits.then_some(grid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fit::tests::simulated;

    /// Samples every `step` beams each way over a square of 40 of them, one after the other.
    fn scattered(step: f64, beam: f64) -> BeamMap {
        let across = (40.0 / step) as usize;
        let place = |i: usize| (i as f64 - 0.5 * across as f64) * step * beam;
        // A little off the lattice, or it would be a raster.
        let point = |i: usize| (place(i % across) + 1e-9 * (i as f64).sin(), place(i / across));
        let (u, v): (Vec<f64>, Vec<f64>) = (0..across * across).map(point).unzip();
        let power = |(u, v): (&f64, &f64)| (-(u * u + v * v) / (beam * beam)).exp();
        BeamMap {
            name: "MAP0".into(),
            defocus: 0.0,
            power: u.iter().zip(&v).map(power).collect(),
            sampling: Sampling::Scattered { u, v },
            sigma: Sigma::Unknown,
        }
    }

    #[test]
    fn what_lies_around_a_rectangle_is_all_but_what_lies_inside() {
        let rising: Vec<f64> = (0..7).map(f64::from).collect();
        let falling: Vec<f64> = rising.iter().rev().map(|v| 2.0 * v).collect();
        let of = Sampling::Raster { u: rising, v: falling };
        for (u, v) in
            [((2.0, 4.0), (5.0, 8.0)), ((0.0, 6.0), (3.0, 20.0)), ((9.0, 10.0), (0.0, 3.0))]
        {
            let other = Sampling::Raster { u: vec![u.1, u.0], v: vec![v.0, v.1] };
            let found: Vec<usize> = around(&of, &other).into_iter().flatten().collect();
            let (us, vs) = of.points();
            let outside = |i: &usize| us[*i] < u.0 || us[*i] > u.1 || vs[*i] < v.0 || vs[*i] > v.1;
            assert_eq!(found, (0..of.len()).filter(outside).collect::<Vec<_>>(), "{u:?} {v:?}");
        }
    }

    #[test]
    fn maps_that_are_large_enough_have_a_level_that_ends_near_their_own_optimum() {
        let telescope = Telescope::named("nikolic2018").unwrap();
        let (wavelength, options) = (1.1e-3, FitOptions::default());
        let beam = wavelength / (2.0 * telescope.radius);
        // Windows of 16, 32 and 64 beams have 64, 128 and 256 samples a side; 512 are twice the last, 1040 four times. Of 64
        // there is a level of every second sample either way only.
        for (points, whole, large) in
            [(64usize, false, false), (512, true, false), (1040, true, true)]
        {
            let axis: Vec<f64> =
                (0..points).map(|i| 0.25 * beam * (i as f64 - (points / 2) as f64)).collect();
            let power = |u: f64, v: f64| (-(u * u + v * v) / (beam * beam)).exp();
            let map = BeamMap {
                name: "MAP0".into(),
                defocus: 0.0,
                power: axis.iter().flat_map(|&v| axis.iter().map(move |&u| power(u, v))).collect(),
                sampling: Sampling::Raster { u: axis.clone(), v: axis },
                sigma: Sigma::Unknown,
            };
            let maps = MapSet { maps: vec![map], ..MapSet::default() };
            let levels =
                levels(Setup { telescope: &telescope, wavelength, maps: &maps, options: &options });
            let counts: Vec<usize> = levels.iter().map(|l| l.maps.samples()).collect();
            assert!(counts.windows(2).all(|pair| 2 * pair[0] <= pair[1]), "{counts:?}");
            let last = levels.last().unwrap();
            assert_eq!(last.tolerance == LAST_TOLERANCE, whole, "{counts:?}");
            assert_eq!(last.share == 1.0, whole, "{counts:?}");
            let beams = f64::sqrt(last.maps.samples() as f64) * 0.25;
            assert_eq!(beams.round() == 64.0, large, "{counts:?}");
            assert!(!large || 16 * last.maps.samples() <= maps.samples());
            assert!(
                levels[..levels.len() - 1].iter().all(|level| level.tolerance == LEVEL_TOLERANCE)
            );
        }
    }

    #[test]
    fn levels_of_scattered_samples_have_those_near_the_beams_and_no_more_than_they_need() {
        let telescope = Telescope::named("nikolic2018").unwrap();
        let (wavelength, options) = (1.1e-3, FitOptions::default());
        let beam = wavelength / (2.0 * telescope.radius);
        let set = |step| MapSet { maps: vec![scattered(step, beam)], ..MapSet::default() };
        // 8 beams to every side of the centre: 1/6 of the area. At 1/4 of a beam 16 samples a square beam,
        // not twice what is needed; at 1/10 of a beam 100, 11 times.
        let coarse = levels(Setup {
            telescope: &telescope,
            wavelength,
            maps: &set(0.25),
            options: &options,
        });
        assert_eq!(coarse.iter().map(|l| l.share).collect::<Vec<_>>(), [1.0]);
        let fine =
            levels(Setup { telescope: &telescope, wavelength, maps: &set(0.1), options: &options });
        assert_eq!(fine[0].share, 1.0 / 11.0);
        assert_eq!(spare(&set(0.1), beam), 11);
        for level in coarse.iter().chain(&fine[..1]) {
            let Sampling::Scattered { u, v } = &level.maps.maps[0].sampling else {
                panic!("not scattered");
            };
            assert!(u.iter().chain(v).all(|x| x.abs() <= 8.001 * beam));
            assert!((1500..=4300).contains(&u.len()), "{}", u.len());
        }
        // The second of two beams, 6 beam widths aside, is inside as well.
        let two = MapSet { chop: Some(6.0 * beam), ..set(0.25) };
        let level =
            &levels(Setup { telescope: &telescope, wavelength, maps: &two, options: &options })[0];
        assert_eq!(level.maps.chop, two.chop);
        let Sampling::Scattered { u, .. } = &level.maps.maps[0].sampling else {
            panic!("not scattered");
        };
        let high = u.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        assert!(high > 13.0 * beam && high < 14.1 * beam, "{}", high / beam);
    }

    #[test]
    fn a_beam_that_is_one_sample_is_no_spike() {
        let telescope = Telescope::named("nikolic2018").unwrap();
        let (wavelength, options) = (telescope.wavelength, FitOptions::default());
        let beam = wavelength / (2.0 * telescope.radius);
        for step in [0.5, 0.8] {
            let axis: Vec<f64> = (-32..32).map(|i| step * beam * f64::from(i)).collect();
            let mut power = vec![0.0; axis.len() * axis.len()];
            power[32 * axis.len() + 32] = 1.0;
            let map = BeamMap {
                name: "MAP0".into(),
                defocus: 0.0,
                power,
                sampling: Sampling::Raster { u: axis.clone(), v: axis },
                sigma: Sigma::Unknown,
            };
            let maps = MapSet { maps: vec![map], ..MapSet::default() };
            let setup = Setup { telescope: &telescope, wavelength, maps: &maps, options: &options };
            let level = &levels(setup)[0].maps.maps[0];
            // A beam of half its width apart has more than one sample, so that this is none.
            assert_eq!(level.peak() == 1.0, step > 0.5, "{step}");
        }
    }

    /// Large maps without levels are explored whole, which takes very long.
    #[test]
    fn maps_that_are_mostly_blank_have_levels_as_long_as_enough_is_known() {
        let (telescope, maps, _) = simulated(256);
        let (wavelength, options) = (telescope.wavelength, FitOptions::default());
        for (one_in, shares) in [(1, &[0.25, 1.0, 1.0][..]), (7, &[1.0, 1.0]), (97, &[])] {
            let mut maps = maps.clone();
            for map in &mut maps.maps {
                let blank = |(i, p): (usize, &mut f64)| {
                    if i % one_in > 0 {
                        *p = f64::NAN;
                    }
                };
                map.power.iter_mut().enumerate().for_each(blank);
            }
            let levels =
                levels(Setup { telescope: &telescope, wavelength, maps: &maps, options: &options });
            let found: Vec<f64> = levels.iter().map(|level| level.share).collect();
            assert_eq!(found, shares, "1 in {one_in}");
        }
    }

    #[test]
    fn thinned_maps_of_a_hard_grid_have_the_model_of_its_own_pixels() {
        let (telescope, maps, grid) = simulated(64);
        let options = FitOptions { order: 3, aperture: Some(grid), ..FitOptions::default() };
        let setup = Setup::new(&telescope, &maps, &options);
        let levels = levels(setup);
        assert_eq!(levels[0].share, 0.25);
        let whole = Problem::new(setup).unwrap();
        let few = Problem::new(levels[0].setup(setup)).unwrap();
        let models = whole.predictions(&whole.start, |_, model| model);
        let thinned = few.predictions(&whole.start, |_, model| model);
        for (k, (model, thinned)) in models.iter().zip(&thinned).enumerate() {
            let sampling = |maps: &MapSet| match &maps.maps[k].sampling {
                Sampling::Raster { u, v } => (u.clone(), v.clone()),
                Sampling::Scattered { .. } => panic!("a raster"),
            };
            let ((u, v), (some_u, some_v)) = (sampling(&maps), sampling(&levels[0].maps));
            let place = |axis: &[f64], x: f64| axis.iter().position(|a| *a == x).unwrap();
            let peak = model.iter().copied().fold(0.0, f64::max);
            for (i, thinned) in thinned.iter().enumerate() {
                let (x, y) = (some_u[i % some_u.len()], some_v[i / some_u.len()]);
                let expected = model[place(&v, y) * u.len() + place(&u, x)];
                assert!((thinned - expected).abs() < 1e-12 * peak, "{thinned} {expected}");
            }
        }
        // A part of the maps is of wider pixels.
        let (telescope, maps, grid) = simulated(128);
        let options = FitOptions { aperture: Some(grid), ..options };
        let level = &super::levels(Setup::new(&telescope, &maps, &options))[0];
        assert_eq!(level.options.aperture.map(|grid| grid.kind), Some(ApertureKind::Smooth));
    }
}
