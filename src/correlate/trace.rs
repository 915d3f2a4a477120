//! A trace: its spans in one fixed order, who is whose parent, and how complete it is.

use std::cmp::Reverse;

use crate::record::{self, Span};
use crate::sink::{SpanId, SpanKind, TraceId};
use crate::words::Words;

/// Index of a span in [`Trace::spans`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpanIx(pub(crate) u32);

impl SpanIx {
    fn new(index: usize) -> Self {
        Self(u32::try_from(index).unwrap_or(u32::MAX))
    }

    pub(crate) const fn get(self) -> usize {
        self.0 as usize
    }
}

/// How much of a trace is there. A rule that needs what is missing does not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Grade {
    /// Spans whose parent is named but absent.
    pub missing_parents: u32,
    /// Attributes, events and links that senders say they dropped.
    pub dropped: u32,
    /// Spans delivered more than once, word for word.
    pub duplicates: u32,
    /// Spans delivered with different bodies under one id. That of the most trusted sender was kept, and among those the
    /// one with the lowest content hash.
    pub conflicts: u32,
    /// Spans in a parent cycle, or their own parent.
    pub cycles: u32,
    /// Whether it was judged before its spans had time to arrive: more of it may be on the way.
    pub closed_early: bool,
    /// Whether that was because there was no room to wait for them: it is judged again once it is quiet, if it is still kept then.
    pub crowded: bool,
}

impl Grade {
    /// Whether nothing is known to be missing. Plain duplicates lose nothing.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.missing_parents == 0
            && self.dropped == 0
            && self.conflicts == 0
            && self.cycles == 0
            && !self.closed_early
    }
}

/// What became of a span's parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parent {
    /// It has none.
    Root,
    /// It is named and absent.
    Missing,
    /// It is this span.
    At(SpanIx),
}

/// The spans of one trace.
#[derive(Debug)]
pub struct Trace<'r> {
    /// Its id.
    pub id: TraceId,
    /// How complete it is.
    pub grade: Grade,
    spans: Vec<Span<'r>>,
    /// A bit for each field that is on any of them.
    mask: u128,
    by_id: Vec<(Key<'r>, SpanIx)>,
    parents: Vec<Parent>,
    /// Children of span `i` are `children[first[i]..first[i + 1]]`.
    first: Vec<u32>,
    children: Vec<SpanIx>,
}

/// Which of two spans under one id: B3's shared ids give the server its client's id.
fn side(span: &Span<'_>) -> bool {
    !matches!(span.kind, SpanKind::Server | SpanKind::Consumer)
}

/// A late report of a span already there: tags without kind or time, as Zipkin's asynchronous reporters send.
fn is_partial(span: &Span<'_>) -> bool {
    span.kind == SpanKind::Unspecified && span.start == 0
}

/// Orders bodies under one id so that nobody can tell beforehand whose will be kept.
fn content_hash(span: &Span<'_>) -> [u8; 32] {
    use sha2::Digest as _;
    sha2::Sha256::digest(span.content()).into()
}

impl<'r> Trace<'r> {
    /// Reads the records of one trace, made with `words`, in any order; the result is the same for each order.
    #[must_use]
    pub fn from_records(id: TraceId, records: impl IntoIterator<Item = &'r [u8]>, words: &'r Words) -> Self {
        Self::from_bodies(id, records.into_iter().map(record::body), words)
    }

    /// The same, from the bodies of the records.
    #[must_use]
    pub fn from_bodies(id: TraceId, bodies: impl IntoIterator<Item = &'r [u8]>, words: &'r Words) -> Self {
        let mut grade = Grade::default();
        let mut spans: Vec<Span<'r>> = Vec::with_capacity(MOSTLY);
        spans.extend(bodies.into_iter().filter_map(|body| Span::of_body(body, words)));
        let order = settle_duplicates(&mut spans, &mut grade);
        let (spans, by_id) = by_start(&spans, &order);
        grade.dropped = spans.iter().fold(0, |sum, span| sum.saturating_add(span.dropped));
        let mask = spans.iter().fold(0, |mask, span| mask | span.mask());
        let mut parents = parents(&spans, &by_id, &mut grade);
        cut_cycles(&mut parents, &mut grade);
        let (first, children) = children(&parents);
        Self { id, grade, spans, mask, by_id, parents, first, children }
    }

