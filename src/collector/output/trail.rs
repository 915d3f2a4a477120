//! The trail as JSON: what the query API answers, and `hopseal trail --format json` prints.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use utoipa::ToSchema;

/// A trace as it was judged last.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct TraceShape {
    /// 32 hex digits.
    pub(crate) trace_id: String,
    /// 1 at first, and one more each time that late spans changed it.
    pub(crate) version: u32,
    /// Whether nothing of it is known to be missing.
    pub(crate) complete: bool,
    /// Whether it was judged before all of it had time to arrive.
    pub(crate) closed_early: bool,
    /// Spans whose parent never arrived.
    pub(crate) missing_parents: u32,
    /// Its hops, callers before callees.
    pub(crate) hops: Vec<HopShape>,
    /// Its findings, the newest first.
    pub(crate) findings: Vec<FindingShape>,
}

/// One crossing into a service.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct HopShape {
    /// 32 hex digits.
    pub(crate) trace_id: String,
    /// Its place among the hops of its trace.
    pub(crate) place: u32,
    /// Its entry span: 16 hex digits.
    pub(crate) span_id: String,
    /// The parent that the entry span names.
    pub(crate) parent_span_id: Option<String>,
    /// Place of the calling hop.
    pub(crate) caller_place: Option<u32>,
    /// The calling service.
    pub(crate) caller: Option<String>,
    /// The service called.
    pub(crate) service: String,
    /// Its namespace.
    pub(crate) namespace: Option<String>,
    /// Its environment.
    pub(crate) environment: Option<String>,
    /// The operation called.
    pub(crate) operation: String,
    /// `rpc`, `messaging` or `entry`.
    #[schema(value_type = String)]
    pub(crate) kind: Cow<'static, str>,
    /// Proxies passed on the way.
    pub(crate) via: Vec<String>,
    /// Nanoseconds since the Unix epoch, as text.
    pub(crate) start_unix_nano: String,
    /// Nanoseconds since the Unix epoch, as text.
    pub(crate) end_unix_nano: String,
    /// `verified`, `sealed`, `asserted`, `refused`, `anonymous` or `unknown`.
    #[schema(value_type = String)]
    pub(crate) assurance: Cow<'static, str>,
    /// Why that is believed: `claimed`, `reverified` or `authenticated_sender`.
    #[schema(value_type = String)]
    pub(crate) basis: Cow<'static, str>,
    /// How it was established.
    pub(crate) method: Option<String>,
    /// Whether the service never shows an identity.
    pub(crate) uncovered: bool,
    /// Who acted; none for anonymous, refused and unknown.
    pub(crate) principal: Option<PrincipalShape>,
}

/// Who acted at a hop.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct PrincipalShape {
    /// The id, or pseudonym, as the span says it; empty for who may not see whose identity it was, as are ids of actors.
    pub(crate) id: String,
    /// `user`, `service` or `agent`.
    #[schema(value_type = String)]
    pub(crate) kind: Cow<'static, str>,
    /// Who issued the credential.
    pub(crate) issuer: Option<String>,
    /// The tenant; none for who may not see whose identity it was.
    pub(crate) tenant: Option<String>,
    /// Who acts for it, outermost first.
    pub(crate) actors: Vec<ActorShape>,
}

/// Who acts for a principal.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct ActorShape {
    /// The id.
    pub(crate) id: String,
    /// `user`, `service` or `agent`.
    #[schema(value_type = String)]
    pub(crate) kind: Cow<'static, str>,
}

/// A finding and what became of it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct FindingShape {
    /// `open`, `acknowledged`, `resolved`, `retracted` or `suppressed`.
    #[schema(value_type = String)]
    pub(crate) state: Cow<'static, str>,
    /// What was said when the state was set.
    pub(crate) note: String,
    /// When the hop began: nanoseconds since the Unix epoch, as text.
    pub(crate) at_unix_nano: String,
    /// When it was first raised.
    pub(crate) raised_unix_nano: String,
    /// When its state was set last.
    pub(crate) changed_unix_nano: String,
    /// The finding as `hopseal check --format json` writes it.
    #[schema(value_type = Object)]
    pub(crate) finding: Box<RawValue>,
}

/// Facts of findings that name somebody, or a tenant.
const NAMING: [&str; 5] =
    ["resource", "source_address", "tenant_before", "tenant_here", "tenant_of_resource"];

