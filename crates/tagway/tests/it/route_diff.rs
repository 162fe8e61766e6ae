//! `tagway diff`: what a change of the configuration sends elsewhere, over all sets of tags and over real requests.

use std::path::PathBuf;
use std::time::Instant;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::gateway::{Gateway, PATIENCE, command, config, deployment};
use crate::spend::dates;

const ROUTER: &str = "router_settings: {enable_tag_filtering: true, num_retries: 0}\n";

fn mock(id: &str, more: &str) -> String {
    deployment("m", id, &format!("model: openai/gpt-4o, mock_response: {id}, {more}"))
}

fn old() -> String {
    config(
        &[mock("free", "tags: [free]"), mock("paid", "tags: [paid]"), mock("base", "tags: [default]")],
        ROUTER,
    )
}

/// `paid` has a second deployment, and `free` is gone.
fn new() -> String {
    let more = format!("{ROUTER}tags: [{{name: 'customer:*', kind: attribution}}]\n");
    config(
        &[mock("paid", "tags: [paid]"), mock("more", "tags: [paid]"), mock("base", "tags: [default]")],
        &more,
    )
}

struct Two {
    dir: TempDir,
}

impl Two {
    fn new(old: &str, new: &str) -> Self {
        let two = Self { dir: tempfile::tempdir().unwrap() };
        std::fs::write(two.file("old.yaml"), old).unwrap();
        std::fs::write(two.file("new.yaml"), new).unwrap();
        two
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Exit code and what is printed.
    fn diff(&self, more: &[&str]) -> (Option<i32>, String) {
        let mut command = command();
        command.arg("diff").args([self.file("old.yaml"), self.file("new.yaml")]).args(more);
        let output = command.current_dir(self.dir.path()).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).unwrap())
    }

    fn json(&self, more: &[&str]) -> Value {
        let (code, text) = self.diff(&[more, &["--format", "json"]].concat());
        assert!(matches!(code, Some(0 | 1)), "{text}");
        serde_json::from_str(&text).unwrap()
    }
}

#[test]
fn decisions_that_change_are_told_by_model_and_tags() {
    let (code, text) = Two::new(&old(), &new()).diff(&[]);
    assert_eq!(code, Some(1));
    insta::assert_snapshot!(text);
}

