//! One of many that want the same does the work; the others wait until that is done, and look again.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use super::Key;

/// What is being worked on.
#[derive(Debug, Default)]
pub(crate) struct Flights(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    flying: HashMap<Key, (u64, Vec<Waker>)>,
    started: u64,
}

/// Who comes first works; who comes later waits.
#[derive(Debug)]
pub(crate) enum Boarding<'f> {
    /// Whoever holds this does the work. When it is dropped, done or not, the others go on.
    First(Landing<'f>),
    /// To be waited for, once. The result is not handed on: what was true when the work began may not be any more.
    Later(Landed<'f>),
}

impl Flights {
    pub(crate) fn board(&self, key: Key) -> Boarding<'_> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((number, _)) = state.flying.get(&key) {
            return Boarding::Later(Landed { flights: self, key, number: *number });
        }
        let number = state.started;
        state.started = number.wrapping_add(1);
        state.flying.insert(key, (number, Vec::new()));
        Boarding::First(Landing { flights: self, key })
    }
}

/// Ends the flight when dropped.
#[derive(Debug)]
pub(crate) struct Landing<'f> {
    flights: &'f Flights,
    key: Key,
}

impl Drop for Landing<'_> {
    fn drop(&mut self) {
        let mut state = self.flights.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = state.flying.remove(&self.key);
        drop(state);
        waiting.into_iter().flat_map(|(_, wakers)| wakers).for_each(Waker::wake);
    }
}

/// Done when the flight has ended.
#[derive(Debug)]
pub(crate) struct Landed<'f> {
    flights: &'f Flights,
    key: Key,
    number: u64,
}

impl Future for Landed<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.flights.0.lock().unwrap_or_else(PoisonError::into_inner);
        match state.flying.get_mut(&self.key) {
            Some((number, wakers)) if *number == self.number => {
                if !wakers.iter().any(|waker| waker.will_wake(context.waker())) {
                    wakers.push(context.waker().clone());
                }
                Poll::Pending
            }
            // Ended, and perhaps another one of this key began.
            _ => Poll::Ready(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn the_others_go_on_when_the_first_is_done_or_gives_up() {
        let flights = Flights::default();
        let first = flights.board([1; 32]);
        assert!(matches!(first, Boarding::First(_)));
        assert!(matches!(flights.board([2; 32]), Boarding::First(_)), "another key is another flight");
        let (Boarding::Later(second), Boarding::Later(third)) =
            (flights.board([1; 32]), flights.board([1; 32]))
        else {
            panic!("the first flies")
        };
        let (mut second, mut third) = (pin!(second), pin!(third));
        let count = Arc::new(Count(AtomicUsize::new(0)));
        let waker = Waker::from(Arc::clone(&count));
        let mut context = Context::from_waker(&waker);
        assert!(second.as_mut().poll(&mut context).is_pending());
        assert!(second.as_mut().poll(&mut context).is_pending());
        drop(first);
        assert_eq!(count.0.load(Ordering::Relaxed), 1, "once, though it asked twice");
        let again = flights.board([1; 32]);
        assert!(matches!(again, Boarding::First(_)));
        // They waited for the one before, not for this one.
        assert!(second.poll(&mut context).is_ready());
        assert!(third.as_mut().poll(&mut context).is_ready());
    }
}
