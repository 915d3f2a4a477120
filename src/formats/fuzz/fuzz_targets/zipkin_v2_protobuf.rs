#![no_main]

use hopseal_correlate::sink::Position;
use hopseal_formats::zipkin::v2::protobuf;
use hopseal_formats_fuzz::Contract;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut contract = Contract::default();
    protobuf::message(bytes, Position::Byte(0), &mut contract);
    contract.done(bytes.len());
});
