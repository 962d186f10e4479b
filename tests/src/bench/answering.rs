//! The answering side: the reflector and the product's program, one of them in service at a time,
//! under one link.

use anyhow::{Context as _, Result, ensure};
use aya::{
    Ebpf,
    programs::{
        Xdp,
        xdp::{XdpLink, XdpMode},
    },
};
use dglb_common::counters::{Counter, Counters, Kind};
use dglb_user::{config::Rate, kernel::Kernel};

use super::{
    measure::{self, Measure, Server},
    traffic::program,
    wire::{ANSWERING, Wire},
};

/// All of the answering side.
#[derive(Debug)]
pub struct Answering {
    reflector: Ebpf,
    dns_b: Node,
    dns_lb: Node,
    /// `None` only while the program under it is replaced.
    link: Option<XdpLink>,
}

/// The product's program with one node's tables.
struct Node(Kernel);

impl std::fmt::Debug for Node {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Node")
    }
}

impl Answering {
    /// Loads all programs, with `rate` as limit of the asking prefix, and puts the reflector in
    /// service.
    ///
    /// # Errors
    /// The kernel refuses one.
    pub fn load(object: &[u8], wire: &Wire, rate: Rate) -> Result<Self> {
        let mut reflector = Ebpf::load(object).context("cannot load the reflector")?;
        let reflect = program(&mut reflector, "reflect")?;
        reflect.load()?;
        let id = wire.beside_the_answerer(|| {
            reflect
                .attach(ANSWERING, XdpMode::Driver)
                .with_context(|| format!("cannot attach the reflector to {ANSWERING}"))
        })?;
        let link = Some(reflect.take_link(id)?);
        Ok(Self {
            dns_b: Node::load(Server::DnsB, rate)?,
            dns_lb: Node::load(Server::DnsLb, rate)?,
            reflector,
            link,
        })
    }

    /// Puts the program that answers `server`'s queries in service.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn switch_to(&mut self, server: Server) -> Result<()> {
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
        match server {
            Server::Reflector => Ok(Counters::default()),
            Server::DnsB => Ok(self.dns_b.0.counters()?),
            Server::DnsLb => Ok(self.dns_lb.0.counters()?),
        }
    }

    fn program(&mut self, server: Server) -> Result<&mut Xdp> {
        match server {
            Server::Reflector => program(&mut self.reflector, "reflect"),
            Server::DnsB => Ok(self.dns_b.0.program()?),
            Server::DnsLb => Ok(self.dns_lb.0.program()?),
        }
    }
}

impl Node {
    fn load(server: Server, rate: Rate) -> Result<Self> {
        let model = measure::model(server, rate).context("the reflector has no tables")?;
        Ok(Self(Kernel::load(&model.tables(), None)?))
    }
}

/// Whether, between two readings of the counters, each query was answered in the measure's row, and
/// none was passed, limited, or counted elsewhere.
///
/// # Errors
/// Names the counters that say otherwise.
pub fn all_in_row(
    measure: &Measure,
    frames: u32,
    before: &Counters,
    after: &Counters,
) -> Result<()> {
    let Some(row) = measure.row else {
        return Ok(());
    };
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
        counted(&row) == u64::from(frames),
        "{frames} queries were sent, {} answers counted in the row {}",
        counted(&row),
        row.name()
    );
    Ok(())
}
