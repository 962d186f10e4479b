//! Tests of the whole: models, frames, and the oracle that judges answers.

pub mod frames;
pub mod model;
pub mod oracle;
pub mod world;
