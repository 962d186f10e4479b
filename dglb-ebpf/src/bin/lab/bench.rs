//! The benchmark's programs on the asking side: [`bench_generate`] makes queries of the frames of a
//! live test run (`BPF_PROG_TEST_RUN` with `BPF_F_TEST_XDP_LIVE_FRAMES`, kernel 5.18), and
//! [`bench_check`] counts and checks what comes back, and drops it.
//!
//! Who asks, for what, and what the answer must be, both read from the same stream, a list that user
//! space has written: frames come back in the order in which they were sent. So their work is the same
//! for every measure, whatever the length of query and reply, and nothing is drawn at random here. The
//! clock is read only twice a run and CPU, by the checker, so that neither the set-up of a live run (25
//! to 40 ms) nor the clock's own price is in the figures.

use core::arch::asm;

use aya_ebpf::{
    bindings::xdp_action::{XDP_ABORTED, XDP_DROP},
    btf_maps::{Array, PerCpuArray},
    helpers::{
        bpf_get_smp_processor_id, bpf_ktime_get_ns, bpf_redirect, bpf_xdp_adjust_tail,
        bpf_xdp_load_bytes,
    },
    macros::{btf_map, xdp},
    programs::XdpContext,
};
use dglb_common::bench::{
    BLOCK, Block, DESTINATION, DESTINATION_PORT, Entry, Expected, FED, FED_LONG, HEAD_WORDS, ID,
    IP_CHECK, LANES, MAX_REPLY, MAX_VARIED, Place, Query, Received, SAMPLE, SAMPLES, SOURCE,
    SOURCE_PORT, Seen, Sent, UDP_CHECK,
};

/// What is sent; written by user space.
#[btf_map(name = "bench_query")]
static QUERY: Array<Query, 1> = Array::new();

/// What must come back; written by user space.
#[btf_map(name = "bench_expected")]
static EXPECTED: Array<Expected, 1> = Array::new();

/// What differs from query to query; written by user space, which sets the size.
#[btf_map(name = "bench_streams")]
static STREAMS: Array<Block, 1> = Array::new();

/// What was sent; written here, read and reset by user space.
#[btf_map(name = "bench_sent")]
static SENT: PerCpuArray<Sent, 1> = PerCpuArray::new();

/// What came back; written here, read and reset by user space.
#[btf_map(name = "bench_received")]
static RECEIVED: PerCpuArray<Received, 1> = PerCpuArray::new();

/// Samples, those of even CPUs and behind them those of odd ones; written here, read by user space.
#[btf_map(name = "bench_samples")]
static KEPT: Array<Seen, { (SAMPLES * LANES) as usize }> = Array::new();

/// The first wrong frame; written here, read by user space.
#[btf_map(name = "bench_wrong")]
static WRONG: PerCpuArray<Seen, 1> = PerCpuArray::new();

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
    // SAFETY: this CPU's value, which no other program writes.
    let frames = unsafe { (*sent).frames };
    let entry = entry(&query.stream, frames)?;
    let start = ctx.data();
    if start + FED > ctx.data_end() {
        return None;
    }
    write_words::<0, { FED / 8 }>(start, query);
    write(start + IP_CHECK, entry.ip_check);
    write(start + SOURCE, entry.source);
    write(start + SOURCE_PORT, entry.port);
    write(start + UDP_CHECK, entry.udp_check);
    write(start + ID, entry.id);
    let name = varied(ctx, start, query.name_at)?;
    write(name, entry.name);
    if query.fed == FED_LONG as u32 {
        if start + FED_LONG > ctx.data_end() {
            return None;
        }
        write_words::<{ FED / 8 }, { FED_LONG / 8 }>(start, query);
    }
    let cut = query.len as i32 - query.fed as i32;
    // SAFETY: the helper takes the context; no pointer into the frame is used after it.
    if unsafe { bpf_xdp_adjust_tail(ctx.ctx, cut) } != 0 {
        return None;
    }
    // SAFETY: as above.
    unsafe { (*sent).frames = frames + 1 };
    // SAFETY: the helper takes two numbers.
    Some(unsafe { bpf_redirect(query.interface, 0) } as u32)
}

/// The query with this number in the stream.
#[inline(always)]
fn entry(stream: &Place, number: u64) -> Option<&'static Entry> {
    let block = (number / BLOCK as u64) as u32 & stream.mask;
    let block = STREAMS.get(stream.first + block)?;
    Some(&block.entries[number as usize % BLOCK])
}

