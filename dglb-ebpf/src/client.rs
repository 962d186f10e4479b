//! Who asks, and which vantage is beside them.

use aya_ebpf::maps::lpm_trie::Key;
use dglb_common::{
    client::Client,
    counters::Counter,
    layout::{
        ChunkWord, MAX_RUN, MAX_SUBNET_SENDERS, MappingWord, Prefix, PrefixValue,
        RUN_ENTRIES_PER_ELEMENT, RunEntry, Settings, client_check,
    },
    packet::bind,
};

use crate::maps::{CLIENT_CHUNKS, CLIENT_RUNS, PREFIXES_V4, PREFIXES_V6, RESOLVERS_V6};

/// Who asks.
pub struct Asker {
    /// The source address.
    pub source: Client,
    /// Whom Client Subnet names.
    pub subnet: Client,
    /// Length of that prefix; 0: Client Subnet does not count.
    pub subnet_len: u64,
}

/// A vantage, and the scope of what is chosen by it (RFC 7871 §7.2.1).
#[derive(Clone, Copy)]
pub struct Place {
    /// The vantage.
    pub vantage: u32,
    /// Bits.
    pub scope: u32,
}

/// Whether Client Subnet is believed from this source (RFC 7871 §7.2).
#[inline(always)]
pub fn is_subnet_sender(source: Client, settings: &Settings) -> bool {
    if source.is_v6 != 0 {
        is_in_any(
            source,
            &settings.subnet_senders_v6,
            settings.subnet_sender_count_v6,
        )
    } else {
        is_in_any(
            source,
            &settings.subnet_senders_v4,
            settings.subnet_sender_count_v4,
        )
    }
}

#[inline(always)]
fn is_in_any(source: Client, prefixes: &[Prefix; MAX_SUBNET_SENDERS], count: u32) -> bool {
    for index in 0..MAX_SUBNET_SENDERS {
        // Bound, or LLVM counts down from the smaller of the two ends, of which the verifier of kernel 6.1
        // does not know the limits.
        if bind(index) as u32 >= count {
            break;
        }
        if source.is_in(&prefixes[index]) {
            return true;
        }
    }
    false
}

impl Asker {
    /// The client that an answer with addresses is chosen for.
    #[inline(always)]
    pub fn client(&self) -> Client {
        if self.subnet_len == 0 {
            self.source
        } else {
            self.subnet
        }
    }

    /// The vantage of an answer that Client Subnet may choose.
    #[inline(always)]
    pub fn place(&self, settings: &Settings) -> Result<Place, Counter> {
        if self.subnet_len == 0 {
            return self.place_of_source(settings);
        }
        let len = if self.subnet_len > 64 {
            64
        } else {
            self.subnet_len
        };
        in_prefixes(self.subnet, len as u32)
    }

    /// The vantage of who sent the query.
    #[inline(always)]
    pub fn place_of_source(&self, settings: &Settings) -> Result<Place, Counter> {
        let vantage = if self.source.is_v6 != 0 {
            vantage_v6(self.source, settings)?
        } else {
            vantage_v4(self.source, settings)?
        };
        Ok(Place { vantage, scope: 0 })
    }
}

/// The client index: one word for the first bits, and where that says so a run to search.
#[inline(always)]
fn vantage_v4(source: Client, settings: &Settings) -> Result<u32, Counter> {
    if settings.maps_v4 == 0 {
        return Ok(settings.default_vantage);
    }
    let none = Counter::PassedTable;
    let address = u32::from_be(source.word as u32);
    let chunk = CLIENT_CHUNKS.get_ptr(ChunkWord::of(address)).ok_or(none)?;
    // SAFETY: a pointer that the map gave, to an aligned word that is read once.
    let chunk = ChunkWord(unsafe { chunk.read_volatile() });
    let count = chunk.count();
    if count == 0 {
        return Ok(chunk.vantage());
    }
    let wanted = address & (MAX_RUN - 1);
    // The last entry that begins at the address or in front of it lies in `first .. first + left`.
    let mut first = chunk.start();
    let mut left = count;
    for _ in 0..MAX_RUN.trailing_zeros() + 1 {
        if left <= 1 {
            break;
        }
        let half = left / 2;
        // Without a branch, which would go wrong every other time.
        let begins = i64::from(entry(first + half)?.first());
        let is_at_or_before = (begins - i64::from(wanted) - 1) >> 63;
        first += half & is_at_or_before as u32;
        left -= half;
    }
    Ok(entry(first)?.vantage())
}

#[inline(always)]
fn entry(index: u32) -> Result<RunEntry, Counter> {
    let element = CLIENT_RUNS
        .get(index / RUN_ENTRIES_PER_ELEMENT)
        .ok_or(Counter::PassedTable)?;
    Ok(RunEntry::in_element(*element, index))
}

#[inline(always)]
fn vantage_v6(source: Client, settings: &Settings) -> Result<u32, Counter> {
    if settings.maps_v6 == 0 {
        return Ok(settings.default_vantage);
    }
    let Some(value) = RESOLVERS_V6.get_ptr(octets(source.word)) else {
        return Ok(in_prefixes(source, 64)?.vantage);
    };
    // SAFETY: a pointer that the map gave; the value is aligned to 8 and its first word is read once.
    let word = MappingWord(unsafe { value.cast::<u64>().read_volatile() });
    if word.check() != client_check(source.word) {
        return Err(Counter::PassedTable);
    }
    Ok(word.vantage())
}

/// A trie's key from `len` on, aligned: aya's own is packed, and LLVM would write it to the stack in words
/// that are not, which the verifier refuses.
#[repr(C, align(8))]
struct LpmKey {
    unused: u32,
    len: u32,
    address: [u64; 2],
}

/// The entry of the longest prefix, of at most `len` bits, that has the client.
#[inline(always)]
fn in_prefixes(client: Client, len: u32) -> Result<Place, Counter> {
    let key = LpmKey {
        unused: 0,
        len,
        address: [client.word, 0],
    };
    // SAFETY: behind the length there are as many octets of the address as either type has.
    let value = if client.is_v6 != 0 {
        PREFIXES_V6.get(unsafe { &*(&raw const key.len).cast::<Key<[u8; 16]>>() })
    } else {
        PREFIXES_V4.get(unsafe { &*(&raw const key.len).cast::<Key<[u8; 4]>>() })
    };
    let value = value.ok_or(Counter::PassedTable)?;
    // SAFETY: a reference that the map gave; the value is aligned to 4 and is read once, as one word.
    let word = unsafe { (&raw const *value).cast::<u32>().read_volatile() };
    let value = PrefixValue::from_word(word);
    Ok(Place {
        vantage: u32::from(value.vantage),
        scope: u32::from(value.scope),
    })
}

/// A /64 as a key.
#[inline(always)]
fn octets(word: u64) -> [u8; 16] {
    let [a, b, c, d, e, f, g, h] = word.to_ne_bytes();
    [a, b, c, d, e, f, g, h, 0, 0, 0, 0, 0, 0, 0, 0]
}
