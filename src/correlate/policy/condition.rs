//! Conditions of the user's own, in the Common Expression Language (<https://cel.dev>).
//!
//! A condition sees what a report says of the finding and the hop, and no id of any principal: a suppression is for
//! a kind of call, never for one person.
//!
//! | variable | |
//! |---|---|
//! | `rule`, `severity`, `confidence` | words as in the outputs |
//! | `hop.service`, `hop.namespace`, `hop.environment`, `hop.operation`, `hop.caller` | empty when not known |
//! | `hop.kind` | `entry`, `rpc`, `messaging` |
//! | `hop.outcome` | `succeeded`, `rejected`, `failed`, `unknown` |
//! | `hop.assurance`, `hop.principal_kind` | words as in the outputs; the kind is empty where nobody is named |
//! | `hop.method`, `hop.route` | HTTP method and route template, as the server names it |
//! | `hop.attributes[..]` | `http.route`, `http.request.method`, `http.response.status_code`, `rpc.service`, `rpc.method`, `messaging.destination.name`, `url.scheme`; empty when not sent |
//!
//! A finding over many traces has a service, an operation and maybe a caller; the rest is empty. The path and the
//! user agent are left out: the caller chooses them.

use std::collections::BTreeMap;
use std::sync::Arc;

use cel::{Context, Env, Program, Value};
use serde::Serialize;

use super::Allowance;
use super::date::Date;
use super::error::Place;
use crate::field::Field;
use crate::finding::Finding;
use crate::hop::{Hop, Outcome};
use crate::rule::{Cx, Rule};

/// The attributes that a condition may look at.
const ATTRIBUTES: [(&str, Field); 7] = [
    ("http.route", Field::HttpRoute),
    ("http.request.method", Field::HttpMethod),
    ("http.response.status_code", Field::HttpStatus),
    ("rpc.service", Field::RpcService),
    ("rpc.method", Field::RpcMethod),
    ("messaging.destination.name", Field::MessagingDestination),
    ("url.scheme", Field::UrlScheme),
];

/// The conditions of a policy, compiled once.
#[derive(Clone)]
pub(super) struct Conditions {
    env: Arc<Env>,
    all: Vec<Arc<Condition>>,
}

/// One condition.
struct Condition {
    /// The rule it quiets; every rule when `None`.
    rule: Option<Rule>,
    text: String,
    place: Place,
    program: Program,
    expires: Option<Date>,
}

/// A condition that could not be evaluated for some finding, and quieted nothing there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unevaluated {
    /// Where the policy states it.
    pub at: Place,
    /// Why.
    pub reason: String,
}

impl Default for Conditions {
    fn default() -> Self {
        Self { env: Arc::new(Env::default()), all: Vec::new() }
    }
}

impl std::fmt::Debug for Conditions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let show = |condition: &Arc<Condition>| (condition.rule, condition.text.clone(), condition.expires);
        f.debug_list().entries(self.all.iter().map(show)).finish()
    }
}

impl Conditions {
    /// Compiles one more and tries it on an empty hop, so that a misspelled name is said here. `Err` says what is
    /// wrong.
    pub(super) fn add(
        &mut self,
        rule: Option<Rule>,
        text: &str,
        place: Place,
        expires: Option<Date>,
    ) -> Result<(), String> {
        if self.all.is_empty() {
            self.env = Arc::new(Env::stdlib());
        }
        let program = self.env.compile(text).map_err(|errors| {
            let first = errors.errors.first();
            first.map_or_else(String::new, |error| {
                format!("not CEL: at character {} of the condition: {}", error.pos.1, plain(&error.msg))
            })
        })?;
        let condition = Condition { rule, text: text.to_owned(), place, program, expires };
        let facts = Facts { rule: rule.map_or("", Rule::as_str), ..Facts::default() };
        condition.holds(&self.env, &facts)?;
        self.all.push(Arc::new(condition));
        Ok(())
    }

