//! What a first pass over all traces gathers, for the second to judge each of them by.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use crate::catalogue::{Capability, Catalogue, Lesson};
use crate::field::Field;
use crate::finding::Who;
use crate::hop::{HopKind, HopLink, Hops};
use crate::record::{Service, Span};
use crate::rule::{Rule, blind_hop, named};
use crate::sink::{SpanId, TraceId};
use crate::trace::Trace;
use crate::validation::{self, Validating};
use crate::who::Principal;

/// What the first pass found: which services show identities, and who sent the messages that other traces link to.
///
/// The same for any order of traces. Link targets have to be known before the traces that hold them are observed;
/// [`Records::linked`](crate::intake::Records::linked) names them while files are read.
#[derive(Debug, Clone, Default)]
pub struct Survey {
    /// Which operations ever show an identity.
    pub catalogue: Catalogue,
    /// Who was acting at spans linked to from other traces.
    pub linked: Linked,
    /// Which services were seen to have credentials validated.
    pub validating: Validating,
}

impl Survey {
    /// Counts one trace.
    pub fn observe(&mut self, trace: &Trace<'_>, hops: &Hops<'_>) {
        for hop in hops.all() {
            match hop.kind {
                HopKind::Origin => self.catalogue.sends(hop.service.name),
                _ => self.catalogue.observe(hop),
            }
        }
        self.linked.observe(trace, hops);
        self.validating.observe(trace, hops);
    }
}

/// Whether the verdict on a trace needs what the survey finds in others: whether some service ever shows an
/// identity that is not shown here, who sent a message from another trace, whether a called service sends spans at
/// all. `known` is what was found so far, where nothing else will take its place: what was seen once has been seen.
#[must_use]
pub fn rests_on_others(trace: &Trace<'_>, hops: &Hops<'_>, known: Option<&Survey>) -> bool {
    let links_away = |span: &Span<'_>| span.has(Field::Link) && span.links().any(|(id, _)| id != trace.id);
    hops.iter().any(|hop| !hop.identity.assurance.is_identified())
        || trace.spans().iter().any(links_away)
        || blind_hop::rests_on_others(trace, known.map(|known| &known.catalogue))
}

/// What a catalogue does not say so far and would change the verdict on a trace. Those who judge traces before they have seen all
/// of them judge such a trace again once one of these is learned.
pub fn unlearned<'t>(
    trace: &'t Trace<'t>,
    hops: &'t Hops<'t>,
    known: &'t Catalogue,
) -> impl Iterator<Item = Lesson<'t>> {
    let unidentified = hops.iter().filter(|hop| !hop.identity.assurance.is_identified());
    let lessons = unidentified.filter_map(|hop| match known.capability(hop.service, &hop.operation) {
        Capability::Operation => None,
        Capability::Service => Some(Lesson::Operation(hop.service, &hop.operation)),
        Capability::Never => Some(Lesson::Service(hop.service)),
    });
    lessons.chain(blind_hop::unseen(trace, known).map(Lesson::Sends))
}

/// Services that name a user in a trace with nothing behind it, and were not seen to ask anybody so far, not in this trace either:
/// `known` has observed it. Should another trace show that one of them does ask, [`WHEN_ASKING`] has more to say of this one.
pub fn unasked<'t>(hops: &'t Hops<'t>, known: &'t Validating) -> impl Iterator<Item = Service<'t>> {
    let unshown = hops.iter().filter(|hop| validation::is_only_named(hop));
    unshown.map(|hop| hop.service).filter(|service| !known.has(*service))
}

/// The one rule that speaks of a trace only where its services were seen to ask, in whichever trace.
pub const WHEN_ASKING: Rule = Rule::NoValidationEdge;

/// Spans that some other trace links to, at most [`Linked::MAX`] of them: those with the lowest ids.
#[derive(Debug, Clone, Default)]
pub struct Linked {
    spans: BTreeMap<(TraceId, SpanId), Option<Sent>>,
    /// Bytes of texts that senders made up.
    bytes: usize,
}

/// What was acting where a linked span was made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sent {
    service: String,
    at: u64,
    principal: Option<Who>,
    expires_at: Option<u64>,
    whole: bool,
    names_one: bool,
}

