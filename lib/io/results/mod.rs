//! The result of a fit, out to JSON, CSV and FITS, and its parameters back in.
//!
//! **JSON**: one object, the keys of [`crate::fit::result::FitResult`], SI. A number that is not finite
//! is an error: JSON has no way to write it. `null` means "not known".
//!
//! **CSV**: one row a parameter, `name,n,l,value,sigma,unit,free`; empty fields mean "none".
//!
//! **Draws** from the posterior: CSV, one row a draw, `chain` and a column a quantity; or the same without
//! `chain` as a `.npy` array `(draw, quantity)`, the quantities in the order of the JSON's
//! `posterior.parameters` and `posterior.derived`.
//!
//! **GBT and pyoof tables**: the Zernike coefficients in other people's order and unit, as CSV.
//!
//! **FITS**: the same with the maps and the dish, but for `at_bound`, `errors_if_alike` and `likelihood.fitted`, the focus and coma
//! of `orders`, and of the `posterior` what its draws tell (quantiles, `ess`, `rhat`), `warm_up` and `sampler`. The
//! primary header says `OOFTYPE = 'FIT'` and has the scalars of the JSON:
//! `TELESCOP, WAVELEN, FREQ, ILLUM, ORDER, BACKEND, PRECIS, THREADS, LIKELIHD, LIKESCAL, STATUS,
//! MESSAGE, NEGLOGL, REDCHI2, EVCOARSE, EVFULL, PHASERMS, SURFRMS, SURFSIG, SURFERR, WAVERMS, RUZE,
//! RUZESIG, SURFRMSN, RUZENOF, FLAG1, ...`, besides `TOOL, VERSION, OBJECT, MEANEL` (degrees)`, SRCRAD, BANDWID`, and
//! times where they are known (`TREAD, TSETUP, TMINIM, TTOTAL`, seconds). Then, in this order:
//!
//! | HDU | what |
//! |---|---|
//! | table `PARAMETERS` | `NAME, N, L, VALUE, SIGMA, UNIT, FREE` (`N = -1`: no Zernike coefficient; `SIGMA` NaN: none) |
//! | table `MAPS` | `NAME, DEFOCUS, SAMPLES, BLANKS, PEAK, RESRMS, RESRMSPK, SCALE`, and `SHIFTX, SHIFTY` where a sub-reflector was moved sideways |
//! | table `ORDERS` | `ORDER, FREE, STATUS, CHI2, BIC, SURFRMS`, where orders were compared |
//! | table `POSTERIOR` | the draws, where there are some: `CHAIN`, then a column a quantity (`gain_0` for `gain[0]`); `POWER, SEED, ACCEPT, DIVERGE, EVALS` |
//! | image `COVARIANCE` | of the free parameters; `PAR1, PAR2, ...` are their names |
//! | images `AMPLITUDE`, `PHASE` | on the dish, x fastest, WCS in metres; NaN off the dish |
//! | images `SURFACE`, `SURFSIG` | surface error as half path and its sigma, micrometres, the same grid; the header says the sense |
//! | `MODELi`, `RESIDUALi` | fitted power, and data minus model, of map `i`, laid out as the maps are |

mod csv;
mod draws;
mod fits;
mod fitted;
mod json;
mod parameters;
#[cfg(test)]
mod tests;
mod zernikes;

pub use csv::write_csv;
pub use draws::{write_draws_csv, write_draws_npy};
pub use fits::write_fits;
pub use fitted::read_fit;
pub use json::{pretty, write_json};
pub use parameters::{FitFile, FittedMap, read_parameters};
pub use zernikes::{read_zernikes, write_zernikes};
