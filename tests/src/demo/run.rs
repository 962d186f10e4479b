//! The demo from start to end.

use std::{
    collections::BTreeSet,
    env, process,
    sync::mpsc::{self, RecvTimeoutError, Sender},
    thread::{self, Scope},
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use hickory_proto::rr::RecordType;

use super::{
    events, policy,
    report::{self, ClientReport, Event, PolicyStep, Report},
    watch::Watch,
};
use crate::lab::{
    chain::{Chain, Isp, Options},
    client::{Client, Observation, SERVICES},
    node::{Node, WWW},
    resolver::Minimisation,
    wait,
};

/// How long the clients may take until each has its best site, at first and after an event.
const SETTLE: Duration = Duration::from_secs(20);
/// How often is looked whether they have.
const LOOK: Duration = Duration::from_millis(200);

/// What is left at the end.
#[derive(Debug)]
pub struct Ended {
    /// The outcome.
    pub report: Report,
    /// Still running.
    pub chain: Chain,
}

/// Runs the demo; ends the process, and thereby the lab, when it takes longer than `limit` from the
/// first step of building on.
///
/// # Errors
/// When the chain cannot be built, or what happens in it cannot be made to happen.
pub fn run_within(watch: &Watch, limit: Duration) -> Result<Ended> {
    thread::scope(|scope| {
        let _stop = watch.stop_when_dropped();
        watch.start_drawing(scope);
        let ended = run(scope, watch, limit);
        watch.finish();
        ended
    })
}

fn run<'scope>(
    scope: &'scope Scope<'scope, '_>,
    watch: &'scope Watch,
    limit: Duration,
) -> Result<Ended> {
    let demo_binary = env::current_exe()?;
    let options = Options {
        prefix: "demo",
        demo_binary: &demo_binary,
        minimisation: Minimisation::Unchanged,
    };
    // Dropped at the end, which calls it off.
    let _end = end_after(limit);
    let mut chain = Chain::start(options, |step| watch.step(step))?;
    let clients: Vec<_> = chain
        .isps
        .iter()
        .map(|isp| Client::of(&chain, isp))
        .collect();
    watch.start_watching(scope, clients.clone(), nodes(&chain));

    let mut report = Report {
        clients: first_state(watch, &chain, &clients),
        ..Report::default()
    };
    ask_for_what_is_not_there(watch, &clients)?;
    watch.linger();
    watch.show();
    (report.policy, report.explanation) = policy_is_obeyed(watch, &chain)?;
    report.events.push(site_dies(watch, &mut chain)?);
    watch.show();
    report
        .events
        .push(dns_lb_falls_silent(watch, &chain, &clients[0])?);

    watch.linger();
    let stats = nodes(&chain)
        .iter()
        .map(Node::stats)
        .collect::<Result<Vec<_>>>()?;
    report.rows = report::rows(&stats);
    report.judge();
    watch.show();
    match report.ok {
        true => watch.phase("all was seen"),
        false => watch.phase("not all was seen"),
    }
    Ok(Ended { report, chain })
}

/// Each client asks until it is led to its own best site.
fn first_state(watch: &Watch, chain: &Chain, clients: &[Client]) -> Vec<ClientReport> {
    watch.phase("each client asks its own resolver and fetches the page");
    let end = Instant::now() + SETTLE;
    let reports = loop {
        let isps = chain.isps.iter().zip(clients);
        let reports: Vec<_> = isps.map(|(isp, client)| observe(isp, client)).collect();
        if reports.iter().all(ClientReport::is_ok) || Instant::now() >= end {
            break reports;
        }
        thread::sleep(LOOK);
    };
    for report in &reports {
        let text = format!(
            "{} ({}) is led to {} and to {}",
            report.client, report.resolver, report.seen_dns_lb, report.seen_site
        );
        watch.milestone(report.is_ok(), text);
    }
    reports
}

fn observe(isp: &Isp, client: &Client) -> ClientReport {
    let seen: Vec<_> = SERVICES
        .iter()
        .map(|service| client.observe(service))
        .collect();
    ClientReport {
        client: client.host.name().into(),
        resolver: client.resolver_name.clone(),
        expected_dns_lb: isp.dns_lb.name().into(),
        seen_dns_lb: all(&seen, |seen| &seen.dns_lb),
        expected_site: isp.best_site.into(),
        seen_site: all(&seen, |seen| seen.site),
        page_ok: seen.iter().flatten().filter(|seen| seen.page_ok).count() == SERVICES.len(),
    }
}

