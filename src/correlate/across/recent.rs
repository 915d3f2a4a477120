//! What is of no window, live: credentials and transactions that were accepted of late, and credentials in resources. What
//! comes is judged at once with what was there, however long ago that was.

use std::collections::HashSet;

use rustc_hash::FxHashMap;

use super::bounded::Key;
use super::once::{Kind, Seen};
use super::resource::ResourceLeaks;
use super::stored::Stored;
use super::{Across, View, judged};
use crate::finding::{Finding, FindingId};
use crate::judge::Verdict;
use crate::policy::Policy;

/// Ids kept of each kind: those that were accepted last.
const MAX_IDS: usize = 1 << 17;

/// What became of findings when something was added.
#[derive(Debug, Default)]
pub struct News {
    /// What is found now and was not, or was found otherwise.
    pub verdict: Verdict,
    /// What was found before and is no more: a first use that came to be known late makes it another finding, and a link none.
    pub retracted: Vec<FindingId>,
}

/// See the [module](self).
#[derive(Debug)]
pub struct Recent {
    ids: [Latest; Kind::ALL.len()],
    leaks: ResourceLeaks,
}

impl Default for Recent {
    fn default() -> Self {
        Self { ids: Kind::ALL.map(|_| Latest::new(MAX_IDS)), leaks: ResourceLeaks::default() }
    }
}

impl Recent {
    /// Takes what is of no window out of what was gathered, and says what it changes. Whatever comes twice changes nothing.
    pub fn take(&mut self, from: &mut Across, policy: &Policy) -> News {
        let (mut before, mut after) = (view(policy), view(policy));
        for seen in std::mem::take(&mut from.sightings).finish().0 {
            let [known, now] = self.latest(seen.kind).add(seen);
            before.seen.extend(known.filter(Seen::is_again));
            after.seen.extend(now.filter(Seen::is_again));
        }
        let [known, now] = self.leaks.add(std::mem::take(&mut from.resource_leaks));
        before.resource_leaks = known;
        after.resource_leaks = now;
        if after.seen.is_empty() && after.resource_leaks.is_empty() {
            return News::default();
        }
        let (before, mut verdict) = (judged(&before, &[]), judged(&after, &[]));
        let stands: HashSet<FindingId> = verdict.findings.iter().map(|finding| finding.id).collect();
        let is_over = |finding: &&Finding| !stands.contains(&finding.id);
        let retracted = before.findings.iter().filter(is_over).map(|finding| finding.id).collect();
        verdict.findings.retain(|finding| !before.findings.contains(finding));
        let was_quieted: HashSet<FindingId> =
            before.suppressed.iter().map(|known| known.finding.id).collect();
        verdict.suppressed.retain(|suppressed| !was_quieted.contains(&suppressed.finding.id));
        News { verdict, retracted }
    }

    /// How many credentials and transactions are kept, and how many were forgotten since the start: a second use of those is
    /// not seen.
    #[must_use]
    pub fn counts(&self) -> (usize, u64) {
        let kept = self.ids.iter().map(|latest| latest.kept.len()).sum();
        (kept, self.ids.iter().map(|latest| latest.forgotten).sum())
    }

    /// Appends it as bytes, for [`read`](Self::read) alone.
    pub fn write(&self, to: &mut Vec<u8>) {
        super::FORM.write(to);
        let all = self.ids.iter().map(|latest| latest.kept.len() as u64).sum::<u64>();
        all.write(to);
        for latest in &self.ids {
            // In order, so that the same is written of the same.
            let mut seen: Vec<&Seen> = latest.kept.values().map(Box::as_ref).collect();
            seen.sort_unstable_by_key(|seen| seen.key);
            seen.into_iter().for_each(|seen| seen.write(to));
        }
        self.leaks.write(to);
    }

    /// Reads what [`write`](Self::write) wrote; `None` for anything else, what another version wrote included.
    #[must_use]
    pub fn read(mut bytes: &[u8]) -> Option<Self> {
        (u32::read(&mut bytes)? == super::FORM).then_some(())?;
        let mut recent = Self::default();
        for _ in 0..u64::read(&mut bytes)? {
            let seen = Seen::read(&mut bytes)?;
            recent.latest(seen.kind).add(seen);
        }
        recent.leaks = Stored::read(&mut bytes)?;
        bytes.is_empty().then_some(recent)
    }

    fn latest(&mut self, kind: Kind) -> &mut Latest {
        let [one_time, transaction, bearer] = &mut self.ids;
        match kind {
            Kind::OneTime => one_time,
            Kind::Transaction => transaction,
            Kind::Bearer => bearer,
        }
    }
}

/// A view of nothing yet.
fn view(policy: &Policy) -> View<'_> {
    View {
        policy,
        baseline: None,
        endpoints: Vec::new(),
        reaches: Vec::new(),
        resource_leaks: Vec::new(),
        seen: Vec::new(),
        sessions: Vec::new(),
        wires: Vec::new(),
    }
}

/// Those that were accepted last.
#[derive(Debug)]
struct Latest {
    kept: FxHashMap<Key, Box<Seen>>,
    limit: usize,
    forgotten: u64,
}

impl Latest {
    fn new(limit: usize) -> Self {
        Self { kept: FxHashMap::default(), limit, forgotten: 0 }
    }

