//! Rules: tags that the operator derives from requests, which nobody escapes; and headers that label what a request
//! costs.

use std::time::Instant;

use serde_json::{Value, json};
use tagway_fake::Fake;

use crate::gateway::{Answered as _, Gateway, KEY, PATIENCE, chat_body, config, deployment, error};

const RULES: &str = r#"router_settings: {enable_tag_filtering: true, num_retries: 0}
tag_rules:
  - name: claude-code
    when: 'request.headers["user-agent"].startsWith("claude-c")'
    add: ["client:claude-code"]
  - name: personal-data-stays-in-the-eu
    when: 'request.contains_pii'
    add: ["&region:eu"]
  - name: canary
    when: 'request.user != "" && sticky(request.user, "canary") < 0.5'
    add: ["canary"]
  - {name: research, when: 'team.alias == "Research" && team.metadata.grade == "gold"', add: [research]}
"#;

fn mock(id: &str, tags: &str) -> String {
    deployment("m", id, &format!("model: openai/x, mock_response: {id}, tags: {tags}"))
}

fn gateway() -> Gateway {
    let deployments = [
        mock("us", "[default, us]"),
        mock("eu", "['region:eu', research]"),
        mock("claude", "['client:claude-code', us]"),
        mock("canary", "[canary, us]"),
    ];
    Gateway::start(&config(&deployments, RULES))
}

async fn goes_to(gateway: &Gateway, agent: &str, body: Value) -> String {
    let answer = gateway.chat("m", body).header("user-agent", agent).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{:?}", answer.text().await);
    answer.deployment().to_owned()
}

fn says(content: &str) -> Value {
    json!({"messages": [{"role": "user", "content": content}]})
}

#[tokio::test]
async fn a_rule_sends_requests_where_they_belong() {
    let gateway = gateway();
    assert_eq!(goes_to(&gateway, "curl/8", says("hi")).await, "us");
    assert_eq!(goes_to(&gateway, "claude-cli/2.0", says("hi")).await, "claude");
    assert_eq!(goes_to(&gateway, "curl/8", says("write to ada@example.org")).await, "eu");
    assert_eq!(goes_to(&gateway, "curl/8", says("write to ada\u{40}example dot org")).await, "us");
}

#[tokio::test]
async fn nobody_escapes_a_rule_by_sending_other_tags() {
    let gateway = gateway();
    let personal = |tags: Value| json!({"tags": tags, "messages": [{"role": "user", "content": "DE89 3704 0044 0532 0130 00"}]});
    assert_eq!(goes_to(&gateway, "curl/8", personal(json!(["region:eu"]))).await, "eu");
    for tags in [json!(["us"]), json!(["default"]), json!(["!region:eu"]), json!(["canary", "us"])] {
        let (status, body) = error(gateway.chat("m", personal(tags.clone()))).await;
        assert_eq!(status, 401, "{tags}: {body}");
    }
}

#[tokio::test]
async fn a_share_of_users_goes_to_the_canary_and_stays_there() {
    let gateway = gateway();
    let mut canaries = 0;
    for user in 0..40 {
        let body = || json!({"user": format!("user-{user}"), "messages": []});
        let first = goes_to(&gateway, "curl/8", body()).await;
        assert_eq!(goes_to(&gateway, "curl/8", body()).await, first);
        canaries += usize::from(first == "canary");
    }
    assert!((8..=32).contains(&canaries), "{canaries} of 40");
}

#[tokio::test]
async fn rules_know_the_team_of_a_key() {
    let gateway = gateway();
    let team = json!({"team_id": "r", "team_alias": "Research", "metadata": {"grade": "gold"}});
    for (team, expected) in [(team, "eu"), (json!({"team_id": "o", "team_alias": "Research"}), "us")] {
        let made = gateway.post("/team/new", &team).send().await.unwrap();
        assert_eq!(made.status(), 200, "{:?}", made.text().await);
        let generate = gateway.post("/key/generate", &json!({"team_id": team["team_id"]}));
        let key: Value = generate.send().await.unwrap().json().await.unwrap();
        let request = gateway.client.post(format!("{}/v1/chat/completions", gateway.url));
        let request = request.bearer_auth(key["key"].as_str().unwrap()).json(&chat_body("m", json!({})));
        assert_eq!(request.send().await.unwrap().deployment(), expected, "{team}");
    }
}

#[tokio::test]
async fn a_rule_that_cannot_judge_may_deny() {
    let rule = |on_error: &str| {
        format!(
            "router_settings: {{enable_tag_filtering: true}}\ntag_rules:\n  - {{name: sites, when: 'request.headers[\"x-site\"] == \"ber\"', add: [ber], on_error: {on_error}}}\n"
        )
    };
    let deployments = [mock("other", "[default]"), mock("berlin", "[ber]")];
    let strict = Gateway::start(&config(&deployments, &rule("deny")));
    let (status, body) = error(strict.chat("m", json!({}))).await;
    assert_eq!((status, &body["error"]["reason"]), (403, &json!("tag_rule")));
    assert_eq!(
        body["error"]["message"],
        "Request refused: the rule 'sites' cannot be applied: there is no header `x-site`."
    );
    let berlin = strict.chat("m", json!({})).header("x-site", "ber").send().await.unwrap();
    assert_eq!(berlin.deployment(), "berlin");
    let lenient = Gateway::start(&config(&deployments, &rule("skip")));
    assert_eq!(lenient.chat("m", json!({})).send().await.unwrap().deployment(), "other");
}

#[tokio::test]
async fn an_explanation_knows_the_rules() {
    let gateway = gateway();
    let asked = gateway
        .client
        .post(format!("{}/route/explain", gateway.url))
        .bearer_auth(KEY)
        .header("user-agent", "claude-cli/1.0")
        .json(&json!({"model": "m"}));
    let told: Value = asked.send().await.unwrap().json().await.unwrap();
    assert_eq!(told["candidates"], json!(["claude"]));
    assert!(told["decision"].to_string().contains("rule"), "{told}");
}

#[tokio::test]
async fn headers_label_what_a_request_costs_and_route_nothing() {
    let fake = Fake::start().await;
    let params = format!("model: openai/gpt-4o, api_base: \"{}/v1\", api_key: k, tags: [a]", fake.url());
    let more = "router_settings: {enable_tag_filtering: true}\nlitellm_settings: {extra_spend_tag_headers: [X-OpenWebUI-User-Email, x-cost-centre]}\n";
    let gateway = Gateway::start(&config(&[deployment("m", "one", &params)], more));
    let request = gateway
        .chat("m", json!({"tags": ["a"]}))
        .header("x-openwebui-user-email", "ada@example.org")
        .header("X-Cost-Centre", " 4711 ");
    assert_eq!(request.send().await.unwrap().status(), 200);
    let label = "x-openwebui-user-email: ada@example.org";
    let began = Instant::now();
    let found = loop {
        let logs: Value = gateway.get("/spend/logs").send().await.unwrap().json().await.unwrap();
        let tags = logs[0]["request_tags"].to_string();
        if tags.contains(label) {
            break tags;
        }
        assert!(began.elapsed() < PATIENCE, "{logs}");
    };
    assert!(found.contains("x-cost-centre: 4711"), "{found}");
    // In the body or the header for tags, such a label is the same: it routes nothing.
    let by_tag = gateway.chat("m", json!({"tags": ["a", "x-cost-centre: 1"]})).send().await.unwrap();
    assert_eq!(by_tag.status(), 200);
}
