//! The kernel's side: the XDP program, its maps, their pins and links.
//!
//! [`Kernel::load`] makes fresh maps, fills them from [`Tables`] and loads the program; nothing is
//! in service until [`attach`] puts the program under the interfaces' links. So a start is the same
//! whether the node served before or not: the old program with its old maps answers until the new
//! one takes its place in one step, and a failure before that changes nothing (DESIGN §10). What
//! has to outlive a start (secret, heartbeat, counters, limits) is kept in pinned maps that the new
//! program takes over.

pub mod attach;
mod feature;
mod fill;
mod name_index;
pub mod pins;
pub mod read;

use std::{borrow::BorrowMut, io, path::Path};

use aya::{
    Ebpf, EbpfLoader, Pod, TestRun as _, TestRunOptions,
    maps::{Array, HashMap, Map, MapData, MapError},
    programs::{ProgramError, Xdp},
};
use aya_log::EbpfLogger;
use dglb_common::{
    counters::Counters,
    layout::{MAX_RESOLVERS, ResolverKey, ResolverValue, VantageValue},
};
use rustix::time::{ClockId, clock_gettime};

use self::{name_index::NameIndex, pins::Pins};
use crate::{
    config::Role,
    kernel_object,
    publish::{DataPath, DataPathError},
    tables::{Change, Tables},
};

/// Name of the program in the object.
pub const PROGRAM: &str = "dglb";

/// Maps that a new program takes over from the one before.
const KEPT: [&str; 5] = ["secret", "heartbeat", "counters", "limits", "user_counters"];

/// Maps that are made anew at each start and pinned for people and for the next start.
const FRESH: [&str; 9] = [
    "settings",
    "names",
    "displacements",
    "labels",
    "resolvers_v4",
    "vantages",
    "dns_lbs",
    "rankings",
    "answers",
];

/// Why the kernel's side could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// The binary carries no program.
    #[error(transparent)]
    NotBuilt(#[from] kernel_object::NotBuilt),
    /// The object could not be loaded.
    #[error("the maps could not be made: {0}")]
    Load(#[from] aya::EbpfError),
    /// The program's log can't be read.
    #[error("the program's log: {0}")]
    Log(#[from] aya_log::Error),
    /// The program was not accepted.
    #[error("the program was not accepted: {0}")]
    Program(#[from] ProgramError),
    /// The kernel lacks something that the program needs.
    #[error(
        "the kernel (Linux {release}) lacks what the XDP program needs: {missing}; boot a kernel that \
         has it, or write datapath = \"userspace\" ({source})"
    )]
    Lacking {
        /// What `uname -r` prints.
        release: String,
        /// What, and the versions that have it.
        missing: String,
        /// What the kernel said.
        source: Box<KernelError>,
    },
    /// A table could not be filled.
    #[error("table \"{table}\": {source}")]
    Table {
        /// The table.
        table: &'static str,
        /// What aya said.
        source: MapError,
    },
    /// The object lacks something: it is of another version than this binary.
    #[error(
        "the kernel program has no \"{0}\": it was built from another version of the source; run `cargo xtask build`"
    )]
    Missing(&'static str),
    /// The BPF file system refused something.
    #[error(
        "{path}: {source}; is a BPF file system mounted there and writable? (`mount -t bpf bpf /sys/fs/bpf`)"
    )]
    Pins {
        /// Where.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// A pinned object could not be opened or pinned.
    #[error("{path}: {reason}")]
    Pin {
        /// Where.
        path: String,
        /// Why.
        reason: String,
    },
    /// The program could not be attached.
    #[error("interface \"{interface}\": {reason}")]
    Attach {
        /// The interface.
        interface: String,
        /// Why, and what to do.
        reason: String,
    },
}

/// A loaded program with its maps, filled.
pub struct Kernel {
    ebpf: Ebpf,
    /// The inner maps of `rankings`, page by page.
    pages: Vec<Array<MapData, u64>>,
    log: Option<EbpfLogger<&'static dyn log::Log>>,
}

