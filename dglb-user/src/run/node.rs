//! Builds the tables of a node and puts them in service.

use std::collections::{BTreeMap, HashMap};

use anyhow::anyhow;
use aya_log::EbpfLogger;
use dglb_common::{counters::Counters, layout::Secret};

use super::watched::Watched;
use crate::{
    capacity,
    clock::monotonic_ns,
    config::{Config, Datapath},
    event::Serving,
    kernel::{
        Kernel, KernelError, WatchedEvents,
        attach::{self, Mode},
        pins::Pins,
        read::{self, Pinned},
    },
    publish::{
        DataPath, Held, InMemory,
        build::{self, Restored},
        first_servings,
    },
    tables::Tables,
};

/// A node whose tables are in service.
pub struct Served {
    /// The tables, as they were built.
    pub tables: Tables,
    /// What the publisher knows of them.
    pub held: Held,
    /// Where changes go.
    pub data_path: Box<dyn DataPath>,
    /// What earlier runs answered by their sockets.
    pub counted_before: Counters,
    /// What the kernel program tells of watched answers.
    pub kernel_events: Option<WatchedEvents>,
    /// The kernel program's own log, at level trace.
    pub kernel_log: Option<EbpfLogger<&'static dyn log::Log>>,
}

/// Builds the tables, with what an earlier run left, and puts them in service.
///
/// # Errors
/// What the kernel refused; what was in service before is in service still.
pub fn put_in_service(
    config: &Config,
    servings: &HashMap<usize, Serving>,
) -> anyhow::Result<Served> {
    match config.node.datapath {
        Datapath::Userspace => {
            // A program from before would go on answering from tables that nobody keeps.
            if attach::detach_all(&Pins::of(&config.node))? {
                tracing::info!("the kernel program of an earlier run is detached");
            }
            let restored = Restored {
                now_ns: monotonic_ns(),
                ..Restored::default()
            };
            let (tables, held) = tables(config, new_secret()?, &restored, servings)?;
            tracing::info!("datapath userspace: all is answered by sockets");
            Ok(Served {
                tables,
                held,
                data_path: Box::new(InMemory),
                counted_before: Counters::default(),
                kernel_events: None,
                kernel_log: None,
            })
        }
        Datapath::Xdp => in_kernel(config, servings),
    }
}

fn in_kernel(config: &Config, servings: &HashMap<usize, Serving>) -> anyhow::Result<Served> {
    let pins = Pins::of(&config.node);
    let is_first = !pins.directory().exists();
    for other in pins.other_layouts() {
        let path = other.directory().display();
        tracing::warn!(%path, "left by another version; `dglb unload` removes it");
    }
    let before = Pinned::read(&pins)?.unwrap_or_default();
    let secret = match read::secret(&pins)? {
        Some(secret) => secret,
        None => new_secret()?,
    };
    let (tables, held) = tables(config, secret, &before.restored(), servings)?;
    capacity::check(&tables)?;
    let (mut kernel, modes) = load_and_attach(config, &tables, &pins).inspect_err(|_| {
        if is_first {
            pins.discard();
        }
    })?;
    let kernel_log = kernel.take_log();
    let kernel_events = kernel.take_events();
    for (interface, mode) in &modes {
        tracing::info!(interface, mode = mode.name(), "XDP program in service");
    }
    Ok(Served {
        tables,
        held,
        data_path: Box::new(Watched::new(kernel, pins, &modes)),
        counted_before: before.user,
        kernel_events,
        kernel_log,
    })
}

fn load_and_attach(
    config: &Config,
    tables: &Tables,
    pins: &Pins,
) -> Result<(Kernel, BTreeMap<String, Mode>), KernelError> {
    pins.prepare()?;
    let mut kernel = Kernel::load(tables, Some(pins))?;
    let modes = attach::attach(&mut kernel, pins, &config.node.interfaces)?;
    Ok((kernel, modes))
}

fn tables(
    config: &Config,
    secret: Secret,
    restored: &Restored,
    servings: &HashMap<usize, Serving>,
) -> anyhow::Result<(Tables, Held)> {
    let mut built = build::build(config, secret, restored)?;
    first_servings(&mut built, servings)?;
    Ok(built.divide())
}

/// Keys of the name hash that nobody can know.
fn new_secret() -> anyhow::Result<Secret> {
    let mut octets = [[0; 8]; 4];
    getrandom::fill(octets.as_flattened_mut())
        .map_err(|error| anyhow!("the kernel gives no random numbers: {error}"))?;
    let [seed_a, seed_b, multiplier_a, multiplier_b] = octets.map(u64::from_ne_bytes);
    Ok(Secret {
        seed_a,
        seed_b,
        multiplier_a: multiplier_a | 1,
        multiplier_b: multiplier_b | 1,
    })
}
