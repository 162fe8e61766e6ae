//! The gateway's places for requests in progress, and the queue of those who wait for one. Who is more important goes
//! first, and takes the last seat of the queue from who is less so. Knows neither tags nor answers.
//!
//! A place is taken by one atomic while nobody waits. The queue has a lock, which is held for a push or a pop, and only
//! while the gateway is full.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tagway_core::priority::{Admission, Priority};
use tokio::sync::oneshot;

/// As many priorities there are.
const LINES: usize = Priority::ALL.len();

/// Why a request got no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shed {
    /// Nobody may wait any more.
    QueueFull,
    /// It waited in vain.
    QueueTimeout,
    /// A more important one has taken its seat.
    Displaced,
}

impl Shed {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::QueueFull, Self::QueueTimeout, Self::Displaced];

    /// LiteLLM's name of it, where it has one.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::QueueTimeout => "queue_timeout",
            Self::Displaced => "displaced",
        }
    }
}

/// All places of a gateway.
#[derive(Debug, Default)]
pub(crate) struct Places {
    taken: AtomicU32,
    /// Requests that are read, or wait.
    before: AtomicU32,
    /// How many wait, by priority; changed under the lock alone.
    waiting: [AtomicU32; LINES],
    lines: Mutex<Lines>,
    shed: [[AtomicU64; Shed::ALL.len()]; LINES],
}

/// Who waits, by priority.
#[derive(Debug, Default)]
struct Lines {
    all: [VecDeque<Waiter>; LINES],
    next: u64,
}

/// One who waits. Numbers grow.
#[derive(Debug)]
struct Waiter {
    number: u64,
    /// It goes in when fewer places than these are taken.
    limit: u32,
    turn: oneshot::Sender<Result<Place, Shed>>,
}

/// A place taken, given back when dropped.
#[derive(Debug)]
pub(crate) struct Place(Arc<Places>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::SeqCst);
        // Who is not counted yet looks for a place once more; see `Places::join`.
        fence(Ordering::SeqCst);
        if 0 < self.0.queued() {
            self.0.advance();
        }
    }
}

/// A request that has no place yet. Dropping it leaves.
#[derive(Debug)]
pub(crate) struct Entered(Arc<Places>);

impl Drop for Entered {
    fn drop(&mut self) {
        self.0.before.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A seat in the queue. Dropping it leaves the queue.
struct Seat<'p> {
    places: &'p Places,
    priority: Priority,
    number: u64,
    turn: oneshot::Receiver<Result<Place, Shed>>,
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let mut lines = self.places.lines();
        let line = &mut lines.all[self.priority as usize];
        // It is no longer there when its turn has come.
        if let Ok(at) = line.binary_search_by_key(&self.number, |waiter| waiter.number) {
            line.remove(at);
            self.places.fewer(self.priority as usize);
        }
    }
}

impl Places {
    /// How many are taken.
    pub(crate) fn taken(&self) -> u32 {
        self.taken.load(Ordering::Relaxed)
    }

    /// How many wait.
    pub(crate) fn queued(&self) -> u32 {
        self.waiting.iter().map(|waiting| waiting.load(Ordering::SeqCst)).sum()
    }

    /// How many wait, and how many were turned away, by priority.
    pub(crate) fn told(&self) -> impl Iterator<Item = (Priority, u32, [(Shed, u64); Shed::ALL.len()])> {
        Priority::ALL.into_iter().zip(&self.waiting).zip(&self.shed).map(|((priority, waiting), shed)| {
            let shed = Shed::ALL.map(|why| (why, shed[why as usize].load(Ordering::Relaxed)));
            (priority, waiting.load(Ordering::Relaxed), shed)
        })
    }

    /// Lets a request begin to be read that will be as important as `best`, or less.
    ///
    /// # Errors
    /// It would get no place, or as many are read and wait as may be in memory.
    pub(crate) fn enter(self: &Arc<Self>, rules: &Admission, best: Priority) -> Result<Entered, Shed> {
        let below =
            || self.waiting[..best as usize].iter().any(|waiting| 0 < waiting.load(Ordering::Relaxed));
        let full = rules.limit(best) <= self.taken() && rules.queue <= self.queued() && !below();
        let most = rules.places.saturating_add(rules.queue);
        let entered = Entered(Arc::clone(self));
        if most <= self.before.fetch_add(1, Ordering::Relaxed) || full {
            return Err(self.turned_away(best, Shed::QueueFull));
        }
        Ok(entered)
    }

    /// Takes a place, or waits for one.
    ///
    /// # Errors
    /// There was none in time, or nobody may wait any more.
    pub(crate) async fn take(self: &Arc<Self>, rules: &Admission, priority: Priority) -> Result<Place, Shed> {
        let taken = self.take_or_wait(rules, priority).await;
        taken.map_err(|why| self.turned_away(priority, why))
    }

