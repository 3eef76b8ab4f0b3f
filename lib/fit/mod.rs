//! From maps to a surface: parameters, likelihood, minimisation, errors.
//!
//! Order of reading: [`options`] (what can be asked for), [`likelihood`], [`problem`] and [`models`] (the function
//! to minimise), [`mod@minimise`] and [`stage`] (how, from a point), [`level`], [`exploration`], [`course`] and
//! [`search`] (how, from nothing), [`mod@information`], [`mod@covariance`] and [`degenerate`] (how sure),
//! [`posterior`], [`chains`] and [`sampling`] (the same by drawing), [`prior`] (what was known before),
//! [`quality`] (whether to believe it), [`flags`] (what to look at), [`mod@order`] (which order),
//! [`surface`] (what the dish is like), [`result`] and [`summary`] (what comes out).

pub mod chains;
pub mod course;
pub mod covariance;
pub mod degenerate;
pub mod exploration;
pub mod flags;
pub mod gradient;
pub mod information;
pub mod level;
pub mod likelihood;
pub mod minimise;
pub mod models;
pub mod options;
pub mod order;
pub mod posterior;
pub mod prior;
pub mod problem;
pub mod quality;
pub mod result;
pub mod sampling;
pub mod search;
pub mod stage;
pub mod summary;
pub mod surface;

pub use options::FitOptions;
pub use result::FitResult;
pub use stage::{Progress, Report};

use crate::error::Result;
use crate::optics::beam_map::MapSet;
use crate::optics::telescope::Telescope;
use problem::Problem;

/// Fits `maps`, at the best order where that is asked for. `progress` is called once an iteration and may
/// stop the fit with an error; it may be called from another thread, and must not wait for threads of the pool.
///
/// # Errors
/// Maps that cannot be fitted, and what `progress` returns.
pub fn fit(
    telescope: &Telescope,
    wavelength: f64,
    maps: &MapSet,
    options: &FitOptions,
    progress: &mut Report,
) -> Result<FitResult> {
    if let Some(sampling) = options.sampling {
        let without = FitOptions { sampling: None, ..options.clone() };
        let mut result = fit(telescope, wavelength, maps, &without, progress)?;
        sampling::add_posterior(telescope, maps, options, sampling, &mut result, progress)?;
        return Ok(result);
    }
    if options.choose_order {
        return order::choose(telescope, wavelength, maps, options, progress);
    }
    let (levels, model) = rayon::join(
        || level::levels(telescope, wavelength, maps, options),
        || Problem::model(telescope, wavelength, maps, options),
    );
    let found = search::search(telescope, wavelength, maps, options, &levels, model?, progress)?;
    let mut result = summary::summarise(found)?;
    result.flags = flags::flags(&result);
    Ok(result)
}

#[cfg(test)]
mod tests;
