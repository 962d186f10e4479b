//! Why a kernel did not accept the program: which of the features that it needs are not there, by
//! trying each. Their versions stand in `config::machine`.

use aya::{
    maps::MapType,
    programs::ProgramType,
    sys::{BpfHelper, is_helper_supported, is_map_supported, is_program_supported},
};
use rustix::system::uname;

use super::KernelError;
use crate::config::machine::needs::{self, Feature};

/// How a feature is tried.
#[derive(Clone, Copy, Debug)]
enum Probe {
    Program(ProgramType),
    Map(MapType),
    /// A helper of XDP programs.
    Helper(BpfHelper),
}

/// Loops and links cannot be tried by themselves: the verifier's log says it of the former, attaching
/// of the latter.
const PROBES: [(Feature, Probe); 6] = [
    (needs::XDP, Probe::Program(ProgramType::Xdp)),
    (
        needs::ADJUST_HEAD,
        Probe::Helper(BpfHelper::BPF_FUNC_xdp_adjust_head),
    ),
    (needs::ARRAY_OF_MAPS, Probe::Map(MapType::ArrayOfMaps)),
    (
        needs::ADJUST_TAIL,
        Probe::Helper(BpfHelper::BPF_FUNC_xdp_adjust_tail),
    ),
    (needs::RING_BUFFER, Probe::Map(MapType::RingBuf)),
    (
        needs::COARSE_CLOCK,
        Probe::Helper(BpfHelper::BPF_FUNC_ktime_get_coarse_ns),
    ),
];

impl Probe {
    /// Whether the kernel has it; `None` if it does not say (for example for lack of rights).
    fn is_there(self) -> Option<bool> {
        match self {
            Self::Program(kind) => is_program_supported(kind).ok(),
            Self::Map(kind) => is_map_supported(kind).ok(),
            Self::Helper(helper) => is_helper_supported(ProgramType::Xdp, helper).ok(),
        }
    }
}

/// An error of loading, with what the kernel lacks if it lacks something.
pub fn explain(error: KernelError) -> KernelError {
    explain_by(error, &uname().release().to_string_lossy(), Probe::is_there)
}

fn explain_by(
    error: KernelError,
    release: &str,
    is_there: impl Fn(Probe) -> Option<bool>,
) -> KernelError {
    let missing: Vec<_> = PROBES
        .iter()
        .filter(|(_, probe)| is_there(*probe) == Some(false))
        .map(|(feature, _)| feature)
        .collect();
    if missing.is_empty() {
        return error;
    }
    KernelError::Lacking {
        release: release.to_owned(),
        missing: needs::told(missing),
        source: Box::new(error),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::kernel_object;

    fn error() -> KernelError {
        KernelError::Missing("an error")
    }

    #[test]
    fn what_is_missing_is_named_with_the_version_that_has_it() {
        let lacks = |probe| {
            Some(!matches!(
                probe,
                Probe::Map(MapType::RingBuf)
                    | Probe::Helper(BpfHelper::BPF_FUNC_ktime_get_coarse_ns)
            ))
        };
        let told = explain_by(error(), "5.7.19", lacks).to_string();
        assert!(told.contains("Linux 5.7.19"), "{told}");
        assert!(
            told.contains("BPF ring buffers (Linux 5.8 and later)"),
            "{told}"
        );
        assert!(
            told.contains("bpf_ktime_get_coarse_ns (Linux 5.11 and later)"),
            "{told}"
        );
        assert!(!told.contains("XDP programs"), "{told}");
        assert!(told.contains("an error"), "the kernel's own words: {told}");
    }

    #[test]
    fn where_nothing_is_known_to_be_missing_the_error_stays_what_it_was() {
        for answer in [None, Some(true)] {
            let told = explain_by(error(), "6.1.0", |_| answer).to_string();
            assert_eq!(told, error().to_string());
        }
    }

    #[test]
    fn this_kernel_lacks_nothing() {
        for (feature, probe) in PROBES {
            // Without rights it does not say.
            assert_ne!(probe.is_there(), Some(false), "{feature:?}");
        }
    }

    #[test]
    fn what_no_kernel_has_is_not_there() {
        let kernel_probes_only = Probe::Helper(BpfHelper::BPF_FUNC_override_return);
        assert_ne!(kernel_probes_only.is_there(), Some(true));
        assert_eq!(Probe::Map(MapType::Unspecified).is_there(), Some(false));
    }

    /// A helper that the program calls and that is younger than Linux 4.8, the first with XDP, needs
    /// its line in this table and in `config::machine::needs`.
    #[test]
    fn every_helper_of_the_program_is_tried() {
        /// Numbers are given in the order of time; this one came with 4.8.
        const LAST_OF_4_8: u32 = BpfHelper::BPF_FUNC_get_current_task as u32;
        /// They come with ring buffers.
        const OF_RING_BUFFERS: [BpfHelper; 4] = [
            BpfHelper::BPF_FUNC_ringbuf_output,
            BpfHelper::BPF_FUNC_ringbuf_reserve,
            BpfHelper::BPF_FUNC_ringbuf_submit,
            BpfHelper::BPF_FUNC_ringbuf_discard,
        ];
        let Ok(object) = kernel_object::object() else {
            // Built without the kernel program: there is nothing to look at.
            return;
        };
        let known: BTreeSet<u32> = PROBES
            .iter()
            .filter_map(|(_, probe)| match probe {
                Probe::Helper(helper) => Some(*helper as u32),
                Probe::Program(_) | Probe::Map(_) => None,
            })
            .chain(OF_RING_BUFFERS.map(|helper| helper as u32))
            .chain(0..=LAST_OF_4_8)
            .collect();
        let called = helpers(object);
        assert!(!called.is_empty());
        let unknown: Vec<_> = called.difference(&known).collect();
        assert!(
            unknown.is_empty(),
            "numbers of helpers (bpf_func_id): {unknown:?}"
        );
    }

    /// The helpers that the object's instructions call.
    fn helpers(object: &[u8]) -> BTreeSet<u32> {
        /// BPF_JMP | BPF_CALL; a source register other than 0 makes it another kind of call.
        const CALL: u8 = 0x85;
        let object = aya_obj::Object::parse(object).expect("an object");
        object
            .functions
            .values()
            .flat_map(|function| &function.instructions)
            .filter(|instruction| instruction.code == CALL && instruction.src_reg() == 0)
            .map(|instruction| instruction.imm as u32)
            .collect()
    }
}
