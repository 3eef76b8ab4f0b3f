//! The beam of an extended source, by way of the aperture field's autocorrelation.
//!
//! The power of a beam is a Fourier sum over *lags*, the distances between two points of the aperture:
//! `|sum_p E_p exp(-2 pi i u p)|^2 = sum_d C_d exp(-2 pi i u d)`, `C_d = sum_p E_{p+d} conj(E_p)`. A source
//! that is a disc of radius `a` convolves that power with it, which multiplies every `C_d` by the disc's
//! own transform, `2 J1(q) / q` with `q = 2 pi a d / lambda` (R. Bracewell, "The Fourier transform and its
//! applications"). So any disc costs one transform, of twice as many columns, and is exact on the grid.
//!
//! The autocorrelation itself is the adjoint of a transform of the field's power, on a plane of twice as
//! many points as the dish has, so that no lag comes round to another. As `C_{-d}` is the conjugate of
//! `C_d`, half of the lags and the real part of their sum do.

use super::aperture::Aperture;
use crate::autodiff::{Complex, Space, Tape};
use crate::device::Fourier;
use crate::device::fourier::{Axis, radices};
use std::f64::consts::{PI, TAU};
use std::sync::Arc;

/// The lags of an aperture's pixels.
pub struct Lags {
    /// `(row, column)` of every lag, of which none has a row below 0, and none of row 0 a column below 0;
    /// in order.
    lags: Vec<(u32, i32)>,
    /// The extents of the pixels: rows and columns.
    extent: (usize, usize),
    /// Of the aperture grid, metres.
    step: f64,
    /// From the dish's pixels, and from the lags, to the plane between.
    from_dish: Arc<Fourier>,
    from_lags: Arc<Fourier>,
    /// -1 for every odd frequency of the plane along x: column 0 of the lags is its middle.
    sign: Arc<Vec<f64>>,
}

impl Lags {
    pub fn new(aperture: &Aperture) -> Lags {
        let (first_row, last_row) = (aperture.pixels[0].0, aperture.pixels[aperture.len() - 1].0);
        let rows = (last_row - first_row + 1) as usize;
        // The first and the last column of every row that has any.
        let mut ends: Vec<Option<(i32, i32)>> = vec![None; rows];
        for &(row, column) in &aperture.pixels {
            let end = &mut ends[(row - first_row) as usize];
            let first = end.map_or(column as i32, |end| end.0);
            *end = Some((first, column as i32));
        }
        let columns = ends.iter().flatten();
        let (low, high) = columns.fold((i32::MAX, 0), |(l, h), e| (l.min(e.0), h.max(e.1)));
        let columns = (high - low + 1) as usize;
        let mut lags = Vec::new();
        for row in 0..rows {
            let pairs = ends.iter().zip(&ends[row..]).filter_map(|(a, b)| a.zip(*b));
            let all = pairs
                .fold((i32::MAX, i32::MIN), |(l, h), (a, b)| (l.min(b.0 - a.1), h.max(b.1 - a.0)));
            let low = if row == 0 { 0 } else { all.0 };
            lags.extend((low..=all.1).map(|column| (row as u32, column)));
        }
        let least = 2 * rows.max(columns);
        let points = (least..).step_by(2).find(|&n| radices(n).is_some());
        let points = points.expect("there is always a larger power of two");
        let plane = |pixels| {
            let axis = || Axis::Fft { points };
            Arc::new(Fourier::new(axis(), axis(), pixels))
        };
        let dish = aperture.pixels.iter();
        let dish = dish.map(|&(row, column)| (row - first_row, (column as i32 - low) as u32));
        let mut lags = Lags {
            lags,
            extent: (rows, columns),
            step: aperture.step,
            from_dish: plane(dish.collect()),
            from_lags: plane(Vec::new()),
            sign: Arc::default(),
        };
        lags.from_lags = plane(lags.pixels(points / 2));
        lags.sign = alternating(&lags.from_lags);
        lags
    }

    /// The number of lags.
    pub fn count(&self) -> usize {
        self.lags.len()
    }

    /// The rows and the columns of the dish's pixels.
    pub fn extent(&self) -> (usize, usize) {
        self.extent
    }

    /// The number of points of the plane along both axes.
    pub fn points(&self) -> usize {
        self.sign.len().isqrt()
    }

    /// The lags as pixels of a grid on which lag 0 is in row 0 and column `middle`.
    pub fn pixels(&self, middle: usize) -> Vec<(u32, u32)> {
        let pixel = |&(row, column): &(u32, i32)| (row, (middle as i32 + column) as u32);
        self.lags.iter().map(pixel).collect()
    }

    /// Every lag along x, metres.
    pub fn x(&self) -> impl Iterator<Item = f64> {
        self.lags.iter().map(|lag| f64::from(lag.1) * self.step)
    }

    /// What the transform of every lag counts in the power of a disc of `radius` radians, whose real part
    /// is the sum of: both the lag and its opposite.
    pub fn weights(&self, radius: f64, wavelength: f64) -> Arc<Vec<f64>> {
        let unit = TAU * radius * self.step / wavelength;
        let farthest = unit * (self.extent.0 as f64).hypot(self.extent.1 as f64);
        let jinc = Jinc::new(farthest);
        let weight = |&(row, column): &(u32, i32)| {
            let both = if (row, column) == (0, 0) { 1.0 } else { 2.0 };
            both / self.sign.len() as f64 * jinc.at(unit * f64::from(row).hypot(column.into()))
        };
        Arc::new(self.lags.iter().map(weight).collect())
    }

