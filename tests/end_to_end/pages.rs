//! The pages of a real service, as a browser sees them.

use std::path::{Path, PathBuf};
use std::process::Command;

use hopseal_tests::generator::{Settings, generate, otlp};
use serde_json::{Value, json};

use crate::serve::{EXAMPLE, Serving};

/// Where pictures of the pages are put, for somebody to look at.
const PICTURES: &str = "HOPSEAL_PICTURES";
/// Who watches at the same time.
const VIEWERS: usize = 200;

/// A trace of a thousand hops, and one whose names are markup.
const WIDE: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1";
const HOSTILE: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa2";

/// A trace: each hop with the number of its caller, its service, operation and user.
fn trace(id: &str, hops: &[(usize, String, String, &str)]) -> Vec<u8> {
    let resource = |(number, (caller, service, operation, user)): (usize, &(usize, String, String, &str))| {
        let text = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
        let start = 1_790_000_000_000_000_000_u64 + number as u64 * 1_000_000;
        let span = json!({
            "traceId": id, "spanId": format!("{:016x}", number + 1), "name": operation, "kind": 2,
            "parentSpanId": if number == 0 { String::new() } else { format!("{:016x}", caller + 1) },
            "startTimeUnixNano": start.to_string(), "endTimeUnixNano": (start + 5_000_000).to_string(),
            "attributes": if user.is_empty() { vec![] } else { vec![text("enduser.id", user)] },
        });
        json!({"resource": {"attributes": [text("service.name", service)]}, "scopeSpans": [{"spans": [span]}]})
    };
    let resources: Vec<Value> = hops.iter().enumerate().map(resource).collect();
    serde_json::to_vec(&json!({"resourceSpans": resources})).expect("JSON")
}

fn wide() -> Vec<u8> {
    let mut hops = vec![(0, "gateway".to_owned(), "GET /report".to_owned(), "alice")];
    for number in 1..1000 {
        let user = if number % 7 == 0 { "" } else { "alice" };
        let caller = if number % 10 == 1 { 0 } else { number - number % 10 + 1 };
        let caller = if caller >= number { 0 } else { caller };
        hops.push((caller, format!("service-{}", number % 10), format!("GET /items/{number}"), user));
    }
    trace(WIDE, &hops)
}

fn hostile() -> Vec<u8> {
    let name = |number: usize| {
        format!(
            "</text></script><script>alert({number})</script>\"'><img src=x onerror=alert(1)>\u{202e}{}",
            "x".repeat(200)
        )
    };
    let hops: Vec<_> = (0..6_usize)
        .map(|number| (number.saturating_sub(2), name(number), name(number + 10), "<b>eve</b>"))
        .collect();
    trace(HOSTILE, &hops)
}

