//! From files to records, with everything that could not be read.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read, Write};
use std::path::{Path, PathBuf};

use hopseal_correlate::dialect::Dialects;
use hopseal_correlate::intake::{Intake, Records};
use hopseal_correlate::record::Record;
use hopseal_correlate::report::{Input, Rejection};
use hopseal_correlate::sink::{Position, SpanId, TraceId};
use hopseal_correlate::survey::Linked;
use hopseal_correlate::words::Words;
use hopseal_formats::{Limits, read};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{CheckError, MAX_SPANS, MAX_TRACE_BYTES, Store};

/// Rejections listed; all are counted.
const MAX_REJECTIONS: usize = 1000;

/// What was read, besides the records.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) input: Input,
    /// Files of which nothing could be read, and why.
    pub(super) unreadable: Vec<Rejection>,
    /// Spans that other traces link to.
    pub(super) linked: Linked,
    /// What the records are to be read with.
    pub(super) words: Words,
}

/// Takes records into the store and notes rejections.
struct Into {
    store: Store,
    outcome: Outcome,
    file: String,
    /// Spans of it.
    spans: u64,
    /// The first failure to spill; nothing is added after it.
    failed: Option<io::Error>,
    /// Room for one record.
    room: Vec<u8>,
}

impl Records for &mut Into {
    fn record(&mut self, record: &Record<'_>) {
        self.spans += 1;
        if self.failed.is_none() {
            self.room.clear();
            record.put(&mut self.room);
            self.failed = self.store.add(&self.room).err();
        }
    }

    fn linked(&mut self, trace_id: TraceId, span_id: SpanId) {
        self.outcome.linked.expect(trace_id, span_id);
    }

    fn reject(&mut self, at: Position, reason: &str) {
        self.note(at.to_string(), reason.to_owned());
    }
}

impl Into {
    fn note(&mut self, at: String, reason: String) {
        let input = &mut self.outcome.input;
        input.rejected += 1;
        if input.rejections.len() < MAX_REJECTIONS {
            input.rejections.push(Rejection { file: self.file.clone(), at, reason });
        }
    }
}

/// Reads every file. One that cannot be read is noted and the others are read.
pub(super) fn files(
    paths: &[PathBuf],
    dialects: &Dialects,
    memory: usize,
    err: &mut dyn Write,
) -> Result<(Store, Outcome), CheckError> {
    let mut into = Into {
        store: Store::new(memory),
        outcome: Outcome::default(),
        file: String::new(),
        spans: 0,
        failed: None,
        room: Vec::new(),
    };
    let mut words = Words::default();
    for path in paths {
        into.outcome.input.files += 1;
        into.file = path.display().to_string();
        into.spans = 0;
        let rejected = into.outcome.input.rejected;
        let read = one(path, dialects, &mut words, &mut into);
        let reason = match read {
            Err(reason) => {
                into.note(String::new(), reason.clone());
                Some(reason)
            }
            // It looked like one of the formats, and nothing came of it.
            Ok(()) if into.spans == 0 && into.outcome.input.rejected > rejected => {
                Some("no span in it could be read".to_owned())
            }
            Ok(()) => None,
        };
        if let Some(reason) = reason {
            writeln!(err, "hopseal: `{}`: {reason}", path.display()).map_err(CheckError::Notes)?;
            into.outcome.unreadable.push(Rejection { file: into.file.clone(), at: String::new(), reason });
        }
        if let Some(error) = into.failed.take() {
            return Err(CheckError::Spill(error));
        }
    }
    Ok((into.store, Outcome { words, ..into.outcome }))
}

fn one(path: &Path, dialects: &Dialects, words: &mut Words, into: &mut Into) -> Result<(), String> {
    let (input, len): (Box<dyn Read>, _) = if path == Path::new("-") {
        (Box::new(io::stdin().lock()), None)
    } else {
        let file = File::open(path).map_err(|error| error.to_string())?;
        let about = file.metadata().map_err(|error| error.to_string())?;
        if about.is_dir() {
            return Err("is a directory; name the files in it".to_owned());
        }
        (Box::new(file), about.is_file().then_some(about.len()))
    };
    let bar = progress(path, len);
    let mut intake = Intake::new(dialects, words, into);
    let read = read(input, &Limits::default(), &mut intake, &mut |taken| bar.set_position(taken));
    bar.finish_and_clear();
    read.map(|_| ()).map_err(|error| chain(&error))
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// A bar on a terminal, nothing in a pipe.
fn progress(path: &Path, len: Option<u64>) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let template = match len {
        Some(_) => "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec}",
        None => "{msg} {spinner} {bytes} {bytes_per_sec}",
    };
    let bar = ProgressBar::with_draw_target(len, ProgressDrawTarget::stderr_with_hz(5))
        .with_message(path.display().to_string());
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// The rejection that stands for spans beyond what is judged of one trace.
pub(super) fn left_out(count: u64) -> Rejection {
    Rejection {
        file: String::new(),
        at: String::new(),
        reason: format!(
            "{count} spans beyond {MAX_SPANS}, or {MAX_TRACE_BYTES} bytes of them, in one trace were left out"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One span as a line of OTLP.
    const LINE: &str = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174"}]}]}]}"#;

    #[test]
    fn a_file_of_which_nothing_comes_is_unreadable() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("traces");
        for (text, unreadable, rejected) in [
            (LINE.to_owned(), 0, 0),
            (format!("{{bad\n{LINE}\n"), 0, 1),
            ("{\"resourceSpans\":[]}".to_owned(), 0, 0),
            ("{\"resourceSpans\":[7]}".to_owned(), 1, 1),
            (LINE.replace("5b8efff798038103d269b633813fc60c", "5b"), 1, 1),
            ("# a README\n".to_owned(), 1, 1),
        ] {
            std::fs::write(&path, &text).expect("written");
            let dialects = Dialects::built_in().expect("the built-in map");
            let mut err = Vec::new();
            let read = files(std::slice::from_ref(&path), &dialects, 1 << 20, &mut err).expect("read").1;
            assert_eq!((read.unreadable.len(), read.input.rejected), (unreadable, rejected), "{text}");
            assert_eq!(!err.is_empty(), unreadable > 0, "{text}");
        }
    }
}
