//! What calls cost: by a deployment's own prices, a catalogue's, or nobody knows.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tagway_fake::{Fake, Reply};

use crate::gateway::{Answered as _, Gateway, PATIENCE, command, config, deployment, error};

/// An answer with this usage.
fn used(usage: &Value) -> Reply {
    Reply::json(
        200,
        &json!({
            "id": "c", "object": "chat.completion", "created": 1, "model": "up",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello there"}, "finish_reason": "stop"}],
            "usage": usage,
        }),
    )
}

/// A deployment `m` of an upstream.
fn priced(url: &str, model: &str, more: &str) -> String {
    deployment("m", "id-m", &format!("model: {model}, api_base: \"{url}/v1\", api_key: sk-up, {more}"))
}

async fn costs(gateway: &Gateway, model: &str) -> [String; 3] {
    let answer = gateway.chat(model, json!({})).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    ["", "-input", "-output"].map(|part| answer.header(&format!("x-litellm-response-cost{part}")).to_owned())
}

#[tokio::test]
async fn each_kind_of_token_costs_its_own_price() {
    let usage = json!({
        "prompt_tokens": 1000, "completion_tokens": 50, "total_tokens": 1050,
        "prompt_tokens_details": {"cached_tokens": 600, "audio_tokens": null},
        "completion_tokens_details": {"reasoning_tokens": 20},
    });
    let fake = Fake::script([used(&usage)]).await;
    let prices = "input_cost_per_token: 0.000001, output_cost_per_token: 0.00001, \
        cache_read_input_token_cost: 1.0e-7, output_cost_per_reasoning_token: 0.00002, input_cost_per_request: 0.5";
    let gateway = Gateway::start(&config(&[priced(&fake.url(), "openai/ours", prices)], ""));
    assert_eq!(costs(&gateway, "m").await, ["0.50116", "0.50046", "0.0007"]);
}

#[tokio::test]
async fn a_long_prompt_costs_the_price_of_its_tier() {
    let used = |prompt| used(&json!({"prompt_tokens": prompt, "completion_tokens": 1}));
    let fake = Fake::script([used(200_000), used(200_001)]).await;
    let prices = "input_cost_per_token: 0.000001, output_cost_per_token: 0.00001, \
        input_cost_per_token_above_200k_tokens: 0.000002";
    let gateway = Gateway::start(&config(&[priced(&fake.url(), "openai/ours", prices)], ""));
    assert_eq!(costs(&gateway, "m").await[1], "0.2");
    assert_eq!(costs(&gateway, "m").await[1], "0.400002");
}

#[tokio::test]
async fn known_models_have_their_price_also_behind_a_wildcard_or_by_a_base_model() {
    let usage = json!({"prompt_tokens": 100, "completion_tokens": 10});
    let fake = Fake::script([used(&usage)]).await;
    let url = fake.url();
    let wild =
        deployment("openai/*", "wild", &format!("model: 'openai/*', api_base: \"{url}/v1\", api_key: sk-up"));
    let based = priced(&url, "openai/my-deployment", "base_model: gpt-4o-mini");
    let gateway = Gateway::start(&config(&[wild, based], ""));
    let mini = ["2.1e-05", "1.5e-05", "6e-06"];
    assert_eq!(costs(&gateway, "openai/gpt-4o-mini").await, mini);
    assert_eq!(costs(&gateway, "m").await, mini);
    assert_eq!(costs(&gateway, "openai/gpt-4o").await[1], "0.00025");
    assert_eq!(costs(&gateway, "openai/nobody-knows").await, ["", "0.0", "0.0"]);
    let info: Value = gateway.get("/model/info").send().await.unwrap().json().await.unwrap();
    let info = &info["data"][1]["model_info"];
    assert_eq!(info["input_cost_per_token"], 1.5e-7);
    assert_eq!((&info["max_input_tokens"], &info["max_tokens"]), (&json!(128_000), &json!(16384)));
}

#[tokio::test]
async fn a_service_tier_that_a_provider_reports_has_its_own_price() {
    let usage = json!({"prompt_tokens": 100, "completion_tokens": 10});
    let body = json!({"model": "up", "choices": [], "service_tier": "priority", "usage": usage});
    let fake = Fake::script([Reply::json(200, &body)]).await;
    let prices =
        "input_cost_per_token: 0.001, output_cost_per_token: 0.001, input_cost_per_token_priority: 0.002";
    let gateway = Gateway::start(&config(&[priced(&fake.url(), "openai/ours", prices)], ""));
    assert_eq!(costs(&gateway, "m").await, ["0.21", "0.2", "0.01"]);
}

