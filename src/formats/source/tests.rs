//! Framing: files in, elements out.

use super::*;
use crate::testing::Record;

fn read_all(file: &[u8], limits: &Limits) -> (Record, Result<Summary, ReadError>) {
    let mut record = Record::default();
    let summary = read(file, limits, &mut record, &mut |_| {});
    (record, summary)
}

/// A `TracesData` of one resource and one span of each name.
fn protobuf(names: &[&str]) -> Vec<u8> {
    fn field(tag: u8, inside: &[u8]) -> Vec<u8> {
        [&[tag, u8::try_from(inside.len()).unwrap()], inside].concat()
    }
    names
        .iter()
        .flat_map(|name| {
            let ids = [field(0x0a, &[7; 16]), field(0x12, &[9; 8])].concat();
            let span = [ids, field(0x2a, name.as_bytes())].concat();
            field(0x0a, &field(0x12, &field(0x12, &span)))
        })
        .collect()
}

#[test]
fn protobuf_and_its_frames() {
    let file = protobuf(&["a", "b", "c"]);
    let framed: Vec<u8> = ["a", "b", "c"]
        .iter()
        .flat_map(|name| {
            let message = protobuf(&[name]);
            [&u32::try_from(message.len()).unwrap().to_be_bytes()[..], &message].concat()
        })
        .collect();
    let (plain, summary) = read_all(&file, &Limits::default());
    assert_eq!(summary.unwrap().format, Format::OtlpProtobuf);
    assert_eq!(plain.spans, 3, "{}", plain.text());
    let (frames, summary) = read_all(&framed, &Limits::default());
    assert_eq!(summary.unwrap().format, Format::OtlpFramed);
    assert_eq!(frames, plain);
}
