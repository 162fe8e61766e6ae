//! What was spent, read: reports that add up, views of tags that say what they are, pages of the log that miss nothing,
//! and everybody sees what is theirs.

use std::collections::BTreeSet;

use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};

use crate::gateway::{Gateway, config, deployment, error};
use crate::stores::{Store, on_both_stores, until};

/// Two models: 10 prompt and 20 completion tokens cost $0.05, or $0.000007, which three tags cannot share evenly.
pub fn two() -> String {
    let priced = |input: &str, output: &str| {
        format!(
            "model: openai/gpt-4o, mock_response: hi, input_cost_per_token: {input}, output_cost_per_token: {output}"
        )
    };
    config(
        &[
            deployment("dear", "one", &priced("0.001", "0.002")),
            deployment("cheap", "two", &priced("0.0000001", "0.0000003")),
        ],
        "router_settings: {num_retries: 0}\n",
    )
}

pub async fn ok(request: RequestBuilder) -> Value {
    let response = request.send().await.unwrap();
    let (status, text) = (response.status(), response.text().await.unwrap());
    assert_eq!(status, 200, "{text}");
    serde_json::from_str(&text).unwrap()
}

pub async fn key(gateway: &Gateway, fields: Value) -> String {
    ok(gateway.post("/key/generate", &fields)).await["key"].as_str().unwrap().to_owned()
}

pub fn get(gateway: &Gateway, key: &str, path: &str) -> RequestBuilder {
    gateway.client.get(format!("{}{path}", gateway.url)).bearer_auth(key)
}

pub async fn chat(gateway: &Gateway, key: &str, model: &str, more: Value) -> Response {
    let body = crate::gateway::chat_body(model, more);
    let request = gateway.client.post(format!("{}/v1/chat/completions", gateway.url));
    request.bearer_auth(key).json(&body).send().await.unwrap()
}

/// From yesterday to tomorrow: whatever the hour, all of a test is in between.
pub fn dates() -> String {
    let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    format!("start_date={}&end_date={}", today.yesterday().unwrap(), today.tomorrow().unwrap())
}

/// Waits until so many requests are in the sums.
pub async fn booked(gateway: &Gateway, requests: u64) {
    let path = format!("/global/activity?{}", dates());
    until("all requests are booked", async || {
        ok(gateway.get(&path)).await["sum_api_requests"].as_u64().unwrap() >= requests
    })
    .await;
}

/// Dollars as whole nano-dollars.
fn nanos(dollars: &Value) -> i64 {
    (dollars.as_f64().unwrap() * 1e9).round() as i64
}

fn sum<'v>(rows: impl IntoIterator<Item = &'v Value>, field: &str) -> i64 {
    rows.into_iter().map(|row| nanos(&row[field])).sum()
}

fn rows(value: &Value) -> &Vec<Value> {
    value.as_array().unwrap()
}

/// The cells of a file of comma-separated values without quotes within texts.
fn cells(text: &str) -> Vec<Vec<String>> {
    let mut rows = vec![vec![String::new()]];
    let mut quoted = false;
    for char in text.chars() {
        let row = rows.last_mut().unwrap();
        match char {
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(String::new()),
            '\r' if !quoted => {}
            '\n' if !quoted => rows.push(vec![String::new()]),
            char => row.last_mut().unwrap().push(char),
        }
    }
    rows.pop();
    rows
}

fn column(rows: &[Vec<String>], name: &str) -> Vec<String> {
    let place = rows[0].iter().position(|column| column == name).unwrap_or_else(|| panic!("{name}"));
    rows[1..].iter().map(|row| row[place].clone()).collect()
}

/// The sum of a column of dollars.
fn cost(rows: &[Vec<String>], name: &str) -> i64 {
    column(rows, name).iter().map(|cell| (cell.parse::<f64>().unwrap() * 1e9).round() as i64).sum()
}

on_both_stores!(every_report_adds_up_to_the_same_total);