    /// Whether one of them quiets a finding. What cannot be evaluated quiets nothing and is noted.
    pub(super) fn ask(
        &self,
        finding: &Finding,
        hop: Option<(&Cx<'_>, &Hop<'_>)>,
        notes: &mut Vec<Unevaluated>,
    ) -> Allowance {
        let mut facts = None;
        let asked = self.all.iter().filter(|it| it.rule.is_none_or(|rule| rule == finding.rule));
        let holding = asked.filter(|condition| {
            match condition.holds(&self.env, facts.get_or_insert_with(|| Facts::of(finding, hop))) {
                Ok(holds) => holds,
                Err(reason) => {
                    notes.push(Unevaluated { at: condition.place, reason });
                    false
                }
            }
        });
        Allowance::of(holding.map(|condition| condition.expires), finding.at)
    }
}

impl Condition {
    fn holds(&self, env: &Arc<Env>, facts: &Facts<'_>) -> Result<bool, String> {
        let mut context = Context::with_env(Arc::clone(env));
        let variables =
            [("rule", facts.rule), ("severity", facts.severity), ("confidence", facts.confidence)];
        for (name, word) in variables {
            context.add_variable_from_value(name, word);
        }
        context.add_variable("hop", &facts.hop).map_err(|error| error.to_string())?;
        match self.program.execute(&context) {
            Ok(Value::Bool(holds)) => Ok(holds),
            Ok(other) => Err(format!("a condition is true or false, this one is a {}", other.type_of())),
            Err(error) => Err(plain(&error.to_string())),
        }
    }
}

/// What a condition may look at.
#[derive(Debug, Default)]
struct Facts<'a> {
    rule: &'a str,
    severity: &'a str,
    confidence: &'a str,
    hop: HopFacts<'a>,
}

#[derive(Debug, Serialize)]
struct HopFacts<'a> {
    service: &'a str,
    namespace: &'a str,
    environment: &'a str,
    operation: &'a str,
    caller: &'a str,
    kind: &'a str,
    outcome: &'a str,
    assurance: &'a str,
    principal_kind: &'a str,
    method: &'a str,
    route: &'a str,
    attributes: BTreeMap<&'static str, &'a str>,
}

impl Default for HopFacts<'_> {
    fn default() -> Self {
        Self {
            service: "",
            namespace: "",
            environment: "",
            operation: "",
            caller: "",
            kind: "",
            outcome: "",
            assurance: "",
            principal_kind: "",
            method: "",
            route: "",
            attributes: ATTRIBUTES.iter().map(|(name, _)| (*name, "")).collect(),
        }
    }
}

impl<'a> Facts<'a> {
    fn of(finding: &'a Finding, hop: Option<(&Cx<'a>, &'a Hop<'a>)>) -> Self {
        let told = HopFacts {
            service: &finding.service,
            operation: &finding.operation,
            caller: finding.caller.as_deref().unwrap_or(""),
            ..HopFacts::default()
        };
        Self {
            rule: finding.rule.as_str(),
            severity: finding.severity.as_str(),
            confidence: finding.confidence.as_str(),
            hop: hop.map_or(told, |(cx, hop)| HopFacts::of(cx, hop)),
        }
    }
}

impl<'a> HopFacts<'a> {
    fn of(cx: &Cx<'a>, hop: &'a Hop<'a>) -> Self {
        let entry = cx.entry(hop);
        Self {
            service: hop.service.name,
            namespace: hop.service.namespace,
            environment: hop.service.environment,
            operation: &hop.operation,
            caller: cx.caller(hop).map_or("", |caller| caller.service.name),
            kind: hop.kind.as_str(),
            outcome: match hop.outcome {
                Outcome::Succeeded => "succeeded",
                Outcome::Rejected => "rejected",
                Outcome::Failed => "failed",
                Outcome::Unknown => "unknown",
            },
            assurance: hop.identity.assurance.as_str(),
            principal_kind: hop.identity.principal.as_ref().map_or("", |principal| principal.kind.as_str()),
            method: entry.get(Field::HttpMethod).unwrap_or(""),
            route: entry.get(Field::HttpRoute).unwrap_or(""),
            attributes: ATTRIBUTES
                .iter()
                .map(|(name, field)| (*name, entry.get(*field).unwrap_or("")))
                .collect(),
        }
    }
}

