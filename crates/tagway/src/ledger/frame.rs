//! An entry of the journal as it lies on disk: its length, its checksum, its bytes. Tells whole entries from damaged
//! ones; knows nothing of files, nor of what the bytes mean.

use std::ops::Range;

use serde::Serialize;

/// Length and checksum, four bytes each.
pub(super) const LEAD: usize = 8;
/// No entry is longer: a length beyond it is damage.
const LONGEST: usize = 16 << 20;
/// Most receipts fit.
const ROOM: usize = 640;

/// One entry, ready to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame(Vec<u8>);

impl Frame {
    /// A value in postcard's format: its fields in their order, without names.
    pub(super) fn of(value: &impl Serialize) -> postcard::Result<Self> {
        let mut bytes = Vec::with_capacity(ROOM);
        bytes.resize(LEAD, 0);
        Ok(Self::sealed(postcard::to_extend(value, bytes)?))
    }

    /// An entry that says nothing: readers pass over it.
    pub(super) fn empty() -> Self {
        Self::sealed(vec![0; LEAD])
    }

    fn sealed(mut bytes: Vec<u8>) -> Self {
        let payload = &bytes[LEAD..];
        let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        let sum = crc32fast::hash(payload);
        bytes[..4].copy_from_slice(&length.to_le_bytes());
        bytes[4..LEAD].copy_from_slice(&sum.to_le_bytes());
        Self(bytes)
    }

    /// As it is written.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// What it says.
    pub(super) fn payload(&self) -> &[u8] {
        &self.0[LEAD..]
    }

    pub(super) fn len(&self) -> u64 {
        self.0.len() as u64
    }
}

/// What stands next in the bytes of a journal.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// An entry whose payload lies here; the one after it begins at the range's end.
    Entry(Range<usize>),
    /// The same, but it is not what was written.
    Damaged(Range<usize>),
    /// The rest is too short for what it begins.
    Cut,
    /// The rest is no entry, and where the next one begins cannot be told.
    Lost,
    /// Nothing.
    End,
}

/// Looks at what begins at `at`.
pub(super) fn next(bytes: &[u8], at: usize) -> Next {
    let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) else { return Next::End };
    let Some((length, rest)) = rest.split_first_chunk::<4>() else { return Next::Cut };
    let Some((sum, rest)) = rest.split_first_chunk::<4>() else { return Next::Cut };
    let length = u32::from_le_bytes(*length) as usize;
    if LONGEST < length {
        return Next::Lost;
    }
    let Some(payload) = rest.get(..length) else { return Next::Cut };
    let span = at + LEAD..at + LEAD + length;
    if crc32fast::hash(payload) == u32::from_le_bytes(*sum) { Next::Entry(span) } else { Next::Damaged(span) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(bytes: &[u8]) -> (Vec<&[u8]>, Next) {
        let (mut found, mut at) = (Vec::new(), 0);
        loop {
            match next(bytes, at) {
                Next::Entry(span) => {
                    at = span.end;
                    found.push(&bytes[span]);
                }
                other => return (found, other),
            }
        }
    }

    proptest! {
        #[test]
        fn entries_come_back_and_a_cut_loses_only_the_last(
            texts in proptest::collection::vec(".{0,40}", 1..8), cut in 0usize..200
        ) {
            let frames: Vec<Frame> = texts.iter().map(|text| Frame::of(text).unwrap()).collect();
            let bytes: Vec<u8> = frames.iter().flat_map(|frame| frame.bytes().to_vec()).collect();
            let payloads: Vec<&[u8]> = frames.iter().map(Frame::payload).collect();
            prop_assert_eq!(all(&bytes), (payloads.clone(), Next::End));
            let kept = &bytes[..bytes.len().saturating_sub(cut)];
            let (found, _) = all(kept);
            prop_assert_eq!(&found[..], &payloads[..found.len()]);
            let left = frames.iter().scan(0, |end, frame| { *end += frame.bytes().len(); Some(*end) });
            prop_assert_eq!(found.len(), left.filter(|end| *end <= kept.len()).count());
        }

        #[test]
        fn a_flipped_bit_is_noticed(text in ".{1,40}", at in 0usize..400, bit in 0u8..8) {
            let frame = Frame::of(&text).unwrap();
            let mut bytes = frame.bytes().to_vec();
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            prop_assert_ne!(next(&bytes, 0), Next::Entry(LEAD..bytes.len()));
        }
    }
}
