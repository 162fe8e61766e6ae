//! The tags header: each tag once, trimmed, in order; printed as Python would, and read back from that.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tagway_core::tag::name::{TagName, covers, levels_above, matches, wildcard_stem};
use tagway_core::tag::{Ask, GroupIndex, Origin, RequestTag, RequestTags, Settings, Silent};

fuzz_target!(|data: &[u8]| {
    let Ok(header) = std::str::from_utf8(data) else { return };
    let mut tags = RequestTags::new();
    tags.push_header(header);

    let mut expected: Vec<&str> = Vec::new();
    for item in header.split(',').map(str::trim) {
        if !item.is_empty() && !expected.contains(&item) {
            expected.push(item);
        }
    }
    let found: Vec<&str> = tags.iter().map(RequestTag::text).collect();
    assert_eq!(found, expected);
    assert!(tags.iter().all(|tag| tag.origins().eq([Origin::Header])));

    let printed = tags.python_list();
    assert!(!printed.contains(char::is_control));
    assert_eq!(read_back(&printed), found, "{printed}");
    assert_eq!(tags.clone().into_owned().python_list(), printed);

    for pair in found.windows(2) {
        let prefix: String = pair[1].chars().take(2).collect();
        if let Some(tag) = TagName::parse(pair[0], &prefix) {
            assert!(pair[0].ends_with(tag.name));
        }
        assert_eq!(wildcard_stem(pair[0]).is_some(), pair[0].ends_with('*'));
        assert!(covers(pair[0], pair[0]) && matches(pair[0], pair[0], true));
        assert!(!covers(pair[0], pair[1]) || matches(pair[0], pair[1], false));
        assert!(levels_above(pair[0]).all(|level| matches(level, pair[0], true)));
    }
    // No deployments, hence nothing to choose: only that it is survived.
    let index = GroupIndex::build(&Settings::default(), &[], &[]);
    let _ = index.decide(&Ask::new(&tags), index.all(), &mut Silent);
});

/// Reads a list of strings as Python prints it.
fn read_back(printed: &str) -> Vec<String> {
    let inside = printed.strip_prefix('[').and_then(|text| text.strip_suffix(']')).expect("a list");
    let (mut items, mut chars) = (Vec::new(), inside.chars());
    while let Some(quote) = chars.next() {
        assert!(matches!(quote, '\'' | '"'));
        let mut item = String::new();
        loop {
            match chars.next().expect("the quote is closed") {
                c if c == quote => break,
                '\\' => item.push(match chars.next().expect("an escape") {
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    'x' => hex(&mut chars, 2),
                    'u' => hex(&mut chars, 4),
                    'U' => hex(&mut chars, 8),
                    c => c,
                }),
                c => item.push(c),
            }
        }
        items.push(item);
        match chars.next() {
            None => break,
            Some(',') => assert_eq!(chars.next(), Some(' ')),
            Some(c) => panic!("{c} between items"),
        }
    }
    items
}

fn hex(chars: &mut std::str::Chars<'_>, digits: usize) -> char {
    let code: String = chars.by_ref().take(digits).collect();
    u32::from_str_radix(&code, 16).ok().and_then(char::from_u32).expect("a character's number")
}
