//! Who asks, and the vantage beside them: resolvers, prefixes, the client index, labels, vantages.

/// Vantages that one node may have: an entry of the client index has 16 bits for one.
pub const MAX_VANTAGES: usize = 65_535;

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
