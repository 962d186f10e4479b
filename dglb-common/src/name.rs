//! The keyed hash of owner names: 128 bits, from the root end, letter case folded, labels kept apart.
//!
//! A name is hashed label by label from the right, so that the hash of each ancestor comes by the way
//! and one pass finds the closest balanced name above what was asked. Each label, with its length
//! octet, is taken in words of 8 octets from its end; the last word, which holds the length octet, is
//! filled with zero octets. That keeps label boundaries: read backwards, each label's length tells how
//! many words were its own.
//!
//! Not a cryptographic hash: the keys are secret and random, and two independent lanes of 64 bits make
//! a false match by chance a matter of 2^-100 for a million names. The words end where the name's
//! labels end, so reading one never touches octets behind the name.

use crate::layout::Secret;

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

/// A hash that is being taken, and after the last label of a name that name's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameHash {
    /// First lane.
    pub a: u64,
    /// Second lane.
    pub b: u64,
}

impl NameHash {
    /// The hash of the root, which has no labels.
    #[inline(always)]
    pub const fn root(secret: &Secret) -> Self {
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

    /// The 32 bits that stand beside the reference in a table's value (DESIGN §5: check of the key).
    #[inline(always)]
    pub const fn check(self) -> u32 {
        (self.b >> 32) as u32
    }
}

/// The last word of a label of which `octets` are left (at least 1, the length octet among them),
/// given the 8 octets before its end in little-endian order: octets in front of the label are cut
/// away.
#[inline(always)]
pub const fn cut_word(eight_before_end: u64, octets: usize) -> u64 {
    if octets >= 8 {
        eight_before_end
    } else {
        eight_before_end >> ((8 - octets) * 8)
    }
}

/// The hash of a whole name in wire form, with or without the root's zero octet, in any letter case.
///
/// The host's way to the same value that the kernel program computes in place. `None` when the octets
/// are no name: a label beyond the end, or a compression pointer (RFC 1035 §4.1.4).
pub fn hash(secret: &Secret, wire: &[u8]) -> Option<NameHash> {
    let mut starts = [0_usize; MAX_LABELS + 1];
    let (mut labels, mut offset) = (0, 0);
    while let Some(&len) = wire.get(offset) {
        if len == 0 {
            break;
        }
        if usize::from(len) >= MAX_LABEL_OCTETS || labels == MAX_LABELS {
            return None;
        }
        starts[labels] = offset;
        labels += 1;
        offset += 1 + usize::from(len);
    }
    if offset > wire.len() || offset > 254 {
        return None;
    }
    let mut hash = NameHash::root(secret);
    let mut end = offset;
    for &start in starts[..labels].iter().rev() {
        while end > start {
            let from = end.saturating_sub(8).max(start);
            let mut word = [0; 8];
            word[..end - from].copy_from_slice(&wire[from..end]);
            hash = hash.absorb(secret, fold_case(u64::from_le_bytes(word)));
            end = from;
        }
    }
    Some(hash)
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
        fn cutting_equals_copying(octets in any::<[u8; 24]>(), start in 8_usize..24, len in 1_usize..16) {
            let end = (start + len).min(24);
            let before: [u8; 8] = octets[end - 8..end].try_into().expect("eight");
            let from = (end - 8).max(start);
            let mut expected = [0; 8];
            expected[..end - from].copy_from_slice(&octets[from..end]);
            prop_assert_eq!(
                cut_word(u64::from_le_bytes(before), end - start),
                u64::from_le_bytes(expected)
            );
        }

        #[test]
        fn no_octets_make_it_panic(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = hash(&SECRET, &octets);
        }
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
