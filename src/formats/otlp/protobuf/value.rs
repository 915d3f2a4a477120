//! `KeyValue` and `AnyValue`, of `opentelemetry/proto/common/v1/common.proto`.

use std::borrow::Cow;

use hopseal_correlate::sink::{Sink, Value};

use super::{Pass, Whose};
use crate::otlp::DEPTH;
use crate::wire::{CUT, Fields, Reason, WIRE_TYPE, Wire};

const NOT_TEXT: Reason = "attribute: the value is not UTF-8, taken as bytes";
const KEY_NOT_TEXT: Reason = "attribute: the key is not UTF-8";
const TOO_DEEP: Reason = "attribute: lists and maps are nested too deep";

/// The tag of field 9 of a span, length-delimited.
pub(super) const ATTRIBUTE: u8 = 9 << 3 | 2;

/// Bytes of attributes looked at together. Where one of them is no text, each is looked at by itself, so this bounds what
/// that may cost.
const RUN: usize = 512;

/// Attributes of a span that follow each other and are known to be text: to look at many at once costs little more
/// than to look at one.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Texts<'a> {
    text: &'a str,
    /// Bytes of the span behind them.
    behind: usize,
}

impl<'a> Texts<'a> {
    /// The attributes from here on that are short texts, as far as all of them are UTF-8. `here` is the rest of a span.
    fn at(here: &'a [u8]) -> Option<Self> {
        let mut fields = Fields::of(here);
        let mut behind = here.len();
        while here.len() - behind < RUN
            && let Some(pair) = fields.short(ATTRIBUTE)
            && short(pair).is_some_and(|(_, value)| is_short_text(value))
        {
            behind = fields.rest().len();
        }
        let text = str::from_utf8(here.get(..here.len() - behind)?).ok()?;
        Some(Self { text, behind })
    }

