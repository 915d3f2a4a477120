//! One thread with its own traces: reads deliveries, hands records to the journal, judges what is due.
//!
//! Shards share nothing. What one finds out that another needs goes by message: who sent a span that is linked to, which
//! service has credentials validated, what services have shown.

mod judge;

use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender};

use arc_swap::ArcSwap;
use hopseal_correlate::across::Across;
use hopseal_correlate::catalogue::Catalogue;
use hopseal_correlate::intake::Intake;
use hopseal_correlate::record::packed::each;
use hopseal_correlate::record::{Service, Span, bodies};
use hopseal_correlate::sink::{SpanId, TraceId};
use hopseal_correlate::survey::{Sent, Survey};
use hopseal_correlate::words::Words;

use super::answer::Answer;
use super::journal::{Gone, Journal, Run};
use super::judging::{Recorder, Tally};
use super::links::{Links, Waiter};
use super::own::OwnKey;
use super::reading::{LinkAway, Share, Stage, read};
use super::settings::WindowSettings;
use super::waiting::Waiting;
use super::windows::{Counts, Kept, Last, Windows};
use crate::serve::clock::Clock;
use crate::serve::delivery::Delivery;
use crate::serve::guard::{Panicked, guarded};
use crate::serve::ids::LastIds;
use crate::serve::pool::{Pool, emptied};
use crate::serve::rules::Rules;
use crate::serve::store::{Batch, Earlier};

/// Bytes of records that go into one run of the journal.
const RUN_BYTES: usize = 1 << 20;
/// Bytes that the texts of their words mostly take there.
const PACKED_BYTES: usize = 128 << 10;
/// Bytes of records judged between two runs, beyond as many as were read.
const JUDGE_BYTES: usize = 64 << 10;
/// Traces that cannot be judged, of which that is remembered.
const BROKEN: usize = 1 << 14;

/// What a shard is told.
#[derive(Debug)]
pub(crate) enum ToShard {
    /// Spans, and who waits for the answer.
    Delivery(Delivery, Answer),
    /// Records that an earlier process wrote into that run.
    Recovered(u64, Vec<u8>),
    /// Traces that an earlier process had let go.
    Gone(Vec<TraceId>),
    /// How traces were judged by an earlier process.
    Recall(Vec<Recalled>),
    /// To end.
    Stop,
    /// To tell which traces are there.
    Which(Sender<Recovered>),
    /// To judge all that is due, and tell what was found.
    Turn(Sender<Found>),
    /// What services have shown.
    Shown(Arc<Catalogue>),
    /// A trace of that shard links to a span of this one.
    Linked(LinkAway, usize),
    /// Who sent a span that a trace of this shard links to.
    Sent(LinkAway, Box<Sent>),
    /// A service was seen to have credentials validated.
    Validating(Arc<OwnedService>),
}

/// A service that outlives its records.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct OwnedService {
    name: String,
    namespace: String,
    environment: String,
}

impl OwnedService {
    fn as_service(&self) -> Service<'_> {
        Service { name: &self.name, namespace: &self.namespace, environment: &self.environment }
    }
}

impl From<Service<'_>> for OwnedService {
    fn from(service: Service<'_>) -> Self {
        Self {
            name: service.name.to_owned(),
            namespace: service.namespace.to_owned(),
            environment: service.environment.to_owned(),
        }
    }
}

/// How a trace was judged by an earlier process.
#[derive(Debug)]
pub(crate) struct Recalled {
    pub(crate) trace_id: TraceId,
    pub(crate) last: Last,
    /// The entry spans of its hops.
    pub(crate) hops: Vec<SpanId>,
    /// Whether some of them came when the rest was gone.
    pub(crate) has_late: bool,
}

/// The traces of a shard.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) kept: Vec<TraceId>,
}

