//! What a registry entry must say, by the kind of issuer.

use hopseal_identity::CLOCK_SKEW;

use super::error::{Place, RegistryError};
use super::issuer::{Claims, Issuer, IssuerKind, Source};
use super::policy::{EventFeed, SealerEntry};
use crate::algorithm::Algorithm;
use crate::principal::Credential;
use crate::secret::Secret;

/// Default of `max_lifetime`: a day.
const MAX_LIFETIME: u64 = 24 * 60 * 60;
/// Clocks that are further apart are broken, and an expired token would be good for as long.
pub(crate) const MAX_SKEW: u64 = 5 * 60;

/// An issuer to be: what an entry of the registry says.
///
/// ```
/// use hopseal::{Algorithm, IssuerBuilder, IssuerKind, Registry};
/// let staff = IssuerBuilder::new(IssuerKind::Oidc, "staff", "https://id.example.com")
///     .audiences(["orders"])
///     .algorithms([Algorithm::Rs256]);
/// assert_eq!(Registry::new([staff])?.issuers().len(), 1);
/// # Ok::<(), hopseal::RegistryError>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct IssuerBuilder {
    pub(super) kind: IssuerKind,
    pub(super) name: String,
    pub(super) id: String,
    pub(super) jwks_uri: Option<String>,
    pub(super) workload_api: Option<String>,
    pub(super) jwks: Option<Secret>,
    pub(super) paserk: Vec<Secret>,
    pub(super) endpoint: Option<String>,
    pub(super) client_id: Option<String>,
    pub(super) client_secret: Option<Secret>,
    pub(super) tokens: Option<Vec<Credential>>,
    pub(super) audiences: Vec<String>,
    pub(super) algorithms: Vec<Algorithm>,
    pub(super) types: Option<Vec<String>>,
    pub(super) max_lifetime: Option<u64>,
    pub(super) skew: Option<u64>,
    pub(super) claims: Claims,
    pub(super) feed: Option<EventFeed>,
    pub(super) sealers: Vec<SealerEntry>,
    pub(super) loopback_http: bool,
}

