//! The policy file as it is written. The comments of this page are the manual: they become the descriptions of
//! the JSON Schema that editors show.
//!
//! Services are written `[namespace/]name[@environment]` with `*` for any run of characters; names, hosts and
//! topics may hold `*` too. Routes are written `[METHOD[,METHOD]] /path/{any}/**`; without a method they cover
//! reads (`GET`, `HEAD`, `OPTIONS`), with `*` all. Dates are UTC days and hold to their end; they are compared with
//! the time of the spans.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};

use super::error::Place;
use crate::dialect::Dialect;
use crate::finding::Severity;
use crate::rule::Rule;

/// What you declare about your services. Every key may be left out.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PolicyFile {
    /// Routes that everyone may call. Login, OAuth callbacks, JWKS and signed webhooks are known already.
    pub public: Vec<Routes>,
    /// Health, readiness and metrics routes besides those that are known already (`/healthz`, `/metrics`, ..).
    pub health: Vec<Routes>,
    /// OpenAPI descriptions. An operation with `security: []`, or with an empty alternative in it, is public.
    pub openapi: Vec<OpenApi>,
    /// Clients that may act for themselves, on one edge, up to a date.
    pub service_principals: Vec<ServicePrincipal>,
    /// Services whose spans are those of a proxy or sidecar, so that its spans around a workload are one hop.
    /// Envoy, Istio, nginx, HAProxy, Traefik and Linkerd are known already.
    pub proxies: Vec<At<String>>,
    /// Spans that may vouch for an identity by an attribute: such a hop is `verified`, method `proxy`.
    pub trusted_proxies: Vec<At<TrustedProxy>>,
    /// How tenants are told apart.
    pub tenants: Tenants,
    /// Where identity may go.
    pub destinations: Destinations,
    /// How well an identity must be established.
    pub required_assurance: Vec<RequiredAssurance>,
    /// Services whose spans must name people by pseudonym; `*` for all.
    pub pseudonymous: Vec<At<String>>,
    /// Which workload a service runs as, where its own spans do not say so.
    pub workloads: Vec<Workload>,
    /// Services between which a mesh encrypts, though their spans say plain `http`.
    pub mesh: Vec<At<String>>,
    /// Services that ask the issuer about every credential (RFC 7662): a request without such a call is odd there.
    pub introspecting: Vec<At<String>>,
    /// Audiences that a service accepts. A service not listed is not judged by audience.
    pub audiences: Vec<Audiences>,
    /// Algorithms that may verify a credential. Default: those whose verifiers cannot sign (RFC 7518, RFC 8037,
    /// RFC 9864), and PASETO's `v4.public`.
    pub algorithms: Option<Vec<String>>,
    /// Ids that are one and the same principal.
    pub aliases: Vec<Alias>,
    /// Services and clients where one session may have several users: kiosks, shared terminals.
    pub shared_sessions: Vec<SharedSession>,
    /// What agents may do.
    pub agents: Agents,
    /// Topics whose consumers put messages of many principals together by design.
    pub aggregated_topics: Vec<String>,
    /// Limits that rules compare with.
    pub thresholds: ThresholdsFile,
    /// Rules by name: `severity` other than their own, or `enabled: false`.
    #[schemars(schema_with = "rules_schema")]
    pub rules: BTreeMap<RuleName, RuleSetting>,
    /// Identity dialects besides the built-in ones: which attribute says which fact. A key given here again
    /// replaces the built-in one.
    pub dialects: Vec<DialectEntry>,
    /// Attribute keys whose values only look like credentials.
    pub not_credentials: Vec<String>,
    /// Conditions of your own under which findings are quieted. They are counted as `declared`.
    pub suppress: Vec<Suppress>,
}

/// Routes of one service, or of all.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Routes {
    /// The service; all when left out.
    pub service: Option<At<String>>,
    /// The routes, such as `/products/{id}`, `POST /signup`, `* /assets/**`; gRPC methods as `* /pkg.Service/Method`.
    pub routes: Vec<At<String>>,
    /// Why, for whoever reviews this.
    pub reason: Option<String>,
    /// Last day on which this holds.
    #[schemars(extend("format" = "date"))]
    pub expires: Option<At<String>>,
}

