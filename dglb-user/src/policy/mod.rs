//! The owner's policy: from what was measured of a service's sites to what is answered.
//!
//! Pure: it is told the time, and keeps what it must remember (the present choice, shares under way) in
//! a [`Memory`] that the caller holds. Filters and scorers are [`crate::config::Policy`].

mod standing;

pub use standing::{Override, OverrideKind, Standing, State};
