//! The answering side: the reflector and the product's program, one of them in service at a time,
//! under one link.

use std::collections::{HashMap, HashSet};

use anyhow::{Context as _, Result, ensure};
use aya::{
    Ebpf,
    programs::{
        Xdp,
        xdp::{XdpLink, XdpMode},
    },
};
use dglb_common::counters::{Counter, Counters, Kind};
use dglb_user::{clock::monotonic_ns, kernel::Kernel, publish::DataPath as _};

use super::{
    servers::{Server, Servers},
    traffic::program,
    wire::{ANSWERING, Wire},
};

/// All of the answering side.
pub struct Answering {
    reflector: Ebpf,
    nodes: HashMap<Server, Kernel>,
    /// `None` only while the program under it is replaced.
    link: Option<XdpLink>,
}

impl std::fmt::Debug for Answering {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Answering")
    }
}

impl Answering {
    /// Loads the programs of `used`, fills their tables, and puts the reflector in service.
    ///
    /// # Errors
    /// The kernel refuses one.
    pub fn load(
        object: &[u8],
        wire: &Wire,
        servers: &Servers,
        used: &HashSet<Server>,
    ) -> Result<Self> {
        let mut reflector = Ebpf::load(object).context("cannot load the reflector")?;
        let reflect = program(&mut reflector, "reflect")?;
        reflect.load()?;
        let id = wire.beside_the_answerer(|| {
            reflect
                .attach(ANSWERING, XdpMode::Driver)
                .with_context(|| format!("cannot attach the reflector to {ANSWERING}"))
        })?;
        let link = Some(reflect.take_link(id)?);
        let nodes = used.iter().map(|server| {
            let node = servers.node(*server)?;
            let kernel = Kernel::load(&node.model.tables(), None);
            Ok((*server, kernel.with_context(|| format!("{server:?}"))?))
        });
        Ok(Self {
            nodes: nodes.collect::<Result<_>>()?,
            reflector,
            link,
        })
    }

    /// Puts the program that answers `server`'s queries in service, with a fresh heartbeat, which is the
    /// limit's time.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn switch_to(&mut self, server: Server) -> Result<()> {
        if let Some(kernel) = self.nodes.get_mut(&server) {
            kernel.beat(monotonic_ns())?;
        }
        let link = self.link.take().context("no program is in service")?;
        let program = self.program(server)?;
        let id = program.attach_to_link(link)?;
        self.link = Some(program.take_link(id)?);
        Ok(())
    }

    /// What a program has counted; the reflector counts nothing.
    ///
    /// # Errors
    /// The map can't be read.
    pub fn counters(&self, server: Server) -> Result<Counters> {
        match self.nodes.get(&server) {
            Some(kernel) => Ok(kernel.counters()?),
            None => Ok(Counters::default()),
        }
    }

    /// A program.
    ///
    /// # Errors
    /// It was not loaded.
    pub fn program(&mut self, server: Server) -> Result<&mut Xdp> {
        if server == Server::Reflector {
            return program(&mut self.reflector, "reflect");
        }
        let kernel = self.nodes.get_mut(&server);
        let kernel = kernel.with_context(|| format!("{server:?} was not loaded"))?;
        Ok(kernel.program()?)
    }
}

/// Whether, between two readings of the counters, each frame was counted as `row`, and none elsewhere.
///
/// # Errors
/// Names the counters that say otherwise.
pub fn all_counted_as(
    row: Counter,
    frames: u64,
    before: &Counters,
    after: &Counters,
) -> Result<()> {
    let counted = |counter: &Counter| counter.of(after) - counter.of(before);
    let elsewhere: Vec<String> = Counter::ALL
        .iter()
        .filter(|counter| **counter != row && counted(counter) != 0)
        .map(|counter| {
            let what = match counter.kind() {
                Kind::Answered => "were answered as",
                Kind::Passed => "were passed up for",
                Kind::Dropped => "were dropped for",
                Kind::Noted => "were noted as",
            };
            format!("{} {what} {}", counted(counter), counter.name())
        })
        .collect();
    ensure!(
        elsewhere.is_empty(),
        "of {frames} queries {}",
        elsewhere.join(", ")
    );
    ensure!(
        counted(&row) == frames,
        "{frames} queries were sent, {} are counted as {}",
        counted(&row),
        row.name()
    );
    Ok(())
}
