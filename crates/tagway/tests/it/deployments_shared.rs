//! What gateways at one Valkey tell each other of deployments: cooldowns, and what was used.

use serde_json::{Value, json};
use tagway_fake::{Fake, OpenAi};

use crate::gateway::{Answered as _, Gateway, at, config, deployment};
use crate::stores::{Home, Store, until};
use crate::valkeys::Valkey;

const ON: &str = "litellm_settings: {callbacks: [prometheus]}\n";

fn gateway(home: &Home, valkey: &Valkey, config: &str) -> Gateway {
    let gateway = home.gateway_with(config, &[("REDIS_URL", valkey.url().as_str())]);
    gateway.log("limits are shared");
    gateway
}

/// Whether a gateway takes a deployment to be out of service.
async fn is_out(gateway: &Gateway, id: &str) -> bool {
    let page = gateway.get("/metrics").send().await.unwrap().text().await.unwrap();
    let line = page.lines().find(|line| {
        line.starts_with("litellm_deployment_state{") && line.contains(&format!("model_id=\"{id}\""))
    });
    line.unwrap_or_else(|| panic!("{page}")).ends_with(" 2.0")
        || line.is_some_and(|line| line.ends_with(" 2"))
}

/// Tells the gateways something, as one of them does.
async fn publish(valkey: &Valkey, news: Value) {
    let mut connection =
        redis::Client::open(valkey.url()).unwrap().get_multiplexed_async_connection().await.unwrap();
    let channels: Vec<String> = redis::cmd("PUBSUB")
        .arg("CHANNELS")
        .arg("tagway:*:deployments")
        .query_async(&mut connection)
        .await
        .unwrap();
    let news = news.to_string();
    redis::cmd("PUBLISH").arg(&channels[0]).arg(news).exec_async(&mut connection).await.unwrap();
}

#[tokio::test]
async fn what_cools_down_on_one_gateway_does_so_on_all_and_on_those_that_start_later() {
    let (mut valkey, home) = (Valkey::start(), Home::new(Store::Sqlite));
    let (bad, good) = (Fake::reply(401, "{}").await, Fake::start().await);
    let deployments = [at("m", "bad", &bad.url(), "[a]"), at("m", "good", &good.url(), "[a]")];
    let settings = "router_settings: {enable_tag_filtering: true, num_retries: 1, cooldown_time: 60}\n";
    let config = config(&deployments, &format!("{settings}{ON}"));
    let (here, there) = (gateway(&home, &valkey, &config), gateway(&home, &valkey, &config));
    assert!(!is_out(&there, "bad").await);
    until("it has failed", || async {
        assert_eq!(here.chat("m", json!({"tags": ["a"]})).send().await.unwrap().status(), 200);
        is_out(&here, "bad").await
    })
    .await;
    until("the other knows", || async { is_out(&there, "bad").await }).await;
    let later = gateway(&home, &valkey, &config);
    until("the new one knows", || async { is_out(&later, "bad").await }).await;
    let hits = bad.hits();
    for gateway in [&there, &later] {
        for _ in 0..10 {
            let answer = gateway.chat("m", json!({"tags": ["a"]})).send().await.unwrap();
            assert_eq!((answer.status().as_u16(), answer.deployment()), (200, "good"));
        }
    }
    assert_eq!(bad.hits(), hits);
    // Valkey has lost its memory: whoever starts then hears of it all the same.
    valkey.down();
    here.log("Valkey cannot be reached");
    valkey.up();
    let last = gateway(&home, &valkey, &config);
    until("the last one knows", || async { is_out(&last, "bad").await }).await;
    publish(&valkey, json!({"by": "another", "back": ["bad"]})).await;
    for gateway in [&here, &there, &later, &last] {
        until("it is back", || async { !is_out(gateway, "bad").await }).await;
    }
}

#[tokio::test]
async fn what_one_gateway_uses_of_deployments_counts_for_the_strategies_of_the_other() {
    const GROUPS: usize = 8;
    let (valkey, home) = (Valkey::start(), Home::new(Store::Sqlite));
    let fake = Fake::run(OpenAi::default().usage(1, 1000)).await;
    let mut deployments = Vec::new();
    for n in 0..GROUPS {
        for (id, tags) in [("one", "[a, c]"), ("two", "[c]")] {
            let params =
                format!("model: openai/x, api_base: \"{}/v1\", api_key: k, tags: {tags}", fake.url());
            deployments.push(deployment(&format!("m{n}"), &format!("{id}-{n}"), &params));
        }
    }
    let settings = "router_settings: {enable_tag_filtering: true, num_retries: 0, routing_strategy: usage-based-routing-v2}\n";
    let config = config(&deployments, settings);
    let (here, there) = (gateway(&home, &valkey, &config), gateway(&home, &valkey, &config));
    let url = redis::Client::open(format!("{}?protocol=resp3", valkey.url())).unwrap();
    let (sender, mut pushed) = tokio::sync::mpsc::unbounded_channel();
    let push = redis::AsyncConnectionConfig::new().set_push_sender(sender);
    let mut listening = url.get_multiplexed_async_connection_with_config(&push).await.unwrap();
    listening.psubscribe("tagway:*:deployments").await.unwrap();
    for n in 0..GROUPS {
        let answer = here.chat(&format!("m{n}"), json!({"tags": ["a"]})).send().await.unwrap();
        assert_eq!(answer.deployment(), format!("one-{n}"));
        answer.bytes().await.unwrap();
    }
    let mut told = std::collections::HashSet::new();
    while told.len() < GROUPS {
        let push = pushed.recv().await.unwrap();
        let Some(redis::Value::BulkString(text)) = push.data.last() else { continue };
        let news: Value = serde_json::from_slice(text).unwrap_or_default();
        for used in news["used"].as_array().into_iter().flatten() {
            assert_eq!((&used[1], &used[2]), (&json!(1001), &json!(1)), "{news}");
            told.insert(used[0].as_str().unwrap().to_owned());
        }
    }
    // What this one has heard, the other has, too, before it hears of anything later.
    publish(&valkey, json!({"by": "another", "out": [["two-0", 60_000, false]]})).await;
    until("the other has heard", || async {
        let answer = there.chat("m0", json!({"tags": ["c"]})).send().await.unwrap();
        answer.deployment() == "one-0"
    })
    .await;
    for n in 1..GROUPS {
        let answer = there.chat(&format!("m{n}"), json!({"tags": ["c"]})).send().await.unwrap();
        assert_eq!(answer.deployment(), format!("two-{n}"));
    }
}
