//! Ready answers: the resource records that the kernel copies behind a question.
//!
//! Each function makes the records of one row of the answer table, in the form that
//! [`dglb_common::layout::Answer`] describes: the name that they belong to stands at offset 12, and
//! every compression pointer to it or to a name above it is listed.

use std::net::{Ipv4Addr, Ipv6Addr};

use dglb_common::{
    checksum,
    counters::Counter,
    layout::{Answer, MAX_ANSWER_OCTETS, MAX_POINTERS},
    query::{CLASS_IN, TYPE_A, TYPE_AAAA, TYPE_CNAME, TYPE_NS, TYPE_SOA},
};

use crate::{
    config::{Form, Soa},
    label::Label,
    name::OwnerName,
};

/// The largest TTL of what is said of a label or a node that is not known here, seconds (DESIGN §3).
pub const UNKNOWN_TTL: u32 = 60;

/// Label of a DNS-LB's name server host below its own label, form C.
const HOST_LABEL: &[u8] = b"\x02ns";

/// The records are more than a slot holds; user space composes such an answer itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the records have more than {MAX_ANSWER_OCTETS} octets or {MAX_POINTERS} pointers")]
pub struct TooLarge;

/// `b-r`: the balanced name is delegated to `L.N`, with its address as glue; form R.
pub fn referral(label: &Label, dns_lb: Ipv4Addr, ttl: u32) -> Answer {
    let mut records = Records::default();
    records.rr(Owner::Base, TYPE_NS, ttl, |records| {
        records.below_base(&label.wire());
    });
    records.rr(Owner::Below(&label.wire()), TYPE_A, ttl, |records| {
        records.put(&dns_lb.octets());
    });
    let mut answer = records.finish(Counter::BR).expect("fixed size");
    (answer.authorities, answer.additionals) = (1, 1);
    answer
}

/// `b-c-name`: the balanced name is an alias of `L.N`; form C.
pub fn cname(label: &Label, ttl: u32) -> Answer {
    let mut records = Records::default();
    records.rr(Owner::Base, TYPE_CNAME, ttl, |records| {
        records.below_base(&label.wire());
    });
    let mut answer = records.finish(Counter::BCName).expect("fixed size");
    (answer.authoritative, answer.answers) = (1, 1);
    answer
}

/// `b-c-label`: what was asked for, `L.N`, is delegated to `ns.label.N`, with its address as glue;
/// form C.
///
/// The host's label is the DNS-LB's own, also where it stands in for another one: a resolver that
/// meets `ns.L.N` with two addresses, in the glue and from the DNS-LB, asks the dead one again.
pub fn label_referral(label: &Label, dns_lb: Ipv4Addr, ttl: u32) -> Answer {
    let mut records = Records::default();
    records.rr(Owner::Base, TYPE_NS, ttl, |records| {
        records.host_beside(label)
    });
    records.rr(Owner::HostBeside(label), TYPE_A, ttl, |records| {
        records.put(&dns_lb.octets());
    });
    let mut answer = records.finish(Counter::BCLabel).expect("fixed size");
    (answer.authorities, answer.additionals) = (1, 1);
    answer
}

/// `lb-address`: one IPv4 address.
pub fn address_v4(address: Ipv4Addr, ttl: u32) -> Answer {
    address_record(TYPE_A, &address.octets(), ttl)
}

/// `lb-address`: one IPv6 address.
pub fn address_v6(address: Ipv6Addr, ttl: u32) -> Answer {
    address_record(TYPE_AAAA, &address.octets(), ttl)
}

fn address_record(rtype: u16, octets: &[u8], ttl: u32) -> Answer {
    let mut records = Records::default();
    records.rr(Owner::Base, rtype, ttl, |records| records.put(octets));
    let mut answer = records.finish(Counter::LbAddress).expect("fixed size");
    (answer.authoritative, answer.answers) = (1, 1);
    answer
}

/// `lb-nodata`: NOERROR with the SOA of what was delegated to the DNS-LB (RFC 2308 §2.2).
///
/// # Errors
/// [`TooLarge`] when the SOA's names are too long for a slot.
pub fn nodata(service: &OwnerName, form: Form, soa: &Soa) -> Result<Answer, TooLarge> {
    negative(service, form, soa, Counter::LbNodata, 0)
}

/// `lb-nxdomain`: NXDOMAIN with the SOA of what was delegated to the DNS-LB (RFC 2308 §2.1).
///
/// # Errors
/// [`TooLarge`] when the SOA's names are too long for a slot.
pub fn nxdomain(service: &OwnerName, form: Form, soa: &Soa) -> Result<Answer, TooLarge> {
    negative(service, form, soa, Counter::LbNxdomain, 3)
}

