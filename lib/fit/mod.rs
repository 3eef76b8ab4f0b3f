//! From maps to a surface: parameters, likelihood, minimisation, errors.
//!
//! Order of reading: [`options`] (what can be asked for), [`problem`] (the function to minimise),
//! [`mod@minimise`] (how, from a point), [`level`] and [`search`] (how, from nothing),
//! [`mod@covariance`] (how sure), [`quality`] (whether to
//! believe it), [`result`] and [`summary`] (what comes out).

pub mod covariance;
pub mod gradient;
pub mod level;
pub mod minimise;
pub mod options;
pub mod problem;
pub mod quality;
pub mod result;
pub mod search;
pub mod summary;

pub use options::FitOptions;
pub use result::FitResult;
pub use search::Progress;

use crate::error::Result;
use crate::optics::beam_map::MapSet;
use crate::optics::telescope::Telescope;

/// Fits `maps`. `progress` is called once an iteration and may stop the fit with an error.
///
/// # Errors
/// Maps that cannot be fitted, and what `progress` returns.
pub fn fit(
    telescope: &Telescope,
    wavelength: f64,
    maps: &MapSet,
    options: &FitOptions,
    progress: &mut dyn FnMut(&Progress) -> Result<()>,
) -> Result<FitResult> {
    let levels = level::levels(telescope, wavelength, maps, options);
    let found = search::search(telescope, wavelength, maps, options, &levels, progress)?;
    summary::summarise(&found)
}

#[cfg(test)]
mod tests;
