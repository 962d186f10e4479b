//! What survives a restart: measurements and orders, in one file of an embedded database (redb).
//!
//! A store that can't be used costs memory of the past, never service: a damaged one is moved aside, and the log
//! says so.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use redb::{
    Database, ReadableDatabase as _, ReadableTable as _, TableDefinition, backends::FileBackend,
};
use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest as _, Sha256};

use super::{
    knowledge::Knowledge,
    overrides::{Key, Overrides},
};
use crate::{policy::Override, probe::spec::Spec};

/// By the first octets of the SHA-256 of what is asked: what is known of the target. The number is that of
/// the form of what is stored.
const TARGETS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("targets-1");
/// By site and service: an operator's order.
const OVERRIDES: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("overrides-1");

/// Octets of pages that redb keeps in memory: what is written is read again at a start only. Its default is
/// a GiB.
const CACHE: usize = 8 << 20;

/// Octets of a target's key.
const KEY: usize = 16;

/// A target in the store.
pub type TargetKey = [u8; KEY];

/// The key of a target: it follows from what is asked alone.
pub fn key_of(spec: &Spec) -> TargetKey {
    let text = serde_json::to_vec(spec).unwrap_or_default();
    let mut key = [0; KEY];
    key.copy_from_slice(&Sha256::digest(text)[..KEY]);
    key
}

/// The open file. Cloning gives another handle; the last one closes it.
#[derive(Clone, Debug)]
pub struct Store {
    database: Arc<Database>,
}

/// What is to be written at once.
#[derive(Debug, Default)]
pub struct Batch {
    targets: Vec<(TargetKey, Vec<u8>)>,
    overrides: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

/// The store can't be used, or not be written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has it open.
    #[error(
        "{}: another process has the store open: is a node of the same name running already?",
        .0.display()
    )]
    InUse(PathBuf),
    /// What the kernel or redb says.
    #[error("the store can't be used: {0}")]
    Refused(String),
}

/// Why a file is not opened.
enum Obstacle {
    /// Another one in its place would do.
    Damaged(String),
    /// Another one in its place would be as bad, or harm whoever uses this one.
    Other(StoreError),
}

impl Store {
    /// Opens `<directory>/<name>.redb`, made if it is missing. A damaged file is moved aside.
    ///
    /// # Errors
    /// Another process has it open; or not even an empty one can be made.
    pub fn open(directory: &Path, name: &str) -> Result<Self, StoreError> {
        let refused = |error: io::Error| {
            StoreError::Refused(format!("node.state_dir {}: {error}", directory.display()))
        };
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(refused)?;
        let path = directory.join(format!("{name}.redb"));
        let why = match Self::open_file(&path) {
            Ok(store) => return Ok(store),
            Err(Obstacle::Other(error)) => return Err(error),
            Err(Obstacle::Damaged(why)) => why,
        };
        let aside = aside(&path);
        fs::rename(&path, &aside).map_err(refused)?;
        tracing::error!(
            path = %path.display(),
            aside = %aside.display(),
            why,
            "the store is damaged and was moved aside: measurements begin anew, and what operators ordered \
             is forgotten"
        );
        Self::open_file(&path).map_err(|obstacle| match obstacle {
            Obstacle::Other(error) => error,
            Obstacle::Damaged(why) => StoreError::Refused(format!("{}: {why}", path.display())),
        })
    }

    fn open_file(path: &Path) -> Result<Self, Obstacle> {
        let open = || -> Result<Self, redb::Error> {
            // Made before redb does, which would let everybody read it.
            let file = fs::OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(path)?;
            let backend = FileBackend::new(file)?;
            let mut database = redb::Builder::new()
                .set_cache_size(CACHE)
                .create_with_backend(backend)?;
            // Pages are read unchecked after this: those that a crash left half written would end the
            // process.
            if !database.check_integrity()? {
                tracing::warn!(path = %path.display(), "the store was damaged and is repaired");
            }
            let transaction = database.begin_write()?;
            transaction.open_table(TARGETS)?;
            transaction.open_table(OVERRIDES)?;
            transaction.commit()?;
            Ok(Self {
                database: Arc::new(database),
            })
        };
        // Seen with redb 4.6: a page of zeros where it keeps its free space makes it panic before any
        // checksum is compared.
        match std::panic::catch_unwind(open) {
            Ok(Ok(store)) => Ok(store),
            Ok(Err(error)) => Err(Obstacle::of(error, path)),
            Err(_) => Err(Obstacle::Damaged("redb panics at it".into())),
        }
    }

    /// What is known of a target; `None`: nothing that this version understands.
    pub fn target(&self, key: &TargetKey) -> Option<Knowledge> {
        let table = self.database.begin_read().ok()?.open_table(TARGETS).ok()?;
        let value = table.get(key.as_slice()).ok()??;
        decoded(value.value())
    }

