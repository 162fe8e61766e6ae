//! The tag decision against a second formulation: plain sets of names, no index, one deployment at a time,
//! written from the documented rules. And what must hold whatever the rules say: nothing outside an inherited
//! boundary is ever chosen, and no protected constraint is ever dropped.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up should fail")]

mod tag_naive;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tag_naive::{Case, Deployment, Tree, protected_set};
use tagway_core::config::{TagDeclaration, TagKind, TagSettings, Tier};
use tagway_core::tag::{
    Ask, DeploymentTags, Explanation, Expression, GroupIndex, InheritedTags, Members, Origin, Outcome,
    Refusal, RequestTags, Settings, Silent, UnknownTags, explain,
};
use tagway_core::vocabulary::{self, Objection, Terms, Vocabulary, Watch};

const TAGS: [&str; 16] = [
    "a",
    "b",
    "c",
    "default",
    "region",
    "region:eu",
    "region:eu:fra",
    "region:eu:dub",
    "region:us",
    "team:a",
    "team:b",
    "team:b:x",
    "cust:1",
    "cust:2",
    "r-a",
    "",
];
const ASKED: [&str; 12] = [
    "zz",
    "team:*",
    "region:*",
    "region:eu:*",
    "re*",
    "team:b*",
    "cust:*",
    "cust:1*",
    "*",
    "region:e",
    "default",
    "a",
];
const MARKERS: [&str; 6] = ["", "", "", "!", "&", "r-"];
const ORIGINS: [Origin; 11] = [
    Origin::Header,
    Origin::Body,
    Origin::Metadata,
    Origin::LitellmMetadata,
    Origin::Key,
    Origin::Team,
    Origin::Project,
    Origin::Organization,
    Origin::User,
    Origin::Customer,
    Origin::Rule,
];
const DECLARED: [&str; 5] = ["cust:*", "cust:1", "team:*", "region:eu", "zz"];

fn name() -> impl Strategy<Value = &'static str> {
    prop_oneof![3 => prop::sample::select(&TAGS[..]), 2 => prop::sample::select(&ASKED[..])]
}

fn tag() -> impl Strategy<Value = String> {
    let markers = || prop::sample::select(&MARKERS[..]);
    prop_oneof![
        8 => (markers(), name()).prop_map(|(marker, name)| format!("{marker}{name}")),
        1 => (markers(), markers(), name()).prop_map(|(a, b, name)| format!("{a}{b}{name}")),
        1 => markers().prop_map(str::to_owned),
    ]
}

fn deployment() -> impl Strategy<Value = Deployment> {
    (
        prop::collection::vec(prop::sample::select(&TAGS[..]), 0..4),
        prop::collection::vec(prop::sample::select(&tag_naive::PATTERNS[..]), 0..3),
        0..10_u8,
        0..20_u8,
        0..8_u8,
    )
        .prop_map(|(tags, patterns, regexed, open, tier)| Deployment {
            tags: tags.into_iter().map(str::to_owned).collect(),
            tag_regex: if regexed < 3 {
                patterns.into_iter().map(str::to_owned).collect()
            } else {
                Vec::new()
            },
            allow_fail_open: open < 4,
            enable_tag_filtering: match open {
                18 => Some(true),
                19 => Some(false),
                _ => None,
            },
            tier: match tier {
                0 => Some(Tier::Free),
                1 => Some(Tier::Paid),
                _ => None,
            },
        })
}

fn tree() -> impl Strategy<Value = Tree> {
    let leaf = name().prop_map(|name| Tree::Tag(name.to_owned()));
    leaf.prop_recursive(4, 16, 2, |inner| {
        prop_oneof![
            inner.clone().prop_map(|it| Tree::Not(Box::new(it))),
            (inner.clone(), inner.clone()).prop_map(|(l, r)| Tree::And(Box::new(l), Box::new(r))),
            (inner.clone(), inner).prop_map(|(l, r)| Tree::Or(Box::new(l), Box::new(r))),
        ]
    })
}