fn negative(
    service: &OwnerName,
    form: Form,
    soa: &Soa,
    row: Counter,
    rcode: u8,
) -> Result<Answer, TooLarge> {
    let base = Base::of(service, form);
    let mut records = Records::default();
    records.rr(Owner::Base, TYPE_SOA, soa.ttl.min(soa.minimum), |records| {
        records.name(&soa.mname, base);
        records.name(&soa.rname, base);
        for value in [soa.serial, soa.refresh, soa.retry, soa.expire, soa.minimum] {
            records.put(&value.to_be_bytes());
        }
    });
    let mut answer = records.finish(row)?;
    (answer.authoritative, answer.rcode, answer.authorities) = (1, rcode, 1);
    Ok(answer)
}

/// What stands at offset 12 of the message: N, or in form C a label of 16 octets and N.
#[derive(Clone, Copy)]
struct Base<'a> {
    service: &'a OwnerName,
    /// Octets of the base in front of N.
    before_service: u16,
}

impl<'a> Base<'a> {
    fn of(service: &'a OwnerName, form: Form) -> Self {
        let before_service = match form {
            Form::Referral => 0,
            Form::Cname => 16,
        };
        Self {
            service,
            before_service,
        }
    }

    /// Where `wire`, with its root octet, begins in the message, if it is N or a name above it.
    fn offset_of(self, wire: &[u8]) -> Option<u16> {
        let service = self.service.wire();
        let before = service.len().checked_sub(wire.len())?;
        let at_label = self
            .service
            .labels()
            .scan(0, |offset, label| {
                let here = *offset;
                *offset += 1 + label.len();
                Some(here)
            })
            .any(|offset| offset == before);
        (at_label && service[before..] == *wire)
            .then_some(QUESTION_OFFSET + self.before_service + before as u16)
    }
}

/// Where the question's name begins in a message: behind the header (RFC 1035 §4.1.1).
const QUESTION_OFFSET: u16 = 12;