const CATALOG: &str = r#"{
    "sample_spec": {"input_cost_per_token": 7, "mode": "chat"},
    "openai/ours": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 1e-06, "output_cost_per_token": 2e-06, "max_input_tokens": 5000}
}"#;

fn with_catalog(catalog: &str) -> String {
    format!("litellm_settings: {{price_catalog: \"{catalog}\"}}\nrouter_settings: {{num_retries: 0}}\n")
}

// The address must answer while the gateway starts.
#[tokio::test(flavor = "multi_thread")]
async fn a_catalogue_of_ones_own_is_a_file_or_a_web_address() {
    let usage = json!({"prompt_tokens": 100, "completion_tokens": 10});
    let fake = Fake::script([used(&usage)]).await;
    let lists = Fake::script([Reply::text(200, CATALOG)]).await;
    let ours = priced(&fake.url(), "openai/ours", "weight: 1");
    let gateway = Gateway::start(&config(std::slice::from_ref(&ours), &with_catalog(&lists.url())));
    assert_eq!(costs(&gateway, "m").await, ["0.00012", "0.0001", "2e-05"]);
    drop(lists);
    // What was read before stays when the address does not answer.
    gateway.signal("HUP");
    gateway.log("configuration reloaded");
    assert_eq!(costs(&gateway, "m").await[0], "0.00012");

    let file = gateway.dir.path().join("list.json");
    std::fs::write(file, CATALOG).unwrap();
    std::fs::write(gateway.config_path(), config(&[ours], &with_catalog("list.json"))).unwrap();
    gateway.log("configuration reloaded");
    assert_eq!(costs(&gateway, "m").await[0], "0.00012");
}

// The address must answer while the gateway starts.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_without_a_catalogue_leaves_the_built_in_one() {
    let usage = json!({"prompt_tokens": 100, "completion_tokens": 10});
    let fake = Fake::script([used(&usage)]).await;
    let lists = Fake::script([Reply::text(404, "not here")]).await;
    let mini = priced(&fake.url(), "openai/gpt-4o-mini", "weight: 1");
    let gateway = Gateway::start(&config(&[mini], &with_catalog(&lists.url())));
    assert_eq!(costs(&gateway, "m").await[0], "2.1e-05");
    let logged = {
        gateway.signal("HUP");
        gateway.log("configuration reloaded");
        gateway.ended_with_log()
    };
    assert!(!logged.contains("panicked"), "{logged}");
}

#[tokio::test]
async fn a_deployment_whose_price_nobody_knows_is_named_when_it_comes_into_force() {
    let mini = deployment("m", "id-m", "model: openai/gpt-4o-mini, api_key: sk-up");
    let gateway = Gateway::start(&config(&[mini], ""));
    let free = deployment("n", "id-n", "model: openai/free, api_key: sk-up, input_cost_per_token: 0");
    let ours = deployment("m", "id-m", "model: openai/ours, api_key: sk-up");
    std::fs::write(gateway.config_path(), config(&[ours, free], "")).unwrap();
    let line = gateway.log("no price is known of");
    assert!(line.contains("openai/ours") && !line.contains("openai/free"), "{line}");
}

#[test]
fn a_price_that_would_never_be_used_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.yaml");
    let check = |params: &str| {
        let params = format!("model: openai/gpt-4o, api_key: sk-up, {params}");
        std::fs::write(&path, config(&[deployment("m", "id-m", &params)], "")).unwrap();
        let checked = command().arg("check").arg(&path).output().unwrap();
        (checked.status.code(), String::from_utf8(checked.stdout).unwrap())
    };
    let (code, said) = check("input_cost_per_image: 0.01");
    assert!(code == Some(0) && said.contains("this price is never used"), "{said}");
    let (code, said) = check("input_cost_per_second: 0.01");
    assert!(code == Some(0) && !said.contains("never used"), "{said}");
    let (code, said) = check("input_cost_per_second: 0.01, input_cost_per_token: 1");
    assert!(code == Some(0) && said.contains("`input_cost_per_second` is never used"), "{said}");
    let (code, said) = check("input_cost_per_tokn: 0.01");
    assert!(code == Some(2) && said.contains("did you mean `input_cost_per_token`?"), "{said}");
    let (code, said) = check("tiered_pricing: [{range: [0, 1000], input_cost_per_token: 0.01}]");
    assert!(code == Some(0), "{said}");
}

