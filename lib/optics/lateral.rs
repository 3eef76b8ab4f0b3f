//! How much longer the way to the receiver becomes when the sub-reflector (or the receiver at the prime
//! focus) is moved sideways.
//!
//! A mirror that is moved by a small vector `d` changes the way of a ray by `d . (s_in - s_out)`, `s_in` and
//! `s_out` being the unit vectors of the ray that arrives at it and of the one that leaves (Fermat: where on
//! the mirror they meet does not matter to first order). With `tan(t1/2) = r/2Fp`, `tan(t2/2) = r/2Feff` the
//! ray from the dish at `(x, y)` has
//!
//! * `s_in = (-sin t1 x/r, -sin t1 y/r, cos t1)`,
//! * `s_out = (-+ sin t2 x/r, -+ sin t2 y/r, -cos t2)`, minus of a Cassegrain sub-reflector, plus of a
//!   Gregorian one, which rays reach on the other side of the axis.
//!
//! Along z that is the defocus of [`Path::per_metre`]; along x it is `(-sin t1 +- sin t2) x/r`, and without
//! the second term at the prime focus, where the receiver itself is moved. The GBT's sub-reflector moves
//! along x, along its own axis, and along a y that is square to both.
//!
//! Most of it is tilt, which moves the beam on the sky; the rest is coma. [`Lateral`] leaves the tilt out,
//! for every map's pointing offset says where its beam lies.

use super::path::{Path, SubReflector, gbt, polynomial, ray, series};
use super::telescope::Telescope;
use crate::error::{Error, Result};
use std::f64::consts::{FRAC_PI_2, TAU};

impl Path {
    /// Path difference per unit displacement along x, and along y, at `(x, y)` metres on the dish.
    ///
    /// # Errors
    /// What the telescope's file has to say first.
    pub fn lateral_per_metre(&self, x: f64, y: f64) -> std::result::Result<[f64; 2], &'static str> {
        Ok(match self {
            Path::PrimeFocus { focal_length } => sine(x, y, *focal_length).map(|s| -s),
            Path::TwoMirror { primary_focal_length, effective_focal_length, sub_reflector } => {
                let side = match sub_reflector {
                    Some(SubReflector::Cassegrain) => 1.0,
                    Some(SubReflector::Gregorian) => -1.0,
                    None => return Err("sub_reflector = \"cassegrain\" or \"gregorian\""),
                };
                let first = sine(x, y, *primary_focal_length);
                let second = sine(x, y, *effective_focal_length);
                std::array::from_fn(|i| -first[i] + side * second[i])
            }
            Path::Gbt => {
                // The y of the sub-reflector is a quarter of a turn on from its axis.
                let axis = gbt::AXIS.to_radians() + FRAC_PI_2;
                let leg = (gbt::AXIS - gbt::SECOND_LEG).to_radians() + FRAC_PI_2;
                let (first, second) = (gbt::PRIMARY_FOCAL_LENGTH, gbt::EFFECTIVE_FOCAL_LENGTH);
                let from_axis = gbt::OFFSET - y;
                [
                    -sine(x, from_axis, first)[0] - sine(x, y, second)[0],
                    ray(axis, x, from_axis, first) + ray(leg, x, -y, second),
                ]
            }
            Path::Zernike { lateral, reference_radius, .. } => {
                let [along_x, along_y] =
                    lateral.as_ref().ok_or("lateral_x and lateral_y, Zernike coefficients")?;
                let (x, y) = (x / reference_radius, y / reference_radius);
                [series(along_x, x, y), series(along_y, x, y)]
            }
            Path::Radial { lateral, reference_radius, .. } => {
                let coefficients = lateral.as_ref().ok_or("lateral, a radial polynomial")?;
                let factor = polynomial(coefficients, x.hypot(y) / reference_radius);
                [x, y].map(|x| x / reference_radius * factor)
            }
        })
    }
}

