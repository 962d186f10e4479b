//! Reads `[[service.site]]`: the mirrors of a service.

use super::{
    Site,
    error::ErrorKind,
    reader::Table,
    report::{Found, Report},
    value::Value,
};

/// Characters that a site's name may have, so that it fits on a line of output.
const MAX_SITE_NAME: usize = 63;

/// Reads the sites of one service, at least one.
pub(super) fn read_all(service: &mut Table<'_>, report: &Report<'_>) -> Vec<Site> {
    let tables = service.tables("site");
    if !service.has("site") {
        service.missing(
            "site",
            "add a [[service.site]] with name and ipv4 for each mirror",
        );
    }
    let mut names = Vec::new();
    let mut ipv4 = Vec::new();
    let mut ipv6 = Vec::new();
    let mut sites = Vec::new();
    for mut table in tables {
        let name = table.required("name", "\"frankfurt\"", site_name);
        let v4 = table.or("ipv4", None, |value| value.found_ipv4().map(Some));
        let v6 = table.or("ipv6", None, |value| value.found_ipv6().map(Some));
        require_ipv4(&mut table, report);
        table.finish(&[]);
        if let Some(name) = &name {
            let (ipv4, ipv6) = (v4.as_ref(), v6.as_ref());
            sites.push(Site::new(
                name.value,
                ipv4.map(|found| found.value),
                ipv6.map(|found| found.value),
            ));
        }
        names.extend(name);
        ipv4.extend(v4);
        ipv6.extend(v6);
    }
    let in_service = |what: String| format!("{what} of this service");
    report.refuse_duplicates(names.iter().map(|found| (&found.at, found.value)), |name| {
        in_service(format!("the site \"{name}\""))
    });
    report.refuse_duplicates(
        ipv4.iter().map(|found| (&found.at, found.value)),
        |address| in_service(format!("the site address {address}")),
    );
    report.refuse_duplicates(
        ipv6.iter().map(|found| (&found.at, found.value)),
        |address| in_service(format!("the site address {address}")),
    );
    sites
}

fn require_ipv4(table: &mut Table<'_>, report: &Report<'_>) {
    match (table.has("ipv4"), table.has("ipv6")) {
        (true, _) => {}
        (false, true) => report.add(
            &table.at_key("ipv6"),
            ErrorKind::Conflict,
            "the site has an IPv6 address alone, but only IPv4 is probed yet: it would never be up",
            "add the site's ipv4",
        ),
        (false, false) => table.missing("ipv4", "add the site's ipv4, and ipv6 where it has one"),
    }
}

fn site_name<'d>(value: Value<'d>) -> Option<Found<&'d str>> {
    let name = value.found_text()?;
    let length = name.value.chars().count();
    if (1..=MAX_SITE_NAME).contains(&length) && !name.value.contains(char::is_control) {
        return Some(name);
    }
    value.refuse(
        ErrorKind::BadForm,
        format!("\"{}\" can't be a site's name", name.value.escape_debug()),
        format!("write 1 to {MAX_SITE_NAME} characters, no control characters"),
    )
}
