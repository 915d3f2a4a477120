//! Fields that Jaeger and Zipkin have in common: ids, times, texts, tag values, and what to say of bad ones.
//!
//! A span is refused only for its ids, or if it is no object. Any other field that cannot be taken as it
//! stands is read as far as it can be, and the first such field of a span is reported.

use std::borrow::Cow;

use hopseal_correlate::sink::{Position, Sink, SpanId, TraceId, Value};

use crate::place;
use crate::raw::{Broken, Raw};

/// Why a field could not be taken as it stands. Says where, never what it held: that may be a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) field: &'static str,
    pub(crate) what: &'static str,
    pub(crate) at: usize,
}

impl Broken {
    pub(crate) fn of(self, field: &'static str) -> Fault {
        Fault { field, what: self.what, at: self.at }
    }
}

impl Fault {
    /// Reports to `sink`, for the element that starts at `element`.
    pub(crate) fn report<S: Sink + ?Sized>(self, element: Position, sink: &mut S) {
        sink.reject(place(element, self.at), &format!("`{}` {}", self.field, self.what));
    }
}

/// The first fault of what is being read: enough to find it, and bounded whatever the input.
#[derive(Debug, Default)]
pub(crate) struct Faults(Option<Fault>);

impl Faults {
    pub(crate) fn note(&mut self, fault: Fault) {
        self.0.get_or_insert(fault);
    }

    /// Reports to `sink`, for the element that starts at `element`.
    pub(crate) fn report<S: Sink + ?Sized>(&self, element: Position, sink: &mut S) {
        if let Some(fault) = self.0 {
            fault.report(element, sink);
        }
    }

    /// The pieces of a list or object up to the first that cannot be told from the next.
    pub(crate) fn pieces<T>(
        &mut self,
        field: &'static str,
        pieces: impl Iterator<Item = Result<T, Broken>>,
        mut each: impl FnMut(&mut Self, T),
    ) {
        for piece in pieces {
            match piece {
                Ok(piece) => each(self, piece),
                Err(broken) => self.note(broken.of(field)),
            }
        }
    }

    /// A text. Numbers and truth values stand for themselves; nothing at all is empty.
    pub(crate) fn text<'a>(&mut self, field: &'static str, raw: Option<Raw<'a>>) -> Cow<'a, str> {
        match raw.and_then(|raw| self.scalar(field, raw)) {
            Some(Scalar::Str(text)) => text,
            Some(Scalar::Int(number)) => number.to_string().into(),
            Some(Scalar::Double(number)) => number.to_string().into(),
            Some(Scalar::Bool(truth)) => truth.to_string().into(),
            Some(Scalar::Bytes(_)) | None => Cow::Borrowed(""),
        }
    }

    /// A tag's value. `null` is no value; a list or an object is its JSON, so that it can be looked through.
    pub(crate) fn scalar<'a>(&mut self, field: &'static str, raw: Raw<'a>) -> Option<Scalar<'a>> {
        let fault = |what| Fault { field, what, at: raw.at };
        if raw.is_null() {
            return None;
        }
        if raw.is_text() {
            let Some((text, sound)) = raw.text() else {
                self.note(fault("holds a string that is not valid JSON"));
                return None;
            };
            if !sound {
                self.note(fault("holds text that is not Unicode"));
            }
            return Some(Scalar::Str(text));
        }
        let json = String::from_utf8_lossy(raw.json);
        let scalar = match raw.json.first() {
            Some(b'{' | b'[') => Some(Scalar::Str(json)),
            Some(b'-' | b'0'..=b'9') => number(&json).or(Some(Scalar::Str(json))),
            _ => json.parse().ok().map(Scalar::Bool),
        };
        if scalar.is_none() {
            self.note(fault("holds a value that is not valid JSON"));
        }
        scalar
    }

