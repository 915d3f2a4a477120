//! `hopseal check`: files in, a report and an exit status out.

mod baseline;
mod catalogue;
mod error;
mod gate;
mod keys;
mod policy;
mod read;
mod store;

use std::io::{self, Write};
use std::path::PathBuf;

use hopseal_correlate::across::Across;
use hopseal_correlate::finding::Finding;
use hopseal_correlate::hop::Hops;
use hopseal_correlate::judge::Judge;
use hopseal_correlate::record::Span;
use hopseal_correlate::report::{ListHops, Rejection, Report, Tally};
use hopseal_correlate::survey::{self, Survey, WHEN_ASKING, rests_on_others};
use hopseal_correlate::trace::Trace;
use hopseal_correlate::validation::Services;

pub use baseline::Baseline;
pub use catalogue::load as load_catalogue;
pub use error::CheckError;
pub use gate::{Exit, FailOn, Gate, Minimum};
pub(crate) use keys::load as load_keys;
pub use policy::load_policy;
pub use store::{MAX_SPANS, MAX_TRACE_BYTES, Store};

/// What to check and how.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The files; `-` is standard input.
    pub files: Vec<PathBuf>,
    /// Policy file.
    pub policy: Option<PathBuf>,
    /// Catalogue file.
    pub catalogue: Option<PathBuf>,
    /// Where to write the catalogue of this input.
    pub write_catalogue: Option<PathBuf>,
    /// Report of an earlier run.
    pub baseline: Option<PathBuf>,
    /// Key set for seals, and the trust domain they are bound to.
    pub keys: Option<(PathBuf, String)>,
    /// Which traces are listed.
    pub list: ListHops,
    /// Bytes of memory for spans.
    pub memory: usize,
    /// What fails the run.
    pub gate: Gate,
}

impl Settings {
    /// A check of these files with everything else as it is by default.
    #[must_use]
    pub fn of(files: Vec<PathBuf>) -> Self {
        Self {
            files,
            policy: None,
            catalogue: None,
            write_catalogue: None,
            baseline: None,
            keys: None,
            list: ListHops::Findings,
            memory: 512 << 20,
            gate: Gate { fail_on: FailOn::High, min_coverage: None, min_proven: None, strict: false },
        }
    }
}

/// A finished check.
#[derive(Debug)]
pub struct Checked {
    /// Everything found.
    pub report: Report,
    /// The earlier run it is held against, if any.
    pub baseline: Option<Baseline>,
    /// Files of which nothing could be read, and why.
    pub unreadable: Vec<Rejection>,
    /// The files, as they were named.
    pub files: Vec<PathBuf>,
    /// Why the catalogue was not written, when it was not.
    pub unsaved: Option<CheckError>,
}

impl Checked {
    /// The exit status: the first that applies of 3, 1, 0. (2 is a [`CheckError`].)
    #[must_use]
    pub fn exit(&self, gate: &Gate) -> Exit {
        gate.exit(&self.report, self.baseline.as_ref(), self.unreadable.len() as u64)
    }

    /// Whether the earlier run did not have a finding like this; `None` without an earlier run.
    pub(crate) fn is_new(&self, finding: &Finding) -> Option<bool> {
        self.baseline.as_ref().map(|baseline| !baseline.knows(finding))
    }
}

