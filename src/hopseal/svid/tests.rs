//! Certificates of workloads, and those that are none.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType, date_time_ymd,
};

use super::*;
use crate::Kind;
use crate::testing::NOW;

const CART: &str = "spiffe://prod.example/cart";

fn registry() -> Registry {
    Registry::from_yaml(
        "issuers: [{name: mesh, kind: spiffe, issuer: prod.example, jwks: '{}', audiences: [orders], algorithms: [ES256], max_lifetime: 72h}]",
    )
    .expect("a registry")
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a certificate")
}

/// A certificate of a workload, valid around the moment of the tests; changed as a test likes.
fn leaf(
    authority: &CertifiedIssuer<'static, KeyPair>,
    change: impl FnOnce(&mut CertificateParams),
) -> Vec<u8> {
    let mut params = CertificateParams::default();
    let uri = |text: &str| SanType::URI(text.try_into().expect("ASCII"));
    params.subject_alt_names = vec![uri(CART), SanType::DnsName("cart".try_into().expect("ASCII"))];
    params.not_before = date_time_ymd(2027, 1, 15);
    params.not_after = date_time_ymd(2027, 1, 16);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
    params.is_ca = IsCa::ExplicitNoCa;
    change(&mut params);
    let key = KeyPair::generate().expect("a key");
    params.signed_by(&key, authority).expect("a certificate").der().to_vec()
}

fn bundle(trust_domain: &str, authority: &CertifiedIssuer<'static, KeyPair>) -> X509Bundle {
    X509Bundle::from_der(trust_domain, [authority.der().as_ref()]).expect("a bundle")
}

#[test]
fn a_workload_by_its_certificate() {
    let authority = authority();
    let der = leaf(&authority, |_| {});
    let bundle = bundle("prod.example", &authority);
    for chain in [Chain::ByTls, Chain::Against(&bundle)] {
        let verified = validate(&registry(), &[&der], chain, NOW).expect("good");
        let (principal, evidence) = (verified.principal(), verified.evidence());
        assert_eq!((principal.id.as_str(), principal.issuer.as_str()), (CART, "prod.example"));
        assert_eq!((principal.kind, principal.expiry), (Kind::Service, UnixTime(1_800_057_600)));
        assert_eq!((evidence.method(), evidence.issuer.as_str()), ("x509_svid", "mesh"));
        assert!(evidence.token_id.is_some());
    }
}

#[test]
fn certificates_that_are_no_svid() {
    let authority = authority();
    let uri = |text: &str| SanType::URI(text.try_into().expect("ASCII"));
    let names = |names: &[&str]| {
        let names: Vec<SanType> = names.iter().map(|name| uri(name)).collect();
        leaf(&authority, |params| params.subject_alt_names = names)
    };
    for (name, der, expected) in [
        ("two ids", names(&[CART, "spiffe://prod.example/admin"]), Reason::Claim),
        ("an id and another URI", names(&[CART, "https://a.example"]), Reason::Claim),
        (
            "no id",
            leaf(&authority, |params| {
                params.subject_alt_names.retain(|name| !matches!(name, SanType::URI(_)))
            }),
            Reason::Claim,
        ),
        ("no names", leaf(&authority, |params| params.subject_alt_names.clear()), Reason::Claim),
        ("no SPIFFE ID", names(&["https://prod.example/cart"]), Reason::Claim),
        ("a trust domain as a whole", names(&["spiffe://prod.example"]), Reason::Claim),
        ("a path that is not canonical", names(&["spiffe://prod.example/a/../cart"]), Reason::Claim),
        ("of another trust domain", names(&["spiffe://evil.example/cart"]), Reason::Issuer),
        (
            "an authority",
            leaf(&authority, |params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)),
            Reason::Type,
        ),
        (
            "one that may sign others",
            leaf(&authority, |params| params.key_usages.push(KeyUsagePurpose::KeyCertSign)),
            Reason::Type,
        ),
        (
            "one that may revoke others",
            leaf(&authority, |params| params.key_usages.push(KeyUsagePurpose::CrlSign)),
            Reason::Type,
        ),
        (
            "one for encryption",
            leaf(&authority, |params| params.key_usages = vec![KeyUsagePurpose::KeyEncipherment]),
            Reason::Type,
        ),
        ("one for anything", leaf(&authority, |params| params.key_usages.clear()), Reason::MissingClaim),
        ("over", leaf(&authority, |params| params.not_after = date_time_ymd(2027, 1, 15)), Reason::Expired),
        (
            "to come",
            leaf(&authority, |params| params.not_before = date_time_ymd(2027, 1, 16)),
            Reason::Premature,
        ),
        (
            "that ends before it begins",
            leaf(&authority, |params| {
                // By less than clocks may be apart, around now.
                let day = date_time_ymd(2027, 1, 15);
                params.not_before = day + std::time::Duration::from_secs(8 * 3600 + 10);
                params.not_after = day + std::time::Duration::from_secs(8 * 3600 - 10);
            }),
            Reason::Claim,
        ),
        (
            "for years",
            leaf(&authority, |params| params.not_after = date_time_ymd(2037, 1, 16)),
            Reason::Lifetime,
        ),
    ] {
        let refused = validate(&registry(), &[&der], Chain::ByTls, NOW).expect_err(name);
        assert_eq!(refused.reason(), expected, "{name}: {refused}");
    }
    let good = leaf(&authority, |_| {});
    let cut = good.get(..good.len() - 1).expect("not empty");
    let longer = [good.as_slice(), &[0]].concat();
    for (name, chain, expected) in [
        ("nothing", vec![], Reason::Malformed),
        ("empty", vec![&[][..]], Reason::Malformed),
        ("cut short", vec![cut], Reason::Malformed),
        ("longer", vec![longer.as_slice()], Reason::Malformed),
        ("a long chain", vec![good.as_slice(); 9], Reason::TooLarge),
    ] {
        let refused = validate(&registry(), &chain, Chain::ByTls, NOW).expect_err(name);
        assert_eq!(refused.reason(), expected, "{name}");
    }
}