/// Owner of a record.
enum Owner<'a> {
    /// The base itself.
    Base,
    /// These labels in front of the base.
    Below(&'a [u8]),
    /// The host of the DNS-LB with this label, where the base is below a label.
    HostBeside(&'a Label),
}

/// Records that are being written.
#[derive(Default)]
struct Records {
    octets: Vec<u8>,
    pointers: Vec<u16>,
}

impl Records {
    fn put(&mut self, octets: &[u8]) {
        self.octets.extend_from_slice(octets);
    }

    /// A compression pointer to `offset` in the message (RFC 1035 §4.1.4).
    fn pointer(&mut self, offset: u16) {
        self.pointers.push(self.octets.len() as u16);
        self.put(&(0xc000 | offset).to_be_bytes());
    }

    /// `labels` in front of the base.
    fn below_base(&mut self, labels: &[u8]) {
        self.put(labels);
        self.pointer(QUESTION_OFFSET);
    }

    /// `ns.label.N`, where the base is `L.N`.
    fn host_beside(&mut self, label: &Label) {
        let label = label.wire();
        self.put(HOST_LABEL);
        self.put(&label);
        // Labels have one length: behind the base's own one N begins.
        self.pointer(QUESTION_OFFSET + label.len() as u16);
    }

    /// Any name, ended by a pointer where the base allows it.
    fn name(&mut self, name: &OwnerName, base: Base<'_>) {
        let mut rest = name.wire();
        while rest.len() > 1 {
            if let Some(offset) = base.offset_of(rest) {
                self.pointer(offset);
                return;
            }
            let (label, after) = rest.split_at(1 + usize::from(rest[0]));
            self.put(label);
            rest = after;
        }
        self.put(&[0]);
    }

    /// One resource record (RFC 1035 §4.1.3).
    fn rr(&mut self, owner: Owner<'_>, rtype: u16, ttl: u32, rdata: impl FnOnce(&mut Self)) {
        match owner {
            Owner::Base => self.pointer(QUESTION_OFFSET),
            Owner::Below(labels) => self.below_base(labels),
            Owner::HostBeside(label) => self.host_beside(label),
        }
        self.put(&rtype.to_be_bytes());
        self.put(&CLASS_IN.to_be_bytes());
        self.put(&ttl.to_be_bytes());
        let length_at = self.octets.len();
        self.put(&[0, 0]);
        rdata(self);
        let length = (self.octets.len() - length_at - 2) as u16;
        self.octets[length_at..length_at + 2].copy_from_slice(&length.to_be_bytes());
    }

    fn finish(self, row: Counter) -> Result<Answer, TooLarge> {
        if self.octets.len() > MAX_ANSWER_OCTETS || self.pointers.len() > MAX_POINTERS {
            return Err(TooLarge);
        }
        let mut answer = Answer {
            row: row as u32,
            sum: checksum::of(&self.octets),
            len: self.octets.len() as u16,
            pointer_count: self.pointers.len() as u8,
            ..Answer::EMPTY
        };
        answer.octets[..self.octets.len()].copy_from_slice(&self.octets);
        answer.pointers[..self.pointers.len()].copy_from_slice(&self.pointers);
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use hickory_proto::op::Message;

    use super::*;

    /// The records behind a question for `qname`, as a resolver reads them.
    fn read(qname: &OwnerName, prefix: usize, answer: &Answer) -> Message {
        let mut message = vec![0, 1, 0x84, answer.rcode, 0, 1];
        for count in [answer.answers, answer.authorities, answer.additionals] {
            message.extend_from_slice(&[0, count]);
        }
        message.extend_from_slice(qname.wire());
        message.extend_from_slice(&[0, 1, 0, 1]);
        let start = message.len();
        message.extend_from_slice(&answer.octets[..usize::from(answer.len)]);
        for &pointer in &answer.pointers[..usize::from(answer.pointer_count)] {
            let at = start + usize::from(pointer);
            let moved = u16::from_be_bytes([message[at], message[at + 1]]) + prefix as u16;
            message[at..at + 2].copy_from_slice(&moved.to_be_bytes());
        }
        Message::from_vec(&message).expect("a message")
    }

    fn name(text: &str) -> OwnerName {
        text.parse().expect(text)
    }

    fn soa() -> Soa {
        Soa {
            mname: name("ns1.g.foo.com"),
            rname: name("hostmaster.foo.com"),
            serial: 7,
            refresh: 3600,
            retry: 600,
            expire: 86_400,
            minimum: 30,
            ttl: 60,
        }
    }

    #[test]
    fn a_referral_names_the_dns_lb_by_its_label() {
        let label = Label::of_node("lb1.isp1.example");
        let answer = referral(&label, Ipv4Addr::new(198, 51, 100, 7), 3600);
        let message = read(&name("a.b.www.g.foo.com"), 4, &answer);
        let ns = message.authorities[0].to_string();
        assert_eq!(
            ns,
            format!("www.g.foo.com. 3600 IN NS {label}.www.g.foo.com.")
        );
        assert_eq!(
            message.additionals[0].to_string(),
            format!("{label}.www.g.foo.com. 3600 IN A 198.51.100.7")
        );
    }

    #[test]
    fn form_c_leads_by_alias_and_referral() {
        let label = Label::of_node("lb1.isp1.example");
        let message = read(&name("shop.foo.com"), 0, &cname(&label, 60));
        assert_eq!(
            message.answers[0].to_string(),
            format!("shop.foo.com. 60 IN CNAME {label}.shop.foo.com.")
        );
        let asked = name("shop.foo.com").child(label.characters());
        let message = read(
            &asked,
            0,
            &label_referral(&label, Ipv4Addr::new(203, 0, 113, 7), 60),
        );
        assert_eq!(
            message.authorities[0].to_string(),
            format!("{label}.shop.foo.com. 60 IN NS ns.{label}.shop.foo.com.")
        );
        assert_eq!(
            message.additionals[0].to_string(),
            format!("ns.{label}.shop.foo.com. 60 IN A 203.0.113.7")
        );
    }

    #[test]
    fn the_soa_of_a_negative_answer_is_owned_by_what_was_delegated() {
        let service = name("www.g.foo.com");
        let answer = nxdomain(&service, Form::Referral, &soa()).expect("fits");
        let message = read(&name("nope.www.g.foo.com"), 5, &answer);
        assert_eq!(
            message.authorities[0].to_string(),
            "www.g.foo.com. 30 IN SOA ns1.g.foo.com. hostmaster.foo.com. 7 3600 600 86400 30"
        );
        assert_eq!(answer.pointer_count, 3);

        let service = name("shop.foo.com");
        let label = Label::of_node("other");
        let answer = nodata(&service, Form::Cname, &soa()).expect("fits");
        let message = read(&service.child(label.characters()), 0, &answer);
        assert_eq!(
            message.authorities[0].to_string(),
            format!(
                "{label}.shop.foo.com. 30 IN SOA ns1.g.foo.com. hostmaster.foo.com. 7 3600 600 86400 30"
            )
        );
    }

    #[test]
    fn names_that_do_not_fit_are_refused() {
        let long = [
            "a".repeat(63),
            "b".repeat(63),
            "c".repeat(63),
            "d".repeat(59),
        ]
        .join(".");
        let mut soa = soa();
        (soa.mname, soa.rname) = (name(&long), name(&long));
        assert_eq!(nodata(&name("x.y"), Form::Referral, &soa), Err(TooLarge));
    }
}