    /// The same trace, of which more may be on the way.
    #[must_use]
    pub fn closed_early(mut self) -> Self {
        self.grade.closed_early = true;
        self
    }

    /// The same trace, of which more is on the way for all that is known: there was no room to wait for it.
    #[must_use]
    pub fn crowded(mut self) -> Self {
        self.grade.crowded = true;
        self.closed_early()
    }

    /// Whether any field of the mask is on any span.
    pub(crate) const fn has_any(&self, mask: u128) -> bool {
        self.mask & mask != 0
    }

    /// Every span, by start time, then id.
    #[must_use]
    pub fn spans(&self) -> &[Span<'r>] {
        &self.spans
    }

    /// Every index, in the same order.
    pub fn indices(&self) -> impl Iterator<Item = SpanIx> + use<> {
        (0..u32::try_from(self.spans.len()).unwrap_or(u32::MAX)).map(SpanIx)
    }

    /// The span at `ix`.
    #[must_use]
    #[expect(clippy::indexing_slicing, reason = "a SpanIx is only made for a span of its own trace")]
    pub fn span(&self, ix: SpanIx) -> &Span<'r> {
        &self.spans[ix.get()]
    }

    /// What became of its parent.
    #[must_use]
    pub fn parent(&self, ix: SpanIx) -> Parent {
        self.parents.get(ix.get()).copied().unwrap_or(Parent::Root)
    }

    /// Its parent span, if that is there.
    #[must_use]
    pub fn parent_span(&self, ix: SpanIx) -> Option<SpanIx> {
        match self.parent(ix) {
            Parent::At(parent) => Some(parent),
            Parent::Root | Parent::Missing => None,
        }
    }

    /// Its children, in the order of [`spans`](Self::spans).
    #[must_use]
    pub fn children(&self, ix: SpanIx) -> &[SpanIx] {
        let from = self.first.get(ix.get()).copied().unwrap_or(0) as usize;
        let to = self.first.get(ix.get() + 1).copied().unwrap_or(0) as usize;
        self.children.get(from..to).unwrap_or(&[])
    }

    /// The span with that id; of a shared pair, the server's side.
    #[must_use]
    pub fn find(&self, id: SpanId) -> Option<SpanIx> {
        under(&self.by_id, id).first().map(|(_, ix)| *ix)
    }
}

/// What one span may exist under. A partial report stays beside the span it belongs to, and one message under
/// one shared id may be received by several instances.
type Key<'r> = (u64, bool, bool, &'r str);

fn key<'r>(span: &Span<'r>) -> Key<'r> {
    (number(span.id), side(span), is_partial(span), if span.shared { span.instance } else { "" })
}

/// The same order as that of the ids, and quicker to compare.
const fn number(SpanId(bytes): SpanId) -> u64 {
    u64::from_be_bytes(bytes)
}

/// Spans that most traces have no more than.
const MOSTLY: usize = 32;

/// Spans under one id that are looked at when a parent is sought; more is nobody's honest trace.
const MAX_TWINS: usize = 64;

/// Keeps one span for each key: of several bodies that of the most trusted sender, then the one with the lowest hash. Returns the
/// order of their keys.
fn settle_duplicates(spans: &mut Vec<Span<'_>>, grade: &mut Grade) -> Vec<u32> {
    // Sorting numbers moves less than sorting spans, and one number is quicker to compare than two.
    let numbered = spans.iter().zip(0_u32..);
    let mut ids: Vec<u128> =
        numbered.map(|(span, at)| u128::from(number(span.id)) << 64 | u128::from(at)).collect();
    ids.sort_unstable();
    // Mostly each id is there once.
    if ids.array_windows().all(|[a, b]| a >> 64 != b >> 64) {
        return ids.into_iter().map(|id| id as u32).collect();
    }
    spans.sort_unstable_by_key(key);
    if spans.array_windows().any(|[a, b]| key(a) == key(b)) {
        keep_one_each(spans, grade);
    }
    (0..number_of(spans.len())).collect()
}

