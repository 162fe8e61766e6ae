//! What sound configurations load as: the examples of LiteLLM's documents, and each feature of the format.

mod config_host;

use std::time::Duration;

use config_host::Files;
use tagway_core::config::{
    HealthCheck, HealthChecks, Mock, MockError, Overload, Rates, SpendFailure, SpendRules, TagKind, Tier,
    Valkey, ValkeyServer,
};
use tagway_core::fault::{Fault, OutlierEjection, RetryBudget};
use tagway_core::money::Nanos;
use tagway_core::secret::Secret;
use tagway_core::strategy::{By, Latency, Strategy};

#[test]
fn the_quick_start_of_tag_routing_loads() {
    let loaded =
        Files::one(include_str!("config/quickstart.yaml")).env("OPENAI_API_KEY", "sk-real").must_load();
    let config = loaded.config;
    let tags: Vec<&[String]> = config.deployments.iter().map(|d| d.tags.as_slice()).collect();
    assert_eq!(tags, [["free"], ["paid"], ["default"]]);
    assert!(config.router.tags.enable_tag_filtering);
    assert!(config.router.tags.match_any);
    let first = &config.deployments[0];
    assert_eq!((first.model.as_str(), first.upstream_model.as_str()), ("openai/fake", "fake"));
    assert_eq!(
        first.api_base.as_deref(),
        Some("https://exampleopenaiendpoint-production.up.railway.app/"),
        "as written, with its slash"
    );
    assert_eq!(
        config.deployments[1].api_key.as_ref().map(|key| key.expose().to_owned()),
        Some("sk-real".into())
    );
    assert_eq!(config.deployments[1].api_base, None);
    let notes: Vec<&str> = loaded.notes.iter().map(|note| note.message.as_str()).collect();
    assert_eq!(notes, ["the master key is one from the tutorials"]);
}

#[test]
fn team_based_routing_loads() {
    let config = Files::one(include_str!("config/teams.yaml")).must_load().config;
    let ids: Vec<&str> = config.deployments.iter().map(|d| d.info.id.as_str()).collect();
    assert_eq!(&ids[..2], ["team-a-model", "team-b-model"]);
    assert_eq!(ids[2].len(), 64, "a hash of the entry");
    assert_eq!(config.deployments[1].info.fields["id"], "team-b-model");
}

#[test]
fn free_and_paid_tiers_load() {
    let config =
        Files::one(include_str!("config/tiers.yaml")).env("OPENAI_API_KEY", "sk-real").must_load().config;
    let tiers: Vec<Option<Tier>> = config.deployments.iter().map(|d| d.info.tier).collect();
    assert_eq!(tiers, [Some(Tier::Free), Some(Tier::Paid)]);
}

