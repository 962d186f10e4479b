//! Arithmetic of the Internet checksum (RFC 1071): ones'-complement sums of 16-bit words.
//!
//! Sums are kept in the machine's own byte order, as the words stand in memory: the ones'-complement
//! sum does not care (RFC 1071 §2(B)), and the result is stored the same way it was read.

/// Adds a native-order 8-octet word of data, at an even offset, to a running sum.
///
/// The sum can take 2^31 words before it would overflow.
#[inline(always)]
pub const fn add_word(sum: u64, word: u64) -> u64 {
    sum + (word & 0xffff_ffff) + (word >> 32)
}

/// Folds a running sum to 16 bits, carries added back.
#[inline(always)]
pub const fn fold(sum: u64) -> u16 {
    // 64 bits leave at most 34 after the first step, then 19, 17 and 16.
    let sum = (sum & 0xffff_ffff) + (sum >> 32);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    sum as u16
}

/// What a folded sum adds to a running one, of data that begins at `offset` of the whole: at an odd one
/// its octets change places (RFC 1071 §2(B)), which is a product with 2^8 modulo 2^16 - 1. No branch: the
/// verifier follows both sides of one.
#[inline(always)]
pub const fn at_offset(sum: u16, offset: usize) -> u64 {
    (sum as u64) << ((offset & 1) * 8)
}

/// The ones'-complement sum of `data`, which begins at an even offset, folded.
pub fn of(data: &[u8]) -> u16 {
    let mut sum = 0;
    for chunk in data.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        sum = add_word(sum, u64::from_ne_bytes(word));
    }
    fold(sum)
}

/// What goes into a UDP header's checksum field: the complement, and 0xFFFF for zero (RFC 768).
#[inline(always)]
pub const fn udp_field(sum: u64) -> u16 {
    let field = !fold(sum);
    if field == 0 { 0xffff } else { field }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// RFC 1071 §4.1, word by word, big-endian.
    fn reference(data: &[u8]) -> u16 {
        let mut sum = 0_u32;
        for pair in data.chunks(2) {
            sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
        }
        while sum >> 16 != 0 {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        sum as u16
    }

    proptest! {
        #[test]
        fn the_sum_is_that_of_rfc_1071(data in proptest::collection::vec(any::<u8>(), 0..600)) {
            prop_assert_eq!(of(&data).to_be_bytes(), reference(&data).to_le_bytes());
        }

        #[test]
        fn parts_add_up_at_odd_and_even_offsets(
            data in proptest::collection::vec(any::<u8>(), 1..300), cut in any::<prop::sample::Index>(),
        ) {
            let cut = cut.index(data.len());
            let (head, tail) = data.split_at(cut);
            prop_assert_eq!(fold(u64::from(of(head)) + at_offset(of(tail), cut)), of(&data));
        }
    }

    #[test]
    fn zero_is_sent_as_all_ones() {
        // RFC 768: "If the computed checksum is zero, it is transmitted as all ones".
        assert_eq!(udp_field(0xffff), 0xffff);
        assert_eq!(udp_field(0), 0xffff);
        assert_eq!(udp_field(1), 0xfffe);
    }
}
