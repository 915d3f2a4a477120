//! Works out the hops of a trace.
//!
//! Every step goes over the spans in an order that parents come before children, so that neither depth nor
//! cycles of the input matter.

use std::sync::OnceLock;

use hopseal_identity::Basis;

use super::index::Index;
use super::{Hop, HopIx, HopKind, HopLink, is_proxy, operation};
use crate::field::Field;
use crate::record::{Span, Speaker};
use crate::sink::SpanKind;
use crate::trace::{Parent, SpanIx, Trace};
use crate::who::{Identity, Judges, identity};

/// OTLP `Span.flags`: whether the next bit says anything.
const HAS_IS_REMOTE: u32 = 0x100;
/// OTLP `Span.flags`: the parent is in another process.
const IS_REMOTE: u32 = 0x200;

/// The hops of a trace, callers before callees.
#[derive(Debug)]
pub struct Hops<'t> {
    all: Vec<Hop<'t>>,
    /// Which hop's frame each span is in.
    of_span: Vec<Option<HopIx>>,
    /// Frame of hop `i`: `frames[first[i]..first[i + 1]]`, the entry span first.
    first: Vec<u32>,
    frames: Vec<SpanIx>,
    index: OnceLock<Index>,
}

impl<'t> Hops<'t> {
    /// Works out the hops of `trace`.
    pub(crate) fn of(trace: &Trace<'t>, judges: &Judges<'_>) -> Self {
        let order = parents_first(trace);
        let proxies: Vec<bool> =
            trace.spans().iter().map(|span| is_proxy(span) || (judges.is_proxy)(span)).collect();
        let is_proxy = |ix: SpanIx| proxies.get(ix.get()).copied().unwrap_or(false);
        let mut entries = entries(trace, &is_proxy);
        fold_proxies(trace, &order, &is_proxy, &mut entries);
        let mut hops = Self {
            all: Vec::with_capacity(entries.iter().filter(|entry| **entry).count() + 1),
            of_span: vec![None; trace.spans().len()],
            first: Vec::new(),
            frames: Vec::new(),
            index: OnceLock::new(),
        };
        for ix in &order {
            let is_entry = entries.get(ix.get()).copied().unwrap_or(false);
            let hop = hops.place(trace, *ix, is_entry, &is_proxy);
            if let Some(slot) = hops.of_span.get_mut(ix.get()) {
                *slot = hop;
            }
        }
        hops.collect_frames(&order);
        hops.resolve_links(trace);
        let mut frame = Vec::new();
        for at in 0..hops.all.len() {
            frame.clear();
            frame.extend(hops.frame(HopIx(at as u32)).iter().map(|ix| trace.span(*ix)));
            let mut identity = identity(&frame, judges);
            let sender_is_proven = frame.first().is_some_and(|entry| entry.speaker == Speaker::Own);
            if sender_is_proven && identity.basis == Basis::Claimed {
                identity.basis = Basis::AuthenticatedSender;
            }
            let named_above = hops.named_above(HopIx(at as u32));
            if let Some(hop) = hops.all.get_mut(at) {
                hop.named_above = named_above;
                hop.identity = identity;
            }
        }
        hops
    }

    /// Every hop and origin, callers before callees.
    #[must_use]
    pub fn all(&self) -> &[Hop<'t>] {
        &self.all
    }

