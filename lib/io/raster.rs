//! Scattered points that are a full regular raster after all.
//!
//! Tables and text files list a raster as points, in any order, with coordinates that were rounded to
//! single precision or to a few decimals. A raster is much faster to compute than scattered points.

use crate::optics::beam_map::Sampling;

/// Coordinates closer than this fraction of the mean step are the same. Single precision moves a
/// coordinate by 6e-8 of its size, which is under 1e-4 of a step on a raster of 1000 points.
const SAME: f64 = 1e-2;

/// A raster with where its samples come from: sample `i` of the raster is point `order[i]`.
#[derive(Debug, Clone, PartialEq)]
pub struct FoundRaster {
    /// Always a [`Sampling::Raster`].
    pub sampling: Sampling,
    pub order: Vec<usize>,
}

impl FoundRaster {
    /// The values of the points in the raster's order.
    pub fn arrange(&self, values: &[f64]) -> Vec<f64> {
        self.order.iter().map(|&i| values[i]).collect()
    }
}

/// The raster that the points `(u, v)`, radians, are; `None` where they are none.
///
/// Points that already run along a raster, `u` fastest, keep their order, also if an axis goes down;
/// others are sorted by rising `v`, then `u`. Coordinates that are all the same to the last bit along
/// a row or column are kept as they are; others are replaced by their mean.
pub fn find(u: &[f64], v: &[f64]) -> Option<FoundRaster> {
    if u.is_empty() || u.len() != v.len() || u.iter().chain(v).any(|x| !x.is_finite()) {
        return None;
    }
    let (u_axis, u_index) = axis(u)?;
    let (v_axis, v_index) = axis(v)?;
    let (columns, rows) = (u_axis.len(), v_axis.len());
    if columns.checked_mul(rows) != Some(u.len()) {
        return None;
    }
    let last = u.len() - 1;
    let down = (u_index[0] > u_index[last], v_index[0] > v_index[last]);
    let cell = |i: usize, down: (bool, bool)| {
        let column = if down.0 { columns - 1 - u_index[i] } else { u_index[i] };
        let row = if down.1 { rows - 1 - v_index[i] } else { v_index[i] };
        row * columns + column
    };
    if (0..u.len()).all(|i| cell(i, down) == i) {
        let turn = |mut axis: Vec<f64>, down: bool| {
            if down {
                axis.reverse();
            }
            axis
        };
        return Some(FoundRaster {
            sampling: Sampling::Raster { u: turn(u_axis, down.0), v: turn(v_axis, down.1) },
            order: (0..u.len()).collect(),
        });
    }
    let mut order = vec![usize::MAX; u.len()];
    for i in 0..u.len() {
        let place = &mut order[cell(i, (false, false))];
        if *place != usize::MAX {
            return None; // two points in one cell, so another cell is empty
        }
        *place = i;
    }
    Some(FoundRaster { sampling: Sampling::Raster { u: u_axis, v: v_axis }, order })
}

/// The different values among `x`, rising, and which of them each point has.
fn axis(x: &[f64]) -> Option<(Vec<f64>, Vec<usize>)> {
    let mut sorted: Vec<usize> = (0..x.len()).collect();
    sorted.sort_by(|&a, &b| x[a].total_cmp(&x[b]));
    let (low, high) = (x[sorted[0]], x[sorted[x.len() - 1]]);
    // The mean step of a square raster; long rasters have longer steps on one axis, and on the other
    // the ratio of the sides is room enough for them.
    let same = SAME * (high - low) / (x.len() as f64).sqrt();
    let (mut values, mut index) = (Vec::new(), vec![0; x.len()]);
    let mut start = 0;
    while start < sorted.len() {
        let first = x[sorted[start]];
        let end = sorted[start..].iter().position(|&i| x[i] - first > same);
        let group = &sorted[start..end.map_or(sorted.len(), |e| start + e)];
        let all_equal = group.iter().all(|&i| x[i] == first);
        let mean = group.iter().map(|&i| x[i]).sum::<f64>() / group.len() as f64;
        for &i in group {
            index[i] = values.len();
        }
        values.push(if all_equal { first } else { mean });
        start += group.len();
    }
    let rising = values.windows(2).all(|w| w[0] < w[1]);
    rising.then_some((values, index))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(u: &[f64], v: &[f64]) -> (Vec<f64>, Vec<f64>) {
        v.iter().flat_map(|&v| u.iter().map(move |&u| (u, v))).unzip()
    }

    #[test]
    fn a_raster_is_found_in_any_order() {
        let (u_axis, v_axis) = ([-2e-4, -1e-4, 0.5e-4, 1e-4], [-1e-3, 0.0, 1e-3]);
        let (u, v) = points(&u_axis, &v_axis);
        let found = find(&u, &v).unwrap();
        assert_eq!(found.order, (0..12).collect::<Vec<_>>());
        // Columns first, as some files have it.
        let shuffled: Vec<usize> = (0..12).map(|i| (i % 3) * 4 + i / 3).collect();
        let pick = |x: &[f64]| shuffled.iter().map(|&i| x[i]).collect::<Vec<_>>();
        let again = find(&pick(&u), &pick(&v)).unwrap();
        assert_eq!(again.sampling, found.sampling);
        let values: Vec<f64> = (0..12).map(f64::from).collect();
        assert_eq!(again.arrange(&pick(&values)), values);
    }

    #[test]
    fn axes_that_go_down_stay_as_they_are() {
        let (u_axis, v_axis) = (vec![3.0, 2.0, -1.0], vec![0.0, 1.0]);
        let (u, v) = points(&u_axis, &v_axis);
        let found = find(&u, &v).unwrap();
        assert_eq!(found.order, [0, 1, 2, 3, 4, 5]);
        let expected = Sampling::Raster { u: u_axis, v: v_axis };
        assert_eq!(found.sampling, expected);
    }

    #[test]
    fn coordinates_that_differ_by_rounding_are_one() {
        let u_axis: Vec<f64> = (0..50).map(|i| -9e-4 + 3.7e-5 * f64::from(i)).collect();
        let (mut u, v) = points(&u_axis, &u_axis);
        for (i, u) in u.iter_mut().enumerate() {
            *u += 1e-10 * (i as f64 * 0.7).sin();
        }
        assert!(
            matches!(find(&u, &v).unwrap().sampling, Sampling::Raster { u, .. } if u.len() == 50)
        );
    }

    #[test]
    fn points_that_miss_a_cell_or_have_one_twice_are_no_raster() {
        let (mut u, mut v) = points(&[0.0, 1.0, 2.0], &[0.0, 1.0, 2.0]);
        let (u_short, v_short) = (&u[..8], &v[..8]);
        assert_eq!(find(u_short, v_short), None);
        u[4] = u[3];
        v[4] = v[3];
        assert_eq!(find(&u, &v), None);
        assert_eq!(find(&[f64::NAN], &[0.0]), None);
        assert_eq!(find(&[], &[]), None);
        let scattered: Vec<f64> = (0..100).map(|i| (f64::from(i) * 0.618).fract()).collect();
        let other: Vec<f64> = (0..100).map(|i| (f64::from(i) * 0.414).fract()).collect();
        assert_eq!(find(&scattered, &other), None);
    }
}
