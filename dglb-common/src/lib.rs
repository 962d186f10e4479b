//! What the kernel program and user space of DGLB share.
//!
//! [`layout`] has the tables' keys and values, [`name`] the keyed hash of owner names, [`checksum`]
//! the Internet checksum's arithmetic, [`query`] which questions the kernel may answer, [`counters`]
//! the rows and reasons that are counted, [`mod@bench`] the benchmark's own tables. All of it is pure logic and plain data: `no_std`, no
//! allocation, so that host tests and property tests reach what runs in the kernel.
#![cfg_attr(not(test), no_std)]
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch))]

pub mod bench;
pub mod checksum;
pub mod client;
pub mod counters;
pub mod layout;
pub mod name;
pub mod name_index;
pub mod packet;
pub mod query;
pub mod stage;
