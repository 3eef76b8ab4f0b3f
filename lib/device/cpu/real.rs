//! The floating-point types that arrays can be made of.

use rustfft::FftNum;
use rustfft::num_traits::Float;
use std::sync::Arc;

/// `f64` or `f32`.
pub trait Real: FftNum + Float + Default + super::elementary::Elementary {
    fn of(value: f64) -> Self;
    fn wide(self) -> f64;
    /// Data in this type; shared where it is that already.
    fn adopt(values: &Arc<[f64]>) -> Arc<[Self]>;
}

impl Real for f64 {
    #[inline(always)]
    fn of(value: f64) -> Self {
        value
    }
    #[inline(always)]
    fn wide(self) -> f64 {
        self
    }
    fn adopt(values: &Arc<[f64]>) -> Arc<[Self]> {
        values.clone()
    }
}

impl Real for f32 {
    #[inline(always)]
    fn of(value: f64) -> Self {
        value as f32
    }
    #[inline(always)]
    fn wide(self) -> f64 {
        self.into()
    }
    fn adopt(values: &Arc<[f64]>) -> Arc<[Self]> {
        values.iter().map(|&v| v as f32).collect()
    }
}
