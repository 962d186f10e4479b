//! Mistakes in what a node allows of probes, and in how a service wants to be probed.

use super::{Case, DNS_LB, cases};
use crate::config::ErrorKind;

#[test]
fn what_the_node_allows() {
    let cases = cases![DNS_LB;
        "# user = \"nobody\"" => "user = \"root\"", "user", "probe.user", OutOfRange, "must not be root";
        "# user = \"nobody\"" => "user = \"no body\"", "user", "probe.user", BadForm, "getent passwd";
        "# user = \"nobody\"" => "users = \"nobody\"", "users", "probe.users", UnknownKey, "did you mean \"user\"?";
        "# min_interval = \"5s\"" => "min_interval = \"0s\"", "min_interval", "probe.min_interval", OutOfRange, "from 1ms to 1h";
        "# min_retry = \"1s\"" => "min_retry = 1", "min_retry", "probe.min_retry", WrongType, "\"1s\"";
        "# max_pages = 8" => "max_pages = 17", "max_pages", "probe.max_pages", OutOfRange, "from 1 to 16";
        "# concurrency = 1024" => "concurrency = 0", "concurrency", "probe.concurrency", OutOfRange, "from 1 to 60000";
        "# ca_file = \"/etc/ssl/dglb.pem\"" => "ca_file = \"dglb.pem\"", "ca_file", "probe.ca_file", BadForm, "begins with \"/\"";
        "allow = [\"192.0.2.0/24\"" => "allow = [\"192.0.2.1/24\"", "allow", "probe.allow[0]", BadForm, "write \"192.0.2.0/24\"";
        "allow = [\"192.0.2.0/24\"" => "allow = [\"192.0.2.0/24\", \"192.0.2.0/24\"", "allow", "probe.allow[1]", Duplicate, "keep one";
        "allow = [\"192.0.2.0/24\"" => "allow = [\"192.0.2.80\"", "allow", "probe.allow[0]", BadForm, "a network and its length";
        "name = \"database\"" => "", "[[probe.profile]]", "probe.profile[0].name", MissingKey, "add name";
        "command = [\"/usr" => "#", "[[probe.profile]]", "probe.profile[0].command", MissingKey, "\"{address}\"";
        "[\"/usr/lib/dglb/check-database\"" => "[\"check-database\"", "command", "probe.profile[0].command[0]", BadForm, "no shell looks for it";
        "[\"/usr/lib/dglb/check-database\"" => "[\"../check-database\"", "command", "probe.profile[0].command[0]", BadForm, "not an absolute path";
        "[\"/usr/lib/dglb/check-database\"" => "[\"/bin/a\\nb\"", "command", "probe.profile[0].command[0]", BadForm, "control character";
        "\"{address}\", \"{service}\"" => "\"--to={host}\"", "command", "probe.profile[0].command[1]", OutOfRange, "in the place of {host}";
        "\"{address}\", \"{service}\"" => "\"{service}{service}{service}\", \"{service}{service}{service}\", \"{service}{service}{service}\"", "command", "probe.profile[0].command[0]", OutOfRange, "9 words in braces";
        "# Another DNS-LB" => "[[probe.profile]]\nname = \"database\" # again\ncommand = [\"/bin/true\"]\n#", "again", "probe.profile[1].name", Duplicate, "the probe profile \"database\"";
    ];
    cases.iter().for_each(Case::check);
}

