//! How much longer the way to the receiver becomes when the sub-reflector (or the receiver at the
//! prime focus) is moved by `dz` along its axis. Sideways: [`super::lateral`].

use super::zernike::Mode;
use serde::Deserialize;

/// The optics that a displacement acts on. Lengths in metres, on the dish.
#[derive(Debug, Clone, PartialEq)]
pub enum Path {
    /// Receiver at the focus of a paraboloid; piston removed:
    /// `dz ((1-a^2)/(1+a^2) - 1)`, `a = r/2F`.
    PrimeFocus { focal_length: f64 },
    /// On-axis Cassegrain or Gregorian: `dz ((1-a^2)/(1+a^2) + (1-b^2)/(1+b^2))`,
    /// `a = r/2Fp`, `b = r/2Feff`.
    TwoMirror {
        primary_focal_length: f64,
        effective_focal_length: f64,
        /// Only what moves sideways depends on it; `None` where it is not known.
        sub_reflector: Option<SubReflector>,
    },
    /// The Green Bank Telescope's offset Gregorian. The sub-reflector's axis is tilted, so the
    /// path is not symmetric in y.
    Gbt,
    /// Shaped optics: path per unit `dz` as Zernike coefficients `z0, z1, ...` on a disc of
    /// `reference_radius`; `lateral` is the same per unit displacement along x, and along y, where it is
    /// known.
    Zernike { coefficients: Vec<f64>, lateral: Option<[Vec<f64>; 2]>, reference_radius: f64 },
    /// Shaped optics: path per unit `dz` as a polynomial `c0 + c1 s + c2 s^2 + ...`,
    /// `s = r/reference_radius`; per unit displacement along x it is `x/reference_radius` times the
    /// polynomial `lateral`, where it is known, and along y the same with y.
    Radial { coefficients: Vec<f64>, lateral: Option<Vec<f64>>, reference_radius: f64 },
}

/// On which side of the prime focus the sub-reflector is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SubReflector {
    /// Convex, before the prime focus.
    Cassegrain,
    /// Concave, behind it: rays have crossed the axis.
    Gregorian,
}

/// The GBT's geometry, in the form used for its out-of-focus holography (Nikolic et al. 2007, A&A
/// 465, 685): metres and degrees.
pub(super) mod gbt {
    /// From the parent paraboloid's axis to the centre of the dish.
    pub const OFFSET: f64 = 54.0;
    pub const PRIMARY_FOCAL_LENGTH: f64 = 60.0;
    pub const EFFECTIVE_FOCAL_LENGTH: f64 = 190.0;
    /// From the parent's axis to the sub-reflector's direction of motion.
    pub const AXIS: f64 = 36.7;
    /// From the parent's axis to the ray that arrives at the Gregorian focus.
    pub const SECOND_LEG: f64 = 12.33;
}

impl Path {
    /// Path difference per unit displacement at `(x, y)` metres on the dish.
    pub fn per_metre(&self, x: f64, y: f64) -> f64 {
        match self {
            Path::PrimeFocus { focal_length } => {
                let a = x.hypot(y) / (2.0 * focal_length);
                // (1-a^2)/(1+a^2) - 1 without the cancellation.
                -2.0 * a * a / (1.0 + a * a)
            }
            Path::TwoMirror { primary_focal_length, effective_focal_length, .. } => {
                let r = x.hypot(y);
                cosine(r / (2.0 * primary_focal_length))
                    + cosine(r / (2.0 * effective_focal_length))
            }
            Path::Gbt => {
                let axis = gbt::AXIS.to_radians();
                let leg = (gbt::AXIS - gbt::SECOND_LEG).to_radians();
                let first = ray(axis, x, gbt::OFFSET - y, gbt::PRIMARY_FOCAL_LENGTH);
                let second = ray(leg, x, -y, gbt::EFFECTIVE_FOCAL_LENGTH);
                first + second
            }
            Path::Zernike { coefficients, reference_radius, .. } => {
                series(coefficients, x / reference_radius, y / reference_radius)
            }
            Path::Radial { coefficients, reference_radius, .. } => {
                polynomial(coefficients, x.hypot(y) / reference_radius)
            }
        }
    }
}

/// The sum of Zernike polynomials at `(x, y)` on the unit disc.
pub(super) fn series(coefficients: &[f64], x: f64, y: f64) -> f64 {
    coefficients.iter().enumerate().map(|(j, c)| c * Mode::of(j).value(x, y)).sum()
}