/// What was seen of all services: one value if they agree.
fn all<'a>(seen: &'a [Result<Observation>], value: impl Fn(&'a Observation) -> &'a str) -> String {
    let values: BTreeSet<_> = seen
        .iter()
        .map(|seen| seen.as_ref().map_or("nothing", &value))
        .collect();
    Vec::from_iter(values).join(" and ")
}

/// The rows of the answer table that no browser asks for.
fn ask_for_what_is_not_there(watch: &Watch, clients: &[Client]) -> Result<()> {
    watch.phase("the clients ask for what is not there");
    let absent = format!("nope.{WWW}");
    for client in clients {
        for service in SERVICES {
            for record_type in [RecordType::AAAA, RecordType::TXT] {
                let answer = client.ask(service.asked, record_type)?;
                let code = answer.metadata.response_code;
                ensure!(
                    code == hickory_proto::op::ResponseCode::NoError,
                    "{} answers {} {record_type} with {code}, it should have no data",
                    client.resolver_name,
                    service.asked
                );
            }
        }
        let code = client.ask(&absent, RecordType::A)?.metadata.response_code;
        ensure!(
            code == hickory_proto::op::ResponseCode::NXDomain,
            "{} answers {absent} with {code}, that name does not exist",
            client.resolver_name
        );
    }
    Ok(())
}

fn policy_is_obeyed(watch: &Watch, chain: &Chain) -> Result<(Vec<PolicyStep>, serde_json::Value)> {
    let dns_lb = chain.isps[0].dns_lb.name();
    watch.phase(&format!(
        "policies and orders for {dns_lb}: cost, a drain with a reason"
    ));
    let seen = policy::run(chain, |step| {
        watch.milestone(true, format!("{dns_lb}: {}", step.in_words()));
    })?;
    for line in policy::in_words(&seen.1) {
        watch.milestone(true, line);
    }
    Ok(seen)
}

fn site_dies(watch: &Watch, chain: &mut Chain) -> Result<Event> {
    let (site, dns_lb) = (
        chain.isps[0].best_site,
        chain.isps[0].dns_lb.name().to_owned(),
    );
    watch.phase(&format!("{site} dies; {dns_lb} is asked every 200 ms"));
    let event = events::site_dead(chain, watch.view().started)?;
    let text = format!(
        "{site} died; {dns_lb} {}",
        event.in_words("answers another site")
    );
    watch.milestone(event.is_ok(), text);
    Ok(event)
}

fn dns_lb_falls_silent(watch: &Watch, chain: &Chain, client: &Client) -> Result<Event> {
    let dns_lb = &chain.isps[0].dns_lb;
    let name = client.host.name();
    watch.phase(&format!(
        "the interface of {} goes down; {name} asks its resolver every 200 ms",
        dns_lb.name()
    ));
    let event = events::dns_lb_silent(chain, client, watch.view().started)?;
    let text = format!(
        "{} fell silent; {name} {}",
        dns_lb.name(),
        event.in_words("is led to another")
    );
    watch.milestone(event.is_ok(), text);
    wait::until("both services come by the other DNS-LB", SETTLE, || {
        for service in &SERVICES {
            let seen = client.observe(service)?;
            ensure!(
                seen.dns_lb != dns_lb.name() && seen.page_ok,
                "{} still leads {name} to {} and {}",
                service.asked,
                seen.dns_lb,
                seen.site
            );
        }
        Ok(())
    })?;
    watch.milestone(
        true,
        format!("{name} fetches both pages, led by another DNS-LB"),
    );
    Ok(event)
}

fn nodes(chain: &Chain) -> Vec<Node> {
    let dns_lbs = chain.isps.iter().map(|isp| isp.dns_lb.clone());
    [chain.dns_b.clone()].into_iter().chain(dns_lbs).collect()
}

/// Ends the process after `limit`, unless what is returned is dropped before.
fn end_after(limit: Duration) -> Sender<()> {
    let (alive, dropped) = mpsc::channel();
    thread::spawn(move || {
        if dropped.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
            eprintln!(
                "dglb-demo: not at its end after {} s, given up",
                limit.as_secs()
            );
            process::exit(1);
        }
    });
    alive
}
