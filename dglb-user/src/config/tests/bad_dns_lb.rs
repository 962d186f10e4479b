//! Mistakes in a DNS-LB's file.

use super::{Case, DNS_LB, cases, errors_of};
use crate::config::ErrorKind;

#[test]
fn map_resolvers_and_other_dns_lbs() {
    let cases = cases![DNS_LB;
        "dns_b = [\"10.53.0.1:5353\"]" => "", "[map]", "map.dns_b", MissingKey, "add dns_b = [\"";
        "[\"10.53.0.1:5353\"]" => "[]", "dns_b", "map.dns_b", OutOfRange, "at least one";
        "[\"10.53.0.1:5353\"]" => "[\"9.9.9.9:5353\"]", "9.9.9.9", "map.dns_b[0]", OutOfRange, "no TLS yet";
        "[\"10.53.0.1:5353\"]" => "[\"b1.example:5353\"]", "b1.example", "map.dns_b[0]", BadForm, "address with a port";
        "[\"10.53.0.1:5353\"]" => "[\"10.0.0.1:1\", \"10.0.0.1:1\"]", "dns_b", "map.dns_b[1]", Duplicate, "keep one";
        "# renew = \"3s\"" => "renew = \"99ms\"", "99ms", "map.renew", OutOfRange, "from 100ms";
        "# renew = \"3s\"" => "lease = \"10s\"", "lease", "map.lease", UnknownKey, "a DNS-LB has renew";
        "# renew = \"3s\"" => "listen = \"10.0.0.1:1\"", "listen", "map.listen", UnknownKey, "only they listen";
        "addresses = [\"198.51.100.53\", \"198.51.100.54\"]" => "", "[resolvers]", "resolvers.addresses", MissingKey, "resolv_conf";
        "# resolv_conf = " => "resolv_conf = ", "resolv_conf", "resolvers.resolv_conf", Conflict, "keep one of the two";
        "addresses = [\"198.51.100.53\", \"198.51.100.54\"]" => "resolv_conf = \"resolv.conf\"", "resolv_conf", "resolvers.resolv_conf", BadForm, "absolute path";
        "[\"198.51.100.53\", \"198.51.100.54\"]" => "[]", "addresses = []", "resolvers.addresses", OutOfRange, "at least one";
        "\"198.51.100.54\"" => "\"198.51.100.53\"", "addresses", "resolvers.addresses[1]", Duplicate, "resolver 198.51.100.53";
        "\"198.51.100.54\"" => "\"239.1.1.1\"", "239", "resolvers.addresses[1]", OutOfRange, "multicast";
        "name = \"lb2.isp2.example\"" => "name = \"LB1.ISP1.example\"", "LB1", "dns_lb[0].name", Conflict, "this node itself";
        "address = \"203.0.113.7\"" => "address = \"198.51.100.7\"", "lb2", "dns_lb[0].address", Conflict, "own addresses";
        "address = \"203.0.113.7\"" => "address = \"203.0.113.7\"\nbackup = \"lb3.isp3.example\"", "backup", "dns_lb[0].backup", UnknownKey, "in their files";
        "addresses = [\"198.51.100.7\"]" => "addresses = [\"2001:db8::7\"]", "2001", "node.addresses", Conflict, "needs an IPv4 address";
        "\"198.51.100.54\"" => "\"ff02::54\"", "ff02", "resolvers.addresses[1]", OutOfRange, "multicast";
        "[[dns_lb]]" => "[[prefix]]\nprefix = \"192.0.2.0/24\"\n[[dns_lb]]", "[[prefix]]", "prefix", UnknownKey, "role \"dns-b\" maps prefixes";
        "[[dns_lb]]" => "[[zone]]\n[[dns_lb]]", "[[zone]]", "zone", UnknownKey, "only role \"dns-b\" has them";
    ];
    cases.iter().for_each(Case::check);
}

