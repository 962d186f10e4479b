//! What is fixed while a program serves.

use dglb_common::{
    client::{Client, mask},
    layout::{LimitPrefix, LimitRate, MAX_LABEL_COUNTS, Prefix, Settings},
};
use ipnet::IpNet;

use crate::config::{Config, Limit, Rate};

/// The settings that follow from what every role has; the builder adds names and vantages.
pub fn of(config: &Config) -> Settings {
    let mut settings = Settings {
        max_stale_ns: config.node.max_stale.as_nanos().min(u64::MAX.into()) as u64,
        ..Settings::default()
    };
    addresses(&mut settings, config);
    limits(&mut settings, &config.limit);
    subnet_senders(&mut settings, &config.client_subnet);
    settings
}

/// Slots that are left over repeat the addresses: a zero would match 0.0.0.0.
fn addresses(settings: &mut Settings, config: &Config) {
    let addresses = &config.node.addresses;
    let v4 = addresses.iter().filter_map(|address| match address {
        std::net::IpAddr::V4(address) => Some(address.octets()),
        std::net::IpAddr::V6(_) => None,
    });
    let v6 = addresses.iter().filter_map(|address| match address {
        std::net::IpAddr::V4(_) => None,
        std::net::IpAddr::V6(address) => Some(address.octets()),
    });
    settings.address_count_v4 = v4.clone().count() as u32;
    settings.address_count_v6 = v6.clone().count() as u32;
    for (slot, address) in settings.addresses_v4.iter_mut().zip(v4.cycle()) {
        *slot = address;
    }
    for (slot, address) in settings.addresses_v6.iter_mut().zip(v6.cycle()) {
        *slot = address;
    }
}

fn limits(settings: &mut Settings, limit: &Limit) {
    settings.limit = rate(Some(limit.default));
    settings.limit_dry_run = limit.dry_run.into();
    for (net, prefix_rate) in &limit.prefixes {
        let (entries, count) = match net {
            IpNet::V4(_) => (&mut settings.limits_v4, &mut settings.limit_count_v4),
            IpNet::V6(_) => (&mut settings.limits_v6, &mut settings.limit_count_v6),
        };
        // The configuration allows no more than there are places.
        if let Some(entry) = entries.get_mut(*count as usize) {
            *entry = LimitPrefix {
                prefix: prefix(*net),
                rate: rate(*prefix_rate),
            };
            *count += 1;
        }
    }
}

fn subnet_senders(settings: &mut Settings, from: &[IpNet]) {
    for net in from {
        let (entries, count) = match net {
            IpNet::V4(_) => (
                &mut settings.subnet_senders_v4,
                &mut settings.subnet_sender_count_v4,
            ),
            IpNet::V6(_) => (
                &mut settings.subnet_senders_v6,
                &mut settings.subnet_sender_count_v6,
            ),
        };
        if let Some(entry) = entries.get_mut(*count as usize) {
            *entry = prefix(*net);
            *count += 1;
        }
    }
}

/// A prefix as [`Client::word`] has addresses.
fn prefix(net: IpNet) -> Prefix {
    let client = match net {
        IpNet::V4(net) => Client::v4(net.network().octets()),
        IpNet::V6(net) => Client::v6(net.network().octets()),
    };
    let mask = mask(u32::from(net.prefix_len()).min(64));
    Prefix {
        network: client.word & mask,
        mask,
    }
}

/// `None`: exempt.
fn rate(rate: Option<Rate>) -> LimitRate {
    let Some(rate) = rate else {
        return LimitRate::default();
    };
    let interval_ns = 1_000_000_000 / u64::from(rate.per_second);
    LimitRate {
        interval_ns,
        burst_ns: interval_ns * u64::from(rate.burst),
    }
}
