//! The control socket: the one way by which commands ask and tell a running daemon.

pub mod protocol;
