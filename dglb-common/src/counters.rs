//! What is counted: the rows of the answer table, and the reasons to pass or drop a frame.
//!
//! One struct of named 8-octet fields a CPU, so that `bpftool map dump` prints names; the same list
//! gives the index of each field and the name that `dglb stats` prints.

macro_rules! counters {
    ($( $(#[$doc:meta])* $field:ident $variant:ident $kind:ident $name:literal, )+) => {
        /// The kernel's counters of one CPU, frames each.
        #[repr(C)]
        #[derive(Clone, Copy, Debug, Default)]
        pub struct Counters { $( $(#[$doc])* pub $field: u64, )+ }

        impl Counters {
            /// The sums of both.
            pub fn plus(&self, other: &Self) -> Self {
                Self { $( $field: self.$field + other.$field, )+ }
            }

            /// Counters from their words, in the order of the fields.
            pub const fn from_words(words: [u64; COUNTERS]) -> Self {
                Self { $( $field: words[Counter::$variant as usize], )+ }
            }
        }

        /// The index of each counter in [`Counters`].
        #[repr(u32)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Counter { $( $(#[$doc])* $variant, )+ }

        impl Counter {
            /// All of them, in the order of the struct.
            pub const ALL: &'static [Self] = &[ $( Self::$variant, )+ ];

            /// The name that people read.
            pub const fn name(self) -> &'static str {
                match self { $( Self::$variant => $name, )+ }
            }

            /// What it counts.
            pub const fn kind(self) -> Kind {
                match self { $( Self::$variant => Kind::$kind, )+ }
            }

            /// The value in `counters`.
            pub const fn of(self, counters: &Counters) -> u64 {
                match self { $( Self::$variant => counters.$field, )+ }
            }
        }
    };
}

/// What a counter counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Answers of a row of the answer table.
    Answered,
    /// Frames passed up, unaltered, for a reason.
    Passed,
    /// Frames dropped for a reason.
    Dropped,
    /// Frames that are counted elsewhere too.
    Noted,
}

counters! {
    /// DNS-B, form R: referral.
    b_r BR Answered "b-r",
    /// DNS-B, form C: CNAME to the DNS-LB's label.
    b_c_name BCName Answered "b-c-name",
    /// DNS-B, form C: referral below the label.
    b_c_label BCLabel Answered "b-c-label",
    /// DNS-B, direct or cache mode: addresses.
    b_address BAddress Answered "b-address",
    /// DNS-B, direct or cache mode: no data of this type.
    b_nodata BNodata Answered "b-nodata",
    /// DNS-B: a name of the zone that is absent.
    b_negative BNegative Answered "b-negative",
    /// DNS-B: a name of the zone that is present.
    b_zone BZone Answered "b-zone",
    /// DNS-LB: addresses.
    lb_address LbAddress Answered "lb-address",
    /// DNS-LB: no data of this type.
    lb_nodata LbNodata Answered "lb-nodata",
    /// DNS-LB: SERVFAIL in the place of addresses, when no site is left and the owner wants it.
    lb_servfail LbServfail Answered "lb-servfail",
    /// DNS-LB: NS and SOA of the delegated name.
    lb_apex LbApex Answered "lb-apex",
    /// DNS-LB: name server host names.
    lb_host LbHost Answered "lb-host",
    /// DNS-LB: names that do not exist.
    lb_nxdomain LbNxdomain Answered "lb-nxdomain",
    /// Names that are not ours.
    refused Refused Answered "refused",
    /// Messages answered with an error: FORMERR, NOTIMP, BADVERS.
    error Error Answered "error",
    /// Answered with TC: what would be said is more than the client takes, or than three times what was
    /// asked.
    truncated Truncated Answered "truncated",
    /// Over the rate limit of the source's prefix: answered with TC and nothing else, every second one.
    limited Limited Answered "limited",
    /// Not UDP over IPv4 or IPv6 to port 53 of an address of ours, or in a form that is left to the kernel:
    /// fragments, IP options and extension headers, low source ports, broadcast.
    passed_not_dns PassedNotDns Passed "not-dns",
    /// The DNS header asks for more than a plain query, or the question is malformed.
    passed_form PassedForm Passed "form",
    /// OPT that needs thought: version, NSID, malformed; or another record in its place.
    passed_edns PassedEdns Passed "edns",
    /// A type that needs thought at this name.
    passed_type PassedType Passed "type",
    /// No table of the kernel has the name, or the label.
    passed_name PassedName Passed "name",
    /// No ready answer, or the answer was replaced while it was looked up.
    passed_table PassedTable Passed "table",
    /// The frame could not be grown.
    passed_room PassedRoom Passed "room",
    /// The daemon's heartbeat is older than `max_stale`.
    passed_stale PassedStale Passed "stale",
    /// Over the rate limit of the source's prefix.
    dropped_limited DroppedLimited Dropped "limited",
    /// Over the rate limit of the source's prefix, which is on trial: counted here beside what became of
    /// the frame.
    noted_limited NotedLimited Noted "limited-dry-run",
    /// A watched service was asked for, and the ring buffer had no room to tell it.
    noted_event_lost NotedEventLost Noted "event-lost",
}

/// How many counters there are.
pub const COUNTERS: usize = size_of::<Counters>() / 8;

const _: () = assert!(Counter::ALL.len() == COUNTERS);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_and_fields_agree() {
        for (index, counter) in Counter::ALL.iter().enumerate() {
            assert_eq!(*counter as usize, index);
            let mut words = [0; COUNTERS];
            words[index] = 7;
            let counters = Counters::from_words(words);
            assert_eq!(counter.of(&counters), 7, "{}", counter.name());
        }
    }
}
