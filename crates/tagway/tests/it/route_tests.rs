//! `tagway test`: what a file of cases says is held against the decision that requests get; and `tagway explain`, which
//! goes the same way.

use std::path::Path;

use serde_json::{Value, json};

use crate::gateway::{Answered as _, Gateway, chat_body, command, config, deployment, error};

fn configuration() -> String {
    let mock = |id: &str, tags: &str| {
        deployment("m", id, &format!("model: openai/x, mock_response: {id}, tags: {tags}"))
    };
    let deployments =
        [mock("us", "[default, us]"), mock("eu", "['region:eu']"), mock("claude", "['client:claude', us]")];
    let rules = r#"router_settings: {enable_tag_filtering: true, num_retries: 0}
tag_rules:
  - {name: claude, when: 'request.headers["user-agent"].startsWith("claude-c")', add: ["client:claude"]}
  - {name: personal, when: 'request.contains_pii', add: ["&region:eu"]}
  - {name: site, when: 'request.user == "strict" && request.headers["x-site"] == "ber"', add: [us], on_error: deny}
"#;
    config(&deployments, rules)
}

/// Runs `tagway test` on cases: exit code, standard output, standard error.
fn test(cases: &str, more: &[&str]) -> (Option<i32>, String, String) {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let (config, routes) = (file("config.yaml", &configuration()), file("routes.yaml", cases));
    let output = command().arg("test").arg(&routes).arg("--config").arg(&config).args(more).output().unwrap();
    let text = |bytes: Vec<u8>| {
        let folder = dir.path().display().to_string();
        String::from_utf8(bytes).unwrap().replace(&format!("{folder}/"), "")
    };
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn cases_say_where_requests_go() {
    let cases = r#"
defaults: {model: m}
cases:
  - {name: nothing said, expect: us}
  - {name: asked for, tags: [us], expect: [claude, us]}
  - {name: some of them, tags: [us], expect: {includes: [us], excludes: [eu]}}
  - {name: by header, headers: {x-litellm-tags: "region:eu"}, expect: eu}
  - {name: by client, user_agent: claude-code/1, expect: {deployments: claude, tags: ["client:claude"]}}
  - {name: by what is said, messages: "DE89370400440532013000", expect: eu}
  - name: by messages
    messages: [{role: user, content: "nothing personal"}]
    expect: {deployments: us, without_tags: ["&region:eu"]}
  - {name: a team stays, team: ["region:eu"], tags: [us], expect: {error: 401}}
  - {name: a key too, key: {tags: ["region:eu"]}, expect: eu}
  - {name: not to be sent, key: {allowed_tags: [a]}, tags: [us], expect: {error: {status: 403, reason: tag_policy}}}
  - {name: not to be used, key: {models: [other]}, expect: {error: {status: 403, reason: model_access}}}
  - {name: undecided, user: strict, expect: {error: {reason: tag_rule, message: "x-site"}}}
  - {name: decided, user: strict, headers: {x-site: ber}, expect: [claude, us]}
  - {name: by expression, tag_expression: "not us and not client:claude", expect: eu}
  - {name: by one that nobody satisfies, tag_expression: "us and region:eu", expect: {error: 401}}
  - {name: nobody left, tags: ["region:eu"], cooling_down: [eu], expect: {error: {status: 429}}}
  - {name: nobody knows it, model: other, expect: {error: {status: 400, message: "model=other"}}}
  - {name: another way, path: /v1/embeddings, expect: us}
"#;
    let (code, out, err) = test(cases, &[]);
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(out.ends_with("18 passed, 0 failed\n"), "{out}");
}

#[test]
fn a_case_that_fails_says_what_came_instead_and_why() {
    let cases = "defaults: {model: m}\ncases:\n  - name: to the <EU>\n    tags: [us]\n    expect: eu\n  - name: fine\n    expect: us\n";
    let (code, out, _) = test(cases, &[]);
    assert_eq!(code, Some(1));
    insta::assert_snapshot!(out);
    let (code, out, _) = test(cases, &["--format", "json"]);
    assert_eq!(code, Some(1));
    let told: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&told["passed"], &told["failed"]), (&json!(1), &json!(1)));
    let case = &told["cases"][0];
    assert_eq!(case["problems"], json!([{"expected": "exactly eu", "found": "us, claude"}]));
    assert_eq!((&case["candidates"], &case["line"]), (&json!(["us", "claude"]), &json!(3)));
    assert_eq!(case["decisions"][0]["model_group"], "m");
    let (code, out, _) = test(cases, &["--format", "junit"]);
    assert_eq!(code, Some(1));
    insta::assert_snapshot!(out);
}

