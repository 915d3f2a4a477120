//! Spans that other traces link to, in the order in which they were first asked for, and who waits to hear who sent them.
//!
//! ```text
//! asked for --its trace is judged--> known, and those that asked are told --judged again, and otherwise--> told again
//!     '-----------------------------------'--the oldest, once there are many--> forgotten, with those that asked
//! ```
//! [`Linked`] keeps those of the lowest ids, so that `check` says the same for any order of spans. A service never has all of them:
//! it would be left with low ids, and know nobody who sent anything of late. So the oldest go here, long before that one is full.

use std::collections::{BTreeSet, VecDeque};
use std::ops::RangeInclusive;

use hopseal_correlate::sink::{SpanId, TraceId};
use hopseal_correlate::survey::{Linked, Sent};

use super::reading::LinkAway;

/// Linked spans that a shard keeps. In [`Linked`] and in the order each takes some 300 bytes, and the texts of who sent it: with names
/// of usual length 60 MiB together.
const MOST: usize = 1 << 17;
/// Bytes of those texts, which are as long as senders make them. One alone may be more.
const MOST_BYTES: usize = if cfg!(test) { 1 << 20 } else { 32 << 20 };
const _: () = assert!(MOST < Linked::MAX, "nothing but the oldest goes");
/// Traces that wait for the sender of a span, once for each span: half as many at least are kept. Each takes some 70 bytes, which is
/// 18 MiB together.
const MOST_WAITING: usize = 1 << 18;

/// A span of that trace.
type Key = (TraceId, SpanId);

/// A trace of some shard that links to a span of this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Waiter {
    // First, for those of one span to stand together.
    to: TraceId,
    span_id: SpanId,
    from: TraceId,
    pub(super) shard: usize,
}

impl Waiter {
    pub(super) const fn link(&self) -> LinkAway {
        LinkAway { from: self.from, to: self.to, span_id: self.span_id }
    }
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Links {
    most: usize,
    most_bytes: usize,
    most_waiting: usize,
    let_go: u64,
    /// Just those that [`Linked`] has, each once, the oldest first.
    order: VecDeque<Key>,
    /// Those that wait. Once the young are half of the most, they are the old, and the old before them are let go.
    young: BTreeSet<Waiter>,
    old: BTreeSet<Waiter>,
}

impl Default for Links {
    fn default() -> Self {
        Self { most_bytes: MOST_BYTES, ..Self::new(MOST, MOST_WAITING) }
    }
}

impl Links {
    const fn new(most: usize, most_waiting: usize) -> Self {
        Self {
            most,
            most_bytes: usize::MAX,
            most_waiting,
            let_go: 0,
            order: VecDeque::new(),
            young: BTreeSet::new(),
            old: BTreeSet::new(),
        }
    }

    /// A trace of that shard wants to know who sent a span of this one. Returns who is to be told, should it be known.
    pub(super) fn ask(&mut self, link: LinkAway, shard: usize, linked: &mut Linked) -> Waiter {
        let LinkAway { from, to, span_id } = link;
        self.keep((to, span_id), linked);
        if self.young.len() >= self.most_waiting / 2 {
            self.old = std::mem::take(&mut self.young);
        }
        let waiter = Waiter { to, span_id, from, shard };
        self.young.insert(waiter);
        waiter
    }

    /// Another shard says who sent a span of its own.
    pub(super) fn learn(&mut self, link: LinkAway, sent: Sent, linked: &mut Linked) {
        self.keep((link.to, link.span_id), linked);
        linked.learn(link.to, link.span_id, sent);
        self.trim(linked);
    }

    /// Those that asked for spans of a trace of which there is news, and what that is. They are told again should it come to be known
    /// otherwise: a trace that was judged early is judged again with the rest of it.
    pub(super) fn answer<'l>(
        &self,
        trace_id: TraceId,
        news: &[SpanId],
        linked: &'l Linked,
    ) -> Vec<(Waiter, &'l Sent)> {
        let mut told = Vec::new();
        for span_id in news {
            let Some(sent) = linked.sent(trace_id, *span_id) else { continue };
            let asked = of_span((trace_id, *span_id));
            let waiters = self.old.range(asked.clone()).chain(self.young.range(asked));
            told.extend(waiters.map(|waiter| (*waiter, sent)));
        }
        told
    }

    /// Spans that are kept, and how many were let go for others: a trace that is judged again with such a link does not know who sent it.
    pub(super) fn counts(&self) -> (usize, u64) {
        (self.order.len(), self.let_go)
    }

    /// Lets go of the oldest while the texts of all are too long.
    pub(super) fn trim(&mut self, linked: &mut Linked) {
        while linked.bytes() > self.most_bytes && self.order.len() > 1 {
            self.let_oldest_go(linked);
        }
    }

    fn let_oldest_go(&mut self, linked: &mut Linked) {
        if let Some(oldest) = self.order.pop_front() {
            self.let_go += 1;
            linked.forget(oldest.0, oldest.1);
            self.forget(oldest);
        }
    }

