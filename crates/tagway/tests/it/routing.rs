//! Where requests go by their tags, as the documentation of tag routing shows it.

use serde_json::{Value, json};
use tagway_fake::Fake;

use crate::gateway::{Answered as _, Gateway, at, chat_body, config, deployment, error};

async fn three() -> (Gateway, [Fake; 3]) {
    let fakes = [Fake::named("free").await, Fake::named("paid").await, Fake::named("default").await];
    let [free, paid, default] = &fakes;
    let gateway = Gateway::start(&config(
        &[
            at("gpt-4", "free-model", &free.url(), "[free]"),
            at("gpt-4", "paid-model", &paid.url(), "[paid]"),
            at("gpt-4", "default-model", &default.url(), "[default]"),
        ],
        "",
    ));
    (gateway, fakes)
}

async fn goes_to(gateway: &Gateway, more: Value) -> String {
    gateway.chat("gpt-4", more).send().await.unwrap().deployment().to_owned()
}

#[tokio::test]
async fn a_tag_in_the_body_the_header_or_the_metadata_chooses_the_deployment() {
    let (gateway, _fakes) = three().await;
    assert_eq!(goes_to(&gateway, json!({"tags": ["free"]})).await, "free-model");
    assert_eq!(goes_to(&gateway, json!({"tags": "paid"})).await, "paid-model");
    assert_eq!(goes_to(&gateway, json!({"metadata": {"tags": ["paid"]}})).await, "paid-model");
    assert_eq!(goes_to(&gateway, json!({"litellm_metadata": {"tags": ["free"]}})).await, "free-model");
    let text = json!({"litellm_metadata": "{\"tags\": [\"free\"]}"});
    assert_eq!(goes_to(&gateway, text).await, "free-model");
    let by_header = gateway.chat("gpt-4", json!({})).header("x-litellm-tags", " free , my-custom-tag,");
    assert_eq!(by_header.send().await.unwrap().deployment(), "free-model");
}

#[tokio::test]
async fn untagged_and_unknown_tags_go_to_the_default() {
    let (gateway, _fakes) = three().await;
    assert_eq!(goes_to(&gateway, json!({})).await, "default-model");
    assert_eq!(goes_to(&gateway, json!({"tags": []})).await, "default-model");
    assert_eq!(goes_to(&gateway, json!({"tags": ["nobody-has-this"]})).await, "default-model");
    assert_eq!(goes_to(&gateway, json!({"tags": [1, null]})).await, "default-model");
}

#[tokio::test]
async fn a_list_in_the_body_replaces_the_headers() {
    let (gateway, _fakes) = three().await;
    for (tags, expected) in
        [(json!(["paid"]), "paid-model"), (json!([]), "default-model"), (json!(null), "free-model")]
    {
        let request = gateway.chat("gpt-4", json!({"tags": tags})).header("x-litellm-tags", "free");
        assert_eq!(request.send().await.unwrap().deployment(), expected);
    }
}

#[tokio::test]
async fn markers_exclude_and_require() {
    let gateway = Gateway::start(&config(
        &[
            deployment("m", "eu", "model: openai/x, mock_response: a, tags: [eu, fast]"),
            deployment("m", "us", "model: openai/x, mock_response: b, tags: [us, fast]"),
        ],
        "",
    ));
    for (tags, expected) in
        [(json!(["fast", "!us"]), "eu"), (json!(["&us"]), "us"), (json!(["fast", "&eu"]), "eu")]
    {
        let answer = gateway.chat("m", json!({"tags": tags})).send().await.unwrap();
        assert_eq!(answer.deployment(), expected);
    }
}

#[tokio::test]
async fn a_user_agent_chooses_by_tag_regex() {
    let gateway = Gateway::start(&config(
        &[
            deployment(
                "m",
                "code",
                "model: openai/x, mock_response: a, tag_regex: ['^User-Agent: claude-code/']",
            ),
            deployment("m", "rest", "model: openai/x, mock_response: b, tags: [default]"),
        ],
        "",
    ));
    let by = |agent: &'static str| gateway.chat("m", json!({})).header("user-agent", agent).send();
    assert_eq!(by("claude-code/2.1").await.unwrap().deployment(), "code");
    assert_eq!(by("curl/8").await.unwrap().deployment(), "rest");
}

