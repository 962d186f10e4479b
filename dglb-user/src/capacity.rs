//! What the tables have room for.
//!
//! A table that is too small is refused where that is first known, always with the same error: by
//! `dglb check` when the file names too much, at a start when the tables of the run before hold too
//! much, at an announcement while the node runs. What was published before stays in service.

use dglb_common::layout::MAX_VANTAGES;

use crate::{
    config::{DnsLbNode, Form},
    tables::Tables,
};

/// Resolvers that a DNS-B maps, if the file does not say.
pub const DEFAULT_RESOLVERS: u32 = 1_000_000;
/// The most that `tables.resolvers` may say: the table takes its memory, some 100 octets an entry, when
/// it is made.
pub const MAX_RESOLVERS: u32 = 4_000_000;
/// DNS-LBs of a node, beside itself.
pub const MAX_DNS_LBS: usize = MAX_VANTAGES - 1;
/// Balanced names of a node: at a DNS-LB each is a group of its own, whose number has 20 bits.
pub const MAX_NAMES: usize = 1_000_000;
/// Ready answers of a DNS-B: some 600 octets each, in the kernel and in user space.
pub const MAX_ANSWERS: usize = 1 << 20;

/// A table is too small.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}; {}", self.message(), self.remedy())]
pub enum TableFull {
    /// `resolvers_v4` with `resolvers_v6`: more resolvers than `tables.resolvers` allows for.
    Resolvers {
        /// Entries of the table.
        size: usize,
        /// What it would have to hold, if that is known.
        needed: Option<usize>,
    },
    /// `vantages`: more than [`MAX_DNS_LBS`].
    Vantages {
        /// DNS-LBs of the file.
        needed: usize,
    },
    /// `names`: more than [`MAX_NAMES`].
    Names {
        /// Balanced names of the file.
        needed: usize,
    },
    /// `answers`: more than [`MAX_ANSWERS`].
    Answers {
        /// Answers that the file's services need.
        needed: usize,
    },
}

impl TableFull {
    /// Name of the table; those of resolvers have one size together.
    pub const fn table(self) -> &'static str {
        match self {
            Self::Resolvers { .. } => "resolvers_v4 and resolvers_v6",
            Self::Vantages { .. } => "vantages",
            Self::Names { .. } => "names",
            Self::Answers { .. } => "answers",
        }
    }

    /// What it has room for.
    pub const fn size(self) -> usize {
        match self {
            Self::Resolvers { size, .. } => size,
            Self::Vantages { .. } => MAX_DNS_LBS,
            Self::Names { .. } => MAX_NAMES,
            Self::Answers { .. } => MAX_ANSWERS,
        }
    }

    /// Which table, and by how much.
    pub fn message(self) -> String {
        let (table, size) = (self.table(), self.size());
        match self {
            Self::Resolvers { needed: None, .. } => {
                format!("the tables {table} are full: they have room for {size} entries together")
            }
            Self::Resolvers {
                needed: Some(needed),
                ..
            } => format!(
                "the tables {table} have room for {size} entries together, {needed} are needed"
            ),
            Self::Vantages { needed } | Self::Names { needed } | Self::Answers { needed } => {
                format!("the table {table} has room for {size} entries, {needed} are needed")
            }
        }
    }

    /// The setting that it depends on, and what to do.
    pub fn remedy(self) -> String {
        match self {
            Self::Resolvers { .. } => format!(
                "write a larger tables.resolvers (at most {MAX_RESOLVERS}) into the file of the DNS-B and start \
                 it again"
            ),
            Self::Vantages { .. } => {
                "its size is fixed: keep fewer [[dns_lb]], and give the others to another node".to_owned()
            }
            Self::Names { .. } => {
                "its size is fixed: keep fewer [[service]], and give the others to another node".to_owned()
            }
            Self::Answers { .. } => {
                "its size is fixed, and each pair of service.form and service.referral_ttl needs answers \
                 for each [[dns_lb]]: give the services the same referral_ttl"
                    .to_owned()
            }
        }
    }
}

/// Whether tables that were built with what an earlier run left fit.
///
/// # Errors
/// The table that does not.
pub fn check(tables: &Tables) -> Result<(), TableFull> {
    let (size, needed) = (tables.room.resolvers as usize, tables.resolvers.len());
    if needed > size {
        let needed = Some(needed);
        return Err(TableFull::Resolvers { size, needed });
    }
    Ok(())
}

