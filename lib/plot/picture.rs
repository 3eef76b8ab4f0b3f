//! Values on a rectangle, made to fit a panel.

use super::colour::is_shown;
use super::scatter;
use crate::optics::beam_map::Sampling;
use ndarray::Array2;

/// Values on a regular grid, shape `(y, x)` with x fastest; row 0 has the least y, column 0 the
/// least x. NaN is a blank.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    pub columns: usize,
    pub rows: usize,
    pub values: Vec<f64>,
    /// Where the outer edges of the pixels lie: least and greatest, in the axes' unit (radians on
    /// the sky, metres on the dish). Finite and not empty.
    pub x: (f64, f64),
    pub y: (f64, f64),
}

impl Picture {
    /// A map's `values` (in the order of the sampling) on the sky. A raster is taken for regular,
    /// and turned so that both axes ascend; scattered samples are averaged in the nearest cells of a
    /// grid with about one cell a sample; an empty cell between two others has their mean. Values
    /// that are missing are blanks.
    pub fn of_sky(sampling: &Sampling, values: &[f64]) -> Self {
        match sampling {
            Sampling::Raster { u, v } => {
                let (columns, rows) = (u.len(), v.len());
                let (x, back_x) = edges(u);
                let (y, back_y) = edges(v);
                let mut sorted = Vec::with_capacity(columns * rows);
                for row in 0..rows {
                    let row = if back_y { rows - 1 - row } else { row };
                    for column in 0..columns {
                        let column = if back_x { columns - 1 - column } else { column };
                        sorted.push(values.get(row * columns + column).copied());
                    }
                }
                let values = sorted.into_iter().map(|v| v.unwrap_or(f64::NAN)).collect();
                Picture { columns, rows, values, x, y }
            }
            Sampling::Scattered { u, v } => scatter::gridded(u, v, values),
        }
    }

    /// An aperture image of shape `(y, x)`, `2 half_width` metres a side.
    pub fn of_dish(image: &Array2<f64>, half_width: f64) -> Self {
        let half = if is_shown(half_width) && half_width > 0.0 { half_width } else { 1.0 };
        Picture {
            columns: image.ncols(),
            rows: image.nrows(),
            values: image.iter().copied().collect(),
            x: (-half, half),
            y: (-half, half),
        }
    }

    /// Whether there is nothing but blanks.
    pub fn is_blank(&self) -> bool {
        !self.values.iter().any(|v| is_shown(*v))
    }

    /// The picture with every value divided by `unit`.
    pub fn divided_by(mut self, unit: f64) -> Self {
        self.values.iter_mut().for_each(|v| *v /= unit);
        self
    }

    /// Resampled to fill a square of `side` pixels as far as its own shape allows: equal scales on
    /// both axes, but for shapes longer than 20 to 9, which are squeezed to that.
    pub fn fitted(&self, side: usize) -> Self {
        let (width, height) = (self.x.1 - self.x.0, self.y.1 - self.y.0);
        let shape = (width / height).clamp(0.45, 1.0 / 0.45);
        let part = |x: f64| ((side as f64 * x).round() as usize).max(1);
        self.resampled(part(shape.min(1.0)), part((1.0 / shape).min(1.0)))
    }

    /// The same rectangle in `columns x rows` pixels: the nearest value where that is more pixels
    /// than there were, else the mean of those that fall into each, blanks left out.
    pub fn resampled(&self, columns: usize, rows: usize) -> Self {
        let mut values = vec![f64::NAN; columns * rows];
        if self.columns > 0 && self.rows > 0 {
            let across: Vec<_> = (0..columns).map(|i| share(i, columns, self.columns)).collect();
            for row in 0..rows {
                let (bottom, top) = share(row, rows, self.rows);
                for (column, &(left, right)) in across.iter().enumerate() {
                    let (mut sum, mut n) = (0.0, 0u32);
                    for y in bottom..top {
                        let line =
                            self.values.get(y * self.columns + left..y * self.columns + right);
                        for &value in line.unwrap_or(&[]).iter().filter(|v| is_shown(**v)) {
                            sum += value;
                            n += 1;
                        }
                    }
                    values[row * columns + column] = sum / f64::from(n);
                }
            }
        }
        Picture { columns, rows, values, x: self.x, y: self.y }
    }
}

/// Which of `from` old pixels make up new pixel `i` of `to`: a half-open range, never empty.
fn share(i: usize, to: usize, from: usize) -> (usize, usize) {
    if from <= to {
        let nearest = (2 * i + 1) * from / (2 * to);
        return (nearest, nearest + 1);
    }
    let begin = i * from / to;
    (begin, ((i + 1) * from / to).max(begin + 1))
}

