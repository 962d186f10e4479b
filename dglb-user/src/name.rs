//! Owner names as the tables need them: absolute, lower case, in wire form (RFC 1035 §3.1).
//!
//! The configuration makes them, everything behind it trusts them. Text is parsed and printed by
//! hickory-proto; here stands only what DGLB asks of a name beyond that.

use std::{fmt, str::FromStr};

use hickory_proto::rr::Name;

use crate::label::Label;

/// An absolute domain name in wire form, folded to lower case, with the root's zero octet.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OwnerName(Vec<u8>);

/// Why a text is no owner name.
#[derive(Debug, thiserror::Error)]
pub enum NameError {
    /// hickory-proto could not read it.
    #[error("\"{text}\" is not a domain name: {reason}")]
    Syntax {
        /// What was written.
        text: String,
        /// What hickory-proto said.
        reason: String,
    },
}

impl OwnerName {
    /// The name whose wire form is `wire`: complete, uncompressed, ended by the root's zero octet.
    ///
    /// # Panics
    /// In debug builds, when `wire` does not end in a zero octet or is longer than 255 octets.
    pub fn from_wire(wire: &[u8]) -> Self {
        debug_assert!(wire.last() == Some(&0) && wire.len() <= 255);
        Self(wire.to_ascii_lowercase())
    }

    /// The wire form, lower case, with the root's zero octet: 1 to 255 octets.
    pub fn wire(&self) -> &[u8] {
        &self.0
    }

    /// How many labels the name has; the root has none.
    pub fn label_count(&self) -> usize {
        self.labels().count()
    }

    /// The labels from the left, without their length octets.
    pub fn labels(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.0.as_slice();
        std::iter::from_fn(move || {
            let (&len, tail) = rest.split_first()?;
            if len == 0 {
                return None;
            }
            let (label, after) = tail.split_at(usize::from(len));
            rest = after;
            Some(label)
        })
    }

    /// The name one label up; `None` for the root.
    pub fn parent(&self) -> Option<Self> {
        let len = usize::from(self.0[0]);
        (len != 0).then(|| Self(self.0[1 + len..].to_vec()))
    }

    /// Whether `self` is `ancestor` or lies below it, label by label.
    pub fn is_at_or_below(&self, ancestor: &Self) -> bool {
        let mut name = Some(self.clone());
        while let Some(current) = name {
            if current == *ancestor {
                return true;
            }
            name = current.parent();
        }
        false
    }

    /// `label` put before the name. The caller has checked that 255 octets are not exceeded.
    pub fn child(&self, label: &[u8]) -> Self {
        let mut wire = Vec::with_capacity(1 + label.len() + self.0.len());
        wire.push(u8::try_from(label.len()).expect("a label has at most 63 octets"));
        wire.extend_from_slice(&label.to_ascii_lowercase());
        wire.extend_from_slice(&self.0);
        Self(wire)
    }

    /// Whether any label has the form that is reserved for DNS-LB labels.
    pub fn has_reserved_label(&self) -> bool {
        self.labels().any(Label::is_reserved_form)
    }

    /// The same name as hickory-proto has it.
    pub fn to_hickory(&self) -> Name {
        Name::from_labels(self.labels()).expect("wire form was checked when the name was made")
    }
}

impl FromStr for OwnerName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let syntax = |reason: String| NameError::Syntax {
            text: text.to_owned(),
            reason,
        };
        if text.is_empty() {
            return Err(syntax("it is empty".to_owned()));
        }
        let name = Name::from_ascii(text).map_err(|error| {
            if text.starts_with('.') || text.contains("..") {
                syntax("a label is empty".to_owned())
            } else {
                syntax(error.to_string())
            }
        })?;
        let mut wire = Vec::with_capacity(name.len());
        for label in name.iter() {
            wire.push(
                u8::try_from(label.len()).map_err(|_| syntax("a label is too long".to_owned()))?,
            );
            wire.extend_from_slice(&label.to_ascii_lowercase());
        }
        wire.push(0);
        if wire.len() > 255 {
            return Err(syntax(format!(
                "{} octets on the wire, 255 are allowed",
                wire.len()
            )));
        }
        Ok(Self(wire))
    }
}

impl OwnerName {
    /// As people write it, and as it stands in a Host header: without the dot at the end.
    pub fn without_dot(&self) -> String {
        let mut name = self.to_hickory();
        name.set_fqdn(false);
        name.to_ascii()
    }
}

impl fmt::Display for OwnerName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut name = self.to_hickory();
        name.set_fqdn(true);
        write!(formatter, "{}", name.to_ascii())
    }
}

impl fmt::Debug for OwnerName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> OwnerName {
        text.parse().expect(text)
    }

    #[test]
    fn wire_form_is_folded_and_absolute() {
        assert_eq!(name("WWW.Foo.com").wire(), b"\x03www\x03foo\x03com\0");
        assert_eq!(name("www.foo.com."), name("www.foo.com"));
        assert_eq!(name("www.foo.com").to_string(), "www.foo.com.");
        assert_eq!(name("www.foo.com.").without_dot(), "www.foo.com");
    }

    #[test]
    fn below_respects_label_boundaries() {
        assert!(name("a.foo.com").is_at_or_below(&name("foo.com")));
        assert!(!name("afoo.com").is_at_or_below(&name("foo.com")));
        assert!(!name("com").is_at_or_below(&name("foo.com")));
    }

    #[test]
    fn what_is_no_name_is_refused() {
        assert!("".parse::<OwnerName>().is_err());
        for empty_label in ["a..b", ".a", "a.."] {
            let error = empty_label.parse::<OwnerName>().expect_err(empty_label);
            assert!(error.to_string().contains("a label is empty"), "{error}");
        }
        assert!(
            format!("{}.com", "a".repeat(64))
                .parse::<OwnerName>()
                .is_err()
        );
    }

    #[test]
    fn parents_lead_to_the_root() {
        let root = name("a.b")
            .parent()
            .and_then(|b| b.parent())
            .expect("two labels");
        assert_eq!(
            (root.wire(), root.parent(), root.label_count()),
            (&b"\0"[..], None, 0)
        );
    }
}
