//! User space looks names up in the configuration, the kernel program in the tables: here the tables are
//! walked as the kernel program does, by label counts, roles and flags, and what stands at the end must be
//! what user space answered. (The differential test holds the two programs themselves against each other.)

use dglb_common::{
    layout::{
        Answer, KIND_A, KIND_AAAA, KIND_CNAME, KIND_HOST_A, KIND_HOST_AAAA, KIND_HOST_NODATA,
        KIND_NODATA, KIND_NS, KIND_NXDOMAIN, KIND_REFERRAL, KIND_SOA, KIND_UNKNOWN_LABEL,
        MAX_LABEL_COUNTS, NameRole, NameWord,
    },
    query::{TYPE_A, TYPE_AAAA, TYPE_NS, TYPE_SOA, is_fast_type},
};

use super::{world::*, *};
use crate::{answer::template, label::Label, name::OwnerName};

/// The labels of a name, as suffixes of it: `suffix(n)` has the last `n` labels.
struct Walk<'a> {
    tables: &'a Tables,
    suffixes: Vec<OwnerName>,
    qtype: u16,
    source: IpAddr,
}

/// A ready answer, and octets of the question in front of its base.
type Found<'a> = (&'a Answer, usize);

impl<'a> Walk<'a> {
    fn new(tables: &'a Tables, name: &OwnerName, qtype: u16, source: IpAddr) -> Self {
        let mut suffixes: Vec<OwnerName> =
            std::iter::successors(Some(name.clone()), OwnerName::parent).collect();
        suffixes.reverse();
        Self {
            tables,
            suffixes,
            qtype,
            source,
        }
    }

    fn labels(&self) -> usize {
        self.suffixes.len() - 1
    }

    /// The longest entry: the first one by descending label counts.
    fn find(&self) -> Option<(NameWord, usize)> {
        let counts = self.tables.settings.label_counts.map(usize::from);
        counts
            .into_iter()
            .take_while(|count| *count != 0)
            .find_map(|count| {
                let value = self.tables.name(self.suffixes.get(count)?)?;
                Some((NameWord(value.word), count))
            })
    }

    /// The label in front of the last `count` labels, if it has the reserved form.
    fn label_before(&self, count: usize) -> Option<[u8; 16]> {
        let wire = self.suffixes.get(count + 1)?.wire();
        let label: [u8; 16] = wire.first_chunk().copied()?;
        Label::from_wire(&label).map(|label| label.wire())
    }

