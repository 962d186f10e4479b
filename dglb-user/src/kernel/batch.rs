//! Many elements of a map in one system call (`BPF_MAP_UPDATE_BATCH`, kernel 5.6), which aya lacks.
//!
//! A million single updates are a million system calls; a batch takes a fifth of their time or less. It
//! is no transaction: elements become visible one by one, as with single updates. LPM tries have no
//! batch.

use std::{
    io,
    os::fd::{AsRawFd as _, BorrowedFd},
};

use aya::Pod;
use nix::libc;

/// From how many elements on a batch is worth its set-up.
pub(super) const WORTHWHILE: usize = 16;

/// `BPF_MAP_UPDATE_BATCH` of enum bpf_cmd (include/uapi/linux/bpf.h).
const BPF_MAP_UPDATE_BATCH: libc::c_int = 26;

/// The member `batch` of union bpf_attr (include/uapi/linux/bpf.h).
#[repr(C)]
#[derive(Default)]
struct BatchAttributes {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map_fd: u32,
    elem_flags: u64,
    flags: u64,
}

/// Sets `keys[i]` to `values[i]`, for all of them. `K` and `V` have the sizes of the map's keys and
/// values, which the caller has checked by its type.
///
/// # Errors
/// What the kernel said; some elements may be set then.
///
/// # Panics
/// When there are not as many keys as values.
pub(super) fn update<K: Pod, V: Pod>(
    map: BorrowedFd<'_>,
    keys: &[K],
    values: &[V],
) -> io::Result<()> {
    assert_eq!(keys.len(), values.len());
    let mut attributes = BatchAttributes {
        keys: keys.as_ptr() as u64,
        values: values.as_ptr() as u64,
        count: u32::try_from(keys.len()).map_err(io::Error::other)?,
        map_fd: map.as_raw_fd().cast_unsigned(),
        ..BatchAttributes::default()
    };
    // SAFETY: bpf(2) with this command reads `count` keys and values from the two slices, which outlive
    // the call and are that long, for `K` and `V` are the map's own types; it writes only `count`. The
    // attributes are as long as said, and the rest of the union counts as zero.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            BPF_MAP_UPDATE_BATCH,
            &raw mut attributes,
            size_of::<BatchAttributes>(),
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Whether the kernel has no batch for this map: one by one it goes all the same.
pub(super) fn is_unsupported(error: &io::Error) -> bool {
    /// Of the kernel alone (include/linux/errno.h).
    const ENOTSUPP: i32 = 524;
    matches!(
        error.raw_os_error(),
        Some(ENOTSUPP | libc::EINVAL | libc::EOPNOTSUPP)
    )
}
