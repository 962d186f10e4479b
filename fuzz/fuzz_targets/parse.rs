//! Any frame through the kernel program's parser (`dglb_common::packet`), before the oracle's.
//!
//! `cargo +nightly fuzz run parse`, in this directory's parent.
#![no_main]

use std::sync::LazyLock;

use dglb_common::layout::Settings;
use dglb_tests::{fuzz::parse, model::Model, world};
use libfuzzer_sys::fuzz_target;

static NODE: LazyLock<(Model, Settings)> = LazyLock::new(|| {
    let model = world::dns_b();
    let settings = model.tables().settings;
    (model, settings)
});

fuzz_target!(|frame: &[u8]| {
    let (model, settings) = &*NODE;
    if let Err(difference) = parse::check(model, settings, frame) {
        panic!("{difference}");
    }
});