#[test]
fn everything_that_works_is_read() {
    let loaded = Files::one(include_str!("config/full.yaml"))
        .env("EU_KEY", "eu-secret")
        .env("RPM", "60")
        .env("FILTER", "true")
        .env("REDIS_HOST", "cache")
        .env("DATABASE_URL", "postgresql://u:p@db/tagway")
        .must_load();
    let config = loaded.config;
    let one = &config.deployments[0];
    assert_eq!(one.api_key.as_ref().map(|key| key.expose()), Some("eu-secret"));
    assert_eq!((one.weight, one.order, one.rpm, one.tpm), (Some(2.5), Some(1), Some(60), Some(100_000)));
    assert_eq!(one.max_parallel_requests, Some(8));
    assert_eq!(one.timeout, Some(Duration::from_millis(1500)));
    assert_eq!(one.stream_timeout, Some(Duration::from_secs(3)));
    assert_eq!(one.max_retries, Some(0));
    assert_eq!(one.tag_regex, ["^User-Agent: claude-code/"]);
    assert_eq!(one.organization.as_deref(), Some("org-1"));
    assert_eq!(
        one.prices,
        [
            ("input_cost_per_token".to_owned(), 1e-6),
            ("output_cost_per_token_above_128k_tokens".to_owned(), 4e-6),
            ("output_cost_per_token".to_owned(), 0.000_002)
        ]
    );
    assert_eq!(one.extra_headers.len(), 1);
    assert_eq!(serde_json::to_string(&one.defaults).unwrap(), r#"{"temperature":0.2,"stop":["a",null]}"#);
    assert_eq!(one.info.enable_tag_filtering, Some(false));
    assert!(one.info.allow_fail_open);
    assert_eq!(one.info.fields["mode"], "chat");
    let rates = |requests, tokens| Rates { requests, tokens, in_progress: None };
    let tags =
        [("customer:*".to_owned(), rates(Some(10), Some(5000))), ("eu".to_owned(), rates(None, Some(100)))];
    assert_eq!(one.info.tag_rates, tags);
    assert_eq!(one.info.tag_budgets[0].1.duration.as_deref(), Some("1d"));
    assert_eq!(config.deployments[1].mock, Some(Mock::Text("hello".to_owned())));
    assert_eq!(config.deployments[1].upstream_model, "claude-3");
    assert_eq!(config.deployments[2].mock, Some(Mock::Error(MockError::RateLimit)));
    assert_eq!(config.deployments[3].mock, Some(Mock::Embedding(vec![0.1, -0.2])));
    assert_eq!(config.deployments[4].model_name, "openai/*");
    let router = &config.router;
    assert!(router.tags.enable_tag_filtering && !router.tags.match_any && router.tags.hierarchy);
    assert_eq!(router.tags.prefix, "route:");
    assert_eq!((router.tag_error_status, router.num_retries, router.failures.allowed.any), (403, 1, Some(0)));
    let failures = &router.failures;
    assert_eq!(failures.retries_of("mock", Fault::RateLimit), Some(3));
    assert_eq!(failures.retries_of("mock", Fault::Timeout), Some(1));
    assert_eq!(failures.retries_of("chat", Fault::Timeout), Some(0));
    assert_eq!(failures.retries_of("chat", Fault::RateLimit), None);
    assert_eq!(failures.retry_budget, Some(RetryBudget { per_mille: 125, per_second: 3 }));
    assert_eq!(failures.allowed.by_fault.of(Fault::InternalServer), Some(2));
    let outliers = OutlierEjection { latency_factor: 4.0, min_requests: 5, ..OutlierEjection::default() };
    assert_eq!(failures.outliers, Some(outliers));
    let latency = Latency { ttl: Duration::from_secs(60), buffer: 0.5, samples: 20, percentile: Some(0.9) };
    assert_eq!(router.strategy_of("embed"), &Strategy::Fastest(latency));
    let by = By::Header("x-session-id".parse().unwrap());
    assert_eq!(router.strategy_of("chat"), &Strategy::Sticky(by));
    assert_eq!(router.strategy_of("mock"), &Strategy::LeastUsed { v2: true });
    assert_eq!(router.fallbacks, [("chat".to_owned(), vec!["mock".to_owned(), "openai/gpt-4o".to_owned()])]);
    assert_eq!(router.context_window_fallbacks, [("chat".to_owned(), vec!["mock".to_owned()])]);
    assert_eq!((router.default_max_parallel_requests, router.enforce_rates), (Some(40), true));
    assert_eq!(router.aliases.len(), 2);
    assert!(router.aliases[1].hidden && router.aliases[1].group == "fast");
    assert_eq!(router.timeout, Duration::from_secs(30));
    assert_eq!(config.general.max_request_bytes, 1 << 19);
    assert_eq!(config.general.key_header.as_ref().map(|name| name.as_str()), Some("x-gateway-key"));
    let general = &config.general;
    assert_eq!(general.max_parallel_requests, Some(20));
    let overload = Overload {
        places: Some(500),
        queue: 50,
        wait: Duration::from_millis(2500),
        connections: Some(9000),
        low: 0.5,
        normal: 0.8,
    };
    assert_eq!(general.overload, overload);
    let (users, customers) = (&config.proxy.new_users, &config.proxy.customers);
    assert_eq!((users.max, users.duration.as_deref()), (Some(Nanos(7_000_000_000)), Some("1mo")));
    assert_eq!(
        (customers.max, customers.budget_id.as_deref()),
        (Some(Nanos(500_000_000)), Some("free-tier"))
    );
    let kinds: Vec<TagKind> = config.tags.iter().map(|tag| tag.kind).collect();
    assert_eq!(kinds, [TagKind::Both, TagKind::Attribution, TagKind::Attribution]);
    let notes: Vec<String> = loaded.notes.iter().map(|note| note.to_string()).collect();
    insta::assert_snapshot!(notes.join("\n"));
}

#[test]
fn what_becomes_of_spend_that_cannot_be_kept_is_the_operators_choice() {
    let spend = |lines: &str| {
        let text =
            format!("model_list: []\ngeneral_settings:\n  master_key: sk-0123456789abcdef0123\n{lines}");
        Files::one(&text).must_load().config.general.spend
    };
    let usual = SpendRules { failure: SpendFailure::Serve, journal_bytes: 1 << 30, kept: true };
    assert_eq!(spend(""), usual);
    let strict = SpendRules { failure: SpendFailure::Refuse, journal_bytes: 64 << 20, ..usual };
    assert_eq!(spend("  spend_failure: refuse\n  spend_journal_max_mb: 64\n"), strict);
    assert_eq!(spend("  disable_spend_updates: true\n"), SpendRules { kept: false, ..usual });
}

#[test]
fn included_files_join() {
    let loaded = Files::new()
        .file("conf/config.yaml", "include: [models/a.yaml, b.yaml]\nmodel_list:\n- model_name: one\n  litellm_params: {model: openai/x, api_key: k}\ngeneral_settings: {master_key: a-long-enough-master-key}\nrouter_settings: {num_retries: 1}\n")
        .file("conf/models/a.yaml", "include: [c.yaml]\nmodel_list:\n- model_name: two\n  litellm_params: {model: openai/x, api_key: k}\n")
        .file("conf/models/c.yaml", "model_list:\n- model_name: four\n  litellm_params: {model: openai/x, api_key: k}\n")
        .file("conf/b.yaml", "model_list:\n- model_name: three\n  litellm_params: {model: openai/x, api_key: k}\nrouter_settings: {timeout: 9}\n")
        .at("conf/config.yaml")
        .must_load();
    let names: Vec<&str> = loaded.config.deployments.iter().map(|d| d.model_name.as_str()).collect();
    assert_eq!(names, ["one", "two", "three", "four"]);
    assert_eq!(loaded.config.router.num_retries, 1);
    assert_eq!(loaded.config.router.timeout, Duration::from_secs(9));
    let files: Vec<String> = loaded.files.iter().map(|(path, _)| path.display().to_string()).collect();
    assert_eq!(files, ["conf/config.yaml", "conf/models/a.yaml", "conf/b.yaml", "conf/models/c.yaml"]);
}

#[test]
fn the_environment_gives_the_master_key_when_the_file_does_not() {
    let files = || Files::one("model_list: []\n").env("LITELLM_MASTER_KEY", "litellm-key-of-some-length");
    let key = |files: Files| files.must_load().config.general.master_key.map(|key| key.expose().to_owned());
    assert_eq!(key(files()).as_deref(), Some("litellm-key-of-some-length"));
    let twin = files().env("TAGWAY_MASTER_KEY", "tagway-key-of-some-length");
    assert_eq!(key(twin).as_deref(), Some("tagway-key-of-some-length"));
}

/// Where Valkey is, by a file with more than deployments and by the environment.
fn valkey(more: &str, env: &[(&str, &str)]) -> Option<Valkey> {
    let files = Files::one(&format!("model_list: []\n{more}\n"));
    let files = files.env("LITELLM_MASTER_KEY", "litellm-key-of-some-length");
    let files = env.iter().fold(files, |files, (name, value)| files.env(name, value));
    files.must_load().config.router.valkey
}

fn at(host: &str, port: u16, password: Option<&str>) -> Option<Valkey> {
    let mut valkey = Valkey::new(ValkeyServer::Address(host.to_owned(), port));
    valkey.password = password.map(Secret::new);
    Some(valkey)
}

#[test]
fn valkey_is_where_the_file_or_the_environment_says() {
    let of = |settings: &str, env: &[(&str, &str)]| valkey(&format!("router_settings: {{{settings}}}"), env);
    let url = |text: &str| Some(Valkey::new(ValkeyServer::Url(Secret::new(text))));
    assert_eq!(of("", &[]), None);
    assert_eq!(of("redis_password: os.environ/NOT_SET", &[]), None);
    assert_eq!(of("redis_host: cache, redis_port: 7000", &[]), at("cache", 7000, None));
    assert_eq!(of("redis_host: cache, redis_url: 'rediss://u:p@x/1'", &[]), url("rediss://u:p@x/1"));
    let env = [("REDIS_HOST", "there"), ("REDIS_PORT", "tcp://10.0.0.1:6379"), ("REDIS_PASSWORD", "p")];
    assert_eq!(of("", &env), at("there", 6379, Some("p")));
    assert_eq!(of("redis_password: q", &env), at("there", 6379, Some("q")));
    let env = [("REDIS_URL", "redis://there:1"), ("REDIS_PASSWORD", "p")];
    assert_eq!(of("", &env), url("redis://there:1"));
    assert_eq!(of("redis_host: here", &env), at("here", 6379, Some("p")));
}

#[test]
fn valkey_may_be_that_of_coordination_or_of_a_cache() {
    let cache =
        "litellm_settings: {cache: true, cache_params: {type: redis, host: cache, port: 1, ttl: 9, mode: x}}";
    assert_eq!(valkey(cache, &[]), at("cache", 1, None));
    assert_eq!(valkey(&cache.replace("true", "false"), &[]), None);
    assert_eq!(valkey(&cache.replace("type: redis", "type: s3"), &[]), None);
    let router = format!("{cache}\nrouter_settings: {{redis_host: router}}");
    assert_eq!(valkey(&router, &[]), at("router", 6379, None));
    let all = format!("{router}\ngeneral_settings: {{coordination_redis: {{host: own, password: p}}}}");
    assert_eq!(valkey(&all, &[("REDIS_URL", "redis://there")]), at("own", 6379, Some("p")));
}

#[test]
fn valkey_may_be_a_cluster_and_speak_tls_by_certificates_of_ones_own() {
    let node = |port| ("a".to_owned(), port);
    let cluster = Valkey::new(ValkeyServer::Cluster(vec![node(1), node(6379)]));
    let nodes = "router_settings: {redis_startup_nodes: [{host: a, port: 1}, {host: a}]}";
    assert_eq!(valkey(nodes, &[]).as_ref(), Some(&cluster));
    let nodes = r#"[{"host": "a", "port": "1"}, {"host": "a"}]"#;
    assert_eq!(valkey("", &[("REDIS_CLUSTER_NODES", nodes)]), Some(cluster));
    assert_eq!(valkey("", &[("REDIS_CLUSTER_NODES", "none")]), None);
    let tls = "general_settings: {coordination_redis: {host: a, ssl: true, ssl_ca_certs: ca, ssl_certfile: c, ssl_keyfile: k, ssl_cert_reqs: required}}";
    let expected = Valkey {
        tls: true,
        ca_certs: Some("ca".to_owned()),
        certificate: Some(("c".to_owned(), "k".to_owned())),
        ..Valkey::new(ValkeyServer::Address("a".to_owned(), 6379))
    };
    assert_eq!(valkey(tls, &[]), Some(expected));
    let env = [("REDIS_SSL_CA_CERTS", "ca")];
    let url = valkey("router_settings: {redis_url: 'rediss://x'}", &env).unwrap();
    assert_eq!(url.ca_certs.as_deref(), Some("ca"));
}

#[test]
fn ids_survive_reordering_and_key_rotation() {
    let ids = |text: &str| -> Vec<String> {
        Files::one(text).must_load().config.deployments.iter().map(|d| d.info.id.clone()).collect()
    };
    let before = ids(
        "model_list:\n- model_name: a\n  litellm_params: {model: openai/x, api_key: one}\n- model_name: b\n  litellm_params: {model: openai/x, api_key: two}\n",
    );
    let after = ids(
        "model_list:\n- model_name: b\n  litellm_params: {api_key: three, model: openai/x}\n- litellm_params: {model: openai/x, api_key: four}\n  model_name: a\n",
    );
    assert_eq!(before, [after[1].clone(), after[0].clone()]);
    let twins = ids(
        "model_list:\n- &one\n  model_name: a\n  litellm_params: {model: openai/x, api_key: one}\n- *one\n",
    );
    assert_eq!(twins[1], format!("{}-2", twins[0]));
}

#[test]
fn environment_variables_of_the_file_go_before_the_process() {
    let config = Files::one("environment_variables: {BASE: 'http://file', OTHER: os.environ/REAL}\nmodel_list:\n- model_name: a\n  litellm_params: {model: openai/x, api_key: os.environ/OTHER, api_base: os.environ/BASE}\n")
        .env("BASE", "http://process")
        .env("REAL", "real")
        .must_load()
        .config;
    assert_eq!(config.deployments[0].api_base.as_deref(), Some("http://file"));
    assert_eq!(config.deployments[0].api_key.as_ref().map(|key| key.expose()), Some("real"));
}

#[test]
fn health_checks_load() {
    let loaded = |settings: &str, info: &str| {
        Files::one(&format!(
            "model_list:\n- {{model_name: a, litellm_params: {{model: 'openai/*', api_key: k}}, model_info: {{{info}}}}}\ngeneral_settings:\n  master_key: a-long-enough-master-key\n{settings}"
        ))
        .env("HEALTH_CHECK_TIMEOUT_SECONDS", "7")
        .must_load()
    };
    let checks = |settings: &str| loaded(settings, "").config.general.health;
    let seconds = Duration::from_secs;
    let usual = checks("");
    assert_eq!((usual.every, usual.routes, usual.details), (None, false, true));
    assert_eq!((usual.at_once, usual.patience, usual.tokens), (16, seconds(7), 16));
    let on = checks("  background_health_checks: true\n");
    assert_eq!((on.every, on.routes, on.stale_after), (Some(seconds(300)), false, seconds(600)));
    let off = checks("  background_health_checks: true\n  health_check_interval: 0\n");
    assert_eq!(off.every, None, "as in LiteLLM");
    let all = checks(
        "  background_health_checks: true\n  health_check_interval: 30\n  enable_health_check_routing: true\n  health_check_staleness_threshold: 45\n  health_check_concurrency: 2\n  health_check_details: false\n  health_check_ignore_transient_errors: true\n  background_health_check_model_groups: [a]\n  health_check_skip_disabled_background_models: true\n",
    );
    let expected = HealthChecks {
        every: Some(seconds(30)),
        at_once: 2,
        details: false,
        routes: true,
        stale_after: seconds(45),
        ignore_transient: true,
        groups: Some(vec!["a".to_owned()]),
        skip_disabled: true,
        patience: seconds(7),
        tokens: 16,
    };
    assert_eq!(all, expected);
    let idle = loaded("  enable_health_check_routing: true\n", "");
    assert!(!idle.config.general.health.routes);
    let notes: Vec<&str> = idle.notes.iter().map(|note| note.message.as_str()).collect();
    assert_eq!(notes, ["without effect: no deployment is checked in the background"]);

    let info = "health_check_model: openai/gpt-4o-mini, health_check_timeout: 2.5, health_check_max_tokens: 4, health_check_supports_max_tokens: true, health_check_reasoning_effort: low, health_check_params: {x: 1}, disable_background_health_check: true";
    let one = &loaded("", info).config.deployments[0].info;
    let expected = HealthCheck {
        not_in_background: true,
        model: Some(("openai/gpt-4o-mini".to_owned(), "gpt-4o-mini".to_owned())),
        timeout: Some(Duration::from_millis(2500)),
        tokens: Some(4),
        takes_tokens: Some(true),
        effort: Some("low".into()),
        params: serde_json::Map::from_iter([("x".to_owned(), 1.into())]),
    };
    assert_eq!(one.health, expected);
    assert_eq!(one.fields["health_check_max_tokens"], 4, "and shown as written");
}

#[test]
fn a_sample_of_decisions_is_explained() {
    let sample =
        |lines: &str| Files::one(&format!("model_list: []\n{lines}")).must_load().config.tag_settings.sample;
    assert_eq!((sample(""), sample("tag_settings: {explain_sample: 0.5}")), (0.01, 0.5));
}
