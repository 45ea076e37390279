use serde_json::Value;
use std::fmt;
use std::fs;
use std::path::PathBuf;

/// What a broker process wrote to standard error, read anew at every question.
#[derive(Clone, Debug)]
pub struct BrokerLog(PathBuf);

/// One line of a broker's JSON log.
#[derive(Clone, Debug)]
pub struct LogLine(Value);

impl BrokerLog {
    pub(crate) fn at(path: PathBuf) -> Self {
        Self(path)
    }

    /// Everything, as it was written.
    #[must_use]
    pub fn text(&self) -> String {
        let bytes = fs::read(&self.0).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The complete lines that are JSON objects.
    #[must_use]
    pub fn lines(&self) -> Vec<LogLine> {
        let text = self.text();
        let complete = text.split_inclusive('\n').filter(|l| l.ends_with('\n'));
        let parsed = complete.filter_map(|line| serde_json::from_str(line).ok());
        parsed.filter(Value::is_object).map(LogLine).collect()
    }

    /// The first line with this message.
    #[must_use]
    pub fn find(&self, message: &str) -> Option<LogLine> {
        let mut lines = self.lines().into_iter();
        lines.find(|line| line.message() == message)
    }

    /// The first line whose text contains `part`.
    #[must_use]
    pub fn find_containing(&self, part: &str) -> Option<LogLine> {
        let mut lines = self.lines().into_iter();
        lines.find(|line| line.to_string().contains(part))
    }
}

impl LogLine {
    /// What happened.
    #[must_use]
    pub fn message(&self) -> &str {
        self.field("message")
    }

    /// `INFO`, `WARN` or `ERROR`.
    #[must_use]
    pub fn level(&self) -> &str {
        self.field("level")
    }

    /// A text field; empty when it is not there.
    #[must_use]
    pub fn field(&self, name: &str) -> &str {
        self.0[name].as_str().unwrap_or_default()
    }
}

impl fmt::Display for LogLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_line_is_not_read_yet() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let log = BrokerLog::at(path.clone());
        assert!(log.lines().is_empty());
        let lines =
            "panicked\n{\"level\":\"INFO\",\"message\":\"a\",\"http\":\"x\"}\n{\"message\":\"b";
        fs::write(&path, lines).unwrap();
        assert_eq!(log.lines().len(), 1);
        let line = log.find("a").unwrap();
        assert_eq!((line.level(), line.field("http")), ("INFO", "x"));
        assert!(log.find_containing("\"b").is_none());
    }
}
