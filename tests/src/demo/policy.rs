//! What the owner and the operator may want of the first ISP's DNS-LB, and whether it does so: the policy by
//! latency, cost weighed against it, a drain with a reason; and why, by `dglb explain`.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use hickory_proto::rr::RecordType;
use serde_json::Value;

use super::report::{PolicyStep, Wish};
use crate::lab::{
    chain::{Chain, Isp},
    dns,
    node::WWW,
    wait,
};

/// When an answer must be what was wished for.
const LIMIT: Duration = Duration::from_secs(15);
/// What an answer of each site costs, once cost is weighed: milliseconds that it is worth.
const COSTS: [(&str, u32); 2] = [("frankfurt", 100), ("newyork", 10)];
/// Why the site is drained.
const REASON: &str = "new discs";

/// Tries all of it; `told` gets each step as it is seen. At its end all is as it was.
///
/// # Errors
/// A command fails, or an answer does not become what it should.
pub fn run(chain: &Chain, mut told: impl FnMut(&PolicyStep)) -> Result<(Vec<PolicyStep>, Value)> {
    let isp = &chain.isps[0];
    let mut steps = Vec::new();
    let mut see = |wish: Wish, expected: &'static str, at: Instant| -> Result<()> {
        wait::until(&format!("{wish:?} leads to {expected}"), LIMIT, || {
            let site = answered(chain, isp)?;
            ensure!(site == expected, "{WWW} is answered with {site}");
            Ok(())
        })?;
        let step = PolicyStep {
            wish,
            site: expected.to_owned(),
            after_ms: u64::try_from(at.elapsed().as_millis()).unwrap_or(u64::MAX),
        };
        told(&step);
        steps.push(step);
        Ok(())
    };
    see(Wish::Latency, isp.best_site, Instant::now())?;

    let file = isp.dns_lb.config();
    let before = fs::read_to_string(file)?;
    fs::write(file, weighed(&before))?;
    let at = Instant::now();
    isp.dns_lb.run("reload", &[])?;
    see(Wish::CostWeighed, "newyork", at)?;
    fs::write(file, &before)?;
    let at = Instant::now();
    isp.dns_lb.run("reload", &[])?;
    see(Wish::LatencyAgain, isp.best_site, at)?;

    let at = Instant::now();
    isp.dns_lb
        .run("drain", &[isp.best_site, "--reason", REASON])?;
    see(Wish::Drained, "newyork", at)?;
    let explanation = explain(isp)?;
    let at = Instant::now();
    isp.dns_lb.run("undrain", &[isp.best_site])?;
    see(Wish::DrainTakenBack, isp.best_site, at)?;
    Ok((steps, explanation))
}

/// The site that the DNS-LB answers its resolver with.
fn answered(chain: &Chain, isp: &Isp) -> Result<&'static str> {
    let server = isp.dns_lb.host().address();
    let answer = dns::ask(&isp.client, server, WWW, RecordType::A)?;
    let address = dns::addresses(&answer)?[0];
    let mirror = chain.mirror_at(address);
    Ok(mirror
        .with_context(|| format!("{address} is no site"))?
        .site
        .name)
}

/// The same configuration, in which cost is weighed against latency.
fn weighed(toml: &str) -> String {
    const FIRST_SITE: &str = "rise = 2\n";
    let policy = "[service.policy]\nscorer = \"weighed\"\nweights = { latency = 1, cost = 1 }\n";
    let mut toml = toml.replace(FIRST_SITE, &format!("{FIRST_SITE}{policy}"));
    for (site, cost) in COSTS {
        let name = format!("name = \"{site}\"\n");
        toml = toml.replace(&name, &format!("{name}cost = {cost}\n"));
    }
    toml
}

/// Why the resolver of the ISP gets what it gets.
fn explain(isp: &Isp) -> Result<Value> {
    let resolver = isp.resolver.address().to_string();
    let output = isp
        .dns_lb
        .run("explain", &[WWW, "--from", &resolver, "--json"])?;
    let said: Value = serde_json::from_slice(&output)?;
    ensure!(
        said["agrees"] == true,
        "the tables answer something else than the daemon says: {said}"
    );
    let candidates = said["candidates"].as_array().context("no candidates")?;
    ensure!(
        candidates
            .iter()
            .any(|site| site["site"] == isp.best_site && !site["removed_by"].is_null()),
        "the drained site is not said to be: {said}"
    );
    Ok(said)
}

/// What `dglb explain` says, in a few lines for the screen.
pub fn in_words(said: &Value) -> Vec<String> {
    let text = |value: &Value| {
        value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned)
    };
    let mut lines = vec![format!(
        "{} from {}: {} ({}), TTL {} s",
        text(&said["name"]),
        text(&said["from"]),
        text(&said["answer"]),
        text(&said["matched"]),
        said["ttl_s"]
    )];
    for site in said["candidates"].as_array().into_iter().flatten() {
        let what = match (&site["removed_by"], &site["score"]) {
            (Value::Null, Value::Null) => "stands by".to_owned(),
            (Value::Null, score) => format!("score {:.1}", score.as_f64().unwrap_or_default()),
            (why, _) => format!("out, {}", text(why)),
        };
        lines.push(format!("    {}: {what}", text(&site["site"])));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_gets_costs_and_a_policy() {
        let toml = "[service.probe]\nrise = 2\n[[service.site]]\nname = \"frankfurt\"\nipv4 = \"198.18.1.80\"\n";
        let weighed = weighed(toml);
        assert!(
            weighed.contains("rise = 2\n[service.policy]\n"),
            "{weighed}"
        );
        assert!(
            weighed.contains("name = \"frankfurt\"\ncost = 100\n"),
            "{weighed}"
        );
    }
}
