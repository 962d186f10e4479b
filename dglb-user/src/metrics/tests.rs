//! Scrapes over loopback, read as a scraper reads them, and held against what went in.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, UNIX_EPOCH},
};

use dglb_common::counters::{COUNTERS, Counter, Counters, Kind};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_util::sync::CancellationToken;

use super::{
    server::{Patience, serve_with},
    *,
};
use crate::{
    control::protocol::{ProberStatus, Quantiles, SiteView},
    policy::{Override, OverrideKind, State},
};

const DOCUMENT: &str = include_str!("../../../docs/metrics.md");
const OPEN_METRICS: &str =
    "Accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5\r\n";

/// A different number in each counter.
fn counters(first: u64) -> Counters {
    let mut words = [0; COUNTERS];
    for (word, number) in words.iter_mut().zip(first..) {
        *word = number;
    }
    Counters::from_words(words)
}

fn site(service: &str, name: &str, last: u8, state: State) -> SiteView {
    SiteView {
        service: service.into(),
        site: name.into(),
        address: Ipv4Addr::new(192, 0, 2, last).into(),
        state,
        since: None,
        reason: None,
        overridden: None,
        latency_ms: Some(12.5),
        spread_ms: Some(1.0),
        connect_ms: None,
        tls_ms: None,
        first_byte_ms: None,
        loss_percent: 25.0,
        load: None,
        share_percent: 50.0,
        rank: Some(1),
        interval_s: 10.0,
        successes: 7,
        failures: BTreeMap::new(),
        last_failure: None,
    }
}

fn collected() -> Collected {
    let strange = "to\"k\\yo\nö";
    let mut down = site("www.foo.com", strange, 81, State::Down);
    down.latency_ms = None;
    down.load = Some(42.5);
    down.share_percent = 0.0;
    down.overridden = Some(Override {
        kind: OverrideKind::Down,
        reason: "broken".into(),
        since: UNIX_EPOCH,
        until: None,
    });
    down.failures = BTreeMap::from([("refused".into(), 3), ("timed_out".into(), 4)]);
    Collected {
        kernel: Some(counters(1000)),
        user: counters(1),
        sites: Some(Sites {
            prober: ProberStatus {
                running: true,
                restarts: 2,
                reason: None,
                targets: 2,
                lateness_ms: Quantiles {
                    count: 9,
                    p50: 0.5,
                    p99: 3.0,
                    max: 40.0,
                },
                probe_to_tables_ms: Quantiles::default(),
            },
            sites: vec![site("www.foo.com", "frankfurt", 80, State::Up), down],
        }),
        each_site: true,
        reload: Reload {
            succeeded: false,
            in_service_since: UNIX_EPOCH + Duration::from_millis(1_700_000_000_500),
        },
    }
}

/// An endpoint that tells `collected` until the guard is dropped.
async fn endpoint(collected: Collected) -> (SocketAddr, impl Drop) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .expect("a port");
    let address = listener.local_addr().expect("bound");
    let stop = CancellationToken::new();
    let collect = move || std::future::ready(collected.clone());
    tokio::spawn(serve(listener, collect, stop.clone()));
    (address, stop.drop_guard())
}

