//! The programs' allocator: memory on huge pages, where the kernel has them.
//!
//! The kernel hands memory out, and clears it, page by page at the first touch. By pages of four kilobytes that
//! takes 1.3 microseconds each on a virtual machine, a third of the time of a fit of 128 pixels; by huge ones of
//! two megabytes a tenth of it. So large blocks have huge pages of their own, which the next may have after them, and
//! the heaps, where the others lie, are on huge pages too: that of the program ([`settle`]), and those that threads
//! have for themselves, as two that record and plan at the same time would each take twice as long with one.
//!
//! It is for programs to choose, which want both: `settle` first of all in `main`, and
//! `#[global_allocator] static MEMORY: oof::device::allocator::HugePages = oof::device::allocator::HugePages;`

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The size of a huge page.
const HUGE: usize = 2 << 20;

/// Blocks of at least this many bytes have huge pages of their own. Smaller ones would waste more than half of one.
const LARGE: usize = HUGE / 2;

/// The system's allocator, with huge pages for large blocks; on other systems than Linux, the system's allocator
/// unchanged.
pub struct HugePages;

// SAFETY: blocks below `LARGE` are the system allocator's, the others those of `large`, and which it is the size
// tells, that of the layout a block was given out with.
unsafe impl GlobalAlloc for HugePages {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match is_large(layout) {
            true => large::block(layout.size(), false),
            // SAFETY: by the caller's promise.
            false => noticed(unsafe { System.alloc(layout) }),
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        match is_large(layout) {
            true => large::block(layout.size(), true),
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
            (true, true) if large::whole(size) <= large::whole(layout.size()) => {
                // SAFETY: a block of this size is one of `large`.
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
            // SAFETY: a block of this size is one of `large`.
            true => unsafe { large::give_back(start, layout.size()) },
            // SAFETY: as above.
            false => unsafe { System.dealloc(start, layout) },
        }
    }
}

fn is_large(layout: Layout) -> bool {
    cfg!(target_os = "linux") && layout.size() >= LARGE && layout.align() <= HUGE
}

/// Blocks of memory that the kernel has mapped.
///
/// Those that are given back are kept for whoever asks next, for what is touched for the first time the kernel has to
/// find and to clear, and the host of a virtual machine too: two megabytes take 0.2 ms when the host has little to do,
/// and twenty times as long when it has much. Large blocks in use and kept are never more than were once in use.
mod large {
    use super::HUGE;
    use std::mem::{replace, take};
    use std::ptr::null_mut;
    use std::sync::{Mutex, MutexGuard, PoisonError};

    /// Pages are no larger on the machines that this is for.
    const PAGE: usize = 64 << 10;

    /// The most blocks that are kept.
    const PLACES: usize = 32;

    /// Large blocks, bytes of whole pages.
    pub struct Account {
        pub in_use: usize,
        /// The most that ever was.
        pub most: usize,
        /// What is kept: where it begins, and how long it is; nothing where that is 0.
        kept: [(usize, usize); PLACES],
    }

    static ACCOUNT: Mutex<Account> = Mutex::new(Account::NEW);

    /// (Whoever has it allocates nothing and does not panic.)
    fn account() -> MutexGuard<'static, Account> {
        ACCOUNT.lock().unwrap_or_else(PoisonError::into_inner)
    }

    impl Account {
        pub const NEW: Account = Account { in_use: 0, most: 0, kept: [(0, 0); PLACES] };

        /// Counts `size` bytes more, and gives back to the kernel as many of the kept ones as are then too many.
        pub fn use_more(&mut self, size: usize) {
            self.in_use += size;
            self.most = self.most.max(self.in_use);
            loop {
                let kept: usize = self.kept.iter().map(|block| block.1).sum();
                let excess = (self.in_use + kept).saturating_sub(self.most).next_multiple_of(HUGE);
                // From the end of the smallest that is long enough, or else all of the longest.
                let order =
                    |block: &&mut (usize, usize)| (block.1 < excess, block.1.abs_diff(excess));
                match self.kept.iter_mut().filter(|block| block.1 > 0).min_by_key(order) {
                    Some(block) if excess > 0 => {
                        let left = block.1.saturating_sub(excess);
                        let left = if left < HUGE { 0 } else { left };
                        // SAFETY: it is kept, so nobody has it, and from here on it is not.
                        unsafe { unmap((block.0 + left, block.1 - left)) };
                        *block = if left > 0 { (block.0, left) } else { (0, 0) };
                    }
                    _ => break,
                }
            }
        }

        /// A kept block of `size` bytes, cut off the smallest that is as long; not off one that is more than twice as
        /// long, which will be asked for again.
        pub fn take(&mut self, size: usize) -> Option<usize> {
            let fits = |block: &&mut (usize, usize)| block.1 >= size && block.1 / 2 <= size;
            let block = self.kept.iter_mut().filter(fits).min_by_key(|block| block.1)?;
            let (start, len) = take(block);
            // SAFETY: it was kept, and what is handed out ends where this begins.
            unsafe { self.keep(start + size, len - size) };
            Some(start)
        }

        /// Keeps what is left of a block from the border of a huge page on, if it is a huge page at least, and if not
        /// all places are taken by longer ones.
        ///
        /// # Safety
        /// They are whole pages that [`map`] has mapped and nobody uses.
        pub unsafe fn keep(&mut self, start: usize, len: usize) {
            let before = len.min(start.next_multiple_of(HUGE) - start);
            let block = (start + before, len - before);
            let shortest = self.kept.iter_mut().min_by_key(|block| block.1);
            let gone = match shortest {
                Some(place) if block.1 >= HUGE.max(place.1) => replace(place, block),
                _ => block,
            };
            // SAFETY: by the caller's promise, or of a block that was kept and is no longer.
            unsafe {
                unmap((start, before));
                unmap(gone);
            }
        }

