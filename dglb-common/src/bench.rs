//! What the benchmark's kernel programs (`dglb-ebpf/src/bin/lab/bench.rs`) share with its user
//! space: keys are 0 throughout, or stand at the map.
//!
//! No padding: user space writes and reads these structs as bytes.

/// Octets of a frame as it is fed to the generator, before it is cut to the query's length. The
/// same for every measure, so that the generator's work is; room for a query of 127 octets.
pub const FED: usize = 128;

/// The longest reply that can be expected.
pub const MAX_REPLY: usize = 512;

/// Words of a reply that are compared in every frame: all headers, and 10 octets of the question.
pub const HEAD_WORDS: usize = 8;

/// One frame in this many is compared to its last octet.
pub const SAMPLE: u64 = 64;

/// Offset of the UDP source port in a frame.
pub const SOURCE_PORT: usize = 34;
/// Offset of the UDP destination port.
pub const DESTINATION_PORT: usize = 36;
/// Offset of the DNS message's ID.
pub const ID: usize = 42;

/// Queries differ in ID and source port: the ID counts up from [`FIRST_ID`] and the port down from
/// [`FIRST_PORT`], by this many steps. So their sum, and with it the UDP checksum, stays.
pub const STEPS: u64 = 0x4000;
/// The ID of the first query.
pub const FIRST_ID: u16 = 0x1000;
/// The source port of the first query.
pub const FIRST_PORT: u16 = 0xf000;
/// ID and both ports of every query, and of every right reply.
pub const SUM: u32 = FIRST_ID as u32 + FIRST_PORT as u32 + 53;

/// What the generator sends; map `bench_query`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Query {
    /// The frame; behind it octets that no answer may let through.
    pub words: [u64; FED / 8],
    /// Octets of the frame.
    pub len: u32,
    /// Index of the interface that it leaves by.
    pub interface: u32,
}

/// What must come back; map `bench_expected`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    /// The reply, zeros where it differs from frame to frame and behind its end.
    pub words: [u64; MAX_REPLY / 8],
    /// Zeros where the reply differs from frame to frame, all else ones.
    pub mask: [u64; HEAD_WORDS],
    /// Octets of the reply.
    pub len: u64,
    /// The clock is read when so many replies have come,
    pub first: u64,
    /// and when so many have.
    pub last: u64,
}

/// What was sent; map `bench_sent`, a CPU each.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Sent {
    /// Frames.
    pub frames: u64,
}

/// What came back; map `bench_received`, a CPU each.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Received {
    /// Frames.
    pub frames: u64,
    /// Those that are not as expected.
    pub wrong: u64,
    /// Those that were compared to the last octet.
    pub sampled: u64,
    /// CLOCK_MONOTONIC at [`Expected::first`], nanoseconds.
    pub first_ns: u64,
    /// CLOCK_MONOTONIC at [`Expected::last`], nanoseconds.
    pub last_ns: u64,
}

/// A frame that came back; map `bench_seen`, a CPU each.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// The frame, cut to [`MAX_REPLY`].
    pub words: [u64; MAX_REPLY / 8],
    /// Its octets.
    pub len: u64,
}

/// Key in `bench_seen` of the last frame that was compared to its end.
pub const SEEN_SAMPLE: u32 = 0;
/// Key in `bench_seen` of the first frame that is not as expected.
pub const SEEN_WRONG: u32 = 1;

const _: () = {
    assert!(size_of::<Query>() == FED + 8);
    assert!(size_of::<Expected>() == MAX_REPLY + 8 * HEAD_WORDS + 24);
    assert!(size_of::<Received>() == 40);
    assert!(size_of::<Seen>() == MAX_REPLY + 8);
};

#[cfg(feature = "user")]
mod pod {
    macro_rules! pod {
        ($($name:ident)+) => {
            $(
                // SAFETY: `repr(C)`, integers only, without padding: the sizes are asserted above.
                unsafe impl aya::Pod for super::$name {}
            )+
        };
    }

    pod!(Query Expected Sent Received Seen);
}
