//! From the file as it is written to what is used.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hopseal::SpiffeId;
use hopseal_correlate::finding::Severity;
use hopseal_correlate::policy::file::At;
use hopseal_correlate::policy::{PolicyError, nanos};
use hopseal_correlate::rule::Rule;

use super::file::{
    AccessFile, AlertsFile, AskerTokenFile, ConfigFile, DurabilityFile, ForwardFile, LimitsFile, LinksFile,
    ListenFile, PseudonymsFile, ReceiverFile, SendersFile, StoreFile, TelemetryFile, TlsFile, TokenFile,
    WindowsFile,
};
use super::{Config, JudgingSettings};
use crate::here::is_here;
use crate::serve::access::Role;
use crate::serve::alerts::{Address, AlertSettings, Kind, ReceiverSettings};
use crate::serve::delivery::{SenderId, ServicePattern};
use crate::serve::forward::ForwardSettings;
use crate::serve::keep::{Durability, KeepSettings, PublishSettings, WindowSettings};
use crate::serve::listen::{ConnectionLimits, Port};
use crate::serve::pages::Links;
use crate::serve::people::KeyFile;
use crate::serve::proof::KnownBy;
use crate::serve::receiver::{Protocol, RequestLimits};
use crate::serve::tls::TlsFiles;
use crate::size;

/// Least memory for requests: the largest must fit, compressed and not.
const MEMORY_FOR_REQUESTS: usize = 2;

/// Who may send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SenderSettings {
    pub(crate) required: bool,
    pub(crate) registry: Option<PathBuf>,
    pub(crate) known: HashMap<KnownBy, Arc<SenderId>>,
}

/// Who may ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AccessSettings {
    pub(crate) required: bool,
    pub(crate) registry: Option<PathBuf>,
    pub(crate) known: HashMap<KnownBy, Role>,
    /// Names under which it may be asked for, in small letters.
    pub(crate) names: HashSet<String>,
    /// Keys of pseudonyms, and the issuers whose subjects are looked for under them.
    pub(crate) people: (Vec<KeyFile>, Vec<String>),
}

impl ConfigFile {
    /// Reads a configuration. An empty one says nothing.
    ///
    /// # Errors
    /// [`PolicyError`] with the place of the first thing that is wrong.
    pub(crate) fn parse(text: &str) -> Result<Self, PolicyError> {
        if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
            return Ok(Self::default());
        }
        Ok(serde_saphyr::from_str(text)?)
    }
}

/// Holds it to the rules. Files are `beside` something.
pub(super) fn resolve(file: &ConfigFile, beside: &Path) -> Result<Config, PolicyError> {
    let tls = tls(&file.tls, beside)?;
    let senders = senders(&file.senders, tls.as_ref(), beside)?;
    let access = access(&file.access, tls.as_ref(), beside)?;
    let (requests, memory) = requests(&file.limits)?;
    let judging = match (&file.judging.keys, &file.judging.trust_domain) {
        (Some(keys), Some(domain)) => Some((beside.join(&keys.value), domain.value.clone())),
        (Some(at), None) | (None, Some(at)) => {
            return Err(wrong(at, "`keys` and `trust_domain` go together: set both"));
        }
        (None, None) => None,
    };
    let listening = listen(&file.listen, tls.is_some(), &senders, &access)?;
    let forward = forward(&file.forward, &listening)?;
    Ok(Config {
        listen: listening,
        tls,
        senders,
        access,
        requests,
        connections: connections(&file.limits)?,
        memory,
        drain: time(&file.limits.drain)?,
        judging: JudgingSettings {
            policy: file.judging.policy.as_ref().map(|path| beside.join(&path.value)),
            keys: judging,
            catalogue: file.judging.catalogue.as_ref().map(|path| beside.join(&path.value)),
        },
        keep: keep(&file.store, &file.windows)?,
        forward,
        alerts: alerts(&file.alerts, &file.links, beside)?,
        links: Links {
            grafana: link(file.links.grafana.as_ref())?,
            jaeger: link(file.links.jaeger.as_ref())?,
        },
        log: file.telemetry.log,
        otlp: otlp(&file.telemetry)?,
        own_log: endpoint(file.telemetry.log_endpoint.as_ref(), "/v1/logs")?,
        findings: PublishSettings {
            spans: endpoint(file.telemetry.findings_endpoint.as_ref(), "/v1/traces")?,
            logs: endpoint(file.telemetry.finding_events_endpoint.as_ref(), "/v1/logs")?,
        },
    })
}