/// `sin t x/r` and `sin t y/r` for `tan(t/2) = r/2f`; 0 on the axis.
fn sine(x: f64, y: f64, f: f64) -> [f64; 2] {
    let a = x.hypot(y) / (2.0 * f);
    [x, y].map(|x| x / f / (1.0 + a * a))
}

/// The path of a lateral displacement without its tilt: what is left after the plane that is nearest to it,
/// by least squares over the dish.
#[derive(Debug, Clone)]
pub struct Lateral {
    path: Path,
    /// Along x, and along y: the plane's slopes in x and y.
    slopes: [[f64; 2]; 2],
}

impl Lateral {
    /// Of a telescope.
    ///
    /// # Errors
    /// A usage error that says what is missing in the telescope's file.
    pub fn of(telescope: &Telescope) -> Result<Lateral> {
        const RINGS: usize = 64;
        const ANGLES: usize = 16;
        let mut slopes = [[0.0; 2]; 2];
        for i in 0..RINGS * ANGLES {
            // Rings of equal area: the mean of x^2 over the dish is a quarter of its radius squared.
            let r = telescope.radius * (((i / ANGLES) as f64 + 0.5) / RINGS as f64).sqrt();
            let (sin, cos) = (TAU * (i % ANGLES) as f64 / ANGLES as f64).sin_cos();
            let place = [r * cos, r * sin];
            let path = telescope.path.lateral_per_metre(place[0], place[1]).map_err(|what| {
                Error::usage(format!(
                    "the telescope's file does not say what a sideways displacement of the sub-reflector does; it needs {what} under [path]"
                ))
            })?;
            let weight = 4.0 / ((RINGS * ANGLES) as f64 * telescope.radius.powi(2));
            for (slopes, path) in slopes.iter_mut().zip(path) {
                slopes.iter_mut().zip(place).for_each(|(slope, x)| *slope += weight * path * x);
            }
        }
        Ok(Lateral { path: telescope.path.clone(), slopes })
    }

