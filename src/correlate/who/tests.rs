use super::{Frame, MORE, Principal, gathered};
use crate::dialect::KeyId;
use crate::field::Field;
use crate::record::{Maker, Record, Span, put_field};
use crate::testing::{head, with_hops};
use crate::words::Words;

/// Guarantees: where none of the fields that say more is there, there is no more to gather.
#[test]
fn what_says_more_of_a_principal_is_known() {
    // Five texts, each empty.
    let maker = Maker { texts: vec![0; 4], ..Maker::default() };
    let words = Words::default();
    for field in Field::ALL.iter().filter(|field| **field != Field::User) {
        let mut fields = Vec::new();
        put_field(&mut fields, Field::User, KeyId(0), &["alice"]);
        // A number, and a word that is none of those for a kind.
        put_field(&mut fields, *field, KeyId(0), &["7"]);
        let record = Record { head: &head(), maker: &maker, name: &[0], fields: &fields, over: 0 };
        let record = record.to_bytes();
        let (_, span) = Span::read(&record, &words).expect("a record");
        let (spans, entry) = ([&span], span.entry(Field::User).expect("a user"));
        let found = gathered(Frame::of(&spans), entry);
        // What kinds there are is a closed list, of which this is none.
        let says_more = MORE & field.bit() != 0 && *field != Field::Kind;
        assert_eq!(found != Principal::bare(entry), says_more, "{field:?}");
    }
}

/// The identity of the first hop as `assurance method who`, the principal as `kind:id`.
fn first_hop(attributes: &str) -> String {
    with_hops(&format!("gw SERVER GET / {attributes}"), |_, hops| {
        let identity = &hops.iter().next().expect("a hop").identity;
        let who = identity.principal.as_ref().map(|who| format!("{}:{}", who.kind.as_str(), who.id));
        let words = [Some(identity.assurance.as_str()), identity.method, who.as_deref()];
        words.into_iter().flatten().collect::<Vec<_>>().join(" ")
    })
}

#[test]
fn one_word_for_what_a_span_shows() {
    for (attributes, expected) in [
        ("", "unknown"),
        ("http.method=GET", "unknown"),
        ("enduser.id=alice", "asserted user:alice"),
        ("enduser.id=", "unknown"),
        ("enduser.id=anonymousUser", "anonymous"),
        ("user.email=a@b.example user.id=7", "asserted user:7"),
        ("oauth.client_id=batch", "asserted service:batch"),
        ("oauth.client_id=web user.username=bob", "asserted user:bob"),
        ("user.id=spiffe://example.org/orders", "asserted service:spiffe://example.org/orders"),
        // Names that are not actors.
        ("db.user=root", "unknown"),
        ("process.user.name=root", "unknown"),
        // The crate's word stands above every other.
        (
            "hopseal.assurance=verified hopseal.method=access__token hopseal.sub=p1 user.id=x",
            "verified access_token user:p1",
        ),
        (
            "hopseal.assurance=sealed hopseal.method=seal hopseal.sub=p1 hopseal.kind=agent",
            "sealed seal agent:p1",
        ),
        ("hopseal.assurance=refused hopseal.sub=p1", "refused"),
        ("hopseal.assurance=anonymous user.id=x", "anonymous"),
        // Copied by another language's baggage processor: nobody here vouches for it.
        ("hopseal.sub=p1", "asserted user:p1"),
        // No ids at all.
        ("user.id=NULL", "unknown"),
        ("user.id=undefined enduser.id=alice", "asserted user:alice"),
        ("enduser.id=ANONYMOUS", "anonymous"),
        // What a caller writes into a header says nothing against what the service found out, and is not what it authenticated.
        ("http.request.header.x-user-id=ceo", "asserted user:ceo"),
        ("http.request.header.x-user-id=ceo enduser.id=alice", "asserted user:alice"),
        ("http.request.header.x-user-id=ceo aspnetcore.user.is_authenticated=false", "anonymous"),
        ("http.request.header.x-user-id=ceo aspnetcore.user.is_authenticated=true", "asserted user:ceo"),
        (
            "http.request.header.x-user-id=ceo aspnetcore.user.is_authenticated=true user.id=al",
            "verified framework user:al",
        ),
        // Frameworks.
        ("spring.security.authentication.type=AnonymousAuthenticationToken", "anonymous"),
        ("spring.security.authentication.type=JwtAuthenticationToken", "verified framework"),
        ("spring.security.authentication.type=JwtAuthenticationToken user.id=x", "verified framework user:x"),
        ("aspnetcore.user.is_authenticated=false", "anonymous"),
        ("@event=Authentication_set user.id=x", "verified framework user:x"),
    ] {
        assert_eq!(first_hop(attributes), expected, "{attributes}");
    }
}

