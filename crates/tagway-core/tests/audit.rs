//! What is found in a vocabulary of tags.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use tagway_core::audit::{
    Broken, Carried, Check, Declared, Facts, Finding, Place, Seen, Spelling, Weight, Word, audit, in_words,
    near,
};
use tagway_core::config::TagKind;
use tagway_core::money::Nanos;

const SINCE: i64 = 1000;

fn declared(name: &str) -> Declared<'_> {
    Declared { name, described: true, owned: true, ..Declared::default() }
}

fn seen(name: &str) -> Seen<'_> {
    Seen { name, last: SINCE + 1, requests: 5, spend: Nanos(1) }
}

fn place<'a>(id: &'a str, tags: &'a [String]) -> Place<'a> {
    Place { id, group: "g", tags, patterns: false, filtered: true, requests: 1 }
}

fn facts<'a>() -> Facts<'a> {
    Facts { since: SINCE, now: SINCE + 10, granted: vec!["default"], ..Facts::default() }
}

/// `check subject`, in order.
fn found(facts: &Facts<'_>) -> Vec<String> {
    audit(facts).iter().map(|finding| format!("{} {}", finding.check.as_str(), finding.subject)).collect()
}

fn tags(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn a_vocabulary_in_order_has_no_findings() {
    let (one, two) = (tags(&["default"]), tags(&["gold"]));
    let facts = Facts {
        declared: vec![
            Declared { kind: TagKind::Routing, budget: true, ..declared("gold") },
            Declared { kind: TagKind::Attribution, ..declared("customer:*") },
        ],
        seen: vec![seen("gold"), seen("customer:1"), seen("customer:2")],
        carried: vec![
            Carried { tag: "gold", kind: "team", id: "a" },
            Carried { tag: "customer:3", kind: "key", id: "k" },
        ],
        deployments: vec![place("one", &one), place("two", &two)],
        ..facts()
    };
    assert!(found(&facts).is_empty(), "{:?}", audit(&facts));
    assert!(in_words(&[], &BTreeMap::new(), |_| String::new()).starts_with("Nothing found"));
}

#[test]
fn declared_tags_are_used_documented_and_served() {
    let old = Seen { last: SINCE - 1, ..seen("old") };
    let nothing = Declared { name: "bare", owned: true, ..Declared::default() };
    let facts = Facts {
        declared: vec![
            declared("old"),
            Declared { budget: true, ..declared("dear:*") },
            Declared { kind: TagKind::Routing, ..declared("lost") },
            nothing,
        ],
        seen: vec![old, seen("lost"), seen("bare"), Seen { spend: Nanos(0), ..seen("dear:1") }],
        ..facts()
    };
    let expected = ["unserved_tag lost", "unused_tag old", "idle_budget dear:*", "undocumented_tag bare"];
    assert_eq!(found(&facts), expected);
    let of_old = audit(&facts).into_iter().find(|finding| finding.subject == "old").unwrap();
    assert_eq!((of_old.last_used, of_old.weight), (Some(SINCE - 1), Weight::Note));
}

#[test]
fn what_ends_and_is_in_use_is_told_with_what_takes_its_place() {
    let ending = |name, at| Declared {
        retires: Some((at, "then")),
        replaced_by: Some("new"),
        kind: TagKind::Attribution,
        ..declared(name)
    };
    let facts = Facts {
        declared: vec![
            ending("gone", SINCE),
            ending("over", SINCE + 5),
            ending("soon:*", SINCE + 20),
            Declared { quarantined: true, kind: TagKind::Attribution, ..declared("odd") },
        ],
        seen: vec![seen("gone"), seen("over"), seen("soon:1"), seen("odd")],
        carried: vec![
            Carried { tag: "over", kind: "team", id: "a" },
            Carried { tag: "!soon:2", kind: "team", id: "b" },
            Carried { tag: "odd", kind: "key", id: "k" },
        ],
        broken: vec![
            Broken { tag: "env:pord", outcome: "refused", message: "No.", count: 3, last: 7, by: "robot" },
            Broken { tag: "odd", outcome: "warned", message: "Hm.", count: 1, last: 7, by: "" },
        ],
        ..facts()
    };
    let told: Vec<String> = audit(&facts)
        .iter()
        .map(|one| format!("{} {}: {}", one.weight.as_str(), one.subject, one.message))
        .collect();
    assert_eq!(
        told,
        [
            "error team a: it gives its requests `over`, which has retired (then): use `new`",
            "warning gone: requests carry it, and it has retired (then): use `new`",
            "warning soon:1: requests carry it, and it retires (then): use `new`",
            "warning team b: it gives its requests `!soon:2`, which retires (then): use `new`",
            "warning env:pord: refused 3 times, last by robot: No.",
            "note odd: warned once: Hm.",
            "warning odd: requests carry it",
            "warning key k: it gives its requests `odd`",
        ]
    );
}

#[test]
fn former_names_are_the_tags_they_became() {
    let former = tags(&["engineering"]);
    let facts = Facts {
        declared: vec![Declared { former: &former, ..declared("eng") }],
        seen: vec![seen("engineering")],
        carried: vec![Carried { tag: "engineering", kind: "key", id: "k" }],
        ..facts()
    };
    let served = found(&facts);
    assert_eq!(served, ["unserved_tag key k"], "a note that it keeps requests nowhere");
}

#[test]
fn what_nobody_declared_is_told_with_what_it_cost_the_dearest_first() {
    let facts = Facts {
        declared: vec![Declared { kind: TagKind::Attribution, ..declared("known:*") }],
        seen: vec![
            seen("a"),
            Seen { spend: Nanos(9), ..seen("b") },
            seen("known:1"),
            Seen { last: 1, ..seen("gone") },
        ],
        ..facts()
    };
    assert_eq!(found(&facts), ["undeclared_tag b", "undeclared_tag a"]);
    assert!(audit(&facts).iter().all(|finding| finding.weight == Weight::Warning));
    // Without a vocabulary nothing is wrong with a tag that is not in it.
    let facts = Facts { declared: Vec::new(), ..facts };
    assert!(audit(&facts).iter().all(|finding| finding.weight == Weight::Note));
}

#[test]
fn owners_are_told_that_demand_what_nothing_serves() {
    let gold = tags(&["gold", "region:eu:fra"]);
    let carried = ["&region:mars", "route:billing", "!gold", "gold", "&region:eu", "reg*", "secret"]
        .map(|tag| Carried { tag, kind: "team", id: "a" });
    let facts = Facts {
        declared: vec![
            Declared { kind: TagKind::Routing, ..declared("secret") },
            Declared { kind: TagKind::Attribution, ..declared("billing") },
        ],
        seen: vec![seen("secret"), seen("billing")],
        carried: carried.to_vec(),
        deployments: vec![place("one", &gold)],
        hierarchy: true,
        prefix: "route:",
        ..facts()
    };
    let all = audit(&facts);
    let of = |check: Check, weight: Weight| -> Vec<&str> {
        let these = all.iter().filter(|finding| finding.check == check && finding.weight == weight);
        these.filter_map(|finding| finding.tag.as_deref()).collect()
    };
    assert_eq!(of(Check::UnservedTag, Weight::Error), ["region:mars", "secret"]);
    assert!(of(Check::UnservedTag, Weight::Note).is_empty());
    assert_eq!(of(Check::UndeclaredOnOwner, Weight::Warning), ["gold", "gold", "region:eu", "region:mars"]);
}

#[test]
fn deployments_that_nothing_leads_to_are_told_apart_from_those_that_nobody_asks_for() {
    let (default, gold, lost, none) = (tags(&["default"]), tags(&["gold"]), tags(&["lost"]), tags(&[]));
    let deployments = vec![
        place("default", &default),
        Place { requests: 0, ..place("gold", &gold) },
        place("lost", &lost),
        place("none", &none),
        Place { patterns: true, ..place("by-agent", &lost) },
        Place { group: "off", filtered: false, ..place("off-default", &default) },
        Place { group: "off", filtered: false, ..place("off-lost", &lost) },
        Place { group: "alone", ..place("alone-lost", &lost) },
    ];
    let seen = vec![seen("gold")];
    let told = |more: Facts<'_>| -> Vec<String> {
        let found = found(&more);
        found.into_iter().filter(|one| one.contains("_deployment")).collect()
    };
    let with = |declared, derived, carried| Facts {
        declared,
        derived,
        carried,
        seen: seen.clone(),
        deployments: deployments.clone(),
        ..facts()
    };
    let lost_and_none =
        ["unreachable_deployment lost", "unreachable_deployment none", "idle_deployment gold"]
            .map(str::to_owned);
    assert_eq!(told(with(vec![], vec![], vec![])), lost_and_none);
    let none = ["unreachable_deployment none", "idle_deployment gold"].map(str::to_owned);
    assert_eq!(told(with(vec![declared("lost")], vec![], vec![])), none);
    assert_eq!(told(with(vec![declared("lo*")], vec![], vec![])), none);
    assert_eq!(told(with(vec![], vec!["&lost"], vec![])), none);
    assert_eq!(told(with(vec![], vec![], vec![Carried { tag: "lost", kind: "key", id: "k" }])), none);
    // Labels lead nowhere, and neither does what is excluded.
    let label = Declared { kind: TagKind::Attribution, ..declared("lost") };
    assert_eq!(told(with(vec![label], vec![], vec![])), lost_and_none);
    assert_eq!(told(with(vec![], vec!["!lost"], vec![])), lost_and_none);
}

