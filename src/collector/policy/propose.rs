//! `hopseal policy propose`: a policy to be reviewed, made from what a report saw.
//!
//! Nothing here is decided for the reviewer. Each entry says how often it was seen and what it would quiet; one that
//! would quiet a high finding stays a comment until somebody takes the `#` away.

mod seen;

use std::io::{self, Write};

use hopseal_correlate::policy::is_route;
use hopseal_correlate::report::Report;
use hopseal_correlate::rule::Rule;

use seen::{Edge, Endpoint, Quieted, Seen, calls};

/// Days that a proposed service principal holds after the last event seen.
const HOLDS_FOR: u32 = 90;
/// Entries of one section; a longer list is not reviewed line by line.
const MAX_ENTRIES: usize = 200;

/// Writes the proposal for what `report` saw. It can be used as a policy as it is.
///
/// # Errors
/// Those of `out`.
pub fn propose(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let seen = Seen::of(report);
    header(report, &seen, out)?;
    public(&seen, out)?;
    health(&seen, out)?;
    service_principals(&seen, out)?;
    trusted_proxies(&seen, out)?;
    conditions(&seen, out)?;
    uncovered(&seen, out)
}

fn header(report: &Report, seen: &Seen, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "# yaml-language-server: $schema=policy.schema.json")?;
    let hops = report.coverage.hops;
    write!(out, "# Proposed from {hops} hops of {} traces", report.traces.len())?;
    match seen.days() {
        Some((first, last)) if first == last => writeln!(out, " of {first}.")?,
        Some((first, last)) => writeln!(out, " from {first} to {last}.")?,
        None => writeln!(out, ".")?,
    }
    writeln!(
        out,
        "# Keep what is meant to be so, delete the rest. Entries that are comments would quiet high findings, or more\n\
         # than was seen: take the `#` away only when you know that they are no fault.\n"
    )
}

/// Routes that nobody was ever identified at.
fn public(seen: &Seen, out: &mut dyn Write) -> io::Result<()> {
    let open = |endpoint: &&Endpoint| {
        !endpoint.is_health() && endpoint.quieted.any() && is_route(&endpoint.operation)
    };
    let entries = seen.endpoints.iter().filter(open).map(|endpoint| {
        let lines = vec![
            format!("service: {}", pattern(&endpoint.service)),
            format!("routes: [{}]", quoted(&endpoint.operation)),
            format!("reason: {}", quoted("")),
        ];
        Entry { why: endpoint.why(), is_wide: endpoint.is_wide(), lines, quieted: endpoint.quieted.clone() }
    });
    section("Routes served without any identity.", "public", entries, out)
}

fn health(seen: &Seen, out: &mut dyn Write) -> io::Result<()> {
    let probed = |endpoint: &&Endpoint| {
        endpoint.is_health() && endpoint.quieted.any() && is_route(&endpoint.operation)
    };
    let entries = seen.endpoints.iter().filter(probed).map(|endpoint| {
        let lines = vec![
            format!("service: {}", pattern(&endpoint.service)),
            format!("routes: [{}]", quoted(&endpoint.operation)),
        ];
        Entry { why: endpoint.why(), is_wide: endpoint.is_wide(), lines, quieted: endpoint.quieted.clone() }
    });
    section("Routes that look like health checks by their name.", "health", entries, out)
}

fn service_principals(seen: &Seen, out: &mut dyn Write) -> io::Result<()> {
    let Some((_, last)) = seen.days() else {
        return writeln!(
            out,
            "# Service principals are not proposed: the spans have no times to end them by.\n"
        );
    };
    let entries = seen.edges.iter().map(|(edge, (hops, quieted))| {
        let Edge { client, caller, service } = edge;
        let mut lines = vec![format!("client: {}", quoted(client))];
        lines.extend(caller.as_ref().map(|caller| format!("caller: {}", pattern(caller))));
        lines.push(format!("service: {}", pattern(service)));
        lines.push(format!("expires: {}", last.plus_days(HOLDS_FOR)));
        let is_wide = std::iter::once(client).chain(caller).chain([service]).any(|name| name.contains('*'));
        let why = format!("acted for itself on {}", calls(*hops));
        Entry { why, is_wide, lines, quieted: quieted.clone() }
    });
    section("Services that acted for themselves.", "service_principals", entries, out)
}

