//! The telescope and its beam: what is known of the dish, and the model that is recorded from it.
//!
//! What is known before any fit is plain numbers:
//!
//! * [`telescope`]: a telescope as data, shipped or from a user's file;
//! * [`aperture`]: the grid across the dish and the pixels that are open, with [`blockage`] saying
//!   which these are;
//! * [`path`]: what a moved sub-reflector does to the phase, and [`lateral`]: when it is moved sideways;
//! * [`illumination`]: how the receiver lights the dish;
//! * [`zernike`]: the polynomials of the surface, and [`convention`]: what others call them;
//! * [`beam_map`]: the maps themselves, with `neighbours` of samples; [`band`] and [`lags`]: a receiver's band, and a source that is a
//!   disc.
//!
//! From these [`model`] records the maps; `sky` and [`arrangement`] are a map's samples as the outputs of a transform,
//! and their order. [`mod@simulate`] makes maps of known parameters. `telescope_file` and `dimension` read a telescope's
//! file.
//!
//! ```
//! use oof::optics::{aperture::Aperture, telescope::Telescope, zernike};
//! let telescope = Telescope::named("nikolic2018")?;
//! let aperture = Aperture::new(&telescope, telescope.aperture)?;
//! let table = zernike::table(7, &aperture.points());
//! assert_eq!(table.dim(), (36, aperture.len()));
//! # Ok::<(), oof::Error>(())
//! ```

pub mod aperture;
pub mod arrangement;
pub mod band;
pub mod beam_map;
pub mod blockage;
pub mod convention;
mod dimension;
#[cfg(test)]
pub(crate) mod golden;
pub mod illumination;
pub mod lags;
pub mod lateral;
pub mod model;
pub mod neighbours;
pub mod path;
pub mod simulate;
mod sky;
pub mod telescope;
mod telescope_file;
#[cfg(test)]
mod tests;
pub mod zernike;
