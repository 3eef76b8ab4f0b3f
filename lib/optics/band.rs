//! The wavelengths that stand for a receiver's band.
//!
//! What a receiver measures is the power over its band, here with equal sensitivity everywhere in it: the
//! mean of the powers of single wavelengths. Every term of such a power, of two points of the aperture,
//! turns with the frequency, by as many turns as there are wavelengths between their paths. Gauss and
//! Legendre's rule takes the mean of that over the band as exactly as is wanted from a few frequencies.

use std::f64::consts::PI;

/// The largest error of a map's power that the choice of frequencies may cause, as a part of the peak's.
pub const TOLERANCE: f64 = 1e-5;

/// Beyond this many beam widths a beam has less power than that: a dish without any taper, which has most there, has
/// `4 / (pi (pi r)^3)` on average.
pub const FAR: f64 = 20.0;

/// One frequency.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Node {
    /// As a part of the central one.
    pub ratio: f64,
    /// Its part of the mean.
    pub weight: f64,
}

/// The frequencies for a band whose full width is a `fraction` of its central frequency, where paths
/// differ by up to this many `turns`; the central one alone where that is enough.
pub fn nodes(fraction: f64, turns: f64) -> Vec<Node> {
    // The phase at the ends of the band, from the middle.
    let most = PI * fraction * turns;
    let enough = |(nodes, weights): &(Vec<f64>, Vec<f64>)| {
        (1..=16).all(|i| {
            let phase = most * f64::from(i) / 16.0;
            let mean: f64 =
                nodes.iter().zip(weights).map(|(x, w)| 0.5 * w * (phase * x).cos()).sum();
            // With no band the phase is zero.
            (mean - if phase > 0.0 { phase.sin() / phase } else { 1.0 }).abs() < TOLERANCE
        })
    };
    let (nodes, weights) = (1..).map(gauss_legendre).find(enough).expect("some rule will do");
    let node = |(x, w): (&f64, &f64)| Node { ratio: 1.0 + 0.5 * fraction * x, weight: 0.5 * w };
    nodes.iter().zip(&weights).map(node).collect()
}

/// Nodes and weights on [-1, 1], by Newton's method on the Legendre polynomial.
pub fn gauss_legendre(n: usize) -> (Vec<f64>, Vec<f64>) {
    (0..n)
        .map(|i| {
            let mut x = (PI * (i as f64 + 0.75) / (n as f64 + 0.5)).cos();
            let mut slope = 1.0;
            for _ in 0..50 {
                let (mut p, mut q) = (1.0, 0.0);
                for k in 1..=n {
                    let k = k as f64;
                    (p, q) = (((2.0 * k - 1.0) * x * p - (k - 1.0) * q) / k, p);
                }
                slope = n as f64 * (x * p - q) / (x * x - 1.0);
                x -= p / slope;
            }
            (x, 2.0 / ((1.0 - x * x) * slope * slope))
        })
        .unzip()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The mean of a wave over the band, by its closed form, for every phase up to the largest.
    #[test]
    fn the_mean_over_a_band_is_that_of_few_frequencies() {
        let mut counts = Vec::new();
        for (fraction, turns) in [(0.0, 50.0), (1e-5, 20.0), (0.01, 5.0), (0.05, 22.0), (0.5, 30.0)]
        {
            let nodes = nodes(fraction, turns);
            counts.push(nodes.len());
            // Two a turn are the least; few more are needed.
            assert!((nodes.len() as f64) < 5.5 + 1.2 * PI * fraction * turns / 2.0);
            let total: f64 = nodes.iter().map(|node| node.weight).sum();
            assert!((total - 1.0).abs() < 1e-14, "{total}");
            for i in 1..=1000 {
                let turns = turns * f64::from(i) / 1000.0;
                let wave =
                    |node: &Node| node.weight * (2.0 * PI * turns * (node.ratio - 1.0)).cos();
                let mean: f64 = nodes.iter().map(wave).sum();
                let half = (PI * fraction * turns).max(1e-300);
                assert!((mean - half.sin() / half).abs() < 1.1 * TOLERANCE, "{fraction} {turns}");
            }
        }
        assert_eq!(counts[..2], [1, 1]);
        assert_eq!(nodes(0.0, 50.0), [Node { ratio: 1.0, weight: 1.0 }]);
    }

    /// The envelope of the untapered beam is `(2 / pi x) (2 / x)^2` for `x = pi r`.
    #[test]
    fn far_off_there_is_no_power_that_matters() {
        let x = PI * FAR;
        assert!(0.5 * (2.0 / (PI * x)) * (2.0 / x).powi(2) < TOLERANCE);
    }
}
