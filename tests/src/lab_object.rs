//! The lab's own eBPF programs. Filled in when the build embeds them; loading fails until then.

/// The object file.
pub const OBJECT: &[u8] = &[];