/// Status, headers and body.
async fn ask(address: SocketAddr, request_line: &str, headers: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(address).await.expect("connected");
    let request = format!("{request_line} HTTP/1.1\r\nHost: x\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut response = String::new();
    stream.read_to_string(&mut response).await.expect("UTF-8");
    let (head, body) = response.split_once("\r\n\r\n").expect("a response");
    let status = head.split(' ').nth(1).expect("a status line");
    (
        status.parse().expect("a status"),
        head.to_lowercase(),
        body.to_owned(),
    )
}

/// The samples: name and labels, as they stand there, with the value; and the families with their types.
struct Scraped {
    samples: BTreeMap<String, f64>,
    types: BTreeMap<String, String>,
    help: BTreeMap<String, String>,
}

impl Scraped {
    /// Reads a text as the formats define it, and refuses what they don't allow: a family in two places, a sample
    /// twice, a sample of no family.
    fn read(text: &str) -> Self {
        let mut read = Self {
            samples: BTreeMap::new(),
            types: BTreeMap::new(),
            help: BTreeMap::new(),
        };
        let mut family = String::new();
        for line in text.lines().filter(|line| *line != "# EOF") {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').expect("a description");
                family = name.to_owned();
                assert!(
                    read.help.insert(name.into(), help.into()).is_none(),
                    "{name} twice"
                );
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').expect("a type");
                assert_eq!(name, family);
                read.types.insert(name.into(), kind.into());
            } else if let Some(rest) = line.strip_prefix("# UNIT ") {
                assert_eq!(rest, format!("{family} seconds"));
            } else {
                let (sample, value) = line.rsplit_once(' ').expect("a sample");
                assert!(sample.starts_with(&family), "{sample} is not of {family}");
                let value = value.parse().expect("a number");
                assert!(
                    read.samples.insert(sample.into(), value).is_none(),
                    "{sample} twice"
                );
            }
        }
        read
    }

    #[track_caller]
    fn has(&self, sample: &str, value: f64) {
        assert_eq!(self.samples.get(sample), Some(&value), "{sample}");
    }
}

#[tokio::test]
async fn a_scrape_tells_what_was_collected() {
    let (address, _stop) = endpoint(collected()).await;
    let (status, head, body) = ask(address, "GET /metrics", OPEN_METRICS).await;
    assert_eq!(status, 200);
    assert!(
        head.contains("content-type: application/openmetrics-text; version=1.0.0"),
        "{head}"
    );
    assert!(body.ends_with("# EOF\n"));
    let scraped = Scraped::read(&body);
    for counter in Counter::ALL {
        let (name, number) = (counter.name(), *counter as u32);
        let kernel = f64::from(1000 + number);
        match counter.kind() {
            Kind::Answered => {
                scraped.has(
                    &format!("dglb_answers_total{{row=\"{name}\",by=\"xdp\"}}"),
                    kernel,
                );
                let user = f64::from(1 + number);
                scraped.has(
                    &format!("dglb_answers_total{{row=\"{name}\",by=\"user\"}}"),
                    user,
                );
            }
            Kind::Passed => scraped.has(&format!("dglb_passed_total{{reason=\"{name}\"}}"), kernel),
            Kind::Dropped => {
                scraped.has(&format!("dglb_dropped_total{{reason=\"{name}\"}}"), kernel)
            }
            Kind::Noted => scraped.has(&format!("dglb_noted_total{{reason=\"{name}\"}}"), kernel),
        }
    }
    let version = env!("CARGO_PKG_VERSION");
    scraped.has(&format!("dglb_build_info{{version=\"{version}\"}}"), 1.0);
    scraped.has("dglb_config_last_reload_success", 0.0);
    scraped.has(
        "dglb_config_last_reload_success_timestamp_seconds",
        1_700_000_000.5,
    );
    scraped.has("dglb_prober_up", 1.0);
    scraped.has("dglb_prober_restarts_total", 2.0);
    scraped.has("dglb_prober_targets", 2.0);
    for (quantile, seconds) in [("0.5", 0.0005), ("0.99", 0.003), ("1", 0.04)] {
        let sample = format!("dglb_prober_lateness_seconds{{quantile=\"{quantile}\"}}");
        scraped.has(&sample, seconds);
    }
    // No probe changed a table yet.
    assert!(!body.contains("dglb_probe_to_tables_seconds"));
    scraped.has("dglb_sites{state=\"up\"}", 1.0);
    scraped.has("dglb_sites{state=\"drained\"}", 0.0);
    let good = "service=\"www.foo.com\",site=\"frankfurt\",address=\"192.0.2.80\"";
    let bad = "service=\"www.foo.com\",site=\"to\\\"k\\\\yo\\nö\",address=\"192.0.2.81\"";
    for (labels, state) in [(good, "up"), (bad, "down")] {
        for each in ["unknown", "up", "degraded", "down", "drained"] {
            let sample = format!("dglb_site_state{{{labels},state=\"{each}\"}}");
            scraped.has(&sample, f64::from(u8::from(each == state)));
        }
        scraped.has(&format!("dglb_site_loss_ratio{{{labels}}}"), 0.25);
        scraped.has(
            &format!("dglb_probes_total{{{labels},outcome=\"success\"}}"),
            7.0,
        );
    }
    scraped.has(&format!("dglb_site_latency_seconds{{{good}}}"), 0.0125);
    scraped.has(&format!("dglb_site_share_ratio{{{good}}}"), 0.5);
    scraped.has(&format!("dglb_site_share_ratio{{{bad}}}"), 0.0);
    scraped.has(&format!("dglb_site_load{{{bad}}}"), 42.5);
    scraped.has(&format!("dglb_site_overridden{{{good}}}"), 0.0);
    scraped.has(&format!("dglb_site_overridden{{{bad}}}"), 1.0);
    scraped.has(
        &format!("dglb_probes_total{{{bad},outcome=\"refused\"}}"),
        3.0,
    );
    scraped.has(
        &format!("dglb_probes_total{{{bad},outcome=\"timed_out\"}}"),
        4.0,
    );
    for absent in ["dglb_site_latency_seconds", "dglb_site_load"] {
        let labels = if absent.ends_with("load") { good } else { bad };
        assert!(
            !scraped
                .samples
                .contains_key(&format!("{absent}{{{labels}}}"))
        );
    }
}

