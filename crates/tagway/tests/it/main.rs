//! The behaviour of the gateway: the real binary, real sockets, scripted upstreams. Each test is a sentence.

mod admin;
mod auth;
mod compatible;
mod errors;
mod gateway;
mod limits;
mod orders;
mod reload;
mod retries;
mod routing;
mod stream;
mod upstream;
