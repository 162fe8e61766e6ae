//! Experiments: who gets which variant, what its tag leads to, and what it does not.

use serde_json::{Value, json};

use crate::gateway::{Answered as _, Gateway, chat_body, command, config, deployment, error};

fn mock(id: &str, tags: &str) -> String {
    deployment("m", id, &format!("model: openai/x, mock_response: {id}, tags: {tags}"))
}

fn configuration(experiments: &str) -> String {
    let deployments = [
        mock("old", "[]"),
        mock("new", "[canary]"),
        mock("a", "[team-a]"),
        mock("a-new", "[team-a, canary]"),
        mock("b", "[team-b]"),
        deployment("other", "other", "model: openai/x, mock_response: other"),
    ];
    let settings = "router_settings: {enable_tag_filtering: true, num_retries: 0}";
    config(&deployments, &format!("{settings}\nexperiments:\n{experiments}"))
}

/// Whether `tagway test` passes these cases.
fn passes(config: &str, cases: &str) {
    let dir = tempfile::tempdir().unwrap();
    let [config_file, routes] = ["config.yaml", "routes.yaml"].map(|name| dir.path().join(name));
    std::fs::write(&config_file, config).unwrap();
    std::fs::write(&routes, format!("defaults: {{model: m}}\ncases:\n{cases}")).unwrap();
    let output = command().arg("test").arg(&routes).arg("--config").arg(&config_file).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&said));
}

