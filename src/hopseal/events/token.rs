//! Security event tokens and logout tokens, verified.

use super::kind::EventKind;
use super::subject::{self, Subject};
use crate::Reason;
use crate::claims::{Payload, Terms, missing, wrong};
use crate::clock::UnixTime;
use crate::jose::{Compact, Json, quoted};
use crate::keys::Keys;
use crate::outcome::Refused;
use crate::registry::Issuer;

/// Event of a logout token (OpenID Connect Back-Channel Logout 1.0 section 2.4).
const LOGOUT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// A token in form, not believed yet.
pub(super) struct Parsed<'t> {
    compact: Compact<'t>,
    payload: Payload,
}

/// What a token says.
#[derive(Debug)]
pub(super) struct Said {
    /// Its id (`jti`).
    pub(super) id: String,
    pub(super) kind: EventKind,
    /// When it happened.
    pub(super) at: UnixTime,
    pub(super) subjects: Vec<Subject>,
}

impl<'t> Parsed<'t> {
    pub(super) fn new(token: &'t str) -> Result<Self, Refused> {
        let compact = Compact::parse(token)?;
        let payload = Payload::read(compact.unverified_payload())?;
        Ok(Self { compact, payload })
    }

    pub(super) fn kid(&self) -> Option<&str> {
        self.compact.kid()
    }

    /// Whom it names as its issuer.
    pub(super) fn issuer(&self) -> Result<&str, Refused> {
        self.payload.name("iss")
    }

    fn verify(
        &self,
        typ: &str,
        issuer: &Issuer,
        keys: &Keys,
        audiences: &[String],
        now: UnixTime,
    ) -> Result<(String, UnixTime), Refused> {
        if self.compact.typ() != Some(typ) {
            let found = quoted(self.compact.typ().unwrap_or_default());
            return Err(Refused::new(Reason::Type, format!("type `{found}`, not `{typ}`")));
        }
        if self.issuer()? != issuer.id() {
            return Err(Refused::new(Reason::Issuer, "not of this issuer"));
        }
        let algorithm = self.compact.algorithm();
        if !issuer.algorithms().contains(&algorithm) {
            return Err(Refused::new(Reason::Algorithm, format!("{algorithm} from `{}`", issuer.name())));
        }
        keys.set.verify(&self.compact)?;
        let ours = |audience: &&str| audiences.iter().any(|ours| ours == audience);
        if !self.payload.audiences()?.iter().any(ours) {
            return Err(Refused::new(Reason::Audience, "not for us"));
        }
        let issued_at = self.payload.seconds("iat")?.ok_or_else(|| missing("iat"))?;
        if issued_at > now.plus(issuer.skew()) {
            return Err(Refused::new(Reason::Premature, "`iat` is ahead of our clock"));
        }
        Ok((self.payload.name("jti")?.to_owned(), issued_at))
    }

    /// As a security event token (RFC 8417 section 2, SSF 1.0 section 4): one event, without an end, about `sub_id`.
    pub(super) fn event(
        &self,
        issuer: &Issuer,
        keys: &Keys,
        audiences: &[String],
        now: UnixTime,
    ) -> Result<Said, Refused> {
        let (id, issued_at) = self.verify("secevent+jwt", issuer, keys, audiences, now)?;
        // SSF 1.0 section 4.1.7: what has an end, or a subject like a token, could be taken for one.
        if let Some(name) = self.payload.any(&["exp", "sub"]) {
            return Err(Refused::new(Reason::Type, format!("`{name}` is not of an event")));
        }
        let (name, event) = self.only_event()?;
        let kind = EventKind::of(name);
        let at = match event.get("event_timestamp") {
            None => self.payload.seconds("toe")?,
            Some(Json::Unsigned(seconds)) => Some(UnixTime(*seconds)),
            Some(_) => return Err(wrong("event_timestamp", "is no whole number of seconds")),
        };
        // Not ahead of our clock: that would revoke what is yet to be issued.
        let at = at.unwrap_or(issued_at).min(now.plus(issuer.skew()));
        let closes = match kind {
            // CAEP 1.0 section 3.3: a key more is not a key less.
            EventKind::CredentialChange => event.get("change_type").and_then(Json::as_text) != Some("create"),
            kind => kind.revokes(),
        };
        // Before SSF 1.0 the subject stood inside of the event.
        let subject = self.payload.get("sub_id").or_else(|| event.get("subject"));
        let subjects = match subject {
            Some(subject) if closes => subject::read(subject)?,
            None if closes => return Err(missing("sub_id")),
            _ => Vec::new(),
        };
        Ok(Said { id, kind, at, subjects })
    }

    /// As a logout token (OpenID Connect Back-Channel Logout 1.0 section 2.6).
    pub(super) fn logout(&self, issuer: &Issuer, keys: &Keys, now: UnixTime) -> Result<Said, Refused> {
        let (id, issued_at) = self.verify("logout+jwt", issuer, keys, issuer.audiences(), now)?;
        Terms::read(|name| self.payload.seconds(name))?.check(issuer, now)?;
        if self.payload.get("nonce").is_some() {
            return Err(Refused::new(Reason::Type, "`nonce` is of an ID token"));
        }
        let (name, _) = self.only_event()?;
        if name != LOGOUT {
            return Err(wrong("events", "is no logout"));
        }
        let name =
            |name| self.payload.get(name).map(|_| self.payload.name(name).map(str::to_owned)).transpose();
        let subjects = match (name("sid")?, name("sub")?) {
            (Some(id), _) => vec![Subject::Session { id }],
            (None, Some(id)) => vec![Subject::User { issuer: issuer.id().to_owned(), id }],
            (None, None) => return Err(missing("sid")),
        };
        Ok(Said { id, kind: EventKind::Logout, at: issued_at, subjects })
    }

    /// The one member of `events`, an object too.
    fn only_event(&self) -> Result<(&str, &Json), Refused> {
        match self.payload.get("events").ok_or_else(|| missing("events"))? {
            Json::Object(events) => match events.as_slice() {
                [(name, event @ Json::Object(_))] => Ok((name, event)),
                _ => Err(wrong("events", "is not one event")),
            },
            _ => Err(wrong("events", "is no object")),
        }
    }
}
