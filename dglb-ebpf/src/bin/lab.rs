//! What stands at the other end of the wire in the lab and the benchmark: a program that passes
//! everything (XDP_TX frames reach a veth peer only if it has an XDP program too), the bare
//! reflector that answers are measured against, and the benchmark's generator and checker.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]

// Not `lab/main.rs`, nor `bench.rs` beside this file: cargo would take either for one more program.
#[cfg(target_arch = "bpf")]
#[path = "lab/bench.rs"]
mod bench;

#[cfg(target_arch = "bpf")]
mod programs {
    use aya_ebpf::{
        bindings::xdp_action::{XDP_PASS, XDP_TX},
        macros::xdp,
        programs::XdpContext,
    };

    /// Passes everything.
    #[xdp]
    pub fn pass(_ctx: XdpContext) -> u32 {
        XDP_PASS
    }

    /// Sends every frame back as it is, MAC addresses swapped.
    #[xdp]
    pub fn reflect(ctx: XdpContext) -> u32 {
        let (start, end) = (ctx.data(), ctx.data_end());
        if start + 14 > end {
            return XDP_PASS;
        }
        let addresses = start as *mut [[u8; 6]; 2];
        // SAFETY: 12 octets from `start` lie in the frame, as just compared.
        let [destination, source] = unsafe { *addresses };
        // SAFETY: as above.
        unsafe { *addresses = [source, destination] };
        XDP_TX
    }

    #[panic_handler]
    fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
        loop {}
    }
}

#[cfg(not(target_arch = "bpf"))]
fn main() {}
