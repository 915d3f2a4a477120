//! The configuration file as it is written. The comments of this page are the manual: they become the descriptions of the
//! JSON Schema that editors show, and `collector-config/hopseal.yaml` says the same at more length.
//!
//! Sizes are bytes, with `K`, `M` or `G` for powers of 1024. Lengths of time are written `500ms`, `10s`, `2m`, `1h`, `7d`.
//! Files are looked for beside the configuration.

use hopseal_correlate::policy::Place;
use hopseal_correlate::policy::file::At;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::serve::access::Role;

/// What `hopseal serve` is told. Every key may be left out.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ConfigFile {
    /// Addresses to listen at.
    pub(crate) listen: ListenFile,
    /// TLS on the ports for spans, and on that of the API where `access.required` is set.
    pub(crate) tls: TlsFile,
    /// Who may send, and for which services.
    pub(crate) senders: SendersFile,
    /// Who may ask the API and see the pages, and what.
    pub(crate) access: AccessFile,
    /// How much may be on its way.
    pub(crate) limits: LimitsFile,
    /// What traces are judged by.
    pub(crate) judging: JudgingFile,
    /// When a trace is judged.
    pub(crate) windows: WindowsFile,
    /// Where spans and what was found are kept, and for how long.
    pub(crate) store: StoreFile,
    /// Where what comes is sent on.
    pub(crate) forward: ForwardFile,
    /// Who is woken by findings.
    pub(crate) alerts: AlertsFile,
    /// Where things are for people.
    pub(crate) links: LinksFile,
    /// What is said of the service itself.
    pub(crate) telemetry: TelemetryFile,
}

/// Addresses to listen at, such as `127.0.0.1:4317`. `null` closes a port.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ListenFile {
    /// OTLP over gRPC. Default 127.0.0.1:4317.
    pub(crate) otlp_grpc: Option<At<String>>,
    /// OTLP over HTTP: `/v1/traces`. Default 127.0.0.1:4318.
    pub(crate) otlp_http: Option<At<String>>,
    /// Zipkin v2: `/api/v2/spans`. Default 127.0.0.1:9411.
    pub(crate) zipkin: Option<At<String>>,
    /// The query API and the pages; on this machine alone, unless `access.required` or `unprotected` is set. Default 127.0.0.1:8317.
    pub(crate) api: Option<At<String>>,
    /// `/healthz`, `/readyz` and `/metrics`, without TLS, for whoever asks. Default 127.0.0.1:9464.
    pub(crate) admin: Option<At<String>>,
    /// Allows addresses beyond this machine where spans come without TLS or from senders that nobody knows, and `admin`
    /// and an API that asks nobody who they are there. For networks that see to it themselves. Default false.
    pub(crate) unprotected: bool,
}

impl Default for ListenFile {
    fn default() -> Self {
        Self {
            otlp_grpc: Some(at("127.0.0.1:4317")),
            otlp_http: Some(at("127.0.0.1:4318")),
            zipkin: Some(at("127.0.0.1:9411")),
            api: Some(at("127.0.0.1:8317")),
            admin: Some(at("127.0.0.1:9464")),
            unprotected: false,
        }
    }
}

/// TLS: files in PEM, read again when they change.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TlsFile {
    /// Our chain, our own certificate first.
    pub(crate) certificate: Option<At<String>>,
    /// Our private key.
    pub(crate) key: Option<At<String>>,
    /// Authorities whose certificates clients may show. Each of them can name any sender.
    pub(crate) client_authorities: Option<At<String>>,
    /// Turns clients without a certificate away in the handshake. Default false.
    pub(crate) require_client_certificate: Option<At<bool>>,
}

/// Who may send, and for which services.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SendersFile {
    /// Turns away whoever is none of `known`. Default false: their spans are taken, and prove nothing.
    pub(crate) required: bool,
    /// A trust registry: whose access tokens are validated, and how. Without one, tokens are not looked at.
    pub(crate) registry: Option<At<String>>,
    /// Senders that are known.
    pub(crate) known: Vec<SenderFile>,
}

