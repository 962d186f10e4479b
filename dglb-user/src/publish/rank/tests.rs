//! Selections, as a client meets them in the tables.

use dglb_common::{
    client::Client,
    layout::{Answer, BUCKETS, Secret},
};

use super::*;
use crate::{ready::AddressRow, tables::Room};

const SECRET: Secret = Secret {
    seed_a: 1,
    seed_b: 2,
    multiplier_a: 0x9e37_79b9_7f4a_7c15,
    multiplier_b: 0xc2b2_ae3d_27d4_eb4f,
};
const VANTAGE: u32 = 1;
const GROUP: u32 = 2;

/// Four sites: the last has no IPv6, the third no IPv4.
struct World {
    tables: Tables,
    slots: Slots,
    service: RankedService,
}

impl World {
    fn new() -> Self {
        let mut tables = Tables {
            secret: SECRET,
            rankings: vec![AnswerRef::NONE; dglb_common::layout::RANKING_PAGE],
            room: Room {
                answers: 64,
                buckets: 8,
                resolvers: 0,
            },
            ..Tables::default()
        };
        tables.settings.groups = 8;
        let mut slots = Slots::default();
        let nodata = Answer {
            rcode: 7,
            ..Answer::EMPTY
        };
        let nodata = slots.intern(&mut tables.answers, nodata);
        let site = |v4: Option<u8>, v6: Option<u16>| SiteAddresses {
            v4: v4.map(|last| [192, 0, 2, last].into()),
            v6: v6.map(|last| [0x2001, 0xdb8, 0, 0, 0, 0, 0, last].into()),
        };
        let service = RankedService {
            group: GROUP,
            row: AddressRow::DnsLb,
            ttl: 30,
            nodata,
            sites: vec![
                site(Some(1), Some(1)),
                site(Some(2), Some(2)),
                site(None, Some(3)),
                site(Some(4), None),
            ],
        };
        Self {
            tables,
            slots,
            service,
        }
    }

    /// Makes a selection; gives the changes that it took.
    fn select(&mut self, selection: &Selection) -> Result<usize, NoRoom> {
        let changes = select(
            &self.tables,
            &mut self.slots,
            &self.service,
            VANTAGE,
            selection,
        )?;
        for change in &changes {
            // The order that readers need: nothing is referred to before it is there.
            if let Change::SetRanking { word, .. } = change
                && !word.is_buckets()
            {
                assert!(self.tables.answer_at(*word).is_some());
            }
            self.tables.apply(change);
        }
        Ok(changes.len())
    }

    fn answer(&self, kind: u32, client: Client) -> (Answer, bool) {
        let found = self.tables.answer(VANTAGE, GROUP, kind, client);
        let (answer, from_bucket) = found.expect("an answer");
        (*answer, from_bucket)
    }

    /// Last octets of the addresses that everybody gets.
    fn list(&self, kind: u32) -> Vec<u8> {
        let (answer, from_bucket) = self.answer(kind, Client::v4([10, 0, 0, 1]));
        assert!(!from_bucket);
        last_octets(&answer, kind)
    }

    /// The same of 2,000 networks, one each.
    fn choices(&self, kind: u32) -> Vec<u8> {
        (0..2000_u16)
            .map(|network| {
                let [high, low] = network.to_be_bytes();
                let (answer, from_bucket) = self.answer(kind, Client::v4([10, high, low, 1]));
                assert!(from_bucket);
                let neighbour = self.answer(kind, Client::v4([10, high, low, 200])).0;
                assert_eq!(answer, neighbour, "one network, one site");
                let octets = last_octets(&answer, kind);
                assert_eq!(octets.len(), 1);
                octets[0]
            })
            .collect()
    }
}

/// The last octet of each address record: 12 octets of owner, type, class, TTL and length before it.
fn last_octets(answer: &Answer, kind: u32) -> Vec<u8> {
    let record = if kind == KIND_A { 16 } else { 28 };
    let records = answer.octets[..usize::from(answer.len)].chunks_exact(record);
    assert_eq!(records.len(), usize::from(answer.answers));
    records.map(|record| record[record.len() - 1]).collect()
}

