//! The faults: one recipe each, and the table of them.
//!
//! A recipe makes requests, spoils them, and writes down each rule that has thereby become true, those that
//! follow from the definition of another included: who drops an identity before a write also makes an anonymous
//! write.

mod agent;
mod change;
mod credential;
mod endpoint;
mod evasion;
mod loss;
mod messaging;
mod telemetry;

use super::fleet::{Needs, Stack};
use super::scene::Scene;

pub(super) use change::replace;
pub(super) use credential::refuse;
pub(super) use messaging::consumer;

/// One way to go wrong.
pub(super) struct Fault {
    /// Its name; that of the rule it is there for, where it is the only recipe of that rule.
    pub(super) name: &'static str,
    /// What fleet it can happen in.
    pub(super) needs: Needs,
    /// Does it.
    pub(super) inject: fn(&mut Scene<'_>),
}

const ANY: Needs = Needs { stack: None, history: 0, agents: false, strict: false, linked: false };
const PLAIN: Needs = Needs { stack: Some(Stack::Plain), ..ANY };
const SEALED: Needs = Needs { stack: Some(Stack::Sealed), ..ANY };
const EXCHANGING: Needs = Needs { stack: Some(Stack::Exchanging), ..ANY };
const LINKED: Needs = Needs { linked: true, ..ANY };
const AGENTS: Needs = Needs { agents: true, ..ANY };

macro_rules! table {
    ($($needs:expr => $module:ident::$name:ident),+ $(,)?) => {
        &[$(Fault { name: stringify!($name), needs: $needs, inject: $module::$name }),+]
    };
}

/// Every fault. A corpus goes through it in order, and begins again.
pub(super) const TABLE: &[Fault] = table![
    ANY => loss::dropped,
    PLAIN => loss::dropped_at_one_hop,
    ANY => loss::never_established,
    ANY => loss::late_establishment,
    ANY => loss::anonymous_write,
    ANY => change::identity_swapped,
    PLAIN => change::user_to_service,
    SEALED => change::user_to_service,
    SEALED => change::cross_tenant,
    SEALED => change::cross_tenant_database,
    SEALED => change::scope_escalation,
    PLAIN => change::role_escalation,
    EXCHANGING => change::chain_broken,
    PLAIN => change::identity_conflict,
    Needs { strict: true, ..SEALED } => credential::unverified_identity,
    SEALED => credential::baggage_tampered,
    SEALED => credential::member_edited,
    SEALED => credential::expired_at_hop,
    SEALED => credential::premature_or_future,
    SEALED => credential::weak_verification,
    SEALED => credential::foreign_audience,
    SEALED => credential::replay_across_traces,
    SEALED => credential::transplanted_identity,
    SEALED => credential::workload_mismatch,
    SEALED => credential::identity_over_plaintext,
    SEALED => credential::refused_but_served,
    ANY => telemetry::identity_leaked_out,
    ANY => telemetry::credential_in_telemetry,
    PLAIN => telemetry::raw_pii_identity,
    ANY => telemetry::blind_hop,
    ANY => telemetry::broken_context,
    ANY => telemetry::audit_gap,
    PLAIN => telemetry::no_validation_edge,
    ANY => messaging::async_identity_gap,
    LINKED => messaging::async_identity_gap,
    LINKED => messaging::fan_in_ambiguity,
    Needs { history: 24, ..PLAIN } => endpoint::unauthenticated_endpoint,
    Needs { history: 12, ..PLAIN } => endpoint::optional_auth_endpoint,
    Needs { history: 40, ..PLAIN } => endpoint::edge_bypass,
    PLAIN => endpoint::session_multi_principal,
    Needs { history: 40, ..PLAIN } => endpoint::coverage_regression,
    AGENTS => agent::agent_without_principal,
    Needs { stack: Some(Stack::Plain), ..AGENTS } => agent::agent_uses_own_authority,
    Needs { stack: Some(Stack::Exchanging), ..AGENTS } => agent::delegation_amplified,
    ANY => evasion::probe_user_agent_on_a_write,
    ANY => evasion::probe_user_agent_on_a_read,
    ANY => evasion::static_suffix_on_a_write,
    PLAIN => evasion::forged_late_span,
];

/// Every rule that some recipe makes true, in order.
pub const RULES: &[&str] = &[
    "agent_uses_own_authority",
    "agent_without_principal",
    "anonymous_write",
    "async_identity_gap",
    "audit_gap",
    "baggage_tampered",
    "blind_hop",
    "broken_context",
    "chain_broken",
    "coverage_regression",
    "credential_in_telemetry",
    "cross_tenant",
    "delegation_amplified",
    "edge_bypass",
    "expired_at_hop",
    "fan_in_ambiguity",
    "identity_conflict",
    "identity_dropped",
    "identity_leaked_out",
    "identity_over_plaintext",
    "identity_swapped",
    "late_establishment",
    "never_established",
    "no_validation_edge",
    "optional_auth_endpoint",
    "premature_or_future",
    "raw_pii_identity",
    "refused_but_served",
    "replay_across_traces",
    "scope_escalation",
    "session_multi_principal",
    "transplanted_identity",
    "unauthenticated_endpoint",
    "unverified_identity",
    "user_to_service",
    "weak_verification",
    "workload_mismatch",
];
