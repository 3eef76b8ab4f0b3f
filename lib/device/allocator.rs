//! The programs' allocator: memory on huge pages, where the kernel has them.
//!
//! The kernel hands memory out, and clears it, page by page at the first touch. By pages of four kilobytes that
//! takes 1.3 microseconds each on a virtual machine, a third of the time of a fit of 128 pixels; by huge ones of
//! two megabytes a tenth of it. So large blocks come straight from the kernel, at the borders of huge pages, and
//! the heaps, where the others lie, are on huge pages too: that of the program ([`settle`]), and those that threads
//! have for themselves, as two that record and plan at the same time would each take twice as long with one.
//!
//! It is for programs to choose, which want both: `settle` first of all in `main`, and
//! `#[global_allocator] static MEMORY: oof::device::allocator::HugePages = oof::device::allocator::HugePages;`

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The size of a huge page.
const HUGE: usize = 2 << 20;

/// Blocks of so many bytes come from the kernel. One that is smaller has no huge page of its own.
const LARGE: usize = HUGE;

/// The system's allocator, with huge pages for what is large. Elsewhere than on Linux just the former.
pub struct HugePages;

// SAFETY: blocks below `LARGE` are the system allocator's, the others a mapping each, and which it is the size
// tells, that of the layout a block was given out with.
unsafe impl GlobalAlloc for HugePages {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match is_large(layout) {
            true => large::map(layout.size()),
            // SAFETY: by the caller's promise.
            false => noticed(unsafe { System.alloc(layout) }),
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        match is_large(layout) {
            // The kernel's memory is zero.
            true => large::map(layout.size()),
            // SAFETY: as above.
            false => noticed(unsafe { System.alloc_zeroed(layout) }),
        }
    }

    unsafe fn realloc(&self, start: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller promises that `size` is a valid size for this alignment.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        match (is_large(layout), is_large(wanted)) {
            // SAFETY: as above.
            (false, false) => return unsafe { System.realloc(start, layout, size) },
            (true, true) if size <= layout.size() => {
                // SAFETY: a block of this size is a mapping of it.
                unsafe { large::shorten(start, layout.size(), size) };
                return start;
            }
            // (`mremap` could spare the copy of a large one, but before Linux 6.17 not where advice has split its
            // mapping in two.)
            _ => {}
        }
        // SAFETY: both blocks are at least as long as what is copied, and the old one is the caller's, who gives it
        // back.
        unsafe {
            let new = self.alloc(wanted);
            if !new.is_null() {
                std::ptr::copy_nonoverlapping(start, new, layout.size().min(size));
                self.dealloc(start, layout);
            }
            new
        }
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        match is_large(layout) {
            // SAFETY: a block of this size is a mapping of it.
            true => unsafe { large::unmap(start, layout.size()) },
            // SAFETY: as above.
            false => unsafe { System.dealloc(start, layout) },
        }
    }
}

fn is_large(layout: Layout) -> bool {
    cfg!(target_os = "linux") && layout.size() >= LARGE && layout.align() <= HUGE
}

/// Blocks that are mappings.
#[cfg(target_os = "linux")]
mod large {
    use super::HUGE;
    use std::ptr::null_mut;