/// One OpenAPI description.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenApi {
    /// The service that it describes.
    pub service: At<String>,
    /// The file, JSON or YAML, relative to the policy file.
    pub file: At<String>,
}

/// A client that may act for itself.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServicePrincipal {
    /// Client or service id as it stands in the spans.
    pub client: String,
    /// The calling service; any when left out.
    pub caller: Option<At<String>>,
    /// The service called.
    pub service: At<String>,
    /// Why, for whoever reviews this.
    pub reason: Option<String>,
    /// Last day on which this holds.
    #[schemars(extend("format" = "date"))]
    pub expires: At<String>,
}

/// Spans that vouch for an identity. All that is given must match the span that carries the attribute; one of
/// `service`, `component` and `node` must be given.
///
/// Whoever can send spans can claim to be a proxy: such a hop's basis stays `claimed`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrustedProxy {
    /// The service that sends the span: the proxy itself, or a workload that nobody reaches but through one.
    pub service: Option<At<String>>,
    /// Its `component` attribute, such as `envoy`.
    pub component: Option<String>,
    /// Its `node_id` attribute, such as `sidecar~*.shop~*`.
    pub node: Option<String>,
    /// Attribute keys that it vouches by.
    pub attributes: Vec<String>,
}

/// Which workload a service runs as. A service may be listed more than once, as one that moves is: then it may be any of them.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Workload {
    /// The service.
    pub service: At<String>,
    /// The SPIFFE ID in its certificate, such as `spiffe://example.org/ns/shop/sa/orders`; `*` for any run of characters.
    pub id: At<String>,
}

/// How tenants are told apart.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Tenants {
    /// Tenants whose resources everyone may use, such as `platform`.
    pub shared: Vec<String>,
    /// How a tenant is spelled in the name of a database, topic or bucket.
    pub spelled: Vec<TenantSpelling>,
}

/// How a tenant is spelled in the names of resources.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TenantSpelling {
    /// Which names: `database` (`db.namespace`), `collection` (`db.collection.name`), `destination` (topic or
    /// queue) or `bucket` (`aws.s3.bucket`).
    pub of: ResourceKind,
    /// The name with `{tenant}` where the tenant stands, such as `tenant_{tenant}`; may hold `*`.
    pub name: At<String>,
}

/// Kinds of resources whose name may hold a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ResourceKind {
    /// `db.namespace`.
    Database,
    /// `db.collection.name`.
    Collection,
    /// Topic or queue.
    Destination,
    /// Bucket of an object store.
    Bucket,
}

/// Where identity may go: hosts by name, address or network (`10.0.0.0/8`).
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Destinations {
    /// Hosts of your own. Loopback, private and link-local addresses, names without a dot and names that end in `.internal`,
    /// `.local`, `.localhost`, `.lan`, `.home.arpa`, `.test`, `.svc` or `.cluster.local` are known already.
    pub internal: Vec<At<String>>,
    /// Partners that identity is passed to on purpose.
    pub partners: Vec<At<String>>,
}

/// How well an identity must be established.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RequiredAssurance {
    /// The service.
    pub service: At<String>,
    /// The operation as reports write it, such as `POST /charge`; all when left out.
    pub operation: Option<String>,
    /// The least assurance.
    pub assurance: AssuranceWord,
}

/// An assurance that can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AssuranceWord {
    /// An identity is named.
    Asserted,
    /// A valid seal vouches for it.
    Sealed,
    /// A credential was validated at this very hop.
    Verified,
}

/// Audiences that a service accepts.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Audiences {
    /// The service.
    pub service: At<String>,
    /// Values of `aud`, one of which has to be there.
    pub audiences: Vec<String>,
}

/// Ids that are one and the same principal.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Alias {
    /// The issuer in whose realm this holds; any when left out.
    pub issuer: Option<String>,
    /// The ids.
    pub ids: Vec<String>,
}

/// Where one session may have several users.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SharedSession {
    /// The service; any when left out.
    pub service: Option<At<String>>,
    /// The client; any when left out.
    pub client: Option<String>,
}