    fn at(&self, vantage: u32, word: NameWord, kind: u32, base: usize) -> Option<Found<'a>> {
        let client = crate::tables::client(self.source);
        let (answer, _) = self.tables.answer(vantage, word.group(), kind, client)?;
        let question = self.suffixes[self.labels()].wire().len();
        Some((answer, question - self.suffixes[base].wire().len()))
    }

    fn fixed(&self, word: NameWord, kind: u32, base: usize) -> Option<Found<'a>> {
        self.at(self.tables.settings.default_vantage, word, kind, base)
    }

    fn serving(&self, vantage: u32, word: NameWord, kind: u32, base: usize) -> Option<Found<'a>> {
        self.at(self.tables.serving(vantage)?, word, kind, base)
    }

    /// What the kernel program answers; `None`: it passes.
    fn answer(&self) -> Option<Found<'a>> {
        let (word, n) = self.find()?;
        let depth = self.labels() - n;
        let fast = is_fast_type(self.qtype);
        let source = self.tables.vantage_of(self.source);
        let default = self.tables.settings.default_vantage;
        match NameRole::from_u8(word.role())? {
            NameRole::BReferral if fast => self.serving(source, word, KIND_REFERRAL, n),
            NameRole::BCname if fast && depth == 0 && self.qtype != TYPE_NS => {
                self.serving(source, word, KIND_CNAME, n)
            }
            NameRole::BCname if fast && depth > 0 => match self.label_before(n) {
                Some(label) => match self.tables.labels.get(&label) {
                    Some(&vantage) => self.serving(vantage, word, KIND_REFERRAL, n + 1),
                    None => self.serving(default, word, KIND_UNKNOWN_LABEL, n + 1),
                },
                None => self.nxdomain(word, n),
            },
            NameRole::BAddress if fast && depth == 0 => match self.qtype {
                TYPE_A => self.serving(source, word, KIND_A, n),
                TYPE_AAAA => self.serving(source, word, KIND_AAAA, n),
                _ => self.fixed(word, KIND_NODATA, n),
            },
            NameRole::BEmpty if fast && depth == 0 => self.fixed(word, KIND_NODATA, n),
            NameRole::BAddress | NameRole::BApex | NameRole::BPresent | NameRole::BEmpty
                if fast && depth > 0 =>
            {
                self.nxdomain(word, n)
            }
            NameRole::LbReferral => self.delegated(word, n, source),
            NameRole::LbCname if depth == 0 => {
                let kind = match self.qtype {
                    TYPE_A => KIND_A,
                    TYPE_AAAA => KIND_AAAA,
                    _ => return None,
                };
                self.serving(source, word, kind, n).filter(|(answer, _)| {
                    word.has(NameWord::ITSELF) && answer.row == Counter::LbAddress as u32
                })
            }
            NameRole::LbCname => {
                let label = self.label_before(n)?;
                self.delegated(word, n + 1, *self.tables.labels.get(&label)?)
            }
            _ => None,
        }
    }

    fn nxdomain(&self, word: NameWord, n: usize) -> Option<Found<'a>> {
        let found = self.fixed(word, KIND_NXDOMAIN, n);
        found.filter(|_| word.has(NameWord::COMPLETE))
    }

    /// At or below M, which has `m` labels and the addresses of `vantage`.
    fn delegated(&self, word: NameWord, m: usize, vantage: u32) -> Option<Found<'a>> {
        let depth = self.labels() - m;
        if depth == 0 {
            return match self.qtype {
                TYPE_A => self.serving(vantage, word, KIND_A, m),
                TYPE_AAAA => self.serving(vantage, word, KIND_AAAA, m),
                TYPE_NS => self.fixed(word, KIND_NS, m),
                TYPE_SOA => self.fixed(word, KIND_SOA, m),
                qtype if is_fast_type(qtype) => self.fixed(word, KIND_NODATA, m),
                _ => None,
            };
        }
        if !is_fast_type(self.qtype) {
            return None;
        }
        let is_form_r = word.role() == NameRole::LbReferral as u8;
        let host = if depth != 1 {
            None
        } else if is_form_r {
            let label = self.label_before(m);
            label.map(|label| self.tables.labels.get(&label).copied())
        } else {
            let is_ns = self.suffixes[m + 1].wire().starts_with(b"\x02ns");
            is_ns.then_some(Some(vantage))
        };
        let Some(known) = host else {
            return self.fixed(word, KIND_NXDOMAIN, m);
        };
        let kind = match self.qtype {
            TYPE_A => Some(KIND_HOST_A),
            TYPE_AAAA => Some(KIND_HOST_AAAA),
            _ => None,
        };
        let address = kind.and_then(|kind| self.at(known?, word, kind, m));
        address.or_else(|| self.fixed(word, KIND_HOST_NODATA, m))
    }
}

/// Names of all kinds: each part may be missing, in either letter case.
fn names() -> impl Strategy<Value = String> {
    let known = [DEFAULT, NEAR].map(label).map(|label| label.to_string());
    let host = prop_oneof![
        Just(String::new()),
        Just("ns.".to_owned()),
        Just("x.".to_owned()),
        Just("x.ns.".to_owned()),
        Just("a.".to_owned()),
    ];
    let label = prop_oneof![
        3 => Just(String::new()),
        1 => Just(format!("{}.", known[0])),
        1 => Just(format!("{}.", known[1])),
        1 => Just(format!("{}.", unknown_label())),
        1 => Just("lb0123456789abw.".to_owned()),
        1 => Just("x.".to_owned()),
    ];
    let service = proptest::sample::select(vec![
        "r.g.foo.com",
        "d.g.foo.com",
        "k.g.foo.com",
        "g.foo.com",
        "ns1.g.foo.com",
        "a.empty.g.foo.com",
        "empty.g.foo.com",
        "no.g.foo.com",
        "shop.foo.com",
        "www.foo.com",
        "foo.com",
        "com",
    ]);
    (host, label, service, any::<bool>()).prop_map(|(host, label, service, is_loud)| {
        let name = format!("{host}{label}{service}");
        if is_loud { name.to_uppercase() } else { name }
    })
}

fn nodes() -> [(World, Answerer); 3] {
    [dns_b, dns_lb, dns_isp_lb].map(|config| {
        let world = || {
            let world = World::of(config());
            let (r, c) = match config().role {
                Role::DnsB(_) => ("d.g.foo.com", "d.g.foo.com"),
                Role::DnsLb(_) => ("www.foo.com", "shop.foo.com"),
            };
            world
                .addresses(r, DEFAULT, KIND_A, &[v4(1), v4(2)])
                .addresses(r, NEAR, KIND_AAAA, &[v6(1)])
                .addresses(c, NEAR, KIND_A, &[v4(3)])
                .buckets(c, DEFAULT, KIND_AAAA, [v6(4), v6(5)])
        };
        (world(), world().answerer())
    })
}

