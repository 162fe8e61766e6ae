//! Background tasks: each has a name, an owner and an end. The only place that spawns.

use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

/// The owner of some tasks.
pub(crate) struct Tasks {
    set: JoinSet<()>,
    stop: watch::Sender<bool>,
}

/// Tells a task when to end.
#[derive(Clone)]
pub(crate) struct Stop(watch::Receiver<bool>);

impl Stop {
    /// Returns when the task is asked to end.
    pub(crate) async fn asked(&mut self) {
        // An owner that is gone asks too.
        let _ = self.0.wait_for(|stop| *stop).await;
    }
}

impl Tasks {
    /// No tasks yet.
    pub(crate) fn new() -> Self {
        Self { set: JoinSet::new(), stop: watch::Sender::new(false) }
    }

    /// A sign to hand to others who are to stop with these tasks.
    pub(crate) fn stop_sign(&self) -> Stop {
        Stop(self.stop.subscribe())
    }

    /// Starts a task on the current runtime.
    pub(crate) fn spawn<F>(&mut self, name: &'static str, task: impl FnOnce(Stop) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let task = task(self.stop_sign());
        self.set.spawn(async move {
            task.await;
            tracing::trace!(task = name, "ended");
        });
        // Those that have ended are forgotten here, so that the set does not grow with every connection.
        while self.set.try_join_next().is_some() {}
    }

    /// Asks all tasks to end and waits for them; says how many had to be cut off.
    pub(crate) async fn stop_within(mut self, grace: Duration) -> usize {
        self.stop.send_replace(true);
        let all = async { while self.set.join_next().await.is_some() {} };
        if tokio::time::timeout(grace, all).await.is_ok() {
            return 0;
        }
        let left = self.set.len();
        self.set.shutdown().await;
        left
    }
}
