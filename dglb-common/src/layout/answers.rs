//! Rankings, rows of buckets, and ready answers.

/// Octets of resource records that one ready answer may have.
pub const MAX_ANSWER_OCTETS: usize = 512;

/// Compression pointers in one ready answer.
pub const MAX_POINTERS: usize = 8;

/// Smaller variants that a ready answer may have, one after another.
pub const MAX_VARIANTS: usize = 8;

/// Words in one page of rankings.
pub const RANKING_PAGE: usize = 4096;

/// Kinds of answer that a group has in the rankings.
pub const KINDS: usize = 16;

/// Words in one row of buckets: so many that shares are within 1 %.
pub const BUCKETS: usize = 128;

/// One word of the rankings, of a row of buckets, or of an answer's smaller variant: which ready
/// answer, and its generation; in the rankings also which row of buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnswerRef(pub u64);

impl AnswerRef {
    const READY: u64 = 1 << 63;
    const BUCKETS: u64 = 1 << 62;
    const WATCHED: u64 = 1 << 31;

    /// No answer yet.
    pub const NONE: Self = Self(0);

    /// The answer in `slot`, which is below 2^31, and whose `generation` is below 2^30.
    pub const fn new(slot: u32, generation: u32) -> Self {
        Self(Self::READY | (generation as u64 & 0x3fff_ffff) << 32 | slot as u64)
    }

    /// The answers in a row of buckets: the client chooses which.
    pub const fn buckets(row: u32) -> Self {
        Self(Self::READY | Self::BUCKETS | row as u64)
    }

    /// Whether there is an answer.
    #[inline(always)]
    pub const fn is_ready(self) -> bool {
        self.0 & Self::READY != 0
    }

    /// Whether [`Self::slot`] is a row of buckets.
    #[inline(always)]
    pub const fn is_buckets(self) -> bool {
        self.0 & Self::BUCKETS != 0
    }

    /// Index in `answers`, or in `buckets`.
    #[inline(always)]
    pub const fn slot(self) -> u32 {
        (self.0 & (Self::WATCHED - 1)) as u32
    }

    /// Whether user space wants to be told when this is answered; only in the rankings.
    #[inline(always)]
    pub const fn is_watched(self) -> bool {
        self.0 & Self::WATCHED != 0
    }

    /// The same answer, watched or not.
    pub const fn watched(self, watched: bool) -> Self {
        match watched {
            true => Self(self.0 | Self::WATCHED),
            false => Self(self.0 & !Self::WATCHED),
        }
    }

    /// What the slot's generation must be.
    #[inline(always)]
    pub const fn generation(self) -> u32 {
        (self.0 >> 32) as u32 & 0x3fff_ffff
    }
}

/// Element of `buckets`: the words of one row.
pub type BucketRow = [u64; BUCKETS];

/// The place of a word of the rankings: page (for the outer map) and index in that page. `groups` are those
/// of each vantage.
///
/// Vantage by vantage without a gap: words of a thousand vantages at the same place of as many pages would
/// meet in a few sets of the processor's cache.
#[inline(always)]
pub const fn ranking_place(groups: u32, vantage: u32, group: u32, kind: u32) -> (u32, u32) {
    let word = (vantage * groups + group) * KINDS as u32 + kind;
    (word / RANKING_PAGE as u32, word % RANKING_PAGE as u32)
}

/// What `events` carries: a service was asked for whose answer is watched.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WatchedEvent {
    /// Its group.
    pub group: u32,
    /// Zero.
    pub reserved: u32,
}

/// Octets of the ring buffer `events`.
pub const EVENTS_OCTETS: usize = 1 << 16;

/// Words in `told`: groups that are told apart for their pauses.
pub const TOLD_GROUPS: usize = 1024;

/// The referral: N's, or in form C a label's.
pub const KIND_REFERRAL: u32 = 0;

/// The CNAME of form C.
pub const KIND_CNAME: u32 = 1;

