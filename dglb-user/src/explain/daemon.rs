//! What the daemon says of the same question, and whether the tables serve it.

use std::collections::BTreeSet;

use super::{
    served::{Kind, Served},
    walk::{Outcome, Walk},
};
use crate::{
    config::{Family, Node},
    control::{
        client::{self, AskError},
        protocol::{Explanation, Reply, Request},
    },
    name::OwnerName,
};

/// What was learned.
#[derive(Clone, Debug, Default)]
pub struct Daemon {
    /// Whether one runs, as far as it could be asked.
    pub runs: bool,
    /// What it says.
    pub explanation: Option<Explanation>,
    /// Why it says nothing.
    pub note: Option<String>,
}

/// Asks how the sites of a service are chosen.
pub fn explanation(node: &Node, service: &OwnerName, family: Family, vantage: u32) -> Daemon {
    let request = Request::Explain {
        name: service.without_dot(),
        family,
        vantage,
    };
    match client::ask(node, &request) {
        Ok(Reply::Explain(explanation)) => Daemon {
            runs: true,
            explanation: Some(explanation),
            note: None,
        },
        Ok(other) => silent(true, client::unexpected(node, &other)),
        Err(error) => failed(error),
    }
}

/// Asks whether one runs.
pub fn presence(node: &Node) -> Daemon {
    match client::ask(node, &Request::Status) {
        Ok(_) => Daemon {
            runs: true,
            ..Daemon::default()
        },
        Err(error) => failed(error),
    }
}

fn failed(error: AskError) -> Daemon {
    let runs = match &error {
        AskError::NoDaemon { .. } => false,
        AskError::NoRights { .. }
        | AskError::Refused(_)
        | AskError::NotUnderstood { .. }
        | AskError::Failed { .. } => true,
    };
    silent(runs, error)
}

fn silent(runs: bool, error: AskError) -> Daemon {
    Daemon {
        runs,
        explanation: None,
        note: Some(format!("what the daemon has to say is missing: {error}")),
    }
}

/// Whether the tables serve what the daemon chose. `None`: there is nothing to compare.
pub fn agrees(walk: &Walk, served: &Served, explanation: &Explanation) -> Option<bool> {
    let answered = explanation.answer.iter();
    let chosen: BTreeSet<String> = answered
        .filter(|(_, share)| *share > 0.0)
        .map(|(address, _)| address.to_string())
        .collect();
    let given: BTreeSet<String> = served.answer.iter().cloned().collect();
    let (by_bucket, ttl_at_most) = match &walk.outcome {
        Outcome::Ready(ready) => (ready.bucket.is_some(), ready.ttl_at_most),
        Outcome::Negative { ttl_at_most, .. } => (false, *ttl_at_most),
        Outcome::NotReady => (false, u32::MAX),
        Outcome::Zone | Outcome::Refused => return None,
    };
    Some(match served.kind {
        Kind::Addresses => {
            let is_chosen = match by_bucket {
                true => given.is_subset(&chosen),
                false => given == chosen,
            };
            is_chosen && served.ttl_s == Some(explanation.ttl_s.min(ttl_at_most))
        }
        Kind::Nodata | Kind::Servfail => chosen.is_empty(),
        Kind::Cname | Kind::Referral | Kind::Nxdomain | Kind::Refused => return None,
    })
}
