//! The programs' allocator: the system's, which is asked for huge pages where much is wanted.
//!
//! Maps and spectra of a hundred megabytes are touched once by each of many short steps; by pages of four
//! kilobytes, the kernel's work for the pages takes as long as ours for the numbers. It is for programs to
//! choose: `#[global_allocator] static MEMORY: oof::device::allocator::HugePages = oof::device::allocator::HugePages;`

use std::alloc::{GlobalAlloc, Layout, System};

/// From so many bytes on huge pages are asked for.
const LARGE: usize = 4 << 20;

/// The system's allocator, with huge pages for what is large. Elsewhere than on Linux just the former.
pub struct HugePages;

/// Asks for huge pages; that the kernel has none does no harm.
fn advise(start: *mut u8, size: usize) {
    #[cfg(target_os = "linux")]
    if size >= LARGE && !start.is_null() {
        const HUGE: usize = 2 << 20;
        let offset = start.align_offset(HUGE);
        let len = size.saturating_sub(offset) / HUGE * HUGE;
        // SAFETY: whole pages inside an allocation of our own; the advice changes no content.
        unsafe { libc::madvise(start.wrapping_add(offset).cast(), len, libc::MADV_HUGEPAGE) };
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (start, size, LARGE);
}

// SAFETY: everything is the system allocator's own; in between, memory is only advised about.
unsafe impl GlobalAlloc for HugePages {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: by the caller's promise.
        let start = unsafe { System.alloc(layout) };
        advise(start, layout.size());
        start
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        let start = unsafe { System.alloc_zeroed(layout) };
        advise(start, layout.size());
        start
    }

    unsafe fn realloc(&self, start: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above.
        let start = unsafe { System.realloc(start, layout, size) };
        advise(start, size);
        start
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(start, layout) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_allocations_keep_what_is_written_to_them() {
        for size in [100, LARGE, LARGE + 12345] {
            let layout = Layout::from_size_align(size, 64).unwrap();
            // SAFETY: the layouts have a size, and what is allocated is freed with its own.
            unsafe {
                let start = HugePages.alloc_zeroed(layout);
                assert!(!start.is_null() && *start.add(size - 1) == 0);
                *start.add(size - 1) = 7;
                *start = 9;
                let start = HugePages.realloc(start, layout, 2 * size);
                assert_eq!((*start, *start.add(size - 1)), (9, 7));
                HugePages.dealloc(start, Layout::from_size_align(2 * size, 64).unwrap());
            }
        }
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
    #[cfg(target_os = "linux")]
    fn large_allocations_are_advised_about() {
        if !std::path::Path::new("/sys/kernel/mm/transparent_hugepage").exists() {
            eprintln!("skipped: this kernel has no huge pages");
            return;
        }
        let advised = |size: usize| {
            let layout = Layout::from_size_align(size, 64).unwrap();
            // SAFETY: the layout has a size, and what is allocated is freed with it.
            unsafe {
                let start = HugePages.alloc(layout);
                let flags = flags(start.addr() + size / 2).expect("a mapping with flags");
                HugePages.dealloc(start, layout);
                flags.split_whitespace().any(|flag| flag == "hg")
            }
        };
        // (Of a small one nothing can be said: it may come to lie where a large one was.)
        assert!(advised(4 * LARGE));
    }
}
