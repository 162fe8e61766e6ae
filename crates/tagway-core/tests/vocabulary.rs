//! The vocabulary, with a clock that is given; and its check against a second formulation that looks at everything.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up should fail")]

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use tagway_core::config::{TagDeclaration, TagSettings};
use tagway_core::tag::{Expression, Origin, RequestTags, Settings};
use tagway_core::vocabulary::{
    Mode, Objection, Outcome, Reason, Retirement, Setter, Setters, Terms, Vocabulary, Watch,
};

/// What was heard, and the values there are.
#[derive(Default)]
struct Heard {
    values: BTreeMap<String, BTreeSet<String>>,
    said: Vec<(String, Reason, Outcome)>,
}

impl Watch for Heard {
    fn has_room(&mut self, pattern: &str, name: &str, most: u64) -> bool {
        let values = self.values.entry(pattern.to_owned()).or_default();
        values.contains(name) || (values.len() as u64) < most && values.insert(name.to_owned())
    }

    fn hear(&mut self, objection: &Objection, outcome: Outcome) {
        self.said.push((objection.tag.to_string(), objection.reason(), outcome));
    }
}

fn declared(name: &str, terms: Terms) -> TagDeclaration {
    TagDeclaration { name: name.to_owned(), terms, ..TagDeclaration::default() }
}

fn vocabulary(tags: &[TagDeclaration]) -> Vocabulary {
    Vocabulary::new(tags, &TagSettings::default(), &Settings::default(), &[])
}

fn tags(given: &[(&str, Origin)]) -> RequestTags<'static> {
    let mut tags = RequestTags::new();
    given.iter().for_each(|(tag, origin)| tags.push((*tag).to_owned(), *origin));
    tags
}

/// What is said of these tags.
fn said(vocabulary: &Vocabulary, given: &[(&str, Origin)], now: i64) -> Result<(), String> {
    vocabulary.check(&mut tags(given), None, now, &mut Heard::default()).map_err(|why| why.to_string())
}

const DAY: i64 = 86_400_000;

#[test]
fn a_tag_retires_to_the_millisecond() {
    let terms = Terms {
        retirement: Some(Retirement::parse("1970-01-02").unwrap()),
        replaced_by: Some("new".to_owned()),
        ..Terms::default()
    };
    let vocabulary = vocabulary(&[declared("old", terms)]);
    let mut heard = Heard::default();
    vocabulary.check(&mut tags(&[("old", Origin::Body)]), None, DAY - 1, &mut heard).unwrap();
    assert_eq!(heard.said, [("old".to_owned(), Reason::Retiring, Outcome::Warned)]);
    for (tag, origin) in [("old", Origin::Body), ("!old", Origin::Header), ("&old", Origin::Rule)] {
        let refused = said(&vocabulary, &[(tag, origin)], DAY).unwrap_err();
        assert_eq!(refused, format!("Tag '{tag}' is retired since 1970-01-02. Use 'new' instead."));
    }
    assert_eq!(
        said(&vocabulary, &[("old", Origin::Body), ("old", Origin::Team)], DAY).unwrap_err(),
        "Tag 'old', which the team gives to this request, is retired since 1970-01-02: it must be taken off the team. Use 'new' instead."
    );
}

