//! How the dish is sampled.

use crate::error::{Error, Result};
use crate::optics::aperture::{ApertureGrid, ApertureKind};
use crate::optics::beam_map::{MapSet, Sampling};
use clap::{Args, ValueEnum};

/// A way to sample the dish, on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ApertureName {
    /// Pixels weighted by their open area
    Smooth,
    /// arXiv:1805.07439's: as many points as the map has pixels, out to 4 dish radii, hard edges
    Paper,
    /// pyoof's: 256 points, out to 5 dish radii, hard edges
    Pyoof,
}

/// Options of the aperture.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Aperture")]
pub struct ApertureArgs {
    /// How the dish is sampled [default: as the file says, else smooth and as fine as the maps need]
    #[arg(long, value_name = "KIND", value_enum)]
    pub aperture: Option<ApertureName>,
    /// Aperture samples a side; without --aperture, of a smooth one
    #[arg(long, value_name = "N")]
    pub aperture_points: Option<usize>,
    /// Half the width of the aperture grid in dish radii; of a smooth one with --aperture-points only
    #[arg(long, value_name = "RADII")]
    pub aperture_extent: Option<f64>,
}

impl ApertureArgs {
    /// Whether a grid was asked for.
    pub fn is_given(&self) -> bool {
        let numbers = self.aperture_points.is_some() || self.aperture_extent.is_some();
        self.aperture.is_some() || numbers
    }

    /// The grid that was asked for on `maps`: `Ok(None)` for one that suits the maps, or where nothing
    /// was asked for.
    pub fn grid(&self, maps: &MapSet) -> Result<Option<ApertureGrid>> {
        let (kind, points, extent) = match self.aperture.unwrap_or(ApertureName::Smooth) {
            ApertureName::Smooth => match (self.aperture_points, self.aperture_extent) {
                (None, None) => return Ok(None),
                (None, Some(_)) => {
                    return Err(Error::usage(
                        "--aperture-extent of a smooth aperture needs --aperture-points as well",
                    ));
                }
                (Some(points), _) => (ApertureKind::Smooth, points, 1.0),
            },
            ApertureName::Paper => {
                let points = match self.aperture_points {
                    Some(points) => points,
                    None => side(maps)?,
                };
                (ApertureKind::Hard, points, 4.0)
            }
            ApertureName::Pyoof => (ApertureKind::Hard, self.aperture_points.unwrap_or(256), 5.0),
        };
        let grid = ApertureGrid { kind, points, extent: self.aperture_extent.unwrap_or(extent) };
        grid.check()?;
        Ok(Some(grid))
    }
}

/// The number of pixels along the sides of the maps.
fn side(maps: &MapSet) -> Result<usize> {
    let sides = maps.maps.iter().map(|map| match &map.sampling {
        Sampling::Raster { u, v } if u.len() == v.len() => Some(u.len()),
        _ => None,
    });
    let mut sides = sides.collect::<Option<Vec<_>>>().unwrap_or_default();
    sides.dedup();
    match sides[..] {
        [side] => Ok(side),
        _ => Err(Error::usage(
            "--aperture paper needs square maps of one size; give --aperture-points",
        )),
    }
}
