//! Requests after which a call may lawfully be someone else's: logins, token requests, step-ups, consents.

use super::Cx;
use super::named::MOST;
use crate::field::Field;
use crate::hop::{Hop, path};
use crate::record::Span;
use crate::trace::SpanIx;

/// Last segments of routes, and words of RPC methods, that change who a request is for.
const SIGN_IN: [&str; 19] = [
    "assumerole",
    "assumerolewithsaml",
    "assumerolewithwebidentity",
    "authenticate",
    "exchangetoken",
    "generateaccesstoken",
    "impersonate",
    "issuetoken",
    "login",
    "log-in",
    "reauthenticate",
    "sign-in",
    "signin",
    "step-up",
    "stepup",
    "token",
    "token exchange",
    "token-exchange",
    "token_exchange",
];

/// Where someone agrees to more than was asked at first. The last is MCP's question to the user.
const CONSENT: [&str; 5] = ["authorize", "consent", "step-up", "stepup", "elicitation/create"];

/// Whether `text` ends in one of the words, as a whole segment.
fn ends_in(text: &str, words: &[&str]) -> bool {
    words.iter().any(|word| {
        let Some(at) = text.len().checked_sub(word.len()) else { return false };
        let whole = at == 0 || matches!(text.as_bytes().get(at - 1), Some(b'/' | b'.' | b' ' | b':'));
        whole && text.get(at..).is_some_and(|tail| tail.eq_ignore_ascii_case(word))
    })
}

/// What a route may be called and the name of a span may not: so is called what checks a token, too.
const VAGUE: [&str; 4] = ["authenticate", "authorize", "reauthenticate", "token"];

fn asks_for(span: &Span<'_>, words: &[&str]) -> bool {
    match path(span).or_else(|| span.get(Field::RpcMethod)) {
        Some(asked) => ends_in(asked.trim_end_matches('/'), words),
        None => is_called(span.name, words),
    }
}

/// Whether a span says by its name alone that it asks for that: the name is a path, or one of the words and no more.
fn is_called(name: &str, words: &[&str]) -> bool {
    let last = name.rsplit(' ').next().filter(|last| last.contains('/'));
    last.is_some_and(|path| ends_in(path.trim_end_matches('/'), words))
        || words.iter().any(|word| name.eq_ignore_ascii_case(word) && !VAGUE.contains(word))
}

/// Whether a span asks for another token, or logs someone in.
pub(super) fn is_sign_in(span: &Span<'_>) -> bool {
    asks_for(span, &SIGN_IN)
}

/// The same of a request that may change who is acting: none that only reads.
pub(super) fn signs_in(span: &Span<'_>) -> bool {
    const NO_CHANGE: [&str; 4] = ["DELETE", "GET", "HEAD", "OPTIONS"];
    let is_none = |method: &str| NO_CHANGE.iter().any(|none| method.eq_ignore_ascii_case(none));
    is_sign_in(span) && !span.get(Field::HttpMethod).is_some_and(is_none)
}

/// Whether a span begins or ends somebody's session.
pub(crate) fn changes_user(span: &Span<'_>) -> bool {
    const OUT: [&str; 5] = ["logout", "log-out", "signout", "sign-out", "switch-user"];
    asks_for(span, &OUT) || is_sign_in(span)
}

/// Whether a span records that someone agreed to more.
pub(super) fn is_consent(span: &Span<'_>) -> bool {
    asks_for(span, &CONSENT) || span.get(Field::GenAiOperation).is_some_and(|op| ends_in(op, &CONSENT))
}

/// Whether a span that `is` one stands between two hops: `hop` itself, or in a frame from `above` down to its
/// caller, begun before the call went out, made by the caller or answered right below it.
pub(super) fn between(cx: &Cx<'_>, above: &Hop<'_>, hop: &Hop<'_>, is: fn(&Span<'_>) -> bool) -> bool {
    if is(cx.entry(hop)) {
        return true;
    }
    let mut at = hop;
    for caller in cx.ancestors(hop).take(MOST) {
        let sent = at.exit.map_or(u64::MAX, |exit| cx.trace.span(exit).start);
        let before = |ix: &SpanIx| cx.trace.span(*ix).start <= sent;
        let found = cx.hops.frame(caller.ix).iter().take(MOST).filter(|ix| before(ix)).any(|ix| {
            let answers = |child: &&SpanIx| cx.trace.span(**child).service != caller.service && before(child);
            let mut answered = cx.trace.children(*ix).iter().take(MOST).filter(answers);
            is(cx.trace.span(*ix)) || answered.any(|child| is(cx.trace.span(*child)))
        });
        if found {
            return true;
        }
        if caller.ix == above.ix {
            return false;
        }
        at = caller;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::with_hops;

    #[test]
    fn what_signs_in() {
        for (span, expected) in [
            ("a CLIENT POST url.full=https://login.example.org/oauth2/token", true),
            ("a CLIENT POST url.full=https://login.example.org/oauth2/token?x=1", true),
            ("a CLIENT GET url.full=https://login.example.org/oauth2/validate", false),
            ("a CLIENT GET url.full=https://login.example.org/", false),
            ("a SERVER POST /login http.route=/login/", true),
            ("a SERVER GET /logins http.route=/logins", false),
            ("a CLIENT sts/AssumeRole rpc.method=AssumeRole", true),
            ("a INTERNAL token exchange", true),
            ("a INTERNAL validate token", false),
            ("a INTERNAL db.save token", false),
            ("a INTERNAL middleware - authenticate", false),
            ("a INTERNAL authenticate", false),
            ("a INTERNAL check login", false),
            ("a INTERNAL POST /oauth2/token", true),
            ("a INTERNAL tokenize", false),
            ("a SERVER GET /exchange http.route=/exchange", false),
        ] {
            with_hops(span, |trace, _| assert_eq!(is_sign_in(&trace.spans()[0]), expected, "{span}"));
        }
    }
}
