//! The label that stands for a DNS-LB in NS host names and in form C's CNAME (docs/answer-table.md, "Labels").
//!
//! `lb` and 13 characters of lower-case base32hex (RFC 4648 §7): the first 65 bits of the SHA-256 of
//! the lower-case node name. With its length octet it has 16 octets, two words to compare.

use std::fmt;

use data_encoding::BASE32HEX_NOPAD;
use sha2::{Digest, Sha256};

/// Octets of a label without its length octet.
const LABEL_LEN: usize = 15;

/// A DNS-LB's label, made from its node name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Label([u8; LABEL_LEN]);

impl Label {
    /// The label of the node called `node_name`; letter case does not matter.
    pub fn of_node(node_name: &str) -> Self {
        let digest = Sha256::digest(node_name.to_ascii_lowercase().as_bytes());
        let encoded = BASE32HEX_NOPAD.encode(&digest[..10]).to_ascii_lowercase();
        let mut label = *b"lb-------------";
        label[2..].copy_from_slice(&encoded.as_bytes()[..13]);
        Self(label)
    }

    /// The 15 characters, without the length octet.
    pub fn characters(&self) -> &[u8; LABEL_LEN] {
        &self.0
    }

    /// Length octet and characters, as they stand in a name on the wire.
    pub fn wire(&self) -> [u8; 16] {
        let mut wire = [LABEL_LEN as u8; 16];
        wire[1..].copy_from_slice(&self.0);
        wire
    }

    /// The label that stands in `wire`, length octet first; `None` when it has not the form of one.
    pub fn from_wire(wire: &[u8; 16]) -> Option<Self> {
        let characters = &wire[1..];
        let fits = usize::from(wire[0]) == LABEL_LEN && Self::is_reserved_form(characters);
        let mut label = [0; LABEL_LEN];
        label.copy_from_slice(characters);
        label.make_ascii_lowercase();
        fits.then_some(Self(label))
    }

    /// Whether `characters` (any letter case) have the reserved form, known label or not.
    pub fn is_reserved_form(characters: &[u8]) -> bool {
        characters.len() == LABEL_LEN
            && characters[..2].eq_ignore_ascii_case(b"lb")
            && characters[2..]
                .iter()
                .all(|octet| matches!(octet.to_ascii_lowercase(), b'0'..=b'9' | b'a'..=b'v'))
    }
}

impl fmt::Display for Label {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(std::str::from_utf8(&self.0).expect("base32hex is ASCII"))
    }
}

impl fmt::Debug for Label {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_follows_from_the_node_name_alone() {
        // printf lb1.isp1.example | sha256sum | cut -c1-18 | xxd -r -p | base32hex
        let label = Label::of_node("LB1.isp1.example");
        assert_eq!(label, Label::of_node("lb1.isp1.example"));
        assert_ne!(label, Label::of_node("lb2.isp1.example"));
        assert!(Label::is_reserved_form(label.characters()));
        assert_eq!(label.wire()[0], 15);
        assert_eq!(Label::from_wire(&label.wire()), Some(label));
        assert_eq!(Label::from_wire(&[0; 16]), None);
    }

    #[test]
    fn the_reserved_form_is_exact() {
        assert!(Label::is_reserved_form(b"LB0123456789ABV"));
        assert!(!Label::is_reserved_form(b"lb0123456789abw"));
        assert!(!Label::is_reserved_form(b"lb0123456789ab"));
        assert!(!Label::is_reserved_form(b"xb0123456789abv"));
    }
}