fn trusted_proxies(seen: &Seen, out: &mut dyn Write) -> io::Result<()> {
    if seen.proxies.is_empty() {
        return Ok(());
    }
    writeln!(out, "# Proxies passed on the way. They vouch for nobody until you say by which attributes.")?;
    writeln!(out, "#trusted_proxies:")?;
    for (proxy, hops) in seen.proxies.iter().take(MAX_ENTRIES) {
        writeln!(out, "#  # passed by {}", calls(*hops))?;
        writeln!(out, "#  - service: {}", pattern(proxy))?;
        writeln!(out, "#    attributes: [source.principal]")?;
    }
    writeln!(out)
}

/// Operations that are no routes can only be named by a condition.
fn conditions(seen: &Seen, out: &mut dyn Write) -> io::Result<()> {
    let named = |endpoint: &&Endpoint| endpoint.quieted.any() && !is_route(&endpoint.operation);
    let of_rules = |endpoint: &Endpoint| {
        let when = format!(
            "hop.service == {} && hop.operation == {}",
            quoted(&endpoint.service),
            quoted(&endpoint.operation)
        );
        let (why, when) = (endpoint.why(), quoted(&when));
        let entry = move |(rule, quieted): (Rule, Quieted)| {
            let rule = format!("rule: {}", rule.as_str());
            let lines = vec![rule, format!("when: {when}"), format!("reason: {}", quoted(""))];
            // A condition compares text with text.
            Entry { why: why.clone(), is_wide: false, lines, quieted }
        };
        endpoint.quieted.by_rule().map(entry).collect::<Vec<_>>()
    };
    let entries = seen.endpoints.iter().filter(named).flat_map(of_rules);
    let title = "Operations served without any identity that are no HTTP routes.";
    section(title, "suppress", entries, out)
}

fn uncovered(seen: &Seen, out: &mut dyn Write) -> io::Result<()> {
    if seen.uncovered.is_empty() {
        return Ok(());
    }
    writeln!(out, "# Services that never show an identity. No declaration mends that: instrument them.")?;
    for (service, hops) in seen.uncovered.iter().take(MAX_ENTRIES) {
        writeln!(out, "#   {} ({})", quoted(service), calls(*hops))?;
    }
    Ok(())
}

/// One entry of a list.
struct Entry {
    /// What was seen.
    why: String,
    /// Its keys, one a line.
    lines: Vec<String>,
    /// What it would quiet.
    quieted: Quieted,
    /// Whether a name in it holds a `*`, which would match more than was seen.
    is_wide: bool,
}

impl Entry {
    /// Whether somebody has to take a `#` away before it holds.
    fn is_comment(&self) -> bool {
        self.is_wide || self.quieted.is_grave()
    }
}

/// Writes a list. Entries that would quiet a high finding, or more than was seen, are comments; a list of nothing else is
/// one too.
fn section(
    title: &str,
    key: &str,
    entries: impl Iterator<Item = Entry>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut entries: Vec<Entry> = entries.collect();
    if entries.is_empty() {
        return Ok(());
    }
    let left_out = entries.len().saturating_sub(MAX_ENTRIES);
    entries.truncate(MAX_ENTRIES);
    writeln!(out, "# {title}")?;
    let mark = if entries.iter().all(Entry::is_comment) { "#" } else { "" };
    writeln!(out, "{mark}{key}:")?;
    for entry in &entries {
        let mark = if entry.is_comment() { "#" } else { "" };
        writeln!(out, "{mark}  # {}; would quiet {}", entry.why, entry.quieted)?;
        if entry.is_wide {
            writeln!(out, "{mark}  # CAREFUL: a `*` in a name that was seen matches anything here")?;
        }
        for (line, lead) in entry.lines.iter().zip(["  - "].into_iter().chain(std::iter::repeat("    "))) {
            writeln!(out, "{mark}{lead}{line}")?;
        }
    }
    if left_out > 0 {
        writeln!(out, "# {left_out} more are left out: mend or declare these first.")?;
    }
    writeln!(out)
}

/// Text as YAML and CEL both read it, on one line whatever it holds.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() || !c.is_ascii() => {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    quoted.push_str(&format!("\\u{unit:04x}"));
                }
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// A service as a pattern that matches it: characters with a meaning there match anything.
fn pattern(service: &str) -> String {
    quoted(&service.replace(['/', '@'], "*"))
}

#[cfg(test)]
mod tests;
