//! What fails in the demo, and how soon that is no longer felt.

use std::{
    ops::ControlFlow,
    time::{Duration, Instant},
};

use anyhow::Result;
use hickory_proto::{op::Message, rr::RecordType};

use super::report::{Event, EventKind};
use crate::lab::{
    Host,
    chain::Chain,
    client::Client,
    dns,
    node::{SHOP, WWW},
};

/// How often is asked after something failed.
const EVERY: Duration = Duration::from_millis(200);
/// How long is asked on after the first answer without the dead one: more than any TTL here.
const ASK_ON: Duration = Duration::from_secs(6);
/// When the answer of a DNS-LB must have changed. By its configuration 1.9 s suffice.
const SITE_LIMIT: Duration = Duration::from_secs(15);
/// When a resolver must have been led elsewhere: the lease, the referral's TTL, and as long as a
/// resolver may wait for a name server that is silent.
const DNS_LB_LIMIT: Duration = Duration::from_secs(60);

/// The best site of the first ISP dies: its process is killed and its interface goes down. Asked is
/// the ISP's DNS-LB itself.
///
/// # Errors
/// When the site cannot be taken down, or nothing can be asked.
pub fn site_dead(chain: &mut Chain, started: Instant) -> Result<Event> {
    let isp = &chain.isps[0];
    let (client, dns_lb) = (isp.client.clone(), isp.dns_lb.host().address());
    let mirror = chain.mirror_mut(isp.best_site)?;
    let at = Instant::now();
    mirror.server.kill()?;
    mirror.host.set_interface(false)?;
    let dead = mirror.site.address;

    let asked = Asked {
        client: &client,
        server: dns_lb,
        name: WWW,
        limit: SITE_LIMIT,
    };
    let names_dead = |answer: &Message| {
        let addresses = dns::addresses(answer).ok()?;
        Some(addresses.contains(&dead))
    };
    asked.until_otherwise(EventKind::SiteDead, (started, at), names_dead)
}

/// The interface of the first ISP's DNS-LB goes down. Asked is the ISP's resolver, by its client.
///
/// Form C's answer names the DNS-LB in the target of the CNAME.
///
/// # Errors
/// When the interface cannot be taken down, or nothing can be asked.
pub fn dns_lb_silent(chain: &Chain, client: &Client, started: Instant) -> Result<Event> {
    let dns_lb = &chain.isps[0].dns_lb;
    let dead = dns_lb.label();
    let at = Instant::now();
    dns_lb.host().set_interface(false)?;

    let asked = Asked {
        client: &client.host,
        server: client.resolver,
        name: SHOP,
        limit: DNS_LB_LIMIT,
    };
    let names_dead = |answer: &Message| {
        dns::addresses(answer).ok()?;
        Some(dns::dns_lb_label(answer)? == dead)
    };
    asked.until_otherwise(EventKind::DnsLbSilent, (started, at), names_dead)
}

/// Who asks whom what.
struct Asked<'a> {
    client: &'a Host,
    server: std::net::Ipv4Addr,
    name: &'a str,
    limit: Duration,
}

impl Asked<'_> {
    /// Asks until an answer does not name the dead one, and a while longer. `names_dead` says
    /// whether an answer names it, and nothing for what is no answer (SERVFAIL, no address).
    fn until_otherwise(
        &self,
        event: EventKind,
        (started, at): (Instant, Instant),
        names_dead: impl Fn(&Message) -> Option<bool>,
    ) -> Result<Event> {
        let mut outcome = Outcome::default();
        dns::ask_repeatedly(
            self.client,
            self.server,
            (self.name, RecordType::A),
            EVERY,
            self.limit,
            |now, answer| outcome.add(now, names_dead(answer)),
        )?;
        Ok(Event {
            event,
            at_ms: milliseconds(at.duration_since(started)),
            answered_otherwise_ms: outcome
                .otherwise
                .map(|otherwise| milliseconds(otherwise.duration_since(at))),
            stale_answers_after: outcome.stale,
        })
    }
}

/// What the answers said so far.
#[derive(Debug, Default)]
struct Outcome {
    otherwise: Option<Instant>,
    stale: u64,
}

impl Outcome {
    fn add(&mut self, now: Instant, names_dead: Option<bool>) -> ControlFlow<()> {
        match (names_dead, self.otherwise) {
            (Some(false), None) => self.otherwise = Some(now),
            (Some(true), Some(_)) => self.stale += 1,
            _ => {}
        }
        match self.otherwise {
            Some(otherwise) if now.duration_since(otherwise) > ASK_ON => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_after_the_first_otherwise_are_held_against_it() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut outcome = Outcome::default();
        assert!(outcome.add(at(0), Some(true)).is_continue());
        assert!(outcome.add(at(1), None).is_continue());
        assert_eq!(outcome.otherwise, None);
        assert!(outcome.add(at(2), Some(false)).is_continue());
        assert!(outcome.add(at(3), Some(true)).is_continue());
        assert!(outcome.add(at(4), None).is_continue());
        assert!(outcome.add(at(5), Some(false)).is_continue());
        assert_eq!((outcome.otherwise, outcome.stale), (Some(at(2)), 1));
        assert!(outcome.add(at(9), Some(false)).is_break());
    }
}
