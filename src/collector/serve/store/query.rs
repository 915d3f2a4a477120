//! What can be asked, and what is answered.

use hopseal_correlate::finding::{FindingId, OwnedActor, Severity, Who};
use hopseal_correlate::hop::{HopKind, Outcome};
use hopseal_correlate::rule::Rule;
use hopseal_correlate::sink::{SpanId, TraceId};
use hopseal_identity::{Actor, Assurance, Basis, Kind};

use super::block::{Block, Hop, Judged, Text, Texts};

/// From a moment up to, and without, another: nanoseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Interval {
    pub(crate) from: u64,
    pub(crate) to: u64,
}

impl Interval {
    /// All of time.
    pub(crate) const ALWAYS: Self = Self { from: 0, to: u64::MAX };

    /// Whether all of time lies in it.
    pub(crate) const fn is_always(self) -> bool {
        self.from == 0 && self.to == u64::MAX
    }

    /// Whether a moment lies in it.
    pub(crate) const fn has(self, at: u64) -> bool {
        self.from <= at && at < self.to
    }
}

impl Default for Interval {
    fn default() -> Self {
        Self::ALWAYS
    }
}

/// A place in the order of answers, newest first: the last one that was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cursor {
    pub(crate) at: u64,
    pub(crate) id: [u8; 16],
    pub(crate) place: u32,
    /// Tells hops apart that came when the rest of their trace was gone: those have no place.
    pub(crate) span: [u8; 8],
}

/// Which hops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HopQuery {
    /// Ids of one principal: as it stands on spans, in any of its spellings. Empty: any principal, or none.
    pub(crate) principals: Vec<String>,
    /// Its issuer.
    pub(crate) issuer: Option<String>,
    /// The service called.
    pub(crate) service: Option<String>,
    /// The service that called.
    pub(crate) caller: Option<String>,
    /// The operation called.
    pub(crate) operation: Option<String>,
    /// How sure.
    pub(crate) assurance: Option<Assurance>,
    /// Why that is believed.
    pub(crate) basis: Option<Basis>,
    /// The principal's tenant.
    pub(crate) tenant: Option<String>,
    /// A proxy passed on the way.
    pub(crate) via: Option<String>,
    /// When the hop began.
    pub(crate) interval: Interval,
    /// How long it took, in nanoseconds.
    pub(crate) lasting: Interval,
    /// What was given already.
    pub(crate) after: Option<Cursor>,
    /// Most hops in the answer.
    pub(crate) limit: usize,
}

impl HopQuery {
    /// Any hop, at most `limit` of them.
    pub(crate) const fn any(limit: usize) -> Self {
        Self {
            principals: Vec::new(),
            issuer: None,
            service: None,
            caller: None,
            operation: None,
            assurance: None,
            basis: None,
            tenant: None,
            via: None,
            interval: Interval::ALWAYS,
            lasting: Interval::ALWAYS,
            after: None,
            limit,
        }
    }

    /// The question in numbers of those texts; `None` where nothing with them can match.
    pub(super) fn among<'q>(&'q self, texts: &Texts) -> Option<Wanted<'q>> {
        let number = |text: &Option<String>| match text {
            Some(text) => texts.find(text).map(Some),
            None => Some(None),
        };
        let principals: Vec<Text> = self.principals.iter().filter_map(|id| texts.find(id)).collect();
        if principals.is_empty() && !self.principals.is_empty() {
            return None;
        }
        let via: Option<Vec<Text>> = self.via.as_deref().map(|via| {
            let numbered = texts.iter().zip(0..);
            numbered.filter(|(text, _)| passes(text, via)).map(|(_, number)| Text(number)).collect()
        });
        if via.as_ref().is_some_and(Vec::is_empty) {
            return None;
        }
        Some(Wanted {
            query: self,
            principals,
            issuer: number(&self.issuer)?,
            service: number(&self.service)?,
            caller: number(&self.caller)?,
            operation: number(&self.operation)?,
            tenant: number(&self.tenant)?,
            via,
        })
    }

    /// Adds the matching hops of a block to `found`; `current` says whether a judged trace is the last version of it.
    pub(super) fn look(&self, block: &Block, current: impl Fn(&Judged) -> bool, found: &mut Vec<HopRecord>) {
        let Some(wanted) = self.among(&block.texts) else { return };
        // What is not newer than all that was found is not asked for; most of a block is not, and no text of it is copied.
        let oldest = found.iter().map(HopRecord::cursor).min().filter(|_| found.len() >= self.limit);
        let mut new: Vec<(Cursor, &Judged, &Hop, u32)> = Vec::new();
        for (judged, hops) in block.each() {
            for (hop, place) in hops.iter().zip(0..) {
                if oldest.is_some_and(|oldest| hop.start < oldest.at) || !wanted.is(judged, hop, place) {
                    continue;
                }
                let at = cursor(judged, hop, place);
                if oldest.is_none_or(|oldest| at > oldest) && current(judged) {
                    new.push((at, judged, hop, place));
                }
            }
        }
        new.sort_unstable_by_key(|(at, ..)| std::cmp::Reverse(*at));
        new.dedup_by_key(|(at, ..)| *at);
        new.truncate(self.limit);
        let texts = &block.texts;
        found.extend(new.into_iter().map(|(_, judged, hop, place)| HopRecord::of(texts, judged, hop, place)));
        top(found, self.limit);
    }
}

