//! `tagway migrate`: brings the store up to date and does nothing else, for those who want that apart from a start.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::{data_folder, fail};
use crate::boot;

/// Which store.
#[derive(Debug, Args)]
pub(crate) struct MigrateArgs {
    /// LiteLLM's config.yaml, which may name the database. Without one, DATABASE_URL does.
    #[arg(short, long, env = "TAGWAY_CONFIG_FILE_PATH")]
    config: Option<PathBuf>,
    /// Folder of the store when there is no database. [default: tagway in the XDG data folder]
    #[arg(long, env = "TAGWAY_DATA_DIR")]
    data_dir: Option<PathBuf>,
}

/// Migrates: exit code 0 when the store is up to date now, 1 when not.
pub(crate) fn run(args: MigrateArgs) -> ExitCode {
    match boot::migrate(args.config.as_deref(), &data_folder(args.data_dir)) {
        Ok(said) => {
            // A closed pipe is the reader's wish.
            let _ = writeln!(std::io::stdout(), "{said}");
            ExitCode::SUCCESS
        }
        Err(error) => fail(&format!("tagway: {error:#}"), 1),
    }
}