/// Sizes that a referral to this DNS-LB has (`ready::referral`): with its backup, without, and without
/// IPv6 glue.
pub fn referral_sizes(dns_lb: &DnsLbNode) -> usize {
    1 + usize::from(dns_lb.backup.is_some()) + usize::from(dns_lb.address_v6.is_some())
}

/// Ready answers that services of one form and one TTL need at a DNS-B with `dns_lbs`, whose referrals
/// have `sizes` in all: form `referral` those, form `cname` a CNAME, the referral of a label, and that of an
/// unknown label.
pub fn answers(form: Form, dns_lbs: usize, sizes: usize) -> usize {
    match form {
        Form::Referral => sizes,
        Form::Cname => dns_lbs + 2 * sizes,
        // Addresses: no configuration asks for them.
        Form::Direct | Form::Cache => 0,
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use dglb_common::counters::Counter;

    use super::*;
    use crate::{
        config::{Config, Role},
        publish::build::{self, Restored},
    };

    #[test]
    fn an_error_names_table_size_and_setting() {
        let errors = [
            (
                TableFull::Resolvers {
                    size: 7,
                    needed: None,
                },
                "resolvers_v4 and resolvers_v6",
                "7",
                "tables.resolvers",
            ),
            (
                TableFull::Resolvers {
                    size: 7,
                    needed: Some(9),
                },
                "resolvers_v4 and resolvers_v6",
                "9 are",
                "tables.resolvers",
            ),
            (
                TableFull::Vantages { needed: 70_000 },
                "vantages",
                "65534",
                "[[dns_lb]]",
            ),
            (
                TableFull::Names { needed: 1_000_001 },
                "names",
                "1000000",
                "[[service]]",
            ),
            (
                TableFull::Answers { needed: 2_000_000 },
                "answers",
                "1048576",
                "referral_ttl",
            ),
        ];
        for (error, table, number, setting) in errors {
            let said = error.to_string();
            let table = format!(" {table} ");
            for piece in [table.as_str(), number, setting] {
                assert!(said.contains(piece), "{piece} is not in {said}");
            }
        }
    }

    #[test]
    fn as_many_answers_are_made_as_are_reckoned_with() {
        let text = include_str!("../../docs/examples/dns-b.toml").replacen(
            "address = \"198.51.100.7\"\n",
            "address = \"198.51.100.7\"\naddress_v6 = \"2001:db8::7\"\nbackup = \"lb2.isp2.example\"\n",
            1,
        );
        let config = Config::from_text("dns-b.toml", &text).expect("a changed example");
        let Role::DnsB(dns_b) = &config.role else {
            panic!("another role")
        };
        let sizes: Vec<_> = dns_b.dns_lbs.iter().map(referral_sizes).collect();
        assert_eq!(sizes, [3, 1]);
        let built = build::build(&config, Default::default(), &Restored::default());
        let tables = built.expect("room").tables;
        let of_rows = |rows: &[Counter]| {
            let answers = tables.answers.iter();
            let is_of = |row: u32| rows.iter().any(|counter| *counter as u32 == row);
            let answers = answers.filter(|answer| answer.len != 0 && is_of(answer.row));
            answers.count()
        };
        assert_eq!(of_rows(&[Counter::BR]), answers(Form::Referral, 2, 4));
        assert_eq!(
            of_rows(&[Counter::BCName, Counter::BCLabel]),
            answers(Form::Cname, 2, 4)
        );
    }

    #[test]
    fn what_an_earlier_run_left_must_fit() {
        let text = include_str!("../../docs/examples/dns-b.toml");
        let load = |resolvers: &str| {
            let text = text.replace("# resolvers = 1000000", resolvers);
            Config::from_text("dns-b.toml", &text).expect("a changed example")
        };
        let config = load("");
        let Role::DnsB(dns_b) = &config.role else {
            panic!("another role")
        };
        assert_eq!(dns_b.max_resolvers, DEFAULT_RESOLVERS);
        let label = dns_b.dns_lbs[0].label;
        let resolver = |last| (IpAddr::V4(Ipv4Addr::new(198, 51, 100, last)), label, 1);
        let restored = Restored {
            resolvers: (1..=3).map(resolver).collect(),
            ..Restored::default()
        };
        let fits = |config: &Config| {
            let built = build::build(config, Default::default(), &restored);
            check(&built.expect("room").tables)
        };
        assert_eq!(fits(&config), Ok(()));
        assert_eq!(fits(&load("resolvers = 3")), Ok(()));
        let full = TableFull::Resolvers {
            size: 2,
            needed: Some(3),
        };
        assert_eq!(fits(&load("resolvers = 2")), Err(full));
    }
}
