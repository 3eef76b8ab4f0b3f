//! Scattered samples, gridded for the eye.

use super::colour::is_shown;
use super::picture::{Picture, widened};

/// The mean of the samples nearest to each cell of a grid that has somewhat fewer cells than there
/// are samples. `u, v` and `values` go together; what is not finite is left out.
pub(super) fn gridded(u: &[f64], v: &[f64], values: &[f64]) -> Picture {
    let samples = || u.iter().zip(v).filter(|(u, v)| is_shown(**u) && is_shown(**v));
    let range = |axis: fn((&f64, &f64)) -> f64| -> (f64, f64) {
        samples()
            .map(axis)
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), x| (a.min(x), b.max(x)))
    };
    let (x, y) = (range(|s| *s.0), range(|s| *s.1));
    let count = samples().count();
    if count == 0 {
        return Picture { columns: 0, rows: 0, values: Vec::new(), x: (-1.0, 1.0), y: (-1.0, 1.0) };
    }
    // Fewer than a cell a sample, as scans crowd along their tracks; cells about square.
    let cells = count as f64 / 1.5;
    let shape = ((x.1 - x.0) / (y.1 - y.0)).clamp(0.1, 10.0);
    let part = |cells: f64| (cells.sqrt().round() as usize).clamp(1, 256);
    // NaN where all samples are at one place; `round() as usize` makes 0 of it, then 1.
    let (columns, rows) = (part(cells * shape), part(cells / shape));
    let (x, y) = (widened(x, columns), widened(y, rows));
    let cell = |at: f64, (low, high): (f64, f64), count: usize| {
        let part = (at - low) / (high - low) * count as f64;
        (part as usize).min(count - 1)
    };
    let mut sums = vec![(0.0, 0u32); columns * rows];
    for ((&u, &v), &value) in u.iter().zip(v).zip(values) {
        if is_shown(u) && is_shown(v) && is_shown(value) {
            let (sum, n) = &mut sums[cell(v, y, rows) * columns + cell(u, x, columns)];
            *sum += value;
            *n += 1;
        }
    }
    // 0/0 is the blank that an empty cell has to be.
    let values = sums.iter().map(|(sum, n)| sum / f64::from(*n)).collect();
    let cells = Picture { columns, rows, values, x, y };
    bridged(cells)
}

/// Blanks with values on two opposite sides at least get the mean of their neighbours: cells
/// that the tracks of a scan happen to miss.
fn bridged(mut picture: Picture) -> Picture {
    let before = picture.values.clone();
    let (columns, rows) = (picture.columns as i64, picture.rows as i64);
    let at = |x: i64, y: i64| {
        let inside = (0..columns).contains(&x) && (0..rows).contains(&y);
        inside.then(|| before[(y * columns + x) as usize]).filter(|v| is_shown(*v))
    };
    for (i, value) in picture.values.iter_mut().enumerate() {
        if is_shown(*value) {
            continue;
        }
        let (x, y) = (i as i64 % columns, i as i64 / columns);
        let ways = [(1, 0), (0, 1), (1, 1), (1, -1)];
        let pairs = ways.map(|(dx, dy)| (at(x - dx, y - dy), at(x + dx, y + dy)));
        let means = pairs.iter().filter_map(|pair| Some((pair.0? + pair.1?) / 2.0));
        let (sum, n) = means.fold((0.0, 0u32), |(sum, n), mean| (sum + mean, n + 1));
        *value = sum / f64::from(n);
    }
    picture
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scattered_samples_are_averaged_in_their_cells() {
        // Six samples make a 2 x 2 grid; two share a cell, and one cell has none.
        let u = [0.0, 0.1, 1.0, 1.0, f64::NAN, 0.0, 0.1];
        let v = [0.0, 0.1, 0.0, 0.1, 0.0, 0.2, 1.0];
        let sky = gridded(&u, &v, &[1.0, 3.0, 5.0, 7.0, 99.0, f64::NAN, f64::NAN]);
        assert_eq!((sky.columns, sky.rows), (2, 2));
        assert_eq!(sky.values[..2], [2.0, 6.0]);
        assert!(sky.values[2].is_nan() && sky.values[3].is_nan());
    }

    #[test]
    fn a_cell_that_a_scan_missed_has_the_mean_of_its_neighbours() {
        const O: f64 = f64::NAN;
        let cells = Picture {
            columns: 5,
            rows: 3,
            values: vec![
                O, 1.0, 4.0, O, 16.0, //
                0.0, O, 4.0, O, 16.0, //
                0.0, 1.0, 4.0, O, 16.0,
            ],
            x: (0.0, 5.0),
            y: (0.0, 3.0),
        };
        let bridged = bridged(cells);
        // Across (0 + 4)/2, up and down (1 + 1)/2, one diagonal (0 + 4)/2, the other misses an end.
        assert_eq!(bridged.values[6], (2.0 + 1.0 + 2.0) / 3.0);
        assert!(bridged.values[0].is_nan(), "a corner lies between no two others");
        assert_eq!(bridged.values[3], (4.0 + 16.0) / 2.0);
    }
}
