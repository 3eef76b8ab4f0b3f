//! Zernike polynomials on the dish: OSA/ANSI index, unnormalised Born & Wolf (+-1 on the rim).
//!
//! `Z = R_n^m(r) cos(m theta)` for `l >= 0` and `R_n^m(r) sin(m theta)` for `l < 0`, with `m = |l|`,
//! `x = r cos theta`, `y = r sin theta` in dish radii. The radial part is a Jacobi polynomial,
//! `R_n^m(r) = r^m P_k^(0,m)(2 r^2 - 1)`, `k = (n - m)/2`, so both factors follow from recurrences
//! that lose no digits: `r^m exp(i m theta)` is a power of `x + i y`, and `P_k` has three terms. The
//! usual sum of factorials cancels itself away from order 40 on.

use ndarray::Array2;

/// One polynomial: radial order `n` and angular frequency `l = -n, -n+2, ..., n`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mode {
    pub n: u32,
    pub l: i32,
}

/// The highest radial order that the programs take.
pub const HIGHEST_ORDER: u32 = 20;

impl Mode {
    /// The polynomial of OSA/ANSI index `j`, from 0.
    pub fn of(j: usize) -> Mode {
        // Row n begins at n(n+1)/2. The square root is only a guess for large j; it is put right.
        let mut n = (((8.0 * j as f64 + 1.0).sqrt() - 1.0) / 2.0) as usize;
        while n * (n + 1) / 2 > j {
            n -= 1;
        }
        while (n + 1) * (n + 2) / 2 <= j {
            n += 1;
        }
        let place = j - n * (n + 1) / 2;
        Mode { n: n as u32, l: 2 * place as i32 - n as i32 }
    }

    /// The OSA/ANSI index `(n(n+2)+l)/2`.
    pub fn index(self) -> usize {
        let n = i64::from(self.n);
        ((n * (n + 2) + i64::from(self.l)) / 2) as usize
    }

    /// The value at `(x, y)` in dish radii. Off the dish the polynomial goes on, and grows.
    pub fn value(self, x: f64, y: f64) -> f64 {
        let m = self.l.unsigned_abs();
        let (mut cos, mut sin) = (1.0, 0.0);
        for _ in 0..m {
            (cos, sin) = (cos * x - sin * y, cos * y + sin * x);
        }
        let t = 2.0 * (x * x + y * y) - 1.0;
        let (mut before, mut radial) = (0.0, 1.0);
        for k in 1..=(self.n - m) / 2 {
            let [a, b, c] = jacobi(k, m);
            (before, radial) = (radial, (a * t + b) * radial - c * before);
        }
        radial * if self.l < 0 { sin } else { cos }
    }
}

/// The number of polynomials up to radial order `order`: `(order+1)(order+2)/2`.
pub fn count(order: u32) -> usize {
    let n = order as usize;
    (n + 1) * (n + 2) / 2
}

/// All polynomials up to `order` at `points` `(x, y)` in dish radii; shape `(count(order), points)`,
/// row `j` holds polynomial `j`.
pub fn table(order: u32, points: &[(f64, f64)]) -> Array2<f64> {
    let (polynomials, stride) = (count(order), points.len());
    let mut values = vec![0.0; polynomials * stride];
    // A block of points stays in the L1 cache while all polynomials run over it.
    const BLOCK: usize = 512;
    let (mut cos, mut sin) = ([0.0; BLOCK], [0.0; BLOCK]);
    let (mut t, mut before, mut radial) = ([0.0; BLOCK], [0.0; BLOCK], [0.0; BLOCK]);
    for (block, points) in points.chunks(BLOCK).enumerate() {
        let (first, len) = (block * BLOCK, points.len());
        for (t, &(x, y)) in t.iter_mut().zip(points) {
            *t = 2.0 * (x * x + y * y) - 1.0;
        }
        cos[..len].fill(1.0);
        sin[..len].fill(0.0);
        for m in 0..=order {
            if m > 0 {
                for ((c, s), &(x, y)) in cos.iter_mut().zip(&mut sin).zip(points) {
                    (*c, *s) = (*c * x - *s * y, *c * y + *s * x);
                }
            }
            before[..len].fill(0.0);
            radial[..len].fill(1.0);
            for k in 0..=(order - m) / 2 {
                if k > 0 {
                    let [a, b, c] = jacobi(k, m);
                    let of_points = radial[..len].iter_mut().zip(&mut before).zip(&t);
                    for ((r, p), &t) in of_points {
                        (*p, *r) = (*r, (a * t + b) * *r - c * *p);
                    }
                }
                let (n, l) = (m + 2 * k, m as i32);
                let mut write = |l: i32, angular: &[f64]| {
                    let start = Mode { n, l }.index() * stride + first;
                    let row = &mut values[start..start + len];
                    for ((z, &r), &a) in row.iter_mut().zip(&radial).zip(angular) {
                        *z = r * a;
                    }
                };
                write(l, &cos);
                if m > 0 {
                    write(-l, &sin);
                }
            }
        }
    }
    Array2::from_shape_vec((polynomials, stride), values).expect("a value for each")
}

