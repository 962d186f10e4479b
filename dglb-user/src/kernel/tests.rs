//! The maps in the kernel, for root. Nothing is attached or pinned.

use std::net::{IpAddr, Ipv4Addr};

use dglb_common::layout::{
    AnswerRef, CHUNKS, KIND_A, RANKING_PAGE, Secret, VantageValue, ranking_place,
};
use ipnet::IpNet;

use super::{
    maps::{array, set},
    *,
};
use crate::{
    config::{Config, Role},
    publish::{
        DataPath as _,
        build::{Restored, build, mapping},
    },
    tables::{Change, Prefixes, Tables, index::ClientWords},
};

const DNS_B: &str = include_str!("../../../docs/examples/dns-b.toml");
const DNS_LB: &str = include_str!("../../../docs/examples/dns-lb.toml");

const SECRET: Secret = Secret {
    seed_a: 1,
    seed_b: 2,
    multiplier_a: 0x9e37_79b9_7f4a_7c15,
    multiplier_b: 0xc2b2_ae3d_27d4_eb4f,
};

/// The maps with these tables; `None` where they can't be made.
fn load(tables: &Tables) -> Option<Kernel> {
    let skipped = if !rustix::process::geteuid().is_root() {
        "not root"
    } else {
        match kernel_object::object()
            .map_err(KernelError::from)
            .and_then(|object| Kernel::with_maps(object, tables, None))
        {
            Ok(kernel) => return Some(kernel),
            Err(KernelError::NotBuilt(_)) => "the kernel program is not built",
            Err(error) => panic!("{error}"),
        }
    };
    assert_ne!(
        std::env::var("DGLB_SKIP_IS_FAILURE").as_deref(),
        Ok("1"),
        "{skipped}"
    );
    println!("SKIPPED: {skipped}");
    None
}

fn config(toml: &str) -> Config {
    Config::from_text("node.toml", toml).expect("an example")
}

/// SplitMix64, the same each time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// An address, of which many share a chunk.
    fn address(&mut self) -> Ipv4Addr {
        let word = self.next();
        let high = (word >> 32) as u32 % 40;
        Ipv4Addr::from_bits(0x0a00_0000 + (high << 13) + word as u32 % 3000)
    }
}

/// A DNS-B's tables with so many random entries.
fn tables(random: &mut Random, resolvers: usize, prefixes: usize) -> Tables {
    let config = config(DNS_B);
    let built = build(&config, SECRET, &Restored::default()).expect("fits");
    let mut tables = built.tables;
    // A million entries would take more memory than these tests need.
    tables.room.resolvers = 20_000;
    for _ in 0..resolvers {
        let (resolver, value) = entry(random, &config);
        tables.resolvers.insert(resolver, value);
    }
    let prefixes = (0..prefixes).map(|_| {
        let len = 8 + random.next() as u8 % 25;
        let net = IpNet::new(random.address().into(), len).expect("a length");
        (net.trunc(), random.next() as u32 % 2)
    });
    tables.prefixes = Prefixes::new(0, prefixes.collect::<Vec<_>>());
    tables
}

fn entry(random: &mut Random, config: &Config) -> (IpAddr, dglb_common::layout::ResolverValue) {
    let Role::DnsB(dns_b) = &config.role else {
        unreachable!("a DNS-B");
    };
    let vantage = random.next() as usize % 2;
    let resolver = IpAddr::V4(random.address());
    let value = mapping(resolver, vantage as u32, &dns_b.dns_lbs[vantage], 0);
    (resolver, value)
}

/// The client index as it stands in the kernel.
fn words(kernel: &Kernel) -> ClientWords {
    let map = |table| kernel.ebpf.map(table).expect("a map of the object");
    read_clients::words(map("client_chunks"), map("client_runs")).expect("readable")
}

fn check(kernel: &Kernel, tables: &Tables) {
    let (differences, compared) = words(kernel).compare(tables, 5);
    assert_eq!(differences, []);
    assert!(compared >= CHUNKS);
}

