//! The surface that a fit found: its rms, what it costs, and its error at any point of the dish.
//!
//! **Sense.** The error is the half path `phase * wavelength / 4 pi`, positive where the way of the
//! light is too long, so where the surface lies too far from the focus; a correction is minus that.
//! Piston (the mean weighted by the illumination) and tilt are taken out, for the maps cannot tell them.

use super::problem::Problem;
use super::result::{Images, SurfaceSummary};
use crate::optics::aperture::{Aperture, ApertureGrid, ApertureKind};
use crate::optics::zernike;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};
use rayon::prelude::*;
use std::f64::consts::PI;

/// The error of a surface as a function of the place on the dish.
#[derive(Debug, Clone, Default)]
pub struct Surface {
    /// Of the dish, metres.
    pub radius: f64,
    /// Metres.
    pub wavelength: f64,
    pub order: u32,
    /// All coefficients, radians of phase; piston and tilt are 0.
    pub coefficients: Vec<f64>,
    /// Of the coefficients; 0 for fixed ones. `None` where there are no errors.
    pub covariance: Option<Array2<f64>>,
    /// The mean of every polynomial over the dish, weighted by the illumination.
    pub means: Vec<f64>,
}

/// Points whose polynomials are held at a time.
const BLOCK: usize = 4096;

impl Surface {
    /// Half path in metres, and its standard deviation (empty where there are no errors), at `points`
    /// `(x, y)`, metres.
    pub fn at(&self, points: &[(f64, f64)]) -> (Vec<f64>, Vec<f64>) {
        let half_path = self.wavelength / (4.0 * PI);
        let block = |block: &[(f64, f64)]| {
            let inside: Vec<(f64, f64)> =
                block.iter().map(|(x, y)| (x / self.radius, y / self.radius)).collect();
            let mut table = zernike::table(self.order, &inside);
            for (mut row, mean) in table.outer_iter_mut().zip(&self.means) {
                row -= *mean;
            }
            let values = combined(&self.coefficients, table.view()) * half_path;
            let sigmas = self.covariance.as_ref().map(|covariance| {
                let variance = (covariance.dot(&table) * &table).sum_axis(Axis(0));
                variance.mapv(|v| v.max(0.0).sqrt() * half_path)
            });
            (values, sigmas)
        };
        let (mut values, mut sigmas) = (Vec::new(), Vec::new());
        for (of_block, sigmas_of_block) in points.par_chunks(BLOCK).map(block).collect::<Vec<_>>() {
            values.extend(of_block);
            sigmas.extend(sigmas_of_block.into_iter().flatten());
        }
        (values, sigmas)
    }
}

/// The sum of polynomials, a row of a table each, at every point.
fn combined(coefficients: &[f64], table: ArrayView2<f64>) -> Array1<f64> {
    let mut sum = Array1::zeros(table.ncols());
    // (Row by row: a product of a vector and a matrix goes through the columns, which lie far apart.)
    table.outer_iter().zip(coefficients).for_each(|(row, &c)| sum.scaled_add(c, &row));
    sum
}

/// The dish under the illumination of some parameters.
pub struct Weighed {
    /// Of every pixel, times its open area.
    pub amplitude: Vec<f64>,
    /// Of every pixel, radians, without piston and tilt.
    pub phase: Vec<f64>,
    /// Over the dish, weighted by the illumination: the mean of every polynomial, and the covariance of
    /// every two.
    pub means: Array1<f64>,
    pub products: Array2<f64>,
}

impl Weighed {
    /// The dish of a problem at the values `at` of all parameters.
    pub fn new(problem: &Problem, at: &[f64]) -> Weighed {
        let own = Weighed::on(&problem.model.aperture, problem, at);
        match finer(problem) {
            Some(finer) => {
                let Weighed { means, products, .. } = Weighed::on(&finer, problem, at);
                Weighed { means, products, ..own }
            }
            None => own,
        }
    }