async fn every_report_adds_up_to_the_same_total(store: Store) {
    let (gateway, _home) = Gateway::on(store, &two());
    ok(gateway.post("/team/new", &json!({"team_id": "t1", "team_alias": "One"}))).await;
    let (own, other) = (key(&gateway, json!({"team_id": "t1"})).await, key(&gateway, json!({})).await);
    let mut expected = 0;
    for (key, model, more, cost) in [
        (&own, "dear", json!({"tags": ["a", "b", "c"]}), 50_000_000),
        (&own, "cheap", json!({"tags": ["a", "b", "c"]}), 7_000),
        (&own, "cheap", json!({"tags": ["a"], "user": "acme"}), 7_000),
        (&other, "dear", json!({"tags": ["customer:x"]}), 50_000_000),
        (&other, "cheap", json!({}), 7_000),
    ] {
        assert_eq!(chat(&gateway, key, model, more).await.status(), 200);
        expected += cost;
    }
    assert_eq!(chat(&gateway, &own, "nosuch", json!({"tags": ["a"]})).await.status(), 400);
    booked(&gateway, 6).await;
    let dates = dates();
    let read = async |path: &str| ok(gateway.get(&format!("{path}{dates}"))).await;

    assert_eq!(nanos(&ok(gateway.get("/global/spend")).await["spend"]), expected);
    assert_eq!(sum(rows(&ok(gateway.get("/global/spend/keys")).await), "total_spend"), expected);
    assert_eq!(sum(rows(&ok(gateway.get("/global/spend/models")).await), "total_spend"), expected);
    assert_eq!(sum(rows(&read("/global/spend/provider?").await), "spend"), expected);
    assert_eq!(sum(rows(&read("/spend/logs?summarize=false&").await), "spend"), expected);
    assert_eq!(sum(rows(&read("/spend/logs?").await), "spend"), expected);
    assert_eq!(sum(rows(&read("/global/spend/report?group_by=api_key&").await), "total_cost"), expected);
    for (group_by, list) in [
        ("team", "teams"),
        ("customer", "customers"),
        ("model", "models"),
        ("model_group", "model_groups"),
        ("deployment", "deployments"),
        ("provider", "providers"),
        ("user", "users"),
        ("organization", "organizations"),
        ("project", "projects"),
        ("tag&view=split", "tags"),
    ] {
        let report = read(&format!("/global/spend/report?group_by={group_by}&")).await;
        let groups = rows(&report).iter().flat_map(|day| rows(&day[list]));
        assert_eq!(sum(groups, "total_spend"), expected, "{group_by}: {report}");
        let sheet = gateway.get(&format!("/global/spend/report?format=csv&group_by={group_by}&{dates}"));
        let sheet = cells(&sheet.send().await.unwrap().text().await.unwrap());
        assert_eq!(cost(&sheet, "spend"), expected, "{group_by}");
    }
    for path in [
        "/tag/daily/activity?",
        "/team/daily/activity?",
        "/user/daily/activity?",
        "/customer/daily/activity?",
    ] {
        let activity = read(path).await;
        let metadata = &activity["metadata"];
        assert_eq!(nanos(&metadata["total_spend"]), expected, "{path}");
        assert_eq!(
            (&metadata["total_api_requests"], &metadata["total_failed_requests"]),
            (&json!(6), &json!(1)),
            "{path}"
        );
        let metrics = rows(&activity["results"]).iter().map(|day| &day["metrics"]);
        assert_eq!(sum(metrics, "spend"), expected, "{path}");
        for part in ["models", "model_groups", "providers", "api_keys"] {
            let parts =
                rows(&activity["results"]).iter().flat_map(|day| day["breakdown"][part].as_object().unwrap());
            let parts: Vec<&Value> = parts.map(|(_, part)| &part["metrics"]).collect();
            assert_eq!(sum(parts, "spend"), expected, "{path} {part}");
        }
    }
    for (format, spend) in [("csv", "spend"), ("focus", "BilledCost")] {
        let file = gateway.get(&format!("/spend/export?format={format}&{dates}")).send().await.unwrap();
        assert_eq!(file.headers()["content-type"], "text/csv; charset=utf-8");
        assert_eq!(cost(&cells(&file.text().await.unwrap()), spend), expected, "{format}");
    }
}

