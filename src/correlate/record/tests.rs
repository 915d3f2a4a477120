use proptest::prelude::*;

use super::write::{bounded, close, open};
use super::*;
use crate::sink::SpanHead;

const KINDS: [SpanKind; 6] = [
    SpanKind::Unspecified,
    SpanKind::Internal,
    SpanKind::Server,
    SpanKind::Client,
    SpanKind::Producer,
    SpanKind::Consumer,
];
const STATUSES: [Status; 3] = [Status::Unset, Status::Ok, Status::Error];
const SPEAKERS: [Speaker; 3] = [Speaker::Nobody, Speaker::Own, Speaker::Foreign];

/// Numbers of every length, and those at the ends.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), Just(u64::MAX), (any::<u64>(), 0..64_u32).prop_map(|(number, by)| number >> by)]
}

proptest! {
    /// Whatever a span says, its record says it, and no part of a record is a record.
    #[test]
    fn what_is_written_is_read(
        ids in any::<([u8; 16], [u8; 8], [u8; 8])>(),
        (start, end, flags, dropped) in (number(), number(), number(), number()),
        marks in (0..KINDS.len(), 0..STATUSES.len(), any::<bool>(), 0..SPEAKERS.len()),
        texts in prop::array::uniform5("[a-z]{0,3}|x{60,70}|x{5000}"),
        fields in prop::collection::vec((0..Field::ALL.len(), "[a-z]{0,200}"), 0..8),
    ) {
        let (kind, status) = (KINDS[marks.0], STATUSES[marks.1]);
        let (shared, speaker) = (marks.2, SPEAKERS[marks.3]);
        let head = SpanHead {
            trace_id: TraceId(ids.0),
            span_id: SpanId(ids.1),
            parent: SpanId::new(ids.2),
            name: "",
            kind,
            start,
            end,
            flags: flags as u32,
            status,
            dropped: dropped as u32,
            shared,
            trace_state: "",
        };
        let mut records = vec![7; 3];
        open(&mut records, &head);
        texts.iter().for_each(|text| put_text(&mut records, text));
        for (field, text) in &fields {
            put_field(&mut records, Field::ALL[*field], KeyId(9), &[text]);
        }
        close(&mut records, 3);
        spoken_by(&mut records, 3, speaker, "somebody");
        let record = &records[3..];
        let words = Words::default();
        let (trace_id, span) = Span::read(record, &words).expect("a record");
        prop_assert_eq!(trace_id, head.trace_id);
        prop_assert_eq!((span.id, span.parent), (head.span_id, head.parent));
        prop_assert_eq!((span.start, span.end), (start, end));
        prop_assert_eq!((span.flags, span.dropped), (head.flags, head.dropped));
        prop_assert_eq!((span.kind, span.status, span.shared), (kind, status, shared));
        prop_assert_eq!((span.speaker, super::speaker(body(record))), (speaker, speaker));
        let Service { name, namespace, environment } = span.service;
        for (read, text) in [namespace, name, environment, span.instance, span.name].iter().zip(&texts) {
            prop_assert_eq!(*read, bounded(text).0.to_owned() + bounded(text).1);
        }
        let mut said: Vec<_> = fields.iter().map(|(at, text)| (Field::ALL[*at], text.as_str())).collect();
        said.extend((speaker == Speaker::Foreign).then_some((Field::Sender, "somebody")));
        said.iter_mut().filter(|(field, _)| *field == Field::Link).for_each(|(_, text)| *text = "");
        prop_assert!(span.entries().map(|entry| (entry.field, entry.text)).eq(said.iter().copied()));
        for field in Field::ALL {
            let all = span.entries().filter(|entry| entry.field == *field);
            prop_assert!(span.entries_of(*field).eq(all));
        }
        let named = span.entries().filter(|entry| NAMED & entry.field.bit() != 0);
        prop_assert!(span.entries_in(NAMED).eq(named));
        prop_assert_eq!(span.mask(), said.iter().fold(0, |mask, (field, _)| mask | field.bit()));
        prop_assert_eq!(peek(record), Some((head.trace_id, record.len())));
        prop_assert!((0..record.len()).all(|len| Span::read(&record[..len], &words).is_none()));
        let twice = [body(record), body(record)].concat();
        prop_assert!(bodies(&twice).eq([body(record), body(record)]));
        prop_assert_eq!(bodies(&twice[..twice.len() - 1]).count(), 1);
    }
}