    fn on(aperture: &Aperture, problem: &Problem, at: &[f64]) -> Weighed {
        let count = zernike::count(problem.options.order);
        let points = aperture.points();
        let lit = problem.telescope.illumination;
        let illumination = &at[count..count + lit.parameters().len()];
        let mut amplitude: Vec<f64> =
            points.par_iter().map(|&(x, y)| lit.amplitude(illumination, x, y)).collect();
        amplitude.iter_mut().zip(&aperture.weight).for_each(|(a, w)| *a *= w);
        weigh(&mut amplitude, &points, &at[problem.model.amplitude_places()]);
        let coefficients = without_tilt(&at[..count]);
        let total: f64 = amplitude.iter().sum();
        let (mut means, mut products) = (Array1::zeros(count), Array2::zeros((count, count)));
        let mut phase = Vec::with_capacity(points.len());
        let block = |(points, weights): (&[(f64, f64)], &[f64])| {
            let table = zernike::table(problem.options.order, points);
            let weighted = &table * &ArrayView1::from(weights);
            let (mean, product) = (weighted.sum_axis(Axis(1)), weighted.dot(&table.t()));
            (mean / total, product / total, combined(&coefficients, table.view()))
        };
        let blocks = points.par_chunks(BLOCK).zip(amplitude.par_chunks(BLOCK)).map(block);
        // Added in their order.
        for (mean, product, phases) in blocks.collect::<Vec<_>>() {
            means += &mean;
            products += &product;
            phase.extend(phases);
        }
        // About the means: <(a - <a>) (b - <b>)> = <a b> - <a> <b>.
        products -= &(&means * &means.view().insert_axis(Axis(1)));
        Weighed { amplitude, phase, means, products }
    }

    /// [`rms`](Weighed::rms) without the focus, z4.
    pub fn rms_without_focus(&self, coefficients: &[f64]) -> f64 {
        let mut z = coefficients.to_vec();
        z.iter_mut().skip(4).take(1).for_each(|z4| *z4 = 0.0);
        self.rms(&z)
    }

    /// The rms of the phase of some coefficients; piston and tilt do not count.
    pub fn rms(&self, coefficients: &[f64]) -> f64 {
        let z = Array1::from(without_tilt(coefficients));
        z.dot(&self.products.dot(&z)).max(0.0).sqrt()
    }
}

/// A smooth dish of fewer pixels across has means that the pixels of its rim put off by some per cent.
const ACROSS: f64 = 128.0;

/// The same dish with enough pixels for its means, where it has not.
fn finer(problem: &Problem) -> Option<Aperture> {
    let Aperture { grid, radius, step, .. } = problem.model.aperture;
    let times = (ACROSS * step / (2.0 * radius)).ceil() as usize;
    let finer = ApertureGrid { points: times * grid.points, ..grid };
    let wanted = grid.kind == ApertureKind::Smooth && times > 1;
    wanted.then(|| Aperture::new(problem.telescope, finer).ok()).flatten()
}

/// The efficiency that a phase error of so many radians rms leaves (J. Ruze, Proc. IEEE 54, 1966).
pub fn ruze(rms: f64) -> f64 {
    (-rms * rms).exp()
}

/// The coefficients with those of piston and tilt 0.
fn without_tilt(coefficients: &[f64]) -> Vec<f64> {
    let mut z = coefficients.to_vec();
    z.iter_mut().take(zernike::count(1)).for_each(|z| *z = 0.0);
    z
}

/// The surface at the optimum `at` of the parameters `which`, and the pictures of the aperture.
pub fn measure(
    problem: &Problem,
    which: &[usize],
    at: &[f64],
    covariance: Option<&Array2<f64>>,
) -> (SurfaceSummary, Images) {
    let aperture = &problem.model.aperture;
    let (first, count) = (zernike::count(1), zernike::count(problem.options.order));
    let coefficients = without_tilt(&at[..count]);
    let weighed = Weighed::new(problem, at);
    let Weighed { amplitude, phase, means, products } = &weighed;
    let phase_rms = weighed.rms(&coefficients);
    let free: Vec<usize> =
        (0..which.len()).filter(|&k| (first..count).contains(&which[k])).collect();
    let of_zernikes = covariance.map(|c| {
        let mut all = Array2::zeros((count, count));
        for &a in &free {
            free.iter().for_each(|&b| all[(which[a], which[b])] = c[(a, b)]);
        }
        all
    });
    // d rms / d z_j = <(phase - mean) Z_j> / rms
    let slope = products.dot(&ArrayView1::from(&coefficients)) / phase_rms;
    let sigma = of_zernikes.as_ref().map(|c| slope.dot(&c.dot(&slope)).max(0.0).sqrt());
    let sigma = sigma.filter(|s| s.is_finite());
    // <(sum e_j (Z_j - <Z_j>))^2> of errors e.
    let of_errors = of_zernikes.as_ref().map(|c| (products * c).sum().max(0.0).sqrt());
    let of_errors = of_errors.filter(|rms| rms.is_finite());
    let half_path = problem.wavelength / (4.0 * PI);
    let without = weighed.rms_without_focus(&coefficients);
    let summary = SurfaceSummary {
        phase_rms_rad: phase_rms,
        surface_rms_m: phase_rms * half_path,
        surface_rms_sigma_m: sigma.map(|s| s * half_path),
        surface_rms_of_errors_m: of_errors.map(|rms| rms * half_path),
        wavefront_rms_m: 2.0 * phase_rms * half_path,
        ruze_efficiency: ruze(phase_rms),
        ruze_efficiency_sigma: sigma.map(|s| 2.0 * phase_rms * ruze(phase_rms) * s),
        surface_rms_without_focus_m: without * half_path,
        ruze_efficiency_without_focus: ruze(without),
    };
    let shape = Surface {
        radius: aperture.radius,
        wavelength: problem.wavelength,
        order: problem.options.order,
        coefficients,
        covariance: of_zernikes,
        means: means.to_vec(),
    };
    let places: Vec<(f64, f64)> =
        aperture.x.iter().copied().zip(aperture.y.iter().copied()).collect();
    let (surface, surface_sigma) = shape.at(&places);
    let side = Side::of(problem);
    let images = Images {
        amplitude: side.picture(problem, amplitude),
        phase: side.picture(problem, phase),
        surface: side.picture(problem, &surface),
        surface_sigma: side.picture(problem, &surface_sigma),
        shape,
        aperture_half_width_m: 0.5 * (side.high - side.low) as f64 * aperture.step,
        model: Vec::new(),
    };
    (summary, images)
}