#[test]
fn values_are_offered_when_none_of_them_is_meant() {
    let values = |values: &[&str]| Terms {
        values: values.iter().map(|value| (*value).to_owned()).collect(),
        ..Terms::default()
    };
    let many: Vec<String> = (0..12).map(|at| format!("team-{at}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let vocabulary = vocabulary(&[
        declared("env:*", values(&["dev", "staging", "prod"])),
        declared("team:*", values(&many)),
    ]);
    let of = |tag: &str| said(&vocabulary, &[(tag, Origin::Body)], 0);
    for fine in ["env:dev", "&env:prod", "!env:staging", "env:*", "env:st*", "env", "other:x"] {
        assert_eq!(of(fine), Ok(()), "{fine}");
    }
    assert_eq!(
        of("env:prd").unwrap_err(),
        "Tag 'env:prd' is none of those that 'env:*' allows. Did you mean 'env:prod'?"
    );
    assert_eq!(
        of("&env:x*").unwrap_err(),
        "Tag '&env:x*' is none of those that 'env:*' allows. It allows 'env:dev', 'env:staging', 'env:prod'."
    );
    assert!(of("team:none").unwrap_err().ends_with("'team:team-7' and 4 more."));
    // What stands on an object already, and what rules add, is not asked about.
    assert_eq!(said(&vocabulary, &[("env:x", Origin::Key), ("env:y", Origin::Rule)], 0), Ok(()));
}

#[test]
fn who_may_not_set_a_tag_cannot_reach_it_by_a_wider_name() {
    let only = |setters: &[Setter]| Terms {
        set_by: Some(setters.iter().copied().collect::<Setters>()),
        ..Terms::default()
    };
    let tags = [
        declared("internal:*", only(&[Setter::Admin, Setter::Rule])),
        declared("internal:open", Terms::default()),
    ];
    let hierarchy = Settings { hierarchy: true, ..Settings::default() };
    let flat = Vocabulary::new(&tags, &TagSettings::default(), &Settings::default(), &[]);
    let deep = Vocabulary::new(&tags, &TagSettings::default(), &hierarchy, &[]);
    assert_eq!(
        said(&flat, &[("internal:x", Origin::Body)], 0).unwrap_err(),
        "Tag 'internal:x' may not be set by callers: only by proxy admins and rules."
    );
    for refused in ["&internal:x", "!internal:x", "int*", "&*", "internal:*"] {
        assert!(said(&flat, &[(refused, Origin::Body)], 0).is_err(), "{refused}");
    }
    for fine in ["internal:open", "inter", "internal", "intern:*", "!int*"] {
        assert_eq!(said(&flat, &[(fine, Origin::Body)], 0), Ok(()), "{fine}");
    }
    assert_eq!(
        said(&deep, &[("internal", Origin::Body)], 0).unwrap_err(),
        "Tag 'internal' takes in tags that may not be set by callers. Name the tags you mean."
    );
    assert_eq!(said(&deep, &[("intern", Origin::Body)], 0), Ok(()));
    let expression = Expression::parse("not internal:x or region:eu").unwrap();
    let none = &mut RequestTags::new();
    assert!(flat.check(none, Some(&expression), 0, &mut Heard::default()).is_err());
    // Whoever inherits it may repeat it.
    assert_eq!(said(&flat, &[("internal:x", Origin::Body), ("internal:x", Origin::Key)], 0), Ok(()));
    assert!(flat.grants("&internal:x", Setter::Admin) && !flat.grants("internal:open", Setter::Admin));
}

#[test]
fn default_is_a_name_whatever_names_are_like() {
    let settings = TagSettings { name_pattern: Some("[a-z]+:[a-z]+".to_owned()), ..TagSettings::default() };
    let vocabulary = Vocabulary::new(&[], &settings, &Settings::default(), &[]);
    assert!(vocabulary.objection_to_carried("default").is_none());
    assert!(vocabulary.objection_to_name("default").is_none());
    assert_eq!(said(&vocabulary, &[("default", Origin::Body), ("!default", Origin::Body)], 0), Ok(()));
    assert!(said(&vocabulary, &[("defaults", Origin::Body)], 0).is_err());
}

