//! What is shown, with a daemon that says what the test tells it, at a real socket; and how daemon and
//! tables are compared. What the walk finds is held against answers in the `dglb-tests` crate.

use std::net::Ipv4Addr;

use dglb_common::layout::{
    Answer, AnswerRef, KIND_A, NameWord, RANKING_PAGE, VantageValue, ranking_place,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{
    control::{
        protocol::{Reply, Request},
        server,
    },
    policy::State,
    ready::{self, AddressRow},
};

const DNS_LB: &str = include_str!("../../../docs/examples/dns-lb.toml");
const DNS_B: &str = include_str!("../../../docs/examples/dns-b.toml");
const FRANKFURT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 80);
const TOKYO: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 80);

/// An example node whose socket stands in a directory of its own.
struct Node {
    config: Config,
    tables: Tables,
    _directory: TempDir,
}

impl Node {
    fn of(example: &str, datapath: Datapath) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let mut config = Config::from_text("node.toml", example).expect("an example");
        config.node.run_dir = directory.path().join("run");
        config.node.datapath = datapath;
        let built = build(&config, ANY_SECRET, &Restored::default()).expect("it fits");
        Self {
            config,
            tables: built.tables,
            _directory: directory,
        }
    }

    /// The default vantage answers A of `name` with this list.
    fn serving(mut self, name: &str, addresses: &[Ipv4Addr], ttl: u32) -> Self {
        let addresses: Vec<IpAddr> = addresses.iter().copied().map(IpAddr::V4).collect();
        let list = ready::addresses(AddressRow::DnsLb, &addresses, ttl).expect("addresses");
        let answer = Answer {
            generation: 7,
            smaller: 0,
            ..list.as_slice()[0]
        };
        let slot = self.tables.answers.len() as u32;
        self.tables.answers.push(answer);
        let name = name.parse().expect("a name");
        let word = NameWord(self.tables.name(&name).expect("of the node").word);
        let groups = self.tables.settings.groups;
        let (page, index) = ranking_place(groups, 0, word.group(), KIND_A);
        self.tables.rankings[page as usize * RANKING_PAGE + index as usize] =
            AnswerRef::new(slot, 7);
        self
    }

    /// As if its tables were those in the kernel.
    fn in_kernel(&self, question: &Question) -> anyhow::Result<Value> {
        let explainer = Explainer {
            config: &self.config,
            tables: &InMemory::new(&self.tables),
            in_kernel: true,
        };
        Ok(serde_json::to_value(explainer.explain(question)?)?)
    }

    fn explained(&self, question: &Question) -> anyhow::Result<Value> {
        Ok(serde_json::to_value(explain(&self.config, question)?)?)
    }

    /// Runs `test` beside a daemon that replies so to [`Request::Explain`].
    fn beside_daemon<R>(&self, reply: Reply, test: impl FnOnce() -> R) -> R {
        let runtime = Runtime::new().expect("a runtime");
        let stop = CancellationToken::new();
        let bound = server::bind(&self.config.node).expect("a socket");
        let handle = move |request, _| {
            let reply = match request {
                Request::Explain { .. } => reply.clone(),
                other => Reply::Done(other.to_string()),
            };
            async move { reply }
        };
        let serving = runtime.spawn(bound.serve(handle, stop.clone()));
        // Bound means not yet answered.
        while matches!(
            crate::control::client::ask(&self.config.node, &Request::Status),
            Err(crate::control::client::AskError::NoDaemon { .. })
        ) {
            thread::yield_now();
        }
        let result = test();
        stop.cancel();
        runtime
            .block_on(serving)
            .expect("no panic")
            .expect("it served");
        result
    }
}

fn question(name: &str) -> Question {
    Question {
        name: name.parse().expect("a name"),
        from: "198.51.100.99".parse().expect("an address"),
        subnet: None,
        family: Family::Ipv4,
    }
}

fn explanation(answer: &[(Ipv4Addr, f64)], ttl_s: u32) -> Reply {
    let candidate = |site: &str, removed_by: Option<&str>, score| CandidateView {
        site: site.to_owned(),
        address: Some(FRANKFURT.into()),
        state: State::Up,
        removed_by: removed_by.map(str::to_owned),
        score,
        share_percent: score.map_or(0.0, |_| 100.0),
    };
    Reply::Explain(Explanation {
        service: "www.g.foo.com".to_owned(),
        candidates: vec![
            candidate("frankfurt", None, Some(12.3)),
            candidate("tokyo", Some("healthy: down (refused)"), None),
        ],
        notes: vec!["tier primary was used".to_owned()],
        answer: answer
            .iter()
            .map(|(address, share)| (IpAddr::V4(*address), *share))
            .collect(),
        ttl_s,
    })
}

