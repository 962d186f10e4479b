//! DGLB in user space: configuration, tables, DNS by sockets, the map protocol, probes.

pub mod answer;
pub mod capacity;
pub mod check;
pub mod clock;
pub mod config;
pub mod control;
pub mod event;
pub mod interfaces;
pub mod kernel;
pub mod kernel_object;
pub mod label;
pub mod listen;
pub mod map_protocol;
pub mod measure;
pub mod name;
pub mod policy;
pub mod probe;
pub mod publish;
pub mod ready;
pub mod resolvers;
pub mod run;
pub mod stats;
pub mod status;
pub mod tables;
pub mod unload;
pub mod verify;