#[tokio::test]
async fn every_view_of_tags_says_which_it_is_and_what_there_was_in_all() {
    let gateway = Gateway::start(&two());
    let own = key(&gateway, json!({})).await;
    assert_eq!(chat(&gateway, &own, "cheap", json!({"tags": ["a", "b", "c"]})).await.status(), 200);
    assert_eq!(chat(&gateway, &own, "cheap", json!({})).await.status(), 200);
    booked(&gateway, 2).await;
    let dates = dates();
    for (view, shares, none) in
        [("full", [7_000, 7_000, 7_000], None), ("split", [2_334, 2_333, 2_333], Some(7_000))]
    {
        let answer = gateway.get(&format!("/spend/tags?view={view}")).send().await.unwrap();
        assert_eq!(
            (&answer.headers()["x-tagway-tag-view"], &answer.headers()["x-tagway-total-spend"]),
            (&view.parse().unwrap(), &"0.000014".parse().unwrap())
        );
        let listed: Value = answer.json().await.unwrap();
        let found = rows(&listed).iter().map(|row| {
            assert_eq!(row["view"], view);
            (row["individual_request_tag"].as_str(), nanos(&row["total_spend"]))
        });
        let expected: BTreeSet<_> =
            ["a", "b", "c"].map(Some).into_iter().zip(shares).chain(none.map(|cost| (None, cost))).collect();
        assert_eq!(found.collect::<BTreeSet<_>>(), expected);
        for (path, list) in [("/global/spend/tags", "spend_per_tag"), ("/tag/summary", "results")] {
            let answer = ok(gateway.get(&format!("{path}?view={view}&{dates}"))).await;
            assert_eq!((&answer["view"], nanos(&answer["total_spend"])), (&json!(view), 14_000), "{path}");
            let attributed = if view == "full" { 21_000 } else { 14_000 };
            assert_eq!(nanos(&answer["attributed_spend"]), attributed, "{path}");
            assert_eq!(rows(&answer[list]).len(), expected.len(), "{path}");
        }
        let activity = ok(gateway.get(&format!("/tag/daily/activity?view={view}&{dates}"))).await;
        assert_eq!(
            (&activity["metadata"]["view"], nanos(&activity["metadata"]["total_spend"])),
            (&json!(view), 14_000)
        );
        let entities = activity["results"][0]["breakdown"]["entities"].as_object().unwrap();
        assert_eq!(nanos(&entities["a"]["metrics"]["spend"]), shares[0]);
        assert_eq!(entities.contains_key("Unassigned"), view == "split");
        let one = ok(gateway.get(&format!("/tag/daily/activity?tags=a&view={view}&{dates}"))).await;
        assert_eq!(
            (nanos(&one["metadata"]["attributed_spend"]), nanos(&one["metadata"]["total_spend"])),
            (shares[0], 7_000)
        );
    }
    let (status, body) = error(gateway.get("/spend/tags?view=half")).await;
    assert_eq!((status, &body["error"]["param"]), (400, &json!("view")));
}

