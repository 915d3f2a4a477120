//! The few facts of an X.509 certificate that make it an SVID (RFC 5280 section 4.1), read strictly: DER and nothing but DER.

use crate::clock::UnixTime;

/// What a certificate says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    /// Serial number, in hexadecimal.
    pub(super) serial: String,
    pub(super) not_before: UnixTime,
    pub(super) not_after: UnixTime,
    /// Names of the type URI in its subject alternative name.
    pub(super) uris: Vec<String>,
    pub(super) is_ca: bool,
    /// Bits of the key usage as RFC 5280 section 4.2.1.3 counts them, if it is there.
    pub(super) key_usage: Option<u8>,
}

/// Bits of a key usage, the first at the left.
pub(super) const DIGITAL_SIGNATURE: u8 = 0x80;
pub(super) const KEY_CERT_SIGN: u8 = 0x04;
pub(super) const CRL_SIGN: u8 = 0x02;

const BOOLEAN: u8 = 0x01;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OID: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
/// `uniformResourceIdentifier` of `GeneralName`.
const URI: u8 = 0x86;

const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];

/// Most extensions.
const MAX_EXTENSIONS: usize = 64;

/// Elements one after the other.
struct Der<'d>(&'d [u8]);

impl<'d> Der<'d> {
    /// The next element: its tag and what is in it.
    fn next(&mut self) -> Option<(u8, &'d [u8])> {
        let (tag, rest) = self.0.split_first()?;
        let (first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(*first), rest),
            // Up to 16 MiB, in as few bytes as it takes.
            0x81..=0x83 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                let length = bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
                let shortest = length >= 0x80 && bytes.first().is_some_and(|byte| *byte != 0);
                shortest.then_some((length, rest))?
            }
            _ => return None,
        };
        let (inside, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((*tag, inside))
    }

    fn expect(&mut self, tag: u8) -> Option<&'d [u8]> {
        self.next().filter(|(found, _)| *found == tag).map(|(_, inside)| inside)
    }

    /// The next element if it has that tag.
    fn optional(&mut self, tag: u8) -> Option<Option<&'d [u8]>> {
        if self.0.first() == Some(&tag) { self.expect(tag).map(Some) } else { Some(None) }
    }

    fn end(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}

impl Facts {
    /// Of a certificate in DER. `None` for anything else, or where an extension that is looked at is there twice.
    pub(super) fn read(certificate: &[u8]) -> Option<Self> {
        let mut outside = Der(certificate);
        let mut certificate = Der(outside.expect(SEQUENCE)?);
        outside.end()?;
        let mut tbs = Der(certificate.expect(SEQUENCE)?);
        // Version 3, or there were no extensions.
        (tbs.expect(VERSION)? == [INTEGER, 1, 2]).then_some(())?;
        let serial = tbs.expect(INTEGER)?.iter().map(|byte| format!("{byte:02x}")).collect();
        tbs.expect(SEQUENCE)?; // algorithm
        tbs.expect(SEQUENCE)?; // issuer
        let mut validity = Der(tbs.expect(SEQUENCE)?);
        let (not_before, not_after) = (time(validity.next()?)?, time(validity.next()?)?);
        validity.end()?;
        tbs.expect(SEQUENCE)?; // subject
        tbs.expect(SEQUENCE)?; // key
        tbs.optional(0x81)?; // ids of issuer and subject, which nobody uses
        tbs.optional(0x82)?;
        let mut wrapped = Der(tbs.expect(EXTENSIONS)?);
        let mut extensions = Der(wrapped.expect(SEQUENCE)?);
        wrapped.end()?;
        tbs.end()?;
        let mut facts =
            Self { serial, not_before, not_after, uris: Vec::new(), is_ca: false, key_usage: None };
        let mut seen: Vec<&[u8]> = Vec::new();
        while extensions.end().is_none() {
            let mut extension = Der(extensions.expect(SEQUENCE)?);
            let id = extension.expect(OID)?;
            (!seen.contains(&id) && seen.len() < MAX_EXTENSIONS).then_some(())?;
            seen.push(id);
            extension.optional(BOOLEAN)?;
            let value = extension.expect(OCTET_STRING)?;
            extension.end()?;
            match id {
                SUBJECT_ALT_NAME => facts.uris = uris(value)?,
                BASIC_CONSTRAINTS => facts.is_ca = is_ca(value)?,
                KEY_USAGE => facts.key_usage = Some(key_usage(value)?),
                _ => {}
            }
        }
        Some(facts)
    }
}

