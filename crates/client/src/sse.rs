//! Server-sent events, as the WHATWG standard reads them. Pure: bytes in, events out.

use std::collections::VecDeque;
use std::time::Duration;

/// One dispatched event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Event {
    /// Its type; empty for an ordinary message.
    pub(crate) kind: String,
    /// Its `data` lines, joined by newlines.
    pub(crate) data: Vec<u8>,
    /// The `id` that stood in this event.
    pub(crate) id: Option<String>,
}

/// A line or an event larger than allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLarge;

/// Cuts a stream of bytes into events. Chunks may end anywhere, even inside CR LF or a character.
///
/// Holds at most one unfinished event, and the finished ones of the last chunk.
#[derive(Debug)]
pub(crate) struct Parser {
    max_event_bytes: usize,
    line: Vec<u8>,
    /// The last byte was CR: an LF right after it belongs to the same line end.
    after_cr: bool,
    first_line: bool,
    event: Event,
    has_data: bool,
    ready: VecDeque<Event>,
    retry: Option<Duration>,
}

impl Parser {
    pub(crate) fn new(max_event_bytes: usize) -> Self {
        Self {
            max_event_bytes,
            line: Vec::new(),
            after_cr: false,
            first_line: true,
            event: Event::default(),
            has_data: false,
            ready: VecDeque::new(),
            retry: None,
        }
    }

    /// Takes the next bytes.
    pub(crate) fn push(&mut self, mut chunk: &[u8]) -> Result<(), TooLarge> {
        while let Some(at) = chunk.iter().position(|b| matches!(b, b'\n' | b'\r')) {
            let (text, line_end) = (&chunk[..at], chunk[at]);
            chunk = &chunk[at + 1..];
            let second_half = self.after_cr && text.is_empty() && line_end == b'\n';
            self.after_cr = line_end == b'\r';
            if !second_half {
                self.extend_line(text)?;
                self.end_line();
            }
        }
        self.after_cr &= chunk.is_empty();
        self.extend_line(chunk)
    }

    /// The next finished event. An event that only carries an `id` is handed out too, without data.
    pub(crate) fn next_event(&mut self) -> Option<Event> {
        self.ready.pop_front()
    }

    /// How long the server wants clients to wait before they reconnect, if it said.
    pub(crate) const fn retry(&self) -> Option<Duration> {
        self.retry
    }

    fn extend_line(&mut self, text: &[u8]) -> Result<(), TooLarge> {
        if self.event.data.len() + self.line.len() + text.len() > self.max_event_bytes {
            return Err(TooLarge);
        }
        self.line.extend_from_slice(text);
        Ok(())
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let mut text = line.as_slice();
        if std::mem::take(&mut self.first_line) {
            text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        }
        if text.is_empty() {
            self.dispatch();
        } else {
            self.field(text);
        }
        // Keeps the allocation for the next line.
        self.line = line;
        self.line.clear();
    }

    fn field(&mut self, line: &[u8]) {
        let (name, value) = match line.iter().position(|&b| b == b':') {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (line, &b""[..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match name {
            b"data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.event.data.push(b'\n');
                }
                self.event.data.extend_from_slice(value);
            }
            b"id" if !value.contains(&0) => self.event.id = Some(text(value)),
            b"event" => self.event.kind = text(value),
            b"retry" => self.retry = text(value).parse().ok().map(Duration::from_millis),
            // Comments (empty name) keep the connection alive; unknown fields are passed over.
            _ => {}
        }
    }

    fn dispatch(&mut self) {
        let event = std::mem::take(&mut self.event);
        if std::mem::take(&mut self.has_data) || event.id.is_some() {
            self.ready.push_back(event);
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(chunks: &[&[u8]]) -> Vec<Event> {
        let mut parser = Parser::new(1024);
        let mut events = Vec::new();
        for chunk in chunks {
            parser.push(chunk).unwrap();
            events.extend(std::iter::from_fn(|| parser.next_event()));
        }
        events
    }

    fn event(kind: &str, data: &str, id: Option<&str>) -> Event {
        Event {
            kind: kind.into(),
            data: data.into(),
            id: id.map(str::to_owned),
        }
    }

    #[test]
    fn fields_become_events() {
        let stream = b"\xef\xbb\xbf: hello\n\ndata: a\ndata:b\nid: 7\nevent: e\nfoo: x\n\n\
                       id: 8\n\ndata\r\n\r\ndata: unfinished\n";
        let expected = [
            event("e", "a\nb", Some("7")),
            event("", "", Some("8")),
            event("", "", None),
        ];
        assert_eq!(parse(&[stream]), expected);
    }

    #[test]
    fn retry_is_kept() {
        let mut parser = Parser::new(100);
        parser.push(b"retry: 1500\n\n").unwrap();
        assert_eq!(parser.retry(), Some(Duration::from_millis(1500)));
    }

    #[test]
    fn an_endless_line_is_refused() {
        let mut parser = Parser::new(10);
        assert_eq!(parser.push(b"data: 1234"), Ok(()));
        assert_eq!(parser.push(b"5"), Err(TooLarge));
        let mut parser = Parser::new(20);
        assert_eq!(parser.push(&b"data: 1234\n".repeat(9)), Err(TooLarge));
    }

    proptest! {
        #[test]
        fn chunk_boundaries_do_not_matter(
            lines in prop::collection::vec("(data|id|event|)(:| :|: )[ab\u{e9}:]{0,4}|", 0..20),
            line_ends in prop::collection::vec(prop::sample::select(vec!["\n", "\r", "\r\n"]), 20),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            let stream: String =
                lines.iter().zip(&line_ends).map(|(line, end)| format!("{line}{end}")).collect();
            let stream = stream.as_bytes();
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
            cuts.sort_unstable();
            let mut chunks = Vec::new();
            let mut start = 0;
            for cut in cuts {
                chunks.push(&stream[start..cut]);
                start = cut;
            }
            chunks.push(&stream[start..]);
            prop_assert_eq!(parse(&chunks), parse(&[stream]));
        }

        #[test]
        fn data_arrives_as_it_was_sent(data in "[^\r\n]{0,40}", id in "[A-Za-z0-9_-]{1,20}") {
            let stream = format!("data: {data}\nid: {id}\n\n");
            prop_assert_eq!(parse(&[stream.as_bytes()]), [event("", &data, Some(&id))]);
        }
    }
}