#[tokio::test]
async fn users_see_their_own_spend_and_that_of_the_teams_they_administer() {
    let gateway = Gateway::start(&two());
    ok(gateway.post("/team/new", &json!({"team_id": "t1"}))).await;
    for user in ["lead", "member", "other"] {
        let fields = json!({"user_id": user, "user_role": "internal_user", "auto_create_key": false});
        ok(gateway.post("/user/new", &fields)).await;
    }
    let members = json!([{"role": "admin", "user_id": "lead"}, {"role": "user", "user_id": "member"}]);
    ok(gateway.post("/team/member_add", &json!({"team_id": "t1", "member": members}))).await;
    let lead = key(&gateway, json!({"user_id": "lead"})).await;
    let member = key(&gateway, json!({"user_id": "member", "team_id": "t1"})).await;
    let other = key(&gateway, json!({"user_id": "other"})).await;
    let plain = key(&gateway, json!({})).await;
    for key in [&lead, &member, &other, &plain] {
        assert_eq!(chat(&gateway, key, "dear", json!({"tags": ["shared"]})).await.status(), 200);
    }
    booked(&gateway, 4).await;
    let dates = dates();
    for (key, requests) in [(&lead, 2), (&member, 1), (&other, 1)] {
        for path in ["/spend/logs?", "/spend/logs?api_key=&"] {
            let log = ok(get(&gateway, key, &format!("{path}summarize=false&{dates}"))).await;
            assert_eq!(rows(&log).len(), requests, "{path}");
        }
        let page = ok(get(&gateway, key, &format!("/spend/logs/v2?{dates}"))).await;
        assert_eq!((&page["total"], rows(&page["data"]).len()), (&json!(requests), requests));
        let tags = ok(get(&gateway, key, "/spend/tags")).await;
        assert_eq!(tags[0]["log_count"], requests);
        let activity = ok(get(&gateway, key, &format!("/tag/daily/activity?{dates}"))).await;
        assert_eq!(activity["metadata"]["total_api_requests"], requests);
        let file =
            get(&gateway, key, &format!("/spend/export?{dates}")).send().await.unwrap().text().await.unwrap();
        assert_eq!(cost(&cells(&file), "spend"), requests as i64 * 50_000_000);
    }
    // Who asks for another's sees nothing of it, or is told so.
    let foreign =
        ok(get(&gateway, &other, &format!("/spend/logs?user_id=member&summarize=false&{dates}"))).await;
    assert_eq!(foreign, json!([]));
    let foreign =
        ok(get(&gateway, &other, &format!("/spend/logs?api_key={member}&summarize=false&{dates}"))).await;
    assert_eq!(foreign, json!([]));
    let (status, _) = error(get(&gateway, &member, &format!("/spend/logs/v2?team_id=t1&{dates}"))).await;
    assert_eq!(status, 403);
    let team = ok(get(&gateway, &member, &format!("/team/daily/activity?{dates}"))).await;
    assert_eq!(team["metadata"]["total_api_requests"], 1);
    // A team may let its members see everything.
    let permissions =
        json!({"team_id": "t1", "team_member_permissions": ["/spend/logs", "/team/daily/activity"]});
    ok(gateway.post("/team/permissions_update", &permissions)).await;
    let page = ok(get(&gateway, &member, &format!("/spend/logs/v2?team_id=t1&{dates}"))).await;
    assert_eq!(page["total"], 1);
    let (status, _) = error(get(&gateway, &plain, "/spend/logs")).await;
    assert_eq!(status, 401);
}

#[tokio::test]
async fn a_key_holder_sees_its_own_budget_limits_and_usage_and_nothing_else() {
    let gateway = Gateway::start(&two());
    let fields = json!({
        "key_alias": "mine", "max_budget": 0.12, "budget_duration": "30d", "rpm_limit": 10, "key_type": "llm_api",
    });
    let (own, other) = (key(&gateway, fields).await, key(&gateway, json!({})).await);
    for key in [&own, &own, &other] {
        assert_eq!(chat(&gateway, key, "dear", json!({"tags": ["a"]})).await.status(), 200);
    }
    booked(&gateway, 3).await;
    let mine = ok(get(&gateway, &own, "/me/usage")).await;
    assert_eq!(mine["key_alias"], "mine");
    let budget = &mine["budget"];
    assert_eq!((nanos(&budget["spend"]), nanos(&budget["remaining"])), (100_000_000, 20_000_000));
    assert!(budget["budget_reset_at"].is_string(), "{budget}");
    let limit = &mine["limits"][0];
    assert_eq!((&limit["limit"], &limit["allowed"]), (&json!("requests"), &json!(10)));
    assert!(limit["remaining"].as_u64().unwrap() < 10, "{limit}");
    let usage = &mine["usage"];
    assert_eq!((nanos(&usage["total"]["spend"]), &usage["total"]["api_requests"]), (100_000_000, &json!(2)));
    assert_eq!(usage["by_model"][0]["model_group"], "dear");
    assert_eq!((&usage["by_tag"][0]["tag"], &usage["view"]), (&json!("a"), &json!("full")));
    let (status, _) = error(gateway.get("/me/usage")).await;
    assert_eq!(status, 400, "the master key has no usage of its own");
}

