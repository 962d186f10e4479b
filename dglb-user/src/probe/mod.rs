//! Probes: the process that does them, and the daemon's handle to it.
//!
//! `dglb run` starts `dglb probe` ([`process`], with [`rights`] and [`execute`] behind it) and speaks
//! [`message`] with it ([`handle`]). That process has no rights, touches neither tables nor DNS sockets, and
//! keeps no state: a fault in HTTP, TLS or a regular expression ends it, and another one is started. What
//! probes mean is [`crate::measure`]'s.

pub mod descriptors;
pub mod execute;
pub mod failure;
pub mod handle;
pub mod message;
pub mod process;
pub mod rights;
pub mod spec;
