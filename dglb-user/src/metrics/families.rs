//! From what was collected to families of metrics.
//!
//! Names as Prometheus has them: base units, `_total` where it only grows. The descriptions are the first
//! column of docs/metrics.md, word for word; a test holds the two together.

use std::fmt;

use dglb_common::counters::{Counter, Counters, Kind};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, MetricEncoder, NoLabelSet},
    metrics::MetricType,
    registry::Unit,
};

use super::{Collected, Reload};
use crate::{
    control::protocol::{ProberStatus, Quantiles, SiteView},
    policy::State,
};

/// All states, as the label `state` has them.
const STATES: [State; 5] = [
    State::Unknown,
    State::Up,
    State::Degraded,
    State::Down,
    State::Drained,
];

impl Collector for Collected {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut families = Families(&mut encoder);
        families.program(self.reload)?;
        families.counters(self.kernel.as_ref(), &self.user)?;
        let Some(sites) = &self.sites else {
            return Ok(());
        };
        families.prober(&sites.prober)?;
        families.states(&sites.sites)?;
        if self.each_site {
            families.sites(&sites.sites)?;
        }
        Ok(())
    }
}

/// Writes families one after another.
struct Families<'e, 'w>(&'e mut DescriptorEncoder<'w>);

impl Families<'_, '_> {
    fn program(&mut self, reload: Reload) -> fmt::Result {
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        self.family("dglb_build", "The program that runs.", MetricType::Info)?
            .encode_info(&version)?;
        self.one(
            "dglb_config_last_reload_success",
            "Whether the configuration file was good when it was read last, at the start or at a reload.",
            f64::from(u8::from(reload.succeeded)),
        )?;
        let since = reload
            .in_service_since
            .duration_since(std::time::UNIX_EPOCH);
        self.of_seconds(
            "dglb_config_last_reload_success_timestamp",
            "When what is in service was read, in seconds since 1970.",
        )?
        .encode_gauge(&since.unwrap_or_default().as_secs_f64())
    }

    fn counters(&mut self, kernel: Option<&Counters>, user: &Counters) -> fmt::Result {
        let mut answers = self.family(
            "dglb_answers",
            "Answers by row of the answer table, given by the kernel program (xdp) or by the sockets (user).",
            MetricType::Counter,
        )?;
        let by = [
            kernel.map(|counters| ("xdp", counters)),
            Some(("user", user)),
        ];
        for (by, counters) in by.into_iter().flatten() {
            for counter in of(Kind::Answered) {
                let labels = [("row", counter.name()), ("by", by)];
                count(&mut answers, &labels, counter.of(counters))?;
            }
        }
        let Some(kernel) = kernel else { return Ok(()) };
        for (kind, name, help) in [
            (
                Kind::Passed,
                "dglb_passed",
                "Frames that the kernel program left to the sockets, by reason.",
            ),
            (
                Kind::Dropped,
                "dglb_dropped",
                "Frames that the kernel program dropped, by reason.",
            ),
            (
                Kind::Noted,
                "dglb_noted",
                "What the kernel program noted beside what became of the frame.",
            ),
        ] {
            let mut family = self.family(name, help, MetricType::Counter)?;
            for counter in of(kind) {
                count(
                    &mut family,
                    &[("reason", counter.name())],
                    counter.of(kernel),
                )?;
            }
        }
        Ok(())
    }

    fn prober(&mut self, prober: &ProberStatus) -> fmt::Result {
        self.one(
            "dglb_prober_up",
            "Whether the probing process is there.",
            f64::from(u8::from(prober.running)),
        )?;
        self.family(
            "dglb_prober_restarts",
            "How often the probing process was started again.",
            MetricType::Counter,
        )?
        .encode_counter::<NoLabelSet, _, u64>(&prober.restarts, None)?;
        self.one(
            "dglb_prober_targets",
            "What is probed: equal probes of several services are one target.",
            prober.targets as f64,
        )?;
        self.quantiles(
            "dglb_prober_lateness",
            "How late probes started, since the daemon's start.",
            &prober.lateness_ms,
        )?;
        self.quantiles(
            "dglb_probe_to_tables",
            "From a probe's end to the tables that it changed, since the daemon's start.",
            &prober.probe_to_tables_ms,
        )
    }

    /// Nothing, where nothing was measured.
    fn quantiles(&mut self, name: &str, help: &str, measured: &Quantiles) -> fmt::Result {
        if measured.count == 0 {
            return Ok(());
        }
        let mut family = self.of_seconds(name, help)?;
        for (quantile, ms) in [
            ("0.5", measured.p50),
            ("0.99", measured.p99),
            ("1", measured.max),
        ] {
            gauge(&mut family, &[("quantile", quantile)], ms / 1e3)?;
        }
        Ok(())
    }

    fn states(&mut self, sites: &[SiteView]) -> fmt::Result {
        let help = "Addresses of sites in each state.";
        let mut family = self.family("dglb_sites", help, MetricType::Gauge)?;
        for state in STATES {
            let count = sites.iter().filter(|site| site.state == state).count();
            gauge(&mut family, &[("state", state.name())], count as f64)?;
        }
        Ok(())
    }

