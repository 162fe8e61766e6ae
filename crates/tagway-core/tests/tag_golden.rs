//! Every decision recorded from LiteLLM must be ours too, with `inherited_tags: merge`; and explaining a
//! decision must never change it.

#![expect(
    clippy::unwrap_used,
    reason = "a recorded case that is not shaped as described should fail the test"
)]

use std::collections::BTreeSet;

use serde_json::Value;
use tagway_core::tag::{
    Ask, DeploymentTags, GroupIndex, InheritedTags, Members, Origin, Refusal, RequestTags, Settings, Silent,
    explain, python_list,
};

struct Deployment {
    id: String,
    tags: Vec<String>,
    tag_regex: Vec<String>,
    allow_fail_open: bool,
    enable_tag_filtering: Option<bool>,
}

fn strings(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(|item| item.as_str().unwrap().to_owned()).collect()
}

fn without_prefix<'t>(tag: &'t str, prefix: &str) -> &'t str {
    tag.strip_prefix(prefix).unwrap_or(tag)
}

fn check(case: &Value) {
    let n = &case["n"];
    let prefix = case["settings"]["tag_routing_prefix"].as_str().unwrap();
    let settings = Settings {
        enable_tag_filtering: case["settings"]["enable_tag_filtering"].as_bool().unwrap(),
        match_any: case["settings"]["tag_filtering_match_any"].as_bool().unwrap(),
        prefix: prefix.to_owned(),
        inherited: InheritedTags::Merge,
        ..Settings::default()
    };
    let is_healthy =
        |id: &Value| case["healthy"].as_array().is_none_or(|healthy| healthy.iter().any(|it| it == id));
    // Where LiteLLM could not look the group up, it made do with the healthy part: a smaller group to us.
    let lookup_error = case["lookup_error"] == true;
    let deployments: Vec<Deployment> = case["deployments"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|it| !lookup_error || is_healthy(&it["id"]))
        .map(|it| Deployment {
            id: it["id"].as_str().unwrap().to_owned(),
            tags: strings(&it["tags"]),
            tag_regex: strings(&it["tag_regex"]),
            allow_fail_open: it["allow_fail_open"] == true,
            enable_tag_filtering: it["enable_tag_filtering"].as_bool(),
        })
        .collect();
    let parts: Vec<DeploymentTags<'_>> = deployments
        .iter()
        .map(|it| DeploymentTags {
            id: &it.id,
            tags: &it.tags,
            tag_regex: &it.tag_regex,
            allow_fail_open: it.allow_fail_open,
            enable_tag_filtering: it.enable_tag_filtering,
            tier: None,
            region: None,
        })
        .collect();
    let index = GroupIndex::build(&settings, &[], &parts);
    let healthy: Members = (0..parts.len()).filter(|&at| is_healthy(&Value::from(parts[at].id))).collect();

    let empty = Value::Null;
    let request = if case["no_metadata"] == true { &empty } else { &case["request"] };
    let sent = strings(&request["tags"]);
    // LiteLLM compares what is inherited with what was sent after the prefix came off both.
    let inherited: BTreeSet<String> = strings(&request["inherited_tags"])
        .iter()
        .map(|tag| without_prefix(tag, prefix).to_owned())
        .collect();
    let mut tags = RequestTags::new();
    for tag in &sent {
        let origin = if inherited.contains(without_prefix(tag, prefix)) { Origin::Key } else { Origin::Body };
        tags.push(tag.as_str(), origin);
    }
    let ask = Ask {
        user_agent: request["user_agent"].as_str(),
        turn_on: case["request_enable_tag_filtering"] == true,
        ..Ask::new(&tags)
    };

    let result = index.decide(&ask, &healthy, &mut Silent);
    let (explained, explanation) = explain(&index, &ask, &healthy, "m");
    assert_eq!(result, explained, "case {n}: the explanation decided differently");
    let kept: Members = (0..parts.len()).filter(|&at| explanation.deployments[at].kept).collect();
    assert!(explanation.deployments.iter().all(|verdict| !verdict.reason.is_empty()), "case {n}");

    match result {
        Ok(decision) => {
            let ids: Vec<&str> = decision.candidates.iter().filter_map(|at| index.id(at)).collect();
            assert_eq!(case["expect"]["ids"], Value::from(ids), "case {n}: {case}");
            assert_eq!(kept, decision.candidates, "case {n}");
            let expected = &case["expect"]["tag_routing"];
            let matched = decision.matched.map(|matched| (matched.via.as_str(), matched.value));
            let recorded = expected.is_object().then(|| {
                (expected["matched_via"].as_str().unwrap(), expected["matched_value"].as_str().unwrap())
            });
            assert_eq!(matched, recorded, "case {n}: {case}");
        }
        // LiteLLM answers an empty list when it is given nothing to choose from, whatever the tags.
        Err(Refusal::CoolingDown) => assert_eq!(case["expect"]["ids"], Value::Array(Vec::new()), "case {n}"),
        Err(refusal) => {
            assert!(kept.is_empty(), "case {n}");
            // The recorded function was called with repetitions in the list, which requests never carry here.
            let message = refusal
                .message("m", &tags)
                .replace(&tags.python_list(), &python_list(sent.iter().map(String::as_str)));
            assert_eq!(case["expect"]["error"]["message"], Value::from(message), "case {n}: {case}");
        }
    }
}

#[test]
fn agrees_with_every_recorded_decision() {
    let cases = include_str!("../golden/decisions.jsonl");
    let mut count = 0;
    for line in cases.lines() {
        check(&serde_json::from_str(line).unwrap());
        count += 1;
    }
    assert_eq!(count, 2000);
}
