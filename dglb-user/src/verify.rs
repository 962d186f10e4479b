//! `dglb verify`: holds what the kernel program looks up against the tables that people read.
//!
//! The client index follows from `resolvers_v4` and `prefixes_v4`; a fault in it would lead clients to
//! another vantage than the tables say. Compared are the pinned maps alone, whether the daemon runs or
//! not: it may change them meanwhile, so what differs is read again before it is said.

use std::{io::Write, path::Path, thread, time::Duration};

use anyhow::bail;
use serde::Serialize;

use crate::{
    config::{Config, Datapath},
    kernel::{
        pins::Pins,
        read::{ClientTables, client_tables},
    },
    tables::index::Difference,
};

/// Differences that are printed; there may be a million.
const MOST: usize = 10;
/// How often what differs is read again, and after what pause.
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(200);

/// What was compared; the keys of `--json`.
#[derive(Clone, Debug, Serialize)]
pub struct Verified {
    /// Whether the node looks IPv4 sources up at all.
    pub maps_ipv4: bool,
    /// Entries of the two tables of resolvers.
    pub resolvers: usize,
    /// Entries of the two tables of prefixes.
    pub prefixes: usize,
    /// Chunks of the client index.
    pub chunks: usize,
    /// Those with a run of entries.
    pub runs: usize,
    /// Addresses at which index and tables were compared.
    pub compared: usize,
    /// Where the index says something else than the tables: the first ones.
    pub differences: Vec<Difference>,
    /// Entries of the tables that are wrong in themselves: the first ones.
    pub wrong_entries: Vec<String>,
}

impl Verified {
    /// Compares tables that were read.
    pub fn of(read: &ClientTables) -> Self {
        let ClientTables { tables, words, .. } = read;
        let maps_ipv4 = tables.settings.maps_v4 != 0;
        let (differences, compared) = if maps_ipv4 {
            words.compare(tables, MOST)
        } else {
            (Vec::new(), 0)
        };
        let (prefixes_v4, prefixes_v6) = tables.prefixes.count();
        Self {
            maps_ipv4,
            resolvers: tables.resolvers.len(),
            prefixes: prefixes_v4 + prefixes_v6,
            chunks: words.chunks.len(),
            runs: words.chunks.iter().filter(|word| word.count() > 0).count(),
            compared,
            differences,
            wrong_entries: read.wrong_entries(MOST),
        }
    }

    /// Whether all is well.
    pub fn is_right(&self) -> bool {
        self.differences.is_empty() && self.wrong_entries.is_empty()
    }
}

/// Verifies the tables of the node that `path` describes, and prints what was found. Returns whether all
/// is well.
///
/// # Errors
/// The file is wrong, the tables can't be read, or the node has none.
pub fn run(path: &Path, json: bool, out: &mut dyn Write) -> anyhow::Result<bool> {
    let config = Config::load(path)?;
    if config.node.datapath == Datapath::Userspace {
        bail!(
            "{}: datapath \"userspace\" has no tables in the kernel: nothing is to be verified",
            config.node.name
        );
    }
    let verified = verify(&Pins::of(&config.node))?;
    if json {
        serde_json::to_writer_pretty(&mut *out, &verified)?;
        writeln!(out)?;
    } else {
        print(&verified, out)?;
    }
    Ok(verified.is_right())
}

/// Verifies the pinned tables of a node.
///
/// # Errors
/// There are none, or they can't be read.
pub fn verify(pins: &Pins) -> anyhow::Result<Verified> {
    let mut attempt = 1;
    loop {
        let Some(read) = client_tables(pins)? else {
            bail!(
                "no tables at {}: the node is not in service (`dglb run` starts it)",
                pins.directory().display()
            );
        };
        let verified = Verified::of(&read);
        if verified.is_right() || attempt == ATTEMPTS {
            return Ok(verified);
        }
        attempt += 1;
        thread::sleep(PAUSE);
    }
}

fn print(verified: &Verified, out: &mut dyn Write) -> anyhow::Result<()> {
    writeln!(
        out,
        "{} resolvers, {} prefixes",
        verified.resolvers, verified.prefixes
    )?;
    if verified.maps_ipv4 {
        writeln!(
            out,
            "client index: {} chunks, {} of them with a run of entries; compared at {} addresses",
            verified.chunks, verified.runs, verified.compared
        )?;
    } else {
        writeln!(out, "no client index: this node looks no IPv4 source up")?;
    }
    for difference in &verified.differences {
        writeln!(out, "  {difference}")?;
    }
    for wrong in &verified.wrong_entries {
        writeln!(out, "  {wrong}")?;
    }
    if verified.is_right() {
        writeln!(out, "all is as the tables say")?;
    } else {
        writeln!(
            out,
            "the tables in the kernel are wrong: `dglb run`, started again, makes all of them anew; \
             please report this, it is a fault in dglb"
        )?;
    }
    Ok(())
}