#[test]
fn the_best_site_of_each_family_is_named_and_no_other() {
    let mut world = World::new();
    world.select(&Selection::Best(vec![2, 3, 0])).expect("room");
    assert_eq!(
        (world.list(KIND_A), world.list(KIND_AAAA)),
        (vec![4], vec![3])
    );
    world.select(&Selection::Best(vec![3])).expect("room");
    assert_eq!(world.list(KIND_A), [4]);
    let (nodata, _) = world.answer(KIND_AAAA, Client::v4([10, 0, 0, 1]));
    assert_eq!(
        nodata.rcode, 7,
        "no data, rather than the address of another"
    );
}

#[test]
fn a_list_has_all_addresses_and_smaller_variants_down_to_the_best() {
    let mut world = World::new();
    world
        .select(&Selection::List(vec![1, 2, 0, 3]))
        .expect("room");
    assert_eq!(world.list(KIND_A), [2, 1, 4]);
    assert_eq!(world.list(KIND_AAAA), [2, 3, 1]);
    let (mut answer, _) = world.answer(KIND_A, Client::v4([10, 0, 0, 1]));
    for expected in [vec![2, 1], vec![2]] {
        let smaller = world.tables.answer_at(AnswerRef(answer.smaller));
        answer = *smaller.expect("a smaller variant");
        assert_eq!(last_octets(&answer, KIND_A), expected);
    }
    assert!(!AnswerRef(answer.smaller).is_ready());
}

#[test]
fn the_same_selection_again_changes_nothing() {
    let mut world = World::new();
    for selection in [
        Selection::Best(vec![1]),
        Selection::List(vec![0, 1]),
        Selection::Weighted(vec![(0, 1), (1, 2)]),
    ] {
        assert!(world.select(&selection).expect("room") > 0);
        assert_eq!(world.select(&selection), Ok(0), "{selection:?}");
    }
}

#[test]
fn weights_share_the_clients_and_a_change_moves_few() {
    let mut world = World::new();
    let weighted = |one, two| Selection::Weighted(vec![(0, one), (1, two), (2, 0)]);
    world.select(&weighted(1, 1)).expect("room");
    let even = world.choices(KIND_A);
    let share = |choices: &[u8], site| choices.iter().filter(|choice| **choice == site).count();
    assert!(
        (800..1200).contains(&share(&even, 1)),
        "{}",
        share(&even, 1)
    );
    assert_eq!(share(&even, 1) + share(&even, 2), 2000);
    world.select(&weighted(3, 1)).expect("room");
    let uneven = world.choices(KIND_A);
    let moved = even.iter().zip(&uneven).filter(|(old, new)| old != new);
    assert!(
        moved.clone().all(|(_, new)| *new == 1),
        "only to who wins some"
    );
    assert!((350..650).contains(&moved.count()));
    world.select(&weighted(0, 1)).expect("room");
    assert_eq!(world.list(KIND_A), [2], "the only one needs no row");
    world.select(&weighted(3, 1)).expect("room");
    assert_eq!(world.choices(KIND_A), uneven, "back to the same clients");
}

#[test]
fn a_full_table_of_rows_or_slots_changes_nothing() {
    let mut world = World::new();
    world.select(&Selection::Best(vec![0])).expect("room");
    world.tables.room.buckets = 0;
    let refused = world.select(&Selection::Weighted(vec![(0, 1), (1, 1)]));
    assert_eq!(refused, Err(NoRoom::Rows(0)));
    assert_eq!(world.list(KIND_A), [1]);
    let mut world = World::new();
    world.select(&Selection::Best(vec![0])).expect("room");
    world.tables.room.answers = 3;
    let refused = world.select(&Selection::List(vec![0, 1]));
    assert_eq!(refused, Err(NoRoom::Slots(3)));
    assert_eq!(world.list(KIND_A), [1]);
}

#[test]
fn nothing_selected_is_empty() {
    assert!(Selection::Best(vec![]).is_empty());
    assert!(Selection::List(vec![]).is_empty());
    assert!(Selection::Weighted(vec![(0, 0), (1, 0)]).is_empty());
    assert!(!Selection::Weighted(vec![(0, 0), (1, 1)]).is_empty());
    assert_eq!(BUCKETS, 64);
}

#[test]
fn sites_that_are_not_there_are_passed_over() {
    let mut world = World::new();
    world.select(&Selection::Best(vec![9, 1])).expect("room");
    assert_eq!(world.list(KIND_A), [2]);
    world
        .select(&Selection::Weighted(vec![(9, 5), (1, 1)]))
        .expect("room");
    assert_eq!(world.list(KIND_A), [2]);
}
