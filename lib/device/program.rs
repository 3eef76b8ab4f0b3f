//! The program format: what planning produces and devices run.
//!
//! Numbers live in three places. *Scalars* are `f64`: the parameters first, then constants, sums and
//! intermediate results. *Arrays* are real: data that never change, or results that one region hands
//! to a later one. *Fields* are complex: what goes into a Fourier transform and what comes back from
//! its adjoint.

use super::{Basis, Fourier, Op, Scattered, Values};
use std::collections::HashSet;
use std::sync::Arc;

/// Index into the scalars.
pub type ScalarId = usize;
/// Index into the real arrays.
pub type ArrayId = usize;
/// Index into the complex fields.
pub type FieldId = usize;

/// A planned computation.
#[derive(Debug, Clone, Default)]
pub struct Program {
    /// Scalars `0..parameters` are the parameters.
    pub parameters: usize,
    /// The initial value of every scalar.
    pub scalars: Vec<f64>,
    pub arrays: Vec<Array>,
    /// The length of every complex field.
    pub fields: Vec<usize>,
    /// In order of execution.
    pub steps: Vec<Step>,
    /// The scalars that a run returns.
    pub outputs: Vec<ScalarId>,
    /// The arrays that a run leaves to be read.
    pub array_outputs: Vec<ArrayId>,
}

impl Program {
    /// The regions among the steps.
    pub fn regions(&self) -> impl Iterator<Item = &Region> {
        self.steps.iter().filter_map(Step::region)
    }
}

/// A real array.
#[derive(Debug, Clone)]
pub enum Array {
    /// Given once and never written.
    Data(Values),
    /// Written by one region: its length.
    Work(usize),
}

/// One step of a program.
#[derive(Debug, Clone)]
pub enum Step {
    /// Scalar arithmetic, one instruction after the other.
    Scalars(Vec<ScalarCode>),
    /// Element-wise work over one index space.
    Region(Region),
    /// Transforms to scattered samples, and adjoints of them, that do not wait for each other.
    Scattered(Vec<ScatteredTransform>),
}

/// A transform between two stored fields.
#[derive(Debug, Clone)]
pub struct ScatteredTransform {
    pub transform: Arc<Scattered>,
    /// From the samples to the pixels.
    pub adjoint: bool,
    pub from: FieldId,
    pub to: FieldId,
}

/// `out = op(a, b)` on scalars.
#[derive(Debug, Clone, Copy)]
pub struct ScalarCode {
    pub op: Op,
    pub a: ScalarId,
    pub b: ScalarId,
    pub out: ScalarId,
}

/// A fused element-wise region: for every index of one space, a few loads, a run of instructions,
/// and what becomes of the results. Where `forward` or `adjoint` transforms are attached the region
/// is *streamed*: a block of the transform's output is made, the region runs on it, and the cotangent
/// goes straight back, so the transformed field is never stored.
#[derive(Debug, Clone, Default)]
pub struct Region {
    /// The number of elements.
    pub len: usize,
    /// Transforms whose outputs the region reads, with the field that each transforms.
    pub forward: Vec<Stream>,
    /// Transforms whose adjoint is applied to what the region makes, with the field that receives it.
    pub adjoint: Vec<Stream>,
    pub code: Vec<Code>,
    /// The number of tile registers that `code` needs.
    pub slots: usize,
    /// Real results to keep.
    pub stores: Vec<(Operand, ArrayId)>,
    /// Complex results to keep, as (real, imaginary, field).
    pub field_stores: Vec<(Operand, Operand, FieldId)>,
    /// The (real, imaginary) cotangents for `adjoint`, in its order.
    pub cotangents: Vec<(Operand, Operand)>,
    /// Results to sum over the region.
    pub sums: Vec<Sum>,
    /// Results to project on a basis: one sum a basis function.
    pub projections: Vec<Projection>,
}

impl Step {
    pub fn region(&self) -> Option<&Region> {
        match self {
            Step::Region(region) => Some(region),
            Step::Scalars(_) | Step::Scattered(_) => None,
        }
    }
}

impl Region {
    /// What is transformed forward, and then back.
    pub fn streams(&self) -> impl Iterator<Item = &Stream> {
        self.forward.iter().chain(&self.adjoint)
    }

    /// How many spectra it streams: forward transform `i` and adjoint `i` share one.
    pub fn spectra(&self) -> usize {
        self.forward.len().max(self.adjoint.len())
    }

    /// What its code reads.
    pub fn operands_of_code(&self) -> impl Iterator<Item = Operand> {
        let operands = self.code.iter().filter_map(|code| match code {
            Code::Map { a, b, .. } => Some([*a, *b]),
            Code::LoadField { .. } | Code::LoadStream { .. } | Code::Combine { .. } => None,
        });
        operands.flatten()
    }

