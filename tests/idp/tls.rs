//! TLS to a provider: by an authority of one's own, and by nobody else's word.

use std::sync::Arc;

use hopseal::http::{Http, HttpSettings};
use hopseal::introspection::Introspector;
use hopseal::keys::{FetchFault, KeyStore};
use hopseal::{
    Algorithm, Credential, IssuerBuilder, IssuerKind, Registry, Secret, Token, Undecided, Validated,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::hostile::{Act, Idp};
use crate::lab::jwks;

/// An authority for certificates that nobody knows but who is told of it.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    pub(crate) fn der(&self) -> &[u8] {
        self.0.der()
    }

    /// A certificate for a server of that name or address, and its key, in PEM.
    pub(crate) fn issue(&self, name: &str) -> (String, String) {
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }

    /// What a server of that name proves itself with.
    pub(crate) fn acceptor(&self, name: &str) -> TlsAcceptor {
        let (certificate, key) = self.issue(name);
        let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
        let config =
            ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        TlsAcceptor::from(Arc::new(config.with_no_client_auth().with_single_cert(chain, key).unwrap()))
    }
}

fn http(roots: Option<&Authority>) -> Http {
    let mut settings = HttpSettings::default();
    settings.roots = roots.map(|authority| authority.pem().into_bytes());
    Http::new(&settings).unwrap()
}

fn registry(idp: &Idp) -> Registry {
    let keys = IssuerBuilder::new(IssuerKind::Oidc, "idp", &idp.id)
        .audiences(["orders"])
        .algorithms([Algorithm::EdDsa])
        .loopback_http();
    let asked = IssuerBuilder::new(IssuerKind::Introspection, "asked", &idp.id)
        .introspection(format!("{}/introspect", idp.id), "orders", Secret::new("secret"))
        .audiences(["orders"])
        .loopback_http();
    Registry::new([keys, asked]).unwrap()
}

/// Scenario: a provider behind TLS, whose certificate is of an authority of one's own: known, not known, and for another name.
/// Guarantees: keys and answers about tokens come from the first alone; of the others nothing is believed, and tokens are undecided.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_asked_has_to_prove_its_name() {
    let (authority, other) = (Authority::new(), Authority::new());
    let token = Token::new("opaque");
    for (name, certified, trusted, good) in [
        ("127.0.0.1", &authority, Some(&authority), true),
        ("127.0.0.1", &authority, Some(&other), false),
        ("127.0.0.1", &authority, None, false),
        ("127.0.0.2", &authority, Some(&authority), false),
        ("localhost", &authority, Some(&authority), false),
    ] {
        let what = format!("{name} {}", trusted.is_some());
        let idp = Idp::start_tls(&jwks(&["k1"]), certified.acceptor(name)).await;
        idp.on("/introspect", Act::Says(format!(
            r#"{{"active":true,"sub":"ann","iss":"{}","aud":"orders","exp":4000000000,"iat":3999999900}}"#,
            idp.id
        )));
        let (registry, http) = (registry(&idp), http(trusted));
        let keys = KeyStore::builder(&registry, http.clone()).build().unwrap();
        let found = keys.find("idp", Some("k1")).await;
        assert_eq!(found.is_ok(), good, "{what}: keys");
        let fault = keys.status()[0].fault.clone();
        assert_eq!(fault.as_ref().map(FetchFault::as_str), (!good).then_some("connection"), "{what}");

        let introspector = Introspector::builder(&registry, http).build().unwrap();
        let said = introspector.validate("asked", &token, Credential::Opaque).await;
        match said {
            // Issued in the year 2096: what counts is that it was heard.
            Ok(Validated::Refused(refused)) if good => {
                assert_eq!(refused.reason(), hopseal::Reason::Premature)
            }
            Err(Undecided::Unanswered { .. }) if !good => {}
            other => panic!("{what}: {other:?}"),
        }
        assert_eq!(idp.asked("/introspect"), usize::from(good), "{what}: the secret is shown to nobody else");
    }
}
