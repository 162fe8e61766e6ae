//! The tokens of `o200k_base`, and how many of them a piece of text makes. The vocabulary is OpenAI's, as published
//! with tiktoken under the MIT licence; `scripts/tokens` writes it. It lies in the program; an index of it (3 MB) is
//! made when something is counted for the first time.

use std::sync::LazyLock;

/// Lengths of all tokens by rank, a zero, the tokens.
static TOKENS: &[u8] = include_bytes!("o200k.bin");

/// Pieces longer than this are cut: no word is, and the time a piece takes grows with its length twice.
const LONGEST: usize = 256;

static INDEX: LazyLock<Index> = LazyLock::new(Index::new);

/// Finds tokens by their bytes.
struct Index {
    tokens: &'static [u8],
    /// Where each token begins, by rank; and where the last ends.
    starts: Vec<u32>,
    /// Ranks by hash, one more than they are; 0 where there is none.
    slots: Vec<u32>,
}

/// A power of two, more than twice the number of tokens.
const SLOTS: usize = 1 << 19;

impl Index {
    fn new() -> Self {
        let lengths = TOKENS.split(|length| *length == 0).next().unwrap_or_default();
        let tokens = TOKENS.get(lengths.len() + 1..).unwrap_or_default();
        let mut index = Self { tokens, starts: Vec::with_capacity(lengths.len() + 1), slots: vec![0; SLOTS] };
        let mut start = 0_u32;
        index.starts.push(start);
        for (length, number) in lengths.iter().zip(1..) {
            let token = start as usize..start as usize + usize::from(*length);
            start += u32::from(*length);
            index.starts.push(start);
            let mut slot = hash(tokens.get(token).unwrap_or_default());
            while index.slots[slot] != 0 {
                slot = (slot + 1) % SLOTS;
            }
            index.slots[slot] = number;
        }
        index
    }

    /// The rank of a token.
    fn rank(&self, token: &[u8]) -> Option<u32> {
        let mut slot = hash(token);
        loop {
            let rank = self.slots[slot].checked_sub(1)?;
            let (start, end) = (self.starts[rank as usize] as usize, self.starts[rank as usize + 1] as usize);
            if self.tokens.get(start..end) == Some(token) {
                return Some(rank);
            }
            slot = (slot + 1) % SLOTS;
        }
    }
}

fn hash(token: &[u8]) -> usize {
    let mix = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = token.iter().fold(0xcbf2_9ce4_8422_2325, mix);
    #[expect(clippy::cast_possible_truncation, reason = "the upper bits are mixed best, and few are needed")]
    let slot = (hash ^ (hash >> 32)) as usize % SLOTS;
    slot
}

/// How many tokens a piece makes.
pub(super) fn count(piece: &str) -> u64 {
    let piece = piece.as_bytes();
    if piece.len() < 2 {
        return piece.len() as u64;
    }
    let index = &*INDEX;
    piece.chunks(LONGEST).map(|part| if index.rank(part).is_some() { 1 } else { merged(index, part) }).sum()
}

/// Byte-pair encoding: of all neighbours that make a token together, those of the lowest rank become one, until none
/// do.
fn merged(index: &Index, piece: &[u8]) -> u64 {
    const NONE: u32 = u32::MAX;
    let rank = |from: usize, to: usize| piece.get(from..to).and_then(|pair| index.rank(pair)).unwrap_or(NONE);
    // Where each part begins, and the rank of it with the next one.
    let mut parts: Vec<(usize, u32)> = (0..piece.len()).map(|at| (at, rank(at, at + 2))).collect();
    parts.push((piece.len(), NONE));
    let mut pairs = parts.len() - 1;
    while let Some((at, lowest)) =
        parts[..pairs].iter().map(|(_, rank)| *rank).enumerate().min_by_key(|(_, rank)| *rank)
        && lowest != NONE
    {
        parts.remove(at + 1);
        pairs -= 1;
        let end = |at: usize| parts.get(at).map_or(usize::MAX, |(start, _)| *start);
        let with_next = rank(parts[at].0, end(at + 2));
        let before = at.checked_sub(1).map(|before| rank(parts[before].0, end(at + 1)));
        parts[at].1 = with_next;
        if let (Some(before), Some(at)) = (before, at.checked_sub(1)) {
            parts[at].1 = before;
        }
    }
    pairs as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_token_of_the_vocabulary_is_found() {
        let index = &*INDEX;
        assert_eq!(index.starts.len(), 199_999);
        for (rank, ends) in index.starts.windows(2).enumerate() {
            let token = &index.tokens[ends[0] as usize..ends[1] as usize];
            assert_eq!(index.rank(token), u32::try_from(rank).ok());
        }
    }

    proptest! {
        #[test]
        fn a_piece_makes_at_least_one_token_and_at_most_one_a_byte(piece in "\\PC{1,40}") {
            prop_assert!((1..=piece.len() as u64).contains(&count(&piece)));
        }
    }
}
