//! `dglb unload`: takes the program from the interfaces and removes the node's pins.

use std::{io::Write, path::Path};

use crate::{
    config::Config,
    control::server,
    kernel::{attach, pins::Pins},
};

/// Detaches the node that `path` describes, whether its daemon runs or not.
///
/// # Errors
/// The file is wrong, or the pins can't be removed.
pub fn run(path: &Path, out: &mut dyn Write) -> anyhow::Result<()> {
    let config = Config::load(path)?;
    let pins = Pins::of(&config.node);
    let mut interfaces = attach::attached(&pins);
    for other in pins.other_layouts() {
        interfaces.extend(attach::attached(&other));
    }
    let removed = attach::detach_all(&pins)?;
    server::remove_left(&config.node);
    for interface in interfaces.keys() {
        writeln!(out, "{interface}: detached")?;
    }
    if removed {
        writeln!(out, "{}: pins removed", config.node.name)?;
    } else {
        writeln!(out, "{}: nothing was loaded", config.node.name)?;
    }
    Ok(())
}