/// `c0 + c1 s + c2 s^2 + ...`
pub(super) fn polynomial(coefficients: &[f64], s: f64) -> f64 {
    coefficients.iter().rev().fold(0.0, |sum, c| sum * s + c)
}

/// `cos t` for `tan(t/2) = a`: a ray's slope where it leaves a paraboloid.
fn cosine(a: f64) -> f64 {
    (1.0 - a * a) / (1.0 + a * a)
}

/// The displacement's part along a ray: `cos(axis) cos t + sin(axis) sin t y/r` with
/// `t = 2 atan(r/2f)`. On the axis itself `sin t y/r` is 0, which the form below gives by itself.
pub(super) fn ray(axis: f64, x: f64, y: f64, focal_length: f64) -> f64 {
    let a = x.hypot(y) / (2.0 * focal_length);
    // sin t = 2a/(1+a^2), and a/r = 1/2f.
    let sideways = y / focal_length / (1.0 + a * a);
    axis.cos() * cosine(a) + axis.sin() * sideways
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optics::golden;

    #[test]
    fn paths_agree_with_numpy() {
        let golden = golden::read("path.json");
        let cases = golden["cases"].as_array().unwrap();
        assert_eq!(cases.len(), 3);
        for case in cases {
            let length = |key: &str| case[key].as_f64().unwrap();
            let path = match case["kind"].as_str().unwrap() {
                "prime-focus" => Path::PrimeFocus { focal_length: length("focal_length_m") },
                "two-mirror" => Path::TwoMirror {
                    primary_focal_length: length("primary_focal_length_m"),
                    effective_focal_length: length("effective_focal_length_m"),
                    sub_reflector: None,
                },
                "gbt" => Path::Gbt,
                other => panic!("{other}"),
            };
            let dz = length("dz_m");
            for sample in case["samples"].as_array().unwrap() {
                let [x, y, known] = golden::triple(sample);
                // Terms of size dz, a few operations each.
                let tolerance = 10.0 * f64::EPSILON * dz.abs();
                let mine = dz * path.per_metre(x, y);
                assert!((mine - known).abs() < tolerance, "{path:?} {x} {y}: {mine} {known}");
            }
        }
    }

    #[test]
    fn the_prime_focus_path_is_the_depth_of_focus_of_a_paraboloid() {
        // The change of the distance from the paraboloid's point to the receiver, by geometry.
        let (focal, r, dz): (f64, f64, f64) = (14.4, 2.0, 1e-6);
        let depth = r * r / (4.0 * focal);
        // Moving away from the dish lengthens the way; its piston is dz.
        let way = |f: f64| r.hypot(f - depth);
        let change = way(focal + dz) - way(focal) - dz;
        let path = Path::PrimeFocus { focal_length: focal };
        assert!((dz * path.per_metre(r, 0.0) - change).abs() < 1e-12, "{change}");
    }

    #[test]
    fn the_gbt_is_defined_where_its_formula_divides_by_zero() {
        let at = |x, y| Path::Gbt.per_metre(x, y);
        for (x, y) in [(0.0, 54.0), (0.0, 0.0)] {
            let near = at(x + 1e-9, y + 1e-9);
            assert!((at(x, y) - near).abs() < 1e-9, "{x} {y}");
        }
        assert!((at(7.0, 3.0) - at(-7.0, 3.0)).abs() < 1e-15, "symmetric in x");
        // By NumPy 1.6251 and 1.6980.
        assert!((at(0.0, -49.0) - at(0.0, 49.0) - 0.0729).abs() < 1e-4, "not in y");
    }

    #[test]
    fn shaped_paths_are_the_sums_that_they_say() {
        let radial = Path::Radial {
            coefficients: vec![2.0, 0.0, -0.5, 0.25],
            lateral: None,
            reference_radius: 10.0,
        };
        assert!((radial.per_metre(3.0, 4.0) - (2.0 - 0.125 + 0.03125)).abs() < 1e-14);
        let zernike = Path::Zernike {
            coefficients: vec![1.0, 0.0, 0.5, 0.0, 0.25],
            lateral: None,
            reference_radius: 10.0,
        };
        let known = 1.0 + 0.5 * 0.3 + 0.25 * (2.0 * 0.25 - 1.0);
        assert!((zernike.per_metre(3.0, 4.0) - known).abs() < 1e-14);
    }
}