#[test]
fn a_variant_narrows_what_the_other_tags_allow_and_refuses_nothing() {
    let all_canary = configuration("  - {name: e, variants: {control: 0, canary: 1}}\n");
    passes(
        &all_canary,
        r#"
  - {name: nobody in particular, expect: {deployments: [new, a-new], tags: [canary]}}
  - {name: inside the boundary, key: {tags: [team-a]}, expect: {deployments: a-new, tags: [canary]}}
  - {name: a boundary without the variant, key: {tags: [team-b]}, expect: {deployments: b, tags: [canary]}}
  - {name: a caller's own tag, tags: [team-b], expect: b}
  - {name: with the caller's own tag, tags: [team-a], expect: a-new}
  - {name: required ones hold, tags: ["&team-b"], expect: b}
  - {name: by expression, tag_expression: team-b, expect: b}
  - {name: nothing else is unlocked, tags: [nowhere], expect: {error: 401}}
  - {name: all others are well, cooling_down: [new, a-new], expect: [old, a, b]}
  - {name: one is enough, cooling_down: [new], expect: a-new}
  - {name: excluded, tags: ["!canary"], expect: {deployments: [old, a, b], tags: [control]}}
  - {name: the control asked for, tags: [control], expect: {deployments: [old, a, b], without_tags: [canary]}}
  - {name: a deployment by its id, model: old, expect: {deployments: old, without_tags: [canary]}}
  - {name: a model without the tags, model: other, expect: {deployments: other, without_tags: [canary]}}
"#,
    );
    let all_control = configuration("  - {name: e, variants: {control: 1, canary: 0}}\n");
    passes(
        &all_control,
        r#"
  - {name: not to the other variants, expect: {deployments: [old, a, b], tags: [control]}}
  - {name: inside the boundary, key: {tags: [team-a]}, expect: a}
  - {name: testers ask for it, tags: [canary], expect: {deployments: [new, a-new], without_tags: [control]}}
  - {name: a key may have it, key: {tags: [canary]}, expect: {deployments: [new, a-new], without_tags: [control]}}
  - {name: others are ill, cooling_down: [old, a, b], expect: [new, a-new]}
"#,
    );
}

#[test]
fn an_experiment_is_for_the_requests_it_says() {
    let some = configuration(
        r#"  - {name: research, when: 'team.alias == "Research"', variants: {control: 0, canary: 1}}
  - {name: other, models: [other], variants: {one: 1, two: 0}}
"#,
    );
    passes(
        &some,
        r#"
  - {name: not for all, expect: {deployments: [old, new, a, a-new, b], without_tags: [canary, one]}}
  - {name: for some, team: {alias: Research}, expect: {deployments: [new, a-new], tags: [canary]}}
  - {name: labels, model: other, expect: {deployments: other, tags: [one], without_tags: [canary]}}
"#,
    );
}

#[test]
fn a_variant_that_the_vocabulary_keeps_from_requests_is_nobodys() {
    let all_canary = configuration("  - {name: e, variants: {control: 0, canary: 1}}\n");
    for declared in ["quarantined: true", "retire_at: 2026-01-01, mode: enforce"] {
        passes(
            &format!("{all_canary}tags: [{{name: canary, {declared}}}]\n"),
            "  - {name: nobodys, expect: {includes: [old], tags: [control], without_tags: [canary]}}\n",
        );
    }
}

#[test]
fn a_ramp_goes_by_the_time() {
    let ramp = configuration(
        r#"  - name: e
    sticky: session
    ramp:
      variant: canary
      control: control
      starts_at: 2026-12-01T00:00:00Z
      steps: [{share: 0, for: 1d}, {share: 100%}]
"#,
    );
    passes(
        &ramp,
        r#"
  - {name: before, at: 2026-11-30T23:59:59Z, expect: {deployments: [old, a, b], tags: [control]}}
  - {name: the first step, at: 2026-12-01T12:00:00Z, user: u, expect: [old, a, b]}
  - {name: the second, at: 2026-12-02T00:00:00Z, user: u, expect: {deployments: [new, a-new], tags: [canary]}}
  - {name: for ever, at: 2036-12-02T00:00:00Z, expect: [new, a-new]}
"#,
    );
}

#[tokio::test]
async fn a_user_stays_in_its_variant_on_every_gateway_and_sessions_may_differ() {
    let half = configuration("  - {name: e, variants: {control: 1, canary: 1}, sticky: user}\n");
    let gateways = [Gateway::start(&half), Gateway::start(&half)];
    let goes_to = async |gateway: &Gateway, body: Value| {
        let answer = gateway.chat("m", body).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        matches!(answer.deployment(), "new" | "a-new")
    };
    let mut canaries = 0;
    for user in 0..40 {
        let body = || json!({"user": format!("user-{user}"), "messages": []});
        let first = goes_to(&gateways[0], body()).await;
        assert_eq!(goes_to(&gateways[1], body()).await, first, "user-{user}");
        assert_eq!(goes_to(&gateways[0], body()).await, first, "user-{user}");
        canaries += usize::from(first);
    }
    assert!((8..=32).contains(&canaries), "{canaries} of 40");
    let mut anybody = 0;
    for _ in 0..60 {
        anybody += usize::from(goes_to(&gateways[0], json!({"messages": []})).await);
    }
    assert!((10..=50).contains(&anybody), "who says nothing of a user is drawn anew: {anybody} of 60");
    // Explained as it is decided.
    let explained: Value = gateways[0]
        .post("/route/explain", &chat_body("m", json!({"tags": ["canary"]})))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(explained["candidates"], json!(["new", "a-new"]), "{explained}");
    let (status, _) = error(gateways[0].chat("m", json!({"tags": ["nowhere"], "user": "user-1"}))).await;
    assert_eq!(status, 401);
}

/// What `tagway check` says of a section.
fn problems(experiments: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.yaml");
    std::fs::write(&file, configuration(experiments)).unwrap();
    let output = command().arg("check").arg(&file).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    said.replace(&dir.path().display().to_string(), "")
}

#[test]
fn what_is_wrong_with_an_experiment_is_said_with_its_line() {
    insta::assert_snapshot!(problems(
        r#"  - {variants: {a: 1, b: 1}}
  - {name: alone, variants: {a: 1}}
  - {name: nothing}
  - {name: models, models: [mm], variants: {control: 1, canary: 0}}
  - {name: when, when: "team.alis == 1", variants: {control: 1, canary: 0}}
  - {name: sticky, sticky: users, variants: {control: 1, canary: 0}}
  - {name: marker, variants: {"&control": 1, canary: 0}}
  - {name: labels, variants: {one: 1, two: 0}}
  - name: ramp
    ramp:
      variant: canary
      control: canary
      starts_at: soon
      steps: [{share: 5}, {for: 1 day}, {share: 50%, for: 1d}]
      hold: {min_requests: 10, on_breach: stop}
mirrors:
  - {name: nowhere, to: nwe, share: 5%}
  - {name: nothing}
"#
    ));
}
