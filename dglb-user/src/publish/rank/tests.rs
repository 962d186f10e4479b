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
            divides: true,
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
        self.serve(&Serving::both(selection.clone(), 30))
    }

    /// Makes the first of each family in `order` be answered.
    fn best(&mut self, order: &[usize]) -> Result<usize, NoRoom> {
        self.serve(&self.service.best(order))
    }

    fn serve(&mut self, serving: &Serving) -> Result<usize, NoRoom> {
        let changes = select(
            &self.tables,
            &mut self.slots,
            &self.service,
            VANTAGE,
            serving,
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
    world.best(&[2, 3, 0]).expect("room");
    assert_eq!(
        (world.list(KIND_A), world.list(KIND_AAAA)),
        (vec![4], vec![3])
    );
    world.best(&[3]).expect("room");
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
        Selection::List(vec![1]),
        Selection::Sticky(vec![(0, 1), (1, 2)]),
        Selection::Fallback([192, 0, 2, 9].into()),
        Selection::Servfail,
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
    world.best(&[0]).expect("room");
    world.tables.room.buckets = 0;
    let refused = world.select(&Selection::Weighted(vec![(0, 1), (1, 1)]));
    assert_eq!(refused, Err(NoRoom::Rows(0)));
    assert_eq!(world.list(KIND_A), [1]);
    let mut world = World::new();
    world.best(&[0]).expect("room");
    world.tables.room.answers = 3;
    let refused = world.select(&Selection::List(vec![0, 1]));
    assert_eq!(refused, Err(NoRoom::Slots(3)));
    assert_eq!(world.list(KIND_A), [1]);
}

#[test]
fn nothing_selected_is_no_data() {
    let mut world = World::new();
    let nothing = [
        Selection::List(vec![]),
        Selection::Weighted(vec![(0, 0), (1, 0)]),
        Selection::Sticky(vec![]),
    ];
    for selection in nothing {
        world.best(&[0]).expect("room");
        world.select(&selection).expect("room");
        let (nodata, _) = world.answer(KIND_A, Client::v4([10, 0, 0, 1]));
        assert_eq!(nodata.rcode, 7, "{selection:?}");
    }
}

#[test]
fn a_fallback_is_answered_in_its_family_alone_and_servfail_in_both() {
    let mut world = World::new();
    world
        .select(&Selection::Fallback([192, 0, 2, 99].into()))
        .expect("room");
    assert_eq!(world.list(KIND_A), [99]);
    let client = Client::v4([10, 0, 0, 1]);
    assert_eq!(world.answer(KIND_AAAA, client).0.rcode, 7, "no data");
    world.select(&Selection::Servfail).expect("room");
    for kind in [KIND_A, KIND_AAAA] {
        let (answer, _) = world.answer(kind, client);
        assert_eq!((answer.rcode, answer.len, answer.authoritative), (2, 0, 0));
    }
}

#[test]
fn each_family_has_its_own_sites_and_ttl() {
    let mut world = World::new();
    let served = |site, ttl| Served {
        selection: Selection::List(vec![site]),
        ttl,
    };
    let serving = Serving {
        v4: served(1, 7),
        v6: served(2, 300),
    };
    world.serve(&serving).expect("room");
    assert_eq!(
        (world.list(KIND_A), world.list(KIND_AAAA)),
        (vec![2], vec![3])
    );
    let ttl = |kind| {
        let (answer, _) = world.answer(kind, Client::v4([10, 0, 0, 1]));
        u32::from_be_bytes(answer.octets[6..10].try_into().expect("four octets"))
    };
    assert_eq!((ttl(KIND_A), ttl(KIND_AAAA)), (7, 300));
}

#[test]
fn what_is_watched_stays_so_and_answers_the_same() {
    let mut world = World::new();
    world.best(&[0]).expect("room");
    let (page, index) = ranking_place(8, VANTAGE, GROUP, KIND_A);
    let word = world.tables.word(VANTAGE, GROUP, KIND_A).watched(true);
    world
        .tables
        .apply(&Change::SetRanking { page, index, word });
    assert_eq!(world.list(KIND_A), [1]);
    world.best(&[1]).expect("room");
    assert_eq!(world.list(KIND_A), [2]);
    let word = world.tables.word(VANTAGE, GROUP, KIND_A);
    assert!(word.is_watched());
    assert_eq!(world.best(&[1]), Ok(0), "nothing changes");
    world
        .select(&Selection::Weighted(vec![(0, 1), (1, 1)]))
        .expect("room");
    assert_eq!(
        world.select(&Selection::Weighted(vec![(0, 1), (1, 1)])),
        Ok(0)
    );
}

#[test]
fn shares_of_many_networks_are_within_one_percent() {
    let mut world = World::new();
    for divided in [Selection::Weighted, Selection::Sticky] {
        world
            .select(&divided(vec![(0, 21), (1, 47), (3, 32)]))
            .expect("room");
        let word = world.tables.word(VANTAGE, GROUP, KIND_A);
        let row = world.tables.buckets[word.slot() as usize];
        for (site, wanted) in [(0, 21.0), (1, 47.0), (3, 32.0)] {
            let octet = site as u8 + 1;
            let has = |word: &&u64| {
                let answer = world
                    .tables
                    .answer_at(AnswerRef(**word))
                    .expect("an answer");
                last_octets(answer, KIND_A) == [octet]
            };
            let share = row.iter().filter(has).count() as f64 * 100.0 / BUCKETS as f64;
            assert!((share - wanted).abs() < 1.0, "{site}: {share} for {wanted}");
        }
    }
}

#[test]
fn sites_that_are_not_there_are_passed_over() {
    let mut world = World::new();
    world.best(&[9, 1]).expect("room");
    assert_eq!(world.list(KIND_A), [2]);
    world
        .select(&Selection::Weighted(vec![(9, 5), (1, 1)]))
        .expect("room");
    assert_eq!(world.list(KIND_A), [2]);
}
