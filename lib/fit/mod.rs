//! From maps to a surface: parameters, likelihood, minimisation, errors.
//!
//! Order of reading: [`options`] (what can be asked for), [`setup`] (of which maps), [`likelihood`], [`problem`],
//! [`start`] and [`predictions`] (the function to minimise, and from where), [`mod@gradient`] (its value and slopes, checked), [`mod@minimise`] and
//! [`stage`] (how, from a point), [`level`], [`way`], [`turn`], [`exploration`], [`course`], [`optimum`] and [`search`] (how, from nothing),
//! [`mod@information`], [`mod@covariance`] and [`degenerate`] (how sure), [`posterior`], [`chains`] and [`sampling`]
//! (the same by drawing), [`prior`] (what was known before), [`residual`], [`mod@pattern`], [`quality`] and
//! [`mod@doubt`] (whether to believe it),
//! [`flags`] (what to look at), [`mod@order`] (which order), [`surface`] (what the dish is like), [`result`] and
//! [`summary`] (what comes out).

pub mod chains;
pub mod course;
pub mod covariance;
pub mod degenerate;
pub mod doubt;
pub mod exploration;
pub mod flags;
pub mod gradient;
pub mod information;
pub mod level;
pub mod likelihood;
pub mod minimise;
pub mod optimum;
pub mod options;
pub mod order;
pub mod pattern;
pub mod posterior;
pub mod predictions;
pub mod prior;
pub mod problem;
pub mod quality;
pub mod residual;
pub mod result;
pub mod sampling;
pub mod search;
pub mod setup;
pub mod stage;
pub mod start;
pub mod summary;
pub mod surface;
pub mod turn;
pub mod way;

pub use options::FitOptions;
pub use result::FitResult;
pub use setup::Setup;
pub use stage::{Progress, Report};

use crate::error::Result;

/// Fits maps, at the best order where that is asked for. `report` is called once an iteration and may
/// stop the fit with an error; it may be called from another thread, and must not wait for threads of the pool.
///
/// # Errors
/// Maps that cannot be fitted, and what `report` returns.
pub fn fit(setup: Setup, report: &mut Report) -> Result<FitResult> {
    if let Some(sampling) = setup.options.sampling {
        let without = FitOptions { sampling: None, ..setup.options.clone() };
        let mut result = fit(setup.with(setup.maps, &without), report)?;
        sampling::add_posterior(setup, sampling, &mut result, report)?;
        return Ok(result);
    }
    if setup.options.choose_order {
        return order::choose(setup, report);
    }
    let (levels, model) = rayon::join(|| level::levels(setup), || setup.model());
    let found = search::search(setup, &levels, model?, report)?;
    let mut result = summary::summarise(found)?;
    result.flags = flags::flags(&result);
    Ok(result)
}

#[cfg(test)]
mod tests;
