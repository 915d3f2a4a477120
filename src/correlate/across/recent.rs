//! What is of no window, live: credentials and transactions that were accepted of late, and credentials in resources. What
//! comes is judged at once with what was there, however long ago that was.

use std::collections::HashSet;

use rustc_hash::FxHashMap;

use super::bounded::Key;
use super::once::{Kind, Seen};
use super::resource::ResourceLeak;
use super::stored::Stored;
use super::{Across, View, judged};
use crate::finding::{Finding, FindingId};
use crate::judge::Verdict;
use crate::policy::Policy;

/// What is kept of each kind at most: that which came last.
const MOST: Limits = Limits { count: 1 << 17, bytes: 32 << 20 };
/// After so long, in nanoseconds, what still is there is told of again, in case that was forgotten: a day.
const AGAIN: u64 = 86_400_000_000_000;

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
    ids: [Latest<Seen>; Kind::ALL.len()],
    leaks: Latest<ResourceLeak>,
}

impl Default for Recent {
    fn default() -> Self {
        Self { ids: Kind::ALL.map(|_| Latest::new(MOST)), leaks: Latest::new(MOST) }
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
        for leak in std::mem::take(&mut from.resource_leaks).finish().0 {
            let [known, now] = self.leaks.add(leak);
            // The finding is the same, but may have been forgotten.
            let is_old = |known: &ResourceLeak| now.as_ref().is_some_and(|now| now.last != known.last);
            before.resource_leaks.extend(known.filter(|known| !is_old(known)));
            after.resource_leaks.extend(now);
        }
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
        let kept: usize = self.ids.iter().map(|latest| latest.kept.len()).sum();
        let forgotten: u64 = self.ids.iter().map(|latest| latest.forgotten).sum();
        (kept + self.leaks.kept.len(), forgotten + self.leaks.forgotten)
    }

    /// All of it as bytes in parts of about so many, for [`read`](Self::read) alone.
    #[must_use]
    pub fn write(&self, part: usize) -> Vec<Vec<u8>> {
        let mut parts = Vec::new();
        for latest in &self.ids {
            latest.write(false, part, &mut parts);
        }
        self.leaks.write(true, part, &mut parts);
        parts
    }

    /// Adds a part that [`write`](Self::write) wrote; `None` for anything else, what another version wrote included.
    #[must_use]
    pub fn read(&mut self, mut bytes: &[u8]) -> Option<()> {
        (u32::read(&mut bytes)? == super::FORM).then_some(())?;
        let are_leaks = bool::read(&mut bytes)?;
        while !bytes.is_empty() {
            let came = u64::read(&mut bytes)?;
            if are_leaks {
                self.leaks.put(ResourceLeak::read(&mut bytes)?, came);
            } else {
                let seen = Seen::read(&mut bytes)?;
                self.latest(seen.kind).put(seen, came);
            }
        }
        Some(())
    }