/// The interpreter's words as ours: one line, lower case.
fn plain(text: &str) -> String {
    let line = text.lines().next().unwrap_or("");
    let mut letters = line.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use crate::judge::Verdict;
    use crate::policy::{Policy, PolicyFile};
    use crate::testing::judge;

    const TRACE: &str = "\
shop/web SERVER GET /offers http.route=/offers http.request.method=GET enduser.id=anonymous http.response.status_code=200
shop/web SERVER GET /mine user.id=bob @trace=2";

    fn policy(when: &str, more: &str) -> Policy {
        let yaml = format!(
            "suppress:\n  - rule: never_established\n    when: >-\n      {when}\n    reason: ours\n{more}"
        );
        PolicyFile::parse(&yaml).and_then(|file| file.resolve()).expect("a policy")
    }

    fn quieted(verdict: &Verdict) -> Vec<String> {
        let until = |date: crate::policy::Date| format!(" until {date}");
        verdict
            .suppressed
            .iter()
            .map(|it| format!("{}{}", it.reason.as_str(), it.expires.map_or(String::new(), until)))
            .collect()
    }

    #[test]
    fn what_holds_quiets() {
        for (when, expected) in [
            ("true", true),
            ("false", false),
            ("hop.service == 'web' && hop.route.startsWith('/off')", true),
            ("hop.attributes['http.route'].startsWith('/offers')", true),
            ("hop.attributes['rpc.method'] == ''", true),
            ("hop.namespace == 'shop' && hop.method in ['GET', 'HEAD']", true),
            ("hop.operation.matches('^GET /o[a-z]+$')", true),
            ("rule == 'never_established' && severity == 'medium' && confidence == 'likely'", true),
            ("hop.kind == 'entry' && hop.outcome == 'succeeded' && hop.assurance == 'anonymous'", true),
            ("hop.caller != ''", false),
            ("hop.principal_kind == 'user'", false),
        ] {
            let verdict = judge(TRACE, &policy(when, ""));
            assert_eq!(quieted(&verdict) == ["declared"], expected, "{when}");
            assert_eq!(verdict.findings.len(), usize::from(!expected), "{when}");
        }
    }

    #[test]
    fn a_date_ends_it_and_the_finding_says_so() {
        let until = |day: &str| judge(TRACE, &policy("true", &format!("    expires: {day}\n")));
        assert_eq!(quieted(&until("2026-01-01")), ["declared until 2026-01-01"]);
        let over = until("2025-12-31");
        assert_eq!(over.findings[0].evidence["expired_allowance"], "declared until 2025-12-31");
    }

    #[test]
    fn what_cannot_be_evaluated_quiets_nothing_and_is_said_once() {
        let trace = format!(
            "{TRACE}\nweb SERVER GET /other enduser.id=anonymous @trace=3\nweb SERVER GET /m user.id=bob @trace=4"
        );
        let verdict = judge(&trace, &policy("hop.service == '' || hop.colour == 'red'", ""));
        assert_eq!((quieted(&verdict), verdict.findings.len()), (vec![], 2));
        let notes: Vec<String> =
            verdict.unevaluated.iter().map(|note| format!("{}: {}", note.at, note.reason)).collect();
        assert_eq!(notes, ["line 4, column 7: no such key: colour"]);
    }

    #[test]
    fn a_condition_that_can_never_work_is_an_error_of_the_policy() {
        for (when, expected) in [
            (
                "hop.service ==",
                "line 1, column 19: `hop.service ==`: not CEL: at character 15 of the condition: ",
            ),
            ("hopp.service == ''", "line 1, column 19: `hopp.service == ''`: undeclared reference to 'hopp'"),
            ("hop.user == ''", "line 1, column 19: `hop.user == ''`: no such key: user"),
            (
                "hop.service",
                "line 1, column 19: `hop.service`: a condition is true or false, this one is a string",
            ),
        ] {
            let yaml = format!("suppress: [{{when: \"{when}\", reason: x}}]");
            let error = PolicyFile::parse(&yaml).and_then(|file| file.resolve()).expect_err(when).to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn a_policy_can_be_asked_from_any_thread() {
        fn any_thread<T: Send + Sync>() {}
        any_thread::<Policy>();
    }
}
