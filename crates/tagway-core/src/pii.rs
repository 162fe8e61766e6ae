//! Whether a text holds personal data: e-mail addresses, telephone numbers, IBANs, numbers of payment cards, and social
//! security numbers of the United States. What looks like one must also be one as far as digits tell: checksums, lengths
//! and number ranges, so that order numbers and figures are not taken for people.
//!
//! Sources: ISO 13616 (IBAN: lengths by country, remainder 1 modulo 97), ISO/IEC 7812 (cards: Luhn's sum, prefixes of
//! issuers), the Social Security Administration's rules of numbers that are never given out, ITU-T E.164 (telephone
//! numbers of 7 to 15 digits behind `+` and a country's code), RFC 5322 as far as addresses are written in practice.

use crate::wire::json::text_of;
use crate::wire::peek::Peek;

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pii {
    /// An e-mail address.
    Email,
    /// A telephone number.
    Phone,
    /// An international bank account number.
    Iban,
    /// The number of a payment card.
    Card,
    /// A social security number of the United States.
    Ssn,
}

/// The first personal data in a text.
pub fn find(text: &str) -> Option<Pii> {
    let bytes = text.as_bytes();
    if emails(bytes) {
        return Some(Pii::Email);
    }
    numbers(bytes)
}

/// Whether there is an e-mail address.
fn emails(text: &[u8]) -> bool {
    memchr::memchr_iter(b'@', text).any(|at| is_email(&text[..at], &text[at + 1..]))
}

fn is_email(before: &[u8], after: &[u8]) -> bool {
    let local = |byte: &u8| byte.is_ascii_alphanumeric() || b"._%+-'".contains(byte);
    let length = before.iter().rev().take(65).take_while(|byte| local(byte)).count();
    let own = &before[before.len() - length..];
    let Some(last) = own.last() else { return false };
    // Many a decorator and handle of programs follows a dot or a quote.
    if 64 < length || *last == b'.' || own.iter().all(|byte| b".'-+%".contains(byte)) {
        return false;
    }
    // An address of a host may have a user in front of it: `https://user@host`, `git@host:path`.
    let whole = &before[..before.len() - length];
    if whole.ends_with(b"//") || whole.ends_with(b":") && whole.windows(3).any(|three| three == b"://") {
        return false;
    }
    let domain = after
        .iter()
        .take(254)
        .take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'-' || **byte == b'.')
        .count();
    let next = after.get(domain);
    let domain = after[..domain].strip_suffix(b".").unwrap_or(&after[..domain]);
    let mut labels = domain.split(|byte| *byte == b'.');
    let Some(top) = labels.next_back() else { return false };
    let mut more = labels.clone();
    more.next().is_some()
        && labels.all(|label| !label.is_empty() && !label.starts_with(b"-") && !label.ends_with(b"-"))
        && 2 <= top.len()
        && top.iter().all(u8::is_ascii_alphabetic)
        && !(next == Some(&b':') && own == b"git")
        && !is_file(top)
}

/// `logo@2x.png` is a picture.
fn is_file(top: &[u8]) -> bool {
    [&b"png"[..], b"jpg", b"jpeg", b"gif", b"svg", b"webp", b"js", b"css", b"json", b"html"]
        .iter()
        .any(|ending| top.eq_ignore_ascii_case(ending))
}

/// Runs of digits with what stands between them, and what they are.
fn numbers(text: &[u8]) -> Option<Pii> {
    let mut from = 0;
    while let Some(start) = text[from..].iter().position(u8::is_ascii_digit) {
        let start = from + start;
        let run = Run::at(text, start);
        if let Some(found) = run.kind() {
            return Some(found);
        }
        from = run.end;
    }
    None
}

/// Digits in a row, with single separators in between.
struct Run<'t> {
    text: &'t [u8],
    start: usize,
    end: usize,
}

/// As many bytes are looked at at a time.
const LONGEST_RUN: usize = 48;

impl<'t> Run<'t> {
    fn at(text: &'t [u8], start: usize) -> Self {
        let mut end = start;
        let mut separators = 0;
        for (offset, byte) in text[start..].iter().enumerate().take(LONGEST_RUN) {
            match byte {
                b'0'..=b'9' => {
                    end = start + offset + 1;
                    separators = 0;
                }
                b' ' | b'-' | b'.' | b'(' | b')' | b'/' if separators < 2 => separators += 1,
                _ => break,
            }
        }
        Self { text, start, end }
    }