/// A sender, by its certificates or tokens.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SenderFile {
    /// What it is called here.
    pub(crate) name: At<String>,
    /// The services that it may speak for: names, or beginnings of names followed by `*`.
    pub(crate) services: Vec<At<String>>,
    /// SPIFFE IDs of its certificates.
    #[serde(default)]
    pub(crate) spiffe_ids: Vec<At<String>>,
    /// DNS names of its certificates.
    #[serde(default)]
    pub(crate) dns_names: Vec<At<String>>,
    /// Subjects of its tokens.
    #[serde(default)]
    pub(crate) tokens: Vec<TokenFile>,
}

/// Whose tokens.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TokenFile {
    /// The issuer, by the name that the registry gives it.
    pub(crate) issuer: At<String>,
    /// The subject (`sub`, or the claim that the registry maps).
    pub(crate) subject: String,
}

/// Who may ask the API and see the pages.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AccessFile {
    /// Turns away whoever is none of `known`. Default false: whoever is on this machine may do everything.
    pub(crate) required: bool,
    /// A trust registry: whose access tokens are validated, and how. Without one, tokens are not looked at.
    pub(crate) registry: Option<At<String>>,
    /// Who is known. Whoever is known by several has the highest of their roles.
    pub(crate) known: Vec<AskerFile>,
    /// Names besides those of this machine under which it is asked for, where `required` is not set: a page of somebody else that
    /// gets its own name to mean this machine is not answered.
    pub(crate) names: Vec<String>,
    /// How a person who is asked for by name is found under their pseudonyms.
    pub(crate) pseudonyms: PseudonymsFile,
}

/// How people are found under their pseudonyms.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PseudonymsFile {
    /// Keys of the trust domain, the current one first.
    pub(crate) keys: Vec<PseudonymKeyFile>,
    /// Issuers (`iss`) whose subjects are looked for.
    pub(crate) issuers: Vec<String>,
}

/// A key of pseudonyms.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PseudonymKeyFile {
    /// Its id, as pseudonyms name it.
    pub(crate) id: String,
    /// The file that holds it as base64url.
    pub(crate) file: At<String>,
}

/// Who may ask, by their certificates or tokens.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AskerFile {
    /// What they may do: `reader` sees services, traces, findings and coverage; `auditor` may ask what one principal did, too;
    /// `admin` may say what became of a finding, too.
    pub(crate) role: At<Role>,
    /// SPIFFE IDs of their certificates.
    #[serde(default)]
    pub(crate) spiffe_ids: Vec<At<String>>,
    /// DNS names of their certificates.
    #[serde(default)]
    pub(crate) dns_names: Vec<At<String>>,
    /// Subjects of their tokens, or roles that these name.
    #[serde(default)]
    pub(crate) tokens: Vec<AskerTokenFile>,
}

/// Whose tokens. Either a `subject` or a `role`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AskerTokenFile {
    /// The issuer, by the name that the registry gives it.
    pub(crate) issuer: At<String>,
    /// The subject (`sub`, or the claim that the registry maps).
    pub(crate) subject: Option<String>,
    /// One of the roles (`roles`, or the claim that the registry maps).
    pub(crate) role: Option<String>,
}

/// How much may be on its way. Past it clients are told to come again.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LimitsFile {
    /// Bytes of one request, before and after decompression. Default 64M.
    pub(crate) request: At<String>,
    /// Memory for all requests that are being received. Default 256M.
    pub(crate) memory: At<String>,
    /// Longest time until a request is here whole. Default 10s.
    pub(crate) receive: At<String>,
    /// Open connections. Default 1024.
    pub(crate) connections: At<usize>,
    /// A connection without a request for so long is closed. Default 2m.
    pub(crate) idle: At<String>,
    /// A connection of this age is closed once its requests are answered. Default 1h.
    pub(crate) connection_age: At<String>,
    /// Longest time that requests are still answered after the signal to stop. Default 30s.
    pub(crate) drain: At<String>,
}

impl Default for LimitsFile {
    fn default() -> Self {
        Self {
            request: at("64M"),
            memory: at("256M"),
            receive: at("10s"),
            connections: At { value: 1024, place: Place::default() },
            idle: at("2m"),
            connection_age: at("1h"),
            drain: at("30s"),
        }
    }
}

