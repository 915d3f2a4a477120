//! Compression into memory that is kept from one time to the next: the system clears each page that is asked for anew, and
//! that costs more than to compress.

use lz4_flex::block::{CompressTable, compress_into_with_table, get_maximum_output_size};

/// Bytes kept from one time to the next; what was larger once is given back.
const KEPT: usize = 16 << 20;

/// Empties a buffer to be used again, and gives back what it had of memory beyond that.
pub(crate) fn emptied(buffer: &mut Vec<u8>) {
    buffer.clear();
    buffer.shrink_to(KEPT);
}

/// Compresses with LZ4.
pub(crate) struct Compressor {
    out: Vec<u8>,
    table: CompressTable,
}

impl Default for Compressor {
    fn default() -> Self {
        Self { out: Vec::new(), table: CompressTable::large() }
    }
}

impl std::fmt::Debug for Compressor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compressor").field("bytes", &self.out.len()).finish_non_exhaustive()
    }
}

impl Compressor {
    /// The bytes compressed, behind their length, as `lz4_flex::decompress_size_prepended` reads them; `None` for more than
    /// 4 GiB.
    pub(crate) fn compress(&mut self, bytes: &[u8]) -> Option<&[u8]> {
        let length = u32::try_from(bytes.len()).ok()?.to_le_bytes();
        let most = get_maximum_output_size(bytes.len()) + length.len();
        if self.out.len() < most {
            self.out.resize(most, 0);
        } else if self.out.len() > most.max(KEPT) {
            self.out.truncate(most.max(KEPT));
            self.out.shrink_to_fit();
        }
        let (front, rest) = self.out.split_first_chunk_mut()?;
        *front = length;
        let written = compress_into_with_table(bytes, rest, &mut self.table).ok()?;
        self.out.get(..length.len() + written)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_compressed_is_read(all in prop::collection::vec((0_usize..100_000, any::<u8>()), 1..6)) {
            let mut compressor = Compressor::default();
            for (length, step) in all {
                let bytes: Vec<u8> = (0..length).map(|at| (at / 7 * usize::from(step)) as u8).collect();
                let compressed = compressor.compress(&bytes).expect("not so large");
                prop_assert_eq!(lz4_flex::decompress_size_prepended(compressed).expect("whole"), bytes);
            }
        }
    }

    #[test]
    fn what_was_large_once_is_given_back() {
        let mut compressor = Compressor::default();
        compressor.compress(&vec![7; 2 * KEPT]).expect("not so large");
        compressor.compress(b"small").expect("not so large");
        assert!(compressor.out.capacity() <= KEPT);
        let mut buffer = vec![7; 2 * KEPT];
        emptied(&mut buffer);
        assert!(buffer.is_empty() && buffer.capacity() <= KEPT);
        let mut small = Vec::with_capacity(1000);
        emptied(&mut small);
        assert!((1000..KEPT).contains(&small.capacity()));
    }
}
