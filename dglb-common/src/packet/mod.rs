//! A frame up to the end of its DNS message, as the kernel program reads it: link, network and transport
//! headers, the DNS header, the question, and OPT.
//!
//! The same code runs in the kernel and, for tests and fuzzing, on the host: it knows memory, not maps.
//! Every error is the [`Counter`](crate::counters::Counter) of the reason why the frame is left to user
//! space.

mod edns;
mod frame;
mod headers;
mod options;
mod question;
mod scratch;

pub use self::{
    edns::{Edns, OPT_OCTETS, edns, without_options},
    frame::{Frame, Plain, bind},
    headers::{
        Datagram, IPV4, IPV4_TO_DNS, IPV6_TO_DNS, Message, datagram, kind, message, other, plain,
    },
    options::{SUBNET_HEAD, Subnet},
    question::{NAME, Question, question, word_before},
    scratch::{Reply, Scratch},
};
