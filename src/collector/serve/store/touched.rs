//! Who touched a service, through what: hops that match a question, added up by whose they were.
//!
//! It is answered in two steps, each of bounded memory. The first finds those who were there last, as many as are asked for; whoever
//! falls out meanwhile is found again by a later hop. The second adds up what these alone did.

use std::collections::{BTreeMap, HashMap};

use hopseal_correlate::finding::{OwnedActor, Who};
use hopseal_identity::Kind;
use rustc_hash::FxHashMap;

use super::block::{Block, Hop, Judged, Text, Texts};
use super::query::{Cursor, HopQuery, actors_of, cursor};

/// Ways of one principal that are told apart.
pub(super) const WAYS: usize = 100;

/// Some of those who touched a service.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Touched {
    /// By their newest hop, the newest first.
    pub(crate) by: Vec<TouchedBy>,
    /// Where to go on; none where there are no more.
    pub(crate) next: Option<Cursor>,
}

/// What one principal did there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TouchedBy {
    /// Who; actors are said by the ways.
    pub(crate) who: Who,
    pub(crate) hops: u64,
    /// Of them, those whose assurance somebody other than the span vouches for.
    pub(crate) proven: u64,
    /// When the first of them began.
    pub(crate) first: u64,
    /// The place of the newest.
    pub(crate) newest: Cursor,
    /// By caller and actors, in order, at most [`WAYS`].
    pub(crate) ways: Vec<Way>,
    /// Whether there are more ways than that.
    pub(crate) more_ways: bool,
}

/// Through what a principal came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Way {
    /// The calling service; none for calls from outside.
    pub(crate) caller: Option<String>,
    /// Who acted for it, outermost first.
    pub(crate) actors: Vec<OwnedActor>,
    pub(crate) hops: u64,
    pub(crate) first: u64,
    pub(crate) last: u64,
}

/// What of a hop counts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Touch {
    pub(super) at: Cursor,
    pub(super) way: WayKey,
    pub(super) is_proven: bool,
}

/// A principal and its way, in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct WayKey {
    pub(super) principal: Text,
    pub(super) kind: Kind,
    pub(super) issuer: Text,
    pub(super) tenant: Text,
    pub(super) caller: Text,
    pub(super) actors: Text,
}

/// Hops of one way.
#[derive(Debug, Clone, Copy)]
struct Sum {
    hops: u64,
    proven: u64,
    first: u64,
    newest: Cursor,
}

impl Sum {
    fn add(&mut self, other: Self) {
        self.hops += other.hops;
        self.proven += other.proven;
        self.first = self.first.min(other.first);
        self.newest = self.newest.max(other.newest);
    }
}

/// All that tells principals apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Toucher {
    id: String,
    kind: Kind,
    issuer: String,
    tenant: String,
}

impl Toucher {
    fn of(texts: &Texts, key: &WayKey) -> Self {
        let text = |text| texts.get(text).to_owned();
        Self { id: text(key.principal), kind: key.kind, issuer: text(key.issuer), tenant: text(key.tenant) }
    }
}

/// The matching hops of a block.
pub(super) fn of_block(query: &HopQuery, block: &Block, current: impl Fn(&Judged) -> bool) -> Vec<Touch> {
    let Some(wanted) = query.among(&block.texts) else { return Vec::new() };
    let touch = |judged: &Judged, hop: &Hop, place| Touch {
        at: cursor(judged, hop, place),
        way: WayKey {
            principal: hop.texts.principal,
            kind: hop.principal_kind,
            issuer: hop.texts.issuer,
            tenant: hop.texts.tenant,
            caller: hop.texts.caller,
            actors: hop.texts.actors,
        },
        is_proven: hop.basis.is_proven(),
    };
    let mut found = Vec::new();
    for (judged, hops) in block.each() {
        for (hop, place) in hops.iter().zip(0..) {
            if wanted.is(judged, hop, place) && current(judged) {
                found.push(touch(judged, hop, place));
            }
        }
    }
    found
}

/// One of the two steps.
pub(super) trait Step {
    /// Takes hops whose texts are those.
    fn take(&mut self, texts: &Texts, touches: &[Touch]);

    /// Whatever began before needs not be taken any more.
    fn since(&self) -> u64;
}

/// Adds up hops by numbers: most are of few ways, and no text of the others is copied.
fn summed(touches: &[Touch]) -> FxHashMap<WayKey, Sum> {
    let mut sums: FxHashMap<WayKey, Sum> = FxHashMap::default();
    for touch in touches.iter().filter(|touch| touch.way.principal != Text::default()) {
        let one = Sum { hops: 1, proven: u64::from(touch.is_proven), first: touch.at.at, newest: touch.at };
        sums.entry(touch.way).and_modify(|sum| sum.add(one)).or_insert(one);
    }
    sums
}

/// The first step: who was there last, each by their newest hop.
#[derive(Debug)]
pub(super) struct Latest {
    limit: usize,
    newest: HashMap<Toucher, Cursor>,
    /// The last of them, where there are as many as are asked for.
    least: Option<Cursor>,
}

impl Latest {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, newest: HashMap::new(), least: None }
    }

    /// Those who are found, for the second step.
    pub(super) fn sums(self) -> Sums {
        let known = self.newest.into_keys().map(|who| (who, None)).collect();
        Sums { known, least: self.least }
    }
}

impl Step for Latest {
    fn take(&mut self, texts: &Texts, touches: &[Touch]) {
        for (key, sum) in summed(touches) {
            if self.least.is_some_and(|least| sum.newest <= least) {
                continue;
            }
            let newest = self.newest.entry(Toucher::of(texts, &key)).or_insert(sum.newest);
            *newest = sum.newest.max(*newest);
        }
        if self.newest.len() < self.limit {
            return;
        }
        let mut all: Vec<Cursor> = self.newest.values().copied().collect();
        let at = self.limit.saturating_sub(1).min(all.len().saturating_sub(1));
        let least = *all.select_nth_unstable_by_key(at, |cursor| std::cmp::Reverse(*cursor)).1;
        self.newest.retain(|_, newest| *newest >= least);
        self.least = Some(least);
    }

