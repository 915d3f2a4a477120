//! How wrong the clocks of a trace's services are, as far as its calls tell.
//!
//! A server works within its client's wait. Where the two intervals say otherwise, one of the clocks is wrong, and by
//! how much is bounded on both sides:
//!
//! ```text
//! client   c1 |-----------------------------| d1
//! server           s1 |------------| e1                 e1 - d1 <= offset <= s1 - c1
//! ```
//! The offset is the server's clock minus the client's. Of a message only the upper bound holds: it is not taken
//! before it was sent. Bounds from every call between two services are intersected,
//! and added up along the calls that led to a hop. They say nothing of whose clock is wrong, and nothing where zero
//! lies between them: what a trace cannot tell is left to the policy's threshold. Where a caller's span is missing,
//! all that is known is that the hop fell into the time of the trace.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use crate::hop::{Hop, HopKind};
use crate::record::{Service, Span};
use crate::rule::Cx;
use crate::sink::SpanKind;

/// Callers looked at above one hop.
const MOST_CALLERS: usize = 64;
/// Links looked at of one hop.
const MOST_LINKS: usize = 64;

/// The offsets between the services of a trace, where they are certainly not zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Skew<'t> {
    /// From a client to a server: no less than, no more than, in nanoseconds.
    offsets: BTreeMap<(Service<'t>, Service<'t>), (i64, i64)>,
    /// By how much the servers that a client calls may be behind (never above zero) and ahead of it (never below).
    around: BTreeMap<Service<'t>, (i64, i64)>,
    /// First beginning and last end of the trace, by whatever clock.
    whole: (u64, u64),
}

/// What the calls from one service to another say of their clocks' offset.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    /// The tightest: no lower than, no higher than. Crossed where calls contradict one another.
    tight: (i64, i64),
    /// The loosest.
    loose: (i64, i64),
}

impl Bounds {
    /// What one call says; nothing where the server outlived its client's wait.
    fn of_call(client: &Span<'_>, server: &Span<'_>) -> Option<Self> {
        let known = [client.start, client.end, server.start, server.end].iter().all(|time| *time != 0);
        let both = (difference(server.end, client.end), difference(server.start, client.start));
        (known && both.0 <= both.1).then_some(Self { tight: both, loose: both })
    }

    /// What one message says.
    fn of_message(producer: &Span<'_>, consumer: &Span<'_>) -> Option<Self> {
        let known = producer.start != 0 && consumer.start != 0;
        let both = (i64::MIN, difference(consumer.start, producer.start));
        known.then_some(Self { tight: both, loose: both })
    }

    fn and(self, other: Self) -> Self {
        Self {
            tight: (self.tight.0.max(other.tight.0), self.tight.1.min(other.tight.1)),
            loose: (self.loose.0.min(other.loose.0), self.loose.1.max(other.loose.1)),
        }
    }

    /// The offset, where it is certainly not zero. A clock that was set in between contradicts itself: then
    /// everything any call allowed counts.
    fn offset(self) -> Option<(i64, i64)> {
        let (low, high) = if self.tight.0 <= self.tight.1 { self.tight } else { self.loose };
        let contradicts = self.tight.0 > self.tight.1;
        (contradicts || low > 0 || high < 0).then_some((low, high))
    }
}

fn difference(a: u64, b: u64) -> i64 {
    let wide = i128::from(a) - i128::from(b);
    i64::try_from(wide).unwrap_or(if wide < 0 { i64::MIN } else { i64::MAX })
}

