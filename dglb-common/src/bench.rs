//! What the benchmark's kernel programs (`dglb-ebpf/src/bin/lab/bench.rs`) share with its user
//! space: keys are 0 throughout, or stand at the map.
//!
//! No padding: user space writes and reads these structs as bytes.

/// Octets that the generator writes of each frame before it cuts it to the query's length, the same
/// for every measure, so that its work is; room for a query of 127 octets.
pub const FED: usize = 128;

/// The same for streams with names of any length: room for 255 octets of name.
pub const FED_LONG: usize = 328;

/// The longest reply that can be expected.
pub const MAX_REPLY: usize = 512;

/// Words of a reply that are compared under a mask: all headers, and 10 octets of the question.
pub const HEAD_WORDS: usize = 8;

/// One reply in this many is kept whole for user space.
pub const SAMPLE: u64 = 256;

/// Replies that are kept of one run on one CPU, at most.
pub const SAMPLES: u32 = 2048;

/// CPUs whose samples are kept apart, by the lowest bit of the CPU's number.
pub const LANES: u32 = 2;

/// Queries in an element of `bench_streams`.
pub const BLOCK: usize = 64;

/// Offset of the IPv4 checksum in a frame.
pub const IP_CHECK: usize = 24;
/// Offset of the IPv4 source address.
pub const SOURCE: usize = 26;
/// Offset of the IPv4 destination address.
pub const DESTINATION: usize = 30;
/// Offset of the UDP source port.
pub const SOURCE_PORT: usize = 34;
/// Offset of the UDP destination port.
pub const DESTINATION_PORT: usize = 36;
/// Offset of the UDP checksum.
pub const UDP_CHECK: usize = 40;
/// Offset of the DNS message's ID.
pub const ID: usize = 42;
/// Offset of the question's name.
pub const NAME: usize = 54;

/// Highest offset of the octets of the name that differ from query to query.
pub const MAX_VARIED: usize = FED - 8;

/// What differs from query to query, and from reply to reply; as it stands in a frame, read natively.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Who asks.
    pub source: u32,
    /// Port that asks.
    pub port: u16,
    /// ID of the message.
    pub id: u16,
    /// IPv4 checksum of the query, and of a reflected one.
    pub ip_check: u16,
    /// UDP checksum of the query, and of a reflected one.
    pub udp_check: u16,
    /// IPv4 checksum of the right answer.
    pub reply_ip_check: u16,
    /// UDP checksum of the right answer.
    pub reply_udp_check: u16,
    /// 8 octets of the question, at [`Query::name_at`].
    pub name: u64,
    /// The last 8 octets of the right answer.
    pub tail: u64,
}

/// Queries one after another; map `bench_streams`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Block {
    /// In the order in which they are sent.
    pub entries: [Entry; BLOCK],
}

/// A place among the streams.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Key in `bench_streams` of the first element.
    pub first: u32,
    /// Elements of the stream, a power of two, less one: behind its end it begins again.
    pub mask: u32,
}

/// What the generator sends; map `bench_query`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Query {
    /// The frame, without what differs; behind it octets that no answer may let through.
    pub words: [u64; FED_LONG / 8],
    /// Octets of the frame.
    pub len: u32,
    /// Octets that are written of each frame: [`FED`] or [`FED_LONG`].
    pub fed: u32,
    /// Index of the interface that it leaves by.
    pub interface: u32,
    /// Offset of [`Entry::name`]; at most [`MAX_VARIED`].
    pub name_at: u32,
    /// What differs.
    pub stream: Place,
}

/// What must come back; map `bench_expected`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    /// The first octets of the reply, zeros where it differs from reply to reply.
    pub words: [u64; HEAD_WORDS],
    /// Zeros where the reply differs, all else ones.
    pub mask: [u64; HEAD_WORDS],
    /// The last 8 octets of a reflected query.
    pub tail: u64,
    /// Octets of the reply.
    pub len: u64,
    /// Offset of its last 8 octets.
    pub tail_at: u64,
    /// The clock is read when so many replies have come on a CPU,
    pub first: u64,
    /// and when so many have.
    pub last: u64,
    /// Not 0: the query comes back, with its checksums.
    pub reflected: u32,
    /// As in the query.
    pub name_at: u32,
    /// What differs.
    pub stream: Place,
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
    /// Those that were kept whole.
    pub sampled: u64,
    /// CLOCK_MONOTONIC at [`Expected::first`], nanoseconds.
    pub first_ns: u64,
    /// CLOCK_MONOTONIC at [`Expected::last`], nanoseconds.
    pub last_ns: u64,
}

/// A frame that came back; maps `bench_samples`, and `bench_wrong`, a CPU each.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// The frame, cut to [`MAX_REPLY`].
    pub words: [u64; MAX_REPLY / 8],
    /// Its octets.
    pub len: u64,
    /// How many came before it on this CPU.
    pub index: u64,
}

const _: () = {
    assert!(size_of::<Entry>() == 32);
    assert!(size_of::<Block>() == 32 * BLOCK);
    assert!(size_of::<Query>() == FED_LONG + 24);
    assert!(size_of::<Expected>() == 16 * HEAD_WORDS + 56);
    assert!(size_of::<Received>() == 40);
    assert!(size_of::<Seen>() == MAX_REPLY + 16);
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

    pod!(Block Query Expected Sent Received Seen);
}
