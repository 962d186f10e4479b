//! What is still to be written into the store, and who waits for that. Another thread writes, one batch at a time;
//! what could not be written is tried again.

use std::{
    collections::{HashMap, VecDeque},
    future::pending,
    mem::take,
    time::Duration,
};

use tokio::{sync::oneshot, task::JoinHandle};

use super::{
    knowledge::Knowledge,
    overrides::Key,
    store::{Batch, Store, StoreError, TargetKey},
};
use crate::{control::protocol::Reply, policy::Override};

/// Each target's measurements are written at least so often.
const STORED: Duration = Duration::from_secs(300);
/// Targets of one batch: a batch is made between two probes' results, and they shall not wait.
const AT_ONCE: usize = 512;

/// All that is to be written.
#[derive(Debug)]
pub struct Keeping {
    store: Option<Store>,
    /// By target.
    keys: Vec<TargetKey>,
    /// Targets to be written, each once.
    targets: VecDeque<usize>,
    is_waiting: Vec<bool>,
    orders: HashMap<Key, Option<Override>>,
    /// Who ordered, and what they are told when it is written.
    people: Vec<(oneshot::Sender<Reply>, String)>,
    /// The next target that is written in turn.
    turn: usize,
    /// Calls of [`Self::tick`] in which all have their turn.
    round: usize,
    /// Calls since the start.
    ticks: usize,
    /// Whether what is no longer probed was removed, after the first round.
    is_tidy: bool,
    writing: Option<Writing>,
}

/// What is being written.
#[derive(Debug)]
struct Writing {
    task: JoinHandle<Result<(), StoreError>>,
    part: Part,
}

/// What one batch is of.
#[derive(Debug, Default)]
struct Part {
    targets: Vec<usize>,
    orders: Vec<(Key, Option<Override>)>,
    people: Vec<(oneshot::Sender<Reply>, String)>,
}

impl Keeping {
    /// For targets of these keys; [`Self::tick`] will be called once in `tick`.
    pub fn new(store: Option<Store>, keys: Vec<TargetKey>, tick: Duration) -> Self {
        Self {
            store,
            targets: VecDeque::new(),
            is_waiting: vec![false; keys.len()],
            keys,
            orders: HashMap::new(),
            people: Vec::new(),
            turn: 0,
            round: (STORED.as_nanos() / tick.as_nanos()).max(1) as usize,
            ticks: 0,
            is_tidy: false,
            writing: None,
        }
    }

    /// The target is to be written soon.
    pub fn target(&mut self, target: usize) {
        if self.store.is_some() && !std::mem::replace(&mut self.is_waiting[target], true) {
            self.targets.push_back(target);
        }
    }

    /// An order, or that there is none any more.
    pub fn order(&mut self, key: Key, order: Option<Override>) {
        if self.store.is_some() {
            self.orders.insert(key, order);
        }
    }

    /// Tells whoever ordered it when all orders so far are on the disk.
    pub fn tell(&mut self, reply: oneshot::Sender<Reply>, said: String) {
        if self.store.is_some() {
            self.people.push((reply, said));
            return;
        }
        // Whoever asked may have gone.
        let _ = reply.send(Reply::Done(format!(
            "{said}. There is no store (the log says why): a restart forgets it"
        )));
    }

    /// A few more targets have their turn; whether all had it since the start.
    pub fn tick(&mut self, knowledge: &[Knowledge]) -> bool {
        let count = self.keys.len();
        for _ in 0..count.div_ceil(self.round) {
            self.target(self.turn);
            self.turn = (self.turn + 1) % count;
        }
        self.ticks = self.ticks.saturating_add(1);
        self.write(knowledge);
        self.is_complete()
    }

    fn is_complete(&self) -> bool {
        self.ticks >= self.round
    }

    /// Begins to write, unless something is being written or there is nothing.
    pub fn write(&mut self, knowledge: &[Knowledge]) {
        let Some(store) = self.store.clone().filter(|_| self.writing.is_none()) else {
            return;
        };
        if self.targets.is_empty() && self.orders.is_empty() && self.people.is_empty() {
            self.tidy(store);
            return;
        }
        let (part, batch) = self.part(knowledge);
        self.writing = Some(Writing {
            task: tokio::task::spawn_blocking(move || store.write(&batch)),
            part,
        });
    }