#[tokio::test]
async fn who_does_not_ask_for_open_metrics_gets_the_older_format() {
    let (address, _stop) = endpoint(collected()).await;
    let (status, head, body) = ask(address, "GET /metrics?x=y", "Accept: text/plain\r\n").await;
    assert_eq!(status, 200);
    assert!(
        head.contains("content-type: text/plain; version=0.0.4"),
        "{head}"
    );
    let older = Scraped::read(&body);
    let newer = Scraped::read(&ask(address, "GET /metrics", OPEN_METRICS).await.2);
    assert_eq!(older.samples, newer.samples);
    assert!(!body.contains("# EOF") && !body.contains("# UNIT"));
}

#[tokio::test]
async fn a_node_without_sites_and_without_a_kernel_program() {
    let mut bare = collected();
    (bare.kernel, bare.sites) = (None, None);
    let (address, _stop) = endpoint(bare).await;
    let (_, _, body) = ask(address, "GET /metrics", OPEN_METRICS).await;
    let scraped = Scraped::read(&body);
    let names: BTreeSet<_> = scraped.types.keys().map(String::as_str).collect();
    let meant = [
        "dglb_answers",
        "dglb_build",
        "dglb_config_last_reload_success",
        "dglb_config_last_reload_success_timestamp_seconds",
    ];
    assert_eq!(names, BTreeSet::from(meant));
    assert!(body.contains("by=\"user\"") && !body.contains("by=\"xdp\""));
}

#[tokio::test]
async fn nothing_else_is_answered() {
    let (address, _stop) = endpoint(collected()).await;
    for (request, status) in [
        ("GET /", 404),
        ("GET /metrics/", 404),
        ("GET /../metrics", 404),
        ("POST /other", 404),
        ("POST /metrics", 405),
        ("HEAD /metrics", 405),
        ("DELETE /metrics", 405),
    ] {
        let (answered, head, body) = ask(address, request, "").await;
        assert_eq!(answered, status, "{request}");
        assert!(
            body.len() < 100 && head.contains("connection: close"),
            "{request}: {head}"
        );
        assert_eq!(head.contains("allow: get"), status == 405, "{request}");
    }
    let (status, ..) = ask(address, "nonsense", "").await;
    assert_eq!(status, 400);
    let long = format!("X-Long: {}\r\n", "x".repeat(1 << 20));
    let mut stream = TcpStream::connect(address).await.expect("connected");
    // The peer may have had enough before all of it is sent.
    let _ = stream
        .write_all(format!("GET /metrics HTTP/1.1\r\n{long}").as_bytes())
        .await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP/1.1 200"));
}

