//! What is done to the fleet, and what comes of it.

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::report::{checked, found, made_of, told};
use super::run::{ALL, Fleet, OURS, Run, WIRES};
use crate::attack::{self, Attack, FAULTS, Fault, Headers};

/// Holds a text to the one that is kept; where it differs, it is left beside the programs that were started.
#[track_caller]
fn same_as_kept(name: &str, text: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let kept = std::fs::read_to_string(folder.join("fleet/polyglot").join(name)).unwrap_or_default();
    if kept != text {
        let found = folder.join("../target/fleet").join(name);
        std::fs::write(&found, text).unwrap();
        panic!("{name} differs: see {}\n{text}", found.canonicalize().unwrap().display());
    }
}

/// Nothing of anybody reached a stranger, though so many calls did.
#[track_caller]
fn nothing_leaked(run: &Run, calls: usize, fleet: &Fleet) {
    assert_eq!(run.leaked.len(), calls, "{:#?}", run.leaked);
    let subject = fleet.trust.pseudonym("ann");
    for headers in &run.leaked {
        let headers = headers.to_ascii_lowercase();
        assert!(headers.contains("traceparent"), "the trace goes on: {headers}");
        let ours = ["hopseal.sub", "hopseal.seal", "authorization", "ann", "users", "eyj"];
        for word in ours.into_iter().chain([&*subject.to_ascii_lowercase()]) {
            assert!(!headers.contains(word), "{word}: {headers}");
        }
    }
}

/// How many calls to strangers there are in a request that goes all the way: four requests and a message.
const STRANGERS: usize = 5;

/// Scenario: a person's request goes through twelve services, then enemies and services with manners of their own do
/// to it what they can.
/// Guarantees: what is said at each section.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs neighbours: `cargo xtask e2e fleet`"]
async fn polyglot() {
    let fleet = Fleet::start().await;
    let clean = undisturbed(&fleet).await;
    at_the_edge(&fleet).await;
    on_the_wires(&fleet, &clean).await;
    neighbours_with_manners(&fleet, &clean).await;
}

/// It is verified at the front, and sealed at each hop of ours, whoever stands between; the others assert what passes through them, or
/// say nothing. Seals are proven again from the spans, and nothing is found but that identities were held back.
async fn undisturbed(fleet: &Fleet) -> Run {
    let run = fleet.run("", &[]).await;
    assert_eq!(run.status, 200);
    nothing_leaked(&run, STRANGERS, fleet);
    let report = checked(&fleet.trust, &run.spans);
    same_as_kept("hops.txt", &told(&fleet.trust, &report));
    run
}