#[test]
fn claims_of_tokens_are_the_configurations_word() {
    let terms = |values: &[&str], setters: &[Setter]| Terms {
        values: values.iter().map(|value| (*value).to_owned()).collect(),
        set_by: Some(setters.iter().copied().collect()),
        ..Terms::default()
    };
    let vocabulary = vocabulary(&[
        declared("dept:*", terms(&["sales"], &[Setter::Rule])),
        declared("mine:*", terms(&[], &[Setter::Caller])),
    ]);
    assert_eq!(said(&vocabulary, &[("dept:sales", Origin::Jwt), ("dept:sales", Origin::Body)], 0), Ok(()));
    assert!(said(&vocabulary, &[("dept:other", Origin::Jwt)], 0).unwrap_err().contains("'dept:sales'"));
    assert_eq!(
        said(&vocabulary, &[("mine:x", Origin::Jwt)], 0).unwrap_err(),
        "Tag 'mine:x' may not be set by rules and claims of tokens: only by callers."
    );
    assert_eq!(said(&vocabulary, &[("mine:x", Origin::Jwt), ("mine:x", Origin::Key)], 0), Ok(()));
}

#[test]
fn a_refused_request_takes_no_value() {
    let capped = Terms { max_values: Some(2), ..Terms::default() };
    let retired = Terms { retirement: Some(Retirement::parse("1970-01-01").unwrap()), ..Terms::default() };
    let vocabulary = vocabulary(&[declared("customer:*", capped), declared("old", retired)]);
    let mut heard = Heard::default();
    let mut check = |given: &[(&str, Origin)]| vocabulary.check(&mut tags(given), None, 0, &mut heard);
    assert!(check(&[("customer:a", Origin::Body), ("old", Origin::Body)]).is_err());
    assert!(check(&[("customer:b", Origin::Body), ("!customer:x", Origin::Body)]).is_ok());
    assert!(check(&[("customer:c", Origin::Key)]).is_ok());
    assert_eq!(
        check(&[("customer:b", Origin::Body), ("&customer:d", Origin::Body)]).unwrap_err().to_string(),
        "Tag '&customer:d' is one too many: 'customer:*' may have 2 different tags, and has them."
    );
    assert!(check(&[("customer:d", Origin::Team), ("customer:*", Origin::Body)]).is_ok());
}

/// One tag, looked at the slow way: everything that is wrong with it at time 0.
fn wrong(all: &[TagDeclaration], naming: bool, tag: &str, origins: &[Origin]) -> BTreeSet<Reason> {
    let (marker, name) = match tag.chars().next() {
        Some(marker @ ('!' | '&')) => (marker, &tag[1..]),
        _ => ('+', tag),
    };
    let mut wrong = BTreeSet::new();
    if marker != '+' && name.is_empty() {
        return wrong;
    }
    let exact = all.iter().find(|it| it.name == name && !name.ends_with('*'));
    let stem = |it: &TagDeclaration| it.name.strip_suffix('*').map(str::to_owned);
    let patterns = all.iter().filter(|it| stem(it).is_some_and(|stem| name.starts_with(&stem)));
    let one = exact.or_else(|| patterns.max_by_key(|it| it.name.len()));
    let terms = one.map(|one| one.terms.clone()).unwrap_or_default();
    let inherited = origins.iter().any(|origin| origin.is_inherited());
    let own = origins.iter().any(|origin| origin.is_caller()) && !inherited;
    if let Some(retirement) = &terms.retirement {
        wrong.insert(if retirement.at <= 0 { Reason::Retired } else { Reason::Retiring });
    }
    if terms.quarantined {
        wrong.insert(Reason::Quarantined);
    }
    if !own {
        return wrong;
    }
    let callers = |it: &TagDeclaration| it.terms.set_by.is_none_or(|by| by.has(Setter::Caller));
    let reached = |it: &TagDeclaration| match name.strip_suffix('*') {
        Some(wide) => marker != '!' && it.name.trim_end_matches('*').starts_with(wide),
        None => false,
    };
    if one.is_some_and(|one| !callers(one)) || all.iter().any(|it| reached(it) && !callers(it)) {
        wrong.insert(Reason::SetBy);
    }
    // The pattern in question: `[a-c]+(:[a-c]+)*`.
    let open = name.ends_with('*');
    let bare = name.trim_end_matches('*');
    let levels: Vec<&str> = bare.split(':').collect();
    let filled = |level: &&str| !level.is_empty() && level.chars().all(|c| ('a'..='c').contains(&c));
    let named = if open {
        bare.is_empty()
            || levels.split_last().is_some_and(|(last, above)| {
                above.iter().all(filled) && (last.is_empty() && !above.is_empty() || filled(last))
            })
    } else {
        levels.iter().all(filled)
    };
    if naming && !named && exact.is_none() && one.is_none_or(|one| one.name != name) {
        wrong.insert(Reason::Name);
    }
    if let Some(one) = one.filter(|one| !one.terms.values.is_empty()) {
        let value = &name[one.name.len() - 1..];
        let is_one = match value.strip_suffix('*') {
            Some(begun) => one.terms.values.iter().any(|value| value.starts_with(begun)),
            None => one.terms.values.iter().any(|known| known == value),
        };
        if !is_one {
            wrong.insert(Reason::Value);
        }
    }
    wrong
}

