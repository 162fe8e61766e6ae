//! What is stored stays stored, on either database.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::gateway::{Gateway, chat_body, command, config, deployment, error};
use crate::stores::{Home, Store, on_both_stores, statuses};

pub fn one() -> String {
    config(&[deployment("m", "one", "model: openai/x, mock_response: a")], "")
}

/// Makes a key.
pub async fn key(gateway: &Gateway, fields: Value) -> String {
    let answer = gateway.post("/key/generate", &fields).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.json::<Value>().await.unwrap()["key"].as_str().unwrap().to_owned()
}

/// The status of a chat with this key.
pub async fn chat(gateway: &Gateway, key: &str) -> u16 {
    let request = gateway.client.post(format!("{}/v1/chat/completions", gateway.url)).bearer_auth(key);
    request.json(&chat_body("m", json!({}))).send().await.unwrap().status().as_u16()
}

on_both_stores!(
    keys_survive_a_restart,
    gateways_may_start_at_once_on_a_fresh_store,
    a_key_that_was_acknowledged_survives_kill_9,
    an_alias_is_given_once,
    a_list_is_paged_through_without_gaps_or_repetitions,
    migrate_says_what_it_did,
    readiness_tells_of_the_store,
);

async fn keys_survive_a_restart(store: Store) {
    let home = Home::new(store);
    let gateway = home.gateway(&one());
    let made = key(&gateway, json!({"key_alias": "kept", "metadata": {"owner": "a"}})).await;
    assert_eq!(chat(&gateway, &made).await, 200);
    gateway.signal("TERM");
    assert_eq!(gateway.ended(), Some(0));
    let gateway = home.gateway(&one());
    assert_eq!(chat(&gateway, &made).await, 200);
    let info: Value =
        gateway.get(&format!("/key/info?key={made}")).send().await.unwrap().json().await.unwrap();
    assert_eq!(info["info"]["key_alias"], "kept");
    assert_eq!(info["info"]["metadata"]["owner"], "a");
}

async fn gateways_may_start_at_once_on_a_fresh_store(store: Store) {
    let home = Home::new(store);
    let config = one();
    let gateways: Vec<Gateway> = std::thread::scope(|threads| {
        let starts: Vec<_> = (0..3).map(|_| threads.spawn(|| home.gateway(&config))).collect();
        starts.into_iter().map(|start| start.join().unwrap()).collect()
    });
    let made = key(&gateways[0], json!({})).await;
    for gateway in &gateways {
        assert_eq!(chat(gateway, &made).await, 200);
    }
}

async fn a_key_that_was_acknowledged_survives_kill_9(store: Store) {
    let home = Home::new(store);
    let gateway = home.gateway(&one());
    let (acknowledged, mut keys) = tokio::sync::mpsc::unbounded_channel();
    for number in 0..200 {
        let request = gateway.post("/key/generate", &json!({"key_alias": format!("k{number}")}));
        let acknowledged = acknowledged.clone();
        tokio::spawn(async move {
            let Ok(answer) = request.send().await else { return };
            let status = answer.status();
            let Ok(body) = answer.json::<Value>().await else { return };
            assert_eq!(status, 200, "{body}");
            acknowledged.send(body["key"].as_str().unwrap().to_owned()).unwrap();
        });
    }
    drop(acknowledged);
    let mut made = Vec::new();
    // In the midst of them.
    while made.len() < 60 {
        made.push(keys.recv().await.unwrap());
    }
    gateway.signal("KILL");
    while let Some(key) = keys.recv().await {
        made.push(key);
    }
    gateway.ended();
    let gateway = home.gateway(&one());
    for key in &made {
        assert_eq!(chat(&gateway, key).await, 200, "one of {} keys", made.len());
    }
}

async fn an_alias_is_given_once(store: Store) {
    let (gateway, _home) = Gateway::on(store, &one());
    let ask = || tokio::spawn(gateway.post("/key/generate", &json!({"key_alias": "mine"})).send());
    let asked: Vec<_> = (0..20).map(|_| ask()).collect();
    let mut seen = Vec::new();
    for answer in asked {
        seen.push(answer.await.unwrap().unwrap().status().as_u16());
    }
    assert_eq!(statuses(seen), [(200, 1), (400, 19)].into());
    let (status, body) = error(gateway.post("/key/generate", &json!({"key_alias": "mine"}))).await;
    assert_eq!((status, &body["error"]["param"]), (400, &json!("key_alias")));
}

async fn a_list_is_paged_through_without_gaps_or_repetitions(store: Store) {
    let (gateway, _home) = Gateway::on(store, &one());
    let mut made = HashSet::new();
    for _ in 0..21 {
        let asked: Vec<_> =
            (0..50).map(|_| tokio::spawn(gateway.post("/key/generate", &json!({})).send())).collect();
        for answer in asked {
            let body: Value = answer.await.unwrap().unwrap().json().await.unwrap();
            made.insert(body["token"].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(made.len(), 1050);
    for order in ["asc", "desc"] {
        let mut seen = HashSet::new();
        let mut path = format!("/key/list?size=100&sort_order={order}");
        loop {
            let page: Value = gateway.get(&path).send().await.unwrap().json().await.unwrap();
            assert_eq!(page["total_count"], 1050);
            for token in page["keys"].as_array().unwrap() {
                assert!(seen.insert(token.as_str().unwrap().to_owned()), "{token} twice");
            }
            // What is made meanwhile moves no page.
            if seen.len() == 100 {
                let answer =
                    gateway.post("/key/generate", &json!({"key_alias": order})).send().await.unwrap();
                let body: Value = answer.json().await.unwrap();
                let late = json!([body["token"]]);
                let delete = gateway.post("/key/delete", &json!({"keys": late})).send().await.unwrap();
                assert_eq!(delete.status(), 200);
            }
            let Some(next) = page["next_cursor"].as_str() else { break };
            path = format!("/key/list?size=100&sort_order={order}&cursor={next}");
        }
        assert_eq!(seen, made);
    }
}

async fn migrate_says_what_it_did(store: Store) {
    let home = Home::new(store);
    let (name, value) = home.env();
    let migrate = || {
        let output = command().arg("migrate").env(name, &value).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let said = migrate();
    assert!(said.contains("applied 0001 identity\n") && said.contains(" is up to date"), "{said}");
    let said = migrate();
    assert!(!said.contains("applied") && said.contains(" was up to date already"), "{said}");
    key(&home.gateway(&one()), json!({})).await;
}

async fn readiness_tells_of_the_store(store: Store) {
    let (gateway, _home) = Gateway::on(store, &one());
    let ready = gateway.client.get(format!("{}/health/readiness", gateway.url)).send().await.unwrap();
    assert_eq!(ready.status(), 200);
    let ready: Value = ready.json().await.unwrap();
    assert_eq!((&ready["status"], &ready["db"]), (&json!("healthy"), &json!("connected")));
}

#[test]
fn migrate_fails_with_a_reason_and_without_the_password() {
    let url = "postgresql://tagway:a-secret-word@127.0.0.1:9/nothing?sslmode=disable";
    let output = command().args(["migrate", "--config", "/nowhere.yaml"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let dir = tempfile::TempDir::new().unwrap();
    let path = dir.path().join("a-file");
    std::fs::write(&path, "").unwrap();
    let output = command().arg("migrate").arg("--data-dir").arg(&path).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("cannot migrate the store"), "{said}");
    let output = command()
        .arg("migrate")
        .env("DATABASE_URL", url.replace("postgresql", "postgresq"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!said.contains("a-secret-word"), "{said}");
}
