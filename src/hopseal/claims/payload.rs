//! The claims of a payload, read once.

use crate::Reason;
use crate::clock::UnixTime;
use crate::jose::{Json, quoted};
use crate::outcome::Refused;

/// Longest name of somebody or something: `sub`, a tenant, a role.
const MAX_NAME: usize = 1024;

/// A JSON object in which every name stands once, at every depth. A claim of the wrong type is an error wherever it is looked
/// at, never a claim that is not there.
pub(crate) struct Payload(Json);

impl Payload {
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Refused> {
        match Json::read(bytes)? {
            json @ Json::Object(_) => Ok(Self(json)),
            _ => Err(Refused::new(Reason::Malformed, "payload is no object")),
        }
    }

    /// The same, where a claim that is not there says what another one does.
    #[cfg(feature = "introspection")]
    pub(crate) fn or(mut self, name: &str, other: &str) -> Self {
        if let (None, Some(value)) = (self.get(name), self.get(other).cloned())
            && let Json::Object(members) = &mut self.0
        {
            members.push((name.to_owned(), value));
        }
        self
    }

    /// The object that is the value of a member.
    #[cfg(feature = "introspection")]
    pub(crate) fn into_member(self, name: &str) -> Option<Self> {
        let Json::Object(members) = self.0 else { return None };
        let value = members.into_iter().find(|(member, _)| member == name)?.1;
        matches!(value, Json::Object(_)).then_some(Self(value))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Json> {
        self.0.get(name)
    }

    /// Whether any of these claims is there.
    pub(crate) fn any(&self, names: &[&'static str]) -> Option<&'static str> {
        names.iter().copied().find(|name| self.get(name).is_some())
    }

    /// The claim at a path: one whose name is the whole path, or else, after dots, one inside of others.
    pub(crate) fn at(&self, path: &str) -> Option<&Json> {
        self.get(path).or_else(|| path.split('.').try_fold(&self.0, |json, name| json.get(name)))
    }

    pub(crate) fn text(&self, name: &str) -> Result<Option<&str>, Refused> {
        self.get(name).map(|value| value.as_text().ok_or_else(|| wrong(name, "is no text"))).transpose()
    }

    /// A name that must be there.
    pub(crate) fn name(&self, name: &str) -> Result<&str, Refused> {
        self.get(name).map_or_else(|| Err(missing(name)), |value| sound(name, value))
    }

    /// A time that must be a whole number of seconds (`NumericDate`, RFC 7519 section 2, without fractions).
    pub(crate) fn seconds(&self, name: &str) -> Result<Option<UnixTime>, Refused> {
        match self.get(name) {
            None => Ok(None),
            Some(Json::Unsigned(seconds)) => Ok(Some(UnixTime(*seconds))),
            Some(_) => Err(wrong(name, "is no whole number of seconds")),
        }
    }

    /// Whom the token is for: one text, or a list of them (RFC 7519 section 4.1.3).
    pub(crate) fn audiences(&self) -> Result<Vec<&str>, Refused> {
        let audiences = match self.get("aud").ok_or_else(|| missing("aud"))? {
            Json::Text(one) => vec![one.as_str()],
            Json::List(all) => {
                let texts: Option<Vec<&str>> = all.iter().map(Json::as_text).collect();
                texts.ok_or_else(|| wrong("aud", "holds other than texts"))?
            }
            _ => return Err(wrong("aud", "is neither text nor list")),
        };
        if audiences.is_empty() || audiences.contains(&"") {
            return Err(wrong("aud", "is empty"));
        }
        Ok(audiences)
    }
}

/// A name as it can be compared, kept and shown: not empty, not over 1 KiB, and without characters that hide or reorder others.
pub(crate) fn sound<'j>(claim: &str, value: &'j Json) -> Result<&'j str, Refused> {
    let text = value.as_text().ok_or_else(|| wrong(claim, "is no text"))?;
    if text.is_empty() {
        return Err(wrong(claim, "is empty"));
    }
    if text.len() > MAX_NAME {
        return Err(Refused::new(Reason::TooLarge, format!("`{}` has {} bytes", quoted(claim), text.len())));
    }
    if text.chars().any(misleads) {
        return Err(wrong(claim, "holds characters that cannot be seen"));
    }
    Ok(text)
}

/// Controls, zero-width characters and marks of direction (Unicode Technical Report 36 section 3): two names that differ by
/// them alone look the same.
fn misleads(letter: char) -> bool {
    letter.is_control()
        || matches!(letter,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

pub(crate) fn missing(claim: &str) -> Refused {
    Refused::new(Reason::MissingClaim, format!("no `{}`", quoted(claim)))
}

pub(crate) fn wrong(claim: &str, what: &str) -> Refused {
    Refused::new(Reason::Claim, format!("`{}` {what}", quoted(claim)))
}
