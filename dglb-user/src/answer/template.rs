//! Ready answers put behind a question, byte for byte as the kernel program does it.

use dglb_common::layout::Answer;

/// The records of `answer` as they stand in a message whose question has `octets_before` octets in
/// front of the name that they belong to: each pointer is moved by as much.
pub(super) fn records(answer: &Answer, octets_before: usize) -> Vec<u8> {
    let mut records = answer.octets[..usize::from(answer.len)].to_vec();
    for &at in &answer.pointers[..usize::from(answer.pointer_count)] {
        let at = usize::from(at);
        let pointer = u16::from_be_bytes([records[at], records[at + 1]]);
        let moved = pointer + octets_before as u16;
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
    use std::net::Ipv4Addr;

    use super::*;
    use crate::{label::Label, ready};

    #[test]
    fn pointers_move_and_nothing_else() {
        let answer = ready::referral(&Label::of_node("a"), Ipv4Addr::new(192, 0, 2, 1), 60);
        let moved = records(&answer, 5);
        for (index, (ready, moved)) in answer.octets.iter().zip(&moved).enumerate() {
            let low_of_pointer = answer.pointers[..usize::from(answer.pointer_count)]
                .iter()
                .any(|&pointer| usize::from(pointer) + 1 == index);
            assert_eq!(*moved, ready + if low_of_pointer { 5 } else { 0 });
        }
    }

    #[test]
    fn every_ttl_is_capped_and_a_smaller_one_stays() {
        let label = Label::of_node("a");
        let address = Ipv4Addr::new(192, 0, 2, 1);
        let capped = with_ttl_at_most(ready::referral(&label, address, 3600), 60);
        let low = ready::referral(&label, address, 60);
        assert_eq!(capped.octets, low.octets);
        let lower = ready::referral(&label, address, 7);
        assert_eq!(with_ttl_at_most(lower, 60), lower);
    }
}
