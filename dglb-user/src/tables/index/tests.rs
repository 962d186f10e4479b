//! The index against the tables that it is made from.

use proptest::prelude::*;

use super::*;
use crate::tables::{Prefixes, client};
use dglb_common::layout::{ResolverValue, client_check};

const DEFAULT: u32 = 9;

fn value(address: Ipv4Addr, vantage: u32) -> ResolverValue {
    ResolverValue {
        vantage,
        check: client_check(client(address.into()).word),
        dns_lb: [0; 4],
        origin: 1,
        seen: 0,
    }
}

fn tables(exact: &[(u32, u32)], prefixes: &[(u32, u8, u32)]) -> Tables {
    let mut tables = Tables::default();
    tables.settings.maps_v4 = 1;
    tables.settings.default_vantage = DEFAULT;
    for (address, vantage) in exact {
        let address = Ipv4Addr::from_bits(*address);
        tables
            .resolvers
            .insert(address.into(), value(address, *vantage));
    }
    let prefixes = prefixes.iter().map(|(address, len, vantage)| {
        let net = IpNet::new(Ipv4Addr::from_bits(*address).into(), *len).expect("a length");
        (net, *vantage)
    });
    tables.prefixes = Prefixes::new(DEFAULT, prefixes);
    tables
}

/// What the kernel program does with a run.
fn look_up(run: &[RunEntry], address: u32) -> u32 {
    let low = address & (MAX_RUN - 1);
    let behind = run.partition_point(|entry| entry.first() <= low);
    run[behind - 1].vantage()
}

/// What every run must be.
fn check_form(run: &[RunEntry]) {
    assert!(run.len() <= MAX_RUN as usize);
    assert_eq!(run[0].first(), 0);
    for pair in run.windows(2) {
        assert!(pair[0].first() < pair[1].first(), "{run:?}");
        assert_ne!(pair[0].vantage(), pair[1].vantage(), "{run:?}");
    }
}

/// Addresses of which many are neighbours, at the edges of chunks and prefixes.
fn address() -> impl Strategy<Value = u32> {
    let near = prop::sample::select(vec![
        0_u32,
        0x0000_4000,
        0x0a00_0000,
        0x0a00_4000,
        0x0a00_3f00,
        0xffff_c000,
        0xffff_ff00,
    ]);
    prop_oneof![
        4 => (near, -3_i32..300).prop_map(|(near, by)| near.wrapping_add_signed(by)),
        1 => any::<u32>(),
    ]
}