    /// Every hop, callers before callees, without origins.
    pub fn iter(&self) -> impl Iterator<Item = &Hop<'t>> {
        self.all.iter().filter(|hop| hop.kind != HopKind::Origin)
    }

    /// The hop at `ix`.
    #[must_use]
    #[expect(clippy::indexing_slicing, reason = "a HopIx is only made for a hop of its own trace")]
    pub fn get(&self, ix: HopIx) -> &Hop<'t> {
        &self.all[ix.get()]
    }

    /// What a hop or origin called.
    pub(crate) fn callees(&self, ix: HopIx) -> impl Iterator<Item = &Hop<'t>> {
        self.index().callees(ix).iter().map(|ix| self.get(*ix))
    }

    /// Hops and origins whose caller is missing.
    pub(crate) fn torn(&self) -> impl Iterator<Item = &Hop<'t>> {
        self.index().torn().iter().map(|ix| self.get(*ix))
    }

    fn index(&self) -> &Index {
        self.index.get_or_init(|| Index::of(&self.all))
    }

    /// The hop or origin whose frame holds the span.
    #[must_use]
    pub fn of_span(&self, ix: SpanIx) -> Option<HopIx> {
        self.of_span.get(ix.get()).copied().flatten()
    }

    /// The spans of the called service that belong to the hop: its entry span first, exits included.
    #[must_use]
    pub fn frame(&self, ix: HopIx) -> &[SpanIx] {
        let from = self.first.get(ix.get()).copied().unwrap_or(0) as usize;
        let to = self.first.get(ix.get() + 1).copied().unwrap_or(0) as usize;
        self.frames.get(from..to).unwrap_or(&[])
    }

    /// The caller if it names a principal, else what is named above it. Callers come first, so theirs is settled.
    fn named_above(&self, ix: HopIx) -> Option<HopIx> {
        let caller = self.get(self.get(ix).caller?);
        if caller.identity.principal.is_some() { Some(caller.ix) } else { caller.named_above }
    }

    /// Decides which frame a span is in, and makes the hop that it begins.
    fn place(
        &mut self,
        trace: &Trace<'t>,
        ix: SpanIx,
        is_entry: bool,
        is_proxy: &dyn Fn(SpanIx) -> bool,
    ) -> Option<HopIx> {
        let span = trace.span(ix);
        let above = trace.parent_span(ix);
        if is_proxy(ix) && !is_entry {
            return above.and_then(|above| self.of_span(above));
        }
        let (exit, via) = past_proxies(trace, above, is_proxy);
        let caller = exit.and_then(|exit| self.of_span(exit));
        if !is_entry
            && let Some(caller) = caller
            && self.get(caller).service == span.service
        {
            return Some(caller);
        }
        let kind = match (is_entry, span.kind, trace.parent(ix)) {
            (false, ..) => HopKind::Origin,
            (true, SpanKind::Consumer, _) => HopKind::Messaging,
            (true, _, Parent::Root) => HopKind::Entry,
            (true, ..) if exit.is_some_and(|exit| trace.span(exit).kind == SpanKind::Producer) => {
                HopKind::Messaging
            }
            (true, ..) => HopKind::Rpc,
        };
        let hop = HopIx(u32::try_from(self.all.len()).ok()?);
        self.all.push(Hop {
            ix: hop,
            kind,
            entry: ix,
            service: span.service,
            operation: operation::operation(span),
            exit,
            caller,
            named_above: None,
            caller_missing: trace.parent(ix) == Parent::Missing,
            via,
            links: Vec::new(),
            outcome: operation::outcome(span),
            identity: Identity::UNKNOWN,
            depth: caller.map_or(0, |caller| {
                let caller = self.get(caller);
                caller.depth + u32::from(caller.kind != HopKind::Origin)
            }),
        });
        Some(hop)
    }

    fn collect_frames(&mut self, order: &[SpanIx]) {
        let mut first = vec![0_u32; self.all.len() + 1];
        let placed = || order.iter().filter_map(|ix| Some((*ix, self.of_span(*ix)?)));
        for (_, hop) in placed() {
            if let Some(count) = first.get_mut(hop.get() + 1) {
                *count += 1;
            }
        }
        let mut sum = 0;
        for slot in &mut first {
            sum += *slot;
            *slot = sum;
        }
        let mut next = first.clone();
        let mut frames = vec![SpanIx(0); sum as usize];
        for (ix, hop) in placed() {
            if let Some(at) = next.get_mut(hop.get())
                && let Some(slot) = frames.get_mut(*at as usize)
            {
                *slot = ix;
                *at += 1;
            }
        }
        self.first = first;
        self.frames = frames;
    }

    fn resolve_links(&mut self, trace: &Trace<'t>) {
        for at in 0..self.all.len() {
            let Some(hop) = self.all.get(at) else { continue };
            let entry = trace.span(hop.entry);
            if !entry.has(Field::Link) {
                continue;
            }
            let mut links: Vec<HopLink> = entry
                .links()
                .map(|(trace_id, span_id)| {
                    let here = (trace_id == trace.id).then(|| trace.find(span_id)).flatten();
                    HopLink { trace_id, span_id, hop: here.and_then(|ix| self.of_span(ix)) }
                })
                .collect();
            links.sort_unstable_by_key(|link| (link.trace_id, link.span_id));
            links.dedup();
            if let Some(hop) = self.all.get_mut(at) {
                hop.links = links;
            }
        }
    }
}

/// Every span, parents before children, siblings by time.
fn parents_first(trace: &Trace<'_>) -> Vec<SpanIx> {
    let mut order: Vec<SpanIx> = trace.indices().filter(|ix| trace.parent_span(*ix).is_none()).collect();
    order.reserve(trace.spans().len() - order.len());
    let mut at = 0;
    while let Some(ix) = order.get(at) {
        order.extend_from_slice(trace.children(*ix));
        at += 1;
    }
    order
}