/// Reads, judges and adds up.
///
/// # Errors
/// Configuration that cannot be used, or a disk that cannot be written. Files that cannot be read are no error
/// here: they are in the report. A catalogue that cannot be written in the end is none either: [`Checked::unsaved`].
pub fn run(settings: &Settings, err: &mut dyn Write) -> Result<Checked, CheckError> {
    let (policy, dialects) = load_policy(settings.policy.as_deref())?;
    let given = settings.catalogue.as_deref().map(catalogue::load).transpose()?;
    let baseline = settings.baseline.as_deref().map(Baseline::load).transpose()?;
    let keys = keys::load(settings.keys.as_ref(), policy.thresholds.skew, err)?;
    if let Some(path) = &settings.write_catalogue {
        catalogue::try_path(path)?;
    }
    let (mut store, read) = read::files(&settings.files, &dialects, settings.memory, err)?;

    let seals = |trace_id, span: &Span<'_>| keys.as_ref().and_then(|keys| keys.verdict(trace_id, span));
    let judge = Judge { dialects: &dialects, policy: &policy, seal: &seals };
    let words = read.words;
    let mut survey = Survey { linked: read.linked, ..Survey::default() };
    let mut across = Across::default();
    let mut tally = Tally::new(settings.list);
    let mut judged = |trace: &Trace<'_>, hops: &Hops<'_>, survey: &Survey, tally: &mut Tally| {
        let cx = judge.cx(trace, hops, survey);
        across.observe(&cx);
        tally.add(trace, hops, judge.verdict(&cx), survey);
    };
    // The first pass surveys, and judges at once what rests on no other trace; the second judges the rest.
    let (mut rest, mut unasked_in, mut unasked) = (Vec::new(), Vec::new(), Services::default());
    store.visit(|id, records| {
        let trace = Trace::from_records(id, records.iter().copied(), &words);
        let hops = judge.hops(&trace);
        survey.observe(&trace, &hops);
        if rests_on_others(&trace, &hops, given.is_none().then_some(&survey)) {
            rest.push(id);
            return Ok::<_, CheckError>(());
        }
        judged(&trace, &hops, &survey, &mut tally);
        let mut services = survey::unasked(&hops, &survey.validating).peekable();
        if services.peek().is_some() {
            unasked_in.push(id);
        }
        services.for_each(|service| unasked.add(service));
        Ok(())
    })?;
    let saved = settings.write_catalogue.as_ref().map(|path| catalogue::save(path, &survey.catalogue));
    if let Some(given) = &given {
        survey.catalogue = given.clone();
    }
    if !unasked.iter().any(|service| survey.validating.has(service)) {
        unasked_in.clear();
    }
    if !rest.is_empty() || !unasked_in.is_empty() {
        let (mut rest, mut again) = (rest.into_iter().peekable(), unasked_in.into_iter().peekable());
        store.visit(|id, records| {
            let is_rest = rest.next_if_eq(&id).is_some();
            if is_rest || again.next_if_eq(&id).is_some() {
                let trace = Trace::from_records(id, records.iter().copied(), &words);
                let hops = judge.hops(&trace);
                if is_rest {
                    judged(&trace, &hops, &survey, &mut tally);
                } else {
                    let verdict = judge.verdict(&judge.cx(&trace, &hops, &survey)).of_rule(WHEN_ASKING);
                    tally.add_later(&trace, &hops, verdict, &survey);
                }
            }
            Ok::<_, CheckError>(())
        })?;
    }
    tally.add_findings(across.finish(&policy, given.as_ref()));
    let mut input = read.input;
    input.spans = store.records();
    if store.left_out() > 0 {
        input.rejected += store.left_out();
        input.rejections.push(read::left_out(store.left_out()));
    }
    let report = tally.finish(input);
    let checked = Checked {
        report,
        baseline,
        unreadable: read.unreadable,
        files: settings.files.clone(),
        unsaved: saved.and_then(Result::err),
    };
    notes(&checked, &settings.gate, err).map_err(CheckError::Notes)?;
    Ok(checked)
}

/// Says what the formats may not show, or not in time.
fn notes(checked: &Checked, gate: &Gate, err: &mut dyn Write) -> io::Result<()> {
    for (at, reason) in &checked.report.unevaluated {
        writeln!(
            err,
            "hopseal: policy, {at}: this condition could not be evaluated and quieted nothing: {reason}"
        )?;
    }
    for (service, method) in checked.baseline.iter().flat_map(|it| it.without_routes(&checked.report)) {
        writeln!(
            err,
            "hopseal: baseline: spans of `{service}` name no route, only `{method}`: what is known of one is known of all"
        )?;
    }
    for minimum in gate.minimums(&checked.report).filter(Minimum::is_missed) {
        writeln!(err, "hopseal: missed {minimum}")?;
    }
    Ok(())
}
