//! What is to be fitted, and how.

use super::options::FitOptions;
use crate::error::Result;
use crate::optics::aperture::ApertureGrid;
use crate::optics::beam_map::MapSet;
use crate::optics::model::{LATERAL, Model};
use crate::optics::telescope::Telescope;
use std::sync::Arc;

/// Maps that a telescope made at one wavelength, metres, and what was chosen about their fit.
#[derive(Clone, Copy)]
pub struct Setup<'a> {
    pub telescope: &'a Telescope,
    pub wavelength: f64,
    pub maps: &'a MapSet,
    pub options: &'a FitOptions,
}

impl<'a> Setup<'a> {
    /// At the wavelength of the maps, or else of the telescope.
    pub fn new(telescope: &'a Telescope, maps: &'a MapSet, options: &'a FitOptions) -> Self {
        let wavelength = maps.wavelength.unwrap_or(telescope.wavelength);
        Setup { telescope, wavelength, maps, options }
    }

    /// The same telescope with other samples.
    pub fn with(self, maps: &'a MapSet, options: &'a FitOptions) -> Self {
        Setup { maps, options, ..self }
    }

    /// The width of a beam, `wavelength / D`, radians.
    pub fn beam(self) -> f64 {
        self.wavelength / (2.0 * self.telescope.radius)
    }

    /// The model of the maps, on the aperture of the options or one that suits them.
    ///
    /// # Errors
    /// Maps that the model cannot describe.
    pub fn model(self) -> Result<Arc<Model>> {
        let Setup { telescope, wavelength, maps, options } = self;
        let grid = options.aperture.unwrap_or_else(|| {
            let samplings = maps.maps.iter().map(|m| &m.sampling);
            ApertureGrid::suitable(telescope.radius, wavelength, samplings)
        });
        let model = Model::of(telescope, wavelength, options.order, maps, grid, options.tolerance)?;
        let model = model.weighted(options.amplitude_order);
        Ok(Arc::new(model.shifted(&maps.shift, options.mentions(&LATERAL))?))
    }
}
