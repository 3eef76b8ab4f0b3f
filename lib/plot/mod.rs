//! Pictures of maps and fits, as PNG bytes.
//!
//! A page is a canvas on which panels (heat maps with axes and a colour bar) and a block of text are
//! set on a fixed grid. Nothing here reads a clock or a file: equal inputs give equal bytes.
//!
//! Order of reading: [`page`] (what is drawn where), [`panel`] and `summary` (what is on it), [`picture`] and
//! `scatter` (samples made to fit a panel), [`colour`], [`limit`] and [`ticks`] (values as colours and scales),
//! [`canvas`] and [`text`] (pixels and letters).

pub mod canvas;
pub mod colour;
pub mod limit;
pub mod page;
pub mod panel;
pub mod picture;
mod scatter;
mod summary;
pub mod text;
pub mod ticks;

pub use page::{fit_page, maps_page};
