//! How far a diverging scale has to reach.

use super::colour::is_shown;
use super::picture::Picture;

/// A limit that structure sets and glitches do not; NaN where nothing can be shown.
///
/// It is the larger of two: 1.7 times the size that 98 % of the values stay below (four standard
/// deviations of Gaussian noise, so that clean noise is shown whole), and the largest size that two
/// of a pixel's four neighbours confirm with as much of the same sign. It never exceeds the largest
/// value. The picture should not be an enlarged one, in which every pixel has its own kind beside it.
pub fn robust_limit(picture: &Picture) -> f64 {
    let shown = picture.values.iter().copied().filter(|v| is_shown(*v));
    let mut sizes: Vec<f64> = shown.map(f64::abs).collect();
    sizes.sort_by(f64::total_cmp);
    let Some(&largest) = sizes.last() else {
        return f64::NAN;
    };
    let bulk = 1.7 * sizes[(sizes.len() - 1) * 98 / 100];
    let limit = bulk.max(largest_confirmed(picture));
    if limit > 0.0 { largest.min(limit) } else { largest }
}

fn largest_confirmed(picture: &Picture) -> f64 {
    let (columns, rows) = (picture.columns, picture.rows);
    let mut most = 0.0f64;
    for (i, &value) in picture.values.iter().enumerate() {
        if !(is_shown(value) && value.abs() > most) {
            continue;
        }
        let (x, y) = (i % columns, i / columns);
        let neighbours = [
            (x > 0).then(|| i - 1),
            (x + 1 < columns).then_some(i + 1),
            (y > 0).then(|| i - columns),
            (y + 1 < rows).then_some(i + columns),
        ];
        let mut sizes = neighbours.map(|at| match at.map(|at| picture.values[at]) {
            Some(other) if is_shown(other) => (other * value.signum()).max(0.0),
            _ => 0.0,
        });
        sizes.sort_by(f64::total_cmp);
        most = most.max(value.abs().min(sizes[2]));
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;

    fn square(value: impl Fn(usize, usize) -> f64) -> Picture {
        Picture {
            columns: 20,
            rows: 20,
            values: (0..400).map(|i| value(i % 20, i / 20)).collect(),
            x: (0.0, 1.0),
            y: (0.0, 1.0),
        }
    }

    fn noise(x: usize, y: usize) -> f64 {
        if (x + y).is_multiple_of(2) { 0.01 } else { -0.01 }
    }

    #[test]
    fn glitches_do_not_set_the_limit() {
        assert_eq!(robust_limit(&square(noise)), 0.01);
        let lone = square(|x, y| if (x, y) == (0, 7) { -10.0 } else { noise(x, y) });
        assert_eq!(robust_limit(&lone), 1.7 * 0.01);
        let pair = square(|x, y| if y == 3 && x < 2 { 10.0 } else { noise(x, y) });
        assert_eq!(robust_limit(&pair), 1.7 * 0.01);
    }

    #[test]
    fn structure_however_small_is_shown_whole_but_for_its_tip() {
        let spot = |x: usize, y: usize| match x.abs_diff(9) + y.abs_diff(9) {
            0 => -0.9,
            1 => -0.8,
            _ => noise(x, y),
        };
        assert_eq!(robust_limit(&square(spot)), 0.8);
    }

    #[test]
    fn any_picture_has_a_limit() {
        let lone = square(|x, y| if (x, y) == (5, 5) { 3.0 } else { 0.0 });
        assert_eq!(robust_limit(&lone), 3.0);
        assert_eq!(robust_limit(&square(|_, _| 0.0)), 0.0);
        assert!(robust_limit(&square(|_, _| f64::NAN)).is_nan());
        let mut empty = square(|_, _| 0.0);
        (empty.columns, empty.rows, empty.values) = (0, 0, Vec::new());
        assert!(robust_limit(&empty).is_nan());
    }
}
