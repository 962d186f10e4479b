//! Whole frames over a veth pair, the program attached in the driver (native) and behind it (generic):
//! what `BPF_PROG_TEST_RUN` gives is what comes over the wire.

use aya::programs::xdp::XdpMode;
use dglb_common::counters::{Counter, Counters, Kind};
use dglb_tests::{
    frames::{Frames, OUTER_TAG, Packet, TAG},
    fuzz::{
        case, hex,
        path::{self, InKernel, Verdict},
    },
    model::Model,
    rig::ends::Ends,
    world,
};

/// Frames of each node.
const FRAMES: usize = 400;

/// Generated frames, sound and spoilt: each verdict is that of a test run, each reply and each passed
/// frame octet for octet.
fn check_generated(mode: XdpMode) {
    if !dglb_tests::is_root() {
        return;
    }
    for name in ["dns-b", "dns-b-direct", "dns-lb-vantages"] {
        let case = case::by_name(name).expect("a case of this name");
        let mut alone = InKernel::load(&case.model).expect("the program loads");
        let kernel = InKernel::load(&case.model).expect("the program loads");
        let ends = Ends::connect(kernel, mode).expect("the ends of a wire");
        let (mut replies, mut passed) = (0, 0);
        for frame in Frames::new(&case.model, 77).take(FRAMES) {
            if is_beyond_packet_sockets(&frame.octets) {
                continue;
            }
            let about = format!("{name}: {}: {}", frame.about, hex(&frame.octets));
            let verdict = alone.run(&frame.octets).expect("it runs");
            let seen = ends.run(&frame.octets, &verdict);
            let seen = seen.unwrap_or_else(|error| panic!("{error:#}: {about}"));
            assert_eq!(seen, verdict, "{about}");
            match seen {
                Verdict::Reply(_) => replies += 1,
                _ => passed += 1,
            }
        }
        assert!(
            replies > 100 && passed > 30,
            "{replies} replies, {passed} passed"
        );
    }
}

/// What only begins like a VLAN tag at the frame's end the kernel throws away before a packet socket sees
/// it (`skb_vlan_untag` wants 6 octets behind the Ethernet header).
fn is_beyond_packet_sockets(frame: &[u8]) -> bool {
    frame.len() < 20 && matches!(frame.get(12..14), Some([0x81, 0] | [0x88, 0xa8]))
}

#[test]
fn generated_frames_in_native_mode() {
    check_generated(XdpMode::Driver);
}

#[test]
fn generated_frames_in_generic_mode() {
    check_generated(XdpMode::Skb);
}

/// One query that is answered in each kind of frame: of each family without, with one and with two tags.
fn kinds(model: &Model, alone: &mut InKernel) -> Vec<Packet> {
    let mut frames = Frames::new(model, 5);
    let [c, s] = [TAG, OUTER_TAG].map(|[a, b]| [a, b, 0xb0, 0x07]);
    let mut kinds = Vec::new();
    for is_v6 in [false, true] {
        for tags in [vec![], vec![c], vec![s, c], vec![c, c]] {
            let mut packets = std::iter::repeat_with(|| frames.packet());
            let found = packets.find_map(|mut packet| {
                packet.tags.clone_from(&tags);
                let verdict = alone.run(&packet.octets()).expect("it runs");
                let is_answered = matches!(verdict, Verdict::Reply(_));
                (is_answered && packet.is_v6() == is_v6).then_some(packet)
            });
            kinds.extend(found);
        }
    }
    kinds
}

fn answered(counters: &Counters) -> u64 {
    let rows = Counter::ALL.iter();
    let rows = rows.filter(|counter| counter.kind() == Kind::Answered);
    rows.map(|counter| counter.of(counters)).sum()
}

/// The reply goes back in the VLAN that the query came in, with its priority and drop eligibility, in
/// both modes.
#[test]
fn vlan_tags_come_back_as_they_came() {
    if !dglb_tests::is_root() {
        return;
    }
    let model = world::dns_b();
    let answerer = path::answerer(&model);
    for mode in [XdpMode::Driver, XdpMode::Skb] {
        let kernel = InKernel::load(&model).expect("the program loads");
        let mut ends = Ends::connect(kernel, mode).expect("the ends of a wire");
        let mut alone = InKernel::load(&model).expect("the program loads");
        let kinds = kinds(&model, &mut alone);
        assert_eq!(kinds.len(), 8);
        for packet in &kinds {
            let frame = packet.octets();
            ends.send(&frame).expect("it is sent");
            let reply = ends.reply().expect("a reply");
            let own = answerer.answer_frame(&frame).expect("an answer");
            assert_eq!(
                hex(&reply),
                hex(&own.octets),
                "{mode:?}, tags {:?}",
                packet.tags
            );
            let tags = packet.tags.concat();
            assert_eq!(reply[12..12 + tags.len()], tags);
        }
        let counters = ends.kernel().counters().expect("counters");
        assert_eq!(answered(&counters), kinds.len() as u64);
    }
}
