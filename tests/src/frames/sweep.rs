//! One frame cut at each octet, with each bit flipped, and with each of its octets one more and one
//! less: what chance would take long to meet.

use super::Frame;

/// All of them, the longest at most 12 times as many as `octets` has octets.
pub fn sweep(about: &str, octets: &[u8]) -> Vec<Frame> {
    /// BPF_PROG_TEST_RUN takes no less than an Ethernet header.
    const SHORTEST: usize = 14;
    let named = |what: String, octets| Frame::new(&format!("{about}, {what}"), octets);
    let mut all: Vec<_> = (SHORTEST..octets.len())
        .map(|len| named(format!("cut to {len} octets"), octets[..len].to_vec()))
        .collect();
    for at in 0..octets.len() {
        let mut with = |what: String, value: u8| {
            let mut octets = octets.to_vec();
            octets[at] = value;
            all.push(named(format!("octet {at} {what}"), octets));
        };
        let was = octets[at];
        for bit in 0..8 {
            with(format!("bit {bit} flipped"), was ^ 1 << bit);
        }
        with("one more".to_owned(), was.wrapping_add(1));
        with("one less".to_owned(), was.wrapping_sub(1));
    }
    all
}