/// The referral to this vantage for a label that nobody has: like `KIND_REFERRAL`, with a small TTL.
pub const KIND_UNKNOWN_LABEL: u32 = 2;

/// Answer to A.
pub const KIND_A: u32 = 3;

/// Answer to AAAA.
pub const KIND_AAAA: u32 = 4;

/// No data of the type asked; stands at the default vantage.
pub const KIND_NODATA: u32 = 5;

/// The name does not exist; stands at the default vantage.
pub const KIND_NXDOMAIN: u32 = 6;

/// DNS-LB: the NS set of what was delegated to it; stands at the default vantage.
pub const KIND_NS: u32 = 7;

/// DNS-LB: its SOA; stands at the default vantage.
pub const KIND_SOA: u32 = 8;

/// DNS-LB: IPv4 address of this vantage's name server host; of the label's own vantage, whoever serves.
pub const KIND_HOST_A: u32 = 9;

/// DNS-LB: IPv6 address of this vantage's name server host.
pub const KIND_HOST_AAAA: u32 = 10;

/// DNS-LB: no such data of a name server host; stands at the default vantage.
pub const KIND_HOST_NODATA: u32 = 11;

/// Element of `answers`: the ready resource records of one response.
///
/// The records belong to a name, the *base*: N, `L.N` or Z. Compression pointers in them count as if
/// the question were the base alone, at offset 12, and the records began behind it at
/// [`RECORDS_BASE`]. Those of the first kind lead to a name among the records: the octets of the
/// question (name, type, class) are added to each. Those of the second kind lead to the base or into it:
/// the octets of the question's name in front of the base are added to each.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Goes up by one with each reuse of the slot, below 2^30. The first answer has 1.
    pub generation: u32,
    /// The row of the answer table: a [`Counter`](crate::counters::Counter) as a number.
    pub row: u32,
    /// An [`AnswerRef`]: what is answered where this one does not fit, or nothing: then TC is set.
    pub smaller: u64,
    /// Ones'-complement sum of the octets, at an even offset ([`crate::checksum`]).
    pub sum: u16,
    /// Octets in use: 0, or at least 8.
    pub len: u16,
    /// Nonzero: AA is set (RFC 1035 §4.1.1).
    pub authoritative: u8,
    /// RCODE (RFC 1035 §4.1.1).
    pub rcode: u8,
    /// Records in the answer section.
    pub answers: u8,
    /// Records in the authority section.
    pub authorities: u8,
    /// Records in the additional section, OPT not among them.
    pub additionals: u8,
    /// Entries of `pointers` that lead to a name among the records: the first ones.
    pub record_pointers: u8,
    /// Entries of `pointers` that lead to the base: those behind.
    pub base_pointers: u8,
    /// Nonzero: chosen for who asks, so that Client Subnet's scope is that of the prefix or the bucket;
    /// else the scope is 0 (RFC 7871 §7.2.1, §7.4).
    pub scoped: u8,
    /// Where in `octets` the pointers stand.
    pub pointers: [u16; MAX_POINTERS],
    /// Not used.
    pub reserved: [u8; 12],
    /// Ready resource records.
    pub octets: [u8; MAX_ANSWER_OCTETS],
    /// Zero. Lets the kernel read 8 octets at any offset below [`MAX_ANSWER_OCTETS`] without a
    /// further comparison.
    pub slack: [u8; 8],
}

/// Offset in the message that record pointers take the first record's octet to have: behind a header of
/// 12 octets and a question of none.
pub const RECORDS_BASE: u16 = 12;

impl Answer {
    /// A slot that was never written.
    pub const EMPTY: Self = Self {
        generation: 0,
        row: 0,
        smaller: 0,
        sum: 0,
        len: 0,
        authoritative: 0,
        rcode: 0,
        answers: 0,
        authorities: 0,
        additionals: 0,
        record_pointers: 0,
        base_pointers: 0,
        scoped: 0,
        pointers: [0; MAX_POINTERS],
        reserved: [0; 12],
        octets: [0; MAX_ANSWER_OCTETS],
        slack: [0; 8],
    };
}