/// Where the octets of the name are that differ, if 8 octets from there lie in the frame.
#[inline(always)]
fn varied(ctx: &XdpContext, start: usize, name_at: u32) -> Option<usize> {
    let offset = name_at as usize;
    if offset > MAX_VARIED {
        return None;
    }
    in_frame(ctx, start + offset)
}

/// The address, if 8 octets from there lie in the frame. LLVM must neither compute it a second time nor
/// subtract the 8 at the other side: the verifier (kernel 6.18) knows only this one as compared, and no
/// arithmetic on the frame's end.
#[inline(always)]
fn in_frame(ctx: &XdpContext, mut place: usize) -> Option<usize> {
    let mut end: usize;
    // SAFETY: adds two numbers; writes two registers.
    unsafe {
        asm!(
            "{1} = {0}",
            "{1} += 8",
            inout(reg) place,
            out(reg) end,
            options(pure, nomem, nostack, preserves_flags)
        )
    };
    (end <= ctx.data_end()).then_some(place)
}

#[inline(always)]
fn write_words<const FROM: usize, const TO: usize>(start: usize, query: &Query) {
    for index in FROM..TO {
        write(start + index * 8, query.words[index]);
    }
}

/// Writes at an address that the caller has compared.
#[inline(always)]
fn write<T>(place: usize, value: T) {
    // SAFETY: called with addresses whose octets lie in the frame.
    unsafe { (place as *mut T).write_unaligned(value) };
}

/// Reads at an address that the caller has compared.
#[inline(always)]
fn read<T>(place: usize) -> T {
    // SAFETY: as above; called for integers, which have no wrong values.
    unsafe { (place as *const T).read_unaligned() }
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
    let index = received.frames;
    received.frames += 1;
    let entry = entry(&expected.stream, index)?;
    let len = (ctx.data_end() - ctx.data()) as u64;
    if len != expected.len || !is_right(ctx, expected, entry).unwrap_or(false) {
        if received.wrong == 0 {
            keep(ctx, len, index, WRONG.get_ptr_mut(0)?)?;
        }
        received.wrong += 1;
    } else if index % SAMPLE == 0 && received.sampled < u64::from(SAMPLES) {
        // SAFETY: the helper takes nothing.
        let lane = unsafe { bpf_get_smp_processor_id() } as u32 % LANES;
        let key = lane * SAMPLES + received.sampled as u32;
        keep(ctx, len, index, KEPT.get_ptr_mut(key)?)?;
        received.sampled += 1;
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

/// Whether headers, question and last octets are what they must be.
#[inline(always)]
fn is_right(ctx: &XdpContext, expected: &Expected, entry: &Entry) -> Option<bool> {
    let start = ctx.data();
    if start + HEAD_WORDS * 8 > ctx.data_end() {
        return None;
    }
    let mut difference = 0;
    for index in 0..HEAD_WORDS {
        let word: u64 = read(start + index * 8);
        difference |= (word & expected.mask[index]) ^ expected.words[index];
    }
    let reflected = expected.reflected != 0;
    let pick = |own: u16, reply: u16| if reflected { own } else { reply };
    let ip_check = pick(entry.ip_check, entry.reply_ip_check);
    let udp_check = pick(entry.udp_check, entry.reply_udp_check);
    let tail = if reflected { expected.tail } else { entry.tail };
    difference |= u64::from(read::<u32>(start + DESTINATION) ^ entry.source);
    difference |= u64::from(read::<u16>(start + DESTINATION_PORT) ^ entry.port);
    difference |= u64::from(read::<u16>(start + ID) ^ entry.id);
    difference |= u64::from(read::<u16>(start + IP_CHECK) ^ ip_check);
    difference |= u64::from(read::<u16>(start + UDP_CHECK) ^ udp_check);
    let name = varied(ctx, start, expected.name_at)?;
    difference |= read::<u64>(name) ^ entry.name;
    let tail_at = expected.tail_at as usize;
    if tail_at > MAX_REPLY - 8 {
        return None;
    }
    let last = in_frame(ctx, start + tail_at)?;
    difference |= read::<u64>(last) ^ tail;
    Some(difference == 0)
}

/// Copies the frame for user space.
#[inline(always)]
fn keep(ctx: &XdpContext, len: u64, index: u64, seen: *mut Seen) -> Option<()> {
    // SAFETY: a pointer that a map gave, to an element that only this CPU writes.
    let seen = unsafe { &mut *seen };
    (seen.len, seen.index) = (len, index);
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
    (result == 0).then_some(())
}
