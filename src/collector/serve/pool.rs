//! Buffers that are used again: the system clears each page that is asked for anew, and that costs more than to fill it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Buffers are made in steps of this, so that one does for many contents.
const STEP: usize = 256 << 10;
/// Buffers kept, and the largest of them: 16 MiB in all.
const KEPT: (usize, usize) = (8, 2 << 20);

/// Bytes kept of a single one from one time to the next; what was larger once is given back.
const KEPT_OF_ONE: usize = 16 << 20;

/// Empties a buffer to be used again, and gives back what it had of memory beyond [`KEPT_OF_ONE`].
pub(crate) fn emptied(buffer: &mut Vec<u8>) {
    buffer.clear();
    buffer.shrink_to(KEPT_OF_ONE);
}

/// Buffers that were given back.
#[derive(Debug, Default)]
pub(crate) struct Pool(Mutex<Vec<Vec<u8>>>);

/// A buffer that is given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Buffer {
    pub(crate) bytes: Vec<u8>,
    pool: Arc<Pool>,
}

impl Pool {
    fn kept(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An empty buffer with room for so many bytes.
    pub(crate) fn buffer(self: &Arc<Self>, bytes: usize) -> Buffer {
        let kept = {
            let mut kept = self.kept();
            let fits = kept.iter().position(|buffer| buffer.capacity() >= bytes);
            fits.map(|place| kept.swap_remove(place))
        };
        // Nobody waits for memory that somebody else asks for.
        let mut bytes = kept.unwrap_or_else(|| Vec::with_capacity(bytes.next_multiple_of(STEP)));
        bytes.clear();
        Buffer { bytes, pool: Arc::clone(self) }
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut kept = self.pool.kept();
        if kept.len() < KEPT.0 && (STEP..=KEPT.1).contains(&self.bytes.capacity()) {
            kept.push(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_buffers_are_used_again() {
        let pool = Arc::new(Pool::default());
        let kept = |asked: &[usize]| {
            let all: Vec<Buffer> = asked.iter().map(|bytes| pool.buffer(*bytes)).collect();
            assert!(all.iter().zip(asked).all(|(buffer, bytes)| buffer.bytes.capacity() >= *bytes));
            assert!(all.iter().all(|buffer| buffer.bytes.is_empty()));
            drop(all);
            pool.kept().len()
        };
        // One that fits is taken again; one that is too large to keep is not kept.
        assert_eq!([kept(&[1, STEP + 1]), kept(&[2 * STEP]), kept(&[KEPT.1 + 1])], [2, 2, 2]);
        assert_eq!(kept(&[STEP; 2 * KEPT.0]), KEPT.0);
    }

    #[test]
    fn what_was_large_once_is_given_back() {
        let mut buffer = vec![7; 2 * KEPT_OF_ONE];
        emptied(&mut buffer);
        assert!(buffer.is_empty() && buffer.capacity() <= KEPT_OF_ONE);
        let mut small = Vec::with_capacity(1000);
        emptied(&mut small);
        assert!((1000..KEPT_OF_ONE).contains(&small.capacity()));
    }
}
