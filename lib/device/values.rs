//! Numbers that are given once and never written.

use std::sync::Arc;

/// Numbers in the precision in which they were given: a device that computes in it shares them, another one
/// makes a copy. (`Arc<Vec>` takes a vector over, where `Arc<[T]>` would copy it: maps are large.)
#[derive(Debug, Clone)]
pub enum Values {
    Double(Arc<Vec<f64>>),
    Single(Arc<Vec<f32>>),
}

impl Values {
    /// How many there are.
    pub fn count(&self) -> usize {
        match self {
            Values::Double(values) => values.len(),
            Values::Single(values) => values.len(),
        }
    }

    /// Where they lie, which tells them from all others.
    pub fn address(&self) -> usize {
        match self {
            Values::Double(values) => values.as_ptr().addr(),
            Values::Single(values) => values.as_ptr().addr(),
        }
    }

    /// The numbers in double precision.
    pub fn in_f64(&self) -> Arc<Vec<f64>> {
        match self {
            Values::Double(values) => values.clone(),
            Values::Single(values) => Arc::new(values.iter().map(|&v| v.into()).collect()),
        }
    }
}

impl From<Arc<Vec<f64>>> for Values {
    fn from(values: Arc<Vec<f64>>) -> Self {
        Values::Double(values)
    }
}

impl From<Vec<f64>> for Values {
    fn from(values: Vec<f64>) -> Self {
        Values::Double(Arc::new(values))
    }
}

impl From<Vec<f32>> for Values {
    fn from(values: Vec<f32>) -> Self {
        Values::Single(Arc::new(values))
    }
}

impl From<&[f64]> for Values {
    fn from(values: &[f64]) -> Self {
        Values::Double(Arc::new(values.to_vec()))
    }
}
