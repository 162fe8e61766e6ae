//! Every request is in the books: once, with what it used, whatever becomes of it.

use serde_json::{Value, json};
use tagway_fake::{Fake, OpenAi};

use crate::books::{by_call, until_rows};
use crate::gateway::{Gateway, config, deployment};
use crate::store::key;
use crate::stores::{Home, Store, on_both_stores, until};

pub const PLAIN: &str = "router_settings: {num_retries: 0}\n";

/// A deployment of a fake with prices: 1 and 2 dollars for a million tokens.
pub fn priced(model_name: &str, id: &str, url: &str) -> String {
    deployment(
        model_name,
        id,
        &format!(
            "model: openai/gpt-4o, api_base: \"{url}/v1\", api_key: sk-upstream, input_cost_per_token: 0.000001, output_cost_per_token: 0.000002"
        ),
    )
}

/// What `/key/info` says was spent.
pub async fn spent(gateway: &Gateway, key: &str) -> f64 {
    let answer = gateway.get(&format!("/key/info?key={key}")).send().await.unwrap();
    answer.json::<Value>().await.unwrap()["info"]["spend"].as_f64().unwrap()
}

on_both_stores!(a_request_is_booked_with_what_it_used, the_same_call_id_twice_is_two_requests);

async fn a_request_is_booked_with_what_it_used(store: Store) {
    let fake = Fake::run(OpenAi::default().usage(1000, 500)).await;
    let (gateway, home) = Gateway::on(store, &config(&[priced("m", "one", &fake.url())], PLAIN));
    let made = key(&gateway, json!({})).await;
    for stream in [false, true] {
        let request = gateway.client.post(format!("{}/v1/chat/completions", gateway.url)).bearer_auth(&made);
        let body = json!({"model": "m", "stream": stream, "messages": [{"role": "user", "content": "hi"}]});
        let answer = request.json(&body).header("x-litellm-tags", "a,!b,&c").send().await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.text().await.unwrap();
    }
    let rows = until_rows(&home, 2).await;
    for row in &rows {
        assert_eq!((row.status, row.cost), (200, Some(2_000_000)));
        assert_eq!(row.tokens(), (1000, 500));
        assert!(!row.estimated());
        assert_eq!(
            row.rest["tags"],
            json!([{"tag": "a", "origin": "header"}, {"tag": "c", "origin": "header"}])
        );
    }
    until("the key's spend", async || (spent(&gateway, &made).await - 0.004).abs() < 1e-9).await;
}

async fn the_same_call_id_twice_is_two_requests(store: Store) {
    let fake = Fake::start().await;
    let (gateway, home): (Gateway, Home) =
        Gateway::on(store, &config(&[priced("m", "one", &fake.url())], ""));
    for _ in 0..2 {
        let answer = gateway.chat("m", json!({})).header("x-litellm-call-id", "chosen").send().await.unwrap();
        assert_eq!(answer.status(), 200);
    }
    assert_eq!(by_call(&until_rows(&home, 2).await)["chosen"], 2);
}
