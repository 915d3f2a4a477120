//! Sending again what did not arrive, in a thread that ends when it is told to.

use std::convert::Infallible;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How long is waited before each further try.
pub(crate) const TRIES: [Duration; 3] =
    [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(15)];
/// How long the end waits for what is on its way.
const END: Duration = Duration::from_secs(2);

/// The end of whoever started the thread: dropped, it has the thread end, and waits for that, but not for long.
#[derive(Debug)]
pub(crate) struct Ending {
    /// Dropped to end it.
    stop: Option<Sender<Infallible>>,
    /// Closed once it ended.
    ended: Mutex<Receiver<Infallible>>,
    patience: Duration,
}

/// The end of the thread, dropped when it is over.
#[derive(Debug)]
pub(crate) struct Trying {
    stopped: Receiver<Infallible>,
    tries: [Duration; 3],
    /// Whether what was sent last did not arrive.
    is_down: bool,
    _end: Sender<Infallible>,
}

/// Both ends.
pub(crate) fn trying(tries: [Duration; 3]) -> (Ending, Trying) {
    let ((stop, stopped), (end, ended)) = (channel(), channel());
    (
        Ending { stop: Some(stop), ended: Mutex::new(ended), patience: END },
        Trying { stopped, tries, is_down: false, _end: end },
    )
}

impl Trying {
    /// Sends something, again as long as it `may` help. At the end nothing is tried twice, and nothing more once something
    /// failed: the service does not wait for somebody who is down.
    ///
    /// # Errors
    /// What went wrong last; `None` if it was not even tried.
    pub(crate) fn send<E>(
        &mut self,
        may: impl Fn(&E) -> bool,
        mut once: impl FnMut() -> Result<(), E>,
    ) -> Result<(), Option<E>> {
        if self.is_down && self.stopped.try_recv() == Err(TryRecvError::Disconnected) {
            return Err(None);
        }
        let mut tried = once();
        for wait in self.tries {
            match &tried {
                Err(error)
                    if may(error) && self.stopped.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) =>
                {
                    tried = once();
                }
                _ => break,
            }
        }
        self.is_down = tried.is_err();
        tried.map_err(Some)
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.stop = None;
        // Nothing is ever sent: it is closed, or too late.
        let ended = self.ended.get_mut().unwrap_or_else(PoisonError::into_inner);
        let _ = ended.recv_timeout(self.patience);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUICK: [Duration; 3] = [Duration::from_millis(1); 3];

    #[test]
    fn what_may_help_is_tried_again_and_the_end_tries_nothing_more() {
        let (ending, mut trying) = trying(QUICK);
        let mut calls = 0;
        let mut send = |trying: &mut Trying, fails: u32, may: bool| {
            calls = 0;
            let sent = trying.send(
                |_| may,
                || {
                    calls += 1;
                    if calls <= fails { Err(calls) } else { Ok(()) }
                },
            );
            (sent, calls)
        };
        assert_eq!(send(&mut trying, 0, true), (Ok(()), 1));
        assert_eq!(send(&mut trying, 3, true), (Ok(()), 4));
        assert_eq!(send(&mut trying, 9, true), (Err(Some(4)), 4));
        assert_eq!(send(&mut trying, 9, false), (Err(Some(1)), 1));
        assert_eq!(send(&mut trying, 0, true), (Ok(()), 1));
        let Ending { stop, ended, .. } = &mut { ending };
        *stop = None;
        assert_eq!(send(&mut trying, 9, true), (Err(Some(1)), 1));
        assert_eq!(send(&mut trying, 0, true), (Err(None), 0));
        drop(trying);
        let ended = ended.get_mut().expect("no panic");
        assert_eq!(ended.try_recv(), Err(TryRecvError::Disconnected));
    }

    /// Scenario: what is sent never comes to an end, and the service does.
    /// Guarantees: the service ends.
    #[test]
    fn the_end_waits_for_nobody() {
        let (mut ending, mut trying) = trying(TRIES);
        ending.patience = Duration::from_millis(1);
        let (release, held) = channel::<Infallible>();
        let thread = std::thread::spawn(move || {
            trying.send(
                |()| true,
                || {
                    // Until the test lets go, which is when the end is over.
                    let _ = held.recv();
                    Ok(())
                },
            )
        });
        // Without an end to the waiting, nobody would come to let go.
        drop(ending);
        drop(release);
        assert_eq!(thread.join().expect("no panic"), Ok(()));
    }
}
