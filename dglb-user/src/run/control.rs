//! Who answers at the control socket: the status by this module, all else by the task that has it.

use dglb_common::counters::Counters;
use tokio::sync::watch;

use crate::{
    config::Role,
    control::protocol::{Reply, Request},
    probe::Report,
    status::Status,
};

/// What answers need.
pub struct Answers<C> {
    /// The role's name, if it is one without sites.
    without_sites: Option<&'static str>,
    report: watch::Receiver<Report>,
    counted: C,
}

impl<C: Fn() -> Counters> Answers<C> {
    /// Of a node that has this role.
    pub fn new(role: &Role, report: watch::Receiver<Report>, counted: C) -> Self {
        Self {
            without_sites: match role {
                Role::DnsB(_) => Some("dns-b"),
                Role::DnsLb(_) => None,
            },
            report,
            counted,
        }
    }

    /// The reply to a request.
    pub async fn to(&self, request: Request) -> Reply {
        match request {
            Request::Status => self.status(),
            Request::Sites { .. }
            | Request::Explain { .. }
            | Request::History { .. }
            | Request::Override { .. } => Reply::Error(match self.without_sites {
                Some(role) => format!("role {role} has no sites"),
                None => "this daemon keeps no state of sites that could be shown or overridden".into(),
            }),
            Request::Reload => Reply::Error(
                "this daemon reads its file at a start only: restart it (the kernel answers on meanwhile)"
                    .to_owned(),
            ),
        }
    }

    fn status(&self) -> Reply {
        let status = Status::new(&self.report.borrow(), &(self.counted)());
        match serde_json::to_value(status) {
            Ok(status) => Reply::Status(status),
            Err(error) => Reply::Error(format!("the status can't be written: {error}")),
        }
    }
}
