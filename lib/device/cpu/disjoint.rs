//! A buffer that several threads write, each its own part.

use std::marker::PhantomData;

/// A mutable slice whose parts may be borrowed from several threads at once.
pub struct Disjoint<'a, T> {
    start: *mut T,
    len: usize,
    borrow: PhantomData<&'a mut [T]>,
}

// SAFETY: a `Disjoint` only hands out parts that the caller of `slice` has promised do not overlap;
// with that promise it is a `&mut [T]` split in advance, and those are Send and Sync for `T: Send`.
unsafe impl<T: Send> Send for Disjoint<'_, T> {}
unsafe impl<T: Send> Sync for Disjoint<'_, T> {}

impl<'a, T> Disjoint<'a, T> {
    pub fn new(values: &'a mut [T]) -> Self {
        Disjoint {
            start: values.as_mut_ptr(),
            len: values.len(),
            borrow: PhantomData,
        }
    }

    /// Elements `offset..offset + len`.
    ///
    /// # Safety
    /// No two parts that are alive at the same time may overlap.
    ///
    /// # Panics
    /// When the part is not inside the buffer.
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn slice(&self, offset: usize, len: usize) -> &mut [T] {
        assert!(
            offset + len <= self.len,
            "a part must lie inside the buffer"
        );
        // SAFETY: inside the buffer by the line above; not shared by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(offset), len) }
    }
}