fn uris(value: &[u8]) -> Option<Vec<String>> {
    let mut outside = Der(value);
    let mut names = Der(outside.expect(SEQUENCE)?);
    outside.end()?;
    let mut uris = Vec::new();
    while names.end().is_none() {
        let (tag, name) = names.next()?;
        if tag == URI {
            // IA5String: ASCII.
            uris.push(std::str::from_utf8(name).ok().filter(|name| name.is_ascii())?.to_owned());
        }
    }
    Some(uris)
}

fn is_ca(value: &[u8]) -> Option<bool> {
    let mut outside = Der(value);
    let mut constraints = Der(outside.expect(SEQUENCE)?);
    outside.end()?;
    match constraints.optional(BOOLEAN)? {
        None => Some(false),
        Some([0xff]) => Some(true),
        // `FALSE` is the default, which DER does not write; some do.
        Some([0]) => Some(false),
        Some(_) => None,
    }
}

fn key_usage(value: &[u8]) -> Option<u8> {
    let mut outside = Der(value);
    let bits = outside.expect(BIT_STRING)?;
    outside.end()?;
    match bits {
        [unused, first, ..] if *unused < 8 && bits.len() <= 3 => Some(*first),
        _ => None,
    }
}

/// `UTCTime` or `GeneralizedTime`, both with seconds and in UTC (RFC 5280 section 4.1.2.5).
fn time((tag, text): (u8, &[u8])) -> Option<UnixTime> {
    let digits = text.strip_suffix(b"Z")?;
    let (year, rest) = match tag {
        UTC_TIME => {
            let (year, rest) = digits.split_at_checked(2)?;
            let year = number(year)?;
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        GENERALIZED_TIME => {
            let (year, rest) = digits.split_at_checked(4)?;
            (number(year)?, rest)
        }
        _ => return None,
    };
    let mut parts = [0; 5];
    (rest.len() == 10).then_some(())?;
    for (part, digits) in parts.iter_mut().zip(rest.chunks(2)) {
        *part = number(digits)?;
    }
    let [month, day, hour, minute, second] = parts;
    UnixTime::of_date([year, month, day, hour, minute, second], 0)
}

fn number(digits: &[u8]) -> Option<i64> {
    digits
        .iter()
        .try_fold(0, |number, digit| digit.is_ascii_digit().then(|| number * 10 + i64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_as_short_as_can_be() {
        let long = [&[0x04, 0x81, 0x80][..], &[7; 128]].concat();
        assert_eq!(Der(&long).next(), Some((4, &[7; 128][..])));
        for bytes in [
            &[][..],
            &[4],
            &[4, 2, 0],
            &[4, 0x80, 0, 0],
            &[4, 0x81, 1, 0],
            &[4, 0x82, 0, 0x80],
            &[4, 0x84, 0, 0, 0, 1, 0],
            &[4, 0xff],
        ] {
            assert_eq!(Der(bytes).next(), None, "{bytes:?}");
        }
    }

    #[test]
    fn times() {
        for (tag, text, seconds) in [
            (UTC_TIME, "270115080000Z", Some(1_800_000_000)),
            (GENERALIZED_TIME, "20270115080000Z", Some(1_800_000_000)),
            (UTC_TIME, "700101000000Z", Some(0)),
            (UTC_TIME, "500101000000Z", None),
            (UTC_TIME, "2701150800Z", None),
            (UTC_TIME, "270115080000+0000", None),
            (GENERALIZED_TIME, "20270115080000.5Z", None),
            (GENERALIZED_TIME, "270115080000Z", None),
            (OCTET_STRING, "270115080000Z", None),
        ] {
            assert_eq!(time((tag, text.as_bytes())).map(|time| time.0), seconds, "{text}");
        }
    }
}
