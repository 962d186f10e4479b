//! DGLB in user space: configuration, tables, DNS by sockets, the map protocol, probes.

pub mod answer;
pub mod config;
pub mod control;
pub mod label;
pub mod name;
pub mod ready;
pub mod tables;
