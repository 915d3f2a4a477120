//! JSON files: which lists in them hold the elements, and the elements one by one.

use hopseal_correlate::sink::{Position, Sink};

use super::detect::{self, HEAD};
use super::input::Input;
use super::keys::{Meaning, is_zipkin_v1, meaning, meaning_of};
use super::protobuf::too_large;
use super::{Format, Limits, lines};
use crate::boundary::Boundary;
use crate::{jaeger, otlp, place, zipkin};

const CUT: &str = "cut short: the file ends inside this value";
pub(super) const NOT_JSON: &str = "not JSON";
const NO_SPANS: &str = "without spans: neither OTLP, Jaeger nor Zipkin";
/// Bytes of an object in which a key has to say that it is an element itself, and not only holds a list of them.
const LOOK_AHEAD: usize = 1 << 20;
/// Bytes of a line in which a key has to say that it begins like a file.
const RESUME_AHEAD: usize = 256;
/// Values cut short that another is looked for in. Each is looked through to the end of the file.
const MOST_RESUMED: u32 = 16;
/// How deep objects may stand in each other around the list of elements: `{"result":{"resourceSpans":[..`.
const WRAPPERS: u32 = 3;

/// Reads a file of JSON values, and says what the first was.
pub(super) fn read<S: Sink + ?Sized>(input: &mut Input<'_>, limits: &Limits, sink: &mut S) -> Option<Format> {
    if input.rest().starts_with(b"\xef\xbb\xbf") {
        input.consume(3);
    }
    let first = lines::skip_to_json(input, sink);
    if lines::is_lines(input) {
        return lines::read(input, first, limits, sink);
    }
    let mut document =
        Document { input, limits, sink, line: None, format: None, on_new_line: false, resumed: 0 };
    document.values();
    document.format
}

/// Reads one line, and says what it was.
pub(super) fn read_line<S: Sink + ?Sized>(
    line: &[u8],
    at: Position,
    limits: &Limits,
    sink: &mut S,
) -> Option<Format> {
    let text = line.trim_ascii();
    if matches!(meaning_of(text), Some(Meaning::Otlp | Meaning::Wrapper)) {
        // What nearly every line is, in one pass: its parser finds the ends of the elements by itself.
        otlp::json::message(text, at, sink);
        return Some(Format::OtlpJson);
    }
    let mut input = Input::new(Box::new(text));
    let mut document = Document {
        input: &mut input,
        limits,
        sink,
        line: Some(at),
        format: None,
        on_new_line: false,
        resumed: 0,
    };
    document.values();
    document.format
}

/// A file, or a line, of JSON values.
struct Document<'d, 'r, S: ?Sized> {
    input: &'d mut Input<'r>,
    limits: &'d Limits,
    sink: &'d mut S,
    /// The line that all of it is, if it is one.
    line: Option<Position>,
    /// What the first element was.
    format: Option<Format>,
    /// Whether what `next` found is the first of its line.
    on_new_line: bool,
    /// Values that were cut where another begins.
    resumed: u32,
}

/// How much of a value is in memory.
enum Extent {
    /// All of it.
    Whole(usize),
    /// All that there is: the file ends in it.
    Cut(usize),
    /// Nothing any more.
    SteppedOver,
}

/// Where the value ends was not to be found, which has been reported, and what to read next is the next value.
struct Lost;

impl<S: Sink + ?Sized> Document<'_, '_, S> {
    fn values(&mut self) {
        while let Some(byte) = self.next() {
            let result = match byte {
                b'{' if self.is_element() => self.element(None),
                b'{' => self.object(),
                b'[' => self.list(None),
                _ => self.lost(NOT_JSON),
            };
            // Where a value went wrong, a line is the next best guess at where another starts: this one, if it begins
            // like a value, or the next.
            if result.is_err() && !(self.on_new_line && detect::json(self.input.head(HEAD))) {
                lines::skip_line(self.input);
            }
        }
    }

    /// Whether the object that comes next is an element itself.
    fn is_element(&mut self) -> bool {
        let mut looked = 4096;
        loop {
            let more = self.input.reach(looked);
            match meaning_of(self.input.rest()) {
                Some(meaning) => return matches!(meaning, Meaning::Element(_)),
                None if more && looked < LOOK_AHEAD => looked *= 4,
                None => return false,
            }
        }
    }

