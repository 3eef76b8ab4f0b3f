//! What has to hold before a fit makes sense.

use crate::error::{Error, Result};
use crate::optics::aperture::{Aperture, ApertureGrid};
use crate::optics::beam_map::{BeamMap, Blur, MapSet, Sampling, range};
use crate::optics::telescope::Telescope;
use crate::optics::zernike;
use crate::units::{SPEED_OF_LIGHT, show_length};

/// Fewer samples across a dish do not make a dish.
const FEWEST_ACROSS: f64 = 4.0;

/// Focus settings that differ by less than this part of a wavelength are one.
const SAME_FOCUS: f64 = 1e-3;

/// Maps whose nearest sample is farther than so much of their size from the origin are not about it.
const FAR: f64 = 0.5;

/// A beam that points down has a lowest sample so many times as far from 0 as the highest.
const DOWN: f64 = 2.0;

/// Noise gives so many samples, and so large a part of them, the same number hardly ever.
const MANY: usize = 10;
const REPEATED: f64 = 0.01;

/// Sums of squares of larger samples are infinite.
const LARGEST: f64 = 1e140;

/// Checks that the maps can tell the surface.
///
/// # Errors
/// A wavelength longer than the dish's radius, one map only, no two focus settings, maps without a beam, samples that
/// lie farther apart than a beam is wide or reach less far (those come from a wrong wavelength, telescope or unit),
/// beams that point down, and samples far from the origin.
pub fn maps(maps: &MapSet, place: &str, telescope: &Telescope, wavelength: f64) -> Result<()> {
    let wrong = |what: String| Err(Error::input(place, what));
    let Some(first) = maps.maps.first() else {
        return wrong("there are no maps".into());
    };
    if maps.maps.len() == 1 {
        return wrong(
            "a single map cannot tell the surface from the illumination; give at least two focus settings"
                .into(),
        );
    }
    if wavelength > telescope.radius {
        return wrong(format!(
            "a wavelength of {wavelength:.3e} m is longer than the dish's radius of {} m; is it in metres, and the frequency in Hz?",
            telescope.radius
        ));
    }
    let alike = |map: &BeamMap| (map.defocus - first.defocus).abs() <= SAME_FOCUS * wavelength;
    if maps.maps.iter().all(alike) {
        return wrong(format!(
            "all {} maps have dz = {}; give at least two focus settings",
            maps.maps.len(),
            show_length(first.defocus)
        ));
    }
    let beam = wavelength / (2.0 * telescope.radius);
    for map in &maps.maps {
        if let Some(power) = map.power.iter().find(|power| power.abs() > LARGEST) {
            return wrong(format!(
                "{}: a sample of {power:.3e}, whose square is no number any more; expected less than {LARGEST:e}",
                map.name
            ));
        }
        let (low, high) = range(&map.power);
        if low == high {
            return wrong(format!("{}: all samples are the same: there is no beam", map.name));
        }
        let (Sampling::Raster { u, v } | Sampling::Scattered { u, v }) = &map.sampling;
        let ((u_off, u_size), (v_off, v_size)) = (stretch(u), stretch(v));
        let (off, size) = (u_off.hypot(v_off), u_size.hypot(v_size));
        if off > FAR * size.max(beam) {
            let (name, off, size) = (&map.name, off.to_degrees(), size.to_degrees());
            return wrong(format!(
                "{name}: its samples are {off:.3} deg from the pointing centre, and reach over {size:.3} deg; \
                 expected offsets from the source",
            ));
        }
        if u_size.min(v_size) < beam {
            return wrong(format!(
                "{}: its samples reach over {u_size:.3e} by {v_size:.3e} rad, less than a beam, wavelength / dish diameter \
                 = {beam:.3e} rad, is wide; is the wavelength or the telescope wrong?",
                map.name
            ));
        }
        if maps.chop.is_none() && -low > DOWN * high && points_down(map) {
            return wrong(format!(
                "{}: its beam points down, to {low:.3e}, and its highest sample is {high:.3e}; give the powers with the \
                 other sign",
                map.name
            ));
        }
        let steps = match &map.sampling {
            Sampling::Raster { u, v } => [step(u), step(v)],
            Sampling::Scattered { u, v } => [spacing(u, v), None],
        };
        if let Some(step) = steps.into_iter().flatten().find(|s| *s > beam) {
            return wrong(format!(
                "{}: samples {step:.3e} rad apart, coarser than wavelength / dish diameter = {beam:.3e} \
                 rad: the grid they imply is smaller than the dish; is the wavelength or the telescope wrong?",
                map.name
            ));
        }
    }
    Ok(())
}

/// Whether a map's beam is negative, not only a glitch or two.
fn points_down(map: &BeamMap) -> bool {
    let power = map.power.iter().map(|power| -power).collect();
    BeamMap { power, ..map.clone() }.robust_peak() > DOWN * map.robust_peak().max(0.0)
}

