//! The tables' keys and values, as the kernel program and user space both see them.
//!
//! All structs are `repr(C)` without padding (asserted below) and hold plain integers. A value that
//! the kernel reads while user space may replace it is one aligned 8-octet word, made and taken apart
//! here and nowhere else; what stands beside it in a hash map's value is for people
//! (`bpftool map dump`). Integers are in the machine's order unless they are addresses or octets of a
//! DNS message, which are arrays.

/// Version of everything in this file and of the maps' names and sizes; part of the pin path.
pub const LAYOUT: u32 = 2;

/// Addresses of each family that one node may answer on.
pub const MAX_ADDRESSES: usize = 8;
/// Prefixes of each family with a rate limit of their own.
pub const MAX_LIMIT_PREFIXES: usize = 32;
/// Prefixes of each family from which Client Subnet is believed.
pub const MAX_SUBNET_SENDERS: usize = 16;
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
/// Words in one row of buckets.
pub const BUCKETS: usize = 64;
/// Rate limit buckets a CPU.
pub const LIMIT_BUCKETS: usize = 65_536;
/// Different label counts that the names of one node may have: each costs one look-up a query.
pub const MAX_LABEL_COUNTS: usize = 8;
/// Vantages that one node may have: an entry of the client index has 16 bits for one.
pub const MAX_VANTAGES: usize = 65_535;

/// What is fixed while a program serves: written before it is attached, never changed.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Settings {
    /// The IPv4 addresses answered on, as they stand in the header; the first `address_count_v4`.
    pub addresses_v4: [[u8; 4]; MAX_ADDRESSES],
    /// The IPv6 addresses answered on; the first `address_count_v6`.
    pub addresses_v6: [[u8; 16]; MAX_ADDRESSES],
    /// Bit n: there is a name of n octets, its root's octet not among them; longer ones have none.
    pub name_octets: u64,
    /// What names end in.
    pub suffixes: Suffixes,
    /// How many labels names have, each number once, descending, so that the first name found is the
    /// longest; what is left over is 0.
    pub label_counts: [u8; MAX_LABEL_COUNTS],
    /// Entries of `addresses_v4` in use.
    pub address_count_v4: u32,
    /// Entries of `addresses_v6` in use.
    pub address_count_v6: u32,
    /// Buckets of the names' perfect hash, a power of two, less one.
    pub name_buckets_mask: u32,
    /// Slots of the names' perfect hash, a power of two, less one.
    pub name_slots_mask: u32,
    /// Groups that each vantage has in the rankings.
    pub groups: u32,
    /// The vantage of who is in no table; where answers that are the same for all stand.
    pub default_vantage: u32,
    /// Nonzero: IPv4 sources are looked up in the client index.
    pub maps_v4: u32,
    /// Nonzero: IPv6 sources are looked up in `resolvers_v6` and `prefixes_v6`.
    pub maps_v6: u32,
    /// Nonzero: RA is set in answers: beside an ISP's resolver (DNS-ISP-LB).
    pub recursion_available: u32,
    /// Nonzero: who is over the limit is counted and answered all the same.
    pub limit_dry_run: u32,
    /// Entries of `limits_v4` in use.
    pub limit_count_v4: u32,
    /// Entries of `limits_v6` in use.
    pub limit_count_v6: u32,
    /// Entries of `subnet_senders_v4` in use.
    pub subnet_sender_count_v4: u32,
    /// Entries of `subnet_senders_v6` in use.
    pub subnet_sender_count_v6: u32,
    /// Nanoseconds that the heartbeat may be old before all is passed up.
    pub max_stale_ns: u64,
    /// The limit of sources that no prefix has.
    pub limit: LimitRate,
    /// IPv4 prefixes with a limit of their own, longest first.
    pub limits_v4: [LimitPrefix; MAX_LIMIT_PREFIXES],
    /// IPv6 prefixes with a limit of their own, longest first.
    pub limits_v6: [LimitPrefix; MAX_LIMIT_PREFIXES],
    /// From where Client Subnet is believed (RFC 7871 §7.2), IPv4.
    pub subnet_senders_v4: [Prefix; MAX_SUBNET_SENDERS],
    /// From where Client Subnet is believed, IPv6.
    pub subnet_senders_v6: [Prefix; MAX_SUBNET_SENDERS],
}

/// What the names of the table end in: what ends otherwise is not ours.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Suffixes {
    /// Bits of the last 8 octets of names that have as many.
    pub long: u64,
    /// Bits of the last 2 octets of the others.
    pub short: u64,
}

/// A rate limit as the generic cell rate algorithm has it (ITU-T I.371).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LimitRate {
    /// Nanoseconds between two answers at the sustained rate; 0: exempt from the limit.
    pub interval_ns: u64,
    /// How far a bucket may run ahead of the clock: burst × interval.
    pub burst_ns: u64,
}

