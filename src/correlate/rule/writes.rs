//! What changes something: statements, messages sent, requests to third parties that are no reads.

use super::named::MOST;
use super::{Cx, sign_in};
use crate::field::Field;
use crate::hop::{Hop, Outcome, path_of};
use crate::record::Span;
use crate::sink::SpanKind;
use crate::trace::SpanIx;

/// Fields without which nothing is a write, but for messages.
const SIGNS: u128 = Field::DbOperation.bit()
    | Field::DbQuery.bit()
    | Field::HttpMethod.bit()
    | Field::MessagingOperation.bit();

/// How the names of statements and commands that write begin, in SQL and in what speaks otherwise.
const VERBS: [&str; 16] = [
    "alter",
    "batchwrite",
    "bulkwrite",
    "create",
    "delete",
    "drop",
    "findandmodify",
    "findoneand",
    "insert",
    "merge",
    "put",
    "remove",
    "replace",
    "truncate",
    "update",
    "upsert",
];

/// Commands of Redis that write, as whole words.
const REDIS: [&str; 24] = [
    "append", "decr", "decrby", "del", "getdel", "getset", "hdel", "hincrby", "hmset", "hset", "incr",
    "incrby", "lpush", "mset", "publish", "rename", "rpush", "sadd", "set", "setex", "setnx", "unlink",
    "xadd", "zadd",
];

/// GenAI operations whose POST asks a model and changes nothing.
const INFERENCE: [&str; 5] = ["chat", "embeddings", "generate_content", "retrieval", "text_completion"];

/// Whether a span changes something outside its service.
pub(super) fn is_write(cx: &Cx<'_>, ix: SpanIx) -> bool {
    let span = cx.trace.span(ix);
    match span.kind {
        SpanKind::Producer => true,
        SpanKind::Server | SpanKind::Consumer => false,
        _ if !span.has_any(SIGNS) => false,
        _ if span.has_any(Field::DbOperation.bit() | Field::DbQuery.bit()) => statement_writes(span),
        SpanKind::Client if span.has(Field::MessagingOperation) => {
            matches!(span.get(Field::MessagingOperation), Some("send" | "publish" | "create"))
        }
        SpanKind::Client => changes_third_party(cx, ix, span),
        SpanKind::Internal | SpanKind::Unspecified => false,
    }
}

/// The first write in the frame of a hop.
pub(crate) fn in_frame(cx: &Cx<'_>, hop: &Hop<'_>) -> Option<SpanIx> {
    cx.hops.frame(hop.ix).iter().copied().take(MOST).find(|ix| is_write(cx, *ix))
}

/// Why a finding about a request that was answered with an error is not certain.
pub(super) const REJECTED_YET_CHANGED: &str =
    "the request was answered with an error, and yet something was changed";

/// Whether a request was turned away. A service says so itself, and is not believed where it changed something all the same,
/// unless it says that the caller was not let in: that is often written down.
pub(super) fn was_turned_away(cx: &Cx<'_>, hop: &Hop<'_>) -> bool {
    let not_let_in = || {
        let entry = cx.entry(hop);
        matches!(entry.get(Field::HttpStatus), Some("401" | "403" | "407"))
            || matches!(
                entry.get(Field::RpcStatus),
                Some("7" | "16" | "PERMISSION_DENIED" | "UNAUTHENTICATED")
            )
    };
    hop.outcome == Outcome::Rejected && (not_let_in() || in_frame(cx, hop).is_none())
}

/// By span: the first write at it or below it.
pub(super) fn below(cx: &Cx<'_>) -> Vec<Option<SpanIx>> {
    let mut firsts: Vec<Option<SpanIx>> = vec![None; cx.trace.spans().len()];
    for ix in cx.trace.indices().filter(|ix| is_write(cx, *ix)) {
        let mut at = Some(ix);
        // Where one is marked, so is everything above it.
        while let Some(first) = at.and_then(|at| firsts.get_mut(at.get())).filter(|first| first.is_none()) {
            *first = Some(ix);
            at = at.and_then(|at| cx.trace.parent_span(at));
        }
    }
    firsts
}

