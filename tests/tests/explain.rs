//! `dglb explain` follows a query through the tables by itself: what it finds is what a resolver gets. Held
//! against the answer function of user space for each world, against the kernel program for who gives
//! the answer, and with a running node against what comes over the wire.

use std::{
    collections::BTreeSet,
    convert::Infallible,
    net::{IpAddr, Ipv4Addr},
    path::Path,
};

use anyhow::{Context, Result, ensure};
use dglb_common::query::{TYPE_A, TYPE_AAAA};
use dglb_tests::{
    frames::{Message, Packet, opt},
    fuzz::path::{InKernel, Verdict},
    is_root,
    lab::{
        dns,
        node::{SHOP, WWW},
    },
    model::Model,
    rig::{DEFAULT, NEAR, OTHER, RESOLVER, Rig, STRANGER, UNLIMITED, announcer::Announcer},
    world::{self, UNKNOWN_LABEL},
};
use dglb_user::{
    answer::{Answerer, Transport},
    config::Family,
    config::Role,
    explain::{
        has_site,
        served::{Kind, Served},
        walk::{self, Outcome, Query, Walk},
        who::Matched,
    },
    kernel::{live::Live, pins::Pins},
    label::Label,
    name::OwnerName,
    publish::build::{Restored, build},
    tables::{
        Tables,
        live::{InMemory, LiveTables},
    },
};
use hickory_proto::{op::Message as Response, rr::RecordType};
use ipnet::IpNet;
use serde_json::Value;

/// A node whose answers are explained.
struct Explained {
    model: Model,
    /// What follows from its configuration alone.
    built: Tables,
}

impl Explained {
    fn new(model: Model) -> Self {
        let built = build(
            &model.config,
            dglb_tests::model::SECRET,
            &Restored::default(),
        );
        Self {
            built: built.expect("it fits").tables,
            model,
        }
    }

