//! Ready answers put behind a question, byte for byte as the kernel program does it.

use dglb_common::layout::{Answer, RECORDS_BASE};

/// The records of `answer` as they stand at offset `start` of a message whose question has
/// `octets_before` octets in front of the name that they belong to: pointers to that name are moved by
/// as much, pointers to a name among the records by as much as these have moved.
pub(super) fn records(answer: &Answer, octets_before: usize, start: usize) -> Vec<u8> {
    let mut records = answer.octets[..usize::from(answer.len)].to_vec();
    let to_records = usize::from(answer.record_pointers);
    let all = to_records + usize::from(answer.base_pointers);
    for (index, &at) in answer.pointers.iter().take(all).enumerate() {
        let moved_by = if index < to_records {
            start - usize::from(RECORDS_BASE)
        } else {
            octets_before
        };
        let at = usize::from(at);
        let pointer = u16::from_be_bytes([records[at], records[at + 1]]);
        let moved = pointer + moved_by as u16;
        records[at..at + 2].copy_from_slice(&moved.to_be_bytes());
    }
    records
}

/// The same answer with no TTL above `most`. Its checksum is no longer right: user space takes its
/// own.
pub(super) fn with_ttl_at_most(mut answer: Answer, most: u32) -> Answer {
    let end = usize::from(answer.len);
    let mut at = 0;
    while at < end {
        at = end_of_name(&answer.octets, at) + 4;
        let ttl = &mut answer.octets[at..at + 4];
        let lower = u32::from_be_bytes([ttl[0], ttl[1], ttl[2], ttl[3]]).min(most);
        ttl.copy_from_slice(&lower.to_be_bytes());
        let rdata_len = u16::from_be_bytes([answer.octets[at + 4], answer.octets[at + 5]]);
        at += 6 + usize::from(rdata_len);
    }
    answer
}

/// Where the name at `at` ends: behind its root octet or its pointer (RFC 1035 §4.1.4).
fn end_of_name(octets: &[u8], mut at: usize) -> usize {
    loop {
        match octets[at] {
            0 => return at + 1,
            0xc0.. => return at + 2,
            len => at += 1 + usize::from(len),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;
    use crate::{
        label::Label,
        ready::{self, NameServer},
    };

    /// A referral with a backup, both with two addresses.
    fn referral(ttl: u32) -> Answer {
        let (own, backup) = (Label::of_node("a"), Label::of_node("b"));
        let server = |label| NameServer {
            label,
            ipv4: Ipv4Addr::new(192, 0, 2, 1),
            ipv6: Some(Ipv6Addr::LOCALHOST),
        };
        ready::referral(server(&own), Some(server(&backup)), ttl).as_slice()[0]
    }

    #[test]
    fn pointers_move_and_nothing_else() {
        let answer = referral(60);
        let moved = records(&answer, 5, 12 + 30);
        let to_records = usize::from(answer.record_pointers);
        for (index, (ready, moved)) in answer.octets.iter().zip(&moved).enumerate() {
            let pointer = answer.pointers[..to_records + usize::from(answer.base_pointers)]
                .iter()
                .position(|&pointer| usize::from(pointer) + 1 == index);
            let by = match pointer {
                Some(pointer) if pointer < to_records => 30,
                Some(_) => 5,
                None => 0,
            };
            assert_eq!(*moved, ready + by, "octet {index}");
        }
        assert_eq!((answer.base_pointers, answer.record_pointers), (4, 4));
    }

    #[test]
    fn every_ttl_is_capped_and_a_smaller_one_stays() {
        let capped = with_ttl_at_most(referral(3600), 60);
        assert_eq!(capped.octets, referral(60).octets);
        assert_eq!(with_ttl_at_most(referral(7), 60), referral(7));
    }
}
