//! Round numbers for axes and colour bars.

/// Multiples of 1, 2 or 5 times a power of ten within `low..=high`, `most` at the most, ascending.
/// Empty where the range is empty or not finite.
pub fn ticks(low: f64, high: f64, most: usize) -> Vec<f64> {
    let span = high - low;
    if !(span > 0.0 && span.is_finite()) || most == 0 {
        return Vec::new();
    }
    // A first guess that is never too coarse, then coarser until few enough fit.
    let first = (span / most as f64).log10().floor() as i32;
    (first..first + 3)
        .flat_map(|exponent| [1, 2, 5].map(|digit| (digit, exponent)))
        .find_map(|(digit, exponent)| multiples(low, high, digit, exponent, most))
        .unwrap_or_default()
}

/// The outermost numbers of one digit in the range, for where no more of them have room: one alone, 0 say, is no scale.
pub fn ends(low: f64, high: f64) -> Vec<f64> {
    let largest = low.abs().max(high.abs());
    let exponent = (largest.log10() + 1e-9).floor() as i32;
    let found = multiples(low, high, 1, exponent, 19).unwrap_or_default();
    match found[..] {
        [first, .., last] => vec![first, last],
        _ => Vec::new(),
    }
}

/// The multiples of `digit * 10^exponent` in the range, if there are no more than `most`.
fn multiples(low: f64, high: f64, digit: i32, exponent: i32, most: usize) -> Option<Vec<f64>> {
    // Dividing by a power of ten is exact to the last bit more often than multiplying by 0.1^n.
    let (size, ten) = (f64::from(digit), 10f64.powi(exponent.abs()));
    let value = |k: f64| {
        let units = k * size;
        if exponent < 0 { units / ten } else { units * ten }
    };
    let step = value(1.0);
    // A billionth of a step forgives the rounding of `low` and `high` themselves.
    let first = (low / step - 1e-9).ceil();
    let count = (high / step + 1e-9).floor() - first + 1.0;
    if !(step > 0.0 && count <= most as f64) {
        return None;
    }
    // Adding zero turns -0 into 0.
    let found = (0..count.max(0.0) as usize).map(|i| value(first + i as f64) + 0.0);
    Some(found.collect())
}

/// What to write beside equidistant ticks: all with the same number of decimals, and all with one
/// exponent where plain decimals would be long (below 0.001 a step, or from 100 000).
pub fn labels(ticks: &[f64]) -> Vec<String> {
    let largest = ticks.iter().fold(0.0, |most: f64, t| most.max(t.abs()));
    let step = match ticks {
        [a, b, ..] => (b - a).abs(),
        _ => largest,
    };
    if !(step > 0.0 && largest > 0.0 && largest.is_finite()) {
        return ticks.iter().map(|_| "0".into()).collect();
    }
    // The small number undoes roundings such as log10(0.001) = -2.9999999999999996.
    let decade = |x: f64| (x.log10() + 1e-9).floor() as i32;
    let (last_digit, first_digit) = (decade(step), decade(largest));
    if last_digit >= -3 && first_digit < 5 {
        let decimals = (-last_digit).max(0) as usize;
        return ticks.iter().map(|t| format!("{t:.decimals$}")).collect();
    }
    let decimals = (first_digit - last_digit).clamp(0, 9) as usize;
    let written = ticks.iter().map(|&t| match t {
        0.0 => "0".into(),
        // In two steps, as 10^-first_digit overflows for the smallest numbers.
        t => {
            let half = first_digit / 2;
            let mantissa = t / 10f64.powi(half) / 10f64.powi(first_digit - half);
            format!("{mantissa:.decimals$}e{first_digit}")
        }
    });
    written.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ticks_are_round_numbers_inside_the_range() {
        assert_eq!(ticks(0.0, 1.0, 6), [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]);
        assert_eq!(ticks(0.0, 1.0, 5), [0.0, 0.5, 1.0]);
        assert_eq!(ticks(-0.03, 0.03, 5), [-0.02, 0.0, 0.02]);
        assert_eq!(ticks(-32.0, 32.0, 7), [-30.0, -20.0, -10.0, 0.0, 10.0, 20.0, 30.0]);
        assert_eq!(ticks(9700.0, 10400.0, 4), [9800.0, 10000.0, 10200.0, 10400.0]);
    }

    #[test]
    fn ends_are_two_numbers_of_one_digit() {
        assert_eq!(ends(-4.3, 4.3), [-4.0, 4.0]);
        assert_eq!(ends(-0.5, 15.0), [0.0, 10.0]);
        assert_eq!(ends(-9.2e-4, 1e-4), [-9e-4, 1e-4]);
        for (low, high) in [(0.0, 0.0), (1.2, 1.3), (f64::NAN, 1.0), (0.0, f64::INFINITY)] {
            assert!(ends(low, high).is_empty(), "{low} {high}");
        }
    }

    #[test]
    fn a_range_without_an_inside_has_no_ticks() {
        assert!(ticks(1.0, 1.0, 5).is_empty());
        assert!(ticks(2.0, 1.0, 5).is_empty());
        assert!(ticks(f64::NAN, 1.0, 5).is_empty());
        assert!(ticks(0.0, f64::INFINITY, 5).is_empty());
        assert!(ticks(0.0, 1.0, 0).is_empty());
    }

    #[test]
    fn labels_share_their_decimals() {
        assert_eq!(labels(&[-0.02, 0.0, 0.02]), ["-0.02", "0.00", "0.02"]);
        assert_eq!(labels(&[0.0, 0.5, 1.0]), ["0.0", "0.5", "1.0"]);
        assert_eq!(labels(&[-500.0, 0.0, 500.0]), ["-500", "0", "500"]);
        assert_eq!(labels(&[0.0, 0.001]), ["0.000", "0.001"]);
    }

    #[test]
    fn small_and_large_labels_share_an_exponent() {
        assert_eq!(labels(&[-2e-5, 0.0, 2e-5]), ["-2e-5", "0", "2e-5"]);
        assert_eq!(labels(&[8e-6, 1e-5, 1.2e-5]), ["0.8e-5", "1.0e-5", "1.2e-5"]);
        assert_eq!(labels(&[0.0, 2e5, 4e5]), ["0", "2e5", "4e5"]);
    }

    proptest! {
        #[test]
        fn no_range_makes_ticks_panic_or_leave_it(low in any::<f64>(), high in any::<f64>(), most in 0usize..9) {
            let found = ticks(low, high, most);
            prop_assert!(found.len() <= most);
            let slack = 1e-8 * (high - low).abs();
            prop_assert!(found.iter().all(|t| *t >= low - slack && *t <= high + slack));
            prop_assert_eq!(labels(&found).len(), found.len());
        }

        #[test]
        fn an_ordinary_range_has_ticks_enough(low in -1e3f64..1e3, span in 1e-3f64..1e3) {
            let found = ticks(low, low + span, 6);
            prop_assert!((2..=6).contains(&found.len()), "{:?}", found);
        }
    }
}
