//! Sums over the elements of a tile, and the two directions of a basis, compiled for every instruction
//! set. Sums run in lanes that are always the same, so they are reproducible.

use super::Real;
use super::elementary::Elementary;
use super::elementwise::Argument;
use super::isa::{Machine, vectorised};
use super::tile::Tile;
use crate::device::basis::Basis;
use crate::device::program::ScalarId;
use std::array;

vectorised!(pub fn add_up(values: &[T], sum: &mut f64) = add_up_inline);
vectorised!(pub fn add_up_ln_1p(values: &[T], sum: &mut f64) = add_up_ln_1p_inline);
vectorised!(
    pub fn along_run(rows: &[f64], coefficients: &[f64], out: &mut [T]) = along_run_inline
);
vectorised!(pub fn clenshaw(c: &[T], abscissa: &[f64], out: &mut [T]) = clenshaw_inline);
vectorised!(
    pub fn moments(
        values: Argument<T>, from: usize, abscissa: &[f64], first: usize, out: &mut [f64; TERMS],
    ) = moments_inline
);

/// A sum in lanes that are always the same ones, so that it can be vectorised and is reproducible.
#[inline(always)]
fn add_up_inline<T: Real, M: Machine>(values: &[T], sum: &mut f64) {
    let mut lanes = [0.0; LANES];
    let (chunks, rest) = values.as_chunks::<LANES>();
    let rest: f64 = rest.iter().map(|v| v.in_f64()).sum();
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += value.in_f64();
        }
    }
    *sum = lanes.iter().sum::<f64>() + rest;
}

/// Twice as many lanes as usual, because each factor of a product waits for the one before.
const PRODUCT_LANES: usize = 2 * LANES;
/// Numbers must be more than this lest their product come so near to -1 that it loses its digits.
const LEAST: f64 = -0.01;
/// Numbers that share a logarithm, or twice as many.
const FACTORS: usize = 16;

/// `sum ln(1 + x)`, with `(1 + p)(1 + x) = 1 + (p (1 + x) + x)`: the product less 1 keeps the digits of
/// small `x`, and one logarithm serves 32 numbers, or 16 where the product overflows. Where that does too, or could
/// come near -1, every number has its own.
#[inline(always)]
fn add_up_ln_1p_inline<T: Real, M: Machine>(values: &[T], sum: &mut f64) {
    let each = |values: &[T]| values.iter().map(|x| x.in_f64().ln_1p()).sum::<f64>();
    let fits = |product: &[f64; PRODUCT_LANES]| product.iter().all(|x| x.is_finite());
    let (mut lanes, mut least) = ([0.0; PRODUCT_LANES], [0.0; PRODUCT_LANES]);
    let (whole, rest) = values.split_at(values.len() / PRODUCT_LANES * PRODUCT_LANES);
    let mut others = each(rest);
    for two in whole.chunks(2 * FACTORS * PRODUCT_LANES) {
        let (first, second) = two.split_at(two.len().min(FACTORS * PRODUCT_LANES));
        let first = product::<T, M>(first, &mut least);
        let second = product::<T, M>(second, &mut least);
        let mut both = first;
        for l in 0..PRODUCT_LANES {
            both[l] = M::mul_add(first[l], 1.0 + second[l], second[l]);
        }
        if fits(&both) {
            for l in 0..PRODUCT_LANES {
                lanes[l] += both[l].ln_1p_inline::<M>();
            }
        } else if fits(&first) && fits(&second) {
            for l in 0..PRODUCT_LANES {
                lanes[l] += first[l].ln_1p_inline::<M>();
                lanes[l] += second[l].ln_1p_inline::<M>();
            }
        } else {
            others += each(two);
        }
    }
    *sum = match least.iter().any(|&x| x <= LEAST) {
        true => each(values),
        false => lanes.iter().sum::<f64>() + others,
    };
}

