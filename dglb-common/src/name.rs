//! The keyed hash of owner names: 128 bits, from the root end, letter case folded, labels kept apart.
//!
//! A name is taken from its end, in front of the root's octet, in words of 8 octets, so that one pass
//! gives the hash of each ancestor by the way and finds the closest balanced name above what was asked.
//! What is left in front, up to 7 octets, goes into the last word together with the number of octets.
//! Length octets are among the octets, so label boundaries are kept.
//!
//! Not a cryptographic hash: the keys are secret and random, and two independent lanes of 64 bits make
//! a false match by chance a matter of 2^-100 for a million names.

use crate::layout::{NameKey, Secret, Suffixes};

/// Labels that a name can have at most: 255 octets, two for each label of one octet, one for the root.
pub const MAX_LABELS: usize = 127;

/// Octets of a label with its length octet.
pub const MAX_LABEL_OCTETS: usize = 64;

/// `word` with its ASCII capitals made small, all eight octets at once.
///
/// Length octets (at most 63) are below `A` and stay as they are.
#[inline(always)]
pub const fn fold_case(word: u64) -> u64 {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let low = word & (0x7f * EACH);
    let after_z = low + (0x7f - b'Z' as u64) * EACH;
    let from_a = low + (0x80 - b'A' as u64) * EACH;
    let capital = !word & (from_a ^ after_z) & (0x80 * EACH);
    word | (capital >> 2)
}

/// Whether 16 octets, in two words as they stand in memory, case folded, are a label of the reserved
/// form: the length octet, `lb`, and 13 characters of base32hex (RFC 4648 §7).
#[inline(always)]
pub const fn is_label_form(first: u64, second: u64) -> bool {
    let (first, second) = (first.to_le(), second.to_le());
    let head = first & 0xff_ffff;
    // The characters behind the head, with harmless ones in its place.
    let rest = first & !0xff_ffff | 0x30_3030;
    head == u64::from_le_bytes([15, b'l', b'b', 0, 0, 0, 0, 0])
        && is_base32hex(rest)
        && is_base32hex(second)
}

/// Whether all eight octets are characters of base32hex, small letters: 0 to 9 and a to v.
#[inline(always)]
const fn is_base32hex(word: u64) -> bool {
    const EACH: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x80 * EACH;
    if word & HIGH != 0 {
        return false;
    }
    // The high bit of an octet is set where it is at least the character.
    let from_0 = word + (0x80 - b'0' as u64) * EACH;
    let after_9 = word + (0x80 - b'9' as u64 - 1) * EACH;
    let from_a = word + (0x80 - b'a' as u64) * EACH;
    let after_v = word + (0x80 - b'v' as u64 - 1) * EACH;
    (from_0 & !after_9 | from_a & !after_v) & HIGH == HIGH
}

/// A hash that is being taken, or after [`NameHash::finish`] a name's key.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameHash {
    /// First lane.
    pub a: u64,
    /// Second lane.
    pub b: u64,
}

impl NameHash {
    /// Of which nothing has been taken in yet.
    #[inline(always)]
    pub const fn new(secret: &Secret) -> Self {
        Self {
            a: secret.seed_a,
            b: secret.seed_b,
        }
    }

    /// Takes in the next word to the left, case already folded.
    #[inline(always)]
    pub const fn absorb(self, secret: &Secret, word: u64) -> Self {
        let a = (self.a ^ word).wrapping_mul(secret.multiplier_a);
        let b = self.b.wrapping_add(word).wrapping_mul(secret.multiplier_b);
        Self {
            a: a ^ (a >> 32),
            b: b ^ (b >> 29),
        }
    }

    /// The hash of a name of `octets` octets without the root's, given its first `octets` % 8 octets
    /// in little-endian order, case already folded.
    #[inline(always)]
    pub const fn finish(self, secret: &Secret, first: u64, octets: usize) -> Self {
        self.absorb(secret, first | (octets as u64) << 56)
    }

