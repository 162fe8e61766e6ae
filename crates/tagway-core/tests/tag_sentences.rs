//! tagway's own rules of tag routing, one sentence each.

use tagway_core::config::{TagDeclaration, TagKind};
use tagway_core::tag::{
    Ask, DeploymentTags, GroupIndex, Members, Origin, Refusal, RequestTags, Settings, Silent, UnknownTags,
    Via, check_pattern, explain,
};

fn group(settings: &Settings, declared: &[TagDeclaration], deployments: &[(&str, &[&str])]) -> GroupIndex {
    let tags: Vec<Vec<String>> =
        deployments.iter().map(|(_, tags)| tags.iter().map(|&tag| tag.to_owned()).collect()).collect();
    let parts: Vec<DeploymentTags<'_>> = deployments
        .iter()
        .zip(&tags)
        .map(|((id, _), tags)| DeploymentTags {
            id,
            tags,
            tag_regex: &[],
            allow_fail_open: false,
            enable_tag_filtering: None,
            tier: None,
            region: None,
        })
        .collect();
    GroupIndex::build(settings, declared, &parts)
}

fn on() -> Settings {
    Settings { enable_tag_filtering: true, ..Settings::default() }
}

fn tags<'a>(given: &[(&'a str, Origin)]) -> RequestTags<'a> {
    let mut tags = RequestTags::new();
    given.iter().for_each(|&(tag, origin)| tags.push(tag, origin));
    tags
}

fn ids(index: &GroupIndex, given: &[(&str, Origin)]) -> Result<Vec<String>, Refusal> {
    let tags = tags(given);
    let decision = index.decide(&Ask::new(&tags), index.all(), &mut Silent)?;
    Ok(decision.candidates.iter().filter_map(|place| index.id(place)).map(str::to_owned).collect())
}

const TEAMS: [(&str, &[&str]); 4] =
    [("a1", &["teamA", "fast"]), ("a2", &["teamA"]), ("b", &["teamB"]), ("plain", &["default"])];

#[test]
fn a_caller_cannot_leave_the_boundary_by_naming_another_team() {
    let index = group(&on(), &[], &TEAMS);
    let key = ("teamA", Origin::Key);
    assert_eq!(ids(&index, &[key, ("teamB", Origin::Body)]), Err(Refusal::OutsideBoundary));
    assert_eq!(ids(&index, &[key, ("fast", Origin::Body)]), Ok(vec!["a1".into()]));
    assert_eq!(ids(&index, &[key, ("label", Origin::Body)]), Ok(vec!["a1".into(), "a2".into()]));
    assert_eq!(ids(&index, &[key, ("teamB", Origin::Rule)]), Ok(vec!["a1".into(), "a2".into()]));
}

#[test]
fn a_refusal_outside_the_boundary_reads_like_any_other() {
    let index = group(&on(), &[], &TEAMS);
    let tags = tags(&[("teamA", Origin::Key), ("teamB", Origin::Header)]);
    let refusal = index.decide(&Ask::new(&tags), index.all(), &mut Silent).unwrap_err();
    assert_eq!(refusal.reason(), "outside_boundary");
    assert_eq!(
        refusal.message("gpt", &tags),
        "Not allowed to access model due to tags configuration. Passed model=gpt and tags=['teamA', 'teamB']"
    );
}

#[test]
fn a_refusal_that_time_heals_can_be_told_from_one_that_it_does_not() {
    let index = group(&on(), &[], &TEAMS);
    let only_b: Members = index.place("b").into_iter().collect();
    for (tag, heals) in [("fast", true), ("nobody", true), ("&nobody", false)] {
        let tags = tags(&[(tag, Origin::Body)]);
        let ask = Ask::new(&tags);
        assert_eq!(index.decide(&ask, &only_b, &mut Silent), Err(Refusal::Tags), "{tag}");
        assert_eq!(index.serves_when_all_healthy(&ask), heals, "{tag}");
    }
}

#[test]
fn an_attribution_tag_never_decides() {
    let label =
        TagDeclaration { name: "user:*".into(), kind: TagKind::Attribution, ..TagDeclaration::default() };
    let index = group(&on(), &[label], &[("u", &["user:1"]), ("plain", &["default"])]);
    for tag in ["user:1", "&user:2", "!user:1", "user:*"] {
        assert_eq!(ids(&index, &[(tag, Origin::Body)]), Ok(vec!["plain".into()]), "{tag}");
    }
}

