//! Tags that get another name, or become one: requests, rights, budgets and history go with them, also while requests
//! are in progress.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::{Value, json};

use crate::gateway::{Answered as _, Gateway, chat_body, config, deployment, error};
use crate::spend::{booked, chat, dates, key, ok};
use crate::stores::{Home, Store, on_both_stores, until};

/// What one request costs, in nano-dollars.
const COST: i64 = 50_000_000;

/// One deployment for a team's tag, one for everybody else; a request costs $0.05.
fn two(more: &str) -> String {
    let priced =
        "model: openai/gpt-4o, mock_response: hi, input_cost_per_token: 0.001, output_cost_per_token: 0.002";
    config(
        &[
            deployment("gpt", "one", &format!("{priced}, tags: [lab]")),
            deployment("gpt", "two", &format!("{priced}, tags: [default]")),
        ],
        &format!("router_settings: {{enable_tag_filtering: true, num_retries: 0}}\n{more}"),
    )
}

/// What was spent on each tag, each request in full for each of its tags.
async fn spent(gateway: &Gateway) -> BTreeMap<String, i64> {
    let listed = ok(gateway.get("/spend/tags?view=full")).await;
    let rows = listed.as_array().unwrap().iter();
    rows.map(|row| {
        let cost = (row["total_spend"].as_f64().unwrap() * 1e9).round();
        (row["individual_request_tag"].as_str().unwrap().to_owned(), cost as i64)
    })
    .collect()
}

fn sums<const N: usize>(of: [(&str, i64); N]) -> BTreeMap<String, i64> {
    of.into_iter().map(|(tag, requests)| (tag.to_owned(), requests * COST)).collect()
}

on_both_stores!(
    everything_about_a_tag_goes_with_its_new_name,
    renaming_under_load_loses_no_spend_and_misroutes_nothing,
    what_is_merged_counts_once,
    the_file_may_give_a_tag_another_name,
);

