//! The kernel program as `cargo xtask build` built it, carried inside this binary. The loader takes
//! it from here; `build.rs` says where it comes from.

use thiserror::Error;

/// This binary carries no kernel program.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("built without the kernel program: run `cargo xtask build`")]
pub struct NotBuilt;

/// The ELF object of the kernel program, aligned as the loader needs it. Empty if it was not
/// built; [`object`] checks that.
pub const OBJECT: &[u8] = aya::include_bytes_aligned!(env!("DGLB_EBPF_OBJECT_PATH"));

/// The ELF object of the kernel program.
///
/// # Errors
/// [`NotBuilt`]: this binary was built by plain `cargo build` before `cargo xtask build` ever ran.
pub fn object() -> Result<&'static [u8], NotBuilt> {
    checked(OBJECT)
}

fn checked(object: &'static [u8]) -> Result<&'static [u8], NotBuilt> {
    if object.is_empty() {
        Err(NotBuilt)
    } else {
        Ok(object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ELF, 64 bits, little-endian; relocatable, for the machine BPF (247).
    #[test]
    fn what_is_carried_is_a_bpf_object_or_nothing() {
        if let Ok(object) = object() {
            assert_eq!(&object[..6], b"\x7fELF\x02\x01");
            assert_eq!(&object[16..20], &[1, 0, 247, 0]);
            assert_eq!(object.as_ptr().align_offset(8), 0);
        }
    }

    #[test]
    fn an_empty_object_is_refused_with_what_to_do() {
        let error = checked(&[]).unwrap_err();
        assert!(error.to_string().contains("cargo xtask build"), "{error}");
    }
}
