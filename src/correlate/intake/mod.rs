//! From the calls of a parser to records: keeps what some rule may ask for, looks through the rest.

use std::fmt::Write as _;

use crate::credential::{self, Hit, KeyHint, Leak, Origin};
use crate::dialect::{Dialects, KeyId, Meaning};
use crate::encoded::Encoded;
use crate::field::Field;
use crate::record::{self, Maker, Record};
use crate::sink::{Link, Position, Sink, SpanHead, SpanId, TraceId, Value};
use crate::words::{Form, Miss, Pair, WordId, Words};

/// Fields kept of one span and of a resource, and the bytes of those among them that are too long for a word. What comes
/// after them is counted as dropped, and still looked through for credentials. Those of a resource stand in every record.
const SPAN: Bounds = Bounds { fields: 512, long_bytes: 64 << 10, leak_bytes: 16 << 10 };
const RESOURCE: Bounds = Bounds { fields: 64, long_bytes: 4 << 10, leak_bytes: 2 << 10 };
/// Credentials noted of one span or resource, besides.
const MAX_LEAKS: u32 = 64;
/// Longest key named beside a credential, in bytes.
const MAX_LEAK_KEY: usize = 256;
/// Keys remembered with their meaning, and the longest of them in bytes; keys are the sender's choice.
const MAX_KEYS: usize = 16_384;
const MAX_KEY: usize = 256;
/// Events by which Spring Security says that somebody was authenticated.
const AUTHENTICATED: [&str; 2] = ["Authentication set", "Authentication replaced"];

/// Where records and rejections go.
pub trait Records {
    /// One span.
    fn record(&mut self, record: &Record<'_>);
    /// A span of another trace links to this one: what [`Linked`](crate::survey::Linked) has to keep.
    fn linked(&mut self, _trace_id: TraceId, _span_id: SpanId) {}
    /// Something could not be read.
    fn reject(&mut self, at: Position, reason: &str);
}

/// A [`Sink`] that turns spans into records.
#[derive(Debug)]
pub struct Intake<'d, R> {
    dialects: &'d Dialects,
    words: &'d mut Words,
    /// By the sender's own keys, so hashed with a secret.
    known: std::collections::HashMap<Box<str>, Meaning>,
    encoded: Encoded,
    /// Names of spans, each with the word that it is.
    names: Encoded,
    /// What is known of the name of the open span.
    recalled: Recalled,
    /// Attributes kept since the last look into `encoded`.
    since: Since,
    to: R,
    texts: [ResourceText; 4],
    /// What every record of the current resource and scope has; of a scope it is credentials alone.
    maker: Maker,
    /// What of the resource, and of the scope, was not kept.
    over: [u32; 2],
    open: Open,
    /// Fields of what is open.
    fields: Vec<u8>,
    links: Vec<Link>,
    room: Room,
    name: Vec<u8>,
    number: String,
}

/// A text that every record of a resource begins with.
#[derive(Debug, Default)]
struct ResourceText {
    text: String,
    /// Whether a credential was masked in it.
    masked: bool,
}

/// What the fields kept now are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    Resource,
    Scope,
    Span,
}

/// What is kept at most.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    fields: u32,
    long_bytes: usize,
    leak_bytes: usize,
}

/// What of a span or a resource was kept, and how much was not. Short fields are counted and long ones measured, so that
/// what is kept does not depend on which of them are words by now.
#[derive(Debug, Clone, Copy, Default)]
struct Room {
    fields: u32,
    long_bytes: usize,
    leaks: u32,
    leak_bytes: usize,
    over: u32,
}

impl Room {
    /// Whether there is room for one more field, a short one.
    #[inline]
    const fn take_short(&mut self, bounds: Bounds) -> bool {
        let fits = self.fields < bounds.fields;
        if fits {
            self.fields += 1;
        } else {
            self.over = self.over.saturating_add(1);
        }
        fits
    }

    /// Whether there is room for one more field; `long` are its bytes where it is too long for a word.
    const fn take(&mut self, long: usize, bounds: Bounds) -> bool {
        let fits = self.fields < bounds.fields && self.long_bytes + long <= bounds.long_bytes;
        self.fields += fits as u32;
        self.long_bytes += if fits { long } else { 0 };
        self.over = self.over.saturating_add(!fits as u32);
        fits
    }

    /// The same for a credential. Who fills the room for fields does not take theirs.
    const fn take_leak(&mut self, bytes: usize, bounds: Bounds) -> bool {
        let fits = self.leaks < MAX_LEAKS && self.leak_bytes + bytes <= bounds.leak_bytes;
        self.leaks += fits as u32;
        self.leak_bytes += if fits { bytes } else { 0 };
        self.over = self.over.saturating_add(!fits as u32);
        fits
    }
}