/// What to say of maps that have one and the same number in many places, as some write for blanks.
pub fn repeated(maps: &[BeamMap]) -> Vec<String> {
    let one = |map: &BeamMap| {
        let most = |value: f64| (map.power.iter().filter(|power| **power == value).count(), value);
        let (count, value) =
            [0.0, range(&map.power).0].map(most).into_iter().max_by_key(|c| c.0)?;
        (count >= MANY && count as f64 > REPEATED * map.power.len() as f64).then(|| {
            format!(
                "{count} of {} samples of {} are {value}: if these are blanks, write NaN for them",
                map.power.len(),
                map.name
            )
        })
    };
    maps.iter().filter_map(one).collect()
}

/// How far the nearest end of an axis is from 0, where that is outside, and how long it is.
fn stretch(axis: &[f64]) -> (f64, f64) {
    let (low, high) = range(axis);
    (low.max(-high).max(0.0), high - low)
}

/// Checks that what blurs the maps leaves something to see of them.
///
/// # Errors
/// A source that reaches farther than the samples do, and a band as wide as its frequency.
pub fn blur<'s>(
    blur: Blur,
    samplings: impl IntoIterator<Item = &'s Sampling>,
    wavelength: f64,
) -> Result<()> {
    let reach = samplings.into_iter().map(Sampling::reach).fold(0.0, f64::max);
    let arcsec = |radians: f64| 3600.0 * radians.to_degrees();
    if blur.radius > reach {
        return Err(Error::usage(format!(
            "a source radius of {:.1} arcsec, but the maps reach {:.1} arcsec from their centre; see --source-radius",
            arcsec(blur.radius),
            arcsec(reach)
        )));
    }
    let frequency = SPEED_OF_LIGHT / wavelength;
    if blur.bandwidth >= frequency {
        return Err(Error::usage(format!(
            "a bandwidth of {:.3} GHz, which is no less than the frequency of {:.3} GHz; see --bandwidth",
            1e-9 * blur.bandwidth,
            1e-9 * frequency
        )));
    }
    Ok(())
}

/// The largest distance of neighbours on an axis.
fn step(axis: &[f64]) -> Option<f64> {
    let steps = axis.windows(2).map(|w| (w[1] - w[0]).abs());
    steps.reduce(f64::max)
}

/// The typical distance of neighbours among scattered samples: of a square lattice of as many on the
/// rectangle that holds them.
fn spacing(u: &[f64], v: &[f64]) -> Option<f64> {
    (u.len() > 1).then(|| (stretch(u).1 * stretch(v).1 / u.len() as f64).sqrt())
}

/// Refuses what takes more memory than there is: `what` takes about `bytes`.
///
/// # Errors
/// A failure that says how much is needed and how much there is.
pub fn memory(bytes: f64, what: &str) -> Result<()> {
    match available().filter(|there| bytes > *there) {
        None => Ok(()),
        Some(there) => Err(Error::failed(format!(
            "{what} take about {:.1} GB of memory, and there are {:.1} GB",
            1e-9 * bytes,
            1e-9 * there
        ))),
    }
}

/// The bytes that can be had without swapping, and within the limit of the process; `None` where the system
/// does not say.
fn available() -> Option<f64> {
    let about = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = about.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let free: f64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    let mut limit = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: the call writes the limit and nothing else.
    let known = unsafe { libc::getrlimit(libc::RLIMIT_AS, &mut limit) } == 0;
    let limited = known && limit.rlim_cur != libc::RLIM_INFINITY;
    let most = if limited { limit.rlim_cur as f64 } else { f64::INFINITY };
    Some(most.min(1024.0 * free))
}

