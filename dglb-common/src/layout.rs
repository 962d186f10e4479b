//! The tables' keys and values, as the kernel program and user space both see them.
//!
//! All structs are `repr(C)` without padding (asserted below) and hold plain integers. A value that
//! the kernel reads while user space may replace it is one aligned 8-octet word, made and taken apart
//! here and nowhere else; what stands beside it in a hash map's value is for people
//! (`bpftool map dump`). Integers are in the machine's order unless they are addresses or octets of a
//! DNS message, which are arrays.

/// Version of everything in this file and of the maps' names and sizes; part of the pin path.
pub const LAYOUT: u32 = 1;

/// Addresses that one node may answer on.
pub const MAX_ADDRESSES: usize = 8;
/// Prefixes with a rate limit of their own.
pub const MAX_LIMIT_PREFIXES: usize = 32;
/// Octets of resource records that one ready answer may have.
pub const MAX_ANSWER_OCTETS: usize = 512;
/// Compression pointers in one ready answer that follow the name's place.
pub const MAX_POINTERS: usize = 6;
/// Words in one page of rankings.
pub const RANKING_PAGE: usize = 256;
/// Kinds of answer that a group has in the rankings.
pub const KINDS: usize = 4;
/// Rate limit buckets a CPU.
pub const LIMIT_BUCKETS: usize = 65_536;
/// Different label counts that the balanced names of one node may have: each costs one look-up a
/// query.
pub const MAX_LABEL_COUNTS: usize = 8;
/// Entries of the table of resolvers.
pub const MAX_RESOLVERS: usize = 1_000_000;

/// What is fixed while a program serves: written before it is attached, never changed.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Settings {
    /// The addresses answered on, as they stand in an IPv4 header; where there are fewer, they are
    /// repeated.
    pub addresses: [[u8; 4]; MAX_ADDRESSES],
    /// How many labels balanced names have, each number once, ascending; what is left over is 255,
    /// more than any name has.
    pub label_counts: [u8; MAX_LABEL_COUNTS],
    /// Buckets of the names' perfect hash, a power of two, less one.
    pub name_buckets_mask: u32,
    /// Slots of the names' perfect hash, a power of two, less one.
    pub name_slots_mask: u32,
    /// Pages of rankings that one vantage has.
    pub pages_per_vantage: u32,
    /// The vantage of a source that the table of resolvers does not have.
    pub default_vantage: u32,
    /// Nonzero: the source is looked up in the table of resolvers (DNS-B).
    pub maps_resolvers: u32,
    /// Entries of `prefixes` in use.
    pub prefix_count: u32,
    /// Nanoseconds that the heartbeat may be old before all is passed up.
    pub max_stale_ns: u64,
    /// The limit of sources that no prefix has.
    pub limit: LimitRate,
    /// Prefixes with a limit of their own, longest first.
    pub prefixes: [LimitPrefix; MAX_LIMIT_PREFIXES],
}

/// A rate limit as the generic cell rate algorithm has it (ITU-T I.371).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LimitRate {
    /// Nanoseconds between two answers at the sustained rate.
    pub interval_ns: u64,
    /// How far a bucket may run ahead of the clock: burst × interval.
    pub burst_ns: u64,
}

/// A prefix with a limit of its own.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LimitPrefix {
    /// Network address as it stands in an IPv4 header, read as a native integer.
    pub network: u32,
    /// Mask, in the same order.
    pub mask: u32,
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

/// What a balanced name is to this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum NameRole {
    /// DNS-B, form R: referral at or below it.
    BReferral = 1,
    /// DNS-B, form C: CNAME at it, referrals at and below its DNS-LB labels.
    BCname = 2,
    /// DNS-LB, form R: answers at and below it.
    LbReferral = 3,
    /// DNS-LB, form C: answers at and below its DNS-LB labels.
    LbCname = 4,
}

impl NameRole {
    /// The role that a number stands for.
    #[inline(always)]
    pub const fn from_u8(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::BReferral),
            2 => Some(Self::BCname),
            3 => Some(Self::LbReferral),
            4 => Some(Self::LbCname),
            _ => None,
        }
    }
}

/// What a balanced name's entry says.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NameValue {
    /// A [`NameWord`]; zero: no name.
    pub word: u32,
    /// Index of the service in the node's configuration, for people.
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

/// The word of [`NameValue`]: role (8 bits), group (24).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameWord(pub u32);

impl NameWord {
    /// Groups that a node can have.
    pub const MAX_GROUPS: u32 = 1 << 24;

    /// Puts the word together; `group` is below [`Self::MAX_GROUPS`].
    pub const fn new(role: NameRole, group: u32) -> Self {
        Self((role as u32) << 24 | group & 0xff_ffff)
    }

    /// Role, as a number for [`NameRole::from_u8`].
    #[inline(always)]
    pub const fn role(self) -> u8 {
        (self.0 >> 24) as u8
    }

    /// Group of services with the same answers.
    #[inline(always)]
    pub const fn group(self) -> u32 {
        self.0 & 0xff_ffff
    }
}

/// Key of `resolvers_v4`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ResolverKey {
    /// The resolver's IPv4 address.
    pub addr: [u8; 4],
}

impl ResolverKey {
    /// The check of the key: the address itself.
    #[inline(always)]
    pub const fn check(self) -> u32 {
        u32::from_ne_bytes(self.addr)
    }
}

/// Value of `resolvers_v4`: the description's Figure 3. The kernel reads the first 8 octets as one
/// [`MappingWord`].
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResolverValue {
    /// The vantage beside the resolver.
    pub vantage: u32,
    /// [`ResolverKey::check`].
    pub check: u32,
    /// The DNS-LB's address, for people.
    pub dns_lb: [u8; 4],
    /// Where the entry comes from: an [`Origin`] as a number.
    pub origin: u32,
    /// When the entry was last confirmed, seconds since 1970.
    pub seen: u64,
}

