//! What stands at the other end of the wire in the lab and the benchmark: a program that passes
//! everything (XDP_TX frames reach a veth peer only if it has an XDP program too), the bare
//! reflector that answers are measured against, and the benchmark's generator and checker.
#![cfg_attr(target_arch = "bpf", no_std, no_main, feature(asm_experimental_arch))]

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

    /// Sends every UDP datagram over IPv4 back to who sent it: addresses and ports change places, which
    /// leaves both checksums right. The least that any answer in XDP does.
    #[xdp]
    pub fn reflect(ctx: XdpContext) -> u32 {
        let (start, end) = (ctx.data(), ctx.data_end());
        if start + UDP_END > end {
            return XDP_PASS;
        }
        // IPv4 without options, UDP.
        let is_udp = read::<u16>(start + 12) == u16::from_ne_bytes([8, 0])
            && read::<u8>(start + 14) == 0x45
            && read::<u8>(start + 23) == 17;
        if !is_udp {
            return XDP_PASS;
        }
        swap::<[u16; 3]>(start, start + 6);
        swap::<u32>(start + 26, start + 30);
        swap::<u16>(start + 34, start + 36);
        XDP_TX
    }

    /// Octets of the Ethernet, IPv4 and UDP headers.
    const UDP_END: usize = 14 + 20 + 8;

    /// Reads at an address in the headers.
    #[inline(always)]
    fn read<T>(place: usize) -> T {
        // SAFETY: called with addresses in the first UDP_END octets, which lie in the frame; the
        // integers and arrays that it is called for have no wrong values.
        unsafe { (place as *const T).read_unaligned() }
    }

    /// Exchanges what stands at two addresses in the headers.
    #[inline(always)]
    fn swap<T>(one: usize, other: usize) {
        let (first, second) = (read::<T>(one), read::<T>(other));
        // SAFETY: as above.
        unsafe { (one as *mut T).write_unaligned(second) };
        // SAFETY: as above.
        unsafe { (other as *mut T).write_unaligned(first) };
    }

    #[panic_handler]
    fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
        loop {}
    }
}

#[cfg(not(target_arch = "bpf"))]
fn main() {}
