use hickory_proto::op::Message;

use super::*;

const OWN: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);
const BACKUP: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);
const OWN_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 7, 0, 0, 0, 1);
const BACKUP_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 8, 0, 0, 0, 1);

/// The records behind a question for `qname`, as a resolver reads them: section, text.
fn read(qname: &OwnerName, octets_before: usize, answer: &Answer) -> Vec<(char, String)> {
    let mut message = vec![0, 1, 0x84, answer.rcode, 0, 1];
    for count in [answer.answers, answer.authorities, answer.additionals] {
        message.extend_from_slice(&[0, count]);
    }
    message.extend_from_slice(qname.wire());
    message.extend_from_slice(&[0, 1, 0, 1]);
    let start = message.len();
    message.extend_from_slice(&answer.octets[..usize::from(answer.len)]);
    let to_records = usize::from(answer.record_pointers);
    let all = to_records + usize::from(answer.base_pointers);
    for (index, &pointer) in answer.pointers[..all].iter().enumerate() {
        let at = start + usize::from(pointer);
        let moved_by = if index < to_records {
            start - 12
        } else {
            octets_before
        };
        let moved = u16::from_be_bytes([message[at], message[at + 1]]) + moved_by as u16;
        message[at..at + 2].copy_from_slice(&moved.to_be_bytes());
    }
    let message = Message::from_vec(&message).expect("a message");
    let sections = [
        ('n', message.answers),
        ('u', message.authorities),
        ('d', message.additionals),
    ];
    sections
        .into_iter()
        .flat_map(|(section, records)| {
            records
                .into_iter()
                .map(move |record| (section, record.to_string()))
        })
        .collect()
}

fn name(text: &str) -> OwnerName {
    text.parse().expect(text)
}

fn soa_of(mname: &str, rname: &str) -> Soa {
    Soa {
        mname: name(mname),
        rname: name(rname),
        serial: 7,
        refresh: 3600,
        retry: 600,
        expire: 86_400,
        minimum: 30,
        ttl: 60,
    }
}

fn zone(apex: &str) -> Zone {
    Zone {
        apex: name(apex),
        soa: soa_of(&format!("ns1.{apex}"), "hostmaster.foo.com"),
        ns: vec![name(&format!("ns1.{apex}"))],
        ttl: 3600,
        hosts: Vec::new(),
    }
}

fn server(label: &Label, ipv4: Ipv4Addr, ipv6: Option<Ipv6Addr>) -> NameServer<'_> {
    NameServer { label, ipv4, ipv6 }
}

/// Sections and texts of each variant for a question at the base.
fn all(qname: &str, variants: &Variants) -> Vec<Vec<(char, String)>> {
    let variants = variants.as_slice().iter();
    variants
        .map(|answer| read(&name(qname), 0, answer))
        .collect()
}

#[test]
fn a_referral_leaves_out_the_backup_then_the_ipv6_glue() {
    let (own, backup) = (Label::of_node("lb1"), Label::of_node("lb2"));
    let variants = referral(
        server(&own, OWN, Some(OWN_V6)),
        Some(server(&backup, BACKUP, Some(BACKUP_V6))),
        3600,
    );
    let line = |section, rest: String| (section, rest);
    let n = "www.g.foo.com.";
    let ns_own = line('u', format!("{n} 3600 IN NS {own}.{n}"));
    let ns_backup = line('u', format!("{n} 3600 IN NS {backup}.{n}"));
    let a_own = line('d', format!("{own}.{n} 3600 IN A {OWN}"));
    let aaaa_own = line('d', format!("{own}.{n} 3600 IN AAAA {OWN_V6}"));
    let a_backup = line('d', format!("{backup}.{n} 3600 IN A {BACKUP}"));
    let aaaa_backup = line('d', format!("{backup}.{n} 3600 IN AAAA {BACKUP_V6}"));
    let expected = vec![
        vec![
            ns_own.clone(),
            ns_backup,
            a_own.clone(),
            aaaa_own.clone(),
            a_backup,
            aaaa_backup,
        ],
        vec![ns_own.clone(), a_own.clone(), aaaa_own],
        vec![ns_own, a_own],
    ];
    assert_eq!(all("www.g.foo.com", &variants), expected);
    // The same, asked three labels below.
    let far = read(&name("a.b.c.www.g.foo.com"), 6, &variants.as_slice()[0]);
    assert_eq!(far, expected[0]);
}

#[test]
fn a_referral_has_no_variant_for_what_it_never_had() {
    let (own, backup) = (Label::of_node("lb1"), Label::of_node("lb2"));
    let plain = referral(server(&own, OWN, None), None, 60);
    assert_eq!(plain.as_slice().len(), 1);
    let with_backup = referral(
        server(&own, OWN, None),
        Some(server(&backup, BACKUP, Some(BACKUP_V6))),
        60,
    );
    assert_eq!(with_backup.as_slice().len(), 2);
    assert_eq!(with_backup.as_slice()[1], plain.as_slice()[0]);
}

