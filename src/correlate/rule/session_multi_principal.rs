//! F33: one session, two users.

use super::{Check, Needs, Rule, Spec};
use crate::across::{Found, Session, View};
use crate::finding::{Confidence, Finding, Severity, Subject};

pub(super) const SPEC: Spec = Spec {
    number: "F33",
    severity: Severity::Medium,
    needs: Needs::Identity,
    meaning: "Within a window one session id stood beside two users with no login or logout between, or was used by two \
              clients at the same time.",
    fix: "Issue a new session id at each login, bind it to its user, and end it at logout.",
    quieting: "Declare kiosks under `shared_sessions`, or let logouts be seen: a route whose last segment is `logout` or \
               `login`, with the session on its span.",
    maps: &["OWASP API2:2023", "CWE-384", "T1539"],
    quiet: &[],
    check: Check::Across(check),
};

fn check(view: &View<'_>, found: &mut Vec<Found>) {
    for session in &view.sessions {
        if let Some(shared) = session.shared() {
            let mut finding = describe(session)
                .evidence("principals", shared.principals.to_string())
                .evidence("at_once", shared.at_once.to_string())
                .message(format!(
                    "one session of `{}` stood beside {} users",
                    session.service.as_service().name,
                    shared.principals
                ));
            if !shared.at_once {
                finding = finding.unsure(Confidence::Likely, "a shared device whose logout left no span");
            }
            found.push((finding, None));
            continue;
        }
        let clients = session.clients.at_once();
        if clients >= 2 {
            let finding = describe(session)
                .evidence("clients", clients.to_string())
                .unsure(Confidence::Likely, "one person may use two programs that share a session")
                .message(format!(
                    "one session of `{}` was used by {clients} clients at the same time",
                    session.service.as_service().name
                ));
            found.push((finding, None));
        }
    }
}

fn describe(session: &Session) -> Finding {
    let service = session.service.as_service();
    let subject = Subject::Operation { service, operation: &session.operation, window: session.window };
    let mut finding = Finding::new(Rule::SessionMultiPrincipal, subject, &session.digest)
        .evidence("example_trace", session.first.trace_id.to_string())
        .evidence("example_span", session.first.span_id.to_string());
    service.name.clone_into(&mut finding.service);
    finding.operation.clone_from(&session.operation);
    finding.at = session.first.at;
    finding.series = Some(session.series);
    finding
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::found_across;

    /// Hops of `gw` under one session: attributes and start, each in a trace of its own.
    fn session(hops: &[(&str, u64)]) -> Vec<String> {
        let lines = hops.iter().enumerate().map(|(trace, (attributes, at))| {
            format!("gw SERVER GET / session.id=s1 {attributes} @start={at} @trace={}\n", trace + 1)
        });
        found_across(Rule::SessionMultiPrincipal, &lines.collect::<String>())
    }

    #[test]
    fn table() {
        for (name, hops, expected) in [
            (
                "taking turns",
                &[("user.id=al", 1), ("user.id=bo", 2), ("user.id=al", 3)][..],
                &["GET /: medium certain"][..],
            ),
            ("one after the other", &[("user.id=al", 1), ("user.id=bo", 2)], &["GET /: medium likely"]),
            ("a login between", &[("user.id=al", 1), ("url.path=/login", 2), ("user.id=bo", 3)], &[]),
            ("a logout between", &[("user.id=al", 1), ("url.path=/a/logout", 2), ("user.id=bo", 3)], &[]),
            ("one user", &[("user.id=al", 1), ("user.id=al", 2)], &[]),
            ("one user by two keys", &[("user.id=al", 1), ("enduser.id=u-1", 2)], &[]),
            ("a user and an app", &[("user.id=al", 1), ("oauth.client_id=app", 2)], &[]),
            ("another window", &[("user.id=al", 1), ("user.id=bo", 4_000_000)], &[]),
            (
                "two clients at once",
                &[
                    ("user.id=al client.address=1.1.1.1 user_agent.original=Phone/1", 1),
                    ("user.id=al client.address=2.2.2.2 user_agent.original=curl/8", 2),
                    ("user.id=al client.address=1.1.1.1 user_agent.original=Phone/1", 3),
                    ("user.id=al client.address=2.2.2.2 user_agent.original=curl/8", 4),
                ],
                &["GET /: medium likely"],
            ),
        ] {
            assert_eq!(session(hops), expected, "{name}");
        }
    }

    #[test]
    fn no_id_is_no_session() {
        let text = "gw SERVER GET / session.id=null user.id=al @trace=1\ngw SERVER GET / session.id=null user.id=bo @start=2 @trace=2";
        assert_eq!(found_across(Rule::SessionMultiPrincipal, text), [""; 0]);
    }
}
