//! The calls of one trace: a checkout through ten services, 20 spans, 12 attributes each.

/// The services, callers before callees.
pub(super) const SERVICES: [&str; 10] =
    ["edge", "auth", "bff", "catalog", "cart", "checkout", "payment", "stock", "shipping", "ledger"];

/// Who calls each service but the first, and the route.
const CALLS: [(usize, &str); 9] = [
    (0, "/sessions/check"),
    (0, "/bff/checkout"),
    (2, "/items/{item}"),
    (2, "/carts/{cart}"),
    (2, "/orders"),
    (5, "/charges"),
    (5, "/reservations"),
    (5, "/labels"),
    (6, "/entries"),
];

/// `SpanKind` of OTLP.
pub(super) const SERVER: u8 = 2;
/// `SpanKind` of OTLP.
pub(super) const CLIENT: u8 = 3;

/// An attribute's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    Int(i64),
    /// Who acts; changes from trace to trace.
    User,
}

/// A span of every trace.
#[derive(Debug)]
pub(super) struct Span {
    /// Index into [`SERVICES`].
    pub(super) service: usize,
    /// Index into the trace.
    pub(super) parent: Option<usize>,
    pub(super) kind: u8,
    pub(super) name: String,
    pub(super) attributes: Vec<(&'static str, Value)>,
}

/// The spans of a trace. If `drops`, the last service receives no identity.
pub(super) fn trace(drops: bool) -> Vec<Span> {
    // The entry span of service `n` stands at `2 * n`, after the exit span that leads to it.
    let mut spans = vec![server(0, None, "/checkout", true)];
    for (callee, (caller, route)) in (1..).zip(CALLS) {
        spans.push(client(caller, 2 * caller, callee, route));
        spans.push(server(callee, Some(2 * callee - 1), route, !(drops && callee == CALLS.len())));
    }
    spans.push(insert(CALLS.len()));
    spans
}

/// The attributes of a service's resource.
pub(super) fn resource(service: usize) -> Vec<(&'static str, Value)> {
    vec![
        ("service.name", text(name(service))),
        ("service.namespace", text("shop")),
        ("service.version", text("1.42.0")),
        ("service.instance.id", text(format!("{}-7d9f6c5b8-x2x4k", name(service)))),
        ("deployment.environment.name", text("production")),
        ("telemetry.sdk.language", text("go")),
        ("telemetry.sdk.name", text("opentelemetry")),
        ("telemetry.sdk.version", text("1.38.0")),
        ("k8s.namespace.name", text("shop")),
    ]
}

fn name(service: usize) -> &'static str {
    SERVICES.get(service).copied().unwrap_or_default()
}

fn text(value: impl Into<String>) -> Value {
    Value::Text(value.into())
}

fn path(route: &str) -> String {
    route.replace("{item}", "4711").replace("{cart}", "1138")
}

fn server(service: usize, parent: Option<usize>, route: &'static str, identified: bool) -> Span {
    // As many attributes either way.
    let who = if identified { ("enduser.id", Value::User) } else { ("url.query", text("")) };
    let attributes = vec![
        ("http.request.method", text("POST")),
        ("http.route", text(route)),
        ("url.path", text(path(route))),
        ("url.scheme", text("https")),
        ("http.response.status_code", Value::Int(200)),
        ("server.address", text(format!("{}.shop.svc.cluster.local", name(service)))),
        ("server.port", Value::Int(8443)),
        ("client.address", text("10.1.4.17")),
        ("network.protocol.version", text("2")),
        (
            "user_agent.original",
            text("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
        ),
        ("thread.id", Value::Int(1041)),
        who,
    ];
    Span { service, parent, kind: SERVER, name: format!("POST {route}"), attributes }
}

fn client(service: usize, parent: usize, callee: usize, route: &'static str) -> Span {
    let host = format!("{}.shop.svc.cluster.local", name(callee));
    let attributes = vec![
        ("http.request.method", text("POST")),
        ("url.full", text(format!("https://{host}:8443{}", path(route)))),
        ("url.scheme", text("https")),
        ("http.response.status_code", Value::Int(200)),
        ("server.address", text(host)),
        ("server.port", Value::Int(8443)),
        ("network.peer.address", text("10.1.7.90")),
        ("network.peer.port", Value::Int(8443)),
        ("network.protocol.version", text("2")),
        ("thread.id", Value::Int(1041)),
        ("user_agent.original", text("shop-mesh/2.4 (linux; amd64) go-http-client/2.0")),
        ("enduser.id", Value::User),
    ];
    Span { service, parent: Some(parent), kind: CLIENT, name: "POST".to_owned(), attributes }
}

fn insert(service: usize) -> Span {
    let attributes = vec![
        ("db.system.name", text("postgresql")),
        ("db.namespace", text("ledger")),
        ("db.operation.name", text("INSERT")),
        ("db.collection.name", text("entries")),
        (
            "db.query.text",
            text(
                "INSERT INTO entries (id, account, amount, currency, booked_at) VALUES ($1, $2, $3, $4, $5)",
            ),
        ),
        ("db.response.returned_rows", Value::Int(1)),
        ("server.address", text("pg.shop.svc.cluster.local")),
        ("server.port", Value::Int(5432)),
        ("network.peer.address", text("10.1.9.4")),
        ("network.peer.port", Value::Int(5432)),
        ("thread.id", Value::Int(1041)),
        ("thread.name", text("worker-3")),
    ];
    Span { service, parent: Some(2 * service), kind: CLIENT, name: "INSERT entries".to_owned(), attributes }
}
