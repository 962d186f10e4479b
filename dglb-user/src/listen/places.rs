//! How many connections there are at once, in total and by source.

use std::{
    collections::HashMap,
    net::Ipv4Addr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Places for connections.
#[derive(Debug)]
pub(super) struct Places {
    total: usize,
    per_source: usize,
    taken: Mutex<HashMap<Ipv4Addr, usize>>,
}

/// A place that is taken until this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    source: Ipv4Addr,
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

    /// A place for a connection from `source`, if there is one.
    pub(super) fn take(self: &Arc<Self>, source: Ipv4Addr) -> Option<Place> {
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

    fn lock(&self) -> MutexGuard<'_, HashMap<Ipv4Addr, usize>> {
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

    #[test]
    fn places_are_counted_by_source_and_in_total_and_come_back() {
        let (one, two) = (Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2));
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