#[tokio::test]
async fn scrapes_are_collected_one_after_another_and_the_silent_are_put_out() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .expect("a port");
    let address = listener.local_addr().expect("bound");
    let under_way = Arc::new(AtomicUsize::new(0));
    let collect = {
        let under_way = Arc::clone(&under_way);
        move || {
            let under_way = Arc::clone(&under_way);
            async move {
                assert_eq!(under_way.fetch_add(1, Ordering::SeqCst), 0, "two at once");
                tokio::time::sleep(Duration::from_millis(5)).await;
                under_way.fetch_sub(1, Ordering::SeqCst);
                collected()
            }
        }
    };
    let stop = CancellationToken::new();
    let patience = Patience {
        headers: Duration::from_millis(300),
        connection: Duration::from_secs(600),
    };
    let server = tokio::spawn(serve_with(listener, collect, stop.clone(), patience));
    // All places are taken by connections that say nothing; they lose them, to scrapes that have said all by then.
    let mut silent = Vec::new();
    for _ in 0..5 {
        silent.push(TcpStream::connect(address).await.expect("connected"));
    }
    let scrapes: Vec<_> = (0..10)
        .map(|_| tokio::spawn(ask(address, "GET /metrics", "")))
        .collect();
    for scrape in scrapes {
        assert_eq!(scrape.await.expect("answered").0, 200);
    }
    stop.cancel();
    server.await.expect("it ends");
    assert!(
        TcpStream::connect(address).await.is_err(),
        "nobody listens any more"
    );
}

/// Every family that a scrape may have, and no other, is explained in docs/metrics.md, in the same words.
#[tokio::test]
async fn the_document_explains_all_families() {
    let mut all = collected();
    if let Some(sites) = &mut all.sites {
        sites.prober.probe_to_tables_ms = sites.prober.lateness_ms;
    }
    let (address, _stop) = endpoint(all).await;
    let (_, _, body) = ask(address, "GET /metrics", "").await;
    let told: BTreeMap<String, String> = Scraped::read(&body).help;
    let row = |line: &str| {
        let (name, rest) = line.strip_prefix("| `")?.split_once('`')?;
        let help = rest.trim_matches([' ', '|']).split(" | ").last()?;
        let name = name.split('{').next()?;
        Some((name.to_owned(), help.trim().to_owned()))
    };
    let explained: BTreeMap<String, String> = DOCUMENT.lines().filter_map(row).collect();
    assert_eq!(explained, told);
}

/// What 10,000 services with three sites each cost: the whole text stays within a bound, and without each site it
/// does not depend on their number.
#[tokio::test]
async fn ten_thousand_services_stay_within_bounds() {
    let mut many = collected();
    let sites = (0..10_000).flat_map(|service| {
        let service = format!("service{service}.balanced.example.com");
        (0..3).map(move |index| {
            let mut site = site(&service, &format!("frankfurt-{index}"), index, State::Up);
            site.load = Some(12.25);
            site.failures = BTreeMap::from([("timed_out".into(), 1), ("status".into(), 2)]);
            site
        })
    });
    if let Some(all) = &mut many.sites {
        all.sites = sites.collect();
    }
    let (address, _stop) = endpoint(many.clone()).await;
    let (_, _, body) = ask(address, "GET /metrics", OPEN_METRICS).await;
    let samples = body
        .lines()
        .filter(|line| line.starts_with("dglb_site_state"))
        .count();
    assert_eq!(samples, 10_000 * 3 * 5);
    let megabytes = body.len() as f64 / 1e6;
    assert!(megabytes < 60.0, "{megabytes} MB");
    many.each_site = false;
    let (address, _stop) = endpoint(many).await;
    let (_, _, body) = ask(address, "GET /metrics", OPEN_METRICS).await;
    assert!(body.len() < 20_000, "{}", body.len());
    assert!(body.contains("dglb_sites{state=\"up\"} 30000"));
}
