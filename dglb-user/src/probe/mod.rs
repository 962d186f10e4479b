//! Measuring the sites from where this node stands, and ranking them.
//!
//! A DNS-LB probes every site of every service by HTTP GET, keeps a smoothed time for each, and tells
//! the publisher a service's ranking when it changes. [`run`] is a task of `dglb run` today; it is
//! written to become a process of its own without rights: plain data goes in, messages come out. So
//! nothing here may touch the tables, DNS sockets, or state that others own.
//!
//! ```text
//! services ─▶ target (equal probes are one) ─▶ schedule ─▶ http ─▶ outcome
//!                                                 ▲                   │
//!                                                 └──── health ◀──────┘──▶ ranking ─▶ Event::Ranking
//! ```
//!
//! Only [`http`] does input and output and only [`prober`] knows the time; the rest is pure.
//!
//! A site that dies is out of its rankings after at most
//! interval + timeout + (fall − 1) × (retry + timeout), as long as this host can probe
//! ([`Failure::Local`]) and no probe waits for a free place ([`schedule`] says when that can be,
//! [`Report::longest_wait_ms`] whether it was).

pub mod board;
pub mod descriptors;
pub mod execute;
pub mod failure;
pub mod handle;
pub mod health;
pub mod http;
pub mod message;
pub mod outcome;
pub mod prober;
pub mod process;
pub mod ranking;
pub mod report;
pub mod rights;
pub mod schedule;
pub mod spec;
pub mod target;

pub use self::{
    health::State,
    outcome::{Failure, FailureCounts, Outcome},
    prober::run,
    report::{Report, ServiceReport, SiteReport},
};