#[test]
fn targets_that_are_not_public() {
    let cases = cases![DNS_LB;
        "\"203.0.113.80\"" => "\"10.1.2.3\"", "10.1.2.3", "service[0].site[1].ipv4", OutOfRange, "10.0.0.0/8, which is set apart for private use (RFC 1918)";
        "\"203.0.113.80\"" => "\"172.31.0.1\"", "172.31", "service[0].site[1].ipv4", OutOfRange, "RFC 1918";
        "\"203.0.113.80\"" => "\"192.168.1.1\"", "192.168", "service[0].site[1].ipv4", OutOfRange, "allow = [\"192.168.0.0/16\"] in [probe]";
        "\"203.0.113.80\"" => "\"127.0.0.1\"", "127", "service[0].site[1].ipv4", OutOfRange, "loopback (RFC 1122)";
        "\"203.0.113.80\"" => "\"169.254.169.254\"", "169.254", "service[0].site[1].ipv4", OutOfRange, "link-local use (RFC 3927)";
        "\"203.0.113.80\"" => "\"100.64.0.1\"", "100.64", "service[0].site[1].ipv4", OutOfRange, "shared within a provider (RFC 6598)";
        "\"203.0.113.80\"" => "\"198.18.0.1\"", "198.18", "service[0].site[1].ipv4", OutOfRange, "benchmarks (RFC 2544)";
        "\"203.0.113.80\"" => "\"198.51.100.80\"", "198.51", "service[0].site[1].ipv4", OutOfRange, "documentation (RFC 5737)";
        "\"203.0.113.80\"" => "\"224.0.0.80\"", "224", "service[0].site[1].ipv4", OutOfRange, "multicast";
        "\"2001:db8:1::80\"" => "\"::1\"", "::1", "service[0].site[0].ipv6", OutOfRange, "loopback (RFC 4291)";
        "\"2001:db8:1::80\"" => "\"fd00::80\"", "fd00", "service[0].site[0].ipv6", OutOfRange, "unique local use (RFC 4193)";
        "\"2001:db8:1::80\"" => "\"3fff::80\"", "3fff", "service[0].site[0].ipv6", OutOfRange, "RFC 9637";
        "\"2001:db8:1::80\"" => "\"64:ff9b::10.0.0.1\"", "64:ff9b", "service[0].site[0].ipv6", OutOfRange, "RFC 6052";
        "\"203.0.113.0/24\", " => "", "203.0.113.80", "service[0].site[1].ipv4", OutOfRange, "203.0.113.80 lies in 203.0.113.0/24";
    ];
    cases.iter().for_each(Case::check);
}

#[test]
fn types_and_what_belongs_to_them() {
    let cases = cases![DNS_LB;
        "# type = \"http\"" => "type = \"htpp\"", "type", "service[0].probe.type", OutOfRange, "did you mean \"http\"?";
        "# type = \"http\"" => "type = \"ping\"", "type", "service[0].probe.type", OutOfRange, "\"tcp\", \"icmp\", \"profile\"";
        "# type = \"http\"" => "verify = true", "verify", "service[0].probe.verify", Conflict, "no certificate";
        "# type = \"http\"" => "profile = \"database\"", "profile", "service[0].probe.profile", Conflict, "type = \"profile\"";
        "# port = 80" => "port = 0", "port = 0", "service[0].probe.port", OutOfRange, "from 1 to 65535";
        "# port = 80" => "port = 65536", "65536", "service[0].probe.port", OutOfRange, "from 1 to 65535";
        "path = \"/health\"\n\n" => "type = \"tcp\"\n\n", "[service.probe]", "service[1].probe.port", MissingKey, "add port = 443";
        "path = \"/health\"\n\n" => "type = \"tcp\"\nport = 443\npath = \"/\" # too\n\n", "too", "service[1].probe.path", Conflict, "only a probe by HTTP";
        "path = \"/health\"\n\n" => "type = \"icmp\"\nport = 443\n\n", "443", "service[1].probe.port", Conflict, "neither an ICMP echo";
        "path = \"/health\"\n\n" => "type = \"icmp\"\nbody = \"ok\"\n\n", "body", "service[1].probe.body", Conflict, "remove it, or write type";
        "path = \"/health\"\n\n" => "type = \"profile\"\n\n", "[service.probe]", "service[1].probe.profile", MissingKey, "add profile";
        "path = \"/health\"\n\n" => "type = \"profile\"\nprofile = \"databse\"\n\n", "databse", "service[1].probe.profile", Conflict, "did you mean \"database\"?";
        "path = \"/health\"\n\n" => "path = \"/\"\ntype = \"https\"\nhost = \"a..b\"\n\n", "host", "service[1].probe.host", BadForm, "a certificate could be for";
    ];
    cases.iter().for_each(Case::check);
}

