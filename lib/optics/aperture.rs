//! Where the aperture field is sampled: the grid across the dish, and the pixels that are open.

use super::beam_map::Sampling;
use super::blockage::Opening;
use super::telescope::Telescope;
use crate::error::{Error, Result};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// How a grid of aperture samples is laid out, and how a pixel on the rim is weighted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ApertureKind {
    /// Pixel-centred grid; pixels on the rim and under the blockage weigh by their open area.
    Smooth,
    /// `linspace(-extent R, extent R, points)`, both ends included; a pixel is in or out by its
    /// centre. The grid of arXiv:1805.07439 (extent 4) and of pyoof (256 points, extent 5).
    Hard,
}

/// A square grid of aperture samples, centred on the dish.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ApertureGrid {
    pub kind: ApertureKind,
    /// Samples a side.
    pub points: usize,
    /// Half the grid's width in dish radii.
    pub extent: f64,
}

/// The most samples a side; it keeps a mistyped number from taking all the memory.
const MOST_POINTS: usize = 1 << 15;

/// The most samples a side that nobody has asked for: enough for maps that reach 250 beam widths from the centre. In
/// maps that reach twice as far the far field repeats.
const ENOUGH_POINTS: usize = 1024;

/// The smallest batch of pixels' paths for one thread.
const PIXELS_AT_ONCE: usize = 8192;

impl ApertureGrid {
    /// A grid across a dish of `radius` metres, fine enough that the far field repeats only well outside
    /// the samples: twice their extent and at least 64 points, but no more than 1024.
    pub fn suitable<'s>(
        radius: f64,
        wavelength: f64,
        samplings: impl Iterator<Item = &'s Sampling>,
    ) -> ApertureGrid {
        // A little more than the dish, for the pixels that its rim crosses.
        let extent = 1.02;
        let reach = samplings.map(Sampling::reach).fold(0.0, f64::max);
        let needed = (4.0 * reach * 2.0 * radius * extent / wavelength).ceil() as usize;
        ApertureGrid { kind: ApertureKind::Smooth, points: needed.clamp(64, ENOUGH_POINTS), extent }
    }

    /// The distance of neighbouring samples, metres, on a dish of `radius` metres.
    pub fn step(&self, radius: f64) -> f64 {
        let intervals = match self.kind {
            ApertureKind::Smooth => self.points as f64,
            ApertureKind::Hard => self.points as f64 - 1.0,
        };
        2.0 * self.extent * radius / intervals
    }

    /// The coordinates of the samples along x, and along y, metres; ascending, symmetric about 0.
    pub fn coordinates(&self, radius: f64) -> Vec<f64> {
        let step = self.step(radius);
        let middle = (self.points as f64 - 1.0) / 2.0;
        (0..self.points).map(|i| (i as f64 - middle) * step).collect()
    }

    /// The coordinates `u`, and `v`, of this grid's discrete far field on a dish of `radius` metres,
    /// radians: pixel `j` lies at `(j - points / 2) wavelength / (points step)`.
    pub fn sky_axis(&self, radius: f64, wavelength: f64) -> Vec<f64> {
        let n = self.points;
        let pixel = wavelength / (n as f64 * self.step(radius));
        let from_centre = |j: usize| j as f64 - (n / 2) as f64;
        (0..n).map(|j| from_centre(j) * pixel).collect()
    }

    /// Whether `u` and `v` are this grid's [`sky_axis`](ApertureGrid::sky_axis), to a millionth of a
    /// pixel.
    pub fn is_sky_of(&self, u: &[f64], v: &[f64], radius: f64, wavelength: f64) -> bool {
        let expected = self.sky_axis(radius, wavelength);
        let tolerance = 1e-6 * wavelength / (self.points as f64 * self.step(radius));
        let close = |(a, b): (&f64, &f64)| (a - b).abs() < tolerance;
        let same =
            |axis: &[f64]| axis.len() == self.points && axis.iter().zip(&expected).all(close);
        same(u) && same(v)
    }

    /// Checks that the grid can carry a dish.
    ///
    /// # Errors
    /// A usage error when there are fewer than 2 or too many points, or the dish sticks out.
    pub fn check(&self) -> Result<()> {
        if !(2..=MOST_POINTS).contains(&self.points) {
            return Err(Error::usage(format!(
                "an aperture grid of {} points a side, expected 2 to {MOST_POINTS}",
                self.points
            )));
        }
        if !(self.extent >= 1.0 && self.extent <= 1e3) {
            return Err(Error::usage(format!(
                "an aperture grid that extends to {} dish radii, expected 1 (the rim) to 1000",
                self.extent
            )));
        }
        Ok(())
    }
}

