//! Between the rows and the columns of a transform: what was a row a lane becomes a column a lane.

use super::Real;
use super::isa::{Machine, vectorised};
use super::vector::{Batch, Vector};

vectorised!(
    /// Exchanges rows and lanes: lane `l` of `to[k]` is lane `k` of `from[l]`. Where `exchange`, real and
    /// imaginary parts are exchanged as well.
    pub fn transpose(from: &[Batch<T>], exchange: bool, to: &mut [Batch<T>]) = transpose_inline
);

/// Lanes of the widest vector.
const WIDEST: usize = 16;

#[inline(always)]
fn transpose_inline<T: Real, M: Machine>(from: &[Batch<T>], exchange: bool, to: &mut [Batch<T>]) {
    if T::Vector::<M>::SWAPS && from.len() == T::LANES && to.len() == T::LANES {
        // Square by square, of as many rows as a vector has lanes.
        let (lanes, pieces) = (T::Vector::<M>::LANES, T::Vector::<M>::PIECES);
        for row in 0..pieces {
            for piece in 0..pieces {
                let mut re = [T::Vector::<M>::splat(T::zero()); WIDEST];
                let mut im = re;
                for l in 0..lanes {
                    re[l] = Vector::load(&from[row * lanes + l].re, piece);
                    im[l] = Vector::load(&from[row * lanes + l].im, piece);
                }
                transpose_square::<T, M>(&mut re);
                transpose_square::<T, M>(&mut im);
                if exchange {
                    std::mem::swap(&mut re, &mut im);
                }
                for k in 0..lanes {
                    re[k].store(&mut to[piece * lanes + k].re, row);
                    im[k].store(&mut to[piece * lanes + k].im, row);
                }
            }
        }
        return;
    }
    for (k, to) in to.iter_mut().enumerate() {
        let (re, im) = (to.re.as_mut(), to.im.as_mut());
        for (l, from) in from.iter().enumerate() {
            let (a, b) = (from.re.as_ref()[k], from.im.as_ref()[k]);
            (re[l], im[l]) = if exchange { (b, a) } else { (a, b) };
        }
    }
}

/// Transposes a square in log2(lanes) rounds; round `b` swaps off-diagonal blocks of side `2^b`.
#[inline(always)]
fn transpose_square<T: Real, M: Machine>(rows: &mut [T::Vector<M>; WIDEST]) {
    macro_rules! step {
        ($distance:literal) => {
            if $distance < T::Vector::<M>::LANES {
                for l in 0..T::Vector::<M>::LANES {
                    if l & $distance == 0 {
                        let (low, high) = (rows[l], rows[l + $distance]);
                        (rows[l], rows[l + $distance]) = low.swap(high, $distance);
                    }
                }
            }
        };
    }
    step!(1);
    step!(2);
    step!(4);
    step!(8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_become_lanes_whole_squares_and_others() {
        fn check<T: Real>() {
            let number = |l: usize, k: usize| T::of((100 * l + k) as f64);
            for (rows, columns) in [(T::LANES, T::LANES), (T::LANES - 1, T::LANES), (T::LANES, 3)] {
                for exchange in [false, true] {
                    let mut from = vec![Batch::<T>::default(); rows];
                    for (l, from) in from.iter_mut().enumerate() {
                        for k in 0..T::LANES {
                            from.re.as_mut()[k] = number(l, k);
                            from.im.as_mut()[k] = -number(l, k);
                        }
                    }
                    let mut to = vec![Batch::<T>::default(); columns];
                    transpose(&from, exchange, &mut to);
                    let sign = if exchange { -T::one() } else { T::one() };
                    for (k, l) in (0..columns).flat_map(|k| (0..rows).map(move |l| (k, l))) {
                        assert_eq!(to[k].re.as_ref()[l], sign * number(l, k));
                        assert_eq!(to[k].im.as_ref()[l], -sign * number(l, k));
                    }
                }
            }
        }
        check::<f64>();
        check::<f32>();
    }
}
