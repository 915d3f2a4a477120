//! Dashboards and data sources for Grafana, held to what the service and a real Prometheus answer. What Grafana makes of them
//! on a screen is not tested here: no Grafana is started.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use reqwest::Url;
use serde_json::Value;

use crate::alerts::{Started, port, until};
use crate::program::hopseal;
use crate::serve::{EXAMPLE, Serving};

/// Panels that show nothing as long as nothing goes wrong, or nobody asks.
const MAY_BE_EMPTY: [&str; 3] = ["Alerts", "Answers a second, by class of status", "Time until they begin"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../dashboards")
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_else(|| panic!("`{key}` of {value}"))
}

fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value[key].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// Dashboards by their files.
fn dashboards() -> BTreeMap<String, Value> {
    let files = std::fs::read_dir(folder()).expect("dashboards").map(|entry| entry.expect("an entry").path());
    let files = files.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).expect("shipped");
        (path.display().to_string(), serde_json::from_str(&text).expect("JSON"))
    };
    files.map(read).collect()
}

/// Every object in it, itself too.
fn objects(value: &Value) -> Vec<&Value> {
    match value {
        Value::Object(fields) => {
            std::iter::once(value).chain(fields.values().flat_map(|field| objects(field))).collect()
        }
        Value::Array(all) => all.iter().flat_map(|one| objects(one)).collect(),
        _ => Vec::new(),
    }
}

/// What is provisioned of data sources.
fn provisioned() -> Value {
    let path = folder().join("provisioning/datasources/hopseal.yaml");
    serde_saphyr::from_str(&std::fs::read_to_string(path).expect("shipped")).expect("YAML")
}

/// `uid` and `type` of the data sources that are provisioned.
fn sources() -> BTreeSet<(String, String)> {
    let named = |source: &Value| (text(source, "uid").to_owned(), text(source, "type").to_owned());
    list(&provisioned(), "datasources").iter().map(named).collect()
}

/// Guarantees: each dashboard has an id of its own that the others' links know; panels have ids of their own, do not overlap, say
/// what they show, and ask data sources that are provisioned; queries of Prometheus are in the fields that it reads.
#[test]
fn they_hang_together() {
    let (dashboards, sources) = (dashboards(), sources());
    assert_eq!(dashboards.len(), 3);
    assert_eq!(sources.len(), 2, "{sources:?}");
    for uid in objects(&provisioned()).into_iter().filter_map(|object| object["datasourceUid"].as_str()) {
        assert!(sources.iter().any(|(known, _)| known == uid), "{uid}");
    }
    let uids: BTreeSet<&str> = dashboards.values().map(|dashboard| text(dashboard, "uid")).collect();
    assert_eq!(uids.len(), dashboards.len());
    for (file, dashboard) in &dashboards {
        let mut ids = BTreeSet::new();
        let mut taken = BTreeSet::new();
        for panel in list(dashboard, "panels") {
            let title = text(panel, "title");
            assert!(ids.insert(panel["id"].as_u64().expect("an id")), "{file}: {title}");
            assert!(
                text(panel, "type") == "row" || !text(panel, "description").is_empty(),
                "{file}: {title}"
            );
            let place = |key: &str| panel["gridPos"][key].as_u64().expect("a place");
            assert!(place("x") + place("w") <= 24, "{file}: {title}");
            for x in place("x")..place("x") + place("w") {
                for y in place("y")..place("y") + place("h") {
                    assert!(taken.insert((x, y)), "{file}: {title} overlaps");
                }
            }
            for target in list(panel, "targets") {
                let kind = text(&target["datasource"], "type");
                assert_eq!(target["datasource"], panel["datasource"], "{file}: {title}");
                assert_eq!(kind == "prometheus", target["expr"].is_string(), "{file}: {title}");
            }
        }
        for source in
            objects(dashboard).into_iter().map(|object| &object["datasource"]).filter(|of| !of.is_null())
        {
            let named = (text(source, "uid").to_owned(), text(source, "type").to_owned());
            assert!(sources.contains(&named), "{file}: {source}");
        }
        let names: BTreeSet<&str> =
            list(&dashboard["templating"], "list").iter().map(|variable| text(variable, "name")).collect();
        for used in used_variables(&dashboard.to_string()) {
            assert!(names.contains(&*used) || used.starts_with("__"), "{file}: ${used}");
        }
        for url in urls(dashboard).iter().filter_map(|url| url.strip_prefix("/d/")) {
            let uid = url.split('?').next().expect("an id");
            assert!(uids.contains(uid), "{file}: {url}");
        }
    }
}

/// Names after `$` and in `${..}`, without formats and fields.
fn used_variables(text: &str) -> BTreeSet<String> {
    let after = text.split('$').skip(1).map(|rest| rest.trim_start_matches('{'));
    let is_of_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let name = |rest: &str| rest.split(|letter| !is_of_name(letter)).next().unwrap_or_default().to_owned();
    after.map(name).filter(|name| !name.is_empty()).collect()
}

