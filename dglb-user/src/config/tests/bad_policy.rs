//! Mistakes in an owner's policy: what it names must be there, and what it wants must be possible.

use super::{Case, DNS_LB, cases, errors_of};
use crate::config::ErrorKind;

#[test]
fn scorers_and_weights() {
    let cases = cases![DNS_LB;
        "scorer = \"weighed\"" => "scorer = \"weighted\"", "scorer", "service[0].policy.scorer", OutOfRange, "did you mean \"weighed\"?";
        "scorer = \"weighed\"" => "scorer = \"best\"", "scorer", "service[0].policy.scorer", OutOfRange, "\"latency\", \"availability\", \"load\", \"cost\", \"distance\", \"weighed\", \"random\", \"failover\", \"sticky\"";
        "scorer = \"weighed\"" => "", "weights", "service[0].policy.weights", Conflict, "write scorer = \"weighed\"";
        "scorer = \"weighed\"" => "scorer = \"cost\"", "weights", "service[0].policy.weights", Conflict, "only scorer \"weighed\" has weights";
        "weights = { latency = 1, cost = 2 }" => "", "[service.policy]", "service[0].policy.weights", MissingKey, "add weights = {";
        "weights = { latency = 1, cost = 2 }" => "weights = 1", "weights", "service[0].policy.weights", WrongType, "a table is needed";
        "weights = { latency = 1, cost = 2 }" => "weights = {}", "weights", "service[0].policy.weights", Conflict, "all weights are 0";
        "weights = { latency = 1, cost = 2 }" => "weights = { latency = 0, cost = 0.0 }", "weights", "service[0].policy.weights", Conflict, "all weights are 0";
        "latency = 1, cost = 2" => "latency = -1", "weights", "service[0].policy.weights.latency", OutOfRange, "from 0 to";
        "latency = 1, cost = 2" => "latency = nan", "weights", "service[0].policy.weights.latency", OutOfRange, "nan is not allowed";
        "latency = 1, cost = 2" => "latency = inf", "weights", "service[0].policy.weights.latency", OutOfRange, "inf is not allowed";
        "latency = 1, cost = 2" => "latency = 1e400", "weights", "service[0].policy.weights.latency", OutOfRange, "from 0 to";
        "latency = 1, cost = 2" => "latency = \"1\"", "weights", "service[0].policy.weights.latency", WrongType, "a number is needed";
        "latency = 1, cost = 2" => "latency = 1, costs = 2", "weights", "service[0].policy.weights.costs", UnknownKey, "did you mean \"cost\"?";
    ];
    cases.iter().for_each(Case::check);
}

#[test]
fn a_distance_needs_both_ends() {
    let by_distance = DNS_LB.replacen("latency = 1, cost", "distance = 0.5, cost", 1);
    super::load(&by_distance);
    for (lost, says) in [
        (
            "location = \"50 7 0 N 8 41 0 E\"",
            "this node does not know where it stands; add location",
        ),
        (
            "location = \"50.11, 8.68\"",
            "no site says where it stands; add location",
        ),
    ] {
        let errors = errors_of(&by_distance.replacen(lost, "", 1));
        assert_eq!(errors.0.len(), 1, "{errors}");
        assert_eq!(errors.0[0].key, "service[0].policy.weights");
        assert!(errors.to_string().contains(says), "{errors}");
    }
    let alone = DNS_LB
        .replacen("weights = { latency = 1, cost = 2 }", "", 1)
        .replacen("\"weighed\"", "\"distance\"", 1);
    super::load(&alone);
    let errors = errors_of(&alone.replacen("location = \"50.11, 8.68\"", "", 1));
    assert_eq!(errors.0[0].key, "service[0].policy.scorer");
}

#[test]
fn what_goes_by_the_load_needs_sites_that_tell_it() {
    let silent = DNS_LB.replacen("load = \"header:X-Load\"", "", 1);
    let without = |text: &str| text.replacen("overflow = {", "# {", 1);
    super::load(&without(&silent));
    let scored = silent.replacen("latency = 1, cost", "load = 1, cost", 1);
    let filtered = silent.replacen(
        "type = \"within\"\ntime = \"200ms\"",
        "type = \"below-capacity\"",
        1,
    );
    for (text, key) in [
        (silent.clone(), "service[0].policy.overflow"),
        (without(&scored), "service[0].policy.weights"),
        (without(&filtered), "service[0].policy.filter[1].type"),
    ] {
        let errors = errors_of(&text);
        assert_eq!(errors.0.len(), 1, "{errors}");
        assert_eq!(
            (errors.0[0].key.as_str(), errors.0[0].kind),
            (key, ErrorKind::Conflict)
        );
        assert!(
            errors.0[0].remedy.contains("add load = \"header:X-Load\""),
            "{errors}"
        );
    }
}

