//! A region of a program, prepared for running.

use super::chain::Chains;
use super::fourier::Transforms;
use super::layout::Layout;
use super::real::Real;
use crate::device::program::{Array, ArrayId, Operand, Program, Region};

/// A region as this device runs it.
pub struct Prepared {
    pub chains: Chains,
    /// The data that the code reads.
    pub reads: Vec<ArrayId>,
    pub layout: Layout,
    /// Where its spectra and its sums are among those of its round.
    pub spectra: usize,
    pub partials: usize,
}

impl Prepared {
    pub fn new<T: Real>(region: &Region, program: &Program, transforms: &Transforms<T>) -> Self {
        let data = |operand: Operand| match operand {
            Operand::Array(id) => matches!(program.arrays[id], Array::Data(_)).then_some(id),
            _ => None,
        };
        let mut reads: Vec<ArrayId> = region.operands_of_code().filter_map(data).collect();
        reads.sort_unstable();
        reads.dedup();
        let layout = Layout::new(region, transforms);
        Prepared { chains: Chains::new(region), reads, layout, spectra: 0, partials: 0 }
    }
}