/// `a, b, c` of `P_k = (a t + b) P_{k-1} - c P_{k-2}` for the Jacobi polynomials with `alpha = 0`,
/// `beta = m` (Abramowitz & Stegun 22.7.1), for `k >= 1`.
fn jacobi(k: u32, m: u32) -> [f64; 3] {
    let (k, m) = (f64::from(k), f64::from(m));
    if k == 1.0 {
        return [0.5 * (m + 2.0), -0.5 * m, 0.0];
    }
    let s = 2.0 * k + m;
    let scale = 1.0 / (2.0 * k * (k + m) * (s - 2.0));
    [
        scale * (s - 1.0) * s * (s - 2.0),
        -scale * (s - 1.0) * m * m,
        scale * 2.0 * (k - 1.0) * (k + m - 1.0) * s,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optics::band::gauss_legendre;
    use crate::optics::golden;

    /// `R_n^m` from its definition: factorials, in integers; exact for small orders but for the sum.
    fn by_factorials(mode: Mode, x: f64, y: f64) -> f64 {
        let factorial = |n: i64| (1..=i128::from(n)).product::<i128>();
        let (n, m) = (i64::from(mode.n), i64::from(mode.l.abs()));
        let (r, theta) = (x.hypot(y), y.atan2(x));
        let radial: f64 = (0..=(n - m) / 2)
            .map(|k| {
                let below = factorial(k) * factorial((n + m) / 2 - k) * factorial((n - m) / 2 - k);
                let coefficient = factorial(n - k) / below;
                let sign = if k % 2 == 0 { 1.0 } else { -1.0 };
                sign * coefficient as f64 * r.powi((n - 2 * k) as i32)
            })
            .sum();
        let angle = f64::from(mode.l.abs()) * theta;
        radial * if mode.l < 0 { angle.sin() } else { angle.cos() }
    }

    #[test]
    fn index_and_mode_are_inverse() {
        let mut j = 0;
        for n in 0..=60u32 {
            for l in (-(n as i32)..=n as i32).step_by(2) {
                assert_eq!(Mode { n, l }.index(), j);
                assert_eq!(Mode::of(j), Mode { n, l });
                j += 1;
            }
            assert_eq!(count(n), j);
        }
        assert_eq!(Mode::of(4), Mode { n: 2, l: 0 }, "defocus is z4");
    }

    #[test]
    fn low_orders_are_the_known_closed_forms() {
        let (x, y) = (0.37, -0.61);
        let r2: f64 = x * x + y * y;
        let known = [
            1.0,
            y,
            x,
            2.0 * x * y,
            2.0 * r2 - 1.0,
            x * x - y * y,
            3.0 * x * x * y - y * y * y,
            (3.0 * r2 - 2.0) * y,
            (3.0 * r2 - 2.0) * x,
            x * x * x - 3.0 * x * y * y,
            4.0 * (x * x - y * y) * x * y,
            2.0 * (4.0 * r2 - 3.0) * x * y,
            6.0 * r2 * r2 - 6.0 * r2 + 1.0,
            (4.0 * r2 - 3.0) * (x * x - y * y),
            x.powi(4) - 6.0 * x * x * y * y + y.powi(4),
        ];
        for (j, known) in known.into_iter().enumerate() {
            let value = Mode::of(j).value(x, y);
            assert!((value - known).abs() < 20.0 * f64::EPSILON, "z{j}: {value} {known}");
        }
    }

    #[test]
    fn the_recurrence_agrees_with_the_sum_of_factorials() {
        for j in 0..count(12) {
            for (x, y) in [(0.3, 0.4), (-0.7, 0.2), (0.05, -0.99), (0.0, 0.0)] {
                let (mine, sum) = (Mode::of(j).value(x, y), by_factorials(Mode::of(j), x, y));
                // The sum's own terms reach 3e4 at order 12.
                assert!((mine - sum).abs() < 3e4 * 10.0 * f64::EPSILON, "z{j} at {x} {y}");
            }
        }
    }

    #[test]
    fn the_rim_is_plus_or_minus_one_up_to_order_60() {
        for j in 0..count(60) {
            let Mode { n, l } = Mode::of(j);
            let theta = 0.7;
            let angle = f64::from(l.abs()) * theta;
            let known = if l < 0 { angle.sin() } else { angle.cos() };
            let value = Mode { n, l }.value(theta.cos(), theta.sin());
            // Rounding of r = 1 is magnified by the slope there, n(n+2)/2 at most.
            let tolerance = (10.0 + f64::from(n * n)) * f64::EPSILON;
            assert!((value - known).abs() < tolerance, "n {n} l {l}: {}", value - known);
        }
    }

    #[test]
    fn nothing_exceeds_one_on_the_dish_at_order_60() {
        for i in 0..=50 {
            let r = f64::from(i) / 50.0;
            for j in count(58)..count(60) {
                let value = Mode::of(j).value(0.6 * r, -0.8 * r);
                assert!(value.abs() < 1.0 + 1e-12, "z{j} at r = {r}: {value}");
            }
        }
    }

    #[test]
    fn polynomials_are_orthogonal_on_the_disc() {
        // Midpoints in angle are exact up to 47 half-turns; Simpson in r^2 would not be, so take
        // Gauss points in s = r^2 from the Legendre recurrence.
        let (nodes, weights) = gauss_legendre(16);
        let turns = 48;
        let mut points = Vec::new();
        let mut area = Vec::new();
        for (s, w) in nodes.iter().zip(&weights) {
            let r = (0.5 * (s + 1.0)).sqrt();
            for k in 0..turns {
                let theta = std::f64::consts::TAU * (f64::from(k) + 0.3) / f64::from(turns);
                points.push((r * theta.cos(), r * theta.sin()));
                area.push(0.5 * w / f64::from(turns));
            }
        }
        let rows = table(10, &points);
        for i in 0..count(10) {
            for j in 0..=i {
                let inner: f64 =
                    (0..points.len()).map(|p| rows[[i, p]] * rows[[j, p]] * area[p]).sum();
                let Mode { n, l } = Mode::of(i);
                let halves = if l == 0 { 1.0 } else { 2.0 };
                let norm = if i == j { 1.0 / (halves * f64::from(n + 1)) } else { 0.0 };
                assert!((inner - norm).abs() < 1e-14, "z{i} z{j}: {inner} {norm}");
            }
        }
    }

    #[test]
    fn values_agree_with_exact_fractions_up_to_order_60() {
        let golden = golden::read("zernike.json");
        let points: Vec<(f64, f64)> = golden["points"]
            .as_array()
            .unwrap()
            .iter()
            .map(|p| (p[0].as_f64().unwrap(), p[1].as_f64().unwrap()))
            .collect();
        for mode in golden["modes"].as_array().unwrap() {
            let n = mode["n"].as_u64().unwrap() as u32;
            let l = mode["l"].as_i64().unwrap() as i32;
            assert_eq!(mode["j"].as_u64().unwrap(), Mode { n, l }.index() as u64);
            for (&(x, y), known) in points.iter().zip(golden::numbers(&mode["values"])) {
                let value = Mode { n, l }.value(x, y);
                // Rounding of x and y themselves is magnified by the slope, up to n^2.
                let tolerance = (10.0 + f64::from(n * n)) * f64::EPSILON;
                assert!((value - known).abs() < tolerance, "n {n} l {l}: {value} {known}");
            }
        }
    }

    #[test]
    fn the_table_is_the_values_row_by_row() {
        let points: Vec<_> =
            (0..1100).map(|i| (0.0009 * f64::from(i) - 0.5, 0.3 - 0.0007 * f64::from(i))).collect();
        let rows = table(9, &points);
        assert_eq!(rows.dim(), (count(9), 1100));
        for (j, row) in rows.rows().into_iter().enumerate() {
            for (&z, &(x, y)) in row.iter().zip(&points) {
                assert!((z - Mode::of(j).value(x, y)).abs() < 50.0 * f64::EPSILON);
            }
        }
        assert_eq!(table(3, &[]).dim(), (10, 0));
    }
}
