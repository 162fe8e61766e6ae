//! PostgreSQL and Valkey go away and come back under load: no request fails, and the books are right in the end.

use std::time::Duration;

use serde_json::{Value, json};
use tagway_fake::Fake;
use tokio::sync::oneshot;

use super::{count, decent, get, tell};
use crate::gateway::{Gateway, KEY, deployment};
use crate::store::key;
use crate::stores::{Home, Store, Traffic, Way, given, until};

/// How much a request costs.
const PRICE: f64 = 0.001;

#[tokio::test]
async fn stores_that_restart_under_load_fail_no_request_and_lose_no_count() {
    let home = Home::new(Store::Postgres);
    let Home::Database(database) = &home else { panic!("not a database") };
    let valkey = url::Url::parse(&given("TAGWAY_TEST_VALKEY_URL")).unwrap();
    let ways = [Way::to(&database.url), Way::to(&valkey)];
    let env = [
        ("DATABASE_URL", ways[0].through(&database.url).to_string()),
        ("REDIS_URL", ways[1].through(&valkey).to_string()),
    ];
    let env = env.each_ref().map(|(name, value)| (*name, value.as_str()));
    let fake = Fake::answer(|seen| decent(seen, "well")).await;
    let params = format!(
        "model: openai/x, api_key: k, api_base: \"{}/v1\", input_cost_per_token: 0, output_cost_per_token: {PRICE}",
        fake.url()
    );
    let config =
        format!("model_list:\n{}general_settings: {{master_key: {KEY}}}\n", deployment("m", "one", &params));
    let gateway = std::sync::Arc::new(Gateway::start_with(&config, &[], &env));
    let key = key(&gateway, json!({"max_budget": 1e6, "rpm_limit": 100_000_000, "tags": ["eng"]})).await;
    // Who is in memory is served while the store is away.
    assert_eq!(crate::store::chat(&gateway, &key).await, 200);
    let (stop, mut stopped) = oneshot::channel::<()>();
    let (loaded, bearer) = (std::sync::Arc::clone(&gateway), key.clone());
    let load = tokio::spawn(async move {
        let mut statuses = std::collections::BTreeMap::<u16, u64>::from([(200, 1)]);
        let mut said = String::new();
        while stopped.try_recv().is_err() {
            let body = |n: u64| {
                crate::gateway::chat_body("m", json!({"stream": n.is_multiple_of(2), "max_tokens": 5}))
            };
            let request = |n| {
                let url = format!("{}/v1/chat/completions", loaded.url);
                get(loaded.client.post(url).bearer_auth(&bearer).json(&body(n)))
            };
            let got = tokio::join!(request(0), request(1), request(2), request(3));
            for got in [got.0, got.1, got.2, got.3] {
                let whole = got.is_whole("well");
                *statuses.entry(if whole { 200 } else { got.status }).or_default() += 1;
                if !whole {
                    said = got.body;
                }
            }
        }
        (statuses, said)
    });
    for _ in 0..count(1, 10) {
        for ways in [&ways[..1], &ways[1..], &ways[..]] {
            for traffic in [Traffic::Refused, Traffic::Flows] {
                ways.iter().for_each(|way| way.set(traffic));
                tokio::time::sleep(Duration::from_millis(700)).await;
            }
        }
    }
    stop.send(()).unwrap();
    let (statuses, said) = load.await.unwrap();
    let served = statuses.values().sum::<u64>();
    tell(&format!("PostgreSQL and Valkey away and back: {statuses:?}"));
    assert_eq!(statuses.keys().copied().collect::<Vec<_>>(), [200], "{statuses:?} {said}");
    assert!(100 < served, "{served}");
    assert_eq!(u64::try_from(fake.hits()).unwrap(), served);
    // One token an answer.
    let spent = || async {
        let info: Value =
            gateway.get(&format!("/key/info?key={key}")).send().await.unwrap().json().await.unwrap();
        info["info"]["spend"].as_f64().unwrap_or(-1.0)
    };
    #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
    let expected = served as f64 * PRICE;
    until("the books are right", || async { (spent().await - expected).abs() < PRICE / 2.0 }).await;
}