    /// All orders.
    pub fn overrides(&self) -> Overrides {
        let read = || -> Result<Vec<(Key, Override)>, redb::Error> {
            let table = self.database.begin_read()?.open_table(OVERRIDES)?;
            let mut all = Vec::new();
            for entry in table.iter()? {
                let (key, value) = entry?;
                all.extend(decoded(key.value()).zip(decoded(value.value())));
            }
            Ok(all)
        };
        Overrides::new(read().unwrap_or_else(|error| {
            tracing::error!(%error, "what operators ordered can't be read");
            Vec::new()
        }))
    }

    /// Writes a batch; it is on the disk when this returns. Blocks.
    ///
    /// # Errors
    /// [`StoreError`]: nothing of it is written.
    pub fn write(&self, batch: &Batch) -> Result<(), StoreError> {
        let write = || -> Result<(), redb::Error> {
            let transaction = self.database.begin_write()?;
            {
                let mut targets = transaction.open_table(TARGETS)?;
                for (key, value) in &batch.targets {
                    targets.insert(key.as_slice(), value.as_slice())?;
                }
                let mut overrides = transaction.open_table(OVERRIDES)?;
                for (key, value) in &batch.overrides {
                    match value {
                        Some(value) => overrides.insert(key.as_slice(), value.as_slice())?,
                        None => overrides.remove(key.as_slice())?,
                    };
                }
            }
            transaction.commit()?;
            Ok(())
        };
        write().map_err(|error| StoreError::Refused(error.to_string()))
    }

    /// Removes the targets that are not among `keys`: nobody asks for them any more. Blocks.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub fn retain(&self, keys: &std::collections::HashSet<TargetKey>) -> Result<(), StoreError> {
        let retain = || -> Result<(), redb::Error> {
            let transaction = self.database.begin_write()?;
            transaction
                .open_table(TARGETS)?
                .retain(|key, _| <TargetKey>::try_from(key).is_ok_and(|key| keys.contains(&key)))?;
            transaction.commit()?;
            Ok(())
        };
        retain().map_err(|error| StoreError::Refused(error.to_string()))
    }
}

impl Obstacle {
    fn of(error: redb::Error, path: &Path) -> Self {
        let says_damaged = |error: &io::Error| {
            matches!(
                error.kind(),
                io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
            )
        };
        match error {
            redb::Error::DatabaseAlreadyOpen => Self::Other(StoreError::InUse(path.to_owned())),
            // The file may be well: the disk is full, a right is missing.
            redb::Error::Io(error) if !says_damaged(&error) => {
                Self::Other(StoreError::Refused(format!("{}: {error}", path.display())))
            }
            error => Self::Damaged(error.to_string()),
        }
    }
}

impl Batch {
    /// Nothing is to be written.
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty() && self.overrides.is_empty()
    }

    /// What is known of a target.
    pub fn target(&mut self, key: TargetKey, knowledge: &Knowledge) {
        self.targets
            .extend(encoded(knowledge).map(|value| (key, value)));
    }

    /// An order, or that there is none any more.
    pub fn order(&mut self, key: &Key, order: Option<&Override>) {
        let Some(key) = encoded(key) else { return };
        self.overrides.push((key, order.and_then(encoded)));
    }
}

fn encoded<T: Serialize>(value: &T) -> Option<Vec<u8>> {
    postcard::to_stdvec(value)
        .inspect_err(|error| tracing::error!(%error, "can't be stored"))
        .ok()
}

fn decoded<T: DeserializeOwned>(octets: &[u8]) -> Option<T> {
    postcard::from_bytes(octets).ok()
}

