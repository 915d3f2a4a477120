use std::sync::Arc;

use ::tonic::{Code, Request, Status};

use super::{RequestExt as _, requiring, requiring_proof};
use crate::otel::HopIdentity;
use crate::seal::Txn;
use crate::seal::testing::{NOW, TRACE, alice, checker, gateway};
use crate::{Reason, Refused};

#[test]
fn a_status_says_what_is_wanted() {
    let request = |identity: Option<HopIdentity>| {
        let mut request = Request::new(());
        identity.map(|identity| request.extensions_mut().insert(identity));
        request
    };
    let alice = || HopIdentity::verified(Arc::new(alice()), Arc::new(gateway()), None);
    let refused = HopIdentity::refused(&Refused::new(Reason::Expired, "long ago"));
    for (name, identity, scopes, code, challenge) in [
        ("has it", alice(), &["orders:read"][..], None, None),
        (
            "lacks it",
            alice(),
            &["orders:write"],
            Some(Code::PermissionDenied),
            Some(r#"Bearer error="insufficient_scope", scope="orders:write""#),
        ),
        ("no layer", None, &[], Some(Code::Unauthenticated), Some("Bearer")),
        (
            "refused, and only observed",
            Some(refused),
            &[],
            Some(Code::Unauthenticated),
            Some(r#"Bearer error="invalid_token", error_description="the token has expired""#),
        ),
    ] {
        let request = request(identity);
        let answer = request.require_scopes(scopes);
        let found = answer.as_ref().err().map(|status| status.code());
        let told = answer.as_ref().err().and_then(|status| status.metadata().get("www-authenticate"));
        assert_eq!(found, code, "{name}");
        assert_eq!(told.map(|value| value.to_str().expect("ASCII")), challenge, "{name}");
    }
    assert_eq!(
        request(alice()).verified().map(|it| it.principal().id.clone()).ok().as_deref(),
        Some("alice")
    );
}

#[test]
fn an_interceptor_lets_in_whom_it_must() {
    let txn = Txn::new("t-1").expect("legal");
    let carried = gateway().seal(&alice(), &txn, TRACE, NOW).expect("seals");
    let sealed = HopIdentity::checked(carried.clone(), &checker(), TRACE, NOW);
    let known = HopIdentity::verified(Arc::new(alice()), Arc::new(gateway()), None);
    for (name, identity, had, lacked, proven) in [
        ("verified", known, None, Some(Code::PermissionDenied), None),
        ("sealed", Some(sealed), Some(Code::Unauthenticated), Some(Code::Unauthenticated), None),
        (
            "asserted",
            Some(HopIdentity::asserted(carried)),
            Some(Code::Unauthenticated),
            Some(Code::Unauthenticated),
            Some(Code::Unauthenticated),
        ),
        (
            "nobody",
            None,
            Some(Code::Unauthenticated),
            Some(Code::Unauthenticated),
            Some(Code::Unauthenticated),
        ),
    ] {
        let request = || {
            let mut request = Request::new(());
            identity.clone().map(|identity| request.extensions_mut().insert(identity));
            request
        };
        let code = |answer: Result<Request<()>, Status>| answer.err().map(|status| status.code());
        assert_eq!(code(requiring(["orders:read"])(request())), had, "{name}");
        assert_eq!(code(requiring(["orders:write"])(request())), lacked, "{name}");
        assert_eq!(code(requiring_proof(request())), proven, "{name}");
    }
}
