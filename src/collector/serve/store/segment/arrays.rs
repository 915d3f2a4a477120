//! Rows as Arrow has them, column by column.

use std::sync::Arc;

use arrow_array::types::UInt32Type;
use arrow_array::{
    ArrayRef, BooleanArray, DictionaryArray, FixedSizeBinaryArray, Int32Array, Int64Array, LargeStringArray,
    TimestampNanosecondArray, UInt32Array,
};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer};
use arrow_schema::ArrowError;

use super::columns::TEXTS;
use super::write::outcome;
use super::{Full, Line, Rows};
use crate::serve::store::block::{Block, Hop, HopTexts, Judged, Text};

/// The texts of some blocks, each once a block.
pub(super) struct Texts {
    pub(super) all: Arc<LargeStringArray>,
    /// Where those of each block begin, and how many they are.
    blocks: Vec<(u32, u32)>,
}

impl Texts {
    pub(super) fn of(blocks: &[&Block]) -> Result<Self, ArrowError> {
        let all =
            Arc::new(LargeStringArray::from_iter_values(blocks.iter().flat_map(|block| block.texts.iter())));
        let mut first = 0_u32;
        let counted = blocks.iter().map(|block| {
            let (own, count) = (first, u32::try_from(block.texts.len()).ok()?);
            first = first.checked_add(count)?;
            Some((own, count))
        });
        let blocks = counted.collect::<Option<_>>().ok_or(ArrowError::DictionaryKeyOverflowError)?;
        Ok(Self { all, blocks })
    }

    /// The numbers among all texts of those of a block; 0 for the empty one, and none of any for what is none of the block.
    fn numbers(&self, block: u32, texts: HopTexts) -> [u32; TEXTS.len()] {
        let (first, count) = self.blocks.get(block as usize).copied().unwrap_or_default();
        texts.to_array().map(|Text(text)| match text {
            0 => 0,
            _ if text < count => first + text,
            _ => u32::MAX,
        })
    }
}

/// Words of ours, by their numbers.
#[derive(Default)]
struct Words {
    seen: [&'static str; WORDS],
    keys: Vec<u32>,
}

/// Of each kind there are fewer.
const WORDS: usize = 8;

impl Words {
    fn push(&mut self, number: u8, word: &'static str) {
        if let Some(seen) = self.seen.get_mut(usize::from(number)) {
            *seen = word;
        }
        self.keys.push(u32::from(number));
    }

    fn array(self, nulls: Option<NullBuffer>) -> Result<ArrayRef, ArrowError> {
        dictionary(self.keys, nulls, Arc::new(LargeStringArray::from_iter_values(self.seen)))
    }
}

fn dictionary(
    keys: Vec<u32>,
    nulls: Option<NullBuffer>,
    texts: Arc<LargeStringArray>,
) -> Result<ArrayRef, ArrowError> {
    let keys = UInt32Array::try_new(keys.into(), nulls)?;
    Ok(Arc::new(DictionaryArray::<UInt32Type>::try_new(keys, texts)?))
}

fn ids<const N: usize>(ids: Vec<[u8; N]>, nulls: Option<NullBuffer>) -> Result<ArrayRef, ArrowError> {
    Ok(Arc::new(FixedSizeBinaryArray::try_new(N as i32, Buffer::from_vec(ids.into_flattened()), nulls)?))
}

/// Which of some values are missing; `None` where none is.
fn missing<T>(values: &[T], is_there: impl Fn(&T) -> bool) -> Option<NullBuffer> {
    let there = BooleanBuffer::collect_bool(values.len(), |at| values.get(at).is_some_and(&is_there));
    Some(NullBuffer::new(there)).filter(|nulls| nulls.null_count() > 0)
}

/// A row, with the hop itself.
struct Near<'b> {
    subject: [u8; 16],
    block: u32,
    place: u32,
    judged: &'b Judged,
    hop: Hop,
}

/// Rows that are copied together before their columns are: each is somewhere else, and so several are waited for at once.
const NEAR: usize = 256;

impl<'b> Near<'b> {
    fn of(Full { subject, block, place, judged, hop }: Full<'b>) -> Self {
        Self { subject: *subject, block, place, judged, hop: *hop }
    }
}

/// Some rows, column by column.
struct Columns {
    subjects: Vec<[u8; 16]>,
    starts: Vec<i64>,
    ends: Vec<i64>,
    trace_ids: Vec<[u8; 16]>,
    versions: Vec<i32>,
    places: Vec<i32>,
    span_ids: Vec<[u8; 8]>,
    parents: Vec<Option<[u8; 8]>>,
    callers: Vec<Option<i32>>,
    /// Numbers among all texts; 0 for none.
    texts: [Vec<u32>; TEXTS.len()],
    kinds: Words,
    assurances: Words,
    bases: Words,
    outcomes: Words,
    principal_kinds: Words,
    /// Whether there is a principal.
    named: Vec<bool>,
    uncovered: Vec<bool>,
    complete: Vec<bool>,
    closed_early: Vec<bool>,
    missing_parents: Vec<i32>,
    digests: Vec<i64>,
}