impl Sent {
    /// Bytes of its texts.
    fn bytes(&self) -> usize {
        let of_who = |who: &Who| {
            let texts = [Some(&who.id), who.issuer.as_ref(), who.tenant.as_ref()];
            let texts = texts.into_iter().flatten().chain(who.actors.iter().map(|actor| &actor.id));
            texts.map(String::len).sum()
        };
        self.service.len() + self.principal.as_ref().map_or(0, of_who)
    }

    /// Whether the spans of whoever sent it name one user and no other.
    #[must_use]
    pub const fn names_one(&self) -> bool {
        self.names_one
    }
}

/// Who made a span that a consumer links to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sender<'a> {
    /// The sending service.
    pub service: &'a str,
    /// When the span began, nanoseconds since the Unix epoch; 0 when not known.
    pub at: u64,
    /// When its credential ends, in seconds since the Unix epoch.
    pub expires_at: Option<u64>,
    /// Who was acting there.
    pub principal: Option<Known<'a>>,
    /// Whether its trace lacks nothing that is known of.
    pub whole: bool,
}

/// A principal of this trace, or one kept from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known<'a> {
    /// Of this trace.
    Here(&'a Principal<'a>),
    /// Of another.
    Elsewhere(&'a Who),
}

impl<'a> Known<'a> {
    /// What tells two principals apart: issuer, tenant and id.
    #[must_use]
    pub fn key(&self) -> (Option<&'a str>, Option<&'a str>, &'a str) {
        match self {
            Self::Here(principal) => (principal.issuer, principal.tenant, principal.id),
            Self::Elsewhere(who) => (who.issuer.as_deref(), who.tenant.as_deref(), &who.id),
        }
    }

    /// Whether it is a user or an app acting for one.
    #[must_use]
    pub fn is_user(&self) -> bool {
        match self {
            Self::Here(principal) => principal.is_user(),
            Self::Elsewhere(who) => who.kind == hopseal_identity::Kind::User,
        }
    }

    /// As findings and hops show it.
    #[must_use]
    pub fn to_who(&self) -> Who {
        match self {
            Self::Here(principal) => Who::from(*principal),
            Self::Elsewhere(who) => (*who).clone(),
        }
    }
}

impl Linked {
    /// Link targets kept.
    pub const MAX: usize = 1 << 20;

    /// A span of another trace links to this one. Says whether it is the first that does.
    pub fn expect(&mut self, trace_id: TraceId, span_id: SpanId) -> bool {
        let before = self.spans.len();
        self.spans.entry((trace_id, span_id)).or_default();
        let is_new = self.spans.len() > before;
        if self.spans.len() > Self::MAX {
            let last = self.spans.pop_last();
            self.bytes -= last.and_then(|(_, sent)| sent).map_or(0, |sent| sent.bytes());
        }
        is_new
    }

