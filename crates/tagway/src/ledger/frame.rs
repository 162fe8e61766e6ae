//! An entry of the journal as it lies on disk: its length, its checksum, its bytes. Many entries end alike: one that ends
//! like another one before it in its file says where that one is instead. Tells whole entries from damaged ones; knows
//! nothing of files, nor of what the bytes mean.

use std::ops::Range;

use serde::Serialize;

/// Length and checksum, four bytes each.
pub(super) const LEAD: usize = 8;
/// No entry is longer: a length beyond it is damage.
const LONGEST: usize = 16 << 20;
/// In a length: the entry ends like another one.
const LIKE: u32 = 1 << 31;
/// Where that one is, and where in its payload its end begins: four bytes each, before what is the entry's own.
const PLACE: usize = 8;
/// Most receipts fit.
const ROOM: usize = 640;

/// One entry, ready to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    bytes: Vec<u8>,
    /// Where in the payload begins what others may end with.
    end: u32,
    /// The file that it may stand in, where it refers to another one.
    file: Option<u64>,
}

/// Where an entry is that others may end like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Place {
    /// The number of its file.
    pub(super) file: u64,
    pub(super) end: End,
}

/// Where in a file the end of an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct End {
    /// Where the entry is.
    pub(super) at: u32,
    /// Where in its payload its end begins.
    pub(super) from: u32,
}

impl Frame {
    /// What is an entry's own, and what others may end with as well: in postcard's format, in which fields stand in
    /// their order, without names.
    pub(super) fn whole(own: &impl Serialize, end: &impl Serialize) -> postcard::Result<Self> {
        let mut bytes = Vec::with_capacity(ROOM);
        bytes.resize(LEAD, 0);
        let bytes = postcard::to_extend(own, bytes)?;
        let from = u32::try_from(bytes.len() - LEAD).unwrap_or(u32::MAX);
        Ok(Self { bytes: sealed(postcard::to_extend(end, bytes)?, 0), end: from, file: None })
    }

    /// One that ends like the one at a place.
    pub(super) fn like(own: &impl Serialize, place: Place) -> postcard::Result<Self> {
        let mut bytes = Vec::with_capacity(ROOM / 4);
        bytes.resize(LEAD, 0);
        bytes.extend_from_slice(&place.end.at.to_le_bytes());
        bytes.extend_from_slice(&place.end.from.to_le_bytes());
        Ok(Self { bytes: sealed(postcard::to_extend(own, bytes)?, LIKE), end: 0, file: Some(place.file) })
    }

    /// An entry that says nothing: readers pass over it.
    pub(super) fn empty() -> Self {
        Self { bytes: sealed(vec![0; LEAD], 0), end: 0, file: None }
    }

    /// As it is written.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What it says.
    pub(super) fn payload(&self) -> &[u8] {
        &self.bytes[LEAD..]
    }

    pub(super) fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Whether it may stand in a file.
    pub(super) fn fits(&self, file: u64) -> bool {
        self.file.is_none_or(|own| own == file)
    }

    /// Its place, where it stands so far behind the beginning of a file; nothing where none can be told.
    pub(super) fn place(&self, file: u64, at: u64) -> Option<Place> {
        let at = u32::try_from(at).ok().filter(|_| self.file.is_none())?;
        Some(Place { file, end: End { at, from: self.end } })
    }
}

/// Fills in the lead.
fn sealed(mut bytes: Vec<u8>, kind: u32) -> Vec<u8> {
    let payload = &bytes[LEAD..];
    let length = u32::try_from(payload.len()).unwrap_or(LIKE - 1) | kind;
    let sum = crc32fast::hash(payload);
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    bytes[4..LEAD].copy_from_slice(&sum.to_le_bytes());
    bytes
}

/// What stands next in the bytes of a journal.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// An entry whose payload lies here; the one after it begins at the range's end.
    Entry(Range<usize>),
    /// The same, but what it says goes on with the end of another one.
    Like(Range<usize>, End),
    /// The same, but it is not what was written.
    Damaged(Range<usize>),
    /// The rest is too short for what it begins.
    Cut,
    /// The rest is no entry, and where the next one begins cannot be told.
    Lost,
    /// Nothing.
    End,
}

/// How long a payload is, by its lead; nothing where that is no length.
pub(super) fn length(lead: &[u8]) -> Option<usize> {
    let length = u32::from_le_bytes(*lead.first_chunk()?) & !LIKE;
    Some(length as usize).filter(|length| *length <= LONGEST)
}