/// A question in numbers.
#[derive(Debug)]
pub(super) struct Wanted<'q> {
    query: &'q HopQuery,
    principals: Vec<Text>,
    issuer: Option<Text>,
    service: Option<Text>,
    caller: Option<Text>,
    operation: Option<Text>,
    tenant: Option<Text>,
    /// Texts of ways that pass the proxy.
    via: Option<Vec<Text>>,
}

/// Whether that proxy is among these, one a line.
pub(super) fn passes(proxies: &str, via: &str) -> bool {
    proxies.lines().any(|proxy| proxy == via)
}

impl Wanted<'_> {
    /// Whether a hop is asked for.
    pub(super) fn is(&self, judged: &Judged, hop: &Hop, place: u32) -> bool {
        let is = |wanted: Option<Text>, text| wanted.is_none_or(|wanted| wanted == text);
        let HopQuery { interval, lasting, assurance, basis, after, .. } = self.query;
        interval.has(hop.start)
            && lasting.has(hop.end.saturating_sub(hop.start))
            && (self.principals.is_empty() || self.principals.contains(&hop.texts.principal))
            && is(self.issuer, hop.texts.issuer)
            && is(self.service, hop.texts.service)
            && is(self.caller, hop.texts.caller)
            && is(self.operation, hop.texts.operation)
            && is(self.tenant, hop.texts.tenant)
            && self.via.as_ref().is_none_or(|via| via.contains(&hop.texts.via))
            && basis.is_none_or(|basis| basis == hop.basis)
            && assurance.is_none_or(|assurance| assurance == hop.assurance)
            && after.is_none_or(|after| cursor(judged, hop, place) < after)
    }
}

/// The newest first, at most `limit`, each once.
pub(crate) fn top(found: &mut Vec<HopRecord>, limit: usize) {
    found.sort_by_key(|hop| std::cmp::Reverse(hop.cursor()));
    found.dedup_by_key(|hop| hop.cursor());
    found.truncate(limit);
}

pub(super) fn cursor(judged: &Judged, hop: &Hop, place: u32) -> Cursor {
    let (place, _) = places(judged, hop, place);
    Cursor { at: hop.start, id: judged.trace_id.0, place, span: hop.span_id.0 }
}

/// The place of a hop, and that of the calling one. What came when the rest of its trace was gone has none that lasts: it is
/// numbered anew whenever it is put together with more of its kind.
const fn places(judged: &Judged, hop: &Hop, place: u32) -> (u32, Option<u32>) {
    if judged.version == 0 { (0, None) } else { (place, hop.caller) }
}

