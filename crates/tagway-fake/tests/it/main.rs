//! The fake over real sockets, spoken to by a client that shows every byte.

mod openai;
mod program;
mod replies;
mod requests;
// Said of the module, clippy lets its helpers unwrap as it lets the tests.
#[cfg(test)]
mod support;
