//! The benchmark's programs on the asking side: [`bench_generate`] makes queries of the frames of a
//! live test run (`BPF_PROG_TEST_RUN` with `BPF_F_TEST_XDP_LIVE_FRAMES`, kernel 5.18), and
//! [`bench_check`] counts and checks what comes back, and drops it.
//!
//! Their work is the same for every measure, whatever the length of query and reply: what is
//! compared is the answerer. The clock is read only twice a run, by the checker, so that neither the
//! set-up of a live run (25 to 40 ms) nor the clock's own price is in the figures.

use aya_ebpf::{
    bindings::xdp_action::{XDP_ABORTED, XDP_DROP},
    btf_maps::{Array, PerCpuArray},
    helpers::{bpf_ktime_get_ns, bpf_redirect, bpf_xdp_adjust_tail, bpf_xdp_load_bytes},
    macros::{btf_map, xdp},
    programs::XdpContext,
};
use dglb_common::bench::{
    DESTINATION_PORT, Expected, FED, FIRST_ID, FIRST_PORT, HEAD_WORDS, ID, MAX_REPLY, Query,
    Received, SAMPLE, SEEN_SAMPLE, SEEN_WRONG, SOURCE_PORT, STEPS, SUM, Seen, Sent,
};

/// What is sent; written by user space.
#[btf_map(name = "bench_query")]
static QUERY: Array<Query, 1> = Array::new();

/// What must come back; written by user space.
#[btf_map(name = "bench_expected")]
static EXPECTED: Array<Expected, 1> = Array::new();

/// What was sent; written here, read and reset by user space.
#[btf_map(name = "bench_sent")]
static SENT: PerCpuArray<Sent, 1> = PerCpuArray::new();

/// What came back; written here, read and reset by user space.
#[btf_map(name = "bench_received")]
static RECEIVED: PerCpuArray<Received, 1> = PerCpuArray::new();

/// A sample and the first wrong frame; written here, read and reset by user space.
#[btf_map(name = "bench_seen")]
static SEEN: PerCpuArray<Seen, 2> = PerCpuArray::new();

/// Makes a query of a frame and sends it off.
///
/// The frame may have been here before: it then has the octets, and would have the length, of the
/// last answer. So every octet is written, and its length changed: only of a frame whose length its
/// program has changed does the kernel restore the length for the next lap.
#[xdp]
pub fn bench_generate(ctx: XdpContext) -> u32 {
    generate(&ctx).unwrap_or(XDP_ABORTED)
}

#[inline(always)]
fn generate(ctx: &XdpContext) -> Option<u32> {
    let query = QUERY.get(0)?;
    let sent = SENT.get_ptr_mut(0)?;
    let start = ctx.data();
    if start + FED > ctx.data_end() {
        return None;
    }
    for (index, word) in query.words.iter().enumerate() {
        let place = (start + index * 8) as *mut u64;
        // SAFETY: FED octets from `start` lie in the frame, as just compared.
        unsafe { place.write_unaligned(*word) };
    }
    // SAFETY: this CPU's value, which no other program writes.
    let frames = unsafe { (*sent).frames };
    let step = (frames & (STEPS - 1)) as u16;
    write_u16(start + ID, FIRST_ID + step);
    write_u16(start + SOURCE_PORT, FIRST_PORT - step);
    let cut = query.len as i32 - FED as i32;
    // SAFETY: the helper takes the context; no pointer into the frame is used after it.
    if unsafe { bpf_xdp_adjust_tail(ctx.ctx, cut) } != 0 {
        return None;
    }
    // SAFETY: as above.
    unsafe { (*sent).frames = frames + 1 };
    // SAFETY: the helper takes two numbers.
    Some(unsafe { bpf_redirect(query.interface, 0) } as u32)
}

