//! Cases that read like the owner's wishes; days of noise; what must hold for any policy.

mod cases;
mod day;
mod dividing;
mod properties;

use std::time::Duration;

use super::*;
use crate::{
    config::{Family, Form, LbService, Policy, Probe, ProbeKind, Site, Soa},
    event::Selection,
};

const SECOND: Duration = Duration::from_secs(1);

fn soa() -> Soa {
    Soa {
        mname: "ns1.example.com".parse().unwrap(),
        rname: "hostmaster.example.com".parse().unwrap(),
        serial: 1,
        refresh: 3600,
        retry: 600,
        expire: 86400,
        minimum: 60,
        ttl: 60,
    }
}

fn site(index: usize) -> Site {
    Site::new(
        format!("site{index}"),
        Some([192, 0, 2, index as u8].into()),
        None,
    )
}

fn service(sites: Vec<Site>, policy: Policy) -> LbService {
    let probe = Probe::new(ProbeKind::Http(crate::probe::spec::Http::new(
        "www.example.com",
        "/",
    )));
    LbService {
        policy,
        ..LbService::new(
            "www.example.com".parse().unwrap(),
            Form::Referral,
            soa(),
            sites,
            probe,
        )
    }
}

/// A chooser for so many plain sites.
fn chooser(sites: usize, policy: Policy) -> Chooser {
    Chooser::new(
        &service((0..sites).map(site).collect(), policy),
        Family::Ipv4,
        None,
    )
}

fn up(mean_ms: f64) -> Option<Standing> {
    Some(Standing {
        state: State::Up,
        mean_ms: Some(mean_ms),
        ..Standing::default()
    })
}

fn in_state(state: State) -> Option<Standing> {
    Some(Standing {
        state,
        ..Standing::default()
    })
}

fn loaded(mean_ms: f64, load: f64) -> Option<Standing> {
    up(mean_ms).map(|standing| Standing {
        load: Some(load),
        ..standing
    })
}

fn first(decision: &Decision) -> usize {
    decision.order[0]
}

fn listed(decision: &Decision) -> Vec<usize> {
    match &decision.served.selection {
        Selection::List(sites) => sites.clone(),
        other => panic!("{other:?} is no list"),
    }
}
