//! How a text is cut into pieces before it is encoded: words with what stands before them, numbers of up to three
//! digits, punctuation, white space. The rules are those of OpenAI's `o200k_base`; beyond ASCII, letters are told by
//! the properties the standard library has, which is right for all but a few signs.

/// What a character is to the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Upper,
    Lower,
    /// A letter without case, or a mark upon one: goes with both.
    Letter,
    /// As a letter, but may stand before a word too.
    Mark,
    Number,
    /// `\r` and `\n`.
    Newline,
    Space,
    Other,
}

impl Class {
    fn of(c: char) -> Self {
        match c {
            'a'..='z' => Self::Lower,
            'A'..='Z' => Self::Upper,
            '0'..='9' => Self::Number,
            '\n' | '\r' => Self::Newline,
            ' ' | '\t' | '\x0b' | '\x0c' => Self::Space,
            '\0'..='\x7f' => Self::Other,
            _ if is_mark(c) => Self::Mark,
            _ if c.is_numeric() => Self::Number,
            _ if c.is_whitespace() => Self::Space,
            _ if c.is_lowercase() => Self::Lower,
            _ if c.is_uppercase() => Self::Upper,
            _ if c.is_alphabetic() => Self::Letter,
            _ => Self::Other,
        }
    }

    fn begins_word(self) -> bool {
        matches!(self, Self::Upper | Self::Letter | Self::Mark)
    }

    fn ends_word(self) -> bool {
        matches!(self, Self::Lower | Self::Letter | Self::Mark)
    }

    fn is_letter(self) -> bool {
        matches!(self, Self::Upper | Self::Lower | Self::Letter)
    }

    fn is_space(self) -> bool {
        matches!(self, Self::Space | Self::Newline)
    }
}

/// The blocks where most combining marks are.
fn is_mark(c: char) -> bool {
    let block = matches!(c,
        '\u{300}'..='\u{36f}' | '\u{483}'..='\u{489}' | '\u{591}'..='\u{5c7}' | '\u{610}'..='\u{61a}'
        | '\u{64b}'..='\u{65f}' | '\u{6d6}'..='\u{6ed}' | '\u{900}'..='\u{903}' | '\u{93a}'..='\u{94f}'
        | '\u{981}'..='\u{983}' | '\u{9bc}'..='\u{9d7}' | '\u{a3c}'..='\u{a51}' | '\u{abc}'..='\u{acd}'
        | '\u{b3c}'..='\u{b57}' | '\u{bbe}'..='\u{bcd}' | '\u{c3c}'..='\u{c56}' | '\u{cbc}'..='\u{cd6}'
        | '\u{d3b}'..='\u{d4d}' | '\u{dca}'..='\u{ddf}' | '\u{e31}'..='\u{e3a}' | '\u{e47}'..='\u{e4e}'
        | '\u{eb1}'..='\u{ebc}' | '\u{ec8}'..='\u{ece}' | '\u{f71}'..='\u{f84}' | '\u{102b}'..='\u{103e}'
        | '\u{17b4}'..='\u{17d3}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}'
        | '\u{302a}'..='\u{302f}' | '\u{3099}'..='\u{309a}' | '\u{fe00}'..='\u{fe0f}' | '\u{fe20}'..='\u{fe2f}'
        | '\u{e0100}'..='\u{e01ef}');
    // Among them stand letters of their own.
    let letter = matches!(
        c,
        '\u{93d}'
            | '\u{9bd}'
            | '\u{9ce}'
            | '\u{abd}'
            | '\u{b3d}'
            | '\u{c3d}'
            | '\u{cbd}'
            | '\u{d3d}'
            | '\u{e32}'
            | '\u{e33}'
    );
    block && !letter
}

/// The pieces of a text, all of it.
pub(super) struct Pieces<'t> {
    rest: &'t str,
}

impl<'t> Pieces<'t> {
    pub(super) fn of(text: &'t str) -> Self {
        Self { rest: text }
    }
}

impl<'t> Iterator for Pieces<'t> {
    type Item = &'t str;

    fn next(&mut self) -> Option<&'t str> {
        let (piece, rest) = self.rest.split_at_checked(length(self.rest)?)?;
        self.rest = rest;
        Some(piece)
    }
}

