//! Files in, elements out.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use super::*;
use crate::testing::Record;

const IDS: &str = r#""traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174""#;

fn read_with(file: &[u8], limits: &Limits) -> (Record, Result<Summary, ReadError>) {
    let mut record = Record::default();
    let summary = read(file, limits, &mut record, &mut |_| {});
    (record, summary)
}

/// Reads a file that has to be of this format.
#[track_caller]
fn read_as(format: Format, file: &[u8]) -> Record {
    let (record, summary) = read_with(file, &Limits::default());
    let summary = summary.unwrap();
    assert_eq!(summary.format, format, "{}", record.text());
    record
}

/// A `TracesData` of one resource and one span for each name.
fn protobuf(names: &[&str]) -> Vec<u8> {
    fn field(tag: u8, inside: &[u8]) -> Vec<u8> {
        let mut out = vec![tag];
        prost::encoding::encode_varint(inside.len() as u64, &mut out);
        [out, inside.to_vec()].concat()
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

fn framed(messages: &[Vec<u8>]) -> Vec<u8> {
    let frame =
        |message: &Vec<u8>| [&u32::try_from(message.len()).unwrap().to_be_bytes()[..], message].concat();
    messages.iter().flat_map(frame).collect()
}

/// A `ResourceSpans` with one span of this name.
fn element(name: &str) -> String {
    format!(r#"{{"scopeSpans":[{{"spans":[{{{IDS},"name":"{name}"}}]}}]}}"#)
}

fn json(names: &[&str]) -> String {
    let elements: Vec<_> = names.iter().map(|name| element(name)).collect();
    format!(r#"{{"resourceSpans":[{}]}}"#, elements.join(","))
}

/// The names of the spans, in order.
fn names(record: &Record) -> Vec<&str> {
    let spans = record.calls.lines().filter(|line| line.starts_with("  span"));
    spans.map(|line| line.split('"').nth(1).unwrap()).collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

#[test]
fn protobuf_and_its_frames() {
    let parts = ["a", "b", "c"].map(|name| protobuf(&[name]));
    let plain = read_as(Format::OtlpProtobuf, &parts.concat());
    assert_eq!(plain.text().lines().count(), 6, "{}", plain.text());
    assert_eq!(read_as(Format::OtlpFramed, &framed(&parts)), plain);
    let compressed = parts.each_ref().map(|part| zstd(part));
    assert_eq!(read_as(Format::OtlpFramed, &framed(&compressed)), plain);
    let as_json = ["a", "b", "c"].map(|name| json(&[name]).into_bytes());
    assert_eq!(names(&read_as(Format::OtlpFramed, &framed(&as_json))), ["a", "b", "c"]);
}

/// However JSON is wrapped, cut into lines, indented or strung together, the same spans come out.
#[test]
fn json_in_every_wrapping() {
    let (a, b) = (element("a"), element("b"));
    let indented = |text: &str| {
        serde_json::to_string_pretty(&serde_json::from_str::<serde_json::Value>(text).unwrap()).unwrap()
    };
    for file in [
        json(&["a", "b"]),
        indented(&json(&["a", "b"])),
        format!("\u{feff}{}", json(&["a", "b"])),
        format!("{}\n{}\n", json(&["a"]), json(&["b"])),
        format!("{}\r\n\r\n{}", json(&["a"]), json(&["b"])),
        format!("{}\n{}", indented(&json(&["a"])), indented(&json(&["b"]))),
        format!("{}{}", json(&["a"]), json(&["b"])),
        format!("{a}\n{b}\n"),
        format!("[{a},{b}]"),
        format!("[{},{}]", json(&["a"]), json(&["b"])),
        format!(r#"{{"batches":[{a},{b}]}}"#),
        format!(r#"{{"trace":{{"resourceSpans":[{a},{b}]}}}}"#),
        format!("{{\"result\":{{\"resourceSpans\":[{a}]}}}}\n{{\"result\":{{\"resourceSpans\":[{b}]}}}}"),
        format!(r#"{{"partial":{{"x":[1,"]"]}},"resourceSpans":[{a}],"more":null,"batches":[{b}]}}"#),
    ] {
        let record = read_as(Format::OtlpJson, file.as_bytes());
        assert_eq!(names(&record), ["a", "b"], "{file}\n{}", record.text());
        assert_eq!(record.rejected, Vec::<String>::new(), "{file}");
    }
}

#[test]
fn other_formats_are_told_apart() {
    let jaeger = r#"{"traceID":"1","spans":[{"traceID":"1","spanID":"2","operationName":"j","processID":"p"}],
        "processes":{"p":{"serviceName":"cart"}}}"#;
    let second = r#"{"traceId":"1","id":"2","name":"z","localEndpoint":{"serviceName":"cart"}}"#;
    let first = r#"{"traceId":"1","id":"2","name":"y","annotations":[
        {"timestamp":1,"value":"sr","endpoint":{"serviceName":"cart"}}]}"#;
    for (file, format, spans) in [
        (jaeger.to_owned(), Format::JaegerJson, 1),
        (format!(r#"{{"total":0,"data":[{jaeger},{jaeger}],"errors":null}}"#), Format::JaegerJson, 2),
        (r#"{"data":null,"errors":[]}"#.to_owned(), Format::JaegerJson, 0),
        (format!("[{second},{second}]"), Format::ZipkinV2, 2),
        (format!("[[{second}],[{second},{second}]]"), Format::ZipkinV2, 3),
        (format!("[\n{second},\n{second}\n]\n"), Format::ZipkinV2, 2),
        (format!("{}\n{}\n", second.replace('\n', ""), second), Format::ZipkinV2, 2),
        (format!("[{first}]"), Format::ZipkinV1, 1),
    ] {
        let record = read_as(format, file.as_bytes());
        assert_eq!(record.spans, spans, "{file}\n{}", record.text());
        assert_eq!(record.rejected, Vec::<String>::new(), "{file}");
    }
}

/// A bad line or element is refused with its place, and the others are read.
#[test]
fn one_bad_part_costs_no_other() {
    let (good, other) = (json(&["a"]), json(&["b"]));
    let cut = good.get(..40).unwrap();
    let second = format!("byte {}: not an object", r#"{"resourceSpans":[,"#.len() + element("a").len());
    for (file, expected) in [
        (format!("{good}\n{cut}\n{other}\n"), "line 2: cut short: the JSON ends inside this value"),
        (format!("{cut}\n{good}\n{other}\n"), "line 1: cut short: the JSON ends inside this value"),
        (format!("{good}\nnot json\n{other}"), "line 2: not JSON"),
        (format!("not json\n{good}\n{other}"), "line 1: not JSON"),
        (
            format!("{good}\n{{\"error\":1}}\n{other}"),
            "line 2: an object without spans: neither OTLP, Jaeger nor Zipkin",
        ),
        (format!("{good} trailing\n{other}"), "line 1: something follows the JSON value"),
        (format!(r#"{{"resourceSpans":[{},7,{}]}}"#, element("a"), element("b")), &second),
        (format!(r#"{{"resourceSpans":[{},"}},{{",{}]}}"#, element("a"), element("b")), &second),
    ] {
        let record = read_as(Format::OtlpJson, file.as_bytes());
        assert_eq!(names(&record), ["a", "b"], "{file}\n{}", record.text());
        assert_eq!(record.rejected, [expected], "{file}");
    }
}

/// Lines in front that are no traces cost themselves, however many they are, and what follows is read by what it is.
#[test]
fn bad_lines_in_front() {
    let (good, other) = (json(&["a"]), json(&["b"]));
    let many = format!("{good}\n{other}\n");
    let indented =
        "{\n \"resourceSpans\": [\n  ".to_owned() + &element("a") + ",\n  " + &element("b") + "\n ]\n}\n";
    let long = "x".repeat(200 << 10);
    for (bad, lines) in [
        ("{bad", 1),
        ("# c", 1),
        ("null", 1),
        ("\"x\"", 1),
        ("\"}]}", 1),
        ("12", 1),
        ("{bad\n{worse", 2),
        ("starting\n\n[2026] ready", 2),
        ("\0\0\0\0", 1),
        (&*long, 1),
    ] {
        for rest in [&many, &indented] {
            let record = read_as(Format::OtlpJson, format!("{bad}\n{rest}").as_bytes());
            assert_eq!(names(&record), ["a", "b"], "{bad}\n{}", record.text());
            assert_eq!(record.rejected.len(), lines, "{bad}: {:?}", record.rejected);
            assert_eq!(record.rejected[0], "line 1: not JSON");
        }
    }
}

/// A first line that is cut short, in a string or not, takes no other with it.
#[test]
fn first_lines_without_an_end() {
    for bad in ["{\"a\":\"b", "{\"a\":", "{\"a\":[{\"b\":1}", "[{\"a\":\"b"] {
        for count in [2, 5] {
            let good = vec![json(&["a"]); count].join("\n");
            let record = read_as(Format::OtlpJson, format!("{bad}\n{good}").as_bytes());
            assert_eq!(names(&record), vec!["a"; count], "{bad}\n{}", record.text());
            assert_eq!(record.rejected.len(), 1, "{bad}: {:?}", record.rejected);
            assert!(record.rejected[0].starts_with("line 1: "), "{bad}: {:?}", record.rejected);
        }
    }
}

/// A document of many lines that is cut short, in a string or not, takes none after it along.
#[test]
fn values_after_a_cut_document() {
    for cut in ["{\"scopeSpans\":", "{\"scopeSpans\": [{\"x\": \"an open string"] {
        let file = format!(
            "{{\n \"resourceSpans\": [\n  {cut}\n{}\n{}\n{}\n",
            json(&["a"]),
            json(&["b"]),
            json(&["c"])
        );
        let record = read_as(Format::OtlpJson, file.as_bytes());
        assert_eq!(names(&record), ["a", "b", "c"], "{cut}\n{}", record.text());
        assert_eq!(record.rejected.len(), 1, "{:?}", record.rejected);
    }
}

/// A file that breaks off: what was whole counts, and the rest is refused once, whatever the format.
#[test]
fn cut_short_anywhere() {
    let parts = ["aa", "bb"].map(|name| protobuf(&[name]));
    let zipkin = r#"[{"traceId":"1","id":"2","name":"y"},{"traceId":"1","id":"3","kind":"SERVER"}]"#;
    let jaeger = r#"{"data":[{"traceID":"1","spans":[{"traceID":"1","spanID":"2","operationName":"j"}]}]}"#;
    for (file, unnoticed) in [
        (parts.concat(), Some(parts[0].len())),
        (framed(&parts), Some(parts[0].len() + 4)),
        (json(&["aa", "bb"]).into_bytes(), None),
        (zipkin.into(), None),
        (jaeger.into(), None),
    ] {
        let whole = read_with(&file, &Limits::default()).0;
        for cut in 1..file.len() {
            let (record, summary) = read_with(&file[..cut], &Limits::default());
            let begins = file[..cut].escape_ascii();
            if summary.is_err() {
                assert!(cut < 24, "not recognised: {begins}");
                continue;
            }
            assert!(
                whole.calls.starts_with(record.calls.trim_end_matches("resource\n")),
                "{begins}: {}",
                record.text()
            );
            // Of a Jaeger trace, every list and object that ends too early says so.
            let most = if summary.unwrap().format == Format::JaegerJson { 4 } else { 1 };
            let least = usize::from(unnoticed != Some(cut));
            assert!((least..=most).contains(&record.rejected.len()), "{begins}: {:?}", record.rejected);
        }
    }
}

#[test]
fn compressed() {
    let plain = json(&["a", "b"]);
    let members = [gzip(json(&["a"]).as_bytes()), gzip(json(&["b"]).as_bytes())].concat();
    for file in [gzip(plain.as_bytes()), zstd(plain.as_bytes()), members] {
        let mut record = Record::default();
        let mut seen = 0;
        let summary = read(&*file, &Limits::default(), &mut record, &mut |taken| seen = taken).unwrap();
        assert_eq!(names(&record), ["a", "b"]);
        assert_eq!((seen, summary.taken), (file.len() as u64, file.len() as u64));
        assert!(summary.inflated >= plain.len() as u64);
    }
}

/// A compressed file that breaks off counts as far as it inflates.
#[test]
fn compressed_and_cut_short() {
    let many: Vec<String> = (0..5000).map(|number| format!("span {number}")).collect();
    let plain = json(&many.iter().map(String::as_str).collect::<Vec<_>>());
    for file in [gzip(plain.as_bytes()), zstd(plain.as_bytes())] {
        let (record, summary) = read_with(&file[..file.len() / 2], &Limits::default());
        assert_eq!(summary.unwrap().format, Format::OtlpJson);
        assert!(record.spans > 100, "{}", record.spans);
        let last = record.rejected.last().unwrap();
        assert!(last.contains("nothing more could be read"), "{:?}", record.rejected);
    }
    let (record, summary) = read_with(&gzip(plain.as_bytes())[..5], &Limits::default());
    assert!(matches!(summary, Err(ReadError::Io(_))), "{summary:?}");
    assert_eq!(record.rejected, Vec::<String>::new());
}

/// A small file that inflates without end takes bounded memory, and is stopped.
#[test]
fn bombs() {
    let head = json(&["a"]);
    let bomb = [head.as_bytes(), b"\n{\"resourceSpans\":[\"", &vec![b'x'; 20 << 20], b"\"]}\n"].concat();
    for file in [gzip(&bomb), zstd(&bomb)] {
        let limits = Limits { ratio: 100, ratio_from: 1 << 20, ..Limits::default() };
        let (record, _) = read_with(&file, &limits);
        assert_eq!(names(&record), ["a"]);
        let last = record.rejected.last().unwrap();
        assert!(last.ends_with("inflates to more than 100 times its size"), "{:?}", record.rejected);

        let limits = Limits { inflated: 1 << 20, ..Limits::default() };
        let (record, _) = read_with(&file, &limits);
        assert_eq!(names(&record), ["a"]);
        let last = record.rejected.last().unwrap();
        assert!(last.ends_with("inflates to more than 1048576 bytes"), "{:?}", record.rejected);
    }
}

/// An element over the limit is refused, and the next one is read.
#[test]
fn too_large() {
    let limits = Limits { element: 1 << 20, ..Limits::default() };
    let large = "x".repeat(2 << 20);
    let parts = ["a", &large, "b"].map(|name| protobuf(&[name]));
    let lines = format!("{}\n{}\n{}\n", json(&["a"]), json(&[&large]), json(&["b"]));
    for (file, place) in [
        (parts.concat(), format!("byte {}: ", parts[0].len())),
        (framed(&parts), format!("byte {}: ", parts[0].len() + 8)),
        (
            json(&["a", &large, "b"]).into_bytes(),
            format!("byte {}: ", r#"{"resourceSpans":[,"#.len() + element("a").len()),
        ),
        (lines.into_bytes(), "line 2: ".to_owned()),
    ] {
        let (record, _) = read_with(&file, &limits);
        assert_eq!(names(&record), ["a", "b"], "{place}");
        assert_eq!(record.rejected.len(), 1, "{:?}", record.rejected);
        let said =
            record.rejected[0].strip_prefix(&*place).unwrap_or_else(|| panic!("{:?}", record.rejected));
        assert!(said.ends_with("is larger than 1048576 bytes, left out"), "{said}");
    }
}

/// Gives a few bytes at a time, and fails in the end.
struct Trickle<'a>(&'a [u8], bool);

impl Read for Trickle<'_> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        if self.0.is_empty() && self.1 {
            return Err(io::Error::other("the disk is gone"));
        }
        let count = room.len().min(7);
        let piece = room.get_mut(..count).unwrap();
        self.0.read(piece)
    }
}

/// How a file comes in makes no difference.
#[test]
fn in_small_pieces() {
    let mut lines = String::new();
    for number in 0..200 {
        writeln!(lines, "{}", json(&[&format!("span {number}")])).unwrap();
    }
    let document = json(&["a"; 200]);
    let parts: Vec<_> = (0..200).map(|number| protobuf(&[&format!("span {number}")])).collect();
    for file in [lines.into_bytes(), document.into_bytes(), parts.concat(), framed(&parts)] {
        let mut record = Record::default();
        read(Trickle(&file, false), &Limits::default(), &mut record, &mut |_| {}).unwrap();
        assert_eq!(record.spans, 200);
        assert_eq!(record, read_with(&file, &Limits::default()).0);

        let mut record = Record::default();
        read(Trickle(&file, true), &Limits::default(), &mut record, &mut |_| {}).unwrap();
        assert_eq!(record.spans, 200);
        let said = format!("byte {}: nothing more could be read: the disk is gone", file.len());
        assert_eq!(record.rejected, [said]);
    }
}

/// Nor does it where lines are bad, or so long that only a part of them is looked at.
#[test]
fn damaged_and_in_small_pieces() {
    let good = [json(&["a"]), json(&["b"]), json(&["c"])].join("\n");
    let blank = " ".repeat(100 << 10);
    let document = format!("{{\n \"resourceSpans\": [\n  {{\"scopeSpans\":\n{good}");
    let swallowed = format!("{{\n \"x\":\n{good}");
    for file in [
        format!("{{bad\n{good}"),
        format!("{{\"a\":\"b\n{good}"),
        format!("{{\"a\":\n{good}"),
        format!("{blank}x\n{good}"),
        format!("x\n{blank}{good}"),
        format!("x{blank}\n{{{blank}\n{good}"),
        document,
        swallowed,
    ] {
        let mut record = Record::default();
        let read = read(Trickle(file.as_bytes(), false), &Limits::default(), &mut record, &mut |_| {});
        let (whole, expected) = read_with(file.as_bytes(), &Limits::default());
        let begins = file.chars().filter(|c| *c != ' ').take(40).collect::<String>();
        assert_eq!(record, whole, "{begins}");
        assert_eq!(read.is_ok(), expected.is_ok(), "{begins}");
        assert!(names(&record).ends_with(&["b", "c"]), "{begins}: {}", record.text());
    }
}

#[test]
fn nothing_could_be_read() {
    for (file, expected) in [
        (&b""[..], "the input is empty"),
        (b"# a README\n", "neither OTLP, Jaeger JSON nor Zipkin JSON"),
        (b"\x7fELF\x02\x01\x01\x00\x00\x00", "neither OTLP, Jaeger JSON nor Zipkin JSON"),
        (b"{\"error\":\"no such trace\"}", "neither OTLP, Jaeger JSON nor Zipkin JSON"),
        (b"\x1f\x8b\x08\x00", "reading failed before anything was read"),
        (&gzip(b""), "the input is empty"),
    ] {
        let (_, summary) = read_with(file, &Limits::default());
        assert_eq!(summary.unwrap_err().to_string(), expected, "{}", file.escape_ascii());
    }
}
