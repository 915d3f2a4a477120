#![no_main]

use hopseal_correlate::sink::Position;
use hopseal_formats::zipkin::v1;
use hopseal_formats_fuzz::Contract;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|json: &[u8]| {
    let mut contract = Contract::default();
    v1::element(json, Position::Byte(0), &mut contract);
    contract.done(json.len());
});