fn settings() -> impl Strategy<Value = Settings> {
    (0..8_u8, any::<bool>(), any::<bool>(), 0..3_u8, 0..4_u8, any::<bool>()).prop_map(
        |(on, match_any, prefix, merge, unknown, hierarchy)| Settings {
            enable_tag_filtering: on != 0,
            match_any,
            prefix: if prefix { "r-".to_owned() } else { String::new() },
            inherited: if merge == 0 { InheritedTags::Merge } else { InheritedTags::Enforce },
            unknown: match unknown {
                0 => UnknownTags::Attribute,
                1 => UnknownTags::Reject,
                _ => UnknownTags::Route,
            },
            hierarchy,
        },
    )
}

fn unknown() -> impl Strategy<Value = Option<UnknownTags>> {
    prop_oneof![
        3 => Just(None),
        2 => prop::sample::select(&UnknownTags::WORDS[..]).prop_map(|(_, unknown)| Some(unknown)),
    ]
}

/// Hears nothing, and has room for everything.
struct Deaf;

impl Watch for Deaf {
    fn has_room(&mut self, _: &str, _: &str, _: u64) -> bool {
        true
    }

    fn hear(&mut self, _: &Objection, _: vocabulary::Outcome) {}
}

fn declarations() -> impl Strategy<Value = Vec<TagDeclaration>> {
    let kind = prop::sample::select(&[TagKind::Routing, TagKind::Attribution, TagKind::Both][..]);
    let quarantined = prop::bool::weighted(0.2);
    let declared = (prop::sample::select(&DECLARED[..]), kind, quarantined);
    let one = declared.prop_map(|(name, kind, quarantined)| TagDeclaration {
        name: name.to_owned(),
        kind,
        terms: Terms { quarantined, ..Terms::default() },
        ..TagDeclaration::default()
    });
    prop::collection::vec(one, 0..3).prop_map(|mut all| {
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all.dedup_by(|a, b| a.name == b.name);
        all
    })
}

fn origin() -> impl Strategy<Value = Origin> {
    prop_oneof![
        3 => prop::sample::select(&ORIGINS[..4]),
        3 => prop::sample::select(&ORIGINS[4..10]),
        1 => Just(Origin::Rule),
    ]
}

fn case() -> impl Strategy<Value = Case> {
    let size = prop_oneof![12 => 1..9_usize, 2 => 60..70_usize, 1 => 120..300_usize];
    let deployments = size.prop_flat_map(|size| {
        (prop::collection::vec(deployment(), size), prop::collection::vec(0..4_u8, size), 0..4_u8)
    });
    let agent = prop_oneof![
        Just(None),
        prop::sample::select(&["", "claude-code/1.2", "curl/8.4", "Mozilla/5.0"][..])
            .prop_map(|it| Some(it.to_owned())),
    ];
    let tier = prop_oneof![4 => Just(None), 1 => Just(Some(Tier::Free)), 1 => Just(Some(Tier::Paid))];
    let expressions = prop_oneof![
        2 => Just(Vec::new()),
        1 => prop::collection::vec((tree(), origin()), 1..3),
    ];
    (
        settings(),
        declarations(),
        deployments,
        prop::collection::vec((tag(), origin()), 0..6),
        agent,
        (0..5_u8, unknown()),
        expressions,
        tier,
    )
        .prop_map(
            |(
                settings,
                declarations,
                (deployments, health, sick),
                tags,
                user_agent,
                (on, unknown),
                expressions,
                tier,
            )| Case {
                settings,
                declarations,
                healthy: (0..deployments.len()).filter(|&at| sick == 0 || health[at] != 0).collect(),
                deployments,
                tags,
                user_agent,
                turn_on: on == 0,
                unknown,
                expressions,
                tier,
            },
        )
}

/// What the crate says: the candidates or the reason, and the explanation of the same.
fn decided(case: &Case) -> (Result<Vec<usize>, &'static str>, Explanation) {
    asked(&index(case), case)
}