    /// Whether no trace links to another.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Whether there were more link targets than are kept.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.spans.len() >= Self::MAX
    }

    /// Bytes of texts in what is known: who sends them chooses how long they are.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// What is known of a linked span.
    #[must_use]
    pub fn sent(&self, trace_id: TraceId, span_id: SpanId) -> Option<&Sent> {
        self.spans.get(&(trace_id, span_id))?.as_ref()
    }

    /// Takes over what was found out elsewhere of a linked span.
    pub fn learn(&mut self, trace_id: TraceId, span_id: SpanId, sent: Sent) {
        self.expect(trace_id, span_id);
        if let Some(known) = self.spans.get_mut(&(trace_id, span_id)) {
            put(sent, known, &mut self.bytes);
        }
    }

    /// Lets go of a linked span.
    pub fn forget(&mut self, trace_id: TraceId, span_id: SpanId) {
        let known = self.spans.remove(&(trace_id, span_id)).flatten();
        self.bytes -= known.map_or(0, |sent| sent.bytes());
    }

    /// Takes note of the linked spans that a trace holds. Returns those of which that is news.
    pub fn observe(&mut self, trace: &Trace<'_>, hops: &Hops<'_>) -> Vec<SpanId> {
        let mut news = Vec::new();
        if self.spans.is_empty() {
            return news;
        }
        for ((_, span_id), sent) in self.spans.range_mut(of_trace(trace.id)) {
            let Some(ix) = trace.find(*span_id) else { continue };
            let Some(hop) = hops.of_span(ix).map(|hop| hops.get(hop)) else { continue };
            // A piece that came when the rest was gone knows less than the whole.
            if sent.as_ref().is_some_and(|known| known.whole) && !trace.grade.is_complete() {
                continue;
            }
            let principal = hop.identity.principal.as_ref();
            let now = Sent {
                service: hop.service.name.to_owned(),
                at: trace.span(ix).start,
                principal: principal.map(Who::from),
                expires_at: principal.and_then(|principal| principal.expires_at),
                whole: trace.grade.is_complete(),
                names_one: named::is_one(hops.frame(hop.ix).iter().map(|ix| trace.span(*ix))),
            };
            if sent.as_ref() != Some(&now) {
                news.push(*span_id);
                put(now, sent, &mut self.bytes);
            }
        }
        news
    }

    /// Who made the span that a hop links to; `None` when that span was not seen.
    #[must_use]
    pub fn sender<'a>(&'a self, trace: &Trace<'_>, hops: &'a Hops<'a>, link: &HopLink) -> Option<Sender<'a>> {
        if let Some(hop) = link.hop.map(|ix| hops.get(ix)) {
            let principal = hop.identity.principal.as_ref();
            return Some(Sender {
                service: hop.service.name,
                at: trace.find(link.span_id).map_or(0, |ix| trace.span(ix).start),
                expires_at: principal.and_then(|principal| principal.expires_at),
                principal: principal.map(Known::Here),
                whole: trace.grade.is_complete(),
            });
        }
        let sent = self.spans.get(&(link.trace_id, link.span_id))?.as_ref()?;
        Some(Sender {
            service: &sent.service,
            at: sent.at,
            expires_at: sent.expires_at,
            principal: sent.principal.as_ref().map(Known::Elsewhere),
            whole: sent.whole,
        })
    }
}

/// Puts what is known of a span in place of what was, and counts its bytes.
fn put(sent: Sent, known: &mut Option<Sent>, bytes: &mut usize) {
    *bytes += sent.bytes();
    let before = known.replace(sent);
    *bytes -= before.map_or(0, |before| before.bytes());
}