/// A finding as `output::finding` wrote it, without what names somebody. Of its principals the kind and the issuer stay.
///
/// # Errors
/// It is none.
pub(crate) fn without_names(finding: &str) -> serde_json::Result<String> {
    let mut finding: Value = serde_json::from_str(finding)?;
    let principals = finding.get_mut("principals").and_then(Value::as_object_mut);
    for who in principals.into_iter().flat_map(|both| both.values_mut()).filter_map(Value::as_object_mut) {
        who.insert("id".to_owned(), Value::String(String::new()));
        who.insert("tenant".to_owned(), Value::Null);
        let actors = who.get_mut("actors").and_then(Value::as_array_mut);
        for actor in actors.into_iter().flatten().filter_map(Value::as_object_mut) {
            actor.insert("id".to_owned(), Value::String(String::new()));
        }
    }
    if let Some(facts) = finding.get_mut("evidence").and_then(Value::as_object_mut) {
        facts.retain(|name, _| !NAMING.contains(&name.as_str()));
    }
    serde_json::to_string(&finding)
}

/// A finding as `output::finding` wrote it, read back.
#[derive(Debug, Deserialize)]
pub(crate) struct ReadFinding {
    /// 32 hex digits.
    pub(crate) id: String,
    /// What those alike share: 32 hex digits.
    pub(crate) group_id: String,
    /// The rule, by its name.
    pub(crate) rule: String,
    /// `high`, `medium`, `low` or `info`.
    pub(crate) severity: String,
    /// `certain`, `likely` or `hint`.
    pub(crate) confidence: String,
    /// The trace, unless it is about many.
    pub(crate) trace_id: Option<String>,
    /// The hop's entry span, or the span it is about.
    pub(crate) span_id: Option<String>,
    /// The calling service.
    pub(crate) caller: Option<String>,
    /// The service it is about.
    pub(crate) service: String,
    /// The operation it is about.
    pub(crate) operation: String,
    /// The identities it is about.
    pub(crate) principals: ReadPrincipals,
    /// What else could explain it.
    pub(crate) why_not_sure: Vec<String>,
    /// One sentence.
    pub(crate) message: String,
    /// The facts it rests on.
    pub(crate) evidence: BTreeMap<String, String>,
    /// What to do about it.
    pub(crate) fix: String,
}

/// The identities that a finding is about.
#[derive(Debug, Deserialize)]
pub(crate) struct ReadPrincipals {
    /// Before the hop.
    pub(crate) before: Option<ReadPrincipal>,
    /// At the hop.
    pub(crate) here: Option<ReadPrincipal>,
}

/// A principal, read back.
#[derive(Debug, Deserialize)]
pub(crate) struct ReadPrincipal {
    /// The id, or pseudonym, as the span says it.
    pub(crate) id: String,
    /// `user`, `service` or `agent`.
    pub(crate) kind: String,
    /// Who issued the credential.
    pub(crate) issuer: Option<String>,
    /// The tenant.
    pub(crate) tenant: Option<String>,
    /// Who acts for it, outermost first.
    pub(crate) actors: Vec<ReadActor>,
}

/// Who acts for a principal, read back.
#[derive(Debug, Deserialize)]
pub(crate) struct ReadActor {
    /// The id.
    pub(crate) id: String,
    /// `user`, `service` or `agent`.
    pub(crate) kind: String,
}

/// A finding as it is told to those who watch. Names no principal; long texts are cut.
#[derive(Debug, Serialize)]
pub(crate) struct LiveShape<'a> {
    /// 32 hex digits.
    pub(crate) id: String,
    /// The rule, by its name.
    pub(crate) rule: &'a str,
    /// `high`, `medium`, `low` or `info`.
    pub(crate) severity: &'a str,
    /// `certain`, `likely` or `hint`.
    pub(crate) confidence: &'a str,
    /// The calling service.
    pub(crate) caller: Option<&'a str>,
    /// The service it is about.
    pub(crate) service: &'a str,
    /// The operation it is about.
    pub(crate) operation: &'a str,
    /// One sentence.
    pub(crate) message: &'a str,
    /// When the hop began, as ISO 8601 writes it.
    pub(crate) at: Option<String>,
    /// The trace, unless it is about many.
    pub(crate) trace_id: Option<&'a str>,
    /// The hop's entry span, or the span it is about.
    pub(crate) span_id: Option<&'a str>,
}

/// Hops of one caller into one service.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct EdgeShape {
    /// When its step begins, where `minutes` asks for steps: nanoseconds since the Unix epoch, as text.
    pub(crate) at_unix_nano: Option<String>,
    /// The calling service; none for calls from outside.
    pub(crate) caller: Option<String>,
    /// The service called.
    pub(crate) service: String,
    /// How sure, as of a hop.
    #[schema(value_type = String)]
    pub(crate) assurance: Cow<'static, str>,
    /// Why that is believed, as of a hop.
    #[schema(value_type = String)]
    pub(crate) basis: Cow<'static, str>,
    /// How many.
    pub(crate) hops: u64,
    /// Of them, those that failed or were turned away.
    pub(crate) failed: u64,
    /// Of them, those of services that never show an identity.
    pub(crate) uncovered: u64,
}