/// What traces are judged by, as with `hopseal check`. Files are read again when they change.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct JudgingFile {
    /// What is declared: a policy.
    pub(crate) policy: Option<At<String>>,
    /// Public keys of the services that seal, a JWK set: seals are checked again.
    pub(crate) keys: Option<At<String>>,
    /// The trust domain that seals are bound to.
    pub(crate) trust_domain: Option<At<String>>,
    /// What services show of identities, as `hopseal check --write-catalogue` writes it. Left out, it is learned.
    pub(crate) catalogue: Option<At<String>>,
}

/// When a trace is judged, and how much is kept in memory meanwhile. The memory is shared out over `store.threads`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct WindowsFile {
    /// Quiet time after its last span. Default 10s.
    pub(crate) settle: At<String>,
    /// Age at which one that is never quiet is judged, and again each time it has passed. Default 2m.
    pub(crate) max_age: At<String>,
    /// The longest a trace is kept, from its first span or the start of the service, and with it the journal. Not less than `max_age`.
    /// Default 30m.
    pub(crate) max_life: At<String>,
    /// How long a judged trace is kept, to be judged together with late spans. Default 2m.
    pub(crate) late: At<String>,
    /// Memory for spans of open traces. Past it the oldest are judged early, and say so. Default 512M.
    pub(crate) open: At<String>,
    /// Memory for judged traces that are kept. Default 256M.
    pub(crate) judged: At<String>,
    /// Spans judged of one trace, in bytes. Default 64M.
    pub(crate) trace: At<String>,
}

impl Default for WindowsFile {
    fn default() -> Self {
        Self {
            settle: at("10s"),
            max_age: at("2m"),
            max_life: at("30m"),
            late: at("2m"),
            open: at("512M"),
            judged: at("256M"),
            trace: at("64M"),
        }
    }
}

/// Where spans and what was found are kept, and for how long.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct StoreFile {
    /// The directory, made if it is not there; looked for in the working directory, as `hopseal trail` does. Default
    /// hopseal-data.
    pub(crate) folder: String,
    /// When a request is answered. Default disk.
    pub(crate) durability: DurabilityFile,
    /// Threads that read and judge: 1 to 64. Default 1.
    pub(crate) threads: At<usize>,
    /// Days that hops are kept; `null` is for ever. Default 400.
    pub(crate) days: Option<u32>,
    /// Bytes of all that is in the folder: past it hops of the oldest days are removed, and in the end the oldest of the current day;
    /// `null` is without a bound. Default null.
    pub(crate) room: Option<At<String>>,
    /// How long after they were found hops are in a Parquet file at the latest, where other programs can read them. Default 10m.
    pub(crate) close_after: At<String>,
    /// Free bytes of the disk under which an alarm is raised. Default 5G.
    pub(crate) alarm_under: At<String>,
    /// Free bytes of the disk under which nothing is taken any more. Default 1G.
    pub(crate) refuse_under: At<String>,
}

impl Default for StoreFile {
    fn default() -> Self {
        Self {
            folder: "hopseal-data".to_owned(),
            durability: DurabilityFile::default(),
            threads: At { value: 1, place: Place::default() },
            days: Some(400),
            room: None,
            close_after: at("10m"),
            alarm_under: at("5G"),
            refuse_under: at("1G"),
        }
    }
}

/// When a request is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum DurabilityFile {
    /// Once its spans are on the disk.
    #[default]
    Disk,
    /// Once its spans are in memory: what is not yet judged is lost with the process.
    Memory,
}

/// Where what comes is sent on, as it came: for whoever has no OpenTelemetry Collector in front.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ForwardFile {
    /// Where each request of OTLP is sent on by OTLP over HTTP once it is durable here, such as `http://127.0.0.1:14318`; not at all
    /// when left out. To nobody who sends here.
    pub(crate) endpoint: Option<At<String>>,
    /// Memory for what waits to be sent on. What does not fit, or cannot be sent after some tries, is left out there. Default 64M.
    pub(crate) memory: At<String>,
}

impl Default for ForwardFile {
    fn default() -> Self {
        Self { endpoint: None, memory: at("64M") }
    }
}

