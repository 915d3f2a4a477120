//! OTLP against an oracle: what prost and serde_json decode is what the sink is told, in either encoding.

mod hidden;
mod hostile;
mod oracle;
mod real;
mod recall;
mod tolerant;

use hopseal_correlate::sink::Position;

use super::{json, protobuf};
use crate::testing::Record;

fn read_protobuf(bytes: &[u8]) -> Record {
    let mut record = Record::default();
    protobuf::message(bytes, Position::Byte(0), &mut record);
    record
}

fn read_json(json: &str) -> Record {
    let mut record = Record::default();
    json::message(json.as_bytes(), Position::Byte(0), &mut record);
    record
}
