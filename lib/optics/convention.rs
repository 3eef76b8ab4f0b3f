//! Zernike coefficients in the orders and units of other people.
//!
//! | | index | sign | unit |
//! |---|---|---|---|
//! | ours | OSA/ANSI `j = (n(n+2)+l)/2` from 0 | | radians of phase |
//! | GBT (Schwab) | `k = n(n+1)/2 + (n-l)/2 + 1` from 1 | the other for `l < 0` | micrometres of surface, half path |
//! | pyoof | `j` from 0 | the same | waves, `phase = 2 pi sum K U` |

use super::zernike::Mode;
use std::f64::consts::{PI, TAU};

/// Whose order and unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Convention {
    Gbt,
    Pyoof,
}

impl Convention {
    /// The index of a polynomial.
    pub fn index(self, mode: Mode) -> usize {
        match self {
            Convention::Gbt => {
                let n = i64::from(mode.n);
                (n * (n + 1) / 2 + (n - i64::from(mode.l)) / 2 + 1) as usize
            }
            Convention::Pyoof => mode.index(),
        }
    }

    /// The polynomial of an index; `None` for the GBT's 0, which does not exist.
    pub fn mode(self, index: usize) -> Option<Mode> {
        match self {
            // Within one n the same from the other end.
            Convention::Gbt => {
                let Mode { n, l } = Mode::of(index.checked_sub(1)?);
                Some(Mode { n, l: -l })
            }
            Convention::Pyoof => Some(Mode::of(index)),
        }
    }

    /// What a coefficient of one radian is there, at a wavelength in metres.
    pub fn of_radian(self, mode: Mode, wavelength: f64) -> f64 {
        match self {
            Convention::Gbt if mode.l < 0 => -1e6 * wavelength / (4.0 * PI),
            Convention::Gbt => 1e6 * wavelength / (4.0 * PI),
            Convention::Pyoof => 1.0 / TAU,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written out from the formula by hand.
    #[test]
    fn the_gbt_counts_from_one_and_from_the_cosines() {
        let known = [
            (1, 0, 0),
            (2, 1, 1),
            (3, 1, -1),
            (4, 2, 2),
            (5, 2, 0),
            (6, 2, -2),
            (7, 3, 3),
            (8, 3, 1),
            (9, 3, -1),
            (10, 3, -3),
            (21, 5, -5),
        ];
        for (k, n, l) in known {
            assert_eq!(Convention::Gbt.mode(k), Some(Mode { n, l }), "{k}");
            assert_eq!(Convention::Gbt.index(Mode { n, l }), k);
        }
        assert_eq!(Convention::Gbt.mode(0), None);
    }

    #[test]
    fn a_radian_is_a_known_length_and_a_known_part_of_a_wave() {
        let (cos, sin) = (Mode { n: 2, l: 2 }, Mode { n: 2, l: -2 });
        let wavelength = 4.0 * PI * 1e-3;
        assert!((Convention::Gbt.of_radian(cos, wavelength) - 1000.0).abs() < 1e-9);
        assert!((Convention::Gbt.of_radian(sin, wavelength) + 1000.0).abs() < 1e-9);
        assert_eq!(Convention::Pyoof.of_radian(sin, 1.0) * TAU, 1.0);
    }
}
