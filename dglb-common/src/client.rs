//! Who asks, as tables, prefixes and keyed hashes have it.

use crate::layout::{BUCKETS, LIMIT_BUCKETS, Prefix, Secret};

/// A client's address: IPv4's four octets, or the first eight of IPv6, as they stand in memory, read as
/// a native integer. What is behind an IPv6 /64 is one client's.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    /// The octets.
    pub word: u64,
    /// Nonzero: IPv6.
    pub is_v6: u64,
}

/// The mask of a network of `len` bits, as [`Client::word`] stands in memory; `len` is at most 32 for
/// IPv4 and 64 for IPv6.
pub const fn mask(len: u32) -> u64 {
    let bits = if len == 0 { 0 } else { u64::MAX << (64 - len) };
    u64::from_ne_bytes(bits.to_be_bytes())
}

/// The mask of the networks that share a bucket: /24.
pub const NETWORK_V4: u64 = mask(24);
/// The mask of the networks that share a bucket: /56.
pub const NETWORK_V6: u64 = mask(56);

impl Client {
    /// An IPv4 address.
    #[inline(always)]
    pub const fn v4(octets: [u8; 4]) -> Self {
        let [a, b, c, d] = octets;
        Self {
            word: u64::from_ne_bytes([a, b, c, d, 0, 0, 0, 0]),
            is_v6: 0,
        }
    }

    /// An IPv6 address.
    #[inline(always)]
    pub const fn v6(octets: [u8; 16]) -> Self {
        let [a, b, c, d, e, f, g, h, ..] = octets;
        Self {
            word: u64::from_ne_bytes([a, b, c, d, e, f, g, h]),
            is_v6: 1,
        }
    }

    /// The mask of the network that shares limit and bucket with this client.
    #[inline(always)]
    pub const fn network_mask(self) -> u64 {
        if self.is_v6 != 0 {
            NETWORK_V6
        } else {
            NETWORK_V4
        }
    }

    /// Whether the client is in `prefix`, which is of its family.
    #[inline(always)]
    pub const fn is_in(self, prefix: &Prefix) -> bool {
        self.word & prefix.mask == prefix.network
    }

    /// Keyed hash of the client's network under `mask`. The families do not meet.
    #[inline(always)]
    pub const fn hash(self, mask: u64, secret: &Secret) -> u64 {
        let network = self.word & mask;
        let start = if self.is_v6 != 0 {
            secret.seed_b
        } else {
            secret.seed_a
        };
        let hash = (network ^ start).wrapping_mul(secret.multiplier_b) ^ mask;
        (hash ^ hash >> 32).wrapping_mul(secret.multiplier_a)
    }
}

/// The limit bucket that a [`Client::hash`] chooses.
#[inline(always)]
pub const fn limit_bucket(hash: u64) -> u32 {
    (hash >> (64 - LIMIT_BUCKETS.trailing_zeros())) as u32
}

/// The place in a row of buckets that a [`Client::hash`] chooses: other bits than the limit's.
#[inline(always)]
pub const fn answer_bucket(hash: u64) -> usize {
    (hash >> 32) as usize % BUCKETS
}
