//! What the XDP program needs of the kernel, and since when Linux has it. `kernel::feature` asks a
//! kernel for the same by trying.

/// Something that the XDP program needs of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Feature {
    /// What, in the kernel's words.
    pub name: &'static str,
    /// The first version of Linux that has it.
    pub since: (u32, u32),
}

/// Programs at the network driver.
pub const XDP: Feature = feature("XDP programs", 4, 8);
/// Room in front of a frame.
pub const ADJUST_HEAD: Feature = feature("the helper bpf_xdp_adjust_head", 4, 10);
/// Tables that are replaced as a whole.
pub const ARRAY_OF_MAPS: Feature = feature("arrays of maps", 4, 12);
/// Room behind a frame; up to 5.7 it only cuts.
pub const ADJUST_TAIL: Feature = feature("the helper bpf_xdp_adjust_tail that grows frames", 5, 8);
/// The walk over a name's labels.
pub const LOOPS: Feature = feature("loops in BPF programs", 5, 3);
/// The program's own log.
pub const RING_BUFFER: Feature = feature("BPF ring buffers", 5, 8);
/// What keeps the program in service without the daemon.
pub const LINK: Feature = feature("pinned links of XDP programs", 5, 9);
/// A clock that is cheap to read.
pub const COARSE_CLOCK: Feature = feature("the helper bpf_ktime_get_coarse_ns", 5, 11);

/// All of them, the oldest first.
pub const FEATURES: [Feature; 8] = [
    XDP,
    ADJUST_HEAD,
    ARRAY_OF_MAPS,
    LOOPS,
    ADJUST_TAIL,
    RING_BUFFER,
    LINK,
    COARSE_CLOCK,
];

/// The features that are newer than the kernel of this version.
pub fn newer_than(version: (u32, u32)) -> impl Iterator<Item = &'static Feature> {
    FEATURES
        .iter()
        .filter(move |feature| feature.since > version)
}

/// Features as a person reads them: `XDP programs (Linux 4.8 and later have that), …`.
pub fn told<'a>(features: impl IntoIterator<Item = &'a Feature>) -> String {
    let told: Vec<_> = features
        .into_iter()
        .map(|Feature { name, since }| {
            let (major, minor) = since;
            format!("{name} (Linux {major}.{minor} and later)")
        })
        .collect();
    told.join(", ")
}

const fn feature(name: &'static str, major: u32, minor: u32) -> Feature {
    Feature {
        name,
        since: (major, minor),
    }
}