fn word(name: &str) -> Word<'_> {
    Word { name, declared: false, weight: 0, covered: false }
}

fn pairs(names: &[&str]) -> Vec<String> {
    let words: Vec<Word<'_>> = names.iter().map(|name| word(name)).collect();
    near(&words).into_iter().map(|near| format!("{}>{}:{:?}", near.name, near.like, near.by)).collect()
}

#[test]
fn spellings_plurals_and_slips_look_alike_and_numbers_do_not() {
    assert_eq!(pairs(&["Eng", "eng"]), ["eng>Eng:Case"]);
    assert_eq!(pairs(&["data-science", "data_science"]), ["data_science>data-science:Separators"]);
    assert_eq!(pairs(&["team:payment", "team:payments"]), ["team:payments>team:payment:Plural"]);
    assert_eq!(pairs(&["research", "reserach"]), ["reserach>research:Letter"]);
    assert_eq!(pairs(&["research", "resarch"]), ["research>resarch:Letter"]);
    for apart in [
        ["customer:12345", "customer:12346"],
        ["v1-long-name", "v2-long-name"],
        ["eu", "us"],
        ["free", "tree"],
    ] {
        assert!(pairs(&apart).is_empty(), "{apart:?}");
    }
    // What is declared is what was meant, and of the others what is used most.
    let words = [
        Word { declared: true, ..word("research") },
        Word { weight: 9, ..word("researh") },
        Word { weight: 2, ..word("reseerch") },
    ];
    assert!(near(&words).iter().all(|near| near.like == "research"));
    let both =
        [Word { declared: true, ..word("production") }, Word { declared: true, ..word("productions") }];
    assert!(near(&both).is_empty());
}

