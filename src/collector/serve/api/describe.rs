//! What the API is, for machines: its operations, who may ask them, and every answer that there is.

use http::StatusCode;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ContentBuilder, OpenApi as Document, Ref, RefOr, Response, ResponseBuilder};
use utoipa::{Modify, OpenApi};

const ABOUT: &str = "Whose identity it was at every hop.

Who asks proves who they are by an access token or a client certificate, and has one of three roles, each of which may what those \
before it may:

- `reader` sees services, traces, hops, findings and coverage, but not whose identity it was: of principals and actors the id is empty \
and the tenant none, and facts of findings that name one are left out. That there was somebody, of what kind, and who issued the \
credential, is shown.
- `auditor` sees that, and may ask for it: by `principal`, `user` or `tenant`, and who touched a service. A `reader` who asks so is \
answered 403.
- `admin` may say what became of a finding.

Where `access.required` is not set, nobody has to prove anything: it is answered on the machine itself alone, and everybody has every \
role.

Lists come in pages: `next` of an answer is the `cursor` of the next question, and is none where there is no more.";

#[derive(OpenApi)]
#[openapi(
    info(title = "hopseal", description = ABOUT, license(name = "Apache-2.0")),
    paths(
        super::trace, super::hops, super::findings, super::finding, super::set_state, super::touched, super::edges, super::coverage,
        super::openapi
    ),
    modifiers(&Security, &Answers)
)]
struct Description;

/// What the API is, for machines.
pub(crate) fn description() -> String {
    // There is nothing in it that JSON cannot say.
    Description::openapi().to_pretty_json().unwrap_or_default() + "\n"
}

/// By what who asks is known.
struct Security;

impl Modify for Security {
    fn modify(&self, document: &mut Document) {
        let about = "An access token of an issuer of the trust registry that `access.registry` names.";
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(about)).build();
        let about = "A client certificate whose SPIFFE ID or DNS name `access.known` lists, signed by `tls.client_authorities`.";
        let certificate = SecurityScheme::MutualTls {
            description: Some(about.to_owned()),
            deprecated: None,
            extensions: None,
        };
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
        components.add_security_scheme("certificate", certificate);
        let one = |name| SecurityRequirement::new::<_, [&str; 0], _>(name, []);
        // Nothing, where nobody has to be known.
        document.security = Some(vec![one("bearer"), one("certificate"), SecurityRequirement::default()]);
    }
}

/// Answers that every operation may give, and what all of them mean.
struct Answers;

/// Whatever is asked, one of these may come in place of an answer.
const ALWAYS: [StatusCode; 5] = [
    StatusCode::UNAUTHORIZED,
    StatusCode::FORBIDDEN,
    StatusCode::MISDIRECTED_REQUEST,
    StatusCode::INTERNAL_SERVER_ERROR,
    StatusCode::SERVICE_UNAVAILABLE,
];

const fn meaning(status: StatusCode) -> &'static str {
    match status {
        StatusCode::OK => "The answer.",
        StatusCode::NO_CONTENT => "It is kept.",
        StatusCode::NOT_MODIFIED => "The answer is the one that `If-None-Match` names.",
        StatusCode::BAD_REQUEST => "The question cannot be understood.",
        StatusCode::UNAUTHORIZED => "No credential that is good.",
        StatusCode::FORBIDDEN => "Whoever asks is known, and may not, or is nobody who is known here.",
        StatusCode::NOT_FOUND => "There is no such thing, or it is not kept any longer.",
        StatusCode::PAYLOAD_TOO_LARGE => "More bytes than are taken.",
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "It is not said to be `application/json`.",
        StatusCode::MISDIRECTED_REQUEST => {
            "Nobody has to be known, and it was asked for under a name that is not of this machine."
        }
        StatusCode::UNPROCESSABLE_ENTITY => "It is JSON, but of another shape.",
        StatusCode::INTERNAL_SERVER_ERROR => "It could not be answered.",
        StatusCode::SERVICE_UNAVAILABLE => "It cannot be told whether the credential is good.",
        _ => "",
    }
}

fn problem() -> Response {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("ProblemShape"))).build();
    ResponseBuilder::new().content("application/json", content).build()
}

fn text(about: &str) -> utoipa::openapi::header::Header {
    let schema = ObjectBuilder::new().schema_type(Type::String).build();
    HeaderBuilder::new().schema(Some(schema)).description(Some(about)).build()
}

fn each(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.patch].into_iter().flatten()
}

impl Modify for Answers {
    fn modify(&self, document: &mut Document) {
        for operation in document.paths.paths.values_mut().flat_map(each) {
            let responses = &mut operation.responses.responses;
            for status in ALWAYS {
                responses.entry(status.as_str().to_owned()).or_insert_with(|| RefOr::T(problem()));
            }
            let is_tagged = responses.contains_key(StatusCode::NOT_MODIFIED.as_str());
            for (status, response) in responses {
                let (RefOr::T(response), Ok(status)) = (response, status.parse::<StatusCode>()) else {
                    continue;
                };
                if response.description.is_empty() {
                    meaning(status).clone_into(&mut response.description);
                }
                let header = match status {
                    StatusCode::UNAUTHORIZED => Some(("WWW-Authenticate", "What is asked for (RFC 6750).")),
                    StatusCode::OK | StatusCode::NOT_MODIFIED if is_tagged => {
                        Some(("ETag", "Changes when the answer does: for `If-None-Match`."))
                    }
                    _ => None,
                };
                if let Some((name, about)) = header {
                    response.headers.insert(name.to_owned(), RefOr::T(text(about)));
                }
            }
        }
    }
}
