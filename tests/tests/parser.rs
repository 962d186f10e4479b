//! The kernel program's parser (`dglb_common::packet`), run on the host, before the oracle's: what it
//! accepts, the oracle reads the same; what is sound and needs no thought, it accepts.

use dglb_tests::{
    frames::{Frames, sweep},
    fuzz::{case, hex, parse},
    world,
};
use proptest::prelude::*;

#[test]
fn generated_frames_are_read_as_the_oracle_reads_them() {
    for case in case::all() {
        let settings = case.model.tables().settings;
        let (mut accepted, mut sound) = (0, 0);
        for frame in Frames::new(&case.model, 3).take(4000) {
            match parse::check(&case.model, &settings, &frame.octets) {
                Ok(is_accepted) => accepted += u32::from(is_accepted),
                Err(error) => panic!("{}: {}: {error}", frame.about, hex(&frame.octets)),
            }
            sound += u32::from(frame.about == "sound");
        }
        // Of sound ones, NSID, Client Subnet spoilt and more options than eight are left to user space.
        assert!(accepted * 10 >= sound * 6, "{accepted} of {sound}");
    }
}

#[test]
fn frames_spoilt_at_each_octet_are_read_as_the_oracle_reads_them() {
    let model = world::dns_b();
    let settings = model.tables().settings;
    let mut tried = 0;
    let mut frames = Frames::new(&model, 5);
    while tried < 20 {
        let octets = frames.packet().octets();
        if parse::check(&model, &settings, &octets) != Ok(true) {
            continue;
        }
        tried += 1;
        for frame in sweep("sound", &octets) {
            let checked = parse::check(&model, &settings, &frame.octets);
            assert!(
                checked.is_ok(),
                "{}: {checked:?} {}",
                frame.about,
                hex(&frame.octets)
            );
        }
    }
}

proptest! {
    /// Octets behind headers that are right, so that any message gets as far as the parser of messages.
    #[test]
    fn any_message_is_read_as_the_oracle_reads_it(
        message in prop::collection::vec(prop_oneof![any::<u8>(), 0_u8..4], 0..120),
        header in any::<bool>(),
    ) {
        let model = world::dns_b();
        let settings = model.tables().settings;
        let mut message = message;
        if header && message.len() > 12 {
            message[2..12].copy_from_slice(&[1, 0, 0, 1, 0, 0, 0, 0, 0, 1]);
        }
        let frame = dglb_tests::frames::Packet::plain(
            world::SENDER.into(),
            world::DNS_B.into(),
            message,
        );
        let checked = parse::check(&model, &settings, &frame.octets());
        prop_assert!(checked.is_ok(), "{:?}", checked);
    }

    #[test]
    fn any_octets_are_read_as_the_oracle_reads_them(
        octets in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let model = world::dns_b();
        let settings = model.tables().settings;
        let checked = parse::check(&model, &settings, &octets);
        prop_assert!(checked.is_ok(), "{:?}", checked);
    }
}
