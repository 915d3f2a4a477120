//! From claims to a principal.

use hopseal_identity::Kind;

use super::payload::{Payload, sound, wrong};
use crate::Reason;
use crate::clock::UnixTime;
use crate::jose::Json;
use crate::outcome::Refused;
use crate::principal::{Acting, Principal};
use crate::registry::Issuer;
use crate::spiffe_id::SpiffeId;

/// Most names in one list: scopes, roles.
const MAX_NAMES: usize = 256;
/// Most actors that act for each other.
const MAX_ACTORS: usize = 8;

/// What holds for a kind of credential where the registry says nothing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Default {
    /// The claim that names the client.
    pub(crate) client: Option<&'static str>,
    /// The kind of its subjects; without, a subject that is its own client is a service.
    pub(crate) kind: Option<Kind>,
}

/// Whom a payload speaks of, by the claims that the registry names.
pub(crate) fn principal(
    payload: &Payload,
    issuer: &Issuer,
    expiry: UnixTime,
    default: Default,
) -> Result<Principal, Refused> {
    let claims = issuer.claims();
    let one = |path: Option<&str>| match path.and_then(|path| Some((path, payload.at(path)?))) {
        Some((path, value)) => sound(path, value).map(|text| Some(text.to_owned())),
        None => Ok(None),
    };
    let id = one(Some(&claims.id))?.ok_or_else(|| super::payload::missing(&claims.id))?;
    let client = one(claims.client.as_deref().or(default.client))?;
    let kind = match claims.kind.as_deref().and_then(|path| Some((path, payload.at(path)?))) {
        Some((path, value)) => kind(path, value)?,
        None => default.kind.unwrap_or(match &client {
            Some(client) if *client == id => Kind::Service,
            _ => Kind::User,
        }),
    };
    Ok(Principal {
        issuer: issuer.id().to_owned(),
        kind,
        tenant: one(claims.tenant.as_deref())?,
        session: one(Some(&claims.session))?,
        actors: actors(payload.at(&claims.actors), &claims.actors, claims.kind.as_deref())?,
        scopes: names(payload, &claims.scopes, true)?,
        roles: claims.roles.as_deref().map_or(Ok(Vec::new()), |path| names(payload, path, false))?,
        id,
        client,
        expiry,
    })
}

fn kind(path: &str, value: &Json) -> Result<Kind, Refused> {
    value.as_text().and_then(Kind::parse).ok_or_else(|| wrong(path, "is none of `user`, `service`, `agent`"))
}

/// A list of names, sorted; or one text, of words where `words` says so.
fn names(payload: &Payload, path: &str, words: bool) -> Result<Vec<String>, Refused> {
    let mut names: Vec<String> = match payload.at(path) {
        None => Vec::new(),
        // `scope` may be there and empty: nothing was granted.
        Some(Json::Text(text)) if words => {
            sound_words(path, text)?.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect()
        }
        Some(Json::List(list)) => {
            let texts: Result<Vec<String>, Refused> =
                list.iter().map(|name| sound(path, name).map(str::to_owned)).collect();
            texts?
        }
        Some(value) => vec![sound(path, value)?.to_owned()],
    };
    if names.len() > MAX_NAMES {
        return Err(Refused::new(Reason::TooLarge, format!("{} names in `{path}`", names.len())));
    }
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

/// Words of OAuth scopes are of graphic ASCII (RFC 6749 section 3.3).
fn sound_words<'t>(path: &str, text: &'t str) -> Result<&'t str, Refused> {
    let legal = |letter: u8| matches!(letter, b' '..=b'~') && !b"\"\\".contains(&letter);
    if text.bytes().all(legal) { Ok(text) } else { Err(wrong(path, "holds no scopes")) }
}

/// Who acts for the subject, most recent first (RFC 8693 section 4.1): each `act` holds the one before it.
fn actors(act: Option<&Json>, path: &str, kind_path: Option<&str>) -> Result<Vec<Acting>, Refused> {
    let mut actors = Vec::new();
    let mut next = act;
    while let Some(act) = next {
        if !matches!(act, Json::Object(_)) {
            return Err(wrong(path, "is no object"));
        }
        if actors.len() == MAX_ACTORS {
            return Err(Refused::new(Reason::TooLarge, format!("over {MAX_ACTORS} actors")));
        }
        let text = |name: &str| act.get(name).map(|value| sound(name, value)).transpose();
        let Some(id) = text("sub")? else { return Err(wrong(path, "has no `sub`")) };
        let said = kind_path.and_then(|path| Some((path, act.get(path)?)));
        actors.push(Acting {
            id: id.to_owned(),
            issuer: text("iss")?.map(str::to_owned),
            kind: match said {
                Some((path, value)) => Some(kind(path, value)?),
                None => SpiffeId::parse(id).is_ok().then_some(Kind::Service),
            },
        });
        next = act.get("act");
    }
    Ok(actors)
}
