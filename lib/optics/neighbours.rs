//! The samples next to one of a map, by which a glitch is told from a beam.

use super::beam_map::{BeamMap, Sampling};

/// How many of the nearest samples stand for those around one that lies anywhere: of five in all, two may be glitches.
const NEAREST: usize = 4;

/// No more samples than these are looked at.
const CROWD: usize = 256;

/// Finds the neighbours of a map's samples.
pub struct Neighbours<'m> {
    map: &'m BeamMap,
    /// Of samples anywhere.
    cells: Option<Cells>,
}

impl<'m> Neighbours<'m> {
    pub fn of(map: &'m BeamMap) -> Self {
        let cells = match &map.sampling {
            Sampling::Raster { .. } => None,
            Sampling::Scattered { u, v } => Some(Cells::new(u, v)),
        };
        Neighbours { map, cells }
    }

    /// The median of sample `i` and those around it, without blanks: three by three samples of a raster, the five
    /// nearest anywhere. NaN where all are blank.
    pub fn median(&self, i: usize) -> f64 {
        let mut values = match (&self.map.sampling, &self.cells) {
            (Sampling::Scattered { u, v }, Some(cells)) => self.nearest(i, u, v, cells),
            (Sampling::Raster { u, v } | Sampling::Scattered { u, v }, _) => {
                self.block(i, u.len(), v.len())
            }
        };
        values.sort_unstable_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
    }

    fn block(&self, i: usize, columns: usize, rows: usize) -> Vec<f64> {
        let (row, column) = (i / columns, i % columns);
        let around = |at: usize, len: usize| at.saturating_sub(1)..(at + 2).min(len);
        let line = |row: usize| around(column, columns).map(move |column| row * columns + column);
        let all = around(row, rows).flat_map(line).map(|i| self.map.power[i]);
        all.filter(|p| !p.is_nan()).collect()
    }

    fn nearest(&self, i: usize, u: &[f64], v: &[f64], cells: &Cells) -> Vec<f64> {
        let known = |&j: &usize| !self.map.power[j].is_nan();
        let mut near: Vec<usize> = Vec::new();
        // (The nearest may lie a cell farther off than these, or be others of a crowd, which does not matter.)
        for reach in 1..=cells.side {
            near = cells.around(cells.of[i], reach).filter(known).take(CROWD).collect();
            if near.len() > NEAREST {
                break;
            }
        }
        let far = |&j: &usize| (u[j] - u[i]).hypot(v[j] - v[i]);
        near.sort_by(|a, b| far(a).total_cmp(&far(b)));
        near.into_iter().take(NEAREST + 1).map(|j| self.map.power[j]).collect()
    }
}

/// A square of cells over samples that lie anywhere, about two of them in each; those at its edges have what is outside.
struct Cells {
    side: usize,
    /// The column and row of every sample's cell.
    of: Vec<(usize, usize)>,
    /// The samples, cell by cell, and where those of each cell begin.
    order: Vec<usize>,
    starts: Vec<usize>,
}

impl Cells {
    fn new(u: &[f64], v: &[f64]) -> Self {
        let side = ((0.5 * u.len() as f64).sqrt() as usize).max(1);
        let axis = |axis: &[f64]| -> Vec<usize> {
            // But for a few that are astray.
            let few = axis.len() / 100;
            let at = |i| *axis.to_vec().select_nth_unstable_by(i, f64::total_cmp).1;
            let last = axis.len().checked_sub(1 + few);
            let (low, high) = last.map_or((0.0, 0.0), |last| (at(few), at(last)));
            let cell = |x: &f64| ((x - low) / (high - low) * side as f64) as usize;
            axis.iter().map(|x| cell(x).min(side - 1)).collect()
        };
        let of: Vec<(usize, usize)> = axis(u).into_iter().zip(axis(v)).collect();
        // From how many each cell has to where it begins.
        let mut starts = vec![0; side * side + 1];
        let number = |&(column, row): &(usize, usize)| row * side + column;
        of.iter().for_each(|cell| starts[number(cell) + 1] += 1);
        (1..starts.len()).for_each(|cell| starts[cell] += starts[cell - 1]);
        let (mut order, mut next) = (vec![0; of.len()], starts.clone());
        for (i, cell) in of.iter().enumerate() {
            order[next[number(cell)]] = i;
            next[number(cell)] += 1;
        }
        Cells { side, starts, of, order }
    }