#[test]
fn a_hundred_thousand_names_take_a_moment() {
    let names: Vec<String> = (0..100_000)
        .map(|n| format!("customer:{}-{n:x}", if n % 2 == 0 { "north" } else { "south" }))
        .collect();
    let mut words: Vec<Word<'_>> = names.iter().map(|name| word(name)).collect();
    words.extend([word("north-america"), word("north_america")]);
    let began = Instant::now();
    let found = near(&words);
    assert!(found.iter().any(|near| near.by == Spelling::Separators));
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
}

proptest! {
    /// Whoever has a look-alike is found, and nobody else: compared with looking at all pairs.
    #[test]
    fn look_alikes_are_those_of_all_pairs(names in prop::collection::btree_set("[aAbs_:-]{1,9}", 0..24)) {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let words: Vec<Word<'_>> = names.iter().map(|name| word(name)).collect();
        let found = near(&words);
        let two = |one: &str, other: &str| !near(&[word(one), word(other)]).is_empty();
        let named: BTreeSet<&str> = found.iter().map(|near| near.name).collect();
        prop_assert_eq!(named.len(), found.len());
        for (at, one) in names.iter().enumerate() {
            for other in &names[at + 1..] {
                if two(one, other) {
                    prop_assert!(named.contains(one) || named.contains(other), "{one} {other}");
                }
            }
        }
        for near in &found {
            prop_assert!(two(near.name, near.like), "{} {}", near.name, near.like);
        }
    }

    /// Findings do not depend on the order of the facts, and each is told once.
    #[test]
    fn the_same_facts_give_the_same_findings(
        names in prop::collection::btree_set("[ab:*-]{1,4}", 0..12), turn in 0..12_usize,
    ) {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let carried: Vec<String> = names.iter().map(|name| format!("&{name}")).collect();
        let all = |turn: usize| {
            let mut facts = Facts {
                declared: names.iter().step_by(2).map(|name| declared(name)).collect(),
                seen: names.iter().skip(1).map(|name| seen(name)).collect(),
                carried: carried.iter().map(|tag| Carried { tag, kind: "key", id: "k" }).collect(),
                ..facts()
            };
            let turn = |length: usize| if length == 0 { 0 } else { turn % length };
            let (declared, seen, carried) = (turn(facts.declared.len()), turn(facts.seen.len()), turn(facts.carried.len()));
            facts.declared.rotate_left(declared);
            facts.seen.rotate_left(seen);
            facts.carried.rotate_left(carried);
            audit(&facts)
        };
        let found: Vec<Finding> = all(0);
        prop_assert_eq!(&found, &all(turn));
        prop_assert!(found.windows(2).all(|two| two[0] != two[1]));
    }
}
