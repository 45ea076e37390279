use super::after_flush::{AfterFlush, WrittenAnswers};
use bytes::{Buf, Bytes};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// An answer that somebody wants to know about, until its last part is passed on. The body and
/// each piece of its data hold it; the last one to let go decides.
#[derive(Debug)]
pub(super) struct Leaving {
    after_flush: AfterFlush,
    written: WrittenAnswers,
    has_ended: AtomicBool,
    has_lost_data: AtomicBool,
}

impl Leaving {
    pub(super) fn new(after_flush: AfterFlush, written: WrittenAnswers) -> Self {
        Self {
            after_flush,
            written,
            has_ended: AtomicBool::new(false),
            has_lost_data: AtomicBool::new(false),
        }
    }

    /// The body has come to its end.
    pub(super) fn end(&self) {
        self.has_ended.store(true, Ordering::Relaxed);
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        if *self.has_ended.get_mut() && !*self.has_lost_data.get_mut() {
            self.written.add(self.after_flush.clone());
        }
    }
}

/// A piece of an answer's body, which notices whether it was passed on to its last byte.
#[derive(Debug)]
pub struct AnswerData {
    bytes: Bytes,
    /// Until the last byte was passed on; `None` also if nobody wants to know.
    leaving: Option<Arc<Leaving>>,
}

impl AnswerData {
    pub(super) fn new(bytes: Bytes, leaving: Option<&Arc<Leaving>>) -> Self {
        let leaving = leaving.filter(|_| !bytes.is_empty()).cloned();
        Self { bytes, leaving }
    }

    fn let_go_if_passed_on(&mut self) {
        if self.bytes.is_empty() {
            self.leaving = None;
        }
    }
}

impl Buf for AnswerData {
    fn remaining(&self) -> usize {
        self.bytes.len()
    }

    fn chunk(&self) -> &[u8] {
        &self.bytes
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
        self.let_go_if_passed_on();
    }

    fn copy_to_bytes(&mut self, length: usize) -> Bytes {
        let copied = self.bytes.copy_to_bytes(length);
        self.let_go_if_passed_on();
        copied
    }
}

impl Drop for AnswerData {
    fn drop(&mut self) {
        if let Some(leaving) = &self.leaving {
            leaving.has_lost_data.store(true, Ordering::Relaxed);
        }
    }
}
