//! Questions as Jaeger's clients put them into a URL. What is not known is left alone, as Jaeger does.

use std::collections::BTreeMap;
use std::time::Duration;

use hopseal_correlate::policy::Date;
use hopseal_correlate::sink::TraceId;
use hopseal_identity::attribute;

use super::shape::{ACTORS, PRINCIPAL};
use crate::hex;
use crate::serve::api::{Problem, cursor};
use crate::serve::store::{Cursor, DAY, Interval};

/// Traces of one answer, and at most.
const TRACES: usize = 100;
const MOST_TRACES: usize = 1500;
/// How far back is looked where nobody says.
const BACK: u64 = 2 * DAY;
/// The same for dependencies.
const DEPENDENCIES_BACK: u64 = DAY;
/// Stands for every service: Grafana asks for none without naming one.
const ANY: &str = "*";
/// What version 3 calls tags.
const ATTRIBUTES: &str = "query.attributes";
/// Nanoseconds.
const MICROSECOND: u64 = 1_000;
const MILLISECOND: u64 = 1_000_000;

/// Name and value, as they come.
pub(super) type Pairs = Vec<(String, String)>;

pub(super) fn pairs(query: Option<&str>) -> Pairs {
    form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned().collect()
}

/// The first value of that name; an empty one is none.
pub(super) fn param<'p>(pairs: &'p Pairs, name: &str) -> Option<&'p str> {
    let mut values = pairs.iter().filter(|(other, _)| other == name).map(|(_, value)| value.as_str());
    values.next().filter(|value| !value.is_empty())
}

/// Whether tags that are searched for name a principal, or cannot be read.
pub(crate) fn names_somebody(query: &str) -> bool {
    let names = |tags: BTreeMap<String, String>| {
        [PRINCIPAL, ACTORS, attribute::TENANT].iter().any(|key| tags.contains_key(*key))
    };
    tags(&pairs(Some(query))).map_or(true, names)
}

/// Tags that have to be there: `tag=key:value`, and `tags=` (with version 3 `query.attributes=`) a JSON object of texts.
fn tags(pairs: &Pairs) -> Result<BTreeMap<String, String>, Problem> {
    let mut tags = BTreeMap::new();
    for (name, value) in pairs.iter().filter(|(_, value)| !value.is_empty()) {
        match &**name {
            "tag" => {
                let (key, value) = value.split_once(':').ok_or_else(|| {
                    Problem::Asked("malformed 'tag' parameter, expecting key:value".to_owned())
                })?;
                tags.insert(key.to_owned(), value.to_owned());
            }
            "tags" | ATTRIBUTES => {
                let more: BTreeMap<String, String> = serde_json::from_str(value).map_err(|_| {
                    Problem::Asked(format!(
                        "malformed '{name}' parameter, expecting a JSON object of strings"
                    ))
                })?;
                tags.extend(more);
            }
            _ => {}
        }
    }
    Ok(tags)
}

fn number(pairs: &Pairs, name: &str) -> Result<Option<u64>, Problem> {
    let Some(value) = param(pairs, name) else { return Ok(None) };
    value.parse().map(Some).map_err(|_| unable(name))
}

fn unable(name: &str) -> Problem {
    Problem::Asked(format!("unable to parse param '{name}'"))
}

