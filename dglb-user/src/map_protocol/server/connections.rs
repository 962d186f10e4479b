//! How many connections there are, in all and from each address.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use super::Limits;

/// Counts connections and refuses those over the limits.
#[derive(Debug)]
pub(super) struct Connections {
    limits: Limits,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    total: usize,
    by_source: HashMap<IpAddr, usize>,
}

/// Why a connection is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    /// All places are taken.
    #[error("this dns-b has {0} map protocol connections already")]
    Total(usize),
    /// The source has its share.
    #[error("{source_address} has {connections} map protocol connections already")]
    Source {
        /// Where they come from.
        source_address: IpAddr,
        /// How many it may have.
        connections: usize,
    },
}

impl Connections {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            counts: Mutex::default(),
        }
    }

    /// A place for a connection from `source`, given back when dropped.
    pub(super) fn admit(self: &Arc<Self>, source: IpAddr) -> Result<Slot, Refusal> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.total >= self.limits.connections {
            return Err(Refusal::Total(self.limits.connections));
        }
        let of_source = counts.by_source.get(&source).copied().unwrap_or(0);
        if of_source >= self.limits.connections_per_source {
            let connections = self.limits.connections_per_source;
            return Err(Refusal::Source {
                source_address: source,
                connections,
            });
        }
        counts.total += 1;
        counts.by_source.insert(source, of_source + 1);
        Ok(Slot {
            connections: Arc::clone(self),
            source,
        })
    }

    fn release(&self, source: IpAddr) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.total -= 1;
        let of_source = counts.by_source.remove(&source).unwrap_or(1) - 1;
        if of_source > 0 {
            counts.by_source.insert(source, of_source);
        }
    }
}

/// A connection's place.
#[derive(Debug)]
pub(super) struct Slot {
    connections: Arc<Connections>,
    source: IpAddr,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.connections.release(self.source);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_and_given_back() {
        let limits = Limits {
            connections: 3,
            connections_per_source: 2,
            ..Limits::default()
        };
        let connections = Arc::new(Connections::new(limits));
        let [a, b]: [IpAddr; 2] = ["192.0.2.1", "192.0.2.2"].map(|ip| ip.parse().unwrap());
        let first = connections.admit(a).unwrap();
        let _second = connections.admit(a).unwrap();
        assert!(matches!(
            connections.admit(a),
            Err(Refusal::Source { connections: 2, .. })
        ));
        let third = connections.admit(b).unwrap();
        assert_eq!(connections.admit(b).unwrap_err(), Refusal::Total(3));
        drop(first);
        drop(third);
        assert_eq!(connections.counts.lock().unwrap().by_source.len(), 1);
        let _first = connections.admit(a).unwrap();
        assert!(connections.admit(a).is_err());
    }
}