#[test]
fn http() {
    let cases = cases![DNS_LB;
        "path = \"/health\"" => "", "[service.probe]", "service[0].probe.path", MissingKey, "or pages for several";
        "path = \"/health\"" => "pages = []", "pages", "service[0].probe.pages", OutOfRange, "at least one";
        "path = \"/health\"" => "path = \"/health\"\npages = [\"/a\"]", "pages", "service[0].probe.pages", Conflict, "keep one of the two";
        "path = \"/health\"" => "pages = [\"/a\", \"b\"]", "pages", "service[0].probe.pages[1]", BadForm, "begin with \"/\"";
        "path = \"/health\"" => "pages = [\"/1\",\"/2\",\"/3\",\"/4\",\"/5\",\"/6\",\"/7\",\"/8\",\"/9\"]", "pages", "service[0].probe.pages[8]", OutOfRange, "raise max_pages in [probe]";
        "path = \"/health\"" => "path = \"health\"", "path", "service[0].probe.path", BadForm, "begin with \"/\"";
        "path = \"/health\"" => "path = \"/a b\"", "path", "service[0].probe.path", BadForm, "%XX";
        "path = \"/health\"" => "path = \"/a\\r\\nX: y\"", "path", "service[0].probe.path", BadForm, "no control";
        "path = \"/health\"" => "path = \"/a#b\"", "path", "service[0].probe.path", BadForm, "no \"#\"";
        "path = \"/health\"" => "path = \"/ä\"", "path", "service[0].probe.path", BadForm, "visible ASCII";
        "# host = \"www.g.foo.com\"" => "host = \"\"", "host", "service[0].probe.host", BadForm, "write a host name";
        "# host = \"www.g.foo.com\"" => "host = \"a\\r\\nb\"", "host", "service[0].probe.host", BadForm, "write a host name";
        "# host = \"www.g.foo.com\"" => "host = \"user@www.foo.com\"", "host", "service[0].probe.host", BadForm, "write a host name";
        "# host = \"www.g.foo.com\"" => "host = \"www.foo.com/x\"", "host", "service[0].probe.host", BadForm, "write a host name";
        "name = \"shop.foo.com\"" => "name = \"a\\\\.b.foo.com\"", "[service.probe]", "service[1].probe.host", MissingKey, "can't be asked for by HTTP";
        "# method = \"GET\"" => "method = \"POST\"", "method", "service[0].probe.method", OutOfRange, "\"GET\", \"HEAD\", \"OPTIONS\"";
        "# method = \"GET\"" => "method = \"get\"", "method", "service[0].probe.method", OutOfRange, "\"GET\"";
        "# method = \"GET\"" => "method = \"HEAD\"", "body_regex", "service[0].probe.body_regex", Conflict, "method = \"GET\"";
        "# headers = {}" => "headers = []", "headers", "service[0].probe.headers", WrongType, "headers = { X-Key";
        "# headers = {}" => "headers = { Host = \"a\" }", "headers", "service[0].probe.headers.Host", Conflict, "the key host";
        "# headers = {}" => "headers = { connection = \"close\" }", "headers", "service[0].probe.headers.connection", Conflict, "the probe does that itself";
        "# headers = {}" => "headers = { Content-Length = \"5\" }", "headers", "service[0].probe.headers.Content-Length", Conflict, "sends no body";
        "# headers = {}" => "headers = { TRANSFER-ENCODING = \"chunked\" }", "headers", "service[0].probe.headers.TRANSFER-ENCODING", Conflict, "sends no body";
        "# headers = {}" => "headers = { X-Key = 5 }", "headers", "service[0].probe.headers.X-Key", WrongType, "double quotes";
        "# headers = {}" => "headers = { X-Key = \"a\\r\\nHost: b\" }", "headers", "service[0].probe.headers.X-Key", BadForm, "no line break";
        "# headers = {}" => "headers = { X-Key = \"ä\" }", "headers", "service[0].probe.headers.X-Key", BadForm, "visible ASCII";
        "# headers = {}" => "headers = { \"X Key\" = \"a\" }", "headers", "service[0].probe.headers.\"X Key\"", BadForm, "like X-Key";
        "# headers = {}" => "headers = { X-Key = \"a\", x-key = \"b\" }", "headers", "service[0].probe.headers.x-key", Duplicate, "the header x-key";
        "# status = [200]" => "status = []", "status", "service[0].probe.status", OutOfRange, "write status = [200]";
        "# status = [200]" => "status = 200", "status", "service[0].probe.status", WrongType, "in brackets";
        "# status = [200]" => "status = [99]", "status", "service[0].probe.status[0]", OutOfRange, "100 to 599";
        "# status = [200]" => "status = [200, 600]", "status", "service[0].probe.status[1]", OutOfRange, "100 to 599";
        "# status = [200]" => "status = [204, 204]", "status", "service[0].probe.status[1]", Duplicate, "status 204";
        "# max_body = 1048576\nbody" => "max_body = 1048577\nbody", "max_body", "service[0].probe.max_body", OutOfRange, "max_body in [probe]";
        "# max_body = 1048576\nbody" => "body = \"ok\"\nbody", "body_regex", "service[0].probe.body_regex", Conflict, "keep one of the two";
        "\"(?i)^(ok|ready)\"" => "\"\"", "body_regex", "service[0].probe.body_regex", OutOfRange, "1 to 1024";
        "\"(?i)^(ok|ready)\"" => "\"(ok\"", "body_regex", "service[0].probe.body_regex", BadForm, "unclosed group";
        "\"(?i)^(ok|ready)\"" => "'(?=ok)'", "body_regex", "service[0].probe.body_regex", BadForm, "look-around";
        "\"(?i)^(ok|ready)\"" => "'((a{1000}){1000}){1000}'", "body_regex", "service[0].probe.body_regex", BadForm, "size limit";
        "load = \"header:X-Load\"" => "load = \"X-Load\"", "load", "service[0].probe.load", BadForm, "\"header:X-Load\"";
        "load = \"header:X-Load\"" => "load = \"header:X Load\"", "load", "service[0].probe.load", BadForm, "\"json\"";
    ];
    cases.iter().for_each(Case::check);
}

