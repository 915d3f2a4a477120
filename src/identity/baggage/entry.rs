//! One member of a `baggage` header, and its value's percent-encoding.

use std::borrow::Cow;

/// A well-formed member as it came: `name = value` and its properties (section 3.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'h> {
    text: &'h str,
    name: &'h str,
    value: &'h str,
    properties: &'h str,
}

impl<'h> Entry<'h> {
    /// Reads a member, without the comma and spaces around it; `None` when it is not well-formed.
    #[must_use]
    pub fn read(text: &'h str) -> Option<Self> {
        let (pair, properties) = match text.split_once(';') {
            Some((pair, properties)) => (pair, properties),
            None => (text, ""),
        };
        let (name, value) = pair.split_once('=')?;
        let (name, value) = (trim(name), trim(value));
        let property = |byte: u8| is_octet(byte) || matches!(byte, b' ' | b'\t' | b';');
        let legal = !name.is_empty()
            && name.bytes().all(is_token)
            && value.bytes().all(is_octet)
            && properties.bytes().all(property);
        legal.then_some(Self { text, name, value, properties: trim(properties) })
    }

    /// All of it, as it came.
    #[must_use]
    pub const fn as_str(&self) -> &'h str {
        self.text
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &'h str {
        self.name
    }

    /// Its value, still encoded.
    #[must_use]
    pub const fn value(&self) -> &'h str {
        self.value
    }

    /// Its properties, still encoded: they have no meaning here, and decoded they could become members.
    #[must_use]
    pub const fn properties(&self) -> &'h str {
        self.properties
    }
}

/// Decodes the value of a member: percent-encoded UTF-8, what is none becoming U+FFFD (section 3.2.1.3). A `%` that encodes
/// nothing stands for itself.
///
/// ```
/// use hopseal_identity::baggage::decode;
/// assert_eq!(decode("a%2Cb=c%"), "a,b=c%");
/// assert_eq!(decode("%FFa"), "\u{fffd}a");
/// ```
#[must_use]
pub fn decode(value: &str) -> Cow<'_, str> {
    if !value.contains('%') {
        return Cow::Borrowed(value);
    }
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        let mut ahead = rest.clone();
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        match (byte == b'%').then(|| ahead.next().and_then(digit).zip(ahead.next().and_then(digit))).flatten()
        {
            Some((high, low)) => {
                bytes.push(high << 4 | low);
                rest = ahead;
            }
            None => bytes.push(byte),
        }
    }
    Cow::Owned(
        String::from_utf8(bytes).unwrap_or_else(|bad| String::from_utf8_lossy(bad.as_bytes()).into_owned()),
    )
}

/// Encodes the value of a member onto `out`: everything that is not a `baggage-octet`, and `%`.
///
/// ```
/// use hopseal_identity::baggage::encode;
/// let mut out = String::new();
/// encode("a,b=c%2C", &mut out);
/// assert_eq!(out, "a%2Cb=c%252C");
/// ```
pub fn encode(value: &str, out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).map_or('0', |digit| char::from(*digit));
    for byte in value.bytes() {
        if is_octet(byte) && byte != b'%' {
            out.push(char::from(byte));
        } else {
            out.extend(['%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
}

/// Without the spaces and tabs around it (`OWS`, RFC 9110 section 5.6.3).
pub(super) fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// `baggage-octet`.
pub(super) const fn is_octet(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x2b | 0x2d..=0x3a | 0x3c..=0x5b | 0x5d..=0x7e)
}

/// `tchar` (RFC 9110 section 5.6.2).
pub(super) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