async fn everything_about_a_tag_goes_with_its_new_name(store: Store) {
    let (gateway, _home) = Gateway::on(store, &two(""));
    ok(gateway.post("/tag/new", &json!({"name": "lab", "description": "the lab", "max_budget": 0.22}))).await;
    ok(gateway.post("/team/new", &json!({"team_id": "t", "tags": ["lab"]}))).await;
    let in_team = key(&gateway, json!({"team_id": "t"})).await;
    let allowed = key(&gateway, json!({"allowed_tags": ["lab"]})).await;
    let expression = key(&gateway, json!({"tag_expression": "lab"})).await;
    let ask = async |key: &str, more: Value| {
        let answer = chat(&gateway, key, "gpt", more).await;
        let status = answer.status();
        (status.as_u16(), if status == 200 { answer.deployment().to_owned() } else { String::new() })
    };
    let one = (200, "one".to_owned());
    assert_eq!(ask(&in_team, json!({})).await, one);
    assert_eq!(ask(&allowed, json!({"tags": ["lab"]})).await, one);
    booked(&gateway, 2).await;

    let renamed = ok(gateway.post("/tag/rename", &json!({"name": "lab", "new_name": "research"}))).await;
    assert_eq!(renamed["message"], "Tag lab renamed to research");
    assert_eq!(
        (&renamed["tag"]["name"], &renamed["tag"]["aliases"], &renamed["tag"]["description"]),
        (&json!("research"), &json!(["lab"]), &json!("the lab"))
    );
    assert_eq!(spent(&gateway).await, sums([("research", 2)]));

    // The team, the deployment and the expression still say the former name.
    assert_eq!(ask(&in_team, json!({})).await, one);
    assert_eq!(ask(&expression, json!({})).await, one);
    // The caller may say either.
    assert_eq!(ask(&allowed, json!({"tags": ["research"]})).await, one);
    booked(&gateway, 5).await;
    assert_eq!(spent(&gateway).await, sums([("research", 4)]));
    for name in ["lab", "research"] {
        let info = ok(gateway.post("/tag/info", &json!({"names": [name]}))).await;
        assert_eq!((&info[name]["name"], &info[name]["spend"]), (&json!("research"), &json!(0.2)), "{info}");
        let log = ok(gateway.get(&format!("/spend/logs/v2?tag={name}&{}", dates()))).await;
        assert_eq!(log["data"].as_array().unwrap().len(), 4, "{name}: {log}");
        let days = ok(gateway.get(&format!("/tag/daily/activity?tags={name}&{}", dates()))).await;
        assert_eq!(days["metadata"]["total_api_requests"], 4, "{name}");
    }
    // The budget is the same, and has been spent all but two cents.
    assert_eq!(ask(&allowed, json!({"tags": ["lab"]})).await, one);
    booked(&gateway, 6).await;
    for tag in ["lab", "research"] {
        assert_eq!(ask(&allowed, json!({"tags": [tag]})).await.0, 429, "{tag}");
    }
    assert_eq!(ask(&allowed, json!({"tags": ["else"]})).await.0, 403);

    // By a former name it is changed and counted anew, too; taken away it is by its own.
    ok(gateway.post("/tag/update", &json!({"name": "lab", "description": "science"}))).await;
    ok(gateway.post("/tag/lab/reset_spend", &json!({"reset_to": 0.0}))).await;
    assert_eq!(ask(&in_team, json!({})).await, one);
    let (status, body) = error(gateway.post("/tag/delete", &json!({"name": "lab"}))).await;
    assert_eq!((status, &body["error"]["param"]), (400, &json!("name")), "{body}");
    let list = ok(gateway.get("/tag/list")).await;
    let names: Vec<&str> = list.as_array().unwrap().iter().map(|tag| tag["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["research"], "former names are not listed");

    // A second name in a row: the first one still leads there.
    ok(gateway.post("/tag/rename", &json!({"name": "research", "new_name": "science"}))).await;
    assert_eq!(ask(&in_team, json!({})).await, one);
    assert_eq!(ask(&allowed, json!({"tags": ["science"]})).await, one);
    booked(&gateway, 12).await;
    let counted = spent(&gateway).await;
    assert_eq!(
        (counted.get("science"), counted.get("lab"), counted.get("research")),
        (Some(&(8 * COST)), None, None)
    );
}

async fn renaming_under_load_loses_no_spend_and_misroutes_nothing(store: Store) {
    let home = Home::new(store);
    let gateways = match store {
        Store::Sqlite => vec![home.gateway(&two(""))],
        // One of them hears of it from the other.
        Store::Postgres => vec![home.gateway(&two("")), home.gateway(&two(""))],
    };
    let first = &gateways[0];
    ok(first.post("/tag/new", &json!({"name": "lab", "max_budget": 1_000_000.0}))).await;
    ok(first.post("/team/new", &json!({"team_id": "t", "tags": ["lab"]}))).await;
    let in_team = key(first, json!({"team_id": "t"})).await;
    let (stop, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut clients = Vec::new();
    for at in 0..6_usize {
        let gateway = &gateways[at % gateways.len()];
        let (client, url) = (gateway.client.clone(), format!("{}/v1/chat/completions", gateway.url));
        let (key, stop, served) = (in_team.clone(), Arc::clone(&stop), Arc::clone(&served));
        // What it inherits, by the caller, and both.
        let more = [json!({}), json!({"tags": ["lab"]}), json!({"tags": ["lab", "mine"]})][at % 3].clone();
        clients.push(tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                let request = client.post(&url).bearer_auth(&key).json(&chat_body("gpt", more.clone()));
                let answer = request.send().await.unwrap();
                assert_eq!((answer.status().as_u16(), answer.deployment()), (200, "one"));
                served.fetch_add(1, Ordering::Relaxed);
            }
        }));
    }
    let more = async |beyond: u64| {
        let target = served.load(Ordering::Relaxed) + beyond;
        until("requests go on", async || target <= served.load(Ordering::Relaxed)).await;
    };
    more(200).await;
    let names = ["lab", "research", "science", "studies"];
    for (from, into) in names.iter().zip(&names[1..]) {
        ok(first.post("/tag/rename", &json!({"name": from, "new_name": into}))).await;
        more(200).await;
    }
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    let all = served.load(Ordering::Relaxed);
    booked(first, all).await;
    let counted = spent(first).await;
    assert_eq!(counted.get("studies"), Some(&(i64::try_from(all).unwrap() * COST)), "{counted:?}");
    assert!(names[..3].iter().all(|former| !counted.contains_key(*former)), "{counted:?}");
    // What counts against its budget is the same.
    let spend = ok(first.post("/tag/info", &json!({"names": ["studies"]}))).await;
    let spend = (spend["studies"]["spend"].as_f64().unwrap() * 1e9).round() as i64;
    assert_eq!(spend, i64::try_from(all).unwrap() * COST);
}

