//! From a map's samples in their own order to the order in which a transform makes them, and back.
//!
//! A far field comes in the order that is fastest to make (see [`Fourier::place`]), so data are brought into
//! it once, before a fit. What is read and what is written both come in runs of some kilobytes, by way of a few
//! rows that stay in the cache: lines of a large map that are a power of two apart are in each other's way.

use crate::device::Fourier;
use crate::device::fourier::{Axis, GROUP, split};
use rayon::prelude::*;
use std::mem::MaybeUninit;

/// The order of a transform's outputs.
pub enum Arrangement {
    /// For every output the sample that it is.
    Listed(Vec<u32>),
    Raster(Raster),
}

/// The order of a raster `(v, u)`, u fastest.
pub struct Raster {
    /// The raster's column and row of every place along x and y.
    columns: Vec<u32>,
    rows: Vec<u32>,
    /// Groups of columns that lie next to each other in the raster are this many apart here.
    stride: usize,
}

/// Rows that one thread moves together; they fit the second cache.
const ROWS_AT_ONCE: usize = 32;
/// Numbers between rows there, so that a column of them is not in each other's way.
const PADDING: usize = 8;

impl Arrangement {
    /// That of a transform whose frequencies `a` and `b` are the raster's column and row `sample(a)` and
    /// `sample(b)`.
    pub fn raster(transform: &Fourier, sample: impl Fn(usize) -> usize) -> Self {
        let of = |axis: &Axis| axis.order().into_iter().map(|k| sample(k) as u32).collect();
        let stride = match &transform.x {
            Axis::Fft { points } => (split(*points).1 / GROUP).max(1),
            Axis::Matrix(_) => 1,
        };
        Arrangement::Raster(Raster { columns: of(&transform.x), rows: of(&transform.y), stride })
    }

    /// The number of samples.
    pub fn count(&self) -> usize {
        match self {
            Arrangement::Listed(samples) => samples.len(),
            Arrangement::Raster(raster) => raster.columns.len() * raster.rows.len(),
        }
    }

    /// What `each` makes of samples, in the order of the outputs.
    pub fn arrange<T: Copy + Default + Send>(
        &self,
        values: &[f64],
        each: impl Fn(f64) -> T + Sync,
    ) -> Vec<T> {
        match self {
            Arrangement::Listed(samples) => {
                samples.iter().map(|&i| each(values[i as usize])).collect()
            }
            Arrangement::Raster(raster) => raster.arrange(values, each),
        }
    }

    /// The inverse of [`arrange`](Arrangement::arrange).
    pub fn restore(&self, values: &[f64]) -> Vec<f64> {
        match self {
            Arrangement::Listed(samples) => {
                let mut out = vec![0.0; values.len()];
                for (&i, &value) in samples.iter().zip(values) {
                    out[i as usize] = value;
                }
                out
            }
            Arrangement::Raster(raster) => raster.restore(values),
        }
    }
}

impl Raster {
    /// The distance of rows in the cache.
    fn pitch(&self) -> usize {
        self.columns.len() + PADDING
    }

    /// The groups of columns with their numbers, those that lie next to each other in the raster one after the other.
    fn groups(&self) -> impl Iterator<Item = (usize, &[u32])> {
        let groups = move || self.columns.chunks(GROUP).enumerate();
        (0..self.stride).flat_map(move |first| groups().skip(first).step_by(self.stride))
    }

    fn arrange<T: Copy + Default + Send>(
        &self,
        values: &[f64],
        each: impl Fn(f64) -> T + Sync,
    ) -> Vec<T> {
        let (width, height) = (self.columns.len(), self.rows.len());
        // (Zeros would be written for nothing, by one thread.)
        let mut out = Box::new_uninit_slice(width * height);
        // The part of every group that some rows fill.
        let mut parts: Vec<Vec<&mut [MaybeUninit<T>]>> = Vec::new();
        parts.resize_with(height.div_ceil(ROWS_AT_ONCE), Vec::new);
        for (group, columns) in
            out.chunks_mut((GROUP * height).max(1)).zip(self.columns.chunks(GROUP))
        {
            let of_rows = group.chunks_mut(ROWS_AT_ONCE * columns.len());
            parts.iter_mut().zip(of_rows).for_each(|(part, of_rows)| part.push(of_rows));
        }
        let one = |(mut part, rows): (Vec<&mut [MaybeUninit<T>]>, &[u32])| {
            let mut near = vec![T::default(); rows.len() * self.pitch()];
            for (near, &row) in near.chunks_exact_mut(self.pitch()).zip(rows) {
                let line = &values[row as usize * width..][..width];
                near.iter_mut().zip(line).for_each(|(near, &value)| *near = each(value));
            }
            for (group, columns) in self.groups() {
                let lines = part[group].chunks_exact_mut(columns.len());
                for (out, near) in lines.zip(near.chunks_exact(self.pitch())) {
                    for (out, &column) in out.iter_mut().zip(columns) {
                        out.write(near[column as usize]);
                    }
                }
            }
        };
        parts.into_par_iter().zip(self.rows.par_chunks(ROWS_AT_ONCE)).for_each(one);
        // SAFETY: the parts are all of `out`, by groups of columns and by rows, and of each part every row has been
        // written in every group, and every column of it.
        unsafe { out.assume_init() }.into_vec()
    }

    fn restore(&self, values: &[f64]) -> Vec<f64> {
        let (width, height) = (self.columns.len(), self.rows.len());
        assert_eq!(values.len(), width * height, "a number for every sample");
        let mut out = Box::new_uninit_slice(width * height);
        let mut lines: Vec<Option<&mut [MaybeUninit<f64>]>> =
            out.chunks_mut(width.max(1)).map(Some).collect();
        let mut in_order =
            self.rows.iter().map(|&row| lines[row as usize].take().expect("one place"));
        let mut parts: Vec<(usize, Vec<&mut [MaybeUninit<f64>]>)> = Vec::new();
        for first in (0..height).step_by(ROWS_AT_ONCE) {
            parts.push((first, in_order.by_ref().take(ROWS_AT_ONCE).collect()));
        }
        let one = |(first, lines): (usize, Vec<&mut [MaybeUninit<f64>]>)| {
            let mut near = vec![0.0; lines.len() * self.pitch()];
            for (group, columns) in self.groups() {
                let at = group * GROUP * height + first * columns.len();
                let of_rows =
                    values[at..at + lines.len() * columns.len()].chunks_exact(columns.len());
                for (near, of_row) in near.chunks_exact_mut(self.pitch()).zip(of_rows) {
                    for (&column, &value) in columns.iter().zip(of_row) {
                        near[column as usize] = value;
                    }
                }
            }
            for (line, near) in lines.into_iter().zip(near.chunks_exact(self.pitch())) {
                line.iter_mut().zip(near).for_each(|(out, &value)| _ = out.write(value));
            }
        };
        parts.into_par_iter().for_each(one);
        // SAFETY: there are as many rows as lines, no two of the same line or `take` would have found none, and each
        // has been written over its width.
        unsafe { out.assume_init() }.into_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
