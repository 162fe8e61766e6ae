//! The strategy that sticks: requests of one session, user or the like go to one deployment, as long as it is there.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tagway_fake::{Fake, Reply};

use crate::gateway::{Answered as _, Gateway, KEY, config, deployment};

fn mocks(count: usize) -> Vec<String> {
    let mock = |at: usize| {
        let tag = if at == 0 { "b" } else { "a" };
        deployment("m", &format!("d{at}"), &format!("model: openai/x, mock_response: hi, tags: [{tag}]"))
    };
    (0..=count).map(mock).collect()
}

fn settings(by: &str) -> String {
    format!(
        "router_settings: {{enable_tag_filtering: true, num_retries: 1, retry_after: 0, disable_cooldowns: true, routing_strategy: sticky, routing_strategy_args: {{by: \"{by}\"}}}}\n"
    )
}

/// Who serves so many sessions.
async fn sessions(gateway: &Gateway, count: u32) -> BTreeMap<u32, String> {
    let mut served = BTreeMap::new();
    for session in 0..count {
        let call = gateway.chat("m", json!({"tags": ["a"]})).header("x-session-id", format!("s-{session}"));
        served.insert(session, call.send().await.unwrap().deployment().to_owned());
    }
    served
}

#[tokio::test]
async fn a_session_stays_and_another_deployment_takes_over_its_share_alone() {
    let gateway = Gateway::start(&config(&mocks(4), &settings("header:x-session-id")));
    let before = sessions(&gateway, 300).await;
    assert_eq!(sessions(&gateway, 300).await, before);
    for id in ["d1", "d2", "d3", "d4"] {
        let own = before.values().filter(|served| *served == id).count();
        assert!((45..=105).contains(&own), "{own} of 300 sessions are at {id}");
    }
    // Another gateway with one deployment more.
    let gateway = Gateway::start(&config(&mocks(5), &settings("header:x-session-id")));
    let after = sessions(&gateway, 300).await;
    let moved: Vec<_> = before.iter().filter(|(session, id)| after[session] != **id).collect();
    assert!(moved.iter().all(|(session, _)| after[session] == "d5"), "{moved:?}");
    assert!((30..=95).contains(&moved.len()), "{}", moved.len());
}

#[tokio::test]
async fn a_request_sticks_by_what_the_configuration_says() {
    /// Requests of one kind, and a way to tell them apart.
    type Kind = fn(&str) -> Value;
    let kinds: [(&str, Kind); 6] = [
        ("user", |id| json!({"user": id})),
        ("session", |id| json!({"litellm_session_id": id})),
        ("session", |id| json!({"metadata": {"session_id": id}})),
        ("session", |id| json!({"litellm_metadata": {"session_id": id}})),
        ("tag:tenant", |id| json!({"tags": ["a", format!("tenant:{id}")]})),
        ("tag:tenant:", |id| json!({"tags": [format!("tenant:{id}"), "a"]})),
    ];
    for (by, kind) in kinds {
        let gateway = Gateway::start(&config(&mocks(4), &settings(by)));
        let mut all = BTreeMap::new();
        for id in 0..20 {
            let mut served = Vec::new();
            for _ in 0..4 {
                let mut body = kind(&format!("x{id}"));
                if body["tags"].is_null() {
                    body["tags"] = json!(["a"]);
                }
                let answer = gateway.chat("m", body).send().await.unwrap();
                served.push(answer.deployment().to_owned());
            }
            served.dedup();
            assert_eq!(served.len(), 1, "{by}: {served:?}");
            assert_ne!(served[0], "d0");
            *all.entry(served.remove(0)).or_insert(0) += 1;
        }
        assert!(2 < all.len(), "{by}: {all:?}");
        // Who says nothing of it is shuffled.
        let mut shuffled = BTreeMap::new();
        for _ in 0..40 {
            let answer = gateway.chat("m", json!({"tags": ["a"]})).send().await.unwrap();
            *shuffled.entry(answer.deployment().to_owned()).or_insert(0) += 1;
        }
        assert!(1 < shuffled.len() && !shuffled.contains_key("d0"), "{shuffled:?}");
    }
}

#[tokio::test]
async fn a_key_sticks_to_one_deployment_of_its_tags() {
    let gateway = Gateway::start(&config(&mocks(4), &settings("key")));
    let mut all = BTreeMap::new();
    for _ in 0..12 {
        let made = gateway.post("/key/generate", &json!({"tags": ["a"]})).send().await.unwrap();
        let key = made.json::<Value>().await.unwrap()["key"].as_str().unwrap().to_owned();
        assert_ne!(key, KEY);
        let mut served = Vec::new();
        for _ in 0..4 {
            let url = format!("{}/v1/chat/completions", gateway.url);
            let body = crate::gateway::chat_body("m", json!({}));
            let answer = gateway.client.post(url).bearer_auth(&key).json(&body).send().await.unwrap();
            served.push(answer.deployment().to_owned());
        }
        served.dedup();
        assert_eq!(served.len(), 1, "{served:?}");
        assert_ne!(served[0], "d0");
        *all.entry(served.remove(0)).or_insert(0) += 1;
    }
    assert!(1 < all.len(), "{all:?}");
}

#[tokio::test]
async fn when_its_deployment_fails_a_session_goes_to_the_same_other_one() {
    let failing = Fake::script([Reply::error(500, "no")]).await;
    let mut deployments = mocks(3);
    let params =
        format!("model: openai/x, api_base: \"{}/v1\", api_key: k, tags: [a], weight: 1000", failing.url());
    deployments.push(deployment("m", "failing", &params));
    let gateway = Gateway::start(&config(&deployments, &settings("header:x-session-id")));
    let once = sessions(&gateway, 30).await;
    assert!(failing.hits() > 25, "{}", failing.hits());
    assert_eq!(sessions(&gateway, 30).await, once);
    assert!(once.values().all(|id| id != "failing" && id != "d0"));
}