/// What was found since the turn before.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) batch: Batch,
    /// What rules over many traces rest on, by window.
    pub(crate) across: BTreeMap<u64, Across>,
    pub(crate) gone: Gone,
    /// Runs under this number are not needed any more, once the batch is kept.
    pub(crate) needed: u64,
    pub(crate) counts: Counts,
    /// Traces that were let go since the start, as judging them panicked.
    pub(crate) broken: u64,
    /// Open traces, and the bytes of their spans.
    pub(crate) open: (usize, usize),
    /// Linked spans that are known of, and how many were let go for others.
    pub(crate) linked: (usize, u64),
}

/// What a shard is made of.
pub(crate) struct Parts {
    pub(crate) share: Share,
    /// As they are now: each trace is judged by those that are in force then.
    pub(crate) rules: Arc<ArcSwap<Rules>>,
    pub(crate) window: WindowSettings,
    pub(crate) clock: Arc<dyn Clock>,
    /// `None` where answers do not wait for the disk.
    pub(crate) journal: Option<Journal>,
    /// What earlier processes judged and let go.
    pub(crate) earlier: Arc<Earlier>,
    /// Until when somebody may still send of that.
    pub(crate) earlier_until: u64,
    /// The number of the next run.
    pub(crate) runs: Arc<AtomicU64>,
    pub(crate) survey: Survey,
    pub(crate) shards: Vec<Sender<ToShard>>,
    pub(crate) own: Arc<OwnKey>,
    /// The room of what was found and is not in the store.
    pub(crate) held: Arc<AtomicUsize>,
    /// Whether the catalogue is learned: a given one comes to say nothing more.
    pub(crate) learns: bool,
}

/// Runs a shard until everybody who could tell it something is gone.
pub(crate) fn run(parts: Parts, from: &Receiver<ToShard>) {
    let dialects = Arc::clone(&parts.rules.load().dialects);
    let (share, has_journal) = (parts.share.clone(), parts.journal.is_some());
    let mut words = Words::default();
    let mut shard = Shard {
        windows: Windows::new(parts.window),
        records: Vec::new(),
        bodies: Arc::default(),
        batch: Batch::default(),
        held: 0,
        recorder: Recorder::new(&parts.own),
        tally: Tally::default(),
        across: BTreeMap::new(),
        told: parts.survey.validating.iter().map(OwnedService::from).collect(),
        unasked: Waiting::default(),
        unlearned: Waiting::default(),
        hasher: RandomState::new(),
        links: Links::default(),
        broken: LastIds::new(BROKEN),
        broken_count: 0,
        parts,
    };
    let mut next = None;
    loop {
        let stage = Stage::new(share.clone(), has_journal);
        match shard.work(&mut Intake::new(&dialects, &mut words, stage), from, next) {
            Left::Nothing => return,
            // What is half read is let go with who read it. Records rest on words alone, each of which is there or is not.
            Left::Torn(message) => next = message,
        }
    }
}

/// Why a shard does nothing more with its intake.
enum Left {
    /// It was told to end, or nobody is there to tell it anything.
    Nothing,
    /// It panicked; that is to be done next.
    Torn(Option<ToShard>),
}

struct Shard {
    parts: Parts,
    windows: Windows,
    /// Room for those of the trace that is judged.
    records: Vec<u8>,
    /// For runs on their way to the journal.
    bodies: Arc<Pool>,
    batch: Batch,
    /// The room of the batch that the keeper knows of.
    held: usize,
    recorder: Recorder,
    /// What the hops of the last block show, where they were judged for the first time.
    tally: Tally,
    /// What rules over many traces rest on, by window.
    across: BTreeMap<u64, Across>,
    /// Services that others know to have credentials validated.
    told: HashSet<OwnedService>,
    /// Judged traces that have more to say should a service be seen to ask.
    unasked: Waiting<OwnedService>,
    /// Judged traces that have more to say should the catalogue come to say something, by its hash.
    unlearned: Waiting<u64>,
    /// Names are the senders' choice: hashed with a secret.
    hasher: RandomState,
    /// Links from one trace to another, of this shard or to it.
    links: Links,
    /// Traces that are not judged any more: it panicked.
    broken: LastIds,
    broken_count: u64,
}