fn urls(dashboard: &Value) -> Vec<String> {
    let url = |object: &Value| object["url"].as_str().map(str::to_owned);
    objects(dashboard).into_iter().filter_map(url).collect()
}

/// Puts in what Grafana puts in.
fn substituted(text: &str) -> String {
    let mut text = text.to_owned();
    for (name, value) in [
        ("$__rate_interval", "1m"),
        ("$__range", "1h"),
        ("$service", ".*"),
        ("$rule", ".*"),
        ("$severity", ".*"),
        ("$instance", ".*"),
        ("$principal", "alice"),
    ] {
        text = text.replace(name, value);
    }
    text
}

/// Names of metrics in an expression.
fn metrics(expression: &str) -> BTreeSet<String> {
    let is_of_name = |letter: char| letter.is_ascii_alphanumeric() || "_:".contains(letter);
    let words = expression.split(|letter| !is_of_name(letter));
    words.filter(|word| word.starts_with("hopseal_") || word.contains(':')).map(str::to_owned).collect()
}

/// Names under which Prometheus has what the service shows.
fn shown(text: &str) -> BTreeSet<String> {
    let types =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).filter_map(|line| line.split_once(' '));
    let names = types.flat_map(|(name, kind)| match kind {
        "counter" => vec![format!("{name}_total")],
        "info" => vec![format!("{name}_info")],
        "histogram" => ["bucket", "sum", "count"].map(|end| format!("{name}_{end}")).to_vec(),
        _ => vec![name.to_owned()],
    });
    names.collect()
}

async fn json(url: Url) -> Value {
    let text = reqwest::get(url.clone()).await.expect("an answer").text().await.expect("text");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{url}: {error}: {text}"))
}

/// Tags as they stand in a query of Grafana (logfmt), as its data source for Jaeger sends them: a JSON object.
fn tags(text: &str) -> String {
    let (key, value) = text.split_once('=').expect("one tag");
    serde_json::json!({ key: value.trim_matches('"') }).to_string()
}

