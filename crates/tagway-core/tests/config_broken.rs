//! Realistic mistakes, and every word people see of them.

mod config_host;

use config_host::Files;

/// What is said of a file; variables `KEY` and `EMPTY` exist.
fn said(text: &str) -> String {
    Files::one(text).env("KEY", "hunter2-from-env").env("EMPTY", "").env("WORD", "lots").said()
}

/// A deployment with these lines in its `litellm_params`, under a sound file.
fn params(lines: &str) -> String {
    let lines: String = lines.lines().map(|line| format!("      {line}\n")).collect();
    said(&format!(
        "model_list:\n  - model_name: chat\n    litellm_params:\n{lines}general_settings:\n  master_key: a-long-enough-master-key\n"
    ))
}

/// These lines after a sound `model_list`.
fn after(lines: &str) -> String {
    said(&format!(
        "model_list:\n  - model_name: gpt-4\n    litellm_params: {{model: openai/gpt-4, api_key: os.environ/KEY}}\n  - model_name: gpt-4o-mini\n    litellm_params: {{model: openai/gpt-4o-mini, api_key: os.environ/KEY}}\n{lines}"
    ))
}

/// Names, tags of deployments, of rules and of headers that the file itself forbids.
const BREAKS_ITS_OWN: &str = "model_list:
  - model_name: m
    litellm_params: {model: openai/x, api_key: hunter2, tags: [default, Free, \"env:prd\", \"env:dev\"]}
tag_settings: {name_pattern: '[a-z]+(:[a-z]+)?', mode: MODE}
tags:
  - Team
  - {name: \"env:*\", values: [dev, prod]}
  - {name: \"1:*\"}
  - {name: \"internal:*\", set_by: [admin]}
  - {name: \"x-site: *\", set_by: [rule]}
tag_rules:
  - {name: r, when: 'true', add: [\"env:devel\", \"&internal:a\", \"int*\", UPPER, \"env:dev\", free]}
litellm_settings: {extra_spend_tag_headers: [x-site]}
general_settings:
  master_key: a-long-enough-master-key
  enable_jwt_auth: true
  litellm_jwtauth:
    issuer: https://login.example
    audience: tagway
    jwks_url: https://login.example/certs
    claim_tags: {project: \"internal:{}\", stage: [\"env:{}\", \"Stage:{}\"]}
";

macro_rules! snapshots {
    ($($(#[$doc:meta])* $name:ident => $said:expr;)*) => {$(
        $(#[$doc])*
        #[test]
        fn $name() {
            insta::assert_snapshot!($said);
        }
    )*};
}

snapshots! {
    tokens_that_could_not_be_checked => after("general_settings:\n  enable_jwt_auth: true\n  litellm_jwtauth:\n    audiance: x\n    tags_jwt_field: groups[0]\n    claim_tags: {dept: department}\n    role_mappings: [{role: a, internal_role: b}]\n    issuers:\n      - {issuer: https://a.example, disable_audience_validation: true}\n      - {issuer: plain, audience: a}\n    jwks_url: a.example\n");
    tokens_that_nobody_takes => after("general_settings:\n  master_key: a-long-enough-master-key\n  litellm_jwtauth: {issuer: a, audience: b}\n");
    places_of_a_valkey => after("router_settings:\n  redis_startup_nodes: [{port: 7000}, {host: a, prot: 7001}]\n  cache_kwargs: {ssl_check_hostname: false, startup_nodes: os.environ/WORD}\ngeneral_settings:\n  master_key: a-long-enough-master-key\n  coordination_redis: {sentinel_nodes: [[a, 26379]], service_name: s, ssl_cert_reqs: none, pasword: p}\n");
    a_coordination_redis_without_a_server => after("general_settings:\n  master_key: a-long-enough-master-key\n  coordination_redis: {password: p, aws_iam_auth: true}\n");
    names_that_mean_two_tags => after("tags:\n  - {name: a, aliases: [b, c, c]}\n  - {name: b}\n  - {name: d, aliases: [a]}\n  - {name: e, aliases: [c]}\n  - {name: f, aliases: [f]}\n  - {name: 'g:*', aliases: [g]}\n  - {name: h, aliases: ['i*', default, 'j,k']}\ngeneral_settings:\n  master_key: a-long-enough-master-key\n");
    a_file_that_is_not_there => Files::new().at("nowhere.yaml").said();
    an_empty_file => said("");
    a_file_of_comments => said("# model_list:\n");
    a_list_instead_of_sections => said("- model_name: gpt-4\n");
    a_tab => said("model_list:\n\t- model_name: gpt-4\n");
    a_tab_before_a_secret => said("general_settings:\n  master_key:\n\thunter2-very-secret\n");
    a_dash_without_space => said("model_list:\n  -model_name: gpt-4\n   litellm_params:\n     model: openai/gpt-4\n");
    a_colon_without_space => said("model_list:\n  - model_name: gpt-4\n    litellm_params:\n      model: openai/x\n      tags:[\"free\"]\n      api_key: sk-hunter2-hunter2\n");
    documents_pasted_without_indentation => said("model_list:\n- model_name: gpt-4\nlitellm_params:\nmodel: openai/fake\napi_key: hunter2\ntags: [\"free\"]\n- model_name: gpt-4\n");
    a_bracket_left_open => params("model: openai/x\ntags: [\"free\"\napi_key: hunter2");
    a_quote_left_open => params("model: \"openai/x\napi_key: hunter2");
    keys_given_twice => said("model_list: []\nrouter_settings:\n  num_retries: 1\n  timeout: 3\n  num_retries: 2\nmodel_list: []\n");
    an_alias_without_anchor => params("<<: *defaults\nmodel: openai/x\napi_key: k\ntags: [*]");
    two_documents => said("model_list: []\n---\nrouter_settings: {}\n");
    too_deep => said(&format!("model_list: {}", "[".repeat(200)));
    laughs => {
        let mut text = "x-a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
        for level in 1..9 {
            let below = vec![format!("*a{}", level - 1); 10].join(", ");
            text.push_str(&format!("x-a{level}: &a{level} [{below}]\n"));
        }
        said(&text)
    };
    misspelt_sections_and_keys => said("model_lst: []\nrouter_setting:\n  enable_tag_filterin: true\nrouter_settings:\n  enable_tag_filterin: true\n  num_retry: 3\n  fallback: []\ngeneral_settings:\n  masterkey: hunter2\n  max_request_size: 3\nlitellm_settings:\n  drop_param: true\n  nonsense_of_my_own: 1\n");
    keys_in_the_wrong_section => after("general_settings:\n  enable_tag_filtering: true\n  drop_params: true\nlitellm_settings:\n  master_key: sk-hunter2-hunter2\nenable_tag_filtering: true\n");
    tags_beside_their_section => said("model_list:\n  - model_name: gpt-4\n    tags: [\"free\"]\n    weight: 1\n    litellm_params: {model: openai/x, api_key: hunter2}\n");
    tags_that_are_no_tags => params("model: openai/x\napi_key: hunter2\ntags: free")
        + &params("model: openai/x\napi_key: hunter2\ntags: [2024, yes, 1.10, \"\", \" free\", \"a,b\", \"!eu\", \"&eu\", ok, ok, [x], {a: b}]");
    broken_patterns => params("model: openai/x\napi_key: k-k-k\ntag_regex: [\"^User-Agent: (claude\", \"(?=x)y\", \"\", 7]")
        + &params("model: openai/x\napi_key: k-k-k\ntag_regex: ^User-Agent");
    entries_without_what_they_need => said("model_list:\n  - model_name: a\n  - litellm_params: {model: openai/x}\n  - model_name: b\n    litellm_params: {api_key: hunter2}\n  -\n  - gpt-4\n  - model_name: 4\n    litellm_params: {model: openai/x, api_key: hunter2}\n");
    providers_tagway_cannot_speak_to => said("model_list:\n  - model_name: a\n    litellm_params: {model: anthropic/claude-3-5-sonnet, api_key: hunter2}\n  - model_name: b\n    litellm_params: {model: bedrock/claude, aws_region_name: us-east-1}\n  - model_name: c\n    litellm_params: {model: openia/gpt-4}\n  - model_name: d\n    litellm_params: {model: claude-3-opus}\n  - model_name: e\n    litellm_params: {model: my-org/Model-7B}\n  - model_name: f\n    litellm_params: {model: openai/x, api_key: hunter2, aws_access_key_id: AKIAHUNTER2HUNTER2}\n  - model_name: g\n    litellm_params: {model: hosted_vllm/llama}\n  - model_name: h\n    litellm_params: {model: openai/}\n  - model_name: i\n    litellm_params: {model: \"*\"}\n");
    numbers_out_of_range => params("model: openai/x\napi_key: hunter2\nweight: -1\norder: first\nrpm: 1.5\ntpm: lots\nmax_parallel_requests: 0\ntimeout: 0\nstream_timeout: 1e12\nmax_retries: -2\ninput_cost_per_token: free\noutput_cost_per_token: .inf");
    limits_of_tags_at_a_deployment => said("model_list:\n  - model_name: a\n    litellm_params: {model: openai/x, api_key: hunter2}\n    model_info:\n      request_limits: {\"a*b\": 1, ok: -1, \" x\": 3, \"y:*\": 1.5}\n      token_limits: [eng]\n      dollar_limits: {eng: 5, free: {}, \"*:z\": {max_budget: 1, budget_duration: soon}}\nrouter_settings:\n  optional_pre_call_checks: [enforce_model_rate_limit, prompt_caching]\n  enable_pre_call_checks: true\n  default_max_parallel_requests: 0\n");
    booleans_in_quotes => after("router_settings:\n  enable_tag_filtering: \"true\"\n  tag_filtering_match_any: \"False\"\n  disable_cooldowns: maybe\n  tag_hierarchy: 1\n");
    variables_that_are_not_set => said("model_list:\n  - model_name: a\n    litellm_params:\n      model: openai/x\n      api_key: os.environ/NOT_THERE\n      api_base: os.environ/EMPTY\n      tags: [os.environ/TAG]\n      rpm: os.environ/WORD\n      temperature: os.environ/HEAT\nrouter_settings:\n  enable_tag_filtering: os.environ/WORD\n  redis_password: os.environ/IGNORED\ngeneral_settings:\n  master_key: os.environ/MASTER\n");
    policies_for_failures => after("router_settings:\n  retry_policy: {TimeoutErorRetries: 1, RateLimitErrorRetries: some, NonsenseRetries: 2}\n  model_group_retry_policy: {gpt-5: {DefaultRetries: 1}}\n  allowed_fails_policy: {DefaultRetries: 1, BadGatewayErrorAllowedFails: -1}\n  retry_budget: {percent: -1, min_per_sec: 3}\n  outlier_ejection: {latency_factor: 0.5, factor: 3, min_requests: 1000}\n");
    strategies => after("router_settings:\n  routing_strategy: simple_shuffle\n")
        + &after("router_settings:\n  routing_strategy: round-robin\n")
        + &after("router_settings: {routing_strategy: 3}\n")
        + &after("router_settings: {routing_strategy: provider-budget-routing}\n");
    arguments_of_strategies => after("router_settings:\n  routing_strategy: latency-based-routing\n  routing_strategy_args: {ttl: 0, lowest_latency_bufer: 1, max_latency_list_size: 1000, ttft_percentile: 95, by: user}\n")
        + &after("router_settings:\n  routing_strategy_args: {ttl: 60, window: 3}\n")
        + &after("router_settings:\n  routing_strategy: usage-based-routing\n  routing_strategy_args: [ttl]\n")
        + &after("router_settings: {routing_strategy: sticky}\n")
        + &after("router_settings: {routing_strategy: sticky, routing_strategy_args: {by: \"header:x y\"}}\n")
        + &after("router_settings: {routing_strategy: sticky, routing_strategy_args: {by: cookie, ttl: 3}}\n");
    routing_groups => after("router_settings:\n  routing_groups:\n    - {group_name: fast, models: [gpt-4, gpt-4o-mni], routing_strategy: least-busy, strategy: x}\n    - {group_name: other, models: [gpt-4], routing_strategy: sticky, routing_strategy_args: {by: key}}\n    - {group_name: other, models: gpt-4o-mini, routing_strategy: busy}\n    - {group_name: default, models: [], routing_strategy: simple-shuffle}\n    - {group_name: none, model: [gpt-4]}\n    - {group_name: p, models: [gpt-4], routing_strategy: priority, model_priorities: {gpt-4: 1}}\n    - gpt-4\n");
    words_with_few_choices => after("router_settings:\n  inherited_tags: enforced\n  unknown_tags: ignore\n  tag_error_status: 404\n");
    fallbacks_to_nowhere => after("router_settings:\n  fallbacks: [{gpt-4: [gpt-4o-mni]}, {gpt4: [gpt-4o-mini, gpt-4]}, {gpt-4: gpt-4o-mini}, {gpt-4: [gpt-4, {model: x}]}]\n  default_fallbacks: [other]\nlitellm_settings:\n  context_window_fallbacks:\n    gpt-4: [gpt-4o-mini]\n");
    aliases_to_nowhere => after("router_settings:\n  model_group_alias:\n    fast: gpt-4o-mimi\n    a: b\n    b: a\n    gpt-4: gpt-4o-mini\n    hidden: {modl: gpt-4, hidden: \"yes\"}\n");
    what_tagway_does_not_enforce => after("guardrails:\n  - guardrail_name: pii\ntag_rules: [{name: x}]\nlitellm_settings:\n  max_budget: 100\n  tag_budget_config: {a: {max_budget: 1}}\n  callbacks: [prometheus, presidio, my_module.handler]\ngeneral_settings:\n  master_key: a-long-enough-master-key\n  custom_auth: my_auth.check\n  allowed_ips: [10.0.0.1]\n  enforced_params: [user]\n  max_response_size_mb: 5\nrouter_settings:\n  provider_budget_config: {openai: {budget_limit: 1}}\n")
        + &params("model: openai/x\napi_key: hunter2\nmax_budget: 3\nlitellm_credential_name: mine");
    ids_given_twice => said("model_list:\n  - model_name: a\n    litellm_params: {model: openai/x, api_key: hunter2}\n    model_info: {id: one}\n  - model_name: b\n    litellm_params: {model: openai/y, api_key: hunter2}\n    model_info: {id: one, tier: gratis, enable_tag_filterng: true}\n");
    slips_in_parameters => params("model: openai/x\napi_key: hunter2\ntag: [free]\ntimout: 3\ntemprature: 1")
        + &params("model: openai/x\napi_kye: hunter2-very-secret\napi-key: hunter2-very-secret");
    addresses_and_headers => params("model: openai/x\napi_key: hunter2\napi_base: example.org/v1\nextra_headers: {\"bad name\": x, X-Token: \"a\\nb\"}")
        + &params("model: openai/x\napi_base: \"https://me:hunter2@/\"");
    mocks => params("model: any/x\nmock_response: litellm.RateLimitErr") + &params("model: any/x\nmock_response: {a: b}");
    secrets_of_the_wrong_type => params("model: openai/x\napi_key: 123456789")
        + &params("model: openai/x\napi_key: [hunter2-very-secret]\nclient_secret: hunter2-very-secret")
        + &after("general_settings: {master_key: {hunter2: 1}, litellm_key_header_name: \"no header\", max_request_size_mb: 0}\n");
    declared_tags => after("tags:\n  - {name: eu, kind: route}\n  - name: \"cust*:x\"\n  - kind: both\n  - eu2\n  - eu2\n  - {name: us, max_budget: 3}\ngeneral_settings: {master_key: a-long-enough-master-key}\n")
        + &after("tags:\n  eu: {kind: routing}\n");
    includes_that_fail => Files::new()
        .file("conf/config.yaml", "include:\n  - missing.yaml\n  - loop.yaml\n  - broken.yaml\n  - list.yaml\n  - typo.yaml\nrouter_settings: {num_retries: 1}\nmodel_list: []\n")
        .file("conf/loop.yaml", "include: [../conf/config.yaml]\n")
        .file("conf/broken.yaml", "model_list: [\n")
        .file("conf/list.yaml", "- a\n")
        .file("conf/typo.yaml", "router_settings:\n  num_retries: 2\n  timeot: 3\n")
        .at("conf/config.yaml")
        .said();
    an_include_that_is_no_list => said("include: other.yaml\nmodel_list: []\n");
    weak_master_keys => after("general_settings: {master_key: changeme}\n")
        + &after("general_settings: {master_key: short}\n")
        + &after("");
    a_provider_key_that_is_not_set => params("model: openai/gpt-4o\ntags: [free]");
    a_wide_line => {
        let tags = |from: usize| (from..from + 40).map(|n| format!("tag-{n}")).collect::<Vec<_>>().join(", ");
        params(&format!("model: openai/x\napi_key: hunter2\ntags: [{}, 7, {}]", tags(100), tags(200)))
    };
    characters_wider_than_a_byte => params("model: openai/x\napi_key: hunter2\ntags: [\"größe ✓\", 7]");
    too_many_requests_at_once => after("general_settings:\n  max_queued_requests: -1\n  priority_shares: {low: 0.9, normal: 0.5, high: 1}\n  admission_queue_timeout_seconds: 0\n  max_connections: 0\n  max_in_flight_requests_per_worker: 5\n")
        + &after("general_settings: {global_max_parallel_requests: 0, priority_shares: {low: 2}}\ntags: [{name: batch, priority: least}]\n");
    tag_settings_that_cannot_be => after("tag_settings: {explain_sample: 2, name_pattern: \"(a\", mode: observ, unknown_tags: reject, explain_samples: 1}\n")
        + &after("tag_settings: {name_pattern: '(?=x)y'}\n")
        + &after("tag_settings: {name_pattern: 'a{5000}{5000}', mode: true}\n");
    a_vocabulary_that_cannot_be => after("tags:\n  - {name: one, values: [a], max_values: 3}\n  - {name: \"env:*\", values: [dev, dev, \"a,b\", \"x*\", 3], max_values: 0}\n  - {name: \"team:*\", values: [], set_by: [admins, calller, rule]}\n  - {name: b, set_by: [], quarantined: \"yes\"}\n  - {name: c, retire_at: soon, replaced_by: d}\n  - {name: d, replaced_by: e, mode: enforced}\n  - {name: e, retire_at: 2026-02-30, owner: [ops], max_value: 3}\n");
    a_file_that_breaks_its_own_vocabulary => said(&BREAKS_ITS_OWN.replace("MODE", "enforce")) + &said(&BREAKS_ITS_OWN.replace("MODE", "observe"));
    health_checks_of_another_provider => said("model_list:\n  - model_name: chat\n    litellm_params: {model: 'openai/*', api_key: os.environ/KEY}\n    model_info: {health_check_model: 'groq/x', health_check_timeout: 0, health_check_params: 3}\n  - model_name: other\n    litellm_params: {model: 'openai/*', api_key: os.environ/KEY}\n    model_info: {health_check_model: 'openai/*', health_check_modell: x, health_check_max_tokens_reasoning: 3}\ngeneral_settings: {master_key: a-long-enough-master-key, health_check_concurrency: 0, use_shared_health_check: true}\nrouter_settings: {enable_health_check_routing: true}\n");
}

#[test]
fn problems_are_data_too() {
    let problems = Files::one(
        "model_list: [{model_name: a, litellm_params: {model: openai/x, api_key: hunter2, tags: free}}]\n",
    )
    .load()
    .expect_err("tags are no list");
    insta::assert_json_snapshot!(problems);
}

#[test]
fn a_credential_in_the_place_of_a_key_is_not_shown() {
    for text in ["sk-hunter2-hunter2:\n  a: 1\n", "general_settings:\n  sk-hunter2-hunter2:\n"] {
        let said = said(text);
        assert!(!said.contains("hunter2-hunter2"), "{said}");
    }
}