impl Shard {
    /// Does what it is told, `next` first.
    fn work(
        &mut self,
        intake: &mut Intake<'_, Stage>,
        from: &Receiver<ToShard>,
        mut next: Option<ToShard>,
    ) -> Left {
        while let Some(message) = next.take().or_else(|| from.recv().ok()) {
            match message {
                ToShard::Stop => break,
                ToShard::Delivery(delivery, answer) => {
                    let (is_whole, after) = self.take(intake, from, delivery, answer);
                    if !is_whole {
                        return Left::Torn(after);
                    }
                    next = after;
                }
                other => self.told(intake, other),
            }
        }
        Left::Nothing
    }

    /// Reads a delivery and those behind it that fit into one run. Returns whether the intake is whole, and what came after them.
    fn take(
        &mut self,
        intake: &mut Intake<'_, Stage>,
        from: &Receiver<ToShard>,
        delivery: Delivery,
        answer: Answer,
    ) -> (bool, Option<ToShard>) {
        let mut answers = Vec::new();
        let mut next = Some((delivery, answer));
        let (mut is_whole, mut after) = (true, None);
        while let Some((delivery, answer)) = next.take() {
            #[cfg(test)]
            faults::lose(&delivery);
            let stage = intake.get_mut();
            let before = (stage.records.len(), stage.links.len());
            // Of the intake nothing is used afterwards but its words and what was staged before.
            let read = guarded(|| {
                let read = read(&delivery, &self.parts.own, intake);
                #[cfg(test)]
                faults::read(&delivery);
                read
            });
            let is_first = self.parts.share.own() == 0;
            match read {
                Err(panicked) => {
                    let stage = intake.get_mut();
                    stage.records.truncate(before.0);
                    stage.links.truncate(before.1);
                    tracing::error!(place = %panicked, "a request cannot be read by a fault of ours, and is refused");
                    // Whoever sent it would bring it again, and again.
                    answer.malformed("it cannot be read, by a fault of the service".to_owned());
                    is_whole = false;
                    break;
                }
                Ok(read) => match read.reason {
                    Some(reason) if read.malformed => answer.malformed(reason),
                    reason => {
                        // Every shard reads everything; one speaks of what is of none.
                        let (rejected, reason) = if is_first { (read.rejected, reason) } else { (0, None) };
                        answer.read(read.spans, rejected, reason);
                        answers.push(answer);
                    }
                },
            }
            if intake.get_mut().records.len() < RUN_BYTES {
                match from.try_recv() {
                    Ok(ToShard::Delivery(delivery, answer)) => next = Some((delivery, answer)),
                    other => after = other.ok(),
                }
            }
        }
        self.keep(intake, answers);
        (is_whole, after)
    }

    /// Hands what was read to the journal and to the windows, and judges some of what is due.
    fn keep(&mut self, intake: &mut Intake<'_, Stage>, answers: Vec<Answer>) {
        // Before the answer: whoever has it may rely on the spans having come by then.
        let now = self.parts.clock.now();
        let stage = intake.get_mut();
        let (mut records, mut links) = (std::mem::take(&mut stage.records), std::mem::take(&mut stage.links));
        let mut packer = std::mem::take(&mut stage.packer);
        let run = self.parts.runs.fetch_add(1, Ordering::Relaxed);
        match (&self.parts.journal, &mut packer) {
            (Some(journal), Some(packer)) if !records.is_empty() => {
                let rules = self.parts.rules.load();
                let mut body = self.bodies.buffer(records.len() + PACKED_BYTES);
                packer.pack(&records, intake.words(), &rules.dialects, &mut body.bytes);
                journal.append(Run { seq: run, body, answers });
            }
            _ => answers.into_iter().for_each(Answer::durable),
        }
        for (trace_id, record) in each(&records) {
            self.windows.add(trace_id, record, run, now);
        }
        links.drain(..).for_each(|link| self.link(link));
        let mut room = records.len() + JUDGE_BYTES;
        emptied(&mut records);
        let stage = intake.get_mut();
        (stage.records, stage.links, stage.packer) = (records, links, packer);
        while room > 0
            && let Some((trace_id, due)) = self.windows.due(now)
        {
            room = room.saturating_sub(self.windows.get(trace_id).map_or(0, Kept::length));
            self.judge(intake, trace_id, due, now);
        }
        self.hold();
    }

