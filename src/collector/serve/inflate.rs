//! Compressed bodies. How large one gets is bounded, and its memory is taken before it is filled.

use std::io::{self, Read};
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Semaphore;

use super::body::Charged;
use super::refusal::Refusal;

/// Compressed bytes that are inflated where they arrive; more would keep the thread from its connections.
const HERE: usize = 32 << 10;
/// Largest window of zstd: 8 MiB (RFC 9659 section 3). It is allocated besides the result, by as many at a time as inflate.
const WINDOW_LOG: u32 = 23;
/// Most times its size that a result is reckoned at before it is seen.
const USUAL: usize = 8;

/// How a body is compressed (RFC 9110 section 8.4.1, RFC 8878).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    Identity,
    Gzip,
    Zstd,
}

impl Coding {
    /// The codings as `Accept-Encoding` and `grpc-accept-encoding` list them.
    pub(crate) const ALL: &str = "gzip, zstd, identity";

    /// A coding by its name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let name = name.trim();
        [("gzip", Self::Gzip), ("zstd", Self::Zstd), ("identity", Self::Identity), ("x-gzip", Self::Gzip)]
            .into_iter()
            .find_map(|(word, coding)| name.eq_ignore_ascii_case(word).then_some(coding))
    }
}

/// Inflates, so many large ones at a time.
#[derive(Debug)]
pub(crate) struct Inflater {
    turns: Arc<Semaphore>,
    limit: usize,
}

impl Inflater {
    /// Up to `limit` bytes each, `at_once` of them aside.
    pub(crate) fn new(limit: usize, at_once: usize) -> Self {
        Self { turns: Arc::new(Semaphore::new(at_once.max(1))), limit }
    }

    pub(crate) async fn inflate(&self, coding: Coding, body: Charged) -> Result<Charged, Refusal> {
        let limit = self.limit;
        if coding == Coding::Identity || body.bytes.len() <= HERE {
            return inflate(coding, body, limit);
        }
        // It is never closed, and a task that is gone was ours.
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| Refusal::Lost)?;
        let aside = tokio::task::spawn_blocking(move || {
            let inflated = inflate(coding, body, limit);
            drop(turn);
            inflated
        });
        aside.await.map_err(|_| Refusal::Lost)?
    }
}

fn inflate(coding: Coding, mut body: Charged, limit: usize) -> Result<Charged, Refusal> {
    if body.bytes.is_empty() {
        // Some clients compress nothing to nothing, and say how.
        return Ok(body);
    }
    let compressed = body.bytes.clone();
    let filled = match coding {
        Coding::Identity => return Ok(body),
        Coding::Gzip => {
            let expected = gzip_size(&compressed);
            fill(flate2::read::MultiGzDecoder::new(compressed.as_ref()), expected, &mut body, limit)?
        }
        Coding::Zstd => {
            let expected = zstd::zstd_safe::get_frame_content_size(&compressed).ok().flatten();
            let expected = expected.and_then(|size| usize::try_from(size).ok());
            let mut decoder =
                zstd::stream::read::Decoder::with_buffer(compressed.as_ref()).map_err(damaged)?;
            decoder.window_log_max(WINDOW_LOG).map_err(damaged)?;
            fill(decoder, expected, &mut body, limit)?
        }
    };
    let size = filled.capacity();
    body.replace(Bytes::from(filled), size)?;
    Ok(body)
}

/// The size that the last member of a gzip file says it inflates to (`ISIZE`, RFC 1952 section 2.3.1).
fn gzip_size(compressed: &[u8]) -> Option<usize> {
    usize::try_from(u32::from_le_bytes(*compressed.last_chunk()?)).ok()
}

/// Reads to the end. What is `expected` is a hint of whoever sent it, and is worth as much.
fn fill(
    mut from: impl Read,
    expected: Option<usize>,
    body: &mut Charged,
    limit: usize,
) -> Result<Vec<u8>, Refusal> {
    let usual = body.bytes.len().saturating_mul(USUAL).max(4 << 10);
    // One more than is expected, so that the end shows without growing.
    let mut size = expected.map_or(usual, |bytes| bytes.min(usual.saturating_mul(4))).min(limit) + 1;
    let mut filled = Vec::new();
    loop {
        body.charge(size)?;
        filled.reserve_exact(size.saturating_sub(filled.len()));
        let room = (size - filled.len()) as u64;
        from.by_ref().take(room).read_to_end(&mut filled).map_err(damaged)?;
        if filled.len() > limit {
            return Err(Refusal::TooLarge { limit });
        }
        if filled.len() < size {
            return Ok(filled);
        }
        size = size.saturating_mul(2).min(limit + 1);
    }
}