/// Coverage of some minutes.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct CoverageShape {
    /// When they begin: nanoseconds since the Unix epoch, as text.
    pub(crate) at_unix_nano: String,
    /// All hops.
    pub(crate) hops: u64,
    /// Hops with a principal.
    pub(crate) identified: u64,
    /// Of them, those whose assurance somebody other than the span vouches for.
    pub(crate) proven: u64,
    /// Hops of services that never show an identity.
    pub(crate) uncovered: u64,
}

/// Some hops.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct HopsShape {
    /// The newest first.
    pub(crate) hops: Vec<HopShape>,
    /// To be given as `cursor` for those after them; none where there are no more.
    pub(crate) next: Option<String>,
}

/// Some findings.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct FindingsShape {
    /// The newest first.
    pub(crate) findings: Vec<FindingShape>,
    /// To be given as `cursor` for those after them; none where there are no more.
    pub(crate) next: Option<String>,
}

/// Edges of an interval.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct EdgesShape {
    /// By step, where there are any, caller, service, assurance and basis.
    pub(crate) edges: Vec<EdgeShape>,
    /// To be given as `cursor` for those after them; none where there are no more.
    pub(crate) next: Option<String>,
}

/// Coverage over time.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct CoverageOverTimeShape {
    /// In order of time; minutes without hops are left out.
    pub(crate) points: Vec<CoverageShape>,
    /// To be given as `cursor` for those after them; none where there are no more.
    pub(crate) next: Option<String>,
}

/// Some of those who touched a service.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct TouchedShape {
    /// Who was there last comes first.
    pub(crate) principals: Vec<TouchedByShape>,
    /// To be given as `cursor` for those after them; none where there are no more. There may be more where a page has few.
    pub(crate) next: Option<String>,
}

/// What one principal did at a service, of the time that is asked for.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct TouchedByShape {
    /// Who. Its actors are said by `through`.
    pub(crate) principal: PrincipalShape,
    /// How many hops.
    pub(crate) hops: u64,
    /// Of them, those whose assurance somebody other than the span vouches for.
    pub(crate) proven: u64,
    /// When the first of them began: nanoseconds since the Unix epoch, as text.
    pub(crate) first_unix_nano: String,
    /// When the last of them began.
    pub(crate) last_unix_nano: String,
    /// Through what it came: by caller and actors, the most hops first, at most 100.
    pub(crate) through: Vec<ThroughShape>,
    /// Whether there are more ways than that.
    pub(crate) more_ways: bool,
    /// The last of them.
    pub(crate) last: LastTouchShape,
}

/// A way on which a principal came to a service.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct ThroughShape {
    /// The calling service; none for calls from outside.
    pub(crate) caller: Option<String>,
    /// Who acted for the principal, outermost first.
    pub(crate) actors: Vec<ActorShape>,
    /// How many hops.
    pub(crate) hops: u64,
    /// When the first of them began: nanoseconds since the Unix epoch, as text.
    pub(crate) first_unix_nano: String,
    /// When the last of them began.
    pub(crate) last_unix_nano: String,
}

/// A hop, and how it was come by.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct LastTouchShape {
    /// 32 hex digits.
    pub(crate) trace_id: String,
    /// Its entry span: 16 hex digits.
    pub(crate) span_id: String,
    /// The services of its trace from the first one called to this one, as far as they are known.
    pub(crate) chain: Vec<String>,
}

/// One finding, and what was said of it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OneFindingShape {
    /// The finding.
    pub(crate) finding: FindingShape,
    /// What was said of it, the last first, at most 100 times.
    pub(crate) said: Vec<SaidShape>,
}

/// What somebody said of a finding.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SaidShape {
    /// `open`, `acknowledged`, `resolved` or `suppressed`.
    #[schema(value_type = String)]
    pub(crate) state: Cow<'static, str>,
    /// Why.
    pub(crate) note: String,
    /// Nanoseconds since the Unix epoch, as text.
    pub(crate) at_unix_nano: String,
    /// Who, as they proved it; empty where nobody has to.
    pub(crate) who: String,
}

/// The state that a finding is to have.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StateShape {
    /// `open`, `acknowledged`, `resolved` or `suppressed`.
    pub(crate) state: String,
    /// Why, in at most 2000 letters.
    #[serde(default)]
    pub(crate) note: String,
}

/// Why there is no answer.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProblemShape {
    /// One sentence.
    pub(crate) error: String,
}