fn notes(said: &Value) -> String {
    said["notes"].to_string()
}

#[test]
fn what_the_tables_serve_is_compared_with_what_the_daemon_chose() {
    let node = Node::of(DNS_LB, Datapath::Xdp).serving("www.g.foo.com", &[FRANKFURT], 60);
    for (reply, agrees) in [
        (explanation(&[(FRANKFURT, 100.0), (TOKYO, 0.0)], 60), true),
        (explanation(&[(TOKYO, 100.0)], 60), false),
        // No row of buckets: who shares is in the list.
        (explanation(&[(FRANKFURT, 50.0), (TOKYO, 50.0)], 60), false),
        (explanation(&[(FRANKFURT, 100.0)], 20), false),
        (explanation(&[], 60), false),
    ] {
        let about = format!("{reply:?}");
        let said = node.beside_daemon(reply, || node.in_kernel(&question("www.g.foo.com")));
        let said = said.expect("explained");
        assert_eq!(said["agrees"], agrees, "{about}: {said}");
        assert_eq!(said["answer"], json!([FRANKFURT.to_string()]), "{said}");
        assert_eq!(
            (&said["ttl_s"], &said["slot"][1]),
            (&json!(60), &json!(7)),
            "{said}"
        );
        assert_eq!(said["candidates"][0]["site"], "frankfurt", "{said}");
        assert_eq!(said["candidates"][0]["score"], 12.3, "{said}");
        assert_eq!(
            said["candidates"][1]["removed_by"],
            "healthy: down (refused)"
        );
        assert!(notes(&said).contains("tier primary was used"), "{said}");
        assert_eq!(notes(&said).contains("look again"), !agrees, "{said}");
    }
}

#[test]
fn without_a_daemon_the_kernel_s_part_is_shown_and_says_so() {
    let node = Node::of(DNS_LB, Datapath::Xdp).serving("www.g.foo.com", &[FRANKFURT], 60);
    let said = node
        .in_kernel(&question("www.g.foo.com"))
        .expect("explained");
    assert_eq!(
        (&said["daemon"], &said["agrees"]),
        (&json!(false), &Value::Null),
        "{said}"
    );
    assert_eq!(
        (&said["candidates"], &said["kind"]),
        (&json!([]), &json!("addresses")),
        "{said}"
    );
    assert!(notes(&said).contains("`dglb run` starts it"), "{said}");
    // One that runs and refuses is another thing.
    let refused = Reply::Error("not now".to_owned());
    let said = node.beside_daemon(refused, || node.in_kernel(&question("www.g.foo.com")));
    let said = said.expect("explained");
    assert_eq!(said["daemon"], true, "{said}");
    assert!(notes(&said).contains("not now"), "{said}");
}

#[test]
fn what_was_never_measured_is_servfail() {
    let node = Node::of(DNS_LB, Datapath::Xdp);
    let said = node
        .in_kernel(&question("www.g.foo.com"))
        .expect("explained");
    assert_eq!(
        (&said["kind"], &said["given_by"]),
        (&json!("servfail"), &json!("user space")),
        "{said}"
    );
    assert!(
        notes(&said).contains("SERVFAIL until the sites are measured"),
        "{said}"
    );
}

#[test]
fn a_slot_of_another_generation_is_told() {
    let mut node = Node::of(DNS_LB, Datapath::Xdp).serving("www.g.foo.com", &[FRANKFURT], 60);
    node.tables.answers.last_mut().expect("a slot").generation = 8;
    let said = node
        .in_kernel(&question("www.g.foo.com"))
        .expect("explained");
    assert!(notes(&said).contains("another generation"), "{said}");
}

#[test]
fn an_old_heartbeat_and_a_lease_that_is_over_are_told() {
    let mut node = Node::of(DNS_LB, Datapath::Xdp).serving("www.g.foo.com", &[FRANKFURT], 60);
    node.tables.heartbeat = monotonic_ns();
    let said = node
        .in_kernel(&question("www.g.foo.com"))
        .expect("explained");
    assert_eq!(
        (&said["state"], &said["given_by"]),
        (&json!("live"), &json!("kernel")),
        "{said}"
    );
    node.tables.settings.max_stale_ns = 1;
    let said = node
        .in_kernel(&question("www.g.foo.com"))
        .expect("explained");
    assert_eq!(
        (&said["state"], &said["given_by"]),
        (&json!("stale"), &json!("user space")),
        "{said}"
    );
    assert!(notes(&said).contains("node.max_stale"), "{said}");
    node.tables.vantages[0] = VantageValue {
        serves: 0,
        backup: 1,
        deadline: 0,
    };
    node.tables.heartbeat = 1 << 40;
    let said = node
        .in_kernel(&question("www.g.foo.com"))
        .expect("explained");
    assert_eq!(
        (&said["vantage"], &said["serves"]),
        (&json!(0), &json!(1)),
        "{said}"
    );
    assert_eq!(said["serves_name"], "lb2.isp2.example", "{said}");
    assert!(notes(&said).contains("vantage 0 is down"), "{said}");
}

