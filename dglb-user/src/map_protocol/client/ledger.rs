//! What a DNS-LB remembers of a DNS-B from one connection to the next.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
    time::{SystemTime, UNIX_EPOCH},
};

use crate::map_protocol::{
    message::{Claim, Message},
    wire::{MAX_RESOLVERS, WireError},
};

/// Numbering, and who knows what.
#[derive(Debug)]
pub(super) struct Ledger {
    /// Incarnation of the numbering: seconds since 1970 at its start.
    pub(super) epoch: u32,
    /// Number of the last message.
    pub(super) last_sequence: u32,
    /// What the DNS-B may hold: announced once, the withdrawal not acknowledged.
    held: BTreeSet<IpAddr>,
    /// What it acknowledged in this session.
    confirmed: BTreeSet<IpAddr>,
    /// The refusal that was logged last, to log each once.
    pub(super) logged_refusal: Option<String>,
}

/// One message's worth of difference between what is wanted and what the DNS-B holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Announce(BTreeSet<IpAddr>),
    Withdraw(BTreeSet<IpAddr>),
}

impl Ledger {
    pub(super) fn new() -> Self {
        let since_1970 = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            // The low 32 bits: an epoch is told apart from others, not put in order.
            epoch: since_1970.as_secs() as u32,
            last_sequence: 0,
            held: BTreeSet::new(),
            confirmed: BTreeSet::new(),
            logged_refusal: None,
        }
    }

    /// A new session: nothing is known to have survived at the DNS-B.
    pub(super) fn forget_confirmations(&mut self) {
        self.confirmed.clear();
    }

    /// The next message that brings the DNS-B nearer to `wanted`; the new first, then the gone.
    pub(super) fn next_change(&self, wanted: &BTreeSet<IpAddr>) -> Option<Change> {
        let new: BTreeSet<_> = some_of(wanted.difference(&self.confirmed));
        if !new.is_empty() {
            return Some(Change::Announce(new));
        }
        let gone: BTreeSet<_> = some_of(self.held.difference(wanted));
        (!gone.is_empty()).then_some(Change::Withdraw(gone))
    }

    /// A change is about to be sent: from now on the DNS-B may hold it.
    pub(super) fn sending(&mut self, change: &Change) {
        if let Change::Announce(resolvers) = change {
            self.held.extend(resolvers);
        }
    }

    /// The DNS-B acknowledged a change.
    pub(super) fn acknowledged(&mut self, change: &Change) {
        match change {
            Change::Announce(resolvers) => self.confirmed.extend(resolvers),
            Change::Withdraw(resolvers) => {
                self.held.retain(|held| !resolvers.contains(held));
                self.confirmed
                    .retain(|confirmed| !resolvers.contains(confirmed));
            }
        }
    }
}

impl Change {
    /// The message that says so.
    pub(super) fn message(&self, dns_lb: Ipv4Addr) -> Result<Message, WireError> {
        let claim = |set: &BTreeSet<_>| Claim::new(dns_lb, set.iter().copied().collect());
        Ok(match self {
            Self::Announce(resolvers) => Message::Announce(claim(resolvers)?),
            Self::Withdraw(resolvers) => Message::Withdraw(claim(resolvers)?),
        })
    }
}

fn some_of<'a>(addresses: impl Iterator<Item = &'a IpAddr>) -> BTreeSet<IpAddr> {
    addresses.take(MAX_RESOLVERS).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(last_octets: impl IntoIterator<Item = u32>) -> BTreeSet<IpAddr> {
        last_octets
            .into_iter()
            .map(|n| Ipv4Addr::from(0x0A00_0000 + n).into())
            .collect()
    }

    fn apply(ledger: &mut Ledger, wanted: &BTreeSet<IpAddr>) -> Vec<Change> {
        let mut changes = Vec::new();
        while let Some(change) = ledger.next_change(wanted) {
            ledger.sending(&change);
            ledger.acknowledged(&change);
            changes.push(change);
        }
        changes
    }

    #[test]
    fn differences_only_the_new_before_the_gone() {
        let mut ledger = Ledger::new();
        apply(&mut ledger, &set([1, 2]));
        assert_eq!(
            apply(&mut ledger, &set([2, 3])),
            [Change::Announce(set([3])), Change::Withdraw(set([1]))]
        );
        assert_eq!(apply(&mut ledger, &set([2, 3])), []);
    }

    #[test]
    fn a_new_session_announces_all_and_withdraws_what_went_meanwhile() {
        let mut ledger = Ledger::new();
        apply(&mut ledger, &set([1, 2]));
        ledger.forget_confirmations();
        assert_eq!(
            apply(&mut ledger, &set([2])),
            [Change::Announce(set([2])), Change::Withdraw(set([1]))]
        );
    }

    #[test]
    fn an_announcement_that_nobody_answered_is_withdrawn_all_the_same() {
        let mut ledger = Ledger::new();
        ledger.sending(&Change::Announce(set([7])));
        assert_eq!(apply(&mut ledger, &set([])), [Change::Withdraw(set([7]))]);
    }

    #[test]
    fn many_are_split_over_messages() {
        let mut ledger = Ledger::new();
        let changes = apply(&mut ledger, &set(0..2500));
        let counts: Vec<_> = changes
            .iter()
            .map(|change| match change {
                Change::Announce(resolvers) => resolvers.len(),
                Change::Withdraw(_) => 0,
            })
            .collect();
        assert_eq!(counts, [1024, 1024, 452]);
        for change in changes {
            assert!(change.message(Ipv4Addr::new(192, 0, 2, 1)).is_ok());
        }
    }
}