#[test]
fn a_referral_below_a_label_names_hosts_by_the_dns_lbs_own_labels() {
    let (own, backup) = (Label::of_node("lb1"), Label::of_node("lb2"));
    let asked = Label::of_node("a third");
    let variants = label_referral(
        server(&own, OWN, Some(OWN_V6)),
        Some(server(&backup, BACKUP, None)),
        60,
    );
    let base = format!("{asked}.shop.foo.com");
    let seen = all(&base, &variants);
    assert_eq!(
        seen[0],
        [
            ('u', format!("{base}. 60 IN NS ns.{own}.shop.foo.com.")),
            ('u', format!("{base}. 60 IN NS ns.{backup}.shop.foo.com.")),
            ('d', format!("ns.{own}.shop.foo.com. 60 IN A {OWN}")),
            ('d', format!("ns.{own}.shop.foo.com. 60 IN AAAA {OWN_V6}")),
            ('d', format!("ns.{backup}.shop.foo.com. 60 IN A {BACKUP}")),
        ]
    );
    assert_eq!(seen.iter().map(Vec::len).collect::<Vec<_>>(), [5, 3, 2]);
    assert!(variants.as_slice().iter().all(|answer| {
        answer.authoritative == 0 && answer.scoped == 0 && answer.row == Counter::BCLabel as u32
    }));
}

#[test]
fn what_is_said_of_an_unknown_label_lasts_a_minute_at_most() {
    let own = Label::of_node("lb1");
    let at = |ttl| unknown_label(server(&own, OWN, None), None, ttl);
    assert_eq!(at(3600), label_referral(server(&own, OWN, None), None, 60));
    assert_eq!(at(7), label_referral(server(&own, OWN, None), None, 7));
}

#[test]
fn form_c_leads_by_alias() {
    let label = Label::of_node("lb1.isp1.example");
    let answer = cname(&label, 60);
    assert_eq!(
        read(&name("shop.foo.com"), 0, &answer),
        [(
            'n',
            format!("shop.foo.com. 60 IN CNAME {label}.shop.foo.com.")
        )]
    );
    assert_eq!((answer.authoritative, answer.scoped), (1, 1));
}

#[test]
fn a_list_is_cut_from_its_end() {
    let addresses: Vec<IpAddr> = (1..=3).map(|last| [192, 0, 2, last].into()).collect();
    let variants = super::addresses(AddressRow::DnsLb, &addresses, 60).expect("some");
    let seen = all("www.g.foo.com", &variants);
    for (index, list) in seen.iter().enumerate() {
        let expected: Vec<_> = addresses[..3 - index]
            .iter()
            .map(|address| ('n', format!("www.g.foo.com. 60 IN A {address}")))
            .collect();
        assert_eq!(*list, expected);
    }
    assert_eq!(seen.len(), 3);
    let first = &variants.as_slice()[0];
    assert_eq!(
        (first.row, first.authoritative, first.scoped),
        (Counter::LbAddress as u32, 1, 1)
    );
}

#[test]
fn a_list_has_each_address_once_and_no_more_than_there_are_variants() {
    let address = |last: u16| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last));
    let many: Vec<IpAddr> = (0..40).map(|index| address(index / 2)).collect();
    let variants = addresses(AddressRow::DnsB, &many, 60).expect("some");
    assert_eq!(variants.as_slice().len(), MAX_VARIANTS);
    let longest = read(&name("x.y"), 0, &variants.as_slice()[0]);
    let expected: Vec<_> = (0..MAX_VARIANTS as u16)
        .map(|last| ('n', format!("x.y. 60 IN AAAA {}", address(last))))
        .collect();
    assert_eq!(longest, expected);
    assert_eq!(variants.as_slice()[0].row, Counter::BAddress as u32);
}

#[test]
fn a_list_of_nothing_is_none() {
    assert_eq!(addresses(AddressRow::DnsB, &[], 60), None);
}

#[test]
fn a_name_server_set_leaves_out_addresses_and_never_the_name() {
    let own = Label::of_node("lb1");
    let variants = name_servers(server(&own, OWN, Some(OWN_V6)), Form::Cname, 60);
    let ns = format!("{own}.shop.foo.com. 60 IN NS ns.{own}.shop.foo.com.");
    let seen = all(&format!("{own}.shop.foo.com"), &variants);
    assert_eq!(
        seen,
        [
            vec![
                ('n', ns.clone()),
                ('d', format!("ns.{own}.shop.foo.com. 60 IN A {OWN}")),
                ('d', format!("ns.{own}.shop.foo.com. 60 IN AAAA {OWN_V6}")),
            ],
            vec![
                ('n', ns.clone()),
                ('d', format!("ns.{own}.shop.foo.com. 60 IN A {OWN}")),
            ],
            vec![('n', ns)],
        ]
    );
    let form_r = name_servers(server(&own, OWN, None), Form::Referral, 60);
    assert_eq!(
        all("www.foo.com", &form_r)[0],
        [
            ('n', format!("www.foo.com. 60 IN NS {own}.www.foo.com.")),
            ('d', format!("{own}.www.foo.com. 60 IN A {OWN}")),
        ]
    );
}