#[test]
fn services_and_sites() {
    let cases = cases![DNS_LB;
        "# answer_ttl = 60" => "answer_ttl = 604801", "answer_ttl", "service[0].answer_ttl", OutOfRange, "a week";
        "# answer_ttl = 60" => "answer_ttl = \"1m\"", "answer_ttl", "service[0].answer_ttl", WrongType, "whole number";
        "# min_ttl = 5" => "min_ttl = 61", "min_ttl", "service[0].min_ttl", Conflict, "at most answer_ttl";
        "# answer_ttl = 60" => "answer_ttl = 3\nmin_ttl = 4", "min_ttl", "service[0].min_ttl", Conflict, "shortened to it, 3 s";
        "# vantages = 1" => "vantages = 0", "vantages", "service[0].vantages", OutOfRange, "from 1 to 100000";
        "# budget = 20" => "budget = 0", "budget", "service[0].budget", OutOfRange, "from 0.01 to 10000";
        "# budget = 20" => "budget = nan", "budget", "service[0].budget", OutOfRange, "nan is not allowed";
        "# budget = 20" => "budget = \"20\"", "budget", "service[0].budget", WrongType, "a number is needed";
        "name = \"shop.foo.com\"" => "name = \"shop.www.g.foo.com\"", "shop.www", "service[1].name", Conflict, "beside each other";
        "name = \"shop.foo.com\"" => "name = \"www.g.foo.com\" # twice", "twice", "service[1].name", Duplicate, "the first is on line";
        "soa = {" => "#soa = {", "[[service]]", "service[0].soa", MissingKey, "add soa";
        "name = \"frankfurt\"" => "name = \"\"", "name = \"\"", "service[0].site[0].name", BadForm, "1 to 63 characters";
        "name = \"frankfurt\"" => "name = \"a\\nb\"", "a\\nb", "service[0].site[0].name", BadForm, "no control characters";
        "name = \"frankfurt\"" => "", "[[service.site]]", "service[0].site[0].name", MissingKey, "add name";
        "name = \"tokyo\"" => "name = \"frankfurt\" # twice", "twice", "service[0].site[1].name", Duplicate, "the first is on line";
        "\"203.0.113.80\"" => "\"192.0.2.80\" # twice", "twice", "service[0].site[1].ipv4", Duplicate, "keep one";
        "ipv4 = \"203.0.113.80\"" => "", "[[service.site]]", "service[0].site[1].ipv4", MissingKey, "add the site's ipv4, its ipv6, or both";
        "ipv4 = \"203.0.113.80\"" => "ipv4 = \"203.0.113.80\"\nipv6 = \"2001:db8:1::80\" # twice", "twice", "service[0].site[1].ipv6", Duplicate, "keep one";
        "ipv6 = \"2001:db8:1::80\"" => "ipv6 = \"ff02::1\"", "ff02", "service[0].site[0].ipv6", OutOfRange, "multicast";
        "ipv6 = \"2001:db8:1::80\"" => "ipv6 = \"::\"", "::", "service[0].site[0].ipv6", OutOfRange, "nobody's";
        "ipv6 = \"2001:db8:1::80\"" => "ipv6 = \"fe80::1\"", "fe80", "service[0].site[0].ipv6", OutOfRange, "link-local";
        "ipv6 = \"2001:db8:1::80\"" => "ipv6 = \"::ffff:192.0.2.80\"", "ffff", "service[0].site[0].ipv6", OutOfRange, "IPv4 address in IPv6 form";
        "ipv6 = \"2001:db8:1::80\"" => "ipv6 = \"192.0.2.80\"", "ipv6", "service[0].site[0].ipv6", BadForm, "not an IPv6 address";
        "tags = [\"own\"]" => "tags = [\"own\", \"own\"]", "tags", "service[0].site[0].tags[1]", Duplicate, "the tag \"own\"";
        "tags = [\"own\"]" => "tags = [\"\"]", "tags", "service[0].site[0].tags[0]", BadForm, "name of a tag";
        "tags = [\"own\"]" => "tag = \"own\"", "tag", "service[0].site[0].tag", UnknownKey, "did you mean \"tags\"?";
        "cost = 3" => "cost = -0.5", "cost", "service[0].site[0].cost", OutOfRange, "from 0 to";
        "cost = 3" => "cost = inf", "cost", "service[0].site[0].cost", OutOfRange, "inf is not allowed";
        "# capacity = 100" => "capacity = 0", "capacity", "service[0].site[0].capacity", OutOfRange, "from 0.001";
        "# weight = 1" => "weight = -1", "weight", "service[0].site[0].weight", OutOfRange, "from 0 to 1000000";
        "location = \"50.11, 8.68\"" => "location = \"Frankfurt\"", "Frankfurt", "service[0].site[0].location", BadForm, "decimal degrees";
        "location = \"50.11, 8.68\"" => "location = \"91, 8.68\"", "91", "service[0].site[0].location", OutOfRange, "at most 90 degrees";
        "location = \"50.11, 8.68\"" => "location = \"50 60 N 8 E\"", "50 60", "service[0].site[0].location", OutOfRange, "below 60";
        "tier = \"backup\"" => "tier = \"bakcup\"", "bakcup", "service[0].site[2].tier", Conflict, "did you mean \"backup\"? there are \"primary\", \"backup\"";
    ];
    cases.iter().for_each(Case::check);
}

#[test]
fn a_tier_without_a_policy() {
    let text =
        "path = \"/health\"\n\n[[service.site]]\nname = \"frankfurt\"\nipv4 = \"192.0.2.80\"\n";
    assert!(DNS_LB.ends_with(text));
    let text = format!("{DNS_LB}tier = \"primary\"\n");
    let errors = errors_of(&text);
    assert_eq!(errors.0.len(), 1, "{errors}");
    assert_eq!(errors.0[0].key, "service[1].site[0].tier");
    let remedy = "add tiers = [{ name = \"primary\" }] to [service.policy], or remove it";
    assert_eq!(errors.0[0].remedy, remedy);
}
