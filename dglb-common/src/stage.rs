//! The stages of the kernel program, and where the loader puts them.

/// Index of `dglb_choose` in `stages`.
pub const CHOOSE: u32 = 0;
/// Index of `dglb_reply` in `stages`.
pub const REPLY: u32 = 1;
/// Stages behind the first one, which is attached.
pub const STAGES: usize = 2;
/// The programs in the order of their indices.
pub const PROGRAMS: [&str; STAGES] = ["dglb_choose", "dglb_reply"];
