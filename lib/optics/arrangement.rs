//! From a map's samples in their own order to the order in which a transform makes them, and back.
//!
//! A far field comes in the order that is fastest to make (see [`Fourier::place`]), so data are brought into
//! it once, before a fit. Large maps are moved by all threads, row by row, so that what is read and what is
//! written both come in whole cache lines.

use crate::device::Fourier;
use crate::device::fourier::GROUP;
use rayon::prelude::*;

/// The order of a transform's outputs.
pub enum Arrangement {
    /// For every output the sample that it is.
    Listed(Vec<u32>),
    /// The samples of a raster `(v, u)`, u fastest.
    Raster {
        /// The raster's column and row of every place along x and y.
        columns: Vec<usize>,
        rows: Vec<usize>,
    },
}

/// Groups of columns, and rows, that one thread moves together.
const ROWS_AT_ONCE: usize = 64;

impl Arrangement {
    /// That of a transform whose frequencies `a` and `b` are the raster's column and row `sample(a)` and
    /// `sample(b)`.
    pub fn raster(transform: &Fourier, sample: impl Fn(usize) -> usize) -> Self {
        let of = |order: Vec<usize>| order.into_iter().map(&sample).collect();
        Arrangement::Raster { columns: of(transform.x.order()), rows: of(transform.y.order()) }
    }

    /// The number of samples.
    pub fn count(&self) -> usize {
        match self {
            Arrangement::Listed(samples) => samples.len(),
            Arrangement::Raster { columns, rows } => columns.len() * rows.len(),
        }
    }

    /// What `each` makes of samples, in the order of the outputs.
    pub fn arrange<T: Copy + Default + Send>(
        &self,
        values: &[f64],
        each: impl Fn(f64) -> T + Sync,
    ) -> Vec<T> {
        let (columns, rows) = match self {
            Arrangement::Listed(samples) => {
                return samples.iter().map(|&i| each(values[i as usize])).collect();
            }
            Arrangement::Raster { columns, rows } => (columns, rows),
        };
        let mut out = vec![T::default(); self.count()];
        let size = ROWS_AT_ONCE * GROUP;
        let chunks = out.par_chunks_mut(size * rows.len().max(1)).zip(columns.par_chunks(size));
        chunks.for_each(|(out, chosen)| {
            for (b, &row) in rows.iter().enumerate() {
                let line = &values[row * columns.len()..(row + 1) * columns.len()];
                for (group, chosen) in chosen.chunks(GROUP).enumerate() {
                    let at = group * GROUP * rows.len() + b * chosen.len();
                    for (out, &column) in out[at..at + chosen.len()].iter_mut().zip(chosen) {
                        *out = each(line[column]);
                    }
                }
            }
        });
        out
    }

    /// The inverse of [`arrange`](Arrangement::arrange).
    pub fn restore(&self, values: &[f64]) -> Vec<f64> {
        let mut out = vec![0.0; values.len()];
        let (columns, rows) = match self {
            Arrangement::Listed(samples) => {
                for (&i, &value) in samples.iter().zip(values) {
                    out[i as usize] = value;
                }
                return out;
            }
            Arrangement::Raster { columns, rows } => (columns, rows),
        };
        let mut place = vec![0; rows.len()];
        rows.iter().enumerate().for_each(|(b, &row)| place[row] = b);
        let chunks = out.par_chunks_mut(columns.len().max(1)).zip(place.par_iter());
        chunks.with_min_len(ROWS_AT_ONCE).for_each(|(out, &b)| {
            for (group, chosen) in columns.chunks(GROUP).enumerate() {
                let at = group * GROUP * rows.len() + b * chosen.len();
                for (&column, &value) in chosen.iter().zip(&values[at..at + chosen.len()]) {
                    out[column] = value;
                }
            }
        });
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::fourier::Axis;
    use ndarray::Array2;

    #[test]
    fn samples_stand_where_the_transform_makes_them_and_come_back() {
        let matrix = |n| Axis::Matrix(Array2::zeros((n, 4)));
        let fft = |points| Axis::Fft { points };
        for (x, y) in [(fft(128), fft(128)), (matrix(7), matrix(19)), (fft(33), fft(97))] {
            let transform = Fourier::new(x, y, vec![(0, 0)]);
            let (nx, ny) = (transform.x.outputs(), transform.y.outputs());
            let shift = |i: usize, n: usize| (i + n / 2) % n;
            // One shift for both axes, as of a square map; others have none.
            let sample = |i: usize| if nx == ny { shift(i, nx) } else { i };
            let arrangement = Arrangement::raster(&transform, sample);
            let map: Vec<f64> = (0..nx * ny).map(|i| i as f64).collect();
            let arranged = arrangement.arrange(&map, |value| value);
            for a in 0..nx {
                for b in 0..ny {
                    let expected = (sample(b) * nx + sample(a)) as f64;
                    assert_eq!(arranged[transform.place(a, b)], expected, "{nx} {ny} {a} {b}");
                }
            }
            assert_eq!(arrangement.restore(&arranged), map);
        }
    }
}
