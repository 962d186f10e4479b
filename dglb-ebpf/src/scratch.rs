//! A frame's work in memory that the verifier knows less of than of the stack.

use dglb_common::name::MAX_LABELS;

/// Where each label of the name begins, counted from the name's first octet.
#[repr(C)]
pub struct Scratch {
    /// Entry n is for the n-th label from the left.
    pub starts: [u8; MAX_LABELS + 1],
    /// See [`Scratch::forget`].
    forgotten: u8,
}

impl Scratch {
    /// The same number, of which the verifier knows no more than that it is an octet.
    ///
    /// After a loop it knows it exactly, and would go through all that follows once for each turn
    /// at which the loop can end: more than a million instructions (kernel 6.18).
    #[inline(always)]
    pub fn forget(&mut self, number: usize) -> usize {
        let place = &raw mut self.forgotten;
        // SAFETY: a field of ours.
        unsafe { place.write_volatile(number as u8) };
        // SAFETY: as above.
        usize::from(unsafe { place.read_volatile() })
    }

    /// Start of a label; `label` is below the number of labels.
    #[inline(always)]
    pub fn start(&self, label: usize) -> usize {
        usize::from(self.starts[label & MAX_LABELS])
    }
}
