//! From values to colours.

use super::canvas::Rgb;

/// What a blank is painted in.
pub const BLANK: Rgb = [226, 226, 229];

/// Larger numbers are taken for blanks: differences of theirs could overflow.
const LARGEST: f64 = 1e300;

/// Whether a value can be shown as a colour.
pub fn is_shown(value: f64) -> bool {
    value.abs() < LARGEST
}

/// A range of values and the colours it is painted in. The range is finite and not empty.
#[derive(Debug, Clone, Copy)]
pub struct ColourScale {
    low: f64,
    high: f64,
    gradient: colorous::Gradient,
    turned: bool,
}

impl ColourScale {
    /// From dark blue at `low` to yellow at `high`, evenly bright in between.
    pub fn sequential(low: f64, high: f64) -> Self {
        let (low, high) = proper(low, high);
        ColourScale { low, high, gradient: colorous::VIRIDIS, turned: false }
    }

    /// From blue at `-limit` through white at 0 to red at `limit`.
    pub fn diverging(limit: f64) -> Self {
        let limit = if is_shown(limit) && limit.abs() > 0.0 { limit.abs() } else { 1.0 };
        ColourScale { low: -limit, high: limit, gradient: colorous::RED_BLUE, turned: true }
    }

    /// The least and the greatest value that the colours tell apart.
    pub fn range(&self) -> (f64, f64) {
        (self.low, self.high)
    }

    /// The colour of a value: values beyond the range have the colour of its end, blanks are grey.
    pub fn colour(&self, value: f64) -> Rgb {
        if !is_shown(value) {
            return BLANK;
        }
        let part = ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0);
        let part = if self.turned { 1.0 - part } else { part };
        self.gradient.eval_continuous(part).into_array()
    }
}

/// The range, made wide enough to be divided by: a constant map gets a tenth of its value a side.
fn proper(low: f64, high: f64) -> (f64, f64) {
    if !is_shown(low) || !is_shown(high) || low > high {
        return (0.0, 1.0);
    }
    let size = low.abs().max(high.abs());
    if high - low > 1e-4 * size {
        (low, high)
    } else if size > f64::MIN_POSITIVE {
        (low - 0.1 * size, high + 0.1 * size)
    } else {
        (0.0, 1.0)
    }
}

/// The least and the greatest value of those that can be shown; NaN where there is none.
pub fn extremes(values: &[f64]) -> (f64, f64) {
    let shown = values.iter().copied().filter(|v| is_shown(*v));
    shown.fold((f64::NAN, f64::NAN), |(low, high), v| (low.min(v), high.max(v)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_and_the_middle_have_the_gradients_colours() {
        // Viridis runs from #440154 to #fde725 (Smith and van der Walt 2015); a spline through
        // sampled colours may be off by one in a channel.
        let near = |a: Rgb, b: Rgb| a.iter().zip(b).all(|(a, b)| a.abs_diff(b) <= 1);
        let scale = ColourScale::sequential(2.0, 4.0);
        assert!(near(scale.colour(2.0), [0x44, 0x01, 0x54]));
        assert!(near(scale.colour(4.0), [0xfd, 0xe7, 0x25]));
        assert_eq!(scale.colour(99.0), scale.colour(4.0));
        assert_eq!(scale.colour(-99.0), scale.colour(2.0));

        let scale = ColourScale::diverging(0.5);
        let ([red, _, blue], white) = (scale.colour(0.5), scale.colour(0.0));
        assert!(red > blue, "the positive end is red");
        assert!(white.iter().all(|c| *c > 235), "zero is nearly white: {white:?}");
        let [red, _, blue] = scale.colour(-0.5);
        assert!(blue > red, "the negative end is blue");
    }

    #[test]
    fn blanks_are_grey() {
        for scale in [ColourScale::sequential(0.0, 1.0), ColourScale::diverging(1.0)] {
            for blank in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX] {
                assert_eq!(scale.colour(blank), BLANK);
            }
        }
    }

    #[test]
    fn no_range_is_degenerate() {
        let odd = [0.0, 1.0, -1.0, 1e-320, 7e-200, 1e299, f64::MAX, f64::NAN, f64::INFINITY];
        for low in odd {
            for high in odd {
                let (a, b) = ColourScale::sequential(low, high).range();
                assert!((b - a).is_finite() && b > a, "{low} {high}: {a} {b}");
            }
            let (a, b) = ColourScale::diverging(low).range();
            assert!((b - a).is_finite() && b > a && a == -b);
        }
        assert_eq!(ColourScale::sequential(5.0, 5.0).range(), (4.5, 5.5));
    }

    #[test]
    fn extremes_pass_over_blanks() {
        assert_eq!(extremes(&[f64::NAN, 3.0, f64::INFINITY, -1.0]), (-1.0, 3.0));
        assert!(extremes(&[f64::NAN]).0.is_nan());
        assert!(extremes(&[]).1.is_nan());
    }
}