/// What a write is, for evidence: `INSERT orders`, `publish invoices`, `POST api.example.com`.
pub(crate) fn what(span: &Span<'_>) -> String {
    let (verb, object) = match span.kind {
        SpanKind::Producer => ("publish", span.get(Field::MessagingDestination)),
        _ => match verb(span) {
            Some(verb) => (verb, span.get(Field::DbCollection).or_else(|| span.get(Field::DbNamespace))),
            None => (span.get(Field::HttpMethod).unwrap_or(""), host(span)),
        },
    };
    match object {
        Some(object) => format!("{verb} {object}"),
        None => verb.to_owned(),
    }
}

/// The host a request goes to.
pub(crate) fn host<'t>(span: &Span<'t>) -> Option<&'t str> {
    let address = || span.get(Field::ServerAddress);
    let of_url = || {
        let (_, rest) = span.get(Field::UrlFull)?.split_once("://")?;
        let authority = rest.split(['/', '?', '#']).next()?;
        Some(authority.rsplit_once('@').map_or(authority, |(_, host)| host))
    };
    address().or_else(of_url).map(without_port).filter(|host| !host.is_empty())
}

/// A host without the port; `http.host` and authorities carry one.
fn without_port(host: &str) -> &str {
    match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => match host.split_once(':') {
            Some((name, port)) if !port.contains(':') => name,
            _ => host,
        },
    }
}

/// The verb of a statement: the operation if it is named, else the first word of the text.
fn verb<'t>(span: &Span<'t>) -> Option<&'t str> {
    if let Some(operation) = span.get(Field::DbOperation) {
        return operation.split_whitespace().next();
    }
    let mut text = span.get(Field::DbQuery)?.trim_start();
    while let Some((_, rest)) = text.strip_prefix("/*").and_then(|text| text.split_once("*/")) {
        text = rest.trim_start();
    }
    text.split_whitespace().next()
}

fn statement_writes(span: &Span<'_>) -> bool {
    let Some(verb) = verb(span) else { return false };
    if verb.eq_ignore_ascii_case("with") {
        // A common table expression: the verb comes after it.
        let words = span.get(Field::DbQuery).unwrap_or("").split_whitespace();
        return words
            .skip(1)
            .any(|word| ["insert", "update", "delete"].iter().any(|verb| word.eq_ignore_ascii_case(verb)));
    }
    let is_known = |verb: &str| {
        VERBS.iter().any(|known| verb.get(..known.len()).is_some_and(|head| head.eq_ignore_ascii_case(known)))
    };
    let in_redis = || {
        span.get(Field::DbSystem).is_some_and(|system| system.eq_ignore_ascii_case("redis"))
            && REDIS.iter().any(|known| verb.eq_ignore_ascii_case(known))
    };
    is_known(verb) || in_redis() || later_statements(span).any(is_known)
}

/// The first words of statements behind the first: some drivers send several at once.
fn later_statements<'t>(span: &Span<'t>) -> impl Iterator<Item = &'t str> {
    const MOST: usize = 64;
    let statements = span.get(Field::DbQuery).into_iter().flat_map(|text| text.split(';').skip(1).take(MOST));
    statements.filter_map(|statement| statement.split_whitespace().next())
}

/// Whether a request changes something at a host that is neither inside nor answers in this trace.
fn changes_third_party(cx: &Cx<'_>, ix: SpanIx, span: &Span<'_>) -> bool {
    const CHANGE: [&str; 4] = ["POST", "PUT", "PATCH", "DELETE"];
    let changes = span
        .get(Field::HttpMethod)
        .is_some_and(|method| CHANGE.iter().any(|m| m.eq_ignore_ascii_case(method)));
    let inference =
        |span: &Span<'_>| span.get(Field::GenAiOperation).is_some_and(|op| INFERENCE.contains(&op));
    let parent = || cx.trace.parent_span(ix).map(|parent| cx.trace.span(parent));
    changes
        && host(span).is_some_and(|host| !cx.policy.trusts_destination(host))
        && !answers(cx, ix)
        && !sign_in::is_sign_in(span)
        && !is_telemetry(span)
        && !inference(span)
        && !parent().is_some_and(inference)
}

