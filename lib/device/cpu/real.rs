//! The floating-point types that arrays can be made of.

use super::isa::Machine;
use super::vector::Vector;
use bytemuck::Zeroable;
use rustfft::FftNum;
use rustfft::num_traits::Float;
use std::borrow::Cow;
use std::sync::Arc;

/// `f64` or `f32`.
pub trait Real: FftNum + Float + Default + Zeroable + super::elementary::Elementary {
    /// 64 bytes of it.
    type Lanes: Copy
        + Default
        + Zeroable
        + AsRef<[Self]>
        + AsMut<[Self]>
        + Send
        + Sync
        + std::fmt::Debug;
    /// The same in the registers of a machine.
    type Vector<M: Machine>: Vector<Number = Self>;
    /// The numbers in 64 bytes.
    const LANES: usize;
    /// `self a + b`, rounded once. (`Float::mul_add` is not always inlined, and then calls a library.)
    fn fused(self, a: Self, b: Self) -> Self;
    fn of(value: f64) -> Self;
    fn in_f64(self) -> f64;
    /// Numbers in double precision; where they lie if they are that already.
    fn all_in_f64(values: &[Self]) -> Cow<'_, [f64]>;
    /// Data in this type; shared where it is that already.
    fn adopt(values: &Arc<Vec<f64>>) -> Arc<Vec<Self>>;
    fn adopt_single(values: &Arc<Vec<f32>>) -> Arc<Vec<Self>>;
}

impl Real for f64 {
    type Lanes = [f64; 8];
    type Vector<M: Machine> = M::F64;
    const LANES: usize = 8;

    #[inline(always)]
    fn fused(self, a: Self, b: Self) -> Self {
        f64::mul_add(self, a, b)
    }
    #[inline(always)]
    fn of(value: f64) -> Self {
        value
    }
    #[inline(always)]
    fn in_f64(self) -> f64 {
        self
    }
    fn all_in_f64(values: &[f64]) -> Cow<'_, [f64]> {
        values.into()
    }
    fn adopt(values: &Arc<Vec<f64>>) -> Arc<Vec<Self>> {
        values.clone()
    }
    fn adopt_single(values: &Arc<Vec<f32>>) -> Arc<Vec<Self>> {
        Arc::new(values.iter().map(|&v| v.into()).collect())
    }
}

impl Real for f32 {
    type Lanes = [f32; 16];
    type Vector<M: Machine> = M::F32;
    const LANES: usize = 16;

    #[inline(always)]
    fn fused(self, a: Self, b: Self) -> Self {
        f32::mul_add(self, a, b)
    }
    #[inline(always)]
    fn of(value: f64) -> Self {
        value as f32
    }
    #[inline(always)]
    fn in_f64(self) -> f64 {
        self.into()
    }
    fn all_in_f64(values: &[f32]) -> Cow<'_, [f64]> {
        values.iter().map(|&v| v.into()).collect::<Vec<f64>>().into()
    }
    fn adopt(values: &Arc<Vec<f64>>) -> Arc<Vec<Self>> {
        Arc::new(values.iter().map(|&v| v as f32).collect())
    }
    fn adopt_single(values: &Arc<Vec<f32>>) -> Arc<Vec<Self>> {
        values.clone()
    }
}