#[test]
fn a_principal_is_gathered_from_its_frame() {
    let text = "gw SERVER GET / user.id=alice\n  gw INTERNAL work tenant.id=acme session.id=s1 user.roles=admin\n    \
                gw INTERNAL more hopseal.actors=service:bff,agent:planner enduser.scope=write_read";
    with_hops(text, |_, hops| {
        let principal = hops.iter().next().and_then(|hop| hop.identity.principal.as_ref()).expect("named");
        assert_eq!((principal.tenant, principal.session), (Some("acme"), Some("s1")));
        assert_eq!((&*principal.roles, &*principal.scopes), (&["admin"][..], &["read", "write"][..]));
        let actors: Vec<&str> = principal.actors.iter().map(|actor| actor.id).collect();
        assert_eq!(actors, ["bff", "planner"]);
    });
}

#[test]
fn the_entry_span_speaks_first() {
    with_hops("gw SERVER GET / user.id=alice\n  gw CLIENT POST user.id=bob", |_, hops| {
        let principal = hops.iter().next().and_then(|hop| hop.identity.principal.as_ref());
        assert_eq!(principal.map(|who| who.id), Some("alice"));
    });
}

/// Scenario: a valid seal stands on an inner span, and the entry span names another tenant, issuer and kind.
/// Guarantees: what the seal does not cover is not shown under it.
#[test]
fn nothing_is_added_to_what_a_seal_covers() {
    let text = "gw SERVER GET / hopseal.tenant=victim hopseal.iss=other hopseal.kind=agent\n  gw INTERNAL work \
                hopseal.assurance=sealed hopseal.seal=valid hopseal.sub=p1 hopseal.iss=main hopseal.kind=user";
    with_hops(text, |_, hops| {
        let principal = hops.iter().next().and_then(|hop| hop.identity.principal.as_ref()).expect("named");
        let said = (principal.id, principal.kind.as_str(), principal.issuer, principal.tenant);
        assert_eq!(said, ("p1", "user", Some("main"), None));
    });
}

/// Scenario: seals that were checked again and found valid, on spans that say all kinds of things beside them.
/// Guarantees: who only shows a seal proves what is sealed; that a credential was validated only who made the seal; and nobody
/// proves that there was no identity, or actors that were not sealed.
#[test]
fn what_a_valid_seal_proves() {
    let found = |attributes: &str| {
        with_hops(&format!("gw SERVER GET / hopseal.sub=p1 {attributes}"), |_, hops| {
            let identity = &hops.iter().next().expect("a hop").identity;
            format!("{} {}", identity.assurance.as_str(), identity.basis.as_str())
        })
    };
    for (attributes, expected) in [
        ("hopseal.assurance=sealed hopseal.seal=valid", "sealed reverified"),
        ("hopseal.assurance=verified hopseal.seal=valid-own", "verified reverified"),
        ("hopseal.assurance=verified hopseal.seal=valid", "verified claimed"),
        ("hopseal.assurance=verified", "verified claimed"),
        ("hopseal.assurance=anonymous hopseal.seal=valid-own", "anonymous claimed"),
        ("hopseal.assurance=refused hopseal.seal=valid", "refused claimed"),
        ("hopseal.assurance=sealed hopseal.seal=valid hopseal.actors=user:ceo", "sealed claimed"),
        (
            "hopseal.assurance=sealed hopseal.seal=valid hopseal.actors=service:bff hopseal.act=aa",
            "sealed reverified",
        ),
        ("hopseal.assurance=sealed hopseal.seal=broken-signature", "asserted claimed"),
    ] {
        assert_eq!(found(attributes), expected, "{attributes}");
    }
}