#[test]
fn the_client_index_is_what_the_tables_say_after_every_change() {
    let mut random = Random(1);
    let mut tables = tables(&mut random, 5_000, 200);
    let Some(mut kernel) = load(&tables) else {
        return;
    };
    check(&kernel, &tables);
    let config = config(DNS_B);
    for round in 0..20 {
        let mut changes = Vec::new();
        for _ in 0..50 {
            let (resolver, value) = entry(&mut random, &config);
            changes.push(Change::SetResolver(resolver, value));
        }
        let gone: Vec<IpAddr> = tables.resolvers.keys().copied().take(30).collect();
        changes.extend(gone.into_iter().map(Change::RemoveResolver));
        kernel.apply(&changes).expect("room");
        for change in &changes {
            tables.apply(change);
        }
        assert!(kernel.needs_grace(), "old runs rest");
        if round % 3 == 0 {
            kernel.grace().expect("the kernel waits");
            assert!(!kernel.needs_grace());
        }
        if round % 5 == 4 {
            check(&kernel, &tables);
        }
    }
}

#[test]
fn a_table_without_room_says_so_and_how_much_is_made() {
    let mut random = Random(2);
    let mut tables = tables(&mut random, 10, 0);
    tables.room.resolvers = 12;
    let Some(mut kernel) = load(&tables) else {
        return;
    };
    let config = config(DNS_B);
    let many: Vec<Change> = (0..40)
        .map(|_| {
            let (resolver, value) = entry(&mut random, &config);
            Change::SetResolver(resolver, value)
        })
        .collect();
    let error = kernel
        .apply(&many)
        .expect_err("more than there is room for");
    assert_eq!(error.made, 2);
    assert!(error.reason.contains("\"resolvers_v4\""), "{error}");
    // What is made is in the readable table, in the index, and for the tables in memory to follow.
    for change in &many[..error.made] {
        tables.apply(change);
    }
    check(&kernel, &tables);
}

#[test]
fn a_full_refill_while_the_program_serves_leaves_nothing_behind() {
    let mut random = Random(3);
    let old = tables(&mut random, 4_000, 100);
    let Some(mut kernel) = load(&old) else {
        return;
    };
    let mut new = tables(&mut random, 6_000, 50);
    new.prefixes = old.prefixes.clone();
    kernel.refill_clients(&new).expect("room");
    check(&kernel, &new);
    kernel.grace().expect("the kernel waits");
    let empty = Tables {
        resolvers: Default::default(),
        ..new
    };
    kernel.refill_clients(&empty).expect("room");
    check(&kernel, &empty);
}

#[test]
fn one_wrong_word_or_entry_in_the_kernel_is_found() {
    let tables = tables(&mut Random(4), 3_000, 100);
    let Some(mut kernel) = load(&tables) else {
        return;
    };
    let right = words(&kernel);
    let chunk = right.chunks.iter().position(|word| word.count() > 5);
    let chunk = chunk.expect("a chunk with a run");
    let run = right.chunks[chunk];
    set_word(&mut kernel, "client_chunks", chunk, 0);
    assert!(!words(&kernel).compare(&tables, 5).0.is_empty());
    set_word(&mut kernel, "client_chunks", chunk, run.0);
    let element = (run.start() / 2) as usize + 1;
    let wrong = right.runs[element] ^ 1;
    set_word(&mut kernel, "client_runs", element, wrong);
    assert!(!words(&kernel).compare(&tables, 5).0.is_empty());
    set_word(&mut kernel, "client_runs", element, right.runs[element]);
    check(&kernel, &tables);
}

fn set_word(kernel: &mut Kernel, table: &'static str, index: usize, word: u64) {
    let mut map = array::<u64>(&mut kernel.ebpf, table).expect("a map of the object");
    set(&mut map, table, index, &word).expect("an element");
}

