//! The kernel's side: the XDP program, its maps, their pins and links.
//!
//! [`Kernel::load`] makes fresh maps, fills them from [`Tables`](crate::tables::Tables) and loads the program; nothing is
//! in service until [`attach`] puts the program under the interfaces' links. So a start is the same
//! whether the node served before or not: the old program with its old maps answers until the new
//! one takes its place in one step, and a failure before that changes nothing. What
//! has to outlive a start (secret, heartbeat, counters, limits) is kept in pinned maps that the new
//! program takes over.

pub mod attach;
mod batch;
mod change;
mod events;
mod feature;
mod fill;
mod index;
mod links;
pub mod live;
mod load;
mod maps;
mod name_index;
mod obstacle;
pub mod pins;
mod places;
pub mod read;
mod read_clients;

use std::{io, path::Path};

use aya::{
    Ebpf, TestRun as _, TestRunOptions,
    maps::{Array, ArrayOfMaps, MapData, MapError},
    programs::{ProgramError, Xdp},
};
use aya_log::EbpfLogger;
use dglb_common::counters::Counters;

pub use self::events::WatchedEvents;
use self::{index::ClientMaps, maps::typed};
use crate::kernel_object;

/// Name of the program in the object.
pub const PROGRAM: &str = "dglb";

/// Maps that a new program takes over from the one before.
const KEPT: [&str; 5] = ["secret", "heartbeat", "counters", "limits", "user_counters"];

/// Maps that are made anew at each start and pinned for people and for the next start.
const FRESH: [&str; 16] = [
    "stages",
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
    /// A table could not be filled.
    #[error("table \"{table}\": {source}")]
    Batch {
        /// The table.
        table: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// A table has no room left.
    #[error(
        "table \"{table}\" is full: all {size} elements are in use; its size follows from tables.resolvers, \
         raise that"
    )]
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
    events: Option<WatchedEvents>,
}

impl Kernel {
    /// What the program tells of watched answers; once.
    pub fn take_events(&mut self) -> Option<WatchedEvents> {
        self.events.take()
    }

    /// One of the maps, for who writes to it in a way that no [`Change`](crate::tables::Change) has.
    ///
    /// # Errors
    /// [`KernelError::Missing`]: there is none of this name.
    pub fn map_mut(&mut self, name: &'static str) -> Result<&mut aya::maps::Map, KernelError> {
        self.ebpf.map_mut(name).ok_or(KernelError::Missing(name))
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

/// The text of a path for an error.
fn shown(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests;