impl Kernel {
    /// Makes the maps, fills them from `tables` and has the program verified.
    ///
    /// The kept maps are taken from `pins`, or made and pinned there; without pins (tests, the
    /// benchmark) all are the program's own.
    ///
    /// # Errors
    /// [`KernelError`]; nothing is in service then, and nothing that served before is changed.
    pub fn load(tables: &Tables, role: &Role, pins: Option<&Pins>) -> Result<Self, KernelError> {
        let object = kernel_object::object()?;
        let resolvers = match role {
            Role::DnsB(_) => MAX_RESOLVERS as u32,
            Role::DnsLb(_) => 1,
        };
        let at_least_one = |len: usize| len.max(1) as u32;
        let log_level = log_level();
        let names = NameIndex::build(&tables.names);
        let mut loader = EbpfLoader::new();
        loader
            .override_global(aya_log::LEVEL, &log_level, true)
            .map_max_entries("names", at_least_one(names.slots.len()))
            .map_max_entries("displacements", at_least_one(names.displacements.len()))
            .map_max_entries("labels", at_least_one(tables.labels.len()))
            .map_max_entries("resolvers_v4", resolvers)
            .map_max_entries("vantages", at_least_one(tables.vantages.len()))
            .map_max_entries("dns_lbs", at_least_one(tables.dns_lbs.len()))
            .map_max_entries("rankings", at_least_one(tables.pages()))
            .map_max_entries("answers", at_least_one(tables.answers.len()));
        let kept: Vec<_> = KEPT
            .iter()
            .filter_map(|name| pins.map(|pins| (*name, pins.map(name))))
            .collect();
        for (name, path) in &kept {
            loader.map_pin_path(name, path.as_path());
        }
        let mut ebpf = loader
            .load(object)
            .map_err(|error| feature::explain(error.into()))?;
        let pages = fill::fill(&mut ebpf, tables, &names)?;
        let program: &mut Xdp = ebpf
            .program_mut(PROGRAM)
            .ok_or(KernelError::Missing(PROGRAM))?
            .try_into()?;
        program
            .load()
            .map_err(|error| feature::explain(error.into()))?;
        let log = match log_level {
            0 => None,
            _ => Some(EbpfLogger::init(&mut ebpf)?),
        };
        let mut kernel = Self { ebpf, pages, log };
        set(
            &mut array(&mut kernel.ebpf, "heartbeat")?,
            "heartbeat",
            0,
            &monotonic_ns(),
        )?;
        Ok(kernel)
    }

    /// The program.
    ///
    /// # Errors
    /// [`KernelError::Missing`]: never with an object that was loaded.
    pub fn program(&mut self) -> Result<&mut Xdp, KernelError> {
        let program = self
            .ebpf
            .program_mut(PROGRAM)
            .ok_or(KernelError::Missing(PROGRAM))?;
        Ok(program.try_into()?)
    }

    /// Runs the program once over `frame` (`BPF_PROG_TEST_RUN`); gives its verdict and the frame
    /// after it.
    ///
    /// # Errors
    /// What the kernel said; a frame shorter than an Ethernet header is refused (kernel 6.18).
    pub fn test_run(&mut self, frame: &[u8]) -> Result<(u32, Vec<u8>), ProgramError> {
        let mut out = vec![0; 4096];
        let program: &mut Xdp = self
            .ebpf
            .program_mut(PROGRAM)
            .ok_or(ProgramError::NotLoaded)?
            .try_into()?;
        let result = program.test_run(TestRunOptions {
            data_in: Some(frame),
            data_out: Some(&mut out),
            ..TestRunOptions::new()
        })?;
        out.truncate(result.data_size_out as usize);
        Ok((result.return_value, out))
    }

    /// What this program has counted, over all CPUs.
    ///
    /// # Errors
    /// What aya said.
    pub fn counters(&self) -> Result<Counters, KernelError> {
        let map = self
            .ebpf
            .map("counters")
            .ok_or(KernelError::Missing("counters"))?;
        read::sum_of_counters(map)
    }

