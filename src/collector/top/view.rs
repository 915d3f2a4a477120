//! What is shown, drawn: numbers, services by assurance, findings.

use std::time::Duration;

use hopseal_identity::Assurance;
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Cell, Paragraph, Row, Sparkline, Table, Widget};

use super::seen::{Seen, ServiceSeen};
use crate::output::{clean, iso};

const DIM: Style = Style::new().add_modifier(Modifier::DIM);
const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);

/// One picture.
pub(super) struct View<'s> {
    url: &'s str,
    period: Duration,
    seen: &'s Seen,
    /// Why it is not of now.
    wrong: Option<&'s str>,
}

impl<'s> View<'s> {
    pub(super) const fn new(url: &'s str, period: Duration, seen: &'s Seen) -> Self {
        Self { url, period, seen, wrong: None }
    }

    /// Of before, since it cannot be asked now.
    pub(super) fn or_wrong(mut self, wrong: Option<&'s str>) -> Self {
        self.wrong = wrong;
        self
    }

    /// Lines that all of it takes.
    pub(super) fn height(&self) -> u16 {
        let lines = 8 + self.seen.services.len().max(1) + self.seen.findings.len().max(1);
        u16::try_from(lines).unwrap_or(u16::MAX)
    }
}

impl Widget for &View<'_> {
    fn render(self, area: Rect, buffer: &mut Buffer) {
        // Services have what they need, up to a half, and findings the rest.
        let services = u16::try_from(self.seen.services.len().max(1)).unwrap_or(u16::MAX).saturating_add(2);
        let findings = u16::try_from(self.seen.findings.len().max(1)).unwrap_or(u16::MAX).saturating_add(2);
        let left = area.height.saturating_sub(4);
        let services = services.min((left / 2).max(left.saturating_sub(findings)));
        let rows = [
            Constraint::Length(1),
            Constraint::Length(1),
            Constraint::Length(1),
            Constraint::Length(services),
            Constraint::Fill(1),
            Constraint::Length(1),
        ];
        let [title, numbers, line, services, findings, end] = Layout::vertical(rows).areas(area);
        self.title().render(title, buffer);
        self.numbers().render(numbers, buffer);
        self.line(line, buffer);
        self.services().render(services, buffer);
        self.findings().render(findings, buffer);
        self.end().render(end, buffer);
    }
}

/// A part of a whole, as people write it.
fn percent(part: u64, whole: u64) -> String {
    match whole {
        0 => "-".to_owned(),
        // Exact up to 2^53.
        _ => format!("{:.1} %", part as f64 * 100.0 / whole as f64),
    }
}

const fn colour(assurance: Assurance) -> Color {
    match assurance {
        Assurance::Verified => Color::Green,
        Assurance::Sealed => Color::Cyan,
        Assurance::Asserted => Color::Yellow,
        Assurance::Refused => Color::Red,
        Assurance::Anonymous => Color::Magenta,
        Assurance::Unknown => Color::DarkGray,
    }
}

impl View<'_> {
    fn title(&self) -> Line<'static> {
        let minutes = self.period.as_secs() / 60;
        let period =
            if minutes.is_multiple_of(60) { format!("{} h", minutes / 60) } else { format!("{minutes} min") };
        Line::from(vec![
            Span::styled("hopseal", BOLD),
            Span::raw(format!("  {}  last {period}", clean(self.url))),
        ])
    }

    fn numbers(&self) -> Line<'static> {
        let seen = self.seen;
        let open = seen.findings.len();
        Line::from(format!(
            "{:.1} hops/s   {} hops   coverage {}   proven {}   {open} open findings shown",
            seen.rate(),
            seen.hops,
            percent(seen.identified, seen.hops),
            percent(seen.proven, seen.hops),
        ))
    }

    /// Hops by the minute, the last at the right.
    fn line(&self, area: Rect, buffer: &mut Buffer) {
        let [name, line] = Layout::horizontal([Constraint::Length(10), Constraint::Fill(1)]).areas(area);
        Line::styled("hops/min", DIM).render(name, buffer);
        let room = usize::from(line.width);
        let shown = self.seen.minutes.get(self.seen.minutes.len().saturating_sub(room)..).unwrap_or_default();
        Sparkline::default().data(shown).style(Style::new().fg(Color::Cyan)).render(line, buffer);
    }

    fn services(&self) -> Table<'static> {
        let head = ["service", "hops"].into_iter().chain(Assurance::ALL.iter().map(|word| word.as_str()));
        let head = head.chain(["coverage", "proven"]);
        let cell = |(place, name): (usize, &'static str)| match place {
            0 => Cell::from(name),
            _ => Cell::from(Line::from(name).right_aligned()),
        };
        let head = Row::new(head.enumerate().map(cell)).style(BOLD).top_margin(1);
        let mut widths = vec![Constraint::Fill(1), Constraint::Length(9)];
        widths.extend(Assurance::ALL.map(|_| Constraint::Length(9)));
        widths.extend([Constraint::Length(8), Constraint::Length(8)]);
        let rows: Vec<Row<'static>> = match self.seen.services.as_slice() {
            [] => vec![Row::new(["no hops"]).style(DIM)],
            services => services.iter().map(service).collect(),
        };
        Table::new(rows, widths).header(head)
    }

    fn findings(&self) -> Table<'static> {
        let widths =
            [Constraint::Length(14), Constraint::Length(8), Constraint::Length(26), Constraint::Length(20)];
        let widths = widths.into_iter().chain([Constraint::Fill(1)]);
        let rows: Vec<Row<'static>> = match self.seen.findings.as_slice() {
            [] => vec![Row::new(["", "", "no open findings"]).style(DIM)],
            findings => findings
                .iter()
                .map(|stated| {
                    let finding = &stated.finding;
                    let at = iso(stated.at_unix_nano.parse().unwrap_or(0), 0);
                    let style = match finding.severity.as_str() {
                        "high" => Style::new().fg(Color::Red).add_modifier(Modifier::BOLD),
                        "medium" => Style::new().fg(Color::Yellow),
                        _ => DIM,
                    };
                    Row::new([
                        // Without the year.
                        Cell::from(at.get(5..19).unwrap_or_default().replace('T', " ")),
                        Cell::from(clean(&finding.severity)).style(style),
                        Cell::from(clean(&finding.rule)),
                        Cell::from(clean(&finding.service)),
                        Cell::from(clean(&finding.message)),
                    ])
                })
                .collect(),
        };
        let head = Row::new(["began", "severity", "rule", "service", "what"].map(Cell::from)).style(BOLD);
        let head = head.top_margin(1);
        Table::new(rows, widths).header(head)
    }

    fn end(&self) -> Paragraph<'static> {
        Paragraph::new(match self.wrong {
            Some(wrong) => Line::styled(format!("not of now: {}", clean(wrong)), Style::new().fg(Color::Red)),
            None => Line::styled("times are UTC; q ends", DIM),
        })
    }
}

fn service(service: &ServiceSeen) -> Row<'static> {
    let mut cells = vec![
        Cell::from(clean(&service.name)),
        Cell::from(Line::from(service.hops.to_string()).right_aligned()),
    ];
    for (assurance, hops) in Assurance::ALL.into_iter().zip(service.by_assurance) {
        let style = if hops == 0 { DIM } else { Style::new().fg(colour(assurance)) };
        cells.push(Cell::from(Line::styled(hops.to_string(), style).right_aligned()));
    }
    for part in [service.identified(), service.proven] {
        cells.push(Cell::from(Line::from(percent(part, service.hops)).right_aligned()));
    }
    Row::new(cells)
}
