//! A node's name, as the map protocol carries it.

use std::{fmt, str::FromStr};

use super::wire::WireError;

/// 1 to 253 visible ASCII characters, none of them an upper-case letter.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeName(String);

impl NodeName {
    /// The most octets that a name has.
    pub const MAX_LEN: usize = 253;

    /// Checks a name as it came over the wire.
    ///
    /// # Errors
    /// The length is wrong, or a character is not allowed; upper case is not folded here.
    pub fn of_wire(octets: &[u8]) -> Result<Self, WireError> {
        if octets.is_empty() || octets.len() > Self::MAX_LEN {
            return Err(WireError::NameLength(octets.len()));
        }
        let allowed = |octet: &u8| octet.is_ascii_graphic() && !octet.is_ascii_uppercase();
        match octets.iter().find(|octet| !allowed(octet)) {
            Some(octet) => Err(WireError::NameCharacter(*octet)),
            None => Ok(Self(
                octets.iter().map(|octet| char::from(*octet)).collect(),
            )),
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for NodeName {
    type Err = WireError;

    /// Folds upper case and checks.
    fn from_str(name: &str) -> Result<Self, WireError> {
        Self::of_wire(name.to_ascii_lowercase().as_bytes())
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for NodeName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_folded_or_refused() {
        assert_eq!(
            "LB-a.Example".parse::<NodeName>().unwrap().as_str(),
            "lb-a.example"
        );
        assert!(NodeName::of_wire(b"LB-a").is_err());
        for bad in ["", "a b", "a\n", "knoten-\u{e4}", &"a".repeat(254)] {
            assert!(bad.parse::<NodeName>().is_err(), "{bad:?}");
        }
        assert!("a".repeat(253).parse::<NodeName>().is_ok());
    }
}
