//! Where a request cannot go whatever its tags say: models whose context is too short for it, and other regions.

use serde_json::{Value, json};
use tagway_fake::{Fake, Reply};

use crate::gateway::{Answered as _, Gateway, at, config, deployment, error};

/// A deployment of `m` with the tag `a`, that takes so long prompts.
fn window(id: &str, tag: &str, info: &str) -> String {
    let params = format!("model: openai/x, mock_response: a, tags: [{tag}]");
    format!("  - {{model_name: m, litellm_params: {{{params}}}, model_info: {{id: {id}, {info}}}}}\n")
}

fn prompt(words: usize) -> Value {
    json!({"tags": ["a"], "messages": [{"role": "user", "content": "word ".repeat(words)}]})
}

const CHECKED: &str =
    "router_settings: {enable_tag_filtering: true, num_retries: 0, enable_pre_call_checks: true}\n";

#[tokio::test]
async fn a_prompt_goes_only_where_it_fits() {
    let deployments = [
        window("short", "a", "max_input_tokens: 100"),
        window("long", "a", "max_input_tokens: 1000"),
        window("elsewhere", "b", "max_input_tokens: 100000"),
    ];
    let gateway = Gateway::start(&config(&deployments, CHECKED));
    for _ in 0..10 {
        let answer = gateway.chat("m", prompt(200)).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.deployment()), (200, "long"));
    }
    let mut ids = Vec::new();
    for _ in 0..30 {
        ids.push(gateway.chat("m", prompt(5)).send().await.unwrap().deployment().to_owned());
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids, ["long", "short"]);
    // Not where the tags do not lead, however much room there is. The second one is counted apart.
    for words in [1200, 20_000] {
        let (status, body) = error(gateway.chat("m", prompt(words))).await;
        assert_eq!(status, 400, "{body}");
        let said = body["error"]["message"].as_str().unwrap();
        assert!(
            said.starts_with("litellm.ContextWindowExceededError: ")
                && said.contains("Context Window exceeded for given call")
                && said.contains("Model=openai/x, Max Input Tokens=1000, Got=")
                && !said.contains("100000"),
            "{said}"
        );
        let told = ["type", "code", "param", "reason"].map(|name| &body["error"][name]);
        let expected = [json!("invalid_request_error"), json!("400"), Value::Null, json!("context_window")];
        assert_eq!(told, expected.each_ref());
    }
}

#[tokio::test]
async fn what_fits_nowhere_falls_back_to_a_group_with_a_longer_context() {
    let more = "router_settings: {num_retries: 0, enable_pre_call_checks: true, \
                context_window_fallbacks: [{m: [n]}]}\n";
    let long = deployment("n", "long", "model: openai/x, mock_response: b, tags: [a]");
    let gateway = Gateway::start(&config(&[window("short", "a", "max_input_tokens: 50"), long], more));
    let answer = gateway.chat("m", prompt(100)).send().await.unwrap();
    assert_eq!((answer.deployment(), answer.header("x-litellm-attempted-fallbacks")), ("long", "1"));
}

#[tokio::test]
async fn a_window_is_known_from_the_catalogue_and_without_the_check_nothing_is_left_out() {
    let listed = "model: openai/gpt-4, mock_response: a, tags: [a]";
    let own = window("own", "a", "max_input_tokens: 10");
    let gateway = Gateway::start(&config(&[deployment("m", "listed", listed)], CHECKED));
    // The catalogue has 8192 for it.
    assert_eq!(gateway.chat("m", prompt(7000)).send().await.unwrap().status(), 200);
    let (status, body) = error(gateway.chat("m", prompt(9000))).await;
    let said = body["error"]["message"].as_str().unwrap();
    assert!(status == 400 && said.contains("Model=openai/gpt-4, Max Input Tokens=8192"), "{body}");
    let unchecked = Gateway::start(&config(&[own], ""));
    assert_eq!(unchecked.chat("m", prompt(9000)).send().await.unwrap().status(), 200);
}

