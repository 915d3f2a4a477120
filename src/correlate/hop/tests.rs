use super::*;
use crate::sink::SpanId;
use crate::testing::with_hops;

/// Each hop as `caller>service:span kind`, callers first; `?` is a caller whose span is missing.
fn hops(text: &str) -> Vec<String> {
    with_hops(text, |trace, hops| {
        let line = |hop: &Hop<'_>| {
            let caller = match hop.exit {
                Some(exit) => trace.span(exit).service.name,
                None if hop.caller_missing => "?",
                None => "",
            };
            let SpanId(id) = trace.span(hop.entry).id;
            let via = hop.via.iter().map(|name| format!(" via {name}")).collect::<String>();
            let kind = hop.kind.as_str();
            format!("{caller}>{}:{} {kind}{via}", hop.service.name, u64::from_be_bytes(id))
        };
        hops.iter().map(line).collect()
    })
}

#[test]
fn what_is_a_hop() {
    for (name, trace, expected) in [
        ("a root", "gw SERVER GET /", &[">gw:1 entry"][..]),
        ("a root that says its parent is local", "gw SERVER GET / @flags=256", &[">gw:1 entry"]),
        ("a client's own root is an origin", "app CLIENT GET\n  gw SERVER GET /", &["app>gw:2 rpc"]),
        ("a missing parent", "gw SERVER GET / @parent=99", &["?>gw:1 rpc"]),
        (
            "under another service without a client span",
            "gw SERVER GET /\n  orders SERVER GET /o",
            &[">gw:1 entry", "gw>orders:2 rpc"],
        ),
        (
            "under its own client: another instance of the same service",
            "gw SERVER GET /\n  gw CLIENT GET\n    gw SERVER GET /",
            &[">gw:1 entry", "gw>gw:3 rpc"],
        ),
        (
            "flags say remote, though the parent is of the same service",
            "gw SERVER GET /\n  gw INTERNAL work\n    gw SERVER GET /again @flags=768",
            &[">gw:1 entry", "gw>gw:3 rpc"],
        ),
        (
            "flags say local, though the parent is of another service",
            "gw SERVER GET /\n  orders SERVER GET / @flags=256",
            &[">gw:1 entry"],
        ),
        (
            "one request instrumented twice",
            "gw SERVER GET /a http.request.method=GET url.path=/a\n  gw SERVER GET /a http.method=GET http.target=/a?b=c",
            &[">gw:1 entry"],
        ),
        (
            "another path below the own entry span is a crossing of its own",
            "gw SERVER GET /a http.method=GET http.target=/a\n  gw SERVER GET /b http.method=GET http.target=/b",
            &[">gw:1 entry", "gw>gw:2 rpc"],
        ),
        (
            "no transport evidence of its own",
            "gw SERVER GET /a http.method=GET http.target=/a\n  gw SERVER controller",
            &[">gw:1 entry"],
        ),
        (
            "a message by parent",
            "shop SERVER POST /\n  shop PRODUCER send\n    mail CONSUMER process",
            &[">shop:1 entry", "shop>mail:3 messaging"],
        ),
        (
            "a consumer that links is a hop, whatever its flags",
            "shop SERVER POST /\n  shop PRODUCER send\nmail INTERNAL poll\n  mail CONSUMER process @link=2 @flags=256",
            &[">shop:1 entry", "mail>mail:4 messaging"],
        ),
        (
            "a server under its client's id",
            "gw SERVER GET / @id=1\n  gw CLIENT GET @id=7\n  orders SERVER GET @id=7 @shared\n    orders CLIENT SELECT @id=8",
            &[">gw:1 entry", "gw>orders:7 rpc"],
        ),
        (
            "a mesh's spans around a workload",
            "gw SERVER GET /\n  gw CLIENT GET\n    gw.mesh CLIENT out node_id=sidecar~1\n      orders.mesh SERVER in node_id=sidecar~2\n        orders SERVER GET /o",
            &[">gw:1 entry", "gw>orders:5 rpc via gw.mesh via orders.mesh"],
        ),
        (
            "a proxy before a workload that sends no spans",
            "gw SERVER GET /\n  gw CLIENT GET\n    orders.mesh SERVER in component=proxy",
            &[">gw:1 entry", "gw>orders.mesh:3 rpc"],
        ),
        ("no kinds at all", "a - get\n  a - work\n    b - get\n      b - work", &[">a:1 entry", "a>b:3 rpc"]),
        ("internal spans of one service", "a SERVER GET\n  a INTERNAL x\n    a INTERNAL y", &[">a:1 entry"]),
    ] {
        assert_eq!(hops(trace), expected, "{name}");
    }
}

#[test]
fn a_frame_ends_where_the_next_hop_begins() {
    let text = "gw SERVER GET /\n  gw INTERNAL work\n    gw CLIENT GET\n      orders SERVER GET\n        orders INTERNAL db";
    with_hops(text, |trace, hops| {
        let names =
            |ix: HopIx| -> Vec<&str> { hops.frame(ix).iter().map(|span| trace.span(*span).name).collect() };
        assert_eq!(names(HopIx(0)), ["GET /", "work", "GET"]);
        assert_eq!(names(HopIx(1)), ["GET", "db"]);
    });
}

/// Late reports of a span, as Zipkin's asynchronous reporters send them, belong to its frame.
#[test]
fn a_partial_report_adds_to_its_span() {
    let text = "api SERVER GET / @id=5\napi - get @id=5 @partial user.id=alice";
    with_hops(text, |trace, hops| {
        assert_eq!((trace.spans().len(), hops.iter().count()), (2, 1));
        assert_eq!(hops.get(HopIx(0)).identity.principal.as_ref().map(|who| who.id), Some("alice"));
    });
}

#[test]
fn depth_and_cycles_do_not_matter() {
    let mut deep = String::from("a SERVER GET /\n");
    for id in 2..=20_000_u64 {
        deep.push_str(&format!("s{} SERVER GET / @parent={}\n", id % 7, id - 1));
    }
    assert_eq!(hops(&deep).len(), 20_000);
    with_hops("a SERVER x @parent=2\nb SERVER y @parent=1\nc SERVER z @parent=3", |trace, hops| {
        assert_eq!(trace.grade.cycles, 2);
        assert!(!trace.grade.is_complete());
        assert_eq!(hops.iter().count(), 3);
    });
}

#[test]
fn hops_are_found_by_what_they_hang_on() {
    let text = "\
gw SERVER GET /
  gw CLIENT GET
    b SERVER GET /b
  gw CLIENT GET
    c SERVER GET /c
      c CLIENT GET
        d SERVER GET /d
b SERVER GET /lost @parent=99";
    with_hops(text, |_, hops| {
        let names = |hops: &mut dyn Iterator<Item = &Hop<'_>>| -> Vec<String> {
            hops.map(|hop| hop.operation.to_string()).collect()
        };
        let named = |name: &str| hops.iter().find(|hop| hop.operation == name).expect("a hop").ix;
        assert_eq!(names(&mut hops.callees(named("GET /"))), ["GET /b", "GET /c"]);
        assert_eq!(names(&mut hops.callees(named("GET /c"))), ["GET /d"]);
        assert!(names(&mut hops.callees(named("GET /d"))).is_empty());
        assert_eq!(names(&mut hops.torn()), ["GET /lost"]);
    });
}