/// A prefix, as [`Client`](crate::client::Client) has addresses.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prefix {
    /// Network address.
    pub network: u64,
    /// Mask.
    pub mask: u64,
}

/// A prefix with a limit of its own.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LimitPrefix {
    /// The prefix.
    pub prefix: Prefix,
    /// Its limit.
    pub rate: LimitRate,
}

/// The keys of the name hash and of the choice of limit buckets. Root only, outlives the daemon.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Secret {
    /// Start of the first lane.
    pub seed_a: u64,
    /// Start of the second lane.
    pub seed_b: u64,
    /// Odd multiplier of the first lane.
    pub multiplier_a: u64,
    /// Odd multiplier of the second lane.
    pub multiplier_b: u64,
}

/// A name's hash as a key.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct NameKey {
    /// First lane of the hash.
    pub a: u64,
    /// Second lane of the hash.
    pub b: u64,
}

/// What a name is to this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum NameRole {
    /// DNS-B, form R: referral at or below it.
    BReferral = 1,
    /// DNS-B, form C: CNAME at it, referrals at and below its DNS-LB labels.
    BCname = 2,
    /// DNS-B, direct or cache mode: addresses at it.
    BAddress = 3,
    /// DNS-B: a zone's apex.
    BApex = 4,
    /// DNS-B: a name with data of its own, which user space gives.
    BPresent = 5,
    /// DNS-B: an empty non-terminal (RFC 4592 §2.2.2).
    BEmpty = 6,
    /// DNS-LB, form R: answers at and below it.
    LbReferral = 7,
    /// DNS-LB, form C: answers at and below its DNS-LB labels.
    LbCname = 8,
}

impl NameRole {
    /// The role that a number stands for.
    #[inline(always)]
    pub const fn from_u8(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::BReferral),
            2 => Some(Self::BCname),
            3 => Some(Self::BAddress),
            4 => Some(Self::BApex),
            5 => Some(Self::BPresent),
            6 => Some(Self::BEmpty),
            7 => Some(Self::LbReferral),
            8 => Some(Self::LbCname),
            _ => None,
        }
    }
}

/// What a name's entry says.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NameValue {
    /// A [`NameWord`]; zero: no name.
    pub word: u32,
    /// Index of the service in the node's configuration, for people; of other names `u32::MAX`.
    pub service: u32,
}

/// Element of `names`: a slot of the perfect hash ([`crate::name_index`]).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NameSlot {
    /// The whole hash, to compare.
    pub key: NameKey,
    /// The entry.
    pub value: NameValue,
}

/// The word of [`NameValue`]: role (8 bits), flags (4), group (20).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameWord(pub u32);

impl NameWord {
    /// Groups that a node can have.
    pub const MAX_GROUPS: u32 = 1 << 20;
    /// Flag: the zone is complete: what is below this name and not in the table does not exist.
    pub const COMPLETE: u32 = 1 << 20;
    /// Flag of [`NameRole::LbCname`]: the name itself is answered too (DNS-ISP-LB).
    pub const ITSELF: u32 = 1 << 21;

    /// Puts the word together; `group` is below [`Self::MAX_GROUPS`], `flags` are those above.
    pub const fn new(role: NameRole, flags: u32, group: u32) -> Self {
        Self((role as u32) << 24 | flags | group & (Self::MAX_GROUPS - 1))
    }

    /// Role, as a number for [`NameRole::from_u8`].
    #[inline(always)]
    pub const fn role(self) -> u8 {
        (self.0 >> 24) as u8
    }

    /// Whether a flag is set.
    #[inline(always)]
    pub const fn has(self, flag: u32) -> bool {
        self.0 & flag != 0
    }

    /// Group of names with the same answers.
    #[inline(always)]
    pub const fn group(self) -> u32 {
        self.0 & (Self::MAX_GROUPS - 1)
    }
}

/// Key of `resolvers_v4`.
pub type ResolverKeyV4 = [u8; 4];
/// Key of `resolvers_v6`: a /64, the last 8 octets zero. A resolver has the whole of its /64.
pub type ResolverKeyV6 = [u8; 16];

/// The check of a client: its 64 bits ([`crate::client::Client`]) in 32.
#[inline(always)]
pub const fn client_check(word: u64) -> u32 {
    word as u32 ^ ((word >> 32) as u32).rotate_left(13)
}

