use crate::failure::Failure;
use bytes::Bytes;
use weir_protocol::Payload;
use weir_types::limits::MAX_BATCH_BYTES;
use weir_types::{Headers, Key};

const MAX_LINES: usize = 1_000;
const FULL_BYTES: usize = 1024 * 1024;

/// What all lines have in common.
pub(crate) struct LineOptions {
    /// Lines are plain text, not JSON.
    pub(crate) text: bool,
    pub(crate) key: Option<Key>,
    pub(crate) partition: Option<u32>,
    pub(crate) headers: Headers,
}

/// Collects lines of input into the body of a batch.
///
/// Each line is checked here: put into a batch unchecked, a line could end its own payload and
/// smuggle in other fields.
pub(crate) struct LineBatch {
    text: bool,
    /// What follows each payload: the shared fields and the closing brace.
    suffix: Vec<u8>,
    body: Vec<u8>,
    lines: usize,
    input_line: u64,
}

impl LineBatch {
    pub(crate) fn new(options: LineOptions) -> Self {
        let mut shared = serde_json::Map::new();
        if let Some(key) = options.key {
            shared.insert("key".into(), key.as_str().into());
        }
        if let Some(partition) = options.partition {
            shared.insert("partition".into(), partition.into());
        }
        if !options.headers.is_empty() {
            let headers = serde_json::to_value(options.headers).unwrap_or_default();
            shared.insert("headers".into(), headers);
        }
        Self {
            text: options.text,
            suffix: suffix(shared),
            body: Vec::new(),
            lines: 0,
            input_line: 0,
        }
    }

    /// Adds a line of input. Blank ones are passed over, unless lines are plain text.
    pub(crate) fn push(&mut self, line: &[u8]) -> Result<(), Failure> {
        self.input_line += 1;
        let payload = if self.text {
            let text = std::str::from_utf8(line)
                .map_err(|e| self.refused(&format!("not UTF-8 at byte {}", e.valid_up_to())))?;
            Payload::from_text(text)
        } else if line.trim_ascii().is_empty() {
            return Ok(());
        } else {
            Payload::parse(&Bytes::copy_from_slice(line), MAX_BATCH_BYTES)
                .map_err(|e| self.refused(&e.to_string()))?
        };
        self.body.extend_from_slice(b"{\"payload\":");
        self.body.extend_from_slice(payload.as_bytes());
        self.body.extend_from_slice(&self.suffix);
        self.lines += 1;
        Ok(())
    }

    fn refused(&self, reason: &str) -> Failure {
        // The parser sees each line alone, so its "line 1" would mislead.
        let reason = reason.replace(" at line 1 column ", " at column ");
        Failure::Input(format!("line {} of the input: {reason}", self.input_line))
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.lines == 0
    }

    /// Whether it should be sent before more is added.
    pub(crate) const fn is_full(&self) -> bool {
        self.lines >= MAX_LINES || self.body.len() >= FULL_BYTES
    }

    /// The body of the batch; leaves an empty one.
    pub(crate) fn take(&mut self) -> Bytes {
        self.lines = 0;
        std::mem::take(&mut self.body).into()
    }
}

fn suffix(shared: serde_json::Map<String, serde_json::Value>) -> Vec<u8> {
    if shared.is_empty() {
        return b"}\n".to_vec();
    }
    let mut text = serde_json::Value::Object(shared).to_string();
    text.replace_range(..1, ",");
    text.push('\n');
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn batch(text: bool) -> LineBatch {
        LineBatch::new(LineOptions {
            text,
            key: None,
            partition: None,
            headers: Headers::default(),
        })
    }

    #[test]
    fn lines_become_payloads_with_what_they_share() {
        let headers = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
        let mut batch = LineBatch::new(LineOptions {
            text: false,
            key: Some(Key::parse("k\"").unwrap()),
            partition: Some(1),
            headers: Headers::new(headers).unwrap(),
        });
        batch.push(b" {\"x\": 1} ").unwrap();
        batch.push(b"").unwrap();
        let line = r#"{"payload":{"x": 1},"headers":{"a":"b"},"key":"k\"","partition":1}"#;
        assert_eq!(batch.take(), format!("{line}\n"));
        assert!(batch.is_empty());
    }

    #[test]
    fn plain_text_is_quoted_and_blank_lines_count() {
        let mut batch = batch(true);
        batch.push(b"say \"hi\"").unwrap();
        batch.push(b"").unwrap();
        assert_eq!(
            batch.take(),
            "{\"payload\":\"say \\\"hi\\\"\"}\n{\"payload\":\"\"}\n"
        );
    }

    #[test]
    fn a_line_cannot_smuggle_fields() {
        let mut batch = batch(false);
        batch.push(b"1").unwrap();
        let refused = batch.push(b"1,\"key\":\"k\"").unwrap_err().to_string();
        assert!(refused.starts_with("line 2 of the input: the payload is not valid JSON"));
        assert_eq!(batch.take(), "{\"payload\":1}\n");
    }

    #[test]
    fn a_batch_is_full_by_lines_or_bytes() {
        let mut by_lines = batch(false);
        (0..MAX_LINES).for_each(|_| by_lines.push(b"1").unwrap());
        assert!(by_lines.is_full());
        let mut by_bytes = batch(true);
        by_bytes.push(&vec![b'x'; FULL_BYTES]).unwrap();
        assert!(by_bytes.is_full());
    }
}
