//! Where people and clients get their tokens.

/// Of the agent, in that file.
const AGENT_SECRET: &str = "concierge";

/// Whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The [authority](super::authority) of this process.
    Ours,
    /// A realm of Keycloak, as `collector-config/compose/realm.json` sets it up.
    Keycloak,
}

/// An authorization server, as those know it who ask it for tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Realm {
    pub(super) kind: Kind,
    pub(super) issuer: String,
    /// Where tokens are given out.
    pub(super) tokens: String,
    /// By which the agent shows there who it is.
    pub(super) secret: String,
}

impl Realm {
    /// Our own, whose issuer that is, and the agent's secret there.
    pub(super) fn ours(issuer: &str, secret: String) -> Self {
        Self { kind: Kind::Ours, issuer: issuer.to_owned(), tokens: format!("{issuer}/token"), secret }
    }

    /// That of a Keycloak on this machine. The secret is no secret: it stands in the file that sets it up.
    pub(super) fn keycloak(issuer: &str) -> Self {
        let issuer = issuer.trim_end_matches('/').to_owned();
        let tokens = format!("{issuer}/protocol/openid-connect/token");
        Self { kind: Kind::Keycloak, issuer, tokens, secret: AGENT_SECRET.to_owned() }
    }
}
