use crate::failure::{Failure, Status};
use clap::ValueEnum;
use serde::Serialize;
use std::io::{self, Write};

/// What standard output is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    Text,
    /// For programs.
    Json,
}

impl Output {
    /// Prints `value` as a line of JSON, or its text.
    pub(crate) fn show(
        self,
        value: &impl Serialize,
        text: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        match self {
            Self::Text => print_line(&text()),
            Self::Json => print_line(&serde_json::to_string(value).unwrap_or_default()),
        }
    }

    /// The line of a message: the whole object, or its payload alone.
    pub(crate) const fn pick<'a>(self, json: &'a str, payload: &'a str) -> &'a str {
        match self {
            Self::Text => payload,
            Self::Json => json,
        }
    }

    /// Says on standard error what went wrong; nothing when our reader went away.
    pub(crate) fn report(self, failure: &Failure) -> Status {
        if !failure.is_closed_pipe() {
            let line = match self {
                Self::Text => format!("weir: {failure}"),
                Self::Json => failure.to_json(),
            };
            let _closed = writeln!(io::stderr(), "{line}");
        }
        failure.status()
    }
}

/// Prints a line and flushes it, so that whoever reads a pipe sees it now.
pub(crate) fn print_line(line: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let written = writeln!(out, "{line}").and_then(|()| out.flush());
    written.map_err(Failure::Write)
}

/// Tells people something on standard error.
pub(crate) fn note(text: &str) {
    let _closed = writeln!(io::stderr(), "weir: {text}");
}