impl Columns {
    /// Empty ones, with room for so many rows.
    fn with_room(rows: usize) -> Self {
        let words = || Words { keys: Vec::with_capacity(rows), ..Words::default() };
        Self {
            subjects: Vec::with_capacity(rows),
            starts: Vec::with_capacity(rows),
            ends: Vec::with_capacity(rows),
            trace_ids: Vec::with_capacity(rows),
            versions: Vec::with_capacity(rows),
            places: Vec::with_capacity(rows),
            span_ids: Vec::with_capacity(rows),
            parents: Vec::with_capacity(rows),
            callers: Vec::with_capacity(rows),
            texts: std::array::from_fn(|_| Vec::with_capacity(rows)),
            kinds: words(),
            assurances: words(),
            bases: words(),
            outcomes: words(),
            principal_kinds: words(),
            named: Vec::with_capacity(rows),
            uncovered: Vec::with_capacity(rows),
            complete: Vec::with_capacity(rows),
            closed_early: Vec::with_capacity(rows),
            missing_parents: Vec::with_capacity(rows),
            digests: Vec::with_capacity(rows),
        }
    }

    fn of(rows: &Rows<'_>, lines: &[Line], texts: &Texts) -> Self {
        let mut columns = Self::with_room(lines.len());
        let mut near = Vec::with_capacity(NEAR);
        for lines in lines.chunks(NEAR) {
            near.clear();
            near.extend(lines.iter().filter_map(|line| rows.full(line)).map(Near::of));
            columns.extend(&near, texts);
        }
        columns
    }

    fn extend(&mut self, rows: &[Near<'_>], texts: &Texts) {
        self.subjects.extend(rows.iter().map(|row| row.subject));
        self.starts.extend(rows.iter().map(|row| row.hop.start.cast_signed()));
        self.ends.extend(rows.iter().map(|row| row.hop.end.cast_signed()));
        self.trace_ids.extend(rows.iter().map(|row| row.judged.trace_id.0));
        self.versions.extend(rows.iter().map(|row| row.judged.version.cast_signed()));
        self.places.extend(rows.iter().map(|row| row.place.cast_signed()));
        self.span_ids.extend(rows.iter().map(|row| row.hop.span_id.0));
        self.parents.extend(rows.iter().map(|row| row.hop.parent.map(|parent| parent.0)));
        self.callers.extend(rows.iter().map(|row| row.hop.caller.map(u32::cast_signed)));
        for row in rows {
            for (column, text) in self.texts.iter_mut().zip(texts.numbers(row.block, row.hop.texts)) {
                column.push(text);
            }
        }
        for Near { hop, .. } in rows {
            self.kinds.push(hop.kind as u8, hop.kind.as_str());
            self.assurances.push(hop.assurance as u8, hop.assurance.as_str());
            self.bases.push(hop.basis as u8, hop.basis.as_str());
            self.outcomes.push(hop.outcome as u8, outcome(hop.outcome));
            self.principal_kinds.push(hop.principal_kind as u8, hop.principal_kind.as_str());
        }
        self.named.extend(rows.iter().map(|row| row.hop.texts.principal.0 != 0));
        self.uncovered.extend(rows.iter().map(|row| row.hop.uncovered));
        self.complete.extend(rows.iter().map(|row| row.judged.complete));
        self.closed_early.extend(rows.iter().map(|row| row.judged.closed_early));
        self.missing_parents.extend(rows.iter().map(|row| row.judged.missing_parents.cast_signed()));
        self.digests.extend(rows.iter().map(|row| row.judged.digest.cast_signed()));
    }
}

/// The columns of some rows, in their order.
pub(super) fn arrays(rows: &Rows<'_>, lines: &[Line], texts: &Texts) -> Result<Vec<ArrayRef>, ArrowError> {
    let columns = Columns::of(rows, lines, texts);
    let times = |times: Vec<i64>| -> ArrayRef {
        Arc::new(TimestampNanosecondArray::from(times).with_timezone("UTC"))
    };
    let numbers = |numbers: Vec<i32>| -> ArrayRef { Arc::new(Int32Array::from(numbers)) };
    let truths = |truths: Vec<bool>| -> ArrayRef { Arc::new(BooleanArray::from(truths)) };
    let parents = columns.parents.iter().map(|parent| parent.unwrap_or_default()).collect();
    let mut all = vec![
        ids(columns.subjects, None)?,
        times(columns.starts),
        times(columns.ends),
        ids(columns.trace_ids, None)?,
        numbers(columns.versions),
        numbers(columns.places),
        ids(columns.span_ids, None)?,
        ids(parents, missing(&columns.parents, Option::is_some))?,
        Arc::new(Int32Array::from(columns.callers)),
    ];
    for keys in columns.texts {
        let nulls = missing(&keys, |key| *key != 0);
        all.push(dictionary(keys, nulls, Arc::clone(&texts.all))?);
    }
    for words in [columns.kinds, columns.assurances, columns.bases, columns.outcomes] {
        all.push(words.array(None)?);
    }
    all.extend([
        columns.principal_kinds.array(missing(&columns.named, |is_named| *is_named))?,
        truths(columns.uncovered),
        truths(columns.complete),
        truths(columns.closed_early),
        numbers(columns.missing_parents),
        Arc::new(Int64Array::from(columns.digests)),
    ]);
    Ok(all)
}
