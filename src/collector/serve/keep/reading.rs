//! From the bytes of a delivery to records, with who sent them written in.

use std::hash::BuildHasher as _;

use hopseal_correlate::finding::FindingId;
use hopseal_correlate::intake::{Intake, Records};
use hopseal_correlate::record::packed::Packer;
use hopseal_correlate::record::{Record, Speaker, spoken_by};
use hopseal_correlate::sink::{Link, Position, Sink, SpanHead, SpanId, TraceId, Value};
use hopseal_formats::otlp::Framing;
use hopseal_formats::{Limits, otlp, zipkin};

use super::own::{self, OwnKey};
use crate::hex;
use crate::serve::delivery::{Delivery, Encoding, Sender, SenderId};
use crate::serve::ids::Secret;

/// Which traces are whose. Ids are the senders' choice: hashed with a secret, so that nobody can load one shard alone.
#[derive(Debug, Clone)]
pub(crate) struct Share {
    secret: Secret,
    shards: usize,
    own: usize,
}

impl Share {
    /// Every share of `shards`, in order.
    pub(crate) fn all(shards: usize) -> Vec<Self> {
        let secret = Secret::default();
        (0..shards).map(|own| Self { secret: secret.clone(), shards, own }).collect()
    }

    /// The shard that a trace belongs to.
    pub(crate) fn of(&self, trace_id: TraceId) -> usize {
        match self.shards {
            0 | 1 => 0,
            shards => (self.secret.hash_one(trace_id) % shards as u64) as usize,
        }
    }

    /// Whether a trace is of this shard.
    pub(crate) fn is_own(&self, trace_id: TraceId) -> bool {
        self.shards <= 1 || self.of(trace_id) == self.own
    }

    /// Which shard this is.
    pub(crate) const fn own(&self) -> usize {
        self.own
    }
}

/// A span of one trace links to one of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LinkAway {
    pub(crate) from: TraceId,
    pub(crate) to: TraceId,
    pub(crate) span_id: SpanId,
}

/// Records made and not yet handed on.
#[derive(Debug)]
pub(crate) struct Stage {
    share: Share,
    pub(crate) records: Vec<u8>,
    /// Has noted those records; there where they go into a journal.
    pub(crate) packer: Option<Packer>,
    pub(crate) links: Vec<LinkAway>,
    /// Links of the span whose record comes next.
    next: Vec<(TraceId, SpanId)>,
    speaker: Speaker,
    sender: String,
    spans: u64,
    refused: Refusals,
}

/// What could not be read.
#[derive(Debug, Default)]
struct Refusals {
    count: u64,
    first: Option<String>,
}

impl Stage {
    /// `is_kept`: whether records go into a journal.
    pub(crate) fn new(share: Share, is_kept: bool) -> Self {
        Self {
            share,
            records: Vec::new(),
            packer: is_kept.then(Packer::default),
            links: Vec::new(),
            next: Vec::new(),
            speaker: Speaker::Nobody,
            sender: String::new(),
            spans: 0,
            refused: Refusals { count: 0, first: None },
        }
    }
}

/// How far a stage was filled.
#[derive(Debug, Clone, Copy)]
struct Mark {
    records: usize,
    links: usize,
    noted: usize,
}

impl Stage {
    fn mark(&self) -> Mark {
        let noted = self.packer.as_ref().map_or(0, Packer::mark);
        Mark { records: self.records.len(), links: self.links.len(), noted }
    }

    /// Takes back what was made since.
    fn roll_back(&mut self, mark: Mark) {
        self.records.truncate(mark.records);
        self.links.truncate(mark.links);
        if let Some(packer) = &mut self.packer {
            packer.roll_back(mark.noted);
        }
        self.spans = 0;
    }
}