/// Every span of a trace.
const fn of_trace(id: TraceId) -> RangeInclusive<(TraceId, SpanId)> {
    (id, SpanId([0; 8]))..=(id, SpanId([0xff; 8]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Policy;
    use crate::testing::{each, span_id, trace_id, with_hops};

    #[test]
    fn what_rests_on_other_traces() {
        const NAMED: &str = "hopseal.sub=a hopseal.assurance=verified";
        let mut seen = Survey::default();
        seen.catalogue.sends("vault");
        for (name, trace, at_first, later) in [
            ("proven", format!("gw SERVER GET / {NAMED}"), false, false),
            ("nobody", "gw SERVER GET /".to_owned(), true, true),
            ("a message of another trace", format!("gw CONSUMER take {NAMED} @link=9/9"), true, true),
            (
                "a link inside the hop",
                format!("gw SERVER GET / {NAMED}\n  gw INTERNAL work @link=9/9"),
                true,
                true,
            ),
            ("a link within", format!("gw CONSUMER take {NAMED} @link=1"), false, false),
            (
                "a call that nobody answers",
                format!("gw SERVER GET / {NAMED}\n  gw CLIENT GET http.method=GET server.address=vault"),
                true,
                false,
            ),
            (
                "a call to a third party",
                format!(
                    "gw SERVER GET / {NAMED}\n  gw CLIENT GET http.method=GET server.address=a.example.com"
                ),
                false,
                false,
            ),
        ] {
            with_hops(&trace, |trace, hops| {
                assert_eq!(rests_on_others(trace, hops, None), at_first, "{name}");
                assert_eq!(rests_on_others(trace, hops, Some(&seen)), later, "{name}, later");
            });
        }
    }

    #[test]
    fn what_is_not_learned_yet() {
        let mut known = Catalogue::default();
        let shown = crate::catalogue::Shown { hops: 1, identified: 1 };
        let service = |name| Service { name, ..Service::default() };
        known.add(service("gw"), "GET /", shown);
        let post = Lesson::Operation(service("gw"), "POST /");
        for (trace, expected) in [
            ("gw SERVER GET /", &[][..]),
            ("gw SERVER POST /", &[post]),
            ("gw SERVER POST / user.id=al", &[]),
            ("new SERVER GET /", &[Lesson::Service(service("new"))]),
            (
                "gw SERVER GET /\n  gw CLIENT GET http.method=GET server.address=vault.shop.svc",
                &[Lesson::Sends("vault.shop.svc"), Lesson::Sends("vault")],
            ),
        ] {
            with_hops(trace, |trace, hops| {
                assert_eq!(unlearned(trace, hops, &known).collect::<Vec<_>>(), expected);
            });
        }
    }

    #[test]
    fn names_that_nobody_was_asked_about() {
        const ASKED: &str =
            "gw SERVER GET / user.id=al\n  gw CLIENT POST url.full=https://idp.example.org/introspect";
        let (nobody, mut seen) = (Validating::default(), Validating::default());
        each(ASKED, &Policy::default(), |_, cx| seen.observe(cx.trace, cx.hops));
        for (trace, known, expected) in [
            ("gw SERVER GET / user.id=al", &nobody, &["gw"][..]),
            ("gw SERVER GET / user.id=al", &seen, &[]),
            ("gw SERVER GET / user.id=al\n  gw CLIENT GET\n    b SERVER GET / user.id=al", &nobody, &["gw"]),
            ("gw SERVER GET / hopseal.sub=a hopseal.assurance=verified", &nobody, &[]),
            ("gw SERVER GET /", &nobody, &[]),
            (ASKED, &nobody, &[]),
        ] {
            with_hops(trace, |trace, hops| {
                let mut known = known.clone();
                known.observe(trace, hops);
                let names: Vec<&str> = unasked(hops, &known).map(|service| service.name).collect();
                assert_eq!(names, expected);
            });
        }
    }

    #[test]
    fn a_linked_span_of_another_trace_names_its_sender() {
        let text = "\
shop PRODUCER publish orders user.id=alice @trace=7
shop PRODUCER publish orders user.id=bob @trace=7
billing CONSUMER process orders @link=7/1 @link=7/9 @trace=3";
        let mut seen = 0;
        each(text, &Policy::default(), |_, cx| {
            let Some(hop) = cx.hops.iter().next().filter(|_| cx.trace.id == trace_id(3)) else { return };
            seen += 1;
            let senders: Vec<_> = hop.links.iter().map(|link| cx.sender(link)).collect();
            let [Some(sender), None] = senders[..] else { panic!("{senders:?}") };
            assert_eq!(sender.service, "shop");
            assert_eq!(sender.principal.expect("somebody").key(), (None, None, "alice"));
        });
        assert_eq!(seen, 1);
    }

    #[test]
    fn what_is_known_of_linked_spans_is_told_by_trace() {
        let mut linked = Linked::default();
        let spans = [(1, 8), (2, 0), (2, 7), (2, u64::MAX), (3, 1)];
        for (trace, span) in spans {
            assert!(linked.expect(trace_id(trace), span_id(span)));
            assert!(!linked.expect(trace_id(trace), span_id(span)));
        }
        let known = |linked: &Linked, span| linked.sent(trace_id(2), span_id(span)).is_some();
        assert!(!known(&linked, 0));
        for (trace, span) in spans.into_iter().filter(|(_, span)| *span != 7) {
            let sent = |service: &str| Sent { service: service.to_owned(), ..Sent::default() };
            linked.learn(trace_id(trace), span_id(span), sent("a long name"));
            linked.learn(trace_id(trace), span_id(span), sent("name"));
        }
        assert_eq!([0, 7, u64::MAX].map(|span| known(&linked, span)), [true, false, true]);
        assert_eq!(linked.bytes(), 4 * "name".len());
        linked.forget(trace_id(2), span_id(0));
        assert_eq!(linked.bytes(), 3 * "name".len());
        assert!(linked.expect(trace_id(2), span_id(0)));
    }
}
