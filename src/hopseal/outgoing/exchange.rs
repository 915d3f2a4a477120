//! One token for another (RFC 8693), and Txn-Tokens (draft-ietf-oauth-transaction-tokens).

use super::endpoint::TokenEndpoint;
use super::issued::{Issued, NotIssued};
use super::renewing::Want;
use crate::principal::Principal;
use crate::secret::Token;

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

/// What a token is, to the server that exchanges it (RFC 8693 section 3, Txn-Tokens).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenType {
    /// An OAuth access token of that server.
    AccessToken,
    /// An ID token.
    IdToken,
    /// A JWT of somebody.
    Jwt,
    /// A Txn-Token.
    TxnToken,
    /// A JWT that we sign ourselves, for work that nobody asked for, such as a timer.
    SelfSigned,
}

impl TokenType {
    /// Its identifier.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AccessToken => "urn:ietf:params:oauth:token-type:access_token",
            Self::IdToken => "urn:ietf:params:oauth:token-type:id_token",
            Self::Jwt => "urn:ietf:params:oauth:token-type:jwt",
            Self::TxnToken => "urn:ietf:params:oauth:token-type:txn_token",
            Self::SelfSigned => "urn:ietf:params:oauth:token-type:self_signed",
        }
    }
}

/// An exchange of somebody's token for one that is good at the next service (RFC 8693 section 2.1).
#[derive(Debug, Clone, Copy)]
#[must_use]
pub struct Exchange<'t> {
    subject: (&'t Token, TokenType),
    actor: Option<(&'t Token, TokenType)>,
    requested: TokenType,
}

impl<'t> Exchange<'t> {
    /// Of this token, for an access token.
    pub const fn of(subject: &'t Token, kind: TokenType) -> Self {
        Self { subject: (subject, kind), actor: None, requested: TokenType::AccessToken }
    }

    /// We act for the subject, and show by this token who we are: the server then names us in `act`. Without, some servers
    /// issue a token in which nobody can see that it was not the subject itself; see [`keeps_actors`].
    pub const fn acting(mut self, actor: &'t Token, kind: TokenType) -> Self {
        self.actor = Some((actor, kind));
        self
    }

    /// For a token of this type.
    pub const fn requested(mut self, kind: TokenType) -> Self {
        self.requested = kind;
        self
    }
}

/// A Txn-Token for a call from outside: who asks for what, fixed for all services of the trust domain that work on it.
#[derive(Debug, Clone)]
#[must_use]
pub struct TxnTokenRequest<'t> {
    subject: (&'t Token, TokenType),
    trust_domain: String,
    scope: String,
    context: Option<serde_json::Value>,
    details: Option<serde_json::Value>,
}

impl<'t> TxnTokenRequest<'t> {
    /// For the trust domain, with this purpose, on behalf of whom the token is of.
    pub fn new(
        subject: &'t Token,
        kind: TokenType,
        trust_domain: impl Into<String>,
        scope: impl Into<String>,
    ) -> Self {
        Self {
            subject: (subject, kind),
            trust_domain: trust_domain.into(),
            scope: scope.into(),
            context: None,
            details: None,
        }
    }

    /// The environment of the request (`request_context`, which becomes `rctx`): an object.
    pub fn context(mut self, context: serde_json::Value) -> Self {
        self.context = Some(context);
        self
    }

    /// The details of the request that must not change (`request_details`, which become `tctx`): an object.
    pub fn details(mut self, details: serde_json::Value) -> Self {
        self.details = Some(details);
        self
    }
}

impl TokenEndpoint {
    /// Exchanges a token.
    ///
    /// # Errors
    /// [`NotIssued`], also for an answer that is not of the type that was requested.
    pub async fn exchange(&self, exchange: &Exchange<'_>, want: &Want) -> Result<Issued, NotIssued> {
        let (subject, kind) = exchange.subject;
        let mut fields = vec![
            ("grant_type", EXCHANGE),
            ("subject_token", subject.expose()),
            ("subject_token_type", kind.as_str()),
            ("requested_token_type", exchange.requested.as_str()),
        ];
        if let Some((actor, kind)) = exchange.actor {
            fields.extend([("actor_token", actor.expose()), ("actor_token_type", kind.as_str())]);
        }
        fields.extend(want.fields());
        let issued = self.ask(&fields).await?;
        let usable = exchange.requested != TokenType::AccessToken || issued.is_access_token();
        of_type(issued, exchange.requested).and_then(|issued| match usable {
            true => Ok(issued),
            false => Err(NotIssued::Answer("no access token")),
        })
    }

    /// Asks a transaction token service for a Txn-Token. It goes into the header `Txn-Token`, once, and never into
    /// `Authorization`.
    ///
    /// # Errors
    /// [`NotIssued`], also for an answer that is no Txn-Token, or that brings a refresh token, which it must not.
    pub async fn txn_token(&self, request: &TxnTokenRequest<'_>) -> Result<Issued, NotIssued> {
        let (subject, kind) = request.subject;
        let context = request.context.as_ref().map(ToString::to_string);
        let details = request.details.as_ref().map(ToString::to_string);
        let mut fields = vec![
            ("grant_type", EXCHANGE),
            ("subject_token", subject.expose()),
            ("subject_token_type", kind.as_str()),
            ("requested_token_type", TokenType::TxnToken.as_str()),
            ("audience", &request.trust_domain),
            ("scope", &request.scope),
        ];
        fields.extend(context.as_deref().map(|context| ("request_context", context)));
        fields.extend(details.as_deref().map(|details| ("request_details", details)));
        let issued = of_type(self.ask(&fields).await?, TokenType::TxnToken)?;
        if !issued.token_type.eq_ignore_ascii_case("N_A") {
            return Err(NotIssued::Answer("a Txn-Token that is called an access token"));
        }
        if issued.refresh.is_some() {
            return Err(NotIssued::Answer("a Txn-Token with a refresh token"));
        }
        Ok(issued)
    }
}

/// RFC 8693 section 2.2.1: the answer says what was issued.
fn of_type(issued: Issued, requested: TokenType) -> Result<Issued, NotIssued> {
    match &issued.issued_type {
        Some(kind) if kind == requested.as_str() => Ok(issued),
        Some(_) => Err(NotIssued::Answer("a token of another type than was requested")),
        None => Err(NotIssued::Answer("no `issued_token_type`")),
    }
}

/// Whether a token that came of an exchange, once it was verified, still says who acted: the same subject, all who acted
/// before, in that order, and one more. Servers that issue a token for impersonation lose them.
#[must_use]
pub fn keeps_actors(before: &Principal, after: &Principal) -> bool {
    let same = (&before.issuer, &before.id) == (&after.issuer, &after.id);
    same && after.actors.split_first().is_some_and(|(_, earlier)| earlier == before.actors)
}
