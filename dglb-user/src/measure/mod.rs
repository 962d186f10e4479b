//! From probes to what is answered: which targets there are, when each is probed, how healthy it is, what
//! the policy makes of it.
//!
//! [`engine::run`] is a task of `dglb run`. It orders probes of the process beside it
//! ([`crate::probe::handle`]), takes their results, and tells the publisher what is to be answered. It never
//! touches tables or DNS sockets, and all but the engine is pure or small.
//!
//! ```text
//! services ─▶ plan (equal probes are one target) ─▶ schedule ─▶ ToProber::Probe
//!    judges, figures, history ◀─ knowledge ◀───────────────────── FromProber::Done
//!            │                      └──▶ keeping ─▶ store
//!            └─▶ policy::Chooser ─▶ Event::Serve
//! ```
//!
//! A site that dies is in no answer after interval + timeout + (fall − 1) × (retry + timeout), as long as this
//! host can probe ([`crate::probe::failure::Failure::Local`]) and no probe waits for a free place (told as
//! lateness). *Interval* is the one that the site's budget allows.

mod clock;
pub mod engine;
pub mod figures;
pub mod history;
pub mod judge;
mod keeping;
mod knowledge;
mod overrides;
mod pace;
pub(crate) mod plan;
mod probing;
mod replies;
mod schedule;
mod services;
mod store;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod watching;

pub use self::{
    engine::{Command, Inputs, run},
    services::Carried,
    store::{Store, StoreError},
};