#[tokio::test]
async fn a_call_may_be_priced_by_its_seconds_be_it_a_stream_or_not() {
    let slow = Duration::from_millis(150);
    let fake = Fake::answer(move |seen| {
        let stream = seen.json()["stream"] == true;
        let reply = if stream { Reply::chat(["a", "b", "c"]) } else { Reply::completion("a", 1000, 1000) };
        if stream { reply.chunk_delay(slow) } else { reply.delay(slow) }
    })
    .await;
    let model = priced(&fake.url(), "openai/gpt-4o", "input_cost_per_second: 100, output_cost_per_second: 7");
    let gateway = Gateway::start(&config(&[model], ""));
    let key = crate::customers::key(&gateway, json!({})).await;
    // What the store counts, once it is more than before.
    let spent = |before: f64| {
        let (gateway, path) = (&gateway, format!("/key/info?key={key}"));
        tokio::time::timeout(PATIENCE, async move {
            loop {
                let info: Value = gateway.get(&path).send().await.unwrap().json().await.unwrap();
                let spend = info["info"]["spend"].as_f64().unwrap();
                if before < spend {
                    return spend;
                }
                tokio::task::yield_now().await;
            }
        })
    };
    let chat = |stream: bool| {
        let body = crate::gateway::chat_body("m", json!({"stream": stream}));
        gateway.client.post(format!("{}/v1/chat/completions", gateway.url)).bearer_auth(&key).json(&body)
    };
    let began = Instant::now();
    let answer = chat(false).send().await.unwrap();
    let most = began.elapsed().as_secs_f64() * 100.0;
    let cost: f64 = answer.header("x-litellm-response-cost").parse().unwrap();
    assert!((15.0..=most).contains(&cost), "{cost}");
    assert_eq!(spent(0.0).await.unwrap(), cost);
    let began = Instant::now();
    chat(true).send().await.unwrap().text().await.unwrap();
    let most = began.elapsed().as_secs_f64() * 100.0;
    let streamed = spent(cost).await.unwrap() - cost;
    assert!((30.0..=most).contains(&streamed), "{streamed} of {most}");
}

#[tokio::test]
async fn the_cost_of_a_call_is_calculated_on_request() {
    let own = deployment(
        "m",
        "id-m",
        "model: openai/ours, api_key: sk-up, input_cost_per_token: 0.001, output_cost_per_token: 0.01",
    );
    let gateway = Gateway::start(&config(&[own], ""));
    let calculate = |body: Value| {
        let request = gateway.post("/spend/calculate", &body);
        async move {
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status(), 200);
            answer.json::<Value>().await.unwrap()["cost"].as_f64().unwrap()
        }
    };
    let messages = json!([{"role": "user", "content": "hi"}]);
    let prompt = calculate(json!({"model": "m", "messages": messages})).await;
    assert!((0.004..=0.012).contains(&prompt), "{prompt}");
    assert!(0.0 < calculate(json!({"model": "gpt-4o", "messages": messages})).await);
    let response = json!({"model": "m", "usage": {"prompt_tokens": 9, "completion_tokens": 12}});
    assert_eq!(calculate(json!({"completion_response": response})).await, 0.129);
    let response = json!({"model": "gpt-4o", "usage": {"prompt_tokens": 1000, "completion_tokens": 0}});
    assert_eq!(calculate(json!({"completion_response": response})).await, 0.0025);
    for (body, param) in [
        (json!({}), "model"),
        (json!({"model": "m"}), "messages"),
        (json!({"model": "m", "messages": "hi"}), "messages"),
        (json!({"model": 1, "messages": []}), "model"),
        (json!({"model": "nobody-knows", "messages": []}), "model"),
        (json!({"completion_response": []}), "completion_response"),
        (json!({"completion_response": {}}), "completion_response"),
    ] {
        let (status, answer) = error(gateway.post("/spend/calculate", &body)).await;
        assert_eq!((status, answer["error"]["param"].as_str()), (400, Some(param)), "{body} {answer}");
    }
    let anonymous = gateway.client.post(format!("{}/spend/calculate", gateway.url)).json(&json!({}));
    assert_eq!(anonymous.send().await.unwrap().status(), 401);
}
