//! How requests were routed can be asked for later: of a sample, and of each that was refused.

use serde_json::{Value, json};

use crate::gateway::{Gateway, KEY, chat_body, command, config, deployment, error};
use crate::spend::{booked, key, ok};
use crate::stores::{Store, on_both_stores};

on_both_stores!(how_a_request_was_routed_is_found_by_its_call_id);

/// A gateway that explains this share of requests, with deployments of `m` for the tags `a` and `b`.
fn two(sample: &str) -> String {
    let deployments = [
        deployment("m", "for-a", "model: openai/x, mock_response: hi, tags: [a]"),
        deployment("m", "for-b", "model: openai/x, mock_response: hi, tags: [b]"),
    ];
    let more = format!(
        "router_settings: {{enable_tag_filtering: true, num_retries: 0}}\ntag_settings: {{explain_sample: {sample}}}\n"
    );
    config(&deployments, &more)
}

/// Asks with a key, and gives the status and the call id.
async fn asked(gateway: &Gateway, key: &str, more: Value) -> (u16, String) {
    let request = gateway.client.post(format!("{}/v1/chat/completions", gateway.url)).bearer_auth(key);
    let request = request.header("user-agent", "tests/1").json(&chat_body("m", more));
    let answer = request.send().await.unwrap();
    assert!(!answer.headers().contains_key("x-tagway-route"), "nobody asked for it");
    let call = answer.headers()["x-litellm-call-id"].to_str().unwrap().to_owned();
    (answer.status().as_u16(), call)
}

fn told(gateway: &Gateway, key: &str, call: &str) -> reqwest::RequestBuilder {
    gateway.client.get(format!("{}/route/decision/{call}", gateway.url)).bearer_auth(key)
}

/// What became of the deployments of the first decision.
fn verdicts(told: &Value) -> Vec<(String, bool)> {
    let all = told["decision"]["hops"][0]["deployments"].as_array().unwrap().iter();
    all.map(|one| (one["id"].as_str().unwrap().to_owned(), one["kept"] == true)).collect()
}

async fn how_a_request_was_routed_is_found_by_its_call_id(store: Store) {
    let (gateway, _home) = Gateway::on(store, &two("1"));
    let (status, call) = asked(&gateway, KEY, json!({"tags": ["a", "label"]})).await;
    assert_eq!(status, 200);
    booked(&gateway, 1).await;
    let seen = ok(told(&gateway, KEY, &call)).await;
    assert_eq!(
        (&seen["call_id"], &seen["deployment"], &seen["status"]),
        (&json!(call), &json!("for-a"), &json!(200))
    );
    assert_eq!((&seen["kept"], &seen["decision"]["user_agent"]), (&json!(true), &json!("tests/1")));
    assert_eq!(verdicts(&seen), [("for-a".to_owned(), true), ("for-b".to_owned(), false)]);
    let tags = &seen["decision"]["hops"][0]["tags"];
    assert_eq!(
        (&tags[0]["tag"], &tags[0]["origin"], &tags[1]["known"]),
        (&json!("a"), &json!("body"), &json!(false))
    );
    assert_eq!(error(told(&gateway, KEY, "nobody")).await.0, 404);
}

#[tokio::test]
async fn refusals_are_kept_without_a_sample() {
    let gateway = Gateway::start(&two("0"));
    let (served, first) = asked(&gateway, KEY, json!({"tags": ["a"]})).await;
    let (refused, second) = asked(&gateway, KEY, json!({"tags": ["a", "!a"]})).await;
    assert_eq!((served, refused), (200, 401));
    booked(&gateway, 2).await;
    let seen = ok(told(&gateway, KEY, &first)).await;
    assert_eq!(
        (&seen["kept"], &seen["decision"], &seen["tags"][0]["tag"]),
        (&json!(false), &Value::Null, &json!("a"))
    );
    let seen = ok(told(&gateway, KEY, &second)).await;
    assert_eq!(verdicts(&seen), [("for-a".to_owned(), false), ("for-b".to_owned(), false)]);
    let reason = seen["decision"]["hops"][0]["deployments"][0]["reason"].as_str().unwrap();
    assert_eq!(reason, "carries `a`, which `!a` from body excludes");
}

#[tokio::test]
async fn a_key_is_told_of_its_own_requests_and_of_no_deployment_of_others() {
    let gateway = Gateway::start(&two("1"));
    ok(gateway.post("/team/new", &json!({"team_id": "ta", "tags": ["a"]}))).await;
    let mine = key(&gateway, json!({"team_id": "ta"})).await;
    let other = key(&gateway, json!({})).await;
    let (served, first) = asked(&gateway, &mine, json!({})).await;
    let (refused, second) = asked(&gateway, &mine, json!({"tags": ["&b"]})).await;
    assert_eq!((served, refused), (200, 401));
    booked(&gateway, 2).await;
    for (call, kept) in [(&first, true), (&second, false)] {
        let seen = ok(told(&gateway, &mine, call)).await;
        assert_eq!(verdicts(&seen), [("for-a".to_owned(), kept)]);
        assert!(!seen.to_string().contains("for-b"), "{seen}");
        assert_eq!(error(told(&gateway, &other, call)).await.0, 404);
        assert!(ok(told(&gateway, KEY, call)).await.to_string().contains("for-b"));
    }
    assert_eq!(error(told(&gateway, "sk-nobody", &first)).await.0, 401);
}

#[tokio::test]
async fn the_command_line_prints_it() {
    let gateway = Gateway::start(&two("0"));
    let (_, refused) = asked(&gateway, KEY, json!({"tags": ["a", "!a"]})).await;
    let (_, served) = asked(&gateway, KEY, json!({"tags": ["a"]})).await;
    booked(&gateway, 2).await;
    let explain = |call: &str| {
        let output = command()
            .args(["explain", "--call-id", call])
            .env("TAGWAY_URL", &gateway.url)
            .env("TAGWAY_API_KEY", KEY)
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    };
    let (code, said) = explain(&refused);
    assert_eq!(code, Some(0), "{said}");
    for part in [
        "asked for m, answered 401",
        "tag !a                   from body       excluded, known to the group",
        "dropped for-a                    carries `a`, which `!a` from body excludes",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let (code, said) = explain(&served);
    assert_eq!(code, Some(0));
    assert!(said.contains("served by for-a of m") && said.contains("was not kept"), "{said}");
    assert_eq!(explain("nobody").0, Some(1));
}