    /// Says how much the next turn has to take.
    fn hold(&mut self) {
        let room = self.batch.room();
        self.parts.held.fetch_add(room.saturating_sub(self.held), Ordering::Relaxed);
        self.held = room;
    }

    fn told(&mut self, intake: &mut Intake<'_, Stage>, message: ToShard) {
        match message {
            ToShard::Delivery(..) | ToShard::Stop => {}
            ToShard::Recovered(run, records) => {
                let now = self.parts.clock.now();
                for (trace_id, record) in each(&records) {
                    self.windows.add(trace_id, record, run, now);
                    match guarded(|| links_of(record, intake.words())) {
                        Ok(links) => links.into_iter().for_each(|link| self.link(link)),
                        Err(panicked) => self.give_up(trace_id, &panicked),
                    }
                }
            }
            ToShard::Gone(traces) => traces.into_iter().for_each(|trace_id| self.windows.remember(trace_id)),
            ToShard::Recall(traces) => {
                traces.into_iter().for_each(|recalled| self.recall(intake, recalled));
            }
            ToShard::Which(to) => _ = to.send(Recovered { kept: self.windows.ids().collect() }),
            ToShard::Turn(to) => self.turn(intake, &to),
            ToShard::Shown(shown) => {
                let known = &mut self.parts.survey.catalogue;
                for lesson in known.news(&shown) {
                    self.unlearned.end(&self.hasher.hash_one(lesson), &mut self.windows);
                }
                known.merge(&shown);
            }
            ToShard::Linked(link, shard) => self.wanted(link, shard),
            ToShard::Sent(link, sent) => {
                self.links.learn(link, *sent, &mut self.parts.survey.linked);
                self.windows.again(link.from);
            }
            ToShard::Validating(service) => {
                if self.told.insert((*service).clone()) {
                    self.parts.survey.validating.add(service.as_service());
                    self.unasked.end(&service, &mut self.windows);
                }
            }
        }
    }

    /// Takes note of how an earlier process judged a trace that was read back.
    fn recall(&mut self, intake: &Intake<'_, Stage>, recalled: Recalled) {
        let Recalled { trace_id, last, hops, has_late } = recalled;
        let Some(kept) = self.windows.get(trace_id) else { return };
        let mut records = Vec::new();
        self.windows.read(kept, &mut records);
        let spans = || bodies(&records).filter_map(|body| Span::of_body(body, intake.words()));
        let spans: HashSet<SpanId> = match guarded(|| spans().map(|span| span.id).collect()) {
            Ok(spans) => spans,
            Err(panicked) => return self.give_up(trace_id, &panicked),
        };
        // What was judged then and is not here is gone: this is not the whole trace.
        match !has_late && hops.iter().all(|hop| spans.contains(hop)) {
            true => self.windows.recall(trace_id, last),
            false => self.windows.straggles(trace_id),
        }
    }

    /// Lets a trace go of which something panics: whatever more comes of it in this process, it is not tried again.
    fn give_up(&mut self, trace_id: TraceId, panicked: &Panicked) {
        if !self.broken.contains(trace_id) {
            self.broken.insert(trace_id);
            self.broken_count += 1;
            tracing::error!(%trace_id, place = %panicked, "a trace cannot be judged by a fault of ours, and is let go");
        }
    }

    /// A trace of this shard links to a span of another trace.
    fn link(&mut self, link: LinkAway) {
        let owner = self.parts.share.of(link.to);
        if owner == self.parts.share.own() {
            self.wanted(link, owner);
        } else if let Some(owner) = self.parts.shards.get(owner) {
            let _ = owner.send(ToShard::Linked(link, self.parts.share.own()));
        }
    }

