//! `tagway key|team|… `: the management API from the command line.

use std::process::Output;

use serde_json::Value;

use crate::gateway::{Gateway, KEY, command, deployment};

fn config() -> String {
    let params = "model: openai/fake, mock_response: hi";
    format!("model_list:\n{}general_settings: {{master_key: {KEY}}}\n", deployment("m", "one", params))
}

/// Runs the binary against a gateway.
fn tagway(gateway: &Gateway, args: &[&str]) -> Output {
    command().args(args).env("TAGWAY_URL", &gateway.url).env("TAGWAY_API_KEY", KEY).output().unwrap()
}

/// What it prints as JSON.
fn json(gateway: &Gateway, args: &[&str]) -> Value {
    let output = tagway(gateway, &[args, &["--output", "json"]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn keys_are_made_listed_changed_and_deleted() {
    let gateway = Gateway::start(&config());
    let made = json(&gateway, &["key", "generate", "--alias", "ci", "--tags", "a,b", "--max-budget", "5"]);
    assert!(made["key"].as_str().unwrap().starts_with("sk-"));
    assert_eq!(made["metadata"]["tags"], serde_json::json!(["a", "b"]));
    let token = made["token"].as_str().unwrap();
    assert_eq!(json(&gateway, &["key", "list"])[0]["key_alias"], "ci");
    let changed = json(&gateway, &["key", "update", token, "--models", "m", "--set", "blocked=true"]);
    assert_eq!((&changed["models"][0], &changed["blocked"]), (&"m".into(), &true.into()));
    assert_eq!(json(&gateway, &["key", "info", token])["max_budget"], 5.0);
    json(&gateway, &["key", "delete", token]);
    assert_eq!(json(&gateway, &["key", "list"]), serde_json::json!([]));
}

#[test]
fn a_table_is_for_people() {
    let gateway = Gateway::start(&config());
    tagway(&gateway, &["key", "generate", "--alias", "ci"]);
    let listed = tagway(&gateway, &["key", "list"]);
    let text = String::from_utf8(listed.stdout).unwrap();
    assert!(text.contains("key_alias") && text.contains("ci"), "{text}");
}

#[test]
fn refusals_and_a_gateway_that_is_not_there_are_told_apart() {
    let gateway = Gateway::start(&config());
    let refused = tagway(&gateway, &["key", "block", "sk-nobody-knows-this-key"]);
    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(String::from_utf8(refused.stderr).unwrap(), "refused (404): Key not found.\n");
    let nowhere = command().args(["key", "list", "--url", "http://127.0.0.1:1"]).output().unwrap();
    assert_eq!(nowhere.status.code(), Some(2));
    let keyless = command().args(["key", "list", "--url", &gateway.url]).output().unwrap();
    assert!(String::from_utf8(keyless.stderr).unwrap().contains("TAGWAY_API_KEY"));
}

#[test]
fn every_shell_gets_its_completions() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = command().args(["completions", shell]).output().unwrap();
        assert!(String::from_utf8(output.stdout).unwrap().contains("regenerate"), "{shell}");
    }
}

#[test]
fn teams_are_made_changed_joined_and_deleted() {
    let gateway = Gateway::start(&config());
    let made = json(&gateway, &["team", "new", "--id", "t", "--alias", "T", "--tags", "a", "--models", "m"]);
    assert_eq!((&made["team_id"], &made["metadata"]["tags"][0]), (&"t".into(), &"a".into()));
    json(&gateway, &["team", "update", "t", "--max-budget", "7"]);
    json(&gateway, &["team", "add-member", "t", "u", "--role", "admin"]);
    let shown = json(&gateway, &["team", "info", "t"]);
    assert!(shown.to_string().contains("\"max_budget\":7.0"), "{shown}");
    assert!(shown.to_string().contains("\"user_id\":\"u\""), "{shown}");
    assert_eq!(json(&gateway, &["team", "block", "t"])["blocked"], true);
    assert_eq!(json(&gateway, &["team", "unblock", "t"])["blocked"], false);
    json(&gateway, &["team", "remove-member", "t", "u"]);
    assert_eq!(json(&gateway, &["team", "list"])[0]["team_id"], "t");
    json(&gateway, &["team", "delete", "t"]);
    assert_eq!(json(&gateway, &["team", "list"]), serde_json::json!([]));
}

#[test]
fn tags_are_declared_changed_and_deleted() {
    let gateway = Gateway::start(&config());
    let made = json(&gateway, &["tag", "new", "eu", "--description", "Europe", "--models", "one"]);
    assert_eq!((&made["name"], &made["models"][0]), (&"eu".into(), &"one".into()));
    let changed = json(&gateway, &["tag", "update", "eu", "--description", "EU", "--models", "one"]);
    assert_eq!(changed["description"], "EU");
    assert_eq!(json(&gateway, &["tag", "info", "eu"])["models"][0], "one");
    assert_eq!(json(&gateway, &["tag", "list"])[0]["name"], "eu");
    json(&gateway, &["tag", "delete", "eu"]);
    assert_eq!(json(&gateway, &["tag", "list"]), serde_json::json!([]));
    assert_eq!(tagway(&gateway, &["tag", "info", "eu"]).status.code(), Some(1));
}

#[test]
fn deployments_are_added_changed_and_deleted() {
    let gateway = Gateway::start(&config());
    let new =
        ["model", "new", "extra", "--model", "openai/fake", "--tags", "x", "--info", r#"{"id": "two"}"#];
    assert_eq!(json(&gateway, &new)["model_id"], "two");
    assert_eq!(json(&gateway, &["model", "list"]).as_array().unwrap().len(), 2);
    json(&gateway, &["model", "update", "two", "--tags", "y"]);
    let shown = json(&gateway, &["model", "info", "two"]);
    assert_eq!(shown["litellm_params"]["tags"], serde_json::json!(["y"]));
    json(&gateway, &["model", "delete", "two"]);
    assert_eq!(tagway(&gateway, &["model", "info", "two"]).status.code(), Some(1));
    assert_eq!(tagway(&gateway, &["model", "delete", "one"]).status.code(), Some(1));
}

#[test]
fn users_are_made_changed_and_deleted() {
    let gateway = Gateway::start(&config());
    let new =
        ["user", "new", "--id", "u", "--email", "u@example.com", "--role", "internal-user", "--with-key"];
    let made = json(&gateway, &new);
    assert!(made["key"].as_str().unwrap().starts_with("sk-"), "{made}");
    let changed = json(&gateway, &["user", "update", "u", "--max-budget", "3"]);
    assert_eq!(changed["max_budget"], 3.0);
    let shown = json(&gateway, &["user", "info", "u"]);
    assert_eq!(
        (&shown["user_email"], &shown["user_role"]),
        (&"u@example.com".into(), &"internal_user".into())
    );
    assert_eq!(json(&gateway, &["user", "list"])[0]["user_id"], "u");
    json(&gateway, &["user", "delete", "u"]);
    assert_eq!(json(&gateway, &["user", "list"]), serde_json::json!([]));
}

#[test]
fn every_table_has_a_row_for_each_object() {
    let gateway = Gateway::start(&config());
    for made in [
        &["team", "new", "--alias", "T"][..],
        &["tag", "new", "eu"][..],
        &["user", "new", "--id", "somebody"][..],
    ] {
        assert!(tagway(&gateway, made).status.success(), "{made:?}");
    }
    for (object, column, cell) in [
        ("team", "team_alias", "T"),
        ("tag", "name", "eu"),
        ("user", "user_id", "somebody"),
        ("model", "model_name", "m"),
    ] {
        let listed = tagway(&gateway, &[object, "list"]);
        let text = String::from_utf8(listed.stdout).unwrap();
        assert!(text.contains(column) && text.contains(cell), "{object}: {text}");
    }
}

#[test]
fn what_was_spent_is_read() {
    let gateway = Gateway::start(&config());
    assert_eq!(json(&gateway, &["spend", "tags", "--split"]), serde_json::json!([]));
    assert_eq!(json(&gateway, &["spend", "by", "model-group"]), serde_json::json!([]));
    assert_eq!(json(&gateway, &["spend", "by", "key"]), serde_json::json!([]));
    assert_eq!(json(&gateway, &["spend", "logs", "--status", "failure"]), serde_json::json!([]));
    let file =
        tagway(&gateway, &["spend", "export", "--focus", "--from", "2026-01-01", "--to", "2026-01-31"]);
    assert!(file.stdout.starts_with(b"BilledCost,") && file.stdout.ends_with(b"\r\n"), "{file:?}");
    let refused = tagway(&gateway, &["spend", "me"]);
    assert_eq!(refused.status.code(), Some(1));
}
