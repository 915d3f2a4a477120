//! `hopseal top`: what a service sees, as it comes, in a terminal; and once, where there is none.
//!
//! ```text
//! client (query API) -> seen -> view -> terminal, or lines
//! ```

mod seen;
mod view;

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::time::Duration;

use clap::Args;
use hopseal_correlate::policy::nanos;
use ratatui::DefaultTerminal;
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::layout::Rect;
use ratatui::widgets::Widget as _;

use self::seen::Seen;
use self::view::View;
use crate::check::Exit;
use crate::client::{AskError, Proofs, Service};
use crate::output::read::{ReadCoverages, ReadEdges, ReadFindings};
use crate::serve::clock::{Clock as _, SystemClock, nanos as nanos_of};

/// How often it is looked whether there is an answer.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Findings that are asked for.
const FINDINGS: &str = "50";
/// Columns of what is written where there is no terminal.
const COLUMNS: u16 = 120;

/// `hopseal top`.
#[derive(Debug, Args)]
pub(crate) struct TopArgs {
    /// Where the API of the service is.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8317")]
    url: String,
    #[command(flatten)]
    proofs: Proofs,
    /// How far back is counted: 2m to 24h.
    #[arg(long, value_name = "TIME", default_value = "15m", value_parser = period)]
    period: Duration,
    /// How often it is asked.
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = every)]
    every: Duration,
    /// Prints what there is, and ends; as where there is no terminal.
    #[arg(long)]
    once: bool,
    /// Whether there is a terminal.
    #[arg(skip)]
    pub(crate) terminal: bool,
}

fn period(text: &str) -> Result<Duration, String> {
    let period = nanos(text).map(Duration::from_nanos);
    let fits = |period: &Duration| (120..=86_400).contains(&period.as_secs());
    period.filter(fits).ok_or_else(|| "write a time from 2m to 24h, such as 15m".to_owned())
}

fn every(text: &str) -> Result<Duration, String> {
    let every = nanos(text).map(Duration::from_nanos);
    let fits = |every: &Duration| (Duration::from_millis(500)..=Duration::from_secs(3600)).contains(every);
    every.filter(fits).ok_or_else(|| "write a time from 500ms to 1h, such as 2s".to_owned())
}

/// Nothing can be shown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum TopError {
    /// The service cannot be asked.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// The terminal does not do what it is asked, or nobody reads.
    #[error("cannot show it")]
    Show(#[source] io::Error),
}

impl TopError {
    /// The exit status: an address or token that cannot be used, or what cannot be shown, is 2, a service that does not answer is 3.
    pub(crate) const fn exit(&self) -> Exit {
        match self {
            Self::Ask(error) => error.exit(),
            Self::Show(_) => Exit::Usage,
        }
    }

    /// Whether whoever reads it has closed the pipe: they have what they wanted.
    pub(crate) fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Show(source) if source.kind() == io::ErrorKind::BrokenPipe)
    }
}

/// Shows what there is: again and again in a terminal, else once.
///
/// # Errors
/// [`TopError`].
pub(crate) fn run(args: &TopArgs, out: &mut dyn Write) -> Result<(), TopError> {
    let service = Service::new(&args.url, &args.proofs)?;
    if args.once || !args.terminal {
        let seen = ask(&service, SystemClock.now(), args.period)?;
        return write(&View::new(&args.url, args.period, &seen), out).map_err(TopError::Show);
    }
    let (tell, told) = sync_channel(0);
    let (period, every) = (args.period, args.every);
    // It ends once nobody hears it, or with the process: no key waits for an answer.
    let asking = move || {
        while tell.send(ask(&service, SystemClock.now(), period)).is_ok() {
            std::thread::sleep(every);
        }
    };
    std::thread::Builder::new().name("ask".to_owned()).spawn(asking).map_err(TopError::Show)?;
    let mut terminal = ratatui::try_init().map_err(TopError::Show)?;
    let shown = show(&mut terminal, args, &told).map_err(TopError::Show);
    let restored = ratatui::try_restore().map_err(TopError::Show);
    shown.and(restored)
}

/// What there is of the last so much time.
fn ask(service: &Service, now: u64, period: Duration) -> Result<Seen, AskError> {
    let from = now.saturating_sub(nanos_of(period)).to_string();
    let edges: ReadEdges = service.get("edges", &[("from_unix_nano", &from)])?;
    let points: ReadCoverages = service.get("coverage", &[("from_unix_nano", &from)])?;
    let findings: ReadFindings = service.get("findings", &[("state", "open"), ("limit", FINDINGS)])?;
    Ok(Seen::of(edges.edges, &points.points, findings.findings, now, period))
}

/// Shows what is told, until somebody wants it to end.
fn show(
    terminal: &mut DefaultTerminal,
    args: &TopArgs,
    told: &Receiver<Result<Seen, AskError>>,
) -> io::Result<()> {
    let (mut seen, mut wrong) = (Seen::default(), None);
    let mut is_new = true;
    loop {
        match told.try_recv() {
            Ok(Ok(now)) => (seen, wrong, is_new) = (now, None, true),
            Ok(Err(error)) => (wrong, is_new) = (Some(error.to_string()), true),
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => return Err(io::Error::other("nobody asks any more")),
        }
        if std::mem::take(&mut is_new) {
            let view = View::new(&args.url, args.period, &seen).or_wrong(wrong.as_deref());
            terminal.draw(|frame| frame.render_widget(&view, frame.area()))?;
        }
        if !event::poll(LOOK_EVERY)? {
            continue;
        }
        match event::read()? {
            Event::Key(key) if is_end(key) => return Ok(()),
            // Drawn anew, at its size.
            Event::Resize(..) => is_new = true,
            _ => {}
        }
    }
}

