//! Mistakes that any role's file may have.

use super::{Case, DNS_B, DNS_LB, cases, errors_of};
use crate::config::{Config, ErrorKind};

#[test]
fn role_node_and_limit() {
    let cases = cases![DNS_B;
        "role = \"dns-b\"" => "role = \"dns-a\"", "dns-a", "role", OutOfRange, "write \"dns-b\" or \"dns-lb\"";
        "role = \"dns-b\"" => "role = 7", "role = 7", "role", WrongType, "double quotes";
        "name = \"b1.backbone.example\"" => "", "[node]", "node.name", MissingKey, "add name = \"";
        "\"b1.backbone.example\"" => "\"b1_x.example\"", "b1_x", "node.name", BadForm, "host name";
        "\"b1.backbone.example\"" => "\"\"", "name = \"\"", "node.name", BadForm, "it is empty";
        "\"b1.backbone.example\"" => "\"b1.example.\"", "b1.example.", "node.name", BadForm, "ends in a dot";
        "\"b1.backbone.example\"" => "\"192.0.2.1\"", "192.0.2.1", "node.name", BadForm, "it is an address";
        "\"b1.backbone.example\"" => "\"-b1.example\"", "-b1", "node.name", BadForm, "no hyphen first";
        "\"b1.backbone.example\"" => "\"../../etc\"", "../..", "node.name", BadForm, "letters, digits";
        "interfaces = [\"eth0\"]" => "", "[node]", "node.interfaces", MissingKey, "add interfaces = [\"eth0\"]";
        "[\"eth0\"]" => "[]", "interfaces", "node.interfaces", OutOfRange, "at least one";
        "[\"eth0\"]" => "\"eth0\"", "interfaces", "node.interfaces", WrongType, "[\"eth0\"]";
        "[\"eth0\"]" => "[\"eth0\", \"eth0\"]", "interfaces", "node.interfaces[1]", Duplicate, "keep one";
        "[\"eth0\"]" => "[\"eth0/1\"]", "eth0/1", "node.interfaces[0]", BadForm, "1 to 15 characters";
        "[\"eth0\"]" => "[\"a-name-too-long0\"]", "too-long", "node.interfaces[0]", BadForm, "1 to 15 characters";
        "[\"eth0\"]" => "[\"eth 0\"]", "eth 0", "node.interfaces[0]", BadForm, "white space";
        "[\"eth0\"]" => "[\"\"]", "[\"\"]", "node.interfaces[0]", BadForm, "1 to 15 characters";
        "[\"eth0\"]" => "[\"eth0\", 1]", "eth0", "node.interfaces[1]", WrongType, "a string is needed";
        "[\"192.0.2.53\"]      #" => "[] #", "addresses", "node.addresses", OutOfRange, "at least one";
        "[\"192.0.2.53\"]      #" => "[\"0.0.0.0\"] #", "0.0.0.0", "node.addresses[0]", OutOfRange, "unicast address";
        "[\"192.0.2.53\"]      #" => "[\"224.0.0.1\"] #", "224.0.0.1", "node.addresses[0]", OutOfRange, "multicast";
        "[\"192.0.2.53\"]      #" => "[\"255.255.255.255\"] #", "255", "node.addresses[0]", OutOfRange, "broadcast";
        "[\"192.0.2.53\"]      #" => "[\"240.0.0.1\"] #", "240", "node.addresses[0]", OutOfRange, "reserved";
        "[\"192.0.2.53\"]      #" => "[\"ff02::53\"] #", "ff02", "node.addresses[0]", OutOfRange, "multicast";
        "[\"192.0.2.53\"]      #" => "[\"::\"] #", "::", "node.addresses[0]", OutOfRange, "nobody's";
        "[\"192.0.2.53\"]      #" => "[\"fe80::53\"] #", "fe80", "node.addresses[0]", OutOfRange, "link-local";
        "[\"192.0.2.53\"]      #" => "[\"::ffff:192.0.2.53\"] #", "ffff", "node.addresses[0]", OutOfRange, "IPv4 address in IPv6 form";
        "[\"192.0.2.53\"]      #" => "[\"2001:db8::1\",\"2001:db8::2\",\"2001:db8::3\",\"2001:db8::4\",\"2001:db8::5\",\"2001:db8::6\",\"2001:db8::7\",\"2001:db8::8\",\"2001:db8::9\"] #",
            "2001:db8::9", "node.addresses[8]", OutOfRange, "at most 8 addresses of IPv6";
        "[\"192.0.2.53\"]      #" => "[\"192.0.2.53:53\"] #", ":53", "node.addresses[0]", BadForm, "four numbers";
        "[\"192.0.2.53\"]      #" => "[\"192.0.2.53\", \"192.0.2.53\"] #", "addresses", "node.addresses[1]", Duplicate, "keep one";
        "[\"192.0.2.53\"]      #" => "[\"10.0.0.1\",\"10.0.0.2\",\"10.0.0.3\",\"10.0.0.4\",\"10.0.0.5\",\"10.0.0.6\",\"10.0.0.7\",\"10.0.0.8\",\"10.0.0.9\"] #",
            "10.0.0.9", "node.addresses[8]", OutOfRange, "at most 8";
        "# datapath = \"xdp\"" => "datapath = \"dpdk\"", "dpdk", "node.datapath", OutOfRange, "\"userspace\"";
        "# bpffs = \"/sys/fs/bpf\"" => "bpffs = \"sys/fs/bpf\"", "bpffs", "node.bpffs", BadForm, "begins with \"/\"";
        "# run_dir = \"/run/dglb\"" => "run_dir = \"run/dglb\"", "run_dir", "node.run_dir", BadForm, "begins with \"/\"";
        "# run_dir = \"/run/dglb\"" => "run_dir = \"/a123456789b123456789c123456789d123456789e123456789f123456789g123456789h123456789\"", "run_dir", "node.run_dir", OutOfRange, "at most 80 octets";
        "# state_dir = \"/var/lib/dglb\"" => "state_dir = \"dglb\"", "state_dir", "node.state_dir", BadForm, "begins with \"/\"";
        "# control_group = \"dglb\"" => "control_group = \"a:b\"", "control_group", "node.control_group", BadForm, "getent group";
        "# control_group = \"dglb\"" => "control_group = \"\"", "control_group", "node.control_group", BadForm, "1 to 32";
        "# control_group = \"dglb\"" => "control_group = 27", "control_group", "node.control_group", WrongType, "double quotes";
        "# max_stale = \"1h\"" => "location = \"here\"", "location", "node.location", BadForm, "like \"52.5167, 13.4\"";
        "# max_stale = \"1h\"" => "location = \"52 31 0 N 181 0 0 E\"", "location", "node.location", OutOfRange, "at most 180 degrees";
        "listen = \"127.0.0.1:9153\"" => "", "[metrics]", "metrics.listen", MissingKey, "add listen = \"127.0.0.1:9153\"";
        "\"127.0.0.1:9153\"" => "\"127.0.0.1\"", "listen", "metrics.listen", BadForm, "address with a port";
        "\"127.0.0.1:9153\"" => "\"localhost:9153\"", "listen", "metrics.listen", BadForm, "[::1]:9153";
        "\"127.0.0.1:9153\"" => "\"127.0.0.1:0\"", "listen", "metrics.listen", OutOfRange, "port 0";
        "\"127.0.0.1:9153\"" => "\"[ff02::1]:9153\"", "listen", "metrics.listen", OutOfRange, "multicast";
        "\"127.0.0.1:9153\"" => "\"192.0.2.53:53\"", "listen", "metrics.listen", Conflict, "192.0.2.53:53 is taken";
        "\"127.0.0.1:9153\"" => "\"0.0.0.0:5353\"", "listen", "metrics.listen", Conflict, "10.53.0.1:5353 is taken";
        "# sites = true" => "sites = \"no\"", "sites", "metrics.sites", WrongType, "without quotes";
        "[metrics] " => "[metric]", "[metric]", "metric", UnknownKey, "did you mean \"metrics\"?";
        "# max_stale = \"1h\"" => "max_stale = \"1 fortnight\"", "fortnight", "node.max_stale", BadForm, "\"1h\"";
        "# max_stale = \"1h\"" => "max_stale = 3600", "3600", "node.max_stale", WrongType, "\"3600s\"";
        "# max_stale = \"1h\"" => "max_stale = \"10ms\"", "10ms", "node.max_stale", OutOfRange, "from 1s to 30days";
        "# max_stale = \"1h\"" => "maxstale = \"1h\"", "maxstale", "node.maxstale", UnknownKey, "did you mean \"max_stale\"?";
        "[node]" => "[[node]]", "[[node]]", "node", WrongType, "write [node]";
        "# per_second = 1000" => "per_second = 0", "per_second = 0", "limit.per_second", OutOfRange, "from 1 to";
        "# per_second = 1000" => "per_second = -5", "-5", "limit.per_second", OutOfRange, "from 1 to";
        "# per_second = 1000" => "per_second = \"1000\"", "per_second", "limit.per_second", WrongType, "whole number";
        "# per_second = 1000" => "per_second = 1e3", "1e3", "limit.per_second", WrongType, "whole number";
        "# burst = 2000" => "burst = 100000001", "100000001", "limit.burst", OutOfRange, "100000000";
        "\"198.51.100.0/24\"" => "\"198.51.100.7/24\"", ".7/24", "limit.prefix[0].prefix", BadForm, "write \"198.51.100.0/24\"";
        "\"198.51.100.0/24\"" => "\"198.51.100.0/33\"", "/33", "limit.prefix[0].prefix", BadForm, "is not a prefix";
        "\"198.51.100.0/24\"" => "\"198.51.100.0\"", "prefix =", "limit.prefix[0].prefix", BadForm, "its length";
        "per_second = 50000" => "", "[[limit.prefix]]", "limit.prefix[0].per_second", MissingKey, "add per_second";
        "[[limit.prefix]]" => "[limit.prefix]", "[limit.prefix]", "limit.prefix", WrongType, "[[limit.prefix]]";
        "\"198.51.100.0/24\"" => "\"2001:db8::/65\"", "/65", "limit.prefix[0].prefix", OutOfRange, "at most 64";
        "\"198.51.100.0/24\"" => "\"2001:db8::1/64\"", "::1/64", "limit.prefix[0].prefix", BadForm, "write \"2001:db8::/64\"";
        "burst = 100000" => "exempt = 1\nburst = 100000", "exempt", "limit.prefix[0].exempt", WrongType, "true or false";
        "per_second = 50000\nburst = 100000" => "exempt = true\nburst = 1", "burst", "limit.prefix[0].burst", Conflict, "no limit at all";
        "# burst = 2000" => "dry_run = \"yes\"", "dry_run", "limit.dry_run", WrongType, "without quotes";
        "# from = []" => "from = [\"192.0.2.53\"]", "from", "client_subnet.from[0]", BadForm, "its length";
        "# from = []" => "from = [\"192.0.2.0/24\", \"192.0.2.0/24\"]", "from", "client_subnet.from[1]", Duplicate, "keep one";
        "# from = []" => "from = \"192.0.2.0/24\"", "from", "client_subnet.from", WrongType, "in brackets";
        "# from = []" => "form = []", "form", "client_subnet.form", UnknownKey, "did you mean \"from\"?";
        "burst = 100000" => "burst = 1\n[[limit.prefix]]\nprefix = \"198.51.100.0/24\" # again\nper_second = 1\nburst = 1",
            "again", "limit.prefix[1].prefix", Duplicate, "the first is on line";
        "[map]" => "[mapp]\n[map]", "[mapp]", "mapp", UnknownKey, "did you mean \"map\"?";
    ];
    cases.iter().for_each(Case::check);
}