/// The open pixels of a dish on a grid, in row-major order `(y, x)`. All lists have the same length.
#[derive(Debug, Clone, PartialEq)]
pub struct Aperture {
    pub grid: ApertureGrid,
    /// Of the dish, metres.
    pub radius: f64,
    /// Distance of neighbouring samples, metres.
    pub step: f64,
    /// Grid indices `(iy, ix)`, each from 0 to `grid.points - 1`.
    pub pixels: Vec<(u32, u32)>,
    /// Centres of the pixels, metres. On a smooth grid a centre can lie just off the dish.
    pub x: Vec<f64>,
    pub y: Vec<f64>,
    /// Open fraction of the pixel's area, above 0 up to 1.
    pub weight: Vec<f64>,
}

impl Aperture {
    /// The open pixels of `telescope` on `grid`.
    ///
    /// # Errors
    /// A usage error when the grid cannot carry the dish, or no pixel is open.
    pub fn new(telescope: &Telescope, grid: ApertureGrid) -> Result<Aperture> {
        grid.check()?;
        let radius = telescope.radius;
        let opening = Opening::new(radius, &telescope.blockage);
        let step = grid.step(radius);
        let coordinates = grid.coordinates(radius);
        // Nothing further out than this can be open, a half pixel included.
        let reach = radius + step;
        let first = coordinates.partition_point(|&c| c < -reach);
        let last = coordinates.partition_point(|&c| c <= reach);
        let near = &coordinates[first..last];
        // A disc's part of a square, and its rim.
        let room = (0.8 * near.len().pow(2) as f64) as usize + 4 * near.len();
        let mut aperture = Aperture {
            grid,
            radius,
            step,
            pixels: Vec::with_capacity(room),
            x: Vec::with_capacity(room),
            y: Vec::with_capacity(room),
            weight: Vec::with_capacity(room),
        };
        let mut weights = vec![0.0; near.len()];
        for (row, &y) in near.iter().enumerate() {
            match grid.kind {
                ApertureKind::Smooth => opening.row(y, step, near[0] - 0.5 * step, &mut weights),
                ApertureKind::Hard => {
                    for (weight, &x) in weights.iter_mut().zip(near) {
                        *weight = if opening.open(x, y) { 1.0 } else { 0.0 };
                    }
                }
            }
            for (column, (&x, &weight)) in near.iter().zip(&weights).enumerate() {
                if weight > 0.0 {
                    // At most MOST_POINTS, so it fits.
                    let index = |i: usize| (first + i) as u32;
                    aperture.pixels.push((index(row), index(column)));
                    aperture.x.push(x);
                    aperture.y.push(y);
                    aperture.weight.push(weight);
                }
            }
        }
        if aperture.is_empty() {
            return Err(Error::usage(format!(
                "no pixel of the {} x {} aperture grid lies on the open dish of {}: take more \
                 points or a smaller extent",
                grid.points, grid.points, telescope.name
            )));
        }
        Ok(aperture)
    }

    /// The number of open pixels.
    pub fn len(&self) -> usize {
        self.weight.len()
    }

    /// Whether no pixel is open.
    pub fn is_empty(&self) -> bool {
        self.weight.is_empty()
    }

    /// The pixels' centres in dish radii.
    pub fn points(&self) -> Vec<(f64, f64)> {
        let pairs = self.x.iter().zip(&self.y);
        pairs.map(|(x, y)| (x / self.radius, y / self.radius)).collect()
    }

    /// Path difference per metre of sub-reflector displacement along the axis, metres a metre, at each pixel.
    pub fn path_per_metre(&self, telescope: &Telescope) -> Vec<f64> {
        let pairs = self.x.par_iter().zip(&self.y).with_min_len(PIXELS_AT_ONCE);
        pairs.map(|(&x, &y)| telescope.path.per_metre(x, y)).collect()
    }

