//! The answer to one delivery, put together from what every shard says of its part.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::serve::delivery::{Accepted, Refused};

/// When to try again after the disk was full.
const WHEN_FULL: Duration = Duration::from_secs(30);

/// One shard's share in an answer. Dropped without a word it says that its part was not kept.
#[derive(Debug)]
pub(crate) struct Answer {
    whole: Arc<Whole>,
    said: bool,
}

#[derive(Debug)]
struct Whole {
    /// Parts that are not settled yet.
    open: AtomicUsize,
    state: Mutex<State>,
    /// Bytes given back to what may wait.
    waiting: Arc<AtomicUsize>,
    bytes: usize,
}

#[derive(Debug, Default)]
struct State {
    accepted: Accepted,
    refused: Option<Refused>,
    to: Option<oneshot::Sender<Result<Accepted, Refused>>>,
}

/// An answer in `parts` parts, and where it comes; `bytes` are given back to `waiting` with it.
pub(crate) fn answer(
    parts: usize,
    waiting: Arc<AtomicUsize>,
    bytes: usize,
) -> (Vec<Answer>, oneshot::Receiver<Result<Accepted, Refused>>) {
    let (to, from) = oneshot::channel();
    let state = Mutex::new(State { to: Some(to), ..State::default() });
    let whole = Arc::new(Whole { open: AtomicUsize::new(parts), state, waiting, bytes });
    ((0..parts).map(|_| Answer { whole: Arc::clone(&whole), said: false }).collect(), from)
}

impl Answer {
    /// Counts what was read of the delivery.
    pub(crate) fn read(&self, spans: u64, rejected: u64, reason: Option<String>) {
        self.change(|state| {
            state.accepted.spans += spans;
            state.accepted.rejected += rejected;
            state.accepted.reason = state.accepted.reason.take().or(reason);
        });
    }

    /// Nothing of it could be read.
    pub(crate) fn malformed(mut self, reason: String) {
        self.settle(Some(Refused::Malformed(reason)));
    }

    /// This part is durable.
    pub(crate) fn durable(mut self) {
        self.settle(None);
    }

    /// There is no room for it.
    pub(crate) fn disk_full(mut self) {
        self.settle(Some(Refused::DiskFull { retry_after: WHEN_FULL }));
    }

    /// It could not be written.
    pub(crate) fn failed(mut self) {
        self.settle(Some(Refused::Failed));
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.whole.state.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn settle(&mut self, refused: Option<Refused>) {
        self.said = true;
        if let Some(refused) = refused {
            self.change(|state| state.refused = state.refused.take().or(Some(refused)));
        }
        if self.whole.open.fetch_sub(1, Ordering::AcqRel) != 1 {
            return;
        }
        self.whole.waiting.fetch_sub(self.whole.bytes, Ordering::Relaxed);
        self.change(|state| {
            let answer = match state.refused.take() {
                Some(refused) => Err(refused),
                None => Ok(std::mem::take(&mut state.accepted)),
            };
            // Whoever asked may be gone.
            let _ = state.to.take().map(|to| to.send(answer));
        });
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if !self.said {
            self.settle(Some(Refused::Failed));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting() -> Arc<AtomicUsize> {
        Arc::new(AtomicUsize::new(10))
    }

    #[test]
    fn an_answer_comes_when_every_part_is_settled() {
        let waiting = waiting();
        let (mut parts, mut from) = answer(2, Arc::clone(&waiting), 10);
        let (second, first) = (parts.pop().expect("two"), parts.pop().expect("one"));
        first.read(3, 1, Some("bad".to_owned()));
        first.durable();
        assert!(from.try_recv().is_err());
        second.read(2, 0, None);
        second.durable();
        let expected = Accepted { spans: 5, rejected: 1, reason: Some("bad".to_owned()) };
        assert_eq!(from.try_recv().expect("an answer"), Ok(expected));
        assert_eq!(waiting.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn one_bad_part_spoils_the_whole_and_silence_is_no_yes() {
        let (mut parts, mut from) = answer(2, waiting(), 0);
        parts.pop().expect("a part").durable();
        drop(parts);
        assert_eq!(from.try_recv().expect("an answer"), Err(Refused::Failed));
    }
}
