//! The log of requests, read: pages that miss nothing and repeat nothing, filters, and files for spreadsheets.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::gateway::{Answered as _, Gateway, error};
use crate::spend::{booked, chat, dates, get, key, ok, two};
use crate::stores::{Store, on_both_stores};

fn ids(rows: &Value) -> Vec<String> {
    rows.as_array().unwrap().iter().map(|row| row["request_id"].as_str().unwrap().to_owned()).collect()
}

on_both_stores!(pages_of_the_log_hold_every_request_once, requests_are_found_by_what_they_were);

async fn pages_of_the_log_hold_every_request_once(store: Store) {
    let (gateway, _home) = Gateway::on(store, &two());
    ok(gateway.post("/team/new", &json!({"team_id": "t1"}))).await;
    let fields = json!({"user_id": "lead", "user_role": "internal_user", "auto_create_key": false});
    ok(gateway.post("/user/new", &fields)).await;
    let member = json!({"role": "admin", "user_id": "lead"});
    ok(gateway.post("/team/member_add", &json!({"team_id": "t1", "member": member}))).await;
    // Requests of the user, of its team, and of both.
    let own = key(&gateway, json!({"user_id": "lead"})).await;
    let team = key(&gateway, json!({"team_id": "t1"})).await;
    let both = key(&gateway, json!({"user_id": "lead", "team_id": "t1"})).await;
    for _ in 0..4 {
        for key in [&own, &team, &both] {
            assert_eq!(chat(&gateway, key, "cheap", json!({})).await.status(), 200);
        }
    }
    booked(&gateway, 12).await;
    let dates = dates();
    for reader in [crate::gateway::KEY, &own] {
        let mut found: Vec<String> = Vec::new();
        let mut after = String::new();
        loop {
            let answer = get(&gateway, reader, &format!("/spend/logs?limit=5{after}")).send().await.unwrap();
            let next = answer.headers().get("x-tagway-next-cursor").map(|id| id.to_str().unwrap().to_owned());
            found.extend(ids(&answer.json().await.unwrap()));
            let Some(next) = next else { break };
            after = format!("&after={next}");
        }
        assert!(found.is_sorted_by(|one, other| one > other), "the newest first: {found:?}");
        assert_eq!(found.len(), 12);
        for order in ["desc", "asc"] {
            let (mut numbered, mut beyond) = (Vec::new(), Vec::new());
            for page in 1..=3 {
                let path = format!("/spend/logs/v2?{dates}&page={page}&page_size=5&sort_order={order}");
                let page = ok(get(&gateway, reader, &path)).await;
                assert_eq!((&page["total"], &page["total_pages"]), (&json!(12), &json!(3)));
                numbered.extend(ids(&page["data"]));
            }
            let mut cursor = String::new();
            loop {
                let path = format!("/spend/logs/v2?{dates}&page_size=5&sort_order={order}{cursor}");
                let page = ok(get(&gateway, reader, &path)).await;
                beyond.extend(ids(&page["data"]));
                let Some(next) = page["next_cursor"].as_str() else { break };
                cursor = format!("&cursor={next}");
            }
            let mut expected = found.clone();
            if order == "asc" {
                expected.reverse();
            }
            assert_eq!((&numbered, &beyond), (&expected, &expected), "{order}");
        }
    }
}

async fn requests_are_found_by_what_they_were(store: Store) {
    let (gateway, _home) = Gateway::on(store, &two());
    ok(gateway.post("/team/new", &json!({"team_id": "t1", "team_alias": "One"}))).await;
    let own = key(&gateway, json!({"team_id": "t1", "key_alias": "first"})).await;
    let other = key(&gateway, json!({"key_alias": "second"})).await;
    let answer = chat(&gateway, &own, "dear", json!({"tags": ["a", "b"], "user": "acme"})).await;
    let call_id = answer.header("x-litellm-call-id").to_owned();
    chat(&gateway, &other, "cheap", json!({"tags": ["b"]})).await;
    chat(&gateway, &other, "nosuch", json!({})).await;
    gateway.chat("cheap", json!({})).send().await.unwrap();
    booked(&gateway, 4).await;
    let dates = dates();
    for (filter, count) in [
        ("tag=a", 1),
        ("tag=b", 2),
        ("tag=c", 0),
        ("team_id=t1", 1),
        ("status=failure", 1),
        ("status=success", 3),
        ("status=400", 1),
        ("model=cheap", 2),
        ("tag=b&model=dear", 1),
        ("api_key=litellm_proxy_master_key", 1),
        ("api_key=sk-nobody-has-this-key", 0),
        (&format!("api_key={own}"), 1),
        (&format!("request_id={call_id}"), 1),
        ("start_date=2020-01-01", 4),
        ("end_date=2020-01-01", 0),
    ] {
        let found = ok(gateway.get(&format!("/spend/logs?summarize=false&{filter}"))).await;
        assert_eq!(found.as_array().unwrap().len(), count, "{filter}: {found}");
    }
    for (filter, count) in [
        ("model=gpt-4o", 0),
        ("model=openai/gpt-4o", 3),
        ("model_id=one", 1),
        ("model_group=cheap", 2),
        ("key_alias=fir", 1),
        ("key_alias=i", 1),
        ("key_alias=zzz", 0),
        ("end_user=acme", 1),
        ("status_filter=failure", 1),
        ("error_code=400", 1),
        ("min_spend=0.01", 1),
        ("max_spend=0.01&min_spend=0.000001", 2),
        ("search=acme", 1),
        ("search=t1", 1),
        (&format!("search={call_id}"), 1),
        (&format!("request_id={call_id}"), 1),
        ("sort_by=spend", 4),
    ] {
        let page = ok(gateway.get(&format!("/spend/logs/v2?{dates}&{filter}"))).await;
        assert_eq!(
            (page["data"].as_array().unwrap().len(), &page["total"]),
            (count, &json!(count)),
            "{filter}"
        );
    }
    let row = ok(gateway.get(&format!("/spend/logs?request_id={call_id}"))).await[0].clone();
    let own_id = row["request_id"].as_str().unwrap();
    assert_eq!(ok(gateway.get(&format!("/spend/logs?request_id={own_id}"))).await[0], row);
    assert_eq!(
        (&row["litellm_call_id"], &row["status"], &row["spend"], &row["total_tokens"], &row["team_id"]),
        (&json!(call_id), &json!("success"), &json!(0.05), &json!(30), &json!("t1"))
    );
    assert_eq!(
        (&row["model"], &row["model_group"], &row["model_id"], &row["end_user"], &row["request_tags"]),
        (&json!("openai/gpt-4o"), &json!("dear"), &json!("one"), &json!("acme"), &json!(["a", "b"]))
    );
    assert_eq!(row["tags"], json!([{"tag": "a", "origin": "body"}, {"tag": "b", "origin": "body"}]));
    let metadata = &row["metadata"];
    assert_eq!(
        (&metadata["user_api_key_alias"], &metadata["user_api_key_team_alias"]),
        (&json!("first"), &json!("One"))
    );
    let dear = ok(gateway.get(&format!("/spend/logs/v2?{dates}&sort_by=spend"))).await;
    assert_eq!(dear["data"][0]["request_id"], own_id);
    assert!(!row.to_string().contains(&own), "no key in an answer");
}