/// The length of the first piece.
fn length(text: &str) -> Option<usize> {
    let first = text.chars().next()?;
    let class = Class::of(first);
    let after = &text[first.len_utf8()..];
    // One character that is no letter may stand before a word.
    if !class.is_letter()
        && !matches!(class, Class::Number | Class::Newline)
        && let Some(word) = word(after)
    {
        return Some(first.len_utf8() + word);
    }
    if let Some(word) = word(text) {
        return Some(word);
    }
    if class == Class::Number {
        return Some(run(text, 3, |class| class == Class::Number));
    }
    let space = usize::from(first == ' ');
    let signs = run(&text[space..], usize::MAX, |class| matches!(class, Class::Other | Class::Mark));
    if 0 < signs {
        let signs = space + signs;
        let tail = text[signs..].bytes().take_while(|byte| matches!(byte, b'\r' | b'\n' | b'/')).count();
        return Some(signs + tail);
    }
    Some(white(text))
}

/// The length of a word at the start: capitals, then small letters, and an English contraction.
fn word(text: &str) -> Option<usize> {
    let begin = run(text, usize::MAX, Class::begins_word);
    let small = run(&text[begin..], usize::MAX, Class::ends_word);
    let length = match (begin, small) {
        (0, 0) => return None,
        (_, 0) => {
            // Without small letters, the last letter without case takes their place.
            let caseless = text[..begin].char_indices().rev().find(|(_, c)| Class::of(*c).ends_word());
            caseless.map_or(begin, |(at, c)| at + c.len_utf8())
        }
        _ => begin + small,
    };
    Some(length + contraction(&text.as_bytes()[length..]))
}

/// The length of `'s`, `'t`, `'re`, `'ve`, `'m`, `'ll` or `'d`.
fn contraction(text: &[u8]) -> usize {
    let [b'\'', first, rest @ ..] = text else { return 0 };
    match (first.to_ascii_lowercase(), rest.first().map(u8::to_ascii_lowercase)) {
        (b's' | b't' | b'm' | b'd', _) => 2,
        (b'r' | b'v', Some(b'e')) | (b'l', Some(b'l')) => 3,
        _ => 0,
    }
}

/// The length of a piece of white space: up to the last line break; else all but what stands before a word.
fn white(text: &str) -> usize {
    let all = run(text, usize::MAX, Class::is_space);
    if let Some(last) = text[..all].rfind(['\r', '\n']) {
        return last + 1;
    }
    let last = text[..all].chars().next_back().map_or(0, char::len_utf8);
    if all == text.len() || all == last { all } else { all - last }
}

/// The length of the run of at most `most` characters of a kind.
fn run(text: &str, most: usize, kind: impl Fn(Class) -> bool) -> usize {
    let end = text.char_indices().take(most).take_while(|(_, c)| kind(Class::of(*c))).last();
    end.map_or(0, |(at, c)| at + c.len_utf8())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pieces(text: &str) -> Vec<&str> {
        Pieces::of(text).collect()
    }

    #[test]
    fn words_take_one_sign_before_them_and_numbers_come_in_threes() {
        assert_eq!(pieces("Hello, world!"), ["Hello", ",", " world", "!"]);
        assert_eq!(pieces("it's HTMLParser (v1234)"), ["it's", " HTMLParser", " (", "v", "123", "4", ")"]);
        assert_eq!(pieces("don'T you'LL"), ["don'T", " you'LL"]);
    }

    #[test]
    fn white_space_leaves_one_for_the_word_behind_it() {
        assert_eq!(pieces("a   b\n\n  c  "), ["a", "  ", " b", "\n\n", " ", " c", "  "]);
        assert_eq!(pieces("fn x() {\n    y;\n}"), ["fn", " x", "()", " {\n", "   ", " y", ";\n", "}"]);
    }

    #[test]
    fn other_scripts_are_words_too() {
        assert_eq!(pieces("你好，世界。"), ["你好", "，世界", "。"]);
        assert_eq!(pieces("Größe über"), ["Größe", " über"]);
        assert_eq!(pieces("हिन्दी में"), ["हिन्दी", " में"]);
    }

    proptest! {
        #[test]
        fn nothing_is_lost(text in "\\PC*[ \\r\\n\\t]*\\PC*") {
            prop_assert_eq!(pieces(&text).concat(), text.as_str());
            prop_assert!(Pieces::of(&text).all(|piece| !piece.is_empty()));
        }
    }
}