#[test]
fn pace() {
    let cases = cases![DNS_LB;
        "# interval = \"10s\"" => "interval = \"4s\"", "interval", "service[0].probe.interval", OutOfRange, "at least \"5s\", or lower min_interval";
        "# timeout = \"2s\"" => "timeout = \"11s\"", "timeout", "service[0].probe.timeout", Conflict, "at least as long as timeout";
        "# interval = \"10s\"\n# timeout = \"2s\"" => "interval = \"6s\"\ntimeout = \"7s\"", "interval", "service[0].probe.interval", Conflict, "overtake";
        "# timeout = \"2s\"" => "timeout = \"0s\"", "timeout", "service[0].probe.timeout", OutOfRange, "from 1ms";
        "# retry = \"1s\"" => "retry = \"0ms\"", "retry", "service[0].probe.retry", OutOfRange, "from 1ms";
        "# retry = \"1s\"" => "retry = \"999ms\"", "retry", "service[0].probe.retry", OutOfRange, "lower min_retry";
        "# fall = 3" => "fall = 0", "fall", "service[0].probe.fall", OutOfRange, "from 1";
        "# rise = 2" => "rise = 0", "rise", "service[0].probe.rise", OutOfRange, "from 1";
        "# rise = 2" => "raise = 2", "raise", "service[0].probe.raise", UnknownKey, "did you mean \"rise\"?";
        "# rise = 2" => "max_age = \"4s\"", "max_age", "service[0].probe.max_age", OutOfRange, "lower min_interval";
        "# idle_interval = \"60s\"" => "idle_interval = \"9s\"", "idle_interval", "service[0].probe.idle_interval", Conflict, "at least as long as interval";
        "# idle_interval = \"60s\"" => "idle_after = \"soon\"", "idle_after", "service[0].probe.idle_after", BadForm, "a number with its unit";
    ];
    cases.iter().for_each(Case::check);
}

#[test]
fn a_query_must_not_break_the_budget() {
    let text = DNS_LB
        .replacen("# budget = 20", "budget = 0.1", 1)
        .replacen("# fall = 3", "max_age = \"9s\"", 1);
    let errors = super::errors_of(&text);
    assert_eq!(errors.0.len(), 1, "{errors}");
    assert_eq!(errors.0[0].key, "service[0].probe.max_age");
    assert!(
        errors.0[0].message.contains("once in 10 s by each"),
        "{errors}"
    );
}