    /// Reads an object that holds a list of elements, or an object that does.
    fn object(&mut self) -> Result<(), Lost> {
        let at = self.at();
        let found = self.members(WRAPPERS)?;
        if !found {
            self.sink.reject(at, &format!("an object {NO_SPANS}"));
        }
        Ok(())
    }

    /// Reads the members of an object. Whether any was a list of elements.
    fn members(&mut self, depth: u32) -> Result<bool, Lost> {
        self.input.consume(1);
        let mut found = false;
        let mut empty = true;
        loop {
            match self.next() {
                None => return self.lost(CUT),
                Some(b'}') => {
                    self.input.consume(1);
                    return Ok(found || empty);
                }
                Some(b'"') => empty = false,
                Some(_) => return self.lost(NOT_JSON),
            }
            let meaning = match self.whole()? {
                Extent::Whole(size) => {
                    let meaning = self.input.rest().get(..size).and_then(meaning);
                    self.input.consume(size);
                    meaning
                }
                Extent::Cut(_) => return self.lost(CUT),
                Extent::SteppedOver => None,
            };
            if self.next() != Some(b':') {
                return self.lost(NOT_JSON);
            }
            self.input.consume(1);
            match (meaning, self.next()) {
                (Some(Meaning::Wrapper), Some(b'{')) if depth > 0 => found |= self.members(depth - 1)?,
                (Some(list @ (Meaning::Otlp | Meaning::Jaeger)), Some(first @ (b'[' | b'n'))) => {
                    found = true;
                    let format = if list == Meaning::Otlp { Format::OtlpJson } else { Format::JaegerJson };
                    self.format.get_or_insert(format);
                    if first == b'[' { self.list(Some(list))? } else { self.skip()? }
                }
                _ => self.skip()?,
            }
        }
    }

    /// Reads a list of elements of one kind, or of any.
    fn list(&mut self, kind: Option<Meaning>) -> Result<(), Lost> {
        self.input.consume(1);
        if self.next() == Some(b']') {
            // Nobody but Zipkin answers with a list when there is nothing.
            self.format.get_or_insert(Format::ZipkinV2);
        }
        loop {
            match self.next() {
                None => return self.lost(CUT),
                Some(b']') => {
                    self.input.consume(1);
                    return Ok(());
                }
                Some(_) => self.element(kind)?,
            }
        }
    }

    /// Reads one element. One that the file ends in is read as far as it goes; its parser says that it is cut.
    fn element(&mut self, kind: Option<Meaning>) -> Result<(), Lost> {
        let at = self.at();
        let (size, end) = match self.whole()? {
            Extent::Whole(size) => (size, Ok(())),
            Extent::Cut(size) => (self.resume_at(size), Err(Lost)),
            Extent::SteppedOver => return Ok(()),
        };
        let json = self.input.rest().get(..size).unwrap_or_default();
        let format = hand_on(kind, json, at, self.sink);
        self.format = self.format.or(format);
        self.input.consume(size);
        end
    }

    /// Of a value that the file ends in, how much is its own: a line that begins like a whole file belongs to no other
    /// value, so one before it lacks its end, or the end of a string.
    fn resume_at(&mut self, size: usize) -> usize {
        let value = self.input.rest().get(..size).unwrap_or_default();
        let begins = |end: &usize| {
            let line = value.get(end + 1..).unwrap_or_default();
            line.starts_with(b"{") && detect::json(line) && {
                let head = line.get(..RESUME_AHEAD).unwrap_or(line);
                matches!(meaning_of(head), Some(Meaning::Otlp | Meaning::Jaeger | Meaning::Wrapper))
            }
        };
        let next = memchr::memchr_iter(b'\n', value).find(begins).filter(|_| self.resumed < MOST_RESUMED);
        let Some(end) = next else { return size };
        self.resumed += 1;
        self.on_new_line = true;
        end + 1
    }

    /// Gets the next value into memory, or what there is of it. One that is too large is refused and stepped over.
    fn whole(&mut self) -> Result<Extent, Lost> {
        let mut boundary = Boundary::default();
        let mut fed = 0;
        loop {
            match boundary.feed(self.input.rest().get(fed..).unwrap_or_default()) {
                Some(0) if fed == 0 => return self.lost(NOT_JSON),
                Some(more) if fed + more <= self.limits.element => return Ok(Extent::Whole(fed + more)),
                Some(more) => {
                    self.refuse_large();
                    self.input.consume(fed + more);
                    return Ok(Extent::SteppedOver);
                }
                None => fed = self.input.rest().len(),
            }
            if fed > self.limits.element {
                self.refuse_large();
                self.input.consume(fed);
                self.step_over(boundary)?;
                return Ok(Extent::SteppedOver);
            }
            if !self.input.more() {
                return Ok(Extent::Cut(fed));
            }
        }
    }

