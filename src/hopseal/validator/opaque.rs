//! Tokens that only their issuer can read.

#[cfg(feature = "introspection")]
use std::sync::Arc;

use super::Trust;
use super::judge::Judged;
use crate::Reason;
use crate::claims::Expected;
use crate::jose::quoted;
use crate::outcome::{Refused, Undecided};
use crate::registry::{Issuer, IssuerKind, Registry};
use crate::secret::Token;
#[cfg(feature = "introspection")]
use crate::{introspection::Introspector, keys::KeySource, validator::Validator};

/// Whose token it must be. It does not say so itself, and no other is tried: it would be told a token that is not its own.
fn issuer<'r>(
    registry: &'r Registry,
    expected: &Expected<'_>,
) -> Result<Result<&'r Issuer, Refused>, Undecided> {
    let named = |issuer: &&Issuer| expected.issuer.is_none_or(|name| issuer.name() == name);
    let asked = |issuer: &&Issuer| issuer.kind() == IssuerKind::Introspection;
    let mut found = registry.issuers().iter().filter(asked).filter(named);
    match (found.next(), found.next()) {
        (Some(issuer), None) => Ok(Ok(issuer)),
        (Some(_), Some(_)) => Err(Undecided::WhichIssuer),
        (None, _) => {
            let name =
                expected.issuer.map_or_else(|| "nobody".to_owned(), |name| format!("`{}`", quoted(name)));
            Ok(Err(Refused::new(Reason::Issuer, format!("{name} for `opaque`"))))
        }
    }
}

/// Judges a token by what its issuer says. Who asks remembers the answer, for as long as its own settings say.
pub(super) async fn judge<K: Sync>(
    trust: &Trust<K>,
    token: &Token,
    expected: &Expected<'_>,
) -> Result<Judged, Undecided> {
    let issuer = match issuer(&trust.registry, expected)? {
        Ok(issuer) => issuer,
        Err(refused) => return Ok(refused.into()),
    };
    #[cfg(feature = "introspection")]
    if let Some(introspector) = &trust.introspector {
        return Ok(introspector.judge(issuer, token, expected.audience).await?.into());
    }
    #[cfg(not(feature = "introspection"))]
    let _ = token;
    Err(Undecided::NotAsked { issuer: issuer.name().to_owned() })
}

#[cfg(feature = "introspection")]
impl<K: KeySource> Validator<K> {
    /// Validates opaque tokens too, about which `introspector`, made of the same registry, asks their issuers. It remembers
    /// their answers for as long as its settings say, whether this has a cache or not; revocations and settings for proofs of
    /// possession are those of this validator.
    ///
    /// ```
    /// use hopseal::{Credential, Registry, Token, Undecided, Validator};
    /// use hopseal::{http::{Http, HttpSettings}, introspection::Introspector, keys::KeyStore};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let registry = Registry::from_yaml(r#"
    /// issuers:
    ///   - name: partners
    ///     kind: introspection
    ///     issuer: http://127.0.0.1:9
    ///     endpoint: http://127.0.0.1:9/introspect
    ///     client_id: orders
    ///     client_secret: hunter2
    ///     audiences: [orders]
    ///     loopback_http: true
    /// "#)?;
    /// let http = Http::new(&HttpSettings::default())?;
    /// let introspector = Introspector::builder(&registry, http.clone()).build()?;
    /// let keys = KeyStore::builder(&registry, http).build()?;
    /// let validator = Validator::new(&registry, keys).with_introspector(introspector);
    ///
    /// let answer = validator.validate(&Token::new("2YotnFZFEjr1zCsicMWpAA"), Credential::Opaque).await;
    /// // Nobody answers there: that is no "no".
    /// assert_eq!(answer, Err(Undecided::Unanswered { issuer: "partners".to_owned() }));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn with_introspector(self, introspector: Introspector) -> Self {
        self.change(|trust| {
            let same = Trust::new(&trust.registry, Arc::clone(&trust.keys), trust.generation);
            Trust { introspector: Some(introspector), ..same }
        });
        self
    }

    /// Like [`reload`](Self::reload), with who asks issuers by the new registry.
    pub fn reload_with_introspector(&self, registry: &Registry, keys: K, introspector: Introspector) {
        self.change(|trust| {
            let next = Trust::new(registry, Arc::new(keys), trust.generation.wrapping_add(1));
            Trust { introspector: Some(introspector), ..next }
        });
    }
}