/// Attributes since a moment.
#[derive(Debug, Clone, Copy)]
enum Since {
    None,
    /// One, which is a word and says that field.
    Word(WordId, Option<Field>),
    /// One that is no word, or several.
    Others,
}

/// What is known of a name by its bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Recalled {
    /// Nobody asked, nor will they the next time.
    Unasked,
    New,
    Word(WordId),
}

/// The resource attributes that name a service, in the order of a record.
const RESOURCE_KEYS: [&[&str]; 4] = [
    &["service.namespace"],
    &["service.name"],
    &["deployment.environment.name", "deployment.environment"],
    &["service.instance.id"],
];

impl<'d, R: Records> Intake<'d, R> {
    /// Records go to `to`, and are to be read with `words`.
    pub fn new(dialects: &'d Dialects, words: &'d mut Words, to: R) -> Self {
        Self {
            dialects,
            words,
            known: Default::default(),
            encoded: Encoded::default(),
            names: Encoded::default(),
            recalled: Recalled::Unasked,
            since: Since::None,
            to,
            texts: Default::default(),
            maker: Maker::default(),
            over: [0; 2],
            open: Open::Resource,
            fields: Vec::new(),
            links: Vec::new(),
            room: Room::default(),
            name: Vec::new(),
            number: String::new(),
        }
    }

    /// Where records went.
    pub fn into_inner(self) -> R {
        self.to
    }

    /// What the records made so far are to be read with.
    #[must_use]
    pub const fn words(&self) -> &Words {
        self.words
    }

    /// Where records go.
    pub fn get_mut(&mut self) -> &mut R {
        &mut self.to
    }

    fn meaning(&mut self, key: &str) -> Meaning {
        if let Some(meaning) = self.known.get(key) {
            return *meaning;
        }
        let meaning = self.dialects.meaning(key);
        if self.known.len() < MAX_KEYS && key.len() <= MAX_KEY {
            self.known.insert(key.into(), meaning);
        }
        meaning
    }

    #[inline]
    fn keep(&mut self, key: &str, value: Value<'_>) {
        let Some(form) = form(value) else {
            self.since = Since::Others;
            return self.look(key, value);
        };
        let pair = Pair { key, form };
        match self.words.find(pair) {
            Ok((word, field)) => {
                self.since = match self.since {
                    Since::None => Since::Word(word, field),
                    Since::Word(..) | Since::Others => Since::Others,
                };
                self.put_known(word, field);
            }
            Err(miss) => {
                self.since = Since::Others;
                self.keep_new(pair, miss);
            }
        }
    }

    #[inline]
    fn put_known(&mut self, word: WordId, field: Option<Field>) {
        if let Some(field) = field {
            self.put_word(field, word);
        }
    }

    /// Keeps what is no word, and has it become one if it is nothing that has to be masked.
    fn keep_new(&mut self, pair: Pair<'_>, miss: Option<Miss>) {
        let meaning = self.meaning(pair.key);
        let mut number = std::mem::take(&mut self.number);
        let text = match pair.form {
            Form::Text(text) => text,
            form => written(form, &mut number),
        };
        let hits = match pair.form.is_number() && !meaning.hint.concerns_numbers() {
            true => Vec::new(),
            false => self.find(pair.key, meaning.hint, text),
        };
        // A key that holds a credential is told of each time.
        let is_clean = hits.is_empty() && meaning.hint != KeyHint::Leaky;
        let means = meaning.field.map(|field| (field, meaning.key));
        let word = miss.filter(|_| is_clean).and_then(|miss| self.words.note(miss, pair, text, means));
        match (meaning.field, word) {
            (None, _) => {}
            (Some(field), Some(word)) => self.put_word(field, word),
            (Some(field), None) => {
                let kept = if hits.is_empty() { text } else { &credential::mask(text, &hits) };
                let long = if pair.is_long() { kept.len().min(record::MAX_TEXT) } else { 0 };
                if self.room.take(long, self.bounds()) {
                    record::put_field(&mut self.fields, field, meaning.key, &[kept]);
                }
            }
        }
        self.number = number;
    }

    /// Takes up the name of a span, masked where it holds a credential.
    fn settle_name(&mut self, name: &str) {
        self.name.clear();
        if let Recalled::Word(word) = self.recalled {
            return record::put_word(&mut self.name, word);
        }
        if let Ok((word, _)) = self.words.find(own(name)) {
            // One that is not UTF-8 was left out.
            if self.recalled == Recalled::New && !name.is_empty() {
                self.names.remember(name.as_bytes(), word, None);
            }
            return record::put_word(&mut self.name, word);
        }
        let hits = self.find("span name", KeyHint::Plain, name);
        match hits.is_empty() {
            true => put_own(&mut self.name, self.words, name),
            false => record::put_text(&mut self.name, &credential::mask(name, &hits)),
        }
    }

