# Lists the recipes.
default:
    @just --list --unsorted

# Type-checks everything.
check:
    cargo check --workspace --all-targets

# Runs every test.
test:
    scripts/test

# Starts the gateway; offline with the quick start's file.
run config="examples/quickstart.yaml":
    cargo run --release -p tagway -- --config {{config}}

# Measures the release binary beside an nginx reverse proxy, or with --ledger what accounting costs; needs nginx and wrk.
bench *options:
    bench/run {{options}}

# Measures what surviving bad upstreams and overload costs while nothing fails; needs nginx and wrk.
resilience *options:
    bench/resilience {{options}}

# Measures virtual keys beside the master key, with 100,000 of them.
keys *options:
    bench/keys {{options}}

# Kills the gateway under load and compares what clients got with the books.
kill *options:
    bench/kill {{options}}

# Makes upstreams, stores and clients misbehave for long, and tells what clients see; `just chaos boundary` for a part.
chaos *options:
    scripts/chaos {{options}}

# Measures start and idle memory.
start:
    bench/start

# Measures the core's decisions and readers.
micro:
    cargo bench -p tagway-core --bench '*'

# Fuzzes every target, each for so many seconds; needs a nightly toolchain and cargo-fuzz.
fuzz seconds="60":
    scripts/fuzz {{seconds}}

# Builds the documentation of the code.
doc:
    cargo doc --workspace --no-deps --open

# Formats, and looks for what the compiler lets pass.
lint:
    cargo fmt --all
    cargo clippy --workspace --all-targets -- -D warnings

# Everything that a change must pass.
ci:
    .ci/run