#[tokio::test]
async fn a_tag_expression_narrows_and_points_at_its_errors() {
    let gateway = Gateway::start(&config(
        &[
            deployment("m", "eu", "model: openai/x, mock_response: a, tags: [eu, paid]"),
            deployment("m", "us", "model: openai/x, mock_response: b, tags: [us, paid]"),
        ],
        "",
    ));
    let by_body = gateway.chat("m", json!({"tag_expression": "paid and not us"})).send().await.unwrap();
    assert_eq!(by_body.deployment(), "eu");
    let by_header = gateway.chat("m", json!({})).header("x-tagway-tag-expression", "us or eu and us");
    assert_eq!(by_header.send().await.unwrap().deployment(), "us");
    let (status, body) = error(gateway.chat("m", json!({"tag_expression": "eu and and"}))).await;
    assert_eq!((status, &body["error"]["param"]), (400, &json!("tag_expression")));
    assert!(body["error"]["message"].as_str().unwrap().contains("column"), "{body}");
}

#[tokio::test]
async fn tags_that_match_nothing_are_refused_in_litellms_words_everywhere() {
    let gateway = Gateway::start(&config(
        &[deployment("nodef", "free", "model: openai/x, mock_response: a, tags: [free]")],
        "",
    ));
    let (status, body) = error(gateway.chat("nodef", json!({"tags": ["nope", "it's"]}))).await;
    assert_eq!(status, 401);
    insta::assert_json_snapshot!(body, @r#"
    {
      "error": {
        "message": "Not allowed to access model due to tags configuration. Passed model=nodef and tags=['nope', \"it's\"]",
        "type": "internal_server_error",
        "param": null,
        "code": "401",
        "reason": "tag_policy"
      }
    }
    "#);
    let streamed = gateway.chat("nodef", json!({"tags": ["nope"], "stream": true})).send().await.unwrap();
    assert_eq!((streamed.status().as_u16(), streamed.header("content-type")), (401, "application/json"));
    assert!(!streamed.header("x-litellm-call-id").is_empty());
    assert!(streamed.headers().get("x-litellm-model-id").is_none());
    for (path, field) in
        [("/v1/completions", "prompt"), ("/v1/embeddings", "input"), ("/v1/responses", "input")]
    {
        let (status, _) =
            error(gateway.post(path, &json!({"model": "nodef", "tags": ["nope"], field: "x"}))).await;
        assert_eq!(status, 401, "{path}");
    }
}

#[tokio::test]
async fn a_client_cannot_switch_filtering_off_or_pose_as_its_key() {
    let (gateway, _fakes) = three().await;
    let more = json!({
        "tags": ["free"], "enable_tag_filtering": false, "inherited_tags": ["paid"], "caller_tags": ["paid"],
        "user_api_key_metadata": {"tags": ["paid"]},
    });
    assert_eq!(goes_to(&gateway, more).await, "free-model");
}

#[tokio::test]
async fn aliases_wildcards_ids_and_paths_name_models() {
    let fake = Fake::start().await;
    let url = fake.url();
    let gateway = Gateway::start(&config(
        &[
            deployment("gpt-4", "one", "model: openai/x, mock_response: a"),
            deployment("'openai/*'", "wild", &format!("model: 'openai/*', api_base: '{url}/v1', api_key: k")),
        ],
        "router_settings:\n  model_group_alias: {old-name: gpt-4}\n",
    ));
    let deployment =
        async |model: &str| gateway.chat(model, json!({})).send().await.unwrap().deployment().to_owned();
    assert_eq!(deployment("old-name").await, "one");
    assert_eq!(deployment("one").await, "one");
    let answer = gateway.chat("openai/gpt-9", json!({})).send().await.unwrap();
    assert_eq!((answer.deployment(), answer.header("x-litellm-model-name")), ("wild", "openai/gpt-9"));
    assert_eq!(fake.last().json()["model"], "gpt-9");
    assert_eq!(answer.json::<Value>().await.unwrap()["model"], "openai/gpt-9");
    for path in
        ["/openai/deployments/gpt-4/chat/completions", "/engines/gpt-4/chat/completions", "/chat/completions"]
    {
        let answer = gateway.post(path, &chat_body("gpt-4", json!({}))).send().await.unwrap();
        assert_eq!(answer.deployment(), "one", "{path}");
    }
    let (status, body) = error(gateway.chat("gtp-5", json!({}))).await;
    assert_eq!(status, 400);
    assert_eq!(
        body["error"]["message"],
        "/chat/completions: Invalid model name passed in model=gtp-5. Call `/v1/models` to view available models for your key."
    );
}
