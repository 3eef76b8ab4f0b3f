//! FITS files of beam maps.
//!
//! **Ours.** The primary HDU has no data; its header says `OOFTYPE = 'MAPS'`, `TELESCOP`, `WAVELEN`
//! \[m\], `FREQ` \[Hz\], `OBJECT`, `MEANEL` \[deg\], and, for simulated maps, `ILLUM` (kind of illumination),
//! `NOISEADD`, `NOISEMUL`, `NOISEOUT` (fractions), `SEED`, `APERTURE` (`smooth` or `hard`), `APPOINTS`
//! (samples a side), `APEXTENT` (dish radii), for maps of two beams `CHOP` \[rad\] (the second is negative and
//! lies at `u + CHOP`), of a source that is a disc `SRCRAD` \[rad\], of a band `BANDWID` (its full width,
//! Hz), the true parameters for people (`Z5`, `SIGMA`, ...),
//! the conventions (COMMENT) and the options of the command line (HISTORY).
//!
//! One HDU a map follows, `MAP0`, `MAP1`, ..., with `DZ` \[m\], `SHIFTX` and `SHIFTY` \[m\] where the
//! sub-reflector was moved sideways too, and, where it is known, `SIGMA` (one standard deviation, in the
//! map's power unit):
//!
//! * an image where the samples are a raster of equal steps: `NAXIS1` along `u`, `NAXIS2` along `v`,
//!   `u_j = U0 + (j - (CRPIX1 - 1)) DU` radians for pixel `j` from 0, and the same for `V0, DV, CRPIX2`;
//!   `CRVAL, CDELT` say it once more in degrees, for viewers;
//! * else a table with the columns `U`, `V` \[rad\], `POWER` and, where samples differ in it, `SIGMA`.
//!
//! Simulated maps end in a table `TRUTH` with the columns `NAME` and `VALUE`: it, not the cards, is
//! what is read back. The true parameters of map `i` are also in its header: `GAIN, OFFX, OFFY, BACKGND`.
//!
//! **pyoof's.** Primary `FREQ, WAVEL, MEANEL, OBJECT`; a table a map, key `DZ` \[m\], columns `U, V` \[rad\],
//! `BEAM`. (pyoof itself wants `DATE_OBS`, and finds its three maps by the names `MINUS OOF`, `ZERO OOF`, `PLUS OOF`.)
//!
//! **OOF's and GBT's.** Primary `TELESC, FREQ, OBJECT, MEANEL`, and for dual-beam receivers `CHOPTHR`
//! \[arcsec\], as `CHOP` above, and `OBJRADS` \[rad\], as `SRCRAD`, where it is more than 0; a table a map, key `DZ` \[m\], columns
//! `DX, DY` (the pointing minus the source, so `u = -DX, v = -DY`), `FNU` and `UFNU`, its standard
//! deviation. (`TIME` is not read, and written as 0.)
//!
//! NaN and `BLANK` are blanks. CFITSIO reads and writes in memory only, behind a check of every header;
//! files are handled one at a time.
//!
//! Order of reading: `card`, `header` and `guard` (the check), `memory` (the wall around CFITSIO), `axis`,
//! `input` (all three layouts in), `output` (ours out), `foreign` (the others').

mod axis;
mod card;
mod foreign;
mod guard;
mod header;
mod input;
pub(in crate::io) mod memory;
mod output;
#[cfg(test)]
mod tests;

pub use foreign::{Layout, check_layout, write_foreign};
pub use input::read_maps;
pub use output::write_maps;

pub(in crate::io) use card::printable;
pub(in crate::io) use guard::Unit;
pub(in crate::io) use header::Content;
pub(in crate::io) use input::{
    read_map, read_named_values, read_positive, read_radius, read_wavelength,
};
pub(in crate::io) use output::{write_blur, write_map, write_observation, write_provenance};