    /// The factor that turns a sum over pixels of `weight x field` into the far field,
    /// `dx dy / (pi R^2)`.
    pub fn area_factor(&self) -> f64 {
        self.step * self.step / (std::f64::consts::PI * self.radius * self.radius)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(kind: ApertureKind, points: usize, extent: f64) -> ApertureGrid {
        ApertureGrid { kind, points, extent }
    }

    #[test]
    fn hard_coordinates_include_both_ends_and_smooth_ones_are_pixel_centres() {
        let hard = grid(ApertureKind::Hard, 5, 4.0);
        assert_eq!(hard.coordinates(2.0), [-8.0, -4.0, 0.0, 4.0, 8.0]);
        let smooth = grid(ApertureKind::Smooth, 4, 2.0);
        assert_eq!(smooth.coordinates(1.0), [-1.5, -0.5, 0.5, 1.5]);
        for points in [31, 32, 33] {
            let c = grid(ApertureKind::Smooth, points, 1.3).coordinates(2.8);
            for (a, b) in c.iter().zip(c.iter().rev()) {
                assert_eq!(*a, -b, "symmetric to the last bit");
            }
        }
    }

    #[test]
    fn the_papers_dish_covers_its_share_of_the_grid() {
        let telescope = Telescope::named("nikolic2018").unwrap();
        let aperture = Aperture::new(&telescope, telescope.aperture).unwrap();
        // Gauss's circle problem, counted by brute force over (2i - 127)^2 + (2j - 127)^2.
        let inside = (0..128i64)
            .flat_map(|i| (0..128i64).map(move |j| (2 * i - 127, 2 * j - 127)))
            .filter(|(a, b)| 16 * (a * a + b * b) < 127 * 127)
            .count();
        assert_eq!(aperture.len(), inside);
        assert!(aperture.weight.iter().all(|w| *w == 1.0));
        assert!(aperture.pixels.is_sorted());
        let share = aperture.len() as f64 / 128f64.powi(2);
        assert!((share - 0.049).abs() < 0.001, "{share}");
    }

    #[test]
    fn pixels_lie_where_their_indices_say() {
        for (name, kind) in [("srt", ApertureKind::Smooth), ("effelsberg", ApertureKind::Hard)] {
            let telescope = Telescope::named(name).unwrap();
            let grid = grid(kind, 61, 1.5);
            let aperture = Aperture::new(&telescope, grid).unwrap();
            let c = grid.coordinates(telescope.radius);
            for (i, &(iy, ix)) in aperture.pixels.iter().enumerate() {
                assert_eq!((aperture.y[i], aperture.x[i]), (c[iy as usize], c[ix as usize]));
                assert!(aperture.weight[i] > 0.0 && aperture.weight[i] <= 1.0);
            }
            assert!(aperture.pixels.is_sorted());
        }
    }

    #[test]
    fn a_smooth_dish_has_its_area_on_any_grid() {
        let telescope = Telescope::named("gbt").unwrap();
        for points in [16, 33, 100] {
            let aperture =
                Aperture::new(&telescope, grid(ApertureKind::Smooth, points, 1.0)).unwrap();
            let filled = aperture.weight.iter().sum::<f64>() * aperture.area_factor();
            assert!((filled - 1.0).abs() < 5e-4, "{points} {filled}");
        }
    }

    #[test]
    fn symmetric_dishes_have_symmetric_weights() {
        let telescope = Telescope::named("srt").unwrap();
        let aperture = Aperture::new(&telescope, grid(ApertureKind::Smooth, 64, 1.2)).unwrap();
        let mut picture = ndarray::Array2::<f64>::zeros((64, 64));
        for (&(y, x), &w) in aperture.pixels.iter().zip(&aperture.weight) {
            picture[[y as usize, x as usize]] = w;
        }
        for ((y, x), w) in picture.indexed_iter() {
            assert!((w - picture[[63 - y, x]]).abs() < 1e-12);
            assert!((w - picture[[y, 63 - x]]).abs() < 1e-12);
            // Exact along x, sampled along y: a slanted edge's fraction is good to a few 1e-3.
            assert!((w - picture[[x, y]]).abs() < 5e-3, "{y} {x}");
        }
    }

    #[test]
    fn grids_that_cannot_carry_a_dish_are_refused() {
        let telescope = Telescope::named("srt").unwrap();
        for (points, extent) in [(1, 4.0), (1 << 20, 4.0), (64, 0.9), (64, f64::NAN)] {
            let error = Aperture::new(&telescope, grid(ApertureKind::Hard, points, extent));
            assert_eq!(error.unwrap_err().exit_status(), 2);
        }
        let error = Aperture::new(&telescope, grid(ApertureKind::Hard, 4, 4.0)).unwrap_err();
        assert!(error.to_string().contains("more points"), "{error}");
    }
}