#[test]
fn a_dns_b_has_no_candidates_and_tells_to_whom_it_refers() {
    let node = Node::of(DNS_B, Datapath::Xdp);
    let never = Reply::Error("a DNS-B is not asked for sites".to_owned());
    let said = node.beside_daemon(never, || node.in_kernel(&question("www.g.foo.com")));
    let said = said.expect("explained");
    assert_eq!(
        (&said["daemon"], &said["candidates"]),
        (&json!(true), &json!([])),
        "{said}"
    );
    assert_eq!(
        (&said["role"], &said["kind"]),
        (&json!("dns-b"), &json!("referral")),
        "{said}"
    );
    assert_eq!(
        (&said["matched"], &said["row"]),
        (&json!("default"), &json!("b-r")),
        "{said}"
    );
    assert!(
        said["vantage_name"]
            .as_str()
            .is_some_and(|name| name.contains(".example")),
        "{said}"
    );
    assert!(!notes(&said).contains("not asked for sites"), "{said}");
    // The zone's own data come from the configuration.
    let said = node
        .in_kernel(&question("ns1.g.foo.com"))
        .expect("explained");
    assert_eq!(
        (&said["service"], &said["kind"]),
        (&Value::Null, &json!("addresses")),
        "{said}"
    );
    assert_eq!(said["given_by"], "user space", "{said}");
}

#[test]
fn in_user_space_the_daemon_says_what_is_answered() {
    let node = Node::of(DNS_LB, Datapath::Userspace);
    let error = node
        .explained(&question("www.g.foo.com"))
        .expect_err("nothing to show");
    assert!(error.to_string().contains("no daemon runs"), "{error}");
    let reply = explanation(&[(FRANKFURT, 75.0), (TOKYO, 25.0)], 30);
    let said = node.beside_daemon(reply, || node.explained(&question("www.g.foo.com")));
    let said = said.expect("explained");
    assert_eq!(
        said["answer"],
        json!([FRANKFURT.to_string(), TOKYO.to_string()]),
        "{said}"
    );
    assert_eq!(
        (&said["ttl_s"], &said["state"]),
        (&json!(30), &json!("none")),
        "{said}"
    );
    assert_eq!(
        (&said["agrees"], &said["slot"]),
        (&Value::Null, &Value::Null),
        "{said}"
    );
    assert!(notes(&said).contains("no kernel tables"), "{said}");
}

#[test]
fn a_name_of_somebody_else_is_none_of_ours() {
    let node = Node::of(DNS_LB, Datapath::Xdp);
    let error = node
        .in_kernel(&question("www.example.net"))
        .expect_err("not ours");
    let expected = "www.example.net. is not a name of lb1.isp1.example";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn the_page_reads_from_the_question_down_to_the_sites() {
    let mut node = Node::of(DNS_LB, Datapath::Xdp).serving("www.g.foo.com", &[FRANKFURT], 60);
    node.tables.heartbeat = 0;
    let explainer = Explainer {
        config: &node.config,
        tables: &InMemory::new(&node.tables),
        in_kernel: true,
    };
    let reply = explanation(&[(FRANKFURT, 100.0)], 60);
    let explained = node.beside_daemon(reply, || explainer.explain(&question("www.g.foo.com")));
    let mut out = Vec::new();
    page::print(&explained.expect("explained"), &mut out).expect("written");
    let slot = node.tables.answers.len() - 1;
    let expected = format!(
        "\
www.g.foo.com A, asked by 198.51.100.99 at dns-lb lb1.isp1.example

name      www.g.foo.com
matched   default
vantage   0 (lb1.isp1.example)
slot      {slot}, generation 7
answer    addresses, row lb-address, given by kernel
          www.g.foo.com. 60 IN A 192.0.2.80
TTL       60 s
tables    live

sites, as the daemon sees them
  site       address     state  score  share  removed by
  frankfurt  192.0.2.80  up     12.30  100 %
  tokyo      192.0.2.80  up         -    0 %  healthy: down (refused)

the tables serve what the daemon chose

note: this node looks no source of this family up: all have the default vantage
note: tier primary was used
"
    );
    assert_eq!(String::from_utf8(out).expect("text"), expected);
}
