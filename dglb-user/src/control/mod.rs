//! The control socket: the one way by which commands ask and tell a running daemon.
//!
//! One JSON object a line: a [`protocol::Request`] goes in, a [`protocol::Reply`] comes back, and the
//! connection ends. [`server`] is the daemon's end, [`client`] that of the commands. Neither knows what
//! an answer means; who answers is the handler that `dglb run` gives to the server.

pub mod client;
pub mod protocol;
pub mod server;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use crate::{config::Node, label::Label};

/// Octets that a request may have, its line's end among them.
const MAX_REQUEST: usize = 64 * 1024;

/// Octets that a command reads of a reply: ten thousand services with a dozen sites each have less.
const MAX_REPLY: u64 = 256 * 1024 * 1024;

/// The socket of a node: named by its label, since a node's name may be longer than a socket's path
/// (108 octets, unix(7)).
pub fn path(node: &Node) -> PathBuf {
    node.run_dir
        .join(format!("{}.sock", Label::of_node(&node.name)))
}
