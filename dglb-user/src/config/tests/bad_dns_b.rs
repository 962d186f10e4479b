//! Mistakes in a DNS-B's file.

use super::{Case, DNS_B, cases, errors_of};
use crate::config::ErrorKind;

#[test]
fn map_and_dns_lbs() {
    let cases = cases![DNS_B;
        "listen = \"10.53.0.1:5353\"" => "", "[map]", "map.listen", MissingKey, "add listen = ";
        "\"10.53.0.1:5353\"" => "\"10.53.0.1\"", "listen", "map.listen", BadForm, "with a port";
        "\"10.53.0.1:5353\"" => "\"10.53.0.1:0\"", "listen", "map.listen", OutOfRange, "from 1 to 65535";
        "\"10.53.0.1:5353\"" => "\"0.0.0.0:5353\"", "listen", "map.listen", OutOfRange, "no TLS yet";
        "\"10.53.0.1:5353\"" => "\"8.8.8.8:5353\"", "listen", "map.listen", OutOfRange, "127.0.0.0/8, 10.0.0.0/8";
        "\"10.53.0.1:5353\"" => "\"[2a00::1]:5353\"", "listen", "map.listen", OutOfRange, "fc00::/7";
        "\"10.53.0.1:5353\"" => "\"192.0.2.53:53\"", "listen", "map.listen", Conflict, "another port";
        "# lease = \"10s\"" => "lease = \"999ms\"", "lease", "map.lease", OutOfRange, "from 1s to 1h";
        "# lease = \"10s\"" => "lease = 10", "lease", "map.lease", WrongType, "\"10s\"";
        "# lease = \"10s\"" => "renew = \"3s\"", "renew", "map.renew", UnknownKey, "a DNS-B has lease";
        "# lease = \"10s\"" => "leese = \"10s\"", "leese", "map.leese", UnknownKey, "did you mean \"lease\"?";
        "default_dns_lb = \"lb1.isp1.example\"" => "", "[map]", "map.default_dns_lb", MissingKey, "add default_dns_lb";
        "default_dns_lb = \"lb1.isp1" => "default_dns_lb = \"lb9.isp1", "lb9", "map.default_dns_lb", Conflict, "lb1.isp1.example, lb2.isp2.example";
        "name = \"lb2.isp2.example\"" => "name = \"LB1.isp1.example\"", "LB1", "dns_lb[1].name", Duplicate, "the first is on line";
        "\"203.0.113.7\"" => "\"198.51.100.7\" # twice", "twice", "dns_lb[1].address", Duplicate, "keep one";
        "\"203.0.113.7\"" => "\"192.0.2.53\"", "lb2.isp2", "dns_lb[1].address", Conflict, "must not refer to itself";
        "\"b1.backbone.example\"" => "\"lb2.isp2.example\" # own", "name = \"lb2.isp2.example\"", "dns_lb[1].name", Conflict, "this node itself";
        "address = \"203.0.113.7\"" => "", "[[dns_lb]]", "dns_lb[1].address", MissingKey, "add address";
        "address = \"203.0.113.7\"" => "adress = \"203.0.113.7\"", "adress", "dns_lb[1].adress", UnknownKey, "\"address\"";
        "address = \"203.0.113.7\"" => "address = \"203.0.113.7\"\naddress_v6 = \"203.0.113.7\"", "address_v6", "dns_lb[1].address_v6", BadForm, "not an IPv6 address";
        "address = \"203.0.113.7\"" => "address = \"203.0.113.7\"\nbackup = \"lb9.isp9.example\"", "backup", "dns_lb[1].backup", Conflict, "no [[dns_lb]] has the name";
        "address = \"203.0.113.7\"" => "address = \"203.0.113.7\"\nbackup = \"LB2.isp2.example\"", "backup", "dns_lb[1].backup", Conflict, "its own backup";
        "address = \"203.0.113.7\"" => "address = \"203.0.113.7\"\nbackup = 1", "backup", "dns_lb[1].backup", WrongType, "double quotes";
        "prefix = \"198.18.0.0/15\"" => "prefix = \"198.18.0.1/15\"", "198.18.0.1", "prefix[0].prefix", BadForm, "write \"198.18.0.0/15\"";
        "prefix = \"198.18.0.0/15\"" => "prefix = \"2001:db8::/72\"", "/72", "prefix[0].prefix", OutOfRange, "count as one client";
        "prefix = \"198.18.0.0/15\"" => "", "[[prefix]]", "prefix[0].prefix", MissingKey, "add prefix";
        "dns_lb = \"lb2.isp2.example\"" => "dns_lb = \"lb9.isp9.example\"", "lb9", "prefix[0].dns_lb", Conflict, "one that is there";
        "dns_lb = \"lb2.isp2.example\"" => "", "[[prefix]]", "prefix[0].dns_lb", MissingKey, "add dns_lb";
        "[[prefix]]" => "[[prefix]]\nprefix = \"198.18.0.0/15\"\ndns_lb = \"lb1.isp1.example\"\n[[prefix]]", "198.18", "prefix[1].prefix", Duplicate, "the first is on line";
        "[[zone]]" => "[resolvers]\n[[zone]]", "[resolvers]", "resolvers", UnknownKey, "only role \"dns-lb\" has them";
    ];
    cases.iter().for_each(Case::check);
}

