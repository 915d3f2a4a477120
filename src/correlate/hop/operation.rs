//! What was called, in words that are the same for every call of it, and how it ended.

use std::borrow::Cow;

use super::Outcome;
use crate::credential;
use crate::field::Field;
use crate::record::Span;
use crate::sink::{SpanKind, Status};

/// Path of a URL or request target, without query and fragment.
#[must_use]
pub fn path_of(url: &str) -> &str {
    // A query may hold another URL.
    let scheme = find(url, |byte| matches!(byte, b':' | b'/' | b'?' | b'#'))
        .and_then(|at| url.get(at..)?.strip_prefix("://"));
    let (target, if_empty) = match scheme {
        Some(rest) => (
            find(rest, |byte| matches!(byte, b'/' | b'?' | b'#')).and_then(|at| rest.get(at..)).unwrap_or(""),
            "/",
        ),
        None => (url, ""),
    };
    let path =
        find(target, |byte| matches!(byte, b'?' | b'#')).and_then(|end| target.get(..end)).unwrap_or(target);
    if path.is_empty() { if_empty } else { path }
}

/// Where the first of these ASCII characters stands.
#[inline]
fn find(text: &str, is_sought: impl Fn(u8) -> bool) -> Option<usize> {
    text.bytes().position(is_sought)
}

/// The path that was asked for: the URL's if it is there, else the route.
pub(crate) fn path<'t>(span: &Span<'t>) -> Option<&'t str> {
    let full = || span.get(Field::UrlFull).map(path_of);
    span.get(Field::UrlPath).map(path_of).or_else(full).or_else(|| span.get(Field::HttpRoute))
}

/// What was called.
pub(crate) fn operation<'t>(span: &Span<'t>) -> Cow<'t, str> {
    if let Some(route) = span.get(Field::HttpRoute) {
        return match span.get(Field::HttpMethod) {
            Some(method)
                if span.name.strip_prefix(method).and_then(|rest| rest.strip_prefix(' ')) == Some(route) =>
            {
                Cow::Borrowed(span.name)
            }
            Some(method) => Cow::Owned(format!("{method} {route}")),
            None => Cow::Borrowed(route),
        };
    }
    if let Some(method) = span.get(Field::RpcMethod) {
        return match span.get(Field::RpcService) {
            Some(service) => Cow::Owned(format!("{service}/{method}")),
            None => Cow::Borrowed(method),
        };
    }
    if span.kind == SpanKind::Consumer
        && let Some(destination) = span.get(Field::MessagingDestination)
    {
        return Cow::Owned(format!("process {destination}"));
    }
    template(span.name)
}

/// A name with ids in its path segments replaced by `{id}`, so that calls of one operation share one name.
fn template(name: &str) -> Cow<'_, str> {
    if !name.contains('/') || !name.split('/').any(is_id) {
        return Cow::Borrowed(name);
    }
    let segments: Vec<&str> =
        name.split('/').map(|segment| if is_id(segment) { "{id}" } else { segment }).collect();
    Cow::Owned(segments.join("/"))
}

/// Whether a path segment is an id rather than a word: an address of mail, all digits, or long with several digits and no
/// more than hex, dashes and the like.
fn is_id(segment: &str) -> bool {
    if credential::is_masked(segment) || is_mail_address(segment) {
        return true;
    }
    let digits = segment.bytes().filter(u8::is_ascii_digit).count();
    if digits == 0 {
        return false;
    }
    digits == segment.len()
        || (segment.len() >= 16
            && digits >= 4
            && segment.bytes().all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b'-' | b'_')))
}

/// Whether it names a person: `alice@example.org`, as it stands or percent-encoded. `@scope` is the name of a package.
fn is_mail_address(segment: &str) -> bool {
    let domain = segment.split_once('@').or_else(|| segment.split_once("%40"));
    domain.is_some_and(|(local, domain)| !local.is_empty() && domain.trim_matches('.').contains('.'))
}

/// How the crossing ended.
pub(crate) fn outcome(span: &Span<'_>) -> Outcome {
    if let Some(status) = span.number::<u16>(Field::HttpStatus) {
        return match status {
            100..=399 => Outcome::Succeeded,
            400..=499 => Outcome::Rejected,
            _ => Outcome::Failed,
        };
    }
    if let Some(status) = span.get(Field::RpcStatus) {
        return rpc_outcome(status);
    }
    match span.status {
        Status::Ok => Outcome::Succeeded,
        Status::Error => Outcome::Failed,
        Status::Unset => Outcome::Unknown,
    }
}

/// gRPC status codes by number or name (<https://grpc.io/docs/guides/status-codes/>).
fn rpc_outcome(status: &str) -> Outcome {
    match status {
        "0" | "OK" => Outcome::Succeeded,
        "3"
        | "INVALID_ARGUMENT"
        | "5"
        | "NOT_FOUND"
        | "6"
        | "ALREADY_EXISTS"
        | "7"
        | "PERMISSION_DENIED"
        | "9"
        | "FAILED_PRECONDITION"
        | "11"
        | "OUT_OF_RANGE"
        | "16"
        | "UNAUTHENTICATED" => Outcome::Rejected,
        _ => Outcome::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_one_operation_are_one() {
        for (name, expected) in [
            ("GET /orders", "GET /orders"),
            ("GET /orders/1234", "GET /orders/{id}"),
            ("http:/verifylogintoken/2aaa7d4d-faf0-4dea-bdbe-568", "http:/verifylogintoken/{id}"),
            ("http:/verifylogintoken/2aaa...[36]", "http:/verifylogintoken/{id}"),
            ("GET /api/v2/users", "GET /api/v2/users"),
            ("js/smartthings.b41485894888f0dcba97.js", "js/smartthings.b41485894888f0dcba97.js"),
            ("GET /users/alice@x.com/orders", "GET /users/{id}/orders"),
            ("GET /users/alice%40x.com?a=b", "GET /users/{id}"),
            ("GET /npm/@scope/left-pad@1", "GET /npm/@scope/left-pad@1"),
            ("", ""),
        ] {
            assert_eq!(template(name), expected);
        }
    }

    #[test]
    fn paths_of_urls_and_targets() {
        for (url, path) in [
            ("http://h:1/a/b?c=d", "/a/b"),
            ("http://h", "/"),
            ("/a?b#c", "/a"),
            ("/login?next=https://h/b", "/login"),
            ("http://h/login?next=https://h/b", "/login"),
            ("http://h?next=/healthz", "/"),
            ("http://h?next=https://x/b", "/"),
            ("http://h#a/b", "/"),
            ("a:b/c", "a:b/c"),
            ("img/a.png", "img/a.png"),
            ("", ""),
        ] {
            assert_eq!(path_of(url), path, "{url}");
        }
    }
}
