//! OTLP protobuf files: one long message, or messages with their lengths in front.

use std::io::Read;

use hopseal_correlate::sink::{Position, Sink};

use super::Limits;
use super::inflate::{ZSTD, unzstd};
use super::input::Input;
use crate::otlp;

/// A tag and a length of at most 9 bytes each.
const LONGEST_START: usize = 18;
/// Field 1, length-delimited.
const RESOURCE_SPANS: u64 = 0x0a;
const CUT: &str = "cut short: the file ends inside this message";

/// Reads a `TracesData` one `ResourceSpans` at a time.
pub(super) fn read<S: Sink + ?Sized>(input: &mut Input<'_>, limits: &Limits, sink: &mut S) {
    while !input.is_spent() {
        let at = Position::Byte(input.offset());
        input.reach(LONGEST_START);
        let Some((size, payload, tag)) = start(input.rest()) else {
            sink.reject(at, "not protobuf from here on");
            input.discard(u64::MAX);
            return;
        };
        let length = payload.saturating_add(size as u64);
        if tag == RESOURCE_SPANS {
            // With its tag and length, this is a message that holds one `ResourceSpans`.
            element(input, length, limits, sink, |bytes, at, _whole, sink| {
                otlp::protobuf::message(bytes, at, sink);
            });
        } else if !input.discard(length) {
            sink.reject(at, CUT);
        }
    }
}

/// Reads messages that each stand after their length in 4 bytes, most significant first.
pub(super) fn read_framed<S: Sink + ?Sized>(input: &mut Input<'_>, limits: &Limits, sink: &mut S) {
    while !input.is_spent() {
        let at = Position::Byte(input.offset());
        input.reach(4);
        let Some(&length) = input.rest().first_chunk() else {
            sink.reject(at, CUT);
            input.discard(u64::MAX);
            return;
        };
        input.consume(4);
        let length = u64::from(u32::from_be_bytes(length));
        element(input, length, limits, sink, |bytes, at, whole, sink| {
            frame(bytes, at, whole, limits, sink);
        });
    }
}

/// One message, which the file exporter may have been told to compress by itself or to write as JSON. Places inside
/// a compressed one count its inflated bytes, from where it starts.
fn frame<S: Sink + ?Sized>(bytes: &[u8], at: Position, whole: bool, limits: &Limits, sink: &mut S) {
    if !bytes.starts_with(&ZSTD) {
        return message(bytes, at, whole, sink);
    }
    let mut inflated = Vec::new();
    let most = limits.element as u64;
    match unzstd(bytes).and_then(|stream| stream.take(most + 1).read_to_end(&mut inflated)) {
        Ok(size) if size as u64 > most => sink.reject(at, &too_large("this message", most)),
        Ok(_) => message(&inflated, at, true, sink),
        Err(error) => sink.reject(at, &format!("this message does not inflate: {error}")),
    }
}

fn message<S: Sink + ?Sized>(bytes: &[u8], at: Position, whole: bool, sink: &mut S) {
    if bytes.trim_ascii_start().starts_with(b"{") {
        otlp::json::message(bytes, at, sink);
    } else if whole {
        otlp::protobuf::message(bytes, at, sink);
    } else {
        otlp::protobuf::message_cut_short(bytes, at, sink);
    }
}

/// Has `read` read the next `length` bytes, or what there is of them, and tells it whether that is all.
fn element<S: Sink + ?Sized>(
    input: &mut Input<'_>,
    length: u64,
    limits: &Limits,
    sink: &mut S,
    read: impl Fn(&[u8], Position, bool, &mut S),
) {
    let at = Position::Byte(input.offset());
    let Some(size) = usize::try_from(length).ok().filter(|&size| size <= limits.element) else {
        sink.reject(at, &too_large("a message", limits.element as u64));
        if !input.discard(length) {
            sink.reject(at, CUT);
        }
        return;
    };
    let whole = input.reach(size);
    let bytes = input.rest();
    let size = size.min(bytes.len());
    read(bytes.get(..size).unwrap_or_default(), at, whole, sink);
    input.consume(size);
}

pub(super) fn too_large(what: &str, most: u64) -> String {
    format!("{what} is larger than {most} bytes, left out")
}

/// The first field of `bytes`: the size of its tag, and of its length or number; the size of what follows; the tag.
fn start(mut bytes: &[u8]) -> Option<(usize, u64, u64)> {
    let all = bytes.len();
    let tag = varint(&mut bytes)?;
    let payload = match tag & 7 {
        _ if tag < 8 => return None,
        0 => varint(&mut bytes).map(|_| 0)?,
        1 => 8,
        2 => varint(&mut bytes)?,
        5 => 4,
        _ => return None,
    };
    Some((all - bytes.len(), payload, tag))
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let size = 1 + bytes.iter().take(9).position(|&byte| byte < 0x80)?;
    let (varint, rest) = bytes.split_at_checked(size)?;
    *bytes = rest;
    Some(varint.iter().rev().fold(0, |sum, &byte| sum << 7 | u64::from(byte & 0x7f)))
}