    async fn take_or_wait(self: &Arc<Self>, rules: &Admission, priority: Priority) -> Result<Place, Shed> {
        // Who waits goes first.
        if self.queued() == 0
            && let Some(place) = self.free(rules.limit(priority))
        {
            return Ok(place);
        }
        let mut seat = match self.join(rules, priority)? {
            Joined::Now(place) => return Ok(place),
            Joined::Later(seat) => seat,
        };
        match tokio::time::timeout(rules.wait, &mut seat.turn).await {
            Ok(Ok(turn)) => turn,
            // Nobody drops a sender without a word.
            Ok(Err(_)) | Err(_) => Err(Shed::QueueTimeout),
        }
    }

    fn turned_away(&self, priority: Priority, why: Shed) -> Shed {
        self.shed[priority as usize][why as usize].fetch_add(1, Ordering::Relaxed);
        why
    }

    /// A place, if fewer than `limit` are taken.
    fn free(self: &Arc<Self>, limit: u32) -> Option<Place> {
        let more = |taken: u32| (taken < limit).then(|| taken + 1);
        let taken = self.taken.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more);
        taken.is_ok().then(|| Place(Arc::clone(self)))
    }

    /// Joins the queue.
    fn join(self: &Arc<Self>, rules: &Admission, priority: Priority) -> Result<Joined<'_>, Shed> {
        let (line, limit) = (priority as usize, rules.limit(priority));
        let mut lines = self.lines();
        let ahead = lines.all[line..].iter().any(|line| !line.is_empty());
        // Counted first: a place that was given back before is seen here, one given back later calls who waits.
        self.waiting[line].fetch_add(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        if !ahead && let Some(place) = self.free(limit) {
            self.fewer(line);
            return Ok(Joined::Now(place));
        }
        let mut displaced = None;
        if rules.queue < self.queued() {
            // The last of the least important.
            let below = lines.all[..line].iter_mut().zip(0..).find(|(line, _)| !line.is_empty());
            let Some((others, theirs)) = below else {
                self.fewer(line);
                return Err(Shed::QueueFull);
            };
            displaced = others.pop_back();
            self.fewer(theirs);
        }
        let (turn, called) = oneshot::channel();
        let number = lines.next;
        lines.next += 1;
        lines.all[line].push_back(Waiter { number, limit, turn });
        drop(lines);
        if let Some(displaced) = displaced {
            // It may have left just now.
            let _ = displaced.turn.send(Err(Shed::Displaced));
        }
        Ok(Joined::Later(Seat { places: self, priority, number, turn: called }))
    }

    /// Calls those whose turn it is.
    fn advance(self: &Arc<Self>) {
        while let Some((waiter, place)) = self.next() {
            // To one who has just left it comes back, and goes to the next.
            let _ = waiter.turn.send(Ok(place));
        }
    }

    /// The most important one who waits and fits in, with its place.
    fn next(self: &Arc<Self>) -> Option<(Waiter, Place)> {
        let mut lines = self.lines();
        for at in (0..LINES).rev() {
            let line = &mut lines.all[at];
            let Some(first) = line.front() else { continue };
            if let Some(place) = self.free(first.limit) {
                let first = line.pop_front()?;
                self.fewer(at);
                return Some((first, place));
            }
        }
        None
    }

    fn fewer(&self, line: usize) {
        self.waiting[line].fetch_sub(1, Ordering::SeqCst);
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        // Nothing in it can be half done.
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Joined<'p> {
    Now(Place),
    Later(Seat<'p>),
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::time::Duration;

    use tagway_core::config::Overload;

    use super::*;

    #[test]
    fn no_place_is_given_twice_or_lost_however_many_threads_want_one() {
        let places = Arc::new(Places::default());
        let overload = Overload {
            places: Some(4),
            queue: 6,
            wait: Duration::from_millis(5),
            low: 0.5,
            ..Overload::default()
        };
        let rules = Admission::new(&overload, &[]).unwrap();
        let (inside, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let served: usize = std::thread::scope(|scope| {
            let one = |seed: u64| {
                let (places, rules) = (Arc::clone(&places), &rules);
                let (inside, most) = (Arc::clone(&inside), Arc::clone(&most));
                let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
                scope.spawn(move || {
                    runtime.block_on(async move {
                        let request = async |number: u64| {
                            let priority = Priority::ALL[((seed + number) % 3) as usize];
                            let taking = places.take(rules, priority);
                            // Some leave while they wait.
                            let patience =
                                Duration::from_micros(if number.is_multiple_of(5) { 50 } else { 20_000 });
                            let Ok(Ok(place)) = tokio::time::timeout(patience, taking).await else {
                                return 0;
                            };
                            most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                            tokio::task::yield_now().await;
                            inside.fetch_sub(1, Ordering::SeqCst);
                            drop(place);
                            1
                        };
                        let mut served = 0;
                        for number in 0..500 {
                            let both = tokio::join!(request(2 * number), request(2 * number + 1));
                            served += both.0 + both.1;
                        }
                        served
                    })
                })
            };
            let threads: Vec<_> = (0..6).map(one).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert!(most.load(Ordering::SeqCst) <= 4);
        assert!(1000 < served, "{served}");
        assert_eq!((places.taken(), places.queued()), (0, 0));
        assert!(places.lines().all.iter().all(VecDeque::is_empty));
    }
}