fn listen(
    file: &ListenFile,
    has_tls: bool,
    senders: &SenderSettings,
    access: &AccessSettings,
) -> Result<Vec<(Port, SocketAddr)>, PolicyError> {
    let mut ports = Vec::new();
    for (port, at) in [
        (Port::Spans(Protocol::OtlpGrpc), &file.otlp_grpc),
        (Port::Spans(Protocol::OtlpHttp), &file.otlp_http),
        (Port::Spans(Protocol::Zipkin), &file.zipkin),
        (Port::Api, &file.api),
        (Port::Admin, &file.admin),
    ] {
        let Some(at) = at else { continue };
        let address: SocketAddr = at
            .value
            .parse()
            .map_err(|_| wrong(at, "no address to listen at; write `127.0.0.1:4317` or `[::1]:4317`"))?;
        if !address.ip().is_loopback() && !file.unprotected {
            let what = match port {
                Port::Admin => "`admin` has neither TLS nor authentication",
                Port::Api if !access.required => "the API would be for anyone",
                Port::Api if !has_tls => "the API would be without TLS",
                Port::Api => "",
                Port::Spans(_) if !has_tls => "spans would come without TLS",
                Port::Spans(_) if !senders.required => "spans would be taken from anyone",
                Port::Spans(_) => "",
            };
            if !what.is_empty() {
                let who = if port == Port::Api { "access" } else { "senders" };
                let instead = "or `listen.unprotected: true` if your network sees to it";
                let reason = format!("beyond this machine {what}: set `tls` and `{who}.required`, {instead}");
                return Err(wrong(at, &reason));
            }
        }
        // Port 0 is any that is free.
        if let Some((other, _)) = ports.iter().find(|(_, other)| *other == address && address.port() != 0) {
            return Err(wrong(at, &format!("`{}` listens there", Port::label(*other))));
        }
        ports.push((port, address));
    }
    Ok(ports)
}

fn tls(file: &TlsFile, beside: &Path) -> Result<Option<TlsFiles>, PolicyError> {
    let (certificate, key) = match (&file.certificate, &file.key) {
        (Some(certificate), Some(key)) => (certificate, key),
        (Some(at), None) | (None, Some(at)) => {
            return Err(wrong(at, "`certificate` and `key` go together: set both"));
        }
        (None, None) => {
            let without = "needs `certificate` and `key`";
            return match (&file.client_authorities, &file.require_client_certificate) {
                (Some(at), _) => Err(wrong(at, without)),
                (None, Some(at)) if at.value => Err(wrong(&words(at), without)),
                (None, _) => Ok(None),
            };
        }
    };
    if let Some(at) = file.require_client_certificate.as_ref().filter(|at| at.value)
        && file.client_authorities.is_none()
    {
        return Err(wrong(&words(at), "needs `client_authorities`: nobody's certificate is believed"));
    }
    Ok(Some(TlsFiles {
        certificate: beside.join(&certificate.value),
        key: beside.join(&key.value),
        client_authorities: file.client_authorities.as_ref().map(|path| beside.join(&path.value)),
        require_client_certificate: file.require_client_certificate.as_ref().is_some_and(|at| at.value),
    }))
}

fn senders(file: &SendersFile, tls: Option<&TlsFiles>, beside: &Path) -> Result<SenderSettings, PolicyError> {
    let mut known = HashMap::new();
    for sender in &file.known {
        let id = Arc::new(SenderId {
            name: sender.name.value.clone(),
            may_speak_for: sender.services.iter().map(pattern).collect::<Result<_, _>>()?,
        });
        let mut known_by = by_certificates(&sender.spiffe_ids, &sender.dns_names, tls)?;
        for TokenFile { issuer, subject } in &sender.tokens {
            if file.registry.is_none() {
                return Err(wrong(issuer, "no token is validated; set `senders.registry`"));
            }
            known_by.push(KnownBy::Token { issuer: issuer.value.clone(), subject: subject.clone() });
        }
        if known_by.is_empty() {
            let reason = "nobody can be this sender; give it `spiffe_ids`, `dns_names` or `tokens`";
            return Err(wrong(&sender.name, reason));
        }
        for by in known_by {
            if let Some(other) = known.insert(by, Arc::clone(&id)) {
                let reason = format!("the sender `{}` is known by the same", other.name);
                return Err(wrong(&sender.name, &reason));
            }
        }
    }
    let registry = file.registry.as_ref().map(|path| beside.join(&path.value));
    Ok(SenderSettings { required: file.required, registry, known })
}

