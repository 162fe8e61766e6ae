//! Configurations that load and are probably not meant so.

mod config_host;

use config_host::Files;
use tagway_core::config::matrix;

/// `model_list` of `group: tags | more` lines under the given settings.
fn file(settings: &str, deployments: &[(&str, &str)]) -> Files {
    let mut text = "model_list:\n".to_owned();
    for (number, (group, more)) in deployments.iter().enumerate() {
        text.push_str(&format!(
            "  - model_name: {group}\n    litellm_params: {{model: openai/m{number}, api_key: k-k-k, {more}}}\n    model_info: {{id: id-{number}, input_cost_per_token: 0}}\n"
        ));
    }
    text.push_str("general_settings: {master_key: a-long-enough-master-key}\n");
    text.push_str(settings);
    Files::one(&text)
}

const ON: &str = "router_settings: {enable_tag_filtering: true}\n";

fn clean(files: &Files) {
    assert_eq!(files.linted(), "");
}

#[test]
fn a_sound_configuration_is_clean() {
    clean(&file(ON, &[("a", "tags: [free]"), ("a", "tags: [paid]"), ("a", "tags: [default]")]));
    clean(&file("", &[("a", ""), ("b", "")]));
    clean(&file(ON, &[("a", "tags: [teamA]"), ("a", "tags: [teamB]"), ("a", "tags: [default]")]));
}

#[test]
fn deployments_nobody_reaches() {
    insta::assert_snapshot!(
        file(ON, &[("a", "tags: [default]"), ("a", ""), ("a", "tag_regex: [claude]")]).linted()
    );
}

#[test]
fn an_attribution_tag_leads_nowhere() {
    let settings =
        format!("{ON}tags:\n  - {{name: bill, kind: attribution}}\n  - {{name: gone, kind: routing}}\n");
    insta::assert_snapshot!(file(&settings, &[("a", "tags: [default]"), ("a", "tags: [bill]")]).linted());
}

#[test]
fn groups_without_a_default() {
    insta::assert_snapshot!(file(ON, &[("a", "tags: [free]"), ("b", "")]).linted());
}

#[test]
fn tags_that_look_alike() {
    let deployments = [
        ("a", "tags: [free, default, region:eu]"),
        ("a", "tags: [Free, defaults]"),
        ("b", "tags: [default, research-team, regoin:eu]"),
        ("b", "tags: [research_team]"),
    ];
    insta::assert_snapshot!(file(ON, &deployments).linted());
}

#[test]
fn fallbacks_that_refuse() {
    let settings = "router_settings:\n  enable_tag_filtering: true\n  fallbacks: [{a: [b, c]}]\n";
    let deployments =
        [("a", "tags: [free, eu]"), ("a", "tags: [default]"), ("b", "tags: [eu]"), ("c", "tags: [default]")];
    insta::assert_snapshot!(file(settings, &deployments).linted());
}

#[test]
fn patterns_that_never_match() {
    insta::assert_snapshot!(
        file(ON, &[("a", "tag_regex: [^claude-code/, claude]"), ("a", "tags: [default]")]).linted()
    );
}

#[test]
fn tags_without_filtering() {
    insta::assert_snapshot!(file("", &[("a", "tags: [free]"), ("a", "")]).linted());
}

#[test]
fn switches_that_contradict() {
    let text = "model_list:\n- {model_name: a, litellm_params: {model: openai/x, api_key: k-k, tags: [default]}, model_info: {enable_tag_filtering: true, input_cost_per_token: 0}}\n- model_name: a\n  litellm_params: {model: openai/y, api_key: k-k, tags: [eu]}\n  model_info:\n    enable_tag_filtering: false\n    input_cost_per_token: 0\ngeneral_settings: {master_key: a-long-enough-master-key}\n";
    insta::assert_snapshot!(Files::one(text).linted());
}

#[test]
fn prices_that_are_not_known_or_not_whole() {
    let text = "model_list:\n- {model_name: a, litellm_params: {model: openai/ours, api_key: k-k}}\n- {model_name: a, litellm_params: {model: openai/ours-too, api_key: k-k}}\n- {model_name: b, litellm_params: {model: openai/gpt-4o, api_key: k-k}}\n- {model_name: c, litellm_params: {model: openai/ours, api_key: k-k, input_cost_per_token: 0.001}}\n- {model_name: d, litellm_params: {model: openai/embed, api_key: k-k, input_cost_per_token: 0.001}}\n- {model_name: e, litellm_params: {model: openai/ours, api_key: k-k}, model_info: {base_model: gpt-4o}}\n- {model_name: 'f*', litellm_params: {model: 'openai/f*', api_key: k-k}}\n- {model_name: g, litellm_params: {model: fake, mock_response: g}}\ngeneral_settings: {master_key: a-long-enough-master-key}\n";
    insta::assert_snapshot!(Files::one(text).linted());
}

#[test]
fn the_matrix_shows_where_tags_lead() {
    let files = file(
        ON,
        &[
            ("a", "tags: [free]"),
            ("a", "tags: [paid, eu]"),
            ("a", "tags: [default]"),
            ("b", "tags: [eu]"),
            ("b", ""),
        ],
    );
    let matrix = matrix(&files.must_load().config);
    insta::assert_snapshot!(matrix);
    insta::assert_json_snapshot!(matrix.0[1]);
    let text = "model_list:
- {model_name: a, litellm_params: {model: openai/x, api_key: k, tags: [eu]}}
- {model_name: a, litellm_params: {model: openai/y, api_key: k, tags: [default]}}
router_settings: {enable_tag_filtering: true}
tags: [{name: eu, quarantined: true}]
";
    let matrix = crate::matrix(&Files::one(text).must_load().config);
    let rows: Vec<_> = matrix.0[0].rows.iter().map(|row| (row.tag.as_deref(), row.reaches.clone())).collect();
    let default = vec![false, true];
    assert_eq!(rows, [(None, default.clone()), (Some("default"), default.clone()), (Some("eu"), default)]);
}
