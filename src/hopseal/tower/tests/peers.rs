//! Workloads on the other side of the connection, and proxies that speak for others.

use hopseal_identity::attribute::{METHOD, PEER_WORKLOAD};
use http::HeaderName;

use super::*;
use crate::keys::FixedKeys;
use crate::testing::{self, Mint, base64url, peer};
use crate::tower::Peer;
use crate::{Proxies, SpiffeId, Validator};

const GATEWAY: &str = "spiffe://prod.example/gateway";
const CART: &str = "spiffe://prod.example/cart";
const CLAIMS: HeaderName = HeaderName::from_static("x-jwt-payload");

type Layer = IdentityLayer<Arc<Validator<FixedKeys>>>;

/// Believes the gateway, and reads what it sends.
fn layer() -> Layer {
    let proxies = Proxies::new([SpiffeId::parse(GATEWAY).expect("an id")]);
    let validator = Validator::fixed(&testing::registry()).expect("keys").clock(testing::NOW);
    let validator = Arc::new(validator.with_proxies(proxies));
    IdentityLayer::new(validator, Arc::new(gateway()), Arc::new(checker()), "orders")
        .clock(Arc::new(testing::NOW))
        .forwarded_certificates()
        .forwarded_claims(CLAIMS)
}

/// The status, and the assurance, method and calling workload of the entry span.
async fn told(layer: Layer, peer: Option<&Verified>, headers: &[(&'static str, &str)]) -> String {
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
    let layer = layer.spans(BoxedTracer::new(Box::new(provider.tracer("test"))));
    let mut request = request(headers);
    if let Some(peer) = peer {
        request.extensions_mut().insert(Peer::new(Arc::new(peer.clone())).expect("a certificate"));
    }
    let response = layer.layer(Inner::default()).call(request).await.expect("infallible");
    let span = exporter.get_finished_spans().expect("spans").pop().expect("one");
    let attribute = |name: &str| {
        let found = span.attributes.iter().find(|it| it.key.as_str() == name);
        found.map_or("-".to_owned(), |it| it.value.to_string())
    };
    let words = [ASSURANCE, METHOD, PEER_WORKLOAD].map(attribute);
    format!("{} {}", response.status().as_u16(), words.join(" "))
}

#[tokio::test]
async fn the_workload_that_calls_is_the_peer_or_whom_a_declared_proxy_saw() {
    let (proxy, cart) = (peer(GATEWAY), peer(CART));
    let mut ended = peer(CART);
    ended.principal.expiry = UnixTime(testing::NOW.0 - 1);
    let seen = format!("By={GATEWAY};URI={CART}");
    let older = "By=x;URI=spiffe://prod.example/admin".to_owned();
    for (name, peer, headers, expected) in [
        ("nobody", None, vec![], "200 anonymous - -"),
        ("a workload", Some(&cart), vec![], "200 anonymous - spiffe://prod.example/cart"),
        ("one whose certificate has ended", Some(&ended), vec![], "200 anonymous - -"),
        (
            "through the gateway",
            Some(&proxy),
            vec![seen.as_str()],
            "200 anonymous - spiffe://prod.example/cart",
        ),
        ("through two", Some(&proxy), vec![&older, &seen], "200 anonymous - spiffe://prod.example/cart"),
        (
            "the last of two is not the gateway's",
            Some(&proxy),
            vec![&seen, &older],
            "200 anonymous - spiffe://prod.example/gateway",
        ),
        (
            "a workload that lies",
            Some(&cart),
            vec!["By=spiffe://prod.example/cart;URI=spiffe://prod.example/admin"],
            "200 anonymous - spiffe://prod.example/cart",
        ),
        ("nobody who lies", None, vec![&seen], "200 anonymous - -"),
        ("no header", Some(&proxy), vec!["nonsense"], "200 anonymous - spiffe://prod.example/gateway"),
    ] {
        let headers: Vec<_> = headers.iter().map(|value| ("x-forwarded-client-cert", *value)).collect();
        assert_eq!(told(layer(), peer, &headers).await, expected, "{name}");
    }
}

#[tokio::test]
async fn claims_are_believed_from_a_declared_proxy_alone() {
    let (proxy, cart) = (peer(GATEWAY), peer(CART));
    let good = base64url(Mint::plain().claims_json());
    let over = base64url(Mint::plain().set("iat", "1").set("exp", "2").claims_json());
    let token = format!("Bearer {}", Mint::access().text());
    let claims = |value| ("x-jwt-payload", value);
    for (name, layer, peer, headers, expected) in [
        (
            "of the gateway",
            layer(),
            Some(&proxy),
            vec![claims(good.as_str())],
            "200 verified proxy spiffe://prod.example/gateway",
        ),
        (
            "of the gateway, over",
            layer(),
            Some(&proxy),
            vec![claims(&over)],
            "401 refused - spiffe://prod.example/gateway",
        ),
        (
            "of the gateway, beside a token",
            layer(),
            Some(&proxy),
            vec![claims(&over), ("authorization", &token)],
            "200 verified access_token spiffe://prod.example/gateway",
        ),
        (
            "of a workload",
            layer(),
            Some(&cart),
            vec![claims(&good)],
            "200 asserted - spiffe://prod.example/cart",
        ),
        ("of nobody", layer(), None, vec![claims(&good)], "200 asserted - -"),
        ("of nobody, over", layer(), None, vec![claims(&over)], "200 anonymous - -"),
        ("of nobody, required", layer().require(), None, vec![claims(&good)], "401 anonymous - -"),
        ("of a stranger", layer().edge(&[]), None, vec![claims(&good)], "200 anonymous - -"),
        (
            "two",
            layer(),
            Some(&proxy),
            vec![claims(&good), claims(&good)],
            "401 refused - spiffe://prod.example/gateway",
        ),
    ] {
        assert_eq!(told(layer, peer, &headers).await, expected, "{name}");
    }
}

/// Where that is asked for, a workload acts for itself, unless somebody else does.
#[tokio::test]
async fn a_workload_acts_for_itself_where_nobody_else_does() {
    let (proxy, cart) = (peer(GATEWAY), peer(CART));
    let seen = format!("By={GATEWAY};URI={CART}");
    let token = format!("Bearer {}", Mint::access().text());
    let forwarded = ("x-forwarded-client-cert", seen.as_str());
    for (name, peer, headers, expected) in [
        ("nobody", None, vec![], "401 anonymous - -"),
        ("a workload", Some(&cart), vec![], "200 verified x509_svid spiffe://prod.example/cart"),
        (
            "through the gateway",
            Some(&proxy),
            vec![forwarded],
            "200 verified proxy spiffe://prod.example/cart",
        ),
        (
            "with a token",
            Some(&cart),
            vec![("authorization", token.as_str())],
            "200 verified access_token spiffe://prod.example/cart",
        ),
        (
            "with a bad one",
            Some(&cart),
            vec![("authorization", "Bearer a.b.c")],
            "401 refused - spiffe://prod.example/cart",
        ),
    ] {
        assert_eq!(told(layer().workloads().require(), peer, &headers).await, expected, "{name}");
    }
}

/// RFC 8705 section 3: a token that is bound to a certificate is good from whoever showed it, also to a declared proxy.
#[tokio::test]
async fn a_token_that_is_bound_to_a_certificate_needs_it() {
    let cart = peer(CART); // SHA-256 of its certificate: that of "der"
    let mut other = peer(CART);
    other.evidence.fingerprint = crate::Fingerprint::of(b"another");
    let digest = crate::Fingerprint::of(b"der");
    let cnf = format!(r#"{{"x5t#S256":"{}"}}"#, base64url(digest.sha256()));
    let token = format!("Bearer {}", Mint::access().set("cnf", &cnf).text());
    let hash: String = digest.sha256().iter().map(|byte| format!("{byte:02x}")).collect();
    let seen = format!("By={GATEWAY};Hash={hash};URI={CART}");
    let (proxy, authorization) = (peer(GATEWAY), ("authorization", token.as_str()));
    let mut proxy_of_another = proxy.clone();
    proxy_of_another.evidence.fingerprint = crate::Fingerprint::of(b"proxy");
    let forwarded = ("x-forwarded-client-cert", seen.as_str());
    for (name, peer, headers, expected) in [
        ("its holder", Some(&cart), vec![authorization], "200"),
        ("another", Some(&other), vec![authorization], "401"),
        ("nobody", None, vec![authorization], "401"),
        ("its holder, through the gateway", Some(&proxy_of_another), vec![authorization, forwarded], "200"),
        ("somebody, through the gateway", Some(&proxy_of_another), vec![authorization], "401"),
        ("nobody who lies", None, vec![authorization, forwarded], "401"),
    ] {
        let told = told(layer(), peer, &headers).await;
        assert_eq!(told.split(' ').next(), Some(expected), "{name}: {told}");
    }
}

/// What is no certificate of the peer itself cannot be taken for one.
#[test]
fn a_token_is_no_peer() {
    assert!(Peer::new(Arc::new(alice())).is_none());
    let mut said = peer(CART);
    said.evidence.proxy = Some(GATEWAY.to_owned());
    assert!(Peer::new(Arc::new(said)).is_none());
    assert!(Peer::new(Arc::new(peer(CART))).is_some());
}
