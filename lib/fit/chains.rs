//! What chains of draws say about the density that they are from, and whether they can be believed.
//!
//! `R` (Gelman and Rubin 1992, of halves of chains) compares the chains: it is 1 where they agree. The
//! effective size is the number of independent draws that would tell the mean as well, from the
//! autocorrelation of the chains (Geyer 1992; the formulas are those of Vehtari et al. 2021).

use ndarray::{ArrayView1, ArrayView2, Axis, s};
use serde::Serialize;

/// The distribution of one quantity.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Distribution {
    pub mean: f64,
    /// The standard deviation.
    pub sd: f64,
    /// Quantiles at 16, 50 and 84 per cent.
    pub q16: f64,
    pub q50: f64,
    pub q84: f64,
    /// The effective number of draws.
    pub ess: f64,
    pub rhat: f64,
}

/// The distribution of a quantity that does not vary, or of the draws `(chain, draw)` of one that does.
pub fn distribution(chains: ArrayView2<f64>) -> Distribution {
    let mut sorted: Vec<f64> = chains.iter().copied().collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let count = sorted.len();
    let mean = sorted.iter().sum::<f64>() / count.max(1) as f64;
    let square = sorted.iter().map(|x| (x - mean).powi(2)).sum::<f64>();
    // Between the two draws that are nearest to it.
    let quantile = |share: f64| {
        let place = share * count.saturating_sub(1) as f64;
        let at = |i: f64| sorted.get(i as usize).copied().unwrap_or(mean);
        let part = place.fract();
        if part > 0.0 {
            (1.0 - part) * at(place.floor()) + part * at(place.ceil())
        } else {
            at(place)
        }
    };
    let (ess, rhat) = mixing(chains);
    Distribution {
        mean,
        sd: (square / count.saturating_sub(1).max(1) as f64).sqrt(),
        q16: quantile(0.16),
        q50: quantile(0.5),
        q84: quantile(0.84),
        ess,
        rhat,
    }
}

/// The effective size and `R`.
fn mixing(chains: ArrayView2<f64>) -> (f64, f64) {
    let half = chains.ncols() / 2;
    let halves = [chains.slice(s![.., ..half]), chains.slice(s![.., half..2 * half])];
    let mut split = ndarray::concatenate(Axis(0), &halves).expect("halves of one length");
    let (m, n) = (split.nrows() as f64, half as f64);
    let total = chains.len() as f64;
    let means: Vec<f64> = split.outer_iter().map(|chain| chain.mean().unwrap_or(0.0)).collect();
    let mean = means.iter().sum::<f64>() / m.max(1.0);
    let between = means.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (m - 1.0).max(1.0);
    split.outer_iter_mut().zip(&means).for_each(|(mut chain, mean)| chain -= *mean);
    let covariance = |lag: usize| {
        let of = |chain: ArrayView1<f64>| {
            chain.slice(s![lag..]).dot(&chain.slice(s![..chain.len() - lag])) / n
        };
        split.outer_iter().map(of).sum::<f64>() / m
    };
    let within = covariance(0) * n / (n - 1.0);
    let variance = (n - 1.0) / n * within + between;
    if half < 2 || variance.partial_cmp(&0.0) != Some(std::cmp::Ordering::Greater) {
        return (total, 1.0);
    }
    let correlation = |lag: usize| 1.0 - (within - covariance(lag)) / variance;
    // Sums of neighbours are positive and fall, but for noise.
    let (mut sum, mut last) = (0.0, f64::INFINITY);
    for lag in (0..half - 1).step_by(2) {
        let first = if lag == 0 { 1.0 } else { correlation(lag) };
        let pair = (first + correlation(lag + 1)).min(last);
        if pair <= 0.0 {
            break;
        }
        sum += pair;
        last = pair;
    }
    let time = (2.0 * sum - 1.0).max(1.0 / total.log10().max(1.0));
    (total / time, (variance / within).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use rand_distr::StandardNormal;

    /// Chains `x <- a x + sqrt(1 - a^2) noise`, each shifted by its number times `apart`.
    fn chains(a: f64, apart: f64) -> Array2<f64> {
        let mut random = ChaCha8Rng::seed_from_u64(5);
        let mut all = Array2::zeros((4, 5000));
        for (k, mut chain) in all.outer_iter_mut().enumerate() {
            let mut x: f64 = random.sample(StandardNormal);
            for value in &mut chain {
                *value = x + apart * k as f64;
                let noise: f64 = random.sample(StandardNormal);
                x = a * x + (1.0 - a * a).sqrt() * noise;
            }
        }
        all
    }

    #[test]
    fn the_effective_size_is_that_of_a_process_of_known_memory() {
        // The sum of all correlations a^|k| is (1 + a)/(1 - a).
        for a in [0.0f64, 0.5, 0.9, -0.5] {
            let found = distribution(chains(a, 0.0).view());
            let known = 20_000.0 * (1.0 - a) / (1.0 + a);
            assert!((found.ess / known - 1.0).abs() < 0.15, "{a}: {} {known}", found.ess);
            assert!((found.rhat - 1.0).abs() < 0.01, "{}", found.rhat);
            let error = 1.0 / known.sqrt();
            assert!(found.mean.abs() < 4.0 * error && (found.sd - 1.0).abs() < 4.0 * error);
            assert!((found.q84 - 0.994_46).abs() < 6.0 * error, "{}", found.q84);
            assert!((found.q16 + 0.994_46).abs() < 6.0 * error && found.q50.abs() < 6.0 * error);
        }
    }

    #[test]
    fn chains_that_disagree_are_seen() {
        // Shifts of 0, 1, 2, 3 have a variance of 5/3 between the chains, so R = sqrt(1 + 5/3 or a little less).
        let found = distribution(chains(0.0, 1.0).view());
        assert!((found.rhat - (1.0f64 + 8.0 * 1.25 / 7.0).sqrt()).abs() < 0.02, "{}", found.rhat);
        assert!(found.ess < 20.0, "{}", found.ess);
    }

    #[test]
    fn what_does_not_vary_has_no_width() {
        let found = distribution(Array2::from_elem((4, 10), 2.5).view());
        assert_eq!((found.mean, found.sd, found.q16, found.rhat), (2.5, 0.0, 2.5, 1.0));
    }
}
