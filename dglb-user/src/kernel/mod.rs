//! The kernel's side: the XDP program, its maps, their pins and links.
//!
//! [`Kernel::load`] makes fresh maps, fills them from [`Tables`] and loads the program; nothing is
//! in service until [`attach`] puts the program under the interfaces' links. So a start is the same
//! whether the node served before or not: the old program with its old maps answers until the new
//! one takes its place in one step, and a failure before that changes nothing (DESIGN §10). What
//! has to outlive a start (secret, heartbeat, counters, limits) is kept in pinned maps that the new
//! program takes over.

pub mod attach;
mod batch;
mod change;
mod fill;
mod index;
mod maps;
mod name_index;
pub mod pins;
mod places;
pub mod read;

use std::{io, path::Path};

use aya::{
    Ebpf, EbpfLoader, TestRun as _, TestRunOptions,
    maps::{Array, ArrayOfMaps, MapData, MapError},
    programs::{ProgramError, Xdp},
};
use aya_log::EbpfLogger;
use dglb_common::{counters::Counters, layout::CHUNKS};

use self::{
    index::ClientMaps,
    maps::{array, set, typed},
    name_index::NameIndex,
    pins::Pins,
};
use crate::{kernel_object, publish::monotonic_ns, tables::Tables};

/// Name of the program in the object.
pub const PROGRAM: &str = "dglb";

/// Maps that a new program takes over from the one before.
const KEPT: [&str; 5] = ["secret", "heartbeat", "counters", "limits", "user_counters"];

/// Maps that are made anew at each start and pinned for people and for the next start.
const FRESH: [&str; 15] = [
    "settings",
    "names",
    "displacements",
    "labels",
    "resolvers_v4",
    "resolvers_v6",
    "prefixes_v4",
    "prefixes_v6",
    "client_chunks",
    "client_runs",
    "vantages",
    "dns_lbs",
    "rankings",
    "buckets",
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
    /// A table could not be filled.
    #[error("table \"{table}\": {source}")]
    Table {
        /// The table.
        table: &'static str,
        /// What aya said.
        source: MapError,
    },
    /// A table could not be filled.
    #[error("table \"{table}\": {source}")]
    Batch {
        /// The table.
        table: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// A table has no room left.
    #[error("table \"{table}\" is full: all {size} elements are in use")]
    Full {
        /// The table.
        table: &'static str,
        /// Its elements.
        size: u32,
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
    /// `None`: the node looks no IPv4 source up.
    clients: Option<ClientMaps>,
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
    pub fn load(tables: &Tables, pins: Option<&Pins>) -> Result<Self, KernelError> {
        Self::load_object(kernel_object::object()?, tables, pins)
    }

    /// As [`Kernel::load`], another build of the program: an ELF object.
    ///
    /// # Errors
    /// As [`Kernel::load`].
    pub fn load_object(
        object: &[u8],
        tables: &Tables,
        pins: Option<&Pins>,
    ) -> Result<Self, KernelError> {
        let room = tables.room;
        let resolvers = room.resolvers.max(1);
        let chunks = if tables.settings.maps_v4 != 0 {
            CHUNKS
        } else {
            1
        };
        let (prefixes_v4, prefixes_v6) = tables.prefixes.count();
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
            .map_max_entries("resolvers_v6", resolvers)
            .map_max_entries("prefixes_v4", at_least_one(prefixes_v4))
            .map_max_entries("prefixes_v6", at_least_one(prefixes_v6))
            .map_max_entries("client_chunks", chunks as u32)
            .map_max_entries("client_runs", index::size_of_runs(tables))
            .map_max_entries("vantages", at_least_one(tables.vantages.len()))
            .map_max_entries("dns_lbs", at_least_one(tables.dns_lbs.len()))
            .map_max_entries("rankings", at_least_one(tables.pages()))
            .map_max_entries(
                "buckets",
                room.buckets.max(at_least_one(tables.buckets.len())),
            )
            .map_max_entries(
                "answers",
                room.answers.max(at_least_one(tables.answers.len())),
            );
        let kept: Vec<_> = KEPT
            .iter()
            .filter_map(|name| pins.map(|pins| (*name, pins.map(name))))
            .collect();
        for (name, path) in &kept {
            loader.map_pin_path(name, path.as_path());
        }
        let mut ebpf = loader.load(object)?;
        let pages = fill::fill(&mut ebpf, tables, &names)?;
        let clients = ClientMaps::fill(&mut ebpf, tables)?;
        let program: &mut Xdp = ebpf
            .program_mut(PROGRAM)
            .ok_or(KernelError::Missing(PROGRAM))?
            .try_into()?;
        program.load()?;
        let log = match log_level {
            0 => None,
            _ => Some(EbpfLogger::init(&mut ebpf)?),
        };
        let mut kernel = Self {
            ebpf,
            pages,
            clients,
            log,
        };
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

    /// Waits until no run of the program is under way that began before: replacing an element of an array
    /// of maps does so (`maybe_wait_bpf_programs` in kernel/bpf/syscall.c), and aya has no other way. It
    /// takes some milliseconds.
    fn wait_for_readers(&mut self) -> Result<(), KernelError> {
        let page = self.pages.first().ok_or(KernelError::Missing("rankings"))?;
        let mut rankings: ArrayOfMaps<_, Array<MapData, u64>> = typed(&mut self.ebpf, "rankings")?;
        let wrong = |source| KernelError::Table {
            table: "rankings",
            source,
        };
        // The first page stays where it is.
        rankings.set(0, page, 0).map_err(wrong)?;
        self.free_places();
        Ok(())
    }

    /// Pins one of the maps.
    fn pin_map(&self, name: &'static str, path: &Path) -> Result<(), KernelError> {
        let map = self.ebpf.map(name).ok_or(KernelError::Missing(name))?;
        map.pin(path).map_err(|error| KernelError::Pin {
            path: shown(path),
            reason: error.to_string(),
        })
    }
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

/// The text of a path for an error.
fn shown(path: &Path) -> String {
    path.display().to_string()
}