fn access(file: &AccessFile, tls: Option<&TlsFiles>, beside: &Path) -> Result<AccessSettings, PolicyError> {
    let mut known: HashMap<KnownBy, Role> = HashMap::new();
    for asker in &file.known {
        let mut by = by_certificates(&asker.spiffe_ids, &asker.dns_names, tls)?;
        for AskerTokenFile { issuer, subject, role } in &asker.tokens {
            if file.registry.is_none() {
                return Err(wrong(issuer, "no token is validated; set `access.registry`"));
            }
            let name = issuer.value.clone();
            by.push(match (subject, role) {
                (Some(subject), None) => KnownBy::Token { issuer: name, subject: subject.clone() },
                (None, Some(role)) => KnownBy::Role { issuer: name, role: role.clone() },
                _ => return Err(wrong(issuer, "give it either a `subject` or a `role`")),
            });
        }
        let role = asker.role.value;
        if by.is_empty() {
            let at = At { value: role.as_str().to_owned(), place: asker.role.place };
            return Err(wrong(&at, "nobody can be that; give it `spiffe_ids`, `dns_names` or `tokens`"));
        }
        for by in by {
            let most = known.entry(by).or_insert(role);
            *most = role.max(*most);
        }
    }
    let registry = file.registry.as_ref().map(|path| beside.join(&path.value));
    let PseudonymsFile { keys, issuers } = &file.pseudonyms;
    let keys: Vec<_> =
        keys.iter().map(|key| KeyFile { kid: key.id.clone(), path: beside.join(&key.file.value) }).collect();
    if let Some(key) = file.pseudonyms.keys.first().filter(|_| issuers.is_empty()) {
        return Err(wrong(&key.file, "nobody's pseudonyms are looked for; name `issuers`"));
    }
    let people = (keys, issuers.clone());
    let names = file.names.iter().map(|name| name.to_ascii_lowercase()).collect();
    Ok(AccessSettings { required: file.required, registry, known, names, people })
}

fn by_certificates(
    spiffe_ids: &[At<String>],
    dns_names: &[At<String>],
    tls: Option<&TlsFiles>,
) -> Result<Vec<KnownBy>, PolicyError> {
    let certificates = tls.is_some_and(|files| files.client_authorities.is_some());
    if let Some(at) = spiffe_ids.iter().chain(dns_names).next().filter(|_| !certificates) {
        return Err(wrong(at, "no client is asked for its certificate; set `tls.client_authorities`"));
    }
    let mut by = Vec::new();
    for at in spiffe_ids {
        SpiffeId::parse(&at.value).map_err(|_| wrong(at, "no SPIFFE ID of a workload"))?;
        by.push(KnownBy::Uri(at.value.clone()));
    }
    by.extend(dns_names.iter().map(|at| KnownBy::Dns(at.value.to_ascii_lowercase())));
    Ok(by)
}

fn requests(file: &LimitsFile) -> Result<(RequestLimits, usize), PolicyError> {
    let (body, memory) = (bytes(&file.request)?, bytes(&file.memory)?);
    if memory < body.saturating_mul(MEMORY_FOR_REQUESTS) {
        let at = told(&file.memory, &file.request);
        let reason =
            "`memory` is less than twice `request`: one of that size, compressed, would never get in";
        return Err(wrong(at, reason));
    }
    Ok((RequestLimits { body, time: time(&file.receive)? }, memory))
}

fn otlp(file: &TelemetryFile) -> Result<Option<(String, Duration)>, PolicyError> {
    let every = time(&file.otlp_interval)?;
    Ok(endpoint(file.otlp_endpoint.as_ref(), "/v1/metrics")?.map(|endpoint| (endpoint, every)))
}

fn endpoint(at: Option<&At<String>>, path: &str) -> Result<Option<String>, PolicyError> {
    let Some(at) = at else { return Ok(None) };
    match at.value.parse::<http::Uri>().ok().as_ref().and_then(http::Uri::scheme_str) {
        Some("http" | "https") => Ok(Some(format!("{}{path}", at.value.trim_end_matches('/')))),
        _ => Err(wrong(at, "no address to send to; write `http://127.0.0.1:14318`")),
    }
}