    /// What its code and its results read.
    pub fn operands(&self) -> impl Iterator<Item = Operand> {
        self.operands_of_code().chain(self.results())
    }

    /// Whether a region reads an array or a field that it also writes.
    pub fn reads_what_it_writes(&self) -> bool {
        let stored = |operand: Operand| {
            let array = |s: &(Operand, usize)| operand == Operand::Array(s.1);
            self.stores.iter().any(array)
        };
        let loaded = self.code.iter().any(|code| match code {
            Code::LoadField { field, .. } => self.field_stores.iter().any(|s| s.2 == *field),
            Code::Map { .. } | Code::LoadStream { .. } | Code::Combine { .. } => false,
        });
        loaded || self.operands().any(stored)
    }

    /// Whether a region writes every array and every field in one place only.
    pub fn writes_once(&self) -> bool {
        let fields = self.adjoint.iter().map(|stream| stream.field);
        let mut fields = fields.chain(self.field_stores.iter().map(|store| store.2));
        let mut arrays = self.stores.iter().map(|store| store.1);
        let (mut seen_fields, mut seen_arrays) = (HashSet::new(), HashSet::new());
        fields.all(|id| seen_fields.insert(id)) && arrays.all(|id| seen_arrays.insert(id))
    }

    /// The number of sums that the region makes.
    pub fn sum_count(&self) -> usize {
        self.sums.len() + self.projections.iter().map(|p| p.sums.len()).sum::<usize>()
    }

    /// What is done with at the end of the code.
    pub fn results(&self) -> impl Iterator<Item = Operand> {
        let cotangents = self.cotangents.iter().flat_map(|&(re, im)| [re, im]);
        self.results_but_cotangents().chain(cotangents)
    }

    /// The same without what goes back through the transforms.
    pub fn results_but_cotangents(&self) -> impl Iterator<Item = Operand> {
        let singles = self.stores.iter().map(|s| s.0).chain(self.sums.iter().map(|s| s.source));
        let singles = singles.chain(self.projections.iter().map(|p| p.source));
        singles.chain(self.field_stores.iter().flat_map(|s| [s.0, s.1]))
    }
}

/// A transform attached to a region.
#[derive(Debug, Clone)]
pub struct Stream {
    pub transform: Arc<Fourier>,
    pub field: FieldId,
}

/// `scalar = sum_i summand(source[i])`.
#[derive(Debug, Clone, Copy)]
pub struct Sum {
    pub source: Operand,
    pub summand: Summand,
    pub scalar: ScalarId,
}

/// What is summed of each number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Summand {
    Itself,
    /// `ln(1 + x)`: a logarithm of a product serves several numbers.
    Ln1p,
}

/// `sums[j] = sum_i basis[j, i] * source[i]`.
#[derive(Debug, Clone)]
pub struct Projection {
    pub basis: Arc<Basis>,
    pub source: Operand,
    pub sums: Vec<ScalarId>,
}

/// One instruction of a region.
#[derive(Debug, Clone)]
pub enum Code {
    /// `slot[out] = op(a, b)`
    Map { op: Op, a: Operand, b: Operand, out: usize },
    /// Splits a stored complex field.
    LoadField { field: FieldId, re: usize, im: usize },
    /// Splits the block of transform `forward[stream]` that is passing by.
    LoadStream { stream: usize, re: usize, im: usize },
    /// `slot[out] = sum_j coefficients[j] * basis[j, i]`
    Combine { basis: Arc<Basis>, coefficients: Vec<ScalarId>, out: usize },
}

/// What an instruction reads.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Operand {
    /// A tile register.
    Slot(usize),
    /// A real array at the same index.
    Array(ArrayId),
    /// A scalar, the same for every index.
    Scalar(ScalarId),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::fourier::Axis;

    #[test]
    fn a_place_that_is_written_twice_is_found() {
        let axis = || Axis::Fft { points: 4 };
        let transform = Arc::new(Fourier::new(axis(), axis(), vec![(0, 0)]));
        let stream = |field| Stream { transform: transform.clone(), field };
        let slot = Operand::Slot(0);
        let region = |adjoint: &[usize], field_stores: &[usize], stores: &[usize]| Region {
            adjoint: adjoint.iter().map(|&field| stream(field)).collect(),
            field_stores: field_stores.iter().map(|&field| (slot, slot, field)).collect(),
            stores: stores.iter().map(|&array| (slot, array)).collect(),
            ..Region::default()
        };
        // An array may have a field's number.
        assert!(region(&[1, 2], &[3], &[1, 2, 3]).writes_once());
        assert!(!region(&[1, 1], &[], &[]).writes_once());
        assert!(!region(&[1, 2], &[2], &[]).writes_once());
        assert!(!region(&[], &[4, 4], &[]).writes_once());
        assert!(!region(&[], &[], &[1, 2, 1]).writes_once());
    }
}
