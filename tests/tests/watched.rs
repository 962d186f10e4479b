//! A query that meets a watched answer gets what it would get otherwise, and is told; by the kernel's short way and
//! its long one, and by user space.

use std::sync::{Arc, RwLock};

use dglb_common::{
    layout::{KIND_A, KIND_AAAA, NameWord, ranking_place},
    query::TYPE_A,
};
use dglb_tests::{
    frames::{Message, Packet, opt},
    fuzz::path::{InKernel, Verdict},
    world::{self, STRANGER},
};
use dglb_user::{
    answer::Answerer,
    event::Event,
    publish::DataPath as _,
    tables::{Change, Tables},
};
use tokio::sync::mpsc;

/// Two services at the vantage of who is in no table.
const NAMES: [&str; 2] = ["www.g.foo.com", "list.g.foo.com"];

fn group(tables: &Tables, name: &str) -> u32 {
    let entry = tables
        .name(&world::name(name))
        .expect("a name of the world");
    NameWord(entry.word).group()
}

/// Marks the addresses of a group as watched, or not.
fn mark(tables: &mut Tables, group: u32, is_watched: bool) -> Vec<Change> {
    let changes = [KIND_A, KIND_AAAA].map(|kind| {
        let word = tables.word(0, group, kind).watched(is_watched);
        let (page, index) = ranking_place(tables.settings.groups, 0, group, kind);
        Change::SetRanking { page, index, word }
    });
    for change in &changes {
        tables.apply(change);
    }
    changes.into()
}

/// A question for A that takes the short way, or with an option the long one.
fn frame(name: &str, is_long: bool) -> Vec<u8> {
    let message = Message::plain(world::name(name).wire(), TYPE_A);
    let message = if is_long {
        message.with(opt::record(1232, false, &[opt::option(12, &[0; 40])]))
    } else {
        message
    };
    Packet::plain(STRANGER.into(), world::DNS_LB.into(), message.octets()).octets()
}

#[test]
fn the_kernel_tells_of_a_watched_answer_and_gives_it_all_the_same() {
    if !dglb_tests::is_root() {
        return;
    }
    let model = world::dns_lb_vantages();
    let mut tables = model.tables();
    let mut kernel = InKernel::load(&model).expect("the program loads");
    let mut events = kernel.kernel().take_events().expect("not taken yet");
    // The second name goes the long way: a CPU pauses after each event of a group.
    for (name, is_long) in NAMES.into_iter().zip([false, true]) {
        let frame = frame(name, is_long);
        let group = group(&tables, name);
        let plain = kernel.run(&frame).expect("it runs");
        assert!(matches!(plain, Verdict::Reply(_)), "{name}");
        assert_eq!(events.next_group(), None, "{name}: not watched");
        for is_watched in [true, false] {
            let changes = mark(&mut tables, group, is_watched);
            kernel.kernel().apply(&changes).expect("words are written");
            assert_eq!(kernel.run(&frame).expect("it runs"), plain, "{name}");
            assert_eq!(events.next_group(), is_watched.then_some(group), "{name}");
            assert_eq!(events.next_group(), None, "{name}");
        }
    }
}

#[test]
fn user_space_tells_of_a_watched_answer_and_gives_it_all_the_same() {
    let model = world::dns_lb_vantages();
    let tables = Arc::new(RwLock::new(model.tables()));
    let (sender, mut told) = mpsc::channel(1);
    let answerer = Answerer::new(Arc::new(model.config), Arc::clone(&tables)).telling(sender);
    let frame = frame(NAMES[0], false);
    let plain = answerer.answer_frame(&frame).expect("an answer");
    assert!(told.try_recv().is_err(), "not watched");
    let group = group(&tables.read().expect("not poisoned"), NAMES[0]);
    mark(&mut tables.write().expect("not poisoned"), group, true);
    // With no room to tell more, the answers are the same.
    for _ in 0..3 {
        assert_eq!(answerer.answer_frame(&frame).as_ref(), Some(&plain));
    }
    assert!(matches!(told.try_recv(), Ok(Event::Asked { group: of }) if of == group));
    mark(&mut tables.write().expect("not poisoned"), group, false);
    assert_eq!(answerer.answer_frame(&frame), Some(plain));
    assert!(told.try_recv().is_err(), "not watched any more");
}
