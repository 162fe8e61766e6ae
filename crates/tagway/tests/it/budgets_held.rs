//! Budgets that hold: whoever pays, however the tags of a request came to it, and however many come at once.

use std::time::{Duration, Instant};

use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};
use tagway_fake::{Fake, Reply};

use crate::customers::{key, ok};
use crate::gateway::{Answered as _, Gateway, KEY, PATIENCE, chat_body, deployment};

/// A deployment whose answers of 20 tokens cost a dollar.
pub fn dollar(model: &str, id: &str, url: &str, more: &str) -> String {
    let params = format!(
        "model: openai/gpt-4o, api_base: \"{url}/v1\", api_key: sk-upstream, input_cost_per_token: 0, output_cost_per_token: 0.05{more}"
    );
    deployment(model, id, &params)
}

/// A gateway with one such deployment for the model `m`.
fn gateway(url: &str, more: &str) -> Gateway {
    of(&[dollar("m", "one", url, "")], more)
}

fn of(deployments: &[String], more: &str) -> Gateway {
    let config = format!(
        "model_list:\n{}router_settings: {{num_retries: 0}}\ngeneral_settings: {{master_key: {KEY}}}\n{more}\n",
        deployments.concat()
    );
    Gateway::start(&config)
}

async fn upstream() -> Fake {
    Fake::answer(|seen| {
        let answer = Reply::completion("hi", 10, 20);
        if seen.json()["stream"] == true { Reply::chat_with_usage(["h", "i"], 10, 20) } else { answer }
    })
    .await
}

pub fn chat(gateway: &Gateway, key: &str, more: Value) -> RequestBuilder {
    let mut body = chat_body("m", json!({"max_tokens": 20}));
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    gateway.client.post(format!("{}/v1/chat/completions", gateway.url)).bearer_auth(key).json(&body)
}

/// The status, when all of the answer has come.
pub async fn status(request: RequestBuilder) -> u16 {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    response.bytes().await.unwrap();
    status
}

/// As many requests get through before one is refused; the refusal is the second.
async fn until_refused(mut request: impl FnMut() -> RequestBuilder) -> (u32, Response) {
    for served in 0..100 {
        let response = request().send().await.unwrap();
        if response.status() != 200 {
            return (served, response);
        }
        response.bytes().await.unwrap();
    }
    panic!("100 requests got through");
}

