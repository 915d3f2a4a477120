//! Who may ask the API and see the pages, and what.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::extract::{Request, State};
use axum::http::header::{HOST, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use hopseal::Validator;
use hopseal::keys::KeyStore;
use schemars::JsonSchema;
use serde::Deserialize;

use super::api::Problem;
use super::jaeger;
use super::pages::wrong;
use super::proof::{KnownBy, Peer, Proof, prove};
use super::refusal::Refusal;
use crate::here::is_here;

/// What somebody may do. Each may what those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    /// See services, traces, findings and coverage, but not whose identity it was.
    Reader,
    /// See whose identity it was, and ask what one principal did.
    Auditor,
    /// Say what became of a finding.
    Admin,
}

impl Role {
    /// The word of configurations.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Auditor => "auditor",
            Self::Admin => "admin",
        }
    }
}

/// Somebody who asks, and was let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asker {
    /// The most that they may do.
    pub(crate) role: Role,
    /// Who it is, as they proved it; empty where nobody has to.
    pub(crate) who: String,
}

/// Who may ask.
#[derive(Debug, Default)]
pub(crate) struct Access {
    /// Whether nobody else may. Where nobody needs to be known, everybody may do everything.
    pub(crate) required: bool,
    /// Names besides those of this machine under which it is asked for where nobody needs to be known.
    pub(crate) names: HashSet<String>,
    pub(crate) known: HashMap<KnownBy, Role>,
    pub(crate) tokens: Option<Validator<KeyStore>>,
}

impl Access {
    /// Who sent this, and the most that they may do.
    ///
    /// # Errors
    /// [`Refusal`]: a bad credential, none, or a stranger's.
    pub(crate) async fn asker(&self, headers: &HeaderMap, peer: &Peer) -> Result<Asker, Refusal> {
        if !self.required {
            return Ok(Asker { role: Role::Admin, who: String::new() });
        }
        match prove(self.tokens.as_ref(), headers, peer).await? {
            Proof::Shown(proofs) => {
                let roles = proofs.iter().filter_map(|by| self.known.get(by));
                let role = roles.max().copied().ok_or(Refusal::Stranger)?;
                Ok(Asker { role, who: proofs.first().map(KnownBy::name).unwrap_or_default() })
            }
            Proof::Nothing => Err(Refusal::NoCredential),
        }
    }
}

/// What it takes to be answered.
fn needed(method: &Method, path: &str, query: &str) -> Role {
    let is_of = |name: &str| query.split('&').any(|part| part.split('=').next() == Some(name));
    // A name may be written with escapes, too, and what it is then is for others to find out.
    let names_somebody =
        ["principal", "user", "tenant"].into_iter().any(is_of) || query.split('&').any(is_escaped);
    let lists_them = path.starts_with("/principals") || path == "/api/v1/touched";
    match method {
        &Method::GET | &Method::HEAD if lists_them || names_somebody => Role::Auditor,
        &Method::GET | &Method::HEAD
            if ["/api/traces", "/api/v3/traces", "/api/v3/trace-summaries"].contains(&path)
                && jaeger::names_somebody(query) =>
        {
            Role::Auditor
        }
        &Method::GET | &Method::HEAD => Role::Reader,
        _ => Role::Admin,
    }
}

fn is_escaped(part: &str) -> bool {
    part.split('=').next().is_some_and(|name| name.contains('%'))
}

/// Stands before all that answers: lets through who may be answered, with the [`Asker`] among the extensions.
pub(crate) async fn gate(
    State(access): State<Arc<ArcSwap<Access>>>,
    mut request: Request,
    next: Next,
) -> Response {
    let access = access.load_full();
    if !access.required && !is_ours(&request, &access.names) {
        return wrong(request.uri().path(), Problem::OtherName);
    }
    let stranger = Peer::default();
    let peer = request.extensions().get::<Arc<Peer>>().map_or(&stranger, |peer| peer);
    let asker = match access.asker(request.headers(), peer).await {
        Ok(asker) => asker,
        Err(refusal) => return refused(request.uri().path(), &refusal),
    };
    let uri = request.uri();
    if asker.role < needed(request.method(), uri.path(), uri.query().unwrap_or("")) {
        return wrong(uri.path(), Problem::Forbidden);
    }
    request.extensions_mut().insert(asker);
    next.run(request).await
}

/// Whether it was asked for under a name of this machine, or another of ours. A page of somebody else that got its own name to
/// mean this machine is not answered (DNS rebinding).
fn is_ours(request: &Request, names: &HashSet<String>) -> bool {
    let named = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    let Some(host) = named.or_else(|| request.uri().authority().map(|authority| authority.as_str())) else {
        return false;
    };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    is_here(name) || names.contains(&name.to_ascii_lowercase())
}