#[tokio::test]
async fn files_for_spreadsheets_hold_no_formula_and_are_read_back_as_written() {
    let gateway = Gateway::start(&two());
    let own = key(&gateway, json!({})).await;
    let odd = json!({"tags": ["=cmd|'/C calc'!A0", "with,comma", "two\nlines", "say \"x\""]});
    assert_eq!(chat(&gateway, &own, "dear", odd).await.status(), 200);
    booked(&gateway, 1).await;
    let accept = |path: &str| gateway.get(path).header("accept", "text/csv, */*;q=0.1");
    let sheet = accept("/spend/tags").send().await.unwrap();
    assert_eq!(sheet.headers()["content-type"], "text/csv; charset=utf-8");
    let mut lines: BTreeSet<String> = sheet.text().await.unwrap().split("\r\n").map(str::to_owned).collect();
    for expected in [
        "",
        "tag,view,spend,requests,successful_requests,failed_requests,unpriced_requests,prompt_tokens,completion_tokens,cache_read_tokens,cache_write_tokens",
        "\"'=cmd|'/C calc'!A0\",full,0.05,1,1,0,0,10,20,0,0",
        "\"with,comma\",full,0.05,1,1,0,0,10,20,0,0",
        "\"two\nlines\",full,0.05,1,1,0,0,10,20,0,0",
        "\"say \"\"x\"\"\",full,0.05,1,1,0,0,10,20,0,0",
    ] {
        assert!(lines.remove(expected), "{expected}");
    }
    assert_eq!(lines.len(), 0, "{lines:?}");
    let dates = dates();
    for path in [
        "/spend/logs".to_owned(),
        format!("/spend/logs/v2?{dates}"),
        format!("/global/spend/report?{dates}"),
        format!("/global/activity?{dates}"),
        format!("/tag/daily/activity?{dates}"),
        "/global/spend/logs".to_owned(),
    ] {
        let sheet = accept(&path).send().await.unwrap();
        assert_eq!(sheet.headers()["content-type"], "text/csv; charset=utf-8", "{path}");
        let text = sheet.text().await.unwrap();
        let before = |line: &str| !line.starts_with(['=', '+', '@']) && !line.contains(",=");
        assert!(text.ends_with("\r\n") && text.lines().all(before), "{path}: {text}");
    }
}

#[tokio::test]
async fn an_export_is_whole_however_long_it_is() {
    let gateway = Gateway::start(&two());
    let own = key(&gateway, json!({"key_alias": "k"})).await;
    let count = 2_300;
    for batch in 0..count / 100 {
        let calls = (0..100)
            .map(|call| chat(&gateway, &own, "cheap", json!({"tags": [format!("n:{batch}-{call}")]})));
        let calls: Vec<_> = calls.map(|call| async { assert_eq!(call.await.status(), 200) }).collect();
        for call in calls {
            call.await;
        }
    }
    booked(&gateway, count).await;
    let dates = dates();
    let plain = gateway.get(&format!("/spend/export?{dates}")).send().await.unwrap().text().await.unwrap();
    let tags: BTreeSet<&str> =
        plain.split("[\"\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert_eq!((plain.lines().count() as u64, tags.len() as u64), (count + 1, count));
    let focus = gateway
        .get(&format!("/spend/export?format=focus&{dates}"))
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert_eq!(focus.lines().count() as u64, count + 1);
    let first = focus.lines().nth(1).unwrap();
    assert!(first.contains("\"\"tagway/key_alias\"\":\"\"k\"\"") && first.contains("Usage-Based"), "{first}");
    let (status, _) = error(gateway.get("/spend/export")).await;
    assert_eq!(status, 400);
}