/// One hop, with its texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HopRecord {
    pub(crate) trace_id: TraceId,
    /// Its place among the hops of its trace; 0 for one that came when the rest was gone.
    pub(crate) place: u32,
    pub(crate) span_id: SpanId,
    pub(crate) parent_span_id: Option<SpanId>,
    /// Place of the calling hop.
    pub(crate) caller_place: Option<u32>,
    pub(crate) caller: Option<String>,
    pub(crate) service: String,
    pub(crate) namespace: Option<String>,
    pub(crate) environment: Option<String>,
    pub(crate) operation: String,
    pub(crate) kind: HopKind,
    pub(crate) via: Vec<String>,
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) assurance: Assurance,
    pub(crate) basis: Basis,
    pub(crate) method: Option<String>,
    pub(crate) outcome: Outcome,
    pub(crate) uncovered: bool,
    pub(crate) principal: Option<Who>,
}

impl HopRecord {
    /// A hop, with its texts.
    pub(crate) fn of(all: &Texts, judged: &Judged, hop: &Hop, place: u32) -> Self {
        let texts = &hop.texts;
        let text = |text| all.get(text).to_owned();
        let named = |text| Some(all.get(text)).filter(|text| !text.is_empty()).map(str::to_owned);
        let (place, caller_place) = places(judged, hop, place);
        Self {
            trace_id: judged.trace_id,
            place,
            span_id: hop.span_id,
            parent_span_id: hop.parent,
            caller_place,
            caller: named(texts.caller),
            service: text(texts.service),
            namespace: named(texts.namespace),
            environment: named(texts.environment),
            operation: text(texts.operation),
            kind: hop.kind,
            via: all.get(texts.via).lines().map(str::to_owned).collect(),
            start: hop.start,
            end: hop.end,
            assurance: hop.assurance,
            basis: hop.basis,
            method: named(texts.method),
            outcome: hop.outcome,
            uncovered: hop.uncovered,
            principal: named(texts.principal).map(|id| Who {
                id,
                kind: hop.principal_kind,
                issuer: named(texts.issuer),
                tenant: named(texts.tenant),
                actors: actors_of(all.get(texts.actors)),
            }),
        }
    }

    /// Its place in the order of answers.
    pub(crate) const fn cursor(&self) -> Cursor {
        Cursor { at: self.start, id: self.trace_id.0, place: self.place, span: self.span_id.0 }
    }
}

/// Actors as `kind:id`, one a line.
pub(super) fn actors_of(lines: &str) -> Vec<OwnedActor> {
    let actor = |line| {
        let Actor { kind, id } = Actor::parse(line);
        OwnedActor { id: id.to_owned(), kind: kind.unwrap_or(Kind::Service) }
    };
    lines.lines().map(actor).collect()
}

/// One trace as it was judged last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TraceRecord {
    pub(crate) judged: Judged,
    /// Callers before callees.
    pub(crate) hops: Vec<HopRecord>,
    pub(crate) findings: Vec<FindingRecord>,
}

/// What a process has to know of a trace that an earlier one judged, to go on with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Remembered {
    /// How it was judged last.
    pub(crate) judged: Judged,
    /// The entry spans of its hops, those that came when the rest was gone after the others.
    pub(crate) spans: Vec<SpanId>,
    pub(crate) findings: Vec<FindingId>,
}

/// What became of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// It stands.
    Open,
    /// Somebody has seen it.
    Acknowledged,
    /// Somebody says that it is mended.
    Resolved,
    /// Later spans showed that it was none.
    Retracted,
    /// Somebody says that it is no fault.
    Suppressed,
}

impl State {
    /// Every state.
    pub(crate) const ALL: [Self; 5] =
        [Self::Open, Self::Acknowledged, Self::Resolved, Self::Retracted, Self::Suppressed];

    /// The word of the outputs.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Acknowledged => "acknowledged",
            Self::Resolved => "resolved",
            Self::Retracted => "retracted",
            Self::Suppressed => "suppressed",
        }
    }

    /// Reads the word back; `None` for any other.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

/// What somebody said of a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    /// What becomes of it.
    pub(crate) state: State,
    /// Why.
    pub(crate) note: String,
    /// When, nanoseconds since the Unix epoch.
    pub(crate) at: u64,
    /// Who, as they proved it; empty where nobody has to.
    pub(crate) who: String,
}

