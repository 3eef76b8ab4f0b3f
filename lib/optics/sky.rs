//! The samples of a map as the outputs of Fourier transforms.

use super::aperture::Aperture;
use super::arrangement::Arrangement;
use super::band::Node;
use super::beam_map::{BeamMap, Sampling};
use super::lags::{Lags, alternating};
use crate::autodiff::Transform;
use crate::device::fourier::Axis;
use crate::device::{Fourier, Scattered};
use crate::error::{Error, Result};
use ndarray::Array2;
use num_complex::Complex64;
use std::f64::consts::TAU;
use std::sync::Arc;

/// One sampling of the sky.
pub struct Sky {
    pub sampling: Sampling,
    /// For every frequency, from the dish's pixels or from their lags.
    pub transforms: Vec<Transform>,
    pub arrangement: Arrangement,
    /// What the sum over the lags is multiplied by at every sample, where it is not 1.
    pub sign: Option<Arc<Vec<f64>>>,
}

/// What a far field is the sum of: numbers on a grid.
pub struct Pixels<'a> {
    list: Vec<(u32, u32)>,
    /// The coordinates of columns and of rows, metres.
    x: Vec<f64>,
    y: Vec<f64>,
    /// Column and row of the origin.
    origin: (f64, f64),
    lags: Option<&'a Lags>,
}

impl Pixels<'_> {
    pub fn of_dish(aperture: &Aperture) -> Pixels<'static> {
        let coordinates = aperture.grid.coordinates(aperture.radius);
        let middle = (aperture.grid.points as f64 - 1.0) / 2.0;
        Pixels {
            list: aperture.pixels.clone(),
            x: coordinates.clone(),
            y: coordinates,
            origin: (middle, middle),
            lags: None,
        }
    }

    pub fn of_lags<'a>(lags: &'a Lags, aperture: &Aperture) -> Pixels<'a> {
        let middle = lags.points() / 2;
        let far = |first: usize| {
            let one = |i| (i as f64 - first as f64) * aperture.step;
            (0..lags.points()).map(one).collect()
        };
        Pixels {
            list: lags.pixels(middle),
            x: far(middle),
            y: far(0),
            origin: (middle as f64, 0.0),
            lags: Some(lags),
        }
    }

    /// The transform to the discrete far field of a grid of `n` points a side, and whether its outputs are
    /// negative at odd frequencies along x; `None` where the grid has no room.
    fn on_grid(&self, n: usize) -> Option<(Fourier, bool)> {
        let axis = || Axis::Fft { points: n };
        match self.lags {
            None => Some((Fourier::new(axis(), axis(), self.list.clone()), false)),
            Some(lags) => {
                let (rows, columns) = lags.extent();
                let room = n.is_multiple_of(2) && rows.max(columns) <= n / 2;
                room.then(|| (Fourier::new(axis(), axis(), lags.pixels(n / 2)), true))
            }
        }
    }
}

impl Sky {
    /// The form of the far field follows from the samples: an FFT where they are the grid's own discrete
    /// far field, a matrix for any other raster and for a band, else a non-uniform FFT.
    ///
    /// # Errors
    /// An aperture grid that is too coarse for a band over scattered samples.
    pub fn new(
        map: &BeamMap,
        aperture: &Aperture,
        pixels: &Pixels,
        wavelength: f64,
        band: &[Node],
        tolerance: f64,
    ) -> Result<Sky> {
        let sampling = map.sampling.clone();
        let (u, v) = match &map.sampling {
            Sampling::Raster { u, v } => (u, v),
            Sampling::Scattered { u, v } => {
                return Sky::scattered(
                    sampling,
                    (u, v),
                    aperture,
                    pixels,
                    wavelength,
                    band,
                    tolerance,
                );
            }
        };
        let n = aperture.grid.points;
        let fft = band.len() == 1 && aperture.grid.is_sky_of(u, v, aperture.radius, wavelength);
        if let Some((transform, alternates)) = fft.then(|| pixels.on_grid(n)).flatten() {
            // FFT order starts at the origin, which is pixel n/2 of a map.
            let arrangement = Arrangement::raster(&transform, |i| (i + n / 2) % n);
            let sign = alternates.then(|| alternating(&transform));
            let transforms = vec![(&Arc::new(transform)).into()];
            return Ok(Sky { sampling, transforms, arrangement, sign });
        }
        let of = |node: &Node| {
            let axis = |sky: &[f64], coordinates: &[f64]| {
                Axis::Matrix(Array2::from_shape_fn((sky.len(), coordinates.len()), |(i, p)| {
                    Complex64::cis(-TAU * (sky[i] * coordinates[p] / wavelength) * node.ratio)
                }))
            };
            Arc::new(Fourier::new(axis(u, &pixels.x), axis(v, &pixels.y), pixels.list.clone()))
        };
        let transforms: Vec<_> = band.iter().map(of).collect();
        let arrangement = Arrangement::raster(&transforms[0], |i| i);
        let transforms = transforms.iter().map(Transform::from).collect();
        Ok(Sky { sampling, transforms, arrangement, sign: None })
    }

    fn scattered(
        sampling: Sampling,
        (u, v): (&[f64], &[f64]),
        aperture: &Aperture,
        pixels: &Pixels,
        wavelength: f64,
        band: &[Node],
        tolerance: f64,
    ) -> Result<Sky> {
        // Many frequencies have one order, by v, which is that of each of them.
        let mut order: Vec<u32> = (0..u.len() as u32).collect();
        if band.len() > 1 {
            order.sort_by(|&a, &b| v[a as usize].total_cmp(&v[b as usize]));
        }
        let plan = |node: &Node| {
            let turns = aperture.step / wavelength * node.ratio;
            let position = |&i: &u32| (u[i as usize] * turns, v[i as usize] * turns);
            let positions: Vec<_> = order.iter().map(position).collect();
            let list = pixels.list.clone();
            match band {
                [_] => Some(Scattered::new(list, pixels.origin, &positions, tolerance)),
                _ => Scattered::in_order(list, pixels.origin, &positions, tolerance),
            }
        };
        let plans: Option<Vec<_>> = band.iter().map(|node| plan(node).map(Arc::new)).collect();
        let plans = plans.ok_or_else(|| {
            Error::usage(format!(
                "an aperture grid of {} points is too coarse for a band over samples that lie as far apart as these: \
                 its far field repeats among them; take more points",
                aperture.grid.points
            ))
        })?;
        let listed = plans[0].order().iter().map(|&i| order[i as usize]).collect();
        Ok(Sky {
            sampling,
            transforms: plans.iter().map(Transform::from).collect(),
            arrangement: Arrangement::Listed(listed),
            sign: None,
        })
    }
}
