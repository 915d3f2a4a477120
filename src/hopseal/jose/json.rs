//! JSON in which every name of an object stands once, at every depth (RFC 8725 section 2.4; RFC 7515 section 4).

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use crate::Reason;
use crate::outcome::Refused;

/// Objects and lists inside of each other.
const MAX_DEPTH: usize = 16;
/// Values in all.
const MAX_VALUES: usize = 4096;

/// How the visitor says which of its own rules was broken.
const TWICE: &str = "stands twice";
const TOO_MUCH: &str = "too many values";
const TOO_DEEP: &str = "too deep";

/// A JSON value. Members of an object are in the order written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    /// A whole number from 0 to 2^64 - 1.
    Unsigned(u64),
    /// Any other number.
    Number(f64),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Reads one value of the whole of `bytes`.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Refused> {
        let mut deserializer = serde_json::Deserializer::from_slice(bytes);
        let mut left = MAX_VALUES;
        let read = Seed { depth: 0, left: &mut left }.deserialize(&mut deserializer);
        read.and_then(|value| deserializer.end().map(|()| value)).map_err(|error| {
            let text = error.to_string();
            let reason = if text.contains(TWICE) {
                Reason::Duplicate
            } else if text.contains(TOO_MUCH) || text.contains(TOO_DEEP) {
                Reason::TooLarge
            } else {
                Reason::Malformed
            };
            // Not the parser's words: they may quote what it read.
            Refused::new(reason, format!("JSON at line {}, column {}", error.line(), error.column()))
        })
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Self> {
        let Self::Object(members) = self else { return None };
        members.iter().find(|(member, _)| member == name).map(|(_, value)| value)
    }

    pub(crate) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    #[cfg(feature = "http")]
    pub(crate) fn as_unsigned(&self) -> Option<u64> {
        match self {
            Self::Unsigned(number) => Some(*number),
            _ => None,
        }
    }
}

struct Seed<'l> {
    depth: usize,
    left: &'l mut usize,
}

impl Seed<'_> {
    fn inner(&mut self) -> Seed<'_> {
        Seed { depth: self.depth + 1, left: self.left }
    }

    fn deep<E: serde::de::Error>(&self) -> Result<(), E> {
        if self.depth >= MAX_DEPTH { Err(E::custom(TOO_DEEP)) } else { Ok(()) }
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        *self.left = self.left.checked_sub(1).ok_or_else(|| D::Error::custom(TOO_MUCH))?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Json, E> {
        Ok(Json::Bool(truth))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Json, E> {
        Ok(Json::Unsigned(number))
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "negative numbers mean nothing here and are only told apart"
    )]
    fn visit_i64<E>(self, number: i64) -> Result<Json, E> {
        Ok(Json::Number(number as f64))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Json, E> {
        Ok(Json::Number(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<Json, A::Error> {
        self.deep()?;
        let mut list = Vec::new();
        while let Some(value) = seq.next_element_seed(self.inner())? {
            list.push(value);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Json, A::Error> {
        self.deep()?;
        let mut members: Vec<(String, Json)> = Vec::new();
        let mut names = std::collections::BTreeSet::new();
        while let Some(name) = map.next_key::<String>()? {
            if !names.insert(name.clone()) {
                return Err(A::Error::custom(TWICE));
            }
            members.push((name, map.next_value_seed(self.inner())?));
        }
        Ok(Json::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_and_what_is_not() {
        let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        for (json, fault) in [
            (r#"{"a":1,"b":{"a":2},"c":[null,true,-1,1.5,"x"]}"#.to_owned(), None),
            (r#"{"a":1,"a":1}"#.to_owned(), Some(Reason::Duplicate)),
            (r#"{"b":[{"a":1,"\u0061":2}]}"#.to_owned(), Some(Reason::Duplicate)),
            (deep(16), None),
            (deep(17), Some(Reason::TooLarge)),
            (deep(200), Some(Reason::TooLarge)),
            (format!("[{}1]", "1,".repeat(4094)), None),
            (format!("[{}1]", "1,".repeat(4095)), Some(Reason::TooLarge)),
            ("{} {}".to_owned(), Some(Reason::Malformed)),
            ("\u{feff}{}".to_owned(), Some(Reason::Malformed)),
            ("{\"a\":}".to_owned(), Some(Reason::Malformed)),
            (String::new(), Some(Reason::Malformed)),
        ] {
            let refused = Json::read(json.as_bytes()).err();
            assert_eq!(refused.map(|refused| refused.reason()), fault, "{:.40}", json);
        }
        assert!(Json::read(b"\"\xff\"").is_err(), "not UTF-8");
        assert_eq!(Json::read(b"18446744073709551615").ok(), Some(Json::Unsigned(u64::MAX)));
        assert_eq!(
            Json::read(b"18446744073709551616").ok(),
            Some(Json::Number(18_446_744_073_709_551_616.0))
        );
    }
}
