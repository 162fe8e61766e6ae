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