/// Scenario: a real service gets spans, some time apart; a real Prometheus asks it; then each panel's queries are put to Prometheus
/// and to the API of Jaeger that the service has, and its links to pages are followed.
/// Guarantees: every query is understood, and gives something unless it may be empty; no metric is asked for that there is not;
/// variables have values; every link to a page leads to one.
#[tokio::test]
async fn every_panel_shows_something() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let catalogue = at("catalogue.json");
    hopseal(&["check", "--write-catalogue", catalogue.to_str().expect("text"), EXAMPLE]);
    let text_of_config = format!(
        "listen: {{otlp_grpc: null, otlp_http: 127.0.0.1:0, zipkin: null, api: 127.0.0.1:0, admin: 127.0.0.1:0}}
windows: {{settle: 100ms}}
judging: {{catalogue: catalogue.json}}
store: {{folder: '{}', alarm_under: '1', refuse_under: '1'}}
",
        at("data").display()
    );
    std::fs::write(at("hopseal.yaml"), text_of_config).expect("written");
    let serving = Serving::start(&at("hopseal.yaml"));
    let config =
        std::fs::read_to_string(self::folder().join("../collector-config/prometheus.yaml")).expect("shipped");
    let config = config
        .replace("15s", "1s")
        .replace("127.0.0.1:9464", &serving.admin)
        .replace("rule_files: [prometheus-rules.yaml]", "rule_files: []");
    std::fs::write(at("prometheus.yaml"), config).expect("written");
    let asked = port();
    let _prometheus = Started::new(
        "prometheus",
        folder.path(),
        &[
            "--config.file=prometheus.yaml".to_owned(),
            "--storage.tsdb.path=metrics".to_owned(),
            format!("--web.listen-address=127.0.0.1:{asked}"),
        ],
    );
    let prometheus = async |path: &str, pairs: &[(&str, &str)]| -> Option<Value> {
        let url = format!("http://127.0.0.1:{asked}/api/v1/{path}");
        let url = Url::parse_with_params(&url, pairs).expect("a URL");
        let answer = reqwest::get(url).await.ok()?.text().await.ok()?;
        serde_json::from_str(&answer).ok()
    };
    let has = async |expression: &str| {
        let answer = prometheus("query", &[("query", expression)]).await;
        answer.is_some_and(|answer| !list(&answer["data"], "result").is_empty())
    };
    // The first spans are there, then others: so that what comes is an increase.
    let example = std::fs::read_to_string(EXAMPLE).expect("the example");
    until("a look at the metrics", async || has("up == 1").await).await;
    serving.post("application/json", example.clone().into_bytes()).await;
    until("the first hops", async || has("sum(hopseal_hops_total) >= 7").await).await;
    serving.post("application/json", others_of(&example).into_bytes()).await;
    until("more hops", async || has("sum(increase(hopseal_hops_total[1h])) > 0").await).await;
    until("more findings", async || has("sum(increase(hopseal_findings_total[1h])) > 0").await).await;

    let trace =
        json(Url::parse(&format!("http://{}/api/v1/findings?limit=1", serving.api)).expect("a URL")).await;
    // Now that somebody has asked, how often is counted too.
    let shown = shown(&serving.get(&serving.admin, "/metrics").await);
    let trace =
        trace.pointer("/findings/0/finding/trace_id").and_then(Value::as_str).expect("a trace").to_owned();
    // From a span of the trail to metrics: its tags become labels.
    let sources = provisioned();
    let back = objects(&sources).into_iter().find(|object| object["tracesToMetrics"].is_object());
    let back = &back.expect("a way")["tracesToMetrics"];
    let spans = json(Url::parse(&format!("http://{}/api/traces/{trace}", serving.api)).expect("a URL")).await;
    let tags = list(&spans["data"][0]["spans"][0], "tags");
    let label = |pair: &Value| {
        let tag = tags.iter().find(|tag| tag["key"] == pair["key"]).expect("a tag");
        format!("{}={}", text(pair, "value"), tag["value"])
    };
    let labels = list(back, "tags").iter().map(label).collect::<Vec<_>>().join(",");
    assert!(!list(back, "queries").is_empty());
    for query in list(back, "queries") {
        let query = text(query, "query").replace("$$__tags", &labels);
        assert!(has(&query).await, "{query}");
    }
    for (file, dashboard) in dashboards() {
        for variable in list(&dashboard["templating"], "list").iter().filter(|of| text(of, "type") == "query")
        {
            let query = text(&variable["query"], "query");
            let inside = query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')'));
            let (metric, label) = inside.and_then(|inside| inside.rsplit_once(", ")).expect("label_values");
            let answer =
                prometheus(&format!("label/{label}/values"), &[("match[]", metric)]).await.expect("JSON");
            assert!(!list(&answer, "data").is_empty(), "{file}: {query}: {answer}");
        }
        for panel in list(&dashboard, "panels") {
            let what = format!("{file}: {}", text(panel, "title"));
            for target in list(panel, "targets") {
                let is_there = match target["expr"].as_str() {
                    Some(expression) => {
                        for metric in metrics(expression) {
                            assert!(shown.contains(&metric), "{what}: {metric} is none of {shown:?}");
                        }
                        let query = substituted(expression);
                        let answer = prometheus("query", &[("query", &query)]).await.expect("JSON");
                        assert_eq!(answer["status"], "success", "{what}: {query}: {answer}");
                        list(&answer["data"], "result").iter().any(|series| {
                            let value =
                                series["value"][1].as_str().and_then(|value| value.parse::<f64>().ok());
                            value.is_some_and(f64::is_finite)
                        })
                    }
                    None => {
                        let url = jaeger(&serving.api, target, &trace);
                        let answer = json(url.clone()).await;
                        assert_eq!(answer["errors"], Value::Null, "{what}: {url}");
                        !list(&answer, "data").is_empty()
                    }
                };
                let may_be = MAY_BE_EMPTY.contains(&text(panel, "title"));
                assert!(is_there || may_be, "{what}: nothing for {target}");
            }
        }
        for url in urls(&dashboard).iter().filter_map(|url| url.strip_prefix("${hopseal}")) {
            let path = followed(url, &trace);
            let page = serving.get(&serving.api, &path).await;
            if let Some((_, place)) = path.split_once('#') {
                assert!(page.contains(&format!("id=\"{place}\"")), "{file}: {url}");
            }
        }
    }
    serving.stop();
}

/// The same spans in other traces.
fn others_of(example: &str) -> String {
    let (id, mut parts) = ("\"traceId\": \"", example.split("\"traceId\": \""));
    let first = parts.next().expect("a beginning").to_owned();
    parts.fold(first, |text, part| text + id + "ee" + part.get(2..).expect("an id"))
}

/// The request that Grafana's data source makes of a query.
fn jaeger(api: &str, target: &Value, trace: &str) -> Url {
    if target["queryType"].is_null() {
        assert_eq!(text(target, "query"), "$trace");
        return Url::parse(&format!("http://{api}/api/traces/{trace}")).expect("a URL");
    }
    let tags = tags(&substituted(text(target, "tags")));
    let limit = target["limit"].to_string();
    let pairs = [("service", text(target, "service")), ("limit", &limit), ("tags", &tags), ("start", "1")];
    Url::parse_with_params(&format!("http://{api}/api/traces"), pairs).expect("a URL")
}

/// A link to a page as it is for one cell of a table.
fn followed(url: &str, trace: &str) -> String {
    let value = match url {
        _ if url.starts_with("/traces/") => trace,
        _ if url.contains("rule=") || url.contains("#rule-") => "identity_dropped",
        _ if url.contains("severity=") => "high",
        _ => "gateway",
    };
    let mut path = url.to_owned();
    while let Some((before, rest)) = path.split_once("${") {
        let (_, after) = rest.split_once('}').expect("a variable");
        path = format!("{before}{value}{after}");
    }
    path
}
