//! The body of a request, read within bounds of size, memory and time.

use std::sync::Arc;

use bytes::{Buf as _, Bytes};
use http_body::Body;
use http_body_util::BodyExt as _;
use tokio::time::{Instant, timeout_at};

use super::budget::{Budget, Share};
use super::pool::Buffer;
use super::refusal::Refusal;

/// What a request costs besides its body: a task, headers, buffers of the connection.
const OVERHEAD: usize = 16 << 10;
/// Memory is taken in steps of this as a body comes, whatever length was promised: or a few that promise much and send nothing
/// would have it all.
const STEP: usize = 128 << 10;
/// What is read of a body that nobody wants, so that the connection stays good and the answer arrives.
const DISCARDED: usize = 8 << 20;

/// Bytes with the memory that they were given.
#[derive(Debug)]
pub(crate) struct Charged {
    pub(crate) bytes: Bytes,
    share: Share,
}

impl Charged {
    /// Makes room for so many bytes besides those that it has.
    pub(crate) fn charge(&mut self, more: usize) -> Result<(), Refusal> {
        charge(&mut self.share, self.bytes.len().saturating_add(more))
    }

    /// Puts others in their place, whose allocation is of this size.
    pub(crate) fn replace(&mut self, bytes: Bytes, size: usize) -> Result<(), Refusal> {
        self.bytes = bytes;
        charge(&mut self.share, size)
    }

    /// The bytes, which give their memory back when the last slice of them is dropped.
    pub(crate) fn into_bytes(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Charged {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

fn charge(share: &mut Share, bytes: usize) -> Result<(), Refusal> {
    if share.resize(bytes.saturating_add(OVERHEAD)) { Ok(()) } else { Err(Refusal::NoRoom) }
}

/// How a body is read.
#[derive(Debug)]
pub(crate) struct Reader<'a, B> {
    pub(crate) body: &'a mut B,
    /// Most bytes.
    pub(crate) limit: usize,
    /// When it has to be there.
    pub(crate) deadline: Instant,
    pub(crate) budget: &'a Arc<Budget>,
}

impl<B: Body<Data = Bytes> + Unpin> Reader<'_, B> {
    /// Reads all of it. `declared` is its length, if that was said.
    pub(crate) async fn whole(mut self, declared: Option<u64>) -> Result<Charged, Refusal> {
        let declared = declared.map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
        if declared.is_some_and(|bytes| bytes > self.limit) {
            return Err(Refusal::TooLarge { limit: self.limit });
        }
        let mut gathered = Pieces::new(self.budget, declared.unwrap_or(0))?;
        while let Some(piece) = self.next().await? {
            if gathered.len().saturating_add(piece.len()) > self.limit {
                return Err(Refusal::TooLarge { limit: self.limit });
            }
            gathered.push(piece)?;
        }
        Ok(gathered.finish(0))
    }

    /// Reads one gRPC message: whether it is compressed, its length in 4 bytes, and so many bytes. Memory is taken once the
    /// length is known.
    pub(crate) async fn message(mut self) -> Result<(bool, Charged), Refusal> {
        const PREFIX: usize = 5;
        let mut gathered = Pieces::new(self.budget, 0)?;
        let (compressed, end) = loop {
            if let Some([compressed, length @ ..]) = gathered.start::<PREFIX>() {
                let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
                if length > self.limit {
                    return Err(Refusal::TooLarge { limit: self.limit });
                }
                break (compressed, length + PREFIX);
            }
            match self.next().await? {
                Some(piece) => gathered.push(piece)?,
                None => return Err(Refusal::Framing("the request ends before its message")),
            }
        };
        gathered.expected = end;
        while gathered.len() < end {
            match self.next().await? {
                Some(piece) => gathered.push(piece)?,
                None => return Err(Refusal::Framing("the request ends within its message")),
            }
        }
        if gathered.len() > end || self.next().await?.is_some() {
            return Err(Refusal::Framing("more than one message"));
        }
        match compressed {
            0 | 1 => Ok((compressed == 1, gathered.finish(PREFIX))),
            _ => Err(Refusal::Framing("neither compressed nor not")),
        }
    }

    /// Reads what nobody wants, some of it.
    pub(crate) async fn discard(mut self) {
        let mut left = self.limit.min(DISCARDED);
        while let Ok(Some(piece)) = self.next().await {
            let Some(rest) = left.checked_sub(piece.len()) else { return };
            left = rest;
        }
    }

    /// The next piece that is not empty.
    async fn next(&mut self) -> Result<Option<Bytes>, Refusal> {
        loop {
            let frame = timeout_at(self.deadline, self.body.frame()).await.map_err(|_| Refusal::TooSlow)?;
            let Some(frame) = frame else { return Ok(None) };
            match frame.map_err(|_| Refusal::Cut)?.into_data() {
                Ok(piece) if !piece.is_empty() => return Ok(Some(piece)),
                // Trailers say nothing to us.
                Ok(_) | Err(_) => {}
            }
        }
    }
}

/// Pieces, joined unless there is only one: that is passed on as it is.
struct Pieces<'b> {
    first: Bytes,
    joined: Option<Buffer>,
    budget: &'b Arc<Budget>,
    /// How many bytes there will be, as far as is known.
    expected: usize,
    share: Share,
}

impl<'b> Pieces<'b> {
    fn new(budget: &'b Arc<Budget>, expected: usize) -> Result<Self, Refusal> {
        let share = budget.take(expected.min(STEP) + OVERHEAD).ok_or(Refusal::NoRoom)?;
        Ok(Self { first: Bytes::new(), joined: None, budget, expected, share })
    }

    fn len(&self) -> usize {
        self.first.len() + self.joined.as_ref().map_or(0, |joined| joined.bytes.len())
    }

    fn push(&mut self, piece: Bytes) -> Result<(), Refusal> {
        let total = self.len() + piece.len();
        charge(&mut self.share, total.next_multiple_of(STEP).min(self.expected.max(total)))?;
        // One that more will follow is copied at once: who read it reads on into the same memory.
        if self.len() == 0 && total >= self.expected {
            self.first = piece;
            return Ok(());
        }
        // Room for all of it at once: what is not filled is not there yet.
        let joined = self.joined.get_or_insert_with(|| self.budget.buffer(self.expected.max(total)));
        joined.bytes.extend_from_slice(&std::mem::take(&mut self.first));
        joined.bytes.extend_from_slice(&piece);
        Ok(())
    }

    fn start<const N: usize>(&self) -> Option<[u8; N]> {
        let held = self.joined.as_ref().map_or(&*self.first, |joined| &joined.bytes);
        held.first_chunk::<N>().copied()
    }

    /// What was gathered, without so many bytes in front.
    fn finish(self, skip: usize) -> Charged {
        let mut bytes = self.joined.map_or(self.first, Bytes::from_owner);
        bytes.advance(skip.min(bytes.len()));
        Charged { bytes, share: self.share }
    }
}

#[cfg(test)]
impl Charged {
    /// Bytes as if they had been read.
    pub(crate) fn of(budget: &Arc<Budget>, bytes: &[u8]) -> Self {
        let mut gathered = Pieces::new(budget, bytes.len()).expect("room");
        gathered.push(Bytes::copy_from_slice(bytes)).expect("room");
        gathered.finish(0)
    }
}