/// Writes an integer of the network at an address that the caller has compared.
#[inline(always)]
fn write_u16(place: usize, value: u16) {
    // SAFETY: called with addresses below FED octets from the frame's start.
    unsafe { (place as *mut u16).write_unaligned(value.to_be()) };
}

/// Counts and checks a reply.
#[xdp]
pub fn bench_check(ctx: XdpContext) -> u32 {
    check(&ctx).unwrap_or(XDP_ABORTED)
}

#[inline(always)]
fn check(ctx: &XdpContext) -> Option<u32> {
    let expected = EXPECTED.get(0)?;
    let received = RECEIVED.get_ptr_mut(0)?;
    // SAFETY: this CPU's value, which no other program writes.
    let received = unsafe { &mut *received };
    received.frames += 1;
    let len = (ctx.data_end() - ctx.data()) as u64;
    let mut right = len == expected.len && is_head_right(ctx, expected);
    if right && received.frames % SAMPLE == 0 {
        received.sampled += 1;
        right = is_right_to_the_end(ctx, len, expected)?;
    }
    if !right {
        if received.wrong == 0 {
            keep(ctx, len, SEEN_WRONG)?;
        }
        received.wrong += 1;
    }
    if received.frames == expected.first {
        // SAFETY: the helper takes nothing and reads a clock.
        received.first_ns = unsafe { bpf_ktime_get_ns() };
    }
    if received.frames == expected.last {
        // SAFETY: as above.
        received.last_ns = unsafe { bpf_ktime_get_ns() };
    }
    Some(XDP_DROP)
}

/// Whether the headers are as expected, and ID and ports belong together.
#[inline(always)]
fn is_head_right(ctx: &XdpContext, expected: &Expected) -> bool {
    let start = ctx.data();
    if start + HEAD_WORDS * 8 > ctx.data_end() {
        return false;
    }
    let mut difference = 0;
    for index in 0..HEAD_WORDS {
        let place = (start + index * 8) as *const u64;
        // SAFETY: HEAD_WORDS words from `start` lie in the frame, as just compared.
        let word = unsafe { place.read_unaligned() };
        difference |= (word & expected.mask[index]) ^ expected.words[index];
    }
    let sum =
        read_u16(start + SOURCE_PORT) + read_u16(start + DESTINATION_PORT) + read_u16(start + ID);
    difference == 0 && sum == SUM
}

/// Reads an integer of the network at an address that the caller has compared.
#[inline(always)]
fn read_u16(place: usize) -> u32 {
    // SAFETY: called with addresses below HEAD_WORDS words from the frame's start.
    let value = unsafe { (place as *const u16).read_unaligned() };
    u32::from(u16::from_be(value))
}

/// Whether every word behind the head is as expected. The copy was all zeros behind the frame's end
/// before the run, and every sampled frame has the same length.
#[inline(always)]
fn is_right_to_the_end(ctx: &XdpContext, len: u64, expected: &Expected) -> Option<bool> {
    let seen = keep(ctx, len, SEEN_SAMPLE)?;
    let mut difference = 0;
    for index in HEAD_WORDS..MAX_REPLY / 8 {
        difference |= seen.words[index] ^ expected.words[index];
    }
    Some(difference == 0)
}

/// Copies the frame for user space.
#[inline(always)]
fn keep(ctx: &XdpContext, len: u64, key: u32) -> Option<&'static Seen> {
    let seen = SEEN.get_ptr_mut(key)?;
    // SAFETY: this CPU's value, which no other program writes.
    let seen = unsafe { &mut *seen };
    seen.len = len;
    let copied = if len > MAX_REPLY as u64 {
        MAX_REPLY as u64
    } else {
        len
    };
    if copied == 0 {
        return None;
    }
    // SAFETY: the helper writes `copied` octets, of which `words` has as many.
    let result =
        unsafe { bpf_xdp_load_bytes(ctx.ctx, 0, seen.words.as_mut_ptr().cast(), copied as u32) };
    (result == 0).then_some(seen)
}