/// A length of time as Go writes them: `1.5s`, `200ms`, `1h2m`.
fn duration(text: &str) -> Option<Duration> {
    let (mut sum, mut rest) = (Duration::ZERO, text);
    while !rest.is_empty() {
        let is_number = |letter: char| letter.is_ascii_digit() || letter == '.';
        let (number, after) = rest.split_at_checked(rest.find(|letter| !is_number(letter))?)?;
        let unit_ends = after.find(is_number).unwrap_or(after.len());
        let (unit, after) = after.split_at_checked(unit_ends)?;
        let seconds = match unit {
            "ns" => 1e-9,
            "us" | "\u{b5}s" | "\u{3bc}s" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        let length = Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()?;
        (sum, rest) = (sum.checked_add(length)?, after);
    }
    (!text.is_empty()).then_some(sum)
}

/// A moment as RFC 3339 writes it, to nanoseconds, in nanoseconds since the Unix epoch.
fn instant(text: &str) -> Option<u64> {
    let (date, time) = text.split_once(['T', 't', ' '])?;
    let begin = Date::parse(date)?.start();
    let (clock, minutes) = match time.strip_suffix(['Z', 'z']) {
        Some(clock) => (clock, 0),
        None => {
            let (clock, offset) = time.split_at_checked(time.rfind(['+', '-'])?)?;
            let (hours, minutes) = offset.get(1..)?.split_once(':')?;
            let minutes = two(hours, 23)? * 60 + two(minutes, 59)?;
            (clock, if offset.starts_with('-') { -minutes } else { minutes })
        }
    };
    let (clock, part) = clock.split_once('.').map_or((clock, ""), |(clock, part)| (clock, part));
    let is_part = part.len() <= 9 && part.bytes().all(|digit| digit.is_ascii_digit());
    let nanos: u64 = format!("{part:0<9}").parse().ok().filter(|_| is_part)?;
    let mut parts = clock.split(':');
    let (hour, minute, second) = (two(parts.next()?, 23)?, two(parts.next()?, 59)?, two(parts.next()?, 60)?);
    if parts.next().is_some() {
        return None;
    }
    let of_day = (hour * 60 + minute - minutes) * 60 + second;
    let seconds = (begin / 1_000_000_000).checked_add_signed(of_day)?;
    seconds.checked_mul(1_000_000_000)?.checked_add(nanos)
}

/// Two digits, of a number that is no larger.
fn two(text: &str, most: i64) -> Option<i64> {
    let is_two = text.len() == 2 && text.bytes().all(|digit| digit.is_ascii_digit());
    text.parse().ok().filter(|number| is_two && *number <= most)
}

fn length(pairs: &Pairs, name: &str) -> Result<Option<u64>, Problem> {
    let Some(value) = param(pairs, name) else { return Ok(None) };
    let nanoseconds = duration(value).and_then(|length| u64::try_from(length.as_nanos()).ok());
    nanoseconds.map(Some).ok_or_else(|| unable(name))
}

/// 1 to 32 hex digits, not all of them zero: older systems write shorter ids.
pub(super) fn trace_id(text: &str) -> Result<TraceId, Problem> {
    let whole = (1..=32).contains(&text.len()).then(|| format!("{text:0>32}"));
    let id = whole.and_then(|text| hex::id(&text)).and_then(TraceId::new);
    id.ok_or_else(|| Problem::Asked("a trace id is 1 to 32 hex digits, not all of them zero".to_owned()))
}

/// Which traces: those with a hop of which all of this is so.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Search {
    /// `None`: any.
    pub(super) service: Option<String>,
    pub(super) operation: Option<String>,
    pub(super) tags: BTreeMap<String, String>,
    /// When the hop began.
    pub(super) interval: Interval,
    /// How long it took.
    pub(super) lasting: Interval,
    /// Most traces in the answer.
    pub(super) limit: usize,
    /// Where the page before ended.
    pub(super) after: Option<Cursor>,
}

/// Whether an answer of version 3 may be one page of several: only that of trace summaries says how it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Paged {
    Yes,
    No,
}

impl Search {
    /// # Errors
    /// [`Problem::Asked`]: it cannot be understood.
    pub(super) fn parse(pairs: &Pairs, now: u64) -> Result<Self, Problem> {
        let service = param(pairs, "service")
            .ok_or_else(|| Problem::Asked("parameter 'service' is required".to_owned()))?;
        let start = number(pairs, "start")?.map(|start| start.saturating_mul(MICROSECOND));
        // The last microsecond counts.
        let end =
            number(pairs, "end")?.map(|end| end.saturating_add(1).saturating_mul(MICROSECOND)).unwrap_or(now);
        let (least, most) = (length(pairs, "minDuration")?, length(pairs, "maxDuration")?);
        if let (Some(least), Some(most)) = (least, most)
            && most < least
        {
            return Err(Problem::Asked("'maxDuration' should be greater than 'minDuration'".to_owned()));
        }
        let limit = match number(pairs, "limit")?.map(usize::try_from) {
            None => TRACES,
            Some(Ok(limit @ 1..=MOST_TRACES)) => limit,
            Some(_) => return Err(Problem::Asked(format!("'limit' is 1 to {MOST_TRACES}"))),
        };
        Ok(Self {
            service: (service != ANY).then(|| service.to_owned()),
            operation: param(pairs, "operation").map(str::to_owned),
            tags: tags(pairs)?,
            interval: Interval { from: start.unwrap_or(now.saturating_sub(BACK)), to: end },
            lasting: Interval {
                from: least.unwrap_or(0),
                to: most.map_or(u64::MAX, |most| most.saturating_add(1)),
            },
            limit,
            after: None,
        })
    }

