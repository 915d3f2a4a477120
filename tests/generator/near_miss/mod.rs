//! What looks like a fault and is none: the false positives that every rule has to keep silent about.

mod agent;
mod credential;
mod endpoint;
mod evidence;
mod identity;
mod messaging;

use super::fleet::Stack;
use super::scene::Scene;

/// Traces of every hundred of a fleet that hold a near miss, at least.
const SHARE: usize = 36;

/// Names of rules.
type Rules = &'static [&'static str];

/// One innocent oddity.
struct NearMiss {
    /// Its name.
    name: &'static str,
    /// Where it can happen.
    place: Place,
    /// The rules that must not speak.
    guards: Rules,
    /// Makes it happen, in requests of its own.
    happen: fn(&mut Scene<'_>, Rules),
}

/// The fleets that an oddity can happen in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Any with the four services of the trunk, and no agents among them.
    Trunk,
    /// Any at all.
    Anywhere,
    /// Services without the crate.
    Plain,
    /// Services with the crate.
    Crate,
    /// Services with the crate that pass one token through.
    Sealed,
    /// Services with the crate that exchange it at every hop.
    Exchanging,
    /// Services that the policy asks for verified identities.
    Strict,
    /// Services without the crate, one of which never shows an identity.
    Uncovered,
    /// Agents.
    Agents,
    /// Agents that exchange the token at every hop.
    Delegating,
}

impl Place {
    /// Whether few fleets are such: there, what can happen nowhere else happens first.
    fn is_rare(self) -> bool {
        matches!(self, Self::Strict | Self::Delegating)
    }
}

macro_rules! table {
    ($($place:ident => $module:ident::$name:ident guards $($guard:ident),+;)+) => {
        &[$(NearMiss {
            name: stringify!($name),
            place: Place::$place,
            guards: &[$(stringify!($guard)),+],
            happen: $module::$name,
        }),+]
    };
}

/// Every near miss.
const TABLE: &[NearMiss] = table![
    Anywhere => endpoint::health_check guards never_established, unauthenticated_endpoint, optional_auth_endpoint;
    Anywhere => endpoint::metrics_scrape guards never_established, unauthenticated_endpoint;
    Anywhere => endpoint::login guards never_established, unauthenticated_endpoint;
    Anywhere => endpoint::oauth_callback guards never_established;
    Anywhere => endpoint::preflight guards never_established, optional_auth_endpoint;
    Anywhere => endpoint::robots guards never_established;
    Anywhere => endpoint::key_set guards never_established, unauthenticated_endpoint;
    Anywhere => endpoint::sign_up guards anonymous_write, never_established;
    Anywhere => endpoint::open_write guards anonymous_write;
    Anywhere => endpoint::turned_away guards never_established, optional_auth_endpoint;
    Anywhere => endpoint::public_page guards never_established, optional_auth_endpoint, unauthenticated_endpoint;
    Plain => endpoint::probe_past_the_gateway guards edge_bypass, never_established, unauthenticated_endpoint;
    Plain => endpoint::job_past_the_gateway guards edge_bypass, no_validation_edge;
    Plain => endpoint::other_traffic_after_release guards coverage_regression;
    Trunk => endpoint::static_file guards identity_dropped, never_established, unauthenticated_endpoint;
    Trunk => endpoint::turned_away_inside guards identity_dropped, optional_auth_endpoint;
    Trunk => endpoint::second_try guards identity_dropped, optional_auth_endpoint;
    Plain => identity::same_value_in_two_keys guards identity_conflict;
    Plain => identity::customer_is_no_actor guards identity_conflict, identity_swapped;
    Trunk => identity::database_user guards identity_conflict, user_to_service;
    Trunk => identity::linked_account guards identity_swapped;
    Sealed => identity::acting_support guards identity_swapped, cross_tenant;
    Trunk => identity::client_all_the_way guards user_to_service, never_established;
    Trunk => identity::allowed_client guards user_to_service;
    Sealed => identity::platform_tenant guards cross_tenant;
    Crate => identity::database_of_the_tenant guards cross_tenant;
    Plain => identity::session_of_one guards session_multi_principal;
    Plain => identity::next_after_logout guards session_multi_principal;
    Sealed => identity::downscoped guards scope_escalation;
    Sealed => identity::stepped_up guards scope_escalation;
    Sealed => identity::scopes_of_a_client guards scope_escalation, user_to_service;
    Plain => identity::service_mailbox guards raw_pii_identity;
    Plain => identity::validated_by_framework guards no_validation_edge;
    Crate => identity::validated_offline guards no_validation_edge;
    Trunk => identity::blind_gateway guards late_establishment, never_established;
    Exchanging => credential::token_passed_on guards chain_broken;
    Exchanging => credential::actor_by_client_id guards chain_broken;
    Exchanging => credential::exchanged_across_domains guards chain_broken;
    Strict => credential::verified_by_mesh guards unverified_identity;
    Crate => credential::keys_overlap guards weak_verification, baggage_tampered;
    Crate => credential::many_audiences guards weak_verification;
    Crate => credential::just_expired guards expired_at_hop;
    Crate => credential::expired_and_turned_away guards expired_at_hop, refused_but_served, identity_dropped;
    Crate => credential::one_time_retried guards replay_across_traces;
    Crate => credential::bearer_reused guards replay_across_traces;
    Sealed => credential::shared_account guards workload_mismatch;
    Sealed => credential::loopback guards identity_over_plaintext;
    Sealed => credential::tls_ended_before guards identity_over_plaintext;
    Sealed => credential::in_mesh guards identity_over_plaintext;
    Sealed => credential::sealed_anew guards baggage_tampered, premature_or_future;
    Trunk => evidence::hashes_and_ids guards credential_in_telemetry;
    Trunk => evidence::masked_token guards credential_in_telemetry;
    Trunk => evidence::unsampled_callee guards blind_hop, identity_dropped;
    Trunk => evidence::job_during_a_call guards broken_context, never_established;
    Trunk => evidence::third_party guards blind_hop, identity_leaked_out;
    Trunk => evidence::declared_partner guards identity_leaked_out;
    Trunk => evidence::baggage_inside guards identity_leaked_out;
    Trunk => evidence::twice_instrumented guards identity_dropped;
    Uncovered => evidence::forged_capability guards identity_dropped, anonymous_write;
    Trunk => messaging::batch_of_one_person guards fan_in_ambiguity;
    Trunk => messaging::digest guards fan_in_ambiguity;
    Trunk => messaging::system_topic guards async_identity_gap, identity_dropped;
    Crate => messaging::linked_restart guards transplanted_identity;
    Sealed => messaging::restarted_at_the_edge guards transplanted_identity, replay_across_traces;
    Agents => agent::agent_for_user guards agent_without_principal, agent_uses_own_authority;
    Agents => agent::autonomous_agent guards agent_without_principal;
    Delegating => identity::consent guards delegation_amplified, scope_escalation;
    Agents => agent::owned_tool guards agent_uses_own_authority, user_to_service;
];

