//! Who asks: the source address, or the client that a listed resolver names by Client Subnet.

use std::{cell::Cell, net::IpAddr};

use dglb_common::client::Client;

use super::subnet::ClientSubnet;
use crate::tables::{self, Tables};

/// Who asks.
#[derive(Clone, Debug)]
pub(super) struct Asker {
    source: IpAddr,
    /// The group of a watched answer that was met.
    watched: Cell<Option<u32>>,
    /// The client named by Client Subnet, with the bits that were said of it.
    named: Option<(Client, u8)>,
}

/// The vantage of who asks for addresses, and how far that answer reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The vantage.
    pub(super) vantage: u32,
    /// Scope of an answer that is chosen by it (RFC 7871 §7.2.1).
    pub(super) scope: u8,
}

impl Place {
    /// A vantage that who asks has no part in.
    pub(super) fn fixed(vantage: u32) -> Self {
        Self { vantage, scope: 0 }
    }
}

impl Asker {
    /// From the source, and the query's Client Subnet if that is believed.
    pub(super) fn new(source: IpAddr, subnet: Option<ClientSubnet>) -> Self {
        Self {
            source,
            watched: Cell::new(None),
            named: subnet.and_then(|subnet| subnet.client()),
        }
    }

    /// A watched answer of this group was met.
    pub(super) fn meets_watched(&self, group: u32) {
        self.watched.set(Some(group));
    }

    /// The group of a watched answer that was met.
    pub(super) fn watched(&self) -> Option<u32> {
        self.watched.get()
    }

    /// Whom buckets are chosen by.
    pub(super) fn client(&self) -> Client {
        match self.named {
            Some((client, _)) => client,
            None => tables::client(self.source),
        }
    }

    /// Whose referral it gets: the resolver's own, which is who follows it; of a delegation Client Subnet
    /// says nothing (RFC 7871 §7.4).
    pub(super) fn resolver_vantage(&self, tables: &Tables) -> u32 {
        tables.vantage_of(self.source)
    }

    /// Whose addresses it gets.
    pub(super) fn place(&self, tables: &Tables) -> Place {
        match self.named {
            Some((client, source_len)) => {
                let prefix = tables.subnet(client, source_len);
                Place {
                    vantage: u32::from(prefix.vantage),
                    scope: prefix.scope,
                }
            }
            None => Place::fixed(tables.vantage_of(self.source)),
        }
    }

    /// The scope of an answer that the client chose out of a row of buckets: who shares the bucket shares
    /// the answer.
    pub(super) fn bucket_scope(&self) -> u8 {
        let Some((client, _)) = self.named else {
            return 0;
        };
        client.network_mask().count_ones() as u8
    }
}