    /// New zeros at the border of a huge page; null where there is no memory.
    pub fn map(size: usize) -> *mut u8 {
        let Some(more) = size.checked_add(HUGE) else { return null_mut() };
        let (access, kind) =
            (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping where the kernel likes; it touches nothing that is there.
        let all = unsafe { libc::mmap(null_mut(), more, access, kind, -1, 0) };
        if all == libc::MAP_FAILED {
            return null_mut();
        }
        let all: *mut u8 = all.cast();
        let before = all.align_offset(HUGE);
        let start = all.wrapping_add(before);
        // SAFETY: nobody knows of these parts of the mapping yet: what is before the border, and what is left
        // after the block. (`munmap` takes whole pages; the page in which the block ends stays.)
        unsafe {
            if before > 0 {
                libc::munmap(all.cast(), before);
            }
            let end = page_end(size);
            let after = (more - before).saturating_sub(end);
            if after > 0 {
                libc::munmap(start.wrapping_add(end).cast(), after);
            }
            // That the kernel has no huge pages does no harm.
            libc::madvise(start.cast(), size / HUGE * HUGE, libc::MADV_HUGEPAGE);
        }
        start
    }

    /// Gives a block back.
    ///
    /// # Safety
    /// It is one of [`map`], of this size, and nobody uses it.
    pub unsafe fn unmap(start: *mut u8, size: usize) {
        // SAFETY: by the caller's promise.
        unsafe { libc::munmap(start.cast(), page_end(size)) };
    }

    /// Gives the end of a block back, beyond `size`.
    ///
    /// # Safety
    /// It is one of [`map`], of the `old` size, which is not less, and nobody uses its end.
    pub unsafe fn shorten(start: *mut u8, old: usize, size: usize) {
        let (from, to) = (page_end(size), page_end(old));
        if from < to {
            // SAFETY: whole pages at the end of a mapping that is the caller's.
            unsafe { libc::munmap(start.wrapping_add(from).cast(), to - from) };
        }
    }

    /// A size up to the end of its last page.
    fn page_end(size: usize) -> usize {
        // SAFETY: asks for a number.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize;
        size.next_multiple_of(page)
    }
}

#[cfg(not(target_os = "linux"))]
mod large {
    pub fn map(_: usize) -> *mut u8 {
        unreachable!("no block is large here")
    }

    pub unsafe fn unmap(_: *mut u8, _: usize) {
        unreachable!("no block is large here")
    }