    /// By version 3, where the end of a time is not of it. What has a newer and an older name may be called by either.
    ///
    /// # Errors
    /// [`Problem::Asked`]: it cannot be understood.
    pub(super) fn parse_v3(pairs: &Pairs, paged: Paged, now: u64) -> Result<Self, Problem> {
        // As a Jaeger answers that was not told to take them: without, more would be found than is asked for.
        if param(pairs, "query.filter").is_some() {
            return Err(Problem::Asked(
                "the structured query filter is disabled: use query.attributes".to_owned(),
            ));
        }
        let [page_size, page_token] = ["query.pagination.pageSize", "query.pagination.pageToken"]
            .map(|name| (name, param(pairs, name)));
        let is_page = page_size.1.is_some() || page_token.1.is_some();
        if is_page && paged == Paged::No {
            return Err(Problem::Asked("traces have no pages: ask for /api/v3/trace-summaries".to_owned()));
        }
        let either = |names: [&'static str; 2]| {
            names.into_iter().find_map(|name| param(pairs, name).map(|value| (name, value)))
        };
        let malformed = |name: &str| Problem::Asked(format!("malformed parameter {name}"));
        let moment = |names| {
            let read = |(name, value)| instant(value).ok_or_else(|| malformed(name));
            either(names).map(read).transpose()
        };
        let length = |names| {
            let nanos = |text| duration(text).and_then(|length| u64::try_from(length.as_nanos()).ok());
            let read = |(name, value)| nanos(value).ok_or_else(|| malformed(name));
            either(names).map(read).transpose()
        };
        let depth = either(["query.searchDepth", "query.search_depth"]).or(either(["query.num_traces"; 2]));
        if let (true, Some((name, _))) = (is_page, depth) {
            return Err(Problem::Asked(format!("pages and {name} exclude each other")));
        }
        let after =
            page_token.1.map(|token| cursor(token).ok_or_else(|| malformed(page_token.0))).transpose()?;
        let limit = match depth.or(page_size.1.map(|size| (page_size.0, size))) {
            None => TRACES,
            Some((name, value)) => {
                let depth = value.parse::<usize>().map_err(|_| malformed(name))?;
                // None at all is asked for by nobody: it is the default, as of Jaeger.
                if depth == 0 { TRACES } else { depth.min(MOST_TRACES) }
            }
        };
        let service = either(["query.serviceName", "query.service_name"]).map(|(_, name)| name);
        let operation = either(["query.operationName", "query.operation_name"]).map(|(_, name)| name);
        let from = moment(["query.startTimeMin", "query.start_time_min"])?;
        let to = moment(["query.startTimeMax", "query.start_time_max"])?;
        let least = length(["query.durationMin", "query.duration_min"])?;
        let most = length(["query.durationMax", "query.duration_max"])?;
        Ok(Self {
            service: service.filter(|service| *service != ANY).map(str::to_owned),
            operation: operation.map(str::to_owned),
            tags: tags(pairs)?,
            interval: Interval { from: from.unwrap_or(now.saturating_sub(BACK)), to: to.unwrap_or(now) },
            lasting: Interval {
                from: least.unwrap_or(0),
                to: most.map_or(u64::MAX, |most| most.saturating_add(1)),
            },
            limit,
            after,
        })
    }

    /// Whose hops, if that is asked for.
    pub(super) fn principal(&self) -> Option<&str> {
        self.tags.get(PRINCIPAL).map(String::as_str)
    }
}

