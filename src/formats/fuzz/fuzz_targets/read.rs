#![no_main]

use std::io::{self, Read};

use hopseal_formats::{Limits, read};
use hopseal_formats_fuzz::Contract;
use libfuzzer_sys::fuzz_target;

/// Gives a few bytes at a time, as a slow pipe does.
struct Drip<'a>(&'a [u8]);

impl Read for Drip<'_> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let few = room.len().min(7);
        self.0.read(&mut room[..few])
    }
}

/// How `file` is read, and what came of it.
fn outcome(file: impl Read) -> (String, u64) {
    let mut limits = Limits::default();
    // Small enough for the fuzzer to reach.
    (limits.element, limits.inflated, limits.ratio_from) = (64 << 10, 1 << 20, 64 << 10);
    let mut contract = Contract::default();
    let summary = read(file, &limits, &mut contract, &mut |_| {});
    (format!("{summary:?}"), contract.finished())
}

fuzz_target!(|file: &[u8]| {
    assert_eq!(outcome(file), outcome(Drip(file)), "it depends on how the file is cut");
});
