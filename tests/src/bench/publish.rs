//! `cargo xtask bench --publish`: what it takes to fill the tables of a million resolvers, and to change
//! them while the program serves, by each of the means of publishing.

use std::{
    fmt,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use dglb_common::layout::{RANKING_PAGE, VantageValue};
use dglb_user::{
    kernel::Kernel,
    publish::DataPath as _,
    tables::{Change, Tables},
};

use super::million::Million;

/// Changes of each kind.
const CHANGES: usize = 10_000;
/// Changes after which places are freed, which takes a grace period, as the daemon's tick does.
const BETWEEN_GRACES: usize = 500;

/// What was measured.
#[derive(Debug)]
pub struct Published(Vec<(&'static str, String)>);

impl fmt::Display for Published {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, time) in &self.0 {
            writeln!(formatter, "{what:<58} {time}")?;
        }
        Ok(())
    }
}

/// Measures over the entries of `million`.
///
/// # Errors
/// The kernel refuses.
pub fn measure(million: &Million) -> Result<Published> {
    let mut tables = million.model().tables();
    let mut figures = Vec::new();
    let start = Instant::now();
    let mut kernel = Kernel::load(&tables, None)?;
    let filled = start.elapsed();
    figures.push((
        "all maps made and filled, the program verified",
        shown(filled),
    ));

    // A resolver moves to the next vantage, and its run of the client index with it.
    let resolvers: Vec<_> = million
        .exact
        .iter()
        .take(CHANGES)
        .map(|(address, _)| (*address).into())
        .collect();
    let vantages = tables.vantages.len() as u32;
    let mut times = Vec::new();
    let mut graces = Vec::new();
    for (index, address) in resolvers.into_iter().enumerate() {
        let mut value = *tables.resolvers.get(&address).context("it is mapped")?;
        value.vantage = (value.vantage + 1) % vantages;
        let change = Change::SetResolver(address, value);
        times.push(timed(&mut kernel, &mut tables, change)?);
        if index % BETWEEN_GRACES == 0 {
            let start = Instant::now();
            kernel.grace()?;
            graces.push(start.elapsed());
        }
    }
    figures.push(("a resolver moves: element and run replaced", spread(times)));
    figures.push((
        "grace period: a page put in its own place again",
        spread(graces),
    ));

    let mut times = Vec::new();
    for index in 0..CHANGES {
        let vantage = index as u32 % vantages;
        let old = tables.vantages[vantage as usize];
        let value = VantageValue {
            deadline: old.deadline ^ 1,
            ..old
        };
        let change = Change::SetVantage(vantage, value);
        times.push(timed(&mut kernel, &mut tables, change)?);
    }
    figures.push(("a lease is renewed: a word written in place", spread(times)));

    let mut times = Vec::new();
    for index in 0..CHANGES {
        let word = tables.rankings[index];
        let change = Change::SetRanking {
            page: (index / RANKING_PAGE) as u32,
            index: (index % RANKING_PAGE) as u32,
            word,
        };
        times.push(timed(&mut kernel, &mut tables, change)?);
    }
    figures.push(("a ranking changes: a word written in place", spread(times)));

    let start = Instant::now();
    kernel.refill_clients(&tables)?;
    figures.push((
        "the client index filled anew while it serves",
        shown(start.elapsed()),
    ));
    Ok(Published(figures))
}

/// Makes a change in both places; gives what the kernel's took.
fn timed(kernel: &mut Kernel, tables: &mut Tables, change: Change) -> Result<Duration> {
    let start = Instant::now();
    kernel.apply(std::slice::from_ref(&change))?;
    let taken = start.elapsed();
    tables.apply(&change);
    Ok(taken)
}

fn shown(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

fn spread(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let at = |of_1000: usize| times[(times.len() - 1) * of_1000 / 1000].as_secs_f64() * 1e6;
    format!(
        "median {:.1} µs, 99 % {:.1} µs, longest {:.1} µs",
        at(500),
        at(990),
        at(1000)
    )
}
