//! A tag expression: parses or does not, prints as one that parses to the same, and chooses deployments by the
//! laws of logic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tagway_core::tag::{Ask, DeploymentTags, Expression, GroupIndex, MOST_TERMS, Origin, Settings, Silent};

const TAGS: &[&[&str]] =
    &[&["a", "b"], &["a", "region:eu:fra"], &["region:eu", "default"], &["and", "it's"], &[]];

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let expression = match Expression::parse(text) {
        Ok(expression) => expression,
        Err(error) => {
            assert!(1 <= error.column && error.column <= text.chars().count() + 1, "{error}");
            assert!(!error.problem.is_empty());
            return;
        }
    };
    assert!((1..=MOST_TERMS).contains(&expression.names().count()));
    let printed = expression.to_string();
    assert_eq!(Expression::parse(&printed).as_ref(), Ok(&expression), "{printed}");

    let index = group();
    let chosen = places(&index, &expression);
    // One level of `not` and parentheses more may be one too many.
    if let Ok(opposite) = Expression::parse(&format!("not ({text})")) {
        let others = places(&index, &opposite);
        let all = 0..TAGS.len();
        assert!(all.into_iter().all(|place| chosen.contains(&place) != others.contains(&place)), "{printed}");
    }
    if let Ok(both) = Expression::parse(&format!("({text}) and a")) {
        let expected: Vec<_> = chosen.iter().copied().filter(|&place| TAGS[place].contains(&"a")).collect();
        assert_eq!(places(&index, &both), expected, "{printed}");
    }
});

fn group() -> GroupIndex {
    let tags: Vec<Vec<String>> =
        TAGS.iter().map(|tags| tags.iter().map(|&tag| tag.to_owned()).collect()).collect();
    let deployments: Vec<DeploymentTags<'_>> = tags
        .iter()
        .map(|tags| DeploymentTags {
            id: "",
            tags,
            tag_regex: &[],
            allow_fail_open: false,
            enable_tag_filtering: None,
            tier: None,
            region: None,
        })
        .collect();
    // Filtering is off: the expression alone decides.
    GroupIndex::build(&Settings { hierarchy: true, ..Settings::default() }, &[], &deployments)
}

/// The places an operator's expression leaves of the group.
fn places(index: &GroupIndex, expression: &Expression) -> Vec<usize> {
    let expressions = [(expression, Origin::Rule)];
    let ask = Ask { expressions: &expressions, ..Ask::new(&[]) };
    index
        .decide(&ask, index.all(), &mut Silent)
        .map(|decision| decision.candidates.iter().collect())
        .unwrap_or_default()
}
