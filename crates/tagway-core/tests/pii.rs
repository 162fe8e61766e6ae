//! Personal data in texts: a labelled set of what people write, with what is and what only looks like it.

use std::collections::BTreeMap;

use tagway_core::pii::{Pii, find};
use tagway_core::wire::peek::Peek;

/// Every text with what it holds; `None` where a line has no label.
fn labelled() -> Option<Vec<(Option<Pii>, &'static str)>> {
    let kinds = [
        ("email", Some(Pii::Email)),
        ("phone", Some(Pii::Phone)),
        ("iban", Some(Pii::Iban)),
        ("card", Some(Pii::Card)),
        ("ssn", Some(Pii::Ssn)),
        ("none", None),
    ];
    let mut all = Vec::new();
    for line in
        include_str!("pii/labelled.tsv").lines().filter(|line| !line.starts_with('#') && !line.is_empty())
    {
        let known = line
            .split_once('\t')
            .and_then(|(label, text)| Some((kinds.iter().find(|(name, _)| *name == label)?.1, text)));
        all.push(known?);
    }
    Some(all)
}

/// The figures of the documents come from here.
#[test]
fn precision_and_recall_on_the_labelled_set() {
    let (mut hits, mut false_alarms, mut missed) = (0_u32, Vec::new(), Vec::new());
    let mut kinds: BTreeMap<String, u32> = BTreeMap::new();
    for (expected, text) in labelled().unwrap() {
        match (expected, find(text)) {
            (None, None) => {}
            (None, Some(found)) => false_alarms.push(format!("{found:?}: {text}")),
            (Some(expected), Some(found)) => {
                hits += 1;
                if expected != found {
                    *kinds.entry(format!("{expected:?} taken for {found:?}: {text}")).or_default() += 1;
                }
            }
            (Some(expected), None) => missed.push(format!("{expected:?}: {text}")),
        }
    }
    let share = |of: u32, and: usize| f64::from(of) / (f64::from(of) + and as f64);
    let said = format!(
        "precision {:.3}\nrecall {:.3}\nfalse alarms {false_alarms:#?}\nmissed {missed:#?}\nother kinds {kinds:#?}",
        share(hits, false_alarms.len()),
        share(hits, missed.len()),
    );
    insta::assert_snapshot!(said);
}

#[test]
fn every_wrong_digit_is_noticed_where_there_is_a_checksum() {
    for (kind, text) in [(Pii::Iban, "DE89370400440532013000"), (Pii::Card, "4111111111111111")] {
        assert_eq!(find(text), Some(kind));
        for place in 2..text.len() {
            for digit in b'0'..=b'9' {
                let mut other = text.as_bytes().to_vec();
                if other[place] == digit {
                    continue;
                }
                other[place] = digit;
                let other = String::from_utf8(other).unwrap();
                assert_ne!(find(&other), Some(kind), "{other}");
            }
        }
    }
}

#[test]
fn only_what_a_request_asks_is_looked_through_however_it_is_written() {
    let found = |body: &str| tagway_core::pii::find_in(&Peek::read(body.as_bytes()).unwrap());
    let asks = |content: &str| {
        format!(r#"{{"model": "m", "messages": [{{"role": "user", "content": {content}}}]}}"#)
    };
    assert_eq!(found(&asks(r#""write to ada@example.org""#)), Some(Pii::Email));
    assert_eq!(found(&asks(r#""write to ada\u0040example.org""#)), Some(Pii::Email));
    assert_eq!(
        found(&asks(r#"[{"type": "text", "text": "say \"hi\" to ada@example.org"}]"#)),
        Some(Pii::Email)
    );
    assert_eq!(
        found(&asks(r#"[{"type": "image_url", "image_url": {"url": "data:image/png;base64,a@b.org"}}]"#)),
        None
    );
    assert_eq!(found(r#"{"input": ["x", "DE89370400440532013000"]}"#), Some(Pii::Iban));
    assert_eq!(found(r#"{"user": "ada@example.org", "messages": []}"#), None);
}

proptest::proptest! {
    #[test]
    fn any_text_can_be_looked_through(text in ".*") {
        find(&text);
    }

    #[test]
    fn an_address_is_found_wherever_it_stands(before in "[a-zA-Z ,;<(]{0,20}", after in "[ ,;>)!?]{0,5}") {
        let text = format!("{before} ada.lovelace@example.org{after}");
        proptest::prop_assert_eq!(find(&text), Some(Pii::Email));
    }
}