/// Which findings.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct FindingQuery {
    pub(crate) state: Option<State>,
    pub(crate) rule: Option<Rule>,
    pub(crate) severity: Option<Severity>,
    pub(crate) service: Option<String>,
    /// The service that called; empty for calls from outside.
    pub(crate) caller: Option<String>,
    pub(crate) trace_id: Option<TraceId>,
    /// Findings alike.
    pub(crate) group: Option<FindingId>,
    /// Ids of one principal that it is about, before the hop or at it, in any of its spellings. Empty: any, or none.
    pub(crate) principals: Vec<String>,
    /// When the hop began.
    pub(crate) interval: Interval,
    /// What was given already.
    pub(crate) after: Option<Cursor>,
    /// Most findings in the answer.
    pub(crate) limit: usize,
}

/// One finding and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FindingRecord {
    pub(crate) id: FindingId,
    pub(crate) rule: Rule,
    pub(crate) severity: Severity,
    pub(crate) service: String,
    pub(crate) trace_id: Option<TraceId>,
    /// When the hop began.
    pub(crate) at: u64,
    pub(crate) state: State,
    /// What was said when the state was set.
    pub(crate) note: String,
    /// When it was first raised.
    pub(crate) raised: u64,
    /// When its state was set last.
    pub(crate) changed: u64,
    /// The finding as the outputs write it: a JSON object.
    pub(crate) body: String,
}

impl FindingRecord {
    /// Its place in the order of answers.
    pub(crate) const fn cursor(&self) -> Cursor {
        Cursor { at: self.at, id: self.id.0, place: 0, span: [0; 8] }
    }
}

/// What became of a finding at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    /// Its number: one more than that of the change before.
    pub(crate) seq: u64,
    /// When it was kept.
    pub(crate) at: u64,
    /// What it became.
    pub(crate) state: State,
    /// The finding as it is now.
    pub(crate) finding: FindingRecord,
}

/// Changes that somebody was not told of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Changes {
    /// So many came before them, and are no longer known.
    pub(crate) missed: u64,
    /// In the order in which they were kept.
    pub(crate) changes: Vec<Change>,
    /// The number of the last that was looked at.
    pub(crate) up_to: u64,
}

/// Which edges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EdgeQuery {
    /// In which a minute has to begin.
    pub(crate) interval: Interval,
    /// The service called, or the one that called.
    pub(crate) service: Option<String>,
    /// Minutes of one step, each of which is counted on its own; none for all of the interval together.
    pub(crate) minutes: Option<u64>,
    /// What was given already.
    pub(crate) after: Option<EdgeCursor>,
    /// Most edges in the answer.
    pub(crate) limit: usize,
}

impl EdgeQuery {
    /// All of an interval together.
    pub(crate) const fn of(interval: Interval) -> Self {
        Self { interval, service: None, minutes: None, after: None, limit: usize::MAX }
    }
}

/// A place in the order of edges: by step, caller, service, assurance and basis.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct EdgeCursor {
    /// When the step begins; 0 where there are none.
    pub(crate) at: u64,
    pub(crate) caller: String,
    pub(crate) service: String,
    pub(crate) assurance: Assurance,
    pub(crate) basis: Basis,
}

/// Hops of one caller into one service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct EdgeRow {
    /// When its step begins, nanoseconds since the Unix epoch; 0 where there are none.
    pub(crate) at: u64,
    /// Empty for calls from outside.
    pub(crate) caller: String,
    pub(crate) service: String,
    pub(crate) assurance: Assurance,
    pub(crate) basis: Basis,
    pub(crate) hops: u64,
    /// Hops that failed or were turned away.
    pub(crate) failed: u64,
    /// Hops of services that never show an identity.
    pub(crate) uncovered: u64,
}

impl EdgeRow {
    /// Its place in the order of answers.
    pub(crate) fn cursor(&self) -> EdgeCursor {
        let Self { at, assurance, basis, .. } = *self;
        EdgeCursor { at, caller: self.caller.clone(), service: self.service.clone(), assurance, basis }
    }
}

/// Coverage of some minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct CoveragePoint {
    /// When they begin, nanoseconds since the Unix epoch.
    pub(crate) at: u64,
    pub(crate) hops: u64,
    pub(crate) identified: u64,
    pub(crate) proven: u64,
    pub(crate) uncovered: u64,
}

/// Findings of one severity and service that are open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OpenRow {
    pub(crate) severity: Severity,
    pub(crate) service: String,
    pub(crate) count: u64,
}