/// Where an entry of the table of resolvers comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Origin {
    /// A DNS-LB announced it by the map protocol.
    Announced = 1,
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

/// Element of `vantages`, a word of 8 octets.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VantageValue {
    /// The vantage whose answers are given now: itself, or the one that stands in.
    pub serves: u32,
    /// A [`VantageState`] as a number.
    pub state: u32,
}

impl VantageValue {
    /// The value as it is read: one word.
    #[inline(always)]
    pub const fn from_word(word: u64) -> Self {
        let mapping = MappingWord(word);
        Self {
            serves: mapping.vantage(),
            state: mapping.check(),
        }
    }
}

/// The state of a DNS-LB as a DNS-B sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum VantageState {
    /// It renews its lease.
    Up = 1,
    /// It has been silent for longer than its lease, or was never heard.
    Down = 2,
}

/// Element of `dns_lbs`: who the vantages are, for people and for the next start of the daemon.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DnsLbValue {
    /// Its label with the length octet.
    pub label: LabelKey,
    /// Its address; all zero: the entry is not in use.
    pub addr: [u8; 4],
}

/// One word of the rankings: which ready answer, and its generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnswerRef(pub u64);

impl AnswerRef {
    const READY: u64 = 1 << 63;

    /// No answer yet.
    pub const NONE: Self = Self(0);

    /// The answer in `slot`, whose `generation` is below 2^31.
    pub const fn new(slot: u32, generation: u32) -> Self {
        Self(Self::READY | (generation as u64 & 0x7fff_ffff) << 32 | slot as u64)
    }

    /// Whether there is an answer.
    #[inline(always)]
    pub const fn is_ready(self) -> bool {
        self.0 & Self::READY != 0
    }

    /// Index in `answers`.
    #[inline(always)]
    pub const fn slot(self) -> u32 {
        self.0 as u32
    }

    /// What the slot's generation must be.
    #[inline(always)]
    pub const fn generation(self) -> u32 {
        (self.0 >> 32) as u32 & 0x7fff_ffff
    }
}

/// The place of a word of the rankings: page (for the outer map) and index in that page.
#[inline(always)]
pub const fn ranking_place(
    pages_per_vantage: u32,
    vantage: u32,
    group: u32,
    kind: u32,
) -> (u32, u32) {
    let word = group * KINDS as u32 + kind;
    (
        vantage * pages_per_vantage + word / RANKING_PAGE as u32,
        word % RANKING_PAGE as u32,
    )
}

/// Kinds of a DNS-B's group, form R and the referral of form C: the referral.
pub const KIND_REFERRAL: u32 = 0;
/// Kinds of a DNS-B's group, form C: the CNAME.
pub const KIND_CNAME: u32 = 1;
/// Kinds of a DNS-LB's group: answer to A.
pub const KIND_A: u32 = 0;
/// Kinds of a DNS-LB's group: answer to AAAA.
pub const KIND_AAAA: u32 = 1;
/// Kinds of a DNS-LB's group: no data of the type asked.
pub const KIND_NODATA: u32 = 2;
/// Kinds of a DNS-LB's group: the name does not exist.
pub const KIND_NXDOMAIN: u32 = 3;

/// Element of `answers`: the ready resource records of one response.
///
/// The records refer to the name that they belong to (N, or `L.N`) by compression pointers as if it
/// stood at offset 12, where the question's name begins. When the question's name is longer, the
/// octets in front of that name are added to each of the pointers.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Goes up by one with each reuse of the slot, below 2^31. The first answer has 1.
    pub generation: u32,
    /// The row of the answer table: a [`Counter`](crate::counters::Counter) as a number.
    pub row: u32,
    /// Ones'-complement sum of the octets, at an even offset ([`crate::checksum`]).
    pub sum: u16,
    /// Octets in use, at least 8.
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
    /// Entries of `pointers` in use.
    pub pointer_count: u8,
    /// Where in `octets` the pointers stand.
    pub pointers: [u16; MAX_POINTERS],
    /// Not used.
    pub reserved: [u8; 2],
    /// Ready resource records.
    pub octets: [u8; MAX_ANSWER_OCTETS],
    /// Zero. Lets the kernel read 8 octets at any offset below [`MAX_ANSWER_OCTETS`] without a
    /// further comparison.
    pub slack: [u8; 8],
}

impl Answer {
    /// A slot that was never written.
    pub const EMPTY: Self = Self {
        generation: 0,
        row: 0,
        sum: 0,
        len: 0,
        authoritative: 0,
        rcode: 0,
        answers: 0,
        authorities: 0,
        additionals: 0,
        pointer_count: 0,
        pointers: [0; MAX_POINTERS],
        reserved: [0; 2],
        octets: [0; MAX_ANSWER_OCTETS],
        slack: [0; 8],
    };
}

const _: () = {
    assert!(size_of::<Settings>() == 32 + 8 + 8 + 16 + 8 + 16 + MAX_LIMIT_PREFIXES * 24);
    assert!(size_of::<NameSlot>() == 24);
    assert!(size_of::<ResolverKey>() == 4);
    assert!(size_of::<ResolverValue>() == 24);
    assert!(size_of::<LabelValue>() == 8);
    assert!(size_of::<VantageValue>() == 8);
    assert!(size_of::<DnsLbValue>() == 20);
    assert!(size_of::<Answer>() == 32 + MAX_ANSWER_OCTETS + 8);
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
        ResolverKey,
        ResolverValue,
        LabelValue,
        VantageValue,
        DnsLbValue,
        Answer,
        Counters,
    );
}
