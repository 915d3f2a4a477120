//! Telling it: what was done, what was found, and whether that is what was promised.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;

use anstyle::{AnsiColor, Style};
use hopseal_correlate::report::Report;

use super::story::Story;
use crate::check::Exit;
use crate::output;

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();

/// What the collector found that was not promised, and what it did not find that was. One line each.
pub(super) fn broken(story: &Story, report: &Report) -> Vec<String> {
    let mut found: Vec<(&str, &str)> =
        report.findings.iter().map(|finding| (finding.rule.as_str(), finding.service.as_str())).collect();
    let mut broken = Vec::new();
    for (rule, service) in story.promised.iter().map(|(rule, service)| (rule.as_str(), *service)) {
        match found.iter().position(|found| *found == (rule, service)) {
            Some(place) => _ = found.remove(place),
            None => broken.push(format!("`{rule}` at {service} was promised and not found")),
        }
    }
    let beyond = |(rule, service): &(&str, &str)| format!("`{rule}` at {service} was found and not promised");
    broken.extend(found.iter().map(beyond));
    let hops: usize = report.traces.iter().map(|trace| trace.hops.len()).sum();
    if hops != story.hops {
        broken.push(format!("{hops} hops were seen, not {}", story.hops));
    }
    let incomplete = report.traces.iter().filter(|trace| !trace.grade.is_complete());
    broken.extend(incomplete.map(|trace| format!("trace {} is incomplete", trace.trace_id)));
    broken
}

/// Tells, in colour or not.
pub(super) struct Teller<'o> {
    pub(super) out: &'o mut dyn Write,
    pub(super) colour: bool,
    /// Where the API is.
    pub(super) api: SocketAddr,
}

impl Teller<'_> {
    fn styled(&mut self, style: Style, text: &str) -> io::Result<()> {
        let style = if self.colour { style } else { Style::new() };
        writeln!(self.out, "{style}{text}{style:#}")
    }

    /// Who and what there is; where it is kept, if it is.
    pub(super) fn cast(
        &mut self,
        people: &[(&str, String)],
        collector: SocketAddr,
        folder: Option<&Path>,
    ) -> io::Result<()> {
        let (api, out) = (self.api, &mut *self.out);
        writeln!(
            out,
            "Five services call each other over HTTP and a queue, and send their spans to a collector."
        )?;
        writeln!(
            out,
            "Some have faults, of the kind that real services have. This is what the collector finds.\n"
        )?;
        writeln!(out, "  collector      http://{collector} (OTLP)")?;
        writeln!(out, "  pages and API  http://{api}")?;
        if let Some(folder) = folder {
            writeln!(out, "  kept in        {}", folder.display())?;
        }
        writeln!(out, "  on spans, people go by pseudonyms:")?;
        for (person, pseudonym) in people {
            writeln!(out, "    {person:5} is {pseudonym}")?;
        }
        writeln!(out)?;
        out.flush()
    }

    /// What is going to be done.
    pub(super) fn begin(&mut self, number: usize, story: &Story) -> io::Result<()> {
        self.styled(BOLD, &format!("{number}. {}", story.title))?;
        for line in story.done {
            writeln!(self.out, "   {line}")?;
        }
        writeln!(self.out)?;
        self.out.flush()
    }

    /// What was found.
    pub(super) fn end(&mut self, story: &Story, report: &Report) -> io::Result<()> {
        output::traces(report, self.colour, self.out)?;
        let broken = broken(story, report);
        for line in &broken {
            self.styled(BAD, &format!("NOT AS PROMISED: {line}"))?;
        }
        let about = |id| report.findings.iter().any(|finding| finding.trace_id == Some(id));
        let links: Vec<_> =
            report.traces.iter().map(|trace| trace.trace_id).filter(|id| about(*id)).collect();
        for id in &links {
            let link = format!("http://{}/traces/{id}", self.api);
            self.styled(DIM, &link)?;
        }
        if !links.is_empty() || !broken.is_empty() {
            writeln!(self.out)?;
        }
        self.out.flush()
    }

    /// How it went: the exit status is clean only where every story was kept.
    pub(super) fn verdict(&mut self, kept: usize, stories: usize) -> io::Result<Exit> {
        let exit = match stories.saturating_sub(kept) {
            0 => {
                self.styled(GOOD, "Every story found what it promises, and nothing else.")?;
                Exit::Clean
            }
            broken => {
                self.styled(BAD, &format!("{broken} of {stories} stories did not find what they promise."))?;
                Exit::Findings
            }
        };
        self.out.flush()?;
        Ok(exit)
    }

    /// That it goes on.
    pub(super) fn stays(&mut self) -> io::Result<()> {
        let api = self.api;
        writeln!(self.out, "\nIt stays as it is until Ctrl-C. Look around at http://{api}")?;
        writeln!(self.out, "What alice did, and through what: http://{api}/principals?user=alice")?;
        self.out.flush()
    }
}