/// Checks that a grid carries the dish with enough samples for polynomials up to `order`. `option` is
/// what to give more of.
///
/// # Errors
/// A grid that the dish sticks out of, or with too few samples on it.
pub fn grid(grid: ApertureGrid, telescope: &Telescope, order: u32, option: &str) -> Result<()> {
    grid.check()?;
    let across = 2.0 * telescope.radius / grid.step(telescope.radius);
    let needed = zernike::count(order);
    let enough = across >= FEWEST_ACROSS && Aperture::new(telescope, grid)?.len() > needed;
    if enough {
        return Ok(());
    }
    // As many samples as polynomials fill a disc of this diameter.
    let least = (4.0 * needed as f64 / std::f64::consts::PI).sqrt() + 1.0;
    let points = (least.max(FEWEST_ACROSS) * grid.extent).ceil() as usize + 1;
    Err(Error::usage(format!(
        "a grid of {} points has {across:.1} across the dish, too few for order {order}; give {option} {points} or more",
        grid.points
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optics::beam_map::Sigma;

    fn set(defocus: &[f64], step: f64) -> MapSet {
        let axis: Vec<f64> = (-2..3).map(|j| f64::from(j) * step).collect();
        let maps = defocus.iter().map(|&defocus| BeamMap {
            name: "m".into(),
            defocus,
            sampling: Sampling::Raster { u: axis.clone(), v: axis.clone() },
            power: (0..25).map(f64::from).collect(),
            sigma: Sigma::Unknown,
        });
        MapSet { maps: maps.collect(), ..MapSet::default() }
    }

    #[test]
    fn maps_have_to_tell_the_surface() {
        let telescope = Telescope::named("nikolic2018").unwrap();
        let check = |defocus: &[f64], step| {
            maps(&set(defocus, step), "x", &telescope, 1.1e-3).map_err(|e| e.to_string())
        };
        // wavelength / diameter = 1.1e-3 / 5.6 = 1.96e-4
        assert_eq!(check(&[0.0, 0.05], 1e-4), Ok(()));
        assert!(check(&[0.0], 1e-4).unwrap_err().contains("at least two"));
        assert!(check(&[0.0, 0.0], 1e-4).unwrap_err().contains("dz = 0 mm"));
        assert!(check(&[0.0, 1e-6], 1e-4).unwrap_err().contains("dz = 0 mm"));
        let long = maps(&set(&[0.0, 0.05], 1e-4), "x", &telescope, 1.1e6).unwrap_err().to_string();
        assert!(long.contains("1.100e6 m is longer than the dish's radius of 2.8 m"), "{long}");
        let mut far = set(&[0.0, 0.05], 1e-4);
        if let Sampling::Raster { u, .. } = &mut far.maps[1].sampling {
            u.iter_mut().for_each(|u| *u += 1.46);
        }
        let far = maps(&far, "x", &telescope, 1.1e-3).unwrap_err().to_string();
        assert!(far.contains("83.640 deg from the pointing centre"), "{far}");
        assert!(check(&[0.0, 0.05], 2e-4).unwrap_err().contains("smaller than the dish"));
        // Scattered samples, 25 on a square of 4 steps.
        let scattered = |step: f64| {
            let mut set = set(&[0.0, 0.05], step);
            for map in &mut set.maps {
                let place = |i: usize| (i as f64 - 2.0) * step;
                let u = (0..25).map(|i| place(i % 5)).collect();
                map.sampling =
                    Sampling::Scattered { u, v: (0..25).map(|i| place(i / 5)).collect() };
            }
            maps(&set, "x", &telescope, 1.1e-3).map_err(|e| e.to_string())
        };
        assert_eq!(scattered(2.4e-4), Ok(()));
        assert!(scattered(2.6e-4).unwrap_err().contains("smaller than the dish"));
    }

    #[test]
    fn a_map_is_wider_than_a_beam_and_its_beam_points_up() {
        let telescope = Telescope::named("nikolic2018").unwrap();
        let check = |set: &MapSet, wavelength| {
            maps(set, "x", &telescope, wavelength).unwrap_err().to_string()
        };
        // Four steps of 1e-4, of which a beam takes two, and at a hundredth of the frequency 200.
        let there = set(&[0.0, 0.05], 1e-4);
        let wide = check(&there, 0.11);
        assert!(
            wide.contains("less than a beam") && wide.contains("4.000e-4 by 4.000e-4"),
            "{wide}"
        );
        let mut line = there.clone();
        for map in &mut line.maps {
            let u = (0..25).map(|i| 1e-5 * f64::from(i)).collect();
            map.sampling = Sampling::Scattered { u, v: vec![0.0; 25] };
        }
        let line = check(&line, 1.1e-3);
        assert!(line.contains("by 0.000e0 rad, less than a beam"), "{line}");
        let mut down = there.clone();
        down.maps[1].power.iter_mut().for_each(|power| *power *= -1.0);
        let down = check(&down, 1.1e-3);
        assert!(down.contains("points down, to -2.400e1"), "{down}");
        // One glitch does not turn a beam round.
        let mut glitch = there;
        glitch.maps[0].power[3] = -1e6;
        maps(&glitch, "x", &telescope, 1.1e-3).unwrap();
    }

    #[test]
    fn one_number_in_many_places_is_said() {
        let mut set = set(&[0.0, 0.05], 1e-4);
        assert!(repeated(&set.maps).is_empty());
        set.maps[1].power[4..16].fill(-999.0);
        let said = repeated(&set.maps);
        assert_eq!(said.len(), 1);
        assert!(said[0].starts_with("12 of 25 samples of m are -999"), "{said:?}");
    }

    #[test]
    fn a_grid_has_to_carry_the_dish_and_the_suggestion_does() {
        let telescope = Telescope::named("nikolic2018").unwrap();
        for order in [1, 5, 9, 20] {
            let mut tried = telescope.aperture;
            tried.points = 8;
            let message = grid(tried, &telescope, order, "--grid").unwrap_err().to_string();
            let points = message.split("--grid ").nth(1).unwrap();
            tried.points = points.split(' ').next().unwrap().parse().unwrap();
            grid(tried, &telescope, order, "--grid").unwrap();
        }
        let mut small = telescope.aperture;
        small.extent = 0.5;
        assert!(grid(small, &telescope, 5, "--grid").is_err());
    }
}
