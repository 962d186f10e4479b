//! What `--json` prints, and whether all of it was as it should be.

use serde::Serialize;

use crate::lab::node::Stats;

/// The rows of the answer table that XDP answers in the demo: all of each must be answered there.
pub const XDP_ROWS: [(&str, &str); 6] = [
    ("dns-b", "b-r"),
    ("dns-b", "b-c-name"),
    ("dns-b", "b-c-label"),
    ("dns-lb", "lb-address"),
    ("dns-lb", "lb-nodata"),
    ("dns-lb", "lb-nxdomain"),
];

/// The outcome of a run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// The clients before the first event.
    pub clients: Vec<ClientReport>,
    /// What the owner and the operator wished, and what was answered then.
    pub policy: Vec<PolicyStep>,
    /// What `dglb explain` said of one resolver while its best site was drained.
    pub explanation: serde_json::Value,
    /// What happened after.
    pub events: Vec<Event>,
    /// Answers, by the counters at the end.
    pub rows: Vec<RowReport>,
    /// Whether all was seen.
    pub ok: bool,
}

/// What one client saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClientReport {
    /// Its name.
    pub client: String,
    /// Its resolver and the resolver's make.
    pub resolver: String,
    /// The DNS-LB beside its resolver.
    pub expected_dns_lb: String,
    /// The one that its resolver was led to; all of them, if the services differ.
    pub seen_dns_lb: String,
    /// The nearest site.
    pub expected_site: String,
    /// The one that it was answered; all of them, if the services differ.
    pub seen_site: String,
    /// The page was fetched from there and named that site.
    pub page_ok: bool,
}

/// A wish, and how soon it was so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PolicyStep {
    /// What.
    pub wish: Wish,
    /// The site that was answered then, as it should be.
    pub site: String,
    /// How long after it was ordered.
    pub after_ms: u64,
}

/// What is wished of a DNS-LB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wish {
    /// The fastest site.
    Latency,
    /// Cost weighed against latency, by a reload.
    CostWeighed,
    /// The former policy, by another reload.
    LatencyAgain,
    /// The best site drained, with a reason.
    Drained,
    /// That taken back.
    DrainTakenBack,
}

impl PolicyStep {
    /// For people.
    pub fn in_words(&self) -> String {
        let what = match self.wish {
            Wish::Latency => "by latency",
            Wish::CostWeighed => "with cost weighed against latency",
            Wish::LatencyAgain => "by latency again",
            Wish::Drained => "with the best site drained",
            Wish::DrainTakenBack => "with the drain taken back",
        };
        format!(
            "{what} {} is answered after {:.1} s",
            self.site,
            self.after_ms as f64 / 1000.0
        )
    }
}

/// Something that failed, and how long that was to be felt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Event {
    /// What.
    pub event: EventKind,
    /// When it failed, since the demo's start.
    pub at_ms: u64,
    /// From then to the first answer without the dead one; none came if absent.
    pub answered_otherwise_ms: Option<u64>,
    /// Answers later than that which named the dead one.
    pub stale_answers_after: u64,
}

/// What failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventKind {
    /// A site.
    SiteDead,
    /// A DNS-LB.
    DnsLbSilent,
}

/// Answers of one row of the answer table, over all nodes of a role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RowReport {
    /// `dns-b` or `dns-lb`.
    pub role: String,
    /// The row's id.
    pub row: String,
    /// Answered in XDP.
    pub xdp: u64,
    /// Answered in user space.
    pub user: u64,
}

impl Report {
    /// Sets `ok`.
    pub fn judge(&mut self) {
        self.ok = self.complaints().is_empty();
    }

    /// What was not as it should be, for people.
    pub fn complaints(&self) -> Vec<String> {
        let mut complaints = Vec::new();
        if self.clients.is_empty() {
            complaints.push("no client was observed".to_owned());
        }
        for client in self.clients.iter().filter(|client| !client.is_ok()) {
            complaints.push(format!(
                "{}: DNS-LB {} (should be {}), site {} (should be {}), page {}",
                client.client,
                client.seen_dns_lb,
                client.expected_dns_lb,
                client.seen_site,
                client.expected_site,
                if client.page_ok {
                    "fetched"
                } else {
                    "not fetched"
                }
            ));
        }
        if self.policy.len() < 5 {
            complaints.push("not all that was wished of the policy was seen".to_owned());
        }
        for kind in [EventKind::SiteDead, EventKind::DnsLbSilent] {
            match self.events.iter().find(|event| event.event == kind) {
                None => complaints.push(format!("{kind:?} did not happen")),
                Some(event) if event.answered_otherwise_ms.is_none() => {
                    complaints.push(format!("{kind:?}: the answer did not change"));
                }
                Some(event) if event.stale_answers_after > 0 => complaints.push(format!(
                    "{kind:?}: {} answers named the dead one after others did not",
                    event.stale_answers_after
                )),
                Some(_) => {}
            }
        }
        for (role, id) in XDP_ROWS {
            let row = self
                .rows
                .iter()
                .find(|row| row.role == role && row.row == id);
            match row {
                Some(row) if row.xdp > 0 && row.user == 0 => {}
                Some(row) => complaints.push(format!(
                    "row {id}: {} answers in XDP and {} in user space (should be some and none)",
                    row.xdp, row.user
                )),
                None => complaints.push(format!("row {id}: no node counts it")),
            }
        }
        complaints
    }
}