#[test]
fn a_node_that_maps_nobody_has_no_index() {
    let config = config(DNS_LB);
    let built = build(&config, SECRET, &Restored::default()).expect("fits");
    let Some(mut kernel) = load(&built.tables) else {
        return;
    };
    let resolver = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    assert_eq!(words(&kernel).chunks.len(), 1);
    assert!(!kernel.needs_grace());
    kernel.grace().expect("the kernel waits");
    kernel.refill_clients(&built.tables).expect("nothing to do");
    let removed = kernel.apply(&[Change::RemoveResolver(resolver)]);
    assert!(removed.is_err(), "it was never there");
}

#[test]
fn words_slots_and_rows_are_written_where_they_belong() {
    let config = config(DNS_LB);
    let built = build(&config, SECRET, &Restored::default()).expect("fits");
    let mut tables = built.tables;
    let Some(mut kernel) = load(&tables) else {
        return;
    };
    let slot = tables.answers.len() as u32;
    let answer = dglb_common::layout::Answer {
        generation: 7,
        ..tables.answers[0]
    };
    let reference = AnswerRef::new(slot, 7);
    let (page, index) = ranking_place(tables.settings.groups, 0, 0, KIND_A);
    let changes = [
        Change::SetAnswer {
            slot,
            answer: Box::new(answer),
        },
        Change::SetBuckets {
            row: 3,
            words: Box::new([reference.0; dglb_common::layout::BUCKETS]),
        },
        Change::SetRanking {
            page,
            index,
            word: AnswerRef::buckets(3),
        },
        Change::SetVantage(0, VantageValue::default()),
    ];
    kernel.apply(&changes).expect("room");
    for change in &changes {
        tables.apply(change);
    }
    let answers = array::<dglb_common::layout::Answer>(&mut kernel.ebpf, "answers");
    let written = answers.expect("a map").get(&slot, 0).expect("an element");
    assert_eq!(written, answer);
    let rows = array::<maps::Row>(&mut kernel.ebpf, "buckets").expect("a map");
    assert_eq!(rows.get(&3, 0).expect("an element").0, tables.buckets[3]);
    let word = kernel.pages[page as usize].get(&index, 0);
    assert_eq!(word.expect("an element"), AnswerRef::buckets(3).0);

    let beyond = [Change::SetAnswer {
        slot: tables.room.answers,
        answer: Box::new(answer),
    }];
    let error = kernel.apply(&beyond).expect_err("no such slot");
    assert!(error.reason.contains("\"answers\""), "{error}");
}

/// Maps that are pinned in the BPF file system for one test.
struct Pinned(pins::Pins);

impl Pinned {
    /// `None` where there is no BPF file system.
    fn new(kernel: &Kernel, name: &str) -> Option<Self> {
        let mut node = config(DNS_B).node;
        node.name = format!("test-{name}-{}", std::process::id());
        let pinned = Self(pins::Pins::of(&node));
        if let Err(error) = pinned.0.prepare().and_then(|()| pinned.0.pin_next(kernel)) {
            println!("SKIPPED: {error}");
            return None;
        }
        pinned.0.promote().expect("pinned");
        Some(pinned)
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        let _ = self.0.remove();
    }
}

