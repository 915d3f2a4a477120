//! Whom an event is about (RFC 9493, SSF 1.0 section 3).

use crate::claims::{sound, wrong};
use crate::jose::Json;
use crate::outcome::Refused;

/// Most identifiers of one subject.
const MOST: usize = 16;

/// What can be told from an identifier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Subject {
    /// A subject of an issuer.
    User { issuer: String, id: String },
    /// A session of whoever sends the event.
    Session { id: String },
    /// One token.
    Token { issuer: String, id: String },
}

/// Reads `sub_id`: all that can be told from it. Formats that name nothing that tokens have, such as an email address, tell
/// nothing.
pub(super) fn read(json: &Json) -> Result<Vec<Subject>, Refused> {
    let mut found = Vec::new();
    one(json, Place::Whole, &mut found)?;
    Ok(found)
}

/// Where an identifier stands: an opaque one means what stands there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Whole,
    Session,
    Other,
}

fn one(json: &Json, place: Place, found: &mut Vec<Subject>) -> Result<(), Refused> {
    let Json::Object(members) = json else { return Err(wrong("sub_id", "is no object")) };
    let text = |name: &'static str| match json.get(name) {
        Some(value) => sound(name, value).map(str::to_owned),
        None => Err(wrong("sub_id", "lacks a member of its format")),
    };
    if found.len() >= MOST {
        return Err(wrong("sub_id", "names too many"));
    }
    match text("format")?.as_str() {
        "iss_sub" if place == Place::Session => {}
        "iss_sub" => found.push(Subject::User { issuer: text("iss")?, id: text("sub")? }),
        "jwt_id" => found.push(Subject::Token { issuer: text("iss")?, id: text("jti")? }),
        "opaque" if place == Place::Session => found.push(Subject::Session { id: text("id")? }),
        "aliases" if place != Place::Other => match json.get("identifiers") {
            Some(Json::List(identifiers)) if identifiers.len() <= MOST => {
                // Not aliases of aliases (RFC 9493 section 3.2.8): from here on they are plain.
                let inner = if place == Place::Session { Place::Session } else { Place::Other };
                for identifier in identifiers {
                    one(identifier, inner, found)?;
                }
            }
            _ => return Err(wrong("sub_id", "has no list of identifiers")),
        },
        "complex" if place == Place::Whole => {
            for (name, value) in members.iter().filter(|(name, _)| name != "format") {
                match name.as_str() {
                    "session" => one(value, Place::Session, found)?,
                    "user" => one(value, Place::Other, found)?,
                    // A device, a tenant, a group: no token tells that it is of that.
                    _ => {}
                }
            }
        }
        _ => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers() {
        let user = |id: &str| Subject::User { issuer: "i".to_owned(), id: id.to_owned() };
        let session = |id: &str| Subject::Session { id: id.to_owned() };
        for (json, expected) in [
            (r#"{"format":"iss_sub","iss":"i","sub":"s"}"#, Some(vec![user("s")])),
            (
                r#"{"format":"jwt_id","iss":"i","jti":"j"}"#,
                Some(vec![Subject::Token { issuer: "i".to_owned(), id: "j".to_owned() }]),
            ),
            (
                r#"{"format":"complex","user":{"format":"iss_sub","iss":"i","sub":"s"},"session":{"format":"opaque","id":"x"},
                    "tenant":{"format":"opaque","id":"t"}}"#,
                Some(vec![user("s"), session("x")]),
            ),
            (
                r#"{"format":"aliases","identifiers":[{"format":"email","email":"a@b"},{"format":"iss_sub","iss":"i","sub":"s"}]}"#,
                Some(vec![user("s")]),
            ),
            (r#"{"format":"email","email":"a@b.example"}"#, Some(vec![])),
            (r#"{"format":"opaque","id":"x"}"#, Some(vec![])), // of what?
            (r#"{"format":"complex","user":{"format":"complex"}}"#, Some(vec![])),
            (r#"{"format":"aliases","identifiers":[{"format":"aliases","identifiers":[]}]}"#, Some(vec![])),
            (r#"{"format":"iss_sub","iss":"i"}"#, None),
            (r#"{"format":"iss_sub","iss":"i","sub":5}"#, None),
            (r#"{"format":"iss_sub","iss":"i","sub":""}"#, None),
            (r#"{"format":"aliases","identifiers":{}}"#, None),
            (r#"{"format":5}"#, None),
            ("{}", None),
            ("[]", None),
        ] {
            let read = read(&Json::read(json.as_bytes()).expect("JSON")).ok();
            assert_eq!(read, expected, "{json}");
        }
    }
}