    /// The samples in the cells that are `reach` from one at most, either way.
    fn around(&self, (column, row): (usize, usize), reach: usize) -> impl Iterator<Item = usize> {
        let span = |at: usize| at.saturating_sub(reach)..(at + reach + 1).min(self.side);
        let (columns, rows) = (span(column), span(row));
        rows.flat_map(move |row| {
            let (first, end) = (row * self.side + columns.start, row * self.side + columns.end);
            self.order[self.starts[first]..self.starts[end]].iter().copied()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optics::beam_map::Sigma;

    /// A spiral, with as many samples in every ring: a beam's peak is not moved by glitches or blanks.
    #[test]
    fn glitches_among_samples_anywhere_do_not_make_a_peak_and_are_blanked() {
        let place = |i: usize| {
            let (r, t) = (0.05 * (i as f64).sqrt(), 2.4 * i as f64);
            (r * t.cos(), r * t.sin())
        };
        let (u, v): (Vec<f64>, Vec<f64>) = (0..4000).map(place).unzip();
        let power = u.iter().zip(&v).map(|(u, v)| (-2.0 * (u * u + v * v)).exp()).collect();
        let (name, sigma) = ("beam".to_string(), Sigma::Unknown);
        let sampling = Sampling::Scattered { u, v };
        let mut map = BeamMap { name, defocus: 0.0, sampling, power, sigma };
        let clean = map.robust_peak();
        assert!(clean > 0.98 && clean <= 1.0, "{clean}");
        let before = map.power.clone();
        map.blank_spikes();
        assert_eq!(map.power, before);
        for (i, power) in [(7, f64::NAN), (900, 30.0), (901, 30.0), (3999, -4.0), (50, 9.0)] {
            map.power[i] = power;
        }
        assert!((map.robust_peak() - clean).abs() < 0.01, "{} {clean}", map.robust_peak());
        map.blank_spikes();
        let blank: Vec<usize> = (0..4000).filter(|&i| map.power[i].is_nan()).collect();
        assert_eq!(blank, [7, 50, 900, 901, 3999]);
    }

    /// The five nearest of all, by looking at each.
    #[test]
    fn the_nearest_are_those_of_a_plain_search() {
        let place = |i: usize| ((1.3 * i as f64).sin(), (0.7 * i as f64 + 1.0).cos());
        let (u, v): (Vec<f64>, Vec<f64>) = (0..500).map(place).unzip();
        let power: Vec<f64> = (0..500).map(|i| i as f64).collect();
        let (name, sigma) = ("x".to_string(), Sigma::Unknown);
        let sampling = Sampling::Scattered { u: u.clone(), v: v.clone() };
        let map = BeamMap { name, defocus: 0.0, sampling, power, sigma };
        let near = Neighbours::of(&map);
        let mut same = 0;
        for i in 0..500 {
            let mut order: Vec<usize> = (0..500).collect();
            let far = |j: usize| (u[j] - u[i]).hypot(v[j] - v[i]);
            order.sort_by(|&a, &b| far(a).total_cmp(&far(b)));
            let mut known: Vec<f64> = order[..5].iter().map(|&j| j as f64).collect();
            known.sort_by(f64::total_cmp);
            same += usize::from(near.median(i) == known[2]);
        }
        // But for some with a neighbour two cells off.
        assert!(same > 450, "{same}");
    }

    /// A telescope that dwells on its source, and one sample far off: each is looked at with a few only.
    #[test]
    fn crowds_have_the_peak_of_their_samples() {
        let far = |i: usize| if i == 9 { 1e6 } else { (i / 1000) as f64 };
        let u: Vec<f64> = (0..100_000).map(far).collect();
        let power = (0..100_000).map(|i| 1.0 + 1e-3 * (i % 7) as f64).collect();
        let (name, sigma) = ("x".to_string(), Sigma::Unknown);
        let sampling = Sampling::Scattered { v: u.clone(), u };
        let map = BeamMap { name, defocus: 0.0, sampling, power, sigma };
        assert!((map.robust_peak() - 1.004).abs() < 2.5e-3, "{}", map.robust_peak());
    }

    #[test]
    fn samples_in_one_place_or_on_a_line_have_neighbours() {
        for step in [0.0, 1.0] {
            let u: Vec<f64> = (0..9).map(|i| step * f64::from(i)).collect();
            let sampling = Sampling::Scattered { u, v: vec![0.0; 9] };
            let (name, power) = ("x".to_string(), (0..9).map(f64::from).collect());
            let map = BeamMap { name, defocus: 0.0, sampling, power, sigma: Sigma::Unknown };
            let near = Neighbours::of(&map);
            assert!((0..9).all(|i| near.median(i).is_finite()), "{step}");
        }
    }
}