#[test]
fn nothing_changes_where_nothing_changes() {
    let (code, text) = Two::new(&old(), &old()).diff(&["--markers", "--inherited"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.starts_with("0 changes in "), "{text}");
}

#[test]
fn every_set_is_looked_at_up_to_the_bound_which_is_told() {
    let two = Two::new(&old(), &new());
    // Five tags are known: free, paid, default, a customer, and one that nobody knows.
    let told = two.json(&["--max-tags", "3"]);
    assert_eq!((&told["combinations"], &told["complete"]), (&json!(1 + 5 + 10 + 10), &json!(true)));
    assert_eq!(told["tags"].as_array().unwrap().len(), 5);
    let changes = told["changes"].as_array().unwrap();
    let of = |tags: Value| changes.iter().find(|change| change["tags"] == tags);
    assert_eq!(of(json!(["free"])).unwrap()["new"]["candidates"], json!(["base"]));
    assert_eq!(of(json!(["paid"])).unwrap()["new"]["candidates"], json!(["paid", "more"]));
    assert_eq!(of(json!([])), None);
    let told = two.json(&["--max-combinations", "10"]);
    assert_eq!((&told["combinations"], &told["complete"]), (&json!(10), &json!(false)));
    let (_, text) = two.diff(&["--max-combinations", "10"]);
    assert!(text.contains("stopped there: there are 16"), "{text}");
}

#[test]
fn tags_of_keys_and_markers_are_compared_where_that_is_asked_for() {
    let merged = old().replace("num_retries: 0", "num_retries: 0, inherited_tags: merge");
    // Alone they lead to the same place, bound or merged; with what a caller says they would not.
    let two = Two::new(&old(), &merged);
    assert_eq!(two.diff(&[]).0, Some(0));
    let two = Two::new(&old(), &old().replace("tags: [free]", "tags: [free, x]"));
    let changed = |told: Value, marked: &str| {
        let changes = told["changes"].as_array().unwrap().clone();
        changes.iter().any(|change| change["tags"] == json!([marked]))
    };
    assert!(!changed(two.json(&[]), "&x") && changed(two.json(&["--markers"]), "&x"));
    let inherited = two.json(&["--inherited"]);
    assert!(inherited["changes"].as_array().unwrap().iter().any(|change| change["inherited"] == true));
}

#[test]
fn rules_are_compared_as_well() {
    let rule = "tag_rules: [{name: r, when: '\"free\" in request.tags', add: [paid]}]\n";
    let two = Two::new(&old(), &format!("{}{rule}", old()));
    let told = two.json(&["--max-tags", "1"]);
    let changes = told["changes"].as_array().unwrap();
    assert_eq!(changes.len(), 1, "{told}");
    assert_eq!(changes[0]["new"]["candidates"], json!(["free", "paid"]));
    let agent = "tag_rules: [{name: r, when: 'request.headers[\"user-agent\"] == \"a\"', add: [paid]}]\n";
    let two = Two::new(&old(), &format!("{}{agent}", old()));
    assert_eq!((two.diff(&[]).0, two.diff(&["--user-agent", "a"]).0), (Some(0), Some(1)));
}

#[test]
fn a_file_that_is_wrong_is_told() {
    let two = Two::new(&old(), "model_list: 5\n");
    let (code, text) = two.diff(&[]);
    assert_eq!(code, Some(2));
    assert!(text.contains("new.yaml:1"), "{text}");
    let two = Two::new(&old(), &new());
    std::fs::write(two.file("log.csv"), "a,b\n1,2\n").unwrap();
    let (code, text) = two.diff(&["--replay", "log.csv"]);
    assert_eq!(code, Some(2), "{text}");
    assert_eq!(two.diff(&["--replay", "nowhere.csv"]).0, Some(2));
}

#[tokio::test]
async fn a_log_is_replayed_as_it_was_exported() {
    let gateway = Gateway::start(&old());
    for (tags, times) in [(json!(["free"]), 3), (json!(["paid"]), 1), (json!([]), 2)] {
        for _ in 0..times {
            let answer = gateway.chat("m", json!({"tags": tags})).send().await.unwrap();
            assert_eq!(answer.status(), 200);
        }
    }
    let two = Two::new(&old(), &new());
    let (dates, began) = (dates(), Instant::now());
    let log = loop {
        let log = gateway
            .get(&format!("/spend/logs/v2?{dates}&format=csv"))
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        if log.lines().count() == 7 {
            break log;
        }
        assert!(began.elapsed() < PATIENCE, "{log}");
    };
    std::fs::write(two.file("log.csv"), log).unwrap();
    let json_log =
        gateway.get(&format!("/spend/logs/v2?{dates}")).send().await.unwrap().text().await.unwrap();
    std::fs::write(two.file("log.json"), json_log).unwrap();
    let sums = gateway.get(&format!("/spend/export?{dates}")).send().await.unwrap().text().await.unwrap();
    std::fs::write(two.file("sums.csv"), sums).unwrap();
    for file in ["log.csv", "log.json", "sums.csv"] {
        let told = two.json(&["--replay", file]);
        assert_eq!((&told["requests"], &told["changed_requests"]), (&json!(6), &json!(4)), "{file}: {told}");
        let first = &told["changes"][0];
        assert_eq!(first["tags"][0]["tag"], "free");
        assert_eq!((&first["requests"], &first["new"]["candidates"]), (&json!(3), &json!(["base"])));
        assert_eq!(first["would_cost"]["least"], first["would_cost"]["most"]);
        let (spend, would) =
            (first["spend"].as_f64().unwrap(), first["would_cost"]["least"].as_f64().unwrap());
        // The same model at the same price.
        assert!(0.0 < spend && (spend - would).abs() < 1e-9, "{file}: {first}");
    }
    let (code, text) = two.diff(&["--replay", "log.csv"]);
    assert_eq!(code, Some(1));
    assert!(text.contains("4 of 6 requests go elsewhere"), "{text}");
}

#[test]
fn what_a_team_or_a_rule_gave_is_replayed_as_theirs() {
    let rule = "tag_rules: [{name: r, when: 'team.alias == \"Ops\"', add: [paid]}]\n";
    let with = format!("{}{rule}", old());
    let row = |tags: Value| {
        json!({"asked_model": "m", "team_alias": "Ops", "tags": tags, "spend": 1.5}).to_string()
    };
    // The rule that gave `paid` is gone: so is the tag.
    let two = Two::new(&with, &old());
    std::fs::write(two.file("log"), row(json!([{"tag": "paid", "origin": "rule"}]))).unwrap();
    let told = two.json(&["--replay", "log"]);
    assert_eq!(told["changes"][0]["old"]["candidates"], json!(["paid"]), "{told}");
    assert_eq!(told["changes"][0]["new"]["candidates"], json!(["base"]));
    assert_eq!(told["changed_spend"], 1.5);
    // A team's tag bounds its requests; merged, it does not.
    let merged = old().replace("num_retries: 0", "num_retries: 0, inherited_tags: merge");
    let two = Two::new(&old(), &merged);
    let tags = json!([{"tag": "free", "origin": "body"}, {"tag": "paid", "origin": "team"}]);
    std::fs::write(two.file("log"), format!("{}\n{}\n", row(tags.clone()), row(tags))).unwrap();
    let told = two.json(&["--replay", "log"]);
    assert_eq!(told["changes"][0]["old"]["error"]["status"], 401);
    assert_eq!(told["changes"][0]["new"]["candidates"], json!(["free", "paid"]));
    assert_eq!(told["changed_requests"], 2);
}