fn forward(file: &ForwardFile, ours: &[(Port, SocketAddr)]) -> Result<Option<ForwardSettings>, PolicyError> {
    let memory = bytes(&file.memory)?;
    if let Some(at) = &file.endpoint
        && let Some(to) = at.value.parse::<http::Uri>().ok().as_ref().and_then(http::Uri::authority)
        && ours.iter().any(|(_, address)| is_ours(to, *address))
    {
        return Err(wrong(at, "we listen there ourselves, and would send everything to us again and again"));
    }
    let endpoint = endpoint(file.endpoint.as_ref(), "/v1/traces")?;
    Ok(endpoint.map(|endpoint| ForwardSettings { endpoint, memory }))
}

/// Whether that names an address that we listen at, as far as can be told without looking up names.
fn is_ours(to: &http::uri::Authority, address: SocketAddr) -> bool {
    let host = to.host().trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let is_host = host.is_ok_and(|host| host == address.ip())
        || (is_here(to.host()) && (address.ip().is_loopback() || address.ip().is_unspecified()));
    is_host && to.port_u16() == Some(address.port())
}

fn alerts(file: &AlertsFile, links: &LinksFile, beside: &Path) -> Result<AlertSettings, PolicyError> {
    let mut receivers: Vec<ReceiverSettings> = Vec::new();
    for receiver in &file.receivers {
        let name = &receiver.name.value;
        if name.is_empty() || name.len() > 64 || name.contains(char::is_control) {
            return Err(wrong(&receiver.name, "no name; write 1 to 64 letters"));
        }
        if receivers.iter().any(|other| other.name == receiver.name.value) {
            return Err(wrong(&receiver.name, "another receiver is called the same"));
        }
        receivers.push(self::receiver(receiver, beside)?);
    }
    Ok(AlertSettings { receivers, pages: link(links.pages.as_ref())? })
}

fn receiver(file: &ReceiverFile, beside: &Path) -> Result<ReceiverSettings, PolicyError> {
    let (kind, at, path) = match (&file.alertmanager, &file.webhook) {
        (Some(at), None) => (Kind::Alertmanager, at, "/api/v2/alerts"),
        (None, Some(at)) => (Kind::Webhook, at, ""),
        _ => return Err(wrong(&file.name, "give it either an `alertmanager` or a `webhook`")),
    };
    // What stands there may hold a secret.
    let masked = At { value: "..".to_owned(), place: at.place };
    let address = Address::parse(&at.value).ok_or_else(|| {
        wrong(&masked, "no address to tell; write `https://hooks.shop.example/findings`, and no user in it")
    })?;
    let address = if path.is_empty() { address } else { address.with(path) };
    if let Some(at) = file.secret.as_ref().filter(|_| kind == Kind::Alertmanager) {
        return Err(wrong(at, "an Alertmanager checks no signature; give it a `token`"));
    }
    if let Some(at) = file.origin.as_ref().filter(|_| kind == Kind::Alertmanager) {
        return Err(wrong(at, "an Alertmanager is not asked; leave it out"));
    }
    let origin = |at: &At<String>| {
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-.".contains(&byte);
        let name =
            Some(&at.value).filter(|name| (1..=253).contains(&name.len()) && name.bytes().all(is_name));
        let header = name.and_then(|name| http::HeaderValue::try_from(name.as_str()).ok());
        header.ok_or_else(|| wrong(at, "no name; write one such as `hopseal.shop.example`"))
    };
    if let Some(at) = file.token.as_ref().filter(|_| !address.is_private()) {
        return Err(wrong(at, "the token would be read on the way; tell it by `https`"));
    }
    let severity = Severity::parse(&file.severity.value);
    let rule = |at: &At<String>| Rule::parse(&at.value).ok_or_else(|| wrong(at, "there is no such rule"));
    Ok(ReceiverSettings {
        name: file.name.value.clone(),
        kind,
        address,
        secret: file.secret.as_ref().map(|path| beside.join(&path.value)),
        token: file.token.as_ref().map(|path| beside.join(&path.value)),
        origin: file.origin.as_ref().map(origin).transpose()?,
        severity: severity.ok_or_else(|| wrong(&file.severity, "write high, medium, low or info"))?,
        rules: file.rules.iter().map(rule).collect::<Result<_, _>>()?,
    })
}

/// Where something is for people, without a slash at the end.
fn link(at: Option<&At<String>>) -> Result<Option<String>, PolicyError> {
    let Some(at) = at else { return Ok(None) };
    let is_web =
        at.value.parse::<http::Uri>().is_ok_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")));
    match is_web && !at.value.contains(['?', '#']) {
        true => Ok(Some(at.value.trim_end_matches('/').to_owned())),
        false => Err(wrong(at, "no address for people; write `https://hopseal.shop.internal`")),
    }
}

