#![no_main]

use hopseal_correlate::sink::Position;
use hopseal_formats::jaeger;
use hopseal_formats_fuzz::Contract;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|json: &[u8]| {
    let mut contract = Contract::default();
    jaeger::element(json, Position::Byte(0), &mut contract);
    contract.done(json.len());
});