    fn bytes(&self) -> &'t [u8] {
        &self.text[self.start..self.end]
    }

    fn kind(&self) -> Option<Pii> {
        // A part of a word or of a larger number is none of these, but of an IBAN.
        let before = self.text[..self.start].last().copied().unwrap_or(b' ');
        if before.is_ascii_alphabetic() {
            return self.iban().then_some(Pii::Iban);
        }
        let after = self.text.get(self.end).copied().unwrap_or(b' ');
        let is_part =
            after.is_ascii_alphabetic() || b"_=%".contains(&after) || b"_=/#$,.%&".contains(&before);
        if is_part {
            return None;
        }
        if self.ssn() {
            return Some(Pii::Ssn);
        }
        if self.card() {
            return Some(Pii::Card);
        }
        self.phone(before).then_some(Pii::Phone)
    }

    fn digits(&self) -> impl DoubleEndedIterator<Item = u8> + Clone + 't {
        self.bytes().iter().filter(|byte| byte.is_ascii_digit()).map(|byte| byte - b'0')
    }

    /// The sizes of the groups of digits, where all separators are of this kind.
    fn groups(&self, separators: &[u8]) -> Option<Vec<usize>> {
        let fine = |byte: &u8| byte.is_ascii_digit() || separators.contains(byte);
        self.bytes()
            .iter()
            .all(fine)
            .then(|| self.bytes().split(|byte| !byte.is_ascii_digit()).map(<[u8]>::len).collect())
    }

    /// `AAA-GG-SSSS`: never 000, 666 or from 900 in front, 00 in the middle, 0000 at the end; and some that
    /// advertisements have used.
    fn ssn(&self) -> bool {
        let dashes = self.groups(b"-").is_some_and(|groups| groups == [3, 2, 4]);
        let spaces = self.groups(b" ").is_some_and(|groups| groups == [3, 2, 4]);
        if !dashes && !spaces {
            return false;
        }
        let number = |part: &[u8]| part.iter().fold(0_u32, |sum, byte| sum * 10 + u32::from(byte - b'0'));
        let bytes = self.bytes();
        let (area, group, serial) = (number(&bytes[..3]), number(&bytes[4..6]), number(&bytes[7..]));
        let given_out = area != 0 && area != 666 && area < 900 && group != 0 && serial != 0;
        given_out && !matches!((area, group, serial), (78, 5, 1120) | (219, 9, 9999))
    }

    fn card(&self) -> bool {
        let Some(groups) = self.groups(b" -") else { return false };
        let count = self.digits().count();
        let shape = matches!(groups.as_slice(), [_] | [4, 4, 4, 4] | [4, 6, 5] | [4, 6, 4] | [4, 4, 4, 4, 3]);
        let mut digits = self.digits();
        let mut first =
            |count: usize| digits.by_ref().take(count).fold(0_u32, |sum, digit| sum * 10 + u32::from(digit));
        let (four, two) = (first(4), first(2));
        let six = four * 100 + two;
        let issued = match count {
            13 | 19 => four / 1000 == 4,
            16 => {
                four / 1000 == 4
                    || (510_000..560_000).contains(&six)
                    || (222_100..=272_099).contains(&six)
                    || four == 6011
                    || (644..=659).contains(&(four / 10))
                    || (3528..=3589).contains(&four)
            }
            15 => matches!(four / 100, 34 | 37),
            14 => matches!(four / 100, 36 | 38 | 39) || (300..=305).contains(&(four / 10)),
            _ => false,
        };
        shape && issued && luhn(self.digits()) && self.digits().any(|digit| digit != 0)
    }

    /// Behind `+` and a country's code, or written as in North America or, with a zero in front, in Europe.
    fn phone(&self, before: u8) -> bool {
        let count = self.digits().count();
        let first = self.digits().next().unwrap_or(0);
        if before == b'+' {
            let clear = self.start < 2 || !self.text[self.start - 2].is_ascii_alphanumeric();
            return clear && first != 0 && (8..=15).contains(&count);
        }
        let open = before == b'(';
        let bytes = self.bytes();
        let third = |from: usize| bytes.get(from).is_some_and(|byte| (b'2'..=b'9').contains(byte));
        // (415) 555-2671, 415-555-2671, 415.555.2671, 1-415-555-2671
        if open && count == 10 && bytes.get(3) == Some(&b')') && third(0) {
            let rest = bytes[4..].strip_prefix(b" ").unwrap_or(&bytes[4..]);
            return rest.len() == 8
                && matches!(rest[3], b'-' | b'.' | b' ')
                && (b'2'..=b'9').contains(&rest[0]);
        }
        for separator in [b'-', b'.'] {
            let Some(groups) = self.groups(&[separator]) else { continue };
            let at = match groups.as_slice() {
                [3, 3, 4] => 0,
                [1, 3, 3, 4] if first == 1 => 2,
                _ => continue,
            };
            return third(at) && third(at + 4);
        }
        // 030 1234567, 0151-23456789, (030) 1234567, 020 7946 0958
        let european = |groups: &[usize]| {
            (2..=4).contains(&groups.len())
                && (3..=5).contains(&groups[0])
                && groups[1..].iter().all(|size| (2..=8).contains(size))
                && (10..=12).contains(&count)
        };
        let second = self.digits().nth(1).unwrap_or(0);
        let shape = self.groups(b" ").or_else(|| self.groups(b"-")).or_else(|| self.groups(b"/"));
        first == 0 && second != 0 && shape.is_some_and(|groups| european(&groups)) && !open
    }

    /// Two letters stand before the two digits that check it; the rest may have letters, too, and spaces.
    fn iban(&self) -> bool {
        let Some(start) = self.start.checked_sub(2) else { return false };
        let country = &self.text[start..self.start];
        let clear = start == 0 || !self.text[start - 1].is_ascii_alphanumeric();
        if !clear || !country.iter().all(u8::is_ascii_alphabetic) {
            return false;
        }
        let Some(length) = iban_length(country) else { return false };
        let mut found = Vec::with_capacity(length);
        for byte in self.text[start..].iter().take(length + 10) {
            match byte {
                byte if byte.is_ascii_alphanumeric() => found.push(byte.to_ascii_uppercase()),
                b' ' | b'-' => continue,
                _ => break,
            }
            if found.len() == length {
                break;
            }
        }
        found.len() == length && mod97(&found)
    }
}