#[test]
fn zones() {
    let cases = cases![DNS_B;
        "apex = \"g.foo.com\"" => "apex = \"shop.foo.com\"\n#", "apex = \"shop", "zone[1].apex", Duplicate, "the first is on line";
        "apex = \"g.foo.com\"" => "apex = \".\"", "apex", "zone[0].apex", OutOfRange, "the root";
        "apex = \"g.foo.com\"" => "apex = \"g..foo.com\"", "g..foo", "zone[0].apex", BadForm, "write a domain name";
        "apex = \"g.foo.com\"" => "apex = \"lb0123456789abc.foo.com\"", "lb0123", "zone[0].apex", OutOfRange, "reserved for the labels of DNS-LBs";
        "apex = \"g.foo.com\"" => "apex = \"g\\n.foo.com\"", "apex", "zone[0].apex", BadForm, "\\n";
        "apex = \"g.foo.com\"" => "apex = \"*.foo.com\"", "*.foo", "zone[0].apex", OutOfRange, "wildcard";
        "ns = [\"ns1.g.foo.com\"]" => "", "[[zone]]", "zone[0].ns", MissingKey, "add ns = [";
        "ns = [\"ns1.g.foo.com\"]" => "ns = []", "ns = []", "zone[0].ns", OutOfRange, "at least one";
        "ns = [\"ns1.g.foo.com\"]" => "ns = [\"ns1.g.foo.com\", \"NS1.g.foo.com.\"]", "NS1", "zone[0].ns[1]", Duplicate, "keep one";
        "ns = [\"ns1.g.foo.com\"]" => "ns = [\"ns2.g.foo.com\"]", "ns2", "zone[0].ns[0]", Conflict, "[[zone.host]] with name = \"ns2.g.foo.com.\"";
        "ns = [\"ns1.g.foo.com\"]" => "ns = [\"lbvvvvvvvvvvvvv.foo.com\"]", "lbvvv", "zone[0].ns[0]", OutOfRange, "reserved";
        "ns = [\"ns1.g.foo.com\"]" => "ns = [\"ns.www.g.foo.com\"]", "ns.www", "zone[0].ns[0]", Conflict, "neither a balanced name nor below one";
        "ns = [\"ns1.g.foo.com\"]\nsoa" => "ns = [\"ns.shop.foo.com\"]\nsoa", "ns.shop", "zone[1].ns[0]", Conflict, "lies below the balanced name shop.foo.com.";
        "# ttl = 86400" => "ttl = 604801", "604801", "zone[0].ttl", OutOfRange, "at most a week";
        "# ttl = 86400" => "ttl = 0", "ttl = 0", "zone[0].ttl", OutOfRange, "from 1 to 604800";
        "# ttl = 86400" => "ttl = \"1d\"", "1d", "zone[0].ttl", WrongType, "whole number";
        "soa = {" => "#soa = {", "[[zone]]", "zone[0].soa", MissingKey, "add soa = { mname";
        "serial = 1 }" => "serial = 4294967296 }", "4294967296", "zone[0].soa.serial", OutOfRange, "4294967295";
        "serial = 1 }" => "serial = 1, minimum = -1 }", "-1", "zone[0].soa.minimum", OutOfRange, "from 0";
        "serial = 1 }" => "serial = 1, refresh = 2147483648 }", "2147483648", "zone[0].soa.refresh", OutOfRange, "2147483647";
        "serial = 1 }" => "serial = 1, retries = 5 }", "retries", "zone[0].soa.retries", UnknownKey, "\"retry\"";
        "rname = \"hostmaster.foo.com\"" => "rname = \"host.master@foo.com\"", "@", "zone[0].soa.rname", BadForm, "\"host\\\\.master.foo.com\"";
        "soa = { mname = \"ns1.g.foo.com\"," => "soa = {", "soa = {", "zone[0].soa.mname", MissingKey, "add mname";
        "name = \"ns1.g.foo.com\"\nipv4 = \"192.0.2.53\"" => "name = \"ns1.g.foo.com\"", "[[zone.host]]", "zone[0].host[0].ipv4", MissingKey, "the host's ipv6";
        "name = \"ns1.g.foo.com\"\nipv4" => "name = \"ns1.g.foo.com\"\nipv6", "ipv6", "zone[0].host[0].ipv6", BadForm, "not an IPv6 address";
        "ipv4 = \"192.0.2.53\"" => "ipv4 = \"192.0.2.53\"\nipv6 = \"2001:db8::53\"\n[[zone.host]]\nname = \"ns1.g.foo.com\"\nipv6 = \"2001:db8::53\" # twice",
            "twice", "zone[0].host[1].ipv6", Duplicate, "keep one";
        "ipv4 = \"192.0.2.53\"" => "ipv4 = \"192.0.2.53\"\n[[zone.host]]\nname = \"b.bar.com\"\nipv4 = \"192.0.2.53\"\nipv6 = \"2001:db8::53\"",
            "b.bar", "zone[0].host[1].name", Conflict, "does not lie in the zone";
        "ipv4 = \"192.0.2.53\"" => "ipv4 = \"192.0.2.53\"\n[[zone.host]]\nname = \"ns1.g.foo.com\"\nipv4 = \"192.0.2.53\" # twice",
            "twice", "zone[0].host[1].ipv4", Duplicate, "keep one";
        "ipv4 = \"192.0.2.53\"" => "ipv4 = \"192.0.2.53\"\n[[zone.host]]\nname = \"a.bar.com\"\nipv4 = \"192.0.2.53\"",
            "a.bar.com", "zone[0].host[1].name", Conflict, "remove it";
        "ipv4 = \"192.0.2.53\"" => "ipv4 = \"192.0.2.53\"\n[[zone.host]]\nname = \"a.www.g.foo.com\"\nipv4 = \"192.0.2.53\"",
            "a.www", "zone[0].host[1].name", Conflict, "lies below the balanced name www.g.foo.com.";
        "ipv4 = \"192.0.2.53\"" => "ipv4 = \"192.0.2.53\"\n[[zone.host]]\nname = \"www.g.foo.com\"\nipv4 = \"192.0.2.53\"",
            "www.g", "zone[0].host[1].name", Conflict, "it is the balanced name";
        "form = \"cname\"" => "form = \"cname\"\n[[zone.host]]\nname = \"shop.foo.com\"\nipv4 = \"192.0.2.1\"",
            "name = \"shop.foo.com\"", "zone[1].host[0].name", Conflict, "neither a balanced name";
    ];
    cases.iter().for_each(Case::check);
}