        /// Gives all that is kept back to the kernel.
        fn let_go(&mut self) {
            // SAFETY: nobody has a block that is kept.
            self.kept.iter_mut().for_each(|block| unsafe { unmap(take(block)) });
        }
    }

    /// A block at the border of a huge page, of zeros where they are asked for; null where there is no memory.
    pub fn block(size: usize, zeros: bool) -> *mut u8 {
        if size > isize::MAX as usize - HUGE {
            return null_mut();
        }
        let whole = whole(size);
        let mut account = account();
        if let Some(start) = account.take(whole) {
            account.use_more(whole);
            drop(account);
            let start: *mut u8 = std::ptr::with_exposed_provenance_mut(start);
            if zeros {
                // SAFETY: a block of this size that was kept, and that nobody else knows of any more.
                unsafe { start.write_bytes(0, size) };
            }
            return start;
        }
        let most = account.most;
        account.use_more(whole);
        let mut start = map(whole);
        if start.is_null() {
            account.let_go();
            start = map(whole);
        }
        if start.is_null() {
            account.in_use -= whole;
            account.most = most;
        }
        start
    }

    /// A size in whole pages, and in whole huge ones where that wastes no more than half of one.
    pub fn whole(size: usize) -> usize {
        let huge = size.next_multiple_of(HUGE);
        if huge - size <= HUGE / 2 { huge } else { size.next_multiple_of(PAGE) }
    }

    /// New zeros, whole pages, at the border of a huge one; null where there is no memory.
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
        let at = start.expose_provenance();
        // SAFETY: what is before the border, and what is left after the block, nobody knows of. Advice changes no
        // content, and that the kernel has no huge pages does no harm.
        unsafe {
            unmap((at - before, before));
            unmap((at + size, more - before - size));
            #[cfg(target_os = "linux")]
            libc::madvise(start.cast(), size / HUGE * HUGE, libc::MADV_HUGEPAGE);
        }
        start
    }

    /// Gives whole pages back to the kernel.
    ///
    /// # Safety
    /// They are of [`map`], and nobody uses or keeps them.
    unsafe fn unmap((start, size): (usize, usize)) {
        if size > 0 {
            // SAFETY: by the caller's promise.
            unsafe { libc::munmap(std::ptr::with_exposed_provenance_mut(start), size) };
        }
    }

    /// Gives a block back.
    ///
    /// # Safety
    /// It is one of [`block`], of this size, and nobody uses it.
    pub unsafe fn give_back(start: *mut u8, size: usize) {
        // SAFETY: by the caller's promise, of which nothing is left then.
        unsafe { shorten(start, size, 0) };
    }

    /// Gives the end of a block back, beyond `size`.
    ///
    /// # Safety
    /// It is one of [`block`], of the `old` size, the new one takes no more pages, and nobody uses what is beyond.
    pub unsafe fn shorten(start: *mut u8, old: usize, size: usize) {
        let (from, to) = (whole(size), whole(old));
        let mut account = account();
        account.in_use -= to - from;
        // SAFETY: whole pages of a block, by the caller's promise.
        unsafe { account.keep(start.expose_provenance() + from, to - from) };
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
        /// What a heap has at first, and the program's grows by; those of threads, which would grow by single pages and
        /// so never on huge ones, have all at once. (What is not touched takes no memory.)
        const GROWTH: usize = 64 << 20;
        // SAFETY: settings of the allocator, which say themselves when they are not understood; the advice is for
        // whole huge pages between the heap's old end and its new one, and changes no content.
        unsafe {
            libc::mallopt(libc::M_ARENA_MAX, HEAPS as libc::c_int);
            libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE as libc::c_int);
            libc::mallopt(libc::M_TRIM_THRESHOLD, libc::c_int::MAX);
            libc::mallopt(libc::M_TOP_PAD, GROWTH as libc::c_int);
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
    #[cfg(target_os = "linux")]
    fn what_is_kept_serves_the_next_and_is_no_more_than_there_once_was() {
        let mut account = large::Account::NEW;
        account.use_more(8 * HUGE);
        let start = large::map(8 * HUGE).addr();
        account.in_use -= 8 * HUGE;
        // SAFETY: here and below, what nobody uses of a new block.
        unsafe { account.keep(start, 8 * HUGE) };
        // Not for one far shorter or longer. What is left of it begins on a huge page again.
        assert_eq!((account.take(3 * HUGE), account.take(9 * HUGE)), (None, None));
        let size = 5 * HUGE + HUGE / 4;
        assert_eq!(account.take(size), Some(start));
        account.use_more(size);
        // 5.75 in use and two kept are no more than the eight that once were; another half is, and one goes.
        account.use_more(HUGE / 2);
        assert_eq!(account.take(2 * HUGE), Some(start + 6 * HUGE));
        unsafe { account.keep(start + 6 * HUGE, 2 * HUGE) };
        account.use_more(HUGE / 2);
        assert_eq!((account.take(2 * HUGE), account.take(HUGE)), (None, Some(start + 6 * HUGE)));
        // Less than a huge page serves nobody.
        unsafe { account.keep(start + 6 * HUGE, HUGE / 2) };
        assert_eq!(account.take(HUGE / 2), None);
        assert_eq!(account.most, 8 * HUGE);
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
