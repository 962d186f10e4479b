//! The services' rankings, and which of them the publisher has still to be told. Pure.
//!
//! The publisher is told by a bounded channel and may be slow. So what waits here is not a queue of
//! rankings but a list of services, each at most once: it is told the newest, and what was overtaken
//! meanwhile is never sent.

use std::collections::VecDeque;

use super::ranking::{self, Standing};
use crate::event::Event;

/// All services' rankings.
#[derive(Debug)]
pub struct Board {
    services: Vec<Entry>,
    unsent: VecDeque<usize>,
    /// Services whose first ranking was not told yet.
    untold: usize,
}

#[derive(Debug)]
struct Entry {
    /// Probed sites that have no result yet.
    awaited: usize,
    ranking: Vec<usize>,
    told: Option<Vec<usize>>,
    queued: bool,
}

impl Board {
    /// For services of which each has so many sites that are probed.
    pub fn new(probed_sites: impl IntoIterator<Item = usize>) -> Self {
        let entry = |awaited| Entry {
            awaited,
            ranking: Vec::new(),
            told: None,
            queued: false,
        };
        let services: Vec<_> = probed_sites.into_iter().map(entry).collect();
        Self {
            untold: services.len(),
            services,
            unsent: VecDeque::new(),
        }
    }

    /// A site of the service has its first result.
    pub fn first_result(&mut self, service: usize) {
        self.services[service].awaited -= 1;
    }

    /// Ranks the service anew; says the ranking if it changed or is the first. There is none before
    /// every probed site of the service has a result.
    pub fn update(&mut self, service: usize, sites: &[Standing]) -> Option<&[usize]> {
        let entry = &mut self.services[service];
        if entry.awaited > 0 {
            return None;
        }
        let ranking = ranking::rank(&entry.ranking, sites);
        let first = entry.told.is_none() && !entry.queued;
        if ranking == entry.ranking && !first {
            return None;
        }
        entry.ranking = ranking;
        if !entry.queued {
            entry.queued = true;
            self.unsent.push_back(service);
        }
        Some(&entry.ranking)
    }

    /// The service's ranking as last computed.
    pub fn ranking(&self, service: usize) -> &[usize] {
        &self.services[service].ranking
    }

    /// Whether [`Self::next_event`] may have something.
    pub fn has_unsent(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// What to tell the publisher next.
    pub fn next_event(&mut self) -> Option<Event> {
        while let Some(service) = self.unsent.pop_front() {
            let entry = &mut self.services[service];
            entry.queued = false;
            match &entry.told {
                // Changed there and back again while it waited.
                Some(told) if *told == entry.ranking => continue,
                Some(_) => {}
                None => self.untold -= 1,
            }
            entry.told = Some(entry.ranking.clone());
            return Some(Event::Ranking {
                service,
                ranking: entry.ranking.clone(),
            });
        }
        None
    }

    /// Whether every service's first ranking has been handed over.
    pub fn all_told(&self) -> bool {
        self.untold == 0
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use Standing::*;

    fn up(ms: u64) -> Standing {
        Up(Duration::from_millis(ms))
    }

    fn told(board: &mut Board) -> Option<(usize, Vec<usize>)> {
        match board.next_event() {
            Some(Event::Ranking { service, ranking }) => Some((service, ranking)),
            Some(other) => panic!("not a ranking: {other:?}"),
            None => None,
        }
    }

    #[test]
    fn nothing_is_told_before_every_site_has_a_result() {
        let mut board = Board::new([2]);
        board.first_result(0);
        assert_eq!(board.update(0, &[up(5), Down]), None);
        assert!(!board.has_unsent() && !board.all_told());
        board.first_result(0);
        assert_eq!(board.update(0, &[up(5), up(9)]), Some(&[0, 1][..]));
        assert!(!board.all_told());
        assert_eq!(told(&mut board), Some((0, vec![0, 1])));
        assert!(board.all_told());
    }

    #[test]
    fn the_first_ranking_is_told_even_if_it_is_empty_and_then_not_again() {
        let mut board = Board::new([1]);
        board.first_result(0);
        assert_eq!(board.update(0, &[Down]), Some(&[][..]));
        assert_eq!(board.update(0, &[Down]), None);
        assert_eq!(told(&mut board), Some((0, vec![])));
        assert_eq!(board.update(0, &[Down]), None);
        assert_eq!(told(&mut board), None);
    }

    #[test]
    fn a_slow_publisher_is_told_the_newest_only() {
        let mut board = Board::new([0, 0]);
        board.update(1, &[up(5), up(50)]);
        board.update(0, &[up(5), up(50)]);
        board.update(1, &[up(90), up(50)]);
        board.update(1, &[Down, up(50)]);
        assert_eq!(told(&mut board), Some((1, vec![1])));
        assert_eq!(told(&mut board), Some((0, vec![0, 1])));
        assert_eq!(told(&mut board), None);
    }

    #[test]
    fn there_and_back_again_is_no_news() {
        let mut board = Board::new([0]);
        board.update(0, &[up(5), up(50)]);
        told(&mut board);
        board.update(0, &[Down, up(50)]);
        board.update(0, &[up(5), up(50)]);
        assert!(board.has_unsent());
        assert_eq!(told(&mut board), None);
        assert!(!board.has_unsent());
    }

    #[test]
    fn without_services_all_is_told() {
        assert!(Board::new([]).all_told());
    }
}
