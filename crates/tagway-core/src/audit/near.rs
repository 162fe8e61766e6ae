//! Tags that look like one: written in another case or with other separators, a plural, one letter apart. Each name is
//! put under a few keys and met only there, so that a hundred thousand of them take a moment; names that differ by a
//! digit are numbers, and meant.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

/// Shorter names are one letter apart by chance.
const LONG: usize = 6;
/// Names longer than this are put together by machines.
const LONGEST: usize = 64;
/// As many names under one key are compared with each other: more of them are a scheme and no slip.
const MOST_ALIKE: usize = 32;

/// A name, and how well it is known.
#[derive(Debug, Clone, Copy)]
pub struct Word<'a> {
    /// The name.
    pub name: &'a str,
    /// It was declared on purpose, so that the others are meant to be it.
    pub declared: bool,
    /// How many requests carry it.
    pub weight: u64,
    /// It is one of many under a declared pattern.
    pub covered: bool,
}

/// How two names differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spelling {
    /// By case.
    Case,
    /// By separators, or by these and case.
    Separators,
    /// By an `s` at the end.
    Plural,
    /// By one letter.
    Letter,
}

impl Spelling {
    /// How, in words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Case => "differs by case",
            Self::Separators => "differs by separators",
            Self::Plural => "is its singular or plural",
            Self::Letter => "differs by one letter",
        }
    }
}

/// A name that looks like another one, which is the better known of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Near<'a> {
    /// The name.
    pub name: &'a str,
    /// The one it looks like.
    pub like: &'a str,
    /// How they differ.
    pub by: Spelling,
}

/// Separators, and words in lower case.
fn plain(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '-' | '_' | ' ' | '.')).flat_map(char::to_lowercase).collect()
}

/// Without the `s` of a plural.
fn stem(plain: &str) -> &str {
    match plain.strip_suffix('s') {
        Some(stem) if 3 < plain.len() && !stem.ends_with(['s', 'u', 'i', ':']) => stem,
        _ => plain,
    }
}

/// How two names differ, if they look like one.
pub(super) fn differ(one: &str, other: &str) -> Option<Spelling> {
    if one == other {
        return None;
    }
    if one.to_lowercase() == other.to_lowercase() {
        return Some(Spelling::Case);
    }
    let (one, other) = (plain(one), plain(other));
    if one == other {
        // Of nothing but separators nobody can say what was meant.
        return (!one.is_empty()).then_some(Spelling::Separators);
    }
    if stem(&one) == stem(&other) {
        return Some(Spelling::Plural);
    }
    by_a_letter(&one, &other).then_some(Spelling::Letter)
}

/// Whether two long names are one letter apart: one more, one less, another one, or two changed places.
fn by_a_letter(one: &str, other: &str) -> bool {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let (long, short) = if one.len() < other.len() { (&other, &one) } else { (&one, &other) };
    if short.len() < LONG || LONGEST < long.len() || 1 < long.len() - short.len() {
        return false;
    }
    let same = long.iter().zip(short.iter()).take_while(|(one, other)| one == other).count();
    let rest = |chars: &[char], from: usize| chars.get(from..).unwrap_or_default().to_vec();
    let letters = |chars: &[char], count: usize| {
        chars.get(same..same + count).is_some_and(|differing| differing.iter().all(|c| c.is_alphabetic()))
    };
    if short.len() < long.len() {
        return letters(long, 1) && rest(long, same + 1) == rest(short, same);
    }
    if rest(long, same + 1) == rest(short, same + 1) {
        return letters(long, 1) && letters(short, 1);
    }
    let swapped = long.get(same) == short.get(same + 1) && long.get(same + 1) == short.get(same);
    swapped && letters(long, 2) && rest(long, same + 2) == rest(short, same + 2)
}

type Hasher = BuildHasherDefault<DefaultHasher>;

/// Each name that looks like a better known one, once, with the best known of those.
pub fn near<'a>(words: &[Word<'a>]) -> Vec<Near<'a>> {
    let plains: Vec<String> = words.iter().map(|word| plain(word.name)).collect();
    let hasher = Hasher::default();
    // One number for all keys of both kinds: what is under the same one may look alike.
    let mut keys: Vec<(u64, u32)> = Vec::with_capacity(words.len() * 2);
    for (place, (word, plain)) in (0..).zip(words.iter().zip(&plains)) {
        if plain.is_empty() {
            continue;
        }
        keys.push((hasher.hash_one((0_u8, stem(plain))), place));
        let length = plain.chars().count();
        if word.covered || !(LONG..=LONGEST).contains(&length) {
            continue;
        }
        keys.push((hasher.hash_one((1_u8, plain.as_str())), place));
        let mut without = String::with_capacity(plain.len());
        for (at, letter) in plain.char_indices().filter(|(_, letter)| letter.is_alphabetic()) {
            without.clear();
            without.push_str(&plain[..at]);
            without.push_str(&plain[at + letter.len_utf8()..]);
            keys.push((hasher.hash_one((1_u8, without.as_str())), place));
        }
    }
    keys.sort_unstable();
    keys.dedup();
    let mut best: HashMap<u32, (u32, Spelling)> = HashMap::new();
    for alike in keys.chunk_by(|one, other| one.0 == other.0) {
        meet(words, alike, &mut best);
    }
    let mut found: Vec<Near<'a>> = best
        .into_iter()
        .filter_map(|(place, (like, by))| {
            let (word, like) = (words.get(place as usize)?, words.get(like as usize)?);
            Some(Near { name: word.name, like: like.name, by })
        })
        .collect();
    found.sort_unstable_by_key(|near| (near.name, near.like));
    found
}

/// How well known a word is: the declared ones, then those in use, then the shorter and the first by name.
fn rank<'w>(word: &Word<'w>) -> impl Ord + use<'w> {
    let name = std::cmp::Reverse((word.name.chars().count(), word.name));
    (word.declared, word.weight, name)
}

fn meet(words: &[Word<'_>], alike: &[(u64, u32)], best: &mut HashMap<u32, (u32, Spelling)>) {
    if alike.len() < 2 {
        return;
    }
    let mut places: Vec<u32> = alike.iter().map(|(_, place)| *place).collect();
    places.sort_by(|one, other| {
        let of = |place: &u32| words.get(*place as usize).map(rank);
        of(other).cmp(&of(one))
    });
    let leaders = places.clone();
    for place in places {
        let Some(word) = words.get(place as usize) else { continue };
        for like in leaders.iter().copied().take(MOST_ALIKE).take_while(|like| *like != place) {
            let Some(other) = words.get(like as usize) else { continue };
            let Some(by) = differ(word.name, other.name) else { continue };
            // Two that were both declared, a letter apart, are two.
            let meant = word.declared && other.declared && matches!(by, Spelling::Letter | Spelling::Plural);
            if meant || by == Spelling::Letter && (word.covered || other.covered) {
                continue;
            }
            let better = best.get(&place).and_then(|(known, _)| words.get(*known as usize));
            if better.is_none_or(|known| rank(known) < rank(other)) {
                best.insert(place, (like, by));
            }
            break;
        }
    }
}
