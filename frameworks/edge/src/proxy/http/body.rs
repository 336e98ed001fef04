//! Bodies on their way through.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};

use crate::route::Open;

/// The body of a request. It is lent to an attempt, and can be had back while nothing of it was read.
#[derive(Debug)]
pub(crate) enum RequestBody {
    Empty,
    Lent(Arc<Lent>),
}

#[derive(Debug)]
pub(crate) struct Lent {
    body: Mutex<Incoming>,
    is_read: AtomicBool,
}

impl RequestBody {
    pub(super) fn new(body: Incoming) -> Self {
        match body.is_end_stream() {
            true => Self::Empty,
            false => Self::Lent(Arc::new(Lent {
                body: Mutex::new(body),
                is_read: AtomicBool::new(false),
            })),
        }
    }

    /// The same body for another attempt.
    pub(super) fn again(&self) -> Self {
        match self {
            Self::Empty => Self::Empty,
            Self::Lent(lent) => Self::Lent(Arc::clone(lent)),
        }
    }

    /// Whether an attempt has read some of it.
    pub(super) fn is_read(&self) -> bool {
        match self {
            Self::Empty => false,
            Self::Lent(lent) => lent.is_read.load(Ordering::Acquire),
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Lent(lent) => {
                lent.is_read.store(true, Ordering::Release);
                let mut body = lent.body.lock().unwrap_or_else(PoisonError::into_inner);
                Pin::new(&mut *body).poll_frame(cx)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Lent(lent) => lent
                .body
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Lent(lent) => lent
                .body
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .size_hint(),
        }
    }
}

/// The body of an answer.
#[derive(Debug)]
pub(crate) enum ResponseBody {
    /// The edge's own.
    Own(Option<Bytes>),
    /// An endpoint's, which is open until it has been passed on.
    Passed { body: Incoming, _open: Open },
}

impl ResponseBody {
    pub(super) fn own(text: impl Into<Bytes>) -> Self {
        Self::Own(Some(text.into()))
    }

    pub(super) fn passed(body: Incoming, open: Open) -> Self {
        Self::Passed { body, _open: open }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self.get_mut() {
            Self::Own(text) => Poll::Ready(text.take().map(|text| Ok(Frame::data(text)))),
            Self::Passed { body, .. } => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own(text) => text.is_none(),
            Self::Passed { body, .. } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own(text) => {
                let len = text.as_ref().map_or(0, Bytes::len);
                SizeHint::with_exact(u64::try_from(len).unwrap_or(u64::MAX))
            }
            Self::Passed { body, .. } => body.size_hint(),
        }
    }
}