/// The product of `1 + x` less 1, in lanes; `least` becomes the smallest number of each so far, or 0. (How NaN
/// compares does not matter: it makes the product NaN as well.)
#[inline(always)]
fn product<T: Real, M: Machine>(
    values: &[T],
    least: &mut [f64; PRODUCT_LANES],
) -> [f64; PRODUCT_LANES] {
    let (mut product, mut smallest) = ([0.0; PRODUCT_LANES], *least);
    for x in values.as_chunks::<PRODUCT_LANES>().0 {
        let x = x.map(|x| x.in_f64());
        product = array::from_fn(|l| M::mul_add(product[l], 1.0 + x[l], x[l]));
        smallest = array::from_fn(|l| if x[l] < smallest[l] { x[l] } else { smallest[l] });
    }
    *least = smallest;
    product
}

/// Points that are worked on together along a run.
const LANES: usize = 8;

/// The Chebyshev coefficients of a sum along a run: `out[k] = sum_j rows[k, j] coefficients[j]`.
#[inline(always)]
fn along_run_inline<T: Real, M: Machine>(rows: &[f64], coefficients: &[f64], out: &mut [T]) {
    for (row, out) in rows.chunks_exact(coefficients.len()).zip(out) {
        let mut lanes = [0.0; LANES];
        let ((row, rest), (coefficients, others)) =
            (row.as_chunks::<LANES>(), coefficients.as_chunks::<LANES>());
        for (row, coefficients) in row.iter().zip(coefficients) {
            for l in 0..LANES {
                lanes[l] = M::mul_add(row[l], coefficients[l], lanes[l]);
            }
        }
        for ((lane, &w), &c) in lanes.iter_mut().zip(rest).zip(others) {
            *lane = M::mul_add(w, c, *lane);
        }
        *out = T::of(lanes.iter().sum());
    }
}

/// Clenshaw's recurrence: the Chebyshev sum with coefficients `c` at every point.
#[inline(always)]
fn clenshaw_inline<T: Real, M: Machine>(c: &[T], abscissa: &[f64], out: &mut [T]) {
    for (out, abscissa) in out.chunks_mut(LANES).zip(abscissa.chunks(LANES)) {
        let mut s = [T::zero(); LANES];
        for (s, &a) in s.iter_mut().zip(abscissa) {
            *s = T::of(a);
        }
        let (mut next, mut after) = ([T::zero(); LANES], [T::zero(); LANES]);
        for &c in c[1..].iter().rev() {
            for l in 0..LANES {
                let sum = M::mul_add(s[l] + s[l], next[l], c - after[l]);
                (next[l], after[l]) = (sum, next[l]);
            }
        }
        for (l, out) in out.iter_mut().enumerate() {
            *out = M::mul_add(s[l], next[l], c[0] - after[l]);
        }
    }
}

/// The most Chebyshev terms that a projection handles a pass over a run.
const TERMS: usize = 16;

/// `out[k] = sum values T_{first + k}` over the points of a run, whose first value is `from`.
#[inline(always)]
fn moments_inline<T: Real, M: Machine>(
    values: Argument<T>,
    from: usize,
    abscissa: &[f64],
    first: usize,
    out: &mut [f64; TERMS],
) {
    let mut sums = [[0.0; LANES]; TERMS];
    for (chunk, abscissa) in abscissa.chunks(LANES).enumerate() {
        let (mut s, mut value) = ([0.0; LANES], [0.0; LANES]);
        for (l, &a) in abscissa.iter().enumerate() {
            s[l] = a;
            value[l] = values.at(from + chunk * LANES + l).in_f64();
        }
        let (mut t, mut next) = ([1.0; LANES], s);
        for _ in 0..first {
            for l in 0..LANES {
                (t[l], next[l]) = (next[l], 2.0 * s[l] * next[l] - t[l]);
            }
        }
        for sums in &mut sums {
            for l in 0..LANES {
                sums[l] = M::mul_add(value[l], t[l], sums[l]);
                (t[l], next[l]) = (next[l], M::mul_add(2.0 * s[l], next[l], -t[l]));
            }
        }
    }
    for (out, sums) in out.iter_mut().zip(&sums) {
        *out = sums.iter().sum();
    }
}