fn index(case: &Case) -> GroupIndex {
    let ids: Vec<String> = (0..case.deployments.len()).map(|at| format!("d{at}")).collect();
    let parts: Vec<DeploymentTags<'_>> = case
        .deployments
        .iter()
        .zip(&ids)
        .map(|(it, id)| DeploymentTags {
            id,
            tags: &it.tags,
            tag_regex: &it.tag_regex,
            allow_fail_open: it.allow_fail_open,
            enable_tag_filtering: it.enable_tag_filtering,
            tier: it.tier,
            region: None,
        })
        .collect();
    GroupIndex::build(&case.settings, &case.declarations, &parts)
}

fn asked(index: &GroupIndex, case: &Case) -> (Result<Vec<usize>, &'static str>, Explanation) {
    let mut tags = RequestTags::new();
    case.tags.iter().for_each(|(tag, origin)| tags.push(tag.as_str(), *origin));
    let vocabulary = Vocabulary::new(&case.declarations, &TagSettings::default(), &case.settings, &[]);
    vocabulary.check(&mut tags, None, 0, &mut Deaf).unwrap();
    let parsed: Vec<(Expression, Origin)> = case
        .expressions
        .iter()
        .map(|(tree, origin)| (Expression::parse(&tree.text()).unwrap(), *origin))
        .collect();
    let expressions: Vec<(&Expression, Origin)> = parsed.iter().map(|(it, origin)| (it, *origin)).collect();
    let ask = Ask {
        tags: &tags,
        user_agent: case.user_agent.as_deref(),
        turn_on: case.turn_on,
        unknown: case.unknown,
        expressions: &expressions,
        tier: case.tier,
        regions: &[],
    };
    let healthy: Members = case.healthy.iter().copied().collect();
    let silent = index.decide(&ask, &healthy, &mut Silent);
    let (told, explanation) = explain(index, &ask, &healthy, "m");
    assert_eq!(silent, told, "explaining changed the decision");
    let all: Members = (0..index.len()).collect();
    assert_eq!(index.serves_when_all_healthy(&ask), index.decide(&ask, &all, &mut Silent).is_ok());
    let rejecting = Ask { unknown: Some(UnknownTags::Reject), ..ask };
    let rejected = match index.decide(&rejecting, &healthy, &mut Silent) {
        Err(Refusal::UnknownTag { tag, .. }) => Some(tag),
        _ => None,
    };
    assert_eq!(index.stranger(&ask).map(|tag| tag.text().to_owned()), rejected);
    let answer = match silent {
        Ok(decision) => Ok(decision.candidates.iter().collect()),
        Err(refusal) => Err(refusal.reason()),
    };
    (answer, explanation)
}