async fn what_is_merged_counts_once(store: Store) {
    let (gateway, _home) = Gateway::on(store, &two(""));
    let own = key(&gateway, json!({})).await;
    ok(gateway.post("/tag/new", &json!({"name": "sales", "max_budget": 100.0}))).await;
    ok(gateway.post("/tag/new", &json!({"name": "Sales", "max_budget": 1.0, "models": ["one"]}))).await;
    for tags in [
        json!(["sales"]),
        json!(["Sales", "x"]),
        json!(["sale"]),
        json!(["sales", "Sales"]),
        json!(["x", "sale", "Sales", "sales"]),
        json!(["x"]),
    ] {
        assert_eq!(chat(&gateway, &own, "gpt", json!({"tags": tags})).await.status(), 200);
    }
    booked(&gateway, 6).await;
    assert_eq!(spent(&gateway).await, sums([("Sales", 3), ("sale", 2), ("sales", 3), ("x", 3)]));
    let merged = ok(gateway.post("/tag/merge", &json!({"names": ["Sales", "sale"], "into": "sales"}))).await;
    assert_eq!(merged["message"], "Tags Sales, sale merged into sales");
    assert_eq!(
        (&merged["tag"]["aliases"], &merged["tag"]["models"], &merged["tag"]["max_budget"]),
        (&json!(["Sales", "sale"]), &json!(["one"]), &json!(100.0))
    );
    assert_eq!(spent(&gateway).await, sums([("sales", 5), ("x", 3)]));
    let split = ok(gateway.get(&format!("/tag/summary?view=split&{}", dates()))).await;
    assert_eq!((&split["attributed_spend"], &split["total_spend"]), (&json!(0.3), &json!(0.3)), "{split}");
    // Sets that were met before, and new ones, by any of the names.
    for tags in [json!(["Sales", "x"]), json!(["sale", "y"]), json!(["sale", "sales"])] {
        let answer = chat(&gateway, &own, "gpt", json!({"tags": tags})).await;
        assert_eq!(answer.deployment(), "one", "the merged tag's deployments serve it");
    }
    booked(&gateway, 9).await;
    assert_eq!(spent(&gateway).await, sums([("sales", 8), ("x", 4), ("y", 1)]));
    let info = ok(gateway.post("/tag/info", &json!({"names": ["Sales"]}))).await;
    // What was spent before on each counts, as it did for each.
    assert_eq!((&info["Sales"]["name"], &info["Sales"]["spend"]), (&json!("sales"), &json!(0.45)), "{info}");

    for (path, body, status, message) in [
        ("rename", json!({"new_name": "z"}), 400, "Missing required field 'name'."),
        ("rename", json!({"name": "nosuch", "new_name": "z"}), 404, "Tag nosuch not found"),
        ("rename", json!({"name": "x", "new_name": "sales"}), 400, "Tag sales already exists"),
        ("rename", json!({"name": "x", "new_name": "Sales"}), 400, "Tag Sales already exists"),
        ("rename", json!({"name": "x", "new_name": "y"}), 400, "use /tag/merge"),
        (
            "rename",
            json!({"name": "sale", "new_name": "z"}),
            400,
            "'sale' is a former name of 'sales' already.",
        ),
        ("rename", json!({"name": "sales", "new_name": "sale"}), 400, "cannot become its name again"),
        ("rename", json!({"name": "x", "new_name": "default"}), 400, "'default' marks"),
        ("rename", json!({"name": "x:*", "new_name": "z"}), 400, "A pattern of tags has no former names"),
        ("rename", json!({"name": "x", "new_name": "a,b"}), 400, "comma"),
        ("rename", json!({"name": "x", "new_name": "z", "more": 1}), 400, "more"),
        ("merge", json!({"names": ["x"], "into": "x"}), 400, "cannot be merged into itself"),
        ("merge", json!({"names": [], "into": "x"}), 400, "between 1 and 100"),
        ("merge", json!({"names": ["x"], "into": "sale"}), 400, "merge into that"),
        ("new", json!({"name": "sale"}), 400, "it is a former name of sales"),
        ("update", json!({"name": "sales", "aliases": ["x"]}), 400, "/tag/rename"),
    ] {
        let (got, answer) = error(gateway.post(&format!("/tag/{path}"), &body)).await;
        let said = answer["error"]["message"].as_str().unwrap();
        assert!(got == status && said.contains(message), "{path} {body}: {got} {said}");
    }
    let (status, _) = error(
        gateway
            .client
            .post(format!("{}/tag/rename", gateway.url))
            .bearer_auth(&own)
            .json(&json!({"name": "x", "new_name": "z"})),
    )
    .await;
    assert_eq!(status, 401, "only admins rename");
    // Deleted, the tag leaves its former names to whoever wants them.
    ok(gateway.post("/tag/delete", &json!({"name": "sales"}))).await;
    assert_eq!(chat(&gateway, &own, "gpt", json!({"tags": ["sale"]})).await.status(), 200);
    booked(&gateway, 10).await;
    assert_eq!(spent(&gateway).await, sums([("sale", 1), ("sales", 8), ("x", 4), ("y", 1)]));
}

async fn the_file_may_give_a_tag_another_name(store: Store) {
    let home = Home::new(store);
    let gateway = home.gateway(&two(""));
    let own = key(&gateway, json!({})).await;
    assert_eq!(chat(&gateway, &own, "gpt", json!({"tags": ["lab"]})).await.deployment(), "one");
    booked(&gateway, 1).await;
    drop(gateway);
    let gateway = home.gateway(&two("tags: [{name: research, aliases: [lab]}]\n"));
    until("the history has gone along", async || spent(&gateway).await == sums([("research", 1)])).await;
    for tag in ["lab", "research"] {
        let answer = chat(&gateway, &own, "gpt", json!({"tags": [tag]})).await;
        assert_eq!(answer.deployment(), "one", "{tag}");
    }
    booked(&gateway, 3).await;
    assert_eq!(spent(&gateway).await, sums([("research", 3)]));
    for (path, body) in [
        ("rename", json!({"name": "research", "new_name": "z"})),
        ("merge", json!({"names": ["research"], "into": "z"})),
        ("merge", json!({"names": ["default"], "into": "research"})),
    ] {
        let (status, answer) = error(gateway.post(&format!("/tag/{path}"), &body)).await;
        let said = answer["error"]["message"].as_str().unwrap();
        assert!(
            status == 400 && (said.contains("configuration file") || said.contains("'default'")),
            "{said}"
        );
    }
}
