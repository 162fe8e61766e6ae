//! Who changed what.

use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::gateway::{Gateway, config, deployment, error};

fn one() -> String {
    config(&[deployment("gpt-4", "one", "model: openai/x, mock_response: a")], "")
}

async fn ok(request: RequestBuilder) -> Value {
    let response = request.send().await.unwrap();
    let status = response.status();
    let body: Value = response.json().await.unwrap();
    assert_eq!(status, 200, "{body}");
    body
}

#[tokio::test]
async fn every_change_is_there_with_before_and_after() {
    let gateway = Gateway::start(&one());
    ok(gateway.post("/tag/new", &json!({"name": "eng", "description": "a"}))).await;
    ok(gateway.post("/tag/update", &json!({"name": "eng", "description": "b"}))).await;
    ok(gateway.post("/tag/delete", &json!({"name": "eng"}))).await;
    ok(gateway.post("/key/generate", &json!({"key_alias": "k"}))).await;
    let all = ok(gateway.get("/audit")).await;
    assert_eq!((&all["total"], &all["page"], &all["total_pages"]), (&json!(4), &json!(1), &json!(1)));
    let tags = ok(gateway.get("/audit?kind=tag&id=eng")).await;
    let actions: Vec<&Value> =
        tags["audit_logs"].as_array().unwrap().iter().map(|log| &log["action"]).collect();
    assert_eq!(actions, ["deleted", "updated", "created"]);
    insta::assert_json_snapshot!(tags["audit_logs"][1], {".updated_at" => "[time]"});
    let one = ok(gateway.get(&format!("/audit/{}", tags["audit_logs"][1]["id"].as_str().unwrap()))).await;
    assert_eq!(one, tags["audit_logs"][1]);
    for (query, count) in [
        ("?table_name=LiteLLM_TagTable", 3),
        ("?object_id=eng&action=created", 1),
        ("?actor=default_user_id", 4),
        ("?changed_by=nobody", 0),
        ("?kind=key", 1),
        ("?start_date=2001-01-01", 4),
        ("?end_date=2001-01-01T00:00:00Z", 0),
    ] {
        assert_eq!(ok(gateway.get(&format!("/audit{query}"))).await["total"], count, "{query}");
    }
    for query in ["?kind=odd", "?page=0", "?page_size=101", "?start_date=soon", "?before=x"] {
        assert_eq!(error(gateway.get(&format!("/audit{query}"))).await.0, 400, "{query}");
    }
    for id in ["0", "999", "odd", "9223372036854775807"] {
        assert_eq!(error(gateway.get(&format!("/audit/{id}"))).await.0, 404, "{id}");
    }
}

#[tokio::test]
async fn a_cursor_leads_through_all_of_them() {
    let gateway = Gateway::start(&one());
    for number in 0..5 {
        ok(gateway.post("/tag/new", &json!({"name": format!("t{number}")}))).await;
    }
    let (mut seen, mut query) = (Vec::new(), String::new());
    loop {
        let page = ok(gateway.get(&format!("/audit?page_size=2{query}"))).await;
        seen.extend(page["audit_logs"].as_array().unwrap().iter().map(|log| log["object_id"].clone()));
        let Some(next) = page["next_cursor"].as_i64() else { break };
        query = format!("&before={next}");
    }
    assert_eq!(seen, ["t4", "t3", "t2", "t1", "t0"]);
}

#[tokio::test]
async fn only_those_who_see_everything_read_it() {
    let gateway = Gateway::start(&one());
    let key = ok(gateway.post("/key/generate", &json!({}))).await["key"].as_str().unwrap().to_owned();
    let request = gateway.client.get(format!("{}/audit", gateway.url)).bearer_auth(&key);
    assert_eq!(error(request).await.0, 401);
}
