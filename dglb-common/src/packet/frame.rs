//! The checked accessor for packet memory.

use core::marker::PhantomData;

/// Memory of a frame, from some offset of it to its end. In the kernel it dies with
/// `bpf_xdp_adjust_head` and `bpf_xdp_adjust_tail`.
#[derive(Clone, Copy)]
pub struct Frame<'a> {
    start: usize,
    end: usize,
    memory: PhantomData<&'a [u8]>,
}

/// What can be read of a frame: all bit patterns are values of it.
///
/// # Safety
/// They are, and there is no padding.
pub unsafe trait Plain: Copy {}

// SAFETY: an integer.
unsafe impl Plain for u8 {}
// SAFETY: an integer.
unsafe impl Plain for u16 {}
// SAFETY: an integer.
unsafe impl Plain for u32 {}
// SAFETY: an integer.
unsafe impl Plain for u64 {}
// SAFETY: nothing but its elements.
unsafe impl<T: Plain, const N: usize> Plain for [T; N] {}

impl<'a> Frame<'a> {
    /// The memory from `start` up to `end`.
    ///
    /// # Safety
    /// It is readable and writable, by nobody else, as long as the frame is used.
    #[inline(always)]
    pub const unsafe fn new(start: usize, end: usize) -> Self {
        Self {
            start,
            end,
            memory: PhantomData,
        }
    }

    /// The octets of `memory`, on the host.
    pub fn of(memory: &'a mut [u8]) -> Self {
        let range = memory.as_mut_ptr_range();
        Self {
            start: range.start as usize,
            end: range.end as usize,
            memory: PhantomData,
        }
    }

    /// What is behind the first `octets`. They may be more than there are: then nothing can be read.
    ///
    /// In the kernel `octets` must be a number whose limits the verifier knows.
    #[inline(always)]
    pub fn skip(&self, octets: usize) -> Self {
        Self {
            start: bind(self.start + octets),
            ..*self
        }
    }

    /// Octets up to the end.
    #[inline(always)]
    pub fn len(&self) -> usize {
        self.end.wrapping_sub(self.start)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A pointer to a `T` at `offset`, of any alignment, if all of it lies in the frame: one comparison
    /// for all that is read or written by it.
    #[inline(always)]
    pub fn at<T>(&self, offset: usize) -> Option<*mut T> {
        let pointer = bind(self.start + offset);
        if pointer + size_of::<T>() > self.end {
            return None;
        }
        Some(pointer as *mut T)
    }

    /// The `T` at `offset`, of any alignment.
    #[inline(always)]
    pub fn read<T: Plain>(&self, offset: usize) -> Option<T> {
        let pointer = self.at::<T>(offset)?;
        // SAFETY: `at` has checked that all of it lies in the frame, and all bit patterns are values.
        Some(unsafe { pointer.read_unaligned() })
    }

    /// Writes `value` at `offset`.
    #[inline(always)]
    pub fn write<T: Plain>(&self, offset: usize, value: T) -> Option<()> {
        let pointer = self.at::<T>(offset)?;
        // SAFETY: `at` has checked that all of it lies in the frame.
        unsafe { pointer.write_unaligned(value) };
        Some(())
    }
}

/// The same number, of which LLVM knows nothing more.
///
/// It would else compute a packet pointer a second time for the use, or leave a comparison out that
/// follows from an earlier one; the verifier (kernel 6.18) knows neither, and refuses the access. The move
/// is there because an empty statement leaves two line records at one instruction ("Invalid line_info").
#[cfg(target_arch = "bpf")]
#[inline(always)]
pub fn bind(mut number: usize) -> usize {
    // SAFETY: moves a register to itself.
    unsafe {
        core::arch::asm!(
            "{0} = {0}",
            inout(reg) number,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    number
}

/// The same number: the host needs no more.
#[cfg(not(target_arch = "bpf"))]
#[inline(always)]
pub fn bind(number: usize) -> usize {
    number
}
