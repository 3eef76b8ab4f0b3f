//! Where the aperture field is sampled: the grid across the dish.

use serde::{Deserialize, Serialize};

/// How a grid of aperture samples is laid out, and how a pixel on the rim is weighted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ApertureKind {
    /// Pixel-centred grid; pixels on the rim and under the blockage weigh by their open area.
    Smooth,
    /// `linspace(-extent R, extent R, points)`, both ends included; a pixel is in or out by its
    /// centre. The grid of arXiv:1805.07439 (extent 4) and of pyoof (256 points, extent 5).
    Hard,
}

/// A square grid of aperture samples, centred on the dish.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ApertureGrid {
    pub kind: ApertureKind,
    /// Samples a side.
    pub points: usize,
    /// Half the grid's width in dish radii.
    pub extent: f64,
}