impl Records for Stage {
    fn record(&mut self, record: &Record<'_>) {
        let trace_id = record.trace_id();
        if !self.share.is_own(trace_id) {
            self.next.clear();
            return;
        }
        let start = self.records.len();
        record.put(&mut self.records);
        if let Some(packer) = &mut self.packer {
            packer.note(record);
        }
        if self.speaker != Speaker::Nobody {
            spoken_by(&mut self.records, start, self.speaker, &self.sender);
        }
        let links = self.next.drain(..);
        self.links.extend(links.map(|(to, span_id)| LinkAway { from: trace_id, to, span_id }));
        self.spans += 1;
    }

    fn linked(&mut self, trace_id: TraceId, span_id: SpanId) {
        self.next.push((trace_id, span_id));
    }

    fn reject(&mut self, at: Position, reason: &str) {
        self.refused.count += 1;
        self.refused.first.get_or_insert_with(|| format!("{at}: {reason}"));
    }
}

/// What was read of one delivery.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Read {
    /// Spans of this shard.
    pub(crate) spans: u64,
    /// Spans of any shard that could not be read.
    pub(crate) rejected: u64,
    /// Why, of the first thing refused: a span, or a part of one that was taken without it.
    pub(crate) reason: Option<String>,
    /// Whether it is not what its encoding says, so that nobody knows how many spans it holds. Nothing of it is in the stage.
    pub(crate) malformed: bool,
}

/// Reads a delivery; its records are appended to the intake's stage.
/// Spans of our own, known by `own`, are left out.
pub(crate) fn read(delivery: &Delivery, own: &OwnKey, intake: &mut Intake<'_, Stage>) -> Read {
    let sender = match &delivery.sender {
        Sender::Unauthenticated => None,
        Sender::Authenticated(sender) => Some(&**sender),
    };
    let stage = intake.get_mut();
    let mark = stage.mark();
    (stage.spans, stage.refused, stage.speaker) = (0, Refusals::default(), Speaker::Nobody);
    if let Some(sender) = sender {
        stage.sender.clone_from(&sender.name);
    }
    fetch(&delivery.body);
    let recalls = delivery.encoding == Encoding::OtlpProtobuf;
    let mut gate = Gate {
        intake,
        sender,
        recalls,
        own,
        may_be_own: false,
        finding: None,
        in_span: false,
        began: 0,
        aborted: 0,
        in_spans: 0,
    };
    let start = Position::Byte(0);
    let (mut framing, mut failed) = (Framing::Whole, None);
    match delivery.encoding {
        Encoding::OtlpProtobuf => framing = otlp::protobuf::message(&delivery.body, start, &mut gate),
        Encoding::OtlpJson => framing = otlp::json::message(&delivery.body, start, &mut gate),
        Encoding::ZipkinJson => {
            let read = hopseal_formats::read(&*delivery.body, &Limits::default(), &mut gate, &mut |_| {});
            failed = read.err().map(|error| error.to_string());
        }
        Encoding::ZipkinProtobuf => zipkin::v2::protobuf::message(&delivery.body, start, &mut gate),
    }
    let Gate { began, aborted, in_spans, .. } = gate;
    let stage = intake.get_mut();
    let refused = std::mem::take(&mut stage.refused);
    if let Framing::Broken { at, reason } = framing {
        stage.roll_back(mark);
        return Read { spans: 0, rejected: 0, reason: Some(format!("{at}: {reason}")), malformed: true };
    }
    // What was refused inside a span that was taken did not cost that span. Zipkin's are refused before they begin; of OTLP whatever
    // else is refused is a part of what was taken.
    let outside = refused.count.saturating_sub(in_spans);
    let is_zipkin = matches!(delivery.encoding, Encoding::ZipkinJson | Encoding::ZipkinProtobuf);
    Read {
        spans: stage.spans,
        rejected: if is_zipkin { aborted.max(outside) } else { aborted },
        malformed: is_zipkin && began == 0 && (outside > 0 || failed.is_some()) && !delivery.body.is_empty(),
        reason: refused.first.or(failed),
    }
}

/// Bytes that a core has in its second cache, at least, on what servers are made of.
const CACHED: usize = 512 << 10;
/// Bytes of a line of a cache.
const LINE: usize = 64;