/// Three fakes: two in the EU, the second of them failing, and one in nobody knows which region.
async fn regions() -> ([Fake; 3], Gateway) {
    let fakes = [
        Fake::answer(|_| Reply::error(500, "broken")).await,
        Fake::answer(|_| Reply::completion("eu", 1, 1)).await,
        Fake::answer(|_| Reply::completion("anywhere", 1, 1)).await,
    ];
    let at = |group: &str, id: &str, fake: &Fake, region: &str| {
        let (url, params) = (fake.url(), "model: openai/x, api_key: k");
        deployment(group, id, &format!("{params}, api_base: \"{url}/v1\"{region}"))
    };
    let [broken, eu, anywhere] = &fakes;
    let deployments = [
        at("m", "broken", broken, ", region_name: eu"),
        at("m", "eu", eu, ", region_name: eu"),
        at("m", "anywhere", anywhere, ""),
        at("only-broken", "broken-alone", broken, ", region_name: eu"),
        at("only-broken", "anywhere-beside", anywhere, ""),
        at("us", "us", anywhere, ", region_name: us"),
    ];
    let more = "router_settings: {num_retries: 3, cooldown_time: 0, fallbacks: [{only-broken: [us, m]}]}\n";
    let gateway = Gateway::start(&config(&deployments, more));
    (fakes, gateway)
}

#[tokio::test]
async fn what_must_stay_in_a_region_goes_nowhere_else_not_even_when_all_of_it_fails() {
    let (fakes, gateway) = regions().await;
    let customer = json!({"user_id": "c", "allowed_model_region": "eu"});
    let made: Value = gateway.post("/customer/new", &customer).send().await.unwrap().json().await.unwrap();
    assert_eq!(made["allowed_model_region"], "eu", "{made}");
    let mut keys = Vec::new();
    let team = json!({"team_id": "t", "allowed_model_region": "eu"});
    assert_eq!(gateway.post("/team/new", &team).send().await.unwrap().status(), 200);
    for fields in [json!({"allowed_model_region": "eu"}), json!({"team_id": "t"}), json!({})] {
        let made = gateway.post("/key/generate", &fields).send().await.unwrap();
        keys.push(made.json::<Value>().await.unwrap()["key"].as_str().unwrap().to_owned());
    }
    let url = format!("{}/v1/chat/completions", gateway.url);
    let ask = |key: &str, model: &str, user: Option<&str>| {
        let mut body = json!({"model": model, "messages": [{"role": "user", "content": "hi"}]});
        if let Some(user) = user {
            body["user"] = user.into();
        }
        gateway.client.post(&url).bearer_auth(key).json(&body)
    };
    for (key, user) in [(&keys[0], None), (&keys[1], None), (&keys[2], Some("c"))] {
        for _ in 0..20 {
            let answer = ask(key, "m", user).send().await.unwrap();
            assert_eq!((answer.status().as_u16(), answer.deployment()), (200, "eu"));
        }
        // Its fallback stays inside as well.
        let answer = ask(key, "only-broken", user).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.deployment()), (200, "eu"));
        for model in ["us", "anywhere"] {
            let (status, body) = error(ask(key, model, user)).await;
            assert!((401..=403).contains(&status), "{body}");
        }
        let (_, body) = error(ask(key, "us", user)).await;
        assert_eq!(body["error"]["reason"], "region", "{body}");
    }
    assert_eq!(fakes[2].hits(), 0);
    // Others are free, and nobody says in a request where it must stay.
    assert_eq!(ask(&keys[2], "us", None).send().await.unwrap().status(), 200);
    let (status, _) = error(gateway.chat("m", json!({"allowed_model_region": "eu"}))).await;
    assert_eq!(status, 401);
}

#[tokio::test]
async fn a_region_is_the_admins_to_give_and_goes_down_to_keys_made_with_the_key() {
    let fake = Fake::answer(|_| Reply::completion("a", 1, 1)).await;
    let gateway = Gateway::start(&config(&[at("m", "nowhere", &fake.url(), "[]")], ""));
    let user = json!({"user_id": "u", "user_role": "internal_user", "auto_create_key": false});
    assert_eq!(gateway.post("/user/new", &user).send().await.unwrap().status(), 200);
    let bound = json!({"user_id": "u", "allowed_model_region": "eu"});
    let made: Value = gateway.post("/key/generate", &bound).send().await.unwrap().json().await.unwrap();
    let key = made["key"].as_str().unwrap();
    let generate = |fields: Value| {
        gateway.client.post(format!("{}/key/generate", gateway.url)).bearer_auth(key).json(&fields)
    };
    assert_eq!(error(generate(json!({"allowed_model_region": "us"}))).await.0, 403);
    let made: Value = generate(json!({})).send().await.unwrap().json().await.unwrap();
    assert_eq!(made["allowed_model_region"], "eu", "{made}");
}
