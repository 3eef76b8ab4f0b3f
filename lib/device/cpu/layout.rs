//! How a region is cut: blocks, which threads share, and tiles, which the interpreter takes.

use super::fourier::Transforms;
use super::tile::Tile;
use super::{Real, TILE};
use crate::device::fourier::GROUP;
use crate::device::program::Region;
use std::ops::Range;

/// How a region is cut into blocks, and those into tiles.
pub struct Layout {
    pub blocks: usize,
    /// The tiles of every block but the last, which may have fewer.
    pub per_block: usize,
    /// The tiles of the last block.
    last: usize,
    pub columns: Option<Columns>,
}

/// The columns of a streamed region.
pub struct Columns {
    /// Outputs along x, which are columns, and y.
    outputs: (usize, usize),
    /// The rows of every slab.
    pub slabs: Vec<Range<usize>>,
}

impl Layout {
    pub fn new<T: Real>(region: &Region, transforms: &Transforms<T>) -> Self {
        let Some(transform) = transforms.of_region(region) else {
            let blocks = region.len.div_ceil(TILE);
            return Layout { blocks, per_block: 1, last: 1, columns: None };
        };
        let (x, y) = transform.outputs();
        let columns = Columns { outputs: (x, y), slabs: transform.slabs().collect() };
        let tiles = |block| {
            (0..columns.slabs.len()).map(|slab| columns.tiles::<T>(block, slab).count()).sum()
        };
        let blocks = transform.blocks();
        let (per_block, last) = (tiles(0), tiles(blocks - 1));
        Layout { blocks, per_block, last, columns: Some(columns) }
    }

    /// The number of tiles.
    pub fn tiles(&self) -> usize {
        match self.blocks {
            0 => 0,
            blocks => (blocks - 1) * self.per_block + self.last,
        }
    }
}

impl Columns {
    /// The tiles of a slab, in the order in which they are worked on: rows of a group of columns.
    pub fn tiles<T: Real>(&self, block: usize, slab: usize) -> impl Iterator<Item = Tile> {
        const ROWS: usize = TILE / GROUP;
        let ((nx, ny), rows) = (self.outputs, self.slabs[slab].clone());
        let columns = block * T::LANES..((block + 1) * T::LANES).min(nx);
        columns.clone().step_by(GROUP).flat_map(move |column| {
            let (width, lane) = (GROUP.min(columns.end - column), column - columns.start);
            let rows = rows.clone();
            rows.clone().step_by(ROWS).map(move |row| Tile {
                offset: column * ny + row * width,
                len: ROWS.min(rows.end - row) * width,
                row: row - rows.start,
                lane,
                width,
            })
        })
    }
}