/// Lets near misses happen until the fleet has its share of them.
pub(super) fn scatter(scene: &mut Scene<'_>) {
    let fitting: Vec<&NearMiss> = TABLE.iter().filter(|near_miss| near_miss.fits(scene)).collect();
    let rare: Vec<&NearMiss> =
        fitting.iter().filter(|near_miss| near_miss.place.is_rare()).copied().collect();
    let short: Vec<&NearMiss> = TABLE.iter().filter(|near_miss| near_miss.place == Place::Anywhere).collect();
    for round in 0.. {
        let (traces, near) = scene.counts();
        if near * 100 >= traces * SHARE {
            return;
        }
        // A request through a large graph may start many traces and holds one near miss: in the end, those that
        // are one trace long make up the share.
        let near_miss = match rare.get(round) {
            Some(near_miss) => *near_miss,
            None => *scene.dice.pick(if round < fitting.len() { &fitting } else { &short }),
        };
        scene.recipe = near_miss.name;
        (near_miss.happen)(scene, near_miss.guards);
    }
}

/// The names of all near misses of the table.
#[cfg(test)]
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|near_miss| near_miss.name)
}

impl NearMiss {
    fn fits(&self, scene: &Scene<'_>) -> bool {
        let fleet = &scene.fleet;
        let trunk = fleet.services.len() >= 4 && !fleet.agents;
        match self.place {
            Place::Anywhere => true,
            Place::Trunk => trunk,
            Place::Plain => trunk && fleet.stack == Stack::Plain,
            Place::Crate => trunk && fleet.has_crate(),
            Place::Sealed => trunk && fleet.stack == Stack::Sealed,
            Place::Exchanging => trunk && fleet.stack == Stack::Exchanging,
            Place::Strict => trunk && fleet.name.starts_with("strict"),
            Place::Uncovered => trunk && fleet.stack == Stack::Plain && fleet.uncovered().is_some(),
            Place::Agents => fleet.agents,
            Place::Delegating => fleet.agents && fleet.stack == Stack::Exchanging,
        }
    }
}