fn keep(store: &StoreFile, windows: &WindowsFile) -> Result<KeepSettings, PolicyError> {
    let shards = NonZeroUsize::new(store.threads.value)
        .filter(|threads| threads.get() <= 64)
        .ok_or_else(|| wrong(&words(&store.threads), "write a number from 1 to 64"))?;
    let mut settings = KeepSettings::of(PathBuf::from(&store.folder));
    settings.durability = match store.durability {
        DurabilityFile::Disk => Durability::Disk,
        DurabilityFile::Memory => Durability::Memory,
    };
    settings.shards = shards;
    let (settle, max_age, max_life) =
        (time(&windows.settle)?, time(&windows.max_age)?, time(&windows.max_life)?);
    if max_age < settle {
        let at = told(&windows.settle, &windows.max_age);
        return Err(wrong(
            at,
            "`max_age` is less than `settle`: every trace would be judged before it is quiet",
        ));
    }
    let is_told = windows.max_life.place != Default::default();
    if is_told && max_life < max_age {
        let reason = "`max_life` is less than `max_age`: no trace would be kept for so long";
        return Err(wrong(&windows.max_life, reason));
    }
    settings.window = WindowSettings {
        settle,
        max_age,
        max_life: max_life.max(max_age),
        late: time(&windows.late)?,
        open_bytes: bytes(&windows.open)? / shards,
        judged_bytes: bytes(&windows.judged)? / shards,
        trace_bytes: bytes(&windows.trace)?,
    };
    let kept = (settings.window.open_bytes as u64).saturating_add(settings.window.judged_bytes as u64);
    if kept > WindowSettings::MOST {
        let at = told(&windows.open, &windows.judged);
        return Err(wrong(
            at,
            "`open` and `judged` together are more than 512 GiB for each of `store.threads`",
        ));
    }
    settings.store.days = store.days;
    settings.store.bytes = store.room.as_ref().map(bytes).transpose()?.map(|bytes| bytes as u64);
    settings.store.segment_age = time(&store.close_after)?;
    settings.store.alarm_under = bytes(&store.alarm_under)? as u64;
    settings.store.refuse_under = bytes(&store.refuse_under)? as u64;
    if settings.store.alarm_under < settings.store.refuse_under {
        let at = told(&store.alarm_under, &store.refuse_under);
        return Err(wrong(at, "`alarm_under` is less than `refuse_under`: nobody would be warned before"));
    }
    Ok(settings)
}

fn connections(file: &LimitsFile) -> Result<ConnectionLimits, PolicyError> {
    if file.connections.value == 0 {
        return Err(wrong(&words(&file.connections), "nobody could connect"));
    }
    let (idle, age) = (time(&file.idle)?, time(&file.connection_age)?);
    Ok(ConnectionLimits { open: file.connections.value, idle, age })
}

fn pattern(at: &At<String>) -> Result<ServicePattern, PolicyError> {
    let reason = "no service; write its name, or the beginning of its name followed by `*`";
    ServicePattern::parse(&at.value).ok_or_else(|| wrong(at, reason))
}

fn bytes(at: &At<String>) -> Result<usize, PolicyError> {
    match size::bytes(&at.value) {
        Ok(0) => Err(wrong(at, "has to be more than nothing")),
        read => read.map_err(|reason| wrong(at, &reason)),
    }
}

fn time(at: &At<String>) -> Result<Duration, PolicyError> {
    match nanos(&at.value) {
        Some(0) => Err(wrong(at, "has to be longer than nothing")),
        Some(nanos) => Ok(Duration::from_nanos(nanos)),
        None => Err(wrong(at, "no length of time; write `500ms`, `60s`, `5m`, `1h` or `7d`")),
    }
}

fn words<T: ToString>(at: &At<T>) -> At<String> {
    At { value: at.value.to_string(), place: at.place }
}

/// The one of two that stands in the file, the first if both do.
fn told<'f>(first: &'f At<String>, second: &'f At<String>) -> &'f At<String> {
    if first.place == Default::default() { second } else { first }
}

fn wrong(at: &At<String>, reason: &str) -> PolicyError {
    PolicyError::Value { at: at.place, found: at.value.clone(), reason: reason.to_owned() }
}