    fn sites(&mut self, sites: &[SiteView]) -> fmt::Result {
        if sites.is_empty() {
            return Ok(());
        }
        let addresses: Vec<String> = sites.iter().map(|site| site.address.to_string()).collect();
        let sites: Vec<Site<'_>> = sites
            .iter()
            .zip(&addresses)
            .map(|(view, address)| Site { view, address })
            .collect();
        let mut family = self.family(
            "dglb_site_state",
            "1 for the state that the site's address is in, 0 for the others.",
            MetricType::Gauge,
        )?;
        for site in &sites {
            for state in STATES {
                let is_it = u32::from(site.view.state == state);
                family
                    .encode_family(&site.and(("state", state.name())))?
                    .encode_gauge(&is_it)?;
            }
        }
        let mut family = self.of_seconds(
            "dglb_site_latency",
            "Smoothed time of a whole probe; absent while it is not known.",
        )?;
        per_site(&mut family, &sites, |site| {
            site.latency_ms.map(|ms| ms / 1e3)
        })?;
        self.per_site(
            "dglb_site_loss_ratio",
            "Part of the probes that failed lately, 0 to 1.",
            &sites,
            |site| Some(site.loss_percent / 100.0),
        )?;
        self.per_site(
            "dglb_site_share_ratio",
            "The site's part of the answers of its family, 0 to 1.",
            &sites,
            |site| Some(site.share_percent / 100.0),
        )?;
        self.per_site(
            "dglb_site_load",
            "What the site tells as its load, in the unit of its capacity; absent where it tells none.",
            &sites,
            |site| site.load,
        )?;
        self.per_site(
            "dglb_site_overridden",
            "Whether an operator's order is stronger than what is measured.",
            &sites,
            |site| Some(f64::from(u8::from(site.overridden.is_some()))),
        )?;
        self.probes(&sites)
    }

    fn probes(&mut self, sites: &[Site<'_>]) -> fmt::Result {
        let mut family = self.family(
            "dglb_probes",
            "Probes since the daemon's start, by outcome: success, or the kind of failure.",
            MetricType::Counter,
        )?;
        for site in sites {
            let success = ("success", site.view.successes);
            let failures = site.view.failures.iter();
            let failures = failures.map(|(kind, count)| (kind.as_str(), *count));
            for (outcome, number) in std::iter::once(success).chain(failures) {
                count(&mut family, &site.and(("outcome", outcome)), number)?;
            }
        }
        Ok(())
    }

    fn per_site(
        &mut self,
        name: &str,
        help: &str,
        sites: &[Site<'_>],
        value: impl Fn(&SiteView) -> Option<f64>,
    ) -> fmt::Result {
        let mut family = self.family(name, help, MetricType::Gauge)?;
        per_site(&mut family, sites, value)
    }

    /// A family of one gauge.
    fn one(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        self.family(name, help, MetricType::Gauge)?
            .encode_gauge(&value)
    }

    fn family<'s>(
        &'s mut self,
        name: &'s str,
        help: &str,
        kind: MetricType,
    ) -> Result<MetricEncoder<'s>, fmt::Error> {
        self.0.encode_descriptor(name, help, None, kind)
    }

    /// A family of gauges whose name gets `_seconds` behind it.
    fn of_seconds<'s>(
        &'s mut self,
        name: &'s str,
        help: &str,
    ) -> Result<MetricEncoder<'s>, fmt::Error> {
        self.0
            .encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Gauge)
    }
}

/// A site with its labels.
struct Site<'v> {
    view: &'v SiteView,
    address: &'v str,
}

impl<'v> Site<'v> {
    fn labels(&self) -> [(&'static str, &'v str); 3] {
        [
            ("service", &self.view.service),
            ("site", &self.view.site),
            ("address", self.address),
        ]
    }

    fn and(&self, label: (&'static str, &'v str)) -> [(&'static str, &'v str); 4] {
        let [service, site, address] = self.labels();
        [service, site, address, label]
    }
}

fn per_site(
    family: &mut MetricEncoder<'_>,
    sites: &[Site<'_>],
    value: impl Fn(&SiteView) -> Option<f64>,
) -> fmt::Result {
    for site in sites {
        if let Some(value) = value(site.view) {
            gauge(family, &site.labels(), value)?;
        }
    }
    Ok(())
}

fn gauge(family: &mut MetricEncoder<'_>, labels: &impl EncodeLabelSet, value: f64) -> fmt::Result {
    family.encode_family(labels)?.encode_gauge(&value)
}

fn count(family: &mut MetricEncoder<'_>, labels: &impl EncodeLabelSet, value: u64) -> fmt::Result {
    family
        .encode_family(labels)?
        .encode_counter::<NoLabelSet, _, u64>(&value, None)
}

fn of(kind: Kind) -> impl Iterator<Item = &'static Counter> {
    Counter::ALL
        .iter()
        .filter(move |counter| counter.kind() == kind)
}
