//! The base: the name that ready records belong to, and where names stand in it.

use crate::{config::Form, name::OwnerName};

/// Octets of a DNS-LB's label with its length octet.
const LABEL: u16 = 16;

/// What stands at offset 12 of the message: a known name, behind a label that is not known where the
/// answer is for all labels.
#[derive(Clone, Copy)]
pub(super) struct Base<'a> {
    known: &'a OwnerName,
    /// Octets of the base in front of the known name.
    octets_before: u16,
}

impl<'a> Base<'a> {
    /// The name itself.
    pub(super) fn name(name: &'a OwnerName) -> Self {
        Self {
            known: name,
            octets_before: 0,
        }
    }

    /// M, what was delegated to a DNS-LB for the balanced name `service`: in form C behind any label.
    pub(super) fn delegated(service: &'a OwnerName, form: Form) -> Self {
        Self {
            known: service,
            octets_before: match form {
                Form::Cname => LABEL,
                Form::Referral | Form::Direct | Form::Cache => 0,
            },
        }
    }

    /// How many octets into the base `wire`, with its root octet, begins, if it is the known name or a
    /// name above it.
    pub(super) fn offset_of(self, wire: &[u8]) -> Option<u16> {
        let known = self.known.wire();
        let before = known.len().checked_sub(wire.len())?;
        let at_label = self
            .known
            .labels()
            .scan(0, |offset, label| {
                let here = *offset;
                *offset += 1 + label.len();
                Some(here)
            })
            .any(|offset| offset == before);
        (at_label && known[before..] == *wire).then_some(self.octets_before + before as u16)
    }
}
