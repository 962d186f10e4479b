//! Probes of each kind, against servers on loopback.

mod http;
mod others;
mod tls;

use super::{Executor, Preparer, icmp::Pinger};
use crate::probe::{failure::Failure, message::Success, spec::Spec};

type Outcome = Result<Success, Failure>;

/// Does a probe as the process does it, without ICMP.
async fn get(spec: Spec) -> Outcome {
    let executor = Executor::new(None, Pinger::default());
    executor.execute(&Preparer::default().prepare(spec)).await
}
