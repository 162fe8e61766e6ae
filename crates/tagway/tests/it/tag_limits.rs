//! Limits of rate on tags, and what headers tell of limits.

use serde_json::{Value, json};
use tagway_fake::{After, Fake, Reply};

use crate::gateway::{Gateway, KEY, at, chat_body, config, deployment, error};

fn limited(tags: &str) -> Gateway {
    let deployments = deployment("m", "one", "model: openai/x, mock_response: a");
    Gateway::start(&format!(
        "model_list:\n{deployments}general_settings: {{master_key: {KEY}}}\ntags:\n{tags}"
    ))
}

fn header(answer: &reqwest::Response, name: &str) -> Option<String> {
    Some(answer.headers().get(name)?.to_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_tag_has_its_requests_a_minute_wherever_it_comes_from() {
    let gateway = limited("  - {name: eng, rpm_limit: 2}\n");
    let first = gateway.chat("m", json!({"tags": ["eng"]})).send().await.unwrap();
    assert_eq!(first.status(), 200);
    assert_eq!(header(&first, "x-ratelimit-tag-limit-requests").as_deref(), Some("2"));
    assert_eq!(header(&first, "x-ratelimit-tag-remaining-requests").as_deref(), Some("1"));
    let second = gateway.chat("m", json!({})).header("x-litellm-tags", "other, eng");
    assert_eq!(second.send().await.unwrap().status(), 200);
    let third = gateway.chat("m", json!({"metadata": {"tags": ["eng"]}}));
    let refused = third.try_clone().unwrap().send().await.unwrap();
    assert!(header(&refused, "retry-after").is_some());
    let (status, body) = error(third).await;
    assert_eq!((status, &body["error"]["reason"]), (429, &json!("rate_limit")));
    let said = body["error"]["message"].as_str().unwrap();
    assert!(said.starts_with("Rate limit exceeded for tag: eng. Limit type: requests."), "{said}");
    for tags in [json!(["!eng"]), json!(["other"]), json!([])] {
        assert_eq!(gateway.chat("m", json!({"tags": tags})).send().await.unwrap().status(), 200, "{tags}");
    }
}

#[tokio::test]
async fn each_tag_under_a_pattern_has_the_whole_of_its_limits() {
    let gateway = limited("  - {name: \"customer:*\", tpm_limit: 20}\n");
    // A mock uses 30 tokens, which count when it has answered.
    for (tag, expected) in [
        ("customer:1", 200),
        ("customer:2", 200),
        ("customer:1", 429),
        ("customer:3", 200),
        ("customer", 200),
    ] {
        let status = gateway.chat("m", json!({"tags": [tag]})).send().await.unwrap().status();
        assert_eq!(status, expected, "{tag}");
    }
}

#[tokio::test]
async fn a_stream_keeps_its_tags_place_until_it_ends() {
    let held = Reply::chat(["a"]).hold(After::Chunks(1));
    let fake = Fake::script([held, Reply::chat(["b"])]).await;
    let tags = "tags:\n  - {name: eng, max_parallel_requests: 1}\n";
    let gateway = Gateway::start(&config(&[at("m", "one", &fake.url(), "[default]")], tags));
    let request = || gateway.chat("m", json!({"stream": true, "tags": ["eng"]})).send();
    let stream = request().await.unwrap();
    assert_eq!(stream.status(), 200);
    assert_eq!(request().await.unwrap().status(), 429);
    fake.release();
    assert!(stream.text().await.unwrap().contains("[DONE]"));
    gateway.log("stream=true");
    assert_eq!(request().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_stored_tags_limits_hold_at_once_and_end_with_it() {
    let gateway = limited("  - {name: other}\n");
    let tag = json!({"name": "eng", "rpm_limit": 1});
    assert_eq!(gateway.post("/tag/new", &tag).send().await.unwrap().status(), 200);
    for expected in [200, 429] {
        assert_eq!(gateway.chat("m", json!({"tags": ["eng"]})).send().await.unwrap().status(), expected);
    }
    assert_eq!(gateway.post("/tag/delete", &json!({"name": "eng"})).send().await.unwrap().status(), 200);
    assert_eq!(gateway.chat("m", json!({"tags": ["eng"]})).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn headers_tell_the_limits_of_key_and_team() {
    let gateway = limited("  - {name: other}\n");
    let team = json!({"team_id": "t", "tpm_limit": 1000});
    assert_eq!(gateway.post("/team/new", &team).send().await.unwrap().status(), 200);
    let limits =
        json!({"team_id": "t", "rpm_limit": 5, "max_parallel_requests": 7, "model_rpm_limit": {"m": 3}});
    let made = gateway.post("/key/generate", &limits).send().await.unwrap();
    let made: Value = made.json().await.unwrap();
    let request = gateway.client.post(format!("{}/v1/chat/completions", gateway.url));
    let request = request.bearer_auth(made["key"].as_str().unwrap()).json(&chat_body("m", json!({})));
    let answer = request.send().await.unwrap();
    for (name, expected) in [
        ("api_key-limit-requests", "5"),
        ("api_key-remaining-requests", "4"),
        ("api_key-limit-max_parallel_requests", "7"),
        ("api_key-remaining-max_parallel_requests", "6"),
        ("model_per_key-remaining-requests", "2"),
        ("team-limit-tokens", "1000"),
        ("team-remaining-tokens", "1000"),
    ] {
        assert_eq!(header(&answer, &format!("x-ratelimit-{name}")).as_deref(), Some(expected), "{name}");
    }
}

#[tokio::test]
async fn every_key_without_a_limit_of_its_own_has_the_configurations_places() {
    let held = || Reply::chat(["a"]).hold(After::Chunks(1));
    let fake = Fake::script([held(), held(), held(), held(), Reply::chat(["b"])]).await;
    let more = "router_settings: {num_retries: 0}\n";
    let config = config(&[at("m", "one", &fake.url(), "[default]")], more);
    let gateway = Gateway::start(
        &config.replace("general_settings:\n", "general_settings:\n  max_parallel_requests: 1\n"),
    );
    let mut keys = Vec::new();
    for own in [json!({}), json!({"rpm_limit": 100}), json!({"max_parallel_requests": 2})] {
        let made = gateway.post("/key/generate", &own).send().await.unwrap();
        let made: Value = made.json().await.unwrap();
        keys.push(made["key"].as_str().unwrap().to_owned());
    }
    let chat = |key: &str| {
        let request = gateway.client.post(format!("{}/v1/chat/completions", gateway.url));
        request.bearer_auth(key).json(&chat_body("m", json!({"stream": true}))).send()
    };
    let mut streams = Vec::new();
    for (key, most) in keys.iter().zip([1, 1, 2]) {
        for _ in 0..most {
            let stream = chat(key).await.unwrap();
            assert_eq!(
                header(&stream, "x-ratelimit-api_key-limit-max_parallel_requests"),
                Some(most.to_string())
            );
            streams.push(stream);
        }
        let refused = chat(key).await.unwrap();
        assert_eq!(refused.status(), 429);
        assert!(header(&refused, "retry-after").is_some());
    }
    // Nobody else is meant: the master key has no limit.
    assert_eq!(gateway.chat("m", json!({"stream": true})).send().await.unwrap().status(), 200);
}
