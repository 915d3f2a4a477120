//! What a file of the journal holds.
//!
//! ```text
//! "hopseal journal 3\n" | frames: { length u32, CRC-32 u32, kind u8, number u64, body }
//! kind 0: a run of that number      kind 1: ids of traces, 16 bytes each, of which nothing in runs under that number is needed
//! ```
//! Integers are little-endian; the length is that of what stands behind the checksum, and the checksum is over the first line and that.
//! A file ends at the first
//! frame that is cut short or whose checksum is wrong: a process was killed while it wrote that, or could not write it,
//! and answered for nothing in it or behind it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use crc32fast::Hasher;
use hopseal_correlate::sink::TraceId;

/// What a file begins with.
pub(super) const MAGIC: &[u8] = b"hopseal journal 3\n";
/// What each version of us begins a file with; its number follows.
const ANY_VERSION: &[u8] = b"hopseal journal ";
/// The version that did not count its first line in its checksums.
const UNSUMMED: &[u8] = b"hopseal journal 1\n";
/// Bytes of the kind and the number.
const HEAD: usize = 9;
/// Bytes in front of what a frame's length counts.
const FRONT: usize = 8;

/// A frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Frame<'b> {
    /// Records, packed.
    Run { seq: u64, body: &'b [u8] },
    /// Traces that were let go, one id after the other: nothing of them in runs under `until` is needed.
    Gone { until: u64, ids: &'b [u8] },
}

impl<'b> Frame<'b> {
    /// What stands behind its head.
    pub(super) const fn body(self) -> &'b [u8] {
        match self {
            Self::Run { body, .. } => body,
            Self::Gone { ids, .. } => ids,
        }
    }

    /// Appends what stands in front of its body, which is far smaller than what a length can say.
    pub(super) fn head(self, to: &mut Vec<u8>) {
        let (kind, number, body) = match self {
            Self::Run { seq, body } => (0, seq, body),
            Self::Gone { until, ids } => (1, until, ids),
        };
        let mut head = [kind; HEAD];
        if let Some((_, place)) = head.split_first_chunk_mut::<1>() {
            place.copy_from_slice(&number.to_le_bytes());
        }
        let mut crc = sum_from(MAGIC);
        crc.update(&head);
        crc.update(body);
        let length = u32::try_from(HEAD + body.len()).unwrap_or(u32::MAX);
        to.extend_from_slice(&length.to_le_bytes());
        to.extend_from_slice(&crc.finalize().to_le_bytes());
        to.extend_from_slice(&head);
    }

    /// Appends it.
    #[cfg(test)]
    fn write(self, to: &mut Vec<u8>) {
        self.head(to);
        to.extend_from_slice(self.body());
    }
}

/// The frames of a file, up to the first that is not whole. None if it is none of ours.
pub(super) fn frames(file: &[u8]) -> Frames<'_> {
    match file.strip_prefix(MAGIC) {
        Some(rest) => Frames { rest, is_ours: true },
        None => Frames { rest: file, is_ours: false },
    }
}

/// Whether a file is of a version of us that wrote it in another way: it says so, and its first checksum agrees. A damaged file of
/// ours may say so too.
pub(super) fn is_other_version(file: &[u8]) -> bool {
    let line = file.iter().position(|byte| *byte == b'\n').and_then(|end| file.split_at_checked(end + 1));
    line.is_some_and(|(line, frames)| {
        line.starts_with(ANY_VERSION) && line != MAGIC && content(line, frames).is_some()
    })
}

/// A checksum of what stands in a file that begins with that line.
fn sum_from(line: &[u8]) -> Hasher {
    let mut crc = Hasher::new();
    if line != UNSUMMED {
        crc.update(line);
    }
    crc
}

/// What a whole frame counts, and what stands behind it.
fn content<'b>(line: &[u8], bytes: &'b [u8]) -> Option<(&'b [u8], &'b [u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (sum, rest) = rest.split_first_chunk::<4>()?;
    let (content, after) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    let mut crc = sum_from(line);
    crc.update(content);
    (crc.finalize() == u32::from_le_bytes(*sum)).then_some((content, after))
}

/// Calls `visit` with what a file says of traces that were let go: up to which run, and their ids. Runs are passed over, and not read;
/// what stands behind one that is damaged was written as well, and is as true.
pub(super) fn skim(file: &File, mut visit: impl FnMut(u64, &[u8])) -> io::Result<()> {
    let length = file.metadata()?.len();
    let mut magic = [0; MAGIC.len()];
    let mut at = magic.len() as u64;
    if length < at {
        return Ok(());
    }
    file.read_exact_at(&mut magic, 0)?;
    let mut head = [0; FRONT + 1];
    while magic == *MAGIC && at + head.len() as u64 <= length {
        file.read_exact_at(&mut head, at)?;
        let [a, b, c, d, _, _, _, _, kind] = head;
        let whole = FRONT as u64 + u64::from(u32::from_le_bytes([a, b, c, d]));
        if at + whole > length {
            break;
        }
        if kind == 1 {
            let mut bytes = vec![0; usize::try_from(whole).unwrap_or(0)];
            file.read_exact_at(&mut bytes, at)?;
            if let Some((Frame::Gone { until, ids }, _)) = first(&bytes) {
                visit(until, ids);
            }
        }
        at += whole;
    }
    Ok(())
}

/// See [`frames`].
#[derive(Debug, Clone)]
pub(super) struct Frames<'b> {
    rest: &'b [u8],
    is_ours: bool,
}