#[test]
fn what_is_no_toml_still_has_line_key_and_remedy() {
    let cases = cases![DNS_LB;
        "name = \"lb1.isp1.example\"" => "name = lb1.isp1.example", "name =", "node.name", Syntax, "name = \"lb1.isp1.example\"";
        "form = \"referral\"" => "form = \"referral", "form =", "service.form", Syntax, "close the string";
        "form = \"referral\"" => "form =", "form =", "service.form", Syntax, "a value after form =";
        "form = \"referral\"" => "form = \"referral\"\nform = \"cname\"", "cname", "service.form", Syntax, "only once";
        "[resolvers] " => "[resolvers ", "[resolvers", "resolvers", Syntax, "[…]";
        "[resolvers] " => "nonsense\n[resolvers]", "nonsense", "map", Syntax, "key = value";
    ];
    cases.iter().for_each(Case::check);
}

#[test]
fn every_syntax_error_is_reported_and_nothing_that_follows_from_them() {
    let text = DNS_LB.replacen("[resolvers] ", "[node] ", 1).replacen(
        "path = \"/health\"",
        "path = /health",
        1,
    );
    let errors = errors_of(&text);
    assert!(
        errors.iter().all(|error| error.kind == ErrorKind::Syntax),
        "{errors}"
    );
    let keys: Vec<_> = errors.iter().map(|error| error.key.as_str()).collect();
    assert_eq!(
        keys,
        ["node", "node.addresses", "service.probe.path"],
        "{errors}"
    );
    assert!(errors.0[0].remedy.contains("once"));
    assert!(errors.0[2].remedy.contains("path = \"/health\""));
}