/// A field that does not do, and why.
type Fault = (&'static str, String);

impl IssuerBuilder {
    /// An issuer that the registry calls `name` and that calls itself `id`: `iss` to the letter, or the name of the trust
    /// domain for the kinds `spiffe`, `txn_token` and `seal`.
    pub fn new(kind: IssuerKind, name: impl Into<String>, id: impl Into<String>) -> Self {
        Self {
            kind,
            name: name.into(),
            id: id.into(),
            jwks_uri: None,
            workload_api: None,
            jwks: None,
            paserk: Vec::new(),
            endpoint: None,
            client_id: None,
            client_secret: None,
            tokens: None,
            audiences: Vec::new(),
            algorithms: Vec::new(),
            types: None,
            max_lifetime: None,
            skew: None,
            claims: Claims::default(),
            feed: None,
            sealers: Vec::new(),
            loopback_http: false,
        }
    }

    /// The address of its JWK set.
    pub fn jwks_uri(mut self, uri: impl Into<String>) -> Self {
        self.jwks_uri = Some(uri.into());
        self
    }

    /// The socket of the SPIFFE Workload API that hands out its keys, `unix:///run/spire/agent.sock`.
    pub fn workload_api(mut self, socket: impl Into<String>) -> Self {
        self.workload_api = Some(socket.into());
        self
    }

    /// Its JWK set (RFC 7517 section 5), as JSON.
    pub fn jwks(mut self, json: impl Into<String>) -> Self {
        self.jwks = Some(Secret::new(json));
        self
    }

    /// Its keys as PASERK, `k4.public.` or `k4.local.`.
    pub fn paserk(mut self, keys: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.paserk = keys.into_iter().map(Secret::new).collect();
        self
    }

    /// Where it is asked about tokens (RFC 7662 section 2), and as which client.
    pub fn introspection(
        mut self,
        endpoint: impl Into<String>,
        client_id: impl Into<String>,
        client_secret: Secret,
    ) -> Self {
        self.endpoint = Some(endpoint.into());
        self.client_id = Some(client_id.into());
        self.client_secret = Some(client_secret);
        self
    }

    /// The kinds of credential that are accepted from it. By default access tokens, or the one that its kind issues.
    pub fn tokens(mut self, tokens: impl IntoIterator<Item = Credential>) -> Self {
        self.tokens = Some(tokens.into_iter().collect());
        self
    }

    /// The audiences that are ours.
    pub fn audiences(mut self, audiences: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.audiences = audiences.into_iter().map(Into::into).collect();
        self
    }

    /// The algorithms that it is trusted with.
    pub fn algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.algorithms = algorithms.into_iter().collect();
        self
    }

    /// The types that its access tokens may have. Default `at+jwt` (RFC 9068 section 2.1); `JWT` stands for plain access
    /// tokens too, with that type or none.
    pub fn types(mut self, types: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.types = Some(types.into_iter().map(Into::into).collect());
        self
    }

    /// For how many seconds its credentials may be valid. Default a day.
    pub const fn max_lifetime(mut self, seconds: u64) -> Self {
        self.max_lifetime = Some(seconds);
        self
    }

    /// How many seconds its clock and ours may be apart, at most 300. Default 60, as the collector allows
    /// ([`CLOCK_SKEW`]).
    pub const fn skew(mut self, seconds: u64) -> Self {
        self.skew = Some(seconds);
        self
    }

    /// Which claim says what.
    pub fn claims(mut self, claims: Claims) -> Self {
        self.claims = claims;
        self
    }

    /// It sends security events and logouts.
    pub fn feed(mut self, feed: EventFeed) -> Self {
        self.feed = Some(feed);
        self
    }

    /// The services that may seal, of an issuer of the kind [`Seal`](IssuerKind::Seal).
    pub fn sealers(mut self, sealers: impl IntoIterator<Item = SealerEntry>) -> Self {
        self.sealers = sealers.into_iter().collect();
        self
    }

    /// Allows plain `http` to this machine itself, for tests.
    pub const fn loopback_http(mut self) -> Self {
        self.loopback_http = true;
        self
    }

    pub(super) fn build(self) -> Result<Issuer, RegistryError> {
        self.build_at(|_| None)
    }

    /// Builds; `place` says where a field stands.
    pub(super) fn build_at(
        self,
        place: impl Fn(&'static str) -> Option<Place>,
    ) -> Result<Issuer, RegistryError> {
        let name = self.name.clone();
        self.checked().map_err(|(field, reason)| RegistryError::Value {
            at: place(field),
            issuer: name,
            field,
            reason,
        })
    }

    fn checked(self) -> Result<Issuer, Fault> {
        let plain = |letter: u8| letter.is_ascii_alphanumeric() || b"-._~".contains(&letter);
        if !(1..=32).contains(&self.name.len()) || !self.name.bytes().all(plain) {
            return fault("name", "1 to 32 letters, digits or `-._~`: it travels in baggage");
        }
        self.check_id()?;
        let tokens = self.accepted()?;
        self.check_audiences()?;
        self.check_algorithms()?;
        self.check_strays()?;
        let skew = self.skew.unwrap_or(CLOCK_SKEW);
        if skew > MAX_SKEW {
            return fault("skew", format!("at most {MAX_SKEW} seconds"));
        }
        let max_lifetime = self.max_lifetime.unwrap_or(MAX_LIFETIME);
        if max_lifetime == 0 {
            return fault("max_lifetime", "more than nothing");
        }
        let types: Vec<String> = match &self.types {
            None => vec!["at+jwt".to_owned()],
            Some(types) => types.iter().map(|name| media_type(name)).collect(),
        };
        // Other types are those of other kinds of tokens: to accept them here is to mix them up.
        if types.is_empty() || types.iter().any(|name| !matches!(name.as_str(), "at+jwt" | "jwt")) {
            return fault("typ", "one or both of `at+jwt` and `JWT`");
        }
        let source = self.source()?;
        Ok(Issuer {
            name: self.name,
            kind: self.kind,
            id: self.id,
            source,
            tokens,
            audiences: self.audiences,
            algorithms: self.algorithms,
            types,
            max_lifetime,
            skew,
            claims: self.claims,
            feed: self.feed,
            sealers: self.sealers,
            loopback_http: self.loopback_http,
        })
    }

    fn check_id(&self) -> Result<(), Fault> {
        match self.kind {
            IssuerKind::Oidc | IssuerKind::OAuth2 => self.check_url("issuer", &self.id),
            IssuerKind::Spiffe | IssuerKind::TxnToken | IssuerKind::Seal => {
                let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._".contains(&b);
                if self.id.is_empty() || self.id.len() > 255 || !self.id.bytes().all(legal) {
                    return fault(
                        "issuer",
                        "the name of a trust domain: lower-case letters, digits or `-._`",
                    );
                }
                Ok(())
            }
            IssuerKind::Jwks | IssuerKind::Static | IssuerKind::Paseto | IssuerKind::Introspection => {
                let seen = |letter: char| !letter.is_control() && !letter.is_whitespace();
                if self.id.is_empty() || self.id.len() > 512 || !self.id.chars().all(seen) {
                    return fault("issuer", "1 to 512 characters without spaces");
                }
                Ok(())
            }
        }
    }

    fn accepted(&self) -> Result<Vec<Credential>, Fault> {
        let (default, possible): (&[_], &[_]) = match self.kind {
            IssuerKind::Oidc | IssuerKind::OAuth2 | IssuerKind::Jwks | IssuerKind::Static => {
                (&[Credential::AccessToken], &[Credential::AccessToken, Credential::IdToken])
            }
            IssuerKind::Paseto => (&[Credential::Paseto], &[Credential::Paseto]),
            IssuerKind::Spiffe => {
                const SVIDS: &[Credential] = &[Credential::JwtSvid, Credential::X509Svid];
                (SVIDS, SVIDS)
            }
            IssuerKind::TxnToken => (&[Credential::TxnToken], &[Credential::TxnToken]),
            IssuerKind::Introspection | IssuerKind::Seal => (&[], &[]),
        };
        let Some(asked) = &self.tokens else { return Ok(default.to_vec()) };
        if asked.is_empty() || asked.iter().any(|token| !possible.contains(token)) {
            return fault("tokens", "credentials that an issuer of this kind does not issue, or none");
        }
        Ok(asked.clone())
    }

    fn check_audiences(&self) -> Result<(), Fault> {
        // A Txn-Token is meant for its trust domain, a seal for a trace.
        let implied = matches!(self.kind, IssuerKind::TxnToken | IssuerKind::Seal);
        match (implied, self.audiences.is_empty()) {
            (true, false) => fault("audiences", "not for this kind: the trust domain is the audience"),
            (false, true) => fault("audiences", "at least one, or tokens for others would be good here"),
            _ if self.audiences.iter().any(String::is_empty) => fault("audiences", "an empty text"),
            _ => Ok(()),
        }
    }

    fn check_algorithms(&self) -> Result<(), Fault> {
        let implied = matches!(self.kind, IssuerKind::Paseto | IssuerKind::Introspection | IssuerKind::Seal);
        let symmetric = self.algorithms.iter().filter(|algorithm| algorithm.is_symmetric()).count();
        if implied {
            return match self.algorithms.is_empty() {
                true => Ok(()),
                false => fault("algorithms", "not for this kind, which leaves no choice"),
            };
        }
        if self.algorithms.is_empty() {
            return fault("algorithms", "at least one");
        }
        if symmetric > 0 && self.kind != IssuerKind::Static {
            return fault(
                "algorithms",
                "HMAC is for issuers of the kind `static`: a published key is no secret",
            );
        }
        if symmetric > 0 && symmetric < self.algorithms.len() {
            return fault("algorithms", "HMAC beside signatures: a public key could be taken for a secret");
        }
        Ok(())
    }

    /// What another kind would use and this one does not: whoever wrote it expects something of it.
    fn check_strays(&self) -> Result<(), Fault> {
        use IssuerKind::{Introspection, Jwks, OAuth2, Oidc, Paseto, Seal, Spiffe, Static, TxnToken};
        let kind = self.kind;
        for (field, given, used) in [
            ("jwks_uri", self.jwks_uri.is_some(), matches!(kind, Jwks | Spiffe | TxnToken)),
            ("workload_api", self.workload_api.is_some(), kind == Spiffe),
            ("jwks", self.jwks.is_some(), matches!(kind, Static | Spiffe | TxnToken | Seal)),
            ("paserk", !self.paserk.is_empty(), kind == Paseto),
            ("endpoint", self.endpoint.is_some(), kind == Introspection),
            ("client_id", self.client_id.is_some(), kind == Introspection),
            ("client_secret", self.client_secret.is_some(), kind == Introspection),
            ("feed", self.feed.is_some(), matches!(kind, Jwks | OAuth2 | Oidc | Static)),
            ("sealers", !self.sealers.is_empty(), kind == Seal),
        ] {
            if given && !used {
                return fault(field, "not for this kind");
            }
        }
        if self.feed.as_ref().is_some_and(|feed| feed.audiences.iter().all(String::is_empty)) {
            return fault("feed", "at least one of `audiences`, or events for others would count here");
        }
        for (place, sealer) in self.sealers.iter().enumerate() {
            if let Some(reason) = sealer.fault() {
                return fault("sealers", reason);
            }
            if self.sealers.iter().skip(place + 1).any(|other| other.name == sealer.name) {
                return fault("sealers", format!("`{}` stands there twice", sealer.name));
            }
        }
        Ok(())
    }

    fn source(&self) -> Result<Source, Fault> {
        match self.kind {
            IssuerKind::Oidc => Ok(Source::OpenIdDiscovery),
            IssuerKind::OAuth2 => Ok(Source::OAuthMetadata),
            IssuerKind::Paseto => {
                if self.paserk.is_empty() || !self.paserk.iter().all(|key| is_paserk(key.expose())) {
                    return fault(
                        "paserk",
                        "at least one key, all of them `k4.public.` or `k4.local.` and 32 bytes in base64url",
                    );
                }
                Ok(Source::Paserk(self.paserk.clone()))
            }
            IssuerKind::Introspection => {
                let (Some(endpoint), Some(client_id), Some(client_secret)) =
                    (self.endpoint.clone(), self.client_id.clone(), self.client_secret.clone())
                else {
                    return fault("endpoint", "`endpoint`, `client_id` and `client_secret` go together");
                };
                self.check_url("endpoint", &endpoint)?;
                Ok(Source::Introspection { endpoint, client_id, client_secret })
            }
            IssuerKind::Jwks
            | IssuerKind::Static
            | IssuerKind::Spiffe
            | IssuerKind::TxnToken
            | IssuerKind::Seal => match (&self.jwks_uri, &self.jwks, &self.workload_api) {
                (Some(uri), None, None) => {
                    self.check_url("jwks_uri", uri)?;
                    Ok(Source::JwksUri(uri.clone()))
                }
                (None, Some(jwks), None) if jwks.expose().trim().is_empty() => fault("jwks", "the keys"),
                (None, Some(jwks), None) => Ok(Source::Jwks(jwks.clone())),
                (None, None, Some(socket)) if is_socket(socket) => Ok(Source::WorkloadApi(socket.clone())),
                (None, None, Some(_)) => fault("workload_api", "a socket: `unix:///run/spire/agent.sock`"),
                (None, None, None) if self.kind == IssuerKind::Jwks => {
                    fault("jwks_uri", "the address of the keys")
                }
                (None, None, None) => fault("jwks", "the keys"),
                _ if self.workload_api.is_some() => {
                    fault("workload_api", "either that, or `jwks`, or `jwks_uri`")
                }
                _ => fault("jwks", "either `jwks` or `jwks_uri`"),
            },
        }
    }

    fn check_url(&self, field: &'static str, url: &str) -> Result<(), Fault> {
        let graphic = |letter: u8| letter.is_ascii_graphic() && !b"\"<>\\^`{|}#".contains(&letter);
        let (rest, secure) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
            (Some(rest), _) => (rest, true),
            (_, Some(rest)) => (rest, false),
            _ => return fault(field, "an address that begins with `https://`"),
        };
        let authority = rest.split(['/', '?']).next().unwrap_or("");
        let Some(host) = host(authority).filter(|_| url.bytes().all(graphic) && url.len() <= 512) else {
            return fault(field, "no usable address");
        };
        // RFC 8414 section 2, OpenID Connect Discovery 1.0 section 3.
        if field == "issuer" && url.contains('?') {
            return fault(field, "an issuer has no query");
        }
        let allowed = secure || (self.loopback_http && is_loopback(host));
        if !allowed {
            return fault(field, "plain `http` is for this machine itself, with `loopback_http: true`");
        }
        Ok(())
    }
}