fn prefix() -> impl Strategy<Value = (u32, u8, u32)> {
    (address(), prop_oneof![0_u8..=32, 17_u8..=32], 0_u32..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn it_says_what_the_tables_say(
        exact in prop::collection::vec((address(), 0_u32..6), 0..60),
        prefixes in prop::collection::vec(prefix(), 0..30),
        others in prop::collection::vec(address(), 20),
    ) {
        let tables = tables(&exact, &prefixes);
        let index = ClientIndex::new(&tables);
        let edges = exact.iter().map(|(address, _)| *address).chain(others);
        let nets = prefixes.iter().flat_map(|(address, len, _)| {
            let host = u32::MAX.unbounded_shr((*len).into());
            [address & !host, address | host]
        });
        for edge in edges.chain(nets) {
            for address in [edge.wrapping_sub(1), edge, edge.wrapping_add(1)] {
                let run = index.chunk(ChunkWord::of(address));
                check_form(&run);
                let expected = tables.vantage_of(Ipv4Addr::from_bits(address).into());
                prop_assert_eq!(look_up(&run, address), expected, "{:#010x} {:?}", address, run);
            }
        }
    }

    #[test]
    fn a_change_is_the_same_as_a_new_index(
        exact in prop::collection::vec((address(), 0_u32..6), 1..40),
        prefixes in prop::collection::vec(prefix(), 0..10),
        changes in prop::collection::vec((any::<prop::sample::Index>(), prop::option::of(0_u32..6)), 1..30),
    ) {
        let mut tables = tables(&exact, &prefixes);
        let mut index = ClientIndex::new(&tables);
        for (place, vantage) in changes {
            let address = Ipv4Addr::from_bits(exact[place.index(exact.len())].0);
            match vantage {
                Some(vantage) => {
                    index.set(address, vantage);
                    tables.resolvers.insert(address.into(), value(address, vantage));
                }
                None => {
                    index.remove(address);
                    tables.resolvers.remove(&address.into());
                }
            }
        }
        prop_assert_eq!(index, ClientIndex::new(&tables));
    }
}

#[test]
fn all_of_one_chunk_is_right_with_every_second_address_mapped() {
    let first = 0x0a00_4000_u32;
    let exact: Vec<(u32, u32)> = (0..MAX_RUN)
        .step_by(2)
        .map(|low| (first + low, 1))
        .collect();
    let tables = tables(&exact, &[(first, 19, 2), (first + 0x1000, 30, 3)]);
    let index = ClientIndex::new(&tables);
    let run = index.chunk(ChunkWord::of(first));
    check_form(&run);
    assert_eq!(run.len(), MAX_RUN as usize);
    for low in 0..MAX_RUN {
        let address = Ipv4Addr::from_bits(first + low);
        assert_eq!(
            look_up(&run, first + low),
            tables.vantage_of(address.into()),
            "{address}"
        );
    }
}

#[test]
fn what_is_divided_is_no_more_than_what_has_entries() {
    let tables = tables(
        &[(0x0a00_0001, 1), (0xffff_ffff, 2)],
        &[(0x0b00_0000, 8, 3), (0x0b00_4000, 19, 4), (0, 0, 5)],
    );
    let index = ClientIndex::new(&tables);
    let divided: Vec<u32> = index.divided().into_iter().collect();
    assert_eq!(divided, [0x0a00_0000 >> 14, 0x0b00_4000 >> 14, 0x3_ffff]);
    for chunk in 0..CHUNKS as u32 {
        if !divided.contains(&chunk) {
            let uniform = [RunEntry::new(0, index.whole()[chunk as usize])];
            assert_eq!(index.chunk(chunk), uniform);
        }
    }
    assert_eq!(index.whole()[0], 5, "the file's own default");
    assert_eq!(index.whole()[0x0b00_0000 >> 14], 3);
}

#[test]
fn a_vantage_that_is_that_of_all_around_makes_no_entry() {
    let tables = tables(&[(0x0a00_0005, DEFAULT)], &[(0x0a00_0000, 24, DEFAULT)]);
    let index = ClientIndex::new(&tables);
    assert_eq!(
        index.chunk(0x0a00_0000 >> 14),
        [RunEntry::new(0, DEFAULT as u16)]
    );
}

/// Tables with one chunk of nine entries, and no more.
fn one_run() -> (Tables, ClientWords, usize) {
    let exact = [1, 3, 5, 7].map(|low| (0x0a00_0000 + low, 1));
    let tables = tables(&exact, &[(0x0a00_0000, 8, 2)]);
    let words = ClientIndex::new(&tables).words();
    assert_eq!(words.runs.len(), 5);
    (tables, words, 0x0a00_0000 >> 14)
}

#[test]
fn words_that_are_right_are_found_right() {
    let (tables, words, chunk) = one_run();
    assert_eq!(words.chunks[chunk].count(), 9);
    let (differences, compared) = words.compare(&tables, 5);
    assert_eq!(differences, []);
    assert!(compared > CHUNKS + 9);
}

#[test]
fn any_wrong_bit_of_a_run_is_found() {
    let (tables, right, _) = one_run();
    for element in 0..right.runs.len() {
        for bit in 0..64 {
            // The last element is half full; bits 30 and 31 of an entry are above any address.
            let in_use = element < 4 || bit < 32;
            let mut wrong = right.clone();
            wrong.runs[element] ^= 1 << bit;
            let found = differences_of_chunk(&wrong, &tables);
            assert_eq!(found, in_use, "element {element}, bit {bit}");
        }
    }
}

/// Whether a comparison would find anything, without the other 262,143 chunks.
fn differences_of_chunk(words: &ClientWords, tables: &Tables) -> bool {
    let near = 0x0a00_0000..0x0a00_4000_u32;
    let mut near = near.map(Ipv4Addr::from_bits);
    near.any(|address| words.vantage_of(address) != Ok(tables.vantage_of(address.into())))
}

#[test]
fn broken_runs_are_named() {
    let (tables, right, chunk) = one_run();
    let entry = |first, vantage| u64::from(RunEntry::new(first, vantage).0);
    type Spoil = fn(&mut ClientWords, usize);
    let cases: [(BrokenRun, Spoil); 5] = [
        (BrokenRun::Word, |words, chunk| {
            words.chunks[chunk] = ChunkWord::run(1, 2);
        }),
        (BrokenRun::Word, |words, chunk| {
            words.chunks[chunk] = ChunkWord::run(0, MAX_RUN + 1);
        }),
        (BrokenRun::Beyond, |words, chunk| {
            words.chunks[chunk] = ChunkWord::run(8, 3);
        }),
        (BrokenRun::First, |words, _| words.runs[0] |= 1 << 16),
        (BrokenRun::Order, |words, _| words.runs.swap(1, 2)),
    ];
    for (broken, spoil) in cases {
        let mut wrong = right.clone();
        spoil(&mut wrong, chunk);
        let address = Ipv4Addr::new(10, 0, 0, 9);
        assert_eq!(wrong.vantage_of(address), Err(broken));
    }
    let mut wrong = right.clone();
    wrong.runs[4] = entry(8, 7);
    let (differences, _) = wrong.compare(&tables, 1);
    assert_eq!(differences[0].address, Ipv4Addr::new(10, 0, 0, 8));
    assert_eq!(
        differences[0].to_string(),
        "10.0.0.8: the index has vantage 7, the tables have 2"
    );
    let mut short = right;
    short.chunks.truncate(chunk);
    assert_eq!(
        short.vantage_of(Ipv4Addr::new(10, 0, 0, 9)),
        Err(BrokenRun::NoChunk)
    );
}

#[test]
fn a_uniform_claim_over_a_mapped_address_is_found() {
    let (tables, mut words, chunk) = one_run();
    words.chunks[chunk] = ChunkWord::uniform(2);
    assert_eq!(words.compare(&tables, 9).0.len(), 4);
    assert_eq!(
        words.compare(&tables, 3).0.len(),
        3,
        "as many as were asked for"
    );
    let elsewhere = ChunkWord::uniform(DEFAULT as u16 + 1);
    let (tables, mut words, _) = one_run();
    words.chunks[77] = elsewhere;
    assert_eq!(
        words.compare(&tables, 9).0.len(),
        1,
        "a chunk without entries"
    );
}