/// Luhn's sum.
fn luhn(digits: impl DoubleEndedIterator<Item = u8>) -> bool {
    let sum: u32 = digits
        .rev()
        .enumerate()
        .map(|(place, digit)| match (place % 2, u32::from(digit) * 2) {
            (0, double) => double / 2,
            (_, double) => double / 10 + double % 10,
        })
        .sum();
    sum.is_multiple_of(10)
}

/// ISO 7064: the country and the check digits go to the end, letters count from ten, and one is left of 97.
fn mod97(iban: &[u8]) -> bool {
    let rest = iban[4..].iter().chain(&iban[..4]).fold(0_u32, |rest, byte| match byte {
        b'0'..=b'9' => (rest * 10 + u32::from(byte - b'0')) % 97,
        letter => (rest * 100 + u32::from(letter - b'A') + 10) % 97,
    });
    rest == 1
}

/// The lengths of the IBAN registry.
fn iban_length(country: &[u8]) -> Option<usize> {
    const LENGTHS: &[(&[u8; 2], usize)] = &[
        (b"AD", 24),
        (b"AE", 23),
        (b"AL", 28),
        (b"AT", 20),
        (b"AZ", 28),
        (b"BA", 20),
        (b"BE", 16),
        (b"BG", 22),
        (b"BH", 22),
        (b"BR", 29),
        (b"BY", 28),
        (b"CH", 21),
        (b"CR", 22),
        (b"CY", 28),
        (b"CZ", 24),
        (b"DE", 22),
        (b"DK", 18),
        (b"DO", 28),
        (b"EE", 20),
        (b"EG", 29),
        (b"ES", 24),
        (b"FI", 18),
        (b"FO", 18),
        (b"FR", 27),
        (b"GB", 22),
        (b"GE", 22),
        (b"GI", 23),
        (b"GL", 18),
        (b"GR", 27),
        (b"GT", 28),
        (b"HR", 21),
        (b"HU", 28),
        (b"IE", 22),
        (b"IL", 23),
        (b"IQ", 23),
        (b"IS", 26),
        (b"IT", 27),
        (b"JO", 30),
        (b"KW", 30),
        (b"KZ", 20),
        (b"LB", 28),
        (b"LC", 32),
        (b"LI", 21),
        (b"LT", 20),
        (b"LU", 20),
        (b"LV", 21),
        (b"LY", 25),
        (b"MC", 27),
        (b"MD", 24),
        (b"ME", 22),
        (b"MK", 19),
        (b"MR", 27),
        (b"MT", 31),
        (b"MU", 30),
        (b"NL", 18),
        (b"NO", 15),
        (b"PK", 24),
        (b"PL", 28),
        (b"PS", 29),
        (b"PT", 25),
        (b"QA", 29),
        (b"RO", 24),
        (b"RS", 22),
        (b"SA", 24),
        (b"SC", 31),
        (b"SE", 24),
        (b"SI", 19),
        (b"SK", 24),
        (b"SM", 27),
        (b"ST", 25),
        (b"SV", 28),
        (b"TL", 23),
        (b"TN", 24),
        (b"TR", 26),
        (b"UA", 29),
        (b"VA", 22),
        (b"VG", 24),
        (b"XK", 20),
    ];
    LENGTHS.iter().find(|(code, _)| country.eq_ignore_ascii_case(*code)).map(|(_, length)| *length)
}

/// The first personal data in what a request's body asks about: its messages, prompt, input or instructions. Pictures
/// and files within it are not looked into.
pub fn find_in(body: &Peek<'_>) -> Option<Pii> {
    const ASKED: [&str; 5] = ["messages", "prompt", "input", "instructions", "system"];
    ASKED.iter().filter_map(|name| body.json_of(name)).find_map(in_json)
}

/// In the strings of a JSON text, which is sound.
fn in_json(json: &str) -> Option<Pii> {
    let bytes = json.as_bytes();
    let mut from = 0;
    while let Some(open) = memchr::memchr(b'"', &bytes[from..]) {
        let start = from + open + 1;
        let mut end = start;
        loop {
            end += memchr::memchr2(b'"', b'\\', &bytes[end..])?;
            if bytes[end] == b'"' {
                break;
            }
            // What is escaped ends nothing.
            end += 2;
        }
        let string = &json[start - 1..=end];
        let text = text_of(string).unwrap_or_default();
        if !text.starts_with("data:")
            && let Some(found) = find(&text)
        {
            return Some(found);
        }
        from = end + 1;
    }
    None
}
