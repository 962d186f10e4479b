//! `dglb reload`: the running daemon reads its configuration file anew, as with SIGHUP.
//!
//! What is wrong with the file comes back in the words of `dglb check`; the daemon then keeps what it has.

use std::{io::Write, path::Path};

use crate::{
    config::Config,
    control::{
        client::{self, AskError},
        protocol::{Reply, Request},
    },
};

/// Asks the daemon of the node that `path` describes to read its file, and prints what it says. Returns
/// whether it has the new configuration.
///
/// # Errors
/// No daemon runs, or it can't be asked.
pub fn run(path: &Path, out: &mut dyn Write) -> anyhow::Result<bool> {
    let config = match Config::load(path) {
        Ok(config) => config,
        Err(errors) => {
            writeln!(
                out,
                "{errors}\nnothing was reloaded: the daemon keeps what it has"
            )?;
            return Ok(false);
        }
    };
    match client::ask(&config.node, &Request::Reload) {
        Ok(Reply::Done(words)) => {
            writeln!(out, "{words}")?;
            Ok(true)
        }
        Ok(other) => Err(client::unexpected(&config.node, &other).into()),
        Err(AskError::Refused(words)) => {
            writeln!(out, "{words}")?;
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}