    /// Records the autocorrelation of `field` times the number of the plane's points, over the lags.
    pub fn record<'t>(
        &self,
        tape: &'t Tape,
        field: Complex<'t>,
        lags: Space,
        plane: Space,
    ) -> Complex<'t> {
        let power = tape.transform(&self.from_dish, field, plane).norm2();
        let centred = tape.data_in(plane, self.sign.clone()) * power;
        let real = Complex { re: centred, im: tape.constant(0.0).expand(plane) };
        tape.adjoint(&self.from_lags, real, lags)
    }
}

/// 1 for every even frequency along x, and -1 for every odd one, in the order of the outputs.
pub fn alternating(transform: &Fourier) -> Arc<Vec<f64>> {
    let mut signs = vec![1.0; transform.outputs()];
    for a in (1..transform.x.outputs()).step_by(2) {
        (0..transform.y.outputs()).for_each(|b| signs[transform.place(a, b)] = -1.0);
    }
    signs.into()
}

/// `2 J1(q) / q`, the transform of a disc.
struct Jinc {
    /// Cosines of angles, and weights.
    nodes: Vec<(f64, f64)>,
}

impl Jinc {
    /// For `q` up to `most`. The integral of `cos(q cos a) sin^2 a` over half a turn (DLMF 10.9.4) is taken
    /// at equal steps, which is exact but for Bessel functions of an order twice their number, far beyond
    /// where they begin; both quarters are the same.
    fn new(most: f64) -> Jinc {
        let count = (0.25 * most).ceil() as usize + 12;
        let node = |i: usize| {
            let angle = 0.5 * PI * (i as f64 + 0.5) / count as f64;
            (angle.cos(), 2.0 * angle.sin().powi(2) / count as f64)
        };
        Jinc { nodes: (0..count).map(node).collect() }
    }

    fn at(&self, q: f64) -> f64 {
        self.nodes.iter().map(|(cos, weight)| weight * (q * cos).cos()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autodiff::Function;
    use crate::optics::aperture::{ApertureGrid, ApertureKind};
    use crate::optics::telescope::Telescope;
    use num_complex::Complex64;
    use std::collections::HashMap;

    /// Against values of J1 in Abramowitz and Stegun, table 9.1, and its power series.
    #[test]
    fn the_disc_has_the_transform_that_tables_have() {
        let jinc = Jinc::new(40.0);
        assert!((jinc.at(0.0) - 1.0).abs() < 1e-15);
        for (q, j1) in [(1.0, 0.440_050_585_7), (5.0, -0.327_579_137_6), (10.0, 0.043_472_746_2)] {
            assert!((jinc.at(q) - 2.0 * j1 / q).abs() < 1e-10, "{q}");
        }
        for i in 0..=100 {
            let q = 0.1 * f64::from(i);
            let (mut term, mut sum) = (1.0, 0.0);
            for k in 1..60 {
                sum += term;
                term *= -0.25 * q * q / f64::from(k * (k + 1));
            }
            // The terms grow up to exp(q) / q before they fall.
            assert!((jinc.at(q) - sum).abs() < 1e-12, "{q}");
        }
        // Where the node count is the least that is ever taken for an argument.
        for most in [0.0f64, 1.0, 7.9, 30.0] {
            assert!((Jinc::new(most).at(most) - jinc.at(most)).abs() < 1e-14, "{most}");
        }
    }

    #[test]
    fn the_lags_hold_the_autocorrelation_of_every_pair_of_pixels() {
        for (name, points, extent) in [("srt", 13, 1.0), ("gbt", 10, 1.4), ("alma", 16, 2.0)] {
            let telescope = Telescope::named(name).unwrap();
            let grid = ApertureGrid { kind: ApertureKind::Smooth, points, extent };
            let aperture = Aperture::new(&telescope, grid).unwrap();
            let lags = Lags::new(&aperture);
            let wave =
                |k: f64| (0..aperture.len()).map(|i| (k * i as f64).sin()).collect::<Vec<_>>();
            let (re, im) = (wave(1.3), wave(0.7));
            let mut f = Function::with_arrays(1, |tape, x| {
                let dish = tape.space(aperture.len());
                let part = |part: &[f64]| x[0] * tape.data_in(dish, part);
                let field = Complex { re: part(&re), im: part(&im) };
                let (space, plane) = (tape.space(lags.count()), tape.space(lags.sign.len()));
                let c = lags.record(tape, field, space, plane);
                (tape.constant(0.0), vec![c.re, c.im])
            });
            let found = f.arrays(&[1.0]);
            let mut expected: HashMap<(i32, i32), Complex64> = HashMap::new();
            let field: Vec<_> = re.iter().zip(&im).map(|(a, b)| Complex64::new(*a, *b)).collect();
            for (p, a) in aperture.pixels.iter().zip(&field) {
                for (q, b) in aperture.pixels.iter().zip(&field) {
                    let lag = (p.0 as i32 - q.0 as i32, p.1 as i32 - q.1 as i32);
                    *expected.entry(lag).or_default() += a * b.conj();
                }
            }
            let size = expected[&(0, 0)].re;
            let scale = 1.0 / lags.sign.len() as f64;
            for (i, &(row, column)) in lags.lags.iter().enumerate() {
                let got = scale * Complex64::new(found[0][i], found[1][i]);
                // Some of the lags between the farthest pixels of a row have no pair.
                let want = expected.remove(&(row as i32, column)).unwrap_or_default();
                assert!((got - want).norm() < 1e-14 * size, "{name} {row} {column}: {got} {want}");
            }
            // What is left are the opposites.
            assert!(expected.keys().all(|&(row, column)| (row, column) < (0, 0)), "{name}");
        }
    }
}
