//! The telescope and its beam: what is known of the dish, and the model that is recorded from it.

pub mod aperture;
pub mod beam_map;
