//! The tables' keys and values, as the kernel program and user space both see them.
//!
//! All structs are `repr(C)` without padding (asserted below) and hold plain integers. A value that
//! the kernel reads while user space may replace it is one aligned 8-octet word, made and taken apart
//! here and nowhere else; what stands beside it in a hash map's value is for people
//! (`bpftool map dump`). Integers are in the machine's order unless they are addresses or octets of a
//! DNS message, which are arrays.

mod answers;
mod clients;
mod names;
mod settings;

pub use self::{answers::*, clients::*, names::*, settings::*};

/// Version of everything in this module and of the maps' names and sizes; part of the pin path.
pub const LAYOUT: u32 = 3;

const _: () = {
    assert!(size_of::<Prefix>() == 16);
    assert!(size_of::<LimitPrefix>() == 32);
    assert!(
        size_of::<Settings>()
            == MAX_ADDRESSES * 20
                + 24
                + MAX_LABEL_COUNTS
                + 14 * 4
                + 8
                + 16
                + 2 * MAX_LIMIT_PREFIXES * 32
                + 2 * MAX_SUBNET_SENDERS * 16
    );
    assert!(size_of::<NameSlot>() == 24);
    assert!(size_of::<ResolverValue>() == 24);
    assert!(size_of::<PrefixValue>() == 4);
    assert!(size_of::<LabelValue>() == 8);
    assert!(size_of::<VantageValue>() == 8);
    assert!(size_of::<DnsLbValue>() == 36);
    assert!(size_of::<Answer>() == 64 + MAX_ANSWER_OCTETS);
};

#[cfg(feature = "user")]
mod pod {
    use super::*;
    use crate::counters::Counters;

    macro_rules! pod {
        ($($name:ty),+ $(,)?) => {
            $(
                // SAFETY: repr(C), integers and arrays of them only, no padding (asserted above).
                unsafe impl aya::Pod for $name {}
            )+
        };
    }

    pod!(
        Settings,
        Secret,
        NameSlot,
        ResolverValue,
        PrefixValue,
        LabelValue,
        VantageValue,
        DnsLbValue,
        Answer,
        Counters,
    );
}