/// A service with the example and some generated traces in it.
async fn serving(folder: &Path) -> Serving {
    let config = folder.join("hopseal.yaml");
    let text = format!(
        "listen: {{otlp_grpc: null, otlp_http: 127.0.0.1:0, zipkin: null, api: 127.0.0.1:0, admin: 127.0.0.1:0}}
windows: {{settle: 100ms}}
store: {{folder: '{}', alarm_under: '1', refuse_under: '1'}}
",
        folder.join("data").display()
    );
    std::fs::write(&config, text).expect("written");
    let serving = Serving::start(&config);
    let corpus = generate(Settings { seed: 7, traces: 30 });
    serving.post("application/x-protobuf", otlp::encode(&corpus.spans)).await;
    serving.post("application/json", std::fs::read(EXAMPLE).expect("the example")).await;
    serving.post("application/json", wide()).await;
    serving.post("application/json", hostile()).await;
    for _ in 0..600 {
        let pages =
            reqwest::get(format!("http://{}/traces/{HOSTILE}", serving.api)).await.expect("an answer");
        if serving.findings().await.len() > 5 && pages.status() == 200 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    serving
}

/// The example in traces of other ids: each begins with this digit.
fn in_other_traces(digit: char) -> String {
    let text = std::fs::read_to_string(EXAMPLE).expect("the example");
    let mut parts = text.split("\"traceId\"");
    let mut other = parts.next().expect("a beginning").to_owned();
    for part in parts {
        let (before, id) = part.split_once(": \"").or_else(|| part.split_once(":\"")).expect("an id");
        other.push_str(&format!("\"traceId\"{before}:\"{digit}{}", id.get(1..).expect("digits")));
    }
    other
}

/// Scenario: Chromium visits every kind of page of a service that holds real and generated traces, in light and dark, on a
/// desktop and a phone, with and without scripts, by mouse and by keyboard; and watches findings come in.
/// Guarantees: nothing is complained of: not by the browser (scripts, policy, requests), not by axe, not by the keyboard; no page
/// is wider than a phone; every link leads to a page.
#[tokio::test]
async fn a_browser_finds_nothing_wrong() {
    let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join("pages");
    let is_there =
        ["playwright-core", "axe-core"].map(|name| installed.join("node_modules").join(name).is_dir());
    assert!(is_there == [true; 2], "install it: npm ci --ignore-scripts --prefix tests/pages");
    let found = std::env::split_paths(&std::env::var_os("PATH").expect("a path"))
        .flat_map(|folder| ["chromium", "chromium-browser", "google-chrome"].map(|name| folder.join(name)))
        .find(|program| program.is_file());
    let chromium = found.expect("Chromium, which looks at pages: apt-get install chromium");

    let folder = tempfile::tempdir().expect("a folder");
    let serving = serving(folder.path()).await;
    let later = folder.path().join("later.json");
    std::fs::write(&later, in_other_traces('e')).expect("written");
    let mut node = Command::new("node");
    node.arg(installed.join("walk.mjs")).arg(chromium).arg(format!("http://{}", serving.api));
    node.arg(format!("http://{}", serving.spans))
        .arg(later)
        .arg(format!("/traces/{WIDE},/traces/{HOSTILE}"))
        .args(std::env::var_os(PICTURES).map(PathBuf::from));
    let walk = tokio::task::spawn_blocking(move || node.output()).await.expect("no panic").expect("starts");
    assert!(walk.status.success(), "{}", String::from_utf8_lossy(&walk.stderr));
    let report: Value = serde_json::from_slice(&walk.stdout).expect("JSON");
    let wrong: Vec<&str> =
        report["wrong"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for (count, least) in [("followed", 200), ("visited", 16), ("checks", 400), ("keys", 400)] {
        assert!(report[count].as_u64() >= Some(least), "{count} in {report}");
    }
    serving.stop();
}

/// Scenario: two hundred watch, one of whom reads nothing, while findings come in.
/// Guarantees: each of those who read is told of each finding.
#[tokio::test]
async fn two_hundred_watch() {
    let folder = tempfile::tempdir().expect("a folder");
    let serving = serving(folder.path()).await;
    let address = format!("http://{}/live/events", serving.api);
    let mut viewers = Vec::new();
    for _ in 0..VIEWERS {
        let response = reqwest::get(&address).await.expect("an answer");
        assert_eq!(response.status(), 200);
        viewers.push(response);
    }
    let _asleep = viewers.pop();
    let before = serving.findings().await;
    serving.post("application/json", in_other_traces('d').into_bytes()).await;
    let mut new = Vec::new();
    for _ in 0..600 {
        let found = serving.findings().await;
        new = found.difference(&before).cloned().collect();
        if !new.is_empty() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert!(!new.is_empty());
    for viewer in &mut viewers {
        let mut told = String::new();
        while !new.iter().all(|id| told.contains(id.as_str())) {
            let chunk = viewer.chunk().await.expect("more").expect("a chunk");
            told.push_str(&String::from_utf8_lossy(&chunk));
        }
    }
    // They have to go for the service to end.
    drop(viewers);
    serving.stop();
}
