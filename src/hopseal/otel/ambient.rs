//! Identity along futures, tasks and threads.
//!
//! The context alone does not carry it everywhere: a `tracing` span that is entered puts the context it was built with in place
//! of the current one, and a new task or thread begins with none. So the identity is put into the current context at each poll,
//! beside whatever span is there, and is also kept for the thread while the future is polled.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use opentelemetry::{Context, ContextGuard};

use super::identity::HopIdentity;

thread_local! {
    static AMBIENT: RefCell<Option<HopIdentity>> = const { RefCell::new(None) };
}

/// The identity around what this thread is running.
pub(super) fn get() -> Option<HopIdentity> {
    AMBIENT.try_with(|ambient| ambient.try_borrow().ok().and_then(|identity| identity.clone())).ok().flatten()
}

/// Puts another in its place; what was there.
fn replace(identity: Option<HopIdentity>) -> Option<HopIdentity> {
    let swap = |ambient: &RefCell<Option<HopIdentity>>| {
        ambient.try_borrow_mut().ok().and_then(|mut it| std::mem::replace(&mut *it, identity))
    };
    AMBIENT.try_with(swap).ok().flatten()
}

/// While it lives, the identity is in the current context.
struct Entered {
    before: Option<HopIdentity>,
    _context: Option<ContextGuard>,
}

impl Entered {
    fn new(identity: &HopIdentity) -> Self {
        let before = replace(Some(identity.clone()));
        let there = Context::map_current(|cx| cx.get::<HopIdentity>().is_some_and(|it| it.is(identity)));
        let _context = (!there).then(|| Context::map_current(|cx| cx.with_value(identity.clone())).attach());
        Self { before, _context }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        replace(self.before.take());
    }
}

pin_project_lite::pin_project! {
    /// A future that runs with an identity: see [`with_identity`].
    #[must_use = "futures do nothing unless polled"]
    pub struct WithIdentity<F> {
        #[pin]
        future: F,
        identity: Option<HopIdentity>,
        context: Option<Context>,
    }
}

impl<F: Future> Future for WithIdentity<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _context = this.context.clone().map(Context::attach);
        let _identity = this.identity.as_ref().map(Entered::new);
        this.future.poll(task)
    }
}

/// Runs a future with an identity, in whatever context it is polled: its span stays the parent of what is made inside, and the
/// identity is there after every `.await`, under spans entered inside or around.
///
/// ```
/// use hopseal::otel::{HopIdentity, with_identity};
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// with_identity(HopIdentity::anonymous(), async {
///     tokio::task::yield_now().await;
///     assert!(HopIdentity::current().is_some());
/// })
/// .await;
/// assert!(HopIdentity::current().is_none());
/// # });
/// ```
pub const fn with_identity<F: Future>(identity: HopIdentity, future: F) -> WithIdentity<F> {
    WithIdentity { future, identity: Some(identity), context: None }
}

/// The current context, with the identity that is around in it.
#[cfg(any(feature = "messaging", feature = "tower"))]
pub(crate) fn current() -> Context {
    let cx = Context::current();
    match HopIdentity::of(&cx) {
        Some(identity) if cx.get::<HopIdentity>().is_none() => cx.with_value(identity),
        _ => cx,
    }
}

/// Runs a future in a context, with an identity.
#[cfg(feature = "messaging")]
pub(crate) const fn within<F: Future>(context: Context, identity: HopIdentity, future: F) -> WithIdentity<F> {
    WithIdentity { future, identity: Some(identity), context: Some(context) }
}

/// Begins a future in a context, if there is one to be had, with an identity; and runs it so.
#[cfg(feature = "tower")]
pub(crate) fn begun_within<F: Future>(
    context: Option<Context>,
    identity: HopIdentity,
    begin: impl FnOnce() -> F,
) -> WithIdentity<F> {
    let future = {
        let _context = context.clone().map(Context::attach);
        let _identity = Entered::new(&identity);
        begin()
    };
    WithIdentity { future, identity: Some(identity), context }
}

/// Takes the current context and identity along with a future that is polled elsewhere: `tokio::spawn(carried(future))`.
pub fn carried<F: Future>(future: F) -> WithIdentity<F> {
    WithIdentity { future, identity: HopIdentity::current(), context: Some(Context::current()) }
}

/// Takes the current context and identity along with what runs elsewhere: `std::thread::spawn(carried_fn(f))`.
pub fn carried_fn<T>(f: impl FnOnce() -> T) -> impl FnOnce() -> T {
    let (identity, context) = (HopIdentity::current(), Context::current());
    move || {
        let _context = context.attach();
        let _identity = identity.as_ref().map(Entered::new);
        f()
    }
}

/// `tokio::spawn` of a future that takes the current context and identity along.
///
/// # Panics
/// Outside of a Tokio runtime, as `tokio::spawn` does.
#[cfg(feature = "tokio")]
pub fn spawn<F>(future: F) -> tokio::task::JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    tokio::spawn(carried(future))
}

/// `tokio::task::spawn_blocking` of what takes the current context and identity along.
///
/// # Panics
/// Outside of a Tokio runtime, as `tokio::task::spawn_blocking` does.
#[cfg(feature = "tokio")]
pub fn spawn_blocking<F, T>(f: F) -> tokio::task::JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    tokio::task::spawn_blocking(carried_fn(f))
}
