//! The rate limit by source /24, and the age of the daemon's heartbeat.
//!
//! A bucket is one number: the time at which it is full again (generic cell rate algorithm, ITU-T
//! I.371). Buckets are chosen by a keyed hash, so that nobody can aim at another's.

use aya_ebpf::helpers::bpf_ktime_get_coarse_ns;
use dglb_common::layout::{LIMIT_BUCKETS, LimitRate, MAX_LIMIT_PREFIXES, Secret, Settings};

use crate::{
    maps::{HEARTBEAT, LIMITS},
    outcome::Outcome,
};

/// Charges the source for one query; [`Outcome::Stale`] when the daemon has not been heard for too
/// long, [`Outcome::Limited`] when the bucket is empty.
#[inline(always)]
pub fn charge(source: u32, settings: &Settings, secret: &Secret) -> Result<(), Outcome> {
    // SAFETY: the helper takes nothing and reads a clock (kernel 5.11).
    let now = unsafe { bpf_ktime_get_coarse_ns() };
    let heartbeat = HEARTBEAT.get_ptr(0).ok_or(Outcome::Table)?;
    // SAFETY: a pointer that the map gave, to an aligned word that is read once.
    let heartbeat = unsafe { heartbeat.read_volatile() };
    if now.saturating_sub(heartbeat) > settings.max_stale_ns {
        return Err(Outcome::Stale);
    }
    let Rule { rate, mask } = rule_of(source, settings);
    let bucket = LIMITS
        .get_ptr_mut(bucket_of(source, mask, secret))
        .ok_or(Outcome::Table)?;
    // SAFETY: a pointer that the map gave, to this CPU's word.
    let full_at = unsafe { *bucket };
    // A bucket is never emptier than empty: what an earlier run with a larger burst left is cut.
    let empty = now + rate.burst_ns;
    let start = if full_at > empty { empty } else { full_at };
    let start = if start > now { start } else { now };
    let next = start + rate.interval_ns;
    let limited = next > empty;
    // SAFETY: as above.
    unsafe { *bucket = if limited { start } else { next } };
    if limited {
        Err(Outcome::Limited)
    } else {
        Ok(())
    }
}

/// The mask of a /24, as it stands in memory.
const SLASH_24: u32 = u32::from_ne_bytes([255, 255, 255, 0]);

/// A rate, and the mask of the sources that share a bucket; whole words, for the reason that
/// [`crate::edns::Edns`] gives.
struct Rule {
    rate: LimitRate,
    mask: u64,
}

/// The limit of the longest prefix that has the source, or the default. A prefix longer than /24 has a
/// bucket of its own, so that its neighbours can't empty it.
#[inline(always)]
fn rule_of(source: u32, settings: &Settings) -> Rule {
    for index in 0..MAX_LIMIT_PREFIXES {
        if index as u32 >= settings.prefix_count {
            break;
        }
        let prefix = &settings.prefixes[index];
        if source & prefix.mask == prefix.network {
            return Rule {
                rate: prefix.rate,
                mask: u64::from(prefix.mask | SLASH_24),
            };
        }
    }
    Rule {
        rate: settings.limit,
        mask: u64::from(SLASH_24),
    }
}

/// The bucket of the sources that are alike under the mask: high bits of a product with a secret odd
/// number.
#[inline(always)]
fn bucket_of(source: u32, mask: u64, secret: &Secret) -> u32 {
    let network = u64::from(source) & mask | mask << 32;
    let hash = (network ^ secret.seed_a).wrapping_mul(secret.multiplier_b);
    ((hash ^ hash >> 32).wrapping_mul(secret.multiplier_a) >> (64 - LIMIT_BUCKETS.trailing_zeros()))
        as u32
}
