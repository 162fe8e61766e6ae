//! The behaviour of the gateway: the real binary, real sockets, scripted upstreams. Each test is a sentence.

#![expect(
    clippy::disallowed_methods,
    clippy::needless_pass_by_value,
    clippy::panic,
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test that cannot go on should fail, and nobody else sees its helpers"
)]

mod admin;
mod audit;
mod auth;
mod books;
mod budgets;
mod budgets_held;
mod budgets_shared;
mod chaos;
mod cli_remote;
mod compare;
mod compatible;
mod cooldowns;
mod customers;
mod decisions;
mod default_limits;
mod deployment_limits;
mod deployments_shared;
mod errors;
mod examples;
mod experiments;
mod fields;
mod fit;
mod gateway;
mod health_checks;
mod jwt;
mod ledger;
mod ledger_loss;
mod ledger_usage;
mod limits;
mod limits_shared;
mod metrics;
mod mirrors;
mod openapi;
mod orders;
mod organizations;
mod outage;
mod overload;
mod peers;
mod prices;
mod projects;
mod prometheus;
mod ramps;
mod rates;
mod reach;
mod reload;
mod rename;
mod retries;
mod roles;
mod route_diff;
mod route_tests;
mod routing;
mod rules;
mod spend;
mod spend_logs;
mod spend_texts;
mod sticky;
mod store;
mod stored_models;
mod stores;
mod strategies;
mod stream;
mod tag_audit;
mod tag_limits;
mod tags_as_objects;
mod teams;
mod tidy;
mod tokens;
mod upstream;
mod users;
mod valkey_ways;
mod valkeys;
mod visible_models;
mod vocabulary;
