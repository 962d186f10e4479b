//! What is fixed while a program serves: addresses, limits, sizes.

use super::names::{MAX_LABEL_COUNTS, Suffixes};

/// Addresses of each family that one node may answer on.
pub const MAX_ADDRESSES: usize = 8;

/// Prefixes of each family with a rate limit of their own.
pub const MAX_LIMIT_PREFIXES: usize = 32;

/// Prefixes of each family from which Client Subnet is believed.
pub const MAX_SUBNET_SENDERS: usize = 16;

/// Rate limit buckets a CPU.
pub const LIMIT_BUCKETS: usize = 65_536;

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
