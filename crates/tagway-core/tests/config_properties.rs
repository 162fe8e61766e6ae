//! What holds for every file, however broken: loading ends without a panic, and no secret is ever shown.

mod config_host;

use config_host::Files;
use proptest::prelude::*;

const SECRET: &str = "Tr0ub4dor-hunter2";

/// Lines a configuration is made of, secrets in every place they stand in.
fn line() -> impl Strategy<Value = String> {
    let text = prop_oneof![
        Just("model_list:".to_owned()),
        Just("- model_name: gpt-4".to_owned()),
        Just("litellm_params:".to_owned()),
        Just("model: openai/x".to_owned()),
        Just("tags: [free, 7, !x y, *a]".to_owned()),
        Just("router_settings:".to_owned()),
        Just("general_settings: {master_key: Tr0ub4dor-hunter2, max_response_size_mb: 1, x: }".to_owned()),
        Just("environment_variables: {A: Tr0ub4dor-hunter2, OPENAI_API_KEY: [Tr0ub4dor-hunter2]}".to_owned()),
        // Below `extra_headers` a key is the name of a header, which is shown; here it is a part of the secret.
        Just("api_key: {Tr0ub4dor-hunter2: 1}".to_owned()),
        Just("timeout: -1".to_owned()),
        Just("<<: *a".to_owned()),
        Just("x-a: &a".to_owned()),
        (
            prop_oneof![
                Just("api_key"),
                Just("master_key"),
                Just("api_kye"),
                Just("client_secret"),
                Just("aws_secret_access_key"),
                Just("redis_password"),
                Just("database_url"),
                Just("extra_headers"),
            ],
            prop_oneof![
                Just("Tr0ub4dor-hunter2".to_owned()),
                Just("\"Tr0ub4dor-hunter2\"".to_owned()),
                Just("[Tr0ub4dor-hunter2]".to_owned()),
                Just("{a: Tr0ub4dor-hunter2}".to_owned()),
                Just("{a: 1, b: \"Tr0ub4dor-hunter2".to_owned()),
                Just("|\n      Tr0ub4dor-hunter2".to_owned()),
                Just("\n\tTr0ub4dor-hunter2".to_owned()),
                Just("&k Tr0ub4dor-hunter2 # old: x".to_owned()),
                Just("*Tr0ub4dor-hunter2".to_owned()),
                Just("&Tr0ub4dor-hunter2".to_owned()),
                Just("!Tr0ub4dor-hunter2".to_owned()),
            ],
        )
            .prop_map(|(key, value)| format!("{key}: {value}")),
    ];
    (0usize..5, text).prop_map(|(indent, text)| format!("{}{text}\n", "  ".repeat(indent)))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        Files::one(&String::from_utf8_lossy(&bytes)).linted();
    }

    #[test]
    fn arbitrary_yaml_never_panics(text in "[\\-a-c:#\\[\\]{},&*!|>'\" \t\n%@0-9]{0,120}") {
        Files::one(&text).linted();
    }

    #[test]
    fn no_secret_is_shown(lines in proptest::collection::vec(line(), 1..14)) {
        let files = Files::one(&lines.concat()).env("KEY", SECRET);
        let said = files.linted();
        prop_assert!(!said.contains(SECRET), "{said}\n--- of ---\n{}", lines.concat());
        if let Ok(loaded) = files.load() {
            let general = format!("{:?}", loaded.config.general);
            prop_assert!(!general.contains(SECRET));
        }
    }
}
