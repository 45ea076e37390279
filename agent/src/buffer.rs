//! Samples that wait for the broker, bounded in bytes. When full, the oldest goes and is counted.

use bytes::Bytes;
use std::collections::VecDeque;

/// Encoded samples in order. The first `lent` of them are on their way and are not dropped.
#[derive(Debug)]
pub(crate) struct Buffer {
    lines: VecDeque<Bytes>,
    bytes: usize,
    max_bytes: usize,
    lent: usize,
    dropped: u64,
}

impl Buffer {
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self {
            lines: VecDeque::new(),
            bytes: 0,
            max_bytes,
            lent: 0,
            dropped: 0,
        }
    }

    /// Adds a sample; makes room by dropping the oldest that are not lent, else drops this one.
    pub(crate) fn push(&mut self, line: Bytes) {
        while self.bytes + line.len() > self.max_bytes {
            let Some(oldest) = self.lines.remove(self.lent) else {
                self.dropped += 1;
                return;
            };
            self.bytes -= oldest.len();
            self.dropped += 1;
        }
        self.bytes += line.len();
        self.lines.push_back(line);
    }

    /// The oldest samples for one request: at most `max_lines` and `max_bytes`, at least one if
    /// there is any. They stay here until [`Self::finish`], [`Self::discard`] or
    /// [`Self::give_back`].
    pub(crate) fn lend(&mut self, max_lines: usize, max_bytes: usize) -> &[Bytes] {
        assert_eq!(self.lent, 0, "one batch at a time");
        let mut bytes = 0;
        let fits = |line: &&Bytes| {
            bytes += line.len();
            bytes <= max_bytes
        };
        let fitting = self.lines.iter().take(max_lines).take_while(fits).count();
        self.lent = fitting.max(1).min(self.lines.len());
        &self.lines.make_contiguous()[..self.lent]
    }

    /// The lent samples have arrived.
    pub(crate) fn finish(&mut self) {
        let sent = self.lines.drain(..self.lent);
        self.bytes -= sent.map(|line| line.len()).sum::<usize>();
        self.lent = 0;
    }

    /// The lent samples will never be taken: they count as dropped.
    pub(crate) fn discard(&mut self) {
        self.dropped += self.lent as u64;
        self.finish();
    }

    /// The lent samples have to be sent again.
    pub(crate) fn give_back(&mut self) {
        self.lent = 0;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    pub(crate) fn lent(&self) -> usize {
        self.lent
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    fn filled(max_bytes: usize, lines: &[&'static str]) -> Buffer {
        let mut buffer = Buffer::new(max_bytes);
        lines.iter().for_each(|text| buffer.push(line(text)));
        buffer
    }

    #[test]
    fn the_oldest_goes_first_and_is_counted() {
        let mut buffer = filled(6, &["aa", "bb", "cc", "dd", "ee"]);
        assert_eq!(buffer.lend(9, 99), [line("cc"), line("dd"), line("ee")]);
        assert_eq!((buffer.bytes(), buffer.dropped()), (6, 2));
    }

    #[test]
    fn one_that_never_fits_is_dropped_after_all_others() {
        let buffer = filled(3, &["aa", "bbbb"]);
        assert!(buffer.is_empty());
        assert_eq!((buffer.bytes(), buffer.dropped()), (0, 2));
    }

    #[test]
    fn what_is_on_its_way_is_not_dropped() {
        let mut buffer = filled(6, &["aa", "bb", "cc"]);
        assert_eq!(buffer.lend(2, 99).len(), 2);
        buffer.push(line("dd"));
        buffer.push(line("ee"));
        assert_eq!(buffer.dropped(), 2);
        buffer.finish();
        assert_eq!(buffer.lend(9, 99), [line("ee")]);
        assert_eq!(buffer.bytes(), 2);
    }

    #[test]
    fn a_batch_is_bounded_and_holds_at_least_one() {
        let mut buffer = filled(99, &["aa", "bb", "cc"]);
        assert_eq!(buffer.lend(9, 5).len(), 2);
        buffer.give_back();
        assert_eq!(buffer.lend(9, 1), [line("aa")]);
        buffer.discard();
        assert_eq!(buffer.dropped(), 1);
        assert_eq!(buffer.lend(1, 99), [line("bb")]);
    }

    #[test]
    fn bytes_never_exceed_the_bound() {
        let mut buffer = Buffer::new(1000);
        for i in 0..10_000_usize {
            buffer.push(Bytes::from(vec![b'x'; 1 + i % 97]));
            if i % 7 == 0 {
                buffer.lend(5, 200);
            }
            assert!(buffer.bytes() <= 1000);
            if i % 14 == 0 {
                buffer.finish();
            } else {
                buffer.give_back();
            }
        }
    }
}