fn terms() -> impl Strategy<Value = Terms> {
    let setters = prop::option::weighted(0.4, prop::sample::subsequence(Setter::WORDS.to_vec(), 1..5));
    let retirement = prop::option::weighted(0.3, prop::sample::select(vec!["1969-12-31", "1970-01-02"]));
    let values = prop::collection::vec("[a-c]{1,2}", 0..3);
    (setters, retirement, values, prop::bool::weighted(0.2)).prop_map(
        |(setters, retirement, values, quarantined)| Terms {
            set_by: setters.map(|words| words.into_iter().map(|(_, setter)| setter).collect()),
            retirement: retirement.map(|text| Retirement::parse(text).unwrap()),
            values,
            quarantined,
            ..Terms::default()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn finds_what_looking_at_everything_finds(
        names in prop::collection::btree_set("[a-c:]{1,3}\\*?", 0..6),
        all in prop::collection::vec(terms(), 6),
        naming in any::<bool>(),
        given in prop::collection::vec(("[!&]?[a-cX:]{0,4}\\*?", prop::sample::select(vec![Origin::Body, Origin::Team, Origin::Rule])), 0..6),
    ) {
        let all: Vec<TagDeclaration> = names.into_iter().zip(all).map(|(name, mut terms)| {
            if !name.ends_with('*') {
                terms.values.clear();
            }
            declared(&name, terms)
        }).collect();
        let name_pattern = naming.then(|| "[a-c]+(:[a-c]+)*".to_owned());
        let settings = TagSettings { name_pattern, mode: Mode::Observe, ..TagSettings::default() };
        let observing = Vocabulary::new(&all, &settings, &Settings::default(), &[]);
        let enforcing = Vocabulary::new(&all, &TagSettings { mode: Mode::Enforce, ..settings }, &Settings::default(), &[]);
        let given: Vec<(&str, Origin)> = given.iter().map(|(tag, origin)| (tag.as_str(), *origin)).collect();
        let mut resolved = tags(&given);
        let mut heard = Heard::default();
        observing.check(&mut resolved, None, 0, &mut heard).unwrap();
        prop_assert!(resolved.iter().all(|tag| !tag.is_aside()), "observing changes nothing");
        let mut refused = false;
        for tag in resolved.iter() {
            let origins: Vec<Origin> = tag.origins().collect();
            let expected = wrong(&all, naming, tag.text(), &origins);
            let found: BTreeSet<Reason> =
                heard.said.iter().filter(|(said, ..)| *said == tag.text()).map(|(_, reason, _)| *reason).collect();
            prop_assert_eq!(&found, &expected, "{} of {:?}", tag.text(), origins);
            refused |= expected.iter().any(|reason| !matches!(reason, Reason::Retiring | Reason::Quarantined));
        }
        prop_assert_eq!(enforcing.check(&mut tags(&given), None, 0, &mut Heard::default()).is_err(), refused);
    }
}