/// From spans in the order of their keys: one for each.
fn keep_one_each(spans: &mut Vec<Span<'_>>, grade: &mut Grade) {
    let mut kept = Vec::with_capacity(spans.len());
    for group in spans.chunk_by(|a, b| key(a) == key(b)) {
        let [first, others @ ..] = group else { continue };
        // Most copies are copies word for word, and records of one body may still differ in which words they use.
        let others = others.iter().filter(|other| other.body != first.body);
        let mut bodies: Vec<([u8; 32], Span<'_>)> = others.map(|span| (content_hash(span), *span)).collect();
        if !bodies.is_empty() {
            bodies.push((content_hash(first), *first));
            // Most trusted first among copies of one body, then among bodies.
            bodies.sort_by_key(|(hash, span)| (*hash, Reverse(span.speaker.trust())));
            bodies.dedup_by_key(|(hash, _)| *hash);
            bodies.sort_by_key(|(hash, span)| (Reverse(span.speaker.trust()), *hash));
            grade.conflicts += number_of(bodies.len() - 1);
        }
        grade.duplicates += number_of(group.len() - bodies.len().max(1));
        kept.push(bodies.first().map_or(*first, |(_, span)| *span));
    }
    *spans = kept;
}

fn number_of(spans: usize) -> u32 {
    u32::try_from(spans).unwrap_or(u32::MAX)
}

/// From spans and the order of their keys: the same in the order of time, and every key, sorted, with its span's place there.
fn by_start<'r>(spans: &[Span<'r>], keys: &[u32]) -> (Vec<Span<'r>>, Vec<(Key<'r>, SpanIx)>) {
    let mut by_id = Vec::with_capacity(keys.len());
    // The start, the rank by key, and where the span is: of several that began at once, the first by key is first.
    let mut order: Vec<u128> = Vec::with_capacity(keys.len());
    for (at, rank) in keys.iter().zip(0_u32..) {
        if let Some(span) = spans.get(*at as usize) {
            by_id.push((key(span), SpanIx(0)));
            order.push(u128::from(span.start) << 64 | u128::from(rank) << 32 | u128::from(*at));
        }
    }
    order.sort_unstable();
    let mut sorted = Vec::with_capacity(spans.len());
    for (place, number) in order.iter().enumerate() {
        let (rank, at) = ((number >> 32) as u32, *number as u32);
        if let (Some(span), Some((_, ix))) = (spans.get(at as usize), by_id.get_mut(rank as usize)) {
            sorted.push(*span);
            *ix = SpanIx::new(place);
        }
    }
    (sorted, by_id)
}

/// The spans under `id`, the server's side first, whole spans before partial reports.
fn under<'i, 'r>(by_id: &'i [(Key<'r>, SpanIx)], id: SpanId) -> &'i [(Key<'r>, SpanIx)] {
    let id = number(id);
    let from = by_id.partition_point(|((other, ..), _)| *other < id);
    let rest = by_id.get(from..).unwrap_or(&[]);
    let twins = rest.iter().take(MAX_TWINS).take_while(|((other, ..), _)| *other == id).count();
    rest.get(..twins).unwrap_or(&[])
}