    /// As a key.
    #[inline(always)]
    pub const fn key(self) -> NameKey {
        NameKey {
            a: self.a,
            b: self.b,
        }
    }
}

/// The last `octets` (0 to 7) of 8 octets in little-endian order; zeros fill the word.
#[inline(always)]
pub const fn last_octets(word: u64, octets: usize) -> u64 {
    // In two steps, as a shift by 64 bits is none.
    word >> ((7 - octets) * 8) >> 8
}

impl Suffixes {
    /// Whether a name of the table may end in these 8 octets, which stand before the root's: case folded,
    /// a word in little-endian order. Of a short name the first of them are what stands in front of it.
    #[inline(always)]
    pub const fn may_have(&self, secret: &Secret, word: u64) -> bool {
        let (long, short) = (suffix_bits(secret, word), suffix_bits(secret, word >> 48));
        self.long & long == long || self.short & short == short
    }

    /// Takes a name in, in wire form without the root's octet.
    pub fn add(&mut self, secret: &Secret, octets: &[u8]) {
        if let Some(last) = octets.last_chunk::<8>() {
            self.long |= suffix_bits(secret, fold_case(u64::from_le_bytes(*last)));
        } else if let Some([one, two]) = octets.last_chunk() {
            let word = u64::from_le_bytes([*one, *two, 0, 0, 0, 0, 0, 0]);
            self.short |= suffix_bits(secret, fold_case(word));
        }
    }
}

/// Which two of 64 bits stand for a suffix.
#[inline(always)]
const fn suffix_bits(secret: &Secret, word: u64) -> u64 {
    let hash = word.wrapping_mul(secret.multiplier_a);
    1 << (hash >> 58) | 1 << (hash >> 52 & 63)
}

