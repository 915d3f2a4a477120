//! gzip and zstd, told by their first bytes and inflated as a stream.

use std::cell::Cell;
use std::io::{self, BufReader, Cursor, Error, ErrorKind, Read};
use std::rc::Rc;

use super::Limits;

/// RFC 1952 2.3.1.
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// RFC 8878 3.1.1.
pub(super) const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// zstd may ask for a window of its own size; this is what `zstd` itself takes without being told (128 MiB).
const ZSTD_WINDOW_LOG: u32 = 27;

/// An input after inflating.
pub(super) struct Inflated<'r> {
    pub(super) stream: Box<dyn Read + 'r>,
    /// How many bytes of the input itself were taken so far.
    pub(super) taken: Rc<Cell<u64>>,
}

/// Inflates `input`, if it is compressed.
///
/// # Errors
/// When the first bytes cannot be read.
pub(super) fn inflate<'r>(
    input: impl Read + 'r,
    limits: &Limits,
    progress: &'r mut dyn FnMut(u64),
) -> io::Result<Inflated<'r>> {
    let taken = Rc::new(Cell::new(0));
    let mut input = Counted { input, taken: Rc::clone(&taken), progress };
    let mut head = [0; ZSTD.len()];
    let mut length = 0;
    while let Some(room) = head.get_mut(length..).filter(|room| !room.is_empty()) {
        match input.read(room) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let begins = head.get(..length).unwrap_or_default().to_vec();
    let (gzip, zstd) = (begins.starts_with(&GZIP), begins.starts_with(&ZSTD));
    let whole = Cursor::new(begins).chain(input);
    let guard = |inner| Guarded { inner, taken: Rc::clone(&taken), given: 0, limits: limits.clone() };
    let stream: Box<dyn Read + 'r> = if gzip {
        Box::new(guard(Box::new(flate2::read::MultiGzDecoder::new(BufReader::with_capacity(
            64 << 10,
            whole,
        )))))
    } else if zstd {
        Box::new(guard(Box::new(unzstd(whole)?)))
    } else {
        Box::new(whole)
    };
    Ok(Inflated { stream, taken })
}

/// The inflated stream of zstd frames, one after the other.
pub(super) fn unzstd<'r>(input: impl Read + 'r) -> io::Result<impl Read + 'r> {
    let mut decoder = zstd::stream::read::Decoder::new(input)?;
    decoder.window_log_max(ZSTD_WINDOW_LOG)?;
    Ok(decoder)
}

/// Counts what is read from the file itself, for a progress bar and for [`Guarded`].
struct Counted<'r, R> {
    input: R,
    taken: Rc<Cell<u64>>,
    progress: &'r mut dyn FnMut(u64),
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(room)?;
        let taken = self.taken.get() + count as u64;
        self.taken.set(taken);
        (self.progress)(taken);
        Ok(count)
    }
}

/// Ends a stream that inflates to more than [`Limits`] allow.
struct Guarded<'r> {
    inner: Box<dyn Read + 'r>,
    taken: Rc<Cell<u64>>,
    given: u64,
    limits: Limits,
}

impl Read for Guarded<'_> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(room)?;
        self.given += count as u64;
        let limits = &self.limits;
        if self.given > limits.inflated {
            return Err(bomb(format!("inflates to more than {} bytes", limits.inflated)));
        }
        if self.given > limits.ratio_from && self.given / limits.ratio.max(1) > self.taken.get() {
            return Err(bomb(format!("inflates to more than {} times its size", limits.ratio)));
        }
        Ok(count)
    }
}

fn bomb(what: String) -> Error {
    Error::new(ErrorKind::InvalidData, what)
}