/// Whether the called service's own span is in the trace.
pub(super) fn answers(cx: &Cx<'_>, exit: SpanIx) -> bool {
    let service = cx.trace.span(exit).service;
    cx.trace.children(exit).iter().take(MOST).any(|child| cx.trace.span(*child).service != service)
}

/// Whether spans, metrics or logs are sent.
fn is_telemetry(span: &Span<'_>) -> bool {
    const PATHS: [&str; 3] = ["/v1/traces", "/v1/metrics", "/v1/logs"];
    let path = span.get(Field::UrlPath).or_else(|| span.get(Field::UrlFull)).map_or("", path_of);
    PATHS.iter().any(|known| path.ends_with(known))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::each;

    fn with_cx(text: &str, look: impl Fn(&Cx<'_>)) {
        each(text, &Default::default(), |_, cx| look(cx));
    }

    #[test]
    fn table() {
        for (span, expected) in [
            ("CLIENT q db.operation.name=INSERT", Some("INSERT")),
            ("CLIENT q db.operation=insertMany db.collection.name=orders", Some("insertMany orders")),
            ("CLIENT q db.statement=update_orders_set_total_=_1", Some("update")),
            ("CLIENT q db.statement=/*_c_*/_DELETE_FROM_orders", Some("DELETE")),
            ("CLIENT q db.statement=WITH_x_AS_(SELECT_1)_INSERT_INTO_orders", Some("WITH")),
            ("CLIENT q db.statement=SELECT_1_FOR_UPDATE", None),
            ("CLIENT q db.operation.name=SELECT db.query.text=DELETE", None),
            ("CLIENT q db.query.text={\"query\":{}}", None),
            ("CLIENT GET db.system=redis db.operation=GET", None),
            ("INTERNAL save db.operation=update", Some("update")),
            ("PRODUCER publish messaging.destination.name=orders", Some("publish orders")),
            ("CLIENT poll messaging.operation.type=receive", None),
            (
                "CLIENT POST http.request.method=POST server.address=api.example.com",
                Some("POST api.example.com"),
            ),
            (
                "CLIENT POST http.request.method=POST url.full=https://u@api.example.com:8443/x",
                Some("POST api.example.com"),
            ),
            ("CLIENT GET http.request.method=GET server.address=api.example.com", None),
            ("CLIENT POST http.request.method=POST server.address=orders", None),
            ("CLIENT POST http.request.method=POST server.address=10.0.0.7", None),
            ("CLIENT POST http.request.method=POST url.full=http://[fd00::1]:80/x", None),
            ("CLIENT POST http.request.method=POST url.full=https://idp.example.com/oauth2/token", None),
            ("CLIENT POST http.request.method=POST url.full=https://otel.example.com/v1/traces", None),
            (
                "CLIENT chat http.request.method=POST server.address=ai.example.com gen_ai.operation.name=chat",
                None,
            ),
            ("SERVER POST http.request.method=POST server.address=api.example.com", None),
        ] {
            with_cx(&format!("a {span}"), |cx| {
                let ix = cx.trace.indices().next().expect("a span");
                let write = is_write(cx, ix).then(|| what(cx.trace.span(ix)));
                assert_eq!(write.as_deref(), expected, "{span}");
            });
        }
    }

    #[test]
    fn a_service_of_the_trace_is_no_third_party() {
        let trace =
            "a CLIENT POST http.request.method=POST server.address=api.example.com\n  b SERVER POST /x";
        with_cx(trace, |cx| assert!(!is_write(cx, cx.trace.indices().next().expect("a span"))));
    }
}
