//! `hopseal policy explain`: what a rule means and how to quiet it.

use std::io::{self, Write};

use hopseal_correlate::rule::{Needs, Rule, Spec};

/// The policy file as it ships, whose examples are shown.
const SHIPPED: &str = include_str!("../../../collector-config/policy.yaml");

/// Lists every rule on a line of its own.
///
/// # Errors
/// Those of `out`.
pub(super) fn list(out: &mut dyn Write) -> io::Result<()> {
    for rule in Rule::ALL {
        let Spec { number, severity, meaning, .. } = rule.spec();
        writeln!(out, "{number}  {:<7} {:<26} {meaning}", severity.as_str(), rule.as_str())?;
    }
    Ok(())
}

/// Explains one rule.
///
/// # Errors
/// Those of `out`.
pub(super) fn rule(rule: Rule, out: &mut dyn Write) -> io::Result<()> {
    let Spec { number, severity, needs, meaning, fix, quieting, maps, quiet, .. } = rule.spec();
    writeln!(out, "{rule} ({number}), {severity}\n", rule = rule.as_str(), severity = severity.as_str())?;
    let mut entry = |title: &str, text: &str| writeln!(out, "{title}\n{}\n", wrapped(text));
    entry("What it means", meaning)?;
    entry("Evidence it needs", evidence(*needs))?;
    entry("What to do", fix)?;
    entry("How to quiet it", quieting)?;
    if !quiet.is_empty() {
        let ways: Vec<&str> = quiet.iter().map(|quiet| quiet.what()).collect();
        entry("Quieted by itself", &format!("{}.", ways.join("; ")))?;
    }
    entry("Catalogued as", &maps.join(", "))?;
    write!(out, "In the policy file\n{}", indented(&snippet(rule)))
}

/// The part of a policy file that bears on a rule: each key that its text names, and its switch.
fn snippet(rule: Rule) -> String {
    let mut text = String::new();
    for key in keys(rule.spec().quieting) {
        text.push_str(&example(key).unwrap_or_default());
    }
    text.push_str(&format!("rules:\n  {}: {{severity: info}} # or {{enabled: false}}\n", rule.as_str()));
    text
}

/// The policy keys named in a text, in `backticks`, each once; of `agents.autonomous` the first part counts.
fn keys(text: &str) -> Vec<&str> {
    let mut keys = Vec::new();
    for key in text.split('`').skip(1).step_by(2) {
        let key = key.split(['.', ':']).next().unwrap_or(key);
        if key != "rules" && example(key).is_some() && !keys.contains(&key) {
            keys.push(key);
        }
    }
    keys
}

/// The section of the shipped policy under `key`, its examples in use.
fn example(key: &str) -> Option<String> {
    let is_key = |line: &str| line.strip_prefix(key).is_some_and(|rest| rest.starts_with(':'));
    let mut lines = SHIPPED.lines().skip_while(|line| !is_key(line));
    let mut text = in_use(lines.next()?);
    for line in lines
        .take_while(|line| line.starts_with([' ', '#']) && !line.starts_with("# ") || line.starts_with("#  "))
    {
        text.push_str(&in_use(line));
    }
    Some(text)
}

/// A line of the shipped policy with an example taken out of its comment, and room made for one.
fn in_use(line: &str) -> String {
    let line = line.strip_prefix('#').map_or_else(|| line.to_owned(), |rest| rest.to_owned());
    let line = line.strip_suffix(" []").or_else(|| line.strip_suffix(" {}")).unwrap_or(&line);
    format!("{line}\n")
}

const fn evidence(needs: Needs) -> &'static str {
    match needs {
        Needs::Spans => "Standard spans of any language.",
        Needs::Identity => "Standard spans with some identity attribute; which ones count, the dialects say.",
        Needs::Mesh => "Attributes of a mesh, a proxy or a web framework.",
        Needs::Crate => "The attributes that the crate `hopseal` writes.",
    }
}

/// Text in lines of at most 96 columns, indented.
fn wrapped(text: &str) -> String {
    let (mut lines, mut line) = (String::new(), String::from(" "));
    for word in text.split_whitespace() {
        if line.chars().count() + word.chars().count() + 1 > 96 {
            lines.push_str(&line);
            lines.push('\n');
            line = String::from(" ");
        }
        line.push(' ');
        line.push_str(word);
    }
    lines + &line
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use hopseal_correlate::policy::PolicyFile;

    use super::*;

    #[test]
    fn every_snippet_is_a_policy() {
        for rule in Rule::ALL {
            let snippet = snippet(*rule);
            let parsed = PolicyFile::parse(&snippet);
            assert!(parsed.is_ok(), "{}: {}\n{snippet}", rule.as_str(), parsed.unwrap_err());
        }
    }

    #[test]
    fn every_key_that_a_rule_sends_people_to_exists() {
        for rule in Rule::ALL {
            for rest in rule.spec().quieting.split("under `").skip(1) {
                let key = rest.split(['.', '`']).next().unwrap_or("");
                assert!(example(key).is_some(), "{}: there is no policy key `{key}`", rule.as_str());
            }
        }
    }

    #[test]
    fn a_page_for_people() {
        let mut page = Vec::new();
        rule(Rule::IdentityDropped, &mut page).expect("memory");
        insta::assert_snapshot!(String::from_utf8(page).expect("text"));
    }
}
