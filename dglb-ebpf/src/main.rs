//! The XDP program. The crate is empty on the host, so that `cargo check`, `clippy` and `test` of
//! the whole workspace work there; `cargo xtask build` builds it for the kernel.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]

#[cfg(not(target_arch = "bpf"))]
fn main() {}

#[cfg(target_arch = "bpf")]
mod program {
    use aya_ebpf::{bindings::xdp_action::XDP_PASS, macros::xdp, programs::XdpContext};

    /// Passes every frame up, unaltered.
    #[xdp]
    pub fn dglb(_frame: XdpContext) -> u32 {
        XDP_PASS
    }

    /// Nothing here panics; the compiler asks for a handler all the same, and the verifier would
    /// refuse a program from which this loop can be reached.
    #[panic_handler]
    fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
        loop {}
    }

    /// The kernel lends its GPL-only helpers to programs that say this.
    #[unsafe(link_section = "license")]
    #[unsafe(no_mangle)]
    static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
}
