use std::sync::Arc;

use ::tonic::{Code, Request};

use super::RequestExt as _;
use crate::otel::HopIdentity;
use crate::seal::testing::{alice, gateway};
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