    /// Looks through a value, and through the key if that holds something itself, and notes what is found.
    #[inline]
    fn find(&mut self, key: &str, hint: KeyHint, text: &str) -> Vec<Hit> {
        let hits = credential::find(hint, text);
        if hint == KeyHint::Leaky || !hits.is_empty() {
            self.leaks(key, hint, text, &hits);
        }
        hits
    }

    #[cold]
    fn leaks(&mut self, key: &str, hint: KeyHint, text: &str, hits: &[Hit]) {
        if hint != KeyHint::Leaky {
            return hits.iter().for_each(|hit| self.leak(key, text, hit));
        }
        let in_key = credential::find(KeyHint::Plain, key);
        in_key.iter().for_each(|hit| self.leak("attribute key", key, hit));
        let key = credential::mask(key, &in_key);
        hits.iter().for_each(|hit| self.leak(&key, text, hit));
    }

    const fn bounds(&self) -> Bounds {
        match self.open {
            Open::Resource | Open::Scope => RESOURCE,
            Open::Span => SPAN,
        }
    }

    #[inline]
    fn put_word(&mut self, field: Field, word: WordId) {
        if self.room.take_short(self.bounds()) {
            record::put_word_field(&mut self.fields, field, word);
        }
    }

    fn leak(&mut self, key: &str, text: &str, hit: &Hit) {
        let origin = match self.open {
            Open::Resource | Open::Scope => Origin::Resource,
            Open::Span => Origin::Span,
        };
        let masked = credential::shown(text, hit);
        let key = key.get(..key.floor_char_boundary(MAX_LEAK_KEY)).unwrap_or(key);
        if self.room.take_leak(masked.len() + key.len(), self.bounds()) {
            let leak = Leak::new(hit, text, key, &masked, origin);
            leak.write(|parts| {
                record::put_field(&mut self.fields, Field::Leak, KeyId(0), parts);
            });
        }
    }

    /// Opens what is `next`, and closes what was open: what was found in a resource or a scope begins every record from here on.
    fn turn_to(&mut self, next: Open) {
        let open = std::mem::replace(&mut self.open, next);
        if open == Open::Resource {
            self.settle_texts();
        }
        let Maker { of_resource, of_scope, .. } = &mut self.maker;
        let [resource_over, scope_over] = &mut self.over;
        let closed = match open {
            Open::Resource => {
                of_scope.clear();
                *scope_over = 0;
                Some((of_resource, resource_over))
            }
            Open::Scope => Some((of_scope, scope_over)),
            Open::Span => None,
        };
        if let Some((fields, over)) = closed {
            std::mem::swap(fields, &mut self.fields);
            *over = self.room.over;
            self.maker.number += 1;
        }
        self.fields.clear();
        self.room = Room::default();
    }

    fn settle_texts(&mut self) {
        let to = &mut self.maker.texts;
        to.clear();
        for ResourceText { text, masked } in &self.texts {
            match masked {
                // As a word it would be taken for a text that was looked through and holds nothing.
                true => record::put_text(to, text),
                false => put_own(to, self.words, text),
            }
        }
    }
}

/// A value as what may be a word; `None` for bytes that are no text.
#[inline]
fn form(value: Value<'_>) -> Option<Form<'_>> {
    Some(match value {
        Value::Str(text) => Form::Text(text),
        Value::Bytes(bytes) => Form::Text(std::str::from_utf8(bytes).ok()?),
        Value::Int(number) => Form::Int(number),
        Value::Double(number) => Form::Double(number),
        Value::Bool(truth) => Form::Bool(truth),
    })
}

/// A text that is no attribute.
const fn own(text: &str) -> Pair<'_> {
    Pair { key: "", form: Form::Own(text) }
}

/// Appends a text that is no attribute and in which no credential is left.
fn put_own(to: &mut Vec<u8>, words: &mut Words, text: &str) {
    let word = match words.find(own(text)) {
        Ok((word, _)) => Some(word),
        Err(miss) => miss.and_then(|miss| words.note(miss, own(text), text, None)),
    };
    match word {
        Some(word) => record::put_word(to, word),
        None => record::put_text(to, text),
    }
}

/// A number as text.
fn written<'t>(form: Form<'_>, to: &'t mut String) -> &'t str {
    to.clear();
    // Writing to a string does not fail.
    let _ = match form {
        Form::Int(number) => write!(to, "{number}"),
        Form::Double(number) => write!(to, "{number}"),
        Form::Bool(truth) => write!(to, "{truth}"),
        Form::Text(text) | Form::Own(text) => to.write_str(text),
    };
    to
}

