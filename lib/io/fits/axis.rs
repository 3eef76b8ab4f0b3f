//! An axis of equal steps, as an image's header holds it.

/// `value(j) = start + (j - reference) * step` for pixel `j` from 0.
///
/// The reader computes this very expression, so that an axis which was made by it comes back to the
/// last bit: `(j - n/2) * du` with `start = 0` and `reference = n/2`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LinearAxis {
    /// A pixel, from 0 (`CRPIX - 1`).
    pub reference: f64,
    /// The value at that pixel.
    pub start: f64,
    pub step: f64,
}

/// How far from equal steps an axis may be, as a fraction of a step. Sums of a step err by about
/// `n * 1e-16` of the axis' end, so by less than this up to a few thousand pixels.
const UNEVEN: f64 = 1e-9;

impl LinearAxis {
    /// The value at pixel `j`, from 0.
    pub fn value(&self, j: usize) -> f64 {
        self.start + (j as f64 - self.reference) * self.step
    }

    /// All values of an axis of `length` pixels.
    pub fn values(&self, length: usize) -> Vec<f64> {
        (0..length).map(|j| self.value(j)).collect()
    }

    /// The linear axis that `values` are: to the last bit where they were made by one of the usual
    /// expressions, else within 1e-9 of a step. `None` for other axes and for fewer than two values.
    pub fn of(values: &[f64]) -> Option<Self> {
        let n = values.len();
        if n < 2 || values[0] == values[n - 1] {
            return None;
        }
        let (first, last) = (values[0], values[n - 1]);
        let mean_step = (last - first) / (n - 1) as f64;
        let mut candidates = Vec::new();
        let mut candidate = |reference: f64, start: f64, step: f64| {
            candidates.push(LinearAxis { reference, start, step });
        };
        // (j - k) du, where the origin is a pixel.
        if let Some(k) = values.iter().position(|&x| x == 0.0) {
            let step = values.get(k + 1).copied().unwrap_or(-values[n - 2]);
            candidate(k as f64, 0.0, step);
        }
        // (j - (n-1)/2) du, where it lies between two.
        let half = (n - 1) as f64 / 2.0;
        let step = last / half;
        for step in [step, step.next_up(), step.next_down()] {
            candidate(half, 0.0, step);
        }
        // first + j du, as in linspace and arange.
        candidate(0.0, first, values[1] - first);
        candidate(0.0, first, mean_step);
        let exact = |a: &&LinearAxis| (0..n).all(|j| a.value(j) == values[j]);
        if let Some(axis) = candidates.iter().find(exact) {
            return Some(*axis);
        }
        let near = LinearAxis { reference: 0.0, start: first, step: mean_step };
        let even = |j: usize| (near.value(j) - values[j]).abs() <= UNEVEN * mean_step.abs();
        (0..n).all(even).then_some(near)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn axes_made_by_the_usual_expressions_come_back_to_the_last_bit(
            n in 2usize..300, du in 1e-9f64..1e-3, sign in prop::bool::ANY, start in -1e-2f64..1e-2
        ) {
            let du = if sign { du } else { -du };
            let centred = |j: usize| (j as f64 - (n / 2) as f64) * du;
            let between = |j: usize| (j as f64 - (n - 1) as f64 / 2.0) * du;
            let arange = |j: usize| start + j as f64 * du;
            let makers: [&dyn Fn(usize) -> f64; 3] = [&centred, &between, &arange];
            for (which, make) in makers.iter().enumerate() {
                let values: Vec<f64> = (0..n).map(make).collect();
                let again = LinearAxis::of(&values).unwrap().values(n);
                if which < 2 {
                    prop_assert_eq!(&again, &values);
                }
                for (a, b) in again.iter().zip(&values) {
                    prop_assert!((a - b).abs() <= 1e-9 * du.abs());
                }
            }
        }
    }

    #[test]
    fn uneven_axes_are_not_linear() {
        assert_eq!(LinearAxis::of(&[0.0, 1.0, 2.0 + 1e-8]), None);
        assert_eq!(LinearAxis::of(&[0.000032, 0.000065, 0.000097]), None);
        assert_eq!(LinearAxis::of(&[1.0]), None);
        assert_eq!(LinearAxis::of(&[1.0, 1.0]), None);
    }
}