    fn refuse_large(&mut self) {
        self.sink.reject(self.at(), &too_large("the value", self.limits.element as u64));
    }

    /// Steps over a value of any size.
    fn skip(&mut self) -> Result<(), Lost> {
        self.step_over(Boundary::default())
    }

    /// Steps to the end of a value that `boundary` has seen the beginning of.
    fn step_over(&mut self, mut boundary: Boundary) -> Result<(), Lost> {
        loop {
            let end = boundary.feed(self.input.rest());
            let count = end.unwrap_or(self.input.rest().len());
            self.input.consume(count);
            if end.is_some() {
                return Ok(());
            }
            if !self.input.more() {
                return self.lost(CUT);
            }
        }
    }

    /// The next byte that is not white space or a comma. Commas separate and say nothing.
    fn next(&mut self) -> Option<u8> {
        self.on_new_line = false;
        loop {
            let rest = self.input.rest();
            let blank = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b',' | 0x1e);
            let found = rest.iter().position(|byte| !blank(byte));
            let count = found.unwrap_or(rest.len());
            if let Some(last) = rest.get(..count).and_then(<[u8]>::last) {
                self.on_new_line = *last == b'\n';
            }
            let byte = rest.get(count).copied();
            self.input.consume(count);
            if byte.is_some() || !self.input.more() {
                return byte;
            }
        }
    }

    fn at(&self) -> Position {
        self.line.unwrap_or(Position::Byte(self.input.offset()))
    }

    fn lost<T>(&mut self, reason: &str) -> Result<T, Lost> {
        self.sink.reject(self.at(), reason);
        Err(Lost)
    }
}

/// Has the parser of its format read one element, and says which that was.
fn hand_on<S: Sink + ?Sized>(
    kind: Option<Meaning>,
    json: &[u8],
    at: Position,
    sink: &mut S,
) -> Option<Format> {
    match kind.or_else(|| meaning_of(json)) {
        Some(Meaning::Otlp) if kind.is_some() => otlp::json::resource_spans(json, at, sink),
        Some(Meaning::Otlp | Meaning::Wrapper) => _ = otlp::json::message(json, at, sink),
        Some(Meaning::Jaeger) => {
            jaeger::element(json, at, sink);
            return Some(Format::JaegerJson);
        }
        Some(Meaning::Element(format)) => return Some(one(format, json, at, sink)),
        None => return inner_list(json, at, sink),
    }
    Some(Format::OtlpJson)
}

/// One element that stands for itself.
fn one<S: Sink + ?Sized>(format: Format, json: &[u8], at: Position, sink: &mut S) -> Format {
    match format {
        Format::OtlpJson => otlp::json::resource_spans(json, at, sink),
        Format::JaegerJson => jaeger::element(json, at, sink),
        _ if is_zipkin_v1(json) => {
            zipkin::v1::element(json, at, sink);
            return Format::ZipkinV1;
        }
        _ => zipkin::v2::element(json, at, sink),
    }
    format
}

/// A list in a list: the spans of one Zipkin trace among several.
fn inner_list<S: Sink + ?Sized>(json: &[u8], at: Position, sink: &mut S) -> Option<Format> {
    let Some(mut rest) = json.strip_prefix(b"[") else {
        sink.reject(at, &format!("a value {NO_SPANS}"));
        return None;
    };
    let mut found = None;
    loop {
        let blank = |byte: &u8| byte.is_ascii_whitespace() || *byte == b',';
        let start = rest.iter().position(|byte| !blank(byte)).unwrap_or(rest.len());
        rest = rest.get(start..).unwrap_or_default();
        let here = place(at, json.len() - rest.len());
        let size = match rest.first() {
            Some(b']') => return found,
            Some(_) => Boundary::of(rest).unwrap_or(rest.len()).max(1),
            None => {
                sink.reject(here, CUT);
                return found;
            }
        };
        let (item, after) = rest.split_at_checked(size).unwrap_or((rest, b""));
        let format = match meaning_of(item) {
            Some(Meaning::Element(format)) => Some(one(format, item, here, sink)),
            _ => {
                sink.reject(here, &format!("a value {NO_SPANS}"));
                None
            }
        };
        found = found.or(format);
        rest = after;
    }
}