impl<R: Records> Sink for Intake<'_, R> {
    fn resource(&mut self) {
        self.texts.iter_mut().for_each(|text| text.text.clear());
        self.turn_to(Open::Resource);
    }

    fn resource_attribute(&mut self, key: &str, value: Value<'_>) {
        let slot = RESOURCE_KEYS.iter().position(|keys| keys.contains(&key));
        if let (Some(text), Value::Str(value)) = (slot.and_then(|slot| self.texts.get_mut(slot)), value) {
            // The newer of two spellings comes first in RESOURCE_KEYS and is not overwritten by the older.
            if text.text.is_empty() || key != "deployment.environment" {
                let hits = credential::find(KeyHint::Plain, value);
                *text = ResourceText { text: credential::mask(value, &hits), masked: !hits.is_empty() };
            }
        }
        self.keep(key, value);
    }

    fn scope(&mut self) {
        self.turn_to(Open::Scope);
    }

    fn scope_attribute(&mut self, key: &str, value: Value<'_>) {
        self.look(key, value);
    }

    fn span_start(&mut self) {
        self.links.clear();
        self.recalled = Recalled::Unasked;
        self.turn_to(Open::Span);
    }

    fn attribute(&mut self, key: &str, value: Value<'_>) {
        self.keep(key, value);
    }

    #[inline]
    fn recall(&mut self, encoded: &[u8]) -> bool {
        self.since = Since::None;
        let known = self.encoded.recall(encoded);
        if let Some((word, field)) = known {
            self.put_known(word, field);
        }
        known.is_some()
    }

    #[inline]
    fn remember(&mut self, encoded: &[u8]) {
        if let Since::Word(word, field) = self.since {
            self.encoded.remember(encoded, word, field);
        }
    }

    #[inline]
    fn recall_name(&mut self, name: &[u8]) -> bool {
        let known = self.names.recall(name);
        self.recalled = known.map_or(Recalled::New, |(word, _)| Recalled::Word(word));
        known.is_some()
    }

    fn event(&mut self, name: &str, _time: u64) {
        if AUTHENTICATED.contains(&name) && self.room.take_short(self.bounds()) {
            record::put_field(&mut self.fields, Field::SecurityEvent, KeyId(0), &[name]);
        }
        self.find("event name", KeyHint::Plain, name);
    }

    fn event_attribute(&mut self, key: &str, value: Value<'_>) {
        self.look(key, value);
    }

    fn link(&mut self, link: Link) {
        if self.room.take_short(self.bounds()) {
            self.links.push(link);
            record::put_link(&mut self.fields, link.trace_id, link.span_id);
        }
    }

    fn link_attribute(&mut self, key: &str, value: Value<'_>) {
        self.look(key, value);
    }

    fn names_secret(&mut self, key: &str) -> bool {
        self.meaning(key).hint != KeyHint::Plain
    }

    fn text(&mut self, place: &str, text: &str) {
        // Were it part of an attribute that is remembered, it would not be looked through the next time.
        self.since = Since::Others;
        self.find(place, KeyHint::Plain, text);
    }

    fn span_end(&mut self, head: &SpanHead<'_>) {
        if !head.trace_state.is_empty() {
            self.find("trace state", KeyHint::Plain, head.trace_state);
        }
        self.settle_name(head.name);
        for link in self.links.drain(..).filter(|link| link.trace_id != head.trace_id) {
            self.to.linked(link.trace_id, link.span_id);
        }
        let over = self.over.iter().fold(self.room.over, |sum, over| sum.saturating_add(*over));
        let (maker, name, fields) = (&self.maker, &self.name, &self.fields);
        self.to.record(&Record { head, maker, name, fields, over });
    }

    fn span_abort(&mut self) {
        self.fields.clear();
    }

    fn reject(&mut self, at: Position, reason: &str) {
        self.to.reject(at, reason);
    }
}

impl<R: Records> Intake<'_, R> {
    /// Looks through a value that is not kept.
    fn look(&mut self, key: &str, value: Value<'_>) {
        let hint = self.meaning(key).hint;
        match (form(value), value) {
            (Some(Form::Text(text)), _) => _ = self.find(key, hint, text),
            (None, Value::Bytes(bytes)) => _ = self.find(key, hint, &String::from_utf8_lossy(bytes)),
            (Some(form), _) if hint.concerns_numbers() => {
                let mut number = std::mem::take(&mut self.number);
                self.find(key, hint, written(form, &mut number));
                self.number = number;
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