/// Multiplies amplitudes at `points` by `exp(a1 Z1 + a2 Z2 + ...)`.
fn weigh(amplitude: &mut [f64], points: &[(f64, f64)], coefficients: &[f64]) {
    if coefficients.is_empty() {
        return;
    }
    let order = zernike::Mode::of(coefficients.len()).n;
    for (amplitude, points) in amplitude.chunks_mut(BLOCK).zip(points.chunks(BLOCK)) {
        let table = zernike::table(order, points);
        let logarithms = combined(coefficients, table.slice(ndarray::s![1.., ..]));
        amplitude.iter_mut().zip(logarithms).for_each(|(a, l)| *a *= l.exp());
    }
}

/// Which rows, and columns, of the aperture grid are drawn: only the dish's own.
struct Side {
    low: usize,
    high: usize,
}

impl Side {
    fn of(problem: &Problem) -> Side {
        let grid = problem.model.aperture.grid;
        let n = grid.points;
        let half = ((1.0 / grid.extent) * n as f64 / 2.0).ceil() as usize + 1;
        Side { low: (n / 2).saturating_sub(half), high: (n / 2 + half).min(n) }
    }

    /// Values of the dish's pixels as a picture, NaN elsewhere; empty where there are no values.
    fn picture(&self, problem: &Problem, values: &[f64]) -> Array2<f64> {
        if values.is_empty() {
            return Array2::default((0, 0));
        }
        let size = self.high - self.low;
        let mut picture = Array2::from_elem((size, size), f64::NAN);
        for (&(iy, ix), &value) in problem.model.aperture.pixels.iter().zip(values) {
            let [row, column] = [iy, ix].map(|i| (i as usize).wrapping_sub(self.low));
            if let Some(pixel) = picture.get_mut((row, column)) {
                *pixel = value;
            }
        }
        picture
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fit::tests::simulated;
    use crate::fit::{FitOptions, Setup};
    use crate::optics::telescope::Telescope;

    #[test]
    fn the_rms_does_not_depend_on_how_coarse_the_aperture_is() {
        let telescope = Telescope::named("gbt").unwrap();
        let (_, maps, _) = simulated(32);
        let rms = |points: usize, coefficient: usize| {
            let grid = ApertureGrid { kind: ApertureKind::Smooth, points, extent: 4.0 };
            let options = FitOptions { order: 7, aperture: Some(grid), ..FitOptions::default() };
            let problem = Problem::new(Setup::new(&telescope, &maps, &options)).unwrap();
            let mut z = vec![0.0; zernike::count(7)];
            z[coefficient] = 1.0;
            Weighed::new(&problem, &problem.start).rms(&z)
        };
        // R_7^7 has most of itself at the rim.
        for coefficient in [4, 12, 35] {
            let (coarse, fine) = (rms(64, coefficient), rms(2048, coefficient));
            assert!((coarse / fine - 1.0).abs() < 0.01, "z{coefficient}: {coarse} {fine}");
        }
    }
}
