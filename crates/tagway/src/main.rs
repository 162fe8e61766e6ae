//! tagway: an LLM gateway that sends each request to the right deployment by tags.
//!
//! `cli` reads the command line, `boot` puts the gateway together, `listen` serves connections, `data` is the
//! path of a request, `admin` everything else. Imports point down only; a test holds that.

mod access;
mod accounts;
mod admin;
mod alerts;
mod auth;
mod boot;
mod call;
mod capacity;
mod catalog;
mod checks;
mod cli;
mod cors;
mod data;
mod directory;
mod error;
mod health;
mod host;
mod judge;
mod jwt;
mod ledger;
mod listen;
mod live;
mod meter;
mod metrics;
mod mirrors;
mod objects;
mod peers;
mod places;
mod ramps;
mod receipt;
mod route;
mod seal;
mod seen;
mod store;
mod tags;
mod tasks;
mod telemetry;
mod valkey;
mod web;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    // The allocator asks for huge pages, which hold twice what an idle gateway needs.
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    cli::run()
}
