//! Sinks for tests: one that keeps what it is told in a shape that can be compared and read.

use std::fmt::Write as _;

use hopseal_correlate::sink::{Link, Position, Sink, SpanHead, Status, Value};

/// What `element` says of `json` at the start of a file.
pub(crate) fn record(element: impl Fn(&[u8], Position, &mut Record), json: &[u8]) -> String {
    let mut record = Record::default();
    element(json, Position::Byte(0), &mut record);
    record.text()
}

/// What [`record`] gives, in one line for a table: ids without their zeros in front, and those of span 2 of
/// trace 1 left out.
pub(crate) fn line(element: impl Fn(&[u8], Position, &mut Record), json: &str) -> String {
    let said = record(element, json.as_bytes());
    let said = said.replace("000000000000000000000000000000", "").replace("00000000000000", "");
    let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| *line != "resource").collect();
    lines.join(" ").replace("span 01 02 ", "")
}

/// A file that is too big to be kept here, in the folder that a variable names. `None` where the variable is not set, which is
/// said on the terminal though the test passes; a folder that is named has to be there.
fn published(variable: &str, name: &str) -> Option<std::path::PathBuf> {
    use std::io::Write as _;

    let Some(folder) = std::env::var_os(variable).map(std::path::PathBuf::from) else {
        // Not by `eprintln!`, which is not seen of tests that pass.
        let test = std::thread::current().name().unwrap_or("a test").to_owned();
        let _ =
            writeln!(std::io::stderr(), "SKIPPED {test}: {variable} does not name the folder of `{name}`");
        return None;
    };
    assert!(folder.is_dir(), "{variable} names {}, which is no folder", folder.display());
    Some(folder.join(name))
}

/// The file `name` among the real traces, if `HOPSEAL_TRACES` names their folder.
pub(crate) fn real_trace(name: &str) -> Option<Vec<u8>> {
    let path = published("HOPSEAL_TRACES", name)?;
    Some(std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}

/// Everything a parser said, one line a call, indented: `assert_eq!` or a snapshot shows it as it is.
///
/// ```text
/// resource
///   service.name = "cart"
///   span 5b8e.. eee1.. <- 0000.. "GET /cart" Server 1..2 Unset
///     http.route = "/cart"
///     event "exception" at 7
///       exception.type = "E"
///     link 5b8e.. eee2..
/// rejected byte 17: reason
/// ```
///
/// A span's lines are written when it ends: attributes, then events, then links, however they were mixed.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    /// The calls, but no rejections.
    pub(crate) calls: String,
    /// `place: reason` of each rejection.
    pub(crate) rejected: Vec<String>,
    /// Spans that ended well, and that were taken back.
    pub(crate) spans: usize,
    pub(crate) aborted: usize,
    open: Option<Open>,
    in_resource: bool,
    in_scope: bool,
}

#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Open {
    attributes: String,
    events: String,
    links: String,
}

fn show(value: Value<'_>) -> String {
    match value {
        Value::Str(text) => format!("{text:?}"),
        Value::Int(number) => number.to_string(),
        Value::Double(number) => format!("{number:?}"),
        Value::Bool(truth) => truth.to_string(),
        Value::Bytes(bytes) => format!("b\"{}\"", bytes.escape_ascii()),
    }
}

impl Record {
    /// Calls and rejections, for a snapshot.
    pub(crate) fn text(&self) -> String {
        self.rejected.iter().fold(self.calls.clone(), |text, line| text + "rejected " + line + "\n")
    }

    fn open(&mut self) -> &mut Open {
        self.open.as_mut().expect("a span is open")
    }
}

impl Sink for Record {
    fn resource(&mut self) {
        assert!(self.open.is_none(), "resource inside a span");
        (self.in_resource, self.in_scope) = (true, false);
        self.calls.push_str("resource\n");
    }

    fn resource_attribute(&mut self, key: &str, value: Value<'_>) {
        assert!(self.in_resource, "resource attribute after a span");
        writeln!(self.calls, "  {key} = {}", show(value)).unwrap();
    }

