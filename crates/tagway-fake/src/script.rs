//! Chooses the reply to a request: the next of a list, what a function says, or what an OpenAI-compatible
//! provider would say.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::openai::OpenAi;
use crate::record::Seen;
use crate::reply::Reply;

/// What a fake answers.
pub struct Script(Kind);

enum Kind {
    OpenAi(OpenAi),
    Replies { replies: Vec<Reply>, next: AtomicUsize },
    Answer(Box<dyn Fn(&Seen) -> Reply + Send + Sync>),
}

impl Script {
    /// One reply per request in order of arrival; the last repeats. An empty list answers 500.
    pub fn replies(replies: impl IntoIterator<Item = Reply>) -> Self {
        Self(Kind::Replies { replies: replies.into_iter().collect(), next: AtomicUsize::new(0) })
    }

    /// Whatever the function makes of the request.
    pub fn answer(answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        Self(Kind::Answer(Box::new(answer)))
    }

    /// The reply, if it can be told from the head alone: only then may it leave the body unread.
    pub(crate) fn before_body(&self) -> Option<Reply> {
        match &self.0 {
            Kind::Replies { replies, next } => {
                let last = replies.len().saturating_sub(1);
                let index = next.fetch_add(1, Ordering::Relaxed).min(last);
                Some(replies.get(index).cloned().unwrap_or_else(|| Reply::error(500, "the script is empty")))
            }
            Kind::OpenAi(_) | Kind::Answer(_) => None,
        }
    }

    pub(crate) fn after_body(&self, seen: &Seen) -> Reply {
        match &self.0 {
            Kind::OpenAi(openai) => openai.answer(seen),
            Kind::Answer(answer) => answer(seen),
            Kind::Replies { .. } => Reply::error(500, "the reply was chosen before the body"),
        }
    }
}

impl From<OpenAi> for Script {
    fn from(openai: OpenAi) -> Self {
        Self(Kind::OpenAi(openai))
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::OpenAi(openai) => openai.fmt(f),
            Kind::Replies { replies, .. } => replies.fmt(f),
            Kind::Answer(_) => f.write_str("Answer(..)"),
        }
    }
}
