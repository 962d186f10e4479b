//! An explanation for people, from the question down to the sites.

use std::io::{self, Write};

use super::Explained;
use crate::columns::{Columns, Side, number, printable};

/// Prints it.
pub fn print(explained: &Explained, out: &mut dyn Write) -> io::Result<()> {
    question(explained, out)?;
    who(explained, out)?;
    answer(explained, out)?;
    sites(explained, out)?;
    if !explained.notes.is_empty() {
        writeln!(out)?;
    }
    for note in &explained.notes {
        writeln!(out, "note: {}", printable(note))?;
    }
    Ok(())
}

fn question(explained: &Explained, out: &mut dyn Write) -> io::Result<()> {
    let Explained {
        name,
        qtype,
        from,
        role,
        node,
        ..
    } = explained;
    let subnet = explained.subnet.as_ref().map(|net| format!(" for {net}"));
    let subnet = subnet.unwrap_or_default();
    writeln!(
        out,
        "{name} {qtype}, asked by {from}{subnet} at {role} {node}\n"
    )?;
    let service = explained.service.as_deref();
    line(
        out,
        "name",
        service.unwrap_or("the zone's own, not balanced"),
    )
}

fn who(explained: &Explained, out: &mut dyn Write) -> io::Result<()> {
    let vantage = named(explained.vantage, &explained.vantage_name);
    let by_subnet = match explained.by_subnet {
        true => ", by Client Subnet",
        false => "",
    };
    line(out, "matched", &format!("{}{by_subnet}", explained.matched))?;
    let served = match explained.serves {
        Some(serves) if serves == explained.vantage => String::new(),
        Some(serves) => format!(", served by {}", named(serves, &explained.serves_name)),
        None => ", which is not in the table of vantages".to_owned(),
    };
    line(out, "vantage", &format!("{vantage}{served}"))
}

fn named(vantage: u32, name: &str) -> String {
    match name {
        "" => vantage.to_string(),
        name => format!("{vantage} ({name})"),
    }
}

fn answer(explained: &Explained, out: &mut dyn Write) -> io::Result<()> {
    if let Some((row, place)) = explained.bucket {
        let buckets = dglb_common::layout::BUCKETS;
        let text = format!("{place} of {buckets}, in row {row}: chosen by the client's network");
        line(out, "bucket", &text)?;
    }
    if let Some((slot, generation)) = explained.slot {
        line(out, "slot", &format!("{slot}, generation {generation}"))?;
    }
    let row = explained
        .row
        .map_or_else(String::new, |row| format!(", row {row}"));
    let kind = explained.kind.text();
    let given_by = explained.given_by;
    line(out, "answer", &format!("{kind}{row}, given by {given_by}"))?;
    if explained.records.is_empty() {
        for data in &explained.answer {
            line(out, "", data)?;
        }
    }
    for record in &explained.records {
        line(out, "", record)?;
    }
    if let Some(ttl) = explained.ttl_s {
        line(out, "TTL", &format!("{ttl} s"))?;
    }
    let age = explained
        .heartbeat_age_s
        .map(|age| format!(", the daemon beat {age:.1} s ago"));
    let state = match explained.state {
        "none" => "no kernel tables",
        state => state,
    };
    line(
        out,
        "tables",
        &format!("{state}{}", age.unwrap_or_default()),
    )
}

fn sites(explained: &Explained, out: &mut dyn Write) -> io::Result<()> {
    if !explained.candidates.is_empty() {
        writeln!(out, "\nsites, as the daemon sees them")?;
        let mut columns = Columns::new([
            ("site", Side::Left),
            ("address", Side::Left),
            ("state", Side::Left),
            ("score", Side::Right),
            ("share", Side::Right),
            ("removed by", Side::Left),
        ]);
        for site in &explained.candidates {
            let address = site.address.map(|address| address.to_string());
            columns.row([
                site.site.clone(),
                address.unwrap_or_else(|| "-".to_owned()),
                site.state.to_string(),
                number(site.score, 2),
                format!("{:.0} %", site.share_percent),
                site.removed_by.clone().unwrap_or_default(),
            ]);
        }
        columns.write("  ", out)?;
    }
    match explained.agrees {
        Some(true) => writeln!(out, "\nthe tables serve what the daemon chose"),
        Some(false) => writeln!(
            out,
            "\nthe tables serve SOMETHING ELSE than the daemon chose"
        ),
        None => Ok(()),
    }
}

fn line(out: &mut dyn Write, what: &str, text: &str) -> io::Result<()> {
    writeln!(out, "{what:<9} {}", printable(text))
}
