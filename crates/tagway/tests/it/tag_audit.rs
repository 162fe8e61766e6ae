//! `GET /tag/audit` and `tagway tag audit`: what is wrong with the vocabulary of tags.

use std::time::Instant;

use serde_json::{Value, json};

use crate::customers::{key, ok};
use crate::gateway::{Gateway, KEY, PATIENCE, chat_body, command, error};
use crate::stores::{Home, Store, on_both_stores};

const CONFIG: &str = "model_list:
  - {model_name: m, litellm_params: {model: openai/x, mock_response: hi, tags: [default]}, model_info: {id: rest}}
  - {model_name: m, litellm_params: {model: openai/x, mock_response: hi, tags: [gold]}, model_info: {id: gold}}
  - {model_name: m, litellm_params: {model: openai/x, mock_response: hi, tags: [forgotten]}, model_info: {id: hidden}}
router_settings: {enable_tag_filtering: true, num_retries: 0}
tags:
  - {name: gold, kind: routing, description: The good ones, owner: me}
  - {name: lost, kind: routing, description: Nowhere}
  - {name: preview, kind: attribution, description: Later, owner: me, quarantined: true}
  - {name: gpu, kind: attribution, description: Soon, owner: me, retire_at: 2999-01-01, replaced_by: compute}
  - {name: research, kind: attribution, description: Who pays, owner: me, max_budget: 5}
  - {name: \"customer:*\", kind: attribution, description: Whose, owner: me}
";

fn start(env: &[(&str, &str)]) -> Gateway {
    Gateway::start_with(&format!("{CONFIG}general_settings: {{master_key: {KEY}}}\n"), &[], env)
}

/// Requests that leave tracks, and what owners carry.
async fn used(gateway: &Gateway) {
    let team = json!({"team_id": "t", "team_alias": "Mars", "tags": ["&region:mars", "customer:9"]});
    ok(gateway.post("/team/new", &team)).await;
    for (budget, user) in [("shared", json!(["a"])), ("nobodys", json!([]))] {
        ok(gateway.post("/budget/new", &json!({"budget_id": budget, "max_budget": 1}))).await;
        for user in user.as_array().unwrap() {
            ok(gateway.post("/customer/new", &json!({"user_id": user, "budget_id": budget}))).await;
        }
    }
    let own = key(gateway, json!({"key_alias": "robot", "metadata": {"tags": ["reserach"]}})).await;
    for (key, tags) in [
        (own.as_str(), json!([])),
        (KEY, json!(["gold", "customer:1", "Data-Science"])),
        (KEY, json!(["data_science"])),
        (KEY, json!(["data_science", "customer:2", "preview", "gpu"])),
    ] {
        let url = format!("{}/v1/chat/completions", gateway.url);
        let request = gateway.client.post(url).bearer_auth(key).json(&chat_body("m", json!({"tags": tags})));
        assert_eq!(request.send().await.unwrap().status(), 200);
    }
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = ok(gateway.get("/tag/audit")).await;
        let requests = |subject: &str| {
            let findings = found["findings"].as_array().unwrap().iter();
            findings.filter(|one| one["subject"] == subject).filter_map(|one| one["requests"].as_u64()).max()
        };
        if requests("data_science") == Some(2)
            && requests("reserach") == Some(1)
            && found["looked_at"]["seen_tags"] == 8
        {
            return;
        }
        assert!(Instant::now() < deadline, "{found:#}");
    }
}

fn told(found: &Value) -> Vec<String> {
    let line = |one: &Value| {
        let who = one["name"].as_str().or(one["subject"].as_str()).unwrap();
        format!("{} {} {who}", one["weight"].as_str().unwrap(), one["check"].as_str().unwrap())
    };
    found["findings"].as_array().unwrap().iter().map(line).collect()
}

on_both_stores!(an_audit_tells_what_is_wrong_and_what_to_do);

