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
    let rate = rate_of(source, settings);
    let bucket = LIMITS
        .get_ptr_mut(bucket_of(source, secret))
        .ok_or(Outcome::Table)?;
    // SAFETY: a pointer that the map gave, to this CPU's word.
    let full_at = unsafe { *bucket };
    let start = if full_at > now { full_at } else { now };
    let next = start + rate.interval_ns;
    if next - now > rate.burst_ns {
        return Err(Outcome::Limited);
    }
    // SAFETY: as above.
    unsafe { *bucket = next };
    Ok(())
}

/// The limit of the longest prefix that has the source, or the default.
#[inline(always)]
fn rate_of(source: u32, settings: &Settings) -> LimitRate {
    for index in 0..MAX_LIMIT_PREFIXES {
        if index as u32 >= settings.prefix_count {
            break;
        }
        let prefix = &settings.prefixes[index];
        if source & prefix.mask == prefix.network {
            return prefix.rate;
        }
    }
    settings.limit
}

/// The bucket of the source's /24: high bits of a product with a secret odd number.
#[inline(always)]
fn bucket_of(source: u32, secret: &Secret) -> u32 {
    let [a, b, c, _] = source.to_ne_bytes();
    let network = u64::from(u32::from_be_bytes([0, a, b, c]));
    let hash = (network ^ secret.seed_a).wrapping_mul(secret.multiplier_b);
    (hash >> (64 - LIMIT_BUCKETS.trailing_zeros())) as u32
}