/// Value of `resolvers_v4` and `resolvers_v6`: the description's Figure 3. Of `resolvers_v6` the kernel
/// reads the first 8 octets as one [`MappingWord`]; `resolvers_v4` it reads by the client index only.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResolverValue {
    /// The vantage beside the resolver.
    pub vantage: u32,
    /// [`client_check`] of the key.
    pub check: u32,
    /// The DNS-LB's address, for people.
    pub dns_lb: [u8; 4],
    /// Where the entry comes from: an [`Origin`] as a number.
    pub origin: u32,
    /// When the entry was last confirmed, seconds since 1970.
    pub seen: u64,
}

/// Value of `prefixes_v4` and `prefixes_v6`, read as one word. The entry for /0 is always there.
///
/// It needs no check of the key: a trie's node is replaced, never changed, and freed when no reader can
/// have it any more (`lpm_trie.c`: kfree_rcu, since kernel 6.13 bpf_mem_cache_free_rcu). Four octets: a
/// node's value stands behind a key of four, aligned to as many.
#[repr(C, align(4))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrefixValue {
    /// The vantage of clients in the prefix.
    pub vantage: u16,
    /// Scope of an answer that is chosen by this entry (RFC 7871 §7.2.1): the length of the longest
    /// prefix in this one, so that the scope never covers a more specific entry; else its own.
    pub scope: u8,
    /// Not used.
    pub reserved: u8,
}

impl PrefixValue {
    /// The value as it is read: one word.
    #[inline(always)]
    pub const fn from_word(word: u32) -> Self {
        let [v0, v1, scope, reserved] = word.to_ne_bytes();
        Self {
            vantage: u16::from_ne_bytes([v0, v1]),
            scope,
            reserved,
        }
    }
}

/// Where an entry of the table of resolvers comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Origin {
    /// A DNS-LB announced it by the map protocol.
    Announced = 1,
    /// It stands in the node's configuration.
    Configured = 2,
}

/// Value of `labels`. The kernel reads the first 8 octets as one [`MappingWord`].
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LabelValue {
    /// The vantage that the label stands for.
    pub vantage: u32,
    /// [`label_check`].
    pub check: u32,
}

/// A vantage and the check of the key that led to it, read as one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MappingWord(pub u64);

impl MappingWord {
    /// The vantage.
    #[inline(always)]
    pub const fn vantage(self) -> u32 {
        let octets = self.0.to_ne_bytes();
        u32::from_ne_bytes([octets[0], octets[1], octets[2], octets[3]])
    }

    /// The check of the key.
    #[inline(always)]
    pub const fn check(self) -> u32 {
        let octets = self.0.to_ne_bytes();
        u32::from_ne_bytes([octets[4], octets[5], octets[6], octets[7]])
    }
}

/// Key of `labels`: a label with its length octet, small letters.
pub type LabelKey = [u8; 16];

/// The check of a label: bits of all its words.
#[inline(always)]
pub const fn label_check(first: u64, second: u64) -> u32 {
    (first >> 32) as u32 ^ second as u32 ^ ((second >> 32) as u32).rotate_left(13)
}

/// Element of `vantages`, read as one word.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VantageValue {
    /// The vantage whose answers are given while the deadline has not passed.
    pub serves: u16,
    /// The vantage whose answers are given when it has.
    pub backup: u16,
    /// The deadline in ticks ([`ticks`]), compared with the heartbeat, not with a clock, so that a dead
    /// daemon fails nobody. [`VantageValue::NO_DEADLINE`]: none.
    pub deadline: u32,
}

impl VantageValue {
    /// A deadline that never passes.
    pub const NO_DEADLINE: u32 = u32::MAX;

    /// The value as it is read: one word.
    #[inline(always)]
    pub const fn from_word(word: u64) -> Self {
        let [s0, s1, b0, b1, d0, d1, d2, d3] = word.to_ne_bytes();
        Self {
            serves: u16::from_ne_bytes([s0, s1]),
            backup: u16::from_ne_bytes([b0, b1]),
            deadline: u32::from_ne_bytes([d0, d1, d2, d3]),
        }
    }

    /// The vantage whose answers are given when the daemon last beat at `heartbeat_ns`.
    #[inline(always)]
    pub const fn serving(self, heartbeat_ns: u64) -> u32 {
        if ticks(heartbeat_ns) > self.deadline {
            self.backup as u32
        } else {
            self.serves as u32
        }
    }
}

/// Nanoseconds of CLOCK_MONOTONIC as ticks of 2^26 ns, 67 ms: 32 bits of them last nine years.
#[inline(always)]
pub const fn ticks(nanoseconds: u64) -> u32 {
    (nanoseconds >> 26) as u32
}

/// Element of `dns_lbs`: who the vantages are, for people and for the next start of the daemon.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DnsLbValue {
    /// Its label with the length octet.
    pub label: LabelKey,
    /// Its IPv6 address, or zero.
    pub addr_v6: [u8; 16],
    /// Its IPv4 address; all zero: the entry is not in use.
    pub addr: [u8; 4],
}