    fn since(&self) -> u64 {
        self.least.map_or(0, |least| least.at)
    }
}

/// The second step: what they did.
#[derive(Debug)]
pub(super) struct Sums {
    known: HashMap<Toucher, Option<Did>>,
    least: Option<Cursor>,
}

#[derive(Debug)]
struct Did {
    sum: Sum,
    /// By caller and actors.
    ways: BTreeMap<(String, String), Sum>,
    more_ways: bool,
}

impl Step for Sums {
    fn take(&mut self, texts: &Texts, touches: &[Touch]) {
        for (key, sum) in summed(touches) {
            let Some(did) = self.known.get_mut(&Toucher::of(texts, &key)) else { continue };
            let way = (texts.get(key.caller).to_owned(), texts.get(key.actors).to_owned());
            match did {
                None => {
                    *did = Some(Did { sum, ways: BTreeMap::from([(way, sum)]), more_ways: false });
                }
                Some(did) => {
                    did.sum.add(sum);
                    did.ways.entry(way).and_modify(|own| own.add(sum)).or_insert(sum);
                    // The first in order stay, whatever comes first: one that is left out comes behind all of them for ever.
                    if did.ways.len() > WAYS {
                        did.ways.pop_last();
                        did.more_ways = true;
                    }
                }
            }
        }
    }

    fn since(&self) -> u64 {
        0
    }
}

impl Sums {
    /// The ids of those whose hops are to be looked at.
    pub(super) fn ids(&self) -> Vec<String> {
        let mut ids: Vec<String> = self.known.keys().map(|who| who.id.clone()).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// What there is to say, of those who were not there after what was given already.
    pub(super) fn finish(self, after: Option<Cursor>) -> Touched {
        let named = |text: String| Some(text).filter(|text| !text.is_empty());
        let by = self.known.into_iter().filter_map(|(who, did)| Some((who, did?)));
        let by = by.filter(|(_, did)| after.is_none_or(|after| did.sum.newest < after));
        let way = |((caller, actors), sum): ((String, String), Sum)| Way {
            caller: named(caller),
            actors: actors_of(&actors),
            hops: sum.hops,
            first: sum.first,
            last: sum.newest.at,
        };
        let mut by: Vec<TouchedBy> = by
            .map(|(Toucher { id, kind, issuer, tenant }, Did { sum, ways, more_ways })| TouchedBy {
                who: Who { id, kind, issuer: named(issuer), tenant: named(tenant), actors: Vec::new() },
                hops: sum.hops,
                proven: sum.proven,
                first: sum.first,
                newest: sum.newest,
                ways: ways.into_iter().map(way).collect(),
                more_ways,
            })
            .collect();
        by.sort_unstable_by_key(|by| std::cmp::Reverse(by.newest));
        Touched { by, next: self.least }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touch(texts: &mut Texts, principal: &str, caller: &str, at: u64) -> Touch {
        let none = Text::default();
        let (principal, caller) = (texts.add(principal), texts.add(caller));
        let way = WayKey { principal, kind: Kind::User, issuer: none, tenant: none, caller, actors: none };
        Touch { at: Cursor { at, id: [0; 16], place: 0, span: [0; 8] }, way, is_proven: false }
    }

    /// Scenario: somebody comes by more ways than are told apart, in whatever order they are read.
    /// Guarantees: all of their hops count, the first ways in order are said whole, and that there are more.
    #[test]
    fn ways_are_bounded_and_the_same_in_any_order() {
        let mut texts = Texts::default();
        let one = |number: u64, texts: &mut Texts| {
            touch(texts, "alice", &format!("service-{:03}", number % 150), number)
        };
        let mut all: Vec<Touch> = (1..=300).map(|number| one(number, &mut texts)).collect();
        let mut answers = Vec::new();
        for size in [300, 7] {
            let mut latest = Latest::new(1);
            all.chunks(size).for_each(|chunk| latest.take(&texts, chunk));
            let mut sums = latest.sums();
            assert_eq!(sums.ids(), ["alice"]);
            all.chunks(size).for_each(|chunk| sums.take(&texts, chunk));
            answers.push(sums.finish(None));
            all.reverse();
        }
        let [by] = answers[0].by.as_slice() else { panic!("one") };
        assert_eq!((by.hops, by.first, by.newest.at, by.more_ways), (300, 1, 300, true));
        let named = |number: usize| by.ways[number].caller.as_deref();
        assert_eq!((by.ways.len(), named(0), named(99)), (WAYS, Some("service-000"), Some("service-099")));
        assert!(by.ways.iter().all(|way| way.hops == 2));
        assert_eq!(answers[0], answers[1]);
    }

    /// Scenario: many come, some of whom come again after they fell out of those who were there last.
    /// Guarantees: no more are held than are asked for, and they are those who were there last.
    #[test]
    fn who_was_there_last_is_found_in_bounded_memory() {
        let mut texts = Texts::default();
        let mut latest = Latest::new(3);
        for (who, at) in [("a", 1), ("b", 2), ("c", 3), ("d", 4), ("e", 5), ("a", 6), ("b", 2), ("", 9)] {
            let touch = touch(&mut texts, who, "", at);
            latest.take(&texts, &[touch]);
            assert!(latest.newest.len() <= 3, "{who}");
        }
        assert_eq!(latest.since(), 4);
        assert_eq!(latest.sums().ids(), ["a", "d", "e"]);
    }
}