    fn latest(&mut self, kind: Kind) -> &mut Latest<Seen> {
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

/// What there may be.
#[derive(Debug, Clone, Copy)]
struct Limits {
    count: usize,
    /// Texts are as long as senders make them.
    bytes: usize,
}

/// What is remembered by a key.
trait Remembered: Clone + PartialEq + Stored {
    fn key(&self) -> Key;
    fn merge(&mut self, other: Self);
    /// Bytes of all that has no fixed size.
    fn bytes(&self) -> usize;
    /// Whether it is worth to look at, when it is new.
    fn is_news(&self) -> bool;
}

impl Remembered for Seen {
    fn key(&self) -> Key {
        self.key
    }

    fn merge(&mut self, other: Self) {
        Self::merge(self, other);
    }

    fn bytes(&self) -> usize {
        Self::bytes(self)
    }

    fn is_news(&self) -> bool {
        self.is_again()
    }
}

impl Remembered for ResourceLeak {
    fn key(&self) -> Key {
        Self::key(self)
    }

    /// The last time only where it is much later, or each would be news.
    fn merge(&mut self, other: Self) {
        let last = if other.last >= self.last.saturating_add(AGAIN) { other.last } else { self.last };
        Self::merge(self, other);
        self.last = last;
    }

    fn bytes(&self) -> usize {
        self.text.len() + self.service.bytes()
    }

    fn is_news(&self) -> bool {
        true
    }
}

/// What came last.
#[derive(Debug)]
struct Latest<T> {
    /// With the number of what came when it last came.
    kept: FxHashMap<Key, (u64, Box<T>)>,
    came: u64,
    bytes: usize,
    limits: Limits,
    forgotten: u64,
}

impl<T: Remembered> Latest<T> {
    fn new(limits: Limits) -> Self {
        Self { kept: FxHashMap::default(), came: 0, bytes: 0, limits, forgotten: 0 }
    }

    /// Adds what came. Returns what there was of it and what there is now, where these differ.
    fn add(&mut self, new: T) -> [Option<T>; 2] {
        self.came += 1;
        let Some((came, known)) = self.kept.get_mut(&new.key()) else {
            // Of one delivery alone it may be enough.
            let now = new.is_news().then(|| new.clone());
            let came = self.came;
            self.put(new, came);
            return [None, now];
        };
        *came = self.came;
        let before = (**known).clone();
        known.merge(new);
        self.bytes = self.bytes.saturating_add(known.bytes()).saturating_sub(before.bytes());
        if **known == before { [None, None] } else { [Some(before), Some((**known).clone())] }
    }

    /// Puts in what is not there.
    fn put(&mut self, new: T, came: u64) {
        self.came = self.came.max(came);
        self.bytes += new.bytes();
        self.kept.insert(new.key(), (came, Box::new(new)));
        if self.kept.len() > self.limits.count || self.bytes > self.limits.bytes {
            self.make_room();
        }
    }

    /// Forgets a quarter at least: the oldest, and many at once, so that the cost is spread.
    fn make_room(&mut self) {
        let mut oldest: Vec<(u64, Key, usize)> =
            self.kept.values().map(|(came, known)| (*came, known.key(), known.bytes())).collect();
        oldest.sort_unstable();
        let count = self.limits.count - self.limits.count / 4;
        let bytes = self.limits.bytes - self.limits.bytes / 4;
        for (_, key, size) in oldest {
            if self.kept.len() <= count && self.bytes <= bytes {
                break;
            }
            self.kept.remove(&key);
            self.bytes -= size;
            self.forgotten += 1;
        }
    }

    /// Writes it in parts of about so many bytes.
    fn write(&self, are_leaks: bool, part: usize, parts: &mut Vec<Vec<u8>>) {
        // In order, so that the same is written of the same.
        let mut sorted: Vec<(&Key, &(u64, Box<T>))> = self.kept.iter().collect();
        sorted.sort_unstable_by_key(|(key, _)| **key);
        let mut bytes: Vec<u8> = Vec::new();
        for (_, (came, known)) in sorted {
            if bytes.is_empty() {
                super::FORM.write(&mut bytes);
                are_leaks.write(&mut bytes);
            }
            came.write(&mut bytes);
            known.write(&mut bytes);
            if bytes.len() >= part {
                parts.push(std::mem::take(&mut bytes));
            }
        }
        parts.extend(Some(bytes).filter(|bytes| !bytes.is_empty()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{each, traces};

    const ONCE: &str = "gw SERVER GET / hopseal.sub=a hopseal.assurance=verified hopseal.one_time=true";
    const DAY: u64 = 86_400_000;

    /// What is told of traces, one after the other: an id, and what of it.
    fn told(recent: &mut Recent, text: &str) -> Vec<(String, String)> {
        let policy = Policy::default();
        let mut told = Vec::new();
        each(text, &policy, |_, cx| {
            let mut across = Across::default();
            across.observe(cx);
            let News { verdict, retracted } = recent.take(&mut across, &policy);
            let found =
                verdict.findings.iter().map(|finding| (finding.id.to_string(), finding.message.clone()));
            told.extend(found.chain(retracted.iter().map(|id| (id.to_string(), "retracted".to_owned()))));
            assert!(across.sightings.finish().0.is_empty());
        });
        told
    }

    fn once(id: &str, trace: u64, start: u64) -> String {
        format!("{ONCE} hopseal.token_fingerprint={id} @trace={trace} @start={start}\n")
    }

    /// As the next process has it.
    fn again(recent: &Recent, part: usize) -> Recent {
        let mut again = Recent::default();
        for bytes in recent.write(part) {
            again.read(&bytes).expect("as written");
        }
        again
    }

    #[test]
    fn a_second_use_is_told_of_at_once_and_whenever_it_comes() {
        let mut recent = Recent::default();
        assert_eq!(told(&mut recent, &once("f", 1, 3 * DAY)), []);
        let [bytes] = &recent.write(1 << 20)[..] else { panic!("one part") };
        for len in (1..bytes.len()).step_by(7).filter(|len| *len != 5) {
            assert!(Recent::default().read(bytes.get(..len).expect("shorter")).is_none(), "{len}");
        }
        let mut recent = again(&recent, 1 << 20);
        assert_eq!(recent.counts(), (1, 0));
        // Others are none of its business, and the same again is no news.
        assert_eq!(told(&mut recent, &once("g", 2, 3 * DAY)), []);
        assert_eq!(told(&mut recent, &once("f", 1, 3 * DAY)), []);
        // In parts of one each.
        let mut recent = again(&recent, 1);
        assert_eq!(recent.counts(), (2, 0));
        let second = told(&mut recent, &once("f", 3, 6 * DAY));
        assert!(second.len() == 1 && second[0].1.contains("in 2 traces"), "{second:?}");
        assert_eq!(told(&mut recent, &once("f", 3, 6 * DAY)), []);
        let third = told(&mut recent, &once("f", 4, 6 * DAY));
        assert!(third.len() == 1 && third[0].1.contains("in 3 traces"), "{third:?}");
        assert_eq!(second[0].0, third[0].0);
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
        assert!(again.1.contains("in 3 traces") && again.0 != found.0, "{other:?}");
        assert_eq!(*retracted, (found.0.clone(), "retracted".to_owned()));
    }

    /// Guarantees: past either bound what came last is kept, whatever times senders say.
    #[test]
    fn what_came_first_is_forgotten_first() {
        let ids: Vec<String> = (0..20).map(|id| once(&format!("f{id}"), 100 + id, 1 + id * 7 % 20)).collect();
        let mut recent = Recent::default();
        told(&mut recent, &ids.concat());
        let mut all: Vec<(u64, Seen)> =
            recent.latest(Kind::OneTime).kept.values().map(|(at, seen)| (*at, (**seen).clone())).collect();
        all.sort_by_key(|(at, _)| *at);
        let each = all[0].1.bytes();
        for limits in [
            Limits { count: 8, bytes: usize::MAX },
            Limits { count: usize::MAX / 2, bytes: 8 * each + each / 2 },
        ] {
            let mut latest = Latest::new(limits);
            for (_, seen) in all.iter().cloned() {
                latest.add(seen);
                assert!(
                    latest.kept.len() <= 8
                        && latest.bytes == latest.kept.values().map(|(_, seen)| seen.bytes()).sum::<usize>()
                );
            }
            assert_eq!(latest.kept.len() as u64 + latest.forgotten, 20);
            assert!(latest.kept.len() >= 5);
            assert!(
                all[20 - latest.kept.len()..].iter().all(|(_, seen)| latest.kept.contains_key(&seen.key))
            );
        }
    }

    #[test]
    fn a_credential_of_a_resource_is_told_of_once_a_day() {
        let mut recent = Recent::default();
        let of_day =
            |day: u64| traces(3, &format!("gw SERVER GET / %app.password=hunter2 @start={}", day * DAY));
        let first = told(&mut recent, &of_day(1));
        assert_eq!(first.len(), 1);
        assert_eq!(told(&mut recent, &of_day(1)), []);
        let mut recent = again(&recent, 1);
        assert_eq!(told(&mut recent, &of_day(1)), []);
        assert_eq!(told(&mut recent, &of_day(2)), first);
        assert_eq!(told(&mut recent, &of_day(2)), []);
        assert_eq!(told(&mut recent, &of_day(2).replace("gw ", "shop ")).len(), 1);
    }
}