fn refused(path: &str, refusal: &Refusal) -> Response {
    let challenge = match refusal {
        Refusal::NoCredential => Some(HeaderValue::from_static("Bearer")),
        Refusal::BadCredential(challenge) => HeaderValue::try_from(challenge).ok(),
        _ => None,
    };
    let mut response = wrong(path, Problem::Refused(refusal.http(), refusal.message().into_owned()));
    if let Some(challenge) = challenge.filter(|_| response.status() == StatusCode::UNAUTHORIZED) {
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    }
    response
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::routing::get;
    use tower_service::Service as _;

    use super::*;

    #[test]
    fn what_it_takes() {
        for (method, path, query, expected) in [
            (Method::GET, "/api/v1/findings", "severity=high", Role::Reader),
            (Method::GET, "/api/v1/hops", "service=a&limit=9", Role::Reader),
            (Method::GET, "/api/v1/hops", "service=a&user=alice", Role::Auditor),
            (Method::GET, "/api/v1/hops", "principal=alice", Role::Auditor),
            (Method::GET, "/api/v1/hops", "princip%61l=alice", Role::Auditor),
            (Method::GET, "/api/v1/hops", "service=user%3D", Role::Reader),
            (Method::GET, "/api/v1/hops", "tenant=acme", Role::Auditor),
            (Method::GET, "/api/v1/findings", "principal=alice", Role::Auditor),
            (Method::GET, "/api/v1/touched", "service=a", Role::Auditor),
            (Method::GET, "/api/traces", "service=*&tag=hopseal.tenant:acme", Role::Auditor),
            (Method::HEAD, "/principals", "", Role::Auditor),
            (
                Method::GET,
                "/api/traces",
                "service=a&tags=%7B%22hopseal.rule%22%3A%22audit_gap%22%7D",
                Role::Reader,
            ),
            (
                Method::GET,
                "/api/traces",
                "service=a&tags=%7B%22enduser.id%22%3A%22alice%22%7D",
                Role::Auditor,
            ),
            (Method::GET, "/api/traces", "service=*&tag=enduser.id:alice", Role::Auditor),
            (
                Method::GET,
                "/api/v3/traces",
                "query.attributes=%7B%22enduser.id%22%3A%22alice%22%7D",
                Role::Auditor,
            ),
            (Method::GET, "/api/v3/trace-summaries", "query.serviceName=a", Role::Reader),
            (Method::GET, "/api/traces", "t%61gs=%7B%22enduser.id%22%3A%22alice%22%7D", Role::Auditor),
            (Method::GET, "/api/traces/0af7651916cd43dd8448eb211c80319c", "", Role::Reader),
            (Method::PATCH, "/api/v1/findings/00", "", Role::Admin),
            (Method::POST, "/findings/00", "", Role::Admin),
            (Method::from_bytes(b"QUERY").expect("a method"), "/", "", Role::Admin),
        ] {
            assert_eq!(needed(&method, path, query), expected, "{method} {path}?{query}");
        }
    }

    async fn asked(access: Access, host: Option<&str>, path: &str, token: Option<&str>) -> (u16, String) {
        let shown = |asker: axum::Extension<Asker>| async move { format!("{:?}", asker.role) };
        let access = Arc::new(ArcSwap::from_pointee(access));
        let mut router = Router::new()
            .route("/principals", get(shown))
            .route("/", get(shown).patch(shown))
            .layer(axum::middleware::from_fn_with_state(access, gate));
        let mut request = Request::get(path);
        if let Some(host) = host {
            request = request.header(HOST, host);
        }
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let response = router.call(request.body(Body::empty()).expect("a request")).await.expect("an answer");
        let status = response.status().as_u16();
        let challenge =
            response.headers().get(WWW_AUTHENTICATE).map(|value| value.to_str().expect("text").to_owned());
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.expect("a body");
        let body = String::from_utf8(body.to_vec()).expect("text");
        (status, challenge.unwrap_or(body))
    }

    #[tokio::test]
    async fn without_roles_it_is_answered_under_known_names_alone() {
        for (host, expected) in [
            (Some("localhost:8317"), 200),
            (Some("LocalHost"), 200),
            (Some("127.0.0.1:8317"), 200),
            (Some("[::1]:8317"), 200),
            (Some("evil.example:8317"), 421),
            (Some("localhost.evil.example"), 421),
            (Some("127.0.0.1.evil.example"), 421),
            (Some("10.0.0.7"), 421),
            (Some("Hopseal:8317"), 200),
            (None, 421),
        ] {
            let access = Access { names: ["hopseal".to_owned()].into(), ..Access::default() };
            let (status, said) = asked(access, host, "/principals", None).await;
            assert_eq!(status, expected, "{host:?}");
            assert!(status != 200 || said == "Admin", "{said}");
        }
    }

    #[tokio::test]
    async fn who_must_be_known_is_asked() {
        let access = || Access { required: true, ..Access::default() };
        let challenge = (401, "Bearer".to_owned());
        assert_eq!(asked(access(), Some("localhost"), "/", None).await, challenge);
        // Nobody validates tokens here.
        assert_eq!(asked(access(), Some("localhost"), "/", Some("abc")).await, challenge);
    }
}