async fn an_audit_tells_what_is_wrong_and_what_to_do(store: Store) {
    let home = Home::new(store);
    let gateway = {
        let (name, value) = home.env();
        start(&[(name, value.as_str())])
    };
    used(&gateway).await;
    let found = ok(gateway.get("/tag/audit?days=30")).await;
    assert_eq!(
        told(&found),
        [
            "error unserved_tag lost",
            "error unserved_tag team Mars",
            "note unserved_tag key robot",
            "warning retired_tag gpu",
            "note violation gpu",
            "note violation preview",
            "warning quarantined_tag preview",
            "warning unreachable_deployment hidden",
            "warning near_duplicate Data-Science",
            "warning near_duplicate reserach",
            "warning undeclared_tag data_science",
            "warning undeclared_tag Data-Science",
            "warning undeclared_tag reserach",
            "warning undeclared_on_owner key robot",
            "warning undeclared_on_owner team Mars",
            "note unused_tag lost",
            "note unused_tag research",
            "note idle_budget budget nobodys",
            "note idle_budget research",
            "note idle_deployment hidden",
            "note undocumented_tag lost",
        ]
    );
    assert_eq!((&found["errors"], &found["looked_at"]["complete"]), (&json!(2), &json!(true)));
    let of =
        |check: &str| found["findings"].as_array().unwrap().iter().find(|one| one["check"] == check).unwrap();
    assert_eq!(of("near_duplicate")["similar"], "data_science");
    assert!(of("undeclared_tag")["last_used_at"].as_str().unwrap().starts_with("20"));
    assert_eq!(
        (&of("undeclared_on_owner")["tag"], &found["counts"]["undeclared_tag"]),
        (&json!("reserach"), &json!(3))
    );
    // Bounded, all counted; and only what is asked for.
    let few = ok(gateway.get("/tag/audit?limit=1&only=undeclared_tag,near_duplicate")).await;
    assert_eq!(told(&few), ["warning near_duplicate Data-Science", "warning undeclared_tag data_science"]);
    assert_eq!((&few["left_out"]["undeclared_tag"], &few["errors"]), (&json!(2), &json!(0)));
}

#[tokio::test]
async fn an_audit_is_read_by_people_spreadsheets_and_scripts() {
    let gateway = start(&[]);
    used(&gateway).await;
    let sheet =
        gateway.get("/tag/audit").header("accept", "text/csv").send().await.unwrap().text().await.unwrap();
    let mut lines = sheet.lines();
    assert!(lines.next().unwrap().starts_with("check,weight,subject,name,tag,similar,message,action"));
    assert!(
        lines.any(|line| line.starts_with("near_duplicate,warning,Data-Science,,,data_science,")),
        "{sheet}"
    );
    let text = gateway.get("/tag/audit?format=text&only=unserved_tag,near_duplicate").send().await.unwrap();
    let text = text.text().await.unwrap();
    let days = without_days(&text);
    insta::assert_snapshot!(days);
    let tagway = |args: &[&str]| {
        let out = command()
            .args(["tag", "audit"])
            .args(args)
            .env("TAGWAY_URL", &gateway.url)
            .env("TAGWAY_API_KEY", KEY)
            .output()
            .unwrap();
        (out.status.code(), String::from_utf8(out.stdout).unwrap())
    };
    let (code, said) = tagway(&["--only", "unserved_tag,near_duplicate"]);
    assert_eq!((code, without_days(&said)), (Some(3), days));
    assert_eq!(tagway(&["--fail-on", "never"]).0, Some(0));
    assert_eq!(tagway(&["--only", "unused_tag"]).0, Some(0));
    assert_eq!(tagway(&["--only", "unused_tag", "--fail-on", "note"]).0, Some(3));
    let (code, said) = tagway(&["--only", "nonsense"]);
    assert_eq!((code, said.as_str()), (Some(1), ""));
    let (_, json) = tagway(&["--output", "json"]);
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap()["errors"], 2);
    for (query, param) in
        [("days=0", "days"), ("limit=0", "limit"), ("only=x", "only"), ("format=xml", "format")]
    {
        let (status, body) = error(gateway.get(&format!("/tag/audit?{query}"))).await;
        assert_eq!((status, &body["error"]["param"]), (400, &json!(param)));
    }
    let own = key(&gateway, json!({})).await;
    let asked = gateway.client.get(format!("{}/tag/audit", gateway.url)).bearer_auth(&own);
    assert_eq!(asked.send().await.unwrap().status(), 401);
}

/// The text without days and times.
fn without_days(text: &str) -> String {
    let lines = text.lines().map(|line| match line.split_once("last used 20") {
        Some((before, _)) => format!("{before}last used [day])"),
        None => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}