/// The explanation is the decision, watched: a hundred thousand requests, at configurations of any kind.
#[test]
fn an_explanation_tells_what_was_decided() {
    const CONFIGURATIONS: u32 = 1_000;
    const REQUESTS: usize = 100;
    let request = (prop::collection::vec((tag(), origin()), 0..6), any::<[u64; 5]>(), any::<bool>());
    let all = (case(), prop::collection::vec(request, REQUESTS));
    let config = ProptestConfig { cases: CONFIGURATIONS, ..ProptestConfig::default() };
    let run = TestRunner::new(config).run(&all, |(mut case, requests)| {
        let index = index(&case);
        for (tags, well, turn_on) in requests {
            let is_well = |at: &usize| well[at / 64] >> (at % 64) & 1 == 1;
            (case.tags, case.turn_on) = (tags, turn_on);
            case.healthy = (0..case.deployments.len()).filter(is_well).collect();
            let (answer, explanation) = asked(&index, &case);
            let kept = explanation.deployments.iter().enumerate().filter(|(_, verdict)| verdict.kept);
            let kept: Vec<usize> = kept.map(|(at, _)| at).collect();
            prop_assert_eq!(matches!(explanation.outcome, Outcome::Refused { .. }), answer.is_err());
            prop_assert_eq!(kept, answer.unwrap_or_default());
        }
        Ok(())
    });
    run.unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn decides_as_the_plain_formulation_does(case in case()) {
        let (answer, explanation) = decided(&case);
        let expected = tag_naive::decide(&case).map(|set| set.into_iter().collect::<Vec<_>>());
        prop_assert_eq!(&answer, &expected);
        for (at, verdict) in explanation.deployments.iter().enumerate() {
            let kept = answer.as_ref().is_ok_and(|places| places.contains(&at));
            prop_assert_eq!(verdict.kept, kept);
            let refused_at_once = matches!(answer, Err("unknown_tag"));
            prop_assert!(refused_at_once || !verdict.reason.is_empty());
        }
        prop_assert_eq!(matches!(explanation.outcome, Outcome::Refused { .. }), answer.is_err());
    }

    #[test]
    fn nothing_outside_what_the_operator_protects_is_ever_chosen(case in case()) {
        if let (Ok(places), _) = decided(&case) {
            prop_assert!(!places.is_empty());
            let allowed = protected_set(&case);
            for place in places {
                prop_assert!(case.healthy.contains(&place));
                prop_assert!(allowed.contains(&place), "{} is outside {:?}", place, allowed);
            }
        }
    }

    #[test]
    fn a_caller_cannot_widen_what_others_bound(
        case in case(),
        more in prop::collection::vec(tag(), 0..4),
    ) {
        let allowed = protected_set(&case);
        let mut pushy = case;
        pushy.tags.extend(more.into_iter().map(|tag| (tag, Origin::Body)));
        if let (Ok(places), _) = decided(&pushy) {
            prop_assert!(places.iter().all(|place| allowed.contains(place)));
        }
    }

    #[test]
    fn nor_by_naming_another_customer(case in case(), tags in prop::collection::vec(tag(), 0..4)) {
        let mut alone = case;
        alone.tags.retain(|(_, origin)| *origin != Origin::Customer);
        let allowed = protected_set(&alone);
        let mut pushy = alone;
        pushy.tags.extend(tags.into_iter().map(|tag| (tag, Origin::Customer)));
        if let (Ok(places), _) = decided(&pushy) {
            prop_assert!(places.iter().all(|place| allowed.contains(place)));
        }
    }

    #[test]
    fn nor_does_a_variant_of_an_experiment(
        case in case(),
        variants in prop::collection::vec((tag(), any::<bool>()), 1..3),
    ) {
        let allowed = protected_set(&case);
        let mut narrowed = case;
        // As the tag of one becomes a constraint, or those of the others do.
        let as_constraint = |(tag, carried): (String, bool)| {
            let name = tag.trim_start_matches(['!', '&']);
            (format!("{}{name}", if carried { '&' } else { '!' }), Origin::Rule)
        };
        narrowed.tags.extend(variants.into_iter().map(as_constraint));
        if let (Ok(places), _) = decided(&narrowed) {
            prop_assert!(places.iter().all(|place| allowed.contains(place)));
        }
    }

    #[test]
    fn expressions_survive_printing(tree in tree()) {
        let parsed = Expression::parse(&tree.text()).unwrap();
        let printed = parsed.to_string();
        prop_assert_eq!(Expression::parse(&printed).unwrap(), parsed, "{}", printed);
    }

    #[test]
    fn any_text_parses_or_fails_inside_itself(text in prop_oneof!["[ab()!&'\"\\\\ é]{0,20}", "(a|and|or|not|\\(|\\)| ){0,30}", any::<String>()]) {
        match Expression::parse(&text) {
            Ok(parsed) => prop_assert_eq!(Expression::parse(&parsed.to_string()), Ok(parsed)),
            Err(error) => prop_assert!((1..=text.chars().count() + 1).contains(&error.column)),
        }
    }
}