/// Has a body that came a while ago near at hand. To read it in order once is quick, since what comes next is fetched meanwhile; the
/// parser first goes from span to span, and would wait for each.
fn fetch(body: &[u8]) {
    let start = body.get(..CACHED).unwrap_or(body);
    std::hint::black_box(start.iter().step_by(LINE).fold(0, |sum, byte| sum ^ byte));
}

/// Stands before the intake: counts, and says who speaks for which resource.
struct Gate<'g, 'd> {
    intake: &'g mut Intake<'d, Stage>,
    sender: Option<&'g SenderId>,
    /// Whether encoded attributes may be recalled: only those of one format are remembered.
    recalls: bool,
    own: &'g OwnKey,
    /// Whether the resource is called as we are.
    may_be_own: bool,
    /// The finding that the span says it tells of.
    finding: Option<FindingId>,
    in_span: bool,
    began: u64,
    aborted: u64,
    /// Refusals inside spans.
    in_spans: u64,
}

impl Gate<'_, '_> {
    fn speaks_for(&mut self, service: &str) {
        let Some(sender) = self.sender else { return };
        let may = sender.may_speak_for.iter().any(|pattern| pattern.matches(service));
        self.intake.get_mut().speaker = if may { Speaker::Own } else { Speaker::Foreign };
    }
}

impl Sink for Gate<'_, '_> {
    fn resource(&mut self) {
        self.may_be_own = false;
        self.speaks_for("");
        self.intake.resource();
    }

    fn resource_attribute(&mut self, key: &str, value: Value<'_>) {
        if let ("service.name", Value::Str(service)) = (key, value) {
            self.speaks_for(service);
            self.may_be_own = service == own::SERVICE;
        }
        self.intake.resource_attribute(key, value);
    }

    fn scope(&mut self) {
        self.intake.scope();
    }

    fn scope_attribute(&mut self, key: &str, value: Value<'_>) {
        self.intake.scope_attribute(key, value);
    }

    #[inline]
    fn span_start(&mut self) {
        self.in_span = true;
        self.finding = None;
        self.began += 1;
        self.intake.span_start();
    }

    #[inline]
    fn attribute(&mut self, key: &str, value: Value<'_>) {
        if self.may_be_own
            && let (own::FINDING, Value::Str(id)) = (key, value)
        {
            self.finding = hex::id(id).map(FindingId);
        }
        self.intake.attribute(key, value);
    }

    #[inline]
    fn recall(&mut self, encoded: &[u8]) -> bool {
        self.recalls && !self.may_be_own && self.intake.recall(encoded)
    }

    #[inline]
    fn remember(&mut self, encoded: &[u8]) {
        if self.recalls && !self.may_be_own {
            self.intake.remember(encoded);
        }
    }

    // A name is the same bytes in every format, and nobody here looks at it.
    #[inline]
    fn recall_name(&mut self, name: &[u8]) -> bool {
        self.intake.recall_name(name)
    }

    fn names_secret(&mut self, key: &str) -> bool {
        self.intake.names_secret(key)
    }

    fn text(&mut self, place: &str, text: &str) {
        self.intake.text(place, text);
    }

    fn event(&mut self, name: &str, time: u64) {
        self.intake.event(name, time);
    }

    fn event_attribute(&mut self, key: &str, value: Value<'_>) {
        self.intake.event_attribute(key, value);
    }

    fn link(&mut self, link: Link) {
        self.intake.link(link);
    }

    fn link_attribute(&mut self, key: &str, value: Value<'_>) {
        self.intake.link_attribute(key, value);
    }

    #[inline]
    fn span_end(&mut self, head: &SpanHead<'_>) {
        self.in_span = false;
        if self.finding.is_some_and(|finding| self.own.made(finding, head.span_id)) {
            return self.intake.span_abort();
        }
        self.intake.span_end(head);
    }

    fn span_abort(&mut self) {
        self.in_span = false;
        self.aborted += 1;
        self.intake.span_abort();
    }

    fn reject(&mut self, at: Position, reason: &str) {
        self.in_spans += u64::from(self.in_span);
        self.intake.reject(at, reason);
    }
}
