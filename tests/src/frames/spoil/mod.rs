//! Frames that are spoilt in one way each: in DNS, below it, or anywhere.

mod message;
mod packet;

use super::{Frame, Frames, Random};

/// The next spoilt frame.
pub(super) fn frame(frames: &mut Frames) -> Frame {
    let mut frame = frames.packet();
    let random = &mut frames.random;
    match random.below(8) {
        0 => {
            let octets = frame.octets();
            // BPF_PROG_TEST_RUN takes no less than an Ethernet header.
            let kept = 14 + random.below(octets.len() - 14);
            Frame::new("cut frame", octets[..kept].to_vec())
        }
        1 => Frame::new("bit of the frame flipped", flip(random, frame.octets())),
        2..=3 => {
            let of_family = if frame.is_v6() {
                packet::OF_V6
            } else {
                packet::OF_V4
            };
            let ways = random.pick(&[packet::OF_BOTH, of_family]);
            let (about, spoil) = random.pick(ways);
            spoil(random, &mut frame);
            Frame::new(about, frame.octets())
        }
        _ => {
            let (about, spoil) = random.pick(message::WAYS);
            frame.message = spoil(random, frame.message.clone());
            frame.set_lengths();
            frame.set_checksums();
            Frame::new(about, frame.octets())
        }
    }
}

fn flip(random: &mut Random, mut octets: Vec<u8>) -> Vec<u8> {
    let at = random.below(octets.len());
    octets[at] ^= 1 << random.below(8);
    octets
}