/// Those that are no partial reports.
fn whole(under: &[(Key<'_>, SpanIx)]) -> impl Iterator<Item = SpanIx> {
    under.iter().filter(|((_, _, is_partial, _), _)| !is_partial).map(|(_, ix)| *ix)
}

/// The client's side under `id`, if it is there whole.
fn client_under(by_id: &[(Key<'_>, SpanIx)], id: SpanId) -> Option<SpanIx> {
    let id = number(id);
    let wanted = (id, true, false, "");
    let from = by_id.partition_point(|(key, _)| *key < wanted);
    by_id
        .get(from)
        .filter(|((other, side, partial, _), _)| (*other, *side, *partial) == (id, true, false))
        .map(|(_, ix)| *ix)
}

/// Finds each span's parent.
fn parents(spans: &[Span<'_>], by_id: &[(Key<'_>, SpanIx)], grade: &mut Grade) -> Vec<Parent> {
    let mut parents = Vec::with_capacity(spans.len());
    for (index, span) in spans.iter().enumerate() {
        let of_own_service =
            |ix: SpanIx| spans.get(ix.get()).is_some_and(|other| other.service == span.service);
        // A server under its client's id is the client's child; a partial report belongs to its span.
        let twin = match (is_partial(span), side(span)) {
            (true, _) => whole(under(by_id, span.id)).find(|ix| of_own_service(*ix)),
            (false, false) => client_under(by_id, span.id),
            (false, true) => None,
        };
        let own = SpanIx::new(index);
        let parent = match (twin.filter(|twin| *twin != own), span.parent) {
            (Some(twin), _) => Parent::At(twin),
            (None, None) => Parent::Root,
            (None, Some(id)) if id == span.id => {
                grade.cycles += 1;
                Parent::Root
            }
            (None, Some(id)) => {
                let under = under(by_id, id);
                let nearest = whole(under).find(|ix| of_own_service(*ix)).or_else(|| whole(under).next());
                match nearest.or_else(|| under.first().map(|(_, ix)| *ix)) {
                    Some(ix) => Parent::At(ix),
                    None => {
                        grade.missing_parents += 1;
                        Parent::Missing
                    }
                }
            }
        };
        parents.push(parent);
    }
    parents
}

/// Cuts each cycle at its first span, which becomes a root.
fn cut_cycles(parents: &mut [Parent], grade: &mut Grade) {
    // 0: not seen, otherwise the number of the walk that saw it.
    let mut seen = vec![0_u32; parents.len()];
    for start in 0..parents.len() {
        let walk = u32::try_from(start + 1).unwrap_or(u32::MAX);
        let mut at = start;
        while let Some(mark) = seen.get_mut(at) {
            if *mark != 0 {
                if *mark == walk {
                    grade.cycles += 1;
                    cut(parents, at);
                }
                break;
            }
            *mark = walk;
            match parents.get(at) {
                Some(Parent::At(parent)) => at = parent.get(),
                _ => break,
            }
        }
    }
}

/// Makes the first span of the cycle through `at` a root.
fn cut(parents: &mut [Parent], at: usize) {
    let (mut first, mut step) = (at, at);
    while let Some(Parent::At(parent)) = parents.get(step) {
        step = parent.get();
        first = first.min(step);
        if step == at {
            break;
        }
    }
    if let Some(parent) = parents.get_mut(first) {
        *parent = Parent::Root;
    }
}

/// Children of each span as one list and where each part of it begins.
fn children(parents: &[Parent]) -> (Vec<u32>, Vec<SpanIx>) {
    let mut first = vec![0_u32; parents.len() + 1];
    for parent in parents {
        if let Parent::At(parent) = parent
            && let Some(count) = first.get_mut(parent.get() + 1)
        {
            *count += 1;
        }
    }
    let mut sum = 0;
    for slot in &mut first {
        sum += *slot;
        *slot = sum;
    }
    let mut next = first.clone();
    let mut children = vec![SpanIx(0); sum as usize];
    for (index, parent) in parents.iter().enumerate() {
        if let Parent::At(parent) = parent
            && let Some(at) = next.get_mut(parent.get())
            && let Some(slot) = children.get_mut(*at as usize)
        {
            *slot = SpanIx::new(index);
            *at += 1;
        }
    }
    (first, children)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{records, with_hops};

    #[test]
    fn grades() {
        let grade = |text: &str| with_hops(text, |trace, _| trace.grade);
        let whole = "a SERVER x\n  a CLIENT y\n    b SERVER z";
        assert_eq!(grade(whole), Grade::default());
        assert_eq!(grade("a SERVER x @parent=9").missing_parents, 1);
        assert_eq!(grade("a SERVER x @dropped=3\n  a CLIENT y @dropped=4").dropped, 7);
        assert_eq!(grade("a SERVER x @id=1 @parent=1").cycles, 1);
        let twice = grade("a SERVER x @id=1\na SERVER x @id=1");
        assert_eq!((twice.duplicates, twice.conflicts, twice.is_complete()), (1, 0, true));
        let forged = grade("a SERVER x @id=1\na SERVER x @id=1 user.id=mallory");
        assert_eq!((forged.duplicates, forged.conflicts, forged.is_complete()), (0, 1, false));
    }

    proptest! {
        /// Several bodies under one id, some of them several times.
        #[test]
        fn order_does_not_matter_for_the_grade(order in Just((0..5_usize).collect::<Vec<_>>()).prop_shuffle()) {
            let text = "a SERVER x @id=1\na SERVER x @id=1\na SERVER x @id=1 user.id=b\na SERVER x @id=1 user.id=c\n\
                        a SERVER x @id=1 user.id=c";
            let kept = records(text);
            let (id, records) = kept.traces.iter().next().expect("one trace");
            let trace = Trace::from_records(*id, order.iter().map(|at| records[*at].as_slice()), &kept.words);
            prop_assert_eq!((trace.grade.duplicates, trace.grade.conflicts), (2, 2));
        }

        /// Whatever the order of delivery, the trace is the same.
        #[test]
        fn order_does_not_matter(order in Just((0..12_usize).collect::<Vec<_>>()).prop_shuffle()) {
            let text = "a SERVER x @id=1\n  a CLIENT y @id=2\nb SERVER z @id=2 @shared user.id=u\n  b INTERNAL w @id=3\n\
                        c SERVER v @parent=3 @id=4\nc SERVER v @parent=3 @id=4 user.id=other\nd SERVER q @parent=77\n\
                        e SERVER r @id=9 @parent=10\ne SERVER s @id=10 @parent=9\nb - z @id=2 @partial @parent=1\n\
                        f CONSUMER m @link=2\nf INTERNAL n @parent=11";
            let kept = records(text);
            let (id, records) = kept.traces.iter().next().expect("one trace");
            let in_order = |order: &[usize]| {
                let trace = Trace::from_records(*id, order.iter().map(|at| records[*at].as_slice()), &kept.words);
                let parents: Vec<Parent> = trace.indices().map(|ix| trace.parent(ix)).collect();
                let bodies: Vec<Vec<u8>> = trace.spans().iter().map(Span::content).collect();
                (trace.grade, parents, bodies)
            };
            prop_assert_eq!(records.len(), 12);
            prop_assert_eq!(in_order(&order), in_order(&(0..12).collect::<Vec<_>>()));
        }

        /// Each id is there once, and most spans began at once: they stand in the order of their ids.
        #[test]
        fn what_began_at_once_is_in_the_order_of_ids(order in Just((0..7_usize).collect::<Vec<_>>()).prop_shuffle()) {
            let text = "a SERVER x @id=9 @start=5\na SERVER x @id=3 @start=5\na SERVER x @id=8 @start=5 @parent=3\n\
                        a SERVER x @id=4 @start=1\na SERVER x @id=1 @start=5 @parent=9\na SERVER x @id=7 @start=6\n\
                        a SERVER x @id=2 @start=5 @parent=77";
            let kept = records(text);
            let (id, records) = kept.traces.iter().next().expect("one trace");
            let trace = Trace::from_records(*id, order.iter().map(|at| records[*at].as_slice()), &kept.words);
            let ids: Vec<u64> = trace.spans().iter().map(|span| number(span.id)).collect();
            prop_assert_eq!(ids, [4, 1, 2, 3, 8, 9, 7]);
            let above = |id: u64| {
                let ix = trace.find(SpanId(id.to_be_bytes())).expect("a span");
                trace.parent_span(ix).map(|ix| number(trace.span(ix).id))
            };
            prop_assert_eq!([8, 1, 2, 7].map(above), [Some(3), Some(9), None, None]);
            prop_assert_eq!(trace.grade.missing_parents, 1);
        }
    }
}
