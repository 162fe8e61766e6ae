//! The choice that sticks: weighted rendezvous hashing. Every deployment has a score for every user, session or whatever
//! it goes by, and the highest one serves: so that one more deployment takes over its share and moves nobody else.
//! Hashes are the same on every gateway, and for ever.

use crate::tag::Members;

/// What requests of one kind have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum By {
    /// `user`: the end user that the request names, else the key's user.
    User,
    /// `key`: the virtual key.
    Key,
    /// `session`: LiteLLM's session id.
    Session,
    /// `header:<name>`: the value of this header.
    Header(http::HeaderName),
    /// `tag:<prefix>`: what follows the prefix and a colon in the first such tag of the request.
    Tag(Box<str>),
}

impl By {
    /// Reads it as a configuration has it.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text.split_once(':') {
            None if text == "user" => Self::User,
            None if text == "key" => Self::Key,
            None if text == "session" => Self::Session,
            Some(("header", name)) => Self::Header(name.trim().parse().ok()?),
            Some(("tag", prefix)) => {
                let prefix = prefix.trim().trim_end_matches(':');
                (!prefix.is_empty()).then(|| Self::Tag(prefix.into()))?
            }
            _ => return None,
        })
    }
}

/// The hash of a name: FNV-1a.
pub fn hash(name: &str) -> u64 {
    name.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Two hashes as one, each bit of which depends on all of both: the end of `SplitMix64`.
pub fn mixed(one: u64, other: u64) -> u64 {
    let mut all = one.wrapping_add(other.rotate_left(32)).wrapping_add(0x9e37_79b9_7f4a_7c15);
    for (shift, factor) in [(30, 0xbf58_476d_1ce4_e5b9), (27, 0x94d0_49bb_1331_11eb)] {
        all = (all ^ all >> shift).wrapping_mul(factor);
    }
    all ^ all >> 31
}

/// Who serves `key`: `of` gives the hash of a candidate's id, and its weight. None of weight 0, unless all are.
pub fn rendezvous(among: &Members, of: impl Fn(usize) -> (u64, f64), key: u64) -> Option<usize> {
    let score = |place: usize| {
        let (id, weight) = of(place);
        let mixed = mixed(mixed(id, 1), key);
        // Of 53 bits, and never 0 or 1.
        #[expect(clippy::cast_precision_loss, reason = "53 bits are exact")]
        let uniform = ((mixed >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
        // The weight comes before the chance, should it be 0.
        (0.0 < weight, -weight.max(f64::MIN_POSITIVE) / uniform.ln(), mixed)
    };
    let higher = |a: &(bool, f64, u64), b: &(bool, f64, u64)| {
        a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.cmp(&b.2))
    };
    among
        .iter()
        .map(|place| (place, score(place)))
        .max_by(|(_, a), (_, b)| higher(a, b))
        .map(|(place, _)| place)
}