#[test]
fn the_weights_of_sites_that_divide_the_clients() {
    let divided = |scorer: &str, weight: &str| {
        DNS_LB
            .replacen("weights = { latency = 1, cost = 2 }", "", 1)
            .replacen("\"weighed\"", &format!("\"{scorer}\""), 1)
            .replace("region = \"", &format!("weight = {weight}\nregion = \""))
    };
    for scorer in ["random", "sticky"] {
        super::load(&divided(scorer, "3"));
        super::load(&divided(scorer, "0").replacen("weight = 0", "weight = 1", 1));
        let errors = errors_of(&divided(scorer, "0"));
        assert_eq!(errors.0.len(), 1, "{errors}");
        assert_eq!(errors.0[0].key, "service[0].policy.scorer");
        assert!(
            errors.0[0].message.contains("all of them are 0"),
            "{errors}"
        );
    }
    super::load(&divided("failover", "0"));
}

#[test]
fn several_sites_in_one_answer() {
    let several = |scorer: &str| {
        DNS_LB
            .replacen("weights = { latency = 1, cost = 2 }", "", 1)
            .replacen("\"weighed\"", &format!("\"{scorer}\""), 1)
            .replacen("overflow = {", "# {", 1)
            .replacen("ramp = \"10m\"", "answers = 2", 1)
    };
    for scorer in ["latency", "cost", "failover"] {
        super::load(&several(scorer));
    }
    for scorer in ["random", "sticky"] {
        let errors = errors_of(&several(scorer));
        assert_eq!(errors.0.len(), 1, "{errors}");
        assert_eq!(errors.0[0].key, "service[0].policy.answers");
        assert!(errors.0[0].remedy.contains("write answers = 1"), "{errors}");
    }
    for (key, replaced) in [("overflow", "# {"), ("ramp", "answers = 2")] {
        let text = several("latency");
        let text = match key {
            "overflow" => text.replacen(replaced, "overflow = {", 1),
            _ => text.replacen(replaced, "answers = 2\nramp = \"1m\"", 1),
        };
        let errors = errors_of(&text);
        assert_eq!(errors.0.len(), 1, "{errors}");
        assert_eq!(errors.0[0].key, format!("service[0].policy.{key}"));
    }
}

#[test]
fn tiers_and_the_rest() {
    let cases = cases![DNS_LB;
        "tiers = [{ name = \"primary\", min_sites = 2 }, { name = \"backup\" }]" => "tiers = [] # none", "none", "service[0].policy.tiers", OutOfRange, "at least one tier";
        "{ name = \"backup\" }" => "{ name = \"primary\" }", "tiers", "service[0].policy.tiers[1].name", Duplicate, "the tier \"primary\"";
        "{ name = \"backup\" }" => "{ nam = \"backup\" }", "tiers", "service[0].policy.tiers[1].nam", UnknownKey, "did you mean \"name\"?";
        "{ name = \"backup\" }" => "\"backup\"", "tiers", "service[0].policy.tiers[1]", WrongType, "a table is needed";
        "min_sites = 2" => "min_sites = 0", "tiers", "service[0].policy.tiers[0].min_sites", OutOfRange, "from 1 to 1000";
        "{ name = \"backup\" }" => "{ name = \"spare\" }", "tier = \"backup\"", "service[0].site[2].tier", Conflict, "there are \"primary\", \"spare\"";
        "# answers = 1" => "answers = 9", "answers", "service[0].policy.answers", OutOfRange, "from 1 to 8";
        "# answers = 1" => "answers = 0", "answers", "service[0].policy.answers", OutOfRange, "from 1 to 8";
        "# margin = { absolute = 1, percent = 10 }" => "margin = { absolute = -1 }", "margin", "service[0].policy.margin.absolute", OutOfRange, "from 0";
        "# margin = { absolute = 1, percent = 10 }" => "margin = { percent = \"10\" }", "margin", "service[0].policy.margin.percent", WrongType, "a number";
        "from = 80, full = 100" => "from = 100, full = 100", "overflow", "service[0].policy.overflow.from", Conflict, "make from less than full";
        "from = 80, full = 100" => "full = 79.5", "overflow", "service[0].policy.overflow.full", Conflict, "begins at 80 % of the capacity";
        "step = 10 }" => "step = 0 }", "overflow", "service[0].policy.overflow.step", OutOfRange, "from 1 to 100";
        "step = 10 }" => "stop = 10 }", "overflow", "service[0].policy.overflow.stop", UnknownKey, "did you mean \"step\"?";
        "ramp = \"10m\"" => "ramp = \"2days\"", "ramp", "service[0].policy.ramp", OutOfRange, "from 0s to 1day";
        "# unknown = \"serve\"" => "unknown = \"hide\"", "unknown", "service[0].policy.unknown", OutOfRange, "\"serve\", \"exclude\"";
        "# all_down = \"all-sites\"" => "all_down = \"last_good\"", "all_down", "service[0].policy.all_down", OutOfRange, "did you mean \"last-good\"?";
        "# all_down = \"all-sites\"" => "all_down = \"fallback\"", "all_down", "service[0].policy.all_down", Conflict, "add fallback_ipv4, fallback_ipv6";
        "# all_down = \"all-sites\"" => "fallback_ipv4 = \"192.0.2.1\"", "fallback_ipv4", "service[0].policy.fallback_ipv4", Conflict, "or write all_down = \"fallback\"";
        "# all_down = \"all-sites\"" => "all_down = \"servfail\"\nfallback_ipv6 = \"2001:db8::1\"", "fallback_ipv6", "service[0].policy.fallback_ipv6", Conflict, "with all_down = \"fallback\" alone";
        "# all_down = \"all-sites\"" => "all_down = \"fallback\"\nfallback_ipv4 = \"224.0.0.1\"", "224", "service[0].policy.fallback_ipv4", OutOfRange, "multicast";
    ];
    cases.iter().for_each(Case::check);
}