    /// Somebody wants to know who sent a span of this shard.
    fn wanted(&mut self, link: LinkAway, shard: usize) {
        let waiter = self.links.ask(link, shard, &mut self.parts.survey.linked);
        match self.parts.survey.linked.sent(link.to, link.span_id) {
            Some(sent) => tell(&[(waiter, sent)], &self.parts, &mut self.windows),
            // Its trace may be there, of which nobody asked for this span.
            None => self.windows.again(link.to),
        }
    }

    /// Says who sent the spans of a trace that others link to.
    fn answer(&mut self, trace_id: TraceId, news: &[SpanId]) {
        let told = self.links.answer(trace_id, news, &self.parts.survey.linked);
        tell(&told, &self.parts, &mut self.windows);
        self.links.trim(&mut self.parts.survey.linked);
    }

    /// Notes what the hops of the last block show, before another follows it.
    fn tell_shown(&mut self) {
        if let Some(block) = self.batch.blocks.last() {
            self.tally.tell(&block.texts, &mut self.batch.shown);
        }
    }

    fn turn(&mut self, intake: &Intake<'_, Stage>, to: &Sender<Found>) {
        let now = self.parts.clock.now();
        while let Some((trace_id, due)) = self.windows.due(now) {
            self.judge(intake, trace_id, due, now);
        }
        // What comes of them from now on is in runs of higher numbers.
        let until = self.parts.runs.load(Ordering::Relaxed);
        let gone = Gone { until, traces: self.windows.let_go(now) };
        if now > self.parts.earlier_until {
            self.parts.earlier = Arc::default();
        }
        self.unasked.sweep(&self.windows);
        self.unlearned.sweep(&self.windows);
        let needed = self.windows.first_run().unwrap_or_else(|| self.parts.runs.load(Ordering::Relaxed));
        self.tell_shown();
        self.hold();
        self.held = 0;
        let (batch, counts) = (self.batch.take(), self.windows.counts);
        let across = std::mem::take(&mut self.across);
        let (broken, open, linked) = (self.broken_count, self.windows.open(), self.links.counts());
        let _ = to.send(Found { batch, across, gone, needed, counts, broken, open, linked });
    }
}

/// Says who sent a span, to each that waits for it.
fn tell(told: &[(Waiter, &Sent)], parts: &Parts, windows: &mut Windows) {
    for (waiter, sent) in told {
        if waiter.shard == parts.share.own() {
            windows.again(waiter.link().from);
        } else if let Some(shard) = parts.shards.get(waiter.shard) {
            let _ = shard.send(ToShard::Sent(waiter.link(), Box::new((*sent).clone())));
        }
    }
}

/// Links of a record to spans of other traces.
fn links_of(record: &[u8], words: &Words) -> Vec<LinkAway> {
    let Some((from, span)) = Span::read(record, words) else { return Vec::new() };
    let away = span.links().filter(|(to, _)| *to != from);
    away.map(|(to, span_id)| LinkAway { from, to, span_id }).collect()
}

/// What a test has go wrong.
#[cfg(test)]
pub(crate) mod faults {
    use hopseal_correlate::hop::Hops;

    use crate::serve::delivery::Delivery;

    /// In a delivery: that this thread is lost.
    pub(crate) const LOSE: &str = "/faults/lose";
    /// That it panics once it is read.
    pub(crate) const READ: &str = "/faults/read";
    /// The operation of a hop: that to judge its trace panics, before any of it is written, and after that.
    pub(crate) const JUDGE: &str = "/faults/judge";
    pub(crate) const RECORD: &str = "/faults/record";

    fn has(delivery: &Delivery, fault: &str) -> bool {
        delivery.body.windows(fault.len()).any(|part| part == fault.as_bytes())
    }

    pub(super) fn lose(delivery: &Delivery) {
        assert!(!has(delivery, LOSE), "a fault");
    }

    pub(super) fn read(delivery: &Delivery) {
        assert!(!has(delivery, READ), "a fault");
    }

    pub(super) fn judge(hops: &Hops<'_>, fault: &str) {
        assert!(hops.iter().all(|hop| hop.operation != fault), "a fault");
    }
}