thread_local! {
    static NODES: [(World, Answerer); 3] = nodes();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn what_stands_in_the_tables_is_what_user_space_answers(
        qname in names(),
        qtype in prop_oneof![
            Just(TYPE_A), Just(TYPE_AAAA), Just(TYPE_NS), Just(TYPE_SOA), Just(5_u16), Just(16),
            Just(43), Just(48), Just(64), Just(257),
        ],
        node in 0_usize..3,
        source in proptest::sample::select(vec![STRANGER, v4(200), LISTED_V6]),
    ) {
        let query = ask(&qname, qtype);
        NODES.with(|nodes| {
            let (world, answerer) = &nodes[node];
            let walk = Walk::new(&world.tables, &name(&qname), qtype, source);
            let Some((answer, octets_before)) = walk.answer() else {
                return Ok(());
            };
            let answered = answerer.answer_message(&query, source, Transport::Tcp);
            let answered = answered.expect("what the kernel answers is answered");
            prop_assert_eq!(answered.counter as u32, answer.row);
            prop_assert_eq!(answered.octets[2] & 4 != 0, answer.authoritative != 0);
            prop_assert_eq!(answered.octets[3] & 0xf, answer.rcode);
            let records = template::records(answer, octets_before, query.len());
            prop_assert_eq!(&answered.octets[query.len()..], records);
            Ok(())
        })?;
    }
}

/// The walk above is of use only where it finds something: each row, at names of each kind.
#[test]
fn the_walk_comes_to_each_row() {
    let nodes = nodes();
    let label = label(NEAR);
    let row = |node: usize, qname: &str, qtype| {
        let walk = Walk::new(&nodes[node].0.tables, &name(qname), qtype, STRANGER);
        walk.answer()
            .map(|(answer, _)| Counter::ALL[answer.row as usize])
    };
    for (node, qname, qtype, expected) in [
        (0, "x.r.g.foo.com".to_owned(), TYPE_A, Counter::BR),
        (0, "shop.foo.com".to_owned(), TYPE_A, Counter::BCName),
        (0, format!("{label}.shop.foo.com"), TYPE_A, Counter::BCLabel),
        (0, "d.g.foo.com".to_owned(), TYPE_A, Counter::BAddress),
        (0, "d.g.foo.com".to_owned(), TYPE_NS, Counter::BNodata),
        (0, "empty.g.foo.com".to_owned(), TYPE_A, Counter::BNegative),
        (0, "x.ns1.g.foo.com".to_owned(), TYPE_A, Counter::BNegative),
        (0, "x.shop.foo.com".to_owned(), TYPE_A, Counter::BNegative),
        (1, "www.foo.com".to_owned(), TYPE_A, Counter::LbAddress),
        (1, "www.foo.com".to_owned(), 16, Counter::LbNodata),
        (1, "www.foo.com".to_owned(), TYPE_SOA, Counter::LbApex),
        (1, format!("{label}.shop.foo.com"), TYPE_NS, Counter::LbApex),
        (
            1,
            format!("{label}.www.foo.com"),
            TYPE_AAAA,
            Counter::LbHost,
        ),
        (
            1,
            format!("ns.{label}.shop.foo.com"),
            TYPE_A,
            Counter::LbHost,
        ),
        (
            1,
            format!("x.{label}.shop.foo.com"),
            16,
            Counter::LbNxdomain,
        ),
        (2, "shop.foo.com".to_owned(), TYPE_AAAA, Counter::LbAddress),
    ] {
        assert_eq!(row(node, &qname, qtype), Some(expected), "{qname}");
    }
    for (node, qname, qtype) in [
        (0, "g.foo.com", TYPE_A),
        (0, "ns1.g.foo.com", TYPE_A),
        (0, "shop.foo.com", TYPE_NS),
        (0, "foo.com", TYPE_A),
        (0, "x.g.foo.com", 43),
        (1, "shop.foo.com", TYPE_A),
        (1, "x.shop.foo.com", TYPE_A),
        (2, "shop.foo.com", TYPE_NS),
    ] {
        assert_eq!(row(node, qname, qtype), None, "{qname} {qtype}");
    }
}