    pub unsafe fn shorten(_: *mut u8, _: usize, _: usize) {
        unreachable!("no block is large here")
    }
}

/// How many heaps there may be: each takes a huge page at least.
const HEAPS: usize = 8;

thread_local! {
    /// Whether this thread has a block.
    static KNOWN: Cell<bool> = const { Cell::new(false) };
}

/// A block of this thread, which may be its first.
#[inline(always)]
fn noticed(start: *mut u8) -> *mut u8 {
    if !KNOWN.get() && !start.is_null() {
        KNOWN.set(true);
        first_of_thread(start);
    }
    start
}

/// Has the heap of a thread's first block on huge pages, if it is one that the C library has for such threads.
#[cold]
fn first_of_thread(start: *mut u8) {
    let _ = start;
    #[cfg(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64"))]
    {
        use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
        /// The size of such a heap, and what its address is a multiple of.
        const HEAP: usize = 64 << 20;
        /// The addresses of those that are on huge pages.
        static SEEN: [AtomicUsize; HEAPS] = [const { AtomicUsize::new(0) }; HEAPS];
        let heap = start.wrapping_sub(start.addr() % HEAP);
        let take =
            |seen: &AtomicUsize| match seen.compare_exchange(0, heap.addr(), Relaxed, Relaxed) {
                Ok(_) => Some(true),
                Err(other) => (other == heap.addr()).then_some(false),
            };
        // SAFETY: asks for a number; advice changes no content, wherever it is about (it fails where the C library
        // has other heaps than these); and a block that nobody knows of may have any content.
        unsafe {
            // The program's own heap lies below.
            if start.addr() > libc::sbrk(0).addr() && SEEN.iter().find_map(take) == Some(true) {
                libc::madvise(heap.cast(), HEAP, libc::MADV_HUGEPAGE);
                // The first pages are in use already, so that there is no huge one in their place: nothing more is
                // to lie there. (What is not touched takes no memory.)
                std::hint::black_box(libc::malloc(HUGE - start.addr() % HUGE));
            }
        }
    }
}

/// Makes the heaps of the C library ready for programs that come, compute and go: they begin on huge pages, grow by
/// many pages at a time, serve no more than a few threads each, and give nothing back. For the beginning of a program.
pub fn settle() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        /// What a heap has at first, and the program's grows by.
        const HEAP: usize = 16 << 20;
        // SAFETY: settings of the allocator, which say themselves when they are not understood; the advice is for
        // whole huge pages between the heap's old end and its new one, and changes no content.
        unsafe {
            libc::mallopt(libc::M_ARENA_MAX, HEAPS as libc::c_int);
            libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE as libc::c_int);
            libc::mallopt(libc::M_TRIM_THRESHOLD, libc::c_int::MAX);
            libc::mallopt(libc::M_TOP_PAD, HEAP as libc::c_int);
            let before = libc::sbrk(0) as usize;
            // More than there is, so that the heap grows.
            libc::free(std::hint::black_box(libc::malloc(LARGE / 2)));
            let (from, to) = (before.next_multiple_of(HUGE), libc::sbrk(0) as usize / HUGE * HUGE);
            if from < to {
                let start = std::ptr::with_exposed_provenance_mut(from);
                libc::madvise(start, to - from, libc::MADV_HUGEPAGE);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_keep_what_is_written_to_them_as_they_grow_and_shrink() {
        let longer = 3 * LARGE + 12345;
        let sizes = [100, LARGE - 1, LARGE, LARGE + 1, longer, 2 * LARGE, LARGE / 2, 7];
        let layout = |size| Layout::from_size_align(size, 64).unwrap();
        // SAFETY: the layouts have a size, and what is allocated is given back with its own.
        unsafe {
            let mut size = sizes[0];
            let mut start = HugePages.alloc_zeroed(layout(size));
            for next in sizes {
                let last = size.min(next) - 1;
                *start.add(last) = 5;
                *start = 9;
                start = HugePages.realloc(start, layout(size), next);
                assert!(!start.is_null() && start.addr().is_multiple_of(64));
                assert_eq!((*start, *start.add(last)), (9, 5), "{size} to {next}");
                size = next;
                // The new end is there too.
                *start.add(size - 1) = 7;
            }
            HugePages.dealloc(start, layout(size));
            for size in sizes {
                let start = HugePages.alloc_zeroed(layout(size));
                assert_eq!((*start, *start.add(size - 1)), (0, 0));
                HugePages.dealloc(start, layout(size));
            }
        }
    }

    #[test]
    fn more_than_there_can_be_is_no_block() {
        let layout = Layout::from_size_align(isize::MAX as usize - 63, 64).unwrap();
        // SAFETY: the layout has a size.
        assert!(unsafe { HugePages.alloc(layout) }.is_null());
    }

    /// What the kernel has noted of the mapping that an address lies in, `hg` for advice of huge pages.
    #[cfg(target_os = "linux")]
    fn flags(address: usize) -> Option<String> {
        let maps = std::fs::read_to_string("/proc/self/smaps").ok()?;
        let mut inside = false;
        for line in maps.lines() {
            let range = line.split(' ').next().and_then(|range| range.split_once('-'));
            let hex = |text: &str| usize::from_str_radix(text, 16).ok();
            if let Some((Some(from), Some(to))) = range.map(|(a, b)| (hex(a), hex(b))) {
                inside = (from..to).contains(&address);
            } else if inside && let Some(flags) = line.strip_prefix("VmFlags:") {
                return Some(flags.into());
            }
        }
        None
    }

    #[test]
    #[cfg(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64"))]
    fn the_heap_of_a_thread_is_advised_about() {
        if !std::path::Path::new("/sys/kernel/mm/transparent_hugepage").exists() {
            eprintln!("skipped: this kernel has no huge pages");
            return;
        }
        let layout = Layout::from_size_align(100_000, 64).unwrap();
        // SAFETY: the layout has a size, and what is allocated is given back with it.
        let of_block = move || unsafe {
            let start = HugePages.alloc(layout);
            let flags = flags(start.addr()).expect("a mapping with flags");
            HugePages.dealloc(start, layout);
            flags
        };
        let flags = std::thread::spawn(of_block).join().unwrap();
        assert!(flags.split_whitespace().any(|flag| flag == "hg"), "{flags}");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn large_blocks_begin_on_huge_pages_and_are_advised_about() {
        if !std::path::Path::new("/sys/kernel/mm/transparent_hugepage").exists() {
            eprintln!("skipped: this kernel has no huge pages");
            return;
        }
        let layout = Layout::from_size_align(4 * LARGE + 5000, 64).unwrap();
        // SAFETY: the layout has a size, and what is allocated is given back with it.
        let (start, flags) = unsafe {
            let start = HugePages.alloc(layout);
            let flags = flags(start.addr() + LARGE).expect("a mapping with flags");
            HugePages.dealloc(start, layout);
            (start.addr(), flags)
        };
        assert!(start.is_multiple_of(HUGE));
        assert!(flags.split_whitespace().any(|flag| flag == "hg"), "{flags}");
    }
}
