//! Lints on names alone: tags that look like slips of each other, patterns that cannot match.

use std::collections::BTreeMap;

use regex_automata::Input;
use regex_automata::hybrid::dfa::DFA;

use super::scope::{At, Scope};

/// Every pair is compared: more tags than this are not a vocabulary kept by hand.
const MOST_TAGS: usize = 2000;

/// Reports tags that differ by no more than a slip of the hand.
pub(super) fn run(tags: &BTreeMap<&str, At<'_>>, scope: &mut Scope<'_>) {
    let tags: Vec<(&str, &At<'_>)> = tags.iter().map(|(tag, at)| (*tag, at)).take(MOST_TAGS).collect();
    for (index, (one, at)) in tags.iter().enumerate() {
        for (other, other_at) in tags.iter().skip(index + 1) {
            let Some(how) = slip(one, other) else { continue };
            // The later of the two is the one to look at.
            let place = |at: &At<'_>| (at.node.mark.file, at.node.mark.line, at.node.mark.column);
            let (first, later, at) =
                if place(at) <= place(other_at) { (one, other, other_at) } else { (other, one, at) };
            scope
                .warning(at, format!("the tags `{later}` and `{first}` differ only by {how}"))
                .help(format!("did you mean `{first}`?"));
        }
    }
}

/// How two different tags may be meant as one.
fn slip(one: &str, other: &str) -> Option<&'static str> {
    if one.len().abs_diff(other.len()) > 3 {
        return None;
    }
    if one.to_lowercase() == other.to_lowercase() {
        return Some("case");
    }
    let letters = |tag: &str| tag.to_lowercase().replace([' ', '\t', '-', '_'], "");
    if letters(one) == letters(other) {
        return Some("white space or separators");
    }
    (strsim::osa_distance(one, other) == 1 && !is_numbering(one, other)).then_some("one letter")
}

/// Whether the difference is of the kind people tell things apart by: `team-a` and `team-b`, `tier1` and
/// `tier2`, `v` and `vs`.
fn is_numbering(one: &str, other: &str) -> bool {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let start = one.iter().zip(&other).take_while(|(a, b)| a == b).count();
    let tail = |from: &[char]| from.get(start..).unwrap_or_default().to_vec();
    let (one_tail, other_tail) = (tail(&one), tail(&other));
    let end = one_tail.iter().rev().zip(other_tail.iter().rev()).take_while(|(a, b)| a == b).count();
    let changed = |tail: &[char]| tail.get(..tail.len() - end.min(tail.len())).unwrap_or_default().to_vec();
    let (gone, come) = (changed(&one_tail), changed(&other_tail));
    if gone.iter().chain(&come).any(|c| !c.is_alphabetic()) {
        return true;
    }
    // The word the difference stands in.
    let longer = if one.len() >= other.len() { &one } else { &other };
    let before = longer.iter().take(start).rev().take_while(|c| c.is_alphanumeric()).count();
    let after = longer.iter().skip(start + 1).take_while(|c| c.is_alphanumeric()).count();
    if before + 1 + after < 4 {
        return true;
    }
    // One letter for another at a word's end or start tells siblings apart.
    gone.len() == come.len() && gone.len() == 1 && (before == 0 || after == 0)
}

/// Whether some `User-Agent: <value>` can match: walks the pattern's automaton over the part that never
/// changes. Patterns it cannot say anything about pass.
pub(super) fn can_match_user_agent(pattern: &str) -> bool {
    let config =
        DFA::config().cache_capacity(1 << 20).skip_cache_capacity_check(true).unicode_word_boundary(true);
    let Ok(dfa) = DFA::builder().configure(config).build(pattern) else { return true };
    let mut cache = dfa.create_cache();
    let input = Input::new("User-Agent: ");
    let Ok(start) = dfa.start_state_forward(&mut cache, &input) else {
        return true;
    };
    let mut state = start;
    for &byte in input.haystack() {
        match dfa.next_state(&mut cache, state, byte) {
            Ok(next) if next.is_match() => return true,
            Ok(next) if next.is_dead() => return false,
            Ok(next) if next.is_quit() => return true,
            Ok(next) => state = next,
            Err(_) => return true,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_told_from_siblings() {
        for (one, other) in [
            ("free", "Free"),
            ("team a", "teama"),
            ("team-a", "team_a"),
            ("default", "defualt"),
            ("paid", "piad"),
        ] {
            assert!(slip(one, other).is_some(), "{one} {other}");
        }
        for (one, other) in [
            ("teamA", "teamB"),
            ("tier1", "tier2"),
            ("eu", "us"),
            ("region:eu:fra", "region:us:fra"),
            ("v", "v1"),
        ] {
            assert_eq!(slip(one, other), None, "{one} {other}");
        }
    }

    #[test]
    fn patterns_that_can_never_match_are_found() {
        for pattern in ["^claude-code/", r"\Aclaude", "^user-agent", "^$", "^User-Agent:claude"] {
            assert!(!can_match_user_agent(pattern), "{pattern}");
        }
        for pattern in
            ["claude", "^User-Agent: claude-code/", "(?i)^user-agent: x", "Agent", "x$", ".*", r"\bclaude\b"]
        {
            assert!(can_match_user_agent(pattern), "{pattern}");
        }
    }
}