/// The outer edges of a raster's axis, half a mean step beyond its ends, and whether it descends.
fn edges(axis: &[f64]) -> ((f64, f64), bool) {
    let (first, last) = match axis {
        [] => return ((-1.0, 1.0), false),
        [only] => (*only, *only),
        [first, .., last] => (*first, *last),
    };
    if !is_shown(first) || !is_shown(last) {
        return ((-1.0, 1.0), false);
    }
    (widened((first.min(last), first.max(last)), axis.len()), first > last)
}

/// The range of `count` pixel centres, with half a pixel more on either side.
pub(super) fn widened((low, high): (f64, f64), count: usize) -> (f64, f64) {
    let size = low.abs().max(high.abs());
    let step = (high - low) / (count.max(2) - 1) as f64;
    // One sample, or all at one place: any width will do that the numbers can resolve.
    let half = match step / 2.0 {
        half if half > 1e-9 * size && half > f64::MIN_POSITIVE => half,
        _ if size > 1e-290 => size / 2.0,
        _ => 1.0,
    };
    (low - half, high + half)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(columns: usize, rows: usize, value: impl Fn(usize, usize) -> f64) -> Picture {
        let values = (0..columns * rows).map(|i| value(i % columns, i / columns)).collect();
        Picture { columns, rows, values, x: (0.0, columns as f64), y: (0.0, rows as f64) }
    }

    #[test]
    fn enlarging_repeats_the_nearest_value() {
        let small = picture(3, 2, |x, y| (10 * y + x) as f64);
        let large = small.resampled(6, 4);
        assert_eq!(large.values[..6], [0.0, 0.0, 1.0, 1.0, 2.0, 2.0]);
        assert_eq!(large.values[18..], [10.0, 10.0, 11.0, 11.0, 12.0, 12.0]);
        assert_eq!(small.resampled(3, 2), small);
    }

    #[test]
    fn shrinking_averages_what_is_not_blank() {
        let large = picture(4, 4, |x, y| match (x, y) {
            (0, 0) => f64::NAN,
            (2..4, 2..4) => f64::NAN,
            _ => (4 * y + x) as f64,
        });
        let small = large.resampled(2, 2);
        assert_eq!(small.values[..3], [(1.0 + 4.0 + 5.0) / 3.0, 4.5, 10.5]);
        assert!(small.values[3].is_nan());
    }

    #[test]
    fn shrinking_uses_every_value_once() {
        for (from, to) in [(2048, 260), (261, 260), (100, 37), (5, 5), (16, 260)] {
            let shares: Vec<_> = (0..to).map(|i| share(i, to, from)).collect();
            assert!(shares.iter().all(|s| s.0 < s.1 && s.1 <= from));
            if from >= to {
                assert!(shares.windows(2).all(|s| s[0].1 == s[1].0));
                assert_eq!((shares[0].0, shares[to - 1].1), (0, from));
            }
        }
    }

    #[test]
    fn descending_axes_are_turned_to_ascend() {
        let sampling = Sampling::Raster { u: vec![2.0, 1.0, 0.0], v: vec![1.0, 0.0] };
        let sky = Picture::of_sky(&sampling, &[12.0, 11.0, 10.0, 2.0, 1.0, 0.0]);
        assert_eq!(sky.values, [0.0, 1.0, 2.0, 10.0, 11.0, 12.0]);
        assert_eq!((sky.x, sky.y), ((-0.5, 2.5), (-0.5, 1.5)));
    }

    #[test]
    fn a_picture_keeps_its_shape_unless_it_is_very_long() {
        let size = |columns, rows| {
            let fitted = picture(columns, rows, |_, _| 0.0).fitted(260);
            (fitted.columns, fitted.rows)
        };
        assert_eq!(size(16, 16), (260, 260));
        assert_eq!(size(2048, 1024), (260, 130));
        assert_eq!(size(50, 100), (130, 260));
        assert_eq!(size(1000, 1), (260, 117));
        assert_eq!(size(1, 1000), (117, 260));
    }

    #[test]
    fn degenerate_maps_still_have_a_rectangle() {
        let axes: [&[f64]; 6] =
            [&[], &[0.0], &[3e-5], &[1.0, 1.0], &[f64::NAN, 1.0], &[-1e308, 1e308]];
        for u in axes {
            for v in axes {
                let (u, v) = (u.to_vec(), v.to_vec());
                let raster = Sampling::Raster { u: u.clone(), v: v.clone() };
                for sampling in [raster, Sampling::Scattered { u, v }] {
                    for values in [&[][..], &[f64::NAN; 4], &[1.0; 4]] {
                        let fitted = Picture::of_sky(&sampling, values).fitted(20);
                        assert!(fitted.x.1 - fitted.x.0 > 0.0 && fitted.y.1 - fitted.y.0 > 0.0);
                        assert!((fitted.x.1 - fitted.x.0).is_finite());
                        assert_eq!(fitted.values.len(), fitted.columns * fitted.rows);
                    }
                }
            }
        }
    }
}
