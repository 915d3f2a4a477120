//! Who is on the other side of the connection, by its certificate or by what a proxy says.

use super::Validator;
use crate::claims::Expected;
use crate::keys::KeySource;
use crate::mesh::{self, Forwarded, Proxies};
use crate::outcome::{Refused, Verified};
use crate::principal::Credential;
#[cfg(feature = "spiffe")]
use crate::{
    outcome::Validated,
    svid::{self, Chain},
};

impl<K: KeySource> Validator<K> {
    /// Believes these proxies, if they prove to be them.
    #[must_use]
    pub fn with_proxies(mut self, proxies: Proxies) -> Self {
        self.proxies = proxies;
        self
    }

    /// Validates the certificate that a peer showed, as an X.509-SVID of a trust domain of the registry: `certificates` in DER,
    /// its own first.
    #[cfg(feature = "spiffe")]
    #[must_use]
    pub fn validate_peer(&self, certificates: &[&[u8]], chain: Chain<'_>) -> Validated {
        let verified = svid::validate(&self.trust().registry, certificates, chain, self.clock.now());
        verified.and_then(|verified| self.revocations.check(&verified).map(|()| verified)).into()
    }

    /// What a proxy says of its client's certificate: the value of `x-forwarded-client-cert`, several joined by commas. It is
    /// verified only if `peer`, validated by [`validate_peer`](Self::validate_peer), is one of the proxies that are declared and
    /// the header says that it was this proxy that added it.
    #[must_use]
    pub fn forwarded_certificate(&self, peer: Option<&Verified>, header: &str) -> Forwarded {
        let (trust, now) = (self.trust(), self.clock.now());
        self.forwarded(mesh::certificate(&trust.registry, &self.proxies, peer, header, now))
    }

    /// What a proxy says of the access token that it validated: base64url of its claims, from a header that only the proxy
    /// can have set. It is verified only if `peer`, validated by [`validate_peer`](Self::validate_peer), is one of the proxies
    /// that are declared. The rules of the issuer hold all the same.
    #[must_use]
    pub fn forwarded_claims(
        &self,
        peer: Option<&Verified>,
        header: &str,
        audience: Option<&str>,
    ) -> Forwarded {
        let (trust, now) = (self.trust(), self.clock.now());
        let expected = Expected { audience, ..Credential::AccessToken.into() };
        self.forwarded(mesh::claims(&trust.registry, &self.proxies, peer, header, &expected, now))
    }

    /// Whether a peer is one of the proxies that are believed.
    #[cfg(feature = "tower")]
    pub(crate) fn believes(&self, peer: Option<&Verified>) -> bool {
        self.proxies.is_one(peer)
    }

    fn forwarded(&self, found: Result<Forwarded, Refused>) -> Forwarded {
        let checked = found.and_then(|forwarded| match &forwarded {
            Forwarded::Verified(verified) => self.revocations.check(verified).map(|()| forwarded),
            Forwarded::Asserted { .. } | Forwarded::Refused(_) => Ok(forwarded),
        });
        checked.unwrap_or_else(Forwarded::Refused)
    }
}