    /// Removes what is no longer probed, once.
    fn tidy(&mut self, store: Store) {
        if !self.is_complete() || std::mem::replace(&mut self.is_tidy, true) {
            return;
        }
        let keys = self.keys.iter().copied().collect();
        self.writing = Some(Writing {
            task: tokio::task::spawn_blocking(move || store.retain(&keys)),
            part: Part::default(),
        });
    }

    fn part(&mut self, knowledge: &[Knowledge]) -> (Part, Batch) {
        let count = self.targets.len().min(AT_ONCE);
        let part = Part {
            targets: self.targets.drain(..count).collect(),
            orders: self.orders.drain().collect(),
            people: take(&mut self.people),
        };
        let mut batch = Batch::default();
        for &target in &part.targets {
            self.is_waiting[target] = false;
            batch.target(self.keys[target], &knowledge[target]);
        }
        for (key, order) in &part.orders {
            batch.order(key, order.as_ref());
        }
        (part, batch)
    }

    /// Waits until what is being written is; whether it is. May be dropped and called again.
    pub async fn written(&mut self) -> bool {
        let Some(writing) = &mut self.writing else {
            return pending().await;
        };
        let result = match (&mut writing.task).await {
            Ok(result) => result.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        if let Some(writing) = self.writing.take() {
            self.is_written(writing.part, &result);
        }
        result.is_ok()
    }

    fn is_written(&mut self, part: Part, result: &Result<(), String>) {
        for (reply, said) in part.people {
            let said = match result {
                Ok(()) => said,
                Err(error) => format!("{said}. It is not stored, a restart forgets it: {error}"),
            };
            let _ = reply.send(Reply::Done(said));
        }
        if let Err(error) = result {
            tracing::error!(%error, "measurements would not survive a restart; it is tried again");
            for target in part.targets {
                self.target(target);
            }
            for (key, order) in part.orders {
                // What was ordered since is newer.
                self.orders.entry(key).or_insert(order);
            }
        }
    }

    /// Writes all there is, and gives the store back.
    pub async fn end(mut self, knowledge: &[Knowledge]) -> Option<Store> {
        if self.writing.is_some() {
            self.written().await;
        }
        for target in 0..self.keys.len() {
            self.target(target);
        }
        // That can wait for the next run.
        self.is_tidy = true;
        loop {
            self.write(knowledge);
            if self.writing.is_none() || !self.written().await {
                return self.store;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::{
        measure::{judge::Patience, overrides::Overrides, store::key_of},
        policy::OverrideKind,
        probe::{
            message::Success,
            spec::{Kind, Spec},
        },
    };

    const TICK: Duration = Duration::from_secs(1);

    fn keys(count: u32) -> Vec<TargetKey> {
        let key = |number| {
            key_of(&Spec {
                address: std::net::Ipv4Addr::from(number).into(),
                timeout_ms: 1,
                kind: Kind::Icmp,
            })
        };
        (0..count).map(key).collect()
    }

    fn known(count: u32) -> Vec<Knowledge> {
        let patience = Patience { fall: 1, rise: 1 };
        let mut known = Knowledge::default().with_judges(&[patience]);
        known.record(&Ok(Success::default()), SystemTime::UNIX_EPOCH);
        vec![known; count as usize]
    }

    fn order() -> (Key, Override) {
        let key = Key {
            site: "frankfurt".into(),
            service: None,
        };
        let order = Override {
            kind: OverrideKind::Drained,
            reason: "work".into(),
            since: SystemTime::UNIX_EPOCH,
            until: None,
        };
        (key, order)
    }

    #[tokio::test]
    async fn many_changes_are_written_in_parts_and_who_ordered_is_told_when_it_is_on_the_disk() {
        let directory = tempfile::tempdir().expect("a directory");
        let store = Store::open(directory.path(), "lb1").expect("opened");
        let (keys, knowledge) = (keys(1300), known(1300));
        let mut keeping = Keeping::new(Some(store.clone()), keys.clone(), TICK);
        for target in (0..1300).chain(0..1300) {
            keeping.target(target);
        }
        let (key, order) = order();
        keeping.order(key.clone(), Some(order.clone()));
        let (reply, mut said) = oneshot::channel();
        keeping.tell(reply, "drained".into());
        keeping.write(&knowledge);
        keeping.write(&knowledge);
        assert!(said.try_recv().is_err(), "it is not written yet");
        assert!(keeping.written().await);
        assert_eq!(said.try_recv(), Ok(Reply::Done("drained".into())));
        assert_eq!(store.overrides(), Overrides::new([(key, order)]));
        let count = || {
            keys.iter()
                .filter(|key| store.target(key).is_some())
                .count()
        };
        assert_eq!(count(), AT_ONCE);
        keeping.end(&knowledge).await;
        assert_eq!(count(), 1300);
    }

    #[tokio::test]
    async fn all_have_their_turn_and_then_what_is_no_longer_probed_goes() {
        let directory = tempfile::tempdir().expect("a directory");
        let store = Store::open(directory.path(), "lb1").expect("opened");
        let (keys, knowledge) = (keys(1000), known(1000));
        let mut batch = Batch::default();
        let old = [7; 16];
        batch.target(old, &knowledge[0]);
        store.write(&batch).expect("written");
        let mut keeping = Keeping::new(Some(store.clone()), keys.clone(), TICK);
        for tick in 1..=300 {
            assert_eq!(keeping.tick(&knowledge), tick == 300);
            if keeping.writing.is_some() {
                assert!(keeping.written().await);
            }
            assert!(store.target(&old).is_some());
        }
        assert!(keys.iter().all(|key| store.target(key).is_some()));
        keeping.write(&knowledge);
        if keeping.writing.is_some() {
            keeping.written().await;
        }
        assert_eq!(store.target(&old), None);
    }

    #[tokio::test]
    async fn what_could_not_be_written_is_tried_again_and_told() {
        let directory = tempfile::tempdir().expect("a directory");
        let store = Store::open(directory.path(), "lb1").expect("opened");
        let (keys, knowledge) = (keys(3), known(3));
        let mut keeping = Keeping::new(Some(store.clone()), keys.clone(), TICK);
        let (key, order) = order();
        let (reply, mut said) = oneshot::channel();
        let failing = Writing {
            task: tokio::spawn(async { Err(StoreError::Refused("no space".into())) }),
            part: Part {
                targets: vec![0, 2],
                orders: vec![(key.clone(), Some(order.clone()))],
                people: vec![(reply, "drained".into())],
            },
        };
        keeping.writing = Some(failing);
        assert!(!keeping.written().await);
        let Ok(Reply::Done(text)) = said.try_recv() else {
            panic!("nothing said");
        };
        assert!(
            text.starts_with("drained") && text.contains("no space"),
            "{text}"
        );
        keeping.write(&knowledge);
        assert!(keeping.written().await);
        assert_eq!(store.overrides(), Overrides::new([(key, order)]));
        let stored = [0, 1, 2].map(|target: usize| store.target(&keys[target]).is_some());
        assert_eq!(stored, [true, false, true]);
    }

    #[tokio::test]
    async fn without_a_store_people_are_told_so_and_nothing_piles_up() {
        let knowledge = known(3);
        let mut keeping = Keeping::new(None, keys(3), TICK);
        let (key, order) = order();
        keeping.order(key, Some(order));
        keeping.target(1);
        let (reply, mut said) = oneshot::channel();
        keeping.tell(reply, "drained".into());
        let Ok(Reply::Done(text)) = said.try_recv() else {
            panic!("nothing said");
        };
        assert!(text.contains("no store"), "{text}");
        keeping.tick(&knowledge);
        assert!(keeping.targets.is_empty() && keeping.orders.is_empty());
        assert!(keeping.end(&knowledge).await.is_none());
    }
}