fn damaged(error: io::Error) -> Refusal {
    Refusal::Damaged(error.to_string())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::serve::budget::Budget;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut to = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        to.write_all(bytes).and_then(|()| to.finish()).expect("compresses")
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        zstd::encode_all(bytes, 3).expect("compresses")
    }

    #[test]
    fn what_comes_out_is_what_went_in_up_to_the_limit_and_memory_is_reckoned() {
        let data: Vec<u8> = (0..200_000_u32).flat_map(|n| (n / 7).to_le_bytes()).collect();
        let two: Vec<u8> = [gzip(&data), gzip(b"more")].concat();
        let budget = Budget::new(8 << 20);
        for (coding, bytes, expected) in [
            (Coding::Identity, b"abc".to_vec(), Ok(3)),
            (Coding::Gzip, gzip(&data), Ok(800_000)),
            (Coding::Gzip, gzip(b""), Ok(0)),
            (Coding::Gzip, two, Ok(800_004)),
            (Coding::Zstd, zstd(&data), Ok(800_000)),
            (Coding::Zstd, zstd(b""), Ok(0)),
            (Coding::Zstd, zstd::bulk::compress(&data, 3).expect("compresses"), Ok(800_000)),
            (Coding::Gzip, gzip(&vec![0; 1_000_001]), Err("too_large")),
            (Coding::Zstd, zstd(&vec![0; 1_000_001]), Err("too_large")),
            (Coding::Gzip, gzip(&data)[..100].to_vec(), Err("damaged")),
            (Coding::Zstd, zstd(&data)[..100].to_vec(), Err("damaged")),
            (Coding::Gzip, [gzip(b"abc"), b"and so on".to_vec()].concat(), Err("damaged")),
            (Coding::Gzip, b"{}".to_vec(), Err("damaged")),
            (Coding::Zstd, b"".to_vec(), Ok(0)),
            (Coding::Gzip, b"".to_vec(), Ok(0)),
        ] {
            let inflated = inflate(coding, Charged::of(&budget, &bytes), 1_000_000);
            let found = inflated.as_ref().map(|body| body.bytes.len()).map_err(|refusal| refusal.label());
            assert_eq!(found, expected, "{coding:?} of {} bytes", bytes.len());
            if let Ok(body) = inflated {
                assert!(budget.taken() >= body.bytes.len() && budget.taken() < 2_000_000);
            }
            assert_eq!(budget.taken(), 0);
        }
    }

    #[test]
    fn memory_that_is_not_there_is_not_filled() {
        let budget = Budget::new(500_000);
        let bytes = gzip(&vec![0; 900_000]);
        let refusal = inflate(Coding::Gzip, Charged::of(&budget, &bytes), 1_000_000).expect_err("no room");
        assert_eq!((refusal.label(), budget.taken()), ("no_room", 0));
    }

    #[tokio::test]
    async fn large_ones_are_inflated_aside() {
        let data: Vec<u8> = (0..2_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let budget = Budget::new(64 << 20);
        let bytes = zstd(&data);
        assert!(bytes.len() > HERE);
        let inflater = Inflater::new(4 << 20, 1);
        let inflated = inflater.inflate(Coding::Zstd, Charged::of(&budget, &bytes)).await.expect("inflates");
        assert!(inflated.bytes == data);
    }

    #[test]
    fn codings() {
        for (name, coding) in [
            ("gzip", Some(Coding::Gzip)),
            (" GZIP", Some(Coding::Gzip)),
            ("x-gzip", Some(Coding::Gzip)),
            ("zstd", Some(Coding::Zstd)),
            ("identity", Some(Coding::Identity)),
            ("deflate", None),
            ("gzip, gzip", None),
            ("", None),
        ] {
            assert_eq!(Coding::parse(name), coding, "{name}");
        }
    }
}