    /// Has a span among those that are kept; the oldest makes room for a new one.
    fn keep(&mut self, (to, span_id): Key, linked: &mut Linked) {
        if !linked.expect(to, span_id) {
            return;
        }
        if self.order.len() >= self.most {
            self.let_oldest_go(linked);
        }
        self.order.push_back((to, span_id));
    }

    /// Takes out those that wait for a span.
    fn forget(&mut self, key: Key) {
        for waiters in [&mut self.old, &mut self.young] {
            waiters.extract_if(of_span(key), |_| true).for_each(drop);
        }
    }
}

/// All that may wait for a span.
const fn of_span((to, span_id): Key) -> RangeInclusive<Waiter> {
    let first = Waiter { to, span_id, from: TraceId([0; 16]), shard: 0 };
    let last = Waiter { to, span_id, from: TraceId([0xff; 16]), shard: usize::MAX };
    first..=last
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    const MOST: usize = 8;

    /// Of trace `to`, by trace `from`.
    fn link(from: u128, to: u128, span: u64) -> LinkAway {
        LinkAway {
            from: TraceId(from.to_be_bytes()),
            to: TraceId(to.to_be_bytes()),
            span_id: SpanId(span.to_be_bytes()),
        }
    }

    /// Whether it is among those that are kept.
    fn has(linked: &Linked, (to, span_id): Key) -> bool {
        !linked.clone().expect(to, span_id)
    }

    /// What is found out as the trace of a span is judged that is asked for.
    fn observe(linked: &mut Linked, link: LinkAway) {
        if has(linked, (link.to, link.span_id)) {
            linked.learn(link.to, link.span_id, Sent::default());
        }
    }

    /// The traces that are told.
    fn askers(told: &[(Waiter, &Sent)]) -> Vec<TraceId> {
        told.iter().map(|(waiter, _)| waiter.from).collect()
    }

    /// What holds at any time.
    fn adds_up(links: &Links, linked: &Linked) {
        let order: HashSet<Key> = links.order.iter().copied().collect();
        assert_eq!(order.len(), links.order.len(), "each once");
        assert!(links.order.len() <= links.most);
        assert!(order.iter().all(|key| has(linked, *key)));
        let mut waiting = links.young.iter().chain(&links.old);
        assert!(waiting.all(|waiter| order.contains(&(waiter.to, waiter.span_id))));
        assert!(links.young.len() + links.old.len() <= links.most_waiting);
    }

    /// Scenario: spans of ever higher ids are linked to, and those of every other trace come.
    /// Guarantees: however many there were before, whoever links to a span is told who sent it.
    #[test]
    fn however_many_were_linked_to_the_next_is_found() {
        let (mut links, mut linked) = (Links::new(MOST, 2 * MOST), Linked::default());
        for number in 1..100 * MOST as u128 {
            let next = link(number + 1_000_000, number, 1);
            links.ask(next, 3, &mut linked);
            assert_eq!(links.answer(next.to, &[next.span_id], &linked), []);
            if number % 2 == 0 {
                observe(&mut linked, next);
                let told = links.answer(next.to, &[next.span_id], &linked);
                assert!(matches!(told[..], [(waiter, _)] if (waiter.link(), waiter.shard) == (next, 3)));
            }
            adds_up(&links, &linked);
        }
        let kept = (1..100 * MOST as u128)
            .filter(|to| has(&linked, (link(0, *to, 1).to, SpanId(1_u64.to_be_bytes()))));
        assert_eq!(kept.count(), MOST);
    }

    /// Scenario: the trace of the sender is let go; much later, others link to it, of this shard and of another.
    /// Guarantees: they find it, as long as it is not the oldest of more than are kept.
    #[test]
    fn what_is_known_stays_known_until_it_is_the_oldest() {
        let (mut links, mut linked) = (Links::new(MOST, 2 * MOST), Linked::default());
        let both = [link(1, 500, 1), link(1, 900, 1)];
        let known = |linked: &Linked| both.map(|link| linked.sent(link.to, link.span_id).is_some());
        both.iter().for_each(|link| links.learn(*link, Sent::default(), &mut linked));
        let later = |links: &mut Links, linked: &mut Linked, number| {
            links.ask(link(1, number, 1), 0, linked);
            adds_up(links, linked);
        };
        for number in 2..MOST as u128 {
            later(&mut links, &mut linked, number);
            for asked in both.map(|asked| LinkAway { from: link(number, 0, 0).from, ..asked }) {
                links.ask(asked, 1, &mut linked);
                assert!(linked.sent(asked.to, asked.span_id).is_some());
            }
        }
        assert_eq!(known(&linked), [true, true]);
        later(&mut links, &mut linked, 1000);
        assert_eq!(known(&linked), [false, true]);
        later(&mut links, &mut linked, 1);
        assert_eq!(known(&linked), [false, false]);
    }

    /// Scenario: very many wait for one span that never comes.
    /// Guarantees: others are told all the same, and what was known is not forgotten for that.
    #[test]
    fn those_that_wait_in_vain_make_room() {
        let (mut links, mut linked) = (Links::new(MOST, 2 * MOST), Linked::default());
        let known = link(1, 500, 1);
        links.learn(known, Sent::default(), &mut linked);
        for number in 1..100 * MOST as u128 {
            links.ask(link(number, 7, 1), 0, &mut linked);
            adds_up(&links, &linked);
        }
        let next = link(3, 600, 1);
        links.ask(next, 0, &mut linked);
        observe(&mut linked, next);
        assert_eq!(links.answer(next.to, &[next.span_id], &linked).len(), 1);
        assert!(linked.sent(known.to, known.span_id).is_some());
        // Half as many as may wait at least, the last ones, hear of it should it come after all.
        observe(&mut linked, link(0, 7, 1));
        let vain = link(0, 7, 1);
        let told = askers(&links.answer(vain.to, &[vain.span_id], &linked));
        assert!((MOST..=2 * MOST).contains(&told.len()), "{}", told.len());
        let all = 1..100 * MOST as u128;
        let last = all.skip(100 * MOST - 1 - told.len()).map(|number| link(number, 0, 0).from);
        assert_eq!(told, last.collect::<Vec<_>>());
    }

    /// Scenario: a trace is judged before all of it came.
    /// Guarantees: who links to what comes later is told then, and nobody of what stayed the same.
    #[test]
    fn who_was_not_told_goes_on_waiting() {
        let (mut links, mut linked) = (Links::new(MOST, 2 * MOST), Linked::default());
        let [early, late] = [link(1, 7, 1), link(2, 7, 2)];
        for asked in [early, late] {
            links.ask(asked, 0, &mut linked);
        }
        for come in [early, late] {
            observe(&mut linked, come);
            assert_eq!(askers(&links.answer(come.to, &[come.span_id], &linked)), [come.from]);
        }
    }

    #[derive(Debug, Clone)]
    enum Step {
        Ask(LinkAway, usize),
        Learn(LinkAway),
        /// The trace is judged, with the span that the link is to.
        Judge(LinkAway),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let a_link = || (0_u128..5, 10_u128..16, 0_u64..3).prop_map(|(from, to, span)| link(from, to, span));
        let step = prop_oneof![
            4 => (a_link(), 0_usize..2).prop_map(|(link, shard)| Step::Ask(link, shard)),
            1 => a_link().prop_map(Step::Learn),
            2 => a_link().prop_map(Step::Judge),
        ];
        prop::collection::vec(step, 1..200)
    }

    proptest! {
        /// Guarantees: what is kept is what was first asked for last; those who are told are those who wait for what is known.
        #[test]
        fn the_oldest_go_and_nobody_else(steps in steps()) {
            let (mut links, mut linked) = (Links::new(MOST, 1000), Linked::default());
            let (mut order, mut waiting): (Vec<Key>, BTreeSet<Waiter>) = Default::default();
            let mut known = HashSet::new();
            for step in steps {
                let (Step::Ask(link, _) | Step::Learn(link) | Step::Judge(link)) = step;
                let key = (link.to, link.span_id);
                if !matches!(step, Step::Judge(_)) && !order.contains(&key) {
                    order.push(key);
                    if order.len() > MOST {
                        let gone = order.remove(0);
                        known.remove(&gone);
                        waiting.retain(|waiter| (waiter.to, waiter.span_id) != gone);
                    }
                }
                match step {
                    Step::Ask(LinkAway { from, to, span_id }, shard) => {
                        links.ask(link, shard, &mut linked);
                        waiting.insert(Waiter { to, span_id, from, shard });
                    }
                    Step::Learn(_) => {
                        links.learn(link, Sent::default(), &mut linked);
                        known.insert(key);
                    }
                    Step::Judge(_) => {
                        observe(&mut linked, link);
                        known.extend(order.contains(&key).then_some(key));
                        let told = links.answer(link.to, &[link.span_id], &linked);
                        let told = told.into_iter().map(|(waiter, _)| waiter);
                        let is_told =
                            |waiter: &Waiter| (waiter.to, waiter.span_id) == key && known.contains(&key);
                        prop_assert!(told.eq(waiting.iter().copied().filter(is_told)));
                    }
                }
                adds_up(&links, &linked);
                prop_assert_eq!(&links.order, &order);
                prop_assert_eq!(links.young.union(&links.old).copied().collect::<BTreeSet<_>>(), waiting.clone());
            }
        }

        /// Guarantees: with little room for those who wait, too, all that is counted is bounded and belongs together.
        #[test]
        fn what_is_kept_is_bounded_and_adds_up(steps in steps(), most_waiting in 2_usize..20) {
            let (mut links, mut linked) = (Links::new(MOST, most_waiting), Linked::default());
            for step in steps {
                match step {
                    Step::Ask(link, shard) => {
                        let waiter = links.ask(link, shard, &mut linked);
                        observe(&mut linked, link);
                        let told = links.answer(link.to, &[link.span_id], &linked);
                        prop_assert!(told.iter().any(|(told, _)| *told == waiter));
                        links.ask(link, shard, &mut linked);
                    }
                    Step::Learn(link) => links.learn(link, Sent::default(), &mut linked),
                    Step::Judge(link) => _ = links.answer(link.to, &[link.span_id], &linked),
                }
                adds_up(&links, &linked);
            }
        }
    }
}