#[test]
fn every_expectation_can_fail() {
    for expected in [
        "eu",
        "[us, eu]",
        "{includes: [eu]}",
        "{excludes: [us]}",
        "{tags: [us]}",
        "{error: 401}",
        "{error: {message: x}}",
        "{error: {reason: tag_policy}}",
    ] {
        let (code, out, err) = test(&format!("cases: [{{model: m, expect: {expected}}}]"), &[]);
        assert_eq!(code, Some(1), "{expected}: {out}{err}");
    }
    for expected in [
        "us",
        "{error: {status: 403}}",
        "{error: {status: 401, reason: unknown_tag}}",
        "{error: {status: 401, message: no such words}}",
        "{excludes: [us]}",
        "{without_tags: [\"&region:apac\"]}",
    ] {
        let cases = format!("cases: [{{model: m, tags: ['&region:apac'], expect: {expected}}}]");
        let (code, out, err) = test(&cases, &[]);
        assert_eq!(code, Some(1), "{expected}: {out}{err}");
    }
}

#[test]
fn what_is_wrong_with_the_file_is_told_by_line() {
    let cases = r#"cases:
  - nme: slip
    model: m
    expect: {includes: [uss], eror: 401}
  - name: nothing
    team: {tag: [a]}
  - {name: both, model: m, expect: {deployments: us, error: 401}}
  - {name: both, model: m, weight: 5, expect: {error: 200}}
"#;
    let (code, out, err) = test(cases, &[]);
    assert_eq!((code, out.as_str()), (Some(2), ""));
    insta::assert_snapshot!(err);
    for wrong in ["", "[]", "cases: []", "cases: 5", "cases: [{model: m}]", "cases: [\n"] {
        assert_eq!(test(wrong, &[]).0, Some(2), "{wrong}");
    }
}

#[tokio::test]
async fn a_gateway_does_what_its_route_tests_say() {
    let gateway = Gateway::start(&configuration());
    let personal = json!([{"role": "user", "content": "DE89370400440532013000"}]);
    let requests = [
        ("curl/8", json!({})),
        ("curl/8", json!({"tags": ["us"]})),
        ("claude-code/1", json!({})),
        ("claude-code/1", json!({"tags": ["region:eu"]})),
        ("curl/8", json!({"messages": personal})),
        ("curl/8", json!({"messages": personal, "tags": ["us"]})),
        ("curl/8", json!({"tags": ["!us"]})),
        ("curl/8", json!({"user": "strict"})),
        ("curl/8", json!({"tags": "us", "tag_expression": "us and client:claude"})),
    ];
    for (agent, fields) in requests {
        let body = chat_body("m", fields.clone());
        let case = |expected: Value| {
            let case = json!({"model": "m", "user_agent": agent, "body": body, "expect": expected});
            json!({"cases": [case]}).to_string()
        };
        let answer = gateway.chat("m", fields.clone()).header("user-agent", agent).send().await.unwrap();
        let expected = if answer.status() == 200 {
            json!({"includes": [answer.deployment()]})
        } else {
            let (status, body) = error(gateway.chat("m", fields.clone()).header("user-agent", agent)).await;
            let told = &body["error"];
            json!({"error": {"status": status, "reason": told["reason"], "message": told["message"]}})
        };
        let (code, out, err) = test(&case(expected.clone()), &[]);
        assert_eq!(code, Some(0), "{fields} as {agent}, expected {expected}: {out}{err}");
    }
}

#[test]
fn an_explanation_without_a_gateway_knows_the_rules() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.yaml");
    std::fs::write(&path, configuration()).unwrap();
    let explain = |more: &[&str]| explained(&path, more);
    let (code, told) = explain(&["--header", "User-Agent: claude-code/1"]);
    assert_eq!((code, &told["outcome"]["candidates"]["ids"]), (Some(0), &json!(["claude"])));
    let (code, told) = explain(&["--user-agent", "claude-code/1", "--message", "DE89370400440532013000"]);
    assert_eq!((code, &told["error"]["status"]), (Some(1), &json!(401)));
    let (code, told) = explain(&["--user", "strict"]);
    assert_eq!((code, &told["error"]["reason"]), (Some(1), &json!("tag_rule")));
    let (code, told) = explain(&["--user", "strict", "--header", "x-site:ber"]);
    assert_eq!((code, &told["tags"][0]["origin"]), (Some(0), &json!("rule")));
    assert_eq!(explain(&["--header", "no colon"]).0, Some(2));
}

fn explained(config: &Path, more: &[&str]) -> (Option<i32>, Value) {
    let output = command()
        .args(["explain", "--model", "m", "--format", "json", "--config"])
        .arg(config)
        .args(more)
        .output()
        .unwrap();
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap_or_default())
}
