//! The registers of the interpreter: numbers of a tile, on cache lines of their own.
//!
//! A vector of AVX-512 fills a cache line, so in memory that begins anywhere every one of them would lie on two.

use super::vector::Batch;
use super::{Real, TILE};
use std::cell::UnsafeCell;
use std::ops::{Deref, DerefMut};

/// Numbers in memory that begins with a cache line.
#[derive(Default)]
pub struct Register<T: Real>(Box<[UnsafeCell<Batch<T>>]>);

impl<T: Real> Register<T> {
    /// For a tile.
    pub fn new() -> Self {
        Self::of(TILE / T::LANES)
    }

    /// For this many lines of 64 bytes.
    pub fn of(lines: usize) -> Self {
        // Some more than are used: registers a power of two apart would share places of the first cache.
        let batches = lines / 2 + 1;
        Register((0..batches).map(|_| UnsafeCell::new(Batch::default())).collect())
    }

    /// The number of numbers.
    pub fn len(&self) -> usize {
        self.0.len() * 2 * T::LANES
    }

    /// Its first number. Who reads and writes from there on has to see to it that no reference to the
    /// numbers is alive.
    pub fn start(&self) -> *mut T {
        UnsafeCell::raw_get(self.0.as_ptr()).cast()
    }
}

impl<T: Real> Deref for Register<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: a batch is two arrays of `LANES` numbers and nothing else (asserted below), and a cell
        // has the layout of what it holds; nobody writes, by the promise of those who use `start`.
        unsafe { std::slice::from_raw_parts(self.start(), self.len()) }
    }
}

impl<T: Real> DerefMut for Register<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as above, and the borrow is the only one.
        unsafe { std::slice::from_raw_parts_mut(self.start(), self.len()) }
    }
}

const _: () = assert!(size_of::<Batch<f64>>() == 16 * size_of::<f64>());
const _: () = assert!(size_of::<Batch<f32>>() == 32 * size_of::<f32>());
