//! One connection: read a request, note it, choose a reply, walk its steps, again. It watches the client
//! throughout, so that a client's leaving is an event and not a failed write some time later.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::ReadHalf;
use tokio::sync::{Semaphore, watch};
use tokio::time::sleep;

use crate::plan::{self, Asked, Step};
use crate::read::{self, Broken, Request};
use crate::record::{Record, Seen};
use crate::reply::{Reply, Turn};
use crate::script::Script;

/// What is told of each request once its body was read, or will not be.
pub(crate) type Witness = Box<dyn Fn(&Seen) + Send + Sync>;

/// What all connections of a fake share.
pub(crate) struct Stage {
    pub(crate) script: Script,
    pub(crate) record: Record,
    /// Held replies take a permit each; closed, it stands open.
    pub(crate) gate: Semaphore,
    pub(crate) witness: Option<Witness>,
    /// Turns true when the fake is to end: no connection waits for another request.
    pub(crate) closing: watch::Sender<bool>,
}

enum End {
    Reuse,
    Close,
    Reset,
    Left,
}

/// Waits until the fake is to end. (The value itself is a lock guard, which a task may not keep.)
pub(crate) async fn ending(closing: &mut watch::Receiver<bool>) {
    drop(closing.wait_for(|closing| *closing).await);
}

/// Serves a connection to its end.
pub(crate) async fn serve(mut stream: TcpStream, stage: Arc<Stage>) {
    // Each write is a packet of its own, as a script means it. A socket that refuses is already gone.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let mut closing = stage.closing.subscribe();
    let mut buffer = BytesMut::with_capacity(8 * 1024);
    loop {
        let read = tokio::select! {
            biased;
            read = read::head(&mut stream, &mut buffer) => read,
            () = ending(&mut closing) => return,
        };
        let end = match read {
            Ok(request) => exchange(&mut stream, &mut buffer, request, &stage).await,
            Err(broken) => Err(broken),
        };
        match end {
            Ok(End::Reuse) => {}
            Ok(End::Left) => return stage.record.count(|counts| counts.aborted += 1),
            Ok(End::Reset) => {
                // An error here means the peer was faster.
                drop(stream.set_zero_linger());
                return;
            }
            Ok(End::Close) | Err(Broken::Left) => return,
            Err(Broken::Malformed(why)) => {
                let reply = Reply::error(400, &why).connection_close();
                stage.record.malformed(why);
                let plan = plan::lay_out(&reply, Asked::default());
                walk(&mut stream, &mut buffer, plan.steps, true, &stage).await;
                return;
            }
        }
    }
}

async fn exchange(
    stream: &mut TcpStream,
    buffer: &mut BytesMut,
    request: Request,
    stage: &Stage,
) -> Result<End, Broken> {
    let Request { mut seen, length, http10, close, expects } = request;
    let place = stage.record.head(&seen);
    let chosen = stage.script.before_body();
    let wanted = chosen.as_ref().is_none_or(|reply| reply.read_body);
    let mut outcome = Ok(());
    if wanted {
        if expects && buffer.is_empty() {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        outcome = read::body(stream, buffer, length, &mut seen.body).await;
        seen.whole = outcome.is_ok();
    }
    stage.record.body(place, &seen);
    if let Some(witness) = &stage.witness {
        witness(&seen);
    }
    outcome?;
    let reply = chosen.unwrap_or_else(|| stage.script.after_body(&seen));
    let plan = plan::lay_out(&reply, Asked { head_only: seen.method == "HEAD", http10, close });
    let end = walk(stream, buffer, plan.steps, wanted, stage).await;
    if !matches!(end, End::Left) {
        stage.record.count(|counts| counts.finished += 1);
    }
    if matches!(end, End::Reuse) && plan.reusable && !*stage.closing.borrow() {
        return Ok(End::Reuse);
    }
    if matches!(end, End::Reuse | End::Close) {
        // Not an error worth telling: the client may have closed first.
        drop(stream.shutdown().await);
        if !wanted {
            // To close over unread bytes is to reset, which could take the reply away from the client.
            closed_beyond_unread(&stream.split().0).await;
        }
        return Ok(End::Close);
    }
    Ok(end)
}

/// Walks the steps; `drained` says that the request was read, so that reading can show the client's end.
async fn walk(
    stream: &mut TcpStream,
    buffer: &mut BytesMut,
    steps: Vec<Step>,
    drained: bool,
    stage: &Stage,
) -> End {
    let (mut reader, mut writer) = stream.split();
    for step in steps {
        let act = async {
            match step {
                Step::Wait(delay) => sleep(delay).await,
                Step::Write(bytes) if writer.write_all(&bytes).await.is_err() => return Some(End::Left),
                Step::Write(_) => {}
                Step::Turn(Turn::Hold) => hold(stage).await,
                Step::Turn(Turn::Stall) => std::future::pending().await,
                Step::Turn(Turn::Reset) => return Some(End::Reset),
                Step::Turn(Turn::Close) => return Some(End::Close),
            }
            None
        };
        // The step first: a client that leaves on the last byte has not left early.
        let ended = tokio::select! {
            biased;
            ended = act => ended,
            () = left(&mut reader, buffer, drained) => Some(End::Left),
        };
        if let Some(end) = ended {
            return end;
        }
    }
    End::Reuse
}

async fn hold(stage: &Stage) {
    /// Counts the reply out again even if its client leaves while it waits.
    struct Held<'a>(&'a Record);
    impl Drop for Held<'_> {
        fn drop(&mut self) {
            self.0.count(|counts| counts.held -= 1);
        }
    }
    stage.record.count(|counts| counts.held += 1);
    let _held = Held(&stage.record);
    if let Ok(permit) = stage.gate.acquire().await {
        permit.forget();
    }
}

/// Ends when the client closes its side. Bytes that come meanwhile are kept for the next request.
async fn left(reader: &mut ReadHalf<'_>, buffer: &mut BytesMut, drained: bool) {
    if !drained {
        return closed_beyond_unread(reader).await;
    }
    while buffer.len() < 1 << 20 {
        if !matches!(reader.read_buf(buffer).await, Ok(1..)) {
            return;
        }
    }
    std::future::pending().await
}

/// Ends when the client closes its side, without reading what it sent before.
#[cfg(target_os = "linux")]
async fn closed_beyond_unread(reader: &ReadHalf<'_>) {
    // Interest in "priority" wakes for the peer's close but not for bytes to read, of which there may be
    // many. Out-of-band data would wake it as well; it is not ours to clear, so look again later.
    while let Ok(ready) = reader.ready(tokio::io::Interest::PRIORITY).await {
        if ready.is_read_closed() || ready.is_error() {
            return;
        }
        sleep(Duration::from_millis(20)).await;
    }
}

/// Elsewhere the close hides behind the unread bytes: only a failed write will tell.
#[cfg(not(target_os = "linux"))]
async fn closed_beyond_unread(_: &ReadHalf<'_>) {
    std::future::pending().await
}