#[test]
fn filters() {
    let cases = cases![DNS_LB;
        "type = \"region\"" => "type = \"regoin\"", "regoin", "service[0].policy.filter[0].type", OutOfRange, "did you mean \"region\"?";
        "type = \"region\"" => "type = \"nearby\"", "nearby", "service[0].policy.filter[0].type", OutOfRange, "\"healthy\", \"within\", \"region\", \"tag\", \"family\", \"below-capacity\"";
        "type = \"region\"" => "", "[[service.policy.filter]]", "service[0].policy.filter[0].type", MissingKey, "add type";
        "any_of = [\"europe\", \"asia\"]" => "", "[[service.policy.filter]]", "service[0].policy.filter[0].any_of", MissingKey, "add any_of";
        "any_of = [\"europe\", \"asia\"]" => "any_of = []", "any_of", "service[0].policy.filter[0].any_of", OutOfRange, "at least one";
        "any_of = [\"europe\", \"asia\"]" => "any_of = [\"europa\"]", "any_of", "service[0].policy.filter[0].any_of[0]", Conflict, "did you mean \"europe\"? there are \"europe\", \"asia\"";
        "any_of = [\"europe\", \"asia\"]" => "any_of = [\"europe\", \"europe\"]", "any_of", "service[0].policy.filter[0].any_of[1]", Duplicate, "the region \"europe\"";
        "type = \"region\"\nany_of = [\"europe\", \"asia\"]" => "type = \"tag\"\nany_of = [\"rented\"]", "any_of", "service[0].policy.filter[0].any_of[0]", Conflict, "no site of this service has the tag \"rented\"";
        "type = \"region\"\nany_of = [\"europe\", \"asia\"]" => "type = \"family\"", "[[service.policy.filter]]", "service[0].policy.filter[0].has", MissingKey, "add has = \"ipv6\"";
        "type = \"region\"\nany_of = [\"europe\", \"asia\"]" => "type = \"family\"\nhas = \"IPv6\"", "has", "service[0].policy.filter[0].has", OutOfRange, "did you mean \"ipv6\"?";
        "type = \"region\"\nany_of = [\"europe\", \"asia\"]" => "type = \"healthy\"\npercent = 5", "percent", "service[0].policy.filter[0].percent", Conflict, "only a filter of type \"within\" or \"below-capacity\"";
        "type = \"region\"\nany_of = [\"europe\", \"asia\"]" => "type = \"below-capacity\"\npercent = -5", "percent", "service[0].policy.filter[0].percent", OutOfRange, "from 0 to";
        "time = \"200ms\"" => "", "[[service.policy.filter]]", "service[0].policy.filter[1].time", MissingKey, "percent = 50, or both";
        "time = \"200ms\"" => "time = \"2m\"", "time", "service[0].policy.filter[1].time", OutOfRange, "to 1m";
        "time = \"200ms\"" => "time = \"200ms\"\nhas = \"ipv6\"", "has", "service[0].policy.filter[1].has", Conflict, "only a filter of type \"family\"";
        "time = \"200ms\"" => "tiem = \"200ms\"", "tiem", "service[0].policy.filter[1].tiem", UnknownKey, "did you mean \"time\"?";
        "[[service.policy.filter]]\ntype = \"within\"" => "[[service.policy.filters]]\ntype = \"within\"", "filters", "service[0].policy.filters", UnknownKey, "did you mean \"filter\"?";
    ];
    cases.iter().for_each(Case::check);
    let family = "type = \"family\"\nhas = \"ipv6\"";
    let text = DNS_LB.replacen(
        "type = \"region\"\nany_of = [\"europe\", \"asia\"]",
        family,
        1,
    );
    super::load(&text);
    let errors = errors_of(&text.replacen("ipv6 = \"2001:db8:1::80\"", "", 1));
    assert_eq!(errors.0.len(), 1, "{errors}");
    assert!(
        errors.0[0]
            .message
            .contains("no site has an address of this family"),
        "{errors}"
    );
}

#[test]
fn a_mistake_at_a_site_does_not_make_the_policy_wrong_too() {
    for (from, to) in [
        ("region = \"asia\"", "region = \"\""),
        ("tags = [\"own\"]", "tags = [7]"),
        ("name = \"rented\"", ""),
    ] {
        let errors = errors_of(&DNS_LB.replacen(from, to, 1));
        assert_eq!(errors.0.len(), 1, "{errors}");
        assert!(errors.0[0].key.starts_with("service[0].site["), "{errors}");
    }
    let errors = errors_of(&DNS_LB.replacen("load = \"header:X-Load\"", "load = \"no\"", 1));
    assert_eq!(errors.0.len(), 1, "{errors}");
}