    /// Microseconds, as nanoseconds: a number or a string of one, `None` when not said.
    pub(crate) fn micros(&mut self, field: &'static str, raw: Option<Raw<'_>>) -> Option<u64> {
        let raw = raw?;
        let micros = match self.scalar(field, raw)? {
            Scalar::Int(whole) => u64::try_from(whole).ok(),
            Scalar::Double(number) => whole(number),
            Scalar::Str(text) => text.parse().ok().or_else(|| text.parse().ok().and_then(whole)),
            Scalar::Bool(_) | Scalar::Bytes(_) => None,
        };
        if micros.is_none() {
            self.note(Fault { field, what: "is no count of microseconds", at: raw.at });
        }
        micros.map(|micros| micros.saturating_mul(1000))
    }
}

/// `as` cuts off the fraction and stops at `u64::MAX`, which is what a time too large should be.
fn whole(number: f64) -> Option<u64> {
    (number.is_finite() && number >= 0.0).then_some(number as u64)
}

/// When a span ends; 0 where its start or its duration is not known.
pub(crate) fn end(start: u64, duration: Option<u64>) -> u64 {
    match duration {
        Some(duration) if start != 0 => start.saturating_add(duration),
        _ => 0,
    }
}

/// One tag value, owned where it had to be decoded.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Scalar<'a> {
    Str(Cow<'a, str>),
    Int(i64),
    Double(f64),
    Bool(bool),
    Bytes(Vec<u8>),
}

impl Scalar<'_> {
    pub(crate) fn as_value(&self) -> Value<'_> {
        match self {
            Self::Str(text) => Value::Str(text),
            Self::Int(number) => Value::Int(*number),
            Self::Double(number) => Value::Double(*number),
            Self::Bool(truth) => Value::Bool(*truth),
            Self::Bytes(bytes) => Value::Bytes(bytes),
        }
    }
}

/// A number that fits an `i64` or a finite double.
pub(crate) fn number(text: &str) -> Option<Scalar<'static>> {
    let double = || text.parse().ok().filter(|number: &f64| number.is_finite()).map(Scalar::Double);
    text.parse().ok().map(Scalar::Int).or_else(double)
}

/// A trace id of up to 32 hex digits; fewer stand at the end.
pub(crate) fn trace_id(field: &'static str, raw: Raw<'_>) -> Result<TraceId, Fault> {
    let fault = |what| Fault { field, what, at: raw.at };
    TraceId::new(hex(raw, "is longer than 32 digits").map_err(fault)?).ok_or(fault("is zero"))
}

/// A span id of up to 16 hex digits.
pub(crate) fn span_id(field: &'static str, raw: Raw<'_>) -> Result<SpanId, Fault> {
    let fault = |what| Fault { field, what, at: raw.at };
    SpanId::new(hex(raw, "is longer than 16 digits").map_err(fault)?).ok_or(fault("is zero"))
}

/// A span id that may be absent, empty or zero, all of which say that there is none.
pub(crate) fn parent_id(field: &'static str, raw: Option<Raw<'_>>) -> Result<Option<SpanId>, Fault> {
    let Some(raw) = raw.filter(|raw| raw.json != b"\"\"") else { return Ok(None) };
    let fault = |what| Fault { field, what, at: raw.at };
    Ok(SpanId::new(hex(raw, "is longer than 16 digits").map_err(fault)?))
}

fn hex<const N: usize>(raw: Raw<'_>, too_long: &'static str) -> Result<[u8; N], &'static str> {
    let (text, _) = raw.text().ok_or("is not a string")?;
    if text.is_empty() {
        return Err("is empty");
    }
    let mut id = [0; N];
    // Two digits a byte, from the end.
    let mut digits = text.bytes().rev();
    for byte in id.iter_mut().rev() {
        for shift in [0, 4] {
            let Some(digit) = digits.next() else { break };
            let digit = char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
            *byte |= digit.ok_or("is not hex")? << shift;
        }
    }
    if digits.next().is_some() { Err(too_long) } else { Ok(id) }
}
