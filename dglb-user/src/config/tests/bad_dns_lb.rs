//! Mistakes in a DNS-LB's file.

use super::{Case, DNS_LB, cases};
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
        "name = \"shop.foo.com\"" => "name = \"shop.www.g.foo.com\"", "shop.www", "service[1].name", Conflict, "beside each other";
        "name = \"shop.foo.com\"" => "name = \"www.g.foo.com\" # twice", "twice", "service[1].name", Duplicate, "the first is on line";
        "soa = {" => "#soa = {", "[[service]]", "service[0].soa", MissingKey, "add soa";
        "name = \"frankfurt\"" => "name = \"\"", "name = \"\"", "service[0].site[0].name", BadForm, "1 to 63 characters";
        "name = \"frankfurt\"" => "name = \"a\\nb\"", "a\\nb", "service[0].site[0].name", BadForm, "no control characters";
        "name = \"frankfurt\"" => "", "[[service.site]]", "service[0].site[0].name", MissingKey, "add name";
        "name = \"tokyo\"" => "name = \"frankfurt\" # twice", "twice", "service[0].site[1].name", Duplicate, "the first is on line";
        "\"203.0.113.80\"" => "\"192.0.2.80\" # twice", "twice", "service[0].site[1].ipv4", Duplicate, "keep one";
        "ipv4 = \"203.0.113.80\"" => "", "[[service.site]]", "service[0].site[1].ipv4", MissingKey, "add the site's ipv4";
        "ipv4 = \"203.0.113.80\"" => "ipv6 = \"2001:db8::80\" # alone", "alone", "service[0].site[1].ipv6", Conflict, "only IPv4 is probed yet";
        "ipv4 = \"203.0.113.80\"" => "ipv4 = \"203.0.113.80\"\nipv6 = \"2001:db8:1::80\" # twice", "twice", "service[0].site[1].ipv6", Duplicate, "keep one";
        "ipv6 = \"2001:db8:1::80\"" => "ipv6 = \"ff02::1\"", "ff02", "service[0].site[0].ipv6", OutOfRange, "multicast";
        "ipv6 = \"2001:db8:1::80\"" => "ipv6 = \"::\"", "::", "service[0].site[0].ipv6", OutOfRange, "nobody's";
        "ipv6 = \"2001:db8:1::80\"" => "ipv6 = \"fe80::1\"", "fe80", "service[0].site[0].ipv6", OutOfRange, "link-local";
        "ipv6 = \"2001:db8:1::80\"" => "ipv6 = \"::ffff:192.0.2.80\"", "ffff", "service[0].site[0].ipv6", OutOfRange, "IPv4 address in IPv6 form";
        "ipv6 = \"2001:db8:1::80\"" => "ipv6 = \"192.0.2.80\"", "ipv6", "service[0].site[0].ipv6", BadForm, "not an IPv6 address";
    ];
    cases.iter().for_each(Case::check);
}

#[test]
fn probes() {
    let cases = cases![DNS_LB;
        "[service.probe]" => "[service.prob]", "[service.prob]", "service[0].prob", UnknownKey, "did you mean \"probe\"?";
        "# port = 80" => "port = 0", "port = 0", "service[0].probe.port", OutOfRange, "from 1 to 65535";
        "# port = 80" => "port = 65536", "65536", "service[0].probe.port", OutOfRange, "from 1 to 65535";
        "path = \"/health\"" => "", "[service.probe]", "service[0].probe.path", MissingKey, "add path";
        "path = \"/health\"" => "path = \"health\"", "path", "service[0].probe.path", BadForm, "begin with \"/\"";
        "path = \"/health\"" => "path = \"/a b\"", "path", "service[0].probe.path", BadForm, "%XX";
        "path = \"/health\"" => "path = \"/a\\r\\nX: y\"", "path", "service[0].probe.path", BadForm, "no control";
        "path = \"/health\"" => "path = \"/a#b\"", "path", "service[0].probe.path", BadForm, "no \"#\"";
        "path = \"/health\"" => "path = \"/ä\"", "path", "service[0].probe.path", BadForm, "visible ASCII";
        "# host = \"www.g.foo.com\"" => "host = \"\"", "host", "service[0].probe.host", BadForm, "write a host name";
        "# host = \"www.g.foo.com\"" => "host = \"a\\r\\nb\"", "host", "service[0].probe.host", BadForm, "write a host name";
        "# host = \"www.g.foo.com\"" => "host = \"user@www.foo.com\"", "host", "service[0].probe.host", BadForm, "write a host name";
        "# host = \"www.g.foo.com\"" => "host = \"www.foo.com/x\"", "host", "service[0].probe.host", BadForm, "write a host name";
        "# status = [200]" => "status = []", "status", "service[0].probe.status", OutOfRange, "write status = [200]";
        "# status = [200]" => "status = 200", "status", "service[0].probe.status", WrongType, "in brackets";
        "# status = [200]" => "status = [99]", "status", "service[0].probe.status[0]", OutOfRange, "100 to 599";
        "# status = [200]" => "status = [200, 600]", "status", "service[0].probe.status[1]", OutOfRange, "100 to 599";
        "# status = [200]" => "status = [204, 204]", "status", "service[0].probe.status[1]", Duplicate, "status 204";
        "# interval = \"10s\"" => "interval = \"1s\"", "interval", "service[0].probe.interval", Conflict, "at least as long as timeout";
        "# timeout = \"2s\"" => "timeout = \"11s\"", "timeout", "service[0].probe.timeout", Conflict, "at least as long as timeout";
        "# timeout = \"2s\"" => "timeout = \"0s\"", "timeout", "service[0].probe.timeout", OutOfRange, "from 1ms";
        "# retry = \"1s\"" => "retry = \"0ms\"", "retry", "service[0].probe.retry", OutOfRange, "from 1ms";
        "# fall = 3" => "fall = 0", "fall", "service[0].probe.fall", OutOfRange, "from 1";
        "# rise = 2" => "rise = 0", "rise", "service[0].probe.rise", OutOfRange, "from 1";
        "# rise = 2" => "raise = 2", "raise", "service[0].probe.raise", UnknownKey, "did you mean \"rise\"?";
    ];
    cases.iter().for_each(Case::check);
}