/// The parts of a basis's runs that fall into a tile: (run, first point, end).
fn runs_of(basis: &Basis, tile: Tile) -> impl Iterator<Item = (usize, usize, usize)> {
    let end = tile.offset + tile.len;
    let first = basis.runs().partition_point(|r| r.start + r.len <= tile.offset);
    let runs = basis.runs()[first..].iter().take_while(move |r| r.start < end);
    runs.enumerate()
        .map(move |(k, r)| (first + k, r.start.max(tile.offset), (r.start + r.len).min(end)))
}

/// `out[i] = sum_j coefficients[j] basis[j, i]` on a tile.
pub fn combine<T: Real>(
    basis: &Basis,
    coefficients: &[ScalarId],
    scalars: &[f64],
    tile: Tile,
    spare: (&mut Vec<f64>, &mut Vec<T>),
    out: &mut [T],
) {
    let (gathered, chebyshev) = spare;
    gathered.clear();
    gathered.extend(coefficients.iter().map(|&c| scalars[c]));
    chebyshev.resize(basis.terms(), T::zero());
    for (run, start, end) in runs_of(basis, tile) {
        // The coefficients of the sum along this run, then Clenshaw's recurrence a point.
        along_run(basis.chebyshev(run), gathered, chebyshev);
        let out = &mut out[start - tile.offset..end - tile.offset];
        clenshaw(chebyshev, &basis.abscissa()[start..end], out);
    }
}

/// `out[j] = sum_i basis[j, i] values[i]` over a tile.
pub fn project<T: Real>(basis: &Basis, values: Argument<T>, tile: Tile, out: &mut [f64]) {
    out.fill(0.0);
    for (run, start, end) in runs_of(basis, tile) {
        let rows = basis.chebyshev(run).chunks_exact(basis.count());
        let abscissa = &basis.abscissa()[start..end];
        let mut sums = [0.0; TERMS];
        for (k, row) in rows.enumerate() {
            if k % TERMS == 0 {
                moments(values, start - tile.offset, abscissa, k, &mut sums);
            }
            for (out, weight) in out.iter_mut().zip(row) {
                *out += sums[k % TERMS] * weight;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::cpu::isa::Plain;

    #[test]
    fn the_logarithm_of_a_product_is_the_sum_of_the_logarithms() {
        // Numbers of all sizes, a tenth of them large: so large that 32 have no product, one with which 16 have none,
        // one that is no number, and some that change its sign.
        let cases =
            [(1.0, 1.0), (1e-14, 1.0), (1e3, 1e3), (1e12, 1e18), (1e3, 1e300), (1.0, f64::NAN)];
        for (scale, spike) in
            cases.into_iter().chain([(1.0, -0.9), (1.0, -2.0), (1.0, -0.009), (1.0, -0.49)])
        {
            let mut x: Vec<f64> =
                (0..1100).map(|i| scale * (0.1 * i as f64).sin().powi(2)).collect();
            x.iter_mut().step_by(10).for_each(|x| *x *= 1e6);
            x[77] = spike;
            // All of them below 0, too near it to matter and not.
            if spike == -0.009 || spike == -0.49 {
                x.fill(spike);
            }
            let expected: f64 = x.iter().map(|x| x.ln_1p()).sum();
            let mut sum = 0.0;
            add_up_ln_1p(&x, &mut sum);
            let mut plain = 0.0;
            add_up_ln_1p_inline::<f64, Plain>(&x, &mut plain);
            for got in [sum, plain] {
                let same = got.is_nan() && expected.is_nan();
                let close = (got - expected).abs() < 50.0 * f64::EPSILON * expected.abs();
                assert!(same || close, "{scale} {spike}: {got} {expected}");
            }
        }
    }
}