impl<'t> Skew<'t> {
    /// Works it out from every call of a trace.
    pub(crate) fn of(cx: &Cx<'t>) -> Self {
        let mut pairs: BTreeMap<(Service<'t>, Service<'t>), Bounds> = BTreeMap::new();
        for hop in cx.hops.iter() {
            let Some((client, bounds)) = call(cx, hop) else { continue };
            pairs
                .entry((client.service, cx.entry(hop).service))
                .and_modify(|known| *known = known.and(bounds))
                .or_insert(bounds);
        }
        let times = |of: fn(&Span<'_>) -> u64| cx.trace.spans().iter().map(of).filter(|time| *time != 0);
        let whole = (times(|span| span.start).min(), times(|span| span.end).max());
        let whole = (whole.0.unwrap_or(u64::MAX), whole.1.unwrap_or(0));
        let mut skew = Self { offsets: BTreeMap::new(), around: BTreeMap::new(), whole };
        for ((client, server), bounds) in pairs {
            let Some((low, high)) = bounds.offset() else { continue };
            skew.offsets.insert((client, server), (low, high));
            if low == i64::MIN {
                // A message bounds one side only, and excuses nothing at its sender.
                continue;
            }
            let (behind, ahead) = skew.around.entry(client).or_default();
            (*behind, *ahead) = ((*behind).min(low), (*ahead).max(high));
        }
        skew
    }

    /// Whether some call of the trace shows that two clocks differ, though perhaps not those of a hop and its callers.
    pub(crate) fn clocks_differ(&self) -> bool {
        !self.offsets.is_empty()
    }

    /// The times that the beginning of a hop may have been on the clocks of all who called on the way to it and of
    /// those it called, nanoseconds since the Unix epoch.
    pub(crate) fn beginnings(&self, cx: &Cx<'t>, hop: &Hop<'_>) -> RangeInclusive<u64> {
        let entry = cx.entry(hop);
        let (mut earliest, mut latest) = self.around.get(&entry.service).copied().unwrap_or_default();
        // How far back and forth the caller's clock, the clock of its caller, and so on, may be.
        let (mut back, mut forth) = (0_i64, 0_i64);
        let (mut server, mut cut_off) = (entry.service, hop.caller_missing);
        let mut before_sent = is_before_sent(cx, hop);
        for above in cx.ancestors(hop).take(MOST_CALLERS) {
            before_sent = before_sent || is_before_sent(cx, above);
            if let Some((low, high)) = self.offsets.get(&(above.service, server)) {
                (back, forth) = (back.saturating_sub(*high), forth.saturating_sub(*low));
                (earliest, latest) = (earliest.min(back), latest.max(forth));
            }
            (server, cut_off) = (cx.entry(above).service, cut_off || above.caller_missing);
        }
        let earliest = entry.start.saturating_add_signed(earliest);
        let latest = entry.start.saturating_add_signed(if before_sent { i64::MAX } else { latest });
        if cut_off { earliest.min(self.whole.0)..=latest.max(self.whole.1) } else { earliest..=latest }
    }
}

/// Whether a message of another trace was taken before it was sent, so that the hop's clock is behind, and perhaps that
/// of those it calls.
fn is_before_sent(cx: &Cx<'_>, hop: &Hop<'_>) -> bool {
    let start = cx.entry(hop).start;
    hop.links.iter().take(MOST_LINKS).filter_map(|link| cx.sender(link)).any(|sender| sender.at > start)
}

/// The caller's span, and what the call or message says.
fn call<'t>(cx: &Cx<'t>, hop: &Hop<'_>) -> Option<(&'t Span<'t>, Bounds)> {
    let client = cx.trace.span(hop.exit?);
    let server = cx.entry(hop);
    if client.service == server.service {
        return None;
    }
    let bounds = match (hop.kind, client.kind) {
        (HopKind::Messaging, _) => Bounds::of_message(client, server),
        (_, SpanKind::Client) => Bounds::of_call(client, server),
        _ => None,
    };
    Some((client, bounds?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::each;

    const MS: i64 = 1_000_000;

    /// When the first hop of `service` may have begun, in milliseconds from its own reading.
    fn beginnings(text: &str, service: &str) -> (i64, i64) {
        let mut found = None;
        each(text, &Default::default(), |_, cx| {
            let Some(hop) = cx.hops.all().iter().find(|hop| hop.service.name == service) else { return };
            let range = Skew::of(cx).beginnings(cx, hop);
            let ms = |time: u64| difference(time, cx.entry(hop).start) / MS;
            found = Some((ms(*range.start()), ms(*range.end())));
        });
        found.expect("service")
    }

    #[test]
    fn table() {
        for (name, trace, expected) in [
            (
                "within its client",
                "a SERVER /\n  a CLIENT call @start=100 @end=200\n    b SERVER / @start=110 @end=190",
                (0, 0),
            ),
            (
                "ahead by 1000 to 1010 ms",
                "a SERVER /\n  a CLIENT call @start=100 @end=200\n    b SERVER / @start=1110 @end=1200",
                (-1010, 0),
            ),
            (
                "behind by 80 to 90 ms",
                "a SERVER /\n  a CLIENT call @start=100 @end=200\n    b SERVER / @start=20 @end=110",
                (0, 90),
            ),
            (
                "two calls bound it tighter",
                "a SERVER /
                   a CLIENT call @start=100 @end=200
                     b SERVER / @start=1120 @end=1190
                   a CLIENT call @start=300 @end=400
                     b SERVER / @start=1305 @end=1350",
                (-1005, 0),
            ),
            (
                "calls that contradict one another",
                "a SERVER /
                   a CLIENT call @start=100 @end=200
                     b SERVER / @start=110 @end=190
                   a CLIENT call @start=300 @end=400
                     b SERVER / @start=1305 @end=1350",
                (-1005, 10),
            ),
            (
                "a client that gave up says nothing",
                "a SERVER /\n  a CLIENT call @start=100 @end=200\n    b SERVER / @start=110 @end=900",
                (0, 0),
            ),
            (
                "a message may wait",
                "a SERVER /\n  a PRODUCER send @start=100 @end=200\n    b CONSUMER / @start=5000 @end=5100",
                (0, 0),
            ),
            (
                "a message taken before it was sent",
                "a SERVER /\n  a PRODUCER send @start=100 @end=200\n    b CONSUMER / @start=40 @end=50",
                (0, i64::MAX / MS),
            ),
            (
                "a message of another trace, taken before it was sent",
                "b CONSUMER / @start=40 @end=50 @link=2/2\na PRODUCER send @trace=2 @start=100 @end=200 @parent=0",
                (0, i64::MAX / MS),
            ),
            (
                "a caller that is missing",
                "a SERVER / @start=1000 @end=2000\nb SERVER / @start=5000 @end=5100 @parent=99",
                (-4000, 100),
            ),
            ("a trace without calls", "b SERVER /", (0, 0)),
        ] {
            assert_eq!(beginnings(trace, "b"), expected, "{name}");
        }
    }

    #[test]
    fn either_side_may_be_the_wrong_one() {
        let trace = "a SERVER /\n  a CLIENT call @start=100 @end=200\n    b SERVER / @start=1110 @end=1200";
        assert_eq!(beginnings(trace, "a"), (0, 1010));
    }

    #[test]
    fn offsets_add_up_along_the_way() {
        let trace = "a SERVER / @start=1000 @end=2000
             a CLIENT call @start=1100 @end=1200
               b SERVER / @start=1610 @end=1700
                 b CLIENT call @start=1620 @end=1690
                   c SERVER / @start=2130 @end=2180";
        // c is 490 to 510 ms ahead of b, which is 500 to 510 ms ahead of a.
        assert_eq!(beginnings(trace, "c"), (-1020, 0));
    }
}
