//! Answers of any length: written page after page while the client reads, so that what is in memory is never more than
//! two pages. Knows nothing of what is in them.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use bytes::Bytes;
use http_body::Frame;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::super::refusal::Refusal;

/// What is written page by page.
pub(super) trait Pages: Sized + Send + 'static {
    /// The next page, and what comes after it unless it was the last.
    fn page(self) -> impl Future<Output = Result<(String, Option<Self>), Refusal>> + Send;
}

/// A body that begins with `head`.
///
/// # Errors
/// The first page cannot be made: what is wrong at once is still an answer of its own.
pub(super) async fn begin<P: Pages>(head: String, pages: P) -> Result<Body, Refusal> {
    let (first, rest) = pages.page().await?;
    let mut writer =
        Writer { ready: Some((head + &first).into()), runtime: Handle::current(), writing: None };
    writer.go_on(rest);
    Ok(Body::new(writer))
}

type Page<P> = Result<(String, Option<P>), Refusal>;

/// Pages as a body. Whoever reads it does so on a worker; the store is asked on the runtime of management.
struct Writer<P> {
    ready: Option<Bytes>,
    runtime: Handle,
    writing: Option<JoinHandle<Page<P>>>,
}

impl<P: Pages> Writer<P> {
    fn go_on(&mut self, rest: Option<P>) {
        self.writing = rest.map(|rest| self.runtime.spawn(rest.page()));
    }
}

impl<P> Drop for Writer<P> {
    fn drop(&mut self) {
        if let Some(writing) = &self.writing {
            writing.abort();
        }
    }
}

/// An answer that could not be written to its end: its reader sees that it is cut.
#[derive(Debug, thiserror::Error)]
#[error("the store failed within an answer")]
struct Cut;

impl<P: Pages> http_body::Body for Writer<P> {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let writer = &mut *self;
        if let Some(ready) = writer.ready.take() {
            return Poll::Ready(Some(Ok(Frame::data(ready))));
        }
        let Some(writing) = &mut writer.writing else { return Poll::Ready(None) };
        let page = ready!(Pin::new(writing).poll(context));
        writer.writing = None;
        let Ok(Ok((text, rest))) = page else { return Poll::Ready(Some(Err(Cut))) };
        writer.go_on(rest);
        Poll::Ready(Some(Ok(Frame::data(text.into()))))
    }
}
