//! How many bytes were read: a bound on work that a test can hold, where a clock could not.

#[cfg(test)]
std::thread_local! {
    static BYTES: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// Counts bytes read in one loop. Does nothing outside tests.
#[inline]
pub(super) fn count(bytes: usize) {
    #[cfg(test)]
    BYTES.with(|count| count.set(count.get() + bytes));
    #[cfg(not(test))]
    let _ = bytes;
}

/// Bytes read while `work` ran.
#[cfg(test)]
pub(super) fn of(work: impl FnOnce()) -> usize {
    BYTES.with(|count| count.set(0));
    work();
    BYTES.with(std::cell::Cell::get)
}