/// Element of `client_chunks`: the vantages of the 2^14 IPv4 addresses that share their first 18 bits.
///
/// Either one for all of them, or a run of entries in `client_runs`. A run is immutable: a change writes
/// another one, then this word, and the old one's place is used again after a grace period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkWord(pub u64);

/// Bits of an address that choose the chunk.
pub const CHUNK_BITS: u32 = 18;
/// Chunks of the client index.
pub const CHUNKS: usize = 1 << CHUNK_BITS;
/// Entries that one run has at most: one an address.
pub const MAX_RUN: u32 = 1 << (32 - CHUNK_BITS);
/// Entries in one element of `client_runs`: an array's elements take a multiple of 8 octets.
pub const RUN_ENTRIES_PER_ELEMENT: u32 = 2;

impl ChunkWord {
    /// All addresses have the same vantage.
    pub const fn uniform(vantage: u16) -> Self {
        Self(vantage as u64)
    }

    /// `count` entries from `start` on; `start` is even, `count` is from 2 to [`MAX_RUN`].
    pub const fn run(start: u32, count: u32) -> Self {
        Self((count as u64) << 32 | start as u64)
    }

    /// Entries of the run; 0: uniform.
    #[inline(always)]
    pub const fn count(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// First entry of the run.
    #[inline(always)]
    pub const fn start(self) -> u32 {
        self.0 as u32
    }

    /// The vantage of a uniform chunk.
    #[inline(always)]
    pub const fn vantage(self) -> u32 {
        self.0 as u32 & 0xffff
    }

    /// The chunk of an address.
    #[inline(always)]
    pub const fn of(address: u32) -> u32 {
        address >> (32 - CHUNK_BITS)
    }
}

/// One entry of a run: from this address of the chunk on, up to the next entry's, this vantage. The
/// first entry of a run begins at 0; entries ascend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunEntry(pub u32);

impl RunEntry {
    /// From the last 14 bits of the first address, and the vantage.
    pub const fn new(first: u32, vantage: u16) -> Self {
        Self((first & (MAX_RUN - 1)) << 16 | vantage as u32)
    }

    /// Last 14 bits of the first address.
    #[inline(always)]
    pub const fn first(self) -> u32 {
        self.0 >> 16
    }

    /// The vantage.
    #[inline(always)]
    pub const fn vantage(self) -> u32 {
        self.0 & 0xffff
    }

    /// The entry out of the element that holds it; `index` counts entries.
    #[inline(always)]
    pub const fn in_element(element: u64, index: u32) -> Self {
        Self((element >> ((index % RUN_ENTRIES_PER_ELEMENT) * 32)) as u32)
    }
}

/// One word of the rankings, of a row of buckets, or of an answer's smaller variant: which ready
/// answer, and its generation; in the rankings also which row of buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnswerRef(pub u64);

impl AnswerRef {
    const READY: u64 = 1 << 63;
    const BUCKETS: u64 = 1 << 62;

    /// No answer yet.
    pub const NONE: Self = Self(0);

    /// The answer in `slot`, whose `generation` is below 2^30.
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
        self.0 as u32
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

const _: () = {
    assert!(size_of::<Prefix>() == 16);
    assert!(size_of::<LimitPrefix>() == 32);
    assert!(
        size_of::<Settings>()
            == MAX_ADDRESSES * 20
                + 24
                + MAX_LABEL_COUNTS
                + 14 * 4
                + 8
                + 16
                + 2 * MAX_LIMIT_PREFIXES * 32
                + 2 * MAX_SUBNET_SENDERS * 16
    );
    assert!(size_of::<NameSlot>() == 24);
    assert!(size_of::<ResolverValue>() == 24);
    assert!(size_of::<PrefixValue>() == 4);
    assert!(size_of::<LabelValue>() == 8);
    assert!(size_of::<VantageValue>() == 8);
    assert!(size_of::<DnsLbValue>() == 36);
    assert!(size_of::<Answer>() == 64 + MAX_ANSWER_OCTETS);
};

#[cfg(feature = "user")]
mod pod {
    use super::*;
    use crate::counters::Counters;

    macro_rules! pod {
        ($($name:ty),+ $(,)?) => {
            $(
                // SAFETY: repr(C), integers and arrays of them only, no padding (asserted above).
                unsafe impl aya::Pod for $name {}
            )+
        };
    }

    pod!(
        Settings,
        Secret,
        NameSlot,
        ResolverValue,
        PrefixValue,
        LabelValue,
        VantageValue,
        DnsLbValue,
        Answer,
        Counters,
    );
}
