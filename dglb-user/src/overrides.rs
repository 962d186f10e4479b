//! `dglb drain`, `dglb undrain` and `dglb force`: an operator's order for a site, whatever the probes say.
//!
//! The daemon keeps the order over a restart, and says what it did; this only asks.

use std::{io::Write, path::Path, time::Duration};

use anyhow::bail;

use crate::{
    config::Config,
    control::{
        client,
        protocol::{Reply, Request},
    },
    policy::OverrideKind,
};

/// Which site, and of which service.
#[derive(Clone, Copy, Debug)]
pub struct Which<'a> {
    /// The site's name.
    pub site: &'a str,
    /// In this service alone; `None`: in all that have it.
    pub service: Option<&'a str>,
}

/// What is ordered.
#[derive(Clone, Copy, Debug)]
pub struct Order<'a> {
    /// What; `None`: the present order is taken back.
    pub kind: Option<OverrideKind>,
    /// Why.
    pub reason: &'a str,
    /// For how long; `None`: until it is taken back.
    pub for_: Option<Duration>,
}

/// Orders it at the daemon of the node that `path` describes, and prints what was done.
///
/// # Errors
/// The file is wrong, no daemon runs, or it does not know the site.
pub fn run(
    path: &Path,
    which: Which<'_>,
    order: Order<'_>,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let node = Config::load(path)?.node;
    if order.kind.is_none() && order.for_.is_some() {
        bail!("--for goes with an order; one is taken back for good");
    }
    let request = Request::Override {
        site: which.site.to_owned(),
        service: client::service(which.service)?,
        kind: order.kind,
        reason: order.reason.to_owned(),
        for_: order.for_,
    };
    match client::ask(&node, &request)? {
        Reply::Done(words) => writeln!(out, "{words}")?,
        other => return Err(client::unexpected(&node, &other).into()),
    }
    Ok(())
}