/// A name beside `path` that is free.
fn aside(path: &Path) -> PathBuf {
    let named = |number: u32| path.with_extension(format!("redb.broken-{number}"));
    let free = |path: &PathBuf| matches!(path.symlink_metadata(), Err(error) if error.kind() == io::ErrorKind::NotFound);
    (1..100).map(named).find(free).unwrap_or_else(|| named(100))
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, os::unix::fs::PermissionsExt as _, time::SystemTime};

    use super::*;
    use crate::{
        measure::judge::Patience,
        policy::{OverrideKind, State},
        probe::{failure::Failure, spec::Kind},
    };

    fn spec(last: u8) -> Spec {
        Spec {
            address: [192, 0, 2, last].into(),
            timeout_ms: 1000,
            kind: Kind::Icmp,
        }
    }

    fn known() -> Knowledge {
        let patience = Patience { fall: 1, rise: 1 };
        let mut knowledge = Knowledge::default().with_judges(&[patience]);
        knowledge.record(&Err(Failure::Status(503)), SystemTime::UNIX_EPOCH);
        knowledge
    }

    #[test]
    fn what_is_written_is_read_by_the_next() {
        let directory = tempfile::tempdir().expect("a directory");
        let order = Override {
            kind: OverrideKind::Drained,
            reason: "new discs".into(),
            since: SystemTime::UNIX_EPOCH,
            until: None,
        };
        let key = Key {
            site: "frankfurt".into(),
            service: None,
        };
        {
            let store = Store::open(directory.path(), "lb1").expect("opened");
            let mut batch = Batch::default();
            batch.target(key_of(&spec(1)), &known());
            batch.target(key_of(&spec(2)), &known());
            batch.order(&key, Some(&order));
            store.write(&batch).expect("written");
        }
        let store = Store::open(directory.path(), "lb1").expect("opened");
        let read = store.target(&key_of(&spec(1))).expect("known");
        assert_eq!(read.judges[0].1.state, State::Down);
        assert_eq!(read.last_failure.as_deref(), Some("unexpected status 503"));
        assert_eq!(read.history.changes().count(), 1);
        assert_eq!(store.overrides(), Overrides::new([(key.clone(), order)]));
        store
            .retain(&HashSet::from([key_of(&spec(2))]))
            .expect("written");
        assert!(store.target(&key_of(&spec(1))).is_none());
        assert!(store.target(&key_of(&spec(2))).is_some());
        let mut batch = Batch::default();
        batch.order(&key, None);
        store.write(&batch).expect("written");
        assert_eq!(store.overrides(), Overrides::default());
    }

    #[test]
    fn a_damaged_file_is_moved_aside_and_only_root_reads_a_new_one() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("lb1.redb");
        fs::write(
            &path,
            b"this is no database, but long enough to be looked at",
        )
        .expect("written");
        let store = Store::open(directory.path(), "lb1").expect("opened all the same");
        assert_eq!(store.overrides(), Overrides::default());
        assert!(directory.path().join("lb1.redb.broken-1").exists());
        let mode = path.metadata().expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    /// The file is cut, a page of it is zeros, or a bit is another: what is opened then is whole, or empty.
    #[test]
    fn no_damage_is_fatal_or_believed() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("lb1.redb");
        let specs: Vec<_> = (0..20).map(spec).collect();
        {
            let store = Store::open(directory.path(), "lb1").expect("opened");
            let mut batch = Batch::default();
            for spec in &specs {
                batch.target(key_of(spec), &known());
            }
            store.write(&batch).expect("written");
        }
        let good = fs::read(&path).expect("a file");
        let page = 4096;
        let damages = (0..good.len()).step_by(page).flat_map(|at| {
            let mut cut = good.clone();
            cut.truncate(at + 100);
            let mut zeros = good.clone();
            let end = (at + page).min(zeros.len());
            zeros[at..end].fill(0);
            let mut bit = good.clone();
            bit[at + 17] ^= 4;
            [cut, zeros, bit]
        });
        let mut moved = 0;
        // Most of a small file is unused; its used pages are at its beginning.
        for (number, damaged) in damages.take(120).enumerate() {
            let directory = tempfile::tempdir().expect("a directory");
            fs::write(directory.path().join("lb1.redb"), damaged).expect("written");
            let store = Store::open(directory.path(), "lb1").expect("opened all the same");
            let found = specs
                .iter()
                .filter(|spec| store.target(&key_of(spec)) == Some(known()))
                .count();
            // redb may have gone back to an earlier commit, when it was empty still.
            assert!(
                found == 0 || found == specs.len(),
                "damage {number}: {found} of {} are found",
                specs.len()
            );
            let aside = directory.path().join("lb1.redb.broken-1");
            moved += usize::from(aside.exists());
            store.write(&Batch::default()).expect("of use");
        }
        assert!(moved >= 10, "only {moved} damages did harm");
    }

    #[test]
    fn a_file_that_another_has_open_is_left_alone() {
        let directory = tempfile::tempdir().expect("a directory");
        let first = Store::open(directory.path(), "lb1").expect("opened");
        let error = Store::open(directory.path(), "lb1").expect_err("it is in use");
        assert!(matches!(error, StoreError::InUse(_)), "{error}");
        assert!(!directory.path().join("lb1.redb.broken-1").exists());
        drop(first);
        Store::open(directory.path(), "lb1").expect("free again");
    }

    #[test]
    fn what_is_no_damage_of_the_file_is_told_and_nothing_is_moved() {
        let directory = tempfile::tempdir().expect("a directory");
        fs::create_dir(directory.path().join("lb1.redb")).expect("made");
        let error = Store::open(directory.path(), "lb1").expect_err("no file");
        assert!(error.to_string().contains("lb1.redb"), "{error}");
        assert!(directory.path().join("lb1.redb").is_dir());
        let error = Store::open(Path::new("/dev/null/state"), "lb1").expect_err("no directory");
        assert!(error.to_string().contains("/dev/null/state"), "{error}");
    }

    #[test]
    fn what_is_too_old_says_nothing_about_now() {
        let fresh = known();
        let now = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(86_000);
        assert_eq!(fresh.clone().aged(now), fresh);
        let old = fresh.aged(now + std::time::Duration::from_secs(900));
        assert!(old.judges.is_empty() && old.history.changes().count() == 1);
    }
}
