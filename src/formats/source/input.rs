//! A stretch of the inflated file in memory, moved along it.

use std::io::{self, ErrorKind, Read};

/// What one growth starts from. It fits the second-level cache, and a file of small elements never outgrows it.
const FIRST: usize = 256 << 10;

/// The unread part of a file, as far as it was read into memory.
///
/// A failing reader ends the file: what was read before counts, and [`Input::fault`] keeps the reason.
pub(super) struct Input<'r> {
    source: Box<dyn Read + 'r>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    offset: u64,
    ended: bool,
    fault: Option<io::Error>,
}

impl<'r> Input<'r> {
    pub(super) fn new(source: Box<dyn Read + 'r>) -> Self {
        Self { source, buffer: Vec::new(), start: 0, end: 0, offset: 0, ended: false, fault: None }
    }

    /// What is in memory and not consumed.
    pub(super) fn rest(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// The next `count` bytes, or what is left: the same however the file comes in.
    pub(super) fn head(&mut self, count: usize) -> &[u8] {
        self.reach(count);
        let rest = self.rest();
        rest.get(..count).unwrap_or(rest)
    }

    /// Where [`Input::rest`] starts in the inflated file.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Whether nothing is left, neither in memory nor to be read.
    pub(super) fn is_spent(&mut self) -> bool {
        !self.reach(1)
    }

    /// Why reading stopped, when that was not the end of the file.
    pub(super) fn fault(&mut self) -> Option<io::Error> {
        self.fault.take()
    }

    /// Steps over `count` bytes of [`Input::rest`].
    pub(super) fn consume(&mut self, count: usize) {
        let count = count.min(self.end - self.start);
        self.start += count;
        self.offset += count as u64;
    }

    /// Steps over `count` bytes, in memory or not. False when the file ends before.
    pub(super) fn discard(&mut self, mut count: u64) -> bool {
        loop {
            let here = self.rest().len().min(usize::try_from(count).unwrap_or(usize::MAX));
            self.consume(here);
            count -= here as u64;
            if count == 0 {
                return true;
            }
            if !self.more() {
                return false;
            }
        }
    }

    /// Reads on until `count` bytes are in memory. False when the file ends before.
    pub(super) fn reach(&mut self, count: usize) -> bool {
        while self.end - self.start < count {
            if !self.more() {
                return false;
            }
        }
        true
    }

    /// Reads on, adding to [`Input::rest`]. False at the end of the file.
    pub(super) fn more(&mut self) -> bool {
        if self.ended {
            return false;
        }
        self.make_room();
        let room = self.buffer.get_mut(self.end..).unwrap_or_default();
        match self.source.read(room) {
            Ok(0) => self.ended = true,
            Ok(count) => self.end += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => {
                self.ended = true;
                self.fault = Some(error);
            }
        }
        !self.ended
    }

    /// Moves the rest to the front, or doubles the buffer when the rest fills most of it.
    fn make_room(&mut self) {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        if self.buffer.is_empty() || self.end - self.start > self.buffer.len() / 4 * 3 {
            self.buffer.resize((self.buffer.len() * 2).max(FIRST), 0);
        } else if self.end == self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
    }
}