async fn message(refused: Response) -> String {
    let body: Value = refused.json().await.unwrap();
    assert_eq!(
        (&body["error"]["type"], &body["error"]["reason"]),
        (&json!("budget_exceeded"), &json!("budget"))
    );
    body["error"]["message"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_keys_budget_lets_in_what_fits_and_nothing_after_it() {
    let fake = upstream().await;
    let gateway = gateway(&fake.url(), "");
    let key = key(&gateway, json!({"max_budget": 3, "key_alias": "mine"})).await;
    let first = chat(&gateway, &key, json!({})).send().await.unwrap();
    assert_eq!(
        (first.header("x-litellm-key-max-budget"), first.header("x-litellm-key-spend")),
        ("3.0", "1.0")
    );
    let (served, refused) = until_refused(|| chat(&gateway, &key, json!({}))).await;
    assert_eq!((served, refused.status().as_u16(), refused.header("x-litellm-key-spend")), (2, 429, "3.0"));
    assert_eq!(refused.header("retry-after"), "");
    let said = message(refused).await;
    assert!(said.starts_with("Budget has been exceeded! Key=mine (sk-..."), "{said}");
    assert!(said.ends_with(") Current cost: 3.0, Max budget: 3.0"), "{said}");
    assert_eq!(fake.hits(), 3);
}

#[tokio::test]
async fn a_tags_budget_holds_wherever_the_tag_comes_from() {
    let fake = upstream().await;
    let gateway = gateway(&fake.url(), "");
    ok(gateway.post("/team/new", &json!({"team_id": "t", "tags": ["by-team"]}))).await;
    ok(gateway.post("/customer/new", &json!({"user_id": "c", "tags": ["by-customer"]}))).await;
    ok(gateway.post(
        "/user/new",
        &json!({"user_id": "u", "metadata": {"tags": ["by-user"]}, "auto_create_key": false}),
    ))
    .await;
    let tagged = key(&gateway, json!({"tags": ["by-key"]})).await;
    let of_team = key(&gateway, json!({"team_id": "t"})).await;
    let of_user = key(&gateway, json!({"user_id": "u"})).await;
    let plain = key(&gateway, json!({})).await;
    for stream in [false, true] {
        for (tag, key, fields, header) in [
            ("by-body", &plain, json!({"tags": ["by-body"]}), ""),
            ("by-header", &plain, json!({}), "a, by-header"),
            ("by-metadata", &plain, json!({"metadata": {"tags": ["by-metadata"]}}), ""),
            ("by-litellm", &plain, json!({"litellm_metadata": {"tags": ["&by-litellm"]}}), ""),
            ("by-key", &tagged, json!({}), ""),
            ("by-team", &of_team, json!({}), ""),
            ("by-user", &of_user, json!({}), ""),
            ("by-customer", &plain, json!({"user": "c"}), ""),
        ] {
            let path = if stream { "/tag/update" } else { "/tag/new" };
            // What was spent before the stream's turn counts.
            let budget = if stream { 4 } else { 2 };
            ok(gateway.post(path, &json!({"name": tag, "max_budget": budget}))).await;
            let request = || {
                let mut fields = fields.clone();
                fields["stream"] = stream.into();
                if stream {
                    fields["stream_options"] = json!({"include_usage": true});
                }
                let request = chat(&gateway, key, fields);
                if header.is_empty() { request } else { request.header("x-litellm-tags", header) }
            };
            let (served, refused) = until_refused(request).await;
            assert_eq!((served, refused.status().as_u16()), (2, 429), "{tag} {stream}");
            let dollars = f64::from(budget);
            assert_eq!(
                message(refused).await,
                format!(
                    "Budget has been exceeded! Tag={tag} Current cost: {dollars:?}, Max budget: {dollars:?}"
                )
            );
        }
    }
    // A tag that is excluded is not used.
    assert_eq!(status(chat(&gateway, &plain, json!({"tags": ["!by-body"]}))).await, 200);
}

#[tokio::test]
async fn two_hundred_at_once_get_no_more_than_the_budget_holds() {
    for strict in [false, true] {
        let fake = Fake::answer(|_| Reply::completion("hi", 10, 20).delay(Duration::from_secs(1))).await;
        let gateway = gateway(&fake.url(), "");
        ok(gateway.post("/tag/new", &json!({"name": "eng", "max_budget": 10, "strict": strict}))).await;
        let all = (0..200).map(|_| {
            let request = chat(&gateway, KEY, json!({"tags": ["eng"]}));
            tokio::spawn(async move { status(request).await })
        });
        let all: Vec<_> = all.collect();
        let mut served = 0;
        for one in all {
            served += usize::from(one.await.unwrap() == 200);
        }
        assert_eq!(served, 10, "strict: {strict}");
        assert_eq!(fake.hits(), 10);
    }
}

#[tokio::test]
async fn without_an_own_limit_of_tokens_the_estimate_does_not_let_a_crowd_through() {
    let fake = Fake::answer(|_| Reply::completion("hi", 10, 20).delay(Duration::from_secs(1))).await;
    let gateway = gateway(&fake.url(), "");
    ok(gateway.post("/tag/new", &json!({"name": "eng", "max_budget": 10}))).await;
    let all: Vec<_> = (0..200)
        .map(|_| {
            let request = gateway.chat("m", json!({"tags": ["eng"]}));
            tokio::spawn(async move { status(request).await })
        })
        .collect();
    let mut served = 0;
    for one in all {
        served += usize::from(one.await.unwrap() == 200);
    }
    assert!((1..=11).contains(&served), "{served}");
}

#[tokio::test]
async fn a_budget_of_two_seconds_opens_anew_in_each_window() {
    let fake = upstream().await;
    let gateway = gateway(&fake.url(), "");
    ok(gateway.post("/tag/new", &json!({"name": "eng", "max_budget": 2, "budget_duration": "2s"}))).await;
    let deadline = Instant::now() + PATIENCE;
    let (mut windows, mut open) = (0, true);
    while windows < 4 {
        assert!(Instant::now() < deadline, "only {windows} windows");
        let response = chat(&gateway, KEY, json!({"tags": ["eng"]})).send().await.unwrap();
        match (response.status().as_u16(), open) {
            (429, true) => {
                let wait = response.header("retry-after").to_owned();
                assert!(wait == "1" || wait == "2", "{wait}");
                open = false;
            }
            (200, false) => {
                windows += 1;
                open = true;
            }
            (200 | 429, _) => {}
            (other, _) => panic!("{other}"),
        }
    }
    let least = fake.hits();
    assert!((8..=12).contains(&least), "{least}");
}

#[tokio::test]
async fn every_owner_above_a_key_has_a_budget_of_its_own() {
    let fake = upstream().await;
    let gateway = gateway(&fake.url(), "");
    ok(gateway.post("/budget/new", &json!({"budget_id": "b", "max_budget": 1}))).await;
    ok(gateway.post("/team/new", &json!({"team_id": "t", "max_budget": 1}))).await;
    ok(gateway.post("/user/new", &json!({"user_id": "u", "max_budget": 1, "auto_create_key": false}))).await;
    let body = json!({"organization_id": "o", "organization_alias": "O", "budget_id": "b"});
    ok(gateway.post("/organization/new", &body)).await;
    ok(gateway.post("/customer/new", &json!({"user_id": "c", "budget_id": "b"}))).await;
    ok(gateway.post("/team/new", &json!({"team_id": "rich"}))).await;
    for (fields, more, words) in [
        (
            json!({"team_id": "t"}),
            json!({}),
            "Budget has been exceeded! Team=t Current cost: 1.0, Max budget: 1.0",
        ),
        (json!({"user_id": "u"}), json!({}), "ExceededBudget: User=u over budget. Spend=1.0, Budget=1.0"),
        (
            json!({"organization_id": "o"}),
            json!({}),
            "Budget has been exceeded! Organization=o Current cost: 1.0, Max budget: 1.0",
        ),
        (json!({}), json!({"user": "c"}), "ExceededBudget: End User=c over budget. Spend=1.0, Budget=1.0"),
        (json!({"budget_id": "b"}), json!({}), "Budget has been exceeded! Key=key (sk-"),
        (
            json!({"model_max_budget": {"m": {"budget_limit": 1.0, "time_period": "1d"}}, "key_alias": "k"}),
            json!({}),
            "LiteLLM Virtual Key: ",
        ),
    ] {
        let key = key(&gateway, fields).await;
        let (served, refused) = until_refused(|| chat(&gateway, &key, more.clone())).await;
        assert_eq!((served, refused.status().as_u16()), (1, 429), "{words}");
        let said = message(refused).await;
        assert!(said.starts_with(words), "{said}");
    }
    // What a user does for a team, the team pays.
    let of_team = key(&gateway, json!({"team_id": "rich", "user_id": "u"})).await;
    assert_eq!(status(chat(&gateway, &of_team, json!({}))).await, 200);
}

#[tokio::test]
async fn each_tag_under_a_pattern_has_a_budget_of_its_own() {
    let fake = upstream().await;
    let gateway = gateway(&fake.url(), "tags:\n  - {name: \"customer:*\", max_budget: 2, kind: attribution}");
    for customer in ["customer:a", "customer:b"] {
        let (served, refused) = until_refused(|| chat(&gateway, KEY, json!({"tags": [customer]}))).await;
        assert_eq!(served, 2);
        let said = message(refused).await;
        assert!(said.starts_with(&format!("Budget has been exceeded! Tag={customer} ")), "{said}");
    }
    assert_eq!(status(chat(&gateway, KEY, json!({"tags": ["customer:c"]}))).await, 200);
}

#[tokio::test]
async fn a_deployment_whose_budget_is_spent_is_no_candidate_and_neither_is_its_provider() {
    let fake = upstream().await;
    let deployments = [
        dollar("m", "poor", &fake.url(), ", max_budget: 1, order: 1"),
        dollar("m", "rich", &fake.url(), ", max_budget: 2, order: 2"),
    ];
    let gateway = of(&deployments, "");
    let mut served = Vec::new();
    for _ in 0..3 {
        let response = chat(&gateway, KEY, json!({})).send().await.unwrap();
        served.push(response.deployment().to_owned());
    }
    assert_eq!(served, ["poor", "rich", "rich"]);
    let refused = chat(&gateway, KEY, json!({})).send().await.unwrap();
    assert_eq!(refused.status(), 429);
    let said = message(refused).await;
    for id in ["Deployment=poor", "Deployment=rich"] {
        assert!(said.contains(id), "{said}");
    }
    let config = format!(
        "model_list:\n{}general_settings: {{master_key: {KEY}}}\nrouter_settings:\n  num_retries: 0\n  provider_budget_config: {{openai: {{budget_limit: 2, time_period: 30d}}}}\n",
        dollar("m", "one", &fake.url(), "")
    );
    let gateway = Gateway::start(&config);
    let (served, refused) = until_refused(|| chat(&gateway, KEY, json!({}))).await;
    assert_eq!(served, 2);
    assert!(!refused.header("retry-after").is_empty());
    assert_eq!(
        message(refused).await,
        "Budget has been exceeded! Provider=openai Current cost: 2.0, Max budget: 2.0"
    );
}

#[tokio::test]
async fn what_everybody_may_spend_is_bounded_and_the_status_can_be_chosen() {
    let fake = upstream().await;
    let settings =
        "litellm_settings: {max_budget: 2, budget_duration: 30d, budget_exceeded_status_code: 422}";
    let gateway = gateway(&fake.url(), settings);
    let (served, refused) = until_refused(|| chat(&gateway, KEY, json!({}))).await;
    assert_eq!((served, refused.status().as_u16()), (2, 422));
    assert_eq!(message(refused).await, "Budget has been exceeded! Current cost: 2.0, Max budget: 2.0");
}

#[tokio::test]
async fn a_change_of_a_budget_holds_for_the_next_request() {
    let fake = upstream().await;
    let gateway = gateway(&fake.url(), "");
    let key = key(&gateway, json!({"max_budget": 1})).await;
    let again = || chat(&gateway, &key, json!({}));
    assert_eq!((status(again()).await, status(again()).await), (200, 429));
    ok(gateway.post("/key/update", &json!({"key": key, "max_budget": 2}))).await;
    assert_eq!((status(again()).await, status(again()).await), (200, 429));
    ok(gateway.post(&format!("/key/{key}/reset_spend"), &json!({"reset_to": 0}))).await;
    assert_eq!((status(again()).await, status(again()).await, status(again()).await), (200, 200, 429));
    let raised = json!({"key": key, "temp_budget_increase": 1, "temp_budget_expiry": "2999-01-01"});
    ok(gateway.post("/key/update", &raised)).await;
    assert_eq!((status(again()).await, status(again()).await), (200, 429));
    let ended = json!({"key": key, "temp_budget_increase": 5, "temp_budget_expiry": "2020-01-01T00:00:00Z"});
    ok(gateway.post("/key/update", &ended)).await;
    assert_eq!(status(again()).await, 429);
}

#[tokio::test]
async fn what_was_spent_is_remembered_over_a_restart() {
    let fake = upstream().await;
    let gateway = gateway(&fake.url(), "");
    let key = key(&gateway, json!({"max_budget": 2})).await;
    ok(gateway.post("/tag/new", &json!({"name": "eng", "max_budget": 3, "budget_duration": "30d"}))).await;
    assert_eq!(status(chat(&gateway, &key, json!({"tags": ["eng"]}))).await, 200);
    assert_eq!(status(chat(&gateway, KEY, json!({"tags": ["eng"]}))).await, 200);
    gateway.signal("KILL");
    let gateway = Gateway::start_in(gateway.stopped(), &[], &[]);
    assert_eq!(status(chat(&gateway, &key, json!({}))).await, 200);
    assert_eq!(status(chat(&gateway, &key, json!({}))).await, 429);
    assert_eq!(status(chat(&gateway, KEY, json!({"tags": ["eng"]}))).await, 200);
    assert_eq!(status(chat(&gateway, KEY, json!({"tags": ["eng"]}))).await, 429);
}

#[tokio::test]
async fn any_tag_can_be_reset_and_says_what_was_spent() {
    let fake = upstream().await;
    let gateway =
        gateway(&fake.url(), "tags:\n  - {name: \"customer:*\", max_budget: 2, budget_duration: 1d}");
    ok(gateway.post("/tag/new", &json!({"name": "eng", "max_budget": 2}))).await;
    for tag in ["eng", "customer:a"] {
        let again = || chat(&gateway, KEY, json!({"tags": [tag]}));
        assert_eq!((status(again()).await, status(again()).await, status(again()).await), (200, 200, 429));
        let path = format!("/tag/{tag}/reset_spend");
        let answer = ok(gateway.post(&path, &json!({"reset_to": 1}))).await;
        assert_eq!((&answer["previous_spend"], &answer["spend"]), (&json!(2.0), &json!(1.0)));
        assert_eq!((status(again()).await, status(again()).await), (200, 429), "{tag}");
        let reset_at = &answer["budget_reset_at"];
        assert_eq!(reset_at.is_string(), tag == "customer:a", "{answer}");
    }
}

#[tokio::test]
async fn what_a_rolling_budget_has_let_out_comes_back_bit_by_bit() {
    let fake = upstream().await;
    let gateway = gateway(&fake.url(), "");
    let body = json!({"name": "eng", "max_budget": 2, "budget_duration": "3s", "budget_window": "rolling"});
    ok(gateway.post("/tag/new", &body)).await;
    let began = Instant::now();
    let again = || chat(&gateway, KEY, json!({"tags": ["eng"]}));
    assert_eq!((status(again()).await, status(again()).await, status(again()).await), (200, 200, 429));
    while status(again()).await == 429 {
        assert!(began.elapsed() < PATIENCE);
    }
    assert!(Duration::from_secs(3) <= began.elapsed(), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_fallback_serves_when_a_groups_deployments_have_spent_theirs() {
    let fake = upstream().await;
    let deployments =
        [dollar("m", "poor", &fake.url(), ", max_budget: 1"), dollar("n", "other", &fake.url(), "")];
    let config = format!(
        "model_list:\n{}general_settings: {{master_key: {KEY}}}\nrouter_settings: {{num_retries: 0, fallbacks: [{{m: [n]}}]}}\n",
        deployments.concat()
    );
    let gateway = Gateway::start(&config);
    let mut served = Vec::new();
    for _ in 0..2 {
        served.push(chat(&gateway, KEY, json!({})).send().await.unwrap().deployment().to_owned());
    }
    assert_eq!(served, ["poor", "other"]);
}

#[tokio::test]
async fn a_soft_budget_refuses_nothing_and_is_told_once() {
    let fake = upstream().await;
    let gateway = gateway(&fake.url(), "");
    ok(gateway.post("/tag/new", &json!({"name": "eng", "soft_budget": 2}))).await;
    for _ in 0..5 {
        assert_eq!(status(chat(&gateway, KEY, json!({"tags": ["eng"]}))).await, 200);
    }
    let log = gateway.ended_with_log();
    assert_eq!(log.matches("a budget is crossed").count(), 1, "{log}");
}

#[tokio::test]
async fn a_request_that_fails_gives_back_what_it_held() {
    let fake = Fake::script([Reply::error(400, "no"), Reply::completion("hi", 10, 20)]).await;
    let gateway = gateway(&fake.url(), "");
    ok(gateway.post("/tag/new", &json!({"name": "eng", "max_budget": 1, "strict": true}))).await;
    let again = || chat(&gateway, KEY, json!({"tags": ["eng"]}));
    assert_eq!((status(again()).await, status(again()).await, status(again()).await), (400, 200, 429));
}