impl Frames<'_> {
    /// Bytes that are not read so far; at the end, those that are no frames.
    pub(super) const fn left(&self) -> usize {
        self.rest.len()
    }
}

impl<'b> Iterator for Frames<'b> {
    type Item = Frame<'b>;

    fn next(&mut self) -> Option<Frame<'b>> {
        let (frame, after) = first(self.rest).filter(|_| self.is_ours)?;
        self.rest = after;
        Some(frame)
    }
}

fn first(bytes: &[u8]) -> Option<(Frame<'_>, &[u8])> {
    let (content, after) = content(MAGIC, bytes)?;
    let ([kind], content) = content.split_first_chunk::<1>()?;
    let (number, body) = content.split_first_chunk::<8>()?;
    let frame = match kind {
        0 => Frame::Run { seq: u64::from_le_bytes(*number), body },
        1 => Frame::Gone { until: u64::from_le_bytes(*number), ids: body },
        _ => return None,
    };
    Some((frame, after))
}

/// The ids in a [`Frame::Gone`].
pub(in super::super) fn trace_ids(body: &[u8]) -> impl Iterator<Item = TraceId> {
    body.as_chunks().0.iter().map(|id| TraceId(*id))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_frame() -> impl Strategy<Value = (bool, u64, Vec<u8>)> {
        (any::<bool>(), any::<u64>(), prop::collection::vec(any::<u8>(), 0..40))
    }

    fn file(all: &[(bool, u64, Vec<u8>)]) -> Vec<u8> {
        let mut file = MAGIC.to_vec();
        all.iter().for_each(|frame| of(frame).write(&mut file));
        file
    }

    fn of((run, seq, body): &(bool, u64, Vec<u8>)) -> Frame<'_> {
        if *run { Frame::Run { seq: *seq, body } } else { Frame::Gone { until: *seq, ids: body } }
    }

    /// Guarantees: files of another version are told from damaged ones of ours.
    #[test]
    fn another_version_is_not_damage() {
        let file = |line: &[u8]| {
            let mut crc = sum_from(line);
            crc.update(b"spans");
            [line, &5_u32.to_le_bytes(), &crc.finalize().to_le_bytes(), b"spans"].concat()
        };
        assert!(is_other_version(&file(UNSUMMED)) && is_other_version(&file(b"hopseal journal 10\n")));
        let mut ours = MAGIC.to_vec();
        Frame::Run { seq: 1, body: b"spans" }.write(&mut ours);
        for at in 0..ours.len() {
            for bit in 0..8 {
                let mut damaged = ours.clone();
                damaged[at] ^= 1 << bit;
                assert!(!is_other_version(&damaged), "{at}, {bit}");
            }
        }
        assert!(!is_other_version(&ours) && !is_other_version(b"") && !is_other_version(UNSUMMED));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_up_to_where_it_is_cut(all in prop::collection::vec(any_frame(), 0..6), cut in any::<prop::sample::Index>()) {
            let whole = file(&all);
            prop_assert!(frames(&whole).eq(all.iter().map(of)));
            let mut all_of_it = frames(&whole);
            all_of_it.by_ref().for_each(drop);
            prop_assert_eq!(all_of_it.left(), 0);
            let cut = cut.index(whole.len());
            let read: Vec<Frame<'_>> = frames(whole.get(..cut).expect("shorter")).collect();
            prop_assert!(read.len() <= all.len());
            prop_assert!(read.iter().copied().eq(all.iter().take(read.len()).map(of)));
            let next: usize = all.iter().take(read.len() + 1).map(|(.., body)| FRONT + HEAD + body.len()).sum();
            prop_assert!(read.len() == all.len() || cut < MAGIC.len() + next);
        }

        #[test]
        fn what_was_let_go_is_found_without_reading_runs(all in prop::collection::vec(any_frame(), 0..6), cut in any::<prop::sample::Index>()) {
            let mut bytes = file(&all);
            bytes.truncate(cut.index(bytes.len() + 1));
            let mut file = tempfile::tempfile().expect("a file");
            io::Write::write_all(&mut file, &bytes).expect("written");
            let mut found = Vec::new();
            skim(&file, |until, ids| found.push((until, ids.to_vec()))).expect("read");
            let gone = frames(&bytes).filter_map(|frame| match frame {
                Frame::Gone { until, ids } => Some((until, ids.to_vec())),
                Frame::Run { .. } => None,
            });
            prop_assert_eq!(found, gone.collect::<Vec<_>>());
        }

        #[test]
        fn a_damaged_byte_ends_a_file(all in prop::collection::vec(any_frame(), 1..6), at in any::<prop::sample::Index>(), by in 1_u8..) {
            let mut damaged = file(&all);
            let at = at.index(damaged.len());
            *damaged.get_mut(at).expect("within") ^= by;
            let read: Vec<Frame<'_>> = frames(&damaged).collect();
            prop_assert!(read.len() < all.len());
            prop_assert!(read.iter().copied().eq(all.iter().take(read.len()).map(of)));
            let mut some_of_it = frames(&damaged);
            some_of_it.by_ref().for_each(drop);
            prop_assert!(some_of_it.left() > 0);
        }
    }
}
