//! A command that can be shown, run and repeated: what is printed is what runs.

use anyhow::{Context, bail};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

/// A program with its arguments and the variables it needs.
#[derive(Clone)]
pub(crate) struct CommandLine {
    program: OsString,
    arguments: Vec<OsString>,
    variables: Vec<(&'static str, &'static str)>,
}

impl CommandLine {
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Self {
        Self {
            program: program.as_ref().to_owned(),
            arguments: Vec::new(),
            variables: Vec::new(),
        }
    }

    /// Splits at white space: for command lines without quoting, which is nearly all of them.
    pub(crate) fn parse(line: &str) -> Self {
        let mut words = line.split_whitespace();
        Self::new(words.next().unwrap_or_default()).args(words)
    }

    pub(crate) fn arg(self, argument: impl AsRef<OsStr>) -> Self {
        self.args([argument])
    }

    pub(crate) fn args(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        let arguments = arguments.into_iter().map(|a| a.as_ref().to_owned());
        self.arguments.extend(arguments);
        self
    }

    pub(crate) fn env(mut self, name: &'static str, value: &'static str) -> Self {
        self.variables.push((name, value));
        self
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments);
        command.envs(self.variables.iter().copied());
        command
    }

    /// Shows the command, then runs it with this process's output.
    ///
    /// # Errors
    /// When it cannot be started or does not succeed; the message is the command to repeat.
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        println!("$ {self}");
        let status = self
            .command()
            .status()
            .with_context(|| format!("cannot start `{self}`"))?;
        if !status.success() {
            bail!("{status}; repeat it with\n\n    {self}\n");
        }
        Ok(())
    }

    /// Whether it runs and succeeds; its output is thrown away. For asking "is this installed?".
    pub(crate) fn succeeds(&self) -> bool {
        let mut command = self.command();
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    }

    /// What it prints, or `None` when it does not run or fails.
    pub(crate) fn output(&self) -> Option<String> {
        let output = self.command().output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        output.status.success().then_some(text)
    }

    /// Shows the command, then becomes it: returns only if it cannot be started.
    pub(crate) fn become_it(&self) -> anyhow::Error {
        println!("$ {self}");
        let failure = self.command().exec();
        anyhow::Error::new(failure).context(format!("cannot start `{self}`"))
    }
}

impl fmt::Display for CommandLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.variables {
            write!(f, "{name}={} ", quoted(OsStr::new(value)))?;
        }
        f.write_str(&quoted(&self.program))?;
        for argument in &self.arguments {
            write!(f, " {}", quoted(argument))?;
        }
        Ok(())
    }
}

/// A word as a POSIX shell reads it back.
fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.into_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_can_be_pasted_into_a_shell() {
        let line = CommandLine::parse("cargo doc --no-deps")
            .env("RUSTDOCFLAGS", "-D warnings")
            .arg("it's");
        assert_eq!(
            line.to_string(),
            r"RUSTDOCFLAGS='-D warnings' cargo doc --no-deps 'it'\''s'"
        );
    }
}
