//! Dates and times of RFC 3339, as PASETO writes them.

use crate::clock::UnixTime;

/// Reads `2027-01-15T08:00:00Z` or, in place of the `Z`, an offset as `+01:00`. Parts of a second are read and dropped. `None` for
/// anything else: lower-case letters, a space for the `T`, days that there are not, leap seconds, years before 1970.
pub(super) fn parse(text: &str) -> Option<UnixTime> {
    let (date, time) = text.split_once('T')?;
    let (time, offset) = match time.strip_suffix('Z') {
        Some(time) => (time, 0),
        None => {
            let at = time.rfind(['+', '-'])?;
            let (time, offset) = time.split_at_checked(at)?;
            let sign = if offset.starts_with('-') { -1 } else { 1 };
            let [hours, minutes] = numbers(offset.get(1..)?, ':', [2, 2])?;
            (hours < 24 && minutes < 60).then_some(())?;
            (time, sign * (hours * 3600 + minutes * 60))
        }
    };
    let time = match time.split_once('.') {
        None => time,
        Some((time, part)) => {
            let digits = (1..=9).contains(&part.len()) && part.bytes().all(|digit| digit.is_ascii_digit());
            digits.then_some(time)?
        }
    };
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = numbers(time, ':', [2, 2, 2])?;
    UnixTime::of_date([year, month, day, hour, minute, second], offset)
}

/// Exactly so many numbers, each of exactly so many digits.
fn numbers<const N: usize>(text: &str, between: char, digits: [usize; N]) -> Option<[i64; N]> {
    let mut parts = text.split(between);
    let mut numbers = [0; N];
    for (number, digits) in numbers.iter_mut().zip(digits) {
        let part = parts.next()?;
        (part.len() == digits && part.bytes().all(|digit| digit.is_ascii_digit())).then_some(())?;
        *number = part.parse().ok()?;
    }
    parts.next().is_none().then_some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_what_is_none() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2000-02-29T12:00:00Z", Some(951_825_600)),
            ("2027-01-15T08:00:00Z", Some(1_800_000_000)),
            ("2027-01-15T08:00:00.999999999Z", Some(1_800_000_000)),
            ("2027-01-15T09:30:00+01:30", Some(1_800_000_000)),
            ("2027-01-15T00:00:00-08:00", Some(1_800_000_000)),
            ("2100-03-01T00:00:00Z", Some(4_107_542_400)),
            ("9999-12-31T23:59:59Z", Some(253_402_300_799)),
            ("1970-01-01T00:00:00+00:01", None),
            ("1969-12-31T23:59:59Z", None),
            ("2100-02-29T00:00:00Z", None),
            ("2027-04-31T00:00:00Z", None),
            ("2027-00-01T00:00:00Z", None),
            ("2027-13-01T00:00:00Z", None),
            ("2027-01-15T24:00:00Z", None),
            ("2027-01-15T08:60:00Z", None),
            ("2027-01-15T08:00:60Z", None),
            ("2027-01-15T08:00:00", None),
            ("2027-01-15T08:00:00z", None),
            ("2027-01-15t08:00:00Z", None),
            ("2027-01-15 08:00:00Z", None),
            ("2027-01-15T08:00:00.Z", None),
            ("2027-01-15T08:00:00.1234567890Z", None),
            ("2027-01-15T08:00:00+24:00", None),
            ("2027-01-15T08:00:00+0100", None),
            ("2027-01-15T08:00Z", None),
            ("+2027-01-15T08:00:00Z", None),
            ("2027-1-15T08:00:00Z", None),
            ("20270115T080000Z", None),
            ("1800000000", None),
            ("", None),
            ("T", None),
            ("2027-01-15T08:00:0\u{e9}Z", None),
        ] {
            assert_eq!(parse(text).map(|time| time.0), seconds, "{text}");
        }
    }
}
