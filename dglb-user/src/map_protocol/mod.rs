//! The map protocol: a DNS-LB tells each DNS-B which resolvers are its own.
//!
//! docs/map-protocol.md specifies it octet by octet. [`serve`] is the DNS-B's side, called once by the
//! node; [`run_client`] is the DNS-LB's side, one task for each DNS-B. [`wire`] and [`message`] turn
//! octets into checked types and back, without any I/O.
//!
//! Nothing here touches the tables: what a DNS-LB says becomes an [`Event`](crate::event::Event), and
//! only the publisher's answer becomes an acknowledgement. Nothing here authenticates or encrypts
//! either: until TLS stands behind [`Transport`], listen on loopback or private addresses only.

mod budget;
pub mod client;
mod code;
mod frames;
pub mod message;
mod node_name;
pub mod server;
mod transport;
pub mod wire;

#[cfg(test)]
mod testing;

pub use client::{Identity, Status, run_client};
pub use code::Code;
pub use node_name::NodeName;
pub use server::{Limits, serve};
pub use transport::Transport;

use std::time::Duration;

/// The first message of a connection, and its answer, must be there within this time.
pub const HELLO_TIMEOUT: Duration = Duration::from_secs(5);
/// From a message's first octet to its last.
pub const MESSAGE_TIMEOUT: Duration = Duration::from_secs(5);
/// For the peer to take one message.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
/// For the publisher to make an announcement effective.
pub const PUBLISH_TIMEOUT: Duration = Duration::from_secs(10);
/// For the peer to take the error message before a cut, and again to close its side.
pub const GOODBYE_TIMEOUT: Duration = Duration::from_secs(1);
/// A longer lease than this is taken as this where a deadline follows from it.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3600);
