//! Buffers that several threads fill, each its own part, and that all read afterwards.

use super::vector::prefetch;
use bytemuck::Zeroable;
use std::alloc::{Layout, handle_alloc_error};
use std::cell::UnsafeCell;

/// A buffer of fixed length. Who writes which part, and when nobody writes, is for the caller to say:
/// so its methods are `unsafe`, and used in this folder only.
pub struct Shared<T>(Box<[UnsafeCell<T>]>);

// SAFETY: by the promises that callers of `read` and `part` make, no element is written by one thread
// while another uses it; with them this is a `Box<[T]>` that is split or shared at different times.
unsafe impl<T: Send + Sync> Sync for Shared<T> {}

impl<T> Shared<T> {
    /// Asks for elements that will be used soon. Only takes their address, so others may use them.
    pub fn prefetch(&self, offset: usize, len: usize) {
        prefetch(&self.0[offset..offset + len]);
    }
}

impl<T: Zeroable> Shared<T> {
    /// A buffer of zeros. With the programs' allocator ([`crate::device::allocator`]) those of a large one are written
    /// here if it is a kept one, and else by the kernel, for the threads that touch its pages first.
    pub fn zeros(len: usize) -> Self {
        let zeros = bytemuck::allocation::try_zeroed_slice_box(len);
        // Memory that there is not ends a program as it does everywhere else, not by a panic.
        let none = || Layout::array::<T>(len).unwrap_or(Layout::new::<T>());
        Shared(zeros.unwrap_or_else(|()| handle_alloc_error(none())))
    }
}

impl<T: Copy> Shared<T> {
    /// All elements.
    ///
    /// # Safety
    /// Nobody may hold a part of it while the result is alive.
    pub unsafe fn read(&self) -> &[T] {
        // SAFETY: `UnsafeCell<T>` has the layout of `T`; nobody writes by the caller's promise.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast(), self.0.len()) }
    }

    /// Elements `offset..offset + len`, to write.
    ///
    /// # Safety
    /// No two parts that are alive at the same time may overlap, and nobody may read the buffer.
    ///
    /// # Panics
    /// When the part is not inside the buffer.
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn part(&self, offset: usize, len: usize) -> &mut [T] {
        let part = &self.0[offset..offset + len];
        // SAFETY: inside the buffer by the line above, and a cell may be written through a shared
        // reference; nobody else uses the part by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(UnsafeCell::raw_get(part.as_ptr()), len) }
    }
}