impl Event {
    /// Whether the answers changed, and stayed so.
    pub fn is_ok(&self) -> bool {
        self.answered_otherwise_ms.is_some() && self.stale_answers_after == 0
    }

    /// For people: that, and how soon, `otherwise` came true.
    pub fn in_words(&self, otherwise: &str) -> String {
        match self.answered_otherwise_ms {
            Some(after) if self.stale_answers_after == 0 => {
                format!("{otherwise} after {:.1} s", after as f64 / 1000.0)
            }
            Some(after) => format!(
                "{otherwise} after {:.1} s, but {} answers after that did not",
                after as f64 / 1000.0,
                self.stale_answers_after
            ),
            None => format!("never {otherwise}"),
        }
    }
}

impl ClientReport {
    /// Whether it saw what it should.
    pub fn is_ok(&self) -> bool {
        self.page_ok
            && self.seen_dns_lb == self.expected_dns_lb
            && self.seen_site == self.expected_site
    }
}

/// The rows over all nodes: those that were answered at least once, and those that must be.
pub fn rows(nodes: &[Stats]) -> Vec<RowReport> {
    let mut rows: Vec<RowReport> = Vec::new();
    for node in nodes {
        for row in &node.rows {
            let known = rows
                .iter_mut()
                .find(|known| known.role == node.role && known.row == row.row);
            match known {
                Some(known) => {
                    known.xdp += row.xdp;
                    known.user += row.user;
                }
                None => rows.push(RowReport {
                    role: node.role.clone(),
                    row: row.row.clone(),
                    xdp: row.xdp,
                    user: row.user,
                }),
            }
        }
    }
    rows.retain(|row| {
        row.xdp + row.user > 0 || XDP_ROWS.contains(&(row.role.as_str(), row.row.as_str()))
    });
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Report {
        let event = |event| Event {
            event,
            at_ms: 9000,
            answered_otherwise_ms: Some(800),
            stale_answers_after: 0,
        };
        Report {
            clients: vec![ClientReport {
                client: "isp1-client".into(),
                resolver: "isp1-dns Unbound".into(),
                expected_dns_lb: "lb1".into(),
                seen_dns_lb: "lb1".into(),
                expected_site: "frankfurt".into(),
                seen_site: "frankfurt".into(),
                page_ok: true,
            }],
            policy: [
                Wish::Latency,
                Wish::CostWeighed,
                Wish::LatencyAgain,
                Wish::Drained,
                Wish::DrainTakenBack,
            ]
            .map(|wish| PolicyStep {
                wish,
                site: "frankfurt".into(),
                after_ms: 100,
            })
            .into(),
            explanation: serde_json::json!({"agrees": true}),
            events: vec![event(EventKind::SiteDead), event(EventKind::DnsLbSilent)],
            rows: XDP_ROWS
                .map(|(role, row)| RowReport {
                    role: role.into(),
                    row: row.into(),
                    xdp: 3,
                    user: 0,
                })
                .into(),
            ok: false,
        }
    }

    #[test]
    fn ok_only_if_all_was_seen() {
        let mut report = good();
        report.judge();
        assert!(report.ok, "{:?}", report.complaints());

        let spoil: [fn(&mut Report); 11] = [
            |report| report.clients.clear(),
            |report| report.policy.truncate(4),
            |report| report.clients[0].seen_dns_lb = "lb2".into(),
            |report| report.clients[0].seen_site = "tokyo".into(),
            |report| report.clients[0].page_ok = false,
            |report| report.events.truncate(1),
            |report| report.events[1].answered_otherwise_ms = None,
            |report| report.events[0].stale_answers_after = 1,
            |report| report.rows[2].user = 1,
            |report| report.rows[5].xdp = 0,
            |report| report.rows.truncate(5),
        ];
        for (index, spoil) in spoil.iter().enumerate() {
            let mut report = good();
            spoil(&mut report);
            report.judge();
            assert!(!report.ok, "{index}");
            assert_eq!(report.complaints().len(), 1, "{index}");
        }
    }

    #[test]
    fn the_json_has_the_keys_that_scripts_read() {
        let json = serde_json::to_value(good()).expect("JSON");
        let event = &json["events"][1];
        assert_eq!(event["event"], "dns-lb-silent");
        assert_eq!(event["at_ms"], 9000);
        assert_eq!(event["answered_otherwise_ms"], 800);
        assert_eq!(event["stale_answers_after"], 0);
        assert_eq!(json["policy"][1]["wish"], "cost-weighed");
        assert_eq!(json["explanation"]["agrees"], true);
        assert_eq!(json["clients"][0]["seen_site"], "frankfurt");
        assert_eq!(json["rows"][0]["role"], "dns-b");
        assert_eq!(json["ok"], false);
    }
}