/// What agents may do.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Agents {
    /// Agents, by id or name, that may act with no user behind them.
    pub autonomous: Vec<String>,
    /// Tools that an agent may use by its own right though a user stands behind it.
    pub owned_tools: Vec<String>,
}

/// Limits that rules compare with.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ThresholdsFile {
    /// Clock difference between two services that is never held against a credential, on top of the skew that
    /// the spans show, such as `60s`. Default 60s.
    pub skew: Option<At<String>>,
    /// Delegation chains longer than this are broken. Default 4.
    pub max_actors: Option<usize>,
    /// Successes without identity before an endpoint counts as unauthenticated. Default 5.
    pub min_requests: Option<u64>,
    /// Window of event time for rules over many traces, such as `1h`. Default 1h.
    pub window: Option<At<String>>,
    /// Fall of coverage that is a regression, as a share from 0 to 1. Default 0.1.
    pub coverage_drop: Option<At<f64>>,
}

/// Settings of one rule.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RuleSetting {
    /// What its findings weigh; its own severities when left out.
    pub severity: Option<SeverityWord>,
    /// Whether it is asked. Default true.
    pub enabled: Option<bool>,
}

/// What a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SeverityWord {
    /// To be known, nothing to be done.
    Info,
    /// Worth a look.
    Low,
    /// To be mended.
    Medium,
    /// To be mended now.
    High,
}

impl From<SeverityWord> for Severity {
    fn from(word: SeverityWord) -> Self {
        match word {
            SeverityWord::Info => Self::Info,
            SeverityWord::Low => Self::Low,
            SeverityWord::Medium => Self::Medium,
            SeverityWord::High => Self::High,
        }
    }
}

/// One dialect.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DialectEntry {
    /// Its name.
    pub name: At<String>,
    /// Where the keys come from.
    #[serde(default)]
    pub source: String,
    /// Attribute key, possibly ending in `*`, to the fact it says (`user`, `client`, `tenant`, ..) or `ignore`.
    pub keys: BTreeMap<String, String>,
}

impl From<&DialectEntry> for Dialect {
    fn from(entry: &DialectEntry) -> Self {
        Self { name: entry.name.value.clone(), source: entry.source.clone(), keys: entry.keys.clone() }
    }
}

/// A condition under which findings are quieted.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Suppress {
    /// The rule; every rule when left out.
    #[serde(default)]
    #[schemars(schema_with = "rule_schema")]
    pub rule: Option<RuleName>,
    /// A condition in CEL over `rule`, `severity`, `confidence` and `hop`, such as
    /// `hop.service == "shop" && hop.route.startsWith("/offers")`. `hop` has `service`, `namespace`, `environment`,
    /// `operation`, `caller`, `kind`, `outcome`, `assurance`, `principal_kind`, `method`, `route` and `attributes`.
    pub when: At<String>,
    /// Why, for whoever reviews this.
    pub reason: String,
    /// Last day on which this holds.
    #[schemars(extend("format" = "date"))]
    pub expires: Option<At<String>>,
}

/// A value and where it stands. Two are equal when their values are.
#[derive(Debug, Clone)]
pub struct At<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub place: Place,
}

impl<T: PartialEq> PartialEq for At<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Eq> Eq for At<T> {}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for At<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = serde_saphyr::Spanned::<T>::deserialize(deserializer)?;
        let place = Place { line: spanned.referenced.line(), column: spanned.referenced.column() };
        Ok(Self { value: spanned.value, place })
    }
}

impl<T: JsonSchema> JsonSchema for At<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// A rule by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RuleName(pub Rule);

impl<'de> Deserialize<'de> for RuleName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let unknown = || serde::de::Error::unknown_variant(&name, Rule::NAMES);
        Rule::parse(&name).map(Self).ok_or_else(unknown)
    }
}

fn rules_schema(generator: &mut SchemaGenerator) -> Schema {
    let setting = generator.subschema_for::<RuleSetting>();
    json_schema!({
        "type": "object",
        "propertyNames": { "enum": Rule::NAMES },
        "additionalProperties": setting,
    })
}

fn rule_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "enum": Rule::NAMES })
}
