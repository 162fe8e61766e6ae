//! The hash behind the look-up of a tag name. Fast for short strings; not made to withstand keys chosen by an
//! attacker, and need not be: only the operator's names are ever stored, a request only looks up.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A map from the operator's names.
pub(super) type NameMap<V> = HashMap<Box<str>, V, BuildHasherDefault<NameHasher>>;

/// Multiply-and-rotate over eight bytes at a time, folded once at the end.
#[derive(Default)]
pub(super) struct NameHasher(u64);

/// 2^64 divided by the golden ratio, made odd: spreads neighbouring inputs over all bits.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

impl NameHasher {
    fn mix(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(SPREAD);
    }
}

impl Hasher for NameHasher {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.mix(u64::from_le_bytes(*word));
        }
        self.mix(rest.iter().fold(rest.len() as u64, |word, &byte| word << 8 | u64::from(byte)));
    }

    fn write_u8(&mut self, byte: u8) {
        self.mix(u64::from(byte));
    }

    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 32
    }
}
