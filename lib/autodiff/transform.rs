//! The Fourier transforms that a graph can have.

use crate::device::{Fourier, Scattered};
use std::sync::Arc;

/// A Fourier transform: of a full rectangle of frequencies, or of scattered ones.
#[derive(Debug, Clone)]
pub enum Transform {
    Grid(Arc<Fourier>),
    Scattered(Arc<Scattered>),
}

impl From<&Arc<Fourier>> for Transform {
    fn from(transform: &Arc<Fourier>) -> Self {
        Transform::Grid(transform.clone())
    }
}

impl From<&Arc<Scattered>> for Transform {
    fn from(transform: &Arc<Scattered>) -> Self {
        Transform::Scattered(transform.clone())
    }
}

impl Transform {
    /// The number of pixels that it sums over.
    pub fn inputs(&self) -> usize {
        match self {
            Transform::Grid(transform) => transform.pixels().len(),
            Transform::Scattered(transform) => transform.pixels().len(),
        }
    }

    /// The number of samples that it makes.
    pub fn outputs(&self) -> usize {
        match self {
            Transform::Grid(transform) => transform.outputs(),
            Transform::Scattered(transform) => transform.outputs(),
        }
    }

    /// Whether the outputs of both can be worked on together.
    pub(super) fn matches(&self, other: &Transform) -> bool {
        match (self, other) {
            (Transform::Grid(a), Transform::Grid(b)) => Arc::ptr_eq(a, b) || a.matches(b),
            (Transform::Scattered(a), Transform::Scattered(b)) => a.outputs() == b.outputs(),
            _ => false,
        }
    }
}
