//! The differential test: the same frames through the kernel program and through user space.
//!
//! What the kernel answers, user space answers with the same octets; what it passes is unaltered; what it
//! drops, it drops for a counted reason. And each answer says what the oracle says. `cargo xtask test`
//! runs a fixed number of frames from a fixed seed, `cargo xtask fuzz` ([`cli`]) any number.
//!
//! - [`case`]: the nodes; [`path`]: what answers frames; [`run`]: the comparison, frame by frame;
//!   [`corpus`]: frames that failed once; [`parse`]: the kernel program's parser on the host.

pub mod case;
pub mod cli;
pub mod corpus;
pub mod parse;
pub mod path;
pub mod run;

/// Octets as people and the corpus write them.
pub fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// The octets that a line of hexadecimal digits stands for; `None`: it is none.
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .map(|digit| Some(digit.to_digit(16)? as u8))
        .collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    Some(
        digits
            .chunks(2)
            .map(|pair| pair[0] << 4 | pair[1])
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octets_come_back_from_their_digits() {
        assert_eq!(from_hex(&hex(&[0, 0x5f, 0xff])), Some(vec![0, 0x5f, 0xff]));
        assert_eq!(from_hex(""), Some(Vec::new()));
        for wrong in ["0", "0g", "00 ", "0x00"] {
            assert_eq!(from_hex(wrong), None, "{wrong}");
        }
    }
}