#[test]
fn chains_that_lead_elsewhere() {
    let (authority, other) = (authority(), authority());
    let der = leaf(&authority, |_| {});
    let refused = |bundle: &X509Bundle, der: &[u8]| {
        validate(&registry(), &[der], Chain::Against(bundle), NOW).expect_err("elsewhere").reason()
    };
    // All authorities of these tests have the same name, so that it is the signature that tells.
    assert_eq!(refused(&bundle("prod.example", &other), &der), Reason::Signature);
    // An authority of one trust domain for an id of another.
    assert_eq!(refused(&bundle("evil.example", &authority), &der), Reason::Issuer);
    let servers = leaf(&authority, |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    });
    assert_eq!(refused(&bundle("prod.example", &authority), &servers), Reason::Type);
    let mut forged = der.clone();
    *forged.last_mut().expect("not empty") ^= 1;
    assert_eq!(refused(&bundle("prod.example", &authority), &forged), Reason::Signature);
}

#[test]
fn bundles_and_what_is_none() {
    use base64::Engine as _;
    let authority = authority();
    let x5c = base64::engine::general_purpose::STANDARD.encode(authority.der());
    let entry = |use_: &str, x5c: &str| format!(r#"{{"kty":"EC","use":"{use_}","x5c":[{x5c}]}}"#);
    let good = entry("x509-svid", &format!("{x5c:?}"));
    let read = |entries: &str| {
        X509Bundle::from_spiffe_bundle("prod.example", format!(r#"{{"keys":[{entries}]}}"#).as_bytes())
    };
    let bundle = read(&format!("{},{good}", entry("jwt-svid", ""))).expect("a bundle");
    let der = leaf(&authority, |_| {});
    assert!(validate(&registry(), &[&der], Chain::Against(&bundle), NOW).is_ok());
    for (entries, expected) in [
        (String::new(), BundleError::Empty),
        (entry("jwt-svid", ""), BundleError::Empty),
        (format!("{good},{}", entry("x509-svid", "")), BundleError::Certificate(1)),
        (entry("x509-svid", &format!("{x5c:?},{x5c:?}")), BundleError::Certificate(0)),
        (entry("x509-svid", "\"AAAA\""), BundleError::Certificate(0)),
        (entry("x509-svid", "5"), BundleError::Certificate(0)),
        (vec![good.as_str(); 101].join(","), BundleError::TooLarge),
    ] {
        assert_eq!(read(&entries).err(), Some(expected), "{entries:.40}");
    }
    let workload = X509Bundle::from_der("prod.example", [der.as_slice()]);
    assert_eq!(workload.err(), Some(BundleError::Certificate(0)), "it would vouch for itself");
    let read = |json: &str| X509Bundle::from_spiffe_bundle("a", json.as_bytes()).err();
    assert_eq!(read("[]"), Some(BundleError::Shape));
    assert!(matches!(read("{"), Some(BundleError::Json(_))));
}
