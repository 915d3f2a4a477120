//! A last line of defence: what panics though nothing of ours should, costs what it was about and no more.
//!
//! What a panic says may hold a part of a span, and so a secret: it is not logged, where it happened is.

use std::cell::{Cell, RefCell};
use std::fmt::{self, Display, Formatter};
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    /// Whether a panic of this thread is caught.
    static IS_GUARDED: Cell<bool> = const { Cell::new(false) };
    /// Where the last one was.
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

static HOOK: Once = Once::new();

/// Where something panicked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Panicked(Option<String>);

impl Display for Panicked {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_deref().unwrap_or("unknown"))
    }
}

/// Does something that may panic by a fault of ours. Whoever asks for that sees to it that what the work had to do with is whole
/// afterwards, or let go of: the compiler is told so here.
///
/// # Errors
/// Where it panicked.
pub(crate) fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, Panicked> {
    HOOK.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |panic| match IS_GUARDED.get() {
            true => PLACE.set(panic.location().map(ToString::to_string)),
            false => before(panic),
        }));
    });
    let before = IS_GUARDED.replace(true);
    let done = catch_unwind(AssertUnwindSafe(work));
    IS_GUARDED.set(before);
    // What it says is let go of, unread.
    done.map_err(|_| Panicked(PLACE.take()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guarantees: whoever asked is told where it was and not what it said, also where one is within another, and the thread goes on.
    #[test]
    fn it_is_told_where_and_not_what() {
        let fails = || guarded(|| panic!("a secret"));
        let within = guarded(|| {
            let within: Result<(), _> = fails();
            assert!(within.is_err());
            7
        });
        assert_eq!(within, Ok(7));
        let panicked: Panicked = fails().map(|()| 0).expect_err("it panics");
        let said = format!("{panicked} {panicked:?}");
        assert!(said.contains("guard.rs:") && !said.contains("secret"), "{said}");
        assert_eq!(guarded(|| 8), Ok(8));
    }
}