/// The host of an authority, which may have a port and no user (RFC 3986 section 3.2): a name, an IPv4 address, or an IPv6
/// address, of which the brackets are taken off.
fn host(authority: &str) -> Option<&str> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, port)
        }
        None => {
            let (host, port) = authority.split_at_checked(authority.find(':').unwrap_or(authority.len()))?;
            let legal = |letter: u8| letter.is_ascii_alphanumeric() || b"-._~".contains(&letter);
            if host.is_empty() || !host.bytes().all(legal) {
                return None;
            }
            (host, port)
        }
    };
    let digits = |port: &str| !port.is_empty() && port.bytes().all(|digit| digit.is_ascii_digit());
    let sound = match port.strip_prefix(':') {
        Some(port) => digits(port) && port.parse::<u16>().is_ok_and(|port| port > 0),
        None => port.is_empty(),
    };
    sound.then_some(host)
}

/// Whether a text is the address of a socket of this machine: keys and credentials are handed out behind it, by plain text.
fn is_socket(text: &str) -> bool {
    let path = text.strip_prefix("unix://").filter(|path| path.starts_with('/') && path.len() > 1);
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"?#%".contains(&byte);
    path.is_some_and(|path| path.len() < 108 && path.bytes().all(plain))
}

/// Whether a host is this machine, by address: a name could be made to mean another.
fn is_loopback(host: &str) -> bool {
    host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Whether a text is a PASERK of a key that verifies or decrypts: 32 bytes in canonical base64url.
fn is_paserk(text: &str) -> bool {
    let key = text.strip_prefix("k4.public.").or_else(|| text.strip_prefix("k4.local."));
    let legal = |letter: u8| letter.is_ascii_alphanumeric() || b"-_".contains(&letter);
    // The last of 43 letters has two bits to spare.
    let last = |letter: &u8| b"AEIMQUYcgkosw048".contains(letter);
    key.is_some_and(|key| {
        key.len() == 43 && key.bytes().all(legal) && key.as_bytes().last().is_some_and(last)
    })
}

/// A type as it is compared: without regard to case, `application/` understood (RFC 7515 section 4.1.9).
pub(crate) fn media_type(name: &str) -> String {
    let lower = name.to_ascii_lowercase();
    lower.strip_prefix("application/").map_or(lower.clone(), str::to_owned)
}

fn fault<T>(field: &'static str, reason: impl Into<String>) -> Result<T, Fault> {
    Err((field, reason.into()))
}
