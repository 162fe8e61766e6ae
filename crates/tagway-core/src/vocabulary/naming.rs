//! The pattern that names of tags must match as a whole. Says of the beginnings of names, too, whether any name can go on
//! from there: patterns of tags are such beginnings.

use regex::Regex;
use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::{Anchored, Input};

use crate::tag::check_pattern;

/// `name_pattern`.
#[derive(Debug)]
pub(super) struct Naming {
    pub(super) text: Box<str>,
    whole: Regex,
    walk: Option<DFA>,
}

/// The pattern for whole names.
fn whole(pattern: &str) -> String {
    format!(r"\A(?:{pattern})\z")
}

/// Whether a pattern can be one for names.
///
/// # Errors
/// Why not.
pub(crate) fn check_name_pattern(pattern: &str) -> Result<(), String> {
    check_pattern(pattern)?;
    check_pattern(&whole(pattern))
}

impl Naming {
    /// `None` where it does not compile, which [`check_name_pattern`] says of it.
    pub(super) fn new(pattern: &str) -> Option<Self> {
        let limited = whole(pattern);
        let regex =
            regex::RegexBuilder::new(&limited).size_limit(1 << 20).dfa_size_limit(1 << 20).build().ok()?;
        let config =
            DFA::config().cache_capacity(1 << 20).skip_cache_capacity_check(true).unicode_word_boundary(true);
        let walk = DFA::builder().configure(config).build(&limited).ok();
        Some(Self { text: pattern.into(), whole: regex, walk })
    }

    /// Whether a name, or a pattern of names that ends in `*`, can be one.
    pub(super) fn fits(&self, name: &str) -> bool {
        match name.strip_suffix('*') {
            Some(stem) => self.may_begin(stem),
            None => self.whole.is_match(name),
        }
    }

    /// Whether a name may begin so. Where the automaton cannot say, it may.
    fn may_begin(&self, stem: &str) -> bool {
        let Some(dfa) = &self.walk else { return true };
        let mut cache: Cache = dfa.create_cache();
        let input = Input::new(stem).anchored(Anchored::Yes);
        let Ok(mut state) = dfa.start_state_forward(&mut cache, &input) else { return true };
        for &byte in stem.as_bytes() {
            match dfa.next_state(&mut cache, state, byte) {
                Ok(next) if next.is_dead() => return false,
                Ok(next) if next.is_quit() => return true,
                Ok(next) => state = next,
                Err(_) => return true,
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_as_a_whole_and_patterns_as_far_as_they_go() {
        let naming = Naming::new("[a-z]+:[a-z0-9-]{1,8}|default").unwrap();
        for fit in ["team:a-1", "default", "team:*", "t*", "*", "team:a*", "def*"] {
            assert!(naming.fits(fit), "{fit}");
        }
        for unfit in [
            "",
            "team",
            "team:",
            "Team:a",
            "team:a b",
            "xteam:toolong-by-far",
            "T*",
            "team:a:*",
            "team:123456789*",
        ] {
            assert!(!naming.fits(unfit), "{unfit}");
        }
    }

    #[test]
    fn hostile_patterns_are_refused() {
        for pattern in ["(a", r"(?=x)y", r"\w{1000}{1000}", "a{5000}{5000}", "a)|(b", "(?x) a # b"] {
            assert!(check_name_pattern(pattern).is_err(), "{pattern}");
        }
        assert_eq!(check_name_pattern("[a-z]+"), Ok(()));
    }
}
