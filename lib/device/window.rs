//! The window that interpolates between the points of a fine grid of frequencies.
//!
//! `exp(beta (sqrt(1 - z^2) - 1))`, `|z| < 1`: nearly as good as the best there is, and quick to compute
//! (A. Barnett, J. Magland and L. af Klinteberg 2019, SIAM J. Sci. Comput. 41, C479).

use std::f64::consts::{FRAC_PI_2, PI, TAU};

/// Widths that weights can be computed for: even, so that a window has as many points on one side of a
/// sample as on the other.
pub const WIDTHS: [usize; 7] = [4, 6, 8, 10, 12, 14, 16];

/// A window on a grid of frequencies, along one axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Window {
    /// Points of the grid that it covers.
    pub width: usize,
    beta: f64,
}

impl Window {
    /// The narrowest window with errors below `tolerance` on a grid of `oversampling` times as many
    /// frequencies as there are pixels; the widest where none has.
    pub fn new(tolerance: f64, oversampling: f64) -> Self {
        // The error falls as exp(-pi width sqrt(1 - 1 / oversampling)) (ibid., theorem 7); what stands
        // before it was found to be less than 40 for either of the two axes.
        let rate = PI * (1.0 - 1.0 / oversampling).sqrt();
        let wanted = ((80.0 / tolerance).ln() / rate).ceil() as usize;
        let width = WIDTHS.into_iter().find(|&w| w >= wanted).unwrap_or(WIDTHS[WIDTHS.len() - 1]);
        // Just below where the transform of the window would begin to ring over the pixels (ibid., 4).
        Window { width, beta: 0.97 * PI * width as f64 * (1.0 - 0.5 / oversampling) }
    }

    /// The weight of a point `distance` grid points away.
    fn value(&self, distance: f64) -> f64 {
        let z = 2.0 * distance / self.width as f64;
        let inside = 1.0 - z * z;
        if inside > 0.0 { (self.beta * (inside.sqrt() - 1.0)).exp() } else { 0.0 }
    }

    /// The first point of the window about `position`, and the weights of all its points.
    pub fn weights(&self, position: f64) -> (i64, impl Iterator<Item = f64>) {
        let first = position.floor() as i64 + 1 - self.width as i64 / 2;
        let window = *self;
        let point = move |j: usize| window.value(position - (first + j as i64) as f64);
        (first, (0..self.width).map(point))
    }

    /// What the weights make of `exp(i k x)` for a pixel `pixel` from the middle and a grid of `points`
    /// frequencies: the window's transform there.
    pub fn transform(&self, pixel: f64, points: usize) -> f64 {
        // With z = sin(a) the integrand and its slopes are of the size of exp(-beta) at the ends, so the
        // midpoint rule converges to that times the square of the step.
        const NODES: usize = 64;
        let node = |i: usize| {
            let angle = FRAC_PI_2 * ((i as f64 + 0.5) / NODES as f64);
            let reach = 0.5 * self.width as f64 * angle.sin();
            let value = (self.beta * (angle.cos() - 1.0)).exp() * angle.cos();
            value * (TAU * pixel * reach / points as f64).cos()
        };
        self.width as f64 * FRAC_PI_2 / NODES as f64 * (0..NODES).map(node).sum::<f64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sum over the grid of weights times a wave on it, over the window's transform, is the wave.
    #[test]
    fn waves_are_interpolated_to_the_tolerance() {
        for points in [64usize, 90] {
            for tolerance in [1e-3, 1e-6, 1e-9, 1e-12] {
                let window = Window::new(tolerance, 2.0);
                for pixel in -(points as i64) / 4..=points as i64 / 4 {
                    let scale = window.transform(pixel as f64, points);
                    for position in [0.0, 3.5, 7.123, -11.9] {
                        let wave = |x: f64| (TAU * pixel as f64 * x / points as f64).cos();
                        let (first, weights) = window.weights(position);
                        let at = |(j, w)| w * wave((first + j as i64) as f64);
                        let got: f64 = weights.enumerate().map(at).sum::<f64>() / scale;
                        let error = (got - wave(position)).abs();
                        assert!(error < tolerance, "{tolerance} {pixel} {position}: {error}");
                    }
                }
            }
        }
        // What the width costs is all that the tolerance says.
        assert_eq!([1e-6, 1e-9].map(|t| Window::new(t, 2.0).width), [10, 12]);
    }
}