#[test]
fn services() {
    let cases = cases![DNS_B;
        "form = \"referral\"" => "", "[[service]]", "service[0].form", MissingKey, "add form = \"referral\"";
        "form = \"referral\"" => "form = \"Referral\"", "Referral", "service[0].form", OutOfRange, "write \"referral\"";
        "form = \"referral\"" => "form = \"direct\"", "direct", "service[0].form", OutOfRange, "has no daemon yet";
        "form = \"referral\"" => "form = \"cache\"", "cache", "service[0].form", OutOfRange, "has no daemon yet";
        "form = \"referral\"" => "form = \"cname\" # no apex", "no apex", "service[0].form", Conflict, "add a [[zone]] with apex = \"www.g.foo.com.\"";
        "form = \"cname\"" => "form = \"referral\" # apex", "# apex", "service[1].form", Conflict, "form = \"cname\"";
        "name = \"www.g.foo.com\"" => "name = \"www.g.bar.com\"", "form = \"referral\"", "service[0].form", Conflict, "none of the zones";
        "name = \"www.g.foo.com\"" => "name = \"\"", "name = \"\"", "service[0].name", BadForm, "write a domain name";
        "name = \"www.g.foo.com\"" => "name = \"LB0123456789ABV.g.foo.com\"", "LB0123", "service[0].name", OutOfRange, "reserved";
        "name = \"www.g.foo.com\"" => "name = \"*.g.foo.com\"", "*.g", "service[0].name", OutOfRange, "wildcard";
        "# referral_ttl = 3600" => "referral_ttl = 0", "referral_ttl", "service[0].referral_ttl", OutOfRange, "from 1";
        "# referral_ttl = 3600" => "referral_ttl = 2147483648", "referral_ttl", "service[0].referral_ttl", OutOfRange, "at most a week";
        "# referral_ttl = 3600" => "answer_ttl = 60", "answer_ttl", "service[0].answer_ttl", UnknownKey, "the DNS-LBs answer with it";
        "# referral_ttl = 3600" => "min_ttl = 60", "min_ttl", "service[0].min_ttl", UnknownKey, "the DNS-LBs answer with it";
        "# referral_ttl = 3600" => "policy = {}", "policy", "service[0].policy", UnknownKey, "in their files";
        "[metrics]" => "[probe]\n[metrics]", "[probe]", "probe", UnknownKey, "only role \"dns-lb\" does";
        "# referral_ttl = 3600" => "[[service.site]]\nname = \"a\"", "[[service.site]]", "service[0].site", UnknownKey, "in their files";
        "# referral_ttl = 3600" => "[[service]]\nname = \"WWW.g.foo.com\"\nform = \"referral\"", "WWW", "service[1].name", Duplicate, "the first is on line";
        "# referral_ttl = 3600" => "[[service]]\nname = \"a.b.www.g.foo.com\"\nform = \"referral\"", "a.b", "service[1].name", Conflict, "below the balanced name www.g.foo.com. of line";
        "# referral_ttl = 3600" => "[[zone]]\napex = \"x.www.g.foo.com\"\nns = [\"n.example\"]\nsoa = { mname = \"a\", rname = \"b\", serial = 1 }",
            "x.www", "zone[1].apex", Conflict, "lies below the balanced name";
        "[[service]]" => "[service]", "[[service]]", "service", Syntax, "[[…]]";
    ];
    cases.iter().for_each(Case::check);
}

#[test]
fn a_bad_zone_does_not_make_its_services_errors_too() {
    let text = DNS_B.replacen("apex = \"g.foo.com\"", "apex = \"g..com\"", 1);
    assert_eq!(errors_of(&text).0.len(), 1);
    let text = DNS_B.replacen("name = \"lb1.isp1.example\"", "name = \"lb1_isp1\"", 1);
    assert_eq!(errors_of(&text).0.len(), 1);
}

#[test]
fn without_services_or_dns_lbs_there_is_nothing_to_do() {
    let start = DNS_B.split("[[dns_lb]]").next().expect("a first part");
    let errors = errors_of(start);
    let keys: Vec<_> = errors.iter().map(|error| error.key.as_str()).collect();
    assert_eq!(keys, ["dns_lb", "service"]);
    assert!(
        errors
            .iter()
            .all(|error| error.kind == ErrorKind::MissingKey)
    );
}
