//! Where a name's slot is: a perfect hash by displacement (Belazzougui, Botelho, Dietzfelbinger: "Hash,
//! displace, and compress", 2009), in two arrays, whose look-ups cost the kernel program no call.
//!
//! The hash's first lane chooses a bucket, the bucket's displacement and the second lane choose the slot.
//! User space finds displacements under which no two names share a slot; the program reads one
//! displacement and one slot, and compares the slot's whole hash.

use crate::name::NameHash;

/// Displacements in one element: an array's elements take a multiple of 8 octets.
pub const DISPLACEMENTS_PER_ELEMENT: u32 = 4;

/// The bucket of a name; `mask` is the number of buckets, a power of two, less one.
#[inline(always)]
pub const fn bucket(hash: NameHash, mask: u32) -> u32 {
    hash.a as u32 & mask
}

/// The displacement of a bucket, out of the element that holds it.
#[inline(always)]
pub const fn displacement(element: u64, bucket: u32) -> u16 {
    (element >> ((bucket % DISPLACEMENTS_PER_ELEMENT) * 16)) as u16
}

/// The slot of a name; `mask` is the number of slots, a power of two, less one.
#[inline(always)]
pub const fn slot(hash: NameHash, displacement: u16, mask: u32) -> u32 {
    // The step is odd, so that it comes by all slots of a power of two.
    let step = (hash.b >> 32) as u32 | 1;
    (hash.b as u32).wrapping_add(step.wrapping_mul(displacement as u32)) & mask
}