    /// The first attribute of `here`, which has `length` bytes, if it is among them.
    fn first(&self, here: &'a [u8], length: usize) -> Option<&'a str> {
        let start = self.text.len().checked_sub(here.len().checked_sub(self.behind)?)? + 2;
        self.text.get(start..start + length)
    }
}

impl<S: Sink + ?Sized> Pass<'_, S> {
    /// Hands on the first attribute of `here`, the rest of a span, which is the short one `pair`.
    #[inline]
    pub(super) fn short_attribute<'a>(&mut self, pair: &'a [u8], here: &'a [u8], texts: &mut Texts<'a>) {
        if self.sink.recall(pair) {
            return;
        }
        let is_text = short(pair).filter(|(_, value)| is_short_text(value));
        let Some((_, value)) = is_text else { return self.new_attribute(Whose::Span, pair) };
        let known = texts.first(here, pair.len()).or_else(|| {
            *texts = Texts::at(here)?;
            texts.first(here, pair.len())
        });
        let start = pair.len() - value.len();
        let parts = known.and_then(|text| Some((text.get(2..start - 2)?, text.get(start + 2..)?)));
        let Some((key, text)) = parts else { return self.new_attribute(Whose::Span, pair) };
        self.hand_on(Whose::Span, key, Value::Str(text));
        self.sink.remember(pair);
    }

    /// Hands on one `KeyValue`. A bad one is refused and costs nothing else.
    #[inline]
    pub(super) fn attribute(&mut self, whose: Whose, pair: &[u8]) {
        if whose != Whose::Span || !self.sink.recall(pair) {
            self.new_attribute(whose, pair);
        }
    }

    fn new_attribute(&mut self, whose: Whose, pair: &[u8]) {
        match self.key_value(whose, pair) {
            Ok(()) if whose == Whose::Span => self.sink.remember(pair),
            Ok(()) => {}
            Err(reason) => self.reject(pair, reason),
        }
    }

    #[inline]
    fn key_value(&mut self, whose: Whose, pair: &[u8]) -> Result<(), Reason> {
        let (key, value) = match short(pair) {
            Some((key, value)) => (key, Cow::Borrowed(value)),
            None => split(pair)?,
        };
        let key = str::from_utf8(key).map_err(|_| KEY_NOT_TEXT)?;
        self.any(whose, key, &value, DEPTH)
    }

    /// Hands on an `AnyValue`: the last of its fields, as `oneof` asks. One that holds nothing is no call.
    fn any(&mut self, whose: Whose, key: &str, value: &[u8], depth: u32) -> Result<(), Reason> {
        let mut fields = Fields::of(value);
        let Some(mut last) = fields.next()? else { return Ok(()) };
        if fields.is_empty() {
            return self.one(whose, key, last, depth);
        }
        // Of lists and maps, those that follow each other are one: protobuf merges messages.
        let mut merged = Vec::new();
        while let Some(next) = fields.next()? {
            match (last, next) {
                (_, (8.., _)) => continue,
                ((8.., _), _) => {}
                ((5 | 6, Wire::Bytes(before)), (_, Wire::Bytes(more))) if last.0 == next.0 => {
                    if merged.is_empty() {
                        merged.extend_from_slice(before);
                    }
                    merged.extend_from_slice(more);
                    continue;
                }
                // What does not count may be a secret all the same.
                ((1, Wire::Bytes(before)), _) => {
                    merged.clear();
                    if let Ok(text) = str::from_utf8(before) {
                        self.sink.text(key, text);
                    }
                }
                _ => merged.clear(),
            }
            last = next;
        }
        if !merged.is_empty() {
            last.1 = Wire::Bytes(&merged);
        }
        self.one(whose, key, last, depth)
    }

    #[inline]
    fn one(&mut self, whose: Whose, key: &str, field: (u32, Wire<'_>), depth: u32) -> Result<(), Reason> {
        let value = match field {
            (_, Wire::Cut(_)) => return Err(CUT),
            (1, Wire::Bytes(bytes)) => match str::from_utf8(bytes) {
                Ok(text) => Value::Str(text),
                Err(_) => {
                    self.hand_on(whose, key, Value::Bytes(bytes));
                    return Err(NOT_TEXT);
                }
            },
            (2, Wire::Varint(bits)) => Value::Bool(bits != 0),
            (3, Wire::Varint(bits)) => Value::Int(bits.cast_signed()),
            (4, Wire::Fixed64(bits)) => Value::Double(f64::from_bits(bits)),
            (5, Wire::Bytes(list)) => return self.list(whose, key, list, depth),
            (6, Wire::Bytes(map)) => return self.map(whose, key, map, depth),
            (7, Wire::Bytes(bytes)) => Value::Bytes(bytes),
            (1..=7, _) => return Err(WIRE_TYPE),
            _unknown => return Ok(()),
        };
        self.hand_on(whose, key, value);
        Ok(())
    }

    fn list(&mut self, whose: Whose, key: &str, list: &[u8], depth: u32) -> Result<(), Reason> {
        let depth = depth.checked_sub(1).ok_or(TOO_DEEP)?;
        let mut fields = Fields::of(list);
        while let Some(field) = fields.next()? {
            match field {
                (_, Wire::Cut(_)) => return Err(CUT),
                (1, Wire::Bytes(value)) => self.any(whose, key, value, depth)?,
                (1, _) => return Err(WIRE_TYPE),
                _unknown => {}
            }
        }
        Ok(())
    }

    fn map(&mut self, whose: Whose, key: &str, map: &[u8], depth: u32) -> Result<(), Reason> {
        let depth = depth.checked_sub(1).ok_or(TOO_DEEP)?;
        let mut fields = Fields::of(map);
        while let Some(field) = fields.next()? {
            match field {
                (_, Wire::Cut(_)) => return Err(CUT),
                (1, Wire::Bytes(pair)) => {
                    let (inner, value) = split(pair)?;
                    let inner = str::from_utf8(inner).map_err(|_| KEY_NOT_TEXT)?;
                    let key = if self.sink.names_secret(inner) { inner } else { key };
                    self.any(whose, key, &value, depth)?;
                }
                (1, _) => return Err(WIRE_TYPE),
                _unknown => {}
            }
        }
        Ok(())
    }

    #[inline]
    fn hand_on(&mut self, whose: Whose, key: &str, value: Value<'_>) {
        match whose {
            Whose::Resource => self.sink.resource_attribute(key, value),
            Whose::Scope => self.sink.scope_attribute(key, value),
            Whose::Span => self.sink.attribute(key, value),
            Whose::Event => self.sink.event_attribute(key, value),
            Whose::Link => self.sink.link_attribute(key, value),
        }
    }
}

/// What nearly every `KeyValue` is, taken apart at once: a key and a value, both short.
#[inline(always)]
fn short(pair: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut fields = Fields::of(pair);
    let key = fields.short(0x0a)?;
    let value = fields.short(0x12)?;
    fields.is_empty().then_some((key, value))
}

/// Whether a short value is a text, and nothing else. Then tags and lengths are ASCII, so the bytes of its attribute are
/// UTF-8 exactly if key and text are.
#[inline(always)]
fn is_short_text(value: &[u8]) -> bool {
    let mut fields = Fields::of(value);
    fields.short(0x0a).is_some() && fields.is_empty()
}

/// The key and the `AnyValue` of a `KeyValue`. A value written in parts is put together.
#[inline]
fn split(pair: &[u8]) -> Result<(&[u8], Cow<'_, [u8]>), Reason> {
    let (mut key, mut value) = (&[][..], Cow::Borrowed(&[][..]));
    let mut fields = Fields::of(pair);
    while let Some(field) = fields.next()? {
        match field {
            (_, Wire::Cut(_)) => return Err(CUT),
            (1, Wire::Bytes(bytes)) => key = bytes,
            (2, Wire::Bytes(bytes)) if value.is_empty() => value = Cow::Borrowed(bytes),
            (2, Wire::Bytes(bytes)) => value.to_mut().extend_from_slice(bytes),
            (1 | 2, _) => return Err(WIRE_TYPE),
            _unknown => {}
        }
    }
    Ok((key, value))
}
