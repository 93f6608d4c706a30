//! Hints to the processor. They change no result, only when memory arrives.

/// Bytes of a cache line.
const LINE: usize = 64;

/// Asks for element `at` ahead of its use. Nothing happens if there is none, and where the processor
/// has no such instruction.
#[inline(always)]
pub fn prefetch<T>(of: &[T], at: usize) {
    #[cfg(target_arch = "x86_64")]
    if let Some(element) = of.get(at) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let first: *const i8 = std::ptr::from_ref(element).cast();
        for line in 0..size_of::<T>().div_ceil(LINE) {
            // SAFETY: the address is inside an element; the instruction itself cannot fault.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(first.add(line * LINE)) };
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (of, at);
}

/// `length` times `element`, in as large pages as the system gives: a table of a million keys is
/// read all over, and small pages cost a walk through the page tables at nearly every read.
pub fn table<T: Clone>(element: T, length: usize) -> Vec<T> {
    let mut table = Vec::with_capacity(length);
    #[cfg(target_os = "linux")]
    large_pages(table.as_mut_ptr(), length);
    table.resize(length, element);
    table
}

/// As [`table`], of what `items` gives.
pub fn collect<T>(items: impl ExactSizeIterator<Item = T>) -> Vec<T> {
    let mut table = Vec::with_capacity(items.len());
    #[cfg(target_os = "linux")]
    large_pages(table.as_mut_ptr(), items.len());
    table.extend(items);
    table
}

#[cfg(target_os = "linux")]
fn large_pages<T>(at: *mut T, length: usize) {
    /// Smaller ones fit the first level of the translation buffers, or nearly.
    const WORTH: usize = 4 << 20;
    const PAGE: usize = 4096;
    let bytes = length * size_of::<T>();
    if bytes < WORTH {
        return;
    }
    let first = (at as usize).next_multiple_of(PAGE);
    let end = (at as usize + bytes) & !(PAGE - 1);
    // SAFETY: whole pages inside an allocation of ours; the advice changes no contents. A system
    // that does not take it says so, and nothing is lost.
    unsafe {
        libc::madvise(
            first as *mut libc::c_void,
            end.saturating_sub(first),
            libc::MADV_HUGEPAGE,
        );
    }
}