    fn scope(&mut self) {
        assert!(!self.calls.is_empty(), "scope without a resource");
        assert!(self.open.is_none(), "scope inside a span");
        (self.in_resource, self.in_scope) = (false, true);
    }

    fn scope_attribute(&mut self, key: &str, value: Value<'_>) {
        assert!(self.in_scope, "scope attribute after a span");
        writeln!(self.calls, "  scope {key} = {}", show(value)).unwrap();
    }

    fn span_start(&mut self) {
        assert!(!self.calls.is_empty(), "span without a resource");
        assert!(self.open.is_none(), "span inside a span");
        (self.in_resource, self.in_scope) = (false, false);
        self.open = Some(Open::default());
    }

    fn attribute(&mut self, key: &str, value: Value<'_>) {
        writeln!(self.open().attributes, "    {key} = {}", show(value)).unwrap();
    }

    fn event(&mut self, name: &str, time: u64) {
        writeln!(self.open().events, "    event {name:?} at {time}").unwrap();
    }

    fn event_attribute(&mut self, key: &str, value: Value<'_>) {
        let events = &mut self.open().events;
        assert!(!events.is_empty(), "event attribute without an event");
        writeln!(events, "      {key} = {}", show(value)).unwrap();
    }

    fn link(&mut self, link: Link) {
        writeln!(self.open().links, "    link {} {}", link.trace_id, link.span_id).unwrap();
    }

    fn link_attribute(&mut self, key: &str, value: Value<'_>) {
        let links = &mut self.open().links;
        assert!(!links.is_empty(), "link attribute without a link");
        writeln!(links, "      {key} = {}", show(value)).unwrap();
    }

    fn span_end(&mut self, head: &SpanHead<'_>) {
        let open = self.open.take().expect("a span is open");
        self.spans += 1;
        let out = &mut self.calls;
        write!(out, "  span {} {}", head.trace_id, head.span_id).unwrap();
        if let Some(parent) = head.parent {
            write!(out, " <- {parent}").unwrap();
        }
        write!(out, " {:?} {:?} {}..{}", head.name, head.kind, head.start, head.end).unwrap();
        if head.status != Status::Unset {
            write!(out, " {:?}", head.status).unwrap();
        }
        for (said, what) in [
            (head.flags != 0, format!(" flags {:#x}", head.flags)),
            (head.dropped != 0, format!(" dropped {}", head.dropped)),
            (head.shared, " shared".to_owned()),
            (!head.trace_state.is_empty(), format!(" state {:?}", head.trace_state)),
        ] {
            if said {
                out.push_str(&what);
            }
        }
        out.push('\n');
        for part in [open.attributes, open.events, open.links] {
            out.push_str(&part);
        }
    }

    fn span_abort(&mut self) {
        self.open.take().expect("a span is open");
        self.aborted += 1;
    }

    fn reject(&mut self, at: Position, reason: &str) {
        self.rejected.push(format!("{at}: {reason}"));
    }
}

/// How often a parser said what, for input too large to be written down.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) spans: u64,
    pub(crate) rejected: u64,
}

pub(crate) fn count(read: impl FnOnce(&mut Count)) -> Count {
    let mut count = Count::default();
    read(&mut count);
    count
}

impl Sink for Count {
    fn resource(&mut self) {}
    fn resource_attribute(&mut self, _key: &str, _value: Value<'_>) {}
    fn span_start(&mut self) {}
    fn attribute(&mut self, _key: &str, _value: Value<'_>) {}
    fn event(&mut self, _name: &str, _time: u64) {}
    fn event_attribute(&mut self, _key: &str, _value: Value<'_>) {}
    fn link(&mut self, _link: Link) {}
    fn link_attribute(&mut self, _key: &str, _value: Value<'_>) {}
    fn span_end(&mut self, _head: &SpanHead<'_>) {
        self.spans += 1;
    }
    fn span_abort(&mut self) {}
    fn reject(&mut self, _at: Position, _reason: &str) {
        self.rejected += 1;
    }
}