#[tokio::test]
async fn days_and_pages_that_make_no_sense_are_refused_with_their_name() {
    let gateway = Gateway::start(&two());
    for (path, param) in [
        ("/tag/daily/activity", "start_date"),
        ("/tag/daily/activity?start_date=2026-01-01", "end_date"),
        ("/tag/daily/activity?start_date=2026-02-30&end_date=2026-03-01", "start_date"),
        ("/tag/daily/activity?start_date=2026-01-01&end_date=01/02/2026", "end_date"),
        ("/tag/daily/activity?start_date=2026-01-02&end_date=2026-01-01", "start_date"),
        ("/tag/daily/activity?start_date=2020-01-01&end_date=2026-01-01", "end_date"),
        ("/tag/daily/activity?start_date=2026-01-01&end_date=2026-01-02&page=0", "page"),
        ("/global/spend/report?start_date=2026-01-01&end_date=2026-01-02&group_by=weather", "group_by"),
        ("/global/spend/keys?limit=0", "limit"),
        ("/spend/logs?limit=1001", "limit"),
        ("/spend/logs?after=xyz", "after"),
        ("/spend/logs?status=odd", "status"),
        ("/spend/logs?start_date=yesterday", "start_date"),
        ("/spend/logs/v2?start_date=2026-01-01&end_date=2026-01-02&page_size=0", "page"),
        ("/spend/logs/v2?start_date=2026-01-01&end_date=2026-01-02&page=1000&page_size=1000", "page"),
        ("/spend/logs/v2?start_date=2026-01-01&end_date=2026-01-02&sort_by=luck", "sort_by"),
        ("/spend/logs?format=xml", "format"),
        ("/spend/export?start_date=2026-01-01&end_date=2026-01-02&format=xml", "format"),
    ] {
        let (status, body) = error(gateway.get(path)).await;
        assert_eq!((status, &body["error"]["param"]), (400, &json!(param)), "{path}: {body}");
    }
}

#[tokio::test]
async fn tags_without_a_budget_and_members_of_teams_show_what_they_spent() {
    let gateway = Gateway::start(&two());
    ok(gateway.post("/tag/new", &json!({"name": "declared"}))).await;
    ok(gateway.post("/tag/new", &json!({"name": "unused"}))).await;
    ok(gateway.post("/team/new", &json!({"team_id": "t1"}))).await;
    let fields = json!({"user_id": "u", "user_role": "internal_user", "auto_create_key": false});
    ok(gateway.post("/user/new", &fields)).await;
    let member = json!({"role": "user", "user_id": "u"});
    let joins = json!({"team_id": "t1", "member": member, "max_budget_in_team": 5.0});
    ok(gateway.post("/team/member_add", &joins)).await;
    let own = key(&gateway, json!({"team_id": "t1", "user_id": "u"})).await;
    assert_eq!(chat(&gateway, &own, "dear", json!({"tags": ["declared", "seen"]})).await.status(), 200);
    booked(&gateway, 1).await;
    let info = ok(gateway.post("/tag/info", &json!({"names": ["declared", "unused"]}))).await;
    assert_eq!((&info["declared"]["spend"], &info["unused"]["spend"]), (&json!(0.05), &json!(0.0)));
    until("the tag is seen", async || {
        let list = ok(gateway.get("/tag/list")).await;
        rows(&list).iter().any(|tag| tag["name"] == "seen" && tag["spend"] == 0.05)
    })
    .await;
    let team = ok(gateway.get("/team/info?team_id=t1")).await;
    assert_eq!(team["team_memberships"][0]["spend"], 0.05, "{team}");
}
