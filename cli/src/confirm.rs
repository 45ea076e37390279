use crate::failure::Failure;
use std::io::{self, BufRead, IsTerminal, Write};

/// Whether the user agreed on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Consent {
    Given,
    Ask,
}

impl Consent {
    /// By `--yes`.
    pub(crate) const fn of(yes: bool) -> Self {
        match yes {
            true => Self::Given,
            false => Self::Ask,
        }
    }
}

/// Asks `question` at the terminal unless consent was given.
pub(crate) fn confirm(question: &str, consent: Consent) -> Result<(), Failure> {
    if consent == Consent::Given {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        let why = "this destroys data: confirm with --yes (there is no terminal to ask at)";
        return Err(Failure::Usage(why.into()));
    }
    let mut prompt = io::stderr();
    let asked = write!(prompt, "{question} [y/N] ").and_then(|()| prompt.flush());
    asked.map_err(Failure::Write)?;
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    read.map_err(Failure::Read)?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(Failure::Failed("not confirmed, nothing was changed".into())),
    }
}