    /// Adds what was seen. Returns what there was of it and what there is now, where these differ.
    fn add(&mut self, seen: Seen) -> [Option<Seen>; 2] {
        let key = seen.key;
        let Some(known) = self.kept.get_mut(&key) else {
            self.make_room();
            // Of one delivery alone it may be enough.
            let now = seen.is_again().then(|| seen.clone());
            self.kept.insert(key, Box::new(seen));
            return [None, now];
        };
        let before = (**known).clone();
        known.merge(seen);
        if **known == before { [None, None] } else { [Some(before), Some((**known).clone())] }
    }

    /// Forgets the oldest, many at once, so that the cost is spread.
    fn make_room(&mut self) {
        if self.kept.len() < self.limit {
            return;
        }
        let mut times: Vec<(u64, Key)> = self.kept.values().map(|seen| (seen.last(), seen.key)).collect();
        let (_, last, _) = times.select_nth_unstable(self.limit / 4);
        let last = *last;
        self.kept.retain(|_, seen| (seen.last(), seen.key) > last);
        self.forgotten += (times.len() - self.kept.len()) as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{each, traces};

    const ONCE: &str = "gw SERVER GET / hopseal.sub=a hopseal.assurance=verified hopseal.one_time=true";

    /// What is told of traces, one after the other.
    fn told(recent: &mut Recent, text: &str) -> Vec<String> {
        let policy = Policy::default();
        let mut told = Vec::new();
        each(text, &policy, |_, cx| {
            let mut across = Across::default();
            across.observe(cx);
            let News { verdict, retracted } = recent.take(&mut across, &policy);
            let again = verdict.findings.iter().map(|finding| format!("{} {}", finding.id, finding.message));
            told.extend(again.chain(retracted.iter().map(|id| format!("{id} retracted"))));
            assert!(across.sightings.finish().0.is_empty());
        });
        told
    }

    fn once(id: &str, trace: u64, start: u64) -> String {
        format!("{ONCE} hopseal.token_fingerprint={id} @trace={trace} @start={start}\n")
    }

    #[test]
    fn a_second_use_is_told_of_at_once_and_whenever_it_comes() {
        const DAYS: u64 = 3 * 86_400_000;
        let mut recent = Recent::default();
        assert_eq!(told(&mut recent, &once("f", 1, DAYS)), [""; 0]);
        let mut bytes = Vec::new();
        recent.write(&mut bytes);
        for len in (0..bytes.len()).step_by(7) {
            assert!(Recent::read(&bytes[..len]).is_none(), "{len}");
        }
        let mut recent = Recent::read(&bytes).expect("as written");
        assert_eq!(recent.counts(), (1, 0));
        // Others are none of its business, and the same again is no news.
        assert_eq!(told(&mut recent, &once("g", 2, DAYS)), [""; 0]);
        assert_eq!(told(&mut recent, &once("f", 1, DAYS)), [""; 0]);
        let second = told(&mut recent, &once("f", 3, 2 * DAYS));
        assert!(second.len() == 1 && second[0].contains("in 2 traces"), "{second:?}");
        assert_eq!(told(&mut recent, &once("f", 3, 2 * DAYS)), [""; 0]);
        let third = told(&mut recent, &once("f", 4, 2 * DAYS));
        assert!(third.len() == 1 && third[0].contains("in 3 traces"), "{third:?}");
        assert_eq!(second[0][..32], third[0][..32]);
    }

    #[test]
    fn what_was_told_is_taken_back_where_more_says_otherwise() {
        let mut recent = Recent::default();
        let elsewhere = once("f", 3, 1).replace("gw SERVER GET /", "shop SERVER GET /o");
        let two = told(&mut recent, &(once("f", 1, 10) + &once("f", 2, 11)));
        // Another was the first, though it comes last: what was found is found of that one.
        let other = told(&mut recent, &elsewhere);
        let [found] = &two[..] else { panic!("{two:?}") };
        let [again, retracted] = &other[..] else { panic!("{other:?}") };
        assert!(again.contains("in 3 traces") && again[..32] != found[..32], "{other:?}");
        assert_eq!(*retracted, format!("{} retracted", &found[..32]));
    }

    #[test]
    fn the_oldest_are_forgotten_first() {
        let mut latest = Latest::new(8);
        let mut recent = Recent::default();
        let ids: Vec<String> = (0..20).map(|id| once(&format!("f{id}"), 100 + id, 1 + id * 7 % 20)).collect();
        told(&mut recent, &ids.concat());
        let mut all: Vec<Seen> =
            recent.latest(Kind::OneTime).kept.values().map(|seen| (**seen).clone()).collect();
        all.sort_by_key(|seen| seen.last());
        for seen in all.iter().cloned() {
            latest.add(seen);
            assert!(latest.kept.len() <= 8);
        }
        assert_eq!(latest.kept.len() as u64 + latest.forgotten, 20);
        let kept = all.iter().filter(|seen| latest.kept.contains_key(&seen.key)).count();
        assert!(all[20 - kept..].iter().all(|seen| latest.kept.contains_key(&seen.key)));
    }

    #[test]
    fn a_credential_of_a_resource_is_told_of_once() {
        let mut recent = Recent::default();
        let text = traces(3, "gw SERVER GET / %app.password=hunter2");
        assert_eq!(told(&mut recent, &text).len(), 1);
        assert_eq!(told(&mut recent, &text), [""; 0]);
        assert_eq!(told(&mut recent, &text.replace("gw ", "shop ")).len(), 1);
    }
}
