//! Prompts and answers in the log of requests: kept where the configuration asks for it, bounded, and left out where
//! they are not to be seen.

use serde_json::{Value, json};
use tagway_fake::{Fake, OpenAi};

use crate::gateway::{Gateway, KEY, chat_body, error};
use crate::spend::{booked, get, key, ok};
use crate::stores::{Store, on_both_stores};

on_both_stores!(what_was_said_is_kept_and_shown_to_whom_the_request_is_shown);

fn config(fake: &Fake, general: &str, more: &str) -> String {
    format!(
        "model_list:\n  - model_name: m\n    litellm_params: {{model: openai/gpt-4o, api_base: {}/v1, api_key: k}}\ngeneral_settings: {{master_key: {KEY}{general}}}\n{more}\n",
        fake.url()
    )
}

/// Asks, and gives the request's call id.
async fn asked(gateway: &Gateway, key: &str, more: Value, header: Option<(&str, &str)>) -> String {
    let mut request = gateway
        .client
        .post(format!("{}/v1/chat/completions", gateway.url))
        .bearer_auth(key)
        .json(&chat_body("m", more));
    if let Some((name, value)) = header {
        request = request.header(name, value);
    }
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let id = answer.headers()["x-litellm-call-id"].to_str().unwrap().to_owned();
    answer.text().await.unwrap();
    id
}

async fn shown(gateway: &Gateway, id: &str) -> Value {
    ok(gateway.get(&format!("/spend/logs/ui/{id}"))).await
}

async fn what_was_said_is_kept_and_shown_to_whom_the_request_is_shown(store: Store) {
    let fake = Fake::run(OpenAi::named("fake").says(["forty", "-two, ", "\"perhaps\""])).await;
    let (gateway, _home) = Gateway::on(store, &config(&fake, ", store_prompts_in_spend_logs: true", ""));
    let fields = json!({"user_id": "reader", "user_role": "internal_user", "auto_create_key": false});
    ok(gateway.post("/user/new", &fields)).await;
    let own = key(&gateway, json!({"user_id": "reader"})).await;
    let long = "é".repeat(5_000);
    let messages =
        json!([{"role": "user", "content": "What is it? \u{0}"}, {"role": "user", "content": long}]);
    let whole = asked(&gateway, &own, json!({"messages": messages}), None).await;
    let stream = asked(&gateway, KEY, json!({"messages": messages, "stream": true}), None).await;
    let header = ("x-litellm-enable-message-redaction", "true");
    let hidden = asked(&gateway, KEY, json!({"messages": messages}), Some(header)).await;
    booked(&gateway, 3).await;
    let said = shown(&gateway, &whole).await;
    assert_eq!(said["messages"][0], messages[0]);
    let cut = said["messages"][1]["content"].as_str().unwrap();
    assert!(
        cut.starts_with("éé") && cut.ends_with("éé") && cut.contains("(2952 characters left out)"),
        "{cut}"
    );
    assert_eq!(said["response"]["choices"][0]["message"]["content"], "forty-two, \"perhaps\"");
    let said = shown(&gateway, &stream).await;
    assert_eq!(said["messages"][0], messages[0]);
    assert_eq!(
        said["response"],
        json!({"choices": [{"index": 0, "message": {"role": "assistant", "content": "forty-two, \"perhaps\""}}]})
    );
    let said = shown(&gateway, &hidden).await;
    assert_eq!(
        said,
        json!({"messages": [{"role": "user", "content": "redacted-by-litellm"}], "response": {"text": "redacted-by-litellm"}})
    );
    // Their own, and no one else's.
    assert_eq!(ok(get(&gateway, &own, &format!("/spend/logs/ui/{whole}"))).await["messages"][0], messages[0]);
    let (status, refused) = error(get(&gateway, &own, &format!("/spend/logs/ui/{stream}"))).await;
    assert_eq!((status, refused["error"]["code"].as_str()), (404, Some("404")), "{refused}");
    // Lists of requests are without.
    let list = ok(gateway.get("/spend/logs?summarize=false")).await;
    assert!(!list.to_string().contains("forty-two"));
}

#[tokio::test]
async fn nothing_that_was_said_is_kept_unless_asked_for() {
    let fake = Fake::run(OpenAi::named("fake").says(["forty-two"])).await;
    let body = json!({"messages": [{"role": "user", "content": "a secret question"}]});
    for (general, more) in [
        ("", ""),
        (", store_prompts_in_spend_logs: true", "litellm_settings: {turn_off_message_logging: true}"),
    ] {
        let gateway = Gateway::start(&config(&fake, general, more));
        let id = asked(&gateway, KEY, body.clone(), None).await;
        booked(&gateway, 1).await;
        let said = shown(&gateway, &id).await;
        assert!(said["messages"] == json!({}) || said["messages"][0]["content"] == "redacted-by-litellm");
        let stored = String::from_utf8_lossy(&gateway.dir.stored()).into_owned();
        assert!(!stored.contains("secret question") && !stored.contains("forty-two"));
    }
}

#[tokio::test]
async fn the_length_of_what_is_kept_may_be_chosen() {
    let fake = Fake::run(OpenAi::named("fake").says(["forty-two"])).await;
    let config = config(&fake, ", store_prompts_in_spend_logs: true", "");
    let gateway = Gateway::start_with(&config, &[], &[("MAX_STRING_LENGTH_PROMPT_IN_DB", "6")]);
    let id =
        asked(&gateway, KEY, json!({"messages": [{"role": "user", "content": "0123456789"}]}), None).await;
    booked(&gateway, 1).await;
    assert_eq!(shown(&gateway, &id).await["messages"][0]["content"], "01… (4 characters left out) …6789");
}
