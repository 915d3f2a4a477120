#![no_main]

use std::io::{self, Read};

use hopseal_formats::{Format, Limits, read};
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

/// What came of `file`: its format, the bytes in it, and a digest of the calls.
fn outcome(file: impl Read) -> (Option<(Format, u64)>, u64) {
    let mut limits = Limits::default();
    // Small enough for the fuzzer to reach.
    (limits.element, limits.inflated, limits.ratio_from) = (64 << 10, 1 << 20, 64 << 10);
    let mut contract = Contract::default();
    let summary = read(file, &limits, &mut contract, &mut |_| {});
    (summary.ok().map(|summary| (summary.format, summary.inflated)), contract.finished())
}

fuzz_target!(|file: &[u8]| {
    let (whole, dripped) = (outcome(file), outcome(Drip(file)));
    // How much comes out of a damaged archive before the damage shows does depend on how it is cut.
    let archive = file.starts_with(b"\x1f\x8b") || file.starts_with(b"\x28\xb5\x2f\xfd");
    assert!(archive || whole == dripped, "{whole:?} when read at once, {dripped:?} when not");
});
