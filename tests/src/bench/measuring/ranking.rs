//! How long it takes to choose the sites of 10,000 services anew, after all measurements changed.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use dglb_user::{
    config::{Config, Family, Overflow, Role, Weights},
    config::{LbService, Scorer},
    policy::{Chooser, Standing, State},
};

use super::{Figure, plan};
use crate::bench::report::median;

/// Times that all are chosen.
const ROUNDS: usize = 25;
/// The DNS-LB's example configuration, of which the first service is multiplied.
const EXAMPLE: &str = include_str!("../../../../docs/examples/dns-lb.toml");

/// Measures.
///
/// # Errors
/// The example is wrong.
pub fn measure() -> Result<Figure> {
    let service = service()?;
    let mut choosers: Vec<Chooser> = (0..plan::SERVICES)
        .flat_map(|_| Family::ALL.map(|family| Chooser::new(&service, family, None)))
        .collect();
    let mut times = Vec::new();
    let mut changes = 0;
    let mut orders = vec![Vec::new(); choosers.len()];
    for round in 0..ROUNDS {
        let standings = standings(&service, round);
        let now = Duration::from_secs(10 * round as u64);
        let start = Instant::now();
        for (index, chooser) in choosers.iter_mut().enumerate() {
            let standings = &standings[index % standings.len()];
            let decision = chooser.choose(standings, now);
            changes += usize::from(decision.order != orders[index]);
            orders[index] = decision.order;
        }
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    let note = format!(
        "{} services, {} sites each, both families; {changes} changes in {ROUNDS} rounds",
        plan::SERVICES,
        service.sites.len()
    );
    let value = median(times.into_iter());
    Ok(Figure::new("rank-all", value, "ms", 50.0, note))
}

/// A service with as many sites as the plan's, all parts of the policy in use.
fn service() -> Result<LbService> {
    let config = Config::from_text("docs/examples/dns-lb.toml", EXAMPLE)?;
    let Role::DnsLb(dns_lb) = config.role else {
        anyhow::bail!("the example is no DNS-LB");
    };
    let mut service = dns_lb
        .services
        .last()
        .cloned()
        .context("the example has no service")?;
    let site = service.sites.pop().context("the example has no site")?;
    service.sites = (0..plan::SITES_EACH)
        .map(|index| {
            let mut site = site.clone();
            site.name = format!("site{index}");
            site.ipv6 = Some(std::net::Ipv6Addr::LOCALHOST);
            site.cost = index as f64;
            site.tier = 0;
            site
        })
        .collect();
    service.policy.scorer = Scorer::Weighed(Weights {
        latency: 1.0,
        availability: 1.0,
        load: 0.1,
        cost: 1.0,
        distance: 0.0,
    });
    service.policy.overflow = Some(Overflow {
        from: 80.0,
        full: 100.0,
        step: 10.0,
    });
    Ok(service)
}

/// Different standings, other ones in each round.
fn standings(service: &LbService, round: usize) -> Vec<Vec<Option<Standing>>> {
    (0..97)
        .map(|kind| {
            (0..service.sites.len())
                .map(|site| {
                    let mean = 10 + (kind * 31 + site * 47 + round * 59) % 200;
                    Some(Standing {
                        state: match (kind + site + round) % 11 {
                            0 => State::Down,
                            1 => State::Degraded,
                            _ => State::Up,
                        },
                        mean_ms: Some(mean as f64),
                        spread_ms: 3.0,
                        load: Some((mean / 2) as f64),
                        ..Standing::default()
                    })
                })
                .collect()
        })
        .collect()
}
