//! Makes the maps, fills them, and has the program verified.

use aya::{
    EbpfLoader,
    maps::ProgramArray,
    programs::{ProgramError, Xdp},
};
use aya_log::EbpfLogger;
use dglb_common::{layout::CHUNKS, stage};

use super::{
    KEPT, Kernel, KernelError, PROGRAM,
    events::WatchedEvents,
    feature, fill,
    index::{self, ClientMaps},
    maps::{array, set, typed},
    name_index::NameIndex,
    pins::Pins,
};
use crate::{clock::monotonic_ns, kernel_object, tables::Tables};

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
        let mut kernel = Self::with_maps(object, tables, pins)?;
        kernel.load_programs()?;
        if log_level() > 0 {
            kernel.log = Some(EbpfLogger::init(&mut kernel.ebpf)?);
        }
        set(
            &mut array(&mut kernel.ebpf, "heartbeat")?,
            "heartbeat",
            0,
            &monotonic_ns(),
        )?;
        Ok(kernel)
    }

    /// Has each stage verified, and the later ones put where the earlier ones find them.
    fn load_programs(&mut self) -> Result<(), KernelError> {
        let accept = |program: &mut Xdp| {
            let accepted = program.load();
            accepted.map_err(|error| feature::explain(error.into()))
        };
        for (index, name) in (0_u32..).zip(stage::PROGRAMS) {
            let program = self.program_named(name)?;
            accept(program)?;
            let program = program.fd()?.try_clone().map_err(ProgramError::from)?;
            let mut stages: ProgramArray<_> = typed(&mut self.ebpf, "stages")?;
            let wrong = |source| KernelError::Table {
                table: "stages",
                source,
            };
            stages.set(index, &program, 0).map_err(wrong)?;
        }
        accept(self.program()?)
    }

    /// The maps, filled, with a program that is not yet the kernel's.
    pub(super) fn with_maps(
        object: &[u8],
        tables: &Tables,
        pins: Option<&Pins>,
    ) -> Result<Self, KernelError> {
        let names = NameIndex::build(&tables.names);
        let log_level = log_level();
        let mut loader = EbpfLoader::new();
        loader.override_global(aya_log::LEVEL, &log_level, true);
        for (table, size) in sizes(tables, &names) {
            loader.map_max_entries(table, size);
        }
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
        let clients = ClientMaps::fill(&mut ebpf, tables)?;
        let events = WatchedEvents::take(&mut ebpf)?;
        Ok(Self {
            events: Some(events),
            ebpf,
            pages,
            clients,
            log: None,
        })
    }

    /// The program that is attached: the first stage.
    ///
    /// # Errors
    /// [`KernelError::Missing`]: never with an object that was loaded.
    pub fn program(&mut self) -> Result<&mut Xdp, KernelError> {
        self.program_named(PROGRAM)
    }

    /// One of the programs: the attached one, or a stage behind it ([`stage::PROGRAMS`]).
    ///
    /// # Errors
    /// [`KernelError::Missing`]: there is none of this name.
    pub fn program_named(&mut self, name: &'static str) -> Result<&mut Xdp, KernelError> {
        let program = self
            .ebpf
            .program_mut(name)
            .ok_or(KernelError::Missing(name))?;
        Ok(program.try_into()?)
    }
}

/// How many elements the maps have whose sizes are the loader's to set.
fn sizes(tables: &Tables, names: &NameIndex) -> [(&'static str, u32); 14] {
    let room = tables.room;
    let at_least = |room: u32, len: usize| room.max(len.max(1) as u32);
    let fixed = |len| at_least(0, len);
    let resolvers = at_least(room.resolvers, tables.resolvers.len());
    let (prefixes_v4, prefixes_v6) = tables.prefixes.count();
    let chunks = match tables.settings.maps_v4 {
        0 => 1,
        _ => CHUNKS,
    };
    [
        ("names", fixed(names.slots.len())),
        ("displacements", fixed(names.displacements.len())),
        ("labels", fixed(tables.labels.len())),
        ("resolvers_v4", resolvers),
        ("resolvers_v6", resolvers),
        ("prefixes_v4", fixed(prefixes_v4)),
        ("prefixes_v6", fixed(prefixes_v6)),
        ("client_chunks", fixed(chunks)),
        ("client_runs", index::size_of_runs(tables)),
        ("vantages", fixed(tables.vantages.len())),
        ("dns_lbs", fixed(tables.dns_lbs.len())),
        ("rankings", fixed(tables.pages())),
        ("buckets", at_least(room.buckets, tables.buckets.len())),
        ("answers", at_least(room.answers, tables.answers.len())),
    ]
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