/// Which spans begin a hop, before proxies are folded.
fn entries(trace: &Trace<'_>, is_proxy: &dyn Fn(SpanIx) -> bool) -> Vec<bool> {
    let kindless =
        trace.spans().iter().all(|span| matches!(span.kind, SpanKind::Unspecified | SpanKind::Internal));
    trace
        .indices()
        .map(|ix| if kindless { changes_service(trace, ix) } else { is_entry(trace, ix, is_proxy) })
        .collect()
}

/// Without any kinds, a change of service on the parent edge is the only sign of a crossing.
fn changes_service(trace: &Trace<'_>, ix: SpanIx) -> bool {
    match trace.parent_span(ix) {
        Some(parent) => trace.span(parent).service != trace.span(ix).service,
        None => true,
    }
}

fn is_entry(trace: &Trace<'_>, ix: SpanIx, is_proxy: &dyn Fn(SpanIx) -> bool) -> bool {
    let span = trace.span(ix);
    if !matches!(span.kind, SpanKind::Server | SpanKind::Consumer) {
        return false;
    }
    if span.kind == SpanKind::Consumer && span.has(Field::Link) {
        return true;
    }
    let parent = match trace.parent(ix) {
        Parent::Root => return true,
        Parent::Missing if span.flags & HAS_IS_REMOTE == 0 => return true,
        Parent::Missing => None,
        Parent::At(parent) => Some(parent),
    };
    if span.flags & HAS_IS_REMOTE != 0 {
        return span.flags & IS_REMOTE != 0;
    }
    let Some(parent) = parent else { return true };
    let above = trace.span(parent);
    if matches!(above.kind, SpanKind::Client | SpanKind::Producer)
        || above.service != span.service
        || is_proxy(parent)
    {
        return true;
    }
    above.kind == SpanKind::Server
        && span.kind == SpanKind::Server
        && has_transport_evidence(span)
        && !is_same_request(span, above)
}

/// Whether a span shows that something came to it over a network.
fn has_transport_evidence(span: &Span<'_>) -> bool {
    const EVIDENCE: [Field; 12] = [
        Field::HttpMethod,
        Field::HttpRoute,
        Field::HttpStatus,
        Field::UrlPath,
        Field::UrlFull,
        Field::UrlScheme,
        Field::RpcSystem,
        Field::RpcMethod,
        Field::MessagingSystem,
        Field::MessagingDestination,
        Field::PeerAddress,
        Field::ClientAddress,
    ];
    EVIDENCE.iter().any(|field| span.has(*field))
}

/// Whether a span that nothing called is work that its service began by itself: nobody outside asked for it.
pub(crate) fn is_own_work(span: &Span<'_>) -> bool {
    span.kind == SpanKind::Internal && !has_transport_evidence(span)
}

/// One request instrumented twice: the same method and path within the outer span's interval.
fn is_same_request(span: &Span<'_>, above: &Span<'_>) -> bool {
    let what = |span: &Span<'_>| {
        (
            span.get(Field::HttpMethod).map(str::to_owned),
            operation::path(span).or_else(|| span.get(Field::RpcMethod)).map(str::to_owned),
        )
    };
    span.start >= above.start && span.end <= above.end && what(span) == what(above)
}

/// A proxy's spans around a workload are the same crossing as the workload's own entry span.
fn fold_proxies(
    trace: &Trace<'_>,
    order: &[SpanIx],
    is_proxy: &dyn Fn(SpanIx) -> bool,
    entries: &mut [bool],
) {
    if !order.iter().any(|ix| is_proxy(*ix)) {
        return;
    }
    let mut leads_on = vec![false; entries.len()];
    for ix in order.iter().rev().filter(|ix| is_proxy(**ix)) {
        let leads = trace.children(*ix).iter().any(|child| {
            let flags = if is_proxy(*child) { &leads_on } else { &*entries };
            flags.get(child.get()).copied().unwrap_or(false)
        });
        if leads && let (Some(mark), Some(entry)) = (leads_on.get_mut(ix.get()), entries.get_mut(ix.get())) {
            (*mark, *entry) = (true, false);
        }
    }
}

/// Climbs over proxy spans: the span beyond them, and their names, nearest the caller first.
fn past_proxies<'t>(
    trace: &Trace<'t>,
    from: Option<SpanIx>,
    is_proxy: &dyn Fn(SpanIx) -> bool,
) -> (Option<SpanIx>, Vec<&'t str>) {
    let (mut at, mut via) = (from, Vec::new());
    while let Some(ix) = at.filter(|ix| is_proxy(*ix)) {
        let name = trace.span(ix).service.name;
        if via.last() != Some(&name) {
            via.push(name);
        }
        at = trace.parent_span(ix);
    }
    via.reverse();
    (at, via)
}
