//! From probes to what is answered: which targets there are, when each is probed, how healthy it is, what
//! the policy makes of it.

pub mod figures;
pub mod history;
pub mod judge;