/// Who is woken by findings.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AlertsFile {
    /// Each is told on its own of what becomes of findings from when it is first named, and of no more than the last 100 000 that it
    /// could not be told of.
    pub(crate) receivers: Vec<ReceiverFile>,
}

/// Somebody who is told of findings: either an `alertmanager` or a `webhook`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReceiverFile {
    /// What it is called here. Under another name it is somebody else.
    pub(crate) name: At<String>,
    /// An Alertmanager, by its API v2 (`/api/v2/alerts` is added): one alert for all findings that are alike, which ends once none of
    /// them is open.
    pub(crate) alertmanager: Option<At<String>>,
    /// What takes CloudEvents 1.0 in structured mode: one event for each thing that becomes of a finding (`hopseal.finding.opened`,
    /// `.acknowledged`, `.resolved`, `.retracted`, `.suppressed`).
    pub(crate) webhook: Option<At<String>>,
    /// A file with the secrets by which events are signed, as of Standard Webhooks: `whsec_` and base64, one a line. For a `webhook`.
    pub(crate) secret: Option<At<String>>,
    /// A file with the token that is shown (`Authorization: Bearer`). Not over plain http beyond this machine.
    pub(crate) token: Option<At<String>>,
    /// A name of this service, such as `hopseal.shop.example`, as whom it asks first whether it may tell anything
    /// (`WebHook-Request-Origin`), and tells nothing until that is allowed. For a `webhook`. Left out: it does not ask.
    pub(crate) origin: Option<At<String>>,
    /// Findings at least that grave: `high`, `medium`, `low` or `info`. Default medium.
    #[serde(default = "medium")]
    pub(crate) severity: At<String>,
    /// Findings of these rules alone. Left out: of all.
    #[serde(default)]
    pub(crate) rules: Vec<At<String>>,
}

fn medium() -> At<String> {
    at("medium")
}

/// Where things are for people: links to them are put into pages, and into what leaves.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LinksFile {
    /// Where the pages are, as people reach them, such as `https://hopseal.shop.internal`.
    pub(crate) pages: Option<At<String>>,
    /// Where a Grafana with our dashboards and data sources is: pages lead there.
    pub(crate) grafana: Option<At<String>>,
    /// Where a user interface of Jaeger is that has the traces: pages lead there.
    pub(crate) jaeger: Option<At<String>>,
}

/// What is said of the service itself.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TelemetryFile {
    /// What is logged to standard error. Default info.
    pub(crate) log: LogLevel,
    /// Where metrics are sent by OTLP over HTTP, such as `http://127.0.0.1:14318`; not at all when left out.
    pub(crate) otlp_endpoint: Option<At<String>>,
    /// Where each finding is sent by OTLP over HTTP, as a span of the trace that it is about, such as `http://127.0.0.1:14318`; not
    /// at all when left out.
    pub(crate) findings_endpoint: Option<At<String>>,
    /// Where each finding is sent by OTLP over HTTP, as an event among log records, with the trace and span that it is about, such as
    /// `http://127.0.0.1:14318`; not at all when left out. May be the same.
    pub(crate) finding_events_endpoint: Option<At<String>>,
    /// Where warnings and errors of the log are sent by OTLP over HTTP, such as `http://127.0.0.1:14318`; not at all when left out.
    pub(crate) log_endpoint: Option<At<String>>,
    /// How often metrics are sent. Default 60s.
    pub(crate) otlp_interval: At<String>,
}

impl Default for TelemetryFile {
    fn default() -> Self {
        Self {
            log: LogLevel::default(),
            otlp_endpoint: None,
            findings_endpoint: None,
            finding_events_endpoint: None,
            log_endpoint: None,
            otlp_interval: at("60s"),
        }
    }
}

/// How much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogLevel {
    /// What keeps it from working.
    Error,
    /// What should be looked at.
    Warn,
    /// What an operator wants to know.
    #[default]
    Info,
    /// Each request that is turned away, too.
    Debug,
}

/// A value that stands nowhere.
fn at(text: &str) -> At<String> {
    At { value: text.to_owned(), place: Place::default() }
}
