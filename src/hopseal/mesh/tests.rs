//! Who may say who is calling: through the front door.

use super::*;
use crate::testing::{Mint, NOW, base64url, peer, registry};
use crate::{Revocation, Validator, keys::FixedKeys};

const GATEWAY: &str = "spiffe://prod.example/gateway";

fn id(text: &str) -> SpiffeId {
    SpiffeId::parse(text).expect("an id")
}

fn validator() -> Validator<FixedKeys> {
    Validator::fixed(&registry()).expect("keys").clock(NOW).with_proxies(Proxies::new([id(GATEWAY)]))
}

/// The same, by a token or by another proxy, which is no proof of being on the other side of the connection.
fn not_a_peer(credential: Credential, proxy: Option<&str>) -> Verified {
    let mut peer = peer(GATEWAY);
    peer.evidence.credential = credential;
    peer.evidence.proxy = proxy.map(str::to_owned);
    peer
}

/// One word for what comes of it.
fn word(forwarded: &Forwarded) -> &'static str {
    match forwarded {
        Forwarded::Verified(verified) => verified.evidence().method(),
        Forwarded::Asserted { .. } => "asserted",
        Forwarded::Refused(refused) => refused.reason().as_str(),
    }
}

#[test]
fn a_certificate_is_verified_only_from_a_declared_proxy_that_proved_to_be_it() {
    let (validator, gateway) = (validator(), peer(GATEWAY));
    let header = format!("By={GATEWAY};URI=spiffe://prod.example/cart");
    let older = format!("By=x;URI=spiffe://prod.example/admin, {header}");
    let inner = format!("{header}, By=spiffe://prod.example/sidecar;URI={GATEWAY}");
    for (name, peer, header, expected) in [
        ("from the gateway", Some(&gateway), header.as_str(), "proxy"),
        ("the nearest counts", Some(&gateway), &older, "proxy"),
        ("from nobody", None, &header, "asserted"),
        ("from another workload", Some(&peer("spiffe://prod.example/cart")), &header, "asserted"),
        ("with a token of the gateway", Some(&not_a_peer(Credential::JwtSvid, None)), &header, "asserted"),
        (
            "a gateway that another proxy speaks of",
            Some(&not_a_peer(Credential::X509Svid, Some("x"))),
            &header,
            "asserted",
        ),
        ("passed on by the gateway as it came", Some(&gateway), &inner, "asserted"),
        ("not signed by the gateway", Some(&gateway), "URI=spiffe://prod.example/cart", "asserted"),
        ("no id", Some(&gateway), &format!("By={GATEWAY};DNS=cart"), "claim"),
        ("two ids", Some(&gateway), &format!("{header};URI=spiffe://prod.example/admin"), "claim"),
        (
            "another trust domain",
            Some(&gateway),
            &format!("By={GATEWAY};URI=spiffe://evil.example/a"),
            "issuer",
        ),
        ("no header", Some(&gateway), "", "malformed"),
    ] {
        let forwarded = validator.forwarded_certificate(peer, header);
        assert_eq!(word(&forwarded), expected, "{name}: {forwarded:?}");
    }
    let Forwarded::Verified(verified) = validator.forwarded_certificate(Some(&gateway), &header) else {
        panic!("a declared proxy")
    };
    assert_eq!(verified.principal().id, "spiffe://prod.example/cart");
    assert_eq!(verified.principal().expiry, gateway.principal().expiry);
    assert_eq!(verified.evidence().proxy.as_deref(), Some(GATEWAY));
}

#[test]
fn claims_are_held_to_the_rules_whoever_forwards_them() {
    let (validator, gateway) = (validator(), peer(GATEWAY));
    let header = |mint: &Mint| base64url(mint.claims_json());
    let plain = header(&Mint::plain());
    for (name, peer, header, expected) in [
        ("from the gateway", Some(&gateway), plain.clone(), "proxy"),
        ("padded", Some(&gateway), format!("{plain}=="), "proxy"),
        ("from nobody", None, plain.clone(), "asserted"),
        ("from another workload", Some(&peer("spiffe://prod.example/cart")), plain.clone(), "asserted"),
        ("over", Some(&gateway), header(&Mint::plain().set("iat", "1").set("exp", "2")), "expired"),
        ("over, from nobody", None, header(&Mint::plain().set("iat", "1").set("exp", "2")), "expired"),
        ("for another", Some(&gateway), header(&Mint::plain().set("aud", r#""x""#)), "audience"),
        ("of another", Some(&gateway), header(&Mint::plain().set("iss", r#""x""#)), "issuer"),
        ("an ID token", Some(&gateway), header(&Mint::id()), "type"),
        ("an event", Some(&gateway), header(&Mint::plain().set("events", "{}")), "type"),
        ("bound", Some(&gateway), header(&Mint::plain().bound()), "binding"),
        ("twice", Some(&gateway), header(&Mint::plain().also("sub", r#""bob""#)), "duplicate"),
        ("a whole token", Some(&gateway), Mint::plain().text(), "malformed"),
        ("no JSON", Some(&gateway), base64url("alice"), "malformed"),
        ("long", Some(&gateway), "A".repeat(8193), "too_large"),
    ] {
        let forwarded = validator.forwarded_claims(peer, &header, None);
        assert_eq!(word(&forwarded), expected, "{name}: {forwarded:?}");
    }
    assert_eq!(word(&validator.forwarded_claims(Some(&gateway), &plain, Some("billing"))), "audience");
    let Forwarded::Verified(verified) = validator.forwarded_claims(Some(&gateway), &plain, None) else {
        panic!("a declared proxy")
    };
    assert_eq!((verified.principal().id.as_str(), verified.evidence().algorithm), ("alice", None));
}

#[test]
fn what_is_revoked_is_so_whoever_speaks_for_it() {
    let (validator, gateway) = (validator(), peer(GATEWAY));
    let subject = Revocation::Subject {
        issuer: "https://id.example".to_owned(),
        id: "alice".to_owned(),
        issued_until: NOW,
        until: NOW.plus(3600),
    };
    validator.revocations().revoke(subject, NOW).expect("room");
    let header = base64url(Mint::plain().claims_json());
    assert_eq!(word(&validator.forwarded_claims(Some(&gateway), &header, None)), "revoked");
}