/// Which minutes: those of a time that ends at `endTs` and is `lookback` long, in milliseconds.
///
/// # Errors
/// [`Problem::Asked`]: it cannot be understood.
pub(super) fn period(pairs: &Pairs, now: u64) -> Result<Interval, Problem> {
    let end = number(pairs, "endTs")?.map_or(now, |end| end.saturating_mul(MILLISECOND));
    let back = number(pairs, "lookback")?;
    let back = back.map_or(DEPENDENCIES_BACK, |back| back.saturating_mul(MILLISECOND));
    Ok(Interval { from: end.saturating_sub(back), to: end })
}

/// The same by version 3: from `startTime` up to, and without, `endTime`.
///
/// # Errors
/// [`Problem::Asked`]: it cannot be understood.
pub(super) fn period_v3(pairs: &Pairs, now: u64) -> Result<Interval, Problem> {
    let moment = |name| {
        let read = |text| instant(text).ok_or_else(|| Problem::Asked(format!("malformed parameter {name}")));
        param(pairs, name).map(read).transpose()
    };
    let to = moment("endTime")?.unwrap_or(now);
    Ok(Interval { from: moment("startTime")?.unwrap_or(to.saturating_sub(DEPENDENCIES_BACK)), to })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_read_as_go_writes_them() {
        for (text, nanoseconds) in [
            ("100ms", Some(100_000_000)),
            ("1.5s", Some(1_500_000_000)),
            ("1h2m3s", Some(3_723_000_000_000)),
            ("7us", Some(7_000)),
            ("7\u{b5}s", Some(7_000)),
            ("12ns", Some(12)),
            ("0s", Some(0)),
            ("", None),
            ("5", None),
            ("s", None),
            ("-1s", None),
            ("1.2.3s", None),
            ("1d", None),
            ("1s2", None),
        ] {
            let read = duration(text).map(|length| length.as_nanos());
            assert_eq!(read, nanoseconds, "{text}");
        }
    }

    #[test]
    fn moments_are_read_as_rfc_3339_writes_them() {
        const EPOCH: u64 = 1_767_225_600_000_000_000;
        for (text, expected) in [
            ("2026-01-01T00:00:00Z", Some(EPOCH)),
            ("2026-01-01T00:00:00.5Z", Some(EPOCH + 500_000_000)),
            ("2026-01-01t00:00:00.123456789z", Some(EPOCH + 123_456_789)),
            ("2026-01-01T02:30:00+02:30", Some(EPOCH)),
            ("2025-12-31T19:00:00-05:00", Some(EPOCH)),
            ("2026-01-01T23:59:59Z", Some(EPOCH + 86_399_000_000_000)),
            ("1970-01-01T00:00:00+01:00", None),
            ("2554-07-21T23:34:34Z", None),
            ("9999-12-31T23:59:59Z", None),
            ("2026-01-01T24:00:00Z", None),
            ("2026-01-01T00:60:00Z", None),
            ("2026-01-01T0:00:00Z", None),
            ("2026-01-01T00:00Z", None),
            ("2026-01-01T00:00:00", None),
            ("2026-01-01T00:00:00.1234567890Z", None),
            ("2026-01-01T00:00:00.-1Z", None),
            ("2026-01-01T00:00:00+0200", None),
            ("2026-13-01T00:00:00Z", None),
            ("2026-01-01", None),
            ("", None),
        ] {
            assert_eq!(instant(text), expected, "{text}");
        }
    }

    #[test]
    fn whose_tags_name_somebody() {
        for (query, expected) in [
            ("", false),
            ("service=enduser.id", false),
            ("tags=%7B%22hopseal.assurance%22%3A%22asserted%22%7D", false),
            ("tags=%7B%22enduser.id%22%3A%22alice%22%7D", true),
            ("tags=%7B%22hopseal.actors%22%3A%22agent%3Aplanner%22%7D", true),
            // As JSON may write it, too.
            ("tags=%7B%22\\u0065nduser.id%22%3A%22alice%22%7D", true),
            ("tags=%7B%7D&tags=%7B%22enduser.id%22%3A%22alice%22%7D", true),
            ("tag=enduser.id%3Aalice", true),
            ("tag=error:true", false),
            ("query.attributes=%7B%22enduser.id%22%3A%22alice%22%7D", true),
            ("query.attributes=%7B%22error%22%3A%22true%22%7D", false),
            ("tags=enduser.id", true),
        ] {
            assert_eq!(names_somebody(query), expected, "{query}");
        }
    }
}
