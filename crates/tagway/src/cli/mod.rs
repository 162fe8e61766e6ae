//! The command line. `tagway --config FILE` serves, as `litellm --config FILE` does; subcommands look at a
//! configuration without serving it, or manage a gateway that runs.

mod check;
mod diff;
mod explain;
mod junit;
mod migrate;
mod remote;
mod route_tests;
mod supposed;
mod words;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};

use crate::boot::{self, DataFolder, Misconfigured};

/// An LLM gateway that routes by tags. Serves LiteLLM's config.yaml over OpenAI's API.
#[derive(Debug, Parser)]
#[command(name = "tagway", version, max_term_width = 100, args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: Serve,
}

/// For people, or for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check a configuration: all its problems, and what deserves a look.
    Check(check::CheckArgs),
    /// Explain where a request would go, and why.
    Explain(explain::ExplainArgs),
    /// Test whether requests go where a file says they do.
    Test(route_tests::TestArgs),
    /// Show which requests a change of the configuration sends elsewhere.
    Diff(diff::DiffArgs),
    /// Bring the store up to date, as every start does.
    Migrate(migrate::MigrateArgs),
    /// Manage virtual keys of a running gateway.
    Key(remote::Asked<remote::Key>),
    /// Manage teams of a running gateway, and who is in them.
    Team(remote::Asked<remote::Team>),
    /// Manage tags of a running gateway.
    Tag(remote::Asked<remote::Tag>),
    /// Manage deployments of a running gateway.
    Model(remote::Asked<remote::Model>),
    /// Manage users of a running gateway.
    User(remote::Asked<remote::User>),
    /// Read what was spent, from a running gateway.
    Spend(remote::Asked<remote::Spend>),
    /// Print completions for a shell: `source <(tagway completions bash)`
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// How to serve.
#[derive(Debug, Args)]
struct Serve {
    /// LiteLLM's config.yaml.
    #[arg(short, long, env = "TAGWAY_CONFIG_FILE_PATH")]
    config: Option<PathBuf>,
    /// Address to listen on.
    #[arg(long, env = "TAGWAY_HOST", default_value = "0.0.0.0")]
    host: String,
    /// Port to listen on.
    #[arg(long, env = "TAGWAY_PORT")]
    port: Option<u16>,
    /// Worker threads; one a core when not given.
    #[arg(long, env = "TAGWAY_WORKERS")]
    workers: Option<usize>,
    /// Seconds that requests in progress have to end when the gateway is told to stop.
    #[arg(long, env = "TAGWAY_SHUTDOWN_GRACE", default_value_t = 30)]
    shutdown_grace: u64,
    /// Folder for keys, teams and spend; with DATABASE_URL, for what is on its way there. [default: tagway in the XDG data folder]
    #[arg(long, env = "TAGWAY_DATA_DIR")]
    data_dir: Option<PathBuf>,
    /// Log JSON, a line an event.
    #[arg(long, env = "TAGWAY_JSON_LOGS")]
    json_logs: bool,
    /// Log more. `RUST_LOG` chooses in detail.
    #[arg(long, alias = "debug", alias = "detailed_debug", alias = "detailed-debug")]
    verbose: bool,
    /// LiteLLM's flags that mean nothing here: accepted with a note.
    #[command(flatten)]
    foreign: Foreign,
}

/// Flags of `litellm` that tagway has no use for.
#[derive(Debug, Args)]
struct Foreign {
    #[arg(long = "num_workers", hide = true)]
    num_workers: Option<String>,
    #[arg(long, hide = true, num_args = 0..=1, default_missing_value = "true")]
    telemetry: Option<String>,
    #[arg(long = "run_gunicorn", hide = true)]
    run_gunicorn: bool,
    #[arg(long = "run_hypercorn", hide = true)]
    run_hypercorn: bool,
    #[arg(long = "use_prisma_db_push", hide = true)]
    use_prisma_db_push: bool,
    #[arg(long = "skip_server_startup", hide = true)]
    skip_server_startup: bool,
}

impl Foreign {
    fn notes(&self) -> Vec<String> {
        let given = [
            ("--num_workers", self.num_workers.is_some()),
            ("--telemetry", self.telemetry.is_some()),
            ("--run_gunicorn", self.run_gunicorn),
            ("--run_hypercorn", self.run_hypercorn),
            ("--use_prisma_db_push", self.use_prisma_db_push),
            ("--skip_server_startup", self.skip_server_startup),
        ];
        let given = given.into_iter().filter(|(_, given)| *given);
        given
            .map(|(name, _)| format!("{name} is a flag of litellm that means nothing to tagway: ignored"))
            .collect()
    }
}

/// Runs what the command line asks for.
pub(crate) fn run() -> ExitCode {
    let cli = Cli::parse();
    match cli.command {
        Some(Command::Check(args)) => check::run(&args),
        Some(Command::Explain(args)) => explain::run(&args),
        Some(Command::Test(args)) => route_tests::run(&args),
        Some(Command::Diff(args)) => diff::run(&args),
        Some(Command::Migrate(args)) => migrate::run(args),
        Some(Command::Key(asked)) => remote::run(&asked),
        Some(Command::Team(asked)) => remote::run(&asked),
        Some(Command::Tag(asked)) => remote::run(&asked),
        Some(Command::Model(asked)) => remote::run(&asked),
        Some(Command::User(asked)) => remote::run(&asked),
        Some(Command::Spend(asked)) => remote::run(&asked),
        Some(Command::Completions { shell }) => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "tagway", &mut script);
            // A closed pipe is the reader's wish.
            let _ = std::io::stdout().lock().write_all(&script);
            ExitCode::SUCCESS
        }
        None => serve(cli.serve),
    }
}

/// An environment variable, its `TAGWAY_` twin having been read by the parser.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The folder asked for; else `tagway` in the XDG data folder; else, without a home, one below the current folder.
fn data_folder(asked: Option<PathBuf>) -> DataFolder {
    if let Some(folder) = asked {
        return DataFolder::Given(folder);
    }
    let base = variable("XDG_DATA_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let base = base.or_else(|| Some(PathBuf::from(variable("HOME")?).join(".local/share")));
    DataFolder::Usual(base.map_or_else(|| PathBuf::from("tagway-data"), |base| base.join("tagway")))
}

fn serve(args: Serve) -> ExitCode {
    let Some(config) = args.config.or_else(|| variable("CONFIG_FILE_PATH").map(PathBuf::from)) else {
        return fail("no configuration: give --config FILE, or set CONFIG_FILE_PATH", 64);
    };
    let port = match (args.port, variable("PORT")) {
        (Some(port), _) => port,
        (None, None) => 4000,
        (None, Some(text)) => match text.parse() {
            Ok(port) => port,
            Err(_) => return fail(&format!("PORT={text}: not a port number"), 64),
        },
    };
    let plan = boot::Plan {
        config,
        host: args.host,
        port,
        workers: args.workers.filter(|count| 0 < *count),
        grace: Duration::from_secs(args.shutdown_grace),
        json_logs: args.json_logs,
        verbose: args.verbose,
        data: data_folder(args.data_dir),
        notes: args.foreign.notes(),
    };
    match boot::run(&plan) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<Misconfigured>() => fail(&error.to_string(), 2),
        Err(error) => fail(&format!("tagway: {error:#}"), 1),
    }
}

/// Says what is wrong on standard error.
fn fail(message: &str, code: u8) -> ExitCode {
    // Nobody is left to be told when standard error is closed.
    let _ = writeln!(std::io::stderr(), "{message}");
    ExitCode::from(code)
}