#[test]
fn a_file_that_cannot_be_read_says_why() {
    let directory = tempfile::tempdir().expect("a directory");
    let errors = Config::load(&directory.path().join("none.toml")).expect_err("absent");
    let error = errors.iter().next().expect("one");
    assert_eq!(error.kind, ErrorKind::Unreadable);
    assert!(error.to_string().contains("none.toml") && error.remedy.contains("path"));

    let path = directory.path().join("latin1.toml");
    std::fs::write(&path, b"role = \"dns-b\"\n[node]\nname = \"b\xfc\"\n").expect("written");
    let errors = Config::load(&path).expect_err("no UTF-8");
    let error = errors.iter().next().expect("one");
    assert_eq!(
        (error.line, error.column, error.key.as_str(), error.kind),
        (3, 10, "node.name", ErrorKind::Syntax)
    );
    assert!(error.remedy.contains("UTF-8"));

    assert_eq!(
        Config::load(directory.path()).expect_err("a directory").0[0].kind,
        ErrorKind::Unreadable
    );
    let endless = Config::load("/dev/zero".as_ref()).expect_err("endless");
    assert!(endless.0[0].message.contains("too large"), "{endless}");
}

#[test]
fn all_errors_are_reported_in_the_order_of_the_lines() {
    let text = DNS_B
        .replacen("\"b1.backbone.example\"", "\"b 1\"", 1)
        .replacen("10.53.0.1:5353", "8.8.8.8:5353", 1)
        .replacen("\"203.0.113.7\"", "\"203.0.113.777\"", 1)
        .replacen("serial = 1", "serail = 1", 1)
        .replacen("form = \"cname\"", "form = \"dname\"", 1);
    let errors = errors_of(&text);
    let keys: Vec<_> = errors.iter().map(|error| error.key.as_str()).collect();
    assert_eq!(
        keys,
        [
            "node.name",
            "map.listen",
            "dns_lb[1].address",
            "zone[0].soa.serail",
            "service[1].form"
        ]
    );
    assert!(errors.iter().is_sorted_by_key(|error| error.line));
    assert_eq!(errors.to_string().lines().count(), keys.len());
}

#[test]
fn an_empty_file_names_what_is_needed() {
    let errors = errors_of("");
    let keys: Vec<_> = errors.iter().map(|error| error.key.as_str()).collect();
    assert_eq!(keys, ["role", "node"]);
    let keys = |text| -> Vec<String> {
        errors_of(text)
            .iter()
            .map(|error| error.key.clone())
            .collect()
    };
    assert_eq!(
        keys("role = \"dns-b\""),
        ["node", "map", "dns_lb", "service"]
    );
    assert_eq!(
        keys("role = \"dns-lb\""),
        ["node", "map", "resolvers", "service"]
    );
}