#[test]
fn pinned_tables_are_verified_and_one_wrong_word_fails() {
    let tables = tables(&mut Random(5), 2_000, 300);
    let Some(mut kernel) = load(&tables) else {
        return;
    };
    let Some(pinned) = Pinned::new(&kernel, "verify") else {
        return;
    };
    let verified = crate::verify::verify(&pinned.0).expect("readable");
    assert!(verified.is_right(), "{verified:?}");
    assert_eq!(verified.resolvers, tables.resolvers.len());
    let (v4, v6) = tables.prefixes.count();
    assert_eq!(verified.prefixes, v4 + v6);
    assert!(verified.runs > 10 && verified.compared > CHUNKS);

    let right = words(&kernel);
    let chunk = right.chunks.iter().position(|word| word.count() > 3);
    let chunk = chunk.expect("a chunk with a run");
    set_word(&mut kernel, "client_chunks", chunk, 1);
    let verified = crate::verify::verify(&pinned.0).expect("readable");
    assert!(!verified.is_right() && !verified.differences.is_empty());
    set_word(&mut kernel, "client_chunks", chunk, right.chunks[chunk].0);

    // A prefix's scope, a resolver's check, a prefix that is not there any more.
    let (net, value) = tables.prefixes.iter().nth(1).expect("a prefix");
    let IpNet::V4(net) = net else {
        panic!("IPv4 comes first");
    };
    let key = aya::maps::lpm_trie::Key::new(net.prefix_len().into(), net.network().octets());
    let wrong = dglb_common::layout::PrefixValue {
        scope: value.scope ^ 1,
        ..value
    };
    let mut trie: aya::maps::lpm_trie::LpmTrie<_, [u8; 4], dglb_common::layout::PrefixValue> =
        typed(&mut kernel.ebpf, "prefixes_v4").expect("a map of the object");
    trie.insert(&key, wrong, 0).expect("replaced");
    let verified = crate::verify::verify(&pinned.0).expect("readable");
    assert!(
        verified.wrong_entries[0].contains("its scope is"),
        "{verified:?}"
    );
    let mut trie: aya::maps::lpm_trie::LpmTrie<_, [u8; 4], dglb_common::layout::PrefixValue> =
        typed(&mut kernel.ebpf, "prefixes_v4").expect("a map of the object");
    trie.insert(&key, value, 0).expect("replaced");
    assert!(
        crate::verify::verify(&pinned.0)
            .expect("readable")
            .is_right()
    );
}

#[test]
fn a_node_without_tables_has_nothing_to_verify() {
    let mut node = config(DNS_B).node;
    node.bpffs = "/nowhere".into();
    let error = crate::verify::verify(&pins::Pins::of(&node)).expect_err("no tables");
    assert!(error.to_string().contains("dglb run"), "{error}");
}

#[test]
fn what_was_up_by_the_last_heartbeat_is_restored_as_up() {
    let mut tables = tables(&mut Random(6), 10, 0);
    tables.heartbeat = 100 << 26;
    tables.vantages[0].deadline = 99;
    tables.vantages[1].deadline = 100;
    let Some(mut kernel) = load(&tables) else {
        return;
    };
    set_word(&mut kernel, "heartbeat", 0, tables.heartbeat);
    let Some(pinned) = Pinned::new(&kernel, "restore") else {
        return;
    };
    for name in KEPT {
        kernel.pin_map(name, &pinned.0.map(name)).expect("pinned");
    }
    let read = read::Pinned::read(&pinned.0)
        .expect("readable")
        .expect("there");
    let up: Vec<bool> = read.dns_lbs.iter().map(|entry| entry.up).collect();
    assert_eq!(up, [false, true]);
    assert_eq!(read.dns_lbs[0].serves, 0, "nobody stands in");
    let restored = read.restored();
    assert_eq!(restored.up.len(), 1);
    assert_eq!(restored.resolvers.len(), tables.resolvers.len());
}

#[test]
fn the_pages_of_many_vantages_are_each_in_their_place() {
    let more: String = (0..300)
        .map(|node| {
            let [high, low] = u16::to_be_bytes(node);
            format!("[[dns_lb]]\nname = \"n{node}.example\"\naddress = \"10.1.{high}.{low}\"\n")
        })
        .collect();
    let config = config(&DNS_B.replacen("[[prefix]]", &format!("{more}\n[[prefix]]"), 1));
    let built = build(&config, SECRET, &Restored::default()).expect("fits");
    let mut tables = built.tables;
    tables.room.resolvers = 100;
    let Some(mut kernel) = load(&tables) else {
        return;
    };
    assert_eq!(kernel.pages.len(), tables.pages());
    let rankings: ArrayOfMaps<_, Array<MapData, u64>> =
        typed(&mut kernel.ebpf, "rankings").expect("a map of the object");
    for (place, word) in tables.rankings.iter().enumerate() {
        let (page, index) = (place / RANKING_PAGE, (place % RANKING_PAGE) as u32);
        if index > 40 {
            continue;
        }
        let page = rankings.get(&(page as u32), 0).expect("a page");
        assert_eq!(page.get(&index, 0).expect("a word"), word.0);
    }
}