/// Whether that key ends it.
fn is_end(key: KeyEvent) -> bool {
    let ends = match key.code {
        KeyCode::Char('q') | KeyCode::Esc => true,
        KeyCode::Char('c') => key.modifiers.contains(KeyModifiers::CONTROL),
        _ => false,
    };
    ends && key.kind != KeyEventKind::Release
}

/// The same as lines.
fn write(view: &View<'_>, out: &mut dyn Write) -> io::Result<()> {
    let area = Rect::new(0, 0, COLUMNS, view.height());
    let mut buffer = Buffer::empty(area);
    view.render(area, &mut buffer);
    for row in buffer.content.chunks(usize::from(COLUMNS)) {
        let line: String = row.iter().map(ratatui::buffer::Cell::symbol).collect();
        writeln!(out, "{}", line.trim_end())?;
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;
    use crate::output::read::{ReadCoverage, ReadEdge, ReadFindings};

    /// 2026-01-01T12:00:00Z.
    const NOON: u64 = 1_767_268_800_000_000_000;
    const MINUTES: Duration = Duration::from_secs(900);

    fn seen() -> Seen {
        let edge = |service: &str, assurance: &str, basis: &str, hops: u64| ReadEdge {
            service: service.to_owned(),
            assurance: assurance.to_owned(),
            basis: basis.to_owned(),
            hops,
        };
        let edges = vec![
            edge("gateway", "verified", "authenticated_sender", 900),
            edge("gateway", "refused", "claimed", 12),
            edge("orders", "sealed", "reverified", 700),
            edge("orders", "anonymous", "claimed", 40),
            edge("payments\u{1b}[31m", "unknown", "claimed", 60),
        ];
        let point = |minute: u64, hops: u64, identified: u64, proven: u64| ReadCoverage {
            at_unix_nano: (NOON + minute * 60_000_000_000).to_string(),
            hops,
            identified,
            proven,
        };
        let points = vec![point(0, 100, 90, 80), point(3, 600, 600, 540), point(14, 120, 60, 30)];
        let finding = |rule: &str, severity: &str, minute: u64| {
            format!(
                r#"{{"state":"open","note":"","at_unix_nano":"{}","raised_unix_nano":"0","changed_unix_nano":"0","finding":
                {{"id":"01","group_id":"02","rule":"{rule}","severity":"{severity}","confidence":"certain","trace_id":null,
                "span_id":null,"caller":"gateway","service":"orders","operation":"POST /orders",
                "principals":{{"before":null,"here":null}},"why_not_sure":[],
                "message":"`gateway` knew who it was, and `orders` was not told","evidence":{{}},"fix":""}}}}"#,
                NOON + minute * 60_000_000_000
            )
        };
        let findings = [finding("identity_dropped", "high", 14), finding("audit_gap", "info", 2)].join(",");
        let findings: ReadFindings =
            serde_json::from_str(&format!(r#"{{"findings":[{findings}],"next":null}}"#)).expect("findings");
        Seen::of(edges, &points, findings.findings, NOON + 15 * 60_000_000_000, MINUTES)
    }

    /// Guarantees: services by assurance, findings newest first, rate and coverage; what a service calls itself drives no terminal.
    #[test]
    fn what_a_terminal_shows() {
        let seen = seen();
        let view = View::new("http://127.0.0.1:8317", MINUTES, &seen);
        let mut terminal = Terminal::new(TestBackend::new(110, 18)).expect("a terminal");
        terminal.draw(|frame| frame.render_widget(&view, frame.area())).expect("drawn");
        insta::assert_snapshot!("terminal", terminal.backend());
        assert!(!terminal.backend().to_string().contains('\u{1b}'));
        let view = view.or_wrong(Some("it does not answer"));
        for (width, height) in [(40, 6), (20, 3), (1, 1), (200, 60)] {
            let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
            terminal.draw(|frame| frame.render_widget(&view, frame.area())).expect("drawn");
        }
    }

    #[test]
    fn what_is_written_without_one() {
        let (seen, mut out) = (seen(), Vec::new());
        write(&View::new("http://127.0.0.1:8317", MINUTES, &seen), &mut out).expect("written");
        insta::assert_snapshot!("lines", String::from_utf8(out).expect("text"));
        let mut out = Vec::new();
        write(&View::new("http://127.0.0.1:8317", MINUTES, &Seen::default()), &mut out).expect("written");
        insta::assert_snapshot!("nothing", String::from_utf8(out).expect("text"));
    }

    #[test]
    fn keys_that_end_it() {
        for (code, modifiers, ends) in [
            (KeyCode::Char('q'), KeyModifiers::NONE, true),
            (KeyCode::Esc, KeyModifiers::NONE, true),
            (KeyCode::Char('c'), KeyModifiers::CONTROL, true),
            (KeyCode::Char('c'), KeyModifiers::NONE, false),
            (KeyCode::Char('x'), KeyModifiers::NONE, false),
            (KeyCode::Enter, KeyModifiers::NONE, false),
        ] {
            assert_eq!(is_end(KeyEvent::new(code, modifiers)), ends, "{code:?}");
            let released = KeyEvent::new_with_kind(code, modifiers, KeyEventKind::Release);
            assert!(!is_end(released), "{code:?}");
        }
    }

    #[test]
    fn times_that_can_be_asked_for() {
        for (text, fits) in
            [("15m", true), ("2m", true), ("24h", true), ("1m", false), ("2d", false), ("", false)]
        {
            assert_eq!(period(text).is_ok(), fits, "{text}");
        }
        for (text, fits) in [("2s", true), ("500ms", true), ("1h", true), ("1ms", false), ("2h", false)] {
            assert_eq!(every(text).is_ok(), fits, "{text}");
        }
    }
}