    /// Path difference per unit displacement along x, and along y, at `(x, y)` metres on the dish.
    pub fn per_metre(&self, x: f64, y: f64) -> [f64; 2] {
        let path = self.path.lateral_per_metre(x, y).expect("a path that `of` has asked before");
        std::array::from_fn(|i| path[i] - self.slopes[i][0] * x - self.slopes[i][1] * y)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Point = [f64; 3];

    fn distance(a: Point, b: Point) -> f64 {
        (0..3).map(|i| (a[i] - b[i]).powi(2)).sum::<f64>().sqrt()
    }

    /// An ellipsoid, all points whose distances to two foci add up to `size`, or a hyperboloid, where they
    /// differ by it. The first focus is the dish's own.
    struct Conic {
        foci: [Point; 2],
        size: f64,
    }

    impl Conic {
        /// With the dish's axis for its own: it makes of the dish's focal length `magnification` times that.
        fn on_axis(focal: f64, magnification: f64, side: SubReflector) -> Conic {
            let apart = 1.1 * focal;
            let eccentricity = match side {
                SubReflector::Cassegrain => (magnification + 1.0) / (magnification - 1.0),
                SubReflector::Gregorian => (magnification - 1.0) / (magnification + 1.0),
            };
            let foci = [[0.0, 0.0, focal], [0.0, 0.0, focal - apart]];
            Conic { foci, size: apart / eccentricity }
        }

        /// Where the line from `start` through the first focus meets the surface: before that focus, if it is
        /// the hyperboloid of a Cassegrain telescope, beyond it, if it is the ellipsoid of a Gregorian one.
        fn meet(&self, start: Point) -> Point {
            let [first, second] = self.foci;
            let length = distance(start, first);
            let along: Point = std::array::from_fn(|i| (first[i] - start[i]) / length);
            // At first + t along the second focus is size - t away, of either surface: t < 0 before the
            // first focus. The square of that is t^2 + 2 t along.(first - second) + |first - second|^2.
            let apart = distance(first, second);
            let cosine: f64 = (0..3).map(|i| along[i] * (first[i] - second[i])).sum();
            let t = (self.size.powi(2) - apart.powi(2)) / (2.0 * (self.size + cosine));
            std::array::from_fn(|i| first[i] + t * along[i])
        }

        /// The length of the way from `start` by the surface, moved by `d`, to the second focus. The surface
        /// reflects where that is stationary (Fermat), which Newton's method finds.
        fn way(&self, start: Point, d: Point) -> f64 {
            // The surface stands still, and all else moves the other way.
            let moved = |p: Point| -> Point { std::array::from_fn(|i| p[i] - d[i]) };
            let (from, to) = (moved(start), moved(self.foci[1]));
            // Two numbers tell the points of the surface: those that other starts would meet.
            let length = |p: [f64; 2]| {
                let on = self.meet([start[0] + p[0], start[1] + p[1], start[2]]);
                distance(from, on) + distance(on, to)
            };
            let (mut p, h) = ([0.0; 2], 0.1);
            for _ in 0..10 {
                let at = |a: f64, b: f64| length([p[0] + a * h, p[1] + b * h]);
                let g = [at(1., 0.) - at(-1., 0.), at(0., 1.) - at(0., -1.)].map(|g| g / 2.0);
                let xx = at(1., 0.) + at(-1., 0.) - 2.0 * at(0., 0.);
                let yy = at(0., 1.) + at(0., -1.) - 2.0 * at(0., 0.);
                let xy = (at(1., 1.) + at(-1., -1.) - at(1., -1.) - at(-1., 1.)) / 4.0;
                let determinant = xx * yy - xy * xy;
                p[0] -= h * (yy * g[0] - xy * g[1]) / determinant;
                p[1] -= h * (xx * g[1] - xy * g[0]) / determinant;
            }
            length(p)
        }

        /// The change of the way per unit of displacement along `d`.
        fn change(&self, start: Point, d: Point) -> f64 {
            let h = 1e-3;
            let by = |h: f64| self.way(start, d.map(|d| h * d));
            (by(h) - by(-h)) / (2.0 * h)
        }
    }

    const PLACES: [(f64, f64); 5] = [(0.0, 0.0), (7.0, 0.0), (0.0, -9.5), (-4.0, 6.0), (3.0, 8.0)];

    #[test]
    fn two_mirrors_change_the_way_as_rays_traced_over_an_exact_conic_say() {
        let focal = 7.0;
        for side in [SubReflector::Cassegrain, SubReflector::Gregorian] {
            for magnification in [4.0, 15.0] {
                let conic = Conic::on_axis(focal, magnification, side);
                let path = Path::TwoMirror {
                    primary_focal_length: focal,
                    effective_focal_length: magnification * focal,
                    sub_reflector: Some(side),
                };
                for (x, y) in PLACES {
                    let start = [x, y, (x * x + y * y) / (4.0 * focal)];
                    let [along_x, along_y] = path.lateral_per_metre(x, y).unwrap();
                    let formula = [along_x, along_y, path.per_metre(x, y)];
                    for (axis, formula) in formula.into_iter().enumerate() {
                        let mut d = [0.0; 3];
                        d[axis] = 1.0;
                        let traced = conic.change(start, d);
                        // The third derivative times the step squared, of lengths of a metre and more.
                        let off = (traced - formula).abs();
                        assert!(off < 3e-7, "{side:?} {magnification} {x} {y} {axis}: {traced}");
                    }
                }
            }
        }
    }

    /// GBT Memo 155 (Norrod & Srikanth 1996): foci 11 m apart, the ellipsoid's axis 5.57 deg off that of the
    /// dish, eccentricity 0.528.
    #[test]
    fn the_gbt_changes_the_way_as_rays_traced_over_its_ellipsoid_say() {
        let (sin, cos) = 5.57f64.to_radians().sin_cos();
        // The origin is the vertex of the dish's parent, 54 m along y from the dish's centre.
        let foci = [[0.0, 0.0, 60.0], [0.0, 11.0 * sin, 60.0 - 11.0 * cos]];
        let conic = Conic { foci, size: 11.0 / 0.528 };
        let (sin, cos) = 36.7f64.to_radians().sin_cos();
        for (x, y) in PLACES.map(|(x, y)| (5.0 * x, 5.0 * y)) {
            let from_axis = y - 54.0;
            let start = [x, from_axis, (x * x + from_axis * from_axis) / 240.0];
            let [along_x, along_y] = Path::Gbt.lateral_per_metre(x, y).unwrap();
            for (d, formula) in [
                ([1.0, 0.0, 0.0], along_x),
                ([0.0, cos, -sin], along_y),
                ([0.0, sin, cos], Path::Gbt.per_metre(x, y)),
            ] {
                let traced = conic.change(start, d);
                // The formula's angles and focal length are rounded.
                assert!((traced - formula).abs() < 5e-5, "{x} {y} {d:?}: {traced} {formula}");
            }
        }
    }

    #[test]
    fn the_prime_focus_changes_the_way_as_its_distance_from_the_dish() {
        let focal = 4.8;
        let path = Path::PrimeFocus { focal_length: focal };
        for (x, y) in PLACES {
            let start = [x, y, (x * x + y * y) / (4.0 * focal)];
            let way = |d: Point| distance(start, [d[0], d[1], focal + d[2]]);
            let h = 1e-3;
            let traced = [
                (way([h, 0., 0.]) - way([-h, 0., 0.])) / (2.0 * h),
                (way([0., h, 0.]) - way([0., -h, 0.])) / (2.0 * h),
            ];
            for (traced, formula) in traced.iter().zip(path.lateral_per_metre(x, y).unwrap()) {
                assert!((traced - formula).abs() < 1e-7, "{x} {y}: {traced} {formula}");
            }
        }
    }

    /// The sum over another set of places than the plane was found with.
    #[test]
    fn no_tilt_is_left() {
        for name in ["srt", "alma", "gbt", "generic"] {
            let telescope = Telescope::named(name).unwrap();
            let lateral = Lateral::of(&telescope).unwrap();
            let n = 200;
            let axis =
                (0..n).map(|i| telescope.radius * (2.0 * f64::from(i) + 1.0 - 200.0) / 200.0);
            let axis: Vec<f64> = axis.collect();
            let (mut left, mut size) = ([0.0f64; 4], 0.0);
            for (&x, &y) in axis.iter().flat_map(|y| axis.iter().map(move |x| (x, y))) {
                if x.hypot(y) < telescope.radius {
                    let [a, b] = lateral.per_metre(x, y);
                    [a * x, a * y, b * x, b * y].iter().zip(&mut left).for_each(|(p, l)| *l += p);
                    size += telescope.path.lateral_per_metre(x, y).unwrap()[0] * x;
                }
            }
            // Both sums have the dish's rim to some 1e-3.
            let most = left.iter().fold(0.0f64, |a, l| a.max(l.abs()));
            assert!(most < 2e-3 * size.abs(), "{name}: {left:?} of {size}");
        }
    }

    #[test]
    fn a_file_that_does_not_say_enough_is_told_what_it_needs() {
        let mut telescope = Telescope::named("srt").unwrap();
        let shaped = [
            Path::Radial { coefficients: vec![0.0, 1.0], lateral: None, reference_radius: 1.0 },
            Path::Zernike { coefficients: vec![0.0; 5], lateral: None, reference_radius: 32.0 },
        ];
        let two = Path::TwoMirror {
            primary_focal_length: 1.0,
            effective_focal_length: 2.0,
            sub_reflector: None,
        };
        for (path, needed) in
            shaped.into_iter().chain([two]).zip(["lateral,", "lateral_x", "gregorian"])
        {
            telescope.path = path;
            let error = Lateral::of(&telescope).unwrap_err();
            assert_eq!(error.exit_status(), 2);
            assert!(error.to_string().contains(needed), "{error}");
        }
    }
}
