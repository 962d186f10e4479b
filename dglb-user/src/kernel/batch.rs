//! Many elements of a map in one system call (`BPF_MAP_UPDATE_BATCH` and `BPF_MAP_LOOKUP_BATCH`, kernel
//! 5.6), which aya lacks.
//!
//! A million single updates are a million system calls; a batch takes a fifth of their time or less. It
//! is no transaction: elements become visible one by one, as with single updates. LPM tries have no
//! batch.

use std::{
    io,
    os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd},
};

use aya::Pod;
use nix::libc;

/// From how many elements on a batch is worth its set-up.
pub(super) const WORTHWHILE: usize = 16;

/// Of enum bpf_cmd (include/uapi/linux/bpf.h).
const BPF_MAP_CREATE: libc::c_int = 0;
/// Of enum bpf_cmd.
const BPF_MAP_LOOKUP_BATCH: libc::c_int = 24;
/// Of enum bpf_cmd.
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

/// The first members of union bpf_attr for `BPF_MAP_CREATE`.
#[repr(C)]
#[derive(Default)]
struct CreateAttributes {
    map_type: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    map_flags: u32,
}

/// Makes an array of words: aya's own has no descriptor to be had, which an outer map's batch needs.
///
/// # Errors
/// What the kernel said.
pub(super) fn create_words(len: u32) -> io::Result<OwnedFd> {
    /// Of enum bpf_map_type.
    const BPF_MAP_TYPE_ARRAY: u32 = 2;
    let mut attributes = CreateAttributes {
        map_type: BPF_MAP_TYPE_ARRAY,
        key_size: size_of::<u32>() as u32,
        value_size: size_of::<u64>() as u32,
        max_entries: len,
        map_flags: 0,
    };
    // SAFETY: this command reads the attributes, in which are no pointers.
    let descriptor = unsafe { call(BPF_MAP_CREATE, &mut attributes) }?;
    let descriptor = i32::try_from(descriptor).map_err(io::Error::other)?;
    // SAFETY: a new descriptor that nobody else has.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
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
    // SAFETY: this command reads `count` keys and values from the two slices, which outlive the call and
    // are that long, for `K` and `V` are the map's own types; it writes only `count`.
    unsafe { call(BPF_MAP_UPDATE_BATCH, &mut attributes) }.map(drop)
}

/// The first `len` elements of an array of words.
///
/// # Errors
/// What the kernel said; `UnexpectedEof` when there are fewer.
pub(super) fn words(map: BorrowedFd<'_>, len: usize) -> io::Result<Vec<u64>> {
    let mut keys = vec![0_u32; len];
    let mut values = vec![0_u64; len];
    let mut next = 0_u32;
    let mut attributes = BatchAttributes {
        out_batch: &raw mut next as u64,
        keys: keys.as_mut_ptr() as u64,
        values: values.as_mut_ptr() as u64,
        count: u32::try_from(len).map_err(io::Error::other)?,
        map_fd: map.as_raw_fd().cast_unsigned(),
        ..BatchAttributes::default()
    };
    // SAFETY: this command writes at most `count` keys of 4 octets, as arrays have, and as many values of
    // 8, which the caller says this map has, into vectors of that length that are used no more until it
    // is over; and one key into `next`.
    let result = unsafe { call(BPF_MAP_LOOKUP_BATCH, &mut attributes) };
    match result {
        // The end of the map was met.
        Err(error) if error.raw_os_error() != Some(libc::ENOENT) => return Err(error),
        _ => {}
    }
    if attributes.count as usize == len {
        Ok(values)
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

/// bpf(2).
///
/// # Safety
/// The attributes' pointers lead to memory that the command may read and write as it does.
unsafe fn call<A>(command: libc::c_int, attributes: &mut A) -> io::Result<libc::c_long> {
    // SAFETY: the attributes are as long as said, and the rest of the union counts as zero; for what their
    // pointers lead to the caller vouches.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, command, &raw mut *attributes, size_of::<A>()) };
    if result >= 0 {
        Ok(result)
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
