use hopseal_correlate::sink::Position;
use proptest::prelude::*;
use prost::Message as _;

use super::message;
use crate::testing::{Record, record};
use crate::zipkin::v2::element;

// The messages as another implementation of protobuf writes them.
#[derive(Clone, PartialEq, prost::Message)]
struct List {
    #[prost(message, repeated, tag = "1")]
    spans: Vec<Span>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Span {
    #[prost(bytes = "vec", tag = "1")]
    trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    parent_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    id: Vec<u8>,
    #[prost(int32, tag = "4")]
    kind: i32,
    #[prost(string, tag = "5")]
    name: String,
    #[prost(fixed64, tag = "6")]
    timestamp: u64,
    #[prost(uint64, tag = "7")]
    duration: u64,
    #[prost(message, optional, tag = "8")]
    local: Option<Host>,
    #[prost(message, optional, tag = "9")]
    remote: Option<Host>,
    #[prost(message, repeated, tag = "10")]
    annotations: Vec<Annotation>,
    #[prost(btree_map = "string, string", tag = "11")]
    tags: std::collections::BTreeMap<String, String>,
    #[prost(bool, tag = "12")]
    debug: bool,
    #[prost(bool, tag = "13")]
    shared: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Host {
    #[prost(string, tag = "1")]
    service_name: String,
    #[prost(bytes = "vec", tag = "2")]
    ipv4: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    ipv6: Vec<u8>,
    #[prost(int32, tag = "4")]
    port: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Annotation {
    #[prost(fixed64, tag = "1")]
    timestamp: u64,
    #[prost(string, tag = "2")]
    value: String,
}

fn bare() -> Span {
    Span { trace_id: vec![1; 16], id: vec![2; 8], ..Span::default() }
}

fn said(spans: Vec<Span>) -> String {
    record(message, &List { spans }.encode_to_vec())
}

/// What is said of one span whose bytes are these, in one line and without its ids.
fn of_bytes(bytes: &[u8]) -> String {
    let span = [&[0x0a, u8::try_from(bytes.len()).expect("a short one")], bytes].concat();
    let lines = record(message, &span);
    let lines: Vec<&str> = lines.lines().map(str::trim).filter(|line| *line != "resource").collect();
    let ids = format!("span {} {} ", "01".repeat(16), "02".repeat(8));
    lines.join(" ").replace(&ids, "")
}

#[test]
fn small_list() {
    let spans = vec![
        Span {
            kind: 1,
            name: "get /cart".to_owned(),
            timestamp: 1_700_000_000_000_000,
            duration: 2_500,
            local: Some(Host { service_name: "web".to_owned(), ipv4: vec![10, 0, 0, 1], ..Host::default() }),
            remote: Some(Host { service_name: "cart".to_owned(), port: 8080, ..Host::default() }),
            annotations: vec![Annotation { timestamp: 1_700_000_000_000_100, value: "ws".to_owned() }],
            tags: [("http.method", "GET"), ("error", "")].map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
            ..bare()
        },
        Span {
            trace_id: vec![3; 8],
            parent_id: vec![2; 8],
            kind: 2,
            local: Some(Host {
                service_name: "cart".to_owned(),
                ipv6: [vec![0; 15], vec![1]].concat(),
                port: 80,
                ..Host::default()
            }),
            debug: true,
            shared: true,
            ..bare()
        },
    ];
    insta::assert_snapshot!(said(spans));
}

#[test]
fn a_span_is_refused_for_its_ids_alone() {
    let id = |mut span: Span, change: fn(&mut Span)| {
        change(&mut span);
        span
    };
    for (span, reason) in [
        (id(bare(), |span| span.trace_id = vec![]), "`traceId` is not 8 or 16 bytes, or all zero"),
        (id(bare(), |span| span.trace_id = vec![1; 9]), "`traceId` is not 8 or 16 bytes, or all zero"),
        (id(bare(), |span| span.trace_id = vec![0; 8]), "`traceId` is not 8 or 16 bytes, or all zero"),
        (id(bare(), |span| span.id = vec![]), "`id` is not 8 bytes, or all zero"),
        (id(bare(), |span| span.id = vec![0; 8]), "`id` is not 8 bytes, or all zero"),
        (id(bare(), |span| span.parent_id = vec![1; 4]), "`parentId` is not 8 bytes"),
    ] {
        // The place is that of the second span, and the third is none the worse.
        let said = said(vec![bare(), span, bare()]);
        assert_eq!(said.matches("  span ").count(), 2, "{said}");
        assert!(said.contains(&format!("rejected byte 30: {reason}\n")), "{said}");
    }
}

#[test]
fn what_is_wrong_costs_itself_alone() {
    const IDS: &[u8] =
        &[0x0a, 16, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0x1a, 8, 2, 2, 2, 2, 2, 2, 2, 2];
    for (rest, expected) in [
        (&b""[..], r#""" Unspecified 0..0"#),
        (b"\x20\x04", r#""" Consumer 0..0"#),
        (b"\x20\x09", r#""" Unspecified 0..0 rejected byte 0: `kind` is no kind of span"#),
        (
            b"\x2a\x02a\xff",
            "\"a\u{fffd}\" Unspecified 0..0 rejected byte 0: `name` holds text that is not UTF-8",
        ),
        (b"\x28\x01", r#""" Unspecified 0..0 rejected byte 0: a field of the span has the wrong wire type"#),
        // A field that is not known, and one that comes again.
        (b"\xa2\x06\x01x\x2a\x01a\x2a\x01b", r#""b" Unspecified 0..0"#),
        (b"\x5a\x06\x0a\x01a\x12\x01b", r#""" Unspecified 0..0 a = "b""#),
        (b"\x5a\x03\x0a\x01a", r#""" Unspecified 0..0 a = """#),
        (
            b"\x5a\x06\x0a\x01a\x12\x01\xff",
            "\"\" Unspecified 0..0 a = \"\u{fffd}\" rejected byte 0: `tags` holds text that is not UTF-8",
        ),
        (
            b"\x5a\x06\x0a\x01\xff\x12\x01b",
            "\"\" Unspecified 0..0 \u{fffd} = \"b\" rejected byte 0: `tags` holds a key that is not UTF-8",
        ),
        (
            b"\x5a\x0a\x0a\x05error\x12\x01\xff",
            "\"\" Unspecified 0..0 Error error = \"\u{fffd}\" rejected byte 0: `tags` holds text that is not UTF-8",
        ),
        (
            b"\x5a\x05\x0a\x01a\x10\x01",
            r#""" Unspecified 0..0 a = "" rejected byte 0: a field of the span has the wrong wire type"#,
        ),
        (
            b"\x5a\x05\x0a\x01a\x12\x09",
            r#""" Unspecified 0..0 a = "" rejected byte 0: `tags` holds an entry that cannot be read to its end"#,
        ),
        (b"\x4a\x05\x0a\x01b\x12\x00", r#""" Unspecified 0..0 peer.service = "b""#),
        (b"\x4a\x06\x12\x04\x0a\x00\x00\x01", r#""" Unspecified 0..0 network.peer.address = "10.0.0.1""#),
        (b"\x4a\x03\x12\x01\x0a", r#""" Unspecified 0..0 rejected byte 0: `ipv4` is not 4 bytes"#),
        (b"\x4a\x03\x1a\x01\x0a", r#""" Unspecified 0..0 rejected byte 0: `ipv6` is not 16 bytes"#),
        (b"\x4a\x04\x20\x80\x80\x04", r#""" Unspecified 0..0 rejected byte 0: `port` is no port"#),
        (b"\x4a\x02\x20\x50", r#""" Unspecified 0..0 network.peer.port = 80"#),
        (
            b"\x4a\x03\x0a\x05b",
            r#""" Unspecified 0..0 rejected byte 0: `localEndpoint` or `remoteEndpoint` cannot be read to its end"#,
        ),
        (b"\x52\x03\x12\x01x", r#""" Unspecified 0..0 event "x" at 0"#),
        (
            b"\x52\x04\x12\x02x\xff",
            "\"\" Unspecified 0..0 event \"x\u{fffd}\" at 0 rejected byte 0: `annotations` holds text that is not UTF-8",
        ),
        (
            b"\x52\x03\x12\x05x",
            r#""" Unspecified 0..0 rejected byte 0: `annotations` holds one that cannot be read to its end"#,
        ),
        // What cannot be told from what follows costs the span.
        (b"\x2a\x09a", "rejected byte 0: the span is cut short: a length runs past its end"),
        (b"\x0f", "rejected byte 0: not protobuf: a field number or wire type that does not exist"),
    ] {
        assert_eq!(of_bytes(&[IDS, rest].concat()), expected, "{}", rest.escape_ascii());
    }
}

/// What is no list of spans says so, and where.
#[test]
fn lists() {
    for (list, expected) in [
        (&b""[..], ""),
        (b"\x0a", "rejected byte 0: not protobuf: a varint that does not end\n"),
        (b"\x0a\x05ab", "rejected byte 0: cut short: a length runs past the end of what holds it\n"),
        (b"\x08\x01", "rejected byte 0: a field has the wrong wire type\n"),
        (
            b"\x12\x01a\x0f",
            "rejected byte 3: not protobuf: a field number or wire type that does not exist\n",
        ),
    ] {
        assert_eq!(record(message, list), expected, "{}", list.escape_ascii());
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn host() -> impl Strategy<Value = Option<Host>> {
    let ip = (prop::option::of(any::<[u8; 4]>()), prop::option::of(any::<[u8; 16]>()));
    let host =
        ("[a-z]{0,3}", ip, 0..=i32::from(u16::MAX)).prop_map(|(service_name, (four, six), port)| Host {
            service_name,
            ipv4: four.map_or(Vec::new(), Vec::from),
            ipv6: six.map_or(Vec::new(), Vec::from),
            port,
        });
    prop::option::of(host)
}

fn json_of(host: &Host) -> serde_json::Value {
    let four = <[u8; 4]>::try_from(&*host.ipv4).map(|ip| std::net::Ipv4Addr::from(ip).to_string());
    let six = <[u8; 16]>::try_from(&*host.ipv6).map(|ip| std::net::Ipv6Addr::from(ip).to_string());
    serde_json::json!({"serviceName": host.service_name, "ipv4": four.ok(), "ipv6": six.ok(), "port": host.port})
}

proptest! {
    /// A span in protobuf says what the same says in JSON.
    #[test]
    fn as_in_json(
        ids in (any::<[u8; 16]>(), prop::option::of(1_u64..), 1_u64..),
        head in (0_i32..5, "[a-z\u{e9}]{0,4}", 0_u64..1 << 52, 0_u64..1 << 40, any::<bool>()),
        (local, remote) in (host(), host()),
        tags in prop::collection::btree_map("[a-z]{1,5}", "[ -~\u{e9}]{0,6}", 0..4),
        events in prop::collection::vec((1_u64..1 << 52, "[a-z]{1,4}"), 0..3),
    ) {
        let (trace_id, parent, id) = ids;
        prop_assume!(trace_id != [0; 16]);
        let (kind, name, timestamp, duration, shared) = head;
        let word = [None, Some("CLIENT"), Some("SERVER"), Some("PRODUCER"), Some("CONSUMER")][kind as usize];
        let parent_id = parent.map_or(Vec::new(), |parent| parent.to_be_bytes().to_vec());
        let json = serde_json::json!({
            "traceId": hex(&trace_id),
            "parentId": hex(&parent_id),
            "id": hex(&id.to_be_bytes()),
            "kind": word,
            "name": name,
            "timestamp": timestamp,
            "duration": Some(duration).filter(|duration| *duration > 0),
            "localEndpoint": local.as_ref().map(json_of),
            "remoteEndpoint": remote.as_ref().map(json_of),
            "annotations": events.iter().map(|(timestamp, value)| serde_json::json!({"timestamp": timestamp, "value": value})).collect::<Vec<_>>(),
            "tags": tags,
            "shared": shared,
        });
        let annotations = events.into_iter().map(|(timestamp, value)| Annotation { timestamp, value }).collect();
        let span = Span {
            trace_id: trace_id.to_vec(),
            parent_id,
            id: id.to_be_bytes().to_vec(),
            kind,
            name,
            timestamp,
            duration,
            local,
            remote,
            annotations,
            tags,
            debug: false,
            shared,
        };
        prop_assert_eq!(said(vec![span]), record(element, json.to_string().as_bytes()));
    }

    /// Whatever the bytes are, what can be read is read and nothing else happens.
    #[test]
    fn anything(bytes in prop::collection::vec(any::<u8>(), 0..60), cut in 0_usize..200) {
        let mut sink = Record::default();
        message(&bytes, Position::Byte(0), &mut sink);
        let whole = List { spans: vec![bare(), Span { name: "n".repeat(9), ..bare() }] }.encode_to_vec();
        let cut = whole.get(..cut.min(whole.len())).expect("some of it");
        let mut sink = Record::default();
        message(cut, Position::Byte(0), &mut sink);
        prop_assert!(sink.spans <= 2);
    }
}