    /// The program's own log, once, if it has one: at level trace, of every frame that is not
    /// answered.
    pub fn take_log(&mut self) -> Option<EbpfLogger<&'static dyn log::Log>> {
        self.log.take()
    }

    /// Pins one of the maps.
    fn pin_map(&self, name: &'static str, path: &Path) -> Result<(), KernelError> {
        let map = self.ebpf.map(name).ok_or(KernelError::Missing(name))?;
        map.pin(path).map_err(|error| KernelError::Pin {
            path: shown(path),
            reason: error.to_string(),
        })
    }

    fn change(&mut self, change: &Change) -> Result<(), KernelError> {
        match change {
            Change::SetResolver(resolver, value) => {
                let key = ResolverKey {
                    addr: resolver.octets(),
                };
                let mut map = hash::<ResolverKey, ResolverValue>(&mut self.ebpf, "resolvers_v4")?;
                insert(&mut map, "resolvers_v4", &key, value)
            }
            Change::RemoveResolver(resolver) => {
                let key = ResolverKey {
                    addr: resolver.octets(),
                };
                let mut map = hash::<ResolverKey, ResolverValue>(&mut self.ebpf, "resolvers_v4")?;
                map.remove(&key).map_err(|source| KernelError::Table {
                    table: "resolvers_v4",
                    source,
                })
            }
            Change::SetVantage(vantage, value) => {
                let mut map = array::<VantageValue>(&mut self.ebpf, "vantages")?;
                set(&mut map, "vantages", *vantage as usize, value)
            }
            Change::SetRanking { page, index, word } => {
                let page = self
                    .pages
                    .get_mut(*page as usize)
                    .ok_or(KernelError::Missing("rankings"))?;
                set(page, "rankings", *index as usize, &word.0)
            }
        }
    }
}

impl DataPath for Kernel {
    fn apply(&mut self, change: &Change) -> Result<(), DataPathError> {
        self.change(change).map_err(data_path_error)
    }

    fn beat(&mut self) -> Result<(), DataPathError> {
        array(&mut self.ebpf, "heartbeat")
            .and_then(|mut map| set(&mut map, "heartbeat", 0, &monotonic_ns()))
            .map_err(data_path_error)
    }

    fn count(&mut self, counters: &Counters) -> Result<(), DataPathError> {
        array(&mut self.ebpf, "user_counters")
            .and_then(|mut map| set(&mut map, "user_counters", 0, counters))
            .map_err(data_path_error)
    }
}

fn data_path_error(error: KernelError) -> DataPathError {
    DataPathError(error.to_string())
}

fn array<'a, V: Pod>(
    ebpf: &'a mut Ebpf,
    table: &'static str,
) -> Result<Array<&'a mut MapData, V>, KernelError> {
    typed(ebpf, table)
}

fn hash<'a, K: Pod, V: Pod>(
    ebpf: &'a mut Ebpf,
    table: &'static str,
) -> Result<HashMap<&'a mut MapData, K, V>, KernelError> {
    typed(ebpf, table)
}

/// A map of the object, as the type that its elements have.
fn typed<'a, M>(ebpf: &'a mut Ebpf, table: &'static str) -> Result<M, KernelError>
where
    M: TryFrom<&'a mut Map, Error = MapError>,
{
    let map = ebpf.map_mut(table).ok_or(KernelError::Missing(table))?;
    M::try_from(map).map_err(|source| KernelError::Table { table, source })
}

fn insert<K: Pod, V: Pod>(
    map: &mut HashMap<&mut MapData, K, V>,
    table: &'static str,
    key: &K,
    value: &V,
) -> Result<(), KernelError> {
    map.insert(key, value, 0)
        .map_err(|source| KernelError::Table { table, source })
}

/// Sets one element of an array.
fn set<V: Pod>(
    array: &mut Array<impl BorrowMut<MapData>, V>,
    table: &'static str,
    index: usize,
    value: &V,
) -> Result<(), KernelError> {
    array
        .set(index as u32, value, 0)
        .map_err(|source| KernelError::Table { table, source })
}

/// The level of the program's own log: none, or trace where the daemon's is so. The verifier removes
/// what is below it, so that no log costs nothing.
fn log_level() -> u8 {
    if tracing::enabled!(tracing::Level::TRACE) {
        aya_log::Level::Trace as u8
    } else {
        0
    }
}

/// The clock that the program reads: `bpf_ktime_get_coarse_ns` is CLOCK_MONOTONIC_COARSE.
fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// The text of a path for an error.
fn shown(path: &Path) -> String {
    path.display().to_string()
}