/// Looks at what begins at `at`.
pub(super) fn next(bytes: &[u8], at: usize) -> Next {
    let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) else { return Next::End };
    let Some((kind, _)) = rest.split_first_chunk::<4>() else { return Next::Cut };
    let is_like = u32::from_le_bytes(*kind) & LIKE != 0;
    let Some(length) = length(rest) else { return Next::Lost };
    let Some((sum, rest)) = rest[4..].split_first_chunk::<4>() else { return Next::Cut };
    let Some(payload) = rest.get(..length) else { return Next::Cut };
    let span = at + LEAD..at + LEAD + length;
    if crc32fast::hash(payload) != u32::from_le_bytes(*sum) {
        return Next::Damaged(span);
    }
    if !is_like {
        return Next::Entry(span);
    }
    let Some((at, from)) = payload.first_chunk::<4>().zip(payload[4.min(length)..].first_chunk::<4>()) else {
        return Next::Damaged(span);
    };
    let end = End { at: u32::from_le_bytes(*at), from: u32::from_le_bytes(*from) };
    Next::Like(span.start + PLACE..span.end, end)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What entries say, with the ends of others put behind their own.
    fn all(bytes: &[u8]) -> (Vec<Vec<u8>>, Next) {
        let (mut found, mut at) = (Vec::new(), 0);
        loop {
            match next(bytes, at) {
                Next::Entry(span) => {
                    at = span.end;
                    found.push(bytes[span].to_vec());
                }
                Next::Like(span, end) => {
                    let Next::Entry(other) = next(bytes, end.at as usize) else { panic!("{end:?}") };
                    at = span.end;
                    found.push([&bytes[span], &bytes[other][end.from as usize..]].concat());
                }
                other => return (found, other),
            }
        }
    }

    /// Entries, of which every other one ends like the one before it; and what they say.
    fn entries(texts: &[(String, String)]) -> (Vec<Frame>, Vec<Vec<u8>>) {
        let (mut frames, mut said, mut at) = (Vec::<Frame>::new(), Vec::new(), 0);
        let mut before: Option<(Place, &String)> = None;
        for (own, end) in texts {
            let (frame, end) = match before.take() {
                Some((place, end)) => (Frame::like(own, place).unwrap(), end),
                None => {
                    let frame = Frame::whole(own, end).unwrap();
                    before = frame.place(7, at).map(|place| (place, end));
                    (frame, end)
                }
            };
            assert_eq!((frame.fits(7), frame.fits(8)), (true, frame.place(7, 0).is_some()));
            at += frame.len();
            frames.push(frame);
            said.push(Frame::whole(own, end).unwrap().payload().to_vec());
        }
        (frames, said)
    }

    proptest! {
        #[test]
        fn entries_come_back_and_a_cut_loses_only_the_last(
            texts in proptest::collection::vec((".{0,40}", ".{0,40}"), 1..8), cut in 0usize..200
        ) {
            let (frames, said) = entries(&texts);
            let bytes: Vec<u8> = frames.iter().flat_map(|frame| frame.bytes().to_vec()).collect();
            prop_assert_eq!(all(&bytes), (said.clone(), Next::End));
            let kept = &bytes[..bytes.len().saturating_sub(cut)];
            let (found, _) = all(kept);
            prop_assert_eq!(&found[..], &said[..found.len()]);
            let left = frames.iter().scan(0, |end, frame| { *end += frame.bytes().len(); Some(*end) });
            prop_assert_eq!(found.len(), left.filter(|end| *end <= kept.len()).count());
        }

        #[test]
        fn a_flipped_bit_is_noticed(text in ".{1,40}", like: bool, at in 0usize..400, bit in 0u8..8) {
            let place = Place { file: 0, end: End { at: 16, from: 3 } };
            let frame = if like { Frame::like(&text, place) } else { Frame::whole(&text, &()) }.unwrap();
            let mut bytes = frame.bytes().to_vec();
            let at = at % bytes.len();
            let before = next(&bytes, 0);
            bytes[at] ^= 1 << bit;
            prop_assert_ne!(next(&bytes, 0), before);
        }

        #[test]
        fn any_bytes_are_something(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            match next(&bytes, 0) {
                Next::Entry(span) | Next::Damaged(span) | Next::Like(span, _) => prop_assert!(span.end <= bytes.len()),
                Next::Cut | Next::Lost | Next::End => {}
            }
        }
    }
}