#[test]
fn the_soa_of_a_negative_answer_is_owned_by_what_was_delegated() {
    let soa = soa_of("ns1.g.foo.com", "hostmaster.foo.com");
    let rdata = "SOA ns1.g.foo.com. hostmaster.foo.com. 7 3600 600 86400 30";
    let service = name("www.g.foo.com");
    let answer = nxdomain(&service, Form::Referral, &soa).expect("fits");
    assert_eq!(
        read(&name("nope.www.g.foo.com"), 5, &answer),
        [('u', format!("www.g.foo.com. 30 IN {rdata}"))]
    );
    assert_eq!((answer.base_pointers, answer.record_pointers), (3, 0));

    let service = name("shop.foo.com");
    let base = service.child(Label::of_node("other").characters());
    let answer = nodata(&service, Form::Cname, &soa).expect("fits");
    assert_eq!(
        read(&base, 0, &answer),
        [('u', format!("{base} 30 IN {rdata}"))]
    );
    let answer = super::soa(&service, Form::Cname, &soa).expect("fits");
    assert_eq!(
        read(&base, 0, &answer),
        [('n', format!("{base} 60 IN {rdata}"))]
    );
}

#[test]
fn a_zones_negative_answers_are_owned_by_its_apex_whatever_the_base() {
    let zone = zone("g.foo.com");
    for (base, before) in [("g.foo.com", 0), ("b.a.g.foo.com", 0), ("a.g.foo.com", 2)] {
        let rdata = "SOA ns1.g.foo.com. hostmaster.foo.com. 7 3600 600 86400 30";
        let asked = if before == 0 {
            base.to_owned()
        } else {
            format!("x.{base}")
        };
        for (answer, row, rcode) in [
            (zone_nodata(&name(base), &zone), Counter::BNodata, 0),
            (zone_empty(&name(base), &zone), Counter::BNegative, 0),
            (zone_nxdomain(&name(base), &zone), Counter::BNegative, 3),
        ] {
            let answer = answer.expect("fits");
            assert_eq!(
                read(&name(&asked), before, &answer),
                [('u', format!("g.foo.com. 30 IN {rdata}"))]
            );
            assert_eq!(
                (answer.row, answer.rcode, answer.authoritative),
                (row as u32, rcode, 1)
            );
        }
    }
}

#[test]
fn a_hosts_negative_answer_lasts_a_minute_at_most() {
    let mut soa = soa_of("ns1.foo.com", "hostmaster.foo.com");
    (soa.ttl, soa.minimum) = (900, 900);
    let answer = host_nodata(&name("www.foo.com"), Form::Referral, &soa).expect("fits");
    let seen = read(&name("www.foo.com"), 0, &answer);
    assert!(seen[0].1.starts_with("www.foo.com. 60 IN SOA "), "{seen:?}");
    let lower = host_nodata(&name("www.foo.com"), Form::Referral, &soa_of("a.b", "c.d"));
    let seen = read(&name("www.foo.com"), 0, &lower.expect("fits"));
    assert!(seen[0].1.starts_with("www.foo.com. 30 IN SOA "), "{seen:?}");
}

#[test]
fn a_hosts_address_stands_at_the_host() {
    let answer = host_address(OWN_V6.into(), 60);
    assert_eq!(
        read(&name("lb.www.foo.com"), 0, &answer),
        [('n', format!("lb.www.foo.com. 60 IN AAAA {OWN_V6}"))]
    );
    assert_eq!((answer.row, answer.scoped), (Counter::LbHost as u32, 0));
}

#[test]
fn names_that_do_not_fit_are_refused() {
    let long = [63, 63, 63, 59].map(|len| "a".repeat(len)).join(".");
    let mut long_soa = soa_of(&long, &long);
    assert_eq!(
        nodata(&name("x.y"), Form::Referral, &long_soa),
        Err(TooLarge)
    );
    assert_eq!(soa(&name("x.y"), Form::Cname, &long_soa), Err(TooLarge));
    // One long name still fits.
    long_soa.rname = name("x.y");
    assert!(nodata(&name("x.y"), Form::Referral, &long_soa).is_ok());
}

#[test]
fn variants_are_linked_from_the_smallest_up() {
    let addresses: Vec<IpAddr> = (1..=3).map(|last| [192, 0, 2, last].into()).collect();
    let variants = super::addresses(AddressRow::DnsLb, &addresses, 60).expect("some");
    let mut slots: Vec<Answer> = Vec::new();
    let largest = variants.link(|answer| {
        slots.push(answer);
        dglb_common::layout::AnswerRef::new(slots.len() as u32 - 1, 1)
    });
    let mut word = largest;
    for records in [3, 2, 1] {
        assert!(word.is_ready());
        let answer = slots[word.slot() as usize];
        assert_eq!(answer.answers, records);
        word = dglb_common::layout::AnswerRef(answer.smaller);
    }
    assert!(!word.is_ready());
}
