//! How many connections there are at once, in total and by source.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::tables::resolver_key;

/// Places for connections.
#[derive(Debug)]
pub(super) struct Places {
    total: usize,
    per_source: usize,
    taken: Mutex<HashMap<IpAddr, usize>>,
}

/// A place that is taken until this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    source: IpAddr,
}

impl Places {
    /// So many places in all, and for each source.
    pub(super) fn new(total: usize, per_source: usize) -> Self {
        Self {
            total,
            per_source,
            taken: Mutex::default(),
        }
    }

    /// A place for a connection from `source`, if there is one; the addresses of an IPv6 /64 are one
    /// source.
    pub(super) fn take(self: &Arc<Self>, source: IpAddr) -> Option<Place> {
        let source = resolver_key(source);
        let mut taken = self.lock();
        let total: usize = taken.values().sum();
        let own = taken.get(&source).copied().unwrap_or(0);
        if total >= self.total || own >= self.per_source {
            return None;
        }
        taken.insert(source, own + 1);
        Some(Place {
            places: Arc::clone(self),
            source,
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
        if let Some(own) = taken.get_mut(&self.source) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect(text)
    }

    #[test]
    fn the_addresses_of_one_ipv6_network_share_its_places() {
        let places = Arc::new(Places::new(9, 1));
        let _first = places.take(address("2001:db8:0:1::1")).expect("free");
        assert!(places.take(address("2001:db8:0:1:ffff::2")).is_none());
        assert!(places.take(address("2001:db8:0:2::1")).is_some());
    }

    #[test]
    fn places_are_counted_by_source_and_in_total_and_come_back() {
        let (one, two) = (address("192.0.2.1"), address("192.0.2.2"));
        let places = Arc::new(Places::new(3, 2));
        let first = places.take(one).expect("free");
        let _second = places.take(one).expect("free");
        assert!(places.take(one).is_none(), "over the source's share");
        let _third = places.take(two).expect("free");
        assert!(places.take(two).is_none(), "over the total");
        drop(first);
        assert!(places.take(two).is_some(), "a place came back");
        assert_eq!(
            places.lock().len(),
            2,
            "sources without connections are forgotten"
        );
    }
}
