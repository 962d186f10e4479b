//! The owner's policy: from what was measured of a service's sites to what is answered.
//!
//! Pure: it is told the time. A [`Chooser`] stands for one service in one address family and remembers what it
//! must (the present order, shares under way); what it is told comes from [`crate::measure`], what it
//! decides goes to the publisher. Filters and scorers are [`crate::config::Policy`]; docs/policy.md is the
//! owner's view.
//!
//! ```text
//! standings ─▶ pool (states, filters, tiers) ─▶ order (scores, margin) ─▶ keeps (ramp, overflow) ─▶ answer
//!                  └─ nobody is left ─▶ all_down
//! ```
//!
//! At constant standings a decision settles and then stays; a site that is down, drained or filtered out is in
//! none, but for what the owner chose for the case that nothing is left.

mod all_down;
mod answer;
mod chooser;
mod filters;
mod order;
mod overflow;
mod place;
mod pool;
mod score;
mod shares;
mod standing;
#[cfg(test)]
mod tests;
mod trace;

pub use self::{
    chooser::{Chooser, Decision},
    standing::{Override, OverrideKind, Standing, State},
    trace::{Candidate, Trace},
};