/// The hash of a whole name in wire form, with or without the root's octet, in any letter case.
///
/// The host's way to the same value that the kernel program computes in place. `None` when the octets
/// are no name: a label beyond the end, or a compression pointer (RFC 1035 §4.1.4).
pub fn hash(secret: &Secret, wire: &[u8]) -> Option<NameHash> {
    let mut octets = 0;
    while let Some(&len) = wire.get(octets) {
        if len == 0 {
            break;
        }
        if usize::from(len) >= MAX_LABEL_OCTETS {
            return None;
        }
        octets += 1 + usize::from(len);
    }
    if octets > wire.len() || octets > 254 {
        return None;
    }
    let mut hash = NameHash::new(secret);
    let (first, words) = wire[..octets].as_rchunks::<8>();
    for word in words.iter().rev() {
        hash = hash.absorb(secret, fold_case(u64::from_le_bytes(*word)));
    }
    let mut rest = [0; 8];
    rest[..first.len()].copy_from_slice(first);
    Some(hash.finish(secret, fold_case(u64::from_le_bytes(rest)), octets))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECRET: Secret = Secret {
        seed_a: 0x0123_4567_89ab_cdef,
        seed_b: 0xfedc_ba98_7654_3210,
        multiplier_a: 0x9e37_79b9_7f4a_7c15,
        multiplier_b: 0xc2b2_ae3d_27d4_eb4f,
    };

    fn of(wire: &[u8]) -> NameHash {
        hash(&SECRET, wire).expect("a name")
    }

    proptest! {
        #[test]
        fn folding_is_that_of_ascii(octets in any::<[u8; 8]>()) {
            let folded = fold_case(u64::from_le_bytes(octets)).to_le_bytes();
            prop_assert_eq!(folded, octets.map(|octet| octet.to_ascii_lowercase()));
        }

        #[test]
        fn the_label_form_is_that_of_its_octets(
            characters in "[0-9a-wA-V@`:/]{13}", head in prop::sample::select(vec![
                [15, b'l', b'b'], [15, b'L', b'B'], [14, b'l', b'b'], [15, b'l', b'c'], [143, b'l', b'b'],
            ]), odd in prop::option::of((3_usize..16, any::<u8>())),
        ) {
            let mut octets = [0; 16];
            octets[..3].copy_from_slice(&head);
            octets[3..].copy_from_slice(characters.as_bytes());
            if let Some((at, octet)) = odd {
                octets[at] = octet;
            }
            let small = octets.map(|octet| octet.to_ascii_lowercase());
            let expected = small[..3] == [15, b'l', b'b']
                && small[3..].iter().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'v'));
            let (words, _) = octets.as_chunks::<8>();
            let [first, second] = [words[0], words[1]].map(|word| fold_case(u64::from_ne_bytes(word)));
            prop_assert_eq!(is_label_form(first, second), expected);
        }

        #[test]
        fn what_ends_in_a_name_may_be_ours(
            name in prop::collection::vec(any::<u8>(), 2..12),
            before in prop::collection::vec(any::<u8>(), 8..20),
        ) {
            let mut suffixes = Suffixes::default();
            suffixes.add(&SECRET, &name.to_ascii_uppercase());
            let asked = [before, name].concat();
            let last = asked.last_chunk::<8>().expect("as many");
            prop_assert!(suffixes.may_have(&SECRET, fold_case(u64::from_le_bytes(*last))));
        }

        #[test]
        fn last_octets_are_those_in_memory(octets in any::<[u8; 8]>(), count in 0_usize..8) {
            let mut expected = [0; 8];
            expected[..count].copy_from_slice(&octets[8 - count..]);
            prop_assert_eq!(
                last_octets(u64::from_le_bytes(octets), count),
                u64::from_le_bytes(expected)
            );
        }

        #[test]
        fn different_names_have_different_hashes(
            one in proptest::collection::vec(proptest::collection::vec(0_u8..4, 1..12), 1..6),
            other in proptest::collection::vec(proptest::collection::vec(0_u8..4, 1..12), 1..6),
        ) {
            let wire = |labels: &[Vec<u8>]| {
                let octets = labels.iter().flat_map(|label| {
                    std::iter::once(label.len() as u8).chain(label.iter().copied())
                });
                octets.chain([0]).collect::<Vec<u8>>()
            };
            prop_assert_eq!(of(&wire(&one)) == of(&wire(&other)), one == other);
        }

        #[test]
        fn no_octets_make_it_panic(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = hash(&SECRET, &octets);
        }
    }

    #[test]
    fn most_of_what_ends_otherwise_is_not_ours() {
        let mut suffixes = Suffixes::default();
        suffixes.add(&SECRET, b"\x03www\x03foo\x03com");
        suffixes.add(&SECRET, b"\x01q");
        let others = (0..1000_u64).map(|number| number << 16 | 0x6d6f_0000_0000_0000);
        let may = others.filter(|word| suffixes.may_have(&SECRET, *word));
        assert!(may.count() < 100);
        assert!(!Suffixes::default().may_have(&SECRET, 0));
    }

    #[test]
    fn letter_case_does_not_matter() {
        assert_eq!(
            of(b"\x03wWw\x03Foo\x03com\0"),
            of(b"\x03www\x03foo\x03com\0")
        );
    }

    #[test]
    fn label_boundaries_matter() {
        assert_ne!(of(b"\x02ab\x01c\0"), of(b"\x01a\x02bc\0"));
        assert_ne!(of(b"\x05ab.cd\0"), of(b"\x02ab\x02cd\0"));
        // A label whose end looks like a label of its own.
        assert_ne!(of(b"\x09a\x03com\0\0\0\0\0"), of(b"\x01a\x03com\0"));
    }

    #[test]
    fn what_is_no_name_has_no_hash() {
        assert_eq!(hash(&SECRET, b"\x05abc"), None);
        assert_eq!(hash(&SECRET, b"\xc0\x0c"), None);
    }
}