    fn walk<T: LiveTables>(&self, tables: &T, query: &Query<'_>) -> Option<Walk>
    where
        T::Error: std::fmt::Debug,
    {
        let has_site = |service| has_site(&self.model.config, service, query.family);
        walk::walk(tables, query, &has_site).expect("readable tables")
    }

    fn served(&self, walk: &Walk, query: &Query<'_>) -> Served {
        let built = || Ok::<_, Infallible>(self.built.clone());
        let served = Served::of(&walk.outcome, query, &self.model.config, built);
        served.unwrap_or_else(|never| match never {})
    }

    /// Names that are the node's, that lie below them, and that are not.
    fn names(&self) -> Vec<OwnerName> {
        let mut own: Vec<OwnerName> = match &self.model.config.role {
            Role::DnsB(dns_b) => {
                let zones = dns_b.zones.iter();
                let zones = zones.flat_map(|zone| {
                    let hosts = zone.hosts.iter().map(|(host, _)| host);
                    [&zone.apex].into_iter().chain(hosts)
                });
                let services = dns_b.services.iter().map(|service| &service.name);
                zones.chain(services).cloned().collect()
            }
            Role::DnsLb(dns_lb) => {
                let services = dns_lb.services.iter();
                services.map(|service| service.name.clone()).collect()
            }
        };
        let parents: Vec<_> = own.iter().filter_map(OwnerName::parent).collect();
        own.extend(parents);
        let mut names: BTreeSet<OwnerName> = own.iter().cloned().collect();
        for name in own {
            if name.wire().len() > 200 {
                continue;
            }
            let known = match &self.model.config.role {
                Role::DnsB(dns_b) => dns_b.dns_lbs.last().expect("one at least").label,
                Role::DnsLb(dns_lb) => dns_lb.label,
            };
            let others = [known.to_string(), UNKNOWN_LABEL.to_owned(), "x".to_owned()];
            for label in others {
                let below = name.child(label.as_bytes());
                names.insert(below.child(b"ns"));
                names.insert(below.child(b"y"));
                names.insert(below.child(b"y").child(b"z"));
                names.insert(below);
            }
        }
        names.insert("example.com".parse().expect("a name"));
        names.insert(".".parse().expect("a name"));
        names.into_iter().collect()
    }

    /// Who asks: each client by itself; who is believed also for others, by prefixes of several lengths.
    fn askers(&self) -> Vec<(IpAddr, Option<IpNet>)> {
        let clients = self.model.clients();
        let mut askers: Vec<_> = clients.iter().map(|client| (*client, None)).collect();
        // It does not count from who is not believed.
        let somebody = Some(IpNet::from(clients[clients.len() / 2]));
        askers.push((world::STRANGER.into(), somebody));
        for sender in self.model.subnet_senders() {
            askers.push((sender, None));
            for client in &clients {
                let most = if client.is_ipv4() { 32 } else { 128 };
                for len in [0, 20, 24, 56, 64] {
                    let net = IpNet::new(*client, most.min(len)).expect("a length");
                    askers.push((sender, Some(net.trunc())));
                }
            }
        }
        askers
    }

    /// All questions of these names, few of them by each asker where there are many.
    fn questions(&self) -> Vec<(OwnerName, Family, IpAddr, Option<IpNet>)> {
        let askers = self.askers();
        let mut questions = Vec::new();
        for (index, name) in self.names().into_iter().enumerate() {
            for (turn, (source, subnet)) in askers.iter().enumerate() {
                // Each name by every seventh asker, another seventh for each.
                if (index + turn) % 7 != 0 {
                    continue;
                }
                for family in [Family::Ipv4, Family::Ipv6] {
                    questions.push((name.clone(), family, *source, *subnet));
                }
            }
        }
        questions
    }
}

/// The query with room for any answer, by an option that means nothing (RFC 7830).
fn message(query: &Query<'_>) -> Vec<u8> {
    const PADDING: u16 = 12;
    let qtype = match query.family {
        Family::Ipv4 => TYPE_A,
        Family::Ipv6 => TYPE_AAAA,
    };
    let mut options = vec![opt::option(PADDING, &[0; 300])];
    let subnet = query.subnet;
    options.extend(subnet.map(|net| opt::client_subnet(net.addr(), net.prefix_len())));
    let message = Message::plain(query.name.wire(), qtype);
    message.with(opt::record(1232, false, &options)).octets()
}

/// What a resolver reads; silence is the resolver's own of a DNS-ISP-LB.
fn given(answerer: &Answerer, query: &Query<'_>) -> Option<Served> {
    let answered = answerer.answer_message(&message(query), query.source, Transport::Tcp)?;
    let response = Response::from_vec(&answered.octets).expect("readable");
    Some(Served::read(&response))
}

fn check(model: Model) {
    let explained = Explained::new(model);
    let tables = explained.model.tables();
    let live = InMemory::new(&tables);
    let answerer = dglb_tests::fuzz::path::answerer(&explained.model);
    let mut seen = BTreeSet::new();
    for (name, family, source, subnet) in explained.questions() {
        let query = Query {
            name: &name,
            family,
            source,
            subnet,
        };
        let about = format!("{name} {family:?} by {source} for {subnet:?}");
        let given = given(&answerer, &query);
        let Some(walk) = explained.walk(&live, &query) else {
            let is_silent = given.is_none_or(|given| given.kind == Kind::Refused);
            assert!(is_silent, "{about}");
            continue;
        };
        let served = explained.served(&walk, &query);
        seen.insert(served.kind.text());
        let Some(given) = given else {
            // A DNS-ISP-LB leaves it to the resolver.
            assert_eq!(served.kind, Kind::Refused, "{about}");
            continue;
        };
        let composed = matches!(walk.outcome, Outcome::Negative { .. });
        let expected = Served {
            records: if composed {
                Vec::new()
            } else {
                given.records.clone()
            },
            ..given
        };
        assert_eq!(served, expected, "{about}: {walk:?}");
        assert!(!walk.is_torn, "{about}");
        assert_eq!(walk.place.tables_say, None, "{about}");
        if walk.place.by_subnet || !walk.subnet_counts {
            check_place(&explained.model, &walk, &query, &about);
        }
    }
    assert!(seen.len() >= 3, "only {seen:?}");
}

/// The entry that is said to have matched leads to the vantage, and holds who asks.
fn check_place(model: &Model, walk: &Walk, query: &Query<'_>, about: &str) {
    let asker = match query.subnet.filter(|_| walk.place.by_subnet) {
        Some(net) => net.network(),
        None => query.source,
    };
    let expected = match walk.place.matched {
        Matched::Resolver(key) => {
            let of = |(resolver, _): &(&IpAddr, &usize)| {
                dglb_user::tables::resolver_key(**resolver) == key
            };
            let mut resolvers = model.resolvers.iter();
            resolvers.find(of).map(|(_, index)| *index)
        }
        Matched::Prefix(net) => {
            assert!(net.contains(&asker), "{about}: {net}");
            let longest = model.prefixes().iter().filter(|(other, _)| {
                let shorter = query.subnet.is_none_or(|subnet| {
                    !walk.place.by_subnet || other.prefix_len() <= subnet.prefix_len()
                });
                shorter && other.contains(&asker)
            });
            let longest = longest.max_by_key(|(other, _)| other.prefix_len());
            assert_eq!(longest.map(|(other, _)| *other), Some(net), "{about}");
            longest.map(|(_, index)| *index)
        }
        Matched::Default | Matched::NotMapped | Matched::UnknownLabel(_) => {
            Some(model.default_vantage())
        }
        Matched::Label(_) => return,
    };
    assert_eq!(expected, Some(walk.place.vantage as usize), "{about}");
    let serves = walk.serving.map(|serving| serving.vantage as usize);
    assert_eq!(
        serves,
        Some(model.serving(walk.place.vantage as usize)),
        "{about}"
    );
}

#[test]
fn a_dns_b_s_answers_are_those_that_are_given() {
    check(world::dns_b());
}

#[test]
fn a_dns_b_s_addresses_are_those_that_are_given() {
    check(world::dns_b_direct());
}

#[test]
fn a_dns_lb_s_answers_are_those_that_are_given() {
    check(world::dns_lb());
}

#[test]
fn answers_by_vantages_and_buckets_are_those_that_are_given() {
    check(world::dns_lb_vantages());
}

#[test]
fn answers_beside_a_resolver_are_those_that_are_given() {
    check(world::dns_isp_lb());
}

/// "Given by the kernel" is what the program does with such a query, and its answer is that one.
#[test]
fn the_kernel_gives_what_is_said_of_it() {
    if !is_root() {
        return;
    }
    for model in [
        world::dns_b(),
        world::dns_b_direct(),
        world::dns_lb(),
        world::dns_lb_vantages(),
        world::dns_isp_lb(),
    ] {
        let explained = Explained::new(model);
        let tables = explained.model.tables();
        let live = InMemory::new(&tables);
        let mut kernel = InKernel::load(&explained.model).expect("it loads");
        let mut answered = 0;
        for (name, family, source, subnet) in explained.questions() {
            let query = Query {
                name: &name,
                family,
                source,
                subnet,
            };
            let about = format!("{name} {family:?} by {source} for {subnet:?}");
            let addresses = &explained.model.config.node.addresses;
            let of_family = |address: &&IpAddr| address.is_ipv4() == source.is_ipv4();
            let own = addresses.iter().find(of_family).expect("both families");
            let frame = Packet::plain(source, *own, message(&query)).octets();
            let verdict = kernel.run(&frame).expect("it runs");
            let walk = explained.walk(&live, &query);
            let ready = walk.as_ref().and_then(|walk| match &walk.outcome {
                Outcome::Ready(ready) => Some(ready.in_kernel),
                _ => None,
            });
            match verdict {
                Verdict::Reply(reply) => {
                    let walk = walk.expect(&about);
                    assert_eq!(ready, Some(true), "{about}: {walk:?}");
                    let headers = frame.len() - message(&query).len();
                    let response = Response::from_vec(&reply[headers..]).expect("readable");
                    assert_eq!(
                        Served::read(&response),
                        explained.served(&walk, &query),
                        "{about}"
                    );
                    answered += 1;
                }
                Verdict::Pass(_) => assert_ne!(ready, Some(true), "{about}: {walk:?}"),
                Verdict::Drop => panic!("{about}: dropped"),
            }
        }
        assert!(answered > 100, "{answered} were answered");
    }
}

/// `dglb explain --json`.
fn explain(rig: &Rig, name: &str, arguments: &[&str]) -> Result<Value> {
    let arguments = [&[name, "--json"], arguments].concat();
    Ok(serde_json::from_slice(
        &rig.node.run("explain", &arguments)?,
    )?)
}

fn texts(value: &Value) -> Vec<&str> {
    let list = value.as_array().into_iter().flatten();
    list.filter_map(Value::as_str).collect()
}

#[test]
fn a_running_dns_b_is_explained_from_its_live_tables() -> Result<()> {
    if !is_root() {
        return Ok(());
    }
    let more = "\n[client_subnet]\nfrom = [\"100.64.10.0/24\"]\n";
    let mut rig = Rig::dns_b("lab-explain-b", &format!("{UNLIMITED}{more}"))?;
    rig.start()?;
    let near = Announcer::start(&rig, 0, &[RESOLVER])?;
    let _default = Announcer::start(&rig, 1, &[])?;

    for (source, matched, name, address) in [
        (RESOLVER, "resolvers_v4 198.51.100.53", 0, NEAR),
        (STRANGER, "default", 1, DEFAULT),
    ] {
        let said = explain(&rig, WWW, &["--from", &source.to_string()])?;
        assert_eq!(said["matched"], matched, "{said}");
        assert_eq!(said["vantage_name"], rig.plan.dns_lbs[name].0, "{said}");
        assert_eq!(said["serves"], said["vantage"], "{said}");
        assert_eq!(
            (&said["kind"], &said["ttl_s"]),
            (&"referral".into(), &5.into()),
            "{said}"
        );
        assert_eq!(
            (&said["state"], &said["given_by"]),
            (&"live".into(), &"kernel".into()),
            "{said}"
        );
        assert_eq!(
            (&said["daemon"], &said["agrees"]),
            (&true.into(), &Value::Null),
            "{said}"
        );
        assert_eq!(said["candidates"], Value::Array(Vec::new()), "{said}");
        // What the records say is what is given over the wire.
        let glue = format!("A {address}");
        assert!(
            texts(&said["records"])
                .iter()
                .any(|record| record.ends_with(&glue)),
            "{said}"
        );
        assert_eq!(rig.referred_to(source)?, address);
    }
    // A label beats who asks; Client Subnet only where it is believed, and never for a referral.
    let below = format!("{}.{SHOP}", rig.label(1));
    let said = explain(&rig, &below, &["--from", &RESOLVER.to_string()])?;
    assert_eq!(said["matched"], format!("label {}", rig.label(1)), "{said}");
    let subnet = ["--from", "100.64.9.9", "--subnet", "198.51.100.53/32"];
    let said = explain(&rig, SHOP, &subnet)?;
    assert_eq!(said["kind"], "cname", "{said}");
    assert!(
        texts(&said["notes"])
            .iter()
            .any(|note| note.contains("does not count")),
        "{said}"
    );
    let subnet = ["--from", "100.64.10.9", "--subnet", "198.51.100.0/24"];
    let said = explain(&rig, SHOP, &subnet)?;
    assert_eq!(
        (&said["matched"], &said["by_subnet"]),
        (&"default".into(), &true.into()),
        "{said}"
    );

    every_answer_is_read_back(&rig)?;

    // Its lease over, the default stands in; with the daemon dead the tables are still read.
    drop(near);
    dglb_tests::lab::wait::until("near is down", std::time::Duration::from_secs(30), || {
        let said = explain(&rig, WWW, &["--from", &RESOLVER.to_string()])?;
        ensure!(said["serves"] != said["vantage"], "{said}");
        assert_eq!(said["serves_name"], rig.plan.dns_lbs[1].0, "{said}");
        Ok(())
    })?;
    rig.daemon()?.kill()?;
    let said = explain(&rig, WWW, &["--from", &STRANGER.to_string()])?;
    assert_eq!(
        (&said["daemon"], &said["kind"]),
        (&false.into(), &"referral".into()),
        "{said}"
    );
    assert!(
        texts(&said["notes"])
            .iter()
            .any(|note| note.contains("dglb run")),
        "{said}"
    );

    let error = explain(&rig, "www.example.net", &["--from", "192.0.2.1"]).expect_err("not ours");
    let error = error.to_string();
    assert!(
        error.contains("www.example.net. is not a name of"),
        "{error}"
    );
    Ok(())
}

/// The pinned tables lead each query where the same tables in memory lead it.
fn every_answer_is_read_back(rig: &Rig) -> Result<()> {
    let explained = Explained::new(rig.model()?);
    let live = Live::of(&Pins::of(&explained.model.config.node)).context("pinned tables")?;
    let tables = explained.model.tables();
    let memory = InMemory::new(&tables);
    let sources = [RESOLVER, STRANGER, OTHER, Ipv4Addr::new(100, 64, 10, 1)];
    let subnet: IpNet = "198.51.100.53/32".parse()?;
    for name in explained.names() {
        for source in sources.map(IpAddr::V4) {
            for subnet in [None, Some(subnet)] {
                let query = Query {
                    name: &name,
                    family: Family::Ipv4,
                    source,
                    subnet,
                };
                let of = |walk: Option<Walk>| {
                    walk.map(|walk| {
                        let served = explained.served(&walk, &query);
                        (walk.place, walk.role, walk.group, served)
                    })
                };
                let pinned = of(explained.walk(&live, &query));
                assert_eq!(
                    pinned,
                    of(explained.walk(&memory, &query)),
                    "{name} by {source}"
                );
            }
        }
    }
    Ok(())
}

#[test]
fn a_running_dns_lb_is_explained_from_its_live_tables() -> Result<()> {
    if !is_root() {
        return Ok(());
    }
    let demo = Path::new(env!("CARGO_BIN_EXE_dglb-demo"));
    let mut rig = Rig::dns_lb("lab-explain-lb", demo, UNLIMITED)?;
    rig.start()?;
    let from = STRANGER.to_string();
    for name in [WWW, SHOP] {
        let said = explain(&rig, name, &["--from", &from])?;
        assert_eq!(
            said["answer"],
            serde_json::json!([RESOLVER.to_string()]),
            "{said}"
        );
        assert_eq!(said["service"], name, "{said}");
        assert_eq!(
            (&said["row"], &said["type"]),
            (&"lb-address".into(), &"A".into()),
            "{said}"
        );
        assert_eq!(
            (&said["daemon"], &said["given_by"]),
            (&true.into(), &"kernel".into()),
            "{said}"
        );
        assert_ne!(said["agrees"], false, "{said}");
        let asked = said["asked_as"].as_str().unwrap_or(name);
        let answer = dns::ask_from(&rig.asker, STRANGER, NEAR, asked, RecordType::A)?;
        let ttl = answer.answers.first().context("an answer")?.ttl;
        assert_eq!(said["ttl_s"], ttl, "{said}");
    }
    // Form C: it is asked for its own label.
    let own = Label::of_node(rig.node.name());
    let said = explain(&rig, SHOP, &["--from", &from])?;
    assert_eq!(
        (&said["name"], &said["asked_as"]),
        (&SHOP.into(), &format!("{own}.{SHOP}").into()),
        "{said}"
    );
    let said = explain(&rig, WWW, &["--from", &from, "--type", "AAAA"])?;
    assert_eq!(
        (&said["kind"], &said["row"]),
        (&"nodata".into(), &"lb-nodata".into()),
        "{said}"
    );
    // For people.
    let page = String::from_utf8(rig.node.run("explain", &[WWW, "--from", &from])?)?;
    ensure!(
        page.contains("matched") && page.contains(&RESOLVER.to_string()),
        "{page}"
    );
    Ok(())
}
