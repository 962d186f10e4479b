//! The rate limit by the source's network, and the age of the daemon's heartbeat.
//!
//! A bucket is one number: the time at which it is full again (generic cell rate algorithm, ITU-T
//! I.371), and in its lowest bit whether the next one over the limit is dropped. Buckets are chosen by a
//! keyed hash, so that nobody can aim at another's. The time is that of the heartbeat, which costs no
//! call; only before a bucket refuses is the clock read.

use aya_ebpf::helpers::bpf_ktime_get_coarse_ns;
use dglb_common::{
    client::{self, Client},
    counters::Counter,
    layout::{LimitPrefix, LimitRate, MAX_LIMIT_PREFIXES, Secret, Settings},
    packet::{Scratch, bind},
};

use crate::maps::{HEARTBEAT, LIMITS};

/// Frames between two looks at the clock, a power of two.
const LOOK_EVERY: u32 = 256;

/// When the daemon last said that it lives.
///
/// # Errors
/// [`Counter::PassedStale`] when that is too long ago, or was when the clock was last looked at.
#[inline(always)]
pub fn heartbeat(settings: &Settings, scratch: &mut Scratch) -> Result<u64, Counter> {
    let heartbeat = HEARTBEAT.get_ptr(0).ok_or(Counter::PassedTable)?;
    // SAFETY: a pointer that the map gave, to an aligned word that is read once.
    let heartbeat = unsafe { heartbeat.read_volatile() };
    if scratch.frames & (LOOK_EVERY - 1) == 0 || scratch.stale != 0 {
        let age = now().saturating_sub(heartbeat);
        scratch.stale = u32::from(age > settings.max_stale_ns);
    }
    scratch.frames = scratch.frames.wrapping_add(1);
    if scratch.stale != 0 {
        return Err(Counter::PassedStale);
    }
    Ok(heartbeat)
}

/// The coarse clock.
#[inline(always)]
fn now() -> u64 {
    // SAFETY: the helper takes nothing and reads a clock (kernel 5.11).
    unsafe { bpf_ktime_get_coarse_ns() }
}

/// Whether a source is within its limit.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Charge {
    /// It is.
    Within,
    /// It is not.
    Over {
        /// It is the turn of a truncated stub.
        stub: bool,
    },
}

/// Charges the source for one query.
///
/// # Errors
/// [`Counter::PassedTable`] without tables.
#[inline(always)]
pub fn charge(
    source: Client,
    settings: &Settings,
    secret: &Secret,
    heartbeat: u64,
) -> Result<Charge, Counter> {
    let Rule { rate, mask } = rule_of(source, settings);
    if rate.interval_ns == 0 {
        return Ok(Charge::Within);
    }
    let bucket = client::limit_bucket(source.hash(mask, secret));
    let bucket = LIMITS.get_ptr_mut(bucket).ok_or(Counter::PassedTable)?;
    // SAFETY: a pointer that the map gave, to this CPU's word.
    let word = unsafe { *bucket };
    let taken = match take(word, heartbeat, &rate) {
        Some(next) => Some(next),
        None => take(word, now(), &rate),
    };
    let next = taken.unwrap_or(word ^ 1);
    // SAFETY: as above.
    unsafe { *bucket = next };
    Ok(match taken {
        Some(_) => Charge::Within,
        None => Charge::Over {
            stub: word & 1 == 0,
        },
    })
}

/// The bucket's word after one more query, if there is room for it at the time `now`.
#[inline(always)]
fn take(word: u64, now: u64, rate: &LimitRate) -> Option<u64> {
    // A bucket is never emptier than empty: what an earlier run with a larger burst left is cut.
    let empty = now + rate.burst_ns;
    let full_at = word & !1;
    let start = if full_at > empty { empty } else { full_at };
    let start = if start > now { start } else { now };
    let next = start + rate.interval_ns;
    (next <= empty).then_some(next & !1 | word & 1)
}

/// A rate, and the mask of the sources that share a bucket; whole words, for the reason that
/// `dglb_common::packet::Datagram` gives.
struct Rule {
    rate: LimitRate,
    mask: u64,
}

/// The limit of the longest prefix that has the source, or the default. A prefix longer than a /24 or
/// /56 has a bucket of its own, so that its neighbours can't empty it.
#[inline(always)]
fn rule_of(source: Client, settings: &Settings) -> Rule {
    let named = if source.is_v6 != 0 {
        longest(source, &settings.limits_v6, settings.limit_count_v6)
    } else {
        longest(source, &settings.limits_v4, settings.limit_count_v4)
    };
    let network = source.network_mask();
    match named {
        Some(named) => Rule {
            rate: named.rate,
            mask: named.prefix.mask | network,
        },
        None => Rule {
            rate: settings.limit,
            mask: network,
        },
    }
}

#[inline(always)]
fn longest(
    source: Client,
    prefixes: &[LimitPrefix; MAX_LIMIT_PREFIXES],
    count: u32,
) -> Option<&LimitPrefix> {
    for index in 0..MAX_LIMIT_PREFIXES {
        // Bound for the reason that `client::is_in_any` has.
        if bind(index) as u32 >= count {
            break;
        }
        if source.is_in(&prefixes[index].prefix) {
            return Some(&prefixes[index]);
        }
    }
    None
}