#[test]
fn a_level_declared_for_attribution_is_no_way_to_what_is_below() {
    let label =
        TagDeclaration { name: "region:eu".into(), kind: TagKind::Attribution, ..TagDeclaration::default() };
    let settings = Settings { hierarchy: true, ..on() };
    let index = group(&settings, &[label], &[("fra", &["region:eu:fra"]), ("plain", &["default"])]);
    assert_eq!(ids(&index, &[("region:eu", Origin::Body)]), Ok(vec!["plain".into()]));
    assert_eq!(ids(&index, &[("region", Origin::Body)]), Ok(vec!["fra".into()]));
}

#[test]
fn an_unknown_tag_is_refused_with_what_it_may_have_meant() {
    let settings = Settings { unknown: UnknownTags::Reject, ..on() };
    let index = group(&settings, &[], &[("fra", &["region:eu"]), ("iad", &["region:us"])]);
    let refusal = ids(&index, &[("&regoin:eu", Origin::Body)]).unwrap_err();
    assert_eq!(refusal.reason(), "unknown_tag");
    assert_eq!(
        refusal.message("gpt", &[]),
        "Unknown tag `&regoin:eu` for model=gpt. Did you mean `region:eu`, `region:us`?"
    );
}

#[test]
fn a_mistyped_constraint_never_turns_into_a_label() {
    let settings = Settings { unknown: UnknownTags::Attribute, ..on() };
    let index = group(&settings, &[], &TEAMS);
    assert_eq!(ids(&index, &[("user:234", Origin::Body)]), Ok(vec!["plain".into()]));
    assert_eq!(ids(&index, &[("&regoin:eu", Origin::Body)]), Err(Refusal::Tags));
}

#[test]
fn levels_and_wildcards_match_what_is_below() {
    let settings = Settings { hierarchy: true, ..on() };
    let index = group(
        &settings,
        &[],
        &[("fra", &["region:eu:fra"]), ("dub", &["region:eu:dub"]), ("iad", &["region:us:iad"])],
    );
    let eu = Ok(vec!["fra".into(), "dub".into()]);
    for tag in ["region:eu", "&region:eu", "!region:us", "region:eu:*", "region:e*"] {
        assert_eq!(ids(&index, &[(tag, Origin::Body)]), eu, "{tag}");
    }
    let tags = tags(&[("region:e*", Origin::Body)]);
    let decision = index.decide(&Ask::new(&tags), index.all(), &mut Silent).unwrap();
    assert_eq!(decision.matched.map(|it| (it.via, it.value)), Some((Via::Tags, "region:eu:fra")));
}

#[test]
fn an_explanation_names_the_tag_that_kept_or_dropped_a_deployment() {
    let index = group(&on(), &[], &TEAMS);
    let tags = tags(&[("teamA", Origin::Key), ("!fast", Origin::Body)]);
    let (_, explanation) = explain(&index, &Ask::new(&tags), index.all(), "gpt");
    let reasons: Vec<_> = explanation.deployments.iter().map(|it| (it.kept, it.reason.as_str())).collect();
    assert_eq!(
        reasons,
        [
            (false, "carries `fast`, which `!fast` from body excludes"),
            (true, "no known tag asks for less than the whole boundary"),
            (false, "outside the boundary of the inherited tags"),
            (false, "outside the boundary of the inherited tags"),
        ]
    );
    assert_eq!(explanation.boundary, Some(vec!["a1".to_owned(), "a2".to_owned()]));
    assert!(serde_json::to_string(&explanation).is_ok_and(|json| json.contains(r#""origin":"key""#)));
}

#[test]
fn a_pattern_written_for_python_is_refused_in_words() {
    assert_eq!(check_pattern(r"^User-Agent: claude-code\/"), Ok(()));
    for (pattern, word) in [
        ("(?!curl)", "look-around"),
        ("(?<=x)y", "look-around"),
        (r"(a)\1", "backreference"),
        (r"(?P<a>x)(?P=a)", "backreference"),
        (r"curl\Z", r"\z"),
        ("[bad(", "unclosed"),
        (r"\w{500}{500}", "too big"),
    ] {
        let problem = check_pattern(pattern).unwrap_err();
        assert!(problem.contains(word), "{pattern}: {problem}");
    }
}