/// No bad token gets in, at the edge or past it, and of what else a stranger sends nothing does.
async fn at_the_edge(fleet: &Fleet) {
    let bearer = |token: &str| format!("Bearer {token}");
    let [header, payload, signature] = fleet.token.split('.').collect::<Vec<_>>()[..] else {
        panic!("no JWT")
    };
    let payload_of_bob = String::from_utf8(URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
    let payload_of_bob = URL_SAFE_NO_PAD.encode(payload_of_bob.replace(r#""ann""#, r#""bob""#));
    let edited = bearer(&format!("{header}.{payload_of_bob}.{signature}"));
    let unsigned = bearer(&format!("{header}.{payload}."));
    let other = bearer(&fleet.other_token);
    let only = |service: &str| BTreeMap::from([(service.to_owned(), 1)]);
    for (name, authorization, status, made) in [
        ("none", "", 401, "anonymous"),
        ("edited", &*edited, 401, "refused"),
        ("without a signature", &*unsigned, 401, "refused"),
        ("for somebody else", &*other, 403, "refused"),
    ] {
        let headers = [("authorization", authorization)];
        let run = fleet.run_to(fleet.edge, "", &headers, &only("edge")).await;
        assert_eq!(run.status, status, "{name}");
        let run = fleet.run_to(fleet.gateway, "", &headers, &only("gateway")).await;
        assert_eq!((run.status, &*made_of(&run.spans, "gateway")), (401, made), "{name}");
    }
    let claimed = "hopseal.sub=p1.mallory,hopseal.kind=user,hopseal.iss=staff,user.id=mallory";
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let run = fleet.run("", &[("baggage", claimed), ("traceparent", trace)]).await;
    assert_eq!((run.status, &*made_of(&run.spans, "gateway")), (200, "verified"));
    assert_eq!(made_of(&run.spans, "receipts"), "sealed");
    let all = format!("{:?}", run.spans).to_ascii_lowercase();
    // Zipkin's spans have ids as text, those of OTLP as bytes.
    let ids = [trace.split('-').nth(1).unwrap().to_owned(), format!("{:?}", trace_id(trace))];
    assert!(!all.contains("mallory") && ids.iter().all(|id| !all.contains(id)), "{all}");
    nothing_leaked(&run, STRANGERS, fleet);
}

fn trace_id(traceparent: &str) -> Vec<u8> {
    let id = u128::from_str_radix(traceparent.split('-').nth(1).unwrap(), 16).unwrap();
    id.to_be_bytes().to_vec()
}

/// The services from the one that a wire leads to, to the next of ours.
fn on_the_way(wire: &'static str) -> Vec<&'static str> {
    match wire {
        "catalog" => vec!["catalog", "pricing", "stock"],
        "billing" => vec!["billing", "ledger"],
        "warehouse" => vec!["warehouse", "packing"],
        ours => vec![ours],
    }
}

/// What the last of these makes of a run, and what is found at them that is not found in a clean one.
fn outcome(fleet: &Fleet, run: &Run, clean: &Run, way: &[&str]) -> (String, Vec<String>) {
    let usual = found(&checked(&fleet.trust, &clean.spans));
    // With one that is clean, so that it is known what these services show when all is well.
    let report = checked(&fleet.trust, &run.spans.clone().and(&clean.spans));
    let new = &found(&report) - &usual;
    let of_way = |finding: &String| way.contains(&finding.split(' ').next().unwrap());
    (made_of(&run.spans, way.last().unwrap()), new.into_iter().filter(of_way).collect())
}

fn line(columns: &str, made: &str, findings: &[String]) -> String {
    format!("{columns} {made:<21} {}", findings.join(", ")).trim_end().to_owned() + "\n"
}

/// The next of ours does not believe what an enemy made of it, wherever he sits and whoever stands between, and says why;
/// `hopseal check` names it, and strangers get nothing.
async fn on_the_wires(fleet: &Fleet, clean: &Run) {
    let now = another(fleet, 0).await;
    let before = another(fleet, 1200).await;
    let mut text = String::new();
    for wire in WIRES {
        let way = on_the_way(wire);
        let next = way[way.len() - 1];
        for Fault { name, edit, old } in FAULTS {
            let other = if old { &before } else { &now };
            // Servers of others may take no header of such a size.
            let may_refuse = name == "oversized" && wire != next;
            let edit = if may_refuse { attack::oversize_for_others } else { edit };
            fleet.wires.to(wire).set(Attack::new(edit, &other[wire]));
            let (run, refused) = match may_refuse {
                true => fleet.run_or_be_refused(wire).await,
                false => (fleet.run("", &[]).await, None),
            };
            fleet.wires.to(wire).set(Attack::none());
            if let Some(status) = refused {
                // No service from there on saw anything of it; of those before it, those of ours told a stranger.
                let before = ALL.into_iter().take_while(|service| *service != wire);
                nothing_leaked(&run, before.filter(|service| OURS.contains(service)).count(), fleet);
                assert!(run.status >= 500, "{wire}: {}", run.status);
                text += &line(&format!("{wire:<10} {name:<24} {wire:<9}"), &format!("refused {status}"), &[]);
                continue;
            }
            nothing_leaked(&run, STRANGERS, fleet);
            let (made, found) = outcome(fleet, &run, clean, &way);
            // That is nothing of ours, whoever decodes it on the way.
            let harmless = name == "smuggled in a property";
            assert_eq!(
                (made == "sealed", found.is_empty()),
                (harmless, harmless),
                "{wire}, {name}: {made}, {found:?}"
            );
            text += &line(&format!("{wire:<10} {name:<24} {next:<9}"), &made, &found);
        }
    }
    same_as_kept("faults.txt", &text);
}

/// What goes over each wire in a run of that long ago.
async fn another(fleet: &Fleet, seconds: u64) -> BTreeMap<&'static str, Headers> {
    fleet.clock.by(seconds);
    fleet.run("", &[]).await;
    fleet.clock.by(0);
    fleet.wires.passed()
}

/// What `pricing` does to baggage: see there.
const MANNERS: [&str; 13] = [
    "reorders",
    "adds",
    "crowds",
    "truncates",
    "decorates",
    "overwrites",
    "claims",
    "fattens",
    "forgets",
    "reencodes",
    "shouts",
    "spaces",
    "repeats",
];

/// Who changes nothing of an identity, or only how it stands there, does no harm; all else is not believed.
async fn neighbours_with_manners(fleet: &Fleet, clean: &Run) {
    let mut text = String::new();
    for manner in MANNERS {
        let run = fleet.run(&format!("manner={manner}"), &[]).await;
        assert_eq!(run.status, 200, "{manner}");
        nothing_leaked(&run, STRANGERS, fleet);
        let (made, found) = outcome(fleet, &run, clean, &["pricing", "stock"]);
        assert_eq!(made == "sealed", found.is_empty(), "{manner}: {made}, {found:?}");
        text += &line(&format!("{manner:<10}"), &made, &found);
    }
    same_as_kept("manners.txt", &text);
}
