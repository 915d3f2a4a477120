//! Pages for people: what the store holds, rendered here, and readable without a script.
//!
//! Nothing here says who may ask: as of the [API](super::api), [`router`] is put behind whatever does. Every text of a span is
//! put in by `maud`, which escapes it; addresses are made by [`parts::link`] alone.
//!
//! ```text
//! period, parts, elsewhere -> chart, frame -> finding, ask -> overview, findings, trace, principals, matrix, coverage, live, words
//! ```

mod ask;
mod chart;
mod coverage;
mod elsewhere;
mod finding;
mod findings;
mod frame;
mod live;
mod matrix;
mod overview;
mod parts;
mod period;
mod principals;
#[cfg(test)]
mod tests;
mod trace;
mod words;

use axum::Router;
use axum::http::{HeaderName, HeaderValue, Uri, header};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

pub(crate) use self::elsewhere::Links;
#[cfg(test)]
pub(crate) use self::tests::hop;

use self::frame::{Page, Wrong};
use super::api::{Api, Problem};
use super::jaeger;
use super::tail::Tail;

/// What pages are made from.
#[derive(Clone)]
pub(crate) struct Pages {
    pub(crate) api: Api,
    pub(crate) tail: Tail,
    pub(crate) links: Links,
}

/// A page, or why there is none.
type Answer = Result<Page, Wrong>;

/// What a browser may do with a page: show it, with our own style, script and picture, and ask us.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'; trusted-types 'none'";

/// The pages. Who may ask is for the caller to add.
pub(crate) fn router(pages: Pages) -> Router {
    Router::new()
        .route("/", get(overview::page))
        .route("/findings", get(findings::page))
        .route("/findings/{id}", get(finding::page).post(finding::say))
        .route("/traces", get(trace::look_up))
        .route("/traces/{trace_id}", get(trace::page))
        .route("/principals", get(principals::page))
        .route("/matrix", get(matrix::page))
        .route("/coverage", get(coverage::page))
        .route("/live", get(live::page))
        .route("/live/events", get(live::events))
        .route("/words", get(words::page))
        .route("/style.css", get(async || own("text/css; charset=utf-8", include_str!("style.css"))))
        .route("/live.js", get(async || own("text/javascript; charset=utf-8", include_str!("live.js"))))
        .route("/icon.svg", get(async || own("image/svg+xml", include_str!("icon.svg"))))
        .fallback(nothing)
        .layer(map_response(async |response| guard(response)))
        .with_state(pages)
}

/// A file of ours. It changes with the program alone, which is small enough to be asked each time.
fn own(kind: &'static str, text: &'static str) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-cache")], text)
}

async fn nothing(uri: Uri) -> Response {
    wrong(uri.path(), Problem::NotFound)
}

/// Why there is no answer at that path, for a program or for people.
pub(crate) fn wrong(path: &str, problem: Problem) -> Response {
    match path.starts_with("/api/") {
        true => jaeger::wrong(path, problem).unwrap_or_else(IntoResponse::into_response),
        false => guard(Wrong(problem).into_response()),
    }
}

/// Says of every answer what a browser must not do with it.
fn guard(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // With none at all, browsers would not say where our own forms come from.
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // Whose identity it was is on most of them.
    let private = HeaderValue::from_static("no-store");
    headers.entry(header::CACHE_CONTROL).or_insert(private);
    response
}
