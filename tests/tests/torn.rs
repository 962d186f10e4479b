//! Tables change under the reader: each answer is one that was right before or after, whole.
//!
//! A writer changes values of every size while a reader asks on another CPU: words of the rankings,
//! vantages, resolvers of both families with the client index behind them, rows of buckets, whole pages by
//! swapping the inner map, answers in slots that are used again after a grace period. The control shows
//! that the reader would see it: there an answer is overwritten while it is in use.

use std::{
    collections::BTreeSet,
    net::IpAddr,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;
use aya::maps::{Array, ArrayOfMaps, MapData};
use dglb_common::{
    layout::{Answer, AnswerRef, KIND_A, RANKING_PAGE, VantageValue, ranking_place},
    query::{TYPE_A, TYPE_AAAA},
};
use dglb_tests::{
    frames::{Message, Packet, opt},
    fuzz::path::{self, Handle, InKernel, Verdict, pin_to_cpu},
    model::{Choice, Model, serving},
    world::{self, RESOLVER_2, RESOLVER_2_V6, STRANGER, STRANGER_V6},
};
use dglb_user::{
    config::{Role, Site},
    kernel::Kernel,
    publish::{
        DataPath as _,
        build::{Built, mapping},
        select,
    },
    tables::Change,
};

/// How long the writer writes at least, in changes, and until so many answers were met.
const CHANGES: usize = 3000;
const REPLIES: u64 = 10_000;
/// Long enough for a machine with much else to do.
const PATIENCE: Duration = Duration::from_secs(120);

/// A DNS-B in direct mode whose sites' addresses have no octet in common.
fn model() -> Model {
    let mut model = world::dns_b_direct();
    if let Role::DnsB(node) = &mut model.config.role {
        for service in &mut node.services {
            for (index, site) in service.sites.iter_mut().enumerate() {
                *site = distinct(index);
            }
        }
    }
    model.silent.clear();
    model
}

fn distinct(index: usize) -> Site {
    let octet = 0x11 + 0x1d * index as u8;
    let (ipv4, ipv6) = ([octet; 4].into(), [octet; 16].into());
    Site::new(format!("site{index}"), Some(ipv4), Some(ipv6))
}

/// A question, and every answer that is right at one time or another.
struct Probe {
    frame: Vec<u8>,
    right: BTreeSet<Vec<u8>>,
}

impl Probe {
    /// What each of `models` says to `source`.
    fn new(models: &[Model], source: IpAddr, name: &[u8], qtype: u16) -> Self {
        let addresses = &models[0].config.node.addresses;
        let of_family = |address: &&IpAddr| address.is_ipv4() == source.is_ipv4();
        let destination = addresses.iter().find(of_family).expect("both families");
        // By padding (RFC 7830), so that three times the query are enough for the longest list.
        let padding = opt::record(1232, false, &[opt::option(12, &[0; 300])]);
        let message = Message::plain(name, qtype).with(padding).octets();
        let frame = Packet::plain(source, *destination, message).octets();
        let answer = |model| path::answerer(model).answer_frame(&frame);
        let right = models.iter().filter_map(answer);
        Self {
            right: right.map(|answered| answered.octets).collect(),
            frame,
        }
    }
}

/// What the reader met.
#[derive(Default)]
struct Seen {
    replies: u64,
    passed: u64,
    /// Different replies to each probe.
    variety: Vec<BTreeSet<Vec<u8>>>,
    /// A reply that is none of the right ones.
    wrong: Option<Vec<u8>>,
}

/// Asks in turn until it is told to stop, or meets something wrong.
fn read(mut handle: Handle, probes: &[Probe], stop: &AtomicBool, replies: &AtomicU64) -> Seen {
    pin_to_cpu(1).expect("a second CPU");
    let mut seen = Seen {
        variety: vec![BTreeSet::new(); probes.len()],
        ..Seen::default()
    };
    while !stop.load(Ordering::Relaxed) && seen.wrong.is_none() {
        for (index, probe) in probes.iter().enumerate() {
            match handle.run(&probe.frame).expect("it runs") {
                Verdict::Reply(reply) => {
                    seen.replies += 1;
                    replies.store(seen.replies, Ordering::Relaxed);
                    if !probe.right.contains(&reply) {
                        seen.wrong = Some(reply);
                        break;
                    }
                    seen.variety[index].insert(reply);
                }
                Verdict::Pass(frame) => {
                    assert_eq!(frame, probe.frame, "passed altered");
                    seen.passed += 1;
                }
                Verdict::Drop => panic!("dropped"),
            }
        }
    }
    seen
}

fn has_two_cpus() -> bool {
    let cpus = thread::available_parallelism().map_or(1, usize::from);
    if cpus < 2 {
        dglb_tests::skip("needs two CPUs");
    }
    cpus >= 2
}

/// Runs the reader beside `write`, which is called until it has had [`CHANGES`] turns and the reader [`REPLIES`]
/// answers.
fn race(probes: &[Probe], handle: Handle, mut write: impl FnMut(usize) -> Result<()>) -> Seen {
    let stop = AtomicBool::new(false);
    let replies = AtomicU64::new(0);
    thread::scope(|scope| {
        let reader = scope.spawn(|| read(handle, probes, &stop, &replies));
        pin_to_cpu(0).expect("a first CPU");
        let mut failed = None;
        let mut turn = 0;
        let start = Instant::now();
        let enough = |turn| turn >= CHANGES && replies.load(Ordering::Relaxed) >= REPLIES;
        while !enough(turn) && start.elapsed() < PATIENCE {
            if let Err(error) = write(turn) {
                failed = Some(error);
                break;
            }
            if reader.is_finished() {
                break;
            }
            turn += 1;
        }
        stop.store(true, Ordering::Relaxed);
        let seen = reader.join().expect("the reader did not panic");
        if let Some(error) = failed {
            panic!("the writer: {error:#}");
        }
        seen
    })
}

/// Nothing wrong was met, and each probe met what changed.
fn check(seen: &Seen) {
    println!("{} replies, {} passed", seen.replies, seen.passed);
    assert_eq!(seen.wrong, None);
    assert!(seen.replies > 1000, "{} replies", seen.replies);
    for (index, variety) in seen.variety.iter().enumerate() {
        assert!(
            variety.len() > 1,
            "probe {index} met {} answers",
            variety.len()
        );
    }
}

fn name(text: &str) -> Vec<u8> {
    world::name(text).wire().to_vec()
}

/// The publisher's part in memory and in the kernel.
struct Writer {
    built: Built,
    kernel: InKernel,
}

impl Writer {
    fn new(model: &Model) -> Self {
        let built = model.built();
        let kernel = Kernel::load(&built.tables, None).expect("the program loads");
        Self {
            built,
            kernel: InKernel::of(kernel).expect("it is loaded"),
        }
    }

    fn apply(&mut self, changes: &[Change]) -> Result<()> {
        self.kernel.kernel().apply(changes)?;
        for change in changes {
            self.built.tables.apply(change);
        }
        Ok(())
    }

    /// As the publisher does it: what nothing refers to rests for a grace period and is used again.
    fn sweep(&mut self) -> Result<()> {
        let Built {
            tables,
            slots,
            services,
        } = &mut self.built;
        let held = services.iter().flatten().map(|service| service.nodata);
        if slots.sweep(tables, held) || self.kernel.kernel().needs_grace() {
            self.kernel.kernel().grace()?;
            self.built.slots.rested();
        }
        Ok(())
    }

    fn select(&mut self, service: usize, vantage: u32, choice: &Choice) -> Result<()> {
        let ranked = self.built.services[service].clone().expect("it has sites");
        let serving = &serving(choice, &ranked);
        let (tables, slots) = (&self.built.tables, &mut self.built.slots);
        let changes = match select(tables, slots, &ranked, vantage, serving) {
            Ok(changes) => changes,
            Err(_) => {
                self.sweep()?;
                let (tables, slots) = (&self.built.tables, &mut self.built.slots);
                select(tables, slots, &ranked, vantage, serving)?
            }
        };
        self.apply(&changes)
    }
}

/// The model with another choice at every vantage of the first three services.
fn with(model: &Model, choice: &Choice) -> Model {
    let mut model = model.clone();
    for ranking in &mut model.rankings[..3] {
        ranking.fill(Some(choice.clone()));
    }
    model
}

#[test]
fn words_rows_and_slots_used_again_are_met_whole() {
    if !dglb_tests::is_root() || !has_two_cpus() {
        return;
    }
    let model = model();
    let choices = [
        Choice::Best(vec![0]),
        Choice::Best(vec![2]),
        Choice::List((0..8).collect()),
        Choice::List((0..8).rev().collect()),
        Choice::List(vec![4, 2]),
        Choice::Weighted(vec![(0, 1), (1, 1), (2, 1)]),
        Choice::Weighted(vec![(0, 1), (2, 5)]),
        Choice::Sticky(vec![(0, 1), (1, 1), (2, 2)]),
        Choice::Servfail,
        Choice::Fallback([203, 0, 113, 200].into()),
    ];
    // Which of the weighted sites a client has depends on who had its bucket before: any may be right.
    let each = (0..3).map(|site| Choice::Best(vec![site]));
    let all = choices.iter().cloned().chain(each);
    let models: Vec<Model> = all.map(|choice| with(&model, &choice)).collect();
    let list = name("list.d.foo.com");
    let probes = [
        Probe::new(&models, STRANGER.into(), &list, TYPE_A),
        Probe::new(&models, STRANGER_V6.into(), &list, TYPE_AAAA),
        Probe::new(&models, STRANGER.into(), &name("l.q"), TYPE_A),
    ];
    let probes = &probes[..2];
    let mut writer = Writer::new(&models[0]);
    let handle = writer.kernel.handle().expect("a handle");
    let slots = writer.built.tables.answers.len();
    let seen = race(probes, handle, |turn| {
        writer.select(1, 0, &choices[turn % choices.len()])?;
        // So often that slots and rows are used again all the time.
        if turn % 3 == 0 {
            writer.sweep()
        } else {
            Ok(())
        }
    });
    check(&seen);
    let generations = writer.built.tables.answers.iter();
    let used_again = generations.filter(|answer| answer.generation > 1).count();
    assert!(used_again > 0, "no slot of {slots} was used again");
}

#[test]
fn vantages_and_resolvers_are_met_whole() {
    if !dglb_tests::is_root() || !has_two_cpus() {
        return;
    }
    let model = model();
    let (v4, v6) = (IpAddr::V4(RESOLVER_2), IpAddr::V6(RESOLVER_2_V6));
    // Each vantage has another site first: `{0, 1, 2}` by vantage modulo 3.
    let mapped_to = |vantage: Option<usize>| {
        let mut model = model.clone();
        for resolver in [v4, v6] {
            match vantage {
                Some(vantage) => model.resolvers.insert(resolver, vantage),
                None => model.resolvers.remove(&resolver),
            };
        }
        model
    };
    let models = [Some(1), Some(2), Some(4), None].map(mapped_to);
    let best = name("best.d.foo.com");
    let probes = [
        Probe::new(&models, v4, &best, TYPE_A),
        Probe::new(&models, v6, &best, TYPE_AAAA),
    ];
    let Role::DnsB(dns_b) = model.config.role.clone() else {
        unreachable!("a DNS-B");
    };
    let mut writer = Writer::new(&models[0]);
    let handle = writer.kernel.handle().expect("a handle");
    let seen = race(&probes, handle, |turn| {
        let key = |resolver| dglb_user::tables::resolver_key(resolver);
        let vantage = [1, 2, 4][turn / 2 % 3];
        let change = |resolver: IpAddr| {
            if turn % 7 == 6 {
                return Change::RemoveResolver(key(resolver));
            }
            let key = key(resolver);
            let value = mapping(key, vantage as u32, &dns_b.dns_lbs[vantage], 0);
            Change::SetResolver(key, value)
        };
        // An entry can be removed only once.
        let changes = [change(v4), change(v6)];
        writer.apply(&changes)?;
        if turn % 16 == 0 {
            writer.sweep()
        } else {
            Ok(())
        }
    });
    check(&seen);

    // A vantage's word: served by itself, or by its backup since its deadline.
    let at = |silent: bool| {
        let mut model = models[1].clone();
        if silent {
            model.silent.insert(2);
        }
        model
    };
    let models = [at(false), at(true)];
    let probes = [Probe::new(&models, v4, &best, TYPE_A)];
    let mut writer = Writer::new(&models[0]);
    let handle = writer.kernel.handle().expect("a handle");
    let seen = race(&probes, handle, |turn| {
        let value = VantageValue {
            serves: 2,
            backup: 0,
            deadline: if turn % 2 == 0 {
                1
            } else {
                VantageValue::NO_DEADLINE
            },
        };
        writer.apply(&[Change::SetVantage(2, value)])
    });
    check(&seen);
}

#[test]
fn a_page_that_is_swapped_is_met_whole() {
    if !dglb_tests::is_root() || !has_two_cpus() {
        return;
    }
    let model = model();
    let models = [vec![0, 1, 2], vec![2, 0, 1]].map(|up| with(&model, &Choice::Best(up)));
    let best = name("best.d.foo.com");
    let probes = [
        Probe::new(&models, STRANGER.into(), &best, TYPE_A),
        Probe::new(&models, STRANGER_V6.into(), &best, TYPE_AAAA),
    ];
    let mut writer = Writer::new(&models[0]);
    let handle = writer.kernel.handle().expect("a handle");
    let (place, _) = ranking_place(writer.built.tables.settings.groups, 0, 0, KIND_A);
    let page = |writer: &Writer| -> Vec<AnswerRef> {
        let start = place as usize * RANKING_PAGE;
        writer.built.tables.rankings[start..start + RANKING_PAGE].to_vec()
    };
    // Both answers get their slots; then the pages are taken whole.
    let selections = [vec![0, 1, 2], vec![2, 0, 1]].map(Choice::Best);
    writer.select(0, 0, &selections[1]).expect("it fits");
    let second = page(&writer);
    writer.select(0, 0, &selections[0]).expect("it fits");
    let pages = [page(&writer), second];
    let seen = race(&probes, handle, |turn| {
        if turn >= 300 {
            return Ok(());
        }
        let mut inner: Array<MapData, u64> = Array::create(RANKING_PAGE as u32, 0)?;
        for (index, word) in pages[turn % 2].iter().enumerate() {
            inner.set(index as u32, word.0, 0)?;
        }
        let outer = writer.kernel.kernel().map_mut("rankings")?;
        let mut outer: ArrayOfMaps<_, Array<MapData, u64>> = outer.try_into()?;
        Ok(outer.set(place, &inner, 0)?)
    });
    check(&seen);
}

/// The control: an answer in use is overwritten, with the same generation and without a grace period.
/// The reader must meet a mixture.
#[test]
fn an_answer_overwritten_in_use_is_met_torn() {
    if !dglb_tests::is_root() || !has_two_cpus() {
        return;
    }
    let model = model();
    let lists = [vec![0, 1, 2, 3, 4, 5, 6, 7], vec![7, 6, 5, 4, 3, 2, 1, 0]];
    let models = lists.clone().map(|list| with(&model, &Choice::List(list)));
    let mut writer = Writer::new(&models[0]);
    let list = name("list.d.foo.com");
    let probes = [Probe::new(&models, STRANGER.into(), &list, TYPE_AAAA)];
    let handle = writer.kernel.handle().expect("a handle");
    let group = writer.built.services[1]
        .as_ref()
        .expect("it has sites")
        .group;
    let kind = dglb_common::layout::KIND_AAAA;
    let slot = |writer: &Writer| writer.built.tables.word(0, group, kind).slot();
    let first = slot(&writer);
    writer
        .select(1, 0, &Choice::List(lists[1].clone()))
        .expect("it fits");
    let second = slot(&writer);
    writer
        .select(1, 0, &Choice::List(lists[0].clone()))
        .expect("it fits");
    let generation = writer.built.tables.answers[first as usize].generation;
    let answers = [first, second].map(|slot| Answer {
        generation,
        ..writer.built.tables.answers[slot as usize]
    });
    let start = Instant::now();
    let stop = AtomicBool::new(false);
    let (probes, stop) = (&probes, &stop);
    let seen = thread::scope(|scope| {
        let replies = AtomicU64::new(0);
        let reader = scope.spawn(move || read(handle, probes, stop, &replies));
        pin_to_cpu(0).expect("a first CPU");
        let mut turn = 0;
        while !reader.is_finished() && start.elapsed() < PATIENCE {
            let overwritten = Change::SetAnswer {
                slot: first,
                answer: Box::new(answers[turn % 2]),
            };
            let kernel = writer.kernel.kernel();
            kernel.apply(&[overwritten]).expect("it is written");
            turn += 1;
        }
        stop.store(true, Ordering::Relaxed);
        reader.join().expect("the reader did not panic")
    });
    assert!(seen.wrong.is_some(), "{} replies, none torn", seen.replies);
}
